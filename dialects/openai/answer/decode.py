"""Read a whole (not streamed) chat answer of the openai dialect. A client of the same dialect gets
the unchanged bytes; only the usage, the finish reasons and the text size are read. For clients of
other dialects it is decoded.
"""

from operator import attrgetter

from dialects.chat.events import Broken, Event, Usage
from dialects.chat.fold import AnswerFault
from dialects.codec import WholeAnswer, failed_answer, parse_whole
from dialects.json.raw_json import ABSENT, value_bytes
from dialects.openai.answer.events import Translation
from dialects.openai.answer.finish_reasons import OVERLOADED_REASONS
from dialects.openai.answer.wire import ChoiceReader, error_of, groq_usage, read_answer, read_chunk
from dialects.openai.errors import read_object

_reason_of = attrgetter("finish_reason")


def decode(
    raw: bytes,
    *,
    translate: bool = False,
    audio_type: str = "audio/wav",
    request_id: str = "",
) -> WholeAnswer:
    """Read the body of a 200. Never raises."""
    try:
        answer = parse_whole(raw, read_chunk if translate else read_answer)
    except AnswerFault as fault:
        return failed_answer(fault.event)
    error = error_of(answer, raw)
    choices = answer.choices or []
    if error is None and not OVERLOADED_REASONS.isdisjoint(map(_reason_of, choices)):
        error = b'{"type":"overloaded_error"}'
    if error is not None:
        return failed_answer(read_object(error).event, value_bytes(answer.usage))
    if not choices:
        return failed_answer(Broken("F24"), value_bytes(answer.usage))
    reader = ChoiceReader(whole=True)
    events: list[Event] = []
    usage = value_bytes(answer.usage)
    for choice in choices:
        reader.read(choice, events)
        usage = usage or value_bytes(choice.usage)
    if usage is None and answer.x_groq is not ABSENT:
        usage = groq_usage(answer)
    if translate:
        counted = [] if usage is None else [Usage(usage)]
        translation = Translation(audio_type, whole=True, request_id=request_id)
        events = translation.complete([*events, *counted], raw, answer)
        events += translation.finish(reader.unfinished())
    return WholeAnswer(events, usage, reader.text_bytes, reader.reasoning_bytes)
