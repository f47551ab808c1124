"""Credentials that clouds lend for a while: asked for once by all requests of a process, kept until
shortly before their end, and renewed beside running requests. The steps are those of
`gateway/providers/lending`; the connections are those of the channel's provider: the operator's
policy, the channel's proxy and authorities, but not its client certificate.
"""

import asyncio
import time
from collections.abc import Collection
from dataclasses import replace
from typing import Final, NamedTuple, cast

from gateway.providers.lending.loans import Ask, Lender, Loan, NotGranted, NotLent, Reply, Steps
from gateway.providers.signing import Signer
from lib.network.egress import EgressDenied, EgressPolicy
from lib.network.lenders import (
    ANSWER_BYTES_MAX,
    BORROW_S,
    FileDenied,
    check_lender,
    read_token_file,
)
from lib.network.outbound import DIRECT, Outbound
from lib.process.waiting import timeout
from relay.errors import RelayError
from relay.routing.snapshot import Channel, Snapshot
from relay.upstream.connection_pool import ConnectionPool
from relay.upstream.http1 import Connection, Reason, headers_bytes, target_of

# How soon a renewal that failed is tried again, while the loan is still usable.
_AGAIN_S: Final = 15
_TLS_S: Final = 5.0
_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity"}
_FAULTS: Final[dict[Reason, str]] = {"name": "F2", "tls": "F3", "timeout": "F4", "slow": "F4"}


class NoLoan(RelayError):
    """No credentials were lent; `fault` is a row of the fault table, `detail` for the operator."""

    def __init__(self, fault: str, detail: str) -> None:
        super().__init__(f"{fault} {detail}")
        self.fault = fault
        self.detail = detail


class _Failure(NamedTuple):
    fault: str
    detail: str


class Loans:
    """The loans of a process. `token_files` are the files that keys may name."""

    def __init__(self, token_files: Collection[str] = ()) -> None:
        self._token_files = token_files
        self._loans: dict[Lender, Loan] = {}
        self._renewals: dict[Lender, asyncio.Task[Loan | _Failure]] = {}

    async def signer(self, lender: Lender, channel: Channel, policy: EgressPolicy) -> Signer:
        """Return what signs requests with credentials of a lender. Raises NoLoan."""
        now_s = int(time.time())
        loan = self._loans.get(lender)
        if loan is not None and loan.is_fresh(now_s):
            return loan.signer
        renewal = self._renewals.get(lender) or self._renew(lender, channel, policy)
        if loan is not None and loan.is_usable(now_s):
            return loan.signer
        # A client that leaves does not end the renewal, for which others wait.
        outcome = await asyncio.shield(renewal)
        if isinstance(outcome, _Failure):
            raise NoLoan(*outcome)
        return outcome.signer

    def drop(self, lender: Lender, signer: Signer) -> None:
        """Forget credentials that a provider refused, so that the next request borrows anew."""
        loan = self._loans.get(lender)
        if loan is not None and loan.signer is signer:
            del self._loans[lender]

    def retire(self, snapshot: Snapshot) -> None:
        """Forget the loans of keys that were removed."""
        kept = {lender for channel in snapshot.channels.values() for lender in channel.lenders}
        self._loans = {lender: loan for lender, loan in self._loans.items() if lender in kept}

    def close(self) -> None:
        for renewal in self._renewals.values():
            renewal.cancel()
        self._loans.clear()

    def _renew(
        self, lender: Lender, channel: Channel, policy: EgressPolicy
    ) -> "asyncio.Task[Loan | _Failure]":
        renewal = asyncio.create_task(self._borrow(lender, channel, policy))
        self._renewals[lender] = renewal
        renewal.add_done_callback(lambda task: self._keep(lender, task))
        return renewal

    def _keep(self, lender: Lender, renewal: "asyncio.Task[Loan | _Failure]") -> None:
        self._renewals.pop(lender, None)
        if renewal.cancelled():
            return
        outcome, loan = renewal.result(), self._loans.get(lender)
        if isinstance(outcome, Loan):
            self._loans[lender] = outcome
        elif loan is not None:
            self._loans[lender] = loan._replace(renew_at_s=int(time.time()) + _AGAIN_S)

    async def _borrow(
        self, lender: Lender, channel: Channel, policy: EgressPolicy
    ) -> Loan | _Failure:
        limit_s = min(BORROW_S, channel.timeouts.first_content / 2)
        try:
            async with timeout(limit_s):
                return await self._drive(lender.borrow(int(time.time())), channel, policy)
        except TimeoutError:
            return _Failure("F4", f"no credentials in {limit_s:g} s")
        except _Unreached as error:
            return _Failure(_FAULTS.get(error.reason, "F1"), f"credentials: {error}")
        except (NotGranted, FileDenied) as error:
            return _Failure("F5", str(error))
        except (NotLent, EgressDenied, ValueError) as error:
            return _Failure("F1", str(error))

    async def _drive(self, steps: Steps, channel: Channel, policy: EgressPolicy) -> Loan:
        try:
            step = next(steps)
            while True:
                if isinstance(step, Ask):
                    reply = await _ask(step, channel, policy)
                else:
                    reply = Reply(200, read_token_file(step.path, self._token_files))
                step = steps.send(reply)
        except StopIteration as end:
            return cast(Loan, end.value)


class _Unreached(RelayError):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail or reason)
        self.reason: Reason = reason


async def _ask(ask: Ask, channel: Channel, policy: EgressPolicy) -> Reply:
    """Send a request on a connection of its own. Raises _Unreached, EgressDenied, NotLent, and
    ValueError if no request can be made."""
    check_lender(policy, ask.url)
    own = channel.outbound
    outbound: Outbound = DIRECT if ask.near else replace(own, cert_pem="", key_pem="")
    pool = ConnectionPool(
        ask.url, policy, _Unreached, connect_s=channel.timeouts.connect, tls_s=_TLS_S,
        head_s=BORROW_S, reuse=False, outbound=outbound,
    )  # fmt: skip
    fields = {"host": pool.host_header, "user-agent": "weir", **_HEADERS, **ask.headers}
    length = b"content-length: %d\r\n" % len(ask.body) if ask.method != "GET" else b""
    head = b"%b %b HTTP/1.1\r\n%b%b\r\n" % (
        ask.method.encode(), target_of(ask.url), headers_bytes(tuple(fields.items())), length,
    )  # fmt: skip
    connection = await pool.connection(fresh=True)
    try:
        await connection.send(head, ask.body)
        return Reply(connection.status, await _whole(connection), dict(connection.headers))
    finally:
        connection.cut()


async def _whole(connection: Connection) -> bytes:
    body = b""
    while piece := await connection.next_bytes():
        body += piece
        if len(body) > ANSWER_BYTES_MAX:
            raise NotLent("the lender's answer is too large")
    return body
