"""Sends a body to an address that a user named."""

import asyncio
from collections.abc import Mapping

from lib.network.egress import (
    AsyncClient,
    EgressPolicy,
    check_named_by_user,
    translate_errors,
)
from lib.network.fetching import read_response


async def post_to_named(
    client: AsyncClient,
    policy: EgressPolicy,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    bytes_max: int,
) -> bytes:
    """Send a body to an address that a user named, by a client of `guarded_async_client` with that
    policy, and return the body of an answer with status 200. No redirect is followed. The caller
    limits the time. Raises EgressError.
    """
    await asyncio.to_thread(check_named_by_user, policy, url)
    with translate_errors():
        async with client.stream("POST", url, headers=dict(headers), content=body) as response:
            return (await read_response(response, bytes_max)).body
