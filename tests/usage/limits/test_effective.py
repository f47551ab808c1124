"""W52: what holds, and from which level it comes."""

from typing import Any

from accounts.access.actors import SYSTEM
from accounts.keys import keys
from accounts.members import members
from accounts.models import Key, KeyKind, Membership, Role, Team
from accounts.organisations import teams
from billing.models import Budget
from billing.price_plans import price_plans
from content.guards.rules import GuardRule
from content.policies import policies
from content.policies.policies import Assigned
from content.rules import log_rules
from lib.ids import id_text
from tests.support.cast import Cast, actor, make_key, signed_in, with_key
from usage.limits import budget_simulation
from usage.limits.budget_simulation import look_back
from usage.limits.effective_limits import Setting, effective_settings


def setting_values(rows: list[Setting]) -> list[tuple[str, str, object, bool]]:
    return [(str(row.title), str(row.level), row.value, row.binds) for row in rows]


def test_every_level_of_a_limit_is_shown_and_the_lowest_applies(people: Cast) -> None:
    keys.change_limits(SYSTEM, people.acme, rpm=100)
    keys.change_limits(SYSTEM, people.core, rpm=50)
    keys.change_limits(SYSTEM, Membership.objects.get(user=people.bob), rpm=60, parallel=4)
    key, _ = make_key(people.core, "ci", user=people.bob, rpm=70, model_patterns=["gpt-*"])
    keys.change_key(SYSTEM, key, required_labels=["tags"])
    key.refresh_from_db()
    budget_simulation.create_budget(
        SYSTEM, people.acme, scope="team", subject=str(people.core.id), amount_nano=5 * 10**9,
        period="month",
    )  # fmt: skip
    people.acme.refresh_from_db()
    rows = setting_values(effective_settings(actor(people.alice, people.acme), key=key))
    assert rows == [
        ("Requests per minute", "Organisation", 100, False),
        ("Requests per minute", "Team", 50, True),
        ("Requests per minute", "Person", 60, False),
        ("Requests per minute", "API key", 70, False),
        ("Tokens per minute", "", "No limit", True),
        ("Concurrent requests", "Person", 4, True),
        ("Budget, month", "Team", 5 * 10**9, True),
        ("Required labels", "API key", "tags", True),
        ("Price plan", "Organisation", "Standard", True),
        ("Models", "API key", "gpt-*", True),
        ("Endpoints", "", "All", True),
        ("IP addresses", "", "All", True),
        ("Answers stored to continue or repeat requests", "Organisation", "24 hours", True),
        ("Answers served from cache", "", "No", True),
        ("End users", "", "Not named", True),
        ("Content log, for people to read", "", "Prompts and answers are not logged.", True),
        ("Data policy", "", "None", True),
        ("Abandoned requests", "", "As set for the model or channel", True),
    ]


def test_the_price_plan_is_listed_with_its_level(people: Cast) -> None:
    bob = Membership.objects.get(user=people.bob)
    alice = actor(people.alice, people.acme)
    key, _ = make_key(people.core, "ci", user=people.bob)

    def plan(**of: Any) -> tuple[str, object]:
        rows = setting_values(effective_settings(alice, **of))
        return next((level, value) for title, level, value, _ in rows if title == "Price plan")

    for holder, name in ((people.acme, "retail"), (people.core, "own"), (bob, "vip")):
        price_plans.save_plan(SYSTEM, name)
        price_plans.assign_plan(SYSTEM, holder, name)
    assert plan() == ("Organisation", "retail")
    assert plan(team=people.core) == ("Team", "own")
    assert plan(member=bob) == plan(key=key) == ("Person", "vip")


