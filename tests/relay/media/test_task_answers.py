"""Stored videos in the form of each endpoint, without a provider and a database."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dialects.errors.errors import RequestFault
from relay.media import task_answers
from relay.media_tasks import media_tasks
from tests.relay.media.test_task_content import task


class Request:
    """A request, and what it is answered."""

    principal = "principal"
    task_id = "video_1"

    def __init__(self, method: str = "GET", **query: str) -> None:
        self.query, self.scope = query, {"method": method}
        self.answers: list[Any] = []
        self.snapshot = SimpleNamespace(now=lambda: 1_000.0)
        config = SimpleNamespace(public_url="https://hub.example", pepper="pepper")
        self.life = SimpleNamespace(parts=SimpleNamespace(states="states"), config=config)

    async def respond(self, raw: Any) -> None:
        self.answers.append(raw)


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """One video, and what is asked of the store."""
    one = SimpleNamespace(task=task(detail={}, result={}), asked=[], more=True, forgets=True)

    async def find(states: Any, principal: Any, ids: Any, kind: str = "video") -> Any:
        assert (states, principal) == ("states", "principal")
        return {"video_1": one.task} if "video_1" in ids else {}

    async def page(states: Any, principal: Any, **asked: Any) -> Any:
        one.asked.append(asked)
        return [one.task], one.more

    async def forget(states: Any, principal: Any, gone: Any) -> bool:
        one.asked.append(gone)
        return bool(one.forgets)

    for name, work in (("find", find), ("page", page), ("forget", forget)):
        monkeypatch.setattr(media_tasks, name, work)
    return one


async def answered(work: Any, request: Request) -> Any:
    await work(cast(Any, request))
    (answer,) = request.answers
    return answer


@pytest.mark.parametrize(
    ("query", "limit", "ascending"),
    [({}, 20, False), ({"limit": "100", "order": "asc"}, 100, True), ({"order": "desc"}, 20, False),
     ({"limit": "1"}, 1, False)],
)  # fmt: skip
async def test_page_of_videos_is_the_one_that_is_asked_for(
    stored: Any, query: dict[str, str], limit: int, ascending: bool
) -> None:
    answer = await answered(task_answers.list_videos, Request(**query))
    assert stored.asked == [{"after": None, "limit": limit, "ascending": ascending}]
    assert [video["id"] for video in answer["data"]] == ["video_1"]
    assert answer["has_more"] is True
    stored.asked.clear()
    await answered(task_answers.list_videos, Request(after="video_1"))
    assert stored.asked[0]["after"] == stored.task.id


@pytest.mark.parametrize(
    ("query", "param"),
    [({"limit": "0"}, "limit"), ({"limit": "101"}, "limit"), ({"limit": "²"}, "limit"),
     ({"limit": "x"}, "limit"), ({"limit": "9" * 5_000}, "limit"), ({"order": "up"}, "order"),
     ({"after": "gone"}, "video_id")],
)  # fmt: skip
async def test_page_that_does_not_exist_is_refused(
    stored: Any, query: dict[str, str], param: str
) -> None:
    with pytest.raises(RequestFault) as refused:
        await task_answers.list_videos(cast(Any, Request(**query)))
    assert refused.value.param == param


async def test_video_is_shown_or_deleted(stored: Any) -> None:
    shown = await answered(task_answers.show_video, Request())
    assert (shown["id"], shown["object"], stored.asked) == ("video_1", "video", [])
    deleted = await answered(task_answers.show_video, Request("DELETE"))
    assert (deleted["id"], deleted["deleted"], stored.asked) == ("video_1", True, [stored.task])
    stored.forgets = False
    with pytest.raises(RequestFault) as running:
        await task_answers.show_video(cast(Any, Request("DELETE")))
    assert (running.value.kind, running.value.param) == ("conflict", "video_id")


async def test_other_forms_have_a_link_to_the_bytes(stored: Any) -> None:
    generation = await answered(task_answers.show_generation, Request())
    assert "https://hub.example/v1/videos/video_1/content?" in json.dumps(generation)
    veo = await answered(task_answers.show_veo_operation, Request())
    link = "https://hub.example/v1beta/files/"
    assert link in json.dumps(veo)
    assert ":download?alt=media" in json.dumps(veo)


async def test_task_by_its_link_is_of_the_kind_of_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    async def find_any(states: Any, id: str, kind: str) -> Any:
        asked.append((id, kind))
        return "task" if id == "video_1" else None

    monkeypatch.setattr(media_tasks, "find_any", find_any)
    assert await task_answers.find_linked(cast(Any, None), "video_1") == cast(Any, "task")
    with pytest.raises(RequestFault) as missing:
        await task_answers.find_linked(cast(Any, None), "gone")
    assert (missing.value.kind, missing.value.param) == ("task_not_found", "video_id")
    assert asked == [("video_1", "video"), ("gone", "video")]
