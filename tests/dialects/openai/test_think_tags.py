"""`<think>` in the text of models whose row says so is reasoning, however it is cut."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.events import Event, ReasoningDelta, TextDelta
from dialects.openai.stream.decode import DONE_FRAME, Decoder
from dialects.openai.think_tags import TagsDecoder, ThinkTags, untag_answer

CASES = [
    ("<think>plan</think>answer", "plan", "answer"),
    ("\n<think>\nplan < b </ x\n</think>\n\nanswer </think>", "plan < b </ x", "answer </think>"),
    ("<think></think>answer", "", "answer"),
    ("<think>never ends", "never ends", ""),
    ("say <think>plain</think>", "", "say <think>plain</think>"),
    ("<thin", "", "<thin"),
    ("  plain", "", "  plain"),
    ("<think>a</think><think>b</think>", "a", "<think>b</think>"),
    ("", "", ""),
]  # fmt: skip
cases = pytest.mark.parametrize(("source_text", "thought", "text"), CASES)


@cases
def test_text_is_split_the_same_however_it_arrives(
    source_text: str, thought: str, text: str
) -> None:
    for size in range(1, len(source_text) + 1):
        tags = ThinkTags()
        pieces = [tags.feed(source_text[at : at + size]) for at in range(0, len(source_text), size)]
        pieces.append(tags.feed("", last=True))
        assert "".join(piece for piece, _ in pieces) == thought
        assert "".join(piece for _, piece in pieces) == text


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"


def stream(text: str, size: int) -> bytes:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    chunks = [chunk({"role": "assistant", "content": ""})]
    chunks += [chunk({"content": piece}) for piece in pieces]
    return b"".join([*chunks, chunk({}, "stop"), DONE_FRAME])


@cases
@pytest.mark.parametrize("translate", [False, True])
def test_a_stream(source_text: str, thought: str, text: str, translate: bool) -> None:
    for size in (1, 3, 100):
        raw = stream(source_text, size)
        for cut in (1, 40, 100_000):
            decoder = TagsDecoder(Decoder(include_usage=True, translate=translate), 1)
            steps = [s for at in range(0, len(raw), cut) for s in decoder.feed(raw[at : at + cut])]
            steps += decoder.end()
            events: list[Event] = [event for step in steps for event in step.events]
            thoughts = [e.text for e in events if isinstance(e, ReasoningDelta)]
            assert "".join(thoughts) == thought
            assert "".join(e.text for e in events if isinstance(e, TextDelta)) == text
            page_text = b"".join(step.raw for step in steps)
            if translate or not thought:
                continue
            # A client of the same dialect finds it where it looks for reasoning.
            deltas = [json.loads(frame[6:])["choices"][0]["delta"]
                      for frame in page_text.split(b"\n\n")[:-2]]  # fmt: skip
            assert "".join(delta.get("reasoning_content", "") for delta in deltas) == thought
            assert "".join(delta.get("content", "") for delta in deltas) == text


@given(st.text("<think>/ a\n", max_size=30), st.integers(1, 9))
def test_only_tags_and_space_are_lost(source_text: str, size: int) -> None:
    tags = ThinkTags()
    pieces = [tags.feed(source_text[at : at + size]) for at in range(0, len(source_text), size)]
    pieces.append(tags.feed("", last=True))
    joined = "".join(thought for thought, _ in pieces) + "".join(text for _, text in pieces)
    bare = source_text.lstrip()
    if bare.startswith("<think>"):
        bare = bare.removeprefix("<think>").replace("</think>", "", 1)
    assert "".join(joined.split()) == "".join(bare.split())


def test_choices_without_an_index_are_the_first() -> None:
    pieces = [{"content": "<think>plan"}, {"content": "</think>answer"}]
    chunks = [
        b"data: %b\n\n" % json.dumps({"choices": [{"delta": one}]}).encode() for one in pieces
    ]
    decoder = TagsDecoder(Decoder(include_usage=True, translate=True), 1)
    steps = decoder.feed(chunks[0] + chunk({"content": ""}) + chunks[1])
    events = [event for step in steps for event in step.events]
    assert [event.text for event in events if isinstance(event, ReasoningDelta)] == ["plan"]
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["answer"]


def test_bytes_pass_untouched_once_there_are_no_tags() -> None:
    first, later = (
        chunk({"content": "plain"}),
        b'data: {"choices": [ {"delta":{"content":"x"}}]}\n\n',
    )
    decoder = TagsDecoder(Decoder(include_usage=True), 1)
    raw = b"".join(
        step.raw for piece in (first, later[:9], later[9:]) for step in decoder.feed(piece)
    )
    assert raw == first + later


@cases
def test_a_whole_answer(source_text: str, thought: str, text: str) -> None:
    answer = {
        "choices": [{"index": 0, "message": {"content": source_text}, "finish_reason": "stop"}]
    }
    (choice,) = json.loads(untag_answer(json.dumps(answer).encode()))["choices"]
    assert choice["message"].get("reasoning_content", "") == thought
    assert choice["message"]["content"] == text
    assert untag_answer(b"no json") == b"no json"


# What Mistral's models send while they reason, then a text in one more list, then plain texts.
CHUNKS: list[dict[str, Any]] = [
    {"role": "assistant", "content": ""},
    {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "pl"}]}]},
    {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "an"}]}]},
    {"content": [{"type": "text", "text": "ans"}]},
    {"content": "wer"},
    {"content": [{"type": "text", "text": "!"}, {"type": "reference", "reference_ids": [1]}]},
]


@pytest.mark.parametrize("translate", [False, True])
def test_a_stream_of_chunks(translate: bool) -> None:
    raw = b"".join([*map(chunk, CHUNKS), chunk({}, "stop"), DONE_FRAME])
    decoder = TagsDecoder(Decoder(include_usage=True, translate=translate), 1)
    steps = [*decoder.feed(raw), *decoder.end()]
    events: list[Event] = [event for step in steps for event in step.events]
    assert "".join(e.text for e in events if isinstance(e, ReasoningDelta)) == "plan"
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "answer!"
    if not translate:
        frames = b"".join(step.raw for step in steps).split(b"\n\n")[:-2]
        deltas = [json.loads(frame[6:])["choices"][0]["delta"] for frame in frames]
        assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "plan"
        assert "".join(delta.get("content", "") for delta in deltas) == "answer!"


def test_a_whole_answer_of_chunks() -> None:
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "plan"}], "closed": True},
        {"type": "text", "text": "answer"},
    ]
    message = {"role": "assistant", "content": content}
    read = json.loads(untag_answer(json.dumps({"choices": [{"message": message}]}).encode()))
    assert read["choices"][0]["message"] == {
        "role": "assistant",
        "content": "answer",
        "reasoning_content": "plan",
    }
    other = b'{"choices":[{"message":{"content":[{"type":"text"}]}}]}'
    assert untag_answer(other) == other
