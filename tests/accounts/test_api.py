import datetime as dt
import json
from typing import Any

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.keys import keys, service_accounts
from accounts.members import members
from accounts.models import AuditEvent, Key, KeyKind, Membership, Role
from lib import clock
from lib.ids import id_text, new_id
from tests.support.cast import Cast, make_key, member, person, signed_in, with_key

URL = "/api/v1/keys"


def management(people: Cast, user: Any = None, name: str = "terraform") -> Client:
    _, text = make_key(people.core, name, kind=KeyKind.MANAGEMENT, user=user or people.alice)
    return with_key(text)


def names(response: Any) -> list[str]:
    """Sorted, because keys that are made in one millisecond have no order."""
    assert response.status_code == 200, response.content
    return sorted(item["name"] for item in response.json()["items"])


def test_nothing_is_revealed_without_a_key(people: Cast, client: Client) -> None:
    response = client.get(URL)
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")
    assert response.json()["request_id"] == response["x-request-id"]


@pytest.mark.parametrize(
    "carrier",
    [
        lambda text: {"authorization": f"Bearer {text}"},
        lambda text: {"authorization": f"bearer {text}"},
        lambda text: {"authorization": text},
        lambda text: {"x-api-key": text},
        lambda text: {"x-goog-api-key": text},
        lambda text: {"authorization": f"Bearer {text}", "x-api-key": text},
    ],
)
def test_every_carrier_is_read_alike(people: Cast, carrier: Any) -> None:
    _, text = make_key(people.core, "ci")
    assert names(Client(headers=carrier(text)).get(URL)) == ["ci"]


def test_two_different_keys_are_refused(people: Cast) -> None:
    _, one = make_key(people.core, "one")
    _, two = make_key(people.core, "two")
    both = Client(headers={"authorization": f"Bearer {one}", "x-api-key": two})
    response = both.get(URL)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "key_conflict"


def test_a_model_key_reads_itself_only(people: Cast) -> None:
    make_key(people.core, "other")
    own, text = make_key(people.core, "ci")
    program = with_key(text)
    assert names(program.get(URL)) == ["ci"]
    assert program.get(f"{URL}/{id_text(own.id)}").status_code == 200
    other = Key.objects.get(name="other")
    assert program.get(f"{URL}/{id_text(other.id)}").status_code == 404
    assert program.post(URL, {"name": "more"}, "application/json").status_code == 403
    assert program.delete(f"{URL}/{id_text(own.id)}").status_code == 403


def test_a_management_key_does_what_its_person_may(people: Cast) -> None:
    make_key(people.core, "alices", user=people.alice)
    bobs, _ = make_key(people.core, "bobs", user=people.bob)
    alice, bob = management(people), management(people, people.bob, "bobs-tool")
    assert names(alice.get(URL)) == ["alices", "bobs", "bobs-tool", "terraform"]
    assert names(bob.get(URL)) == ["bobs", "bobs-tool"]
    alices = Key.objects.get(name="alices")
    assert bob.delete(f"{URL}/{id_text(alices.id)}").status_code == 404
    assert alice.delete(f"{URL}/{id_text(bobs.id)}").json()["state"] == "revoked"


def test_a_stranger_sees_and_changes_nothing(people: Cast) -> None:
    key, _ = make_key(people.core, "ci")
    team = people.stranger.teams.get()
    _, text = make_key(team, "theirs", kind=KeyKind.MANAGEMENT, user=people.charlie)
    stranger = with_key(text)
    assert names(stranger.get(URL)) == ["theirs"]
    foreign = stranger.get(f"{URL}/{id_text(key.id)}")
    missing = stranger.get(f"{URL}/{id_text(new_id())}")
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json()["error"] == missing.json()["error"]
    assert stranger.delete(f"{URL}/{id_text(key.id)}").status_code == 404
    key.refresh_from_db()
    assert key.revoked_at is None


