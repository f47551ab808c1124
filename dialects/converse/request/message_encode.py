"""Write neutral messages as the turns of the converse dialect.

Turns alternate, with tool results first. Reasoning is not sent back: no model but Claude needs it,
and Claude is asked in its own dialect.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Final

from dialects.chat.chat import (
    Audio,
    Base64,
    CacheMark,
    ChatRequest,
    File,
    FileId,
    Image,
    JsonObject,
    Part,
    PlainText,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Url,
    Video,
)
from dialects.chat.turns import (
    OPENING,
    MergedMessage,
    call_names,
    derive_id,
    merge_messages,
    split_system,
)
from dialects.converse.forms import DOCUMENTS, IMAGES, SOUNDS, VIDEOS
from dialects.errors.errors import RequestFault
from dialects.json.raw_json import value_of

_BAD_ID_CHARACTER: Final = re.compile(r"[^A-Za-z0-9_.:-]")
_ID_MAX: Final = 64
_ID_PREFIX: Final = "tooluse_"
_BAD_NAME_CHARACTERS: Final = re.compile(r"[^A-Za-z0-9()\[\]-]+")
_NAME_MAX: Final = 200


def write_conversation(
    request: ChatRequest, sentence: str, *, marks: bool
) -> tuple[list[JsonObject], list[JsonObject]]:
    """Return `system` and `messages`; `sentence` is added to the system texts. `marks`: the model
    understands cache points. Raises RequestFault.
    """
    texts, rest = split_system(request.messages)
    texts = tuple(text for text in texts if text.text.strip())
    if sentence:
        texts = (*texts, Text(sentence))
    writer = _Writer(request, marks=marks)
    messages = [turn for merged in merge_messages(rest) if (turn := writer.write(merged))]
    system = [block for text in texts for block in writer.marked({"text": text.text}, text.cache)]
    if not messages:
        if not system:
            raise RequestFault("invalid_value", "messages", "messages must say something")
        # The dialect requires a turn: a conversation of system texts alone becomes a user turn.
        return [], [{"role": "user", "content": system}]
    if messages[0]["role"] == "assistant":
        messages.insert(0, {"role": "user", "content": [{"text": OPENING}]})
    return system, messages


class _Writer:
    def __init__(self, request: ChatRequest, *, marks: bool) -> None:
        self._marks = marks
        self._ids = _choose_ids(request)
        self._documents = 0

    def write(self, turn: MergedMessage) -> JsonObject | None:
        """Return a turn in the dialect's form; None if the turn would be empty."""
        blocks: list[JsonObject] = []
        for part in turn.parts:
            block = self._block(part)
            if block is not None:
                blocks += self.marked(block, getattr(part, "cache", None))
        return {"role": turn.role, "content": blocks} if blocks else None

    def marked(self, block: JsonObject, cache: CacheMark | None) -> list[JsonObject]:
        """Return a block, followed by the cache point up to which the prompt is cached."""
        return [block, *write_cache(cache)] if self._marks else [block]

    def _block(self, part: Part) -> JsonObject | None:
        match part:
            case Text(text=text) | Refusal(text=text):
                # The provider refuses a text that is only white space.
                return {"text": text} if text.strip() else None
            case ToolCall(id=id_, name=name, arguments=arguments):
                call = {"toolUseId": self._ids[id_], "name": name}
                return {"toolUse": call | {"input": _read_arguments(arguments)}}
            case ToolResult():
                return self._result(part)
            case Audio(source=Base64() as source):
                return {"audio": _write_media(source, "audio/", SOUNDS)}
            case Audio(transcript=text) if text:
                return {"text": text}
            case Image(source=Base64() as source):
                return _write_image(source)
            case Video(source=Base64() as source):
                return {"video": _write_media(source, "video/", VIDEOS)}
            case File():
                return self._file(part)
            case Image(source=source) | Video(source=source) | Audio(source=source):
                raise _unsupported(_source_name(source))
        return None

    def _result(self, result: ToolResult) -> JsonObject:
        blocks = [block for part in result.parts if (block := self._block(part))]
        body: JsonObject = {"toolUseId": self._ids.get(result.call_id) or _fit_id(result.call_id)}
        body["content"] = blocks or [{"json": {}}]
        if result.failed:
            body["status"] = "error"
        return {"toolResult": body}

    def _file(self, file: File) -> JsonObject:
        source = file.source
        if isinstance(source, PlainText):
            data, kind = b64encode(source.text.encode()).decode(), "txt"
        elif isinstance(source, Base64):
            media_type = source.media_type.partition(";")[0].strip().lower()
            if media_type.startswith("image/"):
                return _write_image(source)
            text = "txt" if media_type.startswith("text/") else None
            known = DOCUMENTS.get(media_type, text)
            if known is None:
                raise _unsupported(f"a file of the type {media_type}")
            data, kind = source.data, known
        else:
            raise _unsupported(_source_name(source))
        self._documents += 1
        # Each document needs a different name with few permitted characters.
        own = _BAD_NAME_CHARACTERS.sub(" ", file.name.rpartition(".")[0] or file.name).strip()
        name = f"{own[: _NAME_MAX - 10] or 'document'} {self._documents}"
        return {"document": {"format": kind, "name": name, "source": {"bytes": data}}}


def write_cache(cache: CacheMark | None) -> list[JsonObject]:
    """Return the cache point for a cache mark; nothing without a mark."""
    if cache is None:
        return []
    return [{"cachePoint": {"type": "default"} | ({"ttl": "1h"} if cache == "1h" else {})}]


def _choose_ids(request: ChatRequest) -> dict[str, str]:
    """Return a valid id for each call; two calls never share one."""
    chosen: dict[str, str] = {}
    used: set[str] = set()
    for id_ in call_names(request.messages):
        fitting = _fit_id(id_)
        if fitting in used or len(id_) > _ID_MAX:
            fitting = derive_id(_ID_PREFIX, request.request_id, id_)
        used.add(fitting)
        chosen[id_] = fitting
    return chosen


def _fit_id(id_: str) -> str:
    return _BAD_ID_CHARACTER.sub("_", id_)[:_ID_MAX]


def _read_arguments(text: str) -> JsonObject:
    """Return the arguments of a call as an object, which the dialect requires."""
    value = value_of(text.encode()) if text.strip() else {}
    return value if isinstance(value, dict) else {"arguments": text}


def _write_image(source: Base64) -> JsonObject:
    kind = source.media_type.partition(";")[0].strip().lower().removeprefix("image/")
    kind = "jpeg" if kind == "jpg" else kind
    if kind not in IMAGES:
        raise _unsupported(f"an image of the type {source.media_type}")
    return {"image": {"format": kind, "source": {"bytes": source.data}}}


def _write_media(source: Base64, prefix: str, kinds: Mapping[str, str]) -> JsonObject:
    kind = source.media_type.partition(";")[0].strip().lower().removeprefix(prefix)
    if kind not in kinds:
        raise _unsupported(f"media of the type {source.media_type}")
    return {"format": kinds[kind], "source": {"bytes": source.data}}


def _source_name(source: Url | Base64 | FileId) -> str:
    return "a URL" if isinstance(source, Url) else "a file stored at another provider"


def _unsupported(what: str) -> RequestFault:
    return RequestFault("unsupported_capability", "messages", f"this model cannot read {what}")
