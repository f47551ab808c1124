"""Six clients, one per dialect: how each asks, and what each reads from an answer.

They share no code with the product, and read answers strictly: what a client of that dialect could
not understand fails here.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.eventstream import EventStreamBuffer

from tests.support.hub import Answer

PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5E"
    "rkJggg=="
)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOL = {
    "name": "get_weather",
    "description": "The weather of a place",
    "schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@dataclass
class Call:
    id: str
    name: str
    arguments: dict[str, Any]


@dataclass
class SpokenAnswer:
    """What an answer says. `error` is its error object; `whole` says that it has its proper end."""

    text: str = ""
    reasoning: str = ""
    calls: list[Call] = field(default_factory=list)
    finish: str = ""
    usage: tuple[int, int] = (0, 0)
    error: dict[str, Any] | None = None
    whole: bool = False
    turn: Any = None


@dataclass
class Wish:
    """What a test asks for."""

    text: str = "hello"
    stream: bool = False
    tools: bool = False
    image: bool = False
    schema: bool = False
    think: bool = False
    cap: int | None = 4096


class Speaker(ABC):
    """One dialect's client."""

    name: str
    operation: str

    def path(self, model: str, *, stream: bool) -> str:
        return "/v1/chat/completions"

    @abstractmethod
    def body(self, model: str, wish: Wish) -> dict[str, Any]: ...

    @abstractmethod
    def follow(
        self, body: dict[str, Any], text: SpokenAnswer, results: list[str]
    ) -> dict[str, Any]:
        """The same conversation with the answer and the results of its calls."""

    @abstractmethod
    def plain(self, body: dict[str, Any]) -> SpokenAnswer: ...

    @abstractmethod
    def streamed(self, raw: bytes) -> SpokenAnswer: ...

    @abstractmethod
    def error_of(self, body: Any) -> dict[str, Any]:
        """The error object of an error body, its shape checked."""

    def guard_code(self, error: dict[str, Any], *, stream: bool) -> str:
        """The code of the guard in an error object, of a stream that had begun or of a body."""
        code: str = error["code"]
        return code

    def read(self, answer: Answer) -> SpokenAnswer:
        if answer.headers["content-type"] == "application/vnd.amazon.eventstream":
            return self.streamed(answer.body)
        if answer.headers["content-type"].startswith("text/event-stream"):
            return self.streamed(answer.body)
        return self.plain(answer.json())


def frames(raw: bytes) -> list[tuple[str, str]]:
    """(event name, data) of every event; comments are passed over."""
    text = re.sub("\r\n|\r", "\n", raw.decode())
    assert text.endswith("\n\n"), raw[-80:]
    results = []
    for block in text.split("\n\n"):
        event, data = "", []
        for line in block.split("\n"):
            if line.startswith("event:"):
                event = line.removeprefix("event:").strip()
            elif line.startswith("data:"):
                data.append(line.removeprefix("data:").removeprefix(" "))
        if data:
            results.append((event, "\n".join(data)))
    return results


def _int(value: Any) -> int:
    """A count; what lies about itself (F27) is passed on to a client of the same dialect."""
    return value if isinstance(value, int) else 0


