"""When a stream is cut whose provider goes on behind the output cap of its request (F18).

Its tokens are counted as its model's family does, which costs too much to do for each chunk. No
text of a model has fewer than two bytes to a token, so a stream that is far from its cap is never
counted; of one that comes near, the next count is due halfway to where the cap is expected.
"""

from typing import Final

from relay.counting.vocabularies import Family

BYTES_MIN: Final = 2
"""How many bytes a token of an answer has at least, in the mean."""
# What words that were cut in two between counts may come to.
_SPARE_TOKENS: Final = 16
_STEP_BYTES: Final = 64


def tokens_allowed(cap: int, family: Family) -> int:
    """Above how many tokens by our count an answer is surely longer than its cap."""
    return cap + -(-cap * family.percent_off // 100) + _SPARE_TOKENS


def first_count(allowed: int) -> int:
    """After how many bytes of the answer its tokens are first counted."""
    return allowed * BYTES_MIN


def next_count(allowed: int, tokens: int, size: int) -> int:
    """After how many bytes they are counted again, where these first `size` are so many tokens."""
    bytes_left = (allowed - tokens) * size // max(tokens, 1)
    return size + max(bytes_left // 2, _STEP_BYTES)
