"""Runs: a task of this process carries each one until its answer has ended.

    waiting --first event--> answering --outcome--> done | failed
    waiting --a refusal--> refused
       any --Stop, from any process--> stopped          (the relay's iterator is closed)
       any --heartbeat lost--> interrupted              (by any process that notices)

The task joins the model's output into frames, at most 20 per second, and writes each as one event.
Pages read these rows, in this process or another. Closing a page has no effect on the task.
"""

import asyncio
import contextlib
import datetime as dt
import json
import logging
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from accounts.access.actors import Actor
from content.prompts.settings import Settings
from dialects.errors.errors import RequestFault
from lib import clock
from lib.database.async_database import run_in_database
from lib.database.tenancy import own_context, use_tenant
from playground.answers.cost import Meter
from playground.answers.events import AppendResult, partial_answer
from playground.answers.heartbeat import HEARTBEAT_S, STALE_S, record_heartbeat
from playground.answers.incoming_answer import IncomingAnswer
from playground.answers.late_charges import UNCHARGED
from playground.answers.notifications import notifications
from playground.conversations import titles
from playground.messages import page
from playground.models import NamedBy, Run, RunState
from playground.models_offered.offered_models import capabilities_of_model, price_version_of
from playground.payers.paying import stored_payer
from playground.relaying.relaying import ChatRelay
from playground.rendering.render import Frame
from playground.runs import watching
from playground.runs.frames import FrameWriter
from playground.turns.request import build_request
from playground.turns.turns import Turn, end_run, files_of, lost_runs, request_path
from relay.credentials.keys import Principal
from relay.errors import RelayError
from relay.hold_sizes.bound import Bound
from relay.requests.labels import Labels
from relay.requests.outcome import Outcome
from usage.models import UsageRecord

log = logging.getLogger(__name__)

FRAME_S = 0.05

_SETTLED_WITHIN_S = 3.0
_SETTLED_LOOK_S = 0.05
_REFUSED = frozenset({400, 402, 403, 404, 413, 422, 429})


_tasks: set[asyncio.Task[None]] = set()


def start(turns: Sequence[Turn], actor: Actor, relay: ChatRelay) -> None:
    """Start new turns concurrently."""
    for turn in turns:
        task = run_in_background(_Carrier(turn, actor, relay).carry())
        if turn.run.unwatched_ms is not None:
            guard = asyncio.create_task(watching.stop_when_left(turn.run), context=own_context())
            task.add_done_callback(partial(_cancel, guard))


def _cancel(guard: asyncio.Task[None], _ended: asyncio.Task[None]) -> None:
    guard.cancel()


