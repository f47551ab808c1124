"""What a request is charged and what it costs us: plans, service tiers, hours, costs by channel."""

import datetime as dt
from fractions import Fraction

import psycopg
import pytest

from lib import clock
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support.hub import Hub, Tenant

RATES = {"in_text": 1_000_000, "out_text": 3_000_000}
DEAR = {"in_text": 2_000_000, "out_text": 6_000_000}


def known(hub: Hub, fake: FakeUpstream) -> None:
    """Return when the hub knows the prices that were set until now."""
    hub.model(fake)


def by_rates(meters: dict[str, int], rates: dict[str, int]) -> int:
    return sum(count * rates[meter] for meter, count in meters.items()) // 1_000_000


def test_a_plan_multiplies_hold_charge_and_shown_rates_once(hub: Hub, fake: FakeUpstream) -> None:
    tenant = hub.tenant()
    hub.plan(tenant, 1_500_000)
    model = hub.model(fake, rates=RATES)
    plain, own = hub.tenant(), tenant
    body = ask(model, "#tokens=7", max_tokens=11)
    theirs, ours = (hub.record(hub.post(one, body).headers["x-request-id"]) for one in (plain, own))
    assert ours["meters"] == theirs["meters"]
    assert theirs["charge_nano"] == by_rates(theirs["meters"], RATES)
    assert 2 * ours["charge_nano"] in (
        3 * theirs["charge_nano"], 3 * theirs["charge_nano"] + 1, 3 * theirs["charge_nano"] - 1
    )  # fmt: skip
    assert 2 * ours["hold_nano"] >= 3 * theirs["hold_nano"] - 1
    assert (theirs["multiplier_ppm"], ours["multiplier_ppm"]) == (1_000_000, 1_500_000)
    (page_text,) = [row for row in hub.get("/v1/models", own).json()["data"] if row["id"] == model]
    assert page_text["pricing"]["out_text"] == "0.0045"
    hub.assert_books_balance()


def test_persons_plan_wins_over_the_teams_and_the_organisations(
    hub: Hub, fake: FakeUpstream
) -> None:
    """The nearest plan holds, and the hold and the charge are by it to the nano (I11)."""
    tenant = hub.tenant()
    hub.plan(tenant, 2_000_000)
    of_nobody = hub.key(tenant)
    hub.team_plan(tenant, 1_500_001)
    user = hub.person(tenant)
    model = hub.model(fake, rates=RATES)
    body = ask(model, "#tokens=7", max_tokens=11)

    def charged(key: Tenant) -> tuple[int, int, dict[str, int]]:
        row = hub.record(hub.post(key, body).headers["x-request-id"])
        return row["multiplier_ppm"], row["charge_nano"], row["meters"]

    def exact(meters: dict[str, int], ppm: int) -> int:
        total = sum(count * RATES[meter] for meter, count in meters.items()) * ppm
        return round(Fraction(total, 10**12))

    for key, ppm in ((tenant, 1_500_001), (of_nobody, 1_500_001)):
        multiplier, charge, meters = charged(key)
        assert (multiplier, charge) == (ppm, exact(meters, ppm))
    hub.member_plan(user, 900_007)
    hub.know(hub.model(fake))
    for key, ppm in ((tenant, 900_007), (of_nobody, 1_500_001)):
        multiplier, charge, meters = charged(key)
        assert (multiplier, charge) == (ppm, exact(meters, ppm))
    hub.assert_books_balance()


def test_first_subscription_multiplier_applies_everywhere(hub: Hub, fake: FakeUpstream) -> None:
    """I11: in the place of the organisation's plan, whose multiplier holds where none fits; the
    plan of a team comes before both. The hold covers the charge."""
    tenant, model, other = hub.tenant(), hub.model(fake, rates=RATES), hub.model(fake, rates=RATES)
    hub.plan(tenant, 1_500_000)
    hub.subscription(
        tenant, (f"{model[:-1]}?", 9_000_000), (f"*{model[1:]}", 700_001), (model, 3_000_000)
    )
    hub.know(hub.model(fake))
    body = "#tokens=11"

    def charged(name: str) -> tuple[int, int]:
        answer = hub.post(tenant, ask(name, body, max_tokens=11))
        row = hub.record(answer.headers["x-request-id"])
        meters, ppm = row["meters"], row["multiplier_ppm"]
        total = sum(count * RATES[meter] for meter, count in meters.items()) * ppm
        assert row["charge_nano"] == round(Fraction(total, 10**12))
        assert row["hold_nano"] >= row["charge_nano"]
        return ppm, row["charge_nano"]

    assert charged(model)[0] == 700_001
    assert charged(other)[0] == 1_500_000
    listed = {row["id"]: row for row in hub.get("/v1/models", tenant).json()["data"]}
    out_texts = [listed[name]["pricing"]["out_text"] for name in (model, other)]
    assert out_texts == ["0.002100003", "0.0045"]
    hub.team_plan(tenant, 2_000_000)
    hub.know(hub.model(fake))
    assert charged(model)[0] == 2_000_000
    hub.assert_books_balance()


