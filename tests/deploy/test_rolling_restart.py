"""Web processes are replaced under load behind the shipped nginx, as docs/operate/update.md
says: no request is lost (P10)."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.deploy.load import Load, load_on
from tests.deploy.shape import WAIT_SECONDS, Running, until
from tests.deploy.stage import Stage, staged
from tests.support.books import assert_books_balance
from tests.support.ports import free_port

CLIENTS = 12
_CHARGED = "SELECT count(*) FROM usage_usagerecord WHERE status = 200"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, image: Path) -> Iterator[Stage]:
    ports = [free_port() for _ in range(4)]
    with staged(tmp_path_factory.mktemp("stage"), image, ports) as stage:
        yield stage


def stop(*webs: Running) -> None:
    """As `docker stop` does with several containers."""
    for web in webs:
        web.process.send_signal(signal.SIGTERM)
    for web in webs:
        assert web.process.wait(WAIT_SECONDS) == 0, web.told()


def those_that_run(stage: Stage) -> list[Running]:
    return [web for web in stage.shape.webs if web.process.poll() is None]


def beside_the_old(stage: Stage) -> None:
    """New processes first, then the old ones are stopped together: compose."""
    old = those_that_run(stage)
    for _ in old:
        stage.shape.start("web")
    stop(*old)


def one_by_one(stage: Stage) -> None:
    """Each is stopped, and another one comes to its address: a StatefulSet."""
    for web in those_that_run(stage):
        stop(web)
        stage.shape.start("web", web.port)


def until_more(load: Load) -> None:
    """Let each client be answered some more times."""
    whole = load.whole
    until(lambda: load.lost.total() > 0 or load.whole > whole + 5 * CLIENTS, "nobody is served")


@pytest.mark.parametrize("replace", [beside_the_old, one_by_one])
@pytest.mark.parametrize(
    ("rounds", "pace_ms"),
    [(1, 100), pytest.param(6, 0, marks=pytest.mark.slow)],
    ids=["1 round", "6 rounds"],
)
def test_a_rolling_restart_loses_no_request(
    stage: Stage,
    record_property: Callable[[str, object], None],
    replace: Callable[[Stage], None],
    rounds: int,
    pace_ms: int,
) -> None:
    [(before,)] = stage.rows(_CHARGED)
    with load_on(stage.port, CLIENTS, pace_ms=pace_ms) as load:
        for _ in range(rounds):
            until_more(load)
            replace(stage)
        until_more(load)
    record_property("requests", load.whole)
    assert not load.lost
    stage.settle()
    [(charged,)] = stage.rows(_CHARGED)
    assert charged - before == load.whole
    with psycopg.connect(stage.shape.database_url) as connection:
        assert_books_balance(connection.cursor())
