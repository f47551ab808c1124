"""A streamed answer, from its first content on: the decisions between its chunks, and its ends.

first content           committed: no other upstream can answer any more
End                     settled as a success
UpstreamError, a fault  settled for what was delivered; one typed error frame, no end marker
above its output cap    cut as if it had reached its length (F18)

A client of the same dialect gets the upstream's frames; for others `StreamTranslator` decodes and
encodes them. A chunk is read, counted and written directly in the callback that received it, as
long as there is nothing to decide.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, cast

from dialects.chat.events import Broken, End, Event, Step, UpstreamError
from dialects.codec import Codec, Decoder, Facts, Target
from dialects.errors.kinds import ErrorKind
from dialects.openai.outside_reasoning import InsideDecoder
from dialects.streams.model_alias import FrameNaming, name_answer
from dialects.streams.splice import WrittenStep
from dialects.streams.stream import StepDecoder
from dialects.translation import StreamTranslator
from lib.ids import id_text
from lib.process.waiting import timeout
from relay.answers.abandoned import USAGE_AFTER_TEXT_S
from relay.answers.attempt_end import AnswerState, AttemptEnd, AttemptParts
from relay.answers.cost_in_answer import last_with_cost
from relay.context.context import RequestContext
from relay.downstream.downstream import ErrorAnswer
from relay.downstream.error_answers import answer_behind_content, answer_to, failure_inside
from relay.guarding.guarded_answer import Asking, GuardedAnswer, Refused, refused
from relay.guarding.refusals import GuardFailed, GuardRefused
from relay.holds.admitted_attempt import AdmittedAttempt
from relay.metering.usage_meter import Bill, UsageMeter
from relay.preparation.prepared import PreparedRequest
from relay.requests.outcome import Outcome
from relay.upstream.failures import UpstreamFailed, upstream_failure
from relay.upstream.large_events import Gathering
from relay.upstream.upstream import Answer

# In the client's own dialect ----------------------------------------------------------------------


class Forwarding:
    """Reads frames and returns them for the client: with the requested model name, and changed
    otherwise only where the channel's model requires it."""

    __slots__ = ("_codec", "_naming", "_request_id", "decoder", "end", "feed")

    def __init__(
        self,
        prepared: PreparedRequest,
        facts: Facts,
        target: Target,
        request_id: str,
        on_tier: Callable[[str], None],
    ) -> None:
        codec = prepared.codec
        # Knows whether the answer is complete.
        self.decoder: Decoder = codec.decoder(facts, target)
        self.decoder.report_tier(on_tier)
        reader: StepDecoder = prepared.untagging(self.decoder, facts.choices)
        if prepared.traits.normalises_usage:
            reader = InsideDecoder(reader)
        self._naming: FrameNaming | None = None
        if model := prepared.traits.requested_model:
            self._naming = FrameNaming(codec.model_in_frame, model)
            self.decoder.show(self._naming.rename)
        self._codec: Codec[Any] = codec
        self._request_id = request_id
        # Use the outermost reader's methods directly, to avoid a call per layer and chunk.
        self.feed: Callable[[bytes], list[Step]] = reader.feed
        self.end: Callable[[], list[Step]] = reader.end

    def cut(self) -> bytes:
        """Return the bytes that end the client's stream as if it had reached its length (F18)."""
        return self._restore_model_name(self._codec.cut(self.decoder))

    def fail(self, kind: ErrorKind, message: str) -> bytes:
        """Return the bytes that end the client's stream with an error."""
        return self._restore_model_name(
            self._codec.fail(self.decoder, kind, message, self._request_id)
        )

    def response(self) -> bytes | None:
        """Return the complete response of the stream, if its dialect has one."""
        return self._codec.response_of(self.decoder)

    def _restore_model_name(self, frames: bytes) -> bytes:
        """Restore the client's model name in data that we add, which may repeat the upstream's
        words.
        """
        return frames if self._naming is None else self._naming.rename(frames)


