"""Count sign-in attempts in one statement, so that concurrent ones are all counted."""

import hashlib
from collections.abc import Sequence
from typing import Final

from django.db import connection
from django.db.models.functions import Lower

from accounts.models import SignInNetwork, TryWindow, User
from accounts.throttle.throttle import KNOWN_FOR, Limit
from lib import clock

# Sorted, so that concurrent calls cannot deadlock. Also deletes some expired windows, so the table
# stays small.
_COUNT: Final = """
    WITH forgotten AS (
        DELETE FROM accounts_trywindow WHERE subject = ANY (ARRAY(
            SELECT subject FROM accounts_trywindow
            WHERE ends_at < statement_timestamp() AND subject <> ALL(%(subjects)s)
            LIMIT 8 FOR UPDATE SKIP LOCKED
        ))
    )
    INSERT INTO accounts_trywindow AS kept (subject, tries, ends_at)
    SELECT subject, 1, statement_timestamp() + seconds * interval '1 second'
    FROM unnest(%(subjects)s, %(seconds)s::int[]) AS asked (subject, seconds)
    ORDER BY subject
    ON CONFLICT (subject) DO UPDATE SET
        tries = CASE WHEN kept.ends_at < statement_timestamp() THEN 1 ELSE kept.tries + 1 END,
        ends_at = CASE WHEN kept.ends_at < statement_timestamp()
            THEN excluded.ends_at ELSE kept.ends_at END
    RETURNING subject, tries,
        greatest(1, ceil(extract(epoch FROM ends_at - statement_timestamp())))::int
"""
# Locked in the order in which `count` writes them, so that the two cannot deadlock.
_GIVE_BACK: Final = """
    WITH locked AS MATERIALIZED (
        SELECT subject FROM accounts_trywindow WHERE subject = ANY(%s) ORDER BY subject FOR UPDATE
    )
    UPDATE accounts_trywindow kept SET tries = greatest(0, tries - 1)
    FROM locked WHERE kept.subject = locked.subject
"""


class TooManyTries(Exception):
    """Too many attempts. The next one is possible in `wait_s` seconds."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(wait_s)
        self.wait_s = wait_s


def count(limits: Sequence[Limit]) -> None:
    """Count one attempt under each of the limits. If one is exceeded, the attempt counts under that
    limit alone, so that refused attempts do not use up the limits of others, and TooManyTries is
    raised."""
    by_digest = {_digest(limit): limit for limit in limits}
    subjects = list(by_digest)
    seconds = [limit.seconds for limit in by_digest.values()]
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"subjects": subjects, "seconds": seconds})
        rows = cursor.fetchall()
    waits = {
        bytes(subject): wait_s
        for subject, tries, wait_s in rows
        if tries > by_digest[bytes(subject)].count
    }
    if waits:
        give_back([limit for subject, limit in by_digest.items() if subject not in waits])
        raise TooManyTries(max(waits.values()))


def is_used_up(limits: Sequence[Limit]) -> bool:
    """Return whether a further attempt would exceed one of the limits. It counts none."""
    by_digest = {_digest(limit): limit.count for limit in limits}
    rows = TryWindow.objects.filter(subject__in=list(by_digest), ends_at__gte=clock.now())
    return any(row.tries >= by_digest[bytes(row.subject)] for row in rows)


def give_back(limits: Sequence[Limit]) -> None:
    """Stop counting an attempt, because it succeeded."""
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_BACK, [[_digest(limit) for limit in limits]])


def is_known(email: str, network: str) -> bool:
    """Return whether the account was used from that network in the last half a year."""
    networks = SignInNetwork.objects.annotate(email=Lower("user__email"))
    since = clock.now() - KNOWN_FOR
    return networks.filter(email=email.lower(), network=network, last_at__gte=since).exists()


def remember(user: User, network: str) -> None:
    """Store the network from which the person has signed in, for half a year."""
    SignInNetwork.objects.update_or_create(user=user, network=network)
    gone = clock.now() - KNOWN_FOR
    SignInNetwork.objects.filter(user=user, last_at__lt=gone).delete()


def _digest(limit: Limit) -> bytes:
    return hashlib.sha256(limit.subject.encode()).digest()
