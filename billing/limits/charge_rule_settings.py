"""The charges of an organisation for abandoned and failed requests, if operators have set them.
Rules of models are model rules (`gateway/routing/model_rules.py`); `charge_rule.py` decides which
rule applies."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from accounts.models import Organisation
from billing.limits.charge_rule import (
    DRAIN_SECONDS_MAX,
    ChargeRule,
    ChargeRuleInvalid,
    build_charge_rule,
    read_rule,
    stored_rule,
)
from billing.models import OrganisationChargeRule
from lib.refusal import Refused


def charge_rule_of(organisation: Organisation) -> ChargeRule | None:
    """Return the organisation's own rule, or None."""
    row = OrganisationChargeRule.objects.filter(organisation=organisation).first()
    return None if row is None else read_rule(row.rule)


def set_charge_rule(actor: Actor, organisation: Organisation, rule: ChargeRule | None) -> None:
    """Set the organisation's rule for requests that end from now on. None removes it."""
    with transaction.atomic():
        Organisation.objects.select_for_update(no_key=True).get(id=organisation.id)
        before, after = stored_rule(charge_rule_of(organisation)), stored_rule(rule)
        if before == after:
            return
        if rule is None:
            OrganisationChargeRule.objects.filter(organisation=organisation).delete()
        else:
            OrganisationChargeRule.objects.update_or_create(
                organisation=organisation, defaults={"rule": after}
            )
        audit.record(
            actor, organisation, "organisation.charge_rule_changed", organisation,
            before={"charge_rule": before}, after={"charge_rule": after},
        )  # fmt: skip
        bump_epoch()


def read_rule_fields(fields: Mapping[str, Any]) -> ChargeRule | None:
    """Build a rule from the fields `kind`, `seconds` and `cost`, or None without a kind. Raises
    Refused for an invalid field."""
    if not fields:
        return None
    try:
        return build_charge_rule(fields["kind"], fields.get("seconds"), fields.get("cost"))
    except ChargeRuleInvalid as error:
        texts = {
            "kind": gettext("Choose what is charged."),
            "seconds": gettext("Enter 1 to %(n)s seconds. Only used when reading continues.")
            % {"n": DRAIN_SECONDS_MAX},
            "cost": gettext("Enter an amount such as 0.05. Only used when reading continues."),
        }
        raise Refused(error.field, texts[error.field]) from error
