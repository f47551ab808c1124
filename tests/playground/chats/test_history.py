"""All conversations (W12): found, changed together and had back; as files they come back whole."""

import datetime as dt
import json
import re
from decimal import Decimal
from itertools import cycle, product
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from accounts.keys.keys import playground_key
from accounts.models import User
from lib import clock
from lib.ids import id_text, new_id, new_ids
from playground.chats.history import spent_by_chat
from playground.conversations.conversations import current_path
from playground.models import Conversation, Message, Run, RunState
from tests.playground.conversations.test_tree import HTMX
from tests.playground.sending.test_views import RelayClient, ScriptedRelay, outcome, page, people
from tests.support.cast import Cast, signed_in
from tests.support.lists import file_of
from tests.support.markup import squeezed
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["people"]

URL = "/o/acme/playground/history"


def make_chats(people: Cast, count: int) -> list[Conversation]:
    """Chats of bob with a question, two versions of its answer, and a turn after the second; each
    answer but the one that was interrupted has its charge in the books."""
    key = playground_key(people.acme)
    now = clock.now()
    chats = Conversation.objects.bulk_create(
        Conversation(
            organisation=people.acme, team=key.team, user=people.bob, title=f"Chat {n:03}",
            model="weir-1", folder="Rivers" if n % 10 == 0 else "", pinned=n % 7 == 0,
            updated_at=now - dt.timedelta(minutes=n), created_at=now - dt.timedelta(days=9),
        )
        for n in range(count)
    )  # fmt: skip
    messages, runs, records = [], [], []
    for n, chat in enumerate(chats):
        ids = sorted(new_ids(5))
        roles = [("user", None), ("assistant", 0), ("assistant", 0), ("user", 2), ("assistant", 3)]
        branch = []
        for place, (role, parent) in enumerate(roles):
            branch.append(
                Message(
                    id=ids[place], conversation=chat, role=role, content=f"{n} {place} 水",
                    parent_id=None if parent is None else ids[parent],
                    model="weir-1" if role == "assistant" else "",
                    request_id=new_id() if role == "assistant" else None,
                )
            )  # fmt: skip
        for place in (1, 2, 4):
            answer, request_id = branch[place], branch[place].request_id
            assert request_id is not None
            answer.state = RunState.INTERRUPTED if place == 4 else RunState.DONE
            facts = {"meters": {"in_text": n, "out_text": place}, "charge_nano": 1_000 * n + place,
                     "basis": "measured"}  # fmt: skip
            runs.append(
                Run(
                    conversation=chat, user_message=branch[place - 1], assistant_message=answer,
                    user=people.bob, model="weir-1", token=new_id(), request_id=request_id,
                    state=answer.state, process="gone", ended_at=now,
                    outcome={"kind": "interrupted"} if place == 4 else facts,
                )
            )  # fmt: skip
            answer.run = runs[-1]
            records.append(
                UsageRecord(
                    organisation=people.acme, id=new_id(), request_id=request_id, final=True,
                    team_id=key.team_id, key_id=key.id, user_id=people.bob.id, model="weir-1",
                    dialect="openai", operation="chat_completions", stream=True,
                    source="playground", admitted_at=now, status=200, total_ms=5, **facts,
                )
            )  # fmt: skip
        messages += branch
        chat.leaf = branch[4]
    Message.objects.bulk_create(
        Message(**{f.attname: getattr(message, f.attname) for f in Message._meta.concrete_fields}
                | {"run_id": None})
        for message in messages
    )  # fmt: skip
    Run.objects.bulk_create(runs)
    Message.objects.bulk_update([message for message in messages if message.run_id], ["run"])
    Conversation.objects.bulk_update(chats, ["leaf"])
    UsageRecord.objects.bulk_create(records)
    return chats


def tree(chat: Conversation) -> Any:
    """A conversation without its ids: what is said where, and which branch is shown."""
    messages = list(chat.messages.order_by("id"))

    def under(parent: Any) -> list[Any]:
        return [
            (
                message.role,
                message.content,
                message.model,
                message.state,
                message.created_at,
                under(message.id),
            )
            for message in messages
            if message.parent_id == parent
        ]

    contents = {message.id: message.content for message in messages}
    return under(None), [contents[id] for id in current_path(chat)]


