"""Previews: exact sums, in pieces, cancelable; nothing is counted twice whatever dies."""

import csv
import datetime as dt
import random
import re
from fractions import Fraction
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.urls import reverse
from django.utils.html import strip_tags

from accounts.access.actors import SYSTEM
from accounts.models import Key
from billing.models import Budget, PriceVersion
from billing.prices.conditions import PriceKey
from billing.prices.prices import set_price
from billing.prices.proposals import draft_price, ignore
from gateway.models import PreviewState, PricePreview
from gateway.prices import previews
from gateway.prices.previews import PreviewRefused, cancel_preview, start_preview, work_off
from lib import clock
from lib.ids import id_text
from tests.support.cast import Cast, actor, make_key, signed_in
from tests.support.markup import squeezed
from tests.usage.rows import id_at
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db

SINCE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NOW_RATES = {"meters": {"in_text": 150_000_000, "out_text": 600_000_000}}
DRAFT_RATES = {
    "meters": {"in_text": 170_000_001, "out_text": 590_000_000, "requests": 10_000_000_000},
    "tiers": [{"input_over": 5_000, "mode": "whole", "meters": {"in_text": 300_000_000}}],
}


def record(key: Key, version: PriceVersion | None, **over: Any) -> UsageRecord:
    at = over.pop("at", clock.now() - dt.timedelta(hours=5))
    id = id_at(at)
    fields = {
        "organisation_id": key.organisation_id, "id": id, "request_id": id, "final": True,
        "team_id": key.team_id, "key_id": key.id, "user_id": None, "model": "m",
        "channel_name": "east", "upstream_model": "", "dialect": "openai", "operation": "chat",
        "stream": False, "source": "api", "admitted_at": at, "ended_at": at, "status": 200,
        "meters": {"in_text": 1000, "out_text": 100}, "charge_nano": 210_000,
        "hold_nano": 10**9, "basis": "measured", "total_ms": 5,
        "price_version_id": None if version is None else version.id, **over,
    }  # fmt: skip
    row = UsageRecord(**fields)
    row.save(force_insert=True)
    return row


@pytest.fixture
def key(people: Cast) -> Key:
    return make_key(people.core)[0]


@pytest.fixture
def version() -> PriceVersion:
    return set_price(SYSTEM, "m", SINCE, NOW_RATES, source="file")


def previewed(people: Cast, *drafts: tuple[PriceKey, dict[str, Any]]) -> PricePreview:
    dora = actor(people.dora)
    ids = [draft_price(dora, key, rates, valid_from=None).id for key, rates in drafts]
    return start_preview(dora, ids, 7)


def result_of(preview: PricePreview) -> dict[str, Any]:
    assert preview.result is not None
    return dict(preview.result)


def exact(meters: dict[str, int], rates: dict[str, Any], ppm: int) -> int:
    """The charge as fractions, by the text of the promise and nothing of the product."""
    laid = dict(rates["meters"])
    over = rates["tiers"][0]
    if meters.get("in_text", 0) > over["input_over"]:
        laid |= over["meters"]
    total = sum(Fraction(used * laid[name], 10**6) for name, used in meters.items())
    return round((total + Fraction(laid["requests"], 10**6)) * Fraction(ppm, 10**6))


def test_every_sum_is_the_exact_sum_of_its_rows(
    people: Cast, key: Key, version: PriceVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "_CHUNK", 7)
    other, _ = make_key(people.stranger.teams.get())
    chance = random.Random(7)
    rows = []
    for n in range(40):
        meters = {"in_text": chance.randrange(1, 12_000), "out_text": chance.randrange(1, 900)}
        ppm = chance.choice([1_000_000, 930_000, 1_070_001])
        rows.append(
            record(
                (key, other)[n % 2],
                version,
                meters=meters,
                multiplier_ppm=ppm,
                charge_nano=chance.randrange(1, 10**7),
            )
        )
    preview = previewed(people, (PriceKey("m"), DRAFT_RATES))
    while work_off(1) == 0:
        pass
    preview.refresh_from_db()
    assert (preview.state, preview.done, preview.total) == (PreviewState.DONE, 40, 40)
    result = result_of(preview)
    expected = [exact(row.meters, DRAFT_RATES, row.multiplier_ppm) for row in rows]
    assert result["total"][:3] == [40, sum(row.charge_nano for row in rows), sum(expected)]
    assert result["repriced"] == 40
    assert result["moved"] == sum(row.meters["in_text"] > 5_000 for row in rows)
    assert sorted(line[0] for line in result["organisations"]) == ["Acme", "Stranger"]
    assert sum(line[3] for line in result["organisations"]) == sum(expected)
    mine = next(line for line in result["organisations"] if line[0] == "Acme")
    assert mine[3] == sum(expected[::2])


