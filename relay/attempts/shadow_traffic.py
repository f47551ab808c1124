"""Shadow traffic: compare a model's answers with those of another channel
(gateway/routing/shadow_rules.py).

A request is sent to the shadow after its own answer has ended, so that it can neither delay nor
fail the client's request. It has no hold and no attempt: the installation pays, the cost is
recorded with the comparison, and it counts towards the caps of the channel. If the cost is
unknown, an estimate of it counts, and the comparison says so. The answers are compared here and not
stored.

    not sent   requests with tools, media or several choices; with an object that a provider
               stores; excluded by the data policy; without a known cost price; above the
               rule's daily cap; while too many are running, or too many comparisons wait for
               the database; while the channel is unavailable

A request that continues a response stored here is sent with its whole conversation, and the shadow
stores nothing.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from billing.prices.lookup import Price
from dialects.chat.events import (
    Broken,
    End,
    Event,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    UpstreamError,
)
from dialects.codec import Counting, Facts
from dialects.errors.errors import RequestFault
from dialects.usage.usage import Quantities
from gateway.breaker.faults import FAULTS
from gateway.channel_order.channel_order import Candidate
from gateway.providers.suffixes import RequestedModel
from gateway.routing.shadow_rules import STOPPED, ShadowRule, likeness, storable_name
from gateway.routing.shadow_sql import read_shadow_spend, write_shadow_answers
from lib.id_types import UpstreamModelName
from lib.ids import id_text, new_id
from lib.process.waiting import timeout
from relay.catalogue.snapshot import Channel, Snapshot
from relay.context.context import RequestContext
from relay.counting.own_count import UsageEvidence, count_own
from relay.counting.vocabularies import family_of
from relay.database.database import Row, Statement
from relay.downstream.error_answers import failure_inside
from relay.errors import DatabaseFailed, DatabaseRefused
from relay.health.channels_out import ChannelsOut
from relay.metering.usage_meter import cost_of, tokens_of
from relay.operations.unary import UnaryFacts
from relay.preparation.prepared import PreparedRequest
from relay.preparation.translator import RequestTranslator
from relay.requests.outcome import Outcome
from relay.routing.routing import has_tools, screen
from relay.upstream.failures import UpstreamFailed, upstream_failure
from relay.upstream.upstream import Answer

log = logging.getLogger(__name__)

IN_FLIGHT_MAX: Final = 8
"""The maximum number of shadow requests per process; further ones are not sent."""
LONGEST_S: Final = 120.0
_ANSWER_BYTES_MAX: Final = 1024 * 1024
# While so many comparisons wait for the database, nothing is sent, because their cost must be kept.
_WAITING_MAX: Final = 1_000
# The SQLSTATE class of values that fit no column.
_BAD_DATA: Final = "22"

Ask = Callable[[Statement], Awaitable[Sequence[Row]]]


class MainAnswer(NamedTuple):
    """The client's answer from the requested model: the channel, our cost (None: unknown), and the
    collected text."""

    outcome: Outcome
    model: RequestedModel
    channel: Channel
    cost_nano: int | None
    text: str


class _ShadowAnswer(NamedTuple):
    """The shadow's answer. If its cost is unknown, `cost_nano` is an estimate."""

    text: str
    finish_reason: str
    ttft_ms: int | None
    total_ms: int
    output_tokens: int
    cost_nano: int
    cost_unknown: bool = False
    fault: str = ""


class _Sending(NamedTuple):
    """A request to a rule's shadow, and its cost."""

    context: RequestContext
    facts: Facts
    rule_model: str
    candidate: Candidate
    price: Price
    main: MainAnswer


class Steps(Protocol):
    """Turns received chunks into steps: see `FrameDecoder`."""

    def feed(self, chunk: bytes) -> list[Any]: ...
    def end(self) -> list[Any]: ...


