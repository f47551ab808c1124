"""The dialects as a test sees them: how to ask, and what an answer says in neutral words."""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.tests.http import Got, post
from tests.fakes.upstream import FakeUpstream


@dataclass
class Answer:
    """An answer in neutral words; `usages` are (input, cached, output, reasoning)."""

    text: str = ""
    reasoning: str = ""
    calls: list[list[str]] = field(default_factory=list)  # name, arguments
    seals: list[str] = field(default_factory=list)
    finish: str | None = None
    ended: bool = False  # the terminal marker has come
    usages: list[tuple[Any, Any, Any, Any]] = field(default_factory=list)
    errors: list[Any] = field(default_factory=list)

    @property
    def usage(self) -> tuple[Any, Any, Any, Any]:
        return self.usages[-1]


def named(got: Got) -> list[tuple[str, Any]]:
    """The named events of a stream, in order."""
    result, name = [], ""
    for line in got.body.decode().replace("\r\n", "\n").split("\n"):
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            result.append((name, json.loads(line[5:])))
    return result


class Form(ABC):
    """One dialect."""

    name = ""
    headers: dict[str, str]

    @abstractmethod
    def path(self, *, stream: bool) -> str: ...

    @abstractmethod
    def body(self, text: str, *, stream: bool) -> dict[str, Any]: ...

    @abstractmethod
    def said(self, got: Got, *, stream: bool) -> Answer: ...

    def ask(
        self,
        fake: FakeUpstream,
        text: str,
        /,
        *,
        stream: bool = False,
        rid: str = "r1",
        **more: Any,
    ) -> Got:
        body = self.body(text, stream=stream) | more
        return post(fake, self.path(stream=stream), body, self.headers, rid)

    def hear(
        self, fake: FakeUpstream, text: str, /, *, stream: bool = False, **more: Any
    ) -> Answer:
        return self.said(self.ask(fake, text, stream=stream, **more), stream=stream)


