"""How much a request must hold, and the output cap that goes with it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import msgspec

from billing.currency.money import format_usd
from billing.prices.lookup import Price
from billing.prices.meters import Bound, Way
from billing.prices.pricing import PriceVersion, total_bound
from dialects.codec import Facts
from dialects.errors.errors import RequestFault
from relay.catalogue.snapshot import Channel
from relay.errors import RelayError
from relay.hold_sizes.rules import (
    OUTPUT_CAP_MIN,
    UNCAPPED_TIMES,
    bounds,
    media_tokens_max,
    shrink_cap,
    text_tokens_max,
    worst_quantities,
)
from relay.hold_sizes.tool_loop import NOTHING_READ, Reading, ToolLoop
from relay.operations.unary import Cappable, UnaryFacts


class PricedBound(NamedTuple):
    """A part of a hold: at most these quantities, at this version. `model` does the part, "" for
    the requested one."""

    quantities: Mapping[str, int]
    version: PriceVersion
    model: str = ""


class Unpriced(RelayError):
    """The price has no rate for something that the request will certainly be billed for."""


class Size(msgspec.Struct, frozen=True):
    """The size of a hold, and the output cap per choice to send to the upstream; None leaves the
    request's cap unchanged."""

    hold_nano: int
    output_cap: int | None


class Step(msgspec.Struct, frozen=True):
    """A step that may be billed in addition to the answer (dialects/chat/steps.py), up to `uses`
    times. It reads at most the request and its answer. `output_tokens` None means as many as the
    answer has; the next step reads `summary_tokens` again."""

    version: PriceVersion
    uses: int = 1
    output_tokens: int | None = None
    summary_tokens: int = 0
    model: str = ""


