"""Which keys may pay for playground requests, by role: an organisation's choice. Without a rule for
a role, its people may use any key that they may list."""

from collections.abc import Mapping
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext

from accounts.access.access import payable_keys, require
from accounts.access.actors import Actor, organisation_of
from accounts.audit import audit
from accounts.members.forms import role_label
from accounts.models import CustomRole, Key, Membership, Organisation, Role
from accounts.roles.rules import permitted_scope, roles_with
from lib.ids import id_text
from lib.refusal import Refused
from playground.models import OrganisationPreference, PayerRule

_USES: Final = "playground.use"


def rules_of(organisation: Organisation) -> dict[str, PayerRule]:
    """Return the rule of each role whose people use the playground. A built-in role is given by
    name, a custom one by id."""
    chosen = OrganisationPreference.objects.filter(organisation=organisation).first()
    stored = chosen.payer_rules if chosen else {}
    return {role: PayerRule(stored.get(role, PayerRule.ANY)) for role in roles_of(organisation)}


def roles_of(organisation: Organisation) -> dict[str, str]:
    """Return the roles whose people use the playground, each with its display name."""
    built_in = [Role(role) for role in roles_with(_USES) if role in Role.values]
    custom = CustomRole.objects.filter(organisation=organisation).order_by("name")
    return {
        **{role.value: role_label(role) for role in built_in},
        **{id_text(r.id): r.name for r in custom if permitted_scope(r.permissions, _USES)},
    }


def rules_by_name(organisation: Organisation) -> dict[str, PayerRule]:
    """Return the rules by role name, including custom roles."""
    names = {role: name for role, name in roles_of(organisation).items() if role not in Role.values}
    return {names.get(role, role): rule for role, rule in rules_of(organisation).items()}


def rule_of(actor: Actor) -> PayerRule:
    """Return the actor's rule. A non-member, such as a viewing operator, may use any key."""
    organisation = organisation_of(actor)
    member = Membership.objects.filter(user=actor.user, organisation=organisation).first()
    if member is None:
        return PayerRule.ANY
    role = id_text(member.custom_role_id) if member.custom_role_id else member.role
    return rules_of(organisation).get(role, PayerRule.ANY)


def paying_keys(actor: Actor, rule: PayerRule) -> QuerySet[Key]:
    """Return the keys, besides the playground's own, that the actor may choose under the rule."""
    keys = payable_keys(actor)
    if rule == PayerRule.PLAYGROUND:
        return keys.none()
    if rule in (PayerRule.OWN, PayerRule.OWN_OR_PLAYGROUND):
        return keys.filter(user=actor.user)
    return keys.filter(service_account=None) if rule == PayerRule.PEOPLE else keys


def check_playground_key(actor: Actor) -> None:
    """Raise Refused unless the playground's own key may pay for the actor's requests."""
    if rule_of(actor) == PayerRule.OWN:
        text = gettext("Your organisation lets you pay with your own API keys only. Choose one.")
        raise Refused("key", text)


def change_rules(actor: Actor, rules: Mapping[str, str]) -> dict[str, PayerRule]:
    """Set the rule of these roles, from the next message on. Raises Refused for a role that does
    not use the playground, and for an unknown rule."""
    if not actor.installation:
        require(actor, "playground.write")
    organisation = organisation_of(actor)
    known = roles_of(organisation)
    for role, rule in rules.items():
        if role not in known:
            raise Refused(
                "rules",
                gettext("%(role)s is not a role that can use the playground.") % {"role": role},
            )
        if rule not in PayerRule.values:
            text = gettext("There is no rule named %(rule)s. Choose from: %(known)s.")
            raise Refused("rules", text % {"rule": rule, "known": ", ".join(PayerRule.values)})
    with transaction.atomic():
        preference, _ = OrganisationPreference.objects.select_for_update().get_or_create(
            organisation=organisation
        )
        before = preference.payer_rules
        after = {role: rule for role, rule in before.items() if role in known} | dict(rules)
        if after == before:
            return rules_of(organisation)
        preference.payer_rules = after
        preference.save(update_fields=["payer_rules"])
        _record(actor, organisation, before, after)
    return rules_of(organisation)


def _record(
    actor: Actor, organisation: Organisation, before: dict[str, Any], after: dict[str, Any]
) -> None:
    action = "playground.payer_rules_changed"
    audit.record(actor, organisation, action, organisation, before=before, after=after)
