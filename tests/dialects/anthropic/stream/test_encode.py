import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.anthropic.stream.decode import Decoder
from dialects.anthropic.stream.encode import Encoder
from dialects.chat.chat import (
    Base64,
    ChatAnswer,
    Choice,
    Image,
    Part,
    Reasoning,
    Text,
    ToolCall,
    Url,
)
from dialects.chat.events import (
    AudioDelta,
    Citation,
    End,
    Event,
    Finish,
    ImageOutput,
    LogprobsDelta,
    ReasoningDelta,
    ReasoningSeal,
    RefusalDelta,
    Seal,
    Source,
    Start,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallEnd,
    ToolCallStart,
    Usage,
)
from dialects.chat.fold import fold, unfold
from dialects.errors.errors import message_of
from dialects.openai.stream.decode import Decoder as OpenaiDecoder
from dialects.usage.usage import Counts
from tests.dialects.anthropic.golden import GOLDEN, STREAMS
from tests.dialects.anthropic.wire_events import check_grammar, read_frames
from tests.dialects.neutral import REQUEST_ID, counts, names, request, words

OPENAI = GOLDEN.parent / "openai"


def encoder() -> Encoder:
    return Encoder(request(dialect="anthropic", model="asked"))


def write(*events: Event) -> bytes:
    writer = encoder()
    return b"".join([writer.feed(event) for event in events]) + writer.end()


def frames(*events: Event) -> list[dict[str, Any]]:
    frames = read_frames(write(Start("i", "m"), *events))
    check_grammar(frames)
    return frames


def blocks(*events: Event) -> list[dict[str, Any]]:
    """The blocks that a client puts together."""
    output_blocks: list[dict[str, Any]] = []
    for frame in frames(*events):
        if frame["type"] == "content_block_start":
            output_blocks.append(frame["content_block"] | {"json": ""})
        elif frame["type"] == "content_block_delta":
            block, delta = output_blocks[-1], frame["delta"]
            block["text"] = block.get("text", "") + delta.get("text", "")
            block["thinking"] = block.get("thinking", "") + delta.get("thinking", "")
            block["signature"] = block.get("signature", "") + delta.get("signature", "")
            block["json"] += delta.get("partial_json", "")
            block.setdefault("citations", []).extend(
                [delta["citation"]["url"]] if "citation" in delta else []
            )
    return [{name: value for name, value in block.items() if value} for block in output_blocks]


def test_shortest_answer() -> None:
    usage = {
        "input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 0,
    }
    start, delta, stop = read_frames(encoder().end())
    assert start["message"].pop("id").startswith("msg_")
    assert start["message"] == {
        "type": "message",
        "role": "assistant",
        "model": "asked",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    assert delta["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert delta["usage"] == usage
    assert stop == {"type": "message_stop"}


def test_text_is_written_as_it_comes() -> None:
    writer = encoder()
    assert b'"model":"m"' in writer.feed(Start("i", "m"))
    assert read_frames(writer.feed(TextDelta(0, "é\n\u2028"))) == [
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        },
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "é\n\u2028"},
        },
    ]
    assert len(read_frames(writer.feed(TextDelta(0, "b")))) == 1


def test_a_change_of_kind_closes_what_was_open() -> None:
    assert blocks(
        ReasoningDelta(0, "a"),
        ReasoningDelta(0, "b"),
        TextDelta(0, "c"),
        ReasoningDelta(0, "d"),
        ReasoningSeal(0, Seal("anthropic", "s")),
        ReasoningDelta(0, "e"),
        ReasoningSeal(0, Seal("openai", "t")),
        ReasoningSeal(0, Seal("gemini", "u")),
        ReasoningSeal(0, Seal("anthropic", "v", redacted=True)),
        RefusalDelta(0, "f"),
    ) == [
        {"type": "thinking", "thinking": "ab"},
        {"type": "text", "text": "c"},
        {"type": "thinking", "thinking": "d", "signature": "s"},
        {"type": "thinking", "thinking": "e", "signature": "openai:t"},
        {"type": "thinking", "signature": "gemini:u"},
        {"type": "redacted_thinking", "data": "v"},
        {"type": "text", "text": "f"},
    ]


def call(index: int, id_: str, *pieces: str) -> list[Event]:
    return [
        ToolCallStart(0, index, id_, f"f{index}"),
        *(ToolArgumentsDelta(0, index, piece) for piece in pieces),
        ToolCallEnd(0, index),
    ]


def test_calls_one_after_the_other() -> None:
    got = blocks(TextDelta(0, "a"), *call(0, "x", '{"a"', ":1}"), *call(1, "bad id"))
    assert got[1] == {"type": "tool_use", "id": "x", "name": "f0", "json": '{"a":1}'}
    assert got[2]["id"].startswith("toolu_")
    assert got[2]["name"] == "f1"


