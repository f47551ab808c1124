"""OpenAI's Responses: items, numbered events, sealed reasoning."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.fakes.answer import Block, Piece, blocks, compact
from tests.fakes.openai_talk import OpenAITalk
from tests.fakes.question import (
    Conversation,
    Question,
    Wrong,
    from_base64,
    from_url,
    looks_sealed,
    seal_of,
    unknown_in,
)
from tests.fakes.story import CREATED, Ask, Plan, Stream
from tests.fakes.wire import Step

# What the response says again, with the value it has when the request is silent.
_ECHOED: dict[str, Any] = {
    "background": False, "instructions": None, "max_output_tokens": None, "max_tool_calls": None,
    "parallel_tool_calls": True, "previous_response_id": None, "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None}, "safety_identifier": None,
    "service_tier": "default", "store": True, "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"}, "tool_choice": "auto",
    "tools": [], "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled", "user": None,
    "metadata": {},
}  # fmt: skip
_FIELDS = frozenset(_ECHOED) | frozenset(
    (
        "model", "input", "stream", "stream_options", "include", "conversation", "prompt",
        "prompt_cache_retention", "context_management",
    )
)  # fmt: skip
_COUNT_FIELDS = (
    "model input instructions tools tool_choice text reasoning previous_response_id conversation "
    "parallel_tool_calls truncation"
)
_FAILED = {"code": "server_error", "message": "Generation failed."}


class Responses(OpenAITalk):
    """POST …/responses"""

    dialect = "responses"
    operation = "responses"
    prefix = "resp_"
    fields = _FIELDS
    line = (
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"'
    )
    echoed: dict[str, Any]
    sealing = False  # encrypted reasoning was asked for

    # ---- reading

    def read(self, body: dict[str, Any], headers: Mapping[str, str]) -> Question:
        model = self.model_of(body)
        if body.get("input") in (None, "", []) and not body.get("previous_response_id"):
            text = "Missing required parameter: 'input'."
            raise Wrong(400, text, code="missing_required_parameter", param="input")
        cap = body.get("max_output_tokens")
        if cap is not None and (type(cap) is not int or cap < 16):
            text = f"Invalid 'max_output_tokens': Expected a value >= 16, but got {cap} instead."
            code = "integer_below_min_value"
            raise Wrong(400, text, code=code, param="max_output_tokens")
        self.echoed = {n: v if body.get(n) is None else body[n] for n, v in _ECHOED.items()}
        self.echoed["tools"] = [_with_defaults(tool) for tool in self.echoed["tools"]]
        # What was given, whatever was asked.
        self.echoed["service_tier"] = _ECHOED["service_tier"]
        self.sealing = "reasoning.encrypted_content" in (body.get("include") or ())
        received = Conversation()
        received.turn()
        if body.get("instructions"):
            received.system(body["instructions"])
        _Reader(received, stored=body.get("store") is not False).all(body.get("input") or [])
        tools = [tool for tool in body.get("tools") or () if tool.get("type") == "function"]
        for i, tool in enumerate(tools):
            if not isinstance(tool.get("name"), str):
                text = f"Missing required parameter: 'tools[{i}].name'."
                raise Wrong(400, text, param=f"tools[{i}].name")
            received.count(f"{tool['name']} {tool.get('description') or ''}")
        return Question.of(
            model,
            received,
            stream=bool(body.get("stream")),
            cap=cap,
            tools=[tool["name"] for tool in tools],
            form=_form(body.get("text")),
            unknown=unknown_in(body, self.fields),
        )

    # ---- answering

    def usage(self, usage: dict[str, Any]) -> dict[str, Any]:
        details = usage["prompt_tokens_details"]
        return {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": {
                "cached_tokens": details["cached_tokens"],
                "cache_write_tokens": details.get("cache_write_tokens", 0),
            },
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {
                "reasoning_tokens": usage["completion_tokens_details"]["reasoning_tokens"]
            },
            "total_tokens": usage["total_tokens"],
        }

    def response(
        self, ask: Ask, status: str, output: list[Any], usage: Any = None, **more: Any
    ) -> dict[str, Any]:
        head = {
            "id": ask.row.id,
            "object": "response",
            "created_at": CREATED,
            "completed_at": CREATED + 1 if status == "completed" else None,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": ask.question.model,
            "output": output,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
        }
        return head | self.echoed | {"usage": usage} | more

    def ended(self, finish: str) -> tuple[str, dict[str, Any]]:
        """The status of a finish, and the fields that go with it."""
        match finish:
            case "length":
                return "incomplete", {"incomplete_details": {"reason": "max_output_tokens"}}
            case "content_filter":
                return "incomplete", {"incomplete_details": {"reason": "content_filter"}}
            case "failed":
                return "failed", {"error": _FAILED}
            case "cancelled":
                return "cancelled", {}
        return "completed", {}

    def item(self, ask: Ask, block: Block, number: int) -> dict[str, Any]:
        ident = f"{ask.row.seq}_{number}"
        if block.kind == "reasoning_content":
            return self.reasoning(f"rs_{ident}", block.text)
        if block.kind == "call":
            return {
                "id": f"fc_{ident}",
                "type": "function_call",
                "status": "completed",
                "arguments": block.text,
                "call_id": ask.call_id("call", 0, block.call),
                "name": block.name,
            }
        return {
            "id": f"msg_{ident}",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [text_part(block.text)],
        }

    def search(self, ask: Ask, number: int) -> dict[str, Any]:
        return {
            "id": f"ws_{ask.row.seq}_{number}",
            "type": "web_search_call",
            "status": "completed",
            "action": {"type": "search", "query": "weir"},
        }

    def reasoning(self, ident: str, text: str) -> dict[str, Any]:
        summary = [{"type": "summary_text", "text": text}] if text else []
        item = {"id": ident, "type": "reasoning", "summary": summary}
        return item | {"encrypted_content": seal_of("openai", ident)} if self.sealing else item

    def plain(self, ask: Ask, plan: Plan, pieces: list[Piece]) -> bytes:
        result = blocks(pieces)
        if plan.hidden and not (result and result[0].kind == "reasoning_content"):
            result.insert(0, Block(0, "reasoning_content", ""))
        output = [self.item(ask, block, i) for i, block in enumerate(result)]
        output[:0] = [self.search(ask, i) for i in range(ask.wish.searches)]
        status, more = self.ended(plan.finish[0])
        if status != "completed" and output and "status" in output[-1]:
            output[-1]["status"] = "incomplete"
        usage = ask.report(ask.counted(plan.hidden + len(pieces)))
        body = self.response(ask, status, output, usage, **more)
        if ask.wish.usage == "none":
            del body["usage"]
        return compact(body)

    def stream(self, ask: Ask, plan: Plan) -> Stream:
        return ResponsesStream(ask, plan, self)


class InputTokens(Responses):
    """POST …/responses/input_tokens"""

    operation = "count_tokens"
    fields = frozenset(_COUNT_FIELDS.split())
    free = True
    streams = False

    def plain(self, ask: Ask, plan: Plan, pieces: list[Piece]) -> bytes:
        results = {"object": "response.input_tokens", "input_tokens": ask.row.prompt_tokens}
        return compact(results)


class Compact(Responses):
    """POST …/responses/compact"""

    operation = "responses_compact"
    fields = frozenset(["model", "input", "instructions", "previous_response_id"])

    def plain(self, ask: Ask, plan: Plan, pieces: list[Piece]) -> bytes:
        sealed = seal_of("openai", f"cmp_{ask.row.seq}")
        item = {"id": f"cmp_{ask.row.seq}", "type": "compaction", "encrypted_content": sealed}
        body = {
            "id": ask.row.id,
            "object": "response.compaction",
            "created_at": CREATED,
            "output": [item],
            "usage": ask.report(ask.counted(plan.hidden + len(pieces))),
        }
        return compact(body)


def _with_defaults(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool as it is echoed: with what its declaration left out."""
    defaults = {"description": None, "strict": True} if tool.get("type") == "function" else {}
    return defaults | tool


