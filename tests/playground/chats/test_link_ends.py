"""P12: a link to a chat opens as long as nothing has ended it, for those whom it is for: its time,
its maker, its chat and the organisation's walls, each alone and together."""

import datetime as dt
import secrets
from itertools import product
from typing import Final

import pytest
from django.http import Http404

from lib import clock
from playground.chats.sharing import Gone, _digest, open_link
from playground.models import Conversation, ShareLink
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db
NOW: Final = dt.datetime(2026, 11, 18, 12, tzinfo=dt.UTC)
TICK: Final = dt.timedelta(microseconds=1)
# Until when a link lasts, and whether it is over.
TIMES: Final = {None: False, NOW + TICK: False, NOW: True, NOW - TICK: True}
# Who asks, and whether they are of the organisation.
ASKERS: Final = {"alice": True, "charlie": False, None: False}


def answer(token: str, people: Cast, asker: str | None) -> str:
    try:
        open_link(token, None if asker is None else getattr(people, asker))
    except Gone:
        return "gone"
    except Http404:
        return "missing"
    return "open"


@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("revoked", [False, True])
def test_link_opens_until_the_first_of_its_ends(
    people: Cast, monkeypatch: pytest.MonkeyPatch, deleted: bool, revoked: bool
) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    chat = Conversation.objects.create(
        organisation=people.acme,
        team=people.core,
        user=people.bob,
        deleted_at=NOW if deleted else None,
    )
    for (expires_at, over), members_only in product(TIMES.items(), (False, True)):
        token = secrets.token_urlsafe(24)
        link = ShareLink.objects.create(
            conversation=chat, user=people.bob, digest=_digest(token), snapshot={},
            expires_at=expires_at, revoked_at=NOW if revoked else None, members_only=members_only,
        )  # fmt: skip
        ended = over or revoked or deleted
        for asker, member in ASKERS.items():
            kept_out = "missing" if members_only and not member else "open"
            assert answer(token, people, asker) == ("gone" if ended else kept_out)
        link.refresh_from_db()
        assert link.views == (0 if ended else 1 if members_only else 3)
