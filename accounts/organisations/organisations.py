"""Organisations: one function per write."""

import os
from collections.abc import Collection, Sequence
from typing import Any

from babel.numbers import list_currencies
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.text import slugify
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.changes import change_row
from accounts.audit.epoch import bump_epoch
from accounts.keys import keys
from accounts.limits.data_policy import REGION_MAX, REGIONS_MAX, is_region
from accounts.models import Membership, Organisation, Role, Team, User
from accounts.names.labels import LABELS
from accounts.names.names import check_name
from lib import clock
from lib.refusal import Refused, check_text

FIRST_TEAM = "core"
SLUG_LENGTH = 50
REASON_MAX = 500


def create_organisation(
    name: str, *, owner: User | None, actor: Actor, slug: str = ""
) -> Organisation:
    """Create an organisation with one team and with the key that meters its playground.

    Without a slug, derive one from the name; a taken one gets a short random suffix. Raises Refused
    for an invalid name.
    """
    checked = check_name(name)
    with transaction.atomic():
        organisation = _create_organisation(checked, slug or slugify(checked)[:SLUG_LENGTH])
        Team.objects.create(organisation=organisation, name=FIRST_TEAM, slug=FIRST_TEAM)
        keys.make_playground_key(organisation)
        if owner is not None:
            Membership.objects.create(user=owner, organisation=organisation, role=Role.OWNER)
        audit.record(actor, organisation, "organisation.created", organisation, name=checked)
        bump_epoch()
    return organisation


def create_for(name: str, owner: str, *, actor: Actor) -> Organisation:
    """Create an organisation owned by the person with that address, or else by the actor, who can
    then invite others. Raises Refused for an unknown address, and if the owner would be an actor
    that is not a person: nobody could enter the organisation."""
    person = actor.user
    if owner:
        person = User.objects.filter(email__iexact=owner, is_active=True).first()
    if person is None:
        text = gettext(
            "No account uses this address. Leave it empty to own the organisation "
            "yourself, then invite the owner."
        )
        raise Refused("owner", text)
    return create_organisation(name, owner=person, actor=actor)


def rename_organisation(organisation: Organisation, name: str, *, actor: Actor) -> Organisation:
    """Change the name; the slug stays. Raises Refused for an invalid name."""
    return change_row(organisation, "organisation.renamed", actor, name=check_name(name))


def set_retention(organisation: Organisation, hours: int, *, actor: Actor) -> Organisation:
    """Set how many hours (0 to 24) the organisation's responses are stored for requests that
    continue them."""
    return change_row(organisation, "organisation.changed", actor, retention_hours=hours)


def set_client_address_days(organisation: Organisation, days: int, *, actor: Actor) -> Organisation:
    """Set how many days (0 to 365) the client address of each request is stored; 0 stores none."""
    return change_row(organisation, "organisation.changed", actor, client_address_days=days)


def set_include_cost(organisation: Organisation, wanted: bool, *, actor: Actor) -> Organisation:
    """Set whether responses include their charge when the request does not specify it."""
    return change_row(organisation, "organisation.changed", actor, include_cost=wanted)


def set_display_currency(organisation: Organisation, code: str, *, actor: Actor) -> Organisation:
    """Set the currency (ISO 4217) in which pages also show amounts; "" means none. Raises Refused
    for an unknown currency."""
    code = code.strip().upper()
    if code in ("", organisation.currency):
        code = ""
    elif code not in list_currencies():
        text = gettext("Enter the three letters of a currency, such as EUR.")
        raise Refused("display_currency", text)
    return change_row(organisation, "organisation.changed", actor, display_currency=code)


def set_data_policy(
    organisation: Organisation, *, zero_retention: bool, regions: Sequence[str], actor: Actor
) -> Organisation:
    """Set where the organisation's requests may be sent: only to providers that store nothing, or
    only to providers in these regions. Raises Refused for an invalid region."""
    if len(regions) > REGIONS_MAX:
        text = gettext("You can list up to %(n)s entries.")
        raise Refused("data_regions", text % {"n": REGIONS_MAX})
    for region in regions:
        if not is_region(region):
            text = gettext("%(word)s is not a region. Enter one such as eu or us-east-1.")
            raise Refused("data_regions", text % {"word": region[:REGION_MAX]})
    changes = {"zero_retention": zero_retention, "data_regions": sorted(set(regions))}
    return change_row(organisation, "organisation.changed", actor, **changes)


def force_second_factor(
    organisation: Organisation, role_names: Collection[str], *, actor: Actor
) -> Organisation:
    """Set the roles whose members must use a second factor; none means nobody must."""
    names = sorted(role_names)
    return change_row(organisation, "organisation.changed", actor, second_factor_roles=names)


def require_labels(of: Organisation | Team, labels: Collection[str], *, actor: Actor) -> None:
    """Set the labels that each request of an organisation or a team must have. Raises Refused for
    an invalid label."""
    for label in labels:
        if label not in LABELS:
            text = gettext("Unknown label %(label)s. Choose from: %(known)s.")
            known = ", ".join(LABELS)
            raise Refused("required_labels", text % {"label": label, "known": known})
    noun = of._meta.model_name
    change_row(of, f"{noun}.changed", actor, required_labels=sorted(set(labels)))


def archive_organisation(organisation: Organisation, *, actor: Actor) -> Organisation:
    """Archive an organisation: its keys stop working and its pages close. Its records are kept."""
    return change_row(organisation, "organisation.archived", actor, archived_at=clock.now())


def restore_organisation(organisation: Organisation, *, actor: Actor) -> Organisation:
    """Restore an archived organisation to its previous state."""
    return change_row(organisation, "organisation.restored", actor, archived_at=None)


def suspend_organisation(organisation: Organisation, reason: str, *, actor: Actor) -> Organisation:
    """Suspend an organisation: its keys stop working, and its members can only read and see the
    reason."""
    return change_row(
        organisation,
        "organisation.suspended",
        actor,
        suspended_at=clock.now(),
        suspended_reason=check_text("reason", reason, REASON_MAX),
    )


def lift_suspension(organisation: Organisation, *, actor: Actor) -> Organisation:
    """Let a suspended organisation work again."""
    return change_row(
        organisation, "organisation.unsuspended", actor, suspended_at=None, suspended_reason=""
    )


def _create_organisation(name: str, slug: str) -> Organisation:
    if slug:
        try:
            with transaction.atomic():
                return Organisation.objects.create(name=name, slug=slug)
        except IntegrityError:
            slug += "-"
    return Organisation.objects.create(name=name, slug=slug + random_ending())


def slug_of_name(name: str) -> str:
    """Return the plain slug for the name of a team or project, for addresses and labels. It is
    empty for a name without Latin letters and digits."""
    return slugify(name)[:SLUG_LENGTH]


def choose_slug(others: QuerySet[Any], name: str) -> str:
    """Return the slug of a new team or project, or "" if one of the others has its name. The plain
    slug gets a random ending if another one has it ("研发 A" and "市场 A"), or if it is `new`, the
    address of the form that creates one."""
    if others.filter(name__iexact=name).exists():
        return ""
    plain = slug_of_name(name)
    if plain not in ("", "new") and not others.filter(slug=plain).exists():
        return plain
    ending = random_ending()
    return f"{plain[: SLUG_LENGTH - len(ending) - 1]}-{ending}" if plain else ending


def random_ending() -> str:
    """Return a random suffix that makes a slug unique."""
    return os.urandom(4).hex()
