from typing import Any

import pytest
from hypothesis import given

from dialects.gemini.request.schema import cut_schema, read_schema
from tests.dialects.neutral import json_objects


@pytest.mark.parametrize(
    ("schema", "cut"),
    [
        ({"$schema": "x", "$id": "y", "type": "object", "additionalProperties": False,
          "patternProperties": {}, "examples": [], "default": 1, "description": "d"},
         {"type": "object", "description": "d"}),
        ({"const": 3}, {"enum": [3]}),
        ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
        ({"type": ["string", "integer"]}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        ({"type": ["null"]}, {"nullable": True}),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]},
         {"anyOf": [{"type": "string"}], "nullable": True}),
        ({"anyOf": [{"const": 1}], "oneOf": [3]}, {"anyOf": [{"enum": [1]}, {}]}),
        ({"allOf": [{"default": 1}]}, {"allOf": [{}]}),
        ({"type": "string", "format": "email"}, {"type": "string"}),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
        ({"format": "int32"}, {"format": "int32"}),
        ({"properties": {"default": {"const": "a"}, "x": {"items": {"$id": "b"}}}},
         {"properties": {"default": {"enum": ["a"]}, "x": {"items": {}}}}),
        ({"properties": 3, "anyOf": 4, "items": 5}, {"properties": 3, "anyOf": 4, "items": {}}),
        ({"$defs": {"a/b": {"type": "string", "default": 1}},
          "properties": {"x": {"$ref": "#/$defs/a~1b", "description": "d"}}},
         {"properties": {"x": {"type": "string", "description": "d"}}}),
        ({"items": {"$ref": "#"}}, {"items": {"items": {"type": "object"}}}),
        ({"$ref": "#/nowhere/at/all"}, {"type": "object"}),
        ({"$ref": "https://x"}, {"type": "object"}),
    ],
)  # fmt: skip
def test_the_old_form(schema: dict[str, Any], cut: dict[str, Any]) -> None:
    assert cut_schema(schema) == cut


def test_recursive_references_are_expanded_a_bounded_number_of_times() -> None:
    definitions: dict[str, Any] = {"d30": {"type": "string"}}
    for i in range(30):
        reference = {"$ref": f"#/$defs/d{i + 1}"}
        definitions[f"d{i}"] = {"properties": {"a": reference, "b": reference}}
    assert cut_schema({"$defs": definitions, "$ref": "#/$defs/d0"})["properties"].keys() == {
        "a",
        "b",
    }


@pytest.mark.parametrize(
    ("old", "schema"),
    [
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "STRING", "nullable": False}, {"type": "string"}),
        ({"nullable": True}, {}),
        ({"type": "TYPE_UNSPECIFIED"}, {}),
        ({"type": "OBJECT", "properties": {"type": {"type": "INTEGER"}}, "required": ["type"],
          "propertyOrdering": ["type"]},
         {"type": "object", "properties": {"type": {"type": "integer"}}, "required": ["type"]}),
        ({"type": "ARRAY", "items": {"type": "NUMBER"}, "maxItems": "3", "minItems": 1},
         {"type": "array", "items": {"type": "number"}, "maxItems": 3, "minItems": 1}),
        ({"any_of": [{"type": "STRING"}, 3]}, {"anyOf": [{"type": "string"}, 3]}),
        ({"enum": ["A"], "format": "enum"}, {"enum": ["A"], "format": "enum"}),
        ({"type": 3, "properties": 4, "anyOf": 5, "maxItems": "x"},
         {"type": 3, "properties": 4, "anyOf": 5, "maxItems": "x"}),
    ],
)  # fmt: skip
def test_the_old_form_is_read(old: dict[str, Any], schema: dict[str, Any]) -> None:
    assert read_schema(old) == schema


@given(json_objects)
def test_no_schema_crashes(schema: dict[str, Any]) -> None:
    cut_schema(schema)
    read_schema(schema)
