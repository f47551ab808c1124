"""A neutral answer, written as a response of the responses dialect."""

import msgspec

from dialects.chat.chat import ChatAnswer, ChatRequest
from dialects.chat.events import Usage
from dialects.chat.fold import unfold
from dialects.responses.stream.encode import Encoder


def encode(answer: ChatAnswer, request: ChatRequest) -> bytes:
    """The body for the client: our id and time, the model that the provider reports.

    It is what a stream of the same answer ends with. The dialect has one choice: the first.
    """
    encoder = Encoder(request)
    for event in unfold(answer):
        encoder.feed(event)
    encoder.feed(Usage(answer.usage or b"", answer.counts))
    encoder.end()
    return msgspec.json.encode(encoder.response)
