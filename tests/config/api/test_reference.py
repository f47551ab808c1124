from typing import Any

from config.api.reference import sections

SCHEMA: dict[str, Any] = {
    "paths": {
        "/api/v1/things": {
            "get": {
                "operationId": "list_things",
                "summary": "List things",
                "description": "Newest first, `limit` at a time.",
                "tags": ["Things"],
                "parameters": [
                    {
                        "name": "limit",
                        "in": "query",
                        "schema": {"type": "integer", "default": 50, "description": "Rows."},
                    }
                ],
                "responses": {
                    200: {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Page"}}
                        }
                    }
                },
            },
            "post": {
                "operationId": "make_thing",
                "summary": "Make a thing",
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {"$ref": "#/components/schemas/Thing"},
                            "example": {"name": "research"},
                        }
                    }
                },
                "responses": {201: {}},
            },
        }
    },
    "components": {
        "schemas": {
            "Page": {
                "properties": {
                    "items": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}},
                    "next": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                }
            },
            "Thing": {
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "state": {"enum": ["on", "off"], "default": "on"},
                    "at": {"type": "string", "format": "date-time"},
                },
            },
        }
    },
}


def test_operations_are_grouped_by_tag() -> None:
    things, other = sections(SCHEMA, str)
    assert (things.title, other.title) == ("Things", "Other")
    (listed,) = things.operations
    assert (listed.method, listed.path, listed.status) == ("GET", "/api/v1/things", "200")
    assert listed.text == [("Newest first, ", False), ("limit", True), (" at a time.", False)]
    (limit,) = listed.parameters
    assert (limit.type, limit.default, limit.required) == ("integer", "50", False)


def test_list_shows_its_row_schema() -> None:
    answer = sections(SCHEMA, str)[0].operations[0].answer
    assert [(field.name, field.type) for field in answer] == [
        ("items", "Thing[]"),
        ("items[].name", "string"),
        ("items[].state", '"on" | "off"'),
        ("items[].at", "date-time"),
        ("next", "string | null"),
    ]


def test_example_sends_the_required_fields() -> None:
    (created,) = sections(SCHEMA, str)[1].operations
    assert [field.name for field in created.body] == ["name", "state", "at"]
    assert created.curl == (
        'curl -X POST -H "Authorization: Bearer $WEIR_KEY" \\\n'
        "  -H 'Content-Type: application/json' -d '{\"name\": \"research\"}' \\\n"
        '  "$WEIR_URL/api/v1/things"'
    )
    assert created.answer == []