def test_billing_reads_keys_and_makes_none(people: Cast) -> None:
    make_key(people.core, "ci")
    fay = signed_in(member(people.acme, "fay", Role.BILLING))
    assert names(fay.get(URL)) == ["ci"]
    response = management(people, member(people.acme, "gil", Role.BILLING), "gil").post(
        URL, {"name": "more"}, "application/json"
    )
    assert response.status_code == 403
    assert response.json()["error"]["type"] == "permission_error"
    assert "developer" in response.json()["error"]["message"]


def test_the_secret_is_in_one_answer_only(people: Cast) -> None:
    program = management(people)
    answer = program.post(URL, {"name": "ci", "models": ["gpt-*"]}, "application/json")
    assert answer.status_code == 201
    secret = answer.json()["secret"]
    assert Key.objects.get(name="ci").user == people.alice
    assert names(with_key(secret).get(URL)) == ["ci"]
    later = [
        program.get(URL),
        program.get(f"{URL}/{answer.json()['id']}"),
        program.delete(f"{URL}/{answer.json()['id']}"),
    ]
    assert all(secret not in response.content.decode() for response in later)
    assert secret not in str(list(AuditEvent.objects.values()))
    event = AuditEvent.objects.get(action="key.revoked")
    assert event.actor_key == Key.objects.get(name="terraform").id


def test_key_is_created_for_a_member_by_address(people: Cast) -> None:
    """P23: by whoever manages the keys of the team, for its active members alone."""
    alice, sent = management(people), {"team": people.core.slug}
    for number, address in enumerate((people.bob.email.upper(), people.alice.email)):
        body = sent | {"name": f"for {number}", "owner": address}
        assert alice.post(URL, body, content_type="application/json").status_code == 201
    assert Key.objects.get(name="for 0").user == people.bob
    assert Key.objects.get(name="for 1").user == people.alice
    account = service_accounts.create_service_account(people.core, "deploys", actor=SYSTEM)
    member(people.acme, "fay", Role.BILLING)
    bob = management(people, people.bob, name="of bob")
    sees = custom_roles.create_role(
        people.acme, "Sees", ["members.read", "keys.write_own"], actor=SYSTEM
    )
    reader = person("eve")
    members.set_member(people.acme, reader.email, Role.CUSTOM, custom_role=sees, actor=SYSTEM)
    eve = management(people, reader, name="of eve")
    for client, wrong in (
        (alice, {"owner": people.charlie.email}),
        (alice, {"owner": "nobody@example.org"}),
        (alice, {"owner": people.bob.email, "kind": "management"}),
        (alice, {"owner": people.bob.email, "service_account": id_text(account.id)}),
        (alice, {"owner": "fay@example.org"}),
        (bob, {"owner": people.alice.email}),
        (eve, {"owner": people.bob.email}),
    ):
        body = sent | {"name": "wrong"} | wrong
        answer = client.post(URL, body, content_type="application/json")
        assert (answer.status_code, answer.json()["error"]["param"]) == (422, "owner"), wrong
    assert not Key.objects.filter(name="wrong").exists()


def test_a_key_is_rotated_and_its_former_secret_ended(people: Cast) -> None:
    program = management(people)
    body = program.post(URL, {"name": "ci"}, "application/json").json()
    url, old = f"{URL}/{body['id']}", body["secret"]
    assert body["former_secrets"] == []
    rotated = program.post(f"{url}/rotate", {"grace_hours": 2}, "application/json")
    assert rotated.status_code == 200
    new = rotated.json()["secret"]
    assert rotated.json()["last4"] == new[-4:]
    (former,) = program.get(url).json()["former_secrets"]
    assert (former["last4"], former["last_used_at"]) == (old[-4:], None)
    left = dt.datetime.fromisoformat(former["until"]) - clock.now()
    assert dt.timedelta(hours=1) < left <= dt.timedelta(hours=2)
    assert names(with_key(old).get(URL)) == names(with_key(new).get(URL)) == ["ci"]
    text = program.get(url).content.decode()
    assert old not in text
    assert new not in text
    ended = program.delete(f"{url}/former-secrets")
    assert (ended.status_code, ended.json()["former_secrets"]) == (200, [])
    assert with_key(old).get(URL).status_code == 401
    assert names(with_key(new).get(URL)) == ["ci"]


