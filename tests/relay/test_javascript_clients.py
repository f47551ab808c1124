"""The providers' own JavaScript clients, unchanged but for their base URL, through every upstream.

One process of each client runs its whole list (tests/clients_js); a test here judges one case.
"""

import base64
import json
import os
import subprocess
from typing import Any

import pytest

from lib.ids import parse_id
from stack.test_programs import javascript
from tests.fakes.media import wav
from tests.fakes.upstream import FakeUpstream, expected_text
from tests.fakes.videos import FakeVideos
from tests.relay.media.test_videos import video_model
from tests.relay.poller import poll
from tests.relay.speakers import PICTURE, SCHEMA, UPSTREAMS
from tests.relay.test_matrix import RATES
from tests.runner.programs import need_javascript_clients
from tests.support.hub import Hub, Tenant

LIMIT_S = 120.0
TEXTS = {
    "plain": "#tokens=6 #lang=mixed hello",
    "reasoning": "#reasoning=3 #tokens=4 think",
    "tools": "#tokens=2 #tools=2 weather?",
    "refused": "#fault=F6:400",
    "throttled": "#fault=F8:seconds",
    "broken": "#tokens=9 #fault=F14:eof@3",
}
PLAIN = expected_text("a", TEXTS["plain"], 6, "mixed")
BEFORE_CALLS = expected_text("a", TEXTS["tools"], 2)
Seen = dict[str, dict[str, Any]]
upstreams = pytest.mark.parametrize("upstream", UPSTREAMS)


def open_models(hub: Hub, fake: FakeUpstream, upstream: str) -> dict[str, str]:
    """A model to talk to, and one each for what spoils a channel's health."""
    return {
        use: hub.model(fake, rates=RATES, retries=0, **UPSTREAMS[upstream])
        for use in ("talk", "throttle", "broken")
    }


def run_client(hub: Hub, fake: FakeUpstream, script: str, client: str = "") -> Seen:
    """What every case came to; `client` is which of the script's clients is meant."""
    models = {upstream: open_models(hub, fake, upstream) for upstream in UPSTREAMS}
    return run_script(hub, script, models, client=client)


