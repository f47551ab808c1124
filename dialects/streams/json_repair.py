"""Repairs JSON that no parser accepts, although the rest of the answer is valid.

    counts that are not numbers     sent as null (F27)
    halves of surrogate pairs       sent unchanged (F15a)

Repairs are only attempted after a text could not be parsed.
"""

from dialects.errors.errors import RequestFault
from dialects.json import lone_surrogates, nonfinite_numbers
from dialects.json.body import Body, read_body
from dialects.json.nonfinite_numbers import Repaired
from dialects.streams.sse import Frame


def repair(raw: bytes, *, marks: bool = False) -> Repaired | None:
    """Repair a JSON text that could not be parsed. Return None if it has neither of these faults.
    `marks`: see `lone_surrogates`."""
    numbers = nonfinite_numbers.repair(raw)
    read, shown = (raw, raw) if numbers is None else numbers
    whole = lone_surrogates.mark(read) if marks else lone_surrogates.replace(read)
    return None if numbers is None and whole is None else Repaired(whole or read, shown)


def repair_frame(frame: Frame, *, marks: bool = False) -> Frame | None:
    """Repair a frame: the bytes to send, and the data to parse. Return None if it cannot be
    repaired."""
    data = repair(frame.data or b"", marks=marks)
    if data is None:
        return None
    numbers = nonfinite_numbers.repair(frame.raw)
    return Frame(frame.raw if numbers is None else numbers.shown, frame.event, data.read)


def read_answer_body(raw: bytes) -> Body | None:
    """Return an upstream's JSON object with the positions of its members, with or without lone
    surrogates; None if it cannot be parsed.
    """
    try:
        return read_body(raw)
    except RequestFault:
        whole = lone_surrogates.replace(raw)
    if whole is None:
        return None
    try:
        body = read_body(whole)
    except RequestFault:
        return None
    return Body(raw, body.members, body.open_at)
