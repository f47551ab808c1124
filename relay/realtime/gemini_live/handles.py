"""The handles with which clients resume live sessions. A provider knows a conversation by a handle
of its own, and whoever has that continues the conversation; so clients get it sealed, together with
whose it is and where. Another team's handle is one that does not exist (P12).
"""

from typing import Final
from uuid import UUID

import msgspec

from dialects.errors.errors import RequestFault
from relay.credentials.sealed_texts import open_text, seal_text

_PURPOSE: Final = b"weir live session, AES-256-GCM"
# Google's own handles are much shorter.
_CONTENT_BYTES_MAX: Final = 16 * 1024


class Handle(msgspec.Struct, frozen=True, kw_only=True):
    """The provider's `handle`, the team that has the session, the channel and key where it is, an
    upper bound of the tokens of its context, and the ephemeral token that opened it, if any.
    """

    handle: str
    team_id: UUID
    channel_id: UUID
    channel_key_id: UUID
    tokens: int
    token_id: UUID | None = None


_decoder: Final = msgspec.json.Decoder(Handle)


def seal_handle(pepper: str, handle: Handle) -> str:
    """Return the sealed handle as text for the client."""
    return seal_text(pepper, _PURPOSE, msgspec.json.encode(handle))


def open_handle(pepper: str, text: str, team_id: UUID) -> Handle:
    """Return the handle in a client's text. Raises RequestFault for any other text."""
    content = open_text(pepper, _PURPOSE, text, _CONTENT_BYTES_MAX)
    handle = None if content is None else _decoder.decode(content)
    if handle is None or handle.team_id != team_id:
        name = "setup.sessionResumption.handle"
        raise RequestFault("invalid_value", name, f"{name} is of no session: open another one")
    return handle
