import json
from contextlib import suppress
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
    File,
    FunctionTool,
    Image,
    JsonSchema,
    Message,
    OwnPart,
    OwnTool,
    Reasoning,
    ReasoningSettings,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
    Url,
    Video,
    WebSearch,
)
from dialects.chat.events import Seal
from dialects.chat.google_seals import UNSEALED, write_signature
from dialects.errors.errors import RequestFault
from dialects.gemini.request.decode import decode
from tests.dialects.gemini.request.test_read import JSON
from tests.dialects.gemini.stream.test_decode import NAMES as WIRE_NAMES

HI = {"contents": [{"parts": [{"text": "hi"}]}]}


def read(body: Any, *, stream: bool = False) -> ChatRequest:
    raw = json.dumps(body).encode()
    return decode(raw, model="m", stream=stream, request_id="r", received_at=7)


def configured(**config: object) -> ChatRequest:
    return read({**HI, "generationConfig": config})


def messages(*contents: object) -> tuple[Message, ...]:
    return read({"contents": list(contents)}).messages


def test_the_least_request() -> None:
    assert read(HI, stream=True) == ChatRequest(
        dialect="gemini",
        request_id="r",
        received_at=7,
        model="m",
        messages=(Message("user", (Text("hi"),)),),
        stream=True,
        include_usage=True,
    )


