"""The events of OpenAI's realtime sessions, read for the usage of a session; they are forwarded
unchanged. Two forms are supported: the generally available one, and its beta.

    client    session.update            the transcription model, and the requested model
              input_audio_buffer.*      sound
              response.create           asks for a response, if turns are not detected
    server    session.created|updated   the formats of sound
              response.created|done     a response begins, and ends with its usage
              *.delta                   its content
"""

from typing import Any, Final, Literal

import msgspec

from dialects.errors.errors import KINDS
from dialects.errors.kinds import ErrorKind
from dialects.json.not_json import NOT_JSON
from dialects.media.passed_answer import PassedAnswer
from dialects.usage.usage import Quantities, UsageMembers, present, read_members

# PCM of 24 kHz, and the companded 8 kHz of telephones.
_PCM_BYTES_MS: Final = 48
_PHONE_BYTES_MS: Final = 8
_PHONE_FORMATS: Final = frozenset({"audio/pcmu", "audio/pcma", "g711_ulaw", "g711_alaw"})
# The length of a token of sound, for input and for output (OpenAI, "Managing costs", 2025-08).
INPUT_TOKEN_MS: Final = 100
SESSION_TYPE: Final = "realtime"
"""The type of a session in the generally available form."""
GA_LIMIT: Final = "max_output_tokens"
BETA_LIMIT: Final = "max_response_output_tokens"
"""The name of a response's output limit in the settings and in a request: in the generally
available form, and in its beta.
"""
OUTPUT_TOKEN_MS: Final = 50

_WORDS: Final = frozenset(
    {
        "response.output_text.delta",
        "response.text.delta",
        "response.output_audio_transcript.delta",
        "response.audio_transcript.delta",
        "response.function_call_arguments.delta",
        "response.mcp_call_arguments.delta",
    }
)
_SOUND: Final = frozenset({"response.output_audio.delta", "response.audio.delta"})
_ENDINGS: Final = {
    "completed": "stop", "incomplete": "length", "cancelled": "cancelled", "failed": "failed",
}  # fmt: skip
_NOTHING: Final = msgspec.Raw()


class ClientEvent(msgspec.Struct, frozen=True):
    """The members of a client's event that are read."""

    type: str = ""
    event_id: Any = None
    session: msgspec.Raw = _NOTHING
    audio: msgspec.Raw = _NOTHING

    @property
    def may_be_answered(self) -> bool:
        """Whether the provider may begin a response after this event: directly, or because the
        event ends a turn."""
        return self.type == "response.create" or self.type.startswith("input_audio_buffer.")


class ServerEvent(msgspec.Struct, frozen=True):
    """The members of a provider's event that are read."""

    type: str = ""
    response_id: str | None = None
    item_id: str | None = None
    delta: msgspec.Raw = _NOTHING
    session: msgspec.Raw = _NOTHING
    response: msgspec.Raw = _NOTHING
    usage: msgspec.Raw = _NOTHING
    error: Any = None

    def error_about(self, event_id: str) -> str | None:
        """Return the message of an error about that event of the client; None for another error."""
        if _member(self.error, "event_id") != event_id:
            return None
        return str(_member(self.error, "message"))


class Response(msgspec.Struct, frozen=True):
    """The object of a response."""

    id: str = ""
    status: str | None = None
    usage: msgspec.Raw = _NOTHING
    status_details: Any = None

    @property
    def raw_usage(self) -> bytes | None:
        """The raw usage object, or None."""
        raw = bytes(self.usage)
        return None if raw in (b"", b"null") else raw

    @property
    def finish_reason(self) -> str:
        """Return the finish reason as records have it; "" for an unknown status."""
        return _ENDINGS.get(self.status or "", "")

    @property
    def failure(self) -> str:
        """Return the error of a failed response; "" if it has not failed."""
        if self.status != "failed":
            return ""
        error = _member(self.status_details, "error")
        spoken = _member(error, "message") or _member(error, "code") or _member(error, "type")
        return spoken if isinstance(spoken, str) else "the response failed"


_client_event = msgspec.json.Decoder(ClientEvent)
_server_event = msgspec.json.Decoder(ServerEvent)
_response = msgspec.json.Decoder(Response)


def read_client_event(raw: bytes) -> ClientEvent:
    """Return a client's event. An unreadable one has no type, and the provider refuses it."""
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


def read_response(event: ServerEvent) -> Response:
    """Return the response in an event. Raises ValueError if it has none."""
    try:
        return _response.decode(event.response)
    except NOT_JSON as error:
        raise ValueError(str(error)) from error


class SessionSettings(msgspec.Struct, frozen=True):
    """The settings of a session that affect its cost, None where unset. The formats are in bytes
    per millisecond of sound; `output_max` is the output limit of a response."""

    model: str | None
    transcription: str | None
    heard_bytes_ms: int | None
    said_bytes_ms: int | None
    output_max: int | Literal["inf"] | None


def read_settings(raw: msgspec.Raw) -> SessionSettings:
    """Read the settings in a session object of a client or a provider; none from an invalid one."""
    try:
        session = msgspec.json.decode(raw)
    except NOT_JSON:
        session = None
    model = _member(session, "model")
    audio = _member(session, "audio")
    input_, spoken = _member(audio, "input"), _member(audio, "output")
    writes = _member(input_, "transcription") or _member(session, "input_audio_transcription")
    written_by = _member(writes, "model")
    return SessionSettings(
        model if isinstance(model, str) else None,
        written_by if isinstance(written_by, str) else None,
        _bytes_ms(_member(input_, "format") or _member(session, "input_audio_format")),
        _bytes_ms(_member(spoken, "format") or _member(session, "output_audio_format")),
        read_limit(_member(session, GA_LIMIT) or _member(session, BETA_LIMIT)),
    )


