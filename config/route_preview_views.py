"""The page on which operators see where a request would go (W34)."""

from typing import Any, Final

from django import forms
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods

from accounts.actors import Actor
from accounts.guards import operator_page
from config.route_preview import PATHS, PreviewRefused, preview_route
from gateway.model_rule_views import CAUSE_WORDS
from relay.data_policy import DATA_POLICY_HEADER
from relay.labels import LABELS_HEADER
from relay.route_preview import RoutePreview
from usage import words

_EXAMPLE: Final = '{"model": "", "messages": [{"role": "user", "content": "Hello"}]}'


def _header(name: str, hint: Any) -> forms.CharField:
    return forms.CharField(
        label=name,
        help_text=hint,
        max_length=4000,
        required=False,
        widget=forms.TextInput(attrs={"class": "input mono", "autocomplete": "off"}),
    )


class RoutePreviewForm(forms.Form):
    """A request as it would be sent."""

    key = forms.CharField(
        label=gettext_lazy("Key ID"),
        max_length=60,
        help_text=gettext_lazy(
            "The key that would send the request: the end of its page's address."
        ),
        widget=forms.TextInput(attrs={"class": "input mono", "autocomplete": "off"}),
    )
    path = forms.ChoiceField(
        label=gettext_lazy("Endpoint"),
        choices=[(path, path) for path in PATHS],
        widget=forms.Select(attrs={"class": "input"}),
    )
    body = forms.CharField(
        label=gettext_lazy("Request body"),
        initial=_EXAMPLE,
        strip=False,
        widget=forms.Textarea(attrs={"class": "input mono", "rows": 10, "spellcheck": "false"}),
    )
    labels = _header(LABELS_HEADER, gettext_lazy("Labels, if a channel is only for some of them."))
    data_policy = _header(DATA_POLICY_HEADER, gettext_lazy("Zero data retention and regions."))

    def headers(self) -> dict[str, str]:
        """Those that decide where it goes."""
        sent = self.cleaned_data
        return {LABELS_HEADER: sent["labels"], DATA_POLICY_HEADER: sent["data_policy"]}


@operator_page("channels.read")
@require_http_methods(["GET", "HEAD", "POST"])
def route_preview(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    sent = request.method == "POST"
    form = RoutePreviewForm(request.POST) if sent else RoutePreviewForm(initial=_initial(request))
    found: RoutePreview | None = None
    if sent and form.is_valid():
        cleaned = form.cleaned_data
        try:
            found = preview_route(
                request,
                actor,
                cleaned["key"],
                cleaned["path"],
                cleaned["body"].encode(),
                form.headers(),
            )
        except Http404:
            form.add_error("key", gettext("There is no key with this ID."))
        except PreviewRefused as refused:
            refused.tell(form)
    context = {"form": form, **(_shown(found) if found else {})}
    return render(request, "route_preview.html", context, status=422 if form.errors else 200)


def _initial(request: HttpRequest) -> dict[str, str]:
    return {"key": request.GET["key"]} if "key" in request.GET else {}


def _shown(preview: RoutePreview) -> dict[str, Any]:
    return {
        "preview": preview,
        "causes": [CAUSE_WORDS[cause] for cause in sorted(preview.causes)],
        "attempts": [
            {"attempt": attempt, "why": words.CHOSEN[attempt.why]} for attempt in preview.attempts
        ],
        "skipped": [
            {
                "skipped": skipped,
                "reason": words.SKIPPED[skipped.reason],
                "wait_s": round(skipped.wait_s),
            }
            for skipped in preview.skipped
        ],
    }
