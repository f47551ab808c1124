"""One attempt: a request sent to one channel, relayed, and settled exactly once.

SENT --first content--> COMMITTED --end--> SETTLED
  SENT --fault--> UpstreamFailed, for the run to decide on (nothing has reached the client)
  COMMITTED --fault--> one typed error frame, no end marker --> SETTLED
  SENT, COMMITTED --client leaves--> cut, or read on without anybody listening --> SETTLED
"""

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from gateway.codecs.errors import KINDS, ErrorKind, message_of
from gateway.codecs.events import Broken, End, Event, Finish, UpstreamError
from gateway.codecs.openai import errors as openai_errors
from gateway.codecs.openai import request as openai_request
from gateway.codecs.openai import response as openai_response
from gateway.codecs.openai.request import ChatFacts
from gateway.codecs.openai.stream import DONE_FRAME, Decoder
from gateway.relay.call import CLIENT_CLOSED, Call, Head, Outcome, Refused
from gateway.relay.deadline import Reason
from gateway.relay.settlement import Resolved
from gateway.relay.sizing import Size
from gateway.relay.snapshot import Channel, Price
from gateway.relay.tally import Bill, Seen, count, meters_text
from gateway.relay.upstream import Answer, UpstreamFailed, failed
from gateway.rules.faults import FAULTS
from gateway.rules.routing import Candidate
from lib.ids import id_text
from usage.sql import Ending

_USAGE_AFTER_TEXT_S: Final = 2.0
_REST_S: Final = 1.0
_LAST_WORDS_S: Final = 1.0
_LENGTH_NOTICE: Final = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}\n\n'

# The event loop keeps only weak references to tasks.
_rests: set[asyncio.Task[None]] = set()


