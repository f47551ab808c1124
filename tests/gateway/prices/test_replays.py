"""Which budgets a draft would exceed, and what operators read of plans and proposals by API."""

import datetime as dt
from typing import Any

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from billing.models import Budget, PriceProposal
from billing.price_plans.price_plans import assign_plan, save_plan
from billing.prices.prices import set_price
from gateway.models import PricePreview
from gateway.prices import previews
from gateway.prices.previews import cancel_preview
from gateway.prices.price_plan_views import _plan_rows
from gateway.prices.replay_budgets import ReplayBudgets, crossed_windows
from lib import clock
from tests.billing.credits.test_operator_api import api_of, post
from tests.support.cast import Cast, actor, signed_in

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 11, 18, 12, tzinfo=dt.UTC)
PRICE: dict[str, Any] = {"model": "gpt-x", "meters": {"in_text": "0.15", "out_text": "0.60"}}


@pytest.fixture
def dora(people: Cast) -> Client:
    return signed_in(people.dora)


def budget(people: Cast, **over: Any) -> Budget:
    return Budget.objects.create(
        **{"organisation": people.acme, "scope": "organisation", "subject": "",
           "amount_nano": 100, "period": "month", "anchor": 1, "timezone": "UTC",
           "action": "block", **over}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("now", "draft", "crossed"),
    [(99, 101, True), (100, 101, True), (101, 200, False), (99, 100, False), (150, 90, False)],
)
def test_draft_exceeds_a_budget_that_holds_today(
    people: Cast, now: int, draft: int, crossed: bool
) -> None:
    window = f"{budget(people).id}|{NOW.isoformat()}"
    result = crossed_windows({window: [now, draft]})
    assert [(row["now_nano"], row["draft_nano"]) for row in result] == (
        [(now, draft)] if crossed else []
    )


def test_replay_counts_towards_enabled_budgets_that_end(people: Cast) -> None:
    """Of windows that began within the replayed time."""
    counted = budget(people)
    budget(people, scope="model", subject="gpt-*", enabled=False)
    budget(people, scope="team", subject=str(people.core.id), period="total")
    subjects = {"organisation": "", "team": str(people.core.id), "key": "k", "user": "",
                "model": "gpt-x"}  # fmt: skip
    for start, found in ((NOW - dt.timedelta(days=30), True), (NOW - dt.timedelta(days=7), False)):
        windows = list(ReplayBudgets(start).windows(people.acme.id, subjects, NOW))
        assert windows == ([f"{counted.id}|2026-11-01T00:00:00+00:00"] if found else [])


def test_window_begins_with_its_first_instant_and_ends_before_the_next(people: Cast) -> None:
    """Also where the replayed time begins with it, and after another record of the window."""
    counted = budget(people, period="day", anchor=0)
    subjects = {"organisation": "", "team": "", "key": "", "user": "", "model": "m"}
    day, midnight = dt.timedelta(days=1), NOW.replace(hour=0)
    replay = ReplayBudgets(midnight)
    windows = [
        list(replay.windows(people.acme.id, subjects, at))
        for at in (midnight, NOW, midnight + day, midnight - dt.timedelta(microseconds=1))
    ]
    first, second = (f"{counted.id}|{start.isoformat()}" for start in (midnight, midnight + day))
    assert windows == [[first], [first], [second], []]


def test_largest_changes_come_first_whether_dearer_or_cheaper() -> None:
    groups = {"a": [1, 100, 110], "b": [1, 100, 20], "c": [1, 100, 150], "d": [1, 5, 5]}
    assert [name for name, _ in previews._largest(groups)] == ["b", "c", "a", "d"]


def test_cancelled_preview_has_an_end_and_no_sums(people: Cast) -> None:
    preview = PricePreview.objects.create(
        drafts=[], start_at=NOW, end_at=NOW, sums={"total": []}, state="running"
    )
    cancel_preview(actor(people.dora), preview)
    preview.refresh_from_db()
    assert (preview.state, preview.sums) == ("cancelled", {})
    assert preview.ended_at is not None


