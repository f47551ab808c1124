"""The text endpoints beside chat, over the real hub: what clients read, and what the books say."""

import base64
import json
import secrets
import struct
import warnings
from typing import Any

import httpx
import pytest

with warnings.catch_warnings():
    # Its sources warn when they are compiled.
    warnings.simplefilter("ignore")
    from google import genai
    from google.genai import types

from dialects.codec import Target
from dialects.endpoints.codecs import TEXT_CODECS
from lib.ids import id_text
from relay.operations.unary import RERANK_JINA, Exchange
from tests.fakes.gemini import vector
from tests.fakes.upstream import FakeUpstream, expected_text
from tests.relay.asking import chunks_of
from tests.relay.clients import OpenAIClient
from tests.support.hub import Answer, Hub

pytestmark = pytest.mark.usefixtures("balanced_books")

IN = 2
EMBEDDED = {"in_text": IN * 10**6}
PER_REQUEST = {"requests": 5 * 10**6}
GEMINI: dict[str, Any] = {"provider": "gemini", "upstream_model": "gemini-embedding-001"}


def booked(
    hub: Hub, fake: FakeUpstream, request_id: str, operation: str, charge: int
) -> dict[str, Any]:
    """Our record of a request that succeeded; the fake has it under the same id."""
    record = hub.record(request_id)
    row = fake.wait_for_row(id_text(record["id"]))
    assert row is not None
    assert (row["outcome"], row["unknown"]) == ("finished", [])
    assert (record["status"], record["operation"]) == (200, operation)
    assert record["charge_nano"] == charge
    return record | {"usage": row["usage"]}


def check(answer: Answer, status: int, code: str | None, param: str | None) -> dict[str, Any]:
    error = answer.error
    assert (answer.status, error["code"], error["param"]) == (status, code, param)
    return error


# ---- embeddings


@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize("path", ["/v1/embeddings", "/api/v1/embeddings", "engines"])
def test_embeddings(hub: Hub, fake: FakeUpstream, encoding: str, path: str) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=EMBEDDED)
    body: dict[str, Any] = {"model": model, "input": ["one two", "three"], "dimensions": 8}
    if path == "engines":
        path, body["model"] = f"/v1/engines/{model}/embeddings", "another"
    answer = hub.post(tenant, body | {"encoding_format": encoding}, path=path)
    assert answer.status == 200, answer.body
    document = answer.json()
    embeddings = [row["embedding"] for row in document["data"]]
    if encoding == "base64":
        embeddings = [list(struct.unpack("<8f", base64.b64decode(text))) for text in embeddings]
    assert embeddings == [vector("one two", 8), vector("three", 8)]
    assert (document["model"], document["usage"]) == (
        model,
        {"prompt_tokens": 3, "total_tokens": 3},
    )
    record = booked(hub, fake, answer.headers["x-request-id"], "embeddings", 3 * IN)
    assert (record["meters"], record["basis"]) == ({"in_text": 3}, "measured")
    assert (record["dialect"], record["stream"]) == ("openai", False)
    assert answer.headers["x-weir-cost"] == "0.000000006"


