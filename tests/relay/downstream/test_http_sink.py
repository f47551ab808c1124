"""The headers of an answer as they are on the wire: each once, in letters that may be there."""

import json
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock
from uuid import UUID

import pytest

from dialects.chat.chat import Dialect
from dialects.endpoints.codecs import CODECS
from gateway.breaker.breaker import RETRY_AFTER_S_MAX
from gateway.channels.timeouts import Timeouts
from lib.id_types import RequestId
from lib.ids import id_text
from relay.downstream.downstream import Downstream, Head, KeepAlive
from relay.downstream.error_answers import (
    KEY_ENDED,
    STOPPING,
    answer_of_kind,
    answer_to_failures,
    failure_of_limit,
)
from relay.downstream.http_sink import HttpSink
from relay.requests.invocation import Invocation
from relay.upstream.failures import UpstreamFailed
from tests.relay.speakers import SPEAKERS

REQUEST, EARLIER = (RequestId(UUID(int=n)) for n in (1, 2))
HEAD = Head("application/json", 5_000_000_000, None, 1_000_000)


class Wire:
    """What the server is told to send."""

    def __init__(self, dialect: Dialect, **lines: str) -> None:
        self.sent: list[dict[str, Any]] = []
        headers = [(name.encode(), value.encode()) for name, value in lines.items()]
        invocation = Invocation(CODECS[dialect], "chat_completions")
        self.sink = HttpSink({"headers": headers}, cast(Any, self.send), REQUEST, invocation)

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    @property
    def names(self) -> list[str]:
        return [name.decode() for name, _ in self.sent[0]["headers"]]

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}


@pytest.mark.parametrize("dialect", CODECS)
async def test_no_answer_has_a_header_twice(dialect: Dialect) -> None:
    """Among these is the request's id, for which each vendor has its own name."""
    ids = set()
    for respond in ("answer", "begin", "refuse", "refuse late"):
        wire = Wire(dialect, origin="https://a.example")
        if respond == "answer":
            await wire.sink.answer(HEAD, b"{}")
        elif respond == "begin":
            await wire.sink.begin(HEAD)
        else:
            await wire.sink.refuse(KEY_ENDED if respond == "refuse" else STOPPING)
        assert len(set(wire.names)) == len(wire.names), (respond, wire.names)
        assert wire.headers["x-request-id"] == id_text(REQUEST)
        assert wire.headers["x-content-type-options"] == "nosniff"
        ids.add(frozenset(n for n, value in wire.headers.items() if value == id_text(REQUEST)))
    # It has the same names in each of them.
    assert len(ids) == 1


@pytest.mark.parametrize("dialect", CODECS)
async def test_a_stream_without_content_ends_with_the_guards_code(dialect: Dialect) -> None:
    """P40: pings had begun the stream when a guard refused the request."""
    wire = Wire(dialect)
    await wire.sink.begin(HEAD)
    error = answer_of_kind("guard_refused")._replace(guard_code="own")
    await wire.sink.refuse(error)
    raw = b"".join(one.get("body", b"") for one in wire.sent)
    if dialect == "responses":
        error_object = json.loads(raw.partition(b"data: ")[2])
        assert error_object["code"] == "own"
    else:
        told = SPEAKERS[dialect].streamed(raw).error
        assert told is not None
        assert SPEAKERS[dialect].guard_code(told, stream=True) == "own"


async def test_name_of_a_channel_is_told_in_letters_of_a_header() -> None:
    wire = Wire("openai")
    head = Head("application/json", 0, None, 0, channel="Zürich: west/1 (EU)\r\n+", attempts=2)
    await wire.sink.answer(head, b"{}")
    assert wire.headers["x-weir-channel"] == "Z%C3%BCrich: west/1 (EU)%0D%0A+"
    assert wire.headers["x-weir-attempts"] == "2"


async def test_names_of_parameters_take_a_bounded_part_of_the_headers() -> None:
    wire = Wire("openai")
    dropped = tuple(f"parameter-{n}" for n in range(1_000))
    await wire.sink.answer(Head("application/json", 0, 7, None, dropped), b"{}")
    told = wire.headers["x-weir-dropped-params"]
    assert told.startswith("parameter-0,parameter-1,")
    assert len(told) == 1_024
    assert wire.headers["x-weir-output-cap"] == "7"
    assert "x-weir-cost" not in wire.headers


async def test_replayed_answer_has_the_id_of_the_request_that_it_answered() -> None:
    wire = Wire("openai")
    wire.sink.replay(EARLIER)
    await wire.sink.answer(HEAD, b"{}")
    assert wire.headers["x-request-id"] == id_text(EARLIER)
    assert wire.headers["idempotent-replayed"] == "true"
    assert (wire.headers["x-weir-hold"], wire.headers["x-weir-cost"]) == ("5.00", "0.001")
    first = Wire("openai")
    await first.sink.answer(HEAD, b"{}")
    assert "idempotent-replayed" not in first.headers


