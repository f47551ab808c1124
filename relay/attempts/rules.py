"""Whether a request gets another attempt, where, and after how long."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from dialects.errors.errors import ErrorKind
from gateway.health.faults import FAULTS
from gateway.routing.channel_order import Candidate
from gateway.routing.model_rule_bounds import CAUSES, Cause

ATTEMPTS_MAX: Final = 3
LAST_START_SHARE: Final = 0.75
"""Of the whole time that a channel has; after it no further attempt begins."""
_BACKOFF_S: Final = 0.05
# Refusals of a request that another model may not make.
_OF_THE_MODEL: Final[Mapping[ErrorKind, Cause]] = {
    "context_length_exceeded": "context_length",
    "content_filtered": "content_policy",
}


def next_candidate(
    candidates: Sequence[Candidate],
    past: Sequence[Candidate],
    *,
    closed: Collection[str] = (),
    attempts_max: int = ATTEMPTS_MAX,
) -> Candidate | None:
    """The channel for the next attempt, or None when there shall be none.

    `past` are the attempts so far, all failed before content. A channel's `retries` says how many
    attempts may follow a failure of it; there are at most `attempts_max` in all. A channel not
    tried yet comes first; when there is none the last one is tried again, unless its id is in
    `closed` (its key or route is off, it cools).
    """
    if len(past) >= attempts_max:
        return None
    if any(len(past) - i > failed.retries for i, failed in enumerate(past)):
        return None
    tried = {failed.channel_id for failed in past}
    for candidate in candidates:
        if candidate.channel_id not in tried and candidate.channel_id not in closed:
            return candidate
    if past and past[-1].channel_id not in closed:
        return past[-1]
    return None


class AttemptsLeft(NamedTuple):
    """What attempts a model of a request has, behind `made` ones for other models.

    Where another model may answer in its place (`fallback`), the last attempt is kept for that
    one, and no channel is asked twice.
    """

    attempts: int = 0
    fallback: bool = False

    @property
    def most(self) -> int:
        """How many of them there are."""
        return ATTEMPTS_MAX - self.attempts - self.fallback

    def shut(self, last: Candidate) -> tuple[str, ...]:
        """The channels that are not asked again."""
        return (last.channel_id,) if self.fallback else ()


def attempt_order(
    candidates: Sequence[Candidate], attempts: AttemptsLeft, *, closed: Collection[str] = ()
) -> list[Candidate]:
    """Whom a request asks for one model, were each to fail before content with a fault that lets
    the next one be asked. The first is asked in any case; `closed` is as for `next_candidate`."""
    tried = list(candidates[:1])
    while tried:
        shut = {*closed, *attempts.shut(tried[-1])}
        following = next_candidate(candidates, tried, closed=shut, attempts_max=attempts.most)
        if following is None:
            break
        tried.append(following)
    return tried


def may_fall_back(fault: str, kind: ErrorKind, causes: Collection[Cause] = CAUSES) -> bool:
    """Whether another model may answer in place of one that failed so, where it may for these
    causes: the fault is not the request's own, or the other model may have more room or another
    policy."""
    cause = _OF_THE_MODEL.get(kind)
    if cause is not None:
        return cause in causes
    return "error" in causes and FAULTS[fault].next != "never"


def backoff_s_max(failures: int) -> float:
    """Seconds to wait at most before the same channel is asked again, after so many failures;
    another channel is asked at once. The wait is drawn from 0 to it, so that clients that failed
    together do not return together."""
    return _BACKOFF_S * float(2**failures)
