"""The pause that an upstream asks for, and how long a pause is believed."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

WAIT_MS_MAX = 120_000
_SECONDS = re.compile(r"[0-9]{1,40}(?:\.[0-9]{1,9})?")


def retry_after_ms(headers: Mapping[str, str], now_s: int | None) -> int | None:
    """Return the wait that the headers ask for, in ms: from a header in ms, else in seconds, else
    from a date. Invalid values count as no wait (F8)."""
    exact = milliseconds(headers.get("retry-after-ms", ""), 1)
    if exact is not None:
        return exact
    text = headers.get("retry-after", "")
    seconds = milliseconds(text, 1_000)
    if seconds is not None or now_s is None:
        return seconds
    try:
        at_s = int(parsedate_to_datetime(text).timestamp())
    except (ValueError, OverflowError):
        return None
    return min(max(0, at_s - now_s) * 1_000, WAIT_MS_MAX)


def milliseconds(text: str, unit_ms: int) -> int | None:
    """Return a decimal number of units as whole ms, rounded up; None for an invalid number."""
    text = text.strip()
    if not _SECONDS.fullmatch(text):
        return None
    whole, _, fraction = text.partition(".")
    thousandths = int(whole) * 1_000 + int((fraction + "000")[:3])
    return min(-(-thousandths * unit_ms // 1_000), WAIT_MS_MAX)
