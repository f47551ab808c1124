"""Exports that a worker creates, because they take longer than a reader would wait. The file is
kept for a week.

    queued      by a page or the API, with the query
    running     one worker holds it for a minute, and renews that with each piece that it writes;
                for longer while a workbook is packed
    done        the file is all pieces of that worker; the creator is notified once (P16)

If a worker dies, another one starts after that minute from the beginning, because a workbook cannot
be continued. Later writes of the first worker are refused, so that there are never two files. No
transaction is open while rows are read, because the rollups wait for the oldest one.
"""

import datetime as dt
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import parse_qs
from uuid import UUID

from django.db import Error, connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone, translation
from django.utils.translation import gettext

from accounts.access import access
from accounts.access.access import AccessDenied, get_by_id, require
from accounts.access.actors import (
    Actor,
    actor_of_key,
    actor_of_member,
    memberships,
    organisation_of,
)
from accounts.audit import audit
from accounts.roles.rules import Action
from lib import clock, extras
from lib.database.tenancy import use_tenant
from lib.ids import id_text
from lib.refusal import Refused
from lib.tables.exports import FORMATS, Batches, Format
from lib.tables.pages import batches_of
from lib.tables.table import OWN_PARAMETERS, Column, Label, State
from outbox.facts import put
from usage.exports.focus import COLUMNS, focus_batches, focus_lacks
from usage.filters import filters
from usage.filters.filters import UsageFilter
from usage.models import DetachedMonth, Export, ExportPiece, ExportState
from usage.months.detached import detached_within, file_suffix, names_of
from usage.requests.columns import REQUESTS, LogSource, hidden_columns

log = logging.getLogger(__name__)

FOCUS: Final = "focus"
FORMS: Final[Mapping[str, Label]] = {
    **{name: form.label for name, form in FORMATS.items()},
    FOCUS: "FOCUS",
}
"""The kinds of export: the log in one of the file formats, or costs as FOCUS."""
DIRECT_ROWS: Final = 50_000
"""A list with at most this many rows is sent immediately, which takes a few seconds."""
KEPT: Final = dt.timedelta(days=7)
WAITING_MAX: Final = 3
"""The maximum number of unfinished exports of one person."""
_LISTED: Final = dt.timedelta(days=30)
_LEASE: Final = dt.timedelta(seconds=60)
# A workbook is packed after its last row was read, in one step that renews nothing. We measured 34
# µs for each row; a slow disk takes longer.
_PACKED_IN: Final = dt.timedelta(microseconds=200)
_RENEWED: Final = dt.timedelta(seconds=1)
_TAKES_MAX: Final = 3
_PIECE: Final = 1024 * 1024
_QUERY_MAX: Final = 8000
_UNFINISHED: Final = (ExportState.QUEUED, ExportState.RUNNING)


class _Lost(Exception):
    """Another worker has taken the export, or it was deleted."""


class Contents(NamedTuple):
    """The content of an export, with times in `zone`. `total` is the approximate number of rows, if
    known."""

    zone: dt.tzinfo
    columns: Sequence[Column]
    batches: Batches
    total: int | None = None


class LogExport(NamedTuple):
    """The requested log."""

    usage_filter: UsageFilter
    state: State
    source: LogSource


def action_of(form: str) -> Action:
    """Return the permission that a reader needs for such an export."""
    return "usage.read" if form == FOCUS else "requests.read"


def visible_exports(actor: Actor) -> QuerySet[Export]:
    """Return the exports that the actor requested, newest first. Nobody sees another person's
    exports; a key without a holder, or for model calls, sees only its own."""
    require(actor, "requests.read")
    exports = Export.objects.filter(organisation=actor.organisation)
    if actor.viewing:
        return exports.none()
    if actor.user is None or actor.model_key is not None:
        return exports.filter(key=actor.key)
    return exports.filter(user=actor.user)


def access_export(actor: Actor, id: str) -> Export:
    """Return one export that the actor requested. Raises Http404."""
    return get_by_id(visible_exports(actor), id)


