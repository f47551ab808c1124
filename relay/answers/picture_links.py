"""Links to pictures that a provider stores and whose answer has no task. The provider's own address
would tell who it is, so clients get one of ours, which has the provider's sealed in it. Any process
opens what another one sealed, and only addresses that a provider returned are sealed (P13).

    /v1/images/{sealed}/content
"""

from typing import Final

import msgspec

from gateway.media_tasks.content_links import LINK_S
from relay.credentials.sealed_texts import open_text, seal_text
from relay.media_tasks.signed_addresses import valid_until

_PURPOSE: Final = b"weir picture link, AES-256-GCM"
# Signed addresses of object stores are much shorter.
_CONTENT_BYTES_MAX: Final = 16 * 1024


class LinkedPicture(msgspec.Struct, frozen=True, kw_only=True):
    """The provider's `url` of a picture, the id in the snapshot of the channel that returned it,
    the model that the client named, and when the link expires (Unix seconds)."""

    url: str
    channel: str
    model: str
    expires: int


_decoder: Final = msgspec.json.Decoder(LinkedPicture)


def expiry(url: str, now: float) -> int:
    """Return when a link to a provider's address expires: with that address if it says so, but
    after a day at the latest. Both are Unix seconds."""
    latest, end = int(now) + LINK_S, valid_until(url)
    # What is over already is no time at which this address expires, such as a number of seconds.
    return latest if end is None or end <= now else min(latest, end)


def picture_link(pepper: str, root: str, picture: LinkedPicture) -> str:
    """Return the link to a picture. `root` is the base of the hub's paths."""
    sealed = seal_text(pepper, _PURPOSE, msgspec.json.encode(picture))
    return f"{root}/v1/images/{sealed}/content"


def open_link(pepper: str, sealed: str, now: float) -> LinkedPicture | None:
    """Return the picture of a link by the sealed part of its path; None for a link that is none of
    ours, or has expired."""
    content = open_text(pepper, _PURPOSE, sealed, _CONTENT_BYTES_MAX)
    picture = None if content is None else _decoder.decode(content)
    return None if picture is None or now >= picture.expires else picture
