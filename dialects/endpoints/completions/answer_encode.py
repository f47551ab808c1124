"""Write a whole text completion from the answers of a chat model."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from dialects.chat.chat import ChatAnswer, Choice, Refusal, Text
from dialects.chat.turns import derive_id
from dialects.endpoints.completions.finish_reasons import write_reason
from dialects.endpoints.completions.request_decode import CompletionPlan
from dialects.openai.usage import encode as write_usage
from dialects.usage.usage import Counts

ID_PREFIX: Final = "cmpl-"


def encode(answers: Sequence[ChatAnswer], plan: CompletionPlan) -> bytes:
    """Return the client's body from the answers to the calls of its plan, in order."""
    request = plan.requests[0]
    counts = add_counts(answer.counts for answer in answers if answer.counts is not None)
    body = {
        "id": derive_id(ID_PREFIX, request.request_id),
        "object": "text_completion",
        "created": request.received_at,
        "model": next((answer.model for answer in answers if answer.model), request.model),
        "choices": [
            {
                "text": answer_text(choice),
                "index": place * plan.choices + choice.index,
                "logprobs": None,
                "finish_reason": write_reason(choice.finish),
            }
            for place, answer in enumerate(answers)
            for choice in answer.choices
        ],
        "usage": write_usage(counts),
    }
    return msgspec.json.encode(body)


def answer_text(choice: Choice) -> str:
    """Return the text of an answer, including a refusal; reasoning and tools are omitted."""
    return "".join(part.text for part in choice.parts if isinstance(part, Text | Refusal))


def add_counts(counts: Iterable[Counts]) -> Counts:
    """Return the total usage of several calls."""
    total = dict.fromkeys(Counts.__struct_fields__, 0)
    for count in counts:
        for name in total:
            total[name] += getattr(count, name)
    return Counts(**total)
