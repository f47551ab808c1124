"""What a channel changes of requests, over real sockets: the provider is sent what the preview
shows, in every pair of dialects, and it is held for (P2)."""

import asyncio
import json
import sys
from dataclasses import fields
from types import FrameType
from typing import Any
from uuid import uuid4

import pytest

from lib.ids import id_text
from relay.catalogue.snapshot_build import ChannelRow, RouteRow
from relay.hold_sizes.rules import text_tokens_max
from relay.pages.sent_preview import MASK
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.pages.test_in_process import body as stream_of_text
from tests.relay.pages.test_in_process import knows, principal, relay
from tests.relay.speakers import SPEAKERS, UPSTREAMS, Wish, spoken_at
from tests.support.hub import RATES, Hub, Tenant
from tests.support.pairwise import slow_unless

__all__ = ["relay"]

PROMPT = "Be kind 😀"
OVERRIDES = {
    "parameters": {
        "openai": {"set": {"seed": 5, "logit_bias": {"1": 1}}, "remove": ["user"]},
        "responses": {"default": {"text.verbosity": "low"}},
        "anthropic": {"set": {"top_k": 3}},
        "gemini": {"set": {"generationConfig.topK": 3}},
        "interactions": {"set": {"generation_config.seed": 3}},
        "converse": {"set": {"inferenceConfig.topP": 0.5}},
    },
    "system_prompt": {"text": PROMPT, "mode": "append"},
    "headers": {"x-who": "{organisation} {key} {model}", "x-static": "yes", "user-agent": "ours"},
    "client_headers": ["x-trace"],
}
CHANGED: dict[str, Any] = {
    "openai": lambda body: (body["seed"], body["logit_bias"]) == (5, {"1": 1}),
    "responses": lambda body: body["text"]["verbosity"] == "low" and PROMPT in body["instructions"],
    "anthropic": lambda body: body["top_k"] == 3 and PROMPT in str(body["system"]),
    "gemini": lambda body: body["generationConfig"]["topK"] == 3,
    "interactions": lambda body: body["generation_config"]["seed"] == 3,
    "converse": lambda body: body["inferenceConfig"]["topP"] == 0.5,
}


def sent_to(fake: FakeUpstream, model: str) -> dict[str, Any]:
    """The newest row of the fake's books of a request whose text holds this."""
    rows = [row for row in fake.books() if model in (row["body"] or "")]
    return rows[-1]


def row_of(hub: Hub, model: str) -> ChannelRow:
    (row,) = hub.rows(
        "SELECT c.*, r.upstream_model FROM gateway_channel c "
        "JOIN gateway_route r ON r.channel_id = c.id WHERE r.model = %s",
        model,
    )
    names = {one.name for one in fields(ChannelRow)} - {"keys", "routes", "id"}
    return ChannelRow(
        id=str(row["id"]),
        keys=[(str(uuid4()), "", "")],
        routes=[RouteRow(model, row["upstream_model"])],
        **{name: row[name] for name in names},
    )


PAIRS = [
    pytest.param(
        client, upstream,
        marks=slow_unless(client == upstream), id=f"{client}-{upstream}",
    )
    for client in SPEAKERS
    for upstream in UPSTREAMS
]  # fmt: skip


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_provider_receives_what_the_preview_shows(
    relay: Any, hub: Hub, fake: FakeUpstream, client: str, upstream: str
) -> None:
    speaker, tenant = SPEAKERS[client], hub.tenant()
    model = hub.model(fake, rates=RATES, overrides=OVERRIDES, **UPSTREAMS[upstream])
    await knows(relay, hub, model)
    body, path = speaker.body(model, Wish(f"{model} #tokens=3")), speaker.path(model, stream=False)
    headers = {"x-trace": "t-1"}
    sent = await relay.in_process.preview_sent(
        row_of(hub, model), path, list(headers.items()), json.dumps(body).encode()
    )
    assert sent.refusal is None
    answer = hub.post(tenant, body, path=path, headers=headers)
    assert answer.status == 200, answer.body
    row = sent_to(fake, model)
    assert row["body"] == sent.body.decode()
    assert CHANGED[spoken_at(client, upstream)](json.loads(row["body"]))
    assert json.dumps(PROMPT)[1:-1] in json.dumps(json.loads(row["body"]))
    message, got = dict(sent.headers), dict(row["headers"])
    key = f"{id_text(tenant.organisation_id)} {id_text(tenant.key_id)} {model}"
    assert (got.pop("x-who"), got["x-static"], got["user-agent"]) == (key, "yes", "ours")
    assert message.pop("x-who").endswith(model)
    assert got["x-trace"] == "t-1"
    for name in ("x-client-request-id", "authorization", "x-api-key", "x-goog-api-key"):
        secret, mask = got.pop(name, ""), message.pop(name, "")
        assert bool(secret) == bool(mask)
        assert name == "x-client-request-id" or not mask or mask.endswith(MASK)
    assert message == got


