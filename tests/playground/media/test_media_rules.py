"""The forms, requests and answers of the media pages."""

import base64
import json
from typing import Any

import pytest

from extensions.midjourney import dialect as midjourney
from extensions.suno import dialect as suno
from gateway.providers.media_kinds import media_kind
from gateway.providers.media_options import MediaKind
from gateway.providers.models import find_row
from playground.media.answer import (
    Transcript,
    UnreadableAnswer,
    clock,
    picture_file,
    read_pictures,
    read_transcript,
    read_video,
    sound_file,
    subtitles,
)
from playground.media.rules import (
    PROMPT_MAX,
    build_request,
    fields_of,
    pictures_in,
    supported_values,
)
from playground.media.service import InvalidMedia
from playground.models_offered.media_model import MediaModel
from tests.support.hostile import EVERYTHING, NUL

PIXEL = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n\0").decode()
UNKNOWN = MediaModel("mine", meters=frozenset({"images[512x512,low]", "images[high]", "images"}))


@pytest.mark.parametrize(
    ("name", "meters", "kind"),
    [
        ("gpt-image-1", (), "image"),
        ("gemini-3-pro-image-preview", (), "image"),
        ("gpt-4o-mini-tts", (), "speech"),
        ("gemini-2.5-flash-preview-tts", (), "speech"),
        ("whisper-1", (), "transcription"),
        ("sora-2", (), "video"),
        ("gpt-4o", ("images",), None),
        ("mj_imagine", ("requests",), "midjourney"),
        ("mj_describe", ("requests",), "midjourney"),
        ("suno_music", ("requests",), "music"),
        ("suno_lyrics", ("requests",), "music"),
        ("gpt-realtime", ("in_text", "out_audio"), None),
        ("mine", ("images[low]",), "image"),
        ("mine", ("video_ms[720p]",), "video"),
        ("mine", ("characters",), "speech"),
        ("mine", ("in_text", "out_audio"), "speech"),
        ("mine", ("audio_ms",), "transcription"),
        ("mine", ("in_text", "out_text", "out_audio"), None),
        ("mine", ("in_text",), None),
    ],
)
def test_products_of_a_model(name: str, meters: tuple[str, ...], kind: MediaKind | None) -> None:
    assert media_kind(find_row(name), meters) == kind


@pytest.mark.parametrize(
    ("kind", "name", "names"),
    [
        ("image", "gpt-image-1", ["size", "quality", "n", "background", "output_format"]),
        ("image", "dall-e-3", ["size", "quality", "style"]),
        ("speech", "tts-1-hd", ["voice", "response_format", "speed"]),
        ("speech", "gpt-4o-mini-tts", ["voice", "instructions", "response_format", "speed"]),
        ("speech", "gemini-2.5-pro-preview-tts", ["voice", "instructions"]),
        ("transcription", "whisper-1", ["task", "language", "timestamps"]),
        ("transcription", "gpt-4o-transcribe", ["language"]),
        ("video", "sora-2", ["seconds", "size"]),
    ],
)
def test_form_contains_what_its_model_accepts(kind: MediaKind, name: str, names: list[str]) -> None:
    assert [one.name for one in fields_of(kind, MediaModel("ours", name))] == names


def test_price_relevant_options_can_be_chosen() -> None:
    fields = {one.name: list(one.choices) for one in fields_of("image", UNKNOWN)}
    assert fields["size"] == ["512x512"]
    assert fields["quality"] == ["low", "high"]
    video = MediaModel("mine", meters=frozenset({"video_ms[720p]"}))
    (seconds, size) = fields_of("video", video)
    assert (seconds.form, list(size.choices)) == ("number", ["720x1280", "1280x720"])


