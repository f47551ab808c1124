"""Wallets under load: never below zero, never overspent, every unit accounted for."""

import re
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from lib.ids import parse_id
from tests.fakes.upstream import FakeUpstream, expected_text
from tests.relay.asking import ask, text_of
from tests.support.hub import RATES, Hub


def test_unpayable_explicit_limit_is_402_before_any_upstream_call(
    hub: Hub, fake: FakeUpstream
) -> None:
    """I5: no hold, no call."""
    tenant, model = hub.tenant("0.000001"), hub.model(fake)
    asked = fake.totals()["requests"]
    answer = hub.post(tenant, ask(model, max_tokens=1000))
    assert answer.status == 402
    assert answer.error["code"] == "insufficient_quota"
    assert answer.error["message"].startswith("Insufficient Balance: team balance is used up")
    assert ". Top up on the page Billing of http" in answer.error["message"]
    assert fake.totals()["requests"] == asked
    record = hub.record(answer.headers["x-request-id"])
    assert (record["kind"], record["charge_nano"]) == ("insufficient_balance", 0)
    assert hub.rows("SELECT 1 FROM billing_hold WHERE organisation_id = %s",
                    tenant.organisation_id) == []  # fmt: skip


def test_organisation_without_money_is_402(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant("0"), hub.model(fake)
    assert hub.post(tenant, ask(model)).status == 402


def test_uncapped_output_shrinks_to_the_balance(hub: Hub, fake: FakeUpstream) -> None:
    """docs/promises.md, "Size of a hold": a small balance gives a short answer, never a debt."""
    tenant, model = hub.tenant("0.000000500"), hub.model(fake)
    body = ask(model, "#tokens=900")
    answer = hub.post(tenant, body)
    assert answer.status == 200, answer.body
    cap = int(answer.headers["x-weir-output-cap"])
    assert 16 <= cap < 500 // 3
    assert answer.json()["usage"]["completion_tokens"] == cap
    record = hub.record(answer.headers["x-request-id"])
    assert record["finish_reason"] == "length"
    assert record["charge_nano"] <= record["hold_nano"] <= 500
    hub.settled(tenant)
    hub.assert_books_balance()


def test_balance_below_sixteen_tokens_is_402(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant("0.000000100"), hub.model(fake)
    assert hub.post(tenant, ask(model)).status == 402


def test_cap_of_the_client_is_kept_and_not_named(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    answer = hub.post(tenant, ask(model, "#tokens=50", max_completion_tokens=20))
    assert answer.json()["usage"]["completion_tokens"] == 20
    assert "x-weir-output-cap" not in answer.headers


def test_hold_and_cost_are_exact_decimals(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    answer = hub.post(tenant, ask(model, "#tokens=5", max_tokens=10))
    record = hub.record(answer.headers["x-request-id"])
    nano = Decimal(10) ** 9
    assert Decimal(answer.headers["x-weir-hold"]) * nano == record["hold_nano"]
    assert Decimal(answer.headers["x-weir-cost"]) * nano == record["charge_nano"]


def test_max_cost_bounds_the_hold(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    dear = ask(model, "#tokens=5", max_tokens=100_000, max_cost="0.0000001")
    answer = hub.post(tenant, dear)
    assert (answer.status, answer.error["code"]) == (402, "max_cost_exceeded")
    enough = re.search(r"Raise max_cost .* to at least ([\d.]+), or", answer.error["message"])
    assert enough is not None, answer.error["message"]
    dear["max_cost"] = "1"
    headers = {"x-weir-max-cost": enough[1]}
    assert hub.post(hub.tenant("1"), dear, headers=headers).status == 200
    headers = {"x-weir-max-cost": "0.000000400"}
    answer = hub.post(tenant, ask(model, "#tokens=900"), headers=headers)
    assert answer.status == 200
    assert hub.record(answer.headers["x-request-id"])["hold_nano"] <= 400


def test_rejection_names_the_smallest_sufficient_amount(hub: Hub, fake: FakeUpstream) -> None:
    """Who names no cap is served with a small one: the rest is not needed."""
    poor, model = hub.tenant("0"), hub.model(fake)
    body = ask(model, "#tokens=5")
    refused = hub.post(poor, body)
    needed = re.search(r"needed ([\d.]+) USD", refused.error["message"])
    assert needed is not None, refused.error["message"]
    rich = hub.tenant(needed[1])
    dear = hub.post(rich, body, headers={"x-weir-max-cost": "0.000000001"})
    match = re.search(r"may cost ([\d.]+) USD", dear.error["message"])
    assert match is not None, dear.error["message"]
    assert match[1] == needed[1]
    assert hub.post(rich, body, headers={"x-weir-max-cost": match[1]}).status == 200


def test_unpriced_model_is_rejected_or_free_as_configured(own_hub: Hub, fake: FakeUpstream) -> None:
    """I14: nothing is free by accident."""
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(fake, rates=None)
    asked = fake.totals()["requests"]
    answer = own_hub.post(tenant, ask(model))
    assert (answer.status, answer.error["code"]) == (402, "model_unpriced")
    assert fake.totals()["requests"] == asked
    own_hub.settings(unpriced_models="free")
    own_hub.wait(lambda: own_hub.post(tenant, ask(model)).status == 200, "stays refused")
    answer = own_hub.post(tenant, ask(model))
    record = own_hub.record(answer.headers["x-request-id"])
    assert (record["charge_nano"], record["hold_nano"], record["basis"]) == (0, 0, "free")
    own_hub.settled(tenant)
    own_hub.assert_books_balance()


def test_cap_ignoring_channel_serves_only_postpaid_customers(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """I13: its excess is ours, so nobody who pays before is let to it."""
    prepaid, postpaid = hub.tenant("1.00"), hub.tenant("0.000001")
    model, mixed = hub.model(fake), hub.model(fake, other_fake)
    hub.connection.execute(
        "UPDATE gateway_channel SET uncapped = true WHERE name = ANY (%s)",
        [[f"{model}-0", f"{mixed}-0"]],
    )
    hub.connection.execute(
        "UPDATE billing_account SET overdraft_nano = 1000000 "
        "WHERE organisation_id = %s AND kind = 'customer:available'",
        [postpaid.organisation_id],
    )
    hub.know(hub.model(fake))
    refused = hub.post(prepaid, ask(model, max_tokens=5))
    assert (refused.status, refused.error["code"]) == (503, "no_channel_available")
    answer = hub.post(prepaid, ask(mixed, "#tokens=1", max_tokens=5))
    assert hub.record(answer.headers["x-request-id"])["channel_name"] == f"{mixed}-1"
    answer = hub.post(postpaid, ask(model, "#tokens=400 #uncapped", max_tokens=500))
    assert answer.status == 200
    record = hub.record(answer.headers["x-request-id"])
    assert record["charge_nano"] > 1000
    hub.settled(postpaid)
    assert hub.balance(postpaid)["customer:available"] == 1000 - record["charge_nano"] < 0
    hub.assert_books_balance()


def test_parallel_requests_on_a_balance_for_ten_never_overspend(
    hub: Hub, fake: FakeUpstream
) -> None:
    """P2, I4: 100 at once on money for 10; the wallet is looked at all the while."""
    model = hub.model(fake)
    body = ask(model, "#tokens=10 #delay_ms=5", max_tokens=1000)
    hold = int(Decimal(hub.post(hub.tenant(), body).headers["x-weir-hold"]) * 10**9)
    tenant = hub.tenant(f"0.{10 * hold:09d}")

    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: hub.post(tenant, body), range(100)))
    statuses = sorted(answer.status for answer in answers)
    assert set(statuses) == {200, 402}
    assert statuses.count(200) >= 10
    hub.settled(tenant)
    charged = hub.rows(
        "SELECT coalesce(sum(charge_nano), 0) AS nano FROM usage_usagerecord "
        "WHERE organisation_id = %s", tenant.organisation_id,
    )[0]["nano"]  # fmt: skip
    balance = hub.balance(tenant)
    assert balance["customer:available"] == 10 * hold - charged
    assert balance["customer:held"] == 0
    # At no instant was more charged than there was: the running sum of the ledger itself. That no
    # more is held is a constraint of the database (I4), on both balances.
    low = hub.rows(
        "SELECT min(so_far) AS nano FROM (SELECT sum(e.amount_nano) OVER (ORDER BY e.id) AS so_far "
        "FROM billing_ledgerentry e JOIN billing_account a ON a.id = e.account_id "
        "WHERE a.organisation_id = %s AND a.kind = 'customer:available') lines",
        tenant.organisation_id,
    )  # fmt: skip
    assert low[0]["nano"] >= 0
    (guard,) = hub.rows(
        "SELECT convalidated FROM pg_constraint WHERE conname = 'customer_balance_not_negative'"
    )
    assert guard["convalidated"]
    hub.assert_books_balance()


def test_concurrent_streams_are_byte_equal_and_books_agree(hub: Hub) -> None:
    """P1: 200 at once; text, tokens and nano as the fake counted them."""
    with FakeUpstream(name="c", process=True) as fake:
        tenant, model = hub.tenant("100.00"), hub.model(fake)
        texts = [f"stream {number} #tokens={20 + number % 40}" for number in range(200)]

        with ThreadPoolExecutor(200) as pool:
            answers = list(
                pool.map(lambda text: hub.post(tenant, ask(model, text, stream=True)), texts)
            )
        for number, (text, answer) in enumerate(zip(texts, answers, strict=True)):
            assert answer.status == 200
            assert text_of(answer) == expected_text("c", text, 20 + number % 40)
            assert answer.body.endswith(b"data: [DONE]\n\n")
        hub.settled(tenant)
        records = {
            row["id"]: row
            for row in hub.rows(
                "SELECT id, meters, charge_nano, basis FROM usage_usagerecord "
                "WHERE organisation_id = %s", tenant.organisation_id,
            )
        }  # fmt: skip
        books = fake.books()
        assert len(records) == len(books) == 200
        for row in books:
            record = records[parse_id(row["client_request_id"])]
            usage = row["usage"]
            assert record["basis"] == "measured"
            assert record["meters"] == {
                "in_text": usage["prompt_tokens"],
                "out_text": usage["completion_tokens"],
            }
            nano = (
                usage["prompt_tokens"] * RATES["in_text"]
                + usage["completion_tokens"] * RATES["out_text"]
            ) // 10**6
            assert record["charge_nano"] == nano
        total = sum(record["charge_nano"] for record in records.values())
        assert hub.balance(tenant)["revenue"] == total
        hub.assert_books_balance()
