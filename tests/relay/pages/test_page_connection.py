"""Realtime connections of pages: what they are opened with, and what a refused one says."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from accounts.key_uses.last_uses import PLAYGROUND
from dialects.errors.errors import RequestFault
from lib.ids import new_id, parse_id
from relay.errors import DatabaseAway
from relay.pages import page_connection
from relay.pages.page_connection import PageConnection, attach_connection, read_connection_bound
from relay.requests.sessions import session_of_connection

KEY = new_id()
LABELS: Any = {"team": "core"}


class Life:
    """The parts of a relay that a connection needs. `principal` is an error if the key is not
    accepted."""

    parts = "parts"
    available_nano = "available"

    def __init__(self, principal: Any = None, *, room: bool = True) -> None:
        self.asked: list[Any] = []
        self.inside = 0
        self._principal, self._room = principal or who(), room
        self.refresher = SimpleNamespace(snapshot=SimpleNamespace(now=lambda: 5.0))
        self.authenticator = SimpleNamespace(principal_of_key=self.principal_of_key)
        self.open_requests = SimpleNamespace(enter=self.enter, leave=self.leave)
        self.load = SimpleNamespace(
            enter=self.enter_load, leave=self.leave, come_again_ms=lambda: 2_500
        )

    async def principal_of_key(self, *asked: Any) -> Any:
        self.asked.append(asked)
        if isinstance(self._principal, Exception):
            raise self._principal
        return self._principal

    def enter(self) -> None:
        self.inside += 1

    def enter_load(self, principal: Any) -> bool:
        assert principal is self._principal
        self.inside += self._room
        return self._room

    def leave(self, principal: Any = None) -> None:
        self.inside -= 1


def who(**over: Any) -> Any:
    known = {
        "key_id": KEY, "digest": b"d", "endpoints": frozenset(), "guard_rules": (),
        "may_call": lambda operation: operation == "realtime",
    }  # fmt: skip
    return SimpleNamespace(**known | over)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The contexts of the connections that were run, and what the last use of the key is."""
    contexts: list[Any] = []

    async def run(life: Any, context: Any, sink: Any, scope: Any) -> None:
        assert life.inside == 2
        contexts.append((context, sink))

    def context_of_task(*values: Any, **named: Any) -> Any:
        names = ("parts", "snapshot", "principal", "sink", "invocation")
        return SimpleNamespace(**dict(zip(names, values, strict=True)), **named)

    def note(*values: Any) -> None:
        contexts.append(values)

    monkeypatch.setattr(page_connection, "run_connection", run)
    monkeypatch.setattr(page_connection, "context_of_task", context_of_task)
    monkeypatch.setattr(page_connection, "first_bound", lambda snapshot, model: f"bound of {model}")
    monkeypatch.setattr(page_connection, "LAST_USES", SimpleNamespace(note=note))
    return contexts


async def attached(life: Life) -> list[dict[str, Any]]:
    """What is sent to the page."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any: ...

    connection = PageConnection(KEY, 7, "m", LABELS, cast(Any, "listener"))
    await attach_connection(cast(Any, life), connection, {"headers": []}, receive, send)
    assert life.inside == 0
    return sent


async def test_connection_is_run_for_the_person_with_the_key(ran: list[Any]) -> None:
    life = Life(who(endpoints=frozenset({"realtime"})))
    assert await attached(life) == []
    assert life.asked == [(KEY, 5.0, 7)]
    use, (context, sink) = ran
    assert use == (KEY, b"d", "", PLAYGROUND)
    assert (context.parts, context.principal) == ("parts", life._principal)
    assert context.snapshot is life.refresher.snapshot
    assert (context.source, context.sink, context.request_id) == (
        "playground", sink, sink.request_id,
    )  # fmt: skip
    assert (sink.listener, sink.write_error.__name__) == ("listener", "error_event")
    assert context.options.labels == LABELS
    assert context.options.client_app == PLAYGROUND
    assert context.options.session == session_of_connection(sink.request_id)
    assert (context.invocation.operation, context.invocation.target.model) == ("realtime", "m")
    assert context.invocation.unary._unit == "bound of m"


@pytest.mark.parametrize(
    ("life", "words", "code"),
    [
        (Life(RequestFault("authentication", None, "no key")), "authentication", 1008),
        (Life(DatabaseAway("away")), "overloaded", 1013),
        (Life(room=False), "overloaded", 1013),
        (
            Life(who(endpoints=frozenset({"x"}), may_call=lambda _: False)),
            "endpoint realtime",
            1008,
        ),
        (Life(who(guard_rules=("rule",))), "WebSockets of realtime", 1008),
    ],
    ids=["key", "database", "load", "endpoint", "guards"],
)
async def test_refused_connection_says_why_inside_it(
    ran: list[Any], life: Life, words: str, code: int
) -> None:
    """A browser shows a page nothing of a handshake that is refused."""
    accepted, error, closed = await attached(life)
    assert ran == []
    assert accepted["type"] == "websocket.accept"
    (id,) = [value for name, value in accepted["headers"] if name == b"x-request-id"]
    assert parse_id(id.decode()) is not None
    assert words in error["text"]
    assert (closed["type"], closed["code"]) == ("websocket.close", code)


async def test_bound_of_a_connection_is_that_of_its_first_response(
    ran: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read_bound(context: Any, raw: bytes, available: Any) -> Any:
        return context, raw, available

    monkeypatch.setattr(page_connection, "read_bound", read_bound)
    life, principal = Life(), who()
    context, raw, available = cast(
        Any, await read_connection_bound(cast(Any, life), principal, "m")
    )
    assert (raw, available, context.principal) == (b"{}", "available", principal)
    assert (context.source, context.invocation.unary._unit) == ("playground", "bound of m")
