"""The sink equals the ledger, and the content log, however often who sends is killed (P16)."""

import os
import random
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from accounts.access.actors import SYSTEM
from accounts.models import Key
from content.log.final_states import FinalState, keep_final_states
from content.models import Entry
from content.rules import log_rules
from tests.billing.racing import enter_database
from tests.extensions.record_sink.sinks import (
    assert_equal_to_the_ledger,
    credit,
    records_in,
)
from tests.extensions.record_sink.texts import held, say, texts_at, texts_in
from tests.fakes.record_receiver import SECRET, Fake, receiver
from tests.support import cast
from tests.support.beside import Beside
from tests.usage.rows import admit, end, happen, refuse

pytestmark = [pytest.mark.django_db(transaction=True)]

KILLS = 20
TRIES_MAX = 60
STEPS = ("before", "half", "acknowledged", "stored")


@pytest.fixture
def people(transactional_db: None) -> cast.Cast:
    return cast.assemble()


@pytest.fixture
def key(people: cast.Cast) -> Key:
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
    settings.RECORD_SINK_CONTENT = True


def pid() -> int:
    return os.getpid()


def send_all(of: str = "sending") -> int:
    """Records; of `contents`, texts."""
    _small_batches()
    return _send(of)


def _send(of: str) -> int:
    sent: int = import_module(f"extensions.record_sink.{of}").send()
    return sent


def send_and_die(step: str, batch: int, of: str = "sending") -> int:
    """Die at a step of a batch, as by `kill -9`; 0: there were too few."""
    _small_batches()
    import obstore

    from extensions.record_sink import receiver
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
    return _send(of)


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


def sayings(people: cast.Cast, key: Key, rng: random.Random) -> Iterator[None]:
    """Requests that are kept, and media tasks that end later."""
    log_rules.add_rule(SYSTEM, people.acme, scope="organisation")
    running: list[Entry] = []
    while True:
        entries = [say(key, f"text {rng.random()}") for _ in range(rng.randrange(1, 9))]
        running.append(rng.choice(entries))
        if len(running) > 3:
            entry = running.pop(0)
            state = {"status": "succeeded"}
            keep_final_states([FinalState(entry.organisation_id, entry.request_id, state)])
        yield


@pytest.mark.slow
def test_folder_equals_the_content_log_after_20_kills(
    tmp_path: Path, people: cast.Cast, key: Key
) -> None:
    rng = random.Random(65)
    url, kills = f"file://{tmp_path}/sink", 0
    saying = sayings(people, key, rng)
    for _ in range(TRIES_MAX):
        if kills == KILLS:
            break
        next(saying)
        with closing(sender(url)) as process, ThreadPoolExecutor(1) as pool:
            step, batch = STEPS[kills % len(STEPS)], rng.randrange(1, 4)
            sending = pool.submit(process.call, send_and_die, step, batch, "contents")
            next(saying)
            try:
                sending.result()
            except EOFError:
                kills += 1
    assert kills == KILLS
    with closing(sender(url)) as process:
        process.call(send_all, "contents")
    assert texts_in(tmp_path / "sink") == held(people)


@pytest.mark.slow
def test_receiver_equals_the_content_log_after_20_kills(people: cast.Cast, key: Key) -> None:
    rng = random.Random(66)
    saying = sayings(people, key, rng)
    kills = 0
    with receiver() as fake:
        for _ in range(TRIES_MAX):
            if kills == KILLS:
                break
            next(saying)
            with closing(sender(fake.url)) as process, ThreadPoolExecutor(1) as pool:
                fake.misbehave = [204] * rng.randrange(3)
                fake.misbehave.append(_killing(process.call(pid), stored=bool(kills % 2)))
                sending = pool.submit(process.call, send_all, "contents")
                next(saying)
                try:
                    sending.result()
                except EOFError:
                    kills += 1
                fake.misbehave.clear()
        assert kills == KILLS
        with closing(sender(fake.url)) as process:
            process.call(send_all, "contents")
        assert texts_at(fake) == held(people)
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
