"""Pages of API keys (W50): the list with the budget, spending and last use of each, and the page of
one key with its usage, its permissions, and its last requests."""

import datetime as dt
import json
import shlex
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import access
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from accounts.keys import keys
from accounts.keys.forms import RotationForm
from accounts.models import Key, KeyKind
from accounts.preferences.table_preferences import read_table
from accounts.secrets import key_lookup
from billing.limits import budgets
from content.rules.log_rules import kept_by
from content.rules.words import rule_text
from lib import clock
from lib.htmx import back_to, is_htmx, redirect_to, render_dialog, see_other, toast
from lib.ids import id_text
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource, Source
from lib.tables.table import Badge, Column, Filter, Table
from usage.filters import filters
from usage.filters.visibility import sees_requests
from usage.keys.last_use import use_of_keys
from usage.limits.effective_limits import effective_settings
from usage.limits.views import meter_of
from usage.log.log_views import cells_of
from usage.overview.recent import describe_last_days, last_days
from usage.requests.columns import REQUESTS
from usage.requests.log import RequestRow, RequestSource

# Shorter than the shortest lifetime that the form offers.
_SOON = dt.timedelta(days=3)
# The time that the filter names.
_LISTED_SOON = dt.timedelta(days=7)
_STATES = (
    ("living", _("Not revoked")),
    ("active", _("Active")),
    ("expired", _("Expired")),
    ("disabled", _("Disabled")),
    ("revoked", _("Revoked")),
    ("all", _("All")),
)
_BADGES = {
    "active": Badge(_("Active"), "ok"),
    "soon": Badge(_("Expires soon"), "warn"),
    "expired": Badge(_("Expired"), icon="clock"),
    "disabled": Badge(_("Disabled"), icon="pause"),
    "revoked": Badge(_("Revoked"), icon="ban"),
}


KEYS = Table(
    "keys",
    _("API keys"),
    (
        Column("name", _("Name"), value="key.name", sort=True, card="title"),
        Column("secret", _("Key"), "code", value=lambda row: _secret(row["key"]), priority=3),
        Column("state", _("Status"), "badge", value=lambda row: badge_of(row["key"]), card="first"),
        Column("owner", _("Owner"), sort=True, priority=2, card="second"),
        Column("team", _("Team"), value="key.team.name", sort=True, chosen=False),
        Column("project", _("Project"), value="key.project.name", sort=True, chosen=False),
        Column(
            "models",
            _("Models"),
            value=lambda row: ", ".join(row["key"].model_patterns),
            priority=4,
        ),
        Column("rpm", _("Requests/min"), "number", value="key.rpm", sort=True, chosen=False),
        Column("tpm", _("Tokens/min"), "number", value="key.tpm", sort=True, chosen=False),
        Column(
            "parallel", _("Concurrency"), "number", value="key.parallel", sort=True, chosen=False
        ),
        Column("budget", _("Budget"), "meter", value="meter.limit_nano", priority=2),
        Column("spent", _("This month"), "total", value="use.spent_nano", sort=True, card="money"),
        Column("used", _("Last used"), "ago", value="use.last_at", sort=True, card="last"),
        Column("client", _("Last client"), value="use.client_name", sort=True, chosen=False),
        Column("address", _("Last address"), "code", value="use.address", chosen=False),
        Column("expires", _("Expires"), "ago", value="key.expires_at", sort=True, chosen=False),
        Column(
            "created", _("Created"), "time", value="key.created_at", sort="key.id", chosen=False
        ),
    ),
    default_sort="-created",
    key="key.id",
    filters=(
        Filter("q", _("Name, key or owner"), "search"),
        Filter("state", _("Status"), choices=_STATES, default="living"),
        Filter(
            "stale",
            _("Use"),
            choices=(
                ("", _("Any use")),
                ("30", _("Unused for 30 days")),
                ("90", _("Unused for 90 days")),
                ("soon", _("Expires within 7 days")),
            ),
        ),
    ),
    href="href",
    bulk=(
        ("disable", _("Disable")),
        ("enable", _("Enable")),
        ("expiry", _("Set expiry")),
        ("limits", _("Set limits")),
    ),
    refresh="keys-changed",
)


@organisation_page("keys.read")
@require_safe
def key_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    own_only = access.scope_of(actor, "keys.read") == "own"
    state = read_table(KEYS, request, actor, hidden=["owner"] if own_only else [])
    rows = _filter_by_state(
        _matching(access.visible_keys(actor), state.value("q")), state.value("state"), clock.now()
    )
    may_write = access.scope_of(actor, "keys.write_own") is not None
    context = {
        "may_create": may_write,
        "may_write": access.scope_of(actor, "keys.write") is not None,
        "may_budget": access.scope_of(actor, "budgets.write") is not None,
        "own_only": own_only,
        "bulk_url": reverse("keys_bulk", args=[slug_of(actor)]) if may_write else "",
    }
    return answer_table(
        request,
        state,
        ListSource(_stale(_usage_rows(actor, list(rows)), state.value("stale"), clock.now())),
        ("accounts/keys/keys.html", "accounts/keys/_keys.html"),
        context,
        lambda page: _key_rows(actor, page),
    )


