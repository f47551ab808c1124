"""Live sessions of OpenAI: what their events say of settings, time and models."""

import json
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from openai.types import live as official

from dialects.errors.errors import RequestFault
from dialects.realtime import live


def raw(**members: Any) -> bytes:
    return json.dumps(members).encode()


def start(**session: Any) -> live.Settings:
    return live.read_start(raw(type="session.start", session={"model": "gpt-live"} | session))


def delegated(kind: str, config: Any) -> dict[str, Any]:
    return {"type": kind, kind: config}


@pytest.mark.parametrize(
    ("session", "delegate", "backend", "bytes_ms"),
    [
        ({}, "", "", 48),
        ({"audio": {"format": {"type": "audio/pcm", "rate": 16_000}}}, "", "", 32),
        ({"audio": {"format": {"type": "audio/pcm", "rate": 8_000}}}, "", "", 16),
        ({"audio": {"format": {"type": "audio/pcm", "rate": 48_000}}}, "", "", 96),
        ({"audio": {"format": {"type": "audio/pcm", "rate": 48_001}}}, "", "", 48),
        ({"audio": {"format": {"type": "audio/pcm", "rate": 7_999}}}, "", "", 48),
        ({"store": False}, "", "", 48),
        ({"audio": {"format": {"type": "audio/pcmu"}}}, "", "", 8),
        ({"delegation": {"type": "client"}}, "client", "", 48),
        ({"delegation": delegated("responses", {"model": "gpt-5"})}, "responses", "gpt-5", 48),
        ({"delegation": delegated("decisions", {"model": "gpt-5"})}, "decisions", "gpt-5", 48),
    ],
)
def test_settings_that_cost_are_read(
    session: dict[str, Any], delegate: str, backend: str, bytes_ms: int
) -> None:
    read = start(**session)
    assert (read.model, read.delegate, read.backend, read.bytes_ms) == (
        "gpt-live", delegate, backend, bytes_ms,
    )  # fmt: skip
    assert read.path == f"session.delegation.{delegate}"


@pytest.mark.parametrize(
    ("session", "kind", "param"),
    [
        ({"model": ""}, "missing_parameter", "session.model"),
        ({"warp": 1}, "unsupported_capability", "session.warp"),
        ({"store": True}, "unsupported_capability", "session.store"),
        ({"triggers": [{}]}, "unsupported_capability", "session.triggers"),
        ({"delegation": {"type": "x"}}, "invalid_value", "session.delegation.type"),
        (
            {"delegation": {"type": "responses"}},
            "missing_parameter",
            "session.delegation.responses",
        ),
        (
            {"delegation": delegated("decisions", {})},
            "missing_parameter",
            "session.delegation.decisions.model",
        ),
    ],
)
def test_session_that_nobody_could_charge_is_refused(
    session: dict[str, Any], kind: str, param: str
) -> None:
    with pytest.raises(RequestFault) as fault:
        start(**session)
    assert (fault.value.kind, fault.value.param) == (kind, param)


def test_events_and_settings_are_those_of_the_official_client() -> None:
    kinds = [get_type_hints(event)["type"] for event in get_args(official.ClientEventParam)]
    assert {word for kind in kinds for word in get_args(kind)} == live.CLIENT_EVENTS
    forms = (official.SessionConfigParam, official.MediaSessionConfigParam)
    assert {name for form in forms for name in get_type_hints(form)} == live.SESSION_MEMBERS


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"session": {"id": "sess_1"}}, "sess_1"),
        ({"session": {"id": 7}}, ""),
        ({"session": {}}, ""),
        ({"session": "sess_1"}, ""),
        ({}, ""),
    ],
)
def test_session_without_a_written_id_has_none(event: dict[str, Any], expected: str) -> None:
    assert live.session_id(raw(type="session.started", **event)) == expected
    assert live.session_id(b"[" * 9) == ""


def test_first_event_is_the_start() -> None:
    for body, param in (
        (raw(type="session.update", session={"model": "m"}), "type"),
        (raw(type="session.start"), "session"),
    ):
        with pytest.raises(RequestFault) as fault:
            live.read_start(body)
        assert fault.value.param == param


