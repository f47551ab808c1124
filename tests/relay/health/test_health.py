"""What a process learns of its channels: breakers, cooling keys, refused keys, and how little is
tried again when nothing answers (docs/promises.md, "Numbers"; P21, F5, F7, F8, F9)."""

import random
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import inf
from typing import Any
from uuid import UUID

import pytest

from gateway.breaker.breaker import BreakerRule
from gateway.breaker.channel_state import Block
from gateway.breaker.faults import FAULTS
from gateway.channel_order.channel_order import Candidate
from gateway.channels.timeouts import Timeouts
from gateway.providers import provider_named
from lib.id_types import ChannelId, ChannelName, UpstreamModelName
from relay.catalogue.snapshot import EMPTY, Channel
from relay.health.channel_health import Health
from relay.health.channels_out import none_ready
from relay.upstream.failures import UpstreamFailed
from tests.fakes import listeners
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support.hub import RATES, Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

SOON = {"failures": 3, "open_for": 0.2}
NEVER = {"failures": 3, "open_for": 3600}
# Before any channel is chosen, or by the hold of the few requests that go out nevertheless.
BUDGET_LOW = re.compile(rb"(a budget|key budget \S+) has too little left: [0-9.]+ USD")


CHANNEL = Channel(
    id="c",
    uuid=ChannelId(UUID(int=1)),
    name=ChannelName("c"),
    provider=provider_named("openai_compatible"),
    base_url="http://127.0.0.1/v1",
    address=provider_named("openai_compatible").address("http://127.0.0.1/v1"),
    headers=({},),
    passed_headers={},
    retries=2,
    drain=False,
    timeouts=Timeouts(),
    breaker=BreakerRule(),
)
CANDIDATE = Candidate("c", UpstreamModelName("m"), 2)
WHO = UUID(int=2)
# What each column "health effect" makes of a channel with one key, after 20 attempts and after one.
EFFECTS: dict[str, tuple[str, str]] = {
    "count": ("open", "good"),
    "misconfigured": ("open", "open"),
    "key_off": ("keys_out", "keys_out"),
    "cool": ("models_out", "models_out"),
    "route_off": ("models_out", "good"),
    **dict.fromkeys(("none", "note", "alert", "quarantine"), ("good", "good")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_health_effect_of_every_row(fault: str) -> None:
    """The column of the table; a model that is out takes no other of its channel with it."""
    often, once = EFFECTS[FAULTS[fault].health]
    if fault == "F5":
        # One 401 may be a hiccup; the next one confirms it, for the model that was refused.
        often, once = "models_out", "good"
    health = Health()
    for n in range(20):
        health.begin(CANDIDATE, CHANNEL, WHO).failed(UpstreamFailed(fault, "upstream_error", "x"))
        assert n or health.channel_status("c").condition == once
    assert health.channel_status("c").condition == often
    other = Candidate("c", UpstreamModelName("another"), 2)
    assert (health.out([CANDIDATE], WHO) == set()) == (often == "good")
    assert (health.out([other], WHO) == set()) == (often in ("good", "models_out"))
    health.keep(EMPTY)
    assert health.channel_status("c").condition == "good"


def why(*faults: tuple[Channel, str, int]) -> str:
    """What a client hears after these faults of channels, each so many times."""
    health = Health()
    candidates = [Candidate(channel.id, UpstreamModelName("m"), 2) for channel, _, _ in faults]
    for (channel, fault, times), candidate in zip(faults, candidates, strict=True):
        for _ in range(times):
            probe = health.begin(candidate, channel, WHO)
            probe.failed(UpstreamFailed(fault, "upstream_error", "x"))
    return none_ready("m", health.blocks(candidates, WHO)).message.partition("for model m")[2]


def test_cause_is_named_where_it_is_the_only_one() -> None:
    other = replace(CHANNEL, id="d")
    assert "the channel's key" in why((CHANNEL, "F5", 2))
    assert "the channel's key" in why((CHANNEL, "F5", 2), (other, "F9", 1))
    assert "cannot connect" in why((CHANNEL, "F3", 1))
    assert "the model" in why((CHANNEL, "F7", 3))
    # A provider that fails may be well again in a moment, and nobody was told.
    assert why((CHANNEL, "F10", 20)) == ""
    assert why((CHANNEL, "F5", 2), (other, "F10", 20)) == ""
    assert why((CHANNEL, "F5", 2), (other, "F3", 1)) == ""


@pytest.fixture(scope="module")
def keyring() -> Iterator[FakeUpstream]:
    """A provider that knows two keys."""
    with FakeUpstream(name="k", keys=("sk-first", "sk-second")) as fake:
        yield fake


def seen(fake: FakeUpstream, model: str) -> list[dict[str, Any]]:
    return [row for row in fake.books() if row["model"] == model]


def attempts(hub: Hub, model: str) -> int:
    (row,) = hub.rows("SELECT count(*) AS n FROM usage_attempt WHERE model = %s", model)
    return int(row["n"])


def posts(hub: Hub, tenant: Tenant, body: Any, times: int) -> list[Answer]:
    return [hub.post(tenant, body) for _ in range(times)]


def refused_without_attempt(hub: Hub, answer: Answer) -> bool:
    """5 of 100 requests are let through nevertheless: they are told as the attempt was."""
    if answer.status != 503:
        return False
    assert answer.error["code"] == "no_channel_available"
    assert int(answer.headers["retry-after"]) >= 1
    (record,) = hub.records(answer.headers["x-request-id"])
    assert (record["kind"], record["channel_name"]) == ("no_channel", "")
    return True


def test_lasting_errors_take_precedence_over_transient_ones(hub: Hub, fake: FakeUpstream) -> None:
    """While every channel rests: the key, the model, the wallet and the budget come first."""
    model = hub.model(fake, retries=0, breaker=NEVER)
    assert posts(hub, hub.tenant(), ask(model, "#fault=F10:500"), 3)[-1].status == 502
    poor, bound, kept_away = hub.tenant("0"), hub.tenant(), hub.tenant(patterns=("other-*",))
    hub.budget(bound, "0.000000010", "key", period="month", anchor=1, timezone="UTC")
    message = {"role": "user", "content": "hi"}
    doors: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"model": model, "messages": [message]},
        "/v1/messages": {"model": model, "messages": [message], "max_tokens": 99},
        "/v1/responses": {"model": model, "input": "hi"},
        "/v1/completions": {"model": model, "prompt": "hi"},
        f"/v1beta/models/{model}:generateContent": {"contents": [{"parts": [{"text": "hi"}]}]},
    }
    for path, body in doors.items():
        values = {
            who: hub.post(tenant, body, path=path)
            for who, tenant in (("poor", poor), ("bound", bound), ("kept away", kept_away))
        }
        assert {who: answer.status for who, answer in values.items()} == {
            "poor": 402, "bound": 402, "kept away": 403
        }, path  # fmt: skip
        assert b"team balance is used up" in values["poor"].body
        assert BUDGET_LOW.search(values["bound"].body)
        assert {answer.headers["x-should-retry"] for answer in values.values()} == {"false"}
    dear = hub.post(hub.tenant(), ask(model, max_tokens=1_000_000, max_cost=0.0001))
    assert (dear.status, dear.error["code"]) == (402, "max_cost_exceeded")


