import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat import media
from dialects.chat.chat import (
    AnyJson,
    ChatRequest,
    FunctionTool,
    JsonSchema,
    Message,
    ReasoningSettings,
    Text,
    ToolChoice,
    WebSearch,
)
from dialects.chat.custom_tools import make_function
from dialects.errors.errors import RequestFault
from dialects.responses.request.decode import decode
from tests.dialects.exchanges import load_exchange
from tests.dialects.neutral import RECEIVED_AT, REQUEST_ID
from tests.dialects.responses.golden import request_of


def read(**members: Any) -> ChatRequest:
    raw = json.dumps({"model": "m", "input": "hi"} | members).encode()
    return decode(raw, request_id=REQUEST_ID, received_at=RECEIVED_AT)


def refusal(raw: bytes) -> tuple[str, str | None]:
    with pytest.raises(RequestFault) as caught:
        decode(raw, request_id=REQUEST_ID, received_at=RECEIVED_AT)
    return caught.value.kind, caught.value.param


def test_the_smallest_request() -> None:
    got = read()
    assert got == ChatRequest(
        dialect="responses",
        request_id=REQUEST_ID,
        received_at=RECEIVED_AT,
        model="m",
        messages=(Message("user", (Text("hi"),)),),
    )


def test_instructions_come_first() -> None:
    got = read(instructions="Be kind.", input=[{"role": "system", "content": "a"}])
    assert got.messages == (
        Message("system", (Text("Be kind."),)),
        Message("system", (Text("a"),)),
    )


@pytest.mark.parametrize(
    ("members", "field", "value"),
    [
        ({"max_output_tokens": 16.0}, "output_cap", 16),
        ({"temperature": 2}, "temperature", 2),
        ({"top_p": 0.5}, "top_p", 0.5),
        ({"stream": True, "stream_options": {"include_obfuscation": False}}, "stream", True),
        ({"parallel_tool_calls": False}, "parallel_tool_calls", False),
        ({"max_tool_calls": 3}, "tool_calls_max", 3),
        ({"user": "u"}, "user", "u"),
        ({"metadata": {"a": "b"}}, "metadata", {"a": "b"}),
        ({"service_tier": "flex"}, "service_tier", "flex"),
        ({"store": False}, "store", False),
        ({"prompt_cache_key": "k"}, "prompt_cache_key", "k"),
        ({"safety_identifier": "s"}, "safety_identifier", "s"),
        ({"truncation": "auto"}, "truncation", "auto"),
        ({"include": ["reasoning.encrypted_content"]}, "include", ("reasoning.encrypted_content",)),
        ({"include": ["message.output_text.logprobs"]}, "include", ()),
        ({"include": ["message.output_text.logprobs"]}, "logprobs", True),
        ({"top_logprobs": 2}, "logprobs", True),
        ({"top_logprobs": 2}, "top_logprobs", 2),
        ({"top_logprobs": 0}, "logprobs", None),
        ({"top_logprobs": 0}, "top_logprobs", None),
        ({"text": {"verbosity": "low"}}, "verbosity", "low"),
        ({"text": {"format": {"type": "text"}}}, "output_form", None),
        ({"text": {"format": {"type": "json_object"}}}, "output_form", AnyJson()),
        (
            {
                "text": {
                    "format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True}
                }
            },
            "output_form",
            JsonSchema({}, "n", True),
        ),
        ({"reasoning": {}}, "reasoning", None),
        (
            {"reasoning": {"effort": "xhigh", "summary": "concise"}},
            "reasoning",
            ReasoningSettings(effort="xhigh", summary="concise"),
        ),
        (
            {"reasoning": {"generate_summary": "auto"}},
            "reasoning",
            ReasoningSettings(summary="auto"),
        ),
        ({"tool_choice": "required"}, "tool_choice", ToolChoice("required")),
        ({"tool_choice": None}, "tool_choice", None),
        (
            {"tool_choice": {"type": "function", "name": "f"}},
            "tool_choice",
            ToolChoice("required", ("f",)),
        ),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [{"type": "function", "name": "f"}],
                }
            },
            "tool_choice",
            ToolChoice("auto", ("f",)),
        ),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [{"type": "function", "name": n} for n in "fg"],
                }
            },
            "tool_choice",
            ToolChoice("required", ("f", "g")),
        ),
        ({"background": False, "conversation": None, "max_cost": 1}, "extra", {}),
        (
            {"prompt_cache_retention": "24h", "odd": None},
            "extra",
            {"prompt_cache_retention": "24h"},
        ),
    ],
)
def test_field(members: dict[str, Any], field: str, value: object) -> None:
    assert getattr(read(**members), field) == value


def test_tools() -> None:
    search = {
        "type": "web_search_preview_2025_03_11",
        "search_context_size": "low",
        "filters": {"allowed_domains": ["a.org"], "blocked_domains": ["b.org"]},
        "user_location": {"type": "approximate", "city": "Rome", "country": "IT"},
    }
    tools = [
        {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}},
        {"type": "function", "name": "g", "strict": False, "parameters": None},
        {"type": "function", "name": "h", "strict": None},
        search,
        {"type": "web_search"},
        {"type": "custom", "name": "c"},
    ]
    assert read(tools=tools).tools == (
        FunctionTool("f", "d", {"type": "object"}, True),
        FunctionTool("g", None, None, False),
        FunctionTool("h", None, None, True),
        WebSearch(
            "responses",
            search,
            context_size="low",
            allowed_domains=("a.org",),
            blocked_domains=("b.org",),
            city="Rome",
            country="IT",
        ),
        WebSearch("responses", {"type": "web_search"}),
        make_function("c", None, {"type": "custom", "name": "c"}, "", ""),
    )


