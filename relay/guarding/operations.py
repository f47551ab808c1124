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


def check_operation(
    guarding: RequestGuards, operation: str, facts: Facts, *, is_chat: bool
) -> None:
    """Check that guards can read the answer of an operation, if a rule is about answers. Raises
    RequestFault."""
    if not guarding.checks_answers:
        return
    if operation not in (GUARDED if is_chat else _WORDLESS):
        raise unguarded(f"the answers of {operation}")
    if facts.audio_output:
        raise unguarded("spoken answers")


def unguarded(what: str) -> RequestFault:
    """Return the error for what guards cannot check."""
    return RequestFault("permission", None, f"{what}: its guards cannot check them")
