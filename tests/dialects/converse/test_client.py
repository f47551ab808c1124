"""Clients of the converse dialect: their requests, read; answers for them, judged by botocore's own
description of the dialect and read by its own reader."""

import json
from base64 import b64encode
from typing import Any

import pytest
from botocore.parsers import RestJSONParser
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat import events as neutral_events
from dialects.chat.chat import (
    Audio,
    Base64,
    ChatAnswer,
    ChatRequest,
    Choice,
    Effort,
    File,
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
    Video,
)
from dialects.chat.events import FinishReason, Seal, SealOwner, Source, UpstreamError
from dialects.chat.fold import fold, unfold
from dialects.codec import Target
from dialects.converse.answer.encode import add_latency, encode
from dialects.converse.request.encode import encode as encode_request
from dialects.converse.stream.decode import Decoder
from dialects.converse.stream.encode import Encoder
from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import RequestFault
from tests.dialects import neutral
from tests.fakes.converse import judge, operation
from tests.relay.speakers import messages

CODEC = CODECS["converse"]
CLIENT = neutral.request(dialect="converse", stream=True)
PNG = b64encode(b"png").decode()
CALL = {"toolUse": {"toolUseId": "c1", "name": "f", "input": {"a": 1}}}


def decode(content: Any = None, **over: Any) -> ChatRequest:
    turns = [{"role": "user", "content": content or [{"text": "hi"}]}]
    raw = json.dumps({"messages": turns} | over).encode()
    target = Target("m")
    return CODEC.decode(CODEC.read(raw, target), target, "r1", 1)


def parts_of(content: Any) -> tuple[Part, ...]:
    (message,) = decode(content).messages
    return message.parts


# ---- requests


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"text": "hi"}, Text("hi")),
        ({"guardContent": {"text": {"text": "hi"}}}, Text("hi")),
        ({"image": {"format": "png", "source": {"bytes": PNG}}}, Image(Base64(PNG, "image/png"))),
        ({"video": {"format": "three_gp", "source": {"bytes": PNG}}},
         Video(Base64(PNG, "video/3gpp"))),
        ({"audio": {"format": "mp3", "source": {"bytes": PNG}}}, Audio(Base64(PNG, "audio/mpeg"))),
        ({"document": {"format": "pdf", "name": "d", "source": {"bytes": PNG}}},
         File(Base64(PNG, "application/pdf"), "d")),
        ({"document": {"name": "d", "source": {"text": "words"}}}, File(PlainText("words"), "d")),
        ({"document": {"name": "d", "source": {"content": [{"text": "a"}, {"text": "b"}]}}},
         File(PlainText("a\nb"), "d")),
        ({"citationsContent": {"content": [{"text": "cited"}]}}, Text("cited")),
        ({"searchResult": {"source": "s"}}, OwnPart("converse", {"searchResult": {"source": "s"}})),
    ],
)  # fmt: skip
def test_a_block_is_read(block: dict[str, Any], part: Part) -> None:
    assert parts_of([block]) == (part,)


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        ([{"image": {"format": "tiff", "source": {"bytes": PNG}}}], "invalid_value", "tiff|format"),
        ([{"image": {"format": "png", "source": {"bytes": "%"}}}], "invalid_type", "base64"),
        ([{"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b"}}}}],
         "unsupported_capability", "S3"),
        ([{"toolResult": {"toolUseId": "x", "content": []}}], "invalid_type", "earlier toolUse"),
        ([{}], "invalid_type", "must have a member"),
        ([{"reasoningContent": {"redactedContent": "%"}}], "invalid_type", "base64"),
    ],
)  # fmt: skip
def test_a_block_that_cannot_be_read_is_refused(content: Any, kind: str, words: str) -> None:
    with pytest.raises(RequestFault, match=words) as refused:
        decode(content)
    assert refused.value.kind == kind


