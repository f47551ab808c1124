"""The reference of the management API, read from its OpenAPI schema.

Pure: it turns the schema and a language into the data of the templates.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from django.utils.text import slugify

_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Field:
    """A parameter, body field or response field. `text` is as `_Source.words` returns it."""

    name: str
    type: str
    required: bool
    text: list[tuple[str, bool]]
    default: str


@dataclass(frozen=True)
class Operation:
    """An operation: its request, its response, and how to try it."""

    id: str
    method: str
    path: str
    summary: str
    text: list[tuple[str, bool]]
    parameters: list[Field]
    body: list[Field]
    status: str
    answer: list[Field]
    curl: str

    @property
    def curl_id(self) -> str:
        """Return the id of the element with the example."""
        return f"curl-{self.id}"


@dataclass(frozen=True)
class Section:
    """The operations of one tag."""

    id: str
    title: str
    operations: list[Operation]


@dataclass(frozen=True)
class _Source:
    """The schema, and the function that translates its texts."""

    schema: dict[str, Any]
    translate: Callable[[str], str]

    def words(self, node: dict[str, Any]) -> list[tuple[str, bool]]:
        """Return a node's description split at its backticks: (text, whether it is code)."""
        if not node.get("description"):
            return []
        cut = self.translate(node["description"]).split("`")
        return [(words, index % 2 == 1) for index, words in enumerate(cut) if words]


def sections(schema: dict[str, Any], translate: Callable[[str], str]) -> list[Section]:
    """Return the operations by tag, in the schema's order. `translate` gets every shown text."""
    source = _Source(schema, translate)
    by_tag: dict[str, list[Operation]] = {}
    for path, methods in schema["paths"].items():
        for method in _METHODS:
            if method in methods:
                operation = methods[method]
                tag = (operation.get("tags") or ["Other"])[0]
                by_tag.setdefault(tag, []).append(_operation(source, path, method, operation))
    return [Section(slugify(tag), translate(tag), operations) for tag, operations in by_tag.items()]


def _operation(source: _Source, path: str, method: str, operation: dict[str, Any]) -> Operation:
    content = operation.get("requestBody", {}).get("content", {})
    body = _fields(source, content.get("application/json", {}).get("schema", {}))
    status, response = next(iter(operation["responses"].items()))
    answer = response.get("content", {}).get("application/json", {}).get("schema", {})
    return Operation(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=source.translate(operation["summary"]),
        text=source.words(operation),
        parameters=[
            _field(source, parameter["name"], parameter["schema"], parameter.get("required", False))
            for parameter in operation.get("parameters", [])
        ],
        body=body,
        status=str(status),
        answer=_fields(source, answer),
        curl=_curl(path, method, content.get("application/json", {}).get("example")),
    )


def _fields(source: _Source, node: dict[str, Any]) -> list[Field]:
    node = _resolve_reference(source.schema, node)
    required = node.get("required", [])
    fields = []
    for name, inner in node.get("properties", {}).items():
        fields.append(_field(source, name, inner, name in required))
        # Fields of a list's rows are in the same table, one level deep.
        fields += [
            replace(row, name=f"{name}[].{row.name}")
            for row in _fields(source, inner.get("items", {}))
        ]
    return fields


def _field(source: _Source, name: str, node: dict[str, Any], required: bool) -> Field:
    default = node.get("default")
    return Field(
        name=name,
        type=_type(source.schema, node),
        required=required,
        text=source.words(node),
        default="" if default is None else json.dumps(default),
    )


def _type(schema: dict[str, Any], node: dict[str, Any]) -> str:
    if "$ref" in node:
        return str(node["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in node:
        return " | ".join(_type(schema, inner) for inner in node["anyOf"])
    if "enum" in node:
        return " | ".join(json.dumps(value) for value in node["enum"])
    if "const" in node:
        return json.dumps(node["const"])
    kind = str(node.get("type", "any"))
    if kind == "array":
        return f"{_type(schema, node.get('items', {}))}[]"
    return str(node.get("format", kind)) if kind == "string" else kind


def _resolve_reference(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = schema["components"]["schemas"][node["$ref"].rsplit("/", 1)[-1]]
    return node


def _curl(path: str, method: str, example: Any) -> str:
    lines = [
        ("curl" if method == "get" else f"curl -X {method.upper()}")
        + ' -H "Authorization: Bearer $WEIR_KEY"',
    ]
    if example is not None:
        lines.append(
            f"  -H 'Content-Type: application/json' -d '{json.dumps(example, ensure_ascii=False)}'"
        )
    lines.append(f'  "$WEIR_URL{path}"')
    return " \\\n".join(lines)
