"""The waiting time before a failed delivery is tried again."""

from typing import Final

# The waits after the first failure, the second, …: 56 to 67 hours in all.
# Then the delivery is dead.
WAITS_S: Final = (5, 30, 120, 600, 1_800, 7_200, 18_000, 36_000, 50_400, 86_400)
TRIES_MAX: Final = len(WAITS_S) + 1


HOOK_TRIES_MAX: Final = 3
"""The most attempts for the callback address of a task."""


def wait_s(tries: int, spread: int, tries_max: int = TRIES_MAX) -> int | None:
    """Return the seconds until the next attempt after `tries` failed ones, or None after the last.

    `spread` is 0 to 99 and adds up to a fifth, so that deliveries which failed together are not
    tried together.
    """
    if tries >= tries_max:
        return None
    wait = WAITS_S[tries - 1]
    return wait + wait * spread // 500