def test_embeddings_by_the_official_client(
    hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream
) -> None:
    """It asks for base64 of its own accord, and for numbers where it is told so."""
    tenant, model = hub.tenant(), hub.model(fake, rates=EMBEDDED)
    embeddings = openai_client(tenant.key).embeddings
    wanted = vector("good morning", 8)
    answer = embeddings.create(model=model, input="good morning", dimensions=8)
    assert list(answer.data[0].embedding) == wanted
    answer = embeddings.create(
        model=model, input=["good morning"], dimensions=8, encoding_format="float"
    )
    assert answer.data[0].embedding == wanted
    assert answer.usage.prompt_tokens == 2
    answer = embeddings.create(model=model, input=[[1, 2, 3], [4]])
    assert (len(answer.data), answer.usage.prompt_tokens) == (2, 4)


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings_of_a_gemini_channel(hub: Hub, fake: FakeUpstream, encoding: str) -> None:
    """It does not say what it counts: our own count is charged, and marked as an estimate."""
    tenant, model = hub.tenant(), hub.model(fake, rates=EMBEDDED, **GEMINI)
    body = {"model": model, "input": ["one two", "three"], "dimensions": 8, "user": "u"}
    answer = hub.post(tenant, body | {"encoding_format": encoding}, path="/v1/embeddings")
    document = answer.json()
    embeddings = [row["embedding"] for row in document["data"]]
    if encoding == "base64":
        embeddings = [list(struct.unpack("<8f", base64.b64decode(text))) for text in embeddings]
    assert embeddings == [vector("one two", 8), vector("three", 8)]
    assert document["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert answer.headers["x-weir-dropped-params"] == "user"
    record = booked(hub, fake, answer.headers["x-request-id"], "embeddings", 3 * IN)
    assert (record["basis"], record["flags"]) == ("estimated", ["usage_missing"])


def test_embeddings_without_usage_are_counted_here(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=EMBEDDED)
    body = {"model": model, "input": "#usage=none 12345678"}
    answer = hub.post(tenant, body, path="/v1/embeddings")
    record = booked(hub, fake, answer.headers["x-request-id"], "embeddings", 8 * IN)
    # # usage = none, a blank, 123 456 78
    assert (record["meters"], record["basis"]) == ({"in_text": 8}, "estimated")


@pytest.mark.parametrize("upstream", ["gemini", "openai"])
def test_gemini_client_embeds(hub: Hub, fake: FakeUpstream, upstream: str) -> None:
    over = GEMINI if upstream == "gemini" else {}
    tenant, model = hub.tenant(), hub.model(fake, rates=EMBEDDED, **over)
    options = types.HttpOptions(base_url=hub.url, timeout=20_000)
    with genai.Client(api_key=tenant.key, http_options=options) as client:
        answer = client.models.embed_content(
            model=model,
            contents=["one two", "three"],
            config=types.EmbedContentConfig(output_dimensionality=8),
        )
    assert answer.embeddings is not None
    assert [one.values for one in answer.embeddings] == [vector("one two", 8), vector("three", 8)]
    body = {"content": {"parts": [{"text": "one two"}]}, "outputDimensionality": 8}
    single = hub.post(tenant, body, path=f"/v1beta/models/{model}:embedContent")
    assert single.json() == {"embedding": {"values": vector("one two", 8)}}
    record = booked(hub, fake, single.headers["x-request-id"], "embed_content", 2 * IN)
    basis = "estimated" if upstream == "gemini" else "measured"
    assert (record["dialect"], record["basis"]) == ("gemini", basis)


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({}, 400, "missing_required_parameter", "input"),
        ({"input": []}, 422, "invalid_value", "input"),
        ({"input": ""}, 422, "invalid_value", "input"),
        ({"input": {}}, 400, "invalid_type", "input"),
        ({"input": "a", "dimensions": "8"}, 400, "invalid_type", "dimensions"),
        ({"input": "a", "dimensions": 0}, 422, "invalid_value", "dimensions"),
    ],
)
def test_invalid_embedding_requests_reach_no_provider(
    hub: Hub, fake: FakeUpstream, body: dict[str, Any], status: int, code: str, param: str
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=EMBEDDED)
    asked = fake.totals()["requests"]
    answer = hub.post(tenant, {"model": model} | body, path="/v1/embeddings")
    check(answer, status, code, param)
    assert fake.totals()["requests"] == asked
    record = hub.record(answer.headers["x-request-id"])
    assert (record["status"], record["operation"]) == (status, "embeddings")
    unknown = hub.post(tenant, {"model": "no-such"} | body, path="/v1/embeddings")
    check(unknown, 404, "model_not_found", "model")


