"""Settlement: resolve the hold, write the posting and the usage record, in one transaction. Nothing
waits for it, because the client already has its answer. `relay/ledger/writer.py` retries it as
often as necessary; repeating it changes nothing, because a hold is resolved once (I6) and a record
is written once (I10).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from billing.holds.resolve_holds import HoldResolved, Loss, keep_holds, post_losses, resolve_holds
from billing.holds.sweep_holds import Mark, assign_to_sweep, mark_holds, renew_lease
from billing.ledger.accounts import LOSS_KINDS, lock_accounts, open_accounts
from billing.ledger.hold_rules import HoldState
from billing.limits.budget_windows import note_refused
from billing.limits.enforcement import lock_channels
from lib.id_types import AttemptId, ChannelId, OrganisationId
from lib.ids import new_ids
from relay.database.database import Row, Statement
from usage.records import sql as usage


class Settlement(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """How one attempt ended."""

    organisation_id: OrganisationId
    attempt_id: AttemptId
    # Settled (with the charge of the settlement), voided, or kept.
    state: HoldState
    ending: usage.Ending
    # The tokens that it used of a tokens-per-minute limit, if there is one.
    tokens: int = 0
    # Our cost if the customer does not pay, at the price of the admission (I13, I15).
    loss_nano: int = 0
    # The channel, if it has limits.
    limited_channel_id: ChannelId | None = None
    # The part of the charge that included units pay, and how many of each the attempt holds; None
    # if an older release stored it.
    included_nano: int | None = None
    units: tuple[int, ...] = ()


class LateSettlement(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A settlement whose hold was resolved by another process before."""

    organisation_id: OrganisationId
    attempt_id: AttemptId
    ending: usage.Ending


class Marked(NamedTuple):
    """The progress of a stream: its meters, as JSON text."""

    attempt_id: UUID
    meters: str


AnySettlement = Settlement | LateSettlement | usage.Refusal

# The bases of a charge that only this process knows. With any other basis, the process that
# resolved the hold knows as much.
_COUNTED = frozenset({"measured", "drained", "estimated", "cached"})


def marks(batch: Mapping[UUID, str]) -> Statement:
    """Return the statement that stores the progress of attempts: the meters of each, as JSON
    text.
    """
    return mark_holds([Mark(attempt, meters) for attempt, meters in batch.items()])


def lease(process_id: UUID) -> Statement:
    """Return the statement that extends a process's lease by LEASE_S from now."""
    return renew_lease(process_id)


def entrust(attempt_id: UUID, seconds: int) -> Statement:
    """Return the statement that lets the open hold of an attempt outlive this process; it returns
    no row if the hold is not open.
    """
    return assign_to_sweep(attempt_id, seconds)


def lock(organisation_ids: Iterable[UUID]) -> Statement:
    """Return the statement that locks the accounts: the first of every transaction that moves
    money."""
    return lock_accounts(organisation_ids)


def lock_limited(channel_ids: Iterable[UUID]) -> Statement:
    """Return the statement that locks the counters of channels with limits: the second, after
    `lock`."""
    return lock_channels(channel_ids)


def statements(batch: Sequence[AnySettlement]) -> list[Statement]:
    """Return the statements that write a batch of settlements, to be run after the accounts are
    locked.
    """
    resolved = [item for item in batch if type(item) is Settlement]
    statements: list[Statement] = []
    if resolved:
        holds = [
            HoldResolved(
                attempt_id=item.attempt_id,
                posting_id=posting_id,
                organisation_id=item.organisation_id,
                state=item.state,
                charge_nano=item.ending.charge_nano,
                tokens=item.tokens,
                cost_nano=item.ending.cost_beyond_loss(item.loss_nano),
                included_nano=item.included_nano or 0,
                units=item.units,
                own_nano=item.ending.own_nano or 0,
            )
            for item, posting_id in zip(resolved, new_ids(len(resolved)), strict=True)
            if item.state != "kept"
        ]
        records = [_record(item) for item in resolved]
        statements = [resolve_holds(holds)] if holds else []
        if len(holds) < len(resolved):
            kept = [item.attempt_id for item in resolved if item.state == "kept"]
            statements.append(keep_holds(kept))
        statements.append(usage.write_records(records))
        doubted = [
            record
            for record in records
            if record.ending.flags and "quarantine" in record.ending.flags
        ]
        if doubted:
            statements.append(usage.publish_doubted(doubted))
            unknown = [
                record
                for record in doubted
                if record.ending.flags and "unknown_member" in record.ending.flags
            ]
            if unknown:
                statements.append(usage.publish_unknown(unknown))
        lost = [item for item in resolved if item.loss_nano]
        if lost:
            statements += _losses(lost)
    if len(resolved) < len(batch):
        refused = [item for item in batch if type(item) is usage.Refusal]
        first = [item for item in refused if not item.after_attempts]
        if first:
            statements.append(usage.write_refusals(first))
        if len(first) < len(refused):
            statements.append(
                usage.write_last_refusals([item for item in refused if item.after_attempts])
            )
        if refused:
            windows = [item.window_id for item in refused if item.window_id is not None]
            if windows:
                statements.append(note_refused(windows))
        late = [_record(item) for item in batch if type(item) is LateSettlement]
        if late:
            statements.append(usage.learn_late(late))
    if addressed := [item for item in batch if item.ending.address and item.ending.final]:
        statements.append(usage.note_addresses([_address(item) for item in addressed]))
    return statements


def _record(item: Settlement | LateSettlement) -> usage.RecordWritten:
    return usage.RecordWritten(
        organisation_id=item.organisation_id, attempt_id=item.attempt_id, ending=item.ending
    )


def _address(item: AnySettlement) -> usage.AddressNoted:
    id = item.request_id if isinstance(item, usage.Refusal) else item.attempt_id
    return usage.AddressNoted(
        organisation_id=item.organisation_id, record_id=id, address=item.ending.address
    )


def late(batch: Sequence[AnySettlement], rows: Sequence[Row]) -> list[LateSettlement]:
    """Return the settlements of a batch that came too late, by the result of `resolve_holds`.
    Settlements that an earlier try has written are included; the state of the hold tells the two
    apart."""
    done = {row[0] for row in rows}
    return [
        LateSettlement(
            organisation_id=item.organisation_id, attempt_id=item.attempt_id, ending=item.ending
        )
        for item in batch
        if type(item) is Settlement
        and item.ending.basis in _COUNTED
        and str(item.attempt_id) not in done
    ]


def _losses(lost: Sequence[Settlement]) -> list[Statement]:
    losses = [
        Loss(
            attempt_id=item.attempt_id,
            posting_id=posting_id,
            organisation_id=item.organisation_id,
            amount_nano=item.loss_nano,
        )
        for item, posting_id in zip(lost, new_ids(len(lost)), strict=True)
    ]
    organisations = {item.organisation_id for item in lost}
    return [open_accounts(organisations, LOSS_KINDS), post_losses(losses)]
