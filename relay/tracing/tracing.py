"""OpenTelemetry traces and metrics of the relay, by the gen_ai semantic conventions
(open-telemetry/semantic-conventions-genai).

    request       the server span; its parent is the caller's `traceparent` (W3C)
      admission   until the hold of an attempt is placed or refused
      attempt     a client span from then to its end, one for each attempted channel
      settlement  from the end of an attempt until it is written to the ledger

It is the same relay, built of parts that report to OpenTelemetry. This file is imported only if
traces or metrics are enabled; otherwise the relay makes no calls to it. A span records a request's
parameters, usage and result; never a header or a secret. Its content is on the span of its last
attempt only if that is enabled, and the content log keeps the request: the span then ends, with its
own time, when the log has written the redacted texts.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple, cast
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from opentelemetry import trace
from opentelemetry.context import Context, get_current
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from billing.prices.meters import METERS
from gateway.providers.provider import Provider
from lib.id_types import AttemptId
from lib.ids import id_text, new_id, parse_id
from lib.network.egress import EgressPolicy
from lib.process.asgi import RESPOND, Message, Receive, Scope, Send
from lib.process.log_context import REQUEST_ID
from relay.asgi import Relay
from relay.catalogue.snapshot import Channel
from relay.config import RelayConfig
from relay.content_log.content_log import ContentLog
from relay.context.context import RequestContext
from relay.database.database import PipelinedConnection
from relay.endpoints.table import find_endpoint
from relay.front.lifespan import Lifespan, OpenRequests
from relay.ledger.admission import AdmissionRequest, Verdict
from relay.ledger.crash_recovery import LedgerRecovery
from relay.ledger.journal import Journal
from relay.ledger.settlement import AnySettlement, LateSettlement, Settlement
from relay.ledger.spool import Spool
from relay.ledger.writer import LedgerWriter
from relay.pages.in_process import InProcessRelay
from relay.pages.queue_sink import QueueSink
from relay.requests.outcome import Outcome
from relay.tracing.inference_metrics import InferenceMetrics, meter_provider
from relay.tracing.observer import ObservedAnswer
from relay.tracing.sent_parameters import Parameters, chat_parameters, embedding_parameters
from relay.tracing.telemetry_client import telemetry_client
from relay.upstream.outgoing import OutgoingRequest
from relay.upstream.upstream import Answer, Upstreams
from relay.upstream.websocket import UpstreamSocket
from usage.records.sql import AttemptOpened, Ending, Refusal

log = logging.getLogger(__name__)

ALL_CHANNELS: Final = "*"
"""In place of a channel's name: every channel."""

# With content, a span may have three attributes of 32 KiB. The environment's limits come first.
_CONTENT_LIMITS: Final[Mapping[str, int]] = MappingProxyType(
    {"max_queue_size": 512, "max_export_batch_size": 32}
)
_LIMITS: Final = ("OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE")
# How many spans may wait until the content log has written their request.
_WAITING_MAX: Final = 4096
# The process that writes the content log, and says what spans have of it.
_CONTENT_WRITER: Final = "relay.tracing.content_writer"
# How long the last spans of a stopping process may take.
_FLUSH_S: Final = 5.0
_OPERATIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "chat_completions": "chat",
        "responses": "chat",
        "responses_compact": "chat",
        "messages": "chat",
        "interactions": "generate_content",
        "generate_content": "generate_content",
        "stream_generate_content": "generate_content",
        "converse": "chat",
        "converse_stream": "chat",
        "completions": "text_completion",
        "edits": "text_completion",
        "embed_content": "embeddings",
        "batch_embed_contents": "embeddings",
    }
)
_CHATS: Final = frozenset({"chat", "generate_content", "text_completion"})
_PROVIDERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "azure_openai": "azure.ai.openai",
        "bedrock": "aws.bedrock",
        "vertex": "gcp.vertex_ai",
        "gemini": "gcp.gemini",
        "gemini_interactions": "gcp.gemini",
        "kimi": "moonshot_ai",
        "mistral": "mistral_ai",
        "xai": "x_ai",
    }
)
# Operations whose attempts are parts of a session.
_SESSIONS: Final = frozenset({"realtime", "live_sessions"})
# A session is accepted, or refused by an HTTP response.
_ANSWERED: Final = frozenset(
    {"http.response.start", "websocket.http.response.start", "websocket.accept"}
)
_SWITCHED: Final = 101
_FRAMES: Final = ("text/event-stream", "application/vnd.amazon.eventstream")
Headers = Sequence[tuple[bytes, bytes]]
_propagator: Final = TraceContextTextMapPropagator()


