import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.chat import (
    AnyJson,
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
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Upstream,
    WebSearch,
)
from dialects.chat.events import Seal, Source
from dialects.errors.errors import RequestFault
from dialects.openai.request.decode import decode as decode_openai
from dialects.responses.request.decode import decode
from dialects.responses.request.encode import encode, urls_to_fetch
from tests.dialects import neutral
from tests.dialects.neutral import RECEIVED_AT, REQUEST_ID, maybe, names, request, words
from tests.support.openapi import check

PLAIN = Upstream("up")


def write(chat_request: ChatRequest, upstream: Upstream = PLAIN) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(encode(chat_request, upstream).body)
    return body


def translated(**members: Any) -> dict[str, Any]:
    """What a request of the openai dialect becomes."""
    raw = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]} | members)
    chat_request = decode_openai(raw.encode(), request_id=REQUEST_ID, received_at=RECEIVED_AT)
    encoded = encode(chat_request, PLAIN)
    body: dict[str, Any] = json.loads(encoded.body)
    check(body, "openai", "CreateResponse")
    return body | {"dropped": list(encoded.dropped)}


def test_the_smallest_request() -> None:
    assert write(request(dialect="responses")) == {
        "model": "up",
        "input": [{"type": "message", "role": "user", "content": "hi"}],
    }
    # Nothing of a client of another dialect is kept at the provider unless it says so.
    assert write(request())["store"] is False
    assert write(request(store=True))["store"] is True


FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object"}}
FLAT = {"type": "function"} | FUNCTION


@pytest.mark.parametrize(
    ("members", "name", "value"),
    [
        ({"temperature": 0.5}, "temperature", 0.5),
        ({"top_p": 0.5}, "top_p", 0.5),
        ({"max_tokens": 99}, "max_output_tokens", 99),
        ({"max_completion_tokens": 3}, "max_output_tokens", 16),
        ({"stream": True}, "stream", True),
        ({"user": "u"}, "user", "u"),
        ({"service_tier": "flex"}, "service_tier", "flex"),
        ({"store": True}, "store", True),
        ({"metadata": {"a": "b"}}, "metadata", {"a": "b"}),
        ({"prompt_cache_key": "k"}, "prompt_cache_key", "k"),
        ({"safety_identifier": "s"}, "safety_identifier", "s"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls", False),
        ({"logprobs": True, "top_logprobs": 2}, "include", ["message.output_text.logprobs"]),
        ({"logprobs": True, "top_logprobs": 2}, "top_logprobs", 2),
        ({"logprobs": False}, "include", None),
        ({"verbosity": "low"}, "text", {"verbosity": "low"}),
        ({"reasoning_effort": "low"}, "reasoning", {"effort": "low", "summary": "auto"}),
        ({"reasoning_effort": "low"}, "include", ["reasoning.encrypted_content"]),
        ({"reasoning_effort": "none"}, "reasoning", {"effort": "none"}),
        ({"reasoning_effort": "none"}, "include", None),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 9000}},
            "reasoning",
            {"effort": "medium", "summary": "auto"},
        ),
        ({"thinking": {"type": "auto"}}, "reasoning", {"summary": "auto"}),
        ({"thinking": {"type": "disabled"}}, "reasoning", {"effort": "none"}),
        (
            {"tools": [{"type": "function", "function": FUNCTION}]},
            "tools",
            [FLAT | {"strict": False}],
        ),
        (
            {"tools": [{"type": "function", "function": FUNCTION | {"strict": True}}]},
            "tools",
            [FLAT | {"strict": True}],
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f"}}]},
            "tools",
            [
                {
                    "type": "function",
                    "name": "f",
                    "parameters": {"type": "object", "properties": {}},
                    "strict": False,
                }
            ],
        ),
        ({"tool_choice": "required"}, "tool_choice", "required"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            "tool_choice",
            {"type": "function", "name": "f"},
        ),
        (
            {
                "web_search_options": {
                    "search_context_size": "low",
                    "user_location": {"type": "approximate", "approximate": {"city": "Rome"}},
                }
            },
            "tools",
            [
                {
                    "type": "web_search",
                    "search_context_size": "low",
                    "user_location": {"type": "approximate", "city": "Rome"},
                }
            ],
        ),
        (
            {"search_parameters": {"sources": [{"type": "web", "allowed_websites": ["a.org"]}]}},
            "tools",
            [{"type": "web_search", "filters": {"allowed_domains": ["a.org"]}}],
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {}},
                }
            },
            "text",
            {"format": {"type": "json_schema", "name": "n", "schema": {}}},
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {}, "strict": True, "description": "d"},
                }
            },
            "text",
            {
                "format": {
                    "type": "json_schema",
                    "name": "n",
                    "schema": {},
                    "strict": True,
                    "description": "d",
                }
            },
        ),
        ({"response_format": {"type": "json_object"}}, "text", {"format": {"type": "json_object"}}),
        (
            {"response_format": {"type": "json_object"}},
            "instructions",
            "Answer with one JSON object only, without any other text.",
        ),
        ({"n": 1}, "dropped", []),
        ({"n": 2}, "dropped", ["n"]),
        ({"modalities": ["text", "image"]}, "dropped", ["modalities"]),
        ({"modalities": ["text"]}, "dropped", []),
        (
            {
                "stop": "x",
                "seed": 1,
                "top_k": 3,
                "logit_bias": {"1": 1},
                "presence_penalty": 1,
                "frequency_penalty": 1,
                "prediction": {"type": "content", "content": "a"},
                "min_p": 0.1,
            },
            "dropped",
            [
                "top_k",
                "stop",
                "presence_penalty",
                "frequency_penalty",
                "logit_bias",
                "seed",
                "prediction",
                "min_p",
            ],
        ),
    ],
)
def test_row_of_the_translation_table(members: dict[str, Any], name: str, value: object) -> None:
    assert translated(**members).get(name) == value