@pytest.mark.parametrize(
    "system",
    [
        {"parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "system", "parts": [{"text": "a"}, {"text": "b"}]},
    ],
)
@pytest.mark.parametrize("name", ["systemInstruction", "system_instruction"])
def test_system(name: str, system: object) -> None:
    assert read({**HI, name: system}).messages[0] == Message("system", (Text("a"), Text("b")))


def test_system_in_short() -> None:
    assert read({**HI, "systemInstruction": "a"}).messages[0] == Message("system", (Text("a"),))
    short = {**HI, "system_instruction": {"parts": {"text": "a"}}}
    assert read(short).messages[0] == Message("system", (Text("a"),))
    assert len(read({**HI, "systemInstruction": {}}).messages) == 1


@pytest.mark.parametrize(
    ("part", "want"),
    [
        ({"text": "a", "thought": True}, Text("a")),
        ({"inlineData": {"mimeType": "image/png", "data": "-_8="}},
         Image(Base64("+/8=", "image/png"))),
        ({"inline_data": {"mime_type": "audio/wav", "data": "AA=="}},
         Audio(Base64("AA==", "audio/wav"))),
        ({"inlineData": {"mimeType": "video/mp4", "data": "AA=="}},
         Video(Base64("AA==", "video/mp4"))),
        ({"inlineData": {"mimeType": "application/pdf", "data": "AA=="}},
         File(Base64("AA==", "application/pdf"))),
        ({"fileData": {"mimeType": "image/png", "fileUri": "gs://a"}},
         Image(Url("gs://a", "image/png"))),
        ({"file_data": {"file_uri": "https://youtu.be/a"}}, Video(Url("https://youtu.be/a"))),
        ({"fileData": {"fileUri": "https://a"}}, File(Url("https://a"))),
        ({"fileData": {"fileUri": "data:image/png;base64,AA=="}},
         Image(Base64("AA==", "image/png"))),
        ({"executableCode": {"code": "1"}},
         OwnPart("gemini", {"executableCode": {"code": "1"}})),
        ({"code_execution_result": {"outcome": "OK"}},
         OwnPart("gemini", {"codeExecutionResult": {"outcome": "OK"}})),
    ],
)  # fmt: skip
def test_parts_of_a_user(part: object, want: object) -> None:
    assert messages({"parts": [part]}) == (Message("user", (want,)),)  # type: ignore[arg-type]
    assert messages({"role": "", "parts": part}) == (Message("user", (want,)),)  # type: ignore[arg-type]


def test_separately_kept_chunks_are_one_turn() -> None:
    """As `chats` of the official client sends them: white space is a piece of the text."""
    chunk_parts: list[object] = [
        {"text": "I ", "thought": True},
        {"text": "see", "thought": True},
        {"text": "so"},
        {"text": " "},
        {"text": "be it"},
        {"functionCall": {"id": "x", "name": "f"}},
        {"functionCall": {"id": "y", "name": "f"}},
    ]
    turns = [{"role": "model", "parts": [part]} for part in chunk_parts]
    results = [{"functionResponse": {"id": id_, "name": "f", "response": {}}} for id_ in "xy"]
    question, model_turn, *answered = messages(
        {"role": "user", "parts": [{"text": "hi"}]}, *turns, {"role": "user", "parts": results}
    )
    calls = (ToolCall("x", "f", ""), ToolCall("y", "f", ""))
    assert model_turn == Message("assistant", (Reasoning("I see"), Text("so be it"), *calls))
    assert [message.role for message in (question, *answered)] == ["user", "tool", "tool"]


def test_a_turn_of_the_model() -> None:
    foreign = Seal("anthropic", "A")
    (message,) = messages(
        {
            "role": "model",
            "parts": [
                {"text": "I ", "thought": True},
                {"text": "see", "thought": True},
                {"text": "", "thought": True, "thoughtSignature": write_signature(foreign)},
                {"text": "then", "thought": True},
                {"text": "Hi", "thoughtSignature": "S"},
                {"text": ""},
                {"functionCall": {"name": "f", "args": {"b": 1, "a": "é"}},
                 "thought_signature": "T"},
                {"functionCall": {"id": "x", "name": "f"}, "thoughtSignature": UNSEALED},
                {"text": "", "thoughtSignature": "U"},
                {"text": "", "thought": True},
                {"text": "so", "thought": True},
            ],
        }
    )  # fmt: skip
    part = message.parts[5]
    assert isinstance(part, ToolCall)
    assert part.id.startswith("call_")
    assert message == Message(
        "assistant",
        (
            Reasoning("I see", foreign),
            Reasoning("then"),
            Reasoning("", Seal("gemini", "S")),
            Text("Hi"),
            Reasoning("", Seal("gemini", "T")),
            ToolCall(part.id, "f", '{"b":1,"a":"é"}'),
            ToolCall("x", "f", ""),
            Reasoning("", Seal("gemini", "U")),
            Reasoning("so"),
        ),
    )


def call(name: str, id_: str = "") -> dict[str, object]:
    return {"functionCall": {"name": name} | ({"id": id_} if id_ else {})}


def result(name: str, response: object = None, id_: str = "", **more: object) -> dict[str, object]:
    members = {"name": name, "response": response, **more} | ({"id": id_} if id_ else {})
    return {"functionResponse": members}


def test_responses_answer_calls_by_their_order_or_their_id() -> None:
    decoded_messages = messages(
        {"role": "model", "parts": [call("f"), call("g"), call("f"), call("f", "own")]},
        {"parts": [result("f", id_="own"), result("f", id_="lost"), {"text": "and"}, result("g")]},
        {"role": "model", "parts": [call("f")]},
        {"role": "function", "parts": [result("f"), result("f")]},
    )
    calls = [part for m in decoded_messages for part in m.parts if isinstance(part, ToolCall)]
    results = [part for m in decoded_messages for part in m.parts if isinstance(part, ToolResult)]
    assert len({item.id for item in calls}) == 5
    order = [calls.index(next(c for c in calls if c.id == r.call_id)) for r in results]
    assert order == [3, 0, 1, 4, 2]
    roles = ["assistant", "tool", "tool", "user", "tool", "assistant", "tool", "tool"]
    assert [m.role for m in decoded_messages] == roles


@pytest.mark.parametrize(
    ("response", "text", "failed"),
    [
        ({"result": "a"}, "a", False),
        ({"error": "a"}, "a", True),
        ({"result": '{"a":1}'}, '{"result":"{\\"a\\":1}"}', False),
        ({"result": 1}, '{"result":1}', False),
        ({"output": "a"}, '{"output":"a"}', False),
        ({"a": 1, "b": "é"}, '{"a":1,"b":"é"}', False),
        ({}, None, False),
        (None, None, False),
    ],
)
def test_responses(response: object, text: str | None, failed: bool) -> None:
    decoded_messages = messages(
        {"role": "model", "parts": [call("f", "x")]}, {"parts": [result("f", response)]}
    )
    parts = () if text is None else (Text(text),)
    assert decoded_messages[1].parts == (ToolResult("x", parts, failed, "f"),)


def test_a_response_may_hold_pictures() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    decoded_messages = messages(
        {"role": "model", "parts": [call("f", "x")]},
        {"parts": [result("f", {"result": "a"}, parts=[picture])]},
    )
    image = Image(Base64("AA==", "image/png"))
    assert decoded_messages[1].parts == (ToolResult("x", (Text("a"), image), False, "f"),)


def test_tools() -> None:
    request = read(
        {
            **HI,
            "tools": [
                {
                    "function_declarations": [
                        {"name": "f", "description": "d", "parameters": {"type": "STRING"}},
                        {"name": "g", "parametersJsonSchema": {"type": "object"}, "behavior": "X"},
                        {"name": "h"},
                    ]
                },
                {"google_search": {"excludeDomains": ["a.org"]}, "url_context": {}},
                {"googleSearchRetrieval": {}},
            ],
        }
    )
    assert request.tools == (
        FunctionTool("f", "d", {"type": "string"}),
        FunctionTool("g", None, {"type": "object"}),
        FunctionTool("h"),
        WebSearch(
            "gemini", {"googleSearch": {"excludeDomains": ["a.org"]}}, blocked_domains=("a.org",)
        ),
        OwnTool("gemini", {"urlContext": {}}),
        WebSearch("gemini", {"googleSearchRetrieval": {}}),
    )
    assert request.extra == {"tools.functionDeclarations.behavior": "X"}
    short = read({**HI, "tools": {"functionDeclarations": {"name": "f"}}})
    assert short.tools == (FunctionTool("f"),)


@pytest.mark.parametrize(
    ("config", "choice"),
    [
        ({"mode": "AUTO"}, ToolChoice("auto")),
        ({"mode": "none"}, ToolChoice("none")),
        ({"mode": "ANY", "allowed_function_names": ["f"]}, ToolChoice("required", ("f",))),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, ToolChoice("auto", ("f",))),
        ({"allowedFunctionNames": ["f"]}, ToolChoice("auto", ("f",))),
        ({"mode": "MODE_UNSPECIFIED"}, None),
        ({}, None),
    ],
)
def test_tool_choice(config: object, choice: ToolChoice | None) -> None:
    assert read({**HI, "tool_config": {"function_calling_config": config}}).tool_choice == choice


