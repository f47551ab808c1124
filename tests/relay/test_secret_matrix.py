"""Each secret of a channel against each host that is not the channel's: its key, its client
certificate, its proxy's login, and the headers that its operator set (P14)."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from dialects.endpoints.codecs import CODECS
from gateway.breaker.breaker import BreakerRule
from gateway.channels.channel_tests import fetched_credentials
from gateway.channels.timeouts import Timeouts
from gateway.providers import provider_named
from gateway.providers.cloud_credentials.credentials import (
    Ask,
    Credentials,
    CredentialSource,
    Steps,
    TokenSigner,
)
from gateway.providers.codecs import codec_for
from lib.id_types import ChannelId, ChannelName
from lib.network import egress, outbound
from lib.network.egress import EgressPolicy
from lib.network.outbound import Outbound, read_proxy
from relay.catalogue.snapshot import Channel
from relay.upstream import dialer, upstream
from relay.upstream.credential_cache import CredentialCache
from relay.upstream.outgoing import OutgoingRequest
from relay.upstream.upstream import Upstreams
from tests.fakes.listeners import Authority, tls_context
from tests.fakes.proxies import FakeProxy

LISTED: Final = EgressPolicy(["127.0.0.1/32"])
KEY: Final = "sk-channel-0123456789abcdef"
HEADER: Final = "operator-secret-0123456789"
LOGIN: Final = "weir:login-0123456789"
ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass
class Host:
    """A host that notes what it is shown."""

    url: str = ""
    redirect: str = ""
    heads: list[bytes] = field(default_factory=list)
    certificates: list[bytes] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if shown:
            self.certificates.append(shown)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            head = b""
        self.heads.append(head)
        moved = head.startswith(b"GET /v1/moved")
        line = b"302 Found\r\nlocation: " + self.redirect.encode() if moved else b"200 OK"
        kind = b"content-type: application/json"
        writer.write(b"HTTP/1.1 %b\r\n%b\r\ncontent-length: 2\r\n\r\n{}" % (line, kind))
        await writer.drain()
        writer.close()


@dataclass(frozen=True)
class Source:
    """A source of temporary credentials at an address."""

    url: str
    near: bool
    ending: str = "0000"

    def fetch(self, now_s: int) -> Steps:
        yield Ask("POST", self.url, near=self.near)
        return Credentials(TokenSigner("token"), now_s + 600, now_s + 900)


@dataclass
class Stage:
    channel: Channel
    own: Host
    other: Host
    upstreams: Upstreams
    proxy: FakeProxy


@asynccontextmanager
async def staged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """A channel with every secret, its host, and another one that everybody trusts."""
    authority = Authority(tmp_path)
    server, _ = tls_context(tmp_path, authority=authority)
    server.verify_mode = ssl.CERT_OPTIONAL
    server.load_verify_locations(authority.path)
    pem = authority.certificate(tmp_path, "weir", expired=False, trusted=True).read_text()
    key, _, certificate = pem.partition("-----BEGIN CERTIFICATE-----")

    def trusted() -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(authority.path))

    # Otherwise only public addresses and public authorities are asked.
    monkeypatch.setattr(upstream, "_PUBLIC", LISTED)
    monkeypatch.setattr(dialer, "_context", trusted())
    monkeypatch.setattr(outbound, "trusted_context", trusted)
    monkeypatch.setattr(egress, "system_trust", trusted)
    own, other = Host(), Host()
    servers = []
    for host in (own, other):
        listening = await asyncio.start_server(host.answer, "127.0.0.1", 0, ssl=server)
        host.url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        servers.append(listening)
    own.redirect = f"{other.url}/file"
    provider = provider_named("openai")
    with FakeProxy("http", login=LOGIN) as proxy:
        channel = Channel(
            id=str(UUID(int=1)), uuid=ChannelId(UUID(int=1)), name=ChannelName("east"),
            base_url=own.url, retries=0, provider=provider, address=provider.address(own.url),
            headers=({d: tuple(provider.headers(KEY, d).items()) for d in provider.dialects},),
            passed_headers={}, drain=False, timeouts=Timeouts(), breaker=BreakerRule(),
            outbound=Outbound(
                read_proxy(proxy.url, LOGIN), authority.path.read_text(),
                f"-----BEGIN CERTIFICATE-----{certificate}", key,
            ),
        )  # fmt: skip
        upstreams = Upstreams()
        try:
            yield Stage(channel, own, other, upstreams, proxy)
        finally:
            upstreams.close()
            for listening in servers:
                listening.close()


async def post(stage: Stage) -> None:
    """What the channel's own host gets."""
    codec = codec_for(stage.channel.provider, "openai")
    request = OutgoingRequest(
        codec, f"{stage.own.url}/chat/completions", b"{}", "application/json",
        (("x-operator", HEADER),),
    )  # fmt: skip
    answer = await stage.upstreams.post(
        stage.channel, LISTED, request, "attempt", key=0, fresh=True
    )
    answer.cut()


