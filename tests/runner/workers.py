"""Tests in several processes: `-n 3`.

The tests are collected once, and then the process forks: what takes half a minute is done once, and
its memory is shared. Each worker takes the next unit when it has nothing to do: a whole file, or a
folder whose tests share what is made once for it, the longest first (times.txt). The reports
go to the first process, which counts and prints them as if it had run all tests itself.

`--part 2/8` runs the second of eight parts: every test is in one of them, by its name alone.

(`-p no:xdist` in pyproject.toml is for environments that still have pytest-xdist.)
"""

import contextlib
import multiprocessing
import os
import random
import re
import traceback
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path, PurePosixPath
from typing import Any, Final
from zlib import crc32

import pytest
from _pytest.junitxml import xml_key

from tests.runner import databases, forks, rewriting, roomy_stack
from tests.runner.lanes import ROOT, Takes, function_of, times

# Their tests share what is made once for the folder.
TOGETHER: Final = ("tests/browser", "tests/fakes/tests")
# Those of tests/house that read the code share what was parsed, which takes longer than they do.
PARSED: Final = "tests/house/parsed.py"
_READS_CODE: Final = re.compile(
    r"^from tests\.house\.(?:bulk_statements|parsed|sources) import", re.MULTILINE
)
# Shorter units come in the order of their names, so that neighbours share what stands.
_LONG_S: Final = 3.0
# What prints, and what writes files about the whole run, is for the first process.
_REPORTERS: Final = ("terminalreporter", "lfplugin", "nfplugin", "stepwiseplugin")
# How long a worker may take to end once it has told all its tests.
_ENDS_S: Final = 5.0
_FORK: Final = multiprocessing.get_context("fork")
_Unit = Sequence[pytest.Item]


def pytest_addoption(parser: pytest.Parser) -> None:
    # Small letters are for pytest itself, and for this one as everybody knows it.
    parser.getgroup("workers")._addoption(
        "-n", dest="workers", type=int, default=0, help="run the tests in so many processes"
    )
    parser.addoption("--part", default="1/1", help="run the k-th of n parts of the tests: k/n")


def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    if config.option.workers and not config.option.collectonly:
        databases.begin_template()
        # Who names files or folders may need none.
        if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
            forks.begin()
            rewriting.begin(config)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    part = config.getoption("part")
    if others := [item for item in items if not is_in_part(item.nodeid, part)]:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if is_in_part(item.nodeid, part)]