def test_embeddings_without_a_provider_are_rejected(hub: Hub, fake: FakeUpstream) -> None:
    model = hub.model(fake, rates=EMBEDDED, provider="anthropic", upstream_model="claude-x")
    asked = fake.totals()["requests"]
    body = {"model": model, "input": "hello"}
    answer = hub.post(hub.tenant(), body, path="/v1/embeddings")
    error = check(answer, 400, "unsupported_parameter", "model")
    assert "embeddings" in error["message"]
    assert fake.totals()["requests"] == asked


@pytest.mark.parametrize(
    ("path", "rates", "body"),
    [
        ("/v1/embeddings", EMBEDDED, {"input": "hello"}),
        ("/v1/moderations", PER_REQUEST, {"input": "hello"}),
        ("/v1/rerank", EMBEDDED, {"query": "a", "documents": ["b"]}),
    ],
)
def test_unpayable_requests_reach_no_provider(
    hub: Hub, fake: FakeUpstream, path: str, rates: dict[str, int], body: dict[str, Any]
) -> None:
    model = hub.model(fake, rates=rates)
    asked = fake.totals()["requests"]
    body = {"model": model} | body
    check(hub.post(hub.tenant("0"), body, path=path), 402, "insufficient_quota", None)
    limited = hub.post(hub.tenant(), body | {"max_cost": "0.000000001"}, path=path)
    assert (limited.status, limited.error["code"]) == (402, "max_cost_exceeded")
    unpriced = hub.model(fake, rates={"pages": 1})
    answer = hub.post(hub.tenant(), body | {"model": unpriced}, path=path)
    assert (answer.status, hub.record(answer.headers["x-request-id"])["kind"]) == (
        402,
        "model_unpriced",
    )
    assert fake.totals()["requests"] == asked


def test_embeddings_fail_over(hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, other_fake, rates=EMBEDDED)
    body = {"model": model, "input": "#a.fault=F10 one two"}
    answer = hub.post(tenant, body, path="/v1/embeddings")
    assert answer.status == 200, answer.body
    first, last = hub.records(answer.headers["x-request-id"])
    assert (first["final"], first["charge_nano"]) == (False, 0)
    row = other_fake.wait_for_row(id_text(last["id"]))
    assert row is not None
    assert last["charge_nano"] == row["usage"]["prompt_tokens"] * IN


# ---- lists of models


def test_lists_in_three_shapes(hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream) -> None:
    known = hub.model(fake, upstream_model="gpt-4o-mini")
    tenant = hub.tenant(patterns=(known,))
    client = openai_client(tenant.key)
    (listed,) = client.models.list().data
    assert (listed.id, listed.object) == (known, "model")
    assert listed.model_extra is not None
    assert listed.model_extra["pricing"]["in_text"] == "0.001"
    assert listed.model_extra["context_length"] == 128_000
    assert "image" in listed.model_extra["modalities"]
    assert client.models.retrieve(known) == listed
    assert "temperature" in listed.model_extra["supported_parameters"]

    spoken = {"x-api-key": tenant.key, "anthropic-version": "2023-06-01"}
    answer = hub.request("GET", "/v1/models", headers=spoken).json()
    assert [row["id"] for row in answer["data"]] == [known]
    assert (answer["first_id"], answer["has_more"]) == (known, False)
    one = hub.request("GET", f"/v1/models/{known}", headers=spoken).json()
    assert (one["type"], one["id"]) == ("model", known)

    for path, headers in (
        ("/v1beta/models", {"authorization": f"Bearer {tenant.key}"}),
        ("/v1/models", {"x-goog-api-key": tenant.key}),
        (f"/v1/models?key={tenant.key}", {}),
        (f"/api/v1beta/models?key={tenant.key}&pageSize=1", {}),
    ):
        answer = hub.request("GET", path, headers=headers).json()
        assert [row["name"] for row in answer["models"]] == [f"models/{known}"]
        assert answer["models"][0]["inputTokenLimit"] == 128_000
    one = hub.get(f"/v1beta/models/{known}", tenant).json()
    assert one["name"] == f"models/{known}"


