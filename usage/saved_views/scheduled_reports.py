"""Reports by email: a saved view of usage over the last week or month, to some members.

A schedule stores when it is due next. The process that finds it due locks it, writes an email for
each receiver into the outbox and advances it, in one transaction. So two workers write each email
once, and a killed one leaves the schedule as it was (P16). Each receiver gets what they may see
now. A report goes on only while its author may still send it: to those to whom the author could
not send it now, it ends, and with nobody left the schedule ends too. The author, and the former
receivers who may still see usage, are told.
"""

import datetime as dt
import logging
from collections.abc import Collection
from dataclasses import replace
from typing import Any, Final, cast
from urllib.parse import parse_qs, urlencode
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext

from accounts.access import access
from accounts.access.actors import (
    SYSTEM,
    Actor,
    actor_of_member,
    memberships,
    organisation_of,
)
from accounts.audit import audit
from accounts.members.access import named_members
from accounts.models import Membership, Organisation, User
from billing.currency.money import format_usd
from lib import clock
from lib.database.tenancy import use_tenant
from lib.ids import id_text, parse_id
from lib.numbers.formatting import group_digits
from lib.refusal import Refused
from lib.sentences import join_words
from outbox.facts import put
from usage.breakdowns.explorer import Explored, explore
from usage.filter_bar.filter_bar import GROUPS_SHOWN, group_label
from usage.filters import filters
from usage.models import ReportReceiver, ReportSchedule, SavedView, ViewPage
from usage.reports.too_many_records import TooManyRecords
from usage.saved_views.report_times import Due, Every, next_due

log = logging.getLogger(__name__)

RECEIVERS_MAX: Final = 50
ROWS_SHOWN: Final = 20
_SALT: Final = "report by mail"
_BATCH: Final = 20


def receivers_of(actor: Actor, view: SavedView) -> QuerySet[Membership]:
    """Return the members to whom the actor may send the view, by address: those whose names the
    actor sees. An actor who sees only their own usage may send it only to themselves."""
    if access.scope_of(actor, "members.read") is None:
        members = memberships().filter(organisation=view.organisation_id, user=actor.user)
    else:
        members = named_members(actor)
        if access.scope_of(actor, "usage.read") == "own":
            members = members.filter(user=actor.user)
    return members.select_related("user").filter(user__is_active=True).order_by("user__email")


def set_schedule(
    actor: Actor,
    view: SavedView,
    every: Every,
    hour: int,
    zone: ZoneInfo,
    people: Collection[int],
) -> ReportSchedule:
    """Send the view to these people from the next time on. Raises Refused."""
    if view.page == ViewPage.REQUESTS:
        raise Refused("people", gettext("Only views of usage can be sent."))
    allowed = {member.user_id for member in receivers_of(actor, view)}
    if not people or not allowed.issuperset(people) or len(people) > RECEIVERS_MAX:
        text = gettext("Choose between 1 and %(most)d members who can see usage.")
        raise Refused("people", text % {"most": RECEIVERS_MAX})
    due = next_due(every, hour, zone, clock.now())
    fields: dict[str, Any] = {"every": every, "hour": hour, "zone": zone.key, "due_at": due.at}
    known = ReportSchedule.objects.filter(view=view, every=every, hour=hour, zone=zone.key).first()
    if known and {receiver.user_id for receiver in known.receivers.all()} == {*people}:
        return known
    with transaction.atomic():
        schedule, _ = ReportSchedule.objects.update_or_create(view=view, defaults=fields)
        schedule.receivers.exclude(user__in=people).delete()
        ReportReceiver.objects.bulk_create(
            [ReportReceiver(schedule=schedule, user_id=id) for id in sorted(people)],
            ignore_conflicts=True,
        )
        audit.record(
            actor, organisation_of(actor), "report.scheduled", schedule,
            name=view.name, every=every, hour=hour, zone=zone.key, receivers=len(people),
        )  # fmt: skip
    return schedule


