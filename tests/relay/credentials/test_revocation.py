"""P11: what ends a key ends what runs under it, and lets nothing more in."""

import json
import os
import time
from collections.abc import Callable

import pytest

from accounts.roles import rules as roles
from accounts.secrets import key_format
from relay.answers.abandoned import USAGE_AFTER_TEXT_S
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.clients import Client, Clients, attempt_of, final_record
from tests.relay.speakers import UPSTREAMS
from tests.support.hub import Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

Change = Callable[[Hub, Tenant], object]


def of_key(change: str) -> Change:
    return lambda hub, tenant: hub.connection.execute(
        f"UPDATE accounts_key SET {change} WHERE id = %s", [tenant.key_id]
    )


def of_person(statement: str) -> Change:
    return lambda hub, tenant: hub.connection.execute(
        f"{statement} (SELECT user_id FROM accounts_key WHERE id = %s)", [tenant.key_id]
    )


def of_role(role: str) -> Change:
    return of_person(f"UPDATE accounts_membership SET role = '{role}' WHERE user_id =")


def of_place(change: str) -> Change:
    """What its organisation or its team is changed to."""
    table, _, to = change.partition(" ")
    of = {"organisation": "organisation_id", "team": "team_id"}[table]
    return lambda hub, tenant: hub.connection.execute(
        f"UPDATE accounts_{table} SET {to} WHERE id = %s", [getattr(tenant, of)]
    )


def limited_to(team: str) -> Change:
    """The person belongs to one team only: the key's ("core") or another one."""

    def change(hub: Hub, tenant: Tenant) -> None:
        hub.connection.execute(
            "INSERT INTO accounts_team (id, organisation_id, name, slug) "
            "VALUES (gen_random_uuid(), %s, 'other', 'other')", [tenant.organisation_id],
        )  # fmt: skip
        hub.connection.execute(
            "WITH limited AS (UPDATE accounts_membership SET all_teams = false "
            "WHERE organisation_id = %(in)s RETURNING id) "
            "INSERT INTO accounts_membership_teams (membership_id, team_id) "
            "SELECT limited.id, team.id FROM limited, accounts_team team "
            "WHERE team.organisation_id = %(in)s AND team.slug = %(team)s",
            {"in": tenant.organisation_id, "team": team},
        )

    return change


def has_custom_role(*permissions: str) -> Change:
    def change(hub: Hub, tenant: Tenant) -> None:
        hub.connection.execute(
            "WITH custom AS (INSERT INTO accounts_customrole (id, organisation_id, name, "
            "permissions) VALUES (gen_random_uuid(), %(in)s, 'own', %(may)s) RETURNING id) "
            "UPDATE accounts_membership SET role = 'custom', custom_role_id = custom.id "
            "FROM custom WHERE organisation_id = %(in)s",
            {"in": tenant.organisation_id, "may": list(permissions)},
        )

    return change


def of_account(disabled: bool) -> Change:
    """The key is a service account's, which is disabled or is not."""

    def change(hub: Hub, tenant: Tenant) -> None:
        hub.connection.execute(
            "WITH account AS (INSERT INTO accounts_serviceaccount (id, organisation_id, team_id, "
            "name, role, disabled) VALUES (gen_random_uuid(), %s, %s, 'program', 'developer', %s) "
            "RETURNING id) UPDATE accounts_key SET user_id = NULL, service_account_id = account.id "
            "FROM account WHERE accounts_key.id = %s",
            [tenant.organisation_id, tenant.team_id, disabled, tenant.key_id],
        )

    return change


def suspended_for_a_moment(hub: Hub, tenant: Tenant) -> None:
    with hub.connection.transaction():
        of_place("organisation suspended_at = now()")(hub, tenant)
        of_place("organisation suspended_at = NULL")(hub, tenant)


def rotated(grace: str) -> Change:
    """The tenant's text is a former one from now on, with so much grace left."""

    def change(hub: Hub, tenant: Tenant) -> None:
        newer = key_format.compose("relay", os.urandom(32))
        digest = key_format.digest(os.environ["WEIR_KEY_PEPPER"], newer)
        with hub.connection.transaction():
            hub.connection.execute(
                "INSERT INTO accounts_formersecret (digest, last4, until, key_id) "
                f"SELECT digest, last4, now() + interval '{grace}', id FROM accounts_key "
                "WHERE id = %s", [tenant.key_id],
            )  # fmt: skip
            hub.connection.execute(
                "UPDATE accounts_key SET digest = %s WHERE id = %s", [digest, tenant.key_id]
            )

    return change


