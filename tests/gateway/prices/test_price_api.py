"""Prices over the management API: versions, proposals, two persons, previews (W73, I11)."""

import datetime as dt
from typing import Any

import pytest
from django.test import Client

from billing.models import PriceVersion
from gateway.prices import previews
from lib import clock
from tests.billing.credits.test_operator_api import api_of, post
from tests.support import cast
from tests.usage import rows

pytestmark = pytest.mark.django_db

PRICE: dict[str, Any] = {"model": "gpt-x", "meters": {"in_text": "0.15", "out_text": "0.60"}}


@pytest.fixture
def dora(people: cast.Cast) -> Client:
    return api_of(people, "dora")


def propose(api: Client, **over: Any) -> dict[str, Any]:
    answer = post(api, "/price-proposals", PRICE | over)
    assert answer.status_code == 201, answer.content
    body: dict[str, Any] = answer.json()
    return body


def versions(api: Client, query: str = "") -> list[dict[str, Any]]:
    answer = api.get(f"/api/v1/price-versions?model=gpt-x{query}")
    assert answer.status_code == 200, answer.content
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_a_price_is_proposed_accepted_and_scheduled(dora: Client) -> None:
    """A first price at once, the next from its instant on; the one before ends there, unchanged."""
    one = propose(dora)
    assert (one["state"], one["needs_two"], versions(dora)) == ("open", False, [])
    assert post(dora, f"/price-proposals/{one['id']}/accept").json()["state"] == "accepted"
    later = clock.now() + dt.timedelta(days=3)
    tiers = [{"input_over": 200000, "meters": {"in_text": "0.4"}}]
    two = propose(dora, valid_from=later.isoformat(), meters={"in_text": "0.2"}, tiers=tiers)
    assert two["replaced_meters"] == {"in_text": "0.15", "out_text": "0.6"}
    # It ends the price of what is said, which is a fall to nothing.
    assert two["needs_two"] is True
    two = propose(
        dora, valid_from=later.isoformat(), tiers=tiers,
        meters={"in_text": "0.2", "out_text": "0.60"},
    )  # fmt: skip
    assert post(dora, f"/price-proposals/{two['id']}/accept").json()["state"] == "accepted"
    first, second = versions(dora)
    assert (first["valid_to"], second["valid_to"]) == (second["valid_from"], None)
    assert first["meters"] == {"in_text": "0.15", "out_text": "0.6"}
    assert second["tiers"] == [
        {"input_over": 200000, "mode": "whole", "meters": {"in_text": "0.4"}}
    ]
    assert [one["id"] for one in versions(dora, f"&at={_z(clock.now())}")] == [first["id"]]
    assert [one["id"] for one in versions(dora, f"&at={_z(later)}")] == [second["id"]]


def test_a_cut_by_more_than_half_waits_for_another_operator(
    people: cast.Cast, dora: Client
) -> None:
    post(dora, f"/price-proposals/{propose(dora)['id']}/accept")
    cut = propose(dora, meters={"in_text": "0.15", "out_text": "0.29"})
    assert cut["needs_two"] is True
    waiting = post(dora, f"/price-proposals/{cut['id']}/accept").json()
    assert waiting["state"] == "open"
    path = f"/approvals/{waiting['approval']}"
    asked = dora.get(f"/api/v1{path}").json()
    assert asked["changes"] == [{"name": "out_text", "before": "0.6", "after": "0.29"}]
    assert post(dora, f"/price-proposals/{cut['id']}/accept").json() == waiting
    assert post(dora, f"{path}/approve").status_code == 422
    assert len(versions(dora)) == 1
    otto = api_of(people, "otto")
    assert post(otto, f"{path}/approve").json()["state"] == "approved"
    accepted = dora.get(f"/api/v1/price-proposals/{cut['id']}").json()
    assert (accepted["state"], accepted["decided_by"]) == ("accepted", "otto@example.org")
    assert len(versions(dora)) == 2


@pytest.mark.parametrize(
    ("over", "status", "text"),
    [
        ({"rate": "1"}, 400, "Unknown parameter: rate"),
        ({"tiers": [{"input_over": 1, "meters": {"in_text": "1"}, "x": 1}]}, 400, "x"),
        ({"meters": {"in_texts": "1"}}, 422, "'in_texts' is not a meter"),
        ({"meters": {"in_text": "-1"}}, 422, "in_text: "),
        ({"meters": {"in_text": "0.0000000001"}}, 422, "in_text: "),
        ({"channel": "east"}, 422, "Only costs are set by channel"),
        ({"hours": "25:00-26:00"}, 422, "hours"),
        ({"valid_from": "2026-12-01T00:00:00"}, 422, "valid_from"),
    ],
)
def test_wrong_prices_are_named(dora: Client, over: dict[str, Any], status: int, text: str) -> None:
    answer = post(dora, "/price-proposals", PRICE | over)
    assert (answer.status_code, text in answer.json()["error"]["message"]) == (status, True), (
        answer.content
    )


