"""Images: generation, edits and variations, in the forms of their clients, for every provider that
offers them. An answer in OpenAI's form is forwarded while it arrives; one in another form is read
whole and re-encoded.
"""

import time
from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple, Self

from dialects.chat.chat import Base64, Encoded, Url
from dialects.chat.fold import AnswerFault
from dialects.chat.media import read_url
from dialects.codec import Target
from dialects.errors.errors import RequestFault
from dialects.media import imagen, images, media_by_gemini
from dialects.media.images import ImageFacts, ImageOperation, MadeImages
from dialects.media.passed_answer import PassedAnswer, PassedEvents, PassedJson
from dialects.openai.unary import PlainAnswer, failure
from dialects.usage.usage import Quantities
from relay.counting.vocabularies import Family
from relay.operations.media_operation import NOT_TOLD, MediaOperation, data_urls_of
from relay.operations.unary import Exchange, Passing, Rates, Sending, UnaryFacts, Urls, not_offered


class _Pictures(NamedTuple):
    """Billing by the number of pictures."""

    facts: ImageFacts

    def bound(self, rates: Rates) -> Mapping[str, int] | None:
        meter = images.bound_meter(self.facts.size, self.facts.quality, rates)
        return None if meter is None else {meter: self.facts.n}

    def own_count(self, rates: Rates, family: Family) -> Mapping[str, int]:
        return _count_images(self.facts, rates, self.facts.n)


class _PictureTokens(NamedTuple):
    """Billing by the tokens of the pictures."""

    facts: ImageFacts

    def bound(self, rates: Rates) -> Mapping[str, int] | None:
        most = self.facts.token_bound()
        return most if most.keys() <= rates.keys() else None

    def own_count(self, rates: Rates, family: Family) -> Mapping[str, int]:
        return self.facts.token_estimate(self.facts.n)


def _count_images(facts: ImageFacts, rates: Rates, count: int) -> Mapping[str, int]:
    """Return our own count of the pictures, on the meters that have rates."""
    quality = facts.quality or "standard"
    meter = images.meter_of(facts.size, quality, rates) or images.bound_meter("", "", rates)
    if meter is None and "out_image" in rates:
        return facts.token_estimate(count)
    return {meter or "images": count}


def _reported_quantities(images_made: MadeImages, rates: Rates) -> Quantities:
    """Return the quantities that an answer reports, on the meters that have rates."""
    if images.bound_meter("", "", rates) is None and not images_made.tokens.missing:
        return images_made.tokens
    meter = images.meter_of(images_made.size, images_made.quality or "standard", rates)
    if meter is None:
        # No rate fits the report: use the most expensive, which was held.
        meter = images.bound_meter(images_made.size, images_made.quality, rates)
    if meter is None:
        return images_made.tokens
    return Quantities({meter: images_made.count}, (), unknown=images_made.tokens.unknown)


class Images(MediaOperation):
    """One of the operations on images."""

    file_kind = "image"
    field_kinds = images.FORM_KINDS

    def __init__(self, operation: ImageOperation) -> None:
        super().__init__()
        self._operation: ImageOperation = operation

    def bare(self) -> Self:
        return type(self)(self._operation)

    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        own = images.read(raw, self._operation, files=self.file_names)
        self.check_files()
        return UnaryFacts.of(own, (_Pictures(own), _PictureTokens(own)), stream=own.stream)

    def send(self, facts: UnaryFacts, urls: Urls, model: str, request_id: str) -> Sending:
        own: ImageFacts = facts.own
        if own.operation in urls:
            encoded = Encoded(images.edit(own, model))
            if own.qwen:
                encoded = images.from_qwen_request(own, model)
            return Sending(own.operation, "openai", encoded, self._passing(own), self.files)
        if own.operation == "image_variations":
            raise not_offered(facts, "variations of images")
        if "ark_images" in urls:
            if own.qwen:
                encoded = images.from_qwen_request(own, model)
            else:
                encoded = images.to_ark(own, model, self._pictures(own))
            return Sending("ark_images", "openai", encoded, self._passing(own))
        if "qwen_images" in urls:
            encoded = images.to_qwen(own, model, self._pictures(own))
            exchange = Exchange(
                partial(_read_qwen, own),
                partial(_write_qwen, own),
                facts.units,
                slow=True,
                with_links=images.with_links,
            )
            return Sending("qwen_images", "openai", encoded, exchange)
        if imagen.makes(model):
            if "predict" in urls:
                return self._by_imagen(own, facts)
        elif "generate_content" in urls:
            return self._by_gemini(own, facts)
        raise not_offered(facts, "images")

    def _by_gemini(self, own: ImageFacts, facts: UnaryFacts) -> Sending:
        pictures = [read_url(url, "image") for url in ([] if own.qwen else self._pictures(own))]
        if (own.qwen and own.pictures) or any(isinstance(picture, Url) for picture in pictures):
            what = "image must be a file or a data URL for this model"
            raise RequestFault("unsupported_capability", "image", what)
        files = [
            (picture.media_type, picture.data)
            for picture in pictures
            if isinstance(picture, Base64)
        ]
        encoded = media_by_gemini.image_request(own, files)
        exchange = Exchange(
            partial(_read_gemini, own), partial(_write_gemini, own), facts.units, slow=True
        )
        return Sending("generate_content", "gemini", encoded, exchange)

    def _by_imagen(self, own: ImageFacts, facts: UnaryFacts) -> Sending:
        if own.operation != "image_generations":
            raise not_offered(facts, "edits of images")
        exchange = Exchange(
            partial(_read_imagen, own), partial(_write_imagen, own), facts.units, slow=True
        )
        return Sending("predict", "gemini", imagen.encode(own), exchange)

    def _passing(self, own: ImageFacts) -> Passing:
        if not own.stream:
            return Passing(
                images.PassedImages, partial(_quantities_of_json, own), partial(_count_json, own)
            )
        return Passing(
            partial(PassedEvents, (".completed",)),
            partial(_quantities_of_events, own),
            partial(_count_events, own),
        )

    def _pictures(self, own: ImageFacts) -> list[str]:
        """Return the pictures to edit, as addresses. Files become data URLs."""
        if own.operation == "image_generations" or own.qwen:
            return []
        if self.form is None:
            return images.pictures_of(own)
        if any(file.name == "mask" for file in self.files):
            what = "mask is not supported by this model: leave it out, or use a model that takes it"
            raise RequestFault("unsupported_capability", "mask", what)
        return data_urls_of(self.files)


