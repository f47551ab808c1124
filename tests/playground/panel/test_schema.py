"""Schemas and answers: what is wrong is told by its path, and no schema stops a process."""

import time
from typing import Any

import pytest

from playground.panel.json_schema import check_answer, check_schema, schema_like

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name"],
}


def test_answer_is_checked_by_path() -> None:
    assert check_answer({"name": "Ada"}, PERSON) == []
    faults = check_answer({"tags": ["a", 1]}, PERSON)
    assert {fault.path for fault in faults} == {"/", "/tags/1"}


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "objet"}, "/type"),
        ({"properties": {"a/b": {"$ref": "https://evil.example/x"}}}, "/properties/a~1b/$ref"),
        ({"items": {"pattern": "(a+"}}, "/items/pattern"),
        ({"items": {"pattern": "a" * 201}}, "/items/pattern"),
        ({"patternProperties": {"*": {}}}, "/patternProperties"),
        (
            {"properties": {"a": {"$ref": "#/$defs/Adress"}}, "$defs": {"Address": {}}},
            "/properties/a/$ref",
        ),
        ({"$ref": "#/title/a", "title": "x"}, "/$ref"),
        ({"$ref": "#/title", "title": "x"}, "/$ref"),
        ({"allOf": [{"$dynamicRef": "#zz"}]}, "/allOf/0/$dynamicRef"),
    ],
)
def test_invalid_or_remote_schema_is_rejected(schema: object, path: str) -> None:
    assert check_schema(schema, strict=False)[0].path == path


def test_strict_mode_names_each_place() -> None:
    schema = {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}]}},
              "required": []}  # fmt: skip
    paths = [fault.path for fault in check_schema(schema, strict=True)]
    assert paths == ["/additionalProperties", "/required", "/properties/a/allOf"]
    assert check_schema(schema, strict=False) == []


def test_a_schema_like_an_example() -> None:
    example = {
        "name": "x",
        "n": 1,
        "rate": 0.5,
        "ok": True,
        "none": None,
        "rows": [{"a": 1}],
        "e": [],
    }
    schema = schema_like(example)
    assert check_answer(example, schema) == []
    assert check_schema(schema, strict=False) == []
    assert schema["required"] == list(example)
    assert schema["properties"]["rows"]["items"]["properties"]["a"] == {"type": "integer"}


def test_references_within_a_schema_are_accepted() -> None:
    schemas: list[Any] = [
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}},
        {"$ref": "#a", "$defs": {"a": {"$anchor": "a", "type": "object"}}},
        {"type": "object", "properties": {"child": {"$ref": "#"}}},
        {"$id": "https://x.example/s", "$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$id": "https://x.example/a", "$ref": "#/$defs/b",
                                              "$defs": {"b": {"type": "object"}}}}},
    ]  # fmt: skip
    for schema in schemas:
        assert check_schema(schema, strict=False) == []
        assert check_answer({}, schema) == []
        assert [fault.path for fault in check_answer(1, schema)] == ["/"]


DRAFT = "https://json-schema.org/draft/2020-12/schema"
SLUG = {"type": "string", "pattern": "^([a-z]+-?)*$"}
DOUBLING = {
    "$ref": "#/$defs/0",
    "$defs": {str(n): {"allOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(40)}
    | {"40": {"type": "string"}},
}
ANCHORS: Any = {"$defs": {f"a{n}": {"$anchor": f"a{n}"} for n in range(2_000)},
                "items": {"$ref": "#a1999"}}  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "answer", "found"),
    [
        ({"properties": {"a": SLUG}}, {"a": "a" * 100_000 + "!"}, "/a"),
        ({"properties": {"a": {"pattern": "^(a|a)*$"}}}, {"a": "a" * 40 + "!"}, "/a"),
        ({"$schema": DRAFT, "properties": {"a": {"$schema": DRAFT} | SLUG}},
         {"a": "a" * 40 + "!"}, "/a"),
        ({"patternProperties": {"^(a|a)*$": {}}, "additionalProperties": False},
         {"a" * 40 + "!": 1}, "/"),
        ({"patternProperties": {"^(a|a)*$": {}}, "unevaluatedProperties": False},
         {"a" * 40 + "!": 1}, None),
        ({"pattern": "((a|b)*a(a|b){500})" * 8}, "ab" * 200_000, "/"),
        (DOUBLING, "x", "/"),
        (DOUBLING, {"x": "y" * 300_000}, "/"),
        (ANCHORS, list(range(2_000)), None),
        ({"uniqueItems": True}, [{"a": n} for n in range(10_000)], None),
        ({"patternProperties": {f"a{n}": {} for n in range(2_000)}},
         {f"b{n}": n for n in range(20_000)}, "/"),
    ],
    ids=range(11),
)  # fmt: skip
def test_no_schema_takes_a_check_of_an_answer_long(
    schema: Any, answer: Any, found: str | None
) -> None:
    """The library alone would take from a minute to years."""
    assert check_schema(schema, strict=False) == []
    began = time.process_time()
    faults = check_answer(answer, schema)
    assert time.process_time() - began < 20
    assert [fault.path for fault in faults] == ([] if found is None else [found])


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        ({"$ref": "#/$defs/Adress"}, {}),
        ({"$dynamicRef": "#zz"}, {}),
        ({"$ref": "https://evil.example/x"}, {}),
        ({"$ref": "#"}, {}),
        ({"$ref": "#/title", "title": "x"}, {}),
        ({"$ref": "#/examples/0", "examples": [{"type": "objet"}]}, {}),
        ({"type": "integer", "multipleOf": 0.5}, 10**400),
    ],
)
def test_a_schema_that_cannot_be_applied_is_a_fault_of_the_answer(schema: Any, answer: Any) -> None:
    (fault,) = check_answer(answer, schema)
    assert fault.path == "/"
    assert fault.reason.startswith("the schema cannot be applied: ")


def test_patterns_are_checked_unless_they_look_around() -> None:
    schema: Any = {"patternProperties": {"^x-": {"type": "integer"}},
                   "properties": {"a": {"pattern": "^[A-Z]+$"}, "b": {"pattern": "^(?=.*[A-Z])"}},
                   "additionalProperties": False}  # fmt: skip
    assert check_schema(schema, strict=False) == []
    assert check_answer({"a": "A", "b": "b", "x-y": 1}, schema) == []
    faults = check_answer({"a": "A1", "b": "b", "x-y": "1", "c": 1}, schema)
    assert [fault.path for fault in faults] == ["/", "/a", "/x-y"]
    look: Any = {"patternProperties": {"^(?!_)": False}, "additionalProperties": False}
    assert check_answer({"a": 1}, look) == []
    chinese: Any = {"pattern": r"^[\u4e00-\u9fa5]+$"}
    assert check_schema(chinese, strict=False) == check_answer("中文", chinese) == []
    assert [fault.path for fault in check_answer("abc", chinese)] == ["/"]


def test_address_of_a_schema_that_is_none_is_a_fault() -> None:
    """It was a 500."""
    (fault,) = check_schema({"$id": "http://[", "type": "object"}, strict=False)
    assert fault.path == "/$id"


def test_items_are_unique_as_json_values() -> None:
    schema = {"uniqueItems": True}
    assert check_answer([1, True, 0, False, "1", [], {}, [1], [True], None], schema) == []
    for double in ([1, 1.0], [[1], [1.0]], [{"a": 1, "b": 2}, {"b": 2, "a": 1}]):
        assert [fault.path for fault in check_answer(double, schema)] == ["/"]
