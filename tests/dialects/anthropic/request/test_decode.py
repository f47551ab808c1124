import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.anthropic.request.decode import decode
from dialects.chat.chat import (
    ChatRequest,
    FunctionTool,
    JsonSchema,
    OwnTool,
    ReasoningSettings,
    ToolChoice,
    WebSearch,
)
from dialects.errors.errors import RequestFault
from tests.dialects.anthropic.golden import ANSWERS, request_of
from tests.dialects.exchanges import load_exchange


def read(**members: object) -> ChatRequest:
    plain = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    raw = json.dumps({k: v for k, v in (plain | members).items() if v != "absent"}).encode()
    return decode(raw, request_id="r", received_at=1)


def test_least_request() -> None:
    got = read()
    assert (got.dialect, got.request_id, got.received_at) == ("anthropic", "r", 1)
    assert (got.model, got.output_cap, got.stream, got.include_usage) == ("m", 9, False, False)
    assert (got.tools, got.tool_choice, got.reasoning, got.output_form) == ((), None, None, None)
    assert (got.user, got.service_tier, got.extra) == (None, None, {})


@pytest.mark.parametrize("key", ANSWERS)
def test_golden_request(key: str) -> None:
    exchange = load_exchange(key)
    request_body = exchange["request"]["body"]
    got = decode(request_of(exchange), request_id="r", received_at=1)
    assert (got.model, got.output_cap) == (request_body["model"], request_body["max_tokens"])
    assert got.stop == tuple(request_body.get("stop_sequences", ()))
    if "thinking" in request_body:
        assert got.reasoning == ReasoningSettings(budget_tokens=2048, switch="on")
        assert [type(tool) for tool in got.tools] == [FunctionTool]
        assert (got.tool_choice, got.parallel_tool_calls) == (ToolChoice("auto"), True)


def test_sampling_and_the_rest() -> None:
    got = read(
        temperature=1,
        top_p=0.5,
        top_k=7,
        stop_sequences=["a", "b", "c", "d", "e"],
        stream=True,
        metadata={"user_id": "u", "x": 1},
        max_cost="1",
    )
    assert (got.temperature, got.top_p, got.top_k) == (1, 0.5, 7)
    assert (len(got.stop), got.stream, got.user, got.extra) == (5, True, "u", {})


def test_provider_specific_fields_are_kept() -> None:
    extra = {"container": "c", "mcp_servers": [{"url": "u"}], "cache_control": {"type": "x"}}
    assert read(**extra, inference_geo=None).extra == extra


@pytest.mark.parametrize(
    ("members", "settings"),
    [
        ({"thinking": {"type": "disabled"}}, ReasoningSettings(switch="off")),
        ({"thinking": {"type": "adaptive"}}, ReasoningSettings(switch="adaptive")),
        ({"thinking": {"type": "enabled"}}, ReasoningSettings(switch="on")),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"}},
            ReasoningSettings(budget_tokens=1024, switch="on", shown=False),
        ),
        ({"output_config": {"effort": "xhigh"}}, ReasoningSettings(effort="xhigh")),
        ({"output_config": {}}, None),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
            ReasoningSettings(effort="low", switch="adaptive"),
        ),
    ],
)
def test_reasoning(members: dict[str, Any], settings: ReasoningSettings | None) -> None:
    assert read(**members).reasoning == settings


@pytest.mark.parametrize(
    "members",
    [
        {"output_config": {"format": {"type": "json_schema", "schema": {"a": 1}}}},
        {"output_format": {"type": "json_schema", "schema": {"a": 1}}},
    ],
)
def test_output_form(members: dict[str, Any]) -> None:
    got = read(**members)
    assert (got.output_form, got.extra) == (JsonSchema({"a": 1}), {})


@pytest.mark.parametrize(
    ("choice", "expected", "parallel"),
    [
        ({"type": "auto"}, ToolChoice("auto"), None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice("required"), False),
        ({"type": "none"}, ToolChoice("none"), None),
        ({"type": "tool", "name": "f"}, ToolChoice("required", ("f",)), None),
    ],
)
def test_tool_choice(choice: object, expected: ToolChoice, parallel: bool | None) -> None:
    got = read(tool_choice=choice)
    assert (got.tool_choice, got.parallel_tool_calls) == (expected, parallel)