class Attempt:
    """An admitted attempt. `go` is called once."""

    __slots__ = (
        "_call",
        "_candidate",
        "_channel",
        "_committed",
        "_decoder",
        "_facts",
        "_finish_reason",
        "_outcome",
        "_output_bytes_max",
        "_price",
        "_size",
        "_ttft_ms",
        "id",
    )

    def __init__(
        self,
        call: Call,
        facts: ChatFacts,
        candidate: Candidate,
        attempt_id: UUID,
        size: Size,
        price: Price | None,
        output_bytes_max: int | None,
    ) -> None:
        self.id = attempt_id
        self._call = call
        self._facts = facts
        self._candidate = candidate
        self._channel: Channel = call.snapshot.channels[candidate.channel_id]
        self._size = size
        self._price = price
        self._output_bytes_max = output_bytes_max
        self._decoder: Decoder | None = None
        self._committed = False
        self._ttft_ms: int | None = None
        self._finish_reason = ""
        self._outcome: Outcome | None = None

    def leave(self) -> None:
        """The client has gone. What happens then is the channel's policy (promises.md, "Leaving
        clients"): the answer is cut at once, or read on for a while."""
        call = self._call
        if self._channel.drain:
            call.deadline.limit("drain", call.parts.config.leave_drain_s)
        elif self._complete:
            call.deadline.limit("drain", _USAGE_AFTER_TEXT_S)
        else:
            call.deadline.interrupt("left")

    async def go(self, *, fresh: bool) -> Outcome:
        """Send the request and relay its answer; `fresh` asks for an unused connection.

        Raises UpstreamFailed before the commit point only; the hold is then still open. Every
        other way out of here has settled it.
        """
        call, channel, times = self._call, self._channel, self._channel.timeouts
        answer: Answer | None = None
        whole = untold = False
        try:
            call.deadline.limit("total", times.total)
            call.deadline.allow("first_content", times.first_content)
            answer = await call.parts.upstreams.post_chat(
                channel,
                call.snapshot.egress,
                openai_request.edit(
                    self._facts, self._candidate.upstream_model, output_cap=self._size.output_cap
                ),
                id_text(self.id),
                stream=self._facts.stream,
                fresh=fresh,
            )
            outcome = await (
                self._relay_stream(answer) if self._facts.stream else self._relay_plain(answer)
            )
            whole = True
            return outcome
        except asyncio.CancelledError:
            reason = call.deadline.caught()
            if reason is None:
                return await self._stop("server_shutting_down")
            failure = _failure_of(reason, channel)
            if failure is None:
                return self._abandon()
            if not self._committed:
                untold = True
                raise failure from None
            return await self._break_off(failure)
        except UpstreamFailed as failure:
            if not self._committed:
                untold = True
                raise
            return await self._break_off(failure)
        finally:
            if self._outcome is None and not untold:
                # A defect of ours: the request answers for it, the hold must not wait for hours.
                nothing = Bill({}, 0, "absorbed", (), None)
                self._settle(500, "internal", message_of("internal"), nothing)
            if answer is not None:
                if whole:
                    _give_back(answer)
                else:
                    answer.cut()

    def failed(self, failure: UpstreamFailed, *, final: bool) -> Resolved:
        """The end of this attempt when it failed before content: the customer pays nothing."""
        absorbed = FAULTS[failure.fault].money not in ("none", "exact")
        return self._resolved(
            "settled" if absorbed else "voided",
            Ending(
                final=final,
                status=failure.status,
                kind=failure.kind,
                message=failure.message,
                basis="absorbed" if absorbed else "none",
                total_ms=self._call.elapsed_ms(),
                flags=(failure.fault,),
            ),
        )

    # ---- answers

    async def _relay_plain(self, answer: Answer) -> Outcome:
        call = self._call
        raw = await self._whole(answer)
        told = openai_response.read(raw)
        if told.error is not None:
            raise UpstreamFailed("F23", told.error.kind, told.error.message, code=told.error.code)
        if told.broken is not None:
            raise failed(told.broken)
        self._committed = True
        self._ttft_ms = call.elapsed_ms()
        self._note_finish(told.events)
        bill = self._bill(told.usage, told.text_bytes, told.reasoning_bytes)
        outcome = self._settle(200, None, "", bill)
        if not call.silent:
            call.deadline.allow("stall", call.parts.config.write_stall_s)
            size = self._size
            head = Head("application/json", size.hold_nano, size.output_cap, bill.charge_nano)
            await call.sink.answer(head, raw, told.events)
        return outcome

    async def _whole(self, answer: Answer) -> bytes:
        """A plain answer in full; each piece of it gives the next one the idle time."""
        raw = await answer.next_bytes()
        if answer.at_end:
            return raw
        pieces, size, size_max = [raw], len(raw), self._call.parts.config.answer_bytes_max
        while True:
            self._call.deadline.allow("idle", self._channel.timeouts.idle)
            piece = await answer.next_bytes()
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
            if size > size_max:
                raise failed("F34", "the provider's answer is too large")

    async def _relay_stream(self, answer: Answer) -> Outcome:
        call, idle_s = self._call, self._channel.timeouts.idle
        decoder = self._decoder = Decoder(
            usage_asked=self._facts.usage_asked, choices=self._facts.choices
        )
        pieces: list[bytes] = []
        events: list[Event] = []
        heard_at = call.began
        while True:
            try:
                chunk = await answer.next_bytes()
            except UpstreamFailed:
                # The decoder knows whether what is missing was still needed.
                chunk = b""
            for step in decoder.feed(chunk) if chunk else decoder.end():
                if step.raw:
                    pieces.append(step.raw)
                if step.events:
                    events += step.events
            last = events[-1] if events else None
            if isinstance(last, Broken):
                if not decoder.complete:
                    await self._write(pieces, events[:-1])
                    raise failed(last.fault)
                # What cannot be read stands behind the whole answer, and takes nothing from it.
                last = events[-1] = End(marked=False)
            if not self._committed:
                if isinstance(last, UpstreamError):
                    raise UpstreamFailed("F23", last.kind, last.message, code=last.code)
                if not isinstance(last, End) and not any(event.is_content for event in events):
                    continue
                await self._commit()
            if isinstance(last, End | UpstreamError):
                return await self._end(last, pieces, events)
            if (
                self._output_bytes_max is not None
                and decoder.text_bytes + decoder.reasoning_bytes > self._output_bytes_max
            ):
                return await self._cut_at_hold(pieces, events)
            if events:
                heard_at = call.time()
                self._note_finish(events)
            if pieces or events:
                await self._write(pieces, events)
                pieces.clear()
                events = []
            # Comments keep a connection open, not an answer alive (F13).
            call.deadline.allow("idle", idle_s, heard_at)

    async def _commit(self) -> None:
        """The first content is here: from now on this upstream's answer is the answer."""
        call = self._call
        self._committed = True
        self._ttft_ms = call.elapsed_ms()
        if not call.silent:
            call.deadline.allow("stall", call.parts.config.write_stall_s)
            size = self._size
            await call.sink.begin(Head("text/event-stream", size.hold_nano, size.output_cap, None))

    async def _write(
        self, pieces: Sequence[bytes], events: Sequence[Event], *, last: bool = False
    ) -> None:
        call = self._call
        if self._committed and not call.silent:
            call.deadline.allow("stall", call.parts.config.write_stall_s)
            raw = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            await call.sink.write(raw, events, last=last)

    async def _end(
        self, last: End | UpstreamError, pieces: Sequence[bytes], events: Sequence[Event]
    ) -> Outcome:
        """The upstream says that it is over: complete, or failed in words of its own."""
        self._note_finish(events)
        if isinstance(last, End):
            outcome = self._settle(200, None, "", self._bill_stream())
        else:
            status = KINDS[last.kind].status
            outcome = self._settle(status, last.kind, last.message, self._bill_stream(), "F23")
        await self._write(pieces, events, last=True)
        return outcome

    async def _cut_at_hold(self, pieces: list[bytes], events: list[Event]) -> Outcome:
        """F18: an answer that outgrows its hold ends here, as if it had reached its length."""
        self._finish_reason = "length"
        outcome = self._settle(200, None, "", self._bill_stream(), "F18")
        events += [Finish(0, "length"), End(marked=True)]
        await self._write([*pieces, _LENGTH_NOTICE, DONE_FRAME], events, last=True)
        return outcome

    # ---- other ends

    async def _break_off(self, failure: UpstreamFailed) -> Outcome:
        """After the commit point: one typed frame, no end marker, and what was delivered is paid.

        A fault after every choice has finished takes nothing from the answer.
        """
        if self._complete:
            outcome = self._settle(200, None, "", self._bill_stream())
            await self._say_last(b"", End(marked=False))
            return outcome
        kind, message = failure.kind, failure.message
        outcome = self._settle(failure.status, kind, message, self._bill_stream(), failure.fault)
        await self._say_last(openai_errors.frame(kind, message), UpstreamError(kind, message, None))
        return outcome

    async def _stop(self, kind: ErrorKind) -> Outcome:
        """It ends for a reason of ours: what was delivered is paid, and the client is told."""
        status, message = KINDS[kind].status, message_of(kind)
        if self._committed:
            outcome = self._settle(status, kind, message, self._bill_stream())
            frame = openai_errors.frame(kind, message)
            await self._say_last(frame, UpstreamError(kind, message, None))
            return outcome
        outcome = self._settle(status, kind, message, Bill({}, 0, "absorbed", (), None))
        if not self._call.silent:
            await self._call.sink.refuse(Refused(kind, status, message, retry_after_ms=1000))
        return outcome

    def _abandon(self) -> Outcome:
        """The client left: what was sent and what was emitted until now is paid."""
        return self._settle(499, "client_closed", CLIENT_CLOSED, self._bill_stream())

    async def _say_last(self, frame: bytes, told: Event) -> None:
        """End a stream for a client that may not be able to hear it."""
        if self._call.silent:
            return
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._call.sink.write(frame, [told], last=True)
        except TimeoutError:
            return

    # ---- books

    @property
    def _complete(self) -> bool:
        """Whether a stream has said everything but its usage."""
        return self._decoder is not None and self._decoder.complete

    def _bill_stream(self) -> Bill:
        """The bill of what has come so far."""
        decoder = self._decoder
        if decoder is None:
            return self._bill(None, 0, 0)
        return self._bill(decoder.usage, decoder.text_bytes, decoder.reasoning_bytes)

    def _bill(self, usage: bytes | None, text_bytes: int, reasoning_bytes: int) -> Bill:
        seen = Seen(self._facts.text_bytes, usage, text_bytes, reasoning_bytes)
        measured = "drained" if self._call.silent else "measured"
        return count(seen, self._price, self._size.hold_nano, measured)

    def _settle(
        self, status: int, kind: ErrorKind | None, message: str, bill: Bill, fault: str = ""
    ) -> Outcome:
        """Write the end of this attempt; returns before it is written. The first end counts."""
        if self._outcome is not None:
            return self._outcome
        call = self._call
        if call.silent and kind is None:
            status, kind, message = 499, "client_closed", CLIENT_CLOSED
        outcome = self._outcome = Outcome(
            call.request_id,
            status,
            kind,
            message,
            self._finish_reason,
            bill.meters,
            bill.charge_nano,
            bill.basis,
            self._size.hold_nano,
            self._ttft_ms,
            call.elapsed_ms(),
        )
        ending = Ending(
            final=True,
            status=status,
            kind=kind,
            message=message,
            finish_reason=self._finish_reason,
            meters=meters_text(bill.meters),
            charge_nano=bill.charge_nano,
            basis=bill.basis,
            ttft_ms=self._ttft_ms,
            total_ms=outcome.total_ms,
            raw_usage=bill.raw_usage,
            flags=(*bill.flags, fault) if fault else bill.flags,
        )
        call.parts.books.settle(self._resolved("settled", ending))
        return outcome

    def _resolved(self, state: str, ending: Ending) -> Resolved:
        return Resolved(self._call.principal.organisation_id, self.id, state, ending)

    def _note_finish(self, events: Sequence[Event]) -> None:
        for event in events:
            if type(event) is Finish:
                self._finish_reason = event.reason


def _give_back(answer: Answer) -> None:
    """Return the connection; the few bytes behind an end marker are waited for elsewhere."""
    if answer.at_end:
        answer.release()
        return
    rest = asyncio.create_task(_read_rest(answer))
    _rests.add(rest)
    rest.add_done_callback(_rests.discard)


async def _read_rest(answer: Answer) -> None:
    try:
        async with asyncio.timeout(_REST_S):
            await answer.rest()
    except TimeoutError:
        answer.cut()
    else:
        answer.release()


def _failure_of(reason: Reason, channel: Channel) -> UpstreamFailed | None:
    """The fault of a time limit; None when it was the client that went or takes nothing."""
    times = channel.timeouts
    if reason == "first_content":
        return failed("F11", seconds=max(1, int(times.first_content)))
    if reason == "idle":
        return failed("F13", seconds=max(1, int(times.idle)))
    if reason == "total":
        return failed("F13", seconds=max(1, int(times.total)))
    return None
