"""I13: the loop of a provider's own tools is held in full, or refused before anything is sent."""

import itertools
import json
from collections.abc import Mapping
from typing import Any

import pytest

from billing.currency.money import round_half_even
from billing.prices.pricing import PriceVersion, total_bound
from dialects.chat.hosted_tools import USES_ASSUMED, HostedTool
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from gateway.providers.hosted_tools import HostedToolData, ToolResult
from lib.ids import id_text
from relay.hold_sizes.rules import worst_quantities
from relay.hold_sizes.tool_loop import loop_of
from tests.fakes.upstream import FakeUpstream
from tests.support.hub import Hub

SEARCH = 10_000_000  # nano-USD
RATES = {
    "in_text": 3_000_000_000, "in_cache_read": 300_000_000, "in_cache_write_5m": 3_750_000_000,
    "in_cache_write_1h": 6_000_000_000, "out_text": 15_000_000_000, "searches": SEARCH * 10**6,
}  # fmt: skip
LINES = [{"role": "user", "content": ""}]
PATHS = {
    "anthropic": "/v1/messages",
    "openai": "/v1/responses",
    "gemini": "/v1beta/models/{}:generateContent",
}


def request(provider: str, model: str, text: str, searches: int) -> tuple[str, dict[str, Any]]:
    path = PATHS[provider].format(model)
    if provider == "anthropic":
        tool = {"type": "web_search_20250305", "name": "web_search", "max_uses": searches}
        lines = [{"role": "user", "content": text}]
        return path, {"model": model, "max_tokens": 4096, "messages": lines, "tools": [tool]}
    if provider == "openai":
        body = {"model": model, "input": text, "max_output_tokens": 4096}
        return path, body | {"tools": [{"type": "web_search"}], "max_tool_calls": searches}
    contents = [{"role": "user", "parts": [{"text": text}]}]
    config = {"maxOutputTokens": 4096}
    return path, {"contents": contents, "tools": [{"google_search": {}}],
                  "generationConfig": config}  # fmt: skip


def bill(provider: str, row: Mapping[str, Any]) -> int:
    """What the provider charges for a row of its own books, in nano-USD."""
    usage = row["usage"]
    details = usage["prompt_tokens_details"]
    read, written = details["cached_tokens"], details.get("cache_write_tokens", 0)
    if provider == "gemini":
        written = 0
    plain = usage["prompt_tokens"] - read - written
    sums = (
        plain * RATES["in_text"] + read * RATES["in_cache_read"]
        + written * RATES["in_cache_write_5m"] + usage["completion_tokens"] * RATES["out_text"]
    )  # fmt: skip
    return int(round_half_even(sums, 10**6)) + int(row["units"]["searches"]) * SEARCH


@pytest.mark.parametrize("cold", ["", " #cold"])
@pytest.mark.parametrize("provider", PATHS)
def test_loop_is_charged_as_its_provider_bills_it(
    hub: Hub, fake: FakeUpstream, provider: str, cold: str
) -> None:
    """The charge is the provider's bill, and the platform pays nothing of it."""
    model = hub.model(
        fake, rates=RATES, provider=provider, upstream_model="gemini-3-flash-preview",
    ) if provider == "gemini" else hub.model(fake, rates=RATES, provider=provider)  # fmt: skip
    tenant = hub.tenant("100.00")
    for searches in range(1, 9):
        text = f"#tokens=200 #prompt=60 #searches={searches} #found=8000{cold}"
        path, body = request(provider, model, text, searches)
        answer = hub.post(tenant, body, path=path)
        assert answer.status == 200, answer.body
        record = hub.record(answer.headers["x-request-id"])
        row = fake.wait_for_row(id_text(record["id"]))
        assert row is not None
        assert record["charge_nano"] == bill(provider, row), (searches, record)
        assert record["charge_nano"] <= record["hold_nano"]
        assert "above_hold" not in record["flags"]
    hub.settled(tenant)
    assert hub.balance(tenant).get("platform:loss", 0) == 0
    hub.assert_books_balance()


@pytest.mark.parametrize("provider", PATHS)
def test_unpayable_tool_loop_is_rejected_unsent(
    hub: Hub, fake: FakeUpstream, provider: str
) -> None:
    """I5: what one reading costs is there, and what the searches add is not."""
    model, tenant = hub.model(fake, rates=RATES, provider=provider), hub.tenant("0.20")
    asked = fake.totals()["requests"]
    path, body = request(provider, model, "hello", 8)
    answer = hub.post(tenant, body, path=path)
    assert answer.status == 402, answer.body
    assert fake.totals()["requests"] == asked
    plain = {name: value for name, value in body.items() if name not in ("tools", "max_tool_calls")}
    assert hub.post(tenant, plain, path=path).status == 200


def test_cap_of_a_loop_shrinks_to_the_balance(hub: Hub, fake: FakeUpstream) -> None:
    """What the model says is read again too, so that a shorter answer makes the loop cheaper."""
    model, tenant = hub.model(fake, rates=RATES, provider="openai"), hub.tenant("0.40")
    path, body = request("openai", model, "#tokens=9000 #searches=2 #found=8000", 2)
    del body["max_output_tokens"]
    answer = hub.post(tenant, body, path=path)
    assert answer.status == 200, answer.body
    cap = int(answer.headers["x-weir-output-cap"])
    record = hub.record(answer.headers["x-request-id"])
    assert 16 <= cap < 16_384
    assert record["charge_nano"] <= record["hold_nano"] <= 400_000_000
    assert "above_hold" not in record["flags"]


