"""What an order of a video tells its provider of us: our id, and where to report changes."""

import secrets
from dataclasses import replace

import msgspec

from relay.media_tasks.video_order import AcceptedVideo
from relay.operations.unary import Exchange, Sending


def add_callback(sending: Sending, public_url: str) -> Sending:
    """Return the order of a video with our id, if the provider can be asked by that id, and with a
    callback address, if the provider can report changes. The address is secret and belongs to this
    order alone; it is sent only if it is a public https address."""
    exchange = sending.exchange
    if not isinstance(exchange, Exchange) or not isinstance(exchange.accepted, AcceptedVideo):
        return sending
    accepted = exchange.accepted
    form, members, token = accepted.form, dict[str, str](), ""
    if form.external:
        members[form.external] = accepted.public_id
    if form.callback and public_url.startswith("https://"):
        token = secrets.token_urlsafe(32)
        members[form.callback] = f"{public_url}/callbacks/videos/{accepted.public_id}/{token}"
    if not members:
        return sending
    body = msgspec.json.encode(members)[:-1] + b"," + sending.encoded.body.lstrip()[1:]
    return sending._replace(
        encoded=replace(sending.encoded, body=body),
        exchange=exchange._replace(accepted=accepted._replace(callback_token=token)),
    )
