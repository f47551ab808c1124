"""Requests that are no chat: one body up, one answer down, and no output that a cap could bound.
Embeddings, moderations and rerank: as their clients ask, for every upstream that has them.

    client's body --read--> UnaryFacts --send--> Sending: the upstream's body, and how its answer is
                                                 read for what it used and written for the client
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Final, NamedTuple, Protocol, runtime_checkable
from uuid import UUID

from dialects.chat.chat import Dialect, Encoded
from dialects.codec import JSON, Codec, Target
from dialects.endpoints import embeddings, moderations, rerank
from dialects.endpoints.embeddings import EmbeddingFacts
from dialects.endpoints.operation import Operation
from dialects.endpoints.rerank import RerankFacts, RerankForm
from dialects.endpoints.unary import PlainAnswer
from dialects.errors.errors import RequestFault
from dialects.gemini import embed
from dialects.gemini.embed import EmbedFacts
from dialects.json.body import Body
from dialects.streams.passed_answer import PassedAnswer
from dialects.usage.usage import Quantities
from relay.counting.tokenizer import count_texts
from relay.counting.vocabularies import Family
from relay.media.video_order import AcceptedTask
from relay.requests.uploads import UploadedFile

Rates = Mapping[str, int]
Urls = Mapping[Operation, str]


class Billable(Protocol):
    """One way in which a request may be billed. `bound` is the most that it may come to at a price
    with these rates, None where they have none for it; `own_count` is what is counted here, as a
    family of models does, where no upstream tells it."""

    def bound(self, rates: Rates) -> Mapping[str, int] | None: ...
    def own_count(self, rates: Rates, family: Family) -> Mapping[str, int]: ...


@runtime_checkable
class Cappable(Billable, Protocol):
    """A way whose answer can be made shorter, to no more than so many tokens."""

    @property
    def output_tokens(self) -> int: ...
    def capped(self, output_tokens: int) -> Billable: ...


class Unit(NamedTuple):
    """The way on one meter: at most how much, and how it is counted here."""

    meter: str
    most: int
    here: Callable[[Family], int]

    def bound(self, rates: Rates) -> Mapping[str, int] | None:
        return {self.meter: self.most} if self.meter in rates else None

    def own_count(self, rates: Rates, family: Family) -> Mapping[str, int]:
        return {self.meter: self.here(family)}


@dataclass(frozen=True, slots=True)
class UnaryFacts:
    """The Facts of such a request; `own` are those of its codec. Which of its `units` is billed is
    for the price and the upstream to say. `only_channel`: nobody else has what it is about, and by
    no other of its keys than `only_key`, where that is not None."""

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


class Exchange(NamedTuple):
    """How the body of a 200 is read, and written for the client once it is known what is billed.
    `slow`: it may take as long as a chat's whole answer. `content_type` is what is written.

    `write` takes that body and the meters, and raises AnswerFault for what cannot be converted.
    With `accepted` the answer ends nothing: what it says is the beginning of a media task.
    """

    read: Callable[[bytes], PlainAnswer]
    write: Callable[[bytes, Mapping[str, int]], bytes]
    units: tuple[Billable, ...]
    slow: bool = False
    content_type: str = JSON
    accepted: AcceptedTask | None = None

    def counted_here(self, rates: Rates, family: Family) -> Mapping[str, int]:
        """Our own count, in the first way that has rates."""
        unit = next((unit for unit in self.units if unit.bound(rates) is not None), self.units[0])
        return unit.own_count(rates, family)


class Passing(NamedTuple):
    """How an answer is read that goes on while it comes. `provider_count` is what its provider
    counts at a price with these rates, `own_count` what is counted here: of an answer that may have
    been cut, or never have come (None). `content_types` are those that it may have, `content_type`
    what the client is told where the provider does not say."""

    open: Callable[[], PassedAnswer]
    provider_count: Callable[[PassedAnswer, Rates], Quantities]
    own_count: Callable[[PassedAnswer | None, Rates, Family], Mapping[str, int]]
    content_type: str = JSON
    content_types: frozenset[str] = frozenset({JSON})
    slow: bool = True


class Sending(NamedTuple):
    """What an upstream is asked, with which files and `headers`, and in whose dialect it tells of
    errors, which `errors` reads where it has its own; `path` is what stands behind the address of
    the operation."""

    operation: Operation
    dialect: Dialect
    encoded: Encoded
    exchange: Exchange | Passing
    files: Sequence[UploadedFile] = ()
    path: str = ""
    errors: Codec[Any] | None = None
    headers: tuple[tuple[str, str], ...] = ()


class UnaryOperation(ABC):
    """One such operation in one client's form. `default_model` is asked where a body names none in
    one of its `model_fields`; `lasts_s` is how long it may go on, where that is longer than its
    channel's total time."""

    default_model: str = ""
    model_fields: ClassVar[tuple[str, ...]] = ("model",)
    lasts_s: ClassVar[float] = 0.0

    @abstractmethod
    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        """What must be known of a client's request. Raises RequestFault."""

    @abstractmethod
    def send(self, facts: UnaryFacts, urls: Urls, model: str, request_id: str) -> Sending:
        """The request for an upstream that has these operations and calls the model so.

        Raises RequestFault, `unsupported_capability` where it has none that would do.
        """