def is_in_part(nodeid: str, part: str) -> bool:
    """Whether a test is in the part `k/n`, with k from 1 to n. Raises UsageError."""
    k, _, n = part.partition("/")
    if not (k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
        raise pytest.UsageError(f"--part is {part!r}; it must be k/n, such as 2/8.")
    return crc32(nodeid.encode(errors="surrogatepass")) % int(n) == int(k) - 1


def place_of(nodeid: str) -> str:
    """The file of a test, or the folder or module for which its tests stay together."""
    return _place_of_file(nodeid.partition("::")[0])


@cache
def _place_of_file(file: str) -> str:
    folders = map(str, PurePosixPath(file).parents)
    if folder := next((folder for folder in folders if folder in TOGETHER), ""):
        return folder
    is_house = PurePosixPath(file).parent == PurePosixPath(PARSED).parent
    return PARSED if is_house and _READS_CODE.search((ROOT / file).read_text()) else file


def seconds_of(nodeids: Sequence[str], known: Mapping[str, Takes]) -> Iterator[tuple[str, float]]:
    """Each test with its seconds; what comes once for its function counts for its first row."""
    seen = set[str]()
    for nodeid in nodeids:
        function = function_of(nodeid)
        once, row = known.get(function, (0.0, 0.0))
        yield nodeid, row if function in seen else once + row
        seen.add(function)


def units_of(tests: Iterable[tuple[str, float]]) -> list[str]:
    """The places of tests and their seconds, in the order in which workers take them."""
    seconds = defaultdict[str, float](float)
    for nodeid, one_takes in tests:
        seconds[place_of(nodeid)] += one_takes
    return sorted(seconds, key=lambda place: (-max(seconds[place], _LONG_S), place))


# The first process ----------------------------------------------------------------------------


class _Node:
    """What a report of a worker names as its origin, as pytest's own reporters expect it."""

    _workerinfocache = ""  # there is nothing to tell of its Python: it is that of all

    def __init__(self, id: str) -> None:
        self.id, self.gateway = id, self


class _Worker:
    """A forked process and what it has told."""

    def __init__(self, number: int, process: ForkProcess, connection: Connection) -> None:
        self.node = _Node(f"gw{number}")
        self.process, self.connection = process, connection
        self.running = ""


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    options = session.config.option
    if not options.workers or options.collectonly or not session.items or session.testsfailed:
        return None
    by_place = defaultdict[str, list[pytest.Item]](list)
    for item in session.items:
        by_place[place_of(item.nodeid)].append(item)
    nodeids = [item.nodeid for item in session.items]
    units = [by_place[place] for place in units_of(seconds_of(nodeids, times()))]
    next_unit, is_over = _FORK.Value("i", 0), _FORK.Value("b", 0)
    # Where tests put their files is decided before, lest each process decides for itself.
    base = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    workers = list[_Worker]()
    for number in range(min(options.workers, len(units))):
        here, there = _FORK.Pipe(duplex=False)
        # Whoever waits for an answer of the first process must see that it is gone.
        not_its = [here, *(worker.connection for worker in workers)]
        process = _FORK.Process(
            target=_work,
            args=(
                session,
                number,
                base,
                _taken(units, next_unit, is_over),
                is_over,
                there,
                not_its,
            ),
        )
        process.start()
        there.close()
        workers.append(_Worker(number, process, here))
    try:
        for worker, message in _messages(workers):
            _take(session, worker, message)
            if session.shouldfail or session.shouldstop:
                is_over.value = 1
    finally:
        is_over.value = 1
        for worker in workers:
            worker.connection.close()
        for worker in workers:
            worker.process.join(_ENDS_S)
            # It has told all it had to. A failed test may have left a thread that nothing ends.
            worker.process.kill()
            worker.process.join()
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)
    return True


def _messages(workers: Sequence[_Worker]) -> Iterator[tuple[_Worker, tuple[str, Any]]]:
    """What the workers tell, until all have ended."""
    by_source = {worker.connection: worker for worker in workers}
    while by_source:
        # A process that is gone may have left one behind that keeps the other end open.
        sentinels = {worker.process.sentinel: worker for worker in by_source.values()}
        for ready in wait([*by_source, *sentinels]):
            worker = by_source.get(ready) or sentinels[ready]  # type: ignore[call-overload, index]
            if worker.connection not in by_source:
                continue
            try:
                is_told = ready is worker.connection or worker.connection.poll()
                message = worker.connection.recv() if is_told else ("died", None)
            except EOFError:
                message = ("died", None)
            if message[0] in ("ended", "broke", "died"):
                del by_source[worker.connection]
            yield worker, message


def _take(session: pytest.Session, worker: _Worker, message: tuple[str, Any]) -> None:
    hook, (kind, told) = session.config.hook, message
    if kind == "tests":
        reports, begins = told
        for data in reports:
            _report(session, worker, data)
        worker.running = begins or worker.running
    elif kind == "warning":
        text, when, nodeid, location = told
        hook.pytest_warning_recorded.call_historic(
            kwargs={
                "warning_message": warnings.WarningMessage(UserWarning(text), UserWarning, "", 0),
                "when": when, "nodeid": nodeid, "location": location,
            }
        )  # fmt: skip
    elif kind == "broke":
        hook.pytest_runtest_logreport(report=_lost(worker, told))
    elif kind == "died":
        worker.process.join()
        text = f"The worker's process ended with exit code {worker.process.exitcode}."
        hook.pytest_runtest_logreport(report=_lost(worker, text))


