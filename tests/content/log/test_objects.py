"""Sealed texts in a folder and in S3: written, read by ranges, and dropped in time (P31)."""

import asyncio
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from content.log.objects import Place, StoreAway, drop_texts, get_texts, put_texts
from lib.ids import new_id
from lib.network.object_store import open_store
from tests.fakes.s3 import FakeS3, fake_s3

AT = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@pytest.fixture(scope="module")
def s3() -> Iterator[FakeS3]:
    with fake_s3() as fake:
        yield fake


@pytest.fixture
def on_s3(s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> Any:
    s3.objects.clear()
    s3.requests.clear()
    for name, value in {
        "AWS_ENDPOINT_URL": s3.url, "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "weir", "AWS_SECRET_ACCESS_KEY": "secret",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return open_store("s3://bucket/installation")


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "folder":
        return open_store((tmp_path / "store").as_uri())
    return request.getfixturevalue("on_s3")


def put(store: Any, drop_at: dt.datetime, *texts: bytes) -> list[Place]:
    return asyncio.run(put_texts(store, drop_at, new_id(), texts))


def get(store: Any, *places: tuple[dt.datetime, Place]) -> dict[Place, bytes]:
    return asyncio.run(get_texts(store, places))


def test_each_text_is_read_at_its_place(store: Any) -> None:
    first, second, third = put(store, AT, b"one", b"twenty", b"three" * 99)
    (other,) = put(store, AT + HOUR, b"other")
    lost = Place(new_id(), 0, 3)
    wanted = [(AT, third), (AT + HOUR, other), (AT, first), (AT, lost)]
    assert get(store, *wanted) == {third: b"three" * 99, other: b"other", first: b"one"}
    assert get(store, (AT, second)) == {second: b"twenty"}


@pytest.mark.parametrize("size", [0, 2, 3, 4, 8, 9])
def test_damaged_object_loses_what_is_cut_off_alone(store: Any, size: int) -> None:
    """It was written by halves, or restored so."""
    first, second, third = put(store, AT, b"one", b"twenty", b"three")
    (other,) = put(store, AT, b"other")
    asyncio.run(store.put_async(f"content/2026-11-30T00/{first.object_id}", b"onetwenty"[:size]))
    still = {other: b"other"} | ({first: b"one"} if size >= 3 else {})
    assert get(store, (AT, first), (AT, other)) == still
    still |= {second: b"twenty"} if size >= 9 else {}
    assert get(store, *((AT, place) for place in (first, second, third, other))) == still


def test_objects_are_deleted_when_their_time_is_over(store: Any) -> None:
    (old,), (now,) = put(store, AT - 30 * HOUR, b"old"), put(store, AT, b"now")
    (later,) = put(store, AT + HOUR, b"later")
    drop_texts(store, AT - HOUR)
    assert get(store, (AT - 30 * HOUR, old), (AT, now)) == {now: b"now"}
    for _ in range(2):
        drop_texts(store, AT)
        assert get(store, (AT, now), (AT + HOUR, later)) == {later: b"later"}


def test_store_without_anything_is_away(store: Any) -> None:
    """A folder that is not mounted looks like that."""
    with pytest.raises(StoreAway, match="it is empty"):
        get(store, (AT, Place(new_id(), 0, 1)))


def test_silent_store_is_away_after_the_time_that_it_has() -> None:
    class Silent:
        async def wait(self, *_: Any, **__: Any) -> None:
            await asyncio.Event().wait()

        get_ranges_async = put_async = wait

    silent: Any = Silent()
    with pytest.raises(StoreAway, match="no answer in time"):
        asyncio.run(get_texts(silent, [(AT, Place(new_id(), 0, 1))], 0.01))
    with pytest.raises(StoreAway, match="no answer in time"):
        asyncio.run(put_texts(silent, AT, new_id(), [b"one"], 0.01))


def test_store_that_refuses_says_why(
    s3: FakeS3, on_s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place,) = put(on_s3, AT, b"one")
    monkeypatch.setattr(s3, "refuses", True)
    for act in (
        lambda: put(on_s3, AT, b"two"), lambda: get(on_s3, (AT, place)),
        lambda: drop_texts(on_s3, AT),
    ):  # fmt: skip
        with pytest.raises(StoreAway) as refused:
            act()
        assert "\n" not in str(refused.value)
    monkeypatch.setattr(s3, "refuses", False)
    assert get(on_s3, (AT, place)) == {place: b"one"}


def test_texts_near_each_other_are_one_request(s3: FakeS3, on_s3: Any) -> None:
    places = put(on_s3, AT, *(b"text" for _ in range(100)))
    s3.requests.clear()
    assert len(get(on_s3, *((AT, place) for place in places))) == 100
    assert len(s3.requests) == 1
