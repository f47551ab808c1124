import pytest

from gateway.codecs.amount import read_amount


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("0", 0),
        ("1", 10**9),
        ("0.1234567899", 123_456_789),
        ("1e-05", 10_000),
        ("", None),
        ("-1", None),
        ("1,5", None),
        ("NaN", None),
        ("1e99", None),
        ("9999999999999", None),
        ("٣", None),
    ],
)
def test_amount(text: str, nano: int | None) -> None:
    assert read_amount(text) == nano
