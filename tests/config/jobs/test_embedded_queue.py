"""The queue in Postgres is read when something was sent, and else now and then."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from celery import Celery
from celery.signals import celeryd_init
from kombu.entity import Queue
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from config import celery
from config.jobs import embedded_queue
from stack.database import postgres, prepare
from stack.processes.commands import worker_command
from tests.deploy.shape import until
from tests.runner.databases import ROOT, own_database

WAIT_S = 30.0
# Longer than any test takes: what is found earlier is not found by the clock.
POLL_S = 3600.0
TASK = "gateway.tasks.note_rests"
QUEUE = Queue("jobs", routing_key="jobs")  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("queue")
    with postgres.server(folder / "postgres") as dsn:
        prepare.await_database(dsn, WAIT_S)
        prepare.load_queues(dsn)
        words: dict[str, Any] = dict(conninfo_to_dict(dsn))
        yield make_conninfo(**words)


def app_of(dsn: str, poll_s: float) -> Celery:
    app = Celery("queue", set_as_current=False, broker="pgmq://embedded")
    app.conf.update(
        broker_transport="config.jobs.embedded_queue:Transport",
        broker_transport_options={
            "init_extension": False,
            "wait_time_seconds": 0,
            "polling_interval": poll_s,
            "pool_size": 1,
            "pool_timeout": 5,
            "conn_string": dsn,
        },
    )
    return app


class Worker:
    """Takes one message at a time; `taken` are those that it has not acknowledged."""

    def __init__(self, dsn: str, poll_s: float) -> None:
        self.connection = app_of(dsn, poll_s).connection_for_read()
        self.taken: list[Any] = []
        self.consumer = self.connection.Consumer([QUEUE], on_message=self.taken.append)
        self.consumer.qos(prefetch_count=1)
        self.consumer.consume()

    def send(self, body: str) -> None:
        self.connection.Producer(routing_key="jobs").publish(body, declare=[QUEUE])

    def read(self, timeout: float = WAIT_S) -> list[Any]:
        self.connection.drain_events(timeout=timeout)
        return [message.payload for message in self.taken]

    def finds_nothing(self) -> bool:
        with pytest.raises(TimeoutError):
            self.read(0.001)
        return not self.taken


@pytest.fixture
def worker(dsn: str) -> Iterator[Worker]:
    new_worker = Worker(dsn, POLL_S)
    new_worker.consumer.purge()
    with new_worker.connection:
        yield new_worker


def test_message_from_a_thread_is_taken_immediately(worker: Worker) -> None:
    for _ in range(2):
        assert worker.finds_nothing()
    sender = Thread(target=worker.send, args=["first"])
    sender.start()
    assert worker.read() == ["first"]
    sender.join()


def test_overflowing_message_is_taken_when_there_is_room(worker: Worker) -> None:
    worker.send("first")
    worker.send("second")
    assert worker.read() == ["first"]
    # It is looked at once more, without room, and then left.
    for _ in range(2):
        with pytest.raises(TimeoutError):
            worker.read(0.001)
    worker.taken.pop().ack()
    assert worker.read() == ["second"]
    worker.taken.pop().ack()


def test_messages_of_other_processes_are_found_by_the_next_poll(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(embedded_queue, "monotonic", lambda: now[0])
    assert worker.finds_nothing()
    worker.send("message")
    # As if another process had sent it.
    embedded_queue._sent.clear()
    assert worker.finds_nothing()
    now[0] += POLL_S
    assert worker.read() == ["message"]
    worker.taken.pop().ack()


def test_waiting_worker_does_not_query_the_database(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kombu would, every other second."""
    assert worker.finds_nothing()
    client = worker.connection.transport._get_pgmq_client()
    with monkeypatch.context() as patch:
        patch.setattr(client, "pool", None)
        assert worker.finds_nothing()
    worker.send("message")
    assert worker.read() == ["message"]
    worker.taken.pop().ack()


def test_lost_connection_fails_at_the_next_read_and_is_opened_again(
    worker: Worker, dsn: str
) -> None:
    assert worker.finds_nothing()
    with psycopg.connect(dsn, autocommit=True) as database:
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
    embedded_queue._sent.set()
    with pytest.raises(worker.connection.connection_errors):
        worker.read()
    worker.send("message")
    assert worker.read() == ["message"]
    worker.taken.pop().ack()


def test_worker_finds_in_time_what_another_process_sends() -> None:
    """Without Redis, the scheduler can be a process of its own, whose jobs expire after some
    seconds. `migrate` has made the queue, in a restored database, too."""
    query = "SELECT FROM config_jobrun WHERE task = %s AND error = ''"
    with own_database("queue") as dsn, psycopg.connect(dsn, autocommit=True) as database:
        database.execute("DROP SCHEMA IF EXISTS pgmq CASCADE")
        environment = os.environ | {"DATABASE_URL": dsn, "BROKER_URL": ""}
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
        subprocess.run(migrate, cwd=ROOT, env=environment, check=True)
        sender = app_of(make_conninfo(**dict[str, Any](conninfo_to_dict(dsn))), POLL_S)
        process = subprocess.Popen(worker_command(1), cwd=ROOT, env=environment)
        try:
            for expires_s in (None, 15):
                database.execute("DELETE FROM config_jobrun")
                sender.send_task(TASK, expires=expires_s)
                until(lambda: bool(database.execute(query, [TASK]).fetchall()), "it has not run")
        finally:
            process.terminate()
            process.wait()


@pytest.mark.parametrize(
    ("given", "poll_s"),
    [({}, 0.5), ({"with_beat": False}, 0.5), ({"with_beat": True}, embedded_queue.ALONE_S)],
)
def test_worker_with_the_scheduler_in_it_polls_seldom(
    given: dict[str, bool], poll_s: float
) -> None:
    """An idle installation of `make run` writes almost nothing."""
    conf = SimpleNamespace(
        broker_url="pgmq://embedded", broker_transport_options=dict(celery._PGMQ)
    )
    assert celery._poll_seldom in {receiver() for _, receiver in celeryd_init.receivers}
    celery._poll_seldom(conf=conf, options=given)
    assert conf.broker_transport_options["polling_interval"] == poll_s
