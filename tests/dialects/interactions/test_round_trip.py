"""What a client of the interactions dialect asks, and what it is answered, is the same once it was
read and written again.
"""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.chat import (
    AnyJson,
    Audio,
    AudioOutput,
    Base64,
    ChatAnswer,
    ChatRequest,
    Choice,
    File,
    FunctionTool,
    Image,
    JsonSchema,
    Message,
    OwnPart,
    OwnTool,
    Part,
    Reasoning,
    ReasoningSettings,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
    Upstream,
    Url,
    Video,
    WebSearch,
)
from dialects.chat.events import End, FinishReason, Seal, SealOwner, Source
from dialects.chat.fold import fold, unfold
from dialects.interactions.answer.decode import decode as decode_answer
from dialects.interactions.answer.encode import encode as encode_answer
from dialects.interactions.request.decode import decode
from dialects.interactions.request.encode import encode
from dialects.interactions.stream.decode import Decoder
from dialects.interactions.stream.encode import Encoder
from tests.dialects import neutral
from tests.dialects.exchanges import by_bytes, check_cuts, events_of

UPSTREAM = Upstream("gemini-3.5-flash")
CLIENT = neutral.request(dialect="interactions", stream=True)
texts = st.builds(Text, neutral.words)
seals = st.builds(Seal, st.just("gemini"), st.just("c2ln"))


@st.composite
def turns(draw: st.DrawFn) -> tuple[Message, ...]:
    """Turns as reading gives them: sides alternate, a seal closes its thought."""
    messages: list[Message] = []
    if draw(st.booleans()):
        messages.append(Message("system", (draw(texts),)))
    for turn in range(draw(st.integers(1, 3))):
        media = st.one_of(
            texts,
            st.builds(Image, st.sampled_from([Base64("AA==", "image/png"), Url("https://a/b")])),
            st.builds(File, st.sampled_from([Base64("AA==", "text/csv"), Url("gs://a/b", "a/b")])),
            st.just(Image(Base64("AA==", "image/png"), "low")),
            st.just(Audio(Base64("AA==", "audio/wav"))),
            st.just(Video(Base64("AA==", "video/mp4"))),
        )
        messages.append(Message("user", tuple(draw(st.lists(media, min_size=1, max_size=2)))))
        parts: list[Part] = [Reasoning(draw(neutral.words), draw(seals))]
        search = {"type": "google_search_call", "id": "s", "arguments": {"queries": ["a"]}}
        parts += draw(st.sampled_from([[], [OwnPart("interactions", search)]]))
        calls = [
            ToolCall(f"id{turn}-{at}", draw(neutral.names), draw(st.sampled_from(["", '{"a":1}'])))
            for at in range(draw(st.integers(0, 2)))
        ]
        messages.append(Message("assistant", (*parts, *calls, draw(texts))))
        for call in calls:
            result = st.sampled_from([(), (Text("a"),), (Text("a"), Image(Url("https://a/b")))])
            answered = ToolResult(call.id, draw(result), draw(st.booleans()), call.name)
            messages.append(Message("tool", (answered,)))
    return tuple(messages)


@st.composite
def requests(draw: st.DrawFn) -> ChatRequest:
    """Whatever a client of this dialect can ask, in the one form that reading gives."""
    maybe = neutral.maybe
    functions = [
        FunctionTool(name, draw(maybe(neutral.words)), draw(maybe(neutral.json_objects)))
        for name in draw(st.lists(neutral.names, min_size=1, max_size=2, unique=True))
    ]
    others = [
        WebSearch("interactions", {"type": "google_search"}),
        OwnTool("interactions", {"type": "url_context"}),
        OwnTool("interactions", {"type": "google_search", "search_types": ["image_search"]}),
    ]
    choices = [
        ToolChoice("auto"),
        ToolChoice("none"),
        ToolChoice("required"),
        ToolChoice("required", ("f",)),
    ]
    settings = [
        ReasoningSettings(effort="xhigh"),
        ReasoningSettings(effort="minimal", shown=True),
        ReasoningSettings(shown=False),
    ]
    extras: list[dict[str, Any]] = [
        {},
        {"labels": {"a": "b"}, "safety_settings": [{"type": "jailbreak", "threshold": "off"}]},
        {"generation_config.image_config": {"aspect_ratio": "1:1"}},
    ]
    return neutral.request(
        *draw(turns()),
        dialect="interactions",
        tools=(*functions, *draw(st.lists(st.sampled_from(others), max_size=2, unique_by=repr))),
        tool_choice=draw(maybe(st.sampled_from(choices))),
        output_form=draw(maybe(st.builds(AnyJson) | st.builds(JsonSchema, neutral.json_objects))),
        output_cap=draw(maybe(st.integers(1, 10**6))),
        temperature=draw(maybe(st.sampled_from([0, 0.5, 2]))),
        top_p=draw(maybe(st.sampled_from([0, 0.5, 1]))),
        seed=draw(maybe(st.integers(-(2**31) + 1, 2**31 - 1))),
        stop=tuple(draw(st.lists(neutral.words, max_size=5))),
        reasoning=draw(maybe(st.sampled_from(settings))),
        audio=draw(maybe(st.just(AudioOutput("Kore", "", {"speakers": [{"voice": "Kore"}]})))),
        service_tier=draw(maybe(st.sampled_from(["default", "flex", "priority"]))),
        store=draw(st.booleans()),
        stream=draw(st.booleans()),
        include_usage=True,
        extra=draw(st.sampled_from(extras)),
    )


