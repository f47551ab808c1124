import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.chat import Message, Reasoning, Text, ToolCall
from dialects.chat.events import Event, ReasoningDelta, Seal, ToolCallStart
from dialects.chat.fold import unfold
from dialects.chat.reasoning_seals import (
    REMEMBERED,
    calls_without_reasoning,
    collect_reasoning,
    decode_reasoning,
    restore_reasoning,
)
from tests.dialects.neutral import answer, request

SEAL = Seal("anthropic", "sig")
REASONING = st.builds(
    Reasoning,
    st.text(min_size=1, max_size=5),
    st.none() | st.builds(Seal, st.sampled_from(["anthropic", "openai", "gemini"]), st.text()),
)


def events_of(*parts: Reasoning | Text | ToolCall) -> list[Event]:
    return [event for event in unfold(answer(*parts)) if isinstance(event, REMEMBERED)]


@given(REASONING, REASONING)
def test_stored_state_returns_before_its_call(first: Reasoning, second: Reasoning) -> None:
    calls = (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"))
    collected = collect_reasoning(
        events_of(first, calls[0], second, calls[1], Text("x")), texts=True
    )
    known = {id_: decode_reasoning(content) for id_, content in collected.items()}
    bare = request(Message("user", (Text("q"),)), Message("assistant", calls))
    assert calls_without_reasoning(bare) == ["a", "b"]
    given_back = restore_reasoning(bare, known)
    assert given_back.messages[1].parts == (first, calls[0], second, calls[1])
    # Who shows it himself is asked for nothing.
    assert calls_without_reasoning(given_back) == []
    assert restore_reasoning(given_back, known) == given_back


def test_only_sealed_parts_are_stored_unless_text_is_wanted() -> None:
    call = ToolCall("a", "f", "{}")
    assert collect_reasoning(events_of(Reasoning("hm"), call), texts=False) == {}
    assert list(collect_reasoning(events_of(Reasoning("hm"), call), texts=True)) == ["a"]
    assert list(collect_reasoning(events_of(Reasoning("", SEAL), call), texts=False)) == ["a"]
    assert collect_reasoning(events_of(Reasoning("hm", SEAL)), texts=True) == {}
    assert collect_reasoning([], texts=True) == {}


def test_untranslated_streams_report_no_end_of_calls() -> None:
    events: list[Event] = [
        ReasoningDelta(0, "h"),
        ReasoningDelta(0, "m"),
        ToolCallStart(0, 0, "a", "f"),
    ]
    (content,) = collect_reasoning(events, texts=True).values()
    assert decode_reasoning(content) == [Reasoning("hm")]
    assert msgspec.json.decode(content)[0]["text"] == "hm"


def test_request_without_calls_stays_unchanged() -> None:
    bare = request(Message("assistant", (Text("x"),)))
    assert calls_without_reasoning(bare) == []
    assert restore_reasoning(bare, {}) is bare
