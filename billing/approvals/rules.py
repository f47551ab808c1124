"""Who may decide on a change that needs two people, and until when."""

import datetime as dt
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypedDict

EXPIRES_AFTER: Final = dt.timedelta(days=30)
"""A change that waits longer can only be rejected or withdrawn, and asked for again."""


class Change(TypedDict):
    """One value that would change, as the API and the audit log have it."""

    name: str
    before: str | None
    after: str | None


class Waiting(NamedTuple):
    """A change that waits: the id of the person who asked, when, and for what."""

    asked_by: int
    asked_at: dt.datetime
    changes: Sequence[Change]


Objection = Literal["no_person", "own", "expired", "changed", "no_reason"]


def objection(
    waiting: Waiting,
    person: int | None,
    *,
    approve: bool,
    reason: str,
    changes: Sequence[Change],
    now: dt.datetime,
) -> Objection | None:
    """Return why a person (None: nobody) cannot decide this way; None if they can.

    `changes` is what would change now. Nobody approves their own change, in whatever way they
    signed in; they can withdraw it without a reason.
    """
    if person is None:
        return "no_person"
    own = person == waiting.asked_by
    if not approve:
        return None if own or reason else "no_reason"
    if own:
        return "own"
    if now - waiting.asked_at > EXPIRES_AFTER:
        return "expired"
    return None if list(changes) == list(waiting.changes) else "changed"
