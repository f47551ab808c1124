"""One address, two forms: the whole page, or the part of it that htmx asked for."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def render_part(
    request: HttpRequest,
    page: str,
    part: str,
    context: dict[str, Any] | None = None,
    *,
    status: int = 200,
) -> HttpResponse:
    """Render `part` for a request of htmx, `page` (which includes it) for every other."""
    htmx = getattr(request, "htmx", None)
    wanted = part if htmx and not htmx.history_restore_request else page
    return render(request, wanted, context, status=status)