class TracedRelay(Relay):
    """A relay whose requests are traced, measured, or both. `channels` are the names of the
    channels that receive the trace context, or `*`. The environment variables OTEL_* say where the
    data is sent, and which spans are."""

    def __init__(
        self,
        config: RelayConfig,
        channels: Collection[str],
        version: str,
        *,
        traces: bool = True,
        metrics: bool = False,
        content: bool = False,
    ) -> None:
        """`content`: spans have the content of requests that the content log keeps."""
        super().__init__(config)
        self._channels = frozenset(channels)
        self._version = version
        self._traces, self._measures, self._content = traces, metrics, content
        self._spans: _Spans | None = None
        self._providers: list[TracerProvider | MeterProvider] = []
        self._tracer: Tracer = trace.NoOpTracer()
        self._metrics: InferenceMetrics | None = None
        self.in_process = _TracedInProcess(self._require_lifespan, lambda: self._tracer)

    async def start(self) -> None:
        resource = _resource(self._version)
        if self._traces:
            tracer_provider = TracerProvider(resource=resource)
            exporter = OTLPSpanExporter(session=telemetry_client())
            limited = self._content and not any(name in os.environ for name in _LIMITS)
            limits: Mapping[str, Any] = _CONTENT_LIMITS if limited else {}
            tracer_provider.add_span_processor(BatchSpanProcessor(exporter, **limits))
            self._tracer = tracer_provider.get_tracer("weir", self._version)
            self._providers.append(tracer_provider)
        if self._measures:
            meters = meter_provider(resource)
            self._metrics = InferenceMetrics(meters.get_meter("weir", self._version))
            self._providers.append(meters)
        await super().start()

    async def stop(self) -> None:
        await super().stop()
        if self._spans is not None:
            self._spans.end_all()
        # In another thread: they wait for a collector that may be unavailable.
        ended = [
            asyncio.create_task(asyncio.to_thread(provider.shutdown))
            for provider in self._providers
        ]
        if ended:
            await asyncio.wait(ended, timeout=_FLUSH_S)

    def _new_life(self) -> Lifespan:
        spans = self._spans = _Spans(self._tracer, self._metrics)

        def ledger_writer(
            connection: PipelinedConnection,
            spool: Spool | None,
            journal: Journal | None,
            *,
            is_shared: Callable[[], bool],
            of_few: PipelinedConnection,
        ) -> LedgerWriter:
            recovery = _TracedRecovery(spool, journal, spans)
            return _TracedLedger(connection, recovery, is_shared, of_few, spans)

        return Lifespan(
            self._config,
            ledger_writer=ledger_writer,
            upstreams=_TracedUpstreams(spans, self._channels, self._config.token_files),
            content_log=(
                partial(ContentLog, writer=_CONTENT_WRITER, spans=spans)
                if self._content
                else ContentLog
            ),
            open_requests=_TracedOpenRequests(spans) if self._content else None,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = find_endpoint(scope["path"])
        method = scope.get("method", "GET")
        with self._tracer.start_as_current_span(
            method if endpoint is None else f"{method} {endpoint.reference_name}",
            context=_propagator.extract(scope["headers"], Context(), getter=_getter),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method},
        ) as span:
            if not span.is_recording():
                await super().__call__(scope, receive, send)
                return

            async def send_traced(message: Message) -> None:
                if message["type"] in _ANSWERED:
                    _set_response(span, message)
                await send(message)

            # A message sent on the connection.
            scope.pop(RESPOND, None)
            await super().__call__(scope, receive, send_traced)


class _TracedInProcess(InProcessRelay):
    """Requests of our own pages, each the root of a trace."""

    def __init__(self, started: Callable[[], Lifespan], tracer: Callable[[], Tracer]) -> None:
        super().__init__(started)
        self._tracer = tracer

    async def _chat_task(
        self,
        life: Lifespan,
        make_context: Callable[[], RequestContext],
        body: bytes,
        sink: QueueSink,
    ) -> Outcome:
        with self._tracer().start_as_current_span("playground", context=Context()) as span:
            outcome = await super()._chat_task(life, make_context, body, sink)
            span.set_attribute("weir.request.id", id_text(outcome.request_id))
            if outcome.kind is not None:
                _set_error(span, outcome.kind)
            return outcome


