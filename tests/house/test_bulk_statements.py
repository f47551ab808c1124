"""What deletes or changes several rows leaves the others alone.

A condition that is lost deletes what should stay, and no other test has a neighbour for each one.
So `bulk_statements.txt` has every such statement with its conditions, and of each with several what
it leaves: whoever changes one says there which rows it reaches from now on."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.house.bulk_statements import _statements_in, conditions_of, statements


def _rows() -> Mapping[str, str]:
    """Each statement, and what it leaves alone."""
    rows: dict[str, str] = {}
    last = ""
    for line in Path(__file__).with_name("bulk_statements.txt").read_text().splitlines():
        if line.startswith("    leaves "):
            rows[last] = line.removeprefix("    leaves ")
        else:
            rows[last := line] = ""
    return rows


ROWS: Final = _rows()


def test_every_statement_reaches_the_rows_that_its_row_names() -> None:
    assert list(dict.fromkeys(statements())) == list(ROWS)


def test_each_statement_with_several_conditions_says_what_it_leaves() -> None:
    assert [one for one, left in ROWS.items() if conditions_of(one) > 1 and not left] == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("Row.objects.filter(key=None, at__lt=now).delete()", 1),
        ("old = Row.objects.filter(a=1)\n    old.filter(Q(b=1) | Q(c=1)).update(d=1)", 1),
        ("Row.objects.filter(id=id).update(d=1)", 0),
        ("row.delete()", 0),
    ],
)
def test_statement_is_recognised(code: str, found: int) -> None:
    (function,) = ast.parse(f"def drop():\n    {code}").body
    assert isinstance(function, ast.FunctionDef)
    assert len(list(_statements_in(function))) == found
