import json
from collections.abc import Iterable
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
    Part,
    Reasoning,
    ReasoningSettings,
    Text,
    ToolCall,
    Url,
)
from dialects.chat.events import (
    AudioDelta,
    Broken,
    Citation,
    End,
    Event,
    Finish,
    FinishReason,
    ImageOutput,
    LogprobsDelta,
    OpaqueDelta,
    ReasoningDelta,
    ReasoningSeal,
    RefusalDelta,
    Seal,
    SealOwner,
    Source,
    Start,
    TextDelta,
    TokenLogprob,
    ToolArgumentsDelta,
    ToolCallEnd,
    ToolCallStart,
    Usage,
)
from dialects.chat.fold import fold, unfold
from dialects.gemini.answer import decode as gemini_answer_decode
from dialects.gemini.answer import encode as gemini_answer_encode
from dialects.gemini.stream.encode import Encoder
from dialects.usage.usage import Counts
from tests.dialects import neutral
from tests.dialects.exchanges import events_of
from tests.dialects.gemini.golden import EXPECTED, STREAMS, check_answer, load, run

HIDDEN = neutral.request(dialect="gemini", reasoning=ReasoningSettings(shown=False))
REQUEST = neutral.request(dialect="gemini")


def written(
    events: Iterable[Event], *, array: bool = False, expected_visible: bool = True
) -> bytes:
    encoder = Encoder(REQUEST if expected_visible else HIDDEN, array=array)
    return b"".join(map(encoder.feed, events)) + encoder.end()


def frames(*events: Event, expected_visible: bool = True) -> list[dict[str, Any]]:
    raw = written(events, expected_visible=expected_visible)
    assert raw.endswith(b"\r\n\r\n")
    raw_frames = raw.split(b"\r\n\r\n")[:-1]
    assert all(frame.startswith(b"data: {") and b"\n" not in frame for frame in raw_frames)
    return [json.loads(frame[6:]) for frame in raw_frames]


def parts(*events: Event, shown: bool = True) -> list[Any]:
    """The parts of every frame in their order."""
    output_frames = frames(*events, expected_visible=shown)
    return [
        part
        for frame in output_frames
        for candidate in frame["candidates"]
        for part in candidate.get("content", {"parts": []})["parts"]
    ]


@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize("name", STREAMS)
def test_a_golden_stream_survives(name: str, array: bool) -> None:
    events = events_of(run(load(name), translate=True))
    raw = written(events, array=array)
    if array:
        assert isinstance(json.loads(raw), list)
    check_answer(fold(events_of(run(raw, translate=True))), EXPECTED["codec"][name])


def test_frames_name_the_model_and_the_usage() -> None:
    output_frames = frames(
        Start("up-1", "gemini-x"),
        Usage(b"{}", Counts(input=3)),
        TextDelta(0, "a"),
        Usage(b"{}", None),
        Usage(b"{}", Counts(input=3, output=2)),
        Finish(0, "length"),
    )
    assert [frame["usageMetadata"]["totalTokenCount"] for frame in output_frames] == [3, 5]
    assert {frame["modelVersion"] for frame in output_frames} == {"gemini-x"}
    assert len({frame["responseId"] for frame in output_frames}) == 1
    assert output_frames[0]["candidates"] == [
        {"content": {"parts": [{"text": "a"}], "role": "model"}, "index": 0}
    ]
    assert output_frames[1]["candidates"] == [{"finishReason": "MAX_TOKENS", "index": 0}]
    assert frames()[0]["modelVersion"] == "m"
    assert frames()[0]["usageMetadata"]["totalTokenCount"] == 0


