"""One attempt: a request sent to one channel, its answer relayed, and settled exactly once.

SENT --first content--> COMMITTED --end--> SETTLED
  SENT --fault--> UpstreamFailed, which `run.py` handles: the client has received nothing
  COMMITTED --fault--> one typed error frame, no end marker --> SETTLED
  SENT, COMMITTED --client leaves--> cut, or drained without the client --> SETTLED,
    by the charge rule (`abandoned.py`), like failures after the commit point
  COMMITTED --key or session ends--> the client gets an error; then as if it had left --> SETTLED

`whole_answer.py` or `stream.py` relays the answer; `attempt_end.py` settles it.
"""

import asyncio
from collections.abc import Awaitable
from typing import Final, Protocol

from billing.limits.charge_rule import ChargeRule
from billing.prices.pricing import PPM
from lib.ids import id_text
from lib.process.waiting import timeout
from relay.answers.abandoned import USAGE_AFTER_TEXT_S, may_be_absorbed
from relay.answers.accepted_video import intend_video
from relay.answers.attempt_end import AttemptEnd, AttemptParts, state_of
from relay.answers.media_relay import MediaRelay
from relay.answers.stream import StreamRelay
from relay.answers.whole_answer import WholeRelay
from relay.catalogue.snapshot import Channel
from relay.context.context import RequestContext
from relay.credentials.revocation import EndReason
from relay.downstream.downstream import ErrorAnswer
from relay.downstream.error_answers import INTERNAL, STOPPING, answer_of_end, failure_of_limit
from relay.health.channel_health import HealthProbe
from relay.holds.admitted_attempt import AdmittedAttempt
from relay.ledger.settlement import Settlement
from relay.media_tasks.media_tasks import withdraw
from relay.media_tasks.video_order import AcceptedVideo
from relay.metering.usage_meter import Bill, OtherPrices, UsageMeter, cost_of
from relay.operations.unary import Exchange, Passing
from relay.requests.outcome import Outcome
from relay.upstream.failures import UpstreamFailed
from relay.upstream.large_events import Gathering
from relay.upstream.turn_socket import Post
from relay.upstream.upstream import Answer, read_rest, request_id_of

REST_S: Final = 1.0
"""How long to wait for the bytes after an answer's end."""
_NOT_SENT: Final = Bill({}, 0, "none", (), None)
_NOBODY_PAYS: Final = Bill({}, 0, "absorbed", (), None)

# The event loop keeps only weak references to tasks.
_rests: set[asyncio.Task[None]] = set()


class AnswerRelay(Protocol):
    """Relays an answer while it arrives: see `MediaRelay`."""

    @property
    def committed(self) -> bool: ...
    def relay(self, answer: Answer) -> Awaitable[Outcome]: ...
    def break_off(self, failure: UpstreamFailed) -> Awaitable[Outcome]: ...
    def stop(self, error: ErrorAnswer) -> Awaitable[Outcome]: ...
    def dismiss(self, error: ErrorAnswer) -> Awaitable[None]: ...


