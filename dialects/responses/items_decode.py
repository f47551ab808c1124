"""Decode the input items of the responses dialect into neutral form.

Consecutive items of the assistant (reasoning, messages, calls) form one turn, as other dialects
require; its parts keep the order of the items.

    encrypted_content    the seal of a reasoning item: OpenAI's own unchanged, others' with their
                         mark in front; `anthropic:redacted:` precedes Anthropic's redacted ones
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from dialects.chat.chat import (
    Audio,
    Base64,
    File,
    FileId,
    Image,
    JsonObject,
    Message,
    OwnPart,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from dialects.chat.custom_tools import write_arguments
from dialects.chat.events import Seal, Source
from dialects.chat.media import audio_type, read_base64, read_url
from dialects.chat.turns import mark_seal, read_seal
from dialects.json.members import Members
from dialects.json.raw_json import dicts
from dialects.responses.client_tools import (
    CLIENT_CALLS,
    flat_name,
    read_arguments,
    read_output,
)
from dialects.responses.request.read import read_file_source
from dialects.responses.summary import read_summary

_ROLES: Final[tuple[Role, ...]] = ("user", "assistant", "system", "developer")
_REDACTED: Final = "redacted:"
# Items of server tools.
_OWN_ITEMS: Final = frozenset(
    {
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "computer_call",
        "computer_call_output",
        "mcp_list_tools",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "program",
        "program_output",
    }
)
# Items that stand for the conversation; only their provider can read those with no mark of ours.
_SEALED_ITEMS: Final = frozenset({"compaction", "compaction_summary", "compaction_trigger"})


def read_items(body: Members) -> tuple[Message, ...]:
    """Return the conversation of a request: the items of `input`, which may refer to earlier ones.
    Raises RequestFault; a function's output must answer an earlier call, unless the earlier
    response is not known.
    """
    reader = _Reader(open_history=body.has("previous_response_id"))
    raw_input = body.value.get("input")
    if isinstance(raw_input, str):
        reader.add_message("user", [Text(raw_input)])
    elif raw_input is not None and not isinstance(raw_input, list):
        body.refuse_type("input", "a string or an array")
    else:
        for member in body.objects("input"):
            reader.add(member)
    return reader.messages()


def read_mark(value: str, item_id: str) -> Seal:
    """Return the seal in an `encrypted_content`."""
    seal = read_seal(value, "openai")
    if seal.owner == "openai":
        return Seal("openai", seal.value, id=item_id)
    hidden = seal.value.startswith(_REDACTED)
    return Seal(seal.owner, seal.value.removeprefix(_REDACTED) if hidden else seal.value, hidden)


def write_mark(seal: Seal) -> str:
    """Return the `encrypted_content` that carries a seal."""
    if seal.redacted:
        seal = Seal(seal.owner, _REDACTED + seal.value)
    return mark_seal(seal, "openai")


class _Reader:
    """Reads items one after the other, and remembers the calls and items so far."""

    def __init__(self, *, open_history: bool) -> None:
        self._known: dict[str, JsonObject] = {}
        self._open_history = open_history
        self._calls: set[str] = set()
        self._messages: list[tuple[Role, list[Part], list[Source]]] = []

    def messages(self) -> tuple[Message, ...]:
        """Return all that was read."""
        return tuple(
            Message(role, tuple(parts), citations=tuple(citations))
            for role, parts, citations in self._messages
        )

    def add_message(self, role: Role, parts: list[Part], citations: Sequence[Source] = ()) -> None:
        """Append parts; the assistant's parts continue its turn."""
        if role == "assistant" and self._messages and self._messages[-1][0] == role:
            self._messages[-1][1].extend(parts)
            self._messages[-1][2].extend(citations)
        else:
            self._messages.append((role, parts, list(citations)))

    def add(self, item: Members) -> None:
        """Read one item."""
        kind = item.text("type") or ("message" if item.has("role") else "item_reference")
        if kind == "item_reference":
            self._add_reference(item)
            return
        id_ = item.value.get("id")
        if isinstance(id_, str):
            self._known[id_] = item.value
        if kind == "message":
            self._add_message(item)
        elif kind in _OWN_ITEMS:
            self.add_message("assistant", [OwnPart("responses", item.value)])
        elif kind in _SEALED_ITEMS:
            self._add_compaction(kind, item)
        elif (read := _ITEMS.get(kind)) is not None:
            read(self, item)
        else:
            item.refuse_value("type", "must be the type of an input item")

    def _add_reference(self, item: Members) -> None:
        id_ = item.required("id", item.text("id"))
        referred = self._known.get(id_)
        if referred is None:
            item.refuse("unsupported_capability", "id", "names an item that is not stored here")
        self.add(Members(referred, item.path))

    def _add_compaction(self, kind: str, item: Members) -> None:
        summary = read_summary(item.value.get("encrypted_content"))
        if summary is None:
            what = f"{kind} can only be read by its provider"
            item.refuse("unsupported_capability", "type", what)
        self.add_message("user", [Text(summary)])

    def _add_message(self, item: Members) -> None:
        role: Role = item.required("role", item.word("role", _ROLES))
        parts: list[Part] = []
        citations: list[Source] = []
        content = item.value.get("content")
        if isinstance(content, str):
            parts += [Text(content)] if content else []
        elif not isinstance(item.required("content", content), list):
            item.refuse_type("content", "a string or an array")
        else:
            length = self._text_length(role)
            for part in item.objects("content"):
                read = read_part(part)
                if role in ("system", "developer") and not isinstance(read, Text):
                    part.refuse_value("type", "must be input_text in a message of this role")
                parts.append(read)
                if isinstance(read, Text):
                    citations += read_annotations(part.value, length)
                    length += len(read.text)
        self.add_message(role, parts, citations)

    def _text_length(self, role: Role) -> int:
        """Return the length of the current turn so far, in characters."""
        if role != "assistant" or not self._messages or self._messages[-1][0] != role:
            return 0
        return sum(len(part.text) for part in self._messages[-1][1] if isinstance(part, Text))

    def add_call(self, item: Members) -> None:
        """A function_call."""
        self._call(item, _called_name(item), item.text("arguments") or "")

    def add_freeform_call(self, item: Members) -> None:
        """A custom_tool_call."""
        self._call(item, _called_name(item), write_arguments(item.text("input") or ""))

    def add_client_call(self, item: Members) -> None:
        """Add a call of a tool that the client runs (shell, patch, tool search). A call that the
        provider ran itself is kept unchanged as an OwnPart."""
        arguments = read_arguments(item)
        if arguments is None:
            self.add_message("assistant", [OwnPart("responses", item.value)])
        else:
            kind = item.required("type", item.text("type"))
            self._call(item, kind.removesuffix("_call"), arguments)

    def _call(self, item: Members, name: str, arguments: str) -> None:
        id_ = item.required("call_id", item.text("call_id"))
        self._calls.add(id_)
        self.add_message("assistant", [ToolCall(id_, name, arguments)])

    def add_client_result(self, item: Members) -> None:
        """Add the result of the client's shell, patch or tool search."""
        if item.text("execution") == "server":
            self.add_message("assistant", [OwnPart("responses", item.value)])
            return
        # The id of a local_shell_call's output may be the call's.
        id_ = self._result_call_id(item, item.text("call_id") or item.text("id"))
        output = read_output(item)
        failed = item.text("status") == "failed"
        self.add_message("tool", [ToolResult(id_, (Text(output),) if output else (), failed)])

    def add_tools(self, item: Members) -> None:
        """Tools in the input are read with the request's: `client_tools.read_tools`."""

    def _result_call_id(self, item: Members, id_: str | None) -> str:
        id_ = item.required("call_id", id_)
        if id_ not in self._calls and not self._open_history:
            item.refuse("invalid_type", "call_id", "must be that of an earlier call")
        return id_

    def add_result(self, item: Members) -> None:
        """A function_call_output, or a custom_tool_call_output."""
        id_ = self._result_call_id(item, item.text("call_id"))
        output = item.value.get("output")
        parts: list[Part] = []
        if isinstance(output, str):
            parts = [Text(output)] if output else []
        elif not isinstance(item.required("output", output), list):
            item.refuse_type("output", "a string or an array")
        else:
            parts = [read_part(part) for part in item.objects("output")]
        readable = tuple(part for part in parts if isinstance(part, Text | Image | File))
        if len(readable) < len(parts):
            item.refuse_value("output", "must hold input_text, input_image and input_file only")
        self.add_message("tool", [ToolResult(id_, readable)])

    def add_reasoning(self, item: Members) -> None:
        """Add a reasoning item; one without text and seal is ignored."""
        text = read_thought(item.value)
        sealed = item.text("encrypted_content")
        seal = read_mark(sealed, item.text("id") or "") if sealed else None
        if text or seal is not None:
            self.add_message("assistant", [Reasoning(text, seal)])

    def add_image(self, item: Members) -> None:
        """Add a picture that the model created."""
        result = item.text("result")
        if result:
            media_type = image_type(item.value)
            data = read_base64(result, media_type, item.at("result"))
            self.add_message("assistant", [Image(data)])


