"""The sink equals the ledger, however often who sends is killed (P16)."""

import os
import random
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from accounts.models import Key
from tests.billing.racing import enter_database
from tests.extensions.record_sink.sinks import (
    assert_equal_to_the_ledger,
    credit,
    records_in,
)
from tests.fakes.record_receiver import SECRET, Fake, receiver
from tests.support import cast
from tests.support.beside import Beside
from tests.usage.rows import admit, end, happen, refuse

pytestmark = [pytest.mark.django_db(transaction=True)]

KILLS = 20
TRIES_MAX = 60
STEPS = ("before", "half", "acknowledged", "stored")


@pytest.fixture
def key(transactional_db: None) -> Key:
    people = cast.assemble()
    created, _ = cast.make_key(people.core, "web-prod", user=people.bob)
    credit(created)
    return created


def sender(url: str) -> Beside:
    """A process that sends, as a worker does."""
    process = Beside(os.environ)
    process.call(enter_database, connection.settings_dict["NAME"])
    process.call(use_sink, url)
    return process


# ---- in the process that sends


def use_sink(url: str) -> None:
    # What was imported before the fork has read the environment.
    settings.RECORD_SINK_URL, settings.RECORD_SINK_SECRET = url, SECRET


def pid() -> int:
    return os.getpid()


def send_all() -> int:
    _small_batches()
    from extensions.record_sink.sending import send

    return send()


def send_and_die(step: str, batch: int) -> int:
    """Die at a step of a batch, as by `kill -9`; 0: there were too few."""
    _small_batches()
    import obstore

    from extensions.record_sink import receiver, sending
    from usage.sinks import rounds

    seen = 0

    def dies(module: Any, name: str, *, after: bool = False) -> None:
        real = getattr(module, name)

        def call(*args: Any, **options: Any) -> Any:
            nonlocal seen
            seen += 1
            if not after and seen == batch:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args, **options)
            if after and seen == batch:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(module, name, call)

    if step == "before":
        dies(receiver._ObjectReceiver, "put")
    elif step == "half":
        dies(obstore, "head")
    elif step == "acknowledged":
        dies(receiver._ObjectReceiver, "put", after=True)
    else:
        dies(rounds, "step", after=True)
    return sending.send()


def _small_batches() -> None:
    from extensions.record_sink import receiver

    receiver._HttpReceiver.records_max = receiver._ObjectReceiver.records_max = 3


# ---- the tests


def happenings(key: Key, rng: random.Random) -> Iterator[None]:
    """Requests of every ending, some of which end much later."""
    running = []
    while True:
        for _ in range(rng.randrange(1, 9)):
            happen(key, charge_nano=rng.randrange(10**6))
        refuse(key, status=429, kind="rate_limited")
        running.append(admit(key))
        if len(running) > 3:
            end(running.pop(0), charge_nano=rng.randrange(10**6))
        yield


@pytest.mark.slow
def test_folder_equals_the_ledger_after_20_kills(tmp_path: Path, key: Key) -> None:
    rng = random.Random(63)
    url, kills = f"file://{tmp_path}/sink", 0
    happening = happenings(key, rng)
    for _ in range(TRIES_MAX):
        if kills == KILLS:
            break
        next(happening)
        with closing(sender(url)) as process, ThreadPoolExecutor(1) as pool:
            step, batch = STEPS[kills % len(STEPS)], rng.randrange(1, 4)
            sending = pool.submit(process.call, send_and_die, step, batch)
            # Meanwhile more happens.
            next(happening)
            try:
                sending.result()
            except EOFError:
                kills += 1
    assert kills == KILLS
    with closing(sender(url)) as process:
        process.call(send_all)
    assert_equal_to_the_ledger(records_in(tmp_path / "sink"))


@pytest.mark.slow
def test_receiver_equals_the_ledger_after_20_kills(key: Key) -> None:
    """It is killed from outside, while the receiver reads, stores and answers."""
    rng = random.Random(64)
    happening = happenings(key, rng)
    kills = 0
    with receiver() as fake:
        for _ in range(TRIES_MAX):
            if kills == KILLS:
                break
            next(happening)
            with closing(sender(fake.url)) as process, ThreadPoolExecutor(1) as pool:
                fake.misbehave = [204] * rng.randrange(3)
                fake.misbehave.append(_killing(process.call(pid), stored=bool(kills % 2)))
                sending = pool.submit(process.call, send_all)
                next(happening)
                try:
                    sending.result()
                except EOFError:
                    kills += 1
                fake.misbehave.clear()
        assert kills == KILLS
        with closing(sender(fake.url)) as process:
            process.call(send_all)
        assert_equal_to_the_ledger(fake.records())
        assert _sent_again(fake) >= KILLS // 2


def _killing(process: int, *, stored: bool) -> Any:
    def kill(handler: Any, is_stored: bool) -> bool:
        if is_stored is stored:
            os.kill(process, signal.SIGKILL)
        return is_stored is stored

    return kill


def _sent_again(fake: Fake) -> int:
    ids = [id for id, _ in fake.requests]
    return len(ids) - len(set(ids))
