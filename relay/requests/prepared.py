"""A request as one candidate is sent it: as it came, translated, or as what is no chat."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from dialects.chat.chat import ChatRequest, Encoded, JsonObject, Upstream
from dialects.codec import Codec, Decoder, Facts
from dialects.json.body import NO_QUIRKS, Quirks
from dialects.openai.think_tags import TagsDecoder
from gateway.overrides.rules import RequestOverrides
from relay.answers.unary import Exchange, Passing
from relay.requests.uploads import OutgoingForm, UploadedFile
from relay.upstream.upstream import OutgoingRequest


class ForwardedBody(msgspec.Struct, frozen=True):
    """The client's bytes, edited in place: `facts` are those of the bytes that this channel gets,
    `model` its name for the model, `thinking` what the model's name asks for, `quirks` what the
    model wants otherwise."""

    facts: Facts
    model: str
    thinking: JsonObject | None = None
    quirks: Quirks = NO_QUIRKS

    def encode(self, codec: Codec[Any], output_cap: int | None) -> bytes:
        return codec.edit(self.facts, self.model, output_cap, self.thinking, self.quirks)

    @property
    def dropped(self) -> tuple[str, ...]:
        return self.quirks.dropped


@dataclass(slots=True)
class TranslatedBody:
    """The request in neutral words, encoded for an upstream. `undecoded` is what was left out when
    it was read. `encoded` is made again for an output cap that the money allows."""

    request: ChatRequest
    upstream: Upstream
    encoded: Encoded
    undecoded: tuple[str, ...]

    def encode(self, codec: Codec[Any], output_cap: int | None) -> bytes:
        if output_cap is not None:
            upstream = replace(self.upstream, output_cap=output_cap)
            self.encoded = codec.encode(self.request, upstream)
        return self.encoded.body

    @property
    def dropped(self) -> tuple[str, ...]:
        return (*self.undecoded, *self.encoded.dropped)


class ExchangeBody(msgspec.Struct, frozen=True):
    """What is no chat, and its files."""

    encoded: Encoded
    files: Sequence[UploadedFile] = ()

    def encode(self, codec: Codec[Any], output_cap: int | None) -> bytes:
        return self.encoded.body

    @property
    def dropped(self) -> tuple[str, ...]:
        return self.encoded.dropped


class AnswerTraits(msgspec.Struct, frozen=True):
    """What is known of the answer before it comes.

    `requested_model` is the name that the client used, where the channel knows the model by another
    one: its answers hide that. `thinks`: the model may be silent for a while, and think.
    `think_tags`: its reasoning stands in the text. `normalises_usage`: it may stand outside of the
    completion. `seals` and `thoughts` say what of the reasoning is kept for a later request: it
    comes without what the client has no place for, or what a provider wants back.
    """

    requested_model: str
    thinks: bool = False
    think_tags: bool = False
    normalises_usage: bool = False
    seals: bool = False
    thoughts: bool = False


class PreparedRequest(msgspec.Struct, frozen=True):
    """One request as one candidate is sent it. `codec` is the upstream's, `stream` whether it is
    asked for a stream, `client_headers` those of the client's headers that go on. `request` is what
    it says in neutral words, where it is translated; `lowered` the output cap in place of a
    client's that is above the model's limit; `exchange` is for what is no chat, `overrides` are
    what the channel changes, `dropped_fields` what of the client's it leaves out."""

    codec: Codec[Any]
    url: str
    content_type: str
    stream: bool
    client_headers: tuple[tuple[str, str], ...]
    body: ForwardedBody | TranslatedBody | ExchangeBody
    traits: AnswerTraits
    request: ChatRequest | None = None
    lowered: int | None = None
    exchange: Exchange | Passing | None = None
    overrides: RequestOverrides | None = None
    dropped_fields: tuple[str, ...] = ()

    @property
    def dropped(self) -> tuple[str, ...]:
        """The parameters that are left out."""
        if not self.dropped_fields:
            return self.body.dropped
        return (*self.body.dropped, *self.dropped_fields)

    def outgoing(self, output_cap: int | None) -> OutgoingRequest:
        """The request as it goes out, with an output cap in place of the client's."""
        body = self.body.encode(self.codec, output_cap)
        if self.overrides is not None:
            body = self._overridden(body, self.overrides)
        if self.exchange is not None:
            return self._outgoing_exchange(body, self.exchange)
        return OutgoingRequest(self.codec, self.url, body, self.content_type, self.client_headers)

    def _outgoing_exchange(self, body: bytes, exchange: Exchange | Passing) -> OutgoingRequest:
        files = self.body.files if isinstance(self.body, ExchangeBody) else ()
        kinds = frozenset({self.content_type})
        if isinstance(exchange, Passing) and not self.stream:
            kinds = exchange.content_types
        return OutgoingRequest(
            codec=self.codec,
            url=self.url,
            body=b"" if files else body,
            content_type=self.content_type,
            client_headers=self.client_headers,
            others=kinds,
            form=OutgoingForm(body, files) if files else None,
        )

    def _overridden(self, body: bytes, overrides: RequestOverrides) -> bytes:
        if self.exchange is not None:
            return overrides.other_body(body)
        return overrides.chat_body(body, self.codec.name)

    @property
    def answer_tool(self) -> str:
        """See `Encoded`."""
        return self.body.encoded.answer_tool if isinstance(self.body, TranslatedBody) else ""

    def translating_decoder(self, request: ChatRequest) -> Decoder:
        """What reads a stream of the upstream in neutral words."""
        return self.codec.translating_decoder(request, self.answer_tool)

    def untagging(self, decoder: Decoder, choices: int) -> Decoder | TagsDecoder:
        """What the upstream's bytes are fed to before the decoder."""
        return TagsDecoder(decoder, choices) if self.traits.think_tags else decoder
