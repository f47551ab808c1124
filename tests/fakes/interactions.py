"""Google's Interactions: steps, named events, signed thoughts."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tests.fakes.answer import Block, Piece, blocks, compact, minus
from tests.fakes.directives import Directives, Fault
from tests.fakes.gemini import GeminiTalk, signature
from tests.fakes.question import (
    Conversation,
    Problem,
    Question,
    Wrong,
    from_base64,
    looks_sealed,
    positive,
    unknown_in,
)
from tests.fakes.story import Ask, Plan, Stream
from tests.fakes.wire import Signal, Step

_FIELDS = frozenset(
    (
        "model", "input", "system_instruction", "tools", "generation_config", "response_format",
        "response_mime_type", "response_modalities", "safety_settings", "service_tier", "store",
        "stream", "previous_interaction_id", "background", "cached_content", "labels",
    )
)  # fmt: skip
_CONFIG_FIELDS = (
    "temperature top_p seed stop_sequences max_output_tokens thinking_level thinking_summaries "
    "tool_choice speech_config image_config"
)
_CODES = {
    401: "authentication", 402: "payment_required", 403: "permission_denied", 404: "not_found",
    429: "rate_limit_exceeded", 503: "service_unavailable", 504: "gateway_timeout",
}  # fmt: skip
_STATUS = {
    "stop": "completed", "stop_sequence": "completed", "tool_calls": "requires_action",
    "length": "incomplete", "content_filter": "incomplete",
}  # fmt: skip
_CREATED = "2026-11-01T00:00:00Z"
_EXCUSE = "skip_thought_signature_validator"


class Interactions(GeminiTalk):
    """POST …/interactions"""

    dialect = "interactions"
    operation = "interactions"
    json_type = "application/json"
    prefix = "v1_"
    fields = _FIELDS
    previous: dict[str, str] = {}
    line = b'event: step.delta\ndata: {"index":0,"delta":{"text":"'

    def __init__(self) -> None:
        super().__init__("", {})

    # ---- refusing

    def no_key(self, value: str | None) -> Problem:
        return Problem(401, "The API key is missing or invalid.")

    def error(self, problem: Problem) -> Any:
        code = _CODES.get(problem.status, "invalid_request" if problem.status < 500 else "internal")
        return {"error": {"code": code, "message": problem.message}}

    def overloaded(self) -> Any:
        return {"error": {"code": "service_unavailable", "message": "Model overloaded."}}

    def adapt(self, problem: Problem) -> Problem:
        match problem.fault:
            case Fault("F6", "422"):
                return replace(problem, status=400)
            case Fault("F6", "context"):
                text = "The input token count exceeds the maximum number of tokens allowed 128000."
                return replace(problem, message=text)
            case Fault("F9"):
                return replace(problem, status=402, message="Prepaid credit is used up.")
            case Fault("F10", "529"):
                return replace(problem, status=503, message="Model overloaded.")
        return problem

    # ---- reading

    def read(self, body: dict[str, Any], headers: Mapping[str, str]) -> Question:
        model: Any = body.get("model")
        if not isinstance(model, str) or not model:
            raise Wrong(400, "One of model or agent is required.")
        self.model = model
        if body.get("input") in (None, "", []) and not body.get("previous_interaction_id"):
            raise Wrong(400, "input is required.")
        config = body.get("generation_config") or {}
        positive(config, "max_output_tokens")
        received = Conversation()
        received.turn()
        if body.get("system_instruction"):
            received.system(body["system_instruction"])
        known = bool(body.get("previous_interaction_id"))
        if known:
            self.previous = {"previous_interaction_id": body["previous_interaction_id"]}
        _hear(received, _steps(body.get("input") or []), known=known)
        tools = [tool for tool in body.get("tools") or () if tool.get("type") == "function"]
        for tool in tools:
            received.count(f"{tool['name']} {tool.get('description') or ''}")
        unknown = unknown_in(body, self.fields)
        unknown += unknown_in(config, _CONFIG_FIELDS.split(), "generation_config.")
        return Question.of(
            self.model,
            received,
            stream=bool(body.get("stream")),
            cap=config.get("max_output_tokens"),
            tools=[tool["name"] for tool in tools],
            form=_form(body.get("response_format")),
            unknown=unknown,
        )

    def check(self, body: dict[str, Any], wish: Directives) -> None:
        """Whose name asks for it (`gemini-3…`, `#seals`) wants a signed thought before a call."""
        if not (wish.seals or self.model.startswith("gemini-3")):
            return
        signed = False
        for step in _steps(body.get("input") or []):
            signed = signed or bool(step.get("type") == "thought" and step.get("signature"))
            if step.get("type") == "function_call" and not signed:
                raise Wrong(400, "Function call is missing a thought signature before it.")

    # ---- answering

    def usage(self, usage: dict[str, Any]) -> dict[str, Any]:
        prompt, completion = usage["prompt_tokens"], usage["completion_tokens"]
        thoughts = usage["completion_tokens_details"]["reasoning_tokens"]
        visible = minus(completion, thoughts)
        return {
            "total_tokens": usage["total_tokens"],
            "total_input_tokens": prompt,
            "input_tokens_by_modality": [{"modality": "text", "tokens": prompt}],
            "total_cached_tokens": usage["prompt_tokens_details"]["cached_tokens"],
            "total_output_tokens": visible,
            "output_tokens_by_modality": [{"modality": "text", "tokens": visible}],
            "total_tool_use_tokens": 0,
            "total_thought_tokens": thoughts,
        }

    def interaction(self, ask: Ask, status: str, **more: Any) -> dict[str, Any]:
        head = {"id": ask.row.id, "status": status, "object": "interaction", "model": self.model}
        return head | self.previous | more

    def ended(self, ask: Ask, finish: str) -> dict[str, Any]:
        errors = [{"code": "content_filter", "message": "Stopped by a filter."}]
        filtered = {"errors": errors} if finish == "content_filter" else {}
        times = {"created": _CREATED, "updated": _CREATED, "service_tier": "standard"}
        return self.interaction(ask, _STATUS.get(finish, finish), **times, **filtered)

    def step(self, ask: Ask, block: Block, sealed: str) -> dict[str, Any]:
        if block.kind == "reasoning_content":
            summary = [{"type": "text", "text": block.text}] if block.text else []
            return {"type": "thought", "signature": signature(sealed), "summary": summary}
        if block.kind == "call":
            id_ = ask.call_id("call", 0, block.call)
            return {"type": "function_call", "id": id_, "name": block.name, "arguments": block.text}
        return {"type": "model_output", "content": [{"type": "text", "text": block.text}]}

    def plain(self, ask: Ask, plan: Plan, pieces: list[Piece]) -> bytes:
        result = blocks(pieces)
        if plan.hidden and not (result and result[0].kind == "reasoning_content"):
            result.insert(0, Block(0, "reasoning_content", ""))
        steps = []
        for block in result:
            step = self.step(ask, block, _sealed(plan))
            if block.kind == "call":
                step["arguments"] = _object(block.text)
            if step.get("arguments", {}) is not None:
                steps.append(step)
        body = self.ended(ask, plan.finish[0]) | {"steps": steps}
        if ask.wish.usage != "none":
            body["usage"] = ask.report(ask.counted(plan.hidden + len(pieces)))
        return compact(body)

    def stream(self, ask: Ask, plan: Plan) -> Stream:
        return InteractionsStream(ask, plan, self)


def _sealed(plan: Plan) -> str:
    """What a thought's signature signs: the first call, as on a part, or the thought alone."""
    return next((piece.text for piece in plan.pieces if piece.kind == "call"), "thought")


