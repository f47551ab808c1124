"""Video requests, in the forms of their clients, for every provider that makes videos: once the
provider accepts one, it becomes a media task.
"""

import secrets
from abc import abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Final
from uuid import uuid4

import msgspec

from dialects.chat.chat import Encoded
from dialects.chat.fold import AnswerFault
from dialects.chat.operation import Operation
from dialects.codec import Target
from dialects.errors.errors import RequestFault
from dialects.media import video_generations, videos
from dialects.media.videos import Video, VideoRequest
from dialects.openai.unary import PlainAnswer, failure
from dialects.usage.usage import Quantities
from gateway.providers.provider import BadModelName
from gateway.providers.task_forms import VIDEO_FORMS
from gateway.providers.task_terms import video_meters
from gateway.providers.video_forms.form import VideoForm
from lib.ids import id_text
from relay.media_tasks.video_order import AcceptedVideo, Source
from relay.operations.unary import (
    Exchange,
    Sending,
    UnaryFacts,
    UnaryOperation,
    Unit,
    not_offered,
    pass_unchanged,
)

_ACCEPTED: Final = PlainAnswer(Quantities({}, ()))
# The prefix of a provider's id is stored with it.
_PREFIX_MAX: Final = 39


class VideoOperation(UnaryOperation):
    """A video request in one client's form. `name` is the form's operation, for providers that
    accept the form itself."""

    name: ClassVar[str] = ""
    # The member for the length of a video.
    length_field: ClassVar[str] = "duration"

    @abstractmethod
    def request(self, raw: bytes, target: Target) -> VideoRequest:
        """Return the request in a body and path. Raises RequestFault."""

    @abstractmethod
    def write(self, request_id: str, video: Video) -> dict[str, Any]:
        """Return the client's answer for an accepted video."""

    def length_word(self, seconds: int) -> int:
        """Format a video's length for the provider's member."""
        return seconds

    def new_public_id(self) -> str:
        """Return an id for clients that cannot be guessed."""
        return f"task_{id_text(uuid4()).lower()}"

    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        own = self.request(raw, target)
        asked_ms = 1000 * own.seconds
        units = tuple(
            Unit(meter, asked_ms, lambda family: asked_ms) for meter in video_meters(own.size)
        )
        media = {"image": 1} if own.image else {}
        return UnaryFacts.of(own, units, media=media)

    def send(
        self, facts: UnaryFacts, urls: Mapping[Operation, str], model: str, request_id: str
    ) -> Sending:
        own: VideoRequest = facts.own
        form = next((form for name, form in VIDEO_FORMS.items() if name in urls), None)
        if form is None:
            raise not_offered(facts, "videos")
        if not own.length_given:
            own = replace(own, seconds=form.seconds)
        self._check_length(own, form.lengths(model))
        speaks = form.edit is not None and self.name in form.spoken_by
        write = form.edit if speaks and form.edit is not None else form.encode
        path, prefix = form.path(own, model), form.prefix(own, model)
        if len(prefix) > _PREFIX_MAX:
            raise not_offered(facts, "videos")
        accepted = AcceptedVideo(
            own, form, self.new_public_id(), "", partial(self.write, request_id), prefix
        )
        return _sending(facts, accepted, write(own, model), path)

    def _check_length(self, own: VideoRequest, lengths: Collection[int]) -> None:
        if not lengths or own.seconds in lengths:
            return
        words = [str(self.length_word(seconds)) for seconds in lengths]
        named = f"{', '.join(words[:-1])} or {words[-1]}"
        what = f"{self.length_field} must be {named} for model {own.model}"
        raise RequestFault("invalid_value", self.length_field, what)


def _sending(facts: UnaryFacts, accepted: AcceptedVideo, encoded: Encoded, path: str) -> Sending:
    form = accepted.form
    exchange = Exchange(partial(_read, form), pass_unchanged, facts.units, accepted=accepted)
    return Sending(
        form.operation, form.dialect, encoded, exchange, path=path, errors=form.errors,
        headers=tuple(form.headers.items()),
    )  # fmt: skip


def _read(form: VideoForm, raw: bytes) -> PlainAnswer:
    try:
        form.read_accepted(raw)
    except AnswerFault as fault:
        return failure(fault)
    return _ACCEPTED


class _Videos(VideoOperation):
    """OpenAI's form."""

    name = "videos"
    length_field = "seconds"
    default_model = videos.MODEL

    def request(self, raw: bytes, target: Target) -> VideoRequest:
        return videos.read(raw)

    def write(self, request_id: str, video: Video) -> dict[str, Any]:
        return videos.write(video)

    def new_public_id(self) -> str:
        return f"video_{secrets.token_hex(16)}"


class _Generations(VideoOperation):
    """The generic form."""

    name = "video_generations"

    def request(self, raw: bytes, target: Target) -> VideoRequest:
        return video_generations.read(raw)

    def write(self, request_id: str, video: Video) -> dict[str, Any]:
        return video_generations.write_accepted(video)


class Remix(_Videos):
    """A video made from a finished one, at the channel that has it."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def request(self, raw: bytes, target: Target) -> VideoRequest:
        body, prompt = videos.read_remix(raw)
        source, text_bytes = self._source, len(prompt.encode(errors="replace"))
        return VideoRequest(
            body=body,
            model=source.model,
            prompt=prompt,
            seconds=source.seconds,
            size=source.size,
            image="",
            user="",
            text_bytes=text_bytes,
            max_cost_nano=None,
        )

    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        source, facts = self._source, super().read(raw, target)
        return replace(facts, only_channel=source.channel_id, only_key=source.channel_key_id)

    def send(
        self, facts: UnaryFacts, urls: Mapping[Operation, str], model: str, request_id: str
    ) -> Sending:
        form = next((form for name, form in VIDEO_FORMS.items() if name in urls), None)
        if form is None or not form.remix_path:
            raise not_offered(facts, "remixes of videos")
        source, own = self._source, facts.own
        try:
            path = form.below("", form.remix_path, source.upstream_id)
        except BadModelName:
            raise not_offered(facts, "remixes of this video") from None
        encoded = Encoded(msgspec.json.encode({"prompt": own.prompt}))
        write = partial(self.write, request_id)
        accepted = AcceptedVideo(own, form, self.new_public_id(), source.public_id, write)
        return _sending(facts, accepted, encoded, path)


VIDEOS: Final = _Videos()
VIDEO_GENERATIONS: Final = _Generations()
