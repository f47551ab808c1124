"""Write neutral events as the events of the responses dialect.

    START   first event            -> response.created, response.in_progress
    ITEM    output_item.added -> its parts and deltas -> output_item.done; one open at a time
    END     end                    -> response.completed | response.incomplete
            fail                   -> response.failed; event: error before START

An item is closed by the next one, the last item by the end, so that late citations still find their
text. An item that was open when the answer failed stays open (F38).

The constant pieces of an item's deltas are encoded once, when it opens.
"""

from typing import Any, Final

import msgspec

from dialects.chat import events as neutral
from dialects.chat.chat import ChatRequest, ClientTool, JsonObject
from dialects.chat.custom_tools import InputReader, freeform_names
from dialects.chat.fold import join_base64
from dialects.chat.media import audio_format
from dialects.chat.turns import derive_id
from dialects.errors.kinds import ErrorKind
from dialects.responses.answer.finish_reasons import status_of
from dialects.responses.answer.response_object import ID_PREFIX, open_response
from dialects.responses.client_tools import CLIENT_CALLS, client_tools, write_item
from dialects.responses.errors import error_frame, failed_error
from dialects.responses.items_decode import write_mark
from dialects.responses.items_encode import (
    write_citation,
    write_image_item,
    write_logprobs,
)
from dialects.responses.usage import encode as write_usage
from dialects.streams.call_order import CallOrder
from dialects.upstream_errors.api_errors import name_request
from dialects.usage.usage import Counts

_encode = msgspec.json.encode
_TEXT: Final = "output_text"
_REFUSAL: Final = "refusal"
_AUDIO: Final = "output_audio"
_FREEFORM: Final = "custom_tool_call"
_CALLS: Final = CLIENT_CALLS | {"function_call", _FREEFORM}
_NO_LOGPROBS: Final = b',"logprobs":[]'


class Encoder(CallOrder):
    """Writes one answer for the client of `request`; only its first choice, because the dialect has
    one. `response` is the last response object, for storage.
    """

    def __init__(self, request: ChatRequest) -> None:
        super().__init__()
        self._request = request
        self._writer = _ItemWriter(request.request_id)
        self._freeform = freeform_names(request.tools)
        self._client_tools = client_tools(request.tools)
        self._reason: neutral.FinishReason | None = None
        self._counts: Counts | None = None
        self._started = False
        self.response: JsonObject = open_response(request)

    def feed(self, event: neutral.Event) -> bytes:
        """Return the events for the client; b"" if there are none yet."""
        if getattr(event, "choice", 0) != 0:
            return b""
        match event:
            case neutral.Start():
                return self._start(event)
            case neutral.Usage(counts=counts):
                self._counts = counts or self._counts
                return b""
            case _:
                head = b"" if self._started else self._begin()
                return head + self._write_in_turn(event)

    def end(self) -> bytes:
        """Return the frames that end a complete answer."""
        head = b"" if self._started else self._begin()
        held = self._write_held(last=True)
        status, details = status_of(self._reason)
        closed = self._writer.close_last("completed" if status == "completed" else "incomplete")
        self.response |= {
            "status": status,
            "incomplete_details": details,
            "output": self._writer.output,
            "usage": write_usage(self._counts or Counts()),
        }
        return head + held + closed + self._response_event(f"response.{status}")

    def fail(self, kind: ErrorKind, message: str, guard_code: str | None = None) -> bytes:
        """Return the end of a failed answer; `output` contains the finished items."""
        request_id = self._request.request_id
        if not self._started:
            return error_frame(kind, message, request_id=request_id, guard_code=guard_code)
        self.response |= {
            "status": "failed",
            "error": failed_error(kind, message, guard_code),
            "output": self._writer.output,
        }
        body = {"response": self.response, **name_request(request_id)}
        return self._writer.event("response.failed", body)

    def _start(self, event: neutral.Start) -> bytes:
        if self._started:
            return b""
        self.response["model"] = event.model or self.response["model"]
        self.response["service_tier"] = event.service_tier or self.response["service_tier"]
        return self._begin()

    def _begin(self) -> bytes:
        self._started = True
        return self._response_event("response.created") + self._response_event(
            "response.in_progress"
        )

    def _response_event(self, kind: str) -> bytes:
        return self._writer.event(kind, {"response": self.response})

    def _write(self, event: neutral.Event) -> bytes:
        writing = self._writer
        match event:
            case neutral.TextDelta(text=text):
                return writing.write_text(text)
            case neutral.ToolArgumentsDelta(text=text):
                return writing.write_arguments(text)
            case neutral.ReasoningDelta(text=text):
                return writing.write_reasoning(text)
            case neutral.ReasoningSeal(seal=seal):
                return writing.write_seal(write_mark(seal))
            case neutral.ToolCallStart(id=id_, name=name):
                tool = self._client_tools.get(name)
                if tool is not None and tool.kind in CLIENT_CALLS:
                    return writing.open_client_call(id_, tool.kind)
                own = {"name": name} if tool is None else _write_tool_name(tool)
                if name in self._freeform:
                    return writing.open_freeform(id_, own)
                return writing.open_call(id_, own)
            case neutral.ToolCallEnd():
                return writing.close()
            case neutral.Finish(reason=reason):
                self._reason = self._reason or reason
                return b""
            case _:
                return self._write_rest(event)

    def _write_rest(self, event: neutral.Event) -> bytes:
        writing = self._writer
        match event:
            case neutral.RefusalDelta(text=text):
                return writing.write_refusal(text)
            case neutral.Citation(source=source):
                return writing.add_citation(source)
            case neutral.LogprobsDelta(refusal=False):
                return writing.add_logprobs(write_logprobs(event.tokens))
            case neutral.ImageOutput():
                return writing.write_image(event)
            case neutral.AudioDelta():
                return writing.write_audio(event)
            case _:
                return b""