def test_a_conversation_is_read() -> None:
    """A cache point marks what is before it; results are messages of their own."""
    thought = {"reasoningText": {"text": "hm", "signature": "openai:s"}}
    redacted = {"redactedContent": b64encode(b"data").decode()}
    turns = [
        {"role": "user", "content": [{"text": "hi"}, {"cachePoint": {"type": "default"}}]},
        {"role": "assistant", "content": [
            {"reasoningContent": thought}, {"reasoningContent": redacted}, CALL]},
        {"role": "user", "content": [
            {"toolResult": {"toolUseId": "c1", "status": "error",
                            "content": [{"json": {"b": 2}}, {"text": "t"}]}},
            {"cachePoint": {"type": "default", "ttl": "1h"}},
            {"text": "go on"}]},
    ]  # fmt: skip
    request = decode(
        messages=turns, system=[{"text": "Be brief."}, {"cachePoint": {"type": "default"}}]
    )
    assert request.messages == (
        Message("system", (Text("Be brief.", "5m"),)),
        Message("user", (Text("hi", "5m"),)),
        Message("assistant", (
            Reasoning("hm", Seal("openai", "s")),
            Reasoning("", Seal("anthropic", "data", redacted=True)),
            ToolCall("c1", "f", '{"a":1}'),
        )),
        Message("tool", (
            ToolResult("c1", (Text('{"b":2}'), Text("t")), failed=True, cache="1h"),)),
        Message("user", (Text("go on"),)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "settings", "extra"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}},
         ReasoningSettings(budget_tokens=2048, switch="on"), {}),
        ({"reasoning_config": {"type": "disabled"}}, ReasoningSettings(switch="off"), {}),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
         ReasoningSettings("high", switch="adaptive"), {}),
        ({"reasoning_effort": "low"}, ReasoningSettings("low"), {}),
        ({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}},
         ReasoningSettings("medium"), {}),
        ({"reasoningConfig": {"type": "disabled"}}, ReasoningSettings("none"), {}),
        ({"other": 1}, None, {"additionalModelRequestFields.other": 1}),
    ],
)  # fmt: skip
def test_model_specific_fields_are_read(
    fields: dict[str, Any], settings: ReasoningSettings | None, extra: dict[str, Any]
) -> None:
    request = decode(additionalModelRequestFields=fields)
    assert (request.reasoning, request.extra) == (settings, extra)
    # For a channel of the same dialect the rest stands where it stood.
    body = json.loads(encode_request(request, Upstream("m")).body)
    assert body.get("additionalModelRequestFields", {}) == {
        name.partition(".")[2]: value for name, value in extra.items()
    }


def test_settings_are_read() -> None:
    spec = {"name": "f", "description": "d", "inputSchema": {"json": {"type": "object"}}}
    named = {"schema": '{"type":"object"}', "name": "n", "description": "e"}
    form = {"type": "json_schema", "structure": {"jsonSchema": named}}
    config = {"maxTokens": 9, "temperature": 0.5, "topP": 0.25, "stopSequences": ["x"]}
    request = decode(
        inferenceConfig=config,
        additionalModelRequestFields={"top_k": 7},
        toolConfig={
            "tools": [{"toolSpec": spec}, {"cachePoint": {"type": "default"}},
                      {"systemTool": {"name": "nova_grounding"}}],
            "toolChoice": {"tool": {"name": "f"}},
        },
        outputConfig={"textFormat": form, "effort": "high"},
        serviceTier={"type": "flex"},
        requestMetadata={"a": "b"},
    )  # fmt: skip
    assert (request.output_cap, request.temperature, request.top_p) == (9, 0.5, 0.25)
    assert (request.stop, request.top_k, request.service_tier) == (("x",), 7, "flex")
    assert request.tools == (
        FunctionTool("f", "d", {"type": "object"}, cache="5m"),
        OwnTool("converse", {"systemTool": {"name": "nova_grounding"}}),
    )
    assert request.tool_choice == ToolChoice("required", ("f",))
    assert request.output_form == JsonSchema({"type": "object"}, "n", None, "e")
    assert request.reasoning == ReasoningSettings("high")
    assert request.extra == {"requestMetadata": {"a": "b"}}


