"""Schemas and answers: what is wrong is told by its path."""

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
        ({"items": {"pattern": "(a+)+b"}}, "/items/pattern"),
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
