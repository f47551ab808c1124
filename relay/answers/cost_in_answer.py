"""The charge inside an answer, for who asked for it by `x-weir-include-cost`: `cost` in the usage
object of the client's dialect.

whole answer    the one usage object that there is
stream          the last that it tells. Where it tells none, our own count stands where its dialect
                has one; a chat completions stream has one more chunk before its end. One that is
                a JSON array (gemini's without `alt=sse`) has none
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import msgspec

from billing.currency.money import format_usd
from dialects.anthropic import usage as anthropic
from dialects.gemini import usage as gemini
from dialects.json.body import Body
from dialects.json.json_repair import read_answer_body
from dialects.openai import usage as openai
from dialects.openai.stream.decode import DONE_FRAME
from dialects.responses import usage as responses
from dialects.streams.sse import Frame, FrameSplitter
from dialects.streams.stream import write_data
from dialects.usage.usage import Counts

_NAMES: Final = ("usage", "usageMetadata")
# The members that all chunks of a chat completions stream share.
_COMMON: Final = ("id", "object", "created", "model", "system_fingerprint", "service_tier")


def with_cost(raw: bytes, charge_nano: int) -> bytes:
    """A whole JSON answer with the charge in its usage, as a decimal of USD; one without a usage
    object stays as it is."""
    return _insert_charge(raw, format_usd(charge_nano)) or raw


def last_with_cost(raw: bytes, meters: Mapping[str, int], charge_nano: int) -> bytes:
    """The last frames of a stream, from that on which finishes its answer, with the charge."""
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
    """Insert the charge into the usage of this JSON object, or of its response. Return None without
    one."""
    body = read_answer_body(raw)
    if body is None:
        return None
    for name in _NAMES:
        usage = body.value(name)
        if usage is not None and usage.startswith(b"{"):
            members = msgspec.json.decode(usage, type=dict[str, msgspec.Raw])
            return body.splice({name: msgspec.json.encode(members | {"cost": cost})})
    response = body.value("response")
    charged = None if response is None else _insert_charge(response, cost)
    return None if charged is None else body.splice({"response": charged})


def _insert_own_usage(counts: Counts, raw: bytes, cost: str) -> bytes | None:
    """This last object of a stream with a usage of our own; None where it has no place for one."""
    body = read_answer_body(raw)
    if body is None:
        return None
    if body.value("type") == b'"message_delta"':
        return _with(body, "usage", anthropic.encode(counts), cost)
    if body.value("candidates") is not None:
        return _with(body, "usageMetadata", gemini.encode(counts), cost)
    response = read_answer_body(body.value("response") or b"")
    if response is None:
        return None
    return body.splice({"response": _with(response, "usage", responses.encode(counts), cost)})


def _with(body: Body, name: str, usage: Mapping[str, Any], cost: str) -> bytes:
    return body.splice({name: msgspec.json.encode({**usage, "cost": cost})})


def _common(frames: list[Frame]) -> dict[str, Any]:
    """Return the members that the last chunk shares with all others, or nothing."""
    for frame in reversed(frames):
        body = read_answer_body(frame.data or b"")
        if body is not None and body.value("choices") is not None:
            members = {name: body.value(name) for name in _COMMON}
            return {name: msgspec.Raw(raw) for name, raw in members.items() if raw is not None}
    return {}
