"""What Claude Code asks of the hub that it has signed in to: its settings and its spending."""

import hashlib
import json
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.keys import keys
from accounts.models import Key
from billing.limits.budgets import current_usage
from billing.models import Budget, BudgetWindow
from billing.prices.prices import set_price
from config.claude_code import views
from content.policies import policies
from content.policies.policies import Assigned
from gateway.channels.channels import create_channel
from gateway.channels.fields import ChannelFields
from gateway.settings.installation import save_settings
from lib import clock
from tests.support.cast import Cast, make_key
from tests.usage.rows import credit, happen
from usage.limits.budget_simulation import create_budget, look_back
from usage.models import UsageRecord
from usage.rollups.rollups import replace_all


def ask(path: str, text: str, **headers: str) -> Any:
    return Client().get(path, headers={"Authorization": f"Bearer {text}", **headers})


@pytest.mark.parametrize("path", ["/managed/settings", "/api/oauth/usage"])
def test_settings_are_for_working_keys(people: Cast, path: str) -> None:
    """P11: in the form that its client reads, which asks no second time."""
    key, text = make_key(people.core, "Claude Code", user=people.bob)
    keys.revoke_key(SYSTEM, key)
    for answer in (Client().get(path), ask(path, text), ask(path, "sk-none"), ask(path, "\0")):
        assert (answer.status_code, answer["x-should-retry"]) == (401, "false")
        assert answer.json()["error"]["type"] == "authentication_error"


