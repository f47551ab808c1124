"""P31, P36: people are erased while the hub runs, and a backup from before is restored afterwards:
nothing that they asked opens again, whatever a web process has in memory."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.config.system.test_backups import manage
from tests.fakes.upstream import FakeUpstream
from tests.relay.content_log.test_content_log import (
    add_rule,
    asked,
    entries,
    kept,
    open_entry,
)
from tests.relay.many import Post, post_all
from tests.runner.databases import own_database
from tests.support.beside import Beside
from tests.support.hub import Hub, running_hub

PEOPLE = 20
EACH = 10


@contextmanager
def database(name: str) -> Iterator[None]:
    from django.db import connection

    connection.settings_dict["NAME"] = name
    yield
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]


def begin_erasure(name: str, organisation: UUID, people: list[int]) -> None:
    """Beside the hub: an owner asks for these people to be erased in the organisation."""
    from accounts.access.actors import Actor
    from accounts.models import Organisation, Role, User
    from playground.erasure.erasure_requests import request_erasure

    with database(name):
        place = Organisation.objects.get(id=organisation)
        owner = Actor(None, None, place, Role.OWNER, operator=False)
        for person in people:
            request_erasure(owner, User.objects.get(id=person), reason="left")


def bring_back(name: str, organisation: UUID, person: int) -> None:
    """Beside the hub: the person is a member again."""
    from accounts.access.actors import SYSTEM
    from accounts.members.members import set_member
    from accounts.models import Organisation, Role, User

    with database(name):
        email = User.objects.get(id=person).email
        set_member(Organisation.objects.get(id=organisation), email, Role.DEVELOPER, actor=SYSTEM)


def erase(name: str) -> int:
    """Beside the hub: the job; how many people are erased."""
    from playground.erasure.erasure_steps import erase_people

    with database(name):
        return erase_people()


@pytest.fixture
def beside() -> Iterator[Beside]:
    process = Beside(os.environ)
    yield process
    process.close()


def opens(hub: Hub, row: dict[str, object]) -> bool:
    """Whether the data key of an entry is still there."""
    if not hub.rows("SELECT 1 FROM content_datakey WHERE id = %s", row["data_key_id"]):
        return False
    open_entry(hub, row)
    return True


def test_person_who_comes_back_before_their_erasure_has_ended(
    hub: Hub, fake: FakeUpstream, beside: Beside
) -> None:
    """A web process has their data key in memory when the job destroys it: what they ask from then
    on has another one, so that it can be read."""
    tenant, name = hub.tenant(), hub.connection.info.dbname
    add_rule(hub, tenant)
    person = hub.person(tenant)
    with hub.forgetful():
        model = hub.model(fake)
        path, body = asked("openai", model, "Hello", stream=False)
        before, _ = kept(hub, tenant, hub.post(tenant, body, path=path))
        beside.call(begin_erasure, name, tenant.organisation_id, [person])
        beside.call(bring_back, name, tenant.organisation_id, person)
        again = hub.key(tenant)
        hub.connection.execute(
            "UPDATE accounts_key SET user_id = %s WHERE id = %s", [person, again.key_id]
        )
        # Whoever lists the alias knows the key, and learns of nothing more until the job has run.
        hub.alias(f"knows-{secrets.token_hex(6)}", model)
        meanwhile, _ = kept(hub, again, hub.post(again, body, path=path))
        assert meanwhile["data_key_id"] == before["data_key_id"]
        assert beside.call(erase, name) == 1

        def has_another_key() -> bool:
            known = len(entries(hub, tenant))
            answer = hub.post(again, body, path=path)
            assert answer.headers["x-weir-content-log"] == "kept"
            hub.wait(lambda: len(entries(hub, tenant)) > known, "nothing is kept")
            return bool(entries(hub, tenant)[-1]["data_key_id"] != before["data_key_id"])

        hub.wait(has_another_key, "the destroyed data key is used", seconds=30)
    rows = entries(hub, tenant)
    assert [opens(hub, row) for row in (rows[0], rows[1], rows[-1])] == [False, False, True]


def test_backup_from_before_an_erasure_of_many(
    fake: FakeUpstream, beside: Beside, tmp_path: Path
) -> None:
    """Restored after it, the backup has every entry and opens none: of whom it was made does not
    matter, and what is asked then has a new key."""
    with running_hub() as hub:
        name = hub.connection.info.dbname
        tenant, model = hub.tenant("1000.00"), hub.model(fake)
        add_rule(hub, tenant)
        tenants = [hub.key(tenant) for _ in range(PEOPLE)]
        people = [hub.person(one) for one in tenants]
        hub.bump()
        planted = f"planted {secrets.token_hex(8)}"
        path, body = asked("openai", model, planted, stream=False)
        posts = [Post(one.key, path, body) for one in tenants for _ in range(EACH)]
        assert {answer.status for answer in post_all(hub, posts, at_once=8)} == {200}
        hub.wait(lambda: len(entries(hub, tenant)) == len(posts), "not all is kept")
        rows = entries(hub, tenant)
        assert len({row["data_key_id"] for row in rows}) == PEOPLE
        assert all(planted in open_entry(hub, row).request.decode() for row in rows)

        file, gone = tmp_path / "weir.zip", people[: PEOPLE // 2]
        done = manage(hub.dsn, "backup", str(file))
        assert done.returncode == 0, done.stderr.decode()
        beside.call(begin_erasure, name, tenant.organisation_id, gone)
        hub.wait(lambda: beside.call(erase, name) == 0, "the erasures do not end")
        assert hub.rows("SELECT 1 FROM accounts_erasure WHERE done_at IS NULL") == []
        opened = {row["user_id"] for row in entries(hub, tenant) if opens(hub, row)}
        assert opened == {*people} - {*gone}
    with own_database("restored", of="template0") as dsn:
        done = manage(dsn, "restore", str(file))
        assert done.returncode == 0, done.stderr.decode()
        with psycopg.connect(dsn, row_factory=dict_row) as connection:
            restored = connection.execute("SELECT sealed FROM content_entry").fetchall()
            data_keys = connection.execute("SELECT 1 FROM content_datakey").fetchall()
    assert sorted(bytes(row["sealed"]) for row in restored) == sorted(
        bytes(row["sealed"]) for row in rows
    )
    assert data_keys == []
