"""Links to a picture of a branch: who may open one, until when, and what is not even in it."""

import datetime as dt
import json

import pytest
from django.http import Http404

from accounts.models import User
from lib import clock
from lib.ids import id_text
from playground.chats import sharing
from playground.chats.sharing import Gone, open_link, share_branch
from playground.models import Conversation, ShareLink
from tests.playground.conversations.test_tree import answers
from tests.playground.sending.test_views import people, send
from tests.support.cast import Cast, actor

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["people"]


@pytest.fixture
def chat(people: Cast) -> Conversation:
    send(people.bob, answers("Hello."), text="Hi", system="The word is swordfish.")
    return Conversation.objects.get()


def shared(people: Cast, chat: Conversation, **over: object) -> tuple[ShareLink, str]:
    defaults = {"days": 7, "members_only": False, "system_shown": False, "cost_shown": False}
    return share_branch(actor(people.bob, people.acme), chat, **defaults | over)  # type: ignore[arg-type]


def opens(token: str, user: User | None) -> bool:
    try:
        open_link(token, user)
    except Http404:
        return False
    return True


def test_member_link_opens_only_for_its_organisation(people: Cast, chat: Conversation) -> None:
    """P12"""
    _, for_all = shared(people, chat)
    _, for_members = shared(people, chat, members_only=True)
    for user, member in ((people.alice, True), (people.charlie, False), (people.dora, False),
                         (None, False)):  # fmt: skip
        assert opens(for_all, user)
        assert opens(for_members, user) is member
    assert len(for_all) == 32  # of 24 random bytes
    assert not opens(for_all[:-1], people.alice)
    # Only what was opened is counted.
    views = ShareLink.objects.order_by("members_only").values_list("views", flat=True)
    assert list(views) == [4, 1]


@pytest.mark.parametrize("cost", [False, True])
@pytest.mark.parametrize("system", [False, True])
def test_hidden_parts_are_not_in_the_snapshot(
    people: Cast, chat: Conversation, cost: bool, system: bool
) -> None:
    link, _ = shared(people, chat, cost_shown=cost, system_shown=system)
    snapshot = json.dumps(link.snapshot)
    assert ("1800" in snapshot, "swordfish" in snapshot) == (cost, system)


def test_link_ends_by_time_with_its_chat_or_by_its_maker(
    people: Cast, chat: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = actor(people.bob, people.acme)
    (timed, by_time), (revoked, by_hand) = shared(people, chat), shared(people, chat, days=None)
    _, with_chat = shared(people, chat, days=None)
    sharing.revoke_link(bob, id_text(revoked.id))
    with pytest.raises(Gone):
        open_link(by_hand, None)
    assert timed.expires_at is not None
    moment = timed.expires_at - dt.timedelta(seconds=1)
    monkeypatch.setattr(clock, "now", lambda: moment)
    open_link(by_time, None)
    moment = timed.expires_at
    with pytest.raises(Gone):
        open_link(by_time, None)
    open_link(with_chat, None)
    Conversation.objects.update(deleted_at=clock.now())
    with pytest.raises(Gone):
        open_link(with_chat, None)


def test_anothers_link_cannot_be_revoked(people: Cast, chat: Conversation) -> None:
    link, token = shared(people, chat)
    with pytest.raises(Http404):
        sharing.revoke_link(actor(people.alice, people.acme), id_text(link.id))
    assert opens(token, None)


def test_link_works_for_the_chosen_number_of_days() -> None:
    assert {name: str(days or "") for name, days in sharing.DAYS.items()} == {
        name: name for name in sharing.DAYS
    }
