"""The states of one attempt, on a script: whoever leaves, whatever fails and however it ends, it is
settled once, and its channel, its connection and its client hear of it (P1, P6, P7, P11)."""

import asyncio
from types import SimpleNamespace
from typing import Any, Final, cast
from uuid import UUID

import pytest

from billing.limits.charge_rule import ChargeRule
from relay.answers.abandoned import USAGE_AFTER_TEXT_S
from relay.attempts import attempt as module
from relay.attempts.attempt import Attempt
from relay.downstream.error_answers import INTERNAL, STOPPING
from relay.media_tasks.video_order import AcceptedVideo
from relay.metering.usage_meter import Bill
from relay.operations.unary import Exchange, Passing
from relay.upstream.failures import UpstreamFailed, upstream_failure
from tests.relay.calls import Calls

CUT, DRAIN = SimpleNamespace(kind="cut"), SimpleNamespace(kind="drain", seconds=9, cost_nano=None)
FAILURE: Final = upstream_failure("F10")
PLAIN: Final = Exchange(*cast(Any, (None,) * 3))
TASK: Final = PLAIN._replace(accepted=cast(Any, "task"))


class One:
    """An attempt in some state, and what it calls."""

    def __init__(
        self, *, sent: bool = True, rule: Any = CUT, complete: bool = False, exchange: Any = None,
        gone: bool = False, outcome: Any = None, reason: Any = None, committed: bool | None = None,
        stream: bool = True, shared: bool = False, crowded: bool = False,
    ) -> None:  # fmt: skip
        self.calls = calls = Calls()
        self.rule = rule
        self.deadline = SimpleNamespace(
            interrupt=calls.of("interrupt"), limit=calls.of("limit"), allow=calls.of("allow"),
            caught=lambda: reason, reason=reason,
        )  # fmt: skip
        self.downstream = SimpleNamespace(
            client_gone=gone, shared=shared, refuse=calls.waited("told"),
            begin=calls.waited("begin"), start_keep_alive=calls.of("keep alive"),
            sink=SimpleNamespace(write=calls.waited("write")),
        )  # fmt: skip
        self.context = SimpleNamespace(
            deadline=self.deadline, downstream=self.downstream, session=None, principal="who",
            parts=SimpleNamespace(
                config=SimpleNamespace(public_url="", keep_alive_s=15), states="states",
                ledger=SimpleNamespace(
                    marks=SimpleNamespace(watch=calls.of("watch"), unwatch=calls.of("unwatch"))
                ),
                turns=SimpleNamespace(begin=calls.waited("turn"), counting=crowded),
            ),
            invocation=SimpleNamespace(
                target=SimpleNamespace(array=False), codec=SimpleNamespace(ping=b"ping")
            ),
        )  # fmt: skip
        self.end = SimpleNamespace(
            outcome=outcome, abandon=self._abandon, unheard="unheard", bill_so_far=lambda: "bill",
            settle=self._settle, limit_drain=calls.of("limit drain"), upstream_request_id="",
        )  # fmt: skip
        one: Any = object.__new__(Attempt)
        self.attempt = one
        one._context, one._end, one._sent, one._failed = self.context, self.end, sent, False
        one._intended = None
        one._gathering = SimpleNamespace(size=1, whole=calls.of("gathered"))
        one._probe = SimpleNamespace(
            key=2,
            close=calls.of("closed"),
            failed=calls.of("blamed"),
            accepted=calls.of("accepted"),
        )
        one._usage_meter = SimpleNamespace(
            complete=complete, leave_unmarked=calls.of("unmarked"),
            prices=SimpleNamespace(read_tier_header=calls.of("head")),
        )  # fmt: skip
        one._admitted = SimpleNamespace(
            prepared=SimpleNamespace(exchange=exchange), facts=SimpleNamespace(stream=stream),
            timeouts=SimpleNamespace(total=30.0), first_content_s=3.0,
            hold=SimpleNamespace(attempt_id=UUID(int=1)), head=lambda *_: "head",
        )  # fmt: skip
        one._stream = None if committed is None else SimpleNamespace(
            committed=committed, relay=calls.waited("relayed on", "drained"),
            dismiss=calls.waited("dismissed"), stop=calls.waited("stopped", "stopped"),
            break_off=calls.waited("broken off", "broken off"),
        )  # fmt: skip

    def _abandon(self) -> Any:
        self.calls.append(("abandon",))
        return self.rule

    def _settle(self, error: Any, bill: Any) -> Any:
        self.calls.append(("settle", error, bill))
        self.end.outcome = SimpleNamespace(is_charged=bill == "bill")
        return self.end.outcome


