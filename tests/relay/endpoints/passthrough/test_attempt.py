"""The steps of one pass-through: what is billed, which times apply, what of an answer goes on, and
what is reported of it (I14, F21, F32)."""

import asyncio
from types import SimpleNamespace
from typing import Any, Final, cast
from uuid import UUID

import pytest

from billing.prices.pricing import PriceVersion
from gateway.providers import provider_named
from lib.ids import new_id
from relay.attempts.attempt import Attempt
from relay.downstream.downstream import ErrorAnswer
from relay.endpoints.passthrough import attempt as passing
from relay.endpoints.passthrough.answer_value import MISSING, Value
from relay.endpoints.passthrough.attempt import PassedRelay, PassThroughAttempt, PathMeter
from relay.metering.usage_meter import Bill
from relay.upstream.failures import UpstreamFailed, upstream_failure
from tests.relay.calls import Calls

VERSION: Final = PriceVersion.from_stored({"meters": {"requests": 10**9, "answer_micros": 10**6}})
HOLD_NANO: Final = 5_000_000
SECRET: Final = "sk-provider-0123"
TIMES: Final = SimpleNamespace(total=30.0, idle=7.0)


# What is billed -----------------------------------------------------------------------------------


def meter(pointer: str = "/n", *, price: PriceVersion | None = VERSION) -> PathMeter:
    of = None if price is None else SimpleNamespace(version=price)
    hold = SimpleNamespace(
        attempt_id=UUID(int=1), price=of, cost=None, size=SimpleNamespace(hold_nano=HOLD_NANO)
    )
    admitted = SimpleNamespace(hold=hold, cut_above=None)
    return PathMeter(cast(Any, admitted), cast(Any, SimpleNamespace(pointer=pointer)))


def test_a_bill_is_of_the_request_and_of_the_value() -> None:
    counted = meter()
    assert counted.bill_stream("measured") == Bill(
        {"requests": 1}, 0, "held", ("usage_missing", "quarantine"), None
    )
    counted.value = Value(3_000_000, "3")
    assert counted.bill_stream("drained") == Bill(
        {"requests": 1, "answer_micros": 3_000_000}, 1_000 + 3_000_000, "drained", (), '{"/n":"3"}'
    )
    counted.value = Value(9_000_000, "9")
    assert counted.bill_stream("measured").charge_nano == HOLD_NANO
    counted.value = Value()
    assert counted.bill_stream("measured") == Bill({"requests": 1}, 1_000, "measured", (), None)
    assert meter("").bill_stream("measured").charge_nano == 1_000
    assert counted.unknown_nano() == 1_000


def test_unpriced_pass_through_is_free_or_under_review() -> None:
    assert meter("", price=None).bill_stream("measured").charge_nano == 0
    assert meter("", price=None).unknown_nano() == 0
    unpriced = meter("", price=PriceVersion({"answer_micros": 1}))
    flags = ("unpriced_meter", "quarantine")
    assert unpriced.bill_stream("measured") == Bill({"requests": 1}, 0, "held", flags, None)
    assert unpriced.unknown_nano() == 0


def test_rejected_request_is_not_charged() -> None:
    assert Bill({}, 0, "none", (), None) == passing._NOT_CHARGED


# What is sent, and for how long it is waited ------------------------------------------------------


def attempt_of(calls: Calls, body: Any = None, *, status: int = 200, overrides: Any = None) -> Any:
    """An attempt whose provider answers with this status."""

    async def next_bytes() -> bytes:
        return b""

    answer = SimpleNamespace(status=status, cut=calls.of("cut"), headers={}, next_bytes=next_bytes)
    passed = SimpleNamespace(
        answer=answer, secrets=["sk-1"], drop_credentials=calls.of("credentials dropped")
    )
    deadline = SimpleNamespace(
        limit=calls.of("limit"), allow=calls.of("allow"), caught=lambda: "left"
    )
    upstreams = SimpleNamespace(pass_through=calls.waited("sent", passed))
    channel = SimpleNamespace(overrides=overrides, provider=provider_named("openai"))
    one: Any = object.__new__(PassThroughAttempt)
    one._context = SimpleNamespace(
        deadline=deadline, parts=SimpleNamespace(upstreams=upstreams),
        snapshot=SimpleNamespace(egress=None),
    )  # fmt: skip
    one._admitted = SimpleNamespace(
        timeouts=TIMES, first_content_s=3.0, channel=channel,
        facts=SimpleNamespace(model="m"), hold=SimpleNamespace(attempt_id=new_id()),
    )  # fmt: skip
    one._asked = SimpleNamespace(method="PUT", url="https://a/b", headers={"x-own": "1"})
    one._body, one._probe, one._sent = body, SimpleNamespace(key=4, close=calls.of("close")), False
    return one


