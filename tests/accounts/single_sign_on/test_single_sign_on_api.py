"""The management API of single sign-on, and the confirmation of domains by operators."""

import datetime as dt
import json
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.models import AuditEvent, KeyKind, Role, SingleSignOn
from accounts.single_sign_on import single_sign_on
from lib import clock
from tests.accounts.identity_provider import CLIENT, SECRET, IdentityProvider
from tests.support.cast import Cast, actor, confirmed, make_key, member, signed_in, with_key

API = "/api/v1/single-sign-on"
OF_ACME = "/api/v1/organisations/acme/single-sign-on"
RULE: dict[str, Any] = {"group": "ml", "role": "developer", "teams": ["core"]}
BODY: dict[str, Any] = {
    "issuer": "https://login.acme.example/",
    "client_id": CLIENT,
    "secret": SECRET,
    "domains": ["acme.example"],
    "group_rules": [RULE],
}
SEEN: dict[str, Any] = {
    "issuer": "https://login.acme.example", "client_id": CLIENT, "domains": ["acme.example"],
}  # fmt: skip


@pytest.fixture
def alice(people: Cast, settings: Any) -> Client:
    """A program with a management key of the owner, where the installation opens it to keys."""
    settings.SSO_CHANGES_BY_KEY = True
    _, text = make_key(people.core, "m", user=people.alice, kind=KeyKind.MANAGEMENT)
    return with_key(text)


def send(client: Client, method: str, path: str, body: Any = None) -> Any:
    return client.generic(method, path, json.dumps(body or {}), "application/json")


def test_single_sign_on_is_set_read_and_removed_without_its_secret(alice: Client) -> None:
    assert alice.get(API).status_code == 404
    body = send(alice, "PUT", API, BODY).json()
    assert body["issuer"] == "https://login.acme.example"
    assert body["group_rules"] == BODY["group_rules"]
    assert (body["domains_confirmed"], body["required"]) == (False, False)
    assert body["callback_url"].endswith("/callback")
    assert alice.get(API).json() == body
    assert SECRET not in json.dumps(body)
    without = {name: value for name, value in BODY.items() if name != "secret"}
    kept = send(alice, "PUT", API, without | {"required": True})
    assert kept.json()["required"] is True
    saved = AuditEvent.objects.filter(action="single_sign_on.saved")
    assert [event.detail["secret_replaced"] for event in saved.order_by("id")] == [True, False]
    moved = send(alice, "PUT", API, without | {"issuer": "https://elsewhere.example"})
    assert moved.json()["error"]["param"] == "secret"
    assert send(alice, "DELETE", API).status_code == 204
    assert not SingleSignOn.objects.exists()
    assert AuditEvent.objects.filter(action="single_sign_on.removed").exists()


@pytest.mark.parametrize(
    ("over", "status", "param"),
    [
        ({"secrets": "x"}, 400, "secrets"),
        ({"domains_confirmed": True}, 400, "domains_confirmed"),
        ({"domains": ["acme"]}, 422, "domains"),
        ({"group_rules": [RULE | {"role": "king"}]}, 422, "group_rules"),
        (
            {"group_rules": [{"group": "ml", "role": "viewer", "teams": ["moon"]}]},
            422,
            "group_rules",
        ),
        ({"default_role": "king"}, 422, "default_role"),
        ({"issuer": ""}, 422, "issuer"),
        ({"secret": None}, 422, "secret"),
    ],
)
def test_invalid_input_is_rejected_at_its_field(
    alice: Client, over: dict[str, Any], status: int, param: str
) -> None:
    answer = send(alice, "PUT", API, BODY | over)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    assert not SingleSignOn.objects.exists()


@pytest.fixture
def provider(settings: Any) -> Iterator[IdentityProvider]:
    settings.SSO_EGRESS_ALLOW = ["127.0.0.1/32"]
    provider = IdentityProvider()
    yield provider
    provider.shutdown()
    provider.server_close()


