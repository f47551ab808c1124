"""An example body for each operation of the management API, from the schema of its fields."""

from collections.abc import Mapping
from typing import Any, Final

# Example strings by field name. A field with an enum, a format or a default needs no entry.
_STRINGS: Final[Mapping[str, str]] = {
    "amount": "50.00",
    "automatic_amount": "100.00",
    "automatic_below": "20.00",
    "base_url": "https://api.example.com/v1",
    "channel": "01JZ8Q4M0V5W6X7Y8Z9A0B1C2D",
    "checksum": "0123456789abcdef",
    "client_id": "weir",
    "currency": "EUR",
    "rate": "0.92",
    "code": "ABCD-EFGH-JKLM-NPQR",
    "document": "Transfer 4711",
    "email": "ana@example.com",
    "end_user": "ana@example.com",
    "host": "mail.example.com",
    "included": "20.00",
    "issuer": "https://login.example.com",
    "key": "01JZ8Q4M0V5W6X7Y8Z9A0B1C2D",
    "low_balance": "20.00",
    "model": "gpt-4o",
    "amount_column": "Cost",
    "name": "research",
    "note": "Agreed with the provider",
    "offer": "01JZ8Q4M0V5W6X7Y8Z9A0B1C2D",
    "organisation": "acme",
    "plan": "01JZ8Q4M0V5W6X7Y8Z9A0B1C2D",
    "price": "20.00",
    "provider": "openai",
    "reason": "Agreed with the customer",
    "reference": "Transfer 4711",
    "role": "developer",
    "secret": "sk-0123456789abcdef",
    "target": "gpt-4o",
    "team": "core",
    "title": "Maintenance on Sunday",
    "text": "Version 2 is live",
    "url": "https://example.com/hooks/weir",
    "value": "5.00",
}
_ITEMS: Final[Mapping[str, str]] = {
    "channels": "01JZ8Q4M0V5W6X7Y8Z9A0B1C2D",
    "domains": "example.com",
    "ids": "01JZ8Q4M0V5W6X7Y8Z9A0B1C2D",
    "permissions": "usage.read",
    "proposals": "01JZ8Q4M0V5W6X7Y8Z9A0B1C2D",
    "unknown": "holo_tokens",
}
_FORMATS: Final[Mapping[str, str]] = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "email": "ana@example.com",
}
_OBJECTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "Tell me about rivers."}]},
    "meters": {"in_text": "2.5", "out_text": "10"},
    "rules": {},
}


class NoExample(KeyError):
    """A required string has no entry in this file."""


def example_of(schemas: Mapping[str, Any], node: Mapping[str, Any], name: str = "") -> Any:
    """Return a value that a schema accepts: its first example or default, else the required
    members. `schemas` are the description's components. Raises NoExample.
    """
    if "$ref" in node:
        return example_of(schemas, schemas[node["$ref"].rpartition("/")[2]], name)
    if "examples" in node:
        return node["examples"][0]
    if node.get("default") is not None:
        return node["default"]
    if "anyOf" in node:
        return example_of(schemas, node["anyOf"][0], name)
    if "const" in node or "enum" in node:
        return node["const"] if "const" in node else node["enum"][0]
    match node.get("type"):
        case "object" | None:
            return dict(_OBJECTS.get(name, {})) or _members(schemas, node)
        case "array":
            return [example_of(schemas, node["items"], name)] if node.get("minItems") else []
        case "integer" | "number":
            return node.get("minimum", 1)
        case "boolean":
            return False
    text = _FORMATS.get(node.get("format", "")) or _STRINGS.get(name) or _ITEMS.get(name)
    if text is None:
        raise NoExample(name)
    return text


def _members(schemas: Mapping[str, Any], node: Mapping[str, Any]) -> dict[str, Any]:
    members = node.get("properties", {})
    return {name: example_of(schemas, members[name], name) for name in node.get("required", [])}
