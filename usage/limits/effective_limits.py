"""The settings that apply to a team, a person or a key, each with its level (W52). A request must
fit every limit and budget above it, so all of these are shown, and the tightest is marked. Of lists
and switches, only the effective value is shown."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from django.db.models import Q
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from accounts.access import access
from accounts.access.actors import Actor, organisation_of
from accounts.models import Key, Membership, Organisation, Team
from billing.limits.charge_rule_settings import charge_rule_of
from billing.limits.words import charge_rule_words
from billing.models import Budget, BudgetScope
from billing.price_plans.price_plans import price_plan_in_force
from billing.prices.words import multiplier_words
from content.models import Policy
from content.policies.policies import policies_of, rules_of
from content.policies.words import ACTIONS, PLACES, guard_words
from content.policies.words import SCOPES as POLICY_SCOPES
from content.rules.log_rules import kept_by
from content.rules.rules import limit_rule
from content.rules.words import SCOPES, hours_max_text, rule_text, time_text
from lib.sentences import join_words
from usage.limits.budget_forms import PERIOD_NAMES, SCOPE_NAMES

Text = str | Promise

_LIMITS: Final[dict[str, Promise]] = {
    "rpm": gettext_lazy("Requests per minute"),
    "tpm": gettext_lazy("Tokens per minute"),
    "parallel": gettext_lazy("Concurrent requests"),
}
_POLICY_LEVEL: Final = gettext_lazy("Policy %(name)s (%(scopes)s)")
_PLAN_LEVELS: Final[dict[str, Promise]] = {
    "organisation": gettext_lazy("Organisation"),
    "team": gettext_lazy("Team"),
    "member": gettext_lazy("Person"),
}


class Level(NamedTuple):
    """One of the levels above a request, the outermost first."""

    title: Text
    row: Organisation | Team | Membership | Key


class Setting(NamedTuple):
    """One setting at one level. `kind` is how its value is displayed (text, count or money);
    `binds` marks the setting that is reached first."""

    title: Text
    level: Text
    value: Any
    kind: str = "text"
    binds: bool = True


def effective_settings(
    actor: Actor,
    *,
    team: Team | None = None,
    member: Membership | None = None,
    key: Key | None = None,
) -> list[Setting]:
    """Return everything that applies to a request by that key, person and team, as far as given. A
    key implies its team and its person."""
    organisation = organisation_of(actor)
    if key is not None:
        team = key.team
        member = Membership.objects.filter(user=key.user_id, organisation=organisation).first()
    levels = [Level(gettext_lazy("Organisation"), organisation)]
    levels += [Level(gettext_lazy("Team"), team)] if team else []
    levels += [Level(gettext_lazy("Person"), member)] if member else []
    levels += [Level(gettext_lazy("API key"), key)] if key else []
    policies = _policies(organisation, team, key)
    return [
        *_limits(levels),
        *_budgets(actor, team, member, key),
        *_labels(levels),
        *_models(organisation, team, member, key),
        *_permitted(key, policies),
        *_content(organisation, key),
        *_cache(team, key),
        *_end_users(key),
        *_content_log(organisation, team, key, policies),
        *_guards(policies),
        *_data(organisation, key),
        *_charge_rule(organisation),
    ]


def _limits(levels: Sequence[Level]) -> Iterator[Setting]:
    for name, title in _LIMITS.items():
        set_limits = [(level, getattr(level.row, name)) for level in levels]
        set_limits = [(level, value) for level, value in set_limits if value is not None]
        lowest = min((value for _, value in set_limits), default=None)
        for level, value in set_limits:
            yield Setting(title, level.title, value, "count", value == lowest)
        if not set_limits:
            yield Setting(title, "", gettext("No limit"))


def _budgets(
    actor: Actor, team: Team | None, member: Membership | None, key: Key | None
) -> Iterator[Setting]:
    """Yield each budget separately, because which one is reached first depends on the spending."""
    if access.scope_of(actor, "budgets.read") is None:
        return
    over = Q(scope=BudgetScope.ORGANISATION)
    for scope, subject in (
        (BudgetScope.TEAM, team.pk if team else None),
        (BudgetScope.USER, member.user_id if member else None),
        (BudgetScope.KEY, key.pk if key else None),
    ):
        over |= Q(scope=scope, subject=str(subject)) if subject is not None else Q()
    rows = Budget.objects.filter(over, organisation=actor.organisation, enabled=True)
    none = True
    for budget in rows.order_by("scope", "period", "policy_name", "id"):
        none = False
        title = gettext("Budget, %(period)s") % {"period": str(PERIOD_NAMES[budget.period]).lower()}
        level: Text = SCOPE_NAMES[budget.scope]
        if budget.policy_id is not None:
            level = _POLICY_LEVEL % {"name": budget.policy_name, "scopes": level}
        yield Setting(title, level, budget.amount_nano, "money")
    if none:
        yield Setting(gettext("Budget"), "", gettext("No budget"))


def _labels(levels: Iterable[Level]) -> Iterator[Setting]:
    title = gettext("Required labels")
    none = True
    for level in levels:
        labels = getattr(level.row, "required_labels", ())
        if labels:
            none = False
            yield Setting(title, level.title, ", ".join(labels))
    if none:
        yield Setting(title, "", gettext("None"))


def _models(
    organisation: Organisation, team: Team | None, member: Membership | None, key: Key | None
) -> Iterator[Setting]:
    plan, level = price_plan_in_force(organisation, team=team, member=member)
    yield Setting(gettext("Price plan"), _PLAN_LEVELS[level], plan.name or gettext("Standard"))
    if plan.subscribed:
        title, source = gettext("Price multipliers"), gettext("Subscription")
        yield Setting(title, source, multiplier_words(plan.subscribed))
    if plan.model_patterns:
        listed = ", ".join(plan.model_patterns)
        yield Setting(gettext("Visible models"), gettext("Price plan"), listed)


def _policies(
    organisation: Organisation, team: Team | None, key: Key | None
) -> list[tuple[Policy, str]]:
    """Return the policies that apply, each with what it is called as a level."""
    scopes: dict[Policy, list[str]] = {}
    for policy, scope in policies_of(organisation, team, key):
        scopes.setdefault(policy, []).append(str(POLICY_SCOPES[scope]))
    return [
        (policy, str(_POLICY_LEVEL % {"name": policy.name, "scopes": ", ".join(names)}))
        for policy, names in scopes.items()
    ]


def _permitted(key: Key | None, policies: Sequence[tuple[Policy, str]]) -> Iterator[Setting]:
    """Yield what a request may use. The lists of a key and of each policy all apply."""
    if key is None and not policies:
        return
    for title, field in (
        (gettext("Models"), "model_patterns"),
        (gettext("Endpoints"), "endpoints"),
        (gettext("IP addresses"), "networks"),
    ):
        lists = [(gettext("API key"), getattr(key, field))] if key is not None else []
        if field != "endpoints":
            lists += [(level, getattr(policy, field)) for policy, level in policies]
        lists = [(level, words) for level, words in lists if words]
        for level, words in lists:
            yield Setting(title, level, ", ".join(words))
        if key is not None and not lists:
            yield Setting(title, "", gettext("All"))


def _guards(policies: Iterable[tuple[Policy, str]]) -> Iterator[Setting]:
    for policy, level in policies:
        for rule in rules_of(policy):
            title = gettext("Guard: %(name)s") % {"name": guard_words(rule.guard).name}
            places = ", ".join(str(PLACES[place]) for place in rule.places)
            yield Setting(title, level, f"{ACTIONS[rule.action]}: {places}")


def _content(organisation: Organisation, key: Key | None) -> Iterator[Setting]:
    title = gettext("Answers stored to continue or repeat requests")
    if key is not None and not key.log_content:
        yield Setting(title, gettext("API key"), gettext("Not stored"))
        return
    hours = organisation.retention_hours
    value = time_text(hours) if hours else gettext("Not stored")
    yield Setting(title, gettext("Organisation"), value)


def _cache(team: Team | None, key: Key | None) -> Iterator[Setting]:
    title = gettext("Answers served from cache")
    row: Key | Team | None = team if key is None or key.cache_seconds is None else key
    if row is None or not row.cache_seconds:
        yield Setting(title, "", gettext("No"))
        return
    level = gettext("API key") if isinstance(row, Key) else gettext("Team")
    words = gettext("For %(n)s seconds, at %(percent)s %% of the price")
    yield Setting(
        title, level, words % {"n": row.cache_seconds, "percent": row.cache_price_percent}
    )


def _end_users(key: Key | None) -> Iterator[Setting]:
    if key is None:
        return
    title = gettext("End users")
    if not key.end_user_header:
        yield Setting(title, "", gettext("Not named"))
        return
    conditions = [gettext("signed")] if key.end_users_signed else []
    conditions += key.end_user_networks
    yield Setting(title, gettext("API key"), f"{key.end_user_header}: {', '.join(conditions)}")


def _content_log(
    organisation: Organisation,
    team: Team | None,
    key: Key | None,
    policies: Iterable[tuple[Policy, str]],
) -> Iterator[Setting]:
    title, kept = gettext("Content log, for people to read"), kept_by(organisation, team, key)
    if kept.rule is None:
        yield Setting(title, "", rule_text(None))
    for rule in ([kept.rule] if kept.rule else []) + kept.of_models:
        prefix = f"{rule.subject}: " if rule.scope == "model" else ""
        binds = limit_rule(rule, kept.hours_max) == rule
        yield Setting(title, SCOPES[rule.scope], prefix + rule_text(rule), binds=binds)
    for policy, level in policies:
        if (hours := policy.retention_hours) is not None:
            yield Setting(title, level, hours_max_text(hours), binds=hours == kept.hours_max)


def _charge_rule(organisation: Organisation) -> Iterator[Setting]:
    """Yield the organisation's charge rule. Without one, the model's or the channel's rule applies,
    which only operators may see."""
    title, rule = gettext("Abandoned requests"), charge_rule_of(organisation)
    if rule is None:
        yield Setting(title, "", gettext("As set for the model or channel"))
    else:
        yield Setting(title, gettext("Organisation"), charge_rule_words(rule))


def _data(organisation: Organisation, key: Key | None) -> Iterator[Setting]:
    title, none = gettext("Data policy"), True
    for level, row in ((gettext("Organisation"), organisation), (gettext("API key"), key)):
        words = [gettext("Zero data retention")] if row and row.zero_retention else []
        words += [" / ".join(row.data_regions)] if row and row.data_regions else []
        if words:
            none = False
            yield Setting(title, level, join_words(words))
    if none:
        yield Setting(title, "", gettext("None"))