def test_unpaid_subscription_multiplies_nothing(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=RATES)
    hub.subscription(tenant, ("*", 500_000))
    hub.know(hub.model(fake))

    def multiplier() -> int:
        answer = hub.post(tenant, ask(model, "#tokens=3", max_tokens=5))
        ppm: int = hub.record(answer.headers["x-request-id"])["multiplier_ppm"]
        return ppm

    assert multiplier() == 500_000
    hub.connection.execute(
        "UPDATE billing_subscription SET state = 'unpaid', unpaid_since = now() "
        "WHERE organisation_id = %s", [tenant.organisation_id],
    )  # fmt: skip
    hub.know(hub.model(fake))
    assert multiplier() == 1_000_000
    hub.assert_books_balance()


def test_model_hidden_by_the_plan_does_not_exist(hub: Hub, fake: FakeUpstream) -> None:
    tenant, hidden = hub.tenant(), hub.model(fake)
    page_text = hub.model(fake)
    hub.plan(tenant, 1_000_000, page_text)
    # What knows a model that is younger than the plan knows the plan.
    hub.know(hub.model(fake))
    missing = hub.post(tenant, ask("no-such-model"))
    refused = hub.post(tenant, ask(hidden))
    assert (missing.status, refused.status) == (404, 404)
    assert refused.error["code"] == missing.error["code"] == "model_not_found"
    assert hub.post(tenant, ask(page_text, max_tokens=3)).status == 200
    listed = [row["id"] for row in hub.get("/v1/models", tenant).json()["data"]]
    assert listed == [page_text]


def test_rejected_unpriced_model_is_listed_nowhere(own_hub: Hub, fake: FakeUpstream) -> None:
    """I14: in no dialect's list, nor by its name; where it is free it is in all of them."""
    own_hub.start()
    tenant, model, priced = own_hub.tenant(), own_hub.model(fake, rates=None), own_hub.model(fake)
    forms = {
        "openai": ("/v1/models", {}),
        "anthropic": ("/v1/models", {"anthropic-version": "2023-06-01"}),
        "gemini": ("/v1beta/models", {}),
    }

    def listing(name: str) -> set[str]:
        answers = {
            form: own_hub.request("GET", path, tenant, headers=headers).body.decode()
            for form, (path, headers) in forms.items()
        }
        return {form for form, body in answers.items() if name in body}

    def telling(name: str) -> set[int]:
        return {
            own_hub.request("GET", f"{path}/{name}", tenant, headers=headers).status
            for path, headers in forms.values()
        }

    assert (listing(priced), listing(model)) == (set(forms), set())
    assert (telling(priced), telling(model)) == ({200}, {404})
    own_hub.settings(unpriced_models="free")
    own_hub.wait(lambda: listing(model) == set(forms), "a free model is not listed")
    assert telling(model) == {200}


@pytest.mark.parametrize(("asked", "dear"), [(None, False), ("default", False), ("priority", True)])
@pytest.mark.parametrize("stream", [False, True])
def test_requested_service_tier_is_charged(
    hub: Hub, fake: FakeUpstream, asked: str | None, dear: bool, stream: bool
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=RATES)
    version = hub.price(model, DEAR, service_tier="priority")
    known(hub, fake)
    over = {} if asked is None else {"service_tier": asked}
    body = ask(model, "#tokens=7", max_tokens=9, stream=stream, **over)
    record = hub.record(hub.post(tenant, body).headers["x-request-id"])
    assert record["status"] == 200
    assert record["charge_nano"] == by_rates(record["meters"], DEAR if dear else RATES)
    assert (record["price_version_id"] == version) is dear


