"""A statement, and how its parameters are written."""

from collections.abc import Iterable
from uuid import UUID

Parameter = str | int | UUID
Statement = tuple[str, dict[str, Parameter]]


def array(values: Iterable[object]) -> str:
    """An array literal of values whose text needs no quoting: numbers, plain words.

    Written here because the driver's own writer of lists looks at every item several times, and
    these statements are the hot path.
    """
    return "{" + ",".join(map(str, values)) + "}"
