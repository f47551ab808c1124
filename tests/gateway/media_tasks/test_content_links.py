"""A link to a file opens that file, as it was signed, until its instant."""

from typing import Final
from urllib.parse import quote

import pytest

from gateway.media_tasks.content_links import _signature, is_signed, signed_link

HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S
NOW: Final = 1_795_262_400  # a full hour


def query_at(now: float, task: str = "task") -> bytes:
    link = signed_link("pepper", "https://hub.example/v1/videos/task/content", task, now)
    return link.partition("?")[2].encode()


@pytest.mark.parametrize("at", [NOW, NOW + 1, NOW + 3599, NOW + 0.5])
def test_a_link_is_good_for_a_day_and_the_rest_of_the_hour(at: float) -> None:
    query = query_at(at)
    ends = NOW + DAY_S if int(at) == NOW else NOW + DAY_S + HOUR_S
    assert f"expires={ends}&".encode() in query
    assert is_signed("pepper", "task", query, at)
    assert is_signed("pepper", "task", query, ends - 1)
    assert not is_signed("pepper", "task", query, ends)


def test_a_link_is_the_same_for_an_hour() -> None:
    assert query_at(NOW + 1) == query_at(NOW + HOUR_S) != query_at(NOW + HOUR_S + 1)


GOOD: Final = query_at(NOW).decode()
EXPIRES, SIGNATURE = GOOD.split("&")


@pytest.mark.parametrize(
    "query",
    [
        "",
        EXPIRES,
        SIGNATURE,
        "signature=",
        f"{EXPIRES}&signature=",
        f"{EXPIRES}0&{SIGNATURE}",
        f"{EXPIRES}&{SIGNATURE}x",
        f"{GOOD}&{SIGNATURE}",
        f"{GOOD}&{EXPIRES}",
        f"{GOOD}&expires=1",
        f"expires=&{SIGNATURE}",
        f"expires=%2B{EXPIRES[8:]}&{SIGNATURE}",
        f"expires=tomorrow&{SIGNATURE}",
        f"expires=\u00b2&{SIGNATURE}",
        f"expires={'9' * 12}&{SIGNATURE}",
    ],
)
def test_nothing_else_opens_a_link(query: str) -> None:
    assert not is_signed("pepper", "task", query.encode(), NOW)


@pytest.mark.parametrize("expires", ["\u0662", "1" * 12, "-1", "x"])
def test_invalid_instant_opens_nothing_even_if_signed(expires: str) -> None:
    """An instant of 12 digits lies so far away that the link would be good for ever."""
    query = f"expires={quote(expires)}&signature={_signature('pepper', 'task', expires)}"
    assert not is_signed("pepper", "task", query.encode(), 0)


def test_a_link_opens_no_other_file_and_no_other_hub() -> None:
    assert not is_signed("pepper", "another", GOOD.encode(), NOW)
    assert not is_signed("salt", "task", GOOD.encode(), NOW)
