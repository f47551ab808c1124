"""The operators' table of exchange rates."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from accounts.preferences.table_preferences import read_table
from billing.access import exchange_rates
from billing.currency.exchange_rates import RateFields, add_rates, rate_text
from billing.currency.forms import ExchangeRateForm
from billing.models import ExchangeRate
from lib import clock
from lib.htmx import redirect_to, render_dialog
from lib.ids import id_text
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import QuerySource
from lib.tables.table import Column, Filter, Table

RATES = Table(
    "exchange-rates",
    _("Exchange rates"),
    (
        Column("currency", _("Currency"), sort=True, card="title"),
        Column("day", _("Day"), sort=True, card="second"),
        Column("rate", _("One USD is worth"), "code", card="money"),
        Column("source", _("Source"), sort=True, priority=2),
        Column("added", _("Added"), "time", sort="created_at", priority=3, card="last"),
    ),
    default_sort="-day",
    filters=(Filter("currency", _("Currency")),),
)


@operator_page("credits.write")
@require_safe
def exchange_rate_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    rows = exchange_rates(actor)
    codes = rows.order_by("currency").values_list("currency", flat=True).distinct()
    choices = [("", gettext("All currencies")), *((code, code) for code in codes)]
    state = read_table(RATES, request, actor, choices={"currency": choices})
    if state.value("currency"):
        rows = rows.filter(currency=state.value("currency"))
    templates = ("billing/currency/exchange_rates.html", "billing/currency/_exchange_rates.html")
    return answer_table(request, state, QuerySource(rows), templates, {}, _rate_rows)


@operator_page("credits.write")
@require_http_methods(["GET", "HEAD", "POST"])
def exchange_rate_add(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = ExchangeRateForm(request.POST or None, initial={"day": clock.now().date()})
    if form.is_valid():
        try:
            add_rates(actor, [RateFields(**form.cleaned_data)])
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Rate added."))
            return redirect_to(request, "exchange_rates")
    return render_dialog(
        request, "billing/currency/exchange_rate_new.html", {"form": form}, refused=form.is_bound
    )


def _rate_rows(page: list[ExchangeRate]) -> list[dict[str, Any]]:
    return [
        {
            "id": id_text(rate.id),
            "currency": rate.currency,
            "day": date_format(rate.day, "DATE_FORMAT"),
            "rate": rate_text(rate),
            "source": rate.source,
            "added": rate.created_at,
        }
        for rate in page
    ]