@dataclass(slots=True)
class _Begun:
    """A running attempt, with the context of its request. Streams end in callbacks, whose context
    belongs to the creator of the connection. `attributes` are for the attempt's metrics."""

    request_id: UUID
    span: Span
    context: Context
    operation: str
    began_at: float
    attributes: dict[str, AttributeValue]
    answer: ObservedAnswer | None = None

    def name_model(self) -> None:
        """Set the name of the model that answered, once the answer reports it."""
        if self.answer is not None and self.answer.model:
            self.attributes.setdefault("gen_ai.response.model", self.answer.model)


class _Over(NamedTuple):
    """The span of an attempt that is over, and when it ended, in nanoseconds."""

    span: Span
    ended_at_ns: int


class _Spans:
    """The open spans of one process except those of requests, and the metrics of attempts."""

    def __init__(self, tracer: Tracer, metrics: InferenceMetrics | None) -> None:
        self.tracer = tracer
        self._metrics = metrics
        # How many parts of the process answer a request, by its id; only with content.
        self._open: dict[UUID, int] = {}
        # The last attempts that are over, by the id of the request: until it is over too, and then
        # until the content log has written it.
        self._held: dict[UUID, _Over] = {}
        self._waiting: dict[UUID, _Over] = {}
        self._attempts: dict[UUID, _Begun] = {}
        # Open spans by the id of the attempt, or of the request without any attempt.
        self._settlements: dict[UUID, Span] = {}
        # The channel of the last attempt: only the first response of a realtime connection has one.
        self._servers: dict[UUID | None, Mapping[str, AttributeValue]] = {}

    def begin_attempt(self, attempt: AttemptOpened) -> None:
        """Begin the span of an attempt, after its hold is placed."""
        operation = _OPERATIONS.get(attempt.operation, attempt.operation)
        context, request = get_current(), trace.get_current_span()
        request.set_attribute("gen_ai.operation.name", operation)
        request.set_attribute("gen_ai.request.model", attempt.model)
        request.set_attribute("weir.organisation.id", id_text(attempt.organisation_id))
        request.set_attribute("weir.key.id", id_text(attempt.key_id))
        asked: dict[str, AttributeValue] = {
            "gen_ai.operation.name": operation,
            "gen_ai.request.model": attempt.upstream_model,
            **self._servers.get(attempt.channel_id, {}),
        }
        attributes: dict[str, AttributeValue] = {
            "weir.attempt.id": id_text(attempt.id),
            "weir.attempt.number": attempt.n,
            "weir.channel.name": attempt.channel_name,
            "weir.why": attempt.why,
        }
        if attempt.stream:
            attributes["gen_ai.request.stream"] = True
        if attempt.session_id is not None:
            attributes["gen_ai.conversation.id"] = id_text(attempt.session_id)
        span = self.tracer.start_span(
            f"{operation} {attempt.upstream_model}",
            context=context,
            kind=SpanKind.CLIENT,
            attributes={**asked, **attributes},
        )
        self._attempts[attempt.id] = _Begun(
            attempt.request_id, span, context, operation, time.perf_counter(), asked
        )

    def attempt(self, attempt_id: UUID) -> _Begun | None:
        """Return a running attempt, or None."""
        return self._attempts.get(attempt_id)

    def ask(self, begun: _Begun, channel: Channel, request: OutgoingRequest) -> None:
        """Record the server that an attempt is sent to, and the parameters sent."""
        server = self._servers[channel.uuid] = _server_of(channel.provider, request.url)
        begun.attributes.update(server)
        begun.span.set_attributes(server)
        if begun.span.is_recording():
            begun.span.set_attributes(_parameters_of(begun.operation, request))

    def observe(self, begun: _Begun, answer: Answer, sent_at: float) -> Answer:
        """Return a wrapper of an attempt's answer that observes it while it is read."""
        metrics = self._metrics
        if metrics is None and not begun.span.is_recording():
            return answer

        def record_chunk(seconds: float) -> None:
            if metrics is not None:
                begun.name_model()
                metrics.record_chunk(seconds, begun.attributes)

        streamed = answer.headers.get("content-type", "").startswith(_FRAMES)
        observed = ObservedAnswer(answer, sent_at=sent_at, streamed=streamed, on_chunk=record_chunk)
        begun.answer = observed
        return cast(Answer, observed)

    def end_attempt(
        self, attempt_id: UUID, ending: Ending | None, *, last: bool = False
    ) -> Context:
        """End the span of an attempt; return the context of its request. Without an `ending`, its
        media task goes on. The `last` one may wait for its content."""
        begun = self._attempts.pop(attempt_id, None)
        if begun is None:
            return Context()
        if begun.answer is not None:
            begun.answer.identify()
            begun.name_model()
        _set_answer(begun, ending)
        if ending is not None:
            _set_ending(begun.span, ending)
        # The first response of a session has the id of the whole session.
        waits = last and begun.request_id in self._open and begun.operation not in _SESSIONS
        if waits and begun.span.is_recording():
            self._held[begun.request_id] = _Over(begun.span, time.time_ns())
        else:
            begun.span.end()
        if self._metrics is not None:
            _measure(self._metrics, begun, ending)
        return begun.context

    def begin_settlement(self, item: AnySettlement) -> None:
        """Begin the span of a settlement that waits to be written."""
        if isinstance(item, LateSettlement):
            return
        context = get_current()
        if isinstance(item, Settlement):
            context = self.end_attempt(item.attempt_id, item.ending, last=True)
        span = self.tracer.start_span("settlement", context=context)
        span.set_attribute("weir.basis", item.ending.basis)
        span.set_attribute("weir.charge_nano", item.ending.charge_nano)
        if item.ending.kind is not None:
            _set_error(trace.get_current_span(context), item.ending.kind)
        self._settlements[_id_of(item)] = span

    def enter(self, request_id: UUID) -> None:
        """Let the last attempt of a request wait until `leave`. A request in the background is open
        twice for a while."""
        self._open[request_id] = self._open.get(request_id, 0) + 1

    def leave(self, request_id: UUID) -> None:
        """End what the content log does not keep of a request that is over."""
        self._open[request_id] -= 1
        if not self._open[request_id]:
            del self._open[request_id]
            _end(self._held.pop(request_id, None))

    def wait_for_content(self, request_id: UUID) -> bool:
        """Let the last attempt of a request wait for its content. If too many wait, the first ends
        without it. Return False if there is no attempt."""
        held = self._held.pop(request_id, None)
        if held is None:
            return False
        if len(self._waiting) >= _WAITING_MAX:
            _end(self._waiting.pop(next(iter(self._waiting))))
        self._waiting[request_id] = held
        return True

    def end_waiting(self, request_id: UUID, content: Mapping[str, AttributeValue]) -> None:
        """End the last attempt of a request with its content."""
        waiting = self._waiting.pop(request_id, None)
        if waiting is not None:
            waiting.span.set_attributes(content)
            _end(waiting)

    def end_all(self) -> None:
        """End what waits, without content."""
        for one in (*self._held.values(), *self._waiting.values()):
            _end(one)
        self._held.clear()
        self._waiting.clear()

    def end_settlements(self, committed: Iterable[AnySettlement]) -> None:
        for item in committed:
            if not isinstance(item, LateSettlement):
                span = self._settlements.pop(_id_of(item), None)
                if span is not None:
                    span.end()


