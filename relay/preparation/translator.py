"""How one request goes to one channel: as it came, or translated.

    client's dialect = channel's    the bytes are forwarded, edited in place, without decoding
    otherwise                       decoded once per request, encoded per attempt

A request for a whole answer is also translated if the model can only stream, and so is one whose
model name sets the thinking effort in a dialect that cannot express it in place.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import msgspec

from dialects.chat.chat import (
    Base64,
    ChatRequest,
    Dialect,
    Flag,
    JsonObject,
    Reasoning,
    Upstream,
)
from dialects.chat.operation import Needs, Operation
from dialects.chat.reasoning_seals import (
    calls_without_reasoning,
    decode_reasoning,
    restore_reasoning,
)
from dialects.chat.tool_names import fit_names
from dialects.chat.turns import replace_urls
from dialects.codec import EVENT_STREAM, JSON, Codec, Facts, Target
from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import RequestFault
from dialects.errors.masking import quote_value
from dialects.json.body import NO_QUIRKS, Quirks
from gateway.channel_order.channel_order import Candidate
from gateway.channels.overrides.rules import RequestOverrides, is_header_value
from gateway.providers.capabilities import Capabilities, Modality, Trait
from gateway.providers.codecs import codec_for
from gateway.providers.models import capabilities_of, lowered_cap, unread
from gateway.providers.overrides import Overrides, apply_overrides, switched_off
from gateway.providers.provider import BadModelName, NotOffered, Provider
from gateway.providers.suffixes import RequestedModel, apply_suffix
from gateway.providers.targets import dialect_for, must_stream, needs_of, upstream_of
from lib.ids import id_text
from lib.network.egress import EgressPolicy
from relay.catalogue.snapshot import Channel
from relay.context.context import RequestContext
from relay.errors import DatabaseFailed
from relay.guarding.operations import GUARDED
from relay.operations.unary import Exchange, Passing, UnaryFacts
from relay.operations.video_callbacks import add_callback
from relay.preparation.continuation import Continuation
from relay.preparation.file_fetching import fetch
from relay.preparation.fitting_overrides import fit_overrides
from relay.preparation.prepared import (
    AnswerTraits,
    ExchangeBody,
    ForwardedBody,
    PreparedRequest,
    TranslatedBody,
)
from relay.requests.invocation import OtherOperation

_THOUGHT_RULE: Final[Flag] = "reasoning_content_rule"
_CONTENT: Final[Mapping[Modality, str]] = MappingProxyType(
    {"image": "an image", "audio": "audio", "video": "a video"}
)
_OUTSIDE: Final[Trait] = "usage_reasoning_outside"
_TAGS: Final[Trait] = "think_tags"
_WITH_TOOLS: Final = frozenset({"tools", "prompt"})


_NOTHING: Final[Mapping[str, Base64]] = MappingProxyType({})


FetchFiles = Callable[[Sequence[str], EgressPolicy], Awaitable[dict[str, Base64]]]


class _Destination(msgspec.Struct, frozen=True):
    """A model at a channel, and its capabilities."""

    channel: Channel
    model: str
    capabilities: Capabilities

    def upstream(self, dialect: Dialect) -> Upstream:
        """Return the destination in the form that a dialect's encoder needs."""
        return upstream_of(self.channel.provider, dialect, self.model, self.capabilities)


