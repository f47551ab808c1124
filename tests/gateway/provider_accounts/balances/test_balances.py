"""A provider's balance: asked by HTTP, told once when it is low, and a channel that rests before it
is empty. As in production: outside a transaction of the test."""

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from django.db import connection

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent
from gateway.channels.channel_tests.rules import TEST_CAUSES, TakenOut
from gateway.channels.channel_tests.scheduled_tests import work_off_schedule
from gateway.channels.channels import (
    add_key,
    change_channel,
    copy_channel,
    create_channel,
    switch_key,
    take_in,
    take_out,
)
from gateway.models import Channel
from gateway.provider_accounts.balances import balances
from gateway.provider_accounts.balances.balances import check_balance, reading_of
from gateway.provider_accounts.balances.rules import (
    EVERY,
    STALE,
    Amount,
    Balance,
    Reading,
    known_reading,
)
from gateway.settings.installation import save_settings
from gateway.tasks import check_balances
from lib import clock
from outbox.models import Fact
from tests.fakes.balances import FakeBalances
from tests.support import cast
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "sk-fake-key-with-a-balance-77aa"
SECOND = "sk-fake-key-with-a-balance-88bb"
G = 10**9


@pytest.fixture(scope="module")
def server() -> Iterator[FakeBalances]:
    with FakeBalances() as provider:
        yield provider


@pytest.fixture
def fake(server: FakeBalances) -> FakeBalances:
    server.reset()
    server.left[KEY] = Decimal(20)
    save_settings(SYSTEM, egress_allow=["127.0.0.1/32"])
    return server


def channel_at(fake: FakeBalances, source: str = "openrouter", **fields: Any) -> Channel:
    whole: Any = {
        "provider": "openai_compatible",
        "base_url": fake.url,
        "keys": [KEY],
        "models": {"m-1": ""},
        "timeouts": {"first_content": 1.0},
        "balance_source": source,
        **fields,
    }
    return create_channel(SYSTEM, "paid", whole)


def read(channel: Channel) -> Reading:
    """Read it now; what is known of its first key then."""
    check_balance(SYSTEM, channel)
    channel.refresh_from_db()
    known = reading_of(channel.keys.all()[0])
    assert known is not None
    return known


def told() -> list[dict[str, Any]]:
    return [fact.body for fact in Fact.objects.filter(kind="channel.balance_low").order_by("id")]


def actions() -> list[str]:
    names = ("channel.taken_out", "channel.taken_in")
    events = AuditEvent.objects.filter(action__in=names).order_by("id")
    return [event.action.removeprefix("channel.") for event in events]


