"""Polls media tasks until they end: each as often as its provider allows. The result is stored; an
end resolves the hold in the same transaction.

    claimed   due tasks, for as long as polling may take: no other process polls them meanwhile
    polled    outside of any transaction; a provider that does not answer delays no others
    stored    the state and the time of the next poll; or the end, once (I6, I10)

If a worker dies, its tasks become due again soon. A task whose hold was swept is not polled; it has
failed.
"""

import datetime as dt
import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from hmac import compare_digest
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q

from accounts.secrets.sealing import vault
from billing.holds import unsettled_holds
from billing.holds.unsettled_holds import Ended
from billing.prices.pricing import total_of
from billing.subscriptions.included_units import NOTHING_PAID, paid_by_units
from content.log.final_states import FinalState, keep_final_states
from dialects.chat.fold import AnswerFault
from dialects.media.videos import TaskError, VideoStatus
from gateway.channels.channel_tests.fetched_credentials import fetch
from gateway.channels.egress import outbound_of
from gateway.channels.sealed_keys import open_secret
from gateway.media_tasks import hooks as task_hooks
from gateway.media_tasks.rules import LIMIT_S, MOVES, OPEN, TaskState, next_poll_s, next_state
from gateway.models import Channel, MediaTask, OwnKey
from gateway.own_keys.cloud_keys import own_base_url
from gateway.own_keys.own_keys import open_own_secret
from gateway.providers import PROVIDERS
from gateway.providers.cloud_credentials.credentials import CredentialsFailed, CredentialSource
from gateway.providers.provider import BadAddress, Provider
from gateway.providers.signing import Signer
from gateway.providers.task_form import TaskForm
from gateway.providers.task_forms import TASK_FORMS, VIDEO_FORMS
from gateway.settings.installation import egress_policy, task_result_days
from lib import clock
from lib.database.outage import is_away
from lib.id_types import AttemptId, OrganisationId
from lib.ids import id_text
from lib.network.credential_sources import FileDenied
from lib.network.egress import EgressError, EgressPolicy
from lib.network.guarded_pool import Pool, exchanged_briefly, guarded_pool
from lib.network.outbound import BadPem
from lib.vault import VaultError
from outbox.facts import put
from usage.records.records import add_request_meter, cost_of, versions_of, write_endings
from usage.records.sql import Ending, RecordWritten

log = logging.getLogger(__name__)

_BATCH: Final = 200
# A round ends within this time. Until then its tasks are reserved for it.
_ASKING_S: Final = 20.0
_TAKEN_S: Final = 60
_READ_S: Final = 5.0
_LIMIT: Final = dt.timedelta(seconds=LIMIT_S)
_BYTES_MAX: Final = 256 * 1024
# This many tasks of a channel are polled one after the other, and this many channels in parallel.
_PIECE: Final = 25
_AT_ONCE: Final = 16
_TIMED_OUT: Final = TaskError("timeout", "The task did not end within 24 hours.")
_SWEPT: Final = TaskError("expired", "The task was given up: its state was not known for too long.")


class Poll(NamedTuple):
    """The result of a poll: the status, or None, and how long the provider asked not to be polled.
    A task that was not polled waits without counting a failure."""

    task: MediaTask
    status: VideoStatus | None
    retry_after_s: float | None = None
    asked: bool = True


def poll() -> int:
    """Poll due tasks, store the results, and return how many were polled. Several processes may run
    this concurrently."""
    until = time.monotonic() + _ASKING_S
    polled, ends = 0, list[FinalState]()
    try:
        while time.monotonic() < until:
            tasks = _take(_BATCH)
            if not tasks:
                break
            polled += _write(_poll_all(tasks, until), ends)
    finally:
        # An object store that is away delays no task.
        keep_final_states(ends)
    return polled


