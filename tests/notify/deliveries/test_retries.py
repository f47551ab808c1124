import pytest

from notify.deliveries.deliveries import _tries_since_repeat
from notify.deliveries.retries import TRIES_MAX, WAITS_S, wait_s
from notify.models import Delivery


def test_waits_grow_and_end() -> None:
    assert [wait_s(tries, 0) for tries in range(1, TRIES_MAX)] == list(WAITS_S)
    assert list(WAITS_S) == sorted(WAITS_S)
    assert wait_s(TRIES_MAX, 0) is None
    assert sum(WAITS_S) > 48 * 3600


def test_joint_failures_do_not_retry_together() -> None:
    waits = {wait_s(9, spread) for spread in range(100)}
    assert min(w for w in waits if w) == 50_400
    assert max(w for w in waits if w) <= 50_400 * 6 // 5
    assert len(waits) == 100


@pytest.mark.parametrize(
    ("tries", "counted"), [("", 0), ("t", 1), ("ttt", 3), ("tta", 0), ("ttat", 1), ("tatttatt", 2)]
)
def test_tries_are_counted_anew_once_somebody_asks(tries: str, counted: int) -> None:
    """`a`: a person asked for the delivery again."""
    listed = [{"ms": 1} if one == "t" else {"asked": "alice"} for one in tries]
    assert _tries_since_repeat(Delivery(tries=listed)) == counted
