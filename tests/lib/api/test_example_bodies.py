"""Example bodies of the management API, from the schemas of its operations."""

from typing import Any

import pytest

from lib.api.examples import NoExample, example_of

SCHEMAS: dict[str, Any] = {
    "Inner": {"properties": {"rate": {"type": "string"}}, "required": ["rate"]},
}


@pytest.mark.parametrize(
    ("node", "name", "example"),
    [
        ({"$ref": "#/components/schemas/Inner"}, "", {"rate": "0.92"}),
        ({"type": "string", "examples": ["first", "second"], "default": "d"}, "", "first"),
        ({"type": "string", "default": "d", "enum": ["e"]}, "", "d"),
        ({"default": None, "anyOf": [{"type": "integer"}, {"type": "null"}]}, "", 1),
        ({"const": "c"}, "", "c"),
        ({"enum": ["e", "f"]}, "", "e"),
        ({"type": "object"}, "meters", {"in_text": "2.5", "out_text": "10"}),
        (
            {
                "type": "object",
                "properties": {"name": {"type": "string"}, "note": {"type": "string"}},
                "required": ["name"],
            },
            "",
            {"name": "research"},
        ),
        ({"type": "array", "items": {"type": "string"}}, "ids", []),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1}, "domains", ["example.com"]),
        ({"type": "integer", "minimum": 5}, "", 5),
        ({"type": "number"}, "", 1),
        ({"type": "boolean"}, "", False),
        ({"type": "string", "format": "date"}, "name", "2026-01-31"),
        ({"type": "string"}, "team", "core"),
    ],
)
def test_example_fits_its_schema(node: dict[str, Any], name: str, example: object) -> None:
    assert example_of(SCHEMAS, node, name) == example


def test_text_without_an_example_is_an_error() -> None:
    with pytest.raises(NoExample):
        example_of(SCHEMAS, {"type": "string"}, "unheard_of")
