"""Removes parts of a forwarded conversation that the provider would refuse.

Another provider may have written parts of the history. Its reasoning is marked or has no seal. This
provider verifies seals, so that reasoning is removed. If the last tool calls lose theirs, thinking
is disabled. System messages between the turns are rewritten for models that do not accept them:
Claude accepts them from Opus 4.8 and version 5 on
(platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages). Claude Code sends
them to every model whose name it does not know, including unknown names of older models.
"""

import re
from typing import Any, Final

import msgspec

from dialects.json.body import NO_QUIRKS, Body, Quirks
from dialects.json.raw_json import members_of

_MARKS: Final = ("openai:", "gemini:")
_THOUGHTS: Final = frozenset({"thinking", "redacted_thinking"})
_ON: Final = frozenset({"enabled", "adaptive"})
_ACCEPTING: Final = re.compile(r"claude-(?:opus-4[-.](?:[89]|\d\d)|[a-z]+-(?:[5-9]|\d\d))(?!\d)")

_raws = msgspec.json.Decoder(list[msgspec.Raw])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.encode


def is_foreign(signature: str) -> bool:
    """Return whether the seal is another provider's, or missing."""
    return not signature or signature.startswith(_MARKS)


def quirks_for(body: Body, model: str) -> Quirks:
    """Return the edits that remove what the model would refuse from the history."""
    before = _items(body.value("messages"))
    fitted = [_without_foreign(message) for message in before]
    if not accepts_system_turns(model):
        fitted = [message and _as_user(message) for message in fitted]
    if all(message_after is message for message_after, message in zip(fitted, before, strict=True)):
        return NO_QUIRKS
    after = [message_after for message_after in fitted if message_after is not None]
    edits: dict[str, bytes | None] = {"messages": _encode(after)}
    if members_of(body.value("thinking")).get("type") not in _ON or not _lack_thoughts(after):
        return Quirks(edits, ())
    return Quirks({**edits, "thinking": b'{"type":"disabled"}'}, ("thinking",))


def accepts_system_turns(model: str) -> bool:
    """Return whether a model, by the provider's name, accepts system messages between the turns."""
    return _ACCEPTING.search(model) is not None


def _as_user(message: msgspec.Raw) -> msgspec.Raw | None:
    """Return a system message as a user message whose text is marked as the system's; None if it
    has no text. Any other message is unchanged."""
    value = members_of(message)
    if value.get("role") != "system":
        return message
    content = value.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(blocks, list):
        return message
    marked = [_mark(block) for block in blocks]
    if not marked:
        return None
    members = _members.decode(message) | {
        "role": msgspec.Raw(b'"user"'),
        "content": msgspec.Raw(_encode(marked)),
    }
    return msgspec.Raw(_encode(members))


def _mark(block: Any) -> Any:
    """Return a block with its text marked as Claude Code marks it for older models."""
    if not isinstance(block, dict) or not isinstance(block.get("text"), str):
        return block
    return block | {"text": f"<system-reminder>\n{block['text']}\n</system-reminder>"}


def _without_foreign(message: msgspec.Raw) -> msgspec.Raw | None:
    """Return a message without foreign reasoning; None if the message would be empty."""
    if members_of(message).get("role") != "assistant":
        return message
    members = _members.decode(message)
    blocks = _items(bytes(members.get("content", b"")))
    own = [block for block in blocks if not _is_foreign(members_of(block))]
    if len(own) == len(blocks):
        return message
    if not own:
        return None
    return msgspec.Raw(_encode({**members, "content": own}))


def _is_foreign(block: dict[str, Any]) -> bool:
    seal = block.get("signature")
    return block.get("type") == "thinking" and isinstance(seal, str) and is_foreign(seal)


def _lack_thoughts(messages: list[msgspec.Raw]) -> bool:
    """Return whether the last assistant turn calls tools without the reasoning that led to it."""
    turns = (members_of(message) for message in reversed(messages))
    last = next((turn for turn in turns if turn.get("role") == "assistant"), {})
    content = last.get("content")
    blocks = content if isinstance(content, list) else []
    kinds = {block.get("type") for block in blocks if isinstance(block, dict)}
    return "tool_use" in kinds and kinds.isdisjoint(_THOUGHTS)


def _items(raw: bytes | None) -> list[msgspec.Raw]:
    return _raws.decode(raw) if raw is not None and raw.startswith(b"[") else []