def test_interleaved_calls_are_held_back_until_their_turn() -> None:
    writer = encoder()
    writer.feed(Start("i", "m"))
    first = writer.feed(ToolCallStart(0, 0, "x", "f"))
    assert b'"id":"x"' in first
    assert writer.feed(ToolCallStart(0, 1, "y", "g")) == b""
    assert b'"a"' in writer.feed(ToolArgumentsDelta(0, 0, "a"))
    assert writer.feed(ToolArgumentsDelta(0, 1, "b")) == b""
    assert writer.feed(TextDelta(0, "t")) == b""
    frames = read_frames(writer.feed(ToolCallEnd(0, 0)))
    assert [frame["type"] for frame in frames] == [
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
    ]
    assert b'"c"' in writer.feed(ToolArgumentsDelta(0, 1, "c"))
    assert b'"t"' in writer.feed(ToolCallEnd(0, 1))
    assert b'"u"' in writer.feed(TextDelta(0, "u"))


def test_a_call_that_ends_while_it_is_held_back() -> None:
    assert blocks(
        ToolCallStart(0, 0, "x", "f"),
        *call(1, "y", "b"),
        *call(2, "z"),
        ReasoningSeal(0, Seal("gemini", "s")),
        ToolArgumentsDelta(0, 0, "a"),
        ToolCallEnd(0, 0),
    ) == [
        {"type": "tool_use", "id": "x", "name": "f", "json": "a"},
        {"type": "tool_use", "id": "y", "name": "f1", "json": "b"},
        {"type": "tool_use", "id": "z", "name": "f2"},
        {"type": "thinking", "signature": "gemini:s"},
    ]


def test_open_parts_end_with_the_finish() -> None:
    got = blocks(
        TextDelta(0, "a"),
        ToolCallStart(0, 0, "x", "f"),
        ToolCallStart(0, 1, "y", "g"),
        ToolCallEnd(0, 1),
        ToolCallEnd(0, 0),
        Finish(0, "tool_calls"),
    )
    assert [block["type"] for block in got] == ["text", "tool_use", "tool_use"]


def test_a_call_that_was_cut_stays_open() -> None:
    """F38: what follows it is written all the same."""
    cut = [ToolCallStart(0, 0, "x", "f"), ToolArgumentsDelta(0, 0, '{"a'), TextDelta(0, "b")]
    written = read_frames(write(Start("i", "m"), *cut, Finish(0, "length")))[1:]
    kinds = [(frame["type"], frame.get("index")) for frame in written]
    assert kinds == [
        ("content_block_start", 0), ("content_block_delta", 0), ("content_block_start", 1),
        ("content_block_delta", 1), ("content_block_stop", 1), ("message_delta", None),
        ("message_stop", None),
    ]  # fmt: skip


def test_citations_belong_to_their_text_even_after_the_finish() -> None:
    cited = Citation(0, Source("u", "t", 0, 1, "q"))
    assert blocks(TextDelta(0, "a"), cited, Finish(0, "stop"), cited) == [
        {"type": "text", "text": "a", "citations": ["u", "u"]}
    ]
    last = frames(TextDelta(0, "a"), cited)[3]["delta"]["citation"]
    assert last == {
        "type": "web_search_result_location",
        "url": "u",
        "title": "t",
        "encrypted_index": "",
        "cited_text": "q",
    }
    late = blocks(TextDelta(0, "a"), *call(0, "x"), Finish(0, "tool_calls"), cited)
    assert [block["type"] for block in late] == ["text", "tool_use"]
    assert "citations" not in late[0]


def test_a_citation_alone_makes_no_block() -> None:
    """A client sends an empty text back, which Anthropic refuses."""
    cited = Citation(0, Source("u", "t"))
    assert blocks(cited, Finish(0, "stop"), cited) == []
    assert blocks(*call(0, "x"), cited, TextDelta(0, "a"), Finish(0, "tool_calls"))[1] == {
        "type": "text",
        "text": "a",
        "citations": ["u"],
    }


def test_pictures_are_whole_blocks() -> None:
    got = blocks(ImageOutput(0, "image/png", "AA=="), ImageOutput(0, "", "", "u"))
    assert [block["source"] for block in got] == [
        {"type": "base64", "media_type": "image/png", "data": "AA=="},
        {"type": "url", "url": "u"},
    ]


@pytest.mark.parametrize(
    ("finish", "reason", "sequence"),
    [
        (Finish(0, "stop"), "end_turn", None),
        (Finish(0, "stop_sequence", "X"), "stop_sequence", "X"),
        (Finish(0, "length"), "max_tokens", None),
        (Finish(0, "tool_calls"), "tool_use", None),
        (Finish(0, "content_filter"), "refusal", None),
        (Finish(0, "pause"), "pause_turn", None),
    ],
)
def test_stop_reason(finish: Finish, reason: str, sequence: str | None) -> None:
    delta = frames(TextDelta(0, "a"), finish)[-2]["delta"]
    assert delta == {"stop_reason": reason, "stop_sequence": sequence}


