"""What a client of the gemini dialect asks is the same once it was read and written again."""

from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.chat import (
    AnyJson,
    Audio,
    AudioOutput,
    Base64,
    ChatRequest,
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
from dialects.chat.events import Seal
from dialects.gemini.request.decode import decode
from dialects.gemini.request.encode import encode
from tests.dialects import neutral

PLAIN = Upstream("gemini-2.5-flash")
PNG = Base64("AA==", "image/png")
texts = st.builds(Text, neutral.words)
own_seals = st.builds(Seal, st.just("gemini"), neutral.words)


@st.composite
def own_turns(draw: st.DrawFn) -> tuple[Message, ...]:
    """Turns as reading gives them: sides alternate, seals stand right before their part."""
    turns: list[Message] = []
    system = draw(st.lists(texts, max_size=2))
    if system:
        turns.append(Message("system", tuple(system)))
    for turn in range(draw(st.integers(1, 3))):
        parts: list[Part] = list(draw(st.lists(st.one_of(
            texts,
            st.builds(Image, st.sampled_from([PNG, Url("https://a/b", "image/png")])),
            st.builds(File, st.sampled_from([Base64("AA==", "text/csv"), Url("https://a/b")])),
            st.builds(Audio, st.just(Base64("AA==", "audio/wav"))),
            st.builds(Video, st.just(Base64("AA==", "video/mp4"))),
            st.just(OwnPart("gemini", {"executableCode": {"code": "1"}})),
        ), min_size=1, max_size=2)))  # fmt: skip
        turns.append(Message("user", tuple(parts)))
        answer: list[Part] = []
        if draw(st.booleans()):
            answer.append(Reasoning(draw(neutral.words)))
        calls = []
        for at in range(draw(st.integers(0, 2))):
            if draw(st.booleans()):
                answer.append(Reasoning("", draw(own_seals)))
            id_ = f"id{turn}-{at}"
            calls.append(
                ToolCall(id_, draw(st.sampled_from("fg")), draw(st.sampled_from(["", '{"a":1}'])))
            )
            answer.append(calls[-1])
        answer.append(Text(draw(neutral.words)))
        turns.append(Message("assistant", tuple(answer)))
        for call in calls:
            turns.append(
                Message(
                    "tool",
                    (
                        draw(
                            st.sampled_from(
                                [
                                    ToolResult(call.id, (), False, call.name),
                                    ToolResult(call.id, (Text("a"),), False, call.name),
                                    ToolResult(call.id, (Text("a"),), True, call.name),
                                    ToolResult(call.id, (Text('{"a":1}'),), False, call.name),
                                    ToolResult(call.id, (Text('{"result":1}'),), False, call.name),
                                ]
                            )
                        ),
                    ),
                )
            )
    return tuple(turns)


@st.composite
def own_requests(draw: st.DrawFn) -> ChatRequest:
    """Whatever a client of this dialect can ask, in the one form that reading gives."""
    maybe = neutral.maybe
    stream = draw(st.booleans())
    functions = [
        FunctionTool(name, draw(maybe(neutral.words)), draw(maybe(neutral.json_objects)))
        for name in draw(st.lists(neutral.names, max_size=2, unique=True))
    ]
    others = [
        WebSearch("gemini", {"googleSearch": {"excludeDomains": ["a"]}}, blocked_domains=("a",)),
        OwnTool("gemini", {"urlContext": {}}),
    ]
    choice = st.sampled_from(
        [
            ToolChoice("auto"),
            ToolChoice("none"),
            ToolChoice("required"),
            ToolChoice("required", ("f",)),
            ToolChoice("auto", ("f", "g")),
        ]
    )
    settings = st.sampled_from(
        [
            ReasoningSettings(budget_tokens=-1),
            ReasoningSettings(budget_tokens=0, shown=False),
            ReasoningSettings(budget_tokens=77, shown=True),
            ReasoningSettings(shown=True),
        ]
    )
    return neutral.request(
        *draw(own_turns()),
        dialect="gemini",
        tools=(*functions, *draw(st.lists(st.sampled_from(others), max_size=2, unique_by=repr))),
        tool_choice=draw(maybe(choice)) if functions else None,
        output_form=draw(maybe(st.builds(AnyJson) | st.builds(JsonSchema, neutral.json_objects))),
        output_cap=draw(maybe(st.integers(1, 10**6))),
        temperature=draw(maybe(st.sampled_from([0, 0.5, 2]))),
        top_p=draw(maybe(st.sampled_from([0, 0.5, 1]))),
        top_k=draw(maybe(st.integers(1, 50))),
        seed=draw(maybe(st.integers(-(2**31) + 1, 2**31 - 1))),
        presence_penalty=draw(maybe(st.sampled_from([-2, 0.5]))),
        frequency_penalty=draw(maybe(st.sampled_from([-2, 0.5]))),
        stop=tuple(draw(st.lists(neutral.words, max_size=5))),
        choices=draw(maybe(st.integers(1, 8))),
        reasoning=draw(maybe(settings)),
        logprobs=draw(maybe(st.booleans())),
        top_logprobs=draw(maybe(st.integers(0, 20))),
        modalities=draw(st.sampled_from([(), ("text",), ("text", "image"), ("audio",)])),
        audio=draw(maybe(st.just(AudioOutput("", "", {"multiSpeakerVoiceConfig": {}})))),
        stream=stream,
        include_usage=stream,
        extra=draw(
            st.sampled_from(
                [
                    {},
                    {"safetySettings": [{"category": "X"}]},
                    {"generationConfig.imageConfig": {"aspectRatio": "1:1"}},
                    {"toolConfig.retrievalConfig": {"languageCode": "de"}},
                ]
            )
        ),
    )


@given(own_requests())
def test_request_round_trips_in_its_own_dialect(chat_request: ChatRequest) -> None:
    encoded = encode(chat_request, PLAIN)
    assert encoded.dropped == ()
    again = decode(
        encoded.body,
        model=chat_request.model,
        stream=chat_request.stream,
        request_id=chat_request.request_id,
        received_at=chat_request.received_at,
    )
    assert again == chat_request
