import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.anthropic.request.decode import decode
from dialects.anthropic.request.encode import encode, urls_to_fetch
from dialects.chat.chat import (
    AnyJson,
    AudioOutput,
    ChatRequest,
    Flag,
    FunctionTool,
    JsonSchema,
    Message,
    OwnTool,
    Part,
    Reasoning,
    ReasoningSettings,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
    Upstream,
    WebSearch,
)
from dialects.chat.events import Seal
from dialects.errors.errors import RequestFault
from dialects.openai.request.decode import decode as decode_openai
from tests.dialects.anthropic.golden import ANSWERS, request_of
from tests.dialects.exchanges import load_exchange
from tests.dialects.neutral import (
    REQUEST_ID,
    json_objects,
    marks,
    names,
    openai_requests,
    request,
    words,
)

TOOL = FunctionTool("f")
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "additionalProperties": False,
}


def upstream(*flags: Flag, **more: Any) -> Upstream:
    return Upstream("up", frozenset(flags), **more)


def body(chat_request: ChatRequest, to: Upstream | None = None) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(encode(chat_request, to or upstream()).body)
    return body


def encoded_body(to: Upstream | None = None, **fields: Any) -> dict[str, Any]:
    """The members that a request of the openai dialect leads to, beside those of any request."""
    output = body(request(**fields), to)
    output.pop("messages")
    assert output.pop("model") == "up"
    return output


def dropped(to: Upstream | None = None, **fields: Any) -> tuple[str, ...]:
    return encode(request(**fields), to or upstream()).dropped


def chat(**members: Any) -> ChatRequest:
    """A request as a client of the openai dialect writes it."""
    raw = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]} | members)
    return decode_openai(raw.encode(), request_id="r", received_at=1)


# ---- the rows of the translation contract, from the openai dialect


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"temperature": 0.5}, {"temperature": 0.5}),
        ({"temperature": 1.7}, {"temperature": 1}),
        ({"top_p": 0.3}, {"top_p": 0.3}),
        ({"top_k": 4}, {"top_k": 4}),
        ({"top_k": -1}, {}),
        ({"stop": "x"}, {"stop_sequences": ["x"]}),
        ({"stop": ["x", " \n"]}, {"stop_sequences": ["x"]}),
        ({"user": "u"}, {"metadata": {"user_id": "u"}}),
        ({"service_tier": "auto"}, {"service_tier": "auto"}),
        ({"service_tier": "default"}, {"service_tier": "standard_only"}),
        ({"max_completion_tokens": 7}, {"max_tokens": 7}),
        ({"max_tokens": 7}, {"max_tokens": 7}),
        ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
        ({"n": 1}, {}),
        ({"reasoning_effort": "none"}, {}),
        ({"reasoning_effort": "low"}, {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        ({"enable_thinking": True}, {"thinking": {"type": "enabled", "budget_tokens": 8_191}}),
        ({"response_format": {"type": "text"}}, {}),
        (
            {"response_format": {"type": "json_schema", "json_schema":
                {"name": "n", "schema": SCHEMA, "strict": True}}},
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "description": "d"}}],
             "tool_choice": "required", "parallel_tool_calls": False},
            {"tools": [{"name": "f", "description": "d",
                        "input_schema": {"type": "object", "properties": {}}}],
             "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        ),
        (
            {"search_parameters": {"mode": "on", "sources": [
                {"type": "web", "allowed_websites": ["a.org"], "country": "IT"}]}},
            {"tools": [{"type": "web_search_20250305", "name": "web_search",
                        "allowed_domains": ["a.org"],
                        "user_location": {"type": "approximate", "country": "IT"}}]},
        ),
    ],
)  # fmt: skip
def test_parameters_of_the_openai_dialect(members: Any, expected: dict[str, Any]) -> None:
    output = body(chat(**members))
    assert output.pop("messages") == [{"role": "user", "content": "hi"}]
    assert output == {"model": "up", "max_tokens": 8192} | expected


