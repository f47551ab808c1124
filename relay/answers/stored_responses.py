"""Stored responses by id: show them, list their input, delete them.

All data comes from our own store. Only the API key that created a response can see it; for other
keys, also of the same team or person, and after its expiry, it does not exist (P12).
"""

from collections.abc import MutableMapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from dialects.errors.errors import RequestFault
from dialects.responses import state
from relay.answers.state_store import StateStore
from relay.credentials.keys import Principal

_LIMIT: Final = 20
_LIMIT_MAX: Final = 100


async def answer(
    states: StateStore,
    principal: Principal,
    handler: str,
    scope: MutableMapping[str, Any],
    response_id: str,
) -> bytes:
    """The body of the answer. Raises RequestFault, DatabaseAway, DatabaseRefused."""
    stored = await states.find(principal, "response", [response_id])
    if response_id not in stored:
        raise _Missing(response_id)
    kept = state.read_kept(stored[response_id])
    if scope["method"] == "DELETE":
        for item, _ in state.keep_items(bytes(kept.response), ""):
            await states.drop(principal, "item", item)
        await states.drop(principal, "response", response_id)
        return msgspec.json.encode({"id": response_id, "object": "response", "deleted": True})
    if handler == "response":
        return bytes(kept.response)
    return _list(kept, response_id, dict(parse_qsl(scope["query_string"].decode("latin-1"))))


def _list(kept: state.KeptResponse, response_id: str, query: dict[str, str]) -> bytes:
    """A page of the input items, the newest first unless `order` is asc."""
    items = state.list_items(kept, response_id)
    if query.get("order") != "asc":
        items.reverse()
    ids = [str(item["id"]) for item in items]
    start = ids.index(query["after"]) + 1 if query.get("after") in ids else 0
    page = items[start : start + _read_limit(query.get("limit", ""))]
    answer = {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": start + len(page) < len(items),
    }
    return msgspec.json.encode(answer)


def _read_limit(text: str) -> int:
    if not text:
        return _LIMIT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= _LIMIT_MAX:
        raise RequestFault("invalid_value", "limit", f"limit must be between 1 and {_LIMIT_MAX}")
    return int(text)


class _Missing(RequestFault):
    """The response never existed, is gone, or belongs to another key; the answer is the same."""

    def __init__(self, response_id: str) -> None:
        super().__init__("task_not_found", "response_id", response_id)
        self.message = self.message.replace("Task", "Response", 1)
