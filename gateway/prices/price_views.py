"""Pages of prices for operators: the price book with its drafts, proposals and previews (W73)."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from accounts.preferences.table_preferences import read_table
from billing.approvals.approvals import waiting
from billing.currency.display import TOTAL_PLACES
from billing.currency.money import NANO_PER_USD, format_usd, round_half_even
from billing.models import ProposalState
from billing.prices.catalogue.shipped import load_shipped_catalogue
from billing.prices.conditions import PriceKey
from billing.prices.prices import ListedPrice, PriceRefused, key_of, list_prices
from billing.prices.pricing import PPM
from billing.prices.proposals import (
    PRICE,
    ListedProposal,
    accept,
    count_proposals,
    draft_price,
    ignore,
    list_proposal,
    list_proposals,
    planned_after,
    planned_at,
    withdraw,
)
from billing.prices.rate_changes import RateChange
from billing.prices.words import (
    RateDisplay,
    condition_text,
    condition_words,
    display_conditions,
    display_rates,
    meter_place,
    rate_name,
    source_name,
    unit_word,
)
from gateway.access import (
    access_preview,
    access_price,
    access_proposal,
    access_version,
    visible_previews,
    visible_proposals,
)
from gateway.models import PreviewState, PricePreview
from gateway.price_book.columns import PRICE_COLUMNS, add_cells
from gateway.price_book.price_book import BookEntry
from gateway.prices.forms import (
    DaysForm,
    PriceEdit,
    PriceKeyForm,
    condition_kinds,
    condition_values,
    edit_from,
    edit_of,
    meter_choices,
    read_ids,
)
from gateway.prices.previews import PreviewRefused, cancel_preview, start_preview
from lib import clock
from lib.files.csv_file import csv_file
from lib.htmx import redirect_to, render_dialog, render_part, see_other
from lib.ids import id_text, parse_number
from lib.numbers.formatting import group_digits
from lib.sentences import named_text
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Badge, Column, Filter, State, Table
from usage.limits.budget_forms import SCOPE_NAMES

# The operator's price book -----------------------------------------------------------------------

PRICES: Final = Table(
    "prices",
    _("Prices"),
    (
        Column("model", _("Model"), sort=True, card="title"),
        Column("condition", _("Applies to"), sort=True, priority=4, card="second"),
        *PRICE_COLUMNS,
        # Those that operators wrote come first: the list knows thousands that nobody uses.
        Column("source", _("Source"), sort="from_catalogue", priority=3),
        Column("since", _("Since"), "time", sort=True, priority=2, card="last"),
        Column("next", _("Next change"), "time", sort=True, priority=3),
    ),
    default_sort="source,model",
    filters=(
        Filter("q", _("Model, tier or channel"), "search"),
        Filter(
            "kind",
            _("Type"),
            choices=(("charge", _("Customer price")), ("cost", _("Your cost"))),
            default="charge",
        ),
        Filter(
            "source",
            _("Source"),
            choices=(
                ("", _("Any source")),
                ("shipped", _("Price list")),
                ("own", _("Custom")),
            ),
        ),
    ),
    href="href",
)


@operator_page("models.read")
@require_safe
def prices(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(PRICES, request, actor)
    rows = [row for row in _book_rows(state.value("kind")) if _matches_filters(row, state)]
    context = {"waiting": count_proposals(), "kind": state.value("kind")}
    templates = ("gateway/prices/prices.html", "gateway/prices/_prices.html")
    return answer_table(request, state, ListSource(rows), templates, context, _book_page)


@operator_page("models.read")
@require_safe
def price(request: HttpRequest, actor: Actor, id: int) -> HttpResponse:
    key = key_of(access_price(actor, id))
    versions = [
        version for version in list_prices([key.model], kind=key.kind) if version.key == key
    ]
    now = clock.now()
    rates = next((version.rates for version in versions if version.in_force_at(now)), None)
    return _price_page(request, actor, key, versions, edit_of(key, rates))


@operator_page("prices.write")
@require_safe
def price_new(request: HttpRequest, actor: Actor) -> HttpResponse:
    model = request.GET.get("model", "").strip()[:200]
    return _price_page(request, actor, PriceKey(model), [], edit_of(PriceKey(model), None))


@operator_page("prices.write")
@require_POST
def price_draft(request: HttpRequest, actor: Actor) -> HttpResponse:
    edit = edit_from(request.POST)
    versions = [
        version
        for version in list_prices([edit.key.model], kind=edit.key.kind)
        if version.key == edit.key
    ]
    if "more" in request.POST:
        edit.errors.clear()
        edit.add_row(request.POST["more"])
        return _price_page(request, actor, edit.key, versions, edit)
    rates, begins_at = edit.stored(), edit.begins_at()
    if not edit.problems:
        try:
            draft = draft_price(actor, edit.key, rates, valid_from=begins_at, note=edit.note)
        except PriceRefused as error:
            edit.errors.append(str(error))
        else:
            text = gettext("Saved as a draft. Publish it to put it into effect.")
            messages.success(request, text)
            return see_other("price_proposal", id_text(draft.id))
    return _price_page(request, actor, edit.key, versions, edit, status=422)


@operator_page("prices.write")
@require_http_methods(["GET", "HEAD", "POST"])
def price_withdraw(request: HttpRequest, actor: Actor, id: int) -> HttpResponseBase:
    version = access_version(actor, id)
    key = key_of(version.price)
    if request.method != "POST":
        context = {
            "version": version,
            "rates": display_rates(version.rates) + display_conditions(version.rates),
            "condition": condition_text(key),
        }
        return render_dialog(request, "gateway/prices/price_withdraw.html", context)
    try:
        withdraw(actor, version)
    except PriceRefused as error:
        messages.error(request, str(error))
        return redirect_to(request, "price", version.price_id)
    message = gettext("Version #%(id)s of %(model)s was withdrawn.")
    messages.success(request, message % {"id": id, "model": key.model})
    left = any(version.key == key for version in list_prices([key.model], kind=key.kind))
    to = ("price", version.price_id) if left else ("prices",)
    return redirect_to(request, *to)


def _price_page(
    request: HttpRequest,
    actor: Actor,
    key: PriceKey,
    versions: Sequence[ListedPrice],
    edit: PriceEdit,
    *,
    status: int = 200,
) -> HttpResponse:
    now = clock.now()
    history = [
        {
            "price": version,
            "rates": display_rates(version.rates) + display_conditions(version.rates),
            "state": "now"
            if version.in_force_at(now)
            else "later"
            if version.valid_from > now
            else "over",
        }
        for version in reversed(versions)
    ]
    context = {
        "waiting": count_proposals(),
        "key": key,
        "condition": condition_text(key),
        "history": history,
        "edit": edit,
        "key_form": PriceKeyForm(actor, edit.key),
        "key_narrowed": bool(edit.key.channel) or not edit.key.unconditional,
        "meters": meter_choices([*edit.rows, *edit.condition_rows]),
        "condition_kinds": condition_kinds(),
        "condition_values": condition_values(),
        "new": not versions,
    }
    return render(request, "gateway/prices/price.html", context, status=status)


def _book_rows(kind: str) -> list[dict[str, Any]]:
    by_key: dict[PriceKey, list[ListedPrice]] = {}
    for version in list_prices(kind=kind):
        by_key.setdefault(version.key, []).append(version)
    now = clock.now()
    return [_book_row(key, versions, now) for key, versions in by_key.items()]


def _book_row(key: PriceKey, versions: Sequence[ListedPrice], now: dt.datetime) -> dict[str, Any]:
    """Return the row of one price. `now` is None if no version is in force."""
    current = next((version for version in versions if version.in_force_at(now)), None)
    later = next((version for version in versions if version.valid_from > now), None)
    price = current or later
    return {
        "id": versions[0].price_id,
        "key": key,
        "model": key.model,
        "condition": condition_text(key),
        "source": "" if price is None else source_name(price),
        "from_catalogue": price is not None and price.from_catalogue,
        "now": current,
        "since": current.valid_from if current and current.valid_from.year > 1970 else None,
        "scheduled": later is not None,
        "next": later.valid_from if later else current and current.valid_to,
        "entry": BookEntry(key.model, current, PPM) if current else None,
    }


def _book_page(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "href": reverse("price", args=[row["id"]])} for row in add_cells(rows)]


def _matches_filters(row: Mapping[str, Any], state: State) -> bool:
    source = state.value("source")
    if state.value("q").lower() not in str(row["key"]).lower():
        return False
    return not source or row["from_catalogue"] == (source == "shipped")


# Proposals and drafts ----------------------------------------------------------------------------

PROPOSALS: Final = Table(
    "proposals",
    _("Drafts and proposals"),
    (
        Column("model", _("Model"), sort=True, card="title"),
        Column("condition", _("Applies to"), sort=True, priority=4),
        Column("what", _("Change"), "badge", sort="kind", card="first"),
        Column("rates", _("Rates"), card="second"),
        Column("percent", _("Biggest change"), "number", sort="permille", card="money"),
        Column("approval", _("Approval"), "badge", priority=3),
        Column("source", _("Source"), sort=True, priority=2, card="last"),
        Column("starts", _("Starts"), "time", sort=True, priority=4),
    ),
    default_sort="model",
    filters=(
        Filter("q", _("Model, tier, channel or source"), "search"),
        Filter(
            "what",
            _("Change"),
            choices=(
                ("", _("Any change")),
                ("draft", _("Drafts")),
                ("changed", _("Changed rates")),
                ("added", _("New prices")),
                ("removed", _("No longer listed")),
            ),
        ),
    ),
    href="href",
    bulk=(
        ("accept", _("Accept")),
        ("ignore", _("Dismiss")),
        ("preview", _("Preview")),
    ),
)
_CHANGES: Final[Mapping[str, Badge]] = {
    "draft": Badge(_("Draft"), icon="pencil"),
    "added": Badge(_("New"), "ok", "plus"),
    "removed": Badge(_("No longer listed"), "warn"),
    "changed": Badge(_("Changed"), "info", "pencil"),
}


@operator_page("models.read")
@require_safe
def proposals(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(PROPOSALS, request, actor)
    rows = [proposal_words(proposal) for proposal in _proposals_of(state)]
    context = {
        "waiting": count_proposals(),
        "previews": [_preview_row(proposal) for proposal in visible_previews(actor)[:10]],
        "bulk_url": reverse("price_decide"),
        "everything": state.query() or "all",
    }
    templates = ("gateway/prices/proposals.html", "gateway/prices/_proposals.html")
    return answer_table(request, state, ListSource(rows), templates, context)


def _proposals_of(state: State) -> list[ListedProposal]:
    """Return the waiting proposals that match the filter."""
    query, what = state.value("q").lower(), state.value("what")
    return [
        proposal
        for proposal in list_proposals()
        if query in f"{proposal.key} {proposal.row.source}".lower()
        and what in ("", _kind_of(proposal))
    ]


def _kind_of(proposal: ListedProposal) -> str:
    return "draft" if proposal.is_draft else proposal.what


def proposal_words(proposal: ListedProposal) -> dict[str, Any]:
    """Return one proposal as a row of the list."""
    row = _proposal_row(proposal)
    kind = _kind_of(proposal)
    made_by = proposal.row.made_by
    changes = [change.permille for change in proposal.changes if change.permille is not None]
    biggest = max(changes, key=abs, default=None)
    return {
        **row,
        "href": reverse("price_proposal", args=[row["id"]]),
        "kind": kind,
        "what": _CHANGES[kind],
        "rates": " · ".join(map(_change_words, row["changes"])),
        "permille": biggest,
        "percent": _percent(biggest),
        "approval": _approval_of(proposal),
        "source": proposal.row.source if kind != "draft" else made_by.email if made_by else "",
        "starts": proposal.row.valid_from,
    }


def _change_words(change: Mapping[str, Any]) -> str:
    name = change["name"]
    if change["input_over"] is not None:
        above = gettext("above %(n)s") % {"n": group_digits(change["input_over"])}
        name = f"{name} {above}"
    after = change["after"] or gettext("no rate")
    return named_text(name, f"{change['before']} → {after}" if change["before"] else after)


def _approval_of(proposal: ListedProposal) -> Badge | None:
    if proposal.approval is not None:
        return Badge(_("Waits for approval"), "warn")
    return Badge(_("Two operators"), icon="lock") if proposal.needs_two else None


@operator_page("models.read")
@require_safe
def proposal(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    return _proposal_page(request, actor, id)


def _proposal_page(
    request: HttpRequest, actor: Actor, id: str, *, refused: str = "", status: int = 200
) -> HttpResponse:
    proposal = list_proposal(access_proposal(actor, id))
    waits = proposal.row.state == ProposalState.OPEN
    context = {
        "waiting": count_proposals(),
        **_proposal_row(proposal),
        "rates": display_rates(proposal.row.rates) + display_conditions(proposal.row.rates)
        if proposal.row.rates
        else [],
        "waits": waits,
        "replaced": planned_at(proposal.row) if waits else None,
        "next": planned_after(proposal.row, proposal.row.valid_from or clock.now())
        if waits
        else None,
        "refused": refused,
        "approval": waiting(PRICE, id_text(proposal.row.id)),
        "days": DaysForm(),
    }
    return render(request, "gateway/prices/proposal.html", context, status=status)


@operator_page("prices.write")
@require_POST
def proposals_decide(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Accept, ignore or preview the ticked proposals, or all that match the filter."""
    if "everything" in request.POST:
        state = PROPOSALS.read(parse_qs(request.POST["everything"]))
        chosen = [proposal.row.id for proposal in _proposals_of(state)]
    else:
        chosen = read_ids(request.POST.getlist("id"))
    alone = id_text(chosen[0]) if request.POST.get("back") and len(chosen) == 1 else ""
    act = request.POST.get("act", "")
    try:
        if not chosen:
            raise PriceRefused(gettext("Select at least one row."))
        if act == "preview":
            form = DaysForm(request.POST)
            days = form.cleaned_data["days"] if form.is_valid() else 30
            return see_other("price_preview", id_text(start_preview(actor, chosen, days).id))
        if act == "ignore":
            n = ignore(actor, chosen)
            messages.success(
                request,
                ngettext("%(n)s proposal dismissed.", "%(n)s proposals dismissed.", n) % {"n": n},
            )
            return see_other("price_proposals")
        seen = map(parse_number, request.POST.getlist("replacing"))
        waiting = accept(actor, chosen, replacing=set(filter(None, seen)))
    except (PriceRefused, PreviewRefused) as error:
        if alone:
            return _proposal_page(request, actor, alone, refused=str(error), status=422)
        messages.error(request, str(error))
        return see_other("price_proposals")
    _show_accepted(request, actor, chosen)
    if waiting:
        message = ngettext(
            "%(n)s price drops by more than half. Another operator must approve it.",
            "%(n)s prices drop by more than half. Another operator must approve them.",
            len(waiting),
        )
        messages.warning(request, message % {"n": len(waiting)})
        if alone:
            return see_other("price_proposal", alone)
    return see_other("price_proposals")