def start_export(actor: Actor, form: str, query: str, language: str) -> Export:
    """Queue an export: the log of that query in a file format, or its costs as FOCUS. Raises
    Refused."""
    require(actor, "requests.read")
    if form not in FORMS:
        raise Refused("format", gettext("Choose one of: %s") % ", ".join(FORMS))
    require(actor, action_of(form))
    if form == "parquet":
        extras.require("parquet")
    if len(query) > _QUERY_MAX or "\0" in query:
        raise Refused("query", gettext("The filters are too long."))
    if visible_exports(actor).filter(state__in=_UNFINISHED).count() >= WAITING_MAX:
        text = gettext("%(n)s exports are in progress. Wait for one to finish, or delete it.")
        raise Refused("format", text % {"n": WAITING_MAX})
    organisation = organisation_of(actor)
    with transaction.atomic():
        export = Export.objects.create(
            organisation=organisation,
            user=actor.user,
            key=actor.key,
            form=form,
            query=query,
            language=language,
            created_at=clock.now(),
        )
        audit.record(actor, organisation, "export.started", export, format=form, query=query)
    return export


def delete_export(actor: Actor, export: Export) -> None:
    """Delete an export and its file. A worker that is creating it stops at its next piece."""
    with transaction.atomic():
        audit.record(actor, organisation_of(actor), "export.deleted", export)
        export.delete()


def filter_of(actor: Actor, export: Export) -> UsageFilter:
    """Return the filter of an export, as of the time of its request."""
    log = export.form != FOCUS
    return filters.from_query(
        parse_qs(export.query),
        export.created_at,
        channels=actor.operator,
        log=log,
        ignored=OWN_PARAMETERS,
        explored=not log,
    )


def log_export_of(actor: Actor, export: Export) -> LogExport:
    """Return the log in the export."""
    usage_filter = filter_of(actor, export)
    state = REQUESTS.read(parse_qs(export.query), hidden=hidden_columns(actor))
    return LogExport(usage_filter, state, LogSource(actor, usage_filter.span, usage_filter.scope))


# The file ---------------------------------------------------------------------------------------


def has_file(export: Export) -> bool:
    """Return whether the export's file exists. Files are deleted after a while."""
    expires_at = export.expires_at
    return export.state == ExportState.DONE and expires_at is not None and expires_at > clock.now()


def file_name(export: Export) -> str:
    """Return the name of the file."""
    lacking = file_suffix(export.detached_months or [])
    if export.form == FOCUS:
        return f"focus-{export.created_at:%Y-%m-%d}{lacking}.csv"
    return f"requests-{export.created_at:%Y-%m-%d}{lacking}.{export.form}"


def detached_of(actor: Actor, export: Export) -> list[DetachedMonth]:
    """Return the detached months whose requests the export lacks."""
    usage_filter = filter_of(actor, export)
    if export.form == FOCUS:
        return focus_lacks(usage_filter)
    return detached_within(usage_filter.span)


def file_format(export: Export) -> Format:
    """Return the export's file writer and media type."""
    return FORMATS["csv" if export.form == FOCUS else export.form]


def pieces(actor: Actor, export: Export) -> Iterator[bytes]:
    """Return the file's pieces. Raises AccessDenied immediately for a reader with less access than
    its creator had."""
    if export.reach != _reach_of(actor, export):
        raise AccessDenied(
            gettext("Your access has changed since this file was made. Export again.")
        )
    return _pieces(export.id, export.takes)


def _pieces(id: UUID, take: int) -> Iterator[bytes]:
    file_pieces, n = ExportPiece.objects.filter(export=id, take=take), 0
    while (data := file_pieces.filter(n=n).values_list("data", flat=True).first()) is not None:
        yield bytes(data)
        n += 1


def _reach_of(actor: Actor, export: Export) -> list[object]:
    """Return the actor's access to the export's data, as it is stored."""
    action = action_of(export.form)
    scope = access.scope_of(actor, action)
    teams = sorted(map(str, actor.authority.teams_of(action))) if scope == "teams" else []
    return [scope, teams, actor.operator]


# Creation ---------------------------------------------------------------------------------------


def make_next() -> bool:
    """Create the export that has waited longest. Return False if none waits. Any process may run
    this; only one export is created at a time, because it uses a whole core."""
    export = _take()
    if export is None:
        return False
    try:
        with (
            use_tenant(export.organisation_id),
            translation.override(export.language),
        ):
            _make(export)
    except _Lost:
        pass
    except Error:
        # The database was unreachable, so the next worker starts again.
        raise
    except Exception as error:
        # End the export, because a defect must not be tried for ever, and the page needs an error
        # to show.
        log.exception("export %s failed", id_text(export.id))
        _end(export, ExportState.FAILED, type(error).__name__)
    return True


def drop_old() -> int:
    """Delete expired files, and after a month their entries. Return how many."""
    now = clock.now()
    over = ExportPiece.objects.filter(export__expires_at__lte=now).delete()[0]
    return over + Export.objects.filter(ended_at__lte=now - _LISTED).delete()[0]


