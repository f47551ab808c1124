"""W79: margin is revenue less cost; every way of grouping sums to the same."""

import datetime as dt
from uuid import UUID

import pytest

from accounts.models import Key
from lib.ids import id_text
from lib.refusal import Refused
from tests.billing.credits.test_operator_api import api_of
from tests.support import cast
from tests.support.lists import rows_of
from tests.usage.rows import CHANNEL, admit, end, happen
from usage.margin.margin import DAYS_MAX, MarginBy, margin, total

pytestmark = pytest.mark.django_db
USD = 10**9
DAY = dt.datetime(2026, 11, 3, 12, 0, tzinfo=dt.UTC)


def test_every_way_of_grouping_sums_to_the_same(people: cast.Cast, key: Key) -> None:
    happen(key, DAY, hold_nano=9 * USD, charge_nano=3 * USD, cost_nano=2 * USD)
    happen(key, DAY, hold_nano=9 * USD, charge_nano=1 * USD, cost_nano=4 * USD, model="claude")
    happen(key, DAY, hold_nano=9 * USD, charge_nano=5 * USD, cost_nano=None, model="claude")
    happen(key, DAY - dt.timedelta(days=9), hold_nano=9 * USD, charge_nano=7 * USD, cost_nano=0)
    operator = cast.signed_in(people.dora)
    days = "since=2026-11-03&until=2026-11-03"
    rows = rows_of(operator, f"/admin/margin?{days}")
    assert [row.split()[0] for row in rows] == ["claude", "gpt-5"]
    assert "6.00" in rows[0]
    page = operator.get(f"/admin/margin?{days}&by=customer").content.decode()
    assert "Acme" in page
    assert "openai-east" in operator.get(f"/admin/margin?{days}&by=channel").content.decode()
    assert rows_of(operator, "/admin/margin?since=2020-01-01&until=2020-01-02") == []
    for wrong, why in (
        ("since=2026-11-04&until=2026-11-03", "The last day is before the first."),
        ("since=2020-01-01", "At most 100 days can be read."),
        ("since=x&until=x", ""),
    ):
        answer = operator.get(f"/admin/margin?{wrong}", headers={"HX-Request": "true"})
        assert (answer.status_code, why in answer.content.decode()) == (200, True)
    # What stands above the rows is of the days that were asked for.
    assert "6.00" in rows_of(operator, f"/admin/margin?{days}")[0]
    anew = operator.get(f"/admin/margin?{days}", headers={"HX-Request": "true"}).content.decode()
    assert "Revenue</div>" in anew
    actor = cast.actor(people.dora)
    sums = [
        total(margin(actor, by, DAY.date(), DAY.date())) for by in ("model", "channel", "customer")
    ]
    assert {(one.revenue_nano, one.cost_nano, one.unpriced_nano) for one in sums} == {
        (9 * USD, 6 * USD, 5 * USD)
    }
    (channel,) = margin(actor, "channel", DAY.date(), DAY.date())
    assert (channel.id, channel.margin_nano, channel.requests) == (id_text(CHANNEL), -2 * USD, 3)
    api = api_of(people, "dora")
    body = api.get("/api/v1/margin?by=model&from=2026-11-03&to=2026-11-03").json()
    assert (body["total"]["margin"], body["total"]["unpriced"]) == ("-2.00", "5.00")
    assert [item["id"] for item in body["items"]] == ["claude", "gpt-5"]
    assert api.get("/api/v1/margin").status_code == 200
    assert api.get("/api/v1/margin?by=planet").status_code == 422
    for wrong in ("?from=2026-11-03&to=2026-11-02", "?from=2020-01-01&to=2026-11-03"):
        assert api.get(f"/api/v1/margin{wrong}").status_code == 422


def test_missing_cost_price_means_no_margin(people: cast.Cast, key: Key) -> None:
    """An unknown cost is neither 0 nor what was charged."""
    happen(key, DAY, hold_nano=9 * USD, charge_nano=5 * USD, cost_nano=None, model="claude")
    happen(key, DAY, hold_nano=9 * USD, charge_nano=0, cost_nano=None, model="free",
           meters={"in_text": 5})  # fmt: skip
    happen(key, DAY, hold_nano=9 * USD, charge_nano=0, cost_nano=None, model="failed", meters={})
    happen(key, DAY, hold_nano=9 * USD, charge_nano=3 * USD, cost_nano=2 * USD, model="both")
    happen(key, DAY, hold_nano=9 * USD, charge_nano=4 * USD, cost_nano=None, model="both")
    actor = cast.actor(people.dora)
    rows = {row.id: row for row in margin(actor, "model", DAY.date(), DAY.date())}
    figures = {name: (row.cost_nano, row.margin_nano, row.share_ppm) for name, row in rows.items()}
    assert figures == {
        "claude": (None, None, None), "free": (None, None, None), "failed": (0, 0, None),
        "both": (2 * USD, 1 * USD, 333_333),
    }  # fmt: skip
    whole = total(list(rows.values()))
    assert (whole.cost_nano, whole.margin_nano, whole.unpriced_nano) == (2 * USD, 1 * USD, 9 * USD)
    assert total([rows["claude"]]).margin_nano is None
    days = "since=2026-11-03&until=2026-11-03"
    shown = {
        row.split()[0]: row for row in rows_of(cast.signed_in(people.dora), f"/admin/margin?{days}")
    }
    assert shown["claude"].count("No cost price") == 2
    assert "33.3 %" in shown["both"]
    items = (
        api_of(people, "dora").get("/api/v1/margin?from=2026-11-03&to=2026-11-03").json()["items"]
    )
    (claude,) = [item for item in items if item["id"] == "claude"]
    assert (claude["cost"], claude["margin"], claude["unpriced"]) == (None, None, "5.00")
    assert [item["id"] for item in items][-2:] == ["claude", "free"]


def test_requests_without_a_model_are_named(people: cast.Cast, key: Key) -> None:
    happen(key, DAY, charge_nano=0, cost_nano=None, model="", meters={})
    days = "since=2026-11-03&until=2026-11-03"
    (row,) = rows_of(cast.signed_in(people.dora), f"/admin/margin?{days}")
    assert "Refused beforehand" in row


def test_request_with_a_second_attempt_counts_once(people: cast.Cast, key: Key) -> None:
    """In each grouping, and in the total: by channel where it ended. Both attempts have a cost."""
    failed = admit(key, DAY)
    end(failed, 0, final=False, status=502, cost_nano=1 * USD)
    west = UUID(int=8)
    happen(key, DAY, charge_nano=5 * USD, hold_nano=9 * USD, cost_nano=2 * USD,
           request_id=failed.request_id, n=2, channel_id=west, channel_name="west")  # fmt: skip
    expected: dict[MarginBy, dict[str, int]] = {
        "model": {"gpt-5": 1}, "customer": {"acme": 1},
        "channel": {id_text(CHANNEL): 0, id_text(west): 1},
    }  # fmt: skip
    for by, counts in expected.items():
        rows = margin(cast.actor(people.dora), by, DAY.date(), DAY.date())
        assert {row.id: row.requests for row in rows} == counts, by
        assert (total(rows).requests, total(rows).cost_nano) == (1, 3 * USD)


def test_as_many_days_as_are_offered_are_read(people: cast.Cast) -> None:
    dora, first = cast.actor(people.dora), DAY.date()
    last = first + dt.timedelta(days=DAYS_MAX - 1)
    assert margin(dora, "model", first, last) == []
    with pytest.raises(Refused, match="At most"):
        margin(dora, "model", first, last + dt.timedelta(days=1))