@pytest.mark.parametrize(
    ("choice", "read"),
    [({"auto": {}}, ToolChoice("auto")), ({"any": {}}, ToolChoice("required"))],
)
def test_a_choice_of_tools_is_read(choice: dict[str, Any], read: ToolChoice) -> None:
    assert decode(toolConfig={"tools": [], "toolChoice": choice}).tool_choice == read


@pytest.mark.parametrize(
    ("over", "kind", "param"),
    [
        ({"guardrailConfig": {}}, "unsupported_capability", "guardrailConfig"),
        ({"messages": []}, "invalid_value", "messages"),
        ({"inferenceConfig": 1}, "invalid_type", "inferenceConfig"),
        ({"inferenceConfig": {"maxTokens": 0}}, "invalid_value", "inferenceConfig.maxTokens"),
        ({"outputConfig": {"textFormat": {"type": "json_schema", "structure": {
            "jsonSchema": {"schema": "["}}}}}, "invalid_type",
         "outputConfig.textFormat.structure.jsonSchema.schema"),
    ],
)  # fmt: skip
def test_meaningless_fields_are_rejected(over: dict[str, Any], kind: str, param: str) -> None:
    with pytest.raises(RequestFault) as refused:
        decode(**over)
    assert (refused.value.kind, refused.value.param) == (kind, param)


def test_facts_count_media_and_edits_touch_nothing_else() -> None:
    image = {"image": {"format": "png", "source": {"bytes": PNG * 100}}}
    result = {"toolResult": {"toolUseId": "c1", "content": [image]}}
    turns = [{"role": "user", "content": [image, result]}]
    raw = json.dumps(
        {"messages": turns, "inferenceConfig": {"topP": 1}, "max_cost": "0.5", "modelId": "m"}
    ).encode()
    facts = CODEC.read(raw, Target("m", stream=True))
    assert (facts.model, facts.stream, facts.media) == ("m", True, {"image": 2})
    assert facts.text_bytes < len(raw) - 2 * len(PNG * 100)
    assert facts.max_cost_nano == 5 * 10**8
    edited = CODEC.edit(facts, "x", 50, None, CODEC.quirks_for(facts, Upstream("x"), {}))
    assert json.loads(edited) == {
        "messages": turns, "inferenceConfig": {"topP": 1, "maxTokens": 50}
    }  # fmt: skip


def test_foreign_thoughts_are_removed_from_a_forwarded_request() -> None:
    """Bedrock would refuse their proof; a turn of nothing else goes too."""
    own = {"reasoningContent": {"reasoningText": {"text": "a", "signature": "of-claude"}}}
    foreign = {"reasoningContent": {"reasoningText": {"text": "b", "signature": "gemini:x"}}}
    hidden = {"reasoningContent": {"redactedContent": b64encode(b"openai:x").decode()}}
    turns = [
        {"role": "assistant", "content": [own, foreign, hidden, CALL]},
        {"role": "assistant", "content": [foreign]},
    ]
    facts = CODEC.read(json.dumps({"messages": turns}).encode(), Target("m"))
    assert CODEC.needs_fit(facts, frozenset())
    edited = CODEC.edit(facts, "x", None, None, CODEC.quirks_for(facts, Upstream("x"), {}))
    assert json.loads(edited) == {"messages": [{"role": "assistant", "content": [own, CALL]}]}
    judge("x", edited)


# ---- answers


@st.composite
def answers(draw: st.DrawFn) -> ChatAnswer:
    """What this dialect can answer, without the proofs that its decoder leaves out."""
    thought = Reasoning(draw(neutral.words))
    parts: list[Part] = draw(st.sampled_from([[], [thought]]))
    parts = [*parts, Text(draw(neutral.words))]
    parts += draw(st.sampled_from([[], [Image(Base64("AA==", "image/png"))]]))
    calls = [
        ToolCall(f"c{at}", draw(neutral.names), '{"a":"\\n"}')
        for at in range(draw(st.integers(0, 2)))
    ]
    reasons: list[FinishReason] = ["stop", "stop_sequence", "length", "content_filter"]
    finish = "tool_calls" if calls else draw(st.sampled_from(reasons))
    choice = Choice(index=0, parts=(*parts, *calls), finish=finish)
    return ChatAnswer(id="", model="m", created=0, choices=(choice,), counts=draw(neutral.counts()))


