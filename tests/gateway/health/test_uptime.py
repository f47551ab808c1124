"""A channel's last 24 hours, as its strip has them."""

import datetime as dt
from decimal import Decimal
from uuid import UUID

import pytest

from accounts.models import Key
from gateway.health.traffic import count_new_records
from gateway.health.uptime import HOURS, UptimeHour, uptime_by_channel
from gateway.models import TrafficBucket
from lib import clock
from tests.support import cast
from tests.support.cast import Cast
from tests.usage.rows import CHANNEL, credit, happen, refuse

pytestmark = pytest.mark.django_db


@pytest.fixture
def key(people: Cast) -> Key:
    created, _ = cast.make_key(people.core)
    credit(created)
    return created


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> dt.datetime:
    """The hour does not end while a test runs."""
    instant = clock.now()
    monkeypatch.setattr(clock, "now", lambda: instant)
    return instant


def test_uptime_counts_only_the_channels_faults(key: Key, now: dt.datetime) -> None:
    for status, kind in (
        (200, None), (200, None), (499, "client_closed"), (400, "upstream_invalid"),
        (502, "upstream_error"), (429, "upstream_rate_limited"), (504, "timeout"),
    ):  # fmt: skip
        happen(key, now, 0, status=status, kind=kind, ended_at=now)
    refuse(key, now)
    count_new_records()
    uptime = uptime_by_channel()[CHANNEL]
    assert uptime_by_channel(CHANNEL) == {CHANNEL: uptime}
    assert uptime_by_channel(UUID(int=8)) == {}
    assert (uptime.attempts, uptime.answered, len(uptime.hours)) == (7, 4, HOURS)
    assert [hour.tone for hour in uptime.hours if hour.attempts] == ["bad"]
    assert uptime.percent == Decimal("57.14")
    assert [(bar.hour.failed, bar.path) for bar in uptime.troubled] == [(3, "M117 10V16")]
    assert uptime.empty_path.count("M") == HOURS - 1
    assert uptime.ok_path == ""


@pytest.mark.parametrize(
    ("attempts", "failed", "tone"),
    [(0, 0, "none"), (9, 0, "ok"), (101, 1, "ok"), (100, 1, "warn"), (1000, 199, "warn"),
     (1000, 200, "bad"), (5, 1, "bad"), (1, 1, "bad")],
)  # fmt: skip
def test_hour_is_troubled_from_one_percent_and_bad_from_twenty(
    attempts: int, failed: int, tone: str
) -> None:
    assert UptimeHour(clock.now(), attempts, failed).tone == tone


def test_requests_before_the_day_are_excluded(key: Key, now: dt.datetime) -> None:
    happen(key, now, 0, ended_at=now - dt.timedelta(hours=25))
    happen(key, now, 0, ended_at=now - dt.timedelta(days=9))
    count_new_records()
    assert uptime_by_channel() == {}
    assert TrafficBucket.objects.count() == 1


def test_measures_used_by_rules_are_counted(key: Key, now: dt.datetime) -> None:
    """Of what failed, its time says nothing."""
    meters = {"in_text": 60, "in_cache_read": 40, "out_text": 20, "out_reasoning": 5}
    for _ in range(2):
        happen(key, now, 0, meters=meters, ttft_ms=100, total_ms=600, ended_at=now)
        failed = {"status": 504, "kind": "timeout", "ttft_ms": 9_000, "total_ms": 9_500}
        happen(key, now, 0, meters={}, ended_at=now, **failed)
    count_new_records()
    (bucket,) = TrafficBucket.objects.all()
    assert (bucket.answers, bucket.first_token_ms, bucket.answer_ms) == (2, 200, 1_200)
    assert (bucket.input_tokens, bucket.cached_tokens) == (200, 80)
    assert (bucket.output_tokens, bucket.writing_ms) == (50, 1_000)
