"""Create a client secret: it opens realtime sessions as the key that asks for it, in a browser that
must not have the key. Nothing is held or charged: its sessions are. It counts as a request of the
key's minute, and leaves a record.
"""

from typing import Final

from dialects.codec import Target
from dialects.endpoints.client_secrets import SecretRequest, read_request, write_answer
from dialects.errors.errors import RequestFault
from lib.ids import id_text
from relay.answers.unary import not_offered
from relay.credentials import client_secrets
from relay.credentials.client_secrets import CONTENT_BYTES_MAX, ClientSecret, SecretTooLong
from relay.endpoints.request import Request
from relay.media.realtime.operation import Realtime, first_bound
from relay.requests.context import RequestContext, RequestOptions
from relay.requests.reader import RequestReader
from relay.routing.routing import route

_OPERATION: Final = "client_secret"
"""What its record is called: not a session, which it opens."""


async def create_client_secret(request: Request) -> None:
    """Answer with a client secret. Raises RequestFault if the key may not open such sessions, or
    has reached its limit of requests; DatabaseFailed.
    """
    headers = request.read_headers()
    wanted = read_request(await request.read_body(headers))
    options = request.options_of(headers)
    context = request.make_context(request.invocation, options)
    if wanted.model:
        _check_model(context, wanted.model)
    secret = _secret(request, wanted, options)
    try:
        text = client_secrets.seal(request.life.config.pepper, secret)
    except SecretTooLong as too_long:
        what = (
            f"session has {too_long.size} bytes with its labels, and a client secret has room for "
            f"{CONTENT_BYTES_MAX}: leave out what session.update may set"
        )
        raise RequestFault("invalid_value", "session", what) from None
    await request.life.count_request(request.principal)
    context.record_answer(wanted.model, _OPERATION)
    id = id_text(request.sink.request_id)
    await request.respond(write_answer(text, secret.expires_at, secret.session, id))


def _check_model(context: RequestContext, model: str) -> None:
    """Check that the key may open a session of this model at some channel, whichever is available
    now. Raises RequestFault."""
    named = RequestReader(context).find_model(model)
    facts = Realtime(first_bound(context.snapshot, named.name)).read(b"{}", Target(named.name))
    channels = context.snapshot.channels
    routed = route(context, facts, named, whatever_rests=True)
    if not any("realtime" in channels[one.channel_id].address.urls for one in routed.candidates):
        raise not_offered(facts, "realtime sessions")


def _secret(request: Request, wanted: SecretRequest, options: RequestOptions) -> ClientSecret:
    """Return a secret that expires no later than its key."""
    principal = request.principal
    expires_at = int(request.snapshot.now()) + wanted.seconds
    if principal.expires_at is not None:
        expires_at = min(expires_at, int(principal.expires_at))
    return ClientSecret(
        digest=principal.digest,
        expires_at=expires_at,
        session=wanted.session,
        labels=options.labels,
        data_policy=options.data_policy,
        max_cost_nano=options.max_cost_nano,
        session_cap_nano=options.session_cap_nano,
    )