def record_callback(public_id: str, token: str) -> bool:
    """Schedule a poll of the task with that token as soon as its provider allows. Return whether
    there is one. Nothing else in the callback is trusted."""
    task = MediaTask.objects.filter(public_id=public_id).exclude(callback_token="").first()
    if task is None or not compare_digest(task.callback_token.encode(), token.encode()):
        return False
    form = TASK_FORMS.get(task.form)
    if form is not None:
        pause = dt.timedelta(seconds=max(form.poll.min_s, _ASKING_S))
        soon = max(clock.now(), (task.polled_at or task.created_at) + pause)
        MediaTask.objects.filter(id=task.id, next_poll_at__gt=soon).update(next_poll_at=soon)
    return True


def drop_old_content() -> int:
    """Delete the content of tasks after its retention. Return of how many tasks."""
    over = MediaTask.objects.filter(expires_at__lte=clock.now())
    content = Q(request__isnull=False) | Q(result__isnull=False)
    return over.filter(content).update(request=None, result=None)


def _take(limit: int) -> list[MediaTask]:
    now = clock.now()
    again = now + dt.timedelta(seconds=_TAKEN_S)
    return list(MediaTask.objects.raw(_TAKE, {"now": now, "again": again, "limit": limit}))


def _is_late(task: MediaTask) -> bool:
    return clock.now() - task.created_at >= _LIMIT


# ---- polling


class _PollKey(NamedTuple):
    """How to poll the tasks of a channel with one of its keys. A key with a `source` is signed with
    the credentials that are fetched there."""

    headers: Mapping[str, str]
    signer: Signer | None
    source: CredentialSource | None = None

    def headers_for(self, method: str, url: str, body: bytes) -> dict[str, str]:
        signed = (
            {}
            if self.signer is None
            else self.signer.headers(method, url, body, int(clock.now().timestamp()))
        )
        return {**self.headers, "content-type": "application/json", **signed}


class _PollTarget(NamedTuple):
    """A channel to poll: its keys by id, also the disabled ones, whose tasks another account does
    not know. `otherwise` is an active key, for tasks whose key is removed. The key of an
    organisation is the only one of its target."""

    channel: Channel
    form: TaskForm
    url: str
    keys: Mapping[UUID | None, _PollKey]
    otherwise: _PollKey

    @property
    def place(self) -> tuple[UUID, str]:
        return self.channel.id, self.url


class _Group(NamedTuple):
    """Tasks that are polled alike. Those of an organisation's own key are apart, so that a wait
    that its provider asks for delays no others (P14)."""

    channel_id: UUID
    form: str
    own_key_id: UUID | None


def _poll_all(tasks: Sequence[MediaTask], until: float) -> Iterator[Poll]:
    """Yield the results of polling these tasks. A task that cannot be polled, or not in time, has
    no result."""
    groups: dict[_Group, list[MediaTask]] = {}
    for task in tasks:
        own_key_id = task.channel_key_id if task.own_key else None
        groups.setdefault(_Group(task.channel_id, task.form, own_key_id), []).append(task)
    channels = Channel.objects.prefetch_related("keys").in_bulk({one.channel_id for one in groups})
    own_keys = OwnKey.objects.in_bulk({one.own_key_id for one in groups if one.own_key_id})
    policy, targets = egress_policy(), list[tuple[_PollTarget, list[MediaTask]]]()
    for one, group in groups.items():
        target = _target_of(one, channels.get(one.channel_id), own_keys)
        if target is None:
            yield from (Poll(task, None) for task in group)
        else:
            targets += [(target, group[at : at + _PIECE]) for at in range(0, len(group), _PIECE)]
    if not connection.in_atomic_block:
        # No transaction and no connection stays open during network calls (I9).
        connection.close()
    with ExitStack() as open_pools, ThreadPoolExecutor(_AT_ONCE) as threads:
        # One for each address of a channel, so that its tasks share connections.
        pools: dict[tuple[UUID, str], Pool] = {}
        for target in {target.place: target for target, _ in targets}.values():
            if (pool := _open_pool(policy, target, until)) is not None:
                pools[target.place] = open_pools.enter_context(pool)
        batches = threads.map(
            lambda one: _poll_channel(pools.get(one[0].place), policy, one[0], one[1], until),
            targets,
        )
        for answers in batches:
            yield from answers


