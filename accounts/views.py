"""Pages of signing in by link, and of keys (W02, W50)."""

from django.contrib import messages
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import access, keys, signin
from accounts.access import Actor, organisation_page, public
from accounts.appearance import recall_appearance
from lib.htmx import go_to, render_dialog
from lib.ids import id_text


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


@organisation_page("keys.write_own")
@require_http_methods(["GET", "HEAD", "POST"])
def key_revoke(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    key = access.writable_key(actor, id)
    wrong = False
    if request.method == "POST":
        if request.POST.get("confirm", "").strip() == key.name:
            keys.revoke_key(actor, key)
            messages.success(request, gettext("Key %(name)s is revoked.") % {"name": key.name})
            return go_to(request, "keys", key.organisation.slug)
        wrong = True
    return render_dialog(
        request,
        "accounts/key_revoke.html",
        {"key": key, "id": id_text(key.id), "wrong": wrong},
        refused=wrong,
    )