def run_script(
    hub: Hub,
    script: str,
    models: Any,
    tenant: Tenant | None = None,
    *,
    url: str = "",
    key: str = "",
    client: str = "",
) -> Seen:
    need_javascript_clients()
    task = {
        "url": url or hub.url,
        "key": key or (tenant or hub.tenant()).key,
        "client": client,
        "models": models,
        "texts": TEXTS,
        "schema": SCHEMA,
        "picture": PICTURE,
        "sound": base64.b64encode(wav(1000)).decode(),
    }
    done = subprocess.run(
        ["node", script],
        cwd=javascript.CLIENTS,
        # Amazon's client warns of a version of Node.js that this one still runs on.
        env=os.environ | {"AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED": "true"},
        input=json.dumps(task),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    seen: Seen = json.loads(done.stdout)
    return seen


@pytest.fixture(scope="module")
def openai_seen(hub: Hub, fake: FakeUpstream) -> Seen:
    return run_client(hub, fake, "openai.mjs")


@pytest.fixture(scope="module", params=["anthropic", "bedrock", "vertex"])
def anthropic_seen(hub: Hub, fake: FakeUpstream, request: pytest.FixtureRequest) -> Seen:
    """By the library, and by its clients of Amazon Bedrock and of Vertex AI."""
    return run_client(hub, fake, "anthropic.mjs", request.param)


def case_of(seen: Seen, upstream: str, name: str) -> Any:
    result = seen[upstream][name]
    if isinstance(result, dict):
        assert "crashed" not in result, result["crashed"]
    return result


def check_calls(values: dict[str, Any]) -> None:
    """Two calls at once; their results, which name the ids, arrived each with its own call."""
    assert values["text"] == BEFORE_CALLS
    assert [call["name"] for call in values["calls"]] == ["get_weather"] * 2
    assert [call["given"]["n"] for call in values["calls"]] == [0, 1]
    first, second = values["ids"]
    assert first != second
    assert f"rain {first} rain {second}" in values["then"]["text"]


# ---- openai


@upstreams
@pytest.mark.parametrize("name", ["chat_plain", "chat_stream", "chat_image"])
def test_chat(openai_seen: Seen, upstream: str, name: str) -> None:
    case = case_of(openai_seen, upstream, name)
    assert (case["text"], case["finish"], case["usage"][1]) == (PLAIN, "stop", 6)
    if name == "chat_plain":
        assert parse_id(case["id"])


@upstreams
@pytest.mark.parametrize("name", ["chat_reasoning", "chat_reasoning_stream"])
def test_chat_reasoning(openai_seen: Seen, upstream: str, name: str) -> None:
    case = case_of(openai_seen, upstream, name)
    assert (len(case["reasoning"].split()), len(case["text"].split())) == (3, 4)
    assert case["usage"][1] == 7


@upstreams
@pytest.mark.parametrize("name", ["chat_form", "responses_form"])
def test_openai_structured_output(openai_seen: Seen, upstream: str, name: str) -> None:
    assert set(case_of(openai_seen, upstream, name)) == {"city", "days"}


@upstreams
def test_chat_tools(openai_seen: Seen, upstream: str) -> None:
    case = case_of(openai_seen, upstream, "chat_tools")
    check_calls(case)
    assert case["then"]["finish"] == "stop"


@upstreams
def test_chat_tools_by_the_librarys_own_loop(openai_seen: Seen, upstream: str) -> None:
    case = case_of(openai_seen, upstream, "chat_tools_stream")
    assert [one_seen["n"] for one_seen in case["seen"]] == [0, 1]
    assert case["turns"] == ["user", "assistant", "tool", "tool", "assistant"]
    assert "rain rain" in case["final"]


@upstreams
@pytest.mark.parametrize("name", ["responses_plain", "responses_image"])
def test_responses(openai_seen: Seen, upstream: str, name: str) -> None:
    case = case_of(openai_seen, upstream, name)
    assert (case["text"], case["status"], case["kinds"]) == (PLAIN, "completed", ["message"])
    assert case["usage"][1] == 6


@upstreams
def test_responses_reasoning(openai_seen: Seen, upstream: str) -> None:
    case = case_of(openai_seen, upstream, "responses_reasoning_stream")
    # Gemini seals the end of its text: an empty item that must come back as it is.
    assert case["kinds"] == ["reasoning", "message"] + ["reasoning"] * (upstream == "gemini")
    assert (len(case["thought"].split()), len(case["text"].split())) == (3, 4)
    kinds, numbers = zip(*case["events"], strict=True)
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert list(numbers) == list(range(len(numbers)))


@upstreams
def test_responses_tools(openai_seen: Seen, upstream: str) -> None:
    case = case_of(openai_seen, upstream, "responses_tools")
    check_calls(case)
    assert case["then"]["status"] == "completed"


OPENAI_ERRORS = {
    "wrong_key": ("AuthenticationError", 401, "invalid_api_key"),
    "wrong_model": ("NotFoundError", 404, "model_not_found"),
    "responses_wrong_model": ("NotFoundError", 404, "model_not_found"),
    "refused": ("BadRequestError", 400, None),
    "throttled": ("RateLimitError", 429, "rate_limit_exceeded"),
}
# A refused request keeps the code that the provider has for it.
PROVIDERS_CODE = {"gemini": "INVALID_ARGUMENT", "interactions": "invalid_request"}


@upstreams
@pytest.mark.parametrize("name", OPENAI_ERRORS)
def test_openai_errors(openai_seen: Seen, upstream: str, name: str) -> None:
    case = case_of(openai_seen, upstream, name)
    kind, status, code = OPENAI_ERRORS[name]
    if name == "refused":
        code = PROVIDERS_CODE.get(upstream)
    assert (case["kind"], case["status"], case["code"]) == (kind, status, code)
    assert parse_id(case["id"])


@upstreams
def test_chat_that_breaks_off_is_thrown(openai_seen: Seen, upstream: str) -> None:
    case = case_of(openai_seen, upstream, "broken")
    assert (case["kind"], case["status"]) == ("APIError", None)


@upstreams
def test_response_that_breaks_off_is_told(openai_seen: Seen, upstream: str) -> None:
    """`response.failed` is an event like any other, which this client throws nothing for."""
    case = case_of(openai_seen, upstream, "responses_broken")
    assert (case["kind"], case["last"]["type"]) == (None, "response.failed")
    assert case["last"]["response"]["error"]["code"] == "server_error"


# ---- anthropic


@upstreams
@pytest.mark.parametrize("name", ["plain", "stream", "image"])
def test_messages(anthropic_seen: Seen, upstream: str, name: str) -> None:
    case = case_of(anthropic_seen, upstream, name)
    assert (case["text"], case["finish"], case["kinds"]) == (PLAIN, "end_turn", ["text"])
    assert case["usage"][1] == 6
    if name == "stream":
        assert case["pieces"] == PLAIN
        assert (case["events"][0], case["events"][-1]) == ("message_start", "message_stop")


@upstreams
@pytest.mark.parametrize("name", ["reasoning", "reasoning_stream"])
def test_messages_reasoning(anthropic_seen: Seen, upstream: str, name: str) -> None:
    case = case_of(anthropic_seen, upstream, name)
    # Gemini seals the end of its text when it streams: an empty block that must come back as it is.
    sealed = upstream == "gemini" and name == "reasoning_stream"
    assert case["kinds"] == ["thinking", "text"] + ["thinking"] * sealed
    assert (len(case["reasoning"].split()), len(case["text"].split())) == (3, 4)


@upstreams
def test_messages_structured_output(anthropic_seen: Seen, upstream: str) -> None:
    assert set(case_of(anthropic_seen, upstream, "form")) == {"city", "days"}


@upstreams
@pytest.mark.parametrize("name", ["tools", "tools_stream"])
def test_messages_tools(anthropic_seen: Seen, upstream: str, name: str) -> None:
    case = case_of(anthropic_seen, upstream, name)
    check_calls(case)
    assert (case["finish"], case["then"]["finish"]) == ("tool_use", "end_turn")


@upstreams
def test_messages_tools_by_the_librarys_own_loop(anthropic_seen: Seen, upstream: str) -> None:
    """It begins with a thread that the server keeps; refused, it sends the whole conversation."""
    case = case_of(anthropic_seen, upstream, "tools_loop")
    assert sorted(one_seen["n"] for one_seen in case["seen"]) == [0, 1]
    spoken = [[kind for kind in turn if kind != "thinking"] for turn in case["turns"]]
    assert spoken == [["text", "tool_use", "tool_use"], ["text"]]


@upstreams
def test_messages_are_counted(anthropic_seen: Seen, upstream: str) -> None:
    assert case_of(anthropic_seen, upstream, "count")["input_tokens"] >= 3


ANTHROPIC_ERRORS = {
    "wrong_key": ("AuthenticationError", 401),
    "wrong_model": ("NotFoundError", 404),
    "refused": ("BadRequestError", 400),
    "throttled": ("RateLimitError", 429),
}


@upstreams
@pytest.mark.parametrize("name", ANTHROPIC_ERRORS)
def test_messages_errors(anthropic_seen: Seen, upstream: str, name: str) -> None:
    case = case_of(anthropic_seen, upstream, name)
    assert (case["kind"], case["status"]) == ANTHROPIC_ERRORS[name]
    assert parse_id(case["id"])


@upstreams
def test_message_that_breaks_off_is_thrown(anthropic_seen: Seen, upstream: str) -> None:
    case = case_of(anthropic_seen, upstream, "broken")
    assert (case["kind"], case["status"]) == ("APIError", None)
    assert case["text"] == expected_text("a", TEXTS["broken"], 3)


# ---- images and sound


def test_images_and_sound(hub: Hub, fake: FakeUpstream) -> None:
    images = {"in_text": 1, "in_image": 1, "out_image": 1}
    models = {
        "images": hub.model(fake, rates=images, retries=0),
        "speech": hub.model(fake, rates={"characters": 1}),
        "heard": hub.model(fake, rates={"audio_ms": 1}),
    }
    seen = run_script(hub, "media.mjs", {"media": models})["media"]
    assert not [
        name for name, message in seen.items() if isinstance(message, dict) and "crashed" in message
    ]
    assert min(*seen["generate"]["sizes"], seen["edit"], seen["vary"]) > 60
    assert seen["generate"]["tokens"] == 32
    kinds = ["image_generation.partial_image", "image_generation.completed"]
    assert seen["generate_stream"] == kinds
    assert seen["speech"] == {"type": "audio/mpeg", "start": "fffb"}
    for name in ("transcribe", "transcribe_text", "translate"):
        assert seen[name].startswith("a-"), name
    assert seen["transcribe_stream"][-1] == "transcript.text.done"
    refused = seen["refused"]
    assert (refused["image"]["kind"], refused["image"]["status"]) == ("BadRequestError", 400)
    assert (refused["sound"]["status"], refused["sound"]["code"]) == (422, "invalid_value")


def test_videos(hub: Hub) -> None:
    tenant = hub.tenant()
    with FakeVideos() as provider:
        model = video_model(hub, provider)
        seen = run_script(hub, "videos.mjs", {"videos": {"model": model}}, tenant)["videos"]
        assert seen["create"]["status"] == "queued"
        assert (seen["create"]["seconds"], seen["create"]["size"]) == ("4", "1280x720")
        assert (seen["early"]["status"], seen["early"]["code"]) == (409, "conflict")
        assert (seen["refused"]["kind"], seen["refused"]["status"]) == ("BadRequestError", 400)
        assert provider.of("from node").reference == f"data:image/png;base64,{PICTURE}"
        poll(hub, tenant)
        models = {"videos": {"id": seen["create"]["id"]}}
        seen = run_script(hub, "videos.mjs", models, tenant)["videos"]
        content = provider.of("from node").content
        assert (seen["retrieve"]["status"], seen["retrieve"]["progress"]) == ("completed", 100)
        assert seen["content"] == {"type": "video/mp4", "byteLength": len(content)}
        assert (seen["thumbnail"], seen["events"]) == ("thumbnail", "event: video.completed")
        assert seen["remix"] == {"of": True, "status": "queued"}
        assert (seen["list"], seen["remove"]) == (3, True)
        assert (seen["gone"]["kind"], seen["gone"]["status"]) == ("NotFoundError", 404)
        poll(hub, tenant)
