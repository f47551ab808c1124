"""How long a temporary chat stands after what its page says (W10)."""

import datetime as dt
from uuid import UUID

import pytest

from lib import clock
from lib.ids import new_id
from playground.conversations.temporary_chats import (
    STANDS_IDLE,
    STANDS_LEFT,
    record_visit,
    visit_temporary,
)
from playground.models import Conversation
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db
NOW = dt.datetime(2026, 11, 18, 12, tzinfo=dt.UTC)


def test_only_the_page_that_is_open_says_how_long_the_chat_stands(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that was reloaded says farewell late: the new page is open. Other chats go on."""
    monkeypatch.setattr(clock, "now", lambda: NOW)
    chat, other = (
        Conversation.objects.create(
            organisation=people.acme, user=people.bob, team_id=people.core.id, ends_at=NOW
        )
        for _ in range(2)
    )
    visit_temporary(chat)
    before = chat.visit
    visit_temporary(chat)
    assert before != chat.visit

    def stands(visit: UUID | None, *, left: bool) -> dt.timedelta:
        until = NOW + dt.timedelta(seconds=1)
        Conversation.objects.update(ends_at=until)
        record_visit(chat, visit, left=left)
        ends = dict(Conversation.objects.values_list("id", "ends_at"))
        assert ends[other.id] == until
        ends_at = ends[chat.id]
        assert ends_at is not None
        return ends_at - NOW

    for left, stays in ((True, STANDS_LEFT), (False, STANDS_IDLE)):
        for strange in (before, None, new_id()):
            assert stands(strange, left=left) == dt.timedelta(seconds=1)
        assert stands(chat.visit, left=left) == stays
