"""The shape of docker-compose.yml, running: every command, environment and configuration of it.

What it needs beside the test run's Postgres are the programs nginx, redis-server and redis-cli.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lib.ids import parse_id
from tests.deploy.client import Answer, ask, send_raw, text_of
from tests.deploy.shape import WAIT_SECONDS, accepts, until
from tests.deploy.stage import CHAT, LIMITED_KEY, Stage, bearer, staged
from tests.support.books import assert_books_balance


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, image: Path) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("stage"), image) as stage:
        yield stage


def test_ready_through_the_edge(stage: Stage) -> None:
    assert ask(stage.port, "/readyz").status == 200
    assert ask(stage.port, "/healthz").status == 200


def test_prepared_data_is_served(stage: Stage) -> None:
    assert ask(stage.port, "/v1/models", headers=bearer()).json["data"][0]["id"] == "fake"


@pytest.mark.slow
def test_first_operator_enters_by_a_link(stage: Stage) -> None:
    """As docs/operate/start.md has it: a command in a container of the web service."""
    done = stage.shape.exec("web", ["python", "manage.py", "sign_in_link", "owner@example.org"])
    assert done.startswith("http://127.0.0.1/")
    path = done.strip().removeprefix("http://127.0.0.1")
    assert ask(stage.port, path).status in (200, 302)


def test_the_sign_in_page_comes_with_its_files(stage: Stage) -> None:
    page = ask(stage.port, "/login", headers={"Accept-Encoding": "gzip"})
    assert page.status == 200
    assert page.all("content-encoding") == []
    linked = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.body.decode())
    assert any(path.endswith(".css") for path in linked)
    assert any(path.endswith(".js") for path in linked)
    for path in linked:
        file = ask(stage.port, path, headers={"Accept-Encoding": "gzip"})
        assert file.status == 200, path
        assert "immutable" in file.one("cache-control"), path
        if path.endswith((".css", ".js")):
            assert file.one("content-encoding") == "gzip", path


def test_stream_arrives_as_it_is_generated(stage: Stage) -> None:
    """The provider stops after three words until the client has read them: no timing is in it."""
    with stage.stream("hi #tokens=8 #hold=3") as answer:
        assert answer.status == 200
        seen = 0
        for event in answer.events:
            seen += bool(text_of(event))
            if seen == 3:
                break
        assert seen == 3
        assert stage.fake.totals()["holding"] == 1
        stage.fake.release()
        rest = list(answer.events)
    assert rest[-1] == "[DONE]"
    assert sum(bool(text_of(event)) for event in rest) == 5


def test_the_request_id_is_one_and_the_same(stage: Stage) -> None:
    """On the wire, in the books of the provider, in ours, and in the log of the edge."""
    answer = stage.chat("hi #tokens=2", **{"X-Request-ID": "theirs"})
    page_text = answer.one("x-request-id")
    assert answer.status == 200
    # Both are written once the answer has gone out.
    line = f'"id":"{page_text}","client":"127.0.0.1","method":"POST","path":"{CHAT}","status":200'
    until(lambda: line in stage.nginx.told(), "the edge did not log the request")
    query = "SELECT count(*) FROM usage_usagerecord WHERE request_id = %s"
    until(lambda: stage.rows(query, parse_id(page_text)) == [(1,)], "the request has no record")


def test_body_sizes_are_limited(stage: Stage) -> None:
    """What the relay allows reaches it: without a key it refuses before it reads."""

    def head(path: str, size: int, more: str = "") -> Answer:
        lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {size}", more]
        return send_raw(stage.port, "\r\n".join([*filter(None, lines), "", ""]).encode())

    mib = 1024 * 1024
    assert head(CHAT, 129 * mib).status == 401
    assert head(CHAT, 129 * mib + 1).status == 413
    # Forms may be larger than any other body.
    assert head(CHAT, 72 * mib + 1, f"Authorization: {bearer()['Authorization']}").status == 413
    assert head("/login", 3 * mib + 1).status == 413


def test_redis_requires_its_password(stage: Stage) -> None:
    completed = subprocess.run(
        ["redis-cli", "-p", str(stage.redis.port), "ping"], capture_output=True, text=True
    )
    assert completed.stdout.startswith("NOAUTH")
    # Nor can it be read off the list of processes.
    command = Path(f"/proc/{stage.redis.process.pid}/cmdline").read_bytes().decode()
    assert stage.shape.given["REDIS_PASSWORD"] not in command


def test_tasks_go_through_redis_to_the_worker(stage: Stage) -> None:
    """The roll-up of what was asked above appears only now: nobody else sums."""
    stage.settle()
    [(asked,)] = stage.rows("SELECT count(*) FROM usage_usagerecord WHERE final")
    assert asked > 0
    assert stage.rows("SELECT count(*) FROM usage_rollup") == [(0,)]
    stage.shape.start("beat")
    # Beat alone wakes; the queue keeps it.
    until(lambda: queued(stage) > 0, "nothing was put into Redis")
    assert stage.rows("SELECT count(*) FROM usage_rollup") == [(0,)]
    stage.shape.start("worker")
    until(
        lambda: stage.rows("SELECT coalesce(sum(requests), 0) FROM usage_rollup") == [(asked,)],
        "the roll-up did not appear",
    )


def test_redis_outage_loosens_no_limit_and_moves_no_money(stage: Stage) -> None:
    """P19: killed, then back and empty. What was asked meanwhile is summed up once it is back."""
    stage.redis.process.kill()
    stage.redis.process.wait()
    limited = {"Authorization": f"Bearer {LIMITED_KEY}"}
    assert [stage.chat("hi #tokens=2", **limited).status for _ in range(5)] == [200] * 3 + [429] * 2
    assert stage.chat("hi #tokens=2").status == 200
    stage.settle()
    with psycopg.connect(stage.shape.database_url) as connection:
        assert_books_balance(connection.cursor())
    stage.shape.start("redis")
    for name in {"beat", "worker"} - {running.name for running in stage.shape.running}:
        stage.shape.start(name)
    [(asked,)] = stage.rows("SELECT count(*) FROM usage_usagerecord WHERE final")
    until(
        lambda: stage.rows("SELECT sum(requests) FROM usage_rollup") == [(asked,)],
        "nobody was woken again",
    )


def queued(stage: Stage) -> int:
    completed = subprocess.run(
        ["redis-cli", "-p", str(stage.redis.port), "llen", "celery"],
        env={"REDISCLI_AUTH": stage.shape.given["REDIS_PASSWORD"], "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(completed.stdout)


def test_postgres_accepts_its_settings(stage: Stage) -> None:
    """The command's own words against a real server: names and values that it knows."""
    command = stage.shape.services["postgres"]["command"]
    assert command[0] == "postgres"
    assert set(command[1::2]) == {"-c"}
    for setting in command[2::2]:
        name, value = setting.split("=")
        [(context, unit)] = stage.rows(
            "SELECT context, unit FROM pg_settings WHERE name = %s", name
        )
        assert context in ("postmaster", "sighup", "superuser", "user")
        assert re.fullmatch(r"\d+(MB|GB|s|ms)?|on|off", value), unit


