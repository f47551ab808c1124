"""Mistral's form of the openai dialect, for models with the flag `mistral_form`.

Mistral refuses requests with unknown members, has other names for two members, and requires ids of
tool calls to be nine letters and digits. Its streams always report usage.

Members: Mistral's client for Python 2.5.1 (2026-06). `max_completion_tokens` is refused
(editor-code-assistant/eca, issue 231), and so is `reasoning_content` (charmbracelet/crush, issue
1590) and an id of another form (nearai/ironclaw, issue 1241, 2026-03).
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

# Mistral's name for each member of the dialect that it calls otherwise.
RENAMED: Final[Mapping[str, str]] = {
    "max_completion_tokens": "max_tokens",
    "seed": "random_seed",
}
MEMBERS: Final = frozenset(
    {
        *("model", "messages", "temperature", "top_p", "max_tokens", "stream", "stop", "n"),
        *("random_seed", "metadata", "response_format", "tools", "tool_choice", "prediction"),
        *("presence_penalty", "frequency_penalty", "parallel_tool_calls", "reasoning_effort"),
        *("prompt_mode", "guardrails", "prompt_cache_key", "safe_prompt"),
    }
)
# Fields of the neutral request that Mistral does not support.
UNKNOWN_FIELDS: Final = (
    *("logprobs", "top_logprobs", "logit_bias", "top_k", "user", "service_tier", "store"),
    *("verbosity", "safety_identifier"),
)
# Removed without being named as dropped, because the answer is the same without it.
DROPPED_SILENTLY: Final = frozenset({"stream_options"})
_OF_MESSAGE: Final[Mapping[str, frozenset[str]]] = {
    "system": frozenset({"role", "content"}),
    "user": frozenset({"role", "content"}),
    "assistant": frozenset({"role", "content", "tool_calls", "prefix"}),
    "tool": frozenset({"role", "content", "tool_call_id", "name"}),
}
_CALL_ID: Final = re.compile(r"[A-Za-z0-9]{9}")
_LETTERS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def unknown_members(names: Iterable[str]) -> list[str]:
    """Return the members of a body that Mistral refuses."""
    return [name for name in names if name not in MEMBERS and name not in RENAMED]


def fit_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message with only the members that Mistral knows, and with call ids in its form."""
    known = _OF_MESSAGE.get(str(message.get("role")))
    fitted = {k: v for k, v in message.items() if known is None or k in known}
    if isinstance(fitted.get("tool_call_id"), str):
        fitted["tool_call_id"] = to_mistral_call_id(fitted["tool_call_id"])
    calls = fitted.get("tool_calls")
    if isinstance(calls, list):
        fitted["tool_calls"] = [_fit_call(call) for call in calls]
    return fitted


def _fit_call(call: Any) -> Any:
    if isinstance(call, dict) and isinstance(call.get("id"), str):
        return call | {"id": to_mistral_call_id(call["id"])}
    return call


def to_mistral_call_id(id_: str) -> str:
    """Return an id in Mistral's form. Equal ids always map to equal ids."""
    if _CALL_ID.fullmatch(id_):
        return id_
    number = int.from_bytes(hashlib.sha256(id_.encode()).digest()[:8])
    letters = []
    for _ in range(9):
        number, place = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[place])
    return "".join(letters)