def test_figures_of_the_page_add_up_as_they_are_shown(
    people: Cast, key: Key, version: PriceVersion
) -> None:
    record(key, version, charge_nano=57_811_749)
    preview = previewed(people, (PriceKey("m"), DRAFT_RATES))
    work_off()
    page = signed_in(people.dora).get(reverse("price_preview", args=[id_text(preview.id)]))
    message = squeezed(page.content.decode())
    # 57,811.749 and 239.000001 micro, and their difference as it is shown; no cost is known.
    for value in ("$0.057812", "$0.000239", "\N{MINUS SIGN}$0.057573"):
        # On a card, for its organisation and for its model.
        assert message.count(f">{value}<") >= 3, value


def test_only_usage_matching_the_draft_is_repriced(
    people: Cast, key: Key, version: PriceVersion
) -> None:
    set_price(SYSTEM, "m-*", SINCE, NOW_RATES, source="file")
    record(key, version)
    record(key, None, model="m-1")
    record(key, None, model="m-2", basis="absorbed", charge_nano=0)
    record(key, version, at=clock.now() - dt.timedelta(days=8))
    record(key, version, status=429, meters={}, charge_nano=0)
    preview = previewed(people, (PriceKey("m-*"), DRAFT_RATES))
    assert work_off() == 1
    preview.refresh_from_db()
    # 1000 × 170.000001 + 100 × 590 + 10,000 for the request
    assert result_of(preview)["total"][:3] == [3, 420_000, 210_000 + 239_000]
    assert result_of(preview)["repriced"] == 1


def test_unrated_meter_keeps_its_charge_and_is_counted(
    people: Cast, key: Key, version: PriceVersion
) -> None:
    record(key, version, meters={"in_text": 5, "searches": 2}, charge_nano=7)
    preview = previewed(people, (PriceKey("m"), DRAFT_RATES))
    work_off()
    preview.refresh_from_db()
    assert result_of(preview)["total"][:3] == [1, 7, 7]
    assert result_of(preview)["unpriced"] == 1


def test_own_keys_cost_their_fee_whatever_the_price_is(
    people: Cast, key: Key, version: PriceVersion
) -> None:
    """The organisation pays its provider itself: only its budgets count that price."""
    noon = clock.now().replace(hour=12, minute=0, second=0, microsecond=0) - dt.timedelta(days=2)
    for n in range(3):
        at = noon + dt.timedelta(minutes=n)
        record(key, version, at=at, charge_nano=1_000, own_nano=210_000, cost_nano=0)
    Budget.objects.create(
        id=9_999_999, organisation=people.acme, scope="organisation", amount_nano=700_000,
        period="day", anchor=0, timezone="UTC",
    )  # fmt: skip
    cost = {"meters": {"in_text": 120_000_000, "out_text": 0}}
    drafts = (PriceKey("m"), DRAFT_RATES), (PriceKey("m", "cost", "east"), cost)
    preview = previewed(people, *drafts)
    work_off()
    preview.refresh_from_db()
    result = result_of(preview)
    assert result["total"] == [3, 3_000, 3_000, 0, 0, 0, 0, 0, 0]
    assert (result["repriced"], result["moved"], result["unpriced"]) == (0, 0, 0)
    (budget,) = result["budgets"]
    assert (budget["now_nano"], budget["draft_nano"]) == (3 * 211_000, 3 * 240_000)


