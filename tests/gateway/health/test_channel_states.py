"""What pages say of a channel's state: the one reason that explains it, and nothing older."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection

from accounts.access.actors import SYSTEM
from accounts.models import Key
from billing.models import Hold
from gateway.breaker.state_names import ChannelStatus, KeyStatus, ModelStatus
from gateway.channels.channels import change_channel, create_channel
from gateway.channels.fields import ChannelFields
from gateway.health import traffic
from gateway.health.figures import ChannelFigures, Figures
from gateway.health.histogram_bounds import FIRST_TOKEN_MS
from gateway.health.reports import ChannelTroubles, Trouble, unserved_models
from gateway.health.rows import channel_row, state_of
from gateway.health.views import rest_words
from gateway.limits.channel_limit_use import LimitUse, limits_of
from gateway.models import (
    Channel,
    ChannelReport,
    ChannelRest,
    ChannelSpend,
    KeyTrafficBucket,
    TrafficBucket,
)
from lib import clock
from lib.database.database_time import database_now
from lib.ids import id_text, new_id
from tests.billing.credits.test_operator_api import api_of
from tests.support import cast
from tests.support.cast import Cast
from tests.usage.rows import admit, credit

pytestmark = pytest.mark.django_db

DAY = dt.timedelta(days=1)
FIELDS: ChannelFields = {
    "provider": "openai_compatible",
    "base_url": "https://api.example.com",
    "keys": ["sk-first-0123456789"],
    "models": {"river": ""},
}
CALM = Figures(attempts=4, failed=1)
FAILING = Figures(attempts=4, failed=3)
OUT = {"cause": "status", "what": "503", "at": "2026-11-01T00:00:00Z"}


@pytest.fixture
def channel(people: Cast) -> Channel:
    return create_channel(SYSTEM, "main", FIELDS)


@pytest.fixture
def key(people: Cast) -> Key:
    key, _ = cast.make_key(people.core)
    credit(key)
    return key


@pytest.mark.parametrize(
    ("over", "status", "figures", "said"),
    [
        ({}, None, CALM, "On"),
        ({}, None, Figures(attempts=4, failed=2), "On"),
        ({}, None, FAILING, "Failing"),
        ({}, ChannelStatus("open", 8, "timeout"), FAILING, "Unavailable"),
        ({"enabled": False}, None, FAILING, "Off"),
        ({"enabled": False, "taken_out": OUT}, None, CALM, "Off by rule"),
        ({"enabled": False, "taken_out": OUT, "archived_at": clock.now()}, None, CALM, "Archived"),
        ({"provider": "of-an-extension"}, None, CALM, "Off"),
        ({"provider": "of-an-extension"}, ChannelStatus("open", 8), CALM, "Off"),
    ],
)
def test_state_names_the_first_reason_why_a_channel_gets_no_requests(
    over: dict[str, Any], status: ChannelStatus | None, figures: Figures, said: str
) -> None:
    channel = Channel(**{"name": "x", "provider": "openai", **over})
    assert str(state_of(channel, status, figures).text) == said


def test_figures_are_those_of_the_last_hour_and_of_the_installations_keys(
    people: Cast, channel: Channel, key: Key
) -> None:
    """What a customer's own key does says nothing about the channel."""
    now = clock.now()
    for ago, attempts, failed in ((10, 8, 2), (90, 100, 100)):
        TrafficBucket.objects.create(
            bucket_at=now - dt.timedelta(minutes=ago), channel_id=channel.id, model="river",
            attempts=attempts, failed=failed, requests=0, failed_requests=0, output_tokens=0,
            writing_ms=0, first_tokens=[0] * len(FIRST_TOKEN_MS),
        )  # fmt: skip
    admit(key, now, channel_id=channel.id)
    own = admit(key, now, channel_id=channel.id)
    Hold.objects.filter(id=own.id).update(own_nano=5)
    figures = ChannelFigures(channel.id).of_channel(channel.id)
    assert (figures.attempts, figures.failed, figures.in_flight) == (8, 2, 1)
    told = api_of(people, "dora").get(f"/api/v1/channels/{id_text(channel.id)}/health").json()
    assert (told["attempts"], told["failed"], told["success_percent"]) == (8, 2, 75.0)