def test_the_configuration_of_the_provider_is_tested(
    alice: Client, provider: IdentityProvider, settings: Any
) -> None:
    assert send(alice, "POST", f"{API}/test").status_code == 404
    send(alice, "PUT", API, BODY | {"issuer": provider.url})
    assert send(alice, "POST", f"{API}/test").json() == {"ok": True, "problem": ""}
    provider.issuer = "https://elsewhere.example"
    assert "another issuer" in send(alice, "POST", f"{API}/test").json()["problem"]
    # P13: nothing inside is asked unless an operator permits.
    settings.SSO_EGRESS_ALLOW = []
    body = send(alice, "POST", f"{API}/test").json()
    assert (body["ok"], "No public https address" in body["problem"]) == (False, True)


def test_only_owners_reach_single_sign_on(people: Cast, alice: Client) -> None:
    send(alice, "PUT", API, BODY)
    admin = member(people.acme, "ann", Role.ADMIN)
    for user in (admin, people.bob):
        client = signed_in(user)
        assert client.get(API).status_code == 403
        for method, path in (("PUT", API), ("DELETE", API), ("POST", f"{API}/test")):
            assert send(client, method, path, BODY).status_code == 403
    # Charlie owns another organisation, which has none.
    assert signed_in(people.charlie).get(API).status_code == 404
    assert SingleSignOn.objects.get().issuer == "https://login.acme.example"


def test_a_session_confirms_who_it_is_first(people: Cast) -> None:
    browser = signed_in(people.alice)
    assert send(browser, "PUT", API, BODY).status_code == 200
    confirmed(browser, people.alice, clock.now() - dt.timedelta(hours=1))
    assert send(browser, "PUT", API, BODY).status_code == 403
    assert send(browser, "DELETE", API).status_code == 403
    assert SingleSignOn.objects.exists()


def test_key_changes_it_only_where_the_installation_allows(people: Cast, settings: Any) -> None:
    """P12: who finds a key does not choose who signs in. What the setting opens, it opens alone."""
    settings.SSO_CHANGES_BY_KEY = False
    single_sign_on.save_single_sign_on(
        actor(people.alice, people.acme), people.acme, secret=SECRET, default_role="",
        group_claim="groups", group_rules=[], required=False, **SEEN,
    )  # fmt: skip
    members.set_member(people.acme, people.dora.email, Role.VIEWER, actor=SYSTEM)
    keys = {
        user: with_key(make_key(people.core, name, user=user, kind=KeyKind.MANAGEMENT)[1])
        for name, user in (("m", people.alice), ("o", people.dora))
    }
    tries = [
        (keys[people.alice], "PUT", API, BODY | {"issuer": "https://evil.example"}),
        (keys[people.alice], "DELETE", API, None),
        (keys[people.dora], "POST", f"{OF_ACME}/confirm-domains", SEEN),
        (keys[people.dora], "DELETE", f"{OF_ACME}/confirm-domains", None),
    ]
    for client, method, path, body in tries:
        answer = send(client, method, path, body)
        assert (answer.status_code, "SSO_CHANGES_BY_KEY" in answer.content.decode()) == (403, True)
    row = SingleSignOn.objects.get()
    assert (row.issuer, row.confirmed_domains) == (SEEN["issuer"], [])
    # Reading stays open.
    assert keys[people.alice].get(API).status_code == 200


# Operators --------------------------------------------------------------------------------------


def test_operator_confirms_the_displayed_domains(people: Cast, alice: Client) -> None:
    send(alice, "PUT", API, BODY)
    dora = signed_in(people.dora)
    assert dora.get(OF_ACME).json()["domains"] == ["acme.example"]
    path = f"{OF_ACME}/confirm-domains"
    for other in (
        {"domains": ["other.example"]},
        {"issuer": "https://login.evil.example"},
        {"client_id": "another"},
    ):
        changed = send(dora, "POST", path, SEEN | other)
        assert changed.json()["error"]["param"] == "domains"
    body = send(dora, "POST", path, SEEN).json()
    assert body["domains_confirmed"] is True
    send(dora, "POST", path, SEEN)
    event = AuditEvent.objects.get(action="single_sign_on.confirmed")
    assert (event.actor_user_id, event.organisation_id) == (people.dora.pk, people.acme.id)
    assert send(dora, "POST", path, {}).status_code == 400
    nowhere = "/api/v1/organisations/stranger/single-sign-on"
    assert dora.get(nowhere).status_code == 404


