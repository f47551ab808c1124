"""The steps that a request lets its provider run and bill besides its own model's answer:
compaction, other models, advice, web searches. The hold must cover them (I13).
"""

from typing import Any, Final, NamedTuple

from dialects.json.body import Body
from dialects.json.raw_json import dicts, value_of

_COMPACTS: Final = ("compaction", "context_management")
# The searches that a hold covers if the request sets no limit; the customer does not pay for more
# (I13).
SEARCHES_ASSUMED: Final = 10


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
            most_searches(tool.get("max_uses")),
            cap if type(cap := tool.get("max_tokens")) is int and cap > 0 else None,
        )
        for tool in tools
    )


def search_tools(body: Body) -> list[dict[str, Any]]:
    """Return the provider's own search tools in a request."""
    raw = body.value("tools")
    if raw is None or b"web_search" not in raw:
        return []
    tools = dicts(value_of(raw))
    return [tool for tool in tools if str(tool.get("type")).startswith("web_search")]


def most_searches(uses_max: Any, assumed: int = SEARCHES_ASSUMED) -> int:
    """Return the client's limit if it is valid, otherwise the assumed one."""
    return uses_max if type(uses_max) is int and uses_max >= 0 else assumed