@pytest.mark.parametrize(
    ("path", "rates", "field", "body"),
    [
        ("/v1/embeddings", {"in_text": 10**6}, "input", {}),
        ("/v1/moderations", {"requests": 10**6}, "input", {}),
        ("/v1/images/generations", {"images": 10**6}, "prompt", {}),
        ("/v1/audio/speech", {"characters": 10**6}, "input", {"voice": "alloy"}),
        ("/v1/videos", {"video_ms": 10**6}, "prompt", {}),
    ],
)
def test_lack_of_money_is_reported_outside_chat_too(
    hub: Hub, fake: FakeUpstream, path: str, rates: dict[str, int], field: str, body: dict[str, Any]
) -> None:
    model = hub.model(fake, rates=rates, retries=0, breaker=NEVER)
    body = {"model": model, field: "#fault=F10:500"} | body
    payer = hub.tenant()
    hub.wait(lambda: hub.post(payer, body, path=path).status == 503, "the channel does not rest")
    response = hub.post(hub.tenant("0"), body, path=path)
    assert (response.status, response.headers["x-should-retry"]) == (402, "false")
    kept_away = hub.tenant(patterns=("other-*",))
    assert hub.post(kept_away, body, path=path).status == 403


def test_failing_channel_is_not_asked_again(hub: Hub, fake: FakeUpstream) -> None:
    """Refused at once, by our own word; a hold was never placed."""
    tenant = hub.tenant()
    model = hub.model(fake, retries=0, breaker=NEVER)
    body = ask(model, "#fault=F10:500")
    assert [answer.status for answer in posts(hub, tenant, body, 3)] == [502] * 3
    answers = posts(hub, tenant, body, 30)
    refused = sum(refused_without_attempt(hub, answer) for answer in answers)
    assert refused >= 20
    assert attempts(hub, model) == 33 - refused


