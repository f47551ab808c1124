"""The steps that a request lets its provider run and bill besides its own model's answer:
compaction, other models, advice. The hold must cover them (I13); hosted tools are in
`hosted_tools.py`.
"""

from typing import Any, Final, NamedTuple

from dialects.chat.hosted_tools import most_uses
from dialects.json.body import Body
from dialects.json.raw_json import dicts, value_of

_COMPACTS: Final = ("compaction", "context_management")


class Advisor(NamedTuple):
    """Another model that the model may ask for advice, up to `uses` times. `output_cap` None is
    that model's own limit."""

    model: str
    uses: int
    output_cap: int | None


class OtherSteps(NamedTuple):
    """The steps that may be billed in addition to the answer. `any_fallback`: the provider chooses
    the model."""

    compacts: bool
    fallbacks: tuple[str, ...]
    any_fallback: bool
    advisors: tuple[Advisor, ...]


def other_steps(body: Body) -> OtherSteps | None:
    """Return the steps that a body asks for; None without any."""
    members = body.members
    raw_tools = body.value("tools") or b""
    compacts = any(name in members and _compacts(body, name) for name in _COMPACTS)
    fallbacks, any_fallback = _fallbacks(body) if "fallbacks" in members else ((), False)
    advisors = _advisors(raw_tools) if b"advisor" in raw_tools else ()
    if not (compacts or fallbacks or any_fallback or advisors):
        return None
    return OtherSteps(compacts, fallbacks, any_fallback, advisors)


def _compacts(body: Body, name: str) -> bool:
    raw = body.value(name)
    return raw is not None and (name == "compaction" or b"compact" in raw)


def _fallbacks(body: Body) -> tuple[tuple[str, ...], bool]:
    raw = body.value("fallbacks")
    if raw is None:
        return (), False
    value: Any = value_of(raw)
    if not isinstance(value, list):
        return (), True
    names = [row.get("model") if isinstance(row, dict) else row for row in value]
    return tuple(name for name in names if isinstance(name, str)), False


def _advisors(raw_tools: bytes) -> tuple[Advisor, ...]:
    tools = [
        tool for tool in dicts(value_of(raw_tools)) if str(tool.get("type")).startswith("advisor")
    ]
    return tuple(
        Advisor(
            str(tool.get("model")),
            most_uses(tool.get("max_uses")),
            cap if type(cap := tool.get("max_tokens")) is int and cap > 0 else None,
        )
        for tool in tools
    )
