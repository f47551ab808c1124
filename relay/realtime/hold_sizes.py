"""How much is held for each response of a realtime connection, the first one before it opens."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from gateway.providers.models import find_row
from relay.catalogue.snapshot import Snapshot
from relay.counting.vocabularies import Family
from relay.operations.unary import Rates

# The input held before anything about a connection is known.
FIRST_CONTEXT: Final = 4_096
# The limits of an unknown model: those of gpt-realtime.
_CONTEXT: Final = 32_000
_OUTPUT: Final = 4_096
_IN: Final = ("in_text", "in_audio", "in_image")
_OUT: Final = ("out_text", "out_audio")


class ResponseBound(NamedTuple):
    """The most that a response is billed for: a context of `context_tokens` of the most expensive
    input, and an answer of `output_tokens` of the most expensive output. `is_full`: the context
    cannot grow further."""

    context_tokens: int
    output_tokens: int
    is_full: bool = True

    def within(self, context_tokens: int) -> "ResponseBound":
        """Return this bound with at most `context_tokens` of context."""
        if self.context_tokens <= context_tokens:
            return self
        return self._replace(context_tokens=context_tokens, is_full=False)

    def capped(self, output_tokens: int) -> "ResponseBound":
        """Return this bound with at most `output_tokens` of answer."""
        return self._replace(output_tokens=output_tokens)

    def fixed(self, output_tokens: int) -> "FixedBound":
        """Return this bound with an answer of `output_tokens`, which cannot be capped further."""
        return FixedBound(self.context_tokens, output_tokens, self.is_full)

    def bound(self, rates: Rates) -> Mapping[str, int] | None:
        return _bound(self, rates)

    def own_count(self, rates: Rates, family: Family) -> Mapping[str, int]:
        return {}


class FixedBound(NamedTuple):
    """A `ResponseBound` whose answer cannot be capped: its provider was told the limit already."""

    context_tokens: int
    output_tokens: int
    is_full: bool

    def bound(self, rates: Rates) -> Mapping[str, int] | None:
        return _bound(self, rates)

    def own_count(self, rates: Rates, family: Family) -> Mapping[str, int]:
        return {}


def _bound(bound: ResponseBound | FixedBound, rates: Rates) -> Mapping[str, int] | None:
    if "in_text" not in rates or "out_text" not in rates:
        return None
    dearest_input = max((name for name in _IN if name in rates), key=lambda name: rates[name])
    dearest_output = max((name for name in _OUT if name in rates), key=lambda name: rates[name])
    return {dearest_input: bound.context_tokens, dearest_output: bound.output_tokens}


class Used(NamedTuple):
    """Usage that is already known when its hold is placed."""

    meters: Mapping[str, int]

    def bound(self, rates: Rates) -> Mapping[str, int] | None:
        return self.meters

    def own_count(self, rates: Rates, family: Family) -> Mapping[str, int]:
        return self.meters


def response_bound(snapshot: Snapshot, model: str) -> ResponseBound:
    """Return the bound of a model's responses, over all its channels."""
    names = {model, *(route.upstream_model for route in snapshot.routes_of(model))}
    rows = [row for row in map(find_row, sorted(filter(None, names))) if row is not None]
    return ResponseBound(
        max((row.context_max or _CONTEXT for row in rows), default=_CONTEXT),
        max((row.output_max or _OUTPUT for row in rows), default=_OUTPUT),
    )


def first_bound(snapshot: Snapshot, model: str) -> ResponseBound:
    """Return the bound of the first response, which is held before the connection is open."""
    return response_bound(snapshot, model).within(FIRST_CONTEXT)
