"""`POST /pg/chat/completions`: the chat endpoint for the signed-in session of a page.

It responds like /v1/chat/completions, with the organisation's playground key. The session
identifies the caller and requires the CSRF token; API keys are ignored.
"""

from collections.abc import AsyncGenerator, AsyncIterator

import msgspec
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_POST

from accounts.access.actors import Actor, organisation_of, person_of
from accounts.guards.guards import session_page
from accounts.guards.stream_access import AccessEnded, MayRead, read_while, reader_of
from accounts.keys.keys import playground_key
from billing.currency.money import format_usd
from dialects.errors.errors import KINDS, RequestFault
from dialects.errors.kinds import ErrorKind
from dialects.json.not_json import NOT_JSON
from dialects.openai import errors
from lib.database.async_database import run_in_database
from lib.ids import id_text, new_id
from lib.refusal import Refused
from playground.payers.payer_rules import check_playground_key
from playground.relaying.relaying import relay_of
from relay.downstream.downstream import Head
from relay.requests.outcome import Outcome


@session_page("playground.use")
@require_POST
async def pg_chat(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    try:
        await run_in_database(check_playground_key, actor)
    except Refused as refused:
        return _refusal("permission", KINDS["permission"].status, refused.message)
    key = await run_in_database(playground_key, organisation_of(actor))
    relay = relay_of(request)
    request_id = new_id()
    try:
        principal = await relay.principal_of_key(key.id, person_of(actor).id)
    except RequestFault as fault:
        return _refusal(fault.kind, KINDS[fault.kind].status, fault.message)
    body = _remove_group(request.body)
    stream = relay.chat(principal, body, source="playground", request_id=request_id)
    first = await anext(stream)
    if isinstance(first, Outcome):
        kind: ErrorKind = first.kind or "internal"  # type: ignore[assignment]
        response: HttpResponseBase = _refusal(kind, first.status, first.message)
    elif isinstance(first, Head) and first.content_type.startswith("text/event-stream"):
        response = StreamingHttpResponse(
            _bytes_while(_bytes(stream), reader_of(request, actor, "playground.use")),
            content_type=first.content_type,
        )
        response["X-Accel-Buffering"] = "no"
    else:
        content = b"".join([chunk async for chunk in _bytes(stream)])
        response = HttpResponse(content, content_type="application/json")
    response["x-request-id"] = id_text(request_id)
    if isinstance(first, Head):
        response["x-weir-hold"] = format_usd(first.hold_nano)
    return response


def _remove_group(body: bytes) -> bytes:
    """Remove `group`, which the session determines."""
    if b'"group"' not in body:
        return body
    try:
        members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except NOT_JSON:
        return body  # the relay reports what is wrong with it
    members.pop("group", None)
    return msgspec.json.encode(members)


async def _bytes_while(stream: AsyncGenerator[bytes], may_read: MayRead) -> AsyncIterator[bytes]:
    """End the stream with an error when the session ends, as for a key that ends (P11)."""
    try:
        async for chunk in read_while(stream, may_read):
            yield chunk
    except AccessEnded:
        yield errors.error_frame("authentication", "Your access has ended. Sign in again.")


async def _bytes(stream: AsyncIterator[Head | bytes | Outcome]) -> AsyncGenerator[bytes]:
    async for item in stream:
        if isinstance(item, bytes):
            yield item


def _refusal(kind: ErrorKind, status: int, message: str) -> HttpResponse:
    body = errors.render(kind, message)
    return HttpResponse(body, status=status, content_type="application/json")
