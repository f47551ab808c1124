"""Add the charge to an answer, for clients that send `x-weir-include-cost`: the member `cost` of
the usage object in the client's dialect.

whole answer    its only usage object
stream          its last usage object. If the provider sends none, our own count is sent where
                the dialect has a place for it; a chat completions stream gets one more chunk
                before its end. A JSON array (Gemini's without `alt=sse`) gets none
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import msgspec

from billing.currency.money import format_usd
from dialects.anthropic import usage as anthropic
from dialects.converse import usage as converse
from dialects.gemini import usage as gemini
from dialects.interactions import usage as interactions
from dialects.json.body import Body
from dialects.openai import usage as openai
from dialects.openai.stream.decode import DONE_FRAME
from dialects.responses import usage as responses
from dialects.streams.json_repair import read_answer_body
from dialects.streams.sse import Frame, FrameSplitter
from dialects.streams.stream import write_data
from dialects.usage.usage import Counts

_NAMES: Final = ("usage", "usageMetadata")
# The member that contains the whole answer in the last event of a stream, and how its usage is
# written.
_WHOLES: Final = {"response": responses.encode, "interaction": interactions.encode}
# The members that all chunks of a chat completions stream share.
_COMMON: Final = ("id", "object", "created", "model", "system_fingerprint", "service_tier")


def with_cost(raw: bytes, charge_nano: int) -> bytes:
    """Return a whole JSON answer with the charge, in decimal USD, in its usage. An answer without a
    usage object is unchanged.
    """
    return _insert_charge(raw, format_usd(charge_nano)) or raw


def last_with_cost(raw: bytes, meters: Mapping[str, int], charge_nano: int) -> bytes:
    """Return the last frames of a stream with the charge added, beginning at the frame that
    finishes the answer."""
    cost, splitter = format_usd(charge_nano), FrameSplitter()
    frames = splitter.feed(raw)
    left = splitter.end()
    pieces = [frame.raw for frame in frames]
    rest = b"" if left is None else left.raw
    counts = Counts.of(meters)
    for tell in (_insert_charge, partial(_insert_own_usage, counts)):
        for at in reversed(range(len(frames))):
            data = frames[at].data
            written = tell(data, cost) if data else None
            if data and written is not None:
                pieces[at] = frames[at].raw.replace(data, written)
                return b"".join(pieces) + rest
    if common := _common(frames):
        usage = openai.encode(counts) | {"cost": cost}
        at = len(pieces) - (pieces[-1] == DONE_FRAME)
        pieces.insert(at, write_data({**common, "choices": [], "usage": usage}))
    return b"".join(pieces) + rest


def _insert_charge(raw: bytes, cost: str) -> bytes | None:
    """Insert the charge into the usage of this JSON object, or into that of the response or
    interaction inside it. Return None if there is no usage."""
    body = read_answer_body(raw)
    if body is None:
        return None
    for name in _NAMES:
        usage = body.value(name)
        if usage is not None and usage.startswith(b"{"):
            members = msgspec.json.decode(usage, type=dict[str, msgspec.Raw])
            return body.splice({name: msgspec.json.encode(members | {"cost": cost})})
    for name in _WHOLES:
        whole = body.value(name)
        charged = None if whole is None else _insert_charge(whole, cost)
        if charged is not None:
            return body.splice({name: charged})
    return None


def _insert_own_usage(counts: Counts, raw: bytes, cost: str) -> bytes | None:
    """Add our own usage, with the charge, to the last object of a stream. Return None if the object
    has no place for usage."""
    body = read_answer_body(raw)
    if body is None:
        return None
    if body.value("type") == b'"message_delta"':
        return _with(body, "usage", anthropic.encode(counts), cost)
    if body.value("metrics") is not None:
        return _with(body, "usage", converse.encode(counts), cost)
    if body.value("candidates") is not None:
        return _with(body, "usageMetadata", gemini.encode(counts), cost)
    for name, encode in _WHOLES.items():
        whole = read_answer_body(body.value(name) or b"")
        if whole is not None:
            return body.splice({name: _with(whole, "usage", encode(counts), cost)})
    return None


def _with(body: Body, name: str, usage: Mapping[str, Any], cost: str) -> bytes:
    return body.splice({name: msgspec.json.encode({**usage, "cost": cost})})


def _common(frames: list[Frame]) -> dict[str, Any]:
    """Return the members that all chunks of the stream share."""
    for frame in reversed(frames):
        body = read_answer_body(frame.data or b"")
        if body is not None and body.value("choices") is not None:
            members = {name: body.value(name) for name in _COMMON}
            return {name: msgspec.Raw(raw) for name, raw in members.items() if raw is not None}
    return {}
