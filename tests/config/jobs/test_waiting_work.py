"""A job is started when something waits for it, and now and then when nothing does."""

import dataclasses
import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from celery import Celery
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.module_loading import import_string

from accounts.models import Key
from billing.models import (
    Account,
    Budget,
    InvoiceDue,
    PromoGrant,
    Subscription,
    SubscriptionPlan,
    WalletSetting,
)
from config.jobs import beat_scheduler, waiting_work
from config.jobs.beat_scheduler import WorkScheduler
from config.jobs.runs import note_idle
from config.jobs.schedule import JOBS, beat_schedule
from config.jobs.waiting_work import (
    _WORK,
    ALL_ASKED_S,
    ASKED_IN_FULL,
    ASKED_IN_PART,
    JOBS_THAT_WAIT,
    LOOK_PAST_S,
    has_waiting_work,
    waiting_jobs,
)
from config.models import JobRun
from gateway.health.traffic import count_new_records
from gateway.models import (
    AnswerPiece,
    CachedAnswer,
    Channel,
    ChannelTestRun,
    IdempotentAnswer,
    KeptState,
    MediaTask,
    PricePreview,
    UpstreamPriceList,
)
from lib import clock
from lib.ids import new_id
from notify.models import Delivery
from outbox.facts import put
from outbox.models import Fact
from playground.models import Conversation, Run
from tests.config.writes import written
from tests.playground.sending.test_views import HELLO, people, send
from tests.runner.databases import run_until
from tests.support import cast
from tests.usage.rows import CHANNEL, admit, credit, end
from usage.rollups.rollups import roll_up

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["people"]


@pytest.fixture
def key(people: cast.Cast) -> Key:
    created, _ = cast.make_key(people.core, user=people.bob)
    credit(created)
    Fact.objects.all().delete()
    return created


def fact(key: Key) -> None:
    with transaction.atomic():
        put("balance.low", key.organisation_id)


def delivery(key: Key) -> None:
    fact(key)
    Fact.objects.update(taken_at=clock.now())
    Delivery.objects.create(fact=Fact.objects.get(), user_id=key.user_id, due_at=clock.now())


def preview(key: Key, **over: Any) -> None:
    PricePreview.objects.create(drafts=[], start_at=clock.now(), end_at=clock.now(), **over)


def grant(key: Key) -> None:
    values = {"organisation": key.organisation, "amount_nano": 1, "source": "test"}
    PromoGrant.objects.create(**values, expires_at=clock.now())


def budget(key: Key) -> None:
    of_key = {"scope": "key", "subject": str(key.id), "period": "month", "amount_nano": 1}
    Budget.objects.create(organisation=key.organisation, anchor=1, **of_key)


def running(key: Key) -> None:
    assert key.user is not None
    assert send(key.user, HELLO, text="Hello").status_code == 200
    Run.objects.update(ended_at=None)


def ended_chat(key: Key) -> None:
    running(key)
    Run.objects.update(ended_at=clock.now())
    Conversation.objects.update(ends_at=clock.now())


def debt(key: Key) -> None:
    Account.objects.create(
        organisation=key.organisation, kind="customer:debt", currency="USD", balance_nano=-1
    )


def subscription(key: Key) -> None:
    plan = SubscriptionPlan.objects.create(name="Gold", price_nano=1, included_nano=1)
    today = clock.now().date()
    Subscription.objects.create(
        organisation=key.organisation, plan=plan, zone="UTC", started_at=clock.now(),
        month=today.replace(day=1) - dt.timedelta(days=1),
    )  # fmt: skip


def expired(model: Any, **values: Any) -> Callable[[Key], Any]:
    """The content of a kept answer whose retention ends now."""
    return lambda key: model.objects.create(
        organisation=key.organisation, expires_at=clock.now(), **values
    )