def incoming(calls: Calls, fault: Any = None) -> Any:
    return SimpleNamespace(pieces=calls.of("pieces", "its pieces"), framing=b"frame", fault=fault)


def test_first_content_timeout_runs_from_the_end_of_sending() -> None:
    calls = Calls()
    attempt_of(calls)._allow_times()
    assert calls == [("limit", "total", 30.0), ("allow", "first_content", 3.0)]
    calls.clear()
    one = attempt_of(calls, incoming(calls))
    one._allow_times()
    assert calls == [("limit", "total", 30.0)]
    for offered in (True, False):
        one._limit_piece(offered)
    assert not one._sent
    one._body_sent()
    assert calls[1:] == [("allow", "idle", 7.0), ("allow", "total", 30.0),
                         ("allow", "first_content", 3.0)]  # fmt: skip
    assert one._sent


@pytest.mark.parametrize("fresh", [False, True])
async def test_single_read_body_gets_its_own_connection(fresh: bool) -> None:
    """F32: it cannot be sent again."""
    calls = Calls()
    one = attempt_of(calls)
    assert (await one._send(fresh=fresh)).status == 200
    ((_, channel, egress, request, _, key, is_fresh),) = calls
    assert (channel, egress, key, is_fresh) == (one._admitted.channel, None, 4, fresh)
    assert (request.method, request.url, request.headers) == (
        "PUT", "https://a/b", {"x-own": "1"}
    )  # fmt: skip
    assert (request.pieces, request.framing, one._sent) == (None, b"", True)
    assert one._secrets == ("sk-1",)
    calls.clear()
    one = attempt_of(calls, incoming(calls))
    await one._send(fresh=fresh)
    (_, (*_, request, _, _, is_fresh)) = calls
    assert (request.pieces, request.framing, is_fresh) == ("its pieces", b"frame", True)
    assert one._sent, "its provider may answer before it has the whole body"


async def test_bodyless_request_counts_as_sent_before_its_answer() -> None:
    calls = Calls()
    for body, sent in ((None, True), (incoming(calls), False)):
        one = attempt_of(calls, body)

        async def fail(*_: object, **__: object) -> None:
            raise upstream_failure("F11")

        one._context.parts.upstreams.pass_through = fail
        with pytest.raises(UpstreamFailed):
            await one._send(fresh=False)
        assert one._sent is sent


async def test_override_headers_of_the_channel_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing, "overridden_headers", lambda *_: {"x-more": "2"})
    calls = Calls()
    await attempt_of(calls, overrides="some")._send(fresh=False)
    assert calls[0][3].headers == {"x-own": "1", "x-more": "2"}


@pytest.mark.parametrize("status", [401, 402, 403, 407, 408, 429, 500, 501, 599])
async def test_status_about_the_channel_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    async def read(*_: object) -> UpstreamFailed:
        return upstream_failure("F10")

    monkeypatch.setattr(passing, "read_failure", read)
    monkeypatch.setattr(passing, "codec_of", lambda _: None)
    calls = Calls()
    with pytest.raises(UpstreamFailed):
        await attempt_of(calls, status=status)._send(fresh=False)
    assert calls[1:] == [("cut",)]