def text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _form(wanted: Any) -> dict[str, Any] | None:
    match (wanted or {}).get("format"):
        case {"type": "json_object"}:
            return {}
        case {"type": "json_schema", "name": str(), "schema": dict(schema)}:
            return dict(schema)
        case {"type": "json_schema"}:
            text = "Missing required parameter: 'text.format.name'."
            raise Wrong(400, text, code="missing_required_parameter", param="text.format.name")
    return None


class _Reader:
    """Reads the items and judges them as the provider does."""

    def __init__(self, received: Conversation, *, stored: bool) -> None:
        self.heard = received
        self.stored = stored
        self.open_calls: list[str] = []
        self.thought: str | None = None  # a reasoning item whose next item must follow

    def all(self, inputs: Any) -> None:
        items = [{"role": "user", "content": inputs}] if isinstance(inputs, str) else inputs
        for i, item in enumerate(items):
            self.item(f"input[{i}]", item)
        if self.thought is not None:
            text = f"Item '{self.thought}' of type 'reasoning' was provided without its required"
            raise Wrong(400, f"{text} following item.", param="input")
        if self.open_calls:
            text = f"No tool output found for function call {self.open_calls[0]}."
            raise Wrong(400, text, param="input")

    def item(self, place: str, item: dict[str, Any]) -> None:
        received = self.heard
        kind = item.get("type", "message")
        if kind != "reasoning":
            self.thought = None
        match kind:
            case "message":
                self.message(place, item)
            case "function_call":
                call = item.get("call_id")
                if not isinstance(call, str) or not isinstance(item.get("arguments"), str):
                    text = f"Missing required parameter: '{place}.call_id'."
                    raise Wrong(400, text, code="missing_required_parameter", param=place)
                self.open_calls.append(call)
                received.turn()
                received.called(item.get("name", ""), item["arguments"])
            case "function_call_output":
                self.output(place, item)
            case "reasoning":
                self.reasoning(item)
            case "item_reference" | "web_search_call" | "compaction":
                received.tokens += 1
            case _:
                raise Wrong(400, f"Invalid value: '{kind}'.", code="invalid_value", param=place)

    def message(self, place: str, item: dict[str, Any]) -> None:
        role, content = item.get("role"), item.get("content")
        if role not in ("user", "assistant", "system", "developer"):
            param = f"{place}.role"
            raise Wrong(400, f"Invalid value: '{role}'.", code="invalid_value", param=param)
        turn = self.heard.turn(role == "user", "system" if role == "developer" else role)
        if isinstance(content, str):
            self.heard.say(content)
            return
        for j, part in enumerate(content or ()):
            self.part(f"{place}.content[{j}]", role, part)
        turn.user = role == "user"

    def part(self, place: str, role: str, part: dict[str, Any]) -> None:
        received = self.heard
        match part:
            case {"type": "input_text", "text": str(text)} if role != "assistant":
                received.say(text)
            case {"type": "output_text", "text": str(text)} if role == "assistant":
                received.say(text)
            case {"type": "refusal", "refusal": str(text)}:
                received.say(text)
            case {"type": "input_image", "image_url": str(url)}:
                received.see(from_url("image", url))
            case {"type": "input_file", "file_url": str(url)}:
                received.see(from_url("file", url))
            case {"type": "input_file", "file_data": str(url), "filename": str()}:
                received.see(from_url("file", url))
            case {"type": "input_audio", "input_audio": {"data": data, **more}}:
                received.see(from_base64("audio", f"audio/{more.get('format')}", data))
            case {"type": "input_image" | "input_file", "file_id": str()}:
                received.tokens += 1
            case _:
                text = f"Invalid value: '{part.get('type')}'."
                raise Wrong(400, text, code="invalid_value", param=place)

    def output(self, place: str, item: dict[str, Any]) -> None:
        call, output = item.get("call_id"), item.get("output")
        if call not in self.open_calls:
            text = f"No tool call found for function call output with call_id {call}."
            raise Wrong(400, text, param="input")
        self.open_calls.remove(call)
        self.heard.turn()
        if isinstance(output, str):
            self.heard.result(output)
            return
        for j, part in enumerate(output or ()):
            if part.get("type") == "input_text":
                self.heard.result(part["text"])
            else:
                self.part(f"{place}.output[{j}]", "user", part)

    def reasoning(self, item: dict[str, Any]) -> None:
        """It comes back by its seal, or by its id where the answer was stored."""
        ident, seal = item.get("id"), item.get("encrypted_content")
        if seal is None:
            if not (self.stored and isinstance(ident, str) and ident.startswith("rs_")):
                text = f"Item with id '{ident}' not found. Items are not persisted when `store` is"
                raise Wrong(404, f"{text} set to false.", param="input")
        elif not looks_sealed("openai", seal) or (ident and seal != seal_of("openai", ident)):
            text = f"The encrypted content {str(seal)[:8]}... could not be verified."
            raise Wrong(400, text, code="invalid_encrypted_content")
        self.heard.seals += 1
        self.thought = str(ident)


