from typing import Any

import pytest

from dialects.anthropic.stream import decode as anthropic
from dialects.chat.events import BrokenFault, End, Event, Finish, Step, TextDelta
from dialects.endpoints.completions import stream_decode as completions
from dialects.openai.stream import decode as openai
from dialects.streams.sse import Frame
from dialects.streams.stream import FrameDecoder, is_utf8, mask_frame, write_data


class _Reader:
    seen = text_bytes = reasoning_bytes = 0


class _Decoder(FrameDecoder):
    """Knows the words `end`, `bad` and text."""

    def __init__(self, frame_bytes_max: int = 100) -> None:
        super().__init__(frame_bytes_max)
        self._reader: _Reader = _Reader()

    def _read(self, frame: Frame) -> Step:
        match frame.data:
            case b"end":
                return self._end(marked=True, raw=frame.raw)
            case b"bad":
                return self._break("F15")
            case b"last":
                self.complete = True
                return Step(frame.raw, [Finish(0, "stop")])
            case data:
                self._reader.seen += 1
                return Step(frame.raw, [TextDelta(0, (data or b"").decode())])


def _tell(stream: bytes, frame_bytes_max: int = 100) -> list[Event]:
    decoder = _Decoder(frame_bytes_max)
    return [e for step in decoder.feed(stream) + decoder.end() for e in step.events]


def _fault(stream: bytes, frame_bytes_max: int = 100) -> BrokenFault | None:
    return getattr(_tell(stream, frame_bytes_max)[-1], "fault", None)


def test_a_stream_is_over_by_its_mark_its_fault_or_its_cut() -> None:
    assert [type(e).__name__ for e in _tell(b"data: a\n\ndata: end\n\ndata: b\n\n")] == [
        "TextDelta",
        "End",
    ]
    assert [type(e).__name__ for e in _tell(b"data: last\n\n")] == ["Finish", "End"]
    assert _fault(b"data: bad\n\ndata: a\n\n") == "F15"
    assert _fault(b"data: a\n\n") == "F14"
    assert _fault(b"") == "F24"
    assert _fault(b"data: a\n\n" + b"x" * 101) == "F17"


def test_unterminated_last_frame_counts_when_whole() -> None:
    decoder = _Decoder()
    assert decoder.feed(b"data: end\n") == []
    assert [step.raw for step in decoder.end()] == [b"data: end\n\n"]
    assert decoder.complete
    assert decoder.feed(b"data: a\n\n") == decoder.end() == []
    assert _fault(b"data: a\n\ndata: bad") == "F14"


def test_only_masked_frames_are_rewritten() -> None:
    plain = Frame(b'data:{"a": "b"}\n\n', "", b'{"a": "b"}')
    assert mask_frame(plain, write_data) == plain.raw
    raw = b'{"a": ["sk-abcdefgh1234567890"]}'
    assert mask_frame(Frame(b"data: " + raw, "", raw), write_data) == b'data: {"a":["***"]}\n\n'
    assert mask_frame(Frame(b"data: {\n\n", "", b"{"), write_data) == b""
    assert mask_frame(Frame(b"\n\n", "", None), write_data) == b""


def test_utf8() -> None:
    assert is_utf8("ü".encode())
    assert not is_utf8(b"\xfc")


_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_FINISHED: list[tuple[Any, dict[str, bool], bytes, bytes]] = [
    (openai.Decoder, {"include_usage": True}, openai.DONE_FRAME,
     b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'),
    (completions.Decoder, {"include_usage": True}, openai.DONE_FRAME,
     b'data: {"choices":[{"index":0,"text":"a","finish_reason":"stop"}]}\n\n'),
    (anthropic.Decoder, {}, _STOP,
     b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n'),
]  # fmt: skip


@pytest.mark.parametrize("rest", [b"", b"data: {\n\n", b'data: {"cho', b"data: [DON", b"x" * 101])
@pytest.mark.parametrize("at", range(len(_FINISHED)))
def test_finished_stream_gets_its_missing_marker(at: int, rest: bytes) -> None:
    """F14a: whatever stands in the place of the marker."""
    kind, over, marker, frame = _FINISHED[at]
    decoder = kind(frame_bytes_max=100, **over)
    steps = decoder.feed(frame) + decoder.feed(rest) + decoder.end()
    assert b"".join(step.raw for step in steps) == frame + marker
    assert steps[-1].events == [End(marked=False)]
