"""Read a whole (not streamed) answer of the interactions dialect. A client of the same dialect gets
the unchanged bytes; only the usage, the finish reason and the text size are read.
"""

from dialects.chat.events import Broken
from dialects.chat.fold import AnswerFault
from dialects.codec import WholeAnswer, failed_answer, parse_whole
from dialects.interactions.answer.events import StepReader
from dialects.interactions.answer.wire import raw_steps, read_interaction
from dialects.interactions.errors import read_object
from dialects.json.raw_json import value_bytes


def decode(raw: bytes, *, translate: bool = False) -> WholeAnswer:
    """Read the body of a 200. Never raises. Queued interactions have no finish reason."""
    try:
        interaction = parse_whole(raw, read_interaction)
    except AnswerFault as fault:
        return failed_answer(fault.event)
    if (error := interaction.failure) is not None:
        return failed_answer(read_object(error).event, value_bytes(interaction.usage))
    if raw_steps(interaction.steps) is None:
        return failed_answer(Broken("F24"))
    reader = StepReader(translate=translate)
    events = reader.finish(interaction)
    usage = value_bytes(interaction.usage)
    return WholeAnswer(events, usage, reader.text_bytes, reader.reasoning_bytes)
