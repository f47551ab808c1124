"""How many tokens a text has, at least or about, by its size or its words alone."""

from typing import Any, Final

import msgspec

BYTES_PER_ESTIMATED_TOKEN = 4

# Members of a request, in any dialect, whose texts a model reads. They contain no pictures or
# sound.
_READ: Final = frozenset(
    (
        "messages",
        "content",
        "contents",
        "parts",
        "text",
        "input",
        "prompt",
        "system",
        "instructions",
        "system_instruction",
        "systemInstruction",
        "arguments",
        "output",
    )
)
_READ_BYTES_MAX: Final = 1024 * 1024


def estimate_tokens(utf8_bytes: int) -> int:
    """Estimate the tokens of a text that no upstream counted (F25): four bytes each, rounded up.
    English text has slightly more than four bytes per token in common vocabularies; other scripts
    have fewer characters but more bytes per token. The row is marked as estimated.
    """
    return -(-utf8_bytes // BYTES_PER_ESTIMATED_TOKEN)


def input_tokens_min(body: bytes) -> int:
    """Return a number that no provider's count of the input is below: the words between white
    space, because no vocabulary has a token that spans two. 0 for a request that is too large to
    parse."""
    if len(body) > _READ_BYTES_MAX:
        return 0
    return _count_words(msgspec.json.decode(body))


def _count_words(value: Any) -> int:
    if isinstance(value, str):
        return len(value.split())
    if isinstance(value, list):
        return sum(map(_count_words, value))
    if isinstance(value, dict):
        return sum(_count_words(inner) for name, inner in value.items() if name in _READ)
    return 0