@pytest.mark.parametrize(
    ("source", "amount", "paths"),
    [
        ("openrouter", Amount("USD", 15 * G // 2), ["/v1/credits"]),
        ("openrouter_key", Amount("USD", 15 * G // 2), ["/v1/key"]),
        ("deepseek", Amount("CNY", 15 * G // 2), ["/user/balance"]),
        ("moonshot", Amount("", 15 * G // 2), ["/v1/users/me/balance"]),
        ("siliconflow", Amount("", 15 * G // 2), ["/v1/user/info"]),
        (
            "new_api",
            Amount("", 15 * G // 2),
            ["/v1/dashboard/billing/subscription", "/v1/dashboard/billing/usage"],
        ),
        # What is left and what is used together, which this site would not mean.
        ("one_api", Amount("", 20 * G), ["/v1/dashboard/billing/subscription"]),
    ],
)
def test_each_provider_is_asked_with_its_key_and_the_balance_dated(
    fake: FakeBalances, source: str, amount: Amount, paths: list[str]
) -> None:
    fake.spend(KEY, "12.5")
    before = clock.now()
    known = read(channel_at(fake, source))
    assert (known.amounts, known.fault) == ((amount,), "")
    assert known.read_at is not None
    assert before <= known.read_at <= clock.now()
    assert fake.seen == [(path, KEY) for path in paths]


@pytest.mark.parametrize("source", ["openrouter_key", "new_api", "one_api"])
def test_a_key_without_a_limit_is_never_low(fake: FakeBalances, source: str) -> None:
    fake.unlimited.add(KEY)
    channel = channel_at(
        fake, source, balance_warn_below_nano=10**18, balance_rest_below_nano=10**18
    )
    assert read(channel).unlimited
    assert (channel.enabled, told()) == (True, [])


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ((401, b'{"error":"key sk-fake-key-with-a-balance-77aa"}'), "key"),
        ((403, b"{}"), "key"),
        ((404, b"<html>"), "no_balance"),
        ((410, b"{}"), "no_balance"),
        ((402, b"{}"), "limited"),
        ((429, b"{}"), "limited"),
        ((302, b""), "redirected"),
        ((500, b"{}"), "unavailable"),
        ((200, b""), "not_balance"),
        ((200, b"<html>\x00\xff</html>"), "not_balance"),
        ((200, b'{"data":{"total_credits":NaN,"total_usage":1}}'), "not_balance"),
        ((200, b'{"data":{"total_credits":1e999999999,"total_usage":1}}'), "not_balance"),
        ((200, b" " * 65_537), "not_balance"),
        ((200, b'{"error":{"message":"gone \\ud800\\u0000 sk-fake-key-with-a-balance-77aa"}}'),
         "failed"),
        ("hang", "timeout"),
    ],
)  # fmt: skip
def test_missing_balance_is_unknown_and_rests_nothing(
    fake: FakeBalances, answer: Any, fault: str
) -> None:
    """The fault table: a question that fails has no effect on requests. P14: no key is kept."""
    channel = channel_at(fake, balance_warn_below_nano=G, balance_rest_below_nano=G)
    fake.fault = answer
    known = read(channel)
    assert (known.fault, known.balance, known.read_at) == (fault, None, None)
    assert KEY not in known.detail
    assert (channel.enabled, told(), actions()) == (True, [], [])


def test_balance_falling_below_the_amount_is_reported_once_each(fake: FakeBalances) -> None:
    channel = channel_at(fake, "deepseek", balance_warn_below_nano=10 * G)
    assert not read(channel).low
    fake.spend(KEY, "10.01")
    assert read(channel).low
    fake.spend(KEY, "1")
    read(channel)
    (body,) = told()
    assert body == {
        "channel": "paid", "channel_id": body["channel_id"], "key": "…77aa",
        "balance": "9.99 CNY", "limit": "10.00",
    }  # fmt: skip
    # A question that fails is no crossing.
    fake.fault = (500, b"")
    read(channel)
    fake.fault = None
    read(channel)
    assert len(told()) == 1
    fake.left[KEY] = Decimal(10)
    assert not read(channel).low
    fake.spend(KEY, "1")
    read(channel)
    assert len(told()) == 2


def test_a_channel_rests_before_it_is_empty_and_serves_again(fake: FakeBalances) -> None:
    channel = channel_at(fake, "deepseek", balance_rest_below_nano=5 * G)
    read(channel)
    assert channel.enabled
    fake.spend(KEY, "15.01")
    read(channel)
    assert not channel.enabled
    assert channel.taken_out is not None
    assert (channel.taken_out["cause"], channel.taken_out["what"]) == ("balance", "4.99 CNY")
    # Still so: one event, one email.
    read(channel)
    assert actions() == ["taken_out"]
    # A question that fails ends no rest.
    fake.fault = (500, b"")
    read(channel)
    assert not channel.enabled
    fake.fault, fake.left[KEY] = None, Decimal(5)
    read(channel)
    assert (channel.enabled, channel.taken_out) == (True, None)
    assert actions() == ["taken_out", "taken_in"]
    assert Fact.objects.filter(kind="channel.taken_out").count() == 1


def test_other_reasons_for_resting_are_independent(
    fake: FakeBalances,
) -> None:
    channel = channel_at(fake, balance_rest_below_nano=5 * G)
    take_out(channel, TakenOut("status", "503"))
    read(channel)
    assert (channel.taken_out or {})["cause"] == "status"
    change_channel(SYSTEM, channel, {"enabled": False})
    read(channel)
    assert (channel.enabled, channel.taken_out) == (False, None)
    change_channel(SYSTEM, channel, {"enabled": True})
    fake.spend(KEY, "16")
    read(channel)
    assert not take_in(channel, TEST_CAUSES)
    channel.refresh_from_db()
    assert not channel.enabled


def test_low_balance_channel_is_not_tested(fake: FakeBalances) -> None:
    channel = channel_at(fake, balance_rest_below_nano=100 * G, testing={"every_min": 5})
    read(channel)
    work_off_schedule()
    channel.refresh_from_db()
    assert channel.next_test_at is None
    change_channel(SYSTEM, channel, {"enabled": True})
    work_off_schedule()
    channel.refresh_from_db()
    assert channel.next_test_at is not None


def due(channel: Channel) -> None:
    Channel.objects.filter(id=channel.id).update(next_balance_at=clock.now())


def test_due_balance_is_read_by_one_process(fake: FakeBalances) -> None:
    channel = channel_at(fake)
    assert check_balances() == 1
    assert check_balances() == 0
    channel.refresh_from_db()
    assert channel.next_balance_at is not None
    assert channel.next_balance_at - clock.now() <= EVERY
    # What is turned off by hand is not asked; one that rests is.
    change_channel(SYSTEM, channel, {"enabled": False})
    due(channel)
    assert check_balances() == 0
    change_channel(SYSTEM, channel, {"enabled": True, "balance_rest_below_nano": 100 * G})
    assert check_balances() == 1
    channel.refresh_from_db()
    assert not channel.enabled
    due(channel)
    assert check_balances() == 1


@pytest.mark.parametrize("ended", ["source", "amount", "stale"])
def test_a_rest_without_a_reason_ends(
    fake: FakeBalances, ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = channel_at(fake, balance_rest_below_nano=100 * G)
    read(channel)
    assert not channel.enabled
    fake.fault = (500, b"")
    if ended == "source":
        change_channel(SYSTEM, channel, {"balance_source": "none"})
    elif ended == "amount":
        change_channel(SYSTEM, channel, {"balance_rest_below_nano": None})
    else:
        check_balances()
        channel.refresh_from_db()
        assert not channel.enabled
        later = clock.now() + STALE + dt.timedelta(minutes=1)
        monkeypatch.setattr(clock, "now", lambda: later)
    check_balances()
    channel.refresh_from_db()
    assert (channel.enabled, channel.taken_out) == (True, None)


def test_a_channel_of_several_keys_rests_when_all_are_low(fake: FakeBalances) -> None:
    fake.left[SECOND] = Decimal(50)
    channel = channel_at(fake, balance_rest_below_nano=30 * G, balance_warn_below_nano=30 * G)
    second = add_key(SYSTEM, channel, SECOND)
    read(channel)
    assert {key for _, key in fake.seen} == {KEY, SECOND}
    assert channel.enabled
    assert [body["key"] for body in told()] == ["…77aa"]
    switch_key(SYSTEM, channel, second, enabled=False)
    read(channel)
    assert not channel.enabled


def test_key_that_was_read_longest_ago_is_read_first(fake: FakeBalances) -> None:
    """One that never was comes before all; then slow ones keep no others from being read."""
    channel = channel_at(fake)
    second, third, off = (add_key(SYSTEM, channel, f"{KEY}{n}") for n in range(3))
    (first,) = channel.keys.exclude(id__in=[key.id for key in (second, third, off)])
    for key, minutes in ((first, 1), (second, 2), (off, 3)):
        reading = known_reading(Balance(), clock.now() - dt.timedelta(minutes=minutes), None)
        key.balance = msgspec.to_builtins(reading)
        key.save(update_fields=["balance"])
    switch_key(SYSTEM, channel, off, enabled=False)
    assert balances._in_turn(channel) == [third, second, first]


def test_a_reading_belongs_to_its_key_and_way(fake: FakeBalances) -> None:
    channel = channel_at(fake)
    read(channel)
    # It stays with a key that stays, and no copy has it.
    change_channel(SYSTEM, channel, {"keys": [KEY, SECOND]})
    assert [reading_of(key) is None for key in channel.keys.all()] == [False, True]
    copy = copy_channel(SYSTEM, channel, "copy")
    assert [reading_of(key) for key in copy.keys.all()] == [None, None]
    change_channel(SYSTEM, channel, {"balance_source": "openrouter_key"})
    assert reading_of(channel.keys.all()[0]) is None
    # What was asked the other way before is no more heard.
    stale = Channel.objects.get(id=channel.id)
    stale.balance_source = "openrouter"
    check_balance(SYSTEM, stale)
    assert reading_of(channel.keys.all()[0]) is None


def test_four_readings_at_once_are_one_alert_and_one_rest(fake: FakeBalances) -> None:
    channel = channel_at(fake, balance_warn_below_nano=5 * G, balance_rest_below_nano=5 * G)
    read(channel)
    fake.spend(KEY, "16")
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(in_thread, channel) for _ in range(4)]:
            done.result()
    assert len(told()) == 1
    assert actions() == ["taken_out"]


def in_thread(channel: Channel) -> None:
    check_balance(SYSTEM, channel)
    connection.close()


def test_no_inside_address_is_asked(fake: FakeBalances) -> None:
    """P13: a provider on a private network needs the operator's leave."""
    channel = channel_at(fake)
    save_settings(SYSTEM, egress_allow=[])
    assert read(channel).fault == "denied"
    assert fake.seen == []


def test_manual_refresh_is_audited(fake: FakeBalances, people: Cast) -> None:
    channel = channel_at(fake)
    check_balance(cast.actor(people.dora), channel)
    event = AuditEvent.objects.get(action="channel.balance_asked")
    assert (event.actor_user_id, event.detail["failed"]) == (people.dora.id, 0)
    read(channel)
    assert AuditEvent.objects.filter(action="channel.balance_asked").count() == 1


def test_unreached_keys_are_asked_first_next_time(
    fake: FakeBalances, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.left[SECOND] = Decimal(50)
    channel = channel_at(fake, keys=[KEY, SECOND])
    monkeypatch.setattr(balances, "_ASK_S", -1.0)
    check_balance(SYSTEM, channel)
    assert fake.seen == []
    monkeypatch.setattr(balances, "_ASK_S", 60.0)
    _, second = channel.keys.all()
    switch_key(SYSTEM, channel, second, enabled=False)
    check_balance(SYSTEM, channel)
    switch_key(SYSTEM, channel, second, enabled=True)
    fake.seen.clear()
    check_balance(SYSTEM, channel)
    assert [key for _, key in fake.seen] == [SECOND, KEY]
