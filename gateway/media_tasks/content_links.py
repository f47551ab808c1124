"""Links to a finished video, picture or song that need no key, for browsers and players. Whoever
has one gets that file until it expires.

    /v1/videos/{id}/content?expires=1764000000&signature=…    HMAC-SHA-256 over id and instant
    /mj/image/{id}?expires=1764000000&signature=…             the same
    /suno/file/{id}?expires=1764000000&signature=…            the same, of all files of the task:
        &clip=0&file=audio_url                                which of them

A link ends earlier if its file does: when it is deleted, or no longer kept.
"""

import base64
import hmac
from typing import Final
from urllib.parse import parse_qs

LINK_S: Final = 24 * 3600
"""The minimum lifetime of a link. It may be up to an hour longer, so that the link stays the same
for some time."""
_PURPOSE: Final = b"weir-content-link"
_HOUR_S: Final = 3600


def signed_link(pepper: str, url: str, task_id: str, now: float) -> str:
    """Return the address of a task's file that works without a key. `now` is in Unix seconds."""
    expires = (int(now) + LINK_S + _HOUR_S - 1) // _HOUR_S * _HOUR_S
    return f"{url}?expires={expires}&signature={_signature(pepper, task_id, str(expires))}"


def service_link(pepper: str, root: str, path: str, task_id: str, now: float) -> str:
    """Return the link to the files of a task, of which it does not say which. `path` is where its
    service serves them, `root` the base of the hub's paths."""
    return signed_link(pepper, root + path.replace("{id}", task_id), task_id, now)


def is_signed(pepper: str, task_id: str, query: bytes, now: float) -> bool:
    """Return whether a query gives access to the file of that task now."""
    if b"signature=" not in query:
        return False
    fields = parse_qs(query.decode("latin-1"))
    expires, *more = fields.get("expires", [""])
    signature, *twice = fields.get("signature", [""])
    if more or twice or not (expires.isascii() and expires.isdigit() and len(expires) < 12):
        return False
    known = _signature(pepper, task_id, expires)
    return hmac.compare_digest(known.encode(), signature.encode()) and now < int(expires)


def _signature(pepper: str, task_id: str, expires: str) -> str:
    key = hmac.digest(pepper.encode(), _PURPOSE, "sha256")
    text = f"{task_id}.{expires}".encode()
    return base64.urlsafe_b64encode(hmac.digest(key, text, "sha256")).decode().rstrip("=")
