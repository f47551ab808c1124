"""Announcements by operators: publish, change and end them; each person can dismiss one."""

import datetime as dt
from typing import Final

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.models import User
from gateway.models import Announcement, AnnouncementDismissal
from lib import clock
from lib.refusal import Refused

SHOWN_MAX: Final = 3
_FIELDS: Final = ("title", "text", "tone", "starts_at", "ends_at")


def current_announcements() -> QuerySet[Announcement]:
    """Return the current announcements, the latest first."""
    now = clock.now()
    ended = Q(ends_at__isnull=False, ends_at__lte=now)
    return Announcement.objects.filter(starts_at__lte=now).exclude(ended)


def announcements_for(user: User) -> list[Announcement]:
    """Return a few of them that the person has not dismissed."""
    closed = AnnouncementDismissal.objects.filter(announcement=OuterRef("id"), user=user)
    return list(current_announcements().filter(~Exists(closed))[:SHOWN_MAX])


def publish_announcement(
    actor: Actor,
    *,
    title: str,
    text: str,
    tone: str,
    starts_at: dt.datetime,
    ends_at: dt.datetime | None,
) -> Announcement:
    """Publish an announcement for a period, or until it is ended. Raises Refused."""
    check_times(starts_at, ends_at)
    with transaction.atomic():
        announcement = Announcement.objects.create(
            title=title,
            text=text,
            tone=tone,
            starts_at=starts_at,
            ends_at=ends_at,
            made_by=actor.user,
        )
        audit.record(
            actor,
            None,
            "announcement.published",
            announcement,
            after=_describe_announcement(announcement),
        )
    return announcement


def change_announcement(
    actor: Actor,
    announcement: Announcement,
    *,
    title: str,
    text: str,
    tone: str,
    starts_at: dt.datetime,
    ends_at: dt.datetime | None,
) -> None:
    """Change an announcement. People who dismissed it see it again, because its text is new. Raises
    Refused."""
    check_times(starts_at, ends_at)
    with transaction.atomic():
        stored = Announcement.objects.select_for_update().get(id=announcement.id)
        before = _describe_announcement(stored)
        stored.title, stored.text, stored.tone = title, text, tone
        stored.starts_at, stored.ends_at = starts_at, ends_at
        stored.save()
        after = _describe_announcement(stored)
        if after != before:
            stored.dismissals.all().delete()
            audit.record(actor, None, "announcement.changed", stored, before=before, after=after)


def check_times(starts_at: dt.datetime, ends_at: dt.datetime | None) -> None:
    """Raise Refused if the end is not after the start."""
    if ends_at is not None and ends_at <= starts_at:
        raise Refused("ends_at", gettext("Enter a time after the start."))


def end_announcement(actor: Actor, announcement: Announcement) -> None:
    """End an announcement. An announcement that has not begun is deleted."""
    with transaction.atomic():
        stored = Announcement.objects.select_for_update().get(id=announcement.id)
        now = clock.now()
        if stored.ends_at is not None and stored.ends_at <= now:
            return
        before = _describe_announcement(stored)
        if stored.starts_at >= now:
            audit.record(actor, None, "announcement.withdrawn", stored, before=before)
            stored.delete()
            return
        stored.ends_at = now
        stored.save()
        audit.record(
            actor,
            None,
            "announcement.ended",
            stored,
            before=before,
            after=_describe_announcement(stored),
        )


def dismiss_announcement(user: User, announcement: Announcement) -> None:
    """Hide the banner of an announcement for this person."""
    AnnouncementDismissal.objects.get_or_create(announcement=announcement, user=user)


def _describe_announcement(announcement: Announcement) -> dict[str, str | None]:
    values = {name: getattr(announcement, name) for name in _FIELDS}
    return {
        name: clock.rfc3339(value) if isinstance(value, dt.datetime) else value
        for name, value in values.items()
    }
