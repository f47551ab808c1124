"""Conditions and parts of a price (P28): what the vendors list is charged to the nano, on the
receipt, in the ledger and by the script that recomputes it; what nobody has classified is held for
review and charged to nobody."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from billing.prices.catalogue.catalogue import CatalogueRow
from lib.clock import now
from lib.ids import id_text
from tests.relay.canned import (
    Canned,
    canned,
    completion,
    completion_stream,
    content,
    content_stream,
    message,
    message_stream,
    response,
    response_stream,
)
from tests.relay.sweeper import receipt as receipt_of
from tests.support.hub import RATES, Answer, Hub, Tenant
from tests.support.shipped import shipped_rows

ROWS = shipped_rows()
OPUS, GEMINI, GPT = "claude-opus-5-5", "gemini-3.8-flash", "gpt-5"
PROVIDERS = {OPUS: "anthropic", GEMINI: "gemini", GPT: "openai"}
SCRIPT = Path(__file__).resolve().parents[3] / "static" / "recompute_receipt.py"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Canned]:
    with canned() as one:
        yield one


def in_force(model: str) -> list[CatalogueRow]:
    at = now()
    return [
        row
        for row in ROWS
        if row.model == model
        and row.valid_from <= at
        and (row.valid_to is None or at < row.valid_to)
    ]


def listed(hub: Hub, upstream: Canned, model: str, provider: str = "") -> str:
    """A model of its own, at the shipped prices of a vendor's."""
    name = served(hub, upstream, model, provider)
    for row in in_force(model):
        hub.price(name, row.rates["meters"], service_tier=row.service_tier)
        hub.connection.execute(
            "UPDATE billing_priceversion v SET rates = %s, source = 'genai-prices of a test' "
            "FROM billing_price p WHERE p.id = v.price_id AND p.model = %s AND p.service_tier = %s",
            [json.dumps(row.rates), name, row.service_tier],
        )
    hub.know(name)
    return name


def served(hub: Hub, upstream: Canned, model: str, provider: str = "") -> str:
    """A name of its own for a vendor's model, which the canned upstream serves."""
    name, provider = f"m-{secrets.token_hex(6)}", provider or PROVIDERS[model]
    url = f"{upstream.url}/v1" if provider == "openai" else upstream.url
    hub.channel(name, url, "sk-of-a-test", provider=provider, upstream_model=model)
    return name


def messages(hub: Hub, tenant: Tenant, model: str, **over: Any) -> Answer:
    body = {
        "model": model,
        "max_tokens": 8_000,
        "messages": [{"role": "user", "content": "Hi"}],
        **over,
    }
    return hub.post(tenant, body, path="/v1/messages", headers={"anthropic-version": "2023-06-01"})


