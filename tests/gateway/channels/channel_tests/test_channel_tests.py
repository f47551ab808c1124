"""Tests that nobody presses a button for, and what follows of them by a channel's rule."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent
from gateway.channels.channel_tests import channel_test, scheduled_tests
from gateway.channels.channel_tests.calls import ChannelCheck, call
from gateway.channels.channel_tests.staged_calls import Target
from gateway.channels.channels import change_channel, create_channel
from gateway.health.histogram_bounds import FIRST_TOKEN_MS
from gateway.models import Channel, ChannelTestRun, TrafficBucket
from gateway.settings.installation import save_settings
from lib import clock
from lib.ids import id_text
from lib.network.egress import EgressPolicy
from outbox.models import Fact
from tests.fakes.upstream import FakeUpstream
from tests.support.cast import Cast, signed_in

pytestmark = pytest.mark.django_db

KEY = "sk-fake-provider-key-0123456789"


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream(name="ruled", keys=(KEY,), fsync=False) as upstream:
        yield upstream


@pytest.fixture(autouse=True)
def loopback(db: None, fake: FakeUpstream) -> Iterator[None]:
    save_settings(SYSTEM, egress_allow=["127.0.0.1/32"])
    yield
    fake.reset()


def channel_to(fake: FakeUpstream, name: str = "ruled", **testing: Any) -> Channel:
    return create_channel(
        SYSTEM,
        name,
        {
            "provider": "openai_compatible",
            "base_url": fake.url,
            "keys": [KEY],
            "models": {"fake": ""},
            "testing": testing,
        },
    )


def actions() -> list[str]:
    """The automatic actions that the audit log tells, in their order."""
    names = ("channel.taken_out", "channel.taken_in")
    return list(
        AuditEvent.objects.filter(action__in=names).order_by("id").values_list("action", flat=True)
    )


def test_due_channel_is_tested_once_disabled_and_enabled_again(fake: FakeUpstream) -> None:
    channel = channel_to(fake, every_min=5, statuses="5xx")
    fake.script("#fault=F10")
    assert scheduled_tests.work_off_schedule() == 1
    channel.refresh_from_db()
    assert (channel.enabled, (channel.taken_out or {})["cause"]) == (False, "status")
    assert scheduled_tests.work_off_schedule() == 0
    event = AuditEvent.objects.get(action="channel.taken_out")
    assert (event.detail["cause"], event.detail["what"]) == ("status", "500")
    # Failing on is no news: one event, one email.
    fake.script("#fault=F10")
    later(channel)
    assert scheduled_tests.work_off_schedule() == 1
    assert actions() == ["channel.taken_out"]
    later(channel)
    assert scheduled_tests.work_off_schedule() == 1
    channel.refresh_from_db()
    assert (channel.enabled, channel.taken_out) == (True, None)
    assert actions() == ["channel.taken_out", "channel.taken_in"]
    (fact,) = Fact.objects.filter(kind="channel.taken_out")
    assert fact.body["channel"] == "ruled"


def later(channel: Channel) -> None:
    """The time of the next test has come."""
    Channel.objects.filter(id=channel.id).update(next_test_at=clock.now())


def test_manually_disabled_channel_stays_off(fake: FakeUpstream) -> None:
    channel = channel_to(fake, every_min=5, on_key=True)
    change_channel(SYSTEM, channel, {"enabled": False})
    assert scheduled_tests.work_off_schedule() == 0
    scheduled_tests.check_by_rule(SYSTEM, channel, "fake")
    channel.refresh_from_db()
    assert not channel.enabled


def test_manual_disabling_after_its_rule_wins(fake: FakeUpstream) -> None:
    channel = channel_to(fake, on_key=True)
    fake.script("#fault=F5")
    scheduled_tests.check_by_rule(SYSTEM, channel, "fake")
    channel.refresh_from_db()
    assert channel.taken_out is not None
    change_channel(SYSTEM, channel, {"enabled": False})
    scheduled_tests.check_by_rule(SYSTEM, channel, "fake")
    channel.refresh_from_db()
    assert (channel.enabled, channel.taken_out) == (False, None)


@pytest.mark.parametrize("passes", [False, True])
def test_a_test_of_the_old_key_says_nothing_about_the_new_one(
    fake: FakeUpstream, people: Cast, monkeypatch: pytest.MonkeyPatch, passes: bool
) -> None:
    """An operator replaces the key while a test waits for the provider."""
    wrong = "sk-wrong-provider-key-000000"
    old, new = (KEY, wrong) if passes else (wrong, KEY)
    channel = channel_to(fake, on_key=True)
    change_channel(SYSTEM, channel, {"keys": [old]})
    if passes:
        out = {"cause": "key", "what": "401", "at": clock.now().isoformat()}
        Channel.objects.update(enabled=False, taken_out=out)

    def replace_key(target: Target, policy: EgressPolicy, result: ChannelCheck) -> None:
        change_channel(SYSTEM, Channel.objects.get(), {"keys": [new]})
        call(target, policy, result)

    monkeypatch.setattr(channel_test, "call", replace_key)
    dora, path = signed_in(people.dora), f"/api/v1/channels/{id_text(channel.id)}/test"
    tested = dora.post(path, {"model": "fake"}, content_type="application/json").json()
    assert (tested["ok"], tested["fault"]) == ((True, None) if passes else (False, "key"))
    channel.refresh_from_db()
    assert (channel.enabled, channel.last_test, actions()) == (not passes, None, [])
    monkeypatch.undo()
    scheduled_tests.check_by_rule(SYSTEM, channel, "fake")
    channel.refresh_from_db()
    assert (channel.last_test or {})["ok"] is not passes


def test_without_a_rule_a_failed_test_changes_nothing(fake: FakeUpstream) -> None:
    channel = channel_to(fake, every_min=5)
    fake.script("#fault=F5")
    assert scheduled_tests.work_off_schedule() == 1
    channel.refresh_from_db()
    assert channel.enabled
    assert actions() == []


@pytest.mark.parametrize("by_hand", [False, True])
def test_low_success_rate_disables_and_is_reset_on_return(
    fake: FakeUpstream, by_hand: bool
) -> None:
    channel = channel_to(fake, success_percent=90)
    TrafficBucket.objects.create(
        bucket_at=clock.now() - dt.timedelta(minutes=5),
        channel_id=channel.id,
        model="fake",
        attempts=30,
        failed=10,
        requests=30,
        failed_requests=10,
        output_tokens=0,
        writing_ms=0,
        first_tokens=[0] * len(FIRST_TOKEN_MS),
    )
    scheduled_tests.watch_traffic()
    channel.refresh_from_db()
    assert channel.taken_out is not None
    assert (channel.taken_out["cause"], channel.taken_out["what"]) == ("success", "66%")
    if by_hand:
        change_channel(SYSTEM, channel, {"enabled": True})
    else:
        scheduled_tests.check_by_rule(SYSTEM, channel, "fake")
    scheduled_tests.watch_traffic()
    channel.refresh_from_db()
    assert channel.enabled
    returned = [] if by_hand else ["channel.taken_in"]
    assert actions() == ["channel.taken_out", *returned]


def test_all_channels_are_tested_by_a_job_with_progress(fake: FakeUpstream) -> None:
    good, bad = channel_to(fake, "a-good"), channel_to(fake, "b-bad")
    change_channel(SYSTEM, bad, {"keys": ["sk-wrong-provider-key-000000"]})
    run = scheduled_tests.start_run(SYSTEM, "plain")
    assert (run.total, run.results) == (2, [])
    claimed = scheduled_tests._claim_run()
    assert claimed is not None
    # Another process finds nothing to take meanwhile.
    assert scheduled_tests.work_off_runs() == 0
    scheduled_tests._test_next(claimed)
    run.refresh_from_db()
    assert (len(run.results), run.ended_at) == (1, None)
    assert scheduled_tests.work_off_runs() == 1
    run.refresh_from_db()
    assert run.ended_at is not None
    assert [(row["channel"], row["ok"], row["fault"]) for row in run.results] == [
        (good.name, True, None),
        (bad.name, False, "key"),
    ]


def test_a_process_that_dies_leaves_its_channel_to_the_next(fake: FakeUpstream) -> None:
    channel_to(fake)
    run = scheduled_tests.start_run(SYSTEM, "streamed")
    assert scheduled_tests._claim_run() is not None
    ChannelTestRun.objects.filter(id=run.id).update(claimed_until=clock.now())
    assert scheduled_tests.work_off_runs() == 1


def test_deleted_channel_no_longer_counts(fake: FakeUpstream) -> None:
    channel_to(fake, "a-stays")
    gone = channel_to(fake, "b-goes")
    run = scheduled_tests.start_run(SYSTEM, "plain")
    gone.delete()
    scheduled_tests.work_off_runs()
    run.refresh_from_db()
    assert (run.total, len(run.results), run.ended_at is None) == (1, 1, False)


def test_the_page_of_a_test_of_all_channels(fake: FakeUpstream, people: Cast) -> None:
    channel_to(fake)
    client: Client = signed_in(people.dora)
    started = client.post(reverse("channel_test_all"))
    assert started.status_code == 303
    text = client.get(started["location"]).content.decode()
    assert "0 of 1" in text
    assert 'hx-trigger="every 1s"' in text
    scheduled_tests.work_off_runs()
    text = client.get(started["location"]).content.decode()
    assert "1 of 1" in text
    assert "Passed" in text
    assert 'hx-trigger="every 1s"' not in text


def test_a_channel_says_that_its_rule_turned_it_off(fake: FakeUpstream, people: Cast) -> None:
    channel = channel_to(fake, words="invalid, revoked")
    fake.script("#fault=F5")
    scheduled_tests.check_by_rule(SYSTEM, channel, "fake")
    client: Client = signed_in(people.dora)
    assert "Off by rule" in client.get(reverse("channels")).content.decode()
    page = client.get(reverse("channel", args=[id_text(channel.id)])).content.decode()
    assert "Turned off by its rule" in page
