"""Asks providers for their counts of attempts for which our own count is uncertain, by the
attempts' ids (I7).

    uncertain   settled from a mark, estimated or absorbed; its channel's provider reports usage
    asked       outside of any transaction; again after a while if it cannot answer yet
    posted      the customer never pays more than the provider counted; we bear what nobody pays

Late endings of processes that were believed dead are posted here as well.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby, islice
from typing import Final
from uuid import UUID

import httpx
import msgspec
from django.db import connection, transaction

from billing.holds import usage_corrections
from billing.holds.usage_corrections import Borne
from dialects.json.not_json import NOT_JSON
from dialects.openai import usage as openai_usage
from dialects.usage.usage import storable
from gateway.channels.egress import outbound_of
from gateway.channels.sealed_keys import open_secret
from gateway.models import Channel, ChannelKey
from gateway.providers import PROVIDERS
from gateway.providers.provider import BadAddress
from gateway.settings.installation import egress_policy
from lib.ids import id_text
from lib.network.egress import EgressError, EgressPolicy, guarded_client
from lib.network.outbound import BadPem
from lib.vault import VaultError
from usage.late_usage import late_usage
from usage.late_usage.late_usage import LateUsage, Unsure
from usage.records import unsettled_attempts

log = logging.getLogger(__name__)

_BATCH: Final = 200
_TOGETHER: Final = 20
_BYTES_MAX: Final = 64 * 1024
# Holds are not swept meanwhile, because a provider that does not answer must not prevent the sweep
# (I24).
_ASKING_S: Final = 10.0
_READ_S: Final = 3.0
_LOOKED_UP: Final = tuple(name for name, provider in PROVIDERS.items() if provider.usage_look_up)


class _UsageAnswer(msgspec.Struct):
    usage: msgspec.Raw
    final: bool = True


def sweep() -> int:
    """Resolve every hold that no process will settle, and ask providers about them. Return how many
    holds.

    Several processes may run this concurrently.
    """
    swept = unsettled_attempts.resolve_due()
    reconcile()
    return swept


def reconcile() -> int:
    """Query providers about uncertain attempts, and post what they report. Return how many attempts
    were corrected.

    Several processes may run this concurrently.
    """
    until = time.monotonic() + _ASKING_S
    while time.monotonic() < until and _query_batch(until) == _BATCH:
        pass
    posted = 0
    while True:
        learnt = late_usage.list_unposted(_BATCH)
        _post_all(learnt)
        posted += len(learnt)
        if len(learnt) < _BATCH:
            return posted


def _query_batch(until: float) -> int:
    """Query providers about a batch while time is left. The other attempts become due again
    soon."""
    channels = {
        channel.id: channel
        for channel in Channel.objects.filter(provider__in=_LOOKED_UP).prefetch_related("keys")
    }
    unsure = late_usage.take_unsure(channels, _BATCH) if channels else []
    if not unsure:
        return 0
    policy = egress_policy()
    if not connection.in_atomic_block:
        # No transaction and no connection stays open during network calls (I9).
        connection.close()
    answers = []
    with ExitStack() as opened:
        clients: dict[UUID, httpx.Client] = {}
        for attempt in unsure:
            if time.monotonic() > until:
                break
            channel = channels[attempt.channel_id]
            client = clients.get(channel.id) or _client(policy, channel, until)
            if client is None:
                continue
            if channel.id not in clients:
                clients[channel.id] = opened.enter_context(client)
            usage = _query_usage(client, attempt, channel)
            if usage is not None:
                answers.append((attempt, *usage))
    for attempt, meters, raw_usage in answers:
        late_usage.note(attempt, meters, raw_usage)
    return len(unsure)


def _client(policy: EgressPolicy, channel: Channel, until: float) -> httpx.Client | None:
    """Return a client for a channel, or None if its secrets cannot be opened."""
    try:
        outbound = outbound_of(channel)
        return guarded_client(
            policy, read_s=_READ_S, until=until, schemes=("http", "https"), outbound=outbound
        )
    except (VaultError, BadPem) as error:
        log.warning("%s cannot be asked for usage: %s", channel.name, error)
        return None


def _query_usage(
    client: httpx.Client, attempt: Unsure, channel: Channel
) -> tuple[Mapping[str, int], str | None] | None:
    """Return the meters and the raw usage that the provider reports, or None if it cannot answer
    yet."""
    provider = PROVIDERS[channel.provider]
    key, used = _key_of(attempt, channel)
    try:
        headers = provider.headers(open_secret(key) if key else None)
        url = provider.look_up_url(channel.base_url, id_text(attempt.attempt_id))
        with client.stream("GET", url, headers=headers) as answer:
            body = _whole(answer)
    except (EgressError, BadAddress, VaultError, httpx.HTTPError, httpx.InvalidURL) as error:
        log.warning("%s cannot be asked for usage: %s", channel.name, error)
        return None
    if answer.status_code == 404 and attempt.charge_nano == 0 and used:
        # The provider says that the request never arrived. That is not believed if somebody paid
        # for it, or if another account may know it.
        return {}, None
    if answer.status_code != 200 or body is None:
        return None
    return _read(body)


def _key_of(attempt: Unsure, channel: Channel) -> tuple[ChannelKey | None, bool]:
    """Return the key to ask with, and whether the attempt was sent with it: that key, also if it is
    disabled, because another account does not know the attempt. If it is removed, an active one."""
    keys = {key.id: key for key in channel.keys.all()}
    if attempt.channel_key_id in keys:
        return keys[attempt.channel_key_id], True
    active = (key for key in keys.values() if key.disabled_at is None)
    return next(active, None), attempt.channel_key_id is None and not keys


def _whole(answer: httpx.Response) -> bytes | None:
    """Return the body, or None if it is too large."""
    body = b""
    for piece in answer.iter_raw():
        body += piece
        if len(body) > _BYTES_MAX:
            return None
    return body


def _read(body: bytes) -> tuple[Mapping[str, int], str | None] | None:
    try:
        read_answer = msgspec.json.decode(body, type=_UsageAnswer)
    except NOT_JSON:
        return None
    counted = openai_usage.quantities(bytes(read_answer.usage))
    if not read_answer.final or counted.missing or counted.quarantined or counted.unknown:
        return None
    return counted.meters, storable(bytes(read_answer.usage)).decode(errors="replace")


def _post_all(learnt: Sequence[LateUsage]) -> None:
    """Post late usage, several attempts of one organisation in each transaction. So there are few
    commits after a crash, and no long locks for running requests."""
    for organisation_id, group in groupby(sorted(learnt, key=_owner), key=_owner):
        while some := list(islice(group, _TOGETHER)):
            with transaction.atomic():
                usage_corrections.lock_wallet(organisation_id)
                for late in some:
                    _post(late)


def _owner(late: LateUsage) -> UUID:
    return late.organisation_id


def _post(late: LateUsage) -> None:
    """Adjust the books of an attempt to the new information, or later if its month has just been
    detached."""
    if not late_usage.can_be_posted(late):
        return
    stand = usage_corrections.read_borne_cost(late.attempt_id)
    total_nano = late.total_nano
    if total_nano is None:
        # The price of this usage cannot be computed, so the row is kept and no money moves.
        late_usage.mark_posted(late)
        return
    customer_nano = stand.customer_nano if late.charge_nano is None else late.charge_nano
    customer_nano = min(customer_nano, total_nano)
    own_change_nano = late_usage.own_change_of(late)
    if not late_usage.mark_posted(late, own_change_nano):
        return
    usage_corrections.correct(
        late.attempt_id,
        late.organisation_id,
        late.source,
        stand,
        Borne(
            customer_nano,
            total_nano - customer_nano,
            total_nano if late.cost_nano is None else late.cost_nano,
        ),
        cause={"attempt": id_text(late.attempt_id), "meters": dict(late.meters)},
        own_change_nano=own_change_nano or 0,
    )