@pytest.mark.parametrize(
    ("events", "want"),
    [
        ([TextDelta(0, "a")], [{"text": "a"}]),
        ([RefusalDelta(0, "a")], [{"text": "a"}]),
        ([ReasoningDelta(0, "a")], [{"text": "a", "thought": True}]),
        ([ImageOutput(0, "image/png", "AA==")],
         [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}]),
        ([ImageOutput(0, "", "", "https://x")], [{"fileData": {"fileUri": "https://x"}}]),
        ([AudioDelta(0, "audio/mpeg", "AA=="), AudioDelta(0, "", "AB=="),
          AudioDelta(0, "", "", "w")],
         [{"inlineData": {"mimeType": "audio/mpeg", "data": "AA=="}},
          {"inlineData": {"mimeType": "audio/mpeg", "data": "AB=="}}]),
        ([AudioDelta(0, "", "AA==")], [{"inlineData": {"mimeType": "audio/wav", "data": "AA=="}}]),
        ([ToolCallStart(0, 0, "c", "f"), ToolArgumentsDelta(0, 0, '{"a":'),
          ToolArgumentsDelta(0, 0, ' "\\n"}'), ToolCallEnd(0, 0)],
         [{"functionCall": {"id": "c", "name": "f", "args": {"a": "\n"}}}]),
        ([ToolCallStart(0, 0, "", "f"), ToolCallEnd(0, 0)],
         [{"functionCall": {"name": "f", "args": {}}}]),
        ([ToolCallStart(0, 0, "c", "f"), ToolArgumentsDelta(0, 0, "[1"), ToolCallEnd(0, 0)],
         [{"functionCall": {"id": "c", "name": "f", "args": {"_raw": "[1"}}}]),
        ([ToolCallStart(0, 0, "c", "f"), ToolArgumentsDelta(0, 0, '{"a":')], []),
        ([ReasoningSeal(0, Seal("gemini", "S")), ToolCallStart(0, 0, "c", "f"), ToolCallEnd(0, 0)],
         [{"functionCall": {"id": "c", "name": "f", "args": {}}, "thoughtSignature": "S"}]),
        ([ReasoningSeal(0, Seal("gemini", "S")), ReasoningDelta(0, "a"), TextDelta(0, "b")],
         [{"text": "a", "thought": True}, {"text": "b", "thoughtSignature": "S"}]),
        ([ReasoningSeal(0, Seal("gemini", "S")), ReasoningSeal(0, Seal("gemini", "T"))],
         [{"text": "", "thoughtSignature": "S"}, {"text": "", "thoughtSignature": "T"}]),
        ([ReasoningDelta(0, "a"), ReasoningSeal(0, Seal("anthropic", "S")), TextDelta(0, "b")],
         [{"text": "a", "thought": True},
          {"text": "", "thought": True, "thoughtSignature": "YW50aHJvcGljOjo6Uw=="},
          {"text": "b"}]),
        ([OpaqueDelta(0, b"{}"), End(marked=True), Broken("F14")], []),
    ],
)  # fmt: skip
def test_parts(events: list[Event], want: list[object]) -> None:
    assert parts(*events) == want


def test_client_without_thoughts_sees_only_separate_seals() -> None:
    output = parts(
        ReasoningDelta(0, "secret"),
        ReasoningSeal(0, Seal("anthropic", "S")),
        ReasoningSeal(0, Seal("openai", "T", id="rs_1")),
        ReasoningSeal(0, Seal("anthropic", "U", redacted=True)),
        ReasoningSeal(0, Seal("gemini", "V")),
        TextDelta(0, "b"),
        shown=False,
    )
    assert [part["text"] for part in output] == ["", "", "b"]
    assert output[2]["thoughtSignature"] == "V"


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("stop", "STOP"),
        ("stop_sequence", "STOP"),
        ("length", "MAX_TOKENS"),
        ("tool_calls", "STOP"),
        ("content_filter", "SAFETY"),
        ("pause", "STOP"),
    ],
)
def test_reasons(reason: Any, word: str) -> None:
    (last,) = frames(Finish(0, reason))
    assert last["candidates"] == [{"finishReason": word, "index": 0}]


def test_a_refusal_ends_as_one() -> None:
    output_frames = frames(RefusalDelta(0, "no"), Finish(0, "stop"))
    assert output_frames[1]["candidates"][0]["finishReason"] == "SAFETY"


def test_last_frame_has_every_choice_with_its_details() -> None:
    output_frames = frames(
        TextDelta(1, "b"),
        TextDelta(0, "é!"),
        LogprobsDelta(0, (TokenLogprob("é!", -1.0),)),
        LogprobsDelta(0, (TokenLogprob("no", -1.0),), refusal=True),
        Finish(1, "length"),
        Finish(0, "stop"),
        Citation(0, Source("https://a", "A", 0, 1)),
        Citation(0, Source("https://a", "A", 1, 2)),
        Citation(0, Source("https://b")),
    )
    assert output_frames[-1]["candidates"] == [
        {
            "finishReason": "STOP",
            "index": 0,
            "groundingMetadata": {
                "groundingChunks": [
                    {"web": {"uri": "https://a", "title": "A"}},
                    {"web": {"uri": "https://b", "title": ""}},
                ],
                "groundingSupports": [
                    {
                        "segment": {"startIndex": 0, "endIndex": 2, "text": "é"},
                        "groundingChunkIndices": [0],
                    },
                    {
                        "segment": {"startIndex": 2, "endIndex": 3, "text": "!"},
                        "groundingChunkIndices": [0],
                    },
                ],
            },
            "logprobsResult": {
                "chosenCandidates": [{"token": "é!", "logProbability": -1.0}],
                "topCandidates": [{"candidates": []}],
            },
        },
        {"finishReason": "MAX_TOKENS", "index": 1},
    ]


