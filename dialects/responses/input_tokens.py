"""Counts of input tokens in the responses dialect (POST /v1/responses/input_tokens)."""

from typing import Literal

import msgspec

from dialects.errors.errors import RequestFault
from dialects.json.not_json import NOT_JSON
from dialects.responses.request import read as request_read
from dialects.usage.impossible_counts import COUNT_MAX


class _Count(msgspec.Struct):
    input_tokens: int
    object: Literal["response.input_tokens"] = "response.input_tokens"


def read_request(raw: bytes) -> request_read.ChatFacts:
    """Read a request to count its tokens. Raises RequestFault, also if the provider stores a part
    of what the model would read: a count of the body alone would be wrong.
    """
    facts = request_read.read(raw)
    if facts.unseen_input:
        raise RequestFault(
            "unsupported_capability",
            "input",
            "stored input cannot be counted: send the whole conversation as input",
        )
    return facts


def read_count(raw: bytes) -> int | None:
    """Return the tokens that an upstream counted; None if its answer has no count."""
    try:
        count = msgspec.json.decode(raw, type=_Count).input_tokens
    except NOT_JSON:
        return None
    return count if 0 <= count <= COUNT_MAX else None


def write_count(input_tokens: int) -> bytes:
    """Return the answer to a request to count tokens."""
    return msgspec.json.encode(_Count(input_tokens))
