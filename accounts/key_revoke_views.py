"""The dialog that revokes a key (W50)."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from accounts import access, keys
from accounts.actors import Actor
from accounts.guards import organisation_page
from lib.htmx import go_to, render_dialog
from lib.ids import id_text


@organisation_page("keys.write_own")
@require_http_methods(["GET", "HEAD", "POST"])
def key_revoke(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    key = access.writable_key(actor, id)
    wrong = False
    if request.method == "POST":
        if request.POST.get("confirm", "").strip() == key.name:
            keys.revoke_key(actor, key)
            messages.success(request, gettext("Key %(name)s was revoked.") % {"name": key.name})
            return go_to(request, "keys", key.organisation.slug)
        wrong = True
    return render_dialog(
        request,
        "accounts/key_revoke.html",
        {"key": key, "id": id_text(key.id), "wrong": wrong},
        refused=wrong,
    )
