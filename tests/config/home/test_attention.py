"""What needs attention on Home and on the operators' overview, and what does not (W03)."""

import datetime as dt
import re
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import RequestFactory

from accounts.access.actors import SYSTEM
from accounts.models import Key
from billing.balances import balances
from billing.models import Budget, BudgetScope, PriceProposal, TopUp
from config.home import attention as attention_of
from config.home.attention import Matter, attention, installation_attention
from config.home.overview import OVERVIEW
from config.home.panels import PANELS
from gateway.channels.channels import create_channel
from gateway.channels.fields import ChannelFields
from gateway.health.histogram_bounds import FIRST_TOKEN_MS
from gateway.models import Channel, TrafficBucket
from gateway.settings.installation import save_settings
from lib import clock
from lib.ids import id_text
from tests.config.home.test_home import alices, bobs, sum_up
from tests.support.cast import Cast, actor, make_key, signed_in
from tests.usage.rows import happen
from usage.limits import budget_simulation

pytestmark = pytest.mark.django_db
__all__ = ["alices", "bobs"]

DAY = dt.timedelta(days=1)
USD = 10**9
FIELDS: ChannelFields = {
    "provider": "openai_compatible",
    "base_url": "https://provider.example/v1",
    "keys": ["sk-none-0123456789"],
    "models": {},
}
PASSED = {"ok": True, "fault": None, "at": "2026-11-01T00:00:00Z"}
FAILED = {"ok": False, "fault": "key", "at": "2026-11-01T00:00:00Z"}


def of_alice(people: Cast) -> list[Matter]:
    return attention(RequestFactory().get("/"), actor(people.alice, people.acme))


def test_keys_that_expire_within_two_weeks_are_named_the_next_one_first(
    people: Cast, alices: Key
) -> None:
    """Three at most, so that they leave room for other matters."""

    def named(*more: int) -> list[str]:
        for days in more:
            make_key(people.core, f"in-{days}", expires_at=clock.now() + days * DAY)
        keys = [matter.text for matter in of_alice(people) if matter.icon == "key-round"]
        return [re.findall(r"in-\d+", text)[0] for text in keys]

    assert named(15, 13, 4) == ["in-4", "in-13"]
    assert named(9, 1) == ["in-1", "in-4", "in-9"]


def test_fullest_budgets_are_named_first(people: Cast, alices: Key) -> None:
    happen(alices, clock.now(), 9 * USD)
    budgets = [
        budget_simulation.create_budget(
            SYSTEM, people.acme, scope=BudgetScope.KEY, subject=str(alices.id),
            amount_nano=amount * USD, period=period,
        )
        for amount, period in ((11, "day"), (9, "week"), (10, "month"))
    ]  # fmt: skip
    free = budget_simulation.create_budget(
        SYSTEM, people.acme, scope=BudgetScope.TEAM, subject=str(people.core.id), amount_nano=0,
        period="hour",
    )  # fmt: skip
    budget_simulation.create_budget(
        SYSTEM, people.acme, scope=BudgetScope.ORGANISATION, subject="",
        amount_nano=10**6 * USD, period="month",
    )  # fmt: skip
    matters = [matter for matter in of_alice(people) if matter.icon == "shield"]
    _day, week, month, nothing = (f"/o/acme/budgets/{one.id}" for one in (*budgets, free))
    first, second, third = matters
    assert {first.href, second.href} == {week, nothing}
    assert third.href == month
    # What blocks requests is worse than what soon will.
    assert [matter.tone for matter in matters] == ["bad", "bad", "warn"]


@pytest.mark.parametrize(
    ("enabled", "last_test", "said"),
    [(True, FAILED, ["warn"]), (True, PASSED, []), (True, None, []), (False, FAILED, [])],
)
def test_failed_test_matters_of_a_channel_that_is_on(
    people: Cast, enabled: bool, last_test: dict[str, object] | None, said: list[str]
) -> None:
    channel = create_channel(SYSTEM, "east", FIELDS)
    Channel.objects.filter(id=channel.id).update(enabled=enabled, last_test=last_test)
    matters = installation_attention(actor(people.dora))
    href = f"/admin/channels/{id_text(channel.id)}"
    assert [matter.tone for matter in matters if matter.href == href] == said


