"""What a client sets outside the body of a request reaches each way in which requests run: its
labels, application, session and address are on every attempt and record, and its limits refuse the
request before anything is sent.

The ways are the pages of the reference that send a request to a provider, a pass-through, each
dialect streamed, what runs in the background, again, in parts or on another channel, and sockets.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from websockets.sync.client import connect

from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.endpoints.passthrough.provider import Provider, running_provider
from tests.relay.speakers import SPEAKERS, UPSTREAMS, Wish
from tests.relay.test_header_matrix import SLUGS, ask_page, channel_of
from tests.relay.test_recorded import keep_addresses
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

SENT: Final = {
    "x-weir-labels": json.dumps({"project": "search", "tags": ["beta"], "customer": "c-42"}),
    "x-title": "My App",
    "x-weir-session": "s-1",
}
COUNTED_TO: Final = ("project", "tags", "customer", "client_app")
COUNTED: Final = ("search", ["beta"], "c-42", "My App")
# Each refuses any request to the fake; a limit of 0 is one (and not none).
LIMITS: Final = {
    "max-cost": {"x-weir-max-cost": "0"},
    "policy": {"x-weir-data-policy": '{"zero_retention": true}'},
    "session": {"x-weir-session": "s-1", "x-weir-session-budget": "0"},
}

Way = Callable[[Hub, FakeUpstream, Tenant, dict[str, str]], object]


def _streamed(dialect: str) -> Way:
    def run(hub: Hub, fake: FakeUpstream, tenant: Tenant, headers: dict[str, str]) -> Answer:
        speaker, model = SPEAKERS[dialect], hub.model(fake, **UPSTREAMS[dialect])
        body = speaker.body(model, Wish("#tokens=2", stream=True))
        return hub.post(tenant, body, path=speaker.path(model, stream=True), headers=headers)

    return run


def _in_background(path: str, **more: Any) -> Way:
    def run(hub: Hub, fake: FakeUpstream, tenant: Tenant, headers: dict[str, str]) -> Answer:
        model = hub.model(fake)
        body = {"model": model, "input": "#tokens=2", "background": True} | more
        return hub.post(tenant, body, path=path, headers=headers)

    return run


def _once(hub: Hub, fake: FakeUpstream, tenant: Tenant, headers: dict[str, str]) -> Answer:
    return hub.post(
        tenant, ask(hub.model(fake), "#tokens=2"), headers=headers | {"idempotency-key": "k"}
    )


def _in_background_once(
    hub: Hub, fake: FakeUpstream, tenant: Tenant, headers: dict[str, str]
) -> Answer:
    run = _in_background("/v1/responses")
    return run(hub, fake, tenant, headers | {"idempotency-key": "k"})  # type: ignore[return-value]


def _two_prompts(hub: Hub, fake: FakeUpstream, tenant: Tenant, headers: dict[str, str]) -> Answer:
    body = {"model": hub.model(fake), "prompt": ["#tokens=2", "#tokens=3"], "max_tokens": 64}
    return hub.post(tenant, body, path="/v1/completions", headers=headers)


def _after_a_failure(
    hub: Hub, fake: FakeUpstream, tenant: Tenant, headers: dict[str, str]
) -> Answer:
    model = hub.model(fake, retries=1, breaker={"enabled": False})
    hub.channel(model, fake.url, fake.key, priority=1)
    hub.know(model)
    return hub.post(tenant, ask(model, "#fault=F10:500 #tokens=2"), headers=headers)


def _with_fallback(hub: Hub, fake: FakeUpstream, tenant: Tenant, headers: dict[str, str]) -> Answer:
    first, second = hub.model(fake, retries=0), hub.model(fake)
    body = ask(first, "#fault=F10:500 #tokens=2", models=[first, second])
    return hub.post(tenant, body, headers=headers)


def _by_socket(hub: Hub, fake: FakeUpstream, tenant: Tenant, headers: dict[str, str]) -> None:
    url = hub.url.replace("http", "ws") + "/v1/responses"
    event = {"type": "response.create", "model": hub.model(fake), "input": "#tokens=2"}
    key = {"authorization": f"Bearer {tenant.key}"}
    with connect(url, additional_headers=headers | key, compression=None) as socket:
        for _ in range(2):
            socket.send(json.dumps(event))
            while json.loads(socket.recv(timeout=30))["type"] not in (
                "response.completed", "response.failed", "error",
            ):  # fmt: skip
                pass


WAYS: Final[dict[str, Way]] = {
    **{f"{dialect} streamed": _streamed(dialect) for dialect in UPSTREAMS},
    "background": _in_background("/v1/responses"),
    "background streamed": _in_background("/v1/responses", stream=True),
    "background interaction": _in_background("/v1beta/interactions"),
    "idempotent": _once,
    "background idempotent": _in_background_once,
    "two prompts": _two_prompts,
    "after a failure": _after_a_failure,
    "with a fallback": _with_fallback,
    "socket": _by_socket,
}


def assert_counted(hub: Hub, tenant: Tenant) -> None:
    """Every attempt and record of an organisation has the options, and each last one the
    address."""
    hub.settled(tenant)
    records: list[dict[str, Any]] = []

    def written() -> bool:
        records[:] = rows("usage_usagerecord")
        return any(record["final"] for record in records)

    def rows(table: str) -> list[dict[str, Any]]:
        query = f"SELECT * FROM {table} WHERE organisation_id = %s"
        return hub.rows(query, tenant.organisation_id)

    hub.wait(written, "records are missing")
    for row in (*records, *rows("usage_attempt")):
        assert tuple(row[name] for name in COUNTED_TO) == COUNTED, row
        assert row["session"]["name"] == "s-1", row
        assert row["session_id"] is not None
    assert {row["record_id"] for row in rows("usage_clientaddress")} == {
        record["id"] for record in records if record["final"]
    }


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


def ask_slug(
    hub: Hub, provider: Provider, tenant: Tenant, slug: str, headers: dict[str, str]
) -> Answer:
    model, path = channel_of(hub, provider, slug, tenant)
    if slug == "pass-through":
        return hub.request("POST", path, tenant, b"{}", headers)
    return ask_page(hub, tenant, slug, model, headers)


# They are free, and leave no record.
COUNTS: Final = {"responses-input-tokens", "count-tokens", "gemini-count-tokens"}
PAGES_SENT: Final = (*(slug for slug in SLUGS if slug not in COUNTS), "pass-through")


@pytest.mark.parametrize("slug", PAGES_SENT)
def test_options_of_a_page_are_recorded(hub: Hub, provider: Provider, slug: str) -> None:
    tenant = hub.tenant("100")
    keep_addresses(hub, tenant)
    ask_slug(hub, provider, tenant, slug, SENT)
    assert_counted(hub, tenant)


@pytest.mark.parametrize("way", WAYS)
def test_options_are_recorded_however_a_request_runs(
    hub: Hub, fake: FakeUpstream, way: str
) -> None:
    tenant = hub.tenant("100")
    keep_addresses(hub, tenant)
    WAYS[way](hub, fake, tenant, SENT)
    assert_counted(hub, tenant)
    query = "SELECT status FROM usage_usagerecord WHERE organisation_id = %s AND final"
    # The fake fails every attempt of a request that asks it to.
    wanted = 502 if way in ("after a failure", "with a fallback") else 200
    assert {row["status"] for row in hub.rows(query, tenant.organisation_id)} == {wanted}


@pytest.mark.parametrize("slug", PAGES_SENT)
def test_a_data_policy_refuses_a_page(hub: Hub, provider: Provider, slug: str) -> None:
    tenant, before = hub.tenant("100"), len(provider.seen)
    answer = ask_slug(hub, provider, tenant, slug, LIMITS["policy"])
    assert (answer.status >= 400, len(provider.seen)) == (True, before), answer.body


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("way", WAYS)
def test_limits_hold_however_a_request_runs(
    hub: Hub, fake: FakeUpstream, way: str, limit: str
) -> None:
    tenant = hub.tenant("100")
    WAYS[way](hub, fake, tenant, LIMITS[limit])
    hub.settled(tenant)
    query = "SELECT id FROM usage_attempt WHERE organisation_id = %s"
    assert hub.rows(query, tenant.organisation_id) == []
