"""Read and edit a request of the interactions dialect.

Only what the gateway itself uses is checked: model, stream, the container of the input, the numbers
that limit the cost. The provider checks the rest. What no channel can do is refused: agents, their
environments, webhooks, the continuation of a long answer by its token. Background interactions are
refused where state is looked up.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import msgspec

from dialects.chat.bounds import OUTPUT_CAP_MAX, SHARE, TEMPERATURE, Bound, check_members
from dialects.chat.chat import JsonObject
from dialects.chat.google_seals import UNSEALED, read_signature
from dialects.chat.media import MediaKind
from dialects.errors.errors import RequestFault
from dialects.json.body import NO_QUIRKS, Body, Quirks, read_body
from dialects.json.members import Members, edit_body, read_max_cost, read_model, small_members
from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import starts, value_of

PREVIOUS: Final = "previous_interaction_id"
STOPS_MAX: Final = 5

_CONFIG: Final = "generation_config"
_CAP: Final = "max_output_tokens"
_SMALL: Final = ("model", "stream", PREVIOUS, "store", "background")
_NOT_OFFERED: Final = (
    "agent", "agent_config", "environment", "webhook_config", "continuation_token",
)  # fmt: skip
_BOUNDS: Final = {
    "temperature": TEMPERATURE,
    "top_p": SHARE,
    "stop_sequences": Bound(items=STOPS_MAX),
}
_KINDS: Final[Mapping[bytes, MediaKind]] = {
    b'"image"': "image",
    b'"audio"': "audio",
    b'"video"': "video",
    b'"document"': "file",
}


@dataclass(frozen=True, slots=True)
class ChatFacts:
    """The facts that the gateway needs before routing, holding and sending a request.

    `output_cap` is the client's limit in tokens, None without one. `text_bytes` is the length of
    the body without its pictures, an upper bound of the tokens of all its text. `media` counts the
    contents that may cost more tokens than they have bytes, by kind. `audio_output`: the answer may
    contain sound. `max_cost_nano` is our own field. `previous_response_id` is the interaction that
    the request continues; `unseen_input`: the model will read more than the body contains. `store`
    is False if the client forbids storing the answer; `background` asks for an answer that is
    fetched later. `foreign` are the positions of thoughts of other providers. The dialect has one
    choice, always reports usage, names no end user, has no references and no compactions.
    """

    body: Body
    model: str
    stream: bool
    output_cap: int | None
    text_bytes: int
    media: Mapping[MediaKind, int]
    audio_output: bool
    max_cost_nano: int | None
    previous_response_id: str | None
    unseen_input: bool
    store: bool
    background: bool
    foreign: tuple[int, ...] = ()
    include_usage: ClassVar[bool] = True
    choices: ClassVar[int] = 1
    user: ClassVar[str] = ""
    references: ClassVar[tuple[str, ...]] = ()
    compact: ClassVar[bool] = False


_NULL = msgspec.Raw(b"null")


class _Step(msgspec.Struct):
    type: msgspec.Raw = _NULL
    content: msgspec.Raw = _NULL
    result: msgspec.Raw = _NULL
    signature: msgspec.Raw = _NULL


_raws = msgspec.json.Decoder(list[msgspec.Raw])
_step = msgspec.json.Decoder(_Step)


def read(raw: bytes) -> ChatFacts:
    """Read a request. Raises RequestFault in the contract's order: the JSON text, the root, what is
    not offered, model, the input, then types (400) and values (422). The caller checks whether the
    model exists.
    """
    body = read_body(raw)
    _refuse_agents(body)
    small = small_members(body, _SMALL)
    model = read_model(small)
    steps = _read_input(body)
    stream = bool(small.boolean("stream"))
    previous = small.text(PREVIOUS)
    store, background = small.boolean("store"), bool(small.boolean("background"))
    config = read_config(body)
    cap = config.integer(_CAP, 1, OUTPUT_CAP_MAX)
    check_members(config, _BOUNDS)
    max_cost = read_max_cost(body)
    scanner = _Scanner()
    scanner.read_steps(steps)
    return ChatFacts(
        body=body,
        model=model,
        stream=stream,
        output_cap=cap,
        text_bytes=len(raw) - scanner.picture_bytes,
        media=+scanner.kinds,
        audio_output=_requests_audio(body, config),
        max_cost_nano=max_cost,
        previous_response_id=previous,
        unseen_input=previous is not None or body.value("cached_content") is not None,
        store=store is not False,
        background=background,
        foreign=tuple(scanner.foreign),
    )


def edit(
    facts: ChatFacts,
    upstream_model: str,
    *,
    output_cap: int | None = None,
    thinking: JsonObject | None = None,
    quirks: Quirks = NO_QUIRKS,
) -> bytes:
    """Return the body for the upstream: the client's bytes with minimal changes. The model gets its
    upstream name, our own fields and thoughts of other providers are removed. `output_cap`, in
    tokens, replaces the client's cap; `thinking` (of a model's suffix) its members.
    """
    body = facts.body
    edits: dict[str, bytes | None] = dict(quirks.edits)
    if facts.foreign:
        steps = _raws.decode(body.value("input") or b"[]")
        own = [step for i, step in enumerate(steps) if i not in facts.foreign]
        edits["input"] = msgspec.json.encode(own)
    changed = {name: msgspec.json.encode(value) for name, value in (thinking or {}).items()}
    if output_cap is not None:
        changed[_CAP] = b"%d" % output_cap
    if changed:
        config = read_body(body.value(_CONFIG) or b"{}")
        edits[_CONFIG] = config.splice(changed)
    return edit_body(body, upstream_model, edits)


def read_config(body: Body) -> Members:
    """Return the `generation_config`, or an empty one. Each name must be unique, so that the
    provider reads the limits that are checked here.
    """
    raw = body.value(_CONFIG)
    if raw is None:
        return Members({}, _CONFIG)
    if not raw.startswith(b"{"):
        raise RequestFault("invalid_type", _CONFIG, f"{_CONFIG} must be an object")
    read_body(raw)
    try:
        value: dict[str, Any] = msgspec.json.decode(raw)
    except NOT_JSON as fault:
        raise RequestFault("malformed_json", None, str(fault)) from None
    return Members(value, _CONFIG)


def _refuse_agents(body: Body) -> None:
    for name in _NOT_OFFERED:
        if body.value(name) is not None:
            what = f"{name} is not offered: name a model, and send its input with each request"
            raise RequestFault("unsupported_capability", name, what)


def _read_input(body: Body) -> list[msgspec.Raw]:
    """Return the steps or contents of the input; [] if it is a text or stored elsewhere."""
    raw = body.value("input")
    if raw is None:
        if body.value(PREVIOUS) is not None:
            return []
        raise RequestFault("missing_parameter", "input", "input is required")
    if raw.startswith(b'"'):
        return []
    if raw.startswith(b"{"):
        return [msgspec.Raw(raw)]
    if not raw.startswith(b"["):
        what = "input must be a string, an object or an array"
        raise RequestFault("invalid_type", "input", what)
    return _raws.decode(raw)


def _requests_audio(body: Body, config: Members) -> bool:
    forms = value_of(body.value("response_format"))
    rows = forms if isinstance(forms, list) else [forms]
    words = value_of(body.value("response_modalities"))
    return (
        config.has("speech_config")
        or (isinstance(words, list) and "audio" in words)
        or any(isinstance(row, dict) and row.get("type") == "audio" for row in rows)
    )


class _Scanner:
    """Counts pictures, sounds, documents and videos, and looks for foreign thoughts. Invalid shapes
    are not counted, because the provider refuses them.
    """

    def __init__(self) -> None:
        self.kinds: Counter[MediaKind] = Counter()
        self.picture_bytes = 0
        self.foreign: list[int] = []

    def read_steps(self, steps: list[msgspec.Raw]) -> None:
        for i, raw in enumerate(steps):
            if not starts(raw, b"{"):
                continue
            step = self._read(raw)
            if bytes(step.type) == b'"thought"' and _is_foreign(step.signature):
                self.foreign.append(i)
            for content in (*_items(step.content), *_items(step.result)):
                self._read(content)

    def _read(self, raw: msgspec.Raw) -> _Step:
        step = _step.decode(raw)
        kind = _KINDS.get(bytes(step.type))
        if kind is not None:
            self.kinds[kind] += 1
            self.picture_bytes += len(memoryview(raw)) if kind == "image" else 0
        return step


def _items(raw: msgspec.Raw) -> Iterator[msgspec.Raw]:
    if starts(raw, b"["):
        yield from (item for item in _raws.decode(raw) if starts(item, b"{"))


def _is_foreign(signature: msgspec.Raw) -> bool:
    if not starts(signature, b'"'):
        return False
    text = msgspec.json.decode(signature)
    return text not in ("", UNSEALED) and read_signature(text).owner != "gemini"
