"""Settings of a realtime session that its client may not change: those of its client secret. They
are in the generally available form, and hold for the session and for each of its responses.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dialects.errors.errors import RequestFault
from dialects.json.not_json import NOT_JSON
from dialects.realtime.realtime import GA_LIMIT, read_limit

OPENING_ID: Final = "event_client_secret"
"""The id of the event that sets the settings in the beginning."""

_HOLDERS: Final = {"session.update": "session", "response.create": "response"}
# An event that turns a session of the beta into a session of another type.
_OTHER_TYPE: Final = "transcription_session.update"


class FixedSettings:
    """The settings of one client secret. Its model is not among them, because the connection names
    it."""

    __slots__ = ("_settings",)

    def __init__(self, session: Mapping[str, Any]) -> None:
        self._settings = {name: value for name, value in session.items() if name != "model"}

    @property
    def opening(self) -> bytes | None:
        """The client event that applies these settings; None if there are none."""
        if self._settings.keys() <= {"type"}:
            return None
        event = {"type": "session.update", "event_id": OPENING_ID, "session": self._settings}
        return msgspec.json.encode(event)

    def fit(self, raw: bytes) -> bytes:
        """Return a client's event with these settings added where it lacks them. It is encoded
        anew, so that the provider cannot read it differently. Raises RequestFault for an event that
        cannot be read or that sets another value; a lower output limit is allowed."""
        try:
            event = msgspec.json.decode(raw, type=dict[str, Any])
        except NOT_JSON:
            raise RequestFault("malformed_json", None, "the event is no JSON object") from None
        kind = str(event.get("type"))
        if kind == _OTHER_TYPE:
            raise RequestFault("invalid_value", "type", f"{kind} cannot change a realtime session")
        holder = _HOLDERS.get(kind)
        if holder is not None and event.get(holder) is not None:
            event[holder] = self._fit_holder(holder, event[holder])
        return msgspec.json.encode(event)

    def _fit_holder(self, holder: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise RequestFault("invalid_type", holder, f"{holder} must be an object")
        fixed = self._settings if holder == "session" else _of_response(self._settings)
        return _fit(fixed, value, holder)


def _of_response(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that also apply to a response: all but the type and the input."""
    result = {name: value for name, value in settings.items() if name != "type"}
    if isinstance(audio := result.get("audio"), dict):
        result["audio"] = {name: value for name, value in audio.items() if name != "input"}
    return result


def _fit(fixed: Mapping[str, Any], value: Mapping[str, Any], path: str) -> dict[str, Any]:
    result = dict(value)
    for name, own in fixed.items():
        if name not in value:
            continue
        other, place = value[name], f"{path}.{name}"
        if isinstance(own, dict) and isinstance(other, dict):
            # A provider may replace a nested object as a whole.
            result[name] = {**own, **_fit(own, other, place)}
        elif other != own and not (name == GA_LIMIT and _is_lower(other, own)):
            what = f"{place} is set by the client secret and cannot be changed"
            raise RequestFault("invalid_value", place, what)
    return result


def _is_lower(limit: Any, own: Any) -> bool:
    read, most = read_limit(limit), read_limit(own)
    return isinstance(read, int) and (most == "inf" or (isinstance(most, int) and read <= most))
