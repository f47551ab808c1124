"""The prices that a channel's provider publishes: proposed, told once, applied by hand (W73)."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent
from billing.models import PriceProposal, PriceVersion
from billing.prices.conditions import PriceKey
from billing.prices.prices import list_prices, set_price
from billing.prices.proposals import accept, ignore, list_proposals
from gateway.channels.channel_tests.channel_test import target_of
from gateway.channels.channel_tests.staged_calls import Target
from gateway.channels.channels import change_channel, create_channel
from gateway.models import Channel, UpstreamPriceList
from gateway.prices.upstream_prices import upstream_prices
from gateway.prices.upstream_prices.upstream_prices import (
    PriceReading,
    check_prices,
    follow_prices,
    pricing_address,
    read_prices,
    source_of,
    unfollow_prices,
    work_off_schedule,
)
from gateway.settings.installation import save_settings
from gateway.tasks import check_models
from lib import clock
from lib.ids import id_text
from lib.refusal import Refused
from notify.deliveries import deliveries, sending
from outbox.models import Fact
from tests.fakes.price_lists import FakePrices
from tests.support import cast
from tests.support.cast import Cast, person, signed_in

pytestmark = pytest.mark.django_db

KEY = "sk-fake-provider-key-of-prices-77aa"
SOURCE = "upstream reseller"
OLD = {"meters": {"in_text": 1_000_000_000, "out_text": 4_000_000_000}}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakePrices]:
    with FakePrices() as provider:
        yield provider


@pytest.fixture
def channel(people: Cast, fake: FakePrices) -> Channel:
    fake.answers.clear()
    fake.seen.clear()
    save_settings(SYSTEM, egress_allow=["127.0.0.1/32"])
    return create_channel(
        SYSTEM,
        "reseller",
        {
            "provider": "openrouter",
            "base_url": fake.url,
            "keys": [KEY],
            "models": {"fast": "vendor/fast", "slow": "vendor/slow", "gone": "vendor/gone"},
        },
    )


def of_provider(channel: Channel, provider: str) -> None:
    Channel.objects.filter(id=channel.id).update(provider=provider)
    channel.refresh_from_db()


def publish(fake: FakePrices, **prices: tuple[str, str]) -> None:
    """What its list of models says: input and output in USD per token."""
    entries = [
        {"id": f"vendor/{name}", "pricing": {"prompt": prompt, "completion": completion}}
        for name, (prompt, completion) in prices.items()
    ]
    fake.answers["/v1/models"] = (200, json.dumps({"data": entries}).encode())


def proposals() -> dict[tuple[str, str], dict[str, Any] | None]:
    """What waits, by kind and model."""
    return {(p.key.kind, p.key.model): p.row.rates for p in list_proposals()}


def due() -> None:
    UpstreamPriceList.objects.update(next_check_at=clock.now())


def test_proposed_prices_apply_by_hand_and_bill_nothing_before(
    channel: Channel, fake: FakePrices, people: Cast
) -> None:
    dora = cast.actor(people.dora)
    cost = PriceKey("fast", "cost", "reseller")
    set_price(SYSTEM, cost, clock.now(), OLD, source="file")
    publish(fake, fast=("0.0000012", "0.000004"), slow=("-1", "-1"), other=("0.1", "0.1"))
    before = list(PriceVersion.objects.values_list("id", "rates", "valid_to"))
    followed = follow_prices(dora, channel)
    assert fake.seen == [("/v1/models", f"Bearer {KEY}")]
    # What is not served is not proposed; what is not understood is named, and so is what is gone.
    new = {"meters": {"in_text": 1_200_000_000, "out_text": 4_000_000_000}, "tiers": []}
    assert proposals() == {("cost", "fast"): new}
    result = followed.result
    assert result["not_understood"] == {"vendor/slow": ("below_zero", "prompt", "")}
    assert (result["missing"], result["listed"], result["served"]) == (["vendor/gone"], 3, 3)
    (listed,) = list_proposals()
    assert [(c.meter, c.before, c.after, c.permille) for c in listed.changes] == [
        ("in_text", 1_000_000_000, 1_200_000_000, 200)
    ]
    assert list(PriceVersion.objects.values_list("id", "rates", "valid_to")) == before
    accept(dora, [listed.row.id])
    (version,) = [price for price in list_prices(kind="cost") if price.in_force_at(clock.now())]
    assert (version.key, version.rates, version.source) == (cost, new, SOURCE)
    # What holds already is not proposed again.
    assert check_prices(dora, channel) is not None
    assert proposals() == {}
    # What the provider has no more ends what came from it, and nothing else.
    publish(fake, slow=("0.000001", "0.000001"))
    check_prices(dora, channel)
    assert proposals() == {
        ("cost", "fast"): None,
        ("cost", "slow"): {"meters": {"in_text": 10**9, "out_text": 10**9}, "tiers": []},
    }
    actions = AuditEvent.objects.filter(action="upstream.prices_proposed")
    assert [event.detail["new"] for event in actions.order_by("id")] == [1, 2]


def test_a_markup_proposes_sale_prices_that_cover_the_cost(
    channel: Channel, fake: FakePrices, people: Cast
) -> None:
    set_price(SYSTEM, "fast", clock.now(), OLD, source="file")
    publish(fake, fast=("0.000000333333333", "0.000001"))
    follow_prices(cast.actor(people.dora), channel, markup_ppm=1_200_001)
    assert proposals() == {
        ("cost", "fast"): {"meters": {"in_text": 333_333_333, "out_text": 10**9}, "tiers": []},
        # Rounded up: 400,000,332.9… and 1,200,001,000.
        ("charge", "fast"): {
            "meters": {"in_text": 400_000_333, "out_text": 1_200_001_000}, "tiers": [],
        },
    }  # fmt: skip
    # Customers would pay less than half: two operators, as for any price.
    sale = PriceProposal.objects.get(kind="charge")
    assert accept(cast.actor(people.dora), [sale.id]) == [sale]
    assert list_prices(["fast"])[-1].rates == OLD
    accept(cast.actor(person("eve", operator=True)), [sale.id])
    assert list_prices(["fast"])[-1].source == SOURCE


def test_schedule_notifies_operators_once(channel: Channel, fake: FakePrices, people: Cast) -> None:
    publish(fake, fast=("0.000001", "0.000002"))
    dora = cast.actor(people.dora)
    follow_prices(dora, channel)
    assert work_off_schedule() == 0

    def check_and_count() -> int:
        due()
        assert check_models() == 1
        return Fact.objects.filter(kind="channel.prices_changed").count()

    # Who looked knows it already; nothing else differs.
    assert check_and_count() == 0
    publish(fake, fast=("0.0000011", "0.000002"), slow=("x", "y"))
    assert check_and_count() == check_and_count() == 1
    # An open proposal keeps its place and its first acceptance while the list says the same.
    kept = PriceProposal.objects.get(model="fast")
    assert check_and_count() == 1
    assert PriceProposal.objects.get(model="fast").id == kept.id
    # What was dismissed is not proposed again.
    ignore(dora, [kept.id])
    assert check_and_count() == 1
    assert proposals() == {}
    publish(fake, fast=("0.0000012", "0.000002"))
    assert check_and_count() == 2
    # A model that is not understood any more is news too.
    publish(fake, fast=("0.0000012", "0.000002"), gone=("-1", "-1"))
    assert check_and_count() == check_and_count() == 3
    deliveries.spread_facts(100)
    for delivery_id in deliveries.lease_due(100):
        sending.send(delivery_id)
    bodies = [letter.body for letter in mail.outbox]
    assert len(bodies) == 3
    assert any("Not understood (1): vendor/gone\n" in body for body in bodies)
    (named,) = (body for body in bodies if "Not understood (1): vendor/slow\n" in body)
    assert "New proposals: 1." in named
    assert f"/admin/channels/{id_text(channel.id)}/prices" in named
    change_channel(SYSTEM, channel, {"enabled": False})
    due()
    assert work_off_schedule() == 0


NEW_API = {
    "success": True,
    "group_ratio": {"default": 1, "vip": 0.5},
    "data": [
        {"model_name": "vendor/fast", "quota_type": 0, "model_ratio": 1, "completion_ratio": 2,
         "enable_groups": ["vip"]},
        {"model_name": "vendor/slow", "quota_type": 0, "model_ratio": 1, "completion_ratio": 2,
         "enable_groups": ["default"]},
    ],
}  # fmt: skip


def test_a_new_api_is_asked_for_its_ratios_without_the_key(
    channel: Channel, fake: FakePrices, people: Cast
) -> None:
    dora = cast.actor(people.dora)
    fake.answers["/api/pricing"] = (200, json.dumps(NEW_API).encode())
    of_provider(channel, "openai_compatible")
    followed = follow_prices(dora, channel)
    assert (followed.fault, followed.result["groups"]) == ("no_group", ["default", "vip"])
    assert followed.detail == "choose the group of your key: default, vip"
    followed = follow_prices(dora, channel, group="vip")
    assert {auth for path, auth in fake.seen if path == "/api/pricing"} == {""}
    assert proposals() == {
        ("cost", "fast"): {"meters": {"in_text": 10**9, "out_text": 2 * 10**9}, "tiers": []}
    }
    assert followed.result["not_understood"] == {"vendor/slow": ("other_group", "", "vip")}
    # Where there is none, its list of models may have prices.
    del fake.answers["/api/pricing"]
    publish(fake, slow=("0.000001", "0.000001"))
    followed = follow_prices(dora, channel, group="vip")
    assert (followed.fault, followed.result["form"]) == ("", "models")


def test_prices_of_a_group_that_was_left_meanwhile_are_not_proposed(
    channel: Channel, fake: FakePrices, people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W73: what waits is at the prices of the group that the page shows."""
    dora = cast.actor(people.dora)
    fake.answers["/api/pricing"] = (200, json.dumps(NEW_API).encode())
    of_provider(channel, "openai_compatible")
    follow_prices(dora, channel, group="default")
    assert {model for _, model in proposals()} == {"slow"}
    started = list[str]()

    def read_slowly(target: Target, group: str) -> PriceReading:
        reading = read_prices(target, group)
        started.append(group)
        if len(started) == 1:
            follow_prices(dora, channel, group="vip")
        return reading

    monkeypatch.setattr(upstream_prices, "read_prices", read_slowly)
    due()
    assert work_off_schedule() == 1
    assert started == ["default", "vip"]
    followed = UpstreamPriceList.objects.get()
    assert followed.group == "vip"
    assert followed.result["not_understood"] == {"vendor/slow": ["other_group", "", "vip"]}
    assert proposals() == {
        ("cost", "fast"): {"meters": {"in_text": 10**9, "out_text": 2 * 10**9}, "tiers": []}
    }
    assert not Fact.objects.filter(kind="channel.prices_changed").exists()