_ITEMS: Final[Mapping[str, Callable[[_Reader, Members], None]]] = {
    "function_call": _Reader.add_call,
    "function_call_output": _Reader.add_result,
    "custom_tool_call": _Reader.add_freeform_call,
    "custom_tool_call_output": _Reader.add_result,
    "reasoning": _Reader.add_reasoning,
    "image_generation_call": _Reader.add_image,
    **dict.fromkeys(CLIENT_CALLS, _Reader.add_client_call),
    "local_shell_call_output": _Reader.add_client_result,
    "shell_call_output": _Reader.add_client_result,
    "apply_patch_call_output": _Reader.add_client_result,
    "tool_search_output": _Reader.add_client_result,
    "additional_tools": _Reader.add_tools,
}


def _called_name(item: Members) -> str:
    """Return the name under which the called function is offered."""
    return flat_name(item.text("namespace") or "", item.required("name", item.text("name")))


def read_thought(item: Mapping[str, Any]) -> str:
    """Return the text of a reasoning item: its summary, else the reasoning itself."""
    summary = [part for part in _texts(item.get("summary")) if part]
    return "\n\n".join(summary) or "".join(_texts(item.get("content")))


def image_type(item: Mapping[str, Any]) -> str:
    """Return the media type of an image_generation_call's result."""
    format_ = item.get("output_format")
    return f"image/{format_}" if isinstance(format_, str) and format_ else "image/png"


