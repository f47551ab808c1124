"""Tasks of Midjourney as they are asked for, told of and shown, by the exchanges of the contract
(async_tasks.json, mj_*)."""

import json
from typing import Any

import pytest

from dialects.chat.fold import AnswerFault
from dialects.errors.errors import RequestFault
from dialects.media.shown_task import ShownTask
from dialects.media.videos import TaskError, VideoState
from extensions.midjourney import dialect as midjourney
from extensions.midjourney.dialect import Submission

ID = "1730621718151844"
PIXEL = "data:image/png;base64,iVBORw0KGgo="
BUTTONS = [
    {"customId": "MJ::JOB::upsample::1::82c51c9d", "emoji": "", "label": "U1", "type": 2,
     "style": 2},
    {"customId": "MJ::JOB::variation::1::82c51c9d", "emoji": "", "label": "V1", "type": 2,
     "style": 2},
]  # fmt: skip
TOLD = {
    "id": ID, "action": "IMAGINE", "customId": "", "botType": "MID_JOURNEY", "prompt": "Cat",
    "promptEn": "Cat", "description": "Submitted successfully", "state": "",
    "submitTime": 1730621718151, "startTime": 1730621720000, "finishTime": 1730621780000,
    "imageUrl": "https://example.com/mj.png", "status": "SUCCESS", "progress": "100%",
    "failReason": "", "buttons": BUTTONS, "properties": {"finalPrompt": "Cat --v 6.1"},
}  # fmt: skip


def raw(value: Any) -> bytes:
    return json.dumps(value).encode()


def shown(state: VideoState, **over: Any) -> dict[str, Any]:
    status = midjourney.read_status(raw(TOLD), ID)
    task = ShownTask(
        ID, "mj_imagine", state, status.word, status.progress, "Cat", 1730621718151, 1730621720000,
        1730621780000, None,
        {"action": "IMAGINE", "botType": "MID_JOURNEY", "customId": "", "state": ""},
        status.result or {}, f"https://hub.example/mj/image/{ID}?signature=x",
    )  # fmt: skip
    return midjourney.write(task._replace(**over))


def test_mj_imagine() -> None:
    """What is empty is not sent; who shall be told of it is not the provider's business."""
    body = {"botType": "MID_JOURNEY", "prompt": "Cat", "base64Array": [], "notifyHook": "",
            "state": ""}  # fmt: skip
    asked = midjourney.read("imagine", raw(body), "")
    assert (asked.model, asked.prompt, asked.source_id) == ("mj_imagine", "Cat", "")
    sent = midjourney.encode(asked, "")
    assert json.loads(sent.body) == {"prompt": "Cat", "botType": "MID_JOURNEY"}
    assert sent.dropped == ()
    answer = {"code": 1, "description": "Submitted successfully", "properties": {}, "result": ID}
    submission = midjourney.read_submission(raw(answer))
    assert submission == Submission(1, "Submitted successfully", ID, None)
    assert midjourney.write_submitted(submission, ID) == answer


def test_mj_queued() -> None:
    answer = {"code": 22, "description": "In queue, 1 task ahead", "result": "0741798445574458",
              "properties": {"numberOfQueues": 1,
                             "discordInstanceId": "1118138338562560102"}}  # fmt: skip
    submission = midjourney.read_submission(raw(answer))
    assert submission.upstream_id == "0741798445574458"
    assert midjourney.write_submitted(submission, ID) == answer | {
        "result": ID, "properties": {"numberOfQueues": 1},
    }  # fmt: skip


def test_mj_banned() -> None:
    answer = {"code": 24, "description": "Banned word in prompt",
              "properties": {"promptEn": "bad", "bannedWord": "bad"}}  # fmt: skip
    submission = midjourney.read_submission(raw(answer))
    assert submission == Submission(24, "Banned word in prompt", "", None)
    assert submission.code not in midjourney.ACCEPTED


def test_mj_fetch() -> None:
    status = midjourney.read_status(raw(TOLD), ID)
    assert (status.state, status.progress, status.word) == ("succeeded", 100, "SUCCESS")
    assert status.result is not None
    assert status.result["imageUrl"] == "https://example.com/mj.png"
    assert shown("succeeded") == TOLD | {
        "imageUrl": f"https://hub.example/mj/image/{ID}?signature=x"
    }


@pytest.mark.parametrize(
    ("word", "state", "own"),
    [("NOT_START", "queued", "NOT_START"), ("SUBMITTED", "queued", "SUBMITTED"),
     ("MODAL", "running", "MODAL"), ("IN_PROGRESS", "running", "IN_PROGRESS"),
     ("FAILURE", "failed", "FAILURE"), ("CANCEL", "failed", "CANCEL")],
)  # fmt: skip
def test_the_table_of_states(word: str, state: VideoState, own: str) -> None:
    message = TOLD | {"status": word, "progress": "42%", "failReason": "why"}
    status = midjourney.read_status(raw(message), ID)
    assert (status.state, status.progress, status.result) == (state, 42, None)
    assert status.error == (TaskError(word, "why") if state == "failed" else None)
    assert shown(state, word=status.word)["status"] == own
    # A word that does not fit the state, as after 24 hours, is not believed.
    wanted = {"queued": "SUBMITTED", "running": "IN_PROGRESS", "failed": "FAILURE"}[state]
    assert shown(state, word="SUCCESS")["status"] == wanted


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"[]", raw(TOLD | {"id": "other"}), raw(TOLD | {"status": "NEARLY"}),
        raw(TOLD | {"buttons": 7}), b'{"id": "1730621718151844", "status": 1}',
        raw(TOLD).replace(b"SUCCESS", b"\xff"),
    ],
)  # fmt: skip
def test_reports_without_content(body: bytes) -> None:
    with pytest.raises(AnswerFault):
        midjourney.read_status(body, ID)


