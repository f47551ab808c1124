"""A chunk of an answer that three guards check: functions entered, C calls and opcodes of the web
process, beside those of a chunk that no guard checks and that is forwarded as it is.

Chunks of the openai and anthropic dialects differ in their text alone: they are not parsed, and
words among them are written without an encoder. A chunk of the gemini dialect counts the tokens up
to it, so each is read and written as a whole."""

from contextlib import ExitStack
from typing import Final

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.relay.guarding.conftest import GuardedHub, guards_of
from tests.relay.request_costs.works import CountedHub
from tests.support.hub import running_hub

# At most so many functions for each guarded chunk, and so many times what others take.
FUNCTIONS_MAX: Final = {"openai": 14, "anthropic": 16, "gemini": 120}
TIMES_MAX: Final = {
    "openai": {"functions": 1.3, "c_calls": 1.25, "opcodes": 1.2},
    "anthropic": {"functions": 1.3, "c_calls": 1.25, "opcodes": 1.2},
    "gemini": {"functions": 3.2, "c_calls": 2.5, "opcodes": 2.5},
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