def test_each_rule_of_a_policy_is_listed_with_the_policy_and_its_scope(people: Cast) -> None:
    key, _ = make_key(people.core, "ci", model_patterns=["gpt-*"])
    secrets = GuardRule("secret", {}, ["request", "tool_result"], "mask", "secret")
    of_key = Assigned("key", str(key.id))
    policies.create_policy(
        SYSTEM, people.acme, look_back, name="Strict", rules=[secrets],
        model_patterns=["o3", "gpt-5*"], networks=["10.0.0.0/8"], retention_hours=6,
        assigned=[Assigned("organisation"), Assigned("team", str(people.core.id))],
    )  # fmt: skip
    policies.create_policy(
        SYSTEM, people.acme, look_back, name="Loose", retention_hours=48, assigned=[of_key]
    )
    policies.create_policy(SYSTEM, people.acme, look_back, name="Unused", retention_hours=0)
    log_rules.add_rule(SYSTEM, people.acme, scope="organisation", retention_hours=24)
    rows = setting_values(effective_settings(actor(people.alice, people.acme), key=key))
    strict, loose = "Policy Strict (Organisation, Team)", "Policy Loose (API key)"
    kept, log = "Prompts and answers are kept for 24 hours.", "Content log, for people to read"
    assert [row for row in rows if row[0] in ("Models", "IP addresses", log)] == [
        ("Models", "API key", "gpt-*", True),
        ("Models", strict, "o3, gpt-5*", True),
        ("IP addresses", strict, "10.0.0.0/8", True),
        (log, "Organisation", kept, False),
        (log, loose, "Texts are kept for at most 2 days.", False),
        (log, strict, "Texts are kept for at most 6 hours.", True),
    ]
    guard = ("Guard: Secrets of known vendors", strict, "Mask: Requests, Tool results", True)
    assert guard in rows
    team = setting_values(effective_settings(actor(people.alice, people.acme), team=people.core))
    assert ("Models", strict, "o3, gpt-5*", True) in team
    page = signed_in(people.alice).get(f"/o/acme/keys/{id_text(key.id)}").content.decode()
    assert "Policy Strict (Organisation, Team)" in page
    assert "Prompts and answers are kept for 6 hours." in page


def test_api_matches_the_pages(people: Cast) -> None:
    _, text = make_key(people.core, "admin", kind=KeyKind.MANAGEMENT, user=people.alice)
    teams.create_team(people.stranger, "theirs", actor=SYSTEM)
    keys.change_limits(SYSTEM, people.core, rpm=50)
    url = "/api/v1/effective-settings"
    rows = with_key(text).get(f"{url}?team=core&member=bob@example.org").json()["items"]
    assert {"setting": "Requests per minute", "value": "50", "level": "Team", "binds": True} in rows
    for query in ("team=theirs", "member=charlie@example.org", "key=none"):
        assert with_key(text).get(f"{url}?{query}").status_code == 404, query


def test_developer_sees_no_one_elses_limits(people: Cast) -> None:
    members.set_member(people.acme, "vic@example.org", Role.VIEWER, actor=SYSTEM)
    _, text = make_key(people.core, "bobs", kind=KeyKind.MANAGEMENT, user=people.bob)
    url = "/api/v1/effective-settings?member="
    assert with_key(text).get(f"{url}vic@example.org").status_code == 404
    assert with_key(text).get(f"{url}bob@example.org").status_code == 200


def test_disabled_budget_does_not_apply(people: Cast) -> None:
    for period, amount_nano in (("day", 10**9), ("month", 5 * 10**9)):
        budget_simulation.create_budget(
            SYSTEM, people.acme, scope="organisation", subject="", amount_nano=amount_nano,
            period=period,
        )  # fmt: skip
    Budget.objects.filter(period="day").update(enabled=False)
    rows = setting_values(effective_settings(actor(people.alice, people.acme)))
    assert [row[0] for row in rows if row[0].startswith("Budget")] == ["Budget, month"]


def test_key_without_a_cache_in_a_team_with_one_shows_none(people: Cast) -> None:
    Team.objects.filter(id=people.core.id).update(cache_seconds=60, cache_price_percent=10)
    people.core.refresh_from_db()
    key, _ = make_key(people.core, "ci", user=people.bob)
    alice = actor(people.alice, people.acme)
    values = []
    for seconds in (None, 0, 30):
        Key.objects.filter(id=key.id).update(cache_seconds=seconds, cache_price_percent=20)
        key.refresh_from_db()
        rows = setting_values(effective_settings(alice, key=key))
        values += [row[1:3] for row in rows if row[0] == "Answers served from cache"]
    assert values == [
        ("Team", "For 60 seconds, at 10 % of the price"),
        ("", "No"),
        ("API key", "For 30 seconds, at 20 % of the price"),
    ]
