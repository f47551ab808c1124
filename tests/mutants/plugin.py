"""A pytest plugin with two phases, chosen by the job in the file that WEIR_MUTANTS names.

"map": run the tests, and write which of them reach which lines of the targets, and how long each
takes. "try": collect the tests and set up the database once, and fork a process for each mutation,
in which the live code of the changed function is replaced and its tests run until one fails.
"""

import contextlib
import functools
import gc
import inspect
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final

import pytest
from django.db import connection
from pytest_django.plugin import blocking_manager_key

from tests.mutants import reach
from tests.mutants.mutations import Mutation
from tests.mutants.outcome import CAUGHT, SURVIVED, TIMEOUT, UNDECIDED, Outcome
from tests.runner import databases
from tests.support.stage import stage

_ROOT: Final = Path(__file__).parents[2]
_JOB: Final[dict[str, Any]] = json.loads(Path(os.environ["WEIR_MUTANTS"]).read_text())
_OUT: Final = Path(_JOB["out"])
# What tests may take beyond their own times: a busy machine, and what others had set up for them.
_SLACK_S: Final = 30.0
_SLACK_TIMES: Final = 5
# How much longer the last mutant may take that is begun in time.
_LAST_S: Final = 60.0
_LAST_RUN: Final = _OUT / f"last-run-{os.getpid()}.log"


class TestMap:
    """Which tests reach which lines."""

    __test__ = False

    def __init__(self) -> None:
        # Seconds, none of a test for which no time was left, and whether it failed.
        self._ran: dict[str, tuple[float | None, bool]] = {}
        self._now: Path | None = None

    def _begin(self) -> Path:
        """In each process that runs tests, not in the one that hands them out."""
        os.environ["WEIR_MUTANTS_WORKER"] = str(os.getpid())
        now = _OUT / f"test-{os.getpid()}"
        now.touch()
        self._measured = reach.measure(_ROOT, _JOB["files"], _OUT)
        return now

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._now = self._now or self._begin()
        self._now.write_text(item.nodeid)
        self._measured.switch_context(item.nodeid)
        begun = time.perf_counter()
        self._ran[item.nodeid] = (0.0, False)
        result = yield
        _, failed = self._ran[item.nodeid]
        if time.time() < _JOB["until"]:
            self._ran[item.nodeid] = (time.perf_counter() - begun, failed)
        else:  # it was not run, or is not worth waiting for
            self._ran[item.nodeid] = (None, False)
        self._measured.switch_context("")
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._ran[report.nodeid] = (0.0, True)

    def pytest_sessionfinish(self) -> None:
        if self._now is None:
            return
        self._measured.stop()
        self._measured.save()
        whole = _OUT / f"ran-{os.getpid()}.json"
        part = whole.with_suffix(".part")
        part.write_text(json.dumps(self._ran))
        part.rename(whole)


