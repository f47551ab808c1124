"""Moderations: texts and pictures in, verdicts out. Both are forwarded unchanged.

    {"input": text | texts | parts, "model"?}
        -> {"id", "model", "results": [{"flagged", "categories", "category_scores", ...}]}

The price is per request: no usage is reported.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from dialects.chat.fold import AnswerFault
from dialects.errors.errors import RequestFault
from dialects.json.body import Body, read_body
from dialects.json.members import (
    edit_body,
    read_max_cost,
    read_model,
    read_user,
    required_value,
    small_members,
)
from dialects.json.not_json import NOT_JSON
from dialects.openai.unary import PlainAnswer, answer_fault, failure, member_bytes, open_answer
from dialects.usage.usage import Quantities

MODEL: Final = "omni-moderation-latest"


@dataclass(frozen=True, slots=True)
class ModerationFacts:
    """The facts that the gateway needs before routing, holding and sending a request. A client
    without a model gets `MODEL`. `inputs` is the number of texts and parts. `max_cost_nano` is our
    own field.
    """

    body: Body
    model: str
    inputs: int
    user: str
    text_bytes: int
    max_cost_nano: int | None


class Verdict(msgspec.Struct, frozen=True):
    """The result for one input: whether it was flagged, and in which categories."""

    flagged: bool
    categories: tuple[str, ...]


def read(raw: bytes) -> ModerationFacts:
    """Read a request. Raises RequestFault in the contract's order: the JSON text, the root, model,
    the input, then types (400), then values (422). The caller checks whether the model exists.
    """
    body = read_body(raw)
    model = read_model(small_members(body, ("model",)), otherwise=MODEL)
    inputs = _count_inputs(body)
    max_cost_nano = read_max_cost(body)
    if not inputs:
        raise RequestFault("invalid_value", "input", "input must not be empty")
    return ModerationFacts(
        body=body,
        model=model,
        inputs=inputs,
        user=read_user(body),
        text_bytes=len(raw),
        max_cost_nano=max_cost_nano,
    )


def edit(facts: ModerationFacts, upstream_model: str) -> bytes:
    """Return the body for the upstream: with the upstream's name of the model, without our own
    field."""
    return edit_body(facts.body, upstream_model)


def read_answer(raw: bytes) -> PlainAnswer:
    """Read the body of a 200. Never raises."""
    try:
        decode_answer(raw)
    except AnswerFault as fault:
        return failure(fault)
    return PlainAnswer(Quantities({"requests": 1}, ()))


def decode_answer(raw: bytes) -> tuple[Verdict, ...]:
    """Return the verdicts in the order of the inputs. Raises AnswerFault."""
    try:
        results = _results.decode(member_bytes(open_answer(raw), "results") or b"[]")
    except NOT_JSON:
        raise answer_fault("F15") from None
    if not results:
        raise answer_fault("F24")
    return tuple(result.verdict() for result in results)


class _Result(msgspec.Struct):
    flagged: bool
    # A provider may return null for a category that it does not check.
    categories: dict[str, bool | None] | None = None

    def verdict(self) -> Verdict:
        matched = [name for name, matched in (self.categories or {}).items() if matched]
        return Verdict(self.flagged, tuple(matched))


_items = msgspec.json.Decoder(str | list[str | dict[str, msgspec.Raw]])
_results = msgspec.json.Decoder(list[_Result])


def _count_inputs(body: Body) -> int:
    raw = required_value(body, "input")
    try:
        value = _items.decode(raw)
    except msgspec.ValidationError:
        what = "input must be a string, or an array of strings or parts"
        raise RequestFault("invalid_type", "input", what) from None
    return bool(value) if isinstance(value, str) else len(value)
