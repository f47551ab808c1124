"""Sign-in attempts are counted however many come at once."""

import threading

import pytest
from django.db import connection, transaction

from accounts.models import TryWindow
from accounts.throttle.throttle import Limit
from accounts.throttle.try_counts import _digest, count, give_back
from tests.support.waiting_locks import await_waiting

LIMITS = [Limit(f"failed {n}", 5, 60) for n in range(4)]


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
