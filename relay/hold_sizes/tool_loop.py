"""What the loop of a provider's own tools adds to the input of a request: a pure rule.

With the results of its tools a model reads the request again, each time with what it said and with
all results so far. A provider bills each reading: what is new at the rate of input or of cache
writes, the rest at the rate of input or of cache reads.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from dialects.chat.hosted_tools import HostedTools
from gateway.providers.hosted_tools import NO_RESULT, HostedToolData

# Further readings are counted as the last of these.
_READINGS_COUNTED: Final = 100


class Reading(NamedTuple):
    """Input tokens besides the first reading: `new` to the model, and read `again`."""

    new: int
    again: int


NOTHING_READ: Final = Reading(0, 0)


class ToolLoop(NamedTuple):
    """The loop of a request. `results` are the sizes of results, the largest first, with their
    number; `readings` is how often the request may be read again; `context_max` is the most input
    of one reading, None if unknown."""

    results: tuple[tuple[int, int], ...]
    readings: int
    context_max: int | None

    def read(self, input_tokens: int, output_tokens: int) -> Reading:
        """Return the most that the readings after the first one have, of a request with this input
        and at most this output."""
        total, counted = 0, min(self.readings, _READINGS_COUNTED)
        spare = sum(uses for _, uses in self.results) - self.readings
        reading = 0
        for number in range(1, counted + 1):
            # Each reading follows at least one result, and as many as may be come before the first.
            result_tokens = self._first_results(spare + number)
            reading = self._within_context(input_tokens + result_tokens + output_tokens)
            total += reading
        if counted < self.readings:
            result_tokens = self._first_results(spare + self.readings)
            reading = self._within_context(input_tokens + result_tokens + output_tokens)
            total += (self.readings - counted) * reading
        new = min(total, self._first_results(spare + self.readings) + output_tokens)
        return Reading(new, total - new)

    def _first_results(self, uses: int) -> int:
        tokens = 0
        for size, count in self.results:
            taken = min(count, uses)
            tokens += size * taken
            uses -= taken
        return tokens

    def _within_context(self, tokens: int) -> int:
        return tokens if self.context_max is None else min(tokens, self.context_max)


def loop_of(tools: HostedTools, hosts: Sequence[tuple[HostedToolData, int | None]]) -> ToolLoop:
    """Return the largest loop of any of the possible hosts, each with the largest input of its
    model (None if unknown)."""
    results: list[tuple[int, int]] = []
    for tool in tools:
        most = max((data.results.get(tool.name, NO_RESULT).tokens_max for data, _ in hosts))
        limit = tool.result_tokens
        results.append((most if limit is None else limit, tool.uses))
    uses = sum(tool.uses for tool in tools)
    readings = _largest(data.readings_max for data, _ in hosts)
    contexts = (_smaller(data.context_max, context_max) for data, context_max in hosts)
    return ToolLoop(
        tuple(sorted(results, reverse=True)),
        uses if readings is None else min(uses, readings),
        _largest(contexts),
    )


def usual_result_tokens(tools: HostedTools, data: HostedToolData) -> int:
    """Return how many tokens one use of each tool usually finds."""
    return sum(data.results.get(tool.name, NO_RESULT).tokens_usual for tool in tools)


def _smaller(one: int | None, other: int | None) -> int | None:
    return min((limit for limit in (one, other) if limit is not None), default=None)


def _largest(limits: Iterable[int | None]) -> int | None:
    """Return the largest limit; None if one is missing."""
    known = list(limits)
    return None if None in known else max(limit for limit in known if limit is not None)
