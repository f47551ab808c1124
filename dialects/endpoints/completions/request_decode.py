"""Decode a text completions request into neutral form: each prompt becomes a separate chat."""

from dataclasses import dataclass
from typing import Any, Final

from dialects.chat.bounds import CHOICES_MAX
from dialects.chat.chat import ChatRequest, Message, Text
from dialects.chat.shared_members import read_sampling
from dialects.endpoints.completions.request_read import BEST_OF_MAX, STOPS_MAX, read
from dialects.json.members import Members, read_members

LOGPROBS_MAX: Final = 5
_KNOWN: Final = frozenset(
    {
        "model",
        "stream",
        "max_tokens",
        "n",
        "best_of",
        "prompt",
        "stream_options",
        "temperature",
        "top_p",
        "logprobs",
        "echo",
        "stop",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "seed",
        "suffix",
        "user",
        "max_cost",
        "models",
    }
)


@dataclass(frozen=True, slots=True)
class CompletionPlan:
    """The calls to a chat model that serve a request, one for each prompt. The choices of call `i`
    have the indices from `i * choices` on. `include_usage`: the client asked for usage; `dropped`
    names the parameters that a chat does not have."""

    requests: tuple[ChatRequest, ...]
    choices: int
    include_usage: bool
    dropped: tuple[str, ...]


def decode(
    raw: bytes, *, request_id: str, received_at: int, output_cap: int | None = None
) -> CompletionPlan:
    """Decode a request for a chat model, with checks of every type and value. `output_cap` replaces
    the client's cap. Raises RequestFault; `unsupported_capability` for what no chat can do: prompts
    of token ids, echo, suffix, best_of, logprobs, no output."""
    facts = read(raw)
    body = read_members(raw)
    prompts = _texts(body)
    _refuse_unsupported(body)
    cap = facts.output_cap if output_cap is None else output_cap
    if cap < 1:
        body.refuse("unsupported_capability", "max_tokens", "must be at least 1 for this model")
    choices = body.integer("n", 1, CHOICES_MAX)
    shared: dict[str, Any] = {
        "dialect": "openai",
        "request_id": request_id,
        "received_at": received_at,
        "model": facts.model,
        "output_cap": cap,
        **read_sampling(body, STOPS_MAX),
        "choices": choices,
        "user": body.text("user"),
        "stream": facts.stream,
        "include_usage": facts.include_usage,
    }
    return CompletionPlan(
        requests=tuple(
            ChatRequest(messages=(Message("user", (Text(prompt),)),), **shared)
            for prompt in prompts
        ),
        choices=choices or 1,
        include_usage=facts.include_usage,
        dropped=tuple(body.rest(_KNOWN)),
    )


def _texts(body: Members) -> list[str]:
    prompt = body.value["prompt"]
    prompts = [prompt] if isinstance(prompt, str) else prompt
    if not isinstance(prompts[0], str):
        body.refuse("unsupported_capability", "prompt", "cannot be token ids for this model")
    return list(prompts)


def _refuse_unsupported(body: Members) -> None:
    """Refuse unsupported parameters. A default value is accepted, because some clients always send
    it.
    """
    refused = {
        "echo": body.boolean("echo"),
        "suffix": body.text("suffix"),
        "best_of": (body.integer("best_of", 0, BEST_OF_MAX) or 1) > 1,
        "logprobs": body.integer("logprobs", 0, LOGPROBS_MAX) is not None,
    }
    for name, value in refused.items():
        if value:
            body.refuse("unsupported_capability", name, "is not supported by this model")
