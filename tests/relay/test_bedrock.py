"""Bedrock through the hub, from clients of every dialect: Claude by InvokeModel, other models by
Converse; signatures, the binary stream, and its faults (docs/promises.md, "Fault table")."""

import json
import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import anthropic
import pytest

from lib.ids import id_text
from relay.counting.tokenizer import count_text
from relay.counting.vocabularies import UNKNOWN
from tests.fakes.bedrock import ACCESS, BEARER, FOREIGN, OWN, SECRET, TOKEN, FakeBedrock
from tests.fakes.upstream import FakeUpstream, expected_text
from tests.relay.speakers import SPEAKERS, Speaker, Wish
from tests.relay.test_matrix import IN, OUT, RATES
from tests.support.hub import TOKEN_FILE, Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

PROFILE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "eu.amazon.nova-lite-v1:0"
named = pytest.mark.parametrize("named", [PROFILE, NOVA], ids=["claude", "nova"])
clients = pytest.mark.parametrize("client", SPEAKERS)
plain_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


@pytest.fixture
def bedrock(fake: FakeUpstream) -> Iterator[FakeBedrock]:
    with FakeBedrock(fake) as bedrock:
        yield bedrock


def open_model(hub: Hub, bedrock: FakeBedrock, key: str = "", **over: Any) -> str:
    name = f"m-{secrets.token_hex(6)}"
    hub.price(name, RATES)
    settings = {"provider": "bedrock", "upstream_model": PROFILE} | over
    hub.channel(name, bedrock.url, key or bedrock.key, **settings)
    hub.know(name, listed=True)
    return name


def ask(hub: Hub, tenant: Tenant, speaker: Speaker, model: str, wish: Wish) -> Answer:
    path = speaker.path(model, stream=wish.stream)
    return hub.post(tenant, speaker.body(model, wish), path=path)


def booked(hub: Hub, fake: FakeUpstream, answer: Answer) -> dict[str, Any]:
    """The fake's row; our record has the same counts, and the price of them."""
    record = hub.record(answer.headers["x-request-id"])
    row = fake.wait_for_row(id_text(record["id"]))
    assert row is not None
    assert (row["dialect"], row["unknown"]) == ("messages", [])
    usage, meters = row["usage"], record["meters"]
    sides = {
        side: sum(count for name, count in meters.items() if name.startswith(side))
        for side in ("in_", "out_")
    }
    assert sides == {"in_": usage["prompt_tokens"], "out_": usage["completion_tokens"]}
    assert record["charge_nano"] == sides["in_"] * IN + sides["out_"] * OUT
    assert (record["status"], record["basis"]) == (200, "measured")
    assert record["upstream_request_id"] == "req-of-amazon"
    return row


def faults(hub: Hub, answer: Answer) -> set[str]:
    """The rows of the fault table that its attempts met."""
    records = hub.records(answer.headers["x-request-id"])
    return {flag for record in records for flag in record["flags"]}


@named
@plain_and_streamed
@clients
def test_text(
    hub: Hub, fake: FakeUpstream, bedrock: FakeBedrock, client: str, stream: bool, named: str
) -> None:
    speaker, tenant = SPEAKERS[client], hub.tenant()
    model = open_model(hub, bedrock, upstream_model=named)
    wish = Wish("#tokens=12 #lang=mixed #cached=2 good morning", stream)
    answer = ask(hub, tenant, speaker, model, wish)
    assert answer.status == 200, answer.body
    text = speaker.read(answer)
    assert text.text == expected_text("a", wish.text, 12, "mixed")
    assert (text.whole, text.error) == (True, None)
    row = booked(hub, fake, answer)
    assert text.usage == (row["usage"]["prompt_tokens"], 12)
    # Neither the profile nor the provider is told.
    assert named.encode() not in answer.body
    assert b"amazon" not in answer.body
    (sent,) = bedrock.requests
    operations = ("converse", "converse-stream")
    if named == PROFILE and client != "converse":
        operations = ("invoke", "invoke-with-response-stream")
    assert sent["path"] == f"/model/{quote(named, safe='')}/{operations[stream]}"


