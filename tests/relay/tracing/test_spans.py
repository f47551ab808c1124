"""What the spans and metrics of one process say of its requests, attempts and settlements, without
a hub and a collector. What a collector gets of a running hub is in `test_tracing.py`."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Final, cast
from uuid import UUID

import msgspec
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from gateway.providers import PROVIDERS
from lib.id_types import AttemptId, ChannelId, KeyId, OrganisationId, RequestId, TeamId
from lib.ids import id_text
from lib.network.egress import EgressPolicy
from relay.asgi import Relay
from relay.content_log.content_log import Spans
from relay.endpoints.generation import generate
from relay.endpoints.table import listed_rows
from relay.ledger.admission import AdmissionRequest, Verdict
from relay.ledger.settlement import LateSettlement, Settlement
from relay.ledger.writer import LedgerWriter
from relay.pages.in_process import InProcessRelay
from relay.tracing import observer, tracing
from relay.tracing.inference_metrics import DURATION, FIRST_CHUNK, USAGE, InferenceMetrics
from relay.tracing.tracing import TracedRelay, _Spans, _TracedLedger, _TracedUpstreams
from relay.upstream.outgoing import OutgoingRequest
from relay.upstream.upstream import Upstreams
from tests.relay.tracing.test_genai_conventions import Pieces
from usage.records.sql import AttemptOpened, Ending, Refusal

ORGANISATION, TEAM, KEY = (UUID(int=n) for n in (1, 2, 3))
REQUEST, ATTEMPT, CHANNEL, SESSION = (UUID(int=n) for n in (4, 5, 6, 7))
OPENED: Final = AttemptOpened(
    organisation_id=OrganisationId(ORGANISATION),
    id=AttemptId(ATTEMPT),
    request_id=RequestId(REQUEST),
    n=2,
    team_id=TeamId(TEAM),
    key_id=KeyId(KEY),
    user_id=None,
    model=cast(Any, "asked"),
    channel_id=ChannelId(CHANNEL),
    channel_name=cast(Any, "west"),
    upstream_model=cast(Any, "upstream"),
    dialect="openai",
    operation="chat_completions",
    stream=True,
    source="api",
    price_version_id=None,
    hold_nano=9,
    why="failover",
    session_id=SESSION,
)
METERS: Final = {
    "in_text": 3, "in_cache_read": 10, "in_cache_write_5m": 100, "in_cache_write_1h": 1_000,
    "out_text": 5, "out_reasoning": 20, "searches": 7,
}  # fmt: skip


class Traced:
    """A tracer whose spans are read here."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")
        self.reader = InMemoryMetricReader()
        meters = MeterProvider([self.reader])
        self.spans = _Spans(self.tracer, InferenceMetrics(meters.get_meter("test")))

    @contextmanager
    def request(self) -> Iterator[None]:
        with self.tracer.start_as_current_span("request"):
            yield

    def named(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.exporter.get_finished_spans() if span.name == name]
        return found

    def points(self, metric: str) -> list[Any]:
        data = cast(Any, self.reader.get_metrics_data())
        return [
            point
            for one in data.resource_metrics
            for scope in one.scope_metrics
            for known in scope.metrics
            if known.name == metric
            for point in known.data.data_points
        ]


@pytest.fixture
def traced() -> Traced:
    return Traced()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def ending(**members: Any) -> Ending:
    return Ending(**{"final": True, "status": 200, "basis": "measured", **members})


def settlement(**members: Any) -> Settlement:
    return Settlement(
        organisation_id=OrganisationId(ORGANISATION),
        attempt_id=AttemptId(ATTEMPT),
        state="settled",
        ending=ending(**members),
    )


# ---- attempts and settlements


def test_request_has_what_was_asked_and_its_attempt_what_was_sent(traced: Traced) -> None:
    with traced.request():
        traced.spans.begin_attempt(OPENED)
        traced.spans.begin_settlement(settlement(charge_nano=12, flags=("F15a", "client:x")))
    request, attempt = attributes(traced.named("request")), traced.named("chat upstream")
    assert request == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "asked",
        "weir.organisation.id": id_text(ORGANISATION),
        "weir.key.id": id_text(KEY),
    }
    assert attributes(attempt) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "upstream",
        "gen_ai.request.stream": True,
        "gen_ai.conversation.id": id_text(SESSION),
        "weir.attempt.id": id_text(ATTEMPT),
        "weir.attempt.number": 2,
        "weir.channel.name": "west",
        "weir.why": "failover",
        "weir.basis": "measured",
        "weir.flags": ("F15a", "client:x"),
    }
    assert attempt.status.status_code is not StatusCode.ERROR
    traced.spans.end_settlements([settlement()])
    settled = attributes(traced.named("settlement"))
    assert settled == {"weir.basis": "measured", "weir.charge_nano": 12}
    # Each has ended once, and nothing of it is kept.
    traced.spans.end_settlements([settlement()])
    assert len(traced.exporter.get_finished_spans()) == 3
    assert not traced.spans._settlements


