"""What is counted before a person leaves or is erased, so that nobody decides on less."""

import datetime as dt

import pytest
from allauth.usersessions.models import UserSession

from accounts.members import invitations
from accounts.members.invitations import Offer
from accounts.models import Invitation, Role
from content.prompts import prompts
from content.prompts.settings import Settings
from lib import clock
from playground.erasure.departures import left_by
from playground.erasure.erasure_requests import preview
from playground.panel.presets import save_preset
from tests.playground.erasure.test_departures import of
from tests.playground.messages.test_answer_facts import chat_of
from tests.support.cast import Cast, actor, member, signed_in

pytestmark = pytest.mark.django_db


def live(people: Cast) -> None:
    """What bob has: two prompts, one of them shared, and a preset of each kind."""
    bob = actor(people.bob, people.acme)
    for name, shared in (("own", False), ("ours", True)):
        prompts.save_prompt(bob, name, "m", Settings(), note="", shared=shared)
        save_preset(bob, name, Settings(), shared=shared)
    chat_of(people)
    chat_of(people, deleted_at=clock.now())
    chat_of(people, ends_at=clock.now() + dt.timedelta(hours=1))


def test_erasure_counts_shared_prompts_apart_and_sessions_of_the_account(people: Cast) -> None:
    live(people)
    signed_in(people.bob).get("/account/sign-ins")
    assert UserSession.objects.filter(user=people.bob).count() == 1
    whole, here = preview(people.bob, None), preview(people.bob, people.acme)
    assert (whole.prompts, whole.shared_prompts, whole.chats) == (4, 1, 3)
    assert (here.prompts, here.shared_prompts, here.chats) == (4, 1, 3)
    # How a person signs in is no organisation's.
    assert (whole.sessions, here.sessions) == (1, 0)
    assert preview(people.bob, people.stranger).prompts == 0


def test_who_leaves_has_private_prompts_and_open_invitations(people: Cast) -> None:
    live(people)
    anna = member(people.acme, "anna", Role.ADMIN)
    by = actor(anna, people.acme)
    invitations.invite(people.acme, ["a@x.example", "b@x.example"], Offer(Role.VIEWER), actor=by)
    Invitation.objects.filter(email="a@x.example").update(withdrawn_at=clock.now())
    left = left_by(of(people, people.bob))
    assert (left.chats, left.prompts, left.invitations) == (1, 2, 0)
    assert left_by(of(people, anna)).invitations == 1
