"""What three guards add to a request, to a stream and to a chunk: functions entered, C calls and
opcodes of the web process, beside those of one that no guard checks and that is forwarded as it is.

Chunks of the openai and anthropic dialects differ in their text alone: they are not parsed, and
words among them are written without an encoder. A chunk of the gemini dialect counts the tokens up
to it, so each is read and written as a whole."""

from contextlib import ExitStack
from typing import Final

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.relay.guarding.conftest import GuardedHub, guards_of
from tests.relay.request_costs.costs import Counts
from tests.relay.request_costs.works import CountedHub
from tests.support.hub import running_hub

# At most so many functions for each guarded chunk, and so many times what others take.
FUNCTIONS_MAX: Final = {"openai": 13, "anthropic": 15.2, "gemini": 98}
TIMES_MAX: Final = {
    "openai": {"functions": 1.22, "c_calls": 1.19, "opcodes": 1.2},
    "anthropic": {"functions": 1.19, "c_calls": 1.17, "opcodes": 1.18},
    "gemini": {"functions": 2.65, "c_calls": 2.25, "opcodes": 2.35},
}
# What three guards of requests and answers add at most to a request, and to a stream of two chunks.
# From run to run, the counts of a stream differ by some twenty functions.
MORE_MAX: Final = {
    "plain": {"functions": 144, "c_calls": 160, "opcodes": 4_400},
    "short": {"functions": 190, "c_calls": 205, "opcodes": 5_200},
}


@pytest.mark.parametrize("dialect", TIMES_MAX)
def test_a_guarded_chunk_costs_a_few_times_an_unguarded_one(
    fake: FakeUpstream, dialect: str
) -> None:
    with (
        ExitStack() as until,
        running_hub(application="tests.relay.request_costs.counting") as hub,
    ):
        counted = CountedHub(hub, fake, until)
        if dialect != "openai":
            counted.stream_in(dialect)
        off = counted.measure("chunk", "calls") | counted.measure("chunk", "opcodes")
        counted.tenant = GuardedHub(hub).tenant(*guards_of("email", "card", "iban"))
        on = counted.measure("chunk", "calls") | counted.measure("chunk", "opcodes")
        times, most = {name: on[name] / off[name] for name in off}, TIMES_MAX[dialect]
        assert all(1.1 < times[name] <= most[name] for name in off), (off, on, times)
        assert on["functions"] <= FUNCTIONS_MAX[dialect], (off, on)


def test_guards_add_little_to_a_request_and_to_a_stream(fake: FakeUpstream) -> None:
    with (
        ExitStack() as until,
        running_hub(application="tests.relay.request_costs.counting") as hub,
    ):
        counted = CountedHub(hub, fake, until)
        works: dict[str, list[Counts]] = {work: [] for work in MORE_MAX}
        rules = [
            one | {"places": ["request", "answer"]} for one in guards_of("email", "card", "iban")
        ]
        for tenant in (counted.tenant, GuardedHub(hub).tenant(*rules)):
            counted.tenant = tenant
            for work, counts in works.items():
                counts.append(counted.measure(work, "calls") | counted.measure(work, "opcodes"))
        more = {
            work: {name: on[name] - off[name] for name in off} for work, (off, on) in works.items()
        }
        for work, most in MORE_MAX.items():
            assert all(0.6 * most[name] < more[work][name] <= most[name] for name in most), more
