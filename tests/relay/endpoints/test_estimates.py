"""What a request would hold, told before it is sent, by the same code that holds it."""

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.attempts.test_included_units import include
from tests.relay.speakers import SPEAKERS, Wish
from tests.support.hub import Answer, Hub, Tenant

RATES = {
    "in_text": 3_000_000_000, "in_cache_read": 300_000_000, "in_cache_write_5m": 3_750_000_000,
    "out_text": 15_000_000_000, "searches": 10**13, "images": 4 * 10**13,
    "characters": 15_000_000_000,
}  # fmt: skip
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi #tokens=2"}],
                             "max_tokens": 50},
    "/v1/completions": {"prompt": ["one", "two"], "max_tokens": 20},
    "/v1/responses": {"input": "hi #tokens=2", "max_output_tokens": 30},
    "/v1/messages": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9,
                     "tools": [{"type": "web_search_20250305", "name": "web_search",
                                "max_uses": 3}]},
    "/v1beta/models/{}:generateContent": {"contents": [{"parts": [{"text": "hi"}]}],
                                          "generationConfig": {"maxOutputTokens": 7}},
    "/v1/embeddings": {"input": ["a river", "a weir"]},
    "/v1/rerank": {"query": "a", "documents": ["b", "c"]},
    "/v1/images/generations": {"prompt": "a boat", "n": 2},
    "/v1/audio/speech": {"input": "a river", "voice": "alloy"},
}  # fmt: skip


def estimate(hub: Hub, tenant: Tenant, path: str, body: Any, **headers: str) -> Answer:
    return hub.post(tenant, body, path=f"/v1/estimate?endpoint={path}", headers=headers)


def books(hub: Hub, tenant: Tenant) -> list[Any]:
    owner = tenant.organisation_id
    tables = ("billing_hold", "usage_attempt", "usage_usagerecord")
    return [
        hub.rows(f"SELECT count(*) AS n FROM {table} WHERE organisation_id = %s", owner)
        for table in tables
    ]  # fmt: skip


@pytest.mark.parametrize("path", BODIES)
def test_estimate_equals_the_hold(hub: Hub, fake: FakeUpstream, path: str) -> None:
    """To the nano-dollar, by meter; nothing is sent, held or recorded."""
    provider = "anthropic" if path == "/v1/messages" else "openai_compatible"
    tenant, model = hub.tenant("50.00"), hub.model(fake, rates=RATES, provider=provider)
    where = path.format(model)
    body = BODIES[path] | ({} if "{}" in path else {"model": model})
    before, asked = books(hub, tenant), fake.totals()["requests"]
    answer = estimate(hub, tenant, where, body)
    assert answer.status == 200, answer.body
    told = answer.json()
    assert (books(hub, tenant), fake.totals()["requests"]) == (before, asked)
    sent = hub.post(tenant, body, path=where)
    assert sent.status == 200, sent.body
    assert told["reserved"] == sent.headers["x-weir-hold"]
    assert (told["object"], told["model"], told["fits"]) == ("estimate", model, True)
    assert Decimal(told["available"]) == 50
    sums = sum(Decimal(line["amount"]) for line in told["meters"])
    assert abs(sums - Decimal(told["reserved"])) <= Decimal("2e-9")
    assert 0 < Decimal(told["expected"]) <= Decimal(told["reserved"])
    for line in told["meters"]:
        assert set(line) >= {"meter", "quantity", "rate", "amount"}


def test_expected_charge_is_never_above_its_hold(hub: Hub, fake: FakeUpstream) -> None:
    """A charge is at most its hold: little money shortens the answer that is expected, too."""
    tenant = hub.tenant("0.0005")
    model = hub.model(fake, rates={"in_text": 10**9, "out_text": 10**10})
    told = hub.post(tenant, ask(model), path="/v1/estimate").json()
    assert told["output_cap"] < 50
    assert Decimal(0) < Decimal(told["expected"]) <= Decimal(told["reserved"])


def test_an_answer_of_unknown_length_has_no_expected_charge(hub: Hub, fake: FakeUpstream) -> None:
    """Speech that is billed by its tokens of sound: only the text is known before."""
    tenant = hub.tenant()
    model = hub.model(fake, rates={"in_text": 10**9, "out_audio": 10**10, "out_text": 10**10})
    body = {"model": model, "input": "a river", "voice": "alloy"}
    told = estimate(hub, tenant, "/v1/audio/speech", body).json()
    assert Decimal(told["reserved"]) > 0
    assert told["expected"] is None