def test_other_channel_is_asked_first_while_one_is_out(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    tenant = hub.tenant()
    model = hub.model(fake, other_fake, breaker=NEVER)
    body = ask(model, "#a.fault=F10:500 #tokens=2")
    answers = posts(hub, tenant, body, 5)
    assert {answer.status for answer in answers} == {200}
    tried = [len(hub.records(answer.headers["x-request-id"])) for answer in answers]
    assert tried == [2, 2, 2, 1, 1]


def test_recovered_channel_is_asked_again(hub: Hub, fake: FakeUpstream) -> None:
    """Half-open after its time: what comes through closes it."""
    tenant = hub.tenant()
    model = hub.model(fake, retries=0, breaker=SOON)
    posts(hub, tenant, ask(model, "#fault=F10:500"), 3)
    well = ask(model, "#tokens=2")
    for _ in range(3):
        hub.wait(lambda: hub.post(tenant, well).status == 200, "the channel stays out")
    assert {answer.status for answer in posts(hub, tenant, well, 5)} == {200}


def test_faults_after_the_commit_point_count(hub: Hub, fake: FakeUpstream) -> None:
    tenant = hub.tenant()
    model = hub.model(fake, retries=0, breaker=NEVER)
    body = ask(model, "#fault=F14:close@2 #delay_ms=5 #tokens=4", stream=True)
    assert {answer.status for answer in posts(hub, tenant, body, 3)} == {200}
    refused = sum(refused_without_attempt(hub, one) for one in posts(hub, tenant, body, 20))
    assert refused >= 12


def test_client_errors_do_not_count(hub: Hub, fake: FakeUpstream) -> None:
    tenant = hub.tenant()
    model = hub.model(fake, retries=0, breaker=NEVER)
    assert {one.status for one in posts(hub, tenant, ask(model, "#fault=F6:400"), 6)} == {400}
    assert hub.post(tenant, ask(model, "#tokens=1")).status == 200


def test_breaker_that_is_switched_off_stays_closed(hub: Hub, fake: FakeUpstream) -> None:
    tenant = hub.tenant()
    model = hub.model(fake, retries=0, breaker={"enabled": False, "failures": 1})
    assert {one.status for one in posts(hub, tenant, ask(model, "#fault=F10:500"), 25)} == {502}


def test_changed_channel_starts_afresh(hub: Hub, fake: FakeUpstream) -> None:
    tenant = hub.tenant()
    model = hub.model(fake, retries=0, breaker=NEVER)
    posts(hub, tenant, ask(model, "#fault=F10:500"), 3)
    hub.connection.execute(
        "UPDATE gateway_channel SET timeouts = '{\"idle\": 59}' WHERE name = %s", [f"{model}-0"]
    )
    hub.bump()
    well = ask(model, "#tokens=1")
    hub.wait(lambda: hub.post(tenant, well).status == 200, "the channel stays out")
    assert {answer.status for answer in posts(hub, tenant, well, 3)} == {200}


def test_key_that_is_refused_gives_way_to_the_next(hub: Hub, keyring: FakeUpstream) -> None:
    """F5: within the same request, and for good once it was asked a second time."""
    tenant, model = hub.tenant(), f"m-{keyring.port}-refused"
    hub.channel(model, keyring.url, ("sk-of-nobody-1", "sk-second"))
    hub.price(model, {"in_text": 10**6, "out_text": 10**6})
    hub.know(model)
    before = keyring.totals()["unauthorized"]
    answers = posts(hub, tenant, ask(model, "#tokens=1"), 6)
    assert {answer.status for answer in answers} == {200}
    assert keyring.totals()["unauthorized"] == before + 2
    assert attempts(hub, model) == 8


@pytest.mark.parametrize("fault", ["F5:401", "F9:429"])
def test_clients_learn_that_the_key_is_at_fault(hub: Hub, fake: FakeUpstream, fault: str) -> None:
    """F5, F9: what takes the channel out for all is told as what it is, and no more of it."""
    tenant = hub.tenant()
    model = hub.model(fake, retries=0)
    body = ask(model, f"#fault={fault}")
    first, _ = hub.post(tenant, body), hub.post(tenant, body)
    assert (first.status, first.error["code"]) == (502, "upstream_error")
    answers = [one for one in posts(hub, tenant, body, 20) if refused_without_attempt(hub, one)]
    # One at a time is asked nevertheless, ever less often.
    assert len(answers) >= 12
    assert {one.error["message"] for one in answers} == {
        f"Server Overloaded: no channel is available for model {model}: the provider rejects the "
        "channel's key; the operator has been notified"
    }
    assert not any(fake.key in str(one.error) for one in (first, *answers))


def test_single_401_is_retried_once(hub: Hub, fake: FakeUpstream) -> None:
    """P26, P21, F5: by the request that met it, and by no further one."""
    tenant, model = hub.tenant(), hub.model(fake, retries=2)
    assert hub.post(tenant, ask(model, "#1.fault=F5:401 #tokens=1")).status == 200
    assert attempts(hub, model) == 2
    model = hub.model(fake, retries=2)
    body = ask(model, "#fault=F5:401")
    assert hub.post(tenant, body).status == 502
    assert attempts(hub, model) == 2
    posts(hub, tenant, body, 6)
    # While it rests, one at a time is asked, ever less often.
    assert attempts(hub, model) <= 4


def two_models(hub: Hub, fake: FakeUpstream) -> tuple[str, str]:
    """Two models of one channel, which has one key."""
    model = hub.model(fake, retries=0)
    other = f"{model}-other"
    hub.connection.execute(
        "INSERT INTO gateway_route (channel_id, model, upstream_model) "
        "SELECT channel_id, %s, 'gpt-4o' FROM gateway_route WHERE model = %s",
        [other, model],
    )
    hub.price(other, RATES)
    hub.know(other)
    return model, other


def test_a_401_for_one_model_leaves_the_key_to_others(hub: Hub, fake: FakeUpstream) -> None:
    """P26, F5: a key may be good and refused for one model; two models say that it is bad."""
    tenant = hub.tenant()
    model, other = two_models(hub, fake)
    posts(hub, tenant, ask(model, "#fault=F5:401"), 2)
    answers = [one for one in posts(hub, tenant, ask(model, "#tokens=1"), 1) if one.status != 200]
    assert {refused_without_attempt(hub, one) for one in answers} <= {True}
    assert [one.status for one in posts(hub, tenant, ask(other, "#tokens=1"), 3)] == [200] * 3
    model, other = two_models(hub, fake)
    posts(hub, tenant, ask(model, "#fault=F5:401"), 2)
    refused = hub.post(tenant, ask(other, "#fault=F5:401"))
    assert refused.status == 502
    attempted = attempts(hub, other)
    posts(hub, tenant, ask(other, "#fault=F5:401"), 3)
    assert attempts(hub, other) <= attempted + 1


@pytest.mark.parametrize("fault", ["F5:401", "F9:402"])
def test_single_rejected_key_is_asked_again(hub: Hub, fake: FakeUpstream, fault: str) -> None:
    """P26, F5, F9: after a second; the first good answer ends it for everybody."""
    tenant, other_tenant = hub.tenant(), hub.tenant()
    model, other = two_models(hub, fake)
    assert {one.status for one in posts(hub, tenant, ask(model, f"#fault={fault}"), 2)} <= {
        502,
        503,
    }
    well = ask(model, "#tokens=1")
    hub.wait(lambda: hub.post(other_tenant, well).status == 200, "it stays out")
    for who in (tenant, other_tenant):
        for what in (well, ask(other, "#tokens=1")):
            assert {one.status for one in posts(hub, who, what, 3)} == {200}


@pytest.mark.parametrize(
    ("fault", "times", "tenants"),
    [("F5:403", 4, True), ("F7", 4, True), ("F8:seconds", 1, False), ("F8:none", 1, False),
     ("F10:500", 1, True), ("F14:close", 1, True), ("F33", 1, True)],
)  # fmt: skip
def test_models_and_tenants_of_a_rejected_key_continue(
    hub: Hub, fake: FakeUpstream, fault: str, times: int, tenants: bool
) -> None:
    """P26, F7, F8: whatever one tenant asks of one model, however often."""
    tenant, other_tenant = hub.tenant(), hub.tenant()
    model, other = two_models(hub, fake)
    body = ask(model, f"#fault={fault} #retry_after=7")
    assert not {one.status for one in posts(hub, tenant, body, times)} & {200}
    asked = [(tenant, other), (other_tenant, other), *([(other_tenant, model)] if tenants else [])]
    for who, what in asked:
        assert {one.status for one in posts(hub, who, ask(what, "#tokens=1"), 2)} == {200}
    if fault == "F8:seconds":
        assert hub.post(other_tenant, ask(model, "#tokens=1")).status == 429


def test_unpayable_request_does_not_use_up_the_probe(hub: Hub, fake: FakeUpstream) -> None:
    """P26: the one request that asks is one that was admitted."""
    tenant, broke = hub.tenant(), hub.tenant("0")
    model = hub.model(fake, retries=0)
    for _ in range(2):
        assert hub.post(tenant, ask(model, "#fault=F5:401")).status == 502
    well = ask(model, "#tokens=1")

    def asked_by_both() -> int:
        assert hub.post(broke, well).status == 402
        return hub.post(tenant, well).status

    hub.wait(lambda: asked_by_both() == 200, "it stays out")


def test_keys_take_turns(hub: Hub, keyring: FakeUpstream) -> None:
    tenant, model = hub.tenant(), f"m-{keyring.port}-turns"
    hub.channel(model, keyring.url, ("sk-first", "sk-second"), upstream_model="fake-64")
    hub.price(model, {"in_text": 10**6, "out_text": 10**6})
    hub.know(model)
    posts(hub, tenant, ask(model, "#tokens=1"), 6)
    keys = [row["key"] for row in seen(keyring, "fake-64")]
    assert sorted(keys) == ["sk-first"] * 3 + ["sk-second"] * 3


def test_key_at_its_limit_rests(hub: Hub, keyring: FakeUpstream) -> None:
    """F8: the other key answers; when both rest, the wait is told without asking."""
    tenant, model = hub.tenant(), f"m-{keyring.port}-rest"
    hub.channel(model, keyring.url, ("sk-first", "sk-second"))
    hub.price(model, {"in_text": 10**6, "out_text": 10**6})
    hub.know(model)
    once = ask(model, "#1.fault=F8:seconds #retry_after=9 #tokens=1")
    assert hub.post(tenant, once).status == 200
    assert attempts(hub, model) == 2
    answer = hub.post(tenant, ask(model, "#fault=F8:seconds #retry_after=50"))
    assert answer.status == 429
    for _ in range(5):
        answer = hub.post(tenant, ask(model, "#tokens=1"))
        assert (answer.status, answer.error["code"]) == (429, "rate_limit_exceeded")
        # The shortest rest of the pool, a little longer, less the time that went by.
        assert 5 <= int(answer.headers["retry-after"]) <= 10
    assert attempts(hub, model) == 3
    (record,) = hub.records(answer.headers["x-request-id"])
    assert (record["kind"], record["charge_nano"]) == ("upstream_rate_limited", 0)


def test_rest_is_two_minutes_at_most(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    for _ in range(2):
        answer = hub.post(tenant, ask(model, "#fault=F8:huge"))
        assert answer.status == 429
        assert 115 <= int(answer.headers["retry-after"]) <= 132


def test_model_unknown_upstream_disables_its_route(hub: Hub, fake: FakeUpstream) -> None:
    """F7: three times in a row, for what a client names may be unknown too."""
    tenant, model = hub.tenant(), hub.model(fake)
    body = ask(model, "#fault=F7")
    assert [answer.status for answer in posts(hub, tenant, body, 3)] == [502] * 3
    answers = [one for one in posts(hub, tenant, body, 20) if refused_without_attempt(hub, one)]
    assert len(answers) >= 12
    for one in answers:
        assert "does not know the model; the operator has been notified" in one.error["message"]


@pytest.mark.parametrize("fault", ["F10:500", "F14:close", "F33", "F1"])
def test_outage_is_not_amplified(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream, fault: str
) -> None:
    """P21: at most 1.2 attempts for each of 240 requests, whatever the retries allow."""
    tenant = hub.tenant("100.00")
    with listeners.refused_port() as port:
        ups = (f"http://127.0.0.1:{port}/v1",) * 2 if fault == "F1" else (fake, other_fake)
        model = hub.model(*ups)
        body = ask(model, "#tokens=1" if fault == "F1" else f"#fault={fault}")
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: hub.post(tenant, body), range(240)))
    assert {answer.status for answer in answers} <= {502, 503}
    hub.settled(tenant)
    assert attempts(hub, model) <= 1.2 * len(answers)


