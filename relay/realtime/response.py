"""One response of a realtime connection. It is an attempt: held before it begins, and settled once,
by the usage that the provider reports."""

import asyncio
from collections import deque
from typing import Final, Generic, TypeVar

from dialects.errors.masking import clean_upstream
from dialects.realtime.realtime import Response, ServerEvent, SpokenResponse
from lib.id_types import ModelName, RequestId
from relay.answers.attempt_end import AttemptEnd
from relay.context.context import RequestContext
from relay.context.records import record_refusal
from relay.downstream.downstream import ErrorAnswer
from relay.holds.admitted_attempt import AdmittedAttempt
from relay.ledger.settlement import Settlement
from relay.metering.usage_meter import Bill, UsageMeter, meters_text
from relay.operations.unary import Passing
from relay.realtime.hold_sizes import FixedBound, ResponseBound
from relay.realtime.sink import ConnectionListener, RealtimeSink
from relay.requests.outcome import Outcome
from usage.records.sql import UPSTREAM_ID_LENGTH

NOT_USED: Final = Bill({}, 0, "none", (), None)
"""The bill of what has not begun."""
# Providers count differently; more than twice the held amount is not explained by that.
_SLACK: Final = 2
_ENDED_KEPT: Final = 64


class ResponseMeter(UsageMeter):
    """Counts the usage of a response."""

    __slots__ = ("_noted", "_rated", "response")

    def __init__(self, admitted: AdmittedAttempt) -> None:
        super().__init__(admitted)
        self.passed = self.response = _open_answer(admitted)
        self._noted: dict[str, int] = {}
        price = admitted.hold.price
        # A mark cannot charge for meters without a rate.
        self._rated = frozenset() if price is None else frozenset(price.version.rates)

    def mark(self) -> str | None:
        output_bounds = {
            name: count
            for name, count in self.response.minimum_output().items()
            if name in self._rated or not self._rated
        }
        if output_bounds == self._noted:
            return None
        self._noted = output_bounds
        return meters_text(output_bounds)


def _open_answer(admitted: AdmittedAttempt) -> SpokenResponse:
    exchange = admitted.prepared.exchange
    answer = exchange.open() if isinstance(exchange, Passing) else None
    if not isinstance(answer, SpokenResponse):
        raise TypeError("the operation is no connection")
    return answer


M = TypeVar("M", bound=UsageMeter)
B = TypeVar("B")


class MeteredRequest(Generic[M, B]):
    """One request of a connection, from the placing of its hold on; the hold covers `bound`. `id`
    is the provider's id, "" until the request begins or if it has none."""

    __slots__ = ("_admitted", "_context", "_listener", "bound", "end", "id", "meter")

    def __init__(
        self,
        context: RequestContext,
        admitted: AdmittedAttempt,
        meter: M,
        end: AttemptEnd,
        bound: B,
    ) -> None:
        self._context = context
        self._admitted = admitted
        self.bound = bound
        self.meter = meter
        self.end = end
        self.id = ""
        sink = context.downstream.sink
        self._listener: ConnectionListener | None = (
            sink.listener if isinstance(sink, RealtimeSink) else None
        )
        if self._listener is not None:
            self._listener.held(context.request_id, self.hold_nano)

    @property
    def hold_nano(self) -> int:
        """The amount held for the request, in nano-USD."""
        return self._admitted.hold.size.hold_nano

    @property
    def model(self) -> ModelName:
        """The model of the request."""
        return ModelName(self._admitted.facts.model)

    @property
    def request_id(self) -> RequestId:
        """The id of the request in the log."""
        return self._context.request_id

    @property
    def number(self) -> int:
        """The number of its current hold within the request."""
        return self._admitted.number

    @property
    def output_cap(self) -> int | None:
        """The output cap that the hold covers, None for the model's own maximum."""
        return self._admitted.hold.size.output_cap

    def elapsed_ms(self) -> int:
        """Return the milliseconds since the request began."""
        return self._context.elapsed_ms()

    def give_way(self) -> Settlement:
        """Return the end of the current hold, which another one replaces before the request
        begins."""
        return self.end.replaced()

    def refuse(self, error: ErrorAnswer) -> None:
        """End the request, because no other hold could replace its current one."""
        model = self._admitted.facts.model
        record_refusal(self._context, error, model, stream=True, after_attempts=True)

    def start(self, id: str) -> None:
        """Begin the request. `id` is the provider's id, "" for none."""
        self.id = id
        self._context.began = self._context.time()
        if id.isascii() and id.isprintable():
            self.end.upstream_request_id = id[:UPSTREAM_ID_LENGTH]
        self._context.parts.ledger.marks.watch(self.meter)

    def settle(self, error: ErrorAnswer | None, bill: Bill, fault: str = "") -> Outcome:
        """Queue the settlement of the request. Only the first call counts."""
        was_ended, outcome = self.end.outcome is not None, self.end.settle(error, bill, fault)
        if self._listener is not None and not was_ended:
            self._listener.settled(outcome)
        return outcome

    def release(self, error: ErrorAnswer | None, fault: str = "") -> Outcome:
        """Settle the request without usage, because it does not begin."""
        return self.settle(error, NOT_USED, fault)