def test_the_address_of_a_new_api() -> None:
    for models, prices in (
        ("https://a.example/v1/models", "https://a.example/api/pricing"),
        ("https://a.example/sub/v1/models?x=1", "https://a.example/sub/api/pricing"),
        ("https://a.example/models", "https://a.example/api/pricing"),
    ):
        assert pricing_address(models) == prices


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (200, b"<!doctype html><html>Log in</html>", "not_prices"),
        (200, b"{" * 10_000, "not_prices"),
        (200, b'{"data": [{"id": "vendor/fast"}]}', "not_prices"),
        (200, b" " * ((16 << 20) + 1), "not_prices"),
        (404, b"no", "no_prices"),
        (302, b"", "redirected"),
        (401, b"no", "key"),
        (500, b"oops", "unavailable"),
    ],
)
def test_malformed_list_is_reported_and_changes_nothing(
    channel: Channel, fake: FakePrices, people: Cast, status: int, body: bytes, fault: str
) -> None:
    dora = cast.actor(people.dora)
    publish(fake, fast=("0.000001", "0.000002"))
    read = follow_prices(dora, channel)
    waiting = proposals()
    fake.answers["/v1/models"] = (status, body)
    failed = check_prices(dora, channel)
    assert failed is not None
    assert failed.fault == fault
    assert (failed.read_at, failed.result, proposals()) == (read.read_at, read.result, waiting)
    assert KEY not in failed.detail