@pytest.mark.parametrize("begun", [False, True])
def test_a_failure_ends_the_stream(begun: bool) -> None:
    named = {
        "@type": "type.googleapis.com/google.rpc.RequestInfo",
        "requestId": REQUEST.request_id,
    }
    error = {"error": {"code": 502, "message": "x", "status": "INTERNAL", "details": [named]}}
    events = Encoder(REQUEST)
    raw = events.feed(TextDelta(0, "a")) if begun else b""
    assert json.loads((raw + events.fail("upstream_error", "x")).split(b"data: ")[-1]) == error
    array = Encoder(REQUEST, array=True)
    raw = array.feed(TextDelta(0, "a")) if begun else b""
    body = json.loads(raw + array.fail("upstream_error", "x"))
    assert (body[-1], len(body)) == (error, 1 + begun)


owners: st.SearchStrategy[SealOwner] = st.sampled_from(["anthropic", "openai"])
foreign_seals = st.builds(Seal, owners, neutral.words, st.booleans(), st.sampled_from(["", "rs_1"]))
pictures = st.sampled_from([Image(Base64("AA==", "image/png")), Image(Url("https://x/y"))])
reasons: st.SearchStrategy[FinishReason] = st.sampled_from(["stop", "length", "content_filter"])
cited = st.lists(st.builds(Source, st.sampled_from(["https://a", "https://b"])), unique=True)


@st.composite
def answers(draw: st.DrawFn) -> ChatAnswer:
    """An answer as a stream of this dialect tells it, in the one form that folding gives."""
    choices = []
    for index in range(draw(st.integers(1, 2))):
        given: list[Part] = []
        if draw(st.booleans()):
            seal = draw(foreign_seals)
            given.append(Reasoning(draw(neutral.words), draw(st.none() | st.just(seal))))
        if draw(st.booleans()):
            given.append(Text(draw(neutral.words)))
        for at in range(draw(st.integers(0, 2))):
            if draw(st.booleans()):
                given.append(Reasoning("", Seal("gemini", draw(neutral.words))))
            given.append(ToolCall(f"call_{index}{at}", draw(neutral.names), '{"a":"\\n"}'))
        if draw(st.booleans()):
            given.append(draw(pictures))
        if draw(st.booleans()):
            given.append(Audio(Base64("UklGRg==", "audio/wav")))
        calls = any(isinstance(part, ToolCall) for part in given)
        shown = any(not isinstance(part, Reasoning) for part in given)
        reason = draw(reasons) if shown else "stop"
        choices.append(
            Choice(
                index=index,
                parts=tuple(given),
                finish="tool_calls" if calls else reason,
                citations=tuple(draw(cited)),
            )
        )
    counts = draw(neutral.counts())
    return ChatAnswer(
        id="", model=draw(neutral.names), created=0, choices=tuple(choices), counts=counts
    )


def survives(answer: ChatAnswer, got: ChatAnswer) -> None:
    assert got.model == answer.model
    # Reasoning and a seal right after it are one.
    assert got.choices == fold(unfold(answer)).choices
    want = answer.counts
    assert got.counts is not None
    assert want is not None
    assert (got.counts.input, got.counts.output) == (want.input, want.output)
    assert (got.counts.reasoning, got.counts.output_audio) == (want.reasoning, want.output_audio)


@given(answers(), st.booleans())
def test_any_answer_survives_as_a_stream(answer: ChatAnswer, array: bool) -> None:
    raw = written([*unfold(answer), Usage(b"{}", answer.counts)], array=array)
    steps = run(raw, translate=True, choices=len(answer.choices))
    assert steps[-1].events == [End(marked=True)]
    survives(answer, fold(events_of(steps)))


@given(answers())
def test_any_answer_survives_whole(answer: ChatAnswer) -> None:
    survives(
        answer,
        gemini_answer_decode.decode(
            gemini_answer_encode.encode(answer, REQUEST), translate=True
        ).fold(),
    )