def _object(text: str) -> dict[str, Any] | None:
    """The arguments of a call; None for one that the cap has cut, which is not shown."""
    try:
        value: dict[str, Any] = json.loads(text)
    except ValueError:
        return None
    return value


def _form(value: Any) -> dict[str, Any] | None:
    rows = value if isinstance(value, list) else [value]
    for row in rows:
        if isinstance(row, dict) and row.get("mime_type") == "application/json":
            return dict(row.get("schema") or {})
    return None


def _steps(value: Any) -> list[dict[str, Any]]:
    """The input as steps: contents are the user's."""
    if isinstance(value, str):
        value = {"type": "text", "text": value}
    if isinstance(value, dict):
        value = [value]
    if all(step.get("type") in ("text", "image", "audio", "document", "video") for step in value):
        return [{"type": "user_input", "content": value}]
    return list(value)


def _hear(received: Conversation, steps: list[dict[str, Any]], *, known: bool) -> None:
    calls: set[str] = set()
    thought: str | None = None
    for i, step in enumerate(steps):
        kind = step.get("type")
        signed = kind == "function_call" and thought not in (None, _EXCUSE)
        if signed and thought != signature(step["name"]):
            raise Wrong(400, "Corrupted thought signature.")
        thought = None
        match kind:
            case "user_input" | "model_output":
                user = kind == "user_input"
                received.turn(user, "user" if user else "assistant")
                for content in step.get("content") or ():
                    _content(received, content)
            case "thought":
                thought = step.get("signature")
                if thought and thought != _EXCUSE:
                    if not looks_sealed("gemini", thought):
                        raise Wrong(400, "Thought signature is not valid.")
                    received.seals += 1
            case "function_call":
                if not isinstance(step.get("arguments"), dict):
                    raise Wrong(400, f"input[{i}].arguments must be an object.")
                calls.add(step["id"])
                received.turn(role="assistant")
                received.called(step["name"], compact(step["arguments"]).decode())
            case "function_result":
                if step.get("call_id") not in calls and not known:
                    raise Wrong(400, f"input[{i}].call_id answers no call.")
                received.turn()
                _result(received, step)
            case _:
                raise Wrong(400, f"Unknown step type: {kind}.")


