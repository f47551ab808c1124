"""The list of pages is read beside a change of it: what a page needs, where it is found, and in
which order all are offered."""

from collections.abc import Iterator
from pathlib import Path

from django.utils.translation import override

from config.shell.pages import (
    APART,
    CATALOGUE,
    HOME,
    INSTALLATION,
    NO_ORGANISATION,
    ORGANISATION,
    OVERVIEW,
    NavigationPage,
)
from config.shell.palette_actions import ACTIONS

LISTED = Path(__file__).with_name("pages.txt")
FLAGS = ("beyond_own", "counted")


def line_of(page: NavigationPage) -> str:
    """One page in one line: `address: Name | permissions | flags | beside | help | words`."""
    needs = " and ".join(one for one in (page.action, page.also) if one) or "everybody"
    flags = [name for name in FLAGS if getattr(page, name)]
    flags += [] if page.own else ["common"]
    parts = (needs, ", ".join(flags), " ".join(page.beside), page.help, str(page.words))
    return f"{page.address}: {page.name} | " + " | ".join(part or "-" for part in parts)


def lines() -> Iterator[str]:
    sides = {
        "organisation": ORGANISATION, "installation": INSTALLATION,
        "without an organisation": NO_ORGANISATION, "apart": (("", APART),),
    }  # fmt: skip
    for side, sections in sides.items():
        yield f"# {side}"
        for heading, entries in sections:
            if heading:
                yield f"## {heading}"
            for entry in entries:
                yield f"{entry.name} ({entry.icon}{f', G {entry.go}' if entry.go else ''})"
                yield from (f"  {line_of(page)}" for page in entry.pages)
    yield "# first of a side"
    yield from (f"  {page.address}" for page in (HOME, CATALOGUE, OVERVIEW))
    yield "# actions"
    for action in ACTIONS:
        yield f"  {action.address}{action.query}: {action.name} | {action.words}"


def test_pages_are_those_of_the_list_in_its_order() -> None:
    with override("en"):
        assert list(lines()) == LISTED.read_text("utf-8").splitlines()
