"""Reading a whole (not streamed) answer of the anthropic dialect.

The answer goes to a client of the same dialect byte for byte; it is read for its usage, its stop
reason and the size of its text. To others it is told in full.
"""

from dataclasses import dataclass

from dialects.anthropic.blocks import BlockReader
from dialects.anthropic.errors import read_object
from dialects.anthropic.response_encode import encode as encode
from dialects.anthropic.stream import counted, read_start
from dialects.anthropic.wire import read_message
from dialects.chat import ChatAnswer
from dialects.events import Broken, BrokenFault, Event, UpstreamError
from dialects.fold import AnswerFault, fold
from dialects.raws import ReadFault, given


@dataclass(frozen=True, slots=True)
class MessageAnswer:
    """What a whole answer says.

    `events` tell it as a stream would have, `usage` is the raw usage object or None (F25). With
    `error` (F23) or `broken` (F15 no JSON, F16 no UTF-8, F24 empty) the answer is no success, and
    its bytes are not for the client.
    """

    events: list[Event]
    usage: bytes | None
    text_bytes: int
    reasoning_bytes: int
    error: UpstreamError | None = None
    broken: BrokenFault | None = None


def read(raw: bytes, *, translate: bool = False, answer_tool: str = "") -> MessageAnswer:
    """Read the body of a 200. Never raises. `answer_tool`: see `Encoded`."""
    if not raw.strip():
        return _broken("F24")
    try:
        raw.decode()
        message = read_message(raw)
    except UnicodeDecodeError:
        return _broken("F16")
    except ReadFault:
        return _broken("F15")
    error = given(message.error)
    if message.type == "error" or error is not None:
        return MessageAnswer([], None, 0, 0, error=read_object(error or raw).event)
    if message.content is None:
        return _broken("F24")
    reader = BlockReader(translate=translate, answer_tool=answer_tool)
    events: list[Event] = [read_start(message)] if translate else []
    for index, block in enumerate(message.content):
        reader.open(index, block, raw, events)
        reader.close(index, events)
    if message.stop_reason:
        reader.finish(message.stop_reason, message.stop_sequence or "", events)
    usage = given(message.usage)
    if usage is not None and translate:
        events.append(counted(usage))
    return MessageAnswer(events, usage, reader.text_bytes, reader.reasoning_bytes)


def decode(raw: bytes, *, answer_tool: str = "") -> ChatAnswer:
    """The answer in neutral words. Raises AnswerFault."""
    told = read(raw, translate=True, answer_tool=answer_tool)
    if told.error is not None:
        raise AnswerFault(told.error)
    if told.broken is not None:
        raise AnswerFault(Broken(told.broken))
    return fold(told.events)


def _broken(fault: BrokenFault) -> MessageAnswer:
    return MessageAnswer([], None, 0, 0, broken=fault)
