"""A service account of Google's as an organisation's own key: its token comes from Google alone,
and its requests go to its own project (P12)."""

import json
import secrets
import ssl
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from gateway.providers.cloud_credentials.google import TOKEN_URL
from lib.ids import id_text
from tests.fakes.google_keys import PROJECT, service_account_key
from tests.fakes.listeners import Authority
from tests.fakes.proxies import FakeProxy
from tests.fakes.tls_front import TlsFront
from tests.fakes.upstream import FakeUpstream
from tests.fakes.vertex import LOCATION, FakeVertex
from tests.relay.asking import ask
from tests.relay.own_keys.test_own_keys import channel_of, knows
from tests.relay.test_matrix import RATES
from tests.runner.databases import own_database
from tests.support.hub import Hub

HOST = f"{LOCATION}-aiplatform.googleapis.com"
GEMINI = "gemini-2.5-flash"


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """A hub that finds Google's hosts here."""
    with own_database("hub") as dsn:
        hub = Hub(dsn, application="tests.relay.own_keys.google_names")
        try:
            hub.settings()
            hub.start()
            yield hub
            hub.assert_books_balance()
        finally:
            hub.kill()
            hub.close()


class Cloud:
    """Google as a channel reaches it: by the real names of its hosts, through a proxy."""

    def __init__(self, vertex: FakeVertex, proxy: FakeProxy, authority: str) -> None:
        self.vertex, self.proxy, self.authority = vertex, proxy, authority

    def model(self, hub: Hub, key: str) -> str:
        """A model of an offered channel, without a project in its address."""
        name = f"m-{secrets.token_hex(6)}"
        hub.price(name, RATES)
        hub.channel(
            name, f"https://{HOST}/v1", key, provider="vertex", upstream_model=GEMINI, retries=0,
            proxy_url=self.proxy.url, ca_bundle=self.authority,
        )  # fmt: skip
        hub.know(name, listed=True)
        return name


@pytest.fixture
def cloud(fake: FakeUpstream, tmp_path: Path) -> Iterator[Cloud]:
    authority = Authority(tmp_path)
    pair = authority.certificate(tmp_path, "*.googleapis.com", expired=False, trusted=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair)
    with (
        FakeVertex(fake) as vertex,
        TlsFront(int(vertex.origin.rpartition(":")[2]), tls) as front,
        FakeProxy("http", leads=("127.0.0.1", front.port)) as proxy,
    ):
        vertex.token_url = TOKEN_URL
        yield Cloud(vertex, proxy, authority.path.read_text())


def secret_of(**members: str) -> str:
    return json.dumps(service_account_key() | members)


def test_service_account_serves_only_its_organisation(
    hub: Hub, fake: FakeUpstream, cloud: Cloud
) -> None:
    model, tenant, other = cloud.model(hub, cloud.vertex.api_key), hub.tenant(), hub.tenant()
    hub.own_key(tenant, channel_of(hub, model), secret_of(), fall_back=False)
    knows(hub)
    for stream in (False, True):
        answer = hub.post(tenant, ask(model, "#tokens=7", stream=stream))
        assert answer.status == 200, answer.body
        record = hub.record(answer.headers["x-request-id"])
        assert fake.wait_for_row(id_text(record["id"])) is not None
        assert (record["charge_nano"], record["cost_nano"]) == (0, 0)
        assert record["own_nano"] > 0
    assert set(cloud.proxy.asked) == {("oauth2.googleapis.com", 443), (HOST, 443)}
    assert cloud.vertex.issued == 1
    for sent in cloud.vertex.requests:
        assert sent["path"].startswith(f"/v1/projects/{PROJECT}/locations/{LOCATION}/")
        assert sent["headers"]["authorization"].startswith("Bearer ya29.")
    cloud.vertex.requests.clear()
    hub.post(other, ask(model, "#tokens=7"))
    (sent,) = cloud.vertex.requests
    # The installation's key, at the address of the channel.
    assert "authorization" not in {name.lower() for name in sent["headers"]}
    assert sent["path"].startswith("/v1/publishers/")


@pytest.mark.parametrize(
    "secret",
    [
        secret_of(token_uri="http://127.0.0.1:9/token"),
        secret_of(token_uri="https://sts.example.com/token"),
        secret_of(project_id="other/locations/global"),
        secret_of(project_id=""),
        '{"type": "instance_metadata"}',
    ],
    ids=["inside", "elsewhere", "path", "no project", "machine"],
)
def test_incomplete_key_in_the_database_is_never_used(hub: Hub, cloud: Cloud, secret: str) -> None:
    """What was stored by other rules is checked again, whenever it is used."""
    model, tenant = cloud.model(hub, cloud.vertex.api_key), hub.tenant()
    hub.own_key(tenant, channel_of(hub, model), secret, fall_back=False)
    knows(hub)
    answer = hub.post(tenant, ask(model))
    assert answer.status == 400, answer.body
    assert (cloud.proxy.asked, cloud.vertex.requests) == ([], [])


def test_address_with_a_project_is_not_asked(hub: Hub, cloud: Cloud) -> None:
    """Google bills the project in the address: the operator's, once it has one."""
    model, tenant = cloud.model(hub, cloud.vertex.api_key), hub.tenant()
    channel_id: UUID = channel_of(hub, model)
    hub.own_key(tenant, channel_id, secret_of(), fall_back=False)
    hub.connection.execute(
        "UPDATE gateway_channel SET base_url = %s WHERE id = %s",
        [f"https://{HOST}/v1/projects/ours/locations/{LOCATION}", channel_id],
    )
    knows(hub)
    assert hub.post(tenant, ask(model)).status == 400
    assert cloud.vertex.requests == []


def test_replaced_service_account_signs_immediately(hub: Hub, cloud: Cloud) -> None:
    """The token of the key before is forgotten with it."""
    model, tenant = cloud.model(hub, cloud.vertex.api_key), hub.tenant()
    key_id = hub.own_key(tenant, channel_of(hub, model), secret_of(), fall_back=False)
    knows(hub)
    assert hub.post(tenant, ask(model)).status == 200
    replaced = hub._vault.seal(
        secret_of(private_key_id="0" * 40), f"gateway_ownkey|{key_id}|sealed"
    )
    hub.connection.execute(
        "UPDATE gateway_ownkey SET sealed = %s WHERE id = %s", [replaced, key_id]
    )
    knows(hub)
    # The fake knows one key id: the assertion of the new key is refused, no older token is used.
    answer = hub.post(tenant, ask(model))
    assert answer.status == 502
    assert "F5" in {flag for row in hub.records(answer.headers["x-request-id"])
                    for flag in row["flags"]}  # fmt: skip
