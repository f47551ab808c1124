"""Convert between Google's old form of schemas (a part of OpenAPI 3.0) and JSON Schema. Old
channels support only the old form, `parameters` and `responseSchema`; what it cannot express is
omitted. Clients may still send it: its types are in capitals and `nullable` means a null type.
"""

from collections.abc import Mapping
from typing import Any, Final

_REMOVED: Final = frozenset(
    {"$schema", "$id", "$defs", "definitions", "additionalProperties", "patternProperties"}
    | {"examples", "default", "$comment", "$anchor"}
)
_FORMATS: Final = frozenset({"date-time", "enum", "int32", "int64", "float", "double"})
# 64-bit integers, which the old form writes as text.
_WIDE: Final = frozenset(
    {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
)
# The maximum number of references followed in one schema, because each may lead to many more.
_FOLLOWED_MAX: Final = 200


def cut_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON Schema in the old form. References inside it are replaced by their targets; a
    cyclic or invalid reference becomes an unspecified object."""
    return _SchemaCutter(schema).cut(schema)


class _SchemaCutter:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._followed = 0
        self._following: list[str] = []

    def cut(self, schema: Any) -> dict[str, Any]:
        if not isinstance(schema, Mapping):
            return {}
        if isinstance(schema.get("$ref"), str):
            return self._follow(schema["$ref"], schema)
        written: dict[str, Any] = {}
        for name, value in schema.items():
            if name not in _REMOVED:
                self._add(written, name, value)
        return written

    def _follow(self, reference: str, schema: Mapping[str, Any]) -> dict[str, Any]:
        self._followed += 1
        target = self._find(reference)
        if target is None or reference in self._following or self._followed > _FOLLOWED_MAX:
            target = {"type": "object"}
        self._following.append(reference)
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        written = self.cut({**target, **rest})
        self._following.pop()
        return written

    def _add(self, written: dict[str, Any], name: str, value: Any) -> None:
        match name:
            case "const":
                written["enum"] = [value]
            case "type" if isinstance(value, list):
                _add_types(written, value)
            case "format" if value not in _FORMATS:
                pass
            case "properties" if isinstance(value, Mapping):
                written[name] = {key: self.cut(inner) for key, inner in value.items()}
            case "anyOf" | "oneOf" | "allOf" if isinstance(value, list):
                self._add_any(written, "allOf" if name == "allOf" else "anyOf", value)
            case "items":
                written[name] = self.cut(value)
            case _:
                written[name] = value

    def _add_any(self, written: dict[str, Any], name: str, value: list[Any]) -> None:
        remaining = [
            inner
            for inner in value
            if not (isinstance(inner, Mapping) and inner.get("type") == "null")
        ]
        if len(remaining) < len(value):
            written["nullable"] = True
        written[name] = [*written.get(name, []), *(self.cut(inner) for inner in remaining)]

    def _find(self, reference: str) -> Mapping[str, Any] | None:
        """Return the target of a reference inside the schema (#/$defs/x)."""
        at: Any = self._root
        head, *steps = reference.split("/")
        for step in steps:
            name = step.replace("~1", "/").replace("~0", "~")
            at = at.get(name) if isinstance(at, Mapping) else None
        return at if head == "#" and isinstance(at, Mapping) else None


def _add_types(written: dict[str, Any], types: list[Any]) -> None:
    remaining = [type_ for type_ in types if type_ != "null"]
    if len(remaining) < len(types):
        written["nullable"] = True
    if len(remaining) == 1:
        written["type"] = remaining[0]
    elif remaining:
        written["anyOf"] = [*written.get("anyOf", []), *({"type": type_} for type_ in remaining)]


def read_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema for a schema in the old form."""
    read: dict[str, Any] = {}
    for name, value in schema.items():
        match name:
            case "type" if isinstance(value, str):
                read[name] = value.lower()
            case "properties" if isinstance(value, Mapping):
                read[name] = {key: _read_inner(inner) for key, inner in value.items()}
            case "anyOf" | "any_of" if isinstance(value, list):
                read["anyOf"] = [_read_inner(inner) for inner in value]
            case "items":
                read[name] = _read_inner(value)
            case "nullable" | "propertyOrdering" | "property_ordering":
                pass
            case _ if name in _WIDE and isinstance(value, str) and value.isdecimal():
                read[name] = int(value)
            case _:
                read[name] = value
    kind = read.get("type")
    if schema.get("nullable") is True and isinstance(kind, str):
        read["type"] = [kind, "null"]
    if read.get("type") == "type_unspecified":
        del read["type"]
    return read


def _read_inner(schema: Any) -> Any:
    return read_schema(schema) if isinstance(schema, Mapping) else schema
