"""Reports in process: what other rooms ask for, and how a chart is put together."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import get_args
from uuid import UUID

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404

from accounts.access.actors import Actor, key_actor
from accounts.models import Key
from tests.support import cast
from tests.usage.rows import NOON, admit, happen, refuse
from usage.buckets.buckets import Span
from usage.filters.filters import Metric, UsageFilter, from_query
from usage.records.counted_meters import TOKEN_METERS, tokens_of
from usage.reports import reports
from usage.reports.reports import Series, Totals
from usage.requests import log as request_log

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)


def test_metric_of_sums_is_the_figure_of_its_name() -> None:
    sums = Totals(2, 3, 5, {"in_text": 7, "out_text": 11, "images": 13})
    assert [sums.metric(name) for name in get_args(Metric)] == [
        {"cost": 5, "requests": 2, "tokens": 18, "errors": 3}[name] for name in get_args(Metric)
    ]


def day(**over: list[str]) -> UsageFilter:
    query = {"range": ["custom"], "from": ["2026-11-17"], "to": ["2026-11-19"], **over}
    return from_query(query, NOON + 2 * DAY, channels=True)


def charged(actor: Actor, start_at: dt.datetime, end_at: dt.datetime) -> int:
    return reports.usage_totals(actor, Span(start_at, end_at)).charge_nano


def test_spend_belongs_to_its_time_and_actor(
    people: cast.Cast, key: Key, sum_up: Callable[[], None]
) -> None:
    alices, text = cast.make_key(people.core, "alices", user=people.alice)
    happen(key, NOON, 5)
    happen(key, NOON - dt.timedelta(microseconds=1), 50)
    happen(key, NOON + HOUR, 500)
    happen(alices, NOON, 7)
    sum_up()
    alice, bob = (cast.actor(who, people.acme) for who in (people.alice, people.bob))
    assert charged(alice, NOON, NOON + HOUR) == 12
    assert charged(bob, NOON, NOON + HOUR) == 5
    assert charged(alice, NOON - HOUR, NOON + 2 * HOUR) == 562
    assert charged(alice, NOON - 2 * HOUR, NOON - HOUR) == 0
    by_key = key_actor(text)
    assert by_key is not None
    assert charged(by_key, NOON - DAY, NOON + DAY) == 7


def test_actor_without_rights_or_organisation(people: cast.Cast) -> None:
    nobody = Actor(user=None, key=None, organisation=people.acme, role=None, operator=False)
    with pytest.raises(PermissionDenied):
        reports.usage_totals(nobody, Span(NOON, NOON + DAY))
    with pytest.raises(Http404):
        request_log.latest_requests(cast.actor(people.dora), 5)


def test_the_latest_requests(people: cast.Cast, key: Key) -> None:
    for n in range(4):
        happen(key, NOON + n * HOUR)
    refused = refuse(key, NOON + 5 * HOUR)
    running = admit(key, NOON)
    result = request_log.latest_requests(cast.actor(people.alice, people.acme), 3)
    assert [row.request_id for row in result[:2]] == [running.request_id, refused.request_id]
    assert [row.running for row in result] == [True, False, False]
    assert [row.unanswered for row in result] == [False, True, False]


def chart(people: cast.Cast, asked: UsageFilter) -> Series:
    return reports.series(cast.actor(people.alice, people.acme), asked)


def test_the_largest_seven_and_the_rest(
    people: cast.Cast, key: Key, sum_up: Callable[[], None]
) -> None:
    for n in range(10):
        happen(key, NOON + n * HOUR, charge_nano=100 - n, model=f"model-{n}")
        happen(key, NOON - DAY, charge_nano=1000, model=f"model-{n}")
    sum_up()
    result = chart(people, day())
    assert [part.label for part in result.parts[:7]] == [f"model-{n}" for n in range(7)]
    assert result.parts[7].id is None
    assert result.parts[7].total == 3000 + 93 + 92 + 91
    assert result.total == 10_000 + sum(100 - n for n in range(10))
    assert sum(part.total for part in result.parts) == result.total
    slots = [part.slot for part in result.parts]
    assert sorted(slots[:7]) == [1, 2, 3, 4, 5, 6, 7]
    assert slots[7] == reports.OTHER_SLOT


def test_a_model_keeps_its_colour(people: cast.Cast, key: Key, sum_up: Callable[[], None]) -> None:
    happen(key, charge_nano=5, model="gpt-5")
    happen(key, charge_nano=9, model="claude")
    sum_up()
    both = {part.label: part.slot for part in chart(people, day()).parts}
    alone = chart(people, day(model=["gpt-5"])).parts
    if alone[0].slot != both["gpt-5"]:  # only a larger one of the same colour may push it away
        assert alone[0].slot == both["claude"]
    assert both["gpt-5"] != both["claude"]


@pytest.mark.parametrize(
    ("metric", "total"), [("cost", 12), ("requests", 3), ("tokens", 2200), ("errors", 1)]
)
def test_every_metric(
    people: cast.Cast, key: Key, sum_up: Callable[[], None], metric: str, total: int
) -> None:
    happen(key, charge_nano=5)
    happen(key, charge_nano=7, meters={"in_text": 1000, "out_text": 100, "images[1024]": 3})
    refuse(key)
    sum_up()
    asked = day(metric=[metric])
    assert chart(people, asked).total == total
    actor = cast.actor(people.alice, people.acme)
    totals = reports.sum_of(reports.usage_by_bucket(actor, asked))
    assert totals.metric(asked.metric) == total
    assert totals == reports.usage_totals(actor, asked.span)


def test_by_channel_and_by_person(people: cast.Cast, key: Key, sum_up: Callable[[], None]) -> None:
    happen(key, channel_name="old name")
    happen(key, NOON + HOUR, user_id=None)
    refuse(key)
    sum_up()
    channels = chart(people, day(group_by=["channel"], metric=["requests"])).parts
    assert [(part.id, part.total) for part in channels] == [(str(UUID(int=7)), 2), ("", 1)]
    persons = chart(people, day(group_by=["user"], metric=["requests"])).parts
    assert [(part.label, part.total) for part in persons] == [("bob@example.org", 2), ("", 1)]


def test_without_meters(people: cast.Cast, key: Key, sum_up: Callable[[], None]) -> None:
    happen(key)
    sum_up()
    actor = cast.actor(people.alice, people.acme)
    span = Span(NOON, NOON + HOUR)
    (full,) = reports.usage_by(actor, span, "key")
    (short,) = reports.usage_by(actor, span, "key", metered=False)
    assert full.totals.tokens == 1100
    assert short.totals == replace(full.totals, meters={})


def test_tokens_in_four_columns() -> None:
    meters = {name: 10**place for place, name in enumerate(TOKEN_METERS)}
    columns = tokens_of({**meters, "images[1024]": 5, "audio_ms": 7})
    assert sum(columns) == sum(meters.values())
    assert columns.reasoning == meters["out_reasoning"]
    assert columns.cached == sum(
        meters[name] for name in ("in_cache_read", "in_audio_cached", "in_image_cached")
    )
