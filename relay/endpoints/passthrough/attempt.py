"""The attempt of a pass-through: its body is sent while it arrives, and its answer passed on while
it arrives.

    2xx                                     passed on and charged by the rule
    3xx, a redirect to a path on the list   passed on with its path here, and charged the price of
                                              the request
    any other redirect                      F21: an error, nothing is charged
    a compressed answer                     F20: an error, nothing is charged; no key could be
                                              masked in it
    4xx about the request                   passed on, nothing is charged
    4xx about the channel's key, account    the fault table's, as for other requests: the client
      or rate, 5xx                            gets an error of ours, nothing is charged
    a value that cannot be read             the hold is kept for a review (I14)

Clients choose the paths, so no answer says anything about the health of the channel: only whether
it can be reached does.
"""

import time
from functools import partial
from typing import Final

import msgspec

from billing.currency.money import format_usd
from billing.prices.pricing import total_of
from dialects.errors.errors import message_of
from gateway.channels.passthrough.rules import VALUE_METER, PassThroughRule
from lib.ids import id_text
from lib.process.waiting import timeout
from relay.answers.attempt_end import AttemptEnd, AttemptParts
from relay.attempts.attempt import Attempt
from relay.context.context import RequestContext
from relay.downstream.downstream import ErrorAnswer
from relay.downstream.error_answers import answer_behind_content, answer_to
from relay.downstream.http_sink import HttpSink
from relay.downstream.limit_answers import limit_headers
from relay.endpoints.passthrough.answer_value import MISSING, Value, ValueReader
from relay.endpoints.passthrough.headers import Fields, returned_headers
from relay.endpoints.passthrough.incoming_body import IncomingBody
from relay.endpoints.passthrough.operation import PassThrough, codec_of
from relay.endpoints.passthrough.secret_mask import SecretMask
from relay.health.channel_health import HealthProbe
from relay.holds.admitted_attempt import AdmittedAttempt
from relay.metering.usage_meter import Bill, UsageMeter
from relay.preparation.translator import overridden_headers
from relay.requests.outcome import Outcome
from relay.upstream.failures import UpstreamFailed, failure_of_status, upstream_failure
from relay.upstream.outgoing import PassedRequest
from relay.upstream.upstream import (
    Answer,
    check_encoding,
    read_beginning,
    read_failure,
    request_id_of,
)

_NOT_CHARGED: Final = Bill({}, 0, "none", (), None)
# Errors about the channel's key, account or rate, not about the request.
_OF_THE_CHANNEL: Final = frozenset({401, 402, 403, 407, 408, 429})
_FAULTS_OF_THE_CHANNEL: Final = frozenset({"F5", "F9"})
_WITHOUT_BODY: Final = frozenset({204, 304})
# The faults that say that a channel cannot be reached.
_UNREACHABLE: Final = frozenset({"F1", "F2", "F3", "F4"})
_LAST_WORDS_S: Final = 1.0


class PathMeter(UsageMeter):
    """Counts what a pass-through rule charges: the request, and the value in its answer."""

    __slots__ = ("_hold_nano", "_rule", "value")

    def __init__(self, admitted: AdmittedAttempt, rule: PassThroughRule) -> None:
        super().__init__(admitted)
        self._rule = rule
        self._hold_nano = admitted.hold.size.hold_nano
        # Known at the end of the answer.
        self.value: Value = MISSING

    def bill_stream(self, measured: str) -> Bill:
        """Return the bill of a request that its provider has received: the rule's price, plus the
        value in the answer, at most the hold. An unusable value is held for review; `measured` is
        the basis of every other bill."""
        meters, raw = {"requests": 1}, None
        if self._rule.pointer:
            value = self.value
            if value.flag:
                return Bill(meters, 0, "held", (value.flag, "quarantine"), None)
            if value.text:
                meters[VALUE_METER] = value.micros
                raw = msgspec.json.encode({self._rule.pointer: value.text}).decode()
        price = self.prices.price
        charge = 0 if price is None else total_of(meters, price.version)
        if not isinstance(charge, int):
            return Bill(meters, 0, "held", (charge.reason, "quarantine"), raw)
        return Bill(meters, min(charge, self._hold_nano), measured, (), raw)

    def unknown_nano(self) -> int:
        """Return the price of the request alone, because the value of the missing answer is
        unknown."""
        price = self.prices.price
        charge = 0 if price is None else total_of({"requests": 1}, price.version)
        return charge if isinstance(charge, int) else 0


