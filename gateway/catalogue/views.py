"""Pages for operators: the catalogue update, which compares a list of models with the current facts
and shows each difference to accept or dismiss (W73, sync); and changes in the list of a provider's
models: view, accept, ignore (W71)."""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qs
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access.access import scope_of
from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from accounts.preferences.table_preferences import read_table
from billing.prices.prices import PriceRefused
from gateway.access import access_channel
from gateway.catalogue.access import (
    access_ignore_rule,
    visible_ignore_rules,
    visible_model_proposals,
    visible_updates,
)
from gateway.catalogue.forms import IgnoreForm, ListForm
from gateway.catalogue.list_proposals import accept_proposals, dismiss_proposals, price_proposals
from gateway.catalogue.model_change_rules import ChangeKind
from gateway.catalogue.model_changes import (
    changes_of,
    check_models,
    decide,
    listing_of,
    proposed_models,
)
from gateway.catalogue.updates import (
    Choice,
    add_ignore_rule,
    fetch_list,
    remove_ignore_rule,
    source_of,
    update_catalogue,
)
from gateway.catalogue.words import IGNORE_WORDS, display_proposal
from gateway.channels.channel_tests.words import words_of
from gateway.channels.refusals import ChannelRefused
from gateway.models import CatalogueUpdate, Channel, ModelProposal
from gateway.prices.forms import read_ids
from gateway.prices.price_views import proposal_words
from lib.htmx import redirect_to, render_dialog, see_other
from lib.ids import id_text
from lib.numbers.formatting import group_digits
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Badge, Column, Filter, State, Table

_WHAT: Final = {
    "added": Badge(_("New"), "ok", "plus"),
    "changed": Badge(_("Changed"), "info", "pencil"),
    "removed": Badge(_("No longer listed"), "warn"),
}
CATALOGUE: Final = Table(
    "catalogue",
    _("Catalogue update"),
    (
        Column("model", _("Model"), sort=True, card="title"),
        Column("field", _("Field"), sort=True, priority=2, card="second"),
        Column("what", _("Change"), "badge", sort="kind", card="first"),
        Column("difference", _("Difference"), card="last"),
        Column("source", _("Source"), sort=True, priority=3),
    ),
    default_sort="model",
    filters=(
        Filter("q", _("Model, field or source"), "search"),
        Filter(
            "what",
            _("Change"),
            choices=(
                ("", _("Any change")),
                ("added", _("New")),
                ("changed", _("Changed")),
                ("removed", _("No longer listed")),
            ),
        ),
    ),
    href="href",
    bulk=(("accept", _("Accept")), ("dismiss", _("Dismiss"))),
)
_UPDATES_SHOWN: Final = 5
_TEMPLATES: Final = (
    "gateway/catalogue/catalogue_update.html",
    "gateway/catalogue/_catalogue_update.html",
)


