"""Fetch a file from an address that a user named."""

import asyncio
from dataclasses import dataclass
from typing import Final

from lib.network import egress

_REDIRECTS_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Fetched:
    """A fetched file. `content_type` is "" when the server does not send one."""

    body: bytes
    content_type: str


async def fetch_url(policy: egress.EgressPolicy, url: str, *, bytes_max: int) -> Fetched:
    """Fetch a file. Each redirect is checked. `policy` is the policy for users' addresses, without
    the networks that are listed for channels. The caller limits the time. Raises EgressError:
    Unreachable, TooLarge, or EgressFailed for an unusable response."""
    async with egress.guarded_async_client(policy, schemes=("https", "http")) as client:
        for _ in range(_REDIRECTS_MAX + 1):
            try:
                await asyncio.to_thread(egress.check_named_by_user, policy, url)
                async with client.stream("GET", url) as response:
                    if response.has_redirect_location:
                        url = str(response.url.join(response.headers["location"]))
                        continue
                    return await read_response(response, bytes_max)
            except (egress.EgressDenied, egress.Unresolved, *egress.BROKEN) as error:
                raise egress.Unreachable from error
    raise egress.EgressFailed("broken", f"The URL redirects more than {_REDIRECTS_MAX} times.")


async def read_response(response: egress.Answer, bytes_max: int) -> Fetched:
    """Return the body of an answer with status 200. Raises Unusable, TooLarge."""
    if response.status_code != 200:
        raise egress.Unusable(f"The URL returned status {response.status_code}.")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise egress.Unusable("The response is compressed.")
    pieces: list[bytes] = []
    size = 0
    async for piece in response.aiter_raw():
        size += len(piece)
        if size > bytes_max:
            raise egress.TooLarge(f"The answer has more than {bytes_max} bytes.")
        pieces.append(piece)
    return Fetched(b"".join(pieces), response.headers.get("content-type", ""))
