"""Amazon's binary event stream: botocore's parser is the judge of what the fake writes, and of what
we read."""

import struct
import zlib
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from dialects.streams.event_stream import (
    EXCEPTION,
    MALFORMED,
    EventWriter,
    Message,
    MessageFrames,
    MessageSplitter,
    read_exception,
    write_event,
    write_exception,
)
from dialects.streams.sse import Frame
from tests.fakes.aws_stream import message

MAX = 1024 * 1024
_NAMES = st.text(st.characters(codec="ascii"), min_size=1, max_size=20)
_MESSAGES = st.lists(
    st.tuples(st.dictionaries(_NAMES, st.text(max_size=30), max_size=4), st.binary(max_size=200)),
    max_size=5,
)


def _split(raw: bytes, sizes: list[int], splitter: MessageSplitter) -> list[Message]:
    messages, at = [], 0
    for size in [*sizes, len(raw)]:
        messages += splitter.feed(raw[at : at + size])
        at += size
    return messages


def _judge(raw: bytes) -> list[tuple[dict[str, Any], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(raw)
    return [(event.headers, event.payload) for event in buffer]


@given(_MESSAGES, st.lists(st.integers(1, 60), max_size=20))
def test_messages_match_botocore(
    sent: list[tuple[dict[str, str], bytes]], sizes: list[int]
) -> None:
    raw = b"".join(message(headers, payload) for headers, payload in sent)
    splitter = MessageSplitter(MAX)
    received = [tuple(one) for one in _split(raw, sizes, splitter)]
    assert received == _judge(raw) == sent
    assert not splitter.malformed
    assert not splitter.too_large


@given(st.binary(max_size=60), st.data())
def test_no_changed_byte_passes(payload: bytes, data: st.DataObject) -> None:
    raw = message({":event-type": "chunk"}, payload)
    at = data.draw(st.integers(0, len(raw) - 1))
    changed = raw[:at] + bytes([raw[at] ^ data.draw(st.integers(1, 255))]) + raw[at + 1 :]
    splitter = MessageSplitter(MAX)
    assert splitter.feed(changed) == []
    assert splitter.malformed
    assert splitter.feed(raw) == []


@pytest.mark.parametrize("cut", range(len(message({"a": "b"}, b"xyz"))))
def test_a_cut_message_is_not_returned(cut: int) -> None:
    whole = message({"a": "b"}, b"xyz")
    splitter = MessageSplitter(MAX)
    assert splitter.feed(whole + whole[:cut]) == [Message({"a": "b"}, b"xyz")]
    assert not splitter.malformed


def _prelude(total: int, headers: int) -> bytes:
    head = struct.pack("!II", total, headers)
    return head + struct.pack("!I", zlib.crc32(head))


@pytest.mark.parametrize(
    ("total", "headers", "too_large"),
    [
        (MAX + 1, 0, True),
        (2**32 - 1, 0, True),
        (MAX, 200_000, True),
        (15, 0, False),
        (99, 84, False),
    ],
)
def test_lengths_are_judged_before_the_bytes_arrive(
    total: int, headers: int, too_large: bool
) -> None:
    splitter = MessageSplitter(MAX)
    assert splitter.feed(_prelude(total, headers)) == []
    assert (splitter.too_large, splitter.malformed) == (too_large, not too_large)


def _raw(lines: bytes) -> bytes:
    head = _prelude(16 + len(lines), len(lines)) + lines
    return head + struct.pack("!I", zlib.crc32(head))


def test_headers_of_every_type() -> None:
    """Those that are no text are passed over, as long as they can be read."""
    values = [
        b"\x00", b"\x01", b"\x02\x09", b"\x03\x00\x09", b"\x04" + bytes(4), b"\x05" + bytes(8),
        b"\x06\x00\x03abc", b"\x08" + bytes(8), b"\x09" + bytes(16), b"\x07\x00\x02hi",
    ]  # fmt: skip
    raw = _raw(b"".join(b"\x01%c" % (97 + i) + value for i, value in enumerate(values)))
    assert len(_judge(raw)[0][0]) == len(values)
    assert MessageSplitter(MAX).feed(raw) == [Message({"j": "hi"}, b"")]


@pytest.mark.parametrize(
    "lines",
    [b"\x01a\x0a", b"\x01a\x07\x00\x09hi", b"\x09a", b"\x01\xff\x00", b"\x01a\x07\x00\x01\xff"],
)
def test_unreadable_headers(lines: bytes) -> None:
    splitter = MessageSplitter(MAX)
    assert splitter.feed(_raw(lines)) == []
    assert splitter.malformed


def _frames(*messages: bytes) -> tuple[MessageFrames, list[Frame]]:
    frames = MessageFrames(MAX, lambda one: read_exception(one) or Frame(b"", "event", one.payload))
    return frames, [frame for raw in messages for frame in frames.feed(raw)]


def test_messages_are_events_exceptions_or_errors() -> None:
    error = {":message-type": "error", ":error-code": "E", ":error-message": "too much"}
    _, found = _frames(
        write_event("chunk", b"{}"),
        write_exception("Throttled", b"slow"),
        message(error, b""),
        message({":message-type": "dream"}, b""),
    )
    assert [(frame.event, frame.data) for frame in found[:3]] == [
        ("event", b"{}"),
        (f"{EXCEPTION}Throttled", b"slow"),
        (f"{EXCEPTION}E", b'{"message":"too much"}'),
    ]
    assert found[3] is MALFORMED


def test_nothing_is_read_after_a_message_that_is_too_large() -> None:
    frames, found = _frames(_prelude(MAX + 1, 0), write_event("chunk", b"{}"))
    assert (frames.too_large, found, frames.end(), frames.begins(b"")) == (True, [], None, False)


def test_frames_without_data_are_no_messages() -> None:
    writer = EventWriter(lambda frame: b"<%b>" % (frame.data or b""))
    assert writer.feed(b": ping\n\ndata: 1\n\nevent: x\n\ndata: ") == b"<1>"
    assert writer.feed(b"2\n\n") == b"<2>"
