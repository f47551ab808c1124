"""What the model of a Live connection delegates: responses and decisions of another model, each a
request of its own, charged by its usage.

    session.start   the model for it, which the key must be allowed to use, with its tools
                    --> a hold for the next response, before the connection starts
    response.event  response.created --> the response takes the hold
                    its events       --> read as those of any streamed response
                    its end          --> settled by its usage, and another hold is placed
    decision.event  settled by its usage
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from dialects.chat.events import ReasoningDelta, RefusalDelta, TextDelta, ToolArgumentsDelta
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import RequestFault
from dialects.errors.masking import clean_upstream
from dialects.media.passed_answer import PassedAnswer
from dialects.realtime import live, realtime
from dialects.realtime.live import ServerEvent, Settings
from dialects.responses.usage import quantities
from dialects.responses.websocket import ENDS
from dialects.usage.usage import Quantities
from relay.answers.attempt_end import AttemptEnd
from relay.content_log.talk import Talk
from relay.context.context import RequestContext
from relay.counting.estimates import estimate_tokens
from relay.counting.own_count import NO_USAGE, UsageEvidence
from relay.counting.vocabularies import Family
from relay.downstream.downstream import ErrorAnswer
from relay.health.channels_out import ChannelsOut
from relay.holds.admitted_attempt import AdmittedAttempt
from relay.metering.usage_meter import UsageMeter, count, meters_text
from relay.operations.unary import Billable, Passing, Rates
from relay.realtime.connection_holds import (
    ConnectionHolds,
    EventRefused,
    Placed,
    RealtimeOver,
    Wanted,
)
from relay.realtime.conversation import Conversation
from relay.realtime.hold_sizes import Used
from relay.realtime.live.live_events import record_decision, record_delegated
from relay.realtime.live.operation import BackendBound, Live, backend_bound, backend_invocation
from relay.realtime.next_hold import Kind, NextHold
from relay.realtime.response import NOT_USED, MeteredRequest
from relay.requests.outcome import Outcome

# The input that may follow a hold before its response begins.
_ROOM_TOKENS: Final = 8_192
# Parallel responses of one connection.
_RESPONSES_MAX: Final = 16
_PIECES: Final = (TextDelta, ReasoningDelta, RefusalDelta, ToolArgumentsDelta)
_TEXT_EVENT: Final = realtime.ClientEvent(type="text")


class Delegated(PassedAnswer):
    """One delegated response, read from its events. `input_tokens` is our own count of the
    input."""

    def __init__(self) -> None:
        self.decoder = CODECS["responses"].decoder(None, Target())
        self.input_tokens = self.pieces = 0

    def feed(self, chunk: bytes) -> bytes:
        """Read an event, as JSON."""
        line = msgspec.json.format(chunk, indent=-1)
        for step in self.decoder.feed(b"data: %b\n\n" % line):
            self.pieces += sum(isinstance(event, _PIECES) for event in step.events)
        self.begun = self.pieces > 0
        self.usage = self.decoder.usage
        return chunk

    def end(self) -> bytes:
        return b""


class DelegatedMeter(UsageMeter):
    """Counts a delegated response."""

    __slots__ = ("_marked", "answer")

    def __init__(self, admitted: AdmittedAttempt) -> None:
        super().__init__(admitted)
        self.passed = self.answer = Delegated()
        self._marked = 0

    def mark(self) -> str | None:
        if self.answer.pieces <= self._marked:
            return None
        self._marked = self.answer.pieces
        return meters_text({"in_text": 0, "out_text": self._marked})


DelegatedResponse = MeteredRequest[DelegatedMeter, BackendBound]


class Delegations:
    """The delegated responses of one connection, by the settings of its start. `talk` keeps what
    they say, None if nothing is kept."""

    __slots__ = ("_holds", "_input", "_invocation", "_next", "_running", "_settings", "_talk")

    def __init__(
        self,
        context: RequestContext,
        holds: ConnectionHolds,
        settings: Settings,
        talk: Talk | None,
    ) -> None:
        self._holds = holds
        self._talk = talk
        self._settings = settings
        self._input = Conversation()
        self._invocation = backend_invocation(context.invocation)
        self._running: dict[str, DelegatedResponse] = {}
        kind = Kind(lambda: self._input.tokens_max, self._bound, self._want, _meter)
        self._next: NextHold[DelegatedResponse, BackendBound] = NextHold(context, holds, kind, None)

    @property
    def running(self) -> bool:
        """Whether a response is in progress."""
        return bool(self._running)

    @property
    def client_model(self) -> str:
        """The client's name for the model that work is delegated to, "" if there is none."""
        return self._settings.backend

    @property
    def delegate(self) -> str:
        """Return who does the delegated work, as the settings say."""
        return self._settings.delegate

    def find_upstream_model(self) -> str:
        """Return the channel's name for the model that work is delegated to, "" if there is none.
        Raises RequestFault, ChannelsOut if the key may not use the model here, or the price does
        not cover its tools."""
        if not self._settings.backend:
            return ""
        return self._holds.find_upstream_model(self._want(self._bound(0)))

    def change(self, changes: Settings) -> str:
        """Apply changed settings; return the channel's name for the model if the settings name one,
        else "". Raises RequestFault, ChannelsOut, in which case nothing has changed."""
        earlier = self._settings
        if changes.delegate not in ("", earlier.delegate or "client"):
            # The provider refuses it.
            return ""
        if changes.backend not in ("", earlier.backend):
            what = "the model that work is delegated to cannot be changed: open another session"
            raise RequestFault("invalid_value", f"{changes.path}.model", what)
        # The provider may refuse what is changed here: it only adds to what may be charged.
        self._settings = earlier._replace(config=live.merge_config(earlier.config, changes.config))
        try:
            name = self.find_upstream_model()
        except (RequestFault, ChannelsOut):
            self._settings = earlier
            raise
        return name if changes.backend else ""

    def note_input(self, size: int) -> None:
        """Count `size` bytes of text that the next response may read."""
        self._input.note_sent(_TEXT_EVENT, size)

    async def prepare(self, *, asked: bool = False) -> None:
        """Place the hold of the next response. Raises RealtimeOver; EventRefused if the client
        `asked` for the response."""
        if self._settings.delegate == "responses":
            await self._next.next(asked=asked)

    async def note(self, event: ServerEvent) -> None:
        """Count an event of a delegated response. Raises RealtimeOver, ValueError."""
        nested = live.read_delegated(event.event)
        if self._settings.delegate != "responses":
            raise ValueError("a response that nobody delegated")
        id = nested.response.id or nested.response_id or next(iter(self._running), "")
        if nested.type == "response.created" or (nested.type in ENDS and id not in self._running):
            await self._begin(id)
        response = self._running.get(id)
        if response is None:
            return
        if self._talk is not None:
            record_delegated(self._talk, id, event.event)
        response.meter.answer.feed(bytes(event.event))
        if response.meter.answer.begun and response.end.ttft_ms is None:
            response.end.ttft_ms = response.elapsed_ms()
        if nested.type in ENDS:
            response = self._running.pop(id)
            outcome = self._finish(response, failed=nested.type == "response.failed")
            if self._talk is not None:
                self._talk.end(id, response.model, outcome)
            await self.prepare()

    async def charge_decision(self, event: ServerEvent) -> None:
        """Settle a delegated decision. Raises RealtimeOver, ValueError."""
        nested = live.read_delegated(event.event)
        decision = live.read_decision(nested)
        if self._settings.delegate != "decisions":
            raise ValueError("a decision that nobody delegated")
        usage = bytes(decision.usage) or None
        reported = quantities(usage)
        unit = Used(reported.meters)
        try:
            placed = await self._holds.granted(self._holds.place(self._want(unit)))
        except EventRefused as limited:
            raise RealtimeOver(limited.error) from None
        decided = _meter(placed, BackendBound(0, 0))
        decided.start("")
        evidence = UsageEvidence(0, reported, usage, here=lambda: dict(unit.meters))
        price = decided.meter.prices.price
        outcome = decided.settle(None, count(evidence, price, decided.hold_nano, "measured"))
        if self._talk is not None:
            id = str(decided.request_id)
            self._talk.begin(id, decided.request_id)
            record_decision(self._talk, id, nested.decision)
            self._talk.end(id, decided.model, outcome)

    def release(self, error: ErrorAnswer | None, fault: str, unheard: ErrorAnswer) -> None:
        """Release the hold of the next response; end running ones with `unheard`."""
        self._next.release(error, fault)
        for response in self._running.values():
            response.end.unheard = unheard

    def settle(self, error: ErrorAnswer | None, fault: str) -> None:
        """Settle running responses by our own count."""
        for id, response in self._running.items():
            outcome = response.settle(error, response.end.bill_so_far(), fault)
            if self._talk is not None:
                self._talk.end(id, response.model, outcome, broken=True)
        self._running.clear()

    async def _begin(self, id: str) -> None:
        if not id or id in self._running or len(self._running) >= _RESPONSES_MAX:
            raise ValueError("no response, or too many at a time")
        response = await self._next.take()
        self._running[id] = response
        response.meter.answer.input_tokens = self._input.tokens_max
        self._input.begin()
        response.start(id)
        if self._talk is not None:
            self._talk.begin(id, response.request_id)

    def _finish(self, response: DelegatedResponse, *, failed: bool) -> Outcome:
        answer = response.meter.answer
        if failed:
            told_nothing = answer.usage is None and not answer.begun
            error = ErrorAnswer("upstream_error", 502, clean_upstream("the response failed"))
            bill = NOT_USED if told_nothing else response.end.bill_so_far()
            return response.settle(error, bill, "F23")
        outcome = response.settle(None, response.end.bill_so_far())
        if outcome.basis in ("measured", "drained"):
            self._input.end(outcome.meters)
        return outcome

    def _bound(self, needed: int) -> BackendBound:
        config = msgspec.json.decode(self._settings.config)
        longest = realtime.read_limit(config.get("max_output_tokens"))
        bound = backend_bound(
            self._holds.newest, self._settings.backend, longest if longest != "inf" else None
        )
        return bound.within(needed + _ROOM_TOKENS)

    def _want(self, unit: Billable) -> Wanted:
        settings = self._settings
        return Wanted(settings.backend, Live(unit), self._invocation, settings.config)


def _meter(placed: Placed, bound: BackendBound) -> DelegatedResponse:
    prepared = msgspec.structs.replace(placed.admitted.prepared, exchange=DELEGATED)
    admitted = msgspec.structs.replace(placed.admitted, prepared=prepared)
    meter = DelegatedMeter(admitted)
    return MeteredRequest(
        placed.context, admitted, meter, AttemptEnd(placed.context, admitted, meter), bound
    )


def _reported(answer: PassedAnswer, rates: Rates) -> Quantities:
    if not isinstance(answer, Delegated) or answer.usage is None:
        return NO_USAGE
    return CODECS["responses"].quantities(answer.decoder)


def _count_here(answer: PassedAnswer | None, rates: Rates, family: Family) -> Mapping[str, int]:
    if not isinstance(answer, Delegated):
        return {}
    size = answer.decoder.text_bytes + answer.decoder.reasoning_bytes
    return {"in_text": answer.input_tokens, "out_text": estimate_tokens(size)}


DELEGATED: Final = Passing(Delegated, _reported, _count_here)
