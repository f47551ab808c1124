"""By which way a channel is reached, over real sockets: proxies, own authorities, certificates of
ours, times of one model."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import listeners
from tests.fakes.proxies import FakeProxy, Kind
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support.hub import Hub

LOGIN = "weir:a pass:word"


def through(hub: Hub, fake: FakeUpstream, **egress: Any) -> str:
    """A model of a channel that is reached so; secrets are sealed for its row."""
    sealed = {name: egress.pop(name) for name in ("proxy_login", "client_key") if name in egress}
    # It fails until the hub has read its secrets.
    model = hub.model(fake, retries=0, breaker={"enabled": False}, **egress)
    for name, secret in sealed.items():
        (row,) = hub.rows("SELECT channel_id FROM gateway_route WHERE model = %s", model)
        place = f"gateway_channel|{row['channel_id']}|{name}"
        hub.connection.execute(
            f"UPDATE gateway_channel SET {name} = %s WHERE id = %s",
            [hub._vault.seal(secret, place), row["channel_id"]],
        )
    if sealed:
        hub.bump()
        hub.wait(lambda: _reads(hub, model), "the hub has read the secrets")
    return model


def _reads(hub: Hub, model: str) -> bool:
    return hub.post(hub.tenant(), ask(model, "#tokens=1")).status == 200


@pytest.mark.parametrize("login", ["", LOGIN])
@pytest.mark.parametrize("kind", ["http", "socks5"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_channel_is_reached_through_its_proxy(
    hub: Hub, fake: FakeUpstream, kind: Kind, login: str, stream: bool
) -> None:
    with FakeProxy(kind, login=login) as proxy:
        secret = {"proxy_login": login} if login else {}
        model, tenant = through(hub, fake, proxy_url=proxy.url, **secret), hub.tenant()
        before = len(proxy.asked)
        for _ in range(3):
            answer = hub.post(tenant, ask(model, "#tokens=5", stream=stream))
            assert answer.status == 200, answer.body
        assert set(proxy.asked) == {("127.0.0.1", fake.port)}
        # The tunnel is kept, as a connection is.
        assert len(proxy.asked) - before <= 1


def test_rejecting_proxy_is_a_channel_fault(hub: Hub, fake: FakeUpstream) -> None:
    """And its login is in no answer and in no line of the log."""
    with FakeProxy("http", login="weir:another") as proxy:
        tenant, model = hub.tenant(), hub.model(fake, retries=0, proxy_url=proxy.url)
        answer = hub.post(tenant, ask(model))
        assert answer.status == 502, answer.body
        assert b"another" not in answer.body
    assert proxy.asked == []
    assert "weir:another" not in hub.log()
    hub.settled(tenant)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> listeners.Authority:
    """An authority that nobody but a channel trusts."""
    return listeners.Authority(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def strict(
    own: listeners.Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FakeUpstream]:
    """A provider that wants a certificate of that authority, and has one."""
    context, _ = listeners.tls_context(tmp_path_factory.mktemp("strict"), authority=own)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(own.path)
    with FakeUpstream(name="strict", tls=context) as upstream:
        yield upstream


def test_own_authorities_and_client_certificate(
    hub: Hub, strict: FakeUpstream, own: listeners.Authority, tmp_path: Path
) -> None:
    trusted = own.path.read_text()
    both = own.certificate(tmp_path, "weir", expired=False, trusted=True).read_text()
    key, _, certificate = both.partition("-----BEGIN CERTIFICATE-----")
    ours = {"client_cert": f"-----BEGIN CERTIFICATE-----{certificate}", "client_key": key}
    tenant = hub.tenant()
    with FakeProxy("http") as proxy:
        for way in ({}, {"proxy_url": proxy.url}):
            model = through(hub, strict, ca_bundle=trusted, **way, **ours)
            answer = hub.post(tenant, ask(model, "#tokens=3", stream=True))
            assert answer.status == 200, answer.body
        assert proxy.asked
    lacks: list[dict[str, Any]] = [{"ca_bundle": trusted}, {}]
    for lacking in lacks:
        answer = hub.post(tenant, ask(hub.model(strict, retries=0, **lacking)))
        assert answer.status == 502, answer.body
    hub.settled(tenant)


def test_model_has_its_own_timeouts(hub: Hub, fake: FakeUpstream) -> None:
    """F11: the first content of a slow model may take longer than that of the channel's others."""
    tenant = hub.tenant()
    hasty = hub.model(fake, timeouts={"first_content": 0.2}, retries=0)
    slow = hub.model(fake, timeouts={"first_content": 0.2}, retries=0, breaker={"enabled": False})
    hub.connection.execute(
        "UPDATE gateway_route SET timeouts = %s WHERE model = %s",
        ['{"first_content": 60}', slow],
    )
    hub.bump()
    text = "#tokens=2 #first_ms=600"
    assert hub.post(tenant, ask(hasty, text, stream=True)).status == 504
    hub.wait(
        lambda: hub.post(tenant, ask(slow, text, stream=True)).status == 200,
        "the model's own times",
    )
    hub.settled(tenant)