class RequestTranslator:
    """One client request, prepared for each channel that it may be sent to. `cap_max` limits the
    output of a request without a cap, if the upstream requires one; `continuation` is what a
    request in the responses dialect continues; `fetch_files` fetches files by URL."""

    __slots__ = (
        "_cap_max",
        "_context",
        "_decoded_request",
        "_facts",
        "_fetch_files",
        "_fetched",
        "_model",
        "continuation",
    )

    def __init__(
        self,
        context: RequestContext,
        facts: Facts,
        model: RequestedModel,
        *,
        cap_max: int,
        continuation: Continuation | None = None,
        fetch_files: FetchFiles = fetch,
    ) -> None:
        self.continuation = continuation
        self._fetch_files = fetch_files
        self._context = context
        self._facts = facts
        self._model = model
        self._cap_max = cap_max
        # Created when the first channel needs it.
        self._decoded_request: ChatRequest | None = None
        # The files that the request refers to, by URL.
        self._fetched: Mapping[str, Base64] = _NOTHING

    def prepare(self, candidate: Candidate) -> Awaitable[PreparedRequest]:
        """Return the request as a candidate will be sent it. Raises RequestFault if this candidate
        cannot serve it."""
        channel = self._context.snapshot.channels[candidate.channel_id]
        if channel.overrides is None:
            return self._prepared(channel, candidate)
        return self._apply_overrides(channel, channel.overrides, candidate)

    async def _prepared(self, channel: Channel, candidate: Candidate) -> PreparedRequest:
        unary = self._context.invocation.unary
        if unary is not None and isinstance(self._facts, UnaryFacts):
            return self._prepare_unary(unary, self._facts, channel, candidate)
        destination = self._destination(channel, candidate)
        dialect, stream = self._dialect(destination)
        codec = self._forwarding_codec(channel)
        operation = self._forwardable(destination, codec, dialect, stream=stream)
        thinking: JsonObject | None = None
        if operation is not None and self._model.reasoning is not None:
            client = self._context.invocation.codec
            thinking = client.thinking(self._model.reasoning, destination.upstream(dialect))
            if thinking is None:
                operation = None
        if operation is None:
            codec = codec_for(channel.provider, dialect)
            return await self._prepare_translated(destination, codec, stream=stream)
        quirks = NO_QUIRKS
        if codec.needs_fit(self._facts, destination.capabilities.flags):
            quirks = await self._quirks(codec, destination)
        return self._forwarded(destination, codec, operation, thinking, quirks, stream=stream)

    async def _apply_overrides(
        self, channel: Channel, overrides: RequestOverrides, candidate: Candidate
    ) -> PreparedRequest:
        """Apply the channel's overrides. Raises RequestFault for a field that it refuses."""
        refused = overrides.refused_field(self._facts.body)
        if refused is not None:
            what = f"{refused} is not accepted by the channels of model {self._model.name}"
            raise RequestFault("unsupported_capability", refused, what)
        overrides = fit_overrides(self._context, overrides, self._model.name)
        prepared = await self._prepared(channel, candidate)
        headers = overridden_headers(self._context, overrides, self._model.name)
        return msgspec.structs.replace(
            prepared,
            client_headers=tuple((dict(prepared.client_headers) | headers).items()),
            overrides=overrides,
            dropped_fields=tuple(overrides.dropped_fields(self._facts.body)),
        )

    # ---- the destination

    def _destination(self, channel: Channel, candidate: Candidate) -> _Destination:
        """Return the model at a channel, with its capabilities. Raises RequestFault if the model
        lacks a capability that the request needs."""
        model = candidate.upstream_model
        capabilities = capabilities_of(model, channel.provider, self._model.name)
        if candidate.overrides:
            self._check_switches(candidate.overrides)
            capabilities = apply_overrides(capabilities, candidate.overrides)
        if self._facts.media:
            self._check_senses(model, capabilities)
        return _Destination(channel, model, capabilities)

    def _dialect(self, destination: _Destination) -> tuple[Dialect, bool]:
        """Return the dialect of the upstream, and whether to request a stream."""
        channel, capabilities = destination.channel, destination.capabilities
        dialect, stream = self._context.invocation.codec.name, self._facts.stream
        if not channel.provider.speaks(dialect, capabilities.owner) or capabilities.traits:
            needs = self._routing_needs(channel)
            dialect = dialect_for(channel.provider, capabilities, dialect, needs)
            stream = stream or must_stream(capabilities, needs)
        return dialect, stream

    def _forwardable(
        self, destination: _Destination, codec: Codec[Any], dialect: Dialect, *, stream: bool
    ) -> Operation | None:
        """Return the facts to forward unchanged; None if the request must be translated."""
        client, target = self._context.invocation.codec, self._context.invocation.target
        if dialect != client.name or stream != self._facts.stream:
            return None
        operation = codec.operation(target, stream=stream)
        if operation is None:
            return None
        offered = has_operation(destination.channel, operation, destination.capabilities)
        return operation if offered else None

    def _forwarding_codec(self, channel: Channel) -> Codec[Any]:
        """Return the codec of a forwarded request: the provider's own form of the client's dialect,
        else the client's."""
        client = self._context.invocation.codec
        spoken = channel.provider.dialects.get(client.name)
        return client if spoken is None else spoken.codec or client

    # ---- the three forms

    def _forwarded(
        self,
        destination: _Destination,
        codec: Codec[Any],
        operation: Operation,
        thinking: JsonObject | None,
        quirks: Quirks,
        *,
        stream: bool,
    ) -> PreparedRequest:
        invocation, continuation = self._context.invocation, self.continuation
        channel, capabilities = destination.channel, destination.capabilities
        model = channel.provider.aliases.get(destination.model, destination.model)
        facts = self._facts if continuation is None else continuation.facts_for(channel.id)
        traits, openai = capabilities.traits, codec.name == "openai"
        headers = passed_headers(channel, codec, invocation.headers)
        request: ChatRequest | None = None
        guarding = self._context.guarding
        if guarding is not None and guarding.reads_answers and operation in GUARDED:
            # The bytes are forwarded, and the answer is decoded.
            request = self._answer_request()
        if headers:
            quirks = codec.fit_headers(facts, quirks, dict(headers))
            headers = codec.forwarded_headers(headers)
        return PreparedRequest(
            codec=codec,
            url=_url(channel, operation, model, self._model.name),
            content_type=codec.content_type(Target(), stream=stream),
            stream=stream,
            client_headers=headers,
            body=ForwardedBody(facts, model, thinking, quirks, quirks.dropped),
            traits=AnswerTraits(
                self._requested_model(model),
                thinks=capabilities.may_think,
                think_tags=openai and _TAGS in traits,
                normalises_usage=openai and _OUTSIDE in traits and request is None,
                # Only what led to calls is kept. A provider's stored prompt may have tools.
                seals=request is not None
                and bool(request.tools or not _WITH_TOOLS.isdisjoint(facts.body.members)),
                thoughts=_THOUGHT_RULE in capabilities.flags,
            ),
            request=request,
        )

    async def _quirks(self, client: Codec[Any], destination: _Destination) -> Quirks:
        """Return the model's special requirements for this request."""
        thoughts = await self._thoughts(client, destination.capabilities.flags)
        return client.quirks_for(self._facts, destination.upstream(client.name), thoughts)

    def _prepare_unary(
        self, unary: OtherOperation, facts: UnaryFacts, channel: Channel, candidate: Candidate
    ) -> PreparedRequest:
        context, client = self._context, self._context.invocation.codec
        model = channel.provider.aliases.get(candidate.upstream_model, candidate.upstream_model)
        sending = add_callback(
            unary.send(facts, channel.address.urls, model, id_text(context.request_id)),
            context.parts.config.public_url,
        )
        codec = sending.errors or CODECS[sending.dialect]
        forwards = codec.name == client.name
        # A provider may be silent for minutes before the first bytes of a picture.
        streams = isinstance(sending.exchange, Passing) and facts.stream
        return PreparedRequest(
            codec=codec,
            url=_url(channel, sending.operation, model, self._model.name) + sending.path,
            content_type=EVENT_STREAM if streams else JSON,
            stream=streams,
            client_headers=(
                passed_headers(channel, codec, context.invocation.headers) if forwards else ()
            )
            + _accept_header(sending.exchange)
            + sending.headers,
            body=ExchangeBody(sending.encoded, sending.files),
            traits=AnswerTraits(self._requested_model(model), thinks=streams),
            exchange=sending.exchange,
        )

    async def _prepare_translated(
        self, destination: _Destination, codec: Codec[Any], *, stream: bool
    ) -> PreparedRequest:
        client, channel, capabilities = (
            self._context.invocation.codec,
            destination.channel,
            destination.capabilities,
        )
        request = self._neutral_request()
        upstream, lowered = self._apply_cap(destination, destination.upstream(codec.name), request)
        request = await self._with_files(codec, request)
        translates, wants_thoughts = codec.name != client.name, _THOUGHT_RULE in capabilities.flags
        if translates or wants_thoughts:
            request = restore_reasoning(
                request, await self._recall(calls_without_reasoning(request))
            )
        request = msgspec.structs.replace(request, stream=stream)
        operation = codec.upstream_operation(stream=stream)
        url = _url(channel, operation, upstream.model, self._model.name)
        fitting, tool_names = fit_names(request, codec.tool_name_max)
        encoded, undecoded = codec.encode(fitting, upstream), client.undecoded_fields(self._facts)
        return PreparedRequest(
            codec=codec,
            url=url,
            content_type=codec.content_type(Target(), stream=stream),
            stream=stream,
            client_headers=(),
            body=TranslatedBody(fitting, upstream, encoded, undecoded),
            traits=AnswerTraits(
                self._requested_model(upstream.model),
                thinks=capabilities.may_think,
                think_tags=codec.name == "openai" and _TAGS in capabilities.traits,
                seals=translates,
                thoughts=wants_thoughts,
            ),
            request=request,
            tool_names=tool_names,
            lowered=lowered,
        )

    def _apply_cap(
        self, destination: _Destination, upstream: Upstream, request: ChatRequest
    ) -> tuple[Upstream, int | None]:
        """Apply the output cap. Also return the cap that replaces a client's cap above the model's
        limit.
        """
        if request.output_cap is None and (upstream.output_max or 0) > self._cap_max:
            # A cap that we add ourselves may not exceed the hold.
            upstream = replace(upstream, output_max=self._cap_max)
        # Clients send the limit of the model that they know.
        lowered = lowered_cap(destination.model, destination.capabilities, request.output_cap)
        return upstream if lowered is None else replace(upstream, output_cap=lowered), lowered

    async def _with_files(self, codec: Codec[Any], request: ChatRequest) -> ChatRequest:
        """Include the files that an upstream of this dialect does not fetch itself."""
        urls = codec.urls_to_fetch(request)
        missing = [url for url in urls if url not in self._fetched]
        if missing:
            more = await self._fetch_files(missing, self._context.snapshot.egress_users)
            self._fetched = {**self._fetched, **more}
        return replace_urls(request, self._fetched) if urls else request

    # ---- requirements

    def _check_switches(self, overrides: Overrides) -> None:
        """Check that an operator has not disabled at this channel what the request uses. Raises
        RequestFault."""
        facts = self._facts
        tools = facts.body.value("tools") not in (None, b"[]")
        off = switched_off(overrides, facts.media, tools=tools)
        if off is not None:
            message = f"model {self._model.name} has no {off}: an operator has turned it off"
            raise RequestFault(
                "unsupported_capability", "tools" if off == "tools" else None, message
            )

    def _check_senses(self, model: str, capabilities: Capabilities) -> None:
        """Check that the model accepts the request's kinds of content. Raises RequestFault."""
        kind = unread(model, capabilities, self._facts.media)
        if kind is not None:
            message = (
                f"model {self._model.name} reads text only and cannot take {_CONTENT[kind]}: leave "
            )
            message += "it out of the conversation, or use a model that can"
            raise RequestFault("unsupported_capability", None, message)

    def _routing_needs(self, channel: Channel) -> Needs:
        client, settings = self._context.invocation.codec, self._model.reasoning
        if client.name in channel.provider.dialects:
            needs = client.needs(self._facts)
            effort = None if settings is None else settings.effort
            return needs if effort is None else replace(needs, effort=effort)
        return needs_of(self._neutral_request())

    def _neutral_request(self) -> ChatRequest:
        """Return the request in neutral form. Raises RequestFault."""
        if self._decoded_request is None:
            context, invocation = self._context, self._context.invocation
            request = invocation.codec.decode(
                self._facts, invocation.target, id_text(context.request_id), int(time.time())
            )
            self._decoded_request = msgspec.structs.replace(
                request,
                model=self._model.name,
                reasoning=apply_suffix(self._model.reasoning, request.reasoning),
                continues=None if self.continuation is None else self.continuation.previous_id,
            )
        return self._decoded_request

    def _answer_request(self) -> ChatRequest:
        """Return the request by which the client's answer is written. Raises RequestFault."""
        context, facts = self._context, self._facts
        known = self._decoded_request
        if known is None and self.continuation is None:
            known = context.invocation.codec.answer_request(
                facts, self._model.name, id_text(context.request_id), int(time.time())
            )
        return known or self._neutral_request()

    def _requested_model(self, upstream_model: str) -> str:
        return "" if upstream_model == self._model.name else self._facts.model

    async def _thoughts(self, client: Codec[Any], flags: frozenset[Flag]) -> Mapping[str, str]:
        """Return the reasoning texts that an upstream requires back and the client does not
        have.
        """
        if _THOUGHT_RULE not in flags:
            return {}
        known = await self._recall(client.calls_without_reasoning(self._facts))
        return {id_: "".join(part.text for part in parts) for id_, parts in known.items()}

    async def _recall(self, calls: Sequence[str]) -> Mapping[str, Sequence[Reasoning]]:
        """Return the stored reasoning behind these calls; nothing if the store cannot be read
        soon."""
        if not calls:
            return {}
        context = self._context
        try:
            kept = await context.parts.states.find(context.principal, "seal", calls)
        except DatabaseFailed:
            return {}
        return {id_: decode_reasoning(content) for id_, content in kept.items()}


