"""Wins of the models in blind comparisons (W11)."""

from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.access.actors import Actor, slug_of
from accounts.access.guards import organisation_page
from accounts.preferences.table_preferences import read_table
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Column, Filter, Table
from playground.compare import compare
from playground.compare.rules import Ranking


def _interval(ranking: Ranking) -> str:
    return f"{ranking.low}–{ranking.high}%"


VOTES = Table(
    "votes",
    _("Win rates"),
    (
        Column("model", _("Model"), sort=True, card="title"),
        Column("rate", _("Win rate"), "number", sort=True, card="money"),
        Column(
            "interval", _("Interval (95%)"), "number", value=_interval, sort="low", card="second"
        ),
        Column("wins", _("Wins"), "number", sort=True, priority=2),
        Column("votes", _("Votes"), "number", sort=True, card="last"),
    ),
    # A model with few votes is not marked as the best yet.
    default_sort="-interval,-rate,model",
    key="model",
    filters=(Filter("q", _("Model"), "search"),),
)


@organisation_page("playground.read")
@require_safe
def votes(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Show the wins of the models in blind comparisons."""
    state = read_table(VOTES, request, actor)
    text = state.value("q").casefold()
    rows = [row for row in compare.organisation_standings(actor) if text in row.model.casefold()]
    templates = ("playground/compare/votes.html", "playground/compare/_votes.html")
    return answer_table(request, state, ListSource(rows), templates, {"slug": slug_of(actor)})
