"""What a request costs the books, and what the jobs cost that look at them, however many requests
are in them already: by the relay's own writer."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from accounts.models import Key
from billing.models import PriceVersion
from lib.id_types import (
    AttemptId,
    ChannelId,
    ChannelName,
    CostVersionId,
    KeyId,
    ModelName,
    OrganisationId,
    PriceVersionId,
    RequestId,
    TeamId,
    UpstreamModelName,
    UserId,
)
from lib.ids import new_id
from relay.database.database import PipelinedConnection
from relay.ledger.admission import AdmissionRequest
from relay.ledger.settlement import Settlement
from relay.ledger.writer import LedgerWriter
from tests.bench.cost import seconds_of
from usage.records.sql import AttemptOpened, Ending

AT_ONCE: Final = 32
_METERS: Final = '{"in_text": 1200, "out_text": 340, "in_cache_read": 1024}'
_CHARGE_NANO: Final = 1_250_000
_COST_NANO: Final = 1_000_000
_HOLD_NANO: Final = 5_000_000


class Books:
    """A relay's writer at work for one key, and the processor time that it has taken."""

    def __init__(self, dsn: str, key: Key) -> None:
        self._dsn, self._key = dsn, key
        charge, cost = (
            PriceVersion.objects.filter(price__kind=kind).earliest("id")
            for kind in ("charge", "cost")
        )
        self._model, self._versions = charge.price.model, (charge.id, cost.id)

    def write(self, requests: int) -> dict[str, float]:
        """Admit and settle so many requests; microseconds of the database's process for each."""
        return asyncio.run(self._write(requests))

    async def _write(self, requests: int) -> dict[str, float]:
        connection = PipelinedConnection(self._dsn, 20.0)
        await connection.open()
        try:
            return await self._written(connection, requests)
        finally:
            await connection.close()

    async def _written(self, connection: PipelinedConnection, requests: int) -> dict[str, float]:
        ((row,),) = await connection.run([("SELECT pg_backend_pid()", {})])
        backend, writer = int(row[0] or 0), LedgerWriter(connection)
        attempts = [self._attempt() for _ in range(requests)]
        begun = seconds_of(backend)
        for some in _parts(attempts):
            verdicts = await asyncio.gather(
                *(writer.admit(AdmissionRequest(attempt, 60, None)) for attempt in some)
            )
            if any(verdict.word != "admitted" for verdict in verdicts):
                raise SystemExit(f"not admitted: {verdicts[0]}")
        await writer.join()
        admitted = seconds_of(backend)
        for some in _parts(attempts):
            for attempt in some:
                writer.settle(_ended(attempt))
            await writer.join()
        settled = seconds_of(backend)
        return {
            "admission": (admitted - begun) / requests * 1e6,
            "settlement": (settled - admitted) / requests * 1e6,
        }

    def _attempt(self) -> AttemptOpened:
        key, id = self._key, AttemptId(new_id())
        # A request's id is not its attempt's.
        return AttemptOpened(
            organisation_id=OrganisationId(key.organisation_id),
            id=id,
            request_id=RequestId(new_id()),
            n=1,
            team_id=TeamId(key.team_id),
            key_id=KeyId(key.id),
            user_id=None if key.user_id is None else UserId(key.user_id),
            model=ModelName(self._model),
            channel_id=ChannelId(UUID(int=5)),
            channel_name=ChannelName("provider-1"),
            upstream_model=UpstreamModelName(self._model),
            dialect="openai",
            operation="chat",
            stream=True,
            source="api",
            price_version_id=PriceVersionId(self._versions[0]),
            hold_nano=_HOLD_NANO,
            cost_version_id=CostVersionId(self._versions[1]),
        )


def _ended(attempt: AttemptOpened) -> Settlement:
    ending = Ending(
        final=True, status=200, finish_reason="stop", meters=_METERS, charge_nano=_CHARGE_NANO,
        basis="measured", ttft_ms=300, total_ms=900, cost_nano=_COST_NANO,
    )  # fmt: skip
    return Settlement(
        organisation_id=attempt.organisation_id,
        attempt_id=attempt.id,
        state="settled",
        ending=ending,
    )


def _parts(attempts: Sequence[AttemptOpened]) -> Iterator[Sequence[AttemptOpened]]:
    for first in range(0, len(attempts), AT_ONCE):
        yield attempts[first : first + AT_ONCE]
