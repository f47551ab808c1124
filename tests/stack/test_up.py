"""The real thing: `stack.up` on fresh data, killed, started again, stopped."""

import html
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest

from stack import origin, ports, probe, up
from stack.database import postgres
from stack.model import server as model
from stack.processes.gate import read_all
from stack.processes.processes import command_line, wait_gone
from tests.support.beside import Beside, manage
from tests.support.ports import free_port

WAIT_SECONDS = 30
STOP_SECONDS_MAX = 10
# The measured figure is in docs/background/performance.md.
SHARED_MB_MIN = 20
# What tests/runner/postgres.py sets for the suite is not this installation's.
FOREIGN = ("DATABASE_URL", "BROKER_URL", "SECRET_KEY", "WEIR_KEK", "WEIR_KEY_PEPPER", "MAKELEVEL")


class Running(NamedTuple):
    """`statuses` are what a client with a wrong key was answered while it started; 0: nothing."""

    process: "subprocess.Popen[str]"
    port: int
    data: Path
    told: str
    statuses: list[int]

    @property
    def key(self) -> str:
        return (self.data / "secrets" / "WEIR_DEMO_KEY").read_text().strip()


def environment(data: Path) -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return {**mine, "DATA_DIR": str(data)}


def start(data: Path, port: int) -> Running:
    process = subprocess.Popen(
        [sys.executable, "-m", "stack.up"],
        env={**environment(data), "PORT": str(port)},
        cwd=origin.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    statuses = statuses_until_it_serves(process, port)
    assert process.stdout is not None
    message = ""
    for line in process.stdout:
        message += line
        if line.startswith("Ctrl-C"):
            return Running(process, port, data, message, statuses)
    pytest.fail(f"it ended with {process.wait()}:\n{message}")


def statuses_until_it_serves(process: "subprocess.Popen[str]", port: int) -> list[int]:
    statuses: list[int] = []
    while statuses[-1:] in ([], [0], [503]) and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)
        with closing(connection):
            try:
                connection.request("GET", "/v1/models", headers=bearer("wrong"))
                statuses.append(connection.getresponse().status)
            except ConnectionRefusedError:
                # It may take a moment until it listens.
                statuses += [0] if statuses else []
    return statuses


def end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def all_children(pid: int) -> list[int]:
    """Of a whole installation: the last ones are started while it tells what a newcomer needs."""
    until = time.monotonic() + WAIT_SECONDS
    while len(result := children(pid)) < len(up.CHILDREN) and time.monotonic() < until:
        time.sleep(0.005)
    assert len(result) == len(up.CHILDREN)
    return result


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    result = start(tmp_path_factory.mktemp("up") / "data", free_port())
    yield result
    end(result.process)


def test_preparation_output_is_shown_to_its_end() -> None:
    """The link signs somebody in, so it is in no log; what follows is the log of the process."""
    preparation = up.Preparation()
    assert not preparation.on_line("tables: 0.10 s")
    assert preparation.on_line('{"sign_in": "http://127.0.0.1/link/x", "mark": "m"}')
    assert not preparation.on_line('{"sign_in": "of a log", "mark": ""}')
    assert preparation.ended.is_set()
    assert preparation.steps == ["tables: 0.10 s"]
    assert (preparation.sign_in, preparation.mark) == ("http://127.0.0.1/link/x", "m")


def test_start_is_told_with_its_times_and_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """A local model that cannot run, and one that has answered; data here, and data outside."""
    lines: list[str] = []
    monkeypatch.setattr(up, "log_line", lines.append)
    monkeypatch.setattr(time, "time", lambda: 1_002.5)
    place = SimpleNamespace(started_at=1_000.0, url="http://h", data=Path("/d"))
    cluster = SimpleNamespace(is_outside=False)
    mine: Any = SimpleNamespace(
        place=place, environment={"WEIR_DEMO_KEY": "sk-demo"}, has_model=True, lacks_library=False,
        cluster=cluster,
    )  # fmt: skip
    up.Installation.step(mine, "tables: 0.10 s")
    up.Installation.announce(mine, "http://h/link/x")
    assert lines.pop(0) == "    2.5 s  tables: 0.10 s"
    assert all(part in lines[0] for part in ("at http://h\n", "http://h/link/x", "sk-demo"))
    assert len(lines) == 1
    for has_model, lacks, outside, token_at in (
        (True, False, False, 1_004.0), (False, True, True, None),
    ):  # fmt: skip
        lines.clear()
        mine.has_model, mine.lacks_library, cluster.is_outside = has_model, lacks, outside
        up.Installation.announce_end(mine, 1_003.0, token_at)
        told = "\n".join(lines)
        assert "first page after 3.0 s" in told
        assert ("first token after 4.0 s" in told) is (token_at is not None)
        assert ("curl -N http://h/v1/chat/completions" in told) is has_model
        assert ("apt-get install libgomp1" in told) is lacks
        assert "The data stays in /d" in told
        assert (f"/d and {postgres.OPEN_FOLDER}" in told) is outside


