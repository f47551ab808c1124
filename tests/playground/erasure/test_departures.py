"""Leaving: what becomes of keys, chats, prompts, requests and invitations of who goes (W51)."""

import datetime as dt
from typing import Any

import pytest

from accounts.access.actors import SYSTEM, key_actor
from accounts.keys.departures import KeyFate
from accounts.members import invitations, members
from accounts.members.invitations import Offer
from accounts.members.members import LastOwner
from accounts.models import AuditEvent, Membership, Role, ServiceAccount
from accounts.organisations import teams
from billing.limits import budget_increases
from billing.models import BudgetRaise
from content.models import Prompt
from content.prompts import prompts
from content.prompts.settings import Settings
from lib import clock
from lib.ids import id_text, new_id
from lib.refusal import Refused
from playground.erasure.departures import Departure, chat_receivers, depart, left_by
from playground.models import (
    Attachment,
    Conversation,
    MediaFile,
    MediaRun,
    Message,
    Preset,
    Run,
    ShareLink,
)
from playground.panel.presets import NAME_MAX as PRESET_NAME_MAX
from tests.support.cast import Cast, actor, make_key, member, signed_in, with_key
from usage.limits import budget_simulation

pytestmark = pytest.mark.django_db


def text_of(response: Any) -> str:
    return str(response.content.decode())


def of(people: Cast, user: Any) -> Membership:
    return Membership.objects.get(user=user, organisation=people.acme)


def chat_of(people: Cast, **over: Any) -> Conversation:
    return Conversation.objects.create(
        organisation=people.acme, team=people.core, user=people.bob, title="t", model="m", **over
    )


def test_each_key_becomes_what_is_chosen(people: Cast) -> None:
    kept, kept_text = make_key(people.core, "kept", user=people.bob)
    off, _ = make_key(people.core, "off", user=people.bob)
    gone, _ = make_key(people.core, "gone", user=people.bob)
    robot, robot_text = make_key(people.core, "robot", user=people.bob)
    account = ServiceAccount.objects.create(
        organisation=people.acme, team=people.core, name="ci", role=Role.DEVELOPER
    )
    alice = actor(people.alice, people.acme)
    fates = {
        kept.id: KeyFate("transfer", of(people, people.alice)),
        robot.id: KeyFate("transfer", account),
        gone.id: KeyFate("revoke"),
    }
    depart(alice, of(people, people.bob), Departure(fates))
    for key in (kept, off, gone, robot):
        key.refresh_from_db()
    assert (kept.user, off.disabled, bool(gone.revoked_at)) == (people.alice, True, True)
    assert (robot.user, robot.service_account) == (None, account)
    assert key_actor(kept_text) is not None
    assert key_actor(robot_text) is not None
    assert not Membership.objects.filter(user=people.bob).exists()


def test_key_goes_only_to_a_permitted_person_of_its_team(people: Cast) -> None:
    """P23, P12"""
    key, _ = make_key(people.core, "ci", user=people.bob)
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    viewer = of(people, member(people.acme, "vic", Role.VIEWER))
    other = member(people.acme, "oz", Role.DEVELOPER)
    members.set_member(people.acme, other.email, Role.DEVELOPER, teams=[second], actor=SYSTEM)
    foreign = Membership.objects.get(user=people.charlie)
    alice = actor(people.alice, people.acme)
    for to in (viewer, of(people, other), foreign):
        with pytest.raises(Refused):
            depart(alice, of(people, people.bob), Departure({key.id: KeyFate("transfer", to)}))
    with pytest.raises(Refused):
        depart(alice, of(people, people.bob), Departure(chats_to=foreign))
    assert people.bob.memberships.exists()


def test_chats_and_private_prompts_are_given_away_or_deleted(people: Cast) -> None:
    chat, temporary = chat_of(people), chat_of(people, ends_at=clock.now() + dt.timedelta(hours=1))
    bob = actor(people.bob, people.acme)
    prompts.save_prompt(bob, "mine", "m", Settings(), note="", shared=False)
    prompts.save_prompt(bob, "ours", "m", Settings(), note="", shared=True)
    for user in (people.bob, people.alice):
        Preset.objects.create(organisation=people.acme, user=user, name="p", settings={})
    left = left_by(of(people, people.bob))
    assert (left.chats, left.prompts) == (1, 2)
    alice = actor(people.alice, people.acme)
    depart(alice, of(people, people.bob), Departure(chats_to=of(people, people.alice)))
    chat.refresh_from_db()
    temporary.refresh_from_db()
    assert chat.user == people.alice
    assert temporary.ends_at is not None
    assert temporary.ends_at <= clock.now()
    owners = dict(Prompt.objects.values_list("name", "user__email"))
    assert owners == {"mine": "alice@example.org", "ours": "bob@example.org"}
    assert sorted(Preset.objects.filter(user=people.alice).values_list("name", flat=True)) == [
        "p", "p (bob@example.org)",
    ]  # fmt: skip
    event = AuditEvent.objects.get(action="chats.left")
    assert event.detail == {
        "email": "bob@example.org", "after": "alice@example.org", "chats": 1, "media": 0,
        "prompts": 1,
    }  # fmt: skip


