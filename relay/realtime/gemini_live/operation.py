"""A live connection as an operation: the channels that may serve it, and how each answer is held
and billed.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from dialects.chat.chat import Encoded
from dialects.codec import Target
from dialects.gemini import live_usage
from dialects.media.passed_answer import PassedAnswer
from dialects.realtime.gemini_live import LiveResponse, Setup
from dialects.usage.usage import Quantities
from relay.catalogue.snapshot import Snapshot
from relay.counting.own_count import NO_USAGE
from relay.counting.vocabularies import Family
from relay.credentials.client_secrets import AuthTokenTerms
from relay.operations.unary import Billable, Passing, Rates, Sending, UnaryFacts, Urls, not_offered
from relay.realtime.gemini_live.handles import Handle
from relay.realtime.hold_sizes import FIRST_CONTEXT, ResponseBound, response_bound
from relay.realtime.operation import Realtime

# A token of text is rarely shorter, in any script.
_BYTES_A_TOKEN: Final = 3


class LiveOrder(NamedTuple):
    """What the client's first message asks for. `size` is its bytes; `resumed` is the session that
    it continues; `token` is the ephemeral token that opens it, whose setup `is_fixed`.
    """

    setup: Setup
    size: int
    resumed: Handle | None
    token: AuthTokenTerms | None = None
    is_fixed: bool = False

    @property
    def context_tokens(self) -> int:
        """An upper bound of the context with which the connection begins."""
        resumed = 0 if self.resumed is None else self.resumed.tokens
        return resumed + self.size // _BYTES_A_TOKEN

    def bound(self, snapshot: Snapshot, model: str) -> ResponseBound:
        """Return the bound of the first answer, which its hold covers."""
        bound = response_bound(snapshot, model).within(FIRST_CONTEXT + self.context_tokens)
        return bound.capped(min(bound.output_tokens, self.setup.output_max or bound.output_tokens))


class Live(Realtime):
    """One live connection. Each answer in it is a request."""

    def __init__(self, unit: Billable, order: LiveOrder) -> None:
        super().__init__(unit)
        self.order = order

    def with_unit(self, unit: Billable) -> "Live":
        return Live(unit, self.order)

    def read(self, raw: bytes, target: Target) -> UnaryFacts:
        facts, resumed = super().read(raw, target), self.order.resumed
        if resumed is None:
            return facts
        return replace(facts, only_channel=resumed.channel_id, only_key=resumed.channel_key_id)

    def send(self, facts: UnaryFacts, urls: Urls, model: str, request_id: str) -> Sending:
        if "bidi_generate_content" not in urls:
            raise not_offered(facts, "live sessions")
        return Sending("bidi_generate_content", "gemini", Encoded(b"{}"), SPOKEN)


def _reported_quantities(answer: PassedAnswer, rates: Rates) -> Quantities:
    return NO_USAGE if answer.usage is None else live_usage.quantities(answer.usage)


def _count_answer(answer: PassedAnswer | None, rates: Rates, family: Family) -> Mapping[str, int]:
    return answer.own_count() if isinstance(answer, LiveResponse) else {}


SPOKEN: Final = Passing(LiveResponse, _reported_quantities, _count_answer)
