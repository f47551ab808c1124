"""OpenTelemetry traces of the relay, with the attributes of the gen_ai semantic conventions.

    request       the server span; its parent is the caller's `traceparent` (W3C)
      admission   until the hold of an attempt is placed, or is not
      attempt     a client span from then to its end, one for each channel that is asked
      settlement  from the end of an attempt until it is in the books

The same relay, made of parts that tell what they do: this file is imported only where traces are
on, and a relay without them has no call of it. A span says what a request used and how it ended;
never what it said, nor a header, nor a secret.
"""

import asyncio
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, cast
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from opentelemetry import trace
from opentelemetry.context import Context, get_current
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue
from requests import Session
from requests.adapters import HTTPAdapter

from billing.rules.meters import METERS
from gateway.providers.provider import Provider
from lib.asgi import RESPOND, Message, Receive, Scope, Send
from lib.egress import EgressPolicy
from lib.ids import id_text, new_id, parse_id
from lib.trust import trusted_context
from relay.admission import AdmissionRequest, Verdict
from relay.asgi import Relay
from relay.config import RelayConfig
from relay.database import PipelinedConnection
from relay.endpoints import find_endpoint
from relay.in_process import InProcessRelay
from relay.journal import Journal
from relay.ledger_recovery import LedgerRecovery
from relay.ledger_writer import LedgerWriter
from relay.lifespan import Lifespan
from relay.queue_sink import QueueSink
from relay.request_context import Outcome, RequestContext
from relay.settlement import LateEnding, Resolved, Settled
from relay.snapshot import Channel
from relay.spool import Spool
from relay.upstream import Answer, OutgoingRequest, Upstreams
from relay.websocket import UpstreamSocket
from usage.sql import AttemptOpened, Ending, Refusal

ALL_CHANNELS: Final = "*"
"""In place of a channel's name: whatever channel is asked."""

# As long as the last spans of a process that stops may take.
_FLUSH_S: Final = 5.0
_OPERATIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "chat_completions": "chat",
        "responses": "chat",
        "responses_compact": "chat",
        "messages": "chat",
        "generate_content": "generate_content",
        "stream_generate_content": "generate_content",
        "completions": "text_completion",
        "edits": "text_completion",
        "embed_content": "embeddings",
        "batch_embed_contents": "embeddings",
    }
)
_PROVIDERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "azure_openai": "azure.ai.openai",
        "gemini": "gcp.gemini",
        "xai": "x_ai",
    }
)
# A realtime session is accepted, or refused by a response.
_ANSWERED: Final = frozenset(
    {"http.response.start", "websocket.http.response.start", "websocket.accept"}
)
_SWITCHED: Final = 101
Headers = Sequence[tuple[bytes, bytes]]
_propagator: Final = TraceContextTextMapPropagator()


class TracedRelay(Relay):
    """A relay whose requests are traced. `channels` are the names of those that are sent the
    context of a trace, or `*`; where the spans go, and which, say the variables OTEL_*."""

    def __init__(self, config: RelayConfig, channels: Collection[str], version: str) -> None:
        super().__init__(config)
        self._channels = frozenset(channels)
        self._version = version
        self._provider: TracerProvider | None = None
        self._tracer: Tracer = trace.NoOpTracer()
        self.in_process = _TracedInProcess(self._started, lambda: self._tracer)

    async def start(self) -> None:
        self._provider = _tracer_provider(self._version)
        self._tracer = self._provider.get_tracer("weir", self._version)
        await super().start()

    async def stop(self) -> None:
        await super().stop()
        if self._provider is not None:
            # It waits for a collector that may be away.
            ended = asyncio.create_task(asyncio.to_thread(self._provider.shutdown))
            await asyncio.wait([ended], timeout=_FLUSH_S)

    def _new_life(self) -> Lifespan:
        spans = _Spans(self._tracer)

        def ledger_writer(
            connection: PipelinedConnection, spool: Spool | None, journal: Journal | None
        ) -> LedgerWriter:
            return _TracedLedger(connection, spool, journal, spans)

        return Lifespan(
            self._config,
            ledger_writer=ledger_writer,
            upstreams=_TracedUpstreams(spans, self._channels),
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

            # What is sent as messages passes here.
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
        on_admission: Callable[[], None] | None,
    ) -> Outcome:
        with self._tracer().start_as_current_span("playground", context=Context()) as span:
            outcome = await super()._chat_task(life, make_context, body, sink, on_admission)
            span.set_attribute("weir.request.id", id_text(outcome.request_id))
            if outcome.kind is not None:
                _set_error(span, outcome.kind)
            return outcome


