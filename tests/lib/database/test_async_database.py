"""Work in the database from asynchronous code."""

import threading

import pytest

from lib.database import async_database


@pytest.mark.parametrize("fails", [False, True])
async def test_connection_returns_after_the_work(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    done: list[tuple[str, int]] = []

    def close() -> None:
        done.append(("close", threading.get_ident()))

    def work(one: int, *, two: int) -> int:
        done.append(("work", threading.get_ident()))
        return one // two

    monkeypatch.setattr(async_database, "close_old_connections", close)
    if fails:
        with pytest.raises(ZeroDivisionError):
            await async_database.run_in_database(work, 6, two=0)
    else:
        assert await async_database.run_in_database(work, 6, two=2) == 3
    (first, thread), (last, other) = done
    assert (first, last) == ("work", "close")
    assert thread == other != threading.get_ident()
