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
from playground.conversations.conversations import access_attachment
from playground.media.answer import clock as clock_text
from playground.media.media import RESULT, visible_media
from playground.media.orders import ROLES
from playground.media.rules import MediaField, fields_of
from playground.media.service_results import Drawing, SongDisplay, describe_drawing, describe_song
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
        ("instrumental", "no"),
        ("words", "idea"),
    }
)
# Fields whose names mean nothing to readers.
_UNSEEN: Final = frozenset({"source", "clip", "custom"})
# The services whose models are called after their actions.
SERVICES: Final = (MediaKind.MUSIC, MediaKind.MIDJOURNEY)
# The initial action of a page. Midjourney's other actions are buttons below an image.
_FIRST_ACTIONS: Final = ("mj_imagine", "mj_blend", "mj_describe", "mj_shorten")
_WITH_PICTURES: Final = ("mj_imagine", "mj_blend", "mj_describe")
_PAGE_NAMES: Final[Mapping[str, str]] = {
    MediaKind.IMAGE: "images",
    MediaKind.SPEECH: "speech",
    MediaKind.TRANSCRIPTION: "transcription",
    MediaKind.VIDEO: "video",
    MediaKind.MUSIC: "music",
    MediaKind.MIDJOURNEY: "midjourney",
}


def page_name(kind: str) -> str:
    """Return the route of the page of a kind."""
    return _PAGE_NAMES[kind]


# The form ---------------------------------------------------------------------------------------


def form_context(actor: Actor, kind: MediaKind, values: Mapping[str, str]) -> dict[str, Any]:
    """Build the form of a kind with these values."""
    models = form_models(actor, kind)
    named = {model.name: model for model in models}
    chosen = named.get(values.get("model", ""), models[0] if models else None)
    may_send = scope_of(actor, "playground.use") is not None
    return {
        "kind": kind.value,
        "title": str(PAGES[kind]),
        "slug": slug_of(actor),
        "models": models,
        "model": chosen,
        "service": kind in SERVICES,
        "choices": [(model.name, model_word(model.name)) for model in models],
        "takes_pictures": kind in (MediaKind.IMAGE, MediaKind.VIDEO)
        or (chosen is not None and chosen.name in _WITH_PICTURES),
        "needs_words": chosen is None or chosen.name not in ("mj_blend", "mj_describe"),
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


def form_models(actor: Actor, kind: MediaKind) -> list[MediaModel]:
    """Return the models that the form of a kind offers, the default one first."""
    models = media_models(actor, kind.in_rules)
    if kind == MediaKind.MIDJOURNEY:
        named = {model.name: model for model in models}
        return [named[name] for name in _FIRST_ACTIONS if name in named]
    if kind == MediaKind.MUSIC:
        return sorted(models, key=lambda model: model.name, reverse=True)
    return models


def drawn_fields(
    kind: MediaKind, model: MediaModel, values: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the fields that a model has, ready for the template."""
    return [
        _field_context(one, values.get(one.name, ""))
        for one in fields_of(kind.in_rules, model)
        if one.name != "continue_at" or values.get("clip")
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
    song: SongDisplay | None = None
    drawing: Drawing | None = None

    @property
    def id(self) -> str:
        return self.run.text_id

    @property
    def kind_word(self) -> str:
        return str(PAGES[MediaKind(self.run.kind)])

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


def recent_batches(actor: Actor, kind: MediaKind) -> list[list[RunDisplay]]:
    """Return the latest batches of a page, and those that are still running."""
    runs = visible_media(actor).filter(kind=kind)[:SHOWN_MAX]
    return batches(describe_runs(runs, button_prices(actor, kind)))


def batch_of(actor: Actor, run: MediaRun) -> list[RunDisplay]:
    """Return the runs of the same form as this one."""
    runs: QuerySet[MediaRun] = visible_media(actor).filter(batch=run.batch)
    return sorted(describe_runs(runs), key=lambda one: one.run.column)


def button_prices(actor: Actor, kind: str) -> dict[str, int]:
    """Return the price (nano) of each Midjourney action that the actor may use; {} for other
    kinds."""
    return call_prices(actor, "midjourney") if kind == MediaKind.MIDJOURNEY else {}


def _kept_until(task: MediaTask | None, results: Iterable[Attachment | None]) -> Any:
    """Return when the first result is deleted, or None if a chat keeps it."""
    if task is not None:
        return task.expires_at
    ends = [file.unsent_until for file in results if file and file.unsent_until]
    return min(ends, default=None)


def _describe_run(run: MediaRun, task: MediaTask | None, prices: Mapping[str, int]) -> RunDisplay:
    outcome = run.outcome or {}
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
        # The run was abandoned, or lost, before its charge was booked.
        charge = (final_record(run.organisation_id, run.request_id) or {}).get("charge_nano")
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
        song=describe_song(slug, run, task) if run.kind == MediaKind.MUSIC else None,
        drawing=describe_drawing(run, task, prices) if run.kind == MediaKind.MIDJOURNEY else None,
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


def find_input_files(
    actor: Actor, kind: MediaKind, values: Mapping[str, str]
) -> dict[str, Attachment]:
    """Return the initial files of a form, if they belong to the actor and are still kept."""
    prices = {}
    for role in ROLES[kind.value]:
        if values.get(role):
            with suppress(Http404):
                prices[role] = access_attachment(actor, values[role])
    return prices
