"""What is stored of a response, so that a later request can continue it.

    input of the request + output of the response    the conversation that later requests continue

Items are stored as the received JSON. Instructions apply to their own call only, and are not
stored.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from dialects.chat.chat import JsonObject
from dialects.chat.kept import (
    NOTHING_REFERRED,
    KeptItem,
    KeptResponse,
    Referred,
    output_of,
)
from dialects.json.body import Body
from dialects.json.lone_surrogates import make_readable
from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import members_of, value_of

_raws = msgspec.json.Decoder(list[msgspec.Raw])
_encode = msgspec.json.encode
PREVIOUS: Final = "previous_response_id"
# Items that only the account that made them can read, or that represent work of its server tools.
_TIED: Final = frozenset(
    {"reasoning", "web_search_call", "file_search_call", "code_interpreter_call", "item_reference"}
)
_OF_ITEMS: Final = frozenset({"message", "function_call", "function_call_output"})


class _Response(msgspec.Struct):
    id: str = ""
    object: str = ""
    status: str = ""
    usage: msgspec.Raw = msgspec.Raw(b"null")


_response = msgspec.json.Decoder(_Response)


def keep_items(response: bytes, channel: str) -> Iterator[tuple[str, bytes]]:
    """Return the ids of a response's items that `keep` stores, and the data to store of each."""
    for raw in output_of(msgspec.Raw(make_readable(response))):
        id_ = members_of(raw).get("id")
        if isinstance(id_, str) and id_:
            yield id_, _encode(KeptItem(raw, channel))


def keep(
    body: Body,
    response: bytes,
    earlier: KeptResponse | None,
    channel: str,
    referred: Referred = NOTHING_REFERRED,
    session: tuple[str, str] | None = None,
) -> tuple[str, bytes] | None:
    """Return the id of a response, and the data to store; None if it has no id or has failed.
    `body` is the client's, `response` a whole response of this dialect (for a stream
    `Decoder.response` or `Encoder.response`), `earlier` is what its request continued, `referred`
    what it referred to, `session` the id and the name of its session.
    """
    response = make_readable(response)
    try:
        answer = _response.decode(response)
    except NOT_JSON:
        return None
    if (
        not answer.id
        or answer.object != "response"
        or answer.status not in ("completed", "incomplete")
    ):
        return None
    before = [] if earlier is None else earlier.conversation
    unseen = (0 if earlier is None else earlier.unseen_tokens) + _reasoning_tokens(answer.usage)
    stored = KeptResponse(
        msgspec.Raw(response), [*before, *input_items(body, referred)], channel, unseen, session
    )
    return answer.id, _encode(stored)


def input_items(body: Body, referred: Referred = NOTHING_REFERRED) -> list[msgspec.Raw]:
    """Return the items of a request's own input, with references replaced by their items."""
    raw_input = body.value("input")
    if raw_input is None:
        return []
    if raw_input.startswith(b'"'):
        part = {"type": "input_text", "text": msgspec.Raw(raw_input)}
        item = {"type": "message", "role": "user", "content": [part]}
        return [msgspec.Raw(_encode(item))]
    items = _raws.decode(raw_input)
    if not referred:
        return items
    own = (_resolve_reference(item, referred) for item in items)
    return [item for item in own if item is not None]


def _resolve_reference(raw: msgspec.Raw, referred: Referred) -> msgspec.Raw | None:
    item = members_of(raw)
    id_ = item.get("id")
    refers = item.get("type") in (None, "item_reference") and item.get("role") is None
    if not refers or not isinstance(id_, str) or id_ not in referred:
        return raw
    stored = referred[id_]
    return None if stored is None else stored.item


def continue_body(
    body: Body, items: Sequence[msgspec.Raw], referred: Referred = NOTHING_REFERRED
) -> bytes:
    """Return the body of a request that continues `items`: they precede its own input, and
    references to items in `referred` are resolved."""
    whole = _encode([*items, *input_items(body, referred)])
    return body.splice({"input": whole, PREVIOUS: None})


def make_portable(items: Sequence[msgspec.Raw]) -> list[msgspec.Raw]:
    """Return the items for another account: without sealed reasoning, results of server tools, and
    ids."""
    return [rewritten for item in items if (rewritten := _make_item_portable(item)) is not None]


def make_references_portable(referred: Referred) -> Referred:
    """Return the referenced items for another account."""
    portable_by_id: dict[str, KeptItem | None] = {}
    for id_, stored in referred.items():
        item = None if stored is None else _make_item_portable(stored.item)
        portable_by_id[id_] = None if item is None else KeptItem(item)
    return portable_by_id


def list_items(stored: Sequence[msgspec.Raw], response_id: str) -> list[JsonObject]:
    """Return the stored input items of a response, each with its id."""
    items: list[JsonObject] = []
    for at, raw in enumerate(stored):
        item = members_of(raw)
        kind = item.get("type") or "message"
        item = {"id": f"{response_id}_{at}", "type": kind} | item
        if kind == "message" and isinstance(item.get("content"), str):
            word = "output_text" if item.get("role") == "assistant" else "input_text"
            item["content"] = [{"type": word, "text": item["content"]}]
        items.append(item)
    return items


def _make_item_portable(raw: msgspec.Raw) -> msgspec.Raw | None:
    item = value_of(raw)
    if not isinstance(item, dict):
        return raw
    kind = item.get("type") or "message"
    if kind in _TIED:
        return None
    if kind not in _OF_ITEMS or "id" not in item:
        return raw
    return msgspec.Raw(_encode({name: value for name, value in item.items() if name != "id"}))


def _reasoning_tokens(usage: msgspec.Raw) -> int:
    details = members_of(usage).get("output_tokens_details")
    count = details.get("reasoning_tokens") if isinstance(details, dict) else 0
    return count if isinstance(count, int) and 0 < count < 2**31 else 0