def test_several_prompts_fit_only_together(hub: Hub, fake: FakeUpstream) -> None:
    """A provider without the endpoint gets a request for each prompt, and what one leaves must be
    enough for the next."""
    model = hub.model(fake, rates=RATES, provider="anthropic")
    body = BODIES["/v1/completions"] | {"model": model}
    reserved = Decimal(estimate(hub, hub.tenant(), "/v1/completions", body).json()["reserved"])
    for credit, fits in ((reserved - Decimal("0.000000001"), False), (reserved, True)):
        told = estimate(hub, hub.tenant(f"{credit:f}"), "/v1/completions", body).json()
        assert (told["fits"], Decimal(told["available"])) == (fits, credit)
    poor = hub.tenant("0.000000001")
    include(hub, poor, ("in_text", 10_000), ("out_text", 10_000))
    assert estimate(hub, poor, "/v1/completions", body).json()["fits"]


def test_estimate_without_an_endpoint_is_of_a_chat(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates={"in_text": 10**9, "out_text": 10**10})
    body = ask(model, max_tokens=100)
    told = hub.post(tenant, body, path="/v1/estimate").json()
    size = len(json.dumps(body))
    assert told["operation"] == "chat_completions"
    assert told["meters"] == [
        {"meter": "in_text", "quantity": size, "rate": "1",
         "amount": f"{size / 1e6:.6f}"},
        {"meter": "out_text", "quantity": 100, "rate": "10", "amount": "0.001"},
    ]  # fmt: skip


def test_estimate_is_rejected_like_the_request(hub: Hub, fake: FakeUpstream) -> None:
    """The same validation and authority, in the same words; lack of money is part of it."""
    tenant, model = hub.tenant("0.000001"), hub.model(fake)
    wrong = ask(model, max_tokens=-1)
    bodies: list[Any] = [wrong, ask("nothing"), {"messages": []}, b"{"]
    for body in bodies:
        sent, told = hub.post(tenant, body), hub.post(tenant, body, path="/v1/estimate")
        assert (told.status, told.error["message"]) == (sent.status, sent.error["message"])
    poor = hub.post(tenant, ask(model, max_tokens=5_000), path="/v1/estimate")
    assert (poor.status, poor.json()["fits"]) == (200, False)
    assert hub.post(None, ask(model), path="/v1/estimate").status == 401
    for path in ("/v1/models", "/nowhere", "/v1/estimate", "/v1/messages/count_tokens"):
        answer = estimate(hub, tenant, path, ask(model))
        assert (answer.status, answer.error["param"]) == (422, "endpoint"), answer.body
    above = hub.post(tenant, ask(model, max_tokens=500, max_cost="0.000000001"),
                     path="/v1/estimate")  # fmt: skip
    assert (above.status, above.error["code"]) == (402, "max_cost_exceeded")


def test_key_estimates_only_what_it_may_ask(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    hub.connection.execute(
        "UPDATE accounts_key SET endpoints = %s WHERE id = %s",
        [["messages"], tenant.key_id],
    )
    hub.bump()
    speaker = SPEAKERS["anthropic"]
    body = speaker.body(model, Wish(cap=20))
    assert estimate(hub, tenant, "/v1/messages", body).status == 200
    answer = hub.post(tenant, ask(model), path="/v1/estimate")
    assert (answer.status, answer.error["code"]) == (403, "permission_denied")


def test_form_estimate_reads_its_files(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=RATES)
    lines = (
        b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n' + model.encode()
        + b'\r\n--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na\r\n--x\r\n'
        + b'Content-Disposition: form-data; name="image"; filename="a.png"\r\n'
        + b"Content-Type: image/png\r\n\r\n\x89PNG\r\n\x1a\n\r\n--x--\r\n"
    )  # fmt: skip
    kind = "multipart/form-data; boundary=x"
    answer = estimate(hub, tenant, "/v1/images/edits", lines, **{"content-type": kind})
    assert answer.status == 200, answer.body
    assert answer.json()["reserved"] == "0.04"
