import json
from typing import Any

import pytest
from hypothesis import given

from dialects.chat.chat import (
    AnyJson,
    Audio,
    AudioOutput,
    Base64,
    ChatRequest,
    Encoded,
    File,
    FileId,
    FunctionTool,
    Image,
    JsonSchema,
    Message,
    OwnPart,
    OwnTool,
    Part,
    PlainText,
    Reasoning,
    ReasoningSettings,
    Refusal,
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
from dialects.chat.google_addresses import urls_to_fetch
from dialects.chat.turns import derive_id
from dialects.errors.errors import RequestFault
from dialects.gemini.request.decode import decode
from dialects.gemini.request.encode import encode
from dialects.openai.request import decode as openai
from tests.dialects import neutral
from tests.dialects.neutral import request

PLAIN = Upstream("gemini-2.5-flash")
THREE = Upstream("gemini-3-pro", frozenset({"thinking_level", "thought_seal_needed"}))
OLD = Upstream("old", frozenset({"no_parameters_json_schema"}))
MADE = derive_id("call_", "r", 1)
PNG = Base64("AA==", "image/png")


def encoded_body(chat_request: ChatRequest, upstream: Upstream = PLAIN) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(encode(chat_request, upstream).body)
    return body


def contents(*messages: Message, upstream: Upstream = PLAIN, **fields: Any) -> list[Any]:
    result: list[Any] = encoded_body(request(*messages, **fields), upstream)["contents"]
    return result


def config(upstream: Upstream = PLAIN, **fields: Any) -> dict[str, Any]:
    result: dict[str, Any] = encoded_body(request(**fields), upstream).get("generationConfig", {})
    return result


def dropped(**fields: Any) -> tuple[str, ...]:
    return encode(request(**fields), PLAIN).dropped


def user(*parts: Part) -> Message:
    return Message("user", parts)


def model(*parts: Part) -> Message:
    return Message("assistant", parts)


def test_the_least_request() -> None:
    assert encode(request(), PLAIN) == Encoded(
        b'{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}'
    )


def test_system_texts_are_joined_in_their_order() -> None:
    chat_request = request(
        Message("system", (Text("a"), Text(""))),
        user(Text("hi")),
        Message("developer", (Text("b"),)),
    )
    assert encoded_body(chat_request)["systemInstruction"] == {"parts": [{"text": "a\n\nb"}]}
    same = request(Message("system", (Text("a"), Text("b"))), user(Text("x")), dialect="gemini")
    assert encoded_body(same)["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}


def test_lone_system_text_becomes_the_users_words() -> None:
    assert encoded_body(request(Message("system", (Text("a"),)))) == {
        "contents": [{"role": "user", "parts": [{"text": "a"}]}]
    }


def test_turns_of_one_side_are_merged_and_empty_ones_go() -> None:
    assert contents(
        user(Text("a")),
        user(Text(""), Text("b")),
        model(Text("")),
        model(Text("c")),
        user(Text("d")),
    ) == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "c"}]},
        {"role": "user", "parts": [{"text": "d"}]},
    ]
    thought = [model(Reasoning("hm")), user(OwnPart("anthropic", {"a": 1})), user(Text("d"))]
    assert [item["role"] for item in contents(*thought)] == ["user"]