def _chat_usage(usage: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
    return (
        usage["prompt_tokens"],
        usage["prompt_tokens_details"]["cached_tokens"],
        usage["completion_tokens"],
        usage["completion_tokens_details"]["reasoning_tokens"],
    )


class ChatForm(Form):
    name = "chat"
    headers = {"authorization": "Bearer sk-fake"}

    def path(self, *, stream: bool) -> str:
        return "/v1/chat/completions"

    def body(self, text: str, *, stream: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"model": "fake", "messages": [{"role": "user", "content": text}]}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def said(self, got: Got, *, stream: bool) -> Answer:
        text = Answer()
        for event in got.events() if stream else [got.json()]:
            if event == "[DONE]":
                text.ended = True
            elif "error" in event:
                text.errors.append(event["error"])
            else:
                self._take(text, event)
        return text

    def _take(self, text: Answer, event: dict[str, Any]) -> None:
        for choice in event["choices"]:
            delta = choice["delta"] if "delta" in choice else choice["message"]
            text.text += delta.get("content") or ""
            text.reasoning += delta.get("reasoning_content") or ""
            text.finish = choice["finish_reason"] or text.finish
            for i, call in enumerate(delta.get("tool_calls") or ()):
                if call["function"].get("name"):
                    text.calls.append([call["function"]["name"], ""])
                text.calls[call.get("index", i)][1] += call["function"]["arguments"]
        if event.get("usage"):
            text.usages.append(_chat_usage(event["usage"]))


class MessagesForm(Form):
    name = "messages"
    headers = {"x-api-key": "sk-fake", "anthropic-version": "2023-06-01"}

    def path(self, *, stream: bool) -> str:
        return "/v1/messages"

    def body(self, text: str, *, stream: bool) -> dict[str, Any]:
        messages = [{"role": "user", "content": text}]
        body = {"model": "fake", "max_tokens": 4096, "messages": messages}
        return body | ({"stream": True} if stream else {})

    def said(self, got: Got, *, stream: bool) -> Answer:
        text = Answer()
        if not stream:
            body = got.json()
            if body["type"] == "error":
                text.errors.append(body["error"])
                return text
            for block in body["content"]:
                self._block(text, block)
            text.finish = body["stop_reason"]
            if body.get("usage"):
                self._usage(text, body["usage"])
            return text
        blocks: list[list[Any]] = []
        for name, event in named(got):
            assert name == event["type"]
            match event:
                case {"type": "message_start", "message": message}:
                    if message.get("usage"):
                        self._usage(text, message["usage"])
                case {"type": "content_block_start", "index": i, "content_block": block}:
                    assert i == len(blocks)
                    blocks.append([True, block, ""])
                case {"type": "content_block_delta", "index": i, "delta": delta}:
                    if not text.ended:
                        assert blocks[i][0]
                        self._delta(text, blocks[i], delta)
                case {"type": "content_block_stop", "index": i}:
                    blocks[i][0] = False
                    if blocks[i][1]["type"] == "tool_use":
                        text.calls.append([blocks[i][1]["name"], blocks[i][2]])
                case {"type": "message_delta", "delta": delta}:
                    text.finish = text.finish or delta["stop_reason"]
                    if event.get("usage"):
                        self._usage(text, event["usage"])
                case {"type": "message_stop"}:
                    text.ended = True
                case {"type": "error", "error": error}:
                    text.errors.append(error)
        return text

    def _delta(self, output: Answer, block: list[Any], delta: dict[str, Any]) -> None:
        match delta:
            case {"type": "text_delta", "text": text}:
                output.text += text
            case {"type": "thinking_delta", "thinking": text}:
                output.reasoning += text
            case {"type": "signature_delta", "signature": seal}:
                output.seals.append(seal)
            case {"type": "input_json_delta", "partial_json": text}:
                block[2] += text

    def _block(self, output: Answer, block: dict[str, Any]) -> None:
        match block:
            case {"type": "text", "text": text}:
                output.text += text
            case {"type": "thinking", "thinking": text, "signature": seal}:
                output.reasoning += text
                output.seals.append(seal)
            case {"type": "tool_use", "name": name, "input": inputs}:
                output.calls.append([name, json.dumps(inputs)])

    def _usage(self, text: Answer, usage: dict[str, Any]) -> None:
        read, write = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
        total = usage["input_tokens"]
        total = total if isinstance(total, str) else total + read + write
        thought = (usage.get("output_tokens_details") or {}).get("thinking_tokens", 0)
        text.usages.append((total, read, usage["output_tokens"], thought))


class GeminiForm(Form):
    name = "gemini"
    headers = {"x-goog-api-key": "sk-fake"}
    query = "?alt=sse"

    def path(self, *, stream: bool) -> str:
        action = f"streamGenerateContent{self.query}" if stream else "generateContent"
        return f"/v1beta/models/fake:{action}"

    def body(self, text: str, *, stream: bool) -> dict[str, Any]:
        return {"contents": [{"role": "user", "parts": [{"text": text}]}]}

    def frames(self, got: Got) -> list[Any]:
        return got.events()

    def said(self, got: Got, *, stream: bool) -> Answer:
        text = Answer()
        for frame in self.frames(got) if stream else [got.json()]:
            if "error" in frame:
                text.errors.append(frame["error"])
            for candidate in frame.get("candidates", ()):
                self._take(text, candidate)
            if usage := frame.get("usageMetadata"):
                thoughts = usage.get("thoughtsTokenCount", 0)
                output = usage["candidatesTokenCount"]
                output = output if isinstance(output, str) else output + thoughts
                cached = usage.get("cachedContentTokenCount", 0)
                text.usages.append((usage["promptTokenCount"], cached, output, thoughts))
        return text

    def _take(self, text: Answer, candidate: dict[str, Any]) -> None:
        for part in candidate["content"].get("parts", ()):
            if seal := part.get("thoughtSignature"):
                text.seals.append(seal)
            if call := part.get("functionCall"):
                text.calls.append([call["name"], json.dumps(call["args"])])
            elif part.get("thought"):
                text.reasoning += part["text"]
            elif not text.ended:
                text.text += part["text"]
        text.finish = text.finish or candidate.get("finishReason")
        text.ended = text.finish is not None


class GeminiArrayForm(GeminiForm):
    name = "gemini array"
    query = ""

    def frames(self, got: Got) -> list[Any]:
        frames: list[Any] = json.loads(got.body)
        return frames


class ResponsesForm(Form):
    name = "responses"
    headers = {"authorization": "Bearer sk-fake"}

    def path(self, *, stream: bool) -> str:
        return "/v1/responses"

    def body(self, text: str, *, stream: bool) -> dict[str, Any]:
        body = {"model": "fake", "input": text, "include": ["reasoning.encrypted_content"]}
        return body | ({"stream": True} if stream else {})

    def said(self, got: Got, *, stream: bool) -> Answer:
        output = Answer()
        if not stream:
            body = got.json()
            if body.get("object") != "response":
                output.errors.append(body["error"])
                return output
            self._whole(output, body)
            return output
        deltas = ""
        for number, (name, event) in enumerate(named(got)):
            assert (name, number) == (event["type"], event["sequence_number"])
            match event:
                case {"type": "response.output_text.delta", "delta": text} if not output.ended:
                    deltas += text
                case {"type": "response.in_progress", "response": {"usage": dict(usage)}}:
                    self._usage(output, usage)
                case {"type": "error"}:
                    output.errors.append(event)
                case {"type": "response.failed", "response": body}:
                    output.errors.append(body["error"])
                case {"type": "response.completed" | "response.incomplete", "response": body}:
                    if not output.ended:
                        output.ended = True
                        self._whole(output, body)
        output.text = deltas
        return output

    def _whole(self, output: Answer, body: dict[str, Any]) -> None:
        output.finish = (body["incomplete_details"] or {}).get("reason", body["status"])
        for item in body["output"]:
            match item:
                case {"type": "message", "content": [{"text": text}]}:
                    output.text += text
                case {"type": "reasoning", "summary": parts, "encrypted_content": seal}:
                    output.reasoning += "".join(part["text"] for part in parts)
                    output.seals.append(seal)
                case {"type": "function_call", "name": name, "arguments": inputs}:
                    output.calls.append([name, inputs])
        if body.get("usage"):
            self._usage(output, body["usage"])

    def _usage(self, text: Answer, usage: dict[str, Any]) -> None:
        cached = usage["input_tokens_details"]["cached_tokens"]
        thought = usage["output_tokens_details"]["reasoning_tokens"]
        text.usages.append((usage["input_tokens"], cached, usage["output_tokens"], thought))


class CompletionsForm(ChatForm):
    name = "completions"

    def path(self, *, stream: bool) -> str:
        return "/v1/completions"

    def body(self, text: str, *, stream: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"model": "fake", "prompt": text, "max_tokens": 4096}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def _take(self, text: Answer, event: dict[str, Any]) -> None:
        for choice in event["choices"]:
            text.text += choice["text"]
            text.finish = choice["finish_reason"] or text.finish
        if usage := event.get("usage"):
            text.usages.append((usage["prompt_tokens"], 0, usage["completion_tokens"], 0))


CHAT, MESSAGES, GEMINI, ARRAY = ChatForm(), MessagesForm(), GeminiForm(), GeminiArrayForm()
RESPONSES, COMPLETIONS = ResponsesForm(), CompletionsForm()
FORMS: list[Form] = [CHAT, MESSAGES, GEMINI, ARRAY, RESPONSES, COMPLETIONS]
