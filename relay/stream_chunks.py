"""The chunks of a stream on their way from the upstream to the client.

This runs for each chunk of each stream: a chunk is read, counted and written in the very call that
took it off the socket, as long as there is nothing to decide. Decisions are those of `stream.py`.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from dialects.codec import Decoder
from dialects.events import Broken, End, Event, Step, UpstreamError
from relay.admitted_attempt import AdmittedAttempt
from relay.answer_state import AnswerState
from relay.forwarding import Forwarding
from relay.large_events import Gathering
from relay.request_context import RequestContext
from relay.translating import Translating
from relay.upstream import Answer, upstream_failure
from relay.usage_meter import UsageMeter

_LAST: Final = (End, UpstreamError, Broken)


class StreamChunks:
    """Passes the chunks of one stream on."""

    __slots__ = (
        "_blocked",
        "_context",
        "_decoder",
        "_heard_at",
        "_idle_s",
        "_output_bytes_max",
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
    ) -> None:
        self._context = context
        # What is passed on is counted, and remembered where something of it is kept.
        self._usage_meter = usage_meter
        self._state = state
        # Knows how far the answer is.
        self._decoder = decoder
        self._idle_s = admitted.channel.timeouts.idle
        self._output_bytes_max = admitted.output_bytes_max
        # Whether the first content has come: until then nothing is passed on.
        self.committed = False
        # What the client has not got yet, and what that says.
        self.pieces: list[bytes] = []
        self.events: list[Event] = []
        # What the last chunk made whole.
        self.steps: Sequence[Step] = ()
        # When an event came last: comments keep a connection open, not an answer alive (F13).
        self._heard_at = context.began
        # What must be awaited before more may be written.
        self._blocked: Awaitable[None] | None = None

    def note(self, events: Sequence[Event]) -> None:
        """Count what was said, and remember what a later request may give back."""
        mark_due = self._usage_meter.note(events)
        if self._state is not None:
            self._state.note(events)
        if mark_due:
            self._context.parts.ledger.mark(self._usage_meter)

    def above_hold(self) -> bool:
        """Whether the answer has outgrown its hold (F18)."""
        most, decoder = self._output_bytes_max, self._decoder
        return most is not None and decoder.text_bytes + decoder.reasoning_bytes > most

    async def pass_on(self, answer: Answer, take: Callable[[bytes], bool]) -> None:
        """Pass chunks on until there is something to decide. Raises UpstreamFailed (F17)."""
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
        """Pass on the first content, with what stands before it."""
        context, downstream = self._context, self._context.downstream
        heard_at = self._heard_at = context.time()
        if downstream.keep_alive is not None:
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
        """Nobody listens any more: nothing is kept for it, and nothing waits for it."""
        self.pieces.clear()
        self._blocked = None

    def taker(
        self, reader: Forwarding | Translating, gathering: Gathering
    ) -> Callable[[bytes], bool]:
        """What reads a chunk, and passes it on where that is all; it says whether there is more to
        do. It is one function over names that are bound once: calls and attributes would be the
        most of what a chunk costs. It is not kept here, so that a stream leaves no cycle behind."""
        feed, end, decoder = reader.feed, reader.end, self._decoder
        pieces, events = self.pieces, self.events
        note, idle_s, most = self.note, self._idle_s, self._output_bytes_max
        context, downstream = self._context, self._context.downstream
        time, allow, keep_alive = context.time, context.deadline.allow, downstream.keep_alive
        write_now, include_cost = downstream.sink.write_now, context.options.include_cost

        def take(chunk: bytes) -> bool:
            steps = self.steps = feed(chunk) if chunk else end()
            if not steps:
                return not gathering.more(len(chunk))
            gathering.whole()
            for step in steps:
                if step.raw:
                    pieces.append(step.raw)
                if step.events:
                    events.extend(step.events)
            if (
                not self.committed
                or (events and isinstance(events[-1], _LAST))
                or (most is not None and decoder.text_bytes + decoder.reasoning_bytes > most)
            ):
                return True
            if events:
                heard_at = self._heard_at = time()
                if keep_alive is not None:
                    keep_alive.heard_at = heard_at
                note(events)
                events.clear()
            if pieces and not (include_cost and decoder.complete):
                raw = pieces[0] if len(pieces) == 1 else b"".join(pieces)
                pieces.clear()
                if not downstream.client_gone:
                    self._blocked = write_now(raw)
                    if self._blocked is not None:
                        return True
            allow("idle", idle_s, self._heard_at)
            return False

        return take
