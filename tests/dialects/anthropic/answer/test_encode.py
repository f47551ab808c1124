import json
from typing import Any

import pytest
from hypothesis import given

from dialects.anthropic.answer.decode import decode
from dialects.anthropic.answer.encode import encode, read_arguments
from dialects.chat.chat import (
    Audio,
    Base64,
    ChatAnswer,
    Choice,
    FileId,
    Image,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Url,
)
from dialects.chat.events import Seal, Source
from dialects.openai.answer.decode import decode as decode_openai
from dialects.usage.usage import Counts
from tests.dialects.anthropic.golden import GOLDEN
from tests.dialects.anthropic.stream.test_encode import parts
from tests.dialects.neutral import answer, request

OPENAI = GOLDEN.parent / "openai"


def written(chat_answer: ChatAnswer) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(
        encode(chat_answer, request(dialect="anthropic", model="asked"))
    )
    return body


def content(*answer_parts: Part) -> list[dict[str, Any]]:
    encoded: list[dict[str, Any]] = written(answer(*answer_parts))["content"]
    return encoded


def test_whole_answer() -> None:
    body = written(answer(Text("hi"), counts=Counts(input=3, output=2)))
    assert body.pop("id").startswith("msg_")
    assert body == {
        "type": "message",
        "role": "assistant",
        "model": "m-1",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 2,
        },
    }


def test_answer_without_anything() -> None:
    body = written(ChatAnswer(id="", model="", created=0, choices=()))
    assert (body["model"], body["content"], body["stop_reason"]) == ("asked", [], "end_turn")


def test_blocks() -> None:
    assert content(
        Reasoning("a", Seal("gemini", "s")),
        Reasoning("b"),
        Reasoning("", Seal("anthropic", "d", redacted=True)),
        ToolCall("t.1", "f", '{"a": 1}'),
        Image(Url("u")),
        Image(FileId("x")),
        Audio(Base64("AA==", "audio/wav")),
    ) == [
        {"type": "thinking", "thinking": "a", "signature": "gemini:s"},
        {"type": "thinking", "thinking": "b", "signature": ""},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "tool_use", "id": content(ToolCall("t.1", "f", ""))[0]["id"], "name": "f",
         "input": {"a": 1}},
        {"type": "image", "source": {"type": "url", "url": "u"}},
        {"type": "image", "source": {"type": "file", "file_id": "x"}},
    ]  # fmt: skip


def test_refusal_is_text_with_its_reason() -> None:
    body = written(answer(Refusal("no")))
    assert body["content"] == [{"type": "text", "text": "no"}]
    assert body["stop_reason"] == "refusal"
    assert written(answer(Refusal("no"), finish="length"))["stop_reason"] == "max_tokens"


def test_stop_sequence() -> None:
    choice = Choice(index=0, parts=(), finish="stop_sequence", stop_sequence="X")
    body = written(ChatAnswer(id="", model="", created=0, choices=(choice,)))
    assert (body["stop_reason"], body["stop_sequence"]) == ("stop_sequence", "X")


def test_citations_stand_in_the_block_they_are_about() -> None:
    answer_parts = (Text("abc"), ToolCall("t", "f", ""), Text("def"))
    cited = (Source("u1", start=1, end=2), Source("u2", start=3, end=6), Source("u3"))
    choice = Choice(
        index=0, parts=answer_parts, finish="stop", citations=(*cited, Source("u4", start=-1))
    )
    body = written(ChatAnswer(id="", model="", created=0, choices=(choice,)))
    first, _, last = body["content"]
    assert [citation["url"] for citation in first["citations"]] == ["u1"]
    assert [citation["url"] for citation in last["citations"]] == ["u2", "u3", "u4"]
    none = Choice(index=0, parts=(), finish="stop", citations=cited)
    assert written(ChatAnswer(id="", model="", created=0, choices=(none,)))["content"] == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        (" ", {}),
        ('{"a":"é"}', {"a": "é"}),
        ("[1]", {"_raw": "[1]"}),
        ("{", {"_raw": "{"}),
        ("[" * 100_000, {"_raw": "[" * 100_000}),
        ('{"a":1e400}', {"_raw": '{"a":1e400}'}),
        ("\ud800", {"_raw": "\ud800"}),
    ],
)
def test_arguments(text: str, value: object) -> None:
    assert read_arguments(text) == value


@given(parts())
def test_any_answer_survives_writing_and_reading(answer_parts: tuple[Part, ...]) -> None:
    before = answer(*answer_parts, counts=Counts(input=5, output=5))
    after = decode(encode(before, request(dialect="anthropic")), translate=True).fold()
    assert plain(after) == plain(before)
    assert after.counts == before.counts


@pytest.mark.parametrize("exchange", ["text_with_logprobs_n2", "tool_phase_1", "tool_phase_2"])
def test_answers_of_the_openai_dialect(exchange: str) -> None:
    """Text, calls, stop and usage of the first choice survive the way into this dialect."""
    exchanges = json.loads((OPENAI / "openai_chat_nonstream.json").read_text())["exchanges"]
    (recorded,) = (candidate for candidate in exchanges if candidate["id"] == exchange)
    before = decode_openai(json.dumps(recorded["response"]["body"]).encode(), translate=True).fold()
    after = decode(encode(before, request(dialect="anthropic")), translate=True).fold()
    assert plain(after) == plain(before)[: len(before.choices[0].parts)]
    assert after.choices[0].finish == before.choices[0].finish
    assert after.counts == before.counts


def plain(chat_answer: ChatAnswer) -> list[object]:
    """The parts, with the values of arguments in the place of their text."""
    return [
        (part.id, part.name, json.loads(part.arguments)) if isinstance(part, ToolCall) else part
        for choice in chat_answer.choices
        for part in choice.parts
    ]
