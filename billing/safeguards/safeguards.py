"""Settings that protect the installation from a single operator: one operator can make them
stricter, and only two can relax them.

A value in the environment takes precedence, because only the owner of the machine can change it. An
organisation's own value applies to it, whatever the value for all is.
"""

from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext, gettext_lazy

from accounts.access.access import require
from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.models import Organisation
from billing.approvals.approvals import Kind, register, request_approval, withdraw_waiting
from billing.approvals.rules import Change
from billing.currency.money import format_usd, parse_usd
from billing.models import Approval, Safeguard, SafeguardName
from billing.safeguards.rules import DEFAULTS, is_relaxed, is_valid
from billing.safeguards.words import name_safeguard, show_safeguard
from lib.database.tenancy import use_tenant
from lib.refusal import Refused

VARIABLES: Final = {
    SafeguardName.CREDIT_LIMIT: "CREDIT_LIMIT_USD",
    SafeguardName.AUDIT_RETENTION: "AUDIT_RETENTION_DAYS",
}
SAFEGUARD: Final = "safeguard"
"""The kind of its approvals."""


def credit_limit_nano(organisation: Organisation | None = None) -> int:
    """Return the amount that one operator may credit to an organisation in 24 hours alone."""
    return _value_in_force(SafeguardName.CREDIT_LIMIT, organisation)


def audit_retention_days() -> int:
    """Return the days after which audit events are deleted; 0 keeps them."""
    return _value_in_force(SafeguardName.AUDIT_RETENTION, None)


def set_by_environment(name: str) -> bool:
    """Return whether the environment sets the value for all."""
    return getattr(settings, VARIABLES[SafeguardName(name)]) not in (None, "")


def all_safeguards(actor: Actor) -> QuerySet[Safeguard]:
    """Return every safeguard that was set or requested, for operators."""
    require(actor, "credits.read")
    rows = Safeguard.objects.select_related("organisation")
    return rows.order_by("name", "organisation__name")


def set_safeguard(
    actor: Actor, name: str, value: int, organisation: Organisation | None = None
) -> Safeguard:
    """Set a stricter value, or ask a second operator for another value. Raises
    Refused."""
    if organisation is None and set_by_environment(name):
        text = gettext("Set by %(variable)s in the environment.")
        raise Refused("value", text % {"variable": VARIABLES[SafeguardName(name)]})
    if organisation is not None and name != SafeguardName.CREDIT_LIMIT:
        raise Refused("organisation", gettext("Only the credit limit differs by organisation."))
    if not is_valid(name, value):
        raise Refused("value", gettext("This value is too small or too large."))
    with transaction.atomic():
        row, _ = Safeguard.objects.select_for_update().get_or_create(
            name=name, organisation=organisation
        )
        before = _value_in_force(name, organisation)
        if is_relaxed(name, before, value):
            request_approval(
                actor, SAFEGUARD, str(row.pk), [_change(row, value)],
                about=name, organisation=organisation,
            )  # fmt: skip
            row.refresh_from_db(fields=["value"])
        else:
            withdraw_waiting(actor, SAFEGUARD, str(row.pk))
            _set(actor, row, value)
    return row


def _change(row: Safeguard, value: int) -> Change:
    before = _value_in_force(row.name, row.organisation)
    return Change(
        name=row.name, before=format_value(row.name, before), after=format_value(row.name, value)
    )


def _set(actor: Actor, row: Safeguard, value: int) -> None:
    # An organisation's own value is a change even if it is that for all.
    before = row.value if row.organisation else _value_in_force(row.name, None)
    if before == value:
        return
    change = _change(row, value)
    row.value = value
    row.save(update_fields=["value"])
    audit.record(
        actor, row.organisation, "safeguard.changed", row, name=row.name,
        before=change["before"], after=change["after"],
    )  # fmt: skip


def _safeguard_of(approval: Approval) -> Safeguard:
    rows = Safeguard.objects.select_for_update(of=("self",)).select_related("organisation")
    return rows.get(pk=approval.subject)


def _proposed(approval: Approval) -> int:
    name, after = approval.changes[0]["name"], approval.changes[0]["after"]
    return parse_usd(after) if name == SafeguardName.CREDIT_LIMIT else int(after)


register(
    Kind(
        SAFEGUARD,
        gettext_lazy("Safeguard"),
        "credits.write",
        changes=lambda approval: [_change(_safeguard_of(approval), _proposed(approval))],
        apply=lambda actor, approval: _set(actor, _safeguard_of(approval), _proposed(approval)),
        show=show_safeguard,
        page="safeguards",
        lock=_safeguard_of,
        name_of=name_safeguard,
    )
)


def format_value(name: str, value: int) -> str:
    """Return a value as in the API and the audit log: USD, or days."""
    return format_usd(value) if name == SafeguardName.CREDIT_LIMIT else str(value)


def _value_in_force(name: str, organisation: Organisation | None) -> int:
    own = None if organisation is None else _stored(name, organisation.pk)
    return _value_for_all(name) if own is None else own


def _value_for_all(name: str) -> int:
    if name == SafeguardName.CREDIT_LIMIT and settings.CREDIT_LIMIT_USD:
        return parse_usd(settings.CREDIT_LIMIT_USD)
    if name == SafeguardName.AUDIT_RETENTION and settings.AUDIT_RETENTION_DAYS is not None:
        return int(settings.AUDIT_RETENTION_DAYS)
    stored = _stored(name, None)
    return DEFAULTS[name] if stored is None else stored


def _stored(name: str, organisation_id: UUID | None) -> int | None:
    with use_tenant(None):
        rows = Safeguard.objects.filter(name=name, organisation=organisation_id)
        return rows.values_list("value", flat=True).first()
