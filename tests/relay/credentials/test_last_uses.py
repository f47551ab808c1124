"""The last use of a key reaches the database without a request waiting for it."""

from typing import Any

from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support.hub import Hub, Tenant

AGENT = {"user-agent": "OpenAI/Python 2.1.0"}


def uses(hub: Hub, tenant: Tenant) -> list[dict[str, Any]]:
    return hub.rows(
        "SELECT address, client FROM accounts_secretuse WHERE key_id = %s", tenant.key_id
    )


def test_use_is_written_after_the_request(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    for _ in range(3):
        assert hub.post(tenant, ask(model), headers=AGENT).status == 200
    hub.wait(lambda: bool(uses(hub, tenant)), "the use is not written")
    assert uses(hub, tenant) == [{"address": "127.0.0.1", "client": AGENT["user-agent"]}]


def test_request_rejected_for_money_counts_as_a_use(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(usd="0"), hub.model(fake)
    assert hub.post(tenant, ask(model), headers=AGENT).status == 402
    hub.wait(lambda: bool(uses(hub, tenant)), "the use is not written")


def test_stopping_process_writes_its_last_uses(own_hub: Hub, fake: FakeUpstream) -> None:
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(fake)
    assert own_hub.request("GET", "/v1/models", tenant, headers=AGENT).status == 200
    assert own_hub.post(tenant, ask(model)).status == 200
    own_hub.stop()
    assert uses(own_hub, tenant) == [{"address": "127.0.0.1", "client": ""}]
