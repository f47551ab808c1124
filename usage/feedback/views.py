"""The pages of feedback: each one, and sums by model, team and version of a prompt."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.access import access
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from accounts.preferences.table_preferences import read_table
from lib import clock
from lib.ids import id_text
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource, QuerySource
from lib.tables.table import OWN_PARAMETERS, Column, Filter, State, Table
from usage.feedback.feedback import (
    Sums,
    SumsBy,
    filter_feedback,
    sums_of,
    team_names,
    visible_feedback,
)
from usage.feedback.rules import GOOD_FROM
from usage.filters import filters
from usage.models import Feedback
from usage.overview.views import usage_tabs

_PERIOD: Final = (Filter("since", _("From"), "date"), Filter("until", _("To"), "date"))
FEEDBACK: Final = Table(
    "feedback",
    _("Feedback"),
    (
        Column("time", _("Time"), "time", sort="id", card="last"),
        Column("score", _("Score"), "number", card="money", hint=_("From 0, bad, to 100, good")),
        Column("label", _("Label"), priority=2, card="first"),
        Column("comment", _("Comment"), card="second"),
        Column("model", _("Model"), sort="model", priority=2, card="title"),
        Column("team", _("Team"), priority=3),
        Column("prompt", _("Prompt"), priority=3),
        Column("prompt_version", _("Prompt version"), "number", chosen=False),
        Column("author", _("Person"), priority=3),
        Column("id", _("Request ID"), "code", value="rid", chosen=False),
    ),
    default_sort="-time",
    href="href",
    filters=(
        Filter("q", _("Label or comment"), "search"),
        Filter("model", _("Model"), "search"),
        Filter("prompt", _("Prompt"), "search"),
        Filter(
            "score",
            _("Score"),
            choices=(("", _("Any score")), ("good", _("Good")), ("bad", _("Bad"))),
        ),
        *_PERIOD,
    ),
)
_BY: Final[Mapping[str, SumsBy]] = {"model": "model", "team": "team", "prompt": "prompt"}
FEEDBACK_SUMS: Final = Table(
    "feedback_sums",
    _("Sums of feedback"),
    (
        Column("name", _("Name"), sort=True, card="title"),
        Column("version", _("Prompt version"), "number", sort=True, priority=2),
        Column("total", _("Feedback"), "number", sort=True, card="second"),
        Column("scored", _("With a score"), "number", sort=True, priority=3),
        Column("good", _("Good"), "number", sort=True, priority=2),
        Column("good_percent", _("Good share"), "number", sort=True, unit="%", card="money"),
        Column("mean", _("Mean score"), "number", sort=True, card="first"),
        Column("commented", _("With a comment"), "number", sort=True, priority=3),
    ),
    default_sort="-total",
    key="id",
    href="href",
    filters=(
        Filter(
            "by",
            _("Group by"),
            choices=(("model", _("Model")), ("team", _("Team")), ("prompt", _("Prompt"))),
            default="model",
        ),
        *_PERIOD,
    ),
)


@organisation_page("requests.read")
@require_safe
def feedback_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    hidden = ["author"] if access.scope_of(actor, "requests.read") == "own" else []
    state = read_table(FEEDBACK, request, actor, hidden=hidden)
    rows = _within(actor, state).filter(model__icontains=state.value("model"))
    rows = _of_prompt(rows, state.value("prompt"))
    if text := state.value("q"):
        rows = rows.filter(Q(label__icontains=text) | Q(comment__icontains=text))
    if state.value("score") in ("good", "bad"):
        good = Q(score__gte=GOOD_FROM)
        rows = rows.filter(good if state.value("score") == "good" else ~good, score__isnull=False)
    log = reverse("requests", args=[slug_of(actor)])

    def make(page: list[Feedback]) -> list[dict[str, Any]]:
        names = team_names(page)
        return [_cells(row, names.get(row.team_id, ""), log) for row in page]

    templates = ("usage/feedback/feedback.html", "usage/feedback/_feedback.html")
    return answer_table(
        request, state, QuerySource(rows), templates, _context(request, actor), make
    )


@organisation_page("requests.read")
@require_safe
def feedback_sums(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    by = _BY.get(request.GET.get("by", ""), "model")
    hidden = [] if by == "prompt" else ["version"]
    state = read_table(FEEDBACK_SUMS, request, actor, hidden=hidden)
    path = reverse("feedback", args=[slug_of(actor)])
    rows = [_sums_cells(one, by, path) for one in sums_of(_within(actor, state), by)]
    templates = ("usage/feedback/sums.html", "usage/feedback/_sums.html")
    return answer_table(request, state, ListSource(rows), templates, _context(request, actor))


def _context(request: HttpRequest, actor: Actor) -> dict[str, Any]:
    usage_filter = filters.from_query({}, clock.now(), channels=False, ignored=OWN_PARAMETERS)
    return {"tabs": usage_tabs(actor, usage_filter, "feedback")}


def _within(actor: Actor, state: State) -> QuerySet[Feedback]:
    since, until = state.period
    return filter_feedback(actor, visible_feedback(actor), since=since, until=until)


def _of_prompt(rows: QuerySet[Feedback], text: str) -> QuerySet[Feedback]:
    """Select feedback by a part of the prompt's slug, or by slug@version."""
    slug, separator, version = text.partition("@")
    if not separator:
        return rows.filter(prompt__icontains=text)
    number = int(version) if version.isascii() and version.isdecimal() else 0
    return rows.filter(prompt=slug, prompt_version=number)


def _cells(row: Feedback, team: str, log: str) -> dict[str, Any]:
    rid = id_text(row.request_id)
    return {
        "id": row.id,
        "time": row.created_at,
        "score": row.score,
        "label": row.label or None,
        "comment": row.comment or None,
        "model": row.model,
        "team": team or None,
        "prompt": row.prompt or None,
        "prompt_version": row.prompt_version,
        "author": row.author.email if row.author else None,
        "rid": rid,
        "href": f"{log}/{rid}",
    }


def _sums_cells(one: Sums, by: SumsBy, path: str) -> dict[str, Any]:
    id = one.id if one.version is None else f"{one.id}@{one.version}"
    return {
        **one._asdict(),
        "id": id,
        "name": one.name or _("Deleted team"),
        "good_percent": one.good_percent,
        "href": "" if by == "team" else f"{path}?{urlencode([(by, id)])}",
    }
