"""Write neutral events as the stream of the converse dialect, as server-sent events;
`frames.write_message` makes Amazon's messages of them.

    messageStart -> BLOCK(0) -> BLOCK(1) ... -> messageStop(stopReason) -> metadata(usage)
    BLOCK(i) = contentBlockStart(i), only of a call or picture -> contentBlockDelta(i)*
               -> contentBlockStop(i)

Calls of other dialects may interleave; each has the index of its block, and may stay open while
others begin. Every other block ends when another begins. A failed answer leaves its open blocks
open (F38).
"""

from dialects.chat import events as neutral
from dialects.chat.chat import ChatRequest, JsonObject
from dialects.chat.turns import mark_seal
from dialects.converse.answer.encode import write_call_id, write_citation, write_image
from dialects.converse.answer.finish_reasons import write_reason
from dialects.converse.errors import error_frame
from dialects.converse.seals import write_redacted
from dialects.converse.stream.frames import write_block_stop, write_event, write_stop
from dialects.converse.usage import encode as write_usage
from dialects.errors.kinds import ErrorKind
from dialects.usage.usage import Counts


class Encoder:
    """Writes one answer for the client of `request`; only its first choice."""

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._started = False
        self._blocks = 0
        # The open block that is no call: its index and kind.
        self._open: tuple[int, str] | None = None
        self._calls: dict[int, int] = {}
        # Citations that wait for a text: a client sends a block without text back, which Amazon
        # refuses.
        self._cited: list[neutral.Source] = []
        self._refused = False
        self._finish: neutral.Finish | None = None
        self._counts: Counts | None = None

    def feed(self, event: neutral.Event) -> bytes:
        """Return the frames of an event, b"" if there are none."""
        match event:
            case neutral.Start():
                return self._start()
            case neutral.TextDelta(choice=0, text=text):
                return self._write_text(text)
            case neutral.RefusalDelta(choice=0, text=text):
                self._refused = True
                return self._write_text(text)
            case neutral.ReasoningDelta(choice=0, text=text):
                return self._add("reasoning", {"reasoningContent": {"text": text}})
            case neutral.ReasoningSeal(choice=0, seal=seal):
                return self._seal(seal)
            case neutral.ToolCallStart(choice=0):
                return self._open_call(event)
            case neutral.ToolArgumentsDelta(choice=0, index=index, text=text):
                return _delta(self._calls[index], {"toolUse": {"input": text}})
            case neutral.ToolCallEnd(choice=0, index=index):
                return write_block_stop(self._calls.pop(index))
            case neutral.ImageOutput(choice=0, data=data, media_type=media_type):
                return self._image(data, media_type)
            case neutral.Citation(choice=0, source=source):
                return self._cite(source)
            case neutral.Usage(counts=counts):
                self._counts = counts or self._counts
            case neutral.Finish(choice=0):
                self._finish = event
        return b""

    def end(self) -> bytes:
        """Return the frames that end a complete answer."""
        frames = b"" if self._started else self._start()
        # A call that did not end was cut, and its block stays open (F38).
        frames += self._close()
        finish = self._finish or neutral.Finish(0, "stop")
        frames += write_stop(write_reason(finish.reason, refused=self._refused))
        return frames + write_event("metadata", {"usage": write_usage(self._counts or Counts())})

    def fail(self, kind: ErrorKind, message: str, guard_code: str | None = None) -> bytes:
        """Return the frames that end a failed answer; no end marker follows."""
        return error_frame(
            kind, message, request_id=self._request.request_id, guard_code=guard_code
        )

    def _start(self) -> bytes:
        self._started = True
        return write_event("messageStart", {"role": "assistant"})

    def _write_text(self, text: str) -> bytes:
        frames = self._add("text", {"text": text})
        if self._cited:
            waiting, self._cited = self._cited, []
            frames += b"".join([self._cite(source) for source in waiting])
        return frames

    def _cite(self, source: neutral.Source) -> bytes:
        if self._open is None or self._open[1] != "text":
            self._cited.append(source)
            return b""
        return self._add("text", {"citation": write_citation(source)})

    def _add(self, kind: str, delta: JsonObject) -> bytes:
        """Write a delta of the open block, or of a new one if that is of another kind."""
        closing = b""
        if self._open is None or self._open[1] != kind:
            closing = self._close()
            self._open = (self._next(), kind)
        return closing + _delta(self._open[0], delta)

    def _seal(self, seal: neutral.Seal) -> bytes:
        if seal.redacted:
            closing = self._close()
            self._open = (self._next(), "redacted")
            redacted = {"redactedContent": write_redacted(seal)}
        else:
            closing, redacted = b"", {"signature": mark_seal(seal, "anthropic")}
        return (
            closing
            + self._add(
                "redacted" if seal.redacted else "reasoning", {"reasoningContent": redacted}
            )
            + self._close()
        )

    def _open_call(self, event: neutral.ToolCallStart) -> bytes:
        closing, index = self._close(), self._next()
        self._calls[event.index] = index
        id_ = write_call_id(event.id, self._request.request_id, event.index)
        start = {"toolUse": {"toolUseId": id_, "name": event.name}}
        return closing + write_event(
            "contentBlockStart", {"start": start, "contentBlockIndex": index}
        )

    def _image(self, data: str, media_type: str) -> bytes:
        block = write_image(data, media_type) if data else None
        if block is None:
            return b""
        closing, index = self._close(), self._next()
        start = {"start": {"image": {"format": block["image"]["format"]}}}
        opening = write_event("contentBlockStart", {**start, "contentBlockIndex": index})
        delta = {"image": {"source": block["image"]["source"]}}
        return closing + opening + _delta(index, delta) + write_block_stop(index)

    def _next(self) -> int:
        self._blocks += 1
        return self._blocks - 1

    def _close(self) -> bytes:
        """Close the open block that is no call."""
        if self._open is None:
            return b""
        index, self._open = self._open[0], None
        return write_block_stop(index)


def _delta(index: int, delta: JsonObject) -> bytes:
    return write_event("contentBlockDelta", {"delta": delta, "contentBlockIndex": index})