@pytest.mark.parametrize(
    ("members", "names"),
    [
        ({"n": 2}, ("n",)),
        ({"seed": 1, "logit_bias": {"1": 1}}, ("logit_bias", "seed")),
        ({"presence_penalty": 1, "frequency_penalty": 1},
         ("presence_penalty", "frequency_penalty")),
        ({"logprobs": True, "top_logprobs": 1}, ("logprobs", "top_logprobs")),
        ({"stop": [" "]}, ("stop",)),
        ({"service_tier": "flex"}, ("service_tier",)),
        ({"store": True, "metadata": {"a": "b"}}, ("store", "metadata")),
        ({"prompt_cache_key": "a", "safety_identifier": "b"},
         ("prompt_cache_key", "safety_identifier")),
        ({"prediction": {"a": 1}, "verbosity": "low"}, ("prediction", "verbosity")),
        ({"parameters": {"a": 1}, "min_p": 1}, ("parameters", "min_p")),
        ({"tools": [{"type": "function", "function": {"name": "f", "strict": True}}]},
         ("strict",)),
        ({"reasoning_effort": "low", "temperature": 1, "top_k": 3, "top_p": 0.5},
         ("temperature", "top_p", "top_k")),
        ({"reasoning_effort": "low", "top_p": 0.99}, ()),
        ({"user": "u", "modalities": ["text"]}, ()),
        ({"modalities": ["text"], "audio": {"voice": "v", "format": "wav"}}, ()),
    ],
)  # fmt: skip
def test_untranslatable_fields_are_dropped_and_named(members: Any, names: tuple[str, ...]) -> None:
    assert encode(chat(**members), upstream()).dropped == names


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"modalities": ["image"]}, "modalities"),
        ({"modalities": ["audio"], "audio": {"voice": "v", "format": "wav"}}, "audio"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"tools": [{"type": "mcp"}]}, "tools"),
        ({"messages": [{"role": "user", "content": [
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]}]},
         "messages"),
    ],
)  # fmt: skip
def test_misleading_fields_are_rejected(members: Any, param: str) -> None:
    with pytest.raises(RequestFault) as caught:
        encode(chat(**members), upstream())
    assert (caught.value.kind, caught.value.param) == ("unsupported_capability", param)


def test_stored_turns_are_refused() -> None:
    with pytest.raises(RequestFault) as caught:
        encode(request(dialect="responses", previous_response_id="x"), upstream())
    assert caught.value.param == "previous_response_id"


def test_conversation_of_the_openai_dialect() -> None:
    chat_request = chat(
        messages=[
            {"role": "system", "content": "be"},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c.1", "type": "function", "function": {"name": "f", "arguments": ""}}]},
            {"role": "tool", "tool_call_id": "c.1", "content": "12"},
            {"role": "user", "content": "b"},
        ]
    )  # fmt: skip
    output = body(chat_request)
    assert output["system"] == "be"
    assert output["messages"] == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "c_1", "name": "f", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c_1", "content": "12"},
            {"type": "text", "text": "b"}]},
    ]  # fmt: skip


# ---- output cap


@pytest.mark.parametrize(
    ("cap", "more", "expected"),
    [
        (None, {}, 8192),
        (None, {"output_max": 64_000}, 64_000),
        (5, {"output_max": 64_000}, 5),
        (5, {"output_cap": 3}, 3),
    ],
)
def test_output_cap(cap: int | None, more: dict[str, int], expected: int) -> None:
    assert encoded_body(upstream(**more), output_cap=cap) == {"max_tokens": expected}


# ---- thinking


def thinking(settings: ReasoningSettings, to: Upstream | None = None, **fields: Any) -> Any:
    fields = {"output_cap": 100_000} | fields
    output = encoded_body(to, reasoning=settings, **fields)
    return output.get("thinking"), output.get("output_config", {}).get("effort")


def budget(tokens: int) -> dict[str, Any]:
    return {"type": "enabled", "budget_tokens": tokens}


@pytest.mark.parametrize(
    ("settings", "tokens"),
    [
        (ReasoningSettings(effort="minimal"), 1024),
        (ReasoningSettings(effort="low"), 2048),
        (ReasoningSettings(effort="medium"), 8192),
        (ReasoningSettings(effort="high"), 16384),
        (ReasoningSettings(effort="xhigh"), 32768),
        (ReasoningSettings(effort="max"), 32768),
        (ReasoningSettings(switch="on"), 8192),
        (ReasoningSettings(switch="adaptive"), 8192),
        (ReasoningSettings(budget_tokens=-1), 8192),
        (ReasoningSettings(budget_tokens=1), 1024),
        (ReasoningSettings(budget_tokens=5000, switch="on"), 5000),
        (ReasoningSettings(budget_tokens=200_000), 99_999),
    ],
)
def test_thinking_by_a_budget(settings: ReasoningSettings, tokens: int) -> None:
    assert thinking(settings) == (budget(tokens), None)


@pytest.mark.parametrize(
    "settings",
    [
        ReasoningSettings(effort="none"),
        ReasoningSettings(switch="off"),
        ReasoningSettings(shown=True),
    ],
)
def test_thinking_off(settings: ReasoningSettings) -> None:
    assert thinking(settings) == (None, None)
    assert "reasoning_effort" not in dropped(reasoning=settings)


