"""No statement takes the day or month of an instant without saying in which zone: it would be that
of the database's session."""

import ast
import re
from collections.abc import Iterator
from typing import Final

import pytest

from tests.house.test_style import ROOMS, ROOT

_TRUNCATED: Final = re.compile(r"date_trunc\(", re.I)
_DATED: Final = re.compile(r"::date\b", re.I)
# Of what the zone is said elsewhere in the statement, and where.
_LOCAL: Final = {
    "gateway/health/sql.py at": "made of `now() AT TIME ZONE` in the same statement",
}


def _inside(text: str, at: int, step: int) -> str | None:
    """What is between the parenthesis at that place and its other one, None if that is not there:
    the text is a piece of a longer one."""
    depth, place = 0, at
    while 0 <= place < len(text):
        depth += (text[place] == "(") - (text[place] == ")")
        if not depth:
            return text[min(at, place) + 1 : max(at, place)]
        place += step
    return None


def dated(text: str) -> Iterator[str]:
    """Of what a statement takes the day or month."""
    for match in _TRUNCATED.finditer(text):
        inside = _inside(text, match.end() - 1, 1)
        if inside is not None:
            yield inside.partition(",")[2].strip()
    for match in _DATED.finditer(text):
        before = text[: match.start()]
        if not before.endswith(")"):
            yield re.split(r"[\s(,]", before)[-1]
        elif (inside := _inside(before, len(before) - 1, -1)) is not None:
            yield inside.strip()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("date_trunc('month', r.at AT TIME ZONE 'UTC')::date", ["r.at AT TIME ZONE 'UTC'"] * 2),
        ("(r.at AT TIME ZONE %(zone)s)::date", ["r.at AT TIME ZONE %(zone)s"]),
        ("SELECT r.at::date, f(b::date)", ["r.at", "b"]),
        ("')::date", []),
    ],
)
def test_days_and_months_are_recognised(text: str, parts: list[str]) -> None:
    assert [one.partition("'month', ")[2] or one for one in dated(text)] == parts


def test_every_day_and_month_of_a_statement_names_its_zone() -> None:
    unzoned = set[str]()
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            code = path.read_text()
            if "migrations" in path.parts or not (_TRUNCATED.search(code) or _DATED.search(code)):
                continue
            for node in ast.walk(ast.parse(code)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    unzoned |= {
                        f"{path.relative_to(ROOT)} {part}"
                        for part in dated(node.value)
                        if "ZONE" not in part and "'UTC'" not in part
                    }
    assert unzoned == _LOCAL.keys()
