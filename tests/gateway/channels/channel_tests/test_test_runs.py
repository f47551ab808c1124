"""Tests of all channels, and which model and traffic a channel's rule looks at."""

import datetime as dt
import re

import pytest

from accounts.access.actors import SYSTEM
from billing.prices.prices import set_price
from gateway.channels.channel_tests import scheduled_tests
from gateway.channels.channel_tests.scheduled_tests import (
    _test_next,
    model_to_test,
    start_run,
    watch_traffic,
)
from gateway.channels.channels import archive_channel, create_channel
from gateway.channels.fields import ChannelFields
from gateway.health.histogram_bounds import FIRST_TOKEN_MS
from gateway.models import Channel, ChannelTestRun, TrafficBucket
from lib import clock
from lib.ids import id_text
from tests.support.cast import Cast, signed_in

pytestmark = pytest.mark.django_db

FIELDS: ChannelFields = {
    "provider": "openai_compatible",
    "base_url": "https://api.example.com",
    "models": {"brook": "", "river": ""},
}


def test_run_tests_channels_that_are_not_archived_in_their_order(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is deleted meanwhile counts no more."""
    for name, priority in (("last", 9), ("first", 1), ("second", 1), ("away", 0)):
        create_channel(SYSTEM, name, {**FIELDS, "priority": priority})
    archive_channel(SYSTEM, Channel.objects.get(name="away"))
    run = start_run(SYSTEM, "plain")
    names = {str(channel.id): channel.name for channel in Channel.objects.all()}
    assert ([names[id] for id in run.left], run.total) == (["first", "second", "last"], 3)
    Channel.objects.filter(name="second").delete()

    def result(channel: Channel, variant: str) -> dict[str, object]:
        return {"channel_id": str(channel.id), "channel": channel.name, "ok": True, "fault": None,
                "total_ms": 5, "cost_nano": 7, "variant": variant}  # fmt: skip

    monkeypatch.setattr(scheduled_tests, "_result", result)
    for total in (3, 2, 2):
        _test_next(run)
        run.refresh_from_db()
        assert run.total == total
    assert [row["channel"] for row in run.results] == ["first", "last"]
    assert run.ended_at is not None


def test_page_of_a_run_counts_failures_and_known_costs(people: Cast) -> None:
    channel = create_channel(SYSTEM, "main", FIELDS)
    row = {"channel_id": str(channel.id), "channel": "main", "total_ms": 5}
    run = ChannelTestRun.objects.create(
        variant="plain", total=4, left=[str(channel.id)],
        results=[
            {**row, "ok": True, "fault": None, "cost_nano": 20_000_000},
            {**row, "ok": False, "fault": "key", "cost_nano": None},
            {**row, "ok": True, "fault": None, "cost_nano": 10_000_000},
        ],
    )  # fmt: skip
    html = signed_in(people.dora).get(f"/admin/channels/tests/{id_text(run.id)}").text
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
    assert "$0.03" in text
    assert re.search(r"3 of 4", text)
    assert re.search(r"1 (of \d )?failed|Failed 1", text)


def test_rule_tests_its_model_or_the_first_one(people: Cast) -> None:
    """A pattern is tested by a priced name that it matches; a model that is gone by none."""
    channel = create_channel(SYSTEM, "main", {**FIELDS, "testing": {"model": "river"}})
    assert model_to_test(channel) == "river"
    channel.testing = {**channel.testing, "model": "gone"}
    assert model_to_test(channel) == "brook"
    rates = {"meters": {"in_text": 1_000, "out_text": 1_000}}
    set_price(SYSTEM, "lake-1", clock.now(), rates, source="test")
    pattern = create_channel(SYSTEM, "pattern", {**FIELDS, "models": {"lake-*": ""}})
    assert model_to_test(pattern) == "lake-1"
    assert (
        model_to_test(create_channel(SYSTEM, "none", {**FIELDS, "models": {"sea-*": ""}})) is None
    )


@pytest.mark.parametrize(
    ("ago", "attempts", "failed", "out"),
    [(5, 20, 11, True), (5, 20, 10, False), (5, 19, 19, False), (16, 40, 40, False)],
)
def test_failing_traffic_of_the_last_quarter_of_an_hour_turns_a_channel_off(
    people: Cast, ago: int, attempts: int, failed: int, out: bool
) -> None:
    """Below half of at least twenty, and since it was last turned on."""
    now = clock.now()
    turned_on = {
        "main": None, "again": now - dt.timedelta(minutes=1), "once": now - dt.timedelta(days=1)
    }  # fmt: skip
    for name, taken_in_at in turned_on.items():
        channel = create_channel(SYSTEM, name, {**FIELDS, "testing": {"success_percent": 50}})
        Channel.objects.filter(id=channel.id).update(taken_in_at=taken_in_at)
        TrafficBucket.objects.create(
            bucket_at=now - dt.timedelta(minutes=ago), channel_id=channel.id, model="brook",
            attempts=attempts, failed=failed, requests=0, failed_requests=0, output_tokens=0,
            writing_ms=0, first_tokens=[0] * len(FIRST_TOKEN_MS),
        )  # fmt: skip
    watch_traffic()
    states = {channel.name: channel.taken_out is not None for channel in Channel.objects.all()}
    assert states == {"main": out, "again": False, "once": out}
