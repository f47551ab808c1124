"""Tasks of services as their own clients read them: states, times in the service's unit, links."""

import json
from typing import Any

import pytest

from dialects.errors.errors import RequestFault
from dialects.media.shown_task import ShownTask
from dialects.media.videos import TaskError, Video, VideoRequest, VideoState
from extensions.jimeng import dialect as jimeng
from extensions.jimeng import form as jimeng_form
from extensions.kling import dialect as kling
from extensions.kling import form as kling_form
from extensions.midjourney import dialect as midjourney
from extensions.suno import dialect as suno

STATES: tuple[VideoState, ...] = ("queued", "running", "succeeded", "failed")
URL = "https://hub.example/v1/videos/task_1/content"


def video(state: VideoState, **over: Any) -> Video:
    ended = state in ("succeeded", "failed")
    error = TaskError("50413", "It is not allowed.") if state == "failed" else None
    made = Video(
        id="task_1", model="m", state=state, progress=40, created_at=1_767_000_900,
        completed_at=1_767_000_990 if ended else None, expires_at=None, seconds=5,
        size="1280x720", prompt="p", remixed_from=None, error=error,
    )  # fmt: skip
    return made._replace(**over)


def test_klings_clients_read_its_states_and_milliseconds() -> None:
    told = {state: kling.write(video(state), URL, "req_1")["data"] for state in STATES}
    assert [told[state]["task_status"] for state in STATES] == [
        "submitted", "processing", "succeed", "failed",
    ]  # fmt: skip
    times = [(told[state]["created_at"], told[state]["updated_at"]) for state in STATES]
    created, ended = 1_767_000_900_000, 1_767_000_990_000
    assert times == [(created, created), (created, created), (created, ended), (created, ended)]
    assert ["task_result" in told[state] for state in STATES] == [False, False, True, False]
    (only,) = told["succeeded"]["task_result"]["videos"]
    assert (only["url"], only["duration"]) == (URL, "5")
    assert [told[state]["task_status_msg"] for state in STATES] == [
        "", "", "", "It is not allowed.",
    ]  # fmt: skip


def test_jimengs_clients_read_its_codes_and_states() -> None:
    """A failure has its number, or that of a fault of the service."""
    told = {state: jimeng.write(video(state), URL, "req_1") for state in STATES}
    states = [told[state]["data"] and told[state]["data"]["status"] for state in STATES]
    assert states == ["in_queue", "generating", "done", None]
    links = [(told[state]["data"] or {}).get("video_url", "") for state in STATES]
    assert links == ["", "", URL, ""]
    assert [told[state]["code"] for state in STATES] == [10000, 10000, 10000, 50413]
    assert told["failed"]["message"] == "It is not allowed."
    other = jimeng.write(video("failed", error=TaskError("failed", "x")), URL, "req_1")
    assert (other["code"], other["status"]) == (50500, 50500)


@pytest.mark.parametrize(
    ("frames", "seconds"), [(1, 1), (25, 1), (26, 2), (121, 5), (122, 6), (241, 10), (None, None)]
)
def test_jimengs_frames_are_one_more_than_the_seconds_have(
    frames: int | None, seconds: int | None
) -> None:
    body = {"req_key": "m", "prompt": "p"} | ({} if frames is None else {"frames": frames})
    request = jimeng.read(json.dumps(body).encode())
    assert (request.seconds if request.length_given else None) == seconds


def request_of(seconds: int = 5, **over: Any) -> VideoRequest:
    body = {"req_key": "m", "prompt": "p", "frames": 24 * seconds + 1, **over}
    return jimeng.read(json.dumps(body).encode())


def test_order_to_each_service_has_its_own_length_and_picture() -> None:
    """A data URL is sent as bare base64; only a picture that was sent leaves out the ratio."""
    png = "data:image/png;base64,AAAA"
    for form, sent_as in ((kling_form, "kling"), (jimeng_form, "jimeng")):
        plain = json.loads(form.encode(request_of(10, aspect_ratio="9:16"), "up").body)
        assert plain["aspect_ratio"] == "9:16"
        pictured = json.loads(form.encode(request_of(binary_data_base64=[png]), "up").body)
        if sent_as == "kling":
            assert (plain["duration"], plain["mode"], plain["model_name"]) == ("10", "std", "up")
            assert (pictured["image"], "aspect_ratio" in pictured) == ("AAAA", False)
        else:
            assert (plain["frames"], plain["req_key"]) == (241, "up")
            assert pictured["binary_data_base64"] == ["AAAA"]
            linked = request_of(image_urls=["https://a.example/x.png"])
            body = json.loads(form.encode(linked, "up").body)
            assert body["image_urls"] == ["https://a.example/x.png"]


