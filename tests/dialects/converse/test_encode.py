"""Requests in the converse dialect, judged by botocore's own description of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.chat import (
    AnyJson,
    Audio,
    AudioOutput,
    Base64,
    ChatRequest,
    Effort,
    File,
    FileId,
    Flag,
    FunctionTool,
    Image,
    JsonSchema,
    Message,
    PlainText,
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
from dialects.converse.request.encode import encode, urls_to_fetch
from dialects.errors.errors import RequestFault
from gateway.providers import provider_named
from gateway.providers.models import capabilities_of
from tests.dialects import neutral
from tests.fakes.converse import judge

MODEL = "eu.amazon.nova-lite-v1:0"
DATA = "iVBORw0KGgo="
WEATHER = FunctionTool("get_weather", "Weather by city", {"type": "object", "properties": {}})
SPEC: dict[str, Any] = {
    "toolSpec": {
        "name": "get_weather",
        "description": "Weather by city",
        "inputSchema": {"json": {"type": "object", "properties": {}}},
    }
}
CALL = Message("assistant", (ToolCall("call_1", "get_weather", '{"city":"Rome"}'),))
RESULT = Message("tool", (ToolResult("call_1", (Text("21 °C"),)),))


def user(*parts: Any) -> Message:
    return Message("user", parts or (Text("hi"),))


def sent(
    *messages: Message, flags: frozenset[Flag] = frozenset(), dropped: tuple[str, ...] = (),
    upstream: Upstream | None = None, **fields: Any,
) -> dict[str, Any]:  # fmt: skip
    request = neutral.request(*messages or (user(),), **fields)
    encoded = encode(request, upstream or Upstream(MODEL, flags))
    judge(MODEL, encoded.body)
    assert encoded.dropped == dropped
    body: dict[str, Any] = json.loads(encoded.body)
    return body


def test_texts() -> None:
    body = sent(
        Message("system", (Text("Be brief."),)),
        user(Text("Hello"), Text("  ")),
        Message("assistant", (Reasoning("hm"), Text("Hi"))),
        user(Text("And?")),
        temperature=0.5,
        top_p=0.9,
        stop=("END",),
        output_cap=9,
        service_tier="flex",
    )
    assert body == {
        "system": [{"text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"text": "Hello"}]},
            {"role": "assistant", "content": [{"text": "Hi"}]},
            {"role": "user", "content": [{"text": "And?"}]},
        ],
        "inferenceConfig": {
            "maxTokens": 9,
            "temperature": 0.5,
            "topP": 0.9,
            "stopSequences": ["END"],
        },
        "serviceTier": {"type": "flex"},
    }


def test_lone_system_texts_are_a_turn() -> None:
    body = sent(Message("system", (Text("Count to three."),)))
    assert body == {"messages": [{"role": "user", "content": [{"text": "Count to three."}]}]}
    with pytest.raises(RequestFault):
        sent(user(Text(" ")))


def test_the_first_turn_is_the_users() -> None:
    body = sent(Message("assistant", (Text("Hi"),)), user(Text("And?")))
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]


def test_caps() -> None:
    assert "inferenceConfig" not in sent()
    capped = Upstream(MODEL, output_max=100)
    assert sent(upstream=capped)["inferenceConfig"] == {"maxTokens": 100}
    assert sent(upstream=capped, output_cap=7)["inferenceConfig"] == {"maxTokens": 7}
    held = Upstream(MODEL, output_max=100, output_cap=5)
    assert sent(upstream=held, output_cap=7)["inferenceConfig"] == {"maxTokens": 5}


def test_media() -> None:
    source = {"source": {"bytes": DATA}}
    text = {"source": {"bytes": "dGV4dA=="}}
    (turn,) = sent(
        user(
            Image(Base64(DATA, "image/jpg")),
            File(Base64(DATA, "application/pdf"), name="Q3: report_final.v2.pdf"),
            File(Base64(DATA, "image/webp")),
            File(PlainText("text")),
            Video(Base64(DATA, "video/quicktime")),
            Audio(Base64(DATA, "audio/mpeg")),
        )
    )["messages"]
    assert turn["content"] == [
        {"image": {"format": "jpeg"} | source},
        {"document": {"format": "pdf", "name": "Q3 report final v2 1"} | source},
        {"image": {"format": "webp"} | source},
        {"document": {"format": "txt", "name": "document 2"} | text},
        {"video": {"format": "mov"} | source},
        {"audio": {"format": "mp3"} | source},
    ]


@pytest.mark.parametrize(
    "part",
    [
        Image(Base64(DATA, "image/tiff")),
        File(Base64(DATA, "application/zip")),
        Image(FileId("file-1")),
        File(FileId("file-1")),
        Image(Url("https://a.example/x.png")),
        Video(Base64(DATA, "video/ogg")),
    ],
)
def test_inexpressible_fields_are_rejected(part: Any) -> None:
    with pytest.raises(RequestFault) as caught:
        sent(user(part))
    assert caught.value.kind == "unsupported_capability"


def test_every_url_is_fetched() -> None:
    request = neutral.request(user(Image(Url("https://a/x.png")), File(Url("https://a/x.pdf"))))
    assert urls_to_fetch(request) == ("https://a/x.png", "https://a/x.pdf")


def test_tools_and_their_results() -> None:
    body = sent(
        user(),
        Message(
            "assistant",
            (
                ToolCall("call_1", "get_weather", '{"city":"Rome"}'),
                ToolCall("call/2", "get_weather", ""),
                ToolCall("c" * 80, "get_weather", "[1]"),
            ),
        ),
        Message("tool", (ToolResult("call/2", (), failed=True),)),
        RESULT,
        Message("tool", (ToolResult("c" * 80, (Image(Base64(DATA, "image/png")),)),)),
        tools=(WEATHER,),
    )
    (_, call, result) = body["messages"]
    uses = [block["toolUse"] for block in call["content"]]
    assert [use["input"] for use in uses] == [{"city": "Rome"}, {}, {"arguments": "[1]"}]
    assert [use["toolUseId"] for use in uses][:2] == ["call_1", "call_2"]
    results = [block["toolResult"] for block in result["content"]]
    assert [one["toolUseId"] for one in results] == [use["toolUseId"] for use in uses]
    picture = {"image": {"format": "png", "source": {"bytes": DATA}}}
    contents = [[{"text": "21 °C"}], [{"json": {}}], [picture]]
    assert [one["content"] for one in results] == contents
    assert [one.get("status") for one in results] == [None, "error", None]
    assert body["toolConfig"] == {"tools": [SPEC]}


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice("auto"), {"auto": {}}),
        (ToolChoice("required"), {"any": {}}),
        (ToolChoice("required", ("get_weather",)), {"tool": {"name": "get_weather"}}),
    ],
)
def test_tool_choice(choice: ToolChoice, written: dict[str, Any]) -> None:
    body = sent(tools=(WEATHER,), tool_choice=choice)
    assert body["toolConfig"] == {"tools": [SPEC], "toolChoice": written}


def test_no_tools_may_be_called() -> None:
    """The dialect cannot say so; with calls in the history it requires the tools, too."""
    none = ToolChoice("none")
    assert "toolConfig" not in sent(tools=(WEATHER,), tool_choice=none)
    history = (user(), CALL, RESULT)
    body = sent(*history, tools=(WEATHER,), tool_choice=none, dropped=("tool_choice",))
    assert body["toolConfig"] == {"tools": [SPEC]}
    spec = {"name": "get_weather", "inputSchema": {"json": {"type": "object", "properties": {}}}}
    assert sent(*history)["toolConfig"] == {"tools": [{"toolSpec": spec}]}


def test_cache_points_where_the_model_understands_them() -> None:
    messages = (
        Message("system", (Text("Long.", cache="5m"),)),
        user(Text("Longer.", cache="1h"), Text("Short.")),
    )
    tools = (FunctionTool("f", schema={"type": "object"}, cache="5m"),)
    body = sent(*messages, tools=tools, flags=frozenset({"cache_control"}))
    point = {"cachePoint": {"type": "default"}}
    assert body["system"] == [{"text": "Long."}, point]
    hour = {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert body["messages"][0]["content"] == [{"text": "Longer."}, hour, {"text": "Short."}]
    assert body["toolConfig"]["tools"][1:] == [point]
    assert "cachePoint" not in json.dumps(sent(*messages, tools=tools, dropped=("cache_control",)))


@pytest.mark.parametrize("form", [AnyJson(), JsonSchema({"type": "object"}, "Answer")])
def test_json_is_requested_in_words(form: AnyJson | JsonSchema) -> None:
    (block,) = sent(output_form=form)["system"]
    assert block["text"].startswith("Answer with one JSON object only")
    assert ('{"type":"object"}' in block["text"]) == isinstance(form, JsonSchema)


def test_dropped_fields_are_named() -> None:
    sent(
        seed=1,
        top_k=5,
        reasoning=ReasoningSettings("high"),
        user="u",
        parallel_tool_calls=False,
        choices=2,
        service_tier="scale",
        tools=(WEATHER,),
        dropped=(
            "seed", "top_k", "reasoning_effort", "user", "parallel_tool_calls", "n", "service_tier",
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"audio": AudioOutput("alloy")},
        {"modalities": ("text", "image")},
        {"previous_response_id": "resp_1"},
        {"tools": (WebSearch("anthropic", {}),)},
    ],
)
def test_misleading_fields_are_rejected(fields: dict[str, Any]) -> None:
    with pytest.raises(RequestFault) as caught:
        sent(**fields)
    assert caught.value.kind == "unsupported_capability"


@given(neutral.openai_requests(), st.booleans())
def test_any_request_is_one_that_boto3_sends(request: ChatRequest, marks: bool) -> None:
    flags: frozenset[Flag] = frozenset({"cache_control"}) if marks else frozenset()
    refused, encoded = None, None
    try:
        encoded = encode(request, Upstream(MODEL, flags))
    except RequestFault as fault:
        refused = fault.kind
    if encoded is not None:
        judge(MODEL, encoded.body)
    assert refused in (None, "unsupported_capability", "invalid_value")


NOVA_2: frozenset[Flag] = frozenset({"nova_top_k", "nova_reasoning"})
GPT_OSS: frozenset[Flag] = frozenset({"additional_effort"})


@pytest.mark.parametrize(
    ("flags", "fields", "additional", "dropped"),
    [
        (NOVA_2, {"top_k": 20}, {"inferenceConfig": {"topK": 20}}, ()),
        (NOVA_2, {"top_k": 500}, {"inferenceConfig": {"topK": 128}}, ()),
        (NOVA_2, {"top_k": -1}, None, ()),
        (
            NOVA_2,
            {"reasoning": ReasoningSettings(effort="high")},
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}},
            (),
        ),
        (
            NOVA_2,
            {"reasoning": ReasoningSettings(budget_tokens=2_000)},
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}},
            (),
        ),
        (
            NOVA_2,
            {"reasoning": ReasoningSettings(switch="off"), "top_k": 3},
            {"inferenceConfig": {"topK": 3}, "reasoningConfig": {"type": "disabled"}},
            (),
        ),
        (NOVA_2, {"reasoning": ReasoningSettings(switch="adaptive")}, None, ()),
        (GPT_OSS, {"reasoning": ReasoningSettings(effort="low")}, {"reasoning_effort": "low"}, ()),
        (
            GPT_OSS,
            {"reasoning": ReasoningSettings(effort="medium"), "top_k": 3},
            {"reasoning_effort": "medium"},
            ("top_k",),
        ),
        (frozenset(), {"top_k": 3}, None, ("top_k",)),
        (
            frozenset(),
            {"reasoning": ReasoningSettings(effort="low")},
            None,
            ("reasoning_effort",),
        ),
    ],
)
def test_fields_left_to_the_model(
    flags: frozenset[Flag],
    fields: dict[str, Any],
    additional: dict[str, Any] | None,
    dropped: tuple[str, ...],
) -> None:
    efforts: tuple[Effort, ...] = ("none", "low", "medium") if flags == NOVA_2 else ()
    body = sent(upstream=Upstream(MODEL, flags, efforts=efforts), dropped=dropped, **fields)
    assert body.get("additionalModelRequestFields") == additional


@pytest.mark.parametrize(
    ("model", "flags"),
    [
        ("us.amazon.nova-2-lite-v1:0", NOVA_2),
        ("eu.amazon.nova-pro-v1:0", {"nova_top_k"}),
        ("openai.gpt-oss-120b-1:0", GPT_OSS),
        ("meta.llama3-3-70b-instruct-v1:0", frozenset()),
    ],
)
def test_models_that_accept_the_field(model: str, flags: frozenset[Flag]) -> None:
    known = capabilities_of(model, provider_named("bedrock"))
    assert known.flags & (NOVA_2 | GPT_OSS) == flags
