"""The page of shadow traffic: figures of the last day, and the single comparisons (W72)."""

from typing import Any, Final

from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.access.actors import Actor
from accounts.access.guards import operator_page
from accounts.preferences.table_preferences import read_table
from gateway.access import visible_rules, visible_shadow_answers
from gateway.models import ShadowAnswer
from gateway.routing.shadow_answers import shadow_figures, spent_today
from gateway.routing.shadow_rules import read_shadow
from lib.ids import id_text
from lib.tables.pages import answer_table
from lib.tables.sources import QuerySource
from lib.tables.table import Badge, Column, Filter, Table

_HOURS: Final = 24
SHADOW_ANSWERS: Final = Table(
    "shadow-answers",
    _("Shadow answers"),
    (
        Column("at", _("Time"), "ago", sort="id", card="last"),
        Column("model", _("Model"), card="title"),
        Column("channel", _("Shadow channel"), card="second"),
        Column("result", _("Result"), "badge", card="first"),
        Column("likeness", _("Text overlap"), "number", unit="%"),
        Column("main_total_ms", _("Main duration"), "duration", priority=3),
        Column("total_ms", _("Shadow duration"), "duration", priority=2),
        Column("main_tokens", _("Main tokens"), "number", priority=3),
        Column("tokens", _("Shadow tokens"), "number", priority=2),
        Column("cost", _("Cost"), "money", value="cost_nano", card="money"),
        Column("rid", _("Request ID"), "code", chosen=False),
    ),
    default_sort="-at",
    filters=(Filter("q", _("Model"), "search"),),
    big=True,
)


@operator_page("channels.read")
@require_safe
def shadow_traffic(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(SHADOW_ANSWERS, request, actor)
    rows = visible_shadow_answers(actor)
    if state.value("q"):
        rows = rows.filter(model__icontains=state.value("q"))
    spent = spent_today()
    shadows = {rule.model: read_shadow(rule.shadow) for rule in visible_rules(actor)}
    context = {
        "figures": shadow_figures(_HOURS),
        "rules": [
            {"model": model, "shadow": shadow, "spent_nano": spent.get(model, 0)}
            for model, shadow in shadows.items()
            if shadow is not None
        ],
    }
    templates = ("gateway/routing/shadow_traffic.html", "gateway/routing/_shadow_answers.html")
    return answer_table(request, state, QuerySource(rows), templates, context, _answer_rows)


def _answer_rows(page: list[ShadowAnswer]) -> list[dict[str, Any]]:
    return [
        {
            "id": row.id,
            "at": row.at,
            "model": row.model,
            "channel": row.channel,
            "result": _result(row),
            "likeness": row.likeness,
            "main_total_ms": row.main_total_ms,
            "total_ms": row.total_ms,
            "main_tokens": row.main_tokens,
            "tokens": row.tokens,
            "cost_nano": row.cost_nano,
            "rid": id_text(row.request_id),
        }
        for row in page
    ]


def _result(row: ShadowAnswer) -> Badge:
    main, shadow = row.main_status == 200, not row.fault
    if main and shadow:
        return Badge(_("Both answered"), "ok")
    if main:
        return Badge(_("Shadow failed"), "bad", "x")
    return Badge(_("Main failed"), "warn") if shadow else Badge(_("Both failed"), "bad", "x")
