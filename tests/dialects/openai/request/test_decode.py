import json
from typing import Any

import pytest

from dialects.chat.chat import (
    AnyJson,
    AudioOutput,
    ChatRequest,
    FunctionTool,
    JsonSchema,
    ReasoningSettings,
    Text,
    ToolChoice,
    WebSearch,
)
from dialects.chat.custom_tools import make_function
from dialects.errors.errors import RequestFault
from dialects.openai.request.decode import decode
from tests.dialects.neutral import RECEIVED_AT, REQUEST_ID
from tests.dialects.openai.golden import GOLDEN

MESSAGES = [{"role": "user", "content": "hi"}]


def read(**fields: Any) -> ChatRequest:
    body = {"model": "m", "messages": MESSAGES} | fields
    raw = json.dumps(body).encode()
    return decode(raw, request_id=REQUEST_ID, received_at=RECEIVED_AT)


def test_plain() -> None:
    got = read()
    assert (got.dialect, got.model, got.request_id) == ("openai", "m", REQUEST_ID)
    assert got.messages[0].parts == (Text("hi"),)
    assert got.received_at == RECEIVED_AT
    assert (got.stream, got.extra, got.tools) == (False, {}, ())


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"max_tokens": 5}, "output_cap", 5),
        ({"max_tokens": 5, "max_completion_tokens": 6.0}, "output_cap", 6),
        ({"temperature": None}, "temperature", None),
        ({"temperature": 2}, "temperature", 2),
        ({"top_p": 0.5}, "top_p", 0.5),
        ({"top_k": 4}, "top_k", 4),
        ({"n": 2}, "choices", 2),
        ({"seed": -5}, "seed", -5),
        ({"stop": "x"}, "stop", ("x",)),
        ({"stop": ["x", "y"]}, "stop", ("x", "y")),
        ({"stop": None}, "stop", ()),
        ({"presence_penalty": -2}, "presence_penalty", -2),
        ({"frequency_penalty": 1.5}, "frequency_penalty", 1.5),
        ({"logit_bias": {"50256": -100, "1": None}}, "logit_bias", {"50256": -100}),
        ({"logprobs": True, "top_logprobs": 2}, "top_logprobs", 2),
        ({"parallel_tool_calls": False}, "parallel_tool_calls", False),
        ({"verbosity": "low"}, "verbosity", "low"),
        ({"user": "u"}, "user", "u"),
        ({"metadata": {"a": "b"}}, "metadata", {"a": "b"}),
        ({"service_tier": "flex"}, "service_tier", "flex"),
        ({"store": False}, "store", False),
        ({"prompt_cache_key": "k"}, "prompt_cache_key", "k"),
        ({"safety_identifier": "s"}, "safety_identifier", "s"),
        ({"prediction": {"type": "content"}}, "prediction", {"type": "content"}),
        ({"modalities": ["text", "audio"]}, "modalities", ("text", "audio")),
        ({"modalities": ["audio"], "audio": {"voice": "alloy", "format": "wav"}}, "audio",
         AudioOutput("alloy", "wav", {"voice": "alloy", "format": "wav"})),
        ({"modalities": ["audio"], "audio": {"voice": {"id": "v"}}}, "audio",
         AudioOutput("", "", {"voice": {"id": "v"}})),
        # "Audio output parameters, used when modalities includes audio" (source 004).
        ({"audio": {"voice": "alloy", "format": "wav"}}, "audio", None),
        ({"modalities": ["text"], "audio": {"voice": "string", "format": "string"}}, "audio", None),
        ({"response_format": {"type": "text"}}, "output_form", None),
        ({"response_format": {"type": "json_object"}}, "output_form", AnyJson()),
        ({"response_format": {"type": "json_schema", "json_schema":
          {"name": "A", "schema": {"type": "object"}, "strict": True, "description": "d"}}},
         "output_form", JsonSchema({"type": "object"}, "A", True, "d")),
        ({"reasoning_effort": "minimal"}, "reasoning", ReasoningSettings(effort="minimal")),
        ({"thinking": {"type": "enabled"}}, "reasoning", ReasoningSettings(switch="on")),
        ({"thinking": {"type": "disabled"}}, "reasoning", ReasoningSettings(switch="off")),
        ({"thinking": {"type": "auto", "budget_tokens": 9}, "thinking_budget": 3}, "reasoning",
         ReasoningSettings(budget_tokens=9, switch="adaptive")),
        ({"enable_thinking": True, "thinking_budget": 3}, "reasoning",
         ReasoningSettings(budget_tokens=3, switch="on")),
        ({"enable_thinking": False}, "reasoning", ReasoningSettings(switch="off")),
        ({"stream": True}, "include_usage", False),
        ({"stream": True, "stream_options": {}}, "include_usage", False),
        ({"stream": True, "stream_options": {"include_usage": True}}, "include_usage", True),
        ({"stream_options": {"include_usage": True}}, "include_usage", False),
        ({"max_cost": "1", "group": "g", "min_p": 0.1, "a": None}, "extra",
         {"group": "g", "min_p": 0.1}),
        ({"parameters": {"enable_search": True}}, "extra",
         {"parameters": {"enable_search": True}}),
        ({"search_parameters": {"mode": "off"}}, "extra", {"search_parameters": {"mode": "off"}}),
        ({"tool_choice": "required"}, "tool_choice", ToolChoice("required")),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice",
         ToolChoice("required", ("f",))),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
            {"type": "function", "function": {"name": "f"}}, {"type": "mcp"}]}}}, "tool_choice",
         ToolChoice("required", ("f",))),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": [
            {"type": "function", "function": {"name": "f"}}]}}}, "tool_choice",
         ToolChoice("auto", ("f",))),
        ({"function_call": "none"}, "tool_choice", ToolChoice("none")),
        ({"function_call": {"name": "f"}}, "tool_choice", ToolChoice("required", ("f",))),
    ],
)  # fmt: skip
def test_parameter(fields: dict[str, Any], name: str, value: object) -> None:
    assert getattr(read(**fields), name) == value


