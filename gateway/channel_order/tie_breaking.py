"""By what channels of equal rank are ordered for a request, if an operator's rule specifies it.

    weight                        drawn for each request
    latency, ttft, throughput     by their recent times: whole answers, first content, tokens per
                                  second
    in_flight                     by the number of running requests
    price                         by the cost of a usual request there, including its cache hits
    conversation, user            the same conversation or user goes to the same channel, as long as
                                  that is available

A weight of 0 always comes last. With `weight`, the requests of one session go to the same
channel. Wherever requests go to the same channel, they use the same key of it, because providers
cache what they have read by key.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, Literal, NamedTuple, get_args
from uuid import UUID

Pick = Literal[
    "weight", "latency", "ttft", "throughput", "in_flight", "price", "conversation", "user"
]
PICKS: Final[frozenset[Pick]] = frozenset(get_args(Pick))
STICKY: Final[frozenset[Pick]] = frozenset({"conversation", "user"})
MEASURED: Final[frozenset[Pick]] = PICKS - STICKY - {"weight"}
# The assumed output tokens per input token, for a model without measurements.
_OUT_FOR_IN: Final = 0.25


class Measured(NamedTuple):
    """Recent measurements of a channel for a model: of `answers`, the time to their first content
    and to their end; output tokens and the milliseconds in which they were written; input tokens,
    and how many of them came from a cache."""

    answers: int = 0
    first_token_ms: int = 0
    answer_ms: int = 0
    output_tokens: int = 0
    writing_ms: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0

    def plus(self, other: "Measured") -> "Measured":
        return Measured(*(a + b for a, b in zip(self, other, strict=True)))


NOTHING: Final = Measured()


def figures_of(
    pick: Pick, measured: Mapping[str, Measured], rates: Mapping[str, Mapping[str, int]]
) -> dict[str, float]:
    """Return the figures of channels by id (lower is better), as far as known. `rates` are what the
    model costs us there, by meter."""
    if pick == "price":
        usual = _sum(measured.values())
        return {
            channel_id: _usual_cost(rates[channel_id], measured.get(channel_id, NOTHING), usual)
            for channel_id in rates
        }
    figures = ((channel_id, _figure(pick, one)) for channel_id, one in measured.items())
    return {channel_id: figure for channel_id, figure in figures if figure is not None}


def _figure(pick: Pick, one: Measured) -> float | None:
    if pick == "throughput":
        tokens = one.output_tokens
        return -1000 * tokens / one.writing_ms if tokens and one.writing_ms else None
    spent = one.answer_ms if pick == "latency" else one.first_token_ms
    return spent / one.answers if one.answers else None


def _usual_cost(rates: Mapping[str, int], here: Measured, usual: Measured) -> float:
    """Return the cost of one input token with its share of the output, for the model's usual
    requests but with this channel's own rate of cache hits."""
    hits = here.cached_tokens / here.input_tokens if here.input_tokens else 0.0
    out = usual.output_tokens / usual.input_tokens if usual.input_tokens else _OUT_FOR_IN
    read = rates.get("in_text", 0)
    cached = rates.get("in_cache_read", read)
    return (1 - hits) * read + hits * cached + out * rates.get("out_text", 0)


def _sum(measured: Iterable[Measured]) -> Measured:
    whole = NOTHING
    for one in measured:
        whole = whole.plus(one)
    return whole


def order_keys(key_ids: Sequence[UUID], affinity: bytes) -> list[int]:
    """Return the positions of a channel's keys in the order in which requests with this affinity
    use them. It is the same in all processes, and a key that is added or removed moves only its own
    share."""
    drawn = [_draw(affinity, key_id.bytes) for key_id in key_ids]
    return sorted(range(len(key_ids)), key=drawn.__getitem__, reverse=True)


def closeness(channel_id: str, weight: int, affinity: bytes) -> float:
    """Rendezvous hashing: each channel draws a number from the affinity, and the highest one wins.
    If a channel is unavailable, only its own share moves. Weights have their usual effect (Wang et
    al., "Weighted rendezvous hashing")."""
    if not weight:
        return -math.inf
    return -weight / math.log(_draw(affinity, channel_id.encode()))


def _draw(affinity: bytes, name: bytes) -> float:
    """Return a number between 0 and 1, both excluded."""
    digest = blake2b(affinity + name, digest_size=8).digest()
    return (int.from_bytes(digest, "big") + 1) / (2**64 + 1)
