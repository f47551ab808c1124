"""Rules about the calls of tools: which one fits a name and arguments."""

import json
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec
import re2

Decision = Literal["allow", "refuse", "ask"]
RULES_MAX: Final = 100
CONDITIONS_MAX: Final = 10
TEXT_MAX: Final = 200
UNREADABLE: Final = object()
"""Arguments that are no JSON, or name something twice: others may read them in another way."""
_MISSING: Final = object()


class ToolCondition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The argument at `pointer` (RFC 6901) contains what `pattern` (RE2) matches. A value that is
    no text counts as its JSON; one that is not there contains nothing."""

    pointer: str
    pattern: str

    def fits(self, arguments: Any) -> bool:
        value = _value_at(arguments, self.pointer)
        if value is _MISSING:
            return False
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return compiled(self.pattern).search(_encodable(text)) is not None


class ToolRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`name` may contain `*`, which stands for any characters. All `arguments` must fit."""

    name: str
    decision: Decision
    arguments: list[ToolCondition] = []

    def fits_name(self, name: str) -> bool:
        return _named(self.name).fullmatch(_encodable(name)) is not None

    def fits_arguments(self, arguments: Any) -> bool:
        """Return whether arguments fit. UNREADABLE ones fit no rule that allows, and all others."""
        if arguments is UNREADABLE:
            return not self.arguments or self.decision != "allow"
        return all(one.fits(arguments) for one in self.arguments)


class ToolRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rules: list[ToolRule]


def check_tool_rules(rules: ToolRules) -> None:
    """Raise `ValueError` for the first rule that cannot be."""
    if not 0 < len(rules.rules) <= RULES_MAX:
        raise ValueError(f"Enter between 1 and {RULES_MAX} rules for tools.")
    for rule in rules.rules:
        if not 0 < len(rule.name) <= TEXT_MAX:
            raise ValueError(f"The name of a tool has between 1 and {TEXT_MAX} characters.")
        if len(rule.arguments) > CONDITIONS_MAX:
            raise ValueError(f"{rule.name}: at most {CONDITIONS_MAX} conditions.")
        for one in rule.arguments:
            if len(one.pointer) > TEXT_MAX or (one.pointer and not one.pointer.startswith("/")):
                raise ValueError(f"{rule.name}: a pointer begins with /, such as /command.")
            if not 0 < len(one.pattern) <= TEXT_MAX:
                raise ValueError(f"{rule.name}: a pattern has 1 to {TEXT_MAX} characters.")
            try:
                compiled(one.pattern)
            except re2.error as error:
                raise ValueError(f"{rule.name}: the pattern cannot be read: {error}.") from error


def read_arguments(text: str) -> Any:
    """Return the arguments of a call; none at all are an empty object."""
    try:
        return json.loads(text or "{}", object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):
        return UNREADABLE


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name stands there twice")
    return members


def _value_at(value: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return _MISSING
    return value


@lru_cache(1_000)
def compiled(pattern: str) -> Any:
    """Return the pattern for `search`. Raises `re2.error`."""
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    return re2.compile(pattern, options)


@lru_cache(1_000)
def _named(name: str) -> Any:
    return compiled(".*".join(re2.escape(part) for part in name.split("*")))


def _encodable(text: str) -> str:
    """Return a text of the same length without halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode()
