"""Count the tokens of a request: ask an upstream of the same dialect, or else estimate. Counting is
free: no hold, no attempt, no record.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

from dialects.anthropic import count_tokens as anthropic_count
from dialects.anthropic.request import foreign_thoughts
from dialects.anthropic.request import read as anthropic_request
from dialects.chat.chat import Dialect
from dialects.chat.operation import Operation
from dialects.codec import JSON, Codec, Target
from dialects.gemini import count_tokens as gemini_count
from dialects.json.body import Body
from dialects.responses import input_tokens as responses_count
from dialects.responses.request import read as responses_request
from gateway.breaker.faults import FAULTS
from gateway.channel_order.channel_order import Candidate
from gateway.providers.codecs import codec_for
from gateway.providers.models import capabilities_of
from gateway.providers.provider import BadAddress
from lib.ids import id_text, new_id
from relay.context.context import RequestContext
from relay.counting.estimates import estimate_tokens
from relay.counting.tokenizer import count_request
from relay.counting.vocabularies import family_of
from relay.downstream.downstream import ErrorAnswer, Head
from relay.preparation.translator import overridden_headers, passed_headers
from relay.upstream.failures import UpstreamFailed
from relay.upstream.outgoing import OutgoingRequest

_COUNT_S: Final = 30.0
_TRIES_MAX: Final = 2
_COUNT_BYTES_MAX: Final = 64 * 1024
# The estimate of a part other than text.
_PART_TOKENS: Final = 1_500


class CountFacts(Protocol):
    """The facts that counting a request requires."""

    @property
    def model(self) -> str: ...
    @property
    def body(self) -> Body: ...
    @property
    def text_bytes(self) -> int: ...
    @property
    def media(self) -> Mapping[Any, int]: ...


class Counter(NamedTuple):
    """Counts tokens in one dialect."""

    operation: Operation
    read: Callable[[bytes, Target], CountFacts]
    edit: Callable[[Any, str], bytes]
    read_answer: Callable[[bytes], int | None]
    write_answer: Callable[[int], bytes]


def _edit_anthropic(facts: anthropic_request.ChatFacts, model: str) -> bytes:
    quirks = foreign_thoughts.quirks_for(facts.body, model)
    return anthropic_request.edit(facts, model, quirks=quirks)


COUNTERS: Final[Mapping[Dialect, Counter]] = MappingProxyType(
    {
        "anthropic": Counter(
            "count_tokens",
            lambda raw, target: anthropic_request.read_counting(raw),
            _edit_anthropic,
            anthropic_count.read_count,
            anthropic_count.write_count,
        ),
        "gemini": Counter(
            "gemini_count_tokens",
            lambda raw, target: gemini_count.read_request(raw, model=target.model),
            gemini_count.edit,
            gemini_count.read_answer,
            gemini_count.write_answer,
        ),
        "responses": Counter(
            "responses_input_tokens",
            lambda raw, target: responses_count.read_request(raw),
            responses_request.edit,
            responses_count.read_count,
            responses_count.write_count,
        ),
    }
)


async def count_tokens(
    context: RequestContext,
    counter: Counter,
    facts: CountFacts,
    model: str,
    candidates: list[Candidate],
) -> None:
    """Answer with the count of the first candidate that returns one, or with an estimate. `model`
    is the name in the catalogue."""
    raw: bytes | None = None
    context.deadline.limit("total", _COUNT_S)
    try:
        raw = await _request_count(context, counter, facts, model, candidates)
    except UpstreamFailed as failure:
        await context.downstream.refuse(
            ErrorAnswer(failure.kind, failure.status, failure.message, failure.param, failure.code)
        )
        return
    except asyncio.CancelledError:
        if context.deadline.caught() is None:
            raise
    if raw is None:
        raw = counter.write_answer(_estimate(context, facts, model, candidates))
    if not context.downstream.client_gone:
        head = Head(JSON, 0, None, 0, notices=context.downstream.notices)
        answer = context.invocation.codec.write_count(raw)
        await context.downstream.sink.answer(head, answer)


def _estimate(
    context: RequestContext, facts: CountFacts, model: str, candidates: list[Candidate]
) -> int:
    """Return our own count, by the rules of the first candidate's model."""
    family = family_of(model)
    if candidates:
        provider = context.snapshot.channels[candidates[0].channel_id].provider
        family = family_of(candidates[0].upstream_model, provider.chat_template)
    counted = count_request(facts.body.raw, family)
    if counted is None:
        return estimate_tokens(facts.text_bytes) + sum(facts.media.values()) * _PART_TOKENS
    others = sum(parts for kind, parts in facts.media.items() if kind != "image")
    return counted + others * _PART_TOKENS


async def _request_count(
    context: RequestContext,
    counter: Counter,
    facts: CountFacts,
    model: str,
    candidates: list[Candidate],
) -> bytes | None:
    """Return an upstream's answer, or None if no upstream can count. Raises UpstreamFailed for an
    error in the client's own request."""
    client, snapshot = context.invocation.codec, context.snapshot
    tries = 0
    for candidate in candidates:
        channel = snapshot.channels[candidate.channel_id]
        upstream = channel.provider.aliases.get(candidate.upstream_model, candidate.upstream_model)
        owner = capabilities_of(upstream, channel.provider, model).owner
        if tries == _TRIES_MAX or not channel.provider.speaks(client.name, owner):
            continue
        codec = codec_for(channel.provider, client.name)
        counted = codec.count_model(upstream)
        if counted is None:
            continue
        try:
            url = channel.address.url(counter.operation, counted)
        except BadAddress:
            continue
        tries += 1
        client_headers = passed_headers(channel, client, context.invocation.headers)
        if isinstance(codec, Codec):
            client_headers = codec.forwarded_headers(client_headers)
        if channel.overrides is not None:
            headers = overridden_headers(context, channel.overrides, model)
            client_headers = tuple((dict(client_headers) | headers).items())
        body = codec.count_request(counter.edit(facts, upstream))
        request = OutgoingRequest(codec, url, body, JSON, client_headers)
        key = context.parts.health.usable_key(candidate, context.principal.organisation_id)
        try:
            answer = await context.parts.upstreams.post(
                channel, snapshot.egress, request, id_text(new_id()), key=key, fresh=False
            )
        except UpstreamFailed as failure:
            if FAULTS[failure.fault].next == "never":
                raise
            continue
        try:
            raw = b""
            while (piece := await answer.next_bytes()) and len(raw) < _COUNT_BYTES_MAX:
                raw += piece
        except UpstreamFailed:
            raw = b""
        finally:
            answer.release()
        raw = codec.count_answer(raw)
        if counter.read_answer(raw) is not None:
            return raw
    return None
