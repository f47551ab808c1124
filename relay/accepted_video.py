"""What a provider has accepted becomes a media task, with the hold of its attempt."""

from relay import media_tasks
from relay.admitted_attempt import AdmittedAttempt
from relay.media_tasks import NewTask, TaskContent
from relay.request_context import MODEL_LENGTH_MAX, RequestContext
from relay.video_order import AcceptedTask


async def begin_task(
    context: RequestContext,
    admitted: AdmittedAttempt,
    accepted: AcceptedTask,
    upstream_id: str,
    key: int,
) -> int:
    """Write its task; when it was made (Unix seconds). `key` is the place of the channel's key that
    it was accepted for. Raises DatabaseAway, also where its hold is no more, and DatabaseRefused.
    """
    principal, channel, ordered = context.principal, admitted.channel, accepted.ordered
    kept = principal.retention_hours > 0
    task = NewTask(
        admitted.hold.attempt_id,
        accepted.public_id,
        principal.organisation_id,
        principal.team_id,
        context.request_id,
        context.invocation.operation,
        ordered.model[:MODEL_LENGTH_MAX],
        accepted.form.operation,
        channel.uuid,
        channel.key_endings[key] if channel.key_endings else "",
        upstream_id,
        ordered.seconds,
        ordered.size,
        ordered.source_id,
        accepted.form.poll.min_s,
        TaskContent(ordered.prompt, detail=ordered.detail) if kept else None,
    )
    return await media_tasks.begin(context.parts.states, task)
