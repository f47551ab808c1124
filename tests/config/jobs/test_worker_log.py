"""What a worker says while it ends goes to its log, never to a pipe that may be full."""

import logging

import pytest
from celery.apps import worker

from config import celery


def test_words_of_celery_are_warnings_of_the_log(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    uncaught: list[bool] = []
    # Put back after the test, because it is Celery's own.
    monkeypatch.setattr(worker, "safe_say", worker.safe_say)
    monkeypatch.setattr(celery, "log_uncaught", lambda: uncaught.append(True))
    celery._log_everything()
    worker.safe_say("\nworker: Warm shutdown (MainProcess)\n")
    said = [(one.levelno, one.getMessage()) for one in caplog.records]
    assert said == [(logging.WARNING, "worker: Warm shutdown (MainProcess)")]
    assert capfd.readouterr().out == ""
    assert uncaught == [True]
