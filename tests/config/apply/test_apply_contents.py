"""`apply` and `export` of the content log's rules and of policies: what comes out goes in again."""

import datetime as dt
import json
from typing import Any

import pytest
import yaml
from django.core.management import CommandError

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent, Key, Organisation
from accounts.organisations import teams
from accounts.secrets.sealing import open_sealed
from billing.currency.money import format_usd
from billing.models import Budget
from content.models import LogRule, Policy, PolicySecret
from content.policies import policies
from content.policies.rules import secret_place
from content.rules import log_rules
from tests.config.applying import Installation, installation
from usage.limits.budget_simulation import look_back

pytestmark = pytest.mark.django_db
__all__ = ["installation"]

SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEy"
OTHER = "whsec_" + "b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXIt"
WHOLE = f"""\
version: 1
organisations:
  - name: Acme
    teams:
      - name: Research lab
        keys:
          - name: ci
            secret: "a-brought-key-of-forty-characters-000001"
            budgets: [{{amount: "9", period: month}}]
    content_log:
      - {{retention_hours: 24, share_percent: 50, ends_at: 2026-12-01T12:00:00Z}}
      - {{scope: team, subject: Research lab, keep: errors, redact: [email, secret]}}
      - {{scope: key, subject: ci, callers_may_opt_out: false}}
      - {{scope: model, subject: "gpt-5*", keep: nothing}}
    policies:
      - name: No secrets
        assigned: [{{scope: organisation}}]
        rules:
          - {{guard: secret, action: mask}}
          - guard: words
            action: refuse
            code: falcon
            places: [request]
            settings: {{words: [falcon]}}
      - {{name: Narrow, models: ["gpt-*", o3], networks: [10.0.0.0/8], retention_hours: 0}}
      - name: Checked
        assigned: [{{scope: key, subject: ci}}, {{scope: team, subject: Research lab}}]
        budgets:
          - {{amount: "20", period: month}}
          - {{amount: "1.5", period: day, timezone: Asia/Tokyo, anchor: 6, action: slow}}
        rules:
          - guard: hook
            action: decide
            settings:
              url: https://guard.example.org/check
              secret: {SECRET}
              deadline_ms: 500
"""


def key() -> Key:
    return Key.objects.get(name="ci", revoked_at=None)


def edited(edit: Any, text: str = WHOLE) -> str:
    """Return the file with a change to its organisation."""
    whole: dict[str, Any] = yaml.safe_load(text)
    edit(whole["organisations"][0])
    return yaml.safe_dump(whole, sort_keys=False)


def stored_secret() -> str:
    row = PolicySecret.objects.get()
    return open_sealed(row.sealed, secret_place(str(row.policy_id), "hook"))


def test_a_file_sets_up_rules_and_policies(installation: Installation) -> None:
    message = installation.apply(WHOLE)
    for line in (
        "+ log_rule acme/organisation",
        "+ log_rule acme/key/ci",
        "+ policy acme/No secrets",
        "    assigned: [{scope: key, subject: ci}, {scope: team, subject: Research lab}]",
    ):
        assert f"{line}\n" in message
    assert SECRET not in message
    rules = {rule.scope: rule for rule in LogRule.objects.all()}
    assert (rules["organisation"].retention_hours, rules["organisation"].share_percent) == (24, 50)
    assert rules["organisation"].ends_at == dt.datetime(2026, 12, 1, 12, tzinfo=dt.UTC)
    assert rules["team"].ends_at is None
    assert rules["team"].subject == str(key().team_id)
    assert (rules["team"].keep, rules["team"].redact) == ("errors", ["secret", "email"])
    assert (rules["key"].subject, rules["key"].callers_may_opt_out) == (str(key().id), False)
    assert (rules["model"].subject, rules["model"].keep) == ("gpt-5*", "nothing")
    applying = policies.policies_of(key().organisation, key().team, key())
    assert [(policy.name, scope) for policy, scope in applying] == [
        ("Checked", "key"), ("Checked", "team"), ("No secrets", "organisation"),
    ]  # fmt: skip
    words = Policy.objects.get(name="No secrets").rules[1]
    assert (words["code"], words["places"]) == ("falcon", ["request"])
    narrow = policies.limits_of(Policy.objects.get(name="Narrow"))
    assert (narrow.models, narrow.retention_hours) == (("gpt-*", "o3"), 0)
    assert list(map(str, narrow.networks)) == ["10.0.0.0/8"]
    assert stored_secret() == SECRET
    assert SECRET not in json.dumps(Policy.objects.get(name="Checked").rules)


