"""Units that a subscription plan includes: taken at the admission, used or given back at the end,
worth what the price book says; never more than are included (P2)."""

import asyncio
import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from billing.ledger.accounts import WALLET_KINDS, lock_accounts, open_accounts
from billing.limits.budget_windows import count_guards
from lib.ids import new_id
from relay.asgi import Relay
from relay.ledger.admission import AdmissionRequest, Verdict
from relay.ledger.writer import LedgerWriter
from relay.requests.outcome import Outcome
from tests.fakes.upstream import FakeUpstream
from tests.fakes.videos import FakeVideos
from tests.relay.asking import ask
from tests.relay.clients import Clients
from tests.relay.ledger.test_marks import let_die, mark_of
from tests.relay.media.test_videos import PER_MS, accepted, video_model
from tests.relay.pages.test_in_process import body, knows, principal, read_events, relay
from tests.relay.poller import poll
from tests.relay.sweeper import sweep
from tests.support.hub import Hub, Tenant

__all__ = ["relay"]
METERED = "openai_metered"


def include(hub: Hub, tenant: Tenant, *terms: tuple[str, int], model: str = "") -> None:
    """A subscription whose month includes so many units of these meters, for a model or all."""
    owner, plan, subscription = tenant.organisation_id, new_id(), new_id()
    today = dt.datetime.now(dt.UTC)
    month, ends_at = today.date().replace(day=1), today + dt.timedelta(days=31)
    with hub.connection.transaction():
        for text, parameters in (
            open_accounts([owner], (*WALLET_KINDS, "included:units")),
            lock_accounts([owner]),
            count_guards([owner]),
        ):
            hub.connection.execute(text, parameters)
        hub.connection.execute(
            "INSERT INTO billing_subscriptionplan (id, name, description, price_nano, "
            "included_nano, state) VALUES (%s, %s, '', 0, 0, 'offered')",
            [plan, str(plan)],
        )
        hub.connection.execute(
            "INSERT INTO billing_subscription (id, organisation_id, plan_id, state, zone, month, "
            "started_at) VALUES (%s, %s, %s, 'active', 'UTC', %s, %s)",
            [subscription, owner, plan, month, today],
        )
        for position, (meter, units) in enumerate(terms):
            hub.connection.execute(
                "INSERT INTO billing_includedunits (organisation_id, subscription_id, month, "
                "position, meter, patterns, included, used, held, ends_at) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s, 0, 0, %s)",
                [owner, subscription, month, position, meter, [model] if model else [], units,
                 ends_at],
            )  # fmt: skip
    hub.bump()


def units(hub: Hub, tenant: Tenant) -> dict[str, tuple[int, int]]:
    """Of each meter, how many units are used and held."""
    query = "SELECT meter, used, held FROM billing_includedunits WHERE organisation_id = %s"
    rows = hub.rows(query, tenant.organisation_id)
    return {row["meter"]: (row["used"], row["held"]) for row in rows}


def paid(hub: Hub, tenant: Tenant) -> dict[str, int]:
    """What was sold, what units paid of it, and what is left on the balance."""
    balance = hub.balance(tenant)
    kinds = ("revenue", "included:units", "customer:available", "customer:held")
    return {kind: balance.get(kind, 0) for kind in kinds}


def test_units_pay_without_a_balance(hub: Hub, fake: FakeUpstream) -> None:
    """The plan pays what the units are worth; the books say so of every request."""
    tenant, model = hub.tenant("0"), hub.model(fake, provider=METERED)
    include(hub, tenant, ("in_text", 100_000), ("out_text", 100_000), model=model)
    answer = hub.post(tenant, ask(model, "#tokens=30 #prompt=10", max_tokens=50))
    assert answer.status == 200, answer
    hub.settled(tenant)
    assert units(hub, tenant) == {"in_text": (10, 0), "out_text": (30, 0)}
    assert paid(hub, tenant) == {
        "revenue": 100, "included:units": -100, "customer:available": 0, "customer:held": 0,
    }  # fmt: skip
    hub.assert_books_balance()


def test_balance_pays_beyond_the_included_units(hub: Hub, fake: FakeUpstream) -> None:
    """Fewer units are left than the request may come to: it takes these, and the rest is at the
    price of the price book."""
    tenant, model = hub.tenant("10.00"), hub.model(fake, provider=METERED)
    include(hub, tenant, ("out_text", 20))
    hub.post(tenant, ask(model, "#tokens=30 #prompt=10", max_tokens=50))
    hub.settled(tenant)
    assert units(hub, tenant) == {"out_text": (20, 0)}
    assert paid(hub, tenant) == {
        "revenue": 100, "included:units": -60, "customer:available": 10**10 - 40,
        "customer:held": 0,
    }  # fmt: skip
    hub.post(tenant, ask(model, "#tokens=30 #prompt=10", max_tokens=50))
    hub.settled(tenant)
    assert paid(hub, tenant)["included:units"] == -60
    hub.assert_books_balance()


