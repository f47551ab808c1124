"""Responses of views to htmx, and to browsers without it."""

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme


def is_htmx(request: HttpRequest) -> bool:
    return bool(getattr(request, "htmx", None))


def page_address(request: HttpRequest) -> str:
    """Return the path and query of our page that sent the htmx request, or an empty text."""
    htmx: Any = getattr(request, "htmx", None)
    try:
        return htmx.current_url_abs_path or "" if htmx else ""
    except ValueError:
        return ""


def render_part(
    request: HttpRequest,
    page: str,
    part: str,
    context: dict[str, Any],
    *,
    status: int = 200,
) -> HttpResponse:
    """Render `part` for an htmx request, and `page`, which includes the part, for every other
    request. The context's `apart` is true if the part is sent without its page; the part then also
    sends the elements that follow it on the page."""
    apart = _wants_part(request)
    return render(request, part if apart else page, {**context, "apart": apart}, status=status)


def render_dialog(
    request: HttpRequest, template: str, context: dict[str, Any], *, refused: bool = False
) -> HttpResponse:
    """Render a template that extends `frame`: in the page's dialog for an htmx request, else as a
    page. A form with errors stays in its dialog."""
    frame = "dialog.html" if _wants_part(request) else "dialog_page.html"
    status = 422 if refused else 200
    response = render(request, template, {**context, "frame": frame}, status=status)
    if refused:
        response["HX-Retarget"] = "#dialog"
        response["HX-Reswap"] = "innerHTML"
    return response


def _wants_part(request: HttpRequest) -> bool:
    htmx: Any = getattr(request, "htmx", None)
    return bool(htmx) and not htmx.history_restore_request


def see_other(to: str, *args: object) -> HttpResponse:
    """Redirect to an address or a named URL with GET (303) after a form was accepted."""
    response = redirect(to, *args)
    response.status_code = 303
    return response


def back_to(request: HttpRequest, otherwise: str) -> str:
    """Return the address in the form's `next` if it is one of ours, else `otherwise`."""
    back = str(request.POST.get("next", ""))
    return (
        back if back.startswith("/") and url_has_allowed_host_and_scheme(back, None) else otherwise
    )


def sent_next(request: HttpRequest) -> str:
    """Return the page that a dialog was opened on, for its form to name as `next`."""
    return str(request.POST.get("next", request.GET.get("next", "")))


def redirect_to(request: HttpRequest, to: str, *args: object) -> HttpResponse:
    """Redirect as `see_other` does, also for a form sent by htmx, which would insert the target of
    a 303."""
    if not is_htmx(request):
        return see_other(to, *args)
    response = HttpResponse(status=204)
    response["HX-Redirect"] = resolve_url(to, *args)
    return response


def toast(
    response: HttpResponse,
    text: str,
    action: str = "",
    post: str = "",
    tone: str = "ok",
    event: str = "",
) -> HttpResponse:
    """Show a toast. `action` is a button that posts to an address, `event` an additional event for
    the page."""
    detail = {"text": text, "tone": tone}
    if action:
        detail |= {"action": action, "post": post}
    events = {"toast": detail} | ({event: {}} if event else {})
    # Headers are Latin-1; JSON escapes the rest.
    response["HX-Trigger"] = json.dumps(events)
    return response
