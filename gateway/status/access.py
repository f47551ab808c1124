"""Access to announcements: operators can access all of them, others those that are current."""

from django.db.models import QuerySet

from accounts.access.access import get_by_id, require
from accounts.access.actors import Actor
from gateway.models import Announcement
from gateway.status.announcements import current_announcements


def visible_announcements(actor: Actor) -> QuerySet[Announcement]:
    """Return every announcement, the latest first."""
    require(actor, "channels.read")
    return Announcement.objects.select_related("made_by")


def access_announcement(actor: Actor, id: str) -> Announcement:
    """Return an announcement by its id as text. Raises Http404."""
    return get_by_id(visible_announcements(actor), id)


def access_current_announcement(id: str) -> Announcement:
    """Return a current public announcement by its id as text. Raises Http404."""
    return get_by_id(current_announcements(), id)