def test_refusal_is_text_with_its_reason() -> None:
    delta = frames(RefusalDelta(0, "no"), Finish(0, "stop"))[-2]["delta"]
    assert delta["stop_reason"] == "refusal"


def test_usage_is_told_at_the_end() -> None:
    counts = Counts(input=9, cache_read=4, cache_write_1h=2, output=5, reasoning=1, searches=3)
    usage = frames(Usage(b"{}", counts), Usage(b"{}", None))[-2]["usage"]
    assert usage == {
        "input_tokens": 3,
        "cache_creation_input_tokens": 2,
        "cache_read_input_tokens": 4,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 2},
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 1},
        "server_tool_use": {"web_search_requests": 3},
    }


@pytest.mark.parametrize(
    "event",
    [
        TextDelta(1, "a"),
        Finish(1, "stop"),
        AudioDelta(0, "audio/wav", "AA=="),
        LogprobsDelta(0, ()),
        End(marked=True),
    ],
)
def test_unsupported_choices_and_parts_are_omitted(event: Event) -> None:
    assert encoder().feed(event) == b""


def test_failure_leaves_blocks_open_and_drops_held_back_text() -> None:
    writer = encoder()
    for event in (Start("i", "m"), ToolCallStart(0, 0, "x", "f"), TextDelta(0, "held")):
        writer.feed(event)
    message = message_of("overloaded")
    assert read_frames(writer.fail("overloaded", message)) == [
        {
            "type": "error",
            "error": {"type": "overloaded_error", "message": message},
            "request_id": REQUEST_ID,
        }
    ]


def decoded(raw: bytes) -> ChatAnswer:
    decoder = Decoder(translate=True)
    steps = decoder.feed(raw) + decoder.end()
    return fold(event for step in steps for event in step.events)


@pytest.mark.parametrize("name", [name for name in STREAMS if "overloaded" not in name])
def test_golden_stream_survives_writing_and_reading(name: str) -> None:
    decoder = Decoder(translate=True)
    steps = decoder.feed((GOLDEN / name).read_bytes()) + decoder.end()
    events = [event for step in steps for event in step.events if type(event) is not End]
    before, after = fold(events), decoded(write(*events))
    assert without_places(after.choices[0]) == without_places(before.choices[0])
    assert (after.counts, after.model) == (before.counts, before.model)


@pytest.mark.parametrize("name", sorted(path.name for path in OPENAI.glob("*.sse")))
def test_streams_of_the_openai_dialect(name: str) -> None:
    """Text, calls, stop and usage survive the way into this dialect."""
    source = OpenaiDecoder(include_usage=True, translate=True)
    steps = source.feed((OPENAI / name).read_bytes()) + source.end()
    events = [event for step in steps for event in step.events]
    if not isinstance(events[-1], End):
        return
    raw = write(*events)
    check_grammar(read_frames(raw))
    before, after = fold(events), decoded(raw)
    assert without_places(after.choices[0]) == without_places(before.choices[0])
    assert after.counts == before.counts


def without_places(choice: Choice) -> tuple[object, ...]:
    return choice.parts, choice.finish, [source.url for source in choice.citations]


@st.composite
def parts(draw: st.DrawFn) -> tuple[Part, ...]:
    drawn: list[Part] = []
    for kind in draw(st.lists(st.sampled_from(["text", "think", "call", "image"]), max_size=5)):
        if kind == "text" and not (drawn and isinstance(drawn[-1], Text)):
            drawn.append(Text(draw(words)))
        elif kind == "think":
            seal = Seal("anthropic", draw(words.filter(lambda text: ":" not in text)))
            drawn.append(Reasoning(draw(words | st.just("")), seal))
        elif kind == "call":
            arguments = json.dumps(draw(st.dictionaries(names, words, max_size=2)))
            drawn.append(ToolCall(f"t{len(drawn)}", draw(names), arguments))
        elif kind == "image":
            drawn.append(Image(draw(st.just(Base64("AA==", "image/png")) | st.just(Url("u")))))
    return tuple(drawn)


@given(parts(), counts(), st.sampled_from(["stop", "length", "pause", "content_filter"]))
def test_any_answer_survives_writing_and_reading(
    answer_parts: tuple[Part, ...], used: Counts, finish: Any
) -> None:
    used = Counts(
        input=used.input,
        cache_read=used.cache_read,
        cache_write_5m=used.cache_write_5m,
        output=used.output,
        reasoning=used.reasoning,
        searches=used.searches,
    )
    choice = Choice(index=0, parts=answer_parts, finish=finish)
    before = ChatAnswer(id="i", model="m", created=0, choices=(choice,), counts=used, usage=b"{}")
    raw = write(*unfold(before))
    check_grammar(read_frames(raw))
    after = decoded(raw)
    assert (after.choices, after.counts) == (before.choices, used)