@pytest.mark.parametrize(
    ("model", "shortest", "longest"),
    [("kling-v1", 5, 10), ("kling-v2-6", 5, 10), ("kling-v3", 3, 15), ("kling-v4-turbo", 3, 30),
     ("other", 5, 10)],
)  # fmt: skip
def test_length_of_a_video_is_that_of_its_version(model: str, shortest: int, longest: int) -> None:
    lengths = kling_form.lengths(model)
    assert (min(lengths), max(lengths)) == (shortest, longest)


@pytest.mark.parametrize(
    ("query", "asks"),
    [({"Action": jimeng.SUBMIT}, False), ({"Action": jimeng.RESULT, "Version": "2022-08-31"}, True),
     ({"Action": "Other"}, None), ({}, None), ({"Action": jimeng.RESULT, "Version": "1"}, None)],
)  # fmt: skip
def test_action_of_jimengs_query_decides(query: dict[str, str], asks: bool | None) -> None:
    if asks is None:
        with pytest.raises(RequestFault):
            jimeng.asks_for_result(query)
        return
    assert jimeng.asks_for_result(query) is asks


def shown(service: str, state: VideoState, word: str, **over: Any) -> ShownTask:
    return ShownTask(
        "id_1", f"{service}_music" if service == "suno" else "mj_pan", state, word, 42, "Cat",
        1_767_000_900_151, 1_767_000_902_000, 1_767_000_962_000,
        TaskError("FAILURE", "Banned") if state == "failed" else None,
        {"notify_hook": "https://a.example/h", "action": "", "customId": "MJ::1"},
        {}, "https://hub.example/x?s=1",
    )._replace(**over)  # fmt: skip


def test_words_of_a_service_are_kept_if_they_fit_the_state() -> None:
    """A word of an earlier state is replaced."""
    words: list[tuple[VideoState, str, str]] = [
        ("queued", "NOT_START", "NOT_START"),
        ("running", "SUBMITTED", "IN_PROGRESS"),
        ("succeeded", "IN_PROGRESS", "SUCCESS"),
        ("failed", "", "FAILURE"),
    ]
    for state, word, told in words:
        assert midjourney.write(shown("mj", state, word))["status"] == told
        assert suno.write(shown("suno", state, word))["status"] == told
    assert midjourney.write(shown("mj", "running", "MODAL"))["status"] == "MODAL"
    assert suno.write(shown("suno", "queued", "QUEUED"))["status"] == "QUEUED"


def test_times_are_in_the_unit_of_each_service() -> None:
    """Midjourney has milliseconds and null, Suno seconds and 0."""
    picture = midjourney.write(shown("mj", "failed", "FAILURE"))
    assert (picture["submitTime"], picture["finishTime"]) == (1_767_000_900_151, 1_767_000_962_000)
    assert (picture["failReason"], picture["progress"], picture["action"]) == (
        "Banned", "42%", "PAN",
    )  # fmt: skip
    waiting = {"started_ms": None, "ended_ms": None}
    assert midjourney.write(shown("mj", "queued", "", **waiting))["finishTime"] is None
    song = suno.write(shown("suno", "failed", "FAILURE"))
    times = [song[name] for name in ("submit_time", "start_time", "finish_time")]
    assert times == [1_767_000_900, 1_767_000_902, 1_767_000_962]
    assert (song["action"], song["fail_reason"], song["notify_hook"]) == (
        "MUSIC", "Banned", "https://a.example/h",
    )  # fmt: skip
    assert suno.write(shown("suno", "queued", "", **waiting))["finish_time"] == 0


def test_files_of_a_song_are_reached_by_our_links_alone() -> None:
    clips = [
        {"id": "a", "audio_url": "https://p.example/a.mp3", "video_url": "", "page": "https://p/x"},
        {"id": "b", "audio_url": "https://p.example/b.mp3"},
    ]
    told = suno.write(shown("suno", "succeeded", "SUCCESS", result={"data": clips}))["data"]
    link = "https://hub.example/x?s=1"
    assert [clip["audio_url"] for clip in told] == [
        f"{link}&clip=0&file=audio_url", f"{link}&clip=1&file=audio_url",
    ]  # fmt: skip
    assert (told[0]["video_url"], told[0]["page"]) == ("", "https://p/x")
    result = {"data": clips}
    assert suno.file_address(result, "1", "audio_url") == "https://p.example/b.mp3"
    for clip, member in (("2", "audio_url"), ("-1", "audio_url"), ("0", "video_url"), ("0", "page"),
                         ("x", "audio_url"), ("0001", "audio_url")):  # fmt: skip
        assert suno.file_address(result, clip, member) == ""
