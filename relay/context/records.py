"""The records of requests that never became an attempt, or that cost nothing."""

import msgspec

from lib.id_types import ModelName
from relay.context.context import RequestContext
from relay.context.recorded_errors import kept_message
from relay.downstream.downstream import ErrorAnswer
from relay.requests.invocation import MODEL_LENGTH_MAX
from relay.requests.outcome import Outcome
from usage.records.sql import Ending, Refusal


def uncharged_outcome(
    context: RequestContext, error: ErrorAnswer, *, basis: str = "none"
) -> Outcome:
    """Return the outcome of a request that costs nothing."""
    total_ms = context.elapsed_ms()
    return Outcome(
        request_id=context.request_id,
        status=error.status,
        kind=error.kind,
        message=error.message,
        finish_reason="",
        meters={},
        charge_nano=0,
        basis=basis,
        hold_nano=0,
        ttft_ms=None,
        total_ms=total_ms,
        budget_id=error.budget_id,
    )


def record_refusal(
    context: RequestContext,
    error: ErrorAnswer,
    model: str,
    *,
    stream: bool,
    window_id: int | None = None,
    after_attempts: bool = False,
) -> Outcome:
    """Write the record of a request that never became an attempt; `window_id` is the budget window
    that refused it. With `after_attempts`, write it unless an attempt is recorded as its end."""
    outcome = uncharged_outcome(context, error)
    ending = Ending(
        final=True,
        status=error.status,
        kind=error.kind,
        message=kept_message(context.principal, error.kind, error.message),
        total_ms=outcome.total_ms,
        flags=context.options.flags
        if context.guarding is None
        else (*context.options.flags, *context.guarding.flags),
        address=context.options.address,
    )
    refusal = _record(context, ending, model, context.invocation.operation, stream=stream)
    context.parts.ledger.settle(
        msgspec.structs.replace(refusal, window_id=window_id, after_attempts=after_attempts)
    )
    return outcome


def record_answer(context: RequestContext, model: str, operation: str) -> None:
    """Write the record of a request that was answered without an attempt and costs nothing.
    `model` may be empty."""
    ending = Ending(
        final=True,
        status=200,
        total_ms=context.elapsed_ms(),
        flags=context.options.flags,
        address=context.options.address,
    )
    context.parts.ledger.settle(_record(context, ending, model, operation, stream=False))


def _record(
    context: RequestContext, ending: Ending, model: str, operation: str, *, stream: bool
) -> Refusal:
    """Return the record of a request without an attempt."""
    principal, session, prompt = context.principal, context.session, context.prompt
    labels = principal.attribution(context.options.labels, context.options.client_app)
    return Refusal(
        organisation_id=principal.organisation_id,
        request_id=context.request_id,
        team_id=principal.team_id,
        key_id=principal.key_id,
        user_id=principal.user_id,
        model=ModelName(model[:MODEL_LENGTH_MAX]),
        dialect=context.invocation.codec.name,
        operation=operation,
        stream=stream,
        source=context.source,
        ending=ending,
        project=labels.project,
        tags=labels.tags,
        customer=labels.customer,
        client_app=labels.client_app,
        end_user=context.options.end_user,
        session_id=None if session is None else session.id,
        session=None if session is None else session.details,
        prompt=None if prompt is None else prompt.name,
        prompt_version=None if prompt is None else prompt.version,
    )