@named
@plain_and_streamed
@clients
def test_tools_in_two_phases(
    hub: Hub, fake: FakeUpstream, bedrock: FakeBedrock, client: str, stream: bool, named: str
) -> None:
    speaker, tenant = SPEAKERS[client], hub.tenant()
    model = open_model(hub, bedrock, upstream_model=named)
    wish = Wish("#tokens=4 #tools=2 weather?", stream, tools=True)
    body = speaker.body(model, wish)
    path = speaker.path(model, stream=stream)
    first = speaker.read(hub.post(tenant, body, path=path))
    assert [call.name for call in first.calls] == ["get_weather", "get_weather"]
    followed = speaker.follow(body, first, ["21 degrees", "rain"])
    answer = hub.post(tenant, followed, path=path)
    assert answer.status == 200, answer.body
    assert speaker.read(answer).whole
    assert booked(hub, fake, answer)["results"] == ["21 degrees", "rain"]


@named
@clients
def test_pictures_and_thoughts(
    hub: Hub, fake: FakeUpstream, bedrock: FakeBedrock, client: str, named: str
) -> None:
    speaker, tenant = SPEAKERS[client], hub.tenant()
    model = open_model(hub, bedrock, upstream_model=named)
    wish = Wish("#reasoning=6 #tokens=5 think", stream=True, think=True, image=True)
    answer = ask(hub, tenant, speaker, model, wish)
    assert answer.status == 200, answer.body
    assert len(speaker.read(answer).reasoning.split()) == 6
    (picture,) = booked(hub, fake, answer)["media"]
    assert picture["kind"] == "image"


def test_the_official_client_with_betas(hub: Hub, bedrock: FakeBedrock) -> None:
    """A beta is a header of Anthropic, and a member of Bedrock, which refuses unknown ones."""
    tenant, model = hub.tenant(), open_model(hub, bedrock)
    with anthropic.Anthropic(base_url=hub.url, api_key=tenant.key, max_retries=0) as client:
        got = client.beta.messages.with_raw_response.create(
            model=model,
            max_tokens=64,
            messages=[{"role": "user", "content": "#tokens=6 hello"}],
            betas=["interleaved-thinking-2025-05-14", "files-api-2025-04-14"],
            service_tier="auto",
        )
    assert got.parse().usage.output_tokens == 6
    (sent,) = bedrock.requests
    assert json.loads(sent["body"])["anthropic_beta"] == ["interleaved-thinking-2025-05-14"]
    assert got.headers["x-weir-dropped-params"] == "service_tier,files-api-2025-04-14"


@pytest.mark.parametrize("key", [f"{ACCESS}|{SECRET}|{TOKEN}", BEARER], ids=["session", "bearer"])
def test_other_kinds_of_keys(hub: Hub, bedrock: FakeBedrock, key: str) -> None:
    speaker, model = SPEAKERS["openai"], open_model(hub, bedrock, key)
    answer = ask(hub, hub.tenant(), speaker, model, Wish("#tokens=3 hello"))
    assert speaker.read(answer).text == expected_text("a", "#tokens=3 hello", 3)


def test_temporary_credentials(hub: Hub, bedrock: FakeBedrock) -> None:
    """A role by a token in a file, and the machine's own; each is fetched once."""
    speaker, wish = SPEAKERS["anthropic"], Wish("#tokens=3 hello")
    TOKEN_FILE.write_text(FOREIGN + "\n")
    for key in (bedrock.role_key(str(TOKEN_FILE)), bedrock.machine_key):
        tenant, model = hub.tenant(), open_model(hub, bedrock, key)
        for _ in range(3):
            answer = ask(hub, tenant, speaker, model, wish)
            assert speaker.read(answer).text == expected_text("a", wish.text, 3)
    assert bedrock.issued == 2
    tokens = [sent["headers"]["x-amz-security-token"] for sent in bedrock.requests]
    assert tokens == [f"{TOKEN}1"] * 3 + [f"{TOKEN}2"] * 3


