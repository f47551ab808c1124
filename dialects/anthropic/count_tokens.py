"""Token counts in the anthropic dialect."""

import msgspec

from dialects.json.not_json import NOT_JSON
from dialects.usage.impossible_counts import COUNT_MAX


class _Count(msgspec.Struct):
    input_tokens: int


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