def test_sampling() -> None:
    request = configured(
        temperature=2,
        top_p=0.5,
        topK=40.0,
        max_output_tokens=9,
        stopSequences=["a"],
        candidateCount=2,
        seed=-3,
        presencePenalty=-2,
        frequency_penalty=1,
        responseLogprobs=True,
        logprobs=3,
        responseModalities=["TEXT", "IMAGE"],
        thinking_config={"thinking_budget": 5, "include_thoughts": True},
    )
    assert (request.temperature, request.top_p, request.top_k, request.output_cap) == (
        2,
        0.5,
        40,
        9,
    )
    assert (request.stop, request.choices, request.seed) == (("a",), 2, -3)
    assert (request.presence_penalty, request.frequency_penalty) == (-2, 1)
    assert (request.logprobs, request.top_logprobs) == (True, 3)
    assert request.modalities == ("text", "image")
    assert request.reasoning == ReasoningSettings(budget_tokens=5, shown=True)
    assert request.extra == {}


@pytest.mark.parametrize(
    ("config", "form", "extra"),
    [
        ({"responseMimeType": "application/json"}, AnyJson(), {}),
        ({"responseMimeType": "text/plain"}, None, {}),
        ({"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING"}}, None,
         {"generationConfig.responseMimeType": "text/x.enum",
          "generationConfig.responseSchema": {"type": "STRING"}}),
        ({"responseMimeType": "application/json", "response_schema": {"type": "OBJECT"}},
         JsonSchema({"type": "object"}), {}),
        ({"responseJsonSchema": {"type": "object"}}, JsonSchema({"type": "object"}), {}),
        ({"_responseJsonSchema": {"type": "object"}}, JsonSchema({"type": "object"}), {}),
        ({"imageConfig": {"aspectRatio": "16:9"}}, None,
         {"generationConfig.imageConfig": {"aspectRatio": "16:9"}}),
    ],
)  # fmt: skip
def test_output_form(config: dict[str, object], form: object, extra: object) -> None:
    request = configured(**config)
    assert (request.output_form, request.extra) == (form, extra)


@pytest.mark.parametrize(
    ("speech", "voice"),
    [
        ({"voiceConfig": {"prebuilt_voice_config": {"voice_name": "Kore"}}}, "Kore"),
        ({"multiSpeakerVoiceConfig": {}}, ""),
        ({"voice_config": {}}, ""),
    ],
)
def test_speech(speech: dict[str, object], voice: str) -> None:
    assert configured(speechConfig=speech).audio == AudioOutput(voice, "", speech)


