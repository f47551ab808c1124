"""The test of a channel: its requests, by variant, and how the answer is judged.

    address    the host has addresses, and every one of them may be reached
    connect    a connection is established, with TLS for an https address
    accept     the provider takes the key and the model
    answer     the first piece of an answer arrives
    stream     the answer is complete and in the form of its dialect
    tool       it calls the tool as instructed, with valid arguments
    schema     it is JSON that matches the requested schema
    seen       it names the colour of the picture
    read       it names the word in the file
    heard      the provider counts the tokens of the sound
    thought    it contains reasoning, or the provider counts reasoning tokens
    cancel     the connection is closed in the middle of the answer
    usage      it reports its usage, so that it can be charged

The first stage that fails ends the test.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec
from django.utils.translation import override

from dialects.chat.chat import (
    Audio,
    Base64,
    ChatRequest,
    Encoded,
    File,
    FunctionTool,
    Image,
    JsonObject,
    JsonSchema,
    Message,
    ReasoningSettings,
    Text,
    ToolChoice,
)
from dialects.chat.events import (
    Broken,
    End,
    Event,
    Finish,
    ReasoningDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStart,
    UpstreamError,
)
from dialects.codec import Codec
from dialects.codec import Target as CodecTarget
from dialects.errors.errors import RequestFault
from dialects.usage.usage import Quantities
from gateway.channels.channel_tests.connections import CONNECTION_VARIANTS, hold_turn
from gateway.channels.channel_tests.media import COLOUR, PICTURE, WORD, document, sound
from gateway.channels.channel_tests.staged_calls import (
    CallFailed,
    CallResult,
    Fault,
    StagedCall,
    Target,
    fault_of_answer,
    first_text,
)
from gateway.channels.channel_tests.turns import SHORT
from gateway.channels.channel_tests.variants import STAGES, Variant
from gateway.channels.products import PRODUCT_NAMES
from gateway.providers.codecs import codec_for
from gateway.providers.models import capabilities_of
from gateway.providers.overrides import Overrides, apply_overrides
from gateway.providers.products import unreachable_product
from gateway.providers.provider import BadAddress, Provider
from gateway.providers.targets import dialect_for, upstream_of
from lib import clock
from lib.ids import id_text, new_id
from lib.network.egress import Answer, EgressPolicy

_BODY_BYTES_MAX: Final = 1 << 20
_ARGUMENTS: Final[JsonObject] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
_SCHEMA: Final[JsonObject] = {**_ARGUMENTS, "additionalProperties": False}
_TOOL: Final = FunctionTool("weather", "The weather in a city", _ARGUMENTS)


@dataclass
class ChannelCheck(CallResult):
    """The result of a test, as stored in `Channel.last_test`. `meters` are the provider's counts;
    `cost_nano` is their cost, or None if unknown."""

    at: str = ""
    model: str = ""
    upstream_model: str = ""
    variant: Variant = "streamed"
    meters: dict[str, int] = field(default_factory=dict)
    cost_nano: int | None = None


def call(
    target: Target,
    policy: EgressPolicy,
    result: ChannelCheck,
    assumed: Overrides = frozenset(),
) -> None:
    """Run the test and fill `result`. The `assumed` features are requested as if the catalogue
    listed them."""
    if result.variant in CONNECTION_VARIANTS:
        _hold_turn(target, policy, result)
    else:
        _Check(target, policy, result, assumed).run()


def _hold_turn(target: Target, policy: EgressPolicy, result: ChannelCheck) -> None:
    staged = StagedCall(target, policy, STAGES[result.variant], result)
    with staged.recorded():
        used = hold_turn(staged, result.variant, result.model, result.upstream_model)
        _count(staged, result, used)


def _count(staged: StagedCall, result: ChannelCheck, counted: Quantities) -> None:
    """Note the provider's counts. Raises CallFailed if there are none."""
    if counted.missing or not counted.meters:
        raise CallFailed("no_usage", ", ".join(counted.flags), status=200)
    result.meters = dict(counted.meters)
    staged.reach("usage")


