"""Create a client secret, in any of its forms: it opens realtime connections as the key that asks
for it, in a browser that must not have the key. Nothing is held or charged: its connections are. It
counts as a request of the key's minute, and leaves a record.
"""

from typing import Any, Final

from dialects.chat.operation import Operation
from dialects.codec import Target
from dialects.endpoints.client_secrets import read_request, write_answer
from dialects.errors.errors import RequestFault
from lib.ids import id_text
from relay.attempts.request_reader import RequestReader
from relay.context.context import RequestContext
from relay.context.records import record_answer
from relay.credentials import client_secrets
from relay.credentials.client_secrets import CONTENT_BYTES_MAX, ClientSecret, SecretTooLong
from relay.front.request import Request
from relay.operations.unary import not_offered
from relay.realtime.hold_sizes import first_bound
from relay.realtime.operation import Realtime
from relay.requests.options import RequestOptions
from relay.routing.routing import route

_OPERATION: Final = "client_secret"
"""What its record is called: not a connection, which it opens."""


async def create_client_secret(request: Request) -> None:
    """Answer with a client secret. Raises RequestFault if the key may not open such connections, or
    has reached its limit of requests; DatabaseFailed.
    """
    headers = request.read_headers()
    wanted = read_request(await request.read_body(headers))
    options = request.options_of(headers)
    context = request.make_context(request.invocation, options)
    secret = new_secret(
        request, options, wanted.session, int(context.snapshot.now()) + wanted.seconds
    )
    text = await issue(context, request, secret, wanted.model, "session")
    id = id_text(request.sink.request_id)
    await request.respond(write_answer(text, secret.expires_at, secret.session, id))


async def issue(
    context: RequestContext, request: Request, secret: ClientSecret, model: str, member: str
) -> str:
    """Return the text of a secret for sessions of a model, "" for any; its settings are a member of
    the request. Raises RequestFault, DatabaseFailed.
    """
    operation: Operation = "realtime" if secret.token is None else "bidi_generate_content"
    if model:
        _check_model(context, model, operation)
    try:
        text = client_secrets.seal(request.life.config.pepper, secret)
    except SecretTooLong as too_long:
        what = (
            f"{member} has {too_long.size} bytes with its labels, and a client secret has room for "
            f"{CONTENT_BYTES_MAX}: leave out what the session may set"
        )
        raise RequestFault("invalid_value", member, what) from None
    await request.life.count_request(request.principal)
    record_answer(context, model, _OPERATION)
    return text


def _check_model(context: RequestContext, model: str, operation: Operation) -> None:
    """Raise RequestFault if the key could open no connection of this model, whichever channel is
    available now.
    """
    named = RequestReader(context).find_model(model)
    facts = Realtime(first_bound(context.snapshot, named.name)).read(b"{}", Target(named.name))
    channels = context.snapshot.channels
    routed = route(context, facts, named, whatever_rests=True)
    if not any(operation in channels[one.channel_id].address.urls for one in routed.candidates):
        kind = "realtime connections" if operation == "realtime" else "live sessions"
        raise not_offered(facts, kind)


def new_secret(
    request: Request, options: RequestOptions, session: dict[str, Any], expires_at: int
) -> ClientSecret:
    """Return a secret that ends with its key, or before."""
    principal = request.principal
    if principal.expires_at is not None:
        expires_at = min(expires_at, int(principal.expires_at))
    return ClientSecret(
        digest=principal.digest,
        expires_at=expires_at,
        session=session,
        labels=options.labels,
        data_policy=options.data_policy,
        max_cost_nano=options.max_cost_nano,
        session_cap_nano=options.session_cap_nano,
    )
