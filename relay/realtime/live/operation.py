"""A Live connection as an operation: the channels that may serve it, and how its time and the
responses that its model delegates are held and billed.
"""

from collections.abc import Mapping
from typing import ClassVar, Final, NamedTuple

import msgspec

from dialects.chat.chat import Encoded
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from dialects.json.body import read_body
from dialects.media.passed_answer import PassedAnswer
from dialects.usage.session_time import session_minutes
from dialects.usage.usage import Quantities
from gateway.providers.models import find_row
from relay.catalogue.snapshot import Snapshot
from relay.counting.own_count import NO_USAGE
from relay.counting.vocabularies import Family
from relay.operations.unary import (
    Billable,
    Passing,
    Rates,
    Sending,
    UnaryFacts,
    UnaryOperation,
    Urls,
    not_offered,
)
from relay.realtime.connection_life import CONNECTION_S
from relay.requests.invocation import Invocation

METER: Final = "session_minutes"

# The limits of a model that is not in the catalogue.
_CONTEXT: Final = 128_000
_OUTPUT: Final = 16_384


class StretchBound(NamedTuple):
    """A stretch of time is billed for at most its length."""

    ms: int

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


class Live(UnaryOperation):
    """One connection, or one request within a connection. `unit` is how the request is held."""

    lasts_s: ClassVar[float] = CONNECTION_S
    has_tools: ClassVar[bool] = True

    def __init__(self, unit: Billable) -> None:
        self._unit = unit

    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        return UnaryFacts(
            own=None,
            body=read_body(raw),
            model=target.model,
            user="",
            text_bytes=0,
            max_cost_nano=None,
            units=(self._unit,),
            stream=True,
        )

    def send(self, facts: UnaryFacts, urls: Urls, model: str, request_id: str) -> Sending:
        if "live" not in urls:
            raise not_offered(facts, "Live sessions")
        return Sending("live", "openai", Encoded(b"{}"), STRETCH)


class Stretch(PassedAnswer):
    """One stretch of a connection, while it lasts. `used_ms` is the stretch's part of the
    provider's count, None before the first, and `own_ms` of our own count; no count is below
    `least_ms`. `flags` and `unknown` belong to a report that cannot be used."""

    def __init__(self) -> None:
        self.used_ms: int | None = None
        self.own_ms = self.least_ms = 0
        self.flags: tuple[str, ...] = ()
        self.unknown: tuple[str, ...] = ()

    def feed(self, chunk: bytes) -> bytes:
        """Do nothing, because the connection reads the events."""
        return chunk

    def end(self) -> bytes:
        return b""


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


def live_invocation(invocation: Invocation, model: str, first: StretchBound) -> Invocation:
    """Return the invocation of a connection with this model, whose first stretch is `first`."""
    unary = Live(first)
    return msgspec.structs.replace(invocation, target=Target(model), unary=unary)


def backend_invocation(invocation: Invocation) -> Invocation:
    """Return the invocation of a delegated response, which is read and recorded as a response."""
    return msgspec.structs.replace(invocation, codec=CODECS["responses"], operation="responses")


def _reported(answer: PassedAnswer, rates: Rates) -> Quantities:
    if not isinstance(answer, Stretch) or (answer.used_ms is None and not answer.flags):
        return NO_USAGE
    meters = {} if answer.flags else {METER: session_minutes(answer.used_ms or 0)}
    return Quantities(meters, answer.flags, unknown=answer.unknown, wire="live")


def _count_here(answer: PassedAnswer | None, rates: Rates, family: Family) -> Mapping[str, int]:
    return {METER: session_minutes(answer.own_ms if isinstance(answer, Stretch) else 0)}


STRETCH: Final = Passing(Stretch, _reported, _count_here)
