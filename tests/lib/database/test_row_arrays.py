"""Structs as arrays of one statement."""

from typing import NewType
from uuid import UUID

import msgspec
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib.database.row_arrays import JoinedWords, Json, RowArrays, Words

_TeamId = NewType("_TeamId", UUID)
_ONE, _TWO = UUID(int=1), UUID(int=2)


class _Row(msgspec.Struct):
    team_id: _TeamId
    number: int
    ready: bool
    name: str
    words: Words = ()
    dropped: JoinedWords | None = None
    label: str = ""
    other_id: _TeamId | None = None
    meters: Json = "{}"
    numbers: tuple[int, ...] = ()


ROWS = RowArrays(_Row)


def test_the_columns_are_those_of_the_struct() -> None:
    assert ROWS.names == (
        "team_id, number, ready, name, words, dropped, label, other_id, meters, numbers"
    )
    assert ROWS.arrays == (
        "%(team_id)s::uuid[], %(number)s::bigint[], %(ready)s::boolean[], %(name)s::text[], "
        "%(words)s::text[], %(dropped)s::text[], %(label)s::text[], %(other_id)s::uuid[], "
        "%(meters)s::jsonb[], %(numbers)s::text[]"
    )
    assert ROWS.select(number="least(t.number, 5)") == (
        "t.team_id, least(t.number, 5), t.ready, t.name, string_to_array(t.words, ','), "
        "string_to_array(t.dropped, ','), coalesce(t.label, ''), t.other_id, t.meters, t.numbers"
    )


def test_each_value_is_in_the_array_of_its_own_column() -> None:
    rows = [
        _Row(_TeamId(_ONE), 0, True, 'a"', ("x", "y"), "p,q", "l", _TeamId(_TWO), "{}", (1, 2)),
        _Row(_TeamId(_TWO), 7, False, "b"),
    ]
    assert ROWS.parameters(rows) == {
        "team_id": f"{{{_ONE.hex},{_TWO.hex}}}",
        "number": "{0,7}",
        "ready": "{True,False}",
        "name": '{"a\\"","b"}',
        "words": '{"x,y",""}',
        "dropped": '{"p,q",null}',
        "label": '{"l",""}',
        "other_id": f"{{{_TWO.hex},null}}",
        "meters": '{"{}","{}"}',
        "numbers": '{"{1,2}","{}"}',
    }


def test_each_value_of_one_row_is_that_of_its_column() -> None:
    row = _Row(_TeamId(_ONE), 0, True, 'a"\0', ("x", "y"), "p,q", "l", _TeamId(_TWO), "{}", (1, 2))
    assert ROWS.values(row) == {
        "team_id": _ONE.hex, "number": 0, "ready": True, "name": 'a"', "words": "x,y",
        "dropped": "p,q", "label": "l", "other_id": _TWO.hex, "meters": "{}", "numbers": "{1,2}",
    }  # fmt: skip
    without = ROWS.values(_Row(_TeamId(_TWO), 7, False, ""))
    assert (without["dropped"], without["other_id"], without["words"]) == (None, None, "")
    assert RowArrays(_Row, only=["number", "name"]).one_row == (
        "(VALUES (%(number)s::bigint, %(name)s::text)) AS t (number, name)"
    )


def test_fields_no_row_has_are_not_sent() -> None:
    """What lacks at the end of an array comes out of `unnest` as null; 0 is not nothing."""
    parameters = ROWS.parameters([_Row(_TeamId(_ONE), 0, False, "")])
    assert [parameters[name] for name in ("dropped", "label", "other_id")] == ["{}"] * 3
    assert [parameters[name] for name in ("number", "ready", "name")] == ["{0}", "{False}", '{""}']


_NUMBERS = st.integers(-(2**63), 2**63 - 1)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)


@pytest.mark.django_db
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.builds(
            _Row,
            team_id=st.uuids(),
            number=_NUMBERS,
            ready=st.booleans(),
            name=_TEXTS,
            dropped=st.none() | _TEXTS,
            label=_TEXTS,
            other_id=st.none() | st.uuids(),
            meters=_TEXTS,
            numbers=st.lists(_NUMBERS, max_size=2).map(tuple),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_the_database_reads_what_the_rows_hold(rows: list[_Row]) -> None:
    """Whatever the texts hold, except NUL, which no column can store."""
    written = ROWS.parameters(rows)
    types = {"team_id": "uuid", "number": "bigint", "ready": "boolean", "other_id": "uuid"}
    arrays = ", ".join(f"%({name})s::{types.get(name, 'text')}[]" for name in written)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM unnest({arrays})", written)
        read = cursor.fetchall()
        # The texts of a column of the type jsonb are any here.
        one = f"SELECT * FROM {ROWS.one_row}".replace("jsonb", "text")
        alone = []
        for row in rows:
            cursor.execute(one, ROWS.values(row))
            alone.append(dict(zip(written, cursor.fetchone(), strict=True)))
    for row, values, values_alone in zip(rows, read, alone, strict=True):
        expected = {
            **msgspec.structs.asdict(row),
            "name": row.name.replace("\0", ""),
            "words": "",
            "dropped": None if row.dropped is None else row.dropped.replace("\0", ""),
            "label": row.label.replace("\0", ""),
            "meters": row.meters.replace("\0", ""),
            "numbers": "{" + ",".join(map(str, row.numbers)) + "}",
        }
        # A column in which no row has a value is not sent.
        kept = dict(zip(written, values, strict=True))
        kept["label"] = kept["label"] or ""
        assert kept == values_alone == expected


def test_some_columns_can_be_left_out() -> None:
    assert RowArrays(_Row, only=["number", "name"]).names == "number, name"
    assert "meters" not in RowArrays(_Row, without=["meters"]).names


@pytest.mark.parametrize("named", [{"only": ["nmae"]}, {"without": ["nmae"]}])
def test_an_unknown_column_is_refused(named: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match="nmae"):
        RowArrays(_Row, **named)
    with pytest.raises(ValueError, match="nmae"):
        ROWS.select(nmae="1")