def test_update_need_not_name_a_model() -> None:
    def update(session: dict[str, Any]) -> live.Settings:
        body = raw(type="session.update", session=session)
        return live.read_update(body, live.read_client_event(body))

    assert update({"delegation": {"type": "responses"}})[:3] == ("", "responses", "")
    changed = update({"delegation": delegated("responses", {"max_output_tokens": 9})})
    assert (changed.backend, json.loads(changed.config)) == ("", {"max_output_tokens": 9})


def test_changed_configuration_is_held_for_the_dearer_one() -> None:
    """P2: the tools of both, and no limit of output where it changes."""
    before = raw(model="a", max_output_tokens=100, tools=[{"type": "x"}], effort="low")
    merged = json.loads(live.merge_config(before, raw(max_output_tokens=9, tools=[{"type": "y"}])))
    assert merged == {"model": "a", "effort": "low", "tools": [{"type": "x"}, {"type": "y"}]}
    kept = json.loads(live.merge_config(before, raw(model="b")))
    assert (kept["model"], kept["max_output_tokens"], kept["tools"]) == ("b", 100, [{"type": "x"}])


def test_clients_see_the_models_that_they_named() -> None:
    event = raw(
        type="session.started",
        session={"id": "s", "model": "up", "delegation": delegated("responses", {"model": "back"})},
    )
    named = json.loads(live.name_models(event, "mine", "responses", "own"))
    assert named["session"]["model"] == "mine"
    assert named["session"]["delegation"]["responses"]["model"] == "own"
    assert live.name_models(event, "", "responses", "") == event
    assert live.session_id(event) == "s"
    assert live.session_id(b"{}") == ""


@pytest.mark.parametrize(
    ("usage", "ms", "flags", "unknown"),
    [
        ({"seconds": 12}, 12_000, (), ()),
        ({"seconds": 1.0005}, 1_000, (), ()),
        ({"seconds": 1.0015}, 1_002, (), ()),
        ({}, None, ("usage_missing",), ()),
        ({"warps": 3}, None, ("usage_missing",), ("warps",)),
        ({"seconds": True}, None, ("usage_not_integer",), ()),
        ({"seconds": -1}, None, ("usage_negative",), ()),
        ({"seconds": 10**9}, None, ("usage_huge",), ()),
        ({"seconds": 1, "warps": 3}, 1_000, (), ("warps",)),
    ],
)
def test_time_of_a_session_is_exact(
    usage: dict[str, Any], ms: int | None, flags: tuple[str, ...], unknown: tuple[str, ...]
) -> None:
    """F27, P28: what is impossible is not charged, and what is unknown is named."""
    read = live.read_time(msgspec.Raw(json.dumps(usage).encode()))
    assert (read.ms, read.flags, read.unknown) == (ms, flags, unknown)


def test_position_of_an_event_is_its_latest_time() -> None:
    for members, ms in (
        ({"end_ms": 5, "offset_ms": 9}, 9),
        ({"end_ms": 7}, 7),
        ({"end_ms": -1, "offset_ms": "9"}, 0),
        ({"end_ms": 10**9}, 0),
    ):
        assert live.read_server_event(raw(type="x", **members)).position_ms == ms


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"type": "invalid_request_error"}, 400),
        ({"type": "invalid_request_error", "code": "insufficient_quota"}, 429),
        ({"type": "authentication_error"}, 401),
        ({"type": "not_found_error"}, 404),
        ({"type": "server_error"}, 500),
        (3, 500),
    ],
)
def test_error_of_the_provider_has_a_status(error: Any, status: int) -> None:
    event = live.read_server_event(raw(type="error", error=error))
    body = json.dumps({"error": error if isinstance(error, dict) else {}}).encode()
    assert (live.error_answer(event)[0], json.loads(live.error_answer(event)[1])) == (
        status, json.loads(body),
    )  # fmt: skip


def test_our_error_names_the_event_that_caused_it() -> None:
    event = json.loads(
        live.error_event("invalid_value", "No.", id="7", param="session.x", event_id="e1")
    )
    assert (event["type"], event["event_id"], event["client_event_id"]) == (
        "error", "event_7", "e1",
    )  # fmt: skip
    assert event["error"] == {
        "type": "invalid_request_error", "code": "invalid_value", "message": "No.",
        "param": "session.x", "client_event_id": "e1",
    }  # fmt: skip
    assert "client_event_id" not in json.loads(live.error_event("timeout", "Late.", id="7"))