def end_schedule(actor: Actor, schedule: ReportSchedule) -> None:
    """Stop sending the view."""
    with transaction.atomic():
        name = schedule.view.name
        audit.record(actor, organisation_of(actor), "report.ended", schedule, name=name)
        schedule.delete()


# Sending ----------------------------------------------------------------------------------------


def send_due() -> int:
    """Write the emails of the schedules that are due. Return how many schedules. Several processes
    may run this concurrently."""
    sent = 0
    while sent < _BATCH and _send_next():
        sent += 1
    return sent


def _send_next() -> bool:
    now = clock.now()
    with transaction.atomic():
        schedule = (
            ReportSchedule.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("view__organisation", "view__user")
            .filter(due_at__lte=now)
            .order_by("due_at", "id")
            .first()
        )
        if schedule is None:
            return False
        zone, every = ZoneInfo(schedule.zone), cast(Every, schedule.every)
        just_before = schedule.due_at - dt.timedelta(microseconds=1)
        # After an outage, only the latest missed report is sent.
        due = next_due(every, schedule.hour, zone, just_before)
        while (following := next_due(every, schedule.hour, zone, due.at)).at <= now:
            due = following
        schedule.due_at = following.at
        schedule.save(update_fields=["due_at"])
        if schedule.view.organisation.archived_at is None:
            _send(schedule, due)
    return True


def _send(schedule: ReportSchedule, due: Due) -> None:
    """Write the emails of a schedule, and end the report for those to whom its author may no longer
    send it."""
    view = schedule.view
    author = _reader(view.user, view.organisation)
    allowed = {member.user_id for member in receivers_of(author, view)} if author else set()
    kept, removed = [], []
    for receiver in schedule.receivers.select_related("user").order_by("id"):
        reader = _reader(receiver.user, view.organisation)
        if reader is not None and receiver.user_id in allowed:
            kept.append((receiver, reader))
        else:
            removed.append((receiver, reader))
    for receiver, reader in kept:
        _write_letter(schedule, receiver, reader, due)
    if removed:
        schedule.receivers.filter(id__in=[receiver.id for receiver, _ in removed]).delete()
        audit.record(
            SYSTEM, view.organisation, "report.receivers_removed", schedule,
            name=view.name, receivers=len(removed),
        )  # fmt: skip
    for receiver, reader in removed:
        if reader is not None and receiver.user_id != view.user_id:
            _tell(schedule, receiver.user_id, due, ended="author")
    if not kept:
        audit.record(SYSTEM, view.organisation, "report.ended", schedule, name=view.name)
        schedule.delete()
    if author is None:
        _tell(schedule, view.user_id, due, ended="own")
    elif not kept or removed:
        page = reverse("views", args=[view.organisation.slug])
        change = {"count": len(removed)} if kept else {"ended": "receivers"}
        _tell(schedule, view.user_id, due, page=page, **change)


def _reader(user: User, organisation: Organisation) -> Actor | None:
    """Return the person as an actor in the organisation, or None if they may not see its usage."""
    if not user.is_active:
        return None
    membership = memberships().filter(user=user, organisation=organisation).first()
    actor = actor_of_member(user, organisation, membership)
    return None if access.scope_of(actor, "usage.read") is None else actor


def _tell(schedule: ReportSchedule, user_id: int, due: Due, **body: Any) -> None:
    """Write an email that a report has ended, or has fewer receivers. It names nobody, because it
    outlives what an owner can erase."""
    view = schedule.view
    body = _period_of(view, due, ZoneInfo(schedule.zone)) | body
    put("report.due", None, people=[user_id], name=view.name, of=view.organisation.name, **body)