def not_offered(facts: UnaryFacts, what: str) -> RequestFault:
    """The refusal of a model whose provider has no such operation."""
    message = f"model {facts.model} has no {what}: its provider does not offer them"
    return RequestFault("unsupported_capability", "model", message)


def pass_unchanged(raw: bytes, meters: Mapping[str, int]) -> bytes:
    """The `write` of an exchange that converts nothing."""
    return raw


_Meters = Mapping[str, int]


class _Embeddings(UnaryOperation):
    """Asked in OpenAI's form, of an upstream of that form or of Gemini's."""

    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        own = embeddings.read(raw, model=target.model or None)
        units = (Unit("in_text", own.text_bytes, partial(_count_embedded, own)),)
        return UnaryFacts(
            own=own,
            body=own.body,
            model=own.model,
            user=own.user,
            text_bytes=own.text_bytes,
            max_cost_nano=own.max_cost_nano,
            units=units,
        )

    def send(self, facts: UnaryFacts, urls: Urls, model: str, request_id: str) -> Sending:
        own: EmbeddingFacts = facts.own
        if "embeddings" in urls:
            exchange = Exchange(
                embeddings.read_answer,
                lambda raw, meters: embeddings.fit_answer(raw, own),
                facts.units,
            )
            return Sending("embeddings", "openai", Encoded(embeddings.edit(own, model)), exchange)
        if "batch_embed_contents" not in urls:
            raise not_offered(facts, "embeddings")
        exchange = Exchange(
            embeddings.read_gemini_answer, partial(_decode_gemini, own), facts.units
        )
        encoded = embeddings.to_gemini(own, model)
        return Sending("batch_embed_contents", "gemini", encoded, exchange)


def _count_embedded(own: EmbeddingFacts, family: Family) -> int:
    """Token ids that a client sends are counted as they are."""
    return count_texts(own.texts or (), family) if own.tokens is None else own.tokens


def _decode_gemini(own: EmbeddingFacts, raw: bytes, meters: _Meters) -> bytes:
    vectors = embeddings.decode_gemini_answer(raw, own.inputs)
    return embeddings.encode_answer(vectors, own, input_tokens=meters.get("in_text", 0))


class _GeminiEmbed(UnaryOperation):
    """Asked in Gemini's form, of an upstream of that form or of OpenAI's."""

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
        if "embeddings" not in urls:
            raise not_offered(facts, "embeddings")
        exchange = Exchange(embeddings.read_answer, partial(_encode_gemini, own), facts.units)
        encoded = embeddings.from_gemini(own, model)
        return Sending("embeddings", "openai", encoded, exchange)


def _encode_gemini(own: EmbedFacts, raw: bytes, meters: _Meters) -> bytes:
    return embeddings.encode_gemini_answer(embeddings.decode_answer(raw, len(own.texts)), own)


class _Moderations(UnaryOperation):
    """Billed by the request: a price says what one costs, and may say nothing."""

    default_model = moderations.MODEL

    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        own = moderations.read(raw)
        units = (Unit("requests", 1, lambda family: 1),)
        return UnaryFacts(
            own=own,
            body=own.body,
            model=own.model,
            user=own.user,
            text_bytes=own.text_bytes,
            max_cost_nano=own.max_cost_nano,
            units=units,
        )

    def send(self, facts: UnaryFacts, urls: Urls, model: str, request_id: str) -> Sending:
        if "moderations" not in urls:
            raise not_offered(facts, "moderations")
        exchange = Exchange(moderations.read_answer, pass_unchanged, facts.units)
        encoded = Encoded(moderations.edit(facts.own, model))
        return Sending("moderations", "openai", encoded, exchange)


def _count_ranked(own: RerankFacts, family: Family) -> int:
    """A query is read once for each document."""
    documents = [document.decode() for document in own.documents]
    query = count_texts((own.query.decode(),), family)
    return count_texts(documents, family) + query * len(documents)


class _Rerank(UnaryOperation):
    """Asked in one of two forms; which one an upstream speaks is told by its path."""

    def __init__(self, form: RerankForm) -> None:
        self._form = form

    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        own = rerank.read(raw, form=self._form)
        units = (
            Unit("in_text", own.text_bytes, partial(_count_ranked, own)),
            Unit("searches", own.search_units_max, lambda family: own.search_units),
        )
        return UnaryFacts(
            own=own,
            body=own.body,
            model=own.model,
            user=own.user,
            text_bytes=own.text_bytes,
            max_cost_nano=own.max_cost_nano,
            units=units,
        )

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
