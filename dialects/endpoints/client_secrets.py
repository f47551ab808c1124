"""Client secrets in OpenAI's form (POST /v1/realtime/client_secrets): the request for one, and its
answer. Other members of `session` than those read here are settings for the provider.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from dialects.errors.errors import RequestFault
from dialects.json.body import check_nested_names, read_body
from dialects.realtime.realtime import GA_LIMIT, SESSION_TYPE, read_limit

SECONDS_MIN: Final = 10
SECONDS_MAX: Final = 7_200
SECONDS_DEFAULT: Final = 600

_MEMBERS: Final = ("expires_after", "session")
_EXPIRY_MEMBERS: Final = ("anchor", "seconds")
_ANCHOR: Final = "created_at"


class SecretRequest(NamedTuple):
    """A request for a client secret: for how many seconds it opens sessions, the model of the
    sessions ("" for any), and their settings, `type` and `model` included.
    """

    seconds: int
    model: str
    session: dict[str, Any]


def read_request(raw: bytes) -> SecretRequest:
    """Read a request. Raises RequestFault: for a member that is unknown or of another type, and for
    a session of another type than realtime.
    """
    read_body(raw)
    check_nested_names(raw)
    body = msgspec.json.decode(raw)
    _refuse_others("", body, _MEMBERS)
    expiry = _object(body, "expires_after", "expires_after")
    _refuse_others("expires_after.", expiry, _EXPIRY_MEMBERS)
    return SecretRequest(_read_seconds(expiry), *_read_session(_object(body, "session", "session")))


def write_answer(text: str, expires_at: int, session: Mapping[str, Any], id: str) -> bytes:
    """Return the answer: the text of the secret, its end in Unix seconds, and the settings of its
    sessions. `id` belongs to the secret, because each session gets its id from its provider."""
    object_ = {"id": f"sess_{id}", "object": "realtime.session", **session}
    return msgspec.json.encode({"value": text, "expires_at": expires_at, "session": object_})


def _read_seconds(expiry: Mapping[str, Any]) -> int:
    if expiry.get("anchor") not in (None, _ANCHOR):
        what = f"expires_after.anchor must be {_ANCHOR}"
        raise RequestFault("invalid_value", "expires_after.anchor", what)
    seconds = expiry.get("seconds")
    if seconds is None:
        return SECONDS_DEFAULT
    name = "expires_after.seconds"
    if type(seconds) is not int:
        raise RequestFault("invalid_type", name, f"{name} must be an integer")
    if not SECONDS_MIN <= seconds <= SECONDS_MAX:
        what = f"{name} must be from {SECONDS_MIN} to {SECONDS_MAX}"
        raise RequestFault("invalid_value", name, what)
    return seconds


def _read_session(session: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if session.get("type") not in (None, SESSION_TYPE):
        what = f"session.type must be {SESSION_TYPE}: no other sessions are offered"
        raise RequestFault("invalid_value", "session.type", what)
    model = session.get("model")
    if model is not None and not isinstance(model, str):
        raise RequestFault("invalid_type", "session.model", "session.model must be a string")
    limit = session.get(GA_LIMIT)
    if limit is not None and read_limit(limit) is None:
        name = f"session.{GA_LIMIT}"
        raise RequestFault("invalid_value", name, f'{name} must be a positive integer or "inf"')
    settings = {name: value for name, value in session.items() if value is not None}
    return model or "", {**settings, "type": SESSION_TYPE}


def _object(values: Mapping[str, Any], member: str, path: str) -> dict[str, Any]:
    """Return the object in a member; {} if it is absent or null."""
    value = values.get(member)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RequestFault("invalid_type", path, f"{path} must be an object")
    return value


def _refuse_others(path: str, values: Mapping[str, Any], members: tuple[str, ...]) -> None:
    for name in values:
        if name not in members:
            what = f"{path}{name} is unknown here: use {' or '.join(members)}"
            raise RequestFault("unsupported_capability", f"{path}{name}", what)
