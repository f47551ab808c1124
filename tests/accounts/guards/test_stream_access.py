"""A stream that is open ends with what its reader may read (P11, P12)."""

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import AnonymousUser
from django.db import OperationalError
from django.http import Http404, HttpRequest
from django.test import RequestFactory

from accounts.access.actors import SYSTEM, linked_actor
from accounts.guards import stream_access
from accounts.guards.stream_access import AccessEnded, _may_still_read, present_actor, read_while
from accounts.members import members
from accounts.models import Role, User
from accounts.organisations import organisations
from accounts.sessions import sessions
from lib import clock
from tests.accounts.access.test_access import channels, usage
from tests.support.cast import Cast, actor, member, signed_in

# Reading -----------------------------------------------------------------------------------------


class Stream:
    """So many items; after them it waits for ever, unless it has an end."""

    def __init__(self, count: int, *, ends: bool) -> None:
        self.count, self.ends, self.closed = count, ends, False

    async def items(self) -> AsyncGenerator[int]:
        try:
            for n in range(self.count):
                yield n
            if not self.ends:
                await asyncio.Event().wait()
        finally:
            self.closed = True


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_access, "CHECK_S", 0)


async def test_permitted_stream_reaches_its_own_end() -> None:
    async def may_read() -> bool:
        return True

    stream = Stream(3, ends=True)
    assert [item async for item in read_while(stream.items(), may_read)] == [0, 1, 2]
    assert stream.closed


async def test_stream_ends_when_its_reader_loses_access() -> None:
    """What the database cannot tell ends nothing."""
    stream, seen, asked = Stream(2, ends=False), list[int](), 0

    async def may_read() -> bool:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise OperationalError("away")
        return len(seen) < stream.count

    async def read() -> None:
        async for item in read_while(stream.items(), may_read):
            seen.append(item)

    with pytest.raises(AccessEnded):
        await read()
    assert (seen, stream.closed) == ([0, 1], True)


async def test_internal_error_is_no_end_of_access() -> None:
    stream = Stream(0, ends=False)

    async def may_read() -> bool:
        raise RuntimeError("a defect")

    with pytest.raises(RuntimeError, match="a defect"):
        await anext(read_while(stream.items(), may_read))
    assert stream.closed


async def test_abandoned_stream_is_closed_and_checks_no_more() -> None:
    asked = 0

    async def may_read() -> bool:
        nonlocal asked
        asked += 1
        return True

    stream = Stream(2, ends=False)
    reading = read_while(stream.items(), may_read)
    assert await anext(reading) == 0
    await reading.aclose()  # type: ignore[attr-defined]
    assert stream.closed
    before = asked
    for _ in range(3):
        await asyncio.sleep(0)
    assert asked == before


# Who may -----------------------------------------------------------------------------------------

