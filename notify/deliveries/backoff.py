"""When a telling that failed is tried again."""

from typing import Final

# After the first failure, the second, …: two and a half days in all, then it is dead.
WAITS_S: Final = (5, 30, 120, 600, 1_800, 7_200, 18_000, 36_000, 50_400, 86_400)
TRIES_MAX: Final = len(WAITS_S) + 1


HOOK_TRIES_MAX: Final = 3
"""Of an address that one task was ordered with."""


def wait_s(tries: int, spread: int, tries_max: int = TRIES_MAX) -> int | None:
    """Seconds until the next try after `tries` failed ones; None when it was the last.

    `spread` is 0 to 99: up to a fifth more, so that what failed together does not return together.
    """
    if tries >= tries_max:
        return None
    wait = WAITS_S[tries - 1]
    return wait + wait * spread // 500
