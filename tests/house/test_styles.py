"""What style sheets must not do: because a browser works long on it, or because a touch screen then
lacks a control."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.code_examples.snippets import LANGUAGES

SHEETS = sorted((Path(__file__).parents[2] / "static/css").glob("*.css"))
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


class Rule(NamedTuple):
    """`selector` begins with those it is nested in. `conditions` are those around it, such as
    `@media(hover:none)`; `sets` are its declarations."""

    selector: str
    conditions: tuple[str, ...]
    sets: dict[str, str]

    def selectors(self) -> list[str]:
        """Return it once for each of its alternatives."""
        return [one.strip() for one in re.split(r",(?![^()]*\))", self.selector)]


def rules(css: str) -> list[Rule]:
    """Return them in the order of the sheet."""
    result: list[Rule] = []
    opened = [Rule("", (), {})]
    for part in re.findall(r"[^{};]*[{};]", _COMMENT.sub("", css)):
        text, outer = part[:-1].strip(), opened[-1]
        if part.endswith("{"):
            if text.startswith("@"):
                conditions, selector = (*outer.conditions, text.replace(" ", "")), outer.selector
            else:
                nested = text if "&" in text or not outer.selector else f"& {text}"
                conditions, selector = outer.conditions, nested.replace("&", outer.selector)
            rule = Rule(selector, conditions, {})
            if selector:
                result.append(rule)
            opened.append(rule)
            continue
        name, colon, value = text.partition(":")
        if colon:
            outer.sets[name.strip()] = value.strip()
        if part.endswith("}"):
            opened.pop()
    return result


def costly(rule: Rule) -> bool:
    """Whether it means any element inside one that `:has` describes. A browser cannot tell which
    those are, so that each change of a box that any `:has` asks about restyles the whole page."""
    return any(":has(" in selector and selector.endswith("*") for selector in rule.selectors())


def test_no_css_rule_matches_everything_inside_a_has() -> None:
    found = [rule for sheet in SHEETS for rule in rules(sheet.read_text()) if costly(rule)]
    assert found == []


def test_each_language_of_examples_has_a_tab_that_shows_it() -> None:
    """Without a script: the checked button decides which example is in sight."""
    shown = [
        selector
        for sheet in SHEETS
        for rule in rules(sheet.read_text())
        if rule.sets.get("display") == "block"
        for selector in rule.selectors()
    ]
    assert [
        language
        for language in LANGUAGES
        if f".code-tabs:has([value={language}]:checked)>[data-language={language}]" not in shown
    ] == []


def test_costly_css_rule_is_found() -> None:
    sheet = ".row:has(:checked)>*{color:red}.field:not(:has(>.check)){gap:0;&>*{color:red}}"
    assert [costly(rule) for rule in rules(sheet)] == [True, False, True]
    assert not costly(Rule("#given:not(:has(*))", (), {}))


# By which declarations an element is out of sight, though its place may stay.
_HIDDEN = {"opacity": "0", "visibility": "hidden", "display": "none"}
_NO_HOVER = "@media(hover:none)"


def lacking_on_touch(all_rules: Iterable[Rule]) -> list[str]:
    """Return the selectors that hide what a rule with `:hover` shows, and that no later rule of
    `@media(hover:none)` shows: on a touch screen no finger reaches it."""
    on_hover: set[tuple[str, str]] = set()
    hiding: dict[tuple[str, str], bool] = {}
    for rule in all_rules:
        for selector in rule.selectors():
            for name in _HIDDEN.keys() & rule.sets.keys():
                hides = rule.sets[name] == _HIDDEN[name]
                if ":hover" in selector.replace(":not(:hover)", ""):
                    on_hover |= set() if hides else {(_subject(selector), name)}
                elif hides and "@media(hover:hover)" not in rule.conditions:
                    hiding[selector, name] = ":hover" in selector
                elif _NO_HOVER in rule.conditions:
                    hiding.pop((selector, name), None)
    return [
        selector
        for (selector, name), unless_hovered in hiding.items()
        if unless_hovered or (_subject(selector), name) in on_hover
    ]


def _subject(selector: str) -> str:
    """The elements that it styles, wherever they are and in whatever state."""
    last = re.split(r"[\s>+~]+(?![^()]*\))", selector)[-1]
    return re.sub(r":[\w-]+(\([^()]*(\([^()]*\))?[^()]*\))?", "", last)


def test_what_is_shown_on_hover_is_shown_where_nothing_hovers() -> None:
    every_rule = [rule for sheet in SHEETS for rule in rules(sheet.read_text())]
    assert lacking_on_touch(every_rule) == []


@pytest.mark.parametrize(
    ("sheet", "lacking"),
    [
        (".more{opacity:0}.row:hover .more{opacity:1}", [".more"]),
        (
            ".more{opacity:0}.row:hover .more{opacity:1}"
            "@media(hover:none){.row:hover .more{opacity:1}}",
            [".more"],
        ),
        (
            "@media (hover: none){.more{opacity:1}}.more{opacity:0}.row:hover .more{opacity:1}",
            [".more"],
        ),
        (
            ".more{opacity:0}.row:is(:hover,.on)>.more{opacity:1}"
            "@media (hover: none){.more{opacity:1}}",
            [],
        ),
        (".a,.b{display:none}.row{&:hover .b{display:block}}", [".b"]),
        (".more{visibility:hidden;&:hover{visibility:visible}}", [".more"]),
        (
            ".more{opacity:0;@media(hover:none){opacity:1}}.row:hover .more{opacity:1}",
            [],
        ),
        (".row:not(:hover) .more{opacity:0}", [".row:not(:hover) .more"]),
        (".row:hover .count{opacity:0}", []),
        ("@media(hover:hover){.row:not(:hover) .more{opacity:0}}", []),
        (".more{opacity:.5}.row:hover .more{opacity:1}", []),
        (".more{opacity:0}.row:focus-within .more{opacity:1}", []),
    ],
)
def test_control_that_touch_lacks_is_found(sheet: str, lacking: list[str]) -> None:
    assert lacking_on_touch(rules(sheet)) == lacking