@pytest.mark.parametrize(
    ("status", "expired", "dropped"),
    [(401, False, True), (403, True, True), (403, False, False), (500, False, False)],
)
async def test_rejected_credentials_are_not_used_again(
    monkeypatch: pytest.MonkeyPatch, status: int, expired: bool, dropped: bool
) -> None:
    """A 403 is mostly about the path, which the client chose."""

    async def read(*_: object) -> UpstreamFailed:
        failure = upstream_failure("F10")
        failure.upstream_status, failure.expired = status, expired
        return failure

    monkeypatch.setattr(passing, "read_failure", read)
    monkeypatch.setattr(passing, "codec_of", lambda _: None)
    calls = Calls()
    with pytest.raises(UpstreamFailed):
        await attempt_of(calls, status=status)._send(fresh=False)
    assert (("credentials dropped",) in calls) is dropped


@pytest.mark.parametrize("status", [200, 303, 400, 404, 409, 499])
async def test_status_about_the_request_is_its_answer(status: int) -> None:
    calls = Calls()
    assert (await attempt_of(calls, status=status)._send(fresh=False)).status == status
    assert ("cut",) not in calls


@pytest.mark.parametrize(
    ("fault", "ended", "told"),
    [(None, "left", False), ("fault", None, False), ("fault", "left", True)],
)
async def test_body_fault_that_ends_the_request_is_reported(
    monkeypatch: pytest.MonkeyPatch, fault: str | None, ended: str | None, told: bool
) -> None:
    calls = Calls()
    monkeypatch.setattr(passing, "answer_to", lambda one: f"answer to {one}")
    monkeypatch.setattr(Attempt, "_end_cancelled", calls.waited("ended otherwise"))
    monkeypatch.setattr(Attempt, "_stop", calls.waited("stopped"))
    for body in (incoming(calls, fault), None):
        calls.clear()
        one = attempt_of(calls, body)
        one._context.deadline.caught = lambda: ended
        await one._end_cancelled()
        stopped = ("stopped", "answer to fault", passing._NOT_CHARGED)
        expected = stopped if told and body else ("ended otherwise",)
        assert [call[0] for call in calls] == [expected[0]]
        assert not told or body is None or calls[0][-2:] == stopped[1:]


@pytest.mark.parametrize(
    ("fault", "blamed"), [("F1", True), ("F4", True), ("F5", False), ("F11", False)]
)
async def test_only_an_unreachable_channel_is_blamed(
    monkeypatch: pytest.MonkeyPatch, fault: str, blamed: bool
) -> None:
    """Clients choose the paths: no answer to one says anything of the channel's health."""
    calls = Calls()
    monkeypatch.setattr(Attempt, "_fail", calls.waited("failed"))
    await attempt_of(calls)._fail(upstream_failure(fault))
    assert [call[0] for call in calls] == (["failed"] if blamed else ["close", "failed"])


# What of an answer goes on ------------------------------------------------------------------------


class Relayed:
    """A relay of one answer, and what it does."""

    def __init__(
        self, status: int = 200, pieces: tuple[bytes, ...] = (), *, method: str = "GET",
        most: int | None = None, gone: bool = False, **headers: str,
    ) -> None:  # fmt: skip
        self.calls = calls = Calls()
        self.downstream = SimpleNamespace(client_gone=gone, begun=False, cut=calls.waited("cut"))
        self.context = SimpleNamespace(
            deadline=SimpleNamespace(allow=calls.of("allow")),
            downstream=self.downstream, await_client=calls.of("await"), elapsed_ms=lambda: 12,
            invocation=SimpleNamespace(codec=SimpleNamespace(name="openai")),
        )  # fmt: skip
        hold = SimpleNamespace(size=SimpleNamespace(hold_nano=10**9), headroom={})
        self.end = SimpleNamespace(
            settle=calls.of("settle", "outcome"), bill_so_far=lambda: "bill", unheard=None,
            ttft_ms=None, status=200,
        )  # fmt: skip
        parts = SimpleNamespace(
            context=self.context, end=self.end, probe=SimpleNamespace(good=calls.of("good")),
            admitted=SimpleNamespace(timeouts=TIMES, hold=hold),
        )  # fmt: skip
        sink = SimpleNamespace(begin_bytes=calls.waited("begin"), write=calls.waited("write"))
        self.meter = SimpleNamespace(value=MISSING)
        asked = SimpleNamespace(
            method=method, rule=SimpleNamespace(pointer="/n", value_micros_max=most),
            location=lambda text, secrets: None if text == "elsewhere" else f"/here{text}",
        )  # fmt: skip
        waiting = [*pieces, b""]
        self.left = waiting

        async def next_bytes() -> bytes:
            return waiting.pop(0)

        self.answer: Any = SimpleNamespace(
            status=status, cut=calls.of("cut answer"), next_bytes=next_bytes,
            headers={name.replace("_", "-"): text for name, text in headers.items()},
        )  # fmt: skip
        self.relay: Any = PassedRelay(*cast(Any, (parts, asked, self.meter, sink, (SECRET,))))

    @property
    def fields(self) -> dict[bytes, bytes]:
        """The head that the client gets."""
        (fields,) = [call[2] for call in self.calls if call[0] == "begin"]
        return dict(fields)