@pytest.mark.parametrize(
    ("free", "held", "line", "low", "said"),
    [
        (5, 2, 0, None, None), (5, 2, 0, 7, None), (5, 1, 0, 7, "warn"), (0, 9, 0, None, "bad"),
        # A credit line is as good as money, and no reason for an alert to wait.
        (0, 0, 4, None, None), (-4, 0, 4, None, "bad"), (-1, 0, 4, 1, "warn"),
    ],
)  # fmt: skip
def test_balance_matters_when_it_is_low_and_more_when_it_is_used_up(
    people: Cast, monkeypatch: pytest.MonkeyPatch, free: int, held: int, line: int,
    low: int | None, said: str | None,
) -> None:  # fmt: skip
    standing = SimpleNamespace(
        free_nano=free * USD, held_nano=held * USD, available_nano=max(free, 0) * USD
    )
    setting = SimpleNamespace(low_nano=None if low is None else low * USD)
    monkeypatch.setattr(balances, "balance", lambda _: standing)
    monkeypatch.setattr(balances, "wallet_setting", lambda _: setting)
    monkeypatch.setattr(attention_of, "credit_line", lambda _: line * USD)
    matters = [*attention_of._balance(actor(people.alice, people.acme))]
    assert [matter.tone for matter in matters] == ([said] if said else [])
    if said == "warn":
        assert matters[0].detail == f"${max(free, 0)}.00 available"
    assert [*attention_of._balance(actor(people.bob, people.acme))] == []


@pytest.mark.parametrize(
    ("condition", "unserved", "tone"),
    [
        ("open", [], "bad"), ("keys_out", [], "bad"), ("cooling", [], "warn"),
        ("cooling", ["m"], "bad"), ("taken_out", [], "warn"),
    ],
)  # fmt: skip
def test_unavailable_channel_is_worse_if_nothing_replaces_it(
    people: Cast, monkeypatch: pytest.MonkeyPatch, condition: str, unserved: list[str], tone: str
) -> None:
    create_channel(SYSTEM, "east", FIELDS)
    trouble = SimpleNamespace(status=SimpleNamespace(condition=condition))
    troubles = SimpleNamespace(of=lambda channel: trouble)
    monkeypatch.setattr(attention_of, "ChannelTroubles", lambda: troubles)
    monkeypatch.setattr(attention_of, "unserved_models", lambda *_: unserved)
    [matter] = attention_of._channels(actor(people.dora))
    assert (matter.tone, matter.text) == (tone, "Channel east is unavailable")


@pytest.mark.parametrize(
    ("models", "text"),
    [
        ("", "Other channels serve its models."), ("a", "No other channel serves a."),
        ("abc", "No other channel serves these models: a, b, c."),
        ("abcd", "No other channel serves these models: a, b, c, …."),
    ],
)  # fmt: skip
def test_first_three_models_that_nothing_serves_are_named(models: str, text: str) -> None:
    assert attention_of._unserved_text([*models]) == text


def test_decided_proposals_and_unpriced_models_of_disabled_channels_are_settled(
    people: Cast,
) -> None:
    for model, decided_at in (("a", None), ("b", None), ("c", clock.now())):
        PriceProposal.objects.create(
            model=model, kind="charge", rates={"meters": {"in_text": 1}}, source="test",
            decided_at=decided_at, state="open" if decided_at is None else "ignored",
        )  # fmt: skip
    for name, enabled in (("on", True), ("off", False)):
        channel = create_channel(SYSTEM, name, {**FIELDS, "models": {"river": "", "brook": ""}})
        Channel.objects.filter(id=channel.id).update(enabled=enabled)
    texts = [matter.text for matter in installation_attention(actor(people.dora))]
    assert "2 price proposals" in texts
    assert [text for text in texts if "no price" in text] == ["2 models have no price"]


def test_overview_counts_money_that_was_paid_and_requests_that_failed(people: Cast) -> None:
    """A payment of the processor's test mode is none; a second attempt is no second request."""
    now = clock.now()
    for live, nano in ((True, 3 * USD), (False, 50 * USD)):
        TopUp.objects.create(
            organisation=people.acme, amount_nano=nano, live=live, paid_at=now, processor="stripe",
        )  # fmt: skip
    for ago, requests in ((1, 10), (25, 100)):
        TrafficBucket.objects.create(
            bucket_at=now - dt.timedelta(hours=ago), channel_id=people.acme.id, model="river",
            attempts=2 * requests, failed=requests, requests=requests, failed_requests=3,
            output_tokens=7, writing_ms=0, first_tokens=[0] * len(FIRST_TOKEN_MS),
        )  # fmt: skip
    request, dora = RequestFactory().get("/"), actor(people.dora)
    assert OVERVIEW["money"].read(request, dora)["paid_nano"] == 3 * USD
    traffic = OVERVIEW["traffic"].read(request, dora)
    assert (traffic["requests"], traffic["failed"], traffic["tokens"]) == (10, 3, 7)