def media_task(**values: Any) -> Callable[[Key], Any]:
    return lambda key: MediaTask.objects.create(
        id=new_id(), public_id="task", organisation=key.organisation, team_id=key.team_id,
        request_id=new_id(), operation="videos", model="video", form="videos",
        channel_id=CHANNEL, upstream_id="theirs", seconds=8, size="1280x720", **values,
    )  # fmt: skip


MAKERS: dict[str, tuple[str, Callable[[Key], Any]]] = {
    "a fact": ("notify.tasks.tell", fact),
    "a delivery": ("notify.tasks.tell", delivery),
    "a preview": ("gateway.tasks.go_on_with_previews", preview),
    "a test of all channels": (
        "gateway.tasks.go_on_with_channel_tests",
        lambda _: ChannelTestRun.objects.create(variant="plain", total=1),
    ),
    "an open hold": ("gateway.tasks.resolve_expired_holds", admit),
    "an expired grant": ("billing.tasks.end_expired_promo", grant),
    "a budget": ("billing.tasks.watch_budgets", budget),
    "a run": ("playground.tasks.interrupt_lost_runs", running),
    "a debt": ("billing.tasks.repay_debts", debt),
    "a threshold": (
        "billing.tasks.watch_balances",
        lambda key: WalletSetting.objects.create(organisation=key.organisation, low_nano=1),
    ),
    "a balance to be read": (
        "gateway.tasks.check_balances",
        lambda _: Channel.objects.create(name="paid", balance_source="deepseek"),
    ),
    "a channel that is tested": (
        "gateway.tasks.test_channels",
        lambda _: Channel.objects.create(name="tested", testing={"every_min": 10}),
    ),
    "a channel whose traffic is watched": (
        "gateway.tasks.test_channels",
        lambda _: Channel.objects.create(name="watched", testing={"success_percent": 50}),
    ),
    "a temporary chat that ended": ("playground.tasks.drop_temporary_chats", ended_chat),
    "an unspent grant": (
        "billing.tasks.count_promo",
        lambda key: PromoGrant.objects.create(
            organisation=key.organisation, amount_nano=1, source="test"
        ),
    ),
    "a subscription of last month": ("billing.tasks.renew_subscriptions", subscription),
    "an unpaid invoice": (
        "billing.tasks.settle_invoices",
        lambda _: InvoiceDue.objects.create(invoice_id=new_id(), left_nano=1),
    ),
    "a list of models to be read": (
        "gateway.tasks.check_models",
        lambda _: Channel.objects.create(name="listed", check_models_every_h=24),
    ),
    "prices to be read": (
        "gateway.tasks.check_models",
        lambda _: UpstreamPriceList.objects.create(channel=Channel.objects.create(name="priced")),
    ),
    "an expired state": (
        "gateway.tasks.drop_expired_state",
        expired(KeptState, id=new_id(), sealed=b"x"),
    ),
    "an expired cached answer": (
        "gateway.tasks.drop_expired_state",
        expired(CachedAnswer, id=new_id(), size=1, sealed=b"x"),
    ),
    "an expired Idempotency-Key": (
        "gateway.tasks.drop_expired_state",
        expired(
            IdempotentAnswer,
            id=new_id(),
            body_digest=b"d",
            request_id=new_id(),
            state="ended",
            alive_until=clock.now(),
        ),
    ),
    "an expired piece of an answer": (
        "gateway.tasks.drop_expired_state",
        expired(AnswerPiece, request_id=new_id(), n=0, sealed=b"x"),
    ),
    "expired content of a task": (
        "gateway.tasks.drop_expired_state",
        lambda key: media_task(
            state="failed", ended_at=clock.now(), expires_at=clock.now(), result=b"x"
        )(key),
    ),
    "a task to be polled": (
        "gateway.tasks.poll_media_tasks",
        lambda key: media_task(
            state="queued", expires_at=clock.now() + dt.timedelta(days=1), next_poll_at=clock.now()
        )(key),
    ),
}


