"""Speech and transcripts: what is held for them, how long they are, and Gemini's form of speech."""

import base64
import json
import struct
from typing import Any

import pytest

from dialects.chat.fold import AnswerFault
from dialects.errors.errors import RequestFault
from dialects.media import media_by_gemini, sound
from dialects.media.passed_answer import PassedAnswer, PassedEvents, PassedFile
from dialects.media.sound import SpeechFacts, TranscriptionFacts
from tests.fakes.media import wav


def speech(**members: Any) -> SpeechFacts:
    body = {"model": "tts", "input": "Grüße", "voice": "kore"} | members
    return sound.read_speech(json.dumps(body).encode())


def transcription(
    operation: sound.TranscriptionOperation = "transcriptions",
    bound_ms: int = 60_000,
    **members: Any,
) -> TranscriptionFacts:
    raw = json.dumps({"model": "whisper"} | members).encode()
    return sound.read_transcription(raw, operation, ["file"], bound_ms=bound_ms, ms=7_000)


def passed(answer: PassedAnswer, raw: bytes) -> PassedAnswer:
    answer.feed(raw)
    answer.end()
    return answer


# Requests -----------------------------------------------------------------------------------------


def test_speech_is_counted_by_characters_and_held_by_bytes() -> None:
    read = speech(instructions="calm")
    assert (read.characters, read.text_bytes, read.format, read.stream) == (5, 7 + 4, "mp3", False)
    assert read.token_bound() == {"in_text": 11, "out_audio": 5 * 25}
    assert speech(stream_format="sse").stream
    assert not speech(stream_format="audio").stream
    assert read.token_estimate(3_000) == {"in_text": 3, "out_audio": 60}


@pytest.mark.parametrize(
    ("speed", "factor"), [(None, 1), (1, 1), (2, 1), (0.99, 4), (0.25, 4), (0, 4)]
)
def test_slow_speech_is_held_for_its_length(speed: float | None, factor: int) -> None:
    """P2: at a quarter of the speed it lasts four times as long."""
    assert speech(speed=speed).token_bound()["out_audio"] == 5 * 25 * factor


def test_invalid_speech_names_its_member() -> None:
    for members, param in (
        ({"input": ""}, "input"), ({"voice": None}, "voice"), ({"speed": 4.5}, "speed"),
    ):  # fmt: skip
        with pytest.raises(RequestFault) as fault:
            speech(**members)
        assert fault.value.param == param


def test_only_transcriptions_are_streamed() -> None:
    assert transcription(stream=True).stream
    assert not transcription("translations", stream=True).stream
    assert transcription().format == "json"


def test_form_has_one_file() -> None:
    for files in ([], ["picture"], ["file", "file"]):
        with pytest.raises(RequestFault) as fault:
            sound.read_transcription(b'{"model": "m"}', "transcriptions", files, bound_ms=1, ms=1)
        assert fault.value.param == "file"


def test_transcript_is_held_for_the_longest_sound() -> None:
    """P2: by whole seconds of the bound, and at most what a model reads and writes."""
    assert transcription(bound_ms=1_001, prompt="abcd").token_bound() == {
        "in_text": 4 + 16, "in_audio": 2 * 32, "out_text": 2 * 20 + 256,
    }  # fmt: skip
    bound = transcription(bound_ms=10**9).token_bound()
    assert (bound["in_audio"], bound["out_text"]) == (131_072, 32_768)
    assert transcription(prompt="abcd").token_estimate(9) == {
        "in_text": 5, "in_audio": 70, "out_text": 3,
    }  # fmt: skip


# Lengths ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "ms"),
    [
        ({"text": "x", "duration": 2.5}, 2_500),
        ({"text": "x", "duration": "3.25"}, 3_250),
        ({"text": "x", "duration": 61}, 60_000),
        ({"text": "x", "duration": 0}, 7_000),
        ({"text": "x"}, 7_000),
    ],
)
def test_length_of_a_transcript_is_what_it_states(body: dict[str, Any], ms: int) -> None:
    """P2: at most what was held for it; without a statement that of the file."""
    answer = passed(sound.PassedTranscript(), json.dumps(body).encode())
    assert sound.transcribed_ms(answer, transcription()) == ms


@pytest.mark.parametrize(
    ("form", "text", "ms"),
    [
        ("srt", "1\n00:00:00,000 --> 00:00:09,500\nHello\n", 9_500),
        ("vtt", "WEBVTT\n\n00:01.000 --> 00:12.250\nHello\n", 12_250),
        ("srt", "1\n00:00:00,000 --> 01:00:00,000\nHello\n", 60_000),
        ("vtt", "00:01.000 --> 00:02.000\n", 7_000),
        ("text", "at 00:00:30,000\n", 7_000),
    ],
)
def test_length_of_subtitles_is_their_last_time(form: str, text: str, ms: int) -> None:
    answer = passed(PassedFile(), text.encode())
    assert sound.transcribed_ms(answer, transcription(response_format=form)) == ms