def test_only_operators_confirm_domains(people: Cast, alice: Client) -> None:
    send(alice, "PUT", API, BODY)
    path = f"{OF_ACME}/confirm-domains"
    assert alice.get(OF_ACME).status_code == 403
    assert send(alice, "POST", path, SEEN).status_code == 403
    assert send(alice, "DELETE", path).status_code == 403
    page = "/admin/organisations/acme/domains"
    assert signed_in(people.alice).post(page, {"seen": json.dumps(SEEN)}).status_code == 404
    assert signed_in(people.alice).post(f"{page}/withdraw").status_code == 404
    assert not SingleSignOn.objects.get().confirmed_domains


def test_operator_confirms_domains_on_the_page(people: Cast) -> None:
    fields: dict[str, Any] = {
        "issuer": "https://login.acme.example", "client_id": CLIENT, "group_claim": "groups",
        "group_rules": [], "default_role": "viewer", "required": False,
    }  # fmt: skip
    owner = actor(people.alice, people.acme)

    def list_domains(*domains: str) -> None:
        single_sign_on.save_single_sign_on(
            owner, people.acme, secret=SECRET, domains=list(domains), **fields
        )

    list_domains("acme.example")
    dora = signed_in(people.dora)
    page = "/admin/organisations/acme/domains"
    assert page in dora.get("/admin/organisations").content.decode()
    assert "Acme lists acme.example, with" in dora.get(page).content.decode()
    # Others are listed before the button is pressed: what was not seen is not confirmed.
    list_domains("acme.example", "example.org")
    answer = dora.post(page, {"seen": json.dumps(SEEN)})
    assert answer.status_code == 422
    assert "The issuer, client or domains have changed." in answer.content.decode()
    assert "example.org" in answer.content.decode()
    assert not SingleSignOn.objects.get().confirmed_domains
    # The dialog now has what is listed, so that the next press confirms it.
    [seen] = re.findall(r'name="seen" value="([^"]+)"', answer.content.decode())
    assert json.loads(unescape(seen)) == SEEN | {"domains": ["acme.example", "example.org"]}
    assert dora.post(page, {"seen": unescape(seen)}).status_code == 303
    assert SingleSignOn.objects.get().confirmed_domains == ["acme.example", "example.org"]
    listed = dora.get("/admin/organisations").content.decode()
    assert f'{page}"' not in listed
    # And takes it back.
    assert f"{page}/withdraw" in listed
    assert "are signed out" in dora.get(f"{page}/withdraw").content.decode()
    assert dora.post(f"{page}/withdraw").status_code == 303
    assert SingleSignOn.objects.get().confirmed_domains == []
    assert AuditEvent.objects.filter(action="single_sign_on.unconfirmed").exists()


def test_described_configuration_can_be_saved_again(people: Cast) -> None:
    """As a file of configuration has it: all but the secret."""
    row = single_sign_on.save_single_sign_on(
        SYSTEM, people.acme, secret=SECRET, issuer="https://a.example", client_id=CLIENT,
        domains=["acme.example"], group_claim="groups", group_rules=[], default_role="viewer",
        required=False,
    )  # fmt: skip
    described = single_sign_on.describe_settings(row)
    described.pop("domains_confirmed")
    again = single_sign_on.save_single_sign_on(SYSTEM, people.acme, **described)
    assert single_sign_on.describe_settings(again) == single_sign_on.describe_settings(row)
    assert bytes(again.sealed) == bytes(row.sealed)
