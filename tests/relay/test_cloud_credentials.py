"""Credentials of Bedrock and Vertex AI that end, or do not come, while requests run: each has its
answer in the fault table (P8), whole and streamed, and nothing of them is told."""

import http.client
import json
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from gateway.channels.passthrough.rules import PassThroughRule, stored_rules
from tests.fakes.bedrock import ACCESS, SECRET, TOKEN, FakeBedrock
from tests.fakes.upstream import FakeUpstream, expected_text
from tests.fakes.vertex import FakeVertex
from tests.relay.speakers import SPEAKERS, Wish
from tests.relay.test_bedrock import NOVA, PROFILE, ask, faults
from tests.relay.test_matrix import RATES
from tests.relay.test_vertex import CLAUDE, GEMINI, LLAMA
from tests.support.hub import Answer, Hub

pytestmark = pytest.mark.usefixtures("balanced_books")

MODELS = {
    "invoke": ("bedrock", PROFILE), "converse": ("bedrock", NOVA), "gemini": ("vertex", GEMINI),
    "claude": ("vertex", CLAUDE), "open": ("vertex", LLAMA),
}  # fmt: skip
OF_AMAZON = [name for name, (provider, _) in MODELS.items() if provider == "bedrock"]
# What no client and no log is told.
SECRETS = (SECRET, TOKEN, "ya29.")
plain_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
models = pytest.mark.parametrize("model", MODELS)
Clouds = dict[str, Any]


@pytest.fixture
def clouds(fake: FakeUpstream) -> Iterator[Clouds]:
    with FakeBedrock(fake) as bedrock, FakeVertex(fake) as vertex:
        yield {"bedrock": bedrock, "vertex": vertex}


def open_model(hub: Hub, clouds: Clouds, model: str, key: str = "", **over: Any) -> str:
    """A model of one cloud, by the credentials of the machine or by this key."""
    provider, upstream_model = MODELS[model]
    cloud = clouds[provider]
    settings = {"provider": provider, "upstream_model": upstream_model} | over
    name = f"m-{secrets.token_hex(6)}"
    hub.price(name, RATES)
    hub.channel(name, cloud.url, key or cloud.machine_key, **settings)
    hub.know(name, listed=True)
    return name


def keeps_secrets(hub: Hub, answer: Answer) -> None:
    assert b"security token" not in answer.body, "it is for operators"
    for secret in SECRETS:
        assert secret.encode() not in answer.body
        assert secret not in hub.log()


@models
@plain_and_streamed
def test_running_answer_outlives_its_credentials(
    hub: Hub, fake: FakeUpstream, clouds: Clouds, model: str, stream: bool
) -> None:
    """They are judged when a request comes; who comes later is refused, and the next attempt has
    new ones (F5, P26)."""
    cloud, tenant, name = clouds[MODELS[model][0]], hub.tenant(), open_model(hub, clouds, model)
    wish = Wish(f"#hold={3 if stream else 0} #tokens=9", stream)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, hub, tenant, SPEAKERS["anthropic"], name, wish)
        fake.wait_for(lambda totals: totals["holding"] == 1)
        cloud.revoke()
        fake.release()
    text = SPEAKERS["anthropic"].read(asked.result())
    assert (text.text, text.whole) == (expected_text("a", wish.text, 9), True)
    assert faults(hub, asked.result()) == set()
    later = ask(hub, tenant, SPEAKERS["openai"], name, Wish("#tokens=3 later", stream))
    assert SPEAKERS["openai"].read(later).text == expected_text("a", "#tokens=3 later", 3)
    first, final = hub.records(later.headers["x-request-id"])
    assert (first["kind"], first["flags"], first["charge_nano"]) == ("upstream_auth", ["F5"], 0)
    assert (final["status"], final["basis"]) == (200, "measured")
    assert cloud.issued == 2
    keeps_secrets(hub, later)


@pytest.mark.parametrize("client", ["openai", "anthropic", "converse"])
@pytest.mark.parametrize("model", OF_AMAZON)
def test_stream_ended_by_amazon_for_expired_credentials(
    hub: Hub, fake: FakeUpstream, clouds: Clouds, client: str, model: str
) -> None:
    """F23: a prefix, one typed error and no end; what was delivered is charged."""
    bedrock, speaker = clouds["bedrock"], SPEAKERS[client]
    tenant, name = hub.tenant(), open_model(hub, clouds, model)
    bedrock.broken, bedrock.broken_at = "expired", 6
    wish = Wish("#tokens=20 #hold=2", stream=True)
    body, path = speaker.body(name, wish), speaker.path(name, stream=True)
    with closing(http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)) as connection:
        head = {"authorization": f"Bearer {tenant.key}", "content-type": "application/json"}
        connection.request("POST", path, json.dumps(body), head)
        # The head comes with the first content; an error that is read with it would be sent on.
        response = connection.getresponse()
        fake.release()
        headers = {key.lower(): value for key, value in response.getheaders()}
        answer = Answer(response.status, headers, response.read())
    text = speaker.read(answer)
    assert text.error is not None
    assert (answer.status, text.whole) == (200, False)
    assert text.text
    assert expected_text("a", wish.text, 20).startswith(text.text)
    (record,) = hub.records(answer.headers["x-request-id"])
    assert (record["kind"], record["status"]) == ("upstream_auth", 502)
    assert "F23" in record["flags"]
    assert 0 < record["charge_nano"] <= record["hold_nano"]
    keeps_secrets(hub, answer)