def test_margin_uses_the_known_costs(people: Cast, key: Key, version: PriceVersion) -> None:
    record(key, version, cost_nano=100_000)
    record(key, version, channel_name="west", cost_nano=90_000)
    record(key, version, channel_name="west", cost_nano=None)
    cost = {"meters": {"in_text": 120_000_000, "out_text": 0}}
    preview = previewed(people, (PriceKey("m", "cost", "east"), cost))
    work_off()
    preview.refresh_from_db()
    columns = dict(zip(result_of(preview)["columns"], result_of(preview)["total"], strict=True))
    assert columns["now_nano"] == columns["draft_nano"] == 630_000
    assert (columns["cost_now_nano"], columns["cost_draft_nano"]) == (190_000, 210_000)
    assert (columns["cost_unknown_now"], columns["cost_unknown_draft"]) == (1, 1)
    assert (columns["unpriced_now_nano"], columns["unpriced_draft_nano"]) == (210_000, 210_000)


def test_a_margin_leaves_out_what_has_no_known_cost(
    people: Cast, key: Key, version: PriceVersion
) -> None:
    """W79, as in the margin report: on both sides, and a draft can make a cost known."""
    record(key, version, channel_name="west", cost_nano=90_000)
    record(key, version, cost_nano=None)
    record(key, version, channel_name="north", model="n", charge_nano=70_000, cost_nano=None)
    draft = (PriceKey("m", "cost", "east"), {"meters": {"in_text": 120_000_000, "out_text": 0}})
    preview = previewed(people, draft)
    work_off()
    dora, path = signed_in(people.dora), reverse("price_preview", args=[id_text(preview.id)])
    text = squeezed(dora.get(path).content.decode())
    # West has 210,000 - 90,000. The draft adds east's 210,000 - 120,000. North has no cost at all.
    assert (">$0.00021<" in text, "now $0.00012" in squeezed(strip_tags(text))) == (True, True)
    assert "The cost of 1 record is unknown. The margin leaves it out." in text
    assert "Without the draft, the cost of 2 records is unknown" in text
    # By organisation, then by model.
    margins = re.findall(r'"New margin" data-span="3">([^<]+)<', text)
    assert margins == ["$0.00021", "$0.00021", "\N{EN DASH}"]
    rows = list(csv.DictReader(dora.get(f"{path}/csv").content.decode().splitlines()))
    figures = {
        row["name"]: (row["cost_draft_usd"], row["unpriced_now_usd"], row["unpriced_draft_usd"])
        for row in rows if row["group"] == "models"
    }  # fmt: skip
    assert figures == {
        "m": ("0.00021", "0.00021", "0.00"), "n": ("0.00", "0.00007", "0.00007"),
    }  # fmt: skip


def test_preview_that_an_earlier_version_began_starts_again(
    people: Cast, key: Key, version: PriceVersion
) -> None:
    """What it has summed lacks columns of this version."""
    record(key, version)
    preview = previewed(people, (PriceKey("m"), DRAFT_RATES))
    PricePreview.objects.update(
        state="running", done=1, total=1, place={"left": [], "after": None},
        sums={"total": [1, 7, 7, 0, 0, 1]},
    )  # fmt: skip
    assert work_off() == 1
    preview.refresh_from_db()
    assert (preview.state, preview.done) == (PreviewState.DONE, 1)
    assert result_of(preview)["total"][:3] == [1, 210_000, 239_000]


def test_result_of_an_earlier_version_shows_no_margin(people: Cast) -> None:
    """Its sums counted an unknown cost as zero."""
    line = [1, 210_000, 210_000, 0, 120_000, 0]
    columns = ["rows", "now_nano", "draft_nano", "cost_now_nano", "cost_draft_nano", "cost_unknown"]
    now = clock.now()
    preview = PricePreview.objects.create(
        drafts=[], start_at=now - dt.timedelta(days=7), end_at=now, state="done",
        result={"columns": columns, "total": line, "models": [["m", *line]], "organisations": [],
                "repriced": 1, "moved": 0, "unpriced": 0},
    )  # fmt: skip
    page = signed_in(people.dora).get(reverse("price_preview", args=[id_text(preview.id)]))
    text = squeezed(strip_tags(page.content.decode()))
    assert "now \N{EN DASH}" in text
    assert "$0.00009" not in text


