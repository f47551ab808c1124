"""No statement takes NULL for an answer: `x IN (SELECT y …)` is NULL, and neither true nor false,
where x is not among them and some y is NULL. A condition drops such a row; as a value it is None
where the code expects a bool, and under NOT nothing is left at all."""

import re
from collections.abc import Iterator
from typing import Final

from tests.house.test_style import ROOMS, ROOT

# Between two texts of Python that follow each other.
_JOINT: Final = re.compile(r'"\s*f?"')
_SUBQUERY: Final = re.compile(
    r"(\S+)\s+(?:\([^()]*\)|[\w.]+)\s+(NOT\s+)?IN\s*\(\s*(?:SELECT|WITH|VALUES)\b"
)
_BEFORE_A_CONDITION: Final = re.compile(r"\(?(?:WHERE|AND|OR|ON)")


def subqueries() -> Iterator[tuple[str, str, bool]]:
    """Where there is one, what stands before it, and whether it is negated."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if "migrations" in path.parts or " IN" not in (text := path.read_text()):
                continue
            for found in _SUBQUERY.finditer(_JOINT.sub("", text)):
                where = f"{path.relative_to(ROOT)}: {' '.join(found[0].split())}"
                yield where, found[1], bool(found[2])


def test_subquery_values_and_negations_use_exists() -> None:
    found = list(subqueries())
    assert len(found) > 5
    assert [
        where
        for where, before, negated in found
        if negated or not _BEFORE_A_CONDITION.fullmatch(before)
    ] == []
