"""A video that a provider has accepted becomes a media task, with the hold of its attempt."""

from dialects.videos import Video
from relay import media_tasks
from relay.admitted_attempt import AdmittedAttempt
from relay.media_tasks import NewTask
from relay.request_context import MODEL_LENGTH_MAX, RequestContext
from relay.video_order import AcceptedVideo


async def begin_video(
    context: RequestContext,
    admitted: AdmittedAttempt,
    accepted: AcceptedVideo,
    upstream_id: str,
    key: int,
) -> Video:
    """Write its task; `key` is the place of the channel's key that it was accepted for. Raises
    DatabaseAway, also where its hold is no more, and DatabaseRefused."""
    principal, channel, request = context.principal, admitted.channel, accepted.request
    kept = principal.retention_hours > 0
    task = NewTask(
        admitted.hold.attempt_id,
        accepted.public_id,
        principal.organisation_id,
        principal.team_id,
        context.request_id,
        context.invocation.operation,
        request.model[:MODEL_LENGTH_MAX],
        accepted.form.operation,
        channel.uuid,
        channel.key_endings[key] if channel.key_endings else "",
        upstream_id,
        request.seconds,
        request.size,
        accepted.remixed_from,
        accepted.form.poll.min_s,
        request.prompt if kept else None,
    )
    created_at = await media_tasks.begin(context.parts.states, task)
    return Video(
        accepted.public_id, request.model, "queued", 0, created_at, None, None, request.seconds,
        request.size, request.prompt, accepted.remixed_from or None, None,
    )  # fmt: skip
