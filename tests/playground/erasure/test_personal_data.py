"""The archive of what the installation has of a person."""

import json

import pytest

from accounts.audit import audit
from accounts.models import AuditEvent, Invitation, Role, User
from content.prompts import prompts
from content.prompts.settings import Settings
from lib import clock
from lib.ids import id_text, new_id
from playground.erasure import personal_data
from playground.models import (
    Attachment,
    Conversation,
    MediaFile,
    MediaRun,
    Message,
    Preset,
    ShareLink,
    Vote,
)
from tests.support.cast import Cast, actor, make_key
from tests.usage.rows import credit, happen, refuse
from usage.models import Feedback, SavedView

pytestmark = pytest.mark.django_db


def test_archive_of_an_organisation_has_nothing_of_another(people: Cast) -> None:
    """P12: neither keys nor requests. The attempts before the last one are not the person's."""
    here, _ = make_key(people.core, "here", user=people.bob)
    there, _ = make_key(people.stranger.teams.get(), "there", user=people.bob)
    credit(here)
    asked = [refuse(key) for key in (here, there)]
    happen(here, clock.now(), 0, final=False, status=502)
    whole = dict(personal_data.personal_data(people.bob, content=False))
    part = dict(personal_data.data_in_organisation(people.bob, people.acme))
    for files, of in ((whole, asked), (part, asked[:1])):
        requests = json.loads(files["requests/0001.json"])
        assert {one["id"] for one in requests} == {id_text(record.id) for record in of}
    names = [{key["name"] for key in json.loads(files["keys.json"])} for files in (whole, part)]
    assert names == [{"here", "there"}, {"here"}]


def test_archive_has_invitations_to_the_address_in_any_case(people: Cast) -> None:
    """P36: of a person and of a member, as erasing them removes them in any case."""
    Invitation.objects.bulk_create(
        Invitation(
            organisation=organisation, email=people.bob.email.upper(), role=Role.VIEWER,
            expires_at=clock.now(), digest=organisation.slug.encode(),
        )
        for organisation in (people.acme, people.stranger)
    )  # fmt: skip
    for files, count in (
        (personal_data.personal_data(people.bob, content=False), 2),
        (personal_data.data_in_organisation(people.bob, people.acme), 1),
    ):
        assert len(json.loads(dict(files)["invitations.json"])) == count


