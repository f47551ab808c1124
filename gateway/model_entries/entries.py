"""Operators' entries for models: writes with validation, audit events and notification of the
relays; and which models a page may show, by the same rule as the relay's."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict, Unpack

from django.db import connection, transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from billing.models import Plan
from gateway.aliases.aliases import AliasCycle, check_aliases, write_aliases
from gateway.channels.model_names import check_model_name
from gateway.model_entries import rules
from gateway.model_entries.rules import LIMITS, PLANS_MAX, ROLES, TOKENS_MAX, is_visible
from gateway.models import ModelEntry
from gateway.providers.overrides import CAPABILITIES
from lib import clock
from lib.refusal import Refused


class EntryFields(TypedDict, total=False):
    """The fields that a write may set. Omitted ones stay as they are."""

    can: Mapping[str, bool]
    context_max: int | None
    output_max: int | None
    deprecated_at: dt.datetime | None
    sunset_at: dt.datetime | None
    replacement: str
    forwards: bool
    plans: Sequence[str]
    roles: Sequence[str]


FIELDS: Final = tuple(EntryFields.__annotations__)


def save_entry(
    actor: Actor,
    name: str,
    *,
    aliases: Sequence[str] | None = None,
    **fields: Unpack[EntryFields],
) -> ModelEntry:
    """Save a model's entry, and its aliases; None leaves them as they are. Raises Refused."""
    with transaction.atomic():
        entry = write_entry(actor, name, **fields)
        if aliases is not None:
            write_aliases(actor, name, aliases)
        try:
            check_aliases()
        except AliasCycle as cycle:
            raise Refused("aliases" if aliases else "replacement", str(cycle)) from cycle
    return entry


def write_entry(actor: Actor, name: str, **fields: Unpack[EntryFields]) -> ModelEntry:
    """Write one of several entries; the caller runs `check_aliases` later in the same transaction.
    A sunset without a deprecation is announced from now on. A plan that was deleted stays in an
    entry, so that the model is not shown to everybody. Raises Refused."""
    check_model_name("name", name, pattern=False)
    with connection.cursor() as cursor:
        # The lock is needed because, of two concurrent writes, neither would see the cycle that
        # they create together.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('weir aliases'))")
    stored = ModelEntry.objects.filter(name=name).first()
    before = facts_of(stored) if stored else {}
    stored_plans = stored.plans if stored else []
    entry = stored or ModelEntry(name=name)
    for field, value in fields.items():
        setattr(entry, field, _stored_form(value))
    if entry.sunset_at is not None and entry.deprecated_at is None:
        entry.deprecated_at = min(clock.now(), entry.sunset_at)
    _check(entry, stored_plans)
    after = facts_of(entry)
    if after != before:
        entry.save()
        audit.record(
            actor, None, "model.saved", entry,
            name=name, before=_audit_fields(before), after=_audit_fields(after),
        )  # fmt: skip
        bump_epoch()
    return entry


def remove_entry(actor: Actor, entry: ModelEntry) -> None:
    """Remove everything that operators stated about the model, unless others have done so
    meanwhile."""
    with transaction.atomic():
        locked = ModelEntry.objects.select_for_update().filter(pk=entry.pk).first()
        if locked is None:
            return
        before = _audit_fields(facts_of(locked))
        audit.record(actor, None, "model.cleared", locked, name=locked.name, before=before)
        locked.delete()
        bump_epoch()


def facts_of(entry: ModelEntry) -> dict[str, Any]:
    """Return the stored fields that a write may set."""
    return {name: getattr(entry, name) for name in FIELDS}


def visible_entries() -> list[ModelEntry]:
    """Return the entries with content; a probe alone does not count."""
    nothing = facts_of(ModelEntry())
    return [entry for entry in ModelEntry.objects.order_by("name") if facts_of(entry) != nothing]


def all_entries() -> dict[str, ModelEntry]:
    """Return all entries by name."""
    return {entry.name: entry for entry in ModelEntry.objects.all()}


def absent_names(plan: str, role: str, at: dt.datetime) -> frozenset[str]:
    """Return the names that do not exist for a plan ("" for none) and role: hidden ones, and those
    that have ended."""
    return frozenset(
        entry.name
        for entry in ModelEntry.objects.all()
        if not is_visible(entry.plans or None, plan)
        or not is_visible(entry.roles or None, role)
        or (entry.sunset_at is not None and entry.sunset_at <= at)
    )


def ending_of(entry: ModelEntry | None) -> ModelEntry | None:
    """Return the entry if the model is deprecated by now, else None."""
    at = None if entry is None else entry.deprecated_at
    return None if at is None or at > clock.now() else entry


def overrides_of(entry: ModelEntry | None) -> frozenset[tuple[str, int]]:
    """Return the entry's capabilities and limits in the relay's form."""
    if entry is None:
        return frozenset()
    return rules.overrides_of(entry.can, entry.context_max, entry.output_max)


def _stored_form(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return value if isinstance(value, str) or not isinstance(value, Sequence) else sorted(value)


def _audit_fields(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, dt.datetime) else value
        for name, value in facts.items()
    }


def _check(entry: ModelEntry, stored_plans: Sequence[str]) -> None:
    unknown = set(entry.can) - set(CAPABILITIES)
    if unknown:
        text = gettext("There is no capability named %(name)s.")
        raise Refused("can", text % {"name": min(unknown)[:60]})
    for name in LIMITS:
        n = getattr(entry, name)
        if n is not None and not 1 <= n <= TOKENS_MAX:
            text = gettext("Enter a number from 1 to %(n)s.")
            raise Refused(name, text % {"n": TOKENS_MAX})
    _check_end(entry)
    if len(entry.plans) > PLANS_MAX:
        raise Refused("plans", gettext("Enter at most %(n)s values.") % {"n": PLANS_MAX})
    plans = Plan.objects.filter(name__in=entry.plans).values_list("name", flat=True)
    missing = set(entry.plans) - set(plans) - set(stored_plans)
    if missing:
        text = gettext("There is no plan named %(name)s.")
        raise Refused("plans", text % {"name": min(missing)[:60]})
    others = set(entry.roles) - set(ROLES)
    if others:
        text = gettext("There is no role named %(name)s.")
        raise Refused("roles", text % {"name": min(others)[:60]})


def _check_end(entry: ModelEntry) -> None:
    since, until = entry.deprecated_at, entry.sunset_at
    if until is not None and since is not None and until < since:
        raise Refused("sunset_at", gettext("Enter a time after the deprecation."))
    if entry.replacement:
        check_model_name("replacement", entry.replacement, pattern=False)
    if entry.replacement == entry.name:
        raise Refused("replacement", gettext("A model cannot be its own replacement."))
    if entry.forwards and not entry.replacement:
        raise Refused("replacement", gettext("Name the model that answers from then on."))
