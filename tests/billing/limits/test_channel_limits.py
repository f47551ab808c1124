"""Limits of a channel, which all organisations share, by the statement that admits (I23)."""

import threading
import uuid
from itertools import product
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.db import connection, transaction

from accounts.models import Key, Organisation, Team
from billing.balances.balances import add_opening_credit
from billing.holds.resolve_holds import HoldResolved, resolve_holds
from billing.holds.unsettled_holds import Expired, due_holds, expire
from billing.ledger.accounts import WALLET_KINDS, lock_accounts, open_accounts
from billing.ledger.ledger import execute
from billing.limits.channel_limits import ChannelLimits
from billing.limits.enforcement import HoldRequest, lock_channels, place_holds
from billing.models import Hold, RateSecond
from billing.subscriptions.included_units import Paid
from gateway.limits.channel_limit_use import limits_of
from gateway.models import Channel
from lib import clock
from lib.id_types import AttemptId, ChannelId, KeyId, OrganisationId
from lib.ids import new_id

pytestmark = pytest.mark.django_db


def key_of(name: str) -> Key:
    organisation = Organisation.objects.create(name=name, slug=name)
    add_opening_credit(organisation, 1_000)
    execute(open_accounts([organisation.id], WALLET_KINDS))
    team = Team.objects.create(organisation=organisation, name="core", slug="core")
    return Key.objects.create(
        organisation=organisation, team=team, name="k", digest=uuid.uuid4().bytes, prefix="",
        last4="",
    )  # fmt: skip


@pytest.fixture
def keys() -> tuple[Key, Key]:
    return key_of("acme"), key_of("other")


def limits(**most: int) -> ChannelLimits:
    return ChannelLimits(ChannelId(new_id()), **most)


def request(key: Key, channel: ChannelLimits, amount_nano: int = 0, **over: Any) -> HoldRequest:
    hold = HoldRequest(
        attempt_id=AttemptId(new_id()),
        organisation_id=OrganisationId(key.organisation_id),
        key_id=KeyId(key.id),
        amount_nano=amount_nano,
        ttl_seconds=60,
        guarded=True,
        channel=channel,
    )
    return msgspec.structs.replace(hold, **over)


def place(*batch: HoldRequest) -> list[tuple[Any, ...]]:
    with transaction.atomic():
        execute(lock_accounts(hold.organisation_id for hold in batch))
        execute(lock_channels(hold.channel.channel_id for hold in batch if hold.channel))
        return execute(place_holds(batch))


def words(*batch: HoldRequest) -> list[str]:
    return [word for word, *_ in place(*batch)]


def resolve(hold: HoldRequest, state: str = "voided", tokens: int = 0) -> None:
    with transaction.atomic():
        execute(lock_accounts([hold.organisation_id]))
        resolved = HoldResolved(
            attempt_id=hold.attempt_id,
            posting_id=new_id(),
            organisation_id=hold.organisation_id,
            state=state,
            charge_nano=0,
            tokens=tokens,
        )
        execute(resolve_holds([resolved]))


def use(channel: ChannelLimits) -> tuple[int, ...]:
    used = limits_of(Channel(id=channel.channel_id, rpm=9, tpm=9, parallel=9))
    return tuple(limit.used for limit in used)


@pytest.mark.parametrize("most", [{"rpm": 2}, {"tpm": 20}, {"parallel": 2}])
def test_organisations_share_the_limits_of_a_channel(
    keys: tuple[Key, Key], most: dict[str, int]
) -> None:
    """In one batch, and over several; other channels are not held up by it."""
    one, other = keys
    channel = limits(**most)
    batch = [request(key, channel, tokens=10) for key in (one, other, one)]
    assert words(*batch) == ["admitted", "admitted", "limited"]
    ((word, _, message),) = place(request(other, channel, tokens=10))
    assert (word, message["scope"]) == ("limited", "channel")
    assert (
        message["gate"] in {"rpm": "requests", "tpm": "tokens", "parallel": "parallel"}[min(most)]
    )
    assert 0 < message["wait_ms"] <= 61_000
    assert words(request(one, limits(**most), tokens=10)) == ["admitted"]