def _write_letter(
    schedule: ReportSchedule, receiver: ReportReceiver, actor: Actor, due: Due
) -> None:
    view, user = schedule.view, receiver.user
    zone = ZoneInfo(schedule.zone)
    with (
        use_tenant(view.organisation_id),
        translation.override(user.language or settings.LANGUAGE_CODE),
    ):
        body = _period_of(view, due, zone)
        try:
            with transaction.atomic():
                body |= report_of(actor, view, due, zone)
        except Exception:
            # A report that fails must not delay the others.
            log.exception("report %s failed", id_text(schedule.id))
            body["failed"] = True
    put(
        "report.due",
        None,
        people=[user.id],
        name=view.name,
        of=view.organisation.name,
        leave=reverse("report_leave", args=[leaving_token(receiver)]),
        **body,
    )


def _period_of(view: SavedView, due: Due, zone: ZoneInfo) -> dict[str, Any]:
    """Return which days an email covers, and the address of its page."""
    page = reverse(view.page, args=[view.organisation.slug])
    return {
        "first_on": f"{due.first_on}",
        "last_on": f"{due.last_on}",
        "zone": zone.key,
        "page": f"{page}?{urlencode(_query_of(view, due, zone), doseq=True)}",
    }


def _query_of(view: SavedView, due: Due, zone: ZoneInfo) -> dict[str, list[str]]:
    days = {"range": ["custom"], "from": [f"{due.first_on}"], "to": [f"{due.last_on}"]}
    return {**parse_qs(view.query), **days, "tz": [zone.key]}


def report_of(actor: Actor, view: SavedView, due: Due, zone: ZoneInfo) -> dict[str, Any]:
    """Return the content of an email: the groups of the view over some days, the most expensive
    first, and their sum, as the page shows them."""
    query = _query_of(view, due, zone)
    usage_filter = filters.from_query(
        query, clock.now(), channels=actor.operator, explored=True, ignored=("sort", "cols", "rows")
    )
    by = [usage_filter.group_by, *([usage_filter.then_by] if usage_filter.then_by else [])]
    body = {"group": join_words(GROUPS_SHOWN[axis] for axis in by)}
    try:
        explored = explore(actor, usage_filter, by, limit=ROWS_SHOWN)
    except TooManyRecords:
        return {**body, "rows": [], "too_many": True}
    before = explore(actor, replace(usage_filter, spans=(usage_filter.previous,)), [], limit=1)
    return {**body, **_figures(explored, before, by)}


def _figures(explored: Explored, before: Explored, by: list[Any]) -> dict[str, Any]:
    rows = [
        {
            "group": " · ".join(
                str(group_label(axis, group.label))
                for axis, group in zip(by, cell.groups, strict=True)
            ),
            "cost": format_usd(cell.totals.charge_nano),
            "requests": group_digits(cell.totals.requests),
        }
        for cell in explored.cells
    ]
    return {
        "rows": rows,
        "more": explored.more,
        "total": format_usd(explored.total.charge_nano),
        "requests": group_digits(explored.total.requests),
        "before": format_usd(before.total.charge_nano),
    }


# Unsubscribing ----------------------------------------------------------------------------------


def leaving_token(receiver: ReportReceiver) -> str:
    """Return the token of an email's link, by which its receiver unsubscribes."""
    return signing.dumps([id_text(receiver.schedule_id), receiver.user_id], salt=_SALT)


def receiver_of(token: str) -> ReportReceiver | None:
    """Return the receiver of that link, or None if it is invalid or they are no longer a
    receiver."""
    try:
        id, user_id = signing.loads(token, salt=_SALT)
    except (signing.BadSignature, ValueError):
        return None
    receivers = ReportReceiver.objects.select_related("schedule__view__organisation", "user")
    return receivers.filter(schedule=parse_id(id), user=user_id).first()


def leave(receiver: ReportReceiver) -> None:
    """Stop sending the report to that person."""
    view = receiver.schedule.view
    with transaction.atomic():
        by = Actor(receiver.user, None, view.organisation, None, operator=False)
        audit.record(by, view.organisation, "report.left", receiver.schedule, name=view.name)
        receiver.delete()
