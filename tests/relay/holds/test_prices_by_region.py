"""I11, I13, P28: the price of a request is that of the region where its provider serves it, for the
customer and for us; the hold covers every region it may reach; a region that nobody knows is
reviewed."""

import secrets
from collections.abc import Iterator

import pytest

from lib.ids import id_text
from tests.fakes.bedrock import OWN, FakeBedrock
from tests.fakes.upstream import FakeUpstream
from tests.fakes.vertex import LOCATION, FakeVertex
from tests.relay.asking import ask
from tests.support.hub import Hub

PLAIN, DEAR, DEAREST = (
    {"in_text": n * 1_000_000, "out_text": 3 * n * 1_000_000} for n in (1, 2, 5)
)
CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.fixture
def bedrock(fake: FakeUpstream) -> Iterator[FakeBedrock]:
    with FakeBedrock(fake) as bedrock:
        yield bedrock


@pytest.fixture
def vertex(fake: FakeUpstream) -> Iterator[FakeVertex]:
    with FakeVertex(fake) as vertex:
        yield vertex


def new_name() -> str:
    return f"m-{secrets.token_hex(6)}"


def by_rates(meters: dict[str, int], rates: dict[str, int]) -> int:
    return sum(count * rates[meter] for meter, count in meters.items()) // 1_000_000


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    ("upstream", "rates"),
    [
        (f"global.{CLAUDE}", PLAIN),
        (f"us.{CLAUDE}", DEAREST),
        (f"eu.{CLAUDE}", DEAR),
        ("eu.amazon.nova-lite-v1:0", DEAR),
    ],
)
def test_an_inference_profile_is_charged_by_its_region(
    hub: Hub, bedrock: FakeBedrock, upstream: str, rates: dict[str, int], stream: bool
) -> None:
    tenant, model = hub.tenant(), new_name()
    versions = [
        hub.price(model, PLAIN),
        hub.price(model, DEAR, region="regional"),
        hub.price(model, DEAREST, region="us"),
    ]
    hub.channel(model, bedrock.url, bedrock.key, provider="bedrock", upstream_model=upstream)
    hub.know(model, listed=True)
    answer = hub.post(tenant, ask(model, "#tokens=7", max_tokens=11, stream=stream))
    record = hub.record(answer.headers["x-request-id"])
    assert (record["status"], record["basis"]) == (200, "measured")
    assert record["charge_nano"] == by_rates(record["meters"], rates) > 0
    assert record["price_version_id"] == versions[(PLAIN, DEAR, DEAREST).index(rates)]
    assert record["hold_nano"] >= record["charge_nano"]
    hub.assert_books_balance()


def test_cost_follows_the_region_and_the_customers_price_stays(
    hub: Hub, vertex: FakeVertex
) -> None:
    """Vertex's location is in the address."""
    tenant, model = hub.tenant(), new_name()
    charged = hub.price(model, DEAREST)
    hub.price(model, PLAIN, kind="cost")
    cost = hub.price(model, DEAR, kind="cost", region=LOCATION)
    hub.channel(model, vertex.url, vertex.key, provider="vertex", upstream_model="gemini-2.5-flash")
    hub.know(model, listed=True)
    answer = hub.post(tenant, ask(model, "#tokens=7", max_tokens=11))
    record = hub.record(answer.headers["x-request-id"])
    assert (record["price_version_id"], record["cost_version_id"]) == (charged, cost)
    assert record["charge_nano"] == by_rates(record["meters"], DEAREST) > 0
    assert record["cost_nano"] == by_rates(record["meters"], DEAR) > 0