class Attempt:
    """An admitted attempt. Call `execute` once. `post` sends the request; by default over HTTP."""

    __slots__ = (
        "_admitted",
        "_context",
        "_end",
        "_failed",
        "_gathering",
        "_intended",
        "_post",
        "_probe",
        "_sent",
        "_stream",
        "_usage_meter",
    )

    def __init__(
        self,
        context: RequestContext,
        admitted: AdmittedAttempt,
        probe: HealthProbe,
        post: Post | None = None,
    ) -> None:
        self._context = context
        self._admitted = admitted
        self._probe = probe
        self._post = post or context.parts.upstreams.post
        snapshot, price, channel = context.snapshot, admitted.hold.price, admitted.channel
        upstream_model = admitted.upstream_model
        multiplier_ppm = PPM if price is None else price.version.multiplier_ppm
        self._usage_meter = UsageMeter(
            admitted,
            OtherPrices(
                lambda name: snapshot.price_on(name, channel, upstream_model, multiplier_ppm),
                lambda name: snapshot.cost_of(name, channel, upstream_model),
            ),
            snapshot.accepted.get(channel.provider.name, {}),
        )
        self._end = AttemptEnd(context, admitted, self._usage_meter)
        # The process's memory for an incomplete event of its answer.
        self._gathering = Gathering(context.parts.large)
        # Whether a connection is open and the request is being sent.
        self._sent = False
        # Relays the answer if it is forwarded while it arrives; set after its head has arrived.
        self._stream: AnswerRelay | None = None
        # Whether the attempt failed before content. Its hold is then still open, and the next
        # attempt replaces it.
        self._failed = False
        # The task of a video, if it was stored before its provider accepted it.
        self._intended: AcceptedVideo | None = None

    @property
    def key(self) -> int:
        """The position of the attempt's key among the keys of its channel."""
        return self._probe.key

    def leave(self) -> None:
        """Handle a client that left: by the charge rule, cut the answer or drain it for a while
        (docs/promises.md, "Leaving clients")."""
        context = self._context
        if not self._sent:
            context.deadline.interrupt("left")
        elif self._becomes_task:
            # The provider continues without the client; the task appears in its team's list.
            return
        elif (rule := self._end.abandon()).kind == "drain":
            self._drain(rule)
        elif self._usage_meter.complete:
            context.deadline.limit("drain", USAGE_AFTER_TEXT_S)
        else:
            context.deadline.interrupt("left")

    def revoke(self, reason: EndReason = "revoked") -> None:
        """End the attempt because its key or session has ended: cut the answer, and tell the
        client. A drained answer continues, and so does a stream whose charge rule is to drain,
        because its usage determines the charge. Before content, and for a whole answer, only what
        was sent is charged.
        """
        if self._end.outcome is not None or self._context.downstream.client_gone:
            return
        if self._sent and self._becomes_task:
            return
        self._end.abandon()
        if self._usage_meter.complete:
            # The answer is complete; only the usage is missing.
            self._context.deadline.limit(reason, USAGE_AFTER_TEXT_S)
        else:
            self._context.deadline.interrupt(reason)

    @property
    def _becomes_task(self) -> bool:
        exchange = self._admitted.prepared.exchange
        return isinstance(exchange, Exchange) and exchange.accepted is not None

    @property
    def channel(self) -> Channel:
        """The channel of this attempt."""
        return self._admitted.channel

    @property
    def answer_text(self) -> str:
        """The collected text of the answer."""
        return self._usage_meter.answer_text

    def cost_of(self, outcome: Outcome) -> int | None:
        """Return our cost of the attempt's answer, or None without a cost price."""
        return cost_of(outcome.meters, self._usage_meter.prices.cost)

    async def execute(self, *, fresh: bool) -> Outcome:
        """Send the request and relay its answer; `fresh` requires an unused connection. Raises
        UpstreamFailed before the commit point only; the hold is then still open. Every other exit
        has settled it.
        """
        answer: Answer | None = None
        whole = False
        try:
            if self._context.parts.turns.counting:
                # One transaction admits many at once, which are not all sent at once (P35).
                await self._context.parts.turns.begin(self._context.principal)
            self._allow_times()
            if self._admitted.prepared.exchange is not None:
                await self._intend(self._admitted.prepared.exchange)
            answer = await self._send(fresh=fresh)
            self._end.upstream_request_id = request_id_of(answer)
            self._usage_meter.prices.read_tier_header(answer.headers)
            self._probe.accepted()
            await self._context.parts.turns.begin(self._context.principal)
            try:
                outcome = await self._relay(answer)
            except asyncio.CancelledError:
                draining = self._stream_to_drain()
                if draining is None:
                    raise
                outcome = await self._read_on(*draining, answer)
            whole = True
            return outcome
        except asyncio.CancelledError:
            return await self._end_cancelled()
        except UpstreamFailed as failure:
            return await self._fail(failure)
        finally:
            self._close()
            if self._intended is not None and not whole:
                self._withdraw(self._intended)
            if answer is not None:
                if whole:
                    _give_back(answer)
                else:
                    answer.cut()

    def failed(self, failure: UpstreamFailed, *, final: bool) -> Settlement:
        """Return the end of this attempt, which failed before content."""
        return self._end.failed(failure, final=final)

    def _allow_times(self) -> None:
        context, admitted = self._context, self._admitted
        first_content_s = admitted.first_content_s
        context.deadline.limit("total", admitted.timeouts.total)
        context.deadline.allow("first_content", first_content_s)
        if admitted.facts.stream:
            context.downstream.start_keep_alive(self._ping, context.parts.config.keep_alive_s)

    async def _intend(self, exchange: Exchange | Passing) -> None:
        """Store a video's task before ordering it, if its provider can be asked by our id."""
        accepted = exchange.accepted if isinstance(exchange, Exchange) else None
        if isinstance(accepted, AcceptedVideo) and accepted.form.external:
            self._intended = accepted
            await intend_video(self._context, self._admitted, accepted, self._probe.key)

    def _withdraw(self, intended: AcceptedVideo) -> None:
        """Remove the stored task of an order that the provider did not accept. The caller does not
        wait. If the removal fails, the task ends by itself."""
        states, attempt_id = self._context.parts.states, self._admitted.hold.attempt_id
        task = asyncio.create_task(withdraw(states, attempt_id, intended.own_id))
        _rests.add(task)
        task.add_done_callback(_rests.discard)

    def _send(self, *, fresh: bool) -> Awaitable[Answer]:
        context, admitted = self._context, self._admitted
        return self._post(
            admitted.channel,
            context.snapshot.egress,
            admitted.prepared.outgoing(admitted.hold.size.output_cap),
            id_text(admitted.hold.attempt_id),
            key=self._probe.key,
            fresh=fresh,
            on_sent=self._dispatched,
        )

    def _dispatched(self) -> None:
        self._sent = True

    def _relay(self, answer: Answer) -> Awaitable[Outcome]:
        parts = AttemptParts(
            context=self._context,
            admitted=self._admitted,
            usage_meter=self._usage_meter,
            probe=self._probe,
            end=self._end,
            gathering=self._gathering,
            state=state_of(self._context, self._admitted),
        )
        exchange = self._admitted.prepared.exchange
        if isinstance(exchange, Passing):
            self._stream = MediaRelay(parts, exchange)
            return self._stream.relay(answer)
        if not self._admitted.facts.stream:
            return WholeRelay(parts).relay(answer)
        if may_be_absorbed(self._context, self._admitted):
            self._usage_meter.leave_unmarked()
        self._context.parts.ledger.marks.watch(self._usage_meter)
        self._stream = StreamRelay(parts)
        return self._stream.relay(answer)

    def _stream_to_drain(self) -> tuple[AnswerRelay, ErrorAnswer] | None:
        """Return the stream to drain if the key or session has ended and the provider would finish
        and bill the stream anyway. The cancellation then counts as handled. Call this in `except
        CancelledError`."""
        stream, context = self._stream, self._context
        drains = (
            context.deadline.reason in ("revoked", "session_ended")
            and self._end.abandon().kind == "drain"
            and self._end.outcome is None
            and not self._usage_meter.complete
            and not context.downstream.shared
        )
        if stream is None or not stream.committed or not drains:
            return None
        reason = context.deadline.caught()
        if reason != "revoked" and reason != "session_ended":
            return None
        return stream, self._answer_of_end(reason)

    def _answer_of_end(self, reason: EndReason) -> ErrorAnswer:
        context = self._context
        return answer_of_end(reason, context.session, context.parts.config.public_url)

    def _drain(self, rule: ChargeRule) -> None:
        self._context.deadline.limit("drain", rule.seconds)
        if rule.cost_nano is not None:
            self._end.limit_drain(rule.cost_nano)

    async def _read_on(self, stream: AnswerRelay, error: ErrorAnswer, answer: Answer) -> Outcome:
        self._drain(self._end.abandon())
        await stream.dismiss(error)
        return await stream.relay(answer)

    async def _ping(self) -> None:
        """Send a keep-alive. The first one commits the HTTP status, but not to this upstream."""
        context, invocation = self._context, self._context.invocation
        if not context.downstream.client_gone and not invocation.target.array:
            await context.downstream.begin(self._admitted.head(context, None))
            await context.downstream.sink.write(invocation.codec.ping, last=False)

    # ---- Ends other than success

    async def _end_cancelled(self) -> Outcome:
        """Settle after a cancellation by a time limit, the client, or the process."""
        admitted = self._admitted
        reason = self._context.deadline.caught()
        if reason is None:
            return await self._stop(STOPPING, _NOBODY_PAYS)
        if (reason == "revoked" or reason == "session_ended") and self._end.outcome is None:
            return await self._stop(self._answer_of_end(reason), self._bill_so_far())
        failure = failure_of_limit(reason, admitted.timeouts, admitted.first_content_s)
        if failure is None:
            # What was sent and received until now is charged.
            return self._end.settle(self._end.unheard, self._bill_so_far())
        return await self._fail(failure)

    async def _fail(self, failure: UpstreamFailed) -> Outcome:
        """Handle a fault. Raises it if another channel can still answer."""
        if self._stream is not None and self._stream.committed:
            return await self._stream.break_off(failure)
        if self._end.outcome is not None:
            # The client reads a whole answer too slowly.
            return self._end.outcome
        self._failed = True
        self._probe.failed(failure)
        raise failure from None

    async def _stop(self, error: ErrorAnswer, bill: Bill) -> Outcome:
        """Stop the attempt before the upstream finishes, and tell the client. `bill` is charged if
        nothing was delivered yet.
        """
        if self._stream is not None and self._stream.committed:
            return await self._stream.stop(error)
        if self._end.outcome is not None:
            return self._end.outcome
        outcome = self._end.settle(error, bill)
        if not self._context.downstream.client_gone:
            await self._context.downstream.refuse(error, charged=outcome.is_charged)
        return outcome

    def _bill_so_far(self) -> Bill:
        """Return the bill of what was sent and received until now."""
        return self._end.bill_so_far() if self._sent else _NOT_SENT

    def _close(self) -> None:
        self._probe.close()
        if self._gathering.size:
            self._gathering.whole()
        if self._end.outcome is None and not self._failed:
            # A defect of ours: settle now, because an open hold would block money for hours.
            self._end.settle(INTERNAL, _NOBODY_PAYS)
        if self._admitted.facts.stream:
            self._context.parts.ledger.marks.unwatch(self._usage_meter)


def _give_back(answer: Answer) -> None:
    """Return the connection to the pool. Another task reads the few bytes after an end marker."""
    if answer.at_end:
        answer.release()
        return
    rest = asyncio.create_task(_read_rest(answer))
    _rests.add(rest)
    rest.add_done_callback(_rests.discard)


async def _read_rest(answer: Answer) -> None:
    try:
        async with timeout(REST_S):
            await read_rest(answer)
    except TimeoutError:
        answer.cut()
    else:
        answer.release()
