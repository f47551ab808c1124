"""Carry out the changes of the content log's rules and of policies with the write functions of
`content`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

import msgspec
from django.db.models import F

from accounts.access.actors import SYSTEM
from accounts.models import Key, KeyKind, Organisation
from billing.currency.money import parse_usd
from billing.limits.policy_budgets import PolicyBudget
from config.apply.difference import Change, Kind, Secret
from config.apply.item_fields import LOG_RULE_FIELDS, POLICY_LIMITS
from config.apply.writing_access import ChangeRefused, find_team
from content.guards.rules import GuardRule
from content.models import LogRule, LogScope, Policy, PolicyAssignment, PolicyScope
from content.policies import policies
from content.policies.policies import Assigned
from content.rules import log_rules
from usage.limits.budget_simulation import look_back


def _log_rule(organisation: Organisation, change: Change) -> None:
    _, scope, name = change.id.name
    subject = _subject(organisation, scope, name, ended=change.action == "remove")
    rule = LogRule.objects.filter(organisation=organisation, scope=scope, subject=subject).first()
    after = cast(dict[str, Any], change.after)
    if change.action == "remove" and rule is not None:
        log_rules.remove_rule(SYSTEM, rule)
    elif rule is not None:
        log_rules.change_rule(SYSTEM, rule, **_lists(after))
    elif change.action == "create":
        log_rules.add_rule(SYSTEM, organisation, scope=scope, subject=subject, **_lists(after))


def _policy(organisation: Organisation, change: Change) -> None:
    name = change.id.name[1]
    policy = Policy.objects.filter(organisation=organisation, name=name).first()
    if change.action == "remove":
        if policy is not None:
            policies.remove_policy(SYSTEM, policy)
        return
    fields = _policy_fields(organisation, change.after, policy)
    if policy is None:
        policies.create_policy(SYSTEM, organisation, look_back, name=name, **fields)
    else:
        policies.change_policy(SYSTEM, policy, look_back, **fields)


def _policy_fields(
    organisation: Organisation, after: Mapping[str, Any], policy: Policy | None
) -> dict[str, Any]:
    fields: dict[str, Any] = {
        field: after[name] for name, field in POLICY_LIMITS.items() if name in after
    }
    if "rules" in after or "secrets" in after:
        stored = policy.rules if policy else ()
        rules = cast(Sequence[dict[str, Any]], after.get("rules", stored))
        secrets = cast(Mapping[str, Secret], after.get("secrets", {}))
        texts = {guard: secret.text for guard, secret in secrets.items() if secret.text}
        fields["rules"] = [_guard_rule(rule, texts.get(rule["guard"], "")) for rule in rules]
    if "budgets" in after:
        fields["budgets"] = [_policy_budget(one) for one in after["budgets"]]
    if "assigned" in after:
        fields["assigned"] = [
            Assigned(target["scope"], _subject(organisation, **target))
            for target in after["assigned"]
        ]
    return fields


def _guard_rule(rule: dict[str, Any], secret: str) -> GuardRule:
    settings = rule["settings"] | ({"secret": secret} if secret else {})
    return GuardRule(**rule | {"settings": settings})


def _policy_budget(written: Mapping[str, Any]) -> PolicyBudget:
    terms = {name: value for name, value in written.items() if name != "amount"}
    return msgspec.convert({"amount_nano": parse_usd(written["amount"]), **terms}, PolicyBudget)


def _subject(organisation: Organisation, scope: str, subject: str, *, ended: bool = False) -> str:
    """Return the stored subject of a team or a key from its name. `ended` includes revoked keys, so
    that their rules can be removed."""
    if scope == LogScope.TEAM:
        return str(find_team(organisation, subject).id)
    if scope != LogScope.KEY:
        return subject
    keys = Key.objects.filter(organisation=organisation, name=subject, kind=KeyKind.RELAY)
    key = keys.order_by(F("revoked_at").desc(nulls_first=True)).first()
    if key is None or (key.revoked_at is not None and not ended):
        raise ChangeRefused(f"there is no API key named {subject!r}")
    return str(key.id)


def transfer_contents(ended: Key, key: Key) -> None:
    """Give a key what the content log and policies say about the key that it replaces."""
    subject = str(ended.id)
    for rule in LogRule.objects.filter(scope=LogScope.KEY, subject=subject):
        log_rules.remove_rule(SYSTEM, rule)
        terms = {name: getattr(rule, name) for name in LOG_RULE_FIELDS}
        organisation = rule.organisation
        log_rules.add_rule(SYSTEM, organisation, scope=LogScope.KEY, subject=str(key.id), **terms)
    mine = PolicyAssignment.objects.filter(scope=PolicyScope.KEY, subject=subject)
    for policy in Policy.objects.filter(assignments__in=mine):
        targets = [(one.scope, one.subject) for one in policy.assignments.all()]
        policies.change_policy(
            SYSTEM,
            policy,
            look_back,
            assigned=[
                Assigned(scope, str(key.id) if known == subject else known)
                for scope, known in targets
            ],
        )


def _lists(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()
    }


CONTENT_WRITES: Final[dict[Kind, Callable[[Organisation, Change], None]]] = {
    "log_rule": _log_rule,
    "policy": _policy,
}
