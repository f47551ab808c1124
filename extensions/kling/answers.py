"""Show stored videos in Kling's form."""

from extensions.kling import dialect as kling
from lib.ids import id_text
from relay.front.request import Request
from relay.media.task_answers import content_link, find_task


async def show_kling_video(request: Request) -> None:
    """Answer with a video in Kling's form."""
    task = await find_task(request, request.task_id)
    succeeded = task.video.state == "succeeded"
    url = content_link(request, request.task_id) if succeeded else ""
    await request.respond(kling.write(task.video, url, id_text(request.sink.request_id)))
