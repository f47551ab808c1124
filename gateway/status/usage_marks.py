"""Marks on the charts of usage: events, as far as the reader may know about them.

price         a price of a visible model has changed
announcement  operators announced something
channel       a channel was disabled or enabled: only for operators
note          a team's admin noted something (`usage/overview/chart_notes.py`)
"""

import datetime as dt
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from django.db.models import Exists, OuterRef
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.models import AuditEvent
from billing.models import PriceKind, PriceVersion
from gateway.models import Announcement
from gateway.price_book.price_book import price_book
from lib import clock
from lib.database.tenancy import use_tenant
from lib.ids import first_id_at, id_text
from usage.buckets.buckets import Span
from usage.filters.filters import Scope
from usage.overview.chart_notes import visible_notes

MARKS_MAX: Final = 200
"""The maximum number of marks of each kind; the newest are kept."""

_SWITCHES: Final = (
    "channel.taken_out", "channel.taken_in", "channel.changed", "channel.archived",
)  # fmt: skip

MarkKind = Literal["price", "announcement", "channel", "note"]


class Mark(NamedTuple):
    """An event at a moment, or a period until `ends_at`. `id` is the id of a note."""

    at: dt.datetime
    kind: MarkKind
    text: str
    ends_at: dt.datetime | None = None
    id: str = ""
    team: str = ""


def marks_of(actor: Actor, span: Span, scope: Scope) -> list[Mark]:
    """Return the events within a span, in their order. With models in the scope, only their prices
    are included."""
    until = min(span.end_at, clock.now())
    passed = Span(span.start_at, max(until, span.start_at))
    marks = [
        *_notes(actor, passed, scope), *_prices(actor, passed, scope), *_announcements(passed),
        *(_channels(passed) if actor.operator else ()),
    ]  # fmt: skip
    return sorted(marks, key=lambda mark: (mark.at, mark.kind, mark.text))


def _notes(actor: Actor, span: Span, scope: Scope) -> Iterator[Mark]:
    rows = visible_notes(actor).filter(at__gte=span.start_at, at__lt=span.end_at).order_by("-at")
    for note in rows[:MARKS_MAX]:
        team = note.team.slug if note.team else ""
        if not scope.teams or not team or team in scope.teams:
            yield Mark(note.at, "note", note.text, id=id_text(note.id), team=team)


def _prices(actor: Actor, span: Span, scope: Scope) -> Iterator[Mark]:
    """Yield price changes. A first price is not one, because nothing changed."""
    earlier = PriceVersion.objects.filter(
        price=OuterRef("price"), valid_from__lt=OuterRef("valid_from")
    )
    versions = PriceVersion.objects.filter(
        Exists(earlier),
        price__kind=PriceKind.CHARGE,
        valid_from__gte=span.start_at,
        valid_from__lt=span.end_at,
    ).order_by("-valid_from", "-id")
    changed = list(versions[:MARKS_MAX])
    if not changed:
        return
    names: dict[int, list[str]] = {}
    for entry in price_book(actor, clock.now()).entries:
        if not scope.models or entry.model in scope.models:
            names.setdefault(entry.price.price_id, []).append(entry.model)
    for version in changed:
        for name in names.get(version.price_id, ()):
            yield Mark(version.valid_from, "price", gettext("New price of %s") % name)


def _announcements(span: Span) -> Iterator[Mark]:
    rows = Announcement.objects.filter(starts_at__gte=span.start_at, starts_at__lt=span.end_at)
    for announcement in rows.order_by("-starts_at", "-id")[:MARKS_MAX]:
        yield Mark(announcement.starts_at, "announcement", announcement.title, announcement.ends_at)


def _channels(span: Span) -> Iterator[Mark]:
    with use_tenant(None):
        events = AuditEvent.objects.filter(
            organisation=None,
            object_type="channel",
            action__in=_SWITCHES,
            # Use the index on the ids, which contain the time.
            id__gte=first_id_at(span.start_at),
            id__lt=first_id_at(span.end_at),
        )
        rows = list(events.order_by("-id")[: 5 * MARKS_MAX])
    count = 0
    for event in rows:
        before, after = (event.detail.get(side) or {} for side in ("before", "after"))
        if before.get("enabled") == after.get("enabled") or count == MARKS_MAX:
            continue
        count += 1
        text = gettext("%s turned on") if after.get("enabled") else gettext("%s turned off")
        yield Mark(event.at, "channel", text % event.detail.get("name", ""))