def _texts(parts: Any) -> list[str]:
    texts = [part.get("text") for part in dicts(parts)]
    return [text for text in texts if isinstance(text, str)]


def read_part(part: Members) -> Part:
    """Return one content part."""
    kind = part.required("type", part.text("type"))
    read = _PARTS.get(kind)
    if read is None:
        part.refuse_value("type", "must be one of " + ", ".join(_PARTS))
    return read(part)


def _read_text(part: Members) -> Text:
    return Text(part.required("text", part.text("text")))


def _read_refusal(part: Members) -> Refusal:
    return Refusal(part.required("refusal", part.text("refusal")))


def _read_image(part: Members) -> Image:
    detail = part.text("detail")
    if id_ := part.text("file_id"):
        return Image(FileId(id_), detail)
    url = part.required("image_url", part.text("image_url"))
    return Image(read_url(url, part.at("image_url")), detail)


def _read_file(part: Members) -> File:
    return File(read_file_source(part), part.text("filename") or "")


def _read_audio(part: Members) -> Audio:
    audio = part.required("input_audio", part.object("input_audio"))
    data = audio.required("data", audio.text("data"))
    named = audio.required("format", audio.text("format"))
    return Audio(read_base64(data, audio_type(named), audio.at("data")))


def _read_output_audio(part: Members) -> Audio:
    data = part.text("data") or ""
    named = part.text("format") or "wav"
    return Audio(Base64(data, audio_type(named)), part.text("transcript") or "")


_PARTS: Final[Mapping[str, Callable[[Members], Part]]] = {
    "input_text": _read_text,
    "output_text": _read_text,
    "text": _read_text,
    "refusal": _read_refusal,
    "input_image": _read_image,
    "input_file": _read_file,
    "input_audio": _read_audio,
    "output_audio": _read_output_audio,
}


def read_annotations(part: Mapping[str, Any], base: int) -> list[Source]:
    """Return the citations of a text part that begins at character `base` of its turn."""
    sources = [read_annotation(annotation, base) for annotation in dicts(part.get("annotations"))]
    return [source for source in sources if source is not None]


def read_annotation(annotation: Mapping[str, Any], base: int) -> Source | None:
    """Return a url_citation; others (files of a store) have nothing that a client could open. An
    end of 0 means an unknown position.
    """
    url = annotation.get("url")
    if annotation.get("type") != "url_citation" or not isinstance(url, str) or not url:
        return None
    start, end = annotation.get("start_index"), annotation.get("end_index")
    title = annotation.get("title")
    known = isinstance(start, int) and isinstance(end, int) and 0 <= start <= end and end > 0
    return Source(
        url,
        title if isinstance(title, str) else "",
        base + start if known and isinstance(start, int) else None,
        base + end if known and isinstance(end, int) else None,
    )
