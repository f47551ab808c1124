"""Reads and writes of the content log's rules: what is kept of whose requests, and for how long.

Relays apply a change at once. It changes what is kept from then on: what was kept before stays
until its own retention ends.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext

from accounts.access import access
from accounts.access.actors import Actor, organisation_of
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from accounts.models import Key, KeyKind, Organisation, Team
from content.models import Keep, LogRule, LogScope
from content.policies.limits import is_model_pattern
from content.policies.policies import hours_max_of
from content.rules.rules import (
    REDACTED,
    REDACTED_BY_DEFAULT,
    RETENTION_HOURS_MAX,
    Rule,
    limit_rule,
    rule_for,
)
from lib import clock
from lib.ids import id_text, parse_id
from lib.refusal import Refused

RULES_MAX: Final = 500
SUBJECT_MAX: Final = 200
RETENTION_HOURS: Final = 168
"""The retention of a new rule, if none is given."""
FIELDS: Final = (
    "keep", "share_percent", "retention_hours", "callers_may_opt_out", "redact", "ends_at",
)  # fmt: skip
"""What a rule says, and what can be changed of it."""


class RuleRefused(Refused):
    """The rule is not valid."""


def visible_rules(actor: Actor) -> QuerySet[LogRule]:
    """Return the rules of the organisation, newest first."""
    access.require(actor, "organisation.write")
    rules = LogRule.objects.filter(organisation=organisation_of(actor))
    return rules.select_related("organisation", "created_by").order_by("-id")


def access_rule(actor: Actor, id: str) -> LogRule:
    """Return one rule of the organisation. Raises Http404."""
    return access.get_by_id(visible_rules(actor), id)


def find_subject(actor: Actor, scope: str, subject: str) -> str:
    """Return the stored subject of a rule from its name: a team's slug or a key's id. The name or
    pattern of a model is stored as it is. Raises RuleRefused if the actor's organisation has no
    such subject."""
    if scope == LogScope.ORGANISATION:
        return ""
    row: Team | Key | None = None
    if scope == LogScope.TEAM:
        row = access.visible_teams(actor).filter(slug=subject, archived_at=None).first()
    elif scope == LogScope.KEY:
        id = parse_id(subject)
        keys = access.visible_keys(actor).filter(kind=KeyKind.RELAY, revoked_at=None)
        row = keys.filter(id=id).first() if id else None
    elif is_model_pattern(subject):
        return subject
    if row is None:
        raise RuleRefused("subject", _missing(scope))
    return str(row.id)


def _missing(scope: str) -> str:
    if scope == LogScope.TEAM:
        return gettext("This team does not exist.")
    if scope == LogScope.KEY:
        return gettext("This API key does not exist.")
    return gettext("Enter the name of a model, or a pattern such as gpt-*, without spaces.")


def add_rule(
    actor: Actor,
    organisation: Organisation,
    *,
    scope: str,
    subject: str = "",
    keep: str = Keep.EVERYTHING,
    share_percent: int = 100,
    retention_hours: int = RETENTION_HOURS,
    callers_may_opt_out: bool = True,
    redact: Sequence[str] = REDACTED_BY_DEFAULT,
    ends_at: dt.datetime | None = None,
) -> LogRule:
    """Add a rule. `subject` is as `find_subject` returns it; from `ends_at` on, the rule does not
    apply. Raises RuleRefused, also if the subject has a rule, and for a model that is neither a
    name nor a pattern."""
    if scope == LogScope.MODEL and not is_model_pattern(subject):
        raise RuleRefused("subject", _missing(scope))
    rule = LogRule(
        organisation=organisation,
        scope=scope,
        subject=subject,
        keep=keep,
        share_percent=share_percent,
        retention_hours=retention_hours,
        callers_may_opt_out=callers_may_opt_out,
        redact=list(redact),
        ends_at=ends_at,
        created_by=actor.user,
    )
    _check(rule)
    with transaction.atomic():
        if LogRule.objects.filter(organisation=organisation).count() >= RULES_MAX:
            text = gettext("There are %(n)s rules. Delete some first.") % {"n": RULES_MAX}
            raise RuleRefused("subject", text)
        try:
            with transaction.atomic():
                rule.save(force_insert=True)
        except IntegrityError as error:
            same = LogRule.objects.filter(
                organisation=organisation, scope=scope, subject=subject
            ).first()
            if same is None:
                raise
            text = gettext("There is already a rule for this: %(id)s. Change that one.")
            named = text % {"id": id_text(same.id)}
            raise RuleRefused("subject", named, already_exists=True) from error
        terms = _as_json(_terms(rule))
        audit.record(actor, organisation, "log_rule.added", rule, **_named(rule), **terms)
        bump_epoch()
    return rule


def change_rule(actor: Actor, rule: LogRule, **values: Any) -> LogRule:
    """Change what a rule says. `values` are among FIELDS. Raises RuleRefused."""
    with transaction.atomic():
        locked = get_object_or_404(LogRule.objects.select_for_update(of=("self",)), id=rule.id)
        before = _terms(locked)
        for name in FIELDS:
            setattr(locked, name, values.get(name, before[name]))
        _check(locked)
        after = _terms(locked)
        if after != before:
            locked.save(update_fields=FIELDS)
            changed = [name for name in FIELDS if before[name] != after[name]]
            audit.record(
                actor, locked.organisation, "log_rule.changed", locked, **_named(locked),
                before=_as_json({name: before[name] for name in changed}),
                after=_as_json({name: after[name] for name in changed}),
            )  # fmt: skip
            bump_epoch()
    return locked


def remove_rule(actor: Actor, rule: LogRule) -> None:
    """Remove a rule. What was kept by it stays until its retention ends."""
    with transaction.atomic():
        locked = LogRule.objects.select_for_update().filter(id=rule.id).first()
        if locked is None:
            return
        terms = {**_named(locked), **_as_json(_terms(locked))}
        audit.record(actor, locked.organisation, "log_rule.removed", locked, **terms)
        locked.delete()
        bump_epoch()


def _check(rule: LogRule) -> None:
    if not 1 <= rule.share_percent <= 100:
        raise RuleRefused("share_percent", gettext("The share must be between 1 and 100 %."))
    if not 1 <= rule.retention_hours <= RETENTION_HOURS_MAX:
        text = gettext("The retention must be between 1 and %(hours)s hours.")
        raise RuleRefused("retention_hours", text % {"hours": RETENTION_HOURS_MAX})
    if unknown := [one for one in rule.redact if one not in REDACTED]:
        text = gettext("There is no %(name)s to redact.")
        raise RuleRefused("redact", text % {"name": unknown[0]})
    rule.redact = [one for one in REDACTED if one in rule.redact]


def _named(rule: LogRule) -> dict[str, object]:
    return {"scope": rule.scope, "subject": rule.subject}


def _terms(rule: LogRule) -> dict[str, Any]:
    return {name: getattr(rule, name) for name in FIELDS}


def _as_json(terms: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, dt.datetime) else value
        for name, value in terms.items()
    }


class KeptBy(NamedTuple):
    """What is kept of requests. `rule` applies to models that have no rule of their own; None keeps
    nothing. `of_models` are the rules of models. Policies let none keep for longer than
    `hours_max`, if that is not None."""

    rule: Rule | None
    of_models: list[Rule]
    hours_max: int | None

    @property
    def limited_rule(self) -> Rule | None:
        """The rule as policies limit it."""
        return self.rule and limit_rule(self.rule, self.hours_max)


def kept_by(organisation: Organisation, team: Team | None = None, key: Key | None = None) -> KeptBy:
    """Return what is kept of the requests of a key, of a team, or of the organisation."""
    rules = stored_rules(organisation)
    return KeptBy(
        _applying(rules, team, key, ""),
        [rule for rule in rules if rule.scope == "model"],
        hours_max_of(organisation, team, key),
    )


def stored_rules(organisation: Organisation) -> list[Rule]:
    """Return the rules of an organisation that have not ended."""
    applying = Q(ends_at=None) | Q(ends_at__gt=clock.now())
    rows = LogRule.objects.filter(applying, organisation=organisation)
    return [_value(row) for row in rows.order_by("id")]


def rule_of_model(organisation: Organisation, team: Team | None, model: str) -> Rule | None:
    """Return the rule that applies to requests of a team to a model, by a key without a rule, as
    policies limit it."""
    rule = _applying(stored_rules(organisation), team, None, model)
    return rule and limit_rule(rule, hours_max_of(organisation, team))


def _applying(rules: list[Rule], team: Team | None, key: Key | None, model: str) -> Rule | None:
    ids = [str(row.id) if row else "" for row in (team, key)]
    return rule_for(rules, team=ids[0], key=ids[1], model=model, at=clock.now().timestamp())


def _value(row: LogRule) -> Rule:
    return Rule(
        scope=row.scope,  # type: ignore[arg-type]
        subject=row.subject,
        keep=row.keep,  # type: ignore[arg-type]
        share_percent=row.share_percent,
        retention_hours=row.retention_hours,
        callers_may_opt_out=row.callers_may_opt_out,
        redact=tuple(row.redact),  # type: ignore[arg-type]
        until=row.ends_at.timestamp() if row.ends_at else None,
    )


def subject_names(rules: Sequence[LogRule]) -> dict[UUID, str]:
    """Return what people call the subject of each rule, by the rule's id."""
    teams = Team.objects.in_bulk(_ids(rules, LogScope.TEAM))
    keys = Key.objects.in_bulk(_ids(rules, LogScope.KEY))
    names = {
        **{(LogScope.TEAM, str(id)): team.name for id, team in teams.items()},
        **{(LogScope.KEY, str(id)): key.name for id, key in keys.items()},
    }
    return {
        rule.id: names.get((LogScope(rule.scope), rule.subject), rule.subject)
        or rule.organisation.name
        for rule in rules
    }


def subject_ids(rules: Sequence[LogRule]) -> dict[UUID, str]:
    """Return the subject of each rule as `find_subject` takes it: a team's slug, a key's id, a
    model's name or pattern; by the rule's id."""
    teams = Team.objects.in_bulk(_ids(rules, LogScope.TEAM))
    slugs = {str(id): team.slug for id, team in teams.items()}
    ids = {}
    for rule in rules:
        ids[rule.id] = rule.subject
        if rule.scope == LogScope.TEAM:
            ids[rule.id] = slugs.get(rule.subject, rule.subject)
        elif rule.scope == LogScope.KEY:
            ids[rule.id] = id_text(UUID(rule.subject))
    return ids


def _ids(rules: Sequence[LogRule], scope: LogScope) -> list[UUID]:
    return [UUID(rule.subject) for rule in rules if rule.scope == scope]
