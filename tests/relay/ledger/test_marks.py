"""P1: what a killed process leaves behind is settled from its last high-water mark."""

from typing import Any

from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.clients import Clients, attempt_of, final_record
from tests.relay.sweeper import sweep
from tests.support.hub import Hub, Tenant


def mark_of(hub: Hub, tenant: Tenant) -> dict[str, Any] | None:
    query = "SELECT mark FROM billing_hold WHERE organisation_id = %s"
    marks = [row["mark"] for row in hub.rows(query, tenant.organisation_id)]
    return marks[0] if marks else None


def let_die(hub: Hub) -> None:
    """The process of this hub is dead, and has been for long enough to be believed so."""
    hub.kill()
    hub.connection.execute("UPDATE billing_process SET alive_until = now() - interval '1 s'")
    assert sweep(hub) == 0
    hub.connection.execute("UPDATE billing_process SET suspected_at = now() - interval '6 s'")


def test_a_killed_stream_is_paid_up_to_its_mark(
    own_hub: Hub, clients: Clients, fake: FakeUpstream
) -> None:
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(fake)
    text = "two words #tokens=500 #hold=70"
    leaver = clients.ask(own_hub, tenant, ask(model, text, stream=True))
    attempt = attempt_of(own_hub, tenant)
    own_hub.wait(lambda: (mark_of(own_hub, tenant) or {}).get("out_text") == 70, "no mark")
    leaver.read_until(b'"content":" ')
    let_die(own_hub)
    assert sweep(own_hub) == 1
    record = final_record(own_hub, tenant)
    row = fake.wait_for_row(attempt)
    usage = row["usage"]
    assert (record["status"], record["kind"], record["flags"]) == (500, "internal", ["crash_cut"])
    assert record["basis"] == "estimated"
    assert record["meters"] == {"in_text": usage["prompt_tokens"], "out_text": 70}
    assert usage["completion_tokens"] == 70
    assert record["charge_nano"] == usage["prompt_tokens"] + 3 * 70
    assert own_hub.balance(tenant)["customer:held"] == 0
    own_hub.assert_books_balance()


def test_early_reported_usage_is_in_the_mark(
    own_hub: Hub, clients: Clients, fake: FakeUpstream
) -> None:
    """The amount is exact as far as the provider has told it, and counted on from there."""
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(fake)
    text = "#tokens=90 #usage=cumulative #prompt=1234 #hold=20"
    clients.ask(own_hub, tenant, ask(model, text, stream=True))
    wanted = {"in_text": 1234, "out_text": 20}
    own_hub.wait(lambda: mark_of(own_hub, tenant) == wanted, "no mark with usage")
    let_die(own_hub)
    assert sweep(own_hub) == 1
    assert final_record(own_hub, tenant)["charge_nano"] == 1234 + 3 * 20
    own_hub.assert_books_balance()


def test_unobserved_work_is_booked_to_us_at_its_estimate(
    own_hub: Hub, clients: Clients, fake: FakeUpstream
) -> None:
    """I15: without a mark the customer pays nothing; its input may have cost us all the same."""
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(fake)
    text = "x" * 400 + " #tokens=5 #first_ms=60000"
    clients.ask(own_hub, tenant, ask(model, text))
    fake.wait_for_row(attempt_of(own_hub, tenant), lambda _: True)
    let_die(own_hub)
    assert sweep(own_hub) == 1
    balance = own_hub.balance(tenant)
    (attempt,) = own_hub.rows(
        "SELECT input_estimate FROM usage_attempt WHERE organisation_id = %s",
        tenant.organisation_id,
    )
    assert 100 <= attempt["input_estimate"] < 200
    assert balance["revenue"] == final_record(own_hub, tenant)["charge_nano"] == 0
    assert balance["provider:payable"] == -balance["platform:loss"] == attempt["input_estimate"]
    own_hub.assert_books_balance()


def test_short_stream_leaves_no_mark_and_live_holds_stay(
    hub: Hub, clients: Clients, fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    assert hub.post(tenant, ask(model, "#tokens=100", stream=True)).status == 200
    hub.settled(tenant)
    assert mark_of(hub, tenant) is None
    other = hub.tenant()
    leaver = clients.ask(hub, other, ask(model, "#tokens=9 #hold=3", stream=True))
    hub.wait(lambda: bool(mark_of(hub, other)), "no mark")
    assert sweep(hub) == 0
    (process,) = hub.rows(
        "SELECT p.alive_until > now() AS alive FROM billing_process p "
        "JOIN billing_hold h ON h.process_id = p.id WHERE h.organisation_id = %s",
        other.organisation_id,
    )
    assert process["alive"]
    fake.release(attempt_of(hub, other))
    leaver.read_until(b"[DONE]")
    assert final_record(hub, other)["meters"]["out_text"] == 9
    assert final_record(hub, other)["flags"] == []
