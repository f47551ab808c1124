"""The context of the media pages: a form for a model, running runs, and results."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404
from django.urls import reverse

from accounts.access.access import scope_of
from accounts.access.actors import Actor, slug_of
from gateway.models import MediaTask
from gateway.providers.media_options import image_options
from lib import clock
from lib.ids import id_text, new_id
from lib.numbers.formatting import data_size
from playground.answers.late_charges import unsent_requests
from playground.conversations.conversations import access_attachment
from playground.media.answer import clock as clock_text
from playground.media.media import RESULT, visible_media
from playground.media.orders import ROLES
from playground.media.rules import fields_of
from playground.media.service import MediaField, MediaService, ServiceResult
from playground.media.task_services import MEDIA_SERVICES
from playground.media.words import (
    HINTS,
    PAGES,
    choices_of,
    label_of,
    model_word,
    next_step,
    value_word,
)
from playground.messages.page import ask_href, error_text
from playground.models import Attachment, MediaFile, MediaKind, MediaRun, RunState
from playground.models_offered.media_model import MediaModel
from playground.models_offered.offered_models import call_prices, media_models
from playground.payers.paying import payers_context
from playground.runs.runs import final_record

SHOWN_MAX: Final = 12
# Options that are rarely chosen explicitly.
_USUAL: Final = frozenset(
    {
        ("n", "1"),
        ("task", "transcribe"),
        ("timestamps", "yes"),
        *(pair for one in MEDIA_SERVICES.values() for pair in one.usual),
    }
)
# Fields whose names mean nothing to readers.
_UNSEEN: Final = frozenset(name for one in MEDIA_SERVICES.values() for name in one.unseen)
_PAGE_NAMES: Final[Mapping[str, str]] = {
    MediaKind.IMAGE: "images",
    MediaKind.SPEECH: "speech",
    MediaKind.TRANSCRIPTION: "transcription",
    MediaKind.VIDEO: "video",
    **{kind: service.page for kind, service in MEDIA_SERVICES.items()},
}


def page_name(kind: str) -> str:
    """Return the route of the page of a kind; that of the gallery if its service is off."""
    return _PAGE_NAMES.get(kind, "gallery")


# The form ---------------------------------------------------------------------------------------


def form_context(actor: Actor, kind: str, values: Mapping[str, str]) -> dict[str, Any]:
    """Build the form of a kind with these values."""
    models = form_models(actor, kind)
    named = {model.name: model for model in models}
    chosen = named.get(values.get("model", ""), models[0] if models else None)
    may_send = scope_of(actor, "playground.use") is not None
    service = MEDIA_SERVICES.get(kind)
    label = "" if service is None or chosen is None else service.picture_label(chosen.name)
    return {
        "kind": kind,
        "title": str(PAGES[kind]),
        "slug": slug_of(actor),
        "models": models,
        "model": chosen,
        "service": service,
        "choices": [(model.name, model_word(model.name)) for model in models],
        "takes_pictures": kind in (MediaKind.IMAGE, MediaKind.VIDEO) or bool(label),
        "picture_label": label,
        "needs_words": service is None
        or chosen is None
        or chosen.name not in service.without_prompt,
        "extended": bool(values.get("clip")),
        "compared": values.get("compare", ""),
        "prompt": values.get("prompt", ""),
        "fields": [] if chosen is None else drawn_fields(kind, chosen, values),
        "token": id_text(new_id()),
        "may_send": may_send,
        "edits": chosen is not None and image_options(chosen.known_as).edits,
        "masks": chosen is not None and image_options(chosen.known_as).masks,
        "given": find_input_files(actor, kind, values),
        **(payers_context(actor, values, None) if may_send else {}),
    }


def form_models(actor: Actor, kind: str) -> list[MediaModel]:
    """Return the models that the form of a kind offers, the default one first."""
    models = media_models(actor, kind)
    return MEDIA_SERVICES[kind].choose(models) if kind in MEDIA_SERVICES else models


def drawn_fields(kind: str, model: MediaModel, values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the fields that a model has, ready for the template."""
    return [
        _field_context(one, values.get(one.name, ""))
        for one in fields_of(kind, model)
        if not one.only_with or values.get(one.only_with)
    ]


