"""How much is held for each stretch of a Live connection, and for each response that its model
delegates."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from dialects.usage.session_time import session_minutes
from gateway.providers.models import find_row
from relay.catalogue.snapshot import Snapshot
from relay.counting.vocabularies import Family
from relay.operations.unary import Rates

METER: Final = "session_minutes"
STRETCH_MS: Final = 60_000
"""The length of a stretch of a connection: each is a request."""

# The limits of a model that is not in the catalogue.
_CONTEXT: Final = 128_000
_OUTPUT: Final = 16_384


class StretchBound(NamedTuple):
    """A stretch of time is billed for at most its length."""

    ms: int = STRETCH_MS

    def bound(self, rates: Rates) -> Mapping[str, int] | None:
        return {METER: session_minutes(self.ms)} if METER in rates else None

    def own_count(self, rates: Rates, family: Family) -> Mapping[str, int]:
        return {}


class BackendBound(NamedTuple):
    """The most that a delegated response is billed for: `context_tokens` of input, and an answer of
    this length. `is_full`: the input cannot grow further."""

    context_tokens: int
    answer_tokens: int
    is_full: bool = True

    def within(self, context_tokens: int) -> "BackendBound":
        """Return this bound with at most `context_tokens` of input."""
        if self.context_tokens <= context_tokens:
            return self
        return self._replace(context_tokens=context_tokens, is_full=False)

    def bound(self, rates: Rates) -> Mapping[str, int] | None:
        if "in_text" not in rates or "out_text" not in rates:
            return None
        return {"in_text": self.context_tokens, "out_text": self.answer_tokens}

    def own_count(self, rates: Rates, family: Family) -> Mapping[str, int]:
        return {}


def backend_bound(snapshot: Snapshot, model: str, output_max: int | None) -> BackendBound:
    """Return the bound of a delegated response of a model, over all its channels. `output_max`
    limits its length, None for no limit."""
    names = {model, *(route.upstream_model for route in snapshot.routes_of(model))}
    rows = [row for row in map(find_row, sorted(filter(None, names))) if row is not None]
    longest = max((row.output_max or _OUTPUT for row in rows), default=_OUTPUT)
    return BackendBound(
        max((row.context_max or _CONTEXT for row in rows), default=_CONTEXT),
        longest if output_max is None else min(longest, output_max),
    )