@pytest.mark.parametrize(
    ("body", "status"),
    [({"grace_hours": 169}, 422), ({"grace_hours": "2"}, 400), ({"hours": 2}, 400)],
)
def test_a_wrong_grace_rotates_nothing(people: Cast, body: dict[str, Any], status: int) -> None:
    key, text = make_key(people.core, "ci")
    url = f"{URL}/{id_text(key.id)}/rotate"
    assert management(people).post(url, body, "application/json").status_code == status
    assert not AuditEvent.objects.filter(action="key.rotated").exists()
    assert with_key(text).get(URL).status_code == 200


def test_person_who_may_not_change_a_key_cannot_rotate_it(people: Cast) -> None:
    alices, text = make_key(people.core, "alices", user=people.alice)
    url = f"{URL}/{id_text(alices.id)}"
    bob, fay = people.bob, member(people.acme, "fay", Role.BILLING)
    for user, status in ((bob, 404), (fay, 403)):
        program = management(people, user, user.name)
        assert program.post(f"{url}/rotate", {}, "application/json").status_code == status
        assert program.delete(f"{url}/former-secrets").status_code == status
    assert with_key(text).post(f"{url}/rotate", {}, "application/json").status_code == 403


def test_revoked_key_is_dead_immediately(people: Cast) -> None:
    key, text = make_key(people.core, "ci")
    assert with_key(text).get(URL).status_code == 200
    keys.revoke_key(SYSTEM, key)
    assert with_key(text).get(URL).status_code == 401


def test_a_disabled_expired_or_orphaned_key_is_dead(people: Cast) -> None:
    disabled, text = make_key(people.core, "disabled")
    keys.change_key(SYSTEM, disabled, disabled=True)
    assert with_key(text).get(URL).status_code == 401
    expired, text = make_key(people.core, "expired")
    Key.objects.filter(id=expired.id).update(expires_at=clock.now() - dt.timedelta(seconds=1))
    assert with_key(text).get(URL).status_code == 401
    _, text = make_key(people.core, "bobs", user=people.bob)
    assert with_key(text).get(URL).status_code == 200
    Membership.objects.filter(user=people.bob).delete()
    assert with_key(text).get(URL).status_code == 401
    _, text = make_key(people.core, "alices", user=people.alice)
    people.alice.is_active = False
    people.alice.save()
    assert with_key(text).get(URL).status_code == 401


@pytest.mark.parametrize("text", ["sk-weir-" + "0" * 38, "short", "not a key at all é", "x" * 40])
def test_invalid_key_text_opens_nothing(people: Cast, text: str) -> None:
    assert Client(headers={"x-api-key": text}).get(URL).status_code == 401


def test_a_session_needs_the_csrf_header_to_write(people: Cast) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(people.bob, backend="django.contrib.auth.backends.ModelBackend")
    refused = browser.post(URL, {"name": "ci"}, "application/json")
    assert refused.status_code == 403
    assert not Key.objects.filter(name="ci").exists()
    browser.get("/o/acme/keys")
    csrf = browser.cookies[next(name for name in browser.cookies if "csrf" in name)].value
    response = browser.post(URL, {"name": "ci"}, "application/json", headers={"x-csrftoken": csrf})
    assert response.status_code == 201


def test_session_acts_in_the_last_visited_organisation(people: Cast) -> None:
    make_key(people.core, "ci", user=people.bob)
    bob = signed_in(people.bob)
    assert names(bob.get(URL)) == ["ci"]