def test_unknown_model(hub: Hub, fake: FakeUpstream) -> None:
    model = hub.model(fake)
    tenant = hub.tenant(patterns=("gpt-*",))
    for name in (model, "no-such", "owner/no-such"):
        check(hub.get(f"/v1/models/{name}", tenant), 404, "model_not_found", "model")
        response = hub.get(f"/v1beta/models/{name}", tenant)
        assert (response.status, response.json()["error"]["status"]) == (404, "NOT_FOUND")
    spoken = {"x-api-key": tenant.key, "anthropic-version": "2023-06-01"}
    response = hub.request("GET", f"/v1/models/{model}", headers=spoken)
    assert response.json()["error"]["type"] == "not_found_error"
    response = hub.request("GET", "/v1/models?limit=x", headers=spoken)
    assert (response.status, response.json()["error"]["type"]) == (400, "invalid_request_error")
    assert hub.request("POST", f"/v1/models/{model}", tenant, b"{}").status == 405
    response = hub.request("POST", f"/v1/models/{model}:sing", tenant, b"{}")
    assert (response.status, response.json()["error"]["status"]) == (404, "NOT_FOUND")


# ---- moderations


def test_moderations(hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=PER_REQUEST)
    raw = openai_client(tenant.key).moderations.with_raw_response.create(
        model=model, input=["good morning", "I will hurt you"]
    )
    answer = raw.parse()
    assert [result.flagged for result in answer.results] == [False, True]
    assert answer.results[1].categories.violence is True
    record = booked(hub, fake, raw.headers["x-request-id"], "moderations", 5)
    assert (record["meters"], record["basis"]) == ({"requests": 1}, "measured")


def test_a_declared_free_meter_costs_nothing(hub: Hub, fake: FakeUpstream) -> None:
    """Even an empty wallet may ask."""
    tenant, model = hub.tenant("0"), hub.model(fake, rates={"requests": 0})
    answer = hub.post(tenant, {"model": model, "input": "hello"}, path="/v1/moderations")
    assert answer.status == 200, answer.body
    booked(hub, fake, answer.headers["x-request-id"], "moderations", 0)


def test_moderations_without_a_price_or_a_model(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=None)
    body = {"model": model, "input": "hello"}
    answer = hub.post(tenant, body, path="/v1/moderations")
    assert answer.status == 402
    assert hub.record(answer.headers["x-request-id"])["kind"] == "model_unpriced"
    answer = hub.post(tenant, {"input": "hello"}, path="/v1/moderations")
    assert "omni-moderation-latest" in check(answer, 404, "model_not_found", "model")["message"]
    answer = hub.post(tenant, {}, path="/v1/moderations")
    assert "omni-moderation-latest" in check(answer, 404, "model_not_found", "model")["message"]


def test_unpriced_moderations_are_free_if_the_operator_says_so(
    own_hub: Hub, fake: FakeUpstream
) -> None:
    own_hub.settings(unpriced_models="free")
    own_hub.start()
    tenant, model = own_hub.tenant("0"), own_hub.model(fake, rates=None)
    answer = own_hub.post(tenant, {"model": model, "input": "hello"}, path="/v1/moderations")
    assert answer.status == 200, answer.body
    record = booked(own_hub, fake, answer.headers["x-request-id"], "moderations", 0)
    assert (record["basis"], record["hold_nano"]) == ("free", 0)
    assert record["meters"] == {"requests": 1}


# ---- rerank


def rerank_model(hub: Hub, fake: FakeUpstream, form: str, rates: dict[str, int]) -> str:
    name = f"rank-{id_text(hub.tenant('0').key_id)}"
    url = fake.url if form == "jina" else f"{fake.origin}/v2"
    hub.channel(name, url, fake.key)
    hub.price(name, rates)
    hub.know(name)
    return name


RANKED = {"in_text": IN * 10**6, "searches": 7 * 10**6}
DOCUMENTS = ["red apples", "blue sky", "a sky of blue stones"]


