"""P31: what a rule keeps is kept, sealed; what none keeps is nowhere."""

import datetime as dt
import json
import os
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from content.data_keys.sealing import open_sealed, place_of_entry, place_of_key
from content.log.conversation import Turn, conversation_of
from content.log.kept import Kept, unpack
from lib.ids import new_id, parse_id
from lib.vault import Vault
from tests.fakes.upstream import FakeUpstream
from tests.relay.clients import Clients
from tests.support.hub import Answer, Hub, Tenant

RETENTION_HOURS = 24


@pytest.fixture(scope="module")
def model(hub: Hub, fake: FakeUpstream) -> Iterator[str]:
    with hub.forgetful():
        yield hub.model(fake)


def add_rule(hub: Hub, tenant: Tenant, scope: str = "organisation", **over: Any) -> None:
    """A rule of the content log, which the hub knows afterwards."""
    ids = {"key": tenant.key_id, "team": tenant.team_id}
    row = {
        "subject": str(ids.get(scope, "")), "keep": "everything", "share_percent": 100,
        "retention_hours": RETENTION_HOURS, "callers_may_opt_out": True,
        "redact": ["secret", "private_key", "card", "iban"], "ends_at": None,
    } | over  # fmt: skip
    hub.connection.execute(
        "INSERT INTO content_logrule (id, organisation_id, scope, subject, keep, share_percent, "
        "retention_hours, callers_may_opt_out, redact, ends_at) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [new_id(), tenant.organisation_id, scope, *row.values()],
    )
    hub.bump()


def entries(hub: Hub, tenant: Tenant) -> list[dict[str, Any]]:
    """The entries of an organisation, oldest first."""
    return hub.rows(
        "SELECT * FROM content_entry WHERE organisation_id = %s ORDER BY created_at",
        tenant.organisation_id,
    )


def open_entry(hub: Hub, row: dict[str, Any]) -> Kept:
    (data_key,) = hub.rows("SELECT * FROM content_datakey WHERE id = %s", row["data_key_id"])
    opened = Vault(os.environ["WEIR_KEK"]).open_bytes(
        bytes(data_key["sealed"]), place_of_key(data_key["id"])
    )
    place = place_of_entry(row["organisation_id"], row["request_id"])
    return unpack(open_sealed(AESGCM(opened), bytes(row["sealed"]), place))


def kept(hub: Hub, tenant: Tenant, answer: Answer) -> tuple[dict[str, Any], Kept]:
    """The entry of a request, once it is written, with what it contains."""
    request = parse_id(answer.headers["x-request-id"])
    rows = list[dict[str, Any]]()

    def written() -> bool:
        rows[:] = [row for row in entries(hub, tenant) if row["request_id"] == request]
        return bool(rows)

    hub.wait(written, "the request is not in the content log")
    return rows[0], open_entry(hub, rows[0])


