"""Write neutral events as the stream of the anthropic dialect.

    message_start -> BLOCK(0) -> BLOCK(1) ... -> message_delta(stop_reason, usage) -> message_stop
    BLOCK(i) = content_block_start(i) -> content_block_delta(i)* -> content_block_stop(i)

Only one block is open at a time, and indexes have no gaps. The first unfinished block is written as
it arrives; frames of later blocks wait for their turn, because other dialects may interleave calls.
Every block except a tool call ends when another begins. A failed answer leaves its open block open,
and waiting frames are not sent (F38).
"""

from collections import deque

import msgspec

from dialects.anthropic.answer.encode import (
    MESSAGE_ID_PREFIX,
    write_call_id,
    write_citation,
    write_image,
)
from dialects.anthropic.answer.finish_reasons import write_reason
from dialects.anthropic.errors import error_frame
from dialects.anthropic.usage import encode as write_usage
from dialects.chat import events as neutral
from dialects.chat.chat import Base64, ChatRequest, JsonObject, Url
from dialects.chat.turns import derive_id, mark_seal
from dialects.errors.kinds import ErrorKind
from dialects.usage.usage import Counts

_encode = msgspec.json.Encoder().encode
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":'
_BEFORE_TEXT = _DELTA + b'{"type":"text_delta","text":'
_AFTER_TEXT = b"}}\n\n"
_THINKING = _DELTA + b'{"type":"thinking_delta","thinking":%s}}\n\n'
_SIGNATURE = _DELTA + b'{"type":"signature_delta","signature":%s}}\n\n'
_INPUT = _DELTA + b'{"type":"input_json_delta","partial_json":%s}}\n\n'
_CITATION = _DELTA + b'{"type":"citations_delta","citation":%s}}\n\n'
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'


class _Block:
    """An open block. `held` are the frames that wait until earlier blocks have ended."""

    __slots__ = ("ended", "held", "index", "kind", "sealed")

    def __init__(self, index: int, kind: str) -> None:
        self.index = index
        self.kind = kind
        self.sealed = False
        self.ended = False
        self.held: list[bytes] = []


