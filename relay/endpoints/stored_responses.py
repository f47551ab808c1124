"""Stored responses and interactions by id: show them, list their input, delete them.

All data comes from our own store. A stored object exists only for the API key that created it,
until it expires (P12). Other keys get the same 404 as for an unknown id, even keys of the same team
or person.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from dialects.chat.kept import KeptResponse, decode_kept
from dialects.errors.errors import RequestFault
from dialects.json.raw_json import members_of
from dialects.responses import background, state
from relay.answers.background import BackgroundAnswer, find_background, read_input
from relay.answers.state_store import StateKind
from relay.answers.stored_response import find_response, forget_response
from relay.endpoints.background import follow_response
from relay.endpoints.request import Request

_LIMIT: Final = 20
_LIMIT_MAX: Final = 100
_NOTHING_RUNS: Final = "only {} that run in the background can be cancelled; this one has ended"
_NO_ITEMS: Final = "the input of this response is not stored"
_NO_EVENTS: Final = (
    "stream cannot be true: the events of a response are stored only if it ran in the background"
)
_WITHOUT_STREAM: Final = "starting_after is the number of an event: it needs stream=true"
_NUMBER_DIGITS_MAX: Final = 9


async def show_response(request: Request) -> None:
    """Answer with a stored response as it is now, or with its events; or delete it."""
    if request.scope["method"] == "DELETE":
        await _delete_response(request)
        return
    after = _read_starting_after(request.query)
    if after is None:
        await request.respond(await _read_response(request))
        return
    states, principal, id_ = request.life.parts.states, request.principal, _id_of(request)
    if await find_background(states, principal, id_) is None:
        await _find(request, "response")
        raise RequestFault("invalid_value", "stream", _NO_EVENTS)
    await follow_response(request, id_, after)


async def _read_response(request: Request) -> bytes:
    """Return a response as it is now. Raises ResponseMissing."""
    states, principal, id_ = request.life.parts.states, request.principal, _id_of(request)
    stored = await find_response(states, principal, id_)
    if stored is not None:
        return bytes(stored.response)
    running = await find_background(states, principal, id_)
    if running is None:
        raise ResponseMissing(id_)
    return running.response


async def _delete_response(request: Request) -> None:
    states, principal, id_ = request.life.parts.states, request.principal, _id_of(request)
    running = await find_background(states, principal, id_)
    if running is not None:
        # The process that runs it stops it.
        await BackgroundAnswer(states, principal, id_, running.request_id).drop()
    if not await forget_response(states, principal, id_) and running is None:
        raise ResponseMissing(id_)
    await request.respond({"id": id_, "object": "response", "deleted": True})


def _read_starting_after(query: Mapping[str, str]) -> int | None:
    """Return the number after which the events of a response are wanted; None if the response is.
    Raises RequestFault."""
    stream, after = query.get("stream", "false"), query.get("starting_after")
    if stream not in ("true", "false"):
        raise RequestFault("invalid_value", "stream", "stream must be true or false")
    if stream == "false":
        if after is not None:
            raise RequestFault("invalid_value", "starting_after", _WITHOUT_STREAM)
        return None
    if after is None:
        return -1
    if not after.isascii() or not after.isdigit() or len(after) > _NUMBER_DIGITS_MAX:
        what = f"starting_after must be between 0 and {10**_NUMBER_DIGITS_MAX - 1}"
        raise RequestFault("invalid_value", "starting_after", what)
    return int(after)


async def list_input_items(request: Request) -> None:
    """Answer with the input items of a stored response, also of one that runs, has failed or was
    cancelled."""
    id_ = _id_of(request)
    await request.respond(_page_of_items(await _read_input(request), id_, request.query))


async def _read_input(request: Request) -> list[msgspec.Raw]:
    """Raises ResponseMissing, RequestFault."""
    states, principal, id_ = request.life.parts.states, request.principal, _id_of(request)
    kept = await find_response(states, principal, id_)
    if kept is not None:
        return kept.items
    running = await find_background(states, principal, id_)
    if running is None:
        raise ResponseMissing(id_)
    items = await read_input(states, principal, running, id_)
    if items is None:
        # The database was away when it began.
        raise RequestFault("conflict", None, _NO_ITEMS)
    return items


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
    """Cancel a response that runs in the background, and answer with it; one that has ended stays
    as it is. Raises RequestFault for other responses."""
    states, principal, id_ = request.life.parts.states, request.principal, _id_of(request)
    running = await find_background(states, principal, id_)
    if running is None:
        await _find(request, "response")
        # 400, as OpenAI answers where a response did not run in the background.
        raise RequestFault("unsupported_capability", None, _NOTHING_RUNS.format("responses"))
    if running.runs:
        cancelled = background.cancel(running.response)
        answer = BackgroundAnswer(states, principal, id_, running.request_id)
        if await answer.end(await answer.prepare_end(cancelled)):
            await request.respond(cancelled)
            return
    await request.respond(await _read_response(request))


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
    stored: Sequence[msgspec.Raw], response_id: str, query: Mapping[str, str]
) -> dict[str, object]:
    """Return a page of the input items, the newest first unless `order` is asc."""
    items = state.list_items(stored, response_id)
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
