"""Pages of signing in by link, and of keys (W02, W50)."""

import datetime as dt
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts import access, keys, signin
from accounts.access import Actor, organisation_page, public
from accounts.appearance import recall_appearance
from accounts.forms import KeyForm
from accounts.models import Key, KeyKind
from lib import clock
from lib.htmx import render_part
from lib.ids import id_text
from lib.pagination import BadCursor, Page, page_by_id

_ROWS = 50
_STATES = ("living", "active", "expired", "disabled", "revoked", "all")
_SOON = dt.timedelta(days=7)


@public
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_link(request: HttpRequest, text: str) -> HttpResponseBase:
    # Looking at the page uses nothing up: mail programs and chats open links by themselves.
    if request.method != "POST":
        link = signin.living_link(text)
        return _link_page(request, email=link.user.email) if link else _link_page(request)
    user = signin.use_sign_in_link(text)
    if user is None:
        return _link_page(request)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    response = redirect("root")
    recall_appearance(response, user)
    return response


def _link_page(request: HttpRequest, email: str = "") -> HttpResponse:
    return render(request, "accounts/link.html", {"email": email}, status=200 if email else 410)


@organisation_page("keys.read")
@require_safe
def key_list(request: HttpRequest, actor: Actor) -> HttpResponse:
    query = request.GET.get("q", "").strip()
    state = request.GET.get("state", "living")
    state = state if state in _STATES else "living"
    cursor = request.GET.get("after") or None
    rows = _in_state(_matching(access.visible_keys(actor), query), state, clock.now())
    try:
        page = page_by_id(rows, _ROWS, cursor)
    except BadCursor:
        page, cursor = page_by_id(rows, _ROWS, None), None
    context = {
        "nav": "keys",
        "rows": [_row(actor, key) for key in page.items],
        "query": query,
        "state": state,
        "filtered": bool(query) or state != "living",
        "may_create": access.scope_of(actor, "keys.write_own") is not None,
        "own_only": access.scope_of(actor, "keys.read") == "own",
        **_pager(query, state, cursor, page),
    }
    return render_part(request, "accounts/keys.html", "accounts/_keys.html", context)


def _matching(rows: QuerySet[Key], query: str) -> QuerySet[Key]:
    if not query:
        return rows
    return rows.filter(
        Q(name__icontains=query)
        | Q(prefix__startswith=query)
        | Q(last4=query[-4:])
        | Q(user__email__icontains=query)
    )


def _in_state(rows: QuerySet[Key], state: str, now: dt.datetime) -> QuerySet[Key]:
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


def _pager(query: str, state: str, cursor: str | None, page: Page[Key]) -> dict[str, str]:
    kept = {"q": query, "state": state}
    return {
        "first_href": f"?{urlencode(kept)}" if cursor else "",
        "next_href": f"?{urlencode({**kept, 'after': page.next})}" if page.next else "",
    }


def _row(actor: Actor, key: Key) -> dict[str, Any]:
    state = access.key_state(key, clock.now())
    soon = key.expires_at is not None and key.expires_at <= clock.now() + _SOON
    return {
        "key": key,
        "id": id_text(key.id),
        "state": "soon" if state == "active" and soon else state,
        "more": len(key.model_patterns) - 1,
        "may_write": state != "revoked" and access.may_write_key(actor, key),
    }


@organisation_page("keys.write_own")
@require_http_methods(["GET", "HEAD", "POST"])
def key_create(request: HttpRequest, actor: Actor) -> HttpResponse:
    form = KeyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            key, text = keys.mint_key(
                actor,
                access.access_team(actor),
                form.cleaned_data["name"],
                kind=KeyKind(form.cleaned_data["kind"]),
                user=actor.user,
                model_patterns=form.cleaned_data["models"],
                expires_at=form.cleaned_data["lifetime"],
            )
        except keys.KeyRefused as refused:
            form.add_error(refused.field if refused.field in form.fields else None, refused.message)
        else:
            return _made(request, key, text)
    return render_part(
        request,
        "accounts/key_new.html",
        "accounts/_key_form.html",
        {"nav": "keys", "form": form},
        status=422 if form.is_bound else 200,
    )


def _made(request: HttpRequest, key: Key, text: str) -> HttpResponse:
    """The one answer that holds the key's text; nothing may keep it (`private, no-store`)."""
    path = "/api/v1/keys" if key.kind == KeyKind.MANAGEMENT else "/v1/models"
    response = render_part(
        request,
        "accounts/key_made.html",
        "accounts/_key_made.html",
        {
            "nav": "keys",
            "key": key,
            "secret": text,
            "curl": f'curl {settings.PUBLIC_URL}{path} \\\n  -H "Authorization: Bearer {text}"',
        },
    )
    response["HX-Trigger"] = "keys-changed"
    return response


@organisation_page("keys.write_own")
@require_http_methods(["GET", "HEAD", "POST"])
def key_revoke(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    key = access.writable_key(actor, id)
    wrong = False
    if request.method == "POST":
        if request.POST.get("confirm", "").strip() == key.name:
            keys.revoke_key(actor, key)
            messages.success(request, gettext("Key %(name)s is revoked.") % {"name": key.name})
            return _to_list(request, key)
        wrong = True
    response = render_part(
        request,
        "accounts/key_revoke.html",
        "accounts/_key_revoke.html",
        {"nav": "keys", "key": key, "id": id_text(key.id), "wrong": wrong},
        status=422 if wrong else 200,
    )
    if wrong:
        response["HX-Retarget"] = "#dialog"
        response["HX-Reswap"] = "innerHTML"
    return response


def _to_list(request: HttpRequest, key: Key) -> HttpResponseBase:
    url = reverse("keys", args=[key.organisation.slug])
    if getattr(request, "htmx", None):
        response = HttpResponse(status=204)
        response["HX-Redirect"] = url
        return response
    response = redirect(url)
    response.status_code = 303
    return response
