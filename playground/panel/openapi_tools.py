"""Tools from an OpenAPI description (3.0 and 3.1): one for each operation.

    Unusable    the description cannot be read; `reason` says why

A tool's parameters are those of path, query, header and cookie under their names, and the JSON body
under `body`. References are replaced by their targets, but only those within the document. A
reference that leads back to itself becomes `{"type": "object"}`. Nothing is fetched, and nothing is
called.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from playground.panel.json_schema import SCHEMA_LISTS, SCHEMA_MAPS, SCHEMAS, check_schema
from playground.panel.json_text import InvalidJson, parse_json

BYTES_MAX: Final = 2 * 1024 * 1024
OPERATIONS_MAX: Final = 500
_NODES_MAX: Final = 30_000
_DESCRIPTION_MAX: Final = 1_024
_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# The request itself sets these headers (OpenAPI 3.1, "Parameter Object").
_NOT_PARAMETERS: Final = ("accept", "content-type", "authorization")
# Keywords that JSON Schema lacks, or has in another form.
_NOT_SCHEMA: Final = ("nullable", "example", "discriminator", "xml", "externalDocs")
_NOT_NAME: Final = re.compile(r"[^A-Za-z0-9_-]+")
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Unusable(ValueError):
    """The description cannot be converted to tools."""

    def __init__(self, code: str, **detail: object) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class Operation:
    """An operation as a tool in the form of `panel.settings`. `fault` says why it cannot be used,
    if so."""

    method: str
    path: str
    tool: Mapping[str, Any]
    fault: str = ""


def read_openapi(data: bytes) -> list[Operation]:
    """Return the operations of a description in JSON or YAML, in its order. Raises Unusable."""
    if len(data) > BYTES_MAX:
        raise Unusable("too_big")
    document = _document(data)
    version = document.get("openapi")
    if not isinstance(version, str) or not version.startswith("3."):
        raise Unusable("no_openapi")
    try:
        operations = _tools(document)
    except RecursionError as error:  # YAML that contains itself, or long chains of references
        raise Unusable("too_much") from error
    if not operations:
        raise Unusable("no_operations")
    return operations


def _tools(document: Mapping[str, Any]) -> list[Operation]:
    reader = _Reader(document)
    operations: list[Operation] = []
    names: set[str] = set()
    for path, method, item, operation in _operations(document):
        if len(operations) == OPERATIONS_MAX:
            raise Unusable("too_many", high=OPERATIONS_MAX)
        tool = reader.tool(path, method, item, operation, names)
        faults = check_schema(tool["parameters"], strict=False)
        fault = f"{faults[0].path}: {faults[0].reason}" if faults else ""
        operations.append(Operation(method.upper(), path, tool, fault))
    return operations


def _document(data: bytes) -> Mapping[str, Any]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unusable("no_text") from error
    try:
        value = parse_json(text) if text.lstrip().startswith("{") else _yaml(text)
    except InvalidJson as fault:
        raise Unusable("no_json", line=fault.line, reason=fault.reason) from fault
    if not isinstance(value, dict):
        raise Unusable("no_openapi")
    return value


def _yaml(text: str) -> Any:
    try:
        return yaml.load(text, _LOADER)  # noqa: S506 - a safe loader, in C where there is one
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidJson(line, 1, error.problem or "") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidJson(1, 1, str(error)[:200]) from error


def _operations(
    document: Mapping[str, Any],
) -> Iterator[tuple[str, str, Mapping[str, Any], Mapping[str, Any]]]:
    paths = document.get("paths")
    for path, item in (paths if isinstance(paths, dict) else {}).items():
        for method in _METHODS:
            operation = item.get(method) if isinstance(item, dict) else None
            if isinstance(operation, dict):
                yield str(path), method, item, operation


class _Reader:
    """Converts the operations of one document to tools. The total size of inserted references is
    limited."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._nodes_left = _NODES_MAX

    def tool(
        self,
        path: str,
        method: str,
        item: Mapping[str, Any],
        operation: Mapping[str, Any],
        names: set[str],
    ) -> dict[str, Any]:
        """Return the tool of one operation, under a name that is not in `names` yet."""
        properties: dict[str, Any] = {}
        required = []
        for parameter in self._parameters(item, operation):
            name, place = str(parameter.get("name", "")), parameter.get("in")
            if not name or (place == "header" and name.lower() in _NOT_PARAMETERS):
                continue
            key = name if name not in properties else f"{name}_{place}"
            schema = self._schema(parameter.get("schema") or _json_schema(parameter), ())
            if parameter.get("description") and "description" not in schema:
                schema["description"] = str(parameter["description"])
            properties[key] = schema
            if parameter.get("required") is True or place == "path":
                required.append(key)
        body = self._resolved(operation.get("requestBody"))
        if (schema := _json_schema(body)) is not None:
            properties["body"] = self._schema(schema, ())
            if body.get("required") is True:
                required.append("body")
        parameters: dict[str, Any] = {"type": "object", "properties": properties}
        if required:
            parameters["required"] = required
        parameters["additionalProperties"] = False
        texts = [operation.get("summary"), operation.get("description")]
        description = ". ".join(str(text).strip().rstrip(".") for text in texts if text)
        tool = {
            "name": _name(operation.get("operationId") or f"{method} {path}", names),
            "description": description[:_DESCRIPTION_MAX] or f"{method.upper()} {path}",
            "parameters": parameters,
        }
        return tool

    def _parameters(
        self, item: Mapping[str, Any], operation: Mapping[str, Any]
    ) -> list[Mapping[str, Any]]:
        """Merge the parameters of the operation with those of its path."""
        by_key: dict[tuple[Any, Any], Mapping[str, Any]] = {}
        for source in (item, operation):
            listed = source.get("parameters")
            for raw in listed if isinstance(listed, list) else ():
                parameter = self._resolved(raw)
                by_key[parameter.get("name"), parameter.get("in")] = parameter
        return list(by_key.values())

    def _resolved(self, value: Any) -> Mapping[str, Any]:
        """Return an object, or the target of its reference; {} for anything else."""
        for _ in range(16):
            if not isinstance(value, dict):
                return {}
            if "$ref" not in value:
                return value
            value = self._at(value["$ref"])
        return {}

    def _at(self, reference: Any) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return None
        value: Any = self._document
        for part in reference[2:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def _schema(self, value: Any, within: tuple[str, ...]) -> dict[str, Any]:
        """Convert a schema to JSON Schema. `within` are the references that led to it."""
        if not isinstance(value, dict):
            return {}
        self._count()
        reference = value.get("$ref")
        if isinstance(reference, str):
            if reference in within:
                return {"type": "object"}
            return self._schema(self._at(reference), (*within, reference))
        plain = {
            str(name): inner
            for name, inner in value.items()
            if name not in _NOT_SCHEMA and not str(name).startswith("x-")
        }
        schema: dict[str, Any] = {
            name: self._inside(name, inner, within) for name, inner in plain.items()
        }
        if value.get("nullable") is True and isinstance(schema.get("type"), str):
            schema["type"] = [schema["type"], "null"]
        for edge, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            if schema.get(edge) is True:
                schema[edge] = schema.pop(limit, 0)
            elif schema.get(edge) is False:
                del schema[edge]
        return schema

    def _inside(self, name: str, value: Any, within: tuple[str, ...]) -> Any:
        """Resolve the value of a keyword: nested schemas where the keyword has them, else plain
        JSON."""
        self._count()
        if name in SCHEMA_MAPS and isinstance(value, dict):
            return {str(key): self._schema(inner, within) for key, inner in value.items()}
        if name in SCHEMAS and isinstance(value, dict):
            return self._schema(value, within)
        if name in SCHEMA_LISTS and isinstance(value, list):
            return [self._schema(inner, within) for inner in value]
        return self._json(value)

    def _json(self, value: Any) -> Any:
        self._count()
        if isinstance(value, dict):
            return {str(name): self._json(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._json(inner) for inner in value]
        # YAML has timestamps, which JSON lacks.
        return value if isinstance(value, str | int | float | None) else str(value)

    def _count(self) -> None:
        self._nodes_left -= 1
        if self._nodes_left < 0:
            raise Unusable("too_much")


def _json_schema(holder: Mapping[str, Any]) -> Any:
    """Return the schema of the JSON content of a parameter or body, or None."""
    content = holder.get("content")
    for kind, media in (content if isinstance(content, dict) else {}).items():
        subtype = str(kind).partition(";")[0].strip().lower()
        if (subtype == "application/json" or subtype.endswith("+json")) and isinstance(media, dict):
            return media.get("schema", {})
    return None


def _name(proposed: object, names: set[str]) -> str:
    plain = _NOT_NAME.sub("_", str(proposed)).strip("_")[:64] or "operation"
    name, number = plain, 1
    while name in names:
        number += 1
        name = f"{plain[: 63 - len(str(number))]}_{number}"
    names.add(name)
    return name
