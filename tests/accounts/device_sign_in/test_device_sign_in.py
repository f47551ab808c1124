"""A device signs in by a code (RFC 8628): it gets one key of whoever allows it, no other."""

import datetime as dt
import re
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.access.actors import SYSTEM, key_actor
from accounts.audit_log import log as audit_log
from accounts.device_sign_in import device_sign_in, rules
from accounts.device_sign_in.device_sign_in import DeviceRefused
from accounts.keys import keys
from accounts.models import AuditEvent, DeviceSignIn, Key, Role
from accounts.organisations import teams
from lib import clock
from lib.refusal import Refused
from tests.support.cast import Cast, actor, make_key, member, signed_in

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
AGENT = "claude-code/2.1.332"


def begin(**form: str) -> Any:
    sent = Client().post("/oauth/device_authorization", form, headers={"User-Agent": AGENT})
    assert (sent.status_code, sent["Cache-Control"]) == (200, "no-store")
    return sent.json()


def poll(device_code: str) -> tuple[int, Any]:
    sent = Client().post("/oauth/token", {"grant_type": GRANT, "device_code": device_code})
    assert sent["Cache-Control"] == "no-store"
    return sent.status_code, sent.json()


def decide(client: Client, code: str, decision: str = "allow", organisation: str = "acme") -> Any:
    form = {"user_code": code, "decision": decision, "organisation": organisation}
    return client.post("/device", form)


def test_metadata_names_what_is_served(people: Cast, settings: Any) -> None:
    told = Client().get("/.well-known/oauth-authorization-server").json()
    for name in ("device_authorization_endpoint", "token_endpoint", "revocation_endpoint"):
        path = told[name].removeprefix(settings.PUBLIC_URL)
        assert Client().post(path).status_code != 404
    assert told["issuer"] == settings.PUBLIC_URL
    assert told["grant_types_supported"] == [GRANT]


def test_device_gets_a_key_of_the_approving_person(people: Cast, settings: Any) -> None:
    keys.mint_key(actor(people.bob, people.acme), people.core, "Claude Code", user=people.bob)
    begun, bob = begin(surface="claude_code", unknown="1"), signed_in(people.bob)
    assert poll(begun["device_code"]) == (400, {"error": "authorization_pending"})
    page = bob.get(begun["verification_uri_complete"].removeprefix(settings.PUBLIC_URL))
    assert begun["user_code"] in page.content.decode()
    assert not Key.objects.filter(name="Claude Code 2").exists()
    assert decide(bob, begun["user_code"].lower().replace("-", " ")).status_code == 200
    status, told = poll(begun["device_code"])
    assert (status, told["token_type"], told["email"]) == (200, "Bearer", people.bob.email)
    by = key_actor(told["access_token"])
    assert by is not None
    assert by.key is not None
    assert (by.key.name, by.key.user, by.key.team) == ("Claude Code 2", people.bob, people.core)
    left = by.key.expires_at - clock.now()  # type: ignore[operator]
    assert abs(left.total_seconds() - told["expires_in"]) < 60
    assert poll(begun["device_code"]) == (400, {"error": "expired_token"}), "once"
    events = AuditEvent.objects.filter(action__in=["device.allowed", "key.created"]).order_by("id")
    said = [one.sentence for one in audit_log.describe_events(list(events)[1:])]
    assert said == [
        "Bob signed in Claude Code on a device",
        "Bob created API key Claude Code 2",
    ]


def test_codes_are_stored_as_digests(people: Cast) -> None:
    begun = begin()
    assert len(begun["device_code"]) == 43
    assert re.fullmatch("[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", begun["user_code"])
    stored = str(DeviceSignIn.objects.values().get())
    assert begun["device_code"] not in stored
    assert begun["user_code"] not in stored


def test_denied_device_gets_nothing(people: Cast) -> None:
    begun = begin()
    assert decide(signed_in(people.alice), begun["user_code"], "deny").status_code == 200
    assert poll(begun["device_code"]) == (400, {"error": "access_denied"})
    assert not Key.objects.filter(kind="relay").exists()
    assert AuditEvent.objects.filter(action="device.denied").count() == 1
    with pytest.raises(Refused, match="unknown, used or expired"):
        device_sign_in.allow(actor(people.alice, people.acme), begun["user_code"])


def test_code_ends_after_ten_minutes(people: Cast) -> None:
    begun = begin()
    assert (begun["expires_in"], begun["interval"]) == (600, rules.INTERVAL_S)
    DeviceSignIn.objects.update(expires_at=clock.now())
    refused = decide(signed_in(people.alice), begun["user_code"])
    assert (refused.status_code, b"unknown, used or expired" in refused.content) == (422, True)
    assert poll(begun["device_code"]) == (400, {"error": "expired_token"})
    begin()
    assert DeviceSignIn.objects.count() == 1, "the expired one is deleted"


def test_frequent_polling_is_slowed(people: Cast) -> None:
    begun = begin()
    answers = [poll(begun["device_code"])[1]["error"] for _ in range(2)]
    assert answers == ["authorization_pending", "slow_down"]
    DeviceSignIn.objects.update(polled_at=clock.now() - dt.timedelta(seconds=rules.INTERVAL_S))
    assert poll(begun["device_code"])[1]["error"] == "authorization_pending"