@pytest.mark.parametrize(
    ("part", "want"),
    [
        (Image(PNG, "high"), {"inlineData": {"mimeType": "image/png", "data": "AA=="}}),
        (Image(Url("gs://a/b")), {"fileData": {"fileUri": "gs://a/b"}}),
        (Audio(Base64("AA==", "audio/wav")),
         {"inlineData": {"mimeType": "audio/wav", "data": "AA=="}}),
        (Audio(FileId("x"), "said"), {"text": "said"}),
        (File(Base64("AA==", "application/pdf"), "a.pdf"),
         {"inlineData": {"mimeType": "application/pdf", "data": "AA=="}}),
        (File(PlainText("words")), {"text": "words"}),
        (File(Url("https://generativelanguage.googleapis.com/v1beta/files/a", "text/csv")),
         {"fileData": {"mimeType": "text/csv",
                       "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/a"}}),
        (Video(Url("https://www.youtube.com/watch?v=a")),
         {"fileData": {"fileUri": "https://www.youtube.com/watch?v=a"}}),
        (Refusal("no"), {"text": "no"}),
        (OwnPart("gemini", {"executableCode": {}}), {"executableCode": {}}),
    ],
)  # fmt: skip
def test_parts(part: Part, want: object) -> None:
    assert contents(user(part)) == [{"role": "user", "parts": [want]}]


@pytest.mark.parametrize("part", [Audio(FileId("x")), OwnPart("openai", {}), Reasoning("hm")])
def test_omitted_parts(part: Part) -> None:
    assert contents(user(part, Text("a"))) == [{"role": "user", "parts": [{"text": "a"}]}]


@pytest.mark.parametrize(
    "part",
    [
        Image(Url("https://example.com/a")),
        Image(Url("https://[bad")),
        Image(FileId("x")),
        File(FileId("x")),
        Audio(Url("https://example.com/a")),
        Video(Url("https://notyoutube.com/a")),
    ],
)
def test_rejected_parts(part: Part) -> None:
    with pytest.raises(RequestFault) as caught:
        encode(request(user(part)), PLAIN)
    assert caught.value.kind == "unsupported_capability"


def test_addresses_to_fetch() -> None:
    result = ToolResult("c", (Image(Url("https://a/4")),))
    chat_request = request(
        user(Image(Url("https://a/1")), Image(Url("gs://a/2")), Image(PNG)),
        user(File(Url("https://a/3")), Video(Url("https://youtu.be/a")), Image(Url("https://a/1"))),
        Message("tool", (result,)),
    )
    assert urls_to_fetch(chat_request) == ("https://a/1", "https://a/3", "https://a/4")
    own = request(user(Image(Url("https://a/1"))), dialect="gemini")
    assert urls_to_fetch(own) == ()
    assert encoded_body(own)["contents"][0]["parts"] == [{"fileData": {"fileUri": "https://a/1"}}]


