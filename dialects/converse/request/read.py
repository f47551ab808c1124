"""Read and edit a request of the converse dialect.

Only what the gateway itself uses is checked: the container of the messages, the number that limits
the cost. The provider checks the rest; the body is forwarded unchanged. The model and whether the
answer is streamed are in the path.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import msgspec

from dialects.chat.bounds import OUTPUT_CAP_MAX, SHARE, Bound, check_members
from dialects.chat.media import MediaKind
from dialects.converse.request.decode import GUARDRAIL, STOPS_MAX, refuse_guardrail
from dialects.converse.seals import is_foreign
from dialects.errors.errors import RequestFault
from dialects.json.body import NO_QUIRKS, Body, Quirks, read_body
from dialects.json.members import OWN_FIELDS, Members, check_model, read_array, read_max_cost
from dialects.json.raw_json import starts

_CONFIG: Final = "inferenceConfig"
_CAP: Final = "maxTokens"
_BOUNDS: Final = {"topP": SHARE, "stopSequences": Bound(items=STOPS_MAX)}


@dataclass(frozen=True, slots=True)
class ChatFacts:
    """The facts that the gateway needs before routing, holding and sending a request.

    `output_cap` is the client's limit in tokens, None without one. `text_bytes` is the length of
    the body without its pictures, an upper bound of the tokens of all its text. `media` counts the
    blocks that may cost more tokens than they have bytes, by kind. `foreign`: the history has
    reasoning that another provider has proved. Every answer reports usage and has one choice.
    """

    body: Body
    model: str
    stream: bool
    output_cap: int | None
    text_bytes: int
    media: Mapping[MediaKind, int]
    max_cost_nano: int | None
    foreign: bool = False
    include_usage: ClassVar[bool] = True
    choices: ClassVar[int] = 1
    audio_output: ClassVar[bool] = False
    user: ClassVar[str] = ""


_NULL = msgspec.Raw(b"null")


class _Result(msgspec.Struct):
    content: msgspec.Raw = _NULL


class _Block(msgspec.Struct):
    image: msgspec.Raw = _NULL
    document: msgspec.Raw = _NULL
    video: msgspec.Raw = _NULL
    audio: msgspec.Raw = _NULL
    toolResult: msgspec.Raw = _NULL
    reasoningContent: msgspec.Raw = _NULL


_raws = msgspec.json.Decoder(list[msgspec.Raw])
_block = msgspec.json.Decoder(_Block)
_result = msgspec.json.Decoder(_Result)


def read(raw: bytes, *, model: str, stream: bool) -> ChatFacts:
    """Read a request whose path names `model` and whether it is a `stream`. Raises RequestFault in
    the contract's order: the JSON text, the root, model, the messages, then types (400) and values
    (422). The caller checks whether the model exists.
    """
    body = read_body(raw)
    check_model(model)
    messages = read_array(body, "messages")
    config = _read_config(body)
    cap = config.integer(_CAP, 1, OUTPUT_CAP_MAX)
    check_members(config, _BOUNDS)
    max_cost = read_max_cost(body)
    if body.value(GUARDRAIL) is not None:
        refuse_guardrail({GUARDRAIL: True})
    if not messages:
        raise RequestFault("invalid_value", "messages", "messages must have at least 1 item")
    scanner = _Scanner()
    scanner.read(messages)
    return ChatFacts(
        body=body,
        model=model,
        stream=stream,
        output_cap=cap,
        text_bytes=len(raw) - scanner.picture_bytes,
        media=+scanner.kinds,
        max_cost_nano=max_cost,
        foreign=scanner.foreign,
    )


def edit(facts: ChatFacts, *, output_cap: int | None = None, quirks: Quirks = NO_QUIRKS) -> bytes:
    """Return the body for the upstream: the client's bytes with minimal changes. `output_cap`
    replaces the client's cap; our own fields are removed; `quirks` are the changes to the history.
    """
    body = facts.body
    edits: dict[str, bytes | None] = dict(quirks.edits)
    own = (*OWN_FIELDS, "model", "modelId")
    edits |= dict.fromkeys(name for name in own if name in body.members)
    if output_cap is not None:
        config = read_body(body.value(_CONFIG) or b"{}")
        edits[_CONFIG] = config.splice({_CAP: b"%d" % output_cap})
    return body.splice(edits) if edits else body.raw


def fit(facts: ChatFacts) -> Quirks:
    """Return the edits that remove from the history the reasoning of other providers, whose proof
    this one would refuse."""
    if not facts.foreign:
        return NO_QUIRKS
    messages = msgspec.json.decode(facts.body.value("messages") or b"[]", type=list[dict[str, Any]])
    kept = [
        message | {"content": [block for block in _blocks(message) if not is_foreign(block)]}
        for message in messages
    ]
    written = msgspec.json.encode([message for message in kept if message["content"]])
    return Quirks({"messages": written}, ())


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    return [block for block in content if isinstance(block, dict)] if content else []


def _read_config(body: Body) -> Members:
    """Return the `inferenceConfig`, or an empty one. Each name must be unique, so that the provider
    reads the limits that are checked here.
    """
    raw = body.value(_CONFIG)
    if raw is None:
        return Members({}, _CONFIG)
    if not raw.startswith(b"{"):
        raise RequestFault("invalid_type", _CONFIG, f"{_CONFIG} must be an object")
    read_body(raw)
    return Members(msgspec.json.decode(raw), _CONFIG)


class _Scanner:
    """Counts pictures, sounds, files and videos of messages, and the bytes of the pictures, and
    looks for foreign seals. Invalid shapes are not counted, because the provider refuses them.
    """

    def __init__(self) -> None:
        self.kinds: Counter[MediaKind] = Counter()
        self.picture_bytes = 0
        self.foreign = False

    def read(self, holders: list[msgspec.Raw]) -> None:
        for holder in holders:
            if not starts(holder, b"{"):
                continue
            content = _result.decode(holder).content
            for block in _raws.decode(content) if starts(content, b"[") else ():
                if starts(block, b"{"):
                    self._read_block(block)

    def _read_block(self, raw: msgspec.Raw) -> None:
        block = _block.decode(raw)
        if starts(block.image, b"{"):
            self.kinds["image"] += 1
            self.picture_bytes += len(memoryview(block.image))
        for kind, media in (
            ("file", block.document), ("video", block.video), ("audio", block.audio),
        ):  # fmt: skip
            if starts(media, b"{"):
                self.kinds[kind] += 1  # type: ignore[index]
        self.read([block.toolResult])
        if starts(block.reasoningContent, b"{"):
            self.foreign = self.foreign or is_foreign(msgspec.json.decode(raw))