def test_failed_request_and_its_attempts_tell_the_kind_of_error(traced: Traced) -> None:
    with traced.request():
        traced.spans.begin_attempt(OPENED)
        traced.spans.begin_settlement(settlement(status=502, kind="upstream_error"))
        traced.spans.begin_settlement(LateSettlement(
            organisation_id=OrganisationId(ORGANISATION), attempt_id=AttemptId(ATTEMPT),
            ending=ending(),
        ))  # fmt: skip
    for name in ("request", "chat upstream"):
        span = traced.named(name)
        assert attributes(span)["error.type"] == "upstream_error"
        assert span.status.status_code is StatusCode.ERROR
    assert len(traced.spans._settlements) == 1


async def test_replaced_attempt_ends_with_its_own_error(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The admission of the next attempt settles it."""
    words = iter(("admitted", "no_money", "admitted"))

    async def admit(self: LedgerWriter, request: AdmissionRequest) -> Verdict:
        return Verdict(next(words), 0)

    monkeypatch.setattr(LedgerWriter, "admit", admit)
    ledger: Any = object.__new__(_TracedLedger)
    ledger._spans = traced.spans

    async def ask(opened: AttemptOpened, replaces: Settlement | None = None) -> None:
        await _TracedLedger.admit(ledger, AdmissionRequest(opened, 1, replaces))

    second = msgspec.structs.replace(OPENED, id=AttemptId(UUID(int=50)), operation="speech")
    with traced.request():
        await ask(OPENED)
        await ask(OPENED, settlement(status=429, kind="upstream_rate_limited", final=False))
        assert attributes(traced.named("chat upstream"))["error.type"] == "upstream_rate_limited"
        await ask(second)
        ledger.entrust(second.id)
    admissions = [one for one in traced.exporter.get_finished_spans() if one.name == "admission"]
    assert [attributes(one)["weir.verdict"] for one in admissions] == [
        "admitted", "no_money", "admitted",
    ]  # fmt: skip
    # What goes on elsewhere has no end yet, and no error.
    entrusted = traced.named("speech upstream")
    assert "weir.basis" not in attributes(entrusted)
    assert not traced.spans._attempts


def test_attempt_that_waits_for_its_content_ends_at_its_own_time(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: Spans = traced.spans
    traced.spans.enter(REQUEST)
    with traced.request():
        traced.spans.begin_attempt(OPENED)
        monkeypatch.setattr("relay.tracing.tracing.time.time_ns", lambda: 2**62)
        traced.spans.begin_settlement(settlement())
        monkeypatch.undo()
        assert waiting.wait_for_content(REQUEST)
        assert not waiting.wait_for_content(REQUEST)
    traced.spans.leave(REQUEST)
    waiting.end_waiting(REQUEST, {"gen_ai.input.messages": "[]"})
    attempt = traced.named("chat upstream")
    assert attempt.end_time == 2**62
    assert attributes(attempt)["gen_ai.input.messages"] == "[]"


async def test_requests_that_finish_while_a_process_stops_have_their_content(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that the content log does not write are exported without it."""
    before, meanwhile, unwritten = (RequestId(UUID(int=n)) for n in (21, 22, 23))

    def finish(request_id: RequestId) -> None:
        attempt_id = AttemptId(UUID(int=request_id.int + 100))
        traced.spans.enter(request_id)
        with traced.request():
            traced.spans.begin_attempt(
                msgspec.structs.replace(OPENED, id=attempt_id, request_id=request_id)
            )
            traced.spans.begin_settlement(
                msgspec.structs.replace(settlement(), attempt_id=attempt_id)
            )
            assert traced.spans.wait_for_content(request_id)
        traced.spans.leave(request_id)

    async def stop(self: Relay) -> None:
        finish(meanwhile)
        finish(unwritten)
        for request_id in (before, meanwhile):
            traced.spans.end_waiting(request_id, {"gen_ai.input.messages": f"{request_id.int}"})

    monkeypatch.setattr(Relay, "stop", stop)
    relay = TracedRelay(cast(Any, None), (), "1.2.3", content=True)
    relay._spans, relay._providers = traced.spans, [traced.provider]
    finish(before)
    await relay.stop()
    exported = {
        attributes(span)["weir.attempt.id"]: attributes(span).get("gen_ai.input.messages")
        for span in traced.exporter.get_finished_spans()
        if span.name == "chat upstream"
    }
    assert exported == {
        id_text(UUID(int=121)): "21", id_text(UUID(int=122)): "22", id_text(UUID(int=123)): None,
    }  # fmt: skip


def test_responses_of_a_session_do_not_wait_for_content(traced: Traced) -> None:
    """The first of them has the id of the whole session."""
    traced.spans.enter(REQUEST)
    with traced.request():
        traced.spans.begin_attempt(msgspec.structs.replace(OPENED, operation="realtime"))
        traced.spans.begin_settlement(settlement(upstream_request_id="resp_9"))
    assert attributes(traced.named("realtime upstream"))["gen_ai.response.id"] == "resp_9"
    assert not traced.spans.wait_for_content(REQUEST)


@pytest.mark.parametrize("kind", [None, "insufficient_balance"])
async def test_request_of_a_page_is_a_trace_of_its_own(
    traced: Traced, monkeypatch: pytest.MonkeyPatch, kind: str | None
) -> None:
    async def answer(*_: Any) -> Any:
        return SimpleNamespace(request_id=REQUEST, kind=kind)

    monkeypatch.setattr(InProcessRelay, "_chat_task", answer)
    relay: Any = tracing._TracedInProcess(cast(Any, None), lambda: traced.tracer)
    with traced.request():
        await relay._chat_task(None, None, b"", None)
    span = traced.named("playground")
    assert span.parent is None
    error = {} if kind is None else {"error.type": kind}
    assert attributes(span) == {"weir.request.id": id_text(REQUEST), **error}
    assert (span.status.status_code is StatusCode.ERROR) == (kind is not None)


def test_operations_have_the_names_of_the_conventions() -> None:
    """All rows of the relay's table that a model answers in text."""
    results = {
        (row.dialect, row.operation): tracing._OPERATIONS.get(row.operation, row.operation)
        for row in listed_rows().values()
        if row.handler is generate and row.unary is None
    }
    assert len(results) > 8
    for (dialect, operation), name in results.items():
        wanted = "generate_content" if dialect in ("gemini", "interactions") else "chat"
        if operation in ("completions", "edits"):
            wanted = "text_completion"
        assert name == wanted, (dialect, operation)


def test_refusal_without_an_attempt_has_a_settlement_of_its_own(traced: Traced) -> None:
    refusal = Refusal(
        organisation_id=OrganisationId(ORGANISATION), request_id=RequestId(REQUEST),
        team_id=TeamId(TEAM), key_id=KeyId(KEY), user_id=None, model=cast(Any, ""),
        dialect="openai", operation="chat_completions", stream=False, source="api",
        ending=ending(status=402, kind="insufficient_balance", basis="none"),
    )  # fmt: skip
    with traced.request():
        traced.spans.begin_settlement(refusal)
        traced.spans.end_settlements([refusal])
    assert attributes(traced.named("request"))["error.type"] == "insufficient_balance"
    assert attributes(traced.named("settlement"))["weir.basis"] == "none"


# ---- the answers, as the collector is told of them


@pytest.mark.parametrize(
    ("message", "status", "failed", "conversation"),
    [
        ({"type": "http.response.start", "status": 200}, 200, False, False),
        # The client's own error is none of the server's.
        ({"type": "http.response.start", "status": 404}, 404, False, False),
        ({"type": "http.response.start", "status": 500}, 500, True, False),
        ({"type": "websocket.http.response.start", "status": 503}, 503, True, False),
        ({"type": "websocket.accept"}, 101, False, True),
    ],
)
def test_request_has_the_status_of_its_answer(
    traced: Traced, message: dict[str, Any], status: int, failed: bool, conversation: bool
) -> None:
    with traced.tracer.start_as_current_span("request") as span:
        tracing._set_response(span, message | {"headers": [(b"x-request-id", b"r-1")]})
    results = traced.named("request")
    wanted = {"http.response.status_code": status, "weir.request.id": "r-1"}
    assert attributes(results) == wanted | (
        {"gen_ai.conversation.id": "r-1"} if conversation else {}
    )
    assert (results.status.status_code is StatusCode.ERROR) == failed


@pytest.mark.parametrize(
    ("url", "address", "port"),
    [
        ("https://api.example/v1", "api.example", 443),
        ("http://api.example/v1", "api.example", 80),
        ("http://api.example:8443/v1", "api.example", 8443),
        ("https://[::1", None, None),
    ],
)
def test_server_of_an_attempt_has_the_port_of_its_scheme(
    url: str, address: str | None, port: int | None
) -> None:
    found = tracing._server_of(PROVIDERS["openai"], url)
    assert found["gen_ai.provider.name"] == "openai"
    assert (found.get("server.address"), found.get("server.port")) == (address, port)


@pytest.mark.parametrize(
    ("channels", "told"), [({"west"}, True), ({"*"}, True), ({"east"}, False), (set(), False)]
)
@pytest.mark.parametrize("way", ["post", "change_over"])
async def test_only_named_channels_get_the_trace_by_http_and_by_websocket(
    traced: Traced, monkeypatch: pytest.MonkeyPatch, channels: set[str], told: bool, way: str
) -> None:
    sent: list[OutgoingRequest] = []

    async def send(self: Upstreams, *asked: Any, **_: Any) -> Any:
        sent.append(asked[2])
        return SimpleNamespace(headers={})

    monkeypatch.setattr(Upstreams, way, send)
    upstreams = _TracedUpstreams(traced.spans, channels, ())
    channel: Any = SimpleNamespace(name="west", uuid=CHANNEL, provider=PROVIDERS["openai"])
    codec: Any = SimpleNamespace(name="openai")
    request = OutgoingRequest(codec, "https://api.example/v1", b'{"n": 2}', "application/json")
    with traced.request():
        traced.spans.begin_attempt(OPENED)
        await getattr(upstreams, way)(
            channel, EgressPolicy(), request, id_text(ATTEMPT), key=0,
            **({"fresh": False} if way == "post" else {}),
        )  # fmt: skip
        traced.spans.begin_settlement(settlement())
    attempt = traced.named("chat upstream")
    assert attributes(attempt)["server.address"] == "api.example"
    assert attributes(attempt)["gen_ai.request.choice.count"] == 2
    names = dict(sent[0].client_headers)
    span_id = attempt.context.span_id if attempt.context else 0
    assert ("traceparent" in names) == told
    assert not told or f"{span_id:016x}" in names["traceparent"]


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"OTEL_SERVICE_NAME": "hub of search"}, "hub of search"),
        ({"OTEL_SERVICE_NAME": ""}, "weir"),
        ({}, "weir"),
    ],
)
def test_service_has_the_name_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], name: str
) -> None:
    for known in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(known, raising=False)
    for known, value in environment.items():
        monkeypatch.setenv(known, value)
    assert tracing._resource("1.2.3").attributes["service.name"] == name
    assert tracing._resource("1.2.3").attributes["service.version"] == "1.2.3"