def facts(user: User) -> list[Any]:
    """Each conversation of somebody: tree, place, and what it cost."""
    chats = list(Conversation.objects.filter(user=user, deleted_at=None).order_by("title"))
    spent = spent_by_chat(chats)
    return [
        (chat.title, chat.folder, chat.pinned, chat.created_at, chat.updated_at, chat.model,
         tree(chat), spent[chat.id])
        for chat in chats
    ]  # fmt: skip


def export_file(user: User, **form: Any) -> bytes:
    async def ask() -> bytes:
        client = RelayClient(ScriptedRelay(outcome()))
        await client.aforce_login(user, backend="django.contrib.auth.backends.ModelBackend")
        response: Any = await client.post(reverse("history_export", args=["acme"]), form)
        assert response["Content-Disposition"] == 'attachment; filename="chats.json"'
        return b"".join([piece async for piece in response])

    return async_to_sync(ask)()


def import_file(user: User, data: bytes) -> Any:
    upload = SimpleUploadedFile("chats.json", data)
    url = reverse("chat_import", args=["acme"])
    return signed_in(user).post(url, {"chat": upload}, headers=HTMX)


def test_import_without_a_file_says_so(people: Cast) -> None:
    answer = signed_in(people.bob).post(reverse("chat_import", args=["acme"]), headers=HTMX)
    text = json.loads(answer["HX-Trigger"])["toast"]["text"]
    assert text == "Choose a file."


def test_export_of_several_chats_is_one_document(people: Cast) -> None:
    for title in ("a", "b", "c"):
        Conversation.objects.create(
            organisation=people.acme, team=people.core, user=people.bob, title=title, model="m"
        )
    chats = json.loads(export_file(people.bob, all="1"))["chats"]
    assert sorted(chat["title"] for chat in chats) == ["a", "b", "c"]


@pytest.mark.parametrize("count", [60, pytest.param(500, marks=pytest.mark.slow)])
def test_reimported_chats_have_the_same_trees_and_costs(people: Cast, count: int) -> None:
    """W12."""
    make_chats(people, count)
    before = facts(people.bob)
    data = export_file(people.bob, all="1")
    assert len(json.loads(data)["chats"]) == count
    response = change(people.bob, act="delete", all="1")
    assert json.loads(response["HX-Trigger"])["toast"]["text"] == f"{count} chats deleted."
    assert facts(people.bob) == []
    assert import_file(people.bob, data)["HX-Redirect"] == URL
    assert facts(people.bob) == before


def change(user: User, query: str = "", **form: Any) -> Any:
    address = reverse("history_change", args=["acme"]) + query
    return signed_in(user).post(address, form, headers=HTMX)


def titles(user: User, query: str = "") -> list[str]:
    html = page(user, f"{URL}{query}").content.decode()
    return re.findall(r'<bdi title="([^"]*)">', html)


@pytest.fixture
def sixty(people: Cast) -> list[Conversation]:
    return make_chats(people, 60)


def test_the_table_pages_newest_first_with_turns_tokens_and_cost(
    people: Cast, sixty: list[Conversation]
) -> None:
    html = squeezed(page(people.bob, URL).content.decode())
    assert titles(people.bob) == [f"Chat {n:03}" for n in range(50)]
    # Chat 003: two questions, 3 × 3 in and 1 + 2 + 4 out, 3 × 3,000 + 7 nano.
    exported = file_of(signed_in(people.bob), f"{URL}?cols=title,turns,tokens,cost&export=csv")
    assert exported[3] == {
        "title": "Chat 003", "turns": "2", "tokens": "16", "cost_usd": "0.000009007",
    }  # fmt: skip
    assert len(exported) == 60
    following = html.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    assert titles(people.bob, following.removeprefix(URL)) == [
        f"Chat {n:03}" for n in range(50, 60)
    ]
    assert page(people.bob, f"{URL}?after=nonsense").status_code == 200


