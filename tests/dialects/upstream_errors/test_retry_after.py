import pytest

from dialects.upstream_errors.retry_after import WAIT_MS_MAX, milliseconds, retry_after_ms


@pytest.mark.parametrize(
    ("headers", "wait_ms"),
    [
        ({}, None),
        ({"retry-after-ms": "1200.5", "retry-after": "2"}, 1_201),
        ({"retry-after": "2"}, 2_000),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 90_000),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "999999"}, WAIT_MS_MAX),
    ],
)
def test_retry_after(headers: dict[str, str], wait_ms: int | None) -> None:
    assert retry_after_ms(headers, 10) == wait_ms


def test_a_date_needs_a_clock() -> None:
    assert retry_after_ms({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, None) is None


def test_milliseconds() -> None:
    assert milliseconds("31", 1_000) == 31_000
    assert milliseconds("31s", 1_000) is None