@pytest.mark.parametrize("model", OF_AMAZON)
def test_stream_starting_with_expired_credentials(
    hub: Hub, fake: FakeUpstream, clouds: Clouds, model: str
) -> None:
    """F23: nothing was heard of it, and the next channel answers."""
    clouds["bedrock"].broken, clouds["bedrock"].broken_at = "expired", 0
    tenant, name = hub.tenant(), open_model(hub, clouds, model, retries=0)
    wish = Wish("#tokens=5 hello", stream=True)
    alone = ask(hub, tenant, SPEAKERS["openai"], name, wish)
    assert (alone.status, alone.error["code"]) == (502, "upstream_error")
    both = open_model(hub, clouds, model, retries=1)
    hub.channel(both, fake.url, fake.key, priority=1)
    hub.know(open_model(hub, clouds, model))
    answer = ask(hub, tenant, SPEAKERS["openai"], both, wish)
    assert SPEAKERS["openai"].read(answer).text == expected_text("a", wish.text, 5)
    first, final = hub.records(answer.headers["x-request-id"])
    assert (first["kind"], first["flags"], first["charge_nano"]) == ("upstream_auth", ["F23"], 0)
    assert (final["status"], final["basis"]) == (200, "measured")


STEPS = {
    "session": "hang /token", "role": "hang /security-credentials/", "keys": "hang /weir-role",
}  # fmt: skip


@plain_and_streamed
@pytest.mark.parametrize(
    ("model", "fault"),
    [
        *((model, step) for model in OF_AMAZON for step in STEPS.values()),
        *((model, "hang") for model in MODELS if model not in OF_AMAZON),
    ],
)
def test_hanging_metadata_service(
    hub: Hub, fake: FakeUpstream, clouds: Clouds, model: str, fault: str, stream: bool
) -> None:
    """F4, in half the time of the first content, at each of its steps; the next channel answers,
    and as soon as the service is back this one does."""
    cloud, tenant, speaker = clouds[MODELS[model][0]], hub.tenant(), SPEAKERS["openai"]
    cloud.fault = fault
    hasty: Any = {"retries": 0, "timeouts": {"first_content": 2.0}, "breaker": {"enabled": False}}
    name, wish = open_model(hub, clouds, model, **hasty), Wish("#tokens=3 hello", stream)
    began = time.monotonic()
    answer = ask(hub, tenant, speaker, name, wish)
    assert (answer.status, answer.error["code"]) == (502, "upstream_unreachable")
    assert 0.9 < time.monotonic() - began < 5
    (record,) = hub.records(answer.headers["x-request-id"])
    assert (record["flags"], record["charge_nano"]) == (["F4"], 0)
    both = open_model(hub, clouds, model, **hasty | {"retries": 1})
    hub.channel(both, fake.url, fake.key, priority=1)
    hub.know(open_model(hub, clouds, model))
    other = ask(hub, tenant, speaker, both, wish)
    assert speaker.read(other).text == expected_text("a", wish.text, 3)
    assert faults(hub, other) == {"F4"}
    assert (cloud.requests, cloud.issued) == ([], 0)
    cloud.fault = ""
    assert faults(hub, ask(hub, tenant, speaker, both, wish)) == set()
    assert cloud.issued == 1


@pytest.mark.parametrize("model", OF_AMAZON)
def test_waiting_requests_share_one_hanging_fetch(hub: Hub, clouds: Clouds, model: str) -> None:
    """P21: twenty at once are one fetch; a role's token service as the machine's own."""
    bedrock, tenant = clouds["bedrock"], hub.tenant()
    bedrock.fault = "hang"
    hasty: Any = {"retries": 0, "timeouts": {"first_content": 2.0}, "breaker": {"enabled": False}}
    name = open_model(hub, clouds, model, **hasty)
    began = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        statuses = pool.map(
            lambda n: ask(hub, tenant, SPEAKERS["openai"], name, Wish(f"{n}")).status, range(20)
        )
        assert set(statuses) == {502}
    assert time.monotonic() - began < 20


def _of_keys(clouds: Clouds, model: str) -> str:
    return f"{ACCESS}|{SECRET}" if model in OF_AMAZON else str(clouds["vertex"].key)