# ---- usage and times


def test_usage_of_an_attempt_is_told_by_side_and_kind(traced: Traced) -> None:
    with traced.request():
        traced.spans.begin_attempt(OPENED)
        meters = msgspec.json.encode(METERS).decode()
        traced.spans.begin_settlement(settlement(meters=meters, finish_reason="length"))
    results = attributes(traced.named("chat upstream"))
    usage = {name: value for name, value in results.items() if ".usage." in name}
    assert usage == {
        "gen_ai.usage.input_tokens": 1_113,
        "gen_ai.usage.output_tokens": 25,
        "gen_ai.usage.cache_read.input_tokens": 10,
        "gen_ai.usage.cache_creation.input_tokens": 1_100,
        "gen_ai.usage.reasoning.output_tokens": 20,
    }
    assert results["gen_ai.response.finish_reasons"] == ("length",)
    sums = {one.attributes["gen_ai.token.type"]: one.sum for one in traced.points(USAGE)}
    assert sums == {"input": 1_113, "output": 25}


@pytest.mark.parametrize("kind", [None, "upstream_error"])
def test_duration_of_an_attempt_is_measured_with_its_error(
    traced: Traced, kind: str | None
) -> None:
    with traced.request():
        traced.spans.begin_attempt(OPENED)
        traced.spans.begin_settlement(settlement(kind=kind, status=502 if kind else 200))
    (point,) = traced.points(DURATION)
    assert point.attributes.get("error.type") == kind
    assert 0 <= point.sum < 60


