"""The words of codes, states and kinds: in one table, no two have the same, so that a reader
can distinguish them, and none was copied from the line above it."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from django.urls import get_resolver
from django.utils.functional import Promise

from tests.house.test_access import addresses
from tests.house.test_style import ROOMS

# What is called the same, and why.
SAME: Final[Mapping[str, str]] = {
    "Catalogue update": "its list and its prices are one thing to a reader",
    "Codex": "its two names in a header",
    "Content log": "its entries, and what was deleted of it",
    "File format": "that of pictures and that of speech",
    "Invalid request": "by its status alone, 400 and 422 are the same",
    "Model": "its rules, and its entry in the catalogue",
    "No count from the provider": "of a whole answer, and of one that was cut off",
    "Price plan": "the plan, and its holder",
    "Speed": "that of speech and that of music",
    "Style": "that of pictures and that of music",
    "Timed out": "by its status alone, 408 and 504 are the same",
    "Trial credit": "its amount, and its grant",
    "opencode": "its two names in a header",
    "1M": "both are per million",
}


def tables() -> Iterator[tuple[str, list[str]]]:
    """Each table of words of the rooms, with its texts."""
    assert len([*addresses(get_resolver())]) > 300  # whatever has words is imported
    for name, module in sorted(sys.modules.items()):
        # Which extensions are imported depends on the tests before this one.
        if name.partition(".")[0] not in {*ROOMS} - {"extensions"}:
            continue
        for constant, value in vars(module).items():
            texts = [*value.values()] if isinstance(value, Mapping) else []
            if any(isinstance(text, Promise) for text in texts):
                yield f"{name}.{constant}", [str(text) for text in texts]


def test_no_two_words_of_a_table_are_the_same() -> None:
    twice = {
        (name, text)
        for name, texts in tables()
        for text, count in Counter(texts).items()
        if count > 1
    }
    assert {(name, text) for name, text in twice if text not in SAME} == set()
    assert {text for _, text in twice} == SAME.keys()
