"""P6: what abandoned and failed requests are charged, by the rule of organisation or model."""

from typing import Any

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.clients import Clients, attempt_of, final_record
from tests.relay.ledger.test_marks import let_die, mark_of
from tests.relay.sweeper import sweep
from tests.support.hub import Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")


def ruled(hub: Hub, rule: dict[str, Any]) -> Tenant:
    """An organisation with a rule of its own."""
    tenant = hub.tenant()
    hub.charge_rule(tenant, rule)
    return tenant


def left(hub: Hub, clients: Clients, tenant: Tenant, body: dict[str, Any]) -> Any:
    """The attempt of a stream whose client left behind its first word."""
    leaver = clients.ask(hub, tenant, body)
    attempt = attempt_of(hub, tenant)
    leaver.read_until(b'"content":" ')
    leaver.leave("close")
    return attempt


def lost(hub: Hub, tenant: Tenant) -> int:
    """What the installation bears of an organisation, in nano."""
    hub.settled(tenant)
    return -hub.balance(tenant).get("platform:loss", 0)


def test_absorbed_charge_is_no_ones_and_the_cost_is_ours(
    hub: Hub, clients: Clients, fake: FakeUpstream
) -> None:
    tenant, model = ruled(hub, {"kind": "absorb"}), hub.model(fake)
    attempt = left(hub, clients, tenant, ask(model, "#tokens=500 #delay_ms=10", stream=True))
    assert fake.wait_for_row(attempt)["outcome"] == "cut"
    record = final_record(hub, tenant)
    assert (record["status"], record["basis"], record["charge_nano"]) == (499, "absorbed", 0)
    assert record["flags"] == ["usage_missing", "absorb_by_organisation"]
    meters = record["meters"]
    assert lost(hub, tenant) == meters["in_text"] + 3 * meters["out_text"] > 0


