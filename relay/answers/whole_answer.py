"""A whole answer: read it in full, settle it, then send it to the client. If the model only
streams, the stream is folded into one answer.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec

from dialects.chat.chat import ChatRequest
from dialects.chat.events import Broken, End, Event, Finish, UpstreamError
from dialects.chat.fold import AnswerFault, fold
from dialects.chat.tool_names import restore_names
from dialects.codec import JSON, Counting, WholeAnswer
from dialects.openai.outside_reasoning import rewrite_usage
from dialects.openai.think_tags import untag_answer
from dialects.openai.unary import PlainAnswer
from dialects.streams.json_repair import repair
from dialects.streams.model_alias import name_answer
from dialects.streams.service_tier import tier_of_answer
from dialects.streams.surrogate_pairs import Pairs
from relay.answers.accepted_video import begin_task
from relay.answers.attempt_end import AttemptParts
from relay.answers.cost_in_answer import with_cost
from relay.answers.picture_links import LinkedPicture, expiry, picture_link
from relay.downstream.error_answers import answer_to, failure_inside
from relay.guarding.guarded_answer import GuardedAnswer
from relay.guarding.refusals import GuardFailed, GuardRefused
from relay.media_tasks.video_order import AcceptedTask
from relay.metering.usage_meter import Bill
from relay.operations.unary import Exchange
from relay.requests.outcome import Outcome
from relay.upstream.failures import UpstreamFailed, upstream_failure
from relay.upstream.upstream import Answer

_R = TypeVar("_R", WholeAnswer, PlainAnswer)
_NO_BYTES: Final = b""


class WholeRelay:
    """Relays one whole answer."""

    __slots__ = (
        "_admitted",
        "_context",
        "_end",
        "_gathering",
        "_probe",
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

    def relay(self, answer: Answer) -> Awaitable[Outcome]:
        """Relay the answer. Raises UpstreamFailed, before the client has received anything."""
        prepared = self._admitted.prepared
        exchange = prepared.exchange
        if isinstance(exchange, Exchange):
            return self._relay_exchange(answer, exchange)
        if prepared.stream and prepared.request is not None:
            return self._relay_folded(answer, prepared.request)
        return self._relay_chat(answer)

    # ---- the three forms

    async def _relay_chat(self, answer: Answer) -> Outcome:
        prepared = self._admitted.prepared
        raw, whole = await self._read(answer, self._read_chat)
        if prepared.traits.normalises_usage:
            raw = rewrite_usage(raw, whole.usage)
        self._usage_meter.note(whole.events)
        return await self._answer(whole, whole.events, raw)

    def _read_chat(self, raw: bytes) -> WholeAnswer:
        prepared = self._admitted.prepared
        if tier := tier_of_answer(raw):
            self._usage_meter.prices.set_reported_tier(tier)
        if prepared.request is not None:
            return prepared.codec.translate_answer(raw, prepared.request, prepared.answer_tool)
        return prepared.codec.read_answer(raw)

    async def _relay_exchange(self, answer: Answer, exchange: Exchange) -> Outcome:
        """Relay the answer to a request that is not a chat."""
        raw, whole = await self._read(answer, exchange.read)
        if exchange.accepted is not None:
            return await self._begin_task(exchange.accepted, raw)
        bill = self._usage_meter.bill_exchange(
            exchange,
            self._end.measured,
            reported=whole.quantities,
            usage=whole.usage,
            at_rates=whole.at_rates,
        )
        try:
            raw = exchange.write(raw, bill.meters)
        except AnswerFault as fault:
            broken = fault.event.fault if isinstance(fault.event, Broken) else "F15"
            raise upstream_failure(broken) from None
        # The playground stores the files, and shows no address.
        if exchange.with_links is not None and self._context.source == "api":
            raw = exchange.with_links(raw, self._link)
        return await self._deliver(bill, raw, exchange.content_type)

    def _link(self, url: str) -> str:
        """Return our link to a picture that the provider stores."""
        admitted, config = self._admitted, self._context.parts.config
        expires = expiry(url, self._context.snapshot.now())
        picture = LinkedPicture(
            url=url, channel=admitted.channel.id, model=admitted.facts.model, expires=expires
        )
        return picture_link(config.pepper, config.public_url, picture)

    async def _begin_task(self, accepted: AcceptedTask, raw: bytes) -> Outcome:
        """Begin the task that the provider accepted: store it with its hold, then answer the
        client.
        """
        context, admitted = self._context, self._admitted
        downstream, head = context.downstream, admitted.head(context, None)
        context.deadline.stop()
        created_at = await begin_task(
            context, admitted, accepted, accepted.upstream_id(raw), self._probe.key
        )
        answer = msgspec.json.encode(accepted.answer(raw, created_at))
        outcome = self._end.entrust()
        self._probe.good()
        if downstream.recorder is not None:
            await downstream.recorder.keep_answer(head, answer)
        if not downstream.client_gone:
            await downstream.sink.answer(head, answer)
        return outcome

    async def _relay_folded(self, answer: Answer, request: ChatRequest) -> Outcome:
        """Collect a stream for a client that wants a whole answer, if the upstream only streams."""
        admitted, prepared = self._admitted, self._admitted.prepared
        decoder = self._usage_meter.decoder = prepared.translating_decoder(request)
        decoder.report_tier(self._usage_meter.prices.set_reported_tier)
        reader = prepared.untagging(decoder, admitted.facts.choices)
        events, pairs, meter = list[Event](), Pairs(), self._usage_meter
        while True:
            chunk = await _next_chunk(answer)
            steps = reader.feed(chunk) if chunk else reader.end()
            if not steps and not self._gathering.more(len(chunk)):
                raise upstream_failure("F17")
            if steps:
                self._gathering.whole()
            fresh = [event for step in steps for event in pairs.join(step.events)]
            meter.note(fresh)
            events += fresh
            last = events[-1] if events else None
            if isinstance(last, UpstreamError):
                raise failure_inside(last)
            if isinstance(last, Broken):
                raise upstream_failure(last.fault)
            if isinstance(last, End):
                return await self._answer(decoder, events[:-1], _NO_BYTES)
            if self._context.downstream.client_gone and self._end.is_drained_out(
                decoder.text_bytes + decoder.reasoning_bytes
            ):
                self._context.deadline.interrupt("drain")
            if meter.is_above_cap():
                finish = Finish(0, "length")
                meter.note([finish])
                return await self._answer(decoder, [*events, finish], _NO_BYTES, "F18")
            self._context.deadline.allow("idle", admitted.timeouts.idle)

    # ---- from the upstream

    async def _read(self, answer: Answer, read: Callable[[bytes], _R]) -> tuple[bytes, _R]:
        """Return the bytes of a whole answer, and its decoded content. Raises UpstreamFailed."""
        raw = await self._body(answer)
        if self._admitted.prepared.traits.think_tags:
            raw = untag_answer(raw)
        whole = read(raw)
        if whole.broken == "F15" and (repaired := repair(raw)) is not None:
            # F27, F15a: these do not invalidate the answer.
            raw, whole = repaired.shown, read(repaired.read)
        if whole.error is None and whole.broken is None:
            return raw, whole
        if isinstance(whole, WholeAnswer):
            self._usage_meter.refused = whole
        if whole.error is not None:
            raise failure_inside(whole.error)
        raise upstream_failure(whole.broken or "F15")

    async def _body(self, answer: Answer) -> bytes:
        """Read the whole body; each piece extends the idle time."""
        raw = await answer.next_bytes()
        if answer.at_end:
            return raw
        pieces, size, size_max = [raw], len(raw), self._context.parts.config.answer_bytes_max
        while True:
            self._context.deadline.allow("idle", self._admitted.timeouts.idle)
            piece = await answer.next_bytes()
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
            if size > size_max:
                raise upstream_failure("F34", "the provider's answer is too large")

    # ---- to the client

    async def _answer(
        self, counting: Counting, events: list[Event], raw: bytes, fault: str = ""
    ) -> Outcome:
        """Answer a chat. `raw` is sent unchanged if nothing is translated; `fault` is why the
        answer was cut.
        """
        prepared = self._admitted.prepared
        if prepared.request is not None:
            if prepared.tool_names:
                events = restore_names(events, prepared.tool_names)
            sent = events
            if (guarding := self._context.guarding) is not None:
                # Guards that make a call have their own time limits.
                self._context.deadline.allow("idle", self._admitted.timeouts.total)
                try:
                    sent = await GuardedAnswer(guarding).whole(events)
                except (GuardRefused, GuardFailed) as refused:
                    return await self._refuse(refused, counting)
            answer, model = fold(sent), prepared.traits.requested_model
            if model:
                answer = msgspec.structs.replace(answer, model=model)
            raw = self._context.invocation.codec.write_answer(answer, prepared.request)
        if self._state is not None:
            self._state.note(events)
        bill = self._usage_meter.bill(counting, self._end.measured)
        return await self._deliver(bill, raw, fault=fault)

    async def _refuse(self, refused: GuardRefused | GuardFailed, counting: Counting) -> Outcome:
        """Refuse an answer that a guard did not let pass. What was produced is charged."""
        context, error = self._context, answer_to(refused)
        bill = self._usage_meter.bill(counting, self._end.measured)
        context.deadline.stop()
        outcome = self._end.settle(error, bill)
        self._probe.good()
        if not context.downstream.client_gone:
            await context.downstream.refuse(error, charged=outcome.is_charged)
        return outcome

    async def _deliver(
        self, bill: Bill, raw: bytes, content_type: str = JSON, *, fault: str = ""
    ) -> Outcome:
        """Settle the answer, then send it to the client."""
        context, prepared, codec = (
            self._context,
            self._admitted.prepared,
            self._context.invocation.codec,
        )
        head = self._admitted.head(context, bill.charge_nano)
        if content_type != JSON:
            head = msgspec.structs.replace(head, content_type=content_type)
        if prepared.traits.requested_model and prepared.request is None:
            raw = name_answer(raw, codec.model_in_answer, prepared.traits.requested_model)
        if self._state is not None:
            context.await_client()
            await self._state.keep(raw)
        if context.options.include_cost and content_type == JSON:
            raw = with_cost(raw, bill.charge_nano)
        downstream = context.downstream
        # The upstream's part is over. The server disconnects a client that does not read a whole
        # answer.
        context.deadline.stop()
        if downstream.recorder is not None:
            await downstream.recorder.keep_answer(head, raw)
        self._end.ttft_ms = context.elapsed_ms()
        outcome = self._end.settle(None, bill, fault)
        self._probe.good()
        if not downstream.client_gone:
            await downstream.sink.answer(head, raw)
        return outcome


async def _next_chunk(answer: Answer) -> bytes:
    """Return the next chunk; b"" at the end or after a failure, because the decoder knows whether
    the answer is complete."""
    try:
        return await answer.next_bytes()
    except UpstreamFailed:
        return b""