def _result(received: Conversation, step: dict[str, Any]) -> None:
    result = step.get("result")
    prefix = "error: " if step.get("is_error") else ""
    if isinstance(result, str):
        received.result(prefix + result)
        return
    for content in result if isinstance(result, list) else ():
        if content.get("type") == "text":
            received.result(prefix + content["text"])
        else:
            _content(received, content)


def _content(received: Conversation, content: dict[str, Any]) -> None:
    match content:
        case {"type": "text", "text": str(text)}:
            received.say(text)
        case {"type": str(kind), "data": str(data), "mime_type": str(media_type)}:
            received.see(from_base64("file" if kind == "document" else kind, media_type, data))
        case {"type": str(), "uri": str()}:
            received.tokens += 1
        case _:
            raise Wrong(400, "A content needs its type and text, data or uri.")


class InteractionsStream(Stream):
    """created, status_update, the steps one after the other, completed, [DONE]."""

    def __init__(self, ask: Ask, plan: Plan, talk: Interactions) -> None:
        super().__init__(ask, plan)
        self.talk = talk
        odd = (b"id: 5", b"retry: 1", b"event: odd", b"")
        self.lead = self.eol.join(odd) if ask.is_fault("F31") else b""
        self.index = -1
        self.open: Block | None = None

    def head(self, name: str) -> bytes:
        return self.lead + b"event: " + name.encode() + self.eol + self.data

    def event(self, name: str, /, **more: Any) -> bytes:
        return self.head(name) + compact({**more, "event_type": name}) + self.end

    def delta(self, **delta: Any) -> bytes:
        return self.event("step.delta", index=self.index, delta=delta)

    def opening(self) -> Iterator[Step]:
        ask = self.ask
        self.count = self.told.hidden
        begun = self.talk.interaction(ask, "in_progress")
        if ask.wish.usage in ("early", "start"):
            begun["usage"] = ask.report(ask.counted(1))
        yield from self.emit(self.event("interaction.created", interaction=begun))
        update = {"interaction_id": ask.row.id, "status": "in_progress"}
        yield from self.emit(self.event("interaction.status_update", **update))
        if self.told.hidden:
            data = self.begin(Block(0, "reasoning_content", ""))
            yield from self.emit(data, self.told.hidden)

    def begin(self, block: Block) -> bytes:
        self.open, self.index = block, self.index + 1
        step = self.talk.step(self.ask, block, "")
        for name in ("signature", "summary", "content"):
            step.pop(name, None)
        if block.kind == "call":
            step["arguments"] = {}
        return self.event("step.start", index=self.index, step=step)

    def finish(self) -> bytes:
        """Close the open step; a thought with its signature."""
        block, self.open = self.open, None
        if block is None:
            return b""
        data = b""
        if block.kind == "reasoning_content":
            sealed = signature(_sealed(self.told))
            data = self.delta(type="thought_signature", signature=sealed)
        return data + self.event("step.stop", index=self.index)

    def write(self, piece: Piece) -> bytes:
        kind = "call" if piece.kind == "arguments" else piece.kind
        data = b""
        if self.open is None or (self.open.kind, self.open.call) != (kind, piece.call):
            name = piece.text if kind == "call" else ""
            data = self.finish() + self.begin(Block(0, kind, "", name, piece.call))
        match piece.kind:
            case "reasoning_content":
                content = {"type": "text", "text": piece.text}
                data += self.delta(type="thought_summary", content=content)
            case "content":
                data += self.delta(type="text", text=piece.text)
            case "arguments":
                data += self.delta(type="arguments_delta", arguments=piece.text)
        return data

    def broken(self) -> bytes:
        cut = b'{"index":0,"delta":{"type":"text","text":"cut'
        return self.head("step.delta") + cut + self.end

    def garbled(self) -> bytes:
        return self.delta(type="text", text="@").replace(b'"@"', b'" \xff\xfe\xc3("')

    def failure(self) -> bytes:
        return self.event("error", **self.talk.overloaded())

    def closing(self) -> Iterator[Step]:
        ask, wish = self.ask, self.ask.wish
        if data := self.finish():
            yield from self.emit(data, self.held)
        whole = self.talk.ended(ask, self.told.finish[0])
        usage = None if wish.usage in ("none", "start") else self.usage_now()
        if usage is not None:
            whole["usage"] = usage
        done = self.event("interaction.completed", interaction=whole)
        if not wish.nodone:
            yield from self.emit(done)
        if wish.linger:
            yield Signal.HOLD
        if ask.is_fault("F30"):
            yield done
            yield self.delta(type="text", text=" after the end")
        if not wish.nodone:
            yield from self.emit(b"event: done" + self.eol + self.data + b"[DONE]" + self.end)