def test_only_the_first_process_passes_the_gate() -> None:
    """One that replaces it serves at once: nothing is changed under those that still run."""
    gate = up.Gate()
    gate.open({"email": "demo@weir.example"})
    assert json.loads(read_all(gate.waiting)) == {"email": "demo@weir.example"}
    assert read_all(gate.waiting) == b""
    os.close(gate.waiting)


def test_newcomer_learns_what_is_needed(running: Running) -> None:
    """First in this module: nobody has asked anything yet."""
    assert asked(running.data) == 0
    url = f"http://127.0.0.1:{running.port}"
    assert f"Weir is running at {url}\n" in running.told
    # Whoever has the page can use the key; the model and the rest of the start come later.
    first, _, rest = running.told.partition(running.key)
    assert "web: the first page is served" in first
    assert "catalogue: " not in first
    assert "catalogue: " in rest
    assert re.search(r"first page after \d+\.\d s, first token after \d+\.\d s\n", running.told)
    assert f"curl -N {url}/v1/chat/completions" in running.told
    assert running.told.count(running.key) == 2


def asked(data: Path) -> int:
    """How often an organisation has asked a model."""
    url = (data / "run" / "DATABASE_URL").read_text().strip()
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM usage_attempt").fetchone()
    assert row is not None
    return int(row[0])


def test_the_address_answers_from_the_first_second(running: Running) -> None:
    """Nobody is refused from the first answer on, nor told that a key or the money is wrong."""
    *before, last = running.statuses
    assert set(before) == {503}
    # At the end the key, which is wrong, is looked at.
    assert last == 401


def test_client_cannot_choose_its_own_address(running: Running) -> None:
    """A key's list of addresses holds whatever a header says: no proxy stands before it."""
    url = (running.data / "run" / "DATABASE_URL").read_text().strip()
    with psycopg.connect(url, autocommit=True) as connection:
        for networks, status in (["203.0.113.7/32"], 403), ([], 200):
            connection.execute(
                "UPDATE accounts_key SET networks = %s WHERE last4 = %s",
                [networks, running.key[-4:]],
            )
            connection.execute("UPDATE accounts_epoch SET n = n + 1")
            until = time.monotonic() + WAIT_SECONDS
            while models(running, "198.51.100.1") != status and time.monotonic() < until:
                pass
            assert models(running, "203.0.113.7") == status


def models(running: Running, forwarded_for: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=WAIT_SECONDS)
    with closing(connection):
        connection.request(
            "GET",
            "/v1/models",
            headers={
                "authorization": f"Bearer {running.key}",
                "x-forwarded-for": forwarded_for,
            },
        )
        return connection.getresponse().status


def test_sign_in_link_works_once_and_leads_to_the_local_model(running: Running) -> None:
    """Without a script; what the page does with one, tests/playground shows."""
    link = re.search(r"Sign in .*(http://\S+)", running.told)
    assert link is not None
    with httpx.Client(follow_redirects=True, timeout=WAIT_SECONDS) as visitor:
        for known in (True, False):
            page = visitor.get(link[1])
            assert ("It works once." in page.text) is known
            if known:
                visitor.post(link[1], data=form_token(page.text))
        page = visitor.get(page.url.join("/o/demo/playground"))
        asked = {"model": model.NAME, "text": "Say hello.", "p.max_output": "4"}
        sent = form_token(page.text) | asked
        answer = visitor.post(page.url.join("/o/demo/playground/runs"), data=sent)
        events = re.search(r'hx-sse:connect="([^"]+)"', answer.text)
        if events is not None:  # else it has ended already
            visitor.get(answer.url.join(html.unescape(events[1])))
            answer = visitor.get(answer.url)
    assert 'data-state="done"' in answer.text
    # Its speed is told only of an answer that takes long enough to have one.
    assert re.search(r"\bout\s.*\$0\.0000", answer.text, re.DOTALL)