def test_service_tiers_and_hours_meet_their_own_draft(
    people: Cast, key: Key, version: PriceVersion
) -> None:
    flex = set_price(SYSTEM, PriceKey("m", service_tier="flex"), SINCE, NOW_RATES, source="file")
    noon = clock.now().replace(hour=12, minute=0) - dt.timedelta(days=1)
    record(key, version, at=noon)
    record(key, version, at=noon.replace(hour=20))
    record(key, flex, at=noon)
    draft = {"meters": {"in_text": 1_000_000, "out_text": 0}}
    preview = previewed(
        people,
        (PriceKey("m", service_tier="flex"), {"meters": {"in_text": 2_000_000, "out_text": 0}}),
        (PriceKey("m", hours="18:00-23:00"), draft),
    )
    work_off()
    preview.refresh_from_db()
    assert result_of(preview)["total"][2] == 210_000 + 1_000 + 2_000
    assert result_of(preview)["repriced"] == 2


def test_a_cancelled_preview_ends_and_leaves_nothing(
    people: Cast, key: Key, version: PriceVersion
) -> None:
    record(key, version)
    preview = previewed(people, (PriceKey("m"), DRAFT_RATES))
    cancel_preview(actor(people.dora), preview)
    assert work_off() == 0
    preview.refresh_from_db()
    assert (preview.state, preview.result, preview.sums) == (PreviewState.CANCELLED, None, {})