class MeteredResponse(MeteredRequest[ResponseMeter, ResponseBound | FixedBound]):
    """A response of a realtime connection."""

    __slots__ = ()

    def begin(self, id: str, *, input_meters: dict[str, int], said_bytes_ms: int) -> None:
        """Begin the response. `input_meters` is our own count of the input that it reads."""
        self.meter.response.input_meters = {
            name: used for name, used in input_meters.items() if used
        }
        self.meter.response.said_bytes_ms = said_bytes_ms
        self.start(id)

    def note(self, event: ServerEvent) -> bool:
        """Count the output in one event of the response. Return False if the output exceeds the
        hold."""
        return self.note_output(has_content=self.meter.response.note(event))

    def note_output(self, *, has_content: bool) -> bool:
        """Record that an event was counted, with content or without. Return False if the output
        exceeds the hold."""
        answer = self.meter.response
        if has_content and self.end.ttft_ms is None:
            self.end.ttft_ms = self._context.elapsed_ms()
        return sum(answer.minimum_output().values()) <= _SLACK * self.bound.output_tokens

    def finish(self, done: Response) -> Outcome:
        """Settle a finished response by the usage that it reports."""
        answer = self.meter.response
        answer.usage = done.raw_usage
        self.meter.finish_reason = done.finish_reason
        if not done.failure:
            return self.settle(None, self.end.bill_so_far())
        error = ErrorAnswer("upstream_error", 502, clean_upstream(done.failure))
        told_nothing = answer.usage is None and not answer.begun
        return self.settle(error, NOT_USED if told_nothing else self.end.bill_so_far(), "F23")

    def break_off(self, error: ErrorAnswer | None, fault: str = "") -> Outcome:
        """Settle a response that ends without usage: by our own count, or with none if it has not
        begun."""
        bill = self.end.bill_so_far() if self.id else NOT_USED
        return self.settle(error, bill, fault)


class RunningResponses(dict[str, MeteredResponse]):
    """The running responses of a connection, by id. `none_left` is set while there are none;
    `ended` are the ids of the last finished ones.
    """

    __slots__ = ("ended", "none_left")

    def __init__(self) -> None:
        super().__init__()
        self.ended: deque[str] = deque(maxlen=_ENDED_KEPT)
        self.none_left = asyncio.Event()
        self.none_left.set()

    def begin(self, id: str, response: MeteredResponse) -> None:
        self[id] = response
        self.none_left.clear()

    def end(self, id: str) -> MeteredResponse:
        response = self.pop(id)
        self.ended.append(id)
        if not self:
            self.none_left.set()
        return response