def _matching(rows: QuerySet[Key], query: str) -> QuerySet[Key]:
    if not query:
        return rows
    return rows.filter(
        Q(name__icontains=query)
        | Q(prefix__startswith=query)
        | Q(last4=query[-4:])
        | Q(user__email__icontains=query)
        | Q(service_account__name__icontains=query)
    )


def _filter_by_state(rows: QuerySet[Key], state: str, now: dt.datetime) -> QuerySet[Key]:
    ended = Q(expires_at__lte=now)
    if state == "all":
        return rows
    if state == "revoked":
        return rows.exclude(revoked_at=None)
    rows = rows.filter(revoked_at=None)
    if state == "expired":
        return rows.filter(ended)
    if state == "disabled":
        return rows.filter(disabled=True).exclude(ended)
    return rows.filter(disabled=False).exclude(ended) if state == "active" else rows


def _stale(rows: list[dict[str, Any]], wanted: str, now: dt.datetime) -> list[dict[str, Any]]:
    """Return the keys that need attention: created long ago and not used since, or about to
    expire."""
    if wanted == "soon":
        return [row for row in rows if _expires_within(row["key"], now, _LISTED_SOON)]
    if wanted not in ("30", "90"):
        return rows
    since = now - dt.timedelta(days=int(wanted))
    return [row for row in rows if (row["use"].last_at or row["key"].created_at) < since]


def _usage_rows(actor: Actor, keys: list[Key]) -> list[dict[str, Any]]:
    """Return all keys of the list with their sort values."""
    uses = use_of_keys(actor, keys)
    return [
        {
            "key": key,
            "id": id_text(key.id),
            "href": reverse("key", args=[slug_of(actor), id_text(key.id)]),
            "owner": owner_of(key),
            "use": uses[key.id],
        }
        for key in keys
    ]


