"""Pages and the management API while Postgres does not answer: 503 within a second, each (P18).

On a Postgres of its own, which is really frozen (SIGSTOP of all its processes) or really gone.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from stack.database.postgres import Cluster, open_cluster
from tests.chaos.parts import Database
from tests.support.hub import ROOT, Hub

ASKED = [
    ("GET", "/login", {}),
    ("GET", "/", {}),
    ("POST", "/login", {"login": "a@example.org", "password": "wrong wrong"}),
    ("POST", "/password/reset", {"email": "a@example.org"}),
    ("GET", "/o/acme/", {}),
    ("GET", "/admin/organisations", {}),
    ("GET", "/api/v1/keys", {}),
    ("POST", "/api/v1/keys", {"name": "x"}),
]
KEY = {"authorization": "Bearer sk-weir-" + "a" * 40}


class Installed:
    """One web process on a Postgres of its own."""

    def __init__(self, folder: Path) -> None:
        cluster: Cluster = open_cluster(folder / "postgres", durable=False)
        self.database = Database(cluster, folder / "postgres.log")
        self.database.start()
        environment = {**os.environ, "DATABASE_URL": cluster.dsn, "DATA_DIR": str(folder)}
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0", "--skip-checks"]
        subprocess.run(migrate, cwd=ROOT, env=environment, check=True)
        self.hub = Hub(cluster.dsn, application="tests.support.from_source")
        self.hub.settings()
        self.hub.connection.close()
        self.hub.start()

    def pids(self) -> list[int]:
        """The processes of Postgres, the one that starts the others first."""
        folder = self.database.cluster.data
        first = int((folder / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        stopped = []
        try:
            for pid in self.pids():
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
            yield
        finally:
            for pid in reversed(stopped):
                os.kill(pid, signal.SIGCONT)

    @contextmanager
    def gone(self) -> Iterator[None]:
        self.database.kill()
        try:
            yield
        finally:
            self.database.start()

    def close(self) -> None:
        self.hub.stop()
        self.database.stop()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    new_installed = Installed(tmp_path_factory.mktemp("away"))
    yield new_installed
    new_installed.close()


def browser(installed: Installed) -> httpx.Client:
    """One that sends forms as a page of the hub does: without its token, a form gets 403 whether
    the database answers or not."""
    client = httpx.Client(base_url=installed.hub.url, timeout=30)
    page = client.get("/login").text
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token is not None
    client.headers["x-csrftoken"] = token[1]
    return client


def ask(client: httpx.Client, method: str, path: str, form: dict[str, str]) -> Any:
    """The response, and the seconds that it took."""
    began = time.monotonic()
    if path.startswith("/api/"):
        sent: dict[str, Any] = {"json": form} if method == "POST" else {}
        answer = client.request(method, path, headers=KEY, **sent)
    else:
        answer = client.request(method, path, data=form or None)
    return answer, time.monotonic() - began


@pytest.mark.parametrize("how", ["frozen", "gone"])
def test_every_page_reports_the_outage_and_recovers(installed: Installed, how: str) -> None:
    """It was a 500 after the pool's five seconds."""
    ask_while_away(installed, how)


@pytest.mark.timed
@pytest.mark.slow
@pytest.mark.parametrize("how", ["frozen", "gone"])
def test_every_page_reports_the_outage_within_a_second(installed: Installed, how: str) -> None:
    """The first one finds out; whoever comes behind it hears it at once."""
    assert ask_while_away(installed, how) < 1.0


def ask_while_away(installed: Installed, how: str) -> float:
    """Ask for each page while the database is away; the seconds that the slowest answer took."""
    hub = installed.hub
    # Also where connections stand ready, which a freeze takes along.
    hub.wait(lambda: httpx.get(f"{hub.url}/login").status_code == 200, "is not ready", 30)
    slowest = 0.0
    with closing(browser(installed)) as client, getattr(installed, how)():
        for method, path, form in ASKED:
            answer, took_s = ask(client, method, path, form)
            slowest = max(slowest, took_s)
            assert answer.status_code == 503, (path, answer.text[:300])
            assert 1 <= int(answer.headers["retry-after"]) <= 10
            assert answer.headers["cache-control"] == "private, no-store"
            if path.startswith("/api/"):
                assert answer.json()["error"]["code"] == "database_unavailable"
            else:
                assert "The database does not respond" in answer.text
        # What needs no database is there.
        assert httpx.get(f"{hub.url}/healthz").status_code == 200
        sheet = httpx.get(f"{hub.url}/static/css/tokens.css")
        assert sheet.status_code in (200, 404)
        chinese = {"accept-language": "zh-hans"}
        assert "数据库" in httpx.get(f"{hub.url}/login", headers=chinese).text
    hub.wait(lambda: httpx.get(f"{hub.url}/login").status_code == 200, "does not come back", 30)
    log = hub.log()
    assert "does not answer; pages say so" in log
    assert "Traceback" not in log
    return slowest


def test_simultaneous_requests_all_learn_of_the_outage(installed: Installed) -> None:
    """More than the pool has connections, with a statement of each under way."""
    hub = installed.hub
    with closing(browser(installed)) as client, installed.frozen(), ThreadPoolExecutor(20) as pool:
        messages = list(pool.map(lambda _: ask(client, "GET", "/login", {}), range(20)))
    assert {answer.status_code for answer, _ in messages} == {503}
    hub.wait(lambda: httpx.get(f"{hub.url}/login").status_code == 200, "does not come back", 30)