def test_budget_stays_within_the_model_and_below_the_cap() -> None:
    high = ReasoningSettings(effort="high")
    assert thinking(high, upstream(budget_max=4096)) == (budget(4096), None)
    dynamic = ReasoningSettings(switch="adaptive")
    assert thinking(dynamic, upstream(budget_max=4096)) == (budget(4096), None)
    assert thinking(high, output_cap=1025) == (budget(1024), None)
    assert thinking(high, output_cap=1024) == (None, None)
    assert thinking(high, upstream(budget_max=0)) == (None, None)
    assert dropped(reasoning=high, output_cap=1024) == ("reasoning_effort",)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (ReasoningSettings(effort="minimal"), ({"type": "adaptive"}, "low")),
        (ReasoningSettings(effort="medium"), ({"type": "adaptive"}, "medium")),
        (ReasoningSettings(effort="xhigh"), ({"type": "adaptive"}, "max")),
        (ReasoningSettings(switch="on"), ({"type": "adaptive"}, "medium")),
        (ReasoningSettings(switch="adaptive"), ({"type": "adaptive"}, None)),
        (ReasoningSettings(switch="adaptive", effort="low"), ({"type": "adaptive"}, "low")),
        (ReasoningSettings(budget_tokens=-1), ({"type": "adaptive"}, None)),
        (ReasoningSettings(budget_tokens=3000), (budget(3000), None)),
        (ReasoningSettings(switch="off"), ({"type": "disabled"}, None)),
        (ReasoningSettings(shown=True), (None, None)),
    ],
)
def test_thinking_by_an_effort(settings: ReasoningSettings, expected: Any) -> None:
    assert thinking(settings, upstream("thinking_adaptive")) == expected


def test_effort_that_the_model_has() -> None:
    to = upstream("thinking_adaptive", efforts=("low", "xhigh"))
    assert thinking(ReasoningSettings(effort="xhigh"), to)[1] == "xhigh"
    assert thinking(ReasoningSettings(effort="high"), to)[1] == "low"


@pytest.mark.parametrize("names", [(), ("f",)])
def test_forced_tool_turns_thinking_off(names: tuple[str, ...]) -> None:
    fields: dict[str, Any] = {
        "tools": (TOOL,),
        "tool_choice": ToolChoice("required", names),
        "temperature": 0.5,
    }
    low = ReasoningSettings(effort="low")
    assert thinking(low, **fields) == (None, None)
    assert thinking(low, upstream("thinking_adaptive"), **fields) == ({"type": "disabled"}, None)
    assert encoded_body(reasoning=low, **fields)["temperature"] == 0.5
    assert dropped(reasoning=low, **fields) == ("reasoning_effort",)


def test_calls_without_their_thinking_turn_it_off() -> None:
    call, seal = ToolCall("t", "f", ""), Seal("anthropic", "s")
    results = Message("tool", (ToolResult("t", ()),))
    low = ReasoningSettings(effort="low")
    lost = request(Message("assistant", (call,)), results, reasoning=low)
    assert "thinking" not in body(lost)
    kept = Message("assistant", (Reasoning("a", seal), call))
    assert "thinking" in body(request(kept, results, reasoning=low))


def test_only_one_of_temperature_and_top_p() -> None:
    to = upstream("one_of_temperature_top_p")
    assert encoded_body(to, temperature=0.5, top_p=0.5) == {"max_tokens": 8192, "temperature": 0.5}
    assert dropped(to, temperature=0.5, top_p=0.5) == ("top_p",)
    assert encoded_body(to, top_p=0.5)["top_p"] == 0.5
    low = ReasoningSettings(effort="low")
    assert encoded_body(to, temperature=0.5, top_p=0.96, reasoning=low)["top_p"] == 0.96


# ---- output form


def test_any_json_is_asked_in_a_sentence() -> None:
    result = encoded_body(output_form=AnyJson())
    assert result["system"] == "Answer with one JSON object only, without any other text."


def test_schema_of_a_model_without_it() -> None:
    to, form = upstream("no_json_schema"), JsonSchema(SCHEMA)
    encoded = encode(request(output_form=form), to)
    body = json.loads(encoded.body)
    assert encoded.answer_tool == "json_answer"
    assert body["tools"] == [{"name": "json_answer", "input_schema": SCHEMA}]
    assert body["tool_choice"] == {"type": "tool", "name": "json_answer"}
    assert "output_config" not in body


