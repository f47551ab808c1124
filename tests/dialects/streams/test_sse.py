from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.streams.sse import Frame, FrameSplitter


def split(*chunks: bytes, frame_bytes_max: int = 1_000) -> list[Frame]:
    splitter = FrameSplitter(frame_bytes_max)
    frames = [frame for chunk in chunks for frame in splitter.feed(chunk)]
    rest = splitter.end()
    return frames + ([rest] if rest else [])


def test_frames_keep_their_bytes() -> None:
    raw = (
        b"\xef\xbb\xbf: hello\r\n\r\ndata:a\n\ndata: b\rdata:  c\r\revent: e\ndata\nid: 1\n\n"
        + "data: x\u2028y\u0085z\n\n:\n\n\ndata: end".encode()
    )
    frames = split(raw)
    assert b"".join(frame.raw for frame in frames) == raw
    assert [(frame.event, frame.data) for frame in frames] == [
        ("", None),
        ("", b"a"),
        ("", b"b\n c"),
        ("e", b""),
        ("", "x\u2028y\u0085z".encode()),
        ("", None),
        ("", b"end"),
    ]


def test_byte_order_mark_only_at_the_start() -> None:
    mark = b"\xef\xbb\xbf"
    frames = split(mark + b"data: a\n\n" + mark + b"data: b\n\n")
    assert [frame.data for frame in frames] == [b"a", None]


@pytest.mark.parametrize(
    "raw", [b"data: a\r\n\r\ndata: b\r\n\r\n", b"data: a\n\ndata: b\n\n", b"a\r\r\nb\n\r\nc\r\n\r"]
)
def test_cut_at_every_offset(raw: bytes) -> None:
    whole = split(raw)
    assert split(*(raw[i : i + 1] for i in range(len(raw)))) == whole
    for at in range(len(raw)):
        assert split(raw[:at], raw[at:]) == whole


@pytest.mark.parametrize("ended", [b"", b"\n\n"])
@pytest.mark.parametrize("cut", [0, 12, 14, 30])
def test_too_large(ended: bytes, cut: int) -> None:
    raw = b"data: a\n\n" + b"data: " + b"x" * 30 + ended
    splitter = FrameSplitter(20)
    frames = splitter.feed(raw[:cut]) + splitter.feed(raw[cut:])
    assert [frame.data for frame in frames] == [b"a"]
    assert splitter.too_large
    assert splitter.feed(b"data: a\n\n") == []
    assert splitter.end() is None


def test_many_small_frames_may_pass_the_limit_together() -> None:
    splitter = FrameSplitter(20)
    assert len(splitter.feed(b"data: a\n\n" * 50)) == 50
    assert not splitter.too_large


BYTES = st.lists(st.sampled_from([b"\r", b"\n", b":", b"data: ", b"x", b"\xef\xbb\xbf", b"event:"]))


@given(BYTES.map(b"".join), st.lists(st.integers(0, 60), max_size=5))
def test_cuts_change_nothing_and_no_byte_is_lost(raw: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    chunks = [raw[a:b] for a, b in pairwise(edges)]
    whole = split(raw)
    assert split(*chunks) == whole
    assert b"".join(frame.raw for frame in whole) == raw