def _show_accepted(request: HttpRequest, actor: Actor, chosen: Sequence[UUID]) -> None:
    accepted = visible_proposals(actor).filter(id__in=chosen, state=ProposalState.ACCEPTED)
    now = 0
    for row in accepted:
        if row.valid_from is None:
            now += 1
            continue
        message = gettext("Published. The price of %(model)s takes effect on %(at)s UTC.")
        at = date_format(row.valid_from, "DATETIME_FORMAT")
        messages.success(request, message % {"model": row.model, "at": at})
    if now:
        message = ngettext(
            "Published. %(n)s change is now in effect.",
            "Published. %(n)s changes are now in effect.",
            now,
        )
        messages.success(request, message % {"n": now})


@operator_page("prices.write")
@require_POST
def proposals_compare(request: HttpRequest, actor: Actor) -> HttpResponse:
    brought = load_shipped_catalogue(actor, again=True)
    if brought.made or any(brought.proposed):
        n = brought.made or sum(brought.proposed)
        message = gettext("%(source)s: %(n)s prices differ.") % {"source": brought.source, "n": n}
        messages.success(request, message)
    else:
        messages.success(request, gettext("%s brings no changes.") % brought.source)
    return see_other("price_proposals")


def _proposal_row(proposal: ListedProposal) -> dict[str, Any]:
    key = proposal.key
    return {
        "one": proposal,
        "id": id_text(proposal.row.id),
        "model": key.model,
        "cost": key.kind == "cost",
        "condition": condition_text(key),
        "changes": [
            {
                "name": _change_name(change),
                "unit": unit_word(change.meter) if change.meter else "",
                "input_over": change.input_over,
                "before": _rate_or_none(change.meter, change.before),
                "after": _rate_or_none(change.meter, change.after),
                "percent": _percent(change.permille),
            }
            for change in sorted(proposal.changes, key=_change_place)
        ],
    }


