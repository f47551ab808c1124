import json
from typing import Any

import msgspec
import pytest
from hypothesis import given

from dialects.chat.chat import (
    AnyJson,
    AudioOutput,
    Base64,
    ChatRequest,
    Dialect,
    Effort,
    File,
    Flag,
    FunctionTool,
    JsonSchema,
    Message,
    OwnTool,
    ReasoningSettings,
    SearchForm,
    Text,
    ToolChoice,
    Upstream,
    Url,
    WebSearch,
)
from dialects.errors.errors import RequestFault
from dialects.openai.request.decode import decode
from dialects.openai.request.encode import encode, urls_to_fetch
from tests.dialects.neutral import openai_requests, request

ALL_KEPT: frozenset[Flag] = frozenset(
    {"cache_control", "reasoning_content_rule", "thought_seal_needed", "parameters_whole"}
)


def write(chat_request: ChatRequest, *flags: Flag, **upstream: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(
        encode(chat_request, Upstream("up", frozenset(flags), **upstream)).body
    )
    return body


def dropped(chat_request: ChatRequest, *flags: Flag, **upstream: Any) -> tuple[str, ...]:
    return encode(chat_request, Upstream("up", frozenset(flags), **upstream)).dropped


@given(openai_requests())
def test_written_request_reads_the_same(chat_request: ChatRequest) -> None:
    encoded = encode(chat_request, Upstream(chat_request.model, ALL_KEPT))
    assert encoded.dropped == ()
    read = decode(
        encoded.body, request_id=chat_request.request_id, received_at=chat_request.received_at
    )
    assert read == chat_request


def test_model_and_messages_come_first() -> None:
    body = encode(request(temperature=1, extra={"min_p": 1}), Upstream("up")).body
    assert list(json.loads(body)) == ["model", "messages", "min_p", "temperature"]
    assert json.loads(body)["model"] == "up"


def test_caps() -> None:
    assert write(request())["model"] == "up"
    assert "max_tokens" not in write(request())
    assert write(request(output_cap=5))["max_tokens"] == 5
    assert write(request(output_cap=5), output_cap=4)["max_tokens"] == 4
    body = write(request(output_cap=5), "max_completion_tokens_only")
    assert (body["max_completion_tokens"], "max_tokens" in body) == (5, False)


@pytest.mark.parametrize(
    ("fields", "flag", "gone"),
    [
        ({"temperature": 1, "n": 1, "logprobs": False}, "no_sampling", ("temperature", "logprobs")),
        ({"n": 2, "top_p": 1}, "no_sampling", ("top_p", "n")),
        ({"stop": ("a",), "presence_penalty": 1, "top_p": 1}, "no_penalties_no_stop",
         ("presence_penalty", "stop")),
        ({"parallel_tool_calls": True}, "no_parallel_tools", ("parallel_tool_calls",)),
        ({"logprobs": True, "logit_bias": {"1": 1}}, "no_logprobs", ("logprobs", "logit_bias")),
        ({"user": "u", "store": True, "extra": {"made_up": 1}}, "mistral_form",
         ("user", "store", "made_up")),
        ({"reasoning": ReasoningSettings(effort="low")}, "no_reasoning_effort",
         ("reasoning_effort",)),
    ],
)  # fmt: skip
def test_dropped(fields: dict[str, Any], flag: Flag, gone: tuple[str, ...]) -> None:
    fields = {"choices" if name == "n" else name: value for name, value in fields.items()}
    assert dropped(request(**fields), flag) == gone
    assert not set(gone) & set(write(request(**fields), flag))
    assert dropped(request(**fields)) == ()


def test_mistral_has_other_names_and_no_stream_options() -> None:
    written = write(request(seed=7, output_cap=9, stream=True), "mistral_form")
    written = {k: v for k, v in written.items() if k not in ("model", "messages")}
    assert written == {"random_seed": 7, "max_tokens": 9, "stream": True}


def test_more_stops_than_the_dialect_has_are_named() -> None:
    """OpenAI refuses the whole request otherwise; "Up to 4 stop sequences", says its API."""
    chat_request = request(dialect="anthropic", stop=("a", "b", "c", "d", "e"))
    assert write(chat_request)["stop"] == ["a", "b", "c", "d"]
    assert dropped(chat_request) == ("stop_sequences",)
    assert dropped(request(dialect="anthropic", stop=("a", "b", "c", "d"))) == ()


def test_messages_without_names() -> None:
    named = request(Message("user", (Text("hi"),), name="u"))
    assert write(named)["messages"] == [{"role": "user", "content": "hi", "name": "u"}]
    for flag in ("no_message_names", "mistral_form"):
        assert write(named, flag)["messages"] == [{"role": "user", "content": "hi"}]


def test_sampling_is_accepted_unless_the_model_thinks() -> None:
    chat_request = request(temperature=1, reasoning=ReasoningSettings(effort="none"))
    assert dropped(chat_request, "no_sampling") == ()
    assert dropped(chat_request, "no_sampling", efforts=("low",)) == ("temperature",)


def test_dialect_specific_fields_are_lost_elsewhere() -> None:
    chat_request = request(
        dialect="responses",
        truncation="auto",
        tool_calls_max=3,
        include=("x",),
        top_k=4,
        extra={"background": False},
    )
    assert dropped(chat_request) == (
        "truncation",
        "max_tool_calls",
        "include",
        "top_k",
        "background",
    )
    assert write(chat_request, "top_k")["top_k"] == 4


def test_temperature_is_clamped() -> None:
    assert write(request(temperature=1.5), "temperature_max_1")["temperature"] == 1
    assert "temperature" not in write(request(), "temperature_max_1")


@pytest.mark.parametrize(
    ("settings", "flags", "upstream", "expected"),
    [
        ({"effort": "xhigh"}, (), {"efforts": ("low", "high")}, {"reasoning_effort": "high"}),
        ({"budget_tokens": 5000}, (), {}, {"reasoning_effort": "medium"}),
        ({"switch": "adaptive"}, (), {}, {}),
        ({"effort": "low"}, ("enable_thinking_switch",), {"budget_max": 1500},
         {"enable_thinking": True, "thinking_budget": 1500}),
        ({"switch": "off"}, ("enable_thinking_switch",), {}, {"enable_thinking": False}),
        ({"summary": "auto"}, ("enable_thinking_switch",), {}, {}),
        ({"switch": "on"}, ("thinking_switch",), {}, {"thinking": {"type": "enabled"}}),
        ({"effort": "none"}, ("thinking_switch",), {"efforts": ("high",)},
         {"thinking": {"type": "disabled"}}),
        ({"effort": "low"}, ("thinking_switch",), {"efforts": ("high", "max")},
         {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
        ({"effort": "xhigh"}, ("thinking_switch", "reasoning_content_rule"),
         {"efforts": ("high", "max")},
         {"thinking": {"type": "enabled"}, "reasoning_effort": "max"}),
        ({"switch": "adaptive"}, ("thinking_switch",), {"efforts": ("high",)},
         {"thinking": {"type": "enabled"}}),
        (None, ("thinking_switch",), {}, {}),
        (None, ("thinking_switch", "thinking_default_off"), {},
         {"thinking": {"type": "disabled"}}),
    ],
)  # fmt: skip
def test_reasoning(
    settings: dict[str, Any] | None,
    flags: tuple[Flag, ...],
    upstream: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    reasoning = None if settings is None else ReasoningSettings(**settings)
    body = write(request(dialect="anthropic", reasoning=reasoning), *flags, **upstream)
    del body["model"], body["messages"]
    assert body == expected


SCHEMA = JsonSchema({"type": "object"}, "A")


def test_a_schema_of_another_dialect_gets_a_name() -> None:
    body = write(request(dialect="gemini", output_form=JsonSchema({"a": 1})))
    members = {"name": "answer", "schema": {"a": 1}}
    assert body["response_format"] == {"type": "json_schema", "json_schema": members}


def test_schema_as_a_sentence() -> None:
    system = Message("system", (Text("Be kind."),))
    body = write(request(system, output_form=SCHEMA), "json_object_only")
    assert body["response_format"] == {"type": "json_object"}
    (message,) = body["messages"]
    assert message["role"] == "system"
    assert message["content"][0]["text"] == "Be kind."
    assert message["content"][1]["text"].endswith('{"type":"object"}')


@pytest.mark.parametrize(("text", "added"), [("Answer in JSON", False), ("Answer", True)])
def test_word_json_is_present(text: str, added: bool) -> None:
    chat_request = request(Message("user", (Text(text),)), output_form=AnyJson())
    assert (len(write(chat_request, "json_object_only")["messages"]) == 2) == added
    assert len(write(chat_request)["messages"]) == 1


def test_audio_of_another_dialect() -> None:
    chat_request = request(dialect="gemini", modalities=("audio",), audio=AudioOutput("Kore"))
    body = write(chat_request)
    assert (body["modalities"], body["audio"]) == (["audio"], {"voice": "Kore"})


FUNCTION = FunctionTool("f", strict=False)


def test_tools() -> None:
    assert write(request(tools=(FUNCTION,)))["tools"][0]["function"]["strict"] is False
    other = request(dialect="responses", tools=(FUNCTION, FunctionTool("g", strict=True)))
    assert [tool["function"] for tool in write(other)["tools"]] == [
        {"name": "f"},
        {"name": "g", "strict": True},
    ]
    own = {"type": "custom", "custom": {"name": "c"}}
    assert write(request(tools=(OwnTool("openai", own),)))["tools"] == [own]


@pytest.mark.parametrize(("mode", "tools"), [("none", False), ("required", True), ("auto", True)])
def test_tool_choice_auto_only(mode: Any, tools: bool) -> None:
    chat_request = request(tools=(FUNCTION,), tool_choice=ToolChoice(mode))
    body = write(chat_request, "tool_choice_auto_only")
    assert ("tools" in body) == tools
    assert dropped(chat_request, "tool_choice_auto_only") == (
        () if mode == "auto" else ("tool_choice",)
    )
    assert body.get("tool_choice") == ("auto" if mode == "auto" else None)


def test_a_forced_call_switches_thinking_off() -> None:
    settings = ReasoningSettings(switch="on", budget_tokens=500)
    chat_request = request(
        tools=(FUNCTION,), tool_choice=ToolChoice("required"), reasoning=settings
    )
    body = write(chat_request, "thinking_no_forced_tool", "enable_thinking_switch")
    assert body["enable_thinking"] is False
    assert "thinking_budget" not in body
    assert write(chat_request, "thinking_no_forced_tool")["thinking"]["type"] == "enabled"


OPTIONS = {
    "search_context_size": "low",
    "user_location": {"type": "approximate", "approximate": {"city": "Rome", "country": "IT"}},
}
SEARCH = WebSearch(
    "anthropic",
    {"type": "web_search_20250305"},
    context_size="low",
    allowed_domains=("a.org",),
    blocked_domains=("b.org",),
    city="Rome",
    country="IT",
)
BARE = WebSearch("gemini", {"googleSearch": {}})


@pytest.mark.parametrize(
    ("search", "form", "member", "expected"),
    [
        (SEARCH, "web_search_options", "web_search_options", OPTIONS),
        (BARE, "web_search_options", "web_search_options", {}),
        (SEARCH, "search_parameters", "search_parameters",
         {"mode": "auto", "return_citations": True, "sources": [{"type": "web", "country": "IT",
          "allowed_websites": ["a.org"], "excluded_websites": ["b.org"]}]}),
        (BARE, "search_parameters", "search_parameters",
         {"mode": "auto", "return_citations": True, "sources": [{"type": "web"}]}),
        (BARE, "enable_search", "enable_search", True),
        (BARE, "glm", "tools", [{"type": "web_search", "web_search": {"enable": True}}]),
        (WebSearch("glm", {"type": "web_search"}), "glm", "tools", [{"type": "web_search"}]),
        (WebSearch("kimi", {"type": "x"}), None, "tools", [{"type": "x"}]),
    ],
)  # fmt: skip
def test_search(search: WebSearch, form: SearchForm | None, member: str, expected: object) -> None:
    assert write(request(tools=(search,)), search=form)[member] == expected


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("web_search_options", ("tools.allowed_domains", "tools.blocked_domains")),
        ("search_parameters", ("tools.search_context_size", "tools.user_location")),
        ("enable_search", ("tools.search_context_size", "tools.allowed_domains",
                           "tools.blocked_domains", "tools.user_location")),
    ],
)  # fmt: skip
def test_search_losses_are_named(form: SearchForm, names: tuple[str, ...]) -> None:
    """What has no counterpart is left out and named."""
    assert encode(request(tools=(SEARCH,)), Upstream("up", search=form)).dropped == names
    own = WebSearch(form, {}, context_size="low")
    assert encode(request(tools=(own,)), Upstream("up", search=form)).dropped == ()


@pytest.mark.parametrize("dialect", ["responses", "anthropic", "gemini"])
def test_missing_tools_are_not_chosen(dialect: Dialect) -> None:
    """Clients of other dialects always say so; OpenAI refuses both words without tools."""
    choice = ToolChoice("auto")
    fields: dict[str, Any] = {"tool_choice": choice, "parallel_tool_calls": True}
    assert write(request(dialect=dialect, **fields)).keys() == {"model", "messages"}
    body = write(request(dialect=dialect, tools=(FUNCTION,), **fields))
    assert (body["tool_choice"], body["parallel_tool_calls"]) == ("auto", True)
    assert write(request(**fields))["parallel_tool_calls"] is True


@pytest.mark.parametrize(
    ("tool", "flags", "form"),
    [
        (BARE, (), None),
        (BARE, (), "kimi"),
        (WebSearch("web_search_options", {}), ("no_web_search_options",), None),
        (OwnTool("anthropic", {"type": "bash"}), (), None),
    ],
)
def test_silent_loss_would_mislead(
    tool: WebSearch | OwnTool, flags: tuple[Flag, ...], form: SearchForm | None
) -> None:
    with pytest.raises(RequestFault) as raised:
        write(request(tools=(tool,)), *flags, search=form)
    assert (raised.value.kind, raised.value.param) == ("unsupported_capability", "tools")


def test_unresolved_state_is_refused() -> None:
    with pytest.raises(RequestFault) as raised:
        write(request(dialect="responses", previous_response_id="resp_1"))
    assert raised.value.param == "previous_response_id"


PARAMETERS = {
    "parameters": {
        "enable_search": True,
        "temperature": 0.5,
        "max_tokens": 9,
        "incremental_output": True,
        "n": 100,
        "messages": [],
    }
}


def test_qwen_parameters_win_except_over_computed_ones() -> None:
    chat_request = request(temperature=1, output_cap=5, extra=PARAMETERS)
    body = write(chat_request, "params_object")
    assert (body["enable_search"], body["temperature"], body["max_tokens"]) == (True, 0.5, 9)
    assert len(body["messages"]) == 1
    assert not {"parameters", "incremental_output", "n"} & set(body)
    gone = ("parameters.incremental_output", "parameters.n", "parameters.messages")
    assert dropped(chat_request, "params_object") == gone
    capped = encode(chat_request, Upstream("up", frozenset({"params_object"}), output_cap=4))
    assert json.loads(capped.body)["max_tokens"] == 4
    assert "parameters.max_tokens" in capped.dropped


def test_parameters_elsewhere() -> None:
    chat_request = request(extra=PARAMETERS)
    assert write(chat_request, "parameters_whole")["parameters"] == PARAMETERS["parameters"]
    assert dropped(chat_request) == ("parameters",)
    assert dropped(request(extra={"parameters": 3}), "params_object") == ("parameters",)
    assert dropped(request(dialect="gemini", extra=PARAMETERS), "params_object") == ("parameters",)


def test_files_are_fetched_and_pictures_are_not() -> None:
    chat_request = request(Message("user", (File(Url("https://a.org/f")),)))
    assert urls_to_fetch(chat_request) == ("https://a.org/f",)
    with pytest.raises(RequestFault) as raised:
        write(chat_request)
    assert raised.value.kind == "unsupported_capability"
    data = msgspec.structs.replace(
        chat_request, messages=(Message("user", (File(Base64("AA==", "application/pdf")),)),)
    )
    assert urls_to_fetch(data) == ()
    (part,) = write(data)["messages"][0]["content"]
    assert part["file"] == {"file_data": "data:application/pdf;base64,AA=="}


@pytest.mark.parametrize("effort", ["low", "max"])
def test_effort_is_kept_alongside_its_switch(effort: Effort) -> None:
    body = write(request(reasoning=ReasoningSettings(effort=effort, switch="on")))
    assert (body["reasoning_effort"], body["thinking"]) == (effort, {"type": "enabled"})
