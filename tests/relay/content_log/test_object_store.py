"""P31: with an object store, the sealed texts are there, and a request never waits for it."""

import datetime as dt
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import obstore
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from content.data_keys.sealing import open_sealed, place_of_entry, place_of_key
from content.log.kept import Kept, unpack
from content.log.objects import drop_texts
from lib.ids import parse_id
from lib.network.object_store import open_store
from lib.vault import Vault
from tests.fakes.upstream import FakeUpstream
from tests.relay.content_log.test_content_log import add_rule, asked, entries, where
from tests.relay.content_log.test_writer_process import command_line, writer_of
from tests.support.hub import Answer, Hub, Tenant, running_hub


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store") / "texts"


@pytest.fixture(scope="module")
def hub(folder: Path) -> Iterator[Hub]:
    with running_hub({"CONTENT_STORE": folder.as_uri()}) as hub:
        yield hub


@pytest.fixture
def model(hub: Hub, fake: FakeUpstream) -> str:
    return hub.model(fake)


def objects(folder: Path) -> dict[str, bytes]:
    """The objects of the store."""
    store = open_store(folder.as_uri())
    paths = [one["path"] for part in store.list() for one in part]
    return {path: bytes(obstore.get(store, path).bytes()) for path in paths}


def row_of(hub: Hub, tenant: Tenant, answer: Answer) -> dict[str, Any]:
    """The entry of a request, once it is written."""
    request = parse_id(answer.headers["x-request-id"])
    rows = list[dict[str, Any]]()

    def written() -> bool:
        rows[:] = [row for row in entries(hub, tenant) if row["request_id"] == request]
        return bool(rows)

    hub.wait(written, "the request is not in the content log")
    return rows[0]


def kept(hub: Hub, folder: Path, row: dict[str, Any]) -> Kept:
    name = f"content/{row['drop_at'].astimezone(dt.UTC):%Y-%m-%dT%H}/{row['object_id']}"
    begin = row["object_offset"]
    sealed = objects(folder)[name][begin : begin + row["object_bytes"]]
    (data_key,) = hub.rows("SELECT * FROM content_datakey WHERE id = %s", row["data_key_id"])
    vault = Vault(os.environ["WEIR_KEK"])
    opened = vault.open_bytes(bytes(data_key["sealed"]), place_of_key(data_key["id"]))
    place = place_of_entry(row["organisation_id"], row["request_id"])
    return unpack(open_sealed(AESGCM(opened), sealed, place))


@contextmanager
def away(folder: Path) -> Iterator[None]:
    """The store does not answer."""
    aside = folder.with_name("aside")
    folder.rename(aside)
    folder.write_text("no folder")
    try:
        yield
    finally:
        folder.unlink()
        aside.rename(folder)


def ask(hub: Hub, tenant: Tenant, model: str, text: str) -> Answer:
    path, body = asked("openai", model, text, stream=False)
    answer = hub.post(tenant, body, path=path)
    assert answer.status == 200
    assert answer.headers["x-weir-content-log"] == "kept"
    return answer


def test_texts_are_sealed_in_objects_and_nowhere_else(hub: Hub, folder: Path, model: str) -> None:
    """Two retentions, so two objects, and two entries of one of them."""
    planted = f"planted {secrets.token_hex(8)}"
    short, long = hub.tenant(), hub.tenant()
    add_rule(hub, short, retention_hours=1)
    add_rule(hub, long, retention_hours=100)
    answers = [(tenant, ask(hub, tenant, model, planted)) for tenant in (short, long, long)]
    for tenant, answer in answers:
        row = row_of(hub, tenant, answer)
        assert row["sealed"] is None
        content = kept(hub, folder, row)
        assert json.loads(content.request)["messages"][0]["content"] == planted
        assert json.loads(content.answer) == json.loads(answer.body)
    assert where(hub, planted) == []
    for stored in objects(folder).values():
        assert planted.encode() not in stored


def test_request_does_not_wait_for_a_store_that_is_away(hub: Hub, folder: Path, model: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant)
    written = len(hub.log())
    with away(folder):
        first = ask(hub, tenant, model, "Hello")
        hub.wait(
            lambda: "the store of the content log cannot be written" in hub.log()[written:],
            "nothing says that the store is away",
        )
        second = ask(hub, tenant, model, "Hello again")
        assert entries(hub, tenant) == []
    for answer in (first, second):
        assert b"Hello" in kept(hub, folder, row_of(hub, tenant, answer)).request


def test_process_that_stops_while_the_store_is_away_counts_what_is_missing(
    hub: Hub, folder: Path, model: str
) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant)

    def dropped() -> int:
        rows = hub.rows("SELECT value FROM gateway_traffictotal WHERE family = 'content_dropped'")
        return sum(row["value"] for row in rows)

    before = dropped()
    with away(folder):
        for text in ("Hello", "Hello again"):
            ask(hub, tenant, model, text)
        hub.stop()
    hub.start()
    assert dropped() == before + 2
    assert entries(hub, tenant) == []


def test_object_without_entry_is_dropped_in_time(hub: Hub, folder: Path, model: str) -> None:
    """The process is killed when the object is written and its entry is not."""
    tenant = hub.tenant()
    add_rule(hub, tenant)
    row_of(hub, tenant, ask(hub, tenant, model, "the first one makes the partition"))
    before = set(objects(folder))
    with hub.connection.transaction():
        hub.connection.execute("LOCK TABLE content_entry IN ACCESS EXCLUSIVE MODE")
        ask(hub, tenant, model, "Hello")
        hub.wait(lambda: set(objects(folder)) > before, "no object is written")
        writer = writer_of(hub)
        hub.kill()
        # The writer tries for as long as it lives, and ends soon after the web process.
        hub.wait(lambda: not command_line(writer), "the writer has not ended")
    hub.start()
    (row,) = entries(hub, tenant)
    (left, *_) = set(objects(folder)) - before
    store = open_store(folder.as_uri())
    drop_texts(store, row["drop_at"] - dt.timedelta(seconds=1))
    assert left in objects(folder)
    drop_texts(store, row["drop_at"])
    assert left not in objects(folder)


def test_process_does_not_start_with_an_address_of_no_store(hub: Hub) -> None:
    wrong = Hub(hub.dsn, {"CONTENT_STORE": "ftp://host/x"}, application=hub.application)
    try:
        wrong.spawn()
        says = "CONTENT_STORE: This object store cannot be opened: "
        wrong.wait(lambda: says in wrong.log(), "nothing says what is wrong with the setting")
    finally:
        wrong.close()
