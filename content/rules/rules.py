"""Which requests and answers are kept.

A rule *Keep nothing* that fits always applies. Otherwise the most specific rule does: the key's,
then the model's, the team's, the organisation's. Of several patterns that fit a model, an exact
name comes first, then the longest. Without a rule nothing is kept. A rule that has ended does not
apply. A policy can shorten the time of each rule.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from billing.prices.name_patterns import matches
from content.policies.limits import RETENTION_HOURS_MAX as RETENTION_HOURS_MAX

# Texts that are kept for a shorter time are dropped by the hour, others by the day.
_BY_HOUR_BELOW: Final = 48
_HOUR: Final = dt.timedelta(hours=1)
_DAY: Final = dt.timedelta(days=1)

Scope = Literal["organisation", "team", "key", "model"]
Kept = Literal["everything", "errors", "nothing"]
Redacted = Literal["secret", "private_key", "card", "iban", "email", "telephone"]
REDACTED: Final[tuple[Redacted, ...]] = (
    "secret", "private_key", "card", "iban", "email", "telephone",
)  # fmt: skip
"""The guards that a rule can use before a text is kept."""
REDACTED_BY_DEFAULT: Final[tuple[Redacted, ...]] = ("secret", "private_key", "card", "iban")
_ORDER: Final[tuple[Scope, ...]] = ("key", "model", "team", "organisation")


class Rule(NamedTuple):
    """What is kept of the requests in a scope. `subject` is the id of the team or key, or the name
    or pattern of the model. `redact` are the guards whose findings are masked before a text is
    kept, beside those of the key's policies. `until` is when the rule ends, in Unix seconds."""

    scope: Scope
    subject: str
    keep: Kept
    share_percent: int
    retention_hours: int
    callers_may_opt_out: bool
    redact: tuple[Redacted, ...] = REDACTED_BY_DEFAULT
    until: float | None = None


def rule_for(rules: Iterable[Rule], *, team: str, key: str, model: str, at: float) -> Rule | None:
    """Return the rule that applies to a request at that time, in Unix seconds; one that keeps
    nothing included."""
    subjects = {"organisation": "", "team": team, "key": key}
    own = [rule for rule in rules if rule.scope == "model" or rule.subject == subjects[rule.scope]]
    return first_rule(in_order(own), model, at)


def in_order(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return the rules of a key so that the first one that fits a model applies."""
    return tuple(sorted(rules, key=_order))


def first_rule(rules: Iterable[Rule], model: str, at: float) -> Rule | None:
    """Return the rule that applies to a model at that time, of the rules of a key, which are in
    order."""
    for rule in rules:
        if (rule.until is None or at < rule.until) and (
            rule.scope != "model" or matches(rule.subject, model)
        ):
            return rule
    return None


def limit_rule(rule: Rule, hours_max: int | None) -> Rule:
    """Return a rule that keeps texts for at most `hours_max`, which `retention_max` of
    `content.policies.limits` returns; for 0 one that keeps nothing."""
    if hours_max is None or rule.retention_hours <= hours_max:
        return rule
    if hours_max == 0:
        return rule._replace(keep="nothing")
    return rule._replace(retention_hours=hours_max)


def _order(rule: Rule) -> tuple[bool, int, bool, int]:
    specificity = _ORDER.index(rule.scope), "*" in rule.subject, -len(rule.subject)
    return rule.keep != "nothing", *specificity


def keeps(rule: Rule, *, failed: bool, opted_out: bool, drawn: int) -> bool:
    """Return whether a request is kept. `drawn` is a number from 0 to 99, drawn for the request."""
    if rule.keep == "nothing" or (opted_out and rule.callers_may_opt_out):
        return False
    return (failed or rule.keep == "everything") and drawn < rule.share_percent


def may_keep(rules: Iterable[Rule], *, opted_out: bool, at: float, failed: bool = False) -> bool:
    """Return whether a request of a key to any model may be kept at that time, of those that fail
    or of the others. `rules` are those of the key."""
    present = [one for one in rules if one.until is None or at < one.until]
    if any(one.keep == "nothing" and one.scope != "model" for one in present):
        return False
    return any(keeps(one, failed=failed, opted_out=opted_out, drawn=0) for one in present)


def drop_at(created_at: dt.datetime, retention_hours: int) -> dt.datetime:
    """Return when the partition of an entry is dropped: at the end of the hour in UTC, or of the
    day, in which the entry expires."""
    expires = created_at.astimezone(dt.UTC) + retention_hours * _HOUR
    if retention_hours < _BY_HOUR_BELOW:
        start = expires.replace(minute=0, second=0, microsecond=0)
        return start if start == expires else start + _HOUR
    start = expires.replace(hour=0, minute=0, second=0, microsecond=0)
    return start if start == expires else start + _DAY
