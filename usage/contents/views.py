"""The page that searches the content log. A search is a POST with a reason, so that no link, reload
or prefetch opens a text, and each one is in the audit log."""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts.access.access import scope_of
from accounts.access.actors import Actor, slug_of
from accounts.audit.audit import REASON_MAX
from accounts.guards.guards import organisation_page
from content.log.log import DOWNLOADED_MAX, Search, download, search
from content.log.names import names_of
from lib import clock
from lib.files.csv_file import stream
from lib.htmx import is_htmx, render_part
from lib.ids import id_text
from lib.refusal import Refused
from lib.tables.filter_bar import Field
from lib.tables.keyset import BadCursor
from usage.contents.contents import STATUSES, entries_among, entries_of, read_filter
from usage.filter_bar.filter_bar import STATUS_WORDS, usage_bar
from usage.filters.filters import UsageFilter
from usage.filters.visibility import sees_requests
from usage.log.log_views import status_badge
from usage.overview.views import dropped_of
from usage.requests import words

_REASON: Final = "content_reason"
"""The name in the session under which the reason of the last search is kept, to fill the form."""


class SearchForm(forms.Form):
    """What to search for, and why."""

    text = forms.CharField(
        label=_("Text"),
        max_length=REASON_MAX,
        widget=forms.TextInput(attrs={"autocomplete": "off", "dir": "auto"}),
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=REASON_MAX,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("Your name, the text and the reason are recorded in the audit log."),
    )


class DownloadForm(SearchForm):
    """Which texts go into a file, and why."""

    prefix = "file"
    text = forms.CharField(
        label=_("Only requests that contain this text"),
        max_length=REASON_MAX,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "dir": "auto"}),
    )


@organisation_page("content.read")
@require_http_methods(["GET", "HEAD", "POST"])
def content_search(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    query = QueryDict(request.POST.get("filter", "")) if request.method == "POST" else request.GET
    usage_filter = read_filter(query.lists())
    reason = request.session.get(_REASON, "")
    form, file_form = (
        SearchForm(initial={"reason": reason}),
        DownloadForm(initial={"reason": reason}),
    )
    context: dict[str, Any] = {}
    if "file" in request.POST:
        file_form = DownloadForm(request.POST)
        answer = _file(request, actor, usage_filter, file_form)
        if answer is not None:
            return answer
    elif request.method == "POST":
        form = SearchForm(request.POST)
        context = _search(request, actor, usage_filter, form)
        file_form = DownloadForm(initial={name: form[name].value() for name in form.fields})
    with timezone.override(usage_filter.zone):
        return _page(request, actor, usage_filter, form, {**context, "file_form": file_form})


def _search(
    request: HttpRequest, actor: Actor, usage_filter: UsageFilter, form: SearchForm
) -> dict[str, Any]:
    """Return the context of a search's result, or none if the form is not accepted."""
    if not form.is_valid():
        return {}
    text, reason = form.cleaned_data["text"], form.cleaned_data["reason"]
    entries = entries_of(actor, usage_filter.span, usage_filter.scope)
    among = entries_among(actor, usage_filter.span, usage_filter.scope)
    try:
        cursor = request.POST.get("cursor", "")
        result = search(actor, entries, text, reason, cursor, among=among)
    except Refused as refused:
        refused.add_to(form)
        return {}
    except BadCursor:
        # It is only ever sent by the page itself: begin again.
        result = search(actor, entries, text, reason, among=among)
    request.session[_REASON] = reason
    return {"result": result, "hits": _hits(actor, result), "further": "cursor" in request.POST}


def _file(
    request: HttpRequest, actor: Actor, usage_filter: UsageFilter, form: DownloadForm
) -> HttpResponseBase | None:
    """Return the file; None if the form is not accepted."""
    if not form.is_valid():
        return None
    text, reason = form.cleaned_data["text"], form.cleaned_data["reason"]
    entries = entries_of(actor, usage_filter.span, usage_filter.scope)
    among = entries_among(actor, usage_filter.span, usage_filter.scope)
    try:
        lines = download(actor, entries, reason, text, among=among)
    except Refused as refused:
        refused.add_to(form)
        return None
    request.session[_REASON] = reason
    return content_file(request, lines)


def content_file(request: HttpRequest, lines: Iterator[bytes]) -> HttpResponseBase:
    """Stream the lines of a download as a file that no cache keeps."""
    name = f"content-log-{clock.now():%Y-%m-%d}.jsonl"
    response = stream(request, name, "application/x-ndjson", lines)
    response["Cache-Control"] = "private, no-store"
    return response


def _hits(actor: Actor, result: Search) -> list[dict[str, Any]]:
    names = names_of(hit.entry for hit in result.hits)
    log = reverse("requests", args=[slug_of(actor)]) if sees_requests(actor) else ""
    hits = []
    for entry, excerpt in result.hits:
        asked = names.of(entry)
        hits.append(
            {
                "time": entry.created_at,
                "href": log and f"{log}/{id_text(entry.request_id)}#conversation",
                "model": entry.model,
                "status": status_badge(entry.status, None),
                "key": words.key_name(asked.key_name),
                "person": asked.person,
                "excerpt": excerpt,
            }
        )
    return hits


def _page(
    request: HttpRequest,
    actor: Actor,
    usage_filter: UsageFilter,
    form: SearchForm,
    context: dict[str, Any],
) -> HttpResponse:
    slug = slug_of(actor)
    query = urlencode(usage_filter.pairs(log=True))
    status = Field(
        "status",
        _("Status"),
        value=usage_filter.scope.status or "",
        choices=[("", _("Any status")), *((name, STATUS_WORDS[name]) for name in STATUSES)],
    )
    before = [status]
    if usage_filter.scope.session_id:
        session = id_text(usage_filter.scope.session_id)
        before.append(Field("session", _("Session ID"), "search", session))
    path = reverse("content_search", args=[slug])
    context |= {
        "form": form,
        "path": path,
        "query": query,
        "bar": usage_bar(actor, usage_filter, log=True, single=False, before=before),
        "dropped": dropped_of(actor, usage_filter),
        "log_href": sees_requests(actor) and f"{reverse('requests', args=[slug])}?{query}",
        "audit_href": scope_of(actor, "audit.read")
        and f"{reverse('audit', args=[slug])}?action=read",
        "file_max": DOWNLOADED_MAX,
    }
    # The bar of filters asks for all but the form, and "Look further" for what follows.
    part = "_search.html" if request.method == "POST" else "_results.html"
    if context.get("further"):
        part = "_look.html"
    refused = form.errors or context["file_form"].errors
    response = render_part(
        request,
        "usage/contents/search.html",
        f"usage/contents/{part}",
        context,
        status=422 if refused else 200,
    )
    response["Cache-Control"] = "private, no-store"
    if is_htmx(request) and request.method == "GET":
        # The bar also sends its empty fields.
        response["HX-Push-Url"] = f"{path}?{query}" if query else path
    return response