def _take() -> Export | None:
    now = clock.now()
    lost = Q(state=ExportState.RUNNING, taken_until__lte=now)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('weir exports'))")
        if Export.objects.filter(state=ExportState.RUNNING, taken_until__gt=now).exists():
            return None
        waiting = Export.objects.filter(Q(state=ExportState.QUEUED) | lost).order_by("id")
        export = waiting.select_for_update(of=("self",)).first()
        if export is None:
            return None
        export.pieces.all().delete()
        if export.takes == _TAKES_MAX:
            _end(export, ExportState.FAILED, "Interrupted")
            return None
        export.state, export.done, export.total = ExportState.RUNNING, 0, None
        export.takes, export.taken_until = export.takes + 1, now + _LEASE
        export.save(update_fields=["state", "done", "total", "takes", "taken_until"])
    return export


def _make(export: Export) -> None:
    actor = _actor_of(export)
    if actor is None or access.scope_of(actor, action_of(export.form)) is None:
        _end(export, ExportState.FAILED, "AccessDenied")
        return
    contents, detached = _contents_of(actor, export), names_of(detached_of(actor, export))
    _renew(export, 0, total=contents.total, reach=_reach_of(actor, export))
    with timezone.override(contents.zone):
        size = _write(export, contents)
    with transaction.atomic():
        now = clock.now()
        # A month may have been detached, or attached again, since the start.
        export.detached_months = sorted({*detached, *names_of(detached_of(actor, export))})
        over = {
            "detached_months": export.detached_months,
            "ended_at": now,
            "expires_at": now + KEPT,
            "taken_until": None,
        }
        _renew(export, export.done, state=ExportState.DONE, size=size, **over)
        put(
            "export.ready",
            export.organisation_id,
            people=[export.user_id] if export.user_id else [],
            id=id_text(export.id),
            file=file_name(export),
            rows=export.done,
            size=size,
            expires_at=(now + KEPT).isoformat(timespec="seconds"),
        )


def _contents_of(actor: Actor, export: Export) -> Contents:
    if export.form == FOCUS:
        return Contents(filters.UTC_ZONE, COLUMNS, focus_batches(actor, filter_of(actor, export)))
    log = log_export_of(actor, export)
    count = log.source.count()
    return Contents(
        log.usage_filter.zone,
        log.state.columns,
        batches_of(log.state, log.source),
        count.n if count else None,
    )


def _actor_of(export: Export) -> Actor | None:
    """Return the export's creator with their current access, or None if they have left."""
    if export.key is not None:
        return actor_of_key(export.key)
    user, organisation = export.user, export.organisation
    if user is None or not user.is_active or organisation.archived_at is not None:
        return None
    membership = memberships().filter(user=user, organisation=organisation).first()
    if membership is None and not user.operator:
        return None
    return actor_of_member(user, organisation, membership)


def _write(export: Export, contents: Contents) -> int:
    """Write the file in pieces. Return its size in bytes."""
    file_pieces = file_format(export).write(
        contents.columns, _report_progress(export, contents.batches)
    )
    size = n = 0
    for piece in _join_pieces(file_pieces):
        with transaction.atomic():
            _renew(export, export.done)
            ExportPiece.objects.create(export=export, take=export.takes, n=n, data=piece)
        size, n = size + len(piece), n + 1
    return size


def _report_progress(export: Export, batches: Batches) -> Batches:
    """Iterate over the batches and report the progress at most once per second."""
    told_at = clock.now()
    for batch in batches:
        export.done += len(batch[0])
        now = clock.now()
        if now - told_at >= _RENEWED:
            _renew(export, export.done)
            told_at = now
        yield batch
    _renew(export, export.done, taken_until=clock.now() + _LEASE + export.done * _PACKED_IN)


def _join_pieces(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in pieces of at least a megabyte."""
    waiting = bytearray()
    for some in pieces:
        waiting += some
        if len(waiting) >= _PIECE:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


def _renew(export: Export, done: int, **changes: object) -> None:
    """Hold the export for another minute, or as `changes` says, and store its progress. Raises
    _Lost."""
    held = Export.objects.filter(id=export.id, takes=export.takes, state=ExportState.RUNNING)
    until = {"taken_until": clock.now() + _LEASE, "done": done, **changes}
    if not held.update(**until):
        raise _Lost


def _end(export: Export, state: ExportState, message: str) -> None:
    Export.objects.filter(id=export.id, takes=export.takes).update(
        state=state, message=message, ended_at=clock.now(), taken_until=None
    )
