"""Parts of the management API's description: schemas of its bodies, and its errors."""

import json
from http import HTTPStatus
from typing import Any, Final, cast

import ninja
from ninja.responses import NinjaJSONEncoder
from pydantic import BaseModel, ConfigDict

ERROR: Final = "Error"
ERROR_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Every error of the management API, in the shape of OpenAI's.",
    "required": ["error", "request_id"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        },
        "request_id": {"type": ["string", "null"]},
    },
}


def json_body(schema: BaseModel) -> dict[str, Any]:
    """Return the body of an operation that answers with this schema."""
    text = json.dumps(schema.model_dump(by_alias=True), cls=NinjaJSONEncoder)
    return cast(dict[str, Any], json.loads(text))


def also_answers(*statuses: int) -> dict[str, Any]:
    """Build `openapi_extra` for an operation that can also return these errors."""
    return {"responses": {status: declared_error(status) for status in statuses}}


def add_additional_properties(node: Any) -> None:
    """Replace the single pattern of an object's names by `additionalProperties`, which every client
    generator supports; the pattern moves to `propertyNames`.
    """
    if isinstance(node, list):
        for inner in node:
            add_additional_properties(inner)
    if not isinstance(node, dict):
        return
    patterns = node.get("patternProperties")
    if isinstance(patterns, dict) and len(patterns) == 1:
        ((pattern, node["additionalProperties"]),) = node.pop("patternProperties").items()
        node["propertyNames"] = {**node.get("propertyNames", {}), "pattern": pattern}
    for inner in node.values():
        add_additional_properties(inner)


def declared_error(status: int) -> dict[str, Any]:
    """Return the response for an error of this status."""
    schema = {"$ref": f"#/components/schemas/{ERROR}"}
    content = {"application/json": {"schema": schema}}
    return {"description": HTTPStatus(status).phrase, "content": content}


def errors_of(operation: dict[str, Any]) -> list[int]:
    """Return the error statuses of an operation with these parameters and body. 409 is included if
    the operation may find that its object exists.
    """
    sends = "requestBody" in operation
    reads = sends or bool(operation.get("parameters"))
    return [400, 401, 403, 404, *([409, 413] if sends else []), *([422] if reads else [])]


class SchemaNameTaken(TypeError):
    """Two body classes have the same name: the description would show one of them for both."""


class _Named(BaseModel):
    """Its class name is its name in the description, so a second subclass with the same name raises
    SchemaNameTaken when it is imported.
    """

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        first = _SCHEMAS.setdefault(cls.__name__, cls.__module__)
        if first != cls.__module__:
            raise SchemaNameTaken(
                f"{first} and {cls.__module__} both define a schema {cls.__name__}. Rename one."
            )


_SCHEMAS: Final[dict[str, str]] = {}


class Schema(_Named, ninja.Schema):
    """A body of the management API."""


class Input(Schema):
    """What a client sends: the query of a request, or its body. Unknown members are refused."""

    model_config = ConfigDict(extra="forbid")


class RequestBody(Input):
    """The body of a request."""


class Part(_Named):
    """An object inside a request body, or inside an installation's file."""

    model_config = ConfigDict(extra="forbid")
