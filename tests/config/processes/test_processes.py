"""Every process reports itself: its figures move, and who died is not listed."""

import asyncio
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db.models.functions import Now

from config.jobs import sweeping
from config.jobs.sweeping import LoopLag
from config.models import ProcessReport
from config.processes import processes
from config.processes.processes import ALIVE_FOR, Reporter, WebLoad, read_measures
from config.version import VERSION
from stack.database.prepare import load_queues
from stack.processes.commands import SCHEDULER, worker_command
from tests.config.system.test_metrics import Samples, read, scrape
from tests.deploy.shape import until
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.runner.databases import ROOT, own_database
from tests.support.cast import Cast, signed_in
from tests.support.hub import Hub, Tenant, fake
from tests.support.markup import squeezed

__all__ = ["fake"]

OFTEN = "tests.config.system.often"
CLIENTS = 7
WEB = [
    "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
    "process_max_fds", "process_start_time_seconds", "weir_process_connections",
    "weir_process_requests_in_flight", "weir_event_loop_lag_seconds",
]  # fmt: skip


class Scraped:
    """What a running web process answers of itself."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def read(self) -> Samples:
        return read(self.hub.get("/metrics").body)

    def figure(self, name: str) -> float:
        """That of the only web process."""
        [value] = self.read()[name].values()
        return value

    def wait(self, holds: Callable[[], bool], complaint: str) -> None:
        self.hub.wait(holds, complaint, 40)


@pytest.fixture(scope="module")
def scraped() -> Iterator[Scraped]:
    """A real web process that has reported itself twice."""
    with own_database("processes") as dsn, closing(Hub(dsn, application=OFTEN)) as hub:
        hub.settings()
        hub.start()
        new = Scraped(hub)
        new.wait(lambda: bool(new.read()["weir_event_loop_lag_seconds"]), "it reports nothing")
        yield new


def test_figures_belong_to_the_process(scraped: Scraped) -> None:
    assert scraped.hub.process is not None
    samples, pid = scraped.read(), scraped.hub.process.pid
    name = f"{socket.gethostname()}:{pid}"
    assert samples["weir_process_info"] == {(name, "web", VERSION): 1}
    for figure in WEB:
        assert samples[figure].keys() == {(name, "web")}, figure
    of = {figure: samples[figure][(name, "web")] for figure in WEB}
    # By the kernel's own word on that process, as far as it moves meanwhile.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    assert 0 < of["process_cpu_seconds_total"] <= cpu_s + 0.02
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    assert of["process_resident_memory_bytes"] == pytest.approx(resident, rel=0.2)
    assert of["process_open_fds"] == pytest.approx(len(os.listdir(f"/proc/{pid}/fd")), abs=8)
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert f"{of['process_max_fds']:.0f}" in next(
        line for line in limits.splitlines() if line.startswith("Max open files")
    )
    started_at = Path(f"/proc/{pid}").stat().st_mtime
    assert of["process_start_time_seconds"] == pytest.approx(started_at, abs=60)
    assert of["weir_event_loop_lag_seconds"] < 1


def test_the_figures_move(scraped: Scraped, fake: FakeUpstream) -> None:
    """By what clients do: connections, a stream that is held, and the work that they make."""
    tenant, model = scraped.hub.tenant(), scraped.hub.model(fake)
    before = {name: scraped.figure(name) for name in WEB}
    with ExitStack() as stack:
        for _ in range(CLIENTS):
            stack.enter_context(socket.create_connection(("127.0.0.1", scraped.hub.port)))
        stack.enter_context(closing(hold_stream(scraped.hub, tenant, model)))
        scraped.wait(lambda: scraped.figure(WEB[5]) > CLIENTS, "the connections are not counted")
        scraped.wait(lambda: scraped.figure(WEB[6]) == 1 + before[WEB[6]], "nor is the stream")
        assert scraped.figure("process_open_fds") > before["process_open_fds"]
        fake.release()
    # The scrape itself has one.
    scraped.wait(lambda: scraped.figure(WEB[5]) <= before[WEB[5]] + 1, "who left is still counted")
    scraped.wait(lambda: scraped.figure(WEB[6]) == before[WEB[6]], "what ended is still counted")
    scraped.wait(lambda: scraped.figure(WEB[7]) != before[WEB[7]], "the lag stands still")
    scraped.wait(lambda: scraped.figure(WEB[0]) != before[WEB[0]], "the CPU time stands still")
    assert scraped.figure(WEB[0]) > before[WEB[0]]
    assert scraped.figure(WEB[4]) == before[WEB[4]]


def hold_stream(hub: Hub, tenant: Tenant, model: str) -> HTTPConnection:
    """The connection of a stream that does not end by itself."""
    connection = HTTPConnection("127.0.0.1", hub.port)
    body = json.dumps(ask(model, "#tokens=5 #hold=2", stream=True))
    headers = {"authorization": f"Bearer {tenant.key}", "content-type": "application/json"}
    connection.request("POST", "/v1/chat/completions", body, headers)
    return connection


def test_a_dead_process_vanishes(scraped: Scraped) -> None:
    hub = scraped.hub
    assert hub.process is not None
    name = f"{socket.gethostname()}:{hub.process.pid}"
    hub.kill()
    hub.start()
    scraped.wait(lambda: len(scraped.read()["weir_process_info"]) == 2, "the next is not there")
    # What time does.
    hub.connection.execute(
        "UPDATE config_processreport SET reported_at = reported_at - %s WHERE pid = %s",
        [ALIVE_FOR, name.rpartition(":")[2]],
    )
    samples = scraped.read()
    for figure in ("weir_process_info", *WEB):
        assert name not in {labels[0] for labels in samples[figure]}, figure
    # Its row goes with the next start.
    hub.kill()
    hub.start()
    gone = "SELECT FROM config_processreport WHERE host || ':' || pid = %s"
    hub.wait(lambda: not hub.rows(gone, name), "its row stays", 40)


def test_workers_and_the_scheduler_report_themselves() -> None:
    """A worker that has the scheduler in it is one process."""
    commands = {
        "worker": worker_command(1), "both": worker_command(1, schedules=True),
        "scheduler": SCHEDULER,
    }  # fmt: skip
    query = "SELECT pid, role, cpu_ms, cpu_percent, connections FROM config_processreport"
    with own_database("reports") as dsn, psycopg.connect(dsn, autocommit=True) as database:
        load_queues(dsn)

        def rows() -> dict[int, Any]:
            return {pid: rest for pid, *rest in database.execute(query).fetchall()}

        environment = os.environ | {"DATABASE_URL": dsn, "BROKER_URL": ""}
        with ExitStack() as stack:
            pids = {name: start(command, environment, stack) for name, command in commands.items()}
            until(lambda: len(rows()) == 3, "not all report themselves")
            before = rows()
            until(lambda: all(row[2] is not None for row in rows().values()), "once only")
            after = rows()
    for name, role in (("worker", "worker"), ("both", "worker"), ("scheduler", "scheduler")):
        assert after[pids[name]][0] == role
        assert after[pids[name]][1] > before[pids[name]][1]
        assert after[pids[name]][3] is None


def start(command: list[str], environment: Mapping[str, str], stack: ExitStack) -> int:
    """Start it until the stack ends; its pid."""
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process.pid


def test_unavailable_figure_is_left_out(tmp_path: Path) -> None:
    """As on macOS, where there is no /proc."""
    measures = read_measures(tmp_path)
    assert measures.cpu_s > 0
    assert (measures.resident_bytes, measures.open_fds, measures.started_at) == (None, None, None)


@pytest.mark.django_db
def test_unknown_figure_has_no_sample(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "read_measures", lambda: read_measures(tmp_path))
    Reporter("worker").report()
    samples = scrape()
    assert len(samples["process_cpu_seconds_total"]) == 1
    for name in (WEB[1], WEB[2], *WEB[4:]):
        assert not samples[name], name


def test_lag_is_the_wait_a_busy_loop_causes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "_CHECK_S", 0.25)

    async def lag_of(busy_s: float) -> float | None:
        lag = LoopLag()
        measuring = asyncio.create_task(lag.measure_for_ever())
        for _ in range(3):
            await asyncio.sleep(0.2)
            end = time.monotonic() + busy_s
            while time.monotonic() < end:
                pass
        await asyncio.sleep(0.3)
        measuring.cancel()
        result = lag.take()
        assert lag.take() is None
        return result

    # A wait of more than two periods delays a measurement by more than one, wherever it begins.
    idle, busy = asyncio.run(lag_of(0)), asyncio.run(lag_of(0.6))
    assert idle is not None
    assert busy is not None
    assert busy > 0.1 > idle


# ---- what operators see


def report(role: processes.Role = "web", **fields: Any) -> None:
    """A process that reported itself just now."""
    defaults = {
        "host": "node-1", "pid": 71, "role": role, "version": "1.0.0", "reported_at": Now(),
        "cpu_ms": 90_000, "cpu_percent": 12, "resident_bytes": 130_000_000, "open_fds": 60,
        "max_fds": 16_512, "connections": 40, "in_flight": 3, "loop_lag_us": 1_400,
    }  # fmt: skip
    ProcessReport.objects.create(**{**defaults, **fields})


def health(people: Cast, language: str = "en") -> str:
    answer = signed_in(people.dora).get(
        "/admin/health?open=processes", headers={"accept-language": language}
    )
    return squeezed(answer.content.decode())


@pytest.mark.django_db
def test_the_page_lists_who_runs(people: Cast) -> None:
    assert "Processes" not in health(people)
    report()
    report("worker", pid=72, connections=None, in_flight=None, loop_lag_us=None)
    report("scheduler", pid=73, reported_at=Now() - ALIVE_FOR)
    english, chinese = health(people), health(people, "zh-hans")
    for text in ("node-1:71", "node-1:72", "12%", "130 MB", "60 of 16,512", "40, 3 in flight"):
        assert text in english
    assert "node-1:73" not in english
    assert ">Worker<" in english
    assert ">Worker<" not in chinese
    assert "in flight" not in chinese


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "busy"),
    [
        ({"cpu_percent": 79, "loop_lag_us": 49_999}, False),
        ({"cpu_percent": 80}, True),
        ({"loop_lag_us": 50_000}, True),
        ({"cpu_percent": None, "loop_lag_us": None}, False),
        # Another worker is no help against a single long job.
        ({"role": "worker", "cpu_percent": 100}, False),
    ],
)
def test_overloaded_web_process_is_marked(people: Cast, fields: dict[str, Any], busy: bool) -> None:
    report(**fields)
    assert (">Busy<" in health(people)) is busy
    [process] = signed_in(people.dora).get("/api/v1/system").json()["processes"]
    assert process["busy"] is busy


@pytest.mark.django_db
def test_restart_under_the_same_name_continues_its_row() -> None:
    """In a container every process has the pid 1."""
    Reporter("web").report(WebLoad(1, 0, None))
    Reporter("web").report(WebLoad(2, 0, None))
    assert [row.connections for row in ProcessReport.objects.all()] == [2]


@pytest.mark.django_db
def test_only_operators_see_processes(people: Cast) -> None:
    report()
    for person in (people.alice, people.bob, people.charlie):
        client = signed_in(person)
        assert client.get("/admin/health").status_code == 404
        assert client.get("/api/v1/system").status_code in (403, 404)
