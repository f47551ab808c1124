"""The log as it goes on: who is told of which requests, once each, whatever happens between."""

import asyncio
import datetime as dt
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import psycopg
import pytest
from allauth.usersessions.models import UserSession
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection
from django.test import AsyncClient, Client, RequestFactory
from psycopg.conninfo import make_conninfo

from accounts.access.actors import LAST_ORGANISATION, SYSTEM
from accounts.members import members
from accounts.models import Key, Role, SingleSignOn, User
from accounts.sessions.rules import IDLE
from lib import clock
from lib.database.async_database import run_in_database
from lib.ids import id_text, new_id
from tests.support import cast
from tests.usage.rows import happen
from usage.filters import filters
from usage.log import live_log
from usage.models import UsageRecord
from usage.requests import log as request_log
from usage.requests import log_position
from usage.requests.columns import hidden_columns

pytestmark = pytest.mark.django_db(transaction=True)

LIVE = "/o/acme/requests/live"


@pytest.fixture(autouse=True)
def _looks_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_log, "LOOK_S", 0.01)
    monkeypatch.setattr(live_log, "CHECK_S", 0.01)


class Message(NamedTuple):
    event: str
    id: str
    data: str

    @property
    def requests(self) -> list[str]:
        return re.findall(r'href="/o/acme/requests/([0-9A-Z]{26})', self.data)


