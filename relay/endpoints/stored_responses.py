"""Stored responses by id: show them, list their input, delete them. All data comes from our own
store. A response exists only for the API key that created it, until it expires (P12). Other keys
get the same 404, even those of the same team or person.
"""

from collections.abc import Mapping
from typing import Final

from dialects.errors.errors import RequestFault
from dialects.responses import state
from relay.endpoints.request import Request

_LIMIT: Final = 20
_LIMIT_MAX: Final = 100


async def show_response(request: Request) -> None:
    """Answer with a stored response, or delete it."""
    kept = await _find(request)
    if request.scope["method"] != "DELETE":
        await request.respond(bytes(kept.response))
        return
    states, response_id = request.life.parts.states, _id_of(request)
    for item, _ in state.keep_items(bytes(kept.response), ""):
        await states.drop(request.principal, "item", item)
    await states.drop(request.principal, "response", response_id)
    await request.respond({"id": response_id, "object": "response", "deleted": True})


async def list_input_items(request: Request) -> None:
    """Answer with the input items of a stored response."""
    await request.respond(_page_of_items(await _find(request), _id_of(request), request.query))


def _id_of(request: Request) -> str:
    return request.invocation.target.model


async def _find(request: Request) -> state.KeptResponse:
    response_id = _id_of(request)
    stored = await request.life.parts.states.find(request.principal, "response", [response_id])
    if response_id not in stored:
        raise ResponseMissing(response_id)
    return state.decode_kept(stored[response_id])


def _page_of_items(
    kept: state.KeptResponse, response_id: str, query: Mapping[str, str]
) -> dict[str, object]:
    """Return a page of the input items, the newest first unless `order` is asc."""
    items = state.list_items(kept, response_id)
    if query.get("order") != "asc":
        items.reverse()
    ids = [str(item["id"]) for item in items]
    start = ids.index(query["after"]) + 1 if query.get("after") in ids else 0
    page = items[start : start + _read_limit(query.get("limit", ""))]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": start + len(page) < len(items),
    }


def _read_limit(text: str) -> int:
    if not text:
        return _LIMIT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= _LIMIT_MAX:
        raise RequestFault("invalid_value", "limit", f"limit must be between 1 and {_LIMIT_MAX}")
    return int(text)


class ResponseMissing(RequestFault):
    """The same error for a response that never existed, has expired, or belongs to another key."""

    def __init__(self, response_id: str) -> None:
        super().__init__("task_not_found", "response_id", response_id)
        self.message = self.message.replace("Task", "Response", 1)
