"""Create an ephemeral token, as Google's clients do: a client secret of theirs."""

import msgspec

from dialects.endpoints.auth_tokens import read_request, write_answer
from lib.ids import new_id
from relay.credentials.client_secrets import AuthTokenTerms
from relay.front.request import Request
from relay.realtime.new_client_secret import issue, new_secret


async def create_auth_token(request: Request) -> None:
    """Answer with a token. Raises RequestFault if the key may not open such connections, or has
    reached its limit of requests; DatabaseFailed.
    """
    headers = request.read_headers()
    wanted = read_request(await request.read_body(headers), int(request.snapshot.now()))
    options = request.options_of(headers)
    context = request.make_context(request.invocation, options)
    secret = new_secret(request, options, wanted.fixed.members, wanted.opens_until)
    terms = AuthTokenTerms(
        id=new_id(), ends_at=wanted.ends_at, uses=wanted.uses, paths=wanted.fixed.paths
    )
    secret = msgspec.structs.replace(secret, token=terms)
    text = await issue(context, request, secret, wanted.model, "bidiGenerateContentSetup")
    await request.respond(write_answer(text, secret.expires_at, terms.ends_at, terms.uses))
