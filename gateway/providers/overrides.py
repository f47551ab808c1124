"""An operator's corrections to the catalogue's capabilities of a model at a channel.

    tools      whether it calls functions
    schema     whether it follows a JSON schema
    vision     whether it reads pictures
    audio      whether it accepts sound
    files      whether it reads documents
    reasoning  whether it reasons
    think_tags whether it writes its reasoning into the text, in <think> tags

    context_max, output_max    its maximum context and output, in tokens

A self-hosted server may offer less than its model can do, or more than the catalogue knows. A
request that needs disabled tools or input kinds is refused at that channel, so that another channel
is tried. Without `schema`, the schema is described in the prompt; without `reasoning`, none is
offered. What is enabled is offered.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Literal, get_args

from dialects.chat.chat import Flag
from gateway.providers.capabilities import UNKNOWN, Capabilities, Modality, Trait

Capability = Literal["tools", "schema", "vision", "audio", "files", "reasoning", "think_tags"]
Overrides = frozenset[tuple[str, int]]
"""A capability and whether it is on, or a limit and its number."""

CAPABILITIES: Final[tuple[Capability, ...]] = get_args(Capability)
UNSAID: Final = replace(UNKNOWN, inputs=frozenset({"text"}), tools=False, json="none")
"""The displayed capabilities of an unknown model, before the operator's overrides."""
_SCHEMA_IN_WORDS: Final[frozenset[Flag]] = frozenset({"json_object_only"})
_TAGS: Final[frozenset[Trait]] = frozenset({"think_tags"})
_INPUTS: Final[Mapping[str, Modality]] = MappingProxyType(
    {"vision": "image", "audio": "audio", "files": "file"}
)


def has_capability(overrides: Overrides) -> bool:
    """Return whether the overrides state a capability, not only limits."""
    return any(name in CAPABILITIES for name, _ in overrides)


@lru_cache(4096)
def apply_overrides(can: Capabilities, overrides: Overrides) -> Capabilities:
    """Apply the operator's overrides to the model's capabilities."""
    inputs = set(can.inputs)
    for name, on in overrides:
        modality = _INPUTS.get(name)
        if modality is not None:
            (inputs.add if on else inputs.discard)(modality)
        elif name == "context_max":
            can = replace(can, context_max=on)
        elif name == "output_max":
            can = replace(can, output_max=on)
        elif name == "tools":
            can = replace(can, tools=bool(on), parallel_tools=bool(on) and can.parallel_tools)
        elif name == "schema":
            flags = can.flags - _SCHEMA_IN_WORDS if on else can.flags | _SCHEMA_IN_WORDS
            can = replace(can, json="schema" if on else "object", flags=flags)
        elif name == "think_tags":
            can = replace(can, traits=can.traits | _TAGS if on else can.traits - _TAGS)
        elif name == "reasoning" and not on:
            can = replace(can, thinking="never", efforts=())
        elif name == "reasoning" and can.thinking in (None, "never"):
            can = replace(can, thinking="effort")
    return replace(can, inputs=frozenset(inputs))


def switched_off(overrides: Overrides, media: Collection[str], *, tools: bool) -> Capability | None:
    """Return a feature that the request needs and the operator has disabled, or None. `media` are
    the kinds of the request's content parts."""
    if tools and ("tools", False) in overrides:
        return "tools"
    for name, modality in _INPUTS.items():
        if modality in media and (name, False) in overrides:
            return name  # type: ignore[return-value]
    return None