@pytest.mark.parametrize("stream", [False, True])
def test_ungranted_service_tier_is_not_charged(hub: Hub, fake: FakeUpstream, stream: bool) -> None:
    """The fake's responses are given in the tier `default`, whatever was asked; what a client
    writes into its own metadata says nothing."""
    tenant, model = hub.tenant(), hub.model(fake, rates=RATES, provider="openai")
    dear = hub.price(model, DEAR, service_tier="priority")
    known(hub, fake)
    body = {"model": model, "input": "#tokens=5", "service_tier": "priority", "stream": stream,
            "max_output_tokens": 20, "metadata": {"service_tier": "priority"}}  # fmt: skip
    answer = hub.post(tenant, body, path="/v1/responses")
    record = hub.record(answer.headers["x-request-id"])
    assert record["price_version_id"] != dear
    assert record["charge_nano"] == by_rates(record["meters"], RATES)
    assert record["hold_nano"] >= by_rates(record["meters"], DEAR)


def test_current_hours_win_over_the_whole_day(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=RATES)
    now = clock.now()
    begin, end = (f"{now + dt.timedelta(hours=n):%H:00}" for n in (-2, 3))
    version = hub.price(model, DEAR, hours=f"{begin}-{end}")
    other = f"{now + dt.timedelta(hours=4):%H:00}-{now + dt.timedelta(hours=6):%H:00}"
    hub.price(model, {"in_text": 1, "out_text": 1}, hours=other)
    known(hub, fake)
    record = hub.record(hub.post(tenant, ask(model, max_tokens=5)).headers["x-request-id"])
    assert record["price_version_id"] == version
    assert record["charge_nano"] == by_rates(record["meters"], DEAR)


def test_cost_is_recorded_with_the_charge_for_operators_only(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates={**RATES, "requests": 50_000_000})
    (channel,) = hub.rows(
        "SELECT c.name FROM gateway_channel c JOIN gateway_route r ON r.channel_id = c.id "
        "WHERE r.model = %s", model,
    )  # fmt: skip
    hub.price(model, {"in_text": 9, "out_text": 9}, kind="cost")
    own = hub.price(
        model, {"in_text": 500_000, "out_text": 2_000_000}, kind="cost", channel=channel["name"]
    )
    known(hub, fake)
    answer = hub.post(tenant, ask(model, "#tokens=8", max_tokens=9))
    record = hub.record(answer.headers["x-request-id"])
    tokens = {name: count for name, count in record["meters"].items() if name != "requests"}
    exact = tokens["in_text"] * 500_000 + tokens["out_text"] * 2_000_000
    assert record["cost_nano"] in (exact // 1_000_000, exact // 1_000_000 + 1)
    assert record["cost_version_id"] == own
    assert record["charge_nano"] == by_rates(tokens, RATES) + 50
    body = hub.get(f"/api/v1/requests/{answer.headers['x-request-id']}", tenant).json()
    assert body["cost"] is None


def test_unknown_cost_is_null(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=RATES)
    hub.price(model, {"in_text": 9}, kind="cost")
    known(hub, fake)
    record = hub.record(hub.post(tenant, ask(model, max_tokens=5)).headers["x-request-id"])
    assert record["cost_nano"] is None
    assert record["charge_nano"] > 0


def test_database_protects_a_charged_price(hub: Hub, fake: FakeUpstream) -> None:
    """I11: neither its rates nor its beginning change, and no end reaches behind a request."""
    tenant, model = hub.tenant(), hub.model(fake, rates=RATES)
    unused = hub.price(f"{model}-unused", RATES)
    record = hub.record(hub.post(tenant, ask(model, max_tokens=5)).headers["x-request-id"])
    version = record["price_version_id"]
    execute = hub.connection.execute
    for change in (
        "DELETE FROM billing_priceversion WHERE id = %s",
        "UPDATE billing_priceversion SET rates = '{}' WHERE id = %s",
        "UPDATE billing_priceversion SET valid_from = now() WHERE id = %s",
        "UPDATE billing_priceversion SET valid_to = now() - interval '1 hour' WHERE id = %s",
    ):
        with pytest.raises(psycopg.errors.RestrictViolation, match="stays as it is"):
            execute(change, [version])
    execute("UPDATE billing_priceversion SET valid_to = now() + interval '1 h' WHERE id = %s",
            [version])  # fmt: skip
    execute("UPDATE billing_priceversion SET valid_to = NULL WHERE id = %s", [version])
    execute("DELETE FROM billing_priceversion WHERE id = %s", [unused])


def test_database_prevents_overlapping_prices(hub: Hub, fake: FakeUpstream) -> None:
    model = hub.model(fake, rates=RATES)
    (row,) = hub.rows("SELECT id FROM billing_price WHERE model = %s", model)
    with pytest.raises(psycopg.errors.ExclusionViolation):
        hub.connection.execute(
            "INSERT INTO billing_priceversion (price_id, valid_from, rates, source) "
            "VALUES (%s, now(), '{}', 'test')", [row["id"]],
        )  # fmt: skip