def request_of(variant: Variant, model: str) -> ChatRequest:
    """Return the request of a variant in the neutral form."""
    request = ChatRequest(
        dialect="openai",
        request_id=id_text(new_id()),
        received_at=int(clock.now().timestamp()),
        model=model,
        messages=_user_message(SHORT),
        output_cap=64,
        stream=variant != "plain",
        include_usage=variant != "plain",
    )
    if variant == "tools":
        return _with_fields(
            request,
            messages=_user_message("What is the weather in Oslo?"),
            tools=(_TOOL,),
            tool_choice=ToolChoice("required", (_TOOL.name,)),
            output_cap=512,
        )
    if variant == "schema":
        return _with_fields(
            request,
            messages=_user_message("Name the capital of Norway as JSON."),
            output_form=JsonSchema(_SCHEMA, "capital", strict=True),
            output_cap=512,
        )
    if variant == "vision":
        words = Text("Which colour is this picture? Answer with one word.")
        picture = Image(Base64(PICTURE, "image/png"))
        return _with_fields(request, messages=(Message("user", (words, picture)),))
    if variant == "files":
        words = Text("Which word stands in this file? Answer with that word.")
        file = File(Base64(document(), "application/pdf"), "word.pdf")
        return _with_fields(request, messages=(Message("user", (words, file)),))
    if variant == "audio":
        words = Text("What do you hear? Answer with one word.")
        tone = Audio(Base64(sound(), "audio/wav"))
        return _with_fields(request, messages=(Message("user", (words, tone)),))
    if variant == "reasoning":
        return _with_fields(
            request,
            messages=_user_message(
                "Which is larger, 17 times 23 or 19 times 21? Answer with the number."
            ),
            reasoning=ReasoningSettings(effort="medium"),
            output_cap=4096,
        )
    if variant == "cancel":
        return _with_fields(
            request, messages=_user_message("Count from 1 to 500, in words."), output_cap=2048
        )
    return request


def _user_message(text: str) -> tuple[Message, ...]:
    return (Message("user", (Text(text),)),)


def _with_fields(request: ChatRequest, **over: Any) -> ChatRequest:
    return msgspec.structs.replace(request, **over)


class _Prepared(NamedTuple):
    codec: Codec[Any]
    url: str
    headers: Mapping[str, str]
    encoded: Encoded
    body: bytes


class _Received:
    """The content of an answer that has arrived."""

    def __init__(self) -> None:
        self.text = ""
        self.thinks = False
        self.tool: str | None = None
        self.arguments = ""

    def add(self, event: Event) -> None:
        if isinstance(event, TextDelta):
            self.text += event.text
        elif isinstance(event, ReasoningDelta):
            self.thinks = True
        elif isinstance(event, ToolCallStart) and self.tool is None:
            self.tool = event.name
        elif isinstance(event, ToolArgumentsDelta) and event.index == 0:
            self.arguments += event.text