def where(hub: Hub, text: str) -> list[str]:
    """The tables of the hub in which a text is, as it is or in hexadecimal."""
    tables = hub.rows(
        "SELECT oid::regclass::text AS name FROM pg_class "
        "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    query = "SELECT FROM {} t WHERE strpos(t::text, %s) > 0 OR strpos(t::text, %s) > 0 LIMIT 1"
    forms = (text, text.encode().hex())
    return [table["name"] for table in tables if hub.rows(query.format(table["name"]), *forms)]


def asked(dialect: str, model: str, text: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
    """The path and body of a chat in a dialect."""
    messages = [{"role": "user", "content": text}]
    match dialect:
        case "openai":
            return "/v1/chat/completions", {"model": model, "messages": messages, "stream": stream}
        case "anthropic":
            body = {"model": model, "messages": messages, "stream": stream, "max_tokens": 64}
            return "/v1/messages", body
        case "responses":
            return "/v1/responses", {"model": model, "input": text, "stream": stream}
        case _:
            action = "streamGenerateContent?alt=sse" if stream else "generateContent"
            contents = [{"role": "user", "parts": [{"text": text}]}]
            return f"/v1beta/models/{model}:{action}", {"contents": contents}


def turns_of(content: Kept, dialect: str, model: str) -> list[Turn]:
    turns = conversation_of(content, dialect, model)
    assert turns is not None
    return turns


def text_of(turn: Turn) -> str:
    return "".join(piece.text for piece in turn.pieces)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", ["openai", "anthropic", "responses", "gemini"])
def test_conversation_is_kept_in_every_dialect(
    hub: Hub, model: str, dialect: str, stream: bool
) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant)
    planted = f"planted {secrets.token_hex(8)}"
    path, body = asked(dialect, model, planted, stream=stream)
    answer = hub.post(tenant, body, path=path)
    assert answer.status == 200
    assert answer.headers["x-weir-content-log"] == "kept"

    row, content = kept(hub, tenant, answer)
    assert (row["model"], row["dialect"], row["status"]) == (model, dialect, 200)
    assert (row["expires_at"] - row["created_at"]).total_seconds() == RETENTION_HOURS * 3600
    assert json.loads(content.request) == body
    assert (content.stream, content.broken, content.left_out) == (stream, False, ())
    whole = json.loads(content.answer)
    assert stream or whole == json.loads(answer.body)
    turns = turns_of(content, dialect, model)
    assert [turn.role for turn in turns] == ["user", "assistant"]
    assert text_of(turns[0]) == planted
    assert text_of(turns[1])
    assert where(hub, planted) == []


def test_nothing_is_kept_without_a_rule(hub: Hub, model: str) -> None:
    tenant, other = hub.tenant(), hub.tenant()
    add_rule(hub, other)
    planted = f"planted {secrets.token_hex(8)}"
    path, body = asked("openai", model, planted, stream=False)
    answer = hub.post(tenant, body, path=path)
    assert "x-weir-content-log" not in answer.headers
    kept(hub, other, hub.post(other, body, path=path))
    assert entries(hub, tenant) == []
    assert where(hub, planted) == []
    assert planted not in hub.log()


@pytest.mark.parametrize(
    ("over", "headers", "fields", "is_kept"),
    [
        ({}, {"x-weir-store": "false"}, {}, False),
        ({}, {"x-weir-store": "true"}, {}, True),
        ({}, {}, {"store": False}, False),
        ({"callers_may_opt_out": False}, {"x-weir-store": "false"}, {"store": False}, True),
        ({"keep": "nothing"}, {}, {}, False),
        ({"keep": "errors"}, {}, {}, False),
    ],
    ids=["header", "header true", "body", "no leaving out", "nothing", "errors"],
)
def test_rule_and_caller_decide(
    hub: Hub,
    model: str,
    over: dict[str, Any],
    headers: dict[str, str],
    fields: dict[str, Any],
    is_kept: bool,
) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant, **over)
    path, body = asked("openai", model, "Hello", stream=False)
    answer = hub.post(tenant, body | fields, path=path, headers=headers)
    assert answer.headers["x-weir-content-log"] == ("kept" if is_kept else "not-kept")
    # A later request that is certainly kept is written after this one.
    add_rule(hub, tenant, "key", callers_may_opt_out=False)
    if over.get("keep") == "nothing":
        hub.connection.execute("DELETE FROM content_logrule WHERE scope = 'organisation'")
        hub.bump()
    last = list[Answer]()

    def is_known() -> bool:
        last.append(hub.post(tenant, body, path=path))
        return last[-1].headers["x-weir-content-log"] == "kept"

    hub.wait(is_known, "the hub does not hear of the rule")
    kept(hub, tenant, last[-1])
    assert len(entries(hub, tenant)) == 1 + is_kept


