"""Cut a stream whose provider exceeds the request's output cap (F18).

Tokens are counted as the model's family does, which is too expensive for each chunk. No model's
text has fewer than two bytes per token, so a stream far below its cap is never counted; near it,
the next count is due halfway to where the cap is expected.
"""

from typing import Final

from relay.counting.vocabularies import Family

BYTES_MIN: Final = 2
"""The smallest mean number of bytes per token of an answer."""
# The possible error, because counting splits words at the end of each part.
_SPARE_TOKENS: Final = 16
_STEP_BYTES: Final = 64


def tokens_allowed(cap: int, family: Family) -> int:
    """Return the number of tokens by our count above which an answer certainly exceeds its cap."""
    return cap + -(-cap * family.percent_off // 100) + _SPARE_TOKENS


def initial_count(allowed: int) -> int:
    """Return after how many bytes of the answer its tokens are first counted."""
    return allowed * BYTES_MIN


def next_count(allowed: int, tokens: int, size: int) -> int:
    """Return the number of bytes of the answer at which to count tokens again, if the first `size`
    bytes have `tokens` tokens."""
    bytes_left = (allowed - tokens) * size // max(tokens, 1)
    return size + max(bytes_left // 2, _STEP_BYTES)