@pytest.mark.parametrize("upstream", ["jina", "cohere"])
@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank", "/v2/rerank"])
def test_rerank(hub: Hub, fake: FakeUpstream, path: str, upstream: str) -> None:
    tenant, model = hub.tenant(), rerank_model(hub, fake, upstream, RANKED)
    body: dict[str, Any] = {"model": model, "query": "blue sky", "documents": DOCUMENTS, "top_n": 2}
    page_text = path != "/v2/rerank"
    if page_text:
        body["return_documents"] = True
    headers = {"authorization": f"Bearer {tenant.key}"}
    answer = httpx.post(f"{hub.url}{path}", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert [row["index"] for row in document["results"]] == [1, 2]
    assert document["results"][0]["relevance_score"] > 0.9
    if page_text:
        assert document["results"][0]["document"] == {"text": "blue sky"}
    record = hub.record(answer.headers["x-request-id"])
    row = fake.wait_for_row(id_text(record["id"]))
    assert row is not None
    assert row["unknown"] == []
    if upstream == "cohere":
        meters, charge = {"searches": 1}, 7
        assert document["meta"]["billed_units"] == {"search_units": 1}
    else:
        tokens = row["usage"]["prompt_tokens"]
        meters, charge = {"in_text": tokens}, tokens * IN
    assert (record["meters"], record["charge_nano"]) == (meters, charge)
    assert (record["operation"], record["basis"]) == ("rerank", "measured")


def test_xinference_rerank_is_returned_in_jina_form() -> None:
    body = {"model": "m", "query": "q", "documents": ["a", "b"], "return_documents": True}
    facts = RERANK_JINA.read(json.dumps(body).encode(), Target())
    sending = RERANK_JINA.send(facts, {"rerank": "http://127.0.0.1:9997/v1/rerank"}, "m", "R")
    values = {"id": "1", "results": [{"index": 1, "relevance_score": 0.9, "document": "b"}],
            "meta": {"billed_units": None, "tokens": None}}  # fmt: skip
    assert isinstance(sending.exchange, Exchange)
    got = json.loads(sending.exchange.write(json.dumps(values).encode(), {"in_text": 5}))
    assert got["results"] == [{"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}]
    assert got["usage"] == {"prompt_tokens": 5, "total_tokens": 5}


def test_rerank_only_model_rejects_chat(hub: Hub, fake: FakeUpstream) -> None:
    model = hub.model(fake, provider="jina")
    for path, body in (
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/messages", {"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}),
    ):
        answer = hub.post(hub.tenant(), {"model": model} | body, path=path)
        assert answer.status == 400, answer.body
        assert "does not chat" in answer.json()["error"]["message"]
    answer = hub.post(
        hub.tenant(), {"model": model, "query": "a", "documents": ["b"]}, path="/v1/rerank"
    )
    assert answer.status == 200, answer.body


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"documents": ["a"]}, 400, "missing_required_parameter", "query"),
        ({"query": "a"}, 400, "missing_required_parameter", "documents"),
        ({"query": "a", "documents": []}, 422, "invalid_value", "documents"),
        ({"query": "a", "documents": ["b"], "top_n": 0}, 422, "invalid_value", "top_n"),
    ],
)
def test_wrong_rankings(
    hub: Hub, fake: FakeUpstream, body: dict[str, Any], status: int, code: str, param: str
) -> None:
    model = hub.model(fake, rates=EMBEDDED)
    answer = hub.post(hub.tenant(), {"model": model} | body, path="/v1/rerank")
    check(answer, status, code, param)


# ---- completions and edits

CHANNELS: dict[str, dict[str, Any]] = {
    "completions": {},
    "responses": {"provider": "xai", "upstream_model": "grok-4"},
    # Whose provider has the endpoint, but not for these: a model that only chats.
    "chat-only": {"provider": "openai", "upstream_model": "gpt-4o"},
    "chat-only that thinks": {"provider": "openai", "upstream_model": "o4-mini"},
    "anthropic": {"provider": "anthropic", "upstream_model": "claude-sonnet-4-5-20250929"},
    "gemini": {"provider": "gemini", "upstream_model": "gemini-2.5-flash"},
}
TALK = {"in_text": 10**6, "out_text": 3 * 10**6}
channels = pytest.mark.parametrize("channel", CHANNELS)


