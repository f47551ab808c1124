"""Each list of the model API that has pages, walked to its end with each size of page: a client
that asks for more as long as the list says that there is more gets every item once, and stops."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest

from dialects.endpoints.models_list import ListForm, ModelRow, encode
from dialects.media.videos import Video, write_list
from relay.endpoints import stored_responses
from relay.media_tasks import media_tasks

LONGEST: Final = 5
Page = Mapping[str, Any]
Ask = Callable[[int, Mapping[str, str]], Page]


def models(form: ListForm, number: int, query: Mapping[str, str]) -> Page:
    rows = [ModelRow(id=f"m{n}", created=n, owned_by="") for n in range(number)]
    page: Page = json.loads(encode(rows, form, query))
    return page


def input_items(order: str, number: int, query: Mapping[str, str]) -> Page:
    items = [msgspec.Raw(b'{"role":"user","content":"%d"}' % n) for n in range(number)]
    return stored_responses._page_of_items(items, "resp_1", {"order": order, **query})


def videos(ascending: bool, number: int, query: Mapping[str, str]) -> Page:
    """The videos of a database that has so many."""

    async def run(statements: Sequence[tuple[str, Mapping[str, Any]]]) -> list[list[UUID]]:
        ((_, asked),) = statements
        ids = [UUID(int=n + 1) for n in range(number)]
        ids = ids if ascending else ids[::-1]
        later = [id for id in ids if (id > asked["after"]) is ascending and id != asked["after"]]
        return [later[: asked["limit"]]]

    states: Any = SimpleNamespace(run=run)
    principal: Any = SimpleNamespace(team_id=UUID(int=9))
    after = UUID(query["after"]) if query.get("after") else None
    shown, more = asyncio.run(
        media_tasks.page(
            states, principal, after=after, limit=int(query["limit"]), ascending=ascending
        )
    )
    written = write_list([task.video for task in shown], has_more=more)
    page: Page = json.loads(msgspec.json.encode(written))
    return page


async def read_video(_: object, id: UUID) -> Any:
    """In place of a row of the database."""
    fields: Any = {
        **dict.fromkeys(Video._fields), "id": str(id), "state": "queued", "created_at": 0,
    }  # fmt: skip
    return SimpleNamespace(id=id, video=Video(**fields))


def following(name: str, page: Page) -> dict[str, str] | None:
    """The query of the next page, None if this is the last."""
    return {name: page["last_id"]} if page["has_more"] else None


def preceding(page: Page) -> dict[str, str] | None:
    return {"before_id": page["first_id"]} if page["has_more"] else None


def by_token(page: Page) -> dict[str, str] | None:
    return {"pageToken": page["nextPageToken"]} if "nextPageToken" in page else None


LISTS: Final[dict[str, tuple[Ask, str, Callable[[Page], dict[str, str] | None]]]] = {
    "models, openai": (partial(models, "openai"), "limit", partial(following, "after")),
    "models, anthropic": (partial(models, "anthropic"), "limit", partial(following, "after_id")),
    "models, gemini": (partial(models, "gemini"), "pageSize", by_token),
    "input items": (partial(input_items, "desc"), "limit", partial(following, "after")),
    "input items, asc": (partial(input_items, "asc"), "limit", partial(following, "after")),
    "videos": (partial(videos, False), "limit", partial(following, "after")),
    "videos, asc": (partial(videos, True), "limit", partial(following, "after")),
}


def walk(ask: Ask, number: int, query: dict[str, str], step: Any) -> Iterator[list[str]]:
    """The ids of each page."""
    more: dict[str, str] | None = {}
    for _ in range(number + 2):
        if more is None:
            return
        page = ask(number, {**query, **more})
        yield [item.get("id") or item["name"] for item in page.get("data", page.get("models", []))]
        more = step(page)
    pytest.fail("the list has no end")


@pytest.mark.parametrize("name", LISTS)
def test_every_item_is_on_one_page_and_the_last_page_says_so(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_tasks, "_read", read_video)
    ask, size, step = LISTS[name]
    for number in range(LONGEST + 1):
        for limit in range(1, LONGEST + 2):
            pages = [*walk(ask, number, {size: str(limit)}, step)]
            ids = [id for page in pages for id in page]
            assert (len(ids), len(set(ids))) == (number, number)
            # No page is empty but that of an empty list, and all but the last are full.
            assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
            assert pages[-1] or not number


def test_a_list_before_an_id_ends_too() -> None:
    """Anthropic's clients also page backwards; the ids nearest to the given one come first."""
    for limit in range(1, LONGEST + 1):
        more: dict[str, str] | None = {"before_id": f"m{LONGEST - 1}"}
        ids = list[str]()
        for _ in range(LONGEST + 1):
            if more is None:
                break
            page = models("anthropic", LONGEST, {"limit": str(limit), **more})
            ids = [*(item["id"] for item in page["data"]), *ids]
            more = preceding(page)
        assert (ids, more) == ([f"m{n}" for n in range(LONGEST - 1)], None)
