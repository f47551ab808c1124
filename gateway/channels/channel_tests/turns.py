"""One turn of a connection, by its messages: what is sent, and what they say about the provider.

realtime         OpenAI's Realtime API: a text, a response, its usage
live             GPT-Live: a second of silence, a text to speak, the time until its close
Gemini Live      a setup, a text, an answer, its usage
"""

import base64
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec

from dialects.chat.chat import Dialect
from dialects.chat.operation import Operation
from dialects.gemini import live_usage
from dialects.realtime import gemini_live, live, realtime
from dialects.usage.session_time import session_minutes
from dialects.usage.usage import Quantities
from gateway.channels.channel_tests.staged_calls import CallFailed, fault_of_status

SHORT: Final = "Answer with one word: ready"
_SPOKEN: Final = frozenset({"session.output_audio.delta", "session.output_transcript.delta"})
# PCM of 16 bits and 24 kHz.
_SECOND_BYTES: Final = 48_000


class Turn(ABC):
    """A turn. `accepted`: the provider has begun; `answered`: content has arrived; `over`: only
    usage may follow; `used` is the provider's count so far, None before it tells any.
    """

    operation: ClassVar[Operation]
    dialect: ClassVar[Dialect]

    def __init__(self, model: str) -> None:
        self._model = model
        self.accepted = self.answered = self.over = False
        self.used: Quantities | None = None

    def opening(self) -> Sequence[bytes]:
        """Return the messages to send without waiting for others."""
        return ()

    @abstractmethod
    def feed(self, raw: bytes) -> Sequence[bytes]:
        """Read a message of the provider, and return the messages to send. Raises CallFailed for an
        error, ValueError for an unreadable message.
        """

    def failure_of_close(self, code: int, reason: str) -> CallFailed:
        """Return what a close before the end means."""
        return CallFailed("broken", f"closed with {code} {reason}".strip())


class RealtimeTurn(Turn):
    """A turn of OpenAI's Realtime API, in the members that its beta has too."""

    operation = "realtime"
    dialect = "openai"

    def feed(self, raw: bytes) -> Sequence[bytes]:
        event = realtime.read_server_event(raw)
        if event.type == "error":
            raise CallFailed("failed", _message_of(event.error))
        if event.type == "session.created":
            self.accepted = True
            item = {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": SHORT}],
            }
            return (
                _message(type="conversation.item.create", item=item),
                _message(type="response.create"),
            )
        if event.type.startswith("response.") and event.type.endswith(".delta"):
            self.answered = True
        elif event.type == "response.done":
            self._end(realtime.read_response(event))
        return ()

    def _end(self, response: realtime.Response) -> None:
        if response.failure:
            raise CallFailed("failed", response.failure)
        self.over = True
        self.used = realtime.quantities(response.raw_usage)


class LiveTurn(Turn):
    """A turn of GPT-Live: the connection is closed once its model speaks."""

    operation = "live"
    dialect = "openai"

    def opening(self) -> Sequence[bytes]:
        return (_message(type=live.START, session={"model": self._model}),)

    def feed(self, raw: bytes) -> Sequence[bytes]:
        event = live.read_server_event(raw)
        if event.type == "error":
            status, body = live.error_answer(event)
            raise CallFailed(fault_of_status(status), status=status, body=body.decode())
        if event.type == live.STARTED:
            self.accepted = True
            silence = base64.b64encode(bytes(_SECOND_BYTES)).decode()
            text = {"content": SHORT, "delegation_id": None}
            return (
                _message(type="session.commentary.append", **text),
                _message(type=live.APPEND, audio=silence),
            )
        if event.type in _SPOKEN and not self.answered:
            self.answered = True
            return (live.CLOSE,)
        if event.type == live.CLOSED:
            self.over = True
            time = live.read_time(event.usage)
            known = time.ms is not None and not time.flags
            meters = {"session_minutes": session_minutes(time.ms or 0)} if known else {}
            self.used = Quantities(meters, time.flags, unknown=time.unknown, wire="live")
        return ()


class GeminiLiveTurn(Turn):
    """A turn of Google's Live API."""

    operation = "bidi_generate_content"
    dialect = "gemini"

    def opening(self) -> Sequence[bytes]:
        return (_message(setup={"model": f"models/{self._model}"}),)

    def feed(self, raw: bytes) -> Sequence[bytes]:
        message = gemini_live.read_server_message(raw)
        if message.is_setup:
            self.accepted = True
            return (_message(realtimeInput={"text": SHORT}),)
        self.answered = self.answered or message.has_output
        self.over = self.over or message.ends_turn
        if message.usage is not None:
            self._add(live_usage.quantities(message.usage))
        return ()

    def _add(self, counted: Quantities) -> None:
        """Add a usage: each one is what was used since the one before it."""
        meters = Counter({} if self.used is None else self.used.meters)
        meters.update(counted.meters)
        flags = () if self.used is None else self.used.flags
        self.used = Quantities(dict(meters), (*flags, *counted.flags), wire="gemini_live")

    def failure_of_close(self, code: int, reason: str) -> CallFailed:
        status = gemini_live.status_of_close(code, reason)
        if not status:
            return super().failure_of_close(code, reason)
        return CallFailed(fault_of_status(status), status=status, body=reason)


def _message(**members: Any) -> bytes:
    return msgspec.json.encode(members)


def _message_of(error: Any) -> str:
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else "error"
