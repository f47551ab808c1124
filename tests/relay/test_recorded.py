"""What a record keeps beside the charge: whom its request counts to, where it came from, and what
the provider called it."""

import json
from typing import Any

from dialects.json.members import storable_user
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.speakers import UPSTREAMS
from tests.support import hostile
from tests.support.hub import Hub, Tenant

LABELS = {"project": "search", "tags": ["beta", "eu"], "customer": "c-42"}
SENT = {"x-weir-labels": json.dumps(LABELS), "user-agent": "OpenAI/Python 1.99.1"}
COUNTED_TO = ("project", "tags", "customer", "client_app", "end_user")


def counted_values(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in COUNTED_TO)


def attempt(hub: Hub, record: dict[str, Any]) -> dict[str, Any]:
    (row,) = hub.rows("SELECT * FROM usage_attempt WHERE id = %s", record["id"])
    return row


def address(hub: Hub, record: dict[str, Any]) -> list[dict[str, Any]]:
    return hub.rows("SELECT address FROM usage_clientaddress WHERE record_id = %s", record["id"])


def keep_addresses(hub: Hub, tenant: Tenant) -> None:
    hub.connection.execute(
        "UPDATE accounts_organisation SET client_address_days = 3 WHERE id = %s",
        [tenant.organisation_id],
    )
    hub.bump()


def test_labels_user_and_application_are_recorded(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    answer = hub.post(tenant, ask(model, "#tokens=2", user="u-7"), headers=SENT)
    record = hub.record(answer.headers["x-request-id"])
    assert counted_values(record) == ("search", ["beta", "eu"], "c-42", "openai-python", "u-7")
    assert counted_values(attempt(hub, record)) == counted_values(record)
    assert (record["dropped"], address(hub, record)) == (None, [])
    assert record["session_id"] is None


def test_key_defaults_apply_where_the_request_is_silent(hub: Hub, fake: FakeUpstream) -> None:
    """By the same rule as budgets."""
    tenant, model = hub.tenant(), hub.model(fake)
    hub.connection.execute(
        "WITH made AS (INSERT INTO accounts_project (id, organisation_id, team_id, name, slug)"
        " SELECT gen_random_uuid(), organisation_id, team_id, 'Bot', 'bot' FROM accounts_key"
        " WHERE id = %s RETURNING id) UPDATE accounts_key SET project_id = made.id,"
        " tags = '{beta,night}' FROM made WHERE accounts_key.id = %s",
        [tenant.key_id, tenant.key_id],
    )
    hub.bump()
    plain = hub.post(tenant, ask(model, "#tokens=2"), headers={"user-agent": "curl/8.5.0"})
    labelled = hub.post(tenant, ask(model, "#tokens=2"), headers={**SENT, "x-title": "My App"})
    records = [hub.record(one.headers["x-request-id"]) for one in (plain, labelled)]
    assert counted_values(records[0]) == ("bot", ["beta", "night"], "", "curl", "")
    assert counted_values(records[1]) == ("search", ["beta", "night", "eu"], "c-42", "My App", "")


def test_any_user_name_is_stored_as_far_as_possible(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    for text in (hostile.EVERYTHING, hostile.NUL, hostile.LONG):
        answer = hub.post(tenant, ask(model, "#tokens=2", user=text), headers={"x-title": "a\xe9"})
        assert answer.status == 200, answer.body
        record = hub.record(answer.headers["x-request-id"])
        assert record["end_user"] == storable_user(text)[:256].replace("\x00", "")
        assert record["client_app"] == "a\ufffd"


def test_a_refused_request_has_its_labels(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant("0"), hub.model(fake)
    keep_addresses(hub, tenant)
    answer = hub.post(tenant, ask(model, "#tokens=2"), headers=SENT)
    assert answer.status == 402
    record = hub.record(answer.headers["x-request-id"])
    assert counted_values(record) == ("search", ["beta", "eu"], "c-42", "openai-python", "")
    assert address(hub, record) == [{"address": "127.0.0.1"}]


def test_provider_id_and_dropped_parameters_are_recorded(hub: Hub, fake: FakeUpstream) -> None:
    """Also of an attempt that failed; the address only where the organisation asks for it."""
    tenant = hub.tenant()
    model = hub.model(fake, **UPSTREAMS["anthropic"])
    keep_addresses(hub, tenant)
    body = ask(model, "#tokens=2", logit_bias={"5": 1})
    answer = hub.post(tenant, body)
    record = hub.record(answer.headers["x-request-id"])
    assert record["upstream_request_id"].startswith("req_")
    assert record["dropped"] == answer.headers["x-weir-dropped-params"].split(",")
    assert address(hub, record) == [{"address": "127.0.0.1"}]
    many = {f"x_{n:03d}{'长' * 50}": 1 for n in range(200)}
    refused = hub.post(tenant, ask(model, "#tokens=2", **many))
    assert len(",".join(hub.record(refused.headers["x-request-id"])["dropped"] or ())) <= 500
    failed = hub.post(tenant, ask(model, "#fault=F9:429"))
    assert failed.status >= 400
    records = hub.records(failed.headers["x-request-id"])
    assert all(row["upstream_request_id"].startswith("req_") for row in records)
