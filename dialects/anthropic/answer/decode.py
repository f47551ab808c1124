"""Read a whole (not streamed) answer of the anthropic dialect. A client of the same dialect gets
the unchanged bytes; only the usage, the stop reason and the text size are read. For clients of
other dialects it is decoded in full.
"""

from dialects.anthropic.answer.events import BlockReader
from dialects.anthropic.answer.wire import read_message
from dialects.anthropic.errors import read_object
from dialects.anthropic.stream.decode import read_start, read_usage
from dialects.chat.events import Broken, Event
from dialects.chat.fold import AnswerFault
from dialects.codec import WholeAnswer, failed_answer, parse_whole
from dialects.json.raw_json import value_bytes


def decode(raw: bytes, *, translate: bool = False, answer_tool: str = "") -> WholeAnswer:
    """Read the body of a 200. Never raises. `answer_tool`: see `Encoded`."""
    try:
        message = parse_whole(raw, read_message)
    except AnswerFault as fault:
        return failed_answer(fault.event)
    error = value_bytes(message.error)
    if message.type == "error" or error is not None:
        return failed_answer(read_object(error or raw).event, value_bytes(message.usage))
    if message.content is None:
        return failed_answer(Broken("F24"), value_bytes(message.usage))
    reader = BlockReader(translate=translate, answer_tool=answer_tool)
    events: list[Event] = [read_start(message)] if translate else []
    for index, block in enumerate(message.content):
        reader.open(index, block, raw, events)
        reader.close(index, events)
    if message.stop_reason or translate:
        reader.finish(message.stop_reason or "", message.stop_sequence or "", events)
    usage = value_bytes(message.usage)
    if usage is not None and translate:
        events.append(read_usage(usage))
    return WholeAnswer(events, usage, reader.text_bytes, reader.reasoning_bytes)
