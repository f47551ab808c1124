"""Each member of a request, an event and a step of the interactions dialect, in both directions."""

import json
from typing import Any

import msgspec
import pytest

from dialects.chat.chat import (
    AnyJson,
    Audio,
    AudioOutput,
    Base64,
    Effort,
    File,
    FileId,
    Flag,
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
from dialects.chat.events import (
    AudioDelta,
    Citation,
    Event,
    ImageOutput,
    OpaqueDelta,
    ReasoningDelta,
    ReasoningSeal,
    Seal,
    Source,
    Start,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallEnd,
    ToolCallStart,
)
from dialects.chat.google_seals import UNSEALED, write_signature
from dialects.errors.errors import RequestFault
from dialects.interactions.request.decode import decode
from dialects.interactions.request.encode import encode
from dialects.interactions.stream.decode import Decoder
from tests.dialects import neutral
from tests.dialects.exchanges import events_of

F = FunctionTool("f")
PNG = Base64("AA==", "image/png")
CONFIG = "generation_config."


def encoded(flags: frozenset[Flag], **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What is written beyond the least, and what was dropped."""
    efforts = fields.pop("efforts", ())
    upstream = Upstream("up", flags=flags, efforts=efforts)
    written = encode(neutral.request(*fields.pop("messages", ()), **fields), upstream)
    body = json.loads(written.body)
    least = {"model": "up", "store": False, "input": [user({"type": "text", "text": "hi"})]}
    return {name: v for name, v in body.items() if least.get(name) != v}, written.dropped


def user(*contents: dict[str, Any]) -> dict[str, Any]:
    return {"type": "user_input", "content": list(contents)}


def config(**members: Any) -> dict[str, Any]:
    return {"generation_config": members}


OFF, HIGH = ReasoningSettings(effort="none"), ReasoningSettings(effort="high")


@pytest.mark.parametrize(
    ("fields", "body", "dropped"),
    [
        ({}, {}, ()),
        ({"dialect": "interactions", "store": True}, {"store": True}, ()),
        ({"store": True}, {}, ("store",)),
        ({"choices": 1}, {}, ()),
        ({"choices": 2}, {}, ("n",)),
        ({"stop": tuple("abcdef")}, config(stop_sequences=list("abcde")), ("stop",)),
        ({"stop": tuple("abcde")}, config(stop_sequences=list("abcde")), ()),
        ({"seed": 2**31 - 1}, config(seed=2**31 - 1), ()),
        ({"seed": -(2**31) + 1}, config(seed=-(2**31) + 1), ()),
        ({"seed": 2**31}, {}, ("seed",)),
        ({"seed": -(2**31)}, {}, ("seed",)),
        ({"service_tier": "auto"}, {}, ()),
        ({"service_tier": "default"}, {"service_tier": "standard"}, ()),
        ({"service_tier": "flex"}, {"service_tier": "flex"}, ()),
        ({"service_tier": "scale"}, {}, ("service_tier",)),
        ({"modalities": ("text", "audio")}, {"response_format": {"type": "audio"}}, ()),
        ({"modalities": ("text", "image")},
         {"response_format": [{"type": "text"}, {"type": "image"}]}, ()),
        ({"dialect": "interactions", "modalities": ("text", "audio")},
         {"response_format": [{"type": "text"}, {"type": "audio"}]}, ()),
        ({"output_form": AnyJson(), "modalities": ("text", "image")},
         {"response_format": [{"type": "text", "mime_type": "application/json"},
                              {"type": "image"}]}, ()),
        ({"output_form": JsonSchema({"type": "object"})},
         {"response_format": {"type": "text", "mime_type": "application/json",
                              "schema": {"type": "object"}}}, ()),
        ({"audio": AudioOutput("kore", "wav")},
         config(speech_config={"speakers": [{"voice": "Kore"}]}), ()),
        ({"audio": AudioOutput("", "wav")}, {}, ()),
        ({"parallel_tool_calls": False}, {}, ("parallel_tool_calls",)),
        ({"parallel_tool_calls": True}, {}, ()),
        ({"tool_choice": ToolChoice("auto")}, {}, ()),
        ({"tools": (FunctionTool("f", "d", {"type": "object"}, strict=True),)},
         {"tools": [{"type": "function", "name": "f", "description": "d",
                     "parameters": {"type": "object"}}]}, ("strict",)),
        ({"tools": (F,), "tool_choice": ToolChoice("required", ("f",))},
         {"tools": [{"type": "function", "name": "f"}],
          **config(tool_choice={"allowed_tools": {"mode": "any", "tools": ["f"]}})}, ()),
        ({"tools": (F,), "tool_choice": ToolChoice("none")},
         {"tools": [{"type": "function", "name": "f"}], **config(tool_choice="none")}, ()),
        ({"tools": (F, WebSearch("responses", {}, uses_max=3))},
         {"tools": [{"type": "function", "name": "f"}, {"type": "google_search"}]},
         ("tools.max_uses",)),
        ({"dialect": "responses",
          "tools": (F, OwnTool("responses", {"type": "image_generation"}))},
         {"tools": [{"type": "function", "name": "f"}]}, ("tools.image_generation",)),
        # Which reasoning is shown without being requested differs between clients.
        ({"reasoning": HIGH}, config(thinking_level="high", thinking_summaries="auto"), ()),
        ({"reasoning": OFF}, config(thinking_level="minimal"), ()),
        ({"dialect": "anthropic", "reasoning": HIGH},
         config(thinking_level="high", thinking_summaries="auto"), ()),
        ({"dialect": "responses", "reasoning": HIGH}, config(thinking_level="high"), ()),
        ({"dialect": "responses", "reasoning": ReasoningSettings("high", summary="auto")},
         config(thinking_level="high", thinking_summaries="auto"), ()),
        ({"dialect": "interactions", "reasoning": ReasoningSettings(shown=False)},
         config(thinking_summaries="none"), ()),
        ({"dialect": "interactions", "extra": {
            "labels": {"a": "b"}, CONFIG + "image_config": {"c": 1}}},
         {"labels": {"a": "b"}, **config(image_config={"c": 1})}, ()),
        ({"dialect": "interactions", "modalities": ("audio",),
          "extra": {"response_format.voice": "x"}},
         {"response_format": {"type": "audio", "voice": "x"}}, ()),
        ({"dialect": "interactions", "modalities": ("image", "audio"),
          "extra": {"response_format[1].voice": "x"}},
         {"response_format": [{"type": "image"}, {"type": "audio"}]},
         ("response_format[1].voice",)),
    ],
)  # fmt: skip
def test_each_member_of_a_request_is_written(
    fields: dict[str, Any], body: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    assert encoded(frozenset(), **fields) == (body, dropped)


@pytest.mark.parametrize("fields", [{"reasoning": None}, {"reasoning": OFF}])
@pytest.mark.parametrize("flags", [frozenset(), frozenset[Flag]({"thinking_level"})])
def test_chats_show_reasoning_unless_it_is_off(fields: Any, flags: frozenset[Flag]) -> None:
    body, _ = encoded(flags, **fields)
    shown = body.get("generation_config", {}).get("thinking_summaries")
    assert shown == ("auto" if flags and fields["reasoning"] is None else None)


@pytest.mark.parametrize(
    ("effort", "efforts", "level"),
    [
        ("xhigh", (), "xhigh"),
        ("xhigh", ("low", "high"), "high"),
        ("minimal", ("low", "high"), "low"),
        ("medium", ("max",), "medium"),
    ],
)
def test_effort_is_the_nearest_that_the_model_has(
    effort: Effort, efforts: tuple[Effort, ...], level: Effort
) -> None:
    body, _ = encoded(frozenset(), reasoning=ReasoningSettings(effort), efforts=efforts)
    assert body["generation_config"]["thinking_level"] == level


CALL = ToolCall("c", "f", '{"a":1}')
WRITTEN_CALL = {"type": "function_call", "id": "c", "name": "f", "arguments": {"a": 1}}
DUMMY = {"type": "thought", "signature": UNSEALED}
SEALED = Reasoning("hm", Seal("gemini", "c2ln"))
THOUGHT = {"type": "thought", "signature": "c2ln", "summary": [{"type": "text", "text": "hm"}]}
SEARCH: dict[str, Any] = {"type": "google_search_call", "id": "s"}


def output(*texts: str) -> dict[str, Any]:
    return {"type": "model_output", "content": [{"type": "text", "text": t} for t in texts]}


@pytest.mark.parametrize(
    ("parts", "steps"),
    [
        ((Text("a"), Refusal("no")), [output("a", "no")]),
        ((Audio(FileId("x"), "said"),), [output("said")]),
        ((Audio(FileId("x")), Text("a")), [output("a")]),
        ((SEALED, CALL), [THOUGHT, WRITTEN_CALL]),
        # The signature is required once in a turn, whoever the reasoning is of.
        ((CALL, ToolCall("d", "g", "")), [
            DUMMY, WRITTEN_CALL,
            {"type": "function_call", "id": "d", "name": "g", "arguments": {}},
        ]),
        ((Reasoning("hm", Seal("openai", "x")), Text("a"), CALL),
         [output("a"), DUMMY, WRITTEN_CALL]),
        ((Reasoning("hm"), Text("a")), [output("a")]),
        ((ToolCall("c", "f", "[1]"),),
         [DUMMY, {**WRITTEN_CALL, "arguments": {"_raw": "[1]"}}]),
        ((Text("a"), OwnPart("interactions", SEARCH), Text("b")),
         [output("a"), SEARCH, output("b")]),
        ((Text("a"), OwnPart("responses", SEARCH), Text("b")), [output("a", "b")]),
    ],
)  # fmt: skip
def test_each_part_of_a_models_turn_is_written(
    parts: tuple[Part, ...], steps: list[dict[str, Any]]
) -> None:
    messages = (Message("assistant", parts),)
    body, _ = encoded(frozenset({"thought_seal_needed"}), messages=messages)
    assert body["input"] == steps


@pytest.mark.parametrize(
    ("part", "content"),
    [
        (File(PlainText("words")), {"type": "text", "text": "words"}),
        (Image(PNG), {"type": "image", "mime_type": "image/png", "data": "AA=="}),
        (Image(PNG, "high"),
         {"type": "image", "mime_type": "image/png", "data": "AA==", "resolution": "high"}),
        (Image(PNG, "auto"), {"type": "image", "mime_type": "image/png", "data": "AA=="}),
        (Video(Url("gs://a/b")), {"type": "video", "uri": "gs://a/b"}),
        (Audio(Url("gs://a/b", "audio/wav")),
         {"type": "audio", "mime_type": "audio/wav", "uri": "gs://a/b"}),
        (File(Base64("AA==", "application/pdf"), "name.pdf"),
         {"type": "document", "mime_type": "application/pdf", "data": "AA=="}),
    ],
)  # fmt: skip
def test_each_part_of_a_users_turn_is_written(part: Part, content: dict[str, Any]) -> None:
    body, _ = encoded(frozenset(), messages=(Message("user", (part,)),))
    assert body["input"] == [user(content)]


@pytest.mark.parametrize("part", [Image(FileId("x")), Video(Url("https://a.example/b"))])
def test_part_that_is_stored_elsewhere_is_rejected(part: Part) -> None:
    with pytest.raises(RequestFault, match="stored elsewhere") as refused:
        encoded(frozenset(), messages=(Message("user", (part,)),))
    assert refused.value.kind == "unsupported_capability"


@pytest.mark.parametrize(
    ("result", "written"),
    [
        (ToolResult("c", (Text("a"), Text("b"))), {"result": "a\nb"}),
        (ToolResult("c", (), failed=True), {"result": "", "is_error": True}),
        # The call knows the name better than its result.
        (ToolResult("c", (Text("a"),), name="other"), {"result": "a"}),
        (ToolResult("c", (Text("a"), Image(PNG))), {"result": [
            {"type": "text", "text": "a"},
            {"type": "image", "mime_type": "image/png", "data": "AA=="}]}),
    ],
)  # fmt: skip
def test_each_form_of_a_result_is_written(result: ToolResult, written: dict[str, Any]) -> None:
    messages = (Message("assistant", (CALL,)), Message("tool", (result,)))
    body, _ = encoded(frozenset(), messages=messages)
    head = {"type": "function_result", "call_id": "c", "name": "f"}
    assert body["input"] == [WRITTEN_CALL, head | written]


def test_system_text_alone_is_sent_as_the_users() -> None:
    alone, _ = encoded(frozenset(), messages=(Message("system", (Text("s"),)),))
    assert alone == {"input": [user({"type": "text", "text": "s"})]}
    system = (Message("system", (Text("s"),)), Message("user", (Text("hi"),)))
    assert encoded(frozenset(), messages=system)[0] == {"system_instruction": "s"}


# ---- Reading ----------------------------------------------------------------------------------


def read(**members: Any) -> Any:
    raw = json.dumps({"model": "m", "input": "hi"} | members).encode()
    return decode(raw, request_id="r", received_at=0)


SCHEMA = {"type": "object"}


@pytest.mark.parametrize(
    ("members", "field", "value"),
    [
        ({}, "output_form", None),
        ({"response_format": SCHEMA}, "output_form", JsonSchema(SCHEMA)),
        ({"response_format": {"type": "text", "schema": SCHEMA}}, "output_form",
         JsonSchema(SCHEMA)),
        ({"response_format": {"type": "text", "schema": SCHEMA, "mime_type": "text/plain"}},
         "output_form", None),
        ({"response_format": {"type": "text", "mime_type": "application/json"}}, "output_form",
         AnyJson()),
        ({"response_mime_type": "application/json"}, "output_form", AnyJson()),
        ({"response_mime_type": "text/plain"}, "output_form", None),
        ({"response_mime_type": "application/json", "response_format": SCHEMA}, "output_form",
         JsonSchema(SCHEMA)),
        ({"response_format": {"type": "text"}}, "modalities", ()),
        ({"response_format": [{"type": "text"}, {"type": "image"}]}, "modalities",
         ("text", "image")),
        ({"response_modalities": ["image"], "response_format": [{"type": "image"}]},
         "modalities", ("image",)),
        ({"response_format": [{"type": "text"}, {"type": "image", "size": "1K"}]}, "extra",
         {"response_format[1].size": "1K"}),
        ({"generation_config": {"speech_config": [{"voice": "Kore"}, {"voice": "Puck"}]}},
         "audio", AudioOutput("Kore", "", {"speakers": [{"voice": "Kore"}, {"voice": "Puck"}]})),
        ({"generation_config": {"speech_config": {"speakers": [{"language": "de"}]}}}, "audio",
         AudioOutput("", "", {"speakers": [{"language": "de"}]})),
        ({"generation_config": {"thinking_summaries": "none"}}, "reasoning",
         ReasoningSettings(shown=False)),
        ({"generation_config": {"thinking_summaries": "auto"}}, "reasoning",
         ReasoningSettings(shown=True)),
        ({"generation_config": {"tool_choice": "validated"}}, "tool_choice", ToolChoice("auto")),
        ({"generation_config": {"tool_choice": {"allowed_tools": {"tools": ["f"]}}}},
         "tool_choice", ToolChoice("auto", ("f",))),
        ({"service_tier": "standard"}, "service_tier", "default"),
        ({"system_instruction": "s"}, "messages",
         (Message("system", (Text("s"),)), Message("user", (Text("hi"),)))),
        ({"tools": [{"type": "google_search", "search_types": ["web_search"]}]}, "tools",
         (WebSearch("interactions", {"type": "google_search", "search_types": ["web_search"]}),)),
        ({"previous_interaction_id": "v1_1"}, "previous_response_id", "v1_1"),
        ({"models": ["m"], "max_cost": "1"}, "extra", {}),
        # Contents and steps.
        ({"input": {"type": "image", "uri": "gs://a/b", "resolution": "ultra_high"}}, "messages",
         (Message("user", (Image(Url("gs://a/b", ""), "high"),)),)),
        ({"input": [{"type": "image", "mime_type": "image/png", "data": "_-A="}]}, "messages",
         (Message("user", (Image(Base64("/+A=", "image/png")),)),)),
        ({"input": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "messages",
         (Message("user", (Text("a"), Text("b"))),)),
        ({"input": [{"type": "thought", "signature": UNSEALED}, output("a")]}, "messages",
         (Message("assistant", (Text("a"),)),)),
        ({"input": [{"type": "thought", "summary": [
            {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]}, "messages",
         (Message("assistant", (Reasoning("ab"),)),)),
        ({"input": [THOUGHT, output("a"), SEARCH]}, "messages",
         (Message("assistant", (SEALED, Text("a"), OwnPart("interactions", SEARCH))),)),
        # The positions of a citation count bytes of its text, ours count characters of the turn.
        ({"input": [output("éé"), {"type": "model_output", "content": [
            {"type": "text", "text": "üx", "annotations": [
                {"type": "url_citation", "url": "https://a", "start_index": 2, "end_index": 3},
                {"type": "url_citation", "url": "https://b", "title": "B", "end_index": 3},
                {"type": "url_citation", "url": "https://c", "start_index": 0, "end_index": 4},
                {"type": "url_citation", "url": "https://d", "start_index": 2, "end_index": 2},
                {"type": "url_citation", "title": "without an address"},
                {"type": "file_citation", "url": "https://e"}]}]}]}, "messages",
         (Message("assistant", (Text("éé"), Text("üx")), citations=(
             Source("https://a", "", 3, 4), Source("https://b", "B", 2, 4),
             Source("https://c", ""), Source("https://d", ""))),)),
        ({"input": [WRITTEN_CALL, {"type": "function_result", "call_id": "c", "name": "f",
                                   "is_error": True, "result": {"b": 2}}]}, "messages",
         (Message("assistant", (CALL,)),
          Message("tool", (ToolResult("c", (Text('{"b":2}'),), True, "f"),)))),
        ({"input": [WRITTEN_CALL, {"type": "function_result", "call_id": "c", "result": ""}]},
         "messages",
         (Message("assistant", (CALL,)), Message("tool", (ToolResult("c", ()),)))),
    ],
)  # fmt: skip
def test_each_member_of_a_request_is_read(members: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(read(**members), field) == value


@pytest.mark.parametrize(
    ("members", "kind", "param"),
    [
        ({"input": []}, "invalid_value", "input"),
        ({"response_format": {"type": "text", "mime_type": "text/csv"}}, "invalid_value",
         "response_format.mime_type"),
        ({"generation_config": {"speech_config": {}}}, "invalid_type",
         CONFIG + "speech_config"),
        ({"generation_config": {"tool_choice": {}}}, "missing_parameter",
         CONFIG + "tool_choice.allowed_tools"),
        ({"input": [{"type": "image", "uri": "gs://a", "data": "AA==", "mime_type": "image/png"}]},
         "invalid_value", "input[0].uri"),
        ({"input": [WRITTEN_CALL, {"type": "function_result", "call_id": "c", "result": [
            {"type": "audio", "uri": "gs://a"}]}]}, "invalid_value", "input[1].result"),
    ],
)  # fmt: skip
def test_invalid_members_are_rejected(members: dict[str, Any], kind: str, param: str) -> None:
    with pytest.raises(RequestFault) as refused:
        read(**members)
    assert (refused.value.kind, refused.value.param) == (kind, param)


# ---- Streams ----------------------------------------------------------------------------------


def frame(kind: str, **members: Any) -> bytes:
    return b"data: " + json.dumps({"event_type": kind} | members).encode() + b"\n\n"


def delta(**members: Any) -> bytes:
    return frame("step.delta", index=0, delta=members)


def start(index: int = 0, **step: Any) -> bytes:
    return frame("step.start", index=index, step=step)


STOP = frame("step.stop", index=0)
OPEN = start(type="model_output")
CITED = {"type": "url_citation", "url": "https://a", "start_index": 2, "end_index": 3}
SOUND: dict[str, Any] = {"type": "audio", "mime_type": "audio/wav", "data": "AA=="}
PICTURE: dict[str, Any] = {"type": "image", "mime_type": "image/png", "data": "AA=="}
FILM: dict[str, Any] = {"type": "video", "uri": "https://a"}
FOREIGN = Seal("anthropic", "c2ln")


def opaque(value: dict[str, Any]) -> OpaqueDelta:
    return OpaqueDelta(0, json.dumps(value).encode())


@pytest.mark.parametrize(
    ("raw", "events", "step"),
    [
        (start(type="model_output", content=[{"type": "text", "text": "éa", "annotations": [CITED]},
                                             {"type": "text", "text": "b"}]) + STOP,
         [TextDelta(0, "éa"), Citation(0, Source("https://a", "", 1, 2)), TextDelta(0, "b")],
         {"type": "model_output",
          "content": [{"type": "text", "text": "éa", "annotations": [CITED]},
                      {"type": "text", "text": "b"}]}),
        (OPEN + delta(type="text", text="é") + delta(type="text", text="a")
         + delta(type="text_annotation_delta", annotations=[CITED]) + STOP,
         [TextDelta(0, "é"), TextDelta(0, "a"), Citation(0, Source("https://a", "", 1, 2))],
         {"type": "model_output", "content": [
             {"type": "text", "text": "éa", "annotations": [CITED]}]}),
        (OPEN + delta(type="text", text="a") + delta(**SOUND) + delta(**PICTURE) + STOP,
         [TextDelta(0, "a"), AudioDelta(0, "audio/wav", "AA=="),
          ImageOutput(0, "image/png", "AA==", "")],
         {"type": "model_output", "content": [{"type": "text", "text": "a"}, SOUND, PICTURE]}),
        (OPEN + delta(type="image", uri="https://a") + STOP,
         [ImageOutput(0, "", "", "https://a")],
         {"type": "model_output", "content": [{"type": "image", "uri": "https://a"}]}),
        (start(type="model_output", content=[SOUND]) + STOP,
         [AudioDelta(0, "audio/wav", "AA==")], {"type": "model_output", "content": [SOUND]}),
        (OPEN + delta(**FILM) + STOP, [opaque(FILM)],
         {"type": "model_output", "content": [FILM]}),
        (start(type="thought", summary=[{"type": "text", "text": "a"}], signature="c2ln")
         + delta(type="thought_summary", content={"type": "text", "text": "b"}) + STOP,
         [ReasoningDelta(0, "a"), ReasoningDelta(0, "b"), ReasoningSeal(0, Seal("gemini", "c2ln"))],
         {"type": "thought", "summary": [{"type": "text", "text": "ab"}], "signature": "c2ln"}),
        (start(type="thought")
         + delta(type="thought_signature", signature=write_signature(FOREIGN)) + STOP,
         [ReasoningSeal(0, FOREIGN)],
         {"type": "thought", "signature": write_signature(FOREIGN)}),
        (start(type="function_call", id="c", name="f", arguments={"a": 1}) + STOP,
         [ToolCallStart(0, 0, "c", "f"), ToolArgumentsDelta(0, 0, '{"a":1}'), ToolCallEnd(0, 0)],
         WRITTEN_CALL),
        (start(type="function_call", id="c", name="f", arguments={})
         + delta(type="arguments_delta", arguments='{"a"')
         + delta(type="arguments_delta", arguments=":1}") + STOP,
         [ToolCallStart(0, 0, "c", "f"), ToolArgumentsDelta(0, 0, '{"a"'),
          ToolArgumentsDelta(0, 0, ":1}"), ToolCallEnd(0, 0)], WRITTEN_CALL),
        # What only Google understands, of a step and of a delta.
        (start(**SEARCH) + delta(type="google_search_call", arguments={"queries": ["a"]}) + STOP,
         [opaque(SEARCH), opaque({"type": "google_search_call", "arguments": {"queries": ["a"]}})],
         SEARCH | {"arguments": {"queries": ["a"]}}),
        (start(type="user_input", content=[{"type": "text", "text": "hi"}]) + STOP, [],
         {"type": "user_input", "content": [{"type": "text", "text": "hi"}]}),
    ],
)  # fmt: skip
def test_each_event_of_a_stream_is_read(raw: bytes, events: list[Event], step: Any) -> None:
    """P14: translated to its events, and forwarded unchanged to the step that it builds."""
    got = events_of(Decoder(translate=True).feed(raw))
    assert [msgspec.to_builtins(event) for event in got if not isinstance(event, Start)] == [
        msgspec.to_builtins(event) for event in events
    ]
    forwarding = Decoder()
    ended = frame("interaction.completed", interaction={"id": "i", "status": "completed"})
    steps = forwarding.feed(raw + ended)
    assert b"".join(one.raw for one in steps) == raw + ended
    assert forwarding.response is not None
    assert json.loads(forwarding.response)["steps"] == [step]


def test_arguments_of_a_call_that_never_began_are_ignored() -> None:
    """The delta of a step without a beginning still counts as an answer."""
    decoder = Decoder(translate=True)
    assert events_of(decoder.feed(delta(type="arguments_delta", arguments="{}"))) == []
    assert events_of(decoder.feed(delta(type="text", text="a"))) == [TextDelta(0, "a")]


@pytest.mark.parametrize(
    ("raw", "stop"),
    [
        (start(3, type="model_output"), {"event_type": "step.stop", "index": 3}),
        (start(3, type="model_output") + frame("step.stop", index=3), None),
        (start(3, type="function_call", id="c", name="f"), None),
    ],
)
def test_notice_of_the_length_stops_the_open_step(raw: bytes, stop: Any) -> None:
    """F18; a cut call is never stopped (F38)."""
    decoder = Decoder()
    decoder.feed(frame("interaction.created", interaction={"id": "i", "model": "m"}) + raw)
    data = [line[6:] for line in decoder.length_notice().splitlines() if line[:6] == b"data: "]
    *stops, last = [json.loads(line) for line in data if line != b"[DONE]"]
    assert stops == ([] if stop is None else [stop])
    assert last["interaction"] == {"id": "i", "model": "m", "status": "incomplete"}


@pytest.mark.parametrize(("arguments", "kept"), [('{"a":1}', True), ('{"a"', False)])
@pytest.mark.parametrize("stopped", [True, False])
def test_only_a_whole_call_is_kept_after_the_length(
    arguments: str, kept: bool, stopped: bool
) -> None:
    """F38."""
    raw = start(type="function_call", id="c", name="f", arguments={})
    raw += delta(type="arguments_delta", arguments=arguments) + (STOP if stopped else b"")
    decoder = Decoder()
    decoder.feed(
        raw + frame("interaction.completed", interaction={"id": "i", "status": "incomplete"})
    )
    assert decoder.response is not None
    whole = [WRITTEN_CALL] if kept and stopped else []
    assert json.loads(decoder.response)["steps"] == whole


def test_event_with_other_types_is_read_as_far_as_it_can_be() -> None:
    events = events_of(
        Decoder(translate=True).feed(
            frame("step.start", index="x", step={"type": "model_output"})
            + frame("step.delta", index=-1, delta={"type": "text", "text": "a", "uri": 3})
            + frame("interaction.completed", interaction={"id": 7, "status": "completed"})
        )
    )
    assert TextDelta(0, "a") in events
    assert events[-1] == msgspec.structs.replace(events[-1], reason="stop")
