"""Show stored videos in Jimeng's form."""

from extensions.jimeng import dialect as jimeng
from lib.ids import id_text
from relay.front.request import Request
from relay.media.task_answers import content_link, find_task


async def show_jimeng_result(request: Request) -> None:
    """Answer with the video that a body names, in Jimeng's form."""
    task_id = jimeng.read_task(await request.read_body(request.read_headers()))
    task = await find_task(request, task_id)
    url = content_link(request, task_id)
    await request.respond(jimeng.write(task.video, url, id_text(request.sink.request_id)))