LEFT = of_person("DELETE FROM accounts_membership WHERE user_id =")
# What the database decides on by itself, with the admission.
DECIDED: dict[str, Change] = {
    "revoked": of_key("revoked_at = now()"),
    "disabled": of_key("disabled = true"),
    "expired": of_key("expires_at = now() - interval '1 second'"),
    "switched off": of_person("UPDATE accounts_user SET is_active = false WHERE id ="),
    "removed": LEFT,
    "out of the team": limited_to("other"),
    "custom role without keys": has_custom_role("usage.read", "playground.use"),
    "service account disabled": of_account(disabled=True),
    "organisation suspended": of_place("organisation suspended_at = now()"),
    "organisation archived": of_place("organisation archived_at = now()"),
    "team archived": of_place("team archived_at = now()"),
    **{
        f"made {role}": of_role(role)
        for role in sorted({*roles.TABLE["usage.read"]} - {*roles.KEY_ROLES, "operator"})
    },
}
ENDS: dict[str, Change] = {**DECIDED, "rotated": rotated("0 s")}
STAYS: dict[str, Change] = {
    "rotated with grace": rotated("1 hour"),
    "made admin": of_role("admin"),
    "limited to its team": limited_to("core"),
    "custom role with keys": has_custom_role("keys.write_own"),
    "of a service account": of_account(disabled=False),
    "suspended and lifted": suspended_for_a_moment,
    "of nobody": of_key("user_id = NULL"),
}


def tenant_of(hub: Hub) -> Tenant:
    tenant = hub.tenant()
    hub.person(tenant)
    return tenant


@pytest.mark.parametrize("guarded", [False, True], ids=["plain", "guarded"])
@pytest.mark.parametrize("cause", DECIDED)
def test_revoked_key_is_rejected_even_where_it_was_known(
    hub: Hub, fake: FakeUpstream, cause: str, guarded: bool
) -> None:
    """Without any notification, the admission itself sees it; with one, everything else does."""
    tenant = tenant_of(hub)
    if guarded:
        hub.limit(tenant, rpm=1000)
    model = hub.model(fake)
    assert hub.post(tenant, ask(model)).status == 200
    DECIDED[cause](hub, tenant)
    asked = fake.totals()["requests"]
    answer = hub.post(tenant, ask(model))
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
    assert fake.totals()["requests"] == asked
    hub.bump()
    hub.wait(lambda: hub.get("/v1/models", tenant).status == 401, f"a key stays although {cause}")


@pytest.mark.parametrize("wakes", ["notification", "time"])
def test_open_streams_end_with_a_typed_error_and_are_settled(
    hub: Hub, clients: Clients, fake: FakeUpstream, wakes: str
) -> None:
    """All causes at once; whose key stays hears the whole answer."""
    model = hub.model(fake)
    causes = (
        {**ENDS, **STAYS}
        if wakes == "notification"
        else {"runs out": of_key("disabled = disabled")}
    )
    streams: dict[str, tuple[Tenant, Client]] = {}
    for cause in causes:
        tenant = tenant_of(hub)
        if wakes == "time":
            of_key("expires_at = now() + interval '1500 ms'")(hub, tenant)
            hub.bump()
        asked = ask(model, "#tokens=150 #delay_ms=20", stream=True)
        streams[cause] = tenant, clients.ask(hub, tenant, asked)
    for _, client in streams.values():
        client.read_until(b'"content":" ')
    for cause, (tenant, _) in streams.items():
        causes[cause](hub, tenant)
    began = time.monotonic()
    if wakes == "notification":
        hub.bump()
    ended_after = {}
    for cause in streams.keys() - STAYS.keys():
        streams[cause][1].read_until(b"0\r\n\r\n")
        ended_after[cause] = time.monotonic() - began
    assert max(ended_after.values()) < (1 if wakes == "notification" else 5), ended_after
    for cause in ended_after:
        tenant, client = streams[cause]
        assert b'"code":"invalid_api_key"' in client.seen, cause
        assert b"[DONE]" not in client.seen
        assert fake.wait_for_row(attempt_of(hub, tenant))["outcome"] == "cut"
        record = final_record(hub, tenant)
        assert (record["status"], record["kind"]) == (401, "authentication"), cause
        assert 0 < record["charge_nano"] < record["hold_nano"]
        hub.settled(tenant)
    for cause in STAYS if wakes == "notification" else ():
        streams[cause][1].read_until(b"[DONE]")


