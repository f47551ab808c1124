"""P31: pictures, speech and transcripts are kept with their texts, and their media by reference."""

import json
import secrets
from hashlib import sha256
from http.client import IncompleteRead

import pytest

from tests.fakes.media import wav
from tests.fakes.upstream import FakeUpstream
from tests.relay.content_log.test_background_and_sockets import CARD, all_kept
from tests.relay.content_log.test_content_log import add_rule, entries, kept, where
from tests.relay.operations.test_images import TOKENS, post_form
from tests.relay.operations.test_sound import CHARACTERS, HEARD, SPEECH, SPOKEN, TRANSCRIPTIONS
from tests.support.hub import Hub

IMAGES = "/v1/images/generations"


def test_speech_is_kept_without_its_sound(hub: Hub, fake: FakeUpstream) -> None:
    tenant, without = hub.tenant(), hub.tenant()
    model = hub.model(fake, rates=CHARACTERS)
    add_rule(hub, tenant)
    planted = f"planted {secrets.token_hex(8)}"
    body = {"model": model, "input": f"{planted} {CARD}", "voice": "alloy"}
    answer = hub.post(tenant, body, path=SPEECH)
    assert answer.headers["x-weir-content-log"] == "kept"
    row, content = kept(hub, tenant, answer)
    assert row["operation"] == "speech"
    assert json.loads(content.request)["input"] == f"{planted} <CARD_1>"
    assert json.loads(content.answer) == {
        "type": "audio/mpeg", "bytes": len(answer.body), "sha256": sha256(answer.body).hexdigest(),
    }  # fmt: skip
    assert where(hub, planted) == []
    hub.post(without, body, path=SPEECH)
    hub.post(tenant, body, path=SPEECH, headers={"x-weir-store": "false"})
    kept(hub, tenant, hub.post(tenant, body, path=SPEECH))
    assert (len(entries(hub, tenant)), entries(hub, without)) == (2, [])


def test_sound_that_could_be_text_is_not_kept(hub: Hub, fake: FakeUpstream) -> None:
    """Silence in PCM is valid UTF-8."""
    tenant, model = hub.tenant(), hub.model(fake, rates=CHARACTERS)
    add_rule(hub, tenant)
    body = {"model": model, "input": "Hello", "voice": "alloy", "response_format": "pcm"}
    answer = hub.post(tenant, body, path=SPEECH)
    _, content = kept(hub, tenant, answer)
    assert json.loads(content.answer)["bytes"] == len(answer.body)


@pytest.mark.parametrize("fault", ["F10:500", "F14:close"])
def test_speech_that_fails_is_kept(hub: Hub, fake: FakeUpstream, fault: str) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=CHARACTERS, retries=0)
    add_rule(hub, tenant, keep="errors")
    body = {"model": model, "input": f"hello #fault={fault} #tokens=900", "voice": "alloy"}
    try:
        hub.post(tenant, body, path=SPEECH)
    except IncompleteRead:
        assert fault == "F14:close"
    ((row, content),) = all_kept(hub, tenant, 1)
    assert row["status"] >= 500
    assert content.error
    assert content.broken == (fault == "F14:close")


def test_streamed_speech_is_kept_without_its_sound(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=SPOKEN)
    add_rule(hub, tenant)
    body = {"model": model, "input": "hello #tokens=3", "voice": "alloy", "stream_format": "sse"}
    _, content = kept(hub, tenant, hub.post(tenant, body, path=SPEECH))
    assert (json.loads(content.answer)["type"], content.stream) == ("speech.audio.done", True)


@pytest.mark.parametrize("stream", [False, True])
def test_transcript_is_kept_with_its_recording_by_reference(
    hub: Hub, fake: FakeUpstream, stream: bool
) -> None:
    tenant = hub.tenant()
    model = hub.model(fake, rates=HEARD, upstream_model="gpt-4o-transcribe")
    add_rule(hub, tenant)
    sound = wav(2500)
    fields: list[tuple[str, bytes | str]] = [("model", model), ("prompt", f"About {CARD}")]
    if stream:
        fields.append(("stream", "true"))
    answer = post_form(hub, tenant, TRANSCRIPTIONS, *fields, ("file", sound))
    assert answer.status == 200, answer.body
    _, content = kept(hub, tenant, answer)
    asked = json.loads(content.request)
    assert asked["prompt"] == "About <CARD_1>"
    (file,) = asked["file"]
    digest = sha256(sound).hexdigest()
    assert file["file_data"].startswith(
        f"data:audio/wav;base64,weir/{len(sound)}/bytes/sha256/{digest}"
    )
    assert "a-" in json.loads(content.answer)["text"]
    assert content.stream is stream


@pytest.mark.parametrize("stream", [False, True])
def test_pictures_are_kept_by_reference(hub: Hub, fake: FakeUpstream, stream: bool) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=TOKENS)
    add_rule(hub, tenant)
    body = {"model": model, "prompt": f"A cat with {CARD}", "stream": stream}
    answer = hub.post(tenant, body, path=IMAGES)
    assert answer.status == 200, answer.body
    _, content = kept(hub, tenant, answer)
    assert json.loads(content.request)["prompt"] == "A cat with <CARD_1>"
    picture = json.loads(content.answer)
    if not stream:
        (picture,) = picture["data"]
    assert picture["b64_json"].startswith("weir/")
    assert (content.stream, content.left_out) == (stream, ())
