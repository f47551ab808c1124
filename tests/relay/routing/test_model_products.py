"""A request for what a model does not make is told what it makes and where, on every door; one that
nobody has priced, which page sets the price (I14)."""

from typing import Any, Final

import pytest

from billing.prices.lookup import Price
from gateway.providers.capabilities import Endpoint
from gateway.providers.models import _NAMES, find_row
from gateway.providers.suffixes import RequestedModel
from lib.id_types import ModelName
from relay.endpoints.generation import generate, remix_video
from relay.endpoints.table import find_endpoint, listed_rows
from relay.realtime.live.open_live import open_live
from relay.realtime.open_connection import open_connection
from relay.routing.model_products import (
    PRODUCT_OF,
    PRODUCTS,
    misdirected_fault,
    products_of,
    unpriced_fault,
)
from tests.fakes.upstream import FakeUpstream
from tests.support.hub import RATES, Hub

MESSAGES: Final = [{"role": "user", "content": "hello"}]
CONTENTS: Final = [{"role": "user", "parts": [{"text": "hello"}]}]
# The path of each door, what it makes, and its smallest body; `{}` stands for the model.
DOORS: Final[tuple[tuple[str, Endpoint, dict[str, Any]], ...]] = (
    ("/v1/chat/completions", "chat", {"messages": MESSAGES}),
    ("/v1/responses", "chat", {"input": "hello"}),
    ("/v1/messages", "chat", {"messages": MESSAGES, "max_tokens": 9}),
    ("/v1beta/models/{}:generateContent", "chat", {"contents": CONTENTS}),
    ("/v1beta/models/{}:streamGenerateContent", "chat", {"contents": CONTENTS}),
    ("/v1/completions", "chat", {"prompt": "hello"}),
    ("/v1/embeddings", "embeddings", {"input": "hello"}),
    ("/v1/moderations", "moderations", {"input": "hello"}),
    ("/v1/rerank", "rerank", {"query": "a", "documents": ["b"]}),
    ("/v1/images/generations", "images", {"prompt": "a boat"}),
    ("/v1/audio/speech", "speech", {"input": "hello", "voice": "alloy"}),
    ("/v1/videos", "videos", {"prompt": "a boat"}),
    ("/v1/video/generations", "videos", {"prompt": "a boat"}),
    ("/kling/v1/videos/text2video", "videos", {"prompt": "a boat"}),
)
MODELS: Final[tuple[tuple[str, dict[str, int], Endpoint], ...]] = (
    ("gpt-image-1", {"in_text": 1, "in_image": 1, "out_image": 1}, "images"),
    ("dall-e-3", {"images": 1}, "images"),
    ("tts-1", {"characters": 1}, "speech"),
    ("whisper-1", {"audio_ms": 1}, "transcriptions"),
    ("sora-2", {"video_ms": 1}, "videos"),
    ("omni-moderation-latest", {"requests": 1}, "moderations"),
    ("rerank-v3.5", {"searches": 1}, "rerank"),
)


def words(product: Endpoint) -> str:
    return f"{PRODUCTS[product].verb}. Use {PRODUCTS[product].path}."


@pytest.mark.parametrize(("upstream", "rates", "endpoint"), MODELS)
def test_every_endpoint_names_the_one_that_serves_the_model(
    hub: Hub, fake: FakeUpstream, upstream: str, rates: dict[str, int], endpoint: Endpoint
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, upstream_model=upstream, rates=rates)
    asked = fake.totals()["requests"]
    for path, product, body in DOORS:
        # They are billed by input: where that has a price, the provider decides.
        if product == endpoint or (product in ("embeddings", "rerank") and "in_text" in rates):
            continue
        answer = hub.post(tenant, {"model": model} | body, path=path.format(model))
        assert f"{model} {words(endpoint)}" in answer.body.decode(), (path, answer.body)
        assert answer.status == 400, path
        assert answer.headers["x-should-retry"] == "false"
    assert fake.totals()["requests"] == asked


def test_a_chat_model_at_a_media_endpoint_answers_in_text(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, upstream_model="gpt-4o", rates=RATES)
    for path, product, body in DOORS:
        if product in ("images", "speech", "videos", "moderations"):
            answer = hub.post(tenant, {"model": model} | body, path=path.format(model))
            assert answer.status == 400, path
            assert f"{model} {words('chat')}" in answer.body.decode(), (path, answer.body)


def test_unpriced_model_links_the_page_that_sets_a_price(hub: Hub, fake: FakeUpstream) -> None:
    tenant = hub.tenant()
    model = hub.model(fake, upstream_model="qwen-image", rates=None)
    body = {"model": model, "prompt": "a boat"}
    answer = hub.post(tenant, body, path="/v1/images/generations")
    assert (answer.status, answer.error["code"]) == (402, "model_unpriced")
    page = f"/admin/prices/new?model={model}"
    message = f"Model {model} has no price: it needs images. An operator sets it at"
    assert answer.error["message"].startswith(message)
    assert answer.error["message"].endswith(page)
    chat = hub.post(tenant, {"model": model, "messages": MESSAGES})
    assert f"{model} {words('images')}" in chat.error["message"]


