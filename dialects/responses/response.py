"""Reading a whole (not streamed) answer of the responses dialect, and a compaction.

The answer goes to a client of the same dialect byte for byte; it is read for its usage, its finish
reason and the size of its text. For clients of other dialects it is decoded.
"""

from dataclasses import dataclass

import msgspec

from dialects import chat
from dialects.events import Broken, BrokenFault, Event, UpstreamError, Usage
from dialects.fold import AnswerFault, fold, unfold
from dialects.raws import ReadFault, given
from dialects.responses.errors import read_object
from dialects.responses.stream_encode import Encoder
from dialects.responses.telling import AnswerReader
from dialects.responses.wire import items_of, read_response


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """What a whole answer says.

    `events` tell it as a stream would have, `usage` is the raw usage object or None (F25),
    `searches` counts web searches. With `error` (F23) or `broken` (F15 no JSON, F16 no UTF-8, F24
    empty) the answer is no success, and its bytes are not for the client.
    """

    events: list[Event]
    usage: bytes | None
    text_bytes: int
    reasoning_bytes: int
    searches: int = 0
    error: UpstreamError | None = None
    broken: BrokenFault | None = None


def read(raw: bytes, *, translate: bool = False) -> WholeAnswer:
    """Read the body of a 200. Never raises.

    A compaction has no finish, and a response that is still queued neither.
    """
    if not raw.strip():
        return _broken("F24")
    try:
        raw.decode()
    except UnicodeDecodeError:
        return _broken("F16")
    try:
        response = read_response(raw)
    except ReadFault:
        return _broken("F15")
    error = given(response.error)
    if error is not None or response.status == "failed" or response.object == "error":
        return WholeAnswer([], None, 0, 0, error=read_object(error or raw).event)
    if items_of(response.output) is None:
        return _broken("F24")
    reader = AnswerReader(translate=translate)
    events = reader.finish(response)
    return WholeAnswer(
        events, given(response.usage), reader.text_bytes, reader.reasoning_bytes, reader.searches
    )


def decode(raw: bytes) -> chat.ChatAnswer:
    """The answer in neutral words. Raises AnswerFault where `read` tells `error` or `broken`."""
    answer = read(raw, translate=True)
    if answer.error is not None:
        raise AnswerFault(answer.error)
    if answer.broken is not None:
        raise AnswerFault(Broken(answer.broken))
    return fold(answer.events)


def encode(answer: chat.ChatAnswer, request: chat.ChatRequest) -> bytes:
    """The body for the client: our id and time, the model that the provider reports.

    It is what a stream of the same answer ends with. The dialect has one choice: the first.
    """
    encoder = Encoder(request)
    for event in unfold(answer):
        encoder.feed(event)
    encoder.feed(Usage(answer.usage or b"", answer.counts))
    encoder.end()
    return msgspec.json.encode(encoder.response)


def _broken(fault: BrokenFault) -> WholeAnswer:
    return WholeAnswer([], None, 0, 0, broken=fault)
