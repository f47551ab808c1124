"""What guards cannot check, which a key that has guards may not use."""

from typing import Final

from dialects.codec import Facts
from dialects.errors.errors import RequestFault
from relay.guarding.asking import RequestGuards

# The operations other than chats whose answers are no texts.
_WORDLESS: Final = frozenset({
    "embeddings", "embed_content", "batch_embed_contents", "speech", "moderations",
    "image_edits", "image_variations", "videos", "video_generations", "predict_long_running",
})  # fmt: skip
GUARDED: Final = frozenset({
    "chat_completions", "responses", "messages", "generate_content", "stream_generate_content",
    "interactions", "converse", "converse_stream",
})  # fmt: skip
"""The operations of chats whose answers guards can read."""

UNGUARDED: Final = frozenset({"passthrough", "realtime", "live_sessions", "live_calls"})
"""The operations that a key with guards may not use at all, like every WebSocket."""

# The members that are texts, or the ids of their tokens.
_TOKENS: Final = {"embeddings": "input", "completions": "prompt"}


def check_operation(
    guarding: RequestGuards, operation: str, facts: Facts, *, is_chat: bool
) -> None:
    """Check that guards can read the texts of a request and the answer of its operation, as far as
    a rule is about them. Raises RequestFault."""
    if guarding.rules.checks_request_texts and _has_token_ids(operation, facts):
        raise unguarded("token ids")
    if not guarding.rules.checks_answers:
        return
    if operation not in (GUARDED if is_chat else _WORDLESS):
        raise unguarded(f"the answers of {operation}")
    if facts.audio_output:
        raise unguarded("spoken answers")


def _has_token_ids(operation: str, facts: Facts) -> bool:
    member = _TOKENS.get(operation)
    raw = facts.body.value(member) if member is not None else None
    # Only a list whose first item is a text is one of texts alone.
    return raw is not None and raw[:1] == b"[" and raw[1:].lstrip()[:1] != b'"'


def unguarded(what: str) -> RequestFault:
    """Return the error for what guards cannot check."""
    return RequestFault("permission", None, f"{what}: its guards cannot check them")
