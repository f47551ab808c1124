"""The rows of the system health page."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext, gettext_lazy, ngettext

from config.models import ProcessReport
from config.processes.processes import is_busy
from config.system.state import Backup, Checked, ContentSinkState, Emails, SinkState, SystemState
from gateway.settings.installation import is_backup_decided
from lib import clock
from lib.extensions.installed import Installed
from lib.network.trust import Authority
from lib.numbers.formatting import data_size, group_digits
from lib.sentences import named_text
from notify.deliveries.results import result_text
from usage.books import full_walk
from usage.months.detaching import late_counts, month_states
from usage.sinks.usage_sink import WAITING_MAX, Backlog

_QUEUES: Any = {
    "holds": gettext_lazy("Open holds"),
    "holds_to_decide": gettext_lazy("Holds to decide on"),
    "events": gettext_lazy("Events to send"),
    "deliveries": gettext_lazy("Deliveries due"),
    "price_previews": gettext_lazy("Price previews"),
    "late_usage": gettext_lazy("Late usage"),
}

_ROLES: Any = {
    "web": gettext_lazy("Web"),
    "worker": gettext_lazy("Worker"),
    "scheduler": gettext_lazy("Scheduler"),
}


class SystemRow(NamedTuple):
    """One row. `tone` and `status` are its badge, `at` is a time, `url` is a page with details."""

    title: str
    value: str
    status: str
    tone: str = "ok"
    at: dt.datetime | None = None
    url: str = ""


def system_rows(state: SystemState) -> list[SystemRow]:
    """Return the rows in the order of the page."""
    return [
        _migrations(state.pending_migrations),
        _ledger(gettext("Ledger"), state.books),
        _findings(state),
        _whole_ledger_row(state),
        _ledger(gettext("Audit log"), state.trail),
        backup_row(state.backup),
        _disk(state),
        _clock(state),
        _partitions(state),
        _authorities(state.authorities),
        _emails(state.emails),
        *(_sink(one) for one in state.sinks),
        *(_content_sink(one) for one in state.content_sinks),
        *(_failed_extension(one) for one in state.extensions if one.state == "failed"),
    ]


def version_rows(state: SystemState) -> list[tuple[str, str]]:
    """Return the names and versions of the running software."""
    return [
        ("Weir", f"{state.version} ({state.commit[:12]})" if state.commit else state.version),
        ("Python", state.python),
        ("PostgreSQL", state.postgres),
        (gettext("Database size"), data_size(state.database_bytes)),
        *((gettext("Extension %(name)s") % {"name": one.name}, _version_of(one))
          for one in state.extensions),
    ]  # fmt: skip


def _version_of(extension: Installed) -> str:
    if extension.state == "off":
        return gettext("%(version)s, off") % {"version": extension.version}
    return extension.version


class MonthRow(NamedTuple):
    """A month that is in a file, or is being moved to one. `late` is the number of records that
    wait for it."""

    month: str
    status: str
    tone: str
    file: str = ""
    checksum: str = ""
    at: dt.datetime | None = None
    late: str = ""


def month_rows() -> Iterator[MonthRow]:
    """Yield the months of requests that are in files or are being moved, newest first."""
    late_of = late_counts()
    for state in reversed(month_states()):
        month, detached = date_format(state.month, "YEAR_MONTH_FORMAT"), state.detached
        if detached is not None:
            # A month that was moved in the meantime has no count.
            waiting = late_of.get(state.month, 0)
            late = ngettext("%(n)s late record waits", "%(n)s late records wait", waiting)
            yield MonthRow(
                month=month,
                status=gettext("In a file"),
                tone="warn" if waiting else "ok",
                file=detached.file.name,
                checksum=bytes(detached.file.digest).hex(),
                at=detached.detached_at,
                late=late % {"n": group_digits(waiting)} if waiting else "",
            )
        elif not state.writable:
            yield MonthRow(month, gettext("Detaching was interrupted"), "bad")


class QueueRow(NamedTuple):
    """The waiting work of a kind, and the age of the oldest in milliseconds."""

    name: str
    length: str
    oldest_ms: int
    is_empty: bool


def queue_rows(state: SystemState) -> Iterator[QueueRow]:
    """Yield the waiting work of each kind."""
    sinks = {one.name: gettext("Usage for %(name)s") % {"name": one.title} for one in state.sinks}
    names = {**_QUEUES, **sinks, **{one.name: one.title for one in state.content_sinks}}
    for queue in state.queues:
        oldest_ms = round(queue.oldest_s * 1000)
        length = group_digits(queue.length)
        yield QueueRow(str(names[queue.name]), length, oldest_ms, not queue.length)


class ProcessRow(NamedTuple):
    """A process. The texts are empty where it does not know the figure."""

    role: str
    name: str
    status: str
    tone: str
    cpu: str
    memory: str
    files: str
    connections: str
    lag_ms: int | None
    version: str
    started_at: dt.datetime | None


def process_rows(reports: Sequence[ProcessReport]) -> Iterator[ProcessRow]:
    """Yield a row for each process that runs."""
    for report in reports:
        busy = is_busy(report)
        lag_us = report.loop_lag_us
        yield ProcessRow(
            role=str(_ROLES[report.role]),
            name=str(report),
            status=gettext("Busy") if busy else gettext("OK"),
            tone="warn" if busy else "ok",
            cpu="" if report.cpu_percent is None else f"{report.cpu_percent}%",
            memory="" if report.resident_bytes is None else data_size(report.resident_bytes),
            files=_count_of(report.open_fds, report.max_fds),
            connections=_connections(report),
            lag_ms=None if lag_us is None else round(lag_us / 1000),
            version=report.version,
            started_at=report.started_at,
        )


def _count_of(count: int | None, most: int | None) -> str:
    if count is None:
        return ""
    if most is None:
        return group_digits(count)
    return gettext("%(n)s of %(most)s") % {"n": group_digits(count), "most": group_digits(most)}


def _connections(report: ProcessReport) -> str:
    if report.connections is None or report.in_flight is None:
        return ""
    counts = {"n": group_digits(report.connections), "busy": group_digits(report.in_flight)}
    return gettext("%(n)s, %(busy)s in flight") % counts


def _migrations(pending: list[str]) -> SystemRow:
    title = gettext("Migrations")
    if not pending:
        return SystemRow(title, gettext("All applied"), gettext("OK"))
    count = ngettext("%(n)s pending", "%(n)s pending", len(pending)) % {"n": len(pending)}
    return SystemRow(title, named_text(count, pending[0]), gettext("Run migrate"), "bad")


def _ledger(title: str, checked: Checked | None) -> SystemRow:
    if checked is None:
        return SystemRow(title, gettext("Not verified yet"), gettext("Not run yet"), "")
    if checked.aside:
        text = gettext("The worker and the database have different versions")
        return SystemRow(title, text, gettext("Waiting for the update"), "warn", checked.at)
    if checked.problems:
        count = ngettext("%(n)s problem", "%(n)s problems", checked.problems)
        text = count % {"n": group_digits(checked.problems)}
        return SystemRow(title, text, gettext("Run verify"), "bad", checked.at)
    if checked.unfinished:
        return SystemRow(
            title, gettext("Partly verified"), gettext("Not finished"), "warn", checked.at
        )
    return SystemRow(title, gettext("Verified"), gettext("OK"), "ok", checked.at)


def _findings(state: SystemState) -> SystemRow:
    title, count = gettext("Ledger findings"), state.open_findings
    if not count:
        return SystemRow(title, gettext("None to acknowledge"), gettext("OK"))
    text = ngettext("%(n)s to acknowledge", "%(n)s to acknowledge", count)
    summary = text % {"n": group_digits(count)}
    return SystemRow(title, summary, gettext("See findings"), "bad", url=reverse("findings"))


def _whole_ledger_row(state: SystemState) -> SystemRow:
    title = gettext("Whole ledger")
    if state.whole_at is None:
        return SystemRow(title, gettext("Not all checked yet"), gettext("Running"), "")
    value = gettext("Everything checked")
    if clock.now() - state.whole_at > full_walk.LATE:
        return SystemRow(title, value, gettext("Longer than an hour"), "warn", state.whole_at)
    return SystemRow(title, value, gettext("OK"), "ok", state.whole_at)


def _authorities(own: Sequence[Authority]) -> SystemRow:
    title = gettext("Certificate authorities")
    if not own:
        return SystemRow(title, gettext("Public ones"), gettext("OK"))
    text = ngettext("Public ones and %(n)s of your own: %(name)s",
                    "Public ones and %(n)s of your own, the first %(name)s", len(own))  # fmt: skip
    value = text % {"n": group_digits(len(own)), "name": own[0].name}
    first = min(own, key=lambda one: one.ends_at)
    if first.ends_at < clock.now():
        return SystemRow(title, value, gettext("One has expired"), "bad", first.ends_at)
    return SystemRow(title, value, gettext("OK"), "ok")


def _emails(emails: Emails) -> SystemRow:
    title = gettext("Emails")
    count = ngettext("%(n)s not sent in 7 days", "%(n)s not sent in 7 days", emails.unsent)
    unsent = count % {"n": group_digits(emails.unsent)}
    if not emails.server:
        return SystemRow(title, unsent, gettext("No mail server is set up"), "warn", emails.at)
    if emails.unsent:
        return SystemRow(
            title,
            named_text(unsent, result_text(emails.error)),
            gettext("Failed"),
            "warn",
            emails.at,
        )
    return SystemRow(title, unsent, gettext("OK"))


def backup_row(backup: Backup) -> SystemRow:
    """Return the row of backups."""
    title = gettext("Backup")
    value = gettext("Last backup") if backup.made_at else gettext("No backup yet")
    value = " · ".join([value, *_backup_facts(backup)])
    url = reverse("backups")
    if backup.late:
        return SystemRow(title, value, gettext("Late"), "bad", backup.made_at, url)
    if backup.error:
        return SystemRow(title, value, gettext("Failed: %(error)s") % {"error": backup.error},
                         "bad", backup.made_at, url)  # fmt: skip
    if not backup.every_hours:
        tone = "" if is_backup_decided() else "warn"
        return SystemRow(title, value, gettext("No schedule"), tone, backup.made_at, url)
    if backup.made_at is None:
        return SystemRow(title, value, gettext("Not run yet"), "", None, url)
    return SystemRow(title, value, gettext("OK"), "ok", backup.made_at, url)


def _backup_facts(backup: Backup) -> list[str]:
    """Return the size and the duration of the last backup, in words."""
    facts = [] if backup.bytes is None else [data_size(backup.bytes)]
    if backup.took is not None and not backup.error:
        facts.append(
            gettext("took %(n)s s") % {"n": group_digits(round(backup.took.total_seconds()))}
        )
    return facts


def _disk(state: SystemState) -> SystemRow:
    sizes = {"free": data_size(state.disk.free_bytes), "total": data_size(state.disk.total_bytes)}
    value = gettext("%(free)s free of %(total)s") % sizes
    status, tone = (gettext("Low"), "warn") if state.disk.low else (gettext("OK"), "ok")
    return SystemRow(gettext("Disk of this process"), value, status, tone)


def _clock(state: SystemState) -> SystemRow:
    skew_ms = round(abs(state.clock_skew) / dt.timedelta(milliseconds=1))
    value = gettext("%(n)s ms from the database") % {"n": group_digits(skew_ms)}
    status, tone = (gettext("Skewed"), "warn") if state.clock_off else (gettext("OK"), "ok")
    return SystemRow(gettext("Clock"), value, status, tone)


def _partitions(state: SystemState) -> SystemRow:
    title, until = gettext("Partitions"), state.partitions.until
    month = date_format(until, "YEAR_MONTH_FORMAT") if until else gettext("None")
    value = gettext("Until %(month)s") % {"month": month}
    if state.partitions.overflowed:
        return SystemRow(title, value, gettext("Rows outside all partitions"), "warn")
    status, tone = (gettext("Behind"), "bad") if state.partitions.behind else (gettext("OK"), "ok")
    return SystemRow(title, value, status, tone)


def _failed_extension(extension: Installed) -> SystemRow:
    title = gettext("Extension %(name)s") % {"name": extension.name}
    status = gettext("Failed: %(error)s") % {"error": extension.error}
    return SystemRow(title, extension.version, status, "bad")


def _sink(sink: SinkState) -> SystemRow:
    backlog = sink.backlog
    value = ngettext("%(n)s record waiting", "%(n)s records waiting", backlog.waiting)
    more = "+" if backlog.waiting == WAITING_MAX else ""
    text = value % {"n": f"{group_digits(backlog.waiting)}{more}"}
    status, tone = gettext("OK"), "ok"
    if backlog.error:
        status, tone = gettext("Failed: %(error)s") % {"error": backlog.error}, "bad"
    elif backlog.complete_to is None:
        status, tone = gettext("Filling"), "warn"
    return SystemRow(sink.title, text, status, tone, backlog.complete_to)


def _content_sink(sink: ContentSinkState) -> SystemRow:
    backlog = sink.backlog
    row = _sink(SinkState(sink.name, sink.title, Backlog(*backlog[:3])))
    if not backlog.expired:
        return row
    expired = ngettext(
        "%(n)s expired before it was sent", "%(n)s expired before they were sent", backlog.expired
    ) % {"n": group_digits(backlog.expired)}
    tone = "warn" if row.tone == "ok" else row.tone
    return row._replace(value=f"{row.value}, {expired}", tone=tone)
