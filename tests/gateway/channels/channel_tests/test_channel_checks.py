"""The test of a channel against a provider that fails in each way."""

import datetime as dt
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent
from billing.models import Posting
from billing.prices.conditions import PriceKey
from billing.prices.prices import set_price
from gateway.channels.channel_tests.calls import _SCHEMA, ChannelCheck, matches_schema
from gateway.channels.channel_tests.channel_test import check_channel, target_of, upstream_name
from gateway.channels.channel_tests.schedule import claim_due
from gateway.channels.channel_tests.variants import STAGES
from gateway.channels.channels import change_channel, create_channel
from gateway.channels.fields import ChannelFields
from gateway.channels.model_lists import list_models
from gateway.models import Channel, Route
from gateway.settings.installation import save_settings
from lib import clock
from tests.fakes.bedrock import ACCESS, OWN, FakeBedrock
from tests.fakes.listeners import hanging_port, refused_port
from tests.fakes.upstream import FakeUpstream
from tests.support.cast import Cast
from usage.models import Attempt, UsageRecord

pytestmark = pytest.mark.django_db

STREAMED = STAGES["streamed"]
KEY = "sk-fake-provider-key-0123456789"


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream(name="checked", keys=(KEY,), fsync=False) as upstream:
        yield upstream


@pytest.fixture(autouse=True)
def loopback(db: None) -> None:
    save_settings(SYSTEM, egress_allow=["127.0.0.1/32"])


def channel_to(base_url: str, key: str = KEY, **more: object) -> Channel:
    fields: ChannelFields = {
        "provider": "openai_compatible",
        "base_url": base_url,
        "keys": [key] if key else [],
        "models": {"fake": "", "other": "fake-64", "absent": "absent"},
        "timeouts": {"connect": 0.3, "first_content": 0.3},
    }
    fields.update(more)  # type: ignore[typeddict-item]
    return create_channel(SYSTEM, "checked", fields)


def reached(result: ChannelCheck) -> list[str]:
    return [stage["name"] for stage in result.stages if stage["ok"]]


def test_working_channel_passes_every_stage_and_stores_the_result(fake: FakeUpstream) -> None:
    channel = channel_to(fake.url)
    result = check_channel(SYSTEM, channel, "other")
    assert (result.ok, result.fault, result.upstream_model) == (True, None, "fake-64")
    assert reached(result) == list(STAGES["streamed"])
    assert all(isinstance(stage["ms"], int) for stage in result.stages)
    stored = Channel.objects.get().last_test or {}
    assert stored["ok"] is True
    assert stored["model"] == "other"
    assert AuditEvent.objects.filter(action="channel.tested").exists()


def test_nothing_is_billed(fake: FakeUpstream) -> None:
    check_channel(SYSTEM, channel_to(fake.url), "fake")
    for rows in (Posting.objects, Attempt.objects, UsageRecord.objects):
        assert not rows.exists()


@pytest.mark.parametrize("model", ["claude", "nova"])
def test_a_channel_to_bedrock_signs_its_test(fake: FakeUpstream, model: str) -> None:
    models = {
        "claude": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "nova": "eu.amazon.nova-lite-v1:0",
    }
    more = {"provider": "bedrock", "models": models, "timeouts": {"first_content": 20}}
    with FakeBedrock(fake) as bedrock:
        channel = channel_to(bedrock.url, bedrock.key, **more)
        result = check_channel(SYSTEM, channel, model)
        assert (result.fault, reached(result)) == (None, list(STAGES["streamed"]))
        listed = list_models(target_of(channel))
        assert (listed.fault, listed.names) == (None, [OWN, "us.anthropic.claude-opus-4-6-v1"])
        change_channel(SYSTEM, channel, {"keys": [f"{ACCESS}|another-secret"]})
        wrong = check_channel(SYSTEM, Channel.objects.get(), model)
    assert (wrong.fault, wrong.status) == ("key", 403)
    assert "another-secret" not in str(wrong)
    assert ACCESS not in wrong.body


