"""Validates an answer against a JSON Schema with bounded work. Both are texts from outside. The
library alone would let them take years: patterns that backtrack, and references that each lead to
several others.

TooMuchWork    the work exceeds WORK_MAX
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import re2

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from referencing._core import Resolver

WORK_MAX: Final = 100_000
"""How much work one answer may take, in applied keywords: some seconds."""
_PATTERN_WORK: Final = 1_000
"""How many characters times instructions of a pattern count as one keyword."""
_MESSAGE_WORK: Final = 100
"""How many characters of a message, which contains the value, count as one keyword."""
MESSAGE_MAX: Final = 200

# As JavaScript writes a character.
_CODE_POINT: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u([0-9a-fA-F]{4})")
_Keyword = Callable[[Any, Any, Any, Mapping[str, Any]], "Iterator[ValidationError] | None"]


class TooMuchWork(ValueError):
    """The schema makes a check of this answer too long."""


class _Work:
    def __init__(self) -> None:
        self._left = WORK_MAX
        self._compiled: dict[str, Any] = {}

    def spend(self, work: int) -> None:
        self._left -= work
        if self._left < 0:
            raise TooMuchWork("the check takes too long")

    def pattern(self, pattern: str) -> Any:
        """Return a compiled pattern, which is compiled once for an answer."""
        if pattern not in self._compiled:
            self._compiled[pattern] = compile_pattern(pattern)
        return self._compiled[pattern]


_work: ContextVar[_Work] = ContextVar("_work")


def errors_of(answer: Any, schema: Any) -> "list[ValidationError]":
    """Return the errors of an answer. Raises TooMuchWork, and whatever the library raises for a
    schema that it cannot apply."""
    _work.set(_Work())
    validator = _validator_class(_mentions(schema, "patternProperties"))
    return list(validator(schema, _resolver=resolver_of(schema)).iter_errors(answer))


def resolver_of(schema: Any) -> "Resolver[Any]":
    """Return what resolves the references within a schema. Nothing outside it is ever fetched."""
    # Loaded with the first schema rather than when the process starts.
    from referencing import Registry
    from referencing.jsonschema import DRAFT202012

    resource = DRAFT202012.create_resource(schema)
    address = resource.id() or ""
    # An anchor is searched in the whole schema: once, rather than with each reference to it.
    registry: Registry[Any] = Registry().with_resource(address, resource)
    return registry.crawl().resolver(address)


def compile_pattern(pattern: str) -> Any:
    """Return a pattern in RE2's linear time, or None if RE2 does not support it: it looks around,
    refers back, or repeats more than 1,000 times."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(_CODE_POINT.sub(r"\1\\x{\2}", pattern), options)
    except re2.error:
        return None


def shorten(message: str) -> str:
    half = MESSAGE_MAX // 2 - 10
    return message if len(message) <= MESSAGE_MAX else f"{message[:half]} … {message[-half:]}"


@cache
def _validator_class(has_patterns: bool) -> Any:
    # Loaded with the first schema rather than when the process starts.
    import attrs
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    own: dict[str, _Keyword] = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": partial(
            _additional_properties, Draft202012Validator.VALIDATORS["additionalProperties"]
        ),
        "uniqueItems": _unique_items,
    }
    if has_patterns:
        # The library searches the names with patterns of its own here.
        own["unevaluatedProperties"] = lambda *_: iter(())
    keywords = {**Draft202012Validator.VALIDATORS, **own}
    validator: Any = extend(  # type: ignore[no-untyped-call]
        Draft202012Validator, {name: _counted(keyword) for name, keyword in keywords.items()}
    )
    # The library's `evolve` would leave this class for a part of a schema with a $schema.
    validator.evolve = attrs.evolve
    return validator


def _counted(keyword: _Keyword) -> _Keyword:
    def check(
        validator: Any, value: Any, answer: Any, schema: Mapping[str, Any]
    ) -> "Iterator[ValidationError]":
        work = _work.get()
        work.spend(1)
        for error in keyword(validator, value, answer, schema) or ():
            work.spend(len(error.message) // _MESSAGE_WORK)
            error.message = shorten(error.message)
            yield error

    return check


def _pattern(
    validator: Any, pattern: str, answer: Any, _schema: Mapping[str, Any]
) -> "Iterator[ValidationError]":
    if validator.is_type(answer, "string") and not _may_match(pattern, answer):
        yield _error(f"{answer!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], answer: Any, _schema: Mapping[str, Any]
) -> "Iterator[ValidationError]":
    if validator.is_type(answer, "object"):
        for pattern, inner in patterns.items():
            if _work.get().pattern(pattern) is None:
                continue
            for name, value in answer.items():
                if _may_match(pattern, name):
                    yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _additional_properties(
    library: _Keyword, validator: Any, inner: Any, answer: Any, schema: Mapping[str, Any]
) -> "Iterator[ValidationError] | None":
    if validator.is_type(answer, "object") and "patternProperties" in schema:
        patterns = schema["patternProperties"]
        answer = {
            name: value
            for name, value in answer.items()
            if not any(_may_match(pattern, name) for pattern in patterns)
        }
        schema = {name: value for name, value in schema.items() if name != "patternProperties"}
    return library(validator, inner, answer, schema)


def _may_match(pattern: str, text: str) -> bool:
    """Return whether a text matches, or the pattern is not supported."""
    work = _work.get()
    compiled = work.pattern(pattern)
    if compiled is None:
        return True
    work.spend(1 + len(text) * compiled.programsize // _PATTERN_WORK)
    return compiled.search(text) is not None


def _unique_items(
    validator: Any, is_unique: Any, answer: Any, _schema: Mapping[str, Any]
) -> "Iterator[ValidationError]":
    # The library compares each two objects.
    if not is_unique or not validator.is_type(answer, "array"):
        return
    if len(set(map(_hashable, answer))) < len(answer):
        yield _error(f"{answer!r} has non-unique elements")


def _error(message: str) -> "ValidationError":
    from jsonschema.exceptions import ValidationError

    return ValidationError(message)


def _hashable(value: Any) -> Any:
    """Return what is equal for JSON values that are equal: 1 and 1.0, but not 1 and true."""
    if isinstance(value, dict):
        return "object", frozenset((name, _hashable(inner)) for name, inner in value.items())
    if isinstance(value, list):
        return "array", tuple(map(_hashable, value))
    return isinstance(value, bool), value


def _mentions(value: Any, name: str) -> bool:
    """Return whether an object anywhere in a value has this name."""
    if isinstance(value, dict):
        return name in value or any(_mentions(inner, name) for inner in value.values())
    return isinstance(value, list) and any(_mentions(inner, name) for inner in value)
