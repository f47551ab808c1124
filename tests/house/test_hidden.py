"""What style sheets hide, and where: at which widths, for which readers.

A rule that hides too much takes away a button from everybody with a narrow screen, and no page
fails. So `hidden.txt` has each rule that hides something, with its conditions. Whoever adds one
says so there, and looks at what else it matches."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.house.test_style import ROOT
from tests.house.test_styles import rules

_HIDES: Final = re.compile(
    r"(?:^|;)\s*(?:display:none|visibility:hidden|content-visibility:hidden)"
)
_TOKEN: Final = re.compile(r"[^{};]*[{};]|[^{};]+$")


def hiding_rules(css: str) -> Iterator[str]:
    """The rules that hide something: their conditions and their selector."""
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    around: list[str] = []
    for token in _TOKEN.findall(css):
        text = " ".join(token[:-1].split())
        if token.endswith("{"):
            around.append(text)
        else:
            if _HIDES.match(text):
                yield " ".join(one for one in around if not one.startswith("@layer"))
            if token.endswith("}") and around:
                around.pop()


def test_every_rule_that_hides_something_is_listed() -> None:
    found = [
        f"{path.name} {rule}"
        for path in sorted((ROOT / "static" / "css").glob("*.css"))
        for rule in hiding_rules(path.read_text())
    ]
    assert found == Path(__file__).with_name("hidden.txt").read_text().splitlines()


@pytest.mark.parametrize(
    ("css", "rules"),
    [
        (".a{color:red;display:none}", [".a"]),
        (".a{display:flex}.b{display:none!important}", [".b"]),
        ("@layer x{@media(max-width:45rem){.a{margin:0}.a .b{display:none}}}.c{margin:0}",
         ["@media(max-width:45rem) .a .b"]),
        ("/* .a{display:none} */.b{visibility:hidden;margin:0}", [".b"]),
        (".a{.b{display:none}}", [".a .b"]),
    ],
)  # fmt: skip
def test_hiding_rules_are_recognised(css: str, rules: list[str]) -> None:
    assert list(hiding_rules(css)) == rules


# What a script says of the whole page, such as that the filters are open on a telephone: it says it
# at the root, so a style that looks for it elsewhere shows nothing, and no other test opens a page
# at that width.
_ROOT_SAYS: Final = re.compile(
    r"document\.documentElement\.(?:toggleAttribute\(\"data-(?P<name>[\w-]+)\"|"
    r"dataset\.(?P<member>\w+) =)"
)


def states_of_the_page() -> set[str]:
    return {
        found["name"] or re.sub("[A-Z]", lambda letter: f"-{letter[0].lower()}", found["member"])
        for path in (ROOT / "static" / "js").glob("*.js")
        for found in _ROOT_SAYS.finditer(path.read_text())
    }


def misplaced(selector: str, states: set[str]) -> list[str]:
    """What has a state of the page in a selector, if it is not the root: what the state is attached
    to, or inside of."""
    state = rf"\[data-(?:{'|'.join(sorted(states))})[~=\]]"
    bearers = re.findall(rf"([\w.#*:\])-]+)(?:\s*[>+~]\s*|\s*)(?={state})", selector)
    return [bearer for bearer in bearers if bearer not in {":root", "html"}]


def shown_again(css: str, name: str) -> list[str]:
    """The selectors that show what has a class or id with this name, which another rule hides."""
    showing = re.compile(rf"([^{{}};]*[.#]{name})\{{[^{{}}]*display:(?!none)[^{{}}]*\}}")
    return [" ".join(found[1].split()) for found in showing.finditer(css)]


def test_states_of_the_page_are_looked_for_at_the_root() -> None:
    states = states_of_the_page()
    assert states >= {"filters", "folded", "theme"}
    found, read = [], set()
    for path in sorted((ROOT / "static" / "css").glob("*.css")):
        for selector in (rule.selector for rule in rules(path.read_text())):
            found += [f"{path.name} {part}" for part in misplaced(selector, states)]
            read |= {state for state in states if re.search(rf"\[data-{state}[~=\]]", selector)}
    assert found == []
    assert read == states


def test_what_a_state_of_the_page_opens_is_shown_by_it() -> None:
    """Whoever presses the button sees what the button says that it controls."""
    states = "|".join(sorted(states_of_the_page()))
    opener = re.compile(rf'\sdata-({states})\s[^<>]*aria-controls="([\w-]+)"')
    buttons = {
        found
        for path in (ROOT / "templates").rglob("*.html")
        for found in opener.findall(path.read_text())
    }
    assert ("filters", "filters-more") in buttons
    css = "".join(path.read_text() for path in (ROOT / "static" / "css").glob("*.css"))
    for state, name in buttons:
        assert f":root[data-{state}] .{name}" in shown_again(css, name)


@pytest.mark.parametrize(
    ("selector", "parts"),
    [
        (":root[data-filters] .a", []),
        (":root:not([data-filters]) .a>.b", []),
        ("[data-filters] .a", []),
        (":is([data-filters] .a,[data-filters] .b) .c", []),
        (".bar[data-filters] .a", [".bar"]),
        (".bar [data-filters] .a", [".bar"]),
        (":root .a[data-filters~=x],.b", [".a"]),
        (".a[data-filters-more]", []),
    ],
)
def test_misplaced_states_are_recognised(selector: str, parts: list[str]) -> None:
    assert misplaced(selector, {"filters"}) == parts
