import datetime as dt

import pytest

from accounts.sessions.rules import is_over

NOW = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
SECOND = dt.timedelta(seconds=1)


@pytest.mark.parametrize(
    ("age", "idle", "operator", "over"),
    [
        (13 * HOUR, 12 * HOUR - SECOND, False, False),
        (13 * HOUR, 12 * HOUR, False, True),
        (2 * HOUR, HOUR - SECOND, True, False),
        (2 * HOUR, HOUR, True, True),
        (168 * HOUR - SECOND, SECOND, False, False),
        (168 * HOUR, SECOND, False, True),
        (168 * HOUR, SECOND, True, True),
    ],
)
def test_a_session_ends_idle_or_old(
    age: dt.timedelta, idle: dt.timedelta, operator: bool, over: bool
) -> None:
    """docs/promises.md, "Sign-in": idle 12 h, an operator's 1 h, never above 7 days."""
    assert is_over(NOW - age, NOW - idle, NOW, operator=operator) is over
