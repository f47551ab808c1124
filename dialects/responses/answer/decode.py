"""Read a whole (not streamed) answer of the responses dialect, or a compaction. A client of the
same dialect gets the unchanged bytes; only the usage, the finish reason and the text size are read.
For clients of other dialects it is decoded.
"""

from dialects.chat.events import Broken
from dialects.chat.fold import AnswerFault
from dialects.codec import WholeAnswer, failed_answer, parse_whole
from dialects.responses.answer.events import AnswerReader
from dialects.responses.answer.wire import items_of, read_response
from dialects.responses.errors import read_object


def decode(raw: bytes, *, translate: bool = False, request_id: str = "") -> WholeAnswer:
    """Read the body of a 200. Never raises.

    Compactions and queued responses have no finish reason.
    """
    try:
        response = parse_whole(raw, read_response)
    except AnswerFault as fault:
        return failed_answer(fault.event)
    error = response.failure
    if error is None and response.object == "error":
        error = raw
    if error is not None:
        return failed_answer(read_object(error).event, response.whole_usage)
    if items_of(response.output) is None:
        return failed_answer(Broken("F24"), response.whole_usage)
    reader = AnswerReader(translate=translate, request_id=request_id)
    events = reader.finish(response)
    return WholeAnswer(
        events, response.whole_usage, reader.text_bytes, reader.reasoning_bytes, reader.searches
    )