class HoldEstimate:
    """The highest possible price of one request, under any output cap.

    `assumed_cap` replaces the cap of a request without one. `unseen_tokens` are input tokens
    outside the body. `tokens_max` is a tokens-per-minute limit that input and output must fit if
    the request has no cap. `thinking_tokens` is what a model may think in addition to its cap, per
    choice; `searches` is the number of searches that it may make, `tool_loop` what the provider's
    own tools add to the input; `added_bytes` is the most that a
    channel adds to the input; `steps` may be billed in addition to the answer.

    Raises Unpriced if the price has no rate for something that the request will certainly be billed
    for.
    """

    def __init__(
        self,
        facts: Facts,
        price_in_force: Price,
        channels: Sequence[Channel],
        *,
        assumed_cap: int,
        max_cost_nano: int | None,
        tokens_max: int | None = None,
        unseen_tokens: int = 0,
        thinking_tokens: int = 0,
        searches: int = 0,
        tool_loop: ToolLoop | None = None,
        added_bytes: int = 0,
        steps: Sequence[Step] = (),
    ) -> None:
        self._facts = facts
        self._version = price_in_force.bound
        # The output tokens per choice that are held.
        self.cap = assumed_cap if facts.output_cap is None else facts.output_cap
        self._max_cost_nano = max_cost_nano
        self._thinking_tokens = thinking_tokens
        self._searches = searches
        self._tool_loop = tool_loop
        self._steps = steps
        text_tokens = text_tokens_max(facts.text_bytes + added_bytes)
        self._text_tokens = max(text_tokens, unseen_tokens)
        self._media_tokens = 0
        if facts.media:
            # The most expensive of the possible channels.
            self._media_tokens = max(
                (_media_tokens(facts, channel) for channel in channels), default=0
            )
        # Whether the tokens-per-minute limit allowed less than the assumed cap.
        self._shortened = False
        if tokens_max is not None and facts.output_cap is None:
            room = (tokens_max - self.input_tokens) // facts.choices
            self._shortened = room < self.cap
            self.cap = max(OUTPUT_CAP_MIN, min(self.cap, room))
        if "in_text" not in self._version.rates or "out_text" not in self._version.rates:
            raise Unpriced

    def first(self) -> Size:
        """Return the hold of the unchanged request. Raises RequestFault `max_cost_exceeded`."""
        hold_nano = self._under_cap(self.cap)
        limit = self._max_cost_nano
        if limit is None or hold_nano <= limit:
            return Size(hold_nano, self.cap if self._shortened else None)
        size = self.within(limit)
        if size is None:
            less = "request fewer output tokens" if self._facts.output_cap else "send less input"
            raise _cost_fault(self.least_nano, limit, less)
        return size

    @property
    def least_nano(self) -> int:
        """Return the smallest hold with which the request could be admitted."""
        named = self._facts.output_cap is not None
        return self._under_cap(self.cap if named else min(self.cap, OUTPUT_CAP_MIN))

    def within(self, available_nano: int) -> Size | None:
        """Return the largest hold that `available_nano` covers, with a smaller output cap if the
        client set none. None if `available_nano` covers no hold."""
        if self._facts.output_cap is not None:
            return None
        if self._max_cost_nano is not None:
            available_nano = min(available_nano, self._max_cost_nano)
        cap = shrink_cap(available_nano, self.cap, self._under_cap)
        return None if cap is None else Size(self._under_cap(cap), cap)

    def ways(self, cap: int | None) -> Sequence[Way]:
        """Return what the request may be billed for under an output cap; None stands for the
        request's cap."""
        facts, version = self._facts, self._version
        cap = self.cap if cap is None else cap
        reading = NOTHING_READ if self._tool_loop is None else self._reading(cap)
        return [
            bounds(
                version,
                text_tokens=self._text_tokens + reading.new,
                media_tokens=self._media_tokens,
                output_tokens=self._output_tokens(cap),
                audio_output=facts.audio_output,
                searches=self._searches,
                again_tokens=reading.again,
            )
        ]

    def cut_above(self, cap: int | None) -> int:
        """Return the number of tokens, of all choices together, above which an answer is cut (F18).
        `cap` is the output cap that is sent upstream instead of the request's, None if that is
        unchanged."""
        output_cap = self._facts.output_cap if cap is None else cap
        if output_cap is None:
            return UNCAPPED_TIMES * self._output_tokens(self.cap)
        return self._output_tokens(output_cap)

    @property
    def version(self) -> PriceVersion:
        """The version of the price that the hold uses."""
        return self._version

    @property
    def input_tokens(self) -> int:
        """Return an upper bound of the input tokens."""
        return self._text_tokens + self._media_tokens

    def _output_tokens(self, cap: int) -> int:
        return (cap + self._thinking_tokens) * self._facts.choices

    def _quantities(self, cap: int) -> Mapping[str, int]:
        facts = self._facts
        reading = NOTHING_READ if self._tool_loop is None else self._reading(cap)
        quantities = worst_quantities(
            self._version,
            text_tokens=self._text_tokens + reading.new,
            media_tokens=self._media_tokens,
            output_tokens=self._output_tokens(cap),
            audio_output=facts.audio_output,
            searches=self._searches,
            again_tokens=reading.again,
        )
        return add_request_meter(quantities, self._version)

    def _reading(self, cap: int) -> Reading:
        """Return the most that the tools of the provider add to the input under an output cap."""
        loop = self._tool_loop
        if loop is None:
            return NOTHING_READ
        return loop.read(self.input_tokens, self._output_tokens(cap))

    def _under_cap(self, cap: int) -> int:
        """Return the maximum cost of the request under an output cap."""
        nano = self._price(self._quantities(cap))
        return nano + self.steps_nano(cap) if self._steps else nano

    def parts(self, cap: int | None) -> Sequence[PricedBound]:
        """Return what the hold consists of under an output cap; None stands for the request's
        cap."""
        cap = self.cap if cap is None else cap
        own = PricedBound(self._quantities(cap), self._version)
        return [own, *(self._step_bound(step, cap) for step in self._steps)]

    def steps_nano(self, cap: int | None) -> int:
        """Return the maximum cost of all steps in addition to the answer, under an output cap; None
        stands for the request's cap."""
        if not self._steps:
            return 0
        cap = self.cap if cap is None else cap
        return sum(self._step(step, cap) for step in self._steps)

    def _step(self, step: Step, cap: int) -> int:
        """Return the maximum cost of a step; 0 if its model has no price."""
        bound = self._step_bound(step, cap)
        nano = total_bound(bound.quantities, bound.version)
        return step.uses * nano if isinstance(nano, int) else 0

    def _step_bound(self, step: Step, cap: int) -> PricedBound:
        """Return the most that one use of a step has."""
        output_tokens = (cap + self._thinking_tokens) * self._facts.choices
        output = output_tokens if step.output_tokens is None else step.output_tokens
        reading = NOTHING_READ if self._tool_loop is None else self._reading(cap)
        text_tokens = self._text_tokens + output_tokens + step.summary_tokens
        worst = worst_quantities(
            step.version,
            text_tokens=text_tokens + reading.new,
            media_tokens=self._media_tokens,
            output_tokens=output,
            # Only who answers in the model's place runs the tools again.
            again_tokens=reading.again if step.output_tokens is None else 0,
        )
        return PricedBound(worst, step.version, step.model)

    def _price(self, quantities: Mapping[str, int]) -> int:
        nano = total_bound(quantities, self._version)
        if not isinstance(nano, int):
            what = " for all that this request may use"
            raise RequestFault("model_unpriced", "model", what, model=self._facts.model)
        return nano


