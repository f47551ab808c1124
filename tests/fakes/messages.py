"""Anthropic's Messages: named events, blocks one after the other, seals on the thinking."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tests.fakes.answer import Block, Piece, blocks, compact, minus
from tests.fakes.books import Row
from tests.fakes.directives import Directives, Fault
from tests.fakes.question import (
    Conversation,
    Problem,
    Question,
    Wrong,
    from_base64,
    from_url,
    seal_of,
    unknown_in,
)
from tests.fakes.story import Ask, Plan, Stream, Talk
from tests.fakes.wire import Signal, Step

_FIELDS = (
    "model max_tokens messages system temperature top_p top_k stop_sequences stream tools "
    "tool_choice thinking output_config metadata service_tier container mcp_servers "
    "context_management"
)
_COUNT_FIELDS = "model messages system tools tool_choice thinking output_config mcp_servers"
_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error",
    403: "permission_error", 404: "not_found_error", 413: "request_too_large",
    429: "rate_limit_error", 500: "api_error", 503: "overloaded_error", 504: "timeout_error",
    529: "overloaded_error",
}  # fmt: skip
_STOPS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_REDACTED = "redacted"


class Messages(Talk):
    """POST …/messages"""

    dialect = "messages"
    operation = "messages"
    prefix = "msg_"
    fields = frozenset(_FIELDS.split())
    line = b'event: content_block_delta\ndata: {"type":"content_block_delta","text":"'

    def credential(
        self, headers: Mapping[str, str], query: Mapping[str, str]
    ) -> tuple[str, str | None]:
        """`x-api-key`; the official client sends its key as a Bearer token."""
        kind, _, key = headers.get("authorization", "").partition(" ")
        if "x-api-key" not in headers and kind.lower() == "bearer":
            return "bearer", key
        return "x-api-key", headers.get("x-api-key")

    def no_key(self, value: str | None) -> Problem:
        return Problem(401, "invalid x-api-key" if value else "x-api-key header is required")

    def error(self, problem: Problem) -> Any:
        kind = _TYPES.get(problem.status, "invalid_request_error")
        error = {"type": kind, "message": problem.message}
        return {"type": "error", "error": error, "request_id": "req_fake"}

    def overloaded(self) -> Any:
        error = {"details": None, "type": "overloaded_error", "message": "Overloaded"}
        return {"type": "error", "error": error, "request_id": "req_fake"}

    def unknown(self, name: str) -> Problem:
        return Problem(400, f"{name}: Extra inputs are not permitted")

    def adapt(self, problem: Problem) -> Problem:
        match problem.fault:
            case Fault("F6", "422"):
                return replace(problem, status=400, message="temperature: range: 0..1")
            case Fault("F6", "context"):
                text = "prompt is too long: 130012 tokens > 128000 maximum"
                return replace(problem, message=text)
            case Fault("F6", "content"):
                return replace(problem, message="Output blocked by content filtering policy")
            case Fault("F7"):
                return replace(problem, message=f"model: {self.question.model}")
            case Fault("F8"):
                limits = {
                    "anthropic_ratelimit_requests_limit": "50",
                    "anthropic_ratelimit_requests_remaining": "0",
                    "anthropic_ratelimit_requests_reset": "2026-01-01T00:00:07Z",
                }
                return replace(problem, headers={**problem.headers, **limits})
            case Fault("F9", "429"):
                text = "Your credit balance is too low to access the API."
                named = {**problem.headers, "request_id": "req_fake"}
                return replace(problem, status=400, message=text, headers=named)
        return problem

    def head_fields(self, row: Row) -> dict[str, str]:
        return {"request-id": f"req_{row.seq}"}

    # ---- reading

    def read(self, body: dict[str, Any], headers: Mapping[str, str]) -> Question:
        if "anthropic-version" not in headers:
            raise Wrong(400, "anthropic-version: header is required")
        for name in ("model", "messages"):
            if not body.get(name) and body.get(name) != []:
                raise Wrong(400, f"{name}: Field required")
        self.rules(body)
        received = Conversation(name_max=128)
        received.turn()
        for text in _texts(body.get("system")):
            received.system(text)
        _Reader(received).all(body["messages"])
        tools = body.get("tools") or []
        for i, tool in enumerate(tools):
            _check_tool(i, tool)
            received.count(f"{tool['name']} {tool.get('description', '')}")
        return Question.of(
            body["model"],
            received,
            stream=body.get("stream") is True,
            cap=body.get("max_tokens"),
            tools=[tool["name"] for tool in tools if "input_schema" in tool],
            form=_form(body.get("output_config")),
            unknown=unknown_in(body, self.fields),
            stops=body.get("stop_sequences") or [],
        )

    def rules(self, body: dict[str, Any]) -> None:
        """What the provider asks of the top-level fields."""
        cap = body.get("max_tokens")
        if cap is None:
            raise Wrong(400, "max_tokens: Field required")
        if type(cap) is not int or cap < 1:
            raise Wrong(400, "max_tokens: Input should be greater than or equal to 1")
        temperature = body.get("temperature")
        if temperature is not None and not 0 <= temperature <= 1:
            raise Wrong(400, "temperature: range: 0..1")
        if any(not stop.strip() for stop in body.get("stop_sequences") or ()):
            raise Wrong(400, "stop_sequences: each stop sequence must contain non-whitespace")
        _closed_objects(_form(body.get("output_config")))
        thinking = body.get("thinking") or {"type": "disabled"}
        match thinking:
            case {"type": "disabled"}:
                return
            case {"type": "enabled", "budget_tokens": int(budget)}:
                if budget < 1024:
                    least = "Input should be greater than or equal to 1024"
                    raise Wrong(400, f"thinking.enabled.budget_tokens: {least}")
                if budget >= cap:
                    raise Wrong(400, "`max_tokens` must be greater than `thinking.budget_tokens`.")
            case {"type": "adaptive"}:
                pass
            case _:
                raise Wrong(400, "thinking.enabled.budget_tokens: Field required")
        if temperature not in (None, 1) or body.get("top_k") is not None:
            raise Wrong(400, "`temperature` may only be set to 1 when thinking is enabled.")
        if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
            raise Wrong(400, "Thinking may not be enabled when tool_choice forces tool use.")
        _thinking_first(body["messages"])

    # ---- answering

    def usage(self, usage: dict[str, Any]) -> dict[str, Any]:
        """The cached tokens stand outside `input_tokens`; no total."""
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        written = usage["prompt_tokens_details"].get("cache_write_tokens", 0)
        long = min(self._written_1h, written)
        used = {"server_tool_use": {"web_search_requests": self._searches}}
        return (used if self._searches else {}) | {
            "input_tokens": minus(usage["prompt_tokens"], cached, written),
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": cached,
            "cache_creation": {
                "ephemeral_5m_input_tokens": written - long,
                "ephemeral_1h_input_tokens": long,
            },
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {
                "thinking_tokens": usage["completion_tokens_details"]["reasoning_tokens"]
            },
        }

    _written_1h = 0
    _searches = 0

    def check(self, body: dict[str, Any], wish: Directives) -> None:
        self._written_1h = wish.cache_write_1h
        self._searches = wish.searches

    def stop(self, finish: str) -> dict[str, Any]:
        text = None
        if finish == "stop_sequence":
            text = (self.question.stops or ["END"])[0]
        return {"stop_reason": _STOPS.get(finish, finish), "stop_sequence": text}

    def message(self, ask: Ask) -> dict[str, Any]:
        return {
            "id": ask.row.id,
            "type": "message",
            "role": "assistant",
            "model": ask.question.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }

    def plain(self, ask: Ask, plan: Plan, pieces: list[Piece]) -> bytes:
        content = [_block(ask, block) for block in blocks(pieces)]
        if plan.hidden:
            content.insert(0, redacted())
        stop = self.stop(plan.finish[0])
        if ask.is_fault("F38") and ask.question.calls(ask.wish):
            content[-1]["input"] = {}
            stop["stop_reason"] = "max_tokens"
        body = self.message(ask) | {"content": content} | stop
        if ask.wish.usage != "none":
            usage = ask.report(ask.counted(plan.hidden + len(pieces)))
            if usage is not None:
                usage["service_tier"] = "standard"
            body["usage"] = usage
        return compact(body)

    def stream(self, ask: Ask, plan: Plan) -> Stream:
        return MessagesStream(ask, plan, self)


class CountTokens(Messages):
    """POST …/messages/count_tokens"""

    operation = "count_tokens"
    fields = frozenset(_COUNT_FIELDS.split())
    free = True
    streams = False

    def rules(self, body: dict[str, Any]) -> None:
        return

    def plain(self, ask: Ask, plan: Plan, pieces: list[Piece]) -> bytes:
        return compact({"input_tokens": ask.row.prompt_tokens})


def redacted() -> dict[str, Any]:
    return {"type": "redacted_thinking", "data": seal_of("anthropic", _REDACTED)}


def _block(ask: Ask, block: Block) -> dict[str, Any]:
    match block.kind:
        case "reasoning_content":
            seal = seal_of("anthropic", block.text)
            return {"type": "thinking", "thinking": block.text, "signature": seal}
        case "call":
            try:
                body = json.loads(block.text or "{}")
            except ValueError:  # the cap fell inside the arguments
                body = {}
            return _tool_use(ask, block.call, block.name, body)
    return {"type": "text", "text": block.text}


def _tool_use(ask: Ask, call: int, name: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_use", "id": ask.call_id("toolu", 0, call), "name": name, "input": fields}


# ---- reading


def _texts(content: Any) -> Iterator[str]:
    for part in [{"text": content}] if isinstance(content, str) else content or ():
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]


def _form(output_config: Any) -> dict[str, Any] | None:
    match output_config:
        case {"format": {"type": "json_schema", "schema": dict(schema)}}:
            return dict(schema)
    return None


def _closed_objects(schema: Any) -> None:
    """An object in the schema of an answer names all its members."""
    if isinstance(schema, list):
        for one in schema:
            _closed_objects(one)
    elif isinstance(schema, dict):
        if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
            message = "For 'object' type, 'additionalProperties' must be explicitly set to false"
            raise Wrong(400, f"output_config.format.schema: {message}")
        for one in schema.values():
            _closed_objects(one)


def _check_tool(i: int, tool: dict[str, Any]) -> None:
    if not _NAME.fullmatch(tool.get("name") or ""):
        pattern = "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"
        raise Wrong(400, f"tools.{i}.custom.name: {pattern}")
    if tool.get("type") in (None, "custom"):
        schema = tool.get("input_schema")
        if not isinstance(schema, dict):
            raise Wrong(400, f"tools.{i}.custom.input_schema: Field required")
        if schema.get("type") != "object":
            text = "Input should be 'object'" if "type" in schema else "Field required"
            raise Wrong(400, f"tools.{i}.custom.input_schema.type: {text}")


def _thinking_first(messages: list[Any]) -> None:
    """With thinking on, the last assistant turn with calls begins with its thinking."""
    for i in range(len(messages) - 1, -1, -1):
        content = messages[i].get("content")
        if messages[i].get("role") != "assistant" or not isinstance(content, list) or not content:
            continue
        first = content[0].get("type")
        calls = any(block.get("type") == "tool_use" for block in content)
        if calls and first not in ("thinking", "redacted_thinking"):
            text = f"Expected `thinking` or `redacted_thinking`, but found `{first}`."
            more = "When `thinking` is enabled, a final `assistant` message must start with one."
            raise Wrong(400, f"messages.{i}.content.0.type: {text} {more}")
        return


class _Reader:
    """Reads the turns and judges them as the provider does."""

    def __init__(self, received: Conversation) -> None:
        self.heard = received
        self.called: list[str] = []  # by the turn before

    def all(self, messages: Any) -> None:
        if not isinstance(messages, list) or not messages:
            raise Wrong(400, "messages: at least one message is required")
        if messages[0].get("role") != "user":
            raise Wrong(400, 'messages: first message must use the "user" role')
        for i, message in enumerate(messages):
            self.message(i, message)
        if self.called:
            ids = ", ".join(self.called)
            self.unanswered(len(messages) - 1, ids)
        last = messages[-1]
        texts = list(_texts(last.get("content")))
        if last["role"] == "assistant" and texts and texts[-1] != texts[-1].rstrip():
            text = "final assistant content cannot end with trailing whitespace"
            raise Wrong(400, f"messages: {text}")

    def unanswered(self, i: int, ids: str) -> None:
        text = "`tool_use` ids were found without `tool_result` blocks immediately after"
        raise Wrong(400, f"messages.{i}: {text}: {ids}")

    def message(self, i: int, message: dict[str, Any]) -> None:
        role, content = message.get("role"), message.get("content")
        if role not in ("user", "assistant"):
            raise Wrong(400, f"messages.{i}.role: Input should be 'user' or 'assistant'")
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        if not isinstance(content, list) or not content:
            raise Wrong(400, f"messages.{i}: all messages must have non-empty content")
        turn = self.heard.turn(role=role)
        open_calls, self.called = self.called, []
        for j, block in enumerate(content):
            self.block(f"messages.{i}.content.{j}", role, block, open_calls)
        if open_calls:
            self.unanswered(i - 1, ", ".join(open_calls))
        turn.user = role == "user" and bool(turn.texts)

    def block(self, place: str, role: str, block: dict[str, Any], open_calls: list[str]) -> None:
        received = self.heard
        match block:
            case {"type": "text", "text": str(text)}:
                if not text.strip():
                    raise Wrong(400, "messages: text content blocks must be non-empty")
                received.say(text)
            case {"type": "image" | "document" as kind, "source": dict(source)}:
                heard_kind = "file" if kind == "document" else "image"
                _see(received, heard_kind, source)
            case {"type": "tool_use", "id": str(call), "name": str(name), "input": dict(inputs)}:
                if not _NAME.fullmatch(call):
                    pattern = "String should match pattern '^[a-zA-Z0-9_-]+$'"
                    raise Wrong(400, f"{place}.tool_use.id: {pattern}")
                if call in self.called:
                    raise Wrong(400, "messages: `tool_use` ids must be unique")
                self.called.append(call)
                received.called(name, compact(inputs).decode())
            case {"type": "tool_use"}:
                raise Wrong(400, f"{place}.tool_use.input: Input should be a valid dictionary")
            case {"type": "tool_result", "tool_use_id": call}:
                if call not in open_calls:
                    text = f"unexpected `tool_use_id` found in `tool_result` blocks: {call}"
                    raise Wrong(400, f"{place}: {text}")
                open_calls.remove(call)
                self.result(block)
            case {"type": "thinking"}:
                self.thinking(place, block)
            case {"type": "redacted_thinking", "data": data}:
                if data != seal_of("anthropic", _REDACTED):
                    raise Wrong(400, f"{place}: Invalid `data` in `redacted_thinking` block")
                received.seals += 1
            case {"type": "server_tool_use" | "web_search_tool_result" | "search_result"}:
                received.tokens += 1
            case _:
                tag = block.get("type")
                raise Wrong(400, f"{place}: Input tag '{tag}' found using 'type' does not match")

    def thinking(self, place: str, block: dict[str, Any]) -> None:
        """Thinking counts nothing when it comes back, but its seal must be there and right."""
        if "signature" not in block:
            raise Wrong(400, f"{place}.thinking.signature: Field required")
        seal = block["signature"]
        if seal != seal_of("anthropic", block.get("thinking", "")):
            raise Wrong(400, f"{place}: Invalid `signature` in `thinking` block")
        self.heard.seals += 1

    def result(self, block: dict[str, Any]) -> None:
        content = block.get("content")
        for text in _texts(content):
            self.heard.result(f"error: {text}" if block.get("is_error") else text)
        for part in content if isinstance(content, list) else ():
            if isinstance(part.get("source"), dict):
                _see(self.heard, "image" if part["type"] == "image" else "file", part["source"])


def _see(received: Conversation, kind: str, source: dict[str, Any]) -> None:
    match source:
        case {"type": "base64", "media_type": str(media_type), "data": data}:
            received.see(from_base64(kind, media_type, data))
        case {"type": "url", "url": url}:
            received.see(from_url(kind, url))
        case {"type": "text", "data": str(text)}:
            received.count(text)
            received.see(from_base64(kind, "text/plain", base64.b64encode(text.encode())))
        case {"type": "file"}:
            received.tokens += 1
        case _:
            raise Wrong(400, f"{kind}.source: Input does not match any of the expected tags")


# ---- the stream


class MessagesStream(Stream):
    """message_start, blocks, message_delta, message_stop; pings in between."""

    def __init__(self, ask: Ask, plan: Plan, talk: Messages) -> None:
        super().__init__(ask, plan)
        self.talk = talk
        odd = (b"id: 5", b"retry: 1", b"event: odd", b"")
        self.lead = self.eol.join(odd) if ask.is_fault("F31") else b""
        self.index = -1
        self.open: tuple[str, int] | None = None
        self.thought = ""
        self.pinged = False
        self.start = self.head("content_block_delta") + b'{"type":"content_block_delta","index":'

    def head(self, name: str) -> bytes:
        return self.lead + b"event: " + name.encode() + self.eol + self.data

    def event(self, name: str, **more: Any) -> bytes:
        return self.head(name) + compact({"type": name, **more}) + self.end

    def delta(self, delta: bytes) -> bytes:
        return self.start + b'%d,"delta":%b}' % (self.index, delta) + self.end

    def ping(self) -> bytes:
        return self.event("ping")

    def comment(self, number: int) -> bytes:
        return super().comment(number) if number % 2 else self.ping()

    def opening(self) -> Iterator[Step]:
        report = self.told
        yield from self.emit(self.event("message_start", message=self.first_message()))
        self.count = report.hidden
        if report.hidden:
            self.index += 1
            data = self.event("content_block_start", index=self.index, content_block=redacted())
            yield from self.emit(data + self.stopped(), report.hidden)

    def first_message(self) -> dict[str, Any]:
        """The message without its content, with the first counts."""
        ask = self.ask
        message = self.talk.message(ask)
        if ask.wish.usage not in ("none", "finish"):
            usage = ask.counted(1)
            if usage is not None and ask.wish.usage == "early":
                usage = usage | {"prompt_tokens": min(1, usage["prompt_tokens"])}
                usage |= {"prompt_tokens_details": {"cached_tokens": 0}}
            text = ask.report(usage)
            if text is not None:
                del text["output_tokens_details"]
                text["service_tier"] = "standard"
            message["usage"] = text
        return message

    def stopped(self) -> bytes:
        return self.event("content_block_stop", index=self.index)

    def shut(self) -> bytes:
        """The end of the open block; thinking gets its seal."""
        if self.open is None:
            return b""
        kind, self.open = self.open[0], None
        if kind != "reasoning_content":
            return self.stopped()
        seal = compact({"type": "signature_delta", "signature": seal_of("anthropic", self.thought)})
        return self.delta(seal) + self.stopped()

    def open_block(self, piece: Piece) -> bytes:
        self.index += 1
        if piece.kind == "reasoning_content":
            block: dict[str, Any] = {"type": "thinking", "thinking": "", "signature": ""}
        elif piece.kind == "call":
            block = _tool_use(self.ask, piece.call, piece.text, {})
        else:
            block = {"type": "text", "text": ""}
        data = self.event("content_block_start", index=self.index, content_block=block)
        if not self.pinged:
            self.pinged = True
            data += self.ping()
        return data

    def write(self, piece: Piece) -> bytes:
        kind = piece.kind
        block = ("call" if kind == "arguments" else kind, piece.call)
        data = b""
        if block != self.open:
            data = self.shut() + self.open_block(piece)
            self.open = block
        if kind == "content":
            delta = {"type": "text_delta", "text": piece.text}
        elif kind == "reasoning_content":
            self.thought += piece.text
            delta = {"type": "thinking_delta", "thinking": piece.text}
        else:
            text = "" if kind == "call" else piece.text
            delta = {"type": "input_json_delta", "partial_json": text}
        data += self.delta(compact(delta))
        if self.ask.wish.usage == "cumulative":
            data += self.usage_event({"stop_reason": None, "stop_sequence": None})
        return data

    def usage_event(self, delta: dict[str, Any]) -> bytes:
        """A message_delta; its counts are those of the whole answer so far."""
        if self.ask.wish.usage in ("none", "start"):
            return self.event("message_delta", delta=delta)
        usage = self.usage_now()
        if usage is not None:
            usage = {name: value for name, value in usage.items() if name != "cache_creation"}
            self.ask.row.reported_raw = usage
        return self.event("message_delta", delta=delta, usage=usage)

    def broken(self) -> bytes:
        cut = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"cut'
        return self.head("content_block_delta") + cut + self.end

    def garbled(self) -> bytes:
        return self.delta(b'{"type":"text_delta","text":" \xff\xfe\xc3("}')

    def failure(self) -> bytes:
        return self.head("error") + compact(self.talk.overloaded()) + self.end

    def closing(self) -> Iterator[Step]:
        ask = self.ask
        if data := self.shut():
            yield from self.emit(data)
        stop = self.talk.stop(self.told.finish[0])
        yield from self.emit(self.usage_event(stop))
        if ask.wish.linger:
            yield Signal.HOLD
        if ask.wish.usage == "twice":
            yield from self.emit(self.usage_event(stop))
        if ask.is_fault("F30"):
            yield self.usage_event({"stop_reason": "max_tokens", "stop_sequence": None})
        if not ask.wish.nodone:
            yield from self.emit(self.event("message_stop"))
        if ask.is_fault("F30"):
            self.index += 1
            block = {"type": "text", "text": ""}
            yield self.event("content_block_start", index=self.index, content_block=block)
            yield self.delta(compact({"type": "text_delta", "text": " after the end"}))
            yield self.event("message_stop")
