"""Our hub as production runs it: Postgres with fsync on a real disk, and the web process.

Worker and beat do not run: what they do (rolling up usage) is not done per request.
"""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack.database import postgres
from tests.bench.client import Target
from tests.bench.process import BenchError, Process
from tests.fakes.upstream import FakeUpstream
from tests.support.hub import Hub
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
CREDIT_USD = "100000.00"
# The production file's own command (docker-compose.yml), on an address of this machine.
_OPTIONS = (
    "--host=127.0.0.1", "--loop=config.server.event_loop:EventLoop",
    "--http=config.server.protocol:Protocol",
    "--lifespan=on", "--no-server-header", "--no-access-log", "--log-level=warning",
    "--timeout-keep-alive=75", "--timeout-graceful-shutdown=5", "--proxy-headers",
    "--forwarded-allow-ips=127.0.0.1",
)  # fmt: skip


@dataclass
class Web(Hub):
    """A web process of production; what sets it up is the tests' own."""

    served: Process | None = None

    def launch(self) -> None:
        self.port = self.port or free_port()
        command = [sys.executable, "-m", "deploy.exit_zero", f"{self.application}:application"]
        environment = {
            **os.environ,
            "DATABASE_URL": self.dsn,
            "DRAIN_ACCEPT_SECONDS": "0",
            # Its load is measured, and nobody refused: no other system here refuses anybody.
            "OVERLOAD_WAIT_SECONDS": "60",
            "SPOOL_DIR": str(self.spool),
        }
        self.served = Process(
            [*command, *_OPTIONS, f"--port={self.port}"],
            self._log,
            environment=environment,
            folder=ROOT,
        )

    def stop(self) -> None:
        if self.served is not None:
            self.served.stop()
            self.served = None


@dataclass
class BareWeb(Web):
    """The same without its books."""

    application: str = "tests.bench.bare"


@contextmanager
def database(folder: Path) -> Iterator[tuple[str, int]]:
    """A migrated durable database below `folder`: its address, and the pid of its server."""
    cluster = postgres.open_cluster(folder / "postgres")
    with (folder / "postgres.log").open("a+b") as log:
        process = postgres.start(cluster, log.fileno())
        try:
            postgres.await_ready(cluster, process, log.fileno())
            environment = {**os.environ, "DATABASE_URL": cluster.dsn}
            command = [sys.executable, "manage.py", "migrate", "--verbosity=0", "--skip-checks"]
            completed = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
            )
            if completed.returncode != 0:
                raise BenchError(f"the database cannot be made:\n{completed.stderr[-3000:]}")
            yield cluster.dsn, process.pid
        finally:
            postgres.stop(process)
            postgres.forget_socket(cluster)


def make_secrets() -> None:
    """Secrets for this run, where the settings look for them."""
    for name in ("SECRET_KEY", "WEIR_KEY_PEPPER"):
        os.environ[name] = secrets.token_urlsafe(50)
    os.environ["WEIR_KEK"] = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@contextmanager
def web(kind: type[Web], dsn: str) -> Iterator[Web]:
    """A started web process."""
    hub = kind(dsn)
    try:
        hub.settings()
        hub.start()
        yield hub
    finally:
        hub.close()


def customer(hub: Hub, fake: FakeUpstream) -> Target:
    """Where a new organisation with a key and money asks for a model of the fake's."""
    tenant = hub.tenant(CREDIT_USD)
    model = hub.model(fake)
    return Target(hub.port, (("Authorization", f"Bearer {tenant.key}"),), model)


def books_line(hub: Web) -> str:
    """What the database holds when everything is over; AssertionError when books do not balance.

    Every answered request has its record, no hold is open, and each invariant of money holds.
    """
    hub.wait(
        lambda: not hub.rows("SELECT 1 FROM billing_hold WHERE state = 'open' LIMIT 1"),
        "holds stay open",
    )
    hub.assert_books_balance()
    (row,) = hub.rows(
        "SELECT count(*) FILTER (WHERE final) AS requests, count(*) FILTER (WHERE status <> 200) "
        "AS failed, current_setting('fsync') AS fsync, current_setting('synchronous_commit') "
        "AS commit FROM usage_usagerecord"
    )
    return (
        f"no open hold (reserved amount), and {row['requests']} usage records, of which "
        f"{row['failed']} belonged to failed requests. Every "
        "[invariant](../promises.md#invariants) held. "
        f"The settings of Postgres were `fsync = {row['fsync']}` and "
        f"`synchronous_commit = {row['commit']}`"
    )
