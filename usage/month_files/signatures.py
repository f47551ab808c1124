"""Signatures of detached months: they show whether a month's row was changed (P22)."""

import hmac
import json
from collections.abc import Iterator
from typing import Final

from lib import clock
from usage.models import DetachedMonth, MonthFile

_SIGNED: Final = b"month|"


def find_altered(key: bytes) -> Iterator[str]:
    """Yield the detached months whose row does not match its signature (P22)."""
    for detached in DetachedMonth.objects.select_related("file").order_by("month"):
        if not hmac.compare_digest(sign(key, detached, detached.file), detached.file.signature):
            yield f"{detached}: what stands in place of its rows is not what was signed"


def sign(key: bytes, detached: DetachedMonth, file: MonthFile) -> bytes:
    """Return the signature of a detached month and its file."""
    conditions = [
        str(detached.month), str(detached.first_id), str(detached.end_id),
        clock.rfc3339(detached.from_at), clock.rfc3339(detached.to_at),
        detached.price_version_ids, clock.rfc3339(detached.detached_at), file.name, file.bytes,
        bytes(file.digest).hex(), file.rows, file.sums, file.rolled,
    ]  # fmt: skip
    return hmac.digest(key, _SIGNED + json.dumps(conditions, sort_keys=True).encode(), "sha256")
