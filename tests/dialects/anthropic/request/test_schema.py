"""What Claude is told of a schema (platform.claude.com, "Structured outputs", 2026-11)."""

from typing import Any

import pytest
from anthropic import transform_schema
from hypothesis import given

from dialects.anthropic.request.schema import fit_schema
from tests.dialects.neutral import json_objects

TEXT = {"type": "string"}
CLOSED = {"type": "object", "properties": {"a": TEXT}, "additionalProperties": False}
HOME = {"type": "object", "properties": {"lat": {"type": "number"}}}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (CLOSED, CLOSED),
        ({"type": "object", "properties": {"a": TEXT}, "required": ["a"]},
         CLOSED | {"required": ["a"]}),
        ({"properties": {"a": {"type": "array", "items": {"properties": {"a": TEXT}}}}},
         {"type": "object", "additionalProperties": False,
          "properties": {"a": {"type": "array", "items": CLOSED}}}),
        ({"type": "object", "additionalProperties": False},
         {"type": "object", "properties": {}, "additionalProperties": False}),
        ({"$schema": "x", "title": "t", "description": "d", **CLOSED},
         {"title": "t", "description": "d", **CLOSED}),
        ({"type": "integer", "minimum": 1, "description": "d"},
         {"type": "integer", "description": "d\n\n{minimum: 1}"}),
        ({"type": "string", "format": "email", "maxLength": 3},
         {"type": "string", "format": "email", "description": "{maxLength: 3}"}),
        ({"type": "string", "format": "color"},
         {"type": "string", "description": '{format: "color"}'}),
        ({"items": TEXT, "minItems": 1}, {"type": "array", "items": TEXT, "minItems": 1}),
        ({"type": "array", "items": TEXT, "minItems": 2},
         {"type": "array", "items": TEXT, "description": "{minItems: 2}"}),
        ({"type": "string", "enum": ["a", None, 1]}, {"enum": ["a", None, 1]}),
        ({"const": "a"}, {"const": "a"}),
        ({"type": ["string", "null"], "maxLength": 3, "description": "d"},
         {"description": "d", "anyOf": [
             {"type": "string", "description": "{maxLength: 3}"}, {"type": "null"}]}),
        ({"oneOf": [TEXT, {"type": "null"}]}, {"anyOf": [TEXT, {"type": "null"}]}),
        ({"allOf": [{"$ref": "#/$defs/home"}], "$defs": {"home": HOME}},
         {"$ref": "#/$defs/home", "$defs": {"home": HOME | {"additionalProperties": False}}}),
        ({"properties": {"x": {"$ref": "#/definitions/a~1b"}, "y": {"$ref": "#/definitions/a~1b"}},
          "definitions": {"a/b": TEXT}},
         {"type": "object", "additionalProperties": False, "definitions": {"a/b": TEXT},
          "properties": {"x": {"$ref": "#/definitions/a~1b"},
                         "y": {"$ref": "#/definitions/a~1b"}}}),
    ],
)  # fmt: skip
def test_supported_schema_is_fitted(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert fit_schema(schema) == expected


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": "object", "additionalProperties": TEXT},
        {"type": "object", "properties": {"a": TEXT}, "additionalProperties": True},
        {"type": "object", "properties": {"a": TEXT}, "patternProperties": {}},
        {"type": "object", "properties": {"a": True}},
        {"type": "array"},
        {"type": "array", "items": TEXT, "prefixItems": [TEXT]},
        {"type": "file"},
        {"type": {}},
        {"enum": [{}]},
        {"enum": 3},
        {"const": []},
        {"anyOf": []},
        {"anyOf": 3},
        {"anyOf": [TEXT], "oneOf": [TEXT]},
        {"properties": {"a": TEXT}, "anyOf": [{"required": ["a"]}]},
        {"allOf": [CLOSED, CLOSED]},
        {"$ref": "#"},
        {"$ref": 3},
        {"$ref": "https://example.org/schema"},
        {"$ref": "#/$defs/nowhere/at/all"},
        {"$ref": "#/$defs/a",
         "$defs": {"a": {"properties": {"b": {"items": {"$ref": "#/$defs/a"}}}}}},
    ],
)  # fmt: skip
def test_unsupported_schema_is_not_fitted(schema: dict[str, Any]) -> None:
    assert fit_schema(schema) is None


@given(json_objects)
def test_no_schema_breaks_it(schema: dict[str, Any]) -> None:
    fit_schema(schema)


def test_official_client_agrees() -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "age": {"type": "integer"},
            "home": {"$ref": "#/$defs/home"},
            "kind": {"enum": ["a", "b"]},
            "ok": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
        },
        "required": ["name"],
        "$defs": {"home": HOME},
    }
    assert fit_schema(schema) == transform_schema(schema)
