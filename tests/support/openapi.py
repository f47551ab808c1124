"""The published schemas of OpenAI's API and of Open Responses; answers are held against them.

    python -m tests.support.openapi DIRECTORY

reads openai.openapi.json (MIT licence) and openresponses.openapi.json (Apache-2.0) there and writes
what the tests need of them to tests/golden/specs: the components that the roots below reach,
without their prose, as JSON Schema 2020-12. `nullable` of OpenAPI 3.0, which OpenAI's document has
kept, becomes a type; a discriminator says nothing there that the variants do not say themselves,
and a recursive reference of 2019-09 means nothing any more.
"""

import json
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

from jsonschema_rs import Draft202012Validator, ValidationError

SPECS = Path(__file__).parents[1] / "golden" / "specs"
Publisher = Literal["openai", "openresponses"]
ROOTS: dict[Publisher, tuple[str, ...]] = {
    "openai": (
        "CompactResource",
        "CreateChatCompletionResponse",
        "CreateChatCompletionStreamResponse",
        "CreateCompletionResponse",
        "CreateEmbeddingResponse",
        "CreateModerationResponse",
        "CreateResponse",
        "CreateSpeechResponseStreamEvent",
        "CreateTranscriptionResponseJson",
        "CreateTranscriptionResponseStreamEvent",
        "CreateTranslationResponseJson",
        "DeletedVideoResource",
        "ErrorResponse",
        "ImageEditStreamEvent",
        "ImageGenStreamEvent",
        "ImagesResponse",
        "ListModelsResponse",
        "Response",
        "ResponseItemList",
        "ResponseStreamEvent",
        "TokenCountsResource",
        "VideoListResource",
        "VideoResource",
    ),
    "openresponses": (
        "CompactResource",
        "CreateResponseBody",
        "ResponseResource",
        "WebSocketErrorEvent",
        "WebSocketResponseCreateEvent",
    ),
}
_PROSE = ("description", "title", "example", "examples", "default", "deprecated", "externalDocs",
          "discriminator", "$recursiveAnchor", "$recursiveRef")  # fmt: skip
_PREFIX = "#/components/schemas/"


# ---- from the documents to what is kept of them


def main() -> None:
    directory = Path(sys.argv[1])
    SPECS.mkdir(exist_ok=True)
    for publisher, roots in ROOTS.items():
        document = json.loads((directory / f"{publisher}.openapi.json").read_text())
        schemas = document["components"]["schemas"]
        events = [name for name in schemas if name.endswith("StreamingEvent")]
        kept: dict[str, Any] = {}
        wanted = [*roots, *(events if publisher == "openresponses" else ())]
        while wanted:
            name = wanted.pop()
            if name not in kept:
                kept[name] = _reduced(schemas[name])
                wanted += _references(kept[name])
        text = json.dumps({"$defs": kept}, sort_keys=True, ensure_ascii=False, indent=None)
        (SPECS / f"{publisher}.json").write_text(text.replace("}, ", "},\n") + "\n")


def _reduced(schema: Any, *, names: bool = False) -> Any:
    """`names`: the keys are names of properties, not keywords."""
    if isinstance(schema, list):
        return [_reduced(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: _reduced(value, names=key == "properties" and not names)
        for key, value in schema.items()
        if names or not (key in _PROSE or key == "nullable" or key.startswith("x-"))
    }
    if not names and isinstance(kept.get("$ref"), str):
        kept["$ref"] = kept["$ref"].replace(_PREFIX, "#/$defs/")
    return {"anyOf": [kept, {"type": "null"}]} if schema.get("nullable") is True else kept


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].removeprefix("#/$defs/")
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _references(item)


# ---- holding answers against them


def check(value: Any, publisher: Publisher, name: str) -> None:
    """Fail unless the value is what the publisher's schema says."""
    faults = list(_validator(publisher, name).iter_errors(value))
    assert faults == [], [_fault_text(fault) for fault in faults]


def unknown_members(value: Any, publisher: Publisher, name: str) -> set[str]:
    """The names of members that the publisher's schema does not have where they stand.

    For a value that `check` passes.
    """
    faults = _closed_validator(publisher, name).iter_errors(value)
    return set().union(*map(_unknown_in, faults))


def _unknown_in(fault: ValidationError) -> set[str]:
    """Of several variants, that one is meant to which the fewest members are unknown."""
    if fault.kind.name == "unevaluatedProperties":
        return set(fault.kind.as_dict()["unexpected"])
    variants = [[_unknown_in(inner) for inner in variant] for variant in _variants(fault)]
    # A variant that fits in no way at all says so by an empty set.
    fitting = [set().union(*one_result) for one_result in variants if all(one_result)]
    return min(fitting, key=len, default=set())


def _variants(fault: ValidationError) -> list[list[ValidationError]]:
    """What is wrong with the value in each of the variants that it may have."""
    result: list[list[ValidationError]] = getattr(fault.kind, "context", [])
    return result


def event_names(publisher: Publisher) -> dict[str, str]:
    """The names of the schemas of stream events by the type that they describe."""
    return {
        schema["properties"]["type"]["enum"][0]: name
        for name, schema in _schemas(publisher).items()
        if name.endswith("Event") and "sequence_number" in schema.get("properties", {})
    }


def _fault_text(fault: ValidationError) -> str:
    while inner := [one for variant in _variants(fault) for one in variant]:
        # The variant that is meant is the one that fits the furthest.
        fault = max(inner, key=lambda one: len(one.instance_path))
    return f"{'.'.join(map(str, fault.instance_path))}: {fault.message[:300]}"


@cache
def _schemas(publisher: Publisher) -> dict[str, Any]:
    schemas: dict[str, Any] = json.loads((SPECS / f"{publisher}.json").read_text())["$defs"]
    return schemas


@cache
def _validator(publisher: Publisher, name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": _schemas(publisher)})


@cache
def _closed_validator(publisher: Publisher, name: str) -> Draft202012Validator:
    schemas = _schemas(publisher)
    open_ones = set(_in_all_of(schemas))
    closed = {
        other: schema if other in open_ones else _closed(schema)
        for other, schema in schemas.items()
    }
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": closed})


def _in_all_of(schema: Any) -> Iterator[str]:
    """What is a part of something larger cannot be closed by itself."""
    if isinstance(schema, dict):
        yield from _references(schema.get("allOf"))
        for value in schema.values():
            yield from _in_all_of(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _in_all_of(item)


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    whole = {key: value if key == "allOf" else _closed(value) for key, value in schema.items()}
    objects = isinstance(schema.get("properties"), dict) or "allOf" in schema
    if objects and "additionalProperties" not in schema:
        whole["unevaluatedProperties"] = False
    return whole


if __name__ == "__main__":
    main()
