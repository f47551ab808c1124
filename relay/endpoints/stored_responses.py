"""Stored responses and interactions by id: show them, list their input, delete them.

All data comes from our own store. A stored object exists only for the API key that created it,
until it expires (P12). Other keys get the same 404 as for an unknown id, even keys of the same team
or person.
"""

from collections.abc import Mapping
from typing import Final

from dialects.chat.kept import KeptResponse, decode_kept
from dialects.errors.errors import RequestFault
from dialects.json.raw_json import members_of
from dialects.responses import state
from relay.answers.state_store import StateKind
from relay.endpoints.request import Request

_LIMIT: Final = 20
_LIMIT_MAX: Final = 100
_NOTHING_RUNS: Final = "only {} that run in the background can be cancelled; this one has ended"


async def show_response(request: Request) -> None:
    """Answer with a stored response, or delete it."""
    kept = await _find(request, "response")
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
    kept = await _find(request, "response")
    await request.respond(_page_of_items(kept, _id_of(request), request.query))


async def show_interaction(request: Request) -> None:
    """Answer with a stored interaction, with its input if the query asks for that, or delete the
    interaction."""
    kept, query = await _find(request, "interaction"), request.query
    if request.scope["method"] == "DELETE":
        states, principal = request.life.parts.states, request.principal
        await states.drop(principal, "interaction", _id_of(request))
        await request.respond({})
    elif query.get("stream") == "true":
        what = "stream cannot be true: an interaction is shown as a whole"
        raise RequestFault("unsupported_capability", "stream", what)
    elif query.get("include_input") == "true":
        await request.respond(members_of(kept.response) | {"input": kept.items})
    else:
        await request.respond(bytes(kept.response))


async def cancel_response(request: Request) -> None:
    """Refuse: responses do not run in the background. Raises RequestFault."""
    await _find(request, "response")
    # 400, as OpenAI answers where a response did not run in the background.
    raise RequestFault("unsupported_capability", None, _NOTHING_RUNS.format("responses"))


async def cancel_interaction(request: Request) -> None:
    """Refuse the request, because interactions do not run in the background. Raises
    RequestFault."""
    await _find(request, "interaction")
    raise RequestFault("invalid_value", None, _NOTHING_RUNS.format("interactions"))


def _id_of(request: Request) -> str:
    return request.invocation.target.model


async def _find(request: Request, kind: StateKind) -> KeptResponse:
    id_ = _id_of(request)
    stored = await request.life.parts.states.find(request.principal, kind, [id_])
    if id_ not in stored:
        raise ResponseMissing(id_, kind)
    return decode_kept(stored[id_])


def _page_of_items(
    kept: KeptResponse, response_id: str, query: Mapping[str, str]
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
    """The response never existed, has expired, or belongs to another key: all have the same
    error."""

    def __init__(self, id_: str, kind: StateKind = "response") -> None:
        super().__init__("task_not_found", f"{kind}_id", id_)
        self.message = self.message.replace("Task", kind.capitalize(), 1)
