"""Decode the messages of the openai dialect into neutral form: history and whole answers.

The seals of reasoning are attached to tool calls, because clients send those back:

    tool_calls[k].extra_content.google.thought_signature      Gemini's seal of call k
    tool_calls[k].extra_content.{anthropic|openai}.reasoning  [{characters, value, redacted?, id?}]
        the reasoning that led to call k: how many characters of `reasoning_content` each takes
"""

from collections.abc import Callable
from typing import Any

from dialects.chat.chat import (
    Audio,
    CacheMark,
    File,
    FileId,
    Image,
    Message,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Video,
)
from dialects.chat.custom_tools import write_arguments
from dialects.chat.events import Seal, SealOwner, Source
from dialects.chat.media import audio_type, read_base64, read_url, type_of_name
from dialects.chat.turns import derive_id
from dialects.json.members import Members
from dialects.json.raw_json import as_text

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_SEALERS: tuple[SealOwner, ...] = ("anthropic", "openai")


def read_messages(body: Members, request_id: str) -> tuple[Message, ...]:
    """Return the conversation. Raises RequestFault, also for a tool result without an earlier
    call."""
    items = body.array("messages")
    if not body.required("messages", items):
        body.refuse_value("messages", "must have at least 1 item")
    reader = _Reader(request_id)
    return tuple(reader.read(message) for message in body.objects("messages"))