def record_of(hub: Hub, tenant: Tenant, answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    hub.settled(tenant)
    return hub.record(answer.headers["x-request-id"])


ANTHROPIC_ROWS = [
    pytest.param(
        {"speed": "fast"}, {"input_tokens": 10, "output_tokens": 1_000, "speed": "fast"},
        40_080_000, id="fast",
    ),
    pytest.param(
        {"speed": "fast"}, {"input_tokens": 10, "output_tokens": 1_000}, 40_080_000,
        id="fast, and the answer tells no speed",
    ),
    pytest.param(
        {"speed": "fast"}, {"input_tokens": 10, "output_tokens": 1_000, "speed": "standard"},
        20_040_000, id="fast was not granted",
    ),
    pytest.param(
        {}, {"input_tokens": 10, "output_tokens": 1_000, "speed": "fast"}, 20_040_000,
        id="fast was not asked for",
    ),
    pytest.param(
        {"inference_geo": "us"},
        {"input_tokens": 10, "output_tokens": 1_000, "inference_geo": "us"}, 22_044_000, id="us",
    ),
    pytest.param(
        {"inference_geo": "us", "speed": "fast"},
        {"input_tokens": 10, "output_tokens": 1_000, "inference_geo": "us", "speed": "fast",
         "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 3}},
        44_088_000 + 20_000_000, id="fast in the us, and searches at their own price",
    ),
    pytest.param(
        {}, {"input_tokens": 10, "output_tokens": 1_000, "service_tier": "batch"}, 10_020_000,
        id="batch",
    ),
    pytest.param(
        {"context_management": {"edits": [{"type": "compact_20260112"}]}},
        {"input_tokens": 23_000, "output_tokens": 1_000, "iterations": [
            {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500,
             "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0},
            {"type": "message", "input_tokens": 23_000, "output_tokens": 1_000,
             "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}]},
        902_000_000, id="compaction",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "usage", "charge"), ANTHROPIC_ROWS)
@pytest.mark.parametrize("stream", [False, True])
def test_claude_is_charged_by_its_conditions_and_parts(
    hub: Hub, upstream: Canned, asked: dict[str, Any], usage: dict[str, Any], charge: int,
    stream: bool, opus: str,
) -> None:  # fmt: skip
    tenant = hub.tenant()
    whole = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, **usage}
    upstream.answer = message(OPUS, whole)
    if stream:
        upstream.answer = message_stream(OPUS, whole | {"output_tokens": 1}, whole)
    before = hub.balance(tenant)["customer:available"]
    # A prompt whose tokens the hold may be sized by.
    text = "a" * 190_000 if "iterations" in usage else "a" * 1_000
    record = record_of(
        hub, tenant,
        messages(hub, tenant, opus, stream=stream, messages=[{"role": "user", "content": text}],
                 tools=[{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}],
                 **asked),
    )  # fmt: skip
    assert (record["charge_nano"], record["basis"]) == (charge, "measured")
    assert "above_hold" not in record["flags"]
    assert before - hub.balance(tenant)["customer:available"] == charge
    assert recomputed(hub, tenant, record) == charge
    hub.assert_books_balance()


@pytest.fixture(scope="module")
def opus(hub: Hub, upstream: Canned) -> str:
    return listed(hub, upstream, OPUS)


@pytest.fixture(scope="module")
def flash(hub: Hub, upstream: Canned) -> str:
    return listed(hub, upstream, GEMINI)


@pytest.fixture(scope="module")
def gpt(hub: Hub, upstream: Canned) -> str:
    return listed(hub, upstream, GPT)


def recomputed(hub: Hub, tenant: Tenant, record: dict[str, Any]) -> int:
    """The charge by the receipt and the script that is given with it, in nano."""
    receipt = receipt_of(hub, tenant.key, id_text(record["request_id"]))
    ran = subprocess.run(
        [sys.executable, "-I", str(SCRIPT)],
        input=json.dumps(receipt), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    whole, _, part = receipt["charge"].partition(".")
    return int(whole) * 10**9 + int(part.ljust(9, "0") or 0)


@pytest.mark.parametrize(
    ("asked", "usage", "charge"),
    [
        ("priority", {"serviceTier": "priority"}, 141_750_000),
        ("priority", {}, 141_750_000),
        ("priority", {"serviceTier": "standard"}, 78_750_000),
        ("SERVICE_TIER_PRIORITY", {"serviceTier": "SERVICE_TIER_PRIORITY"}, 141_750_000),
        ("SERVICE_TIER_PRIORITY", {"serviceTier": "SERVICE_TIER_STANDARD"}, 78_750_000),
        ("flex", {"serviceTier": "flex"}, 39_375_000),
        ("flex", {"trafficType": "ON_DEMAND_FLEX"}, 39_375_000),
        (None, {"serviceTier": "standard"}, 78_750_000),
    ],
)
def test_gemini_is_charged_by_its_service_tier(
    hub: Hub, upstream: Canned, flash: str, asked: str | None, usage: dict[str, str], charge: int
) -> None:
    tenant = hub.tenant()
    upstream.answer = content(
        {"promptTokenCount": 100_000, "candidatesTokenCount": 1_000, "totalTokenCount": 101_000,
         **usage}
    )  # fmt: skip
    body: dict[str, Any] = {
        "contents": [{"role": "user", "parts": [{"text": "a" * 110_000}]}],
        "generationConfig": {"maxOutputTokens": 2_000},
    }
    if asked:
        body["serviceTier"] = asked
    answer = hub.post(tenant, body, path=f"/v1beta/models/{flash}:generateContent")
    record = record_of(hub, tenant, answer)
    assert (record["charge_nano"], record["basis"]) == (charge, "measured")
    assert recomputed(hub, tenant, record) == charge
    hub.assert_books_balance()


def test_ungranted_gemini_tier_is_read_from_the_header(
    hub: Hub, upstream: Canned, flash: str
) -> None:
    tenant = hub.tenant()
    upstream.answer = content(
        {"promptTokenCount": 100, "candidatesTokenCount": 10, "totalTokenCount": 110}
    )
    upstream.headers = {"x-gemini-service-tier": "standard"}
    body = {"contents": [{"role": "user", "parts": [{"text": "a" * 200}]}],
            "serviceTier": "priority", "generationConfig": {"maxOutputTokens": 100}}  # fmt: skip
    answer = hub.post(tenant, body, path=f"/v1beta/models/{flash}:generateContent")
    upstream.headers = {}
    assert record_of(hub, tenant, answer)["charge_nano"] == 100 * 750 + 10 * 3_750


UNKNOWN = [
    ("ultrafast", {}, "service_tier=ultrafast"),
    ("hyper", {}, "service_tier=hyper"),
    (None, {"thinking_fee_tokens": 7}, "thinking_fee_tokens"),
    (None, {"prompt_tokens_details": {"cached_tokens": 1, "holo_tokens": 0}},
     "prompt_tokens_details.holo_tokens"),
    (None, {"prompt_tokens_details": 5}, "prompt_tokens_details"),
    (None, {"queue_time": {"more": 1}}, "queue_time.more"),
    (None, {"fees": {"a": {"b": 1}}}, "fees.a.b"),
    (None, {"num_server_side_tools_used": 2}, "num_server_side_tools_used"),
]  # fmt: skip


@pytest.mark.parametrize(("tier", "more", "unknown"), UNKNOWN)
def test_an_unclassified_condition_is_reviewed_and_not_charged(
    hub: Hub, upstream: Canned, gpt: str, tier: str | None, more: dict[str, Any], unknown: str
) -> None:
    tenant = hub.tenant()
    usage = {"prompt_tokens": 10, "completion_tokens": 100, "total_tokens": 110} | more
    over = {"service_tier": tier} if tier else {}
    upstream.answer = completion(GPT, usage, **over)
    body = {"model": gpt, "max_completion_tokens": 500, **over,
            "messages": [{"role": "user", "content": "Hi"}]}  # fmt: skip
    answer = hub.post(tenant, body)
    assert answer.status == 200
    request_id = answer.headers["x-request-id"]
    record = hub.record(request_id)
    assert (record["charge_nano"], record["basis"]) == (0, "held")
    assert {"unknown_member", "quarantine"} <= set(record["flags"])
    assert record["pricing"]["unknown"] == [unknown]
    assert record["raw_usage"] == usage
    assert hub.balance(tenant)["customer:held"] == record["hold_nano"] > 0


CHAT_USAGE = {"prompt_tokens": 10, "completion_tokens": 100, "total_tokens": 110}
RESPONSE_USAGE = {"input_tokens": 10, "output_tokens": 100, "total_tokens": 110}
CLAUDE_USAGE = {"input_tokens": 10, "output_tokens": 100, "cache_read_input_tokens": 0,
                "cache_creation_input_tokens": 0}  # fmt: skip
GOOGLE_USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 100, "totalTokenCount": 110}
# What answers, in which words, to whom, and what of it is unknown.
TOLD_UNASKED: dict[str, tuple[str, Any, str, str]] = {
    "chat": (GPT, completion(GPT, CHAT_USAGE, service_tier="hyper"), "chat", "hyper"),
    "chat, streamed":
        (GPT, completion_stream(GPT, CHAT_USAGE, service_tier="hyper"), "chat", "hyper"),
    "chat, a tier that is a number":
        (GPT, completion(GPT, CHAT_USAGE, service_tier=7), "chat", "7"),
    "chat, for a client of messages":
        (GPT, completion(GPT, CHAT_USAGE, service_tier="hyper"), "messages", "hyper"),
    "chat, streamed to a client of messages":
        (GPT, completion_stream(GPT, CHAT_USAGE, service_tier="hyper"), "messages", "hyper"),
    "responses": (GPT, response(GPT, RESPONSE_USAGE, service_tier="hyper"), "responses", "hyper"),
    "responses, streamed":
        (GPT, response_stream(GPT, RESPONSE_USAGE, service_tier="hyper"), "responses", "hyper"),
    "messages": (OPUS, message(OPUS, CLAUDE_USAGE | {"service_tier": "hyper"}), "messages",
                 "hyper"),
    "messages, streamed":
        (OPUS, message_stream(OPUS, CLAUDE_USAGE | {"service_tier": "hyper"},
                              CLAUDE_USAGE | {"service_tier": "hyper"}), "messages", "hyper"),
    "messages, for a client of chat":
        (OPUS, message(OPUS, CLAUDE_USAGE | {"service_tier": "hyper"}), "chat", "hyper"),
    "messages, a speed":
        (OPUS, message(OPUS, CLAUDE_USAGE | {"speed": "warp"}), "messages", "speed=warp"),
    "messages, a place": (OPUS, message(OPUS, CLAUDE_USAGE | {"inference_geo": "moon"}), "chat",
                          "inference_geo=moon"),
    "gemini": (GEMINI, content(GOOGLE_USAGE | {"serviceTier": "hyper"}), "chat", "hyper"),
    "gemini, streamed":
        (GEMINI, content_stream(GOOGLE_USAGE | {"serviceTier": "hyper"}), "chat", "hyper"),
}  # fmt: skip


@pytest.mark.parametrize("case", TOLD_UNASKED)
def test_unrequested_unknown_terms_are_reviewed(
    hub: Hub, upstream: Canned, gpt: str, opus: str, flash: str, case: str
) -> None:
    tenant = hub.tenant()
    vendor, upstream.answer, client, unknown = TOLD_UNASKED[case]
    model = {GPT: gpt, OPUS: opus, GEMINI: flash}[vendor]
    turns = [{"role": "user", "content": "Hi"}]
    body: dict[str, Any] = {"model": model, "stream": isinstance(upstream.answer, bytes)}
    paths = {"chat": "/v1/chat/completions", "responses": "/v1/responses",
             "messages": "/v1/messages"}  # fmt: skip
    body |= {"input": "Hi", "max_output_tokens": 500} if client == "responses" else {
        "messages": turns, "max_tokens": 500}  # fmt: skip
    answer = hub.post(tenant, body, path=paths[client], headers={"anthropic-version": "2023-06-01"})
    assert answer.status == 200, answer.body
    record = hub.record(answer.headers["x-request-id"])
    assert (record["charge_nano"], record["basis"]) == (0, "held")
    assert record["pricing"]["unknown"] == [
        unknown if "=" in unknown else f"service_tier={unknown}"
    ]
    assert hub.balance(tenant)["customer:held"] == record["hold_nano"] > 0


def test_unknown_tier_in_the_header_is_reviewed(hub: Hub, upstream: Canned, flash: str) -> None:
    tenant = hub.tenant()
    upstream.answer = content(GOOGLE_USAGE)
    upstream.headers = {"x-gemini-service-tier": "Hyper"}
    body = {"contents": [{"role": "user", "parts": [{"text": "a"}]}],
            "generationConfig": {"maxOutputTokens": 500}}  # fmt: skip
    answer = hub.post(tenant, body, path=f"/v1beta/models/{flash}:generateContent")
    upstream.headers = {}
    record = hub.record(answer.headers["x-request-id"])
    assert record["pricing"]["unknown"] == ["service_tier=hyper"]


@pytest.mark.parametrize("tier", ["default", "on_demand", "flex", "priority", "scale"])
def test_unrequested_known_terms_are_charged_plainly(
    hub: Hub, upstream: Canned, gpt: str, tier: str
) -> None:
    tenant = hub.tenant()
    upstream.answer = completion(GPT, CHAT_USAGE, service_tier=tier)
    body = {"model": gpt, "max_completion_tokens": 500,
            "messages": [{"role": "user", "content": "Hi"}]}  # fmt: skip
    record = record_of(hub, tenant, hub.post(tenant, body))
    assert (record["charge_nano"], record["basis"]) == (10 * 1_250 + 100 * 10_000, "measured")


def test_operators_get_one_email_about_unknown_usage(hub: Hub, upstream: Canned, gpt: str) -> None:
    tenant, name = hub.tenant(), f"fee_{secrets.token_hex(4)}"
    usage = {"prompt_tokens": 10, "completion_tokens": 100, "total_tokens": 110, name: 3}
    upstream.answer = completion(GPT, usage)
    body = {"model": gpt, "max_completion_tokens": 500,
            "messages": [{"role": "user", "content": "Hi"}]}  # fmt: skip
    for _ in range(3):
        hub.record(hub.post(tenant, body).headers["x-request-id"])
    rows = hub.rows(
        "SELECT body FROM outbox_fact WHERE kind = 'usage.unknown' AND body->>'unknown' = %s", name
    )
    assert [row["body"]["provider"] for row in rows] == ["openai"]
    doubted = "SELECT 1 FROM outbox_fact WHERE kind = 'count.doubted' AND body->>'model' = %s"
    assert hub.rows(doubted, gpt) == []


def test_own_price_wins_over_the_vendors_list(hub: Hub, upstream: Canned) -> None:
    """A reseller's terms: every tier and speed at one price, as the operator has set it."""
    tenant = hub.tenant()
    model = served(hub, upstream, GPT)
    hub.price(model, RATES)
    hub.know(model)
    usage = {"prompt_tokens": 10, "completion_tokens": 100, "total_tokens": 110}
    upstream.answer = completion(GPT, usage, service_tier="ultrafast")
    body = {"model": model, "max_completion_tokens": 500, "service_tier": "ultrafast",
            "messages": [{"role": "user", "content": "Hi"}]}  # fmt: skip
    record = record_of(hub, tenant, hub.post(tenant, body))
    assert record["basis"] == "measured"
    assert record["charge_nano"] > 0


def test_each_part_is_priced_by_the_model_that_made_it(
    hub: Hub, upstream: Canned, opus: str
) -> None:
    """An advisor's tokens at its own price; an attempt that was declined before it said anything
    at none."""
    other = f"claude-other-{opus}"
    hub.price(other, {"in_text": 1_000_000_000, "out_text": 5_000_000_000})
    hub.know(hub.model(upstream.url))
    tenant = hub.tenant()
    counts = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    own = {"input_tokens": 100, "output_tokens": 10, **counts}
    upstream.answer = message(OPUS, own | {"iterations": [
        {"type": "message", **own},
        {"type": "advisor_message", "model": other, "input_tokens": 1_000, "output_tokens": 200,
         **counts}]})  # fmt: skip
    tool = {"type": "advisor_20260301", "name": "advisor", "model": other, "max_uses": 1}
    record = record_of(hub, tenant, messages(hub, tenant, opus, tools=[tool]))
    assert record["charge_nano"] == 600_000 + 2_000_000
    assert record["meters"] == {"in_text": 1_100, "out_text": 210}
    assert recomputed(hub, tenant, record) == record["charge_nano"]
    upstream.answer = message(other, own | {"iterations": [
        {"type": "message", "model": OPUS, "input_tokens": 100, "output_tokens": 0, **counts},
        {"type": "fallback_message", "model": other, **own}]})  # fmt: skip
    record = record_of(hub, tenant, messages(hub, tenant, opus, fallbacks=[{"model": other}]))
    assert record["charge_nano"] == 100_000 + 50_000
    assert recomputed(hub, tenant, record) == record["charge_nano"]
    hub.assert_books_balance()


def test_cache_writes_are_booked_by_their_lifetime(hub: Hub, upstream: Canned, gpt: str) -> None:
    """OpenAI's 30 minutes at the price of a write, its 12 hours at none that is listed (I14)."""
    tenant = hub.tenant()
    kept = {"ttl_30m_tokens": 60, "ttl_12h_tokens": 0}
    details = {"cached_tokens": 0, "cache_write_tokens": 60, "cache_write_tokens_details": kept}
    usage = {"input_tokens": 100, "input_tokens_details": details, "output_tokens": 5,
             "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 105}  # fmt: skip
    upstream.answer = response(GPT, usage)
    body = {"model": gpt, "input": "a" * 200, "max_output_tokens": 100}
    record = record_of(hub, tenant, hub.post(tenant, body, path="/v1/responses"))
    assert record["meters"] == {"in_text": 40, "in_cache_write_30m": 60, "out_text": 5}
    details["cache_write_tokens_details"] = {"ttl_30m_tokens": 0, "ttl_12h_tokens": 60}
    upstream.answer = response(GPT, usage)
    answer = hub.post(tenant, body, path="/v1/responses")
    record = hub.record(answer.headers["x-request-id"])
    assert (record["basis"], record["charge_nano"]) == ("held", 0)
    assert record["meters"]["in_cache_write_12h"] == 60


HOSTED: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "responses": ("/v1/responses", GPT, {"tools": [{"type": "code_interpreter"}]},
                  "code_interpreter"),
    "messages": ("/v1/messages", OPUS, {"fallback_credit_token": "t"}, "fallback_credit_token"),
    "gemini": ("", GEMINI, {"tools": [{"googleMaps": {}}]}, "google_maps"),
}  # fmt: skip


# Where the model is reached in another dialect, the tool cannot be asked for at all.
TRANSLATED: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "responses": ("/v1/responses", OPUS, {"tools": [{"type": "file_search"}]}, "file_search"),
    "messages": ("/v1/messages", GPT, {"tools": [{"type": "holo_scan_20270101"}]},
                 "holo_scan_20270101"),
    "gemini": ("", OPUS, {"tools": [{"enterpriseWebSearch": {}}]}, "enterpriseWebSearch"),
}  # fmt: skip


def ask_for(hub: Hub, tenant: Tenant, path: str, model: str, over: dict[str, Any]) -> Answer:
    """A short request in the dialect of the path, that of Gemini where it is empty."""
    body: dict[str, Any] = {"model": model, **over}
    if path == "/v1/messages":
        body |= {"max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}
    elif path:
        body |= {"max_output_tokens": 100, "input": "Hi"}
    else:
        del body["model"]
        body |= {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    where = path or f"/v1beta/models/{model}:generateContent"
    return hub.post(tenant, body, path=where, headers={"anthropic-version": "2023-06-01"})


@pytest.mark.parametrize("case", HOSTED)
def test_unpriced_feature_is_rejected_before_it_is_requested(
    hub: Hub, upstream: Canned, gpt: str, opus: str, flash: str, case: str
) -> None:
    """A price of the operator's own covers it."""
    path, vendor, over, unpriced = HOSTED[case]
    tenant, asked = hub.tenant(), len(upstream.asked)
    refused = ask_for(hub, tenant, path, {GPT: gpt, OPUS: opus, GEMINI: flash}[vendor], over)
    assert refused.status == 402, refused.body
    assert unpriced in refused.body.decode()
    assert "/admin/prices/new?model=" in refused.body.decode()
    assert len(upstream.asked) == asked
    assert hub.balance(tenant).get("customer:held", 0) == 0
    own = served(hub, upstream, vendor)
    hub.price(own, RATES)
    hub.know(own)
    assert b"has no price" not in ask_for(hub, tenant, path, own, over).body


@pytest.mark.parametrize("case", TRANSLATED)
def test_untranslatable_field_is_rejected_by_name(
    hub: Hub, upstream: Canned, gpt: str, opus: str, case: str
) -> None:
    path, vendor, over, tool = TRANSLATED[case]
    asked = len(upstream.asked)
    refused = ask_for(hub, hub.tenant(), path, {GPT: gpt, OPUS: opus}[vendor], over)
    assert refused.status == 400, refused.body
    assert tool in refused.body.decode()
    assert len(upstream.asked) == asked


def test_dropped_agent_tools_need_no_price(hub: Hub, upstream: Canned, opus: str) -> None:
    tools = [{"type": "function", "name": "f", "parameters": {}}, {"type": "image_generation"}]
    asked = len(upstream.asked)
    answer = ask_for(hub, hub.tenant(), "/v1/responses", opus, {"tools": tools})
    assert b"has no price" not in answer.body
    assert len(upstream.asked) > asked


LIFETIMES: list[tuple[str | None, dict[str, int], dict[str, int], list[str]]] = [
    (None, {}, {"in_cache_write_5m": 60}, []),
    ("30m", {}, {"in_cache_write_30m": 60}, []),
    ("30m", {"ttl_30m_tokens": 20, "ttl_12h_tokens": 0}, {"in_cache_write_30m": 60}, []),
    ("12h", {}, {"in_cache_write_12h": 60}, []),
    ("72h", {}, {"in_cache_write_5m": 60}, ["prompt_cache_options.ttl=72h"]),
]


@pytest.mark.parametrize(
    ("dialect", "ttl", "split", "meters", "unknown"),
    [
        (dialect, *row)
        for dialect in ("chat", "responses")
        for row in LIFETIMES
        # Chat completions have no split.
        if dialect == "responses" or not row[1]
    ],
)
def test_cache_writes_use_the_requested_lifetime(
    hub: Hub, upstream: Canned, gpt: str, dialect: str, ttl: str | None, split: dict[str, int],
    meters: dict[str, int], unknown: list[str],
) -> None:  # fmt: skip
    """12 hours have no listed price, and others no meter: both wait for an operator."""
    tenant = hub.tenant()
    details: dict[str, Any] = {"cached_tokens": 0, "cache_write_tokens": 60}
    if split:
        details["cache_write_tokens_details"] = split
    body: dict[str, Any] = {"model": gpt} | (
        {"prompt_cache_options": {"ttl": ttl}} if ttl else {"prompt_cache_options": {}}
    )
    if dialect == "chat":
        upstream.answer = completion(
            GPT,
            {
                "prompt_tokens": 100,
                "completion_tokens": 5,
                "total_tokens": 105,
                "prompt_tokens_details": details,
            },
        )
        path = "/v1/chat/completions"
        body |= {"messages": [{"role": "user", "content": "a" * 200}], "max_completion_tokens": 99}
    else:
        upstream.answer = response(
            GPT,
            {
                "input_tokens": 100,
                "output_tokens": 5,
                "total_tokens": 105,
                "input_tokens_details": details,
            },
        )
        path = "/v1/responses"
        body |= {"input": "a" * 200, "max_output_tokens": 99}
    answer = hub.post(tenant, body, path=path)
    assert answer.status == 200, answer.body
    record = hub.record(answer.headers["x-request-id"])
    assert record["meters"] == {"in_text": 40, "out_text": 5, **meters}
    held = ttl in ("12h", "72h")
    assert record["basis"] == ("held" if held else "measured")
    assert (record["pricing"] or {}).get("unknown", []) == unknown


@pytest.mark.parametrize(
    ("rates", "size"),
    [({"images": 10**15}, "1024x1024"), ({"in_text": 10**6, "out_image": 10**6}, "auto")],
)
def test_svg_drawing_usage_is_reviewed(
    hub: Hub, upstream: Canned, rates: dict[str, int], size: str
) -> None:
    """Beside the usage, of a model that the answer does not name."""
    tenant, model = hub.tenant("10000.00"), served(hub, upstream, "gpt-image-1", "openai")
    hub.price(model, rates)
    hub.know(model)
    usage = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
    upstream.answer = {"created": 1, "data": [{"b64_json": "aGk="}], "usage": usage,
                       "svg_usage": {"total_tokens": 50}}  # fmt: skip
    body = {"model": model, "prompt": "A hat", "size": size}
    answer = hub.post(tenant, body, path="/v1/images/generations")
    assert answer.status == 200, answer.body
    record = hub.record(answer.headers["x-request-id"])
    assert (record["basis"], record["charge_nano"]) == ("held", 0)
    assert record["pricing"]["unknown"] == ["svg_usage"]


def test_only_an_accepted_member_is_free(hub: Hub, upstream: Canned, gpt: str) -> None:
    """Charged for the rest of its usage, as the receipt says; what stands beside or inside of the
    member, at another provider or after it is revoked, is reviewed."""
    name, other = f"holo_{secrets.token_hex(4)}", f"fee_{secrets.token_hex(4)}"
    person = hub.person(hub.tenant(), operator=True)

    def ask(more: dict[str, Any]) -> dict[str, Any]:
        tenant = hub.tenant()
        upstream.answer = completion(GPT, CHAT_USAGE | more)
        body = {"model": gpt, "max_completion_tokens": 500,
                "messages": [{"role": "user", "content": "Hi"}]}  # fmt: skip
        answer = hub.post(tenant, body)
        record = hub.record(answer.headers["x-request-id"])
        if record["basis"] == "measured":
            hub.settled(tenant)
            receipt = receipt_of(hub, tenant.key, id_text(record["request_id"]))
            assert receipt["accepted"] == [name]
            assert recomputed(hub, tenant, record) == record["charge_nano"]
        return record

    def accept(provider: str, member: str) -> None:
        hub.connection.execute(
            "INSERT INTO usage_acceptedmember (provider, wire, member, reason, accepted_by_id) "
            "VALUES (%s, 'chat', %s, 'free', %s)", [provider, member, person],
        )  # fmt: skip

    assert ask({name: 3})["pricing"]["wire"] == "chat"
    accept("xai", name)
    accept("openai", name)
    hub.alias(f"knows-{secrets.token_hex(6)}", gpt)
    record = ask({name: 3})
    assert (record["basis"], record["charge_nano"]) == ("measured", 10 * 1_250 + 100 * 10_000)
    assert record["pricing"] == {"accepted": [name]}
    assert ask({name: 3, other: 1})["pricing"]["unknown"] == [other]
    assert ask({name: {"inner": 3}})["pricing"]["unknown"] == [f"{name}.inner"]
    many = {f"{other}_{n}": 1 for n in range(70)}
    assert len(ask({name: 3} | many)["pricing"]["unknown"]) == 8
    hub.connection.execute("UPDATE usage_acceptedmember SET revoked_at = now()")
    hub.alias(f"knows-{secrets.token_hex(6)}", gpt)
    assert ask({name: 3})["basis"] == "held"
