"""OpenAI's chat completions, and the completions of old that are written much like them."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from tests.fakes.answer import Block, Piece, blocks, compact
from tests.fakes.directives import Directives
from tests.fakes.openai_talk import OpenAITalk
from tests.fakes.question import (
    Conversation,
    Question,
    Wrong,
    from_base64,
    from_url,
    positive,
    unknown_in,
)
from tests.fakes.story import CREATED, Ask, Plan, Stream
from tests.fakes.wire import Signal, Step

_FIELDS = (
    "model messages temperature top_p n stream stream_options stop max_tokens "
    "max_completion_tokens presence_penalty frequency_penalty logit_bias seed user tools "
    "tool_choice parallel_tool_calls response_format logprobs top_logprobs reasoning_effort "
    "modalities audio thinking enable_thinking parameters web_search_options search_parameters "
    "metadata store service_tier prediction verbosity prompt_cache_key prompt_cache_retention "
    "safety_identifier functions function_call"
)
_COMPLETION_FIELDS = (
    "model prompt max_tokens temperature top_p n best_of stream stream_options logprobs echo stop "
    "presence_penalty frequency_penalty logit_bias seed suffix user"
)


def _stream_rules(body: Mapping[str, Any]) -> None:
    if body.get("stream_options") is not None and not body.get("stream"):
        text = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Wrong(400, text, param="stream_options")
    positive(body, "max_tokens", "max_completion_tokens", "n")


class Chat(OpenAITalk):
    """POST …/chat/completions"""

    dialect = "chat"
    operation = "chat_completions"
    prefix = "chatcmpl-"
    fields = frozenset(_FIELDS.split())
    spine = b'"content":"'
    line = b'data: {"choices":[{"delta":{"content":"'

    def read(self, body: dict[str, Any], headers: Mapping[str, str]) -> Question:
        model = self.model_of(body)
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise Wrong(400, "Required parameter 'messages' is missing.", param="messages")
        if not all(isinstance(message, dict) and "role" in message for message in messages):
            raise Wrong(400, "Every message needs a role.", param="messages")
        _stream_rules(body)
        _calls_are_answered(messages)
        received = Conversation()
        for message in messages:
            _hear(received, message)
        tools = [tool["function"] for tool in body.get("tools") or () if "function" in tool]
        for tool in tools:
            received.count(f"{tool.get('name', '')} {tool.get('description', '')}")
        return Question.of(
            model,
            received,
            stream=bool(body.get("stream")),
            include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
            choices=body.get("n") or 1,
            cap=body.get("max_completion_tokens") or body.get("max_tokens"),
            tools=[tool["name"] for tool in tools],
            form=_form(body.get("response_format")),
            unknown=unknown_in(body, self.fields),
        )

    def check(self, body: dict[str, Any], wish: Directives) -> None:
        """`#seals`: DeepSeek wants the reasoning of a turn with calls back."""
        for i, message in enumerate(body["messages"]):
            if wish.seals and message.get("tool_calls") and not message.get("reasoning_content"):
                text = f"Missing `reasoning_content` field in the assistant message at index {i}."
                raise Wrong(400, text)

    def plain(self, ask: Ask, plan: Plan, pieces: list[Piece]) -> bytes:
        result = blocks(pieces)
        choices = [
            {
                "index": i,
                "message": _message(ask, [block for block in result if block.choice == i]),
                "logprobs": None,
                "finish_reason": finish,
            }
            for i, finish in enumerate(plan.finish)
        ]
        body: dict[str, Any] = {
            "id": ask.row.id,
            "object": "chat.completion",
            "created": CREATED,
            "model": ask.question.model,
            "choices": choices,
        }
        if ask.wish.usage != "none":
            body["usage"] = ask.report(ask.counted(plan.hidden + len(pieces)))
        return compact(body | {"system_fingerprint": "fp_fake"})

    def stream(self, ask: Ask, plan: Plan) -> Stream:
        return ChatStream(ask, plan)


def _calls_are_answered(messages: list[dict[str, Any]]) -> None:
    """A turn with calls is followed by their results, each by the id of its call."""
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message.get("tool_call_id") not in waiting:
                text = "messages with role 'tool' must be a response to a preceding message"
                raise Wrong(400, f"Invalid parameter: {text} with 'tool_calls'.", param="messages")
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            break
        waiting = [call["id"] for call in message.get("tool_calls") or ()]
    if waiting:
        text = "An assistant message with 'tool_calls' must be followed by tool messages"
        ids = ", ".join(waiting)
        raise Wrong(400, f"{text} responding to each 'tool_call_id': {ids}", param="messages")


def _hear(received: Conversation, message: dict[str, Any]) -> None:
    role, content = message["role"], message.get("content")
    turn = received.turn(role == "user", "system" if role == "developer" else role)
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    for part in content if isinstance(content, list) else ():
        text = part.get("text")
        if isinstance(text, str):
            if role == "tool":
                received.result(text)
            else:
                received.say(text)
            continue
        match part:
            case {"type": "image_url", "image_url": {"url": url}}:
                received.see(from_url("image", url))
            case {"type": "video_url", "video_url": {"url": url}}:
                received.see(from_url("video", url))
            case {"type": "input_audio", "input_audio": {"data": data, **more}}:
                received.see(from_base64("audio", f"audio/{more.get('format')}", data))
            case {"type": "file", "file": {"file_data": url}}:
                received.see(from_url("file", url))
            case _:
                received.tokens += 1
    for call in message.get("tool_calls") or ():
        received.called(call["function"]["name"], call["function"]["arguments"])
    turn.user = role == "user"


def _form(wanted: Any) -> dict[str, Any] | None:
    match wanted:
        case {"type": "json_object"}:
            return {}
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return dict(schema)
        case {"type": "json_schema"}:
            text = "Missing required parameter: 'response_format.json_schema'."
            raise Wrong(400, text, param="response_format.json_schema")
    return None


def _message(ask: Ask, mine: list[Block]) -> dict[str, Any]:
    """The blocks of one choice as the message of a plain answer."""
    content = "".join(block.text for block in mine if block.kind == "content")
    reasoning = "".join(block.text for block in mine if block.kind == "reasoning_content")
    calls = [
        {
            "id": ask.call_id("call", block.choice, block.call),
            "type": "function",
            "function": {"name": block.name, "arguments": block.text},
        }
        for block in mine
        if block.kind == "call"
    ]
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["content"] = content or None
        message["tool_calls"] = calls
    return message


@lru_cache(4096)
def _text_delta(kind: str, text: str) -> bytes:
    """The delta of a piece of text; the vocabulary is small and the load is not."""
    return compact({kind: text})


class ChatStream(Stream):
    """`chat.completion.chunk` after `chat.completion.chunk`, then `[DONE]`."""

    kind = "chat.completion.chunk"
    unfinished = b',"logprobs":null,"finish_reason":null}]'
    bare = b"{}"  # the delta of a finish
    lead_of_delta = b'"delta":'

    def __init__(self, ask: Ask, plan: Plan) -> None:
        super().__init__(ask, plan)
        lead = self.data
        if ask.is_fault("F31"):
            lead = self.eol.join((b"event: message_stop", b"id: 5", b"retry: 1", lead))
        self.lead = lead
        top = {
            "id": ask.row.id,
            "object": self.kind,
            "created": CREATED,
            "model": ask.question.model,
            "system_fingerprint": "fp_fake",
        }
        self.top = compact(top)[:-1] + b',"choices":['
        self.starts = [
            self.lead + self.top + b'{"index":%d,' % i + self.lead_of_delta
            for i in range(ask.question.choices)
        ]
        self.running = ask.wish.usage == "cumulative"
        with_null = ask.question.include_usage and ask.wish.usage == "auto"
        self.tail = (b',"usage":null}' if with_null else b"}") + self.end
        self.rest = self.unfinished + self.tail

    def frame(self, data: bytes) -> bytes:
        return self.lead + data + self.end

    def tail_now(self) -> bytes:
        """The tail of a chunk that carries usage (or its null)."""
        if self.running:
            return b',"usage":' + compact(self.usage_now()) + b"}" + self.end
        return self.tail

    def delta(self, choice: int, delta: bytes, finish: str | None = None) -> bytes:
        if finish is None:
            if self.running:
                return self.starts[choice] + delta + self.unfinished + self.tail_now()
            return self.starts[choice] + delta + self.rest
        reason = b',"logprobs":null,"finish_reason":' + compact(finish) + b"}]"
        return self.starts[choice] + delta + reason + self.tail_now()

    def text(self, kind: str, text: str) -> bytes:
        return _text_delta(kind, text)

    def write(self, piece: Piece) -> bytes:
        kind = piece.kind
        if kind == "content" or kind == "reasoning_content":
            if not self.running:  # the way of the load
                return self.starts[piece.choice] + _text_delta(kind, piece.text) + self.rest
            return self.delta(piece.choice, _text_delta(kind, piece.text))
        call: dict[str, Any] = {"index": piece.call, "function": {"arguments": piece.text}}
        if kind == "call":
            call = {
                "index": piece.call,
                "id": self.ask.call_id("call", piece.choice, piece.call),
                "type": "function",
                "function": {"name": piece.text, "arguments": ""},
            }
        return self.delta(piece.choice, compact({"tool_calls": [call]}))

    def usage_frame(self, usage: dict[str, Any] | None) -> bytes:
        return self.frame(self.top + b'],"usage":' + compact(self.ask.report(usage)) + b"}")

    def opening(self) -> Iterator[Step]:
        ask, message = self.ask, self.told
        if ask.wish.comments:
            yield b": connected" + self.end
        talk = ask.talk
        if isinstance(talk, OpenAITalk) and talk.azure:
            yield self.frame(_AZURE_FIRST)
        if ask.wish.usage in ("early", "start"):
            early = ask.counted(1)
            yield self.usage_frame(early)
        self.count = message.hidden
        yield from self.roles()

    def roles(self) -> Iterator[Step]:
        for choice in range(self.ask.question.choices):
            role = self.delta(choice, b'{"role":"assistant","content":""}')
            yield from self.emit(role, self.told.hidden if choice == 0 else 0)

    def broken(self) -> bytes:
        return self.frame(self.top + b'{"index":0,"delta":{"content":"cut')

    def garbled(self) -> bytes:
        return self.delta(0, b'{"content":" \xff\xfe\xc3("}')

    def failure(self) -> bytes:
        return self.frame(compact(self.ask.talk.overloaded()))

    def closing(self) -> Iterator[Step]:
        ask, wish = self.ask, self.ask.wish
        at_finish = wish.usage == "finish"
        for choice, finish in enumerate(self.told.finish):
            data = self.delta(choice, self.bare, finish)
            if at_finish and choice == len(self.told.finish) - 1:
                usage = compact(self.usage_now())
                data = data[: -len(self.end) - 1] + b',"usage":' + usage + b"}" + self.end
            if wish.usage == "groq" and choice == len(self.told.finish) - 1:
                groq = compact({"id": "req_1", "usage": self.usage_now()})
                data = data[: -len(self.end) - 1] + b',"x_groq":' + groq + b"}" + self.end
            yield from self.emit(data)
        if wish.linger:
            yield Signal.HOLD
        if ask.is_fault("F30"):
            yield self.delta(0, self.bare, "length")
        silent = wish.usage in (
            "none",
            "start",
            "finish",
            "cumulative",
            "groq",
            "behind",
            "open",
        ) or not (ask.question.include_usage or wish.usage not in ("auto", "early"))
        if not silent:
            usage_now = ask.counted(self.count)
            yield from self.emit(self.usage_frame(usage_now))
            if wish.usage == "twice":
                yield from self.emit(self.usage_frame(usage_now))
        if not wish.nodone:
            yield from self.emit(self.frame(b"[DONE]"))
        if wish.usage == "behind":
            yield from self.emit(self.usage_frame(ask.counted(self.count)))
        if wish.usage == "open":
            yield Signal.HOLD
        if ask.is_fault("F30"):
            yield self.delta(0, self.text("content", " after the end"))
            yield self.frame(b"[DONE]")


_AZURE_FIRST = compact(
    {
        "choices": [],
        "created": 0,
        "id": "",
        "model": "",
        "object": "",
        "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}],
    }
)


class Completions(OpenAITalk):
    """POST …/completions"""

    dialect = "completions"
    operation = "completions"
    prefix = "cmpl-"
    fields = frozenset(_COMPLETION_FIELDS.split())
    line = b'data: {"choices":[{"text":"'

    def read(self, body: dict[str, Any], headers: Mapping[str, str]) -> Question:
        model = self.model_of(body)
        prompt = body.get("prompt")
        if not isinstance(prompt, str | list) or prompt == []:
            raise Wrong(400, "Required parameter 'prompt' is missing.", param="prompt")
        _stream_rules(body)
        received = Conversation()
        prompts = prompt if isinstance(prompt, list) else [prompt]
        if isinstance(prompts[0], int):
            prompts = [prompts]
        for one in prompts:
            received.turn(user=True)
            if isinstance(one, str):
                received.say(one)
            else:
                received.tokens += len(one)
        cap = body.get("max_tokens")
        return Question.of(
            model,
            received,
            stream=bool(body.get("stream")),
            include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
            choices=(body.get("n") or 1) * len(prompts),
            cap=16 if cap is None else cap,
            unknown=unknown_in(body, self.fields),
        )

    def plain(self, ask: Ask, plan: Plan, pieces: list[Piece]) -> bytes:
        texts = [""] * len(plan.finish)
        for piece in pieces:
            texts[piece.choice] += piece.text if piece.kind == "content" else ""
        body: dict[str, Any] = {
            "id": ask.row.id,
            "object": "text_completion",
            "created": CREATED,
            "model": ask.question.model,
            "choices": [
                {"text": texts[i], "index": i, "logprobs": None, "finish_reason": _old(finish)}
                for i, finish in enumerate(plan.finish)
            ],
        }
        if ask.wish.usage != "none":
            body["usage"] = ask.report(ask.counted(plan.hidden + len(pieces)))
        return compact(body)

    def usage(self, usage: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in usage.items() if not name.endswith("_details")}

    def stream(self, ask: Ask, plan: Plan) -> Stream:
        return CompletionsStream(ask, plan)


def _old(finish: str) -> str:
    return "stop" if finish == "tool_calls" else finish


@lru_cache(4096)
def _text(text: str) -> bytes:
    return compact(text)


class CompletionsStream(ChatStream):
    """`text_completion` after `text_completion`; what is no text is counted and not shown."""

    kind = "text_completion"
    bare = b'""'
    lead_of_delta = b'"text":'

    def text(self, kind: str, text: str) -> bytes:
        return _text(text)

    def write(self, piece: Piece) -> bytes:
        return self.delta(piece.choice, _text(piece.text)) if piece.kind == "content" else b""

    def roles(self) -> Iterator[Step]:
        yield from self.emit(b"", self.told.hidden) if self.told.hidden else ()

    def delta(self, choice: int, delta: bytes, finish: str | None = None) -> bytes:
        return super().delta(choice, delta, None if finish is None else _old(finish))

    def broken(self) -> bytes:
        return self.frame(self.top + b'{"index":0,"text":"cut')

    def garbled(self) -> bytes:
        return self.delta(0, b'" \xff\xfe\xc3("')

    def closing(self) -> Iterator[Step]:
        if self.held:
            yield from self.emit(self.comment(0), self.held)
        yield from super().closing()
