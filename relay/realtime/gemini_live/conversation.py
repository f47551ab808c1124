"""Our own count of a live connection's input and output."""

from typing import Final

from dialects.realtime import gemini_live as live
from dialects.realtime.gemini_live import ClientMessage
from relay.realtime.conversation import Conversation

# A picture in the highest resolution (ai.google.dev, "Media resolution", 2026-11).
_PICTURE_TOKENS: Final = 1_120


class LiveConversation(Conversation):
    """Counts the context of one live connection, which begins with at most `context_tokens`."""

    __slots__ = ()

    input_token_ms = live.INPUT_TOKEN_MS

    def __init__(self, context_tokens: int) -> None:
        super().__init__()
        self._known = context_tokens
        self._heard["in_text"] = context_tokens
        self.said_bytes_ms = live.SAID_BYTES_MS

    def note_message(self, message: ClientMessage) -> None:
        """Count a message of the client that was forwarded."""
        self._heard_ms += message.sound_ms
        if message.pictures:
            tokens = message.pictures * _PICTURE_TOKENS
            self._heard["in_image"] = self._heard.get("in_image", 0) + tokens
            self._known += tokens
        self._heard["in_text"] += message.other_bytes // 4
        self._sent_bytes += message.other_bytes
