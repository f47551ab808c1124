"""F38: a tool call that the length limit has cut is reported as finished in no dialect."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dialects.chat.chat import Dialect
from dialects.chat.events import (
    Event,
    Finish,
    Start,
    ToolArgumentsDelta,
    ToolCallEnd,
    ToolCallStart,
)
from dialects.chat.open_calls import is_whole
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from dialects.interactions.background import open_events, queued_response
from dialects.json.body import read_body
from dialects.translation import StreamTranslator, translate
from tests.dialects.neutral import request
from tests.fakes.aws_stream import event_message

CUT = '{"input":"rm -rf /srv/data'
WHOLE = CUT + '/cache"}'
CALL: list[Event] = [Start("i", "m"), ToolCallStart(0, 0, "c1", "run")]
# What reports a call as finished, in each dialect; chat has no such mark.
ENDS: dict[Dialect, tuple[bytes, ...]] = {
    "anthropic": (b"content_block_stop",),
    "responses": (b'"status":"completed"', b"arguments.done", b"input.done"),
    "gemini": (b"functionCall",),
    "interactions": (b"step.stop",),
    "converse": (b"contentBlockStop",),
}


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def chat(arguments: str, reason: str) -> bytes:
    call = {"index": 0, "id": "c1", "function": {"name": "run", "arguments": arguments}}
    pieces = [({"tool_calls": [call]}, None), ({}, reason)]
    chunks = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": end}]} for delta, end in pieces
    ]
    return sse(*chunks) + b"data: [DONE]\n\n"


def anthropic(arguments: str, reason: str) -> bytes:
    block = {"type": "tool_use", "id": "c1", "name": "run", "input": {}}
    delta = {"type": "input_json_delta", "partial_json": arguments}
    reason = "max_tokens" if reason == "length" else "tool_use"
    return sse(
        {"type": "message_start", "message": {"id": "i", "model": "m"}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    )


def responses(arguments: str, reason: str) -> bytes:
    call = {"type": "function_call", "id": "fc", "call_id": "c1", "name": "run", "arguments": ""}
    status = "incomplete" if reason == "length" else "completed"
    delta = "response.function_call_arguments.delta"
    done = call | {"arguments": arguments, "status": status}
    details = {"reason": "max_output_tokens"} if reason == "length" else None
    response = {"id": "i", "model": "m", "status": status, "incomplete_details": details}
    return sse(
        {"type": "response.created", "response": {"id": "i", "model": "m"}},
        {"type": "response.output_item.added", "output_index": 0, "item": call},
        {"type": delta, "output_index": 0, "item_id": "fc", "delta": arguments},
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {"type": f"response.{status}", "response": response | {"output": [done]}},
    )


def interactions(arguments: str, reason: str) -> bytes:
    step = {"type": "function_call", "id": "c1", "name": "run", "arguments": {}}
    delta = {"type": "arguments_delta", "arguments": arguments}
    status = "incomplete" if reason == "length" else "requires_action"
    ended = {"id": "i", "status": status}
    return (
        sse(
            {"event_type": "interaction.created", "interaction": {"id": "i", "model": "m"}},
            {"event_type": "step.start", "index": 0, "step": step},
            {"event_type": "step.delta", "index": 0, "delta": delta},
            {"event_type": "step.stop", "index": 0},
            {"event_type": "interaction.completed", "interaction": ended},
        )
        + b"data: [DONE]\n\n"
    )


def converse(arguments: str, reason: str) -> bytes:
    start = {"toolUse": {"toolUseId": "c1", "name": "run"}}
    delta = {"toolUse": {"input": arguments}}
    reason = "max_tokens" if reason == "length" else "tool_use"
    events: list[tuple[str, dict[str, Any]]] = [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockStart", {"start": start, "contentBlockIndex": 0}),
        ("contentBlockDelta", {"delta": delta, "contentBlockIndex": 0}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": reason}),
        ("metadata", {"usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}}),
    ]
    return b"".join(event_message(kind, json.dumps(body).encode()) for kind, body in events)


UPSTREAMS = {
    "openai": chat, "anthropic": anthropic, "responses": responses,
    "interactions": interactions, "converse": converse,
}  # fmt: skip
CELLS = [(client, upstream) for client in ENDS for upstream in UPSTREAMS if client != upstream]


def ends_in(client: Dialect, answer: bytes) -> bool:
    return any(mark in answer for mark in ENDS[client])


def chat_at_once(arguments: str, reason: str) -> bytes:
    call = {"index": 0, "id": "c1", "function": {"name": "run", "arguments": arguments}}
    choice = {"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": reason}
    return sse({"id": "i", "choices": [choice]}) + b"data: [DONE]\n\n"


@pytest.mark.parametrize(("upstream", "write"), [*UPSTREAMS.items(), ("openai", chat_at_once)])
def test_whole_call_ends_before_its_answer(
    upstream: Dialect, write: Callable[[str, str], bytes]
) -> None:
    decoder = CODECS[upstream].translating_decoder(request(), "")
    raw = write(WHOLE, "tool_calls")
    events = [event for step in (*decoder.feed(raw), *decoder.end()) for event in step.events]
    kinds = (ToolCallStart, ToolArgumentsDelta, ToolCallEnd, Finish)
    assert [event for event in events if isinstance(event, kinds)] == [
        ToolCallStart(0, 0, "c1", "run"),
        ToolArgumentsDelta(0, 0, WHOLE),
        ToolCallEnd(0, 0),
        Finish(0, "tool_calls"),
    ]


@pytest.mark.parametrize(("client", "upstream"), CELLS)
def test_a_call_cut_by_the_length_is_not_finished(client: Dialect, upstream: Dialect) -> None:
    """A call that is whole is finished, whatever follows it."""
    for arguments, reason, ended in (
        (CUT, "length", False),
        (WHOLE, "length", True),
        (WHOLE, "tool_calls", True),
    ):
        decoder = CODECS[upstream].translating_decoder(request(), "")
        encoder = CODECS[client].encoder(request(dialect=client), Target())
        translator = StreamTranslator(decoder, encoder, 1)
        steps = translator.feed(UPSTREAMS[upstream](arguments, reason)) + translator.end()
        answer = b"".join(step.raw for step in steps)
        assert ends_in(client, answer) is ended


def whole_chat(arguments: str, reason: str) -> dict[str, Any]:
    call = {"id": "c1", "type": "function", "function": {"name": "run", "arguments": arguments}}
    message = {"role": "assistant", "content": "Wait.", "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return {"id": "i", "model": "m", "choices": [choice]}


def whole_responses(arguments: str, reason: str) -> dict[str, Any]:
    status = "incomplete" if reason == "length" else "completed"
    call = {
        "type": "function_call", "id": "fc", "call_id": "c1", "name": "run",
        "arguments": arguments, "status": status,
    }  # fmt: skip
    content = [{"type": "output_text", "text": "Wait.", "annotations": []}]
    text = {"type": "message", "id": "msg", "role": "assistant", "content": content}
    details = {"reason": "max_output_tokens"} if reason == "length" else None
    ended = {"status": status, "incomplete_details": details}
    return {"id": "i", "object": "response", "model": "m", "output": [text, call], **ended}


def whole_anthropic(arguments: str, reason: str) -> dict[str, Any]:
    call = {"type": "tool_use", "id": "c1", "name": "run", "input": json.loads(arguments)}
    return {
        "id": "i", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "text", "text": "Wait."}, call],
        "stop_reason": "max_tokens" if reason == "length" else "tool_use",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip


def whole_gemini(arguments: str, reason: str) -> dict[str, Any]:
    call = {"functionCall": {"name": "run", "args": json.loads(arguments)}}
    content = {"role": "model", "parts": [{"text": "Wait."}, call]}
    ended = "MAX_TOKENS" if reason == "length" else "STOP"
    return {"candidates": [{"index": 0, "content": content, "finishReason": ended}]}


def whole_interactions(arguments: str, reason: str) -> dict[str, Any]:
    text = {"type": "model_output", "content": [{"type": "text", "text": "Wait."}]}
    args = json.loads(arguments)
    call = {"type": "function_call", "id": "c1", "name": "run", "arguments": args}
    status = "incomplete" if reason == "length" else "requires_action"
    return {"id": "i", "model": "m", "status": status, "steps": [text, call]}


def whole_converse(arguments: str, reason: str) -> dict[str, Any]:
    use = {"toolUseId": "c1", "name": "run", "input": json.loads(arguments)}
    content = [{"text": "Wait."}, {"toolUse": use}]
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "max_tokens" if reason == "length" else "tool_use",
        "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
    }


WHOLES: dict[Dialect, Callable[[str, str], dict[str, Any]]] = {
    "openai": whole_chat, "responses": whole_responses, "anthropic": whole_anthropic,
    "gemini": whole_gemini, "interactions": whole_interactions, "converse": whole_converse,
}  # fmt: skip
# How they say that the limit was reached.
LIMITED = (b'"length"', b'"max_tokens"', b'"status":"incomplete"')
# In the others, arguments are an object: of a call that is cut nobody could tell.
TEXT_ARGUMENTS = ("openai", "responses")


def finished_calls(client: Dialect, answer: dict[str, Any]) -> list[Any]:
    """The calls that a client may run. Arguments of chat are a text, which tells that it is cut."""
    match client:
        case "openai":
            calls = answer["choices"][0]["message"].get("tool_calls", [])
            return [one for one in calls if is_whole(one["function"]["arguments"])]
        case "responses":
            items = [one for one in answer["output"] if one["type"] == "function_call"]
            return [one for one in items if one["status"] == "completed"]
        case "anthropic":
            return [one for one in answer["content"] if one["type"] == "tool_use"]
        case "gemini":
            parts = answer["candidates"][0]["content"]["parts"]
            return [one for one in parts if "functionCall" in one]
        case "interactions":
            return [one for one in answer["steps"] if one["type"] == "function_call"]
        case _:
            content = answer["output"]["message"]["content"]
            return [one for one in content if "toolUse" in one]


@pytest.mark.parametrize(
    ("client", "upstream"), [(one, other) for one in WHOLES for other in WHOLES if one != other]
)
def test_a_call_cut_by_the_length_is_not_finished_in_a_whole_answer(
    client: Dialect, upstream: Dialect
) -> None:
    for arguments, reason, ended in (
        (CUT, "length", False),
        (WHOLE, "length", True),
        (WHOLE, "tool_calls", True),
    ):
        if not ended and upstream not in TEXT_ARGUMENTS:
            continue
        asked = request(dialect=client)
        raw = json.dumps(WHOLES[upstream](arguments, reason)).encode()
        read = CODECS[upstream].translate_answer(raw, asked, "")
        answer = CODECS[client].write_answer(read.fold(), asked)
        assert len(finished_calls(client, json.loads(answer))) == ended, answer
        assert b"Wait." in answer
        limited = any(word in answer.lower() for word in LIMITED)
        assert limited == (reason == "length"), answer


def interaction_of(arguments: str, reason: str, *, translated: bool) -> tuple[bytes, bytes]:
    """The frames of a streamed interaction, and the interaction that is stored."""
    if translated:
        decoder = CODECS["openai"].translating_decoder(request(), "")
        encoder = CODECS["interactions"].encoder(request(dialect="interactions"), Target())
        translator = StreamTranslator(decoder, encoder, 1)
        steps = translator.feed(chat(arguments, reason)) + translator.end()
        stored = CODECS["interactions"].response_of(encoder)
    else:
        body = {"model": "m", "input": "hi", "stream": True}
        target = Target("m", stream=True)
        facts = CODECS["interactions"].read(json.dumps(body).encode(), target)
        forwarded = CODECS["interactions"].decoder(facts, target)
        steps = forwarded.feed(interactions(arguments, reason))
        stored = CODECS["interactions"].response_of(forwarded)
    return b"".join(step.raw for step in steps), stored or b""


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("translated", [True, False])
def test_a_stored_interaction_is_without_a_call_that_is_cut(
    translated: bool, background: bool
) -> None:
    """Its stream did not end the call."""
    for arguments, reason, ended in ((CUT, "length", 0), (WHOLE, "length", 1), (CUT, "stop", 1)):
        frames, response = interaction_of(arguments, reason, translated=translated)
        if background:
            response = in_background(frames)
        assert len(finished_calls("interactions", json.loads(response))) == ended


def test_a_call_that_never_ended_is_not_in_an_interaction_of_the_background() -> None:
    """The limit cut it before its first argument."""
    frames, response = interaction_of("", "length", translated=True)
    for stored in (response, in_background(frames)):
        assert finished_calls("interactions", json.loads(stored)) == []


def in_background(frames: bytes) -> bytes:
    """The interaction that is stored of these frames, if it runs in the background."""
    body = read_body(b'{"model":"m","input":"hi","background":true}')
    events = open_events(body, "v1_w", queued_response(body, "v1_w", 7))
    events.begin()
    events.feed(frames)
    assert events.ended
    return events.response


@pytest.mark.parametrize("client", ENDS)
def test_a_call_in_a_stream_that_weir_cuts_is_not_finished(client: Dialect) -> None:
    """F18."""
    for ended in ([], [ToolCallEnd(0, 0)]):
        encoder = CODECS[client].encoder(request(dialect=client), Target())
        decoder = CODECS["openai"].translating_decoder(request(), "")
        translator = StreamTranslator(decoder, encoder, 1)
        events = [*CALL, ToolArgumentsDelta(0, 0, WHOLE if ended else CUT), *ended]
        answer = translator.write(events) + translator.cut()
        assert ends_in(client, answer) is bool(ended)


@pytest.mark.parametrize("client", ["converse", "interactions"])
def test_a_call_in_a_forwarded_stream_that_weir_cuts_is_not_finished(client: Dialect) -> None:
    """F18."""
    codec = CODECS[client]
    body: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}
    if client == "interactions":
        body = {"model": "m", "input": "hi", "stream": True}
    facts = codec.read(json.dumps(body).encode(), Target("m", stream=True))
    decoder = codec.decoder(facts, Target("m", stream=True))
    raw = UPSTREAMS[client](CUT, "length")
    begun = raw[: raw.index(b"step.stop" if client == "interactions" else b"contentBlockStop") - 40]
    assert decoder.feed(begun)
    assert not ends_in(client, codec.cut(decoder))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "tool", [{"type": "custom", "name": "run"}, {"type": "function", "name": "run"}]
)
def test_the_item_of_a_cut_call_is_incomplete(tool: dict[str, Any], stream: bool) -> None:
    """An agent that runs what is completed would run another command."""
    body = {"model": "m", "input": "hi", "tools": [tool], "stream": stream}
    translation = translate(json.dumps(body).encode(), "responses", "openai", "u")
    if stream:
        whole = translation.stream()
        answer = whole.feed(chat(CUT, "length")) + whole.end()
        frames = [json.loads(line[6:]) for line in answer.splitlines() if line[:5] == b"data:"]
        (item,) = [frame["item"] for frame in frames if frame["type"].endswith("item.done")]
        assert not any(frame["type"].endswith(("input.done", "arguments.done")) for frame in frames)
    else:
        call = {"id": "c1", "type": "function", "function": {"name": "run", "arguments": CUT}}
        choice = {"index": 0, "message": {"tool_calls": [call]}, "finish_reason": "length"}
        got = translation.answer(json.dumps({"choices": [choice]}).encode())
        (item,) = json.loads(got)["output"]
    assert item["status"] == "incomplete"


@pytest.mark.parametrize("client", [one for one in ENDS if one != "responses"])
def test_a_call_without_arguments_ends_before_what_follows_it(client: Dialect) -> None:
    """Its text is what the limit cut, and the client gets the text while it arrives."""
    call = {"type": "function_call", "id": "fc", "call_id": "c1", "name": "run", "arguments": ""}
    item = {"type": "message", "id": "msg", "role": "assistant", "content": []}
    delta = {"type": "response.output_text.delta", "output_index": 1, "content_index": 0}
    incomplete = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    begun = sse(
        {"type": "response.created", "response": {"id": "i", "model": "m"}},
        {"type": "response.output_item.added", "output_index": 0, "item": call},
        {"type": "response.output_item.done", "output_index": 0, "item": call},
        {"type": "response.output_item.added", "output_index": 1, "item": item},
        delta | {"item_id": "msg", "delta": "planted"},
    )
    end = {"type": "response.incomplete", "response": {"id": "i", "model": "m", **incomplete}}
    decoder = CODECS["responses"].translating_decoder(request(), "")
    encoder = CODECS[client].encoder(request(dialect=client), Target())
    translator = StreamTranslator(decoder, encoder, 1)
    early = b"".join(step.raw for step in translator.feed(begun))
    assert (b"planted" in early, ends_in(client, early)) == (True, True)
    translator.feed(sse(end))
    translator.end()
