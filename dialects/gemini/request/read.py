"""Read and edit a generateContent request of the gemini dialect.

Only what the gateway itself uses is checked: the container of the contents, the numbers that limit
the cost. The provider checks the rest; the body is forwarded unchanged. The model and whether the
answer is streamed are in the path, so that the body needs no change for them.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import msgspec

from dialects.chat.bounds import (
    CHOICES_MAX,
    LOGPROBS,
    OUTPUT_CAP_MAX,
    PENALTY,
    SHARE,
    TEMPERATURE,
    Bound,
    check_members,
)
from dialects.chat.chat import JsonObject
from dialects.chat.google_seals import read_signature
from dialects.chat.media import MediaKind
from dialects.errors.errors import RequestFault
from dialects.gemini.names import camel, spelling
from dialects.gemini.request.decode import STOPS_MAX
from dialects.json.body import NO_QUIRKS, Body, Quirks, read_body
from dialects.json.members import OWN_FIELDS, Members, check_model, read_array, read_max_cost
from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import starts, value_of

_CONFIG: Final = "generationConfig"
_CAP: Final = "maxOutputTokens"
_THINKING: Final = "thinkingConfig"
_MEDIA_KINDS: Final[Mapping[str, MediaKind]] = {
    "image": "image",
    "audio": "audio",
    "video": "video",
}


@dataclass(frozen=True, slots=True)
class ChatFacts:
    """The facts that the gateway needs before routing, holding and sending a request.

    `output_cap` is the client's limit in tokens for one candidate, None without one. `text_bytes`
    is the length of the body without its pictures, an upper bound of the tokens of all its text.
    `media` counts the parts that may cost more tokens than they have bytes, by kind.
    `audio_output`: the answer may contain sound. `max_cost_nano` is our own field. `foreign`: the
    history has another provider's seals; `calls`: it has calls. Usage is always reported, and the
    dialect names no end user.
    """

    body: Body
    model: str
    stream: bool
    output_cap: int | None
    choices: int
    text_bytes: int
    media: Mapping[MediaKind, int]
    audio_output: bool
    max_cost_nano: int | None
    foreign: bool = False
    calls: bool = False
    include_usage: ClassVar[bool] = True
    user: ClassVar[str] = ""


_NULL = msgspec.Raw(b"null")


class _Part(msgspec.Struct):
    inlineData: msgspec.Raw = _NULL
    inline_data: msgspec.Raw = _NULL
    fileData: msgspec.Raw = _NULL
    file_data: msgspec.Raw = _NULL
    functionResponse: msgspec.Raw = _NULL
    function_response: msgspec.Raw = _NULL
    functionCall: msgspec.Raw = _NULL
    function_call: msgspec.Raw = _NULL
    thoughtSignature: msgspec.Raw = _NULL
    thought_signature: msgspec.Raw = _NULL


class _Holder(msgspec.Struct):
    parts: msgspec.Raw = _NULL


class _Typed(msgspec.Struct):
    mimeType: msgspec.Raw = _NULL
    mime_type: msgspec.Raw = _NULL


_BOUNDS: Final = {
    "temperature": TEMPERATURE,
    "topP": SHARE,
    "presencePenalty": PENALTY,
    "frequencyPenalty": PENALTY,
    "logprobs": LOGPROBS,
    "stopSequences": Bound(items=STOPS_MAX),
}
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_part = msgspec.json.Decoder(_Part)
_holder = msgspec.json.Decoder(_Holder)
_typed = msgspec.json.Decoder(_Typed)


def read(raw: bytes, *, model: str, stream: bool) -> ChatFacts:
    """Read a request whose path names `model` and whether it is a `stream`. Raises RequestFault in
    the contract's order: the JSON text, the root, model, the contents, then types (400) and values
    (422). The caller checks whether the model exists.
    """
    body = read_body(raw)
    check_model(model)
    contents = _read_contents(body)
    config = read_config(body)
    cap = config.integer(_CAP, 1, OUTPUT_CAP_MAX)
    choices = config.integer("candidateCount", 1, CHOICES_MAX)
    check_members(config, _BOUNDS)
    max_cost = read_max_cost(body)
    system = body.value(spelling(body, "systemInstruction"))
    scanner = _ContentsScanner()
    scanner.read([*contents, msgspec.Raw(system or b"null")])
    return ChatFacts(
        body=body,
        model=model,
        stream=stream,
        output_cap=cap,
        choices=1 if choices is None else choices,
        text_bytes=len(raw) - scanner.picture_bytes,
        media=+scanner.kinds,
        audio_output=_requests_audio(config),
        max_cost_nano=max_cost,
        foreign=scanner.foreign,
        calls=scanner.calls,
    )


def edit(
    facts: ChatFacts,
    upstream_model: str,
    *,
    output_cap: int | None = None,
    thinking: JsonObject | None = None,
    quirks: Quirks = NO_QUIRKS,
) -> bytes:
    """Return the body for the upstream: the client's bytes with minimal changes. `output_cap`, in
    tokens for one candidate, replaces the client's cap; `thinking` (of a model's suffix,
    `thinking.suffix_thinking`) replaces its thinkingConfig. Our own field is removed. The path
    determines the model; a model in the body must be the same. `quirks` are the changes to the
    history.
    """
    body = facts.body
    edits: dict[str, bytes | None] = dict(quirks.edits)
    edits |= dict.fromkeys(name for name in OWN_FIELDS if name in body.members)
    named = value_of(body.value("model")) if "model" in body.members else None
    if named is not None and named not in (upstream_model, f"models/{upstream_model}"):
        edits["model"] = msgspec.json.encode(f"models/{upstream_model}")
    changed: dict[str, bytes | None] = {}
    if output_cap is not None:
        changed[_CAP] = b"%d" % output_cap
    if thinking is not None:
        changed[_THINKING] = msgspec.json.encode(thinking)
    if changed:
        name = spelling(body, _CONFIG)
        config = read_body(body.value(name) or b"{}")
        edits[name] = config.splice(
            {spelling(config, member): value for member, value in changed.items()}
        )
    return body.splice(edits) if edits else body.raw


def read_config(body: Body) -> Members:
    """Return the `generationConfig`, or an empty one. Each name must be unique, so that the
    provider reads the limits that are checked here.
    """
    raw = body.value(spelling(body, _CONFIG))
    if raw is None:
        return Members({}, _CONFIG)
    if not raw.startswith(b"{"):
        raise RequestFault("invalid_type", _CONFIG, f"{_CONFIG} must be an object")
    read_body(raw)
    try:
        value: dict[str, Any] = msgspec.json.decode(raw)
    except NOT_JSON as fault:
        raise RequestFault("malformed_json", None, str(fault)) from None
    return camel(Members(value, _CONFIG))


def _read_contents(body: Body) -> list[msgspec.Raw]:
    raw = body.value("contents")
    if raw is not None and raw.startswith(b"{"):
        return [msgspec.Raw(raw)]
    contents = read_array(body, "contents")
    if not contents:
        raise RequestFault("invalid_value", "contents", "contents must have at least 1 item")
    return contents


def _requests_audio(config: Members) -> bool:
    modalities = config.value.get("responseModalities")
    words = modalities if isinstance(modalities, list) else []
    named = any(isinstance(word, str) and word.upper() == "AUDIO" for word in words)
    return named or config.has("speechConfig")


class _ContentsScanner:
    """Counts pictures, sounds, files and videos of contents, and the bytes of the pictures, and
    looks for calls and foreign seals. Parts are identified by their members. Invalid shapes are not
    counted, because the provider refuses them.
    """

    def __init__(self) -> None:
        self.kinds: Counter[MediaKind] = Counter()
        self.picture_bytes = 0
        self.foreign = False
        self.calls = False

    def read(self, holders: list[msgspec.Raw]) -> None:
        for holder in holders:
            if starts(holder, b"{"):
                for part in _parts(_holder.decode(holder).parts):
                    self._read_part(part)

    def _read_part(self, part: _Part) -> None:
        for blob in (part.inlineData, part.inline_data, part.fileData, part.file_data):
            if starts(blob, b"{"):
                kind = _kind(blob)
                self.kinds[kind] += 1
                self.picture_bytes += len(memoryview(blob)) if kind == "image" else 0
        self.read([part.functionResponse, part.function_response])
        if part.functionCall is not _NULL or part.function_call is not _NULL:
            self.calls = True
        for seal in (part.thoughtSignature, part.thought_signature):
            if seal is not _NULL and starts(seal, b'"'):
                owner = read_signature(msgspec.json.decode(seal)).owner
                self.foreign = self.foreign or owner != "gemini"


def _kind(blob: msgspec.Raw) -> MediaKind:
    typed = _typed.decode(blob)
    for raw in (typed.mimeType, typed.mime_type):
        word = msgspec.json.decode(raw) if starts(raw, b'"') else ""
        if word:
            return _MEDIA_KINDS.get(word.partition("/")[0].lower(), "file")
    # Only videos may be named without their type.
    return "video"


def _parts(raw: msgspec.Raw) -> list[_Part]:
    items = [raw] if starts(raw, b"{") else _raws.decode(raw) if starts(raw, b"[") else []
    return [_part.decode(item) for item in items if starts(item, b"{")]