def test_links_runs_and_files_go_with_the_work_that_has_them(people: Cast) -> None:
    """But no file of another person that the work refers to, and no payer."""
    carl = member(people.acme, "carl", Role.DEVELOPER)
    key, _ = make_key(people.core, "bob's", user=people.bob)
    files = [
        Attachment.objects.create(
            organisation=people.acme, user=user, name=f"{n}.txt", kind="text", size=1,
            media_type="text/plain", data=b"x",
        )
        for n, user in enumerate((people.bob, carl, people.bob, carl, people.bob))
    ]  # fmt: skip
    in_chat, foreign_in_chat, in_media, foreign_in_media, unsent = files
    chat = chat_of(people, key=key)
    parts = {"files": [{"id": str(in_chat.id)}], "media": [{"id": str(foreign_in_chat.id)}]}
    said = Message.objects.create(conversation=chat, role="user", parts=parts)
    run = Run.objects.create(
        conversation=chat, user_message=said, assistant_message=said, user=people.bob, model="m",
        token=new_id(), request_id=new_id(), process="p",
    )  # fmt: skip
    link = ShareLink.objects.create(
        conversation=chat, user=people.bob, digest=b"d", snapshot={"turns": []}
    )
    media = MediaRun.objects.create(
        organisation=people.acme, user=people.bob, kind="image", operation="images", model="m",
        token=new_id(), key=key,
    )  # fmt: skip
    for file in (in_media, foreign_in_media):
        MediaFile.objects.create(run=media, file=file, role="picture", name=file.name)
    to = Departure(chats_to=of(people, people.alice))
    depart(actor(people.alice, people.acme), of(people, people.bob), to)
    for row in (chat, run, link, media, *files):
        row.refresh_from_db()
    assert {row.user for row in (chat, run, link, media, in_chat, in_media)} == {people.alice}
    assert foreign_in_chat.user == foreign_in_media.user == carl
    assert unsent.user == people.bob
    assert (chat.key, media.key) == (None, None)


def test_chats_go_to_no_one_who_cannot_sign_in(people: Cast) -> None:
    alice, bob = actor(people.alice, people.acme), of(people, people.bob)
    carl = member(people.acme, "carl", Role.DEVELOPER)
    assert [one.user for one in chat_receivers(alice, bob)] == [people.alice, carl]
    members.set_active(carl, False, actor=SYSTEM)
    assert [one.user for one in chat_receivers(alice, bob)] == [people.alice]


def test_presets_that_are_given_away_get_free_names(people: Cast) -> None:
    """Also those of somebody who leaves a second time, and those whose name has no room left."""
    long = "n" * PRESET_NAME_MAX
    for user in (people.bob, people.alice):
        for name in ("p", long):
            Preset.objects.create(organisation=people.acme, user=user, name=name, settings={})
    alice = actor(people.alice, people.acme)
    to_alice = Departure(chats_to=of(people, people.alice))
    depart(alice, of(people, people.bob), to_alice)
    members.set_member(people.acme, people.bob.email, Role.DEVELOPER, actor=SYSTEM)
    Preset.objects.create(organisation=people.acme, user=people.bob, name="p", settings={})
    depart(alice, of(people, people.bob), to_alice)
    names = Preset.objects.filter(user=people.alice).values_list("name", flat=True)
    assert sorted(names) == [
        "n" * (PRESET_NAME_MAX - 2) + " 2", long, "p", "p (bob@example.org)",
        "p (bob@example.org) 2",
    ]  # fmt: skip


def test_presets_of_one_person_that_are_given_away_stay_apart(people: Cast) -> None:
    """One of them has the name that another one gets."""
    for user, name in (
        (people.alice, "p"), (people.bob, "p"), (people.bob, "p (bob@example.org)"),
    ):  # fmt: skip
        Preset.objects.create(organisation=people.acme, user=user, name=name, settings={})
    to = Departure(chats_to=of(people, people.alice))
    depart(actor(people.alice, people.acme), of(people, people.bob), to)
    assert Preset.objects.filter(user=people.alice).values("name").distinct().count() == 3


def test_private_objects_are_deleted_and_shared_ones_stay(people: Cast) -> None:
    chat, temporary = chat_of(people), chat_of(people, ends_at=clock.now() + dt.timedelta(hours=1))
    elsewhere = Conversation.objects.create(
        organisation=people.stranger, team=people.stranger.teams.get(), user=people.bob, title="t"
    )
    bob = actor(people.bob, people.acme)
    prompts.save_prompt(bob, "mine", "m", Settings(), note="", shared=False)
    prompts.save_prompt(bob, "ours", "m", Settings(), note="", shared=True)
    depart(actor(people.alice, people.acme), of(people, people.bob), Departure())
    for row in (chat, temporary, elsewhere):
        row.refresh_from_db()
    assert chat.deleted_at is not None
    assert temporary.ends_at is not None
    assert temporary.ends_at <= clock.now()
    assert elsewhere.deleted_at is None
    assert [prompt.name for prompt in Prompt.objects.all()] == ["ours"]


