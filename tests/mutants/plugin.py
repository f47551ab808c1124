"""A pytest plugin with two phases, chosen by the job in the file that WEIR_MUTANTS names.

"map": run the tests, and write which of them reach which lines of the targets, and how long each
takes. "try": collect the tests once, and fork a process for each mutation, in which the live code
of the changed function is replaced and the tests that reach its line run until one fails.
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
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final

import coverage
import pytest

from tests.mutants.mutations import Mutation
from tests.mutants.outcome import CAUGHT, SURVIVED, TIMEOUT, UNREACHED, Outcome

_ROOT: Final = Path(__file__).parents[2]
_JOB: Final[dict[str, Any]] = json.loads(Path(os.environ["WEIR_MUTANTS"]).read_text())
# The tests of one mutation run for so long at the most, by their own times; then for so much more.
_TESTS_S_MAX: Final = 60.0
_SLACK_S: Final = 20.0
_SLACK_TIMES: Final = 5
_problems: Final[list[str]] = []
_LAST_RUN: Final = Path(_JOB["out"], f"last-run-{os.getpid()}.log")
_NOT_REPLACED: Final = "(the function could not be replaced)"


class TestMap:
    """Which tests reach which lines."""

    __test__ = False

    def __init__(self) -> None:
        self._coverage = coverage.Coverage(
            data_file=None, include=[str(_ROOT / file) for file in _JOB["files"]], config_file=False
        )
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        begun = time.perf_counter()
        result = yield
        self.seconds[item.nodeid] = time.perf_counter() - begun
        self._coverage.switch_context("")
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        data = self._coverage.get_data()
        lines: dict[str, dict[int, list[str]]] = {}
        for path in data.measured_files():
            reached = data.contexts_by_lineno(path)
            lines[Path(path).relative_to(_ROOT).as_posix()] = {
                line: [test for test in tests if test] for line, tests in reached.items()
            }
        found = {"lines": lines, "seconds": self.seconds, "failed": self.failed}
        Path(_JOB["out"], f"map-{os.getpid()}.json").write_text(json.dumps(found))


class Trials:
    """Try each mutation against the tests that reach it."""

    def __init__(self) -> None:
        self._mutations = [Mutation(*one) for one in _JOB["mutations"]]
        known = json.loads(Path(_JOB["map"]).read_text())
        self._seconds: dict[str, float] = known["seconds"]
        self._failed = set(known["failed"])
        self._lines = {
            file: {int(line): tests for line, tests in its.items()}
            for file, its in known["lines"].items()
        }
        self._items: dict[str, pytest.Item] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        out = Path(_JOB["out"], f"outcomes-{os.getpid()}.jsonl")
        with out.open("w", buffering=1) as file:
            checked = set[str]()
            for mutation in self._mutations:
                if time.time() > _JOB["until"]:
                    break
                if mutation.function and mutation.file not in checked:
                    checked.add(mutation.file)
                    self._check(session, mutation)
                result, test = self._try(session, mutation)
                file.write(json.dumps(Outcome(mutation, result, test)) + "\n")
        return True

    def _check(self, session: pytest.Session, mutation: Mutation) -> None:
        """What changes nothing must survive, or everything would seem to be caught."""
        text = (_ROOT / mutation.file).read_text()
        nothing = mutation._replace(new=text[mutation.start : mutation.end])
        result, test = self._try(session, nothing)
        if result not in (SURVIVED, UNREACHED):
            said = _LAST_RUN.read_text()[-3000:]
            raise pytest.UsageError(f"{mutation.file}, unchanged, is {result} by {test}.\n{said}")

    def _try(self, session: pytest.Session, mutation: Mutation) -> tuple[str, str]:
        tests = self._choose(mutation)
        if not tests:
            return UNREACHED, ""
        limit_s = _SLACK_S + _SLACK_TIMES * sum(self._seconds[test] for test in tests)
        with _written(mutation) as text:
            code = compile(text, str(_ROOT / mutation.file), "exec") if mutation.function else None
            if code is not None:
                run = functools.partial(self._run, session, mutation, code, tests)
                result, test = _in_fork(run, limit_s)
                if test != _NOT_REPLACED:
                    return result, test
            return _in_process(tests, limit_s)

    def _choose(self, mutation: Mutation) -> list[str]:
        """The tests that reach the line, the quickest first; of a line outside of functions, which
        is run when it is imported, those that reach most of its file."""
        lines = self._lines.get(mutation.file, {})
        found = lines.get(mutation.line, []) if mutation.function else []
        tests = set(found) & self._items.keys() - self._failed
        ordered = sorted(tests, key=lambda test: self._seconds[test])
        if not mutation.function:
            counts: defaultdict[str, int] = defaultdict(int)
            for its in lines.values():
                for test in its:
                    counts[test] += 1
            known = [test for test in counts if test in self._items and test not in self._failed]
            ordered = sorted(known, key=lambda test: (-counts[test], self._seconds[test]))
        chosen, seconds = list[str](), 0.0
        for test in ordered:
            seconds += self._seconds[test]
            if chosen and seconds > _TESTS_S_MAX:
                break
            chosen.append(test)
        return chosen

    def _run(
        self, session: pytest.Session, mutation: Mutation, code: CodeType, tests: Sequence[str]
    ) -> str:
        """In the fork: replace the function's code and run; the test that failed, or ""."""
        if not _replace(mutation, code):
            return _NOT_REPLACED
        items = [self._items[test] for test in tests]
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                print(*_problems, sep="\n", flush=True)
                return item.nodeid
        return ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            _problems.append(report.longreprtext)


@contextlib.contextmanager
def _written(mutation: Mutation) -> Iterator[str]:
    """The mutated file, in the tree for as long as the block: processes that tests start read it.
    Its time differs from every earlier one's, or Python would take an old compiled file for it."""
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


def _replace(mutation: Mutation, module: CodeType) -> bool:
    """Give every live function of that name the code of the mutated source."""
    (code,) = [
        one
        for one in _codes(module)
        if one.co_qualname == mutation.function and one.co_firstlineno == mutation.first_line
    ]
    replaced = False
    gc.unfreeze()  # what tests/conftest.py has frozen is in no list of objects
    for one in gc.get_objects():
        if not isinstance(one, FunctionType):
            continue
        live = one.__code__
        if (live.co_filename, live.co_qualname, live.co_firstlineno) != (
            code.co_filename, mutation.function, mutation.first_line,
        ):  # fmt: skip
            continue
        with contextlib.suppress(ValueError):
            one.__code__ = code
            replaced = True
    return replaced


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _codes(constant)


def _in_fork(run: Any, limit_s: float) -> tuple[str, str]:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        log = os.open(_LAST_RUN, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        try:
            failed = run()
        except BaseException as error:
            failed = f"({type(error).__name__})"
        os.write(writer, json.dumps(failed).encode())
        os._exit(0)
    os.close(writer)
    try:
        ready, _, _ = select.select([reader], [], [], limit_s)
        said = os.read(reader, 65536) if ready else b""
    finally:
        os.close(reader)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if not ready:
        return TIMEOUT, ""
    failed = json.loads(said or b'"(the process died)"')
    return (CAUGHT, failed) if failed else (SURVIVED, "")


def _in_process(tests: Sequence[str], limit_s: float) -> tuple[str, str]:
    """For what is decided when a module is imported: a new interpreter."""
    environment = {name: value for name, value in os.environ.items() if name != "WEIR_MUTANTS"}
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
        # Those who only hand tests out to others run none.
        if not config.getoption("numprocesses", None):
            config.pluginmanager.register(TestMap())
    else:
        config.pluginmanager.register(Trials())
