"""What a pass-through asks for, by its address alone, and where a redirect may lead its client."""

from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from dialects.errors.errors import RequestFault
from gateway.passthrough.rules import PassThroughRule
from relay.endpoints.passthrough.operation import PassThrough, _Unchanged, _Unit, read_target

RULES: Final = (
    PassThroughRule(("POST",), "/files"),
    PassThroughRule(("GET",), "/files/*"),
    PassThroughRule(("GET", "DELETE"), "/a/**"),
)


def channel(base_url: str = "https://api.example.com/v1", **over: Any) -> Any:
    known = {
        "name": "east", "base_url": base_url, "path_rules": RULES,
        "provider": SimpleNamespace(dialects={"openai": None}),
        "passed_headers": {"openai": frozenset({b"accept"})},
    }  # fmt: skip
    return SimpleNamespace(**known | over)


def target(
    raw: str, query: str = "", method: str = "GET", *, key: str | None = "wk-1", **over: Any
) -> PassThrough:
    known = {"east": channel(**over), "a b": channel(**over)}
    snapshot = SimpleNamespace(channel_named=known.get)
    scope = {
        "raw_path": raw.encode("latin-1"), "path": raw, "query_string": query.encode("latin-1"),
        "method": method, "headers": [(b"accept", b"*/*"), (b"user-agent", b"me")],
    }  # fmt: skip
    return read_target(cast(Any, snapshot), cast(Any, scope), key)


@pytest.mark.parametrize(
    ("raw", "query", "url"),
    [
        ("/passthrough/east/files/1", "", "https://api.example.com/v1/files/1"),
        ("/passthrough/east/files/%31", "a=b", "https://api.example.com/v1/files/1?a=b"),
        ("/passthrough/a%20b/files/1", "", "https://api.example.com/v1/files/1"),
    ],
)
def test_a_path_goes_below_the_base_url(raw: str, query: str, url: str) -> None:
    asked = target(raw, query)
    assert (asked.url, asked.method, asked.rule) == (url, "GET", RULES[1])
    assert asked.headers == {"accept": "*/*"}
    assert target(raw, base_url="https://api.example.com/v1/").url == url.partition("?")[0]


def test_who_asks_is_named_where_the_channel_passes_it_on() -> None:
    named = target(
        "/passthrough/east/files/1", passed_headers={"openai": frozenset({b"user-agent"})}
    )
    assert named.headers == {"accept": "*/*", "user-agent": "me"}


@pytest.mark.parametrize(
    ("raw", "query", "method", "kind"),
    [
        ("/passthrough/east", "", "GET", "route_not_found"),
        ("/other/east/files/1", "", "GET", "route_not_found"),
        ("east/files/1", "", "GET", "route_not_found"),
        ("/passthrough/west/files/1", "", "GET", "route_not_found"),
        ("/passthrough/%ff/files/1", "", "GET", "route_not_found"),
        ("/passthrough/east/other", "", "GET", "route_not_found"),
        ("/passthrough/east/files", "", "GET", "method_not_allowed"),
        ("/passthrough/east/files//1", "", "GET", "malformed_json"),
        ("/passthrough/east/files/1", "a=\xe9", "GET", "malformed_json"),
        ("/passthrough/east/files/1", "a=b c", "GET", "malformed_json"),
        # The caller's own key stands in logs of others if it is in the address.
        ("/passthrough/east/files/wk-1", "", "GET", "malformed_json"),
        ("/passthrough/east/files/1", "key=wk%2D1", "GET", "malformed_json"),
    ],
)
def test_what_is_not_on_the_list_is_not_sent(raw: str, query: str, method: str, kind: str) -> None:
    with pytest.raises(RequestFault) as fault:
        target(raw, query, method)
    assert fault.value.kind == kind


async def test_what_is_passed_on_is_waited_for_as_a_whole() -> None:
    """Its first byte may take as long as all of it: nobody knows whether it is a stream."""
    asked = target("/passthrough/east/files/1")
    prepared = await _Unchanged(asked).prepare(cast(Any, None))
    assert (prepared.url, prepared.stream, prepared.codec.name) == (asked.url, False, "openai")


def test_the_root_of_a_channel_ends_with_a_slash() -> None:
    root = (PassThroughRule(("GET",), "/"),)
    assert target("/passthrough/east/", path_rules=root).url == "https://api.example.com/v1/"
    with pytest.raises(RequestFault) as fault:
        target("/passthrough/east", path_rules=root)
    assert fault.value.kind == "route_not_found"


def test_the_largest_value_is_held_where_a_rule_has_one() -> None:
    plain = PassThroughRule(("GET",), "/a", "0.10")
    valued = PassThroughRule(("GET",), "/a", "0.10", "/cost", "0.01", "1.00")
    rates = cast(Any, {})
    assert _Unit(plain).bound(rates) == {}
    assert _Unit(valued).bound(rates) == {"answer_micros": 90_000_000}


def test_a_channel_without_rules_is_none() -> None:
    with pytest.raises(RequestFault) as fault:
        target("/passthrough/east/files/1", path_rules=())
    assert fault.value.kind == "route_not_found"
    assert target("/passthrough/east/files/wk-1", key=None).url.endswith("/files/wk-1")


@pytest.mark.parametrize(
    ("text", "here"),
    [
        ("/v1/files/2", "/passthrough/east/files/2"),
        ("2?a=b", "/passthrough/east/files/2?a=b"),
        ("https://api.example.com/v1/files/2", "/passthrough/east/files/2"),
        ("https://API.example.com:443/v1/files/2", "/passthrough/east/files/2"),
        ("/v1/a/b/c", "/passthrough/east/a/b/c"),
        # Not below the base URL, at another origin, or on no list.
        ("/v2/files/2", None),
        ("/v1", None),
        ("http://api.example.com/v1/files/2", None),
        ("https://api.example.com:444/v1/files/2", None),
        ("https://elsewhere.example.com/v1/files/2", None),
        ("//elsewhere.example.com/v1/files/2", None),
        ("https://me@api.example.com/v1/files/2", None),
        ("https://api.example.com:x/v1/files/2", None),
        ("/v1/other", None),
        ("/v1/files/%2e%2e", None),
        ("/v1/files/2?a=\xe9", None),
    ],
)
def test_a_redirect_leads_to_a_path_on_the_list_or_nowhere(text: str, here: str | None) -> None:
    assert target("/passthrough/east/files/1").location(text) == here


def test_a_redirect_may_lead_to_where_its_method_or_a_get_may_go() -> None:
    """A client follows it with GET, or repeats its own method."""
    asked = target("/passthrough/east/files", method="POST")
    assert asked.location("/v1/files/2") == "/passthrough/east/files/2"
    assert asked.location("/v1/files") == "/passthrough/east/files"
    assert target("/passthrough/east/files/1").location("/v1/files") is None
    plain = target("/passthrough/east/files/1", base_url="http://api.example.com/v1")
    assert plain.location("http://api.example.com:80/v1/files/2") == "/passthrough/east/files/2"
    assert plain.location("https://api.example.com:80/v1/files/2") is None
