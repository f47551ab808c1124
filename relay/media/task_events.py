"""The progress of a video as events (text/event-stream): the video at once, then at each change,
until its end.

    event: video.in_progress
    data: {"id": "video_…", "status": "in_progress", "progress": 42, …}

The events show the stored video, like the endpoint for it; no provider is asked. A connection ends
after ten minutes, and when the server stops; clients of event streams reconnect by themselves.
"""

import asyncio
from typing import Final

import msgspec

from dialects.codec import EVENT_STREAM
from dialects.media import videos
from lib.process.asgi import Receive
from relay.downstream.http_sink import HttpSink
from relay.errors import DatabaseFailed
from relay.front.request import Request
from relay.media import task_answers
from relay.media_tasks.media_tasks import Task

_LOOK_S: Final = 2.0
_TICK_S: Final = 0.5
_QUIET_S: Final = 15.0
_TOTAL_S: Final = 600.0
_FIELDS: Final = (
    (b"content-type", EVENT_STREAM.encode()),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


async def stream_events(request: Request) -> None:
    """Answer with the events of a video. Errors are raised only before the first event."""
    states, principal = request.life.parts.states, request.principal
    task_id, sink = request.task_id, request.sink
    task = await task_answers.find(states, principal, task_id)
    await sink.begin_bytes(200, _FIELDS)
    gone = asyncio.create_task(_wait_for_disconnect(request.receive))
    try:
        await _event_frame(sink, task)
        loop = asyncio.get_running_loop()
        began = looked = spoke = loop.time()
        while task.video.state in ("queued", "running") and loop.time() - began < _TOTAL_S:
            await asyncio.wait((gone,), timeout=_TICK_S)
            if gone.done() or request.life.readiness.draining:
                break
            now = loop.time()
            if now - looked < _LOOK_S:
                continue
            looked = now
            try:
                seen = await task_answers.find(states, principal, task_id)
            except DatabaseFailed:
                break
            if (seen.video.state, seen.video.progress) != (task.video.state, task.video.progress):
                task, spoke = seen, now
                await _event_frame(sink, task)
            elif now - spoke >= _QUIET_S:
                spoke = now
                await sink.write(b": still there\n\n", last=False)
        if not gone.done():
            await sink.write(b"", last=True)
    finally:
        gone.cancel()


async def _event_frame(sink: HttpSink, task: Task) -> None:
    document = videos.write(task.video)
    name = f"event: video.{document['status']}\ndata: ".encode()
    await sink.write(name + msgspec.json.encode(document) + b"\n\n", last=False)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
