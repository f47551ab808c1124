"""Write a neutral answer as an interaction."""

import msgspec

from dialects.chat.chat import ChatAnswer, ChatRequest
from dialects.chat.events import Usage
from dialects.chat.fold import unfold
from dialects.interactions.stream.encode import Encoder


def encode(answer: ChatAnswer, request: ChatRequest) -> bytes:
    """Return the body for the client: our id and time, the provider's model. A stream of the same
    answer has these steps. The dialect has one choice: the first.
    """
    encoder = Encoder(request)
    for event in unfold(answer):
        encoder.feed(event)
    encoder.feed(Usage(answer.usage or b"", answer.counts))
    encoder.end()
    return msgspec.json.encode(encoder.response)