def price_of(usage: dict[str, int]) -> int:
    return usage["prompt_tokens"] + 3 * usage["completion_tokens"]


@channels
def test_completions(
    hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream, channel: str
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=TALK, **CHANNELS[channel])
    prompt = "#tokens=9 once upon a time"
    raw = openai_client(tenant.key).completions.with_raw_response.create(
        model=model, prompt=prompt, max_tokens=20
    )
    answer = raw.parse()
    assert (answer.object, answer.model) == ("text_completion", model)
    assert answer.choices[0].text == expected_text("a", prompt, 9)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    record = hub.record(raw.headers["x-request-id"])
    row = fake.wait_for_row(id_text(record["id"]))
    assert row is not None
    assert (row["dialect"] == "completions") == (channel == "completions")
    assert row["unknown"] == []
    usage = row["usage"]
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (
        usage["prompt_tokens"],
        usage["completion_tokens"],
    )
    assert (record["operation"], record["dialect"]) == ("completions", "openai")
    assert (record["charge_nano"], record["basis"]) == (price_of(usage), "measured")


@channels
@pytest.mark.parametrize("expected_notice", [True, False], ids=["usage", "no usage"])
def test_streamed_completions(
    hub: Hub, fake: FakeUpstream, channel: str, expected_notice: bool
) -> None:
    """Without a cap there are 16 tokens, and every upstream is told so."""
    tenant, model = hub.tenant(), hub.model(fake, rates=TALK, **CHANNELS[channel])
    prompt = "#tokens=50 once upon a time"
    body = {"model": model, "prompt": prompt, "stream": True}
    if expected_notice:
        body["stream_options"] = {"include_usage": True}
    answer = hub.post(tenant, body, path="/v1/completions")
    assert answer.status == 200, answer.body
    chunks = chunks_of(answer)
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert {chunk["model"] for chunk in chunks} == {model}
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert "".join(choice["text"] for choice in choices) == expected_text("a", prompt, 16)
    assert choices[-1]["finish_reason"] == "length"
    assert bool(chunks[-1].get("usage")) is expected_notice
    record = hub.record(answer.headers["x-request-id"])
    row = fake.wait_for_row(id_text(record["id"]))
    assert row is not None
    assert (record["charge_nano"], record["stream"]) == (price_of(row["usage"]), True)


def test_completions_of_several_prompts(hub: Hub, fake: FakeUpstream) -> None:
    """They go on where the provider has the endpoint; token ids are nothing that a chat takes."""
    tenant, model = hub.tenant(), hub.model(fake, rates=TALK)
    body: dict[str, Any] = {"model": model, "prompt": ["#tokens=3 a", "#tokens=3 b"], "n": 2}
    answer = hub.post(tenant, body, path="/v1/completions")
    assert [choice["index"] for choice in answer.json()["choices"]] == [0, 1, 2, 3]
    record = booked(
        hub, fake, answer.headers["x-request-id"], "completions", price_of(answer.json()["usage"])
    )
    assert record["hold_nano"] >= record["charge_nano"]
    apart = hub.model(fake, rates=TALK, **CHANNELS["chat-only that thinks"])
    answer = hub.post(tenant, body | {"model": apart, "n": 1}, path="/v1/completions")
    assert [choice["index"] for choice in answer.json()["choices"]] == [0, 1], answer.body
    assert answer.json()["model"] == apart
    asked = fake.totals()["requests"]
    chat = hub.model(fake, rates=TALK, **CHANNELS["anthropic"])
    for over, param in (
        ({"prompt": [[1, 2], [3]]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"echo": True}, "echo"),
        ({"prompt": "a", "echo": True}, "echo"),
    ):
        answer = hub.post(tenant, body | {"model": chat} | over, path="/v1/completions")
        check(answer, 400, "unsupported_parameter", param)
    assert fake.totals()["requests"] == asked


