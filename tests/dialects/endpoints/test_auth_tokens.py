"""A request for an ephemeral token, and its answer."""

import json
from typing import Any

import pytest

from dialects.endpoints.auth_tokens import (
    _PATHS_MAX,
    ENDS_S,
    ENDS_S_MAX,
    OPENS_S,
    USES_MAX,
    AuthTokenRequest,
    read_request,
    write_answer,
)
from dialects.errors.errors import RequestFault
from dialects.realtime.fixed_setup import NO_SETUP, FixedSetup

# 2026-11-27T10:00:00Z
NOW = 1_795_773_600
FREE = FixedSetup(NO_SETUP, ())


def read(body: Any) -> AuthTokenRequest:
    return read_request(json.dumps(body).encode(), NOW)


def test_nothing_is_required() -> None:
    expected = AuthTokenRequest(NOW + OPENS_S, NOW + ENDS_S, 1, "", FREE)
    for body in ({}, dict.fromkeys(("uses", "expireTime", "fieldMask"))):
        assert read(body) == expected
    assert (OPENS_S, ENDS_S) == (60, 1800)


def test_each_member_is_read_in_both_spellings() -> None:
    setup = {"model": "models/m", "generation_config": {"top_p": 1}}
    body = {
        "uses": 0,
        "expireTime": "2026-11-27T11:00:00Z",
        "newSessionExpireTime": "2026-11-27T12:05:00.5+02:00",
        "bidiGenerateContentSetup": setup,
        "fieldMask": "generation_config.temperature, model,model",
    }
    fixed = FixedSetup(
        {"model": "models/m", "generationConfig": {"topP": 1}},
        ("generationConfig.temperature", "model"),
    )
    assert read(body) == AuthTokenRequest(NOW + 300, NOW + 3600, 0, "m", fixed)
    snake = {"expire_time": body["expireTime"], "new_session_expire_time": body["expireTime"]}
    assert read(snake) == AuthTokenRequest(NOW + 3600, NOW + 3600, 1, "", FREE)


def test_it_opens_sessions_no_later_than_they_end() -> None:
    asked = read({"expireTime": "2026-11-27T10:00:10Z"})
    assert (asked.opens_until, asked.ends_at) == (NOW + 10, NOW + 10)


def mask_of(count: int) -> str:
    return ",".join(f"a{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(count))


REFUSED: dict[str, tuple[Any, str, str]] = {
    "no object": ([], "invalid_type", ""),
    "unknown": ({"name": "auth_tokens/x"}, "unsupported_capability", "name"),
    "twice": ({"expireTime": "x", "expire_time": "x"}, "invalid_value", "expireTime"),
    "past": ({"expireTime": "2026-11-27T10:00:00Z"}, "invalid_value", "expireTime"),
    "late": ({"expireTime": "2026-11-28T06:00:00Z"}, "invalid_value", "expireTime"),
    "late opening": (
        {"newSessionExpireTime": "2026-11-28T06:00:00Z"},
        "invalid_value",
        "newSessionExpireTime",
    ),
    "no zone": ({"expireTime": "2026-11-27T11:00:00"}, "invalid_value", "expireTime"),
    "no time": ({"expireTime": "soon"}, "invalid_value", "expireTime"),
    "a number": ({"expireTime": NOW + 60}, "invalid_type", "expireTime"),
    "no number": ({"uses": "2"}, "invalid_type", "uses"),
    "true": ({"uses": True}, "invalid_type", "uses"),
    "negative": ({"uses": -1}, "invalid_value", "uses"),
    "too many": ({"uses": USES_MAX + 1}, "invalid_value", "uses"),
    "setup": ({"bidiGenerateContentSetup": "m"}, "invalid_type", "bidiGenerateContentSetup"),
    "config": (
        {"bidiGenerateContentSetup": {"generationConfig": 1}},
        "invalid_type",
        "bidiGenerateContentSetup.generationConfig",
    ),
    "limit": (
        {"bidiGenerateContentSetup": {"generationConfig": {"maxOutputTokens": 0}}},
        "invalid_value",
        "bidiGenerateContentSetup.generationConfig.maxOutputTokens",
    ),
    "mask list": ({"fieldMask": ["model"]}, "invalid_type", "fieldMask"),
    "mask path": ({"fieldMask": "a..b"}, "invalid_value", "fieldMask"),
    "mask star": ({"fieldMask": "*"}, "invalid_value", "fieldMask"),
    "deep mask": ({"fieldMask": "a.b.c.d.e"}, "invalid_value", "fieldMask"),
    "long mask": (
        {"fieldMask": mask_of(_PATHS_MAX + 1)},
        "invalid_value",
        "fieldMask",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_malformed_requests_are_rejected(case: str) -> None:
    body, kind, param = REFUSED[case]
    with pytest.raises(RequestFault) as fault:
        read(body)
    if param:
        assert (fault.value.kind, fault.value.param) == (kind, param), fault.value


def test_the_last_times_and_uses_are_accepted() -> None:
    asked = read({"expireTime": "2026-11-28T05:59:59Z", "uses": USES_MAX})
    assert len(read({"fieldMask": mask_of(_PATHS_MAX)}).fixed.paths) == _PATHS_MAX == 60
    assert (asked.ends_at, asked.uses) == (NOW + ENDS_S_MAX - 1, USES_MAX)


def test_the_answer_has_its_times() -> None:
    answer = json.loads(write_answer("auth_tokens/x", NOW + 60, NOW + 1800, 2))
    assert answer == {
        "name": "auth_tokens/x",
        "expireTime": "2026-11-27T10:30:00Z",
        "newSessionExpireTime": "2026-11-27T10:01:00Z",
        "uses": 2,
    }
