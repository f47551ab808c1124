"""Channels that no request can use, although the catalogue has them: a model that only they serve
exists, and is told as unavailable, with the cause."""

from typing import Final, Literal

import msgspec

OffReason = Literal["disabled", "archived", "no_key", "resting", "unusable"]
"""Why: an operator turned it off or archived it, all its keys are disabled, its own rule took it
out (`channel.taken_out`), or what is stored of it cannot be used."""

_SOON_S: Final = 60.0


class OffChannel(msgspec.Struct, frozen=True):
    """`models` are the names and patterns that it serves when it is on. For one that rests,
    `next_check_at` (Unix seconds, by the database's clock) and `every_s` say when its balance is
    read, or its test made, which ends the rest; None if nothing does."""

    models: tuple[str, ...]
    reason: OffReason
    next_check_at: float | None = None
    every_s: float | None = None

    def back_in_s(self, now: float) -> float | None:
        """Return in how many seconds it may serve again by itself; None if somebody has to turn it
        on. A check that is due comes with the next turn of its job; later ones follow by the
        interval, because their times are not part of the catalogue."""
        if self.every_s is None:
            return None
        if self.next_check_at is None:
            return _SOON_S
        left_s = self.next_check_at - now
        return left_s if left_s > 0 else _SOON_S + left_s % self.every_s