def _open_pool(policy: EgressPolicy, target: _PollTarget, until: float) -> Pool | None:
    try:
        return guarded_pool(policy, until=until, outbound=outbound_of(target.channel))
    except (VaultError, BadPem) as error:
        log.warning("%s cannot be asked for its tasks: %s", target.channel.name, error)
        return None


def _target_of(
    group: _Group, channel: Channel | None, own_keys: Mapping[UUID, OwnKey]
) -> _PollTarget | None:
    """Return how to poll a channel, or None if that is not possible. Tasks of an organisation's own
    key are not polled with any other (P12)."""
    form = TASK_FORMS.get(group.form)
    provider = None if channel is None else PROVIDERS.get(channel.provider)
    if channel is None or form is None or provider is None:
        return None
    try:
        if group.own_key_id is not None:
            return _own_target(channel, provider, form, own_keys.get(group.own_key_id))
        url = provider.url(form.tasks_operation, channel.base_url)
        active: dict[UUID | None, _PollKey] = {}
        disabled: dict[UUID | None, _PollKey] = {}
        for row in channel.keys.all():
            if row.disabled_at is None:
                active[row.id] = _poll_key(provider, form, open_secret(row))
                continue
            # One that cannot be decrypted any more concerns no task of another.
            with suppress(VaultError):
                disabled[row.id] = _poll_key(provider, form, open_secret(row))
        otherwise = next(iter(active.values()), None) or _poll_key(provider, form, None)
        return _PollTarget(channel, form, url, active | disabled, otherwise)
    except (BadAddress, VaultError) as error:
        log.warning("%s cannot be asked for its tasks: %s", channel.name, error)
        return None


def _own_target(
    channel: Channel, provider: Provider, form: TaskForm, own_key: OwnKey | None
) -> _PollTarget | None:
    """Return how to poll a channel with an organisation's key. Raises BadAddress, VaultError."""
    if own_key is None or own_key.channel_id != channel.id:
        return None
    secret = open_own_secret(own_key)
    base_url = own_base_url(provider, channel.base_url, channel.region, secret)
    key = _poll_key(provider, form, secret)
    url = provider.url(form.tasks_operation, base_url)
    return _PollTarget(channel, form, url, {own_key.id: key}, key)


def _poll_key(provider: Provider, form: TaskForm, secret: str | None) -> _PollKey:
    return _PollKey(
        provider.headers(secret, form.dialect),
        provider.signer_of(secret),
        provider.credential_source_of(secret),
    )


def _fetch_signer(key: _PollKey, channel: Channel, policy: EgressPolicy) -> _PollKey:
    """Return a key with its temporary credentials. Raises CredentialsFailed, FileDenied,
    EgressError."""
    if key.source is None:
        return key
    files = settings.CLOUD_TOKEN_FILES
    return key._replace(signer=fetch(key.source, policy, outbound_of(channel), files).signer)


def _poll_channel(
    pool: Pool | None,
    policy: EgressPolicy,
    target: _PollTarget,
    tasks: Sequence[MediaTask],
    until: float,
) -> list[Poll]:
    """Poll some tasks of one channel, in a thread without a database. After an answer that asks to
    wait, or without an answer, the remaining tasks are not polled."""
    if pool is None:
        return [Poll(task, None) for task in tasks]
    polls: list[Poll] = []
    silent, wait_s = False, None
    keys: dict[UUID | None, _PollKey] = {}
    for task in tasks:
        if silent or time.monotonic() > until:
            polls.append(Poll(task, None, wait_s, asked=False))
            continue
        try:
            key = keys.get(task.channel_key_id)
            if key is None:
                known = target.keys.get(task.channel_key_id, target.otherwise)
                key = keys[task.channel_key_id] = _fetch_signer(known, target.channel, policy)
            status, wait_s = _poll_task(pool, target, task, key)
            silent = wait_s is not None
        except BadAddress:
            # The provider's id of the task cannot be part of a URL.
            status = None
        except (EgressError, CredentialsFailed, FileDenied) as error:
            log.warning("%s cannot be asked for its tasks: %s", target.channel.name, error)
            status, silent = None, True
        except Exception:
            # An answer that cannot be read must not delay the tasks of others.
            log.exception("task %s cannot be polled", id_text(task.id))
            status = None
        polls.append(Poll(task, status, wait_s))
    return polls


