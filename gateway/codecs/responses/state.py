"""What must be kept of a request and its answer so that a later request can go on from them."""

from collections.abc import Sequence

import msgspec

from gateway.codecs.chat import JsonObject
from gateway.codecs.raws import dicts


def conversation(
    request: bytes, response: bytes, earlier: Sequence[JsonObject] = ()
) -> list[JsonObject]:
    """The items of a conversation: `earlier`, the request's input, the answer's output.

    `request` is a body that was read, `response` a whole response of this dialect (for a stream
    `Decoder.response` or `Encoder.response`). Instructions are of their own call only, and not
    kept. It is what `request.decode` takes as `earlier`.
    """
    asked = msgspec.json.decode(request).get("input")
    said: list[JsonObject] = dicts(asked)
    if isinstance(asked, str):
        said = [{"type": "message", "role": "user", "content": asked}]
    return [*earlier, *said, *dicts(msgspec.json.decode(response).get("output"))]
