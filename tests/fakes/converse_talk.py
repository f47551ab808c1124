"""Amazon's Converse as a dialect of the fake provider: botocore judges its requests, and Claude's
form becomes Converse's. The key is a Bedrock API key; `bedrock.py` judges signatures.
"""

import json
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tests.fakes import converse
from tests.fakes.answer import Piece, compact, minus
from tests.fakes.aws_stream import event_message, exception
from tests.fakes.books import Row
from tests.fakes.directives import Fault
from tests.fakes.messages import Messages, MessagesStream
from tests.fakes.question import Problem, Question, Wrong
from tests.fakes.story import Ask, Plan, Stream
from tests.fakes.wire import Answer, Signal, Step, whole

EVENT_STREAM = "application/vnd.amazon.eventstream"
_NAMES = {
    400: "ValidationException", 403: "UnrecognizedClientException",
    404: "ResourceNotFoundException", 408: "ModelTimeoutException",
    413: "RequestEntityTooLargeException", 429: "ThrottlingException",
    500: "InternalServerException", 503: "ServiceUnavailableException",
}  # fmt: skip
# By the status of the other dialects.
_STATUSES = {401: 403, 422: 400, 504: 408, 529: 503}
_UNPAID = "INVALID_PAYMENT_INSTRUMENT: A valid payment instrument must be provided."
_SCHEMA = re.compile(r"JSON Schema: (\{.*\})")


class Converse(Messages):
    """POST …/model/{model}/converse and …/converse-stream"""

    dialect = "converse"
    operation = "converse"
    stream_type = EVENT_STREAM
    # A message of 32 MiB.
    line = struct.pack("!II", 1 << 25, 0) + struct.pack("!I", zlib.crc32(b"\2\0\0\0\0\0\0\0"))

    def __init__(self, model: str, *, stream: bool) -> None:
        self._model, self._stream = model, stream

    def credential(
        self, headers: Mapping[str, str], query: Mapping[str, str]
    ) -> tuple[str, str | None]:
        kind, _, key = headers.get("authorization", "").partition(" ")
        return "bearer", key if kind == "Bearer" else None

    def no_key(self, value: str | None) -> Problem:
        return Problem(403, "Invalid API Key format: Must start with pre-defined prefix")

    # ---- refusing

    def error(self, problem: Problem) -> Any:
        return {"message": problem.message}

    def overloaded(self) -> Any:
        return {"__type": "ServiceUnavailableException", "message": "Overloaded"}

    def refusal(self, problem: Problem) -> Answer:
        status = _STATUSES.get(problem.status, problem.status)
        name = _NAMES.get(status, "ValidationException")
        named = {"x_amzn_errortype": f"{name}:http://internal.amazon.com/coral/"}
        return whole(status, compact(self.error(problem)), **named, **problem.headers)

    def adapt(self, problem: Problem) -> Problem:
        match problem.fault:
            case Fault("F6", "context"):
                return replace(problem, message="Input is too long for requested model.")
            case Fault("F7"):
                return replace(problem, message="Could not resolve the foundation model")
            case Fault("F9"):
                return replace(problem, status=403, message=_UNPAID)
            case Fault("F6", "422" | "content"):
                return super().adapt(problem)
        return problem

    def head_fields(self, row: Row) -> dict[str, str]:
        return {"x-amzn-requestid": f"req_{row.seq}"}

    # ---- reading

    def read(self, body: dict[str, Any], headers: Mapping[str, str]) -> Question:
        try:
            converse.judge(self._model, json.dumps(body).encode())
        except ValueError as error:
            raise Wrong(400, str(error)) from error
        fields = converse.to_messages(body) | {"model": self._model, "stream": self._stream}
        question = super().read(fields, {"anthropic-version": "2023-06-01"})
        question.form = question.form or _form_asked_for(body)
        return question

    # ---- answering

    def usage(self, usage: dict[str, Any]) -> dict[str, Any]:
        """The cached tokens stand outside `inputTokens`; thoughts have no count of their own."""
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        written = usage["prompt_tokens_details"].get("cache_write_tokens", 0)
        long = min(self._written_1h, written)
        kept = (("5m", written - long), ("1h", long))
        return {
            "inputTokens": minus(usage["prompt_tokens"], cached, written),
            "outputTokens": usage["completion_tokens"],
            "totalTokens": usage["total_tokens"],
            "cacheReadInputTokens": cached,
            "cacheWriteInputTokens": written,
            "cacheDetails": [{"ttl": ttl, "inputTokens": count} for ttl, count in kept if count],
        }

    def plain(self, ask: Ask, plan: Plan, pieces: list[Piece]) -> bytes:
        told = json.loads(super().plain(ask, plan, pieces))
        body = {
            "output": {
                "message": {"role": "assistant", "content": converse.content(told["content"])}
            },
            "stopReason": converse.reason(told["stop_reason"]),
            "metrics": {"latencyMs": 420},
        }
        if "usage" in told:
            body["usage"] = told["usage"]
            (told["usage"] or {}).pop("service_tier", None)
        return compact(body)

    def stream(self, ask: Ask, plan: Plan) -> Stream:
        return ConverseStream(ask, plan, self)