@pytest.mark.parametrize(
    "fields", [{"tools": (TOOL,)}, {"reasoning": ReasoningSettings(effort="low")}]
)
def test_schema_in_a_sentence(fields: dict[str, Any]) -> None:
    encoded = encode(request(output_form=JsonSchema(SCHEMA), **fields), upstream("no_json_schema"))
    body = json.loads(encoded.body)
    assert encoded.answer_tool == ""
    schema = '{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}'
    assert body["system"].endswith(schema)


def test_schema_is_closed_as_the_provider_requires() -> None:
    """The example of source 000 ("Structured Output") has no additionalProperties, without which
    Claude refuses a schema."""
    schema = {
        "type": "object",
        "properties": {"summary": {"type": "string"}},
        "required": ["summary"],
    }
    form = {"type": "json_schema", "json_schema": {"name": "Answer", "schema": schema}}
    output = body(chat(response_format=form))
    members = {"type": "json_schema", "schema": {**schema, "additionalProperties": False}}
    assert output["output_config"] == {"format": members}


def test_inexpressible_schema_is_requested_in_words() -> None:
    form = JsonSchema({"type": "object", "additionalProperties": {"type": "string"}})
    encoded = encode(request(output_form=form), upstream())
    assert (encoded.answer_tool, "output_config" in json.loads(encoded.body)) == (
        "json_answer",
        False,
    )
    encoded = encode(request(output_form=form, tools=(TOOL,)), upstream())
    assert "additionalProperties" in json.loads(encoded.body)["system"]


def test_effort_and_form_can_be_combined() -> None:
    fields = {"output_form": JsonSchema(SCHEMA), "reasoning": ReasoningSettings(effort="low")}
    result = encoded_body(upstream("thinking_adaptive"), **fields)
    assert set(result["output_config"]) == {"format", "effort"}


# ---- tools


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("auto"), True, {"type": "auto", "disable_parallel_tool_use": False}),
        (ToolChoice("none"), False, {"type": "none"}),
        (ToolChoice("required"), None, {"type": "any"}),
        (ToolChoice("required", ("f",)), None, {"type": "tool", "name": "f"}),
        (ToolChoice("required", ("f", "g")), None, {"type": "any"}),
    ],
)
def test_tool_choice(choice: ToolChoice | None, parallel: bool | None, expected: Any) -> None:
    tools = (TOOL, FunctionTool("g"), FunctionTool("h"))
    result = encoded_body(tools=tools, tool_choice=choice, parallel_tool_calls=parallel)
    assert result.get("tool_choice") == expected
    offered = 2 if choice and len(choice.names) > 1 else 3
    assert len(result["tools"]) == offered


def test_choice_without_tools_is_left_out() -> None:
    assert encoded_body(tool_choice=ToolChoice("none")) == {"max_tokens": 8192}


def test_tools_are_marked_and_have_an_object_schema() -> None:
    tools = (FunctionTool("f", schema={"properties": {}}, cache="1h"), FunctionTool("g", schema={}))
    assert encoded_body(tools=tools)["tools"] == [
        {"name": "f", "input_schema": {"type": "object", "properties": {}},
         "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
    ]  # fmt: skip


def test_web_search_keeps_the_common_fields() -> None:
    search = WebSearch("responses", {}, uses_max=2, blocked_domains=("b.org",), city="Rome")
    assert encoded_body(tools=(search,))["tools"] == [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 2,
         "blocked_domains": ["b.org"],
         "user_location": {"type": "approximate", "city": "Rome"}},
    ]  # fmt: skip
    assert encoded_body(tools=(WebSearch("gemini", {}),))["tools"] == [
        {"type": "web_search_20250305", "name": "web_search"}
    ]
    both = WebSearch(
        "responses", {}, context_size="low", allowed_domains=("a",), blocked_domains=("b",)
    )
    assert dropped(tools=(both,)) == ("tools.search_context_size", "tools.blocked_domains")
    assert encoded_body(tools=(both,))["tools"][0]["allowed_domains"] == ["a"]
    own = {"type": "web_search_20260209", "name": "web_search"}
    assert encoded_body(tools=(WebSearch("anthropic", own),))["tools"] == [own]


def test_own_server_tools_are_sent_unchanged() -> None:
    own = {"type": "code_execution_20250825", "name": "code_execution"}
    assert encoded_body(tools=(OwnTool("anthropic", own),))["tools"] == [own]


def test_strict_is_only_for_clients_of_the_dialect() -> None:
    tools = (FunctionTool("f", strict=True), FunctionTool("g", strict=False))
    own = encoded_body(tools=tools, dialect="anthropic")["tools"]
    assert [tool["strict"] for tool in own] == [True, False]
    assert not any("strict" in tool for tool in encoded_body(tools=tools)["tools"])
    assert dropped(tools=tools) == ("strict",)