def test_the_connector_guards_the_address(channel: Channel) -> None:
    save_settings(SYSTEM, egress_allow=[])
    assert read_prices(target_of(channel)).fault == "denied"


def test_redirecting_channel_is_no_longer_followed(
    channel: Channel, fake: FakePrices, people: Cast
) -> None:
    publish(fake, fast=("0.000001", "0.000002"))
    dora = cast.actor(people.dora)
    follow_prices(dora, channel)
    change_channel(SYSTEM, channel, {"base_url": "http://127.0.0.1:9/v1", "keys": [KEY]})
    assert not UpstreamPriceList.objects.exists()
    unfollow_prices(dora, channel)
    assert AuditEvent.objects.filter(action="channel.prices_followed").count() == 1
    of_provider(channel, "anthropic")
    with pytest.raises(Refused, match="publishes no prices"):
        follow_prices(dora, channel)


def test_ten_thousand_models_of_a_pattern(channel: Channel, fake: FakePrices, people: Cast) -> None:
    """Each is proposed by the name that clients ask for, and each other one is named."""
    change_channel(SYSTEM, channel, {"models": {"vendor/*": ""}})
    publish(fake, **{f"m-{n}": ("0.000001" if n % 10 else "-1", "0.000002") for n in range(10_000)})
    followed = follow_prices(cast.actor(people.dora), channel)
    assert PriceProposal.objects.count() == 9_000
    assert followed.result["not_understood_count"] == 1_000
    assert followed.result["proposed"] == {"added": 9_000, "changed": 0, "removed": 0}


