"""Pages of invitations: the list, the letter, the page that the link opens (W02, W51)."""

import datetime as dt
import re
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.mail_server.current_server import BACKEND
from accounts.members import invitations, members
from accounts.models import Invitation, Membership, Role, User
from accounts.organisations import teams
from lib import clock
from lib.ids import id_text
from tests.support.cast import PASSWORD, Cast, actor, member, person, signed_in
from tests.support.hostile import EVERYTHING
from tests.support.lists import file_of, rows_of

LIST = "/o/acme/team/invitations"
NEW = f"{LIST}/new"
FORM = {"emails": "ivy@example.org", "role": "developer", "days": "7", "message": ""}


def text_of(response: Any) -> str:
    return str(response.content.decode())


def links_in(text: str) -> list[str]:
    return re.findall(r"/invite/[^\s<\"]+", text)


def invite(people: Cast, **over: str) -> tuple[str, str]:
    """The link of the letter, and the one that the page shows."""
    mail.outbox.clear()
    response = signed_in(people.alice).post(NEW, {**FORM, **over})
    assert response.status_code == 200, text_of(response)
    (copied,) = links_in(text_of(response))
    return (links_in(str(mail.outbox[0].body))[0] if mail.outbox else ""), copied


def test_new_person_uses_the_email_link_and_sets_a_password(people: Cast) -> None:
    mailed, _ = invite(people, message="Welcome!")
    (letter,) = mail.outbox
    assert letter.to == ["ivy@example.org"]
    assert letter.subject == "Alice invites you to Acme"
    assert "Welcome!" in letter.body
    browser = Client()
    for _ in range(3):
        page = browser.get(mailed)
    assert page.status_code == 200
    for words in ("Join Acme", "Alice", "Developer", "ivy@example.org"):
        assert words in text_of(page)
    weak = browser.post(mailed, {"name": "Ivy", "password": "short"})
    assert weak.status_code == 422
    joined = browser.post(mailed, {"name": "Ivy", "password": PASSWORD})
    assert (joined.status_code, joined["Location"]) == (302, "/o/acme/")
    assert browser.get("/o/acme/").status_code in (200, 302)
    ivy = User.objects.get(email="ivy@example.org")
    assert (ivy.name, ivy.check_password(PASSWORD)) == ("Ivy", True)
    assert ivy.emailaddress_set.get().verified  # type: ignore[attr-defined]
    # No organisation of their own comes beside it.
    assert [one.organisation for one in ivy.memberships.all()] == [people.acme]
    used = Client().get(mailed)
    assert used.status_code == 410
    assert "already used" in text_of(used)


def test_a_copied_link_proves_no_address(people: Cast) -> None:
    """Who invites has the link too, and makes no account for another's address with it."""
    _, copied = invite(people)
    browser = Client()
    page = browser.get(copied)
    assert 'name="password"' not in text_of(page)
    assert "Create an account" in text_of(page)
    browser.post(copied, {"name": "Eve", "password": PASSWORD})
    assert not User.objects.filter(email="ivy@example.org").exists()


def test_forged_signature_proves_no_email(people: Cast) -> None:
    mailed, copied = invite(people)
    assert Client().get(f"{mailed[:-1]}{'A' if mailed[-1] != 'A' else 'B'}").status_code == 410
    assert Client().get(f"{copied}:{'x' * 43}").status_code == 410


def test_person_with_an_account_signs_in_and_accepts(people: Cast) -> None:
    ivy = person("ivy")
    mailed, _ = invite(people)
    away = Client().get(mailed)
    assert 'name="password"' not in text_of(away)
    assert "/login?next=" in text_of(away)
    browser = signed_in(ivy)
    assert "Accept invitation" in text_of(browser.get(mailed))
    joined = browser.post(mailed)
    assert (joined.status_code, joined["Location"]) == (303, "/o/acme/")
    assert ivy.memberships.get().role == Role.DEVELOPER


def test_other_account_learns_whose_invitation_it_is(people: Cast) -> None:
    mailed, _ = invite(people)
    eve = signed_in(person("eve"))
    assert "signed in as eve@example.org" in text_of(eve.get(mailed))
    assert eve.post(mailed).status_code == 422
    assert not Membership.objects.filter(user__email="eve@example.org").exists()
    ivy = person("ivy")
    User.objects.filter(pk=ivy.pk).update(email="Ivy@Example.org")
    ivy.refresh_from_db()
    assert "Accept invitation" in text_of(signed_in(ivy).get(mailed))


def test_invitation_admits_where_sign_up_requires_one(people: Cast, settings: Any) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "none"
    browser = Client()
    assert "closed" in text_of(browser.get("/signup"))
    _, copied = invite(people, emails="")
    browser.get(copied)
    assert "closed" not in text_of(browser.get("/signup"))
    signed_up = browser.post("/signup", {"email": "zoe@example.org", "password1": PASSWORD})
    assert signed_up.status_code == 302
    zoe = User.objects.get(email="zoe@example.org")
    assert not zoe.memberships.exists()
    browser.post(copied)
    assert zoe.memberships.get().organisation == people.acme
    # Used, it opens nothing any more.
    other = Client()
    other.get(copied)
    assert "closed" in text_of(other.get("/signup"))