class _TracedRecovery(LedgerRecovery):
    def __init__(self, spool: Spool | None, journal: Journal | None, spans: _Spans) -> None:
        super().__init__(spool, journal)
        self._spans = spans

    def note(self, item: AnySettlement) -> None:
        super().note(item)
        self._spans.begin_settlement(item)

    def forget(self, committed: Iterable[AnySettlement]) -> None:
        items = list(committed)
        super().forget(items)
        self._spans.end_settlements(items)


class _TracedLedger(LedgerWriter):
    def __init__(
        self,
        connection: PipelinedConnection,
        recovery: LedgerRecovery,
        is_shared: Callable[[], bool],
        of_few: PipelinedConnection,
        spans: _Spans,
    ) -> None:
        super().__init__(connection, recovery=recovery, is_shared=is_shared, of_few=of_few)
        self._spans = spans

    async def admit(self, request: AdmissionRequest) -> Verdict:
        if request.replaces is not None:
            # The admission of the next attempt settles it.
            self._spans.end_attempt(request.replaces.attempt_id, request.replaces.ending)
        with self._spans.tracer.start_as_current_span("admission") as span:
            verdict = await super().admit(request)
            span.set_attribute("weir.verdict", verdict.word)
        if verdict.word == "admitted":
            self._spans.begin_attempt(request.attempt)
        return verdict

    def entrust(self, attempt_id: AttemptId) -> None:
        self._spans.end_attempt(attempt_id, None, last=True)