def parse(raw: bytes) -> dict[str, Any]:
    """What boto3 makes of a body."""
    response = {"status_code": 200, "headers": {}, "body": raw}
    parsed: dict[str, Any] = RestJSONParser().parse(response, operation().output_shape)
    return parsed


@given(answers())
def test_a_whole_answer_comes_back(answer: ChatAnswer) -> None:
    raw = add_latency(encode(answer, CLIENT), 12)
    whole = CODEC.read_answer(raw).fold()
    assert whole.choices == answer.choices
    parsed = parse(raw)
    required = operation().output_shape.required_members
    assert set(required) <= parsed.keys()
    assert parsed["metrics"] == {"latencyMs": 12}
    assert answer.counts is not None
    assert parsed["usage"]["outputTokens"] == answer.counts.output
    # An answer that tells its time keeps it.
    assert add_latency(raw, 99) == raw


@given(answers(), st.booleans())
def test_a_stream_comes_back(answer: ChatAnswer, split: bool) -> None:
    encoder = Encoder(CLIENT)
    frames = b"".join(map(encoder.feed, unfold(answer))) + encoder.end()
    writer = CODEC.framing(lambda: 12)
    assert writer is not None
    pieces = [frames[at : at + 7] for at in range(0, len(frames), 7)] if split else [frames]
    raw = b"".join(map(writer.feed, pieces))
    *_, (kind, last) = messages(raw)
    assert (kind, last["metrics"]) == ("metadata", {"latencyMs": 12})
    decoder = Decoder(forwarded=True)
    steps = [step for at in range(0, len(raw), 11) for step in decoder.feed(raw[at : at + 11])]
    events = [event for step in steps for event in step.events]
    assert fold(events[:-1]).choices == answer.choices
    # Forwarded they are the same events; only the last has gained the time.
    forwarded = b"".join(step.raw for step in steps)
    assert forwarded.replace(b',"metrics":{"latencyMs":12}', b"") == frames


@pytest.mark.parametrize("owner", ["anthropic", "openai", "gemini"])
@pytest.mark.parametrize("redacted", [False, True])
def test_proofs_come_back_with_the_owner(owner: SealOwner, redacted: bool) -> None:
    """In a stream as in a whole answer, and as the client sends it back."""
    seal = Seal(owner, "proof", redacted=redacted)
    part = Reasoning("" if redacted else "hm", seal)
    answer = neutral.answer(part, Text("x"), finish="stop")
    content = json.loads(encode(answer, CLIENT))["output"]["message"]["content"]
    turns = [{"role": "assistant", "content": content}]
    assert decode(messages=turns).messages[0].parts[0] == part
    encoder = Encoder(CLIENT)
    frames = b"".join(map(encoder.feed, unfold(answer)))
    proof = content[0]["reasoningContent"]
    written = proof.get("redactedContent") or proof["reasoningText"]["signature"]
    assert json.dumps(written).encode() in frames


def test_calls_that_interleave_keep_their_blocks() -> None:
    encoder = Encoder(CLIENT)
    frames = b"".join(
        encoder.feed(event)
        for event in (
            neutral_events.Start("", ""),
            neutral_events.TextDelta(0, "a"),
            neutral_events.ToolCallStart(0, 0, "c0", "f"),
            neutral_events.ToolCallStart(0, 1, "", "g"),
            neutral_events.ToolArgumentsDelta(0, 0, "{"),
            neutral_events.ToolArgumentsDelta(0, 1, "{}"),
            neutral_events.ToolArgumentsDelta(0, 0, "}"),
            neutral_events.ToolCallEnd(0, 1),
            neutral_events.ToolCallEnd(0, 0),
            neutral_events.Finish(0, "tool_calls"),
        )
    )
    writer = CODEC.framing(lambda: 0)
    assert writer is not None
    events = list(messages(writer.feed(frames + encoder.end())))
    starts = [body for kind, body in events if kind == "contentBlockStart"]
    assert [start["contentBlockIndex"] for start in starts] == [1, 2]
    assert starts[1]["start"]["toolUse"]["toolUseId"].startswith("tooluse_")
    inputs = {1: "", 2: ""}
    for kind, body in events:
        if kind == "contentBlockDelta" and "toolUse" in body["delta"]:
            inputs[body["contentBlockIndex"]] += body["delta"]["toolUse"]["input"]
    assert inputs == {1: "{}", 2: "{}"}
    stops = [body["contentBlockIndex"] for kind, body in events if kind == "contentBlockStop"]
    assert sorted(stops) == [0, 1, 2]


