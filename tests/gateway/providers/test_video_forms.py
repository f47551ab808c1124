"""Each form of video tasks against the recorded exchanges, and against what nobody should send."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dialects.chat.fold import AnswerFault
from dialects.errors.errors import RequestFault
from dialects.media import video_generations, videos
from dialects.media.task_upstream_errors import MiniMaxErrors, NumberedErrors
from dialects.media.video_fit import aspect_ratio, resolution, size_of, to_url
from dialects.media.videos import SECONDS_UNSAID, TaskError, VideoRequest, VideoStatus
from extensions.jimeng import dialect as jimeng
from extensions.jimeng.errors import JimengErrors
from extensions.kling import dialect as kling
from extensions.kling.errors import KlingErrors
from gateway.providers import PROVIDERS
from gateway.providers.task_forms import VIDEO_FORMS
from gateway.providers.video_forms import wan
from gateway.providers.video_forms.form import VideoForm
from tests.support.golden_texts import GoldenTexts
from tests.support.hostile import LONG, NUL, STORABLE

RECORDED = {
    one["id"]: one
    for one in json.loads(
        (Path(__file__).parents[2] / "golden/media/async_tasks.json").read_text()
    )["exchanges"]
}


def answered(name: str) -> bytes:
    return json.dumps(RECORDED[name]["response"]["body"]).encode()


def asked(name: str) -> bytes:
    return json.dumps(RECORDED[name]["request"]["body"]).encode()


def named(operation: str) -> VideoForm:
    form = VIDEO_FORMS.get(operation)
    assert form is not None
    return form


@pytest.mark.parametrize(
    ("operation", "create", "id_"),
    [
        ("videos", "sora_create", "video_68d7512d07848190b3e45da0ecbebcde"),
        ("kling_videos", "kling_create", "831922345719271433"),
        ("jimeng_videos", "jimeng_create", "7392616336519610409"),
        ("veo_videos", "veo_create", "models/veo-3.0-generate-001/operations/abc123"),
    ],
)
def test_accepted_order_has_an_id(operation: str, create: str, id_: str) -> None:
    assert named(operation).read_accepted(answered(create)) == id_


@pytest.mark.parametrize(
    ("operation", "recorded", "id_", "state", "content"),
    [
        ("kling_videos", "kling_succeed", "text2video/831922345719271433", "succeeded",
         "https://example.com/kling.mp4"),
        ("kling_videos", "kling_failed", "image2video/831922345719271434", "failed", ""),
        ("jimeng_videos", "jimeng_generating", "x/7392616336519610409", "running", ""),
        ("jimeng_videos", "jimeng_done", "x/7392616336519610409", "succeeded",
         "https://example.com/jimeng.mp4"),
        ("jimeng_videos", "jimeng_error", "x/7392616336519610409", "failed", ""),
        ("veo_videos", "veo_create", "models/veo-3.0-generate-001/operations/abc123", "running",
         ""),
        ("veo_videos", "veo_done", "models/veo-3.0-generate-001/operations/abc123", "succeeded",
         "https://generativelanguage.googleapis.com/v1beta/files/f1:download?alt=media"),
    ],
)  # fmt: skip
def test_task_reports(operation: str, recorded: str, id_: str, state: str, content: str) -> None:
    status = named(operation).read_status(answered(recorded), id_)
    assert (status.state, status.content) == (state, content)
    assert (status.error is not None) is (state == "failed")


FILM = "https://a.example/film.mp4"
KLING = {"task_id": "7", "task_info": {"external_task_id": "ours"}}
VEO = {"name": "op/7", "done": True}


def failed(code: str, message: str = "The video failed.") -> VideoStatus:
    return VideoStatus("failed", 0, error=TaskError(code, message))


@pytest.mark.parametrize(
    ("operation", "answer", "status"),
    [
        ("ark_videos", {"status": "queued"}, VideoStatus("queued", 0)),
        ("ark_videos", {"status": "running"}, VideoStatus("running", 0)),
        ("ark_videos", {"status": "succeeded", "content": {"video_url": FILM}},
         VideoStatus("succeeded", 100, content=FILM)),
        ("ark_videos", {"status": "failed", "error": {"code": "Sensitive", "message": "No."}},
         failed("Sensitive", "No.")),
        ("ark_videos", {"status": "cancelled"}, failed("cancelled")),
        ("ark_videos", {"status": "expired", "error": {}}, failed("expired")),
        ("ark_videos", {"status": "succeeded"}, None),
        ("ark_videos", {"status": "paused"}, None),
        ("ark_videos", {"status": "queued", "id": "8"}, None),
        ("wan_videos", {"task_status": "PENDING"}, VideoStatus("queued", 0)),
        ("wan_videos", {"task_status": "RUNNING"}, VideoStatus("running", 0)),
        ("wan_videos", {"task_status": "SUCCEEDED", "video_url": FILM},
         VideoStatus("succeeded", 100, content=FILM)),
        ("wan_videos", {"task_status": "FAILED", "code": "DataInspection", "message": "No."},
         failed("DataInspection", "No.")),
        ("wan_videos", {"task_status": "CANCELED"}, failed("canceled")),
        ("wan_videos", {"task_status": "SUCCEEDED"}, None),
        ("wan_videos", {"task_status": "UNKNOWN"}, None),
        ("wan_videos", {"task_status": "PENDING", "task_id": "8"}, None),
        ("minimax_videos", {"status": "Preparing"}, VideoStatus("queued", 0)),
        ("minimax_videos", {"status": "Queueing"}, VideoStatus("queued", 0)),
        ("minimax_videos", {"status": "Processing"}, VideoStatus("running", 0)),
        ("minimax_videos", {"status": "Success", "file_id": "f-1"},
         VideoStatus("succeeded", 100, content="f-1")),
        ("minimax_videos",
         {"status": "Fail", "base_resp": {"status_code": 1027, "status_msg": "No."}},
         failed("1027", "No.")),
        ("minimax_videos", {"status": "Success"}, None),
        ("minimax_videos", {"status": "Lost"}, None),
        ("minimax_videos", {"status": "Queueing", "task_id": "8"}, None),
        ("kling_videos", {"task_status": "submitted"}, VideoStatus("queued", 0)),
        ("kling_videos", {"task_status": "processing"}, VideoStatus("running", 0)),
        ("kling_videos", {"task_status": "failed", "task_status_msg": "No."},
         failed("failed", "No.")),
        ("kling_videos", {"task_status": "succeed", "task_result": {"videos": []}}, None),
        ("kling_videos", {"task_status": "submitted", "task_id": "8"}, None),
        ("jimeng_videos", {"status": "in_queue"}, VideoStatus("queued", 0)),
        ("jimeng_videos", {"status": "not_found"}, failed("not_found")),
        ("jimeng_videos", {"status": "expired"}, failed("expired")),
        ("jimeng_videos", {"status": "done"}, None),
        ("veo_videos", {"error": {"code": 3, "message": "No."}}, failed("3", "No.")),
        ("veo_videos",
         {"response": {"generateVideoResponse": {"raiMediaFilteredReasons": ["No."]}}},
         failed("content_filter", "No.")),
        ("veo_videos", {"response": {}}, None),
        ("veo_videos", {"name": "op/8", "error": {"code": 3}}, None),
    ],
)  # fmt: skip
def test_each_state_of_a_task(
    operation: str, answer: dict[str, Any], status: VideoStatus | None
) -> None:
    """None if the answer is not the status of this task."""
    bodies: dict[str, dict[str, Any]] = {
        "ark_videos": {"id": "7", **answer},
        "wan_videos": {"output": {"task_id": "7", **answer}},
        "minimax_videos": {"task_id": "7", **answer},
        "kling_videos": {"code": 0, "data": KLING | answer},
        "jimeng_videos": {"code": 10000, "data": answer},
        "veo_videos": VEO | answer,
    }
    id_ = {"veo_videos": "op/7", "kling_videos": "text2video/7"}.get(operation, "7")
    raw = json.dumps(bodies[operation]).encode()
    if status is None:
        with pytest.raises(AnswerFault):
            named(operation).read_status(raw, id_)
    else:
        assert named(operation).read_status(raw, id_) == status


def test_kling_answers_by_either_id() -> None:
    raw = json.dumps({"code": 0, "data": {**KLING, "task_status": "processing"}}).encode()
    for id_ in ("text2video/7", "image2video/ours"):
        assert named("kling_videos").read_status(raw, id_) == VideoStatus("running", 0)


@pytest.mark.parametrize("number", [50215, 50411, 50412, 50413, 50500, 50501, 50511, 50512, 50518])
def test_number_that_ends_a_task_of_jimeng(number: int) -> None:
    raw = json.dumps({"code": number, "message": "No.", "data": None}).encode()
    assert named("jimeng_videos").read_status(raw, "m/7") == failed(str(number), "No.")


# Each member that some form has.
ORDER: dict[str, Any] = {
    "model": "m", "prompt": "A wave", "seconds": "8", "size": "720x1280", "user": "u", "seed": 7,
    "watermark": True, "negative_prompt": "fog", "cfg_scale": 0.5, "camera_fixed": True,
    "prompt_extend": False, "prompt_optimizer": True, "template_id": "t",
    "camera_control": {"type": "x"}, "person_generation": "allow_adult",
    "metadata": {"image_tail": "data:image/png;base64,iVBORw0KGgo="},
}  # fmt: skip
ORDERS = GoldenTexts(Path(__file__).with_name("orders.txt"))


@pytest.mark.parametrize("form", VIDEO_FORMS.values(), ids=lambda form: form.operation)
def test_order_has_the_members_of_its_form(form: VideoForm) -> None:
    texts = {}
    for model in ("m", "wan3-x") if form.operation == "wan_videos" else ("m",):
        for image in ("", "data:image/png;base64,iVBORw0KGgo="):
            request = replace(videos.read(json.dumps(ORDER).encode()), image=image)
            sent = form.encode(request, model)
            lines = (
                f"{form.path(request, model)} {form.prefix(request, model)}",
                json.dumps(json.loads(sent.body), indent=1),
                f"without {' '.join(sent.dropped)}",
            )
            texts[f"{form.operation}, {model}{' with an image' if image else ''}"] = "\n".join(
                lines
            )
    ORDERS.check(form.operation, texts)


def test_each_task_is_polled_at_its_providers_address() -> None:
    def below(provider: str, operation: str, path: str, id_: str) -> str:
        form, base_url = named(operation), PROVIDERS[provider].base_url
        url = PROVIDERS[provider].url(form.tasks_operation, base_url)
        return form.below(url, getattr(form, path), id_)

    recorded = RECORDED["veo_done"]["request"]["path"]
    id_ = recorded.removeprefix("/v1beta/")
    assert below("gemini", "veo_videos", "status_path", id_).endswith(recorded)
    recorded = RECORDED["kling_failed"]["request"]["path"]
    id_ = "image2video/831922345719271434"
    assert below("kling", "kling_videos", "status_path", id_).endswith(recorded)
    recorded = RECORDED["jimeng_done"]["request"]["path"]
    assert below("jimeng", "jimeng_videos", "status_path", "m/1").endswith(recorded)
    form = named("jimeng_videos")
    assert form.ask is not None
    body = RECORDED["jimeng_done"]["request"]["body"]
    assert json.loads(form.ask(f"{body['req_key']}/{body['task_id']}")) == body
    assert below("minimax", "minimax_videos", "status_path", "1069").endswith(
        "/query/video_generation?task_id=1069"
    )


@pytest.mark.parametrize("id_", ["../x", "a//b", "a/../b", "", "a?b", "a#b"])
@pytest.mark.parametrize("operation", ["kling_videos", "veo_videos", "wan_videos", "ark_videos"])
def test_an_id_leads_nowhere_else(operation: str, id_: str) -> None:
    form = named(operation)
    with pytest.raises(ValueError, match="model's name"):
        form.below("https://a.example/v1", form.status_path, id_)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"<html>",
        b'{"code":"x"}',
        b"[" * 9999,
        b'{"id":"\xff","name":"\xff","status":"\xff","output":{"task_id":"\xff"}}',
        b'{"code":0,"message":"\xff","data":{"task_id":"\xff"}}',
    ],
)
@pytest.mark.parametrize("form", VIDEO_FORMS.values(), ids=lambda form: form.operation)
def test_unreadable_report_is_a_fault_and_no_state(form: VideoForm, raw: bytes) -> None:
    for read in (form.read_accepted, lambda raw: form.read_status(raw, "x/1")):
        with pytest.raises(AnswerFault):
            read(raw)
    if form.read_link is not None:
        with pytest.raises(AnswerFault):
            form.read_link(raw)


@pytest.mark.parametrize(
    ("prompt", "image", "ratio"),
    [
        ("A river.", "", "16:9"),
        ("A river.", "https://a/x.png", "adaptive"),
        ("", "https://a/x.png", "adaptive"),
    ],
)
def test_video_of_ark_keeps_the_ratio_of_its_picture(prompt: str, image: str, ratio: str) -> None:
    body = {"model": "m", "prompt": prompt or "x", "seconds": "8", "size": "1280x720"}
    request = replace(videos.read(json.dumps(body).encode()), prompt=prompt, image=image)
    assert json.loads(named("ark_videos").encode(request, "m").body)["ratio"] == ratio


def test_order_unknown_to_kling_was_not_accepted() -> None:
    """And by its own id: it told so before."""
    read, raw = named("kling_videos").read_status, b'{"code":1203,"message":"no such task"}'
    assert read(raw, "text2video/task_01k9").state == "failed"
    with pytest.raises(AnswerFault):
        read(raw, "text2video/831922345719271433")


@pytest.mark.parametrize(
    ("codec", "status", "number", "kind", "fault"),
    [
        (KlingErrors, 401, 1004, "upstream_auth", "F5"),
        (KlingErrors, 429, 1102, "upstream_auth", "F9"),
        (KlingErrors, 403, 1103, "upstream_auth", "F5"),
        (KlingErrors, 400, 1201, "provider_rejected", "F6"),
        (KlingErrors, 404, 1203, "upstream_error", "F7"),
        (KlingErrors, 400, 1301, "content_filtered", "F6"),
        (KlingErrors, 429, 1303, "upstream_rate_limited", "F8"),
        (KlingErrors, 503, 5001, "overloaded", "F10"),
        (KlingErrors, 400, 4711, "provider_rejected", "F6"),
        (JimengErrors, 400, 50411, "content_filtered", "F6"),
        (JimengErrors, 400, 50429, "upstream_rate_limited", "F8"),
        (JimengErrors, 401, 50400, "upstream_auth", "F5"),
        (JimengErrors, 500, 50500, "upstream_error", "F10"),
        (MiniMaxErrors, 200, 1008, "upstream_auth", "F9"),
    ],
)
def test_errors_mean_what_their_numbers_say(
    codec: type[NumberedErrors], status: int, number: int, kind: str, fault: str
) -> None:
    body: dict[str, Any] = {"code": number, "message": "why"}
    if codec is MiniMaxErrors:
        body = {"base_resp": {"status_code": number, "status_msg": "why"}}
    error = codec.read_error(status, {}, json.dumps(body).encode(), 0)
    assert (error.kind, error.fault, error.detail) == (kind, fault, "why")


@pytest.mark.parametrize("codec", [KlingErrors, JimengErrors, MiniMaxErrors])
def test_error_that_is_no_text_is_an_error_of_the_provider(codec: type[NumberedErrors]) -> None:
    error = codec.read_error(502, {}, b'{"code":1001,"message":"\xff"}', 0)
    assert (error.status, error.fault) == (502, "F10")


def test_wrong_signature_is_a_rejected_key() -> None:
    error = {"Error": {"CodeN": 100010, "Code": "SignatureDoesNotMatch", "Message": "no"}}
    body = json.dumps({"ResponseMetadata": error}).encode()
    error_read = JimengErrors.read_error(401, {}, body, 0)
    assert (error_read.kind, error_read.detail) == ("upstream_auth", "no")


READERS: dict[str, Callable[[bytes], VideoRequest]] = {
    "openai": videos.read,
    "generic": video_generations.read,
    "kling": lambda raw: kling.read(raw, with_image=False),
    "jimeng": jimeng.read,
}


@pytest.mark.parametrize("text", [*STORABLE, NUL, LONG, ""])
def test_any_text_is_sent_unchanged(text: str) -> None:
    body = {"model": "m", "model_name": "m", "req_key": "m", "prompt": text, "seed": 1}
    raw = json.dumps(body | {"metadata": {"negative_prompt": text}}).encode()
    for read in READERS.values():
        try:
            request = read(raw)
        except RequestFault:
            assert not text or len(text) > 32_000
            continue
        for form in VIDEO_FORMS.values():
            sent = json.loads(form.encode(request, "up").body)
            assert text in _texts(sent), form.operation


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [value] if isinstance(value, str) else []


def test_unstated_length_is_within_the_hold() -> None:
    request = video_generations.read(b'{"model":"m","prompt":"x"}')
    assert (request.seconds, request.length_given) == (SECONDS_UNSAID, False)
    assert all(1 <= form.seconds <= SECONDS_UNSAID for form in VIDEO_FORMS.values())


@pytest.mark.parametrize(
    ("operation", "model", "created", "not_made"),
    [
        ("kling_videos", "kling-v2-6", (5, 10), (4, 8)),
        ("kling_videos", "kling-v1", (5, 10), (4,)),
        ("kling_videos", "kling-v3", (3, 7, 15), (2, 16)),
        ("jimeng_videos", "jimeng_t2v_v30", (5, 10), (4,)),
        ("veo_videos", "veo-3.1-generate-preview", (4, 6, 8), (5, 10)),
        ("veo_videos", "veo-2.0-generate-001", (5, 6, 7, 8), (4,)),
    ],
)
def test_lengths_a_model_supports(
    operation: str, model: str, created: tuple[int, ...], not_made: tuple[int, ...]
) -> None:
    lengths = VIDEO_FORMS[operation].lengths(model)
    assert VIDEO_FORMS[operation].seconds in lengths
    assert set(created) <= set(lengths)
    assert not set(not_made) & set(lengths)


@pytest.mark.parametrize(
    ("size", "ratio", "shorter"),
    [("1280x720", "16:9", 720), ("720x1280", "9:16", 720), ("1000x1000", "1:1", 1080),
     ("1792x1024", "16:9", 1080), ("10x9999", "9:16", 480), ("4000x3000", "16:9", 1080)],
)  # fmt: skip
def test_sizes_in_the_providers_terms(size: str, ratio: str, shorter: int) -> None:
    assert (aspect_ratio(size), resolution(size)) == (ratio, shorter)


def test_kling_reads_back_the_size_that_it_writes() -> None:
    for ratio in kling.RATIOS:
        for shorter in kling.MODES.values():
            size = size_of(ratio, shorter)
            assert aspect_ratio(size, kling.RATIOS) == ratio
            assert resolution(size, tuple(kling.MODES.values())) == shorter


def test_image_is_an_address_or_its_declared_type() -> None:
    assert to_url("https://a.example/x.png", "image") == "https://a.example/x.png"
    assert to_url("iVBORw0KGgo=", "image") == "data:image/png;base64,iVBORw0KGgo="
    assert to_url("/9j/4AAQ", "image") == "data:image/jpeg;base64,/9j/4AAQ"
    for wrong in ("ftp://a.example", "file:///etc/passwd", "no picture", "data:image/png,x"):
        with pytest.raises(RequestFault):
            to_url(wrong, "image")


def test_the_fixtures_of_clients_are_read() -> None:
    request = kling.read(asked("kling_create"), with_image=False)
    assert (request.model, request.seconds, request.size) == ("kling-v1", 5, "1280x720")
    assert {name: one.value for name, one in request.options.items()} == {"cfg_scale": 0.5}
    assert kling.read(asked("kling_error"), with_image=False).model == kling.MODEL
    assert jimeng.read(asked("jimeng_create")).model == "jimeng_vgfm_t2v_l20"
    assert jimeng.read_task(asked("jimeng_done")) == "7392616336519610409"
    with pytest.raises(RequestFault):
        jimeng.read(asked("jimeng_error"))


@pytest.mark.parametrize(
    ("model", "image", "shape"),
    [
        ("wan2.2-t2v-plus", "", {"size": "1280*720"}),
        ("wan2.2-i2v-plus", "https://a.example/1.png", {"resolution": "720P"}),
        ("wan2.7-t2v", "", {"resolution": "720P", "ratio": "16:9"}),
        ("wan2.7-i2v", "https://a.example/1.png", {"resolution": "720P"}),
    ],
)
def test_wan_gets_its_size_as_the_model_reads_it(
    model: str, image: str, shape: dict[str, str]
) -> None:
    body: Any = None
    request = VideoRequest(body, model, "A wave", 5, "1280x720", image, "", 6, None)
    sent = json.loads(wan.encode(request, model).body)
    assert sent["parameters"] == {"duration": 5, **shape}
