"""Admission: a request is let through by one transaction that holds its worst-case price.

The database decides (key still valid, money there) and writes (hold, posting, attempt) in one
statement set for everything that arrived while the last commit was in flight (I5, P2).
"""

from collections.abc import Callable
from typing import NamedTuple

from billing import sql as money
from gateway.relay.batch import Batcher
from gateway.relay.database import DatabaseRefused, Lane, Statement
from gateway.relay.settlement import Resolved, resolve
from lib.ids import new_id
from usage import sql as usage

_CUSTOMER_ACCOUNTS = ("customer:available", "customer:held", "revenue")


class Asked(NamedTuple):
    """An attempt that wants its hold. `replaces` is the failed attempt before it, whose hold is
    released in the same transaction, so that failing over needs no second balance."""

    attempt: usage.AttemptOpened
    ttl_seconds: int
    replaces: Resolved | None


class Verdict(NamedTuple):
    """`word` is admitted | key_gone | insufficient; `available_nano` is what the wallet has now."""

    word: str
    available_nano: int


class Admission:
    """Asks for holds in batches. `abandoned` hears of admitted attempts whose client has gone."""

    def __init__(self, lane: Lane, abandoned: Callable[[Asked], None]) -> None:
        self._lane = lane
        self._void = abandoned
        self._batcher: Batcher[Asked, Verdict] = Batcher(self._commit, self._abandoned)

    async def admit(self, asked: Asked) -> Verdict:
        """Place the hold and open the attempt, or say why not.

        Raises DatabaseAway or DatabaseRefused when the database could not decide.
        """
        return await self._batcher.submit(asked)

    async def join(self) -> None:
        """Wait until nothing is being decided any more."""
        await self._batcher.join()

    def _abandoned(self, asked: Asked, verdict: Verdict) -> None:
        if verdict.word == "admitted":
            self._void(asked)

    async def _commit(self, batch: list[Asked]) -> list[Verdict]:
        try:
            verdicts = await self._decide(batch)
        except DatabaseRefused:
            if len(batch) == 1:
                raise
            # One request that cannot be stored must not refuse those that came with it.
            return [verdict for asked in batch for verdict in await self._decide([asked])]
        if any(verdict.word == "no_wallet" for verdict in verdicts):
            verdicts = await self._open_wallets(batch, verdicts)
        return verdicts

    async def _decide(self, batch: list[Asked]) -> list[Verdict]:
        statements: list[Statement] = [
            money.lock_accounts(asked.attempt.organisation_id for asked in batch)
        ]
        replaced = [asked.replaces for asked in batch if asked.replaces is not None]
        if replaced:
            statements += resolve(replaced)
        statements += [
            money.place_holds(
                [
                    money.HoldAsked(
                        asked.attempt.id,
                        new_id(),
                        asked.attempt.organisation_id,
                        asked.attempt.key_id,
                        asked.attempt.hold_nano,
                        asked.ttl_seconds,
                    )
                    for asked in batch
                ]
            ),
            usage.open_attempts([asked.attempt for asked in batch]),
        ]
        rows = (await self._lane.run(statements))[-2]
        return [Verdict(str(word), int(available or 0)) for word, available in rows]

    async def _open_wallets(self, batch: list[Asked], verdicts: list[Verdict]) -> list[Verdict]:
        """Make the accounts of organisations that never moved money, and decide on theirs again."""
        without = [at for at, verdict in enumerate(verdicts) if verdict.word == "no_wallet"]
        organisations = {batch[at].attempt.organisation_id for at in without}
        await self._lane.run([money.open_accounts(organisations, _CUSTOMER_ACCOUNTS)])
        for at, verdict in zip(
            without, await self._decide([batch[at] for at in without]), strict=True
        ):
            verdicts[at] = verdict
        return verdicts
