"""Neutral requests and answers for tests: short to write, and drawn at random."""

import string
from collections.abc import Iterable, Iterator
from typing import Any

from hypothesis import strategies as st

from dialects.chat.chat import (
    AnyJson,
    Audio,
    AudioOutput,
    Base64,
    ChatAnswer,
    ChatRequest,
    Choice,
    Dialect,
    File,
    FileId,
    FunctionTool,
    Image,
    JsonSchema,
    Message,
    Part,
    Reasoning,
    ReasoningSettings,
    Refusal,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
    Url,
    Video,
    WebSearch,
)
from dialects.chat.events import Seal, SealOwner, Source, TokenLogprob, TopLogprob
from dialects.usage.usage import Counts

REQUEST_ID = "01K00000000000000000000000"
RECEIVED_AT = 1_767_000_000


def request(*messages: Message, dialect: Dialect = "openai", **fields: Any) -> ChatRequest:
    return ChatRequest(
        dialect=dialect,
        request_id=REQUEST_ID,
        received_at=RECEIVED_AT,
        model=fields.pop("model", "m"),
        messages=messages or (Message("user", (Text("hi"),)),),
        **fields,
    )


def answer(*parts: Part, **fields: Any) -> ChatAnswer:
    choice = Choice(index=0, parts=parts, finish=fields.pop("finish", "stop"))
    return ChatAnswer(id="up-1", model="m-1", created=7, choices=(choice,), **fields)


words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
names = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=4,
)
json_objects = st.dictionaries(names, json_values, max_size=3)
marks = st.sampled_from([None, "5m", "1h"])
data = st.builds(
    Base64, st.sampled_from(["", "AA==", "UklGRg=="]), st.sampled_from(["image/png", "text/csv"])
)
sounds = st.builds(Base64, st.just("UklGRg=="), st.sampled_from(["audio/wav", "audio/mpeg"]))
addresses = st.builds(Url, st.sampled_from(["https://example.com/a", "http://example.org/b?c=d"]))


def texts(marked: st.SearchStrategy[Any] = marks) -> st.SearchStrategy[Text]:
    return st.builds(Text, words, marked)


user_parts = st.one_of(
    texts(),
    st.builds(Image, addresses | data, st.sampled_from([None, "low", "high"]), marks),
    st.builds(Audio, sounds | addresses),
    st.builds(File, data | st.builds(FileId, names), names | st.just(""), marks),
    st.builds(Video, addresses | data),
)
sources = st.builds(Source, words, words | st.just(""), st.integers(0, 5), st.integers(6, 9))


@st.composite
def assistants(draw: st.DrawFn) -> Message:
    """An assistant turn in the one order that the openai dialect can say."""
    calls = [
        ToolCall(f"call_{draw(st.uuids()).hex}", draw(names), '{"a": 1}')
        for _ in range(draw(st.integers(0, 2)))
    ]
    parts: list[Part] = []
    if calls and (thought := draw(st.none() | words)):
        parts.append(Reasoning(thought))
    parts += [Text(text) for text in draw(st.lists(words, max_size=1))]
    parts += [Refusal(text) for text in draw(st.lists(words, max_size=1))]
    parts += [Audio(FileId(id_)) for id_ in draw(st.lists(names, max_size=1))]
    for call in calls:
        if draw(st.booleans()):
            parts.append(Reasoning("", Seal("gemini", draw(words))))
        parts.append(call)
    cited = tuple(draw(st.lists(sources, max_size=2)))
    return Message("assistant", tuple(parts), draw(st.none() | names), cited)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    messages: list[Message] = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["system", "user", "assistant"]))
        name = draw(st.none() | names)
        if kind == "assistant":
            messages.append(turn := draw(assistants()))
            for call in turn.parts:
                if isinstance(call, ToolCall):
                    result = ToolResult(call.id, tuple(draw(st.lists(texts(), max_size=2))))
                    messages.append(Message("tool", (result,)))
        elif kind == "system":
            system_texts = draw(st.lists(texts(), max_size=2))
            messages.append(Message("system", tuple(system_texts), name))
        else:
            user_content = draw(st.lists(user_parts, max_size=3))
            messages.append(Message("user", tuple(user_content), name))
    return tuple(messages)


