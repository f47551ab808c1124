"""The type of an SQL statement, and its array parameters."""

from collections.abc import Iterable
from uuid import UUID

Parameter = str | int | UUID | None
Statement = tuple[str, dict[str, Parameter]]


def array(values: Iterable[object]) -> str:
    """Return an array literal of values whose text needs no quotes: numbers, plain words.

    The driver's own conversion of lists looks at every item several times, which is too slow for
    these statements.
    """
    return "{" + ",".join(map(str, values)) + "}"
