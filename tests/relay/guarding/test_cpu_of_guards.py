"""What guards cost the web process of a running hub, for an answer of 200 pieces, many of them at
once: the processor time of a stream without guards and with them, by turns in one run.

An answer in the client's own dialect passes as it is. For guards it is decoded and encoded, as it
is for a client of another dialect anyway: there, guards alone are what costs more.
"""

import time
from typing import Final

import pytest

from tests.bench.process import cpu_clock
from tests.fakes.upstream import FakeUpstream
from tests.relay.guarding.conftest import GuardedHub, guards_of
from tests.relay.speakers import SPEAKERS, UPSTREAMS, Wish
from tests.support.hub import Tenant

GUARDS: Final = ("email", "card", "secret")
TIMES_MAX: Final = {"openai": 2.2, "anthropic": 1.6}
ROUNDS: Final = 25
STREAMS: Final = 8


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.parametrize("dialect", TIMES_MAX)
def test_cpu_of_a_stream_with_three_guards(
    guarded_hub: GuardedHub, fake: FakeUpstream, dialect: str
) -> None:
    hub = guarded_hub.hub
    model = hub.model(fake, **UPSTREAMS["openai"])
    speaker = SPEAKERS[dialect]
    body = speaker.body(model, Wish("#tokens=200 Hello", stream=True))
    path = speaker.path(model, stream=True)
    assert hub.process is not None
    clock = cpu_clock(hub.process.pid)

    def cpu_us(tenant: Tenant) -> float:
        began = time.clock_gettime(clock)
        for _ in range(STREAMS):
            assert hub.post(tenant, body, path=path).status == 200
        return (time.clock_gettime(clock) - began) / STREAMS * 1e6

    tenants = guarded_hub.tenant(), guarded_hub.tenant(*guards_of(*GUARDS))
    taken = [[cpu_us(tenant) for tenant in tenants] for _ in range(ROUNDS)]
    off, on = (min(times) for times in zip(*taken, strict=True))
    assert on < off * TIMES_MAX[dialect], (off, on)