class UnaryHoldEstimate:
    """The highest possible price of a request without an output cap, by the most expensive way to
    bill it. Raises Unpriced if the price has no rate for any way."""

    cap = input_tokens = 0

    def __init__(
        self, facts: UnaryFacts, price_in_force: Price, *, max_cost_nano: int | None
    ) -> None:
        version = price_in_force.bound
        bounds = [
            total_bound(add_request_meter(most, version), version)
            for unit in facts.units
            if (most := unit.bound(version.rates)) is not None
        ]
        holds = [nano for nano in bounds if isinstance(nano, int)]
        if not holds:
            raise Unpriced
        self._hold_nano = max(holds)
        self._version = version
        self._units = facts.units
        self._max_cost_nano = max_cost_nano

    def first(self) -> Size:
        """Return the hold of the request. Raises RequestFault `max_cost_exceeded`."""
        limit = self._max_cost_nano
        if limit is None or self._hold_nano <= limit:
            return Size(self._hold_nano, None)
        size = self.within(limit)
        if size is None:
            raise _cost_fault(self.least_nano, limit, "send less input")
        return size

    @property
    def least_nano(self) -> int:
        """Return the smallest hold with which the request could be admitted."""
        unit = self._cappable
        if unit is None:
            return self._hold_nano
        return self._price(unit, min(unit.output_tokens, OUTPUT_CAP_MIN))

    def cut_above(self, cap: int | None) -> int | None:
        """See `HoldEstimate.cut_above`. None if no answer is cut."""
        return None

    def within(self, available_nano: int) -> Size | None:
        """Return the largest hold that `available_nano` covers, with a smaller output cap. None if
        it covers none, or if no cap makes the request cheaper."""
        unit = self._cappable
        if unit is None:
            return None
        if self._max_cost_nano is not None:
            available_nano = min(available_nano, self._max_cost_nano)
        cap = shrink_cap(available_nano, unit.output_tokens, lambda cap: self._price(unit, cap))
        return None if cap is None else Size(self._price(unit, cap), cap)

    def parts(self, cap: int | None) -> Sequence[PricedBound]:
        """See `HoldEstimate.parts`: the most expensive way to bill the request."""
        unit = None if cap is None else self._cappable
        units = self._units if unit is None or cap is None else (unit.capped(cap),)
        ways = [
            add_request_meter(most, self._version)
            for one in units
            if (most := one.bound(self._version.rates)) is not None
        ]
        return [PricedBound(max(ways, key=self._total), self._version)]

    def steps_nano(self, cap: int | None) -> int:
        """See `HoldEstimate.steps_nano`. Such an answer has no steps."""
        return 0

    def ways(self, cap: int | None) -> Sequence[Way]:
        """Return what the request may be billed for, by any way; with an output cap if `cap` is
        set."""
        unit = None if cap is None else self._cappable
        units = self._units if unit is None or cap is None else (unit.capped(cap),)
        bounds = [unit.bound(self._version.rates) for unit in units]
        return [
            [
                Bound((meter,), count)
                for meter, count in add_request_meter(most, self._version).items()
            ]
            for most in bounds
            if most is not None
        ]

    @property
    def version(self) -> PriceVersion:
        """The version of the price that the hold uses."""
        return self._version

    @property
    def _cappable(self) -> Cappable | None:
        return next((unit for unit in self._units if isinstance(unit, Cappable)), None)

    def _quantities(self, unit: Cappable, cap: int) -> Mapping[str, int]:
        most = unit.capped(cap).bound(self._version.rates) or {}
        return add_request_meter(most, self._version)

    def _price(self, unit: Cappable, cap: int) -> int:
        return self._total(self._quantities(unit, cap))

    def _total(self, quantities: Mapping[str, int]) -> int:
        nano = total_bound(quantities, self._version)
        # Every meter that may be billed has a rate; otherwise this estimate could not exist.
        return nano if isinstance(nano, int) else self._hold_nano


def _cost_fault(least_nano: int, limit_nano: int, less: str) -> RequestFault:
    least = format_usd(least_nano)
    what = f"The request may cost {least} USD, more than its max_cost of {format_usd(limit_nano)} "
    then = f"USD. Raise max_cost (or x-weir-max-cost) to at least {least}, or {less}."
    return RequestFault("max_cost_exceeded", None, what + then)


def _media_tokens(facts: Facts, channel: Channel) -> int:
    parts = cast(Mapping[str, int], facts.media)
    return media_tokens_max(parts, cast(Mapping[str, int], channel.provider.media_tokens_max))


def add_request_meter(quantities: Mapping[str, int], version: PriceVersion) -> Mapping[str, int]:
    """Add the meter of the request itself if the price is per request, because no upstream reports
    that meter."""
    return {**quantities, "requests": 1} if "requests" in version.rates else quantities
