"""OpenAI's Responses: its rules, its sealed reasoning, and its official client."""

import base64
import json
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from tests.fakes.tests.forms import RESPONSES, named
from tests.fakes.tests.http import Got, post
from tests.fakes.upstream import FakeUpstream, expected_text

CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "seen"}
USER = {"role": "user", "content": "x"}


def ask(fake: FakeUpstream, inputs: Any, **more: Any) -> Got:
    return post(fake, "/v1/responses", {"model": "fake", "input": inputs} | more, RESPONSES.headers)


@pytest.mark.parametrize(
    ("inputs", "more", "words"),
    [
        ([], {}, "Missing required parameter: 'input'"),
        ("x", {"max_output_tokens": 3}, ">= 16"),
        ([{"role": "robot", "content": "x"}], {}, "Invalid value: 'robot'"),
        ([{"role": "user", "content": [{"type": "text", "text": "x"}]}], {}, "'text'"),
        ([{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}], {}, "input_te"),
        ([USER, CALL], {}, "No tool output found"),
        ([USER, OUTPUT], {}, "No tool call found"),
        ([USER, {"type": "reasoning", "id": "rs_1", "summary": []}], {}, "following item"),
        ([USER, {"type": "nonsense"}], {}, "nonsense"),
        ("x", {"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
        ("x", {"tools": [{"type": "function", "function": {"name": "look"}}]}, "tools[0].name"),
    ],
)
def test_provider_rejections(
    fake: FakeUpstream, inputs: Any, more: dict[str, Any], words: str
) -> None:
    got = ask(fake, inputs, **more)
    assert got.status == 400
    assert words in got.json()["error"]["message"]


def test_reasoning_comes_back_by_its_seal(fake: FakeUpstream) -> None:
    include = {"include": ["reasoning.encrypted_content"], "store": False}
    asked = "go #reasoning=2 #tools=1"
    thought, used = ask(fake, asked, **include).json()["output"]
    assert (thought["type"], used["type"]) == ("reasoning", "function_call")
    result = {"type": "function_call_output", "call_id": used["call_id"], "output": "sun"}

    def second(reasoning: dict[str, Any], **more: Any) -> Got:
        user = {"role": "user", "content": asked}
        return ask(fake, [user, reasoning, used, result], **include | more)

    got = second(thought)
    assert got.status == 200
    assert "sun" in got.json()["output"][-1]["content"][0]["text"]
    assert fake.books()[-1]["seals"] == 1
    wrong = second(thought | {"encrypted_content": "anthropic:abc"})
    assert wrong.json()["error"]["code"] == "invalid_encrypted_content"
    moved = second(thought | {"id": "rs_other"})
    assert moved.json()["error"]["code"] == "invalid_encrypted_content"
    bare = {name: value for name, value in thought.items() if name != "encrypted_content"}
    assert second(bare).status == 404
    assert second(bare, store=True).status == 200
    unasked = ask(fake, asked).json()["output"][0]
    assert "encrypted_content" not in unasked


def test_files_and_pictures_are_counted(fake: FakeUpstream) -> None:
    data = base64.b64encode(b"%PDF-1.4").decode()
    parts = [
        {"type": "input_text", "text": "two words"},
        {
            "type": "input_file",
            "filename": "a.pdf",
            "file_data": f"data:application/pdf;base64,{data}",
        },
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{data}"},
    ]
    assert ask(fake, [{"role": "user", "content": parts}]).status == 200
    row = fake.books()[0]
    assert row["prompt_tokens"] == 5
    results = [(medium["kind"], medium["bytes"]) for medium in row["media"]]
    assert results == [("file", 8), ("file", None), ("image", 8)]


def test_the_stream_keeps_its_grammar(fake: FakeUpstream) -> None:
    got = RESPONSES.ask(fake, "x #reasoning=2 #hidden=1 #tokens=2 #tools=2 #args=0", stream=True)
    events = named(got)
    names = [name.removeprefix("response.") for name, _ in events]
    assert names[:2] == ["created", "in_progress"]
    assert names[-1] == "completed"
    assert names.count("output_item.added") == names.count("output_item.done") == 4
    assert "[DONE]" not in got.body.decode()
    done = [event["item"] for name, event in events if name == "response.output_item.done"]
    assert events[-1][1]["response"]["output"] == done
    assert [item["type"] for item in done] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
    ]
    plain = RESPONSES.ask(fake, "x #reasoning=2 #hidden=1 #tokens=2 #tools=2 #args=0").json()
    assert [item["type"] for item in plain["output"]] == [item["type"] for item in done]


def test_other_ends(fake: FakeUpstream) -> None:
    failed = RESPONSES.ask(fake, "#finish=failed", stream=True)
    assert named(failed)[-1][0] == "response.failed"
    filtered = RESPONSES.hear(fake, "#finish=content_filter", stream=True)
    assert filtered.finish == "content_filter"
    nodone = RESPONSES.ask(fake, "#nodone", stream=True)
    assert named(nodone)[-1][0] == "response.output_item.done"


# ---- the official client


def client(fake: FakeUpstream) -> OpenAI:
    return OpenAI(base_url=fake.url, api_key="sk-fake", max_retries=0)


TOOL: Any = {"type": "function", "name": "look", "parameters": {}, "strict": False}


def test_the_official_client_reads_answers_and_counts(fake: FakeUpstream) -> None:
    with client(fake) as openai:
        got = openai.responses.create(model="fake-9", input="hello you")
        assert got.output_text == expected_text("a", "hello you", 9)
        assert got.usage is not None
        assert (got.usage.input_tokens, got.usage.output_tokens) == (2, 9)
        counted = openai.responses.input_tokens.count(model="fake", input="one two three")
        assert counted.input_tokens == 3
        with pytest.raises(BadRequestError):
            openai.responses.create(model="fake", input=[])
    assert [row["usage"]["total_tokens"] for row in fake.books()] == [11, 0, 0]


def test_the_official_client_streams_and_calls_in_two_phases(fake: FakeUpstream) -> None:
    asked: list[Any] = [{"role": "user", "content": "go #reasoning=2 #tokens=2 #tools=2"}]
    more: Any = {"include": ["reasoning.encrypted_content"], "store": False, "tools": [TOOL]}
    with client(fake) as openai:
        with openai.responses.stream(model="fake", input=asked, **more) as stream:
            final = stream.get_final_response()
        assert [item.type for item in final.output] == [
            "reasoning",
            "message",
            "function_call",
            "function_call",
        ]
        asked += [item.model_dump(exclude_none=True) for item in final.output]
        for i, item in enumerate(final.output[2:]):
            assert item.type == "function_call"
            assert json.loads(item.arguments)["n"] == i
            result = {"type": "function_call_output", "call_id": item.call_id, "output": f"s{i}"}
            asked.append(result)
        for item in asked:
            item.pop("parsed_arguments", None)
        second = openai.responses.create(model="fake", input=asked, **more)
        assert " s0 s1 " in second.output_text
        with (
            pytest.raises(RuntimeError, match="completed"),
            openai.responses.stream(model="fake+fault=F14@3", input="x") as stream,
        ):
            stream.get_final_response()
