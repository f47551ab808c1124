"""A request that the content log keeps costs the web process at most a tenth more than one that it
does not keep: functions entered, C calls and opcodes until it is answered."""

from contextlib import ExitStack

from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.content_log.test_content_log import add_rule
from tests.relay.request_costs.works import CountedHub
from tests.support.hub import running_hub

MORE_MAX = 1.1


def test_keeping_a_request_costs_a_tenth_more_at_most(fake: FakeUpstream) -> None:
    with (
        ExitStack() as until,
        running_hub(application="tests.relay.request_costs.counting") as hub,
    ):
        counted = CountedHub(hub, fake, until)
        off = counted.measure("plain", "calls") | counted.measure("plain", "opcodes")
        add_rule(hub, counted.tenant)
        body = ask(counted.chat)
        hub.wait(
            lambda: hub.post(counted.tenant, body).headers.get("x-weir-content-log") == "kept",
            "the hub does not hear of the rule",
        )
        on = counted.measure("plain", "calls") | counted.measure("plain", "opcodes")
        assert all(on[name] > off[name] for name in off), "nothing is kept"
        more = {name: round(on[name] / off[name], 3) for name in off}
        assert max(more.values()) <= MORE_MAX, (off, on, more)
