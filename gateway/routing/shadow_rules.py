"""Shadow traffic: a share of a model's requests is also sent to another channel. Its answers are
compared and never returned to clients.

A rule names a channel, the model's name there, the percentage of requests that go there too, and
their maximum cost per day. The comparison of the answers is mechanical; nobody judges which is
better.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

from billing.currency.money import MoneyInvalid, format_usd, parse_usd

NAME_MAX: Final = 200
STOPPED: Final = "stopped"
"""The fault of an answer that was still running when the process stopped."""
# The number of characters of each text that are compared.
_COMPARED_CHARACTERS: Final = 4_000


class ShadowInvalid(ValueError):
    """The rule is invalid: `field` is channel, model, percent or cap."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} of a shadow is out of range")
        self.field = field


@dataclass(frozen=True, slots=True)
class ShadowRule:
    """`channel` is the name of a channel. `model` is the model's name there, "" for the name that
    the channel uses anyway. `cap_nano` is the maximum cost of a rule's shadows per day (UTC)."""

    channel: str
    percent: int
    cap_nano: int
    model: str = ""


class Likeness(NamedTuple):
    """The similarity of two answers: `percent` of the pairs of neighbouring characters that they
    share, and whether both are JSON of the same structure, None if one of them is not JSON."""

    percent: int
    same_structure: bool | None


def build_shadow_rule(channel: str, percent: int, cap: str, model: str = "") -> ShadowRule:
    """Return a rule from an operator's values, with `cap` as decimal text of USD. Raises
    ShadowInvalid."""
    for field, name in (("channel", channel), ("model", model)):
        if len(name) > NAME_MAX or (not name and field == "channel") or "\0" in name:
            raise ShadowInvalid(field)
    if not 1 <= percent <= 100:
        raise ShadowInvalid("percent")
    try:
        cap_nano = parse_usd(cap)
    except MoneyInvalid:
        raise ShadowInvalid("cap") from None
    if cap_nano <= 0:
        raise ShadowInvalid("cap")
    return ShadowRule(channel, percent, cap_nano, model)


def stored_shadow(rule: ShadowRule | None) -> dict[str, Any]:
    """Return the rule in its stored form; {} for none."""
    if rule is None:
        return {}
    named = {"model": rule.model} if rule.model else {}
    cap = format_usd(rule.cap_nano)
    return {"channel": rule.channel, **named, "percent": rule.percent, "cap": cap}


def read_shadow(stored: Mapping[str, Any] | None) -> ShadowRule | None:
    """Parse a stored rule. Return None for no rule, and for a rule that this version cannot
    read."""
    if not stored:
        return None
    try:
        return build_shadow_rule(
            stored.get("channel", ""),
            stored.get("percent", 0),
            stored.get("cap", ""),
            stored.get("model", ""),
        )
    except ShadowInvalid:
        return None


def storable_name(name: str) -> str:
    """Return a client's model name in a form that the database accepts. Otherwise one invalid name
    would lose all comparisons that are written with it."""
    return name.replace("\0", "").encode(errors="replace").decode()[:NAME_MAX]


def likeness(one: str, other: str) -> Likeness:
    """Return the similarity of two answers."""
    return Likeness(_common_characters(one.strip(), other.strip()), _has_same_structure(one, other))


def _common_characters(one: str, other: str) -> int:
    """Return the Dice coefficient of the pairs of characters, in percent. It does not depend on
    words, so it means the same in every language."""
    if one == other:
        return 100
    counts = [Counter(pairwise(text[:_COMPARED_CHARACTERS])) for text in (one, other)]
    total = sum(map(Counter.total, counts))
    # Different texts never give 100 percent.
    return min(round(200 * (counts[0] & counts[1]).total() / total), 99) if total else 0


def _has_same_structure(one: str, other: str) -> bool | None:
    try:
        return bool(_structure(json.loads(one)) == _structure(json.loads(other)))
    except (ValueError, RecursionError):
        return None


def _structure(value: Any) -> Any:
    """Return the members and types of a JSON value; for a list, the types in it."""
    if isinstance(value, dict):
        return {name: _structure(inner) for name, inner in value.items()}
    if isinstance(value, list):
        kinds: list[Any] = []
        for inner in map(_structure, value):
            if inner not in kinds:
                kinds.append(inner)
        return kinds
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else "string"
