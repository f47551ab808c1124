"""Read a whole (not streamed) answer of the converse dialect."""

from dialects.chat.events import Broken, Event, Start, Usage
from dialects.chat.fold import AnswerFault
from dialects.codec import WholeAnswer, failed_answer, parse_whole
from dialects.converse.answer.events import BlockReader
from dialects.converse.answer.finish_reasons import MALFORMED
from dialects.converse.answer.wire import read_answer, usage_of
from dialects.converse.errors import read_object
from dialects.converse.usage import quantities
from dialects.usage.usage import Counts


def decode(raw: bytes) -> WholeAnswer:
    """Read the body of a 200. Never raises."""
    try:
        answer = parse_whole(raw, read_answer)
    except AnswerFault as fault:
        return failed_answer(fault.event)
    message = answer.output.message if answer.output is not None else None
    if message is None or message.content is None:
        # An error has a name, in Amazon's form (F23).
        named = answer.error_name is not None
        return failed_answer(read_object(raw).event if named else Broken("F24"))
    if answer.stop_reason in MALFORMED:
        return failed_answer(Broken("F15"))
    reader = BlockReader()
    events: list[Event] = [Start("", "")]
    for index, block in enumerate(message.content):
        reader.whole(index, block, events)
    reader.finish(answer.stop_reason or "", events)
    usage = usage_of(answer)
    if usage is not None:
        events.append(read_usage(usage))
    return WholeAnswer(events, usage, reader.text_bytes, reader.reasoning_bytes)


def read_usage(raw: bytes) -> Usage:
    """Return a usage object together with its neutral counts."""
    meters = quantities(raw).meters
    return Usage(raw, Counts.of(meters) if meters else None)