def _report(session: pytest.Session, worker: _Worker, data: dict[str, Any]) -> None:
    hook = session.config.hook
    report = hook.pytest_report_from_serializable(config=session.config, data=data)
    report.node = worker.node
    hook.pytest_runtest_logreport(report=report)
    if report.when == "teardown":
        worker.running = ""
        hook.pytest_runtest_logfinish(nodeid=report.nodeid, location=report.location)


def _lost(worker: _Worker, text: str) -> pytest.TestReport:
    """The report of a test during which its worker was lost, or of its end."""
    nodeid = worker.running or f"the end of worker {worker.node.id}"
    text += "\nThe tests behind it in its file have not run." if worker.running else ""
    location = (nodeid.partition("::")[0], None, nodeid)
    return pytest.TestReport(nodeid, location, {}, "failed", text, "call")


# A worker ----------------------------------------------------------------------------------------


def _taken(
    units: Sequence[_Unit], next_unit: "Synchronized[int]", is_over: "Synchronized[int]"
) -> Iterator[_Unit]:
    """Units that no other process has taken."""
    while not is_over.value:
        with next_unit.get_lock():
            number = next_unit.value
            next_unit.value = number + 1
        if number >= len(units):
            return
        yield units[number]


class _Teller:
    """Tells the first process what happens here: of a test that passes, when the next one begins,
    because each message costs both processes as much as an empty test."""

    def __init__(self, config: pytest.Config, connection: Connection) -> None:
        self._config, self._connection = config, connection
        self._reports = list[dict[str, Any]]()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.tell(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        hook = self._config.hook
        self._reports.append(hook.pytest_report_to_serializable(config=self._config, report=report))
        if report.failed:
            self.tell()

    def tell(self, begins: str = "") -> None:
        """Send what was kept, and which test begins."""
        self._connection.send(("tests", (self._reports, begins)))
        self._reports = []

    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, when: str, nodeid: str, location: Any
    ) -> None:
        text = f"{warning_message.category.__name__}: {warning_message.message}"
        self._connection.send(("warning", (text, when, nodeid, location)))


def _work(
    session: pytest.Session,
    number: int,
    base: Path,
    units: Iterator[_Unit],
    is_over: "Synchronized[int]",
    connection: Connection,
    not_its: Sequence[Connection],
) -> None:
    for other in not_its:
        other.close()
    forks.inherit()
    _become_worker(session.config, number, base)
    teller = _Teller(session.config, connection)
    session.config.pluginmanager.register(teller)
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        try:
            try:
                roomy_stack.call(_run, session, units, is_over)
            finally:
                session.config.hook.pytest_sessionfinish(session=session, exitstatus=0)
            teller.tell()
            connection.send(("ended", None))
        except Exception:
            teller.tell()
            connection.send(("broke", traceback.format_exc()))


def _run(session: pytest.Session, units: Iterator[_Unit], is_over: "Synchronized[int]") -> None:
    parent = os.getppid()
    for unit in units:
        # Behind a file nothing but what lasts for the session stays.
        for item, following in zip(unit, [*unit[1:], session], strict=True):
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if is_over.value or os.getppid() != parent:
                return


def _become_worker(config: pytest.Config, number: int, base: Path) -> None:
    """Leave what is the first process's to it: its output, its files, its database."""
    random.seed()  # else all of them would draw the same
    config.workerinput = {"workerid": f"gw{number}"}  # type: ignore[attr-defined]
    capture = config.pluginmanager.getplugin("capturemanager")
    capture.stop_global_capturing()
    capture.start_global_capturing()
    plugins = [config.pluginmanager.getplugin(name) for name in _REPORTERS]
    for plugin in (*plugins, config.stash.get(xml_key, None)):
        if plugin is not None:
            config.pluginmanager.unregister(plugin)
    own = base / f"gw{number}"
    own.mkdir()
    factory = config._tmp_path_factory  # type: ignore[attr-defined]
    factory._basetemp, factory._exit_stack = own, contextlib.ExitStack()
