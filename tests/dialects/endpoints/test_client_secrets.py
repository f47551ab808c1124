"""A request for a client secret, and its answer."""

import json
from typing import Any

import pytest

from dialects.endpoints.client_secrets import (
    SECONDS_DEFAULT,
    SecretRequest,
    read_request,
    write_answer,
)
from dialects.errors.errors import RequestFault

TYPED = {"type": "realtime"}


def read(body: Any) -> SecretRequest:
    return read_request(json.dumps(body).encode())


@pytest.mark.parametrize(
    "body",
    [
        {}, {"session": None, "expires_after": None}, {"session": {}, "expires_after": {}},
        {"expires_after": {"anchor": None, "seconds": None}, "session": {"type": None}},
        {"session": {"model": None, "max_output_tokens": None}},
    ],
)  # fmt: skip
def test_nothing_is_required(body: Any) -> None:
    assert read(body) == SecretRequest(SECONDS_DEFAULT, "", TYPED)
    assert SECONDS_DEFAULT == 600


def test_a_session_is_taken_as_it_is() -> None:
    session = {"type": "realtime", "model": "m", "max_output_tokens": "inf", "of_tomorrow": [1],
               "audio": {"input": {"turn_detection": None}}}  # fmt: skip
    asked = read({"session": session, "expires_after": {"anchor": "created_at", "seconds": 10}})
    assert asked == SecretRequest(10, "m", session)
    assert read({"session": {"model": "m"}}).session == {"model": "m", "type": "realtime"}


@pytest.mark.parametrize(
    ("seconds", "kind"),
    [(9, "invalid_value"), (10, ""), (7200, ""), (7201, "invalid_value"), (-10, "invalid_value"),
     (True, "invalid_type"), (10.0, "invalid_type"), ("10", "invalid_type")],
)  # fmt: skip
def test_a_secret_lasts_from_ten_seconds_to_two_hours(seconds: Any, kind: str) -> None:
    body = {"expires_after": {"seconds": seconds}}
    if not kind:
        assert read(body).seconds == seconds
        return
    with pytest.raises(RequestFault) as fault:
        read(body)
    assert (fault.value.kind, fault.value.param) == (kind, "expires_after.seconds")


@pytest.mark.parametrize(
    ("body", "kind", "param"),
    [
        ([], "invalid_type", None),
        ({"sesion": {}}, "unsupported_capability", "sesion"),
        ({"model": "m"}, "unsupported_capability", "model"),
        ({"session": []}, "invalid_type", "session"),
        ({"session": {"type": "transcription"}}, "invalid_value", "session.type"),
        ({"session": {"model": 5}}, "invalid_type", "session.model"),
        ({"session": {"max_output_tokens": 0}}, "invalid_value", "session.max_output_tokens"),
        ({"session": {"max_output_tokens": True}}, "invalid_value", "session.max_output_tokens"),
        ({"expires_after": 600}, "invalid_type", "expires_after"),
        ({"expires_after": {"anchor": "now"}}, "invalid_value", "expires_after.anchor"),
        ({"expires_after": {"second": 5}}, "unsupported_capability", "expires_after.second"),
    ],
)
def test_unknown_fields_are_rejected(body: Any, kind: str, param: str | None) -> None:
    with pytest.raises(RequestFault) as fault:
        read(body)
    assert (fault.value.kind, fault.value.param) == (kind, param)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b'{"session":{"model":"a","model":"b"}}', b'{"session":{},"session":{}}']
)
def test_a_body_has_one_meaning(raw: bytes) -> None:
    with pytest.raises(RequestFault) as fault:
        read_request(raw)
    assert fault.value.kind == "malformed_json"


def test_the_answer_has_the_session_as_clients_know_it() -> None:
    answer = json.loads(write_answer("ek_1", 5, {"type": "realtime", "model": "m"}, "01M"))
    assert answer == {
        "value": "ek_1", "expires_at": 5,
        "session": {"id": "sess_01M", "object": "realtime.session", "type": "realtime",
                    "model": "m"},
    }  # fmt: skip