class _TracedOpenRequests(OpenRequests):
    def __init__(self, spans: _Spans) -> None:
        super().__init__()
        self._spans = spans

    def enter(self) -> None:
        super().enter()
        self._spans.enter(cast(UUID, REQUEST_ID.get()))

    def leave(self) -> None:
        super().leave()
        self._spans.leave(cast(UUID, REQUEST_ID.get()))


class _TracedUpstreams(Upstreams):
    def __init__(
        self, spans: _Spans, channels: Collection[str], token_files: Collection[str]
    ) -> None:
        super().__init__(token_files)
        self._spans = spans
        self._channels = channels

    async def post(
        self,
        channel: Channel,
        policy: EgressPolicy,
        request: OutgoingRequest,
        attempt_id: str,
        *,
        key: int,
        fresh: bool,
        on_sent: Callable[[], None] | None = None,
    ) -> Answer:
        request, begun = self._trace_attempt(channel, request, attempt_id)
        sent_at = time.perf_counter()
        answer = await super().post(
            channel, policy, request, attempt_id, key=key, fresh=fresh, on_sent=on_sent
        )
        return answer if begun is None else self._spans.observe(begun, answer, sent_at)

    async def change_over(
        self,
        channel: Channel,
        policy: EgressPolicy,
        request: OutgoingRequest,
        attempt_id: str,
        *,
        key: int,
    ) -> UpstreamSocket:
        request, _ = self._trace_attempt(channel, request, attempt_id)
        return await super().change_over(channel, policy, request, attempt_id, key=key)

    def _trace_attempt(
        self, channel: Channel, request: OutgoingRequest, attempt_id: str
    ) -> tuple[OutgoingRequest, _Begun | None]:
        """Return the request with the trace headers for a channel that receives them, and the
        attempt.
        """
        begun = self._spans.attempt(cast(UUID, parse_id(attempt_id)))
        if begun is None:
            return request, None
        self._spans.ask(begun, channel, request)
        if ALL_CHANNELS not in self._channels and channel.name not in self._channels:
            return request, begun
        headers = (*request.client_headers, *_context_headers(begun.span))
        return msgspec.structs.replace(request, client_headers=headers), begun


class _HeaderGetter(Getter[Headers]):
    """Reads the header lines of an ASGI scope."""

    def get(self, carrier: Headers, key: str) -> list[str] | None:
        name = key.encode()
        return [value.decode("latin-1") for line, value in carrier if line == name] or None

    def keys(self, carrier: Headers) -> list[str]:
        return [line.decode("latin-1") for line, _ in carrier]


_getter: Final = _HeaderGetter()


def _resource(version: str) -> Resource:
    """Return the OpenTelemetry resource of all data. The SDK reads further environment variables
    OTEL_*."""
    # An empty variable counts as unset, by the specification and because compose passes it so.
    for name in [name for name, value in os.environ.items() if name.startswith("OTEL_")]:
        if not os.environ[name]:
            del os.environ[name]
    return Resource.create(
        {
            SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME") or "weir",
            SERVICE_VERSION: version,
            SERVICE_INSTANCE_ID: id_text(new_id()),
        }
    )


def _end(attempt: _Over | None) -> None:
    if attempt is not None:
        attempt.span.end(attempt.ended_at_ns)


def _id_of(item: Settlement | Refusal) -> UUID:
    return item.attempt_id if isinstance(item, Settlement) else item.request_id