@pytest.mark.parametrize("streamed", [True, False])
def test_times_of_chunks_count_from_sending_and_from_the_chunk_before(
    monkeypatch: pytest.MonkeyPatch, traced: Traced, streamed: bool
) -> None:
    times = iter((12.0, 15.0, 19.0))
    monkeypatch.setattr("relay.tracing.observer.time.perf_counter", lambda: next(times))
    gaps: list[float] = []
    answer = observer.ObservedAnswer(
        cast(Any, Pieces(b"a", b"b", b"c")), sent_at=10.0, streamed=streamed, on_chunk=gaps.append
    )

    async def read() -> None:
        while await answer.next_bytes():
            pass

    asyncio.run(read())
    monkeypatch.undo()
    assert answer.first_chunk_s == 2.0
    assert gaps == ([3.0, 4.0] if streamed else [])
    with traced.request():
        traced.spans.begin_attempt(OPENED)
        begun = traced.spans.attempt(ATTEMPT)
        assert begun is not None
        begun.answer = answer
        traced.spans.begin_settlement(settlement())
    # A whole answer has no first chunk.
    told = "gen_ai.response.time_to_first_chunk" in attributes(traced.named("chat upstream"))
    assert told == streamed
    assert len(traced.points(FIRST_CHUNK)) == streamed
