"""When a channel is tested automatically, and when it is disabled."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

Cause = Literal["key", "status", "words", "success", "balance"]
TEST_CAUSES: Final[frozenset[Cause]] = frozenset({"key", "status", "words", "success"})
"""The causes of a removal that a passed test ends."""

EVERY_MIN_MAX: Final = 7 * 24 * 60
TEXT_MAX: Final = 500
# With fewer attempts, no success rate is computed.
ATTEMPTS_MIN: Final = 20
WINDOW_MIN: Final = 15
"""The number of minutes that count as latest."""
_STATUSES: Final = re.compile(r"[1-5](?:[0-9]{2}|xx)(?:, ?[1-5](?:[0-9]{2}|xx))*")


@dataclass(frozen=True, slots=True)
class CheckRule:
    """A channel's rule for tests.

    `every_min` is the interval in minutes between tests, None for no automatic tests. Tests use
    `model` ("" for the first possible one) in that `variant`. The channel is disabled by: a
    rejected key, with `on_key`; one of the `statuses` ("403, 5xx") or `words` ("quota, suspended")
    in a failed test; or less than `success_percent` of the latest attempts succeeding. A passed
    test enables it again.
    """

    every_min: int | None = None
    model: str = ""
    variant: str = "streamed"
    on_key: bool = False
    statuses: str = ""
    words: str = ""
    success_percent: int | None = None


class TakenOut(NamedTuple):
    """Why a channel was disabled: the cause, and the status, word, percentage or balance."""

    cause: Cause
    what: str


def is_status_list(text: str) -> bool:
    """Return whether the text has the form of "403, 5xx"; "" is an empty list."""
    return not text or _STATUSES.fullmatch(text) is not None


def removal_by_test(
    rule: CheckRule, fault: str | None, status: int | None, text: str
) -> TakenOut | None:
    """Return why a failed test disables its channel, or None. `text` is the provider's message."""
    if rule.on_key and fault == "key":
        return TakenOut("key", "" if status is None else str(status))
    for wanted in _split_words(rule.statuses):
        if status is not None and re.fullmatch(wanted.replace("x", "[0-9]"), str(status)):
            return TakenOut("status", str(status))
    folded_text = text.casefold()
    for word in _split_words(rule.words):
        if word.casefold() in folded_text:
            return TakenOut("words", word)
    return None


def removal_by_traffic(rule: CheckRule, attempts: int, failed: int) -> TakenOut | None:
    """Return why this many failed attempts disable a channel, or None."""
    if rule.success_percent is None or attempts < ATTEMPTS_MIN:
        return None
    percent = (attempts - failed) * 100 // attempts
    return TakenOut("success", f"{percent}%") if percent < rule.success_percent else None


def _split_words(text: str) -> Iterator[str]:
    return (part.strip() for part in text.split(",") if part.strip())
