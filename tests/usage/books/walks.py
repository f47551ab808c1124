"""The walks through the whole books, in tests."""

from billing.models import BooksWalk
from lib import clock
from usage.books import full_walk
from usage.books.written_rows import TURN


def walk_to_the_end() -> None:
    """Begin every walk through the whole books anew, and take its turns until all have ended."""
    walks = BooksWalk.objects.filter(name__in=full_walk.WALKS)
    walks.update(began_at=None, ended_at=None, rest_until=clock.now())
    for _ in range(20):
        BooksWalk.objects.filter(name=TURN).update(rest_until=clock.now())
        full_walk.check_whole()
        if full_walk.complete_at() is not None:
            return
    raise AssertionError("a walk through the whole books does not end")