def test_calls_and_their_results() -> None:
    history = [
        user(Text("q")),
        model(ToolCall("a", "f", ""), ToolCall("b", "f", '{"x": 1.0}'), ToolCall("c", "g", "[1]")),
        Message("tool", (ToolResult("c", (Text("no"),), failed=True),)),
        Message("tool", (ToolResult("b", (Text('{"y": 2}'), Image(PNG))),)),
        Message("tool", (ToolResult("a", ()),)),
        user(Text("go on")),
    ]
    assert contents(*history)[1:] == [
        {
            "role": "model",
            "parts": [
                {"functionCall": {"name": "f", "args": {}}},
                {"functionCall": {"name": "f", "args": {"x": 1.0}}},
                {"functionCall": {"name": "g", "args": {"_raw": "[1]"}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "f", "response": {}}},
                {"functionResponse": {"name": "f", "response": {"y": 2}}},
                {"functionResponse": {"name": "g", "response": {"error": "no"}}},
                {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
                {"text": "go on"},
            ],
        },
    ]


def test_a_result_in_pieces_and_pictures_at_the_end() -> None:
    result = ToolResult("a", (Text("x"), Text("y"), Image(PNG)))
    history = [model(ToolCall("a", "f", "{}")), Message("tool", (result,))]
    assert contents(*history)[1]["parts"] == [
        {"functionResponse": {"name": "f", "response": {"result": "x\ny"}}},
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
    ]


def test_ids_are_returned_only_to_their_giver() -> None:
    history = [
        model(ToolCall("own", "f", "{}"), ToolCall(MADE, "f", "{}")),
        Message("tool", (ToolResult("own", (Text("x"),)),)),
        Message("tool", (ToolResult(MADE, (Text("x"),)),)),
    ]
    for dialect, ids in (("gemini", ["own", None, "own", None]), ("openai", [None] * 4)):
        result = contents(*history, dialect=dialect)
        parts = [part for content in result for part in content["parts"]]
        assert [next(iter(part.values())).get("id") for part in parts] == ids


def test_a_result_of_nothing_is_refused() -> None:
    lost = Message("tool", (ToolResult("x", (Text("a"),)),))
    with pytest.raises(RequestFault) as caught:
        encode(request(lost), PLAIN)
    assert caught.value.kind == "invalid_type"
    named = Message("tool", (ToolResult("x", (Text("a"),), name="f"),))
    assert contents(named)[0]["parts"][0]["functionResponse"]["name"] == "f"


GEMINI_SEAL = Reasoning("hm", Seal("gemini", "S"))
CALLS = (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"))


@pytest.mark.parametrize(
    ("parts", "upstream", "seals"),
    [
        ((GEMINI_SEAL, *CALLS), PLAIN, ["S", None]),
        ((GEMINI_SEAL, *CALLS), THREE, ["S", None]),
        ((Text("x"), GEMINI_SEAL, CALLS[0]), PLAIN, [None, "S"]),
        (CALLS, PLAIN, [None, None]),
        (CALLS, THREE, ["skip_thought_signature_validator"] * 2),
        ((Reasoning("hm", Seal("anthropic", "S")), CALLS[0]), THREE,
         ["skip_thought_signature_validator"]),
        ((Text("x"),), THREE, [None]),
        ((Text("x"), GEMINI_SEAL), PLAIN, [None, "S"]),
        ((GEMINI_SEAL, Reasoning("", Seal("gemini", "T")), Text("x")), PLAIN, ["S", "T"]),
        ((GEMINI_SEAL, OwnPart("openai", {}), Text("x")), PLAIN, ["S"]),
    ],
)  # fmt: skip
def test_seals(parts: tuple[Part, ...], upstream: Upstream, seals: list[str | None]) -> None:
    (content,) = contents(model(*parts), upstream=upstream)
    assert [part.get("thoughtSignature") for part in content["parts"]] == seals
    assert not any(part.get("thought") for part in content["parts"])


def test_own_thoughts_go_back() -> None:
    (content,) = contents(model(GEMINI_SEAL, Text("x")), dialect="gemini")
    assert content["parts"] == [
        {"text": "hm", "thought": True},
        {"text": "x", "thoughtSignature": "S"},
    ]


SCHEMA = {"type": "object", "properties": {"a": {"const": 1}}}


@pytest.mark.parametrize(
    ("tool", "upstream", "want"),
    [
        (FunctionTool("f", "d", SCHEMA, strict=True), PLAIN,
         {"name": "f", "description": "d", "parametersJsonSchema": SCHEMA}),
        (FunctionTool("f", None, SCHEMA), OLD,
         {"name": "f", "parameters": {"type": "object", "properties": {"a": {"enum": [1]}}}}),
        (FunctionTool("f"), PLAIN, {"name": "f"}),
        (FunctionTool("f", None, {"type": "object", "properties": {}}), PLAIN, {"name": "f"}),
        (FunctionTool("f", None, {"type": "object", "anyOf": []}), PLAIN,
         {"name": "f", "parametersJsonSchema": {"type": "object", "anyOf": []}}),
    ],
)  # fmt: skip
def test_functions(tool: FunctionTool, upstream: Upstream, want: object) -> None:
    assert encoded_body(request(tools=(tool,)), upstream)["tools"] == [
        {"functionDeclarations": [want]}
    ]


def test_strict_has_no_counterpart() -> None:
    """Strict is dropped elsewhere than in chat and responses."""
    tools = (FunctionTool("f", strict=True), FunctionTool("g", strict=False))
    assert encode(request(tools=tools), PLAIN).dropped == ("strict",)


def test_search_and_its_losses() -> None:
    search = WebSearch("anthropic", {"x": 1}, uses_max=3, allowed_domains=("a",), country="IT")
    encoded = encode(request(tools=(search,)), PLAIN)
    assert json.loads(encoded.body)["tools"] == [{"googleSearch": {}}]
    assert encoded.dropped == (
        "tools.max_uses",
        "tools.allowed_domains",
        "tools.user_location",
    )
    live = {
        "from_date": "2026-01-01",
        "max_search_results": 3,
        "return_citations": True,
        "sources": [{"type": "web"}, {"type": "x"}],
    }
    grok = WebSearch("search_parameters", live)
    assert encode(request(tools=(grok,)), PLAIN).dropped == (
        "search_parameters.from_date",
        "search_parameters.max_search_results",
        "search_parameters.sources",
    )
    own = WebSearch("gemini", {"googleSearch": {"a": 1}}, blocked_domains=("a",))
    assert encoded_body(request(tools=(own,)))["tools"] == [{"googleSearch": {"a": 1}}]


def test_search_combined_with_functions_is_left_out() -> None:
    """Gemini refuses the two together, unless the client says so in Gemini's own form."""
    search, options = WebSearch("anthropic", {"x": 1}), WebSearch("web_search_options", {})
    encoded = encode(request(tools=(FunctionTool("f"), search)), PLAIN)
    assert json.loads(encoded.body)["tools"] == [{"functionDeclarations": [{"name": "f"}]}]
    assert encoded.dropped == ("tools.web_search",)
    with pytest.raises(RequestFault):
        encode(request(tools=(FunctionTool("f"), options)), PLAIN)


def test_server_tools() -> None:
    own = OwnTool("gemini", {"urlContext": {}})
    assert encoded_body(request(tools=(own,)))["tools"] == [{"urlContext": {}}]
    with pytest.raises(RequestFault) as caught:
        encode(request(tools=(OwnTool("openai", {}),)), PLAIN)
    assert caught.value.kind == "unsupported_capability"


@pytest.mark.parametrize(
    ("choice", "want"),
    [
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("required", ("f",)), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (ToolChoice("auto", ("f", "g")),
         {"mode": "VALIDATED", "allowedFunctionNames": ["f", "g"]}),
    ],
)  # fmt: skip
def test_tool_choice(choice: ToolChoice, want: object) -> None:
    body = encoded_body(request(tools=(FunctionTool("f"),), tool_choice=choice))
    assert body["toolConfig"] == {"functionCallingConfig": want}
    assert "toolConfig" not in encoded_body(request(tool_choice=choice))


def test_sampling() -> None:
    assert config(
        temperature=1.5,
        top_p=0.5,
        top_k=3,
        choices=2,
        stop=("a",),
        output_cap=9,
        seed=-5,
        presence_penalty=1,
        frequency_penalty=2,
        logprobs=True,
        top_logprobs=3,
    ) == {
        "temperature": 1.5,
        "topP": 0.5,
        "topK": 3,
        "candidateCount": 2,
        "presencePenalty": 1,
        "frequencyPenalty": 2,
        "responseLogprobs": True,
        "logprobs": 3,
        "maxOutputTokens": 9,
        "stopSequences": ["a"],
        "seed": -5,
    }
    assert config(Upstream("m", output_cap=4), output_cap=9) == {"maxOutputTokens": 4}


def test_dropped_fields_are_named() -> None:
    assert dropped(
        logit_bias={"1": 1},
        user="u",
        service_tier="auto",
        store=True,
        metadata={"a": 1},
        prompt_cache_key="k",
        safety_identifier="s",
        prediction={"a": 1},
        verbosity="low",
        parallel_tool_calls=False,
        seed=2**31,
        extra={"min_p": 1},
    ) == (
        "logit_bias",
        "user",
        "service_tier",
        "store",
        "metadata",
        "prompt_cache_key",
        "safety_identifier",
        "prediction",
        "verbosity",
        "min_p",
        "parallel_tool_calls",
        "seed",
    )
    members = {"truncation": "auto", "tool_calls_max": 1, "include": ("a",), "dialect": "responses"}
    assert dropped(**members) == ("truncation", "max_tool_calls", "include")
    assert dropped(stop=tuple("abcdef"), dialect="anthropic") == ("stop_sequences",)
    assert config(stop=tuple("abcdef"))["stopSequences"] == list("abcde")
    assert dropped(parallel_tool_calls=True) == ()


@pytest.mark.parametrize(
    ("form", "upstream", "want"),
    [
        (AnyJson(), PLAIN, {"responseMimeType": "application/json"}),
        (JsonSchema(SCHEMA, "n", strict=True), PLAIN,
         {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}),
        (JsonSchema(SCHEMA), OLD,
         {"responseMimeType": "application/json",
          "responseSchema": {"type": "object", "properties": {"a": {"enum": [1]}}}}),
    ],
)  # fmt: skip
def test_output_form(form: AnyJson | JsonSchema, upstream: Upstream, want: object) -> None:
    assert config(upstream, output_form=form) == want


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        ({"modalities": ("text",)}, {"responseModalities": ["TEXT"]}),
        ({"modalities": ("text", "image")}, {"responseModalities": ["TEXT", "IMAGE"]}),
        ({"modalities": ("text", "audio"), "audio": AudioOutput("kore", "wav", {})},
         {"responseModalities": ["AUDIO"],
          "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}}),
        ({"modalities": ("audio",), "audio": AudioOutput("alloy", "wav", {})},
         {"responseModalities": ["AUDIO"]}),
        ({"modalities": ("text", "audio"), "audio": AudioOutput("", "", {"x": 1}),
          "dialect": "gemini"},
         {"responseModalities": ["TEXT", "AUDIO"], "speechConfig": {"x": 1}}),
    ],
)  # fmt: skip
def test_kinds_of_output(fields: dict[str, Any], want: object) -> None:
    assert config(**fields) == want


def test_thinking() -> None:
    assert config(THREE, reasoning=ReasoningSettings("low")) == {
        "thinkingConfig": {"thinkingLevel": "low", "includeThoughts": True}
    }


def test_own_members_return_to_their_place() -> None:
    extra = {
        "safetySettings": [1],
        "generationConfig.imageConfig": {"a": 1},
        "toolConfig.retrievalConfig": {"b": 2},
        "toolConfig.other": 3,
        "contents.parts.videoMetadata": 4,
    }
    chat_request = request(dialect="gemini", extra=extra)
    encoded = encode(chat_request, PLAIN)
    body = json.loads(encoded.body)
    del body["contents"]
    assert body == {
        "safetySettings": [1],
        "generationConfig": {"imageConfig": {"a": 1}},
        "toolConfig": {"retrievalConfig": {"b": 2}, "other": 3},
    }
    assert encoded.dropped == ("contents.parts.videoMetadata",)


def test_foreign_stored_turns_are_rejected() -> None:
    with pytest.raises(RequestFault) as caught:
        encode(request(previous_response_id="x"), PLAIN)
    assert caught.value.kind == "unsupported_capability"


# Parameters of chat completions, and what becomes of each.
@pytest.mark.parametrize(
    ("members", "want", "left_out"),
    [
        ({"temperature": 1.5}, {"temperature": 1.5}, ()),
        ({"top_p": 0.5}, {"topP": 0.5}, ()),
        ({"top_k": 5}, {"topK": 5}, ()),
        ({"n": 2}, {"candidateCount": 2}, ()),
        ({"stop": "a"}, {"stopSequences": ["a"]}, ()),
        ({"max_tokens": 5}, {"maxOutputTokens": 5}, ()),
        ({"max_tokens": 5, "max_completion_tokens": 6}, {"maxOutputTokens": 6}, ()),
        ({"presence_penalty": 1}, {"presencePenalty": 1}, ()),
        ({"frequency_penalty": 1}, {"frequencyPenalty": 1}, ()),
        ({"logit_bias": {"1": 2}}, {}, ("logit_bias",)),
        ({"seed": 4}, {"seed": 4}, ()),
        ({"logprobs": True, "top_logprobs": 2}, {"responseLogprobs": True, "logprobs": 2}, ()),
        ({"user": "u"}, {}, ("user",)),
        ({"service_tier": "auto"}, {}, ("service_tier",)),
        ({"store": False, "metadata": {"a": "b"}}, {}, ("store", "metadata")),
        ({"prediction": {"type": "content"}}, {}, ("prediction",)),
        ({"stream": True, "stream_options": {"include_usage": True}}, {}, ()),
        ({"response_format": {"type": "json_object"}},
         {"responseMimeType": "application/json"}, ()),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}},
         {"responseMimeType": "application/json", "responseJsonSchema": {}}, ()),
        ({"reasoning_effort": "none"}, {"thinkingConfig": {"thinkingBudget": 0}}, ()),
        ({"thinking": {"type": "enabled"}},
         {"thinkingConfig": {"thinkingBudget": 8192, "includeThoughts": True}}, ()),
        ({"modalities": ["text", "audio"], "audio": {"voice": "puck", "format": "wav"}},
         {"responseModalities": ["AUDIO"],
          "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Puck"}}}}, ()),
        ({"min_p": 0.1}, {}, ("min_p",)),
    ],
)  # fmt: skip
def test_a_chat_request_is_translated(members: Any, want: object, left_out: object) -> None:
    raw = json.dumps({"model": "m", "messages": [{"role": "user", "content": "a"}], **members})
    encoded = encode(openai.decode(raw.encode(), request_id="r", received_at=1), PLAIN)
    assert json.loads(encoded.body).get("generationConfig", {}) == want
    assert encoded.dropped == left_out