class ConverseStream(MessagesStream):
    """messageStart, blocks, messageStop, metadata. There are no comments."""

    def __init__(self, ask: Ask, plan: Plan, talk: Messages) -> None:
        super().__init__(ask, plan, talk)
        self.form = converse.Form(stream=True)

    def event(self, name: str, **more: Any) -> bytes:
        return self.form.message_of({"type": name, **more}, {})

    def delta(self, delta: bytes) -> bytes:
        return self.event("content_block_delta", index=self.index, delta=json.loads(delta))

    def ping(self) -> bytes:
        return b""

    def comment(self, number: int) -> bytes:
        return b""

    def first_message(self) -> dict[str, Any]:
        return {}

    def opening(self) -> Iterator[Step]:
        yield from super().opening()
        if self.ask.wish.usage == "early":
            yield from self.emit(self.metadata())

    def metadata(self) -> bytes:
        """The counts of the whole answer so far."""
        body: dict[str, Any] = {"metrics": {"latencyMs": 420}}
        if self.ask.wish.usage not in ("none", "start"):
            body["usage"] = self.usage_now()
        return event_message("metadata", compact(body))

    def usage_event(self, delta: dict[str, Any]) -> bytes:
        if delta["stop_reason"] is None:
            return self.metadata()
        return self.event("message_delta", delta=delta)

    def broken(self) -> bytes:
        return event_message("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"cut')

    def garbled(self) -> bytes:
        body = b'{"contentBlockIndex":0,"delta":{"text":" \xff\xfe\xc3("}}'
        return event_message("contentBlockDelta", body)

    def failure(self) -> bytes:
        return exception("serviceUnavailableException", "Overloaded")

    def closing(self) -> Iterator[Step]:
        ask, stop = self.ask, self.talk.stop(self.told.finish[0])
        if data := self.shut():
            yield from self.emit(data)
        yield from self.emit(self.event("message_delta", delta=stop))
        if ask.wish.linger:
            yield Signal.HOLD
        if ask.wish.usage == "twice":
            yield from self.emit(self.metadata())
        if not ask.wish.nodone:
            yield from self.emit(self.metadata())
        if ask.is_fault("F30"):
            self.index += 1
            yield self.delta(b'{"type":"text_delta","text":" after the end"}')
            yield self.event("message_delta", delta=stop | {"stop_reason": "max_tokens"})


def _form_asked_for(body: dict[str, Any]) -> dict[str, Any] | None:
    """The schema that the system texts ask for: models answer so that have no field for it."""
    for block in body.get("system", ()):
        if asked := _SCHEMA.search(block.get("text", "")):
            return dict(json.loads(asked[1]))
    return None