def test_rule_ends_by_itself(hub: Hub, model: str) -> None:
    """Without a change that the hub would hear of, and not before its time."""
    tenant, now = hub.tenant(), dt.datetime.now(dt.UTC)
    add_rule(hub, tenant, "key", ends_at=now + dt.timedelta(days=1))
    path, body = asked("openai", model, "Hello", stream=False)

    def is_kept() -> bool:
        return hub.post(tenant, body, path=path).headers.get("x-weir-content-log") == "kept"

    hub.wait(is_kept, "the hub does not hear of the rule")
    ends_at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)
    hub.connection.execute(
        "UPDATE content_logrule SET ends_at = %s WHERE subject = %s",
        [ends_at, str(tenant.key_id)],
    )
    hub.bump()
    hub.wait(lambda: not is_kept(), "the rule does not end")
    assert dt.datetime.now(dt.UTC) >= ends_at - dt.timedelta(milliseconds=100)
    # Those that still begin are in no log, and another rule applies again.
    add_rule(hub, tenant, "organisation", ends_at=None)
    hub.wait(is_kept, "the hub does not hear of the other rule")


def test_escaped_store_leaves_a_request_out(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant)
    path, body = asked("openai", model, "Hello", stream=False)
    raw = json.dumps(body | {"store": False}).replace("store", "\\u0073tore").encode()
    assert hub.post(tenant, raw, path=path).headers["x-weir-content-log"] == "not-kept"


def test_an_error_is_kept_with_its_message(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant, keep="errors")
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "n": -1}
    answer = hub.post(tenant, body)
    assert answer.status == 422
    row, content = kept(hub, tenant, answer)
    assert row["status"] == 422
    assert content.error == answer.error["message"]


def test_error_of_each_attempt_is_kept(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """The first channel fails and the second one answers."""
    tenant = hub.tenant()
    add_rule(hub, tenant)
    with hub.forgetful():
        model = hub.model(fake, other_fake)
    body = {"model": model, "messages": [{"role": "user", "content": "#a.fault=F10:500 Hello"}]}
    answer = hub.post(tenant, body)
    assert answer.status == 200
    _, content = kept(hub, tenant, answer)
    assert (len(content.failures), content.error) == (1, "")
    assert content.failures[0]


def test_wrong_store_header_is_refused(hub: Hub, model: str) -> None:
    path, body = asked("openai", model, "Hello", stream=False)
    answer = hub.post(hub.tenant(), body, path=path, headers={"x-weir-store": "maybe"})
    assert answer.status == 422
    assert "x-weir-store must be true or false" in answer.error["message"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_answer_is_kept_whole_if_its_client_may_come_back(
    hub: Hub, clients: Clients, fake: FakeUpstream, stream: bool
) -> None:
    """P31: with an Idempotency-Key the answer is made to its end without the client."""
    tenant = hub.tenant()
    add_rule(hub, tenant)
    with hub.forgetful():
        folded = hub.model(fake, provider="qwen", upstream_model="qwen3-omni-flash")
        path, body = asked("openai", folded, "#tokens=9 #hold=4", stream=stream)
        headers = {"idempotency-key": secrets.token_hex(8), "authorization": f"Bearer {tenant.key}"}
        connection = clients.connect(hub)
        connection.request("POST", path, json.dumps(body), headers)
        fake.wait_for(lambda totals: totals["holding"] == 1)
        connection.close()
        # The hub has noticed that it left once it answers what came later.
        for _ in range(3):
            hub.get("/v1/models", tenant)
        fake.release()
        hub.wait(lambda: bool(entries(hub, tenant)), "the request is not in the content log")
        (row,) = entries(hub, tenant)
        again = hub.post(tenant, body, path=path, headers=headers)
    assert again.headers["idempotent-replayed"] == "true"
    content = open_entry(hub, row)
    assert (row["status"], content.broken, content.error) == (200, False, "")
    assert len(text_of(turns_of(content, "openai", folded)[-1]).split()) == 9
    assert stream or content.answer == again.body


def test_a_repetition_is_kept_once(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant)
    path, body = asked("openai", model, "Hello", stream=False)
    headers = {"idempotency-key": secrets.token_hex(8)}
    first = hub.post(tenant, body, path=path, headers=headers)
    again = hub.post(tenant, body, path=path, headers=headers)
    assert again.headers["idempotent-replayed"] == "true"
    kept(hub, tenant, first)
    kept(hub, tenant, hub.post(tenant, body, path=path))
    assert len(entries(hub, tenant)) == 2
