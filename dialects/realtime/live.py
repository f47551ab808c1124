"""The events of OpenAI's Live sessions (GPT-Live), read for what a session costs; they are
forwarded unchanged but for names of models.

    client    session.start             the first event: the model, and who does what it delegates
              session.update            the same, but for the model
              session.input_audio.append    sound
    server    session.started           the session runs, and is charged by its time
              session.usage.updated     its time so far, in seconds
              response.event            an event of a response that the model delegated
              decision.event            a decision, with its usage
              session.closed            the end, and the whole time

A session is charged by its own timeline: `session.usage.updated` reports its total time, and
transcripts and delegations report their position on it.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final, NamedTuple

import msgspec

from dialects.errors.errors import KINDS, RequestFault
from dialects.errors.kinds import ErrorKind
from dialects.errors.masking import quote_value
from dialects.json.body import check_nested_names, read_body
from dialects.json.not_json import NOT_JSON
from dialects.realtime.realtime import sound_ms
from dialects.streams.model_alias import name_answer
from dialects.usage.impossible_counts import COUNT_MAX
from dialects.usage.usage import Quantities, UsageMembers, read_members

START: Final = "session.start"
STARTED: Final = "session.started"
CLOSED: Final = "session.closed"
APPEND: Final = "session.input_audio.append"
CLIENT_EVENTS: Final = frozenset(
    {
        START, APPEND, "session.update", "session.close", "session.input_audio.mute",
        "session.input_audio.unmute", "session.output_audio.fixture.play",
        "session.instructions.append", "session.thinking.append", "session.commentary.append",
        "decision.create", "decision.item.create", "decision.item.delete",
        "response.create", "response.item.create",
    }
)  # fmt: skip
"""What a client may send: the events of the client library openai 3.51."""
SESSION_MEMBERS: Final = frozenset(
    {
        "model", "audio", "client", "delegation", "input", "instructions", "safety_identifier",
        "store", "triggers",
    }
)  # fmt: skip
"""The settings of a session, of the same library."""

_DELEGATES: Final = ("client", "responses", "decisions")
# PCM of 16 bits; the companded sound of telephones has 8 kHz.
_PHONE: Final = frozenset({"audio/pcmu", "audio/pcma"})
_PHONE_BYTES_MS: Final = 8
_DEFAULT_RATE: Final = 24_000
_NOTHING: Final = msgspec.Raw()
# Errors of the provider, by their type, as answers over HTTP have them.
_STATUS: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "insufficient_quota": 429,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
}


class ClientEvent(msgspec.Struct, frozen=True):
    """The members of a client's event that are read."""

    type: str = ""
    event_id: Any = None
    session: msgspec.Raw = _NOTHING
    audio: msgspec.Raw = _NOTHING


class ServerEvent(msgspec.Struct, frozen=True):
    """The members of a provider's event that are read."""

    type: str = ""
    session: msgspec.Raw = _NOTHING
    usage: msgspec.Raw = _NOTHING
    event: msgspec.Raw = _NOTHING
    delta: msgspec.Raw = _NOTHING
    end_ms: Any = None
    offset_ms: Any = None
    error: msgspec.Raw = _NOTHING

    @property
    def position_ms(self) -> int:
        """The event's position on the session's timeline; 0 if it has none."""
        told = (self.end_ms, self.offset_ms)
        return max(ms if type(ms) is int and 0 <= ms <= COUNT_MAX else 0 for ms in told)


class _Response(msgspec.Struct, frozen=True):
    id: str = ""


class DelegatedEvent(msgspec.Struct, frozen=True):
    """An event of a delegated response, or of a decision. `decision` is the whole decision."""

    type: str = ""
    response: _Response = _Response()
    response_id: str = ""
    decision: msgspec.Raw = _NOTHING


class Decision(msgspec.Struct, frozen=True):
    """A decision: who made it, and its raw usage."""

    model: str = ""
    usage: msgspec.Raw = _NOTHING


_client_event = msgspec.json.Decoder(ClientEvent)
_server_event = msgspec.json.Decoder(ServerEvent)
_delegated = msgspec.json.Decoder(DelegatedEvent)
_decision = msgspec.json.Decoder(Decision)
_exact = msgspec.json.Decoder(float_hook=Decimal)