def test_roles_and_calls_of_the_openai_dialect() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = translated(
        messages=[
            {"role": "system", "content": "a"},
            {"role": "user", "name": "bob", "content": "hi"},
            {"role": "assistant", "content": "b", "reasoning_content": "hm", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "ok"},
            {"role": "developer", "content": "d"},
        ]
    )
    assert body["instructions"] == "a\n\nd"
    assert body["input"] == [
        {"type": "message", "role": "user", "content": "hi"},
        {"type": "message", "role": "assistant", "content": "b"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "ok"},
    ]


@pytest.mark.parametrize(
    ("chat_request", "upstream", "want", "dropped"),
    [
        (request(output_cap=50), Upstream("u", output_cap=20), {"max_output_tokens": 20}, ()),
        (
            request(temperature=1.5),
            Upstream("u", frozenset({"temperature_max_1"})),
            {"temperature": 1},
            (),
        ),
        (
            request(temperature=1.5, top_p=0.5, logprobs=True),
            Upstream("u", frozenset({"no_sampling"})),
            {"include": ["reasoning.encrypted_content"]},
            ("temperature", "top_p", "logprobs"),
        ),
        (
            request(temperature=1.5, reasoning=ReasoningSettings(effort="none")),
            Upstream("u", frozenset({"no_sampling"})),
            {"temperature": 1.5},
            (),
        ),
        (
            request(parallel_tool_calls=True),
            Upstream("u", frozenset({"no_parallel_tools"})),
            {},
            ("parallel_tool_calls",),
        ),
        (
            request(reasoning=ReasoningSettings(effort="high")),
            Upstream("u", frozenset({"no_reasoning_effort"})),
            {},
            ("reasoning_effort",),
        ),
        (
            request(reasoning=ReasoningSettings(effort="xhigh")),
            Upstream("u", efforts=("low", "high")),
            {"reasoning": {"effort": "high", "summary": "auto"}},
            (),
        ),
        (
            request(dialect="gemini", reasoning=ReasoningSettings(budget_tokens=-1)),
            PLAIN,
            {"reasoning": None},
            (),
        ),
        (
            request(dialect="gemini", reasoning=ReasoningSettings(budget_tokens=-1, shown=True)),
            PLAIN,
            {"reasoning": {"summary": "auto"}},
            (),
        ),
        (
            request(output_form=JsonSchema({"a": 1})),
            Upstream("u", frozenset({"json_object_only"})),
            {
                "text": {"format": {"type": "json_object"}},
                "instructions": "Answer with one JSON object only, without any other text."
                ' It must fit this JSON Schema: {"a":1}',
            },
            (),
        ),
        (
            request(Message("user", (Text("Give me Json"),)), output_form=AnyJson()),
            PLAIN,
            {"text": {"format": {"type": "json_object"}}, "instructions": None},
            (),
        ),
        (
            request(output_form=JsonSchema({})),
            PLAIN,
            {"text": {"format": {"type": "json_schema", "name": "answer", "schema": {}}}},
            (),
        ),
        (
            request(
                tools=(WebSearch("anthropic", {}, uses_max=3, blocked_domains=("a.org",)),),
                tool_calls_max=2,
                truncation="auto",
                include=("x",),
            ),
            PLAIN,
            {
                "tools": [{"type": "web_search"}],
                "max_tool_calls": 2,
                "truncation": "auto",
                "include": ["x"],
            },
            ("tools.max_uses", "tools.blocked_domains"),
        ),
        (
            request(modalities=("text", "audio"), audio=AudioOutput("alloy", "")),
            Upstream("u", frozenset({"audio_output"})),
            {"modalities": ["text", "audio"], "audio": {"voice": "alloy"}},
            (),
        ),
        (
            request(tool_choice=ToolChoice("auto", ("f", "g"))),
            PLAIN,
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}],
                }
            },
            (),
        ),
        (
            request(dialect="responses", extra={"prompt_cache_retention": "24h"}),
            PLAIN,
            {"prompt_cache_retention": "24h"},
            (),
        ),
    ],
)  # fmt: skip
def test_upstreams_differ(
    chat_request: ChatRequest, upstream: Upstream, want: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    body = write(chat_request, upstream)
    assert {name: body.get(name) for name in want} == want
    assert encode(chat_request, upstream).dropped == dropped


@pytest.mark.parametrize(
    ("chat_request", "param"),
    [
        (request(dialect="responses", previous_response_id="r"), "previous_response_id"),
        (request(modalities=("audio",)), "modalities"),
        (request(audio=AudioOutput()), "audio"),
        (request(tools=(OwnTool("anthropic", {}),)), "tools"),
    ],
)
def test_refused(chat_request: ChatRequest, param: str) -> None:
    with pytest.raises(RequestFault) as caught:
        encode(chat_request, PLAIN)
    assert (caught.value.kind, caught.value.param) == ("unsupported_capability", param)


def test_nothing_needs_fetching() -> None:
    assert urls_to_fetch(request()) == ()


@given(neutral.openai_requests())
def test_any_request_of_the_openai_dialect_is_written_or_refused(chat_request: ChatRequest) -> None:
    kind = ""
    try:
        body = write(chat_request)
    except RequestFault as fault:
        kind, body = fault.kind, {"model": "up", "input": []}
    assert kind in ("", "unsupported_capability")
    assert (body["model"], type(body["input"])) == ("up", list)


assistant_parts = st.one_of(
    st.builds(Reasoning, words | st.just(""), st.builds(Seal, st.just("openai"), names, id=names)),
    st.builds(ToolCall, st.uuids().map(str), names, st.just('{"a":1}')),
    st.builds(Image, st.just(Base64("AA==", "image/png"))),
    st.builds(OwnPart, st.just("responses"), st.just({"type": "web_search_call", "id": "w"})),
)
said_parts = st.one_of(st.builds(Text, words), st.builds(Refusal, words))
user_parts = st.one_of(
    st.builds(Text, words),
    st.builds(
        Image,
        neutral.addresses | st.just(Base64("AA==", "image/png")),
        st.sampled_from(["low", "auto"]),
    ),
    st.builds(File, neutral.addresses),
    st.builds(File, st.just(Base64("AA==", "application/pdf")), names),
)  # fmt: skip


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """What this dialect can say, in the one form that reading gives."""
    messages = [Message("user", tuple(draw(st.lists(user_parts, min_size=1, max_size=3))))]
    if draw(st.booleans()):
        messages.insert(0, Message("system", (Text(draw(words)),)))
    if draw(st.booleans()):
        messages.append(Message("developer", (Text(draw(words)), Text(draw(words)))))
    if draw(st.booleans()):
        texts_said = tuple(draw(st.lists(said_parts, max_size=2)))
        cited: tuple[Source, ...] = ()
        if texts_said and isinstance(texts_said[0], Text) and draw(st.booleans()):
            cited = (Source(draw(names), draw(words), 0, 1),)
        parts: tuple[Part, ...] = (*texts_said, *draw(st.lists(assistant_parts, max_size=3)))
        if parts:
            messages.append(Message("assistant", parts, citations=cited))
        for part in parts:
            if isinstance(part, ToolCall):
                result = draw(st.lists(st.builds(Text, words), max_size=2))
                messages.append(Message("tool", (ToolResult(part.id, tuple(result)),)))
    return tuple(messages)


tools = st.lists(
    st.one_of(
        st.builds(FunctionTool, names, maybe(words), neutral.json_objects, st.booleans()),
        st.builds(
            WebSearch,
            st.just("responses"),
            st.just({"type": "web_search", "search_context_size": "low"}),
            context_size=st.just("low"),
        ),
        st.builds(OwnTool, st.just("responses"), st.just({"type": "code_interpreter"})),
    ),
    max_size=3,
    unique_by=lambda tool: getattr(tool, "name", tool.__class__),
).map(tuple)


@st.composite
def requests(draw: st.DrawFn) -> ChatRequest:
    """Whatever a client of this dialect can ask."""
    drawn: tuple[Tool, ...] = draw(tools)
    logprobs = draw(st.sampled_from([None, True]))
    return request(
        *draw(conversations()),
        dialect="responses",
        model=draw(names),
        tools=drawn,
        tool_choice=draw(neutral.choices),
        parallel_tool_calls=draw(maybe(st.booleans())),
        output_form=draw(
            maybe(
                st.builds(
                    JsonSchema, neutral.json_objects, names, maybe(st.booleans()), maybe(words)
                )
            )
        ),
        verbosity=draw(maybe(st.sampled_from(["low", "high"]))),
        output_cap=draw(maybe(st.integers(16, 10**6))),
        temperature=draw(maybe(st.sampled_from([0, 0.5, 2]))),
        top_p=draw(maybe(st.sampled_from([0, 0.5, 1]))),
        reasoning=draw(
            maybe(
                st.builds(
                    ReasoningSettings,
                    effort=neutral.efforts,
                    summary=maybe(st.sampled_from(["auto", "detailed"])),
                )
            )
        ),
        logprobs=logprobs,
        top_logprobs=draw(maybe(st.integers(0, 20))) if logprobs else None,
        user=draw(maybe(words)),
        metadata=draw(maybe(neutral.json_objects.filter(bool))),
        service_tier=draw(maybe(words)),
        store=draw(maybe(st.booleans())),
        prompt_cache_key=draw(maybe(words)),
        safety_identifier=draw(maybe(words)),
        truncation=draw(maybe(words)),
        tool_calls_max=draw(maybe(st.integers(1, 9))),
        include=draw(st.sampled_from([(), ("reasoning.encrypted_content",)])),
        stream=draw(st.booleans()),
        extra=draw(st.sampled_from([{}, {"prompt_cache_retention": "24h"}])),
    )


@given(requests())
def test_written_request_reads_the_same(chat_request: ChatRequest) -> None:
    encoded = encode(chat_request, Upstream(chat_request.model))
    assert encoded.dropped == ()
    got = decode(encoded.body, request_id=REQUEST_ID, received_at=RECEIVED_AT)
    assert got == chat_request