# ---- the stream


class ResponsesStream(Stream):
    """created, in_progress, the items one after the other, completed; no `[DONE]`."""

    def __init__(self, ask: Ask, plan: Plan, talk: Responses) -> None:
        super().__init__(ask, plan)
        self.talk = talk
        odd = (b"id: 5", b"retry: 1", b"event: odd", b"")
        self.lead = self.eol.join(odd) if ask.is_fault("F31") else b""
        self.number = 0
        self.output: list[dict[str, Any]] = []
        self.open: Block | None = None
        self.ident = ""
        self.texts: list[str] = []  # of the open item
        self.last_delta = "response.output_text.delta"

    def head(self, name: str) -> bytes:
        return self.lead + b"event: " + name.encode() + self.eol + self.data

    def event(self, name: str, /, **more: Any) -> bytes:
        number, self.number = self.number, self.number + 1
        data = compact({"type": name, "sequence_number": number, **more})
        return self.head(name) + data + self.end

    def of_item(self, name: str, /, **more: Any) -> bytes:
        return self.event(name, item_id=self.ident, output_index=len(self.output), **more)

    def opening(self) -> Iterator[Step]:
        ask = self.ask
        self.count = self.told.hidden
        empty = self.talk.response(ask, "in_progress", [])
        yield from self.emit(self.event("response.created", response=empty))
        if ask.wish.usage in ("early", "start"):
            empty["usage"] = ask.report(ask.counted(1))
        yield from self.emit(self.event("response.in_progress", response=empty))
        if self.told.hidden:
            data = self.begin(Block(0, "reasoning_content", ""))
            yield from self.emit(data, self.told.hidden)

    def begin(self, block: Block) -> bytes:
        """Open an item; its parts open with it."""
        self.open, self.texts = block, []
        item = self.talk.item(self.ask, block, len(self.output))
        self.ident = item["id"]
        if block.kind == "reasoning_content":
            item.pop("encrypted_content", None)
        else:
            item["status"] = "in_progress"
        if block.kind == "content":
            item["content"] = []
        data = self.event("response.output_item.added", output_index=len(self.output), item=item)
        if block.kind == "content":
            part = text_part("")
            data += self.of_item("response.content_part.added", content_index=0, part=part)
        return data

    def finish(self, status: str = "completed") -> bytes:
        """Close the open item."""
        block, self.open = self.open, None
        if block is None:
            return b""
        text = "".join(self.texts)
        item = self.talk.item(self.ask, block._replace(text=text), len(self.output))
        data = b""
        if block.kind == "reasoning_content" and text:
            part = item["summary"][0]
            name = "response.reasoning_summary_text.done"
            data += self.of_item(name, summary_index=0, text=text)
            name = "response.reasoning_summary_part.done"
            data += self.of_item(name, summary_index=0, part=part)
        elif block.kind == "content":
            part = item["content"][0]
            name = "response.output_text.done"
            data += self.of_item(name, content_index=0, text=text, logprobs=[])
            data += self.of_item("response.content_part.done", content_index=0, part=part)
        elif block.kind == "call":
            name = "response.function_call_arguments.done"
            data += self.of_item(name, name=block.name, arguments=text)
        if "status" in item:
            item["status"] = status
        index = len(self.output)
        data += self.event("response.output_item.done", output_index=index, item=item)
        self.output.append(item)
        return data

    def write(self, piece: Piece) -> bytes:
        kind = "call" if piece.kind == "arguments" else piece.kind
        data = b""
        if self.open is None or (self.open.kind, self.open.call) != (kind, piece.call):
            data = self.finish()
            name = piece.text if kind == "call" else ""
            data += self.begin(Block(0, kind, "", name, piece.call))
        if piece.kind == "reasoning_content":
            if not self.texts:
                part = {"type": "summary_text", "text": ""}
                name = "response.reasoning_summary_part.added"
                data += self.of_item(name, summary_index=0, part=part)
            name = "response.reasoning_summary_text.delta"
            data += self.of_item(name, summary_index=0, delta=piece.text)
        elif piece.kind == "content":
            data += self.text(piece.text)
        elif piece.kind == "arguments":
            data += self.of_item("response.function_call_arguments.delta", delta=piece.text)
        if piece.kind != "call":
            self.texts.append(piece.text)
        if self.ask.wish.usage == "cumulative":
            data += self.progress()
        return data

    def text(self, text: str) -> bytes:
        return self.of_item("response.output_text.delta", content_index=0, delta=text, logprobs=[])

    def progress(self) -> bytes:
        running = self.talk.response(self.ask, "in_progress", self.output, self.usage_now())
        return self.event("response.in_progress", response=running)

    def broken(self) -> bytes:
        name = b'{"type":"response.output_text.delta","sequence_number":%d,"delta":"cut'
        return self.head("response.output_text.delta") + name % self.number + self.end

    def garbled(self) -> bytes:
        return self.text("@").replace(b'"@"', b'" \xff\xfe\xc3("')

    def failure(self) -> bytes:
        """`response.failed`, or a bare `error` where nothing was created."""
        if not self.number:
            text = "The engine is overloaded."
            return self.event("error", code="server_is_overloaded", message=text, param=None)
        failed = self.talk.response(self.ask, "failed", self.output, error=_FAILED)
        return self.event("response.failed", response=failed)

    def closing(self) -> Iterator[Step]:
        ask, wish = self.ask, self.ask.wish
        status, more = self.talk.ended(self.told.finish[0])
        if data := self.finish("completed" if status == "completed" else "incomplete"):
            yield from self.emit(data, self.held)
        if wish.usage == "twice":
            yield from self.emit(self.progress())
        usage = None if wish.usage in ("none", "start", "null") else self.usage_now()
        whole = self.talk.response(ask, status, self.output, usage, **more)
        if wish.usage in ("none", "start"):
            del whole["usage"]
        if not wish.nodone:
            yield from self.emit(self.event(f"response.{status}", response=whole))
        if ask.is_fault("F30"):
            again = self.talk.response(ask, "incomplete", self.output, usage)
            yield self.event("response.incomplete", response=again)
            yield self.text(" after the end")
            yield self.event("response.completed", response=whole)