@pytest.mark.parametrize("organisation", ["umbrella", "", "acme' --"])
def test_only_own_organisations_are_offered(people: Cast, organisation: str) -> None:
    begun = begin()
    assert (
        decide(signed_in(people.alice), begun["user_code"], "allow", organisation).status_code
        == 422
    )
    assert poll(begun["device_code"])[1] == {"error": "authorization_pending"}


def test_sign_in_is_for_people_who_may_have_keys(people: Cast) -> None:
    vic, begun = signed_in(member(people.acme, "vic", Role.VIEWER)), begin()
    page = vic.get("/device", {"user_code": begun["user_code"]}).content.decode()
    assert "may not create API keys" in page
    assert decide(vic, begun["user_code"]).status_code == 422
    assert Client().get("/device").status_code == 302


@pytest.mark.parametrize("change", ["left", "off", "viewer", "suspended", "archived"])
def test_person_who_lost_key_rights_gets_no_key(people: Cast, change: str) -> None:
    """P11: rights are read when the key is created, not when the device was allowed."""
    begun = begin()
    decide(signed_in(people.bob), begun["user_code"])
    membership = people.bob.memberships.get(organisation=people.acme)
    match change:
        case "left":
            membership.delete()
        case "off":
            people.bob.is_active = False
            people.bob.save()
        case "viewer":
            membership.role = Role.VIEWER
            membership.save()
        case "suspended":
            people.acme.suspended_at = clock.now()
            people.acme.save()
        case "archived":
            people.acme.archived_at = clock.now()
            people.acme.save()
    assert poll(begun["device_code"]) == (400, {"error": "access_denied"})
    assert not Key.objects.filter(kind="relay").exists()


def test_signing_out_ends_its_own_key_alone(people: Cast) -> None:
    begun = begin()
    decide(signed_in(people.bob), begun["user_code"])
    text = poll(begun["device_code"])[1]["access_token"]
    _, other = make_key(people.core, "shared", user=people.bob)
    for token in (other, "sk-unknown", "", text):
        assert key_actor(text) is not None
        sent = Client().post("/oauth/revoke", {"token": token})
        assert (sent.status_code, sent.json()) == (200, {})
    assert key_actor(text) is None
    assert key_actor(other) is not None


def test_refresh_tokens_do_not_exist(people: Cast) -> None:
    """The protocol's words for: sign in again."""
    sent = Client().post("/oauth/token", {"grant_type": "refresh_token", "refresh_token": "x"})
    assert (sent.status_code, sent.json()) == (401, {"error": "invalid_grant"})
    sent = Client().post("/oauth/token", {"grant_type": "password"})
    assert (sent.status_code, sent.json()) == (400, {"error": "unsupported_grant_type"})


@pytest.mark.django_db(transaction=True)
def test_only_one_of_many_parallel_polls_gets_the_key(people: Cast) -> None:
    begun = begin()
    device_sign_in.allow(actor(people.bob, people.acme), begun["user_code"])
    gate = Barrier(6)

    def redeem(_: int) -> str:
        gate.wait(10)
        try:
            return device_sign_in.redeem(begun["device_code"]).text
        except DeviceRefused as refused:
            return refused.error
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(redeem, range(6)))
    assert answers.count("expired_token") == 5
    assert Key.objects.filter(name="Claude Code").count() == 1


def test_guesses_are_bounded(people: Cast) -> None:
    """34 bits, 20 a minute from a network: as for passwords."""
    alice = signed_in(people.alice)
    codes = [device_sign_in.new_user_code() for _ in range(22)]
    answers = [alice.get("/device", {"user_code": code}).status_code for code in codes]
    assert answers == [200] * 20 + [429] * 2
    sent = [Client().post("/oauth/device_authorization") for _ in range(31)]
    assert [one.status_code for one in sent] == [200] * 30 + [429]
    assert sent[-1].json() == {"error": "slow_down"}


@pytest.mark.parametrize(
    ("agent", "surface", "named"),
    [
        (AGENT, "", "Claude Code"),
        ("x", "claude_code", "Claude Code"),
        ("other/2.0 (x)", "", "other/2.0"),
        ("", "", "Device"),
        ("\0\x1b[31mred", "", "Device"),
    ],
)
def test_device_name_is_shown(people: Cast, agent: str, surface: str, named: str) -> None:
    form = {"surface": surface} if surface else {}
    Client().post("/oauth/device_authorization", form, headers={"User-Agent": agent})
    assert DeviceSignIn.objects.get().client == named


def test_device_signs_out_after_its_code_has_expired(people: Cast) -> None:
    """Its row is kept for as long as its key, whatever sign-in begins meanwhile."""
    begun = begin()
    decide(signed_in(people.bob), begun["user_code"])
    text = poll(begun["device_code"])[1]["access_token"]
    DeviceSignIn.objects.update(expires_at=clock.now() - dt.timedelta(days=1))
    begin()
    Client().post("/oauth/revoke", {"token": text})
    assert key_actor(text) is None


def test_device_gets_a_key_of_a_team_that_is_not_archived(people: Cast) -> None:
    lab = teams.create_team(people.acme, "Lab", actor=SYSTEM)
    teams.archive_team(people.core, actor=SYSTEM)
    begun = begin()
    decide(signed_in(people.bob), begun["user_code"])
    by = key_actor(poll(begun["device_code"])[1]["access_token"])
    assert by is not None
    assert by.key is not None
    assert by.key.team == lab