class ShadowTraffic:
    """The shadow requests of one process."""

    def __init__(self, *, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self._running: set[asyncio.Task[None]] = set()
        self._waiting: list[dict[str, Any]] = []
        # Today's cost of each rule's shadow, by model; None until it is read.
        self._spent: dict[str, int] | None = None

    def follow(
        self,
        context: RequestContext,
        facts_of: Callable[[], Facts | None],
        model: str,
        main: Callable[[], MainAnswer | None],
    ) -> None:
        """Start sending a finished request to the shadow of its model, if a rule says so, and
        return without waiting. `facts_of` returns the facts, or None if no other channel can serve
        them. `main` returns what the client received, or None if there is nothing to compare."""
        rule = context.snapshot.rule_of(model)
        shadow = rule.shadow
        if shadow is None or self._draw() * 100 >= shadow.percent:
            return
        if not self._has_room(rule.model, shadow) or (answer := main()) is None:
            return
        if (facts := facts_of()) is None:
            return
        # A failure of the decisions in the task cannot affect the request either.
        task = asyncio.create_task(self._compare(context, facts, rule.model, shadow, answer))
        self._running.add(task)
        task.add_done_callback(self._ended)

    async def exchange(self, snapshot: Snapshot, ask: Ask) -> None:
        """Write the comparisons, and read today's cost of the shadows. Raises DatabaseFailed."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            try:
                await ask(write_shadow_answers(waiting))
            except DatabaseFailed as error:
                if isinstance(error, DatabaseRefused) and error.sqlstate.startswith(_BAD_DATA):
                    # A row that the database refused once is always refused.
                    log.error("%d comparisons of shadow traffic are lost: %s", len(waiting), error)
                else:
                    self._waiting = [*waiting, *self._waiting]
                raise
        if snapshot.shadowed:
            rows = await ask(read_shadow_spend())
            spent = {model or "": int(nano or 0) for model, nano in rows}
            for row in self._waiting:
                spent[row["rule"]] = spent.get(row["rule"], 0) + row["cost_nano"]
            self._spent = spent

    async def stop(self, ask: Ask) -> None:
        """Cancel the running requests, and write the comparisons."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        if self._waiting:
            await ask(write_shadow_answers(self._waiting))

    # ---- Sending

    def _has_room(self, rule_model: str, shadow: ShadowRule) -> bool:
        if self._spent is None or len(self._running) >= IN_FLIGHT_MAX:
            return False
        if len(self._waiting) >= _WAITING_MAX:
            return False
        return self._spent.get(rule_model, 0) < shadow.cap_nano

    async def _compare(
        self,
        context: RequestContext,
        facts: Facts,
        rule_model: str,
        shadow: ShadowRule,
        main: MainAnswer,
    ) -> None:
        sending = _sending(context, facts, rule_model, shadow, main)
        if sending is None:
            return
        try:
            answer = await _request_shadow(sending)
        except RequestFault:
            # The channel cannot serve it, so there is nothing to compare.
            return
        row = _answer_row(sending, answer)
        self._waiting.append(row)
        if self._spent is not None:
            spent = self._spent.get(sending.rule_model, 0)
            self._spent[sending.rule_model] = spent + answer.cost_nano

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a shadow failed by a defect of ours", exc_info=task.exception())


def _sending(
    context: RequestContext,
    facts: Facts,
    rule_model: str,
    shadow: ShadowRule,
    main: MainAnswer,
) -> _Sending | None:
    """Return the request to send to the shadow, or None if it may not or cannot be sent now."""
    snapshot = context.snapshot
    channel = snapshot.channel_named(shadow.channel)
    if channel is None or not _is_plain(context, facts):
        return None
    priced = shadow.model or main.model.name
    name_there = UpstreamModelName(_shadow_model_name(snapshot, channel, shadow, main))
    price = snapshot.cost_of(priced, channel, name_there)
    price = price or snapshot.price_on(priced, channel, name_there)
    candidate = Candidate(channel.id, name_there, 0)
    organisation_id = context.principal.organisation_id
    if price is None or context.parts.health.why_not(candidate, organisation_id) is not None:
        return None
    try:
        screen(context, facts, [candidate])
    except ChannelsOut:
        return None
    return _Sending(context, facts, rule_model, candidate, price, main)


def _is_plain(context: RequestContext, facts: Facts) -> bool:
    """Return whether a request is a plain text chat that asks for one answer and continues
    nothing."""
    return (
        not isinstance(facts, UnaryFacts)
        and not context.downstream.shared
        and facts.choices == 1
        and not any(facts.media.values())
        and not has_tools(facts)
        and not context.invocation.codec.hosted_tools(facts)
    )


def _shadow_model_name(
    snapshot: Snapshot, channel: Channel, shadow: ShadowRule, main: MainAnswer
) -> str:
    """Return the model's name at the shadow's channel: the rule's name, else the route's."""
    if shadow.model:
        return shadow.model
    model = main.model.name
    routes = [route for route in snapshot.routes_of(model) if route.channel_id == channel.id]
    return (routes[0].upstream_model if routes else "") or model


async def _request_shadow(sending: _Sending) -> _ShadowAnswer:
    """Return the shadow's answer. Raises RequestFault if it cannot serve the request."""
    context, facts, candidate = sending.context, sending.facts, sending.candidate
    channel = context.snapshot.channels[candidate.channel_id]
    translator = RequestTranslator(
        context,
        facts,
        sending.main.model,
        cap_max=context.parts.config.output_tokens_assumed,
    )
    prepared = await translator.prepare(candidate)
    reading = _Reading(sending, prepared)
    seconds = min(channel.timeouts_of(sending.main.model.name).total, LONGEST_S)
    answer: Answer | None = None
    try:
        async with timeout(seconds):
            key = context.parts.health.usable_key(candidate, context.principal.organisation_id)
            answer = await context.parts.upstreams.post(
                channel,
                context.snapshot.egress,
                prepared.outgoing(None),
                id_text(new_id()),
                key=key,
                fresh=False,
            )
            await reading.read(answer)
    except UpstreamFailed as failure:
        return reading.answer_text(failure.fault)
    except TimeoutError:
        return reading.answer_text("F13")
    except asyncio.CancelledError:
        # The provider may charge what was sent, so the comparison is still written.
        return reading.answer_text(STOPPED)
    finally:
        if answer is not None:
            # Do not wait for bytes after its end.
            answer.release() if answer.at_end else answer.cut()
    return reading.answer_text()


class _Reading:
    """Reads a shadow's answer."""

    def __init__(self, sending: _Sending, prepared: PreparedRequest) -> None:
        self._sending = sending
        self._prepared = prepared
        self._time = asyncio.get_running_loop().time
        self._began = self._time()
        self._events: list[Event] = []
        self._counting: Counting | None = None
        self._ttft_ms: int | None = None

    async def read(self, answer: Answer) -> None:
        """Read the answer to its end. Raises UpstreamFailed."""
        if self._prepared.stream:
            await self._read_stream(answer)
        else:
            await self._read_whole(answer)

    def answer_text(self, fault: str = "") -> _ShadowAnswer:
        """Return the text of the answer up to now."""
        texts = [
            event.text for event in self._events if isinstance(event, TextDelta | RefusalDelta)
        ]
        thoughts = [event.text for event in self._events if isinstance(event, ReasoningDelta)]
        ends = [event.reason for event in self._events if isinstance(event, Finish)]
        meters, cost_nano, known = self._usage("".join(texts), "".join(thoughts), fault)
        return _ShadowAnswer(
            text="".join(texts),
            finish_reason=ends[-1] if ends else "",
            ttft_ms=self._ttft_ms,
            total_ms=self._elapsed_ms(),
            output_tokens=tokens_of(
                {name: n for name, n in meters.items() if name.startswith("out_")}
            ),
            cost_nano=cost_nano,
            cost_unknown=not known,
            fault=fault,
        )

    def _elapsed_ms(self) -> int:
        return int((self._time() - self._began) * 1000)

    def _usage(self, text: str, thought: str, fault: str) -> tuple[dict[str, int], int, bool]:
        """Return the meters of the answer up to now, their cost, and whether it is known. A failure
        before any content costs nothing if its fault says so; else its cost is unknown, and
        estimated by the input (I15)."""
        failed = bool(fault) and not any(event.is_content for event in self._events)
        if failed and fault in FAULTS and FAULTS[fault].money == "none":
            return {}, 0, True
        meters, known = self._meters(text, thought)
        price = self._sending.price
        cost = cost_of(meters, price)
        if cost is not None:
            return meters, cost, known and not failed
        rated = {name: n for name, n in meters.items() if name in price.version.rates}
        return meters, cost_of(rated, price) or 0, False

    def _meters(self, text: str, thought: str) -> tuple[dict[str, int], bool]:
        """Return the meters of the answer up to now, and whether all of its usage is known."""
        facts, prepared = self._sending.facts, self._prepared
        known = True
        if self._counting is not None:
            usage = prepared.codec.quantities(self._counting)
            if usage.reliable:
                return dict(usage.meters), not self._unknown_members(usage)
            # An implausible count is no count: our own stands in for it (F27).
            known = usage.missing
        own = count_own(
            UsageEvidence(
                facts.text_bytes,
                text_bytes=len(text.encode(errors="replace")),
                reasoning_bytes=len(thought.encode(errors="replace")),
                family=family_of(self._sending.candidate.upstream_model),
                answer_text=text,
                thought=thought,
                body=facts.body.raw,
            )
        )
        return own, known

    def _unknown_members(self, usage: Quantities) -> list[str]:
        """Return the unclassified members of a usage (P28) that no operator has accepted."""
        snapshot, candidate = self._sending.context.snapshot, self._sending.candidate
        provider = snapshot.channels[candidate.channel_id].provider.name
        accepted = snapshot.accepted.get(provider, {}).get(usage.wire, frozenset())
        return [name for name in usage.unknown if name not in accepted]

    async def _read_whole(self, answer: Answer) -> None:
        raw = b""
        while piece := await answer.next_bytes():
            raw += piece
            if len(raw) > _ANSWER_BYTES_MAX:
                raise upstream_failure("F34")
            if answer.at_end:
                break
        prepared = self._prepared
        if prepared.request is not None:
            whole = prepared.codec.translate_answer(raw, prepared.request, prepared.answer_tool)
        else:
            whole = prepared.codec.read_answer(raw)
        if whole.error is not None:
            raise failure_inside(whole.error)
        if whole.broken is not None:
            raise upstream_failure(whole.broken)
        self._events, self._counting = whole.events, whole
        self._ttft_ms = self._elapsed_ms()

    async def _read_stream(self, answer: Answer) -> None:
        prepared, facts = self._prepared, self._sending.facts
        if prepared.request is not None:
            decoder = prepared.translating_decoder(prepared.request)
        else:
            decoder = prepared.codec.decoder(facts, self._sending.context.invocation.target)
        self._counting = decoder
        reader: Steps = prepared.untagging(decoder, facts.choices)
        size = 0
        while True:
            chunk = await answer.next_bytes()
            size += len(chunk)
            if size > _ANSWER_BYTES_MAX:
                raise upstream_failure("F17")
            for step in reader.feed(chunk) if chunk else reader.end():
                self._events += step.events
            last = self._events[-1] if self._events else None
            if self._ttft_ms is None and any(event.is_content for event in self._events):
                self._ttft_ms = self._elapsed_ms()
            if isinstance(last, End):
                return
            if isinstance(last, UpstreamError):
                raise failure_inside(last)
            if isinstance(last, Broken):
                raise upstream_failure(last.fault)
            if not chunk:
                raise upstream_failure("F14")


def _answer_row(sending: _Sending, answer: _ShadowAnswer) -> dict[str, Any]:
    main, outcome = sending.main, sending.main.outcome
    context, candidate = sending.context, sending.candidate
    both = outcome.status == 200 and not answer.fault
    alike = likeness(main.text, answer.text) if both else None
    outputs = {name: n for name, n in outcome.meters.items() if name.startswith("out_")}
    return {
        "id": str(new_id()),
        "rule": sending.rule_model,
        "request_id": str(context.request_id),
        "model": storable_name(main.model.name),
        "main_channel": main.channel.name,
        "main_status": outcome.status,
        "main_ttft_ms": outcome.ttft_ms,
        "main_total_ms": outcome.total_ms,
        "main_tokens": tokens_of(outputs),
        "main_finish": outcome.finish_reason,
        "main_cost_nano": main.cost_nano,
        "channel_id": candidate.channel_id,
        "channel": context.snapshot.channels[candidate.channel_id].name,
        "upstream_model": storable_name(candidate.upstream_model),
        "fault": answer.fault,
        "ttft_ms": answer.ttft_ms,
        "total_ms": answer.total_ms,
        "tokens": answer.output_tokens,
        "finish": answer.finish_reason,
        "cost_nano": answer.cost_nano,
        "cost_unknown": answer.cost_unknown,
        "likeness": None if alike is None else alike.percent,
        "same_structure": None if alike is None else alike.same_structure,
    }
