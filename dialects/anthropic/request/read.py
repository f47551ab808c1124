"""Read and edit a request of the anthropic dialect.

Only what the gateway itself uses is checked: model, stream, the container of the messages, the
number that limits the cost. The provider checks the rest; the body is forwarded unchanged.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from dialects.anthropic.request.foreign_thoughts import is_foreign
from dialects.chat.bounds import OUTPUT_CAP_MAX, SHARE, check_bounds
from dialects.chat.media import MediaKind
from dialects.errors.errors import RequestFault
from dialects.json.body import NO_QUIRKS, Body, Quirks, read_body
from dialects.json.members import (
    Members,
    edit_body,
    read_array,
    read_max_cost,
    read_model,
    small_members,
    storable_user,
)
from dialects.json.raw_json import is_present, starts


@dataclass(frozen=True, slots=True)
class ChatFacts:
    """The facts that the gateway needs before routing, holding and sending a request.

    `output_cap` is the client's limit in tokens; None only in a request to count tokens.
    `text_bytes` is the length of the body without its pictures. It is an upper bound of the text's
    tokens, because a token has at least one byte, and JSON escapes only lengthen the text. `media`
    counts the blocks that may cost more tokens than they have bytes, by kind. `max_cost_nano` is
    our own field. `foreign` tells whether the history contains another provider's thoughts,
    `system_turns` whether it has system messages. In this dialect every answer reports usage, has
    one choice and no audio.
    """

    body: Body
    model: str
    stream: bool
    output_cap: int | None
    user: str
    text_bytes: int
    media: Mapping[MediaKind, int]
    max_cost_nano: int | None
    foreign: bool = False
    system_turns: bool = False
    include_usage: ClassVar[bool] = True
    choices: ClassVar[int] = 1
    audio_output: ClassVar[bool] = False


_NULL = msgspec.Raw(b"null")


class _Source(msgspec.Struct):
    content: msgspec.Raw = _NULL


class _Block(msgspec.Struct):
    """A message or block that may contain pictures, and the blocks inside it."""

    type: msgspec.Raw = _NULL
    role: msgspec.Raw = _NULL
    source: msgspec.Raw = _NULL
    content: msgspec.Raw = _NULL
    signature: msgspec.Raw = _NULL


_BOUNDS = {"temperature": SHARE, "top_p": SHARE}
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_block = msgspec.json.Decoder(_Block)
_source = msgspec.json.Decoder(_Source)


def read(raw: bytes) -> ChatFacts:
    """Read a request for an answer. Raises RequestFault in the contract's order: the JSON text, the
    root, model, required members, then types (400), then values (422). The caller checks whether
    the model exists.
    """
    return _read(raw, counting=False)


def read_counting(raw: bytes) -> ChatFacts:
    """Read a request to count its tokens: as `read`, but without `max_tokens` and `stream`."""
    return _read(raw, counting=True)


def edit(
    facts: ChatFacts,
    upstream_model: str,
    *,
    output_cap: int | None = None,
    quirks: Quirks = NO_QUIRKS,
) -> bytes:
    """Return the body for the upstream: the client's bytes with minimal changes. The model gets its
    upstream name, our own fields are removed, and `output_cap`, in tokens, replaces the client's
    cap; `quirks` are the changes to the history.
    """
    edits: dict[str, bytes | None] = dict(quirks.edits)
    if output_cap is not None:
        edits["max_tokens"] = b"%d" % output_cap
    return edit_body(facts.body, upstream_model, edits)


def _read(raw: bytes, *, counting: bool) -> ChatFacts:
    body = read_body(raw)
    members = small_members(body, ("model", "stream", "max_tokens", "metadata"))
    model = read_model(members)
    messages = read_array(body, "messages")
    output_cap, stream = None, False
    if not counting:
        _refuse_thread(body)
        members.required("max_tokens", members.value.get("max_tokens"))
        stream = bool(members.boolean("stream"))
        output_cap = members.integer("max_tokens", 1, OUTPUT_CAP_MAX)
        check_bounds(body, _BOUNDS)
    max_cost_nano = read_max_cost(body)
    if not messages:
        raise RequestFault("invalid_value", "messages", "messages must have at least 1 item")
    media, picture_bytes, foreign, system_turns = _count_media(messages)
    return ChatFacts(
        body=body,
        model=model,
        stream=stream,
        output_cap=output_cap,
        user=_read_user(members),
        text_bytes=len(raw) - picture_bytes,
        media=media,
        max_cost_nano=max_cost_nano,
        foreign=foreign,
        system_turns=system_turns,
    )


def _refuse_thread(body: Body) -> None:
    """Refuse a conversation thread, which is stored in one account of one provider. Another account
    would answer without the thread, a hold could not cover its input, and another team's thread
    would be accessible. Official clients continue without a thread after the refusal."""
    if body.value("thread") is not None:
        what = "thread is not supported: send the whole conversation in `messages`"
        raise RequestFault("thread_unsupported", "thread", what)


def _read_user(members: Members) -> str:
    """Return the end user's id, safe to store. The provider checks a value that is not text."""
    metadata = members.value.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    return storable_user(user) if isinstance(user, str) else ""


def _count_media(messages: list[msgspec.Raw]) -> tuple[Counter[MediaKind], int, bool, bool]:
    """Count pictures and documents at any depth, and the bytes of the pictures; also return whether
    there is a foreign seal, and whether there is a system message. A block with a `source` is a
    picture if its type says so, else a document. Invalid shapes are not counted, because the
    provider refuses them.
    """
    kinds: Counter[MediaKind] = Counter()
    picture_bytes, foreign, system_turns = 0, False, False
    for block in _blocks(messages):
        system_turns = system_turns or bytes(block.role) == b'"system"'
        if block.signature is not _NULL and starts(block.signature, b'"'):
            foreign = foreign or is_foreign(msgspec.json.decode(block.signature))
        if not is_present(block.source):
            continue
        if bytes(block.type) == b'"image"':
            kinds["image"] += 1
            picture_bytes += len(memoryview(block.source))
        else:
            kinds["file"] += 1
    return kinds, picture_bytes, foreign, system_turns


def _blocks(items: list[msgspec.Raw]) -> Iterator[_Block]:
    """Yield the blocks inside these messages or blocks, at any depth (a body nests at most 64)."""
    for item in items:
        if not starts(item, b"{"):
            continue
        block = _block.decode(item)
        yield block
        yield from _blocks(_items(block.content))
        if starts(block.source, b"{"):
            yield from _blocks(_items(_source.decode(block.source).content))


def _items(content: msgspec.Raw) -> list[msgspec.Raw]:
    if starts(content, b"["):
        return _raws.decode(content)
    return [content] if starts(content, b"{") else []
