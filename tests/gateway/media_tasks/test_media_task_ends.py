"""How a media task ends: paid or not handed out, at its own prices, and once (I6, I10)."""

import datetime as dt
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import override_settings

from accounts.access.actors import SYSTEM
from accounts.models import Key
from accounts.secrets.sealing import vault
from billing.models import Account, Hold
from dialects.media.videos import TaskError, VideoStatus
from gateway.channels.channels import create_channel, switch_key
from gateway.channels.fields import ChannelFields
from gateway.media_tasks import media_tasks
from gateway.media_tasks.media_tasks import Poll
from gateway.media_tasks.rules import LIMIT_S, OPEN
from gateway.models import ChannelKey, MediaTask
from gateway.providers.task_forms import TASK_FORMS
from lib import clock
from lib.ids import new_id
from lib.network.guarded_pool import BriefAnswer
from outbox.models import Fact
from relay.media_tasks import media_tasks as relayed
from tests.support.cast import Cast, make_key
from tests.usage.rows import admit, credit, price_version
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db

PER_MS = 100_000
DONE = VideoStatus("succeeded", 100, seconds=8, content="https://provider.example/bytes")
FAILED = VideoStatus("failed", 40, error=TaskError("moderation_blocked", "Blocked."))
ENDS = {"succeeded": DONE, "failed": FAILED}
MINUTE, DAY = dt.timedelta(minutes=1), dt.timedelta(days=1)


@pytest.fixture
def task(people: Cast) -> MediaTask:
    """A video of 8 seconds, sold by its resolution and bought by its length."""
    key, _ = make_key(people.core)
    credit(key)
    return accepted(key)