def test_the_address_of_an_invitation_is_filled_in(people: Cast) -> None:
    _, copied = invite(people)
    browser = Client()
    browser.get(copied)
    assert 'value="ivy@example.org"' in text_of(browser.get("/signup"))
    Invitation.objects.update(withdrawn_at=clock.now())
    assert "ivy@example.org" not in text_of(browser.get("/signup"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"expires_at": clock.now() - dt.timedelta(days=1)}, "has expired"),
        ({"withdrawn_at": clock.now()}, "was withdrawn"),
        ({"accepted_at": clock.now()}, "already used"),
    ],
)
def test_expired_invitation_says_so(people: Cast, change: dict[str, Any], words: str) -> None:
    mailed, copied = invite(people)
    Invitation.objects.update(**change)
    for browser in (Client(), signed_in(person("ivy"))):
        for link in (mailed, copied):
            for answer in (browser.get(link), browser.post(link, {"password": PASSWORD})):
                assert answer.status_code == 410
                assert words in text_of(answer)
    assert not Membership.objects.filter(user__email="ivy@example.org").exists()


def test_invitation_that_ends_while_it_is_accepted_says_why(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailed, _ = invite(people)

    def end(*_: object) -> None:
        Invitation.objects.update(withdrawn_at=clock.now())
        raise invitations.InvitationEnded

    monkeypatch.setattr(invitations, "accept", end)
    answer = signed_in(person("ivy")).post(mailed)
    assert (answer.status_code, "was withdrawn" in text_of(answer)) == (410, True)


@pytest.mark.parametrize("text", ["x", "x" * 43, "a:b", "%00", "☃", "x" * 4000])
def test_invalid_link(people: Cast, text: str) -> None:
    answer = Client().get(f"/invite/{text}")
    assert answer.status_code == 410
    assert "not valid" in text_of(answer)


def test_several_invitations_and_no_email_without_a_mail_server(
    people: Cast, settings: Any
) -> None:
    many = "a@example.org, b@example.org\n<c@example.org>; a@example.org"
    response = signed_in(people.alice).post(NEW, {**FORM, "emails": many})
    assert len(links_in(text_of(response))) == 3
    assert sorted(letter.to[0][0] for letter in mail.outbox) == ["a", "b", "c"]
    assert Invitation.objects.exclude(sent_at=None).count() == 3
    assert "Send invitation" in text_of(signed_in(people.alice).get(NEW))
    settings.EMAIL_BACKEND = BACKEND
    form = text_of(signed_in(people.alice).get(NEW))
    assert "Create invite link" in form
    assert "Send invitation" not in form
    response = signed_in(people.alice).post(NEW, {**FORM, "emails": "d@example.org"})
    assert "No mail server is set up" in text_of(response)
    assert Invitation.objects.get(email="d@example.org").sent_at is None


def test_mail_server_rejection_is_reported(people: Cast, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    response = signed_in(people.alice).post(NEW, FORM)
    assert "cannot be reached" in text_of(response)
    assert "Not sent" in rows_of(signed_in(people.alice), LIST)[0]


def test_resent_and_withdrawn_from_the_list(people: Cast) -> None:
    mailed, _ = invite(people)
    alice = signed_in(people.alice)
    one = f"{LIST}/{id_text(Invitation.objects.get().id)}"
    assert "Pending" in rows_of(alice, LIST)[0]
    again = alice.post(f"{one}/resend")
    assert Client().get(mailed).status_code == 410
    (copied,) = links_in(text_of(again))
    assert Client().get(copied).status_code == 200
    assert alice.post(f"{one}/withdraw").status_code == 303
    assert Client().get(copied).status_code == 410
    assert rows_of(alice, LIST) == []
    assert "Withdrawn" in rows_of(alice, f"{LIST}?state=all")[0]
    assert file_of(alice, f"{LIST}?state=all&export=csv")[0]["email"] == "ivy@example.org"


def test_foreign_invitations_look_missing(people: Cast) -> None:
    """P12"""
    invite(people)
    one = id_text(Invitation.objects.get().id)
    charlie = signed_in(people.charlie)
    for id in (one, id_text(people.acme.id)):
        for verb in ("resend", "withdraw"):
            answer = charlie.post(f"/o/stranger/team/invitations/{id}/{verb}")
            assert answer.status_code == 404
    for path in (LIST, NEW):
        assert charlie.get(path).status_code == 404
    assert rows_of(charlie, "/o/stranger/team/invitations") == []
    bob = signed_in(people.bob)
    assert bob.get(NEW).status_code == 403
    assert bob.post(f"{LIST}/{one}/withdraw").status_code == 403
    assert rows_of(bob, LIST) == []


def test_team_admin_sees_only_its_invitations(people: Cast) -> None:
    """P12, P23"""
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    ann = member(people.acme, "ann", Role.ADMIN)
    members.set_member(people.acme, ann.email, Role.ADMIN, teams=[second], actor=SYSTEM)
    invite(people)
    alice = actor(people.alice, people.acme)
    offer = invitations.Offer(Role.VIEWER, teams=[second])
    invitations.invite(people.acme, ["hers@example.org"], offer, actor=alice)
    browser = signed_in(ann)
    assert len(rows_of(browser, LIST)) == 1
    form = text_of(browser.get(NEW))
    assert 'value="second"' in form
    assert 'value="core"' not in form
    assert 'value="owner"' not in form
    beyond = browser.post(NEW, {**FORM, "emails": "x@example.org", "teams": ["core"]})
    assert beyond.status_code == 422
    response = browser.post(NEW, {**FORM, "emails": "x@example.org", "teams": ["second"]})
    assert response.status_code == 200
    assert not Invitation.objects.get(email="x@example.org").all_teams


def test_message_content_is_text(people: Cast) -> None:
    """P15"""
    people.alice.name = f"A{EVERYTHING}"[:120].replace("\x00", "")
    people.alice.save()
    message = f"<script>alert(1)</script>{EVERYTHING}".replace("\x00", "")[:500]
    mailed, _ = invite(people, message=message)
    page = text_of(Client().get(mailed))
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "\n" not in mail.outbox[0].subject
