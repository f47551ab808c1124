"""Ephemeral tokens in Google's form (POST /v1alpha/auth_tokens): the request for one, and its
answer (ai.google.dev, "Ephemeral tokens"; the official client google-genai 3.3, 2026-11).
"""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from dialects.errors.errors import RequestFault
from dialects.json.body import check_nested_names, read_body
from dialects.realtime.fixed_setup import NO_SETUP, FixedSetup
from dialects.realtime.gemini_live import camel_members, camel_name, model_of, read_members

OPENS_S: Final = 60
ENDS_S: Final = 1_800
ENDS_S_MAX: Final = 20 * 3_600
USES_DEFAULT: Final = 1
USES_MAX: Final = 2**31 - 1

_SETUP: Final = "bidiGenerateContentSetup"
_MASK: Final = "fieldMask"
_OPENS: Final = "newSessionExpireTime"
_ENDS: Final = "expireTime"
_MEMBERS: Final = frozenset({_SETUP, _MASK, _OPENS, _ENDS, "uses"})
_PATH: Final = re.compile(r"[a-z][A-Za-z]{0,59}(?:\.[a-z][A-Za-z]{0,59}){0,3}")
_PATHS_MAX: Final = 60


class AuthTokenRequest(NamedTuple):
    """A request for a token: until when it opens sessions and when they end, in Unix seconds; how
    many it opens, 0 for any number; the model of its sessions, "" for any; and what their setups
    cannot change.
    """

    opens_until: int
    ends_at: int
    uses: int
    model: str
    fixed: FixedSetup


def read_request(raw: bytes, now: int) -> AuthTokenRequest:
    """Read a request at that time, in Unix seconds. Raises RequestFault: for a member that is
    unknown or of another type, and for a time that is past or too late.
    """
    read_body(raw)
    check_nested_names(raw)
    body = camel_members(msgspec.json.decode(raw), "")
    for name in body:
        if name not in _MEMBERS:
            known = ", ".join(sorted(_MEMBERS))
            what = f"{name[:60]} is unknown here: use {known}"
            raise RequestFault("unsupported_capability", name[:60], what)
    ends_at = _read_time(body, _ENDS, now, ENDS_S)
    fixed = FixedSetup(_read_setup(body), _read_mask(body))
    return AuthTokenRequest(
        min(_read_time(body, _OPENS, now, OPENS_S), ends_at),
        ends_at,
        _read_uses(body),
        model_of(fixed.members),
        fixed,
    )


def write_answer(text: str, opens_until: int, ends_at: int, uses: int) -> bytes:
    """Return the answer: the token as a resource, with its times."""
    times = {_ENDS: _write_time(ends_at), _OPENS: _write_time(opens_until)}
    return msgspec.json.encode({"name": text, **times, "uses": uses})


def _write_time(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read_time(body: Mapping[str, Any], name: str, now: int, default_s: int) -> int:
    value = body.get(name)
    if value is None:
        return now + default_s
    if not isinstance(value, str):
        raise RequestFault("invalid_type", name, f"{name} must be a time such as {_EXAMPLE}")
    try:
        time = dt.datetime.fromisoformat(value)
        if time.tzinfo is None:
            raise ValueError("no time zone")
        seconds = int(time.timestamp())
    except (ValueError, OverflowError):
        what = f"{name} must be a time with its zone, such as {_EXAMPLE}"
        raise RequestFault("invalid_value", name, what) from None
    if not now < seconds < now + ENDS_S_MAX:
        what = f"{name} must be in the future, by less than {ENDS_S_MAX // 3600} hours"
        raise RequestFault("invalid_value", name, what)
    return seconds


_EXAMPLE: Final = "2026-11-27T10:00:00Z"


def _read_uses(body: Mapping[str, Any]) -> int:
    uses = body.get("uses")
    if uses is None:
        return USES_DEFAULT
    if type(uses) is not int:
        raise RequestFault("invalid_type", "uses", "uses must be an integer")
    if not 0 <= uses <= USES_MAX:
        what = f"uses must be from 0, for any number, to {USES_MAX}"
        raise RequestFault("invalid_value", "uses", what)
    return uses


def _read_setup(body: Mapping[str, Any]) -> dict[str, Any]:
    setup = body.get(_SETUP)
    if setup is None:
        return NO_SETUP
    if not isinstance(setup, dict):
        raise RequestFault("invalid_type", _SETUP, f"{_SETUP} must be an object")
    return read_members(setup, _SETUP)


def _read_mask(body: Mapping[str, Any]) -> tuple[str, ...]:
    mask = body.get(_MASK)
    if mask is None:
        return ()
    if not isinstance(mask, str):
        what = f"{_MASK} must be a string of paths, separated by commas"
        raise RequestFault("invalid_type", _MASK, what)
    paths = tuple(
        dict.fromkeys(camel_name(path.strip()) for path in mask.split(",") if path.strip())
    )
    wrong = next((path for path in paths if not _PATH.fullmatch(path)), None)
    if wrong is not None or len(paths) > _PATHS_MAX:
        what = f"{_MASK} must name members of a setup, such as generationConfig.temperature"
        raise RequestFault("invalid_value", _MASK, what)
    return paths