def test_a_failed_stream_is_absorbed_too(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    hub.rule(model, charge_rule={"kind": "absorb"})
    answer = hub.post(tenant, ask(model, "#tokens=40 #fault=F14:close@20", stream=True))
    assert b"upstream_truncated" in answer.body
    record = final_record(hub, tenant)
    assert (record["kind"], record["basis"]) == ("upstream_truncated", "absorbed")
    assert (record["charge_nano"], "absorb_by_model" in record["flags"]) == (0, True)
    assert lost(hub, tenant) > 0
    # And what goes well is paid.
    assert hub.post(tenant, ask(model, "#tokens=4", stream=True)).status == 200
    paid = "SELECT basis, flags FROM usage_usagerecord WHERE organisation_id = %s AND status = 200"
    hub.wait(lambda: len(hub.rows(paid, tenant.organisation_id)) == 1, "no record")
    assert hub.rows(paid, tenant.organisation_id) == [{"basis": "measured", "flags": []}]


def test_whole_answer_lacking_only_usage_is_never_absorbed(
    hub: Hub, clients: Clients, fake: FakeUpstream
) -> None:
    tenant, model = ruled(hub, {"kind": "absorb"}), hub.model(fake)
    leaver = clients.ask(hub, tenant, ask(model, "#tokens=5 #prompt=700 #linger", stream=True))
    attempt = attempt_of(hub, tenant)
    leaver.read_until(b'"finish_reason":"stop"')
    leaver.leave("close")
    # It is waited for, and does not come.
    assert fake.wait_for_row(attempt)["outcome"] == "cut"
    record = final_record(hub, tenant)
    assert (record["status"], record["basis"], record["flags"]) == (
        499, "estimated", ["usage_missing"],
    )  # fmt: skip
    meters = record["meters"]
    assert record["charge_nano"] == meters["in_text"] + 3 * meters["out_text"] > 0


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_model_rule_reads_on_where_the_channel_would_cancel(
    hub: Hub, clients: Clients, fake: FakeUpstream, stream: bool
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    hub.rule(model, charge_rule={"kind": "drain", "seconds": 60})
    text = "#tokens=40 #delay_ms=10" if stream else "#tokens=40 #first_ms=400"
    if stream:
        attempt = left(hub, clients, tenant, ask(model, text, stream=True))
    else:
        leaver = clients.ask(hub, tenant, ask(model, text))
        attempt = attempt_of(hub, tenant)
        fake.wait_for_row(attempt, lambda row: row["accepted_at"] is not None)
        leaver.leave("close")
    assert fake.wait_for_row(attempt)["outcome"] == "finished"
    record = final_record(hub, tenant)
    assert (record["status"], record["basis"]) == (499, "drained")
    assert (record["meters"]["out_text"], record["flags"]) == (40, ["drain_by_model"])


def test_measured_only_closes_a_channel_that_would_drain(
    hub: Hub, clients: Clients, fake: FakeUpstream
) -> None:
    tenant, model = ruled(hub, {"kind": "measured"}), hub.model(fake, on_leave="drain")
    # The organisation's rule comes before the model's.
    hub.rule(model, charge_rule={"kind": "absorb"})
    attempt = left(hub, clients, tenant, ask(model, "#tokens=500 #delay_ms=10", stream=True))
    assert fake.wait_for_row(attempt)["outcome"] == "cut"
    record = final_record(hub, tenant)
    assert (record["basis"], record["flags"][-1]) == ("estimated", "measured_by_organisation")
    assert 0 < record["charge_nano"] < 500
    assert lost(hub, tenant) == 0


def test_reading_on_ends_at_its_time_limit(hub: Hub, clients: Clients, fake: FakeUpstream) -> None:
    tenant, model = ruled(hub, {"kind": "drain", "seconds": 1}), hub.model(fake)
    attempt = left(hub, clients, tenant, ask(model, "#tokens=9000 #delay_ms=5", stream=True))
    row = fake.wait_for_row(attempt)
    assert row["outcome"] == "cut"
    record = final_record(hub, tenant)
    assert (record["basis"], record["flags"][-1]) == ("estimated", "drain_by_organisation")
    assert record["meters"]["out_text"] < 9000


def test_reading_on_ends_at_its_cost_limit(hub: Hub, clients: Clients, fake: FakeUpstream) -> None:
    """60 nano are 20 tokens."""
    rule = {"kind": "drain", "seconds": 60, "cost": "0.00000006"}
    tenant, model = ruled(hub, rule), hub.model(fake)
    attempt = left(hub, clients, tenant, ask(model, "#tokens=9000 #delay_ms=5", stream=True))
    assert fake.wait_for_row(attempt)["outcome"] == "cut"
    record = final_record(hub, tenant)
    assert record["flags"][-1] == "drain_by_organisation"
    assert record["meters"]["out_text"] < 9000
    hub.settled(tenant)


@pytest.mark.parametrize(
    ("more", "basis"),
    [
        ("#tokens=400", "drained"),
        ("#tokens=2 #hidden=900", "drained"),
        # The input alone is above it by the provider's count: ours from before stands.
        ("#tokens=2 #prompt=5000", "estimated"),
    ],
)
def test_cost_of_a_whole_answer_above_the_limit_is_ours(
    hub: Hub, clients: Clients, fake: FakeUpstream, more: str, basis: str
) -> None:
    """Its usage comes only when all of it is there: it is charged up to the limit, to the token."""
    rule = {"kind": "drain", "seconds": 60, "cost": "0.00000006"}
    tenant, model = ruled(hub, rule), hub.model(fake)
    leaver = clients.ask(hub, tenant, ask(model, f"{more} #first_ms=400"))
    attempt = attempt_of(hub, tenant)
    fake.wait_for_row(attempt, lambda row: row["accepted_at"] is not None)
    leaver.leave("close")
    assert fake.wait_for_row(attempt)["outcome"] == "finished"
    record = final_record(hub, tenant)
    assert (record["basis"], record["flags"]) == (
        basis, ["drain_limit", "drain_by_organisation"],
    )  # fmt: skip
    meters = record["meters"]
    assert record["charge_nano"] == meters["in_text"] + 3 * (
        meters["out_text"] + meters.get("out_reasoning", 0)
    )
    assert 0 < record["charge_nano"] < 400
    assert lost(hub, tenant) > 800
    counted = record["raw_usage"]["completion_tokens"]
    assert counted > meters["out_text"]


def test_killed_process_charges_nothing_absorbable(
    own_hub: Hub, clients: Clients, fake: FakeUpstream
) -> None:
    own_hub.start()
    tenant, model = ruled(own_hub, {"kind": "absorb"}), own_hub.model(fake)
    asked = ask(model, "two words #tokens=500 #hold=70", stream=True)
    clients.ask(own_hub, tenant, asked).read_until(b'"content":" ')
    let_die(own_hub)
    assert mark_of(own_hub, tenant) is None
    assert sweep(own_hub) == 1
    record = final_record(own_hub, tenant)
    assert (record["basis"], record["charge_nano"]) == ("absorbed", 0)
    own_hub.assert_books_balance()
