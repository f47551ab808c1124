"""Gemini's requests in Vertex's form, as the official client writes them."""

import json
import warnings
from typing import Any

import httpx
import pytest
from google.oauth2.credentials import Credentials

from dialects.chat.chat import Upstream
from dialects.codec import Target
from dialects.gemini import count_tokens
from dialects.gemini.vertex import VertexGenerateContentCodec

with warnings.catch_warnings():
    # The client's own.
    warnings.simplefilter("ignore")
    from google.genai import Client, errors
    from google.genai.types import GenerateContentConfig, GoogleSearch, HttpOptions, Tool

CODEC = VertexGenerateContentCodec()
MODEL = "gemini-2.5-flash"
UPSTREAM = Upstream(MODEL)
PATH = f"/v1beta1/projects/acme-1/locations/global/publishers/google/models/{MODEL}"


def _sent(body: Any) -> tuple[bytes, tuple[str, ...]]:
    facts = CODEC.read(json.dumps(body).encode(), Target(model=MODEL))
    assert CODEC.needs_fit(facts, UPSTREAM.flags)
    quirks = CODEC.quirks_for(facts, UPSTREAM, {})
    return CODEC.edit(facts, MODEL, None, None, quirks), quirks.dropped


def test_request_with_roles_stays_unchanged() -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "labels": {"a": "b"}}
    assert _sent(body) == (json.dumps(body).encode(), ())


def test_contents_without_a_role_are_the_users() -> None:
    parts = [{"text": "hi"}]
    model = {"role": "model", "parts": parts}
    sent = json.loads(_sent({"contents": [{"parts": parts}, model, {"parts": parts}]})[0])
    assert sent["contents"] == [
        {"role": "user", "parts": parts},
        model,
        {"role": "user", "parts": parts},
    ]


def test_answers_are_not_stored() -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "store": True}
    sent, dropped = _sent(body)
    assert (json.loads(sent), dropped) == ({"contents": body["contents"]}, ("store",))


@pytest.mark.parametrize("name", ["generateContentRequest", "generate_content_request"])
def test_a_count_has_no_request_inside(name: str) -> None:
    inner = {"model": "models/x", "contents": [{"parts": [{"text": "hi"}]}], "tools": []}
    facts = count_tokens.read_request(json.dumps({name: inner}).encode(), model=MODEL)
    counted = json.loads(CODEC.count_request(count_tokens.edit(facts, MODEL)))
    contents = [{"role": "user", "parts": [{"text": "hi"}]}]
    assert counted == {"contents": contents, "tools": []}
    plain = {"contents": contents}
    assert json.loads(CODEC.count_request(json.dumps(plain).encode())) == plain


def test_the_bodies_are_the_official_clients() -> None:
    """What google-genai sends to Vertex goes out unchanged, and to the paths of ours."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(400, json={"error": {"code": 400, "message": "no", "status": "X"}})

    client = Client(
        vertexai=True, project="acme-1", location="global",
        credentials=Credentials("ya29.t"),  # type: ignore[no-untyped-call]
        http_options=HttpOptions(httpx_client=httpx.Client(transport=httpx.MockTransport(answer))),
    )  # fmt: skip
    config = GenerateContentConfig(
        system_instruction="Be brief.", temperature=0.5, max_output_tokens=9,
        tools=[Tool(google_search=GoogleSearch())],
    )  # fmt: skip
    with pytest.raises(errors.ClientError):
        client.models.generate_content(model=MODEL, contents="hi", config=config)
    with pytest.raises(errors.ClientError):
        list(client.models.generate_content_stream(model=MODEL, contents="hi", config=config))
    with pytest.raises(errors.ClientError):
        client.models.count_tokens(model=MODEL, contents="hi")
    assert [request.url.path for request in seen] == [
        f"{PATH}:generateContent", f"{PATH}:streamGenerateContent", f"{PATH}:countTokens",
    ]  # fmt: skip
    assert seen[1].url.query == b"alt=sse"
    for request in seen[:2]:
        assert _sent(json.loads(request.content)) == (request.content, ())
    assert CODEC.count_request(seen[2].content) == seen[2].content
    assert {request.headers["authorization"] for request in seen} == {"Bearer ya29.t"}
