"""The Celery app. Its broker only wakes workers: tasks carry ids only and may run twice or late."""

import gc
import logging
import math
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

from celery import Celery, Task, bootsteps
from celery.signals import beat_init, celeryd_init, worker_init
from django.conf import settings
from django.db import DatabaseError, connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Django's checks import every page to check its address: 60 MB that no task needs.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

from accounts.audit.origin import ORIGIN, Origin
from config.jobs.beat_in_worker import offer_beat
from config.jobs.beat_scheduler import stop_on_signal
from config.jobs.dropped_lines import count_dropped_lines
from config.jobs.heartbeat import offer_heartbeat
from config.jobs.schedule import beat_schedule
from config.server.allocator import keep_freed_memory
from config.server.log_handler import log_uncaught
from lib.database.code_migrations import pending_migrations
from lib.env import ConfigurationError
from lib.process.log_context import REQUEST_ID
from lib.vault import VaultError

log = logging.getLogger(__name__)

# The host is only a placeholder: the connection string has the real one.
_EMBEDDED = "pgmq://embedded"
_GARBAGE_THRESHOLDS: Final = (700, 10, 10)

# With kombu's defaults a worker polls each queue for ten seconds in turn and redelivers a lost
# message only after half an hour. With these settings an idle worker reacts within half a second.
_PGMQ: dict[str, Any] = {
    "init_extension": False,
    "wait_time_seconds": 0,
    "polling_interval": 0.5,
    "visibility_timeout": 600,
    # It is used for moments. Two connections would be two processes of the database.
    "pool_size": 1,
}
# Without these settings, the task of a killed worker is redelivered only after minutes.
_REDIS: dict[str, Any] = {
    "visibility_timeout": 600,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
}


def _transport_options(broker_url: str) -> dict[str, Any]:
    if broker_url == _EMBEDDED:
        # pgmq's own URL parser does not accept a socket's folder as host.
        words: dict[str, Any] = dict(conninfo_to_dict(settings.DATABASE_URL or ""))
        return {**_PGMQ, "conn_string": make_conninfo(**words)}
    if broker_url.startswith("pgmq"):
        return _PGMQ
    return _REDIS if broker_url.startswith("redis") else {}


_broker_url = settings.BROKER_URL or _EMBEDDED

# How often a process that waits for its tables checks for them and logs that it waits.
_LOOK_EACH_S: Final = 2.0
_SAY_EACH_S: Final = 60.0


class RecordedTask(Task):  # type: ignore[misc]
    """A task of this app. Runs of periodic tasks are recorded."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Models can be imported only after Django's setup.
        from config.jobs.runs import record_run

        token = ORIGIN.set(lambda: Origin(client=self.name))
        logged = REQUEST_ID.set(self.request.id)
        try:
            with record_run(self.name):
                return super().__call__(*args, **kwargs)
        finally:
            REQUEST_ID.reset(logged)
            ORIGIN.reset(token)
            count_dropped_lines()


app = Celery("weir", task_cls=RecordedTask)
app.conf.update(
    broker_url=_broker_url,
    broker_transport="config.jobs.embedded_queue:Transport" if _broker_url == _EMBEDDED else None,
    broker_transport_options=_transport_options(_broker_url),
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_serializer="json",
    accept_content=["json"],
    task_time_limit=240,
    worker_prefetch_multiplier=4,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    beat_schedule=beat_schedule(),
    # The schedule is idempotent per slot, so beat needs no stored state between starts.
    beat_scheduler="config.jobs.beat_scheduler:WorkScheduler",
)
app.autodiscover_tasks()


class ReportingStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Starts and stops the reports of a worker (config/processes/processes.py), which it sends
    whether or not its threads are free."""

    requires = ("celery.worker.components:Pool",)

    def create(self, parent: Any) -> Any:
        # Models can be imported only after Django's setup.
        from config.processes.processes import Reporting

        return Reporting("worker")


offer_beat(app)
offer_heartbeat(app)
app.steps["worker"].add(ReportingStep)


def _wait_for_tables(**_: Any) -> None:
    """Wait until the database has the tables of this version, because without them every job would
    fail."""
    said_at = -math.inf
    try:
        while pending := pending_migrations():
            connection.close()
            if time.monotonic() - said_at >= _SAY_EACH_S:
                said_at = time.monotonic()
                log.warning(
                    "waiting: the database lacks %d migrations of this version; run `%s migrate`",
                    len(pending),
                    settings.COMMAND,
                )
            time.sleep(_LOOK_EACH_S)
    except DatabaseError as error:
        log.warning("the tables are not looked for, the database is away: %s", error)


def _check_secrets(**_: Any) -> None:
    # Models can be imported only after Django's setup.
    from config.system.secret_check import check_secrets

    try:
        check_secrets()
    except (ConfigurationError, VaultError) as error:
        # Celery ignores all exceptions of a signal handler except this one.
        sys.exit(str(error))
    except DatabaseError as error:
        log.warning("the secrets are not compared, the database is away: %s", error)
    finally:
        # Jobs run in other threads, which may use it.
        connection.close()


def _log_everything(**_: Any) -> None:
    """Log what Python and Celery would write to stderr and stdout. If that pipe were full, the
    signal handler that ends the worker would never return."""
    # Imported here, because it is large and only workers need it.
    from celery.apps import worker

    def log_words(message: str, stream: object = None) -> None:
        log.warning("%s", message.strip())

    worker.safe_say = log_words
    log_uncaught()


def _poll_seldom(conf: Any, options: Mapping[str, Any], **_: Any) -> None:
    """Let a worker that has the scheduler in it poll its queue seldom, because no other process
    sends there."""
    if options.get("with_beat") and conf.broker_url == _EMBEDDED:
        from config.jobs.embedded_queue import ALONE_S

        conf.broker_transport_options["polling_interval"] = ALONE_S


def _collect_garbage(**_: object) -> None:
    """Collect garbage as often as Python does by itself: what is loaded from now on is not for
    good (config/__init__.py)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)


def _return_large_blocks(**_: object) -> None:
    """Return the memory of each job's large results, such as the text of a seal, when it ends."""
    keep_freed_memory()


# Before the first thread: glibc decides then how many arenas there will be.
celeryd_init.connect(_return_large_blocks)
celeryd_init.connect(_poll_seldom)
celeryd_init.connect(_log_everything)
beat_init.connect(_log_everything)
beat_init.connect(stop_on_signal)
worker_init.connect(_wait_for_tables)
beat_init.connect(_wait_for_tables)
worker_init.connect(_check_secrets)
beat_init.connect(_check_secrets)
worker_init.connect(_collect_garbage)
beat_init.connect(_collect_garbage)