@pytest.mark.parametrize(
    "worse_first",
    [("open", "keys_out"), ("keys_out", "limited"), ("limited", "models_out"),
     ("models_out", "half_open"), ("half_open", "good")],
)  # fmt: skip
def test_worse_state_of_two_processes_is_shown(
    channel: Channel, worse_first: tuple[str, str]
) -> None:
    for condition in worse_first:
        ChannelReport.objects.create(
            process_id=new_id(), reported_at=clock.now(), epoch=1,
            channels={str(channel.id): {"status": [condition, 3, None], "keys": []}},
        )  # fmt: skip
    status = ChannelTroubles().of(channel).status
    assert status is not None
    assert status.condition == worse_first[0]


def test_waits_are_shorter_by_the_age_of_their_report(channel: Channel) -> None:
    """Of the channel, of its keys and of its models, and a model whose wait is over rests no more;
    how long a key has been out is longer by it."""
    age = dt.timedelta(seconds=3)
    ChannelReport.objects.create(
        process_id=new_id(), reported_at=database_now() - age, epoch=1,
        channels={
            str(channel.id): {
                "status": ["open", 40, "timeout"],
                "keys": [
                    {"status": status}
                    for status in (["paused", 30, None, 5], ["good"], ["paused", 2, None, 1])
                ],
                "models": {"river": ["limited", 20, 1], "brook": ["limited", 3, 1]},
            }
        },
    )  # fmt: skip
    trouble = ChannelTroubles().of(channel)
    assert trouble == Trouble(
        ChannelStatus("open", 37, "timeout"),
        (KeyStatus("paused", 27, None, 8), KeyStatus("good"), KeyStatus("paused", 1, None, 4)),
        {"river": ModelStatus("limited", 17, 1)},
    )


def test_paused_model_alone_is_unserved(people: Cast) -> None:
    """A channel whose other models go on serves them."""
    fields: ChannelFields = {**FIELDS, "models": {"river": "", "brook": "up-brook"}}
    half = create_channel(SYSTEM, "half", fields)
    paused = {"up-brook": ModelStatus("limited", 9, 1)}
    trouble = Trouble(ChannelStatus("models_out", 9), (), paused)
    assert unserved_models(half, trouble, []) == ["brook"]
    assert unserved_models(half, trouble._replace(status=ChannelStatus("open", 9)), []) == [
        "brook", "river",
    ]  # fmt: skip


def test_oldest_reading_dates_the_balance_and_a_stale_one_leaves_it_unknown(
    channel: Channel,
) -> None:
    """The list names the time from which the whole balance is known."""
    change_channel(
        SYSTEM, channel,
        {"balance_source": "openrouter", "keys": ["sk-first-0123456789", "sk-second-012345678"]},
    )  # fmt: skip
    now = clock.now()
    ages = (dt.timedelta(minutes=3), dt.timedelta(minutes=30))

    def row(low: bool = False, older: dt.timedelta = ages[1]) -> dict[str, Any]:
        for key, age in zip(channel.keys.all(), (ages[0], older), strict=True):
            at = clock.rfc3339(now - age)
            key.balance = {
                "checked_at": at, "read_at": at, "amounts": [["USD", 5 * 10**9]], "low": low,
                "unlimited": False, "fault": "", "detail": "",
            }  # fmt: skip
            key.save()
            low = False
        fresh = Channel.objects.get(id=channel.id)
        return channel_row(fresh, Trouble(None, (), {}), CALM)

    shown = row()
    assert abs(shown["balance_at"] - (now - ages[1])) < dt.timedelta(seconds=1)
    assert (shown["balance_low"], shown["balance_unknown"]) == (False, False)
    assert row(low=True)["balance_low"]
    assert row(older=dt.timedelta(hours=2))["balance_unknown"]


