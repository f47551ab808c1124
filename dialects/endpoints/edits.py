"""Legacy edits: an instruction and a text in, the edited text out.

    {"model", "instruction", "input"?, "n"?, "temperature"?, "top_p"?}
        -> {"object": "edit", "created", "choices": [{"text", "index"}], "usage"}

No provider has the endpoint any more, so a chat model always serves it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final

import msgspec

from dialects.chat.bounds import CHOICES_MAX
from dialects.chat.chat import ChatAnswer, ChatRequest, JsonObject, Message, Text
from dialects.chat.operation import Operation
from dialects.codec import Decoder, Target
from dialects.endpoints.completions.answer_encode import answer_text
from dialects.json.body import Body, Quirks, read_body
from dialects.json.members import read_max_cost, read_members, read_model, read_user
from dialects.openai.codec import OpenAICodec
from dialects.openai.usage import encode as write_usage
from dialects.usage.usage import Counts

SYSTEM_TEXT: Final = (
    "You edit texts. The user gives an instruction and an input text. Answer with the edited text "
    "only: no explanation, no quotation marks around it, nothing before or after it."
)
_INPUT_MARKS: Final = "Instruction:\n{instruction}\n\nInput:\n{input}"
_KNOWN: Final = frozenset(
    {"model", "instruction", "input", "n", "temperature", "top_p", "user", "max_cost"}
)


@dataclass(frozen=True, slots=True)
class EditFacts:
    """A request and the facts that the gateway needs before routing, holding and sending it.
    `text_bytes` is an upper bound of the tokens of everything that is sent. The client sets no cap
    and has no stream. `dropped` names the parameters that the endpoint does not have."""

    body: Body
    request: ChatRequest
    model: str
    choices: int
    user: str
    text_bytes: int
    max_cost_nano: int | None
    dropped: tuple[str, ...]
    output_cap: ClassVar[int | None] = None
    stream: ClassVar[bool] = False
    include_usage: ClassVar[bool] = True
    media: ClassVar[Mapping[Any, int]] = MappingProxyType({})
    audio_output: ClassVar[bool] = False


def read(raw: bytes, *, request_id: str, received_at: int) -> EditFacts:
    """Read a request. Raises RequestFault in the contract's order: the JSON text, the root, model,
    the instruction, then types and values. The caller checks whether the model exists.
    """
    body = read_body(raw)
    members = read_members(raw)
    model = read_model(members)
    instruction = members.required("instruction", members.text("instruction"))
    choices = members.integer("n", 1, CHOICES_MAX)
    text = _INPUT_MARKS.format(instruction=instruction, input=members.text("input") or "")
    request = ChatRequest(
        dialect="openai",
        request_id=request_id,
        received_at=received_at,
        model=model,
        messages=(Message("system", (Text(SYSTEM_TEXT),)), Message("user", (Text(text),))),
        choices=choices,
        temperature=members.number("temperature", 0, 2),
        top_p=members.number("top_p", 0, 1),
        user=members.text("user"),
    )
    return EditFacts(
        body=body,
        request=request,
        model=model,
        choices=choices or 1,
        user=read_user(body),
        text_bytes=len(raw) + len(SYSTEM_TEXT) + len(_INPUT_MARKS),
        max_cost_nano=read_max_cost(body),
        dropped=tuple(members.rest(_KNOWN)),
    )


def encode(answer: ChatAnswer, request: ChatRequest) -> bytes:
    """Return the body for the client; reasoning and tools are omitted."""
    body = {
        "object": "edit",
        "created": request.received_at,
        "choices": [
            {"text": answer_text(choice), "index": choice.index} for choice in answer.choices
        ],
        "usage": write_usage(answer.counts or Counts()),
    }
    return msgspec.json.encode(body)


class EditsCodec(OpenAICodec[EditFacts]):
    """Edits, which are always served by a chat."""

    write_answer = staticmethod(encode)

    def read(self, raw: bytes, target: Target) -> EditFacts:
        return read(raw, request_id="", received_at=0)

    def decode(
        self, facts: EditFacts, target: Target, request_id: str, received_at: int
    ) -> ChatRequest:
        return msgspec.structs.replace(
            facts.request, request_id=request_id, received_at=received_at
        )

    def undecoded_fields(self, facts: EditFacts) -> tuple[str, ...]:
        return facts.dropped

    def operation(self, target: Target, *, stream: bool) -> Operation | None:
        return None

    def edit(
        self,
        facts: EditFacts,
        model: str,
        output_cap: int | None,
        thinking: JsonObject | None,
        quirks: Quirks,
    ) -> bytes:
        # no provider has this operation, so no request is forwarded unchanged
        raise NotImplementedError

    def decoder(self, facts: EditFacts, target: Target) -> Decoder:
        raise NotImplementedError  # see `edit`
