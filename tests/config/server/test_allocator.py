"""Pieces of a body that are taken and freed again cost no page each time."""

import platform
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_short_lived_allocations_take_no_new_pages() -> None:
    completed = subprocess.run(
        [sys.executable, "-c", _PAGES_TAKEN], cwd=ROOT, check=True, capture_output=True, text=True
    )
    by_itself, kept, after = completed.stdout.split()
    assert kept == "True"
    assert int(by_itself) > 10_000 > 10 * int(after)
