"""Which channel answered is told to operators and to nobody else."""

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support.hub import Hub, Tenant


def of_person(hub: Hub, tenant: Tenant, *, operator: bool) -> Tenant:
    """The same key as that of a person."""
    hub.person(tenant, operator=operator)
    return tenant


@pytest.mark.parametrize("stream", [False, True])
def test_operators_are_notified(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream, stream: bool
) -> None:
    operator = of_person(hub, hub.tenant(), operator=True)
    person = of_person(hub, hub.tenant(), operator=False)
    model = hub.model(fake, other_fake)
    body = ask(model, "#a.fault=F10 #tokens=1", stream=stream)
    answer = hub.post(operator, body)
    assert answer.status == 200
    responses = [answer.headers.get(f"x-weir-{name}") for name in ("channel", "attempts")]
    assert responses == [f"{model}-1", "2"]
    for other in (person, hub.tenant()):
        answer = hub.post(other, body)
        assert (answer.status, "x-weir-channel" in answer.headers) == (200, False)
        assert "x-weir-attempts" not in answer.headers
