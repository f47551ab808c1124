"""Requests for pictures, videos and speech in every form, their answers, and tasks in each state.
`forms.txt` has what came of them when it was recorded."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from dialects.chat.chat import Encoded
from dialects.chat.fold import AnswerFault
from dialects.errors.errors import RequestFault
from dialects.media import (
    imagen,
    images,
    media_by_gemini,
    sound,
    veo,
    video_generations,
    videos,
)
from dialects.media.videos import TaskError, Video
from dialects.openai.unary import open_answer
from tests.support.golden_texts import GoldenTexts
from tests.support.module_data import text_of

TEXTS: Final = GoldenTexts(Path(__file__).with_name("forms.txt"))
PNG: Final = "iVBORw0KGgo="
DATA_URL: Final = f"data:image/png;base64,{PNG}"
LINK: Final = "https://a.example/p.png"

IMAGES: Final[dict[str, tuple[images.ImageOperation, dict[str, Any]]]] = {
    "all": ("image_generations", {
        "prompt": "A cat", "n": 2, "size": "1792x1024", "quality": "high", "user": "u-1",
        "response_format": "b64_json", "output_format": "webp", "background": "opaque",
        "max_cost": "0.5", "negative_prompt": "dogs"}),
    "plain": ("image_generations", {"prompt": "A cat", "size": "auto", "watermark": False}),
    "of a quality": ("image_generations", {"prompt": "A cat", "quality": "high"}),
    "of a size": ("image_generations", {"prompt": "A cat", "size": "1024x1024"}),
    "streamed": ("image_generations", {
        "prompt": "A cat", "stream": True, "partial_images": 2, "size": "1024*1536"}),
    "series": ("image_generations", {
        "prompt": "A cat", "sequential_image_generation": "auto",
        "sequential_image_generation_options": {"max_images": 3}, "guidance_scale": 2.5}),
    "qwen": ("image_generations", {
        "input": {"messages": [{"role": "user", "content": [{"text": "A cat"}]}]},
        "parameters": {"n": 2, "size": "1328*1328", "watermark": True}}),
    "qwen with a picture": ("image_generations", {
        "input": {"messages": [{"role": "user", "content": [
            {"image": LINK}, {"text": "A cat"}, {"text": "at sea"}]}]}}),
    "edit": ("image_edits", {"prompt": "A hat", "images": [{"image_url": LINK}]}),
    "edit of addresses": ("image_edits", {
        "prompt": "A hat", "image": [LINK, DATA_URL], "size": "512x512", "n": 1}),
    "edit of one": ("image_edits", {"prompt": "A hat", "image": LINK}),
    "variation": ("image_variations", {"image": DATA_URL, "n": 3}),
}  # fmt: skip
PICTURES: Final = (LINK, DATA_URL)
RATES: Final = {
    "images": 1, "images[1024]": 4, "images[1792x1024]": 2, "images[1792x1024,high]": 3,
    "images[low]": 5, "images[2K]": 9,
}  # fmt: skip
DEAR: Final = {"images": 9, "images[1024,high]": 4, "images[512]": 12, "images[low]": 20}
IMAGE_ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "all": {
        "created": 7, "size": "1024x1024", "quality": "low", "data": [
            {"b64_json": PNG}, {"error": {"code": "x"}}],
        "usage": {"input_tokens": 9, "output_tokens": 30, "total_tokens": 39,
                  "input_tokens_details": {"text_tokens": 5, "image_tokens": 4},
                  "output_tokens_details": {"text_tokens": 10, "image_tokens": 20}}},
    "size of the picture": {"data": [{"url": LINK, "size": "2048*2048"}]},
    "drawing": {"data": [{"url": LINK}], "svg_usage": {"input_tokens": 4}},
    "too much text": {"data": [{"url": LINK}], "usage": {
        "input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"text_tokens": 5}}},
    "nothing": {"data": []},
}  # fmt: skip
QWEN_ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "choices": {
        "output": {"choices": [{"message": {"content": [
            {"image": LINK}, {"text": "x"}, {"image": None}]}}]},
        "usage": {"image_count": 2, "width": 1328, "height": 1024}},
    "results": {"output": {"results": [{"url": LINK}, {"url": ""}]}, "usage": {"image_count": 0}},
    "nothing": {"output": {}},
}  # fmt: skip
IMAGEN_ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "some": {"predictions": [{"bytesBase64Encoded": PNG, "mimeType": "image/png"},
                             {"raiFilteredReason": "no"}]},
    "filtered": {"predictions": [{"raiFilteredReason": "no cats"}, {}]},
    "nothing": {},
}  # fmt: skip
GEMINI_ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "picture": {
        "candidates": [{"content": {"parts": [
            {"text": "Here"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]}}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 30}},
    "sound": {
        "candidates": [{"content": {"parts": [
            {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "AAAA"}}]}}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 30}},
    "blocked": {"promptFeedback": {"blockReason": "SAFETY"}},
    "filtered": {"candidates": [{"finishReason": "IMAGE_SAFETY"}]},
    "nothing": {"candidates": []},
}  # fmt: skip

VIDEOS: Final[dict[str, tuple[Callable[[bytes], videos.VideoRequest], dict[str, Any]]]] = {
    "openai": (videos.read, {
        "model": "m", "prompt": "A cat", "seconds": "8", "size": "1280x720", "user": "u-1",
        "input_reference": {"image_url": LINK}, "max_cost": "1", "seed": 7}),
    "openai, plain": (videos.read, {"model": "m", "prompt": "A cat"}),
    "generic": (video_generations.read, {
        "model": "m", "prompt": "A cat", "image": DATA_URL, "duration": 5, "width": 720,
        "height": 1280, "n": 1, "user": "u-1", "negative_prompt": "dogs"}),
    "generic, size": (video_generations.read, {
        "model": "m", "prompt": "A cat", "size": "1920x1080", "width": 720, "height": 720}),
    "veo": (lambda raw: veo.read(raw, "m"), {
        "instances": [{"prompt": "A cat", "image": {"inlineData": {
            "mimeType": "image/jpeg", "data": PNG}}, "lastFrame": {"bytesBase64Encoded": PNG}}],
        "parameters": {"aspectRatio": "9:16", "resolution": "1080p", "durationSeconds": 6,
                       "sampleCount": 1, "negativePrompt": "dogs", "seed": 7}}),
    "veo, plain": (lambda raw: veo.read(raw, "m"), {"instances": [{"prompt": "A cat"}]}),
}  # fmt: skip
STATUSES: Final[dict[str, dict[str, Any]]] = {
    "queued": {"status": "queued", "progress": 0},
    "running": {"status": "in_progress", "progress": "41.7", "seconds": "8"},
    "late": {"status": "in_progress", "progress": 150, "seconds": 0, "expires_at": -1},
    "done": {"status": "completed", "progress": 3, "seconds": "4.0", "expires_at": 1_767_000_000},
    "failed": {"status": "failed", "error": {"code": "c", "message": "m"}},
    "failed without a reason": {"status": "failed"},
    "expired": {"status": "expired"},
    "another word": {"status": "dreaming"},
}
TASKS: Final = {
    "queued": Video("video_1", "m", "queued", 0, 5, None, None, 8, "1280x720", "A cat", None, None),
    "running": Video("video_1", "m", "running", 40, 5, None, None, 8, "1280x720", None, None, None),
    "succeeded": Video("video_1", "m", "succeeded", 100, 5, 9, 99, 8, "720x1280", "A cat",
                       "video_0", None),
    "failed": Video("video_1", "m", "failed", 40, 5, 9, None, 8, "1280x720", "A cat", None,
                    TaskError("4", "broken")),
    "filtered": Video("video_1", "m", "failed", 40, 5, 9, None, 8, "1280x720", "A cat", None,
                      TaskError(veo.FILTERED, "no cats")),
    "late": Video("video_1", "m", "failed", 40, 5, 9, None, 8, "1280x720", "A cat", None,
                  TaskError("timeout", "late")),
}  # fmt: skip

SPEECH: Final[dict[str, dict[str, Any]]] = {
    "all": {
        "input": "Hi", "voice": "alloy", "response_format": "wav", "speed": 1.5,
        "instructions": "softly", "stream_format": "audio", "max_cost": "1"},
    "plain": {"input": "Grüße", "voice": {"id": "kore"}},
    "streamed": {"input": "Hi", "voice": "alloy", "stream_format": "sse", "response_format": "pcm"},
    "mp3": {"input": "Hi", "voice": "alloy", "response_format": "mp3"},
}  # fmt: skip


def said(make: Callable[[], Any]) -> str:
    """What a function returns, or why not."""
    try:
        made = make()
    except RequestFault as fault:
        return f"rejected: {fault.kind} {fault.param} {fault.message}"
    except AnswerFault as fault:
        return f"failed: {text_of(fault.event)}"
    if isinstance(made, Encoded):
        dropped = f" without {', '.join(made.dropped)}" if made.dropped else ""
        return f"{made.body.decode()}{dropped}"
    if isinstance(made, bytes):
        return repr(made)
    return text_of(made)


def members_of(facts: Any) -> str:
    names = getattr(facts, "__struct_fields__", None) or facts.__dataclass_fields__
    return text_of({name: getattr(facts, name) for name in names if name != "body"})


def image_lines(name: str) -> Iterator[str]:
    operation, members = IMAGES[name]
    facts = images.read(json.dumps({"model": "m"} | members).encode(), operation)
    inline = [("image/png", PNG)] * bool(facts.pictures)
    yield members_of(facts)
    yield f"at most {facts.token_bound()}, about {facts.token_estimate(2)}"
    yield f"meters {images.meter_of(facts.size, facts.quality, RATES)}"
    yield f"bound {[images.bound_meter(facts.size, facts.quality, it) for it in (RATES, DEAR)]}"
    yield f"edited {said(lambda: images.edit(facts, 'up'))}"
    if not facts.qwen:
        yield f"ark {said(lambda: images.to_ark(facts, 'up', PICTURES))}"
    yield f"qwen {said(lambda: images.to_qwen(facts, 'up', PICTURES))}"
    if facts.qwen:
        yield f"openai {said(lambda: images.from_qwen_request(facts, 'up'))}"
    yield f"imagen {said(lambda: imagen.encode(facts))}"
    yield f"gemini {said(lambda: media_by_gemini.image_request(facts, inline))}"


def image_answers() -> Iterator[str]:
    facts = images.read(
        b'{"model":"m","prompt":"A cat","size":"9x9","quality":"hd"}', "image_generations"
    )
    forms: tuple[tuple[Mapping[str, Any], Callable[[bytes], Any]], ...] = (
        (IMAGE_ANSWERS, lambda raw: images.read_answer(open_answer(raw), facts)),
        (QWEN_ANSWERS, lambda raw: images.read_qwen_answer(raw, facts)),
        (IMAGEN_ANSWERS, lambda raw: imagen.read_answer(raw, facts)),
        (GEMINI_ANSWERS, lambda raw: media_by_gemini.read_image_answer(raw, facts)),
        (GEMINI_ANSWERS, media_by_gemini.read_speech_answer),
    )
    for answers, read in forms:
        for name, answer in answers.items():
            yield f"{name}: {said(partial(read, json.dumps(answer).encode()))}"
    written = images.encode_answer(7, [{"url": LINK}, {"b64_json": PNG}, {"url": DATA_URL}])
    yield images.with_links(written, lambda url: f"/own?{url}").decode()


def video_lines(name: str) -> Iterator[str]:
    read, members = VIDEOS[name]
    request = read(json.dumps(members).encode())
    yield members_of(request)
    yield f"renamed {request.rename_options({'seed': 'Seed', 'negative_prompt': 'not'})}"
    yield f"edited {said(lambda: videos.edit(request, 'up'))}"
    yield f"openai {said(lambda: videos.encode(request, 'up'))}"


def task_lines() -> Iterator[str]:
    for name, status in STATUSES.items():
        raw = json.dumps({"id": "v-1"} | status).encode()
        yield f"{name}: {said(partial(videos.read_status, raw, 'v-1'))}"
    yield said(lambda: videos.read_status(b'{"id":"v-2","status":"queued"}', "v-1"))
    for name, task in TASKS.items():
        yield f"{name}: {videos.write(task)} {videos.state_word(task.state)}"
        yield f"  generic {video_generations.write_accepted(task)}"
        yield f"  generic {video_generations.write(task, LINK)}"
        yield f"  veo {veo.write_accepted(task)} {veo.write(task, LINK)}"
    for model in ("", "x" * 999, "a b"):
        yield said(partial(veo.read, b'{"instances": [{"prompt": "x"}]}', model))
    known = [TASKS["queued"], TASKS["succeeded"]._replace(id="video_2")]
    yield f"{videos.write_list(known, has_more=True)} {videos.write_list([], has_more=False)}"
    yield f"{videos.write_deleted('video_1')} {veo.file_name('video_1')} {veo.id_of_file('video1')}"


def speech_lines() -> Iterator[str]:
    for name, members in SPEECH.items():
        facts = sound.read_speech(json.dumps({"model": "m"} | members).encode())
        yield f"{name}: {members_of(facts)}"
        yield f"  at most {facts.token_bound()}, about {facts.token_estimate(1500)}"
        yield f"  edited {said(partial(sound.edit, facts, 'up'))}"
        yield f"  gemini {said(partial(media_by_gemini.speech_request, facts))}"
        written = media_by_gemini.write_speech(b"abcd", facts)
        yield f"  {media_by_gemini.speech_type(facts)} {written!r}"


def test_pictures_are_asked_for_and_read_in_every_form() -> None:
    found = {f"images, {name}": image_lines(name) for name in IMAGES}
    found["images, answers"] = image_answers()
    TEXTS.check("images", {title: "\n".join(lines) for title, lines in found.items()})


def test_videos_are_asked_for_and_shown_in_every_form() -> None:
    found = {f"videos, {name}": video_lines(name) for name in VIDEOS}
    found["videos, tasks"] = task_lines()
    TEXTS.check("videos", {title: "\n".join(lines) for title, lines in found.items()})


def test_speech_is_asked_for_in_every_form() -> None:
    TEXTS.check("speech", {"speech, requests": "\n".join(speech_lines())})