@pytest.mark.parametrize(
    ("provider", "model", "noun"),
    [
        ("deepseek", "text-embedding-005", "embeddings"),
        ("vertex", "veo-3.1-generate-preview", "videos"),
        ("anthropic", "rerank-v3.5", "rankings"),
    ],
)
def test_unsupported_operation_is_reported_before_sending(
    fake: FakeUpstream, provider: str, model: str, noun: str
) -> None:
    """Not by the first request of a customer."""
    channel = channel_to(fake.url, provider=provider, models={})
    Route.objects.create(channel=channel, model=model)
    result = check_channel(SYSTEM, channel, model)
    assert (result.fault, reached(result)) == ("configuration", [])
    assert f"has no {noun} here" in result.detail


# fault of the fake -> what the test says, and the last stage that passed
FAULTS = [
    ("#fault=F5", "key", "connect"),
    ("#fault=F5:403", "key", "connect"),
    ("#fault=F6", "rejected", "connect"),
    ("#fault=F7", "model", "connect"),
    ("#fault=F8", "limited", "connect"),
    ("#fault=F9:402", "limited", "connect"),
    ("#fault=F10", "unavailable", "connect"),
    ("#fault=F11:headers #wait_ms=900", "timeout", "connect"),
    ("#fault=F11:content #wait_ms=900", "timeout", "accept"),
    ("#fault=F13:stall@2 #wait_ms=900", "timeout", "answer"),
    ("#fault=F14:eof@2", "broken", "answer"),
    ("#fault=F19:html", "not_stream", "accept"),
    ("#fault=F21:302", "redirected", "connect"),
    ("#fault=F23:error", "failed", "accept"),
    ("#fault=F24:stream", "broken", "accept"),
    ("#usage=none", "no_usage", "stream"),
    ("#usage=negative", "no_usage", "stream"),
]


@pytest.mark.parametrize(("directives", "fault", "passed"), FAULTS)
def test_each_failure_is_told_at_its_stage(
    fake: FakeUpstream, directives: str, fault: str, passed: str
) -> None:
    channel = channel_to(fake.url)
    fake.script(directives)
    try:
        result = check_channel(SYSTEM, channel, "fake")
    finally:
        fake.reset()
    assert (result.ok, result.fault) == (False, fault)
    assert reached(result) == list(STREAMED[: STREAMED.index(passed) + 1])
    assert result.stages[-1]["name"] == STREAMED[len(result.stages) - 1]
    assert KEY not in str(Channel.objects.get().last_test)


def test_a_wrong_key_is_told_and_not_shown(fake: FakeUpstream) -> None:
    channel = channel_to(fake.url, key="sk-wrong-provider-key-000000")
    assert check_channel(SYSTEM, channel, "fake").fault == "key"
    assert "sk-wrong-provider-key-000000" not in str(channel.last_test)


def test_wrong_google_key_is_not_a_rejected_request(fake: FakeUpstream) -> None:
    """Google answers it with 400 (F5)."""
    channel = channel_to(
        fake.url.replace("/v1", "/v1beta"), key="AIza-wrong-provider-key-0000", provider="gemini"
    )
    result = check_channel(SYSTEM, channel, "fake")
    assert (result.fault, result.status) == ("key", 400)
    assert "AIza-wrong-provider-key-0000" not in str(channel.last_test)


def test_provider_message_is_stored_without_the_key(
    fake: FakeUpstream,
) -> None:
    channel = channel_to(fake.url)
    fake.script("#fault=F7")
    result = check_channel(SYSTEM, channel, "fake")
    assert (result.fault, result.status) == ("model", 404)
    assert result.body
    assert KEY not in result.body