def test_load_never_uses_more_than_included(hub: Hub, fake: FakeUpstream) -> None:
    """P2: requests at once, without a balance, of which only some fit."""
    tenant, model = hub.tenant("0"), hub.model(fake, provider=METERED)
    include(hub, tenant, ("in_text", 10**6), ("out_text", 200))
    body = ask(model, "#tokens=30 #prompt=10", max_tokens=30)

    def one(_: int) -> int:
        return hub.post(tenant, body).status

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(one, range(12)))
    hub.settled(tenant)
    assert set(answers) == {200, 402}
    assert units(hub, tenant)["out_text"] == (30 * answers.count(200), 0)
    assert answers.count(200) <= 6
    assert paid(hub, tenant)["customer:available"] == 0
    hub.assert_books_balance()


def test_units_of_a_killed_process_are_returned(
    own_hub: Hub, clients: Clients, fake: FakeUpstream
) -> None:
    """P1: what its last mark says is used, the rest is included again."""
    own_hub.start()
    tenant, model = own_hub.tenant("0"), own_hub.model(fake, provider=METERED)
    include(own_hub, tenant, ("in_text", 10_000), ("out_text", 10_000))
    body: dict[str, Any] = ask(
        model, "#tokens=90 #prompt=1000 #hold=20", stream=True, max_tokens=100
    )
    clients.ask(own_hub, tenant, body)
    own_hub.wait(lambda: bool(mark_of(own_hub, tenant)), "no mark")
    mark = mark_of(own_hub, tenant) or {}
    assert units(own_hub, tenant)["out_text"] == (0, 100)
    let_die(own_hub)
    own_hub.wait(lambda: sweep(own_hub) > 0 or not units(own_hub, tenant)["out_text"][1], "held")
    assert units(own_hub, tenant) == {
        "in_text": (mark["in_text"], 0), "out_text": (mark["out_text"], 0),
    }  # fmt: skip
    own_hub.assert_books_balance()


@pytest.mark.parametrize("included_ms", [5_000, 60_000])
def test_included_units_pay_for_a_finished_video(hub: Hub, included_ms: int) -> None:
    """Also those of which fewer are left than it takes; the rest of them stays included."""
    with FakeVideos() as provider:
        tenant, model = hub.tenant("10.00"), video_model(hub, provider)
        include(hub, tenant, ("video_ms", included_ms))
        accepted(hub, tenant, model, "a cat")
        poll(hub, tenant)
    used = min(included_ms, 8_000)
    assert units(hub, tenant) == {"video_ms": (used, 0)}
    assert paid(hub, tenant) == {
        "revenue": 8_000 * PER_MS, "included:units": -used * PER_MS,
        "customer:available": 10**10 - (8_000 - used) * PER_MS, "customer:held": 0,
    }  # fmt: skip
    hub.assert_books_balance()


async def test_balance_pays_when_others_took_the_units(
    relay: Relay, hub: Hub, fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever it asks for what was left, others have just taken of it."""
    tenant, model = hub.tenant("10.00"), hub.model(fake, provider=METERED)
    include(hub, tenant, ("out_text", 40))
    await knows(relay, hub, model)
    who = await principal(relay, hub, tenant)
    admit = LedgerWriter.admit

    async def admit_second(ledger: LedgerWriter, request: AdmissionRequest) -> Verdict:
        hub.connection.execute(
            "UPDATE billing_includedunits SET used = used + 3 WHERE organisation_id = %s",
            [tenant.organisation_id],
        )
        return await admit(ledger, request)

    monkeypatch.setattr(LedgerWriter, "admit", admit_second)
    asked = body(model, "#tokens=30 #prompt=10", max_tokens=50)
    chat = relay.in_process.chat(who, asked, source="playground")
    (outcome,) = [item async for item in read_events(chat) if isinstance(item, Outcome)]
    assert (outcome.status, outcome.charge_nano) == (200, 100)
    await asyncio.to_thread(hub.settled, tenant)
    assert units(hub, tenant) == {"out_text": (9, 0)}


async def test_preview_of_units_matches_the_hold(
    relay: Relay, hub: Hub, fake: FakeUpstream
) -> None:
    """A page that asks before it sends is told what sending is: with so many units left it is paid
    without a balance, with fewer it is not."""
    tenant, model = hub.tenant("0"), hub.model(fake, provider=METERED)
    include(hub, tenant, ("in_text", 100_000), ("out_text", 60))
    await knows(relay, hub, model)
    who = await principal(relay, hub, tenant)
    fits, beyond = body(model, "hi", max_tokens=50), body(model, "hi", max_tokens=70)
    bound = await relay.in_process.bound(who, fits)
    assert bound.fits
    assert bound.available_nano == bound.hold_nano > 0
    refused = await relay.in_process.bound(who, beyond)
    assert (refused.fits, refused.available_nano) == (False, 0)
    for asked, status in ((fits, 200), (beyond, 402)):
        chat = relay.in_process.chat(who, asked, source="playground")
        (outcome,) = [item async for item in read_events(chat) if isinstance(item, Outcome)]
        assert outcome.status == status
    await asyncio.to_thread(hub.settled, tenant)