IDLE: Final = ("allow", "idle", 7.0)
CHARGED: Final = [("settle", None, "bill"), ("good",)]


async def test_an_answer_goes_on_piece_by_piece() -> None:
    one = Relayed(201, (b"abc", b"a " + SECRET.encode()), content_length="11", etag="1", x_own="1")
    assert await one.relay.relay(one.answer) == "outcome"
    fields = one.fields
    assert fields == {
        b"etag": b"1", b"content-length": b"11", b"x-weir-hold": b"1.00",
        b"x-accel-buffering": b"no",
    }  # fmt: skip
    calls = [call[:2] if call[0] == "begin" else call for call in one.calls]
    written = [call for call in calls if call[0] == "write"]
    assert b"".join(call[1] for call in written) == b"abca " + b"*" * len(SECRET)
    assert [call[2] for call in written] == [False] * (len(written) - 1) + [True]
    assert calls[:3] == [("await",), ("begin", 201), IDLE]
    assert [call for call in calls if call == IDLE] == [IDLE] * 3
    assert calls[-4:-2] == CHARGED
    assert calls.count(("await",)) == 1 + len(written)
    assert ("cut answer",) not in calls
    assert (one.end.status, one.end.ttft_ms, one.downstream.begun) == (201, 12, True)
    assert one.relay.committed
    assert one.meter.value == Value()


async def test_an_empty_piece_is_not_written() -> None:
    """The beginning of a secret is held back, so that nothing is left of the piece."""
    one = Relayed(200, (SECRET[:4].encode(), SECRET[4:].encode()))
    await one.relay.relay(one.answer)
    assert [call for call in one.calls if call[0] == "write" and not call[1]] in (
        [], [("write", b"", True)]
    )  # fmt: skip


@pytest.mark.parametrize(("gone", "begun"), [(True, False), (False, True)])
async def test_answer_is_read_to_its_end_after_the_client_left(gone: bool, begun: bool) -> None:
    one = Relayed(200, (b'{"n": ', b"2}"), gone=gone, most=10**9, content_type="application/json")
    await one.relay.relay(one.answer)
    assert one.meter.value == Value(2_000_000, "2")
    assert (one.downstream.begun, "await" in [call[0] for call in one.calls]) == (begun, begun)
    assert ({"begin", "write"} <= {call[0] for call in one.calls}) is begun
    assert one.left == []


@pytest.mark.parametrize(
    ("pieces", "content_type"),
    [((b'{"n": ', b"2}"), "application/json"),
     ((b'data: {"n": 2}\n\nda', b"ta: {}\n\n"), "text/event-stream")],
)  # fmt: skip
async def test_value_of_a_drained_answer_is_read_from_all_of_it(
    pieces: tuple[bytes, ...], content_type: str
) -> None:
    """The key ends behind the first piece."""
    one = Relayed(200, pieces, most=10**9, content_type=content_type)
    next_bytes, steps = one.answer.next_bytes, iter([False, True, False, False])

    async def ended_once() -> bytes:
        if next(steps):
            raise asyncio.CancelledError
        piece: bytes = await next_bytes()
        return piece

    one.answer.next_bytes = ended_once
    with pytest.raises(asyncio.CancelledError):
        await one.relay.relay(one.answer)
    await one.relay.dismiss(ErrorAnswer("session_ended", 401, "gone"))
    await one.relay.relay(one.answer)
    assert one.meter.value == Value(2_000_000, "2")


