"""Teams of an organisation: one function per write."""

from django.db import transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.changes import change_row
from accounts.audit.epoch import bump_epoch
from accounts.models import Key, KeyKind, Organisation, Team
from accounts.names.names import check_name
from accounts.organisations.organisations import choose_slug
from lib import clock
from lib.refusal import Refused


def create_team(organisation: Organisation, name: str, *, slug: str = "", actor: Actor) -> Team:
    """Create a team. Actors who are limited to teams do not join it. Raises Refused for an invalid
    name, and if another team has the given slug. Without a slug, derive one from the name, and
    raise Refused if another team has the name."""
    checked = check_name(name)
    with transaction.atomic():
        # The lock on the organisation's row serialises this: the second of two teams with one name
        # is refused.
        Organisation.objects.select_for_update(no_key=True).get(id=organisation.id)
        slug = slug or choose_slug(organisation.teams.all(), checked)
        if not slug or organisation.teams.filter(slug=slug).exists():
            taken = gettext("Another team is already named %(name)s.") % {"name": checked}
            raise Refused("name", taken, already_exists=True)
        team = Team.objects.create(organisation=organisation, name=checked, slug=slug)
        audit.record(actor, organisation, "team.created", team, name=checked)
        bump_epoch()
    return team


def rename_team(team: Team, name: str, *, actor: Actor) -> Team:
    """Change the name, also to that of another team; the slug stays. Raises Refused for an invalid
    name."""
    return change_row(team, "team.renamed", actor, name=check_name(name))


def archive_team(team: Team, *, actor: Actor) -> Team:
    """Archive a team: its keys stop working and nothing can be created in it. Its usage stays.
    Raises Refused for the last active team. The playground's key moves to the oldest remaining
    team."""
    with transaction.atomic():
        Organisation.objects.select_for_update(no_key=True).get(id=team.organisation_id)
        rest = Team.objects.filter(organisation=team.organisation_id, archived_at=None)
        oldest = rest.exclude(id=team.id).order_by("created_at", "id").first()
        if oldest is None:
            raise Refused("team", gettext("An organisation needs at least one active team."))
        Key.objects.filter(team=team, kind=KeyKind.PLAYGROUND).update(team=oldest)
        return change_row(team, "team.archived", actor, archived_at=clock.now())


def restore_team(team: Team, *, actor: Actor) -> Team:
    """Restore an archived team to its previous state."""
    return change_row(team, "team.restored", actor, archived_at=None)