def form_token(page: str) -> dict[str, str]:
    """The member by which a form shows that it is of a page of ours."""
    match = re.search(r'name="(csrfmiddlewaretoken)" value="(\w+)"', page)
    assert match is not None
    return {match[1]: match[2]}


def test_command_run_alongside_knows_its_address(running: Running) -> None:
    """README: with the same DATA_DIR it works on the running installation, whatever its port."""
    with closing(Beside(environment(running.data))) as beside:
        link = beside.call(manage, "sign_in_link", "demo@weir.example")
    assert link.startswith(f"http://127.0.0.1:{running.port}/link/")


def test_local_model_serves_holders_of_its_own_key(running: Running) -> None:
    port = int((running.data / "run" / "model_port").read_text())
    key = (running.data / "secrets" / "WEIR_MODEL_KEY").read_text().strip()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=WAIT_SECONDS) as client:
        # Keep-alive is broken in it.
        client.headers["connection"] = "close"
        assert client.post("/v1/chat/completions", json={}).status_code == 401
        assert client.post("/v1/chat/completions", json={}, headers=bearer("x")).status_code == 401
        assert client.get("/v1/models", headers=bearer(key)).status_code == 200


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_database_returns_the_memory_of_large_plans(running: Running) -> None:
    server = next(
        pid for pid in all_children(running.process.pid) if "/bin/postgres" in command_line(pid)
    )
    words = Path(f"/proc/{server}/environ").read_text().split("\0")
    assert {f"{name}={value}" for name, value in postgres.ENVIRONMENT.items()} <= {*words}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc (2026-11)")
def test_the_worker_shares_the_code_of_the_web_process(running: Running) -> None:
    """What both need is in memory once, and lists of processes show which is which."""
    worker = child(running.process.pid, "celery")
    assert "--with-beat" in command_line(worker)
    assert "config.asgi" not in command_line(worker)
    assert shared_mb(worker) > SHARED_MB_MIN
    assert shared_mb(child(running.process.pid, "config.asgi")) > SHARED_MB_MIN


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc (2026-11)")
def test_a_worker_that_ends_is_started_again(running: Running) -> None:
    first = child(running.process.pid, "celery")
    os.kill(first, signal.SIGKILL)
    assert wait_gone(first, WAIT_SECONDS)
    again = child(running.process.pid, "celery")
    assert again != first
    assert "--with-beat" in command_line(again)


def child(pid: int, word: str) -> int:
    """The child with this word in its command, which may start a moment later."""
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        for found in children(pid):
            if word in command_line(found):
                return found
        time.sleep(0.005)
    pytest.fail(f"no child has {word} in its command")


def shared_mb(pid: int) -> int:
    """Memory that a process has written, or its parent before the fork, and that others share."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Shared_Dirty")) // 1024


def test_the_key_reaches_the_local_model(running: Running) -> None:
    started = time.time()
    arrived = probe.time_first_token("127.0.0.1", running.port, running.key, model.NAME)
    assert started < arrived


@pytest.mark.slow  # its parts: tests/stack/processes/test_supervisor.py and test_postgres.py
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc (2026-11)")
def test_kill_9_leaves_nothing_and_loses_nothing(running: Running) -> None:
    """Last in this module: it takes the installation away and brings it back."""
    before = asked(running.data)
    pids = all_children(running.process.pid)
    running.process.kill()
    assert all(wait_gone(pid, WAIT_SECONDS) for pid in pids)
    assert ports.port_free("127.0.0.1", running.port)

    again = start(running.data, running.port)
    try:
        assert again.key == running.key
        # Nobody pays for a start, nor for the model's first answer.
        assert "first token after" in again.told
        assert asked(running.data) == before
        pids = all_children(again.process.pid)
        asked_at = time.monotonic()
        again.process.send_signal(signal.SIGTERM)
        assert again.process.wait(timeout=WAIT_SECONDS) == 0
        assert time.monotonic() - asked_at < STOP_SECONDS_MAX
        assert all(wait_gone(pid, 0) for pid in pids)
        assert not (running.data / "run" / "DATABASE_URL").exists()
        assert again.process.stdout is not None
        message = again.process.stdout.read()
        assert message.endswith("Stopped.\n")
        assert "was killed" not in message
        assert "FATAL" not in message
    finally:
        end(again.process)
