"""Requests other than chats: one body up, one answer down, and no output to cap. Embeddings,
moderations and rerank, in the forms of their clients, for every upstream that offers them.

    client's body --read--> UnaryFacts --send--> Sending: the upstream's body, and how its answer is
                                                 metered and written for the client
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple, Protocol, runtime_checkable
from uuid import UUID

from dialects.chat.chat import Dialect, Encoded
from dialects.chat.operation import Operation
from dialects.codec import JSON, Codec, Target
from dialects.endpoints import embeddings, moderations, rerank, vertex_embeddings
from dialects.endpoints.embeddings import EmbeddingFacts
from dialects.endpoints.rerank import RerankFacts, RerankForm
from dialects.errors.errors import RequestFault
from dialects.gemini import embed
from dialects.gemini.embed import EmbedFacts
from dialects.json.body import Body
from dialects.json.raw_json import value_of
from dialects.media.passed_answer import PassedAnswer
from dialects.openai.unary import PlainAnswer
from dialects.usage.usage import Quantities
from relay.counting.tokenizer import count_texts
from relay.counting.vocabularies import Family
from relay.media_tasks.video_order import AcceptedTask
from relay.requests.uploads import UploadedFile

Rates = Mapping[str, int]
Urls = Mapping[Operation, str]
_NO_MEDIA: Final[Mapping[Any, int]] = MappingProxyType({})


class Billable(Protocol):
    """One way to bill a request. `bound` is the maximum quantity at a price with these rates, or
    None if the price has no rate for it. `own_count` is our own count, by the rules of a model
    family, if the upstream reports none."""

    def bound(self, rates: Rates) -> Mapping[str, int] | None: ...
    def own_count(self, rates: Rates, family: Family) -> Mapping[str, int]: ...


@runtime_checkable
class Cappable(Billable, Protocol):
    """A way to bill whose answer can be capped to a number of tokens."""

    @property
    def output_tokens(self) -> int: ...
    def capped(self, output_tokens: int) -> Billable: ...


class Unit(NamedTuple):
    """Billing by a single meter: its maximum, and our own count."""

    meter: str
    most: int
    here: Callable[[Family], int]

    def bound(self, rates: Rates) -> Mapping[str, int] | None:
        return {self.meter: self.most} if self.meter in rates else None

    def own_count(self, rates: Rates, family: Family) -> Mapping[str, int]:
        return {self.meter: self.here(family)}


class CodecFacts(Protocol):
    """What a codec read of a request."""

    @property
    def body(self) -> Body: ...
    @property
    def model(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def text_bytes(self) -> int: ...
    @property
    def max_cost_nano(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class UnaryFacts:
    """The facts of a request that is not a chat. `own` are those of its codec. The price and the
    upstream decide which of `units` is billed. `only_channel` is the only channel that has the
    object which the request refers to; `only_key`, if set, is the only key of that channel that can
    use it."""

    own: Any
    body: Body
    model: str
    user: str
    text_bytes: int
    max_cost_nano: int | None
    units: tuple[Billable, ...]
    stream: bool = False
    output_cap: int | None = 0
    choices: int = 1
    media: Mapping[Any, int] = field(default_factory=dict)
    audio_output: bool = False
    only_channel: UUID | None = None
    only_key: UUID | None = None

    @classmethod
    def of(
        cls,
        own: CodecFacts,
        units: tuple[Billable, ...],
        *,
        stream: bool = False,
        media: Mapping[Any, int] = _NO_MEDIA,
    ) -> "UnaryFacts":
        """Return the facts of a request of which its codec read all that is common."""
        return cls(
            own=own,
            body=own.body,
            model=own.model,
            user=own.user,
            text_bytes=own.text_bytes,
            max_cost_nano=own.max_cost_nano,
            units=units,
            stream=stream,
            media=media,
        )


class Exchange(NamedTuple):
    """How a 200 response is read, and how it is written for the client once its meters are known.
    `slow`: the response may take as long as a chat's whole answer. `content_type` is the type of
    the written body. `write` receives the body and the meters, and raises AnswerFault if it cannot
    convert them. With `accepted` the answer begins a media task instead of finishing the
    request. `with_links` puts a link of ours in place of each address of a provider's file in the
    written body; None if it has none."""

    read: Callable[[bytes], PlainAnswer]
    write: Callable[[bytes, Mapping[str, int]], bytes]
    units: tuple[Billable, ...]
    slow: bool = False
    content_type: str = JSON
    accepted: AcceptedTask | None = None
    with_links: Callable[[bytes, Callable[[str], str]], bytes] | None = None

    def counted_here(self, rates: Rates, family: Family) -> Mapping[str, int]:
        """Return our own count in the first unit that has rates, or in the first unit if none
        has."""
        unit = next((unit for unit in self.units if unit.bound(rates) is not None), self.units[0])
        return unit.own_count(rates, family)


class Passing(NamedTuple):
    """How an answer that is relayed while it arrives is read. `provider_count` is the provider's
    count at a price with these rates. `own_count` is our count, also for an answer that was cut or
    never came (None). `content_types` are the acceptable types; `content_type` is sent to the
    client if the provider names none.
    """

    open: Callable[[], PassedAnswer]
    provider_count: Callable[[PassedAnswer, Rates], Quantities]
    own_count: Callable[[PassedAnswer | None, Rates, Family], Mapping[str, int]]
    content_type: str = JSON
    content_types: frozenset[str] = frozenset({JSON})
    slow: bool = True


class Sending(NamedTuple):
    """A request to an upstream, with its files and `headers`. `path` follows the operation's
    address. Errors are read in the upstream's dialect, or by `errors` if it has its own form.
    """

    operation: Operation
    dialect: Dialect
    encoded: Encoded
    exchange: Exchange | Passing
    files: Sequence[UploadedFile] = ()
    path: str = ""
    errors: Codec[Any] | None = None
    headers: tuple[tuple[str, str], ...] = ()


class UnaryOperation(ABC):
    """One operation in one client's form. `default_model` is used if none of the body's
    `model_fields` names one; `lasts_s` is its time limit, if longer than the channel's total time.
    `has_tools`: the tools in its body are those of its dialect, and go to any provider as they are.
    """

    default_model: str = ""
    model_fields: ClassVar[tuple[str, ...]] = ("model",)
    lasts_s: ClassVar[float] = 0.0
    has_tools: ClassVar[bool] = False

    @abstractmethod
    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        """Read the facts of a client's request. Raises RequestFault."""

    @abstractmethod
    def send(self, facts: UnaryFacts, urls: Urls, model: str, request_id: str) -> Sending:
        """Write the request for an upstream with these operations and this model name. Raises
        RequestFault, `unsupported_capability` if no operation fits.
        """