LEFT: Final = ("interrupt", "left")
REVOKED: Final = ("interrupt", "revoked")
ABANDON: Final = ("abandon",)


@pytest.mark.parametrize(
    ("state", "calls"),
    [
        ({"sent": False}, [LEFT]),
        ({}, [ABANDON, LEFT]),
        ({"exchange": TASK}, []),
        ({"exchange": PLAIN}, [ABANDON, LEFT]),
        ({"rule": DRAIN}, [ABANDON, ("limit", "drain", 9)]),
        ({"rule": DRAIN, "complete": True}, [ABANDON, ("limit", "drain", 9)]),
        ({"complete": True}, [ABANDON, ("limit", "drain", USAGE_AFTER_TEXT_S)]),
    ],
)
def test_effects_of_a_leaving_client(state: dict[str, Any], calls: list[Any]) -> None:
    one = One(**state)
    one.attempt.leave()
    assert one.calls == calls


def test_drained_answer_may_cost_up_to_its_limit() -> None:
    rule = cast(ChargeRule, SimpleNamespace(kind="drain", seconds=9, cost_nano=0))
    one = One(rule=rule)
    one.attempt.leave()
    assert one.calls == [ABANDON, ("limit", "drain", 9), ("limit drain", 0)]


@pytest.mark.parametrize(
    ("state", "calls"),
    [
        ({}, [ABANDON, REVOKED]),
        ({"sent": False}, [ABANDON, REVOKED]),
        ({"complete": True}, [ABANDON, ("limit", "revoked", USAGE_AFTER_TEXT_S)]),
        ({"outcome": "over"}, []),
        ({"gone": True}, []),
        ({"exchange": TASK}, []),
        ({"exchange": TASK, "sent": False}, [ABANDON, REVOKED]),
    ],
)
def test_revoked_key_ends_its_attempt(state: dict[str, Any], calls: list[Any]) -> None:
    one = One(**state)
    one.attempt.revoke()
    assert one.calls == calls


STREAMED: Final[dict[str, Any]] = {"rule": DRAIN, "committed": True, "reason": "revoked"}


@pytest.mark.parametrize(
    ("state", "drains"),
    [
        ({}, True),
        ({"reason": "session_ended"}, True),
        ({"reason": "left"}, False),
        ({"rule": CUT}, False),
        ({"outcome": "over"}, False),
        ({"complete": True}, False),
        ({"shared": True}, False),
        ({"committed": False}, False),
        ({"committed": None}, False),
    ],
)
def test_stream_billed_anyway_is_drained(
    monkeypatch: pytest.MonkeyPatch, state: dict[str, Any], drains: bool
) -> None:
    monkeypatch.setattr(module, "answer_of_end", lambda reason, *_: f"end: {reason}")
    one = One(**STREAMED | state)
    found = one.attempt._stream_to_drain()
    reason = one.deadline.reason
    assert found == ((one.attempt._stream, f"end: {reason}") if drains else None)
    # Another cancellation may come first.
    one.deadline.caught = lambda: None
    assert one.attempt._stream_to_drain() is None