def read_client_event(raw: bytes) -> ClientEvent:
    """Return a client's event; an unreadable one has no type."""
    try:
        return _client_event.decode(raw)
    except NOT_JSON:
        return ClientEvent()


def read_server_event(raw: bytes) -> ServerEvent:
    """Return a provider's event. Raises ValueError for anything that is not an event."""
    try:
        return _server_event.decode(raw)
    except NOT_JSON as error:
        raise ValueError(str(error)) from error


def read_delegated(raw: msgspec.Raw) -> DelegatedEvent:
    """Return the event inside a `response.event` or `decision.event`. Raises ValueError."""
    try:
        return _delegated.decode(raw)
    except NOT_JSON as error:
        raise ValueError(str(error)) from error


def read_decision(event: DelegatedEvent) -> Decision:
    """Return the decision of an event. Raises ValueError."""
    try:
        return _decision.decode(event.decision)
    except NOT_JSON as error:
        raise ValueError(str(error)) from error


# ---- settings


class Settings(NamedTuple):
    """The settings of a session that affect its cost. `model` is "" in an update. `delegate` says
    who does what the model delegates, "" if unset; `config` is the configuration of those responses
    or decisions, as sent, and `backend` the model in it, "" for none. `bytes_ms` is how many bytes
    a millisecond of sound has.
    """

    model: str
    delegate: str
    backend: str
    config: bytes
    bytes_ms: int

    @property
    def path(self) -> str:
        """The path of the configuration in an event."""
        return f"session.delegation.{self.delegate}"


def read_start(raw: bytes) -> Settings:
    """Read the first event. Raises RequestFault for any other event, and for a session that could
    not be charged or that its client could not reach again."""
    event = read_client_event(raw)
    if event.type != START:
        what = f"the first event must be {START}, with the model in session.model"
        raise RequestFault("invalid_value", "type", what)
    session = _read_session(raw, event)
    unknown = sorted(session.keys() - SESSION_MEMBERS)
    if unknown:
        name = f"session.{unknown[0][:60]}"
        what = f"{quote_value(name)} is not known to be a setting of a session, nor what it costs"
        raise RequestFault("unsupported_capability", name, what)
    model = session.get("model")
    if not isinstance(model, str) or not model:
        raise RequestFault("missing_parameter", "session.model", "session.model is required")
    if session.get("store") not in (None, False):
        what = (
            "stored sessions cannot be forked or downloaded through Weir, because they belong to "
            "the account of the channel: leave out session.store"
        )
        raise RequestFault("unsupported_capability", "session.store", what)
    return _read_settings(session, model)


def read_update(raw: bytes, event: ClientEvent) -> Settings:
    """Read a change of the settings. Raises RequestFault."""
    return _read_settings(_read_session(raw, event), "")


def _read_session(raw: bytes, event: ClientEvent) -> dict[str, Any]:
    read_body(raw)
    check_nested_names(raw)
    session = msgspec.json.decode(event.session) if bytes(event.session) else None
    if not isinstance(session, dict):
        raise RequestFault("missing_parameter", "session", "session is required, as an object")
    return session


def _read_settings(session: dict[str, Any], model: str) -> Settings:
    if session.get("triggers"):
        what = (
            "decisions by triggers name no model before they are made, so that nobody knows their "
            "price: leave out session.triggers, or ask for decisions by session.delegation"
        )
        raise RequestFault("unsupported_capability", "session.triggers", what)
    bytes_ms = _bytes_ms(_member(_member(session, "audio"), "format"))
    delegation = session.get("delegation")
    if delegation is None:
        return Settings(model, "", "", b"{}", bytes_ms)
    delegate = _member(delegation, "type")
    if delegate not in _DELEGATES:
        what = f"session.delegation.type must be one of {', '.join(_DELEGATES)}"
        raise RequestFault("invalid_value", "session.delegation.type", what)
    config = _member(delegation, delegate)
    if delegate == "client" or (config is None and not model):
        return Settings(model, delegate, "", b"{}", bytes_ms)
    where = f"session.delegation.{delegate}"
    if not isinstance(config, dict):
        raise RequestFault("missing_parameter", where, f"{where} is required, as an object")
    backend = config.get("model")
    if backend is None and not model:
        backend = ""
    elif not isinstance(backend, str) or not backend:
        raise RequestFault("missing_parameter", f"{where}.model", f"{where}.model is required")
    return Settings(model, delegate, backend, msgspec.json.encode(config), bytes_ms)


