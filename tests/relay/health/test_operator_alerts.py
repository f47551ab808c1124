"""What operators must see to reaches them, once an hour for each cause."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from outbox.models import Fact
from relay.health.channel_health import Health
from relay.health.operator_alerts import Alert, Alerts, statement
from relay.upstream.failures import UpstreamFailed
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.health.test_health import CANDIDATE, CHANNEL, WHO
from tests.support.hub import Hub


def test_each_cause_is_alerted_once_an_hour() -> None:
    alerts, now = Alerts(), [0.0]
    alerts.now = lambda: now[0]
    one, other = Alert("c", "east", "out"), Alert("c", "east", "no_credit", "1")
    for alert in (one, one, other):
        alerts.report(alert)
    assert alerts.take() == [one, other]
    now[0] = 3599.0
    alerts.report(one)
    assert alerts.take() == []
    now[0] = 3600.0
    alerts.report(one)
    alerts.put_back([other])
    assert alerts.take() == [other, one]


@pytest.mark.django_db
def test_each_different_alert_is_a_fact_of_its_own() -> None:
    """Several processes report the same ones: together they make one fact of each."""
    one = Alert(str(uuid4()), "east", "key_refused", "key 1")
    others = [
        one._replace(channel_id=str(uuid4())),
        one._replace(cause="no_credit"),
        one._replace(what="key 2"),
        one._replace(last=True),
    ]
    written: Any = statement([one, *others])
    with connection.cursor() as cursor:
        for _ in range(2):
            cursor.execute(*written)
    told = [Alert(**body) for body in Fact.objects.values_list("body", flat=True)]
    assert sorted(told) == sorted([one, *others])


def test_channel_out_for_long_alerts_operators() -> None:
    health, now = Health(), [0.0]
    health.now = lambda: now[0]
    for fifth in range(5 * 700):
        now[0] = fifth * 0.2
        probe = health.begin(CANDIDATE, CHANNEL, WHO)
        probe.failed(UpstreamFailed("F10", "upstream_error", "x"))
    (message,) = health.alerts.take()
    assert (message.cause, message.channel) == ("out", "c")


def list_alerts(hub: Hub, channel: str) -> list[dict[str, Any]]:
    rows = hub.rows(
        "SELECT body FROM outbox_fact WHERE kind = 'channel.troubled' AND body->>'channel' = %s",
        channel,
    )
    return [row["body"] for row in rows]


def test_missing_provider_credit_alerts_operators(hub: Hub, fake: FakeUpstream) -> None:
    """F9: the customer hears that it is not theirs; the operators hear whose it is."""
    tenant = hub.tenant()
    model = hub.model(fake, retries=0)
    for _ in range(2):
        hub.post(tenant, ask(model, "#fault=F9:402"))
    (channel,) = hub.rows(
        "SELECT c.name FROM gateway_channel c JOIN gateway_route r ON r.channel_id = c.id "
        "WHERE r.model = %s",
        model,
    )
    hub.wait(lambda: bool(list_alerts(hub, channel["name"])), "nobody was told")
    (body,) = list_alerts(hub, channel["name"])
    assert (body["cause"], body["what"], body["last"]) == ("no_credit", "1", True)
    assert fake.key not in str(body)


def test_unusable_channel_alerts_operators(hub: Hub, fake: FakeUpstream) -> None:
    """As after a change of the KEK: nothing of it is asked, so nothing else would tell."""
    name = f"lost-{uuid4()}-0"
    hub.channel(name.removesuffix("-0"), fake.url, fake.key)
    hub.connection.execute(
        "UPDATE gateway_channelkey SET sealed = %s FROM gateway_channel c "
        "WHERE c.id = channel_id AND c.name = %s",
        [b"sealed for another place", name],
    )
    hub.bump()
    hub.wait(lambda: bool(list_alerts(hub, name)), "nobody was told")
    hub.connection.execute("UPDATE gateway_channel SET enabled = false WHERE name = %s", [name])
    hub.bump()
    assert [body["cause"] for body in list_alerts(hub, name)] == ["unusable"]


def test_a_model_without_a_price_is_told_once_a_day(own_hub: Hub, fake: FakeUpstream) -> None:
    """unpriced_models: alert. Nobody fills the operators' letter box by making names up."""
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(fake, rates=None)
    name = f"made-up-{uuid4()}"
    own_hub.connection.execute(
        "UPDATE gateway_route SET model = %s WHERE model = %s", [f"{name}*", model]
    )
    own_hub.settings(unpriced_models="alert")
    own_hub.wait(lambda: own_hub.post(tenant, ask(name)).status == 200, "stays refused")
    assert own_hub.post(tenant, ask(name)).status == 200

    def models() -> list[str]:
        query = "SELECT body->>'model' AS model FROM outbox_fact WHERE kind = 'model.unpriced'"
        return [row["model"] for row in own_hub.rows(query)]

    own_hub.wait(lambda: models() == [name], "nobody was told")
    for n in range(30):
        assert own_hub.post(tenant, ask(f"{name}-{n}")).status == 200
    own_hub.wait(lambda: len(models()) == 20, "not all were told")
    own_hub.stop()
    assert len(models()) == 20
    own_hub.assert_books_balance()
