"""Request ids on responses, log lines and error pages; the origin of requests for the audit trail;
the request limits' record of authenticated callers; cleanup of the tenant context; and the redirect
to the sign-in page when another request has ended the session."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.handlers.asgi import ASGIRequest
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.decorators import sync_and_async_middleware

from accounts.audit.origin import ORIGIN, origin_of
from accounts.guards.guards import redirect_to_sign_in
from config.server.request_limits import KNOWN
from lib.database.tenancy import current_tenant, iterate_within, iterate_within_async, use_tenant
from lib.ids import id_text, new_id
from lib.process.log_context import REQUEST_ID

Answer = Callable[[HttpRequest], HttpResponseBase]
AsyncAnswer = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


@sync_and_async_middleware
def request_id_middleware(get_response: Answer | AsyncAnswer) -> Answer | AsyncAnswer:
    if iscoroutinefunction(get_response):
        get_async = cast(AsyncAnswer, get_response)

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            with _name_request(request):
                response = await get_async(request)
                if hasattr(request, "actor") and _is_stream(response):
                    # Return the connection that the session write has used. Otherwise it would stay
                    # in use until the response is read.
                    await sync_to_async(close_old_connections)()
                return _add_headers(request, response)

        return answer_async

    get = cast(Answer, get_response)

    def answer(request: HttpRequest) -> HttpResponseBase:
        with _name_request(request):
            return _add_headers(request, get(request))

    return answer


def _is_stream(response: HttpResponseBase) -> bool:
    """Return whether the response is produced on the event loop while it is sent. Such a response
    needs no database connection."""
    return isinstance(response, StreamingHttpResponse) and response.is_async


@contextmanager
def _name_request(request: HttpRequest) -> Iterator[None]:
    """Give the request an id, put the id into its log lines, and set the origin for the audit
    trail."""
    request.id = id_text(new_id())  # type: ignore[attr-defined]
    origin, logged = ORIGIN.set(partial(origin_of, request)), REQUEST_ID.set(request.id)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        REQUEST_ID.reset(logged)
        ORIGIN.reset(origin)


def _add_headers(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    response["x-request-id"] = request.id  # type: ignore[attr-defined]
    if isinstance(request, ASGIRequest) and getattr(request, "actor", None) is not None:
        cast(dict[str, object], request.scope)[KNOWN] = True
    return response


@sync_and_async_middleware
def tenancy(get_response: Answer | AsyncAnswer) -> Answer | AsyncAnswer:
    """Leave the tenant that a view entered when it returns, so that the session is written and the
    next request starts outside any organisation. This is the innermost middleware."""
    if iscoroutinefunction(get_response):
        get_async = cast(AsyncAnswer, get_response)

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            with use_tenant(None):
                return _streamed_within(await get_async(request))

        return answer_async

    get = cast(Answer, get_response)

    def answer(request: HttpRequest) -> HttpResponseBase:
        with use_tenant(None):
            return _streamed_within(get(request))

    return answer


def _streamed_within(response: HttpResponseBase) -> HttpResponseBase:
    """Return the response with its remaining content produced in the view's tenant."""
    tenant = current_tenant()
    if tenant is not None and isinstance(response, StreamingHttpResponse):
        parts: Any = response.streaming_content
        each = iterate_within_async if response.is_async else iterate_within
        response.streaming_content = each(tenant, parts)
    return response


class SignInAgainMiddleware(SessionMiddleware):
    """Redirects to the sign-in page if another request has signed the person in or out in the
    meantime. Django would answer 400."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        try:
            return super().process_response(request, response)
        except SessionInterrupted:
            return cast(HttpResponse, redirect_to_sign_in(request))