@pytest.mark.parametrize(("word", "tier"), [("auto", "auto"), ("standard_only", "default")])
def test_service_tier(word: str, tier: str) -> None:
    assert read(service_tier=word).service_tier == tier


def test_tools() -> None:
    schema = {"type": "object", "properties": {"a": {}}}
    search = {
        "type": "web_search_20250305",
        "name": "web_search",
        "max_uses": 3,
        "allowed_domains": ["a.org"],
        "user_location": {"type": "approximate", "city": "Rome", "timezone": "Europe/Rome"},
    }
    shell = {"type": "bash_20241022", "name": "bash"}
    got = read(
        tools=[
            {"name": "f", "description": "d", "input_schema": schema, "strict": True,
             "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"type": "custom", "name": "g", "input_schema": {"type": "object", "properties": {}}},
            search,
            shell,
        ]
    )  # fmt: skip
    assert got.tools == (
        FunctionTool("f", "d", schema, strict=True, cache="1h"),
        FunctionTool("g"),
        WebSearch(
            "anthropic",
            search,
            uses_max=3,
            allowed_domains=("a.org",),
            city="Rome",
            timezone="Europe/Rome",
        ),
        OwnTool("anthropic", shell),
    )
    plain = {"type": "web_search_20260209", "name": "web_search"}
    assert read(tools=[plain]).tools == (WebSearch("anthropic", plain),)


@pytest.mark.parametrize(
    ("members", "kind", "param"),
    [
        ({"model": "absent"}, "missing_parameter", "model"),
        ({"model": 3}, "invalid_type", "model"),
        ({"messages": "absent"}, "missing_parameter", "messages"),
        ({"messages": []}, "invalid_value", "messages"),
        ({"max_tokens": "absent"}, "missing_parameter", "max_tokens"),
        ({"max_tokens": 0}, "invalid_value", "max_tokens"),
        ({"temperature": 1.5}, "invalid_value", "temperature"),
        ({"temperature": "1"}, "invalid_type", "temperature"),
        ({"top_p": 2}, "invalid_value", "top_p"),
        ({"top_k": -1}, "invalid_value", "top_k"),
        ({"stop_sequences": "x"}, "invalid_type", "stop_sequences"),
        ({"thinking": {}}, "missing_parameter", "thinking.type"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "invalid_value",
         "thinking.budget_tokens"),
        ({"output_config": {"effort": "lots"}}, "invalid_value", "output_config.effort"),
        ({"output_config": {"format": {"type": "xml"}}}, "invalid_value",
         "output_config.format.type"),
        ({"service_tier": "fast"}, "invalid_value", "service_tier"),
        ({"tool_choice": {"type": "tool"}}, "missing_parameter", "tool_choice.name"),
        ({"tools": [{"name": "a b", "input_schema": {}}]}, "invalid_value", "tools[0].name"),
        ({"tools": [{"name": "f"}]}, "missing_parameter", "tools[0].input_schema"),
        ({"tools": [{"name": "f", "input_schema": {}}] * 2}, "invalid_value", "tools"),
        ({"system": 3}, "invalid_type", "system"),
    ],
)  # fmt: skip
def test_refused(members: dict[str, Any], kind: str, param: str) -> None:
    with pytest.raises(RequestFault) as caught:
        read(**members)
    assert (caught.value.kind, caught.value.param) == (kind, param)


@given(st.binary(max_size=60))
def test_no_bytes_crash_the_reader(raw: bytes) -> None:
    with suppress(RequestFault):
        decode(raw, request_id="r", received_at=1)


NAMES = [
    "role", "content", "type", "text", "source", "data", "url", "tool_use_id", "id", "name",
    "input", "thinking", "signature", "citations", "cache_control", "title",
]  # fmt: skip
WORDS = ["user", "assistant", "text", "image", "document", "tool_use", "tool_result", "thinking"]
JSON = st.recursive(
    st.none() | st.integers() | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(JSON, JSON, JSON)
def test_no_json_crashes_the_reader(messages: object, tools: object, system: object) -> None:
    with suppress(RequestFault):
        read(messages=messages, tools=tools, system=system)