def test_an_address_that_is_not_permitted_is_never_reached(fake: FakeUpstream) -> None:
    save_settings(SYSTEM, egress_allow=[])
    accepted = len(fake.books())
    result = check_channel(SYSTEM, channel_to(fake.url), "fake")
    assert (result.fault, reached(result)) == ("denied", [])
    assert "egress_allow" in result.detail
    assert len(fake.books()) == accepted


@pytest.mark.parametrize(
    ("listener", "fault"), [(refused_port(), "refused"), (hanging_port(), "timeout")]
)
def test_a_closed_and_a_silent_port(listener: AbstractContextManager[int], fault: str) -> None:
    with listener as port:
        result = check_channel(SYSTEM, channel_to(f"http://127.0.0.1:{port}/v1"), "fake")
    assert (result.fault, reached(result)) == (fault, ["address"])


def test_server_without_tls(fake: FakeUpstream) -> None:
    secure = fake.url.replace("http://", "https://")
    result = check_channel(SYSTEM, channel_to(secure), "fake")
    assert (result.fault, reached(result)) == ("tls", ["address"])


def test_missing_key_is_reported_before_sending() -> None:
    channel = channel_to("http://127.0.0.1:9/v1", key="", provider="openai")
    result = check_channel(SYSTEM, channel, "fake")
    assert (result.fault, reached(result)) == ("configuration", [])
    assert "needs a key" in result.detail


def test_unserved_model_name_is_an_error(fake: FakeUpstream) -> None:
    channel = channel_to(fake.url)
    with pytest.raises(ValueError, match="does not serve"):
        check_channel(SYSTEM, channel, "elsewhere")
    assert upstream_name(channel, "other") == "fake-64"


