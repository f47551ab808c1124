"""P36: the pages and operations of one's own data, and of erasing people."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.members import invitations, members
from accounts.models import AuditEvent, Erasure, KeyKind, Membership, Role
from config.jobs.runs import note_backup
from content.prompts import prompts
from content.prompts.settings import Settings
from lib import clock
from lib.ids import id_text
from playground.erasure.erasure_steps import erase_people
from playground.models import Attachment, Conversation, Message
from tests.support.cast import Cast, actor, confirmed, make_key, member, signed_in, with_key
from tests.support.golden_texts import GoldenTexts
from usage.overview import chart_notes

pytestmark = pytest.mark.django_db

FILES = GoldenTexts(Path(__file__).with_name("own_data.txt"))
_ID = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{26}\b")


def text_of(response: Any) -> str:
    return str(response.content.decode())


def files_of(response: Any) -> dict[str, bytes]:
    raw = b"".join(response.streaming_content) if response.streaming else response.content
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def member_url(people: Cast, user: Any, rest: str = "erase") -> str:
    pk = Membership.objects.get(user=user, organisation=people.acme).pk
    return f"/o/acme/team/members/{pk}/{rest}"


def test_person_downloads_their_stored_data(people: Cast) -> None:
    chat = Conversation.objects.create(
        organisation=people.acme, team=people.core, user=people.bob, title="mine", model="m"
    )
    Message.objects.create(conversation=chat, role="user", content="what I asked")
    file = Attachment.objects.create(
        organisation=people.acme, user=people.bob, name="../a b.txt", kind="text",
        media_type="text/plain", size=4, data=b"text",
    )  # fmt: skip
    prompts.save_prompt(actor(people.bob, people.acme), "p", "m", Settings(), note="", shared=False)
    _, text = make_key(people.core, "mine", user=people.bob)
    _, other = make_key(people.core, "alice's", user=people.alice)
    client = signed_in(people.bob)
    assert "/account/data/download" in text_of(client.get("/account/data"))
    files = files_of(client.post("/account/data/download"))
    assert json.loads(files["profile.json"])["email"] == "bob@example.org"
    assert json.loads(files["memberships.json"])[0]["organisation"] == "acme"
    chats = [json.loads(raw) for name, raw in files.items() if name.startswith("chats/")]
    assert [one["messages"][0]["content"] for one in chats] == ["what I asked"]
    assert files[f"files/{file.text_id}-.._a_b.txt"] == b"text"
    assert [one["name"] for one in json.loads(files["keys.json"])] == ["mine"]
    assert [one["slug"] for one in json.loads(files["prompts.json"])] == ["p"]
    FILES.check("own data", {"own data": "\n".join(_members_of_each(files))})
    everything = b"".join(files.values()).decode()
    assert text not in everything
    assert "alice's" not in everything
    assert other not in everything
    assert "prompt" in json.loads(files["audit/0001.json"])[0]["action"]
    assert AuditEvent.objects.filter(action="user.data_downloaded").exists()


def _members_of_each(files: dict[str, bytes]) -> Iterator[str]:
    """Each file with the members of the objects in it."""
    for name, raw in sorted(files.items()):
        value = json.loads(raw) if name.endswith(".json") else {}
        first = (value[0] if value else {}) if isinstance(value, list) else value
        yield f"{_ID.sub('§', name)}: {' '.join(sorted(first))}"


def test_dangerous_actions_need_a_recent_sign_in(people: Cast) -> None:
    client = signed_in(people.bob)
    confirmed(client, people.bob, clock.now().replace(year=2020))
    for address, method in (
        ("/account/data/download", client.post), ("/account/data/delete", client.get),
        ("/account/data/delete", client.post),
    ):  # fmt: skip
        assert "/account/confirm" in method(address)["Location"]
    owner = signed_in(people.alice)
    confirmed(owner, people.alice, clock.now().replace(year=2020))
    assert "/account/confirm" in owner.post(member_url(people, people.bob))["Location"]
    operator = signed_in(people.dora)
    confirmed(operator, people.dora, clock.now().replace(year=2020))
    assert "/confirm" in operator.post(f"/admin/people/{people.bob.pk}/erase")["Location"]
    body = {"email": people.bob.email, "reason": "r"}
    answer = operator.post(
        f"/api/v1/people/{people.bob.pk}/erase", body, content_type="application/json"
    )
    assert answer.status_code == 403
    assert not Erasure.objects.exists()


def test_person_deletes_their_account(people: Cast) -> None:
    key, _ = make_key(people.core, "ci", user=people.bob)
    client = signed_in(people.bob)
    text = text_of(client.get("/account/data/delete"))
    assert "1 of them shared" not in text
    assert "Key ci" in text
    assert 'name="reason"' not in text
    wrong = client.post("/account/data/delete", {"email": "x@example.org", _field(key): "revoke"})
    assert wrong.status_code == 422
    assert not Erasure.objects.exists()
    gone = client.post("/account/data/delete", {"email": "BOB@example.org", _field(key): "revoke"})
    assert gone["Location"] == "/account/deleted"
    assert "Your account is deleted" in text_of(client.get("/account/deleted"))
    assert "/login" in client.get("/o/acme/")["Location"]
    assert erase_people() == 1
    people.bob.refresh_from_db()
    assert people.bob.email.endswith("@erased.invalid")


def _field(key: Any) -> str:
    return f"key-{id_text(key.id)}"


def test_last_owner_learns_what_to_do_first(people: Cast) -> None:
    client = signed_in(people.alice)
    page = text_of(client.get("/account/data"))
    assert "last owner of Acme" in page
    assert "/account/data/delete" not in page
    answer = client.post("/account/data/delete", {"email": people.alice.email}, follow=True)
    assert answer.redirect_chain[-1][0] == "/account/data"
    assert not Erasure.objects.exists()


def test_an_owner_erases_a_member_and_sees_its_state(people: Cast) -> None:
    note_backup(clock.now())
    client = signed_in(people.alice)
    url = member_url(people, people.bob)
    assert url in text_of(client.get(member_url(people, people.bob, "")[:-1]))
    text = text_of(client.get(url))
    assert "The newest one there is was made" in text
    assert client.post(url, {"email": people.bob.email}).status_code == 422
    answer = client.post(url, {"email": people.bob.email, "reason": "left the company"})
    state = text_of(client.get(answer["Location"]))
    assert "Step 0 of" in state
    erase_people()
    assert "Done" in text_of(client.get(answer["Location"]))
    # Nobody else's owner looks at it.
    other = answer["Location"].replace("/acme/", "/stranger/")
    assert signed_in(people.charlie).get(other).status_code == 404
    event = AuditEvent.objects.get(action="user.erasure_asked")
    assert (event.actor_user, event.reason) == (people.alice, "left the company")
    assert event.detail["email"].endswith("@erased.invalid")


def test_an_admin_has_no_such_page(people: Cast) -> None:
    admin = signed_in(member(people.acme, "adam", Role.ADMIN))
    assert "/erase" not in text_of(admin.get(member_url(people, people.bob, "")[:-1]))
    assert admin.get(member_url(people, people.bob)).status_code == 403


def test_owner_learns_what_stays(people: Cast) -> None:
    """P12: the account, and what lies in other organisations."""
    members.set_member(people.stranger, people.bob.email, Role.VIEWER, actor=SYSTEM)
    text = text_of(signed_in(people.alice).get(member_url(people, people.bob)))
    assert "They lose access to Acme at once" in text
    assert "its data in other organisations" in text
    assert "Stranger" not in text
    assert "two-factor" not in text


def live_elsewhere(people: Cast) -> str:
    """Let bob do things in the other organisation, leave it, and be invited again; return what
    stands in each of its rows."""
    members.set_member(people.stranger, people.bob.email, Role.ADMIN, actor=SYSTEM)
    there = actor(people.bob, people.stranger)
    make_key(people.stranger.teams.get(), "zelsewherez", user=people.bob)
    note = chart_notes.add_note(there, clock.now(), "zelsewherez secret")
    chart_notes.delete_note(there, note)
    members.remove_member(people.stranger, people.bob.email, actor=SYSTEM)
    invitations.invite(
        people.stranger, [people.bob.email], invitations.Offer(Role.VIEWER, message="zelsewherez"),
        actor=actor(people.charlie, people.stranger),
    )  # fmt: skip
    return "zelsewherez"


def test_owner_reads_the_organisations_rows(people: Cast) -> None:
    """P12: nothing of an organisation that the member left or is invited to."""
    word = live_elsewhere(people)
    make_key(people.core, "here", user=people.bob)
    pk = Membership.objects.get(user=people.bob, organisation=people.acme).pk
    files = files_of(signed_in(people.alice).get(f"/api/v1/members/{pk}/data"))
    everything = b"".join(files.values()).decode()
    assert [key["name"] for key in json.loads(files["keys.json"])] == ["here"]
    assert json.loads(files["profile.json"]) == {"email": people.bob.email, "name": "Bob"}
    assert "sign-ins.json" not in files
    assert json.loads(files["invitations.json"]) == []
    for foreign in (word, "stranger", id_text(people.stranger.pk), str(people.stranger.pk)):
        assert foreign not in everything
    assert AuditEvent.objects.get(action="user.data_downloaded").organisation == people.acme
    whole = files_of(signed_in(people.dora).get(f"/api/v1/people/{people.bob.pk}/data"))
    assert {key["name"] for key in json.loads(whole["keys.json"])} == {"here", word}
    assert len(json.loads(whole["invitations.json"])) == 1
    assert "networks" in json.loads(whole["sign-ins.json"])


def test_an_operator_erases_from_the_list_of_people(people: Cast, settings: Any) -> None:
    settings.BACKUP_KEEP_DAYS = 30
    note_backup(clock.now())
    client = signed_in(people.dora)
    url = f"/admin/people/{people.bob.pk}/erase"
    listed = text_of(client.get("/admin/people"))
    assert url in listed
    assert f"/admin/people/{people.dora.pk}/erase" not in listed
    answer = client.post(url, {"email": people.bob.email, "reason": "asked for it by letter"})
    assert answer["Location"] == f"/admin/people/{people.bob.pk}/erasure"
    assert client.get(url)["Location"] == answer["Location"]
    erase_people()
    state = text_of(client.get(answer["Location"]))
    assert "The last backup with this person ends" in state
    Erasure.objects.update(done_at=None, step="texts", waits_for="failed")
    state = text_of(client.get(answer["Location"]))
    assert "It failed, and is tried again." in state
    erasure = client.get(f"/api/v1/people/{people.bob.pk}/erasure").json()
    assert erasure["state"] == "failed"
    listed = text_of(client.get("/admin/people"))
    assert "Erased" in listed
    assert "bob@example.org" not in listed
    assert f"/admin/people/{people.bob.pk}/activate" not in listed


def test_operators_api(people: Cast) -> None:
    client = signed_in(people.dora)
    url = f"/api/v1/people/{people.bob.pk}"
    before = client.get(f"{url}/erasure").json()
    assert (before["state"], before["obstacle"], before["counts"]["keys"]) == ("none", None, 0)
    owner = client.get(f"/api/v1/people/{people.alice.pk}/erasure").json()
    assert "last owner of Acme" in owner["obstacle"]
    files = files_of(client.get(f"{url}/data"))
    assert "profile.json" in files
    assert not any(name.startswith(("chats/", "prompts", "files/")) for name in files)
    wrong = send(client, f"{url}/erase", email="x@example.org", reason="r")
    assert wrong.status_code == 422
    answer = send(client, f"{url}/erase", email=people.bob.email, reason="asked for it")
    assert (answer.status_code, answer.json()["state"]) == (202, "running")
    again = send(client, f"{url}/erase", email=people.bob.email, reason="asked for it")
    assert again.status_code == 422
    erase_people()
    after = client.get(f"{url}/erasure").json()
    assert (after["state"], after["pseudonym"]) == ("done", answer.json()["pseudonym"])


def test_keys_handle_personal_data_only_where_allowed(people: Cast) -> None:
    """The archive and the erasure, as changes of single sign-on."""
    members.set_member(people.acme, people.dora.email, Role.OWNER, actor=SYSTEM)
    _, text = make_key(people.core, "m", user=people.dora, kind=KeyKind.MANAGEMENT)
    client, pk = with_key(text), Membership.objects.get(user=people.bob).pk
    for path in (f"members/{pk}", f"people/{people.bob.pk}"):
        body = {"email": people.bob.email, "reason": "left"}
        answers = [
            client.get(f"/api/v1/{path}/data"), send(client, f"/api/v1/{path}/erase", **body)
        ]  # fmt: skip
        for answer in answers:
            assert (answer.status_code, "PERSONAL_DATA_BY_KEY" in text_of(answer)) == (403, True)
    assert not Erasure.objects.exists()
    assert not AuditEvent.objects.filter(action="user.data_downloaded").exists()


def test_owners_api(people: Cast, settings: Any) -> None:
    settings.PERSONAL_DATA_BY_KEY = True
    kept, _ = make_key(people.core, "kept", user=people.bob)
    _, text = make_key(people.core, "m", user=people.alice, kind=KeyKind.MANAGEMENT)
    client = with_key(text)
    pk = Membership.objects.get(user=people.bob).pk
    url = f"/api/v1/members/{pk}"
    assert client.get(f"{url}/erasure").json()["counts"]["keys"] == 1
    assert "keys.json" in files_of(client.get(f"{url}/data"))
    body = {"email": people.bob.email, "reason": "left", "keys": "transfer"}
    assert send(client, f"{url}/erase", **body).status_code == 422
    nobody = send(client, f"{url}/erase", **body, keys_to="nobody@example.org")
    assert nobody.status_code == 422
    answer = send(client, f"{url}/erase", **body, keys_to=people.alice.email)
    assert answer.status_code == 202
    kept.refresh_from_db()
    assert (kept.user, kept.revoked_at) == (people.alice, None)


def send(client: Client, url: str, **body: Any) -> Any:
    return client.post(url, body, content_type="application/json")
