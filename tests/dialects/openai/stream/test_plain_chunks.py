"""A chunk or a whole answer with nothing but its start, text, end and usage is completed without a
look at all its members: it has the same events."""

import json
from typing import Any, Final
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from dialects.openai.answer.decode import decode
from dialects.openai.answer.wire import FullChunk, read_chunk
from dialects.openai.stream.decode import Decoder

ANY: Final = st.sampled_from([None, "", "x", 0, 1, 1.5, -1, True, [], ["x"], {}, {"url": "x"}])
CALL: Final = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
IMAGE: Final = {"image_url": {"url": "https://x.example/a.png"}}
CITED: Final = {"url_citation": {"url": "https://x.example", "title": "x"}}
TOKEN: Final = {"token": "a", "logprob": -1.0, "bytes": [97]}


def some(**members: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of these members."""
    return st.fixed_dictionaries({}, optional={k: st.one_of(v, ANY) for k, v in members.items()})


DELTA: Final = some(
    role=st.just("assistant"), content=st.text(max_size=5), refusal=st.just("no"),
    reasoning_content=st.just("hm"), tool_calls=st.just([CALL]), images=st.just([IMAGE]),
    annotations=st.just([CITED]),
)  # fmt: skip
CHOICE: Final = some(
    index=st.integers(0, 1), delta=DELTA, message=DELTA, logprobs=st.just({"content": [TOKEN]}),
    finish_reason=st.sampled_from(["stop", "tool_calls", "length"]),
)  # fmt: skip
CHUNK: Final = some(
    id=st.just("a"), model=st.just("m"), created=st.just(3), service_tier=st.just("flex"),
    system_fingerprint=st.just("fp"), choices=st.lists(CHOICE, max_size=2),
    usage=st.just({"prompt_tokens": 5, "completion_tokens": 2}),
    citations=st.just(["https://x.example"]), web_search=st.just([{"link": "https://x.example"}]),
    search_info=st.just({"search_results": [{"url": "https://x.example", "title": "x"}]}),
)  # fmt: skip


def read_whole(chunk: dict[str, Any]) -> str:
    return repr(decode(json.dumps(chunk).encode(), translate=True, request_id="r"))


def decoder() -> Decoder:
    return Decoder(include_usage=True, choices=1, translate=True, request_id="r")


@given(st.lists(CHUNK, max_size=4))
def test_a_plain_chunk_has_the_events_of_any_chunk(chunks: list[dict[str, Any]]) -> None:
    quick, plain = decoder(), decoder()
    assert plain._translation is not None
    complete = plain._translation.complete
    vars(plain._translation)["complete"] = lambda events, data, _: complete(events, data)
    for chunk in chunks:
        raw = b"data: " + json.dumps(chunk).encode() + b"\n\n"
        assert repr(quick.feed(raw)) == repr(plain.feed(raw))
    assert repr(quick.end()) == repr(plain.end())


@given(CHUNK)
def test_a_plain_answer_has_the_events_of_any_answer(chunk: dict[str, Any]) -> None:
    with patch.object(FullChunk, "is_plain", False):
        expected = read_whole(chunk)
    assert read_whole(chunk) == expected


def test_number_out_of_range_beside_a_text_costs_no_text() -> None:
    chunk = (
        b'{"id":"x","choices":[{"index":0,"delta":{"content":"Hello"},'
        b'"logprobs":{"content":[{"token":"Hello","logprob":-1e999}]}}]}'
    )
    texts = [choice.delta.content for choice in read_chunk(chunk).choices or () if choice.delta]
    assert texts == ["Hello"]
