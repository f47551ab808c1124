"""A chunk of an answer that three guards check: functions entered, C calls and opcodes of the web
process, beside those of a chunk that no guard checks and that is forwarded as it is."""

from contextlib import ExitStack
from typing import Final

from tests.fakes.upstream import FakeUpstream
from tests.relay.guarding.conftest import GuardedHub, guards_of
from tests.relay.request_costs.works import CountedHub
from tests.support.hub import running_hub

TIMES_MAX: Final = {"functions": 2.6, "c_calls": 1.6, "opcodes": 1.8}


def test_a_guarded_chunk_costs_a_few_times_an_unguarded_one(fake: FakeUpstream) -> None:
    with (
        ExitStack() as until,
        running_hub(application="tests.relay.request_costs.counting") as hub,
    ):
        counted = CountedHub(hub, fake, until)
        off = counted.measure("chunk", "calls") | counted.measure("chunk", "opcodes")
        counted.tenant = GuardedHub(hub).tenant(*guards_of("email", "card", "iban"))
        on = counted.measure("chunk", "calls") | counted.measure("chunk", "opcodes")
        times = {name: on[name] / off[name] for name in off}
        assert all(1.1 < times[name] <= TIMES_MAX[name] for name in off), (off, on, times)