def test_hold_covers_the_dearest_region_and_the_used_one_is_charged(
    hub: Hub, fake: FakeUpstream, bedrock: FakeBedrock
) -> None:
    tenant, model = hub.tenant(), new_name()
    version = hub.price(model, PLAIN)
    dear = hub.price(model, DEAREST, region="us")
    hub.price(model, {"in_text": 9**9, "out_text": 9**9}, region="us-gov")
    broken, sound = f"us.{CLAUDE}", f"global.{CLAUDE}"
    hub.channel(
        model, bedrock.url, "wrong-key", provider="bedrock", upstream_model=broken, priority=0
    )
    hub.channel(
        model, bedrock.url, bedrock.key, provider="bedrock", upstream_model=sound, priority=1
    )
    hub.know(model, listed=True)
    answer = hub.post(tenant, ask(model, "#tokens=7", max_tokens=11))
    first, last = hub.records(answer.headers["x-request-id"])
    assert (first["price_version_id"], last["price_version_id"]) == (dear, version)
    assert last["charge_nano"] == by_rates(last["meters"], PLAIN) > 0
    # No region that none of its channels is in makes the hold larger.
    assert first["hold_nano"] == last["hold_nano"] < 9**9 // 1000
    assert first["hold_nano"] >= by_rates({**last["meters"], "out_text": 11}, DEAREST)
    hub.assert_books_balance()


@pytest.mark.parametrize("stated", ["", "us"])
def test_unknown_region_is_reviewed_until_the_operator_states_it(
    hub: Hub, bedrock: FakeBedrock, stated: str
) -> None:
    """The name of a customer's own profile does not tell whether it is a global one."""
    tenant, model = hub.tenant(), new_name()
    hub.price(model, PLAIN)
    hub.price(model, DEAR, region="us")
    hub.channel(
        model, bedrock.url, bedrock.key, provider="bedrock", upstream_model=OWN, region=stated
    )
    hub.know(model, listed=True)
    answer = hub.post(tenant, ask(model, "#tokens=7", max_tokens=11))
    assert answer.status == 200
    record = hub.record(answer.headers["x-request-id"])
    if stated:
        assert record["charge_nano"] == by_rates(record["meters"], DEAR) > 0
        return
    assert (record["basis"], record["charge_nano"]) == ("held", 0)
    assert {"unknown_member", "quarantine"} <= set(record["flags"])
    assert record["pricing"]["unknown"] == ["region=unknown"], id_text(record["id"])


def test_stated_region_counts_where_the_provider_has_none(hub: Hub, fake: FakeUpstream) -> None:
    """Such as data residency: a channel whose region the operator states."""
    tenant, model, other = hub.tenant(), new_name(), new_name()
    for name, region in ((model, "eu"), (other, "")):
        hub.price(name, PLAIN)
        hub.price(name, DEAR, region="eu")
        hub.channel(name, fake.url, fake.key, region=region)
    hub.know(model, listed=True)
    hub.know(other, listed=True)
    for name, rates in ((model, DEAR), (other, PLAIN)):
        answer = hub.post(tenant, ask(name, "#tokens=7", max_tokens=11))
        record = hub.record(answer.headers["x-request-id"])
        assert record["charge_nano"] == by_rates(record["meters"], rates) > 0


def test_a_service_tier_of_a_region_has_its_own_price(hub: Hub, fake: FakeUpstream) -> None:
    """A region's price stands alone: the tiers of the plain price are not its own."""
    tenant, bare, tiered = hub.tenant(), new_name(), new_name()
    for name in (bare, tiered):
        hub.price(name, PLAIN)
        hub.price(name, PLAIN, service_tier="priority")
        hub.price(name, DEAR, region="eu")
        hub.channel(name, fake.url, fake.key, region="eu")
    priority = hub.price(tiered, DEAREST, region="eu", service_tier="priority")
    for name in (bare, tiered):
        hub.know(name, listed=True)
    for name, tier, rates in (
        (bare, "priority", DEAR),
        (tiered, "priority", DEAREST),
        (tiered, "default", DEAR),
    ):
        body = ask(name, "#tokens=7", max_tokens=11, service_tier=tier)
        record = hub.record(hub.post(tenant, body).headers["x-request-id"])
        assert record["status"] == 200
        assert record["charge_nano"] == by_rates(record["meters"], rates) > 0, (name, tier)
        assert (record["price_version_id"] == priority) is (rates is DEAREST)
    hub.assert_books_balance()