async def test_answer_being_drained_is_not_started_again() -> None:
    one = Relayed(200, (b"rest",))
    one.relay.committed = True
    await one.relay.relay(one.answer)
    assert "begin" not in [call[0] for call in one.calls]


@pytest.mark.parametrize(
    ("method", "status", "has_body"),
    [("GET", 200, True), ("HEAD", 200, False), ("GET", 204, False), ("GET", 304, False),
     ("GET", 205, True), ("GET", 305, True)],
)  # fmt: skip
async def test_an_answer_without_a_body_is_not_read(
    method: str, status: int, has_body: bool
) -> None:
    one = Relayed(status, (b"x",), method=method)
    await one.relay.relay(one.answer)
    assert (one.left == []) is has_body
    assert (("cut answer",) in one.calls) is not has_body


@pytest.mark.parametrize(
    ("method", "status", "most", "read"),
    [("GET", 200, 1, True), ("GET", 299, 1, True), ("GET", 300, 1, False),
     ("HEAD", 200, 1, False), ("GET", 200, None, False)],
)  # fmt: skip
def test_value_is_read_only_if_a_rule_charges_it(
    method: str, status: int, most: int | None, read: bool
) -> None:
    one = Relayed(status, method=method, most=most)
    assert (one.relay._reader(one.answer) is not None) is read


async def test_length_is_sent_unless_chunked() -> None:
    for length, coding, told in (("3", "", True), ("3", "chunked", False), ("", "", False)):
        one = Relayed(200)
        if length:
            one.answer.headers["content-length"] = length
        if coding:
            one.answer.headers["transfer-encoding"] = coding
        await one.relay.relay(one.answer)
        assert (b"content-length" in one.fields) is told


@pytest.mark.parametrize("status", [299, 300, 399, 400])
async def test_redirect_names_our_path_or_is_an_error(status: int) -> None:
    """F21: nothing was sent to the client yet."""
    redirects = 300 <= status < 400
    one = Relayed(status, location="/a")
    await one.relay.relay(one.answer)
    assert one.fields.get(b"location") == (b"/here/a" if redirects else None)
    one = Relayed(status)
    await one.relay.relay(one.answer)
    assert b"location" not in one.fields
    one = Relayed(status, location="elsewhere")
    if redirects:
        with pytest.raises(UpstreamFailed) as failed:
            await one.relay.relay(one.answer)
        assert failed.value.fault == "F21"
        assert (one.calls, one.relay.committed) == ([], False)
    else:
        await one.relay.relay(one.answer)


@pytest.mark.parametrize(("status", "charged"), [(399, True), (400, False), (401, False)])
async def test_provider_rejection_is_not_charged(status: int, charged: bool) -> None:
    one = Relayed(status)
    await one.relay.relay(one.answer)
    settled = [call for call in one.calls if call[0] in ("settle", "good")]
    if charged:
        assert settled == CHARGED
    else:
        ((_, error, bill),) = settled
        assert (error.kind, error.status, bill) == (
            "provider_rejected", status, passing._NOT_CHARGED
        )  # fmt: skip


@pytest.mark.parametrize("gone", [False, True])
async def test_cut_answer_is_charged_for_what_was_delivered(gone: bool) -> None:
    error = ErrorAnswer("session_ended", 401, "gone")
    cut = [] if gone else [("cut",)]
    one = Relayed(gone=gone)
    assert await one.relay.stop(error) == "outcome"
    assert one.calls == [("settle", error, "bill", ""), *cut]
    one = Relayed(gone=gone)
    assert await one.relay.break_off(upstream_failure("F14")) == "outcome"
    assert one.calls[0][2:] == ("bill", "F14")
    assert one.calls[1:] == cut
    one = Relayed(gone=gone)
    await one.relay.dismiss(error)
    assert one.calls == cut
    assert (one.end.unheard, one.downstream.client_gone) == (error, True)
