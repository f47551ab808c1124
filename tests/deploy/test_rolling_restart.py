"""Web processes are replaced under load behind the shipped nginx, as docs/operate/update.md
says: no request is lost (P10)."""

import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.deploy.load import Load, load_on
from tests.deploy.shape import WAIT_SECONDS, Running, until
from tests.deploy.stage import Stage, staged
from tests.support.books import assert_books_balance
from tests.support.ports import free_port

CLIENTS = 12


def stop(*webs: Running) -> None:
    """As `docker stop` does with several containers."""
    for web in webs:
        web.process.send_signal(signal.SIGTERM)
    for web in webs:
        assert web.process.wait(WAIT_SECONDS) == 0, web.told()


def beside_the_old(stage: Stage) -> None:
    """New processes first, then the old ones are stopped together: compose."""
    old = [web for web in stage.shape.webs if web.process.poll() is None]
    for _ in old:
        stage.shape.start("web")
    stop(*old)


def one_by_one(stage: Stage) -> None:
    """Each is stopped, and another one comes to its address: a StatefulSet."""
    for web in [web for web in stage.shape.webs if web.process.poll() is None]:
        stop(web)
        stage.shape.start("web")


def until_more(load: Load) -> None:
    """Let each client be answered some more times."""
    whole = load.whole
    until(lambda: load.lost.total() > 0 or load.whole > whole + 5 * CLIENTS, "nobody is served")


@pytest.mark.parametrize(
    ("replace", "ports"),
    [(beside_the_old, 4), (one_by_one, 2)],
)
@pytest.mark.parametrize(
    "rounds",
    [1, pytest.param(6, marks=pytest.mark.slow)],
)
def test_a_rolling_restart_loses_no_request(
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    replace: Callable[[Stage], None],
    ports: int,
    rounds: int,
) -> None:
    with staged(tmp_path, [free_port() for _ in range(ports)]) as stage:
        with load_on(stage.port, CLIENTS) as load:
            for _ in range(rounds):
                until_more(load)
                replace(stage)
            until_more(load)
        record_property("requests", load.whole)
        assert not load.lost
        stage.settle()
        [(charged,)] = stage.rows("SELECT count(*) FROM usage_usagerecord WHERE status = 200")
        assert charged == load.whole
        with psycopg.connect(stage.shape.database_url) as connection:
            assert_books_balance(connection.cursor())