@pytest.mark.parametrize(
    ("state", "calls"),
    [
        # The process stops: nobody pays.
        ({}, [("settle", STOPPING, module._NOBODY_PAYS), ("told", STOPPING, False)]),
        ({"gone": True}, [("settle", STOPPING, module._NOBODY_PAYS)]),
        ({"committed": True}, [("stopped", STOPPING)]),
        (
            {"committed": False},
            [("settle", STOPPING, module._NOBODY_PAYS), ("told", STOPPING, False)],
        ),
        ({"outcome": "over"}, []),
        # The key or the session has ended: what was sent is charged.
        ({"reason": "revoked"}, [("settle", "end", "bill"), ("told", "end", True)]),
        ({"reason": "session_ended"}, [("settle", "end", "bill"), ("told", "end", True)]),
        (
            {"reason": "revoked", "sent": False},
            [("settle", "end", module._NOT_SENT), ("told", "end", False)],
        ),
        ({"reason": "revoked", "outcome": "over"}, [("settle", "unheard", "bill")]),
        # The client has left.
        ({"reason": "left"}, [("settle", "unheard", "bill")]),
        ({"reason": "left", "sent": False}, [("settle", "unheard", module._NOT_SENT)]),
        # A limit of time is a failure.
        ({"reason": "idle", "committed": True}, [("broken off", FAILURE)]),
        ({"reason": "idle", "outcome": "over"}, []),
        ({"reason": "idle", "outcome": "over", "committed": False}, []),
    ],
)  # fmt: skip
async def test_causes_that_end_a_cancelled_attempt(
    monkeypatch: pytest.MonkeyPatch, state: dict[str, Any], calls: list[Any]
) -> None:
    monkeypatch.setattr(module, "answer_of_end", lambda *_: "end")
    monkeypatch.setattr(
        module, "failure_of_limit", lambda reason, *_: FAILURE if reason == "idle" else None
    )
    one = One(**state)
    await one.attempt._end_cancelled()
    assert one.calls == calls


@pytest.mark.parametrize("committed", [None, False])
async def test_failure_before_content_starts_the_next_attempt(committed: bool | None) -> None:
    one = One(committed=committed)
    with pytest.raises(UpstreamFailed):
        await one.attempt._fail(FAILURE)
    assert (one.calls, one.attempt._failed) == ([("blamed", FAILURE)], True)


def test_unsent_request_costs_nothing() -> None:
    assert Bill({}, 0, "none", (), None) == module._NOT_SENT
    assert Bill({}, 0, "absorbed", (), None) == module._NOBODY_PAYS


@pytest.mark.parametrize(
    ("outcome", "failed", "settled"),
    [(None, False, True), ("over", False, False), (None, True, False)],
)
@pytest.mark.parametrize("stream", [True, False])
def test_internal_error_leaves_no_hold_open(
    outcome: Any, failed: bool, settled: bool, stream: bool
) -> None:
    one = One(outcome=outcome, stream=stream)
    one.attempt._failed = failed
    one.attempt._close()
    internal = [("settle", INTERNAL, module._NOBODY_PAYS)] if settled else []
    unwatched = [("unwatch", one.attempt._usage_meter)] if stream else []
    assert one.calls == [("closed",), ("gathered",), *internal, *unwatched]


# From the beginning to the end --------------------------------------------------------------------


