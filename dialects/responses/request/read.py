"""Read and edit a responses request.

Only what the gateway itself uses is checked: model, stream, the container of the input, the numbers
that limit the cost, and the files. The provider checks the rest.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import msgspec

from dialects.chat.bounds import LOGPROBS, OUTPUT_CAP_MAX, SHARE, TEMPERATURE, check_bounds
from dialects.chat.chat import Base64, JsonObject, Url
from dialects.chat.media import MediaKind, check_size, read_url
from dialects.errors.errors import RequestFault
from dialects.json.body import NO_QUIRKS, Body, Quirks, read_body
from dialects.json.members import (
    Members,
    edit_body,
    read_max_cost,
    read_model,
    read_user,
    small_members,
)
from dialects.json.raw_json import is_present, starts
from dialects.responses.summary import MARK, read_summary, summary_message

OUTPUT_CAP_MIN: Final = 16

_CAP: Final = "max_output_tokens"
_SMALL: Final = ("model", "stream", _CAP, "previous_response_id", "store", "background")
# As the encoder of answers writes them (`items_decode.write_mark`, `turns.derive_id`).
_MARKS: Final = (b'"anthropic:', b'"gemini:')
_SUMMARY: Final = f'"{MARK}'.encode()
_COMPACTIONS: Final = (b'"compaction"', b'"compaction_summary"')
_OWN_ID = re.compile(rb'"rs_[0-9a-f]{24}"')
_WHOLE_TEXT = re.compile(r"text/|application/(?:json|xml)")
# Members that can replace `input`: a stored prompt, an earlier response.
_INSTEAD: Final = ("prompt", "previous_response_id")
_UNSEEN: Final = ("prompt", "previous_response_id", "conversation")


@dataclass(frozen=True, slots=True)
class ChatFacts:
    """The facts that the gateway needs before routing, holding and sending a request.

    `output_cap` is the client's limit in tokens, None without one. `text_bytes` is the length of
    the body without its pictures and binary files, an upper bound of the tokens of all its text.
    `media` counts the content parts that may cost more tokens than they have bytes, by kind.
    `max_cost_nano` is our own field. `compact`: the body is one of /responses/compact, which has
    neither streams nor a cap. `previous_response_id` and `references` (ids of items that do not
    precede them in the input) name stored objects; `unseen_input`: the model will read more than
    the body contains: these, a stored prompt, a conversation. `store` is False if the client
    forbids storing the answer. `background` asks for an answer that is fetched later. `foreign` are
    the positions of input items with another provider's reasoning, which means nothing to this
    dialect's; `summaries` are those of compactions that we made. `include_usage` and `choices` are
    constant, because every answer in this dialect reports usage and has one choice; so is
    `audio_output`.
    """

    body: Body
    model: str
    stream: bool
    output_cap: int | None
    user: str
    text_bytes: int
    media: Mapping[MediaKind, int]
    max_cost_nano: int | None
    compact: bool
    previous_response_id: str | None
    references: tuple[str, ...]
    unseen_input: bool
    store: bool
    background: bool
    foreign: tuple[int, ...] = ()
    summaries: tuple[int, ...] = ()
    include_usage: ClassVar[bool] = True
    choices: ClassVar[int] = 1
    audio_output: ClassVar[bool] = False


_NULL = msgspec.Raw(b"null")


class _Part(msgspec.Struct):
    type: msgspec.Raw = _NULL
    image_url: msgspec.Raw = _NULL
    input_audio: msgspec.Raw = _NULL
    file_url: msgspec.Raw = _NULL
    file_data: msgspec.Raw = _NULL
    file_id: msgspec.Raw = _NULL


class _Item(msgspec.Struct):
    type: msgspec.Raw = _NULL
    id: msgspec.Raw = _NULL
    role: msgspec.Raw = _NULL
    content: msgspec.Raw = _NULL
    output: msgspec.Raw = _NULL
    encrypted_content: msgspec.Raw = _NULL


_BOUNDS: Final = {"temperature": TEMPERATURE, "top_p": SHARE, "top_logprobs": LOGPROBS}
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_item = msgspec.json.Decoder(_Item)
_part = msgspec.json.Decoder(_Part)


def read(raw: bytes, *, compact: bool = False) -> ChatFacts:
    """Read a request, or with `compact` one of /responses/compact. Raises RequestFault in the
    contract's order: the JSON text, the root, model, the input, then types (400), files (400, 413,
    422; `file_id` 501: there is no file store), then values (422). The caller checks whether the
    model exists.
    """
    body = read_body(raw)
    small = small_members(body, _SMALL)
    model = read_model(small)
    items = _read_input(body)
    stream = bool(small.boolean("stream")) and not compact
    previous = small.text("previous_response_id")
    store = small.boolean("store")
    background = bool(small.boolean("background"))
    max_cost_nano = read_max_cost(body)
    scanner = _InputScanner()
    for i, item in enumerate(items):
        scanner.read(i, item)
    cap = None if compact else small.integer(_CAP, OUTPUT_CAP_MIN, OUTPUT_CAP_MAX)
    check_bounds(body, _BOUNDS)
    return ChatFacts(
        body=body,
        model=model,
        stream=stream,
        output_cap=cap,
        user=read_user(body),
        text_bytes=len(raw) - scanner.binary_bytes,
        media=+scanner.kinds,
        max_cost_nano=max_cost_nano,
        compact=compact,
        previous_response_id=previous,
        references=tuple(scanner.references),
        unseen_input=bool(scanner.references)
        or any(body.value(name) is not None for name in _UNSEEN),
        store=store is not False,
        background=background,
        foreign=tuple(scanner.foreign),
        summaries=tuple(scanner.summaries),
    )


def edit(
    facts: ChatFacts,
    upstream_model: str,
    *,
    output_cap: int | None = None,
    quirks: Quirks = NO_QUIRKS,
) -> bytes:
    """Return the body for the upstream: the client's bytes with minimal changes. The model gets its
    upstream name. Our own fields are removed. `output_cap`, in tokens, replaces the client's cap (a
    compaction has none). `quirks` are those of the model.
    """
    edits: dict[str, bytes | None] = dict(quirks.edits)
    if facts.foreign or facts.summaries:
        items = _raws.decode(facts.body.value("input") or b"[]")
        own = [
            _message_of(item) if i in facts.summaries else item
            for i, item in enumerate(items)
            if i not in facts.foreign
        ]
        edits["input"] = msgspec.json.encode(own)
    if output_cap is not None and not facts.compact:
        edits[_CAP] = b"%d" % max(output_cap, OUTPUT_CAP_MIN)
    return edit_body(facts.body, upstream_model, edits)


def _read_input(body: Body) -> list[msgspec.Raw]:
    """Return the items of the input; [] if it is a text or stored elsewhere."""
    raw = body.value("input")
    if raw is None:
        if any(body.value(name) is not None for name in _INSTEAD):
            return []
        raise RequestFault("missing_parameter", "input", "input is required")
    if raw.startswith(b'"'):
        return []
    if not raw.startswith(b"["):
        raise RequestFault("invalid_type", "input", "input must be a string or an array")
    return _raws.decode(raw)


class _InputScanner:
    """Counts pictures, sounds and files, and checks the files. Parts are identified by their
    members too and not by `type` alone, which might appear twice and be read differently by the
    provider. Other invalid shapes are not counted, because the provider refuses them.
    """

    def __init__(self) -> None:
        self.kinds: Counter[MediaKind] = Counter()
        self.binary_bytes = 0
        self.references: list[str] = []
        self.foreign: list[int] = []
        self.summaries: list[int] = []
        self._ids: set[bytes] = set()
        self._file_bytes = 0

    def read(self, i: int, raw: msgspec.Raw) -> None:
        if not starts(raw, b"{"):
            return
        item, path = _item.decode(raw), f"input[{i}]"
        if bytes(item.type) == b'"reasoning"' and _is_foreign(item):
            self.foreign.append(i)
        elif bytes(item.encrypted_content).startswith(_SUMMARY) and _is_summary(item):
            self.summaries.append(i)
        if starts(item.id, b'"'):
            self._read_id(item)
        for name, content in (("content", item.content), ("output", item.output)):
            for place, part in _parts(f"{path}.{name}", content):
                self._read_part(place, part)

    def _read_id(self, item: _Item) -> None:
        kind, id_ = bytes(item.type), bytes(item.id)
        refers = kind == b'"item_reference"' or (kind == b"null" and not is_present(item.role))
        if not refers:
            self._ids.add(id_)
        elif id_ not in self._ids:
            self.references.append(msgspec.json.decode(id_))

    def _read_part(self, path: str, part: _Part) -> None:
        kind = bytes(part.type)
        if is_present(part.image_url) or kind == b'"input_image"':
            self.kinds["image"] += 1
            self.binary_bytes += _size(part.image_url)
        elif kind == b'"input_file"' or is_present(part.file_data) or is_present(part.file_url):
            self.kinds["file"] += 1
            self._read_file(path, part)
        elif is_present(part.input_audio):
            self.kinds["audio"] += 1

    def _read_file(self, path: str, part: _Part) -> None:
        file = Members({name: _text_or_odd(getattr(part, name)) for name in FILE_SOURCES}, path)
        source = read_file_source(file)
        if isinstance(source, Url):
            return
        self._file_bytes += len(source.data) * 3 // 4
        check_size("input", self._file_bytes)
        if not _WHOLE_TEXT.match(source.media_type):
            self.binary_bytes += len(source.data)


def _is_foreign(item: _Item) -> bool:
    """Return whether reasoning is another provider's: by its mark, or without a seal by our own
    id.
    """
    sealed = bytes(item.encrypted_content)
    if sealed == b"null":
        return _OWN_ID.fullmatch(bytes(item.id)) is not None
    return sealed.startswith(_MARKS)


def _is_summary(item: _Item) -> bool:
    """Return whether we created a compaction."""
    kind = bytes(item.type)
    return (
        kind in _COMPACTIONS
        and read_summary(msgspec.json.decode(item.encrypted_content)) is not None
    )


def _message_of(raw: msgspec.Raw) -> JsonObject | None:
    """Return the message that one of our compactions represents."""
    return summary_message(msgspec.json.decode(_item.decode(raw).encrypted_content))


FILE_SOURCES: Final = ("file_url", "file_data", "file_id")


def read_file_source(file: Members) -> Url | Base64:
    """Return the source of an `input_file`. Raises RequestFault unless it has exactly one source: a
    valid http(s) URL, or a data URL in base64 of permitted size. file_id is not_implemented,
    because there is no file store.
    """
    sources = [name for name in FILE_SOURCES if file.has(name)]
    if not sources:
        file.refuse("missing_parameter", "file_url", "or file_data is required")
    if len(sources) > 1:
        file.refuse_value(sources[1], f"cannot be combined with {sources[0]}")
    (name,) = sources
    value = file.required(name, file.text(name))
    if name == "file_id":
        raise RequestFault("not_implemented", None, "")
    if name == "file_url":
        if not value.lower().startswith(("https://", "http://")):
            file.refuse_value(name, "must be an http or https address")
        return Url(value)
    source = read_url(value, file.at(name))
    if not isinstance(source, Base64):
        file.refuse("invalid_type", name, "must be a base64 data URL")
    return source


def _parts(path: str, content: msgspec.Raw) -> Iterator[tuple[str, _Part]]:
    if starts(content, b"{"):
        yield path, _part.decode(content)
    elif starts(content, b"["):
        for j, part in enumerate(_raws.decode(content)):
            if starts(part, b"{"):
                yield f"{path}[{j}]", _part.decode(part)


def _text_or_odd(raw: msgspec.Raw) -> Any:
    """Return a text; anything else becomes a number, which is refused by its type."""
    if not is_present(raw):
        return None
    return msgspec.json.decode(raw) if starts(raw, b'"') else 0


def _size(raw: msgspec.Raw) -> int:
    return len(memoryview(raw)) if is_present(raw) else 0
