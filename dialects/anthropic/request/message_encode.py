"""Write neutral messages as the turns of the anthropic dialect.

Turns alternate, with tool results first. Reasoning is sent back only with this provider's own seal,
because the provider refuses it otherwise. Pictures of an assistant are sent in the user's next
turn.
"""

import re
from base64 import b64decode
from typing import Final

from dialects.anthropic.answer.encode import (
    CALL_ID_PREFIX,
    read_arguments,
    write_image,
    write_reasoning,
    write_source,
)
from dialects.chat.chat import (
    Audio,
    Base64,
    CacheMark,
    ChatRequest,
    File,
    FileId,
    Image,
    JsonObject,
    Message,
    OwnPart,
    Part,
    PlainText,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from dialects.chat.turns import (
    OPENING,
    MergedMessage,
    call_names,
    derive_id,
    join_reasoning,
    merge_messages,
    split_system,
)
from dialects.errors.errors import RequestFault

_PDF: Final = "application/pdf"
_TEXT_TYPES: Final = frozenset(
    {"application/json", "application/xml", "application/x-yaml", "application/javascript"}
)
_BAD_ID_CHARACTER = re.compile(r"[^A-Za-z0-9_-]")
_BLANK_LINE = "\n\n"


def write_conversation(
    request: ChatRequest, sentence: str = ""
) -> tuple[str | list[JsonObject], list[JsonObject]]:
    """Return `system` ("" for none) and `messages`; `sentence` is added to the system texts. Raises
    RequestFault: `unsupported_capability` for parts that the dialect cannot express,
    `invalid_value` for a conversation without content.
    """
    texts, rest = split_system(request.messages)
    texts = tuple(text for text in texts if text.text.strip())
    if sentence:
        texts = (*texts, Text(sentence))
    turns = _move_pictures(merge_messages(rest))
    writer = _Writer(request)
    messages = [
        message for at, turn in enumerate(turns) if (message := writer.write(turn, at, turns))
    ]
    if not messages:
        if not texts:
            raise RequestFault("invalid_value", "messages", "messages must say something")
        # The dialect requires a turn: a conversation of system texts alone becomes a user turn.
        return "", [{"role": "user", "content": _write_system(texts)}]
    if messages[0]["role"] == "assistant":
        messages.insert(0, {"role": "user", "content": OPENING})
    return _write_system(texts), messages


def lacks_own_thinking(request: ChatRequest) -> bool:
    """Return whether the last assistant turn has tool calls without the thinking that led to
    them.
    """
    turns = merge_messages(split_system(request.messages)[1])
    last = next((turn for turn in reversed(turns) if turn.role == "assistant"), None)
    if last is None or not any(isinstance(part, ToolCall) for part in last.parts):
        return False
    return not any(isinstance(part, Reasoning) and _is_own(part) for part in last.parts)


def write_cache(cache: CacheMark | None) -> JsonObject:
    """Return the member that marks a block for the cache; {} without a mark."""
    if cache is None:
        return {}
    return {"cache_control": {"type": "ephemeral"} | ({"ttl": "1h"} if cache == "1h" else {})}


def _write_system(texts: tuple[Text, ...]) -> str | list[JsonObject]:
    """Return all system texts, joined by blank lines. A cache mark ends a block."""
    blocks: list[JsonObject] = []
    run: list[str] = []
    for text in texts:
        run.append(text.text)
        if text.cache is not None:
            block = {"type": "text", "text": _BLANK_LINE.join(run)}
            blocks.append(block | write_cache(text.cache))
            run = []
    if not blocks:
        return _BLANK_LINE.join(run)
    return [*blocks, {"type": "text", "text": _BLANK_LINE.join(run)}] if run else blocks


def _move_pictures(turns: tuple[MergedMessage, ...]) -> list[MergedMessage]:
    rearranged: list[MergedMessage] = []
    carried: tuple[Part, ...] = ()
    for turn in turns:
        if turn.role == "user":
            results = tuple(part for part in turn.parts if isinstance(part, ToolResult))
            rest = turn.parts[len(results) :]
            rearranged.append(MergedMessage("user", (*results, *carried, *rest)))
            carried = ()
        else:
            carried = tuple(part for part in turn.parts if isinstance(part, Image))
            rest_of_turn = tuple(part for part in turn.parts if not isinstance(part, Image))
            rearranged.append(MergedMessage("assistant", rest_of_turn))
    return [*rearranged, MergedMessage("user", carried)] if carried else rearranged


def _is_own(part: Reasoning) -> bool:
    return part.seal is not None and part.seal.owner == "anthropic"


class _Writer:
    def __init__(self, request: ChatRequest) -> None:
        self._same = request.dialect == "anthropic"
        self._ids = _choose_ids(request.messages, request.request_id)

    def write(self, turn: MergedMessage, at: int, turns: list[MergedMessage]) -> JsonObject | None:
        """Return a turn in the dialect's form; None if the turn would be empty."""
        blocks = [block for part in join_reasoning(turn.parts) if (block := self._block(part))]
        if turn.role == "assistant" and at == len(turns) - 1:
            blocks = _trim(blocks)
        return {"role": turn.role, "content": _shorten(blocks)} if blocks else None

    def _block(self, part: Part) -> JsonObject | None:
        match part:
            case Text(text=text) | Refusal(text=text):
                return self._text(text, getattr(part, "cache", None))
            case Reasoning():
                return write_reasoning(part) if _is_own(part) else None
            case ToolCall(id=id_, name=name, arguments=arguments):
                call = {"type": "tool_use", "id": self._id(id_), "name": name}
                return call | {"input": read_arguments(arguments)}
            case ToolResult():
                return self._result(part)
            case Image(source=source, cache=cache):
                self._check_stored(source)
                return write_image(source) | write_cache(cache)
            case File():
                return self._file(part) | write_cache(part.cache)
            case OwnPart(dialect=dialect, value=value):
                return value if dialect == "anthropic" else None
            case Audio(transcript=text) if text:
                return self._text(text, None)
            case _:
                raise _unsupported(type(part).__name__.lower())

    def _text(self, text: str, cache: CacheMark | None) -> JsonObject | None:
        # The provider refuses a text that is only white space.
        return {"type": "text", "text": text} | write_cache(cache) if text.strip() else None

    def _result(self, result: ToolResult) -> JsonObject:
        body: JsonObject = {"type": "tool_result", "tool_use_id": self._id(result.call_id)}
        blocks = [block for part in result.parts if (block := self._block(part))]
        if blocks:
            body["content"] = _shorten(blocks)
        if result.failed:
            body["is_error"] = True
        return body | write_cache(result.cache)

    def _file(self, file: File) -> JsonObject:
        source = file.source
        named = {"title": file.name} if file.name else {}
        if isinstance(source, PlainText):
            return _write_text_document(source.text) | named
        if isinstance(source, Base64):
            media_type = source.media_type.partition(";")[0].strip().lower()
            if media_type.startswith("image/"):
                return write_image(source)
            if media_type.startswith("text/") or media_type in _TEXT_TYPES:
                return _write_text_document(_read_text(source)) | named
            if media_type != _PDF:
                raise _unsupported(f"a file of the type {media_type}")
        self._check_stored(source)
        return {"type": "document", "source": write_source(source)} | named

    def _check_stored(self, source: Url | Base64 | FileId) -> None:
        if isinstance(source, FileId) and not self._same:
            raise _unsupported("a file stored at another provider")

    def _id(self, id_: str) -> str:
        return self._ids.get(id_) or _BAD_ID_CHARACTER.sub("_", id_)


def _choose_ids(messages: tuple[Message, ...], request_id: str) -> dict[str, str]:
    """Return a valid id for each call; two calls never share one."""
    chosen: dict[str, str] = {}
    used: set[str] = set()
    for id_ in call_names(messages):
        fitting = _BAD_ID_CHARACTER.sub("_", id_)
        if fitting in used:
            fitting = derive_id(CALL_ID_PREFIX, request_id, id_)
        used.add(fitting)
        chosen[id_] = fitting
    return chosen


def _trim(blocks: list[JsonObject]) -> list[JsonObject]:
    """Remove white space from the end of a prefilled answer, which the provider does not accept
    there."""
    last = blocks[-1] if blocks else {}
    if last.get("type") != "text":
        return blocks
    return [*blocks[:-1], last | {"text": last["text"].rstrip()}]


def _shorten(blocks: list[JsonObject]) -> str | list[JsonObject]:
    """Return the blocks as a plain string if they are a single text without further members."""
    match blocks:
        case [{"type": "text", "text": str(text), **rest}] if not rest:
            return text
        case _:
            return blocks


def _write_text_document(text: str) -> JsonObject:
    source = {"type": "text", "media_type": "text/plain", "data": text}
    return {"type": "document", "source": source}


def _read_text(source: Base64) -> str:
    try:
        return b64decode(source.data).decode("utf-8-sig")
    except ValueError:
        raise RequestFault("invalid_type", "messages", "a text file must be UTF-8") from None


def _unsupported(what: str) -> RequestFault:
    return RequestFault("unsupported_capability", "messages", f"this model cannot read {what}")
