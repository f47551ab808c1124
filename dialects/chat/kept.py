"""What is stored of an answer whose conversation a later request may continue: responses of the
responses dialect, and Google's interactions. Each dialect's `state` writes and reads it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec


class _Answer(msgspec.Struct):
    output: list[msgspec.Raw] = []
    steps: list[msgspec.Raw] = []


_answer = msgspec.json.Decoder(_Answer)


def output_of(response: msgspec.Raw) -> list[msgspec.Raw]:
    """Return the items of a response, or the steps of an interaction."""
    answer = _answer.decode(response)
    return answer.output or answer.steps


class KeptResponse(msgspec.Struct, frozen=True):
    """A response and the conversation before it. `channel` is where the provider stores it too, ""
    for nowhere: requests to that channel may refer to it by id. `unseen_tokens` are reasoning
    tokens, which the provider may read again then. `session` is the id and the name of its
    session. `provider_id` is its id at the provider, "" if that is the same."""

    response: msgspec.Raw
    items: list[msgspec.Raw]
    channel: str = ""
    unseen_tokens: int = 0
    session: tuple[str, str] | None = None
    provider_id: str = ""

    @property
    def conversation(self) -> list[msgspec.Raw]:
        """The items of the conversation up to the end of the response."""
        return [*self.items, *output_of(self.response)]


class KeptItem(msgspec.Struct, frozen=True):
    """A stored item of a response, which a request may reference by its id. `channel`: see
    KeptResponse."""

    item: msgspec.Raw
    channel: str = ""


# By id; None stays last.
Referred = Mapping[str, KeptItem | None]
NOTHING_REFERRED: Final[Referred] = MappingProxyType({})

_kept_response = msgspec.json.Decoder(KeptResponse)
_kept_item = msgspec.json.Decoder(KeptItem)


def decode_kept(content: bytes) -> KeptResponse:
    """Decode what a dialect's `keep` wrote."""
    return _kept_response.decode(content)


def read_item(content: bytes) -> KeptItem:
    """Decode what a dialect's `keep_items` wrote."""
    return _kept_item.decode(content)
