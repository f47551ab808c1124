"""JSON Schemas as this dialect can hold an answer to them (`output_config.format`).

The provider takes a part of JSON Schema and refuses the rest (platform.claude.com, "Structured
outputs", and its own client, anthropic 2.10; 2026-11):

    objects         name all their members: additionalProperties must be there and false
    alternatives    anyOf, enum and const of plain values
    references      to $defs and definitions, and never back to themselves
    everything else limits of numbers, texts and lists, is told in words
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
# They say nothing about a value.
_METADATA: Final = frozenset({"$schema", "$id", "$comment", "$anchor"})


class _Unsayable(Exception):
    """No words of the dialect hold an answer to this."""


def fit_schema(schema: JsonObject) -> JsonObject | None:
    """The schema in the provider's part of JSON Schema.

    None where that would say something else: values and objects of any form, schemas that all must
    hold at once, references that lead back to themselves, outside, or nowhere.
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
        left = {name: value for name, value in schema.items() if name not in _METADATA}
        fitted: JsonObject = {}
        for name in _DEFINITIONS:
            if isinstance(definitions := left.pop(name, None), Mapping):
                fitted[name] = {key: self.fit(inner) for key, inner in definitions.items()}
        if "$ref" in left:
            self._follow(left["$ref"])
            return fitted | {"$ref": left["$ref"]}
        for name in ("title", "description"):
            if isinstance(left.get(name), str):
                fitted[name] = left.pop(name)
        fitted |= self._value(left)
        if left:
            words = ", ".join(
                f"{name}: {msgspec.json.encode(value).decode()}" for name, value in left.items()
            )
            fitted["description"] = "\n\n".join(
                filter(None, [fitted.get("description"), f"{{{words}}}"])
            )
        return fitted

    def _follow(self, reference: Any) -> None:
        """Look whether a reference leads to what can be said."""
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

    def _value(self, left: JsonObject) -> JsonObject:
        """What a schema says of its value; what it takes out of `left` is said."""
        kind = left.pop("type", None)
        given = [name for name in _ALTERNATIVES if name in left]
        if "enum" in left or "const" in left:
            return _literals(left)
        if given:
            return self._alternatives(given, left)
        if isinstance(kind, list):
            return self._types(kind, left)
        if kind is None:
            kind = "object" if "properties" in left else "array" if "items" in left else None
        if kind == "object":
            return {"type": kind} | self._object(left)
        if kind == "array":
            return {"type": kind} | self._array(left)
        if not isinstance(kind, str) or kind not in _SCALARS:
            raise _Unsayable
        form = left.get("format")
        if kind == "string" and isinstance(form, str) and form in _FORMATS:
            return {"type": kind, "format": left.pop("format")}
        return {"type": kind}

    def _alternatives(self, given: Sequence[str], left: JsonObject) -> JsonObject:
        ways = left.pop(given[0])
        if len(given) > 1 or "properties" in left or not isinstance(ways, list) or not ways:
            raise _Unsayable
        if given == ["allOf"]:
            if len(ways) > 1:
                # Objects that name all their members cannot be two at once.
                raise _Unsayable
            return self.fit(ways[0])
        return {"anyOf": [self.fit(way) for way in ways]}

    def _types(self, kinds: list[Any], left: JsonObject) -> JsonObject:
        """Each of several types has those limits that are its own."""
        limits = dict(left)
        left.clear()
        return {
            "anyOf": [
                self.fit({"type": kind} if kind == "null" else limits | {"type": kind})
                for kind in kinds
            ]
        }

    def _object(self, left: JsonObject) -> JsonObject:
        members, others = left.pop("properties", None), left.pop("additionalProperties", None)
        closed = others is False
        if others not in (None, False) or "patternProperties" in left or not (members or closed):
            raise _Unsayable
        properties = members if isinstance(members, Mapping) else {}
        fitted: JsonObject = {
            "properties": {name: self.fit(inner) for name, inner in properties.items()}
        }
        fitted["additionalProperties"] = False
        if "required" in left:
            fitted["required"] = left.pop("required")
        return fitted

    def _array(self, left: JsonObject) -> JsonObject:
        if "prefixItems" in left:
            raise _Unsayable
        fitted: JsonObject = {"items": self.fit(left.pop("items", None))}
        if left.get("minItems") in (0, 1):
            fitted["minItems"] = left.pop("minItems")
        return fitted


def _literals(left: JsonObject) -> JsonObject:
    literals: JsonObject = {}
    if "enum" in left:
        literals["enum"] = left.pop("enum")
        if not isinstance(literals["enum"], list) or not all(map(_is_scalar, literals["enum"])):
            raise _Unsayable
    if "const" in left:
        literals["const"] = left.pop("const")
        if not _is_scalar(literals["const"]):
            raise _Unsayable
    return literals


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)