class _Check:
    def __init__(
        self, target: Target, policy: EgressPolicy, result: ChannelCheck, assumed: Overrides
    ) -> None:
        self._call = StagedCall(target, policy, STAGES[result.variant], result)
        self._target = target
        self._assumed = assumed
        self._result = result
        self._request = request_of(result.variant, result.upstream_model)
        self._received = _Received()

    def run(self) -> None:
        with self._call.recorded():
            prepared = self._prepare()
            with self._call.send("POST", prepared.url, prepared.headers, prepared.body) as answer:
                self._read(answer, prepared)

    def _prepare(self) -> _Prepared:
        """Build the request in the dialect that the relay would use for a chat request."""
        provider = self._call.provider()
        try:
            return self._encode(provider)
        except BadAddress as error:
            raise CallFailed("configuration", str(error)) from error
        except RequestFault as error:
            raise CallFailed("configuration", error.message) from error

    def _encode(self, provider: Provider) -> _Prepared:
        model = self._result.upstream_model
        capabilities = apply_overrides(
            capabilities_of(model, provider, self._result.model), self._assumed
        )
        self._check_offered(provider, model)
        dialect = dialect_for(provider, capabilities, self._request.dialect)
        upstream = upstream_of(provider, dialect, model, capabilities)
        codec = codec_for(provider, dialect)
        address = self._target.address(provider)
        own = {"content-type": "application/json", "x-client-request-id": self._request.request_id}
        encoded = codec.encode(self._request, upstream)
        return _Prepared(
            codec,
            address.url(codec.upstream_operation(stream=self._request.stream), upstream.model),
            self._target.headers(provider, dialect, model=self._result.model) | own,
            encoded,
            self._target.overrides_of(self._result.model).chat_body(encoded.body, dialect),
        )

    def _check_offered(self, provider: Provider, model: str) -> None:
        """Raise CallFailed for a model whose product no request can get from this provider."""
        offered = self._target.address(provider).urls
        product = unreachable_product(offered, self._result.model, model)
        if product is not None:
            with override("en"):
                noun = str(PRODUCT_NAMES[product])
            what = f"{provider.label} has no {noun} here, so no request can reach this model"
            raise CallFailed("configuration", what)

    def _read(self, answer: Answer, prepared: _Prepared) -> None:
        pieces = answer.iter_raw()
        if answer.status_code != 200:
            status, body = answer.status_code, first_text(pieces)
            fault = fault_of_answer(answer, body, prepared.codec)
            raise CallFailed(fault, status=status, body=body)
        self._call.reach("accept")
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != prepared.codec.content_type(CodecTarget(), stream=self._request.stream):
            fault = "not_stream" if self._request.stream else "not_answer"
            body = first_text(pieces)
            raise CallFailed(fault, f"content-type: {kind}", status=200, body=body)
        if self._request.stream:
            self._read_stream(pieces, prepared)
        else:
            self._read_whole(pieces, prepared)

    def _read_whole(self, pieces: Iterator[bytes], prepared: _Prepared) -> None:
        body = b"".join(self._bounded(pieces))
        whole = prepared.codec.translate_answer(body, self._request, prepared.encoded.answer_tool)
        if whole.error is not None:
            raise CallFailed("failed", whole.error.message, status=200)
        if whole.broken is not None:
            raise CallFailed("broken", f"fault {whole.broken}", status=200)
        self._hear(whole.events)
        self._check_answered()
        _count(self._call, self._result, prepared.codec.quantities(whole))

    def _read_stream(self, pieces: Iterator[bytes], prepared: _Prepared) -> None:
        decoder = prepared.codec.translating_decoder(self._request, prepared.encoded.answer_tool)
        ended = False
        for piece in self._bounded(pieces):
            for step in decoder.feed(piece):
                ended = self._hear(step.events) or ended
            if ended or (self._result.variant == "cancel" and self._call.reached("answer")):
                break
        if self._result.variant == "cancel" and self._call.reached("answer"):
            if ended:
                raise CallFailed("not_cancelled", status=200)
            # The connection is closed after this.
            self._call.reach("cancel")
            return
        if not ended:
            for step in decoder.end():
                self._hear(step.events)
        self._check_answered()
        self._call.reach("stream")
        self._check_form(prepared.codec.quantities(decoder).meters)
        _count(self._call, self._result, prepared.codec.quantities(decoder))

    def _bounded(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        size = 0
        for piece in pieces:
            size += len(piece)
            if self._call.late or size > _BODY_BYTES_MAX:
                raise CallFailed("timeout", "the answer does not come to its end")
            yield piece

    def _hear(self, events: Sequence[Event]) -> bool:
        """Read events. Return whether the answer has ended. Raises CallFailed if it ended with an
        error."""
        for event in events:
            if isinstance(event, UpstreamError):
                raise CallFailed("failed", event.message, status=200)
            if isinstance(event, Broken):
                raise CallFailed("broken", f"fault {event.fault}", status=200)
            if isinstance(event, End):
                return True
            if event.is_content or isinstance(event, Finish):
                self._call.reach("answer")
            self._received.add(event)
        return False

    def _check_answered(self) -> None:
        if not self._call.reached("answer"):
            raise CallFailed("broken", "the response ended without an answer", status=200)

    def _check_form(self, meters: Mapping[str, int]) -> None:
        """Check what the variant requires of the answer, or of the provider's counts."""
        received = self._received
        if self._result.variant == "tools":
            if received.tool != _TOOL.name or not matches_schema(received.arguments, _ARGUMENTS):
                raise CallFailed(
                    "no_tool_call", status=200, body=received.arguments or received.text
                )
            self._call.reach("tool")
        elif self._result.variant == "schema":
            if not matches_schema(received.text, _SCHEMA):
                raise CallFailed("not_schema", status=200, body=received.text)
            self._call.reach("schema")
        elif self._result.variant == "vision":
            self._check_said(COLOUR, "not_seen")
            self._call.reach("seen")
        elif self._result.variant == "files":
            self._check_said(WORD, "not_read")
            self._call.reach("read")
        elif self._result.variant == "audio":
            if not meters.get("in_audio"):
                raise CallFailed("not_heard", status=200, body=received.text)
            self._call.reach("heard")
        elif self._result.variant == "reasoning":
            if not received.thinks and not meters.get("out_reasoning"):
                raise CallFailed("not_thought", status=200, body=received.text)
            self._call.reach("thought")

    def _check_said(self, word: str, fault: Fault) -> None:
        if not re.search(rf"\b{word}\b", self._received.text, re.IGNORECASE):
            raise CallFailed(fault, status=200, body=self._received.text)


def matches_schema(text: str, schema: JsonObject) -> bool:
    """Return whether the text is JSON that matches a schema."""
    # Loaded with the first schema rather than when the process starts.
    import jsonschema

    try:
        jsonschema.validate(json.loads(text), schema)
    except (ValueError, RecursionError, jsonschema.ValidationError):
        return False
    return True
