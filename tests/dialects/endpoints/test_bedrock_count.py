"""Counts of tokens in Bedrock's form, around Claude's own form or Converse's."""

import base64
import json
from typing import Any

import pytest

from dialects.codec import Target
from dialects.endpoints.bedrock_count import BedrockCountCodec
from dialects.errors.errors import RequestFault

CODEC = BedrockCountCodec()
TARGET = Target("claude")
MESSAGES = [{"role": "user", "content": "Hello"}]


def counted(input_: Any) -> dict[str, Any]:
    raw, _ = CODEC.standard_request(json.dumps({"input": input_}).encode(), TARGET)
    body: dict[str, Any] = json.loads(raw)
    return body


def invoked(body: dict[str, Any]) -> dict[str, Any]:
    return {"invokeModel": {"body": base64.b64encode(json.dumps(body).encode()).decode()}}


def test_what_concerns_the_answer_alone_is_not_counted() -> None:
    body = {
        "anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "temperature": 0.5,
        "top_p": 1, "top_k": 3, "stop_sequences": ["x"], "system": "Be kind.",
        "messages": MESSAGES, "tools": [{"name": "t", "input_schema": {"type": "object"}}],
    }  # fmt: skip
    assert counted(invoked(body)) == {
        "model": "claude", "system": "Be kind.", "messages": MESSAGES, "tools": body["tools"],
    }  # fmt: skip


def test_converse_is_counted_in_claudes_form() -> None:
    body = counted(
        {
            "converse": {
                "system": [{"text": "Be kind."}],
                "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
            }
        }
    )
    assert body["model"] == "claude"
    assert "Be kind." in json.dumps(body["system"])
    assert "Hello" in json.dumps(body["messages"])
    assert "max_tokens" not in body


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": 3}, "input"),
        ({"input": {}}, "input.invokeModel"),
        ({"input": {"invokeModel": {}}}, "input.invokeModel.body"),
        ({"input": {"invokeModel": {"body": "?"}}}, "input.invokeModel.body"),
        ({"input": {"converse": 3}}, "input.converse"),
        ({"input": {"converse": {"messages": 3}}}, "input.converse.messages"),
    ],
)
def test_invalid_count_names_its_member(body: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestFault) as fault:
        CODEC.standard_request(json.dumps(body).encode(), TARGET)
    assert fault.value.param == param


def test_count_is_written_in_bedrocks_form() -> None:
    assert json.loads(CODEC.write_count(b'{"input_tokens": 12}')) == {"inputTokens": 12}
