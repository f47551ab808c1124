"""Access to the texts that the content log keeps."""

import datetime as dt
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404

from accounts.access.access import require, scope_of
from accounts.access.actors import Actor
from content.models import Entry
from lib import clock


def visible_entries(actor: Actor) -> QuerySet[Entry]:
    """Return the entries that the actor may read now, newest first. Raises AccessDenied."""
    require(actor, "content.read")
    entries = Entry.objects.filter(organisation=actor.organisation, expires_at__gt=clock.now())
    if scope_of(actor, "content.read") == "teams":
        entries = entries.filter(team_id__in=actor.authority.teams_of("content.read"))
    return entries.order_by("-created_at", "-request_id")


def kept_until(actor: Actor, request_id: UUID) -> dt.datetime | None:
    """Return how long the texts of a request that the actor sees are kept; None if they are not."""
    entries = Entry.objects.filter(organisation=actor.organisation, expires_at__gt=clock.now())
    expiry: dt.datetime | None = (
        entries.filter(request_id=request_id).values_list("expires_at", flat=True).first()
    )
    return expiry


def access_entry(actor: Actor, request_id: UUID) -> Entry:
    """Return the entry of a request that the actor may read. Raises AccessDenied, Http404."""
    entry = visible_entries(actor).filter(request_id=request_id).first()
    if entry is None:
        raise Http404
    return entry
