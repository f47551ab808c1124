"""An installation of before the migrations were squashed is updated under load to this tree, and
back, by the steps of docs/operate/update.md: no request is lost, and nobody is mailed of an
error in the ledger."""

import contextlib
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from lib.database.code_migrations import LAST_BEFORE_SQUASH
from tests.deploy import files
from tests.deploy.load import Load, load_on
from tests.deploy.shape import WAIT_SECONDS, Running, Shape, until
from tests.deploy.stage import settings_of
from tests.fakes.upstream import FakeUpstream
from tests.runner.databases import own_database
from tests.support.books import assert_books_balance

pytestmark = pytest.mark.slow

CLIENTS = 12
# A check rests four times as long as it took.
_CHECKED_S = 600


class Versions(NamedTuple):
    """Both on one database, behind one Redis and one nginx, each with the image of its tree."""

    old: Shape
    new: Shape
    nginx: Running

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.new.database_url) as connection:
            return connection.execute(query.encode()).fetchall()

    def letters(self) -> dict[object, object]:
        """What operators were mailed, by kind."""
        return dict(self.rows("SELECT kind, body FROM outbox_fact"))  # type: ignore[arg-type]

    def reload_nginx(self, ports: list[int]) -> None:
        """The new files, written into those that the older container has mounted, with the web
        processes that Docker's name server would name, or that are written there."""
        self.old.web_ports = ports
        for name in ("nginx.conf", "hub.conf"):
            text = (self.new.root / "deploy/nginx" / name).read_text()
            here = Path(self.old.inside("nginx", f"/etc/weir/{name}"))
            here.write_text(self.old._configuration("nginx", text))
        # Whoever comes next takes a port of its own.
        self.old.web_ports = []
        command = self.nginx.process.args
        assert isinstance(command, list)
        subprocess.run([*command, "-t"], check=True, capture_output=True)
        self.nginx.process.send_signal(signal.SIGHUP)

    def said_by_webs(self) -> list[str]:
        return [web.told() for web in self.new.webs]

    def check_again(self) -> None:
        """Wait until the ledger was checked once more, by whichever version's worker runs."""
        [(now,)] = self.rows("SELECT now()")
        until(
            lambda: self.rows(f"SELECT FROM usage_bookscheck WHERE ran_at > '{now}'") != [],
            "the ledger is not checked",
            _CHECKED_S,
        )


def stop(*processes: Running) -> None:
    for running in processes:
        running.process.send_signal(signal.SIGTERM)
    for running in processes:
        running.process.wait(WAIT_SECONDS)


def older_tree(folder: Path) -> Path:
    git = ["git", "-C", str(files.ROOT), "archive", LAST_BEFORE_SQUASH]
    archive = subprocess.run(git, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(reason="only a clone with its history has the older version")
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder


@pytest.fixture
def versions(tmp_path: Path) -> Iterator[Versions]:
    root = older_tree(tmp_path / "older")
    with contextlib.ExitStack() as until_done:
        fake = until_done.enter_context(FakeUpstream("fake"))
        dsn = until_done.enter_context(own_database("weir_update", of="template0"))
        settings = settings_of(tmp_path, fake)
        old = Shape(tmp_path / "old", settings, dsn, root)
        until_done.callback(old.close)
        new = Shape(tmp_path / "new", settings, dsn)
        until_done.callback(new.close)
        new.webs = old.webs
        new.redis_port, new.edge_port = old.redis_port, old.edge_port
        old.build()
        new.build()
        old.start("redis")
        old.run("prepare")
        old.start("web")
        old.start("web")
        yield Versions(old, new, old.start("nginx"))


def until_more(load: Load) -> None:
    whole = load.whole
    until(lambda: load.lost.total() > 0 or load.whole > whole + 20 * CLIENTS, "nobody is served")


def start_beside(versions: Versions, by: Shape) -> tuple[list[Running], list[Running]]:
    """Start as many web processes as run: those that ran, and those that came."""
    before = [web for web in versions.new.webs if web.process.poll() is None]
    came = [by.start("web") for _ in before]
    versions.reload_nginx(ports_of(*before, *came))
    return before, came


def ports_of(*webs: Running) -> list[int]:
    return [web.port for web in webs]


def test_update_and_rollback_lose_no_request(
    versions: Versions, record_property: Callable[[str, object], None]
) -> None:
    old, new = versions.old, versions.new
    before = [old.start("worker"), old.start("beat")]
    with load_on(old.edge_port, CLIENTS, reconnecting=True) as load:
        until_more(load)
        versions.check_again()
        versions.reload_nginx(ports_of(*old.webs))
        until_more(load)
        stop(*before)
        new.run("prepare")
        new.start("worker")
        new.start("beat")
        until_more(load)
        older, newer = start_beside(versions, new)
        # The older version closes connections in which a request may be.
        versions.reload_nginx(ports_of(*newer))
        until_more(load)
        stop(*older)
        until_more(load)
        versions.check_again()
        record_property("requests until updated", load.whole)
        assert not load.lost, versions.said_by_webs()
        # Back: web processes alone.
        newer, _ = start_beside(versions, old)
        until_more(load)
        stop(*newer)
        until_more(load)
        versions.check_again()
    record_property("reconnected", load.reconnected)
    record_property("requests", load.whole)
    assert not load.lost, versions.said_by_webs()
    letters = versions.letters()
    # Of stopped jobs they are told where this machine takes longer than a minute and a half for the
    # time between both workers.
    record_property("letters", sorted(map(str, letters)))
    assert not {"books.wrong", "books.unchecked"} & letters.keys(), letters
    open_holds = "SELECT FROM billing_hold WHERE state = 'open'"
    until(lambda: versions.rows(open_holds) == [], "a hold stays open")
    [(charged,)] = versions.rows("SELECT count(*) FROM usage_usagerecord WHERE status = 200")
    assert charged == load.whole
    with psycopg.connect(new.database_url) as connection:
        assert_books_balance(connection.cursor())
    new.exec("worker", ["python", "manage.py", "verify", "--tamper-check"])
