"""The page of one request (W33): its course, its cost, and the proof of its cost. The holds on an
organisation's money, by request (W40)."""

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts.access.access import scope_of
from accounts.access.actors import Actor
from accounts.guards.guards import organisation_page
from accounts.models import Organisation
from accounts.preferences.table_preferences import read_table
from billing.access import access_wallet
from billing.idempotency import Answer, FormSent, form_answered
from dialects.errors.errors import detail_of
from lib import clock
from lib.htmx import render_part, see_other
from lib.ids import id_text, parse_id
from lib.numbers.formatting import SPEED_FROM_MS
from lib.tables.pages import answer_table
from lib.tables.sources import StatementSource
from lib.tables.table import Badge, Column, Filter, State, Table, status_filter
from notify.deliveries.deliveries import hook_of
from notify.models import DeliveryState
from notify.webhooks.views import STATES
from usage.filters import filters
from usage.log.reading_form import conversation_context
from usage.log.receipt_context import receipt_context, recomputed_context
from usage.models import SettleAs
from usage.records.counted_meters import tokens_of
from usage.requests import receipts, words
from usage.requests.budget_refusals import budget_refusal
from usage.requests.guard_uses import guard_effects, guard_refusal, guard_uses
from usage.requests.log import RequestRow
from usage.reviews import reviews
from usage.reviews.forms import ReviewForm, review_context
from usage.reviews.reviews import ReviewRefused

_HOUR: Final = dt.timedelta(hours=1)


@organisation_page("requests.read")
@require_safe
def request_page(request: HttpRequest, actor: Actor, rid: str) -> HttpResponse:
    return _detail(request, actor, rid, "usage/requests/_request.html")


@organisation_page("requests.read")
@require_POST
def request_recompute(request: HttpRequest, actor: Actor, rid: str) -> HttpResponse:
    return _detail(request, actor, rid, "usage/requests/_receipt_check.html", recompute=True)


@organisation_page("requests.read")
@require_safe
def receipt_file(request: HttpRequest, actor: Actor, rid: str) -> HttpResponse:
    """Return the receipt as JSON, as the management API does. 404 while the request runs."""
    receipt = receipts.document(receipts.request_detail(actor, rid))
    if receipt is None:
        raise Http404
    response = JsonResponse(receipt, json_dumps_params={"indent": 2})
    response["Content-Disposition"] = f'attachment; filename="receipt-{rid}.json"'
    return response


@organisation_page("credits.write")
@require_POST
def review_settle(request: HttpRequest, actor: Actor, rid: str) -> HttpResponseBase:
    request_id = parse_id(rid)
    under_review, _ = reviews.review_of(request_id) if request_id else (None, None)
    if request_id is None or under_review is None or actor.organisation is None:
        raise Http404
    if under_review.organisation_id != actor.organisation.id:
        raise Http404
    form = ReviewForm(request.POST)
    if form.is_valid():
        cleaned = form.cleaned_data
        settle_as = SettleAs(cleaned["settle_as"])

        def act() -> Answer:
            amount_nano = cleaned["amount"] if settle_as == SettleAs.AMOUNT else None
            reviews.settle_review(
                actor, request_id, settle_as, amount_nano=amount_nano, reason=cleaned["reason"]
            )
            return Answer(201, {})

        try:
            form_answered(request, actor, cleaned["once"], act)
        except ReviewRefused as refused:
            refused.add_to(form)
        except FormSent as sent:
            form.add_error(None, str(sent))
        else:
            messages.success(request, gettext("Request settled."))
            return see_other("request", actor.organisation.slug, rid)
    return _detail(request, actor, rid, "usage/requests/_request.html", form=form)


def _outcome(row: RequestRow) -> Badge | None:
    """Return the outcome of the request in two words, or None while it runs."""
    if row.running:
        return None
    if row.stopped:
        return Badge(gettext("Stopped"))
    if row.rejected:
        return Badge(words.kind_text(row.display_kind), "warn", "shield")
    if row.unanswered:
        return Badge(words.kind_text(row.display_kind) or str(row.status), "bad", "x")
    return Badge(gettext("Completed"), "ok", "check")


def _detail(
    request: HttpRequest,
    actor: Actor,
    rid: str,
    part: str,
    *,
    recompute: bool = False,
    form: ReviewForm | None = None,
) -> HttpResponse:
    detail = receipts.request_detail(actor, rid)
    visible_detail = detail if actor.operator else receipts.hide_channel_names(detail)
    zone = filters.from_query({"tz": request.GET.getlist("tz")}, clock.now(), channels=False).zone
    row = visible_detail.row
    effects = guard_effects(actor, row.flags) if row.flags else []
    doubted = "quarantine" in row.flags
    reviewed = review_context(actor, row.request_id, form) if doubted else {}
    context = {
        "outcome": _outcome(row),
        "zone": zone.key,
        **conversation_context(actor, id_text(row.request_id)),
        "refresh_url": request.get_full_path(),
        "milliseconds": f"{row.admitted_at.microsecond // 1000:03}",
        "asked_model": visible_detail.requested_model_if_replaced,
        "basis": words.BASES.get(row.basis, row.basis),
        "api_format": words.api_format(row.dialect, row.operation),
        "app": words.app_name(row.app),
        "source": words.source_name(row.source, row.app),
        "kind": words.kind_text(row.display_kind),
        "message": detail_of(row.kind or "", detail.message),
        "budget": budget_refusal(row.organisation, detail.message) if row.by_budget else None,
        "flags": [
            words.flag_word(flag)
            for flag in row.flags
            if not words.is_guard_use(flag)
            and flag != "masked"
            and (flag != "quarantine" or not reviewed.get("decided"))
        ],
        "guards": guard_uses(actor, row.request_id, row.flags),
        "guard_effects": effects,
        "refusal": guard_refusal(effects, detail.message) if row.rejected else None,
        "may_see_policies": scope_of(actor, "organisation.write") is not None,
        **receipt_context(visible_detail),
        "raw_usage": _pretty(visible_detail.raw_usage),
        "speed": _speed(row),
        "session": row.session_id and id_text(row.session_id),
        "callback": _callback(actor, visible_detail),
        "tokens": tokens_of(row.meters),
        **(recomputed_context(receipts.recompute(detail)) if recompute else {}),
        **reviewed,
    }
    with timezone.override(zone):
        status = 422 if form is not None else 200
        return render_part(request, "usage/requests/request.html", part, context, status=status)


