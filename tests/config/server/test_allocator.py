"""Pieces of a body that are taken and freed again cost no page each time."""

import os
import platform
import re
import subprocess
import sys

import pytest

from tests.support.hub import ROOT

_PAGES_TAKEN = """
import resource
from config.server.allocator import keep_freed_memory
def pages():
    began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(200):
        held = [bytes(255_000) + b"x" for _ in range(4)]
        del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - began
print(pages(), keep_freed_memory(), pages())
"""

# Each thread takes memory while all others hold some, and malloc_info(3) lists the arenas.
_ARENAS_USED = """
import ctypes
from threading import Barrier, Thread
from config.server.allocator import keep_freed_memory
libc = ctypes.CDLL(None)
assert KEPT is False or keep_freed_memory()
together = Barrier(8)
def hold():
    together.wait()
    held = [libc.malloc(100) for _ in range(10)]
    together.wait()
threads = [Thread(target=hold) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""
glibc_only = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")


def arenas(*, kept: bool) -> int:
    script = _ARENAS_USED.replace("KEPT", str(kept))
    command = [sys.executable, "-c", script]
    completed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return completed.stdout.count("<heap nr=")


@glibc_only
def test_threads_share_few_arenas() -> None:
    assert arenas(kept=False) > arenas(kept=True) == 2


@glibc_only
def test_short_lived_allocations_take_no_new_pages() -> None:
    completed = subprocess.run(
        [sys.executable, "-c", _PAGES_TAKEN], cwd=ROOT, check=True, capture_output=True, text=True
    )
    by_itself, kept, after = completed.stdout.split()
    assert kept == "True"
    assert int(by_itself) > 10_000 > 10 * int(after)


def test_what_a_start_imports_is_not_collected_again_and_again() -> None:
    script = "import gc, config; kept = [[] for _ in range(500_000)]; print(gc.get_stats()[2])"
    completed = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert "'collections': 0" in completed.stdout


def test_worker_collects_garbage_as_often_as_python_once_it_is_loaded() -> None:
    script = (
        "import gc, django; from config.celery import app; from celery.signals import worker_init;"
        "receivers = {receiver() for _, receiver in worker_init.receivers};"
        "(collect,) = (one for one in receivers if one.__name__ == '_collect_garbage');"
        "collect(); print(gc.get_threshold(), gc.get_freeze_count() > 10_000)"
    )
    environment = {**os.environ, "DATABASE_URL": "postgresql:///"}
    command = [sys.executable, "-c", script]
    told = subprocess.check_output(command, cwd=ROOT, env=environment, text=True)
    assert told == "(700, 10, 10) True\n"


@glibc_only
def test_worker_gives_each_large_block_back_when_its_job_ends() -> None:
    """A freed block of 20 MB lets glibc put one of 10 MB among small ones, which then keep it."""
    assert not is_apart("_log_everything")
    assert is_apart("_return_large_blocks")


def is_apart(started: str) -> bool:
    """Whether a large block has pages of its own after a larger one was freed."""
    script = (
        "import ctypes, django; from config.celery import app;"
        "from celery.signals import celeryd_init;"
        "receivers = {receiver() for _, receiver in celeryd_init.receivers};"
        f"[one() for one in receivers if one.__name__ == {started!r}];"
        "libc = ctypes.CDLL(None); held = bytes(20_000_000); del held; held = bytes(10_000_000);"
        "libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, 'stdout')); libc.fflush(None)"
    )
    environment = {**os.environ, "DATABASE_URL": "postgresql:///"}
    command = [sys.executable, "-c", script]
    told = subprocess.check_output(command, cwd=ROOT, env=environment, text=True)
    # The last such line is about the whole process.
    mapped = re.findall(r'<total type="mmap" count="\d+" size="(\d+)"/>', told)[-1]
    return int(mapped) > 10_000_000
