"""The messages of Google's live sessions (BidiGenerateContent), read for the usage of a session;
they are forwarded unchanged, except for the setup and the handles of resumption.

    client    setup               the model, the settings, and perhaps the handle of a session
              clientContent       turns; with turnComplete they are answered
              realtimeInput       sound, pictures and text; answered when a turn ends
              toolResponse        results, after which the answer continues
    server    setupComplete       the session begins
              serverContent       the answer's content, and the end of its turn
              toolCall            calls of functions
              usageMetadata       what was used since the usage before it
              sessionResumptionUpdate, goAway

Clients spell members in camel case or in snake case. Google reports errors in the code and the
reason of the close frame (ai.google.dev, "Live API"; the official client google-genai 3.3,
2026-11).
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dialects.errors.errors import RequestFault
from dialects.gemini.answer.grounding import count_searches, read_queries
from dialects.gemini.usage import with_searches
from dialects.json.body import check_nested_names, read_body
from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import as_text, dicts, members_of, object_of
from dialects.realtime.realtime import SpokenResponse
from dialects.upstream_errors.google_errors import account_fault
from dialects.usage.usage import present

OUTPUT_LIMIT: Final = "maxOutputTokens"
# The least length of a token of sound: 32 tokens a second are counted, or fewer.
INPUT_TOKEN_MS: Final = 31
# A token of spoken sound: 25 a second.
OUTPUT_TOKEN_MS: Final = 40
# PCM of 16 bit: 16 kHz unless its type says another rate; answers have 24 kHz.
_RATE: Final = re.compile(r"rate=(\d{4,6})")
_PCM_RATE: Final = 16_000
SAID_BYTES_MS: Final = 48
_MODEL: Final = re.compile(r"(?:.*/)?models/(.+)|([^/]+)", re.DOTALL)
_NOTHING: Final = msgspec.Raw()
_CAPITAL: Final = re.compile(r"_([a-z])")
# Close codes (RFC 6455, section 7.4) that carry Google's errors.
_INVALID, _POLICY, _FAILED, _LATER = 1007, 1008, 1011, 1013
# Kinds of messages that do not change the settings of a session by themselves.
_KINDS: Final = frozenset({"clientContent", "realtimeInput", "toolResponse"})
_ABSENT: Final = re.compile(r"not found|not supported for bidi", re.IGNORECASE)
_QUOTA: Final = re.compile(r"quota|exhausted|rate limit", re.IGNORECASE)
_ACCESS: Final = re.compile(r"api key|permission|credential|denied|leaked|billing", re.IGNORECASE)


class Setup(msgspec.Struct, frozen=True):
    """The setup of a session: its members in camel case, the requested model, the output limit of a
    response, and the handle of an earlier session; None if unset.
    """

    members: dict[str, Any]
    model: str
    output_max: int | None
    handle: str | None

    def encode(self, model: str, output_max: int | None, handle: str | None) -> bytes:
        """Return the message for the provider, with its name of the model and this output limit."""
        members = {**self.members, "model": f"models/{model}"}
        if output_max is not None:
            config = object_of(members.get("generationConfig"))
            members["generationConfig"] = {**config, OUTPUT_LIMIT: output_max}
        if handle is not None:
            resumed = object_of(members.get("sessionResumption"))
            members["sessionResumption"] = {**resumed, "handle": handle}
        return msgspec.json.encode({"setup": members})


def read_setup(raw: bytes) -> Setup:
    """Read the first message of a client. Raises RequestFault for anything but a setup."""
    read_body(raw)
    check_nested_names(raw)
    message = msgspec.json.decode(raw)
    if set(message) != {"setup"} or not isinstance(message["setup"], dict):
        raise RequestFault("missing_parameter", "setup", "the first message must be the setup")
    return setup_of(read_members(message["setup"], "setup"))


def read_members(setup: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return the members of a setup in camel case, after checking those that are read here. Raises
    RequestFault."""
    members = camel_members(setup, place)
    for name in ("generationConfig", "sessionResumption"):
        own = members.get(name)
        if isinstance(own, dict):
            members[name] = camel_members(own, f"{place}.{name}")
        elif own is not None:
            raise RequestFault("invalid_type", f"{place}.{name}", f"{name} must be an object")
    limit = object_of(members.get("generationConfig")).get(OUTPUT_LIMIT)
    if limit is not None and (type(limit) is not int or limit < 1):
        name = f"{place}.generationConfig.{OUTPUT_LIMIT}"
        raise RequestFault("invalid_value", name, f"{OUTPUT_LIMIT} must be a positive integer")
    return members


def setup_of(members: dict[str, Any]) -> Setup:
    """Return the setup that has the members `read_members` returned. Raises RequestFault."""
    model = model_of(members)
    if not model:
        raise RequestFault("missing_parameter", "setup.model", "setup.model is required")
    limit = object_of(members.get("generationConfig")).get(OUTPUT_LIMIT)
    handle = object_of(members.get("sessionResumption")).get("handle")
    return Setup(members, model, limit, as_text(handle) or None)


