"""Sessions: seen, bounded, ended (docs/promises.md, "Sign-in"; P11)."""

import datetime as dt

import psycopg
import pytest
from allauth.account.internal.flows.login import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from accounts.access import entry_requirements
from accounts.models import AuditEvent, SetUpLink, SignInLink, User
from accounts.sessions import sessions
from accounts.sessions.store import session_digest
from accounts.sign_in.sign_in import make_sign_in_link
from lib import clock
from outbox.models import Fact
from tests.accounts.sign_in.test_signin import sign_in
from tests.support.cast import PASSWORD, Cast, person, signed_in

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36"
)


def is_in(browser: Client) -> bool:
    return browser.get("/account/sign-ins").status_code == 200


def age(browser: Client, **columns: dt.timedelta) -> None:
    """Let the browser's session be that old."""
    key = session_digest(str(browser.session.session_key))
    changes = {name: clock.now() - by for name, by in columns.items()}
    assert UserSession.objects.filter(session_key=key).update(**changes) == 1


def test_the_list_names_device_network_and_last_use(people: Cast) -> None:
    here = signed_in(people.bob, headers={"user-agent": CHROME}, REMOTE_ADDR="192.0.2.7")
    there = signed_in(people.bob, REMOTE_ADDR="2001:db8::7")
    assert is_in(there)
    page = here.get("/account/sign-ins").content.decode()
    for words in ("Chrome on Windows", "192.0.2.7", "2001:db8::/64", "Unknown device"):
        assert words in page
    assert page.count("This session") == 1
    # Those of others are none of one's own.
    assert "192.0.2.7" not in signed_in(people.alice).get("/account/sign-ins").content.decode()


def test_list_contains_sessions_that_still_open_something(people: Cast) -> None:
    here, idle, old, gone, over = (signed_in(people.bob) for _ in range(5))
    for browser in (here, idle, old, gone, over):
        assert is_in(browser)
    age(idle, last_seen_at=dt.timedelta(hours=13))
    age(old, created_at=dt.timedelta(days=8))
    keys = {browser: session_digest(str(browser.session.session_key)) for browser in (gone, over)}
    Session.objects.filter(session_key=keys[gone]).delete()
    Session.objects.filter(session_key=keys[over]).update(expire_date=clock.now())
    (left,) = sessions.living_sessions_of(people.bob)
    assert left.session_key == session_digest(str(here.session.session_key))
    alive = {b: sessions.is_alive(str(b.session.session_key)) for b in (here, idle, old)}
    assert alive == {here: True, idle: False, old: False}
    User.objects.filter(pk=people.bob.pk).update(is_active=False)
    assert not sessions.is_alive(str(here.session.session_key))


def test_ending_all_sessions_also_ends_links(people: Cast) -> None:
    """What an operator does after a leak; open streams hear of it."""
    browsers = [signed_in(people.bob), signed_in(people.alice)]
    assert all(map(is_in, browsers))
    link = make_sign_in_link(people.bob)
    SetUpLink.objects.create(digest=b"d" * 32, expires_at=clock.now() + dt.timedelta(hours=1))
    count = Session.objects.count()
    with CaptureQueriesContext(connection) as made:
        assert sessions.end_all() == count
    assert sum("pg_notify" in query["sql"] for query in made.captured_queries) == count
    assert not any(map(is_in, browsers))
    assert Client().get(link).status_code == 410
    left = (UserSession.objects.count(), SetUpLink.objects.count(), SignInLink.objects.count())
    assert left == (0, 0, 0)


def test_ended_session_notices_at_the_next_request(people: Cast) -> None:
    here, there = signed_in(people.bob), signed_in(people.bob)
    assert is_in(here)
    assert is_in(there)
    row = UserSession.objects.get(session_key=session_digest(str(there.session.session_key)))
    assert here.post(f"/account/sign-ins/{row.pk}/end").status_code == 303
    assert there.get("/o/acme/keys")["Location"] == "/login?next=/o/acme/keys"
    assert is_in(here)
    event = AuditEvent.objects.get(action="sessions.ended")
    assert (event.actor_user_id, event.detail["count"]) == (people.bob.pk, 1)


