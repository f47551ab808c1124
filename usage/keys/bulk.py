"""One change of several keys: a preview for each key, and its execution."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from django.db import transaction
from django.utils.formats import date_format
from django.utils.translation import gettext

from accounts.access import access
from accounts.access.actors import Actor
from accounts.keys import keys
from accounts.models import Key, KeyKind
from accounts.secrets import key_lookup
from billing.currency.money import format_usd
from billing.limits import budgets
from billing.models import Budget, BudgetScope
from lib import clock
from lib.numbers.formatting import group_digits
from lib.refusal import Refused
from usage.limits import budget_simulation
from usage.limits.budget_forms import PERIOD_NAMES

KEYS_MAX: Final = 200
"""The maximum number of keys that one change takes."""
LIMITS: Final = ("rpm", "tpm", "parallel")


@dataclass(frozen=True)
class Planned:
    """The planned change of one key: fields with their old and new values, or the `reason` why the
    key stays unchanged."""

    key: Key
    before: str = ""
    after: str = ""
    reason: str = ""

    @property
    def changes(self) -> bool:
        return not self.reason


@dataclass(frozen=True)
class Change:
    """A change of keys. `plan` returns the fields of one key before and after, or why the key stays
    unchanged. `write` changes the key and may raise Refused."""

    plan: Callable[[Key], tuple[str, str] | str]
    write: Callable[[Key], object]


def plan_change(actor: Actor, chosen: Sequence[Key], change: Change) -> list[Planned]:
    """Preview the change for each of these keys. Nothing is written."""
    return [_plan_key(actor, key, change) for key in chosen]


def digest_of(planned: Sequence[Planned]) -> str:
    """Return a digest of a plan, so that only the confirmed plan is executed."""
    lines = [repr((str(row.key.id), row.before, row.after, row.reason)) for row in planned]
    return sha256("\n".join(lines).encode()).hexdigest()


def apply_planned(planned: Sequence[Planned], change: Change) -> int:
    """Execute the plan for all keys, or for none if one is refused. Return the number of keys.
    Raises Refused, whose text names the key."""
    changing = [row.key for row in planned if row.changes]
    with transaction.atomic():
        for key in changing:
            try:
                change.write(key)
            except Refused as refused:
                text = gettext("Key %(name)s: %(why)s")
                why = {"name": key.name, "why": refused.message}
                raise Refused(refused.field, text % why) from refused
    return len(changing)


def _plan_key(actor: Actor, key: Key, change: Change) -> Planned:
    if key.revoked_at is not None:
        return Planned(key, reason=gettext("Already revoked"))
    if not access.may_write_key(actor, key):
        return Planned(key, reason=gettext("You cannot change this key"))
    planned = change.plan(key)
    if isinstance(planned, str):
        return Planned(key, reason=planned)
    before, after = planned
    if before == after:
        return Planned(key, reason=before)
    return Planned(key, before, after)


# The changes --------------------------------------------------------------------------------------


def state_change(actor: Actor, *, disabled: bool) -> Change:
    """Return the change that disables keys, or enables them again."""
    after = gettext("Disabled") if disabled else gettext("Active")

    def plan(key: Key) -> tuple[str, str] | str:
        if key_lookup.key_state(key, clock.now()) == "expired":
            return gettext("Has expired")
        return gettext("Disabled") if key.disabled else gettext("Active"), after

    return Change(plan, lambda key: keys.change_key(actor, key, disabled=disabled))


def revocation(actor: Actor) -> Change:
    """Return the change that revokes keys permanently."""

    def plan(key: Key) -> tuple[str, str]:
        state = key_lookup.key_state(key, clock.now())
        words = {"expired": gettext("Expired"), "disabled": gettext("Disabled")}
        return words.get(state, gettext("Active")), gettext("Revoked")

    return Change(plan, lambda key: keys.revoke_key(actor, key))


def expiry_change(actor: Actor, expires_at: dt.datetime | None) -> Change:
    """Return the change that sets when keys expire; None means never."""

    def plan(key: Key) -> tuple[str, str]:
        return _time(key.expires_at), _time(expires_at)

    return Change(plan, lambda key: keys.change_key(actor, key, expires_at=expires_at))


def limits_change(actor: Actor, limits: Mapping[str, int | None]) -> Change:
    """Return the change that sets some of the limits of keys; None means no limit."""

    def plan(key: Key) -> tuple[str, str]:
        now = {name: getattr(key, name) for name in LIMITS}
        return _limits_text(now), _limits_text({**now, **limits})

    return Change(plan, lambda key: keys.change_key(actor, key, **limits))


def budget_change(
    actor: Actor, own: Mapping[str, Budget], amount_nano: int | None, period: str
) -> Change:
    """Return the change that sets the budget of each key, or removes it (`amount_nano` None). `own`
    are the current budgets by key id."""

    def plan(key: Key) -> tuple[str, str] | str:
        if key.kind != KeyKind.RELAY:
            return gettext("A management key spends nothing")
        budget = own.get(str(key.id))
        before = _budget(budget.amount_nano, budget.period) if budget else _budget(None, "")
        return before, _budget(amount_nano, period)

    def write(key: Key) -> None:
        set_key_budget(actor, key, own.get(str(key.id)), amount_nano, period)

    return Change(plan, write)


def set_key_budget(
    actor: Actor, key: Key, budget: Budget | None, amount_nano: int | None, period: str
) -> None:
    """Set the budget of a key; None removes it. Another period requires a new budget."""
    if budget is not None and (amount_nano is None or budget.period != period):
        budgets.remove_budget(actor, budget)
        budget = None
    if amount_nano is None:
        return
    if budget is not None:
        budget_simulation.change_budget(actor, budget, amount_nano=amount_nano)
        return
    budget_simulation.create_budget(
        actor,
        key.organisation,
        scope=BudgetScope.KEY,
        subject=str(key.id),
        amount_nano=amount_nano,
        period=period,
    )


# Texts ------------------------------------------------------------------------------------------


def _time(at: dt.datetime | None) -> str:
    return gettext("Never") if at is None else f"{date_format(at, 'DATETIME_FORMAT')} UTC"


def _limits_text(limits: Mapping[str, int | None]) -> str:
    words: dict[str, Any] = {
        "rpm": gettext("%(n)s requests/min"),
        "tpm": gettext("%(n)s tokens/min"),
        "parallel": gettext("%(n)s at a time"),
    }
    phrases = [words[name] % {"n": group_digits(n)} for name in LIMITS if (n := limits[name])]
    return ", ".join(phrases) or gettext("No limit")


def _budget(amount_nano: int | None, period: str) -> str:
    if amount_nano is None:
        return gettext("No budget")
    return f"{format_usd(amount_nano)} USD · {PERIOD_NAMES[period]}"