# What waits besides, in another state.
OTHERS: dict[str, tuple[str, Callable[[Key], Any]]] = {
    "a balance of a channel that was taken out": (
        "gateway.tasks.check_balances",
        lambda _: Channel.objects.create(
            name="out", balance_source="deepseek", enabled=False, taken_out={"cause": "balance"}
        ),
    ),
    "an automatic top-up": (
        "billing.tasks.watch_balances",
        lambda key: WalletSetting.objects.create(
            organisation=key.organisation, auto_enabled=True, customer_ref="cus_1"
        ),
    ),
    "a preview that is computed": (
        "gateway.tasks.go_on_with_previews",
        lambda key: preview(key, state="running"),
    ),
}
IDLE: dict[str, tuple[str, Callable[[Key], Any]]] = {
    "a balance of a channel that is off": (
        "gateway.tasks.check_balances",
        lambda _: Channel.objects.create(name="off", balance_source="deepseek", enabled=False),
    ),
    "models of a channel that is off": (
        "gateway.tasks.check_models",
        lambda _: Channel.objects.create(name="off", check_models_every_h=24, enabled=False),
    ),
    "a wallet without alerts": (
        "billing.tasks.watch_balances",
        lambda key: WalletSetting.objects.create(organisation=key.organisation),
    ),
    "a preview that is done": (
        "gateway.tasks.go_on_with_previews",
        lambda key: preview(key, state="done"),
    ),
    "a channel without tests": (
        "gateway.tasks.test_channels",
        lambda _: Channel.objects.create(name="untested", testing={"every_min": None}),
    ),
}


def test_each_kind_of_work_waits_and_nothing_like_it(
    key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one world: a test of each alone is below."""
    # Not later than the beginning of the transactions below, which is their now().
    at = clock.now()
    monkeypatch.setattr(clock, "now", lambda: at)
    plain = {what: one for what, one in MAKERS.items() if one[1] not in (running, ended_chat)}
    for what, (task, make) in {**plain, **OTHERS, **IDLE}.items():
        with transaction.atomic():
            assert not has_waiting_work(task), what
            make(key)
            assert has_waiting_work(task) is (what not in IDLE), what
            transaction.set_rollback(True)


@pytest.mark.parametrize("what", MAKERS)
def test_waiting_work_starts_its_job(key: Key, what: str) -> None:
    task, make = MAKERS[what]
    assert task not in waiting_jobs()
    make(key)
    assert task in waiting_jobs()


@pytest.mark.parametrize(
    ("state", "now", "due"),
    [
        ("active", "2026-03-30 23:59:59", False), ("active", "2026-03-31 00:00:00", True),
        ("ended", "2026-05-01 00:00:00", False),
    ],
)  # fmt: skip
def test_subscription_is_renewed_once_its_month_is_over_somewhere(
    key: Key, monkeypatch: pytest.MonkeyPatch, state: str, now: str, due: bool
) -> None:
    """A month begins up to a day earlier elsewhere than in UTC, and nothing renews an ended one."""
    subscription(key)
    ended_at = clock.now() if state == "ended" else None
    Subscription.objects.update(month=dt.date(2026, 3, 1), state=state, ended_at=ended_at)
    task = "billing.tasks.renew_subscriptions"
    asked = _WORK[task].replace("now()", f"timestamptz '{now}+00'")
    monkeypatch.setattr(waiting_work, "_WORK", {task: asked})
    assert has_waiting_work(task) is due


def test_new_records_are_summed_and_then_nothing_waits(key: Key) -> None:
    counted = {"usage.tasks.roll_up", "gateway.tasks.count_traffic"}
    # Neither has run on a new installation: nobody could say what is new.
    assert counted <= waiting_jobs()
    run_until(count, lambda: not counted & waiting_jobs())
    end(admit(key))
    assert counted <= waiting_jobs()
    run_until(count, lambda: not counted & waiting_jobs())


def count() -> None:
    roll_up()
    count_new_records()


def test_polling_alone_starts_every_waiting_job_in_time() -> None:
    assert {task for task, _ in MAKERS.values()} < JOBS_THAT_WAIT <= set(JOBS)
    for task in JOBS_THAT_WAIT:
        assert max(JOBS[task].every_s, LOOK_PAST_S) <= JOBS[task].late_s / 2
    for task in ASKED_IN_PART:
        assert JOBS[task].every_s < LOOK_PAST_S
    assert JOBS_THAT_WAIT > ASKED_IN_PART


TOLD, CLOCKED = "notify.tasks.tell", "usage.tasks.check_books"


class Clock:
    """`come` is which jobs a beat starts at a time; what waits then, and which jobs count as run
    without it, is for the test to say."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, schedule: dict[str, Any] | None = None
    ) -> None:
        self.now = 1000.0
        self.waiting: Callable[[], frozenset[str]] = frozenset
        self.started: list[str] = []
        self.idle: frozenset[str] = frozenset()
        self.noted: list[frozenset[str]] = []
        monkeypatch.setattr("config.jobs.beat_scheduler.time.monotonic", lambda: self.now)
        monkeypatch.setattr(beat_scheduler, "waiting_jobs", lambda: self.waiting())
        monkeypatch.setattr(beat_scheduler, "_note_idle", self.note)
        monkeypatch.setattr(
            WorkScheduler,
            "apply_entry",
            lambda _, entry, producer=None: self.started.append(entry.task),
        )
        app = Celery("beat", set_as_current=False, broker="memory://")
        app.conf.beat_schedule = schedule or {
            TOLD: {"task": TOLD, "schedule": 2}, CLOCKED: {"task": CLOCKED, "schedule": 5},
        }  # fmt: skip
        self.scheduler = WorkScheduler(app)

    def note(self, tasks: frozenset[str]) -> frozenset[str]:
        self.noted.append(tasks)
        return self.idle

    def come(self, at: float) -> list[str]:
        self.now, self.started = 1000 + at, []
        self.slept = self.scheduler.tick()
        return sorted(self.started)