def test_further_attempts_are_bounded_per_channel(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """P21: without any breaker too, each of two channels sees a tenth of the requests again, and
    three in ten seconds; one after the other, so that none is on its way when they are counted."""
    tenant = hub.tenant("100.00")
    model = hub.model(fake, other_fake, breaker={"enabled": False})
    body, began, n = ask(model, "#fault=F10:500"), time.monotonic(), 100
    assert {hub.post(tenant, body).status for _ in range(n)} == {502}
    seconds = time.monotonic() - began
    hub.settled(tenant)
    assert n < attempts(hub, model) <= n + 2 * (n / 10 + 4 * (seconds / 10 + 1))


def test_every_request_goes_over_while_another_channel_answers(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """The budget is for attempts that fail: nobody is refused where somebody answers."""
    tenant = hub.tenant("100.00")
    model = hub.model(fake, other_fake)
    body = ask(model, "#a.fault=F10:500 #tokens=1")
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: hub.post(tenant, body), range(100)))
    assert {answer.status for answer in answers} == {200}
    assert attempts(hub, model) < 150


def test_wait_is_never_longer_than_its_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """The jitter lengthens a wait, but not beyond the minute of a limit, nor beyond F8's two."""
    monkeypatch.setattr(random, "uniform", lambda _, most: most)
    waits: list[tuple[list[Block], int]] = [
        ([Block("requests", 60.0)], 60),
        ([Block("tokens", 30.0)], 33),
        ([Block("cooling", 60.0)], 66),
        ([Block("cooling", 120.0)], 120),
        ([Block("cooling", 100.0), Block("parallel", inf)], 110),
    ]
    for blocks, seconds in waits:
        out = none_ready("m", blocks)
        assert out.retry_after_ms == seconds * 1000
        assert f"retry in {seconds} s" in out.message
