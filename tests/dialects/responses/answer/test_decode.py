import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.chat import (
    Audio,
    Base64,
    ChatAnswer,
    Choice,
    Image,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)
from dialects.chat.events import (
    Broken,
    Citation,
    Finish,
    OpaqueDelta,
    Seal,
    Source,
    TextDelta,
    UpstreamError,
    Usage,
)
from dialects.chat.fold import AnswerFault
from dialects.responses.answer.decode import decode
from dialects.responses.answer.encode import encode
from dialects.usage.usage import Counts
from tests.dialects import neutral
from tests.dialects.exchanges import load_exchange
from tests.dialects.neutral import answer, names, request, words
from tests.dialects.responses.golden import (
    ANSWERS,
    EXPECTED,
    body_of,
    check_summary,
    check_usage,
)
from tests.support.openapi import check

CLIENT = request(dialect="responses")


def body(*output: object, **members: Any) -> bytes:
    return json.dumps({"status": "completed", "output": output} | members).encode()


@pytest.mark.parametrize("key", ANSWERS)
def test_golden_answer(key: str) -> None:
    want = EXPECTED["codec"][key]
    raw = body_of(load_exchange(key))
    result = decode(raw)
    assert (result.error, result.broken) == (None, None)
    check_summary(result.events, want | {"citations": []})
    assert result.searches == want["usage"].get("searches", 0)
    assert isinstance(result.events[-1], Usage)
    translated = decode(raw, translate=True)
    check_summary(translated.events, want)
    (usage,) = [event for event in translated.events if isinstance(event, Usage)]
    check_usage(usage.counts, want["usage"])


@pytest.mark.parametrize("key", [key for key in ANSWERS if "compact" not in key])
def test_golden_answer_written_and_read_again(key: str) -> None:
    want = EXPECTED["codec"][key]
    first = decode(body_of(load_exchange(key)), translate=True).fold()
    raw = encode(first, CLIENT)
    check(json.loads(raw), "openai", "Response")
    check(json.loads(raw), "openresponses", "ResponseResource")
    again = decode(raw, translate=True).fold()
    assert again.choices == first.choices
    expected = want["usage"] | {"searches": 0}
    check_usage(again.counts, expected)
    assert (again.model, again.created) == ("gpt-5.4-2026-03-05", CLIENT.received_at)


def test_a_compaction_is_not_translated() -> None:
    raw = body_of(load_exchange("responses_nonstream.json#compact"))
    result = decode(raw)
    assert [type(event) for event in result.events] == [OpaqueDelta, Usage]
    assert result.text_bytes == len("gAAAAAopaque")
    neutral_form = decode(raw, translate=True).fold()
    assert (neutral_form.choices, neutral_form.id) == ((), "resp_cmp06")
    check_usage(neutral_form.counts, EXPECTED["codec"]["responses_nonstream.json#compact"]["usage"])
    check(json.loads(raw), "openai", "CompactResource")


def test_unfinished_response_has_no_finish() -> None:
    result = decode(body(status="queued"))
    assert (result.events, result.usage) == ([], None)
    assert decode(body(status="queued"), translate=True).fold().choices == ()


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"", "F24"),
        (b" \n", "F24"),
        (b"{}", "F24"),
        (b'{"output":3}', "F24"),
        (b'{"output":null}', "F24"),
        (b"<html>", "F15"),
        (b"3", "F15"),
        (b"[" * 100_000, "F15"),
        (b'{"output":"\xff"}', "F16"),
    ],
)
def test_broken(raw: bytes, fault: str) -> None:
    assert decode(raw).broken == fault
    with pytest.raises(AnswerFault) as caught:
        decode(raw, translate=True).fold()
    assert caught.value.event == Broken(fault)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (body(status="failed", error={"code": "server_error", "message": "x"}), "upstream_error"),
        (body(status="failed", error=None), "upstream_error"),
        (body(error={"code": "rate_limit_exceeded"}), "upstream_rate_limited"),
        (b'{"error":{"message":"x","code":503}}', "overloaded"),
        (b'{"object":"error","message":"x","code":400}', "provider_rejected"),
    ],
)
def test_error_inside_a_200(raw: bytes, kind: str) -> None:
    result = decode(raw)
    assert result.error is not None
    assert result.error.kind == kind
    with pytest.raises(AnswerFault) as caught:
        decode(raw, translate=True).fold()
    assert isinstance(caught.value.event, UpstreamError)


def test_odd_types_are_read_as_far_as_they_go() -> None:
    item = {"type": "message", "content": [3, {"text": 4}, {"type": "output_text", "text": "é"}]}
    result = decode(body(3, item, created_at="x", incomplete_details=3))
    assert result.events == [TextDelta(0, "é"), Finish(0, "stop")]
    assert result.text_bytes == 2


