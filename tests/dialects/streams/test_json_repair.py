"""F27, F15a: what no parser takes and yet takes nothing from the answer."""

from dialects.json.nonfinite_numbers import Repaired
from dialects.streams.json_repair import repair, repair_frame
from dialects.streams.sse import Frame


def test_surrogates_are_shown_raw_beside_invalid_counts() -> None:
    assert repair(rb'{"text":"\ud83d","usage":{"a":NaN}}') == Repaired(
        rb'{"text":"\ufffd","usage":{"a":"NaN"}}', rb'{"text":"\ud83d","usage":{"a":null}}'
    )
    assert repair(rb'{"text":"\ud83d\ude00 \\ud83d"}') is None


def test_the_bytes_of_a_frame_are_shown_and_its_data_read() -> None:
    data = b'{"usage":{"a":NaN}}'
    frame = Frame(b"event: x\ndata: " + data + b"\n\n", "x", data)
    assert repair_frame(frame) == Frame(
        b'event: x\ndata: {"usage":{"a":null}}\n\n', "x", b'{"usage":{"a":"NaN"}}'
    )
    assert repair_frame(Frame(b"data: [DONE]\n\n", "", b"[DONE]")) is None
    assert repair_frame(Frame(b": NaN\n\n", "", None)) is None
