"""The worker and the beat of the product, which also log more than any queue of lines takes once
they have started: for `celery --app tests.relay.chatty`."""

import logging

from celery.signals import beat_init, worker_ready

from config.celery import app

__all__ = ["app"]

LINES = 400
LONG = "x" * 20_000


def _log_much(**_: object) -> None:
    log = logging.getLogger(__name__)
    for _number in range(LINES):
        log.warning(LONG)


worker_ready.connect(_log_much)
beat_init.connect(_log_much)
