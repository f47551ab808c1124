"""Rewrites system messages between the turns, for models that refuse them there.

Claude accepts them from Opus 4.8 and version 5 on
(platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages). Claude Code sends
them to every model whose name it does not know, including unknown names of older models.
"""

import re
from typing import Any, Final

import msgspec

from dialects.json.raw_json import members_of

_ACCEPTING: Final = re.compile(r"claude-(?:opus-4[-.](?:[89]|\d\d)|[a-z]+-(?:[5-9]|\d\d))(?!\d)")

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.encode


def are_accepted(model: str) -> bool:
    """Return whether a model, by the provider's name, accepts system messages between the turns."""
    return _ACCEPTING.search(model) is not None


def as_user(message: msgspec.Raw) -> msgspec.Raw | None:
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
