"""Points in time in the management API."""

import datetime as dt
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime


def _convert_to_utc(at: dt.datetime) -> dt.datetime:
    """Convert to UTC, because the database accepts no offset of 16 hours or more, which RFC 3339
    permits up to 23:59.
    """
    try:
        return at.astimezone(dt.UTC)
    except OverflowError:
        raise ValueError("the time is too far away") from None


Instant = Annotated[AwareDatetime, AfterValidator(_convert_to_utc)]
"""A time with its offset, in UTC."""
