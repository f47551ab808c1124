"""A hub and a provider in a network of loopback alone, and one cell for each test."""

import socket
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.agents import results
from tests.agents.agents import AGENTS
from tests.agents.cell import Cell
from tests.agents.terminal import PROGRAMS
from tests.fakes.upstream import FakeUpstream
from tests.relay.speakers import UPSTREAMS
from tests.support.hub import Hub, authority, hub, own_hub

__all__ = ["authority", "hub", "own_hub"]

ADVICE = "{}: the coding agents are tested by `make agents`, which installs them and runs these."
CELLS: Final = pytest.StashKey[results.Cells]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[CELLS] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    # A cell is an agent at a model; other tests of agents are in no table.
    if call.when == "call" and "agent" in getattr(item, "fixturenames", ()):
        item.config.stash[CELLS][_cell_name(item)] = report.passed
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    results.write(session.config.stash[CELLS])


def _cell_name(item: pytest.Item) -> tuple[str, str, str]:
    """Scenario, agent and upstream of a test."""
    assert isinstance(item, pytest.Function)
    scenario = item.originalname.removeprefix("test_").replace("_", " ")
    return scenario, str(item.callspec.params["agent"]), str(item.callspec.params["upstream"])


@pytest.fixture(scope="session", autouse=True)
def _ready() -> None:
    if not (PROGRAMS / "codex").exists():
        pytest.fail(ADVICE.format("The agents are not installed"))
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        pytest.fail(ADVICE.format("There is a network besides loopback"))


@pytest.fixture(scope="session")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream(name="a", fsync=False) as fake:
        yield fake


@pytest.fixture(params=UPSTREAMS)
def upstream(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=AGENTS)
def agent(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def cell(hub: Hub, fake: FakeUpstream, agent: str, upstream: str, tmp_path: Path) -> Iterator[Cell]:
    with hub.forgetful():
        yield Cell(hub, fake, AGENTS[agent], upstream, tmp_path)
    hub.assert_books_balance()
