"""P31: what the process that writes the content log makes of entries, statement by statement."""

import asyncio
import datetime as dt
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from content.data_keys.sealing import open_sealed, place_of_entry, place_of_key
from content.log import sql
from content.log.kept import Kept, unpack
from lib.ids import new_id
from lib.vault import Vault
from relay.content_log import entry_writer
from relay.content_log.entry import Caller, Ended, NewEntry, Submitted
from relay.content_log.entry_writer import EntryWriter
from relay.database.database import bytes_of
from relay.errors import DatabaseAway, DatabaseRefused

ORGANISATION, TEAM, KEY, SESSION = (UUID(int=number) for number in range(1, 5))
VAULT = Vault(os.environ["WEIR_KEK"])
CREATED_AT = dt.datetime(2026, 11, 29, 22, 30, tzinfo=dt.UTC)
AWAY, REFUSED = DatabaseAway("away"), DatabaseRefused("22000", "refused")


class Database:
    """The content log's tables. `failures` are what the next calls fail with, None for nothing;
    statements about a model `bad` are always refused, and person 404 has left."""

    def __init__(self, *failures: Exception | None) -> None:
        self.failures = list(failures)
        self.statements: list[str] = []
        self.entries: list[Mapping[str, Any]] = []
        self.data_keys: dict[str, tuple[str, str]] = {}
        self.calls: list[str] = []

    async def open(self) -> None:
        self.calls.append("open")

    async def close(self) -> None:
        self.calls.append("close")

    async def run(self, statements: Sequence[sql.Statement]) -> list[list[tuple[str, str]]]:
        if self.failures and (failure := self.failures.pop(0)) is not None:
            raise failure
        if any(row.get("model") == "bad" for _, row in statements):
            raise REFUSED
        return [self._execute(*statement) for statement in statements]

    def _execute(self, text: str, row: Mapping[str, Any]) -> list[tuple[str, str]]:
        if text == sql._ADD_ENTRY:
            self.statements.append(f"entry {row['model']}")
            self.entries.append(row)
        elif text == sql._MAKE_PARTITION:
            self.statements.append(f"partition {row['drop_at']}")
        elif text == sql._CREATE_KEY:
            self.statements.append(f"key of {row['owner']}")
            if row["user"] != 404:
                self.data_keys.setdefault(row["owner"], (str(row["id"]), row["sealed"]))
        else:
            assert text == sql._READ_KEY
            return [self.data_keys[row["owner"]]] if row["owner"] in self.data_keys else []
        return []

    def opened(self, row: Mapping[str, Any], sealed: bytes = b"") -> Kept:
        """What an entry contains."""
        (key,) = [key for key in self.data_keys.values() if key[0] == str(row["data_key"])]
        opened = VAULT.open_bytes(bytes_of(key[1]), place_of_key(UUID(key[0])))
        place = place_of_entry(row["organisation"], row["request"])
        return unpack(open_sealed(AESGCM(opened), sealed or bytes_of(row["sealed"]), place))


