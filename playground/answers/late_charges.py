"""The charges of answers that ended before the books had them: an answer that was stopped while
its upstream was still being read, or whose process died."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from playground.models import Message, Run, RunState
from usage.models import Attempt, UsageRecord
from usage.months.detached import in_detached_months

UNCHARGED: Final[Mapping[str, Any]] = {"charge_nano": 0, "basis": "none"}
"""What ended before its request was sent is in no book."""
_FIELDS: Final = ("meters", "charge_nano", "hold_nano", "basis", "ttft_ms", "total_ms")


def stored_outcome(answer: Message | Run) -> Mapping[str, Any]:
    """Return the outcome that was stored when an answer ended. An imported message brings its
    own."""
    run = answer if isinstance(answer, Run) else answer.run
    parts = {} if isinstance(answer, Run) else answer.parts
    return (run.outcome if run else None) or parts.get("outcome") or {}


def late_charges(
    organisation_id: UUID, answers: Iterable[Message | Run]
) -> dict[UUID, dict[str, Any]]:
    """Return, by request, what the books have about ended answers whose stored outcomes lack the
    charge. Usually there are none; this then sends no query. What was never sent has no charge to
    wait for."""
    unknown = {
        answer.request_id
        for answer in answers
        if answer.request_id
        and answer.state != RunState.RUNNING
        and "basis" not in stored_outcome(answer)
    }
    if not unknown:
        return {}
    booked = booked_outcomes(organisation_id, unknown)
    unsent = unsent_requests(organisation_id, unknown - booked.keys())
    return booked | {request_id: dict(UNCHARGED) for request_id in unsent}


def unsent_requests(organisation_id: UUID, request_ids: Collection[UUID]) -> set[UUID]:
    """Return those requests, of ended answers without a record, that were never sent. An attempt
    is committed before its request leaves, but is in a file once its month is detached."""
    if not request_ids:
        return set()
    attempts = Attempt.objects.filter(organisation_id=organisation_id, request_id__in=request_ids)
    without = {*request_ids} - {*attempts.values_list("request_id", flat=True)}
    return without - in_detached_months(without) if without else without


def booked_outcomes(
    organisation_id: UUID, request_ids: Collection[UUID]
) -> dict[UUID, dict[str, Any]]:
    """Return, by request, what the books have about these requests."""
    records = UsageRecord.objects.filter(
        organisation_id=organisation_id, request_id__in=request_ids, final=True
    )
    return {facts.pop("request_id"): facts for facts in records.values("request_id", *_FIELDS)}