class Reader:
    """One page that listens."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self._stream = stream
        self.place = ""
        self.requests: list[str] = []

    async def message(self) -> Message:
        """The next one that says anything."""
        text = await asyncio.wait_for(anext(self._stream), 10)
        lines = [line.partition(": ")[::2] for line in text.decode().splitlines() if line]
        fields = dict(lines)
        if "event" not in fields:
            return await self.message()
        data = "\n".join(value for name, value in lines if name == "data")
        self.place = fields.get("id", self.place)
        message = Message(fields["event"], fields.get("id", ""), data)
        self.requests += message.requests
        return message

    async def until(self, count: int) -> list[str]:
        """The requests that it was told of once they are so many."""
        while len(self.requests) < count:
            assert (await self.message()).event in ("rows", "place")
        return self.requests


async def listen(browser: Client, query: str = "", place: str = "") -> Reader:
    client = AsyncClient()
    client.cookies = browser.cookies
    headers = {"last-event-id": place} if place else {}
    response: Any = await client.get(f"{LIVE}{query}", headers=headers)
    assert response.status_code == 200
    assert response["Content-Type"] == "text/event-stream"
    reader = Reader(aiter(response.streaming_content))
    if not place:
        assert (await reader.message()).event == "place"
    return reader


def end_request(key: Key, **over: Any) -> str:
    """A request that ends now."""
    return id_text(happen(key, clock.now(), **over).request_id)


@pytest.fixture
def hers(people: cast.Cast) -> Key:
    key, _ = cast.make_key(people.core, "hers", user=people.alice)
    return key


@pytest.mark.asyncio
async def test_each_reader_receives_their_pages_requests(
    people: cast.Cast, key: Key, hers: Key
) -> None:
    """P12: the owner of all, a developer of his own, a filter of what fits it; as rows of the list,
    with the columns that the page has."""
    alice, bob = await run_in_database(
        lambda: (cast.signed_in(people.alice), cast.signed_in(people.bob))
    )
    everything = await listen(alice, "?cols=time,model,person")
    own = await listen(bob)
    of_a_model = await listen(alice, "?model=other&cols=model,tags")
    failed = await run_in_database(end_request, key, status=502)
    his = await run_in_database(end_request, key, model="other", tags=["<b>", "\r\nevent: ended"])
    other = await run_in_database(end_request, hers)
    assert set(await everything.until(3)) == {failed, his, other}
    assert set(await own.until(2)) == {failed, his}
    assert await of_a_model.until(1) == [his]


@pytest.mark.asyncio
async def test_late_commit_is_reported_once(people: cast.Cast, key: Key) -> None:
    """Neither the order of beginnings nor that of commits loses a request, nor does a page that
    comes back, to whichever process."""
    alice = await run_in_database(cast.signed_in, people.alice)
    first = await run_in_database(happen, key, clock.now())
    reader = await listen(alice)
    with writing_a_copy(first) as (late, commit):
        quick = await run_in_database(end_request, key)
        assert await reader.until(1) == [quick]
        again = await listen(alice, place=reader.place)
        meanwhile = await run_in_database(end_request, key)
        assert await again.until(1) == [meanwhile]
        commit()
        assert await again.until(2) == [meanwhile, late]
        assert set(await reader.until(3)) == {quick, meanwhile, late}
    last = await run_in_database(end_request, key)
    assert (await reader.until(4))[-1] == (await again.until(3))[-1] == last


@contextmanager
def writing_a_copy(record: UsageRecord) -> Iterator[tuple[str, Callable[[], None]]]:
    """A transaction that has written one more request, and what commits it."""
    id = new_id()
    dsn = make_conninfo(settings.DATABASE_URL or "", dbname=connection.settings_dict["NAME"])
    with psycopg.connect(dsn) as other:
        other.execute(
            "CREATE TEMP TABLE copy ON COMMIT DROP AS SELECT * FROM usage_usagerecord"
            " WHERE id = %s", [record.id]
        )  # fmt: skip
        other.execute(
            "UPDATE copy SET id = %s, request_id = %s, xid = pg_current_xact_id()", [id, id]
        )
        other.execute("INSERT INTO usage_usagerecord SELECT * FROM copy")
        yield id_text(id), other.commit


ENDS: dict[str, Callable[[cast.Cast, User], object]] = {
    "sees less": lambda people, user: members.set_member(
        people.acme, user.email, Role.DEVELOPER, actor=SYSTEM
    ),
    "removed": lambda people, user: members.remove_member(people.acme, user.email, actor=SYSTEM),
    "session ended": lambda *_: Session.objects.all().delete(),
    "session idle for too long": lambda *_: UserSession.objects.update(
        last_seen_at=clock.now() - IDLE
    ),
    "archived": lambda people, _: type(people.acme).objects.update(archived_at=clock.now()),
    "second factor required": lambda people, _: type(people.acme).objects.update(
        second_factor_roles=[Role.VIEWER]
    ),
    "single sign-on required": lambda people, _: SingleSignOn.objects.create(
        organisation=people.acme, issuer="https://id.example", client_id="weir", required=True
    ),
}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "cause",
    ["sees less", *[*ENDS][1:]],
)
async def test_stream_ends_when_access_ends(people: cast.Cast, key: Key, cause: str) -> None:
    """P11: within the time of two looks, and nothing is told after it."""
    viewer = await run_in_database(cast.member, people.acme, "victor", Role.VIEWER)
    reader = await listen(await run_in_database(cast.signed_in, viewer))
    await run_in_database(ENDS[cause], people, viewer)
    end = await reader.message()
    assert (end.event, end.data) == (
        "ended", "Your access has ended or changed. Reload the page."
    )  # fmt: skip
    await run_in_database(end_request, key)
    with pytest.raises(StopAsyncIteration):
        await reader.message()


@pytest.mark.asyncio
async def test_a_stream_is_bounded(
    people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In rows of one look, in streams of a person, and in how far it goes back."""
    monkeypatch.setattr(live_log, "ROWS_MAX", 2)
    alice = await run_in_database(cast.signed_in, people.alice)
    place = (await run_in_database(request_log.place_now)).name
    for _ in range(3):
        await run_in_database(end_request, key)
    readers = [await listen(alice, place=place)]
    assert len((await readers[0].message()).requests) == 2
    far = place.split(":")[1]
    monkeypatch.setattr("usage.requests.log_position.BEHIND_MAX", 0)
    for other in (f"1:{far}:", "1:99999999999:"):
        readers.append(await listen(alice, place=other))
        assert (await readers[-1].message()).event == "behind"
    refused = await listen(alice, place=place)
    assert (await refused.message()).event == "ended"