async def get(stage: Stage, url: str) -> None:
    answer = await stage.upstreams.get_elsewhere(
        stage.channel, LISTED, url, "request", codec=CODECS["openai"], key=0
    )
    answer.cut()


async def credentials(stage: Stage, *, near: bool) -> None:
    source: CredentialSource = Source(f"{stage.other.url}/token", near)
    await CredentialCache().signer(source, stage.channel, LISTED)


async def credentials_of_test(stage: Stage, *, near: bool) -> None:
    source: CredentialSource = Source(f"{stage.other.url}/token", near)
    await asyncio.to_thread(fetched_credentials.fetch, source, LISTED, stage.channel.outbound, ())


Way = Callable[[Stage], Coroutine[Any, Any, None]]
WAYS: Final[dict[str, Way]] = {
    "a file elsewhere": lambda stage: get(stage, f"{stage.other.url}/file"),
    "a redirect": lambda stage: get(stage, f"{stage.own.url}/moved"),
    "credentials": lambda stage: credentials(stage, near=False),
    "credentials of the machine": lambda stage: credentials(stage, near=True),
    "credentials of a test": lambda stage: credentials_of_test(stage, near=False),
    "credentials of the machine in a test": lambda stage: credentials_of_test(stage, near=True),
}
SECRETS: Final = (KEY.encode(), HEADER.encode(), LOGIN.encode(), b"d2VpcjpsB", b"x-operator")


@pytest.mark.parametrize("way", WAYS)
async def test_no_other_host_receives_a_secret(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with staged(tmp_path, monkeypatch) as stage:
        await WAYS[way](stage)
        (head,) = stage.other.heads
        assert head
        assert stage.other.certificates == []
        assert not [secret for secret in SECRETS if secret in head]
        assert b"authorization" not in head.lower()
        # Only a machine's own address is asked without the proxy.
        assert bool(stage.proxy.asked) is ("machine" not in way)


async def test_its_own_host_is_shown_key_and_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not the login, which is the proxy's."""
    async with staged(tmp_path, monkeypatch) as stage:
        await post(stage)
        (head,) = stage.own.heads
        assert len(stage.own.certificates) == 1
        assert KEY.encode() in head
        assert HEADER.encode() in head
        assert LOGIN.encode() not in head
        assert b"proxy-authorization" not in head.lower()
        await get(stage, f"{stage.own.url}/file")
        assert len(stage.own.certificates) == 2
        assert stage.other.heads == []


def test_every_use_of_a_route_is_in_the_matrix() -> None:
    """A place that connects by the route of a channel is a row here, or asks the channel's host
    alone."""
    of_own_host = {
        "gateway/channels/channel_tests/staged_calls.py",
        "gateway/media_tasks/media_tasks.py",
        "gateway/provider_accounts/reconciliation/usage_reconciliation.py",
    }
    in_matrix = {
        "gateway/channels/channel_tests/fetched_credentials.py",
        "relay/upstream/credential_cache.py", "relay/upstream/upstream.py",
    }  # fmt: skip
    # Only what takes a route, and the two that give it.
    parts = {"lib/network/egress.py", "relay/upstream/connection_pool.py"}
    parts |= {"relay/catalogue/snapshot_build.py", "gateway/channels/channel_tests/channel_test.py"}
    found = {
        str(path.relative_to(ROOT))
        for room in ("gateway", "relay", "lib", "playground", "usage", "notify", "config")
        for path in (ROOT / room).rglob("*.py")
        if re.search(r"\boutbound=|outbound_of\(", path.read_text())
    }
    assert found - parts - {"gateway/channels/egress.py"} == of_own_host | in_matrix
    assert {one.name for one in fields(Outbound)} == {"proxy", "ca_pem", "cert_pem", "key_pem"}
