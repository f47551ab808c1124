"""P20, P35: what a client is told that a busy process does not take, that nothing else is done, and
who that is."""

import asyncio
import json
from collections.abc import Set as AbstractSet
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from lib.id_types import KeyId, OrganisationId, TeamId
from lib.ids import new_id
from lib.process.asgi import Message
from relay.asgi import Relay
from relay.config import RelayConfig
from relay.credentials.keys import Principal
from relay.load import load_shedding
from relay.load.load import Load
from relay.load.load_shedding import LoadShedding
from relay.load.turn_order import TURNS_EACH


class Refusing(Load):
    """The load of a process that is too busy for anybody."""

    def __init__(self) -> None:
        super().__init__(1.0, lambda: 1, float)
        self._shedding.limit = 0.0


class OpenRequests:
    def enter(self) -> None: ...
    def leave(self) -> None: ...


class Authenticator:
    """Knows everybody, as one organisation."""

    async def principal(self, *_: object) -> object:
        return key_of(new_id())


def asked(load: Load, path: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """The status of the answer, its header fields and its body."""
    relay = Relay(RelayConfig(dsn="", kek="", pepper=""))
    relay._life = SimpleNamespace(  # type: ignore[assignment]
        refresher=SimpleNamespace(snapshot=SimpleNamespace(epoch=1, now=float)),
        load=load,
        parts=SimpleNamespace(loop=SimpleNamespace(time=float)),
        open_requests=OpenRequests(),
        authenticator=Authenticator(),
    )
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("its body is read")

    scope = {
        "type": "http", "path": path, "method": "POST", "query_string": b"",
        "headers": [(b"content-length", b"99")],
    }  # fmt: skip
    asyncio.run(relay(scope, receive, send))
    head, body = sent
    fields = {name.decode(): value.decode() for name, value in head["headers"]}
    return int(head["status"]), fields, dict(json.loads(body["body"]))


@pytest.mark.parametrize(
    ("path", "where", "word"),
    [
        ("/v1/chat/completions", ("error", "code"), "server_overloaded"),
        ("/v1/responses", ("error", "code"), "server_overloaded"),
        ("/v1/messages", ("error", "type"), "overloaded_error"),
        ("/v1beta/models/m:generateContent", ("error", "status"), "UNAVAILABLE"),
    ],
)
def test_overload_error_is_typed_and_says_when_to_retry(
    path: str, where: tuple[str, str], word: str
) -> None:
    load = Refusing()
    status, fields, body = asked(load, path)
    assert status in (503, 529)
    assert 2 <= int(fields["retry-after"]) <= 6
    if word == "server_overloaded":
        # Not all of them in the same instant.
        assert 2_000 <= int(fields["retry-after-ms"]) <= 6_000
    assert body[where[0]][where[1]] == word
    assert (load.take_refused(), load.take_refused()) == (1, 0)


async def test_the_wait_is_measured_while_the_loop_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Any wait is longer than a nanosecond; and any work is enough."""
    monkeypatch.setattr(load_shedding, "PATIENCE_S", 0.0)
    monkeypatch.setattr(load_shedding, "BUSY_MIN", 0.0)
    monkeypatch.setattr("relay.load.load.MEASURED_EACH_S", 0.001)
    too_busy = asyncio.Event()
    monkeypatch.setattr(Load, "_log_limit", lambda load: too_busy.set())
    many = 2 * load_shedding.UNDER_WAY_MIN
    load = Load(1e-9, lambda: many, float)
    assert all(load.enter(None) for _ in range(many))
    watching = asyncio.create_task(load.watch(lambda few: None))
    await asyncio.wait_for(too_busy.wait(), 30)
    watching.cancel()
    assert not load.enter(None)
    assert load.take_refused() == 1


async def test_waiting_for_a_turn_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where requests wait in a queue before they begin, the event loop itself is never late."""
    monkeypatch.setattr("relay.load.load.MEASURED_EACH_S", 0.0)
    measured: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def hear(_: LoadShedding, wait_s: float, *__: object) -> None:
        if not measured.done():
            measured.set_result(wait_s)

    monkeypatch.setattr(LoadShedding, "measured", hear)
    load = Load(1.0, lambda: 2 * load_shedding.UNDER_WAY_MIN, lambda: 1000.0)
    assert load.enter(None)
    watching = asyncio.create_task(load.watch(lambda few: None))
    assert await measured >= 1000.0 / TURNS_EACH
    watching.cancel()


def key_of(organisation_id: UUID) -> Principal:
    """The principal of a new key of an organisation."""
    key, team = KeyId(new_id()), TeamId(new_id())
    return Principal(key, OrganisationId(organisation_id), team, None, "relay", (), None, False)


def test_full_process_admits_who_has_fewest_requests() -> None:
    """P35: a place that the largest organisation leaves is not given back to it."""
    load, large, small = Load(1.0, lambda: 501, float), key_of(new_id()), key_of(new_id())
    assert all(load.enter(large) for _ in range(500))
    load._shedding.limit = 500.0
    assert not load.enter(large)
    assert all(load.enter(small) for _ in range(5))
    load.leave(large)
    load._shedding.limit = 499.0
    assert not load.enter(large)
    for _ in range(5):
        load.leave(small)
    assert load.enter(small)
    assert load.take_refused() == 2


def test_background_requests_count_for_their_key() -> None:
    """P35: requests that were answered and run on are under way, as those with a client are."""
    load, large, small = Load(1.0, lambda: 501, float), key_of(new_id()), key_of(new_id())
    for _ in range(500):
        assert load.enter(large)
        load.count(large)
        load.leave(large)
    load._shedding.limit = 500.0
    assert not load.enter(large)
    assert load.enter(small)
    for _ in range(500):
        load.leave(large)
    load.leave(small)
    assert not load.is_shared()
    assert load._organisations == {}


def test_key_with_few_requests_passes_its_organisations_crowd() -> None:
    load, organisation = Load(1.0, lambda: 101, float), new_id()
    crowd, few = key_of(organisation), key_of(organisation)
    assert all(load.enter(crowd) for _ in range(100))
    load._shedding.limit = 100.0
    assert not load.enter(crowd)
    assert all(load.enter(few) for _ in range(5))
    # So many keys with a few each are the crowd themselves.
    many = [key_of(organisation) for _ in range(200)]
    taken = sum(load.enter(one) for one in many)
    assert taken < 100
    assert not load.enter(many[-1])
    # Of another organisation they take no place.
    assert all(load.enter(other) for other in 5 * [key_of(new_id())])


def test_process_is_shared_while_two_keys_have_requests() -> None:
    load, organisation = Load(1.0, lambda: 3, float), new_id()
    one, other = key_of(organisation), key_of(organisation)
    assert all(load.enter(one) for _ in range(2))
    assert not load.is_shared()
    assert load.enter(other)
    assert load.is_shared()
    load.leave(one)
    assert load.is_shared()
    load.leave(one)
    assert not load.is_shared()
    load.leave(other)
    assert load.enter(None)
    assert not load.is_shared()


async def test_nothing_is_measured_while_no_one_is_rejected() -> None:
    await Load(0.0, lambda: 10_000, float).watch(lambda few: None)


async def test_who_has_few_beside_a_crowd_is_served_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """P35: while the crowd is there."""
    monkeypatch.setattr("relay.load.load.MEASURED_EACH_S", 0.0)
    under_way, heard = 505, asyncio.Queue[AbstractSet[int]]()
    load, large, small = Load(1.0, lambda: under_way, float), key_of(new_id()), key_of(new_id())
    assert all(load.enter(large) for _ in range(500))
    assert all(load.enter(small) for _ in range(5))
    assert load.enter(None)
    watching = asyncio.create_task(load.watch(heard.put_nowait))
    assert await heard.get() == {small.organisation_id.int}
    under_way = 0
    while few := await heard.get():
        assert few == {small.organisation_id.int}
    watching.cancel()


def test_uncounted_requests_are_counted_later() -> None:
    load = Refusing()
    assert not load.enter(None)
    load.put_back(load.take_refused() + 2)
    assert load.take_refused() == 3


async def test_idle_process_is_not_woken_for_measuring(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.load.load.MEASURED_EACH_S", 0.0)
    under_way, measured = 0, asyncio.Event()
    load = Load(1.0, lambda: under_way, float)
    monkeypatch.setattr(LoadShedding, "measured", lambda *_: measured.set())
    watching = asyncio.create_task(load.watch(lambda few: None))
    for crowd in (0, load_shedding.UNDER_WAY_MIN + 1, 0):
        under_way = crowd
        load.enter(None)
        # What was begun before is over.
        for _ in range(10):
            await asyncio.sleep(0)
        measured.clear()
        for _ in range(10):
            await asyncio.sleep(0)
        assert measured.is_set() is bool(crowd)
    watching.cancel()