def test_a_client_names_the_version_that_a_price_replaces(dora: Client) -> None:
    """Optimistic: what has changed since is 409, and nothing is made; also for what is planned for
    the same moment, which only its name replaces."""
    post(dora, f"/price-proposals/{propose(dora)['id']}/accept")
    (first,) = versions(dora)
    stale = post(dora, "/price-proposals", PRICE | {"replaces": "999999999"})
    assert (stale.status_code, stale.json()["error"]["param"]) == (409, "replaces")
    assert f"it would replace #{first['id']}" in stale.json()["error"]["message"]
    later = _z(clock.now() + dt.timedelta(days=3))
    one = propose(dora, valid_from=later, replaces=first["id"])
    two = propose(dora, valid_from=later, meters={"in_text": "0.16", "out_text": "0.60"})
    accepted = post(dora, f"/price-proposals/{one['id']}/accept", {"replaces": first["id"]})
    assert accepted.json()["state"] == "accepted"
    _, planned = versions(dora)
    assert post(dora, f"/price-proposals/{two['id']}/accept").status_code == 422
    stale = post(dora, f"/price-proposals/{two['id']}/accept", {"replaces": first["id"]})
    assert stale.status_code == 409
    assert f"it would replace #{planned['id']}" in stale.json()["error"]["message"]
    assert post(dora, "/price-proposals", PRICE | {"replaces": "x"}).status_code == 422
    accepted = post(dora, f"/price-proposals/{two['id']}/accept", {"replaces": planned["id"]})
    assert accepted.json()["state"] == "accepted"
    assert [one["meters"]["in_text"] for one in versions(dora)] == ["0.15", "0.16"]


def test_proposals_are_dismissed_and_listed(dora: Client) -> None:
    one = propose(dora)
    assert post(dora, f"/price-proposals/{one['id']}/ignore").json()["state"] == "ignored"
    answer = post(dora, f"/price-proposals/{one['id']}/accept")
    assert (answer.status_code, "already decided" in answer.json()["error"]["message"]) == (
        422, True,
    )  # fmt: skip
    two = propose(dora)
    listed = dora.get("/api/v1/price-proposals?state=open").json()["items"]
    assert [one["id"] for one in listed] == [two["id"]]
    assert dora.get("/api/v1/price-proposals?states=open").status_code == 400


def test_preview_reprices_past_usage(people: cast.Cast, dora: Client) -> None:
    key, _ = cast.make_key(people.core, "ci", user=people.bob)
    rows.credit(key)
    version = rows.price_version("gpt-x")
    rows.happen(key, clock.now() - dt.timedelta(hours=1), model="gpt-x", charge_nano=217_500,
                price_version_id=version.id)  # fmt: skip
    one = propose(dora, meters={"in_text": "0.30", "out_text": "1.20", "in_cache_read": "0.075"})
    asked = post(dora, "/price-previews", {"proposals": [one["id"]], "days": 7})
    assert (asked.status_code, asked.json()["state"]) == (201, "queued")
    assert previews.work_off() == 1
    body = dora.get(f"/api/v1/price-previews/{asked.json()['id']}").json()
    assert (body["state"], body["charged"]) == ("done", "0.0002175")
    assert body["would_charge"] != body["charged"]
    assert post(dora, "/price-previews", {"proposals": ["x"]}).status_code == 404
    assert PriceVersion.objects.filter(price__model="gpt-x").count() == 1


def test_prices_are_for_operators(people: cast.Cast) -> None:
    alice = api_of(people, "alice")
    for path in ("price-versions", "price-proposals", "price-previews"):
        assert alice.get(f"/api/v1/{path}").status_code == 403
    assert post(alice, "/price-proposals", PRICE).status_code == 403
    assert post(alice, "/price-previews", {"proposals": ["x"]}).status_code == 403


def _z(at: dt.datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def test_a_planned_version_is_withdrawn(dora: Client) -> None:
    one = propose(dora, valid_from="2999-01-01T00:00:00Z")
    post(dora, f"/price-proposals/{one['id']}/accept")
    (version,) = versions(dora)
    response = post(dora, f"/price-versions/{version['id']}/withdraw")
    assert (response.status_code, response.json()) == (200, version)
    assert versions(dora) == []
    assert post(dora, f"/price-versions/{version['id']}/withdraw").status_code == 404
    post(dora, f"/price-proposals/{propose(dora)['id']}/accept")
    (version,) = versions(dora)
    refused = post(dora, f"/price-versions/{version['id']}/withdraw")
    assert refused.status_code == 422
    assert "has started" in refused.json()["error"]["message"]
