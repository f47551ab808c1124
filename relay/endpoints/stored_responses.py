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
from dialects.errors.kinds import ErrorKind
from dialects.json.raw_json import members_of
from dialects.responses import state
from relay.answers.background import (
    BackgroundAnswer,
    StoredBackground,
    find_background,
    read_input,
)
from relay.endpoints.background import follow_response
from relay.front.request import Request
from relay.states.background_forms import INTERACTIONS, RESPONSES, BackgroundKind
from relay.states.state_store import StateKind
from relay.states.stored_response import find_response, forget_response

_LIMIT: Final = 20
_LIMIT_MAX: Final = 100
_NOTHING_RUNS: Final = "only {} that run in the background can be cancelled; this one has ended"
_NO_ITEMS: Final = "the input of this {} is not stored"
_NO_EVENTS: Final = (
    "stream cannot be true: the events of {} are stored only if it ran in the background"
)
_WITHOUT_STREAM: Final = "{} names an event: it needs stream=true"
_NUMBER_DIGITS_MAX: Final = 9


async def show_response(request: Request) -> None:
    """Answer with a stored response as it is now, or with its events; or delete it."""
    if request.scope["method"] == "DELETE":
        await _delete(request, RESPONSES)
        await request.respond({"id": _id_of(request), "object": "response", "deleted": True})
        return
    after = _read_after(request.query, "starting_after")
    if after is None:
        await request.respond(await _read_response(request, RESPONSES))
        return
    await _follow(request, RESPONSES, after)


async def _follow(request: Request, kind: BackgroundKind, after: int) -> None:
    """Answer with the events after that number. Raises ResponseMissing, RequestFault."""
    if await _find_background(request, kind) is None:
        await _find(request, kind.kept_as)
        what = _NO_EVENTS.format(f"the {kind.kept_as}")
        raise RequestFault("invalid_value", "stream", what)
    await follow_response(request, kind, _id_of(request), after)


async def _read_response(request: Request, kind: BackgroundKind) -> bytes:
    """Return a response as it is now. Raises ResponseMissing."""
    states, principal, id_ = request.life.parts.states, request.principal, _id_of(request)
    stored = await find_response(states, principal, id_, kind.kept_as)
    if stored is not None:
        return bytes(stored.response)
    running = await _find_background(request, kind)
    if running is None:
        raise ResponseMissing(id_, kind.kept_as)
    return running.response


async def _find_background(request: Request, kind: BackgroundKind) -> StoredBackground | None:
    states = request.life.parts.states
    return await find_background(kind.form, states, request.principal, _id_of(request))


async def _delete(request: Request, kind: BackgroundKind) -> None:
    """Delete a response. Raises ResponseMissing."""
    states, principal, id_ = request.life.parts.states, request.principal, _id_of(request)
    running = await _find_background(request, kind)
    if running is not None:
        # The process that runs it stops it.
        await BackgroundAnswer(states, principal, id_, running.request_id).drop()
    if not await forget_response(states, principal, id_, kind.kept_as) and running is None:
        raise ResponseMissing(id_, kind.kept_as)


def _read_after(query: Mapping[str, str], name: str) -> int | None:
    """Return the number after which the events of a response are wanted; None if the response is.
    Raises RequestFault."""
    stream, after = query.get("stream", "false"), query.get(name)
    if stream not in ("true", "false"):
        raise RequestFault("invalid_value", "stream", "stream must be true or false")
    if stream == "false":
        if after is not None:
            raise RequestFault("invalid_value", name, _WITHOUT_STREAM.format(name))
        return None
    if after is None:
        return -1
    if not after.isascii() or not after.isdigit() or len(after) > _NUMBER_DIGITS_MAX:
        what = f"{name} must be between 0 and {10**_NUMBER_DIGITS_MAX - 1}"
        raise RequestFault("invalid_value", name, what)
    return int(after)


async def list_input_items(request: Request) -> None:
    """Answer with the input items of a stored response, also of one that runs, has failed or was
    cancelled."""
    id_ = _id_of(request)
    items = await _read_input(request, RESPONSES)
    await request.respond(_page_of_items(items, id_, request.query))


async def _read_input(request: Request, kind: BackgroundKind) -> list[msgspec.Raw]:
    """Raises ResponseMissing, RequestFault."""
    states, principal, id_ = request.life.parts.states, request.principal, _id_of(request)
    kept = await find_response(states, principal, id_, kind.kept_as)
    if kept is not None:
        return kept.items
    running = await _find_background(request, kind)
    if running is None:
        raise ResponseMissing(id_, kind.kept_as)
    items = await read_input(states, principal, running, id_)
    if items is None:
        # The database was away when it began.
        raise RequestFault("conflict", None, _NO_ITEMS.format(kind.kept_as))
    return items


async def show_interaction(request: Request) -> None:
    """Answer with a stored interaction as it is now, with its input if the query asks for that, or
    with its events; or delete the interaction."""
    query = request.query
    if request.scope["method"] == "DELETE":
        await _delete(request, INTERACTIONS)
        await request.respond({})
    elif (after := _read_after(query, "last_event_id")) is not None:
        await _follow(request, INTERACTIONS, after)
    elif query.get("include_input") == "true":
        input = await _read_input(request, INTERACTIONS)
        interaction = msgspec.Raw(await _read_response(request, INTERACTIONS))
        await request.respond(members_of(interaction) | {"input": input})
    else:
        await request.respond(await _read_response(request, INTERACTIONS))


async def cancel_response(request: Request) -> None:
    """Cancel a response that runs in the background, and answer with it; one that has ended stays
    as it is. Raises RequestFault for other responses."""
    # 400, as OpenAI answers where a response did not run in the background.
    await _cancel(request, RESPONSES, "unsupported_capability")


async def cancel_interaction(request: Request) -> None:
    """Cancel an interaction, as `cancel_response` a response."""
    await _cancel(request, INTERACTIONS, "invalid_value")


async def _cancel(request: Request, kind: BackgroundKind, otherwise: ErrorKind) -> None:
    running = await _find_background(request, kind)
    if running is None:
        await _find(request, kind.kept_as)
        raise RequestFault(otherwise, None, _NOTHING_RUNS.format(f"{kind.kept_as}s"))
    if running.runs:
        cancelled, id_ = kind.form.cancel(running.response), _id_of(request)
        states, principal = request.life.parts.states, request.principal
        answer = BackgroundAnswer(states, principal, id_, running.request_id)
        if await answer.end(await answer.prepare_end(cancelled)):
            await request.respond(cancelled)
            return
    await request.respond(await _read_response(request, kind))


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
