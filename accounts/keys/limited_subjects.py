"""Whose limits may be changed: organisations, teams and people."""

from typing import NamedTuple

from accounts.access import access
from accounts.access.actors import Actor
from accounts.models import Membership, Organisation, Team


class Subject(NamedTuple):
    """A subject of limits. `id` is its slug or address, empty for the organisation."""

    scope: str
    id: str
    name: str
    limited: Organisation | Team | Membership


def limited_subjects(actor: Actor) -> list[Subject]:
    """Return the actor's organisation, its teams and its people, in this order. An actor limited to
    teams gets only the teams, because a person's limits apply in all teams."""
    access.require(actor, "budgets.write")
    organisation = actor.organisation
    # The lead of a team sets budgets within the team's own, but no limits.
    by_role = actor.authority.scope_by_role("budgets.write")
    if organisation is None or by_role is None:
        return []
    teams = [
        Subject("team", team.slug, team.name, team)
        for team in access.visible_teams(actor).filter(archived_at=None)
    ]
    if by_role == "teams":
        return teams
    members = organisation.memberships.select_related("user", "organisation")
    return [
        Subject("organisation", "", organisation.name, organisation),
        *teams,
        *(
            Subject("user", member.user.email, member.user.name or member.user.email, member)
            for member in members.order_by("created_at", "id")
        ),
    ]


def limited_subject(actor: Actor, scope: str, id: str) -> Subject | None:
    """Return the subject of that scope and id, or None if the actor cannot access it."""
    matching = (
        subject for subject in limited_subjects(actor) if (subject.scope, subject.id) == (scope, id)
    )
    return next(matching, None)