@pytest.mark.parametrize(
    ("kind", "name", "values", "inputs", "operation", "body"),
    [
        ("image", "gpt-image-1", {"size": "1024x1024", "n": "2", "style": "vivid"}, (),
         "image_generations", {"prompt": "p", "size": "1024x1024", "n": 2}),
        ("image", "gpt-image-1", {}, ("picture", "mask"), "image_edits", {"prompt": "p"}),
        ("image", "dall-e-3", {"quality": "hd"}, (), "image_generations",
         {"prompt": "p", "quality": "hd", "response_format": "b64_json"}),
        ("speech", "tts-1", {"voice": "nova", "speed": "1.50", "instructions": "calm"}, (),
         "speech", {"input": "p", "voice": "nova", "response_format": "mp3", "speed": 1.5}),
        ("speech", "gemini-3.1-flash-tts", {}, (), "speech",
         {"input": "p", "voice": "Kore", "response_format": "wav"}),
        ("transcription", "whisper-1", {"language": "de"}, ("sound",), "transcriptions",
         {"response_format": "verbose_json", "language": "de", "prompt": "p"}),
        ("transcription", "whisper-1", {"task": "translate", "language": "de", "timestamps": "no"},
         ("sound",), "translations", {"response_format": "json", "prompt": "p"}),
        ("transcription", "gpt-4o-transcribe", {"task": "translate"}, ("sound",), "transcriptions",
         {"response_format": "json", "prompt": "p"}),
        ("video", "sora-2", {"seconds": "8", "size": "1x1"}, ("picture",), "videos",
         {"prompt": "p", "seconds": "8", "size": "720x1280"}),
    ],
)  # fmt: skip
def test_a_form_becomes_a_request(
    kind: MediaKind,
    name: str,
    values: dict[str, str],
    inputs: tuple[str, ...],
    operation: str,
    body: dict[str, Any],
) -> None:
    model = MediaModel("ours", name)
    ask = build_request(kind, model, "p", supported_values(kind, model, values), inputs)
    assert (ask.operation, ask.body) == (operation, {"model": "ours", **body})


@pytest.mark.parametrize(
    ("kind", "name", "prompt", "values", "inputs", "code"),
    [
        ("image", "gpt-image-1", "  ", {}, (), "no_prompt"),
        ("image", "gpt-image-1", "x" * (PROMPT_MAX + 1), {}, (), "too_long"),
        ("image", "dall-e-3", "p", {}, ("picture",), "no_edits"),
        ("image", "gemini-3-pro-image", "p", {}, ("picture", "mask"), "no_masks"),
        ("speech", "tts-1", "p", {"speed": "5"}, (), "no_number"),
        ("speech", "tts-1", "p", {"speed": "nan"}, (), "no_number"),
        ("speech", "gpt-4o-mini-tts", "p", {"instructions": "x" * 2001}, (), "too_long"),
        ("transcription", "whisper-1", "", {}, (), "no_sound"),
        ("transcription", "whisper-1", "", {"language": EVERYTHING}, ("sound",), "no_language"),
        ("video", "mine", "p", {"seconds": "1.5"}, (), "no_number"),
    ],
)
def test_invalid_requests_are_rejected(
    kind: MediaKind,
    name: str,
    prompt: str,
    values: dict[str, str],
    inputs: tuple[str, ...],
    code: str,
) -> None:
    model = MediaModel(name)
    with pytest.raises(InvalidMedia) as refused:
        build_request(kind, model, prompt, supported_values(kind, model, values), inputs)
    assert refused.value.code == code


def test_a_transcript_is_read_with_its_segments() -> None:
    values = {"text": f" {EVERYTHING}{NUL} ", "language": "english", "duration": "2.5",
             "segments": [{"id": 0, "start": 0, "end": 61.5, "text": " One."}]}  # fmt: skip
    transcript = read_transcript(json.dumps(values).encode())
    assert "\0" not in transcript.text
    assert (transcript.segments, transcript.seconds) == ([(0, 61.5, "One.")], 2.5)
    assert subtitles(transcript.segments) == "1\n00:00:00,000 --> 00:01:01,500\nOne.\n\n"
    assert read_transcript(b'{"text":"a"}') == Transcript("a", [])
    assert [clock(62.9), clock(3602)] == ["1:02", "1:00:02"]


