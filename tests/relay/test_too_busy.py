"""P20: what a client is told that a busy process does not take, and that nothing else is done."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.rules import load_shedding
from gateway.rules.load_shedding import LoadShedding
from lib.asgi import Message
from relay.asgi import Relay
from relay.config import RelayConfig
from relay.load import Load


class Refusing(Load):
    """The load of a process that is too busy for anybody."""

    def __init__(self) -> None:
        super().__init__(1.0, int)
        self._shedding.limit = 0.0


def asked(load: Load, path: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """The status of the answer, its header fields and its body."""
    relay = Relay(RelayConfig(dsn="", kek="", pepper=""))
    relay._life = SimpleNamespace(  # type: ignore[assignment]
        snapshot=SimpleNamespace(epoch=1), load=load
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
def test_a_refusal_is_typed_and_says_when_to_come_again(
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
    monkeypatch.setattr("relay.load.MEASURED_EACH_S", 0.001)
    too_busy = asyncio.Event()
    monkeypatch.setattr(Load, "_tell", lambda load: too_busy.set())
    load = Load(1e-9, lambda: 2 * load_shedding.UNDER_WAY_MIN)
    assert load.takes()
    watching = asyncio.create_task(load.watch())
    await asyncio.wait_for(too_busy.wait(), 30)
    watching.cancel()
    assert not load.takes()
    assert load.take_refused() == 1


async def test_nothing_is_measured_where_nobody_is_refused() -> None:
    await Load(0.0, lambda: 10_000).watch()


def test_those_that_could_not_be_counted_are_counted_later() -> None:
    load = Refusing()
    assert not load.takes()
    load.put_back(load.take_refused() + 2)
    assert load.take_refused() == 3


async def test_a_process_that_rests_is_not_woken_to_be_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.load.MEASURED_EACH_S", 0.0)
    under_way, measured = 0, asyncio.Event()
    load = Load(1.0, lambda: under_way)
    monkeypatch.setattr(LoadShedding, "measured", lambda *_: measured.set())
    watching = asyncio.create_task(load.watch())
    for crowd in (0, load_shedding.UNDER_WAY_MIN, 0):
        under_way = crowd
        load.takes()
        # What was begun before is over.
        for _ in range(10):
            await asyncio.sleep(0)
        measured.clear()
        for _ in range(10):
            await asyncio.sleep(0)
        assert measured.is_set() is bool(crowd)
    watching.cancel()