class PassThroughAttempt(Attempt):
    """An attempt with the body of its request, and the sink of its client."""

    __slots__ = ("_ahead", "_asked", "_body", "_meter", "_secrets", "_sink")

    def __init__(
        self,
        asked: PassThrough,
        body: IncomingBody | None,
        sink: HttpSink,
        context: RequestContext,
        admitted: AdmittedAttempt,
        probe: HealthProbe,
    ) -> None:
        super().__init__(context, admitted, probe)
        self._asked = asked
        self._body = body
        self._sink = sink
        self._ahead = b""
        self._secrets: tuple[str, ...] = ()
        self._meter = PathMeter(admitted, asked.rule)
        self._usage_meter = self._meter
        self._end = AttemptEnd(context, admitted, self._meter)
        if body is not None:
            body.interrupt = partial(context.deadline.interrupt, "left")
            body.offer = self._limit_piece

    def _allow_times(self) -> None:
        context, admitted = self._context, self._admitted
        context.deadline.limit("total", admitted.timeouts.total)
        if self._body is None:
            context.deadline.allow("first_content", admitted.first_content_s)

    async def _send(self, *, fresh: bool) -> Answer:
        """Send the request; return its answer if that is to be forwarded. Raises UpstreamFailed."""
        context, admitted, body = self._context, self._admitted, self._body
        channel, headers = admitted.channel, dict(self._asked.headers)
        if channel.overrides is not None:
            headers |= overridden_headers(context, channel.overrides, admitted.facts.model)
        request = PassedRequest(
            self._asked.method,
            self._asked.url,
            headers,
            None if body is None else body.pieces(self._body_sent),
            b"" if body is None else body.framing,
        )
        if body is None:
            self._dispatched()
        passed = await context.parts.upstreams.pass_through(
            channel,
            context.snapshot.egress,
            request,
            id_text(admitted.hold.attempt_id),
            key=self._probe.key,
            # A body that is read once cannot be sent again (F32).
            fresh=fresh or body is not None,
        )
        self._dispatched()
        answer, self._secrets = passed.answer, tuple(passed.secrets)
        usable = False
        try:
            if answer.status >= 500 or answer.status in _OF_THE_CHANNEL:
                raise await read_failure(answer, codec_of(channel))
            if _has_body(self._asked.method, answer.status):
                check_encoding(answer)
            if answer.status == 400 and self._asked.method != "HEAD":
                self._ahead = await self._read_refusal(answer)
            usable = True
        except UpstreamFailed as failure:
            # A 403 is mostly about the path, which the client chose.
            if failure.expired or failure.upstream_status == 401:
                passed.drop_credentials()
            raise
        finally:
            if not usable:
                answer.cut()
        return answer

    async def _read_refusal(self, answer: Answer) -> bytes:
        """Return the beginning of a refusal of the request. Raises UpstreamFailed if it is about
        the channel's key or account, which some providers tell with the same status."""
        body = await read_beginning(answer)
        codec = codec_of(self._admitted.channel)
        failure = failure_of_status(answer.status, answer.headers, body, codec)
        if failure.fault in _FAULTS_OF_THE_CHANNEL:
            failure.request_id = request_id_of(answer)
            raise failure
        return body

    def _limit_piece(self, offered: bool) -> None:
        """Limit how long the provider may take to accept a piece of the body. The client's time for
        the next piece is limited by the body itself."""
        timeouts = self._admitted.timeouts
        if offered:
            self._context.deadline.allow("idle", timeouts.idle)
        else:
            self._context.deadline.allow("total", timeouts.total)

    def _body_sent(self) -> None:
        """Record that the provider has the whole request, so that it may cost from now on."""
        self._dispatched()
        self._context.deadline.allow("first_content", self._admitted.first_content_s)

    async def _relay(self, answer: Answer) -> Outcome:
        parts = AttemptParts(
            context=self._context,
            admitted=self._admitted,
            usage_meter=self._meter,
            probe=self._probe,
            end=self._end,
            gathering=self._gathering,
            state=None,
        )
        stream = PassedRelay(
            parts, self._asked, self._meter, self._sink, self._secrets, self._ahead
        )
        self._stream = stream
        return await stream.relay(answer)

    async def _end_cancelled(self) -> Outcome:
        fault = None if self._body is None else self._body.fault
        if fault is not None and self._context.deadline.caught() is not None:
            return await self._stop(answer_to(fault), _NOT_CHARGED)
        return await super()._end_cancelled()

    async def _fail(self, failure: UpstreamFailed) -> Outcome:
        if failure.fault not in _UNREACHABLE:
            self._probe.close()
        return await super()._fail(failure)


