import pytest

from dialects.errors.errors import RequestFault
from dialects.json.body import read_body
from dialects.json.members import (
    check_model,
    edit_body,
    read_array,
    read_integers,
    read_model,
    read_user,
    small_members,
)
from tests.dialects.exchanges import refusal, wire


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "missing_parameter"),
        ("", "missing_parameter"),
        (3, "invalid_type"),
        ("a\0b", "model_not_found"),
        ("x" * 257, "model_not_found"),
    ],
)
def test_a_model_must_be_named(value: object, kind: str) -> None:
    members = small_members(read_body(wire(model=value)), ("model",))
    with pytest.raises(RequestFault) as caught:
        read_model(members)
    assert refusal(caught) == (kind, "model")


def test_a_model_may_have_a_default() -> None:
    members = small_members(read_body(b"{}"), ("model",))
    assert read_model(members, otherwise="m") == "m"
    with pytest.raises(RequestFault):
        read_model(small_members(read_body(b'{"model":""}'), ("model",)), otherwise="m")
    assert check_model("模型") == "模型"


def test_out_of_range_number_is_rejected_with_its_range() -> None:
    members = small_members(read_body(b'{"n":1e999,"m":"x"}'), ("n", "m"))
    with pytest.raises(RequestFault) as caught:
        read_integers(members, n=(1, 5), m=(1, 5))
    assert refusal(caught) == ("invalid_type", "m")
    with pytest.raises(RequestFault) as caught:
        read_integers(members, n=(1, 5))
    assert refusal(caught) == ("invalid_value", "n")
    assert read_integers(small_members(read_body(b"{}"), ("n",)), n=(1, 5)) == {"n": None}


@pytest.mark.parametrize(
    ("value", "user"), [(None, ""), (7, ""), ("a\0b", "ab"), ("x" * 300, "x" * 256)]
)
def test_user_must_fit_its_column(value: object, user: str) -> None:
    assert read_user(read_body(wire(user=value))) == user


def test_only_what_must_change_changes() -> None:
    raw = b'{ "input" : 1.0,"model":"a", "max_cost":1 }'
    assert edit_body(read_body(raw), "b") == b'{ "input" : 1.0,"model":"b" }'
    assert edit_body(read_body(raw), "a") == b'{ "input" : 1.0,"model":"a" }'
    assert edit_body(read_body(b'{"model":"\\u0061"}'), "a") == b'{"model":"\\u0061"}'
    assert edit_body(read_body(b'{"model":null}'), "a") == b'{"model":"a"}'
    assert edit_body(read_body(b"{}"), "a", {"n": b"1"}) == b'{"n":1,"model":"a"}'


@pytest.mark.parametrize(
    ("value", "kind"), [(None, "missing_parameter"), ("a", "invalid_type"), ({}, "invalid_type")]
)
def test_array_is_required(value: object, kind: str) -> None:
    with pytest.raises(RequestFault) as caught:
        read_array(read_body(wire(messages=value)), "messages")
    assert refusal(caught) == (kind, "messages")
    assert [bytes(item) for item in read_array(read_body(wire(a=[1, None])), "a")] == [
        b"1",
        b"null",
    ]


def test_any_body_model_is_replaced_by_the_paths() -> None:
    for named in (b"[1e999]", b"1e999", b"null", b'"other"'):
        body = read_body(b'{"model":' + named + b',"x":1}')
        assert edit_body(body, "m") == b'{"model":"m","x":1}'
