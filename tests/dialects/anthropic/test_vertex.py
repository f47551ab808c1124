"""Claude's messages in Vertex's form, as the official client writes them."""

import json
from typing import Any

import httpx2
import pytest
from anthropic import AnthropicVertex, BadRequestError

from dialects.anthropic.vertex import BETAS, SEARCH_BETA, VertexMessagesCodec
from dialects.chat.chat import Image, Message, Text, Upstream, Url, WebSearch
from dialects.codec import Target
from tests.dialects import neutral

CODEC = VertexMessagesCodec()
VERSION = {"anthropic_version": "vertex-2023-10-16"}
UPSTREAM = Upstream("claude-sonnet-4-5@20250929")
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
BODY = (
    b'{"model": "m", "stream": true, "max_tokens": 5, "metadata": {"user_id": "u"},\n "messages": '
    b'[{"role": "user", "content": "hi"}], "service_tier": "auto", "weird": [1.50]}'
)


def _sent(
    body: bytes, headers: dict[str, str], cap: int | None = None
) -> tuple[bytes, tuple[str, ...]]:
    facts = CODEC.read(body, Target())
    quirks = CODEC.fit_headers(facts, CODEC.quirks_for(facts, UPSTREAM, {}), headers)
    return CODEC.edit(facts, "ignored", cap, None, quirks), quirks.dropped


def test_the_clients_bytes_are_kept() -> None:
    body, dropped = _sent(BODY, {})
    assert body == (
        b'{"stream": true, "max_tokens": 5, "metadata": {"user_id": "u"},\n "messages": '
        b'[{"role": "user", "content": "hi"}], "weird": [1.50],'
        b'"anthropic_version":"vertex-2023-10-16"}'
    )
    assert dropped == ("service_tier",)
    assert json.loads(_sent(BODY, {}, cap=3)[0])["max_tokens"] == 3


def test_unknown_betas_are_named() -> None:
    beta = min(BETAS)
    _, dropped = _sent(BODY, {"anthropic-beta": f"{beta}, files-api-2025-04-14"})
    assert dropped == ("service_tier", "files-api-2025-04-14")
    headers = (("user-agent", "x"), ("anthropic-beta", f"{beta},files-api-2025-04-14"))
    sent = ("anthropic-beta", f"{SEARCH_BETA},{beta}")
    assert CODEC.forwarded_headers(headers) == (headers[0], sent)
    assert CODEC.forwarded_headers(headers[:1]) == headers[:1]


def test_a_translated_body_keeps_web_search() -> None:
    picture = Image(Url("https://a.example/x.png"))
    request = neutral.request(
        Message("user", (Text("hi"), picture)), stream=True, service_tier="auto", output_cap=9
    )
    encoded = CODEC.encode(request, UPSTREAM)
    body = json.loads(encoded.body)
    assert body["anthropic_version"] == "vertex-2023-10-16"
    assert (body["stream"], body["max_tokens"]) == (True, 9)
    assert not body.keys() & {"model", "service_tier"}
    assert CODEC.urls_to_fetch(request) == ("https://a.example/x.png",)
    searching = neutral.request(tools=(WebSearch("anthropic", SEARCH),))
    tools = json.loads(CODEC.encode(searching, UPSTREAM).body)["tools"]
    assert tools == [SEARCH]


def test_the_body_is_the_official_clients() -> None:
    """`anthropic[vertex]` writes the same for a chat, streamed or not, and for a count; only its
    version is newer than the one that Google documents."""
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(400, json={})

    client = AnthropicVertex(
        region="eu", project_id="acme-1", access_token="t", max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
    )  # fmt: skip
    messages = [{"role": "user", "content": "hi"}]
    for stream in (False, True):
        ask: Any = {
            "model": UPSTREAM.model,
            "max_tokens": 5,
            "messages": messages,
            "stream": stream,
        }
        with pytest.raises(BadRequestError):
            client.messages.create(**ask)
        body, theirs = _sent(json.dumps(ask).encode(), {})[0], json.loads(seen[-1].content)
        assert json.loads(body) == theirs | VERSION
        operation = CODEC.upstream_operation(stream=stream)
        verb = {"raw_predict": "rawPredict", "stream_raw_predict": "streamRawPredict"}[operation]
        path = f"/v1/projects/acme-1/locations/eu/publishers/anthropic/models/{UPSTREAM.model}"
        assert seen[-1].url.path == f"{path}:{verb}"
    assert seen[-1].url.host == "aiplatform.eu.rep.googleapis.com"
    with pytest.raises(BadRequestError):
        client.messages.count_tokens(
            model=UPSTREAM.model, messages=[{"role": "user", "content": "hi"}]
        )
    asked = {"model": UPSTREAM.model, "messages": messages}
    assert json.loads(CODEC.count_request(json.dumps(asked).encode())) == (
        json.loads(seen[-1].content) | VERSION
    )
    assert seen[-1].url.path.endswith("/publishers/anthropic/models/count-tokens:rawPredict")
