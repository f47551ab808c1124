"""Media runs: access, and one function per change.

Inputs and results are files, like those of chats. They are kept as long as the installation keeps
results (`TASK_RESULT_DAYS`), and deleted with the last run that refers to them. A video stays with
its provider, as for the API.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from accounts.access.access import get_by_id, require
from accounts.access.actors import Actor, organisation_of, person_of
from accounts.keys.keys import playground_key
from gateway.models import MediaTask
from gateway.settings.installation import task_result_days
from lib import clock
from lib.ids import new_id
from playground.answers.events import notify_all
from playground.answers.heartbeat import STALE_S
from playground.media.answer import MadeFile, Transcript
from playground.media.service import MediaAsk
from playground.models import Attachment, MediaFile, MediaRun, RunState
from playground.payers.paying import Payer

RESULT: Final = "result"
_INTERRUPTED: Final = {"kind": "interrupted", "message": ""}


@dataclass(frozen=True)
class MediaColumn:
    """The request to one model. `values` are the form fields that it supports."""

    model: str
    ask: MediaAsk
    values: Mapping[str, str]


@dataclass(frozen=True)
class MediaOrder:
    """The request of a form. `files` are by role."""

    kind: str
    prompt: str
    columns: Sequence[MediaColumn]
    payer: Payer
    token: UUID
    files: Mapping[str, Attachment] = field(default_factory=dict)


# Access -----------------------------------------------------------------------------------------


def visible_media(actor: Actor) -> QuerySet[MediaRun]:
    """Return the actor's runs, newest first. Only its author can read a run."""
    require(actor, "playground.read")
    runs = MediaRun.objects.filter(organisation=actor.organisation, user=actor.user)
    return (
        runs.select_related("organisation", "key").prefetch_related("files__file").order_by("-id")
    )


def access_media_run(actor: Actor, id: str) -> MediaRun:
    """Return one run of the actor. Raises Http404."""
    return get_by_id(visible_media(actor), id)


def search_media(actor: Actor, words: str, kind: str) -> QuerySet[MediaRun]:
    """Filter runs of a kind by words in their prompt or text."""
    runs = visible_media(actor).filter(state=RunState.DONE)
    if kind:
        runs = runs.filter(kind=kind)
    if words := words.strip():
        query = Q(prompt__icontains=words) | Q(text__icontains=words) | Q(model__icontains=words)
        runs = runs.filter(query)
    return runs


# Writing ----------------------------------------------------------------------------------------


def result_life() -> dt.timedelta:
    """Return how long the files of a run are kept."""
    return dt.timedelta(days=task_result_days())


def begin_media(actor: Actor, order: MediaOrder) -> list[MediaRun]:
    """Create a run for each column. Return none if the same form was sent before."""
    require(actor, "playground.use")
    batch = new_id()
    try:
        with transaction.atomic():
            runs = [
                MediaRun.objects.create(
                    organisation=organisation_of(actor),
                    user=person_of(actor),
                    kind=order.kind,
                    operation=column.ask.operation,
                    model=column.model,
                    prompt=order.prompt,
                    settings=dict(column.values),
                    body=column.ask.body,
                    key=order.payer.chosen_key,
                    project=order.payer.project,
                    batch=batch,
                    column=number,
                    token=order.token,
                )
                for number, column in enumerate(order.columns)
            ]
            for run in runs:
                _keep(run, [(role, file) for role, file in order.files.items()])
    except IntegrityError:
        return []
    return runs


def stored_media_payer(run: MediaRun) -> Payer:
    """Return the payer that was chosen when the run was started."""
    return Payer(run.key or playground_key(run.organisation), run.project)


def stop_media(run: MediaRun) -> None:
    """Request that the process which carries the run stops it."""
    with transaction.atomic():
        MediaRun.objects.filter(id=run.id, ended_at=None).update(stop_at=clock.now())
        notify_all(run.id)


def record_heartbeat(run_id: UUID) -> bool:
    """Record that the run's task is alive. Return whether it should continue."""
    running = MediaRun.objects.filter(id=run_id, ended_at=None)
    return bool(running.update(heartbeat_at=clock.now())) and running.filter(stop_at=None).exists()


def end_media(
    run: MediaRun,
    state: RunState,
    outcome: Mapping[str, Any],
    *,
    files: Iterable[MadeFile] = (),
    transcript: Transcript | None = None,
    task: str = "",
) -> None:
    """End a run with its result. Do nothing if it has ended already."""
    transcribed: dict[str, Any] = {}
    if transcript is not None:
        facts = {"segments": transcript.segments, "language": transcript.language,
                 "seconds": transcript.seconds}  # fmt: skip
        transcribed = {"text": transcript.text, "facts": facts}
    with transaction.atomic():
        ended = MediaRun.objects.filter(id=run.id, ended_at=None).update(
            state=state, ended_at=clock.now(), outcome=dict(outcome), task=task, **transcribed
        )
        if ended:
            _keep(run, [(RESULT, _store_file(run, file)) for file in files])


def _store_file(run: MediaRun, file: MadeFile) -> Attachment:
    return Attachment.objects.create(
        organisation_id=run.organisation_id,
        user_id=run.user_id,
        name=file.name,
        kind=file.kind,
        media_type=file.media_type,
        size=len(file.data),
        facts=file.facts,
        data=file.data,
        unsent_until=clock.now() + result_life(),
    )


def _keep(run: MediaRun, files: Sequence[tuple[str, Attachment]]) -> None:
    """Attach files to a run. They are kept as long as the run, except files that a message refers
    to."""
    for position, (role, file) in enumerate(files):
        MediaFile.objects.create(run=run, file=file, role=role, position=position, name=file.name)
    ids = [file.id for _, file in files]
    kept = Attachment.objects.filter(id__in=ids, unsent_until__isnull=False)
    kept.update(unsent_until=clock.now() + result_life())


def delete_media(runs: Iterable[MediaRun]) -> None:
    """Remove runs that have ended, with the files that nothing else refers to. Their media tasks
    are marked as deleted in the API too."""
    with transaction.atomic():
        for run in runs:
            files = [one.file_id for one in run.files.all() if one.file_id is not None]
            run.delete()
            _drop_unnamed(files)
            if run.task:
                MediaTask.objects.filter(public_id=run.task, ended_at__isnull=False).update(
                    deleted_at=clock.now(), request=None, result=None
                )


def _drop_unnamed(ids: Collection[UUID]) -> None:
    named = MediaFile.objects.filter(file__in=ids).values("file")
    unnamed = Attachment.objects.filter(id__in=ids, unsent_until__isnull=False)
    unnamed.exclude(id__in=named).delete()


def interrupt_lost_media() -> int:
    """End the runs whose process has died. Return how many."""
    before = clock.now() - dt.timedelta(seconds=STALE_S)
    lost = MediaRun.objects.filter(ended_at=None, heartbeat_at__lt=before)
    return lost.update(state=RunState.INTERRUPTED, ended_at=clock.now(), outcome=dict(_INTERRUPTED))
