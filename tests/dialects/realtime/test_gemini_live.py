"""Live sessions of Gemini: setups, messages, the counts that a hold covers, and closes."""

import base64
import json
from typing import Any

import pytest

from dialects.errors.errors import RequestFault
from dialects.realtime import gemini_live
from dialects.realtime.gemini_live import LiveResponse, ServerMessage


def raw(body: Any) -> bytes:
    return json.dumps(body).encode()


def b64(size: int) -> str:
    return base64.b64encode(bytes(size)).decode()


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("models/gemini-live", "gemini-live"),
        ("gemini-live", "gemini-live"),
        ("projects/p/locations/l/publishers/google/models/gemini-live", "gemini-live"),
        ("models/own/with/slashes", "own/with/slashes"),
        ("a/b", None),
        ("", None),
    ],
)
def test_setup_names_its_model(name: str, model: str | None) -> None:
    if model is not None:
        assert gemini_live.read_setup(raw({"setup": {"model": name}})).model == model
        return
    with pytest.raises(RequestFault) as fault:
        gemini_live.read_setup(raw({"setup": {"model": name}}))
    assert fault.value.param == "setup.model"


def test_setup_of_the_provider_has_our_limits_and_its_names() -> None:
    setup = gemini_live.read_setup(
        raw({
            "setup": {
                "model": "models/mine",
                "generation_config": {"max_output_tokens": 500, "temperature": 1},
                "session_resumption": {"handle": "ours", "transparent": True},
            }
        })
    )  # fmt: skip
    assert (setup.model, setup.output_max, setup.handle) == ("mine", 500, "ours")
    assert json.loads(setup.encode("up", 100, "theirs")) == {
        "setup": {
            "model": "models/up",
            "generationConfig": {"maxOutputTokens": 100, "temperature": 1},
            "sessionResumption": {"handle": "theirs", "transparent": True},
        }
    }
    unchanged = json.loads(setup.encode("up", None, None))["setup"]
    assert unchanged["generationConfig"]["maxOutputTokens"] == 500
    assert unchanged["sessionResumption"]["handle"] == "ours"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"clientContent": {}}, "setup"),
        ({"setup": {"model": "m"}, "clientContent": {}}, "setup"),
        ({"setup": 3}, "setup"),
        ({"setup": {"model": "m", "generationConfig": 3}}, "setup.generationConfig"),
        (
            {"setup": {"model": "m", "generationConfig": {"maxOutputTokens": 0}}},
            "setup.generationConfig.maxOutputTokens",
        ),
        (
            {"setup": {"model": "m", "generationConfig": {}, "generation_config": {}}},
            "setup.generationConfig",
        ),
    ],
)
def test_invalid_setup_names_its_member(body: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestFault) as fault:
        gemini_live.read_setup(raw(body))
    assert fault.value.param == param


# Messages of the client ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "at_once", "may_answer", "may_set"),
    [
        ({"clientContent": {"turns": [], "turnComplete": True}}, True, True, False),
        ({"client_content": {"turns": [], "turn_complete": True}}, True, True, False),
        ({"clientContent": {"turns": []}}, False, False, False),
        ({"clientContent": {"turns": [{"role": "user"}, {"role": "model"}]}}, False, False, False),
        ({"clientContent": {"turns": [{"role": "system"}]}}, False, False, True),
        ({"toolResponse": {}}, False, True, False),
        ({"realtimeInput": {"text": "a"}}, False, True, False),
        ({"realtimeInput": {}, "contextUpdate": {}}, False, True, True),
        ({"contextUpdate": {}}, False, False, True),
        ({"warp": {}}, False, True, True),
    ],
)
def test_message_says_whether_it_is_answered_and_changes_settings(
    message: dict[str, Any], at_once: bool, may_answer: bool, may_set: bool
) -> None:
    read = gemini_live.read_client_message(raw(message))
    assert (read.answered_at_once, read.may_be_answered, read.may_set) == (
        at_once, may_answer, may_set,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("members", "sound_ms", "pictures"),
    [
        ({"audio": {"data": b64(32_000), "mimeType": "audio/pcm;rate=16000"}}, 1_000, 0),
        ({"audio": {"data": b64(32_000), "mimeType": "audio/pcm;rate=8000"}}, 2_000, 0),
        ({"audio": {"data": b64(32_000)}}, 1_000, 0),
        ({"mediaChunks": [{"data": b64(32_000), "mime_type": "audio/pcm"}] * 2}, 2_000, 0),
        ({"media_chunks": [{"data": b64(9), "mimeType": "image/png"}]}, 0, 1),
        ({"video": {"data": b64(9), "mimeType": "image/jpeg"}}, 0, 1),
        ({"audio": {"data": ""}, "text": "a"}, 0, 0),
    ],
)
def test_input_is_counted_by_its_sound_and_pictures(
    members: dict[str, Any], sound_ms: int, pictures: int
) -> None:
    """P2: what is neither is counted by its bytes."""
    body = raw({"realtimeInput": members})
    read = gemini_live.read_client_message(body)
    assert (abs(read.sound_ms - sound_ms) <= 1, read.pictures) == (True, pictures)
    assert 20 < read.other_bytes < 250