def _field_context(one: MediaField, value: str) -> dict[str, Any]:
    if one.form == "choice" and value not in one.choices:
        value = ""
    return {
        "name": one.name,
        "form": one.form,
        "label": label_of(one.name),
        "hint": HINTS.get(one.name, ""),
        "choices": choices_of(one),
        "value": value or one.default,
        "required": one.required,
        "low": f"{one.low:g}",
        "high": f"{one.high:g}",
        "step": "1" if one.name == "seconds" else "0.05",
    }


def values_of_run(run: MediaRun) -> dict[str, str]:
    """Return the form values that a run was created with, to start another one."""
    initial = {
        one.role: id_text(one.file_id)
        for one in run.files.all()
        if one.role != RESULT and one.file_id is not None
    }
    key = id_text(run.key_id) if run.key_id else ""
    return {**run.settings, **initial, "model": run.model, "prompt": run.prompt, "key": key,
            "project": run.project}  # fmt: skip


# Results ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FileDisplay:
    """A file of a run. `url` is "" if it is no longer kept."""

    name: str
    role: str
    kind: str
    url: str
    size: str
    id: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class RunDisplay:
    """A run as a page shows it. `charge_nano` is None while the books do not have it."""

    run: MediaRun
    state: str
    results: Sequence[FileDisplay]
    given: Sequence[FileDisplay]
    settings: Sequence[tuple[str, str]]
    segments: Sequence[tuple[str, float, str]]
    charge_nano: int | None
    error: str
    next_step: str
    ask_href: str
    video: MediaTask | None = None
    kept_until: dt.datetime | None = None
    expired: bool = False
    made: ServiceResult | None = None

    @property
    def id(self) -> str:
        return self.run.text_id

    @property
    def kind_word(self) -> str:
        return str(PAGES.get(self.run.kind, self.run.kind))

    @property
    def service(self) -> MediaService | None:
        """Return the task service that made it, if any."""
        return MEDIA_SERVICES.get(self.run.kind)

    @property
    def waits(self) -> bool:
        """Whether the task waits for an answer."""
        return self.made is not None and bool(self.made.dialog)

    @property
    def model_word(self) -> str:
        """Return the name of the model, or for a service the name of its action."""
        return model_word(self.run.model)

    @property
    def title(self) -> str:
        """Return the prompt, or for a transcript the file name."""
        of_file = self.run.kind == MediaKind.TRANSCRIPTION and self.given
        return self.given[0].name if of_file else self.run.prompt

    @property
    def running(self) -> bool:
        return self.state == RunState.RUNNING

    @property
    def done(self) -> bool:
        return self.state == RunState.DONE

    @property
    def key(self) -> str:
        """Return the key that pays for follow-up requests."""
        return id_text(self.run.key_id) if self.run.key_id else ""

    @property
    def request_id(self) -> str:
        return id_text(self.run.request_id)

    @property
    def again_url(self) -> str:
        page = reverse(page_name(self.run.kind), args=[self.run.organisation.slug])
        return f"{page}?again={self.id}"


def describe_runs(
    runs: Iterable[MediaRun], prices: Mapping[str, int] = MappingProxyType({})
) -> list[RunDisplay]:
    """Return runs for display with the state of their tasks, read in one query. `prices` are the
    prices of the buttons below a picture."""
    listed = list(runs)
    names = [run.task for run in listed if run.task]
    tasks = {task.public_id: task for task in MediaTask.objects.filter(public_id__in=names)}
    return [_describe_run(run, tasks.get(run.task), prices) for run in listed]


def batches(runs: Iterable[RunDisplay]) -> list[list[RunDisplay]]:
    """Group runs by the form that requested them, the columns of a comparison in their order."""
    by_run: dict[UUID, list[RunDisplay]] = {}
    for one in runs:
        by_run.setdefault(one.run.batch, []).append(one)
    return [sorted(batch, key=lambda one: one.run.column) for batch in by_run.values()]


def recent_batches(actor: Actor, kind: str) -> list[list[RunDisplay]]:
    """Return the latest batches of a page, and those that are still running."""
    runs = visible_media(actor).filter(kind=kind)[:SHOWN_MAX]
    return batches(describe_runs(runs, button_prices(actor, kind)))


