"""Read and edit a text completions request.

    prompt   a text, a list of texts, a list of token ids, a list of lists of token ids

A client without a cap gets 16 tokens for each choice, as documented for the endpoint. The upstream
always gets the cap, because the hold depends on it and not every server has that default.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final

import msgspec

from dialects.chat.bounds import (
    CHOICES_MAX,
    LOGIT_BIAS,
    OUTPUT_CAP_MAX,
    PENALTY,
    SHARE,
    TEMPERATURE,
    Bound,
    check_bounds,
)
from dialects.errors.errors import RequestFault
from dialects.json.body import Body, read_body
from dialects.json.members import (
    edit_body,
    read_integers,
    read_max_cost,
    read_model,
    read_user,
    required_value,
    small_members,
)
from dialects.openai.request.read import read_include_usage, request_usage

BEST_OF_MAX: Final = 20
OUTPUT_CAP: Final = 16
PROMPTS_MAX: Final = 2_048
STOPS_MAX: Final = 4
_BOUNDS: Final = {
    "temperature": TEMPERATURE,
    "top_p": SHARE,
    "presence_penalty": PENALTY,
    "frequency_penalty": PENALTY,
    "stop": Bound(items=STOPS_MAX),
    "logit_bias": LOGIT_BIAS,
}

_SMALL: Final = ("model", "stream", "max_tokens", "n", "best_of")
_raws = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class CompletionFacts:
    """The facts that the gateway needs before routing, holding and sending a request.

    `choices` is the number of choices over all prompts, and `shown` how many of them the answer
    returns: `best_of` generates more, and all are billed. `output_cap` is in tokens for one choice.
    `include_usage` says whether the client itself asked for the usage chunk of its stream.
    `text_bytes` is the length of the body, an upper bound of the tokens of all prompts.
    `max_cost_nano` is our own field. The endpoint has no media.
    """

    body: Body
    model: str
    stream: bool
    include_usage: bool
    output_cap: int
    prompts: int
    shown: int
    choices: int
    user: str
    text_bytes: int
    max_cost_nano: int | None
    media: ClassVar[Mapping[Any, int]] = MappingProxyType({})
    audio_output: ClassVar[bool] = False


def read(raw: bytes) -> CompletionFacts:
    """Read a request that may be forwarded unchanged. Raises RequestFault in the contract's order:
    the JSON text, the root, model, the prompt, then types (400), then values (422). The caller
    checks whether the model exists.
    """
    body = read_body(raw)
    members = small_members(body, _SMALL)
    model = read_model(members)
    prompts = _count_prompts(body)
    stream = bool(members.boolean("stream"))
    include_usage = stream and read_include_usage(body)
    max_cost_nano = read_max_cost(body)
    numbers = read_integers(
        members, max_tokens=(0, OUTPUT_CAP_MAX), n=(1, CHOICES_MAX), best_of=(0, BEST_OF_MAX)
    )
    _check_prompts(prompts)
    check_bounds(body, _BOUNDS)
    output_cap, choices = numbers["max_tokens"], numbers["n"] or 1
    return CompletionFacts(
        body=body,
        model=model,
        stream=stream,
        include_usage=include_usage,
        output_cap=OUTPUT_CAP if output_cap is None else output_cap,
        prompts=prompts,
        shown=prompts * choices,
        choices=prompts * max(choices, numbers["best_of"] or 1),
        user=read_user(body),
        text_bytes=len(raw),
        max_cost_nano=max_cost_nano,
    )


def edit(
    facts: CompletionFacts,
    upstream_model: str,
    *,
    ask_usage: bool = True,
    output_cap: int | None = None,
) -> bytes:
    """Return the body for the upstream: the client's bytes with minimal changes. The model gets its
    upstream name. A stream asks for usage and keeps its other stream options, which are removed
    without a stream. Our own field is removed. `output_cap`, in tokens for one choice, replaces the
    client's cap, and a cap is always sent.
    """
    body = facts.body
    edits: dict[str, bytes | None] = {}
    if not facts.stream:
        if "stream_options" in body.members:
            edits["stream_options"] = None
    elif ask_usage and not facts.include_usage:
        edits["stream_options"] = request_usage(body)
    if output_cap is not None or body.value("max_tokens") is None:
        edits["max_tokens"] = b"%d" % (facts.output_cap if output_cap is None else output_cap)
    return edit_body(body, upstream_model, edits)


def _count_prompts(body: Body) -> int:
    """Return the number of prompts. A list of mixed kinds is invalid."""
    raw = required_value(body, "prompt")
    if raw.startswith(b'"'):
        return 1
    items = _raws.decode(raw) if raw.startswith(b"[") else None
    kinds = {_kind(item) for item in items or ()}
    if items is None or len(kinds) > 1 or not kinds <= {'"', "[", "0"}:
        raise RequestFault(
            "invalid_type", "prompt", "prompt must be a string, or an array of strings or token ids"
        )
    return 1 if kinds == {"0"} else len(items)


def _kind(raw: msgspec.Raw) -> str:
    """Return the first character of a value, with "0" for any integer that a token id can be."""
    letter = chr(memoryview(raw)[0])
    return "0" if letter.isdigit() and bytes(raw).isdigit() else letter


def _check_prompts(prompts: int) -> None:
    if not 1 <= prompts <= PROMPTS_MAX:
        what = f"prompt must have between 1 and {PROMPTS_MAX} items"
        raise RequestFault("invalid_value", "prompt", what)
