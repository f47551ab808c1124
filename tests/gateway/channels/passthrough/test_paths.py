"""Which paths a rule lets through: what two servers could read differently is refused."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.channels.passthrough.rules import (
    BadPath,
    PassThroughRule,
    canonical,
    find_rule,
    is_pattern,
    is_pointer,
    matches_path,
    normalise_path,
)

ONE_READING = {
    "/": "/",
    "/files": "/files",
    "/files/": "/files/",
    "/files/%61b": "/files/ab",
    "/files/a%2db%7e": "/files/a-b~",
    "/files/a%20b": "/files/a%20b",
    "/files/a%3ab": "/files/a%3Ab",
    "/files/models:predict": "/files/models:predict",
    "/files/%c3%a9t%c3%a9": "/files/%C3%A9t%C3%A9",
    "/files/.hidden": "/files/.hidden",
    "/files/a..b": "/files/a..b",
}
REFUSED = [
    "", "files", "http://elsewhere.example/files", "/http://elsewhere.example/files",
    "//elsewhere.example/files", "/files//x", "/files///", "/./files", "/files/.", "/files/..",
    "/files/../admin", "/files/...", "/files/%2e%2e/admin", "/files/.%2E/admin",
    "/files/%252e%252e/admin", "/files/%25252e", "/files/..%2fadmin", "/files/a%2fb",
    "/files/a%2Fb", "/files/a%5cb", "/files/a\\b", "/files/..\\admin", "/files/a%00b",
    "/files/a\x00b", "/files/a%0d%0ab", "/files/a%7f", "/files/a;v=1", "/files/..;/admin",
    "/files/a%3bv", "/files/a%3fb", "/files/a?b", "/files/a%23b", "/files/a#b", "/files/a b",
    "/files/..%20", "/files/%20", "/files/%2e%20", "/files/a%", "/files/a%2", "/files/a%zz",
    "/files/a%u002e", "/files/é", "/files/%c0%ae%c0%ae", "/files/%c0%af", "/files/%ff",
    "/files/%ef%bc%8e%ef%bc%8e", "/files/a%ef%bc%8fb", "/files/a%e2%81%84b", "/files/a%e2%88%95b",
    "/files/a%e2%80%ae", "/files/a%c2%85", "/files/e%cc%81", "/files/*", "/a" * 61,
]  # fmt: skip


@pytest.mark.parametrize("raw", ONE_READING)
def test_one_reading_is_normalised(raw: str) -> None:
    assert normalise_path(raw) == ONE_READING[raw]
    assert normalise_path(ONE_READING[raw]) == ONE_READING[raw]


@pytest.mark.parametrize("raw", REFUSED)
def test_two_readings_are_refused(raw: str) -> None:
    with pytest.raises(BadPath):
        normalise_path(raw)


@pytest.mark.parametrize(
    ("pattern", "path", "fitting"),
    [
        ("/files", "/files", True),
        ("/files", "/files/", False),
        ("/files", "/Files", False),
        ("/files/", "/files/", True),
        ("/files/*", "/files/a", True),
        ("/files/*", "/files/", False),
        ("/files/*", "/files/a/b", False),
        ("/files/*", "/files/a/", False),
        ("/files/*/content", "/files/a/content", True),
        ("/files/*/content", "/files/a/delete", False),
        ("/files/**", "/files", False),
        ("/files/**", "/files/", False),
        ("/files/**", "/files/a", True),
        ("/files/**", "/files/a/b/", True),
        ("/files/**", "/files2/a", False),
        ("/**", "/", False),
        ("/**", "/a", True),
        ("/", "/", True),
        ("/a:b", "/a%3Ab", False),
    ],
)
def test_pattern_fits_path(pattern: str, path: str, fitting: bool) -> None:
    assert matches_path(pattern, path) is fitting


@pytest.mark.parametrize("pattern", ["/", "/a", "/a/", "/*", "/**", "/a/*/b", "/a/**", "/a:b/@c"])
def test_pattern_is_accepted(pattern: str) -> None:
    assert is_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["", "a", "**", "/**/a", "/a//b", "/a*", "/..", "/a/../b", "/a%2fb", "/a;b", "/a?b", "/é",
     "/a/***", "/a b", "/a\n", "/" + "a" * 160],
)  # fmt: skip
def test_pattern_that_no_path_fits_is_refused(pattern: str) -> None:
    assert not is_pattern(pattern)


def test_first_rule_with_path_and_method_applies() -> None:
    rules = (
        PassThroughRule(("GET",), "/files/*"),
        PassThroughRule(("POST",), "/files/**", "0.01"),
        PassThroughRule(("GET", "DELETE"), "/files/**", "0.02"),
    )
    assert find_rule(rules, "GET", "/files/a").rule == rules[0]
    assert find_rule(rules, "GET", "/files/a/b").rule == rules[2]
    assert find_rule(rules, "DELETE", "/files/a").rule == rules[2]
    assert find_rule(rules, "PUT", "/files/a") == (None, ["GET", "POST", "DELETE"])
    assert find_rule(rules, "GET", "/other") == (None, [])


def test_largest_value_costs_no_more_than_is_held() -> None:
    rule = PassThroughRule(("POST",), "/a", "0.10", "/cost", "0.000003", "1.00")
    assert rule.value_micros_max == 300_000_000_000
    assert rule.rates() == {"meters": {"requests": 10**14, "answer_micros": 3000}}
    assert PassThroughRule(("POST",), "/a", "0.10").rates() == {"meters": {"requests": 10**14}}


def test_a_rule_without_a_pointer_has_no_value() -> None:
    assert PassThroughRule(("GET",), "/a", "0.10").value_micros_max is None


def test_a_rule_has_one_form() -> None:
    assert canonical(PassThroughRule(("POST", "GET"), "/a", "0.1", "/c", "3", "5.00")) == (
        PassThroughRule(("GET", "POST"), "/a", "0.10", "/c", "3.00", "5.00")
    )


@pytest.mark.parametrize(
    ("raw", "why"),
    [("/a//b", "two slashes"), ("/a/.", "dots or spaces"), ("/a;b", "semicolon"),
     ("/%ff", "not UTF-8"), ("/%2f", "encoded slash"), ("/%ef%bc%8e", "another form"),
     ("a", "begin with a slash"), ("/a" * 61, "at most 60 segments")],
)  # fmt: skip
def test_a_client_hears_why_its_path_is_refused(raw: str, why: str) -> None:
    with pytest.raises(BadPath, match=why):
        normalise_path(raw)


def test_pointer_names_a_member() -> None:
    assert all(map(is_pointer, ["/a", "/a/0/b", "/", "/a~1b~0", "/usage/total_cost"]))
    assert not any(map(is_pointer, ["", "a", "/a~2", "/a b", "/a\x00", "/" + "a" * 200]))


_PIECES = st.sampled_from(
    ["/", "//", ".", "..", "a", "files", "admin", "%2e", "%2E", "%252e", "%25", "2e", "2f", "%2f",
     "%5c", "\\", ";", "%3b", "%00", "\x00", "?", "%3f", "#", "%23", ":", "%3a", "@", "%20", " ",
     "é", "%c3%a9", "%c0%ae", "%ef%bc%8e", "%ef%bc%8f", "%e2%81%84", "*", "http://evil.example"]
)  # fmt: skip
_PATHS = st.lists(_PIECES, max_size=12).map("".join)
_PATTERNS = st.sampled_from(["/files", "/files/*", "/files/**", "/files/*/a", "/*/files", "/**"])


@given(_PATHS.map("/files/".__add__) | _PATHS.map("/".__add__) | _PATHS, _PATTERNS)
@example("/files/%2e%2e/admin", "/files/**")
@example("/files/%252e%252e/admin", "/files/**")
@example("/files/a%3Fb/a", "/files/*/a")
@example("/files/a;b/a", "/files/*/a")
def test_accepted_path_stays_below_its_pattern(raw: str, pattern: str) -> None:
    try:
        path = normalise_path(raw)
    except BadPath:
        return
    if not matches_path(pattern, path):
        return
    read = path
    for _ in range(5):
        # A server that drops parameters, folds backslashes and slashes, and resolves dots.
        plain = re.sub(r";[^/]*", "", read.replace("\\", "/").split("?")[0].split("#")[0])
        resolved = _remove_dots(re.sub("/+", "/", plain))
        assert _fits_decoded(pattern, resolved), resolved
        read = unquote(read)


def _remove_dots(path: str) -> str:
    output: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            output = output[:-1]
        elif segment != ".":
            output.append(segment)
    return "/" + "/".join(output)


def _fits_decoded(pattern: str, path: str) -> bool:
    """The pattern as a regular expression, which knows nothing of the rules' own comparison."""
    text = re.escape(pattern).replace(r"/\*\*", "/[^/]+(?:/[^/]+)*/?").replace(r"\*", "[^/]+")
    return re.fullmatch(text, path) is not None