def test_versions_of_an_instant_exclude_those_that_end_then(people: Cast, dora: Client) -> None:
    """And are those of the kind that is asked for."""
    rates = {"meters": {"in_text": 1_000, "out_text": 1_000}}
    for at in (NOW - dt.timedelta(days=9), NOW):
        set_price(SYSTEM, "gpt-x", at, rates, source="test")
    path = "/api/v1/price-versions?model=gpt-x"
    (version,) = dora.get(path, {"model": "gpt-x", "at": clock.rfc3339(NOW)}).json()["items"]
    assert version["valid_to"] is None
    assert len(dora.get(f"{path}&kind=charge").json()["items"]) == 2
    assert dora.get(f"{path}&kind=cost").json()["items"] == []


def test_proposal_tells_who_made_and_who_decided_it(people: Cast) -> None:
    """Also what it replaces, and of which source it is."""
    dora, otto = api_of(people, "dora"), api_of(people, "otto")
    first = post(dora, "/price-proposals", PRICE).json()
    assert (first["made_by"], first["decided_by"], first["replaced_meters"]) == (
        "dora@example.org", None, None,
    )  # fmt: skip
    decided = post(otto, f"/price-proposals/{first['id']}/accept").json()
    assert (decided["made_by"], decided["decided_by"]) == ("dora@example.org", "otto@example.org")
    meters = {"in_text": "0.16", "out_text": "0.60"}
    second = post(dora, "/price-proposals", {**PRICE, "meters": meters}).json()
    assert second["replaced_meters"] == {"in_text": "0.15", "out_text": "0.6"}
    PriceProposal.objects.filter(model="gpt-x", state="open").update(source="list 7")
    for source, count in (("list 7", 1), ("list 8", 0)):
        items = dora.get("/api/v1/price-proposals", {"source": source}).json()["items"]
        assert len(items) == count


def send(api: Client, verb: str, path: str, fields: dict[str, Any]) -> Any:
    return getattr(api, verb)(
        f"/api/v1/plans{path}", fields, content_type="application/json"
    ).json()


def test_plan_counts_its_holders_by_kind_and_tells_what_waits(people: Cast, dora: Client) -> None:
    plan = send(dora, "post", "", {"name": "reseller"})
    holders = f"/{plan['id']}/holders"
    for member in ("ALICE@example.org", "Bob@Example.org"):
        answer = send(dora, "put", holders, {"organisation": "acme", "member": member})
        assert (answer["on"], answer["waiting"]) == (True, False)
    send(dora, "put", holders, {"organisation": "acme", "team": "core"})
    told = send(dora, "get", f"/{plan['id']}", {})
    assert (told["organisations"], told["teams"], told["members"]) == (0, 1, 2)
    asked = send(dora, "patch", f"/{plan['id']}", {"multiplier": "0.2"})
    assert (asked["multiplier"], asked["waiting_multiplier"]) == ("1", "0.2")
    cheap = send(dora, "post", "", {"name": "cheap", "multiplier": "0.1"})
    on = {"organisation": "acme", "team": "core"}
    waits = send(dora, "put", f"/{cheap['id']}/holders", on)
    assert (waits["on"], waits["waiting"]) == (False, True)


def test_organisations_without_a_plan_are_on_the_standard_one(people: Cast) -> None:
    """A plan that only a team or a person has is in use too."""
    for name in ("whole", "of team", "unused"):
        save_plan(SYSTEM, name, multiplier_ppm=1_000_000, models=[])
    assign_plan(SYSTEM, people.acme, "whole")
    assign_plan(SYSTEM, people.core, "of team")
    standard, *plans = _plan_rows(actor(people.dora))
    assert standard["organisations"] == 1
    assert {row["name"]: row["in_use"] for row in plans} == {
        "whole": True, "of team": True, "unused": False,
    }  # fmt: skip
