"""The health checks of the worker and the scheduler are content only while these work."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config.jobs import heartbeat
from config.jobs.beat_scheduler import WorkScheduler
from config.jobs.heartbeat import HeartbeatStep
from lib.process.service_manager import EVERY_S
from tests.runner.databases import ROOT


@pytest.fixture
def file(tmp_path: Path, settings: Any) -> Path:
    file = tmp_path / "heartbeat"
    settings.HEARTBEAT_FILE = str(file)
    return file


class Pool:
    """One whose threads run what was put when a test says so."""

    def __init__(self) -> None:
        self.put: list[tuple[Callable[..., Any], Callable[..., Any]]] = []

    def apply_async(self, target: Callable[..., Any], callback: Callable[..., Any]) -> None:
        self.put.append((target, callback))

    def run(self) -> None:
        while self.put:
            target, callback = self.put.pop()
            callback(target())


class Timer:
    """Calls when a test says so, until it is cancelled."""

    def __init__(self) -> None:
        self.call: Callable[[], None] = lambda: None
        self.cancelled = False

    def call_repeatedly(self, seconds: float, call: Callable[..., None], args: Any) -> "Timer":
        assert seconds == EVERY_S
        self.call = lambda: call(*args)
        return self

    def cancel(self) -> None:
        self.cancelled = True


class Consumer:
    def __init__(self) -> None:
        self.pool, self.timer = Pool(), Timer()
        self.steps: list[Any] = []


@pytest.fixture
def consumer(file: Path) -> Consumer:
    return Consumer()


def test_a_worker_beats_by_a_thread_of_its_pool(file: Path, consumer: Consumer) -> None:
    step = HeartbeatStep(consumer)
    assert step.include_if(consumer)
    step.start(consumer)
    assert not file.exists()
    consumer.pool.run()
    os.utime(file, (0, 0))
    consumer.timer.call()
    consumer.pool.run()
    assert time.time() - file.stat().st_mtime < EVERY_S


def test_hanging_threads_do_not_beat(file: Path, consumer: Consumer) -> None:
    """And nothing piles up behind them."""
    step = HeartbeatStep(consumer)
    step.start(consumer)
    for _ in range(3):
        consumer.timer.call()
    assert len(consumer.pool.put) == 1
    assert not file.exists()


def test_a_lost_connection_ends_the_beat(consumer: Consumer) -> None:
    """Until the worker is connected again, even if a beat was lost with the connection."""
    step = HeartbeatStep(consumer)
    step.start(consumer)
    step.stop(consumer)
    assert consumer.timer.cancelled
    step.start(consumer)
    assert len(consumer.pool.put) == 2


def test_missing_file_disables_the_heartbeat(consumer: Consumer, settings: Any) -> None:
    settings.HEARTBEAT_FILE = ""
    assert not HeartbeatStep(consumer).include_if(consumer)
    heartbeat.beat()


@pytest.mark.django_db
def test_the_scheduler_beats_at_each_tick(file: Path) -> None:
    from config.celery import app

    scheduler = WorkScheduler(app, lazy=True, schedule={})
    scheduler.tick()
    assert file.exists()


@pytest.mark.parametrize(("age", "code"), [(50, 0), (70, 1), (None, 1)])
def test_a_check_reads_the_age_of_the_file(file: Path, age: float | None, code: int) -> None:
    if age is not None:
        file.touch()
        os.utime(file, (time.time() - age,) * 2)
    command = [sys.executable, "-m", "deploy.alive", "60"]
    environment = {**os.environ, "HEARTBEAT_FILE": str(file)}
    assert subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == code
