from collections.abc import Callable
from typing import Any

import pytest

from dialects.errors.errors import RequestFault
from dialects.json.members import Members, read_members


def fault(read: Callable[[], object]) -> tuple[str, str | None]:
    with pytest.raises(RequestFault) as raised:
        read()
    return raised.value.kind, raised.value.param


FULL = Members(
    {"t": "a", "b": True, "n": 1.5, "i": 2.0, "o": {"x": 1}, "l": ["a"], "ol": [{}], "z": None},
    "p[0]",
)


def test_right_types() -> None:
    assert FULL.text("t") == "a"
    assert FULL.boolean("b") is True
    assert FULL.number("n", 0, 2) == 1.5
    assert FULL.integer("i", 0, 2) == 2
    assert FULL.word("t", ("b", "a")) == "a"
    assert FULL.json("o") == {"x": 1}
    assert FULL.texts("l") == ("a",)
    assert FULL.array("l") == ["a"]
    assert [item.path for item in FULL.objects("ol")] == ["p[0].ol[0]"]
    assert FULL.required("t", FULL.text("t")) == "a"
    assert FULL.rest(("t", "b", "n", "i", "o", "l")) == {"ol": [{}]}
    assert FULL.has("z", "t")
    assert not FULL.has("z", "y")


def test_absent_and_null_are_one() -> None:
    for name in ("z", "nothing"):
        reads: list[Any] = [
            FULL.text(name),
            FULL.boolean(name),
            FULL.number(name, 0, 1),
            FULL.integer(name, 0, 1),
            FULL.word(name, ("a",)),
            FULL.object(name),
            FULL.json(name),
            FULL.array(name),
        ]
        assert reads == [None] * len(reads)
        assert FULL.texts(name) == ()
        assert FULL.objects(name) == []


@pytest.mark.parametrize(
    ("read", "kind", "param"),
    [
        (lambda: FULL.text("b"), "invalid_type", "p[0].b"),
        (lambda: FULL.boolean("n"), "invalid_type", "p[0].n"),
        (lambda: FULL.number("b", 0, 1), "invalid_type", "p[0].b"),
        (lambda: FULL.number("t", 0, 1), "invalid_type", "p[0].t"),
        (lambda: FULL.number("n", 0, 1), "invalid_value", "p[0].n"),
        (lambda: FULL.integer("n", 0, 2), "invalid_type", "p[0].n"),
        (lambda: FULL.integer("b", 0, 2), "invalid_type", "p[0].b"),
        (lambda: FULL.integer("i", 3, 4), "invalid_value", "p[0].i"),
        (lambda: FULL.word("t", ("x", "y")), "invalid_value", "p[0].t"),
        (lambda: FULL.object("l"), "invalid_type", "p[0].l"),
        (lambda: FULL.array("o"), "invalid_type", "p[0].o"),
        (lambda: FULL.objects("l"), "invalid_type", "p[0].l[0]"),
        (lambda: FULL.texts("ol"), "invalid_type", "p[0].ol[0]"),
        (lambda: FULL.required("z", None), "missing_parameter", "p[0].z"),
    ],
)
def test_refusals(read: Callable[[], object], kind: str, param: str) -> None:
    assert fault(read) == (kind, param)


def test_a_refusal_quotes_the_value_but_no_key() -> None:
    with pytest.raises(RequestFault) as raised:
        Members({"temperature": "sk-abcdef0123456789"}).number("temperature", 0, 2)
    assert raised.value.what == 'temperature must be a number, not "sk-abc***6789"'


def test_numbers_out_of_every_range_are_malformed() -> None:
    assert read_members(b'{"a":1}').value == {"a": 1}
    assert fault(lambda: read_members(b'{"a":1e400}')) == ("malformed_json", None)