class Store:
    """An object store, which fails so often."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.objects: dict[str, bytes] = {}

    async def put_async(self, name: str, content: bytes, *, use_multipart: bool) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("no answer")
        self.objects[name] = content


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_AGAIN_S", "_OBJECT_AFTER_S"):
        monkeypatch.setattr(entry_writer, name, 0.0)


def entry(model: str = "m", user: int | None = 7, **over: Any) -> NewEntry:
    caller = Caller(ORGANISATION, TEAM, KEY, user)
    kept = Kept(b'{"input":"hello"}', b'{"output":"there"}', "application/json")
    plain = NewEntry(
        new_id(), caller, SESSION, model, "responses", "responses", 207,
        CREATED_AT.timestamp(), 1, 24, (), {}, kept,
    )  # fmt: skip
    return msgspec.structs.replace(plain, **over)


async def write(
    database: Database,
    *entries: NewEntry | Submitted,
    store: Store | None = None,
    stopped: bool = True,
) -> list[Ended]:
    """Write entries, and return what is reported of them."""
    reports: list[Ended] = []

    def report(over: Ended) -> None:
        reports.append(over)
        if sum(one.entries for one in reports) == len(entries):
            writer.stop()

    writer = EntryWriter(
        cast(Any, database),
        VAULT,
        report,
        cast(Any, store),
        lambda kept, dialect, model: {dialect: model, "answer": kept.answer.decode()},
    )
    for one in entries:
        writer.add(one if isinstance(one, Submitted) else Submitted(one))
    if stopped:
        writer.stop()
    await writer.run()
    assert not writer._waiting
    assert writer._bytes == 0
    return reports


async def test_entry_has_its_columns_and_its_texts_are_sealed() -> None:
    database, one = Database(), entry()
    assert await write(database, one) == [Ended(1, 0, {})]
    assert database.calls == ["open", "close"]
    (row,) = database.entries
    assert database.opened(row) == one.kept
    assert {name: row[name] for name in row if name not in ("sealed", "data_key")} == {
        "drop_at": "2026-11-30T23:00:00+00:00", "request": one.request_id,
        "created_at": CREATED_AT.isoformat(),
        "expires_at": (CREATED_AT + dt.timedelta(hours=24)).isoformat(),
        "organisation": ORGANISATION, "team": TEAM, "key": KEY, "user": 7, "session": SESSION,
        "model": "m", "dialect": "responses", "operation": "responses", "status": 207,
        "bytes": len(one.kept.request) + len(one.kept.answer),
        "object": None, "offset": None, "length": None,
    }  # fmt: skip
    # A key without a person has its own data key; no session is the empty text.
    await write(database, entry(user=None, session_id=None))
    assert database.entries[1]["user"] == database.entries[1]["session"] == ""
    assert [*database.data_keys] == ["user:7", f"key:{KEY}"]


async def test_partitions_and_data_keys_are_asked_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(entry_writer, "_BATCH_MAX", 2)
    database = Database()
    others = entry("d", user=8), entry("e", epoch=2), entry("f", epoch=2)
    entries = entry("a"), entry("b"), entry("c", retention_hours=72), *others
    assert await write(database, *entries) == [Ended(2, 0, {})] * 3
    assert database.statements == [
        "key of user:7", "partition 2026-11-30T23:00:00+00:00", "entry a", "entry b",
        "key of user:8", "partition 2026-12-03T00:00:00+00:00", "entry c", "entry d",
        # After an erasure, the data keys may be others.
        "key of user:7", "entry e", "entry f",
    ]  # fmt: skip
    monkeypatch.setattr(entry_writer, "_DATA_KEYS_MAX", 1)
    database = Database()
    await write(database, entry(user=1), entry(user=2), entry(user=2), entry(user=1))
    keys = [line for line in database.statements if line.startswith("key")]
    assert keys == ["key of user:1", "key of user:2", "key of user:1"]


async def test_batch_ends_at_its_number_and_at_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [one.entries for one in await write(Database(), *[entry()] * 33)] == [32, 1]
    monkeypatch.setattr(entry_writer, "_BATCH_BYTES_MAX", 2 * entry().size)
    assert [one.entries for one in await write(Database(), *[entry()] * 5)] == [2, 2, 1]


async def test_refused_or_unreadable_entry_affects_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    redacted = entry_writer._redacted

    def fail(one: NewEntry) -> NewEntry:
        if one.model == "odd":
            raise ValueError("a private text")
        return redacted(one)

    monkeypatch.setattr(entry_writer, "_redacted", fail)
    deep = Kept(b"[" * 100_000, b"{}", "application/json")
    database, broken = Database(), entry("broken", kept=deep)
    reports = await write(database, entry("a"), entry("bad"), entry("odd"), broken, entry("b"))
    # One text of `broken` is left out; the rest of it is kept.
    assert reports == [Ended(5, 3, {})]
    assert [row["model"] for row in database.entries] == ["a", "broken", "b"]
    assert database.opened(database.entries[1]).left_out == ("request",)
    assert [record.getMessage() for record in caplog.records] == [
        "1 requests are missing from the content log: ValueError",
        f"1 requests are missing from the content log: {REFUSED}",
    ]


async def test_entry_of_a_person_who_left_is_not_written() -> None:
    database = Database()
    assert await write(database, entry(user=404), entry("b")) == [Ended(2, 0, {})]
    assert [row["model"] for row in database.entries] == ["b"]


async def test_data_key_that_does_not_open_drops_the_entry() -> None:
    database = Database()
    database.data_keys["user:7"] = (str(new_id()), "\\x00")
    assert await write(database, entry("a"), entry("b", user=8)) == [Ended(2, 1, {})]
    assert [row["model"] for row in database.entries] == ["b"]


async def test_entries_wait_for_a_database_that_is_away() -> None:
    # At the data key, at the entry, and once more.
    database = Database(AWAY, None, AWAY, AWAY)
    assert await write(database, entry("a"), entry("b"), stopped=False) == [Ended(2, 0, {})]
    assert database.statements[-2:] == ["entry a", "entry b"]


async def test_stopping_writer_counts_what_it_cannot_write(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(entry_writer, "_BATCH_MAX", 2)
    database = Database(AWAY)
    assert await write(database, *[entry()] * 5) == [Ended(5, 5, {})]
    assert (database.statements, database.calls) == ([], ["open", "close"])
    assert caplog.messages == ["5 requests are missing from the content log: away"]


async def test_span_has_the_content_of_an_entry_that_is_written() -> None:
    database = Database()
    wanted, plain, bad = entry("a"), entry("b"), entry("bad")
    submitted = Submitted(wanted, described=True), Submitted(plain), Submitted(bad, described=True)
    content = {"responses": "a", "answer": '{"output":"there"}'}
    assert await write(database, *submitted) == [Ended(3, 1, {wanted.request_id: content})]


async def test_store_has_the_texts_and_the_entries_say_where(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Those that are dropped at one time are in one object."""
    database, store = Database(), Store(failures=2)
    caplog.set_level(logging.WARNING)
    entries = entry("a"), entry("b", retention_hours=72), entry("c")
    assert await write(database, *entries, store=store, stopped=False) == [Ended(3, 0, {})]
    assert [row["sealed"] for row in database.entries] == [None] * 3
    assert len({row["object"] for row in database.entries}) == 1
    folders = [name.split("/")[1] for name in store.objects]
    assert folders == ["2026-11-30T23", "2026-12-03T00"]
    for row, one in zip(database.entries, entries, strict=True):
        folder = dt.datetime.fromisoformat(row["drop_at"]).strftime("%Y-%m-%dT%H")
        content = store.objects[f"content/{folder}/{row['object']}"]
        sealed = content[row["offset"] :][: row["length"]]
        assert database.opened(row, sealed) == one.kept
    # It is logged once, however often it fails.
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("the store of the content log cannot be written: ")


async def test_writer_with_a_store_waits_for_more_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """For an object is worth as much as many entries; not if it has a batch, or stops."""
    waits: list[float] = []

    async def pause(self: EntryWriter, seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(EntryWriter, "_pause", pause)
    monkeypatch.setattr(entry_writer, "_OBJECT_AFTER_S", 9.0)
    monkeypatch.setattr(entry_writer, "_OBJECT_ENTRIES_MAX", 2)
    await write(Database(), *[entry()] * 3, store=Store(), stopped=False)
    assert waits == [9.0]
    monkeypatch.setattr(entry_writer, "_OBJECT_BYTES_MAX", entry().size)
    await write(Database(), entry(), store=Store(), stopped=False)
    assert waits == [9.0]
    await write(Database(), entry(), stopped=False)
    assert waits == [9.0]


async def test_pause_ends_when_the_writer_stops() -> None:
    writer = EntryWriter(cast(Any, Database()), VAULT, lambda over: None)
    pause = asyncio.create_task(writer._pause(3600.0))
    await asyncio.sleep(0)
    assert not pause.done()
    writer.stop()
    await asyncio.wait_for(pause, 60)