@pytest.mark.asyncio
async def test_rows_that_are_left_out_are_counted(
    people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the newest in one message, so that they have one place; by the page's filter."""
    monkeypatch.setattr(live_log, "ROWS_MAX", 2)
    alice = await run_in_database(cast.signed_in, people.alice)
    place = (await run_in_database(request_log.place_now)).name
    ids = [await run_in_database(end_request, key) for _ in range(5)]
    await run_in_database(end_request, key, model="other")
    reader = await listen(alice, "?model=gpt-5", place=place)
    message = await reader.message()
    assert (message.event, message.requests) == ("rows", ids[:2:-1])
    assert '<template data-missed="3">' in message.data
    later = await run_in_database(end_request, key)
    message = await reader.message()
    assert (message.requests, "data-missed" in message.data) == ([later], False)
    monkeypatch.setattr("usage.requests.log.COUNTED_MAX", 5)
    monkeypatch.setattr("lib.tables.sources.COUNTED_MAX", 5)
    assert (await (await listen(alice, place=place)).message()).event == "behind"


@pytest.mark.asyncio
async def test_transaction_overflow_loses_nothing(
    people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream goes on as ever; a page that comes back is told of some once more, which it has."""
    monkeypatch.setattr(log_position, "OPEN_MAX", 0)
    alice = await run_in_database(cast.signed_in, people.alice)
    first = await run_in_database(happen, key, clock.now())
    reader = await listen(alice)
    with writing_a_copy(first) as (late, commit):
        quick = await run_in_database(end_request, key)
        assert await reader.until(1) == [quick]
        again = await listen(alice, place=reader.place)
        while quick not in again.requests:
            await again.message()
        commit()
        while late not in again.requests:
            await again.message()
        assert await reader.until(2) == [quick, late]


@pytest.mark.asyncio
async def test_stream_ended_by_the_database_is_logged(
    people: cast.Cast, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its page comes back by itself; operators are to know why it had to."""
    reader = await listen(await run_in_database(cast.signed_in, people.alice))

    async def away(*_: object) -> None:
        raise OperationalError("the server closed the connection unexpectedly")

    monkeypatch.setattr(live_log, "run_in_database", away)
    with pytest.raises(StopAsyncIteration):
        await reader.message()
    assert "a live log cannot be read" in caplog.text
    assert "closed the connection" in caplog.text
    assert not live_log._streams


@pytest.mark.asyncio
async def test_a_stream_holds_no_connection(people: cast.Cast) -> None:
    """Not the one by which its request wrote the session, either: a few pages that look on would
    else leave none to all others ("Load, overload, loss of a part")."""
    alice = await run_in_database(cast.signed_in, people.alice)
    await run_in_database(visit_another, alice)
    await listen(alice)
    assert await sync_to_async(lambda: connection.connection)() is None


def visit_another(browser: Client) -> None:
    """The session remembers another organisation, so that the next request writes it."""
    session = browser.session
    session[LAST_ORGANISATION] = "another"
    session.save()


@pytest.mark.asyncio
async def test_it_ends_when_the_process_is_about_to(people: cast.Cast) -> None:
    """Its page comes back to another one; nobody waits for it to end by itself."""
    alice = await run_in_database(cast.signed_in, people.alice)
    log = await run_in_database(log_of, alice)
    asked = iter((False, True))
    messages = [one async for one in live_log.live_events(log, None, lambda: next(asked))]
    assert len(messages) == 2
    assert "event: place" in messages[1]
    assert not live_log._streams


def log_of(browser: Client) -> live_log.LiveLog:
    request = browser.get("/o/acme/requests").wsgi_request
    return live_log._log_of(request, request.actor)  # type: ignore[attr-defined]


def test_stream_has_the_columns_that_its_reader_may_see(people: cast.Cast) -> None:
    """P12: as the page has them; and it ends with another sight."""
    alice, bob = (cast.actor(one, people.acme) for one in (people.alice, people.bob))
    shown = {
        user.email: {column.name for column in log_of(cast.signed_in(user)).state.columns}
        for user in (people.alice, people.bob)
    }
    assert [*map(hidden_columns, (alice, bob))] == [["channel"], ["person", "channel"]]
    assert {"person", "channel"} & shown["alice@example.org"] == {"person"}
    assert {"person", "channel"} & shown["bob@example.org"] == set()
    assert live_log._sight(alice) != live_log._sight(replace(alice, operator=True))


@pytest.mark.parametrize(
    ("decimals", "places"),
    [("2", {"cost": 2}), ("9", {"cost": 9}), ("1", {}), ("10", {}), ("", {}), ("x", {})],
)
def test_stream_pads_costs_as_its_page_does(decimals: str, places: dict[str, int]) -> None:
    assert live_log._places_of(RequestFactory().get("/", {"decimals": decimals})) == places


@pytest.mark.parametrize(
    ("query", "count"),
    [({}, 1), ({"range": ["custom"], "from": ["2026-11-01"], "to": ["2026-11-02"]}, 0)],
)
def test_stream_goes_on_beyond_the_end_that_its_page_had(
    people: cast.Cast, key: Key, query: dict[str, list[str]], count: int
) -> None:
    """Unless that was chosen."""
    log = log_of(cast.signed_in(people.alice))
    before = clock.now() - dt.timedelta(hours=30)
    asked = filters.from_query(query, before, channels=False, log=True)
    place = request_log.place_now()
    end_request(key)
    html = replace(log, usage_filter=asked).read_since(place).html
    assert len(Message("rows", "", html).requests) == count


def test_only_growing_pages_offer_a_stream(people: cast.Cast) -> None:
    alice = cast.signed_in(people.alice)
    offered = {
        query: "data-live=" in alice.get(f"/o/acme/requests{query}").content.decode()
        for query in ("", "?model=gpt-5", "?range=yesterday", "?sort=-cost", "?before=end")
    }
    assert [query for query, live in offered.items() if live] == ["", "?model=gpt-5"]