class Whole(One):
    """An attempt that is executed: `answer` is what its provider sends, and `relayed` what becomes
    of it; an exception is raised."""

    def __init__(self, relayed: Any = "answered", *, sending: Any = None, **state: Any) -> None:
        super().__init__(outcome="over", **state)
        self.answer = SimpleNamespace(headers="headers", cut=self.calls.of("cut"))
        self._relayed, self._sending = relayed, sending

    async def execute(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        async def send(_: Any, *, fresh: bool) -> Any:
            self.calls.append(("sent", fresh))
            if self._sending is not None:
                raise self._sending
            return self.answer

        async def relay(_: Any, answer: Any) -> Any:
            self.calls.append(("relay",))
            if isinstance(self._relayed, BaseException):
                raise self._relayed
            return self._relayed

        async def intend(one: Any, exchange: Any) -> None:
            self.calls.append(("intend", exchange))
            one._intended = "video"

        monkeypatch.setattr(Attempt, "_send", send)
        monkeypatch.setattr(Attempt, "_relay", relay)
        monkeypatch.setattr(Attempt, "_intend", intend)
        monkeypatch.setattr(
            Attempt, "_withdraw", lambda _, video: self.calls.append(("withdraw", video))
        )
        monkeypatch.setattr(module, "request_id_of", lambda _: "id")
        monkeypatch.setattr(module, "_give_back", lambda _: self.calls.append(("given back",)))
        return await self.attempt.execute(fresh=True)


BEGUN: Final = [("limit", "total", 30.0), ("allow", "first_content", 3.0)]
HEARD: Final = [("sent", True), ("head", "headers"), ("accepted",), ("turn", "who"), ("relay",)]
CLOSED: Final = [("closed",), ("gathered",)]


async def test_answer_is_relayed_and_its_connection_returned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = Whole(stream=False)
    assert await one.execute(monkeypatch) == "answered"
    assert one.calls == [*BEGUN, *HEARD, *CLOSED, ("given back",)]
    assert one.end.upstream_request_id == "id"
    one = Whole(stream=True)
    await one.execute(monkeypatch)
    assert one.calls[2] == ("keep alive", one.attempt._ping, 15)


async def test_a_crowded_process_sends_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """P35: a batch admits many at once. Its time runs from its own turn on."""
    one = Whole(stream=False, crowded=True)
    assert await one.execute(monkeypatch) == "answered"
    assert one.calls == [("turn", "who"), *BEGUN, *HEARD, *CLOSED, ("given back",)]


async def test_unaccepted_order_is_withdrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Whole(stream=False, exchange=PLAIN)
    await one.execute(monkeypatch)
    assert one.calls == [*BEGUN, ("intend", PLAIN), *HEARD, *CLOSED, ("given back",)]
    one = Whole(stream=False, exchange=PLAIN, sending=FAILURE)
    one.end.outcome = None
    with pytest.raises(UpstreamFailed):
        await one.execute(monkeypatch)
    assert one.calls == [
        *BEGUN, ("intend", PLAIN), ("sent", True), ("blamed", FAILURE), *CLOSED,
        ("withdraw", "video"),
    ]  # fmt: skip


async def test_failed_connection_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Whole(FAILURE, stream=False)
    assert await one.execute(monkeypatch) == "over"
    assert one.calls == [*BEGUN, *HEARD, *CLOSED, ("cut",)]
    one = Whole(asyncio.CancelledError(), stream=False, reason=None)
    assert await one.execute(monkeypatch) == "over"
    assert one.calls == [*BEGUN, *HEARD, *CLOSED, ("cut",)]


async def test_stream_of_a_revoked_key_is_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "answer_of_end", lambda *_: "end")
    one = Whole(asyncio.CancelledError(), **STREAMED)
    one.end.outcome = None
    assert await one.execute(monkeypatch) == "drained"
    assert one.calls[8:13] == [
        ABANDON, ABANDON, ("limit", "drain", 9), ("dismissed", "end"), ("relayed on", one.answer)
    ]  # fmt: skip
    assert one.calls[-1] == ("given back",)


# Parts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gone", "array", "pinged"), [(False, False, True), (True, False, False), (False, True, False)]
)
async def test_waiting_client_gets_keep_alives(gone: bool, array: bool, pinged: bool) -> None:
    one = One(gone=gone)
    one.context.invocation.target.array = array
    await one.attempt._ping()
    assert one.calls == ([("begin", "head"), ("write", b"ping", False)] if pinged else [])


async def test_recoverable_video_is_stored_before_it_is_ordered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for external in (True, False):
        one = One()
        monkeypatch.setattr(module, "intend_video", one.calls.waited("stored"))
        video = tuple.__new__(AcceptedVideo, ())
        monkeypatch.setattr(
            AcceptedVideo, "form", SimpleNamespace(external=external), raising=False
        )
        await one.attempt._intend(PLAIN._replace(accepted=cast(Any, video)))
        assert [call[0] for call in one.calls] == (["stored"] if external else [])
        assert (one.attempt._intended is video) is external
    one = One()
    await one.attempt._intend(cast(Any, SimpleNamespace(accepted="other")))
    await one.attempt._intend(TASK)
    assert (one.calls, one.attempt._intended) == ([], None)


class Relaying:
    """In the place of what relays an answer of one kind."""

    def __init__(self, name: str, calls: Calls) -> None:
        self._name, self._calls = name, calls

    def __call__(self, *_: Any) -> Any:
        return SimpleNamespace(name=self._name, relay=self._calls.of(self._name))