# what is asked -> what the fake does to be asked so, and the stages then passed
VARIANTS: dict[str, tuple[str, str]] = {
    "plain": ("", "usage"),
    "tools": ("#tools=1 #arg=city", "usage"),
    "schema": ("", "usage"),
    "cancel": ("#tokens=200 #hold=2", "cancel"),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_variant_passes_its_stages(fake: FakeUpstream, variant: Any) -> None:
    channel, (directives, last) = channel_to(fake.url), VARIANTS[variant]
    fake.script(directives or "#tokens=16")
    try:
        result = check_channel(SYSTEM, channel, "fake", variant)
    finally:
        fake.release()
        fake.reset()
    assert (result.ok, result.fault) == (True, None), (result.detail, result.body)
    assert reached(result) == list(STAGES[variant])
    assert reached(result)[-1] == last
    assert (Channel.objects.get().last_test or {})["variant"] == variant


# what is asked, and the fault of the fake -> what the test says, and the last stage that passed
OF_VARIANTS = [
    ("plain", "#fault=F19:html", "not_answer", "accept"),
    ("plain", "#usage=none", "no_usage", "answer"),
    ("plain", "#fault=F10", "unavailable", "connect"),
    ("tools", "#tokens=5", "no_tool_call", "stream"),
    ("cancel", "#fault=F11:content #wait_ms=900", "timeout", "accept"),
]


@pytest.mark.parametrize(("variant", "directives", "fault", "passed"), OF_VARIANTS)
def test_each_failure_of_a_variant_is_found_at_its_stage(
    fake: FakeUpstream, variant: Any, directives: str, fault: str, passed: str
) -> None:
    channel = channel_to(fake.url)
    fake.script(directives)
    try:
        result = check_channel(SYSTEM, channel, "fake", variant)
    finally:
        fake.reset()
    assert (result.ok, result.fault) == (False, fault), result
    assert reached(result)[-1] == passed


def test_schema_violations_are_found() -> None:
    assert matches_schema('{"city": "Oslo"}', _SCHEMA)
    for text in ("", "Oslo", "[]", '{"city": 1}', '{"city": "Oslo", "more": 1}', "{" * 2000):
        assert not matches_schema(text, _SCHEMA)


def test_cancelled_test_aborts_its_request(fake: FakeUpstream) -> None:
    channel = channel_to(fake.url)
    fake.reset()
    fake.script("#tokens=200 #hold=2")
    try:
        assert check_channel(SYSTEM, channel, "fake", "cancel").ok
        fake.wait_for(lambda totals: totals["holding"] == 0)
    finally:
        fake.release()
        (row,) = fake.books()
        fake.reset()
    assert row["outcome"] == "cut"
    assert row["emitted"] < 200


def test_channel_test_cost_prefers_the_channels_price(
    fake: FakeUpstream,
) -> None:
    channel, now = channel_to(fake.url), clock.now()
    rates = {"meters": {"in_text": 1_000_000, "out_text": 2_000_000}}
    assert check_channel(SYSTEM, channel, "fake").cost_nano is None
    set_price(SYSTEM, "fake", now, rates, source="test")
    result = check_channel(SYSTEM, channel, "fake")
    tokens = result.meters
    assert result.cost_nano == tokens["in_text"] + 2 * tokens["out_text"] > 0
    dearer = {"meters": {"in_text": 5_000_000, "out_text": 5_000_000}}
    set_price(SYSTEM, PriceKey("fake", "cost", channel.name), now, dearer, source="test")
    assert check_channel(SYSTEM, channel, "fake").cost_nano == 5 * sum(tokens.values())


def test_channel_test_cost_uses_its_region(fake: FakeUpstream) -> None:
    """As the relay's: the most exact region that has a price, else the price of any other."""
    channel, now = channel_to(fake.url, region="eu-west-1"), clock.now()
    costs = {"": 1, "regional": 3, "eu-west-1": 7, "us-east-1": 9}
    for region, nano in costs.items():
        rates = {"meters": {"in_text": nano * 1_000_000, "out_text": nano * 1_000_000}}
        key = PriceKey("fake", "cost", region=region)
        set_price(SYSTEM, key, now, rates, source="test")
    for region, nano in {"eu-west-1": 7, "ap-south-1": 3, "global": 1, "": 1}.items():
        change_channel(SYSTEM, channel, {"region": region})
        result = check_channel(SYSTEM, Channel.objects.get(), "fake")
        assert result.cost_nano == nano * sum(result.meters.values()) > 0, region


def test_channel_test_cost_is_unknown_in_an_unknown_region(fake: FakeUpstream) -> None:
    with FakeBedrock(fake) as bedrock:
        more = {"provider": "bedrock", "models": {"fake": OWN}, "timeouts": {"first_content": 20}}
        channel = channel_to(bedrock.url, bedrock.key, **more)
        rates = {"meters": {"in_text": 1_000_000, "out_text": 1_000_000}}
        for region in ("", "regional"):
            key = PriceKey("fake", "cost", region=region)
            set_price(SYSTEM, key, clock.now(), rates, source="test")
        result = check_channel(SYSTEM, channel, "fake")
        assert (result.ok, result.cost_nano) == (True, None), result
        change_channel(SYSTEM, channel, {"region": "eu-west-1"})
        result = check_channel(SYSTEM, Channel.objects.get(), "fake")
        assert result.cost_nano == sum(result.meters.values()) > 0


def test_due_channels_are_claimed_once_the_longest_overdue_first(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was never done comes before all; what is due at this instant is due."""
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    second, tick = dt.timedelta(seconds=1), dt.timedelta(microseconds=1)
    for name, at in (("now", now), ("soon", now + tick), ("late", now - second), ("never", None)):
        Channel.objects.create(name=name, provider="openai", base_url="", next_balance_at=at)
    for names in (["never", "late", "now"], list[str]()):
        claimed = claim_due(Channel.objects.all(), "next_balance_at", lambda _: second)
        assert [channel.name for channel in claimed] == names
    times = dict(Channel.objects.values_list("name", "next_balance_at"))
    assert times == {"soon": now + tick} | dict.fromkeys(("never", "late", "now"), now + second)
