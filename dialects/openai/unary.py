"""Shared parts of endpoints with one JSON body and one JSON answer. Completions, embeddings,
moderations and rerank belong to the openai dialect: they share the names of the model, the end user
and our own field, and its errors. Their answers are forwarded unchanged, and read for their usage.
Embeddings and rerank have no output: all tokens that an upstream counts are input.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from dialects.chat.events import Broken, BrokenFault, UpstreamError
from dialects.chat.fold import AnswerFault
from dialects.codec import parse_whole
from dialects.json.raw_json import top_members
from dialects.openai.errors import read_object
from dialects.usage.impossible_counts import QUARANTINE_FLAGS
from dialects.usage.usage import Quantities, read_members

RawMembers = dict[str, msgspec.Raw]


@dataclass(frozen=True, slots=True)
class PlainAnswer:
    """The content of a whole answer. `usage` is the raw usage object or None (F25), `quantities`
    its meters. With `error` (F23) or `broken` (F15 no JSON, F16 no UTF-8, F24 empty) the answer is
    a failure, and its bytes are not sent to the client. `at_rates` returns the quantities if they
    depend on the rates of the price."""

    quantities: Quantities
    usage: bytes | None = None
    error: UpstreamError | None = None
    broken: BrokenFault | None = None
    at_rates: Callable[[Mapping[str, int]], Quantities] | None = None


NOTHING: Final = Quantities({}, ("usage_missing",))


def open_answer(raw: bytes) -> RawMembers:
    """Return the top-level members of the body of a 200. Raises AnswerFault."""
    members = parse_whole(raw, top_members)
    error = member_bytes(members, "error")
    if error is None and member_bytes(members, "object") == b'"error"':
        error = raw
    if error is not None:
        raise AnswerFault(read_object(error).event)
    return members


def answer_fault(fault: BrokenFault) -> AnswerFault:
    """Return the fault of an answer that cannot be read."""
    return AnswerFault(Broken(fault))


def member_bytes(members: RawMembers, name: str) -> bytes | None:
    """Return the bytes of a member, None if it is absent or null."""
    value = bytes(members.get(name, b""))
    return None if value in (b"", b"null") else value


def failure(fault: AnswerFault) -> PlainAnswer:
    """Return the PlainAnswer of a failure."""
    if isinstance(fault.event, UpstreamError):
        return PlainAnswer(NOTHING, error=fault.event)
    return PlainAnswer(NOTHING, broken=fault.event.fault)


def input_quantities(raw: bytes | None) -> Quantities:
    """Convert a raw usage object whose tokens are all input to meters. Never raises. OpenAI and
    Jina report prompt_tokens and total_tokens, others one of these or input_tokens; if they differ,
    the total is used. A zero that was sent is a zero (F28)."""
    usage = read_members(raw, "unary")
    if isinstance(usage, Quantities):
        return usage
    prompt = usage.count("prompt_tokens")
    if prompt is None:
        prompt = usage.count("input_tokens")
    total = usage.count("total_tokens")
    if prompt is not None and total is not None and prompt != total:
        usage.flags.add("usage_mismatch")
    counted = prompt if total is None else total
    if counted is None and QUARANTINE_FLAGS.isdisjoint(usage.flags) and not usage.unknown:
        return NOTHING
    return usage.result({} if counted is None else {"in_text": counted})
