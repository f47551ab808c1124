"""What an upstream's error means, and how long it asks to be left alone, in neutral words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from gateway.codecs.errors import ErrorKind
from gateway.codecs.events import UpstreamError

WAIT_MS_MAX = 120_000

_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class UpstreamFault:
    """What an upstream's error means.

    `status` is for the client; `message` the phrase for the client; `code` and `param` replace the
    kind's own for `provider_rejected` and are None otherwise. `detail` is the cleaned upstream
    message for the operator, `fault` the row of the fault table. `retry_after_ms` is the wait that
    the upstream asked for, at most 120 s, None when it named none.
    """

    kind: ErrorKind
    status: int
    message: str
    code: str | None
    param: str | None
    detail: str
    fault: str
    retry_after_ms: int | None

    @property
    def event(self) -> UpstreamError:
        """The same for the client, as it ends an answer."""
        return UpstreamError(self.kind, self.message, self.code)


def retry_after_ms(headers: Mapping[str, str], now_s: int | None) -> int | None:
    """The exact wait in ms before the one in seconds before a date; junk is no wait (F8)."""
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
    """A wait written as a decimal number of units, as whole ms rounded up; None when it is junk."""
    text = text.strip()
    if not _SECONDS.fullmatch(text):
        return None
    whole, _, fraction = text.partition(".")
    thousandths = int(whole) * 1_000 + int((fraction + "000")[:3])
    return min(-(-thousandths * unit_ms // 1_000), WAIT_MS_MAX)