def test_the_same_file_and_an_export_change_nothing(installation: Installation) -> None:
    installation.apply(WHOLE)
    exported = installation.export()
    assert SECRET not in exported
    before = AuditEvent.objects.count()
    for text in (WHOLE, exported):
        for options in (["--dry-run"], [], ["--prune"]):
            assert installation.apply(text, *options) == "nothing to change\n"
    assert AuditEvent.objects.count() == before
    assert stored_secret() == SECRET


def given() -> list[tuple[str, str, str]]:
    """The budgets that stand for policies, each with its amount."""
    rows = Budget.objects.exclude(policy_id=None)
    return sorted((row.scope, row.period, format_usd(row.amount_nano)) for row in rows)


GIVEN = [
    ("key", "day", "1.50"), ("key", "month", "20.00"),
    ("team", "day", "1.50"), ("team", "month", "20.00"),
]  # fmt: skip


def test_budgets_of_policies_stand_beside_those_of_keys(installation: Installation) -> None:
    """Neither takes the place of the other, and an export has each once, where it belongs."""
    assert "    budgets: [{amount: 1.50" in installation.apply(WHOLE)
    assert given() == GIVEN
    own = Budget.objects.get(policy_id=None)
    assert (own.scope, own.subject, format_usd(own.amount_nano)) == ("key", str(key().id), "9.00")
    (acme,) = yaml.safe_load(installation.export())["organisations"]
    (lab,) = (team for team in acme["teams"] if team["name"] == "Research lab")
    assert [one["amount"] for one in lab["keys"][0]["budgets"]] == ["9.00"]
    assert "budgets" not in lab
    listed = [one.get("budgets") for one in acme["policies"]]
    assert listed[:2] == [None, None]
    assert [(one["period"], one["amount"]) for one in listed[2]] == [
        ("day", "1.50"), ("month", "20.00"),
    ]  # fmt: skip
    without = edited(lambda o: o["teams"][0]["keys"][0].pop("budgets"))
    assert installation.apply(without, "--prune").count("- budget") == 1
    assert given() == GIVEN
    installation.apply(edited(lambda o: o["policies"][2].update(budgets=[])))
    assert given() == []


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"amount": "1", "period": "month"}, "a budget per 'month' is already defined"),
        ({"amount": "1", "period": "hour", "anchor": 60}, "expected a whole number from 0 to 59"),
        ({"amount": "1", "period": "hour", "enabled": True}, "enabled"),
    ],
)
def test_a_budget_of_a_policy_that_cannot_be_is_refused(
    installation: Installation, budget: dict[str, Any], words: str
) -> None:
    wrong = edited(lambda o: o["policies"][2]["budgets"].append(budget))
    assert words in installation.refusal(wrong)
    assert not Budget.objects.exists()


def test_a_dry_run_writes_nothing(installation: Installation) -> None:
    assert "+ policy acme/Checked" in installation.apply(WHOLE, "--dry-run")
    assert not LogRule.objects.exists()
    assert not Policy.objects.exists()