def test_a_citation_alone_makes_no_block() -> None:
    """A client sends an empty text back, which Amazon refuses."""
    encoder = Encoder(CLIENT)
    cited = neutral_events.Citation(0, Source("https://a", "A"))
    events = (
        cited,
        neutral_events.TextDelta(0, "a"),
        neutral_events.ToolCallStart(0, 0, "c0", "f"),
        neutral_events.ToolCallEnd(0, 0),
        neutral_events.Finish(0, "tool_calls"),
        cited,
    )
    frames = b"".join(map(encoder.feed, events)) + encoder.end()
    writer = CODEC.framing(lambda: 0)
    assert writer is not None
    deltas = [body for kind, body in messages(writer.feed(frames)) if kind == "contentBlockDelta"]
    assert [body["contentBlockIndex"] for body in deltas] == [0, 0]
    assert [list(body["delta"]) for body in deltas] == [["text"], ["citation"]]


def test_refusals_citations_and_other_pictures() -> None:
    refused = neutral.answer(Refusal("no"), finish="stop")
    assert json.loads(encode(refused, CLIENT))["stopReason"] == "content_filtered"
    cited = Choice(
        index=0, parts=(Text("x"),), finish="stop",
        citations=(Source("https://a", "A", quote="q"),),
    )  # fmt: skip
    answer = ChatAnswer(id="", model="m", created=0, choices=(cited,), counts=None)
    raw = add_latency(encode(answer, CLIENT), 1)
    (block,) = parse(raw)["output"]["message"]["content"]
    (citation,) = block["citationsContent"]["citations"]
    assert citation["location"] == {"web": {"url": "https://a"}}
    odd = neutral.answer(Image(Base64("AA==", "image/tiff")), Text("x"), finish="stop")
    content = json.loads(encode(odd, CLIENT))["output"]["message"]["content"]
    assert content == [{"text": "x"}]


def test_an_exception_of_a_forwarded_stream_is_said_in_our_words() -> None:
    from tests.fakes.aws_stream import event_message, exception

    decoder = Decoder(forwarded=True)
    begun = decoder.feed(event_message("messageStart", b'{"role":\n"assistant"}'))
    assert begun[0].raw == b'event: messageStart\ndata: {"role":"assistant"}\n\n'
    delta = b'{"delta":{"text":"x"},"contentBlockIndex":3}'
    decoder.feed(event_message("contentBlockDelta", delta))
    assert [kind for kind, _ in messages_of(decoder.length_notice())] == [
        "contentBlockStop", "messageStop", "metadata"
    ]  # fmt: skip
    (step,) = decoder.feed(exception("throttlingException", "slow down"))
    assert step.raw == b""
    assert isinstance(step.events[-1], UpstreamError)
    ((kind, body),) = messages_of(CODEC.fail(decoder, "rate_limited", "later", "r1"))
    assert (kind, body) == ("throttlingException", {"message": "later", "request_id": "r1"})


def messages_of(frames: bytes) -> list[tuple[str, dict[str, Any]]]:
    writer = CODEC.framing(lambda: 0)
    assert writer is not None
    return list(messages(writer.feed(frames)))


@pytest.mark.parametrize("effort", ["minimal", "max"])
def test_efforts_match_the_common_ones(effort: Effort) -> None:
    assert decode(outputConfig={"effort": effort}).reasoning == ReasoningSettings(effort)
