"""No statement takes NULL for an answer: `x IN (SELECT y …)` is NULL, and neither true nor false,
where x is not among them and some y is NULL. A condition drops such a row; as a value it is None
where the code expects a bool, and under NOT nothing is left at all.

And none changes more rows than its LIMIT: Postgres may run `x IN (SELECT … LIMIT 1)` once for each
row it looks at, and with SKIP LOCKED or beside other changes each run finds another row."""

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


_LIST: Final = re.compile(r"\bIN\s*\((?=\s*SELECT\b)")


def limited_lists(text: str) -> Iterator[str]:
    """The lists of IN that have a LIMIT of their own."""
    for found in _LIST.finditer(text):
        inside = []
        depth = 1
        for part in re.split(r"([()])", text[found.end() :]):
            depth += (part == "(") - (part == ")")
            if depth == 0:
                break
            if depth == 1:
                inside.append(part)
        if re.search(r"\bLIMIT\b", " ".join(inside)):
            yield " ".join("".join(inside).split())


def test_limit_holds_once_for_a_statement() -> None:
    """`= ANY (ARRAY(SELECT … LIMIT 1))` is run once, before the rows are looked at."""
    assert list(limited_lists("x IN (SELECT y FROM (SELECT 1 LIMIT 2)) LIMIT 1")) == []
    assert len(list(limited_lists("x IN (SELECT y FROM f(1) LIMIT 1 FOR UPDATE)"))) == 1
    assert [
        f"{path.relative_to(ROOT)}: {one}"
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*.py"))
        if "migrations" not in path.parts
        for one in limited_lists(_JOINT.sub("", path.read_text()))
    ] == []