def not_offered(facts: UnaryFacts, what: str) -> RequestFault:
    """Return the error for a model whose provider does not offer the operation."""
    message = f"model {facts.model} has no {what}: its provider does not offer them"
    return RequestFault("unsupported_capability", "model", message)


def pass_unchanged(raw: bytes, meters: Mapping[str, int]) -> bytes:
    """Return the body unchanged: the `write` of an exchange that converts nothing."""
    return raw


_Meters = Mapping[str, int]


class _Embeddings(UnaryOperation):
    """Embeddings in OpenAI's form, for upstreams of OpenAI's or Gemini's form."""

    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        own = embeddings.read(raw, model=target.model or None)
        units = (Unit("in_text", own.text_bytes, partial(_count_embedded, own)),)
        return UnaryFacts.of(own, units)

    def send(self, facts: UnaryFacts, urls: Urls, model: str, request_id: str) -> Sending:
        own: EmbeddingFacts = facts.own
        if "embeddings" in urls:
            exchange = Exchange(
                embeddings.read_answer,
                lambda raw, meters: embeddings.fit_answer(raw, own),
                facts.units,
            )
            return Sending("embeddings", "openai", Encoded(embeddings.edit(own, model)), exchange)
        if (operation := vertex_embeddings.operation_of(model)) in urls:
            exchange = Exchange(
                vertex_embeddings.read_answer, partial(_decode_vertex, own), facts.units
            )
            encoded = vertex_embeddings.from_openai(own, model)
            return Sending(operation, "gemini", encoded, exchange)
        if "batch_embed_contents" not in urls:
            raise not_offered(facts, "embeddings")
        exchange = Exchange(
            embeddings.read_gemini_answer, partial(_decode_gemini, own), facts.units
        )
        encoded = embeddings.to_gemini(own, model)
        return Sending("batch_embed_contents", "gemini", encoded, exchange)


def _count_embedded(own: EmbeddingFacts, family: Family) -> int:
    """Count the tokens: token ids that a client sends are counted by their number."""
    return count_texts(own.texts or (), family) if own.tokens is None else own.tokens


def _decode_gemini(own: EmbeddingFacts, raw: bytes, meters: _Meters) -> bytes:
    vectors = embeddings.decode_gemini_answer(raw, own.inputs)
    return embeddings.encode_answer(vectors, own, input_tokens=meters.get("in_text", 0))


def _decode_vertex(own: EmbeddingFacts, raw: bytes, meters: _Meters) -> bytes:
    vectors = vertex_embeddings.decode_answer(raw, own.inputs)
    return embeddings.encode_answer(vectors, own, input_tokens=meters.get("in_text", 0))


