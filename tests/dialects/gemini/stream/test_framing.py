import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.gemini.stream.framing import CLOSED, ElementSplitter, Framing
from dialects.streams.sse import Frame, FrameSplitter
from tests.dialects.exchanges import by_bytes
from tests.dialects.neutral import json_objects


def split(*chunks: bytes) -> list[Frame]:
    splitter = ElementSplitter()
    return [frame for chunk in chunks for frame in splitter.feed(chunk)]


def datas(frames: list[Frame]) -> list[bytes | None]:
    return [frame.data for frame in frames]


SPACES = st.sampled_from([b"", b" ", b"\n", b"\r\n", b"\t"])


@given(st.lists(json_objects, max_size=4), SPACES, SPACES, st.data())
def test_elements_are_read_however_spaced_and_split(
    values: list[dict[str, object]], before: bytes, after: bytes, data: st.DataObject
) -> None:
    indent = data.draw(st.sampled_from([None, 1]))
    ascii_only = data.draw(st.booleans())
    elements = [json.dumps(v, indent=indent, ensure_ascii=ascii_only).encode() for v in values]
    raw = before + b"[" + after + (before + b"," + after).join(elements) + before + b"]" + after
    whole = split(raw)
    assert datas(whole) == [*elements, None]
    assert b"".join(frame.raw for frame in whole) == raw
    assert whole[-1].event == CLOSED
    assert datas(split(*by_bytes(raw))) == [*elements, None]
    at = data.draw(st.integers(0, len(raw)))
    assert datas(split(raw[:at], raw[at:])) == [*elements, None]


def test_single_object_need_not_be_in_an_array() -> None:
    assert split(b' {"a":"}"}\n{"b":1}') == [
        Frame(b' {"a":"}"}', "", b'{"a":"}"}'),
        Frame(b'\n{"b":1}', "", b'{"b":1}'),
    ]


@pytest.mark.parametrize(
    ("raw", "data"), [(b"[1]", b"1]"), (b"[[", b"["), (b"{}]", b"]"), (b'["a"]', b'"a"]')]
)
def test_invalid_element_starts(raw: bytes, data: bytes) -> None:
    splitter = ElementSplitter()
    assert splitter.feed(raw)[-1].data == data
    assert splitter.feed(b"{}") == []
    assert splitter.end() is None


def test_leftover_bytes() -> None:
    splitter = ElementSplitter()
    assert splitter.end() is None
    splitter.feed(b'[{}, {"a":"b\\')
    assert splitter.end() == Frame(b', {"a":"b\\', "", b'{"a":"b\\')
    splitter = ElementSplitter()
    splitter.feed(b"[{}, \n")
    assert splitter.end() == Frame(b", \n", "", None)


def test_long_string_in_many_chunks_is_scanned_once() -> None:
    """The work of each piece must not grow with what came before it."""
    splitter = ElementSplitter()
    splitter.feed(b'[{"data":"')
    for _ in range(2_000):
        assert splitter.feed(b"A" * 4_096) == []
    (frame,) = splitter.feed(b'"}')
    assert len(frame.raw) > 8_000_000


PIECES = [b"data: {}", b"data: ", b"x", b"\r\n", b"\r\n\r\n", b"\r", b"\n", b": y", b"event: z\r\n"]


@given(st.lists(st.sampled_from(PIECES)).map(b"".join), st.lists(st.integers(0, 60), max_size=5))
def test_events_are_cut_as_any_others_are(raw: bytes, cuts: list[int]) -> None:
    raw = b"data: first\r\n\r\n" + raw
    edges = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})

    def cut(splitter: FrameSplitter | Framing) -> list[Frame | None]:
        chunks = [raw[a:b] for a, b in pairwise(edges)]
        return [*(frame for chunk in chunks for frame in splitter.feed(chunk)), splitter.end()]

    assert cut(Framing()) == cut(FrameSplitter())


def test_first_byte_determines_the_form() -> None:
    framing = Framing()
    assert framing.feed(b"\xef\xbb\xbf \r\n") == []
    assert (framing.end(), framing.array, framing.too_large) == (None, False, False)
    assert datas(framing.feed(b"[{}")) == [b"{}"]
    assert framing.array
    events = Framing()
    assert datas(events.feed(b"data: {}\n\n")) == [b"{}"]
    assert not events.array
