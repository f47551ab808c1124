"""A JSON value that fits a simple JSON schema, written as a model would: with spaces."""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "email": "otter@example.com",
    "uri": "https://example.com/weir",
    "uuid": "01890a5d-ac96-774b-bcce-b302099a8057",
}
_DEPTH = 16


def text_for(schema: dict[str, Any], source: Iterator[str], results: list[str]) -> str:
    """The text of the answer: strings hold words of `source`, the first one the tool results."""
    text = iter(results)
    if not schema.get("properties") and "type" not in schema and "$ref" not in schema:
        schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    return json.dumps(_value(schema, schema, source, text, 0), ensure_ascii=False)


def _value(
    schema: dict[str, Any],
    root: dict[str, Any],
    source: Iterator[str],
    output: Iterator[str],
    depth: int,
) -> Any:
    if "$ref" in schema:
        schema = _resolved(schema["$ref"], root)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return _value(schema[several][0], root, source, output, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    match str(kind).lower():
        case "object":
            if depth > _DEPTH:
                return {}
            wanted = schema.get("properties", {})
            return {n: _value(s, root, source, output, depth + 1) for n, s in wanted.items()}
        case "array":
            size = 0 if depth > _DEPTH else max(1, int(schema.get("minItems", 1)))
            items = schema.get("items", {"type": "string"})
            return [_value(items, root, source, output, depth + 1) for _ in range(size)]
        case "integer":
            return int(schema.get("minimum", 7))
        case "number":
            return float(schema.get("minimum", 7)) + 0.5
        case "boolean":
            return True
        case "null":
            return None
    text = next(output, None) or _FORMATS.get(schema.get("format", "")) or _words(schema, source)
    return text


def _words(schema: dict[str, Any], source: Iterator[str]) -> str:
    text = " ".join(islice(source, 2))
    text += " long" * (max(0, int(schema.get("minLength", 0)) - len(text) + 4) // 5)
    return text[: int(schema.get("maxLength", len(text)))]


def _resolved(reference: str, root: dict[str, Any]) -> dict[str, Any]:
    result: Any = root
    for step in reference.removeprefix("#").split("/"):
        if step:
            result = result[step]
    resolved: dict[str, Any] = result
    return resolved
