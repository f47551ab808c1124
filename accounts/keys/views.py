"""The dialog that revokes a key (W50)."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from accounts.access import access
from accounts.access.actors import Actor
from accounts.access.guards import organisation_page
from accounts.keys import keys
from lib.htmx import redirect_to, render_dialog
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
            return redirect_to(request, "keys", key.organisation.slug)
        wrong = True
    return render_dialog(
        request,
        "accounts/keys/key_revoke.html",
        {"key": key, "id": id_text(key.id), "wrong": wrong},
        refused=wrong,
    )
