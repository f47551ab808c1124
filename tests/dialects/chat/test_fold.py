from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.chat import (
    Audio,
    Base64,
    ChatAnswer,
    Image,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Url,
    Video,
)
from dialects.chat.events import (
    AudioDelta,
    Broken,
    End,
    Event,
    Finish,
    ImageOutput,
    ReasoningDelta,
    ReasoningSeal,
    RefusalDelta,
    Seal,
    Start,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallEnd,
    ToolCallStart,
    UpstreamError,
    Usage,
)
from dialects.chat.fold import AnswerFault, fold, join_base64, unfold
from dialects.usage.usage import Counts
from tests.dialects import neutral

SEAL = Seal("anthropic", "s")


@pytest.mark.parametrize(
    ("events", "parts"),
    [
        ([TextDelta(0, "a"), TextDelta(0, "b")], (Text("ab"),)),
        ([TextDelta(0, "a"), RefusalDelta(0, "b"), TextDelta(0, "c")],
         (Text("a"), Refusal("b"), Text("c"))),
        ([ReasoningDelta(0, "a"), ReasoningSeal(0, SEAL), ReasoningDelta(0, "b")],
         (Reasoning("a", SEAL), Reasoning("b"))),
        ([TextDelta(0, "a"), ReasoningSeal(0, SEAL)], (Text("a"), Reasoning("", SEAL))),
        ([ToolCallStart(0, 0, "x", "f"), ToolCallStart(0, 1, "y", "g"),
          ToolArgumentsDelta(0, 0, "{"), ToolArgumentsDelta(0, 1, "2"),
          ToolArgumentsDelta(0, 0, "}"), ToolCallEnd(0, 0), ToolCallEnd(0, 1)],
         (ToolCall("x", "f", "{}"), ToolCall("y", "g", "2"))),
        ([AudioDelta(0, "audio/wav", "", "he", "id"), TextDelta(0, "a"),
          AudioDelta(0, "", "AAAA", "llo", expires_at=5)],
         (Audio(Base64("AAAA", "audio/wav"), "hello", "id", 5), Text("a"))),
        ([ImageOutput(0, "image/png", "AA=="), ImageOutput(0, "", "", "https://a.org/b")],
         (Image(Base64("AA==", "image/png")), Image(Url("https://a.org/b")))),
    ],
)  # fmt: skip
def test_fold(events: list[Event], parts: tuple[object, ...]) -> None:
    answer = fold([*events, Finish(0, "stop", "X"), End(marked=True)])
    (choice,) = answer.choices
    assert choice.parts == parts
    assert (choice.finish, choice.stop_sequence) == ("stop", "X")


def test_fold_reports_the_model_and_the_last_usage() -> None:
    counted = Usage(b'{"a":2}', Counts(input=3))
    answer = fold([Start("i", "m", 5, "flex", "fp"), Usage(b"{}"), counted])
    assert answer == ChatAnswer(
        id="i",
        model="m",
        created=5,
        choices=(),
        counts=Counts(input=3),
        usage=b'{"a":2}',
        service_tier="flex",
        fingerprint="fp",
    )


def test_a_cut_choice_has_no_reason() -> None:
    answer = fold([TextDelta(1, "a"), TextDelta(0, "b")])
    assert [(choice.index, choice.finish) for choice in answer.choices] == [(0, None), (1, None)]
    assert not [event for event in unfold(answer) if isinstance(event, Finish | Usage)]


@pytest.mark.parametrize("event", [Broken("F14"), UpstreamError("overloaded", "x", None)])
def test_a_failed_answer_is_none(event: UpstreamError | Broken) -> None:
    with pytest.raises(AnswerFault) as raised:
        fold([TextDelta(0, "a"), event])
    assert raised.value.event == event


def test_uncontained_parts_are_omitted() -> None:
    result = unfold(neutral.answer(Video(Url("https://a.org/b"))))
    assert [type(event) for event in result] == [Start, Finish]


@given(neutral.openai_answers())
def test_fold_and_unfold(answer: ChatAnswer) -> None:
    assert fold(unfold(answer)) == answer


def test_a_call_without_arguments_comes_back_without() -> None:
    answer = neutral.answer(ToolCall("x", "f", ""))
    assert fold(unfold(answer)) == answer


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        ([], ""),
        (["AAAA", "BBBB"], "AAAABBBB"),
        (["AAAA", "BB=="], "AAAABB=="),
        (["AA", "AA"], "AAAA"),
        (["AQ==", "Ag=="], "AQI="),
        (["A", "="], "A="),
        (["A=", "B="], "A=B="),
    ],
)
def test_join_base64(pieces: list[str], whole: str) -> None:
    assert join_base64(pieces) == whole


@given(st.lists(st.binary(max_size=9)))
def test_joined_base64_is_all_of_the_data(pieces: list[bytes]) -> None:

    joined = join_base64([b64encode(piece).decode() for piece in pieces])
    assert b64decode(joined) == b"".join(pieces)