def accepted(key: Key, number: int = 1) -> MediaTask:
    sold = price_version(f"video {number}", {"meters": {"video_ms[720p]": PER_MS * 10**6}})
    bought = price_version(f"bought {number}", {"meters": {"video_ms": PER_MS * 10**6 // 4}})
    attempt = admit(
        key, clock.now(), hold_nano=8000 * PER_MS, price_version_id=sold.id,
        cost_version_id=bought.id, operation="videos", stream=False,
    )  # fmt: skip
    assert attempt.channel_id
    return MediaTask.objects.create(
        id=attempt.id, public_id=f"video_{number}", organisation=key.organisation,
        team_id=key.team_id, request_id=attempt.request_id, operation="videos",
        model="video", form="videos",
        channel_id=attempt.channel_id, upstream_id="theirs", seconds=8, size="1280x720",
        next_poll_at=clock.now(),
    )  # fmt: skip


def report(task: MediaTask, status: VideoStatus) -> None:
    """What one worker writes of what it was told, whatever others have written since it took it."""
    media_tasks._write([Poll(task, status)], [])


def revenue(task: MediaTask) -> int:
    accounts = Account.objects.filter(organisation=task.organisation, kind="revenue")
    return sum(-account.balance_nano for account in accounts)


def facts() -> list[str]:
    kinds = Fact.objects.filter(kind__startswith="video.").order_by("id")
    return list(kinds.values_list("kind", flat=True))


def run(statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def test_a_finished_task_is_charged_at_the_meters_of_both_prices(
    task: MediaTask,
) -> None:
    """I15: the sale is by resolution, what we owe the provider by length alone."""
    report(task, DONE)
    record = UsageRecord.objects.get()
    assert record.meters == {"video_ms[720p]": 8000}
    assert (record.charge_nano, record.cost_nano) == (8000 * PER_MS, 8000 * PER_MS // 4)
    task.refresh_from_db()
    assert (task.state, facts()) == ("succeeded", ["video.completed"])


def test_task_resolved_elsewhere_is_not_handed_out(
    task: MediaTask,
) -> None:
    """I6, I24: nobody has paid for it, so that its bytes are nobody's, though it was made."""
    Hold.objects.filter(id=task.id).update(state="expired", resolved_at=clock.now())
    report(task, DONE)
    task.refresh_from_db()
    assert (task.state, facts()) == ("failed", ["video.failed"])
    assert Fact.objects.get(kind="video.failed").body["error"] == "expired"
    assert not UsageRecord.objects.exists()
    sealed = bytes(task.result or b"")
    kept = json.loads(vault().open(sealed, f"gateway_mediatask|{task.id}|result"))
    assert kept.keys() == {"error"}


def test_ends_are_kept_after_all_tasks_of_a_round_are_settled(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object store that is away delays no task."""
    key, _ = make_key(people.core)
    credit(key)
    tasks, rounds = [accepted(key, number) for number in range(3)], list[Any]()

    def keep(ends: Any) -> None:
        rounds.append([end.request_id for end in ends])
        assert not MediaTask.objects.filter(ended_at=None).exists()

    monkeypatch.setattr(media_tasks, "_BATCH", 2)
    monkeypatch.setattr(
        media_tasks, "_poll_all", lambda taken, until: (Poll(task, DONE) for task in taken)
    )
    monkeypatch.setattr(media_tasks, "keep_final_states", keep)
    assert media_tasks.poll() == 3
    assert [sorted(ids) for ids in rounds] == [sorted(task.request_id for task in tasks)]


@pytest.mark.parametrize("second", ENDS)
@pytest.mark.parametrize("first", ENDS)
def test_first_written_end_stays_and_is_reported_once(
    task: MediaTask, first: str, second: str
) -> None:
    """I10: two workers were told of an end, the same or another one."""
    report(task, ENDS[first])
    after, spent = MediaTask.objects.values().get(), revenue(task)
    report(task, ENDS[second])
    assert (MediaTask.objects.values().get(), revenue(task)) == (after, spent)
    assert (len(facts()), UsageRecord.objects.count()) == (1, 1)


@pytest.mark.parametrize(("early_s", "state"), [(1, "running"), (0, "failed"), (-1, "failed")])
def test_a_task_without_an_end_fails_after_24_hours(
    task: MediaTask, monkeypatch: pytest.MonkeyPatch, early_s: int, state: str
) -> None:
    """They count from its creation, however late its provider began."""
    at = task.created_at + dt.timedelta(seconds=LIMIT_S - early_s)
    task.started_at = at - MINUTE
    task.save()
    monkeypatch.setattr(clock, "now", lambda: at)
    report(task, VideoStatus("running", 10))
    task.refresh_from_db()
    assert (task.state, revenue(task)) == (state, 0)
    ended = [(record.status, record.kind) for record in UsageRecord.objects.all()]
    assert ended == ([] if state == "running" else [(504, "timeout")])


@pytest.mark.parametrize(("told_s", "flags"), [(None, []), (8, []), (9, ["usage_mismatch"])])
def test_provider_reporting_more_than_ordered_is_found_in_its_records(
    task: MediaTask, told_s: int | None, flags: list[str]
) -> None:
    report(task, DONE._replace(seconds=told_s))
    record = UsageRecord.objects.get()
    assert (record.flags, record.charge_nano) == (flags, 8000 * PER_MS)


@pytest.mark.parametrize(
    ("status", "asked", "failures"),
    [
        (VideoStatus("running", 10), True, 0),
        (None, True, 3),
        # Nobody asked: its channel was not reached in time.
        (None, False, 2),
    ],
)
def test_polls_that_fail_are_counted_until_one_succeeds(
    task: MediaTask, status: VideoStatus | None, asked: bool, failures: int
) -> None:
    task.failures = 2
    media_tasks._write([Poll(task, status, asked=asked)], [])
    assert MediaTask.objects.get().failures == failures


def test_running_task_starts_once_and_its_progress_never_falls(
    task: MediaTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll without an answer changes neither."""
    at = clock.now()
    states = []
    for minute, progress in enumerate((40, 10, None, 41)):
        monkeypatch.setattr(clock, "now", lambda now=at + minute * MINUTE: now)
        status = None if progress is None else VideoStatus("running", progress)
        media_tasks._write([Poll(task, status)], [])
        task.refresh_from_db()
        states.append((task.started_at, task.progress))
    assert states == [(at, 40), (at, 40), (at, 40), (at, 41)]


def test_last_poll_of_a_task_is_when_its_time_is_over(
    task: MediaTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait that its provider asks for does not keep its hold for longer."""
    end = task.created_at + dt.timedelta(seconds=LIMIT_S)
    monkeypatch.setattr(clock, "now", lambda: end - MINUTE)
    media_tasks._write([Poll(task, VideoStatus("running", 1), retry_after_s=3600)], [])
    task.refresh_from_db()
    assert task.next_poll_at == end


@pytest.mark.parametrize(
    ("ours", "theirs", "kept"),
    [(7, None, 7), (90, None, 30), (7, 1, 1), (7, 8, 7), (90, 45, 30), (90, 29, 29)],
)
def test_result_is_served_until_the_first_of_its_ends(
    task: MediaTask, monkeypatch: pytest.MonkeyPatch, ours: int, theirs: int | None, kept: int
) -> None:
    """In days: what the operator set, the provider's 30 for this form, and what it reports."""
    at = clock.now().replace(microsecond=0)
    monkeypatch.setattr(clock, "now", lambda: at)
    expires_at = None if theirs is None else int((at + theirs * DAY).timestamp())
    with override_settings(TASK_RESULT_DAYS=ours):
        report(task, DONE._replace(expires_at=expires_at))
    task.refresh_from_db()
    assert task.expires_at == at + kept * DAY


@pytest.mark.parametrize(("late_us", "over"), [(-1, False), (0, True), (1, True)])
def test_result_is_gone_from_its_last_instant_on(
    task: MediaTask, monkeypatch: pytest.MonkeyPatch, late_us: int, over: bool
) -> None:
    report(task, DONE._replace(result={"url": "https://provider.example/bytes"}))
    task.refresh_from_db()
    assert task.expires_at
    at = task.expires_at + dt.timedelta(microseconds=late_us)
    monkeypatch.setattr(clock, "now", lambda: at)
    assert media_tasks.result_of(task) == (
        {} if over else {"url": "https://provider.example/bytes"}
    )
    assert [media_tasks.drop_old_content() for _ in range(2)] == [over, 0]
    assert (MediaTask.objects.get().result is None) is over


@pytest.mark.parametrize("request_kept", [False, True])
def test_echo_of_a_request_is_stored_where_the_request_is(
    task: MediaTask, request_kept: bool
) -> None:
    """P31"""
    task.request = b"sealed" if request_kept else None
    report(task, DONE._replace(result={"url": "u", "echo": {"prompt": "a secret"}}))
    task.refresh_from_db()
    assert media_tasks.result_of(task).keys() == ({"url", "echo"} if request_kept else {"url"})


def test_a_failure_of_the_provider_is_recorded_as_one(task: MediaTask) -> None:
    report(task, FAILED)
    record = UsageRecord.objects.get()
    assert (record.status, record.kind, record.message) == (502, "upstream_error", "Blocked.")
    assert (record.charge_nano, revenue(task)) == (0, 0)


def test_a_task_is_polled_with_the_key_that_started_it_while_that_is_stored(
    task: MediaTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disabled key starts nothing, but the account of another key does not know its tasks."""
    secrets = {"lost": "sk-lost-00000001", "off": "sk-off-000000001", "on": "sk-on-0000000001"}
    fields: ChannelFields = {
        "provider": "openai_compatible", "base_url": "https://studio.example/v1",
        "keys": list(secrets.values()),
    }  # fmt: skip
    channel = create_channel(SYSTEM, "studio", fields)
    keys = dict(zip(secrets, channel.keys.all(), strict=True))
    for name in ("lost", "off"):
        switch_key(SYSTEM, channel, keys[name], enabled=False)
    ChannelKey.objects.filter(id=keys["lost"].id).update(sealed=b"?")
    asked: list[str] = []

    def answer(
        _pool: object, _method: str, _url: str, headers: dict[str, str], *_: Any, **__: Any
    ) -> BriefAnswer:
        asked.append(headers["authorization"])
        return BriefAnswer(404, {}, None)

    monkeypatch.setattr(media_tasks, "exchanged_briefly", answer)
    task.channel_id = channel.id
    for task.channel_key_id in (keys["off"].id, keys["on"].id, keys["lost"].id, new_id()):
        list(media_tasks._poll_all([task], time.monotonic() + 60))
    off, on = (f"Bearer {secrets[name]}" for name in ("off", "on"))
    assert asked == [off, on, on, on]


def test_an_end_that_cannot_be_stored_delays_no_other_task(people: Cast) -> None:
    """P14: what a provider reports of one task counts as a failed poll of that task alone."""
    key, _ = make_key(people.core)
    credit(key)
    odd, running, done = (accepted(key, number) for number in range(3))
    report_of = {odd: DONE._replace(expires_at=2**40), running: VideoStatus("running", 7)}
    ends = list[Any]()
    polls = [Poll(task, report_of.get(task, DONE)) for task in (odd, running, done)]
    assert media_tasks._write(polls, ends) == 3
    assert [end.request_id for end in ends] == [done.request_id]
    tasks = [MediaTask.objects.get(id=task.id) for task in (odd, running, done)]
    states = [(task.state, task.polls, task.failures) for task in tasks]
    assert states == [("queued", 1, 1), ("running", 1, 0), ("succeeded", 1, 0)]
    assert Hold.objects.get(id=odd.id).state == "open"


def test_an_end_that_cannot_be_stored_times_out_like_none(
    task: MediaTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = task.created_at + dt.timedelta(seconds=LIMIT_S)
    monkeypatch.setattr(clock, "now", lambda: at)
    report(task, DONE._replace(expires_at=2**40))
    task.refresh_from_db()
    assert (task.state, revenue(task)) == ("failed", 0)


def test_an_unavailable_database_fails_no_task(
    task: MediaTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that its provider finished is not given up because of our own database."""
    at = task.created_at + dt.timedelta(seconds=LIMIT_S)
    monkeypatch.setattr(clock, "now", lambda: at)

    def unavailable(*_: Any) -> None:
        raise OperationalError("the connection is lost")

    with monkeypatch.context() as patched:
        patched.setattr(media_tasks, "_write_end", unavailable)
        with pytest.raises(OperationalError):
            report(task, DONE)
    report(task, DONE)
    task.refresh_from_db()
    assert task.state == "succeeded"


def test_an_answer_that_breaks_its_reader_delays_no_other_task(
    task: MediaTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields: ChannelFields = {"provider": "openai_compatible", "base_url": "https://v.example/v1"}
    task.channel_id = create_channel(SYSTEM, "studio", fields).id
    broken = [True, False]

    def read(_raw: bytes, _id: str) -> VideoStatus:
        if broken.pop(0):
            raise ArithmeticError
        return DONE

    form = replace(TASK_FORMS["videos"], read_status=read)
    monkeypatch.setattr(media_tasks, "TASK_FORMS", {"videos": form})
    monkeypatch.setattr(
        media_tasks, "exchanged_briefly", lambda *_, **__: BriefAnswer(200, {}, b"{}")
    )
    polls = media_tasks._poll_all([task, task], time.monotonic() + 60)
    assert [(poll.status, poll.asked) for poll in polls] == [(None, True), (DONE, True)]


@pytest.mark.parametrize(("early_us", "taken"), [(1, 0), (0, 1), (-1, 1)])
def test_due_task_is_polled_by_one_worker(
    task: MediaTask, monkeypatch: pytest.MonkeyPatch, early_us: int, taken: int
) -> None:
    at = clock.now()
    MediaTask.objects.update(next_poll_at=at + dt.timedelta(microseconds=early_us))
    monkeypatch.setattr(clock, "now", lambda: at)
    assert [len(media_tasks._take(9)) for _ in range(2)] == [taken, 0]
    assert media_tasks.poll() == 0


# What the relay writes of a task, by its own statements ------------------------------------------


@pytest.fixture(params=[*OPEN, *ENDS])
def state(request: pytest.FixtureRequest, task: MediaTask) -> str:
    if request.param in OPEN:
        MediaTask.objects.update(state=request.param)
    else:
        report(task, ENDS[request.param])
    chosen: str = request.param
    return chosen


def test_only_a_task_that_has_ended_is_deleted_and_once(task: MediaTask, state: str) -> None:
    ids = {"id": task.id, "team": task.team_id}
    deleted = [run(relayed._FORGET, **ids) for _ in range(2)]
    assert [len(rows) for rows in deleted] == ([0, 0] if state in OPEN else [1, 0])
    assert run(relayed._FORGET, id=task.id, team=task.request_id) == []


def test_a_task_is_withdrawn_until_its_provider_has_accepted_it(
    task: MediaTask, state: str
) -> None:
    """Who withdraws it knows it by our id, which stands there until the provider's own does."""
    assert run(relayed._WITHDRAW, id=task.id, upstream_id="ours") == []
    MediaTask.objects.update(upstream_id="ours")
    assert len(run(relayed._WITHDRAW, id=task.id, upstream_id="ours")) == (state in OPEN)


def test_a_task_is_confirmed_while_it_is_open(task: MediaTask, state: str) -> None:
    confirmed = run(relayed._CONFIRM, id=task.id, upstream_id="new", first_poll_s=5.0)
    assert len(confirmed) == (state in OPEN)
    assert MediaTask.objects.filter(upstream_id="new").count() == (state in OPEN)


@pytest.mark.parametrize(("waits_s", "expected_s"), [(300, 20), (21, 20), (5, 5), (-5, -5)])
def test_a_callback_hastens_a_poll_and_delays_none(
    task: MediaTask, waits_s: int, expected_s: int
) -> None:
    """At the earliest when the provider may be asked again."""
    at = clock.now()
    MediaTask.objects.update(
        callback_token="secret", polled_at=at, next_poll_at=at + dt.timedelta(seconds=waits_s)
    )
    assert not media_tasks.record_callback(task.public_id, "wrong")
    assert media_tasks.record_callback(task.public_id, "secret")
    task.refresh_from_db()
    assert task.next_poll_at == at + dt.timedelta(seconds=expected_s)
