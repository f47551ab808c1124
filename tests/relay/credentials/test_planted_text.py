"""P31, P36: a sentence that was not to be kept is nowhere in database, files and logs; one that was
kept is gone behind its time, and with its person."""

import json
import os
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.support.beside import Beside
from tests.support.hub import Hub, Tenant

OPENAI: dict[str, Any] = {"provider": "openai"}
_TABLES = (
    "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
    "WHERE nspname = current_schema() AND relkind IN ('r', 'p') AND NOT relispartition"
)
_KEPT = ("gateway_keptstate", "gateway_idempotentanswer", "gateway_answerpiece")


@pytest.fixture(scope="module")
def beside(hub: Hub) -> Iterator[Beside]:
    new_beside = Beside({**os.environ, **hub.environment, "DATABASE_URL": hub.dsn})
    yield new_beside
    new_beside.close()


def erase(user_id: int) -> str:
    """Erase a person as the worker does; the pseudonym. To be called beside the hub."""
    from accounts.access.actors import SYSTEM
    from accounts.models import User
    from playground.erasure.erasure_requests import request_erasure
    from playground.erasure.erasure_steps import erase_people

    erasure = request_erasure(SYSTEM, User.objects.get(pk=user_id), reason="asked for it")
    erase_people()
    erasure.refresh_from_db()
    assert erasure.done_at is not None
    return erasure.pseudonym


def drop_kept() -> None:
    """What is over goes, as by the worker. To be called beside the hub."""
    from gateway.tasks import drop_expired

    drop_expired()


def ask(hub: Hub, tenant: Tenant, model: str, words: str, **over: Any) -> str:
    """Say it in every way that keeps something: an answer to go on from, one that is given again,
    a stream, a tool, a refusal; the id of the request that was refused. Returns when the record of
    each is written: what is refused holds nothing that could be waited for."""
    again = {"Idempotency-Key": secrets.token_hex(8)}
    fields = {"model": model, "input": f"{words} #tokens=2", **over}
    answers = [
        hub.post(tenant, body, path="/v1/responses", headers=headers or {})
        for headers, body in ((None, fields), (again, fields), (again, {**fields, "stream": True}))
    ]
    messages = [{"role": "user", "content": f"{words} #tokens=2"}]
    chat = {"model": model, "messages": messages, **over}
    answers.append(hub.post(tenant, chat, headers={"Idempotency-Key": secrets.token_hex(8)}))
    answers.append(hub.post(tenant, {**chat, "stream": True}))
    fault = [{"role": "user", "content": f"{words} #a.fault=F10"}]
    answers.append(hub.post(tenant, {**chat, "messages": fault}))
    refused = hub.post(tenant, {**chat, "temperature": words})
    assert refused.status == 400, refused.body
    unknown = hub.post(tenant, {**chat, "model": "no-such-model"})
    assert unknown.status == 404
    for answer in (*answers, refused, unknown):
        # A key of another request leaves none.
        if answer.status != 422:
            hub.record(answer.headers["x-request-id"])
    return refused.headers["x-request-id"]


def find_places(hub: Hub, words: str) -> list[str]:
    """Where it stands: tables, read as a backup has them, the files of the process, its log."""
    places = []
    for row in hub.rows(_TABLES):
        table = row["relname"]
        (counted,) = hub.rows(
            f'SELECT count(*) FROM "{table}" t WHERE strpos(t::text, %s) > 0 '
            "OR strpos(t::text, %s) > 0",
            words, words.encode().hex(),
        )  # fmt: skip
        if counted["count"]:
            places.append(table)
    files = [path for path in hub.spool.rglob("*") if path.is_file()]
    places += [str(path) for path in files if words.encode() in path.read_bytes()]
    return [*places, *(["log"] if words in hub.log() else [])]


def kept(hub: Hub, tenant: Tenant) -> int:
    """How many rows of content there are; they are sealed, so that no search reads them."""
    rows = [
        hub.rows(
            f"SELECT count(*) FROM {table} WHERE organisation_id = %s",
            tenant.organisation_id,
        )
        for table in _KEPT
    ]
    return sum(int(counted["count"]) for (counted,) in rows)