def batch_of(actor: Actor, run: MediaRun) -> list[RunDisplay]:
    """Return the runs of the same form as this one."""
    runs: QuerySet[MediaRun] = visible_media(actor).filter(batch=run.batch)
    return sorted(describe_runs(runs), key=lambda one: one.run.column)


def button_prices(actor: Actor, *kinds: str) -> dict[str, int]:
    """Return the price (nano) of each action that the actor may use, of the task services whose
    results have buttons."""
    priced = [kind for kind in kinds if kind in MEDIA_SERVICES and MEDIA_SERVICES[kind].priced]
    return {name: nano for kind in priced for name, nano in call_prices(actor, kind).items()}


def _kept_until(task: MediaTask | None, results: Iterable[Attachment | None]) -> Any:
    """Return when the first result is deleted, or None if a chat keeps it."""
    if task is not None:
        return task.expires_at
    ends = [file.unsent_until for file in results if file and file.unsent_until]
    return min(ends, default=None)


def _describe_run(run: MediaRun, task: MediaTask | None, prices: Mapping[str, int]) -> RunDisplay:
    outcome, service = run.outcome or {}, MEDIA_SERVICES.get(run.kind)
    state, error, charge = run.state, "", outcome.get("charge_nano")
    step = next_step(outcome.get("kind"))
    if run.task:
        state = _state_of_task(task)
        record = final_record(run.organisation_id, run.request_id) or {}
        charge = record.get("charge_nano")
        if state == RunState.FAILED:
            error, step = error_text(record), next_step("upstream_error")
    elif state == RunState.FAILED:
        error = error_text(outcome)
    if charge is None and run.ended_at and not run.task:
        # The run was abandoned, or lost, before its charge was booked, or before its request.
        booked = final_record(run.organisation_id, run.request_id)
        unsent = booked is None and unsent_requests(run.organisation_id, [run.request_id])
        charge = 0 if unsent else (booked or {}).get("charge_nano")
    slug = run.organisation.slug
    files = [(one, _file(slug, one)) for one in run.files.all()]
    results = [file for one, file in files if one.role == RESULT]
    return RunDisplay(
        run=run,
        state=state,
        results=results,
        given=[file for one, file in files if one.role != RESULT],
        settings=[
            (label_of(name), value_word(name, value))
            for name, value in run.settings.items()
            if (name, value) not in _USUAL and name not in _UNSEEN
        ],
        segments=[
            (clock_text(start), start, text)
            for start, _end, text in run.facts.get("segments") or ()
        ],
        charge_nano=charge,
        error=error,
        next_step=step,
        ask_href=ask_href(outcome),
        video=task if run.task else None,
        kept_until=_kept_until(task, [one.file for one, _ in files if one.role == RESULT]),
        expired=_is_expired(state, results, task),
        made=None if service is None else service.describe(slug, run, task, prices),
    )


def _state_of_task(task: MediaTask | None) -> str:
    if task is None or task.state == "failed":
        return RunState.FAILED
    return RunState.DONE if task.state == "succeeded" else RunState.RUNNING


def _is_expired(state: str, results: Sequence[FileDisplay], task: MediaTask | None) -> bool:
    if task is not None and state == RunState.DONE:
        return task.expires_at is None or task.expires_at <= clock.now()
    return any(not one.url for one in results)


def _file(slug: str, one: MediaFile) -> FileDisplay:
    file: Attachment | None = one.file
    if file is None:
        return FileDisplay(one.name, one.role, "", "", "", "")
    return FileDisplay(
        name=one.name,
        role=one.role,
        kind=file.kind,
        url=reverse("file_show", args=[slug, file.text_id]),
        size=data_size(file.size),
        id=file.text_id,
        width=file.facts.get("width"),
        height=file.facts.get("height"),
    )


def find_input_files(actor: Actor, kind: str, values: Mapping[str, str]) -> dict[str, Attachment]:
    """Return the initial files of a form, if they belong to the actor and are still kept."""
    prices = {}
    for role in ROLES[kind]:
        if values.get(role):
            with suppress(Http404):
                prices[role] = access_attachment(actor, values[role])
    return prices