@given(requests())
def test_a_request_comes_back(request: ChatRequest) -> None:
    encoded = encode(request, Upstream(request.model))
    assert encoded.dropped == ()
    again = decode(encoded.body, request_id=request.request_id, received_at=request.received_at)
    assert again == request


@st.composite
def answers(draw: st.DrawFn) -> ChatAnswer:
    """Whatever this dialect can answer: the calls after the thoughts, a text, and media."""
    owners: list[SealOwner] = ["gemini", "anthropic", "openai"]
    seal = Seal(draw(st.sampled_from(owners)), "c2ln")
    thought = Reasoning(draw(neutral.words), draw(st.none() | st.just(seal)))
    parts: list[Part] = draw(st.sampled_from([[], [thought]]))
    text = draw(neutral.words)
    parts = [*parts, Text(text)]
    parts += draw(st.sampled_from([[], [Image(Base64("AA==", "image/png"))]]))
    calls = [
        ToolCall(f"c{at}", draw(neutral.names), '{"a":"\\n"}')
        for at in range(draw(st.integers(0, 2)))
    ]
    image = any(isinstance(part, Image) for part in parts)
    cites = [Source("https://a", "A", 0, len(text))] if not (image or calls) else []
    reasons: list[FinishReason] = ["stop", "length", "content_filter"]
    choice = Choice(
        index=0,
        parts=(*parts, *calls),
        finish="tool_calls" if calls else draw(st.sampled_from(reasons)),
        citations=tuple(cites),
    )
    counts = msgspec.structs.replace(draw(neutral.counts()), cache_write_5m=0)
    return ChatAnswer(id="", model="m", created=0, choices=(choice,), counts=counts)


def choices_of(answer: ChatAnswer) -> tuple[Choice, ...]:
    return answer.choices


@given(answers())
def test_a_whole_answer_comes_back(answer: ChatAnswer) -> None:
    whole = decode_answer(encode_answer(answer, CLIENT), translate=True).fold()
    assert choices_of(whole) == choices_of(answer)
    assert whole.counts is not None
    assert answer.counts is not None
    assert whole.counts.output == answer.counts.output


def streamed(answer: ChatAnswer) -> tuple[bytes, Encoder]:
    encoder = Encoder(CLIENT)
    return b"".join(map(encoder.feed, unfold(answer))) + encoder.end(), encoder


@given(answers(), st.booleans())
def test_a_stream_comes_back(answer: ChatAnswer, split: bool) -> None:
    """Translated it is the same answer, forwarded the same bytes; its steps are those of the whole
    interaction, which a later request may continue.
    """
    raw, encoder = streamed(answer)
    pieces = by_bytes(raw) if split else [raw]
    translating, forwarding = Decoder(translate=True), Decoder()
    events = events_of([step for piece in pieces for step in translating.feed(piece)])
    assert isinstance(events[-1], End)
    assert choices_of(fold(events)) == choices_of(answer)
    steps = [step for piece in pieces for step in forwarding.feed(piece)]
    assert b"".join(step.raw for step in steps) == raw
    assert forwarding.response is not None
    kept = json.loads(forwarding.response)["steps"]
    assert kept == json.loads(msgspec.json.encode(encoder.response))["steps"]
    whole = json.loads(encode_answer(answer, CLIENT))
    assert kept == whole["steps"]


@pytest.mark.parametrize("translate", [False, True])
def test_cut_stream_is_reported_as_broken(translate: bool) -> None:
    """F14."""
    parts = (Reasoning("hm", Seal("gemini", "c2ln")), Text("é"), ToolCall("c", "f", '{"a":1}'))
    raw, _ = streamed(neutral.answer(*parts, finish="tool_calls"))
    check_cuts(raw, lambda: Decoder(translate=translate))
