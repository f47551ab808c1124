"""The other steps of a Messages request (dialects/chat/steps.py)."""

from typing import Any, Final

from dialects.chat.hosted_tools import most_uses
from dialects.chat.steps import Advisor, OtherSteps
from dialects.json.body import Body
from dialects.json.raw_json import dicts, value_of

_COMPACTS: Final = ("compaction", "context_management")


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
