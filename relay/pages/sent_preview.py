"""Show what a channel would be sent for a request, without sending it. The same code as for a real
request reads, prepares and writes it."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from dialects.errors.errors import RequestFault
from gateway.channel_order import channel_order
from lib.ids import id_text, new_id
from relay.attempts.request_reader import RequestReader
from relay.catalogue.snapshot import Channel
from relay.context.context import RequestContext
from relay.downstream.downstream import ErrorAnswer
from relay.downstream.error_answers import answer_to
from relay.preparation.continuation import continue_request
from relay.preparation.file_fetching import leave_files
from relay.preparation.translator import RequestTranslator
from relay.upstream.upstream import request_head

MASK: Final = "*" * 8
"""The placeholder for a channel's key."""


class SentPreview(NamedTuple):
    """The request that a channel would be sent, or the client's error instead. `dropped` are the
    parameters that the channel's API does not have."""

    url: str = ""
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    dropped: Sequence[str] = ()
    refusal: ErrorAnswer | None = None


async def preview_sent(context: RequestContext, channel: Channel, raw: bytes) -> SentPreview:
    """Return what the only channel in the context's catalogue would be sent for this body. Raises
    DatabaseFailed."""
    try:
        return await _preview(context, channel, raw)
    except RequestFault as fault:
        return SentPreview(refusal=answer_to(fault))


async def _preview(context: RequestContext, channel: Channel, raw: bytes) -> SentPreview:
    reader = RequestReader(context)
    facts = reader.read_facts(raw)
    continued = context.invocation.codec.continuation_of(facts)
    continuation = None if continued is None else await continue_request(context, continued)
    facts = facts if continuation is None else continuation.facts
    model = reader.find_model(facts.model)
    translator = RequestTranslator(
        context,
        facts,
        model,
        cap_max=context.parts.config.output_tokens_assumed,
        continuation=continuation,
        fetch_files=leave_files,
    )
    candidate = channel_order.plan(model.name, context.snapshot.routes_of(model.name), seed=0)[0]
    prepared = await translator.prepare(candidate)
    request = prepared.outgoing(None)
    head = request_head(channel, request, id_text(new_id()))
    lines = head.decode().split("\r\n")[1:-2]
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    return SentPreview(request.url, headers, request.body, prepared.dropped)