def test_job_starts_for_waiting_work_and_after_a_long_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    assert (clock.come(0.5), clock.slept) == ([], 1.5)
    assert clock.come(2) == [TOLD]
    # What is due before the scheduler wakes again is started now.
    assert (clock.come(4), clock.slept) == ([CLOCKED], 2)
    clock.waiting = lambda: frozenset({TOLD})
    assert clock.come(6) == [TOLD]
    clock.waiting = frozenset
    assert clock.come(8) == []
    assert clock.come(10) == [CLOCKED]
    assert clock.come(6 + LOOK_PAST_S) == [TOLD, CLOCKED]


def test_a_job_that_surely_has_no_work_counts_as_run(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    clock.come(0)
    assert clock.come(2) == [TOLD]
    clock.idle = frozenset({TOLD})
    starts = [at for at in range(4, 2 * int(ALL_ASKED_S), 2) if TOLD in clock.come(at)]
    assert starts == [2 + ALL_ASKED_S]
    assert len(clock.noted) == pytest.approx(2 * ALL_ASKED_S / LOOK_PAST_S, abs=4)
    assert all(TOLD in tasks <= ASKED_IN_FULL for tasks in clock.noted)


def test_an_idle_hour_starts_few_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those without a check at their times, and the others now and then: 3,100 if each look past
    its check started a job."""
    clock = Clock(monkeypatch, beat_schedule())
    clock.idle = ASKED_IN_FULL
    started = [task for at in range(0, 3600, 2) for task in clock.come(at)]
    assert set(started) >= JOBS_THAT_WAIT
    assert len(started) <= 900
    assert len([task for task in started if task in ASKED_IN_FULL]) <= 7 * len(ASKED_IN_FULL)


def test_only_a_job_that_succeeded_is_noted_as_idle() -> None:
    now = clock.now()
    JobRun.objects.create(task="good", good_at=now, error="")
    JobRun.objects.create(task="failed", good_at=now, error="LookupError")
    JobRun.objects.create(task="never")
    assert note_idle(["good", "failed", "never", "unknown"]) == {"good"}
    assert set(JobRun.objects.filter(good_at__gt=now).values_list("task", flat=True)) == {"good"}


def test_unavailable_database_prevents_no_job_from_starting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    clock.come(0)
    assert clock.come(2) == [TOLD]

    def away() -> frozenset[str]:
        raise DatabaseError("away")

    clock.waiting = away
    assert clock.come(4) == [TOLD, CLOCKED]


def test_beat_keeps_its_connection_until_a_query_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool hands out another one each time, where the statement is planned again."""
    connection.close()
    assert beat_scheduler._count_waiting() is not None
    kept = connection.connection
    assert kept is not None
    assert beat_scheduler._note_idle(frozenset()) == frozenset()
    assert beat_scheduler._count_waiting() is not None
    assert connection.connection is kept

    def away(*_: object) -> frozenset[str]:
        raise DatabaseError("away")

    asks: dict[str, Callable[[], object]] = {
        "config.jobs.beat_scheduler.waiting_jobs": beat_scheduler._count_waiting,
        "config.jobs.runs.note_idle": lambda: beat_scheduler._note_idle(frozenset()),
    }
    for name, ask in asks.items():
        connection.ensure_connection()
        monkeypatch.setattr(name, away)
        assert not ask()
        assert connection.connection is None


def test_waiting_work_is_found_by_one_statement_planned_once() -> None:
    asked: list[str] = []

    def hear(execute: Any, sql: str, *rest: Any) -> Any:
        asked.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(hear):
        assert waiting_jobs() <= JOBS_THAT_WAIT
        assert waiting_jobs() <= JOBS_THAT_WAIT
    assert len(asked) == 2
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT generic_plans FROM pg_prepared_statements WHERE statement = %s", [asked[0]]
        )
        assert cursor.fetchone()[0] >= 2


