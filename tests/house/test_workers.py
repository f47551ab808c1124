"""`-n 2`: what workers report is counted and printed as if one process had run all tests."""

import multiprocessing
import os
import re
import resource
import subprocess
import sys
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import pytest
from _pytest.assertion import rewrite

from tests.runner import databases, forks, rewriting
from tests.runner.lanes import ANY_S, ROOT

_FORK: Final = multiprocessing.get_context("fork")
_PASSES: Final = """
import pytest, warnings

@pytest.mark.parametrize("n", range(20))
def test_passes(n, tmp_path):
    (tmp_path / "a").touch()
    print("never shown")

def test_skips():
    pytest.skip("for a reason")

def test_warns():
    warnings.warn("mind this")
"""
_FAILS: Final = """
def test_fails():
    print("said before")
    assert 1 == 2

def test_behind():
    pass
"""
_DIES: Final = """
import os

def test_dies():
    os._exit(7)
"""

_OF_LANES: Final = """
import pytest

# Every other row is for the slow lane.
@pytest.mark.parametrize("n", [
    pytest.param(n, id=f"F{n}", marks=[pytest.mark.slow] if n % 2 == 0 else []) for n in range(40)
])
def test_faults(n):
    assert n % 2

@pytest.mark.parametrize("one", "abc")
@pytest.mark.parametrize("other", range(30))
def test_pairs(one, other):
    print(f"<{one}>")
    assert False

@pytest.mark.parametrize("n", range(10))
def test_not_in_time(n):
    assert False

@pytest.mark.slow
@pytest.mark.parametrize("n", range(10))
def test_slow(n):
    assert False
"""
_LANES_TIMES: Final = {
    "test_faults": (50.0, 0.01), "test_pairs": (0.0, 0.3 * ANY_S), "test_not_in_time": (50.0, 0.01),
}  # fmt: skip

_BREAKS: Final = """
import pytest

@pytest.fixture(scope="session")
def lasts():
    yield
    raise RuntimeError("this does not end well")

def test_uses(lasts):
    pass
"""

_LEAVES_A_THREAD: Final = """
import threading

def test_leaves_one():
    threading.Thread(target=threading.Event().wait).start()
"""


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:xdist", "-p", "no:django",
               "-p", "no:schemathesis", "-p", "tests.runner.lanes", "-p", "tests.runner.workers",
               f"--rootdir={folder}", f"--confcutdir={folder}", "-c", os.devnull, "-n", "2",
               "-p", "no:cacheprovider", *arguments, str(folder)]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "test_passes.py").write_text(_PASSES)
    return tmp_path


def test_counts_include_all_workers(folder: Path) -> None:
    (folder / "test_fails.py").write_text(_FAILS)
    code, output = run(folder, "-ra", "--junitxml=report.xml")
    assert code == pytest.ExitCode.TESTS_FAILED
    assert re.search(r"1 failed, 22 passed, 1 skipped, 1 warning in ", output)
    for told in ("said before", "assert 1 == 2", "for a reason", "mind this"):
        assert told in output
    assert "never shown" not in output
    (suite,) = ElementTree.parse(folder / "report.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("24", "1")


def test_all_passed_is_success(folder: Path) -> None:
    code, output = run(folder, "-k", "not skips and not warns")
    assert code == pytest.ExitCode.OK
    assert re.search(r"20 passed, 2 deselected in ", output)


def test_first_failure_ends_the_run_on_request(folder: Path) -> None:
    (folder / "test_fails.py").write_text(_FAILS)
    code, output = run(folder, "-x")
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "stopping after 1 failures" in output
    assert "test_fails.py" in output


def test_a_worker_that_dies_is_a_failure_with_its_test(folder: Path) -> None:
    (folder / "test_dies.py").write_text(_DIES)
    code, output = run(folder)
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "test_dies.py::test_dies" in output
    assert "exit code 7" in output
    assert re.search(r"1 failed, 2[0-9] passed", output)


def test_a_thread_that_a_test_left_does_not_hold_the_run(folder: Path) -> None:
    """Python waits for it before a process ends, and for ever."""
    (folder / "test_threads.py").write_text(_LEAVES_A_THREAD)
    code, told = run(folder, "test_threads.py", "test_passes.py")
    assert code == 0, told


def test_failure_at_the_end_fails_the_run(folder: Path) -> None:
    (folder / "test_breaks.py").write_text(_BREAKS)
    code, output = run(folder)
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "this does not end well" in output


def test_quick_rows_are_of_the_suite_and_of_each_value(folder: Path) -> None:
    """Rows of the slow lane are none to choose from, and pytest's own numbers of rows, which say
    nothing of their values, are not there yet."""
    (folder / "test_passes.py").write_text(_OF_LANES)
    known = {f"test_passes.py::{name}": takes for name, takes in _LANES_TIMES.items()}
    (folder / "conftest.py").write_text(
        "from tests.runner import lanes\n"
        f"lanes.times = lambda: {{n: lanes.Takes(*t) for n, t in {known!r}.items()}}\n"
        "lanes.ONE_ROW = {'test_passes.py::test_faults': 'each fault'}\n"
        "def pytest_configure(config):\n"
        "    config.addinivalue_line('markers', 'slow: for another lane')\n"
    )
    _, output = run(folder, "--quick", "-m", "not slow")
    assert re.search(r"3 failed, 20 passed, 2 deselected in ", output), output
    assert {f"<{one}>" for one in "abc"} <= set(re.findall(r"<\w>", output))


def test_the_template_is_migrated_beside_collecting() -> None:
    """Nobody would hear of it but by the time: whoever needs the template makes it then."""
    assert databases.begin_template().wait(timeout=120) == 0


def test_workers_fork_from_the_process_that_the_first_has_begun() -> None:
    """Each that imports all of it again costs as much as a hundred tests."""
    forks.begin()
    ours, theirs = _FORK.Pipe()
    worker = _FORK.Process(target=_tell_parent_of_a_fork, args=(theirs,))
    worker.start()
    theirs.close()
    parent = ours.recv()
    worker.join()
    begun: Any = forkserver._forkserver
    assert parent == begun._forkserver_pid


def _tell_parent_of_a_fork(pipe: "Connection[Any, Any]") -> None:
    forks.inherit()
    with forks.context.Pool(1) as pool:
        pipe.send(pool.apply(os.getppid))


def _calls(depth: int) -> None:
    if depth:
        _calls(depth - 1)


def _faults_at(depth: int) -> int:
    """How often memory was mapped for two hundred calls so many calls deep."""
    if depth:
        return _faults_at(depth - 1)
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for _ in range(200):
        _calls(3)
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before


def test_no_call_maps_memory_however_deep_it_is() -> None:
    """At some of these depths each would, where a test began with no more than Python gives."""
    assert max(map(_faults_at, range(300))) < 100


def test_files_are_rewritten_up_to_one_that_is_done(
    pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    _, done, _ = files = [tmp_path / f"test_{name}.py" for name in "abc"]
    for file in files:
        file.write_text("def test_it():\n    assert [] == [1]\n")
    rewriting.rewrite_each(pytestconfig, [done])
    rewriting.rewrite_each(pytestconfig, files)
    found = [
        rewrite._read_pyc(file, rewrite.get_cache_dir(file) / f"{file.stem}{rewrite.PYC_TAIL}")
        for file in files
    ]
    assert [code and "@pytest_ar" in code.co_names for code in found] == [True, True, None]
