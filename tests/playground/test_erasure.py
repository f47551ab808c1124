"""P36: a person is erased, and the books verify as before under a pseudonym."""

import datetime as dt
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.db import connection, transaction

from accounts import audit, invitations, keys, members
from accounts.actors import SYSTEM
from accounts.invitations import Offer
from accounts.models import (
    AuditEvent,
    Role,
    SignInNetwork,
    User,
)
from billing import raises
from billing.ledger import post
from billing.models import Posting, Seal
from billing.rules import posting
from billing.seals import broken_seals, seal_all
from lib import clock
from lib.ids import new_id
from outbox.facts import put
from playground import prompts
from playground.erasure import ask_erasure
from playground.erasure_steps import erase_people
from playground.models import Attachment, Conversation, Message, Preset, ShareLink
from playground.rules.settings import Settings
from tests.cast import Cast, actor
from usage import budgeting
from usage.models import ChartNote, SavedView

pytestmark = pytest.mark.django_db

KEY = b"key of the tests"
PLANTED = "Zaphodxq Brimbleworth"
ADDRESS = "zaphodxq@brimbleworth.example"
WORD = "zaphodxq"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("playground.erasure_steps.seal_key", lambda: KEY)


@pytest.fixture
def zaphod(people: Cast) -> User:
    """Somebody of acme with something in every place that a page lets one write."""
    user = members.add_person(ADDRESS, name=PLANTED, actor=SYSTEM)
    members.set_member(people.acme, ADDRESS, Role.ADMIN, actor=actor(people.alice, people.acme))
    live(people, user)
    return user


def live(people: Cast, user: User) -> None:
    acme, me = people.acme, actor(user, people.acme)
    EmailAddress.objects.create(user=user, email=ADDRESS, verified=True, primary=True)
    SignInNetwork.objects.create(user=user, network="203.0.113.77")
    chat = Conversation.objects.create(
        organisation=acme, team=people.core, user=user, title=f"{WORD} title", model="m"
    )
    Message.objects.create(conversation=chat, role="user", content=f"{WORD} asks")
    ShareLink.objects.create(
        conversation=chat, user=user, digest=b"d", snapshot={"text": f"{WORD} shared"},
        expires_at=clock.now() + dt.timedelta(days=1),
    )  # fmt: skip
    Attachment.objects.create(
        organisation=acme, user=user, name=f"{WORD}.txt", kind="text", media_type="text/plain",
        size=1, data=f"{WORD} file".encode(),
    )  # fmt: skip
    prompts.save_prompt(me, f"{WORD} own", "m", Settings(), note=f"{WORD} note", shared=False)
    prompts.save_prompt(me, f"{WORD} ours", "m", Settings(), note="", shared=True)
    Preset.objects.create(organisation=acme, user=user, name=f"{WORD} preset", settings={})
    SavedView.objects.create(
        organisation=acme, user=user, page="usage", name=f"{WORD} view", query="q"
    )
    SavedView.objects.create(
        organisation=acme, user=people.alice, page="usage", name="of alice",
        query="user=zaphodxq%40brimbleworth.example&range=mtd",
    )  # fmt: skip
    ChartNote.objects.create(organisation=acme, user=user, text=f"{WORD} noted", at=clock.now())
    key, _ = keys.mint_key(me, people.core, f"{WORD} laptop", user=user)
    keys.change_key(me, key, name=f"{WORD} other")
    budget = budgeting.create_budget(
        SYSTEM, acme, scope="user", subject=str(user.id), amount_nano=10**9, period="month"
    )
    until = clock.now() + dt.timedelta(days=1)
    raises.ask_for_more(me, budget, amount_nano=10**9, until=until, reason=f"{WORD} needs it")
    invitations.invite(
        acme, ["i@example.org"], Offer(Role.VIEWER, message=f"{WORD} invites"), actor=me
    )
    lines = (
        posting.Entry("customer:available", acme.id, 5),
        posting.Entry("revenue", acme.id, -5),
    )
    post(
        posting.Posting(f"x:{new_id()}", "adjustment", lines),
        cause={"by": ADDRESS, "why": f"asked by {ADDRESS.upper()}."}, actor=ADDRESS,
    )  # fmt: skip
    with transaction.atomic():
        put("key.created", acme.id, owner=ADDRESS)
    audit.record(
        actor(people.alice, acme), acme, "member.noted", user,
        email=ADDRESS, reason=f"{PLANTED} asked for it",
    )  # fmt: skip


def rows_with(word: str) -> dict[str, int]:
    """How many rows of every table say it, in any column: text, JSON, arrays or bytes."""
    found = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
            "WHERE nspname = current_schema() AND relkind IN ('r', 'p') AND NOT relispartition"
        )
        for (table,) in cursor.fetchall():
            # As COPY writes them; bytes are hex there.
            cursor.execute(
                f'SELECT count(*) FROM "{table}" t WHERE strpos(lower(t::text), %s) > 0 '
                "OR strpos(t::text, %s) > 0",
                [word, word.encode().hex()],
            )
            ((count,),) = cursor.fetchall()
            if count:
                found[table] = count
    return found


def broken() -> list[Any]:
    with connection.cursor() as cursor:
        return list(broken_seals(cursor, KEY))


def sealed() -> None:
    """Seal all that there is, in several seals."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table, at in (("billing_posting", "created_at"), ("accounts_auditevent", "at")):
            cursor.execute(
                f"UPDATE {table} SET {at} = now() - (1 + random() * 12) * interval '1 min'"
            )
        cursor.execute("SET LOCAL session_replication_role = origin")
    for minute in range(13, -1, -1):
        seal_all(KEY, clock.now() - dt.timedelta(minutes=minute, seconds=2))


def test_nothing_of_an_erased_person_is_found(people: Cast, zaphod: User) -> None:
    """P36, P22"""
    sealed()
    assert broken() == []
    before = rows_with(WORD)
    assert before.keys() >= {
        "accounts_user", "accounts_auditevent", "billing_posting", "outbox_fact",
        "playground_message", "playground_attachment", "usage_savedview", "accounts_key",
    }  # fmt: skip
    amounts = list(Posting.objects.order_by("id").values_list("id", "amounts_nano"))
    codes = list(Seal.objects.order_by("id").values_list("id", "code", "rows"))
    erasure = ask_erasure(actor(people.alice, people.acme), zaphod, reason=f"{PLANTED} left")
    assert erase_people() == 1
    assert rows_with(WORD) == {}
    assert rows_with("203.0.113.77") == {}
    assert broken() == []
    assert list(Posting.objects.order_by("id").values_list("id", "amounts_nano")) == amounts
    assert list(Seal.objects.order_by("id").values_list("id", "code", "rows")) == codes
    zaphod.refresh_from_db()
    assert (zaphod.email, zaphod.name, zaphod.is_active) == (erasure.pseudonym, "", False)
    assert Posting.objects.get(actor=erasure.pseudonym).cause["by"] == erasure.pseudonym
    events = AuditEvent.objects.filter(actor_user=zaphod)
    assert events.exists()
    assert set(events.values_list("address", "client", "session")) == {("", "", "")}
