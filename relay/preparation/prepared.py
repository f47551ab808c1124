"""A request as one candidate will be sent it: unchanged, translated, or other than a chat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from dialects.chat.chat import ChatRequest, Encoded, JsonObject, Upstream
from dialects.codec import Codec, Decoder, Facts
from dialects.json.body import NO_QUIRKS, Quirks
from dialects.openai.think_tags import TagsDecoder
from gateway.channels.overrides.rules import RequestOverrides
from relay.operations.unary import Exchange, Passing
from relay.requests.uploads import OutgoingForm, UploadedFile
from relay.upstream.outgoing import OutgoingRequest


class ForwardedBody(msgspec.Struct, frozen=True):
    """The client's bytes, edited in place. `facts` describe the bytes for this channel; `model` is
    the channel's name for the model; `thinking` is the effort in the model's name; `quirks` are the
    model's special requirements, and `dropped` the fields that they leave out."""

    facts: Facts
    model: str
    thinking: JsonObject | None = None
    quirks: Quirks = NO_QUIRKS
    dropped: tuple[str, ...] = ()

    def encode(self, codec: Codec[Any], output_cap: int | None) -> bytes:
        return codec.edit(self.facts, self.model, output_cap, self.thinking, self.quirks)


@dataclass(slots=True)
class TranslatedBody:
    """The request in neutral form, encoded for an upstream. `undecoded` are the fields that
    decoding left out. `encoded` is created again for an output cap that the balance requires."""

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
    """The body of a request other than a chat, with its files."""

    encoded: Encoded
    files: Sequence[UploadedFile] = ()

    def encode(self, codec: Codec[Any], output_cap: int | None) -> bytes:
        return self.encoded.body

    @property
    def dropped(self) -> tuple[str, ...]:
        return self.encoded.dropped


class AnswerTraits(msgspec.Struct, frozen=True):
    """What is known about the answer in advance. `requested_model` is the client's name if the
    channel uses another one, which answers hide. `thinks`: the model may be silent while it thinks.
    `think_tags`: its reasoning is part of the text. `normalises_usage`: usage may be outside the
    completion. `seals` and `thoughts` say which reasoning is stored for a later request: the
    client's dialect may have no place for it, or a provider may require it back.
    """

    requested_model: str
    thinks: bool = False
    think_tags: bool = False
    normalises_usage: bool = False
    seals: bool = False
    thoughts: bool = False


class PreparedRequest(msgspec.Struct, frozen=True):
    """One request as one candidate will be sent it. `codec` is the upstream's; `stream` is whether
    a stream is requested; `client_headers` are the client's headers to forward. `request` is the
    neutral form, if the request is translated, and `tool_names` are the client's names of tools by
    those that are sent instead; `lowered` is the output cap that replaces a client's cap above the
    model's limit; `exchange` is set for requests other than chats; `overrides` are
    the channel's changes, `dropped_fields` the client's fields that are omitted."""

    codec: Codec[Any]
    url: str
    content_type: str
    stream: bool
    client_headers: tuple[tuple[str, str], ...]
    body: ForwardedBody | TranslatedBody | ExchangeBody
    traits: AnswerTraits
    request: ChatRequest | None = None
    tool_names: Mapping[str, str] = {}
    lowered: int | None = None
    exchange: Exchange | Passing | None = None
    overrides: RequestOverrides | None = None
    dropped_fields: tuple[str, ...] = ()

    @property
    def dropped(self) -> tuple[str, ...]:
        """The names of the client's parameters that are not sent."""
        if not self.dropped_fields:
            return self.body.dropped
        return (*self.body.dropped, *self.dropped_fields)

    def outgoing(self, output_cap: int | None) -> OutgoingRequest:
        """Return the request to send, with an output cap instead of the client's if `output_cap` is
        set."""
        body = self.body.encode(self.codec, output_cap)
        if self.overrides is not None:
            body = self._apply_overrides(body, self.overrides)
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

    def _apply_overrides(self, body: bytes, overrides: RequestOverrides) -> bytes:
        if self.exchange is not None:
            return overrides.other_body(body)
        return overrides.chat_body(body, self.codec.name)

    @property
    def answer_tool(self) -> str:
        """The tool whose call is the answer: see `Encoded`."""
        return self.body.encoded.answer_tool if isinstance(self.body, TranslatedBody) else ""

    def translating_decoder(self, request: ChatRequest) -> Decoder:
        """Return the decoder of the upstream's stream into neutral form."""
        return self.codec.translating_decoder(request, self.answer_tool)

    def untagging(self, decoder: Decoder, choices: int) -> Decoder | TagsDecoder:
        """Return a filter that separates reasoning in tags from the text before the decoder, or the
        decoder itself."""
        return TagsDecoder(decoder, choices) if self.traits.think_tags else decoder