def test_unknown_earlier_response_stays_named() -> None:
    raw = b'{"model":"m","previous_response_id":"resp_1"}'
    got = decode(raw, request_id=REQUEST_ID, received_at=RECEIVED_AT)
    assert (got.previous_response_id, got.messages) == ("resp_1", ())


def body(**members: object) -> bytes:
    return json.dumps({"model": "m", "input": "hi"} | members).encode()


def choosing(choice: object) -> bytes:
    return body(tool_choice=choice)


@pytest.mark.parametrize(
    ("raw", "kind", "param"),
    [
        (b"{", "malformed_json", None),
        (b"[]", "invalid_type", None),
        (b'{"model":""}', "missing_parameter", "model"),
        (b'{"model":3}', "invalid_type", "model"),
        (b'{"model":"m"}', "missing_parameter", "input"),
        (body(input=[]), "invalid_value", "input"),
        (body(input=3), "invalid_type", "input"),
        (body(conversation="c"), "unsupported_capability", "conversation"),
        (body(background=True), "unsupported_capability", "background"),
        (body(prompt={"id": "p"}), "unsupported_capability", "prompt"),
        (body(instructions=3), "invalid_type", "instructions"),
        (body(max_output_tokens=15), "invalid_value", "max_output_tokens"),
        (body(temperature="0.7"), "invalid_type", "temperature"),
        (body(temperature=3), "invalid_value", "temperature"),
        (body(top_logprobs=21), "invalid_value", "top_logprobs"),
        (body(reasoning={"effort": "huge"}), "invalid_value", "reasoning.effort"),
        (body(text={"format": {}}), "missing_parameter", "text.format.type"),
        (body(text={"format": {"type": "xml"}}), "invalid_value", "text.format.type"),
        (
            body(text={"format": {"type": "json_schema", "name": "n"}}),
            "missing_parameter",
            "text.format.schema",
        ),
        (
            body(text={"format": {"type": "json_schema", "schema": {}}}),
            "missing_parameter",
            "text.format.name",
        ),
        (body(tools=[{"name": "f"}]), "missing_parameter", "tools[0].type"),
        (body(tools=[{"type": "function"}]), "missing_parameter", "tools[0].name"),
        (body(tools=[{"type": "function", "name": "a b"}]), "invalid_value", "tools[0].name"),
        (body(tools=[{"type": "function", "name": "a" * 129}]), "invalid_value", "tools[0].name"),
        (body(tools=[{"type": "function", "name": "a"}] * 2), "invalid_value", "tools"),
        (body(tools=[{"type": "mcp"}] * 129), "invalid_value", "tools"),
        (choosing("any"), "invalid_value", "tool_choice"),
        (choosing(3), "invalid_type", "tool_choice"),
        (choosing({}), "missing_parameter", "tool_choice.type"),
        (choosing({"type": "function"}), "missing_parameter", "tool_choice.name"),
        (choosing({"type": "web_search"}), "unsupported_capability", "tool_choice.type"),
        (choosing({"type": "allowed_tools"}), "unsupported_capability", "tool_choice.tools"),
        (
            choosing({"type": "allowed_tools", "tools": [{"type": "mcp", "name": "x"}]}),
            "unsupported_capability",
            "tool_choice.tools",
        ),
    ],
)
def test_refused(raw: bytes, kind: str, param: str | None) -> None:
    assert refusal(raw) == (kind, param)


def test_a_stored_file_is_not_implemented() -> None:
    part = {"type": "input_file", "file_id": "file-1"}
    assert refusal(body(input=[{"role": "user", "content": [part]}])) == ("not_implemented", None)


def test_all_files_together_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "FILE_BYTES_MAX", 300)
    data = "data:application/pdf;base64," + "A" * 200
    part = {"type": "input_file", "file_data": data}
    whole = body(input=[{"role": "user", "content": [part, part, part]}])
    assert refusal(whole) == ("body_too_large", "input")


@pytest.mark.parametrize("id_", ["file_by_url", "file_base64_incomplete", "web_search_tool"])
def test_golden_request(id_: str) -> None:
    raw = request_of(load_exchange(f"responses_nonstream.json#{id_}"))
    got = decode(raw, request_id=REQUEST_ID, received_at=RECEIVED_AT)
    assert (got.model, got.messages[0].role) == ("gpt-5.2", "user")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["message", "user", "text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "role", "content", "output", "id", "call_id", "name", "text", "summary"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)
MEMBERS = ["input", "tools", "tool_choice", "text", "reasoning", "include", "instructions"]


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=4))
def test_nothing_crashes_reading(members: dict[str, object]) -> None:
    kinds = {"", "invalid_type", "invalid_value", "missing_parameter", "unsupported_capability"}
    kind = ""
    try:
        read(**members)
    except RequestFault as fault:
        kind = fault.kind
    assert kind in kinds
