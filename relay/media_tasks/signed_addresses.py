"""Until when a signed address of an object store opens its object: a pure rule.

    Expires=1767225600                                  OSS V1, S3 V2, GCS V2, CloudFront
    x-oss-date=20260101T000000Z&x-oss-expires=3600      OSS V4; likewise X-Amz- (S3), X-Goog-
                                                        (GCS) and X-Tos- (Volcengine)
    se=2026-01-01T00%3A00%3A00Z&sig=...                 Azure's shared access signature
    q-sign-time=1767222000;1767225600                   Tencent COS

Sources: help.aliyun.com, "Add signatures to URLs" (V1, V4); docs.aws.amazon.com, "Signature
Version 4 query parameters" and CloudFront's "Use a canned policy"; docs.cloud.google.com, "Signed
URLs"; learn.microsoft.com, "Create a service SAS"; volcengine.com, "TOS: pre-signed URLs";
cloud.tencent.com, "COS: request signature" (2026-11).
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl

_SIGNED_FOR: Final = ("x-oss-", "x-amz-", "x-goog-", "x-tos-")
# More digits are no seconds since 1970.
_DIGITS_MAX: Final = 11


def valid_until(url: str) -> int | None:
    """Return when an address stops working, in Unix seconds: the first time that it names. None if
    it names none in a known form."""
    _, _, query = url.partition("?")
    try:
        pairs = parse_qsl(query.partition("#")[0], max_num_fields=100)
    except ValueError:
        return None
    named = {name.lower(): value for name, value in pairs}
    return min(_ends(named), default=None)


def _ends(named: Mapping[str, str]) -> Iterator[int]:
    if (end := _seconds(named.get("expires"))) is not None:
        yield end
    for prefix in _SIGNED_FOR:
        begin, length = _time(named.get(f"{prefix}date")), _seconds(named.get(f"{prefix}expires"))
        if begin is not None and length is not None:
            yield begin + length
    if "sig" in named and (end := _time(named.get("se"))) is not None:
        yield end
    if (end := _seconds(named.get("q-sign-time", "").partition(";")[2])) is not None:
        yield end


def _seconds(word: str | None) -> int | None:
    known = word is not None and word.isascii() and word.isdigit() and len(word) <= _DIGITS_MAX
    return int(word) if known and word is not None else None


def _time(word: str | None) -> int | None:
    """Return a time in a form of ISO 8601: AWS's stamps, or what Azure accepts: a day, with a time,
    with seconds; without a zone it is UTC."""
    try:
        time = dt.datetime.fromisoformat(word or "")
        return int((time if time.tzinfo else time.replace(tzinfo=dt.UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