@pytest.mark.parametrize(
    ("fields", "tool"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f", "description": "d",
                     "parameters": {"type": "object"}, "strict": True}}]},
         FunctionTool("f", "d", {"type": "object"}, True)),
        ({"functions": [{"name": "f"}]}, FunctionTool("f")),
        ({"tools": [{"type": "web_search", "web_search": {"enable": True}}]},
         WebSearch("glm", {"type": "web_search", "web_search": {"enable": True}})),
        ({"tools": [{"type": "builtin_function", "function": {"name": "$web_search"}}]},
         WebSearch("kimi", {"type": "builtin_function", "function": {"name": "$web_search"}})),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]},
         make_function("c", None, {"type": "custom", "custom": {"name": "c"}}, "", "")),
        ({"web_search_options": {}}, WebSearch("web_search_options", {})),
        ({"web_search_options": {"user_location": {"type": "approximate", "country": "IT"}}},
         WebSearch("web_search_options",
                   {"user_location": {"type": "approximate", "country": "IT"}}, country="IT")),
        ({"search_parameters": {"mode": "auto", "sources": [{"type": "x"}, {"type": "web",
                                "excluded_websites": ["a.org"]}]}},
         WebSearch("search_parameters", {"mode": "auto", "sources": [{"type": "x"},
                   {"type": "web", "excluded_websites": ["a.org"]}]}, blocked_domains=("a.org",))),
        ({"search_parameters": {}}, WebSearch("search_parameters", {})),
    ],
)  # fmt: skip
def test_tool(fields: dict[str, Any], tool: object) -> None:
    got = read(**fields)
    assert got.tools == (tool,)
    assert got.legacy_functions == ("functions" in fields)


def test_tools_win_over_their_old_form() -> None:
    new = {"type": "function", "function": {"name": "f"}}
    got = read(tools=[new], functions=[{"name": "g"}])
    assert got.tools == (FunctionTool("f"),)
    assert not got.legacy_functions


@pytest.mark.parametrize(
    ("fields", "kind", "param"),
    [
        ({"model": ""}, "missing_parameter", "model"),
        ({"model": 3}, "invalid_type", "model"),
        ({"temperature": "0.7"}, "invalid_type", "temperature"),
        ({"temperature": True}, "invalid_type", "temperature"),
        ({"temperature": 2.1}, "invalid_value", "temperature"),
        ({"top_p": -0.1}, "invalid_value", "top_p"),
        ({"n": 0}, "invalid_value", "n"),
        ({"n": 1.5}, "invalid_type", "n"),
        ({"max_tokens": -1}, "invalid_value", "max_tokens"),
        ({"presence_penalty": 3}, "invalid_value", "presence_penalty"),
        ({"logit_bias": {"a": 101}}, "invalid_value", "logit_bias.a"),
        ({"top_logprobs": 2}, "invalid_value", "top_logprobs"),
        ({"top_logprobs": 21, "logprobs": True}, "invalid_value", "top_logprobs"),
        ({"stop": ["a"] * 5}, "invalid_value", "stop"),
        ({"stop": 3}, "invalid_type", "stop"),
        ({"reasoning_effort": "huge"}, "invalid_value", "reasoning_effort"),
        ({"thinking": {}}, "missing_parameter", "thinking.type"),
        ({"thinking": {"type": "often"}}, "invalid_value", "thinking.type"),
        ({"modalities": ["smell"]}, "invalid_value", "modalities[0]"),
        ({"response_format": {"type": "yaml"}}, "invalid_value", "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "missing_parameter",
         "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
         "missing_parameter", "response_format.json_schema.name"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
         "missing_parameter", "response_format.json_schema.schema"),
        ({"tools": [{}]}, "missing_parameter", "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "missing_parameter", "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "invalid_value",
         "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": "é"}}]}, "invalid_value",
         "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": "a"}}] * 2}, "invalid_value",
         "tools"),
        ({"tools": [{"type": "x"}] * 129}, "invalid_value", "tools"),
        ({"tool_choice": "perhaps"}, "invalid_value", "tool_choice"),
        ({"tool_choice": 3}, "invalid_type", "tool_choice"),
        ({"tool_choice": {"type": "x"}}, "invalid_value", "tool_choice.type"),
        ({"tool_choice": {"type": "function"}}, "missing_parameter", "tool_choice.function"),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, "invalid_value",
         "tool_choice.allowed_tools.tools"),
        ({"function_call": {}}, "missing_parameter", "function_call.name"),
    ],
)  # fmt: skip
def test_refusal(fields: dict[str, Any], kind: str, param: str) -> None:
    with pytest.raises(RequestFault) as raised:
        read(**fields)
    assert (raised.value.kind, raised.value.param) == (kind, param)


def test_recorded_requests_are_read() -> None:
    exchanges = json.loads((GOLDEN / "openai_chat_nonstream.json").read_text())["exchanges"]
    for exchange in exchanges:
        if exchange["request"]["path"].endswith("/chat/completions"):
            got = read(**exchange["request"]["body"])
            assert got.extra == {}
            assert got.model == exchange["request"]["body"]["model"]
