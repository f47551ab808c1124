"""The cache of answers: for how long a key or a team serves an answer again to identical requests,
and at what share of its price."""

from typing import Final, NamedTuple
from uuid import UUID

SECONDS_MIN: Final = 60
SECONDS_MAX: Final = 7 * 24 * 3600


class CacheRule(NamedTuple):
    """The rule for the requests of a key. Answers are shared by the requests of `owner`: the key
    itself, or its team."""

    owner: UUID
    seconds: int
    price_percent: int