class _Spans:
    """The spans of one process that have begun and not ended, beside those of requests."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        # By the id of the attempt, with the request that it belongs to: streams end in callbacks,
        # whose context is that of whoever opened the connection.
        self._attempts: dict[UUID, tuple[Span, Context]] = {}
        # By the id of the attempt, or of the request that never became one.
        self._settlements: dict[UUID, Span] = {}

    def begin_attempt(self, attempt: AttemptOpened) -> None:
        """Its hold is placed: it goes out."""
        operation = _OPERATIONS.get(attempt.operation, attempt.operation)
        context, request = get_current(), trace.get_current_span()
        request.set_attribute("gen_ai.operation.name", operation)
        request.set_attribute("gen_ai.request.model", attempt.model)
        request.set_attribute("weir.organisation.id", id_text(attempt.organisation_id))
        request.set_attribute("weir.key.id", id_text(attempt.key_id))
        span = self.tracer.start_span(
            f"{operation} {attempt.upstream_model}",
            context=context,
            kind=SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": operation,
                "gen_ai.request.model": attempt.upstream_model,
                "gen_ai.request.stream": attempt.stream,
                "weir.attempt.id": id_text(attempt.id),
                "weir.attempt.number": attempt.n,
                "weir.channel.name": attempt.channel_name,
                "weir.why": attempt.why,
            },
        )
        self._attempts[attempt.id] = span, context

    def attempt(self, attempt_id: UUID) -> Span:
        """The span of an attempt that goes on."""
        known = self._attempts.get(attempt_id)
        return trace.INVALID_SPAN if known is None else known[0]

    def end_attempt(self, ended: Resolved) -> Context:
        """Returns the context of its request."""
        known = self._attempts.pop(ended.attempt_id, None)
        if known is None:
            return Context()
        span, context = known
        _set_ending(span, ended.ending)
        span.end()
        return context

    def begin_settlement(self, item: Settled) -> None:
        """An ending is known, and waits to be written."""
        if isinstance(item, LateEnding):
            return
        context = self.end_attempt(item) if isinstance(item, Resolved) else get_current()
        span = self.tracer.start_span("settlement", context=context)
        span.set_attribute("weir.basis", item.ending.basis)
        span.set_attribute("weir.charge_nano", item.ending.charge_nano)
        if item.ending.kind is not None:
            _set_error(trace.get_current_span(context), item.ending.kind)
        self._settlements[_id_of(item)] = span

    def end_settlements(self, committed: Iterable[Settled]) -> None:
        for item in committed:
            if not isinstance(item, LateEnding):
                span = self._settlements.pop(_id_of(item), None)
                if span is not None:
                    span.end()


class _TracedRecovery(LedgerRecovery):
    def __init__(self, spool: Spool | None, journal: Journal | None, spans: _Spans) -> None:
        super().__init__(spool, journal)
        self._spans = spans

    def note(self, item: Settled) -> None:
        super().note(item)
        self._spans.begin_settlement(item)

    def forget(self, committed: Iterable[Settled]) -> None:
        items = list(committed)
        super().forget(items)
        self._spans.end_settlements(items)


class _TracedLedger(LedgerWriter):
    def __init__(
        self,
        connection: PipelinedConnection,
        spool: Spool | None,
        journal: Journal | None,
        spans: _Spans,
    ) -> None:
        super().__init__(connection, recovery=_TracedRecovery(spool, journal, spans))
        self._spans = spans

    async def admit(self, request: AdmissionRequest) -> Verdict:
        if request.replaces is not None:
            # It is settled by the transaction that admits the next one.
            self._spans.end_attempt(request.replaces)
        with self._spans.tracer.start_as_current_span("admission") as span:
            verdict = await super().admit(request)
            span.set_attribute("weir.verdict", verdict.word)
        if verdict.word == "admitted":
            self._spans.begin_attempt(request.attempt)
        return verdict


class _TracedUpstreams(Upstreams):
    def __init__(self, spans: _Spans, channels: Collection[str]) -> None:
        super().__init__()
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
        request = self._traced(channel, request, attempt_id)
        return await super().post(
            channel, policy, request, attempt_id, key=key, fresh=fresh, on_sent=on_sent
        )

    async def change_over(
        self,
        channel: Channel,
        policy: EgressPolicy,
        request: OutgoingRequest,
        attempt_id: str,
        *,
        key: int,
    ) -> UpstreamSocket:
        request = self._traced(channel, request, attempt_id)
        return await super().change_over(channel, policy, request, attempt_id, key=key)

    def _traced(
        self, channel: Channel, request: OutgoingRequest, attempt_id: str
    ) -> OutgoingRequest:
        """Whom an attempt asks, and what a channel that may know is sent of it."""
        span = self._spans.attempt(cast(UUID, parse_id(attempt_id)))
        span.set_attributes(_server_of(channel.provider, request.url))
        if ALL_CHANNELS not in self._channels and channel.name not in self._channels:
            return request
        return msgspec.structs.replace(
            request, client_headers=(*request.client_headers, *_context_headers(span))
        )


class _HeaderGetter(Getter[Headers]):
    """Reads the header lines of an ASGI scope."""

    def get(self, carrier: Headers, key: str) -> list[str] | None:
        name = key.encode()
        return [value.decode("latin-1") for line, value in carrier if line == name] or None

    def keys(self, carrier: Headers) -> list[str]:
        return [line.decode("latin-1") for line, _ in carrier]


_getter: Final = _HeaderGetter()


def _tracer_provider(version: str) -> TracerProvider:
    """As the variables OTEL_* say: which spans are taken, where they go, and under what name."""
    resource = Resource.create(
        {
            SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME") or "weir",
            SERVICE_VERSION: version,
            SERVICE_INSTANCE_ID: id_text(new_id()),
        }
    )
    # An empty variable is none, as the specification says and compose passes it; the SDK reads it.
    for name in [name for name, value in os.environ.items() if name.startswith("OTEL_")]:
        if not os.environ[name]:
            del os.environ[name]
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(session=_session())))
    return provider


class _TrustingAdapter(HTTPAdapter):
    """What the exporter's client connects by."""

    def init_poolmanager(self, *arguments: Any, **settings: Any) -> None:
        super().init_poolmanager(*arguments, ssl_context=trusted_context(), **settings)