@pytest.mark.slow
def test_the_trial_has_a_provider_seed_data_and_some_use(stage: Stage) -> None:
    """The services of docker-compose.trial.yml, beside those that run."""
    trial = stage.shape.with_trial({"TRIAL_KEY": "the-key-of-the-trial"})
    provider = trial.start("provider")
    trial.run("prepare")
    key = {"Authorization": "Bearer the-key-of-the-trial"}
    until(
        lambda: ask(stage.port, "/v1/models", headers=key).status == 200,
        "the key of the trial is not known",
    )
    visitors = trial.run("visitors")
    assert "30 of 30 questions were answered" in visitors.told()
    stage.settle()
    query = (
        "SELECT DISTINCT channel_name, status FROM usage_usagerecord WHERE model = 'trial-broken' "
        "ORDER BY 1"
    )
    assert stage.rows(query) == [("trial", 502), ("trial-standby", 200)]
    query = "SELECT operator FROM accounts_user WHERE email = 'operator@trial.example'"
    assert stage.rows(query) == [(True,)]
    assert provider.process.poll() is None


def test_a_killed_process_leaves_the_other_serving(stage: Stage) -> None:
    killed = stage.webs[0]
    assert stage.chat("hi #tokens=2").status == 200
    stage.settle()
    killed.process.kill()
    killed.process.wait()
    assert [ask(stage.port, "/readyz").status for _ in range(20)] == [200] * 20
    assert [stage.chat("hi #tokens=2").status for _ in range(5)] == [200] * 5


def test_stream_outlives_the_stop_of_its_process(stage: Stage) -> None:
    """SIGTERM in the middle of an answer: it is said to its end; then exit code 0."""
    web = stage.webs[1]
    with stage.stream("hi #tokens=8 #hold=3") as answer:
        stage.fake.wait_for(lambda totals: totals["holding"] == 1)
        web.process.send_signal(signal.SIGTERM)
        until(lambda: not accepts(web.port), "a process that stops still takes connections")
        stage.fake.release()
        events = list(answer.events)
    assert events[-1] == "[DONE]"
    assert sum(bool(text_of(event)) for event in events) == 8
    assert web.process.wait(WAIT_SECONDS) == 0
    [(running,)] = stage.rows("SELECT count(*) FROM billing_hold WHERE state = 'open'")
    assert running == 0


@pytest.mark.parametrize("name", ["beat", "worker", "nginx", "redis"])
def test_stop_signal_ends_a_service_cleanly(stage: Stage, name: str) -> None:
    """Last of this file: each ends by the signal that Docker would send, with exit code 0."""
    running = [one for one in stage.shape.running if one.name == name][-1]
    wanted = stage.shape.services[name].get("stop_signal", "SIGTERM")
    # Before, the worker may have told of Redis, which was killed.
    before = len(running.told())
    assert running.stop(signal.Signals[wanted]) == 0, running.told()
    assert "Traceback" not in running.told()[before:]