class Encoder:
    """Writes one answer for the client of `request`; only its first choice."""

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._started = False
        self._ids_derived = 0
        self._blocks: deque[_Block] = deque()
        self._calls: dict[int, _Block] = {}
        # Citations that wait for a text: a client sends a block without text back, which Anthropic
        # refuses.
        self._cited: list[neutral.Citation] = []
        # The bytes before a text, while the frame of the next one would be written and have them.
        self._before_text = b""
        self._refused = False
        self._finish: neutral.Finish | None = None
        self._counts: Counts | None = None

    def feed(self, event: neutral.Event) -> bytes:
        """Return the frames of an event; b"" if they must wait."""
        if self._before_text:
            if type(event) is neutral.TextDelta and event.choice == 0:
                # Nearly every event of a long answer.
                return self._before_text + _encode(event.text) + _AFTER_TEXT
            self._before_text = b""
        match event:
            case neutral.TextDelta(choice=0, text=text):
                return self._write_text(text)
            case neutral.ToolArgumentsDelta(choice=0, index=index, text=text):
                return self._write_input(index, text)
            case neutral.ReasoningDelta(choice=0, text=text):
                return self._write_thinking(text)
            case neutral.Start():
                return self._start(event)
            case neutral.Usage(counts=counts):
                self._counts = counts or self._counts
                return b""
            case neutral.ToolCallStart(choice=0):
                return self._open_call(event)
            case neutral.ToolCallEnd(choice=0, index=index):
                return self._close_call(index)
            case neutral.RefusalDelta(choice=0, text=text):
                self._refused = True
                return self._write_text(text)
            case neutral.ReasoningSeal(choice=0):
                return self._write_seal(event)
            case neutral.ImageOutput(choice=0):
                source = Url(event.url) if event.url else Base64(event.data, event.media_type)
                return self._write_whole_block(write_image(source))
            case neutral.Citation(choice=0):
                return self._write_citation(event)
            case neutral.Finish(choice=0):
                self._finish = event
                return self._end_calls()
            case _:
                return b""

    def around_text(self, choice: int) -> tuple[bytes, bytes] | None:
        known = choice == 0 and self._before_text
        return (self._before_text, _AFTER_TEXT) if known else None

    def end(self) -> bytes:
        """Return the frames that end a complete answer."""
        frames = b"" if self._started else self._start(neutral.Start("", ""))
        frames += self._end_blocks()
        finish = self._finish or neutral.Finish(0, "stop")
        reason = write_reason(finish.reason, refused=self._refused)
        delta = {"stop_reason": reason, "stop_sequence": finish.stop_sequence or None}
        usage = write_usage(self._counts or Counts())
        frames += _frame({"type": "message_delta", "delta": delta, "usage": usage})
        return frames + _frame({"type": "message_stop"})

    def fail(self, kind: ErrorKind, message: str, guard_code: str | None = None) -> bytes:
        """Return the frames that end a failed answer; no end marker follows."""
        return error_frame(
            kind, message, request_id=self._request.request_id, guard_code=guard_code
        )

    def _start(self, event: neutral.Start) -> bytes:
        self._started = True
        message: JsonObject = {
            "id": derive_id(MESSAGE_ID_PREFIX, self._request.request_id),
            "type": "message",
            "role": "assistant",
            "model": event.model or self._request.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            # The usage is not known before the end; `message_delta` sends it.
            "usage": write_usage(Counts()),
        }
        return _frame({"type": "message_start", "message": message})

    # ---- Content

    def _write_text(self, text: str) -> bytes:
        block, opening = self._last_of("text", {"type": "text", "text": ""})
        before = _BEFORE_TEXT % block.index
        frames = opening + self._put(block, before + _encode(text) + _AFTER_TEXT)
        if block is self._blocks[0]:
            self._before_text = before
        if self._cited:
            waiting, self._cited = self._cited, []
            frames += b"".join([self._put_citation(block, citation) for citation in waiting])
        return frames

    def _write_thinking(self, text: str) -> bytes:
        block, opening = self._last_thinking()
        return opening + self._put(block, _THINKING % (block.index, _encode(text)))

    def _write_seal(self, event: neutral.ReasoningSeal) -> bytes:
        if event.seal.redacted:
            return self._write_whole_block({"type": "redacted_thinking", "data": event.seal.value})
        block, opening = self._last_thinking()
        return opening + self._sign(block, mark_seal(event.seal, "anthropic"))

    def _write_citation(self, event: neutral.Citation) -> bytes:
        last = self._blocks[-1] if self._blocks else None
        if last is None or last.kind != "text" or last.ended:
            self._cited.append(event)
            return b""
        return self._put_citation(last, event)

    def _put_citation(self, block: _Block, event: neutral.Citation) -> bytes:
        citation = _encode(write_citation(event.source))
        return self._put(block, _CITATION % (block.index, citation))

    def _open_call(self, event: neutral.ToolCallStart) -> bytes:
        id_ = write_call_id(event.id, self._request.request_id, event.index)
        call = {"type": "tool_use", "id": id_, "name": event.name, "input": {}}
        block, opening = self._open_block("tool_use", call)
        self._calls[event.index] = block
        return opening

    def _write_input(self, index: int, text: str) -> bytes:
        block = self._calls[index]
        return self._put(block, _INPUT % (block.index, _encode(text)))

    def _close_call(self, index: int) -> bytes:
        return self._finish_block(self._calls[index], whole=True)

    def _end_calls(self) -> bytes:
        """End what precedes the last text, which stays open, because its citations may still
        follow."""
        last = self._blocks[-1] if self._blocks else None
        ended = [block for block in self._blocks if block is not last or block.kind != "text"]
        return b"".join([self._finish_block(block) for block in ended])

    def _end_blocks(self) -> bytes:
        return b"".join([self._finish_block(block) for block in list(self._blocks)])

    # ---- the order of blocks

    def _last_thinking(self) -> tuple[_Block, bytes]:
        return self._last_of("thinking", {"type": "thinking", "thinking": "", "signature": ""})

    def _last_of(self, kind: str, content_block: JsonObject) -> tuple[_Block, bytes]:
        """Return the last block if it is of this kind and still open, otherwise a new one; and the
        frames that begin it."""
        last = self._blocks[-1] if self._blocks else None
        if last is not None and last.kind == kind and not last.ended:
            return last, b""
        return self._open_block(kind, content_block)

    def _write_whole_block(self, content_block: JsonObject) -> bytes:
        block, opening = self._open_block(content_block["type"], content_block)
        return opening + self._finish_block(block)

    def _open_block(self, kind: str, content_block: JsonObject) -> tuple[_Block, bytes]:
        ended = self._end_last()
        block = _Block(self._ids_derived, kind)
        self._ids_derived += 1
        self._blocks.append(block)
        start = {"type": "content_block_start", "index": block.index}
        return block, ended + self._put(block, _frame(start | {"content_block": content_block}))

    def _end_last(self) -> bytes:
        """Close the last block if the kind changes, unless it is a call that may continue."""
        last = self._blocks[-1] if self._blocks else None
        if last is None or last.kind == "tool_use":
            return b""
        return self._finish_block(last)

    def _sign(self, block: _Block, signature: str) -> bytes:
        block.sealed = True
        signed = self._put(block, _SIGNATURE % (block.index, _encode(signature)))
        return signed + self._finish_block(block)

    def _put(self, block: _Block, frame: bytes) -> bytes:
        if block is self._blocks[0]:
            return frame
        block.held.append(frame)
        return b""

    def _finish_block(self, block: _Block, *, whole: bool = False) -> bytes:
        """Write the end of a block, and then the waiting blocks after it. A call that is not
        `whole` was cut, and its block stays open (F38)."""
        if block.ended:
            return b""
        frames = b""
        if block.kind == "thinking" and not block.sealed:
            frames = self._put(block, _SIGNATURE % (block.index, b'""'))
        block.ended = True
        if whole or block.kind != "tool_use":
            frames += self._put(block, _STOP % block.index)
        while self._blocks and self._blocks[0].ended:
            self._blocks.popleft()
            if self._blocks:
                frames += b"".join(self._blocks[0].held)
        return frames


def _frame(event: JsonObject) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), _encode(event))
