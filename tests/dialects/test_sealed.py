import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.chat import Message, Reasoning, Text, ToolCall
from dialects.chat.events import Event, ReasoningDelta, Seal, ToolCallStart
from dialects.chat.fold import unfold
from dialects.chat.reasoning_seals import (
    REMEMBERED,
    calls_without,
    collect,
    give_back,
    read_collected,
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
def test_what_is_kept_comes_back_before_its_call(first: Reasoning, second: Reasoning) -> None:
    calls = (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"))
    collected = collect(events_of(first, calls[0], second, calls[1], Text("x")), texts=True)
    known = {id_: read_collected(content) for id_, content in collected.items()}
    bare = request(Message("user", (Text("q"),)), Message("assistant", calls))
    assert calls_without(bare) == ["a", "b"]
    given_back = give_back(bare, known)
    assert given_back.messages[1].parts == (first, calls[0], second, calls[1])
    # Who shows it himself is asked for nothing.
    assert calls_without(given_back) == []
    assert give_back(given_back, known) == given_back


def test_only_what_has_a_seal_is_kept_unless_texts_are_wanted() -> None:
    call = ToolCall("a", "f", "{}")
    assert collect(events_of(Reasoning("hm"), call), texts=False) == {}
    assert list(collect(events_of(Reasoning("hm"), call), texts=True)) == ["a"]
    assert list(collect(events_of(Reasoning("", SEAL), call), texts=False)) == ["a"]
    assert collect(events_of(Reasoning("hm", SEAL)), texts=True) == {}
    assert collect([], texts=True) == {}


def test_streams_that_do_not_translate_tell_no_end_of_calls() -> None:
    events: list[Event] = [
        ReasoningDelta(0, "h"),
        ReasoningDelta(0, "m"),
        ToolCallStart(0, 0, "a", "f"),
    ]
    (content,) = collect(events, texts=True).values()
    assert read_collected(content) == [Reasoning("hm")]
    assert msgspec.json.decode(content)[0]["text"] == "hm"


def test_a_request_without_calls_stays_itself() -> None:
    bare = request(Message("assistant", (Text("x"),)))
    assert calls_without(bare) == []
    assert give_back(bare, {}) is bare
