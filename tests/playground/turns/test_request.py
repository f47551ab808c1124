"""The request that a turn becomes is one that any client of the API could have written."""

import base64

from content.prompts.settings import Settings
from gateway.providers.capabilities import UNKNOWN
from playground.turns.request import ChatMessage, Stored, build_request, shorten_request

HELLO = ChatMessage("user", "Hello")


def test_a_plain_turn() -> None:
    assert build_request("m", [HELLO], Settings(), UNKNOWN, {}) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_whole_conversation_is_sent_and_mocks_are_not() -> None:
    settings = Settings(
        params={"temperature": 0.5},
        system="You are {{who}}.",
        variables={"who": "a clerk"},
        tools=[{"name": "f", "parameters": {"type": "object"}, "mock": 1, "always": True}],
        tool_choice="f",
        serial=True,
        schema={"title": "Answer 1", "type": "object"},
        strict=True,
        max_cost="0.05",
    )
    body = build_request("m", [HELLO], settings, UNKNOWN, {})
    assert body["messages"][0] == {"role": "system", "content": "You are a clerk."}
    assert body["temperature"] == 0.5
    assert body["tools"] == [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    ]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert body["parallel_tool_calls"] is False
    assert body["response_format"]["json_schema"] == {
        "name": "Answer1",
        "schema": {"title": "Answer 1", "type": "object"},
        "strict": True,
    }
    assert body["max_cost"] == "0.05"


def test_raw_body_replaces_the_fields() -> None:
    settings = Settings(params={"temperature": 0.5}, raw={"logprobs": True, "odd": 1}, system="S")
    body = build_request("m", [HELLO], settings, UNKNOWN, {})
    assert (body["logprobs"], body["odd"]) == (True, 1)
    assert "temperature" not in body
    assert body["messages"][0]["role"] == "system"


def test_previous_prompt_is_marked_for_the_cache() -> None:
    settings = Settings(params={"cache": "on"}, system="S")
    body = build_request("m", [HELLO, ChatMessage("assistant", "Hi"), HELLO], settings, UNKNOWN, {})
    mark = {"cache_control": {"type": "ephemeral"}}
    assert body["messages"] == [
        {"role": "system", "content": [{"type": "text", "text": "S"} | mark]},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": [{"type": "text", "text": "Hello"} | mark]},
    ]
    assert "cache" not in body


def test_calls_and_results_return_together() -> None:
    calls = [{"id": "c1", "name": "f", "arguments": ""}, {"id": "c2", "name": "g",
                                                         "arguments": '{"a":1}'}]  # fmt: skip
    results = [
        {"call_id": "c1", "name": "f", "content": "1", "failed": False},
        {"call_id": "c2", "name": "g", "content": "error", "failed": True},
    ]
    path = [
        HELLO,
        ChatMessage("assistant", "", {"calls": calls}, "I think"),
        ChatMessage("tool", "", {"results": results}),
        ChatMessage("assistant", "Done", {}, "thought"),
        ChatMessage("assistant", ""),
    ]
    _, called, first_result, second_result, done = build_request(
        "m", path, Settings(), UNKNOWN, {}
    )["messages"]
    assert called["content"] is None
    assert [call["function"]["arguments"] for call in called["tool_calls"]] == ["{}", '{"a":1}']
    assert called["reasoning_content"] == "I think"
    assert first_result == {"role": "tool", "tool_call_id": "c1", "content": "1"}
    assert second_result == {"role": "tool", "tool_call_id": "c2", "content": "error"}
    assert done == {"role": "assistant", "content": "Done"}


def test_files_precede_the_text_in_their_form() -> None:
    kinds = ("image", "audio", "file", "text", "gone")
    files = {"files": [{"id": kind, "name": f"{kind}.x", "kind": kind} for kind in kinds]}
    stored = {
        "image": Stored("image.x", "image", "image/png", b"P"),
        "audio": Stored("audio.x", "audio", "audio/mpeg", b"A"),
        "file": Stored("file.x", "file", "application/pdf", b"F"),
        "text": Stored("text.x", "text", "text/plain", b"words"),
    }
    (message,) = build_request(
        "m", [ChatMessage("user", "Look", files)], Settings(), UNKNOWN, stored
    )["messages"]
    image, audio, file, text, gone, words = message["content"]
    assert image["image_url"]["url"] == "data:image/png;base64," + base64.b64encode(b"P").decode()
    assert audio["input_audio"]["format"] == "mp3"
    assert file["file"]["filename"] == "file.x"
    assert text["text"] == "text.x:\n\nwords"
    assert "is gone" in gone["text"]
    assert words == {"type": "text", "text": "Look"}


def test_long_data_is_shortened_only_for_display() -> None:
    body = build_request("m", [ChatMessage("user", "x" * 5000)], Settings(), UNKNOWN, {})
    page_text = shorten_request(body)
    assert page_text["messages"][0]["content"].endswith("(5,000 characters)")
    assert len(body["messages"][0]["content"]) == 5000