class _Reader:
    """Reads the messages in order and remembers their calls."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._calls: dict[str, str] = {}
        self._ids_derived = 0

    def read(self, message: Members) -> Message:
        role = message.required("role", message.word("role", _ROLES))
        if role in ("tool", "function"):
            return Message("tool", (self._read_result(message, role),))
        if role == "assistant":
            parts = self._read_assistant(message)
            return Message("assistant", parts, message.text("name"), read_citations(message))
        parts = tuple(read_content(message, texts_only=role != "user"))
        return Message(_role(role), parts, message.text("name"))

    def _read_result(self, message: Members, role: str) -> ToolResult:
        parts = read_content(message, texts_only=True)
        texts = tuple(part for part in parts if isinstance(part, Text))
        if role == "function":
            name = message.required("name", message.text("name"))
            answered = [id_ for id_, called in self._calls.items() if called == name]
            if not answered:
                message.refuse("invalid_type", "name", "must be that of an earlier call")
            return ToolResult(answered[-1], texts)
        call_id = message.required("tool_call_id", message.text("tool_call_id"))
        if call_id not in self._calls:
            message.refuse("invalid_type", "tool_call_id", "must be the id of an earlier call")
        return ToolResult(call_id, texts)

    def _read_assistant(self, message: Members) -> tuple[Part, ...]:
        calls = message.objects("tool_calls")
        parts = read_content(message, texts_only=False)
        if refusal := message.text("refusal"):
            parts.append(Refusal(refusal))
        if audio := message.object("audio"):
            parts.append(Audio(FileId(audio.required("id", audio.text("id")))))
        parts += read_images(message)
        seals = [read_seals(call) for call in calls]
        thought = message.text("reasoning_content") or message.text("reasoning") or ""
        before = split_reasoning(thought, seals)
        for call, reasoning in zip(calls, before[1:], strict=True):
            parts += [*reasoning, self._read_call(call, call.required("id", call.text("id")))]
        if old := message.object("function_call"):
            parts.append(self._call(old, self._make_id()))
        return (*before[0], *parts)

    def _read_call(self, call: Members, id_: str) -> ToolCall:
        if call.value.get("type") != "custom":
            return self._call(call.required("function", call.object("function")), id_)
        custom = call.required("custom", call.object("custom"))
        name = custom.required("name", custom.text("name"))
        self._calls[id_] = name
        return ToolCall(id_, name, write_arguments(custom.text("input") or ""))

    def _call(self, function: Members, id_: str) -> ToolCall:
        name = function.required("name", function.text("name"))
        self._calls[id_] = name
        return ToolCall(id_, name, function.text("arguments") or "")

    def _make_id(self) -> str:
        self._ids_derived += 1
        return derive_id("call_", self._request_id, "function_call", self._ids_derived)


def _role(role: str) -> Role:
    if role == "developer":
        return "developer"
    return "system" if role == "system" else "user"


def read_content(message: Members, *, texts_only: bool) -> list[Part]:
    """Return the parts of `content`, which may be a string, a list or null; an empty string has
    none.
    """
    content = message.value.get("content")
    if isinstance(content, str):
        return [Text(content)] if content else []
    if content is not None and not isinstance(content, list):
        message.refuse_type("content", "a string or an array")
    parts = [_read_part(part) for part in message.objects("content")]
    for i, part in enumerate(parts):
        if texts_only and not isinstance(part, Text):
            message.refuse_value(f"content[{i}]", "must be text in a message of this role")
    return parts


def _read_part(part: Members) -> Part:
    kind = part.required("type", part.text("type"))
    read = _PARTS.get(kind)
    if read is None:
        part.refuse_value("type", "must be one of " + ", ".join(_PARTS))
    return read(part)


def _read_text(part: Members) -> Text:
    return Text(part.required("text", part.text("text")), _read_cache(part))


def _read_refusal(part: Members) -> Refusal:
    return Refusal(part.required("refusal", part.text("refusal")))


def _read_image(part: Members) -> Image:
    if isinstance(part.value.get("image_url"), str):
        path = part.at("image_url")
        return Image(read_url(part.value["image_url"], path), None, _read_cache(part))
    image = part.required("image_url", part.object("image_url"))
    source = read_url(image.required("url", image.text("url")), image.at("url"))
    return Image(source, image.text("detail"), _read_cache(part))


def _read_audio(part: Members) -> Audio:
    audio = part.required("input_audio", part.object("input_audio"))
    data = audio.required("data", audio.text("data"))
    if data.startswith(("http:", "https:", "data:")):
        return Audio(read_url(data, audio.at("data")))
    named = audio.required("format", audio.text("format"))
    return Audio(read_base64(data, audio_type(named), audio.at("data")))


def _read_file(part: Members) -> File:
    file = part.required("file", part.object("file"))
    name = file.text("filename") or ""
    if id_ := file.text("file_id"):
        return File(FileId(id_), name, _read_cache(part))
    data = file.required("file_data", file.text("file_data"))
    path = file.at("file_data")
    if data.startswith(("http:", "https:", "data:")):
        return File(read_url(data, path), name, _read_cache(part))
    return File(read_base64(data, type_of_name(name), path), name, _read_cache(part))


def _read_video(part: Members) -> Video:
    video = part.required("video_url", part.object("video_url"))
    return Video(read_url(video.required("url", video.text("url")), video.at("url")))


_PARTS: dict[str, Callable[[Members], Part]] = {
    "text": _read_text,
    "image_url": _read_image,
    "input_audio": _read_audio,
    "file": _read_file,
    "video_url": _read_video,
    "refusal": _read_refusal,
}


def _read_cache(part: Members) -> CacheMark | None:
    mark = part.object("cache_control")
    if mark is None:
        return None
    return "1h" if mark.value.get("ttl") == "1h" else "5m"


def read_images(message: Members) -> list[Image]:
    """Read the pictures of an answer, which are in `images` outside the content."""
    return [_read_image(image) for image in message.objects("images")]


def read_citations(message: Members) -> tuple[Source, ...]:
    """Return the sources in `annotations`; an end of 0 means an unknown position."""
    citations = [annotation.object("url_citation") for annotation in message.objects("annotations")]
    return tuple(read_source(citation.value) for citation in citations if citation is not None)


def read_source(citation: dict[str, Any]) -> Source:
    """Read one url_citation, with members of any type."""
    start, end = citation.get("start_index"), citation.get("end_index")
    known = isinstance(start, int) and isinstance(end, int) and end > 0
    return Source(
        url=as_text(citation.get("url")),
        title=as_text(citation.get("title")),
        start=start if known else None,
        end=end if known else None,
    )


Sealed = list[tuple[int, Seal | None]]


def read_seals(call: Members) -> Sealed:
    """Return the reasoning attached to a tool call: each piece's length in characters and its seal.
    A client may have changed it: anything unreadable is ignored.
    """
    extra = call.value.get("extra_content")
    if not isinstance(extra, dict):
        return []
    sealed: Sealed = []
    for owner in _SEALERS:
        own = extra.get(owner)
        entries = own.get("reasoning") if isinstance(own, dict) else None
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and (_size(entry) or _seal(owner, entry)):
                sealed.append((_size(entry), _seal(owner, entry)))
    google = extra.get("google")
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    if isinstance(signature, str):
        sealed.append((0, Seal("gemini", signature)))
    return sealed


def _seal(owner: SealOwner, entry: dict[str, Any]) -> Seal | None:
    value = entry.get("value")
    if not isinstance(value, str):
        return None
    return Seal(owner, value, entry.get("redacted") is True, as_text(entry.get("id")))


def _size(entry: dict[str, Any]) -> int:
    size = entry.get("characters")
    return size if isinstance(size, int) and size > 0 else 0


def split_reasoning(text: str, sealed: list[Sealed]) -> list[list[Reasoning]]:
    """Return the reasoning at the start of the message, then that right before each call. If the
    lengths do not match the text, only Gemini's seals are kept, because every other seal is valid
    only for its exact words."""
    if sum(size for seals in sealed for size, _ in seals) > len(text):
        sealed = [[(0, s) for _, s in seals if s and s.owner == "gemini"] for seals in sealed]
    head: list[Reasoning] = []
    before, at = [head], 0
    for place, seals in enumerate(sealed):
        parts: list[Reasoning] = []
        for size, seal in seals:
            # Reasoning before the first call belongs to the head of the message, but Gemini's seals
            # belong to their call.
            here = head if place == 0 and not (seal and seal.owner == "gemini") else parts
            here.append(Reasoning(text[at : at + size], seal))
            at += size
        before.append(parts)
    if at < len(text):
        head.append(Reasoning(text[at:]))
    return before
