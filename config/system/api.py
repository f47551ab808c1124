"""The management API for the system's state, for operators. The health page shows the same."""

import datetime as dt
from typing import Any, Literal

from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from config.system.state import serialize_state, system_state
from lib.api.openapi import Schema

router = Router(tags=["Operators"], auth=api_auth.installation_auth)


class QueueOut(Schema):
    """What waits to be done."""

    name: str
    length: int
    oldest_s: int = Field(description="For how many seconds the oldest has waited.")


class AuthorityOut(Schema):
    """A certificate authority of the installation's own file."""

    name: str
    ends_at: dt.datetime


class ProcessOut(Schema):
    """What a process last reported; null where its system does not provide a figure."""

    role: Literal["web", "worker", "scheduler"]
    host: str
    pid: int
    version: str
    busy: bool = Field(
        description="Whether it is a web process that uses 0.8 of a core or more, or with a lag of "
        "50 ms or more. If it stays so, add one."
    )
    started_at: dt.datetime | None
    reported_at: dt.datetime
    cpu_percent: int | None = Field(description="Of one core, since the report before.")
    memory_bytes: int | None
    open_files: int | None
    open_files_max: int | None
    connections: int | None = Field(description="Of clients; null where it is no web process.")
    requests_in_flight: int | None
    loop_lag_ms: int | None = Field(
        description="How long a step of a request waits for its turn, on average."
    )


class ExtensionOut(Schema):
    """An installed extension."""

    name: str
    version: str
    state: Literal["on", "off", "failed"] = Field(
        description="`off` where `EXTENSIONS_OFF` names it; `failed` where it cannot be loaded."
    )
    error: str = Field(description="Why it cannot be loaded; empty if it can.")


class UsageSinkOut(Schema):
    name: str
    waiting: int = Field(description="Usage records that it does not have yet, at most 100,000.")
    complete_to: dt.datetime | None = Field(
        description="Up to when it has all usage; null while it is filled."
    )
    error: str = Field(description="Of the last run that sent usage; empty if it worked.")


class ContentSinkOut(Schema):
    name: str
    waiting: int = Field(description="Kept requests that it does not have yet, at most 100,000.")
    complete_to: dt.datetime | None = Field(
        description="Up to when it has all that was kept; null while it is filled."
    )
    error: str = Field(description="Of the last run that sent texts; empty if it worked.")
    expired: int = Field(description="Kept requests that expired before they were sent.")


class SystemOut(Schema):
    """The state of the installation, as seen by the answering process."""

    version: str
    commit: str = Field(description="Of this version; empty where it is unknown.")
    python: str
    postgres: str
    pending_migrations: list[str] = Field(
        description="Migrations of this version that the database lacks."
    )
    partitions_until: dt.date | None = Field(
        description="The first day of the last month that each monthly table has a partition for."
    )
    partitions_behind: bool = Field(
        description="Whether next month has none, or rows lie outside of all."
    )
    database_bytes: int
    disk_free_bytes: int = Field(description="On the disk where this process keeps its spool.")
    disk_total_bytes: int
    clock_skew_ms: int = Field(
        description="By how much the database's clock is ahead of this process's."
    )
    queues: list[QueueOut]
    last_backup_at: dt.datetime | None
    backup_every_hours: int | None = Field(description="Null where no backup is expected.")
    backup_late: bool
    backup_error: str = Field(description="The type of the last one's error; empty if it worked.")
    backup_bytes: int | None = Field(description="The size of the last good backup.")
    backup_ms: int | None = Field(description="How long the last one took.")
    detached_months: list[str] = Field(
        description="Months, such as 2026-09, whose requests are in a file."
    )
    ledger_checked_at: dt.datetime | None
    ledger_walked_at: dt.datetime | None = Field(
        description="When everything that is stored had been checked once more."
    )
    ledger_checks_waiting: bool = Field(
        description="Whether the checks wait, because the worker's version is not the database's."
    )
    open_findings: int = Field(description="Ledger findings that are not acknowledged.")
    ledger_problems: int = Field(description="Invariants of the ledger that do not hold.")
    ledger_check_unfinished: bool = Field(
        description="Whether the last check could not look at all of it in time."
    )
    audit_log_checked_at: dt.datetime | None
    audit_log_problems: int
    clickhouse_waiting: int | None = Field(
        description="Usage records not in ClickHouse yet, at most 100,000; null without it."
    )
    clickhouse_complete_to: dt.datetime | None = Field(
        description="Up to when ClickHouse has all usage; null while it is filled."
    )
    clickhouse_error: str = Field(
        description="Of the last run that sent usage; empty if it worked."
    )
    usage_sinks: list[UsageSinkOut] = Field(
        description="Where usage records are sent, such as `clickhouse` and `record_sink`."
    )
    content_sinks: list[ContentSinkOut] = Field(
        description="Where what the content log keeps is sent, such as `content_sink`."
    )
    mail_server: bool = Field(description="Whether a mail server is set up.")
    emails_unsent: int = Field(description="Emails of the last 7 days that were not sent.")
    emails_error: str = Field(description="The error of the last one; empty if there is none.")
    own_authorities: list[AuthorityOut] = Field(
        description="The installation's own certificate authorities, which outgoing connections "
        "trust in addition to public ones."
    )
    processes: list[ProcessOut] = Field(
        description="Those that run: each reports itself every few seconds."
    )
    extensions: list[ExtensionOut] = Field(description="As the answering process has loaded them.")


@router.get("/system", response=SystemOut, summary="Show the system's state")
@requires("channels.read")
def read_system(actor: Actor) -> dict[str, Any]:
    """Versions, migrations, queues, partitions, disk, clock, and when the last backup and the last
    verification were."""
    return serialize_state(system_state())
