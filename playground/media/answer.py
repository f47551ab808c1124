"""Read the answer to a media page: pictures, sound, a transcript, or the id of a video.

UnreadableAnswer    the answer contains none of these
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from dialects.json.not_json import NOT_JSON
from dialects.media.sound import SPEECH_FORMATS
from playground.attachments.rules import UnsupportedFile, inspect_file

SEGMENTS_MAX: Final = 5_000


class UnreadableAnswer(ValueError):
    """The answer contains nothing to show."""


@dataclass(frozen=True)
class MadeFile:
    """A file of a result. `facts` are like those of an attachment."""

    name: str
    kind: str
    media_type: str
    data: bytes
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Transcript:
    """A transcript. `segments` have start and end in seconds, and the text; () if there are
    none."""

    text: str
    segments: Sequence[tuple[float, float, str]] = ()
    language: str = ""
    seconds: float | None = None


class _Picture(msgspec.Struct):
    b64_json: str | None = None
    url: str | None = None


class _Pictures(msgspec.Struct):
    data: list[_Picture]


class _Segment(msgspec.Struct):
    start: float
    end: float
    text: str


class _Transcription(msgspec.Struct):
    text: str
    segments: list[_Segment] | None = None
    language: str | None = None
    duration: float | str | None = None


class _Video(msgspec.Struct):
    id: str


def read_pictures(raw: bytes) -> list[bytes | str]:
    """Return the pictures of an answer: their bytes or their URLs."""
    images: list[bytes | str] = []
    for one in decode_answer(raw, _Pictures).data:
        if one.b64_json:
            try:
                images.append(base64.b64decode(one.b64_json, validate=True))
            except binascii.Error as error:
                raise UnreadableAnswer from error
        elif one.url:
            images.append(one.url)
    if not images:
        raise UnreadableAnswer
    return images


def picture_file(number: int, data: bytes) -> MadeFile:
    """Return a picture as a file of the type that its bytes show."""
    try:
        info = inspect_file(data)
    except UnsupportedFile as error:
        raise UnreadableAnswer from error
    if info.kind != "image":
        raise UnreadableAnswer
    ending = info.media_type.rpartition("/")[2]
    return MadeFile(f"image-{number}.{ending}", "image", info.media_type, data, dict(info.facts))


def sound_file(data: bytes, form: str) -> MadeFile:
    """Return speech as a file of the requested format."""
    if not data:
        raise UnreadableAnswer
    return MadeFile(f"speech.{form}", "audio", SPEECH_FORMATS.get(form, "audio/mpeg"), data)


def read_transcript(raw: bytes) -> Transcript:
    answer = decode_answer(raw, _Transcription)
    segments = [(one.start, one.end, one.text.strip()) for one in answer.segments or ()]
    return Transcript(
        _plain(answer.text.strip()),
        [(start, end, _plain(text)) for start, end, text in segments[:SEGMENTS_MAX]],
        _plain(answer.language or "")[:40],
        _seconds(answer.duration),
    )


def read_video(raw: bytes) -> str:
    """Return the public id of an accepted video."""
    return decode_answer(raw, _Video).id


def subtitles(segments: Sequence[Sequence[Any]]) -> str:
    """Return the segments in SubRip format."""
    return "".join(
        f"{number}\n{_stamp(start)} --> {_stamp(end)}\n{text}\n\n"
        for number, (start, end, text) in enumerate(segments, 1)
    )


def clock(seconds: float) -> str:
    """Format a position in a sound: 1:02, 1:00:02."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _stamp(seconds: float) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"


def _seconds(value: float | str | None) -> float | None:
    try:
        return None if value is None else max(0.0, float(value))
    except ValueError:
        return None


def _plain(text: str) -> str:
    # The database cannot store this character.
    return text.replace("\x00", "")


Form = TypeVar("Form", bound=msgspec.Struct)


def decode_answer(raw: bytes, form: type[Form]) -> Form:
    """Return the members of an answer in JSON. Raises UnreadableAnswer."""
    try:
        return msgspec.json.decode(raw, type=form)
    except NOT_JSON as error:
        raise UnreadableAnswer from error