def model_of(members: Mapping[str, Any]) -> str:
    """Return the model that a setup names, "" for none."""
    named = _MODEL.fullmatch(as_text(members.get("model")))
    return "" if named is None else named[1] or named[2]


def camel_members(members: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return the members with their names in camel case. Raises RequestFault for a member in both
    spellings."""
    result: dict[str, Any] = {}
    for name, value in members.items():
        camel = camel_name(name)
        if camel in result:
            path = f"{place}.{camel}" if place else camel
            raise RequestFault("invalid_value", path, f"{path} is there twice")
        result[camel] = value
    return result


class ClientMessage(msgspec.Struct, frozen=True):
    """The members of a client's message that are read, as `read_client_message` finds them.
    `sound_ms` and `pictures` are upper bounds; `other_bytes` is the size of everything else.
    `may_set`: it may change settings of the session, because it is of an unknown kind, a
    contextUpdate, or content in the role of the system.
    """

    kind: str
    answered_at_once: bool = False
    may_be_answered: bool = False
    sound_ms: int = 0
    pictures: int = 0
    other_bytes: int = 0
    tools: msgspec.Raw = _NOTHING
    may_set: bool = False


def read_client_message(raw: bytes) -> ClientMessage:
    """Read a message after the setup. Raises RequestFault for a second setup, and for anything but
    a JSON object."""
    try:
        message = msgspec.json.decode(raw)
    except NOT_JSON:
        message = None
    if not isinstance(message, dict):
        raise RequestFault("malformed_json", None, "a message must be a JSON object")
    body = {camel_name(name): value for name, value in message.items()}
    if "setup" in body:
        raise RequestFault("invalid_value", "setup", "setup is the first message only")
    kind = next(iter(body), "")
    may_set = not body.keys() <= _KINDS
    if kind == "realtimeInput":
        return _read_input(object_of(body[kind]), len(raw), may_set=may_set)
    content = {
        camel_name(name): value for name, value in object_of(body.get("clientContent")).items()
    }
    asks = content.get("turnComplete") is True
    update = {
        camel_name(name): value for name, value in object_of(body.get("contextUpdate")).items()
    }
    return ClientMessage(
        kind,
        answered_at_once=asks,
        may_be_answered=asks or kind not in ("clientContent", "contextUpdate"),
        other_bytes=len(raw),
        tools=msgspec.Raw(msgspec.json.encode(_tools_of(update))),
        may_set=may_set or _speaks_for_system(content.get("turns")),
    )


def _speaks_for_system(turns: Any) -> bool:
    listed = dicts(turns) if isinstance(turns, list) else dicts([turns])
    return any(turn.get("role") not in (None, "user", "model") for turn in listed)


def _tools_of(update: Mapping[str, Any]) -> Any:
    tools = update.get("tools")
    return tools.get("tools") if isinstance(tools, dict) else tools


def _read_input(members: Mapping[str, Any], size: int, *, may_set: bool) -> ClientMessage:
    sound_ms = pictures = blob_bytes = 0
    for name, value in members.items():
        for blob in dicts(value) if isinstance(value, list) else dicts([value]):
            data = as_text(blob.get("data"))
            kind = as_text(blob.get("mimeType") or blob.get("mime_type"))
            if not data:
                continue
            blob_bytes += len(data)
            if kind.startswith("audio/") or camel_name(name) == "audio":
                sound_ms += _sound_ms(len(data) * 3 // 4, kind)
            else:
                pictures += 1
    return ClientMessage(
        "realtimeInput",
        may_be_answered=True,
        sound_ms=sound_ms,
        pictures=pictures,
        other_bytes=size - blob_bytes,
        may_set=may_set,
    )


def _sound_ms(size: int, kind: str) -> int:
    rate = _RATE.search(kind)
    return size * 1000 // (2 * (int(rate[1]) if rate else _PCM_RATE))


class _Content(msgspec.Struct, frozen=True, rename="camel"):
    model_turn: msgspec.Raw = _NOTHING
    turn_complete: bool | None = None
    interrupted: bool | None = None
    output_transcription: msgspec.Raw = _NOTHING
    grounding_metadata: msgspec.Raw = _NOTHING


class _Resumption(msgspec.Struct, frozen=True, rename="camel"):
    new_handle: str | None = None


class ServerMessage(msgspec.Struct, frozen=True, rename="camel"):
    """The members of a provider's message that are read."""

    setup_complete: msgspec.Raw = _NOTHING
    server_content: _Content | None = None
    tool_call: msgspec.Raw = _NOTHING
    usage_metadata: msgspec.Raw = _NOTHING
    go_away: msgspec.Raw = _NOTHING
    session_resumption_update: _Resumption | None = None

    @property
    def is_setup(self) -> bool:
        """Whether the session begins."""
        return _is_present(self.setup_complete)

    @property
    def calls_functions(self) -> bool:
        """Whether functions of the client are called."""
        return _is_present(self.tool_call)

    @property
    def has_output(self) -> bool:
        """Whether the message has content of an answer."""
        content = self.server_content
        said = content is not None and (
            _is_present(content.model_turn) or _is_present(content.output_transcription)
        )
        return said or self.calls_functions

    @property
    def ends_turn(self) -> bool:
        """Whether the turn is over."""
        return self.server_content is not None and self.server_content.turn_complete is True

    @property
    def interrupts(self) -> bool:
        """Whether the client has interrupted the answer."""
        return self.server_content is not None and self.server_content.interrupted is True

    @property
    def says_goodbye(self) -> bool:
        """Whether the provider is about to close the connection."""
        return _is_present(self.go_away)

    @property
    def usage(self) -> bytes | None:
        """The raw usage object, or None."""
        return bytes(self.usage_metadata) if _is_present(self.usage_metadata) else None

    @property
    def handle(self) -> str | None:
        """The handle with which the session can be resumed."""
        update = self.session_resumption_update
        return None if update is None else update.new_handle or None


_server_message = msgspec.json.Decoder(ServerMessage)


def read_server_message(raw: bytes) -> ServerMessage:
    """Return a provider's message. Raises ValueError for anything that is not one."""
    try:
        return _server_message.decode(raw)
    except NOT_JSON as error:
        raise ValueError(str(error)) from error


def with_handle(raw: bytes, handle: str) -> bytes:
    """Return a provider's message with another handle."""
    message = msgspec.json.decode(raw)
    message["sessionResumptionUpdate"]["newHandle"] = handle
    return msgspec.json.encode(message)


def session_id(message: ServerMessage) -> str:
    """Return the provider's id of the session that begins; "" if it has none."""
    return as_text(members_of(message.setup_complete).get("sessionId"))


class LiveResponse(SpokenResponse):
    """The answer since the last usage. Sound is counted by its length, text by its words."""

    def __init__(self) -> None:
        super().__init__()
        self.said_bytes_ms = SAID_BYTES_MS
        self._queries: list[str] = []

    def note_message(self, message: ServerMessage) -> bool:
        """Count the content of a message; return whether there is any."""
        content = message.server_content
        if content is not None:
            self._queries += read_queries(content.grounding_metadata)
            for part in dicts(members_of(content.model_turn).get("parts")):
                self._note_part(part)
        if message.calls_functions:
            self._note_text(len(bytes(message.tool_call)))
        self.begun = self.begun or message.has_output
        return message.has_output

    def _note_part(self, part: Mapping[str, Any]) -> None:
        blob = object_of(part.get("inlineData"))
        if blob:
            self._sound_bytes += len(as_text(blob.get("data"))) * 3 // 4
        elif text := as_text(part.get("text")):
            self._note_text(len(text.encode()))

    def _note_text(self, size: int) -> None:
        self.pieces += 1
        self.text_bytes += size

    def searches(self, model: str) -> int:
        """Return the number of searches as the model bills them."""
        return count_searches(len(self._queries), model)

    def own_count(self) -> dict[str, int]:
        words = -(-self.text_bytes // 4)
        out = present(out_audio=-(-self.sound_ms // OUTPUT_TOKEN_MS))
        return {"in_text": 0, **self.input_meters, "out_text": words, **out}

    def counted_usage(self, usage: bytes, model: str) -> bytes:
        """Return the usage object with the number of searches added, which the provider reports
        elsewhere."""
        return with_searches(usage, self.searches(model))


def status_of_close(code: int, reason: str) -> int:
    """Return the HTTP status of the error that a close frame reports; 0 if it reports none."""
    if code not in (_INVALID, _POLICY, _FAILED, _LATER):
        return 0
    # A wrong key closes like an invalid message, and its reason tells them apart.
    about_account = account_fault(400, {"message": reason})
    if about_account is not None:
        return 402 if about_account[1] == "F9" else 401
    if _QUOTA.search(reason):
        return 429
    if _ABSENT.search(reason):
        return 404
    if code == _POLICY and _ACCESS.search(reason):
        return 403
    return {_INVALID: 400, _POLICY: 400, _FAILED: 500, _LATER: 503}[code]


def error_body(status: int, reason: str) -> bytes:
    """Return the error of a close as the body of a response."""
    return msgspec.json.encode({"error": {"code": status, "message": reason}})


def camel_name(name: str) -> str:
    """Return the name of a member, or a path, in camel case."""
    return _CAPITAL.sub(lambda match: match[1].upper(), name)


def _is_present(raw: msgspec.Raw) -> bool:
    return bytes(raw) not in (b"", b"null")
