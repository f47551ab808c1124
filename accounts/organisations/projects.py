"""Projects of teams: one function per write.

A project's slug is the `project` label of requests made with its keys. It never changes, so that
the project's usage and budgets stay together.
"""

from django.db import transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.changes import change_row, read_again
from accounts.audit.epoch import bump_epoch
from accounts.models import Organisation, Project, Team
from accounts.names.names import check_name
from accounts.organisations.organisations import choose_slug
from lib import clock
from lib.refusal import Refused


def create_project(team: Team, name: str, *, slug: str = "", actor: Actor) -> Project:
    """Create a project. Raises Refused for an invalid name, and if another project of the
    organisation has the given label. Without a label, derive one from the name, and raise Refused
    if another project has the name."""
    checked = check_name(name)
    with transaction.atomic():
        Organisation.objects.select_for_update(no_key=True).get(id=team.organisation_id)
        others = Project.objects.filter(organisation=team.organisation)
        slug = slug or choose_slug(others, checked)
        if not slug or others.filter(slug=slug).exists():
            taken = gettext("Another project is already named %(name)s.") % {"name": checked}
            raise Refused("name", taken, already_exists=True)
        project = Project.objects.create(
            organisation=team.organisation, team=team, name=checked, slug=slug
        )
        audit.record(actor, team.organisation, "project.created", project, name=checked)
        bump_epoch()
    return project


def change_project(project: Project, *, name: str, team: Team, actor: Actor) -> Project:
    """Change the name or the team of a project within its organisation; its keys move with it.
    Raises Refused for an invalid name."""
    with transaction.atomic():
        team = read_again(team)
        changed = change_row(project, "project.changed", actor, name=check_name(name), team=team)
        project.keys.exclude(team=team).update(team=team)
        return changed


def archive_project(project: Project, *, actor: Actor) -> Project:
    """Archive a project: no more keys can be added to it. Its keys and usage stay."""
    return change_row(project, "project.archived", actor, archived_at=clock.now())


def restore_project(project: Project, *, actor: Actor) -> Project:
    """Restore an archived project to its previous state."""
    return change_row(project, "project.restored", actor, archived_at=None)
