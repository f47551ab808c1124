"""Another process of the installation, which sweeps a hub's database when a test says so. There is
one for each thread that asks, so that those asked at once sweep at once: it takes longer to start
than to sweep."""

import atexit
import os
import subprocess
import sys
import threading
from functools import cache

from tests.hub import ROOT, Hub

_PROGRAM = """
import sys, django
django.setup()
from django.db import connection
from gateway.unsettled_attempts import sweep
for line in sys.stdin:
    connection.settings_dict["NAME"] = line.strip()
    print(sweep(), flush=True)
    connection.close()
    connection.close_pool()
"""


@cache
def _process(thread: int) -> "subprocess.Popen[str]":
    settings = {"DJANGO_SETTINGS_MODULE": "config.settings"}
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], cwd=ROOT, env=os.environ | settings, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    atexit.register(process.communicate)
    return process


def sweep(hub: Hub) -> int:
    """Sweep once; how many holds were resolved."""
    process = _process(threading.get_ident())
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{hub.connection.info.dbname}\n")
    process.stdin.flush()
    return int(process.stdout.readline())
