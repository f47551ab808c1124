"""What a client secret fixes is changed by no event; everything else is the client's."""

import json
from typing import Any

import pytest

from dialects.errors.errors import RequestFault
from dialects.realtime.fixed_settings import OPENING_ID, FixedSettings

SESSION: dict[str, Any] = {
    "type": "realtime",
    "model": "m",
    "instructions": "Be brief.",
    "max_output_tokens": 100,
    "tools": [],
    "audio": {
        "input": {"turn_detection": None, "transcription": {"model": "w", "language": "en"}},
        "output": {"voice": "cedar", "format": {"type": "audio/pcm", "rate": 24000}},
    },
}
FIXED = FixedSettings(SESSION)


def fit(event: Any) -> Any:
    return json.loads(FIXED.fit(json.dumps(event).encode()))


def test_they_are_set_by_one_event_without_the_model() -> None:
    assert FIXED.opening is not None
    assert json.loads(FIXED.opening) == {
        "type": "session.update", "event_id": OPENING_ID,
        "session": {name: value for name, value in SESSION.items() if name != "model"},
    }  # fmt: skip


@pytest.mark.parametrize("session", [{"type": "realtime"}, {"type": "realtime", "model": "m"}])
def test_a_secret_without_settings_sets_none(session: dict[str, Any]) -> None:
    assert FixedSettings(session).opening is None


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"instructions": "Be rude."}, "instructions"),
    ({"instructions": None}, "instructions"),
    ({"instructions": ""}, "instructions"),
    ({"max_output_tokens": 101}, "max_output_tokens"),
    ({"max_output_tokens": "inf"}, "max_output_tokens"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"max_output_tokens": None}, "max_output_tokens"),
    ({"max_output_tokens": "5"}, "max_output_tokens"),
    ({"tools": [{"type": "function", "name": "f"}]}, "tools"),
    ({"audio": None}, "audio"),
    ({"audio": []}, "audio"),
    ({"audio": {"output": {"voice": "marin"}}}, "audio.output.voice"),
    ({"audio": {"output": None}}, "audio.output"),
    ({"audio": {"output": {"format": {"rate": 8000}}}}, "audio.output.format.rate"),
]
OF_SESSION: list[tuple[dict[str, Any], str]] = [
    *CHANGES,
    ({"type": "transcription"}, "type"),
    ({"type": None}, "type"),
    (
        {"audio": {"input": {"turn_detection": {"type": "x"}}}},
        "audio.input.turn_detection",
    ),
    ({"audio": {"input": {"transcription": {"model": "x"}}}}, "audio.input.transcription.model"),
]


@pytest.mark.parametrize(
    ("kind", "holder", "change", "path"),
    [
        *(("session.update", "session", change, path) for change, path in OF_SESSION),
        *(("response.create", "response", change, path) for change, path in CHANGES),
    ],
)
def test_no_event_changes_a_fixed_setting(kind: str, holder: str, change: Any, path: str) -> None:
    with pytest.raises(RequestFault) as fault:
        fit({"type": kind, holder: {"tool_choice": "auto", **change}})
    assert (fault.value.kind, fault.value.param) == ("invalid_value", f"{holder}.{path}")
    assert "is set by the client secret" in fault.value.message


@pytest.mark.parametrize(
    ("event", "sent"),
    [
        ({"type": "session.update", "session": {"type": "realtime", "tool_choice": "none"}},) * 2,
        ({"type": "session.update", "session": {"max_output_tokens": 100}},) * 2,
        ({"type": "session.update", "session": {"max_output_tokens": 99}},) * 2,
        ({"type": "session.update", "session": {"instructions": "Be brief."}},) * 2,
        ({"type": "response.create", "response": {"max_output_tokens": 1, "input": []}},) * 2,
        # The type is a session's.
        ({"type": "response.create", "response": {"type": "x"}},) * 2,
        ({"type": "response.create", "response": {"audio": SESSION["audio"]}},) * 2,
        # A response has no input of its own.
        (
            {"type": "response.create", "response": {"audio": {"output": {"voice": "cedar"}}}},
            {"type": "response.create",
             "response": {"audio": {"output": SESSION["audio"]["output"]}}},
        ),
        ({"type": "response.create"},) * 2,
        ({"type": "response.create", "response": None},) * 2,
        ({"type": "conversation.item.create", "session": {"instructions": "x"}},) * 2,
        ({"type": 5, "session": {"instructions": "x"}},) * 2,
        # A provider may take an object for the whole of it.
        (
            {"type": "session.update", "session": {"audio": {"input": {
                "transcription": {"prompt": "Weir"}}}}},
            {"type": "session.update", "session": {"audio": {
                "input": {"turn_detection": None,
                          "transcription": {"model": "w", "language": "en", "prompt": "Weir"}},
                "output": SESSION["audio"]["output"]}}},
        ),
    ],
)  # fmt: skip
def test_other_settings_are_the_clients(event: Any, sent: Any) -> None:
    assert fit(event) == sent


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type":"session.update","session":{"instructions":"x","instructions":"Be brief."}}',
        b'{"type":"x","type":"session.update","session":{"tools":[1],"tools":[]}}',
        b'{"session":{"tools":[1]},"type":"session.update","session":{}}',
    ],
)
def test_duplicate_name_is_sent_once(raw: bytes) -> None:
    """Another reader might take the first one."""
    sent = FIXED.fit(raw)
    names = [name for name, _ in json.loads(sent, object_pairs_hook=list)]
    assert len(names) == len(set(names))
    assert b"[1]" not in sent
    assert b'"x"' not in sent


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"[]", b"5", b'{"type":"session.update"', b"\xff", b"[" * 100_000,
        b'{"type":"session.update","session":{"instructions":"\\ud800"}}',
        b'{"type":"session.update","session":{"max_output_tokens":NaN}}',
    ],
)  # fmt: skip
def test_unreadable_event_is_not_sent(raw: bytes) -> None:
    with pytest.raises(RequestFault) as fault:
        FIXED.fit(raw)
    assert fault.value.kind == "malformed_json"


@pytest.mark.parametrize("value", [[], "x", 5, True])
def test_session_must_be_an_object(value: Any) -> None:
    with pytest.raises(RequestFault) as fault:
        fit({"type": "session.update", "session": value})
    assert (fault.value.kind, fault.value.param) == ("invalid_type", "session")


def test_a_session_gets_no_other_type() -> None:
    with pytest.raises(RequestFault) as fault:
        fit({"type": "transcription_session.update", "session": {}})
    assert fault.value.param == "type"