def test_a_session_that_ends_in_a_request_leads_to_sign_in(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = signed_in(people.bob)

    def end_elsewhere(*_: object) -> None:
        sessions.end(people.bob, "signed_out")

    monkeypatch.setattr(entry_requirements, "check", end_elsewhere)
    answer = browser.get("/o/acme/")
    assert (answer.status_code, answer["Location"]) == (302, "/login?next=/o/acme/")


def test_an_end_leaves_no_row_and_is_recorded_once(people: Cast) -> None:
    signed_in(people.bob).get("/o/acme/")
    signed_in(people.alice).get("/o/acme/")
    assert sessions.end(people.bob, "test") == 1
    assert sessions.end(people.bob, "test") == 0
    assert [row.user for row in UserSession.objects.all()] == [people.alice]
    assert Session.objects.count() == 1
    assert AuditEvent.objects.get(action="sessions.ended").detail["count"] == 1


def test_no_one_ends_anothers_session(people: Cast) -> None:
    alice, bob = signed_in(people.alice), signed_in(people.bob)
    assert is_in(alice)
    row = UserSession.objects.get(user=people.alice)
    assert bob.post(f"/account/sign-ins/{row.pk}/end").status_code == 404
    assert is_in(alice)


def test_all_other_sessions_are_ended_together(people: Cast) -> None:
    here, *others = [signed_in(people.bob) for _ in range(4)]
    assert all(map(is_in, (here, *others)))
    page = here.post("/account/sign-ins/end", follow=True).content.decode()
    assert "3 sessions ended." in page
    assert is_in(here)
    assert not any(map(is_in, others))


def test_an_idle_session_ends(people: Cast) -> None:
    browser = signed_in(people.bob)
    assert is_in(browser)
    age(browser, last_seen_at=dt.timedelta(hours=11, minutes=59))
    assert is_in(browser)
    age(browser, last_seen_at=dt.timedelta(hours=12))
    assert not is_in(browser)
    assert not Session.objects.exists()


def test_an_operators_session_ends_sooner(people: Cast) -> None:
    browser = signed_in(people.dora)
    assert is_in(browser)
    age(browser, last_seen_at=dt.timedelta(hours=1))
    assert not is_in(browser)


def test_no_session_lasts_longer_than_seven_days(people: Cast) -> None:
    browser = signed_in(people.bob)
    assert is_in(browser)
    age(browser, created_at=dt.timedelta(days=7))
    assert not is_in(browser)


def test_background_requests_of_an_open_page_are_no_use(people: Cast) -> None:
    browser = signed_in(people.bob)
    assert is_in(browser)
    age(browser, last_seen_at=dt.timedelta(minutes=30))
    before = UserSession.objects.get().last_seen_at
    browser.get("/o/acme/_f/home/keys")
    browser.get("/o/acme/", headers={"accept": "text/event-stream"})
    assert UserSession.objects.get().last_seen_at == before
    browser.get("/o/acme/")
    assert UserSession.objects.get().last_seen_at > before


def test_older_session_gets_its_row(people: Cast) -> None:
    browser = signed_in(people.bob)
    assert not UserSession.objects.exists()
    assert is_in(browser)
    assert UserSession.objects.get().user == people.bob


def test_signing_in_gives_the_browser_another_session(people: Cast) -> None:
    browser = Client()
    session = browser.session
    session["planted"] = True
    session.save()
    planted = str(session.session_key)
    browser.cookies["session_8000"] = planted
    browser.post("/login", {"login": "bob@example.org", "password": PASSWORD})
    assert browser.session.session_key != planted
    assert is_in(browser)


def test_password_change_ends_the_other_sessions(people: Cast) -> None:
    here, there = signed_in(people.bob), signed_in(people.bob)
    assert is_in(there)
    new = {"password1": "quite another one", "password2": "quite another one"}
    here.post("/password/change", {"oldpassword": PASSWORD, **new})
    assert is_in(here)
    assert not is_in(there)
    assert Fact.objects.get(kind="security.changed").body["action"] == "password.changed"


def test_is_alive_matches_the_next_request(people: Cast) -> None:
    browser = signed_in(people.bob)
    key = str(browser.session.session_key)
    assert is_in(browser)
    assert sessions.is_alive(key)
    age(browser, last_seen_at=dt.timedelta(hours=12))
    assert not sessions.is_alive(key)
    age(browser, last_seen_at=dt.timedelta())
    User.objects.filter(pk=people.bob.pk).update(is_active=False)
    assert not sessions.is_alive(key)
    User.objects.filter(pk=people.bob.pk).update(is_active=True)
    assert sessions.is_alive(key)
    # Each half of a session is needed: its row in our list, and what it stores.
    Session.objects.filter(session_key=session_digest(key)).delete()
    assert not sessions.is_alive(key)
    sessions.end(people.bob, "test")
    assert not sessions.is_alive(key)
    assert not sessions.is_alive("")


def test_a_session_has_its_row_from_the_sign_in_on(people: Cast) -> None:
    """One that asks for nothing more is ended with the others."""
    there = Client()
    there.post("/login", {"login": "bob@example.org", "password": PASSWORD})
    assert sessions.end(people.bob, "test") == 1
    assert not is_in(there)


@pytest.mark.django_db(transaction=True)
def test_open_stream_learns_of_its_sessions_end_at_the_commit() -> None:
    bob = person("bob")
    browser = signed_in(bob)
    assert is_in(browser)
    key = str(browser.session.session_key)
    dsn = psycopg.conninfo.make_conninfo(
        "", **{name: str(value) for name, value in _place().items() if value}
    )
    with psycopg.connect(dsn, autocommit=True) as listener:
        listener.execute(f"LISTEN {sessions.CHANNEL}")
        with transaction.atomic():
            sessions.end(bob, "test")
            assert list(listener.notifies(timeout=0)) == []
        (notice,) = listener.notifies(timeout=5, stop_after=1)
    assert notice.payload == session_digest(key)


def _place() -> dict[str, object]:
    known = connection.settings_dict
    return {
        "dbname": known["NAME"],
        "host": known["HOST"],
        "port": known["PORT"],
        "user": known["USER"],
        "password": known["PASSWORD"],
    }


# Letters ----------------------------------------------------------------------------------------


def noticed() -> list[str]:
    return [fact.body["network"] for fact in Fact.objects.filter(kind="sign_in.noticed")]


def test_a_sign_in_from_somewhere_new_is_told(people: Cast) -> None:
    sign_in(come_from="192.0.2.1")
    sign_in(come_from="192.0.2.1")
    assert noticed() == []  # the first place of all is no news
    sign_in(come_from="192.0.2.2")
    assert noticed() == ["192.0.2.2"]
    sign_in(come_from="192.0.2.2")
    assert noticed() == ["192.0.2.2"]
    assert Fact.objects.get().people == [people.bob.pk]


def test_a_session_that_ended_during_a_request_stays_ended(people: Cast) -> None:
    """P11: the answer to the request brings no record of it back."""
    browser = signed_in(people.bob)
    request = RequestFactory().get("/")
    request.session, request.user = browser.session, people.bob
    request.begun_with = request.session.session_key  # type: ignore[attr-defined]
    UserSession.objects.all().delete()
    bounds = sessions.SessionBounds(lambda _: HttpResponse())
    bounds.process_response(request, HttpResponse())
    assert not UserSession.objects.exists()
    # One that a sign-in or a new password has put in its place has a record.
    request.begun_with = "another"  # type: ignore[attr-defined]
    bounds.process_response(request, HttpResponse())
    assert UserSession.objects.get().user == people.bob


def test_session_that_any_of_its_confirmations_ties_to_a_provider_ends(people: Cast) -> None:
    """A password or a code that was entered since does not keep it."""
    records = {
        "first": [{"provider": "acme-sso"}, {"method": "mfa"}],
        "last": [{"method": "password"}, {"provider": "acme-sso"}],
        "other": [{"provider": "other-sso"}, {"method": "mfa"}],
    }
    browsers = {name: signed_in(people.bob) for name in records}
    for name, browser in browsers.items():
        session = browser.session
        session[AUTHENTICATION_METHODS_SESSION_KEY] = records[name]
        session.save()
        assert is_in(browser)
    assert sessions.end_signed_in_by([people.bob], ["acme-sso"], "sso.ended") == 2
    assert {name: is_in(browser) for name, browser in browsers.items()} == {
        "first": False, "last": False, "other": True,
    }  # fmt: skip