class _GeminiEmbed(UnaryOperation):
    """Embeddings in Gemini's form, for upstreams of Gemini's or OpenAI's form."""

    def __init__(self, *, batch: bool) -> None:
        self._batch = batch
        self._operation: Operation = "batch_embed_contents" if batch else "embed_content"

    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        own = embed.read(raw, model=target.model, batch=self._batch)
        units = (Unit("in_text", own.text_bytes, partial(count_texts, own.texts)),)
        return UnaryFacts(
            own=own,
            body=own.body,
            model=own.model,
            user="",
            text_bytes=own.text_bytes,
            max_cost_nano=None,
            units=units,
        )

    def send(self, facts: UnaryFacts, urls: Urls, model: str, request_id: str) -> Sending:
        own: EmbedFacts = facts.own
        if self._operation in urls:
            exchange = Exchange(embeddings.read_gemini_answer, pass_unchanged, facts.units)
            return Sending(self._operation, "gemini", Encoded(embed.edit(own, model)), exchange)
        if (operation := vertex_embeddings.operation_of(model)) in urls:
            exchange = Exchange(
                vertex_embeddings.read_answer, partial(_encode_vertex, own), facts.units
            )
            encoded = vertex_embeddings.from_gemini(own, model)
            return Sending(operation, "gemini", encoded, exchange)
        if "embeddings" not in urls:
            raise not_offered(facts, "embeddings")
        exchange = Exchange(embeddings.read_answer, partial(_encode_gemini, own), facts.units)
        encoded = embeddings.from_gemini(own, model)
        return Sending("embeddings", "openai", encoded, exchange)


def _encode_gemini(own: EmbedFacts, raw: bytes, meters: _Meters) -> bytes:
    return embeddings.encode_gemini_answer(embeddings.decode_answer(raw, len(own.texts)), own)


def _encode_vertex(own: EmbedFacts, raw: bytes, meters: _Meters) -> bytes:
    vectors = vertex_embeddings.decode_answer(raw, len(own.texts))
    return embeddings.encode_gemini_answer(vectors, own)


class _Moderations(UnaryOperation):
    """Moderations are billed per request. They are free if the price has no rate for requests."""

    default_model = moderations.MODEL

    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        own = moderations.read(raw)
        units = (Unit("requests", 1, lambda family: 1),)
        return UnaryFacts.of(own, units)

    def send(self, facts: UnaryFacts, urls: Urls, model: str, request_id: str) -> Sending:
        if "moderations" not in urls:
            raise not_offered(facts, "moderations")
        exchange = Exchange(moderations.read_answer, pass_unchanged, facts.units)
        encoded = Encoded(moderations.edit(facts.own, model))
        return Sending("moderations", "openai", encoded, exchange)


def _count_ranked(own: RerankFacts, family: Family) -> int:
    """Count the tokens: the query is read once for each document."""
    documents = [_ranked_text(document) for document in own.documents]
    query = count_texts((_ranked_text(own.query),), family)
    return count_texts(documents, family) + query * len(documents)


def _ranked_text(raw: bytes) -> str:
    """Return the text of a query or document, without its JSON; what is more than a text stays as
    it is."""
    value = value_of(raw)
    if isinstance(value, dict) and value.keys() == {"text"}:
        value = value["text"]
    return value if isinstance(value, str) else raw.decode()


class _Rerank(UnaryOperation):
    """Rerank in one of two forms. The operation's path tells which form an upstream uses."""

    def __init__(self, form: RerankForm) -> None:
        self._form = form

    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        own = rerank.read(raw, form=self._form)
        units = (
            Unit("in_text", own.text_bytes, partial(_count_ranked, own)),
            Unit("searches", own.search_units_max, lambda family: own.search_units),
        )
        return UnaryFacts.of(own, units)

    def send(self, facts: UnaryFacts, urls: Urls, model: str, request_id: str) -> Sending:
        own: RerankFacts = facts.own
        url = urls.get("rerank")
        if url is None:
            raise not_offered(facts, "rankings")
        form = rerank.form_of(url)
        if form == own.form:
            encoded = Encoded(rerank.edit(own, model))
            fit = pass_unchanged if form == "cohere" else partial(_fit_ranking, own, request_id)
            exchange = Exchange(rerank.read_answer, fit, facts.units)
        else:
            encoded = rerank.encode(own, model, form)
            write = partial(_write_ranking, own, request_id)
            exchange = Exchange(rerank.read_answer, write, facts.units)
        return Sending("rerank", "openai", encoded, exchange)


def _fit_ranking(own: RerankFacts, request_id: str, raw: bytes, meters: _Meters) -> bytes:
    return raw if rerank.has_jina_form(raw) else _write_ranking(own, request_id, raw, meters)


def _write_ranking(own: RerankFacts, request_id: str, raw: bytes, meters: _Meters) -> bytes:
    ranking = rerank.decode_answer(raw, len(own.documents))
    return rerank.encode_answer(ranking, own, request_id=request_id, meters=meters)


EMBEDDINGS: Final = _Embeddings()
EMBED_CONTENT: Final = _GeminiEmbed(batch=False)
BATCH_EMBED_CONTENTS: Final = _GeminiEmbed(batch=True)
MODERATIONS: Final = _Moderations()
RERANK_JINA: Final = _Rerank("jina")
RERANK_COHERE: Final = _Rerank("cohere")
