"""Write neutral messages as `contents` and `systemInstruction` of the gemini dialect."""

from collections.abc import Iterable
from typing import Any

from dialects.chat.chat import (
    Audio,
    Base64,
    ChatRequest,
    File,
    FileId,
    Image,
    JsonObject,
    OwnPart,
    Part,
    PlainText,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Upstream,
    Url,
    Video,
)
from dialects.chat.events import Seal
from dialects.chat.google_addresses import reads_address
from dialects.chat.google_seals import UNSEALED
from dialects.chat.turns import MergedMessage, call_names, merge_messages, split_system
from dialects.errors.errors import RequestFault
from dialects.gemini.answer.encode import write_seal, write_thought
from dialects.gemini.part_forms import object_of, write_address, write_call, write_data

# `call_` and 24 hex digits are our own ids, which no provider uses (`turns.derive_id`).
_MADE_CHARACTERS = len("call_") + 24
_HEX = frozenset("0123456789abcdef")


def write_contents(
    request: ChatRequest, upstream: Upstream
) -> tuple[JsonObject | None, list[JsonObject]]:
    """Return `systemInstruction`, None without one, and `contents`. System text alone becomes a
    user turn, because contents are required. Raises RequestFault for parts that the dialect cannot
    express, and for results of calls that are not in the history.
    """
    texts, rest = split_system(request.messages)
    writer = _Writer(request, upstream)
    contents = [content for turn in merge_messages(rest) if (content := writer.turn(turn))]
    joined: list[JsonObject] = [{"text": text.text} for text in texts]
    if request.dialect != "gemini" and texts:
        joined = [{"text": "\n\n".join(text.text for text in texts)}]
    if joined and not contents:
        return None, [{"role": "user", "parts": joined}]
    return ({"parts": joined} if joined else None), contents


class _Writer:
    def __init__(self, request: ChatRequest, upstream: Upstream) -> None:
        self._request = request
        self._same = request.dialect == "gemini"
        self._seal_due = "thought_seal_needed" in upstream.flags
        self._names = call_names(request.messages)

    def turn(self, turn: MergedMessage) -> JsonObject | None:
        """Return a turn as a content; None if it would be empty."""
        if turn.role == "assistant":
            parts = self._write_model_turn(turn.parts)
            return {"role": "model", "parts": parts} if parts else None
        parts, pictures = [], []
        for part in turn.parts:
            if isinstance(part, ToolResult):
                parts.append(self._result(part))
                pictures += [inner for inner in part.parts if not isinstance(inner, Text)]
            elif (written := self._part(part)) is not None:
                parts += [*self._parts(pictures), written]
                pictures = []
        parts += self._parts(pictures)
        return {"role": "user", "parts": parts} if parts else None

    def _write_model_turn(self, parts: Iterable[Part]) -> list[JsonObject]:
        written: list[JsonObject] = []
        waiting: Seal | None = None
        for part in parts:
            if isinstance(part, Reasoning):
                seal = part.seal
                if seal is not None and seal.owner == "gemini":
                    written += [] if waiting is None else [write_seal(waiting)]
                    waiting = seal
                if self._same and part.text:
                    # Thoughts of earlier turns are only sent back to their own provider.
                    written.append(write_thought(part.text))
                continue
            body = self._part(part)
            if body is not None and waiting is not None:
                body = body | {"thoughtSignature": waiting.value}
                waiting = None
            written += [] if body is None else [body]
        if waiting is not None:
            written.append(write_seal(waiting))
        if self._seal_due and not any("thoughtSignature" in body for body in written):
            # The model did not make these calls, or their seal was lost.
            for body in written:
                if "functionCall" in body:
                    body["thoughtSignature"] = UNSEALED
        return written

    def _parts(self, parts: Iterable[Part]) -> list[JsonObject]:
        return [body for part in parts if (body := self._part(part)) is not None]

    def _part(self, part: Part) -> JsonObject | None:
        match part:
            case Text(text=text) | Refusal(text=text) | File(source=PlainText(text=text)):
                return {"text": text}
            case ToolCall():
                return write_call(part.name, part.arguments, self._id(part.id))
            case OwnPart():
                return part.value if part.dialect == "gemini" else None
            case Audio(source=FileId()):
                # Sound of an earlier answer is not stored here; its transcript is sent.
                return {"text": part.transcript} if part.transcript else None
            case Image() | Audio() | File() | Video():
                return self._media(part)
            case _:
                return None

    def _media(self, part: Image | Audio | File | Video) -> JsonObject:
        match part.source:
            case Base64(data=data, media_type=media_type):
                return write_data(data, media_type)
            case Url() as source if reads_address(self._request, source):
                return write_address(source.url, source.media_type)
            case _:
                kind = type(part).__name__.lower()
                raise RequestFault(
                    "unsupported_capability",
                    "messages",
                    f"{kind} that is stored elsewhere cannot be sent to this model",
                )

    def _result(self, result: ToolResult) -> JsonObject:
        name = self._names.get(result.call_id) or result.name
        if not name:
            what = "a tool result must answer an earlier call"
            raise RequestFault("invalid_type", "messages", what)
        id_ = self._id(result.call_id)
        text = "\n".join(part.text for part in result.parts if isinstance(part, Text))
        head: dict[str, Any] = {"id": id_} if id_ else {}
        return {"functionResponse": head | {"name": name, "response": _response(result, text)}}

    def _id(self, id_: str) -> str:
        """Return an id only if the client of this dialect sent it, because the provider knows no
        other."""
        derived = (
            len(id_) == _MADE_CHARACTERS and id_.startswith("call_") and _HEX.issuperset(id_[5:])
        )
        return id_ if self._same and not derived else ""


def _response(result: ToolResult, text: str) -> Any:
    if result.failed:
        return {"error": text}
    if not text and not any(isinstance(part, Text) for part in result.parts):
        return {}
    return object_of(text) or {"result": text}
