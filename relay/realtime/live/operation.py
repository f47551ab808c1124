"""A Live connection as an operation: the channels that may serve it, and how its time and the
responses that its model delegates are billed.
"""

from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec

from dialects.chat.chat import Encoded
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from dialects.json.body import read_body
from dialects.media.passed_answer import PassedAnswer
from dialects.usage.session_time import session_minutes
from dialects.usage.usage import Quantities
from relay.config import CONNECTION_S
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
from relay.realtime.live.hold_sizes import METER, StretchBound
from relay.requests.invocation import Invocation


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


def live_invocation(invocation: Invocation, model: str) -> Invocation:
    """Return the invocation of a connection with this model."""
    unary = Live(StretchBound())
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
