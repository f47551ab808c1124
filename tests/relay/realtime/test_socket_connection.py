"""A connection whose events are passed on: each way in which it ends, and what its client, its
channel and the books hear of that, without a provider."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.channels.timeouts import Timeouts
from relay.downstream.error_answers import OVERLOADED
from relay.realtime import socket_connection as module
from relay.realtime.connection_holds import RealtimeOver
from relay.realtime.connection_life import CONNECTION_IDLE_S, CONNECTION_S
from relay.realtime.sink import ClientLeft
from relay.realtime.socket_connection import SocketConnection, over_by_failure
from relay.upstream.failures import upstream_failure
from relay.upstream.websocket import SocketLost

WAITS = object()


class Connection(SocketConnection):
    """A connection. Its client sends `sends`, its upstream `says`, each an event or an error, and
    `WAITS` for nothing more."""

    _is_generating = False
    _ends_in_order = False

    def __init__(
        self, *, sends: Any = (WAITS,), says: Any = (WAITS,), begins: Any = None,
        reason: Any = None, is_open: bool = True,
    ) -> None:  # fmt: skip
        self.happened: list[Any] = []
        self.sends, self.says, self.begins = [*sends], [*says], begins
        happened = self.happened.append
        deadline = SimpleNamespace(
            caught=lambda: reason, stop=lambda: happened("limits stop"),
            allow=lambda *values: happened(values),
        )  # fmt: skip
        config = SimpleNamespace(write_stall_s=60.0, public_url="")
        self._context = cast(Any, SimpleNamespace(
            deadline=deadline, parts=SimpleNamespace(config=config), session=None,
            downstream=SimpleNamespace(client_gone=False),
        ))  # fmt: skip
        self._admitted = cast(
            Any, SimpleNamespace(timeouts=Timeouts(idle=5.0), first_content_s=9.0)
        )
        self._probe = cast(Any, SimpleNamespace(failed=lambda one: happened(("bad", one.fault))))
        self._socket = cast(Any, SimpleNamespace(
            receive=lambda: self.next_of(self.says), is_open=is_open, send=self.sent_on,
            close=lambda: happened("socket closed"),
        ))  # fmt: skip
        self._sink = cast(Any, SimpleNamespace(
            receive=lambda: self.next_of(self.sends), send_text=self.said, refuse=self.refused,
            send_error=self.refused, close=self.closed,
        ))  # fmt: skip
        self._stopping = asyncio.Event()

    async def next_of(self, events: list[Any]) -> Any:
        event = events.pop(0)
        if event is WAITS:
            await asyncio.Event().wait()
        if isinstance(event, BaseException):
            raise event
        return event

    async def sent_on(self, raw: bytes) -> None:
        self.happened.append(("sent", raw))

    async def said(self, text: str) -> None:
        self.happened.append(("said", text))

    async def refused(self, error: Any) -> None:
        self.happened.append(("refused", error.kind, error.code))

    async def closed(self, code: int) -> None:
        self.happened.append(("closed", code))

    async def _begin_connection(self) -> None:
        if self.begins is not None:
            raise self.begins

    async def _forward(self, raw: bytes) -> None:
        await self._send(raw)

    async def _read(self, raw: bytes) -> str:
        if raw == b"odd":
            raise ValueError("odd")
        return raw.decode()

    async def _finish_work(self) -> None:
        self.happened.append("work finished")

    def _release(self, over: RealtimeOver, error: Any, fault: str) -> None:
        self.happened.append(("released", None if error is None else error.kind, fault))

    async def _wind_down(self) -> None:
        self.happened.append("wound down")

    def _settle(self, over: RealtimeOver, fault: str) -> Any:
        self.happened.append(("settled", fault))
        return "outcome"

    async def ends(self) -> list[Any]:
        """What happens at its end."""
        assert await self.run() == cast(Any, "outcome")
        assert self._context.downstream.client_gone
        return [one for one in self.happened if one[0] not in ("idle", "said", "sent")]


IN_ORDER = ["limits stop", ("released", None, ""), ("closed", 1000)]
SETTLED = ["wound down", ("settled", ""), "socket closed"]


def failed(fault: str) -> list[Any]:
    kind = upstream_failure(fault).kind
    return [
        "limits stop", ("bad", fault), ("released", kind, fault), ("refused", kind, None),
        "wound down", ("settled", fault), "socket closed",
    ]  # fmt: skip


async def test_events_go_both_ways() -> None:
    one = Connection(sends=["a", None, "b", WAITS], says=[b"c", b"d", SocketLost(1006)])
    await one.ends()
    assert [event for event in one.happened if event[0] in ("sent", "said")] == [
        ("sent", b"a"), ("sent", b"b"), ("said", "c"), ("said", "d"),
    ]  # fmt: skip
    assert ("refused", "invalid_type", None) in [(*event[:2], None) for event in one.happened]
    assert one.happened[0] == ("idle", CONNECTION_IDLE_S)


async def test_client_that_leaves_ends_it_in_order() -> None:
    assert await Connection(sends=[ClientLeft()]).ends() == [*IN_ORDER, *SETTLED]
    assert await Connection(begins=ClientLeft()).ends() == [*IN_ORDER, *SETTLED]
    closed = Connection(sends=[ClientLeft()], is_open=False)
    assert await closed.ends() == [*IN_ORDER, ("settled", ""), "socket closed"]


@pytest.mark.parametrize(
    ("says", "fault"),
    [
        (SocketLost(1006), "F14"), (SocketLost(1009), "F17"), (SocketLost(1000), "F14"),
        (b"odd", "F15"), (b"\xff", "F16"), (upstream_failure("F18"), "F18"),
    ],
)  # fmt: skip
async def test_upstream_that_fails_is_named(says: Any, fault: str) -> None:
    assert await Connection(says=[says]).ends() == failed(fault)


async def test_upstream_may_close_what_is_at_its_end() -> None:
    one = Connection(says=[SocketLost(1000)])
    one._ends_in_order = True
    assert await one.ends() == [*IN_ORDER, *SETTLED]
    lost = Connection(begins=SocketLost(1006))
    assert await lost.ends() == failed("F14")


async def test_reason_of_the_connection_itself_is_sent() -> None:
    for one in (
        Connection(begins=RealtimeOver(OVERLOADED)),
        Connection(sends=[RealtimeOver(OVERLOADED)]),
    ):
        assert await one.ends() == [
            "limits stop", ("released", None, ""), ("refused", "overloaded", None), *SETTLED,
        ]  # fmt: skip


async def test_stopping_process_lets_it_finish_its_work() -> None:
    one = Connection()
    one._stopping.set()
    assert await one.ends() == [
        "work finished", "limits stop", ("released", None, ""),
        ("refused", "server_shutting_down", None), *SETTLED,
    ]  # fmt: skip


async def test_defect_is_not_taken_for_an_end() -> None:
    one = Connection(sends=[KeyError("defect")])
    with pytest.raises(KeyError):
        await one.run()
    assert one.happened[-2:] == [("settled", ""), "socket closed"]


@pytest.mark.parametrize(
    ("reason", "generating", "kind", "code", "fault"),
    [
        (None, False, "server_shutting_down", None, None),
        ("revoked", False, "authentication", None, None),
        ("session_ended", False, "session_ended", None, None),
        ("total", False, "request_timeout", "session_expired", None),
        ("idle", False, "request_timeout", "session_expired", None),
        ("idle", True, upstream_failure("F13").kind, None, "F13"),
        ("first_content", True, upstream_failure("F11").kind, None, "F11"),
        ("drain", True, upstream_failure("F13").kind, None, "F13"),
    ],
)
async def test_limit_that_ends_it_is_named(
    reason: Any, generating: bool, kind: str, code: Any, fault: Any
) -> None:
    one = Connection(sends=[asyncio.CancelledError()], reason=reason)
    one._is_generating = generating
    over = one._by_deadline(reason)
    assert over.error is not None
    assert (over.error.kind, over.error.code) == (kind, code)
    assert (None if over.failure is None else over.failure.fault) == fault
    if reason in ("total", "idle") and not generating:
        minutes = (CONNECTION_S if reason == "total" else CONNECTION_IDLE_S) / 60
        assert f" {minutes:.0f} minutes" in over.error.message


def test_client_that_left_gets_nothing() -> None:
    assert Connection()._by_deadline("left").error is None
    failure = upstream_failure("F14")
    assert over_by_failure(failure).failure is failure


async def test_end_that_does_not_go_on_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: Any) -> None:
        await asyncio.Event().wait()

    one = Connection()
    one._context.parts.config.write_stall_s = 0.001  # type: ignore[misc]
    cast(Any, one._socket).send = hang
    with pytest.raises(type(upstream_failure("F13"))) as stalled:
        await one._send(b"a")
    assert cast(Any, stalled.value).fault == "F13"
    cast(Any, one._sink).send_text = hang
    with pytest.raises(RealtimeOver) as over:
        await one._say("a")
    assert over.value.error is None
    monkeypatch.setattr(module, "_CLOSE_S", 0.001)
    cast(Any, one._sink).close = hang
    await one._tell(RealtimeOver(None))
