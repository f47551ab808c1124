"""Rules for labels: the tag of a key, and the tag, project or customer of a request and of a
budget."""

import csv
from collections.abc import Iterable
from typing import Final

LABEL_LENGTH: Final = 100
LABELS: Final = ("project", "customer", "tags")
"""The kinds of label that a request can have."""


def is_label(text: str) -> bool:
    """Return whether people can read the text and type it again: no invisible characters (controls,
    joiners, direction marks), and spaces only between other characters."""
    return 0 < len(text) <= LABEL_LENGTH and text.isprintable() and text == text.strip()


def split_labels(text: str) -> list[str]:
    """Split a form field into labels. Commas separate them; a label that contains a comma or a
    quotation mark is quoted, as in CSV."""
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    words = (word.strip() for row in rows for word in row)
    return [word for word in dict.fromkeys(words) if word]


def join_labels(labels: Iterable[str]) -> str:
    """Return the labels as a text that `split_labels` reads."""
    return ", ".join(
        '"' + label.replace('"', '""') + '"' if "," in label or '"' in label else label
        for label in labels
    )