def test_length_of_speech() -> None:
    assert sound.speech_ms(passed(PassedFile(), bytes(48_000)), "pcm") == 1_000
    assert sound.speech_ms(passed(PassedFile(), wav(2_500)), "wav") == 2_500
    assert sound.speech_ms(None, "mp3") == 0


def test_size_of_a_transcript() -> None:
    events = PassedEvents(("transcript.text.done",))
    events.feed(b'data: {"type": "transcript.text.done", "text": "abcd"}\n\n')
    events.end()
    assert sound.transcript_bytes(events) == 6
    assert sound.transcript_bytes(passed(sound.PassedTranscript(), b'{"text": "ab"}')) == 4
    assert sound.transcript_bytes(passed(PassedFile(), b"abc")) == 3
    assert sound.transcript_bytes(None) == 0


# Usage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "side", "meters"),
    [
        ({"input_tokens": 5, "output_tokens": 9}, "said", {"in_text": 5, "out_audio": 9}),
        (
            {"input_tokens": 5, "output_tokens": 9},
            "heard",
            {"in_text": 0, "in_audio": 5, "out_text": 9},
        ),
        (
            {"input_tokens": 5, "output_tokens": 9, "input_token_details": {"text_tokens": 2}},
            "heard",
            {"in_text": 2, "in_audio": 3, "out_text": 9},
        ),
        (
            {"input_tokens": 5, "output_tokens": 9, "input_token_details": {"text_tokens": 5}},
            "heard",
            {"in_text": 5, "out_text": 9},
        ),
        ({"input_tokens": 5}, "heard", {}),
    ],
)  # fmt: skip
def test_tokens_are_those_of_sound(
    usage: dict[str, Any], side: Any, meters: dict[str, int]
) -> None:
    assert sound.token_quantities(json.dumps(usage).encode(), side).meters == meters


def test_text_tokens_above_the_input_are_not_charged() -> None:
    """F27"""
    usage = {"input_tokens": 1, "output_tokens": 9, "input_token_details": {"text_tokens": 2}}
    read = sound.token_quantities(json.dumps(usage).encode(), "heard")
    assert (read.meters, read.flags) == ({}, ("usage_parts_above_total",))


# Gemini -------------------------------------------------------------------------------------------


def test_speech_of_gemini() -> None:
    read = speech(
        input="Hello", instructions="Calmly", voice={"id": "KORE"}, speed=2, response_format="wav"
    )
    encoded = media_by_gemini.speech_request(read)
    assert json.loads(encoded.body) == {
        "contents": [{"role": "user", "parts": [{"text": "Calmly: Hello"}]}],
        "generationConfig": {
            "responseModalities": ["AUDIO"],
            "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
        },
    }
    assert encoded.dropped == ("speed",)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"stream_format": "sse"}, "stream_format"),
        ({"response_format": "mp3"}, "response_format"),
        ({"voice": 3}, "voice"),
    ],
)
def test_gemini_refuses_what_it_cannot_say(members: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestFault) as fault:
        media_by_gemini.speech_request(speech(**members))
    assert fault.value.param == param


def test_samples_of_gemini_are_a_file_unless_raw_ones_are_wanted() -> None:
    samples = bytes(48_000)
    parts = [
        {"inlineData": {"mimeType": "audio/L16", "data": base64.b64encode(half).decode()}}
        for half in (samples[:100], samples[100:])
    ]
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 25, "totalTokenCount": 28}
    answer = {"candidates": [{"content": {"parts": parts}}], "usageMetadata": usage}
    read, quantities, raw = media_by_gemini.read_speech_answer(json.dumps(answer).encode())
    assert read == samples
    assert {name: n for name, n in quantities.meters.items() if n} == {
        "in_text": 3, "out_audio": 25,
    }  # fmt: skip
    assert json.loads(raw or b"") == usage
    file = media_by_gemini.write_speech(read, speech())
    # Of one channel, with two bytes a sample.
    assert struct.unpack_from("<HIIHH", file, 22) == (1, 24_000, 48_000, 2, 16)
    assert (file[:4], file[44:]) == (b"RIFF", samples)
    assert media_by_gemini.speech_type(speech()) == "audio/wav"
    raw_ones = speech(response_format="pcm")
    assert media_by_gemini.write_speech(read, raw_ones) == samples
    assert media_by_gemini.speech_type(raw_ones) == "audio/pcm"


def test_answer_of_gemini_without_sound_is_a_fault() -> None:
    for parts in ([{"text": "no"}], [{"inlineData": {"mimeType": "audio/L16", "data": "?"}}]):
        raw = json.dumps({"candidates": [{"content": {"parts": parts}}]}).encode()
        with pytest.raises(AnswerFault):
            media_by_gemini.read_speech_answer(raw)