def _session() -> Session:
    session = Session()
    session.mount("https://", _TrustingAdapter())
    return session


def _id_of(item: Resolved | Refusal) -> UUID:
    return item.attempt_id if isinstance(item, Resolved) else item.request_id


def _set_response(span: Span, message: Message) -> None:
    """The head of the answer."""
    status = message.get("status", _SWITCHED)
    span.set_attribute("http.response.status_code", status)
    for name, value in message["headers"]:
        if name == b"x-request-id":
            span.set_attribute("weir.request.id", value.decode())
            if message["type"] == "websocket.accept":
                # That of the session, of which each response is a request.
                span.set_attribute("gen_ai.conversation.id", value.decode())
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))


def _set_error(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))


def _set_ending(span: Span, ending: Ending) -> None:
    meters: dict[str, int] = msgspec.json.decode(ending.meters)
    found: dict[str, AttributeValue] = {"weir.basis": ending.basis}
    if meters:
        found |= _usage(meters)
    if ending.finish_reason:
        found["gen_ai.response.finish_reasons"] = [ending.finish_reason]
    if ending.ttft_ms is not None:
        found["gen_ai.response.time_to_first_chunk"] = ending.ttft_ms / 1000
    if ending.flags:
        found["weir.flags"] = list(ending.flags)
    span.set_attributes(found)
    if ending.kind is not None:
        _set_error(span, ending.kind)


def _usage(meters: Mapping[str, int]) -> dict[str, AttributeValue]:
    """Tokens of the conventions: each of them is counted in one sum of them all."""
    sums = {"in": 0, "out": 0}
    for name, quantity in meters.items():
        meter = METERS.get(name)
        if meter is not None and meter.unit == "token":
            sums[meter.side] += quantity
    return {
        "gen_ai.usage.input_tokens": sums["in"],
        "gen_ai.usage.output_tokens": sums["out"],
        "gen_ai.usage.cache_read.input_tokens": meters.get("in_cache_read", 0),
        "gen_ai.usage.reasoning.output_tokens": meters.get("out_reasoning", 0),
    }


def _server_of(provider: Provider, url: str) -> dict[str, AttributeValue]:
    """Whom an attempt asks, as far as its address can be read."""
    found: dict[str, AttributeValue] = {
        "gen_ai.provider.name": _PROVIDERS.get(provider.name, provider.name)
    }
    try:
        parts = urlsplit(url)
        found["server.address"] = parts.hostname or ""
        found["server.port"] = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        # The attempt will fail for it, and say so.
        pass
    return found


def _context_headers(span: Span) -> Sequence[tuple[str, str]]:
    """What tells the next server of this span."""
    headers: dict[str, str] = {}
    _propagator.inject(headers, trace.set_span_in_context(span))
    return tuple(headers.items())
