"""The events of a video, as the stored video changes."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from dialects.media.videos import Video, VideoState
from relay.media import task_answers, task_events

Seen = tuple[VideoState, int]


async def events(monkeypatch: pytest.MonkeyPatch, seen: list[Seen]) -> list[tuple[str, int]]:
    """The event and the progress of each piece that a client receives, while the stored video
    stands as `seen`, one at each look."""
    stands, pieces = iter(seen), list[bytes]()

    async def find(*_: object) -> Any:
        state, progress = next(stands)
        video = Video(
            "video_1", "m", state, progress, 0, None, None, 8, "720x1280", "p", None, None
        )
        return SimpleNamespace(video=video)

    async def begin_bytes(*_: object) -> None:
        pass

    async def write(piece: bytes, *, last: bool) -> None:
        pieces.append(piece)

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(task_answers, "find", find)
    monkeypatch.setattr(task_events, "_LOOK_S", 0.0)
    monkeypatch.setattr(task_events, "_TICK_S", 0.0)
    life = SimpleNamespace(
        parts=SimpleNamespace(states=None), readiness=SimpleNamespace(draining=False)
    )
    request: Any = SimpleNamespace(
        life=life, principal=None, task_id="video_1", receive=receive,
        sink=SimpleNamespace(begin_bytes=begin_bytes, write=write),
    )  # fmt: skip
    await task_events.stream_events(request)
    assert pieces.pop() == b""
    assert next(stands, None) is None
    return [_read(piece) for piece in pieces]


def _read(piece: bytes) -> tuple[str, int]:
    name, data, *_ = piece.decode().splitlines()
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))["progress"]


async def test_each_change_of_state_or_progress_is_an_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Seen] = [
        ("queued", 0), ("queued", 0), ("queued", 5), ("running", 5), ("running", 5),
        ("running", 40), ("running", 41), ("running", 41), ("succeeded", 100),
    ]  # fmt: skip
    assert await events(monkeypatch, seen) == [
        ("video.queued", 0), ("video.queued", 5), ("video.in_progress", 5),
        ("video.in_progress", 40), ("video.in_progress", 41), ("video.completed", 100),
    ]  # fmt: skip


async def test_ended_video_is_one_event(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await events(monkeypatch, [("failed", 30)]) == [("video.failed", 30)]
