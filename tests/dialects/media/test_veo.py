"""Videos in Veo's form: orders, operations, errors and the names of files."""

import base64
import json
from typing import Any

import pytest

from dialects.errors.errors import RequestFault
from dialects.media import veo
from dialects.media.videos import TaskError, Video, VideoRequest

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


def read(
    instance: dict[str, Any] | None = None, parameters: dict[str, Any] | None = None
) -> VideoRequest:
    body: dict[str, Any] = {"instances": [{"prompt": "A cat"} | (instance or {})]}
    if parameters is not None:
        body["parameters"] = parameters
    return veo.read(json.dumps(body).encode(), "veo-3.1")


def video(state: Any, error: TaskError | None = None) -> Video:
    return Video(
        "video_abc", "veo-3.1", state, 0, 1, None, None, 8, "1280x720", "A cat", None, error
    )


@pytest.mark.parametrize(
    ("parameters", "seconds", "given", "size"),
    [
        (None, 8, False, "1280x720"),
        ({}, 8, False, "1280x720"),
        ({"durationSeconds": 4}, 4, True, "1280x720"),
        ({"durationSeconds": "6", "resolution": "1080p"}, 6, True, "1920x1080"),
        ({"aspectRatio": "9:16"}, 8, False, "720x1280"),
        ({"aspectRatio": "16:9", "resolution": "4k"}, 8, False, "3840x2160"),
    ],
)
def test_order_says_its_length_and_size(
    parameters: dict[str, Any] | None, seconds: int, given: bool, size: str
) -> None:
    """P2: an order is held for its length, and for the longest one if it states none."""
    order = read(parameters=parameters)
    assert (order.model, order.prompt) == ("veo-3.1", "A cat")
    assert (order.seconds, order.length_given, order.size) == (seconds, given, size)
    assert (order.text_bytes, read({"prompt": "é猫"}).text_bytes) == (5, 5)


def test_pictures_are_data_urls() -> None:
    url = f"data:image/png;base64,{PNG}"
    assert read().image == ""
    assert read({"image": {"bytesBase64Encoded": PNG, "mimeType": "image/png"}}).image == url
    assert read({"image": {"inlineData": {"data": PNG}}}).image == url
    last = read({"lastFrame": {"inlineData": {"data": PNG, "mimeType": "image/png"}}})
    assert (last.image, last.options["image_tail"].value) == ("", url)
    assert last.options["image_tail"].path == "instances[0].lastFrame"


def test_options_have_the_names_that_all_forms_share() -> None:
    order = read(parameters={"negativePrompt": "dogs", "personGeneration": "allow", "fps": 24})
    assert {name: (one.value, one.path) for name, one in order.options.items()} == {
        "negative_prompt": ("dogs", "parameters.negativePrompt"),
        "person_generation": ("allow", "parameters.personGeneration"),
        "fps": (24, "parameters.fps"),
    }


@pytest.mark.parametrize(
    ("body", "kind", "param"),
    [
        ({}, "missing_parameter", "instances"),
        ({"instances": []}, "missing_parameter", "instances"),
        ({"instances": [{"prompt": "a"}, {"prompt": "b"}]}, "invalid_value", "instances"),
        ({"instances": [{}]}, "missing_parameter", "instances[0].prompt"),
        (
            {"instances": [{"prompt": "a", "video": {}}]},
            "unsupported_capability",
            "instances[0].video",
        ),
        (
            {"instances": [{"prompt": "a"}], "parameters": {"sampleCount": 2}},
            "invalid_value",
            "parameters.sampleCount",
        ),
        (
            {"instances": [{"prompt": "a"}], "parameters": {"aspectRatio": "1:1"}},
            "invalid_value",
            "parameters.aspectRatio",
        ),
        (
            {"instances": [{"prompt": "a"}], "parameters": {"durationSeconds": 601}},
            "invalid_value",
            "parameters.durationSeconds",
        ),
    ],
)
def test_invalid_order_names_its_member(body: dict[str, Any], kind: str, param: str) -> None:
    with pytest.raises(RequestFault) as fault:
        veo.read(json.dumps(body).encode(), "veo-3.1")
    assert (fault.value.kind, fault.value.param) == (kind, param)


def test_picture_needs_no_prompt() -> None:
    raw = json.dumps({"instances": [{"image": {"bytesBase64Encoded": PNG}}]}).encode()
    assert veo.read(raw, "veo-3.1").prompt == ""


def test_operation_of_each_state() -> None:
    name = "models/veo-3.1/operations/video_abc"
    for state in ("queued", "running"):
        assert veo.write(video(state), "u") == {"name": name}
    assert veo.write_accepted(video("queued")) == {"name": name}
    done = veo.write(video("succeeded"), "https://h/v")
    assert (done["name"], done["done"]) == (name, True)
    assert done["response"]["generateVideoResponse"] == {
        "generatedSamples": [{"video": {"uri": "https://h/v"}}]
    }
    withheld = veo.write(video("failed", TaskError(veo.FILTERED, "no")), "https://h/v")
    assert withheld["response"]["generateVideoResponse"] == {
        "raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["no"],
    }  # fmt: skip
    assert "error" not in withheld


@pytest.mark.parametrize(
    ("code", "number"),
    [("timeout", 4), ("8", 8), ("16", 16), ("17", 13), ("0", 13), ("failed", 13), ("²", 13)],
)
def test_failure_has_a_code_of_google(code: str, number: int) -> None:
    failed = veo.write(video("failed", TaskError(code, "why")), "")
    assert (failed["done"], failed["error"]) == (True, {"code": number, "message": "why"})
    assert "response" not in failed


def test_file_of_a_video_leads_back_to_it() -> None:
    for id_ in ("video_0a1b", "task_9z"):
        name = veo.file_name(id_)
        assert name.isalnum()
        assert veo.id_of_file(name) == id_
    assert veo.id_of_file("video_0a1b") == "video_0a1b"
    assert veo.id_of_file("other1") == "other1"