tools = st.lists(
    st.builds(
        FunctionTool,
        names,
        st.none() | words,
        st.none() | json_objects,
        st.none() | st.booleans(),
    ),
    max_size=2,
    unique_by=lambda tool: tool.name,
).map(tuple)
searches = st.sampled_from(
    [
        (),
        (WebSearch("web_search_options", {}),),
        (
            WebSearch(
                "web_search_options",
                {
                    "search_context_size": "low",
                    "user_location": {"type": "approximate", "approximate": {"city": "Rome"}},
                },
                context_size="low",
                city="Rome",
            ),
        ),
        (
            WebSearch(
                "search_parameters",
                {
                    "mode": "on",
                    "sources": [{"type": "web", "allowed_websites": ["a.org"], "country": "IT"}],
                },
                allowed_domains=("a.org",),
                country="IT",
            ),
        ),
    ]
)
choices = st.one_of(
    st.none(),
    st.builds(ToolChoice, st.sampled_from(["auto", "none", "required"])),
    st.builds(ToolChoice, st.sampled_from(["auto", "required"]), st.tuples(names)),
    st.builds(ToolChoice, st.sampled_from(["auto", "required"]), st.tuples(names, names)),
)
efforts = st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"])
settings = st.one_of(
    st.builds(ReasoningSettings, effort=efforts),
    st.builds(
        ReasoningSettings,
        effort=st.none() | efforts,
        budget_tokens=st.none() | st.integers(0, 10**6),
        switch=st.sampled_from(["on", "off", "adaptive"]),
    ),
    st.builds(ReasoningSettings, budget_tokens=st.integers(0, 10**6)),
)
forms = st.one_of(
    st.builds(AnyJson),
    st.builds(JsonSchema, json_objects, words, st.none() | st.booleans(), st.none() | words),
)
spoken = st.builds(
    lambda voice, audio_format: AudioOutput(
        voice, audio_format, {"voice": voice, "format": audio_format}
    ),
    names,
    st.sampled_from(["wav", "mp3"]),
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


@st.composite
def openai_requests(draw: st.DrawFn) -> ChatRequest:
    """Whatever a client of the openai dialect can ask, in the one form that reading gives."""
    stream = draw(st.booleans())
    logprobs = draw(maybe(st.booleans()))
    modalities = draw(st.sampled_from([(), ("text",), ("text", "audio")]))
    return request(
        *draw(conversations()),
        model=draw(names),
        tools=draw(tools) + draw(searches),
        tool_choice=draw(choices),
        parallel_tool_calls=draw(maybe(st.booleans())),
        output_form=draw(maybe(forms)),
        verbosity=draw(maybe(st.sampled_from(["low", "high"]))),
        output_cap=draw(maybe(st.integers(1, 10**6))),
        temperature=draw(maybe(st.sampled_from([0, 0.5, 2]))),
        top_p=draw(maybe(st.sampled_from([0, 0.5, 1]))),
        top_k=draw(maybe(st.integers(1, 50))),
        seed=draw(maybe(st.integers(-(2**63), 2**63 - 1))),
        presence_penalty=draw(maybe(st.sampled_from([-2, 0.5]))),
        frequency_penalty=draw(maybe(st.sampled_from([-2, 0.5]))),
        logit_bias=draw(maybe(st.dictionaries(names, st.integers(-100, 100), min_size=1))),
        stop=tuple(draw(st.lists(words, max_size=4))),
        choices=draw(maybe(st.integers(1, 128))),
        reasoning=draw(maybe(settings)),
        logprobs=logprobs,
        top_logprobs=draw(maybe(st.integers(0, 20))) if logprobs else None,
        modalities=modalities,
        audio=draw(maybe(spoken)) if "audio" in modalities else None,
        prediction=draw(maybe(json_objects.filter(bool))),
        user=draw(maybe(words)),
        metadata=draw(maybe(json_objects.filter(bool))),
        service_tier=draw(maybe(words)),
        store=draw(maybe(st.booleans())),
        prompt_cache_key=draw(maybe(words)),
        safety_identifier=draw(maybe(words)),
        stream=stream,
        include_usage=stream,
        extra=draw(st.sampled_from([{}, {"min_p": 0.1}, {"parameters": {"enable_search": True}}])),
    )


logprob = st.sampled_from([-0.5, -3.0])
byte_texts = st.none() | st.lists(st.integers(0, 255), max_size=2).map(tuple)
tokens = st.lists(
    st.builds(
        TokenLogprob,
        words,
        logprob,
        byte_texts,
        st.lists(st.builds(TopLogprob, words, logprob, byte_texts), max_size=1).map(tuple),
    ),
    max_size=2,
).map(tuple)


def merge_reasoning(parts: Iterable[Part]) -> Iterator[Part]:
    """A seal without words of its own closes the open reasoning right before it."""
    before: Reasoning | None = None
    for part in parts:
        if isinstance(part, Reasoning):
            if before is not None and before.seal is None and not part.text:
                before = Reasoning(before.text, part.seal)
                continue
            if before is not None:
                yield before
            before = part
            continue
        if before is not None:
            yield before
            before = None
        yield part
    if before is not None:
        yield before


@st.composite
def openai_choices(draw: st.DrawFn, index: int) -> Choice:
    """An answer in the one order of parts that the openai dialect can say."""
    parts: list[Part] = []
    calls = [
        ToolCall(f"call_{index}{at}", draw(names), '{"a":"b"}')
        for at in range(draw(st.integers(0, 2)))
    ]
    owners: list[SealOwner] = ["anthropic", "openai"]
    owner, sealed = draw(st.sampled_from(owners)), draw(st.booleans())
    if calls and sealed:
        parts.append(Reasoning(draw(words), Seal(owner, draw(words), id=draw(st.just("") | names))))
        if draw(st.booleans()):
            parts.append(Reasoning("", Seal(owner, draw(words), redacted=True)))
    else:
        parts += [Reasoning(text) for text in draw(st.lists(words, max_size=1))]
    parts += [Text(text) for text in draw(st.lists(words, max_size=1))]
    parts += [Refusal(text) for text in draw(st.lists(words, max_size=1))]
    if draw(st.booleans()):
        parts.append(Audio(Base64("UklGRg==", "audio/wav"), draw(words), draw(names), 9))
    for call in calls:
        if draw(st.booleans()):
            parts.append(Reasoning("", Seal("gemini", draw(words))))
        parts.append(call)
    parts = list(merge_reasoning(parts))
    parts += draw(
        st.lists(
            st.builds(Image, addresses | st.just(Base64("AA==", "image/png"))),
            max_size=2,
        )
    )
    reasons = ["stop", "length", "content_filter"]
    return Choice(
        index=index,
        parts=tuple(parts),
        finish="tool_calls" if calls else draw(st.sampled_from(reasons)),
        citations=tuple(draw(st.lists(sources, max_size=2, unique=True))),
        logprobs=draw(tokens),
        refusal_logprobs=draw(tokens),
    )


@st.composite
def counts(draw: st.DrawFn) -> Counts:
    text, cached, written, received, seen, output, thought, spoke, drew, searched = (
        draw(st.integers(0, 99)) for _ in range(10)
    )
    return Counts(
        input=text + cached + written + received + seen,
        cache_read=cached,
        cache_write_5m=written,
        input_audio=received,
        input_image=seen,
        output=output + thought + spoke + drew,
        reasoning=thought,
        output_audio=spoke,
        output_image=drew,
        searches=searched,
    )


@st.composite
def openai_answers(draw: st.DrawFn) -> ChatAnswer:
    n = draw(st.integers(1, 2))
    return ChatAnswer(
        id="up-1",
        model=draw(names),
        created=7,
        choices=tuple(draw(openai_choices(index)) for index in range(n)),
        counts=draw(counts()),
        usage=b"{}",
        service_tier=draw(names | st.just("")),
        fingerprint=draw(names | st.just("")),
    )
