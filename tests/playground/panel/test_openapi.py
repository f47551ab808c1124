"""Tools from an OpenAPI description: each operation once, with its schema in place."""

import json
from typing import Any

import pytest

from playground.panel.openapi_tools import BYTES_MAX, Unusable, read_openapi
from playground.panel.settings import read_tools

PETS: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Pets", "version": "1"},
    "paths": {
        "/pets/{id}": {
            "parameters": [{"$ref": "#/components/parameters/Id"}],
            "get": {"operationId": "showPet", "summary": "Show a pet.", "description": "By id."},
            "put": {
                "summary": "Change a pet",
                "parameters": [
                    {"name": "dry", "in": "query", "schema": {"type": "boolean"}},
                    {"name": "Authorization", "in": "header", "schema": {"type": "string"}},
                    {"name": "id", "in": "query", "schema": {"type": "integer"}},
                ],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {
                        "schema": {"$ref": "#/components/schemas/Pet"}}},
                },
            },
        }
    },
    "components": {
        "parameters": {
            "Id": {"name": "id", "in": "path", "required": True, "description": "Whose",
                   "schema": {"type": "string", "example": "p1"}},
        },
        "schemas": {
            "Pet": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "nullable": True, "x-note": 1},
                    "age": {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
                    "friends": {"type": "array", "items": {"$ref": "#/components/schemas/Pet"}},
                    "example": {"type": "string"},
                },
            }
        },
    },
}  # fmt: skip


def test_each_operation_is_a_tool_with_its_references_in_place() -> None:
    show, change = read_openapi(json.dumps(PETS).encode())
    assert (show.method, show.path, show.fault) == ("GET", "/pets/{id}", "")
    assert show.tool == {
        "name": "showPet",
        "description": "Show a pet. By id",
        "parameters": {
            "type": "object",
            "properties": {"id": {"type": "string", "description": "Whose"}},
            "required": ["id"],
            "additionalProperties": False,
        },
    }
    parameters = change.tool["parameters"]
    assert change.tool["name"] == "put_pets_id"
    assert parameters["required"] == ["id", "body"]
    assert list(parameters["properties"]) == ["id", "dry", "id_query", "body"]
    body = parameters["properties"]["body"]["properties"]
    assert body["name"] == {"type": ["string", "null"]}
    assert body["age"] == {"type": "integer", "exclusiveMinimum": 0}
    assert body["friends"] == {"type": "array", "items": {"type": "object"}}  # itself again
    assert body["example"] == {"type": "string"}  # a property, not the keyword
    assert len(read_tools(json.dumps([show.tool, change.tool]))) == 2


def test_yaml_is_read_as_json_is() -> None:
    text = """
openapi: 3.1.0
paths:
  /days:
    get:
      operationId: list.days
      parameters:
        - {name: since, in: query, schema: {type: string, const: 2026-11-20}}
  /days/{day}:
    get:
      operationId: list days
"""
    first, second = read_openapi(text.encode())
    assert first.tool["name"] == "list_days"
    assert second.tool["name"] == "list_days_2"
    assert first.tool["parameters"]["properties"]["since"]["const"] == "2026-11-20"


def test_invalid_schema_is_reported_and_affects_nothing_else() -> None:
    broken = json.loads(json.dumps(PETS))
    broken["components"]["schemas"]["Pet"]["properties"]["age"]["type"] = "number of years"
    show, change = read_openapi(json.dumps(broken).encode())
    assert show.fault == ""
    assert change.fault.startswith("/properties/body/properties/age/type: ")


def _wide(depth: int) -> dict[str, Any]:
    """Each schema names the next one ten times: 10 ** depth in all."""
    schemas: dict[str, Any] = {
        f"S{n}": {"properties": {str(i): {"$ref": f"#/components/schemas/S{n + 1}"}
                                 for i in range(10)}}
        for n in range(depth)
    }  # fmt: skip
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/S0"}}}}
    return {
        "openapi": "3.1.0",
        "paths": {"/x": {"post": {"requestBody": body}}},
        "components": {"schemas": schemas},
    }


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"[]", "no_openapi"),
        (b"swagger: '2.0'", "no_openapi"),
        (b'{"openapi": "3.1.0"', "no_json"),
        (b"a: [", "no_json"),
        (b"\xff\xfe\x00", "no_text"),
        (b'{"openapi": "3.1.0", "paths": {}}', "no_operations"),
        (b" " * (BYTES_MAX + 1), "too_big"),
        (json.dumps(_wide(9)).encode(), "too_much"),
    ],
)
def test_invalid_description_is_rejected_with_its_reason(data: bytes, code: str) -> None:
    with pytest.raises(Unusable) as unusable:
        read_openapi(data)
    assert unusable.value.code == code


def _anchored(schema: str) -> bytes:
    parameter = f"{{name: a, in: query, schema: {schema}}}"
    return f"openapi: 3.1.0\npaths: {{/x: {{get: {{parameters: [{parameter}]}}}}}}".encode()


def _chained(length: int) -> bytes:
    """Each schema is a reference to the next one."""
    document = _wide(0)
    document["components"]["schemas"] = {
        f"S{n}": {"$ref": f"#/components/schemas/S{n + 1}"} for n in range(length)
    }
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "data",
    [
        _anchored("&s {properties: {a: *s}}"),
        _anchored("&s {not: *s}"),
        _anchored("&s {anyOf: [*s]}"),
        _anchored("{const: &s [*s]}"),
        _chained(2_000),
    ],
    ids=["properties", "schema", "list", "value", "chain"],
)
def test_description_without_an_end_is_too_much(data: bytes) -> None:
    """One that contains itself by an anchor of YAML, or a chain of references."""
    with pytest.raises(Unusable) as unusable:
        read_openapi(data)
    assert unusable.value.code == "too_much"


def test_references_are_resolved_wherever_a_schema_has_schemas() -> None:
    reference = {"$ref": "#/components/schemas/Tag"}
    schema = {
        "dependentSchemas": {"a": reference},
        "if": reference,
        "then": {"propertyNames": reference},
        "properties": {"b": {"contains": reference, "unevaluatedItems": reference}},
        "enum": [reference],  # a value, which only looks like a reference
    }
    document = PETS | {
        "openapi": "3.1.0",
        "paths": {"/a": {"post": {"requestBody": {
            "content": {"application/json": {"schema": schema}}}}}},
        "components": {"schemas": {"Tag": {"minLength": 1}}},
    }  # fmt: skip
    (operation,) = read_openapi(json.dumps(document).encode())
    assert operation.fault == ""
    tag = {"minLength": 1}
    assert operation.tool["parameters"]["properties"]["body"] == {
        "dependentSchemas": {"a": tag},
        "if": tag,
        "then": {"propertyNames": tag},
        "properties": {"b": {"contains": tag, "unevaluatedItems": tag}},
        "enum": [reference],
    }
