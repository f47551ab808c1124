"""Rounds of several batches, without a ClickHouse: what stands in for it keeps what it is sent."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pytest

from accounts.models import Key
from extensions.clickhouse import sending
from extensions.clickhouse.backlog import backlog
from extensions.clickhouse.client import ClickHouseError
from extensions.clickhouse.sending import complete, rebuild, send
from extensions.clickhouse.server import MARKS, RECORDS
from tests.support import cast
from tests.usage.rows import credit, happen

pytestmark = pytest.mark.django_db(transaction=True)


class _Memory:
    """The ids of the records of each batch, and the marks. It takes no batch after the first `room`
    of them."""

    def __init__(self) -> None:
        self.batches = list[list[str]]()
        self.room = 100
        self._marks = list[tuple[str, int]]()

    def run(self, text: str) -> None:
        if text.startswith("TRUNCATE"):
            self.batches, self._marks = [], []

    def rows(self, text: str, parameters: Mapping[str, Any]) -> list[list[int]]:
        return [[batch] for fill, batch in self._marks if fill == str(parameters["fill"])]

    def insert(self, table: str, columns: Iterable[str], rows: bytes) -> None:
        lines = [dict(zip(columns, msgspec.json.decode(line), strict=True))
                 for line in rows.splitlines()]  # fmt: skip
        if table == MARKS:
            self._marks += [(line["fill"], line["batch"]) for line in lines]
            return
        assert table == RECORDS
        if len(self.batches) == self.room:
            raise ClickHouseError("full")
        self.batches.append([line["id"] for line in lines])

    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.batches]


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> _Memory:
    memory = _Memory()
    monkeypatch.setattr(sending, "server", lambda: memory)
    monkeypatch.setattr(sending, "BATCH", 2)
    return memory


@pytest.fixture
def key(transactional_db: None) -> Key:
    people = cast.assemble()
    created, _ = cast.make_key(people.core, "web-prod", user=people.bob)
    credit(created)
    return created


def test_sending_goes_on_until_all_waiting_records_are_there(there: _Memory, key: Key) -> None:
    """In the first fill and in later rounds, whether or not the last batch is full."""
    ids = [str(happen(key).id) for _ in range(3)]
    assert send() == 3
    assert there.sizes() == [2, 1]
    ids += [str(happen(key).id) for _ in range(4)]
    assert send() == 4
    assert there.sizes()[:4] == [2, 1, 2, 2]
    assert (send(), backlog().waiting) == (0, 0)
    assert sorted(id for batch in there.batches for id in batch) == sorted(ids)
    assert rebuild() == 7
    assert there.sizes() == [2, 2, 2, 1]


def test_round_that_fails_half_way_is_not_complete_and_is_continued(
    there: _Memory, key: Key
) -> None:
    there.room = 1
    for _ in range(4):
        happen(key)
    with pytest.raises(ClickHouseError):
        send()
    assert (backlog().waiting, backlog().error, complete()) == (2, "full", None)
    there.room = 100
    assert send() == 2
    assert there.sizes() == [2, 2]
    assert (backlog().waiting, backlog().error) == (0, "")
    assert complete() is not None
