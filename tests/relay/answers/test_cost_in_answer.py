"""The charge stands in the usage of an answer, wherever its dialect has it, and is added where a
provider sent none: `x-weir-include-cost`."""

import json
from typing import Any

import pytest

from relay.answers.cost_in_answer import last_with_cost, with_cost

METERS = {"in_text": 3, "out_text": 5}
NANO = 1_234_500
COST = "0.0012345"


def frames(*objects: dict[str, Any], done: bool = False) -> bytes:
    raw = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in objects)
    return raw + (b"data: [DONE]\n\n" if done else b"")


def read(raw: bytes) -> list[Any]:
    lines = [line[6:] for line in raw.decode().splitlines() if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        ({"id": "c", "usage": {"prompt_tokens": 3}}, ("usage",)),
        ({"candidates": [], "usageMetadata": {"promptTokenCount": 3}}, ("usageMetadata",)),
        ({"response": {"id": "r", "usage": {"input_tokens": 3}}}, ("response", "usage")),
        ({"interaction": {"id": "i", "usage": {"x": 3}}}, ("interaction", "usage")),
    ],
)
def test_whole_answer_has_the_charge_in_its_usage(answer: Any, path: tuple[str, ...]) -> None:
    written = json.loads(with_cost(json.dumps(answer).encode(), NANO))
    for name in path:
        written, answer = written[name], answer[name]
    assert written == answer | {"cost": COST}


@pytest.mark.parametrize("raw", [b'{"id": "c"}', b'{"usage": null}', b"not JSON", b"[]"])
def test_answer_without_usage_stays_as_it_is(raw: bytes) -> None:
    assert with_cost(raw, NANO) == raw


def test_last_usage_of_a_stream_has_the_charge() -> None:
    chunk = {"id": "c", "choices": [], "usage": {"prompt_tokens": 3}}
    first: Any = {"id": "c", "choices": [{"delta": {}}], "usage": None}
    last = chunk
    assert read(last_with_cost(frames(first, last, done=True), METERS, NANO)) == [
        first, chunk | {"usage": {"prompt_tokens": 3, "cost": COST}}, "[DONE]",
    ]  # fmt: skip


def test_chat_stream_without_usage_gets_one_more_chunk_before_its_end() -> None:
    first = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
             "system_fingerprint": "f", "choices": [{"finish_reason": "stop"}]}  # fmt: skip
    for done in (True, False):
        result = read(last_with_cost(frames(first, done=done), METERS, NANO))
        assert result[0] == first
        added = result[1]
        assert {name: added[name] for name in first} == first | {"choices": []}
        assert (added["usage"]["prompt_tokens"], added["usage"]["completion_tokens"]) == (3, 5)
        assert added["usage"]["cost"] == COST
        assert result[2:] == (["[DONE]"] if done else [])


@pytest.mark.parametrize(
    ("last", "path", "count"),
    [
        ({"type": "message_delta", "delta": {}}, ("usage",), ("output_tokens", 5)),
        ({"metrics": {"latencyMs": 1}}, ("usage",), ("outputTokens", 5)),
        ({"candidates": [{}]}, ("usageMetadata",), ("promptTokenCount", 3)),
        ({"type": "response.completed", "response": {"id": "r"}}, ("response", "usage"),
         ("output_tokens", 5)),
    ],
    ids=["anthropic", "converse", "gemini", "responses"],
)  # fmt: skip
def test_stream_without_usage_gets_our_own_count_where_its_dialect_has_it(
    last: dict[str, Any], path: tuple[str, ...], count: tuple[str, int]
) -> None:
    before = {"type": "ping"}
    result = read(last_with_cost(frames(before, last), METERS, NANO))
    assert result[0] == before
    (written,) = result[1:]
    for name in path:
        written = written[name]
    assert written["cost"] == COST
    assert written[count[0]] == count[1]
