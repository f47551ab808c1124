"""Notes on the charts of usage: what happened at a moment."""

import datetime as dt
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext

from accounts.access.access import (
    access_team,
    get_by_id,
    own_keys,
    require,
    scope_of,
    sees_own_besides,
)
from accounts.access.actors import Actor, organisation_of
from accounts.audit import audit
from accounts.models import Key, Team
from lib import clock
from lib.refusal import Refused, check_text
from usage.models import ChartNote

TEXT_MAX: Final = 200
NOTES_MAX: Final = 1000
"""The maximum number of notes of an organisation."""


def visible_notes(actor: Actor) -> QuerySet[ChartNote]:
    """Return the notes of the organisation, and of the teams whose usage the actor sees; for a
    reader of only their own usage, those in which they have a key."""
    require(actor, "usage.read")
    notes = ChartNote.objects.filter(organisation=organisation_of(actor)).select_related("team")
    if actor.model_key:
        return notes.filter(Q(team=None) | Q(team=actor.model_key.team_id))
    scope = scope_of(actor, "usage.read")
    if scope == "all":
        return notes
    own = Key.objects.filter(own_keys(actor), organisation=actor.organisation)
    of_own_keys = Q(team=None) | Q(team__in=own.values("team_id"))
    if scope == "own":
        return notes.filter(of_own_keys)
    of_teams = Q(team=None) | Q(team__in=actor.authority.teams_of("usage.read"))
    besides = of_own_keys if sees_own_besides(actor, "usage.read") else Q()
    return notes.filter(of_teams | besides)


def writable_notes(actor: Actor) -> QuerySet[ChartNote]:
    """Return the notes that the actor may delete: of teams that it administers, and of the whole
    organisation if it administers all teams."""
    require(actor, "teams.write")
    notes = ChartNote.objects.filter(organisation=organisation_of(actor))
    return notes if actor.teams is None else notes.filter(team__in=actor.teams)


def writable_note(actor: Actor, id: str) -> ChartNote:
    """Return one note that the actor may delete. Raises Http404."""
    return get_by_id(writable_notes(actor), id)


def add_note(actor: Actor, at: dt.datetime, text: str, team: str = "") -> ChartNote:
    """Add a note to a moment, for a team by its slug, or for everybody. Raises Refused, and Http404
    for a team that the actor does not belong to."""
    organisation = organisation_of(actor)
    require(actor, "teams.write")
    of = access_team(actor, team) if team else None
    _check(actor, at, of)
    cleaned = _text(text)
    with transaction.atomic():
        if ChartNote.objects.filter(organisation=organisation).count() >= NOTES_MAX:
            raise Refused("text", gettext("There are %d notes. Delete some first.") % NOTES_MAX)
        note = ChartNote.objects.create(
            organisation=organisation, team=of, at=at, text=cleaned, user=actor.user
        )
        audit.record(actor, organisation, "note.added", note, team=team, text=cleaned)
    return note


def change_note(
    actor: Actor, note: ChartNote, *, at: dt.datetime | None = None, text: str | None = None
) -> ChartNote:
    """Change the moment or the text of a note. Raises Refused."""
    with transaction.atomic():
        locked = get_object_or_404(ChartNote.objects.select_for_update(of=("self",)), pk=note.pk)
        before = {"at": locked.at.isoformat(), "text": locked.text}
        locked.at = locked.at if at is None else at
        locked.text = locked.text if text is None else _text(text)
        _check(actor, locked.at, locked.team)
        locked.save(update_fields=["at", "text"])
        after = {"at": locked.at.isoformat(), "text": locked.text}
        audit.record(
            actor, organisation_of(actor), "note.changed", locked, before=before, after=after
        )
    return locked


def delete_note(actor: Actor, note: ChartNote) -> None:
    """Delete a note, unless others have deleted it meanwhile."""
    with transaction.atomic():
        locked = ChartNote.objects.select_for_update().filter(pk=note.pk).first()
        if locked is None:
            return
        audit.record(actor, organisation_of(actor), "note.deleted", locked, text=locked.text)
        locked.delete()


def _text(text: str) -> str:
    checked = check_text("text", text, TEXT_MAX)
    if not checked:
        raise Refused("text", gettext("Enter a text."))
    return checked


def _check(actor: Actor, at: dt.datetime, team: Team | None) -> None:
    if team is None and actor.teams is not None:
        raise Refused("team", gettext("Choose one of your teams."))
    if not 2000 <= at.year < 2200 or at > clock.now():
        raise Refused("at", gettext("Enter a time that has passed."))