@pytest.mark.parametrize("stream_of", ["same dialect", "another"])
def test_a_stream_of_a_draining_channel_is_read_on_for_its_usage(
    hub: Hub, clients: Clients, fake: FakeUpstream, stream_of: str
) -> None:
    """Its client hears the end at once; the provider bills the whole, so the record has it."""
    over = UPSTREAMS["anthropic"] if stream_of == "another" else {}
    tenant, model = tenant_of(hub), hub.model(fake, on_leave="drain", **over)
    client = clients.ask(hub, tenant, ask(model, "#tokens=90 #delay_ms=20", stream=True))
    client.read_until(b'"content":" ')
    attempt = attempt_of(hub, tenant)
    ENDS["revoked"](hub, tenant)
    hub.bump()
    client.read_until(b"0\r\n\r\n")
    assert b'"code":"invalid_api_key"' in client.seen
    assert b"[DONE]" not in client.seen
    assert client.seen.count(b'"content":') < 80
    assert fake.wait_for_row(attempt)["outcome"] == "finished"
    record = final_record(hub, tenant)
    assert (record["status"], record["kind"]) == (401, "authentication")
    assert (record["basis"], record["meters"]["out_text"]) == ("drained", 90)
    hub.settled(tenant)


@pytest.mark.parametrize("policy", ["cancel", "drain"])
def test_a_stream_that_lacks_only_its_usage_ends_whole(
    hub: Hub, clients: Clients, fake: FakeUpstream, policy: str
) -> None:
    """The answer is there: its count is waited for, as for a client that leaves."""
    tenant, model = tenant_of(hub), hub.model(fake, on_leave=policy)
    client = clients.ask(hub, tenant, ask(model, "#tokens=5 #prompt=700 #linger", stream=True))
    client.read_until(b'"finish_reason":"stop"')
    ENDS["revoked"](hub, tenant)
    hub.bump()
    hub.wait(lambda: hub.get("/v1/models", tenant).status == 401, "a revoked key stays")
    fake.release(attempt_of(hub, tenant))
    client.read_until(b"[DONE]")
    assert b"invalid_api_key" not in client.seen
    record = final_record(hub, tenant)
    assert (record["status"], record["basis"]) == (200, "measured")
    assert (record["meters"]["in_text"], record["meters"]["out_text"]) == (700, 5)
    hub.settled(tenant)


def test_missing_usage_is_awaited_for_two_seconds(
    hub: Hub, clients: Clients, fake: FakeUpstream
) -> None:
    """The answer is there, so the client hears its end; its count is estimated."""
    tenant, model = tenant_of(hub), hub.model(fake)
    client = clients.ask(hub, tenant, ask(model, "#tokens=5 #prompt=700 #linger", stream=True))
    client.read_until(b'"finish_reason":"stop"')
    ENDS["revoked"](hub, tenant)
    hub.bump()
    began = time.monotonic()
    client.read_until(b"[DONE]")
    assert time.monotonic() - began < USAGE_AFTER_TEXT_S + 1
    record = final_record(hub, tenant)
    assert record["basis"] == "estimated"
    hub.settled(tenant)


def test_pending_plain_answer_ends_too(hub: Hub, clients: Clients, fake: FakeUpstream) -> None:
    """A plain request under an Idempotency-Key, whose upstream has said nothing yet."""
    tenant, model = tenant_of(hub), hub.model(fake)
    raw = json.dumps(ask(model, "#fault=F11:headers #wait_ms=9000"))
    waiting = clients.connect(hub)
    waiting.request("POST", "/v1/chat/completions", raw, {
        "authorization": f"Bearer {tenant.key}", "content-type": "application/json",
        "idempotency-key": "once",
    })  # fmt: skip
    attempt = attempt_of(hub, tenant)
    fake.wait_for_row(attempt, lambda row: row["accepted_at"] is not None)
    LEFT(hub, tenant)
    hub.bump()
    answer = waiting.getresponse()
    assert (answer.status, json.load(answer)["error"]["code"]) == (401, "invalid_api_key")
    assert fake.wait_for_row(attempt)["left_at"] is not None
    record = final_record(hub, tenant)
    assert (record["status"], record["kind"]) == (401, "authentication")
    # What the upstream has read is paid, as by a client that leaves.
    assert record["charge_nano"] == record["meters"]["in_text"] > 0
    hub.settled(tenant)


def test_body_arriving_after_its_secret_ended_is_rejected(
    hub: Hub, clients: Clients, fake: FakeUpstream
) -> None:
    """The key is known by its head; a rotated secret is not the database's to see any more."""
    tenant, model = tenant_of(hub), hub.model(fake)
    raw = json.dumps(ask(model)).encode()
    connection = clients.connect(hub)
    connection.putrequest("POST", "/v1/chat/completions")
    connection.putheader("authorization", f"Bearer {tenant.key}")
    connection.putheader("content-length", str(len(raw)))
    connection.endheaders(raw[:10])
    # Another request of the key, behind the head of this one, is answered: it is known.
    assert hub.get("/v1/models", tenant).status == 200
    rotated("0 s")(hub, tenant)
    hub.bump()
    hub.wait(lambda: hub.get("/v1/models", tenant).status == 401, "a former secret stays")
    connection.send(raw[10:])
    assert connection.getresponse().status == 401