def test_sources_of_long_names_stay_apart(channel: Channel) -> None:
    first, second = (Channel(name="x" * 100 + ending) for ending in "ab")
    assert len(source_of(first)) == 60
    assert source_of(first) != source_of(second)


def test_operators_read_prices_on_the_page_and_decide_by_rows(
    channel: Channel, fake: FakePrices, people: Cast
) -> None:
    publish(fake, fast=("0.0000012", "0.000004"), slow=("1e-6", "2e-6"), gone=("-1", "-1"))
    set_price(SYSTEM, PriceKey("fast", "cost", "reseller"), clock.now(), OLD, source="file")
    client, id = signed_in(people.dora), id_text(channel.id)
    page = reverse("channel_prices", args=[id])
    assert "No prices read yet" in client.get(page).content.decode()
    follow = reverse("channel_prices_follow", args=[id])
    for wrong in ("x", "-101", "1e3", "99901"):
        assert client.post(follow, {"markup": wrong}).status_code == 422
    assert client.post(follow, {"group": "", "markup": ""}).status_code == 303
    text = client.get(page).content.decode()
    assert "prompt is below 0" in text
    assert "Look at 2 proposals" in " ".join(text.split())
    assert page in client.get(reverse("channel", args=[id])).content.decode()
    listed = client.get(reverse("price_proposals"), {"q": SOURCE}).content.decode()
    assert "+20.0%" in listed
    assert SOURCE in listed
    chosen = PriceProposal.objects.get(model="fast")
    client.post(reverse("price_decide"), {"act": "accept", "id": [id_text(chosen.id)]})
    states = dict(PriceProposal.objects.values_list("model", "state"))
    assert states == {"fast": "accepted", "slow": "open"}
    client.post(reverse("channel_prices_unfollow", args=[id]))
    assert not UpstreamPriceList.objects.exists()
    assert PriceProposal.objects.filter(state="open").count() == 1


def test_api_does_the_same(channel: Channel, fake: FakePrices, people: Cast) -> None:
    publish(fake, fast=("0.0000012", "0.000004"), slow=("-1", "-1"))
    api, url = signed_in(people.dora), f"/api/v1/channels/{id_text(channel.id)}/upstream-prices"

    def put(**body: Any) -> Any:
        return api.put(url, body, content_type="application/json")

    assert (api.get(url).json()["followed"], api.get(url).json()["source"]) == (False, SOURCE)
    assert (put(multiplier="-1").status_code, put(unknown=1).status_code) == (422, 400)
    body = put(multiplier="1.5").json()
    assert (body["followed"], body["multiplier"], body["added"], body["fault"]) == (
        True, "1.5", 2, None,
    )  # fmt: skip
    reason = "prompt is below 0: it varies from request to request."
    assert body["not_understood"] == {"vendor/slow": reason}
    assert body == api.get(url).json()
    listed = api.get("/api/v1/price-proposals", {"source": SOURCE}).json()["items"]
    assert {(row["kind"], row["model"], row["channel"]) for row in listed} == {
        ("cost", "fast", "reseller"), ("charge", "fast", ""),
    }  # fmt: skip
    cost = next(row for row in listed if row["kind"] == "cost")
    accepted = api.post(
        f"/api/v1/price-proposals/{cost['id']}/accept", {}, content_type="application/json"
    )
    assert accepted.json()["state"] == "accepted"
    assert [price.source for price in list_prices(kind="cost")] == [SOURCE]
    assert api.delete(url).status_code == 204
    assert _nobody_else(people, url)


def _nobody_else(people: Cast, url: str) -> bool:
    clients: list[Client] = [signed_in(people.alice), Client()]
    return all(client.get(url).status_code in (401, 403, 404) for client in clients)