@pytest.mark.parametrize("both", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_table_sorts_by_what_it_shows(
    people: Cast, sixty: list[Conversation], both: bool
) -> None:
    """Also the costs of an imported chat, which stand in its file. Downwards and upwards in turn,
    or both ways by each."""
    import_file(people.bob, export_file(people.bob, id=id_text(sixty[40].id)))
    bob, sorts = signed_in(people.bob), ("cost", "turns", "title", "updated", "created", "folder")
    in_turn = list(zip(cycle(("-", "")), sorts, strict=False))
    for direction, sort in product(("", "-"), sorts) if both else in_turn:
        rows = file_of(bob, f"{URL}?sort={direction}{sort}&cols=title,cost,turns,folder&export=csv")
        assert len(rows) == 61
        if sort in ("cost", "turns"):
            decimals = [Decimal(row["cost_usd" if sort == "cost" else sort]) for row in rows]
            assert decimals == sorted(decimals, reverse=bool(direction)), (direction, sort)
        first = titles(people.bob, f"?sort={direction}{sort}&rows=25")
        assert first == [row["title"] for row in rows[:25]], (direction, sort)


def test_change_without_scripts_returns_to_the_list(
    people: Cast, sixty: list[Conversation]
) -> None:
    form = {"act": "archive", "id": id_text(sixty[3].id), "next": f"{URL}?rows=25"}
    answer = signed_in(people.bob).post(reverse("history_change", args=["acme"]), form)
    assert (answer.status_code, answer["Location"]) == (303, f"{URL}?rows=25")


def test_filters_find_by_text_folder_and_archive(people: Cast, sixty: list[Conversation]) -> None:
    assert titles(people.bob, "?q=42+1+水") == ["Chat 042"]
    assert titles(people.bob, "?folder=Rivers") == [f"Chat {n:03}" for n in range(0, 60, 10)]
    assert titles(people.bob, "?model=other") == []
    change(people.bob, act="archive", id=[id_text(sixty[3].id), id_text(sixty[4].id)])
    assert titles(people.bob, "?archived=1") == ["Chat 003", "Chat 004"]
    assert "Chat 003" not in titles(people.bob)
    change(people.bob, "?archived=1", act="unarchive", id=id_text(sixty[3].id))
    assert titles(people.bob, "?archived=1") == ["Chat 004"]


def test_joint_changes_are_undone_together(people: Cast, sixty: list[Conversation]) -> None:
    first = change(people.bob, act="delete", id=id_text(sixty[0].id))
    second = change(people.bob, "?q=Chat+01", act="delete", all="1")
    assert Conversation.objects.filter(deleted_at=None).count() == 49
    undo = json.loads(second["HX-Trigger"])["toast"]["post"]
    assert signed_in(people.alice).post(undo, headers=HTMX).status_code == 200
    assert Conversation.objects.filter(deleted_at=None).count() == 49
    signed_in(people.bob).post(undo, headers=HTMX)
    assert Conversation.objects.filter(deleted_at=None).count() == 59
    signed_in(people.bob).post(json.loads(first["HX-Trigger"])["toast"]["post"], headers=HTMX)
    assert Conversation.objects.filter(deleted_at=None).count() == 60


def test_chats_are_moved_to_a_folder(people: Cast, sixty: list[Conversation]) -> None:
    change(people.bob, act="folder", folder_name=" Lakes ", id=id_text(sixty[1].id))
    assert titles(people.bob, "?folder=Lakes") == ["Chat 001"]
    # A folder that is gone holds no chat: an action on all of it changes none.
    change(people.bob, "?folder=Seas", act="delete", all="1")
    assert Conversation.objects.filter(deleted_at=None).count() == 60
    assert change(people.bob, act="burn", all="1").status_code == 404


def test_nobody_reaches_anothers_chats(people: Cast, sixty: list[Conversation]) -> None:
    """W12: own."""
    ids = [id_text(chat.id) for chat in sixty]
    assert titles(people.alice) == []
    assert page(people.charlie, URL).status_code == 404
    change(people.alice, act="delete", id=ids)
    change(people.alice, act="delete", all="1")
    assert Conversation.objects.filter(deleted_at=None).count() == 60
    assert json.loads(export_file(people.alice, id=ids))["chats"] == []


@pytest.mark.parametrize(
    ("broken", "place"),
    [
        ({"weir_chats": 2, "chats": []}, "/weir_chats"),
        ({"weir_chats": 1, "chats": []}, "/chats"),
        ({"weir_chats": 1, "chats": [{"weir_chat": 1, "messages": {}}]}, "/chats/0/messages"),
    ],
)
def test_file_of_many_is_rejected_by_its_place(
    people: Cast, broken: dict[str, Any], place: str
) -> None:
    response = import_file(people.bob, json.dumps(broken).encode())
    assert place in json.loads(response["HX-Trigger"])["toast"]["text"]
    assert Conversation.objects.count() == 0