class OpenAI(Speaker):
    name = "openai"
    operation = "chat_completions"

    def body(self, model: str, wish: Wish) -> dict[str, Any]:
        content: Any = wish.text
        if wish.image:
            url = f"data:image/png;base64,{PICTURE}"
            content = [
                {"type": "text", "text": wish.text},
                {"type": "image_url", "image_url": {"url": url}},
            ]
        body: dict[str, Any] = {
            "model": model,
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": content},
            ],
        }
        if wish.cap:
            body["max_completion_tokens"] = wish.cap
        if wish.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        if wish.tools:
            function = {
                "name": TOOL["name"],
                "description": TOOL["description"],
                "parameters": TOOL["schema"],
            }
            body["tools"] = [{"type": "function", "function": function}]
        if wish.schema:
            schema = {"name": "trip", "schema": SCHEMA, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if wish.think:
            body["reasoning_effort"] = "low"
        return body

    def follow(
        self, body: dict[str, Any], text: SpokenAnswer, results: list[str]
    ) -> dict[str, Any]:
        answers = [
            {"role": "tool", "tool_call_id": call.id, "content": result}
            for call, result in zip(text.calls, results, strict=True)
        ]
        return body | {"messages": [*body["messages"], text.turn, *answers]}

    def plain(self, body: dict[str, Any]) -> SpokenAnswer:
        assert body["object"] == "chat.completion"
        choice = body["choices"][0]
        message = choice["message"]
        calls = [
            Call(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
            for call in message.get("tool_calls") or ()
        ]
        usage = body.get("usage") or {"prompt_tokens": 0, "completion_tokens": 0}
        return SpokenAnswer(
            message["content"] or "",
            message.get("reasoning_content") or "",
            calls,
            choice["finish_reason"],
            (usage["prompt_tokens"], usage["completion_tokens"]),
            whole=True,
            turn=message,
        )

    def streamed(self, raw: bytes) -> SpokenAnswer:
        text, calls, arguments = SpokenAnswer(), {}, {}
        message: dict[str, Any] = {"role": "assistant", "content": None}
        for _, data in frames(raw):
            assert not text.whole
            assert text.error is None
            if data == "[DONE]":
                text.whole = True
                continue
            chunk = json.loads(data)
            if "error" in chunk:
                text.error = self.error_of(chunk)
                continue
            assert chunk["object"] == "chat.completion.chunk"
            if chunk.get("usage"):
                usage = chunk["usage"]
                text.usage = (usage["prompt_tokens"], usage["completion_tokens"])
            for choice in chunk["choices"]:
                delta = choice["delta"]
                text.text += delta.get("content") or ""
                text.reasoning += delta.get("reasoning_content") or ""
                for part in delta.get("tool_calls") or ():
                    at = part["index"]
                    if at not in calls:
                        calls[at] = part | {"function": dict(part["function"])}
                        calls[at].pop("index")
                        arguments[at] = ""
                    arguments[at] += part["function"].get("arguments") or ""
                text.finish = choice.get("finish_reason") or text.finish
        for at, call in calls.items():
            call["function"]["arguments"] = arguments[at]
            if text.error is None:
                text.calls.append(
                    Call(call["id"], call["function"]["name"], json.loads(arguments[at]))
                )
        message["content"] = text.text or None
        if text.reasoning:
            message["reasoning_content"] = text.reasoning
        if calls:
            message["tool_calls"] = list(calls.values())
        text.turn = message
        return text

    def error_of(self, body: Any) -> dict[str, Any]:
        error: dict[str, Any] = body["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error


class Responses(Speaker):
    name = "responses"
    operation = "responses"

    def path(self, model: str, *, stream: bool) -> str:
        return "/v1/responses"

    def body(self, model: str, wish: Wish) -> dict[str, Any]:
        content: list[Any] = [{"type": "input_text", "text": wish.text}]
        if wish.image:
            url = f"data:image/png;base64,{PICTURE}"
            content.append({"type": "input_image", "image_url": url})
        body: dict[str, Any] = {
            "model": model,
            "instructions": "Be brief.",
            "input": [{"role": "user", "content": content}],
            "store": False,
        }
        if wish.cap:
            body["max_output_tokens"] = wish.cap
        if wish.stream:
            body["stream"] = True
        if wish.tools:
            tool = {"name": TOOL["name"], "description": TOOL["description"]}
            body["tools"] = [{"type": "function", "parameters": TOOL["schema"], **tool}]
            body["tools"][0]["strict"] = False
        if wish.schema:
            form = {"type": "json_schema", "name": "trip", "schema": SCHEMA, "strict": True}
            body["text"] = {"format": form}
        if wish.think:
            body["reasoning"] = {"effort": "low", "summary": "auto"}
            body["include"] = ["reasoning.encrypted_content"]
        return body

    def follow(
        self, body: dict[str, Any], text: SpokenAnswer, results: list[str]
    ) -> dict[str, Any]:
        answers = [
            {"type": "function_call_output", "call_id": call.id, "output": result}
            for call, result in zip(text.calls, results, strict=True)
        ]
        return body | {"input": [*body["input"], *text.turn, *answers]}

    def plain(self, body: dict[str, Any]) -> SpokenAnswer:
        assert body["object"] == "response"
        text = SpokenAnswer(
            finish=body["status"], whole=body["status"] in ("completed", "incomplete")
        )
        text.turn = body["output"]
        for item in body["output"]:
            if item["type"] == "message":
                text.text += "".join(part["text"] for part in item["content"])
            elif item["type"] == "function_call":
                arguments = json.loads(item["arguments"])
                text.calls.append(Call(item["call_id"], item["name"], arguments))
            elif item["type"] == "reasoning":
                text.reasoning += "".join(part["text"] for part in item["summary"])
        usage = body.get("usage") or {"input_tokens": 0, "output_tokens": 0}
        text.usage = (usage["input_tokens"], usage["output_tokens"])
        return text

    def streamed(self, raw: bytes) -> SpokenAnswer:
        text = reasoning = ""
        output = SpokenAnswer()
        number = -1
        for event, data in frames(raw):
            body = json.loads(data)
            assert body["type"] == event
            assert output.finish == "", "nothing follows the end"
            if event != "error":
                assert body["sequence_number"] == number + 1
            number = body["sequence_number"]
            if event == "response.output_text.delta":
                text += body["delta"]
            elif event == "response.reasoning_summary_text.delta":
                reasoning += body["delta"]
            elif event in ("response.completed", "response.incomplete"):
                output = self.plain(body["response"])
                if event == "response.completed":
                    assert (output.text, output.reasoning) == (text, reasoning)
            elif event == "response.failed":
                output = SpokenAnswer(text, finish="failed", error=body["response"]["error"])
            elif event == "error":
                output = SpokenAnswer(text, finish="error", error=body)
        output.text = output.text or text
        return output

    def error_of(self, body: Any) -> dict[str, Any]:
        error: dict[str, Any] = body["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error

    def guard_code(self, error: dict[str, Any], *, stream: bool) -> str:
        if stream:
            # By its code a client sees that repeating the request is of no use.
            assert error["code"] == "invalid_prompt"
        code: str = error["guard_code" if stream else "code"]
        return code


class Anthropic(Speaker):
    name = "anthropic"
    operation = "messages"

    def path(self, model: str, *, stream: bool) -> str:
        return "/v1/messages"

    def body(self, model: str, wish: Wish) -> dict[str, Any]:
        content: list[Any] = [{"type": "text", "text": wish.text}]
        if wish.image:
            source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
            content.append({"type": "image", "source": source})
        body: dict[str, Any] = {
            "model": model,
            "system": "Be brief.",
            "messages": [{"role": "user", "content": content}],
            "max_tokens": wish.cap or 4096,
        }
        if wish.stream:
            body["stream"] = True
        if wish.tools:
            tool = {"name": TOOL["name"], "description": TOOL["description"]}
            body["tools"] = [tool | {"input_schema": TOOL["schema"]}]
        if wish.schema:
            body["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        if wish.think:
            body["thinking"] = {"type": "enabled", "budget_tokens": 2048}
        return body

    def follow(
        self, body: dict[str, Any], text: SpokenAnswer, results: list[str]
    ) -> dict[str, Any]:
        content = [
            {"type": "tool_result", "tool_use_id": call.id, "content": result}
            for call, result in zip(text.calls, results, strict=True)
        ]
        turns = [{"role": "assistant", "content": text.turn}, {"role": "user", "content": content}]
        return body | {"messages": [*body["messages"], *turns]}

    def plain(self, body: dict[str, Any]) -> SpokenAnswer:
        assert (body["type"], body["role"]) == ("message", "assistant")
        text = SpokenAnswer(finish=body["stop_reason"] or "", whole=True, turn=body["content"])
        for block in body["content"]:
            if block["type"] == "text":
                text.text += block["text"]
            elif block["type"] == "thinking":
                text.reasoning += block["thinking"]
                assert "signature" in block
            elif block["type"] == "tool_use":
                text.calls.append(Call(block["id"], block["name"], block["input"]))
        usage = body.get("usage") or {}
        cached = usage.get("cache_read_input_tokens") or 0
        text.usage = (_int(usage.get("input_tokens")) + cached, _int(usage.get("output_tokens")))
        return text

    def streamed(self, raw: bytes) -> SpokenAnswer:
        message: dict[str, Any] = {}
        arguments: dict[int, str] = {}
        opened = -1
        text = SpokenAnswer()
        for event, data in frames(raw):
            body = json.loads(data)
            assert body["type"] == event
            assert not text.whole
            assert text.error is None
            if event == "message_start":
                message = body["message"]
            elif event == "content_block_start":
                assert opened == -1, "never two open blocks"
                opened = body["index"]
                assert opened == len(message["content"])
                message["content"].append(body["content_block"])
                arguments[opened] = ""
            elif event == "content_block_delta":
                assert body["index"] == opened
                block, delta = message["content"][opened], body["delta"]
                if delta["type"] == "text_delta":
                    block["text"] += delta["text"]
                elif delta["type"] == "thinking_delta":
                    block["thinking"] += delta["thinking"]
                elif delta["type"] == "signature_delta":
                    block["signature"] = delta["signature"]
                elif delta["type"] == "input_json_delta":
                    arguments[opened] += delta["partial_json"]
            elif event == "content_block_stop":
                assert body["index"] == opened
                block = message["content"][opened]
                if block["type"] == "tool_use":
                    block["input"] = json.loads(arguments[opened] or "{}")
                opened = -1
            elif event == "message_delta":
                message["stop_reason"] = body["delta"]["stop_reason"]
                message["usage"] = (message.get("usage") or {}) | (body.get("usage") or {})
            elif event == "message_stop":
                text.whole = True
            elif event == "error":
                text.error = self.error_of(body)
        if message:
            whole, error = text.whole, text.error
            text = self.plain(message)
            text.whole, text.error = whole, error
        return text

    def error_of(self, body: Any) -> dict[str, Any]:
        assert set(body) == {"type", "error", "request_id"}
        assert body["type"] == "error"
        error: dict[str, Any] = body["error"]
        # A provider's own frame may say more.
        assert set(error) >= {"type", "message"}
        return error

    def guard_code(self, error: dict[str, Any], *, stream: bool) -> str:
        code: str = error["details"]["error_code"]
        return code


class Gemini(Speaker):
    name = "gemini"
    operation = "generate_content"

    def path(self, model: str, *, stream: bool) -> str:
        action = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/{model}:{action}"

    def body(self, model: str, wish: Wish) -> dict[str, Any]:
        parts: list[Any] = [{"text": wish.text}]
        if wish.image:
            parts.append({"inlineData": {"mimeType": "image/png", "data": PICTURE}})
        config: dict[str, Any] = {}
        if wish.cap:
            config["maxOutputTokens"] = wish.cap
        if wish.schema:
            config |= {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}
        if wish.think:
            config["thinkingConfig"] = {"thinkingBudget": 2048, "includeThoughts": True}
        body: dict[str, Any] = {
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [{"role": "user", "parts": parts}],
            "generationConfig": config,
        }
        if wish.tools:
            declared = {"name": TOOL["name"], "description": TOOL["description"]}
            declared |= {"parametersJsonSchema": TOOL["schema"]}
            body["tools"] = [{"functionDeclarations": [declared]}]
        return body

    def follow(
        self, body: dict[str, Any], text: SpokenAnswer, results: list[str]
    ) -> dict[str, Any]:
        parts = [
            {"functionResponse": {"name": call.name, "response": {"result": result}}}
            for call, result in zip(text.calls, results, strict=True)
        ]
        for part, call in zip(parts, text.calls, strict=True):
            if call.id:
                part["functionResponse"]["id"] = call.id
        turns = [{"role": "model", "parts": text.turn}, {"role": "user", "parts": parts}]
        return body | {"contents": [*body["contents"], *turns]}

    def plain(self, body: dict[str, Any]) -> SpokenAnswer:
        text = SpokenAnswer()
        self._take(text, body)
        return text

    def _take(self, text: SpokenAnswer, body: dict[str, Any]) -> None:
        if "error" in body:
            text.error = self.error_of(body)
            return
        for candidate in body.get("candidates", ()):
            parts = candidate.get("content", {}).get("parts", [])
            text.turn = [*(text.turn or []), *parts]
            for part in parts:
                if part.get("thought"):
                    text.reasoning += part["text"]
                elif "text" in part:
                    text.text += part["text"]
                elif "functionCall" in part:
                    call = part["functionCall"]
                    text.calls.append(Call(call.get("id", ""), call["name"], call["args"]))
            if candidate.get("finishReason"):
                text.finish, text.whole = candidate["finishReason"], True
        usage = body.get("usageMetadata")
        if usage:
            output = _int(usage.get("candidatesTokenCount")) + usage.get("thoughtsTokenCount", 0)
            text.usage = (usage.get("promptTokenCount", 0), output)

    def streamed(self, raw: bytes) -> SpokenAnswer:
        text = SpokenAnswer()
        for event, data in frames(raw):
            assert event == ""
            assert text.error is None
            self._take(text, json.loads(data))
        return text

    def error_of(self, body: Any) -> dict[str, Any]:
        assert set(body) == {"error"}
        error: dict[str, Any] = body["error"]
        assert set(error) - {"details"} == {"code", "message", "status"}
        return error

    def guard_code(self, error: dict[str, Any], *, stream: bool) -> str:
        (info,) = [one for one in error["details"] if one["@type"].endswith("rpc.ErrorInfo")]
        assert info["domain"] == "weir"
        code: str = info["reason"]
        return code


class Interactions(Speaker):
    name = "interactions"
    operation = "interactions"

    def path(self, model: str, *, stream: bool) -> str:
        return "/v1beta/interactions"

    def body(self, model: str, wish: Wish) -> dict[str, Any]:
        content: list[Any] = [{"type": "text", "text": wish.text}]
        if wish.image:
            content.append({"type": "image", "mime_type": "image/png", "data": PICTURE})
        config: dict[str, Any] = {}
        body: dict[str, Any] = {
            "model": model,
            "system_instruction": "Be brief.",
            "input": [{"type": "user_input", "content": content}],
            "generation_config": config,
            "store": False,
        }
        if wish.cap:
            config["max_output_tokens"] = wish.cap
        if wish.think:
            config |= {"thinking_level": "low", "thinking_summaries": "auto"}
        if wish.stream:
            body["stream"] = True
        if wish.tools:
            tool = {"name": TOOL["name"], "description": TOOL["description"]}
            body["tools"] = [{"type": "function", "parameters": TOOL["schema"], **tool}]
        if wish.schema:
            form = {"type": "text", "mime_type": "application/json", "schema": SCHEMA}
            body["response_format"] = form
        return body

    def follow(
        self, body: dict[str, Any], text: SpokenAnswer, results: list[str]
    ) -> dict[str, Any]:
        answers = [
            {"type": "function_result", "call_id": call.id, "name": call.name, "result": result}
            for call, result in zip(text.calls, results, strict=True)
        ]
        return body | {"input": [*body["input"], *text.turn, *answers]}

    def plain(self, body: dict[str, Any]) -> SpokenAnswer:
        assert body["object"] == "interaction"
        text = SpokenAnswer(finish=body["status"], turn=body["steps"])
        text.whole = body["status"] in ("completed", "requires_action", "incomplete")
        for step in body["steps"]:
            if step["type"] == "model_output":
                text.text += "".join(part["text"] for part in step["content"])
            elif step["type"] == "function_call":
                text.calls.append(Call(step["id"], step["name"], step["arguments"]))
            elif step["type"] == "thought":
                text.reasoning += "".join(part["text"] for part in step.get("summary", ()))
        usage = body.get("usage") or {}
        output = _int(usage.get("total_output_tokens")) + _int(usage.get("total_thought_tokens"))
        text.usage = (_int(usage.get("total_input_tokens")), output)
        return text

    def streamed(self, raw: bytes) -> SpokenAnswer:
        steps: list[dict[str, Any]] = []
        arguments: dict[int, str] = {}
        last: dict[str, Any] = {}
        opened, done, error = -1, False, None
        for event, data in frames(raw):
            assert not done
            if data == "[DONE]":
                assert event == "done"
                done = True
                continue
            body = json.loads(data)
            assert body["event_type"] == event
            assert not last, "nothing follows the end"
            if event == "step.start":
                assert opened == -1, "never two open steps"
                opened = body["index"]
                assert opened == len(steps)
                steps.append(body["step"])
            elif event == "step.delta":
                assert body["index"] == opened
                self._add(steps[opened], body["delta"], arguments, opened)
            elif event == "step.stop":
                assert body["index"] == opened
                if opened in arguments:
                    steps[opened]["arguments"] = json.loads(arguments[opened])
                opened = -1
            elif event == "interaction.completed":
                assert opened == -1
                last = body["interaction"]
            elif event == "error":
                error = self.error_of(body)
        text = self.plain({"object": "interaction", "status": "", **last, "steps": steps})
        text.whole, text.error = text.whole and done, error
        return text

    def _add(
        self, step: dict[str, Any], delta: dict[str, Any], arguments: dict[int, str], at: int
    ) -> None:
        match delta["type"]:
            case "text":
                content = step.setdefault("content", [{"type": "text", "text": ""}])
                content[-1]["text"] += delta["text"]
            case "arguments_delta":
                arguments[at] = arguments.get(at, "") + delta["arguments"]
            case "thought_summary":
                step.setdefault("summary", []).append(delta["content"])
            case "thought_signature":
                step["signature"] = delta["signature"]

    def error_of(self, body: Any) -> dict[str, Any]:
        # A provider's own event names no request of ours.
        assert set(body) - {"event_type", "request_id"} == {"error"}
        error: dict[str, Any] = body["error"]
        assert set(error) == {"code", "message"}
        return error


class Converse(Speaker):
    """Amazon's client reads the frames of its streams, and judges every body."""

    name = "converse"
    operation = "converse"

    def path(self, model: str, *, stream: bool) -> str:
        return f"/model/{model}/converse{'-stream' if stream else ''}"

    def body(self, model: str, wish: Wish) -> dict[str, Any]:
        content: list[Any] = [{"text": wish.text}]
        if wish.image:
            content.append({"image": {"format": "png", "source": {"bytes": PICTURE}}})
        body: dict[str, Any] = {
            "system": [{"text": "Be brief."}],
            "messages": [{"role": "user", "content": content}],
        }
        if wish.cap:
            body["inferenceConfig"] = {"maxTokens": wish.cap}
        if wish.think:
            thinking = {"type": "enabled", "budget_tokens": 1024}
            body["additionalModelRequestFields"] = {"thinking": thinking}
        if wish.tools:
            spec = {"name": TOOL["name"], "description": TOOL["description"]}
            spec |= {"inputSchema": {"json": TOOL["schema"]}}
            body["toolConfig"] = {"tools": [{"toolSpec": spec}]}
        if wish.schema:
            named = {"jsonSchema": {"name": "trip", "schema": json.dumps(SCHEMA)}}
            form = {"type": "json_schema", "structure": named}
            body["outputConfig"] = {"textFormat": form}
        return body

    def follow(
        self, body: dict[str, Any], text: SpokenAnswer, results: list[str]
    ) -> dict[str, Any]:
        answers = [
            {"toolResult": {"toolUseId": call.id, "content": [{"text": result}]}}
            for call, result in zip(text.calls, results, strict=True)
        ]
        turns = [{"role": "assistant", "content": text.turn}, {"role": "user", "content": answers}]
        return body | {"messages": [*body["messages"], *turns]}

    def plain(self, body: dict[str, Any]) -> SpokenAnswer:
        assert body["metrics"]["latencyMs"] >= 0
        message = body["output"]["message"]
        assert message["role"] == "assistant"
        text = SpokenAnswer(finish=body["stopReason"], turn=message["content"], whole=True)
        for block in message["content"]:
            match block:
                case {"text": words}:
                    text.text += words
                case {"citationsContent": {"content": pieces}}:
                    text.text += "".join(piece["text"] for piece in pieces)
                case {"reasoningContent": {"reasoningText": reasoning}}:
                    text.reasoning += reasoning["text"]
                case {"toolUse": use}:
                    text.calls.append(Call(use["toolUseId"], use["name"], use["input"]))
        text.usage = self._usage(body.get("usage") or {})
        return text

    def _usage(self, usage: dict[str, Any]) -> tuple[int, int]:
        read, written = usage.get("cacheReadInputTokens"), usage.get("cacheWriteInputTokens")
        taken = _int(usage.get("inputTokens")) + _int(read) + _int(written)
        return taken, _int(usage.get("outputTokens"))

    def streamed(self, raw: bytes) -> SpokenAnswer:
        blocks: dict[int, dict[str, Any]] = {}
        inputs: dict[int, str] = {}
        answer = SpokenAnswer()
        kinds: list[str] = []
        for kind, body in messages(raw):
            assert answer.error is None, "nothing follows an exception"
            if kind.endswith("Exception"):
                answer.error = self.error_of(body) | {"__type": kind}
                continue
            kinds.append(kind)
            at = body.get("contentBlockIndex", -1)
            if kind == "contentBlockStart":
                assert at not in blocks
                blocks[at] = body["start"]
            elif kind == "contentBlockDelta":
                self._add(blocks.setdefault(at, {}), body["delta"], inputs, at)
            elif kind == "contentBlockStop" and at in inputs:
                blocks[at]["toolUse"]["input"] = json.loads(inputs[at] or "{}")
            elif kind == "messageStop":
                answer.finish = body["stopReason"]
            elif kind == "metadata":
                assert body["metrics"]["latencyMs"] >= 0
                answer.usage = self._usage(body.get("usage") or {})
        assert kinds[:1] in ([], ["messageStart"])
        whole = {"output": {"message": {"role": "assistant", "content": [*blocks.values()]}}}
        stopped = {"stopReason": answer.finish, "usage": {}, "metrics": {"latencyMs": 0}}
        for block in blocks.values():
            block.get("toolUse", {}).setdefault("input", {})
        text = self.plain(whole | stopped)
        text.usage, text.error = answer.usage, answer.error
        text.whole = answer.error is None and "messageStop" in kinds
        return text

    def _add(
        self, block: dict[str, Any], delta: dict[str, Any], inputs: dict[int, str], at: int
    ) -> None:
        match delta:
            case {"text": words}:
                block["text"] = block.get("text", "") + words
            case {"toolUse": {"input": piece}}:
                inputs[at] = inputs.get(at, "") + piece
            case {"reasoningContent": piece}:
                content = block.setdefault("reasoningContent", {})
                if "redactedContent" in piece:
                    content |= piece
                    return
                reasoning = content.setdefault("reasoningText", {"text": ""})
                reasoning["text"] += piece.get("text", "")
                if "signature" in piece:
                    reasoning["signature"] = piece["signature"]

    def error_of(self, body: Any) -> dict[str, Any]:
        assert set(body) <= {"__type", "message", "request_id", "guard_code"}
        error: dict[str, Any] = body
        return error

    def guard_code(self, error: dict[str, Any], *, stream: bool) -> str:
        code: str = error["guard_code"]
        return code


def messages(raw: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """(kind, body) of every message of Amazon's stream, by Amazon's own reader."""
    buffer = EventStreamBuffer()
    buffer.add_data(raw)
    read = 0
    for message in buffer:
        headers = message.headers
        read += message.prelude.total_length
        assert headers[":content-type"] == "application/json"
        kind = headers.get(":event-type") or headers[":exception-type"]
        yield kind, json.loads(message.payload)
    assert read == len(raw), "the stream ends in the middle of a message"


SPEAKERS: dict[str, Speaker] = {
    speaker.name: speaker
    for speaker in (OpenAI(), Responses(), Anthropic(), Gemini(), Interactions(), Converse())
}
# What a channel must be so that the fake is asked in that dialect.
UPSTREAMS: dict[str, dict[str, Any]] = {
    "openai": {"provider": "openai_compatible", "upstream_model": "fake"},
    "responses": {"provider": "openai", "upstream_model": "o4-mini"},
    "anthropic": {"provider": "anthropic", "upstream_model": "claude-sonnet-4-5-20250929"},
    "gemini": {"provider": "gemini", "upstream_model": "gemini-2.5-flash"},
    "interactions": {"provider": "gemini_interactions", "upstream_model": "gemini-2.5-flash"},
    "converse": {"provider": "bedrock", "upstream_model": "eu.amazon.nova-lite-v1:0"},
}
# What the fake's books call the dialect.
BOOKED = {
    "openai": "chat", "responses": "responses", "anthropic": "messages", "gemini": "gemini",
    "interactions": "interactions", "converse": "converse",
}  # fmt: skip
# The header with which a provider of the dialect is given its key; of others, a Bearer token.
CARRIERS = {
    "anthropic": "x-api-key", "gemini": "x-goog-api-key", "interactions": "x-goog-api-key",
}  # fmt: skip


def key_headers(dialect: str, key: str) -> dict[str, str]:
    """The headers of a request to a provider of a dialect."""
    carrier = CARRIERS.get(dialect)
    named = {carrier: key} if carrier else {"authorization": f"Bearer {key}"}
    return named | {"content-type": "application/json", "anthropic-version": "2023-06-01"}


def spoken_at(client: str, upstream: str) -> str:
    """The dialect in which a client's request reaches an upstream: a channel of Gemini speaks its
    client's, whichever of Google's two that is.
    """
    return client if (client, upstream) == ("interactions", "gemini") else upstream