def _change_name(change: RateChange) -> str:
    if not change.condition:
        return rate_name(change.meter)
    words = condition_words(*change.condition)
    return f"{rate_name(change.meter)} · {words}" if change.meter else words


def _change_place(change: RateChange) -> tuple[int, int]:
    return -1 if change.input_over is None else change.input_over, meter_place(change.meter)


def _rate_or_none(meter: str, rate: int | None) -> str:
    return "" if rate is None else RateDisplay(meter, None, "", rate).text


def _percent(permille: int | None) -> str:
    if permille is None:
        return ""
    whole, tenth = divmod(abs(permille), 10)
    sign = "+" if permille > 0 else "\N{MINUS SIGN}" if permille < 0 else ""
    return f"{sign}{whole}.{tenth}%"


# Previews ----------------------------------------------------------------------------------------


@operator_page("models.read")
@require_safe
def preview(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    stored = access_preview(actor, id)
    context = {"waiting": count_proposals(), **_preview_row(stored), **_preview_result(stored)}
    return render_part(
        request, "gateway/prices/preview.html", "gateway/prices/_preview.html", context
    )


@operator_page("prices.write")
@require_POST
def preview_cancel(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    cancel_preview(actor, access_preview(actor, id))
    return see_other("price_preview", id)


@operator_page("models.read")
@require_safe
def preview_csv(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    stored = access_preview(actor, id)
    result = stored.result or {}
    summed = [name for name in result.get("columns", ()) if name.endswith("_nano")]
    head = ("group", "name", "rows", *(f"{name.removesuffix('_nano')}_usd" for name in summed))
    rows = (
        (group, name, count, *(format_usd(figure) for figure in figures[: len(summed)]))
        for group in ("models", "organisations")
        for name, count, *figures in result.get(group, ())
    )
    return csv_file(f"preview-{id_text(stored.id)}.csv", (head, *rows))


def _preview_row(preview: PricePreview) -> dict[str, Any]:
    return {
        "preview": preview,
        "id": id_text(preview.id),
        "running": preview.state in (PreviewState.QUEUED, PreviewState.RUNNING),
        "days": (preview.end_at - preview.start_at).days,
        "drafts": [
            {
                "id": draft.get("id"),
                "model": draft["model"],
                "condition": condition_text(
                    PriceKey(**{name: draft[name] for name in PriceKey._fields})
                ),
            }
            for draft in preview.drafts
        ],
    }


def _preview_result(preview: PricePreview) -> dict[str, Any]:
    result = preview.result
    if result is None:
        return {"result": None}
    columns = result["columns"]
    total = dict(zip(columns, result["total"], strict=True))
    # A draft applied to little usage changes fractions of a cent.
    places = TOTAL_PLACES if max(total["now_nano"], total["draft_nano"]) >= NANO_PER_USD else 6

    def make(group: str) -> list[dict[str, Any]]:
        return [
            _preview_line(name, dict(zip(columns, figures, strict=True)), places)
            for name, *figures in result[group][:100]
        ]

    return {
        "result": result,
        "total": _preview_line("", total, places),
        "unknown_now": total.get("cost_unknown_now", 0),
        "unknown_draft": total.get("cost_unknown_draft", 0),
        "budgets": [
            {
                **crossed,
                "scope": SCOPE_NAMES[crossed["scope"]],
                "begins": dt.datetime.fromisoformat(crossed["begins"]),
            }
            for crossed in result.get("budgets", ())
        ],
        "models": make("models"),
        "organisations": make("organisations"),
        "places": places,
    }


def _preview_line(name: str, figures: Mapping[str, int], places: int) -> dict[str, Any]:
    """Return the figures of a line. Differences are of rounded ones, so that the displayed ones
    add up."""
    step_nano: int = NANO_PER_USD // 10**places

    def rounded(nano: int) -> int:
        return round_half_even(nano, step_nano) * step_nano

    def margin(side: str) -> int | None:
        # As in usage/margin: the charges whose cost is known, less this cost. Results of earlier
        # versions do not tell them apart.
        unknown = figures.get(f"cost_unknown_{side}")
        if unknown is None or unknown == figures["rows"]:
            return None
        charged_nano = figures[f"{side}_nano"] - figures[f"unpriced_{side}_nano"]
        return rounded(charged_nano) - rounded(figures[f"cost_{side}_nano"])

    now, draft = figures["now_nano"], figures["draft_nano"]
    return {
        "name": name,
        "rows": figures["rows"],
        "now": now,
        "draft": draft,
        "difference": rounded(draft) - rounded(now),
        "margin_now": margin("now"),
        "margin": margin("draft"),
    }