def test_pages_join_without_gap_or_double(people: Cast) -> None:
    for number in range(5):
        make_key(people.core, f"k{number}")
    program = management(people, name="k5")
    seen, cursor = [], None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = program.get(URL, query).json()
        seen += [item["name"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(seen) == ["k0", "k1", "k2", "k3", "k4", "k5"]


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"name": "ci", "role": "owner"}, 400, "unknown_parameter", "role"),
        ({"name": "ci", "organisation": "x"}, 400, "unknown_parameter", "organisation"),
        ({}, 400, "missing_required_parameter", "name"),
        ({"name": 7}, 400, "invalid_type", "name"),
        ({"name": ""}, 422, "invalid_value", "name"),
        ({"name": "ci", "kind": "playground"}, 422, "invalid_value", "kind"),
        ({"name": "ci", "models": ["a b"]}, 422, "invalid_value", "models.0"),
        ({"name": "taken"}, 409, "already_exists", "name"),
        ({"name": "ci", "expires_at": "2001-01-01T00:00:00Z"}, 422, "invalid_value", "expires_at"),
    ],
)
def test_a_wrong_body_is_named(
    people: Cast, body: dict[str, Any], status: int, code: str, param: str
) -> None:
    make_key(people.core, "taken")
    response = management(people).post(URL, body, "application/json")
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (status, code, param)
    assert not Key.objects.filter(name="ci").exists()


@pytest.mark.parametrize(
    "text",
    ["{", '{"name": "a", "name": "b"}', '{"name": NaN}', '{"name": ' + "[" * 70 + "]" * 70 + "}"],
)
def test_json_that_cannot_be_read_is_refused(people: Cast, text: str) -> None:
    response = management(people).post(URL, text, "application/json")
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_unstorable_text_is_rejected_by_its_field(people: Cast) -> None:
    response = management(people).post(URL, '{"name": "a\\u0000"}', "application/json")
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (422, "name")


@pytest.mark.parametrize(
    ("query", "status", "param"),
    [
        ({"limit": 0}, 422, "limit"),
        ({"limit": 201}, 422, "limit"),
        ({"limit": "many"}, 400, "limit"),
        ({"cursor": "nonsense"}, 422, "cursor"),
        ({"owner": "bob"}, 400, "owner"),
    ],
)
def test_a_wrong_query_is_named(
    people: Cast, query: dict[str, Any], status: int, param: str
) -> None:
    response = management(people).get(URL, query)
    assert (response.status_code, response.json()["error"]["param"]) == (status, param)


def test_an_unknown_query_field_is_refused_where_none_is_known(people: Cast) -> None:
    key, text = make_key(people.core, "ci")
    response = with_key(text).get(f"{URL}/{id_text(key.id)}", {"verbose": 1})
    assert response.json()["error"]["code"] == "unknown_parameter"


def test_the_playground_key_is_not_listed(people: Cast) -> None:
    hidden = keys.playground_key(people.acme)
    program = management(people)
    assert names(program.get(URL, {"state": "all"})) == ["terraform"]
    assert program.get(f"{URL}/{id_text(hidden.id)}").status_code == 404


def test_an_operator_without_an_organisation_lists_nothing(people: Cast) -> None:
    make_key(people.core, "ci")
    assert names(signed_in(people.dora).get(URL)) == []


def test_no_answer_is_cached_on_the_way(people: Cast) -> None:
    _, text = make_key(people.core, "ci")
    response = with_key(text).get(URL)
    assert "no-store" in response["Cache-Control"]
    assert json.loads(response.content)


def test_an_expiry_of_any_offset_is_kept_as_its_instant(people: Cast) -> None:
    """The database reads no offset of 16 hours or more."""
    for at, status in (("2099-01-01T00:00:00+23:59", 201), ("9999-12-31T23:59:59-14:00", 422)):
        body = {"name": at, "expires_at": at}
        assert management(people, name=f"m {at}").post(
            URL, body, "application/json"
        ).status_code == (status)


def test_a_key_says_which_labels_its_requests_must_have(people: Cast) -> None:
    client = management(people)
    document = client.post(
        URL, {"name": "web", "required_labels": ["customer"]}, content_type="application/json"
    ).json()
    assert document["required_labels"] == ["customer"]
    path = f"{URL}/{document['id']}"
    for labels, status in ((["project", "tags"], 200), (["colour"], 422), (None, 422)):
        body = json.dumps({"required_labels": labels})
        assert client.patch(path, body, "application/json").status_code == status, labels
    assert client.get(path).json()["required_labels"] == ["project", "tags"]