@operator_page("prices.write")
@require_safe
def catalogue(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(CATALOGUE, request, actor)
    source = ListSource(_proposal_rows(actor, state))
    return answer_table(request, state, source, _TEMPLATES, _context(actor, state))


@operator_page("prices.write")
@require_http_methods(["GET", "HEAD", "POST"])
def catalogue_update(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    sent = (request.POST, request.FILES) if request.method == "POST" else ()
    form = ListForm(*sent)
    if form.is_valid() and _compare(request, actor, form):
        return redirect_to(request, "catalogue")
    line = gettext(
        "JSON in the format of LiteLLM's model_prices_and_context_window.json. Prices and limits "
        "you set yourself are left alone."
    )
    return _dialog(request, form, gettext("Compare with a list"), gettext("Compare"), line)


def _compare(request: HttpRequest, actor: Actor, form: ListForm) -> bool:
    sent = form.cleaned_data
    file, address = sent["file"], sent["address"]
    try:
        text = file.read() if file else fetch_list(address)
        choice = Choice(sent["only"].split(), served=sent["served"])
        update = update_catalogue(actor, text, source_of(file.name if file else address), choice)
    except Refused as refused:
        refused.add_to(form)
        return False
    n = _total(update)
    message = ngettext("%(n)s change is proposed.", "%(n)s changes are proposed.", n)
    messages.success(request, message % {"n": n})
    return True


@operator_page("prices.write")
@require_POST
def catalogue_decide(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Accept or dismiss the ticked proposals, or all that match the filter."""
    if "everything" in request.POST:
        state = CATALOGUE.read(parse_qs(request.POST["everything"]))
        chosen = [UUID(row["key"]) for row in _proposal_rows(actor, state)]
    else:
        chosen = read_ids(request.POST.getlist("id"))
    try:
        if not chosen:
            raise Refused("ids", gettext("Select at least one row."))
        if request.POST.get("act") == "accept":
            decided = accept_proposals(actor, chosen)
            text = ngettext("%(n)s proposal accepted.", "%(n)s proposals accepted.", decided.made)
        else:
            decided = dismiss_proposals(actor, chosen)
            text = ngettext("%(n)s proposal dismissed.", "%(n)s proposals dismissed.", decided.made)
    except (Refused, PriceRefused) as error:
        messages.error(request, str(error))
    else:
        if decided.made:
            messages.success(request, text % {"n": decided.made})
        if decided.waiting:
            text = ngettext(
                "%(n)s price drops by more than half. Another operator must accept it too.",
                "%(n)s prices drop by more than half. Another operator must accept them too.",
                decided.waiting,
            )
            messages.warning(request, text % {"n": decided.waiting})
    model = request.POST.get("model", "")
    return see_other("model_admin", model) if model else see_other("catalogue")


@operator_page("prices.write")
@require_http_methods(["GET", "HEAD", "POST"])
def catalogue_ignore(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = IgnoreForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            add_ignore_rule(actor, **form.cleaned_data)
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Saved. It applies to the next update."))
            return redirect_to(request, "catalogue")
    return _dialog(request, form, gettext("Ignore a model"), gettext("Add rule"))


def _dialog(
    request: HttpRequest, form: forms.Form, title: str, verb: str, line: str = ""
) -> HttpResponseBase:
    context = {
        "form": form,
        "title": title,
        "line": line,
        "verb": verb,
        "back": reverse("catalogue"),
        "back_text": gettext("Catalogue update"),
    }
    return render_dialog(
        request, "accounts/organisations/form_dialog.html", context, refused=form.is_bound
    )


@operator_page("prices.write")
@require_POST
def catalogue_heed(request: HttpRequest, actor: Actor, id: int) -> HttpResponseBase:
    """Delete an ignore rule."""
    remove_ignore_rule(actor, access_ignore_rule(actor, id))
    messages.success(request, gettext("Rule deleted."))
    return see_other("catalogue")


def _context(actor: Actor, state: State) -> dict[str, Any]:
    return {
        "rules": [
            {"rule": rule, "field": IGNORE_WORDS.get(rule.field, rule.field)}
            for rule in visible_ignore_rules(actor)
        ],
        "updates": [_update_row(update) for update in visible_updates(actor)[:_UPDATES_SHOWN]],
        "bulk_url": reverse("catalogue_decide"),
        "everything": state.query() or "all",
    }


def _proposal_rows(actor: Actor, state: State) -> list[dict[str, Any]]:
    """Return the waiting proposals that match the filter: facts of models, then prices."""
    query, what = state.value("q").lower(), state.value("what")
    rows = [*_fact_rows(visible_model_proposals(actor)), *_price_rows()]
    return [
        row
        for row in rows
        if query in f"{row['model']} {row['field']} {row['source']}".lower()
        and what in ("", row["kind"])
    ]


def _fact_rows(proposals: Iterable[ModelProposal]) -> Iterable[dict[str, Any]]:
    for row in proposals:
        proposal = display_proposal(row)
        kind = "removed" if row.after is None else "added" if row.before is None else "changed"
        yield {
            **proposal,
            "key": str(row.id),
            "kind": kind,
            "what": _WHAT[kind],
            "difference": f"{proposal['before']} → {proposal['after']}",
            "href": reverse("model_admin", args=[row.model]),
        }


def _price_rows() -> Iterable[dict[str, Any]]:
    for proposal in price_proposals():
        line = proposal_words(proposal)
        yield {
            "id": line["id"],
            "key": str(proposal.row.id),
            "model": line["model"],
            "field": gettext("Prices"),
            "kind": proposal.what,
            "what": _WHAT[proposal.what],
            "difference": line["rates"],
            "source": proposal.row.source,
            "href": line["href"],
        }


def _update_row(update: CatalogueUpdate) -> dict[str, Any]:
    result = update.result
    return {
        "update": update,
        "added": result["prices"]["added"] + result["facts"]["added"],
        "changed": result["prices"]["changed"] + result["facts"]["changed"],
        "removed": result["prices"]["removed"] + result["facts"]["removed"],
        "unknown": result["unknown"],
        "skipped": result["skipped"],
        "skipped_count": result["skipped_count"],
    }


def _total(update: CatalogueUpdate) -> int:
    return sum([*update.result["prices"].values(), *update.result["facts"].values()])


_BADGES: Final[dict[ChangeKind, Badge]] = {
    "added": Badge(_("New"), "ok"),
    "gone": Badge(_("No longer listed"), "warn"),
    "renamed": Badge(_("Probably renamed"), "info"),
}


@operator_page("channels.read")
@require_safe
def channel_model_changes(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Show the undecided changes, and what accepting them would do."""
    return _page(request, actor, access_channel(actor, id))


@operator_page("channels.test")
@require_POST
def channel_models_check(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Read the list now."""
    check_models(actor, access_channel(actor, id))
    return see_other("channel_model_changes", id)


@operator_page("channels.write")
@require_POST
def channel_models_decide(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Accept the ticked changes, or (`dismiss`) ignore them."""
    channel, sent = access_channel(actor, id), request.POST
    ids = sent.getlist("id")
    names = dict(zip(sent.getlist("change"), sent.getlist("public"), strict=False))
    try:
        if not ids:
            raise ChannelRefused("changes", gettext("Select at least one change."))
        if "dismiss" in sent:
            done = len(decide(actor, channel, {}, ids))
            text = ngettext("%(n)s change ignored.", "%(n)s changes ignored.", done)
        else:
            done = len(decide(actor, channel, {one: names.get(one, "") for one in ids}, ()))
            text = ngettext("%(n)s change accepted.", "%(n)s changes accepted.", done)
    except ChannelRefused as refused:
        return _page(request, actor, channel, refused=refused.message, ids=ids, names=names)
    messages.success(request, text % {"n": group_digits(done)})
    return see_other("channel_model_changes", id)


def _page(
    request: HttpRequest,
    actor: Actor,
    channel: Channel,
    *,
    refused: str = "",
    ids: list[str] | None = None,
    names: dict[str, str] | None = None,
) -> HttpResponse:
    listing = listing_of(channel)
    changes = changes_of(channel)
    proposed = proposed_models(channel, changes)
    rows: list[dict[str, Any]] = [
        {
            "change": change,
            "badge": _BADGES[change.kind],
            "proposed": proposed.get(change.name),
            "public": (names or {}).get(change.id, change.name),
            "ticked": change.id in (ids or ()),
        }
        for change in changes
    ]
    cause, fix = words_of(listing.fault or None) if listing else (None, None)  # type: ignore[arg-type]
    context = {
        "channel": channel,
        "id": id_text(channel.id),
        "listing": listing,
        "cause": cause,
        "fix": fix,
        "rows": rows,
        "refused": refused,
        "may_write": scope_of(actor, "channels.write") is not None,
        "may_test": scope_of(actor, "channels.test") is not None,
    }
    status = 422 if refused else 200
    return render(request, "gateway/catalogue/channel_model_changes.html", context, status=status)
