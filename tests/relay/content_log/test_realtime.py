"""P31: of a realtime connection, each response is kept with what was said before it, in words; its
sound is counted."""

import base64
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.fakes.gemini_live import FakeGeminiLive
from tests.fakes.realtime import FakeRealtime
from tests.relay.content_log.test_background_and_sockets import CARD, all_kept
from tests.relay.content_log.test_content_log import add_rule, entries, text_of, turns_of, where
from tests.relay.realtime.gemini_live.test_live import live_model
from tests.relay.realtime.test_realtime import RATES, Talk, records, session, sound, transcribing
from tests.support.hub import Hub, Tenant


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeRealtime]:
    with FakeRealtime() as provider:
        yield provider


@pytest.fixture(scope="module")
def model(hub: Hub, provider: FakeRealtime) -> Iterator[str]:
    with hub.forgetful():
        yield hub.model(provider, rates=RATES, upstream_model="gpt-realtime", retries=0)


@pytest.fixture(scope="module")
def writes(hub: Hub, model: str) -> str:
    """A model of the same channel, which writes down what is said."""
    name = f"w-{model}"
    hub.price(name, {"in_text": 10**6, "in_audio": 10**6, "out_text": 10**6})
    hub.rows(
        "INSERT INTO gateway_route (channel_id, model, upstream_model) "
        "SELECT channel_id, %s, '' FROM gateway_route WHERE model = %s RETURNING id",
        name, model,
    )  # fmt: skip
    hub.know(name)
    return name


@pytest.fixture(scope="module")
def live(hub: Hub) -> Iterator[str]:
    with FakeGeminiLive() as provider, hub.forgetful():
        yield live_model(hub, provider)


def announced(talk: Talk) -> str | None:
    assert talk.socket.response is not None
    return talk.socket.response.headers.get("x-weir-content-log")


def texts(content: Any, model: str) -> list[tuple[str, str]]:
    return [(turn.role, text_of(turn)) for turn in turns_of(content, "responses", model)]


def test_each_response_is_kept_redacted(hub: Hub, model: str) -> None:
    tenant, without = hub.tenant(), hub.tenant()
    add_rule(hub, tenant)
    planted = f"planted {secrets.token_hex(8)}"
    with session(hub, tenant.key, model) as talk:
        assert announced(talk) == "kept"
        settings = {"type": "realtime", "instructions": f"Be brief with {CARD}."}
        talk.say(type="session.update", session=settings)
        talk.ask(f"{planted} {CARD} #tokens=2")
        talk.ask("again #tokens=3")
    with session(hub, without.key, model) as talk:
        assert announced(talk) is None
        talk.ask("hello")
    (row, content), (after, further) = all_kept(hub, tenant, 2)
    assert (row["operation"], row["status"], row["model"]) == ("realtime", 200, model)
    assert row["session_id"] == after["session_id"] is not None
    assert texts(content, model) == [
        ("system", "Be brief with <CARD_1>."),
        ("user", f"{planted} <CARD_1> #tokens=2"),
        ("assistant", "w0 w1 "),
    ]
    assert texts(further, model)[1:] == [("user", "again #tokens=3"), ("assistant", "w0 w1 w2 ")]
    first, second = json.loads(content.answer), json.loads(further.request)
    assert second["previous_response_id"] == first["id"]
    assert {row["request_id"], after["request_id"]} == {
        record["request_id"] for record in records(hub, tenant, 2)
    }
    assert (where(hub, planted), entries(hub, without)) == ([], [])


@pytest.mark.parametrize("transcribed", [False, True])
def test_sound_is_counted_and_its_transcript_kept(
    hub: Hub, model: str, writes: str, transcribed: bool
) -> None:
    tenant, heard = hub.tenant(), sound(2000)
    add_rule(hub, tenant)
    with session(hub, tenant.key, model) as talk:
        talk.hear("session.created")
        if transcribed:
            talk.say(type="session.update", session=transcribing(writes))
            talk.hear("session.updated")
        talk.say(type="input_audio_buffer.append", audio=heard)
        talk.say(type="input_audio_buffer.commit")
        talk.hear("input_audio_buffer.committed")
        talk.ask("say it #audio #words #tokens=4")
    ((_, content),) = all_kept(hub, tenant, 1)
    first, _ = json.loads(content.request)["input"]
    size = len(base64.b64decode(heard))
    assert first["content"][0]["input_audio"]["data"].startswith(f"weir/{size}/bytes/sha256/")
    assert [part["text"] for part in first["content"][1:]] == ["what was said"] * transcribed
    spoken, said = json.loads(content.answer)["output"]
    assert spoken["content"][0]["text"] == "w0 w1 w2 w3 "
    assert said["content"][0]["data"].startswith("weir/9600/bytes/sha256/")
    assert [turn.role for turn in turns_of(content, "responses", model)] == [
        "user", "user", "assistant",
    ]  # fmt: skip