def quantities(raw: bytes | None) -> Quantities:
    """Convert the usage object of a response to meters. Cached text, sound and pictures are counted
    separately; without these counts, text was cached first.
    """
    opened = read_members(raw, "realtime")
    if isinstance(opened, Quantities):
        return opened
    total, output_tokens = opened.count("input_tokens"), opened.count("output_tokens")
    if total is None or output_tokens is None:
        return opened.missing()
    input_, spoken = opened.nested("input_token_details"), opened.nested("output_token_details")
    output = opened.output_meters(output_tokens, 0, spoken)
    return opened.result(_input_meters(opened, total, input_) | output)


def _input_meters(usage: UsageMembers, total: int, details: dict[str, Any]) -> dict[str, int]:
    cached = usage.count("cached_tokens", details) or 0
    apart = details.get("cached_tokens_details")
    if not cached or not isinstance(apart, dict):
        return usage.input_meters(total, cached, 0, details)
    audio = usage.count("audio_tokens", details) or 0
    image = usage.count("image_tokens", details) or 0
    audio_cached = usage.count("audio_tokens", apart) or 0
    image_cached = usage.count("image_tokens", apart) or 0
    text, text_cached = total - audio - image, cached - audio_cached - image_cached
    if cached > total:
        usage.flags.add("usage_cached_above_input")
    elif text < 0 or not 0 <= text_cached <= text or audio_cached > audio or image_cached > image:
        usage.flags.add("usage_parts_above_total")
    return {"in_text": text - text_cached} | present(
        in_cache_read=text_cached,
        in_audio=audio - audio_cached,
        in_audio_cached=audio_cached,
        in_image=image - image_cached,
        in_image_cached=image_cached,
    )


class SpokenResponse(PassedAnswer):
    """One response in progress. `input_meters` is our own count of its input."""

    def __init__(self) -> None:
        self.input_meters: dict[str, int] = {}
        self.said_bytes_ms = _PCM_BYTES_MS
        # The pieces of text, each of at least one token, and their total length.
        self.pieces = self.text_bytes = 0
        # The received sound, in bytes.
        self._sound_bytes = 0

    def feed(self, chunk: bytes) -> bytes:
        """Events are read by `note`, and forwarded unchanged."""
        return chunk

    def end(self) -> bytes:
        return b""

    def note(self, event: ServerEvent) -> bool:
        """Count the content of an event; return whether there is any."""
        size = max(0, len(bytes(event.delta)) - 2)
        if event.type in _WORDS:
            self.pieces += 1
            self.text_bytes += size
        elif event.type in _SOUND:
            self._sound_bytes += size * 3 // 4
        else:
            return False
        self.begun = True
        return True

    @property
    def sound_ms(self) -> int:
        """Return the length of the sound received so far."""
        return self._sound_bytes // self.said_bytes_ms

    def minimum_output(self) -> dict[str, int]:
        """Return the least output that any count of the received content can have."""
        return present(out_text=self.pieces, out_audio=self.sound_ms // OUTPUT_TOKEN_MS)

    def own_count(self) -> dict[str, int]:
        """Return our own count of the input and of the received output."""
        words = -(-self.text_bytes // 4)
        out = present(out_audio=-(-self.sound_ms // OUTPUT_TOKEN_MS))
        return {"in_text": 0, **self.input_meters, "out_text": words, **out}


def sound_ms(audio: msgspec.Raw, bytes_ms: int) -> int:
    """Return the length of the base64 sound in an event."""
    return max(0, len(bytes(audio)) - 2) * 3 // 4 // bytes_ms


def limit_session(name: str, tokens: int | Literal["inf"]) -> bytes:
    """Return the event that sets the output limit of responses. `name` is the limit's name in the
    form that the session uses."""
    session: dict[str, Any] = {"type": SESSION_TYPE} if name == GA_LIMIT else {}
    session[name] = tokens
    return msgspec.json.encode({"type": "session.update", "session": session})


def limit_tokens(
    raw: bytes, member: str, name: str, tokens: int, of_session: int | Literal["inf"]
) -> bytes:
    """Return a client's event with the output limit set in its object `member`, unless that has a
    lower one. Where it has none, the client's limit `of_session` counts. An event that cannot be
    read is unchanged."""
    try:
        event = msgspec.json.decode(raw)
    except NOT_JSON:
        return raw
    inner = event.get(member) or {}
    if not isinstance(inner, dict):
        return raw
    requested = read_limit(inner.get(name))
    if isinstance(requested, int) and requested <= tokens:
        return raw
    if requested is None and of_session != "inf":
        tokens = min(tokens, of_session)
    event[member] = {**inner, name: tokens}
    return msgspec.json.encode(event)


def cancel(response_id: str) -> bytes:
    """Return the event that cancels a response."""
    return msgspec.json.encode({"type": "response.cancel", "response_id": response_id})


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
    error = {
        "type": row.type,
        "code": code or row.code,
        "message": message,
        "param": param,
        "event_id": event_id if isinstance(event_id, str) else None,
    }
    event = {"type": "error", "event_id": f"event_{id}", "error": error}
    return msgspec.json.encode(event).decode()


def _bytes_ms(form: Any) -> int | None:
    """Return the bytes per millisecond of a format, given by its name or as an object with a
    type.
    """
    name = _member(form, "type") if isinstance(form, dict) else form
    if not isinstance(name, str):
        return None
    return _PHONE_BYTES_MS if name in _PHONE_FORMATS else _PCM_BYTES_MS


def read_limit(value: Any) -> int | Literal["inf"] | None:
    """Return an output limit of responses; None for any other value."""
    if value == "inf":
        return "inf"
    return value if type(value) is int and value > 0 else None


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
