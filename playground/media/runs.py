"""Media runs in progress: a task of this process carries each one until its answer has ended.

    running --answer--> done | failed
       any --Stop, from any process--> stopped      (the relay's iterator is closed)
       any --heartbeat lost--> interrupted          (by any process that notices)

A provider accepts a video, or the task of a service, within seconds, and creates it later. The run
then has ended, and the page follows its task.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from accounts.access.actors import Actor
from dialects.errors.errors import RequestFault
from lib.database.async_database import run_in_database
from lib.database.tenancy import own_context
from lib.network.egress import EgressError
from playground.answers.heartbeat import HEARTBEAT_S
from playground.answers.notifications import notifications
from playground.attachments.attachments import FETCH_S, fetch_made
from playground.media.answer import (
    MadeFile,
    UnreadableAnswer,
    picture_file,
    read_pictures,
    read_transcript,
    read_video,
    sound_file,
)
from playground.media.media import RESULT, end_media, record_heartbeat, stored_media_payer
from playground.media.orders import body_of, form_of
from playground.media.task_services import MEDIA_SERVICES
from playground.models import Attachment, MediaKind, MediaRun, RunState
from playground.relaying.relaying import ChatRelay
from playground.runs.runs import facts_of, read_settlement, run_in_background
from relay.requests.outcome import Outcome

log = logging.getLogger(__name__)

ANSWER_BYTES_MAX: Final = 128 * 1024 * 1024
_UNREADABLE: Final = "upstream_malformed"


class _Answer(NamedTuple):
    """The received answer and how it ended. It is None when it was too large."""

    raw: bytes
    outcome: Outcome | None


def start_media(runs: Sequence[MediaRun], actor: Actor, relay: ChatRelay) -> None:
    """Start new runs concurrently."""
    for run in runs:
        run_in_background(_run_media(run, actor, relay))


async def _run_media(run: MediaRun, actor: Actor, relay: ChatRelay) -> None:
    """Carry a run to its end. Never raises: an error here is logged and fails the run."""
    try:
        with notifications().subscribe(run.id) as news:
            reader = asyncio.create_task(_read(run, actor, relay), context=own_context())
            reader.add_done_callback(lambda _: news.set())
            try:
                answered = await _watch(run, reader, news)
            finally:
                # Closing the relay's iterator works like a client that disconnects: the upstream is
                # cancelled.
                reader.cancel()
                await asyncio.wait([reader])
        if answered:
            await _conclude(run, reader.result())
        else:
            await _end(
                run, RunState.STOPPED, await read_settlement(run.organisation_id, run.request_id)
            )
    except RequestFault as fault:
        facts = {"kind": fault.kind, "message": fault.message, "charge_nano": 0}
        await _end(run, RunState.FAILED, facts)
    except Exception:
        log.exception("media run %s failed", run.id)
        with contextlib.suppress(Exception):
            await _end(run, RunState.FAILED, {"kind": "internal", "status": 500})


async def _watch(run: MediaRun, reader: asyncio.Task[_Answer], news: asyncio.Event) -> bool:
    """Wait until the answer has ended. Return False if the run should stop."""
    while not reader.done():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT_S):
                await news.wait()
        news.clear()
        if not reader.done() and not await run_in_database(record_heartbeat, run.id):
            return False
    return True


async def _read(run: MediaRun, actor: Actor, relay: ChatRelay) -> _Answer:
    payer = await run_in_database(stored_media_payer, run)
    principal = await payer.principal(actor, relay)
    files = await run_in_database(_input_files, run)
    form = form_of(run.operation, files)
    pieces: list[bytes] = []
    size = 0
    try:
        async for item in relay.chat(
            principal,
            body_of(run.body, run.operation, files),
            source="playground",
            request_id=run.request_id,
            operation=run.operation,
            labels=payer.labels,
            form=form,
        ):
            if isinstance(item, Outcome):
                return _Answer(b"".join(pieces), item)
            if isinstance(item, bytes):
                pieces.append(item)
                size += len(item)
                if size > ANSWER_BYTES_MAX:
                    break
    finally:
        if form is not None:
            form.close()
    return _Answer(b"", None)


def _input_files(run: MediaRun) -> dict[str, Attachment]:
    inputs = run.files.exclude(role=RESULT).select_related("file")
    return {one.role: one.file for one in inputs if one.file is not None}


async def _conclude(run: MediaRun, answer: _Answer) -> None:
    outcome = answer.outcome
    if outcome is None:
        facts = await read_settlement(run.organisation_id, run.request_id)
        await _end(run, RunState.FAILED, facts | {"kind": "body_too_large"})
        return
    facts = facts_of(outcome)
    if outcome.kind is not None:
        await _end(run, RunState.FAILED, facts)
        return
    try:
        result = await _result(run, answer.raw)
    except (UnreadableAnswer, EgressError, TimeoutError) as error:
        log.warning("media run %s has an answer that cannot be shown: %r", run.id, error)
        await _end(run, RunState.FAILED, facts | {"kind": _UNREADABLE})
        return
    await run_in_database(end_media, run, RunState.DONE, facts, **result)


async def _result(run: MediaRun, raw: bytes) -> dict[str, Any]:
    """Parse the result for `end_media`. Raises UnreadableAnswer, EgressError, TimeoutError."""
    match run.kind:
        case MediaKind.IMAGE:
            return {"files": await _pictures(raw)}
        case MediaKind.SPEECH:
            return {"files": [sound_file(raw, run.body["response_format"])]}
        case MediaKind.TRANSCRIPTION:
            return {"transcript": read_transcript(raw)}
    service = MEDIA_SERVICES.get(run.kind)
    return {"task": read_video(raw) if service is None else service.read_task(raw)}


async def _pictures(raw: bytes) -> list[MadeFile]:
    new_files = []
    for number, one in enumerate(read_pictures(raw), 1):
        new_files.append(
            picture_file(number, one if isinstance(one, bytes) else await _fetch_file(one))
        )
    return new_files


async def _fetch_file(url: str) -> bytes:
    async with asyncio.timeout(FETCH_S):
        return await fetch_made(url)


async def _end(run: MediaRun, state: RunState, facts: Mapping[str, Any]) -> None:
    await run_in_database(end_media, run, state, facts)
