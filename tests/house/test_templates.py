"""Every template that code or another template names exists (W32)."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from django.template import TemplateDoesNotExist
from django.template.loader import get_template

from tests.house.parsed import nodes_of
from tests.house.test_forms import TAG, attributes, templates
from tests.house.test_style import ROOMS, ROOT

_ENDING: Final = re.compile(r"[\w/.*-]+\.(?:html|txt)")
_INCLUDED: Final = re.compile(r"\{%\s*(?:include|extends)\s+[\"']([^\"']+)[\"']")


def named_in_code() -> Iterator[tuple[str, str]]:
    """Where code names a template, and its name; in a text that is put together, * stands for what
    is put in."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            text = path.read_text()
            nodes = nodes_of(path) if ".html" in text or ".txt" in text else ()
            texts = [node for node in nodes if isinstance(node, ast.expr)]
            inner = {
                id(part)
                for node in texts
                if isinstance(node, ast.JoinedStr)
                for part in node.values
            }
            for node in texts:
                name = None if id(node) in inner else _text_of(node)
                if name and _ENDING.fullmatch(name):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", name


def _text_of(node: ast.expr) -> str | None:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text_of(part) or "*" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def named_in_templates() -> Iterator[tuple[str, str]]:
    for where, text in templates():
        yield from ((where, name) for name in _INCLUDED.findall(text))


def exists(name: str) -> bool:
    """Whether there is such a template: a name alone stands in some folder."""
    folder = ROOT / "templates"
    if "*" in name or "/" not in name:
        return any(folder.rglob(name))
    if (folder / name).exists():
        return True
    try:
        get_template(name)
    except TemplateDoesNotExist:
        return False
    return True


def test_every_template_that_code_names_exists() -> None:
    # An address, not a template.
    named = [(where, name) for where, name in named_in_code() if name != "llms.txt"]
    assert len(named) > 250
    assert [(where, name) for where, name in named if not exists(name)] == []


def test_every_template_that_a_template_names_exists() -> None:
    named = list(named_in_templates())
    assert len(named) > 500
    assert [(where, name) for where, name in named if not exists(name)] == []


# What is now comes first in each change that a page shows, so that more is shown as more.
_CHANGE: Final = re.compile(r"\{% delta(?:_of)? (\S+) (\S+)")
_NAMED_OTHERWISE: Final = {
    ("line.draft", "line.now"): "what a draft would charge, beside what was charged",
    ("saved.0", "saved.1"): "of now and of before (usage.overview.panel_views)",
}


def test_each_change_compares_now_with_before() -> None:
    changes = {change for _, text in templates() for change in _CHANGE.findall(text)}
    assert changes >= set(_NAMED_OTHERWISE)
    assert ("now", "before") in changes
    for now, before in changes - set(_NAMED_OTHERWISE):
        assert "before" in before.split("."), f"{now} {before}"
        # The same figure of both.
        assert now == before.replace("before", "now") or now.split(".")[-1] == before.split(".")[-1]
        assert "before" not in now.split("."), f"{now} {before}"


# Each of these changes something, so that the first of two is not broken off.
_SENT_ONE_AFTER_ANOTHER: Final = {
    "playground/compare/_import.html": "reads a file of chats",
    "playground/compare/compare.html": "asks one more model",
}


def test_a_later_input_replaces_the_answer_to_an_earlier_one() -> None:
    """By itself htmx keeps one request that waits, with the form as it was then, and drops later
    ones: what is shown would belong to a text that nobody sees."""
    follow = [
        (where, its)
        for where, text in templates()
        for _, tag in TAG.findall(text)
        if re.search(r"\b(input|change)\b", (its := attributes(tag)).get("hx-trigger", ""))
    ]
    assert len(follow) > 20
    unordered = [where for where, its in follow if not its.get("hx-sync", "").endswith(":replace")]
    assert sorted(unordered) == sorted(_SENT_ONE_AFTER_ANOTHER)


def test_each_element_that_asks_says_where_the_answer_goes() -> None:
    """Else htmx puts it into the element itself: a dialog into its link."""
    asking = [
        (where, its)
        for where, text in templates()
        for _, tag in TAG.findall(text)
        if (its := attributes(tag)).keys() & {"hx-get", "hx-post"}
    ]
    assert len(asking) > 150
    assert [where for where, its in asking if not its.keys() & {"hx-target", "hx-swap"}] == []
