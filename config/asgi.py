"""The ASGI application. The relay gets its endpoints, Django the rest; lifespan and WebSockets are
handled here."""

import asyncio
import contextlib
import gc
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.db import DatabaseError, connection

from accounts.secrets import sealing
from config.jobs.sweeping import sweep_for_ever
from config.server.allocator import keep_freed_memory
from config.server.connection_limits import open_files
from config.server.database_watch import DatabaseWatch
from config.server.log_handler import close_log, log_uncaught
from config.server.protocol import leave_open_while_stopping
from config.server.request_limits import RequestLimits
from config.version import VERSION
from lib import env, extras
from lib.database.code_migrations import code_migrations
from lib.database.writer import ReadReplica, check_writer
from lib.network.object_store import open_store
from lib.process.asgi import STOPPING, Receive, Scope, Send
from lib.vault import WrongSecret
from relay.asgi import Relay
from relay.config import ACCEPT_WHILE_DRAINING_S, DRAIN_S, KEEP_ALIVE_S, WAIT_S_MAX, RelayConfig
from relay.endpoints.table import is_claimed

# A collection takes the longer the more requests run: 25 ms for 500. A wave of requests must not
# start one, because everybody waits for it (P35).
_GARBAGE_THRESHOLD = 50_000
_HEALTH_PATHS = ("/healthz", "/readyz")

_django = get_asgi_application()
log_uncaught()
watch = DatabaseWatch(env.require_value("DATABASE_URL", settings.DATABASE_URL))
pages = RequestLimits(_django, watch)


def _relay() -> Relay:
    env.require_value("SECRET_KEY", settings.SECRET_KEY_GIVEN)
    config = RelayConfig(
        dsn=env.require_value("DATABASE_URL", settings.DATABASE_URL),
        kek=sealing.kek(),
        pepper=sealing.pepper(),
        keep_alive_s=env.seconds("KEEP_ALIVE_SECONDS", KEEP_ALIVE_S, least=0.1),
        drain_s=env.seconds("DRAIN_SECONDS", DRAIN_S),
        accept_while_draining_s=env.seconds("DRAIN_ACCEPT_SECONDS", ACCEPT_WHILE_DRAINING_S),
        wait_s_max=env.seconds("OVERLOAD_WAIT_SECONDS", WAIT_S_MAX),
        public_url=settings.PUBLIC_URL,
        hook_networks=tuple(settings.WEBHOOK_EGRESS_ALLOW),
        token_files=tuple(settings.CLOUD_TOKEN_FILES),
        migrations=code_migrations(),
        spool_folder=settings.SPOOL_DIR,
        content_store=_content_store(),
    )
    if not (settings.TRACES or settings.METRICS):
        return Relay(config)
    if not extras.is_installed("otel"):
        raise env.ConfigurationError(
            "OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER need a part that is not installed: "
            + extras.install_line("otel")
        )
    # Loaded only if traces or metrics are enabled.
    from relay.tracing.tracing import TracedRelay

    return TracedRelay(
        config,
        settings.TRACE_CHANNELS,
        VERSION,
        traces=settings.TRACES,
        metrics=settings.METRICS,
        content=settings.TRACES and settings.TRACE_CONTENT,
    )


def _content_store() -> str:
    """Return the address of the store, which is opened later by another process."""
    try:
        if settings.CONTENT_STORE:
            open_store(settings.CONTENT_STORE)
    except ValueError as error:
        raise env.ConfigurationError(f"CONTENT_STORE: {error}") from error
    return settings.CONTENT_STORE


class _Health:
    """Answers the two health checks of a supervisor, without Django.

    /healthz   200 when the event loop answers
    /readyz    200 when a paid request can be accepted, else 503 (relay/front/readiness.py)
    """

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    @staticmethod
    def claims(path: str) -> bool:
        return path in _HEALTH_PATHS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fine = scope["path"] == "/healthz" or self._relay.ready
        body = b"ok\n" if fine else b"not ready\n"
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        status = 200 if fine else 503
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


relay = _relay()
health = _Health(relay)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        path = scope["path"]
        if is_claimed(path):
            await relay(scope, receive, send)
        elif health.claims(path):
            await health(scope, receive, send)
        else:
            # The playground's views call the relay of their own process.
            beside = {"weir.relay": relay.in_process, STOPPING: relay.is_draining}
            await pages({**scope, **beside}, receive, send)
    elif scope["type"] == "websocket":
        await _converse(scope, receive, send)
    elif scope["type"] == "lifespan":
        await _live(receive, send)


def _refuse_replica() -> None:
    # If the database is unavailable, the relay waits for it.
    with contextlib.suppress(DatabaseError):
        check_writer()
    connection.close()


async def _live(receive: Receive, send: Send) -> None:
    await receive()
    open_files()
    leave_open_while_stopping(relay.linger_s)
    keep_freed_memory()
    try:
        await asyncio.to_thread(_refuse_replica)
        await relay.start()
        await watch.open()
    except (WrongSecret, ReadReplica) as error:
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        return
    # Everything loaded so far lives as long as the process. Without this, each full garbage
    # collection traverses all of Django again, in the middle of streams.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD, 20, 50)
    sweeping = asyncio.create_task(sweep_for_ever())
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await relay.stop()
    sweeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sweeping
    await _finish_runs()
    await watch.close()
    # The server ends the process by a signal; nothing can be logged after it.
    await asyncio.to_thread(close_log)
    await send({"type": "lifespan.shutdown.complete"})


async def _converse(scope: Scope, receive: Receive, send: Send) -> None:
    # Models can be imported only after Django's setup.
    from playground.media import realtime_socket

    if realtime_socket.shows_ticket(scope):
        await realtime_socket.serve(relay.in_process, scope, receive, send)
    else:
        await relay(scope, receive, send)


async def _finish_runs() -> None:
    # Models can be imported only after Django's setup.
    from playground.runs import runs

    await runs.finish()
