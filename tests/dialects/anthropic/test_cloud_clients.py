"""Clients that use Claude as a cloud serves it: their requests become Claude's own."""

import json
from typing import Any

import pytest

from dialects.anthropic.cloud_clients import (
    BedrockClientCodec,
    VertexClientCodec,
    VertexCountCodec,
)
from dialects.codec import Target

BODY = {"anthropic_version": "v", "max_tokens": 9, "messages": []}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("codec", [BedrockClientCodec(), VertexClientCodec()])
def test_model_and_stream_come_from_the_path(codec: Any, stream: bool) -> None:
    raw, lines = codec.standard_request(
        json.dumps(BODY | {"stream": not stream}).encode(), Target("claude", stream=stream)
    )
    assert json.loads(raw) == {
        "max_tokens": 9, "messages": [], "model": "claude", "stream": stream,
    }  # fmt: skip
    assert lines == ()


def test_count_of_vertex_names_its_model() -> None:
    body = json.dumps(BODY | {"model": "mine"}).encode()
    raw, _ = VertexCountCodec().standard_request(body, Target("claude"))
    assert json.loads(raw) == {"model": "mine", "max_tokens": 9, "messages": []}
    for codec in (VertexCountCodec(), VertexClientCodec(), BedrockClientCodec()):
        assert codec.standard_request(b"{", Target("claude"))[0] == b"{"


@pytest.mark.parametrize(
    ("betas", "header", "stays"),
    [
        (["a-1", "b-2"], b"a-1,b-2", False),
        ("a-1", b"a-1", False),
        ([], None, False),
        (["a\n1"], None, True),
        (["a", 3], None, True),
        ({"a": 1}, None, True),
    ],
)
def test_betas_of_bedrock_become_a_header(betas: Any, header: bytes | None, stays: bool) -> None:
    body = json.dumps(BODY | {"anthropic_beta": betas}).encode()
    raw, lines = BedrockClientCodec().standard_request(body, Target("claude"))
    assert lines == (((b"anthropic-beta", header),) if header else ())
    assert ("anthropic_beta" in json.loads(raw)) is stays


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("rate_limit_error", b"throttlingException"),
        ("overloaded_error", b"serviceUnavailableException"),
        ("invalid_request_error", b"validationException"),
        ("api_error", b"internalServerException"),
        ("permission_error", b"modelStreamErrorException"),
    ],
)
def test_error_of_a_stream_is_one_of_amazons_exceptions(kind: str, name: bytes) -> None:
    framing = BedrockClientCodec().framing(lambda: 0)
    data = json.dumps({"type": "error", "error": {"type": kind, "message": "No."}})
    written = framing.feed(f"event: error\ndata: {data}\n\n".encode())
    assert name in written
    assert b"No." in written
