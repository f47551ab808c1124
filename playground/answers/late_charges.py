"""The charges of answers that ended before the books had them: an answer that was stopped while
its upstream was still being read, or whose process died."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from playground.models import Message, Run, RunState
from usage.models import UsageRecord

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
    charge. Usually there are none; this then sends no query."""
    unknown = {
        answer.request_id
        for answer in answers
        if answer.request_id
        and answer.state != RunState.RUNNING
        and "basis" not in stored_outcome(answer)
    }
    return booked_outcomes(organisation_id, unknown) if unknown else {}


def booked_outcomes(
    organisation_id: UUID, request_ids: Collection[UUID]
) -> dict[UUID, dict[str, Any]]:
    """Return, by request, what the books have about these requests."""
    records = UsageRecord.objects.filter(
        organisation_id=organisation_id, request_id__in=request_ids, final=True
    )
    return {facts.pop("request_id"): facts for facts in records.values("request_id", *_FIELDS)}
