"""An organisation's statements (W43) and the proof that its books agree (W44)."""

import datetime as dt
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.access import access
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from accounts.models import Organisation
from accounts.preferences.table_preferences import read_table
from billing.access import access_wallet
from billing.invoices.billing_details import zone_of
from billing.invoices.document import month_word
from billing.ledger.statement import month_of
from billing.ledger.statement_months import MonthStatement, month_statement
from billing.ledger.words import line_word
from lib.files.csv_file import csv_file
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Badge, Column, Table
from usage.months.detached import notice_text
from usage.reports.largest_groups import largest_groups
from usage.reports.reports import Group
from usage.statements import statements
from usage.statements.files import csv_rows, workbook
from usage.statements.statements import Check, TieOut
from usage.statements.words import CHECKS, GROUP_WORDS, PARTS, STATES, TABS

STATEMENTS = Table(
    "statements",
    _("Statements"),
    (
        Column("month", _("Month"), value="month_text", sort="month", href="href", card="title"),
        Column("state", _("Status"), "badge", value="badge", sort="state", card="first"),
        Column("invoice", _("Invoice"), sort=True, priority=2, card="second"),
        Column("total", _("Invoice total"), "total", sort=True, card="money"),
    ),
    default_sort="-month",
    key="period",
)
_GROUPS_MAX = 1_000
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@organisation_page("balance.read")
@require_safe
def statement_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    organisation = access_wallet(actor, "balance.read")
    state = read_table(STATEMENTS, request, actor)
    rows = [_month(actor, entry) for entry in statements.months_of(organisation)]
    templates = ("usage/statements/statements.html", "usage/statements/_statements.html")
    return answer_table(request, state, ListSource(rows), templates, _rights(actor))


def _month(actor: Actor, entry: statements.MonthEntry) -> dict[str, Any]:
    period = f"{entry.month:%Y-%m}"
    return {
        "period": period,
        "month": entry.month,
        "month_text": month_word(entry.month),
        "href": reverse("statement", args=[slug_of(actor), period]),
        "state": entry.state,
        "badge": STATES[entry.state],
        "invoice": entry.invoice.number or "" if entry.invoice else "",
        "total": entry.invoice.total_nano if entry.invoice else None,
    }


def _last_day(statement: MonthStatement) -> dt.date:
    end_at = statement.span.end_at.astimezone(statement.zone)
    return end_at.date() - dt.timedelta(days=1)


@organisation_page("balance.read")
@require_safe
def statement(request: HttpRequest, actor: Actor, period: str) -> HttpResponse:
    organisation = access_wallet(actor, "balance.read")
    comparison = statements.tie_out(organisation, read_statement_month(organisation, period))
    tab = request.GET.get("tab", "")
    may_group = _may_group(actor)
    groups = _groups(actor, comparison.statement, tab) if may_group and tab in TABS else []
    context = {
        "period": period,
        "month": month_word(comparison.statement.month),
        "found": comparison,
        "stated": comparison.statement,
        "last_day": _last_day(comparison.statement),
        "badge": STATES[comparison.state],
        "moved": [
            (GROUP_WORDS[group], nano) for group, nano in comparison.statement.moved().items()
        ],
        "own_nano": statements.paid_to_providers_nano(organisation, comparison.statement.span),
        "checks": [_check(check) for check in comparison.checks],
        "detached": notice_text(comparison.detached),
        "tabs": TABS.items() if may_group else [],
        "tab": tab if may_group and tab in TABS else "",
        "groups": groups,
        "groups_nano": sum(group.totals.charge_nano for group in groups),
        "lines": [(line_word(line.word_kind), line) for line in comparison.statement.lines],
        **_rights(actor),
    }
    return render(request, "usage/statements/statement.html", context)


@organisation_page("balance.read")
@require_safe
def statement_csv(request: HttpRequest, actor: Actor, period: str) -> HttpResponse:
    organisation = access_wallet(actor, "balance.read")
    statement = _read_statement(organisation, period)
    return _private(csv_file(f"statement-{period}.csv", csv_rows(statement)))


@organisation_page("balance.read")
@require_safe
def statement_xlsx(request: HttpRequest, actor: Actor, period: str) -> HttpResponse:
    organisation = access_wallet(actor, "balance.read")
    statement = _read_statement(organisation, period)
    tabs = TABS if _may_group(actor) else {}
    groups = {tab: _groups(actor, statement, tab) for tab in tabs}
    response = HttpResponse(workbook(statement, groups), content_type=_XLSX)
    response["Content-Disposition"] = f'attachment; filename="statement-{period}.xlsx"'
    return _private(response)


@organisation_page("balance.read")
@require_safe
def proof(request: HttpRequest, actor: Actor) -> HttpResponse:
    organisation = access_wallet(actor, "balance.read")
    whole = statements.proof(organisation)
    context = {
        "whole": whole,
        "months": [_comparison_context(month) for month in whole.months],
        "detached": notice_text(whole.detached),
        **_rights(actor),
    }
    return render(request, "usage/statements/proof.html", context)


def read_statement_month(organisation: Organisation, period: str) -> dt.date:
    """Return the first day of a month such as 2026-11 with a statement of the organisation. Raises
    Http404."""
    try:
        month = month_of(period)
    except ValueError as error:
        raise Http404 from error
    if not statements.has_month(organisation, month):
        raise Http404
    return month


def _read_statement(organisation: Organisation, period: str) -> MonthStatement:
    month = read_statement_month(organisation, period)
    return month_statement(organisation, month, zone_of(organisation))


def _groups(actor: Actor, statement: MonthStatement, tab: str) -> list[Group]:
    return largest_groups(actor, statement.span, tab, _GROUPS_MAX)  # type: ignore[arg-type]


def _may_group(actor: Actor) -> bool:
    """Return whether the actor sees all usage."""
    return access.scope_of(actor, "usage.read") == "all"


def _check(check: Check) -> dict[str, Any]:
    return {
        "word": CHECKS[check.name],
        "check": check,
        "badge": _verdict(check.ties),
        "parts": [(PARTS[part], nano) for part, nano in check.parts],
    }


def _comparison_context(one: TieOut) -> dict[str, Any]:
    verdict = _verdict(one.ties) if one.checks else STATES[one.state]
    return {
        "period": f"{one.statement.month:%Y-%m}",
        "month": month_word(one.statement.month),
        "stated": one.statement,
        "moved_nano": one.statement.closing_nano - one.statement.opening_nano,
        "used_nano": one.statement.moved()["usage"],
        "badge": verdict,
        "differences": [
            (CHECKS[check.name], check.difference_nano) for check in one.checks if not check.ties
        ],
    }


def _verdict(ties: bool) -> Badge:
    return Badge(_("Matches"), "ok") if ties else Badge(_("Differs"), "bad")


def _rights(actor: Actor) -> dict[str, bool]:
    return {"may_change": access.scope_of(actor, "wallet.write") is not None}


def _private(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "private, no-store"
    return response
