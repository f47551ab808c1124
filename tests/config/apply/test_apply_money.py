"""Prices, plans, budgets and limits as a file has them."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Key, Membership, Organisation, Team
from billing.models import Budget, Plan, PriceVersion
from tests.config.applying import WHOLE, Installation, installation

pytestmark = pytest.mark.django_db
__all__ = ["installation"]


def test_an_own_price_wins_over_the_shipped_one(installation: Installation) -> None:
    call_command("load_catalogue", stdout=StringIO())
    shipped = PriceVersion.objects.filter(price__model="gpt-4o-mini").count()
    assert shipped
    installation.apply(WHOLE)
    sources = list(
        PriceVersion.objects.filter(price__model="gpt-4o-mini")
        .order_by("valid_from")
        .values_list("source", flat=True)
    )
    assert sources[-2:] == ["file", "file"]
    assert "genai-prices" not in installation.export()
    assert installation.apply(WHOLE, "--prune") == "nothing to change\n"


def test_unused_price_is_corrected_in_place(
    installation: Installation,
) -> None:
    installation.apply(WHOLE)
    message = installation.apply(WHOLE.replace('"0.15"', '"0.16"'))
    assert "rates: {meters: {in_text: 0.15, out_text: 0.6}} -> " in message
    first = PriceVersion.objects.order_by("valid_from")[0]
    assert first.rates["meters"]["in_text"] == 160_000_000
    assert first.valid_to is not None


FULL = """\
version: 1
channels:
  - {name: first, provider: openai, keys: ["env:FIRST_PROVIDER_KEY"], models: {m: {}}}
prices:
  - model: m
    valid_from: 2026-01-01T00:00:00Z
    meters: {in_text: "1", out_text: "2", "images[1024,standard]": "0.04", searches: "0.01"}
    tiers: [{input_over: 1000, mode: marginal, meters: {in_text: "2"}}]
  - {model: m, service_tier: flex, valid_from: 2026-01-01T00:00:00Z, meters: {in_text: "0.5"}}
  - {model: m, region: us-gov-west-1, valid_from: 2026-01-01T00:00:00Z, meters: {in_text: "1.2"}}
  - {model: m, hours: "16:30-00:30", valid_from: 2026-01-01T00:00:00Z, meters: {in_text: "0.7"}}
  - model: m
    kind: cost
    channel: first
    valid_from: 2026-01-01T00:00:00Z
    meters: {in_text: "0.4"}
plans:
  - {name: partner, multiplier: "0.93", models: ["m", "gpt-*"]}
  - {name: retail, multiplier: "1.07"}
organisations:
  - {name: Acme, plan: partner}
  - {name: Other}
"""


def test_full_prices_and_plans_round_trip(installation: Installation) -> None:
    message = installation.apply(FULL)
    assert "+ price m/2026-01-01T00:00:00Z/charge/flex" in message
    assert "+ price m/2026-01-01T00:00:00Z/cost/first" in message
    assert "+ plan partner\n    models: [m, gpt-*]\n    multiplier: 0.93" in message
    exported = installation.export()
    assert installation.apply(exported, "--prune") == "nothing to change\n"
    assert installation.apply(FULL, "--prune") == "nothing to change\n"
    for part in (
        "hours: 16:30-00:30",
        "service_tier: flex",
        "kind: cost",
        "channel: first",
        "region: us-gov-west-1",
    ):
        assert part in exported
    assert "multiplier: '1.07'" in exported


def test_plan_is_deleted_after_its_last_organisation_left(
    installation: Installation,
) -> None:
    installation.apply(FULL)
    without = FULL.replace('  - {name: partner, multiplier: "0.93", models: ["m", "gpt-*"]}\n', "")
    assert "The plan partner is in use" in installation.refusal(without, "--prune")
    message = installation.apply(without.replace(", plan: partner", ""), "--prune")
    assert "- plan partner" in message
    assert not Plan.objects.filter(name="partner").exists()


@pytest.mark.parametrize(
    ("there", "instead", "text"),
    [
        ("kind: cost\n", "kind: charge\n", "only costs are set by channel"),
        ("service_tier: flex", "service_tier: default", "expected the name of a service tier"),
        ('"16:30-00:30"', '"4pm"', "expected hours in UTC"),
        ('"0.93"', '"1001"', "expected a multiplier from 0 to 1000"),
        ("plan: partner", "plan: none-such", "There is no plan named none-such"),
        (
            "  - {model: m, service_tier",
            '  - {model: m, hours: "23:00-01:00", valid_from: 2026-01-01T00:00:00Z, '
            'meters: {in_text: "1"}}\n  - {model: m, service_tier',
            "overlap",
        ),
    ],
)
def test_invalid_price_or_plan_names_its_line(
    installation: Installation, there: str, instead: str, text: str
) -> None:
    assert there in FULL
    refusal = installation.refusal(FULL.replace(there, instead, 1))
    assert text in refusal
    assert "weir.yaml:" in refusal


LIMITED = """\
version: 1
organisations:
  - name: Acme Works
    budgets:
      - {amount: "900", period: month, timezone: Europe/Berlin, anchor: 15}
      - {scope: user, subject: dev@example.org, amount: "20", period: week}
      - {scope: model, subject: "gpt-*", amount: "100.50", period: day, enabled: false}
    members:
      - {email: dev@example.org, role: developer}
    teams:
      - name: core
        rpm: 1000
        parallel: 50
        budgets: [{amount: "50.00", period: month, timezone: UTC}]
        keys:
          - name: ci
            secret: "env:CI_KEY"
            models: ["gpt-*"]
            rpm: 600
            tpm: 100000
            parallel: 20
            endpoints: [chat_completions, embeddings]
            ips: ["10.0.0.0/8", "2001:db8::1"]
            tags: [beta]
            log_content: false
            budget: {amount: "5.00", period: month}