class PassedRelay:
    """Forwards one answer of a pass-through."""

    __slots__ = (
        "_ahead",
        "_asked",
        "_mask",
        "_meter",
        "_parts",
        "_secrets",
        "_sink",
        "_value_reader",
        "committed",
    )

    def __init__(
        self,
        parts: AttemptParts,
        asked: PassThrough,
        meter: PathMeter,
        sink: HttpSink,
        secrets: tuple[str, ...],
        ahead: bytes = b"",
    ) -> None:
        # The part of the body that was read before.
        self._ahead = ahead
        self._parts = parts
        self._asked = asked
        self._meter = meter
        self._sink = sink
        self._secrets = secrets
        self._mask = SecretMask(secrets)
        # Has read all that has arrived, also if `relay` goes on without the client; None for an
        # answer without a value.
        self._value_reader: ValueReader | None = None
        # Whether the client has received part of the answer.
        self.committed = False

    async def relay(self, answer: Answer) -> Outcome:
        """Forward the answer to its end, from the current position. Raises UpstreamFailed."""
        context, status = self._parts.context, answer.status
        if not self.committed:
            await self._begin(answer)
            context.deadline.allow("idle", self._parts.admitted.timeouts.idle)
        has_body = _has_body(self._asked.method, status)
        reader = self._value_reader
        if reader is None:
            self._meter.value = Value()
        while has_body and (piece := await self._next_piece(answer)):
            if reader is not None:
                reader.feed(piece)
            await self._write(self._mask.feed(piece))
            context.deadline.allow("idle", self._parts.admitted.timeouts.idle)
        if not has_body:
            # Close the connection, because nothing tells the parser that this answer has no body.
            answer.cut()
        if reader is not None:
            self._meter.value = reader.end()
        outcome = self._settle_whole(status)
        if not context.downstream.client_gone:
            context.await_client()
            await self._sink.write(self._mask.end(), last=True)
        return outcome

    async def _next_piece(self, answer: Answer) -> bytes:
        ahead, self._ahead = self._ahead, b""
        return ahead or await answer.next_bytes()

    async def break_off(self, failure: UpstreamFailed) -> Outcome:
        """End an answer that failed after its first bytes were sent. The delivered part is
        charged."""
        outcome = self._settle(answer_behind_content(failure), failure.fault)
        await self._cut()
        return outcome

    async def stop(self, error: ErrorAnswer) -> Outcome:
        """Stop an answer after its first bytes were sent. The delivered part is charged."""
        outcome = self._settle(error)
        await self._cut()
        return outcome

    async def dismiss(self, error: ErrorAnswer) -> None:
        """Cut the client's answer; `relay` then reads the rest only for the value to charge."""
        self._parts.end.unheard = error
        await self._cut()
        self._parts.context.downstream.client_gone = True

    def _reader(self, answer: Answer) -> ValueReader | None:
        rule = self._asked.rule
        most = rule.value_micros_max
        if most is None or answer.status >= 300 or self._asked.method == "HEAD":
            return None
        return ValueReader(rule.pointer, most, answer.headers.get("content-type", ""))

    async def _begin(self, answer: Answer) -> None:
        """Send the head. Raises UpstreamFailed for a redirect that is not on the list."""
        context, parts = self._parts.context, self._parts
        fields = returned_headers(answer.headers, self._secrets)
        fields += self._location(answer)
        length = answer.headers.get("content-length")
        if length is not None and "transfer-encoding" not in answer.headers:
            fields.append((b"content-length", length.encode()))
        hold = parts.admitted.hold
        fields.append((b"x-weir-hold", format_usd(hold.size.hold_nano).encode()))
        fields += limit_headers(context.invocation.codec.name, hold.headroom, time.time())
        # A proxy in front must not collect it.
        fields.append((b"x-accel-buffering", b"no"))
        self._value_reader = self._reader(answer)
        self.committed = True
        parts.end.ttft_ms = context.elapsed_ms()
        if not context.downstream.client_gone:
            context.await_client()
            context.downstream.begun = True
            await self._sink.begin_bytes(answer.status, fields)

    def _location(self, answer: Answer) -> Fields:
        text = answer.headers.get("location", "")
        if not text or not 300 <= answer.status < 400:
            return []
        place = self._asked.location(text, self._secrets)
        if place is None:
            raise upstream_failure("F21")
        return [(b"location", place.encode())]

    async def _write(self, piece: bytes) -> None:
        context = self._parts.context
        if piece and not context.downstream.client_gone:
            context.await_client()
            await self._sink.write(piece, last=False)

    async def _cut(self) -> None:
        if self._parts.context.downstream.client_gone:
            return
        async with timeout(_LAST_WORDS_S):
            await self._parts.context.downstream.cut()

    def _settle_whole(self, status: int) -> Outcome:
        parts = self._parts
        if status >= 400:
            # The provider refused the request and did nothing, so report it like other refusals.
            message = message_of("provider_rejected", f"the provider answered {status}")
            error = ErrorAnswer("provider_rejected", status, message)
            return parts.end.settle(error, _NOT_CHARGED)
        parts.end.status = status
        outcome = parts.end.settle(None, parts.end.bill_so_far())
        parts.probe.good()
        return outcome

    def _settle(self, error: ErrorAnswer, fault: str = "") -> Outcome:
        return self._parts.end.settle(error, self._parts.end.bill_so_far(), fault)


def _has_body(method: str, status: int) -> bool:
    """Return whether an answer has a body (RFC 9112, section 6.3)."""
    return method != "HEAD" and status not in _WITHOUT_BODY