def run_in_background(carrying: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start a task that outlives its request and that a shutdown waits for."""
    # Use a context of its own, because the request's ends with its response; keep only the tenant.
    task = asyncio.create_task(carrying, context=own_context())
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


async def finish(seconds: float = 10.0) -> None:
    """At shutdown, wait for the runs that this process carries."""
    if _tasks:
        await asyncio.wait(_tasks, timeout=seconds)


def interrupt_lost_runs() -> int:
    """End runs whose process has died, keeping their text. Return how many."""
    lost = list(lost_runs(clock.now() - dt.timedelta(seconds=STALE_S)))
    return sum(_interrupt_within(run) for run in lost)


def _interrupt_within(run: Run) -> bool:
    with use_tenant(run.conversation.organisation_id):
        return interrupt(run)


def interrupt(run: Run) -> bool:
    """End a run whose process has died. Return False if the run has ended in the meantime."""
    answer = partial_answer(run.id)
    outcome = {"kind": "interrupted"}
    html = page.rewritten_html(run, answer.text)
    html += page.ended_html(run, RunState.INTERRUPTED, outcome, answer, {})
    return end_run(run.id, RunState.INTERRUPTED, outcome, answer, [Frame(html)])


def request_of_run(run: Run) -> dict[str, Any]:
    """Return the body with which a run was requested, as an API client would write it."""
    path = request_path(run)
    return build_request(
        run.model,
        path,
        Settings.from_stored(run.settings),
        capabilities_of_model(run.model),
        files_of(path, run.conversation.organisation_id),
    )


class _Carrier:
    """Carries one run from its first event to its last."""

    def __init__(self, turn: Turn, actor: Actor, relay: ChatRelay) -> None:
        self._turn = turn
        self._run = turn.run
        self._actor = actor
        self._relay = relay
        self._time = asyncio.get_running_loop().time
        self._beat_at = self._time()
        self._incoming = IncomingAnswer(self._beat_at)
        self._frames = FrameWriter(turn.run, self._incoming)
        columns = turn.conversation.columns
        self._blind = any(column.get("blind") for column in columns)
        self._bound: Bound | None = None
        self._requested = False

    async def carry(self) -> None:
        """Carry the run to its end. Never raises: an error here is logged and fails the run."""
        try:
            with notifications().subscribe(self._run.id) as notified:
                await self._stream(notified)
            if self._turn.conversation.named_by == NamedBy.PENDING and not self._run.column:
                await titles.name_chat(self._run.assistant_message_id, self._actor, self._relay)
        except Exception:
            log.exception("run %s failed", self._run.id)
            with contextlib.suppress(Exception):
                await self._end(RunState.FAILED, self._fault())

    # ---- the stream

    async def _stream(self, news: asyncio.Event) -> None:
        reader = asyncio.create_task(self._read(news))
        # Also one that fails before it has asked for anything.
        reader.add_done_callback(lambda _: news.set())
        try:
            stopping = await self._write_frames(reader, news)
        finally:
            # Closing the relay's iterator works like a client that disconnects: the upstream is
            # cancelled.
            reader.cancel()
            await asyncio.wait([reader])
        if stopping is None:
            log.warning("run %s was ended by another process", self._run.id)
        elif self._incoming.outcome is not None:
            await self._conclude(self._incoming.outcome)
        elif stopping:
            settled = await self._settled() if self._requested else UNCHARGED
            await self._end(RunState.STOPPED, settled)
        elif isinstance(fault := reader.exception(), RequestFault):
            # The key, for example, was revoked after the form was checked: there is no request.
            facts = {"kind": fault.kind, "message": fault.message}
            await self._end(RunState.REFUSED, {**facts, **UNCHARGED})
        else:
            await self._end(RunState.FAILED, self._fault())
            reader.result()

    def _fault(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"kind": "internal", "status": 500}
        return facts if self._requested else {**facts, **UNCHARGED}

    async def _read(self, news: asyncio.Event) -> None:
        payer = await run_in_database(stored_payer, self._turn.conversation)
        principal = await payer.principal(self._actor, self._relay)
        body = await run_in_database(self._write_request)
        await self._read_bound(principal, body, payer.labels)
        self._requested = True
        stream = self._relay.chat(
            principal,
            body,
            source="playground",
            request_id=self._run.request_id,
            labels=payer.labels,
        )
        async for item in stream:
            self._incoming.take(item, self._time())
            news.set()

    async def _read_bound(self, principal: Principal, body: bytes, labels: Labels) -> None:
        """Read what the request will hold, and its expected charge. If it is refused, sending it
        tells why."""
        with contextlib.suppress(RequestFault, RelayError):
            self._bound = await self._relay.bound(principal, body, labels=labels)
            if not self._blind:
                self._frames.status.bound = self._bound

    def _write_request(self) -> bytes:
        body = json.dumps(request_of_run(self._run)).encode()
        key = stored_payer(self._turn.conversation).key
        version = price_version_of(self._actor, key, self._run.model)
        if not self._blind:
            self._frames.status.meter = Meter(version, len(body))
        return body

    async def _write_frames(self, reader: asyncio.Task[None], news: asyncio.Event) -> bool | None:
        """Write frames until the answer has ended. Return True if a stop was requested, None if the
        run was lost."""
        next_frame = self._time()
        while True:
            ended = reader.done()
            appended = await self._write_frame()
            if not appended.alive:
                return None
            if appended.stopping and not ended:
                return True
            if ended and not self._incoming.has_events:
                return False
            next_frame = max(next_frame + FRAME_S, self._time())
            await self._wait(news, next_frame)

    async def _wait(self, news: asyncio.Event, next_frame: float) -> None:
        """Wait for data that may be rendered as the next frame, or until something else is due."""
        next_status = self._frames.status.next_at()
        due = self._beat_at + HEARTBEAT_S
        if next_status is not None:
            due = min(due, next_status)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await news.wait()
        await asyncio.sleep(max(0.0, min(next_frame, due) - self._time()))
        news.clear()

    async def _write_frame(self) -> AppendResult:
        now = self._time()
        if now - self._beat_at >= HEARTBEAT_S:
            self._beat_at = now
            await run_in_database(record_heartbeat, self._run.id)
        events, wire = self._incoming.take_events(), self._incoming.take_wire()
        return await run_in_database(self._frames.write, events, wire, now)

    # ---- the end

    async def _conclude(self, outcome: Outcome) -> None:
        await self._end(self._state_after(outcome), facts_of(outcome))

    def _state_after(self, outcome: Outcome) -> RunState:
        if outcome.kind is None:
            return RunState.DONE
        if outcome.kind == "client_closed":
            return RunState.STOPPED
        if outcome.status in _REFUSED and not self._incoming.has_begun:
            return RunState.REFUSED
        return RunState.FAILED

    async def _settled(self) -> dict[str, Any]:
        return await read_settlement(self._turn.conversation.organisation_id, self._run.request_id)

    async def _end(self, state: RunState, facts: Mapping[str, Any]) -> None:
        self._incoming.progress.end_thought(self._time())
        if self._bound is not None and self._bound.expected_nano is not None:
            facts = {**facts, "expected_nano": self._bound.expected_nano}
        await run_in_database(self._frames.write_end, state, dict(facts))


async def read_settlement(organisation_id: UUID, request_id: UUID) -> dict[str, Any]:
    """Return the settlement of an abandoned request; {} if the books do not have it soon."""
    time = asyncio.get_running_loop().time
    until = time() + _SETTLED_WITHIN_S
    while time() < until:
        facts = await run_in_database(final_record, organisation_id, request_id)
        if facts is not None:
            return facts
        await asyncio.sleep(_SETTLED_LOOK_S)
    return {}


def facts_of(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome in its stored form."""
    facts = msgspec.structs.asdict(outcome) | {"meters": dict(outcome.meters)}
    del facts["request_id"]
    return facts


def final_record(organisation_id: UUID, request_id: UUID) -> dict[str, Any] | None:
    """Return the record of an ended request from the books."""
    fields = ("status", "kind", "message", "finish_reason", "meters", "charge_nano", "hold_nano",
              "basis", "ttft_ms", "total_ms")  # fmt: skip
    records = UsageRecord.objects.filter(
        organisation_id=organisation_id, request_id=request_id, final=True
    )
    facts: dict[str, Any] | None = records.values(*fields).first()
    return facts