# The chunks of a stream -----------------------------------------------------------------------


_LAST: Final = (End, UpstreamError, Broken, Refused, Asking)


class StreamChunks:
    """Forwards the chunks of one stream."""

    __slots__ = (
        "_blocked",
        "_context",
        "_decoder",
        "_end",
        "_heard_at",
        "_idle_s",
        "_state",
        "_usage_meter",
        "committed",
        "events",
        "pieces",
        "steps",
    )

    def __init__(
        self,
        context: RequestContext,
        admitted: AdmittedAttempt,
        usage_meter: UsageMeter,
        state: AnswerState | None,
        decoder: Decoder,
        end: AttemptEnd,
    ) -> None:
        self._context = context
        # Decides how far the stream is read after the client has left.
        self._end = end
        # Forwarded data is counted, and collected if any of it is stored.
        self._usage_meter = usage_meter
        usage_meter.on_mark_due = context.parts.ledger.marks.mark
        self._state = state
        # Knows whether the answer is complete.
        self._decoder = decoder
        self._idle_s = admitted.timeouts.idle
        # Whether the first content has arrived; nothing is forwarded before it.
        self.committed = False
        # Data that is not sent yet, and its content.
        self.pieces: list[bytes] = []
        self.events: list[Event] = []
        # The steps that the last chunk completed.
        self.steps: Sequence[Step] = ()
        # The time of the last event. Comments keep a connection open, but do not count as progress
        # (F13).
        self._heard_at = context.began
        # Must be awaited before more is written.
        self._blocked: Awaitable[None] | None = None

    def note(self, events: Sequence[Event]) -> None:
        """Count the content, and collect what a later request may refer to."""
        self._usage_meter.note(events)
        if self._state is not None:
            self._state.note(events)

    def is_above_cap(self) -> bool:
        """Return whether the answer exceeds its output cap (F18)."""
        if self._usage_meter.text_bytes <= self._usage_meter.counted_at:
            return False
        self.note(self.events)
        self.events.clear()
        return self._usage_meter.is_above_cap()

    async def pass_on(self, answer: Answer, take: Callable[[bytes], bool]) -> None:
        """Forward chunks until the relay must decide something. Raises UpstreamFailed (F17)."""
        context = self._context
        while True:
            await answer.hand_to(take)
            if not self.steps:
                raise upstream_failure("F17")
            if self._blocked is None:
                return
            context.await_client()
            await self._blocked
            self._blocked = None
            context.deadline.allow("idle", self._idle_s, self._heard_at)

    async def pass_first(self) -> None:
        """Forward everything up to and including the first content."""
        context, downstream = self._context, self._context.downstream
        heard_at = self._heard_at = context.time()
        if self.pieces and downstream.keep_alive is not None:
            downstream.keep_alive.heard_at = heard_at
        self.note(self.events)
        self.events.clear()
        if self.pieces and not (context.options.include_cost and self._decoder.complete):
            if not downstream.client_gone:
                context.await_client()
                await downstream.sink.write(b"".join(self.pieces), last=False)
            self.pieces.clear()
        context.deadline.allow("idle", self._idle_s, heard_at)

    def forget_client(self) -> None:
        """Stop collecting pieces for the client, and stop waiting for it, because it
        disconnected."""
        self.pieces.clear()
        self._blocked = None

    def taker(
        self, reader: Forwarding | StreamTranslator, gathering: Gathering
    ) -> Callable[[bytes], bool]:
        """Return a function that reads a chunk, forwards it unless a decision is needed, and
        returns whether one is. Its variables are local, because calls and attribute accesses would
        dominate the cost of a chunk. The function is not stored here, so that a stream leaves no
        reference cycle."""
        feed, end, decoder = reader.feed, reader.end, self._decoder
        pieces, events, read = self.pieces, self.events, self._decoder.progress
        meter, state = self._usage_meter, self._state
        note = meter.note
        context, downstream = self._context, self._context.downstream
        time, deadline, keep_alive = context.time, context.deadline, downstream.keep_alive
        write_now, include_cost = downstream.sink.write_now, context.options.include_cost

        def take(chunk: bytes) -> bool:
            steps = self.steps = feed(chunk) if chunk else end()
            if decoder.waits_for_usage:
                deadline.limit("idle", USAGE_AFTER_TEXT_S)
            if not steps:
                return not gathering.more(len(chunk))
            if gathering.size:
                gathering.whole()
            for step in steps:
                if step.raw:
                    pieces.append(step.raw)
                if step.events:
                    events.extend(step.events)
            if (
                not self.committed
                or (events and isinstance(events[-1], _LAST))
                or read.text_bytes + read.reasoning_bytes > meter.counted_at
            ):
                return True
            if events:
                heard_at = self._heard_at = deadline.since = time()
                # What guards hold back is silence for the client.
                if keep_alive is not None and pieces:
                    keep_alive.heard_at = heard_at
                note(events)
                # It refers to nothing in a text.
                if state is not None and type(steps[-1]) is not WrittenStep:
                    state.note(events)
                events.clear()
            if pieces and not (include_cost and decoder.complete):
                raw = b"".join(pieces)
                pieces.clear()
                if not downstream.client_gone:
                    self._blocked = write_now(raw)
                    if self._blocked is not None:
                        return True
                elif self._end.is_drained_out(read.text_bytes + read.reasoning_bytes):
                    deadline.interrupt("drain")
            return False

        return take


