import pytest

from dialects.errors.errors import RequestFault
from dialects.gemini.names import camel, read_objects, spelling
from dialects.json.body import read_body
from dialects.json.members import Members


def test_names_of_one_object() -> None:
    members = Members({"a_b": {"c_d": 1}, "eF": 2}, "p")
    assert camel(members).value == {"aB": {"c_d": 1}, "eF": 2}
    assert camel(members).path == "p"
    plain = Members({"aB": 1})
    assert camel(plain) is plain
    with pytest.raises(RequestFault) as caught:
        camel(Members({"a_b": 1, "aB": 2}, "p"))
    assert "p.aB appears twice" in caught.value.message


def test_spelling() -> None:
    assert spelling(read_body(b'{"a_b":1}'), "aB") == "a_b"
    assert spelling(read_body(b'{"aB":1}'), "aB") == "aB"
    assert spelling(read_body(b'{"ab":1}'), "ab") == "ab"
    assert spelling(read_body(b"{}"), "aB") == "aB"
    with pytest.raises(RequestFault):
        spelling(read_body(b'{"aB":1,"a_b":1}'), "aB")


def test_one_object_in_the_place_of_an_array() -> None:
    members = Members({"a": {"b_c": 1}, "d": [{"e_f": 1}, {}], "g": 3}, "p")
    assert [member.value for member in read_objects(members, "a")] == [{"bC": 1}]
    assert [member.path for member in read_objects(members, "d")] == ["p.d[0]", "p.d[1]"]
    assert read_objects(members, "x") == []
    with pytest.raises(RequestFault):
        read_objects(members, "g")