@pytest.mark.parametrize(
    ("upstream", "path", "body", "endpoint"),
    [
        ("gpt-image-1.5", "/v1/chat/completions", {"messages": MESSAGES}, "images"),
        ("gpt-4o-transcribe", "/v1/responses", {"input": "hello"}, "transcriptions"),
        ("gpt-realtime", "/v1/messages", {"messages": MESSAGES, "max_tokens": 9}, "realtime"),
        ("gpt-4o", "/v1/embeddings", {"input": "hello"}, "chat"),
    ],
)
def test_maker_rejections_rest_neither_model_nor_key(
    hub: Hub, fake: FakeUpstream, upstream: str, path: str, body: dict[str, Any], endpoint: Endpoint
) -> None:
    """Though a price covers it: OpenAI answers 404 or 403. Other servers are asked."""
    tenant, rates = hub.tenant(), RATES | {"out_image": 1}
    at_maker = hub.model(fake, upstream_model=upstream, rates=rates, provider="openai")
    asked = fake.totals()["requests"]
    answer = hub.post(tenant, {"model": at_maker} | body, path=path)
    assert answer.status == 400
    assert f"{at_maker} {words(endpoint)}" in answer.body.decode()
    assert fake.totals()["requests"] == asked
    elsewhere = hub.model(fake, upstream_model=upstream, rates=rates)
    hub.post(tenant, {"model": elsewhere} | body, path=path)
    assert fake.totals()["requests"] > asked


# ---- the tables


def test_every_paid_operation_describes_its_request() -> None:
    paid = {
        row.operation
        for row in listed_rows().values()
        if row.handler in (generate, remix_video, open_connection, open_live)
    }
    assert paid == set(PRODUCT_OF)


def test_each_product_is_served_where_described() -> None:
    assert set(PRODUCTS) == {row.endpoint for row in _NAMES.values()}
    for product, row in PRODUCTS.items():
        endpoint = find_endpoint(row.path)
        assert endpoint is not None
        assert PRODUCT_OF[endpoint.operation] == product


@pytest.mark.parametrize(
    ("model", "meters", "endpoints"),
    [
        ("gpt-image-1", (), ["images"]),
        ("gpt-4o-audio-preview", ("in_text", "out_text", "out_audio"), ["chat", "speech"]),
        ("gemini-3-pro-image-preview", ("in_text", "out_text"), ["chat", "images"]),
        ("text-embedding-3-small", ("in_text",), ["embeddings"]),
        ("gemini-embedding-001", (), ["embeddings"]),
        ("bge-reranker-v2", (), ["rerank"]),
        # A pattern of many models says nothing sure of a name that nobody priced.
        ("qwen9-tts", (), []),
        ("my-model", ("video_ms[720p]",), ["videos"]),
        ("my-model", ("session_minutes",), ["live", "realtime"]),
        ("my-model", ("out_text",), ["chat"]),
        ("my-model", ("images",), ["images"]),
        ("my-model", ("out_image",), ["images"]),
        ("my-model", ("characters",), ["speech"]),
        ("my-model", ("out_audio",), ["speech"]),
        ("my-model", ("audio_ms",), ["transcriptions"]),
        ("my-model", ("in_text",), []),
    ],
)
def test_product_of_a_model(model: str, meters: tuple[str, ...], endpoints: list[Endpoint]) -> None:
    assert products_of(find_row(model), meters) == endpoints


@pytest.mark.parametrize(
    ("upstream", "path", "body", "rates", "missing"),
    [
        ("fake", "/v1/chat/completions", {"messages": MESSAGES}, {"requests": 5},
         "for chats: it lacks in_text and out_text"),
        ("fake", "/v1/chat/completions", {"messages": MESSAGES}, {"in_text": 5, "requests": 5},
         "for chats: it lacks out_text"),
        ("rerank-v3.5", "/v1/rerank", {"query": "a", "documents": ["b"]}, {"requests": 5},
         "for rankings: it lacks in_text, or searches"),
        ("qwen-image", "/v1/images/generations", {"prompt": "a"}, {"requests": 5},
         "for images: it lacks images"),
    ],
)  # fmt: skip
def test_price_that_lacks_a_meter_says_which(
    hub: Hub, fake: FakeUpstream, upstream: str, path: str, body: dict[str, Any],
    rates: dict[str, int], missing: str,
) -> None:  # fmt: skip
    tenant, model = hub.tenant(), hub.model(fake, upstream_model=upstream, rates=rates)
    answer = hub.post(tenant, {"model": model} | body, path=path)
    assert (answer.status, answer.error["code"]) == (402, "model_unpriced")
    start = f"Model {model} has no price {missing}. An operator sets it at"
    assert answer.error["message"].startswith(start)


@pytest.mark.parametrize(
    ("providers", "is_refused"),
    [
        (["openai"], True),
        (["openai", "openai"], True),
        (["openai_compatible"], False),
        (["openai", "openai_compatible"], False),
        (["openai_compatible", "openai"], False),
    ],
)
def test_one_other_server_than_the_makers_may_serve_a_request(
    providers: list[str], is_refused: bool
) -> None:
    model = RequestedModel(ModelName("gpt-image-1"))
    known = find_row("gpt-image-1")
    fault = misdirected_fault(model, "chat_completions", known, None, providers)
    assert (fault is not None) == is_refused


def test_alias_rejection_does_not_reveal_its_target() -> None:
    model = RequestedModel(ModelName("secret-model"), alias="team model")
    price: Price | None = None
    fault = unpriced_fault(model, "chat_completions", None, price, "https://hub.example")
    assert "secret" not in fault.message
    assert fault.message.endswith("https://hub.example/admin/models/named/team%20model")