def test_audio_is_rejected_in_the_clients_terms() -> None:
    with pytest.raises(RequestFault) as caught:
        encoded_body(audio=AudioOutput("v"), dialect="gemini")
    assert caught.value.param == "generationConfig.speechConfig"


def test_no_address_needs_fetching() -> None:
    assert urls_to_fetch(request()) == ()


# ---- there and back


@pytest.mark.parametrize("key", ANSWERS)
def test_golden_request_is_written_unchanged(key: str) -> None:
    exchange = load_exchange(key)
    decoded = decode(request_of(exchange), request_id="r", received_at=1)
    want = exchange["request"]["body"]
    assert json.loads(encode(decoded, Upstream(want["model"])).body) == want


@given(openai_requests())
def test_any_request_of_the_openai_dialect_is_written_or_refused(chat_request: ChatRequest) -> None:
    try:
        encoded = encode(chat_request, upstream())
    except RequestFault as fault:
        refused = fault
        encoded = None
    if encoded is None:
        assert refused.kind in ("unsupported_capability", "invalid_type", "invalid_value")
        return
    written = json.loads(encoded.body)
    roles = [message["role"] for message in written["messages"]]
    assert roles
    assert all(message["content"] for message in written["messages"])
    # What was written is a request of the dialect again.
    decode(encoded.body, request_id="r", received_at=1)


cache: st.SearchStrategy[Any] = marks
texts = st.builds(Text, words.filter(str.strip).map(lambda text: text + "."), marks)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """Turns in the one form that reading gives."""
    messages: list[Message] = []
    if draw(st.booleans()):
        messages.append(Message("system", (draw(texts),)))
    for turn in range(draw(st.integers(1, 3))):
        messages.append(Message("user", tuple(draw(st.lists(texts, min_size=1, max_size=2)))))
        parts: list[Part] = []
        if draw(st.booleans()):
            redacted = draw(st.booleans())
            text = "" if redacted else draw(words)
            parts.append(Reasoning(text, Seal("anthropic", draw(names), redacted=redacted)))
        parts.append(draw(texts))
        calls = [
            ToolCall(f"t{turn}_{at}", draw(names), '{"a":1}')
            for at in range(draw(st.integers(0, 2)))
        ]
        messages.append(Message("assistant", (*parts, *calls)))
        for call in calls:
            result_texts = tuple(draw(st.lists(texts, max_size=2)))
            result = ToolResult(call.id, result_texts, draw(st.booleans()), cache=draw(cache))
            messages.append(Message("tool", (result,)))
        if calls:
            messages.append(Message("assistant", (draw(texts),)))
    return tuple(messages)


@st.composite
def requests(draw: st.DrawFn) -> ChatRequest:
    tools = tuple(
        FunctionTool(
            f"f{at}", draw(st.none() | words), draw(st.none() | schemas), cache=draw(cache)
        )
        for at in range(draw(st.integers(0, 2)))
    )
    settings = st.none() | st.just(ReasoningSettings(budget_tokens=2000, switch="on"))
    return request(
        *draw(conversations()),
        dialect="anthropic",
        model="up",
        tools=tools,
        tool_choice=ToolChoice("auto") if tools else None,
        parallel_tool_calls=draw(st.booleans()) if tools else None,
        output_form=draw(st.none() | st.builds(JsonSchema, json_objects)),
        output_cap=draw(st.integers(4000, 9000)),
        reasoning=draw(settings),
        stop=tuple(draw(st.lists(names, max_size=6))),
        user=draw(st.none() | words),
        service_tier=draw(st.sampled_from([None, "auto", "default"])),
        stream=draw(st.booleans()),
        extra=draw(st.sampled_from([{}, {"container": "c"}])),
    )


schemas = json_objects.map(lambda schema: schema | {"type": "object", "x": 1})


@given(requests())
def test_reading_what_was_written_gives_the_same_request(chat_request: ChatRequest) -> None:
    written = encode(chat_request, upstream())
    again = decode(written.body, request_id=REQUEST_ID, received_at=chat_request.received_at)
    lost = [name for name in written.dropped if name != "thinking"]
    assert lost == []
    if "thinking" in written.dropped:
        chat_request = replaced(chat_request, reasoning=None)
    assert again == chat_request


def replaced(chat_request: ChatRequest, **fields: Any) -> ChatRequest:
    return msgspec.structs.replace(chat_request, **fields)
