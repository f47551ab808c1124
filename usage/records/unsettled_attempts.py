"""Attempts whose process died: resolves their holds and ends their requests."""

from django.db import transaction

from billing.holds import unsettled_holds
from billing.holds.unsettled_holds import Expired
from usage.records.records import Cut, crash_cut, write_crash_cut

_BATCH = 500


def resolve_due() -> int:
    """Resolve every hold that no process will settle, by its last high-water mark (I24). Return how
    many."""
    swept = 0
    while True:
        with transaction.atomic():
            due = unsettled_holds.due_holds(_BATCH)
            cuts = [
                Cut(
                    attempt_id=hold.attempt_id,
                    organisation_id=hold.organisation_id,
                    hold_nano=hold.amount_nano,
                    own_nano=hold.own_nano,
                    mark=hold.mark,
                    units=hold.units,
                )
                for hold in due
            ]
            ends = crash_cut(cuts)
            resolved = unsettled_holds.expire(
                [
                    Expired(
                        hold=hold,
                        charge_nano=end.ending.charge_nano,
                        cost_nano=end.ending.cost_beyond_loss(end.loss_nano),
                        loss_nano=end.loss_nano,
                        paid=end.paid,
                        own_nano=end.ending.own_nano or 0,
                    )
                    for hold, end in zip(due, ends, strict=True)
                ]
            )
            write_crash_cut(
                (cut, end.ending)
                for cut, end in zip(cuts, ends, strict=True)
                if cut.attempt_id in resolved
            )
        swept += len(resolved)
        if len(due) < _BATCH:
            return swept
