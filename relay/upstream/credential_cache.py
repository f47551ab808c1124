"""Temporary credentials of clouds: fetched once for all requests of a process, kept until shortly
before they expire, and renewed while requests run. `gateway/providers/cloud_credentials` has the
steps; the connections are those of the channel's provider."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import replace
from typing import Final, NamedTuple, cast

from gateway.providers.cloud_credentials.credentials import (
    Ask,
    Credentials,
    CredentialsFailed,
    CredentialSource,
    CredentialsRefused,
    Reply,
    Steps,
)
from gateway.providers.signing import Signer
from lib.network.credential_sources import (
    ANSWER_BYTES_MAX,
    FETCH_S,
    FileDenied,
    check_credential_source,
    read_token_file,
)
from lib.network.egress import EgressDenied, EgressPolicy
from lib.network.outbound import DIRECT, Outbound
from lib.process.waiting import timeout
from relay.catalogue.snapshot import Channel, Snapshot
from relay.errors import RelayError
from relay.upstream.connection_pool import ConnectionPool
from relay.upstream.http1 import Connection, Reason, headers_bytes, target_of

# How soon a renewal that failed is tried again, while the credentials are still usable.
_AGAIN_S: Final = 15
_TLS_S: Final = 5.0
_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity"}
_FAULTS: Final[dict[Reason, str]] = {"name": "F2", "tls": "F3", "timeout": "F4", "slow": "F4"}


class NoCredentials(RelayError):
    """No credentials were fetched. `fault` is a row of the fault table, `detail` is for
    operators."""

    def __init__(self, fault: str, detail: str) -> None:
        super().__init__(f"{fault} {detail}")
        self.fault = fault
        self.detail = detail


class _Failure(NamedTuple):
    fault: str
    detail: str


class CredentialCache:
    """The temporary credentials of a process. `token_files` are the files that keys may refer
    to."""

    def __init__(self, token_files: Collection[str] = ()) -> None:
        self._token_files = token_files
        self._credentials: dict[CredentialSource, Credentials] = {}
        self._renewals: dict[CredentialSource, asyncio.Task[Credentials | _Failure]] = {}

    async def signer(
        self, source: CredentialSource, channel: Channel, policy: EgressPolicy
    ) -> Signer:
        """Return the signer with the credentials of a source. Raises NoCredentials."""
        now_s = int(time.time())
        credentials = self._credentials.get(source)
        if credentials is not None and credentials.is_fresh(now_s):
            return credentials.signer
        renewal = self._renewals.get(source) or self._renew(source, channel, policy)
        if credentials is not None and credentials.is_usable(now_s):
            return credentials.signer
        # A client that leaves does not end the renewal, for which others wait.
        outcome = await asyncio.shield(renewal)
        if isinstance(outcome, _Failure):
            raise NoCredentials(*outcome)
        return outcome.signer

    def drop(self, source: CredentialSource, signer: Signer) -> None:
        """Delete credentials that a provider refused, so that the next request fetches new ones."""
        credentials = self._credentials.get(source)
        if credentials is not None and credentials.signer is signer:
            del self._credentials[source]

    def retire(self, snapshot: Snapshot) -> None:
        """Delete the credentials of keys that were removed."""
        kept = {
            source
            for channel in snapshot.channels.values()
            for source in channel.credential_sources
        }
        self._credentials = {
            source: credentials
            for source, credentials in self._credentials.items()
            if source in kept
        }

    def close(self) -> None:
        for renewal in self._renewals.values():
            renewal.cancel()
        self._credentials.clear()

    def _renew(
        self, source: CredentialSource, channel: Channel, policy: EgressPolicy
    ) -> "asyncio.Task[Credentials | _Failure]":
        renewal = asyncio.create_task(self._fetch(source, channel, policy))
        self._renewals[source] = renewal
        renewal.add_done_callback(lambda task: self._keep(source, task))
        return renewal

    def _keep(
        self, source: CredentialSource, renewal: "asyncio.Task[Credentials | _Failure]"
    ) -> None:
        self._renewals.pop(source, None)
        if renewal.cancelled():
            return
        outcome, credentials = renewal.result(), self._credentials.get(source)
        if isinstance(outcome, Credentials):
            self._credentials[source] = outcome
        elif credentials is not None:
            self._credentials[source] = credentials._replace(renew_at_s=int(time.time()) + _AGAIN_S)

    async def _fetch(
        self, source: CredentialSource, channel: Channel, policy: EgressPolicy
    ) -> Credentials | _Failure:
        limit_s = min(FETCH_S, channel.timeouts.first_content / 2)
        try:
            async with timeout(limit_s):
                return await self._drive(source.fetch(int(time.time())), channel, policy)
        except TimeoutError:
            return _Failure("F4", f"no credentials in {limit_s:g} s")
        except SourceUnreached as error:
            return _Failure(_FAULTS.get(error.reason, "F1"), f"credentials: {error}")
        except (CredentialsRefused, FileDenied) as error:
            return _Failure("F5", str(error))
        except (CredentialsFailed, EgressDenied, ValueError) as error:
            return _Failure("F1", str(error))

    async def _drive(self, steps: Steps, channel: Channel, policy: EgressPolicy) -> Credentials:
        try:
            step = next(steps)
            while True:
                if isinstance(step, Ask):
                    reply = await _send_request(step, channel, policy)
                else:
                    reply = Reply(200, read_token_file(step.path, self._token_files))
                step = steps.send(reply)
        except StopIteration as end:
            return cast(Credentials, end.value)


class SourceUnreached(RelayError):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail or reason)
        self.reason: Reason = reason


async def _send_request(ask: Ask, channel: Channel, policy: EgressPolicy) -> Reply:
    """Send a request for credentials on a new connection. Raises SourceUnreached, EgressDenied,
    CredentialsFailed, and ValueError if no request can be made."""
    check_credential_source(policy, ask.url)
    own = channel.outbound
    outbound: Outbound = DIRECT if ask.near else replace(own, cert_pem="", key_pem="")
    pool = ConnectionPool(
        ask.url, policy, SourceUnreached, connect_s=channel.timeouts.connect, tls_s=_TLS_S,
        head_s=FETCH_S, reuse=False, outbound=outbound,
    )  # fmt: skip
    fields = {"host": pool.host_header, "user-agent": "weir", **_HEADERS, **ask.headers}
    length = b"content-length: %d\r\n" % len(ask.body) if ask.method != "GET" else b""
    head = b"%b %b HTTP/1.1\r\n%b%b\r\n" % (
        ask.method.encode(), target_of(ask.url), headers_bytes(tuple(fields.items())), length,
    )  # fmt: skip
    connection = await pool.connection(fresh=True)
    try:
        await connection.send(head, ask.body)
        return Reply(connection.status, await _read_body(connection), dict(connection.headers))
    finally:
        connection.cut()


async def _read_body(connection: Connection) -> bytes:
    body = b""
    while piece := await connection.next_bytes():
        body += piece
        if len(body) > ANSWER_BYTES_MAX:
            raise CredentialsFailed("the source's answer is too large")
    return body
