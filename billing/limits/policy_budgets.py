"""Budgets that a policy gives to each organisation, team or key that it is assigned to.

Each of them is a budget like any other, so all budgets of a request hold and the tightest one is
reached first. It is created, changed and removed with the policy and its assignments, in their
transaction, and in no other way.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.models import Organisation
from billing.currency.money import format_usd
from billing.limits import budgets
from billing.limits.budget_rules import ALERT_PERCENTS, PERIODS, Period, default_anchor
from billing.limits.budgets import BudgetPolicy, BudgetRefused, LookBack
from billing.models import Budget, BudgetScope

GIVEN_MAX: Final = 100
"""The most budgets that one policy gives. Each one looks back at its period while no request of the
organisation is admitted."""


class BudgetTarget(NamedTuple):
    """What gets the budgets of a policy: an organisation, a team or a key. `subject` is as in
    `billing.models.Budget`."""

    scope: str
    subject: str


class PolicyBudget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The terms of a budget that a policy gives. `anchor` None = the default of the period."""

    amount_nano: int
    period: Period
    anchor: int | None = None
    timezone: str = "UTC"
    action: str = "block"
    alert_percents: tuple[int, ...] = ALERT_PERCENTS
    alert_forecast: bool = False


def check_budgets(organisation: Organisation, listed: Sequence[PolicyBudget]) -> list[PolicyBudget]:
    """Return the budgets as a policy stores them: one for each period, the shortest first. Raises
    BudgetRefused."""
    if len({one.period for one in listed}) < len(listed):
        text = gettext("A policy can have one budget for each period.")
        raise BudgetRefused("budgets", text)
    whole = in_order(listed)
    for one in whole:
        budgets.check_terms(_terms(one))
        budgets.check_budget(
            Budget(
                organisation=organisation, scope=BudgetScope.ORGANISATION, period=one.period,
                anchor=_anchor(one), timezone=one.timezone, amount_nano=one.amount_nano,
                action=one.action,
            )
        )  # fmt: skip
    return whole


def in_order(listed: Sequence[PolicyBudget]) -> list[PolicyBudget]:
    """Return the budgets by period, the shortest first, with the start of each."""
    return [
        msgspec.structs.replace(
            one, anchor=_anchor(one), alert_percents=tuple(sorted(set(one.alert_percents)))
        )
        for one in sorted(listed, key=lambda one: PERIODS.index(one.period))
    ]


def _anchor(one: PolicyBudget) -> int:
    return default_anchor(one.period) if one.anchor is None else one.anchor


def _terms(one: PolicyBudget) -> dict[str, Any]:
    return {
        "action": one.action,
        "alert_percents": list(one.alert_percents),
        "alert_forecast": one.alert_forecast,
    }


def give_budgets(
    actor: Actor,
    organisation: Organisation,
    look_back: LookBack,
    *,
    policy: BudgetPolicy,
    targets: Sequence[BudgetTarget],
    wanted: Sequence[PolicyBudget],
) -> None:
    """Make each target have the wanted budgets of a policy, and nobody else any of them. `wanted`
    is as `check_budgets` returns it. A budget that starts anew has what its period already spent,
    and one that stays keeps its figures and an increase. Raises BudgetRefused for too many, and if
    the actor may not set one of them."""
    if len(targets) * len(wanted) > GIVEN_MAX:
        text = gettext(
            "This policy would create %(n)s budgets: one for each period and assignment. Up to "
            "%(most)s are possible."
        )
        numbers = {"n": len(targets) * len(wanted), "most": GIVEN_MAX}
        raise BudgetRefused("budgets", text % numbers)
    missing = {
        (target, str(one.period), _anchor(one), one.timezone): one
        for target in targets
        for one in wanted
    }
    for budget in Budget.objects.filter(policy_id=policy.id).order_by("id"):
        target = BudgetTarget(budget.scope, budget.subject)
        # A budget with another start of its periods is another budget.
        one = missing.pop((target, budget.period, budget.anchor, budget.timezone), None)
        if one is None:
            budgets.remove_budget(actor, budget, by_policy=True)
            continue
        if budget.policy_name != policy.name:
            budget.policy_name = policy.name
            budget.save(update_fields=["policy_name"])
        budgets.change_budget(
            actor, budget, look_back, amount_nano=one.amount_nano, by_policy=True, **_terms(one)
        )
    for (target, *_), one in missing.items():
        budgets.create_budget(
            actor, organisation, look_back, scope=target.scope, subject=target.subject,
            amount_nano=one.amount_nano, period=one.period, anchor=one.anchor,
            timezone=one.timezone, policy=policy, **_terms(one),
        )  # fmt: skip


def take_budgets(actor: Actor, policy: BudgetPolicy) -> None:
    """Remove the budgets of a policy. Raises BudgetRefused if the actor may not remove one."""
    for budget in Budget.objects.filter(policy_id=policy.id).order_by("id"):
        budgets.remove_budget(actor, budget, by_policy=True)


def describe(one: PolicyBudget) -> dict[str, Any]:
    """Return a budget of a policy as the API, a file of `apply` and the audit log have it."""
    return {
        "amount": format_usd(one.amount_nano),
        "period": one.period,
        "anchor": one.anchor,
        "timezone": one.timezone,
        "action": one.action,
        "alert_percents": list(one.alert_percents),
        "alert_forecast": one.alert_forecast,
    }
