"""Shadow traffic: a share of a model's requests is sent to another channel as well, whose answers
are compared and never shown.

A rule names a channel and what the model is called there, how many of a hundred requests go there
too, and what they may cost in a day. Both answers are compared by what they say, without anybody
judging which is better.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

from billing.currency.money import MoneyInvalid, format_usd, parse_usd

NAME_MAX: Final = 200
# Of each text, as much is compared.
_COMPARED_CHARACTERS: Final = 4_000


class ShadowInvalid(ValueError):
    """No rule can be so: `field` is channel, model, percent or cap."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} of a shadow is out of range")
        self.field = field


@dataclass(frozen=True, slots=True)
class ShadowRule:
    """`channel` is the name of a channel, `model` what is asked there, "" for what is asked of it
    anyway; `cap_nano` is what the shadows of a rule may cost in a day (UTC)."""

    channel: str
    percent: int
    cap_nano: int
    model: str = ""


class Likeness(NamedTuple):
    """How alike two answers are: `percent` of the pairs of neighbouring characters that they have
    in common, and whether both are JSON of one structure, None where one of them is none."""

    percent: int
    same_structure: bool | None


def build_shadow_rule(channel: str, percent: int, cap: str, model: str = "") -> ShadowRule:
    """A rule as somebody states it, its `cap` as decimal text of USD. Raises ShadowInvalid."""
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
    """The rule as it is stored and written; {} for none."""
    if rule is None:
        return {}
    named = {"model": rule.model} if rule.model else {}
    cap = format_usd(rule.cap_nano)
    return {"channel": rule.channel, **named, "percent": rule.percent, "cap": cap}


def read_shadow(stored: Mapping[str, Any] | None) -> ShadowRule | None:
    """The rule that is stored; None for none, and for one that this version does not know."""
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
    """A model's name that a client chose, as the database takes it: what does not fit one of its
    comparisons would cost all that are written with it."""
    return name.replace("\0", "").encode(errors="replace").decode()[:NAME_MAX]


def likeness(one: str, other: str) -> Likeness:
    """How alike two answers are."""
    return Likeness(_common_characters(one.strip(), other.strip()), _has_same_structure(one, other))


def _common_characters(one: str, other: str) -> int:
    """The Dice coefficient of the pairs of characters, in percent: no words are needed for it, so
    it means the same in every language."""
    if one == other:
        return 100
    counts = [Counter(pairwise(text[:_COMPARED_CHARACTERS])) for text in (one, other)]
    total = sum(map(Counter.total, counts))
    # Different texts are never said to be the same.
    return min(round(200 * (counts[0] & counts[1]).total() / total), 99) if total else 0


def _has_same_structure(one: str, other: str) -> bool | None:
    try:
        return bool(_structure(json.loads(one)) == _structure(json.loads(other)))
    except (ValueError, RecursionError):
        return None


def _structure(value: Any) -> Any:
    """The members and kinds of a value of JSON: of a list, the kinds that are in it."""
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