class Deadline:
    """Run no test after the time for measuring."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self) -> bool | None:
        return True if time.time() > _JOB["until"] else None


class Trials:
    """Try each mutation against its tests."""

    def __init__(self) -> None:
        self._items: dict[str, pytest.Item] = {}
        self._functions: defaultdict[tuple[str, str, int], list[FunctionType]] = defaultdict(list)
        self._problems: list[str] = []
        self._has_database = False
        self._sound, self._unsound = set[str](), set[str]()

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        self._warm_up(session)
        self._find_functions()
        with (_OUT / f"outcomes-{os.getpid()}.jsonl").open("w", buffering=1) as file:
            for wanted, tests, closest in _JOB["trials"]:
                if time.time() > _JOB["until"]:
                    break
                mutation = Mutation(*wanted)
                begun = time.perf_counter()
                result, test = self._try(session, mutation, tests, closest)
                if result in (TIMEOUT, UNDECIDED) and time.time() > _JOB["until"]:
                    break  # nobody knows: it was cut off
                seconds = time.perf_counter() - begun
                file.write(json.dumps(Outcome(mutation, result, test, seconds)) + "\n")
        return True

    def _warm_up(self, session: pytest.Session) -> None:
        """Set up what lasts for a session, the database above all, by a test that needs it."""
        for item in session.items:
            if item.get_closest_marker("django_db") or "db" in getattr(item, "fixturenames", ()):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=session)
                self._has_database = True
                break
        stage.clear()
        connection.close()
        # A pool's threads would not be in a fork.
        connection.close_pool()  # type: ignore[attr-defined]

    def _find_functions(self) -> None:
        gc.unfreeze()  # what tests/conftest.py has frozen is in no list of objects
        for one in gc.get_objects():
            if type(one) is FunctionType and one.__code__.co_filename.startswith(str(_ROOT)):
                self._functions[_place(one.__code__)].append(one)
        gc.freeze()

    def _try(
        self, session: pytest.Session, mutation: Mutation, tests: list[str], closest: list[str]
    ) -> tuple[str, str]:
        """Whoever catches it must pass, and end, when nothing is changed, in a fork as well. What
        survives is tried once more from the start: tests may have asked it while they were
        collected."""
        text = (_ROOT / mutation.file).read_text()
        nothing = mutation._replace(new=text[mutation.start : mutation.end])
        while True:
            sound = [test for test in tests if test in self._items.keys() - self._unsound]
            result, test = self._try_once(session, mutation, sound)
            if result == CAUGHT and test in self._items.keys() - self._sound:
                passed = self._try_once(session, nothing, [test])[0] == SURVIVED
                (self._sound if passed else self._unsound).add(test)
                if not passed:
                    print(f"{test} fails in a fork:", _LAST_RUN.read_text(), flush=True)
                    continue
            if result == TIMEOUT and self._try_once(session, nothing, sound)[0] != SURVIVED:
                return UNDECIDED, ""
            if result == SURVIVED and mutation.function and closest:
                with _written(mutation):
                    caught = _in_process(closest, _SLACK_S)[0] == CAUGHT
                    return CAUGHT if caught else SURVIVED, ""
            return result, test

    def _try_once(
        self, session: pytest.Session, mutation: Mutation, tests: list[str]
    ) -> tuple[str, str]:
        if not tests:
            return SURVIVED, ""
        left_s = max(_JOB["until"] + _LAST_S - time.time(), 0)
        limit_s = _SLACK_S + _SLACK_TIMES * sum(_JOB["seconds"][test] for test in tests)
        limit_s = min(limit_s, left_s)
        with _written(mutation) as text:
            if not mutation.function:
                return _in_process(tests, limit_s)
            module = compile(text, str(_ROOT / mutation.file), "exec")
            (code,) = [
                one
                for one in _codes(module)
                if (one.co_qualname, one.co_firstlineno) == (mutation.function, mutation.first_line)
            ]
            return _in_fork(functools.partial(self._run, session, code, tests), limit_s)

    def _run(self, session: pytest.Session, code: CodeType, tests: Sequence[str]) -> str:
        """In the fork: replace the function's code and run; the test that failed, or ""."""
        for function in self._functions[_place(code)]:
            with contextlib.suppress(ValueError):  # a wrapper of another shape
                function.__code__ = code
        if self._has_database:
            with session.config.stash[blocking_manager_key].unblock():
                databases.empty()  # the tests of the last mutation may have been killed
        items = [self._items[test] for test in tests]
        for item, following in zip(items, [*items[1:], session], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                print(*self._problems, sep="\n", flush=True)
                return item.nodeid
        return ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._problems.append(report.longreprtext)


@contextlib.contextmanager
def _written(mutation: Mutation) -> Iterator[str]:
    """The mutated file, in the copied tree, for as long as the block: processes that tests start
    read it. Its time differs from every earlier one's, or Python would take an old compiled file
    for it."""
    path = _ROOT / mutation.file
    right, state = path.read_text(), path.stat()
    wrong = mutation.applied(right)
    path.write_text(wrong)
    os.utime(path, (_next_second(), _next_second()))
    try:
        yield wrong
    finally:
        path.write_text(right)
        os.utime(path, (state.st_atime, state.st_mtime))


_seconds: Final = iter(range(2_000_000_000, 4_000_000_000))


def _next_second() -> int:
    return next(_seconds)


def _place(code: CodeType) -> tuple[str, str, int]:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _codes(constant)


def _in_fork(run: Callable[[], str], limit_s: float) -> tuple[str, str]:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        log = os.open(_LAST_RUN, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        try:
            failed: str | None = run()
        except BaseException:
            traceback.print_exc()
            failed = None
        os.write(writer, json.dumps(failed).encode())
        os._exit(0)
    os.close(writer)
    try:
        ready, _, _ = select.select([reader], [], [], limit_s)
        text = os.read(reader, 65536) if ready else b""
    finally:
        os.close(reader)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    _drop_databases_of(child)
    if not ready:
        return TIMEOUT, ""
    failed = json.loads(text or b'"(the process died)"')
    if failed is None:
        raise pytest.UsageError(f"No test could be run:\n{_LAST_RUN.read_text()[-3000:]}")
    return (CAUGHT, failed) if failed else (SURVIVED, "")


def _drop_databases_of(process: int) -> None:
    with databases.admin() as connection:
        cursor = connection.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE %s", [f"%\\_{process}\\_%"]
        )
        for (name,) in cursor.fetchall():
            databases.drop_database(str(name))


def _in_process(tests: Sequence[str], limit_s: float) -> tuple[str, str]:
    """For what is decided when a module is imported: a new interpreter."""
    environment = {name: value for name, value in os.environ.items() if name != "WEIR_MUTANTS"}
    environment["DATABASE_URL"] = databases.address("another")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    with subprocess.Popen(
        command, cwd=_ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            code = process.wait(limit_s + _SLACK_S)
        except subprocess.TimeoutExpired:
            return TIMEOUT, ""
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return (SURVIVED, "") if code == 0 else (CAUGHT, "")


def pytest_configure(config: pytest.Config) -> None:
    if _JOB["phase"] == "map":
        config.pluginmanager.register(TestMap())
        config.pluginmanager.register(Deadline())
    else:
        config.pluginmanager.register(Trials())
