"""How much a request holds, by what it says and by what is known of its model."""

import json
from decimal import Decimal
from typing import Any

import pytest

from dialects.chat.hosted_tools import LIVE_SOURCES_ASSUMED, USES_ASSUMED
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from lib.ids import id_text
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.speakers import SPEAKERS, Wish
from tests.support.hub import Hub

NANO = Decimal(10) ** 9


@pytest.mark.parametrize(
    ("dialect", "over", "most"),
    [
        ("openai", {}, 0),
        ("openai", {"web_search_options": {}}, 1),
        ("openai", {"web_search_options": {}, "n": 3}, 3),
        ("openai", {"search_parameters": {"mode": "on"}}, LIVE_SOURCES_ASSUMED),
        ("openai", {"search_parameters": {"mode": "off"}}, 0),
        ("openai", {"search_parameters": {"max_search_results": 3}}, 3),
        ("openai", {"parameters": {"enable_search": True}}, USES_ASSUMED),
        ("openai", {"enable_search": True}, USES_ASSUMED),
        ("openai", {"enable_search": False, "parameters": {"enable_search": False}}, 0),
        ("openai", {"tools": [{"type": "web_search", "web_search": {}}]}, USES_ASSUMED),
        ("openai", {"tools": [{"type": "builtin_function", "function": {"name": "$web_search"}}]},
         USES_ASSUMED),
        ("anthropic", {"tools": [{"type": "web_search_20250305", "max_uses": -4}]},
         USES_ASSUMED),
        ("responses", {"tools": [{"type": "web_search"}], "max_tool_calls": -1}, USES_ASSUMED),
        ("responses", {"tools": [{"type": "web_search"}], "max_tool_calls": True},
         USES_ASSUMED),
        ("anthropic", {"tools": [{"name": "web_search", "type": "custom"}]}, 0),
        ("anthropic", {"tools": [{"type": "web_search_20250305", "max_uses": 4}]}, 4),
        ("anthropic", {"tools": [{"type": "web_search_20250305"}]}, USES_ASSUMED),
        ("responses", {"tools": [{"type": "web_search"}]}, USES_ASSUMED),
        ("responses", {"tools": [{"type": "web_search_preview"}], "max_tool_calls": 2}, 2),
        ("responses", {"tools": [{"type": "function", "name": "web_search"}]}, 0),
        ("gemini", {"tools": [{"google_search": {}}]}, USES_ASSUMED),
        ("gemini", {"tools": [{"functionDeclarations": []}]}, 0),
    ],
)  # fmt: skip
def test_searches_of_a_request_are_bounded(dialect: Any, over: dict[str, Any], most: int) -> None:
    lines = [{"role": "user", "content": "hi"}]
    bodies: dict[str, dict[str, Any]] = {
        "openai": {"model": "m", "messages": lines},
        "anthropic": {"model": "m", "max_tokens": 5, "messages": lines},
        "responses": {"model": "m", "input": "hi"},
        "gemini": {"contents": [{"parts": [{"text": "hi"}]}]},
    }
    codec = CODECS[dialect]
    facts = codec.read(json.dumps(bodies[dialect] | over).encode(), Target("m"))
    assert sum(tool.searches for tool in codec.hosted_tools(facts)) == most


def test_searches_are_held_where_they_have_a_price(hub: Hub, fake: FakeUpstream) -> None:
    rates = {"in_text": 1_000_000, "out_text": 3_000_000, "searches": 10**13}
    tenant, model = hub.tenant(), hub.model(fake, rates=rates)
    plain = hub.post(tenant, ask(model, max_tokens=5))
    with_search = hub.post(tenant, ask(model, max_tokens=5, web_search_options={}))
    more = Decimal(with_search.headers["x-weir-hold"]) - Decimal(plain.headers["x-weir-hold"])
    assert more * NANO >= 10**7


@pytest.mark.parametrize(
    ("upstream_model", "tokens"),
    [
        ("fake", 16_384),
        # The catalogue knows what it can say, and that Doubao thinks beside its cap.
        ("claude-sonnet-4-20250514", 64_000),
        ("doubao-seed-1-8-251228", 2 * 64_000),
    ],
)
def test_without_a_cap_the_models_own_limit_is_held(
    hub: Hub, fake: FakeUpstream, upstream_model: str, tokens: int
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, upstream_model=upstream_model)
    body = ask(model, "#tokens=2")
    answer = hub.post(tenant, body)
    held = Decimal(answer.headers["x-weir-hold"]) * NANO
    assert held == 3 * tokens + len(json.dumps(body))


def test_doubao_cap_limits_its_answer_not_its_thinking(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, upstream_model="doubao-seed-1-8-251228")
    body = ask(model, "#tokens=2", max_tokens=100)
    held = Decimal(hub.post(tenant, body).headers["x-weir-hold"]) * NANO
    assert held == 3 * (100 + 64_000) + len(json.dumps(body))


@pytest.mark.parametrize(
    ("client", "provider", "upstream_model", "member", "limit"),
    [
        ("openai", "anthropic", "claude-3-haiku-20240307", "max_tokens", 4_096),
        ("openai", "gemini", "gemini-2.5-flash", "generationConfig", 65_535),
        ("openai", "openai", "o4-mini", "max_output_tokens", 100_000),
        ("responses", "anthropic", "claude-3-7-sonnet-20250219", "max_tokens", 64_000),
        ("anthropic", "openai_compatible", "gpt-4o", "max_tokens", 16_384),
        ("gemini", "azure_openai", "gpt-5.2", "max_completion_tokens", 128_000),
        ("converse", "openai_compatible", "gpt-4o", "max_tokens", 16_384),
    ],
)
def test_translation_lowers_a_cap_above_the_models_limit(
    hub: Hub,
    fake: FakeUpstream,
    client: str,
    provider: str,
    upstream_model: str,
    member: str,
    limit: int,
) -> None:
    """The client knows the limit of another model; the provider would refuse this one's."""
    tenant, speaker = hub.tenant("100.00"), SPEAKERS[client]
    model = hub.model(fake, provider=provider, upstream_model=upstream_model)
    for cap, sent, message in ((limit + 1, limit, str(limit)), (limit, limit, None)):
        body = speaker.body(model, Wish("#keep #tokens=2", cap=cap))
        answer = hub.post(tenant, body, path=speaker.path(model, stream=False))
        assert answer.status == 200, answer.body
        assert answer.headers.get("x-weir-output-cap") == message
        record = hub.record(answer.headers["x-request-id"])
        assert record["charge_nano"] <= record["hold_nano"]
        row = fake.wait_for_row(id_text(record["id"]))
        assert row is not None
        document = json.loads(row["body"])[member]
        assert (document["maxOutputTokens"] if isinstance(document, dict) else document) == sent


@pytest.mark.parametrize("upstream_model", ["gpt-4o", "fake"])
def test_cap_is_forwarded_unchanged_with_its_request(
    hub: Hub, fake: FakeUpstream, upstream_model: str
) -> None:
    """Its provider says in its own words what its limit is."""
    tenant, model = hub.tenant("100.00"), hub.model(fake, upstream_model=upstream_model)
    answer = hub.post(tenant, ask(model, "#keep #tokens=2", max_tokens=1_000_000))
    assert "x-weir-output-cap" not in answer.headers
    row = fake.wait_for_row(id_text(hub.record(answer.headers["x-request-id"])["id"]))
    assert row is not None
    assert json.loads(row["body"])["max_tokens"] == 1_000_000