def test_each_prompt_leaves_the_others_what_it_did_not_cost(hub: Hub, fake: FakeUpstream) -> None:
    """P2: the maximum of the request is for what prompts cost, not for what was held for them."""
    tenant, model = hub.tenant(), hub.model(fake, rates=TALK, **CHANNELS["chat-only that thinks"])
    body: dict[str, Any] = {"model": model, "max_tokens": 1000, "prompt": ["#tokens=3 a"]}
    answer = hub.post(tenant, body, path="/v1/completions")
    record = hub.record(answer.headers["x-request-id"])
    assert record["hold_nano"] > 3 * record["charge_nano"]
    # Enough for what both cost and one may hold.
    most = record["hold_nano"] + 2 * record["charge_nano"]
    body |= {"prompt": ["#tokens=3 a", "#tokens=3 a"], "max_cost": f"{most / 10**9:.9f}"}
    answer = hub.post(tenant, body, path="/v1/completions")
    assert answer.status == 200, answer.body
    assert len(answer.json()["choices"]) == 2


def texts_of(answer: Answer, *, stream: bool) -> list[str]:
    """The text of each choice of a completions answer, by its index."""
    assert answer.status == 200, answer.body
    chunks = chunks_of(answer) if stream else [answer.json()]
    texts: dict[int, str] = {}
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        texts[choice["index"]] = texts.get(choice["index"], "") + choice["text"]
    assert not stream or answer.body.count(b"[DONE]") == 1
    return [texts[index] for index in sorted(texts)]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("asked", ["chatty alias", "alias", "fallback"])
def test_each_paid_prompt_is_answered_by_an_alias_and_by_a_fallback(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream, asked: str, stream: bool
) -> None:
    """P1: what is charged is delivered. Whether a model only chats is asked of the model that a
    name stands for, and a fallback model with the endpoint answers a chat all the same."""
    tenant = hub.tenant()
    rates: dict[str, Any] = {"rates": TALK, "retries": 0}
    if asked == "fallback":
        failing = hub.model(other_fake, **rates, **CHANNELS["anthropic"])
        names: dict[str, Any] = {"model": failing, "models": [hub.model(fake, **rates)]}
    else:
        # A name that begins like this is one of a model that only chats.
        chatty, other = f"gpt-4o-{secrets.token_hex(6)}", f"mine-{secrets.token_hex(6)}"
        target = hub.model(fake, **rates) if asked == "chatty alias" else chatty
        if target == chatty:
            hub.price(target, TALK)
            hub.channel(target, fake.url, fake.key, provider="openai", upstream_model="")
        names = {"model": other if target == chatty else chatty}
        hub.alias(names["model"], target)
    prompts = ["#b.fault=F10 #tokens=3 one", "#b.fault=F10 #tokens=3 two"]
    body = names | {"prompt": prompts, "stream": stream}
    answer = hub.post(tenant, body, path="/v1/completions")
    assert [len(text.split()) for text in texts_of(answer, stream=stream)] == [3, 3]


def test_prompt_that_fails_behind_a_paid_one_uses_up_the_idempotency_key(
    hub: Hub, fake: FakeUpstream
) -> None:
    """P5: a repetition would pay the first prompt again."""
    tenant, model = hub.tenant(), hub.model(fake, rates=TALK, retries=0, **CHANNELS["anthropic"])
    body = {"model": model, "prompt": ["#tokens=3 one", "#a.fault=F10 two"]}
    headers = {"idempotency-key": "1"}
    answer = hub.post(tenant, body, path="/v1/completions", headers=headers)
    assert "prompt[1] failed" in answer.error["message"]
    answer = hub.post(tenant, body, path="/v1/completions", headers=headers)
    assert (answer.status, answer.error["param"]) == (400, "idempotency-key"), answer.body
    hub.settled(tenant)
    query = "SELECT 1 FROM usage_usagerecord WHERE organisation_id = %s AND meters <> '{}'"
    assert len(hub.rows(query, tenant.organisation_id)) == 1


