"""The last rest of a channel is kept, with its cause, after the channel woke (W71)."""

import datetime as dt
import re
from typing import Any

import msgspec
import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.models import Key
from config.jobs.waiting_work import waiting_jobs
from gateway.breaker.state_names import ChannelStatus, KeyStatus
from gateway.channels.channels import create_channel
from gateway.channels.fields import ChannelFields
from gateway.health.rests import note_rests
from gateway.health.traffic import count_new_records
from gateway.models import Channel, ChannelReport, ChannelRest
from lib import clock
from lib.ids import id_text, new_id
from relay.health import health_sharing
from tests.billing.credits.test_operator_api import api_of
from tests.support import cast
from tests.support.cast import Cast
from tests.usage.rows import credit, happen

pytestmark = pytest.mark.django_db

TASK = "gateway.tasks.note_rests"
FIELDS: ChannelFields = {
    "provider": "openai_compatible",
    "base_url": "https://api.example.com",
    "models": {"flaky": "", "steady": ""},
}
SECOND = dt.timedelta(seconds=1)
OPEN = ChannelStatus("open", 8, "upstream_error")


@pytest.fixture
def channel(people: Cast) -> Channel:
    return create_channel(SYSTEM, "main", {**FIELDS})


@pytest.fixture
def key(people: Cast) -> Key:
    key, _ = cast.make_key(people.core)
    credit(key)
    return key


def reported(
    channel: Channel, status: ChannelStatus, *, out: bool, age_s: float, keys: Any = ()
) -> dt.datetime:
    """One web process reports this, in the form of the relay, and nothing else; since when."""
    report = health_sharing.ChannelReport(status, out, 8.0, age_s, keys)
    channels = {str(channel.id): msgspec.to_builtins(report)}
    ChannelReport.objects.all().delete()
    now = clock.now()
    ChannelReport.objects.create(process_id=new_id(), reported_at=now, epoch=1, channels=channels)
    return now - age_s * SECOND


def failed(channel: Channel, key: Key, at: dt.datetime, times: int, **over: Any) -> None:
    for _ in range(times):
        wrong = {"status": 502, "kind": "upstream_error"} | over
        happen(key, at, 0, model="flaky", channel_id=channel.id, ended_at=at, meters={}, **wrong)


def text_of(client: Client, channel: Channel) -> str:
    html = client.get(f"/admin/channels/{id_text(channel.id)}").content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_ended_rest_is_shown_with_its_cause(people: Cast, channel: Channel, key: Key) -> None:
    began_at = clock.now() - 60 * SECOND
    failed(channel, key, began_at - 2 * SECOND, 8)
    # Long before, and of another channel.
    failed(channel, key, began_at - 30 * SECOND, 1)
    failed(create_channel(SYSTEM, "other", {"provider": "openai", "models": {"x": ""}}), key,
           began_at - SECOND, 1)  # fmt: skip
    assert TASK not in waiting_jobs()
    began_at = reported(channel, OPEN, out=True, age_s=(clock.now() - began_at).total_seconds())
    assert TASK in waiting_jobs()
    assert (note_rests(), note_rests()) == (1, 0)
    dora = cast.signed_in(people.dora)
    assert "Resting since" in text_of(dora, channel)
    ended_at = reported(channel, ChannelStatus("good"), out=False, age_s=20)
    assert (note_rests(), note_rests()) == (1, 0)
    assert TASK not in waiting_jobs()
    rest = ChannelRest.objects.get()
    assert (rest.began_at, rest.ended_at) == (began_at, ended_at)
    assert (rest.kind, rest.attempts, rest.failed) == ("upstream_error", 8, 8)
    text = text_of(dora, channel)
    assert f"{rest.began_at:%H:%M:%S}–{rest.ended_at:%H:%M:%S} UTC." in text
    assert "8 of 8 attempts had failed. Cause: The provider failed." in text
    answer = api_of(people, "dora").get(f"/api/v1/channels/{id_text(channel.id)}/health")
    assert answer.json()["last_rest"]["failed"] == 8


def test_requests_of_a_rest_are_linked_for_operators(
    people: Cast, channel: Channel, key: Key
) -> None:
    failed(channel, key, clock.now() - SECOND, 3)
    reported(channel, OPEN, out=True, age_s=0)
    note_rests()
    people.alice.operator = True
    people.alice.save(update_fields=["operator"])
    alice = cast.signed_in(people.alice)
    html = alice.get(f"/admin/channels/{id_text(channel.id)}").content.decode()
    (href,) = re.findall(r'href="(/o/[^"]*/requests\?[^"]*)"', html)
    listed = alice.get(href.replace("&amp;", "&")).content.decode()
    rows = re.findall(r"<tr.*?</tr>", listed, re.S)
    assert sum("flaky" in row for row in rows) == 3