class _Part:
    """A content part that is open."""

    def __init__(self, kind: str, base: int) -> None:
        self.kind = kind
        self.base = base
        self.pieces: list[str] = []
        self.spoken: list[str] = []
        self.logprobs: list[JsonObject] = []
        self.annotations: list[JsonObject] = []
        self.finished: JsonObject = {}


class _ItemWriter:
    """Writes the output items, and numbers the events."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        # Only audio events contain the response's id.
        self._named = {"response_id": derive_id(ID_PREFIX, request_id)}
        self._sequence = 0
        # The kind of the open item is "" if none is open; so is the kind of the open part.
        self._item: JsonObject = {}
        self._kind = ""
        self._pieces: list[str] = []
        self._part = _Part("", 0)
        self._parts: list[_Part] = []
        self._characters = 0
        # The bytes before and after the text of every delta of the open item or part.
        self._around_delta = (b"", b"")
        self._input = InputReader()
        self.output: list[JsonObject] = []

    def event(self, kind: str, members: JsonObject) -> bytes:
        """Return one event with the next number."""
        body = {"type": kind, "sequence_number": self._sequence} | members
        self._sequence += 1
        return b"event: " + kind.encode() + b"\ndata: " + _encode(body) + b"\n\n"

    # ---- messages

    def write_text(self, text: str) -> bytes:
        """Return a piece of text."""
        head = self._open_part(_TEXT, "response.output_text.delta", _NO_LOGPROBS)
        self._characters += len(text)
        return head + self._write_piece(text)

    def write_refusal(self, text: str) -> bytes:
        """Return a piece of a refusal."""
        return self._open_part(_REFUSAL, "response.refusal.delta") + self._write_piece(text)

    def write_audio(self, event: neutral.AudioDelta) -> bytes:
        """Return a piece of sound, of its words, or of both."""
        written = self._open_part(_AUDIO, "response.audio.delta")
        part = self._part
        if event.media_type:
            part.finished["format"] = audio_format(event.media_type)
        if event.data:
            written += self._write_piece(event.data)
        if event.transcript:
            part.spoken.append(event.transcript)
            place = self._part_place() | {"delta": event.transcript}
            written += self.event("response.audio.transcript.delta", self._named | place)
        return written

    def add_citation(self, source: neutral.Source) -> bytes:
        """Write a citation at its text: the open one, or an earlier one."""
        texts = [part for part in self._parts if part.kind == _TEXT]
        if not texts:
            return b""
        start = source.start
        here = [part for part in texts if start is None or part.base <= start]
        part = (here or texts[:1])[-1]
        annotation = write_citation(source, part.base)
        part.annotations.append(annotation)
        if part is not self._part:
            # The item has been sent already; the citation is part of the final response.
            return b""
        place = {"annotation_index": len(part.annotations) - 1, "annotation": annotation}
        return self.event("response.output_text.annotation.added", self._part_place() | place)

    def add_logprobs(self, logprobs: list[JsonObject]) -> bytes:
        """Write the log probabilities of text that was already sent, in a delta without text."""
        part = self._part
        if part.kind != _TEXT:
            return b""
        part.logprobs += logprobs
        place = self._part_place() | {"delta": "", "logprobs": logprobs}
        return self.event("response.output_text.delta", place)

    def _open_part(self, kind: str, delta: str, tail: bytes = b"") -> bytes:
        if self._part.kind == kind:
            return b""
        if self._kind == "message":
            written = self._close_part()
        else:
            item: JsonObject = {"status": "in_progress", "role": "assistant", "content": []}
            written = self._open("message", "msg_", item)
        self._part = part = _Part(kind, self._characters)
        self._parts.append(part)
        empty = {"type": kind} | _EMPTY_PARTS[kind]
        self._prepare(delta, self._part_place(), tail)
        return written + self.event(
            "response.content_part.added", self._part_place() | {"part": empty}
        )

    def _write_piece(self, text: str) -> bytes:
        self._part.pieces.append(text)
        return self._write_delta(text)

    def _part_place(self) -> JsonObject:
        return self._item_place() | {"content_index": len(self._item["content"])}

    def _close_part(self) -> bytes:
        part = self._part
        place = self._part_place()
        text = "".join(part.pieces)
        match part.kind:
            case "output_text":
                content = {"text": text, "logprobs": part.logprobs}
                written = self.event("response.output_text.done", place | content)
                part.finished |= {"text": text, "annotations": part.annotations}
                part.finished |= {"logprobs": part.logprobs}
            case "refusal":
                written = self.event("response.refusal.done", place | {"refusal": text})
                part.finished |= {"refusal": text}
            case _:
                transcript = "".join(part.spoken)
                part.finished |= {"data": join_base64(part.pieces), "transcript": transcript}
                written = self.event("response.audio.done", self._named | place)
                spoken = place | {"transcript": transcript}
                written += self.event("response.audio.transcript.done", self._named | spoken)
        whole = {"type": part.kind} | part.finished
        self._item["content"].append(whole)
        self._part = _Part("", 0)
        return written + self.event("response.content_part.done", place | {"part": whole})

    # ---- reasoning

    def write_reasoning(self, text: str) -> bytes:
        """Return a piece of reasoning, as a summary."""
        written = b""
        if self._kind != "reasoning":
            written = self._open("reasoning", "rs_", {"summary": []})
        if not self._pieces:
            place = self._item_place() | {"summary_index": 0}
            empty = {"type": "summary_text", "text": ""}
            written += self.event("response.reasoning_summary_part.added", place | {"part": empty})
            self._prepare("response.reasoning_summary_text.delta", place)
        self._pieces.append(text)
        return written + self._write_delta(text)

    def write_seal(self, value: str) -> bytes:
        """Write the seal that ends the open reasoning, or of empty reasoning if none is open."""
        written = b""
        if self._kind != "reasoning":
            written = self._open("reasoning", "rs_", {"summary": []})
        self._item["encrypted_content"] = value
        return written + self.close()

    def _close_reasoning(self, item: JsonObject) -> bytes:
        if not self._pieces:
            return b""
        place = self._item_place() | {"summary_index": 0}
        text = "".join(self._pieces)
        part = {"type": "summary_text", "text": text}
        item["summary"].append(part)
        written = self.event("response.reasoning_summary_text.done", place | {"text": text})
        return written + self.event("response.reasoning_summary_part.done", place | {"part": part})

    # ---- calls and pictures

    def open_call(self, call_id: str, called: JsonObject) -> bytes:
        """Begin a call of the function named `called`."""
        members = {"status": "in_progress", "arguments": "", "call_id": call_id} | called
        written = self._open("function_call", "fc_", members)
        self._prepare("response.function_call_arguments.delta", self._item_place())
        return written

    def write_arguments(self, text: str) -> bytes:
        """Write a piece of arguments; one of an unopened call is dropped."""
        if self._kind in CLIENT_CALLS:
            self._pieces.append(text)
            return b""
        if self._kind == _FREEFORM:
            text = self._input.feed(text)
        elif self._kind != "function_call":
            return b""
        if not text:
            return b""
        self._pieces.append(text)
        return self._write_delta(text)

    def _close_call(self, item: JsonObject, status: str) -> bytes:
        # Missing arguments become an empty object; those of a cut call stay cut (F38).
        empty = "{}" if status == "completed" else ""
        item["arguments"] = "".join(self._pieces) or empty
        if status != "completed":
            return b""
        call = {"name": item["name"], "arguments": item["arguments"]}
        return self.event("response.function_call_arguments.done", self._item_place() | call)

    def open_client_call(self, call_id: str, kind: str) -> bytes:
        """Begin a call of another client tool; its arguments are sent whole, at its end."""
        members = {"status": "in_progress", "call_id": call_id} | write_item(kind, "")
        return self._open(kind, _CLIENT_PREFIXES[kind], members)

    def open_freeform(self, call_id: str, called: JsonObject) -> bytes:
        """Begin a call of a freeform tool."""
        self._input = InputReader()
        members = {"status": "in_progress", "call_id": call_id} | called | {"input": ""}
        written = self._open(_FREEFORM, "ctc_", members)
        self._prepare("response.custom_tool_call_input.delta", self._item_place())
        return written

    def _close_freeform(self, item: JsonObject, status: str) -> bytes:
        if status != "completed":
            # The rest of a cut call stays cut (F38).
            item["input"] = "".join(self._pieces)
            return b""
        written = b""
        if rest := self._input.end():
            self._pieces.append(rest)
            written = self._write_delta(rest)
        item["input"] = "".join(self._pieces)
        body = self._item_place() | {"input": item["input"]}
        return written + self.event("response.custom_tool_call_input.done", body)

    def write_image(self, event: neutral.ImageOutput) -> bytes:
        """Write a whole picture. If it has only a URL, the item has that, and an empty result."""
        pending: JsonObject = {"status": "in_progress", "result": None}
        written = self._open("image_generation_call", "ig_", pending)
        whole = write_image_item(self._item["id"], event.data, event.media_type)
        if event.url:
            whole = {**whole, "result": None, "url": event.url}
            whole.pop("output_format", None)
        here = self._item_place()
        written += self.event("response.image_generation_call.in_progress", here)
        self._item |= whole
        written += self.event("response.image_generation_call.completed", here)
        return written + self.close()

    # ---- items

    def close(self, status: str = "completed") -> bytes:
        """Close the open item; b"" without one."""
        item, kind = self._item, self._kind
        match kind:
            case "":
                return b""
            case "message":
                written = self._close_part()
            case "reasoning":
                written = self._close_reasoning(item)
            case "function_call":
                written = self._close_call(item, status)
            case "custom_tool_call":
                written = self._close_freeform(item, status)
            case kind if kind in CLIENT_CALLS:
                item |= write_item(kind, "".join(self._pieces))
                written = b""
            case _:
                written = b""
        if "status" in item:
            item["status"] = status
        here = {"output_index": len(self.output), "item": item}
        self.output.append(item)
        self._kind, self._pieces = "", []
        return written + self.event("response.output_item.done", here)

    def close_last(self, status: str = "completed") -> bytes:
        """Close the open item because nothing more of it follows. A call that did not end was cut
        (F38)."""
        return self.close("incomplete" if self._kind in _CALLS else status)

    def _open(self, kind: str, prefix: str, members: JsonObject) -> bytes:
        written = self.close_last()
        id_ = derive_id(prefix, self._request_id, len(self.output))
        self._item, self._kind = {"id": id_, "type": kind} | members, kind
        added = {"output_index": len(self.output), "item": self._item}
        return written + self.event("response.output_item.added", added)

    def _item_place(self) -> JsonObject:
        return {"item_id": self._item["id"], "output_index": len(self.output)}

    def _prepare(self, kind: str, place: JsonObject, tail: bytes = b"") -> None:
        """Encode what all deltas of a part have in common."""
        members = _encode(place)[1:-1]
        named = kind.encode()
        self._around_delta = (
            b"event: " + named + b'\ndata: {"type":"' + named + b'",' + members + b',"delta":',
            tail + b',"sequence_number":%d}\n\n',
        )

    def _write_delta(self, text: str) -> bytes:
        sequence, self._sequence = self._sequence, self._sequence + 1
        before, after = self._around_delta
        return before + _encode(text) + after % sequence


def _write_tool_name(tool: ClientTool) -> JsonObject:
    return {"name": tool.name, "namespace": tool.namespace}


# The prefix of OpenAI's ids of these items.
_CLIENT_PREFIXES: Final = {
    "tool_search_call": "tsc_",
    "local_shell_call": "lsh_",
    "shell_call": "sh_",
    "apply_patch_call": "apc_",
}
_EMPTY_PARTS: Final[dict[str, dict[str, Any]]] = {
    _TEXT: {"text": "", "annotations": [], "logprobs": []},
    _REFUSAL: {"refusal": ""},
    _AUDIO: {"data": "", "transcript": ""},
}
