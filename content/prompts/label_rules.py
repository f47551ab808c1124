"""Labels of a prompt, such as production: each is on one version. A label remembers the versions
that it was on, so that it can be rolled back.

    {"production": [3, 1], "staging": [4]}    the version of each label, then those before it
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

PRODUCTION: Final = "production"
"""The version of this label is used by callers who do not name one."""
LABELS_MAX: Final = 20
EARLIER_MAX: Final = 20
"""How many earlier versions a label remembers."""

LABEL_LENGTH: Final = 40

_LABEL: Final = re.compile(rf"[a-z][a-z0-9_-]{{0,{LABEL_LENGTH - 1}}}")

Labels = Mapping[str, Sequence[int]]


def is_label(text: str) -> bool:
    """Return whether a label may be called so. No label looks like a version's number."""
    return _LABEL.fullmatch(text) is not None


def current_versions(labels: Labels) -> dict[str, int]:
    """Return the version that each label is on, by label."""
    return {label: versions[0] for label, versions in sorted(labels.items())}


def labels_of_version(labels: Labels, number: int) -> list[str]:
    """Return the labels that are on a version, by name."""
    return [label for label, version in current_versions(labels).items() if version == number]


def earlier_version(labels: Labels, label: str) -> int | None:
    """Return the version that a label was on before; None without one."""
    return next(iter(labels.get(label, ())[1:]), None)


def moved(labels: Labels, label: str, version: int) -> dict[str, list[int]]:
    """Return the labels after this one was put on a version."""
    earlier = labels.get(label, ())
    if earlier and earlier[0] == version:
        return _copy(labels)
    return {**_copy(labels), label: [version, *earlier[:EARLIER_MAX]]}


def rolled_back(labels: Labels, label: str) -> dict[str, list[int]] | None:
    """Return the labels after this one went back to the version before; None if it was on no
    other."""
    versions = labels.get(label, ())
    return None if len(versions) < 2 else {**_copy(labels), label: list(versions[1:])}


def _copy(labels: Labels) -> dict[str, list[int]]:
    return {label: list(versions) for label, versions in labels.items()}