def _accept_header(exchange: Exchange | Passing) -> tuple[tuple[str, str], ...]:
    """Return the Accept header for an answer other than JSON."""
    other = isinstance(exchange, Passing) and JSON not in exchange.content_types
    return (("accept", "*/*"),) if other else ()


def _url(channel: Channel, operation: Operation, model: str, model_name: str) -> str:
    try:
        return channel.address.url(operation, model)
    except BadModelName:
        raise RequestFault("model_not_found", "model", "", model=model_name) from None
    except NotOffered:
        message = f"model {quote_value(model_name)} does not chat: its provider does not offer it"
        raise RequestFault("unsupported_capability", "model", message) from None


def has_operation(channel: Channel, operation: Operation, capabilities: Capabilities) -> bool:
    """Return whether a model at a channel offers an operation in the client's form."""
    if operation not in channel.address.urls:
        return False
    # A text completion has no place for a system prompt.
    return operation != "completions" or not (capabilities.chat_only or channel.has_prompt)


def passed_headers(
    channel: Channel, codec: Codec[Any], headers: Sequence[tuple[bytes, bytes]]
) -> tuple[tuple[str, str], ...]:
    """Return the client's headers that are forwarded to a channel of the same dialect."""
    wanted = channel.passed_headers[codec.name]
    if not wanted:
        return ()
    client_headers = tuple([pair for pair in headers if pair[0] in wanted])
    return _read_passed(channel.provider, codec.name, client_headers) if client_headers else ()


