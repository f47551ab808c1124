"""JSON Schema (draft 2020-12): validate a schema, check it against a provider's strict mode, and
validate an answer. Each fault has a JSON pointer. The limits of strict mode are those of OpenAI's
guide to structured outputs (as of 2026-01)."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from playground.panel.bounded_validator import compile_pattern, errors_of, resolver_of, shorten

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

FAULTS_MAX: Final = 50
_NOT_STRICT: Final = ("oneOf", "not", "dependentRequired", "dependentSchemas", "if", "then", "else",
                      "patternProperties", "allOf")  # fmt: skip
_PATTERN_MAX: Final = 200
# The keywords whose value contains schemas: by name, one, and a list.
SCHEMA_MAPS: Final = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
SCHEMAS: Final = ("items", "additionalProperties", "not", "if", "then", "else", "contains",
                  "propertyNames", "unevaluatedItems", "unevaluatedProperties")  # fmt: skip
SCHEMA_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems")


class Fault(NamedTuple):
    """An error, and where in the JSON it is."""

    path: str
    reason: str


def check_schema(schema: Any, *, strict: bool) -> list[Fault]:
    """Return the errors of a schema. `strict` also checks a provider's strict mode."""
    # Loaded with the first schema rather than when the process starts.
    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.exceptions import SchemaError

    try:
        # `_unsupported_parts` checks the patterns.
        Draft202012Validator.check_schema(schema, format_checker=FormatChecker(()))
    except SchemaError as error:
        return [Fault(_pointer(error.absolute_path), shorten(error.message))]
    faults = [
        fault for place, inner in _walk(schema, "") for fault in _unsupported_parts(place, inner)
    ]
    faults += _lost_references(schema)
    if strict:
        faults += [
            fault for place, inner in _walk(schema, "") for fault in _without_strict(place, inner)
        ]
    return faults[:FAULTS_MAX]


def check_answer(answer: Any, schema: Any) -> list[Fault]:
    """Return the places where an answer does not match a validated schema. A pattern that RE2 does
    not support is not checked."""
    try:
        errors = errors_of(answer, schema)
    except RecursionError:
        return [Fault("/", "the schema cannot be applied: it refers to itself without end")]
    except Exception as error:
        # A reference can lead to a part that is no schema, which the library does not expect.
        return [Fault("/", shorten(f"the schema cannot be applied: {error}"))]
    errors.sort(key=lambda error: list(map(str, error.path)))
    return [_fault(error) for error in errors[:FAULTS_MAX]]


def schema_like(example: Any) -> dict[str, Any]:
    """Return a schema that describes values like the example. All members are required."""
    if isinstance(example, dict):
        inner = {name: schema_like(value) for name, value in example.items()}
        return {"type": "object", "properties": inner, "required": list(inner),
                "additionalProperties": False}  # fmt: skip
    if isinstance(example, list):
        return {"type": "array", "items": schema_like(example[0])} if example else {"type": "array"}
    if isinstance(example, bool):
        return {"type": "boolean"}
    if isinstance(example, int):
        return {"type": "integer"}
    if isinstance(example, float):
        return {"type": "number"}
    return {"type": "null"} if example is None else {"type": "string"}


def _walk(schema: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every nested schema with its place."""
    if not isinstance(schema, dict):
        return
    yield place, schema
    for name in SCHEMA_MAPS:
        inner = schema.get(name)
        for key, value in inner.items() if isinstance(inner, dict) else ():
            yield from _walk(value, f"{place}/{name}/{_escape(key)}")
    for name in SCHEMAS:
        yield from _walk(schema.get(name), f"{place}/{name}")
    for name in SCHEMA_LISTS:
        inner = schema.get(name)
        for number, value in enumerate(inner if isinstance(inner, list) else ()):
            yield from _walk(value, f"{place}/{name}/{number}")


def _unsupported_parts(place: str, schema: dict[str, Any]) -> Iterator[Fault]:
    """Find references outside the schema, and patterns that are not valid."""
    reference = schema.get("$ref")
    if isinstance(reference, str) and not reference.startswith("#"):
        yield Fault(f"{place}/$ref", "must begin with #: nothing is fetched")
    patterns = [("pattern", schema.get("pattern"))]
    inner = schema.get("patternProperties")
    patterns += [("patternProperties", key) for key in inner] if isinstance(inner, dict) else []
    for name, pattern in patterns:
        if isinstance(pattern, str) and not _is_pattern(pattern):
            yield Fault(f"{place}/{name}", "the pattern is not valid, or is too long")


def _lost_references(schema: Any) -> Iterator[Fault]:
    """Find references within the schema that lead to no schema."""
    from referencing.exceptions import Unresolvable

    if any(place and "$id" in inner for place, inner in _walk(schema, "")):
        return  # A part with an $id has references of its own, which only `check_answer` follows.
    try:
        resolver = resolver_of(schema)
    except ValueError:
        yield Fault("/$id", "is no address")
        return
    for place, inner in _walk(schema, ""):
        for name in ("$ref", "$dynamicRef"):
            reference = inner.get(name)
            if isinstance(reference, str) and reference.startswith("#"):
                try:
                    is_schema = isinstance(resolver.lookup(reference).contents, dict | bool)
                except (Unresolvable, TypeError, ValueError):  # the latter two: inside of a text
                    is_schema = False
                if not is_schema:
                    yield Fault(f"{place}/{name}", "leads to no schema")


def _is_pattern(pattern: str) -> bool:
    if len(pattern) > _PATTERN_MAX:
        return False
    if compile_pattern(pattern) is not None:
        return True
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return False
    return True


def _without_strict(place: str, schema: dict[str, Any]) -> Iterator[Fault]:
    for name in _NOT_STRICT:
        if name in schema:
            yield Fault(f"{place}/{name}", f"{name} is not supported in strict mode")
    if schema.get("type") == "object" or "properties" in schema:
        if schema.get("additionalProperties") is not False:
            yield Fault(f"{place}/additionalProperties", "must be false in strict mode")
        properties, required = set(schema.get("properties", {})), set(schema.get("required", []))
        for name in sorted(properties - required):
            yield Fault(f"{place}/required", f"{name} must be required in strict mode")
    if place == "" and schema.get("type") != "object":
        yield Fault("/type", "must be object in strict mode")


def _fault(error: "ValidationError") -> Fault:
    return Fault(_pointer(error.absolute_path) or "/", shorten(error.message))


def _pointer(path: Sequence[Any] | Any) -> str:
    return "".join(f"/{_escape(str(part))}" for part in path)


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
