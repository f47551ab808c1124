"""The queue of `make run` is read when something was sent, and else now and then."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from celery import Celery
from kombu.entity import Queue
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from config.jobs import embedded_queue
from stack.database import postgres, prepare

WAIT_S = 30.0
QUEUE = Queue("jobs", routing_key="jobs")  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("queue")
    with postgres.server(folder / "postgres") as dsn:
        prepare.await_database(dsn, WAIT_S)
        prepare.load_queues(dsn)
        words: dict[str, Any] = dict(conninfo_to_dict(dsn))
        yield make_conninfo(**words)


class Worker:
    """Takes one message at a time; `taken` are those that it has not acknowledged."""

    def __init__(self, dsn: str) -> None:
        app = Celery("queue", set_as_current=False, broker="pgmq://embedded")
        app.conf.update(
            broker_transport="config.jobs.embedded_queue:Transport",
            broker_transport_options={
                "init_extension": False,
                "wait_time_seconds": 0,
                "pool_timeout": 5,
                "conn_string": dsn,
            },
        )
        self.connection = app.connection_for_read()
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
    new_worker = Worker(dsn)
    new_worker.consumer.purge()
    with new_worker.connection:
        yield new_worker


@pytest.fixture
def never_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_queue, "LOOK_S", 3600.0)


@pytest.mark.usefixtures("never_by_the_clock")
def test_message_from_a_thread_is_taken_immediately(worker: Worker) -> None:
    for _ in range(2):
        assert worker.finds_nothing()
    sender = Thread(target=worker.send, args=["first"])
    sender.start()
    assert worker.read() == ["first"]
    sender.join()


@pytest.mark.usefixtures("never_by_the_clock")
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
    now[0] += embedded_queue.LOOK_S
    assert worker.read() == ["message"]
    worker.taken.pop().ack()