@pytest.mark.parametrize("client", SPEAKERS)
def test_addresses_that_an_older_version_forwarded_stay_here(
    hub: Hub, fake: FakeUpstream, client: str
) -> None:
    speaker, tenant = SPEAKERS[client], hub.tenant()
    named = ["x-trace", "x-forwarded-for", "fastly-client-ip", "x-envoy-external-address"]
    model = hub.model(fake, rates=RATES, overrides={"client_headers": named}, **UPSTREAMS["openai"])
    body, path = speaker.body(model, Wish(f"{model} #tokens=3")), speaker.path(model, stream=False)
    answer = hub.post(tenant, body, path=path, headers=dict.fromkeys(named, "192.0.2.9"))
    assert answer.status == 200, answer.body
    told = [name for name, value in sent_to(fake, model)["headers"].items() if value == "192.0.2.9"]
    assert told == ["x-trace"]


async def test_channel_without_overrides_has_no_overhead(
    relay: Any, hub: Hub, fake: FakeUpstream
) -> None:
    """Nothing of them is called, nor of proxies once a connection stands."""
    tenant, called = hub.tenant(), set[str]()
    plain = hub.model(fake)
    changed = hub.model(fake, overrides={"headers": {"x-a": "1"}})
    key = await principal(relay, hub, tenant)

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.add(frame.f_code.co_filename)

    seen = {}
    for model in (plain, changed):
        await knows(relay, hub, model)
        for last in (False, True):
            if last:
                called.clear()
                sys.setprofile(note)
            try:
                async for _ in relay.in_process.chat(
                    key, stream_of_text(model, "#tokens=2"), source="playground"
                ):
                    pass
            finally:
                sys.setprofile(None)
        watched = (
            "gateway/channels/overrides/rules.py", "dialects/chat/system_prompt.py",
            "lib/network/outbound.py", "relay/upstream/dialer.py",
        )  # fmt: skip
        seen[model] = {file for file in watched if any(name.endswith(file) for name in called)}
    assert seen == {plain: set(), changed: {"gateway/channels/overrides/rules.py"}}
    await asyncio.to_thread(hub.settled, tenant)


def held(hub: Hub, tenant: Tenant, body: dict[str, Any]) -> int:
    answer = hub.post(tenant, body)
    assert answer.status == 200, answer.body
    return int(hub.record(answer.headers["x-request-id"])["hold_nano"])


def test_added_fields_are_held_for(hub: Hub, fake: FakeUpstream) -> None:
    """The provider counts the system prompt, and the client pays for it."""
    tenant, long = hub.tenant(), "word " * 2_000
    plain = hub.model(fake)
    longer = hub.model(fake, overrides={"system_prompt": {"text": long}})
    small, large = [held(hub, tenant, ask(model, "#tokens=1", max_tokens=9))
                    for model in (plain, longer)]  # fmt: skip
    # One nano a token.
    assert large - small >= text_tokens_max(len(long))
    hub.settled(tenant)


def test_a_refused_field_goes_to_another_channel_or_is_named(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, overrides={"fields": {"store": "refuse"}})
    assert hub.post(tenant, ask(model)).status == 200
    refused = hub.post(tenant, ask(model, store=True))
    assert (refused.status, refused.error["param"]) == (400, "store")
    assert "store" in refused.error["message"]
    hub.channel(model, other_fake.url, other_fake.key, priority=7)
    hub.bump()
    hub.wait(
        lambda: hub.post(tenant, ask(model, store=True)).status == 200, "the other channel is known"
    )