def test_tools_of_an_update_are_read_in_both_forms() -> None:
    tools: list[dict[str, Any]] = [{"googleSearch": {}}]
    updates: tuple[dict[str, Any], ...] = ({"tools": tools}, {"tools": {"tools": tools}})
    for update in updates:
        read = gemini_live.read_client_message(raw({"contextUpdate": update}))
        assert json.loads(bytes(read.tools)) == tools


def test_second_setup_and_no_object_are_refused() -> None:
    refused = (
        (b'{"setup": {}}', "invalid_value"),
        (b"[]", "malformed_json"),
        (b"{", "malformed_json"),
    )
    for body, kind in refused:
        with pytest.raises(RequestFault) as fault:
            gemini_live.read_client_message(body)
        assert fault.value.kind == kind


# Messages of the provider -------------------------------------------------------------------------


def told(body: Any) -> ServerMessage:
    return gemini_live.read_server_message(raw(body))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"setupComplete": {}}, {"is_setup"}),
        ({"toolCall": {"functionCalls": []}}, {"calls_functions", "has_output"}),
        ({"serverContent": {"modelTurn": {"parts": []}}}, {"has_output"}),
        ({"serverContent": {"outputTranscription": {"text": "a"}}}, {"has_output"}),
        ({"serverContent": {"turnComplete": True}}, {"ends_turn"}),
        ({"serverContent": {"interrupted": True}}, {"interrupts"}),
        ({"goAway": {"timeLeft": "9s"}}, {"says_goodbye"}),
        ({"serverContent": {"modelTurn": None, "turnComplete": False}, "goAway": None}, set()),
    ],
)
def test_what_a_message_says(body: dict[str, Any], says: set[str]) -> None:
    names = {
        "is_setup", "calls_functions", "has_output", "ends_turn", "interrupts", "says_goodbye",
    }  # fmt: skip
    message = told(body)
    assert {name for name in names if getattr(message, name)} == says


def test_handle_of_a_session_is_ours() -> None:
    body = {"sessionResumptionUpdate": {"newHandle": "theirs", "resumable": True}}
    assert told(body).handle == "theirs"
    assert told({"sessionResumptionUpdate": {"newHandle": ""}}).handle is None
    ours = json.loads(gemini_live.with_handle(raw(body), "ours"))
    assert ours == {"sessionResumptionUpdate": {"newHandle": "ours", "resumable": True}}
    assert gemini_live.session_id(told({"setupComplete": {"sessionId": "s"}})) == "s"


def test_answer_without_usage_is_counted_by_what_was_said() -> None:
    response = LiveResponse()
    assert not response.note_message(told({"serverContent": {"turnComplete": True}}))
    sound = {"inlineData": {"mimeType": "audio/pcm", "data": b64(48_000)}}
    text = {"text": "abcdefgh"}
    assert response.note_message(told({"serverContent": {"modelTurn": {"parts": [sound, text]}}}))
    count = response.own_count()
    # A second of sound, and eight letters.
    assert (count["out_audio"], count["out_text"]) == (25, 2)
    assert response.begun


@pytest.mark.parametrize(
    ("code", "reason", "status"),
    [
        (1000, "bye", 0),
        (1007, "API key not valid. Please pass a valid API key.", 401),
        (1008, "Please enable billing", 402),
        (1007, "Invalid argument", 400),
        (1008, "models/x is not found for API version", 404),
        (1011, "You exceeded your current quota", 429),
        (1008, "Permission denied on resource", 403),
        (1007, "the words permission denied were quoted", 400),
        (1011, "Internal error", 500),
        (1013, "Try again", 503),
    ],
)
def test_close_of_the_provider_has_a_status(code: int, reason: str, status: int) -> None:
    assert gemini_live.status_of_close(code, reason) == status
    assert json.loads(gemini_live.error_body(status, reason)) == {
        "error": {"code": status, "message": reason}
    }
