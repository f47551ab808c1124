import datetime as dt

import pytest
from pydantic import TypeAdapter, ValidationError

from lib.api.instants import Instant

read = TypeAdapter(Instant).validate_python


def test_every_offset_is_the_same_instant_in_utc() -> None:
    for text in ("2026-01-01T23:59:00+23:59", "2025-12-31T00:01:00-23:59", "2026-01-01T00:00:00Z"):
        assert read(text) == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        assert read(text).utcoffset() == dt.timedelta(0)


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00"]
)
def test_invalid_instant_is_rejected(text: str) -> None:
    with pytest.raises(ValidationError):
        read(text)
