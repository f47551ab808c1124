"""Temporary credentials over time: renewed beside requests, kept while the source is away, and what
each failure says to operators."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest

from gateway.channels.timeouts import Timeouts
from gateway.providers.cloud_credentials.amazon import read_amazon_key
from gateway.providers.cloud_credentials.credentials import CredentialSource
from gateway.providers.cloud_credentials.google import read_google_key
from gateway.providers.signing import Signer
from lib.network.egress import EgressPolicy
from lib.network.outbound import DIRECT
from relay.catalogue.snapshot import Channel
from relay.upstream.credential_cache import CredentialCache, NoCredentials
from tests.fakes.google_keys import service_account_key
from tests.fakes.listeners import refused_port
from tests.fakes.upstream import FakeUpstream
from tests.fakes.vertex import FakeVertex

LISTED = EgressPolicy(["127.0.0.1/32"])


class Clock:
    """Our clock, by which the fake issues tokens too; it judges assertions by the machine's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead_s = 0.0
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + self.ahead_s)


@pytest.fixture
def vertex(fake: FakeUpstream) -> Iterator[FakeVertex]:
    with FakeVertex(fake) as vertex:
        yield vertex


def channel(seconds: float = 60.0) -> Channel:
    class _Channel:
        timeouts = Timeouts(connect=3.0, first_content=seconds, idle=60.0, total=600.0)
        outbound = DIRECT
        credential_sources = ()

    return cast(Channel, _Channel())


def credential_source_of(key: str) -> CredentialSource:
    source = read_google_key(key)
    assert source is not None
    return source


def token_of(signer: Signer) -> str:
    return signer.headers("POST", "https://h", b"", 0)["authorization"]


async def fetch(
    kept: CredentialCache, source: CredentialSource, policy: EgressPolicy = LISTED
) -> str:
    return token_of(await kept.signer(source, channel(), policy))


async def settled(kept: CredentialCache) -> None:
    await asyncio.gather(*kept._renewals.values())


def test_credentials_are_renewed_in_parallel_to_requests(
    vertex: FakeVertex, monkeypatch: Any
) -> None:
    clock = Clock(monkeypatch)

    async def run() -> None:
        kept, source = CredentialCache(), credential_source_of(vertex.machine_key)
        first = await fetch(kept, source)
        clock.ahead_s = 3300
        assert await fetch(kept, source) == first
        assert vertex.issued == 1
        clock.ahead_s = 3400
        # Nobody waits for the renewal, and there is one.
        assert {await fetch(kept, source) for _ in range(5)} == {first}
        clock.ahead_s = 0
        await settled(kept)
        assert vertex.issued == 2
        assert await fetch(kept, source) != first
        assert vertex.issued == 2

    asyncio.run(run())


def test_ended_credentials_are_awaited(vertex: FakeVertex, monkeypatch: Any) -> None:
    """P8: nobody is sent with credentials that end on the way."""
    clock = Clock(monkeypatch)

    async def run() -> None:
        kept, source = CredentialCache(), credential_source_of(vertex.machine_key)
        first = await fetch(kept, source)
        vertex.fault = "500"
        clock.ahead_s = 3580
        assert await fetch(kept, source) == first
        await settled(kept)
        clock.ahead_s = 3595
        with pytest.raises(NoCredentials) as error:
            await fetch(kept, source)
        assert error.value.fault == "F1"
        clock.ahead_s = 0
        vertex.fault = ""
        kept._credentials.clear()
        assert await fetch(kept, source) != first

    asyncio.run(run())


def test_a_failed_renewal_waits_before_the_next(vertex: FakeVertex, monkeypatch: Any) -> None:
    """P21."""
    clock = Clock(monkeypatch)

    async def run() -> None:
        kept, source = CredentialCache(), credential_source_of(vertex.machine_key)
        await fetch(kept, source)
        vertex.fault, clock.ahead_s = "500", 3400
        await fetch(kept, source)
        await settled(kept)
        await fetch(kept, source)
        assert not kept._renewals
        clock.ahead_s = 3416
        await fetch(kept, source)
        assert len(kept._renewals) == 1
        await settled(kept)

    asyncio.run(run())


def test_leaving_client_cancels_no_renewal(vertex: FakeVertex) -> None:
    async def run() -> None:
        kept, source = CredentialCache(), credential_source_of(vertex.key)
        leaving = asyncio.create_task(fetch(kept, source))
        staying = asyncio.create_task(fetch(kept, source))
        await asyncio.sleep(0)
        leaving.cancel()
        assert (await staying).startswith("Bearer ya29.")
        assert vertex.issued == 1

    asyncio.run(run())


def test_only_rejected_credentials_are_dropped(vertex: FakeVertex) -> None:
    async def run() -> None:
        kept, source = CredentialCache(), credential_source_of(vertex.key)
        first = await kept.signer(source, channel(), LISTED)
        kept.drop(source, first)
        second = await kept.signer(source, channel(), LISTED)
        kept.drop(source, first)
        assert await kept.signer(source, channel(), LISTED) is second
        assert vertex.issued == 2

    asyncio.run(run())


def refusal(key: str, policy: EgressPolicy = LISTED, *, seconds: float = 60.0) -> tuple[str, str]:
    async def run() -> tuple[str, str]:
        with pytest.raises(NoCredentials) as error:
            await CredentialCache().signer(credential_source_of(key), channel(seconds), policy)
        return error.value.fault, error.value.detail

    return asyncio.run(run())


def test_a_wrong_clock_is_named(vertex: FakeVertex, monkeypatch: Any) -> None:
    """F5, as for a key that is refused; the reason is the source's."""
    clock = Clock(monkeypatch)
    for ahead_s in (86_400, -86_400):
        clock.ahead_s = ahead_s
        fault, detail = refusal(vertex.key)
        assert fault == "F5"
        assert "invalid_grant: Invalid JWT: " in detail
        assert "expired" in detail or "not yet valid" in detail


def test_hanging_metadata_service(vertex: FakeVertex) -> None:
    """F4, in time."""
    vertex.fault = "hang"
    assert refusal(vertex.machine_key, seconds=1.0) == ("F4", "no credentials in 0.5 s")


def test_only_listed_addresses_may_skip_tls(vertex: FakeVertex) -> None:
    """P13: the machine's own address is permitted by the operator, or not asked."""
    fault, detail = refusal(vertex.machine_key, EgressPolicy())
    assert fault == "F1"
    assert "settings.egress_allow" in detail
    plain = json.dumps(service_account_key("http://oauth2.example/token"))
    assert "without TLS" in refusal(plain)[1]
    inside = json.dumps(service_account_key("https://127.0.0.1:1/token"))
    fault, detail = refusal(inside, EgressPolicy())
    assert fault == "F1"
    assert "is not a public address" in detail
    assert vertex.issued == 0


def test_missing_source() -> None:
    with refused_port() as port:
        key = json.dumps(service_account_key(f"http://127.0.0.1:{port}/token"))
        assert refusal(key)[0] == "F1"


def test_an_unlisted_file_is_not_read() -> None:
    source = read_amazon_key(
        '{"type": "web_identity", "role_arn": "r", "token_file": "/etc/hostname"}'
    )
    assert source is not None

    async def run() -> None:
        with pytest.raises(NoCredentials, match="CLOUD_TOKEN_FILES") as error:
            await CredentialCache(("/run/token",)).signer(source, channel(), LISTED)
        assert error.value.fault == "F5"

    asyncio.run(run())