def test_paused_keys_are_a_rest_and_a_dead_process_ends_one(channel: Channel) -> None:
    keys = [health_sharing.KeyReport(KeyStatus("paused", 9, "key_refused"), True, 9.0, 30.0)]
    status = ChannelStatus("keys_out", 9, "upstream_auth")
    long_ago = reported(channel, status, out=False, age_s=999, keys=keys)
    note_rests()
    rest = ChannelRest.objects.get()
    assert (rest.kind, rest.ended_at) == ("upstream_auth", None)
    assert rest.began_at == long_ago + (999 - 30) * SECOND
    ChannelReport.objects.update(reported_at=clock.now() - 60 * SECOND)
    before = clock.now()
    note_rests()
    rest.refresh_from_db()
    assert rest.ended_at is not None
    assert before <= rest.ended_at <= clock.now()
    # The next one takes its place.
    reported(channel, OPEN, out=True, age_s=0)
    note_rests()
    rest.refresh_from_db()
    assert rest.kind == "upstream_error"
    assert ChannelRest.objects.filter(ended_at=None).exists()


def test_rest_begins_with_the_first_process_and_ends_with_the_last(channel: Channel) -> None:
    good = ChannelStatus("good")
    now = reported(channel, OPEN, out=True, age_s=0)

    def report(*processes: tuple[ChannelStatus, float]) -> None:
        ChannelReport.objects.all().delete()
        for status, age_s in processes:
            one = health_sharing.ChannelReport(status, status == OPEN, 8.0, age_s, ())
            ChannelReport.objects.create(
                process_id=new_id(), reported_at=now, epoch=1,
                channels={str(channel.id): msgspec.to_builtins(one)},
            )  # fmt: skip
        note_rests()

    for first, last in ((30.0, 10.0), (10.0, 30.0)):
        ChannelRest.objects.all().delete()
        report((OPEN, first), (OPEN, last))
        assert ChannelRest.objects.get().began_at == now - 30 * SECOND
        report((OPEN, first), (good, last))
        assert ChannelRest.objects.get().ended_at is None
        report((good, first), (good, last))
        assert ChannelRest.objects.get().ended_at == now - 10 * SECOND


def test_rest_does_not_end_before_it_began(channel: Channel) -> None:
    """The process that rested is gone; the one that is left has been well for longer."""
    began_at = reported(channel, OPEN, out=True, age_s=5)
    note_rests()
    reported(channel, ChannelStatus("good"), out=False, age_s=60)
    note_rests()
    rest = ChannelRest.objects.get()
    assert rest.began_at == rest.ended_at == began_at


def test_channel_rests_since_the_last_of_its_keys_was_paused(channel: Channel) -> None:
    paused = KeyStatus("paused", 9, "key_refused")
    keys = [health_sharing.KeyReport(paused, True, 9.0, age_s) for age_s in (90.0, 30.0, 60.0)]
    status = ChannelStatus("keys_out", 9, "upstream_auth")
    long_ago = reported(channel, status, out=False, age_s=999, keys=keys)
    note_rests()
    assert ChannelRest.objects.get().began_at == long_ago + (999 - 30) * SECOND


def test_failures_with_a_customers_own_key_caused_no_rest(channel: Channel, key: Key) -> None:
    at = clock.now() - 2 * SECOND
    failed(channel, key, at, 2)
    failed(channel, key, at, 1, own_nano=0)
    reported(channel, OPEN, out=True, age_s=1)
    note_rests()
    rest = ChannelRest.objects.get()
    assert (rest.attempts, rest.failed) == (2, 2)


def test_mostly_failing_channel_is_failing_not_active(
    people: Cast, channel: Channel, key: Key
) -> None:
    """A model and its channel, on the page, in its polled part, and in the list."""
    now = clock.now()
    half = create_channel(SYSTEM, "half", {**FIELDS})
    for of, good in ((channel, 2), (half, 3)):
        failed(of, key, now, 3)
        for _ in range(good):
            happen(key, now, 0, model="steady", channel_id=of.id, ended_at=now)
    count_new_records()
    dora = cast.signed_in(people.dora)
    for of, state in ((channel, "Failing"), (half, "On")):
        for path in (f"/admin/channels/{id_text(of.id)}", f"/admin/_f/channels/{id_text(of.id)}"):
            rows = dict(_states(dora.get(path).content.decode()))
            assert (rows["flaky"], rows["steady"]) == ("Failing", "Active")
            assert rows["Channel"] == state
    for path in ("/admin/channels", "/admin/_f/channels"):
        assert dora.get(path).content.decode().count("Failing") == 1


def _states(html: str) -> list[tuple[str, str]]:
    found = []
    health = html[html.index('id="health-rows"') :].partition("</section>")[0]
    for row in re.findall(r"<tr>.*?</tr>", health, re.S):
        words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)).split()
        found.append((words[0], words[1]))
    return found