def test_a_dropped_service_tier_is_neither_sent_nor_charged(hub: Hub, fake: FakeUpstream) -> None:
    """Who asks for the cheap tier of a channel that drops it is served, held for and charged as
    everybody, and so is who asks for the dear one."""
    tenant, model = hub.tenant(), hub.model(fake, overrides={"fields": {"service_tier": "drop"}})
    hub.price(model, {name: 5 * rate for name, rate in RATES.items()}, service_tier="priority")
    hub.price(model, {name: rate // 5 for name, rate in RATES.items()}, service_tier="flex")
    hub.bump()
    charges = {}
    for tier in ("flex", "priority", None):
        body = ask(model, f"{model} #tokens=10 #prompt=10", max_tokens=10)
        answer = hub.post(tenant, body | ({"service_tier": tier} if tier else {}))
        record = hub.record(answer.headers["x-request-id"])
        assert "service_tier" not in json.loads(sent_to(fake, model)["body"])
        dropped = answer.headers.get("x-weir-dropped-params")
        assert dropped == ("service_tier" if tier else None)
        charges[tier] = record["charge_nano"]
        assert record["charge_nano"] <= record["hold_nano"]
    assert set(charges.values()) == {10 + 30}
    hub.settled(tenant)


def test_a_text_completion_gets_the_prompt_too(hub: Hub, fake: FakeUpstream) -> None:
    """It is asked as a chat then: otherwise it would be a way around the prompt."""
    model = hub.model(fake, overrides={"system_prompt": {"text": PROMPT}}, provider="openai")
    body = {"model": model, "prompt": f"{model} #tokens=2", "max_tokens": 5}
    assert hub.post(hub.tenant(), body, path="/v1/completions").status == 200
    sent = json.loads(sent_to(fake, model)["body"])
    assert sent["messages"][0] == {"role": "system", "content": PROMPT}


# ---- rules with conditions


def seed_and_tier(fake: FakeUpstream, model: str) -> tuple[int | None, str | None]:
    """What a rule set of the last request: a parameter and a header."""
    row = sent_to(fake, model)
    return json.loads(row["body"]).get("seed"), dict(row["headers"]).get("x-tier")


def test_rule_changes_only_matching_requests(hub: Hub, fake: FakeUpstream) -> None:
    """By organisation, team and endpoint; others are sent as they are."""
    tenant, other = hub.tenant(), hub.tenant()
    (row,) = hub.rows(
        "SELECT slug FROM accounts_organisation WHERE id = %s", tenant.organisation_id
    )
    changes = {"parameters": {"openai": {"set": {"seed": 5}}}, "headers": {"x-tier": "{model}"}}
    when = [
        {"teams": [f"{row['slug']}/core"], "endpoints": ["chat_completions"], **changes},
        {"models": ["no-such-*"], "headers": {"x-tier": "no"}},
    ]
    model = hub.model(fake, overrides={"when": when})
    messages = {
        "model": model,
        "max_tokens": 5,
        "messages": ask(model, f"{model} #tokens=2")["messages"],
    }
    assert hub.post(tenant, messages).status == 200
    assert seed_and_tier(fake, model) == (5, model)
    assert hub.post(other, messages).status == 200
    assert seed_and_tier(fake, model) == (None, None)
    assert hub.post(tenant, messages, path="/v1/messages").status == 200
    assert seed_and_tier(fake, model) == (None, None)
    hub.settled(tenant)


def test_rule_applies_to_the_requested_model(hub: Hub, fake: FakeUpstream) -> None:
    """By its name in the catalogue, also where an alias was asked; its parameters are held for."""
    tenant, model = hub.tenant(), hub.model(fake)
    long = "x" * 2000
    when = [{"models": [f"{model}*"], "parameters": {"openai": {"set": {"seed": 5, "note": long}}}}]
    hub.connection.execute(
        "UPDATE gateway_channel c SET overrides = %s FROM gateway_route r "
        "WHERE r.channel_id = c.id AND r.model = %s",
        [json.dumps({"when": when}), model],
    )
    hub.connection.execute(
        "INSERT INTO gateway_modelalias (name, target) VALUES (%s, %s)", [f"alias-{model}", model]
    )
    hub.bump()
    hub.wait(
        lambda: hub.post(tenant, ask(f"alias-{model}", f"{model} #tokens=1")).status == 200,
        "the hub does not hear of the alias",
    )
    assert seed_and_tier(fake, model)[0] == 5
    assert held(hub, tenant, ask(model, "#tokens=1", max_tokens=9)) >= text_tokens_max(len(long))
    hub.settled(tenant)


def test_tokens_are_counted_with_the_rule_of_the_requested_model(
    hub: Hub, fake: FakeUpstream
) -> None:
    """As the request itself would be sent, also where an alias was asked."""
    tenant = hub.tenant()
    model = hub.model(fake, **UPSTREAMS["anthropic"])
    when = [{"models": [model], "headers": {"x-tier": "{model}"}}]
    hub.connection.execute(
        "UPDATE gateway_channel c SET overrides = %s FROM gateway_route r "
        "WHERE r.channel_id = c.id AND r.model = %s",
        [json.dumps({"when": when}), model],
    )
    hub.alias(f"alias-{model}", model)
    asked = {"model": f"alias-{model}", "messages": [{"role": "user", "content": model}]}
    answer = hub.post(tenant, asked, path="/v1/messages/count_tokens")
    assert answer.status == 200, answer.body
    assert sent_to(fake, model)["headers"].get("x-tier") == model


async def test_the_preview_shows_the_request_of_a_team(
    relay: Any, hub: Hub, fake: FakeUpstream
) -> None:
    when = [{"teams": ["acme/core"], "headers": {"x-tier": "gold"}}]
    model = hub.model(fake, rates=RATES, overrides={"when": when})
    await knows(relay, hub, model)
    body = json.dumps(ask(model)).encode()
    for teams, tier in (([], None), (["acme"], None), (["acme", "acme/core"], "gold")):
        sent = await relay.in_process.preview_sent(
            row_of(hub, model), "/v1/chat/completions", [], body, teams
        )
        assert dict(sent.headers).get("x-tier") == tier