def test_provider_specific_fields_are_kept_under_their_path() -> None:
    request = read(
        {
            "contents": [{"parts": [{"text": "a", "videoMetadata": {"fps": 1}}]}],
            "safetySettings": [{"category": "X"}],
            "cachedContent": "cachedContents/1",
            "labels": None,
            "model": "models/m",
            "max_cost": "1",
            "toolConfig": {"retrieval_config": {"languageCode": "de"}},
        }
    )
    assert request.extra == {
        "safetySettings": [{"category": "X"}],
        "cachedContent": "cachedContents/1",
        "toolConfig.retrievalConfig": {"languageCode": "de"},
        "contents.parts.videoMetadata": {"fps": 1},
    }


@pytest.mark.parametrize(
    ("body", "kind", "param"),
    [
        ({}, "missing_parameter", "contents"),
        ({"contents": []}, "invalid_value", "contents"),
        ({"contents": "a"}, "invalid_type", "contents"),
        ({"contents": [3]}, "invalid_type", "contents[0]"),
        ({"contents": [{"role": "system"}]}, "invalid_value", "contents[0].role"),
        ({"contents": [{"parts": [{"functionCall": {"name": "f"}}]}]}, "invalid_value",
         "contents[0].parts[0].functionCall"),
        ({"contents": [{"parts": [{}]}]}, "invalid_value", "contents[0].parts[0].text"),
        ({"contents": [{"parts": [{"toolCall": {}}]}]}, "invalid_value",
         "contents[0].parts[0].toolCall"),
        ({"contents": [{"parts": [{"inlineData": {"data": "AA=="}}]}]}, "missing_parameter",
         "contents[0].parts[0].inlineData.mimeType"),
        ({"contents": [{"parts": [{"inlineData": {"mimeType": "a/b", "data": "A"}}]}]},
         "invalid_type", "contents[0].parts[0].inlineData.data"),
        ({"contents": [{"parts": [{"functionResponse": {"name": "f"}}]}]}, "invalid_type",
         "contents[0].parts[0].functionResponse.name"),
        ({"contents": [{"parts": [{"text": "a", "inlineData": 1, "inline_data": 1}]}]},
         "malformed_json", None),
        ({"contents": [{"role": "model", "parts": [call("f")]},
                       {"parts": [result("f", parts=[{"text": "a"}])]}]}, "invalid_value",
         "contents[1].parts[0].functionResponse.parts[0].inlineData"),
        ({**HI, "systemInstruction": {"parts": [{}]}}, "missing_parameter",
         "systemInstruction.parts[0].text"),
        ({**HI, "tools": [{"functionDeclarations": [{"name": "a b"}]}]}, "invalid_value",
         "tools[0].functionDeclarations[0].name"),
        ({**HI, "tools": [{"functionDeclarations": [{"name": "f"}, {"name": "f"}]}]},
         "invalid_value", "tools"),
        ({**HI, "toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}, "invalid_value",
         "toolConfig.functionCallingConfig.mode"),
        ({**HI, "generationConfig": {"stopSequences": list("abcdef")}}, "invalid_value",
         "generationConfig.stopSequences"),
        ({**HI, "generationConfig": {"responseModalities": ["SMELL"]}}, "invalid_value",
         "generationConfig.responseModalities[0]"),
        ({**HI, "generationConfig": {"temperature": 3}}, "invalid_value",
         "generationConfig.temperature"),
        ({**HI, "generationConfig": {"topP": "1"}}, "invalid_type", "generationConfig.topP"),
    ],
)  # fmt: skip
def test_refused(body: object, kind: str, param: str | None) -> None:
    with pytest.raises(RequestFault) as caught:
        read(body)
    assert (caught.value.kind, caught.value.param) == (kind, param)


NAMES = [
    "contents", "parts", "role", "systemInstruction", "tools", "functionDeclarations", "toolConfig",
    "functionCallingConfig", "mode", "generationConfig", "thinkingConfig", "speechConfig",
    "responseSchema", "functionResponse", "response", "temperature", *WIRE_NAMES[:14],
]  # fmt: skip
BODIES = st.recursive(
    JSON,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(NAMES), BODIES))
def test_any_object_is_read_or_refused(value: dict[str, object]) -> None:
    # Whatever else is raised fails the test.
    with suppress(RequestFault):
        read(HI | value)