@pytest.mark.parametrize("uses", [[1], [2], [5], [3, 1], [2, 2, 1]])
@pytest.mark.parametrize("readings_max", [None, 1, 2, 3])
@pytest.mark.parametrize("context_max", [None, 900])
def test_no_order_of_results_exceeds_the_hold(
    uses: list[int], readings_max: int | None, context_max: int | None
) -> None:
    """Every way in which the results may be spread over the readings, one by one."""
    sizes = (700, 300, 50)
    names = ("web_search", "web_fetch", "mcp")
    data = HostedToolData(
        {name: ToolResult(size, 1) for name, size in zip(names, sizes, strict=True)},  # type: ignore[misc]
        readings_max, context_max,
    )  # fmt: skip
    tools = tuple(HostedTool(name, count) for name, count in zip(names, uses, strict=False))  # type: ignore[arg-type]
    loop = loop_of(tools, [(data, None)])
    most = loop.read(100, 40)
    results = [size for size, count in zip(sizes, uses, strict=False) for _ in range(count)]
    readings = len(results) if readings_max is None else min(readings_max, len(results))
    version = PriceVersion.from_stored(
        {"meters": {"in_text": 100, "in_cache_write_5m": 125, "out_text": 1}}
    )

    def price(new: int, again: int) -> int:
        nano = total_bound(
            worst_quantities(
                version, text_tokens=new * 10**6, media_tokens=0, output_tokens=0,
                again_tokens=again * 10**6,
            ),
            version,
        )  # fmt: skip
        assert isinstance(nano, int)
        return nano

    for ends in itertools.combinations_with_replacement(range(1, len(results) + 1), readings):
        total = sum(100 + sum(results[:end]) + 40 for end in ends)
        if context_max is not None:
            total = sum(min(context_max, 100 + sum(results[:end]) + 40) for end in ends)
        if len(set(ends)) < len(ends):
            continue
        new = min(total, sum(results[: ends[-1]]) + 40)
        assert price(new, total - new) <= price(*most)


def test_endless_loops_are_counted_quickly() -> None:
    data = HostedToolData({"web_search": ToolResult(10, 1)})
    loop = loop_of((HostedTool("web_search", 10**9, 10**9),), [(data, 1_000)])
    new, again = loop.read(5, 5)
    assert new == 10**10 + 5
    assert 0.99 * 10**12 < new + again <= 10**12


@pytest.mark.parametrize(
    ("dialect", "over", "tools"),
    [
        ("anthropic", {"tools": [{"type": "web_search_20250305", "max_uses": 3}]},
         [("web_search", 3, 3, None)]),
        ("anthropic", {"tools": [{"type": "web_search_20260209", "max_uses": 3}]},
         [("web_search", 3, 3, None), ("code_execution", USES_ASSUMED, 0, None)]),
        ("anthropic", {"tools": [{"type": "web_search_20260318", "max_uses": 3,
                                  "allowed_callers": ["direct"]}]},
         [("web_search", 3, 3, None)]),
        ("anthropic", {"tools": [{"type": "web_fetch_20250910", "max_content_tokens": 900}]},
         [("web_fetch", USES_ASSUMED, 0, 900)]),
        ("anthropic", {"tools": [{"type": "tool_search_tool_bm25"}]},
         [("tool_search", 1, 0, None)]),
        ("anthropic", {"tools": [{"type": "code_execution_20250825"}]},
         [("code_execution", USES_ASSUMED, 0, None)]),
        ("anthropic", {"mcp_servers": [{"name": "a"}]}, [("mcp", USES_ASSUMED, 0, None)]),
        ("anthropic", {"mcp_servers": [{"name": "a"}], "tools": [{"type": "mcp_toolset"}]},
         [("mcp", USES_ASSUMED, 0, None)]),
        ("anthropic", {"tools": [{"name": "web_search", "input_schema": {}}]}, []),
        ("responses", {"tools": [{"type": "file_search", "max_num_results": 4}],
                       "max_tool_calls": 2}, [("file_search", 2, 0, 3_200)]),
        ("responses", {"tools": [{"type": "mcp"}, {"type": "code_interpreter"}]},
         [("mcp", USES_ASSUMED, 0, None), ("code_execution", USES_ASSUMED, 0, None)]),
        ("responses", {"tools": [{"type": "function", "name": "shell"}]}, []),
        ("gemini", {"tools": {"googleSearch": {}, "urlContext": {}}},
         [("web_search", USES_ASSUMED, USES_ASSUMED, None), ("url_context", 20, 0, None)]),
        ("gemini", {"tools": [{"functionDeclarations": [{"name": "google_search"}]}]}, []),
        ("interactions", {"tools": [{"type": "url_context"}, {"type": "function"}]},
         [("url_context", 20, 0, None)]),
        ("openai", {"tools": [{"type": "function", "function": {"name": "web_search"}}]}, []),
        ("openai", {"enable_search": True}, [("web_search", 1, USES_ASSUMED, None)]),
    ],
)  # fmt: skip
def test_hosted_tools_are_found_in_every_dialect(
    dialect: Any, over: dict[str, Any], tools: list[tuple[object, ...]]
) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "openai": {"model": "m", "messages": LINES},
        "anthropic": {"model": "m", "max_tokens": 5, "messages": LINES},
        "responses": {"model": "m", "input": "hi"},
        "gemini": {"contents": [{"parts": [{"text": "hi"}]}]},
        "interactions": {"model": "m", "input": "hi"},
    }
    codec = CODECS[dialect]
    facts = codec.read(json.dumps(bodies[dialect] | over).encode(), Target("m"))
    assert list(codec.hosted_tools(facts)) == tools
