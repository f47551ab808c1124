"""Videos as they are asked for, told of and shown, by the fixtures of the contract's forms."""

import json
from typing import Any

import pytest

from dialects.chat.fold import AnswerFault
from dialects.errors.errors import RequestFault
from dialects.json.forms import FormFile, object_of
from dialects.media import video_generations, videos
from dialects.media.videos import TaskError, Video, VideoState
from tests.support.hostile import EVERYTHING, LONG, NUL, STORABLE
from tests.support.openapi import check

ASKED = {"model": "sora-2", "prompt": "A cat plays piano", "seconds": "8", "size": "1280x720"}
ID = "video_68d7512d07848190b3e45da0ecbebcde"
TOLD = {
    "id": ID, "object": "video", "created_at": 1767000900, "status": "queued",
    "completed_at": None, "error": None, "expires_at": None, "model": "sora-2", "progress": 0,
    "prompt": "A cat plays piano", "remixed_from_video_id": None, "seconds": "8",
    "size": "1280x720",
}  # fmt: skip


def raw(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_request_is_forwarded_unchanged() -> None:
    asked = raw(ASKED | {"user": "u", "other": [1, 2]})
    read = videos.read(asked)
    assert (read.model, read.prompt, read.seconds, read.size) == (
        "sora-2", "A cat plays piano", 8, "1280x720",
    )  # fmt: skip
    assert videos.edit(read, "sora-2").body == asked


def test_defaults_are_stated_to_the_provider() -> None:
    """What is held is what is ordered."""
    read = videos.read(raw({"prompt": "x", "seconds": 12, "max_cost": "1"}))
    assert json.loads(videos.edit(read, "upstream").body) == {
        "prompt": "x", "seconds": "12", "size": "720x1280", "model": "upstream",
    }  # fmt: skip


@pytest.mark.parametrize("prompt", [*STORABLE, NUL, LONG, EVERYTHING])
def test_any_prompt_arrives(prompt: str) -> None:
    body = raw(ASKED | {"prompt": prompt})
    assert json.loads(videos.edit(videos.read(body), "m").body)["prompt"] == prompt
    generic = video_generations.read(raw({"model": "m", "prompt": prompt}))
    assert json.loads(videos.encode(generic, "m").body)["prompt"] == prompt


def test_generic_form_reads_the_same() -> None:
    read = video_generations.read(
        raw({"model": "m", "prompt": "x", "duration": 8, "width": 720, "height": 1280, "fps": 24,
             "image": "https://a.example/cat.png"})
    )  # fmt: skip
    encoded = videos.encode(read, "up")
    assert json.loads(encoded.body) == {
        "model": "up", "prompt": "x", "seconds": "8", "size": "720x1280",
        "input_reference": {"image_url": "https://a.example/cat.png"},
    }  # fmt: skip
    assert encoded.dropped == ("fps",)


@pytest.mark.parametrize(
    ("body", "kind", "param"),
    [
        ({"prompt": "x"}, "missing_parameter", "model"),
        ({"model": "m"}, "missing_parameter", "prompt"),
        ({"model": "m", "prompt": "x", "duration": 2.5}, "invalid_type", "duration"),
        ({"model": "m", "prompt": "x", "n": 2}, "invalid_value", "n"),
        ({"model": "m", "prompt": "x", "width": 1, "height": 1}, "invalid_value", "width"),
        ({"model": "m", "prompt": "x", "image": "data:,x"}, "invalid_type", "image"),
    ],
)
def test_generic_form_errors_follow_the_contract(
    body: dict[str, Any], kind: str, param: str
) -> None:
    with pytest.raises(RequestFault) as refused:
        video_generations.read(raw(body))
    assert (refused.value.kind, refused.value.param) == (kind, param)


@pytest.mark.parametrize(
    ("body", "state", "progress"),
    [
        ({}, "queued", 0),
        ({"status": "in_progress", "progress": 42}, "running", 42),
        ({"status": "in_progress", "progress": 100}, "running", 99),
        ({"status": "in_progress", "progress": -5}, "running", 0),
        ({"status": "completed", "progress": 99, "expires_at": 1767087390}, "succeeded", 100),
        ({"status": "cancelled"}, "failed", 0),
    ],
)
def test_provider_reports(body: dict[str, Any], state: VideoState, progress: int) -> None:
    status = videos.read_status(raw(TOLD | body), ID)
    assert (status.state, status.progress, status.seconds) == (state, progress, 8)
    assert status.expires_at == body.get("expires_at")


def test_failure_reason_contains_nothing_a_page_could_run() -> None:
    error = {"code": "moderation_blocked", "message": "Blocked by moderation.\n\0sk-abcdefgh1234"}
    status = videos.read_status(raw(TOLD | {"status": "failed", "error": error}), ID)
    assert status.error is not None
    assert status.error.code == "moderation_blocked"
    assert "\0" not in status.error.message
    assert "abcdefgh1234" not in status.error.message


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b"<html>", b'{"id": "' + ID.encode(), raw(TOLD | {"id": "other"}),
     raw(TOLD | {"status": "nearly"}), raw(TOLD | {"status": None}), b"[" * 100_000,
     raw(TOLD).replace(b"queued", b"\xff")],
)  # fmt: skip
def test_report_without_content_is_no_state(body: bytes) -> None:
    with pytest.raises(AnswerFault):
        videos.read_status(body, ID)