CHANGES: dict[str, tuple[Callable[[Cast, User], object], bool]] = {
    "nothing": (lambda people, bob: None, True),
    "made viewer": (
        lambda people, bob: members.set_member(
            people.acme, bob.email, Role.VIEWER, actor=SYSTEM
        ),
        True,
    ),
    "made billing": (
        lambda people, bob: members.set_member(
            people.acme, bob.email, Role.BILLING, actor=SYSTEM
        ),
        True,
    ),
    "removed": (
        lambda people, bob: members.remove_member(people.acme, bob.email, actor=SYSTEM), False,
    ),
    "switched off": (lambda people, bob: members.set_active(bob, False, actor=SYSTEM), False),
    "signed out": (lambda people, bob: sessions.end(bob, "r", actor=SYSTEM), False),
    "archived": (
        lambda people, bob: organisations.archive_organisation(people.acme, actor=SYSTEM), False,
    ),
    "second factor asked": (
        lambda people, bob: organisations.force_second_factor(
            people.acme, ["developer"], actor=SYSTEM
        ),
        False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_stream_is_readable_by_whoever_could_open_it_again(people: Cast, change: str) -> None:
    browser = signed_in(people.bob)
    browser.get("/o/acme/")
    key, bob = str(browser.session.session_key), actor(people.bob, people.acme)
    make, stays = CHANGES[change]
    make(people, people.bob)
    assert (present_actor(key, bob) is not None) is stays
    assert _may_still_read(key, bob, "usage.read") is stays
    assert _may_still_read(key, bob, "playground.use") is (stays and not change.startswith("made"))


def test_a_session_reads_for_its_own_person_alone(people: Cast) -> None:
    browser = signed_in(people.bob)
    browser.get("/o/acme/")
    key = str(browser.session.session_key)
    assert present_actor(key, actor(people.alice, people.acme)) is None
    assert present_actor(key, actor(people.bob, people.stranger)) is None
    assert present_actor("no such session", actor(people.bob, people.acme)) is None


def test_member_reads_nothing_of_an_archived_organisation(people: Cast) -> None:
    browser = signed_in(people.bob)
    browser.get("/o/acme/")
    key, bob = str(browser.session.session_key), actor(people.bob, people.acme)
    assert present_actor(key, bob) is not None
    organisations.archive_organisation(people.acme, actor=SYSTEM)
    assert present_actor(key, bob) is None


def test_an_operator_reads_where_an_organisation_stands(people: Cast) -> None:
    browser = signed_in(people.dora)
    browser.get("/")
    key, dora = str(browser.session.session_key), actor(people.dora, people.acme)
    found = present_actor(key, dora)
    assert found is not None
    assert (found.operator, found.role, found.organisation) == (True, None, people.acme)
    organisations.archive_organisation(people.acme, actor=SYSTEM)
    assert present_actor(key, dora) is None


# Who is nobody -----------------------------------------------------------------------------------


def request_of(user: Any) -> HttpRequest:
    request = RequestFactory().get("/o/acme/x")
    request.user = user
    return request


def test_signed_out_visitor_is_led_to_sign_in(db: None) -> None:
    for guarded in (usage, channels):
        answer = guarded(request_of(AnonymousUser()), o="acme", n=7)
        assert (answer.status_code, answer["Location"]) == (302, "/login?next=/o/acme/x")
        assert answer["Cache-Control"] == "private, no-store"


def test_link_opens_only_for_members_and_operators(people: Cast) -> None:
    vic = member(people.acme, "vic", Role.VIEWER)
    assert linked_actor(request_of(vic), people.acme).role == Role.VIEWER
    operator = linked_actor(request_of(people.dora), people.acme)
    assert (operator.role, operator.operator) == (None, True)
    with pytest.raises(Http404):
        linked_actor(request_of(people.charlie), people.acme)
    organisations.archive_organisation(people.acme, actor=SYSTEM)
    people.acme.refresh_from_db()
    for somebody in (vic, people.dora):
        with pytest.raises(Http404):
            linked_actor(request_of(somebody), people.acme)


@pytest.mark.parametrize("who", ["bob", "dora"])
def test_ended_session_reads_nothing(people: Cast, who: str) -> None:
    """Its cookie is still known, and nobody has ended it."""
    user: User = getattr(people, who)
    browser = signed_in(user)
    browser.get("/o/acme/")
    key, reader = str(browser.session.session_key), actor(user, people.acme)
    assert present_actor(key, reader) is not None
    UserSession.objects.update(last_seen_at=clock.now() - dt.timedelta(hours=12))
    assert present_actor(key, reader) is None
    assert not _may_still_read(key, reader, "usage.read")


def test_person_without_an_organisation_reads_nothing(people: Cast) -> None:
    """Neither a person without a membership, nor an operator of an organisation that is gone."""
    browser = signed_in(people.charlie)
    browser.get("/o/stranger/")
    key = str(browser.session.session_key)
    assert present_actor(key, actor(people.charlie, people.stranger)) is not None
    assert present_actor(key, actor(people.charlie, people.acme)) is None
