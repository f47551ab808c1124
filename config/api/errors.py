"""The form of the management API's errors, also for pages that answer in its place."""

import json

from django.http import HttpRequest, HttpResponse


def error_response(
    request: HttpRequest,
    status: int,
    message: str,
    *,
    type: str = "invalid_request_error",
    code: str | None = None,
    param: str | None = None,
) -> HttpResponse:
    """Build an error of the management API. The request id is next to the error object."""
    return HttpResponse(
        json.dumps(
            {
                "error": {"message": message, "type": type, "param": param, "code": code},
                "request_id": getattr(request, "id", None),
            }
        ),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "private, no-store"},
    )
