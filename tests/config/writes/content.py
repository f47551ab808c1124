"""Writes of content."""

from typing import Final

from billing.limits.policy_budgets import PolicyBudget
from content.guards.rules import GuardRule
from content.models import LogRule, Policy
from content.policies import policies
from content.prompts import prompts
from content.prompts.settings import Settings
from content.rules import log_rules
from tests.config.writes.world import World, Writes
from usage.limits.budget_simulation import look_back


def log_rule(w: World) -> LogRule:
    """The rule that there is, or a new one."""
    known = LogRule.objects.filter(organisation=w.people.acme).first()
    return known or log_rules.add_rule(w.alice, w.people.acme, scope="organisation")


_BUDGET: Final = PolicyBudget(amount_nano=5, period="day")
_RULE: Final = GuardRule("email", {}, ["request"], "mask", "no_email")


def policy(w: World) -> Policy:
    """The policy that there is, or a new one."""
    known = Policy.objects.filter(organisation=w.people.acme).first()
    return known or policies.create_policy(
        w.alice,
        w.people.acme,
        look_back,
        name="People",
        rules=[],
        budgets=[_BUDGET],
        assigned=[policies.Assigned("team", str(w.people.core.id))],
    )


BEFORE: Final[Writes] = {
    "content.policies.policies.change_policy": policy,
    "content.policies.policies.remove_policy": policy,
    "content.rules.log_rules.change_rule": log_rule,
    "content.rules.log_rules.remove_rule": log_rule,
}
WRITES: Final[Writes] = {
    "content.policies.policies.create_policy": lambda w: policies.create_policy(
        w.alice,
        w.people.acme,
        look_back,
        name="People",
        rules=[_RULE],
        budgets=[_BUDGET],
        assigned=[policies.Assigned("organisation")],
    ),
    "content.policies.policies.change_policy": lambda w: policies.change_policy(
        w.alice,
        policy(w),
        look_back,
        name="Persons",
        rules=[_RULE],
        budgets=[PolicyBudget(amount_nano=7, period="day")],
        assigned=[policies.Assigned("organisation")],
    ),
    "content.policies.policies.remove_policy": lambda w: policies.remove_policy(w.alice, policy(w)),
    "content.rules.log_rules.add_rule": lambda w: log_rules.add_rule(
        w.alice, w.people.acme, scope="team", subject=str(w.people.core.id)
    ),
    "content.rules.log_rules.change_rule": lambda w: log_rules.change_rule(
        w.alice, log_rule(w), keep="errors", retention_hours=12
    ),
    "content.rules.log_rules.remove_rule": lambda w: log_rules.remove_rule(w.alice, log_rule(w)),
    "content.prompts.prompts.delete_prompt": lambda w: prompts.delete_prompt(
        w.alice, w.prompt.prompt
    ),
    "content.prompts.prompts.share_prompt": lambda w: prompts.share_prompt(
        w.alice, w.prompt.prompt, shared=False
    ),
    "content.prompts.prompts.move_label": lambda w: prompts.move_label(
        w.alice, w.prompt, "staging"
    ),
    "content.prompts.prompts.remove_label": lambda w: prompts.remove_label(
        w.alice, w.prompt.prompt, "production"
    ),
    "content.prompts.prompts.roll_back_label": lambda w: prompts.roll_back_label(
        w.alice, w.prompt.prompt, "production", 2
    ),
    "content.prompts.prompts.save_prompt": lambda w: prompts.save_prompt(
        w.alice, "bye", "m-1", Settings(), note="", shared=False
    ),
    "content.prompts.prompts.save_version": lambda w: prompts.save_version(
        w.alice, w.prompt.prompt, "m-1", Settings(), note=""
    ),
}