def test_a_chat_conversation_is_translated() -> None:
    seal = {"google": {"thought_signature": "S"}}
    raw = json.dumps(
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
                    {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
                    {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA=="}},
                ]},
                {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [
                    {"id": "c1", "type": "function", "extra_content": seal,
                     "function": {"name": "look", "arguments": "{\"at\": 1}"}}]},
                {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
            ],
            "tools": [{"type": "function", "function": {"name": "look", "parameters": {}}}],
            "tool_choice": {"type": "function", "function": {"name": "look"}},
        }
    )  # fmt: skip
    chat_request = openai.decode(raw.encode(), request_id="r", received_at=1)
    assert encoded_body(chat_request, THREE) == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [
                {"text": "What is it?"},
                {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
                {"inlineData": {"mimeType": "audio/mpeg", "data": "AA=="}},
                {"inlineData": {"mimeType": "application/pdf", "data": "AA=="}},
            ]},
            {"role": "model", "parts": [
                {"functionCall": {"name": "look", "args": {"at": 1}}, "thoughtSignature": "S"}]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "look", "response": {"result": "a cat"}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "look"}]}],
        "toolConfig": {
            "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look"]}
        },
        "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
    }  # fmt: skip


@given(neutral.openai_requests())
def test_any_chat_request_is_written_or_refused(chat_request: ChatRequest) -> None:
    for upstream in (PLAIN, THREE, OLD):
        try:
            body = encode(chat_request, upstream).body
        except RequestFault:
            # Addresses that nobody has fetched, files that are kept elsewhere, searches.
            return
        if json.loads(body)["contents"]:
            again = decode(body, model="m", stream=False, request_id="r", received_at=1)
            assert again.stop == chat_request.stop
            assert again.output_cap == chat_request.output_cap