@pytest.mark.parametrize(
    "body", [b"", b"{}", raw({"code": "1"}), raw({"code": 1}), raw({"code": 1, "result": "a b"})]
)
def test_answers_that_accept_nothing(body: bytes) -> None:
    with pytest.raises(AnswerFault):
        midjourney.read_submission(body)


@pytest.mark.parametrize(
    ("button", "model"),
    [
        ("MJ::JOB::upsample::2::3dbbd469", "mj_upscale"),
        ("MJ::JOB::upsample_v6_2x_subtle::1::x::SOLO", "mj_upscale"),
        ("MJ::JOB::variation::4::x", "mj_variation"),
        ("MJ::JOB::high_variation::1::x::SOLO", "mj_high_variation"),
        ("MJ::JOB::low_variation::1::x::SOLO", "mj_low_variation"),
        ("MJ::JOB::reroll::0::x::SOLO", "mj_reroll"),
        ("MJ::JOB::pan_up::1::x::SOLO", "mj_pan"),
        ("MJ::Outpaint::50::1::x::SOLO", "mj_zoom"),
        ("MJ::CustomZoom::x", "mj_custom_zoom"),
        ("MJ::Inpaint::1::x::SOLO", "mj_inpaint"),
    ],
)
def test_a_button_is_priced_by_what_it_does(button: str, model: str) -> None:
    asked = midjourney.read("action", raw({"taskId": ID, "customId": button}), "")
    assert (asked.model, asked.source_id) == (model, ID)
    assert model in midjourney.MODELS
    sent = json.loads(midjourney.encode(asked, "up").body)
    assert sent == {"customId": button, "taskId": "up"}
    assert asked.detail["customId"] == button


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        ("imagine", {"prompt": "Cat", "botType": "NIJI_JOURNEY", "state": "s"},
         {"action": "IMAGINE", "botType": "NIJI_JOURNEY", "state": "s"}),
        ("imagine", {"prompt": "Cat", "notifyHook": "https://own.example/hook"},
         {"action": "IMAGINE", "notifyHook": "https://own.example/hook"}),
        ("blend", {"base64Array": [PIXEL] * 2}, {"action": "BLEND"}),
        ("describe", {"base64": PIXEL}, {"action": "DESCRIBE"}),
        ("change", {"taskId": ID, "action": "UPSCALE", "index": 3}, {"action": "UPSCALE"}),
    ],
)  # fmt: skip
def test_what_a_task_shows_of_its_request(
    path: midjourney.Submitted, body: dict[str, Any], detail: dict[str, Any]
) -> None:
    empty = {"botType": "MID_JOURNEY", "customId": "", "state": "", "notifyHook": ""}
    assert midjourney.read(path, raw(body), "").detail == empty | detail


@pytest.mark.parametrize(
    ("path", "body", "sent", "model"),
    [
        ("change", {"taskId": ID, "action": "UPSCALE", "index": 3},
         {"action": "UPSCALE", "index": 3, "taskId": "up"}, "mj_upscale"),
        ("change", {"taskId": ID, "action": "REROLL", "index": 1},
         {"action": "REROLL", "taskId": "up"}, "mj_reroll"),
        ("simple-change", {"content": f"{ID} U2", "state": "s"},
         {"content": "up U2", "state": "s"}, "mj_upscale"),
        ("simple-change", {"content": f" {ID}  v4 "}, {"content": "up V4"}, "mj_variation"),
        ("simple-change", {"content": f"{ID} r"}, {"content": "up R"}, "mj_reroll"),
        ("modal", {"taskId": ID, "prompt": "wide", "maskBase64": PIXEL},
         {"prompt": "wide", "maskBase64": PIXEL, "taskId": "up"}, "mj_modal"),
        ("modal", {"taskId": ID}, {"prompt": "", "taskId": "up"}, "mj_modal"),
    ],
)  # fmt: skip
def test_task_requests_use_the_providers_id(
    path: midjourney.Submitted, body: dict[str, Any], sent: dict[str, Any], model: str
) -> None:
    asked = midjourney.read(path, raw(body), "")
    assert (asked.source_id, asked.model) == (ID, model)
    assert json.loads(midjourney.encode(asked, "up").body) == sent


@pytest.mark.parametrize("path", ["change", "simple-change", "modal"])
def test_mode_applies_to_new_tasks(path: midjourney.Submitted) -> None:
    """What is made of a task goes on at its account's pace."""
    bodies: dict[str, dict[str, Any]] = {
        "change": {"taskId": ID, "action": "REROLL"},
        "simple-change": {"content": f"{ID} R"},
        "modal": {"taskId": ID, "prompt": "x"},
    }
    asked = midjourney.read(path, raw(bodies[path]), "fast")
    assert "modes" not in json.loads(midjourney.encode(asked, "up").body)


@pytest.mark.parametrize(
    ("pictures", "kind"),
    [(None, "missing_parameter"), ("x", "invalid_type"), ([7, 7], "invalid_type"),
     ([PIXEL], "invalid_value"), ([PIXEL] * 6, "invalid_value"),
     (["https://a.example/x.png"] * 2, "invalid_value")],
)  # fmt: skip
def test_a_blend_is_of_two_to_five_pictures(pictures: Any, kind: str) -> None:
    with pytest.raises(RequestFault) as refused:
        midjourney.read("blend", raw({"base64Array": pictures}), "")
    assert refused.value.kind == kind


def test_duplicate_members_and_non_json_are_rejected() -> None:
    for body in (b'{"prompt": "a", "prompt": "b"}', b"{", b"[]"):
        with pytest.raises(RequestFault):
            midjourney.read("imagine", body, "")