def test_summary_compares_with_the_same_days_of_last_month(people: Cast, alices: Key) -> None:
    now = clock.now()
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    before = (first - DAY).replace(day=1)
    happen(alices, first, 5 * USD)
    happen(alices, before, 2 * USD)
    # Of the last day of that month, which none of this month's days is beside yet.
    if now.day < 28:
        happen(alices, first - dt.timedelta(hours=1), 40 * USD)
    sum_up()
    request, alice = RequestFactory().get("/"), actor(people.alice, people.acme)
    summary = PANELS["summary"].read(request, alice)
    assert (summary["now"].charge_nano, summary["before"].charge_nano) == (5 * USD, 2 * USD)
    days = PANELS["spend"].read(request, alice)["days"]
    assert (days[0]["now"], days[0]["before"]) == (5 * USD, 2 * USD)
    assert [day["unfinished"] for day in days].index(True) == now.day - 1
    assert "range=24h" in summary["day_url"]
    assert "status=error" in summary["failed_url"]


def test_spend_is_beside_the_budget_that_covers_all_of_it(people: Cast, alices: Key) -> None:
    """Not beside one of a week, of a key, or one that is off."""
    request, alice = RequestFactory().get("/"), actor(people.alice, people.acme)
    kept: dict[str, Any] = {
        "scope": BudgetScope.ORGANISATION,
        "subject": "",
        "amount_nano": 4 * USD,
    }
    budget_simulation.create_budget(SYSTEM, people.acme, **kept, period="week")
    assert PANELS["spend"].read(request, alice)["limit_nano"] is None
    whole = budget_simulation.create_budget(SYSTEM, people.acme, **kept, period="month")
    for over, shown in (
        ({}, 4 * USD), ({"anchor": 5}, None), ({"anchor": 1, "timezone": "Asia/Shanghai"}, None),
        ({"timezone": "UTC", "enabled": False}, None), ({"enabled": True}, 4 * USD),
    ):  # fmt: skip
        Budget.objects.filter(id=whole.id).update(**(over or {"enabled": True}))
        assert PANELS["spend"].read(request, alice)["limit_nano"] == shown, over


def test_rest_of_the_errors_is_what_the_listed_causes_leave(people: Cast, alices: Key) -> None:
    kinds = ("upstream_error", "timeout", "overloaded", "upstream_auth", "rate_limited",
             "invalid_value", "not_found")  # fmt: skip
    for kind, count in zip(kinds, (3, 2, 2, 2, 2, 1, 1), strict=True):
        for _ in range(count):
            happen(alices, clock.now(), 0, status=500, kind=kind)
    sum_up()
    read = PANELS["errors"].read(RequestFactory().get("/"), actor(people.alice, people.acme))
    assert [cause["requests"] for cause in read["causes"]] == [3, 2, 2, 2, 2]
    assert (read["rest"], read["total"], read["most"]) == (2, 13, 3)


def test_start_page_lists_the_readers_own_model_keys(people: Cast, alices: Key, bobs: Key) -> None:
    """Not those of colleagues that the reader may see."""
    make_key(people.core, "own-management", user=people.alice, kind="management")
    html = signed_in(people.alice).get("/o/acme/start").content.decode()
    assert "alices" in html
    assert "bobs" not in html
    assert "own-management" not in html


def test_lines_are_for_the_readers_own_system(people: Cast) -> None:
    save_settings(SYSTEM, unpriced_models="free")
    create_channel(SYSTEM, "one", {**FIELDS, "models": {"river": ""}})
    alice = signed_in(people.alice)

    def chosen(agent: str, **query: str) -> list[str]:
        html = alice.get("/o/acme/connect", query, headers={"user-agent": agent}).content.decode()
        return re.findall(r'value="(unix|windows)"[^>]*(?:checked|selected)', html)

    windows, mac = "Mozilla/5.0 (Windows NT 10.0; Win64)", "Mozilla/5.0 (Macintosh)"
    assert chosen(windows) == ["windows"]
    assert chosen(mac) == ["unix"]
    assert chosen(windows, system="unix") == ["unix"]