def test_failed_completion_goes_to_another_channel(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """From a channel that has the endpoint to one that chats."""
    tenant, model = hub.tenant(), hub.model(fake, rates=TALK)
    hub.channel(model, other_fake.url, other_fake.key, priority=1, **CHANNELS["anthropic"])
    hub.bump()
    body = {"model": model, "prompt": "#a.fault=F10 #tokens=4 hello", "stream": True}

    def answered() -> bool:
        return hub.post(tenant, body, path="/v1/completions").status == 200

    hub.wait(answered, "there is no second channel")
    hub.settled(tenant)
    (last,) = hub.rows(
        "SELECT id, charge_nano FROM usage_usagerecord "
        "WHERE organisation_id = %s AND final AND status = 200",
        tenant.organisation_id,
    )
    row = other_fake.wait_for_row(id_text(last["id"]))
    assert row is not None
    assert (row["dialect"], last["charge_nano"]) == ("messages", price_of(row["usage"]))


def test_echoed_prompt_is_not_counted_as_output() -> None:
    """Else a long one would outgrow what is held for the answer."""
    codec = TEXT_CODECS["completions"]
    asked = {"model": "m", "prompt": "good morning", "stream": True, "n": 2}
    chunk = b'data: {"choices":[{"index":0,"text":"good morning, %s"}]}\n\n' % (b"x" * 50)
    counted = []
    for echo in (False, True):
        facts = codec.read(json.dumps(asked | {"echo": echo}).encode(), Target())
        decoder = codec.decoder(facts, Target())
        decoder.feed(chunk)
        counted.append(decoder.text_bytes)
    assert counted == [64, 64 - 2 * len('"good morning"')]


def test_broken_off_completion_reports_an_error(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=TALK)
    body = {"model": model, "prompt": "#tokens=9 #fault=F14@4 hello", "stream": True}
    answer = hub.post(tenant, body, path="/v1/completions")
    assert answer.status == 200
    last = chunks_of(answer)[-1]
    assert last["error"]["code"] == "upstream_truncated"
    assert last["request_id"] == answer.headers["x-request-id"]
    assert b"[DONE]" not in answer.body
    record = hub.record(answer.headers["x-request-id"])
    assert (record["kind"], record["basis"]) == ("upstream_truncated", "estimated")


@pytest.mark.parametrize("channel", ["completions", "anthropic", "gemini"])
def test_edits(hub: Hub, fake: FakeUpstream, channel: str) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=TALK, **CHANNELS[channel])
    body = {"model": model, "instruction": "#tokens=7 mend it", "input": "teh cat", "mode": "x"}
    answer = hub.post(tenant, body, path="/v1/edits")
    assert answer.status == 200, answer.body
    document = answer.json()
    assert (document["object"], len(document["choices"])) == ("edit", 1)
    assert document["usage"]["completion_tokens"] == 7
    assert len(document["choices"][0]["text"].split()) > 1
    assert answer.headers["x-weir-dropped-params"] == "mode"
    booked(hub, fake, answer.headers["x-request-id"], "edits", price_of(document["usage"]))
    missing = hub.post(tenant, {"model": model}, path="/v1/edits")
    check(missing, 400, "missing_required_parameter", "instruction")


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/completions", {"prompt": "hello"}), ("/v1/edits", {"instruction": "mend"})],
)
def test_unpayable_text_requests_are_rejected(
    hub: Hub, fake: FakeUpstream, path: str, body: dict[str, Any]
) -> None:
    model = hub.model(fake, rates=TALK)
    asked = fake.totals()["requests"]
    answer = hub.post(hub.tenant("0"), {"model": model} | body, path=path)
    check(answer, 402, "insufficient_quota", None)
    check(hub.post(hub.tenant(), {"model": "no-such"}, path=path), 404, "model_not_found", "model")
    assert fake.totals()["requests"] == asked