@pytest.mark.parametrize("seconds", [1, 600, "600", "8.9"])
def test_longest_possible_length_is_read(seconds: Any) -> None:
    read = videos.read_status(raw(TOLD | {"seconds": seconds}), ID).seconds
    assert read == int(float(seconds))


@pytest.mark.parametrize("seconds", [601, "601", 0, "-1"])
def test_length_of_no_video_is_none(seconds: Any) -> None:
    assert videos.read_status(raw(TOLD | {"seconds": seconds}), ID).seconds is None


@pytest.mark.parametrize("seconds", ["1", "600", 1, 600])
def test_longest_video_can_be_ordered(seconds: Any) -> None:
    body = {"model": "m", "prompt": "ä" * 32_000, "seconds": seconds}
    order = videos.read(raw(body))
    assert (order.seconds, order.text_bytes) == (int(seconds), 64_000)


@pytest.mark.parametrize(
    ("change", "param"),
    [({"seconds": "601"}, "seconds"), ({"seconds": 0}, "seconds"), ({"prompt": "ä" * 32_001},
      "prompt")],
)  # fmt: skip
def test_order_above_a_limit_names_it(change: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestFault) as refused:
        videos.read(raw({"model": "m", "prompt": "x"} | change))
    assert refused.value.param == param


@pytest.mark.parametrize(
    "body", [{"fps": 24, "metadata": {"fps": 30}}, {"metadata": {"fps": 30}, "fps": 24}]
)
def test_option_of_the_body_counts_before_its_metadata(body: dict[str, Any]) -> None:
    order = videos.read(raw({"model": "m", "prompt": "x"} | body))
    assert order.options["fps"] == (24, "fps")


@pytest.mark.parametrize(
    "seconds", ["NaN", "Infinity", "-8", "", "x", 1e300, "8" * 400, "1e99999999999999"]
)
def test_impossible_length_is_none(seconds: Any) -> None:
    assert videos.read_status(raw(TOLD | {"seconds": seconds}), ID).seconds is None


@pytest.mark.parametrize(
    ("told", "read"),
    [(253402300799, 253402300799), (253402300800, None), (999999999999, None), (0, None)],
)
def test_impossible_expiry_is_none(told: int, read: int | None) -> None:
    """No date is later than the year 9999."""
    assert videos.read_status(raw(TOLD | {"expires_at": told}), ID).expires_at == read


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", raw({"id": ""}), raw({"id": 7}), raw({"id": "a b"}), raw({"id": "x" * 201})],
)
def test_an_acceptance_names_the_video(body: bytes) -> None:
    assert videos.read_accepted(raw(TOLD)) == ID
    with pytest.raises(AnswerFault):
        videos.read_accepted(body)


# ---- as clients read it

STATES: tuple[VideoState, ...] = ("queued", "running", "succeeded", "failed")


def shown(state: VideoState) -> Video:
    ended = 1767000990 if state == "succeeded" else None
    error = TaskError("moderation_blocked", "Blocked.") if state == "failed" else None
    return Video(
        "video_1", "sora-2", state, 7, 1767000900, ended, ended, 8, "1280x720", "x", None, error
    )


@pytest.mark.parametrize("state", STATES)
def test_video_matches_the_published_description(state: VideoState) -> None:
    check(videos.write(shown(state)), "openai", "VideoResource")


def test_list_and_deletion_match_the_published_description() -> None:
    new_list = videos.write_list([shown(state) for state in STATES], has_more=True)
    check(new_list, "openai", "VideoListResource")
    check(videos.write_list([], has_more=False), "openai", "VideoListResource")
    check(videos.write_deleted("video_1"), "openai", "DeletedVideoResource")


# ---- forms


def test_form_means_the_same_as_json() -> None:
    picture = FormFile("input_reference", "image/png", bytes(range(256)))
    raw_body = object_of([("prompt", "Wäsche \U0001f9fa\r\n--")], [picture])
    assert json.loads(raw_body)["prompt"] == "Wäsche \U0001f9fa\r\n--"
    assert videos.read(raw_body).image.startswith("data:image/png;base64,AAECAw")
    inner = object_of([("prompt", "x"), ("input_reference[image_url]", "https://a.b/c")], [])
    assert videos.read(inner).image == "https://a.b/c"


@pytest.mark.parametrize(
    "texts",
    [[("a", "x"), ("a", "y")], [("a", "x"), ("a[b]", "y")], [("a[b]", "x"), ("a[b]", "y")]],
)
def test_field_appears_once(texts: list[tuple[str, str]]) -> None:
    with pytest.raises(RequestFault) as refused:
        object_of(texts, [])
    assert refused.value.kind == "invalid_type"
