"""Every operation and guide of the reference in a few words: example, answer, fields, notes.

The overview, the errors, the headers and the questions are in `tests/house/outlines`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from reference.answers.schemas import SCHEMAS
from reference.operations.all_pages import PAGES
from reference.operations.page import Field
from reference.views import GUIDES
from tests.support.golden_texts import GoldenTexts

TEXTS = GoldenTexts(Path(__file__).with_name("pages.txt"))
LETTERS = 40
"""How much of a sentence is compared: enough to notice another one in its place."""


def begin(text: object) -> str:
    return str(text)[:LETTERS].rstrip()


def rows(title: str, fields: Iterable[Field]) -> Iterator[str]:
    for field in fields:
        needed = " required" if field.required else ""
        limits = f" [{field.limits}]" if field.limits else ""
        yield f"{title} {field.name}: {field.type}{limits}{needed} · {begin(field.meaning)}"


def page(slug: str) -> Iterator[str]:
    one = PAGES[slug]
    yield f"{one.title} · {begin(one.summary)}"
    yield f"{', '.join(one.operations)} · {one.path} {one.argument}"
    if one.example is not None:
        yield f"example {json.dumps(one.example, ensure_ascii=False)}"
        yield f"model in {one.model_field}"
    yield from (f"file {name}: {file}" for name, file in one.files.items())
    yield from rows("field", one.fields)
    yield from rows("member", one.members)
    yield from rows("member", SCHEMAS.get(slug, ()))
    yield from one.answer.splitlines()
    yield from (f"note {begin(note)}" for note in one.notes)


def guide(slug: str) -> Iterator[str]:
    one = GUIDES[slug]
    yield f"{one.title} · {begin(one.summary)}"
    for section in one.sections:
        yield f"# {section.anchor}: {section.title}"
        yield from map(begin, section.paragraphs)
        yield from section.code.splitlines()
        yield from rows("row", section.fields)


@pytest.mark.parametrize("group", ["guide", "page"])
def test_pages_of_the_reference_are_unchanged(group: str) -> None:
    """What was copied from the row above, left out or given to another page is found here."""
    found: Mapping[str, Iterable[str]] = {
        "guide": {f"guide, {slug}": guide(slug) for slug in GUIDES},
        "page": {f"page, {slug}": page(slug) for slug in PAGES},
    }[group]
    TEXTS.check(group, {title: "\n".join(lines) for title, lines in found.items()})
