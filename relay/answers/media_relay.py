"""Relay an answer while it arrives: sound, events, and JSON that contains pictures.

    begun        committed: no other provider can answer any more
    its end      settled by the reported usage, or by what arrived
    a fault      in an event stream: one typed error frame; otherwise the body is cut, because
                 it has no place for an error

A short JSON answer is settled first and then sent whole.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from dialects.chat.events import UpstreamError
from dialects.chat.fold import AnswerFault
from dialects.codec import EVENT_STREAM, JSON
from dialects.media.passed_answer import PassedAnswer
from dialects.streams.model_alias import name_answer
from lib.ids import id_text
from lib.process.waiting import timeout
from relay.answers.attempt_end import AttemptParts
from relay.answers.cost_in_answer import with_cost
from relay.downstream.downstream import ErrorAnswer, Head
from relay.downstream.error_answers import answer_behind_content, failure_inside
from relay.operations.unary import Passing
from relay.requests.outcome import Outcome
from relay.upstream.failures import UpstreamFailed, upstream_failure
from relay.upstream.upstream import Answer

_LAST_WORDS_S: Final = 1.0


class MediaRelay:
    """Relays one answer of sound, events or JSON while it arrives."""

    __slots__ = ("_parts", "_passed", "_passing", "_type", "committed")

    def __init__(self, parts: AttemptParts, passing: Passing) -> None:
        self._parts = parts
        self._passing = passing
        self._passed: PassedAnswer = passing.open()
        parts.usage_meter.passed = self._passed
        # The received bytes of its content.
        self._type = JSON
        # Whether the client has received part of the answer, so that no other channel can answer.
        self.committed = False

    async def relay(self, answer: Answer) -> Outcome:
        """Relay the answer to its end, from the current position. Raises UpstreamFailed."""
        context, idle_s = self._parts.context, self._parts.admitted.timeouts.idle
        self._type = self._answer_type(answer.headers)
        while chunk := await answer.next_bytes():
            piece = self._read(chunk)
            if piece:
                await self._pass_on(piece)
            context.deadline.allow("idle", idle_s)
        return await self._end_whole(self._read(b""))

    async def break_off(self, failure: UpstreamFailed) -> Outcome:
        """End an answer that failed after its first bytes were sent. The delivered part is
        charged."""
        error = answer_behind_content(failure)
        outcome = self._settle(error, failure.fault)
        self._parts.probe.failed(failure)
        await self._send_last(error)
        return outcome

    async def stop(self, error: ErrorAnswer) -> Outcome:
        """Stop an answer after its first bytes were sent. The delivered part is charged."""
        outcome = self._settle(error)
        await self._send_last(error)
        return outcome

    async def dismiss(self, error: ErrorAnswer) -> None:
        """Send the client a last error; `relay` then reads the rest of the answer only for its
        usage."""
        self._parts.end.unheard = error
        await self._send_last(error)
        self._parts.context.downstream.client_gone = True

    # ---- from the upstream

    def _read(self, chunk: bytes) -> bytes:
        try:
            return self._passed.feed(chunk) if chunk else self._passed.end()
        except AnswerFault as fault:
            if isinstance(fault.event, UpstreamError):
                raise failure_inside(fault.event) from None
            raise upstream_failure(fault.event.fault) from None

    def _answer_type(self, headers: Mapping[str, str]) -> str:
        content_type = headers.get("content-type", "")
        if self._parts.admitted.facts.stream:
            return EVENT_STREAM
        plain = content_type.partition(";")[0].strip().lower()
        # If the provider names only a generic type, use the requested one.
        return (
            self._passing.content_type
            if plain in ("", "application/octet-stream")
            else content_type
        )

    # ---- to the client

    async def _pass_on(self, piece: bytes) -> None:
        context = self._parts.context
        downstream = context.downstream
        if not self.committed:
            self.committed = True
            self._parts.probe.first_content()
            self._parts.end.ttft_ms = context.elapsed_ms()
            if not downstream.client_gone:
                context.await_client()
                await downstream.begin(self._head(None))
        if not downstream.client_gone:
            context.await_client()
            await downstream.write(piece, last=False)

    async def _end_whole(self, rest: bytes) -> Outcome:
        parts, downstream = self._parts, self._parts.context.downstream
        bill = parts.end.bill_so_far()
        if self.committed or parts.admitted.facts.stream:
            if not self.committed:
                await self._pass_on(rest)
                rest = b""
            if downstream.recorder is not None:
                await downstream.recorder.keep_end(rest)
            outcome = parts.end.settle(None, bill)
            parts.probe.good()
            if not downstream.client_gone:
                parts.context.await_client()
                await downstream.write(rest, last=True)
            return outcome
        model = parts.admitted.prepared.traits.requested_model
        if model and self._type.startswith(JSON):
            rest = name_answer(rest, parts.context.invocation.codec.model_in_answer, model)
        if parts.context.options.include_cost and self._type.startswith(JSON):
            rest = with_cost(rest, bill.charge_nano)
        head = self._head(bill.charge_nano)
        parts.context.deadline.stop()
        if downstream.recorder is not None:
            await downstream.recorder.keep_answer(head, rest)
        parts.end.ttft_ms = parts.context.elapsed_ms()
        outcome = parts.end.settle(None, bill)
        parts.probe.good()
        if not downstream.client_gone:
            await downstream.sink.answer(head, rest)
        return outcome

    def _head(self, cost_nano: int | None) -> Head:
        head = self._parts.admitted.head(self._parts.context, cost_nano)
        return msgspec.structs.replace(head, content_type=self._type)

    def _settle(self, error: ErrorAnswer, fault: str = "") -> Outcome:
        return self._parts.end.settle(error, self._parts.end.bill_so_far(), fault)

    async def _send_last(self, error: ErrorAnswer) -> None:
        """Send the last bytes to a client that may have disconnected."""
        context = self._parts.context
        if context.downstream.client_gone:
            return
        try:
            async with timeout(_LAST_WORDS_S):
                if self._type == EVENT_STREAM:
                    codec, target = context.invocation.codec, context.invocation.target
                    request_id = id_text(context.request_id)
                    frame = codec.error_frame(error.kind, error.message, request_id, target)
                    await context.downstream.write(frame, last=True)
                else:
                    await context.downstream.cut()
        except TimeoutError:
            return
