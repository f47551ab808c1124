"""A person's own sessions: their order, what keeps them alive, and a view of an organisation."""

import datetime as dt
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.backends.base import SessionBase

from accounts.access.actors import actor_of_member
from accounts.models import (
    AuditEvent,
    Role,
    SignInLink,
    User,
)
from accounts.sessions import sessions, view_as
from accounts.sessions.devices import device_of
from accounts.sign_in import sign_in
from lib import clock
from outbox.models import Fact
from tests.support.cast import Cast, signed_in

pytestmark = pytest.mark.django_db
HOUR = dt.timedelta(hours=1)


def session_of(user: User, key: str, seen: dt.datetime) -> UserSession:
    row = UserSession.objects.create(user=user, session_key=key, ip="192.0.2.1", user_agent="")
    UserSession.objects.filter(pk=row.pk).update(last_seen_at=seen)
    return row


def test_last_used_session_is_listed_first(people: Cast) -> None:
    now = clock.now()
    old, new = (session_of(people.bob, key, now - n * HOUR) for key, n in (("a", 2), ("b", 1)))
    session_of(people.alice, "c", now)
    assert [*sessions.sessions_of(people.bob)] == [new, old]


def test_own_session_is_marked_among_others(people: Cast) -> None:
    browsers = [signed_in(people.bob) for _ in range(2)]
    for browser in browsers:
        browser.get("/account/sign-ins")
    page = browsers[0].get("/account/sign-ins").content.decode()
    assert page.count("This session") == 1


@pytest.mark.usefixtures("bare_errors")
@pytest.mark.parametrize(
    ("path", "accept", "counts"),
    [
        ("/o/acme/nowhere", "text/html", True),
        ("/o/acme/_f/nowhere", "text/html", False),
        ("/o/acme/nowhere", "text/event-stream", False),
    ],
)
def test_open_page_alone_keeps_no_session_alive(
    people: Cast, path: str, accept: str, counts: bool
) -> None:
    browser, before = signed_in(people.bob), clock.now() - dt.timedelta(minutes=2)
    browser.get("/nowhere")
    UserSession.objects.update(last_seen_at=before)
    browser.get(path, headers={"accept": accept})
    assert (UserSession.objects.get().last_seen_at != before) == counts


def test_ending_sessions_ends_unused_links_too(people: Cast) -> None:
    sign_in.make_sign_in_link(people.bob)
    sign_in.make_sign_in_link(people.alice)
    sessions.end(people.bob, "test")
    assert [link.user for link in SignInLink.objects.all()] == [people.alice]


@pytest.mark.parametrize(
    ("agent", "browser", "system"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge", "Windows"),
        ("Mozilla/5.0 (X11; Linux) Chrome/140.0 Safari/537.36 OPR/100", "Opera", "Linux"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/140.0 Mobile Safari/5", "Chrome", "Android"),
        ("Mozilla/5.0 (iPhone; CPU like Mac OS X) Version/18 Safari/6", "Safari", "iPhone"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14) Firefox/140.0", "Firefox", "macOS"),
        ("curl/8.5.0", "curl", ""),
    ],
)
def test_device_is_named_by_what_it_is(agent: str, browser: str, system: str) -> None:
    """Browsers name those that they derive from as well."""
    assert device_of(agent) == (browser, system)


def test_operator_who_views_has_the_role_and_no_more(people: Cast) -> None:
    session: Any = SessionBase()
    dora = actor_of_member(people.dora, people.acme, None)
    view_as.begin_view(dora, session, people.acme, Role.BILLING, "Ticket 12")
    shown = view_as.actor_viewing(dora, session)
    assert (shown.role, shown.operator, shown.viewing) == (Role.BILLING, False, True)
    elsewhere = actor_of_member(people.dora, people.stranger, None)
    assert view_as.actor_viewing(elsewhere, session) == elsewhere
    (fact,) = Fact.objects.filter(kind="view_as.began")
    assert fact.organisation_id == people.acme.id
    told = {name: fact.body[name] for name in ("operator", "role", "reason")}
    assert told == {"operator": people.dora.email, "role": "billing", "reason": "Ticket 12"}
    view_as.end_view(dora, session)
    event = AuditEvent.objects.get(action="view_as.ended")
    assert (event.organisation, event.detail["expired"]) == (people.acme, False)