def merge_config(earlier: bytes, changes: bytes) -> bytes:
    """Return a configuration whose responses may cost as much as those of either one: it has the
    tools of both, and no output limit if the limit changes."""
    before, after = msgspec.json.decode(earlier), msgspec.json.decode(changes)
    merged = {**before, **after}
    if "max_output_tokens" in after:
        del merged["max_output_tokens"]
    tools = [one.get("tools") for one in (before, after)]
    merged["tools"] = [tool for some in tools if isinstance(some, list) for tool in some]
    return msgspec.json.encode(merged)


def name_models(raw: bytes, model: str, delegate: str, backend: str) -> bytes:
    """Return an event with the models in its session replaced, where it names any; "" leaves a
    model unchanged."""
    if model:
        raw = name_answer(raw, ("session", "model"), model)
    if backend:
        raw = name_answer(raw, ("session", "delegation", delegate, "model"), backend)
    return raw


def session_id(raw: bytes) -> str:
    """Return the id of the session in an event, "" for none."""
    try:
        session = msgspec.json.decode(read_server_event(raw).session)
    except (ValueError, RecursionError):
        return ""
    id = _member(session, "id")
    return id if isinstance(id, str) else ""


def sound_length_ms(audio: msgspec.Raw, bytes_ms: int) -> int:
    """Return the length of the base64 sound in an event."""
    return sound_ms(audio, bytes_ms)


def _bytes_ms(form: Any) -> int:
    if _member(form, "type") in _PHONE:
        return _PHONE_BYTES_MS
    rate = _member(form, "rate")
    rate = rate if type(rate) is int and 8_000 <= rate <= 48_000 else _DEFAULT_RATE
    return rate * 2 // 1000


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


# ---- the time of a session


class TimeReading(NamedTuple):
    """The session's whole time so far by a usage object, None if it is missing or impossible; and
    the object's flags and unknown members, as in `Quantities`."""

    ms: int | None
    flags: tuple[str, ...]
    unknown: tuple[str, ...]


def read_time(raw: msgspec.Raw) -> TimeReading:
    """Read the usage of a session. Never raises."""
    usage = read_members(bytes(raw) or None, "live")
    if isinstance(usage, Quantities):
        return TimeReading(None, usage.flags, ())
    seconds = _exact.decode(raw).get("seconds")
    ms = _milliseconds(seconds, usage)
    missing = ("usage_missing",) if seconds is None else ()
    return TimeReading(ms, (*sorted(usage.flags), *missing), tuple(usage.unknown))


def _milliseconds(seconds: Any, usage: UsageMembers) -> int | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | Decimal):
        usage.flags.add("usage_not_integer")
        return None
    exact = Decimal(seconds) * 1000
    if not 0 <= exact <= COUNT_MAX:
        usage.flags.add("usage_negative" if exact < 0 else "usage_huge")
        return None
    return int(exact.to_integral_value(ROUND_HALF_EVEN))


# ---- events of ours

CLOSE: Final = b'{"type":"session.close"}'
"""The event that asks for the end of a session."""


def error_event(
    kind: ErrorKind,
    message: str,
    *,
    id: str,
    param: str | None = None,
    code: str | None = None,
    event_id: Any = None,
) -> str:
    """Return an error as an event; `event_id` is the id of the client's event that caused it."""
    row = KINDS[kind]
    error = {"type": row.type, "code": code or row.code, "message": message, "param": param}
    event: dict[str, Any] = {"type": "error", "event_id": f"event_{id}", "error": error}
    if isinstance(event_id, str):
        event["client_event_id"] = error["client_event_id"] = event_id
    return msgspec.json.encode(event).decode()


def error_answer(event: ServerEvent) -> tuple[int, bytes]:
    """Return the status and body of the HTTP response that corresponds to an error event."""
    try:
        error = msgspec.json.decode(event.error)
    except NOT_JSON:
        error = None
    names = (_member(error, "code"), _member(error, "type"))
    statuses = [_STATUS[name] for name in names if isinstance(name, str) and name in _STATUS]
    body = msgspec.json.encode({"error": error if isinstance(error, dict) else {}})
    return (statuses[0] if statuses else 500), body