# Decisions and ends -----------------------------------------------------------------------


_LAST_WORDS_S: Final = 1.0


class StreamRelay:
    """Relays one stream."""

    __slots__ = (
        "_admitted",
        "_chunks",
        "_context",
        "_end",
        "_gathering",
        "_guarded",
        "_probe",
        "_reader",
        "_state",
        "_usage_meter",
    )

    def __init__(self, parts: AttemptParts) -> None:
        self._context = parts.context
        self._admitted = parts.admitted
        self._usage_meter = parts.usage_meter
        self._probe = parts.probe
        self._end = parts.end
        self._gathering = parts.gathering
        self._state = parts.state
        self._guarded: GuardedAnswer | None = None
        self._reader = self._open_reader()
        parts.usage_meter.decoder = self._reader.decoder
        self._chunks = StreamChunks(
            parts.context,
            parts.admitted,
            parts.usage_meter,
            self._state,
            self._reader.decoder,
            parts.end,
        )

    @property
    def committed(self) -> bool:
        """Whether the client has received content, so that no other channel can answer."""
        return self._chunks.committed

    async def relay(self, answer: Answer) -> Outcome:
        """Relay the answer to its end, from the current position. Raises UpstreamFailed."""
        take = self._chunks.taker(self._reader, self._gathering)
        while (outcome := await self._decide()) is None:
            if self.committed:
                await self._chunks.pass_first()
            await self._chunks.pass_on(answer, take)
        return outcome

    async def break_off(self, failure: UpstreamFailed) -> Outcome:
        """End a stream that failed after its first content: one typed error frame, no end marker.
        The delivered part is charged."""
        if self._usage_meter.complete:
            return await self._end_early()
        error = answer_behind_content(failure)
        outcome = self._end.settle(error, self._end.bill_so_far(), failure.fault)
        self._probe.failed(failure)
        await self._send_last(self._reader.fail(error.kind, error.message))
        return outcome

    async def stop(self, error: ErrorAnswer) -> Outcome:
        """Stop a stream after its first content. The delivered part is charged."""
        if self._usage_meter.complete:
            return await self._end_early()
        outcome = self._end.settle(error, self._end.bill_so_far())
        await self._send_last(self._reader.fail(error.kind, error.message))
        return outcome

    async def dismiss(self, error: ErrorAnswer) -> None:
        """Send the client a last error; `relay` then reads the rest of the stream only for its
        usage."""
        self._end.unheard = error
        await self._send_last(self._reader.fail(error.kind, error.message))
        self._chunks.forget_client()
        self._context.downstream.client_gone = True

    def _open_reader(self) -> Forwarding | StreamTranslator:
        context, facts, prepared = self._context, self._admitted.facts, self._admitted.prepared
        invocation = context.invocation
        on_tier = self._usage_meter.prices.set_reported_tier
        if prepared.request is None:
            return Forwarding(
                prepared, facts, invocation.target, id_text(context.request_id), on_tier
            )
        decoder = prepared.translating_decoder(prepared.request)
        decoder.report_tier(on_tier)
        source = prepared.untagging(decoder, facts.choices)
        encoder = invocation.codec.encoder(prepared.request, invocation.target)
        model = prepared.traits.requested_model
        if context.guarding is not None:
            self._guarded = GuardedAnswer(context.guarding)
        return StreamTranslator(
            decoder,
            encoder,
            facts.choices,
            model,
            source,
            tool_names=prepared.tool_names,
            change=self._guarded,
        )

    # ---- between two chunks

    async def _decide(self) -> Outcome | None:
        """Commit if the steps have content, and finish if they are the end. Return None to
        continue.
        """
        chunks = self._chunks
        last = chunks.events[-1] if chunks.events else None
        if isinstance(last, Asking):
            last = await self._ask()
        if isinstance(last, Broken):
            await self._write(chunks.pieces)
            raise upstream_failure(last.fault)
        if isinstance(last, Refused):
            return await self._end_refused(last)
        if not chunks.committed:
            if isinstance(last, UpstreamError):
                raise failure_inside(last)
            if not isinstance(last, End) and not any(event.is_content for event in chunks.events):
                return None
            await self._commit()
        if isinstance(last, End):
            return await self._end_whole()
        if isinstance(last, UpstreamError):
            return await self._end_failed(last)
        if chunks.is_above_cap():
            return await self._cut_at_cap()
        return None

    async def _ask(self) -> Event | None:
        """Ask guards about what they hold back, and add what they let pass to what is sent. Return
        the last event."""
        chunks, reader, guarded = self._chunks, self._reader, self._guarded
        chunks.events[:] = [one for one in chunks.events if not isinstance(one, Asking)]
        if isinstance(reader, StreamTranslator) and guarded is not None:
            # Guards have their own time limits.
            self._context.deadline.allow("idle", self._admitted.timeouts.total)
            try:
                if raw := reader.write(await guarded.answer()):
                    chunks.pieces.append(raw)
            except (GuardRefused, GuardFailed) as error:
                chunks.events.append(refused(error))
        return chunks.events[-1] if chunks.events else None

    async def _commit(self) -> None:
        """Commit to this upstream at its first content: from now on no other channel can answer."""
        context = self._context
        self._chunks.committed = True
        self._probe.first_content()
        self._end.ttft_ms = context.elapsed_ms()
        if not context.downstream.client_gone:
            context.await_client()
            await context.downstream.begin(self._admitted.head(context, None))

    # ---- Ends

    async def _end_whole(self) -> Outcome:
        """Settle a stream that the upstream reports as complete, and send its last bytes."""
        self._chunks.note(self._chunks.events)
        bill = self._end.bill_so_far()
        raw = self._with_cost(self._chunks.pieces, bill)
        await self._keep_end(raw)
        outcome = self._end.settle(None, bill)
        self._probe.good()
        await self._write([raw], last=True)
        return outcome

    async def _end_failed(self, error: UpstreamError) -> Outcome:
        """Handle an error that the upstream reports in the stream."""
        chunks = self._chunks
        pieces = list(chunks.pieces)
        if not chunks.steps[-1].raw:
            # An error that cannot be forwarded in the upstream's words is sent in ours.
            pieces.append(self._reader.fail(error.kind, error.message))
        chunks.note(chunks.events)
        failure = failure_inside(error)
        answer = answer_behind_content(failure)
        outcome = self._end.settle(answer, self._end.bill_so_far(), failure.fault)
        self._probe.failed(failure)
        await self._write(pieces, last=True)
        return outcome

    async def _end_refused(self, last: Refused) -> Outcome:
        """End an answer that a guard refuses. What was produced is charged."""
        chunks, downstream = self._chunks, self._context.downstream
        chunks.note(chunks.events)
        error = answer_to(last.error)
        outcome = self._end.settle(error, self._end.bill_so_far())
        self._probe.good()
        if self.committed:
            # Guards check only what is decoded.
            translator = cast(StreamTranslator, self._reader)
            frame = translator.fail(error.kind, error.message, error.guard_code)
            await self._write([*chunks.pieces, frame], last=True)
        elif not downstream.client_gone:
            await downstream.refuse(error, charged=outcome.is_charged)
        return outcome

    async def _cut_at_cap(self) -> Outcome:
        """End an answer that exceeds its cap as if it had reached its length (F18)."""
        if self._guarded is not None:
            self._guarded.close()
            if isinstance(last := await self._ask(), Refused):
                return await self._end_refused(last)
        self._usage_meter.finish_reason = "length"
        bill = self._end.bill_so_far()
        raw = self._with_cost([*self._chunks.pieces, self._reader.cut()], bill)
        await self._keep_end(raw)
        outcome = self._end.settle(None, bill, "F18")
        self._probe.good()
        await self._write([raw], last=True)
        return outcome

    async def _end_early(self) -> Outcome:
        """Handle a failure after every choice has finished, which does not damage the answer."""
        bill = self._end.bill_so_far()
        rest = [step.raw for step in self._reader.end()]
        raw = self._with_cost([*self._chunks.pieces, *rest], bill)
        # A limit of the request may be over already, and must not interrupt its end once more.
        self._context.deadline.stop()
        try:
            async with timeout(_LAST_WORDS_S):
                await self._keep_end(raw, limited=False)
        except TimeoutError:
            pass
        finally:
            outcome = self._end.settle(None, bill)
            self._probe.good()
        await self._send_last(raw)
        return outcome

    async def _keep_end(self, raw: bytes, *, limited: bool = True) -> None:
        """Store the end of a successful stream, before it is settled: what a later request may
        continue, and the last bytes for a repetition. `limited`: by the limits of the request."""
        if self._state is not None:
            if limited:
                self._context.await_client()
            await self._state.keep(self._response())
        recorder = self._context.downstream.recorder
        if recorder is not None:
            await recorder.keep_end(raw)

    def _with_cost(self, pieces: Sequence[bytes], bill: Bill) -> bytes:
        """Return the last bytes of a successful stream, with its cost if requested."""
        raw = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if not self._context.options.include_cost:
            return raw
        return last_with_cost(raw, bill.meters, bill.charge_nano)

    def _response(self) -> bytes | None:
        """Return the complete response that a stream of the responses dialect sent."""
        reader, codec = self._reader, self._context.invocation.codec
        if isinstance(reader, StreamTranslator):
            response = codec.response_of(reader.encoder)
        else:
            response = reader.response()
        model = self._admitted.prepared.traits.requested_model
        if not response or not model:
            return response
        return name_answer(response, codec.model_in_answer, model)

    # ---- to the client

    async def _write(self, pieces: Sequence[bytes], *, last: bool = False) -> None:
        context = self._context
        if self.committed and not context.downstream.client_gone:
            context.await_client()
            raw = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            await context.downstream.write(raw, last=last)

    async def _send_last(self, frame: bytes) -> None:
        """Send the last bytes to a client that may have disconnected."""
        if self._context.downstream.client_gone:
            return
        try:
            async with timeout(_LAST_WORDS_S):
                await self._context.downstream.write(frame, last=True)
        except TimeoutError:
            return
