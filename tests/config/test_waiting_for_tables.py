"""A worker or a beat that starts before `manage.py migrate` waits for its tables, and says so once
a minute."""

import logging
import math
import os
import subprocess
from itertools import count
from types import SimpleNamespace

import psycopg
import pytest
from celery.signals import beat_init, worker_init
from celery.utils.dispatch import Signal

from config import celery
from stack.database.prepare import load_queues
from stack.up import worker_command
from tests.deploy.shape import until
from tests.runner.databases import ROOT, own_database

LOOKS = 90


def test_worker_starts_once_its_tables_exist() -> None:
    with own_database("tables") as dsn, psycopg.connect(dsn, autocommit=True) as database:
        load_queues(dsn)
        newest = database.execute(
            "DELETE FROM django_migrations WHERE id = (SELECT max(id) FROM django_migrations "
            "WHERE app = 'usage') RETURNING app, name, applied"
        ).fetchone()
        process = subprocess.Popen(
            worker_command(), cwd=ROOT, env=os.environ | {"DATABASE_URL": dsn, "BROKER_URL": ""},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            assert "the database lacks 1 migrations of this version" in first
            assert "manage.py migrate" in first
            assert database.execute("SELECT FROM config_jobrun").fetchall() == []
            database.execute(
                "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)", newest
            )
            ended = "SELECT FROM config_jobrun WHERE ended_at IS NOT NULL AND error = ''"
            until(lambda: bool(database.execute(ended).fetchall()), "no job has run")
        finally:
            process.terminate()
            rest, _ = process.communicate()
    assert "the database lacks" not in rest


@pytest.mark.parametrize("signal", [worker_init, beat_init], ids=["worker", "beat"])
def test_waiting_worker_says_so_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, signal: Signal
) -> None:
    looks, now = count(1), 0.0

    def pending() -> list[str]:
        return ["usage.0001_initial"] if next(looks) <= LOOKS else []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(celery, "pending_migrations", pending)
    clock = SimpleNamespace(sleep=sleep, monotonic=lambda: now)
    monkeypatch.setattr(celery, "time", clock)
    monkeypatch.setattr(celery, "connection", SimpleNamespace(close=lambda: None))
    receivers = {receiver() for _, receiver in signal.receivers}
    assert celery._wait_for_tables in receivers
    with caplog.at_level(logging.WARNING):
        celery._wait_for_tables()
    assert len(caplog.records) == math.ceil(LOOKS * celery._LOOK_EACH_S / 60)