def test_rejected_role_is_a_key_fault(hub: Hub, bedrock: FakeBedrock) -> None:
    """F5, and the client is told nothing of it."""
    TOKEN_FILE.write_text("eyJ.another.token")
    model = open_model(hub, bedrock, bedrock.role_key(str(TOKEN_FILE)))
    answer = ask(hub, hub.tenant(), SPEAKERS["openai"], model, Wish())
    assert (answer.status, faults(hub, answer)) == (502, {"F5"})
    assert b"InvalidIdentityToken" not in answer.body
    assert "eyJ.another" not in hub.log()


def test_claude_tokens_are_counted_by_bedrock(hub: Hub, bedrock: FakeBedrock) -> None:
    """By the model of a profile; what Bedrock cannot count is estimated."""
    # Four words, which is what the fake counts, and more tokens.
    text = "one two three internationalizations"
    tenant, message = hub.tenant("0"), {"role": "user", "content": text}
    # The text alone: nobody publishes the template of such a model.
    estimated = count_text(text, UNKNOWN)
    assert estimated > 4
    for upstream, counted in ((PROFILE, True), (OWN, False), (NOVA, False)):
        model = open_model(hub, bedrock, upstream_model=upstream)
        body = {"model": model, "messages": [message]}
        answer = hub.post(tenant, body, path="/v1/messages/count_tokens")
        assert answer.status == 200, answer.body
        assert answer.json()["input_tokens"] == (4 if counted else estimated)
    paths = [sent["path"] for sent in bedrock.requests]
    assert paths == [f"/model/{quote(PROFILE.removeprefix('us.'), safe='')}/count-tokens"]


@pytest.mark.parametrize(
    "key",
    [f"{ACCESS}|wrong-secret", f"{ACCESS}|{SECRET}|expired", "no-such-bearer"],
    ids=["signature", "expired", "bearer"],
)
def test_wrong_key_is_a_key_fault(hub: Hub, bedrock: FakeBedrock, key: str) -> None:
    """F5; nothing of the key or of the signed request is told, to the client or in the log."""
    speaker, model = SPEAKERS["openai"], open_model(hub, bedrock, key)
    answer = ask(hub, hub.tenant(), speaker, model, Wish())
    assert (answer.status, answer.error["code"]) == (502, "upstream_error")
    record = hub.record(answer.headers["x-request-id"])
    assert (record["kind"], record["charge_nano"]) == ("upstream_auth", 0)
    assert "F5" in faults(hub, answer)
    for secret in ("wrong-secret", SECRET, "no-such-bearer", "Canonical String"):
        assert secret.encode() not in answer.body
        assert secret not in hub.log()
        assert secret not in json.dumps(record, default=str)


@pytest.mark.parametrize(
    ("fault", "status", "row"),
    [
        ("F6:400", 400, "F6"),
        ("F6:context", 400, "F6"),
        ("F7", 502, "F7"),
        ("F8:seconds", 429, "F8"),
        ("F10:500", 502, "F10"),
        ("F10:529", 503, "F10"),
        ("F14:close", 502, "F33"),
        ("F24:200", 502, "F24"),
    ],
)
def test_faults_before_content(
    hub: Hub, bedrock: FakeBedrock, fault: str, status: int, row: str
) -> None:
    speaker, model = SPEAKERS["openai"], open_model(hub, bedrock)
    answer = ask(hub, hub.tenant(), speaker, model, Wish(f"#fault={fault} #tokens=6"))
    assert answer.status == status, answer.body
    assert row in faults(hub, answer)