def _poll_task(
    pool: Pool, target: _PollTarget, task: MediaTask, key: _PollKey
) -> tuple[VideoStatus | None, float | None]:
    """Return the provider's status of a task, or None, and for how many seconds the provider asked
    not to be polled."""
    form = target.form
    url = form.below(target.url, form.status_path, task.upstream_id)
    method, content = ("GET", b"") if form.ask is None else ("POST", form.ask(task.upstream_id))
    headers = key.headers_for(method, url, content)
    answer = exchanged_briefly(
        pool,
        method,
        url,
        headers,
        content,
        schemes=("http", "https"),
        read_s=_READ_S,
        bytes_max=_BYTES_MAX,
    )
    if answer.status in (429, 503):
        return None, _retry_after_s(answer.headers.get("retry-after", ""))
    if answer.status not in form.told_by or answer.body is None:
        return None, None
    with suppress(AnswerFault):
        return form.read_status(answer.body, task.upstream_id), None
    return None, None


def _retry_after_s(value: str) -> float:
    """Parse a number of seconds. 0 if it is missing: the provider still does not want more now."""
    return float(value) if value.isascii() and value.isdigit() and len(value) < 10 else 0.0


# ---- storing


class _Waiting(NamedTuple):
    """A task that continues, in the columns that change."""

    id: UUID
    state: str
    provider_state: str
    progress: int
    started_at: dt.datetime | None
    polls: int
    failures: int
    next_poll_at: dt.datetime


def _write(polls: Iterable[Poll], ends: list[FinalState]) -> int:
    """Store the results: each end in its own transaction, all others in one statement. Return how
    many. The ends are added to `ends`. An end that cannot be stored counts as a failed poll."""
    count, waiting = 0, list[_Waiting]()
    for poll in polls:
        count += 1
        task, status = poll.task, poll.status
        if status is not None and next_state(_state(task), status.state) not in OPEN:
            if _try_end(task, status, ends):
                continue
            poll = poll._replace(status=None)
        if _is_late(task):
            _try_end(task, VideoStatus("failed", task.progress, error=_TIMED_OUT), ends)
        elif (form := TASK_FORMS.get(task.form)) is not None:
            waiting.append(_going_on(poll, form))
    if waiting:
        columns = dict(zip(_Waiting._fields, map(list, zip(*waiting, strict=True)), strict=True))
        with connection.cursor() as cursor:
            cursor.execute(_GO_ON, columns)
    return count


def _try_end(task: MediaTask, status: VideoStatus, ends: list[FinalState]) -> bool:
    """Store the end of a task, unless it is one that cannot be stored. Return whether it could."""
    try:
        ends += _end(task, status)
    except Exception as error:
        if is_away(error):
            raise
        # What a provider reports of one task must not delay the tasks of others.
        log.exception("the end of task %s cannot be stored", id_text(task.id))
        return False
    return True


def _going_on(poll: Poll, form: TaskForm) -> _Waiting:
    """Return when to poll a running task next, and its present status."""
    task, status, now = poll.task, poll.status, clock.now()
    polls = task.polls + poll.asked
    failures = 0 if status is not None else task.failures + poll.asked
    state = _state(task) if status is None else next_state(_state(task), status.state)
    wait_s = next_poll_s(form.poll, polls, failures=failures, retry_after_s=poll.retry_after_s)
    return _Waiting(
        id=task.id,
        state=state,
        provider_state=task.provider_state if status is None else status.word,
        progress=task.progress if status is None else max(task.progress, status.progress),
        started_at=task.started_at or (now if state == "running" else None),
        polls=polls,
        failures=failures,
        next_poll_at=min(now + dt.timedelta(seconds=wait_s), task.created_at + _LIMIT),
    )