def overridden_headers(
    context: RequestContext, overrides: RequestOverrides, model: str
) -> dict[str, str]:
    """Return the channel's own headers, and the client's headers that it forwards in any
    dialect.
    """
    overrides = fit_overrides(context, overrides, model)
    principal, headers = context.principal, dict[str, str]()
    for line, value in context.invocation.headers:
        if line in overrides.passed and is_header_value(text := value.decode("latin-1")):
            name = line.decode()
            headers[name] = f"{headers[name]},{text}" if name in headers else text
    if overrides.headers or overrides.when:
        headers |= overrides.written_headers(
            {
                "request_id": id_text(context.request_id),
                "organisation": id_text(principal.organisation_id),
                "key": id_text(principal.key_id),
                "user": "" if principal.user_id is None else str(principal.user_id),
                "model": model,
            }
        )
    return headers


# A client sends the same headers each time.
@lru_cache(1024)
def _read_passed(
    provider: Provider, dialect: Dialect, headers: Sequence[tuple[bytes, bytes]]
) -> tuple[tuple[str, str], ...]:
    answer_headers: dict[str, str] = {}
    for line, value in headers:
        name, text = line.decode(), value.decode("latin-1")
        # A list header may be split over several lines.
        answer_headers[name] = f"{answer_headers[name]},{text}" if name in answer_headers else text
    return tuple(provider.passed_headers(dialect, answer_headers).items())