def test_only_the_first_choice_is_told() -> None:
    two = answer(Text("a"))
    second = Choice(index=1, parts=(Text("b"),), finish="stop")
    whole = ChatAnswer(id="i", model="", created=0, choices=(*two.choices, second))
    body = json.loads(encode(whole, CLIENT))
    assert [item["content"][0]["text"] for item in body["output"]] == ["a"]
    assert body["model"] == "m"
    assert body["usage"]["total_tokens"] == 0


def test_sound() -> None:
    spoken = Audio(Base64("AA==", "audio/mpeg"), "hi")
    body = json.loads(encode(answer(spoken), CLIENT))
    assert body["output"][0]["content"] == [
        {"type": "output_audio", "format": "mp3", "data": "AA==", "transcript": "hi"}
    ]


seals = st.one_of(
    st.none(),
    st.builds(Seal, st.sampled_from(["anthropic", "gemini"]), names),
    st.builds(Seal, st.just("anthropic"), names, st.just(True)),
)


@st.composite
def answers(draw: st.DrawFn) -> ChatAnswer:
    """What an answer of any dialect can say that this one can, too."""
    parts: list[Any] = []
    if draw(st.booleans()):
        parts.append(Reasoning(draw(words), draw(seals)))
    parts += [Text(text) for text in draw(st.lists(words, max_size=1))]
    parts += [Refusal(text) for text in draw(st.lists(words, max_size=1))]
    n = draw(st.integers(0, 2))
    parts += [ToolCall(f"call_{at}", draw(names), '{"a":1}') for at in range(n)]
    parts += draw(st.lists(st.just(Image(Base64("AA==", "image/png"))), max_size=1))
    texts = [part for part in parts if isinstance(part, Text)]
    cited = st.builds(Source, names, words, st.just(0), st.integers(1, 9))
    unique = st.lists(cited, max_size=2, unique_by=lambda source: source.url)
    choice = Choice(
        index=0,
        parts=tuple(parts),
        finish="tool_calls" if n else draw(st.sampled_from(["stop", "length", "content_filter"])),
        citations=tuple(draw(unique)) if texts else (),
    )
    counts = draw(neutral.counts())
    return ChatAnswer(id="up", model=draw(names), created=7, choices=(choice,), counts=counts)


# A schema of this size is slow to check.
@given(answers())
def test_written_answer_reads_the_same(chat_answer: ChatAnswer) -> None:
    raw = encode(chat_answer, CLIENT)
    check(json.loads(raw), "openai", "Response")
    again = decode(raw, translate=True).fold()
    # An answer without any part still has its choice.
    assert again.choices == chat_answer.choices
    assert (again.model, again.counts and again.counts.total) == (
        chat_answer.model,
        chat_answer.counts and chat_answer.counts.total,
    )
    assert isinstance(again.counts, Counts)


def texts_of(choice: Choice) -> list[str]:
    thought = [part.text for part in choice.parts if isinstance(part, Reasoning)]
    text = [part.text for part in choice.parts if isinstance(part, Text)]
    refused = [part.text for part in choice.parts if isinstance(part, Refusal)]
    return ["".join(thought), "".join(text), "".join(refused)]


@given(neutral.openai_answers())
def test_any_answer_of_the_openai_dialect_is_written(chat_answer: ChatAnswer) -> None:
    again = decode(encode(chat_answer, CLIENT), translate=True).fold()
    want = chat_answer.choices[0]
    assert texts_of(again.choices[0]) == texts_of(want)
    assert [p for p in again.choices[0].parts if isinstance(p, ToolCall)] == [
        p for p in want.parts if isinstance(p, ToolCall)
    ]


@given(st.binary(max_size=80))
def test_no_bytes_crash_reading(raw: bytes) -> None:
    decode(raw, translate=True)


def test_perplexity_sources_are_cited() -> None:
    """Its search results are an item of their own; a client of the dialect gets it as it is."""
    found = {
        "type": "search_results",
        "queries": ["ruby"],
        "results": [
            {"id": 1, "title": "Ruby", "url": "https://ruby.example", "snippet": "A language."},
            {"id": 2, "title": "No address"},
        ],
    }
    raw = body(found, {"type": "message", "content": [{"type": "output_text", "text": "hi"}]})
    sources = [e.source for e in decode(raw, translate=True).events if isinstance(e, Citation)]
    assert sources == [Source("https://ruby.example", "Ruby")]
    assert not [e for e in decode(raw).events if isinstance(e, Citation)]