def _callback(actor: Actor, detail: receipts.RequestDetail) -> dict[str, Any] | None:
    """Return the call to a media task's callback address, or None."""
    if actor.organisation is None or detail.ended_at is None:
        return None
    task = hook_of(actor.organisation.id, detail.row.request_id, detail.ended_at)
    if task is None:
        return None
    return {
        "badge": STATES[DeliveryState(task.state)],
        "tries": [
            {**one, "at": dt.datetime.fromisoformat(one["at"])} for one in task.tries if "ms" in one
        ],
    }


def _speed(row: RequestRow) -> str:
    """Return the output tokens per second of answering, with one decimal below a hundred."""
    tokens = tokens_of(row.meters)
    out = tokens.written
    answering_ms = (row.total_ms or 0) - (row.ttft_ms or 0)
    if not out or row.ttft_ms is None or answering_ms < SPEED_FROM_MS:
        return ""
    tenths = out * 10_000 // answering_ms
    figure = f"{tenths // 10}.{tenths % 10}" if tenths < 1000 else str(tenths // 10)
    return gettext("%(n)s tok/s after that") % {"n": figure}


def _pretty(raw: object) -> str:
    return "" if raw is None else json.dumps(raw, indent=2, ensure_ascii=False)


_BADGES: Final = {
    "running": Badge(_("Running"), "info", "circle-dashed"),
    "late": Badge(_("Overdue"), "warn", "clock"),
    "kept": Badge(_("Under review"), "info", "search"),
}


@dataclass(frozen=True)
class _Held:
    """One hold. `state` is `late` if it has expired unresolved, and `kept` if an operator must
    review the request's usage. `id` is the attempt's id."""

    id: UUID
    request_id: UUID
    model: str
    key: str
    amount_nano: int
    opened_at: dt.datetime
    state: str
    slug: str

    @property
    def request(self) -> str:
        return id_text(self.request_id)

    @property
    def href(self) -> str:
        return reverse("request", args=[self.slug, self.request])

    @property
    def badge(self) -> Badge:
        return _BADGES[self.state]


HOLDS = Table(
    "holds",
    _("Reserved now"),
    (
        Column("since", _("Since"), "ago", value="opened_at", sort=True, card="last"),
        Column("state", _("Status"), "badge", value="badge", sort="state", card="first"),
        Column("model", _("Model"), sort=True, card="title"),
        Column(
            "key", _("Key"), value=lambda held: words.key_name(held.key), sort="key", card="second"
        ),
        Column("held", _("Reserved"), "money", value="amount_nano", sort=True, card="money"),
        Column("request", _("Request"), "code", priority=3),
    ),
    default_sort="since",
    href="href",
    filters=(
        Filter("q", _("Request, model or key"), "search"),
        status_filter(_BADGES),
    ),
)


@organisation_page("balance.read")
@require_safe
def hold_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    organisation = access_wallet(actor, "balance.read")
    state = read_table(HOLDS, request, actor)
    templates = ("usage/requests/holds.html", "usage/requests/_holds.html")
    return answer_table(request, state, _hold_source(organisation, state), templates, {})


def _hold_source(organisation: Organisation, state: State) -> StatementSource[_Held]:
    """Return the current holds that match the filters."""
    text = state.value("q")
    parameters = {
        "organisation": organisation.id,
        "slug": organisation.slug,
        "state": state.value("state"),
        "text": text,
        "request": parse_id(text),
    }
    return StatementSource(_OPEN, parameters, _Held)


_OPEN: Final = """
    SELECT * FROM (
        SELECT hold.id, r.request_id, r.model, coalesce(key.name, '') AS key, hold.amount_nano,
               hold.opened_at,
               CASE WHEN hold.state = 'kept' THEN 'kept'
                    WHEN hold.expires_at < now() THEN 'late' ELSE 'running' END AS state,
               %(slug)s::text AS slug
        FROM billing_hold hold
        JOIN usage_attempt r ON r.organisation_id = hold.organisation_id AND r.id = hold.id
        LEFT JOIN accounts_key key ON key.id = r.key_id
        WHERE hold.organisation_id = %(organisation)s
        -- Each by its own index, in which only the few are that are not resolved.
        AND (hold.state = 'open' OR hold.state = 'kept')
    ) held
    WHERE %(state)s IN ('', state)
    AND (request_id = %(request)s OR strpos(lower(model || ' ' || key), lower(%(text)s)) > 0)"""