CHANGES: dict[str, tuple[Any, str]] = {
    "a share": (
        lambda o: o["content_log"][0].update(share_percent=40),
        "log_rule acme/organisation",
    ),
    "what is masked": (
        lambda o: o["content_log"][1].update(redact=["email"]),
        "log_rule acme/team/Research lab",
    ),
    "an action": (
        lambda o: o["policies"][0]["rules"][0].update(action="flag"),
        "policy acme/No secrets",
    ),
    "a setting": (
        lambda o: o["policies"][2]["rules"][0]["settings"].update(deadline_ms=600),
        "policy acme/Checked",
    ),
    "an assignment": (
        lambda o: o["policies"][0].update(assigned=[{"scope": "key", "subject": "ci"}]),
        "policy acme/No secrets",
    ),
    "models": (lambda o: o["policies"][1].update(models=["o3"]), "policy acme/Narrow"),
    "a time": (lambda o: o["policies"][1].update(retention_hours=None), "policy acme/Narrow"),
    "a budget": (
        lambda o: o["policies"][2]["budgets"][1].update(amount="21"),
        "policy acme/Checked",
    ),
    "a secret": (
        lambda o: o["policies"][2]["rules"][0]["settings"].update(secret=OTHER),
        "policy acme/Checked",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_file_changes_the_installation_once(
    installation: Installation, change: str
) -> None:
    edit, named = CHANGES[change]
    installation.apply(WHOLE)
    changed = edited(edit, installation.export())
    message = installation.apply(changed)
    assert message.startswith(f"~ {named}\n"), message
    assert "\n~" not in message
    assert OTHER not in message
    assert installation.apply(changed) == "nothing to change\n"
    assert stored_secret() == (OTHER if change == "a secret" else SECRET)


def test_what_a_file_does_not_name_goes_only_with_prune(installation: Installation) -> None:
    installation.apply(WHOLE)
    without = WHOLE[: WHOLE.index("    content_log")]
    assert installation.apply(without) == "nothing to change\n"
    message = installation.apply(without, "--prune")
    assert message.count("- log_rule acme/") == 4
    assert message.count("- policy acme/") == 3
    assert not LogRule.objects.exists()
    assert not Policy.objects.exists()
    assert AuditEvent.objects.filter(action="policy.removed").count() == 3


def test_prune_removes_a_key_with_its_rule_and_its_assignment(installation: Installation) -> None:
    installation.apply(WHOLE)

    def drop(organisation: dict[str, Any]) -> None:
        del organisation["teams"][0]["keys"]
        del organisation["content_log"][2]
        del organisation["policies"][2]["assigned"][0]

    message = installation.apply(edited(drop), "--prune")
    for line in ("- key acme/ci", "- log_rule acme/key/ci", "~ policy acme/Checked"):
        assert f"{line}\n" in message
    assert not Key.objects.filter(name="ci", revoked_at=None).exists()
    assert not LogRule.objects.filter(scope="key").exists()
    assert installation.apply(edited(drop), "--prune") == "nothing to change\n"


def test_a_name_of_two_teams_is_refused(installation: Installation) -> None:
    """Which of both a rule is for, the name does not say."""
    installation.apply(WHOLE)
    acme = Organisation.objects.get(slug="acme")
    other = teams.create_team(acme, "Sales", actor=SYSTEM)
    teams.archive_team(teams.rename_team(other, "Research lab", actor=SYSTEM), actor=SYSTEM)
    LogRule.objects.filter(scope="team").delete()
    with pytest.raises(CommandError, match="there are several teams named 'Research lab'"):
        installation.apply(WHOLE)
    assert not LogRule.objects.filter(scope="team").exists()


def test_a_new_secret_of_a_key_keeps_its_rules_and_policies(installation: Installation) -> None:
    """A key whose secret changes is another key: the guards must not end with the old one."""
    installation.apply(WHOLE)
    old = key()
    of_old = Budget.objects.filter(scope="key", subject=str(old.id)).order_by("period", "id")
    before = [one.id for one in of_old]
    changed = WHOLE.replace("000001", "000002")
    assert "~ key acme/ci" in installation.apply(changed)
    assert key().id != old.id
    applying = policies.policies_of(key().organisation, key().team, key())
    assert ("Checked", "key") in [(policy.name, scope) for policy, scope in applying]
    moved = Budget.objects.filter(scope="key", subject=str(key().id)).order_by("period", "id")
    assert [(one.period, one.policy_name) for one in moved] == [
        ("day", "Checked"), ("month", ""), ("month", "Checked"),
    ]  # fmt: skip
    assert [one.id for one in moved] == before
    kept = log_rules.kept_by(key().organisation, key().team, key()).rule
    assert kept is not None
    assert kept.scope == "key"
    assert installation.apply(changed, "--prune") == "nothing to change\n"
    assert stored_secret() == SECRET


REFUSED: dict[str, tuple[Any, str]] = {
    "a rule twice": (
        lambda o: o["content_log"].append({"keep": "errors"}),
        "a rule for 'the organisation' is already defined",
    ),
    "a policy twice": (
        lambda o: o["policies"].append({"name": "Checked"}),
        "a policy named 'Checked' is already defined",
    ),
    "a team without name": (
        lambda o: o["content_log"].append({"scope": "team"}),
        "expected a subject unless the scope is organisation",
    ),
    "an unknown team": (
        lambda o: o["content_log"].append({"scope": "team", "subject": "Sales"}),
        "there is no team named 'Sales'",
    ),
    "no name of a model": (
        lambda o: o["content_log"].append({"scope": "model", "subject": "two words"}),
        "Enter the name of a model, or a pattern such as gpt-*, without spaces.",
    ),
    "an unknown key": (
        lambda o: o["policies"][0].update(assigned=[{"scope": "key", "subject": "robot"}]),
        "there is no API key named 'robot'",
    ),
    "an unknown guard": (
        lambda o: o["policies"][0]["rules"].append({"guard": "wizard", "action": "flag"}),
        "wizard",
    ),
    "no secret to keep": (
        lambda o: o["policies"][2]["rules"][0]["settings"].update(secret="keep"),
        "there is no stored secret for this URL to keep: give one",
    ),
    "a time that is too long": (
        lambda o: o["content_log"][0].update(retention_hours=9000),
        "less than or equal to 8760",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cannot_be_is_refused_with_its_line(
    installation: Installation, case: str
) -> None:
    edit, message = REFUSED[case]
    with pytest.raises(CommandError) as caught:
        installation.apply(edited(edit))
    assert message in str(caught.value)
    assert ".yaml:" in str(caught.value)
    assert not Organisation.objects.filter(slug="acme").exists()


def test_a_secret_never_follows_another_url(installation: Installation) -> None:
    installation.apply(WHOLE)
    moved = installation.export().replace("guard.example.org", "other.example.org")
    with pytest.raises(CommandError, match="there is no stored secret for this URL"):
        installation.apply(moved)
    assert stored_secret() == SECRET


def test_unreadable_secret_can_be_kept_or_replaced(installation: Installation) -> None:
    """Its bytes are damaged: a file that gives the right one mends the guard."""
    guarded = edited(lambda o: o.update(content_log=[], policies=o["policies"][2:]))
    installation.apply(guarded)
    PolicySecret.objects.update(sealed=b"damaged")
    exported = installation.export()
    assert exported.count("secret: keep") == 2  # The key's and the guard's.
    assert installation.apply(exported, "--prune") == "nothing to change\n"
    assert installation.apply(guarded).startswith("~ policy acme/Checked\n")
    assert stored_secret() == SECRET


def test_policies_of_pages_are_exported_too(installation: Installation) -> None:
    installation.apply(WHOLE)
    row = Policy.objects.get(name="No secrets")
    policies.change_policy(SYSTEM, row, look_back, name="Secrets")
    exported = installation.export()
    assert "name: Secrets" in exported
    assert installation.apply(exported, "--prune") == "nothing to change\n"