def _state(task: MediaTask) -> TaskState:
    return next(state for state in MOVES if state == task.state)


_TAKE: Final = """
    UPDATE gateway_mediatask task SET next_poll_at = %(again)s, polled_at = %(now)s
    WHERE id = ANY (ARRAY(
        SELECT id FROM gateway_mediatask WHERE next_poll_at <= %(now)s
        ORDER BY next_poll_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ))
    RETURNING task.*"""
_GO_ON: Final = """
    UPDATE gateway_mediatask task
    SET state = t.state, provider_state = t.provider_state, progress = t.progress,
        started_at = t.started_at, polls = t.polls, failures = t.failures,
        next_poll_at = t.next_poll_at
    FROM unnest(
        %(id)s::uuid[], %(state)s::text[], %(provider_state)s::text[], %(progress)s::int[],
        %(started_at)s::timestamptz[], %(polls)s::int[], %(failures)s::int[],
        %(next_poll_at)s::timestamptz[]
    ) AS t (id, state, provider_state, progress, started_at, polls, failures, next_poll_at)
    WHERE task.id = t.id AND task.ended_at IS NULL"""


def _end(task: MediaTask, status: VideoStatus) -> list[FinalState]:
    """Store the end of a task, resolve its hold and write its record, all or nothing, and return
    it. If another process has done so, nothing is changed or returned."""
    ending, ended = _settlement(task, status)
    with transaction.atomic():
        unsettled_holds.lock_wallets([task.organisation_id])
        resolved = unsettled_holds.end(ended)
        if resolved:
            record = RecordWritten(
                organisation_id=OrganisationId(task.organisation_id),
                attempt_id=AttemptId(task.id),
                ending=ending,
            )
            write_endings([record])
        elif status.state == "succeeded":
            # The sweeper has released its hold, so nobody has paid for it.
            status = VideoStatus("failed", task.progress, error=_SWEPT)
        ended_here = _write_end(task, status)
        if ended_here:
            _publish_end(task, status)
    return [_final_state(task, status)] if ended_here else []


def _final_state(task: MediaTask, status: VideoStatus) -> FinalState:
    """Return an end for the content log."""
    state: dict[str, Any] = {"status": status.state}
    if status.error is not None:
        state["error"] = status.error._asdict()
    if status.result is not None:
        state["result"] = dict(status.result)
    return FinalState(task.organisation_id, task.request_id, state)


def _publish_end(task: MediaTask, status: VideoStatus) -> None:
    """Notify the organisation's webhooks, and the address in the task's request."""
    body: dict[str, Any] = {
        "request": id_text(task.request_id),
        "team": id_text(task.team_id),
        "model": task.model,
    }
    if status.error is not None:
        body["error"] = status.error.code
    end = "failed" if status.error is not None else "completed"
    if task.form in VIDEO_FORMS:
        body |= {"video": task.public_id, "seconds": task.seconds, "size": task.size}
        put(f"video.{end}", task.organisation_id, **body)
        return
    fact_id = put(f"task.{end}", task.organisation_id, task=task.public_id, **body)
    if task.hook is not None:
        task_hooks.call(task, fact_id)


