"""Compactions by models whose provider has none."""

import json
from typing import Any

import pytest

from dialects.chat.chat import ChatAnswer, Choice, Text
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS, TEXT_CODECS
from dialects.errors.errors import RequestFault
from dialects.json.body import NO_QUIRKS
from dialects.responses import input_tokens
from dialects.responses.compaction import write_compaction
from dialects.responses.summary import write_summary
from tests.support.openapi import check

COMPACT = TEXT_CODECS["responses_compact"]
RESPONSES = CODECS["responses"]
TALK: list[dict[str, Any]] = [
    {"role": "user", "content": "read a.txt"},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
    {"type": "function_call", "call_id": "c1", "name": "read", "arguments": '{"path":"a.txt"}'},
    {"type": "function_call_output", "call_id": "c1", "output": "42"},
    {"type": "message", "role": "assistant", "content": "it says 42"},
]


def body_of(*items: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"model": "m", "input": items, **more}).encode()


def texts_of(codec: Any, raw: bytes) -> list[tuple[str, str]]:
    request = codec.decode(codec.read(raw, Target()), Target(), "r", 1)
    return [
        (message.role, "".join(part.text for part in message.parts)) for message in request.messages
    ]


def test_the_model_reads_the_conversation_as_texts() -> None:
    tool = {"type": "function", "name": "read", "parameters": {"type": "object"}}
    raw = body_of(*TALK, instructions="be exact", tools=[tool])
    *told, asked = texts_of(COMPACT, raw)
    assert told == [
        ("system", "be exact"),
        ("user", "read a.txt"),
        ("assistant", '[Called read with {"path":"a.txt"}]'),
        ("user", "[read answered:]42"),
        ("assistant", "it says 42"),
    ]
    assert asked[0] == "user"
    assert asked[1].startswith("Write a summary")
    assert COMPACT.decode(COMPACT.read(raw, Target()), Target(), "r", 1).tools == ()


def test_additions_are_held_for() -> None:
    """I13: the bound of the input covers the sentence that asks for the summary."""
    raw = body_of(*TALK)
    asked = texts_of(COMPACT, raw)[-1][1]
    assert COMPACT.read(raw, Target()).text_bytes >= len(raw) + len(asked)


def test_a_summary_is_read_by_every_model() -> None:
    request = COMPACT.decode(COMPACT.read(body_of(*TALK), Target()), Target(), "r", 1)
    choice = Choice(index=0, parts=(Text("naïve 摘要"),), finish="stop")
    answer = ChatAnswer(id="x", model="y", created=1, choices=(choice,))
    compaction = json.loads(COMPACT.write_answer(answer, request))
    check(compaction, "openresponses", "CompactResource")
    check(compaction, "openai", "CompactResource")
    raw = body_of(*compaction["output"], {"role": "user", "content": "go on"})
    expected = [
        ("user", "Summary of the conversation so far:\n\nnaïve 摘要"),
        ("user", "go on"),
    ]
    assert texts_of(RESPONSES, raw) == expected
    # A provider of the same dialect gets the client's bytes otherwise.
    forwarded = RESPONSES.edit(RESPONSES.read(raw, Target()), "m", None, None, NO_QUIRKS)
    assert texts_of(RESPONSES, forwarded) == expected
    assert b"compaction" not in forwarded


@pytest.mark.parametrize("sealed", ["gAAAA", "summary:?", "summary:YQ", 3, None])
def test_foreign_compactions_are_left_alone(sealed: Any) -> None:
    item = {"type": "compaction", "encrypted_content": sealed}
    raw = body_of(item, {"role": "user", "content": "go on"})
    facts = RESPONSES.read(raw, Target())
    assert RESPONSES.edit(facts, "m", None, None, NO_QUIRKS) == raw
    with pytest.raises(RequestFault, match="only be read by its provider"):
        RESPONSES.decode(facts, Target(), "r", 1)


def test_only_compactions_are_read_as_such() -> None:
    item = {"type": "reasoning", "id": "rs_1", "encrypted_content": write_summary("x")}
    facts = RESPONSES.read(body_of(item, {"role": "user", "content": "go on"}), Target())
    assert facts.summaries == ()


def test_compaction_has_the_ids_and_the_time_of_its_request() -> None:
    request = COMPACT.decode(COMPACT.read(body_of(*TALK), Target()), Target(), "r1", 1_770_000_000)
    choice = Choice(index=0, parts=(Text("Short."),), finish="stop")
    answer = ChatAnswer(id="a", model="m", created=1, choices=(choice,))
    told = json.loads(write_compaction(answer, request))
    assert (told["object"], told["created_at"]) == ("response.compaction", 1_770_000_000)
    assert told["output"][0]["type"] == "compaction"
    assert told["output"][0]["encrypted_content"] == write_summary("Short.")
    assert told["output"][0]["id"].startswith("cmp_")


@pytest.mark.parametrize(
    ("raw", "count"),
    [
        (b'{"object": "response.input_tokens", "input_tokens": 12}', 12),
        (b'{"object": "response.input_tokens", "input_tokens": -1}', None),
        (b'{"object": "response.input_tokens", "input_tokens": 20000001}', None),
        (b'{"object": "response", "input_tokens": 12}', None),
        (b"{}", None),
    ],
)
def test_impossible_count_of_input_is_none(raw: bytes, count: int | None) -> None:
    """F27"""
    assert input_tokens.read_count(raw) == count


def test_input_that_the_provider_stores_is_not_counted() -> None:
    with pytest.raises(RequestFault) as fault:
        input_tokens.read_request(body_of(*TALK, conversation="conv_1"))
    assert fault.value.kind == "unsupported_capability"
    assert input_tokens.read_request(body_of(*TALK)).model == "m"
