"""Whether a request gets another attempt, where, and after how long."""

from collections.abc import Collection, Sequence
from typing import Final

from gateway.rules.routing import Candidate

ATTEMPTS_MAX: Final = 3
LAST_START_SHARE: Final = 0.75
"""Of the whole time that a channel has; after it no further attempt begins."""
_BACKOFF_S: Final = 0.05


def next_candidate(
    candidates: Sequence[Candidate],
    made: Sequence[Candidate],
    *,
    closed: Collection[str] = (),
) -> Candidate | None:
    """The channel for the next attempt, or None when there shall be none.

    `made` are the attempts so far, all failed before content. A channel's `retries` says how many
    attempts may follow a failure of it; there are at most three in all. A channel not tried yet
    comes first; when there is none the last one is tried again, unless its id is in `closed` (its
    key or route is off, it cools).
    """
    if len(made) >= ATTEMPTS_MAX:
        return None
    if any(len(made) - i > failed.retries for i, failed in enumerate(made)):
        return None
    tried = {failed.channel_id for failed in made}
    for candidate in candidates:
        if candidate.channel_id not in tried and candidate.channel_id not in closed:
            return candidate
    if made and made[-1].channel_id not in closed:
        return made[-1]
    return None


def attempt_order(
    candidates: Sequence[Candidate], *, closed: Collection[str] = ()
) -> list[Candidate]:
    """Whom a request asks, were each to fail before content with a fault that lets the next one be
    asked. The first is asked in any case; `closed` is as for `next_candidate`."""
    made = list(candidates[:1])
    while made and (following := next_candidate(candidates, made, closed=closed)) is not None:
        made.append(following)
    return made


def backoff_s_max(failures: int) -> float:
    """Seconds to wait at most before the same channel is asked again, after so many failures;
    another channel is asked at once. The wait is drawn from 0 to it, so that clients that failed
    together do not return together."""
    return _BACKOFF_S * float(2**failures)