@models
@plain_and_streamed
@pytest.mark.parametrize("ahead_s", [3600, -3600], ids=["late", "early"])
def test_wrong_clock(
    hub: Hub, fake: FakeUpstream, clouds: Clouds, model: str, stream: bool, ahead_s: float
) -> None:
    """F5: never 401 or 403, and operators are told that it is the clock; the next channel
    answers."""
    cloud, tenant = clouds[MODELS[model][0]], hub.tenant()
    cloud.ahead_s = ahead_s
    name = open_model(hub, clouds, model, _of_keys(clouds, model), retries=0)
    wish = Wish("#tokens=3 hello", stream)
    answer = ask(hub, tenant, SPEAKERS["openai"], name, wish)
    assert (answer.status, answer.error["code"]) == (502, "upstream_error")
    (record,) = hub.records(answer.headers["x-request-id"])
    assert (record["flags"], record["charge_nano"]) == (["F5"], 0)
    # What is refused again is logged, by the first channel's name.
    for _ in range(4):
        assert ask(hub, tenant, SPEAKERS["openai"], name, wish).status in (502, 503)
    told = [line for line in hub.log().splitlines() if name in line]
    word = "set the clock" if model in OF_AMAZON else "reasonable timeframe"
    assert any(word in line for line in told), told
    both = open_model(hub, clouds, model, _of_keys(clouds, model), retries=1)
    hub.channel(both, fake.url, fake.key, priority=1)
    hub.know(open_model(hub, clouds, model))
    other = ask(hub, tenant, SPEAKERS["openai"], both, wish)
    assert SPEAKERS["openai"].read(other).text == expected_text("a", wish.text, 3)
    keeps_secrets(hub, answer)


@plain_and_streamed
@pytest.mark.parametrize("model", OF_AMAZON)
@pytest.mark.parametrize("why", ["expired", "clock"])
def test_ended_own_key_rests_no_other(
    hub: Hub, clouds: Clouds, model: str, stream: bool, why: str
) -> None:
    """P12: its organisation gets F5, or the installation's channel where it may fall back; the
    channel of all others goes on."""
    bedrock = clouds["bedrock"]
    name = open_model(hub, clouds, model, "bedrock-api-key-x")
    (route,) = hub.rows("SELECT channel_id FROM gateway_route WHERE model = %s", name)
    own, falls, other = hub.tenant(), hub.tenant(), hub.tenant()
    secret = f"{ACCESS}|{SECRET}" + ("|expired" if why == "expired" else "")
    bedrock.ahead_s = 3600 if why == "clock" else 0
    hub.own_key(own, route["channel_id"], secret, fall_back=False)
    hub.own_key(falls, route["channel_id"], secret)
    open_model(hub, clouds, model)
    speaker, wish = SPEAKERS["openai"], Wish("#tokens=5 hello", stream)
    answer = ask(hub, own, speaker, name, wish)
    assert (answer.status, faults(hub, answer)) == (502, {"F5"})
    keeps_secrets(hub, answer)
    for tenant, met in ((falls, {"F5"}), (other, set())):
        answer = ask(hub, tenant, speaker, name, wish)
        assert speaker.read(answer).text == expected_text("a", wish.text, 5)
        assert faults(hub, answer) == met


def test_own_vertex_key_is_never_a_credential_source(hub: Hub, clouds: Clouds) -> None:
    """P12: what would ask a service with this machine's rights is never used, streamed or not."""
    name = open_model(hub, clouds, "gemini", clouds["vertex"].api_key)
    (route,) = hub.rows("SELECT channel_id FROM gateway_route WHERE model = %s", name)
    tenant, speaker = hub.tenant(), SPEAKERS["gemini"]
    hub.own_key(tenant, route["channel_id"], clouds["vertex"].machine_key, fall_back=False)
    open_model(hub, clouds, "gemini")
    for stream in (False, True):
        assert ask(hub, tenant, speaker, name, Wish("hello", stream)).status == 400
    assert (clouds["vertex"].requests, clouds["vertex"].issued) == ([], 0)


def test_rejected_pass_through_credentials_are_fetched_again(hub: Hub, clouds: Clouds) -> None:
    """P26: the refusal is told as a fault of ours, and the next request has new ones."""
    vertex, model = clouds["vertex"], f"p-{secrets.token_hex(6)}"
    rule = PassThroughRule(("POST",), "/publishers/google/**")
    hub.price(rule.label, rule.rates()["meters"], kind="path", channel=f"{model}-0")
    hub.price(model, RATES)
    hub.channel(
        model, vertex.url, vertex.machine_key, provider="vertex", upstream_model=GEMINI,
        pass_through=Jsonb(stored_rules([rule])),
    )  # fmt: skip
    hub.know(model)
    tenant = hub.tenant()
    body = {"contents": [{"role": "user", "parts": [{"text": "#tokens=2 hello"}]}]}

    def status(name: str = GEMINI) -> int:
        path = f"/passthrough/{model}-0/publishers/google/models/{name}:generateContent"
        return hub.post(tenant, body, path=path).status

    assert status() == 200
    # A path of the client's that the provider forbids takes nobody's credentials away.
    vertex.forbidden = {"gemini-secret"}
    assert [status("gemini-secret"), status()] == [502, 200]
    assert vertex.issued == 1
    vertex.revoke()
    assert [status(), status()] == [502, 200]
    assert vertex.issued == 2