def _set_response(span: Span, message: Message) -> None:
    """Record the head of the answer."""
    status = message.get("status", _SWITCHED)
    span.set_attribute("http.response.status_code", status)
    for name, value in message["headers"]:
        if name == b"x-request-id":
            span.set_attribute("weir.request.id", value.decode())
            if message["type"] == "websocket.accept":
                # The id of the session; each of its responses is a request.
                span.set_attribute("gen_ai.conversation.id", value.decode())
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))


def _set_error(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))


def _set_answer(begun: _Begun, ending: Ending | None) -> None:
    attributes: dict[str, AttributeValue] = {}
    answer = begun.answer
    if begun.operation in _SESSIONS and ending is not None and ending.upstream_request_id:
        # The id of the response, or of the Live session.
        attributes["gen_ai.response.id"] = ending.upstream_request_id
    elif answer is not None:
        if answer.id:
            attributes["gen_ai.response.id"] = answer.id
        if answer.model:
            attributes["gen_ai.response.model"] = answer.model
        if answer.streamed and answer.first_chunk_s is not None:
            attributes["gen_ai.response.time_to_first_chunk"] = answer.first_chunk_s
    begun.span.set_attributes(attributes)


def _set_ending(span: Span, ending: Ending) -> None:
    meters: dict[str, int] = msgspec.json.decode(ending.meters)
    attributes: dict[str, AttributeValue] = {"weir.basis": ending.basis}
    if meters:
        attributes |= _usage(meters)
    if ending.finish_reason:
        attributes["gen_ai.response.finish_reasons"] = [ending.finish_reason]
    if ending.flags:
        attributes["weir.flags"] = list(ending.flags)
    span.set_attributes(attributes)
    if ending.kind is not None:
        _set_error(span, ending.kind)


def _measure(metrics: InferenceMetrics, begun: _Begun, ending: Ending | None) -> None:
    attributes, answer = begun.attributes, begun.answer
    kind = None if ending is None else ending.kind
    metrics.record_duration(time.perf_counter() - begun.began_at, attributes, kind)
    if answer is not None and answer.streamed and answer.first_chunk_s is not None:
        metrics.record_first_chunk(answer.first_chunk_s, attributes)
    if ending is None:
        return
    tokens_in, tokens_out = _token_sums(msgspec.json.decode(ending.meters))
    if tokens_in or tokens_out:
        metrics.record_tokens(tokens_in, tokens_out, attributes)


def _token_sums(meters: Mapping[str, int]) -> tuple[int, int]:
    """Return the total input and output tokens."""
    sums = {"in": 0, "out": 0, "other": 0}
    for name, quantity in meters.items():
        meter = METERS.get(name)
        if meter is not None and meter.unit == "token":
            sums[meter.side] += quantity
    return sums["in"], sums["out"]


def _usage(meters: Mapping[str, int]) -> dict[str, AttributeValue]:
    """Return the token attributes of the gen_ai conventions. The sums include the parts that are
    listed separately."""
    tokens_in, tokens_out = _token_sums(meters)
    written = meters.get("in_cache_write_5m", 0) + meters.get("in_cache_write_1h", 0)
    return {
        "gen_ai.usage.input_tokens": tokens_in,
        "gen_ai.usage.output_tokens": tokens_out,
        "gen_ai.usage.cache_read.input_tokens": meters.get("in_cache_read", 0),
        "gen_ai.usage.cache_creation.input_tokens": written,
        "gen_ai.usage.reasoning.output_tokens": meters.get("out_reasoning", 0),
    }


def _parameters_of(operation: str, request: OutgoingRequest) -> Parameters:
    if operation in _CHATS:
        return chat_parameters(request.body, request.codec.name)
    return embedding_parameters(request.body) if operation == "embeddings" else {}


def _server_of(provider: Provider, url: str) -> dict[str, AttributeValue]:
    """Return the server that an attempt is sent to, if its address is valid."""
    attributes: dict[str, AttributeValue] = {
        "gen_ai.provider.name": _PROVIDERS.get(provider.name, provider.name)
    }
    try:
        parts = urlsplit(url)
        attributes["server.address"] = parts.hostname or ""
        attributes["server.port"] = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        # The attempt will fail because of it, and report that.
        pass
    return attributes


def _context_headers(span: Span) -> Sequence[tuple[str, str]]:
    """Return the headers that propagate this span to the next server."""
    headers: dict[str, str] = {}
    _propagator.inject(headers, trace.set_span_in_context(span))
    return tuple(headers.items())
