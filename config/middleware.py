"""Every response carries a request id, the one that its log lines and error pages show."""

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from lib.ids import id_text, new_id


@sync_and_async_middleware
def request_id(
    get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            request.id = id_text(new_id())  # type: ignore[attr-defined]
            response = await get_response(request)
            response["x-request-id"] = request.id  # type: ignore[attr-defined]
            return response

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        request.id = id_text(new_id())  # type: ignore[attr-defined]
        response = get_response(request)
        response["x-request-id"] = request.id  # type: ignore[attr-defined, index]
        return response  # type: ignore[return-value]

    return answer