def _key_rows(actor: Actor, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the keys of one page with everything that the page shows."""
    now = clock.now()
    own = budgets.budgets_of_keys(actor, [row["key"] for row in rows])
    standings = {usage.budget.subject: usage for usage in budgets.current_usage(list(own.values()))}
    return [
        {
            **row,
            "expired": key_lookup.key_state(row["key"], now) == "expired",
            "former": key_lookup.living_former_secrets(row["key"], now),
            "may_write": row["key"].revoked_at is None and access.may_write_key(actor, row["key"]),
            "meter": meter_of(standings[str(row["key"].id)])
            if str(row["key"].id) in standings
            else None,
        }
        for row in rows
    ]


def owner_of(key: Key) -> str | None:
    """Return the display name of a key's owner: a person or a service account, or None."""
    if key.service_account:
        return key.service_account.name
    return (key.user.name or key.user.email) if key.user else None


def _secret(key: Key) -> str:
    return f"{key.prefix}…{key.last4}"


def badge_of(key: Key) -> Badge:
    now = clock.now()
    state = key_lookup.key_state(key, now)
    return _BADGES["soon" if _expires_within(key, now, _SOON) else state]


def _expires_within(key: Key, now: dt.datetime, time: dt.timedelta) -> bool:
    active = key_lookup.key_state(key, now) == "active"
    return active and key.expires_at is not None and key.expires_at <= now + time


def show_secret_once(
    request: HttpRequest, key: Key, text: str, *, rotated: bool = False, model: str = ""
) -> HttpResponse:
    """Return the only response with the key's text. It must not be cached (`private, no-store`).
    The command under it chats with `model`, or lists the models if it is ""."""
    response = render_dialog(
        request,
        "accounts/keys/key_made.html",
        {
            "key": key,
            "secret": text,
            "rotated": rotated,
            "former": key_lookup.living_former_secrets(key, clock.now()),
            "curl": _first_command(key, text, model),
        },
    )
    response["HX-Trigger"] = "keys-changed"
    return response


def _first_command(key: Key, text: str, model: str) -> str:
    path = "/api/v1/keys" if key.kind == KeyKind.MANAGEMENT else "/v1/models"
    lines = [f"curl {settings.PUBLIC_URL}{path}", f'-H "Authorization: Bearer {text}"']
    if model and key.kind != KeyKind.MANAGEMENT:
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
        lines[0] = f"curl {settings.PUBLIC_URL}/v1/chat/completions"
        lines += ['-H "Content-Type: application/json"', f"-d {shlex.quote(json.dumps(body))}"]
    return " \\\n  ".join(lines)


@organisation_page("keys.read")
@require_POST
def key_disable(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    return _switch(request, actor, access.writable_key(actor, id), disabled=True)


@organisation_page("keys.read")
@require_POST
def key_enable(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    return _switch(request, actor, access.writable_key(actor, id), disabled=False)


def _switch(request: HttpRequest, actor: Actor, key: Key, *, disabled: bool) -> HttpResponseBase:
    """Disable or enable a key immediately. In a list, a toast can undo it."""
    text = gettext("Key %(name)s disabled.") if disabled else gettext("Key %(name)s enabled.")
    text, tone = text % {"name": key.name}, "ok"
    undo = reverse(
        "key_enable" if disabled else "key_disable", args=[slug_of(actor), id_text(key.id)]
    )
    try:
        keys.change_key(actor, key, disabled=disabled)
    except keys.KeyRefused as refused:
        text, tone, undo = refused.message, "bad", ""
    if is_htmx(request):
        response = HttpResponse(status=204)
        return toast(response, text, gettext("Undo"), undo, tone=tone, event=KEYS.refresh)
    messages.add_message(request, messages.SUCCESS if undo else messages.ERROR, text)
    return see_other(back_to(request, reverse("keys", args=[slug_of(actor)])))


@organisation_page("keys.read")
@require_http_methods(["GET", "HEAD", "POST"])
def key_rotate(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    key = access.writable_key(actor, id)
    form = RotationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            rotated, text = keys.rotate_key(actor, key, form.cleaned_data["grace_hours"])
        except keys.KeyRefused as refused:
            form.add_error(None, refused.message)
        else:
            named = next((name for name in key.model_patterns if "*" not in name), "")
            return show_secret_once(request, rotated, text, rotated=True, model=named)
    return render_dialog(
        request,
        "accounts/keys/key_rotate.html",
        {
            "form": form,
            "key": key,
            "id": id_text(key.id),
            "former": key_lookup.former_uses(key, clock.now()),
        },
        refused=form.is_bound,
    )


@organisation_page("keys.read")
@require_POST
def key_end_former(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    key = keys.end_former_secrets(actor, access.writable_key(actor, id))
    messages.success(
        request, gettext("Only the newest secret of %(name)s works now.") % {"name": key.name}
    )
    return redirect_to(request, "keys", slug_of(actor))


@organisation_page("keys.read")
@require_safe
def key_end_user_secret(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    key = access.writable_key(actor, id)
    context = {"key": key, "id": id_text(key.id), "secret": keys.read_end_user_secret(actor, key)}
    return render_dialog(request, "usage/keys/end_user_secret.html", context)


KEY_REQUESTS = Table(
    "key-requests",
    _("Requests"),
    tuple(
        REQUESTS.column(name)
        for name in (
            "time", "status", "model", "channel", "ttft", "total", "tokens_in", "cached",
            "tokens_out", "cost", "id",
        )
    ),
    default_sort="-time",
    big=True,
    href="href",
)  # fmt: skip


@organisation_page("keys.read")
@require_safe
def key_page(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    key = access.access_key(actor, id)
    scope = filters.scope_of_keys(filters.EVERYTHING, (key.id,))
    month = last_days(actor, scope)
    state = read_table(KEY_REQUESTS, request, actor, hidden=[] if actor.operator else ["channel"])
    listed = sees_requests(actor)
    source: Source[RequestRow] = ListSource(())
    if listed:
        source = RequestSource(actor, month.span, scope)

    log = reverse("requests", args=[slug_of(actor)])

    def make(rows: list[RequestRow]) -> list[dict[str, Any]]:
        return [cells_of(log, month, row) for row in rows]

    context = {
        **_about(actor, key),
        **describe_last_days(actor, month),
        "use": use_of_keys(actor, [key])[key.id],
        "listed": listed,
    }
    templates = ("usage/keys/key.html", "usage/keys/_key_requests.html")
    return answer_table(request, state, source, templates, context, make)


def _kept(actor: Actor, key: Key) -> dict[str, Any]:
    """Return what the content log keeps of the key's requests, and where the actor changes that."""
    rule = kept_by(key.organisation, key.team, key).limited_rule
    writes = access.scope_of(actor, "organisation.write") is not None
    own = rule is not None and rule.scope == "key"
    return {
        "kept": rule_text(rule),
        "may_keep": writes and not own and key.revoked_at is None,
        "log_rules_href": reverse("log_rules", args=[slug_of(actor)]) if writes else "",
    }


def _about(actor: Actor, key: Key) -> dict[str, Any]:
    """Return what the key may do, and what the actor may do with the key."""
    own = list(budgets.budgets_of_keys(actor, [key]).values())
    budget_usage = next(iter(budgets.current_usage(own)), None)
    living = key.revoked_at is None
    return {
        "settings": effective_settings(actor, key=key),
        **_kept(actor, key),
        "key": key,
        "id": id_text(key.id),
        "badge": badge_of(key),
        "owner": owner_of(key),
        "former": key_lookup.former_uses(key, clock.now()),
        "relay": key.kind == KeyKind.RELAY,
        "may_write": living and access.may_write_key(actor, key),
        "may_rotate": key_lookup.key_state(key, clock.now()) != "expired",
        "budget": budget_usage.budget if budget_usage else None,
        "meter": meter_of(budget_usage) if budget_usage else None,
    }