def _write_end(task: MediaTask, status: VideoStatus) -> bool:
    """Store the end. Return whether the task was still open."""
    now, form = clock.now(), TASK_FORMS.get(task.form)
    expires_at = now + dt.timedelta(days=task_result_days())
    if status.state == "succeeded":
        # The provider stores the bytes.
        if form is not None and form.kept_s:
            expires_at = min(expires_at, now + dt.timedelta(seconds=form.kept_s))
        if status.expires_at is not None:
            expires_at = min(expires_at, dt.datetime.fromtimestamp(status.expires_at, dt.UTC))
    result = None
    content: dict[str, Any] = {}
    if status.error is not None:
        content["error"] = list(status.error)
    elif status.content:
        content["content"] = status.content
    if status.result is not None:
        content["result"] = dict(status.result)
        if task.request is None:
            # The request is not stored, so its echo is not either.
            content["result"].pop("echo", None)
    if content:
        result = vault().seal(json.dumps(content), f"gateway_mediatask|{task.id}|result")
    ended = MediaTask.objects.filter(id=task.id, state__in=OPEN).update(
        state=status.state,
        provider_state=status.word,
        progress=status.progress,
        polls=F("polls") + 1,
        ended_at=now,
        expires_at=expires_at,
        next_poll_at=None,
        result=result,
        hook=None,
    )
    return ended > 0


def _settlement(task: MediaTask, status: VideoStatus) -> tuple[Ending, Ended]:
    """Return the end of the task's attempt: the content of its record, and what happens to its
    hold."""
    versions = versions_of([(task.organisation_id, task.id)])[task.id]
    if status.state != "succeeded":
        own = versions.own_fee is not None
        return _failed_ending(task, status.error or _SWEPT, own=own)
    version, asked_ms = versions.charge, 1000 * task.seconds
    own_fee = versions.own_fee
    told_ms = None if status.seconds is None else 1000 * status.seconds
    rates = {} if version is None else version.rates
    charged = TASK_FORMS[task.form].charged
    meters: Mapping[str, int] = charged(rates, task.size, asked_ms, told_ms)
    cost_nano = None
    if versions.cost is not None:
        cost_meters = charged(versions.cost.rates, task.size, asked_ms, told_ms)
        cost_nano = cost_of(cost_meters, versions.cost)
    charge, basis, paid = 0, "free", NOTHING_PAID
    units = unsettled_holds.units_held(task.id)
    if version is not None:
        meters = add_request_meter(meters, version)
        total, paid = total_of(meters, version), paid_by_units([(meters, version)], units)
        # The task was held at this price, so there is a rate.
        charge, basis = (total, "measured") if isinstance(total, int) else (0, "absorbed")
    own_nano = None
    if own_fee is not None:
        # Only the fee is charged, because the organisation pays its provider itself.
        own_nano, charge, cost_nano = charge, 0, 0
        if basis == "measured":
            charge = own_fee.nano_of(meters)
    flags = ("usage_mismatch",) if told_ms is not None and told_ms > asked_ms else ()
    ending = Ending(
        final=True,
        status=200,
        meters=json.dumps(dict(meters)),
        charge_nano=charge,
        basis=basis,
        flags=flags,
        cost_nano=cost_nano,
        own_nano=own_nano,
    )
    return ending, Ended(
        attempt_id=AttemptId(task.id),
        organisation_id=OrganisationId(task.organisation_id),
        state="settled",
        charge_nano=charge,
        cost_nano=ending.cost_beyond_loss(0),
        paid=paid,
        units=units,
        own_nano=own_nano or 0,
    )


def _failed_ending(task: MediaTask, error: TaskError, *, own: bool) -> tuple[Ending, Ended]:
    kind, status = ("timeout", 504) if error is _TIMED_OUT else ("upstream_error", 502)
    ending = Ending(
        final=True,
        status=status,
        kind=kind,
        message=error.message,
        cost_nano=0 if own else None,
        own_nano=0 if own else None,
    )
    return ending, Ended(AttemptId(task.id), OrganisationId(task.organisation_id), "voided")


def result_of(task: MediaTask) -> dict[str, Any]:
    """Return the provider's data of a finished task; {} if it is not stored, or no longer."""
    if task.result is None or task.expires_at is None or task.expires_at <= clock.now():
        return {}
    try:
        raw = vault().open(bytes(task.result), f"gateway_mediatask|{task.id}|result")
        result = json.loads(raw).get("result")
    except (VaultError, ValueError):
        return {}
    return result if isinstance(result, dict) else {}