@pytest.mark.parametrize(
    ("fault", "row"),
    [("F23:error@4", "F23"), ("F14:eof@4", "F14"), ("F14:chunk@4", "F14")],
)
@named
@clients
def test_faults_in_mid_stream(
    hub: Hub, bedrock: FakeBedrock, client: str, fault: str, row: str, named: str
) -> None:
    """An exception, and a cut: a prefix, one typed error, no end, and what was told is charged."""
    speaker, model = SPEAKERS[client], open_model(hub, bedrock, upstream_model=named)
    wish = Wish(f"#fault={fault} #tokens=20 #delay_ms=5", stream=True)
    answer = ask(hub, hub.tenant(), speaker, model, wish)
    text = speaker.read(answer)
    assert (text.whole, answer.status) == (False, 200)
    assert text.error is not None
    assert text.text
    assert expected_text("a", wish.text, 20).startswith(text.text)
    record = hub.record(answer.headers["x-request-id"])
    assert row in record["flags"]
    assert record["charge_nano"] > 0


@pytest.mark.parametrize(
    ("named", "how"),
    [
        *((PROFILE, how) for how in ("crc", "length", "kind", "json", "base64")),
        *((NOVA, how) for how in ("crc", "length", "kind")),
    ],
)
def test_unreadable_message(hub: Hub, bedrock: FakeBedrock, named: str, how: str) -> None:
    speaker, model = SPEAKERS["anthropic"], open_model(hub, bedrock, upstream_model=named)
    bedrock.broken = how
    answer = ask(hub, hub.tenant(), speaker, model, Wish("#tokens=20", stream=True))
    assert not speaker.read(answer).whole if answer.status == 200 else answer.status == 502
    assert "F15" in faults(hub, answer)


@named
@plain_and_streamed
def test_an_unknown_member_of_usage_is_put_under_review(
    hub: Hub, bedrock: FakeBedrock, stream: bool, named: str
) -> None:
    """P28."""
    speaker, model = SPEAKERS["anthropic"], open_model(hub, bedrock, upstream_model=named)
    bedrock.usage = {"novelty_tokens": 7}
    answer = ask(hub, hub.tenant(), speaker, model, Wish("#tokens=5", stream))
    record = hub.record(answer.headers["x-request-id"])
    assert record["status"] == 200
    assert "unknown_member" in record["flags"]


def test_own_key_signs_for_its_organisation_alone(
    hub: Hub, fake: FakeUpstream, bedrock: FakeBedrock
) -> None:
    """P12: the channel's key is sent as it is, the organisation's signs; the books have the fee,
    and the price beside it."""
    own, other = hub.tenant(), hub.tenant()
    model = open_model(hub, bedrock, BEARER)
    (route,) = hub.rows("SELECT channel_id FROM gateway_route WHERE model = %s", model)
    hub.own_key(own, route["channel_id"], f"{ACCESS}|{SECRET}", fee=(5_000, 0), fall_back=False)
    # One that only says where credentials are is never used, however it came to be there.
    hub.own_key(other, route["channel_id"], '{"type": "instance_metadata"}', fall_back=False)
    hub.budget(own, "1")
    open_model(hub, bedrock)
    speaker, wish = SPEAKERS["openai"], Wish("#tokens=5 hello")
    answer = ask(hub, own, speaker, model, wish)
    assert answer.status == 200, answer.body
    assert bedrock.requests[-1]["headers"]["authorization"].startswith("AWS4-HMAC-SHA256 ")
    hub.settled(own)
    record = hub.record(answer.headers["x-request-id"])
    row = fake.wait_for_row(id_text(record["id"]))
    usage = row["usage"]
    price = usage["prompt_tokens"] * IN + usage["completion_tokens"] * OUT
    assert (record["charge_nano"], record["own_nano"], record["cost_nano"]) == (5_000, price, 0)
    assert hub.balance(own)["revenue"] == 5_000
    assert hub.windows(own)["key"]["spent_nano"] == 5_000 + price
    asked = len(bedrock.requests)
    assert ask(hub, other, speaker, model, wish).status == 400
    assert len(bedrock.requests) == asked
    neither = hub.tenant()
    assert ask(hub, neither, speaker, model, wish).status == 200
    assert bedrock.requests[-1]["headers"]["authorization"] == f"Bearer {BEARER}"
