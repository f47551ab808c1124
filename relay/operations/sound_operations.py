"""Speech, transcripts and translations, in the forms of their clients, for every provider that
offers them.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple, Self

from dialects.chat.chat import Encoded
from dialects.chat.fold import AnswerFault
from dialects.codec import JSON, Target
from dialects.media import media_by_gemini, sound
from dialects.media.passed_answer import PassedAnswer, PassedEvents, PassedFile
from dialects.media.sound import SpeechFacts, TranscriptionFacts, TranscriptionOperation
from dialects.media.sound_length import ENDS_BYTES, bound_ms, length_ms
from dialects.openai.unary import PlainAnswer, failure
from dialects.usage.usage import Quantities
from relay.counting.vocabularies import Family
from relay.operations.media_operation import NOT_TOLD, MediaOperation
from relay.operations.unary import (
    Exchange,
    Passing,
    Rates,
    Sending,
    UnaryFacts,
    UnaryOperation,
    Urls,
    not_offered,
)

_TEXT: Final = "text/plain; charset=utf-8"
_SOUND: Final = frozenset({"audio/*", "application/octet-stream"})
_TEXTS: Final = frozenset({"text/plain", "text/vtt", "application/x-subrip", "text/srt", JSON})


# ---- speech


class _Characters(NamedTuple):
    """Speech, billed by the characters of the input."""

    facts: SpeechFacts

    def bound(self, rates: Rates) -> Mapping[str, int] | None:
        return {"characters": self.facts.characters} if "characters" in rates else None

    def own_count(self, rates: Rates, family: Family) -> Mapping[str, int]:
        return {"characters": self.facts.characters}


class _SpeechTokens(NamedTuple):
    """Speech, billed by its tokens."""

    facts: SpeechFacts

    def bound(self, rates: Rates) -> Mapping[str, int] | None:
        most = self.facts.token_bound()
        return most if most.keys() <= rates.keys() else None

    def own_count(self, rates: Rates, family: Family) -> Mapping[str, int]:
        return self.facts.token_estimate(0)


class Speech(UnaryOperation):
    """A text read aloud."""

    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        own = sound.read_speech(raw)
        return UnaryFacts.of(own, (_Characters(own), _SpeechTokens(own)), stream=own.stream)

    def send(self, facts: UnaryFacts, urls: Urls, model: str, request_id: str) -> Sending:
        own: SpeechFacts = facts.own
        if "speech" not in urls and "generate_content" in urls:
            exchange = Exchange(
                _read_gemini, partial(_write_gemini, own), facts.units, slow=True,
                content_type=media_by_gemini.speech_type(own),
            )  # fmt: skip
            encoded = media_by_gemini.speech_request(own)
            return Sending("generate_content", "gemini", encoded, exchange)
        if "speech" not in urls:
            raise not_offered(facts, "speech")
        events = partial(PassedEvents, ("speech.audio.done",))
        passing = Passing(
            events if own.stream else PassedFile,
            partial(_speech_quantities, own),
            partial(_count_speech, own),
            sound.SPEECH_FORMATS.get(own.format, "application/octet-stream"),
            _SOUND,
        )
        return Sending("speech", "openai", Encoded(sound.edit(own, model)), passing)


def _speech_quantities(own: SpeechFacts, answer: PassedAnswer, rates: Rates) -> Quantities:
    if "characters" in rates:
        # Speech is charged by the amount requested, not by the amount received.
        return Quantities({"characters": own.characters}, ())
    return sound.token_quantities(answer.usage, "said")


def _count_speech(
    own: SpeechFacts, answer: PassedAnswer | None, rates: Rates, family: Family
) -> Mapping[str, int]:
    if "characters" in rates:
        return {"characters": own.characters}
    return own.token_estimate(sound.speech_ms(answer, own.format))


def _read_gemini(raw: bytes) -> PlainAnswer:
    try:
        _, quantities, usage = media_by_gemini.read_speech_answer(raw)
    except AnswerFault as fault:
        return failure(fault)
    return PlainAnswer(quantities, usage)


def _write_gemini(own: SpeechFacts, raw: bytes, meters: Mapping[str, int]) -> bytes:
    samples, _, _ = media_by_gemini.read_speech_answer(raw)
    return media_by_gemini.write_speech(samples, own)


# ---- transcripts and translations


class _Milliseconds(NamedTuple):
    """Sound input, billed by its duration."""

    facts: TranscriptionFacts

    def bound(self, rates: Rates) -> Mapping[str, int] | None:
        # Providers round up to a second.
        whole = -(-self.facts.bound_ms // 1000) * 1000
        return {"audio_ms": whole} if "audio_ms" in rates else None

    def own_count(self, rates: Rates, family: Family) -> Mapping[str, int]:
        return {"audio_ms": self.facts.ms}


class _TranscriptionTokens(NamedTuple):
    """Sound input, billed by tokens."""

    facts: TranscriptionFacts

    def bound(self, rates: Rates) -> Mapping[str, int] | None:
        most = self.facts.token_bound()
        return most if most.keys() <= rates.keys() else None

    def own_count(self, rates: Rates, family: Family) -> Mapping[str, int]:
        return self.facts.token_estimate(0)


class Transcription(MediaOperation):
    """The transcript of a sound file."""

    file_kind = "audio"
    field_kinds = sound.FORM_KINDS

    def __init__(self, operation: TranscriptionOperation) -> None:
        super().__init__()
        self._operation: TranscriptionOperation = operation

    def bare(self) -> Self:
        return type(self)(self._operation)

    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        longest, ms = self._lengths()
        names = self.file_names or []
        own = sound.read_transcription(raw, self._operation, names, bound_ms=longest, ms=ms)
        self.check_files()
        return UnaryFacts.of(
            own, (_Milliseconds(own), _TranscriptionTokens(own)), stream=own.stream
        )

    def send(self, facts: UnaryFacts, urls: Urls, model: str, request_id: str) -> Sending:
        own: TranscriptionFacts = facts.own
        if own.operation not in urls:
            raise not_offered(facts, own.operation)
        counted_there, counted_here = (
            partial(_reported_transcription, own),
            partial(_count_transcription, own),
        )
        if own.stream:
            passing = Passing(
                partial(PassedEvents, ("transcript.text.done",)), counted_there, counted_here
            )
        elif own.format in sound.TEXT_FORMATS:
            passing = Passing(PassedFile, counted_there, counted_here, _TEXT, _TEXTS)
        else:
            passing = Passing(sound.PassedTranscript, counted_there, counted_here)
        encoded = Encoded(sound.edit(own, model))
        return Sending(own.operation, "openai", encoded, passing, self.files)

    def _lengths(self) -> tuple[int, int]:
        """Return the maximum length of the sound and its estimated length, in milliseconds."""
        file = next((file for file in self.files if file.name == "file"), None)
        if file is None:
            return 0, 0
        head, tail = file.head(ENDS_BYTES), file.tail(ENDS_BYTES)
        return bound_ms(head, file.size), length_ms(head, tail, file.size)


def _reported_transcription(
    own: TranscriptionFacts, answer: PassedAnswer, rates: Rates
) -> Quantities:
    if answer.usage is None:
        return NOT_TOLD
    if "audio_ms" in rates:
        return sound.duration_quantities(answer.usage)
    return sound.token_quantities(answer.usage, "heard")


def _count_transcription(
    own: TranscriptionFacts, answer: PassedAnswer | None, rates: Rates, family: Family
) -> Mapping[str, int]:
    if "audio_ms" in rates:
        return {"audio_ms": sound.transcribed_ms(answer, own)}
    return own.token_estimate(sound.transcript_bytes(answer))


SPEECH: Final = Speech()
TRANSCRIPTIONS: Final = Transcription("transcriptions")
TRANSLATIONS: Final = Transcription("translations")
