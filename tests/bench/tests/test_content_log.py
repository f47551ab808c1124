"""The tables of the content log's measurements, and the texts that it is filled with."""

import json
import random

from tests.bench.content_log import Asked, Dropped, Found, _body, read_found, table

FOUND = Found(
    1_000,
    4_100,
    2_000,
    12.3,
    [400_000, 2_400_000, 300_000, 3_100_000, 31],
    {"a rare model": Asked(12.34, 20.0, "4 entries, more")},
    {"a rare word": Asked(700.0, 812.3, "0 hits")},
    {"Usage, 30 days": [10.0, 20.0, 11.0, 21.0]},
    Dropped(33, 25.0, [["content_entry", "AccessExclusiveLock"]], 4.0, 6.0),
)


def test_tables() -> None:
    text = table(FOUND)
    for line in (
        "| texts beside them | 2 | 2,400 |",
        "| a rare model | 12.3 | 20.0 | 4 entries, more |",
        "| a rare word | 700.0 | 812.3 | 0 hits |",
        "| Usage, 30 days | 10 / 20 | 11 / 21 |",
    ):
        assert line in text.splitlines()
    assert "dropped in 25 ms (AccessExclusiveLock of content_entry)" in text


def test_measurements_come_through_a_pipe() -> None:
    assert read_found(json.dumps(FOUND)) == FOUND


def test_bodies_have_their_size_and_a_place_for_words() -> None:
    request, answer = _body(random.Random(1), 4_096)
    filled = request % b"rareword"
    assert json.loads(filled)["messages"][0]["content"].startswith("rareword ")
    assert json.loads(answer)["choices"]
    # Lines and quotation marks take a byte more as JSON.
    assert 4_096 <= len(filled) + len(answer) < 4_400
