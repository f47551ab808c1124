"""What is stored of an interaction, so that a later request can continue it.

    input of the request + steps of the interaction    the conversation that later requests continue

Steps are stored as the received JSON; input without steps becomes the user's. A system instruction
applies to its own call only, and is not stored. Google's models read the signatures of any account.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from dialects.chat.kept import NOTHING_REFERRED, KeptResponse, Referred
from dialects.interactions.answer.finish_reasons import ENDED
from dialects.interactions.content import CONTENT_TYPES
from dialects.interactions.request.read import PREVIOUS as PREVIOUS
from dialects.json.body import Body
from dialects.json.lone_surrogates import make_readable
from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import members_of

_raws = msgspec.json.Decoder(list[msgspec.Raw])
_encode = msgspec.json.encode
_TOKENS_MAX: Final = 2**31


class _Interaction(msgspec.Struct):
    id: str = ""
    status: str = ""
    usage: msgspec.Raw = msgspec.Raw(b"null")


_interaction = msgspec.json.Decoder(_Interaction)


def keep_items(response: bytes, channel: str) -> Iterator[tuple[str, bytes]]:
    """Return no items, because steps have no ids that requests could reference."""
    return iter(())


def keep(
    body: Body,
    response: bytes,
    earlier: KeptResponse | None,
    channel: str,
    referred: Referred = NOTHING_REFERRED,
    session: tuple[str, str] | None = None,
) -> tuple[str, bytes] | None:
    """Return the id of an interaction, and the data to store; None if it has no id or has failed.
    `body` is the client's, `response` a whole interaction, `earlier` is what its request continued,
    `session` the id and the name of its session.
    """
    response = make_readable(response)
    try:
        answer = _interaction.decode(response)
    except NOT_JSON:
        return None
    if not answer.id or answer.status not in ENDED:
        return None
    before = [] if earlier is None else earlier.conversation
    unseen = (0 if earlier is None else earlier.unseen_tokens) + _thought_tokens(answer.usage)
    items = [*before, *input_steps(body)]
    return answer.id, _encode(KeptResponse(msgspec.Raw(response), items, channel, unseen, session))


def input_items(body: Body, referred: Referred = NOTHING_REFERRED) -> list[msgspec.Raw]:
    """Return the steps of a request's own input. Steps cannot be referenced."""
    return input_steps(body)


def input_steps(body: Body) -> list[msgspec.Raw]:
    """Return the steps of a request's own input."""
    raw = body.value("input")
    if raw is None:
        return []
    if raw.startswith(b'"'):
        return [_user_input([{"type": "text", "text": msgspec.Raw(raw)}])]
    if raw.startswith(b"{"):
        return [_user_input([msgspec.Raw(raw)])]
    steps: list[msgspec.Raw] = []
    contents: list[msgspec.Raw] = []
    for item in _raws.decode(raw):
        if members_of(item).get("type") in CONTENT_TYPES:
            contents.append(item)
            continue
        steps += [_user_input(contents)] if contents else []
        contents = []
        steps.append(item)
    return [*steps, _user_input(contents)] if contents else steps


def continue_body(
    body: Body, items: Sequence[msgspec.Raw], referred: Referred = NOTHING_REFERRED
) -> bytes:
    """Return the body of a request with `items` inserted before its own input."""
    whole = _encode([*items, *input_steps(body)])
    return body.splice({"input": whole, PREVIOUS: None})


def make_portable(items: Sequence[msgspec.Raw]) -> list[msgspec.Raw]:
    """Return the steps that another account can read: all of them."""
    return list(items)


def make_references_portable(referred: Referred) -> Referred:
    """Return the referenced steps that another account can read. Steps cannot be referenced, so
    nothing changes."""
    return referred


def _user_input(contents: Sequence[object]) -> msgspec.Raw:
    return msgspec.Raw(_encode({"type": "user_input", "content": contents}))


def _thought_tokens(usage: msgspec.Raw) -> int:
    count = members_of(usage).get("total_thought_tokens")
    return count if isinstance(count, int) and 0 < count < _TOKENS_MAX else 0
