"""Our own count of a realtime connection's input and output: an upper bound for what its next
response reads."""

from collections.abc import Mapping
from typing import ClassVar, Final

from dialects.realtime import realtime
from dialects.realtime.realtime import ClientEvent, ServerEvent

# A token of text is rarely shorter, in any script, and every event has member names besides its
# text.
_BYTES_A_TOKEN: Final = 3
_DEFAULT_BYTES_MS: Final = 48


class Conversation:
    """Counts what one connection has sent and received. `transcription` is the model that
    transcribes input, "" for none."""

    __slots__ = (
        "_heard", "_heard_bytes_ms", "_heard_ms", "_known", "_measured", "_sent_bytes",
        "said_bytes_ms", "transcription",
    )  # fmt: skip

    input_token_ms: ClassVar[int] = realtime.INPUT_TOKEN_MS

    def __init__(self) -> None:
        # The tokens of the conversation by our own count, if no usage reports them.
        self._heard = {"in_text": 0}
        self._heard_ms = 0
        self._heard_bytes_ms = self.said_bytes_ms = _DEFAULT_BYTES_MS
        # An upper bound of the context: its size when a response began, what the response was
        # reported to have read and said, and what arrived since.
        self._known = self._measured = self._sent_bytes = 0
        self.transcription = ""

    @property
    def tokens_max(self) -> int:
        """Return an upper bound of what the next response reads."""
        return (
            self._known + self._sent_bytes // _BYTES_A_TOKEN + self._heard_ms // self.input_token_ms
        )

    def note_sent(self, event: ClientEvent, size: int) -> None:
        """Count an event of the client that was forwarded; `size` is its bytes."""
        if event.type == "input_audio_buffer.append":
            self._heard_ms += realtime.sound_ms(event.audio, self._heard_bytes_ms)
        else:
            self._heard["in_text"] += size // 4
            self._sent_bytes += size

    def note_settings(self, event: ServerEvent) -> realtime.SessionSettings:
        """Record the settings that the provider reports."""
        settings = realtime.read_settings(event.session)
        self._heard_bytes_ms = settings.heard_bytes_ms or self._heard_bytes_ms
        self.said_bytes_ms = settings.said_bytes_ms or self.said_bytes_ms
        self.transcription = settings.transcription or ""
        if event.type == "session.created":
            # The default instructions.
            self._sent_bytes += len(bytes(event.session))
        return settings

    def begin(self) -> dict[str, int]:
        """Begin a response. Return the input that it reads, by our own count."""
        self._known = self.tokens_max
        self._sent_bytes = 0
        self._heard["in_audio"] = (
            self._heard.get("in_audio", 0) + self._heard_ms // self.input_token_ms
        )
        self._heard_ms = 0
        return dict(self._heard)

    def end(self, meters: Mapping[str, int]) -> None:
        """End a response with its usage. The conversation is then what the response read plus its
        answer."""
        input_sides = {
            name: _count_input(meters, name) for name in ("in_text", "in_audio", "in_image")
        }
        input_sides["in_text"] += meters.get("out_text", 0)
        self._heard = input_sides
        total = sum(input_sides.values()) + meters.get("out_audio", 0)
        # A response outside the conversation may read much less.
        if total >= self._measured:
            self._measured = self._known = total


def _count_input(meters: Mapping[str, int], name: str) -> int:
    """Return the tokens of one kind of input, including the cached ones."""
    cached = {"in_text": "in_cache_read"}.get(name, f"{name}_cached")
    return meters.get(name, 0) + meters.get(cached, 0)