async def test_header_about_the_end_user_is_on_each_answer_that_has_one() -> None:
    for respond in ("answer", "begin"):
        wire, plain = Wire("openai"), Wire("openai")
        wire.sink.end_user = (b"x-weir-end-user", b"unknown")
        for one in (wire, plain):
            await (one.sink.answer(HEAD, b"{}") if respond == "answer" else one.sink.begin(HEAD))
        assert wire.headers["x-weir-end-user"] == "unknown"
        assert "x-weir-end-user" not in plain.headers


# ---- the error after several failures, and after a time limit


def failed(kind: Any, wait_ms: int | None = None, **more: Any) -> UpstreamFailed:
    return UpstreamFailed("F8", kind, kind, retry_after_ms=wait_ms, **more)


def test_client_waits_as_long_as_the_provider_that_asks_for_the_least(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.downstream.error_answers.jittered", lambda wait_ms: wait_ms)
    for waits in ((9_000, 4_000, 7_000), (4_000, None, 9_000), (None, 9_000, 4_000)):
        failures = [failed("upstream_rate_limited", wait_ms) for wait_ms in waits]
        assert answer_to_failures(failures).retry_after_ms == 4_000
    assert answer_to_failures([failed("upstream_rate_limited")]).retry_after_ms is None
    # No longer than clients wait, whatever they ask for.
    day = failed("upstream_rate_limited", 86_400_000)
    assert answer_to_failures([day]).retry_after_ms == RETRY_AFTER_S_MAX * 1_000


def test_error_of_the_last_attempt_is_the_answer() -> None:
    failures = [UpstreamFailed("F10", "upstream_error", words) for words in ("first", "last")]
    assert answer_to_failures(failures).message == "last"


@pytest.mark.parametrize(
    ("reason", "seconds"), [("first_content", 7), ("idle", 20), ("total", 300), ("left", None)]
)
def test_timeout_names_the_limit_that_was_reached(reason: Any, seconds: int | None) -> None:
    timeouts = Timeouts(connect=5.0, first_content=7.9, idle=20.0, total=300.0)
    failure = failure_of_limit(reason, timeouts, 7.9)
    assert (failure is None) == (seconds is None)
    assert failure is None or f"{seconds} s" in failure.message


# ---- what is written while a stream is silent


class Recorder:
    """Where an answer is kept for a repetition."""

    def __init__(self) -> None:
        self.used_up = False

    async def use_up(self) -> None:
        self.used_up = True

    async def refuse(self, error: Any) -> None: ...


@pytest.mark.parametrize("charged", [True, False])
async def test_charged_request_without_an_answer_does_not_run_again(charged: bool) -> None:
    recorder: Any = Recorder()
    downstream = Downstream(recorder)
    downstream.record(recorder)
    await downstream.refuse(STOPPING, charged=charged)
    assert recorder.used_up == charged


async def test_keep_alives_of_a_silent_stream_are_apart_by_their_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, pings = [100.0], []

    async def ping() -> None:
        pings.append(now[0])

    keep_alive = KeepAlive(ping, 15.0)
    timers: list[float] = []

    class Clock:
        def time(self) -> float:
            return now[0]

        def call_at(self, at: float, look: Any) -> Any:
            timers.append(at)

    keep_alive.stop()
    monkeypatch.setattr(keep_alive, "_loop", Clock())
    keep_alive.heard_at = 100.0
    for now[0] in (114.0, 115.0, 116.0, 130.0):
        keep_alive._look()
        if keep_alive._task is not None:
            await keep_alive._task
    assert pings == [115.0, 130.0]
    assert timers == [115.0, 130.0, 130.0, 145.0]


async def test_one_keep_alive_serves_all_attempts_and_stops_with_the_answer() -> None:
    async def ping() -> None: ...

    for end in ("write", "cut", "refuse"):
        recorder: Any = SimpleNamespace(
            write=AsyncMock(), cut=AsyncMock(), refuse=AsyncMock(), begin=AsyncMock()
        )
        downstream = Downstream(recorder)
        downstream.start_keep_alive(ping, 15.0)
        first = downstream.keep_alive
        assert first is not None
        downstream.start_keep_alive(ping, 15.0)
        assert downstream.keep_alive is first
        await downstream.write(b"more", last=False)
        assert first._timer is not None
        if end == "write":
            await downstream.write(b"", last=True)
        elif end == "cut":
            await downstream.cut()
        else:
            await downstream.refuse(STOPPING)
        stopped: Any = first
        assert downstream.keep_alive is None
        assert stopped._timer is None
