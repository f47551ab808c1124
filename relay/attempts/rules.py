"""Whether a request gets another attempt, at which channel, and after how long."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from dialects.errors.kinds import ErrorKind
from gateway.breaker.faults import FAULTS
from gateway.channel_order.channel_order import Candidate
from gateway.routing.model_rule_bounds import CAUSES, Cause

ATTEMPTS_MAX: Final = 3
LAST_START_SHARE: Final = 0.75
"""The share of a channel's total time after which no further attempt begins."""
_BACKOFF_S: Final = 0.05
# Refusals that another model may not repeat.
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
    """Return the channel of the next attempt, or None. `past` are the attempts already made, all
    failed before content. A channel's `retries` is the number of attempts that may follow its
    failure; there are at most `attempts_max` in all. Unused channels come first. Otherwise the last
    channel is tried again, unless its id is in `closed` (its key or route is disabled, or it cools
    down)."""
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
    """The attempts that a model of a request may still use, after `made` ones for other models.
    With a `fallback` model, the last attempt is reserved for it, and no channel is used twice.
    """

    attempts: int = 0
    fallback: bool = False

    @property
    def most(self) -> int:
        """The maximum number of attempts."""
        return ATTEMPTS_MAX - self.attempts - self.fallback

    def shut(self, last: Candidate) -> tuple[str, ...]:
        """Return the channels that may not be used again."""
        return (last.channel_id,) if self.fallback else ()


def attempt_order(
    candidates: Sequence[Candidate], attempts: AttemptsLeft, *, closed: Collection[str] = ()
) -> list[Candidate]:
    """Return the channels that a request would use for one model, if each failed before content
    with a fault that permits another attempt. The first is always used; `closed` is as for
    `next_candidate`.
    """
    tried = list(candidates[:1])
    while tried:
        shut = {*closed, *attempts.shut(tried[-1])}
        following = next_candidate(candidates, tried, closed=shut, attempts_max=attempts.most)
        if following is None:
            break
        tried.append(following)
    return tried


def may_fall_back(fault: str, kind: ErrorKind, causes: Collection[Cause] = CAUSES) -> bool:
    """Return whether another model may answer after such a failure. `causes` are the causes that
    the rule permits: a fault of the channel, or an error that another model may not have (a larger
    context, another policy)."""
    cause = _OF_THE_MODEL.get(kind)
    if cause is not None:
        return cause in causes
    return "error" in causes and FAULTS[fault].next != "never"


def backoff_s_max(failures: int) -> float:
    """Return the maximum wait in seconds before the same channel is used again after `failures`
    failures; another channel is used without a wait. The wait is drawn at random up to it, so that
    clients that failed together do not return together."""
    return _BACKOFF_S * float(2**failures)
