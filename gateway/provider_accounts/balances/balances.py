"""The balance that a channel's provider reports. It is read with each active key, when an operator
asks and then every ten minutes. Operators are alerted once when it falls below their amount. The
channel rests while it is below another amount.

A reading that fails is unknown with its fault (docs/promises.md, "Fault table"). It has no effect
on the health of the channel, and requests continue.
"""

import datetime as dt
import time
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec
from django.db import connection, transaction
from django.db.models import Q

from accounts.access.actors import SYSTEM, Actor
from accounts.audit import audit
from gateway.channels.channel_tests.channel_test import target_of
from gateway.channels.channel_tests.rules import Cause, TakenOut
from gateway.channels.channel_tests.schedule import claim_due
from gateway.channels.channel_tests.staged_calls import Target
from gateway.channels.channels import take_in, take_out
from gateway.channels.egress import address_of
from gateway.models import Channel, ChannelKey
from gateway.provider_accounts.balances.calls import BalanceAnswer, ask
from gateway.provider_accounts.balances.rules import (
    EVERY,
    PATHS,
    Balance,
    Reading,
    decide_rest,
    failed_reading,
    known_reading,
)
from gateway.provider_accounts.balances.words import balance_text, limit_text
from gateway.settings.installation import egress_policy
from lib import clock
from lib.ids import id_text
from lib.network.egress import EgressPolicy
from lib.vault import VaultError
from outbox.facts import put

# The time for reading the keys of one channel. The remaining keys are read first the next time.
_ASK_S: Final = 60.0
_CAUSES: Final[frozenset[Cause]] = frozenset({"balance"})
_DETAIL_MAX: Final = 500
_NEVER: Final = dt.datetime.min.replace(tzinfo=dt.UTC)


class Asked(NamedTuple):
    key: ChannelKey
    answer: BalanceAnswer


def reading_of(key: ChannelKey) -> Reading | None:
    """Return the last reading of a key's balance, or None."""
    return None if key.balance is None else msgspec.convert(key.balance, Reading)


def reads_balance(channel: Channel) -> bool:
    """Return whether the channel's balance is read."""
    return channel.balance_source in PATHS


# Schedule ---------------------------------------------------------------------------------------


def check_balance(actor: Actor, channel: Channel) -> None:
    """Read the balance of each active key, and apply the channel's rules to it. Takes at most two
    minutes."""
    if not reads_balance(channel):
        return
    policy, targets = egress_policy(), [(key, _target(channel, key)) for key in _in_turn(channel)]
    if not connection.in_atomic_block:
        # The provider may take a minute, so the connection is returned to the pool.
        connection.close()
    asked = list(_read_balances(channel.balance_source, targets, policy))
    record_readings(actor, channel, asked)


def work_off_schedule() -> int:
    """Read the balances that are due, for a limited time, and end rests without a known balance.
    Return the number of channels that were read. Several processes may run this concurrently."""
    used = Q(enabled=True) | Q(taken_out__isnull=False)
    waiting = Channel.objects.filter(used, archived_at=None, balance_source__in=sorted(PATHS))
    checked = 0
    for channel in claim_due(waiting, "next_balance_at", lambda _: EVERY):
        check_balance(SYSTEM, channel)
        checked += 1
    for channel in Channel.objects.filter(taken_out__cause="balance"):
        _decide(channel)
    return checked


def _in_turn(channel: Channel) -> list[ChannelKey]:
    """Return the channel's active keys, the one that was read longest ago first."""
    used = [(key, reading_of(key)) for key in channel.keys.filter(disabled_at=None)]
    used.sort(key=lambda one: one[1].checked_at if one[1] else _NEVER)
    return [key for key, _ in used]


# Results ----------------------------------------------------------------------------------------


def record_readings(actor: Actor, channel: Channel, asked: Sequence[Asked]) -> None:
    """Store the readings, alert operators to a balance that fell below their amount, and let the
    channel rest or serve. The readings are dropped if the channel's source has changed in the
    meantime."""
    with transaction.atomic():
        locked = Channel.objects.select_for_update().filter(id=channel.id).first()
        if locked is None or _way(locked) != _way(channel):
            return
        for key, answer in asked:
            _record(locked, key, answer)
        if actor != SYSTEM:
            audit.record(
                actor, None, "channel.balance_asked", locked,
                name=locked.name, failed=sum(not answer.ok for _, answer in asked),
            )  # fmt: skip
        _decide(locked)


def _way(channel: Channel) -> tuple[str, ...]:
    return (channel.balance_source, *address_of(channel))


def _record(channel: Channel, key: ChannelKey, answer: BalanceAnswer) -> None:
    stored = channel.keys.filter(id=key.id, digest=key.digest).first()
    if stored is None:
        return
    before, now = reading_of(stored), clock.now()
    warn_nano = channel.balance_warn_below_nano
    if answer.balance is None:
        detail = answer.detail or answer.body
        reading = failed_reading(before, now, answer.fault or "", detail[:_DETAIL_MAX])
    else:
        reading = known_reading(answer.balance, now, warn_nano)
    stored.balance = msgspec.to_builtins(reading)
    stored.save(update_fields=["balance"])
    if reading.low and not (before and before.low) and warn_nano is not None:
        put(
            "channel.balance_low", None, channel=channel.name, channel_id=id_text(channel.id),
            key=f"…{stored.last4}", balance=_text(reading), limit=limit_text(warn_nano),
        )  # fmt: skip


def _decide(channel: Channel) -> None:
    """Disable or enable a channel by its readings. A channel that another rule disabled stays
    disabled."""
    rest_nano = channel.balance_rest_below_nano if reads_balance(channel) else None
    readings = [reading_of(key) for key in channel.keys.filter(disabled_at=None)]
    verdict = decide_rest(readings, rest_nano, clock.now())
    if verdict == "serve":
        take_in(channel, _CAUSES)
    elif verdict == "rest":
        take_out(channel, TakenOut("balance", ", ".join(map(_text, filter(None, readings)))))


def _text(reading: Reading) -> str:
    return balance_text(Balance(reading.amounts, reading.unlimited))


# Requests ---------------------------------------------------------------------------------------


def _target(channel: Channel, key: ChannelKey) -> Target | BalanceAnswer:
    """Return the target of the request, or the failed answer if there cannot be a request."""
    try:
        return target_of(channel, key)
    except VaultError as error:
        return BalanceAnswer(fault="secret", detail=str(error))


def _read_balances(
    source: str, targets: Sequence[tuple[ChannelKey, Target | BalanceAnswer]], policy: EgressPolicy
) -> Iterator[Asked]:
    until = time.monotonic() + _ASK_S
    for key, target in targets:
        if time.monotonic() > until:
            return
        answer = target if isinstance(target, BalanceAnswer) else ask(source, target, policy)
        yield Asked(key, answer)
