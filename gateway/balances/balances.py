"""The balance that a channel's provider reports: read with each key in use, when an operator asks
and then every ten minutes; told once when it falls below the operator's amount; and the channel
rests while it is below the other one.

address, connect   as in every call (gateway/channel_tests/staged_calls.py)
accept             the provider takes the key
balance            it answers with a balance

A reading that fails is unknown with its fault (`docs/promises.md`, "The fault table"), and has no
effect on the health of the channel: requests go on.
"""

import datetime as dt
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit

import msgspec
from django.db import connection, transaction
from django.db.models import Q

from accounts.access.actors import SYSTEM, Actor
from accounts.audit import audit
from gateway.balances.rules import (
    EVERY,
    PATHS,
    Balance,
    BalanceRefused,
    BalanceUnknown,
    Reading,
    decide_rest,
    failed_reading,
    known_reading,
    read_balance,
)
from gateway.balances.words import balance_text, limit_text
from gateway.channel_tests.channel_test import target_of
from gateway.channel_tests.rules import Cause, TakenOut
from gateway.channel_tests.schedule import claim_due
from gateway.channel_tests.staged_calls import (
    CallFailed,
    CallResult,
    StagedCall,
    Target,
    fault_of_status,
    first_text,
)
from gateway.channels.channels import take_in, take_out
from gateway.channels.egress import address_of
from gateway.models import Channel, ChannelKey
from gateway.providers.provider import BadAddress, NotOffered
from gateway.settings.installation import egress_policy
from lib import clock
from lib.ids import id_text
from lib.network.egress import EgressPolicy
from lib.vault import VaultError
from outbox.facts import put

Stage = Literal["address", "connect", "accept", "balance"]
STAGES: Final[tuple[Stage, ...]] = ("address", "connect", "accept", "balance")
_BODY_BYTES_MAX: Final = 64 << 10
# So long one channel's keys are asked; the others are asked first the next time.
_ASK_S: Final = 60.0
_CAUSES: Final[frozenset[Cause]] = frozenset({"balance"})
_ABSENT: Final = (404, 405, 410)
_DETAIL_MAX: Final = 500
_NEVER: Final = dt.datetime.min.replace(tzinfo=dt.UTC)


@dataclass
class BalanceAnswer(CallResult):
    """What a provider answered for one key."""

    balance: Balance | None = None


class Asked(NamedTuple):
    key: ChannelKey
    answer: BalanceAnswer


def reading_of(key: ChannelKey) -> Reading | None:
    """What is known of a key's balance."""
    return None if key.balance is None else msgspec.convert(key.balance, Reading)


def reads_balance(channel: Channel) -> bool:
    """Return whether its balance is read."""
    return channel.balance_source in PATHS


# When ---------------------------------------------------------------------------------------------


def check_balance(actor: Actor, channel: Channel) -> None:
    """Read the balance of each key in use, and act on it. Takes two minutes at most."""
    if not reads_balance(channel):
        return
    policy, targets = egress_policy(), [(key, _target(channel, key)) for key in _in_turn(channel)]
    if not connection.in_atomic_block:
        # The provider may take a minute; the connection goes back to the pool meanwhile.
        connection.close()
    asked = list(_ask_keys(channel.balance_source, targets, policy))
    record_readings(actor, channel, asked)


def work_off_schedule() -> int:
    """Read the balances that are due, for a while, and end rests that nothing is known for; how
    many channels were read. Safe from several processes."""
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
    """Its keys in use, the longest unasked first."""
    used = [(key, reading_of(key)) for key in channel.keys.filter(disabled_at=None)]
    used.sort(key=lambda one: one[1].checked_at if one[1] else _NEVER)
    return [key for key, _ in used]


# What is recorded ---------------------------------------------------------------------------------


def record_readings(actor: Actor, channel: Channel, asked: Sequence[Asked]) -> None:
    """Store what was answered, tell operators of a balance that fell below their amount, and let
    the channel rest or serve. Nothing, where the channel is read another way by now."""
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
    """Take a channel out, or in again, by its readings. What another rule took out stays out."""
    rest_nano = channel.balance_rest_below_nano if reads_balance(channel) else None
    readings = [reading_of(key) for key in channel.keys.filter(disabled_at=None)]
    verdict = decide_rest(readings, rest_nano, clock.now())
    if verdict == "serve":
        take_in(channel, _CAUSES)
    elif verdict == "rest":
        take_out(channel, TakenOut("balance", ", ".join(map(_text, filter(None, readings)))))


def _text(reading: Reading) -> str:
    return balance_text(Balance(reading.amounts, reading.unlimited))


# How it is asked ----------------------------------------------------------------------------------


def _target(channel: Channel, key: ChannelKey) -> Target | BalanceAnswer:
    """Whom to ask, or why nobody can be asked."""
    try:
        return target_of(channel, key)
    except VaultError as error:
        return BalanceAnswer(fault="secret", detail=str(error))


def _ask_keys(
    source: str, targets: Sequence[tuple[ChannelKey, Target | BalanceAnswer]], policy: EgressPolicy
) -> Iterator[Asked]:
    until = time.monotonic() + _ASK_S
    for key, target in targets:
        if time.monotonic() > until:
            return
        answer = target if isinstance(target, BalanceAnswer) else ask(source, target, policy)
        yield Asked(key, answer)


def ask(source: str, target: Target, policy: EgressPolicy) -> BalanceAnswer:
    """Ask a provider for the balance of a key. Takes a minute at most."""
    result = BalanceAnswer()
    call = StagedCall(target, policy, STAGES, result)
    with call.recorded():
        try:
            root = urlsplit(target.address(call.provider()).url("models"))
            headers = target.headers(call.provider(), "openai")
        except NotOffered as error:
            raise CallFailed("no_balance", str(error)) from error
        except BadAddress as error:
            raise CallFailed("configuration", str(error)) from error
        bodies = [_body(call, root, path, headers) for path in PATHS[source]]
        result.balance = _read(source, bodies, root.hostname or "")
        call.reach("balance")
    return result


def _body(call: StagedCall, root: SplitResult, path: str, headers: Mapping[str, str]) -> bytes:
    """What a provider answers below its base URL, which is `…/v1` or has no version."""
    base = root.path.removesuffix("/models").removesuffix("/v1")
    url = root._replace(path=base + path, query="").geturl()
    with call.send("GET", url, headers) as answer:
        status, pieces = answer.status_code, answer.iter_raw()
        if status != 200:
            fault = "no_balance" if status in _ABSENT else fault_of_status(status)
            raise CallFailed(fault, status=status, body=first_text(pieces))
        call.reach("accept")
        body = bytearray()
        for piece in pieces:
            body += piece
            if len(body) > _BODY_BYTES_MAX or call.late:
                raise CallFailed("not_balance", "the response does not come to its end", status=200)
    return bytes(body)


def _read(source: str, bodies: Sequence[bytes], host: str) -> Balance:
    try:
        return read_balance(source, bodies, host)
    except BalanceRefused as error:
        raise CallFailed("failed", str(error), status=200) from error
    except BalanceUnknown as error:
        excerpt = bodies[-1][:400].decode("utf-8", "replace")
        raise CallFailed("not_balance", str(error), status=200, body=excerpt) from error