def test_images_are_recognised_by_content() -> None:
    gif = b"GIF89a" + b"\x02\0\x03\0" + b"\0" * 8
    encoded = base64.b64encode(gif).decode()
    url = "https://pictures.example/1"
    data = [{"b64_json": encoded}, {"url": url}, {}, {"url": url}, {"b64_json": encoded}]
    assert read_pictures(json.dumps({"data": data}).encode()) == [gif, url, url, gif]
    created = picture_file(1, gif)
    assert (created.name, created.media_type, created.facts) == (
        "image-1.gif", "image/gif", {"width": 2, "height": 3})  # fmt: skip
    assert sound_file(b"x", "opus").media_type == "audio/ogg"
    assert read_video(b'{"id":"video_1","status":"queued"}') == "video_1"


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{}", b"[]", b'{"data":[]}', b'{"data":[{"b64_json":"*"}]}', b"[" * 5000,
        b'{"data":[{"url":"\xff"}]}',
    ],
)  # fmt: skip
def test_an_answer_without_pictures_is_none(raw: bytes) -> None:
    with pytest.raises(UnreadableAnswer):
        read_pictures(raw)


@pytest.mark.parametrize("data", [b"<svg onload=alert(1)>", b"ID3 sound", b""])
def test_non_image_is_not_stored(data: bytes) -> None:
    with pytest.raises(UnreadableAnswer):
        picture_file(1, data)


@pytest.mark.parametrize(
    ("model", "prompt", "values", "inputs", "operation", "body"),
    [
        ("suno_lyrics", "rain", {}, (), "suno_lyrics", {"prompt": "rain"}),
        ("suno_music", "rain", {}, (), "suno_music", {"gpt_description_prompt": "rain"}),
        ("suno_music", "[Verse]", {"words": "lyrics", "title": "T", "tags": "folk",
                                   "mv": "chirp-v4", "instrumental": "yes"}, (), "suno_music",
         {"prompt": "[Verse]", "title": "T", "tags": "folk", "mv": "chirp-v4",
          "make_instrumental": True}),
        ("suno_music", "", {"clip": "c1", "source": "t1", "continue_at": "30.5"}, (), "suno_music",
         {"continue_clip_id": "c1", "task_id": "t1", "continue_at": 30.5}),
        ("mj_imagine", " a cat ", {"aspect": "16:9", "mode": "FAST", "bot": "NIJI_JOURNEY"}, (),
         "midjourney_imagine",
         {"prompt": "a cat --ar 16:9", "botType": "NIJI_JOURNEY", "modes": ["FAST"]}),
        ("mj_blend", "", {"dimensions": "SQUARE"}, ("picture", "picture2"), "midjourney_blend",
         {"dimensions": "SQUARE"}),
        ("mj_describe", "", {}, ("picture3",), "midjourney_describe", {}),
        ("mj_shorten", "a, very cat", {}, (), "midjourney_shorten", {"prompt": "a, very cat"}),
        ("mj_upscale", "", {"source": "1", "custom": "MJ::JOB::upsample::1::x"}, (),
         "midjourney_action", {"taskId": "1", "customId": "MJ::JOB::upsample::1::x"}),
        ("mj_modal", "wider", {"source": "1"}, ("mask",), "midjourney_modal",
         {"taskId": "1", "prompt": "wider"}),
    ],
)  # fmt: skip
def test_requests_to_services(
    model: str, prompt: str, values: dict[str, str], inputs: tuple[str, ...], operation: str,
    body: dict[str, Any],
) -> None:  # fmt: skip
    """What the service's own reader takes."""
    kind: MediaKind = "music" if model.startswith("suno") else "midjourney"
    chosen = MediaModel(model)
    ask = build_request(kind, chosen, prompt, supported_values(kind, chosen, values), inputs)
    assert (ask.operation, ask.body) == (operation, body)
    full = body | pictures_in(operation, dict.fromkeys(inputs, PIXEL))
    if kind == "music":
        suno.read("lyrics" if model == "suno_lyrics" else "music", json.dumps(full).encode())
    else:
        path: Any = operation.removeprefix("midjourney_")
        assert midjourney.read(path, json.dumps(full).encode(), "").model == model


@pytest.mark.parametrize(
    ("model", "inputs", "code"),
    [
        ("mj_imagine", (), "no_prompt"),
        ("mj_shorten", (), "no_prompt"),
        ("mj_describe", (), "no_picture"),
        ("mj_blend", ("picture",), "few_pictures"),
    ],
)
def test_invalid_midjourney_requests(model: str, inputs: tuple[str, ...], code: str) -> None:
    with pytest.raises(InvalidMedia) as refused:
        build_request("midjourney", MediaModel(model), " ", {}, inputs)
    assert refused.value.code == code
