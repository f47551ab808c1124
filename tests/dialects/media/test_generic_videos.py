"""Videos in the generic form and in OpenAI's, and errors of task services by their numbers."""

import json
from typing import Any

import pytest

from dialects.chat.events import UpstreamError
from dialects.media import video_generations, videos
from dialects.media.task_upstream_errors import (
    MINIMAX,
    MiniMaxErrors,
    failure_of_code,
    read_code,
)
from dialects.media.videos import TaskError, Video


def video(state: Any, error: TaskError | None = None, **over: Any) -> Video:
    row = Video("video_1", "m", state, 40, 1, 2, 3, 8, "1280x720", "A cat", "video_0", error)
    return row._replace(**over)


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ("queued", "queued"), ("running", "in_progress"), ("succeeded", "completed"),
        ("failed", "failed"),
    ],
)  # fmt: skip
def test_generic_form_says_the_state_and_only_then_the_address(state: Any, word: str) -> None:
    assert video_generations.write_accepted(video(state)) == {
        "task_id": "video_1", "status": word,
    }  # fmt: skip
    assert video_generations.write(video(state), "https://h/v") == {
        "task_id": "video_1", "status": word, "url": "https://h/v" if word == "completed" else "",
        "format": "mp4", "metadata": {"duration": 8, "width": 1280, "height": 720}, "error": None,
    }  # fmt: skip


def test_failure_in_the_generic_form_has_a_number() -> None:
    for code, number in (("1026", 1026), ("safety", 500), ("²", 500)):
        failed = video_generations.write(video("failed", TaskError(code, "why")), "u")
        assert failed["error"] == {"code": number, "message": "why"}


def test_video_in_openais_form_names_its_source_and_times() -> None:
    shown = videos.write(video("running"))
    assert {name: shown[name] for name in ("progress", "created_at", "completed_at")} == {
        "progress": 40, "created_at": 1, "completed_at": 2,
    }  # fmt: skip
    assert (shown["expires_at"], shown["seconds"], shown["remixed_from_video_id"]) == (
        3, "8", "video_0",
    )  # fmt: skip
    page = videos.write_list([video("queued"), video("failed", id="video_2")], has_more=True)
    assert (page["first_id"], page["last_id"], page["has_more"]) == ("video_1", "video_2", True)


def test_request_in_another_form_states_its_length_and_what_is_dropped() -> None:
    body = {"model": "m", "prompt": "A cat", "duration": 6, "width": 640, "height": 480, "fps": 24}
    read = video_generations.read(json.dumps(body).encode())
    encoded = videos.encode(read, "up")
    assert json.loads(encoded.body) == {
        "model": "up", "prompt": "A cat", "seconds": "6", "size": "640x480",
    }  # fmt: skip
    assert encoded.dropped == ("fps",)
    assert read.rename_options({"fps": "frame_rate"}) == {"frame_rate": 24}
    assert read.dropped(["fps"]) == ()
    both = video_generations.read(json.dumps(body | {"size": "1280x720"}).encode())
    assert both.size == "1280x720"


@pytest.mark.parametrize(
    ("number", "kind", "row"),
    [
        (1002, "upstream_rate_limited", "F8"),
        (1004, "upstream_auth", "F5"),
        (1008, "upstream_auth", "F9"),
        (1026, "content_filtered", "F6"),
        (2013, "provider_rejected", "F6"),
        (1000, "upstream_error", "F10"),
    ],
)
def test_number_of_an_error_decides_what_it_means(number: int, kind: str, row: str) -> None:
    body = json.dumps({"base_resp": {"status_code": number, "status_msg": "why"}}).encode()
    assert read_code(body) == (number, "why")
    fault = MiniMaxErrors.read_error(200, {"retry-after": "2"}, body)
    assert (fault.kind, fault.fault, fault.retry_after_ms) == (kind, row, 2_000)
    shown = kind in ("provider_rejected", "content_filtered")
    assert fault.code == (str(number) if shown else None)
    event = failure_of_code(MINIMAX, number, "why").event
    assert isinstance(event, UpstreamError)
    assert event.kind == kind


def test_unknown_number_inside_an_answer_is_a_failure() -> None:
    event = failure_of_code(MINIMAX, 7, "why").event
    assert isinstance(event, UpstreamError)
    assert event.kind == "upstream_error"
    for body in (b"[]", b"{", b'{"code": true}', b'{"base_resp": {}}'):
        assert read_code(body)[0] == 0
