"""Creates a media task, with the hold of its attempt, when a provider has accepted it."""

from typing import Final

from relay.context.context import RequestContext
from relay.holds.admitted_attempt import AdmittedAttempt
from relay.media_tasks import media_tasks
from relay.media_tasks.media_tasks import NewTask, TaskContent, TaskHook
from relay.media_tasks.video_order import AcceptedTask, AcceptedVideo
from relay.requests.invocation import MODEL_LENGTH_MAX

_PATIENCE_S: Final = 60.0


async def intend_video(
    context: RequestContext, admitted: AdmittedAttempt, accepted: AcceptedVideo, key: int
) -> None:
    """Store the task of a video under our id before the provider is asked for the video. If this
    process dies, the provider can then be asked whether it accepted the order. Raises
    DatabaseFailed."""
    # Poll first when the response to the order must have arrived.
    first_poll_s = admitted.first_content_s + _PATIENCE_S
    task = _task(context, admitted, accepted, accepted.own_id, key, first_poll_s)
    await media_tasks.begin(context.parts.states, task)


async def begin_task(
    context: RequestContext,
    admitted: AdmittedAttempt,
    accepted: AcceptedTask,
    upstream_id: str,
    key: int,
) -> int:
    """Store the task; return its time of creation (Unix seconds). `key` is the position of the
    channel's key that the task was ordered with. Raises DatabaseAway, also if the hold is gone, and
    DatabaseRefused."""
    states = context.parts.states
    task = _task(context, admitted, accepted, upstream_id, key, accepted.form.poll.min_s)
    if isinstance(accepted, AcceptedVideo) and accepted.form.external:
        return await media_tasks.confirm(states, task)
    return await media_tasks.begin(states, task)


def _task(
    context: RequestContext,
    admitted: AdmittedAttempt,
    accepted: AcceptedTask,
    upstream_id: str,
    key: int,
    first_poll_s: float,
) -> NewTask:
    principal, channel, ordered = context.principal, admitted.channel, accepted.ordered
    kept = principal.retention_hours > 0
    return NewTask(
        id=admitted.hold.attempt_id,
        public_id=accepted.public_id,
        organisation_id=principal.organisation_id,
        team_id=principal.team_id,
        request_id=context.request_id,
        operation=context.invocation.operation,
        model=ordered.model[:MODEL_LENGTH_MAX],
        form=accepted.form.operation,
        channel_id=channel.uuid,
        channel_key_id=channel.key_ids[key] if channel.key_ids else None,
        own_key=channel.own is not None,
        upstream_id=upstream_id,
        seconds=ordered.seconds,
        size=ordered.size,
        remixed_from=ordered.source_id,
        first_poll_s=first_poll_s,
        callback_token=accepted.callback_token if isinstance(accepted, AcceptedVideo) else "",
        content=TaskContent(ordered.prompt, detail=ordered.detail) if kept else None,
        hook=TaskHook(ordered.hook, ordered.hook_secret, str(principal.key_id))
        if ordered.hook
        else None,
    )