@pytest.mark.parametrize("fault", ["failed", "close@3"])
def test_response_that_fails_is_kept(hub: Hub, model: str, fault: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant, keep="errors")
    with session(hub, tenant.key, model) as talk:
        assert announced(talk) == "not-kept"
        talk.ask("fine #tokens=2")
        talk.request(f"hello #fault={fault} #tokens=5")
        talk.end() if fault == "close@3" else talk.hear("response.done")
    ((row, content),) = all_kept(hub, tenant, 1)
    assert row["status"] >= 500
    assert content.error
    assert texts(content, model)[0][0] == "user"
    assert (content.broken, "w0 w1 w2 " in content.answer.decode()) == (fault == "close@3", True)


def test_response_that_is_cancelled_is_kept_as_broken(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant)
    with session(hub, tenant.key, model) as talk:
        talk.request("hello #slow=20 #tokens=500")
        talk.hear("response.output_text.delta")
        talk.say(type="response.cancel")
        talk.hear("response.done")
    ((_, content),) = all_kept(hub, tenant, 1)
    assert content.broken


def test_connection_can_be_left_out(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant)
    url = hub.url.replace("http", "ws") + f"/v1/realtime?model={model}"
    headers = {"Authorization": f"Bearer {tenant.key}", "x-weir-store": "false"}
    with connect(url, additional_headers=headers, compression=None) as socket:
        talk = Talk(socket)
        assert announced(talk) == "not-kept"
        talk.ask("Not this one")
    with session(hub, tenant.key, model) as talk:
        talk.ask("The last one")
    ((_, content),) = all_kept(hub, tenant, 1)
    assert texts(content, model)[0] == ("user", "The last one")


# ---- Google's form


def live_session(hub: Hub, tenant: Tenant, model: str, *messages: dict[str, Any]) -> str | None:
    """Send messages, each after the turn before it is over; return what the handshake says."""
    with live_socket(hub, tenant, model) as socket:
        for message in messages:
            socket.send(json.dumps(message))
            while b'"turnComplete"' not in (raw := _bytes(socket.recv(timeout=20))):
                if b'"toolCall"' in raw:
                    call = json.loads(raw)["toolCall"]["functionCalls"][0]
                    answer = {"id": call["id"], "name": call["name"], "response": {"km": 7}}
                    socket.send(json.dumps({"toolResponse": {"functionResponses": [answer]}}))
        assert socket.response is not None
        return socket.response.headers.get("x-weir-content-log")


@contextmanager
def live_socket(hub: Hub, tenant: Tenant, model: str) -> Iterator[ClientConnection]:
    path = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
    url = hub.url.replace("http", "ws") + path
    headers = {"x-goog-api-key": tenant.key}
    with connect(url, additional_headers=headers, compression=None) as socket:
        setup = {
            "model": f"models/{model}",
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "generationConfig": {"responseModalities": ["TEXT"]},
        }
        socket.send(json.dumps({"setup": setup}))
        socket.recv(timeout=20)
        yield socket


def _bytes(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message


def turn(text: str) -> dict[str, Any]:
    content = {"turns": [{"role": "user", "parts": [{"text": text}]}], "turnComplete": True}
    return {"clientContent": content}


def test_live_session_is_kept_redacted(hub: Hub, live: str) -> None:
    tenant, without = hub.tenant(), hub.tenant()
    add_rule(hub, tenant)
    planted = f"planted {secrets.token_hex(8)}"
    assert (
        live_session(
            hub, tenant, live, turn(f"{planted} {CARD} #tokens=2"), turn("go on #call #tokens=1")
        )
        == "kept"
    )
    assert live_session(hub, without, live, turn("hello")) is None
    kept = all_kept(hub, tenant, 2)
    _, content = kept[0]
    assert texts(content, live) == [
        ("system", "Be brief."),
        ("user", f"{planted} <CARD_1> #tokens=2"),
        ("assistant", "w0 w1 "),
    ]
    pieces = [piece for one in turns_of(kept[1][1], "responses", live) for piece in one.pieces]
    (call,) = [piece for piece in pieces if piece.kind == "tool_call"]
    assert (call.name, json.loads(call.text)) == ("look_up", {"of": "river"})
    assert (where(hub, planted), entries(hub, without)) == ([], [])


def test_turn_that_is_interrupted_is_kept_as_broken(hub: Hub, live: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant)
    with live_socket(hub, tenant, live) as socket:
        socket.send(json.dumps(turn("go on #slow=20 #tokens=500")))
        while b'"modelTurn"' not in _bytes(socket.recv(timeout=20)):
            pass
        socket.send(json.dumps(turn("stop #tokens=1")))
        for _ in range(2):
            while b'"turnComplete"' not in _bytes(socket.recv(timeout=20)):
                pass
    (_, first), (_, second) = all_kept(hub, tenant, 2)
    assert (first.broken, second.broken) == (True, False)


def test_live_sound_is_counted(hub: Hub, live: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant)
    heard = base64.b64encode(bytes(32_000)).decode()
    blob = {"data": heard, "mimeType": "audio/pcm;rate=16000"}
    live_session(hub, tenant, live, {"realtimeInput": {"audio": blob}})
    ((_, content),) = all_kept(hub, tenant, 1)
    assert b"weir/32000/bytes/sha256/" in content.request
    assert b"weir/9600/bytes/sha256/" in content.answer
    assert heard[:100].encode() not in content.request
