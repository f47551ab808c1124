"""P23: what is within what, field by field."""

import datetime as dt
from typing import Any

import pytest

from accounts.keys.reach import Reach, first_field_beyond

NOON = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
LATER = NOON + dt.timedelta(seconds=1)


@pytest.mark.parametrize(
    ("field", "wanted", "bound", "within"),
    [
        ("expires_at", NOON, NOON, True),
        ("expires_at", LATER, NOON, False),
        ("expires_at", None, NOON, False),
        ("expires_at", LATER, None, True),
        ("rpm", 5, 5, True),
        ("rpm", 6, 5, False),
        ("tpm", None, 5, False),
        ("parallel", 1, None, True),
        ("endpoints", ("messages",), ("messages", "edits"), True),
        ("endpoints", ("messages", "rerank"), ("messages", "edits"), False),
        ("endpoints", (), ("messages",), False),
        ("endpoints", ("messages",), (), True),
        ("model_patterns", ("gpt-5", "gpt-4*"), ("gpt-*",), True),
        ("model_patterns", ("*",), ("gpt-*",), False),
        ("model_patterns", ("gpt*",), ("gpt-*",), False),
        ("model_patterns", ("gpt-5",), ("gpt-5-mini",), False),
        ("model_patterns", ("gpt-5-mini",), ("gpt-5",), False),
        ("model_patterns", ("a*z",), ("a*z",), True),
        ("model_patterns", ("gpt-5",), ("*",), True),
        ("networks", ("10.1.0.0/16",), ("10.0.0.0/8",), True),
        ("networks", ("10.1.2.3",), ("192.168.0.0/16", "10.0.0.0/8"), True),
        ("networks", ("0.0.0.0/0",), ("10.0.0.0/8",), False),
        ("networks", ("10.0.0.0/7",), ("10.0.0.0/8",), False),
        ("networks", ("::/0",), ("0.0.0.0/0",), False),
        ("networks", ("2001:db8:1::/48",), ("2001:db8::/32",), True),
        ("networks", ("10.0.0.1",), ("2001:db8::/32",), False),
        ("networks", (), ("10.0.0.0/8",), False),
    ],
)
def test_one_field(field: str, wanted: Any, bound: Any, within: bool) -> None:
    result = first_field_beyond(Reach(**{field: wanted}), Reach(**{field: bound}))
    assert result == (None if within else field)


def test_the_first_of_several_is_named() -> None:
    wanted = Reach(expires_at=NOON, rpm=2, networks=())
    assert first_field_beyond(wanted, Reach(LATER, rpm=1, networks=("10.0.0.0/8",))) == "networks"
    assert first_field_beyond(wanted, Reach()) is None
