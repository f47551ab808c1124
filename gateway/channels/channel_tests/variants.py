"""The variants of a channel's test, and the stages of each, which `calls.py` explains."""

from collections.abc import Mapping
from typing import Final, Literal

Variant = Literal[
    "streamed",
    "plain",
    "tools",
    "schema",
    "vision",
    "files",
    "audio",
    "reasoning",
    "cancel",
    "realtime",
    "live",
]
Stage = Literal[
    "address", "connect", "accept", "answer", "stream", "tool", "schema", "seen", "read", "heard",
    "thought", "cancel", "usage",
]  # fmt: skip
_BEGIN: Final[tuple[Stage, ...]] = ("address", "connect", "accept", "answer")
STAGES: Final[Mapping[Variant, tuple[Stage, ...]]] = {
    "streamed": (*_BEGIN, "stream", "usage"),
    "plain": (*_BEGIN, "usage"),
    "tools": (*_BEGIN, "stream", "tool", "usage"),
    "schema": (*_BEGIN, "stream", "schema", "usage"),
    "vision": (*_BEGIN, "stream", "seen", "usage"),
    "files": (*_BEGIN, "stream", "read", "usage"),
    "audio": (*_BEGIN, "stream", "heard", "usage"),
    "reasoning": (*_BEGIN, "stream", "thought", "usage"),
    "cancel": (*_BEGIN, "cancel"),
    # One turn of a connection.
    "realtime": (*_BEGIN, "usage"),
    "live": (*_BEGIN, "usage"),
}
