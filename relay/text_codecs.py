"""Endpoints beside those of the dialects that are served as they are.

completions         as they came to a provider that has them, else every prompt as a chat
edits               always a chat
responses_compact   as they came, for what they answer only their provider can read
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import msgspec

from dialects import edits
from dialects.body import Body, Quirks, read_body
from dialects.chat import ChatAnswer, ChatRequest, JsonObject
from dialects.codecs import (
    Codec,
    Decoder,
    Encoder,
    OpenAICodec,
    ResponsesCodec,
    Target,
    WholeAnswer,
)
from dialects.completions import request as completions_request
from dialects.completions import response as completions_response
from dialects.completions import stream as completions_stream
from dialects.completions.request import CompletionFacts, CompletionPlan
from dialects.edits import EditFacts
from dialects.errors import RequestFault
from dialects.operation import NO_NEEDS, Needs, Operation
from dialects.responses import request as responses_request
from gateway.providers.provider import NotOffered

_LENGTH_FRAME: Final = (
    b'data: {"id":"","object":"text_completion","created":0,"model":"",'
    b'"choices":[{"text":"","index":0,"logprobs":null,"finish_reason":"length"}]}\n\n'
)
_NO_EDITS: Final = "no provider has edits"


@dataclass(frozen=True, slots=True)
class TextFacts:
    """The Facts of such a request; `own` are those of its codec, `choices` all that are billed."""

    own: Any
    body: Body
    model: str
    stream: bool
    output_cap: int | None
    choices: int
    user: str
    text_bytes: int
    max_cost_nano: int | None
    media: Mapping[Any, int] = field(default_factory=dict)
    audio_asked: bool = False


class Completions(OpenAICodec[TextFacts]):
    """Text completions; several prompts of a model that only chats are taken apart in
    `prompts.py`."""

    def read(self, raw: bytes, target: Target) -> TextFacts:
        own = completions_request.read(raw)
        return TextFacts(
            own,
            own.body,
            own.model,
            own.stream,
            own.output_cap,
            own.generations,
            own.user,
            own.text_bytes,
            own.max_cost_nano,
        )

    def edit(
        self,
        facts: TextFacts,
        model: str,
        output_cap: int | None,
        thinking: JsonObject | None,
        quirks: Quirks,
    ) -> bytes:
        return completions_request.edit(facts.own, model, output_cap=output_cap)

    def decode(
        self, facts: TextFacts, target: Target, request_id: str, received_at: int
    ) -> ChatRequest:
        plan = completions_request.decode(
            facts.body.raw, request_id=request_id, received_at=received_at
        )
        if len(plan.requests) > 1:
            # The channel that has the endpoint has failed.
            what = "prompt must be a single text for this channel of the model, which only chats"
            raise RequestFault("unsupported_capability", "prompt", what)
        return plan.requests[0]

    def undecoded(self, facts: TextFacts) -> tuple[str, ...]:
        return completions_request.decode(facts.body.raw, request_id="", received_at=0).dropped

    def needs(self, facts: TextFacts) -> Needs:
        return NO_NEEDS

    def operation(self, target: Target, *, stream: bool) -> Operation | None:
        return "completions"

    def read_answer(self, raw: bytes) -> WholeAnswer:
        return completions_response.read(raw)

    def write_answer(self, answer: ChatAnswer, request: ChatRequest) -> bytes:
        return completions_response.encode([answer], _plan(request))

    def decoder(self, facts: TextFacts, target: Target) -> Decoder:
        return _CompletionDecoder(facts.own)

    def encoder(self, request: ChatRequest, target: Target) -> Encoder:
        return completions_stream.Encoder(_plan(request))

    def cut(self, decoder: Any) -> bytes:
        return _LENGTH_FRAME + completions_stream.DONE_FRAME


class _CompletionDecoder(completions_stream.Decoder):
    """Does not take the prompt for output where the client wants it repeated."""

    def __init__(self, own: CompletionFacts) -> None:
        super().__init__(usage_asked=own.usage_asked, choices=own.choices)
        prompt = own.body.value("prompt") if own.body.value("echo") == b"true" else None
        self._echoed_bytes = len(prompt or b"") * own.choices

    @property
    def text_bytes(self) -> int:
        return max(0, super().text_bytes - self._echoed_bytes)


def _plan(request: ChatRequest) -> CompletionPlan:
    return CompletionPlan((request,), request.choices or 1, request.usage_asked, ())


class _Edits(OpenAICodec[TextFacts]):
    def read(self, raw: bytes, target: Target) -> TextFacts:
        own = edits.read(raw, request_id="", received_at=0)
        return TextFacts(
            own,
            read_body(raw),
            own.model,
            own.stream,
            own.output_cap,
            own.choices,
            own.user,
            own.text_bytes,
            own.max_cost_nano,
        )

    def decode(
        self, facts: TextFacts, target: Target, request_id: str, received_at: int
    ) -> ChatRequest:
        own: EditFacts = facts.own
        return msgspec.structs.replace(own.request, request_id=request_id, received_at=received_at)

    def edit(
        self,
        facts: TextFacts,
        model: str,
        output_cap: int | None,
        thinking: JsonObject | None,
        quirks: Quirks,
    ) -> bytes:
        raise NotOffered(_NO_EDITS)

    def decoder(self, facts: TextFacts, target: Target) -> Decoder:
        raise NotOffered(_NO_EDITS)

    def undecoded(self, facts: TextFacts) -> tuple[str, ...]:
        own: EditFacts = facts.own
        return own.dropped

    def needs(self, facts: TextFacts) -> Needs:
        return NO_NEEDS

    def operation(self, target: Target, *, stream: bool) -> Operation | None:
        return None

    def write_answer(self, answer: ChatAnswer, request: ChatRequest) -> bytes:
        return edits.encode(answer, request)


class _Compact(ResponsesCodec):
    def read(self, raw: bytes, target: Target) -> responses_request.ChatFacts:
        return responses_request.read(raw, compact=True)

    def decode(
        self, facts: responses_request.ChatFacts, target: Target, request_id: str, received_at: int
    ) -> ChatRequest:
        what = f"model {facts.model} has no compaction: its provider does not offer it"
        raise RequestFault("unsupported_capability", "model", what)

    def operation(self, target: Target, *, stream: bool) -> Operation:
        return "responses_compact"


TEXT_CODECS: Final[Mapping[str, Codec[Any]]] = MappingProxyType(
    {"completions": Completions(), "edits": _Edits(), "responses_compact": _Compact()}
)
