"""Sign-in attempts are counted however many come at once."""

import datetime as dt
import threading
from contextlib import suppress

import pytest
from django.db import connection, transaction
from django.db.models import F

from accounts.models import SignInNetwork, TryWindow
from accounts.throttle.throttle import KNOWN_FOR, Limit
from accounts.throttle.try_counts import (
    TooManyTries,
    _digest,
    count,
    give_back,
    is_known,
    is_used_up,
    remember,
)
from lib import clock
from tests.support.cast import Cast
from tests.support.waiting_locks import await_waiting

LIMITS = [Limit(f"failed {n}", 5, 60) for n in range(4)]


def tries_and_wait(limit: Limit) -> tuple[int, int]:
    """Count one try: how many there are, and for how long its window lasts, in seconds."""
    with suppress(TooManyTries):
        count([limit])
    row = TryWindow.objects.get(subject=_digest(limit))
    return row.tries, round((row.ends_at - clock.now()).total_seconds())


def move(limit: Limit, seconds: int) -> None:
    """Let so much of a window pass."""
    passed = dt.timedelta(seconds=seconds)
    TryWindow.objects.filter(subject=_digest(limit)).update(ends_at=F("ends_at") - passed)


@pytest.mark.django_db
@pytest.mark.parametrize("tries", [1, 2, 5])
def test_no_try_prolongs_the_wait(tries: int) -> None:
    """A window ends when its first try said that it would, whatever comes in it: tries within the
    limit, tries beyond it, and tries that are given back. Then the next one begins."""
    limit, waits = Limit("failed", 2, 600), list[int]()
    assert tries_and_wait(limit) == (1, 600)
    for n in range(tries):
        move(limit, 100)
        waits.append(tries_and_wait(limit)[1])
        assert waits[-1] == 600 - 100 * (n + 1)
        if n % 2:
            give_back([limit])
            assert TryWindow.objects.get().ends_at - clock.now() <= dt.timedelta(seconds=waits[-1])
    move(limit, 600)
    assert not is_used_up([limit])
    assert tries_and_wait(limit) == (1, 600)


@pytest.mark.django_db
def test_the_wait_is_that_of_the_window() -> None:
    limit = Limit("failed", 1, 600)
    count([limit])
    for seconds in (0, 250, 250):
        move(limit, seconds)
        with pytest.raises(TooManyTries) as refused:
            count([limit])
        left = TryWindow.objects.get().ends_at - clock.now()
        assert abs(refused.value.wait_s - left.total_seconds()) <= 1


@pytest.mark.django_db(transaction=True)
def test_returned_attempts_wait_in_counting_order() -> None:
    """They cannot deadlock: who waits for the first window holds none of the later ones."""
    first, *later = sorted(LIMITS, key=_digest)
    # The table has them in the opposite order.
    for limit in (*reversed(later), first):
        count([limit])
    failed: list[BaseException] = []

    def uncount() -> None:
        try:
            give_back(LIMITS)
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=uncount)
    try:
        with transaction.atomic():
            TryWindow.objects.select_for_update().get(subject=_digest(first))
            thread.start()
            await_waiting()
            # Raises OperationalError if one of them is locked.
            rows = TryWindow.objects.select_for_update(nowait=True)
            free = len(rows.filter(subject__in=[_digest(limit) for limit in later]))
    finally:
        thread.join()
    assert free == len(later)
    assert failed == []
    assert set(TryWindow.objects.values_list("tries", flat=True)) == {0}


@pytest.mark.django_db
def test_network_is_known_for_half_a_year_without_another_sign_in(people: Cast) -> None:
    remember(people.bob, "192.0.2.0/24")
    for unused, known in ((KNOWN_FOR - dt.timedelta(minutes=1), True), (KNOWN_FOR, False)):
        SignInNetwork.objects.update(last_at=clock.now() - unused)
        assert is_known("BOB@example.org", "192.0.2.0/24") is known
    assert not is_known("alice@example.org", "192.0.2.0/24")
