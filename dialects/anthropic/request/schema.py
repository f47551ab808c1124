"""Convert JSON Schemas to the part that this dialect can enforce (`output_config.format`).

The provider supports a part of JSON Schema and refuses the rest (platform.claude.com, "Structured
outputs", and its own client, anthropic 2.10; 2026-11):

    objects         list all their members: additionalProperties is required and false
    alternatives    anyOf, enum and const of plain values
    references      to $defs and definitions, without cycles
    everything else limits of numbers, texts and lists become part of the description
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from dialects.chat.chat import JsonObject

_DEFINITIONS: Final = ("$defs", "definitions")
_ALTERNATIVES: Final = ("anyOf", "oneOf", "allOf")
_SCALARS: Final = frozenset({"string", "integer", "number", "boolean", "null"})
_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
# These keywords do not constrain a value.
_METADATA: Final = frozenset({"$schema", "$id", "$comment", "$anchor"})


class _Unsayable(Exception):
    """The dialect cannot enforce the schema."""


def fit_schema(schema: JsonObject) -> JsonObject | None:
    """Return the schema in the provider's part of JSON Schema. None if that would change its
    meaning: values and objects of any form, schemas that must all hold at once, references that
    form a cycle, or lead outside or nowhere.
    """
    try:
        return _SchemaFitter(schema).fit(schema)
    except _Unsayable:
        return None


class _SchemaFitter:
    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._following: list[str] = []
        self._followed: set[str] = set()

    def fit(self, schema: Any) -> JsonObject:
        if not isinstance(schema, Mapping):
            raise _Unsayable
        rest = {name: value for name, value in schema.items() if name not in _METADATA}
        fitted: JsonObject = {}
        for name in _DEFINITIONS:
            if isinstance(definitions := rest.pop(name, None), Mapping):
                fitted[name] = {key: self.fit(inner) for key, inner in definitions.items()}
        if "$ref" in rest:
            self._follow(rest["$ref"])
            return fitted | {"$ref": rest["$ref"]}
        for name in ("title", "description"):
            if isinstance(rest.get(name), str):
                fitted[name] = rest.pop(name)
        fitted |= self._value(rest)
        if rest:
            words = ", ".join(
                f"{name}: {msgspec.json.encode(value).decode()}" for name, value in rest.items()
            )
            fitted["description"] = "\n\n".join(
                filter(None, [fitted.get("description"), f"{{{words}}}"])
            )
        return fitted

    def _follow(self, reference: Any) -> None:
        """Check that a reference leads to a supported schema."""
        if reference in self._followed:
            return
        if not isinstance(reference, str) or reference in self._following:
            raise _Unsayable
        head, place, *steps = [*reference.split("/"), ""]
        at = self._root.get(place) if head == "#" and place in _DEFINITIONS else None
        for step in steps[:-1]:
            name = step.replace("~1", "/").replace("~0", "~")
            at = at.get(name) if isinstance(at, Mapping) else None
        self._following.append(reference)
        self.fit(at)
        self._following.pop()
        self._followed.add(reference)

    def _value(self, rest: JsonObject) -> JsonObject:
        """Convert a schema's constraints, and remove the converted ones from `rest`."""
        kind = rest.pop("type", None)
        alternatives = [name for name in _ALTERNATIVES if name in rest]
        if "enum" in rest or "const" in rest:
            return _literals(rest)
        if alternatives:
            return self._alternatives(alternatives, rest)
        if isinstance(kind, list):
            return self._types(kind, rest)
        if kind is None:
            kind = "object" if "properties" in rest else "array" if "items" in rest else None
        if kind == "object":
            return {"type": kind} | self._object(rest)
        if kind == "array":
            return {"type": kind} | self._array(rest)
        if not isinstance(kind, str) or kind not in _SCALARS:
            raise _Unsayable
        form = rest.get("format")
        if kind == "string" and isinstance(form, str) and form in _FORMATS:
            return {"type": kind, "format": rest.pop("format")}
        return {"type": kind}

    def _alternatives(self, alternatives: Sequence[str], rest: JsonObject) -> JsonObject:
        ways = rest.pop(alternatives[0])
        if len(alternatives) > 1 or "properties" in rest or not isinstance(ways, list) or not ways:
            raise _Unsayable
        if alternatives == ["allOf"]:
            if len(ways) > 1:
                # An object that lists all its members cannot match two such schemas.
                raise _Unsayable
            return self.fit(ways[0])
        return {"anyOf": [self.fit(way) for way in ways]}

    def _types(self, kinds: list[Any], rest: JsonObject) -> JsonObject:
        """Return a schema for several types, each with the limits that apply to it."""
        limits = dict(rest)
        rest.clear()
        return {
            "anyOf": [
                self.fit({"type": kind} if kind == "null" else limits | {"type": kind})
                for kind in kinds
            ]
        }

    def _object(self, rest: JsonObject) -> JsonObject:
        members, others = rest.pop("properties", None), rest.pop("additionalProperties", None)
        closed = others is False
        if others not in (None, False) or "patternProperties" in rest or not (members or closed):
            raise _Unsayable
        properties = members if isinstance(members, Mapping) else {}
        fitted: JsonObject = {
            "properties": {name: self.fit(inner) for name, inner in properties.items()}
        }
        fitted["additionalProperties"] = False
        if "required" in rest:
            fitted["required"] = rest.pop("required")
        return fitted

    def _array(self, rest: JsonObject) -> JsonObject:
        if "prefixItems" in rest:
            raise _Unsayable
        fitted: JsonObject = {"items": self.fit(rest.pop("items", None))}
        if rest.get("minItems") in (0, 1):
            fitted["minItems"] = rest.pop("minItems")
        return fitted


def _literals(rest: JsonObject) -> JsonObject:
    literals: JsonObject = {}
    if "enum" in rest:
        literals["enum"] = rest.pop("enum")
        if not isinstance(literals["enum"], list) or not all(map(_is_scalar, literals["enum"])):
            raise _Unsayable
    if "const" in rest:
        literals["const"] = rest.pop("const")
        if not _is_scalar(literals["const"]):
            raise _Unsayable
    return literals


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)
