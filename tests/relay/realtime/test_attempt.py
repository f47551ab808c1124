"""The attempt to open a connection: how each of its ends is settled, and what its channel and its
client hear of it, without a provider."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from gateway.channels.timeouts import Timeouts
from lib.ids import id_text
from relay.answers.attempt_end import AttemptEnd
from relay.downstream.error_answers import OVERLOADED
from relay.realtime import attempt
from relay.realtime.attempt import ConnectionAttempt, RealtimeAttempt
from relay.realtime.connection_holds import RealtimeOver
from relay.realtime.connection_life import CONNECTION_S
from relay.realtime.response import NOT_USED
from relay.upstream.failures import UpstreamFailed, upstream_failure

ATTEMPT = UUID(int=7)


class Attempt(ConnectionAttempt):
    """An attempt whose connection begins with this outcome, or this error."""

    def __init__(self, *, opens: Any = None, begins: Any = None, reason: str | None = None) -> None:
        self.happened: list[Any] = []
        self.opens, self.begins, self.reason = opens, begins, reason
        happened = self.happened.append
        self._sink = cast(Any, SimpleNamespace(refuse=self.refuse))
        self._stopping = asyncio.Event()
        deadline = SimpleNamespace(
            limit=lambda *values: happened(("limit", *values)),
            allow=lambda *values: happened(("allow", *values)),
            interrupt=lambda why: happened(("interrupt", why)), caught=lambda: self.reason,
        )  # fmt: skip
        self._context = cast(Any, SimpleNamespace(
            deadline=deadline, session=None, snapshot=SimpleNamespace(egress="egress"),
            parts=SimpleNamespace(
                upstreams=SimpleNamespace(change_over=self.change_over),
                config=SimpleNamespace(public_url=""),
            ),
        ))  # fmt: skip
        self._admitted = cast(Any, SimpleNamespace(
            channel="channel", first_content_s=9.0, timeouts=Timeouts(idle=5.0),
            prepared=SimpleNamespace(outgoing=lambda model: ("request", model)),
            hold=SimpleNamespace(attempt_id=ATTEMPT),
        ))  # fmt: skip
        self._probe = cast(Any, SimpleNamespace(
            key=3, accepted=lambda: happened("accepted"), close=lambda: happened("probe closed"),
            failed=lambda failure: happened(("bad", failure.fault)),
        ))  # fmt: skip
        self._end = cast(AttemptEnd, cast(Any, SimpleNamespace(outcome=None, settle=self.settle)))
        self._failed = False

    def settle(self, error: Any, bill: Any) -> Any:
        assert bill is NOT_USED
        self.happened.append(("settled", error.kind))
        cast(Any, self._end).outcome = "outcome"
        return "outcome"

    async def refuse(self, error: Any) -> None:
        self.happened.append(("refused", error.kind))

    async def change_over(self, *values: Any, key: int) -> Any:
        self.happened.append((*values, key))
        if isinstance(self.opens, BaseException):
            raise self.opens
        return SimpleNamespace(close=lambda: self.happened.append("socket closed"))

    async def _begin(self, socket: Any) -> Any:
        if isinstance(self.begins, BaseException):
            raise self.begins

        async def run() -> Any:
            cast(Any, self._end).outcome = "the connection's"
            return "the connection's"

        return SimpleNamespace(run=run)


OPENED = [
    ("limit", "total", CONNECTION_S), ("allow", "first_content", 9.0),
    ("channel", "egress", ("request", None), id_text(ATTEMPT), 3),
]  # fmt: skip
CLOSED = ["probe closed", "socket closed"]


async def test_connection_runs_once_its_socket_is_open() -> None:
    one = Attempt()
    assert await one.execute(fresh=True) == cast(Any, "the connection's")
    assert one.happened == [*OPENED, "accepted", *CLOSED]
    assert (one.key, one.channel, one.answer_text) == (3, cast(Any, "channel"), "")


async def test_channel_that_fails_leaves_it_to_another_and_settles_nothing() -> None:
    failure = upstream_failure("F14")
    for one, closed in (
        (Attempt(opens=failure), ["probe closed"]),
        (Attempt(begins=failure), CLOSED),
    ):
        with pytest.raises(UpstreamFailed):
            await one.execute(fresh=True)
        assert [end for end in one.happened if end not in OPENED and end != "accepted"] == [
            ("bad", "F14"),
            *closed,
        ]


@pytest.mark.parametrize(("error", "kind"), [(OVERLOADED, "overloaded"), (None, "client_closed")])
async def test_connection_that_may_not_begin_is_refused(error: Any, kind: str) -> None:
    one = Attempt(begins=RealtimeOver(error))
    assert await one.execute(fresh=True) == cast(Any, "outcome")
    assert one.happened[4:] == [("settled", kind), ("refused", kind), *CLOSED]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (None, "server_shutting_down"), ("left", "client_closed"), ("revoked", "authentication"),
        ("session_ended", "session_ended"),
    ],
)  # fmt: skip
async def test_cancelled_attempt_says_why(reason: str | None, kind: str) -> None:
    one = Attempt(opens=asyncio.CancelledError(), reason=reason)
    await one.execute(fresh=True)
    assert one.happened[3:] == [("settled", kind), ("refused", kind), "probe closed"]


@pytest.mark.parametrize(
    ("reason", "fault"), [("first_content", "F11"), ("idle", "F13"), ("total", "F13")]
)
async def test_time_limit_is_the_channels_fault(reason: str, fault: str) -> None:
    one = Attempt(opens=asyncio.CancelledError(), reason=reason)
    with pytest.raises(UpstreamFailed) as failed:
        await one.execute(fresh=True)
    assert failed.value.fault == fault
    assert one.happened[3:] == [("bad", fault), "probe closed"]


async def test_defect_is_settled_and_costs_nothing() -> None:
    one = Attempt(begins=TypeError("a defect"))
    with pytest.raises(TypeError):
        await one.execute(fresh=True)
    assert one.happened[4:] == [*CLOSED, ("settled", "internal")]


def test_client_and_key_end_it_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Attempt()
    one.leave()
    one.revoke()
    one.revoke("session_ended")
    assert one.happened == [("interrupt", why) for why in ("left", "revoked", "session_ended")]
    cast(Any, one)._end = SimpleNamespace(failed=lambda failure, *, final: (failure, final))
    assert one.failed(cast(Any, "failure"), final=True) == cast(Any, ("failure", True))
    one._prices = cast(Any, SimpleNamespace(cost="the provider's price"))
    monkeypatch.setattr(attempt, "cost_of", lambda meters, price: (meters, price))
    outcome: Any = SimpleNamespace(meters={"in_text": 1})
    assert one.cost_of(outcome) == cast(Any, ({"in_text": 1}, "the provider's price"))


async def test_only_a_connection_begins_a_connection() -> None:
    one = object.__new__(RealtimeAttempt)
    one._admitted = cast(Any, SimpleNamespace(facts=SimpleNamespace(units=())))
    with pytest.raises(TypeError, match="no connection"):
        await one._begin(cast(Any, None))
