"""W50: programs hold keys of their own; P23: nobody gives one more than they have."""

import json
from typing import Any

import pytest

from accounts.access.access import scope_of
from accounts.access.actors import SYSTEM, key_actor
from accounts.custom_roles import custom_roles
from accounts.keys import keys, service_accounts
from accounts.members import members
from accounts.models import Invitation, Key, KeyKind, Role, ServiceAccount
from accounts.organisations import projects, teams
from lib.ids import id_text
from lib.refusal import Refused
from tests.support.cast import Cast, actor, make_key, member, signed_in, with_key


def deployer(people: Cast, role: Role = Role.DEVELOPER, **over: Any) -> ServiceAccount:
    return service_accounts.create_service_account(
        people.core, "deployer", role, **{"actor": SYSTEM, **over}
    )


def test_service_keys_work_until_the_account_is_disabled(people: Cast) -> None:
    """P11"""
    account = deployer(people)
    _, text = make_key(people.core, "deploys", service_account=account)
    members.remove_member(people.acme, people.bob.email, actor=SYSTEM)
    assert key_actor(text) is not None
    change: dict[str, Any] = {"role": Role.DEVELOPER, "actor": SYSTEM}
    account = service_accounts.change_service_account(account, disabled=True, **change)
    assert key_actor(text) is None
    service_accounts.change_service_account(account, disabled=False, **change)
    assert key_actor(text) is not None


def test_own_keys_of_an_account_are_those_that_it_holds(people: Cast) -> None:
    """P12: not those that belong to nobody, or to another account. And P11: what it creates for
    itself ends with it."""
    account, second = deployer(people), teams.create_team(people.acme, "second", actor=SYSTEM)
    other = service_accounts.create_service_account(people.core, "other", actor=SYSTEM)
    _, text = make_key(people.core, "manages", service_account=account, kind=KeyKind.MANAGEMENT)
    make_key(people.core, "other's", service_account=other)
    for team in (people.core, second):
        make_key(team, f"nobody's in {team.slug}")
    client = with_key(text)

    def listed() -> list[str]:
        return [row["name"] for row in client.get("/api/v1/keys").json()["items"]]

    assert listed() == ["manages"]
    made = [
        client.post("/api/v1/keys", {"name": name}, content_type="application/json")
        for name in ("one", "two")
    ]
    assert [answer.status_code for answer in made] == [201, 201]
    assert listed() == ["two", "one", "manages"]
    one, two = (answer.json() for answer in made)
    assert client.delete(f"/api/v1/keys/{one['id']}").status_code in (200, 204)
    assert key_actor(two["secret"]) is not None
    service_accounts.change_service_account(
        account, role=Role.DEVELOPER, disabled=True, actor=SYSTEM
    )
    assert key_actor(two["secret"]) is None


def test_its_management_key_follows_its_role_in_its_team(people: Cast) -> None:
    """P12"""
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    account = deployer(people, Role.ADMIN)
    _, text = make_key(people.core, "manages", service_account=account, kind=KeyKind.MANAGEMENT)
    program = key_actor(text)
    assert program is not None
    assert (program.user, program.role) == (None, Role.ADMIN)
    assert scope_of(program, "keys.write") == "teams"
    assert scope_of(program, "balance.read") is None
    client = with_key(text)
    assert [row["slug"] for row in client.get("/api/v1/teams").json()["items"]] == ["core"]
    assert client.get(f"/api/v1/teams/{second.slug}").status_code == 404


@pytest.mark.parametrize("name", ["", "x" * 121, "a\nb", "DEPLOYER"])
def test_invalid_names(people: Cast, name: str) -> None:
    deployer(people)
    with pytest.raises(Refused) as refusal:
        service_accounts.create_service_account(people.core, name, actor=SYSTEM)
    assert refusal.value.field == "name"


def test_no_one_grants_an_account_more_than_they_have(people: Cast) -> None:
    """P23: neither by making, nor by changing it, nor by a key of one that has more."""
    keeper = custom_roles.create_role(
        people.acme, "keeper", ["keys.read", "keys.write", "keys.write_own"], actor=SYSTEM
    )
    member(people.acme, "ann", Role.VIEWER)
    by_role: dict[str, Any] = {"custom_role": keeper, "actor": SYSTEM}
    ann = members.set_member(people.acme, "ann@example.org", Role.CUSTOM, **by_role).user
    by = actor(ann, people.acme)
    for role in (Role.ADMIN, Role.VIEWER, Role.OWNER):
        with pytest.raises(Refused):
            deployer(people, role, actor=by)
    service_account = service_accounts.create_service_account(
        people.core, "kept", Role.CUSTOM, custom_role=keeper, actor=SYSTEM
    )
    with pytest.raises(Refused, match=r"as far as yours|You cannot grant"):
        service_accounts.change_service_account(
            service_account, role=Role.ADMIN, disabled=False, actor=by
        )
    rich = deployer(people, Role.ADMIN)
    with pytest.raises(Refused, match="You cannot grant"):
        keys.mint_key(
            by, people.core, "r", kind=KeyKind.MANAGEMENT, user=None, service_account=rich
        )