@pytest.mark.parametrize(
    ("exchange", "stream", "absorbed", "calls"),
    [
        ("passing", True, False, ["media"]),
        (None, False, False, ["whole"]),
        (None, True, False, ["watch", "stream"]),
        (None, True, True, ["unmarked", "watch", "stream"]),
    ],
)
def test_each_kind_of_answer_has_its_own_relay(
    monkeypatch: pytest.MonkeyPatch, exchange: Any, stream: bool, absorbed: bool, calls: list[str]
) -> None:
    of = tuple.__new__(Passing, ()) if exchange else None
    one = One(exchange=of, stream=stream)
    for name, kind in (("MediaRelay", "media"), ("WholeRelay", "whole"), ("StreamRelay", "stream")):
        monkeypatch.setattr(module, name, Relaying(kind, one.calls))
    monkeypatch.setattr(module, "AttemptParts", lambda **_: "parts")
    monkeypatch.setattr(module, "state_of", lambda *_: "state")
    monkeypatch.setattr(module, "may_be_absorbed", lambda *_: absorbed)
    one.attempt._relay(cast(Any, "answer"))
    assert [call[0] for call in one.calls] == calls
    assert getattr(one.attempt._stream, "name", None) == (None if calls == ["whole"] else calls[-1])


def test_sent_request_counts_as_sent() -> None:
    one = One(sent=False)
    one.attempt._dispatched()
    assert one.attempt._sent is True


@pytest.mark.parametrize(
    ("silent", "calls"), [(False, ["read", "release"]), (True, ["read", "cut"])]
)
async def test_the_rest_of_an_answer_is_read_for_a_while(
    monkeypatch: pytest.MonkeyPatch, silent: bool, calls: list[str]
) -> None:
    called = Calls()

    async def read(_: Any) -> None:
        called.append(("read",))
        if silent:
            await asyncio.Event().wait()

    monkeypatch.setattr(module, "read_rest", read)
    monkeypatch.setattr(module, "REST_S", 0.01)
    answer = SimpleNamespace(cut=called.of("cut"), release=called.of("release"), at_end=True)
    await module._read_rest(cast(Any, answer))
    assert [call[0] for call in called] == calls
    called.clear()
    module._give_back(cast(Any, answer))
    assert called == [("release",)]


async def test_running_withdrawal_is_not_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the task is referred to, it is not collected; and no longer."""
    one, ended = One(), asyncio.Event()
    withdrawn = list[tuple[Any, ...]]()

    async def withdraw(*of: Any) -> None:
        withdrawn.append(of)
        await ended.wait()

    monkeypatch.setattr(module, "withdraw", withdraw)
    before = set(module._rests)
    one.attempt._withdraw(cast(Any, SimpleNamespace(own_id="own")))
    (task,) = module._rests - before
    ended.set()
    await task
    await asyncio.sleep(0)
    assert module._rests == before
    assert withdrawn == [("states", UUID(int=1), "own")]


@pytest.mark.parametrize("ppm", [None, 7])
def test_a_new_attempt_has_sent_nothing_and_failed_at_nothing(
    monkeypatch: pytest.MonkeyPatch, ppm: int | None
) -> None:
    others = list[Any]()
    monkeypatch.setattr(module, "UsageMeter", lambda _, prices, accepted: others.append(prices))
    monkeypatch.setattr(module, "AttemptEnd", lambda *_: None)
    price = None if ppm is None else SimpleNamespace(version=SimpleNamespace(multiplier_ppm=ppm))
    channel = SimpleNamespace(provider=SimpleNamespace(name="p"))
    context = SimpleNamespace(
        snapshot=SimpleNamespace(price_on=lambda *of: of, cost_of=lambda *of: of, accepted={}),
        parts=SimpleNamespace(
            upstreams=SimpleNamespace(post="http"),
            large=SimpleNamespace(gathering=lambda: "gathering"),
        ),
    )
    admitted = SimpleNamespace(
        hold=SimpleNamespace(price=price), channel=channel, upstream_model="up"
    )
    for post, used in ((None, "http"), ("socket", "socket")):
        one: Any = Attempt(*cast(Any, (context, admitted, "probe", post)))
        assert (one._post, one._sent, one._failed, one._stream) == (used, False, False, None)
    prices = others[0]
    assert prices.charge("x") == ("x", channel, "up", 10**6 if ppm is None else ppm)
    assert prices.cost("x") == ("x", channel, "up")