def test_archive_has_each_row_once_however_many_are_in_a_file(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = make_key(people.core, "bob", user=people.bob)
    requests = sorted(id_text(refuse(key).id) for _ in range(4))
    for n in range(4):
        audit.record(actor(people.bob, people.acme), people.acme, "team.changed", people.core, n=n)
    events = AuditEvent.objects.filter(actor_user=people.bob).order_by("id")
    audited = [id_text(event.id) for event in events]
    assert len(audited) == 4
    for at_once in (3, 4):
        monkeypatch.setattr(personal_data, "_BATCH", at_once)
        for files in (
            dict(personal_data.personal_data(people.bob, content=False)),
            dict(personal_data.data_in_organisation(people.bob, people.acme)),
        ):
            for folder, ids in (("requests", requests), ("audit", audited)):
                parts = [json.loads(files[name]) for name in sorted(files) if folder in name]
                assert [len(part) for part in parts] == [
                    min(at_once, 4 - first) for first in range(0, 4, at_once)
                ]
                assert [row["id"] for part in parts for row in part] == ids, at_once


def live(people: Cast, user: User) -> None:
    """Leave one of each thing that a person makes with texts or files."""
    key, _ = make_key(people.core, user.email, user=user)
    chat = Conversation.objects.create(
        organisation=people.acme, team=people.core, user=user, title="t", model="m"
    )
    asked = Message.objects.create(conversation=chat, role="user", content="Hi")
    Message.objects.create(
        conversation=chat, role="assistant", parent=asked, content="Good day", reasoning="Hm"
    )
    me = actor(user, people.acme)
    prompts.save_prompt(me, f"Of {user.name}", "m", Settings(), note="n", shared=False)
    here = {"organisation": people.acme, "user": user}
    Preset.objects.create(**here, name="s", settings={"system": "Be brief."})
    SavedView.objects.create(**here, page="usage", name="v", query="range=mtd")
    Feedback.objects.create(
        organisation=people.acme, author=user, request_id=new_id(), author_key_id=key.id, score=0,
        team_id=people.core.id, key_id=key.id, model="m", label="l", comment="c",
    )  # fmt: skip
    Vote.objects.create(**here, batch=new_id(), candidates=["a", "b"], winner="b")
    ShareLink.objects.create(
        conversation=chat, user=user, digest=bytes(chat.id.bytes), snapshot={}, members_only=True
    )
    made = Attachment.objects.create(
        **here, name="a/b ü.png", kind="image", media_type="image/png", size=4, data=b"made"
    )
    run = MediaRun.objects.create(
        **here, kind="image", operation="image_edits", model="m", prompt="a boat", token=new_id()
    )
    MediaFile.objects.create(run=run, file=made, role="result", name="a.png")
    MediaFile.objects.create(run=run, file=None, role="picture", name="expired.png", position=1)


def test_archive_has_each_thing_of_the_person_alone(people: Cast) -> None:
    """P36: with what its person wrote in it."""
    for user in (people.bob, people.alice):
        live(people, user)
    files = dict(personal_data.personal_data(people.bob))
    chat = Conversation.objects.get(user=people.bob)
    run, file = MediaRun.objects.get(user=people.bob), Attachment.objects.get(user=people.bob)
    said = Feedback.objects.get(author=people.bob)
    assert files.pop(f"files/{file.text_id}-a_b__.png") == b"made"
    read = {name: json.loads(text) for name, text in files.items()}
    for name, written in {
        f"chats/{id_text(chat.id)}": {
            "id": id_text(chat.id), "title": "t", "model": "m", "settings": {}, "folder": "",
            "organisation_id": id_text(people.acme.id), "deleted_at": None,
        },
        f"media/{run.text_id}": {
            "id": run.text_id, "kind": "image", "model": "m", "prompt": "a boat", "settings": {},
            "text": "", "state": "running", "ended_at": None,
            "files": [{"role": "result", "name": "a.png", "id": file.text_id}],
        },
    }.items():  # fmt: skip
        assert read[f"{name}.json"] | written == read.pop(f"{name}.json")
    for name, written in {
        "prompts": {"name": f"Of {people.bob.name}", "shared": False},
        "presets": {"name": "s", "shared": False, "settings": {"system": "Be brief."}},
        "views": {"page": "usage", "name": "v", "query": "range=mtd"},
        "feedback": {
            "request_id": id_text(said.request_id), "score": 0, "label": "l", "comment": "c",
        },
        "votes": {"candidates": ["a", "b"], "winner": "b"},
        "share-links": {
            "conversation_id": id_text(chat.id), "members_only": True, "expires_at": None,
            "revoked_at": None,
        },
        "memberships": {"organisation": "acme", "role": "developer"},
        "keys": {"name": people.bob.email},
    }.items():  # fmt: skip
        (row,) = read.pop(f"{name}.json")
        assert row | written == row, name
    assert set(read) == {"profile.json", "sign-ins.json", "invitations.json", "audit/0001.json"}
    assert read["profile.json"]["email"] == people.bob.email


def test_archive_of_a_chat_has_each_message_as_it_was_written(people: Cast) -> None:
    live(people, people.bob)
    chat = Conversation.objects.get()
    first, second = Message.objects.order_by("id")
    files = dict(personal_data.personal_data(people.bob))
    asked, answered = json.loads(files[f"chats/{id_text(chat.id)}.json"])["messages"]
    assert (asked["id"], asked["role"], asked["content"], asked["parent_id"]) == (
        first.text_id, "user", "Hi", None)  # fmt: skip
    assert answered | {"reasoning": "Hm", "content": "Good day", "state": "done"} == answered
    assert answered["parent_id"] == first.text_id
    assert answered["id"] == second.text_id
    (prompt,) = json.loads(files["prompts.json"])
    (version,) = prompt["versions"]
    assert version | {"number": 1, "model": "m", "note": "n", "settings": {}} == version
