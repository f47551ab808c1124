"""Sessions stand under digests of their keys."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections
from django.test import Client

from accounts.sessions.store import SessionStore, session_digest
from lib.database.tenancy import use_tenant
from tests.support.cast import PASSWORD, Cast


def rows_of_sessions() -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT jsonb_agg(s) FROM django_session s)::text"
            " || (SELECT jsonb_agg(u) FROM usersessions_usersession u)::text"
        )
        return str(cursor.fetchone()[0])


def test_a_stolen_dump_opens_no_session(people: Cast) -> None:
    """P14: neither the key nor anything else of the tables is taken for one."""
    browser = Client()
    browser.post("/login", {"login": "bob@example.org", "password": PASSWORD})
    assert browser.get("/o/acme/keys").status_code == 200
    key = str(browser.session.session_key)
    assert key not in rows_of_sessions()
    digest = session_digest(key)
    assert digest in rows_of_sessions()
    thief = Client()
    thief.cookies["session_8000"] = digest
    assert thief.get("/o/acme/keys").status_code == 302


def test_a_session_is_readable_and_writable_in_any_tenant(people: Cast) -> None:
    with use_tenant(people.acme.id):
        store = SessionStore()
        store["n"] = 1
        store.save()
        key = str(store.session_key)
        again = SessionStore(key)
        assert again["n"] == 1
        assert again.exists(key)
        again.cycle_key()
        assert SessionStore(key).get("n") is None
        again.flush()
        assert not store.exists(key)


@pytest.mark.django_db(transaction=True)
def test_asynchronous_access_does_the_same() -> None:
    async def walk() -> None:
        store = SessionStore()
        for n in (0, 1):
            await store.aset("n", n)
            await store.asave()
        key = str(store.session_key)
        again = SessionStore(key)
        assert await again.aget("n") == 1
        assert again.session_key == key
        assert await again.aexists(key)
        await again.adelete(key)
        gone = SessionStore(key)
        assert await gone.aget("n") is None
        # Whoever brings a key chooses none: the next one is drawn anew.
        assert gone.session_key is None
        # That of the thread in which what is waited for runs.
        await sync_to_async(connections.close_all)()

    asyncio.run(walk())