@pytest.mark.usefixtures("form")
def test_end_returns_a_place_and_corrects_tokens(keys: tuple[Key, Key]) -> None:
    one, other = keys
    channel = limits(parallel=1, tpm=100, rpm=5)
    first = request(one, channel, tokens=90)
    assert words(first) == ["admitted"]
    assert Hold.objects.get(id=first.attempt_id).leased_channel_id == channel.channel_id
    assert use(channel) == (1, 90, 1)
    assert words(request(other, channel)) == ["limited"]
    resolve(first, tokens=15)
    assert use(channel) == (1, 15, 0)
    assert words(request(other, channel, tokens=85)) == ["admitted"]


def test_each_attempt_is_a_request_to_its_channel(keys: tuple[Key, Key]) -> None:
    """A further attempt takes none of the key's requests, but one of the channel's."""
    one, _ = keys
    Key.objects.filter(id=one.id).update(rpm=1)
    channel = limits(rpm=2)
    assert words(request(one, channel)) == ["admitted"]
    assert words(request(one, channel, counted=False)) == ["admitted"]
    ((word, _, message),) = place(request(one, channel, counted=False))
    assert (word, message["scope"]) == ("limited", "channel")


def test_a_batch_that_knows_two_limits_of_a_channel_counts_once(keys: tuple[Key, Key]) -> None:
    """One process has heard of the new limit, another one not yet."""
    one, other = keys
    old = limits(rpm=5)
    assert words(request(one, old), request(other, old._replace(rpm=9))) == ["admitted"] * 2
    assert sum(rate.requests for rate in RateSecond.objects.all()) == 2


def test_an_unlimited_channel_writes_nothing(keys: tuple[Key, Key]) -> None:
    one, _ = keys
    assert words(request(one, limits())) == ["admitted"]
    assert not RateSecond.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_simultaneous_organisations_do_not_exceed_the_limit(keys: tuple[Key, Key]) -> None:
    """The second transaction reads what the first has counted, though no account is theirs both."""
    one, other = keys
    channel = limits(rpm=1)
    answers: list[str] = []

    def ask() -> None:
        answers.extend(words(request(other, channel)))
        connection.close()

    asking = threading.Thread(target=ask)
    with transaction.atomic():
        execute(lock_accounts([one.organisation_id]))
        execute(lock_channels([channel.channel_id]))
        ((word, *_),) = execute(place_holds([request(one, channel)]))
        asking.start()
        wait_for_a_lock()
    asking.join()
    assert (word, answers) == ("admitted", ["limited"])


@pytest.mark.django_db(transaction=True)
def test_the_sweeper_locks_a_channel_before_its_counts(
    keys: tuple[Key, Key],
) -> None:
    """I23: settlements and the sweeper come one by one, whatever the order of their rows."""
    channels = [limits(tpm=100), limits(tpm=100)]
    for key, channel in product(keys, channels):
        assert words(request(key, channel, tokens=10)) == ["admitted"]
    lost, settled = (
        Hold.objects.filter(organisation=key.organisation).order_by("id") for key in keys
    )
    lost.update(expires_at=clock.now())
    swept: list[UUID] = []

    def sweep() -> None:
        with transaction.atomic():
            swept.extend(expire([Expired(hold, 0, 0, 0, Paid(0, {}), 0) for hold in due_holds(10)]))
        connection.close()

    sweeping = threading.Thread(target=sweep)
    with transaction.atomic():
        execute(lock_accounts([keys[1].organisation_id]))
        execute(lock_channels(channel.channel_id for channel in channels))
        sweeping.start()
        wait_for_a_lock()
        # One statement for each: a sweeper that had no lock would have come in between.
        for hold in settled:
            ended = HoldResolved(
                attempt_id=AttemptId(hold.id),
                posting_id=new_id(),
                organisation_id=OrganisationId(hold.organisation_id),
                state="settled",
                charge_nano=0,
                tokens=3,
            )
            execute(resolve_holds([ended]))
    sweeping.join()
    assert set(swept) == {hold.id for hold in lost}
    assert [use(channel) for channel in channels] == [(0, 3, 0)] * 2


def wait_for_a_lock() -> None:
    """Until another connection waits for one of the locks that this one holds."""
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with connection.cursor() as cursor:
        while True:
            cursor.execute(waiting)
            if cursor.fetchone()[0]:
                return