def _quantities_of_json(own: ImageFacts, answer: PassedAnswer, rates: Rates) -> Quantities:
    if not isinstance(answer, PassedJson) or not answer.members:
        return NOT_TOLD
    try:
        return _reported_quantities(images.read_answer(answer.members, own), rates)
    except AnswerFault:
        return NOT_TOLD


def _count_json(
    own: ImageFacts, answer: PassedAnswer | None, rates: Rates, family: Family
) -> Mapping[str, int]:
    whole = isinstance(answer, PassedJson) and bool(answer.members)
    return _count_images(own, rates, own.n if whole else 0)


def _quantities_of_events(own: ImageFacts, answer: PassedAnswer, rates: Rates) -> Quantities:
    if not isinstance(answer, PassedEvents) or not answer.last:
        return NOT_TOLD
    return _reported_quantities(images.describe_images(answer.last, answer.finished, own), rates)


def _count_events(
    own: ImageFacts, answer: PassedAnswer | None, rates: Rates, family: Family
) -> Mapping[str, int]:
    return _count_images(own, rates, answer.finished if isinstance(answer, PassedEvents) else 0)


def _read_qwen(own: ImageFacts, raw: bytes) -> PlainAnswer:
    try:
        _, images_made = images.read_qwen_answer(raw, own)
    except AnswerFault as fault:
        return failure(fault)
    return PlainAnswer(NOT_TOLD, at_rates=partial(_reported_quantities, images_made))


def _write_qwen(own: ImageFacts, raw: bytes, meters: Mapping[str, int]) -> bytes:
    addresses, _ = images.read_qwen_answer(raw, own)
    return images.encode_answer(int(time.time()), [{"url": url} for url in addresses])


def _read_gemini(own: ImageFacts, raw: bytes) -> PlainAnswer:
    try:
        _, images_made, usage = media_by_gemini.read_image_answer(raw, own)
    except AnswerFault as fault:
        return failure(fault)
    return PlainAnswer(NOT_TOLD, usage, at_rates=partial(_reported_quantities, images_made))


def _write_gemini(own: ImageFacts, raw: bytes, meters: Mapping[str, int]) -> bytes:
    pictures, _, _ = media_by_gemini.read_image_answer(raw, own)
    return images.encode_answer(int(time.time()), [{"b64_json": data} for data in pictures])


def _read_imagen(own: ImageFacts, raw: bytes) -> PlainAnswer:
    try:
        _, images_made = imagen.read_answer(raw, own)
    except AnswerFault as fault:
        return failure(fault)
    return PlainAnswer(NOT_TOLD, at_rates=partial(_reported_quantities, images_made))


def _write_imagen(own: ImageFacts, raw: bytes, meters: Mapping[str, int]) -> bytes:
    pictures, _ = imagen.read_answer(raw, own)
    return images.encode_answer(int(time.time()), [{"b64_json": data} for data in pictures])


IMAGE_GENERATIONS: Final = Images("image_generations")
IMAGE_EDITS: Final = Images("image_edits")
IMAGE_VARIATIONS: Final = Images("image_variations")
