"""Text completions as a codec of the openai dialect. They are forwarded to a provider with the
endpoint; otherwise every prompt becomes a chat.
"""

from dialects.chat.chat import ChatAnswer, ChatRequest, JsonObject
from dialects.chat.events import Event
from dialects.chat.fold import AnswerFault
from dialects.chat.operation import Operation
from dialects.codec import Decoder, Encoder, Target, WholeAnswer, failed_answer
from dialects.endpoints.completions import (
    answer_encode,
    request_decode,
    request_read,
    stream_decode,
    stream_encode,
)
from dialects.endpoints.completions.request_decode import CompletionPlan
from dialects.endpoints.completions.request_read import CompletionFacts
from dialects.endpoints.completions.wire import ChoiceReader, read_choices, usage_of
from dialects.errors.errors import RequestFault
from dialects.json.body import Quirks
from dialects.openai.codec import OpenAICodec
from dialects.openai.unary import answer_fault, open_answer


class CompletionsCodec(OpenAICodec[CompletionFacts]):
    """Text completions. Several prompts are split beforehand for a model that only chats."""

    def read(self, raw: bytes, target: Target) -> CompletionFacts:
        return request_read.read(raw)

    def edit(
        self,
        facts: CompletionFacts,
        model: str,
        output_cap: int | None,
        thinking: JsonObject | None,
        quirks: Quirks,
    ) -> bytes:
        return request_read.edit(facts, model, output_cap=output_cap)

    def decode(
        self, facts: CompletionFacts, target: Target, request_id: str, received_at: int
    ) -> ChatRequest:
        plan = request_decode.decode(facts.body.raw, request_id=request_id, received_at=received_at)
        if len(plan.requests) > 1:
            # Several prompts fit only the provider's own endpoint; this channel is a fallback that
            # only chats.
            what = "prompt must be a single text for this channel of the model, which only chats"
            raise RequestFault("unsupported_capability", "prompt", what)
        return plan.requests[0]

    def undecoded_fields(self, facts: CompletionFacts) -> tuple[str, ...]:
        return request_decode.decode(facts.body.raw, request_id="", received_at=0).dropped

    def operation(self, target: Target, *, stream: bool) -> Operation | None:
        return "completions"

    def read_answer(self, raw: bytes) -> WholeAnswer:
        return read_answer(raw)

    def write_answer(self, answer: ChatAnswer, request: ChatRequest) -> bytes:
        return answer_encode.encode([answer], _plan(request))

    def decoder(self, facts: CompletionFacts, target: Target) -> Decoder:
        return _UnechoedDecoder(facts)

    def encoder(self, request: ChatRequest, target: Target) -> Encoder:
        return stream_encode.Encoder(_plan(request))


class _UnechoedDecoder(stream_decode.Decoder):
    """Reads a stream in which the client asked for the prompt to be repeated, without counting the
    prompt as output."""

    def __init__(self, facts: CompletionFacts) -> None:
        super().__init__(include_usage=facts.include_usage, choices=facts.shown)
        prompt = facts.body.value("prompt") if facts.body.value("echo") == b"true" else None
        self._echoed_bytes = len(prompt or b"") * facts.shown

    @property
    def text_bytes(self) -> int:
        return max(0, super().text_bytes - self._echoed_bytes)


def read_answer(raw: bytes) -> WholeAnswer:
    """Read the body of a 200, whose bytes the client gets unchanged. Never raises."""
    try:
        members = open_answer(raw)
        choices = read_choices(members)
        if not choices:
            raise answer_fault("F24")
    except AnswerFault as fault:
        return failed_answer(fault.event)
    reader, events = ChoiceReader(), list[Event]()
    for choice in choices:
        reader.read(choice, events)
    return WholeAnswer(events, usage_of(members, choices), reader.text_bytes)


def _plan(request: ChatRequest) -> CompletionPlan:
    return CompletionPlan((request,), request.choices or 1, request.include_usage, ())
