"""Structs as arrays of one statement."""

from typing import NewType
from uuid import UUID

import msgspec
import pytest

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


def test_what_no_row_has_is_not_sent() -> None:
    """What lacks at the end of an array comes out of `unnest` as null; 0 is not nothing."""
    parameters = ROWS.parameters([_Row(_TeamId(_ONE), 0, False, "")])
    assert [parameters[name] for name in ("dropped", "label", "other_id")] == ["{}"] * 3
    assert [parameters[name] for name in ("number", "ready", "name")] == ["{0}", "{False}", '{""}']


def test_some_columns_can_be_left_out() -> None:
    assert RowArrays(_Row, only=["number", "name"]).names == "number, name"
    assert "meters" not in RowArrays(_Row, without=["meters"]).names


@pytest.mark.parametrize("named", [{"only": ["nmae"]}, {"without": ["nmae"]}])
def test_an_unknown_column_is_refused(named: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match="nmae"):
        RowArrays(_Row, **named)
    with pytest.raises(ValueError, match="nmae"):
        ROWS.select(nmae="1")
