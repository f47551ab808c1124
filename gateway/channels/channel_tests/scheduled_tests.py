"""Automatic tests, by each channel's schedule, or of all channels together. A channel's rule
disables and enables it by the results. Each automatic change is an audit event with its cause
(`channel.taken_out`, `channel.taken_in`), and one email."""

import datetime as dt
import time
from typing import Any, Final, cast
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from accounts.access.actors import SYSTEM, Actor
from accounts.audit import audit
from gateway.channels.channel_tests.calls import ChannelCheck
from gateway.channels.channel_tests.channel_test import (
    check_channel,
    lock_if_tested,
    upstream_name,
    usual_variant,
    way_of,
)
from gateway.channels.channel_tests.rules import (
    TEST_CAUSES,
    WINDOW_MIN,
    CheckRule,
    removal_by_test,
    removal_by_traffic,
)
from gateway.channels.channel_tests.schedule import claim_due
from gateway.channels.channel_tests.variants import Variant
from gateway.channels.channels import take_in, take_out
from gateway.channels.served_models import prices_in_force, testable_names
from gateway.models import Channel, ChannelTestRun, TrafficBucket
from lib import clock

_STEP_S: Final = 20.0
# More than one test takes.
_CLAIM: Final = dt.timedelta(seconds=120)


def check_by_rule(
    actor: Actor, channel: Channel, model: str, variant: Variant = "streamed"
) -> ChannelCheck:
    """Test a channel, and apply its rule to the result, unless the channel has another address or
    key by then."""
    way = way_of(channel)
    result = check_channel(actor, channel, model, variant)
    text = f"{result.detail} {result.body}"
    with transaction.atomic():
        locked = lock_if_tested(channel, way)
        if locked is None:
            return result
        rule = CheckRule(**locked.testing)
        if result.ok:
            take_in(locked, TEST_CAUSES)
        elif why := removal_by_test(rule, result.fault, result.status, text):
            take_out(locked, why)
    return result


def model_to_test(channel: Channel) -> str | None:
    """Return the model that the channel's rule names, or else the first model that can be
    tested."""
    names = testable_names(channel, (name for name in prices_in_force() if "*" not in name))
    wanted = CheckRule(**channel.testing).model
    return wanted if wanted in names else next(iter(names), None)


def _variant_of(channel: Channel, model: str, wanted: Variant) -> Variant:
    return usual_variant(upstream_name(channel, model) or model, wanted)


# Schedule ---------------------------------------------------------------------------------------


def work_off_schedule() -> int:
    """Test the channels that are due, for a limited time, and check the traffic of the others.
    Return how many were tested. Several processes may run this concurrently."""
    watch_traffic()
    waiting = Channel.objects.filter(testing__every_min__gte=1, archived_at=None).filter(
        Q(enabled=True) | Q(taken_out__cause__in=sorted(TEST_CAUSES))
    )
    tested = 0
    for channel in claim_due(waiting, "next_test_at", _test_interval):
        model = model_to_test(channel)
        if model is not None:
            rule = CheckRule(**channel.testing)
            variant = _variant_of(channel, model, cast(Variant, rule.variant))
            check_by_rule(SYSTEM, channel, model, variant)
            tested += 1
    return tested


def _test_interval(channel: Channel) -> dt.timedelta:
    return dt.timedelta(minutes=channel.testing["every_min"])


def watch_traffic() -> None:
    """Disable channels with too many failures among their latest attempts."""
    for channel in Channel.objects.filter(enabled=True, testing__success_percent__isnull=False):
        since = clock.now() - dt.timedelta(minutes=WINDOW_MIN)
        if channel.taken_in_at is not None:
            since = max(since, channel.taken_in_at)
        buckets = TrafficBucket.objects.filter(channel_id=channel.id, bucket_at__gte=since)
        counted = list(buckets.values_list("attempts", "failed"))
        attempts, failed = sum(n for n, _ in counted), sum(n for _, n in counted)
        why = removal_by_traffic(CheckRule(**channel.testing), attempts, failed)
        if why is not None:
            take_out(channel, why)


# All channels together ---------------------------------------------------------------------------


def start_run(actor: Actor, variant: Variant) -> ChannelTestRun:
    """Queue a test of all channels that are not archived."""
    ids = Channel.objects.filter(archived_at=None).order_by("priority", "name")
    left = [str(id) for id in ids.values_list("id", flat=True)]
    with transaction.atomic():
        run = ChannelTestRun.objects.create(
            variant=variant,
            left=left,
            total=len(left),
            made_by=actor.user,
            ended_at=None if left else clock.now(),
        )
        audit.record(actor, None, "channels.tested", run, variant=variant, channels=len(left))
    return run


def work_off_runs() -> int:
    """Continue tests of all channels for a limited time. Return how many channels were tested."""
    until, tested = time.monotonic() + _STEP_S, 0
    while (run := _claim_run()) is not None:
        _test_next(run)
        tested += 1
        if time.monotonic() > until:
            break
    return tested


def _claim_run() -> ChannelTestRun | None:
    now = clock.now()
    free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    for run in ChannelTestRun.objects.filter(free, ended_at=None).order_by("id"):
        mine = ChannelTestRun.objects.filter(free, id=run.id, ended_at=None)
        if mine.update(claimed_until=now + _CLAIM):
            run.refresh_from_db()
            return run
    return None


def _test_next(run: ChannelTestRun) -> None:
    """Test the next channel of a claimed run."""
    channel = Channel.objects.filter(id=UUID(run.left[0])).first()
    results = list(run.results)
    if channel is not None:
        results.append(_result(channel, cast(Variant, run.variant)))
    left = run.left[1:]
    ChannelTestRun.objects.filter(id=run.id).update(
        left=left,
        results=results,
        # A channel that was deleted meanwhile is skipped.
        total=len(results) + len(left),
        claimed_until=None,
        ended_at=None if left else clock.now(),
    )


def _result(channel: Channel, variant: Variant) -> dict[str, Any]:
    model = model_to_test(channel)
    row: dict[str, Any] = {"channel_id": str(channel.id), "channel": channel.name}
    if model is None:
        return {**row, "ok": False, "fault": "no_model", "total_ms": 0, "cost_nano": None}
    outcome = check_by_rule(SYSTEM, channel, model, _variant_of(channel, model, variant))
    return {
        **row,
        "model": model,
        "ok": outcome.ok,
        "fault": outcome.fault,
        "total_ms": outcome.total_ms,
        "cost_nano": outcome.cost_nano,
    }
