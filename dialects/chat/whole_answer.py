"""A whole (not streamed) answer, as the decoder of its dialect returns it."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from dialects.chat.chat import ChatAnswer
from dialects.chat.events import Broken, BrokenFault, Event, UpstreamError
from dialects.chat.fold import AnswerFault, fold
from dialects.json.raw_json import ReadFault

_T = TypeVar("_T")


class WholeAnswer(msgspec.Struct, frozen=True):
    """The content of a whole answer. `events` are the same as in a stream, `usage` is the raw usage
    object or None (F25), `searches` counts web searches if the usage does not. With `error` (F23)
    or `broken` (F14 without an end, F15 no JSON, F16 no UTF-8, F24 empty) the answer is a failure,
    and its bytes are not sent to the client."""

    events: list[Event]
    usage: bytes | None
    text_bytes: int
    reasoning_bytes: int = 0
    searches: int = 0
    error: UpstreamError | None = None
    broken: BrokenFault | None = None

    def fold(self) -> ChatAnswer:
        """Return the answer in neutral form. Raises AnswerFault if it is a failure."""
        if self.error is not None:
            raise AnswerFault(self.error)
        if self.broken is not None:
            raise AnswerFault(Broken(self.broken))
        return fold(self.events)


def failed_answer(event: UpstreamError | Broken) -> WholeAnswer:
    """Return the WholeAnswer of a failure."""
    if isinstance(event, UpstreamError):
        return WholeAnswer([], None, 0, error=event)
    return WholeAnswer([], None, 0, broken=event.fault)


def parse_whole(raw: bytes, parse: Callable[[bytes], _T]) -> _T:
    """Parse the body of a 200 response. Raises AnswerFault."""
    if not raw.strip():
        raise AnswerFault(Broken("F24"))
    try:
        raw.decode()
        return parse(raw)
    except UnicodeDecodeError:
        raise AnswerFault(Broken("F16")) from None
    except ReadFault:
        raise AnswerFault(Broken("F15")) from None
