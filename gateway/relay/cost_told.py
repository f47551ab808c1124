"""The charge inside an answer, for who asked for it by `x-weir-include-cost`: `usage.cost`.

plain answer             "cost" in the usage object that its dialect has
chat completions stream  one more chunk before its end, with the usage and the cost in it
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from billing.rules.money import format_usd
from gateway.codecs.body import read_body
from gateway.codecs.errors import RequestFault
from gateway.codecs.openai.stream import DONE_FRAME
from gateway.codecs.openai.usage import encode
from gateway.codecs.usage import Counts

_NAMES: Final = ("usage", "usageMetadata")


def with_cost(raw: bytes, charge_nano: int) -> bytes:
    """A whole JSON answer with the charge in its usage, as a decimal of USD; one without a usage
    object stays as it is."""
    try:
        body = read_body(raw)
    except RequestFault:
        return raw
    for name in _NAMES:
        usage = body.value(name)
        if usage is not None and usage.startswith(b"{"):
            members = msgspec.json.decode(usage, type=dict[str, msgspec.Raw])
            told = msgspec.json.encode(members | {"cost": format_usd(charge_nano)})
            return body.splice({name: told})
    return raw


def last_with_cost(raw: bytes, meters: Mapping[str, int], charge_nano: int) -> bytes:
    """The last bytes of a chat completions stream, with the usage and its charge before the end
    marker; a stream that has no marker ends as it came."""
    if not raw.endswith(DONE_FRAME):
        return raw
    told = encode(Counts.of(meters)) | {"cost": format_usd(charge_nano)}
    chunk = (
        b'data: {"id":"","object":"chat.completion.chunk","created":0,"model":"","choices":[],'
        b'"usage":' + msgspec.json.encode(told) + b"}\n\n"
    )
    return raw[: -len(DONE_FRAME)] + chunk + DONE_FRAME