def test_settings_name_the_models_of_the_key(people: Cast) -> None:
    _, text = make_key(people.core, "Claude Code", user=people.bob, model_patterns=["river-*"])
    save_settings(SYSTEM, unpriced_models="free")
    assert ask("/managed/settings", text).status_code == 404
    fields: ChannelFields = {
        "provider": "openai_compatible",
        "base_url": "https://provider.example/v1",
        "keys": ["sk-none-0123456789"],
        "models": {"river-9": "", "river-1": "", "brook-1": "", "gpt-image-1": ""},
    }
    create_channel(SYSTEM, "one", fields)
    answer = ask("/managed/settings", text)
    told = answer.json()
    assert told["settings"]["availableModels"] == ["river-1", "river-9"]
    assert told["settings"]["model"] in told["settings"]["availableModels"]
    canonical = json.dumps(told["settings"], sort_keys=True, separators=(",", ":"))
    assert told["checksum"] == f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"
    assert answer["ETag"] == f'"{told["checksum"]}"'
    again = ask("/managed/settings", text, **{"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert ask("/managed/settings", text, **{"If-None-Match": '"other"'}).status_code == 200


def test_settings_and_prices_name_no_model_that_a_policy_forbids(people: Cast) -> None:
    """P40"""
    save_settings(SYSTEM, unpriced_models="free")
    fields: ChannelFields = {
        "provider": "openai_compatible",
        "base_url": "https://provider.example/v1",
        "keys": ["sk-none-0123456789"],
        "models": {"river-9": "", "brook-1": ""},
    }
    create_channel(SYSTEM, "one", fields)
    for model in fields["models"]:
        rates = {"meters": {"in_text": 1_000_000, "out_text": 1_000_000}}
        set_price(SYSTEM, model, clock.now(), rates, source="test")
    _, text = make_key(people.core, "Claude Code", user=people.bob)
    policies.create_policy(
        SYSTEM, people.acme, look_back, name="Narrow", model_patterns=["river-*"],
        assigned=[Assigned("team", str(people.core.id))],
    )  # fmt: skip
    assert ask("/managed/settings", text).json()["settings"]["availableModels"] == ["river-9"]
    priced = ask("/api/v1/prices", text).json()["items"]
    assert [item["model"] for item in priced] == ["river-9"]


def test_single_model_needs_no_approval(people: Cast) -> None:
    """Claude Code asks its user to approve the setting by which /model lists models of the hub."""
    _, text = make_key(people.core, "Claude Code", user=people.bob, model_patterns=["river-*"])
    save_settings(SYSTEM, unpriced_models="free")
    fields: ChannelFields = {
        "provider": "openai_compatible",
        "base_url": "https://provider.example/v1",
        "keys": ["sk-none-0123456789"],
        "models": {"river-9": "", "brook-1": ""},
    }
    create_channel(SYSTEM, "one", fields)
    assert ask("/managed/settings", text).json()["settings"] == {
        "availableModels": ["river-9"],
        "env": {"ANTHROPIC_DEFAULT_HAIKU_MODEL": "river-9"},
        "model": "river-9",
    }
    create_channel(SYSTEM, "two", {**fields, "models": {"river-1": ""}})
    told = ask("/managed/settings", text).json()["settings"]
    assert told["env"]["CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY"] == "1"


def test_spending_is_the_keys(people: Cast) -> None:
    key, text = make_key(people.core, "Claude Code", user=people.bob)
    other, _ = make_key(people.core, "other", user=people.bob)
    for each in (key, other):
        credit(each)
        happen(each, clock.now())
    with connection.cursor() as cursor:
        replace_all(cursor, clock.now())
    told = ask("/api/oauth/usage", text).json()
    spent = sum_of(key) // 10_000_000
    assert told["limits"] == []
    extra = told["extra_usage"]
    for row in (extra, extra["daily"], extra["weekly"]):
        assert (row["used_credits"], row["utilization"]) == (spent, None)
    assert extra["monthly_limit"] is None
    assert sum_of(key) > 0


def test_spending_of_each_period_is_in_its_own_place(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In cents, whole ones."""
    _, text = make_key(people.core, "Claude Code", user=people.bob)
    spent = SimpleNamespace(day_nano=19_999_999, week_nano=3 * 10**9, month_nano=70 * 10**9)
    monkeypatch.setattr(views, "spending_of", lambda actor: spent)
    extra = ask("/api/oauth/usage", text).json()["extra_usage"]
    told = [row["used_credits"] for row in (extra["daily"], extra["weekly"], extra)]
    assert told == [1, 300, 7_000]


def test_default_model_is_one_with_tools(people: Cast) -> None:
    """Though another one is cheaper: the client works by tools."""
    _, text = make_key(people.core, "Claude Code", user=people.bob)
    fields: ChannelFields = {
        "provider": "openai_compatible",
        "base_url": "https://provider.example/v1",
        "keys": ["sk-none-0123456789"],
        "models": {"river-1": "", "river-9": ""},
        "can": {"river-1": {"tools": False}, "river-9": {"tools": True}},
    }
    create_channel(SYSTEM, "one", fields)
    for model, nano in (("river-1", 1_000_000), ("river-9", 9_000_000)):
        set_price(SYSTEM, model, clock.now(), {"meters": {"in_text": nano, "out_text": nano}},
                  source="test")  # fmt: skip
    answer = ask("/managed/settings", text)
    assert answer.json()["settings"]["model"] == "river-9"
    assert answer["Cache-Control"] == "no-store"


def test_budgets_are_the_keys_and_its_persons(people: Cast) -> None:
    """The fullest first, as the headers of answers describe it; those of others are not told."""
    key, text = make_key(people.core, "Claude Code", user=people.bob)
    other, _ = make_key(people.core, "other", user=people.alice)
    for scope, subject, usd, over in (
        ("key", key.id, 10, {"period": "day"}),
        ("user", people.bob.id, 4, {"period": "month"}),
        ("key", key.id, 1, {"period": "week", "action": "warn"}),
        ("user", people.bob.id, 1, {"period": "week", "action": "slow"}),
        ("key", key.id, 1, {"period": "total"}),
        ("key", other.id, 1, {"period": "day"}),
        ("organisation", "", 1, {"period": "day"}),
    ):
        create_budget(
            SYSTEM, people.acme, scope=scope, subject=str(subject), amount_nano=usd * 10**9, **over
        )
    for of, nano in (("day", 2_000_000_000), ("month", 3_004_000_000)):
        budget = Budget.objects.get(period=of, subject__in=[str(key.id), str(people.bob.id)])
        span = current_usage([budget])[0].span
        BudgetWindow.objects.update_or_create(
            budget=budget,
            starts_at=span.start_at,
            defaults={"ends_at": span.end_at, "cap_nano": budget.amount_nano, "spent_nano": nano},
        )
    told = ask("/api/oauth/usage", text).json()
    assert told["extra_usage"] == {
        "is_enabled": True, "monthly_limit": 400, "used_credits": 300, "utilization": 75,
        "currency": "USD",
    }  # fmt: skip
    month, day = told["limits"]
    assert (month["group"], month["percent"], month["is_active"]) == ("monthly", 75, True)
    assert (day["group"], day["percent"], day["is_active"]) == ("daily", 20, False)
    for row in (month, day):
        assert (row["kind"], row["severity"]) == ("spend", "normal")
        assert row["resets_at"].endswith("T00:00:00.000Z")


def sum_of(key: Key) -> int:
    return sum(UsageRecord.objects.filter(key_id=key.id).values_list("charge_nano", flat=True))