# For what waits on, whatever its job does, and why.
WAITS_ON = {
    "a fact": "its job wakes another by the broker",
    "a delivery": "its job wakes another by the broker",
    "a test of all channels": "it needs channels to test",
    "a budget": "a budget is watched as long as it is there",
    "a threshold": "a balance is watched as long as there is one",
    "a run": "its process may still be alive",
    "a channel that is tested": "it is tested again",
    "a channel whose traffic is watched": "it is watched on",
    "an unspent grant": "it is counted until it is spent",
    "an unpaid invoice": "it is paid by the balance, which is empty",
}


# The tables that a job writes, and what it leaves in their rows: as `written.txt` of the writes.
WRITTEN: Final = Path(__file__).with_name("written.txt")
_TABLE: Final = re.compile(r'(?:INSERT INTO|UPDATE|DELETE FROM) "?([a-z]+_\w+)')


@pytest.mark.parametrize("what", sorted(MAKERS.keys() - WAITS_ON.keys()))
def test_job_does_what_waits_for_it(key: Key, people: cast.Cast, what: str) -> None:
    task, make = MAKERS[what]
    begun = written.rows_of([])
    make(key)
    known = [line for line in WRITTEN.read_text().splitlines() if line.startswith(f"{what}: ")]
    tables = written.tables_of(known[0]) if known else []
    before = dataclasses.replace(written.rows_of(tables), began=begun.began)
    with CaptureQueriesContext(connection) as made:
        import_string(task)()
    after = written.rows_of(tables)
    assert task not in waiting_jobs()
    wrote = {table for one in made.captured_queries for table in _TABLE.findall(one["sql"])}
    # That it ran is written by a signal, which is there once a test before imported the worker.
    wrote -= {"config_jobrun"}
    lines = written.lines(what, people, before, after, known)
    # Rows that are alike are one line: how many pieces an answer came in depends on the machine.
    left = list(dict.fromkeys([f"{what}: writes {', '.join(sorted(wrote))}", *lines]))
    assert left == known, "\n".join(left)
