"""Reading a whole text completion, which goes to its client byte for byte."""

from dialects.chat.events import Event
from dialects.chat.fold import AnswerFault
from dialects.chat.whole_answer import WholeAnswer, failed
from dialects.endpoints.completions.wire import ChoiceReader, read_choices, usage_of
from dialects.endpoints.unary import broken, open_answer


def read(raw: bytes) -> WholeAnswer:
    """Read the body of a 200. Never raises."""
    try:
        members = open_answer(raw)
        choices = read_choices(members)
        if not choices:
            raise broken("F24")
    except AnswerFault as fault:
        return failed(fault.event)
    reader, events = ChoiceReader(), list[Event]()
    for choice in choices:
        reader.read(choice, events)
    return WholeAnswer(events, usage_of(members, choices), reader.text_bytes)
