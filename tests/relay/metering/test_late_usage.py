"""I7, I13, I15: what is learnt after a settlement; the customer and we bear what the provider
counted, to the unit."""

from typing import Any

import pytest

from lib.ids import parse_id
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.clients import Clients, attempt_of, final_record
from tests.relay.ledger.test_marks import let_die, mark_of
from tests.relay.sweeper import sweep
from tests.support.hub import Hub, Tenant

METERED = "openai_metered"


def cost_of(row: dict[str, Any]) -> int:
    """What the provider counted, at the price of the tests."""
    usage = row["usage"]
    return int(usage["prompt_tokens"] + 3 * usage["completion_tokens"])


def borne(hub: Hub, tenant: Tenant) -> tuple[int, int]:
    """What the customer and the platform have borne."""
    balance = hub.balance(tenant)
    return balance["revenue"], -balance.get("platform:loss", 0)


def learnt(hub: Hub, tenant: Tenant, wanted: tuple[int, int]) -> None:
    def so() -> bool:
        sweep(hub)
        return borne(hub, tenant) == wanted

    hub.wait(so, f"{wanted} is not borne, but {borne(hub, tenant)}")
    # A further one adds nothing, whatever else of this database it finds.
    sweep(hub)
    assert borne(hub, tenant) == wanted
    hub.assert_books_balance()


def test_after_a_crash_the_customer_pays_the_mark_and_we_the_rest(
    own_hub: Hub, clients: Clients, fake: FakeUpstream
) -> None:
    """P1: customer + loss = the provider's count."""
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(fake, provider=METERED)
    clients.ask(own_hub, tenant, ask(model, "#tokens=90 #prompt=1000 #hold=20", stream=True))
    own_hub.wait(lambda: bool(mark_of(own_hub, tenant)), "no mark")
    mark = mark_of(own_hub, tenant) or {}
    let_die(own_hub)
    total = cost_of(fake.wait_for_row(attempt_of(own_hub, tenant)))
    paid = mark["in_text"] + 3 * mark["out_text"]
    assert total == 1000 + 3 * 20
    assert paid == 3 + 3 * 20
    learnt(own_hub, tenant, (paid, total - paid))


@pytest.mark.parametrize("prompt", [1, 4000], ids=["we count more", "we count less"])
def test_leaving_client_never_pays_more_than_the_provider_counted(
    hub: Hub, clients: Clients, fake: FakeUpstream, prompt: int
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, provider=METERED)
    text = f"some words to begin with #tokens=500 #delay_ms=10 #prompt={prompt}"
    leaver = clients.ask(hub, tenant, ask(model, text, stream=True))
    leaver.read_until(b'"content":" ')
    leaver.leave("close")
    total = cost_of(fake.wait_for_row(attempt_of(hub, tenant)))
    record = final_record(hub, tenant)
    assert record["basis"] == "estimated"
    paid = min(record["charge_nano"], total)
    assert (paid < record["charge_nano"]) == (prompt == 1)
    learnt(hub, tenant, (paid, total - paid))


def test_failover_losers_cost_is_ours(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """I15: booked at its estimate to the platform, cleared when the provider has told."""
    tenant, model = hub.tenant(), hub.model(fake, other_fake, provider=METERED)
    answer = hub.post(tenant, ask(model, "#a.fault=F14:close #tokens=5 #prompt=700"))
    assert answer.status == 200
    records = hub.records(answer.headers["x-request-id"])
    assert [record["basis"] for record in records] == ["absorbed", "measured"]
    (lost,) = hub.rows(
        "SELECT e.amount_nano FROM billing_ledgerentry e JOIN billing_posting p "
        "ON p.id = e.posting_id WHERE p.idempotency_id = %s AND e.amount_nano > 0",
        f"loss:{records[0]['id']}",
    )
    assert lost["amount_nano"] > 0
    learnt(hub, tenant, (700 + 3 * 5, 700 + 3 * 5))


def test_rejected_attempt_costs_no_one(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, other_fake, provider=METERED)
    answer = hub.post(tenant, ask(model, "#a.fault=F10:500 #tokens=5 #prompt=700"))
    assert answer.status == 200
    learnt(hub, tenant, (700 + 3 * 5, 0))


def test_process_believed_dead_reports_its_ending(
    hub: Hub, clients: Clients, fake: FakeUpstream
) -> None:
    """I6, I7: the hold was resolved by its mark; the late ending adjusts, and settles nothing."""
    tenant, model = hub.tenant(), hub.model(fake)
    leaver = clients.ask(hub, tenant, ask(model, "#tokens=90 #prompt=1000 #hold=20", stream=True))
    hub.wait(lambda: bool(mark_of(hub, tenant)), "no mark")
    hub.connection.execute(
        "UPDATE billing_hold SET expires_at = now() - interval '1 s' WHERE organisation_id = %s",
        [tenant.organisation_id],
    )
    hub.wait(lambda: sweep(hub) == 1 or bool(hub.balance(tenant).get("revenue")), "not swept")
    assert final_record(hub, tenant)["flags"] == ["crash_cut"]
    fake.release(attempt_of(hub, tenant))
    leaver.read_until(b"[DONE]")
    learnt(hub, tenant, (1000 + 3 * 90, 0))
    (adjusted,) = hub.rows(
        "SELECT * FROM billing_posting WHERE organisation_id = %s AND kind = 'correct'",
        tenant.organisation_id,
    )
    attempt = parse_id(attempt_of(hub, tenant))
    assert adjusted["idempotency_id"] == f"adjust:{attempt}:late"
    assert len(hub.rows("SELECT 1 FROM usage_usagerecord WHERE id = %s", attempt)) == 1


def test_late_usage_without_money_is_a_debt(hub: Hub, clients: Clients, fake: FakeUpstream) -> None:
    """I12."""
    tenant, model = hub.tenant("0.000002"), hub.model(fake)
    body = ask(model, "#tokens=90 #prompt=1000 #hold=20", stream=True, max_tokens=100)
    leaver = clients.ask(hub, tenant, body)
    hub.wait(lambda: bool(mark_of(hub, tenant)), "no mark")
    hub.connection.execute(
        "UPDATE billing_hold SET expires_at = now() - interval '1 s' WHERE organisation_id = %s",
        [tenant.organisation_id],
    )
    hub.wait(lambda: sweep(hub) == 1 or bool(hub.balance(tenant).get("revenue")), "not swept")
    fake.release(attempt_of(hub, tenant))
    leaver.read_until(b"[DONE]")
    charge = min(1000 + 3 * 90, final_record(hub, tenant)["hold_nano"])
    hub.wait(lambda: sweep(hub) == 0 and hub.balance(tenant)["revenue"] == charge, "not adjusted")
    balance = hub.balance(tenant)
    assert balance["customer:available"] + balance.get("customer:debt", 0) == 2000 - charge
    hub.assert_books_balance()
