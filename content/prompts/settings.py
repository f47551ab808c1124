"""The settings of a saved prompt, or of a turn in the playground: parameters, system prompt, tools,
output schema, limit; and the members of a chat request that they become.

The stored form is JSON with only the settings that were made:

    {"params": {name: value}, "system": text, "variables": {name: text}, "tools": [tool …],
     "tool_choice": word, "serial": true, "schema": {…}, "strict": true, "raw": {…},
     "max_cost": "0.05", "trim": true}

A tool is {"name", "description", "parameters", "strict", "mock", "always"}: `mock` is a result to
use for it, `always` uses it without asking. `trim` leaves out the oldest turns if a chat is longer
than the model's context. `raw` replaces everything except system prompt, messages and limit.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a turn. See the module for the members."""

    params: Mapping[str, Any] = field(default_factory=dict)
    system: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: str = ""
    serial: bool = False
    schema: Mapping[str, Any] | None = None
    strict: bool = False
    raw: Mapping[str, Any] | None = None
    max_cost: str = ""
    trim: bool = False

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> "Settings":
        return cls(**{name: stored[name] for name in cls.__slots__ if name in stored})

    def stored(self) -> dict[str, Any]:
        """Return only the settings that were set."""
        values = {name: getattr(self, name) for name in self.__slots__}
        # An empty schema or body is a setting too: the schema accepts everything, the body adds
        # nothing.
        return {
            name: value
            for name, value in values.items()
            if value or (name in ("schema", "raw") and value is not None)
        }


def members_of(settings: Settings, flags: Collection[str]) -> dict[str, Any]:
    """Return the members of a chat request in the openai dialect, without model and messages.
    `flags` are those of the model's capabilities."""
    if settings.raw is not None:
        members = dict(settings.raw)
    else:
        members = wire_of(settings.params, flags) | tool_members(settings) | form_members(settings)
    if settings.max_cost:
        members["max_cost"] = settings.max_cost
    return members


def tool_members(settings: Settings) -> dict[str, Any]:
    """Return the members for the tools."""
    if not settings.tools:
        return {}
    names = ("name", "description", "parameters", "strict")
    wire: dict[str, Any] = {
        "tools": [
            {"type": "function", "function": {name: tool[name] for name in names if name in tool}}
            for tool in settings.tools
        ]
    }
    if settings.tool_choice in ("auto", "none", "required"):
        wire["tool_choice"] = settings.tool_choice
    elif settings.tool_choice:
        wire["tool_choice"] = {"type": "function", "function": {"name": settings.tool_choice}}
    if settings.serial:
        wire["parallel_tool_calls"] = False
    return wire


def form_members(settings: Settings) -> dict[str, Any]:
    """Return the members for the output schema."""
    if settings.schema is None:
        return {}
    title = settings.schema.get("title")
    name = "".join(sign for sign in str(title or "") if sign.isascii() and sign.isalnum())[:64]
    form: dict[str, Any] = {"name": name or "answer", "schema": settings.schema}
    if settings.strict:
        form["strict"] = True
    return {"response_format": {"type": "json_schema", "json_schema": form}}


def wire_of(values: Mapping[str, Any], flags: Collection[str]) -> dict[str, Any]:
    """Return the members of a chat request in the openai dialect."""
    wire: dict[str, Any] = {}
    for name, value in values.items():
        if name == "max_output":
            only = "max_completion_tokens_only" in flags
            wire["max_completion_tokens" if only else "max_tokens"] = value
        elif name == "thinking":
            wire["thinking"] = {"type": "enabled" if value == "on" else "disabled"}
            if "enable_thinking_switch" in flags:
                wire["enable_thinking"] = wire.pop("thinking")["type"] == "enabled"
        elif name == "thinking_budget":
            wire["thinking"] = {"type": "enabled", "budget_tokens": value}
        elif name == "logprobs":
            wire |= {"logprobs": True, "top_logprobs": value}
        elif name == "cache":
            continue  # it marks messages instead of setting a member
        elif name == "web_search":
            wire["web_search_options"] = {}
        elif name == "voice":
            # Streamed sound is raw PCM samples.
            wire |= {"modalities": ["text", "audio"], "audio": {"voice": value, "format": "pcm16"}}
        else:
            wire[name] = value
    return wire
