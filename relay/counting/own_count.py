"""The usage of an attempt by our own count, if its provider reports none, or an impossible one
(P27): words are counted as the model's family does; sizes are the last resort.

The free endpoint that counts a request's tokens is `count_endpoint.py`; the families of models are
in `relay/counting/vocabularies.py`, their counting in `tokenizer.py`.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from dialects.usage.usage import Quantities
from relay.counting.estimates import estimate_tokens
from relay.counting.tokenizer import count_request, count_text
from relay.counting.vocabularies import UNKNOWN, Family

NO_USAGE: Final = Quantities({}, ("usage_missing",))


class UsageEvidence(msgspec.Struct, frozen=True):
    """What was sent and received: the last usage (F26), raw and as its dialect reads it, and sizes
    in UTF-8 bytes.

    `uncounted_bytes` of the answer came after that usage. `here` is our own count of quantities
    other than text. `said` and `thought` are samples of the answer's text and reasoning, and `body`
    is the request; they are counted by the rules of the model's `family`. `context_max` is the
    model's maximum input, None if unknown.
    """

    input_bytes: int
    reported: Quantities = NO_USAGE
    usage: bytes | None = None
    text_bytes: int = 0
    reasoning_bytes: int = 0
    uncounted_bytes: int = 0
    here: Callable[[], Mapping[str, int]] | None = None
    family: Family = UNKNOWN
    answer_text: str = ""
    thought: str = ""
    body: bytes = b""
    context_max: int | None = None


def count_own(evidence: UsageEvidence) -> dict[str, int]:
    """Return the meters of an attempt by our own count."""
    if evidence.here is not None:
        return dict(evidence.here())
    meters = {
        "in_text": _tokens_sent(evidence),
        "out_text": estimate_tokens_of_text(
            evidence.family, evidence.answer_text, evidence.text_bytes
        ),
    }
    if evidence.reasoning_bytes:
        thought = estimate_tokens_of_text(
            evidence.family, evidence.thought, evidence.reasoning_bytes
        )
        meters["out_reasoning"] = thought
    return meters


def estimate_tokens_of_text(family: Family, sample: str, size: int) -> int:
    """Estimate the tokens of `size` bytes of the answer from the ratio in a sample of it."""
    if not sample:
        return estimate_tokens(size)
    tokens, sample_bytes = (
        count_text(sample, family),
        len(sample.encode("utf-8", "replace")),
    )
    return -(-size * tokens // sample_bytes)


def _tokens_sent(evidence: UsageEvidence) -> int:
    """Return the tokens of the request, at most the model's context size."""
    counted = count_request(evidence.body, evidence.family)
    tokens = estimate_tokens(evidence.input_bytes) if counted is None else counted
    return tokens if evidence.context_max is None else min(tokens, evidence.context_max)
