"""Reading a whole (not streamed) answer of the gemini dialect.

The answer goes to a client of the same dialect byte for byte; it is read for its usage, its finish
reasons and the size of its text. A JSON array of pieces is read as the answer that it makes up.
"""

from dataclasses import dataclass

import msgspec

from dialects.chat import ChatAnswer
from dialects.events import Broken, BrokenFault, Event, UpstreamError
from dialects.fold import AnswerFault, fold
from dialects.gemini.response_encode import encode as encode
from dialects.gemini.stream import Decoder
from dialects.stream import is_utf8


@dataclass(frozen=True, slots=True)
class Reading:
    """What a whole answer says.

    `events` tell it as a stream would have, `usage` is the raw usage object or None (F25). With
    `error` (F23) or `broken` (F14 without an end, F15 no JSON, F16 no UTF-8, F24 empty) the answer
    is no success, and its bytes are not for the client.
    """

    events: list[Event]
    usage: bytes | None
    text_bytes: int
    reasoning_bytes: int
    error: UpstreamError | None = None
    broken: BrokenFault | None = None


def read(raw: bytes, *, translate: bool = False, request_id: str = "") -> Reading:
    """Read the body of a 200. Never raises."""
    body = raw.strip()
    if body and not body.startswith((b"{", b"[")):
        return _broken("F15" if is_utf8(body) else "F16")
    decoder = Decoder(translate=translate, request_id=request_id, frame_bytes_max=len(raw))
    steps = decoder.feed(body) + decoder.end()
    *events, last = [event for step in steps for event in step.events]
    if isinstance(last, UpstreamError):
        return Reading([], None, 0, 0, error=last)
    if isinstance(last, Broken):
        whole = _is_json(body)
        # Whole as it is, an answer needs no reason for its end; cut, it is no JSON.
        if last.fault != "F14" or not whole:
            cut = last.fault in ("F14", "F24") and body and not whole
            return _broken("F15" if cut else last.fault)
    elif not _is_json(body):
        # Something stands behind the answer, and would go on to the client with it.
        return _broken("F15" if is_utf8(body) else "F16")
    return Reading(events, decoder.usage, decoder.text_bytes, decoder.reasoning_bytes)


def decode(raw: bytes, *, request_id: str = "") -> ChatAnswer:
    """The whole answer in neutral words. Raises fold.AnswerFault."""
    answer = read(raw, translate=True, request_id=request_id)
    if answer.error is not None:
        raise AnswerFault(answer.error)
    if answer.broken is not None:
        raise AnswerFault(Broken(answer.broken))
    return fold(answer.events)


def _is_json(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _broken(fault: BrokenFault) -> Reading:
    return Reading([], None, 0, 0, broken=fault)