def test_counted_traffic_is_kept_for_as_long_as_pages_show_it(channel: Channel) -> None:
    now = clock.now()
    figures = {"attempts": 1, "failed": 0, "output_tokens": 0, "writing_ms": 0,
               "first_tokens": [0] * len(FIRST_TOKEN_MS)}  # fmt: skip
    for days in (0.9, 1.1, 7.9, 8.1):
        at = now - dt.timedelta(days=days)
        KeyTrafficBucket.objects.create(
            bucket_at=at, channel_id=channel.id, channel_key="k", **figures
        )
        TrafficBucket.objects.create(
            bucket_at=at, channel_id=channel.id, model="river", requests=1, failed_requests=0,
            **figures,
        )  # fmt: skip
    for n in (30, 61, 64):
        ChannelSpend.objects.create(channel_id=channel.id, day=(now - n * DAY).date(), cost_nano=1)
    for minutes in (2, 62):
        ChannelReport.objects.create(
            process_id=new_id(), reported_at=now - dt.timedelta(minutes=minutes), epoch=1,
            channels={},
        )  # fmt: skip
    traffic.drop_old()
    assert KeyTrafficBucket.objects.count() == 1
    assert TrafficBucket.objects.count() == 3
    assert ChannelSpend.objects.count() == 2
    assert ChannelReport.objects.count() == 1


def test_use_of_a_channels_limits_is_that_of_the_last_minute_and_of_open_holds(
    channel: Channel, key: Key
) -> None:
    """Each figure beside its own limit: admission counts the same."""
    now = clock.now()
    Channel.objects.filter(id=channel.id).update(
        rpm=7, tpm=900, parallel=3, spend_cap_day_nano=11, spend_cap_month_nano=1300
    )
    with connection.cursor() as cursor:
        for ago, requests, tokens in ((5, 2, 300), (90, 50, 5000)):
            cursor.execute(
                "INSERT INTO billing_ratesecond (subject_id, second, requests, tokens)"
                " VALUES (%s, floor(extract(epoch FROM now()))::bigint - %s, %s, %s)",
                [channel.id, ago, requests, tokens],
            )
    for state, left in (("open", 60), ("open", -60)):
        hold = admit(key, now)
        Hold.objects.filter(id=hold.id).update(
            leased_channel_id=channel.id, state=state,
            expires_at=now + dt.timedelta(seconds=left),
        )  # fmt: skip
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    ChannelSpend.objects.create(channel_id=channel.id, day=now.date(), cost_nano=11)
    if now.day > 1:
        ChannelSpend.objects.create(channel_id=channel.id, day=first.date(), cost_nano=500)
    channel.refresh_from_db()
    uses = {str(use.label): (use.used, use.most) for use in limits_of(channel)}
    assert uses == {
        "Requests per minute": (2, 7),
        "Tokens per minute": (300, 900),
        "Concurrent requests": (1, 3),
        "Cost today": (11, 11),
        "Cost this month": (11 if now.day == 1 else 511, 1300),
    }


@pytest.mark.parametrize(
    "most", ["rpm", "tpm", "parallel", "spend_cap_day_nano", "spend_cap_month_nano"]
)
def test_a_channels_only_limit_is_shown_alone(most: str) -> None:
    (use,) = limits_of(Channel(id=new_id(), **{most: 7}))
    assert (use.used, use.most) == (0, 7)


@pytest.mark.parametrize(("used", "reached"), [(6, False), (7, True), (8, True)])
def test_limit_is_reached_when_nothing_is_left_of_it(used: int, reached: bool) -> None:
    assert LimitUse("x", used, 7).reached is reached


def test_requests_of_a_rest_are_those_of_its_channel(people: Cast, channel: Channel) -> None:
    """The link leaves out what other channels answered meanwhile."""
    began_at = clock.now() - dt.timedelta(minutes=5)
    ChannelRest.objects.create(
        channel=channel, began_at=began_at, ended_at=None, kind="timeout", attempts=3, failed=2
    )
    words = rest_words(cast.actor(people.dora, people.acme), channel)
    assert words is not None
    assert f"channel={id_text(channel.id)}" in words["requests_url"]