"""


def budgets_of() -> dict[tuple[str, str], tuple[int, int, str, bool]]:
    return {
        (budget.scope, budget.period): (
            budget.amount_nano, budget.anchor, budget.timezone, budget.enabled,
        )
        for budget in Budget.objects.all()
    }  # fmt: skip


def test_file_sets_budgets_and_limits(installation: Installation) -> None:
    installation.apply(WHOLE)
    assert installation.apply(LIMITED) != "nothing to change\n"
    team, key = Team.objects.get(name="core"), Key.objects.get(name="ci")
    assert (team.rpm, team.tpm, team.parallel) == (1000, None, 50)
    assert (key.rpm, key.tpm, key.parallel) == (600, 100_000, 20)
    assert key.endpoints == ["chat_completions", "embeddings"]
    assert key.networks == ["10.0.0.0/8", "2001:db8::1/128"]
    assert (key.tags, key.log_content) == (["beta"], False)
    usd = 10**9
    assert budgets_of() == {
        ("organisation", "month"): (900 * usd, 15, "Europe/Berlin", True),
        ("user", "week"): (20 * usd, 0, "UTC", True),
        ("model", "day"): (100_500_000_000, 0, "UTC", False),
        ("team", "month"): (50 * usd, 1, "UTC", True),
        ("key", "month"): (5 * usd, 1, "UTC", True),
    }
    assert installation.apply(LIMITED) == "nothing to change\n"
    exported = installation.export()
    assert installation.apply(exported, "--prune") == "nothing to change\n"


def test_file_sets_budgets_per_session(installation: Installation) -> None:
    """Beside the one per month: a key or a team has one for each period."""
    session = '{amount: "1", period: session}'
    file = (
        LIMITED.replace("    budgets:\n", f"    budgets:\n      - {session}\n")
        .replace('budgets: [{amount: "50.00"', f'budgets: [{session}, {{amount: "50.00"')
        .replace("budget: {amount", f"budgets: [{session}]\n            budget: {{amount")
    )
    installation.apply(WHOLE)
    installation.apply(LIMITED)
    before = installation.export()
    installation.apply(file)
    assert len(budgets_of()) == 8
    for scope in ("organisation", "team", "key"):
        assert budgets_of()[scope, "session"] == (10**9, 0, "UTC", True)
    assert installation.apply(file) == "nothing to change\n"
    exported = installation.export()
    assert exported.count("period: session") == 3
    assert installation.apply(exported, "--prune") == "nothing to change\n"
    message = installation.apply(exported.replace("'1.00'", "'2.00'"))
    assert message.count("amount: 1.00 -> 2.00") == 3, message
    installation.apply(before, "--prune")
    assert len(budgets_of()) == 5


def test_file_sets_limits_for_all_and_budget_terms(installation: Installation) -> None:
    installation.apply(WHOLE)
    installation.apply(LIMITED)
    file = (
        LIMITED.replace(
            "  - name: Acme Works\n", "  - name: Acme Works\n    rpm: 6000\n    parallel: 90\n"
        )
        .replace("role: developer}", "role: developer, tpm: 90000}")
        .replace(
            'amount: "50.00", period: month, timezone: UTC',
            'amount: "50.00", period: month, timezone: UTC, action: warn, alert_percents: [90, 60]',
        )
        .replace('amount: "20", period: week', 'amount: "20", period: week, alert_forecast: true')
    )
    installation.apply(file)
    owner = Organisation.objects.get(name="Acme Works")
    assert (owner.rpm, owner.tpm, owner.parallel) == (6000, None, 90)
    assert Membership.objects.get(user__email="dev@example.org").tpm == 90_000
    terms = {
        (budget.scope, budget.action, tuple(budget.alert_percents), budget.alert_forecast)
        for budget in Budget.objects.filter(scope__in=("team", "user"))
    }
    assert terms == {
        ("team", "warn", (90, 60), False), ("user", "block", (50, 80, 100), True),
    }  # fmt: skip
    assert installation.apply(file) == "nothing to change\n"
    exported = installation.export()
    assert "alert_percents:" in exported
    assert installation.apply(exported, "--prune") == "nothing to change\n"
    # What a file does not say stays; with --prune it falls back.
    assert installation.apply(LIMITED) == "nothing to change\n"
    installation.apply(exported.replace("  rpm: 6000\n", ""), "--prune")
    owner.refresh_from_db()
    assert (owner.rpm, owner.parallel) == (None, 90)


def test_budget_with_another_start_is_another_budget(installation: Installation) -> None:
    installation.apply(WHOLE)
    installation.apply(LIMITED)
    ids = {budget.scope: budget.id for budget in Budget.objects.all()}
    message = installation.apply(
        LIMITED.replace("anchor: 15", "anchor: 1").replace('"50.00"', '"60.00"')
    )
    assert "~ budget acme-works/organisation/month" in message
    assert "amount: 50.00 -> 60.00" in message
    now = {budget.scope: budget.id for budget in Budget.objects.all()}
    assert {scope for scope in ids if ids[scope] != now[scope]} == {"organisation"}
    assert budgets_of()["team", "month"][0] == 60 * 10**9


def test_budget_survives_a_new_secret_of_its_key(installation: Installation) -> None:
    installation.apply(WHOLE)
    installation.apply(LIMITED)
    installation.apply(LIMITED.replace("env:CI_KEY", "another-key-of-forty-characters-00000001"))
    living = Key.objects.get(name="ci", revoked_at=None)
    assert Budget.objects.get(scope="key").subject == str(living.id)
    assert (living.rpm, living.tags) == (600, ["beta"])


def test_prune_removes_budgets_and_limits_that_are_not_named(installation: Installation) -> None:
    installation.apply(WHOLE)
    installation.apply(LIMITED)
    installation.apply(WHOLE)
    assert Budget.objects.count() == 5
    installation.apply(WHOLE, "--prune")
    assert not Budget.objects.exists()
    assert (Team.objects.get(name="core").rpm, Key.objects.get(name="ci").tpm) == (None, None)


@pytest.mark.parametrize(
    ("right", "wrong", "text"),
    [
        ("anchor: 15", "anchor: 40", "budgets[0].anchor: expected a whole number from 1 to 31"),
        ("Europe/Berlin", "Europe/Bonn", "budgets[0].timezone: expected the name of a time zone"),
        ('"50.00"', '"-1"', "amount: expected an amount of 0 or more"),
        ("rpm: 600", "rpm: 0", "rpm: expected"),
        ("embeddings]", "embed]", "endpoints: expected names of endpoints"),
        ("10.0.0.0/8", "10.0.0.0/64", "ips[0]: expected a network"),
        ('subject: "gpt-*"', 'subject: ""', "expected a subject"),
        ("period: day", "period: session",
         "budgets[2].scope: expected one of organisation, team, user, key for the period session"),
        ('scope: model, subject: "gpt-*", amount: "100.50", period: day',
         'scope: end_user, amount: "100.50", period: total',
         "budgets[2].period: expected one of hour, day, week, month for the scope end_user"),
        ("budget: {amount", "budgets: [{amount: '1', period: month}]\n            budget: {amount",
         "a budget per 'month' is already defined on line"),
    ],
)  # fmt: skip
def test_invalid_budgets_and_limits_name_their_line(
    installation: Installation, right: str, wrong: str, text: str
) -> None:
    installation.apply(WHOLE)
    with pytest.raises(CommandError) as refused:
        installation.apply(LIMITED.replace(right, wrong))
    assert text in str(refused.value)
    assert not Budget.objects.exists()
