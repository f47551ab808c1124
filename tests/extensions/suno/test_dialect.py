"""Tasks of Suno as they are asked for, told of and shown, by the exchanges of the contract
(async_tasks.json, suno_*)."""

import json
from typing import Any

import pytest

from dialects.chat.fold import AnswerFault
from dialects.errors.errors import RequestFault
from dialects.media.shown_task import ShownTask
from dialects.media.videos import TaskError, VideoState
from extensions.suno import dialect as suno
from extensions.suno.dialect import Action, Submission

ID = "736a6f88-bd29-4b1e-b110-37132a5325ac"
ASKED = {"prompt": "[Verse] city lights", "tags": "emotional punk", "mv": "chirp-v4",
         "title": "City Lights"}  # fmt: skip
CLIP = {
    "id": "e9893d04", "title": "City Lights", "status": "complete",
    "metadata": {"tags": "emotional punk", "prompt": "...", "duration": 121.4, "error_type": None,
                 "error_message": None, "audio_prompt_id": None,
                 "gpt_description_prompt": None},
    "audio_url": "https://example.com/s.mp3", "image_url": "https://example.com/s.png",
    "video_url": "", "model_name": "chirp-v4", "image_large_url": "https://example.com/sl.png",
    "major_model_version": "v4",
}  # fmt: skip
TASK = {
    "task_id": ID, "notify_hook": "", "action": "MUSIC", "status": "SUCCESS", "fail_reason": "",
    "submit_time": 1716191749, "start_time": 1716191786, "finish_time": 1716191900,
    "progress": "100%", "data": [CLIP],
}  # fmt: skip
TOLD = {"code": "success", "message": "", "data": TASK}


LINK = "https://hub.example/suno/file/x?expires=1&signature=s"


def raw(value: Any) -> bytes:
    return json.dumps(value).encode()


def shown(state: VideoState, word: str) -> dict[str, Any]:
    status = suno.read_status(raw(TOLD), ID)
    task = ShownTask(
        ID, "suno_music", state, word, status.progress, "", 1716191749000, 1716191786000,
        1716191900000, None,
        {"notify_hook": ""}, status.result or {}, LINK,
    )  # fmt: skip
    return suno.write(task)


def test_suno_submit() -> None:
    asked = suno.read("music", raw(ASKED))
    assert (asked.model, asked.prompt) == ("suno_music", ASKED["prompt"])
    assert json.loads(suno.encode(asked, "").body) == ASKED
    answer = {"code": "success", "message": "", "data": ID}
    assert suno.read_submission(raw(answer)) == Submission("success", "", ID)
    assert suno.write_envelope(ID) == answer


def test_suno_fetch() -> None:
    status = suno.read_status(raw(TOLD), ID)
    assert (status.state, status.progress) == ("succeeded", 100)
    assert status.result == {"data": [CLIP]}
    links = {name: f"{LINK}&clip=0&file={name}" for name in ("audio_url", "image_url")}
    links["image_large_url"] = f"{LINK}&clip=0&file=image_large_url"
    own = TASK | {"data": [CLIP | links]}
    assert suno.write_envelope(shown("succeeded", "SUCCESS")) == TOLD | {"data": own}


@pytest.mark.parametrize(
    ("clip", "member", "address"),
    [
        ("0", "audio_url", "https://example.com/s.mp3"), ("0", "video_url", ""), ("0", "id", ""),
        ("0", "title", ""), ("1", "audio_url", ""), ("-1", "audio_url", ""), ("", "audio_url", ""),
        ("\u0660", "audio_url", ""), ("0", "no_url", ""), ("0", "metadata", ""),
    ],
)  # fmt: skip
def test_a_link_opens_the_file_that_it_names(clip: str, member: str, address: str) -> None:
    assert suno.file_address({"data": [CLIP]}, clip, member) == address
    assert not suno.file_address({}, clip, member)


def test_suno_batch() -> None:
    assert suno.read_ids(raw({"ids": [ID], "action": "MUSIC"})) == ((ID,), "MUSIC")


@pytest.mark.parametrize(
    ("word", "state"),
    [("NOT_START", "queued"), ("SUBMITTED", "queued"), ("QUEUED", "queued"),
     ("IN_PROGRESS", "running"), ("FAILURE", "failed")],
)  # fmt: skip
def test_the_table_of_states(word: str, state: VideoState) -> None:
    task = TASK | {"status": word, "progress": "42%", "fail_reason": "why", "data": None}
    status = suno.read_status(raw(TOLD | {"data": task}), ID)
    assert (status.state, status.progress, status.result) == (state, 42, None)
    assert status.error == (TaskError(word, "why") if state == "failed" else None)
    assert shown(state, status.word)["status"] == word


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", raw(TOLD | {"data": None}), raw(TOLD | {"data": TASK | {"task_id": "x"}}),
        raw(TOLD | {"data": TASK | {"status": "NEARLY"}}), raw(TOLD).replace(b"SUCCESS", b"\xff"),
        raw(TOLD | {"data": TASK | {"data": 7}}), raw(TOLD | {"data": TASK | {"data": None}}),
    ],
)  # fmt: skip
def test_reports_without_content(body: bytes) -> None:
    with pytest.raises(AnswerFault):
        suno.read_status(body, ID)


@pytest.mark.parametrize("data", [None, 7, "", "a b"])
def test_answers_that_accept_nothing(data: Any) -> None:
    with pytest.raises(AnswerFault):
        suno.read_submission(raw({"code": "success", "data": data}))


def test_a_refusal() -> None:
    submission = suno.read_submission(raw({"code": "sensitive", "message": "no", "data": None}))
    assert submission == Submission("sensitive", "no", "")


def test_a_song_goes_on_from_a_clip_of_a_task() -> None:
    body = ASKED | {"continue_clip_id": "e9893d04", "continue_at": 60, "task_id": ID}
    asked = suno.read("music", raw(body))
    assert asked.source_id == ID
    assert json.loads(suno.encode(asked, "up").body) == body | {"task_id": "up"}


@pytest.mark.parametrize(
    ("action", "body", "kind"),
    [
        ("music", {}, "missing_parameter"),
        ("music", {"prompt": 7}, "invalid_type"),
        ("music", {"prompt": "x", "make_instrumental": "yes"}, "invalid_type"),
        ("music", {"prompt": "x", "continue_at": -1}, "invalid_value"),
        ("music", {"prompt": "x", "continue_clip_id": "c"}, "missing_parameter"),
        ("music", {"prompt": "x" * 32_001}, "invalid_value"),
        ("music", {"prompt": "x", "tags": "x" * 2_001}, "invalid_value"),
        ("music", {"prompt": "x", "notify_hook": "ftp://x"}, "invalid_value"),
        ("lyrics", {}, "missing_parameter"),
        ("lyrics", {"prompt": ""}, "missing_parameter"),
    ],
)
def test_invalid_requests(action: Action, body: dict[str, Any], kind: str) -> None:
    with pytest.raises(RequestFault) as refused:
        suno.read(action, raw(body))
    assert refused.value.kind == kind
