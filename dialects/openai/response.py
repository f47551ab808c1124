"""Reading a whole (not streamed) chat answer of the openai dialect.

The answer goes to a client of the same dialect byte for byte; it is read for its usage, its finish
reasons and the size of its text. For clients of other dialects it is decoded.
"""

import msgspec

from dialects import chat
from dialects.events import Broken, BrokenFault, Event, UpstreamError, Usage
from dialects.fold import AnswerFault, fold
from dialects.openai.errors import read_object
from dialects.openai.response_encode import encode as encode
from dialects.openai.translation import Translation
from dialects.openai.wire import OVERLOADED_REASONS, ChoiceReader, error_of, read_answer
from dialects.raws import ReadFault, given


class ChatAnswer(msgspec.Struct, frozen=True):
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


def decode(raw: bytes, *, audio_type: str = "audio/wav") -> chat.ChatAnswer:
    """The answer in neutral words. Raises AnswerFault where `read` tells `error` or `broken`.

    `audio_type` is the media type of the sound that was asked for, which no answer tells.
    """
    answer = read(raw, translate=True, audio_type=audio_type)
    if answer.error is not None:
        raise AnswerFault(answer.error)
    if answer.broken is not None:
        raise AnswerFault(Broken(answer.broken))
    return fold(answer.events)


def read(raw: bytes, *, translate: bool = False, audio_type: str = "audio/wav") -> ChatAnswer:
    """Read the body of a 200. Never raises."""
    if not raw.strip():
        return _broken("F24")
    try:
        raw.decode()
        answer = read_answer(raw)
    except UnicodeDecodeError:
        return _broken("F16")
    except ReadFault:
        return _broken("F15")
    error = error_of(answer, raw)
    choices = answer.choices or []
    if error is None and any(choice.finish_reason in OVERLOADED_REASONS for choice in choices):
        error = b'{"type":"overloaded_error"}'
    if error is not None:
        return ChatAnswer([], None, 0, 0, error=read_object(error).event)
    if not choices:
        return _broken("F24")
    reader = ChoiceReader()
    events: list[Event] = []
    usage = given(answer.usage)
    for choice in choices:
        reader.read(choice, events)
        usage = usage or given(choice.usage)
    if translate:
        counted = [] if usage is None else [Usage(usage)]
        events = Translation(audio_type, whole=True).complete([*events, *counted], raw)
    return ChatAnswer(
        events,
        usage,
        reader.text_bytes,
        reader.reasoning_bytes,
    )


def _broken(fault: BrokenFault) -> ChatAnswer:
    return ChatAnswer([], None, 0, 0, broken=fault)