def test_departures_close_requests_but_not_invitations(people: Cast) -> None:
    members.set_member(people.acme, people.bob.email, Role.ADMIN, actor=SYSTEM)
    bob = actor(people.bob, people.acme)
    budget = budget_simulation.create_budget(
        SYSTEM, people.acme, scope="user", subject=str(people.bob.id), amount_nano=10**9,
        period="month",
    )  # fmt: skip
    until = clock.now() + dt.timedelta(days=1)
    budget_increases.ask_for_more(bob, budget, amount_nano=10**9, until=until, reason="r")
    (created,) = invitations.invite(people.acme, ["i@example.org"], Offer(Role.VIEWER), actor=bob)
    left = left_by(of(people, people.bob))
    assert (left.requests, left.invitations) == (1, 1)
    depart(actor(people.alice, people.acme), of(people, people.bob), Departure())
    assert BudgetRaise.objects.get().state == "denied"
    created.invitation.refresh_from_db()
    assert created.invitation.withdrawn_at is not None


def test_last_owner_stays_with_everything(people: Cast) -> None:
    key, text = make_key(people.core, "ci", user=people.alice)
    alice = actor(people.alice, people.acme)
    with pytest.raises(LastOwner):
        depart(alice, of(people, people.alice), Departure(other_keys=KeyFate("revoke")))
    key.refresh_from_db()
    assert key.revoked_at is None
    assert key_actor(text) is not None
    refused = signed_in(people.alice).post(
        f"/o/acme/team/members/{of(people, people.alice).pk}/remove",
        {f"key-{id_text(key.id)}": "revoke"},
    )
    assert refused.status_code == 422
    assert "last owner" in text_of(refused)


def test_the_dialog_asks_and_removes(people: Cast) -> None:
    key, text = make_key(people.core, "ci", user=people.bob)
    chat_of(people)
    page = f"/o/acme/team/members/{of(people, people.bob).pk}/remove"
    browser = signed_in(people.alice)
    dialog = text_of(browser.get(page))
    for words in ("Key ci", "Transfer to alice@example.org", "Chats, media and private prompts"):
        assert words in dialog
    name = f"key-{id_text(key.id)}"
    asked = browser.post(page, {name: "disable"})
    assert asked.status_code == 422
    assert "Choose whether to delete or transfer them" in text_of(asked)
    removed = browser.post(page, {name: "disable", "chats_to": "delete"})
    assert (removed.status_code, removed["Location"]) == (303, "/o/acme/team")
    assert with_key(text).get("/api/v1/keys").status_code == 401
    assert signed_in(people.bob).get("/o/acme/").status_code == 404


def test_the_dialog_asks_about_media_alone(people: Cast) -> None:
    """W51: pictures, recordings and videos are not deleted unasked and untold."""
    MediaRun.objects.create(
        organisation=people.acme, user=people.bob, kind="image", operation="image_edits",
        model="m", token=new_id(),
    )  # fmt: skip
    page = f"/o/acme/team/members/{of(people, people.bob).pk}/remove"
    browser = signed_in(people.alice)
    assert "1 media request with its files." in text_of(browser.get(page))
    assert browser.post(page, {"chats_to": ""}).status_code == 422
    assert MediaRun.objects.get().user == people.bob
    assert browser.post(page, {"chats_to": "delete"}).status_code == 303
    assert not MediaRun.objects.exists()
    event = AuditEvent.objects.get(action="chats.left")
    assert (event.detail["after"], event.detail["media"]) == ("deleted", 1)


def test_departing_person_gives_no_key_away(people: Cast) -> None:
    make_key(people.core, "ci", user=people.bob)
    page = f"/o/acme/team/members/{of(people, people.bob).pk}/remove"
    bob = signed_in(people.bob)
    dialog = text_of(bob.get(page))
    assert "Leave Acme" in dialog
    assert "Transfer to" not in dialog
    key = people.bob.keys.get()
    left = bob.post(page, {f"key-{id_text(key.id)}": "revoke"})
    assert (left.status_code, left["Location"]) == (303, "/")
    assert not people.bob.memberships.exists()


def test_unpermitted_person_removes_no_one(people: Cast) -> None:
    """P12, P23"""
    ann, eve = (member(people.acme, name, Role.ADMIN) for name in ("ann", "eve"))
    for user, other in ((people.bob, people.alice), (ann, people.alice), (ann, eve)):
        page = f"/o/acme/team/members/{of(people, other).pk}/remove"
        answer = signed_in(user).post(page)
        assert answer.status_code == (404 if user == people.bob else 403) or user == people.bob
        assert other.memberships.exists()
