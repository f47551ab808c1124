"""The page of limits (W52): what an organisation, its teams and its people may ask at once."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_safe

from accounts import keys
from accounts.access import Actor, organisation_page
from accounts.forms import CountsForm
from accounts.limits import Subject, limited_subject, limited_subjects
from lib.htmx import render_part


@organisation_page("budgets.write")
@require_safe
def limit_list(request: HttpRequest, actor: Actor) -> HttpResponse:
    context = {"nav": "budgets", "tab": "limits", "rows": limited_subjects(actor)}
    return render_part(request, "accounts/limits.html", "accounts/_limits.html", context)


@organisation_page("budgets.write")
@require_http_methods(["GET", "HEAD", "POST"])
def limit_change(request: HttpRequest, actor: Actor, scope: str, id: str) -> HttpResponseBase:
    found = limited_subject(actor, scope, id)
    if found is None:
        raise Http404
    form = CountsForm(request.POST or None, initial=_counts(found))
    if request.method == "POST" and form.is_valid():
        keys.change_limits(actor, found.limited, **form.cleaned_data)
        messages.success(request, gettext("The limits are changed."))
        url = reverse("limits", args=[actor.organisation.slug])  # type: ignore[union-attr]
        if getattr(request, "htmx", None):
            gone = HttpResponse(status=204)
            gone["HX-Redirect"] = url
            return gone
        answer = redirect(url)
        answer.status_code = 303
        return answer
    response = render_part(
        request,
        "accounts/limit.html",
        "accounts/_limit.html",
        {"nav": "budgets", "form": form, "row": found},
        status=422 if form.is_bound else 200,
    )
    if form.is_bound:
        response["HX-Retarget"] = "#dialog"
        response["HX-Reswap"] = "innerHTML"
    return response


def _counts(found: Subject) -> dict[str, Any]:
    return {name: getattr(found.limited, name) for name in ("rpm", "tpm", "parallel")}
