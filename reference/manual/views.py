"""The manual under `/manual`, for everybody: as pages, as Markdown, and its search."""

from pathlib import PurePosixPath
from typing import Any, Final

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access.actors import Actor
from accounts.guards.guards import open_page, public
from reference.manual.llms_txt import llms_txt
from reference.manual.pages import PICTURE_TYPES, ManualPage, html_of, manual
from reference.manual.search import QUERY_MAX, find

# A diagram has a sheet of its own styles.
_OF_PICTURES: Final = "default-src 'none'; style-src 'unsafe-inline'"


@open_page
@require_safe
def manual_first(request: HttpRequest, actor: Actor | None) -> HttpResponse:
    return _show(request, manual().first)


@open_page
@require_safe
def manual_page(request: HttpRequest, actor: Actor | None, name: str) -> HttpResponse:
    """Show a page, its Markdown (`name` ends with `.md`), or a picture."""
    known = manual()
    if page := known.pages.get(name):
        return _show(request, page)
    if page := known.pages.get(name.removesuffix(".md")):
        return HttpResponse(page.source, content_type="text/markdown; charset=utf-8")
    file = PurePosixPath(name)
    if str(file.parent) == "images" and (picture := known.pictures.get(file.name)):
        response = HttpResponse(picture, content_type=PICTURE_TYPES[file.suffix])
        response.headers["Content-Security-Policy"] = _OF_PICTURES
        return response
    raise Http404


@open_page
@require_safe
def manual_search(request: HttpRequest, actor: Actor | None) -> HttpResponse:
    query = request.GET.get("q", "").strip()[:QUERY_MAX]
    hits = find(query, manual().in_order)
    context = {**_list_context(None), "query": query, "hits": hits}
    return render(request, "reference/manual/search.html", context)


@public
@require_safe
def llms(request: HttpRequest) -> HttpResponse:
    text = llms_txt(manual(), lambda page: settings.PUBLIC_URL + page.markdown_url)
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


def _show(request: HttpRequest, page: ManualPage) -> HttpResponse:
    before, after = manual().neighbours(page)
    context = {
        **_list_context(page),
        "page": page,
        "html": html_of(page),
        "before": before,
        "after": after,
    }
    return render(request, "reference/manual/page.html", context)


def _list_context(current: ManualPage | None) -> dict[str, Any]:
    known = manual()
    opened = [group for group in known.groups if current in group.members] or known.groups
    return {
        "first": known.first,
        "groups": known.groups,
        "opened": opened,
        "current": current,
        "query": "",
    }