def test_content_that_may_not_be_stored_is_nowhere(hub: Hub, fake: FakeUpstream) -> None:
    """P31"""
    tenant, model = hub.tenant(), hub.model(fake, **OPENAI)
    hub.connection.execute(
        "UPDATE accounts_key SET log_content = false WHERE id = %s", [tenant.key_id]
    )
    words = f"planted{secrets.token_hex(8)}"
    refused = hub.record(ask(hub, tenant, model, words))
    assert refused["status"] == 400
    assert refused["message"].startswith("API request failed")
    states = hub.rows(
        "SELECT state FROM gateway_idempotentanswer "
        "WHERE organisation_id = %s AND head IS NOT NULL",
        tenant.organisation_id,
    )
    pieces = hub.rows(
        "SELECT 1 FROM gateway_answerpiece WHERE organisation_id = %s "
        "UNION ALL SELECT 1 FROM gateway_keptstate WHERE organisation_id = %s",
        tenant.organisation_id, tenant.organisation_id,
    )  # fmt: skip
    assert (states, pieces) == ([], [])
    assert find_places(hub, words) == []


def test_stored_content_is_gone_after_its_retention(
    hub: Hub, fake: FakeUpstream, beside: Beside
) -> None:
    """P31"""
    tenant, model = hub.tenant(), hub.model(fake, **OPENAI)
    words = f"planted sentence {secrets.token_hex(8)}"
    ask(hub, tenant, model, words)
    assert kept(hub, tenant) > 3
    assert find_places(hub, words) == []  # what is kept is sealed
    for table in _KEPT:
        hub.connection.execute(
            f"UPDATE {table} SET expires_at = now() WHERE organisation_id = %s",
            [tenant.organisation_id],
        )
    beside.call(drop_kept)
    assert kept(hub, tenant) == 0


def test_stored_content_is_erased_with_its_person(
    hub: Hub, fake: FakeUpstream, beside: Beside
) -> None:
    """P31, P36: content and what clients called them; figures of usage are as before."""
    tenant, model = hub.tenant(), hub.model(fake, **OPENAI)
    person = hub.person(tenant)
    colleague = hub.key(tenant)
    hub.bump()
    words = f"planted{secrets.token_hex(8)}"
    ask(hub, tenant, model, words, user=words)
    others = {"model": model, "input": "other #tokens=2"}
    mine = hub.post(colleague, others, path="/v1/responses")
    assert mine.status == 200, mine.body
    hub.record(mine.headers["x-request-id"])
    assert {"usage_attempt", "usage_usagerecord"} <= set(find_places(hub, words))
    assert kept(hub, tenant) > 3
    before = figures(hub, tenant)
    address = hub.rows("SELECT email FROM accounts_user WHERE id = %s", person)[0]["email"]
    pseudonym = beside.call(erase, person)
    assert find_places(hub, words) == []
    assert find_places(hub, address) == []
    assert figures(hub, tenant) == before
    for table, column, value in (
        ("gateway_keptstate", "user_id", person),
        ("gateway_idempotentanswer", "organisation_id", tenant.organisation_id),
        ("gateway_answerpiece", "organisation_id", tenant.organisation_id),
    ):
        assert hub.rows(f"SELECT 1 FROM {table} WHERE {column} = %s", value) == [], table
    # What a colleague keeps stays.
    response = hub.get(f"/v1/responses/{mine.json()['id']}", colleague)
    assert response.status == 200, response.body
    left = hub.rows("SELECT email FROM accounts_user WHERE id = %s", person)
    assert left == [{"email": pseudonym}]
    assert hub.post(tenant, {"model": model, "input": "again"}, path="/v1/responses").status == 401
    hub.assert_books_balance()


def figures(hub: Hub, tenant: Tenant) -> str:
    """What was used and charged, by person, key and model, and the ledger."""
    used = hub.rows(
        "SELECT user_id, key_id::text, model, status, count(*), sum(charge_nano)::bigint AS nano "
        "FROM usage_usagerecord WHERE organisation_id = %s GROUP BY 1, 2, 3, 4 ORDER BY 2, 3, 4",
        tenant.organisation_id,
    )
    posted = hub.rows(
        "SELECT kind, count(*), sum(amounts_nano[1])::bigint AS nano FROM billing_posting "
        "WHERE organisation_id = %s GROUP BY 1 ORDER BY 1", tenant.organisation_id,
    )  # fmt: skip
    return json.dumps([used, posted])
