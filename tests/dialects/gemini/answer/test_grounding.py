import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.events import Source
from dialects.gemini.answer.grounding import (
    count_searches,
    read_queries,
    read_sources,
    write_grounding,
)
from dialects.json.raw_json import ABSENT

SAID = "é 上海 is big."


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def sources(segment: object) -> list[Source]:
    support = {"segment": segment, "groundingChunkIndices": [0]}
    members = {"groundingChunks": [{"web": {"uri": "u"}}], "groundingSupports": [support]}
    return read_sources(raw(members), ABSENT, SAID)


@pytest.mark.parametrize(
    ("segment", "place"),
    [
        ({"startIndex": 3, "endIndex": 9}, (2, 4)),
        ({"endIndex": 2}, (0, 1)),
        ({"startIndex": 3, "endIndex": 9, "text": "上海"}, (2, 4)),
        ({"startIndex": 2, "endIndex": 4, "text": "上海"}, (2, 4)),
        ({"text": "big"}, (8, 11)),
        ({"startIndex": 3, "endIndex": 9, "text": "elsewhere"}, (None, None)),
        ({"startIndex": 3, "endIndex": 99}, (None, None)),
        ({"startIndex": "3", "endIndex": 9}, (None, None)),
        ({"startIndex": 9, "endIndex": 3}, (None, None)),
        ({}, (None, None)),
        (3, (None, None)),
    ],
)
def test_places(segment: object, place: tuple[int | None, int | None]) -> None:
    assert sources(segment) == [Source("u", "", *place)]


def test_kinds_of_sources() -> None:
    members = {
        "groundingChunks": [
            {"retrievedContext": {"uri": "a", "title": "A", "text": "words"}},
            {"maps": {"uri": "b"}},
            {"web": {}},
            {"other": 1},
        ],
        "groundingSupports": [{"groundingChunkIndices": 3}, 4],
    }
    assert read_sources(raw(members), ABSENT, SAID) == [
        Source("a", "A", quote="words"),
        Source("b"),
    ]


@pytest.mark.parametrize("name", ["citationSources", "citations"])
def test_recited_texts(name: str) -> None:
    members = {name: [{"uri": "a", "startIndex": 3, "endIndex": 9}, {"title": "no address"}]}
    assert read_sources(ABSENT, raw(members), SAID) == [Source("a", "", 2, 4)]


@pytest.mark.parametrize(
    ("metadata", "queries"),
    [
        ({"webSearchQueries": ["a", "", "b"]}, ["a", "b"]),
        ({"webSearchQueries": 3}, []),
        ({}, []),
        (None, []),
    ],
)
def test_queries(metadata: object, queries: list[str]) -> None:
    assert read_queries(raw(metadata)) == queries


@pytest.mark.parametrize(
    ("queries", "model", "searches"),
    [
        (0, "gemini-3-pro", 0),
        (3, "gemini-2.5-flash", 1),
        (3, "gemini-3-pro-preview", 3),
        (3, "models/gemini-12-x", 3),
        (3, "", 1),
    ],
)
def test_searches(queries: int, model: str, searches: int) -> None:
    assert count_searches(queries, model) == searches


places = st.integers(0, len(SAID))


@given(
    st.lists(
        st.builds(
            lambda url, start, end: (
                Source(url, "t", start, end) if start < end else Source(url, "t")
            ),
            st.sampled_from("ab"),
            places,
            places,
        ),
        max_size=4,
        unique=True,
    )
)  # fmt: skip
def test_written_grounding_reads_the_same(cited: list[Source]) -> None:
    written = write_grounding(cited, SAID)
    got: list[Any] = read_sources(raw(written), ABSENT, SAID)
    placed = [source for source in cited if source.start is not None]
    assert got[: len(placed)] == placed
    assert {source.url for source in got} == {source.url for source in cited}
    assert bool(written) == bool(cited)
