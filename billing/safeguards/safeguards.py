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
from django.utils.translation import gettext

from accounts.access.access import get_by_id, require
from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.models import Organisation
from billing.currency.money import format_usd, parse_usd
from billing.models import Safeguard, SafeguardName
from billing.safeguards.rules import DEFAULTS, is_relaxed, is_valid
from lib.database.tenancy import use_tenant
from lib.ids import parse_number
from lib.refusal import Refused

VARIABLES: Final = {
    SafeguardName.CREDIT_LIMIT: "CREDIT_LIMIT_USD",
    SafeguardName.AUDIT_RETENTION: "AUDIT_RETENTION_DAYS",
}


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
    """Return every safeguard with a set or proposed value, for operators."""
    require(actor, "credits.read")
    rows = Safeguard.objects.select_related("organisation", "proposed_by")
    return rows.order_by("name", "organisation__name")


def access_safeguard(actor: Actor, id: str) -> Safeguard:
    """Return a safeguard by its id. Raises Http404."""
    return get_by_id(all_safeguards(actor), parse_number(id))


def set_safeguard(
    actor: Actor, name: str, value: int, organisation: Organisation | None = None
) -> Safeguard:
    """Set a stricter value, or propose another value for a second operator to approve. Raises
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
            if actor.user is None:
                raise Refused("value", gettext("Only a person can propose this."))
            row.proposed, row.proposed_by = value, actor.user
            action = "safeguard.proposed"
        else:
            row.value, row.proposed, row.proposed_by = value, None, None
            action = "safeguard.changed"
        row.save()
        _audit(actor, action, row, before, value)
    return row


def approve_safeguard(actor: Actor, row: Safeguard) -> Safeguard:
    """Set the value that another operator has proposed. Raises Refused."""
    return _decide(actor, row, approve=True)


def reject_safeguard(actor: Actor, row: Safeguard) -> Safeguard:
    """Reject a proposal; the operator who made it may withdraw it this way. Raises Refused."""
    return _decide(actor, row, approve=False)


def _decide(actor: Actor, row: Safeguard, *, approve: bool) -> Safeguard:
    with transaction.atomic():
        locked = Safeguard.objects.select_for_update(of=("self",)).get(pk=row.pk)
        # The approver has seen this value; a value that was proposed since is not approved.
        if locked.proposed is None or locked.proposed != row.proposed:
            raise Refused("value", gettext("This was already decided."))
        if approve and (actor.user is None or actor.user.pk == locked.proposed_by_id):
            text = gettext("You proposed this yourself. Another operator has to approve it.")
            raise Refused("value", text)
        before, value = _value_in_force(locked.name, locked.organisation), locked.proposed
        if approve:
            locked.value = value
        locked.proposed, locked.proposed_by = None, None
        locked.save()
        _audit(actor, f"safeguard.{'approved' if approve else 'rejected'}", locked, before, value)
    return locked


def format_value(name: str, value: int) -> str:
    """Return a value as in the API and the audit log: USD, or days."""
    return format_usd(value) if name == SafeguardName.CREDIT_LIMIT else str(value)


def _audit(actor: Actor, action: str, row: Safeguard, before: int, value: int) -> None:
    audit.record(
        actor, row.organisation, action, row, name=row.name,
        before=format_value(row.name, before), after=format_value(row.name, value),
    )  # fmt: skip


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
