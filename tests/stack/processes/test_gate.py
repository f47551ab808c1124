"""What the web process does before it serves, and what it and the worker load."""

import json
import os
import signal
import subprocess
import sys
from typing import Any, Final

import pytest

from tests.support.hub import ROOT

# Packages and modules that rare work needs: it loads them itself.
RARE: Final = (
    # the management API and its description
    "ninja", "config.api.api",
    # `weir apply`, and the preparation
    "config.apply", "jinja2", "stack.database.prepare",
    # exports, documents and pictures
    "obstore", "openpyxl", "pyarrow", "segno", "typst", "xlsxwriter",
    # passwords, payments, price lists, traces, other hubs
    "argon2", "genai_prices", "nacl", "opentelemetry", "stripe",
    "django.contrib.admin", "unittest",
)  # fmt: skip
LOADING: Final = {
    "web": """
from stack.processes import gate
gate.load()
import config.asgi
""",
    "worker": """
import celery.apps.worker, celery.bin.celery, celery.concurrency.thread
from config.celery import app
app.loader.import_default_modules()
app.finalize()
""",
}
ABSENT: Final = {"web": ("celery", "kombu"), "worker": ("uvicorn", "config.urls")}


@pytest.mark.parametrize("process", LOADING)
def test_process_loads_nothing_for_rare_work(process: str) -> None:
    program = f"{LOADING[process]}\nimport sys\nprint(*sys.modules)"
    loaded = {*run(program).stdout.split()}
    assert "config.settings" in loaded
    assert loaded & {*RARE, *ABSENT[process]} == set()


# Prepares by loading a module that nothing else needs, and serves by saying whether it is loaded.
GATE: Final = """
import os, sys, uvicorn
from stack.processes import gate

def prepare(preparation):
    import this
    print("prepared", preparation["email"], flush=True)
    if not preparation["email"]:
        sys.exit("nobody to sign in")
    if preparation["email"] == "killed":
        os.kill(os.getpid(), 9)

gate.load = lambda: None
gate.prepare = prepare
uvicorn.main = lambda arguments, prog_name: print("serves", arguments, "this" in sys.modules)
if "thread" in sys.argv:
    import threading
    threading.Thread(target=threading.Event().wait, daemon=True).start()
reader, writer = os.pipe()
os.write(writer, sys.argv[1].encode())
os.close(writer)
gate.main(reader, ["--port=0"])
"""


def test_what_the_preparation_loads_ends_with_it() -> None:
    order = {"spare": None, "preparation": {"email": "a@b.example"}}
    done = run(GATE, json.dumps(order))
    *_, prepared, served = done.stdout.splitlines()
    assert prepared == "prepared a@b.example"
    assert served == f"serves ['--port=0'] {sys.platform != 'linux'}"


def test_failed_preparation_ends_the_process() -> None:
    done = run(GATE, json.dumps({"spare": None, "preparation": {"email": ""}}), check=False)
    assert (done.returncode, done.stderr.strip()) == (1, "nobody to sign in")
    assert "serves" not in done.stdout


def test_preparation_killed_by_a_signal_ends_the_process_by_it() -> None:
    """So whoever starts it reads SIGKILL, as of one that ran out of memory."""
    done = run(GATE, json.dumps({"spare": None, "preparation": {"email": "killed"}}), check=False)
    assert done.returncode == -signal.SIGKILL
    assert "serves" not in done.stdout


def test_process_with_threads_prepares_by_itself() -> None:
    """A fork of it could wait for ever for what its threads hold."""
    order = {"spare": None, "preparation": {"email": "a@b.example"}}
    served = run(GATE, json.dumps(order), "thread").stdout.splitlines()[-1]
    assert served == "serves ['--port=0'] True"


def test_a_later_process_serves_immediately() -> None:
    assert run(GATE, "").stdout == "serves ['--port=0'] False\n"


def run(program: str, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    pipes: dict[str, Any] = {"capture_output": True, "text": True}
    environment = {**os.environ, "DATABASE_URL": "postgresql:///"}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=check, **pipes)