def test_no_one_rotates_a_more_powerful_management_key(people: Cast) -> None:
    """P23: who has the new text has all that its holder may do."""
    ann = actor(member(people.acme, "ann", Role.ADMIN), people.acme)
    manages: dict[str, Any] = {"kind": KeyKind.MANAGEMENT}
    owners, _ = make_key(people.core, "alice's", user=people.alice, **manages)
    bobs, _ = make_key(people.core, "bob's", user=people.bob, **manages)
    accounts, _ = make_key(
        people.core, "deployer's", service_account=deployer(people, Role.ADMIN), **manages
    )
    with pytest.raises(Refused, match="can do more than your own role"):
        keys.rotate_key(ann, owners, 0)
    for key in (bobs, accounts):
        assert keys.rotate_key(ann, key, 0)[1].startswith("sk-weir-m")
    developer = actor(people.bob, people.acme)
    with pytest.raises(Refused, match="can do more than your own role"):
        keys.rotate_key(developer, accounts, 0)
    assert keys.rotate_key(developer, bobs, 0)[0] == bobs
    page = signed_in(ann.user).post(  # type: ignore[arg-type]
        f"/o/acme/keys/{id_text(owners.id)}/rotate", {"grace_hours": "0"}
    )
    assert (page.status_code, "can do more" in page.content.decode()) == (422, True)


def test_a_key_and_its_holder_belong_to_one_team(people: Cast) -> None:
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    project = projects.create_project(second, "bot", actor=SYSTEM)
    for over, field in (
        ({"service_account": deployer(people)}, "service_account"),
        ({"project": projects.create_project(people.core, "web", actor=SYSTEM)}, "project"),
        ({"project": projects.archive_project(project, actor=SYSTEM)}, "project"),
    ):
        with pytest.raises(Refused) as refusal:
            make_key(second, "k", **over)
        assert refusal.value.field == field


def test_service_account_is_created_and_changed_on_its_pages(people: Cast) -> None:
    alice = signed_in(people.alice)
    form = {"name": "deployer", "team": "core", "role": "developer"}
    alice.post("/o/acme/service-accounts/new", form)
    account = ServiceAccount.objects.get()
    listed = alice.get("/o/acme/service-accounts").content.decode()
    assert "deployer" in listed
    edit = f"/o/acme/service-accounts/{id_text(account.id)}/edit"
    alice.post(edit, {"role": "viewer", "disabled": "on"})
    account.refresh_from_db()
    assert (account.role, account.disabled) == (Role.VIEWER, True)
    for user, status in ((people.bob, 403), (people.charlie, 404)):
        client = signed_in(user)
        assert client.get("/o/acme/service-accounts").status_code == status
        assert client.post(edit, {"role": "admin"}).status_code == status
        assert client.post("/o/acme/service-accounts/new", form).status_code == status


def test_a_key_is_made_for_it_on_the_page_of_keys(people: Cast) -> None:
    account = deployer(people)
    project = projects.create_project(people.core, "bot", actor=SYSTEM)
    alice = signed_in(people.alice)
    assert "deployer" in alice.get("/o/acme/keys/new").content.decode()
    values = {
        "name": "deploys", "kind": "relay", "owner": id_text(account.id), "project": "bot",
        "log_content": "on",
    }  # fmt: skip
    assert alice.post("/o/acme/keys/new", values).status_code == 200
    key = Key.objects.get(name="deploys")
    assert (key.user, key.service_account, key.project) == (None, account, project)
    assert "deployer" in alice.get("/o/acme/keys?q=deployer").content.decode()
    # A developer makes keys of their own alone.
    assert "deployer" not in signed_in(people.bob).get("/o/acme/keys/new").content.decode()
    signed_in(people.bob).post("/o/acme/keys/new", {**values, "name": "mine"})
    assert Key.objects.get(name="mine").service_account is None


def test_the_api_makes_and_changes_it_and_its_keys(people: Cast) -> None:
    _, text = make_key(people.core, "admin", kind=KeyKind.MANAGEMENT, user=people.alice)
    client = with_key(text)

    def send(method: str, path: str, body: dict[str, Any]) -> Any:
        return client.generic(method, f"/api/v1{path}", json.dumps(body), "application/json")

    document = send("POST", "/service-accounts", {"name": "deployer", "team": "core"}).json()
    assert (document["role"], document["disabled"]) == ("developer", False)
    projects.create_project(people.core, "bot", actor=SYSTEM)
    body = {"name": "k", "team": "core", "service_account": document["id"], "project": "bot"}
    key = send("POST", "/keys", body).json()
    assert (key["owner"], key["service_account"], key["project"]) == (None, document["id"], "bot")
    assert send("PATCH", f"/keys/{key['id']}", {"project": None}).json()["project"] is None
    changed = send("PATCH", f"/service-accounts/{document['id']}", {"disabled": True}).json()
    assert changed["disabled"] is True
    assert send("POST", "/service-accounts", {"name": "x", "team": "none"}).status_code == 404
    wrong = send("POST", "/service-accounts", {"name": "x", "team": "core", "role": "king"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (422, "role")
    foreign = service_accounts.create_service_account(
        people.stranger.teams.get(), "theirs", actor=SYSTEM
    )
    path = f"/service-accounts/{id_text(foreign.id)}"
    assert send("PATCH", path, {"disabled": True}).status_code == 404
    body = {"name": "k2", "service_account": id_text(foreign.id)}
    assert send("POST", "/keys", body).status_code == 404


def test_service_account_never_invites(people: Cast) -> None:
    """P23: an invitation holds as long as the person who sent it may give its role."""
    robot = service_accounts.create_service_account(
        people.core, "robot", Role.ADMIN, actor=actor(people.alice, people.acme)
    )
    _, text = make_key(people.core, "m", kind=KeyKind.MANAGEMENT, service_account=robot)
    answer = with_key(text).post(
        "/api/v1/invitations",
        json.dumps({"emails": ["new@example.org"], "role": "viewer", "teams": ["core"]}),
        content_type="application/json",
    )
    assert answer.status_code == 422
    assert "Only a person can invite others" in answer.content.decode()
    assert not Invitation.objects.exists()
