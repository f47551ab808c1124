"""Fetch files that a request refers to by URL, for upstreams that do not fetch them themselves."""

import base64
from collections.abc import Sequence
from typing import Final

from dialects.chat.chat import Base64
from dialects.chat.media import FILE_BYTES_MAX, type_of_name
from dialects.errors.errors import RequestFault
from lib.network.egress import EgressError, EgressPolicy, TooLarge
from lib.network.fetching import fetch_url
from lib.process.waiting import timeout
from relay.config import MIB

# The limit for all files that a request refers to by URL together. Each file is limited by
# `dialects.chat.media.FILE_BYTES_MAX`; images have their own limit.
FETCH_S: Final = 30.0
PICTURE_BYTES_MAX: Final = 20 * MIB
_UNSPECIFIC: Final = frozenset({"", "application/octet-stream", "binary/octet-stream"})


async def fetch(urls: Sequence[str], policy: EgressPolicy) -> dict[str, Base64]:
    """Fetch the files at these URLs. Raises RequestFault. Each file and all together have at most
    `FILE_BYTES_MAX`, and all must arrive within `FETCH_S`."""
    contents: dict[str, Base64] = {}
    left = FILE_BYTES_MAX
    try:
        async with timeout(FETCH_S):
            for url in urls:
                contents[url], size = await _fetch_one(url, policy, left)
                left -= size
    except TimeoutError:
        raise _file_fault(f"fetching took longer than {int(FETCH_S)} s") from None
    except TooLarge:
        raise RequestFault(
            "body_too_large", None, "a file", size=FILE_BYTES_MAX + 1, limit=FILE_BYTES_MAX
        ) from None
    except EgressError as error:
        raise _file_fault(str(error)) from error
    return contents


async def leave_files(urls: Sequence[str], policy: EgressPolicy) -> dict[str, Base64]:
    """Return placeholders for the files of a preview: nothing is fetched, and each file is assumed
    to exist."""
    return {url: Base64("", "") for url in urls}


async def _fetch_one(url: str, policy: EgressPolicy, bytes_max: int) -> tuple[Base64, int]:
    answer = await fetch_url(policy, url, bytes_max=bytes_max)
    size = len(answer.body)
    media_type = answer.content_type.partition(";")[0].strip().lower()
    if media_type in _UNSPECIFIC:
        media_type = type_of_name(url.partition("?")[0])
    if media_type.startswith("image/") and size > PICTURE_BYTES_MAX:
        raise RequestFault("body_too_large", None, "a picture", size=size, limit=PICTURE_BYTES_MAX)
    return Base64(base64.b64encode(answer.body).decode(), media_type), size


def _file_fault(why: str) -> RequestFault:
    return RequestFault("invalid_value", None, f"a file's address cannot be fetched: {why}")