def test_failing_preview_ends_with_a_message(
    people: Cast, key: Key, version: PriceVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(key, version)
    preview = previewed(people, (PriceKey("m"), DRAFT_RATES))
    monkeypatch.setattr(previews, "_price_some", lambda *_: 1 // 0)
    work_off()
    preview.refresh_from_db()
    assert (preview.state, preview.message) == (PreviewState.FAILED, "ZeroDivisionError")


@pytest.mark.parametrize("state", ["40P01", "57P01"])
def test_preview_resumes_after_a_deadlock_or_a_restart_of_the_database(
    people: Cast, key: Key, version: PriceVersion, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    record(key, version)
    preview = previewed(people, (PriceKey("m"), DRAFT_RATES))

    def fail(*_: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$")

    with monkeypatch.context() as patched:
        patched.setattr(previews, "_price_some", fail)
        with pytest.raises(OperationalError):
            work_off()
    assert work_off() == 1
    preview.refresh_from_db()
    assert (preview.state, preview.done) == (PreviewState.DONE, 1)


@pytest.mark.parametrize("channel", ["east", "west", "north"])
def test_cost_of_the_channel_counts_before_that_of_any_channel(
    people: Cast, key: Key, version: PriceVersion, channel: str
) -> None:
    """A cost in force that has no draft counts as well: the record then keeps its own."""
    meters = {"meters": {"in_text": 300_000_000, "out_text": 0}}
    set_price(SYSTEM, PriceKey("m", "cost", "west"), SINCE, meters, source="file")
    record(key, version, channel_name=channel, cost_nano=90_000)
    preview = previewed(
        people,
        (PriceKey("m", "cost"), {"meters": {"in_text": 100_000_000, "out_text": 0}}),
        (PriceKey("m", "cost", "east"), {"meters": {"in_text": 200_000_000, "out_text": 0}}),
    )
    work_off()
    preview.refresh_from_db()
    expected = {"east": 200_000, "west": 90_000, "north": 100_000}
    assert result_of(preview)["total"][3:5] == [90_000, expected[channel]]


@pytest.mark.parametrize("region", ["", "eu"])
def test_region_of_a_request_meets_its_own_draft(people: Cast, key: Key, region: str) -> None:
    """Of the charge and of the cost."""
    for place in ("", "eu"):
        version = set_price(SYSTEM, PriceKey("m", region=place), SINCE, NOW_RATES, source="file")
        if place == region:
            record(key, version, cost_nano=90_000)
    drafts = [
        (PriceKey("m", kind, region=place), {"meters": {"in_text": rate, "out_text": 0}})
        for place, kind, rate in (
            ("", "charge", 1_000_000), ("eu", "charge", 2_000_000),
            ("", "cost", 3_000_000), ("eu", "cost", 4_000_000),
        )
    ]  # fmt: skip
    preview = previewed(people, *drafts)
    work_off()
    preview.refresh_from_db()
    total = result_of(preview)["total"]
    assert (total[2], total[4]) == ((2_000, 4_000) if region else (1_000, 3_000))


def test_price_of_another_time_hides_no_draft(people: Cast, key: Key) -> None:
    """One that has ended, and one that is planned: today neither comes before the pattern."""
    now = clock.now()
    set_price(SYSTEM, "m-1", SINCE, NOW_RATES, source="file", valid_to=now)
    set_price(SYSTEM, "m-2", now + dt.timedelta(days=1), NOW_RATES, source="file")
    set_price(SYSTEM, "m-3", SINCE, NOW_RATES, source="file")
    for model in ("m-1", "m-2", "m-3"):
        record(key, None, model=model)
    preview = previewed(people, (PriceKey("m-*"), DRAFT_RATES))
    work_off()
    preview.refresh_from_db()
    models = {name: line[2] for name, *line in result_of(preview)["models"]}
    assert models == {"m-1": 239_000, "m-2": 239_000, "m-3": 210_000}


@pytest.mark.parametrize("basis", ["absorbed", "none"])
def test_usage_that_costs_nothing_stays_free_at_any_draft(
    people: Cast, key: Key, version: PriceVersion, basis: str
) -> None:
    record(key, version, basis=basis, charge_nano=0)
    preview = previewed(people, (PriceKey("m"), DRAFT_RATES))
    work_off()
    preview.refresh_from_db()
    assert result_of(preview)["total"][:3] == [1, 0, 0]


def test_empty_preview_says_so(people: Cast) -> None:
    with pytest.raises(PreviewRefused, match="at least one"):
        start_preview(actor(people.dora), [], 7)


def test_proposal_that_is_decided_is_in_no_preview(people: Cast) -> None:
    dora = actor(people.dora)
    ignored, stays = (
        draft_price(dora, PriceKey(model), DRAFT_RATES, valid_from=None).id for model in ("m", "n")
    )
    assert ignore(dora, [ignored]) == 1
    preview = start_preview(dora, [ignored, stays], 7)
    assert [draft["model"] for draft in preview.drafts] == ["n"]
    with pytest.raises(PreviewRefused, match="at least one"):
        start_preview(dora, [ignored], 7)


def test_budgets_that_would_be_exceeded_are_named_with_their_window(
    people: Cast, key: Key, version: PriceVersion
) -> None:
    noon = clock.now().replace(hour=12, minute=0, second=0, microsecond=0) - dt.timedelta(days=2)
    for n in range(3):
        record(key, version, at=noon + dt.timedelta(minutes=n))
    record(key, version, at=noon - dt.timedelta(days=1))
    # 210,000 nano each now, 239,000 at the draft: three of them on one day.
    budget = {"organisation": people.acme, "period": "day", "anchor": 0, "timezone": "UTC"}
    for id, scope, subject, amount in (
        (9_999_999, "key", str(key.id), 700_000),
        (10_000_000, "model", "m*", 700_000),
        (10_000_001, "team", str(key.team_id), 629_999),
        (10_000_002, "organisation", "", 717_000),
    ):
        Budget.objects.create(id=id, scope=scope, subject=subject, amount_nano=amount, **budget)
    preview = previewed(people, (PriceKey("m"), DRAFT_RATES))
    work_off()
    preview.refresh_from_db()
    budgets = result_of(preview)["budgets"]
    assert [(one["scope"], one["subject"]) for one in budgets] == [("key", "ci"), ("model", "m*")]
    assert {one["begins"] for one in budgets} == {noon.replace(hour=0).isoformat()}
    assert {(one["now_nano"], one["draft_nano"]) for one in budgets} == {(630_000, 717_000)}
