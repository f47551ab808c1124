"""P36: a person is erased, and the books verify as before under a pseudonym."""

import datetime as dt
from dataclasses import replace
from typing import Any, cast

import pytest
from allauth.account.models import EmailAddress
from django.db import DatabaseError, connection, transaction

from accounts.access.access import AccessDenied
from accounts.access.actors import SYSTEM, key_actor
from accounts.audit import audit
from accounts.keys import keys
from accounts.keys.departures import KeyFate
from accounts.members import invitations, members
from accounts.members.invitations import Offer
from accounts.models import (
    AuditEvent,
    DeviceSignIn,
    Erasure,
    Invitation,
    KeyKind,
    Membership,
    Organisation,
    Role,
    SignInLink,
    SignInNetwork,
    TablePreference,
    User,
)
from accounts.organisations import organisations
from billing.ledger import posting
from billing.ledger.ledger import post
from billing.limits import budget_increases
from billing.models import Budget, Hold, Posting, Seal
from billing.seals.seals import broken_seals, seal_all
from content.prompts import prompts
from content.prompts.settings import Settings
from gateway.models import Announcement, AnnouncementDismissal
from lib import clock
from lib.ids import new_id
from lib.refusal import Refused
from outbox.facts import put
from outbox.models import Fact
from playground.erasure import erasure_steps
from playground.erasure.erasure_requests import (
    obstacle_to,
    preview,
    receiver_named,
    receivers,
    request_erasure,
)
from playground.erasure.erasure_steps import STEPS, erase_people
from playground.models import (
    Attachment,
    Conversation,
    Message,
    PaymentPreference,
    Preference,
    Preset,
    RealtimeTicket,
    Run,
    ShareLink,
    Vote,
)
from tests.isolation.statements import read_by_person_alone
from tests.support.cast import Cast, actor, make_key, member
from usage.limits import budget_simulation
from usage.models import (
    ChartNote,
    Export,
    ExportPiece,
    Feedback,
    ReportReceiver,
    ReportSchedule,
    SavedView,
)

pytestmark = pytest.mark.django_db

KEY = b"key of the tests"
PLANTED = "Zaphodxq Brimbleworth"
ADDRESS = "zaphodxq@brimbleworth.example"
WORD = "zaphodxq"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("playground.erasure.erasure_steps.seal_key", lambda: KEY)


@pytest.fixture
def zaphod(people: Cast) -> User:
    """Somebody of acme with something in every place that a page lets one write."""
    user = members.add_person(ADDRESS, name=PLANTED, actor=SYSTEM)
    members.set_member(people.acme, ADDRESS, Role.ADMIN, actor=actor(people.alice, people.acme))
    EmailAddress.objects.create(user=user, email=ADDRESS, verified=True, primary=True)
    SignInNetwork.objects.create(user=user, network="203.0.113.77")
    live(people.acme, user, people.alice, WORD)
    return user


def live(acme: Organisation, user: User, alice: User, word: str) -> None:
    """Leave something in every place of an organisation that `alice` owns."""
    me, core = actor(user, acme), acme.teams.get()
    chat = Conversation.objects.create(
        organisation=acme, team=core, user=user, title=f"{word} title", model="m"
    )
    Message.objects.create(conversation=chat, role="user", content=f"{word} asks")
    ShareLink.objects.create(
        conversation=chat, user=user, digest=word.encode(), snapshot={"text": f"{word} shared"},
        expires_at=clock.now() + dt.timedelta(days=1),
    )  # fmt: skip
    Attachment.objects.create(
        organisation=acme, user=user, name=f"{word}.txt", kind="text", media_type="text/plain",
        size=1, data=f"{word} file".encode(),
    )  # fmt: skip
    prompts.save_prompt(me, f"{word} own", "m", Settings(), note=f"{word} note", shared=False)
    prompts.save_prompt(me, f"{word} ours", "m", Settings(), note="", shared=True)
    Preset.objects.create(organisation=acme, user=user, name=f"{word} preset", settings={})
    SavedView.objects.create(
        organisation=acme, user=user, page="usage", name=f"{word} view", query="q"
    )
    SavedView.objects.create(
        organisation=acme, user=alice, page="usage", name="of alice",
        query="user=zaphodxq%40brimbleworth.example&range=mtd",
    )  # fmt: skip
    ChartNote.objects.create(organisation=acme, user=user, text=f"{word} noted", at=clock.now())
    Feedback.objects.create(
        organisation=acme, author=user, request_id=new_id(), author_key_id=new_id(), score=0,
        team_id=new_id(), key_id=new_id(), model="m-1", label=word, comment=f"{word} says no",
    )  # fmt: skip
    key, _ = keys.mint_key(me, core, f"{word} laptop", user=user)
    keys.change_key(me, key, name=f"{word} other")
    budget = budget_simulation.create_budget(
        SYSTEM, acme, scope="user", subject=str(user.id), amount_nano=10**9, period="month"
    )
    until = clock.now() + dt.timedelta(days=1)
    budget_increases.ask_for_more(
        me, budget, amount_nano=10**9, until=until, reason=f"{word} needs it"
    )
    invitations.invite(
        acme, ["i@example.org"], Offer(Role.VIEWER, message=f"{word} invites"), actor=me
    )
    lines = (
        posting.Entry("customer:available", acme.id, 5),
        posting.Entry("revenue", acme.id, -5),
    )
    post(
        posting.Posting(f"x:{new_id()}", "adjust", lines),
        cause={"by": ADDRESS, "why": f"asked by {ADDRESS.upper()}."}, actor=ADDRESS,
    )  # fmt: skip
    with transaction.atomic():
        put("key.created", acme.id, owner=ADDRESS)
    audit.record(
        actor(alice, acme), acme, "member.noted", user,
        email=ADDRESS, reason=f"{PLANTED} asked for it",
    )  # fmt: skip


def rows_with(word: str) -> dict[str, int]:
    """How many rows of every table say it, in any column: text, JSON, arrays or bytes."""
    results = {}
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
                results[table] = count
    return results


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


def test_no_trace_of_an_erased_person_is_found(people: Cast, zaphod: User) -> None:
    """P36, P22"""
    sealed()
    assert broken() == []
    before = rows_with(WORD)
    assert before.keys() >= {
        "accounts_user", "accounts_auditevent", "billing_posting", "outbox_fact",
        "playground_message", "playground_attachment", "usage_savedview", "accounts_key",
        "usage_feedback",
    }  # fmt: skip
    amounts = list(Posting.objects.order_by("id").values_list("id", "amounts_nano"))
    codes = list(Seal.objects.order_by("id").values_list("id", "code", "rows"))
    erasure = request_erasure(actor(people.dora), zaphod, reason=f"{PLANTED} left")
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


def test_every_step_resumes_after_a_kill(
    people: Cast, zaphod: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P36: killed in each step once, before it is left behind."""
    sealed()
    request_erasure(actor(people.dora), zaphod, reason="left")
    for name in STEPS:
        step, apart = erasure_steps._STEPS[name]

        def killed(erasure: Erasure, step: Any = step) -> Any:
            step(erasure)
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setitem(erasure_steps._STEPS, name, (killed, apart))
            with pytest.raises(KeyboardInterrupt):
                erase_people()
        assert Erasure.objects.get().step == name
        with monkeypatch.context() as patched:
            patched.setattr(erasure_steps, "_RUN_S", 0)
            erasure = Erasure.objects.get()
            erasure_steps._do_step(erasure)
    assert Erasure.objects.get().done_at is not None
    assert AuditEvent.objects.get(action="user.erased").object_id == str(zaphod.pk)
    assert rows_with(WORD) == {}
    assert broken() == []


def test_export_made_while_an_erasure_waits_is_deleted(
    people: Cast, zaphod: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P36: until the person is renamed, a colleague's export has the address."""

    def waits(erasure: Erasure) -> Any:
        raise erasure_steps.Waits("clickhouse")

    erasure = request_erasure(actor(people.dora), zaphod, reason="left")
    with monkeypatch.context() as patched:
        patched.setitem(erasure_steps._STEPS, "clickhouse", (waits, True))
        assert erase_people() == 0
    zaphod.refresh_from_db()
    assert zaphod.email == ADDRESS
    made = Export.objects.create(
        organisation=people.acme, user=people.alice, form="csv", query="", language="en"
    )
    ExportPiece.objects.create(export=made, take=1, n=0, data=ADDRESS.encode())
    assert erase_people() == 1
    assert not ExportPiece.objects.exists()
    erasure.refresh_from_db()
    assert erasure.counts["exports"] == 1


def test_earlier_tampering_is_still_found_afterwards(people: Cast, zaphod: User) -> None:
    """P22: an erasure launders nothing."""
    sealed()
    event = AuditEvent.objects.filter(object_id=str(zaphod.pk)).earliest("at")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE accounts_auditevent SET action = 'member.hidden' WHERE id = %s", [event.id]
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
    (before,) = broken()
    request_erasure(actor(people.dora), zaphod, reason="left")
    erase_people()
    (after,) = broken()
    assert (after.kind, after.seal_id) == (before.kind, before.seal_id)


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE accounts_auditevent SET detail = '{}' WHERE id = %s",
        "UPDATE accounts_auditevent SET reason = 'x' WHERE id = %s",
        "DELETE FROM accounts_auditevent WHERE id = %s",
        "UPDATE billing_seal SET rewritten = 'x' WHERE kind = 'trail' AND rewritten IS NOT NULL "
        "AND %s IS NOT NULL",
        "UPDATE billing_seal SET rewritten = NULL WHERE kind = 'trail' AND rewritten IS NOT NULL "
        "AND %s IS NOT NULL",
        "UPDATE billing_seal SET code = sha256('x') WHERE kind = 'trail' AND %s IS NOT NULL",
    ],
)
def test_an_edit_after_an_erasure_is_found(people: Cast, zaphod: User, edit: str) -> None:
    """P22"""
    sealed()
    request_erasure(actor(people.dora), zaphod, reason="left")
    erase_people()
    assert broken() == []
    event = AuditEvent.objects.filter(object_id=str(zaphod.pk)).earliest("at")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(edit, [event.id])
        assert cursor.rowcount
    assert broken() != []


def test_only_a_running_erasure_changes_texts(people: Cast, zaphod: User) -> None:
    """P22, I2"""
    erasure = request_erasure(actor(people.dora), zaphod, reason="left")
    event = AuditEvent.objects.latest("id")
    entry = Posting.objects.latest("id")
    texts = f"UPDATE accounts_auditevent SET reason = 'x' WHERE id = '{event.id}'"
    for opened, edit in (
        ("", texts),
        (str(new_id()), texts),
        (str(erasure.pk), f"UPDATE accounts_auditevent SET action = 'x' WHERE id = '{event.id}'"),
        (str(erasure.pk), f"UPDATE billing_posting SET kind = 'x' WHERE id = '{entry.id}'"),
        (
            str(erasure.pk),
            f"UPDATE billing_posting SET amounts_nano = '{{0,0}}' WHERE id = '{entry.id}'",
        ),
        (str(erasure.pk), f"DELETE FROM accounts_auditevent WHERE id = '{event.id}'"),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change(opened, edit)
    change(str(erasure.pk), texts)
    erase_people()
    with pytest.raises(DatabaseError), transaction.atomic():
        change(str(erasure.pk), texts)


def change(opened: str, edit: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('weir.erasure', %s, true)", [opened])
        cursor.execute(edit)


def rows_in(organisation: Organisation) -> dict[str, list[str]]:
    """Every row of every table that names the organisation, as text."""
    results = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.columns JOIN pg_class "
            "ON oid = to_regclass(table_name) AND relkind IN ('r', 'p') AND NOT relispartition "
            "WHERE table_schema = current_schema() AND column_name = 'organisation_id'"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(
                f'SELECT t::text FROM "{table}" t WHERE organisation_id = %s ORDER BY 1',
                [organisation.pk],
            )
            if rows := [text for (text,) in cursor.fetchall()]:
                results[table] = rows
    return results


@pytest.mark.parametrize("left", [False, True])
def test_an_owner_erases_only_in_the_organisation(people: Cast, zaphod: User, left: bool) -> None:
    """P12, P36: also where the person has left the other organisation, or is invited there."""
    owner = actor(people.charlie, people.stranger)
    members.set_member(people.stranger, ADDRESS, Role.ADMIN, actor=SYSTEM)
    live(people.stranger, zaphod, people.charlie, "elsewherexq")
    audit.record(owner, people.stranger, "member.noted", zaphod, name="elsewherexq once")
    if left:
        members.remove_member(people.stranger, ADDRESS, actor=SYSTEM)
        invitations.invite(people.stranger, [ADDRESS], Offer(Role.VIEWER), actor=owner)
    sealed()
    for organisation, user in ((people.stranger, people.charlie), (people.acme, people.alice)):
        Export.objects.create(
            organisation=organisation, user=user, form="csv", query="", language="en"
        )
    elsewhere, words = rows_in(people.stranger), rows_with("elsewherexq")
    assert elsewhere.keys() > {"accounts_key", "usage_chartnote", "content_prompt"}
    assert any(WORD in row for rows in rows_in(people.acme).values() for row in rows)
    alone = set[str]()

    def look(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        alone.update(read_by_person_alone(str(sql), params, None))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        request_erasure(actor(people.alice, people.acme), zaphod, reason=f"{PLANTED} left")
        asked = Erasure.objects.get()
        erase_people()
    assert asked.organisations == [people.acme.pk]
    # What is searched for is what they named here, also formerly, and nothing of elsewhere.
    assert {f"{WORD} laptop", f"{WORD} other", f"{WORD} title"} <= {*asked.texts}
    assert [text for text in asked.texts if "elsewherexq" in text] == []
    assert alone == set()
    assert Erasure.objects.get().done_at is not None
    assert rows_in(people.stranger) == elsewhere
    assert rows_with("elsewherexq") == words
    named = {
        table: rows for table, rows in rows_in(people.acme).items() if any(WORD in x for x in rows)
    }
    assert named == {}
    assert not Export.objects.filter(organisation=people.acme).exists()
    assert broken() == []
    account = User.objects.get(pk=zaphod.pk)
    assert (account.email, account.name, account.is_active) == (ADDRESS, PLANTED, True)
    assert SignInNetwork.objects.filter(user=zaphod).exists()
    assert not Membership.objects.filter(user=zaphod, organisation=people.acme).exists()
    # They may come back, be erased again, and delete the account.
    members.set_member(people.acme, ADDRESS, Role.VIEWER, actor=SYSTEM)
    request_erasure(actor(people.alice, people.acme), zaphod, reason="left again")
    request_erasure(actor(zaphod), zaphod, reason="")
    assert erase_people() == 2
    assert rows_with(WORD) == {}
    assert broken() == []


def test_other_people_and_organisations_are_untouched(people: Cast, zaphod: User) -> None:
    """P12: somebody else's words are theirs, and another tenant's rows are not looked at."""
    chat = Conversation.objects.create(
        organisation=people.acme, team=people.core, user=people.bob, title="bob's", model="m"
    )
    mine = Message.objects.create(conversation=chat, role="user", content=f"ask {ADDRESS}")
    theirs = SavedView.objects.create(
        organisation=people.stranger, user=people.charlie, page="usage", name=ADDRESS, query=""
    )
    near = SavedView.objects.create(
        organisation=people.acme, user=people.bob, page="usage", name=f"not{ADDRESS}", query=""
    )
    with transaction.atomic():
        put("key.created", people.stranger.id, owner=ADDRESS)
    request_erasure(actor(people.dora), zaphod, reason="left")
    erase_people()
    mine.refresh_from_db()
    theirs.refresh_from_db()
    near.refresh_from_db()
    assert mine.content == f"ask {ADDRESS}"
    assert (theirs.name, near.name) == (ADDRESS, f"not{ADDRESS}")
    assert Fact.objects.get(organisation_id=people.stranger.id).body == {"owner": ADDRESS}


def test_people_each_person_may_erase(people: Cast, zaphod: User) -> None:
    """P23"""
    alice, dora = actor(people.alice, people.acme), actor(people.dora)
    for nobody in (actor(people.bob, people.acme), actor(people.charlie, people.stranger)):
        with pytest.raises(AccessDenied):
            request_erasure(nobody, zaphod, reason="r")
    admin = actor(member(people.acme, "adam", Role.ADMIN), people.acme)
    with pytest.raises(AccessDenied, match="Only an owner"):
        request_erasure(admin, people.bob, reason="r")
    with pytest.raises(Refused, match="Say why"):
        request_erasure(alice, zaphod, reason=" ")
    with pytest.raises(Refused, match="last owner of Acme"):
        request_erasure(actor(people.alice), people.alice, reason="")
    with pytest.raises(Refused, match="last operator"):
        request_erasure(actor(people.dora), people.dora, reason="")
    with pytest.raises(AccessDenied):
        request_erasure(alice, people.dora, reason="r")
    assert not Erasure.objects.exists()
    zaphod.refresh_from_db()
    assert zaphod.is_active
    request_erasure(dora, zaphod, reason="r")
    with pytest.raises(Refused, match="already"):
        request_erasure(dora, zaphod, reason="r")


def test_a_model_key_and_a_viewing_operator_erase_nobody(people: Cast, zaphod: User) -> None:
    """P23: also not their own person."""
    key, _ = make_key(people.core, "k", user=zaphod)
    for over in ({"key": key, "role": None}, {"viewing": True}):
        with pytest.raises(AccessDenied):
            request_erasure(replace(actor(zaphod, people.acme), **over), zaphod, reason="r")


def test_open_objects_end_first(people: Cast, zaphod: User) -> None:
    """Keys, budgets, memberships and invitations, in the transaction that asks for it."""
    stays, text = make_key(people.core, "stays", user=zaphod)
    _, gone_text = make_key(people.core, "gone", user=zaphod)
    managed, managed_text = make_key(people.core, "m", user=zaphod, kind=KeyKind.MANAGEMENT)
    (to,) = invitations.invite(
        people.stranger,
        [ADDRESS.upper()],
        Offer(Role.VIEWER),
        actor=actor(people.charlie, people.stranger),
    )
    page_text = preview(zaphod, None)
    assert (page_text.chats, page_text.budgets, page_text.shared_prompts) == (1, 1, 1)
    dora = actor(people.dora)
    heir = Membership.objects.get(user=people.alice)
    wrong = {managed.id: KeyFate("transfer", heir)}
    with pytest.raises(Refused, match="handed over"):
        request_erasure(dora, zaphod, reason="r", fates=wrong)
    assert preview(zaphod, None) == page_text
    request_erasure(dora, zaphod, reason="r", fates={stays.id: KeyFate("transfer", heir)})
    stays.refresh_from_db()
    assert (stays.user, stays.name) == (people.alice, "stays")
    assert key_actor(text) is not None
    assert key_actor(gone_text) is key_actor(managed_text) is None
    assert not Membership.objects.filter(user=zaphod).exists()
    assert not Budget.objects.filter(subject=str(zaphod.pk)).exists()
    assert not Invitation.objects.filter(email__iexact=ADDRESS).exists()
    assert to is not None
    assert Erasure.objects.get().done_at is None


def test_rows_without_words_of_an_erased_person_go_too(people: Cast, zaphod: User) -> None:
    """P36: those of others stay."""
    soon = clock.now() + dt.timedelta(hours=1)
    notice = Announcement.objects.create(title="t", tone="info", starts_at=clock.now())
    schedule = ReportSchedule.objects.create(
        view=SavedView.objects.get(name="of alice"), every="week", hour=8, zone="UTC", due_at=soon
    )
    chat = Conversation.objects.create(
        organisation=people.acme, team=people.core, user=people.bob, title="t", model="m"
    )
    said = Message.objects.create(conversation=chat, role="user")
    models = set[Any]()
    rating = Feedback.objects.create(
        organisation=people.acme, request_id=new_id(), author=zaphod, author_key_id=new_id(),
        team_id=people.core.id, key_id=new_id(), model="m", score=90, label="l", comment="c",
    )  # fmt: skip
    for user in (zaphod, people.bob):
        digest, here = user.email.encode(), {"organisation": people.acme, "user": user}
        for model, fields in (
            (AnnouncementDismissal, {"announcement": notice, "user": user}),
            (DeviceSignIn, {"digest": digest, "user_code_digest": digest, "client": "c",
                            "expires_at": soon, "user": user}),
            (PaymentPreference, here),
            (Preference, {"user": user}),
            (RealtimeTicket, {**here, "model": "m", "digest": digest, "expires_at": soon}),
            (ReportReceiver, {"schedule": schedule, "user": user}),
            (Run, {"conversation": chat, "user_message": said, "assistant_message": said,
                   "user": user, "model": "m", "token": new_id(), "request_id": new_id(),
                   "process": "p", "ended_at": soon}),
            (SignInLink, {"digest": digest, "user": user, "expires_at": soon}),
            (TablePreference, {"user": user, "table": "keys"}),
            (Vote, {**here, "batch": new_id(), "candidates": ["a", "b"]}),
        ):  # fmt: skip
            cast(Any, model).objects.create(**fields)
            models.add(model)
    request_erasure(actor(people.dora), zaphod, reason="left")
    assert erase_people() == 1
    counts = {
        model.__name__: [model.objects.filter(user=user).count() for user in (zaphod, people.bob)]
        for model in models
    }
    assert counts == {name: [0, 1] for name in counts}
    rating.refresh_from_db()
    assert (rating.author, rating.label, rating.comment, rating.score) == (None, "", "", 90)


def test_people_who_cannot_sign_in_are_no_other_owners(people: Cast, zaphod: User) -> None:
    """Nor other operators: erasing the last active one would leave none."""
    members.set_member(people.acme, ADDRESS, Role.OWNER, actor=SYSTEM)
    User.objects.filter(id=people.bob.id).update(operator=True)
    assert obstacle_to(people.alice, people.acme) == obstacle_to(people.dora, None) == ""
    User.objects.filter(id__in=(zaphod.id, people.bob.id)).update(is_active=False)
    assert "is the last owner of Acme" in obstacle_to(people.alice, people.acme)
    assert "is the last operator" in obstacle_to(people.dora, None)


def test_receiver_of_a_key_is_named_in_any_case(people: Cast, zaphod: User) -> None:
    key, _ = make_key(people.core, "k", user=zaphod)
    heir = Membership.objects.get(user=people.alice)
    assert receiver_named(actor(people.dora), zaphod, key, "ALICE@Example.org") == heir
    with pytest.raises(Refused, match="cannot be handed over"):
        receiver_named(actor(people.dora), zaphod, key, "alice")


def test_operator_gives_no_key_of_their_own_as_an_operator(people: Cast, zaphod: User) -> None:
    """Only as a member of its organisation, which they need not be."""
    for user, found in ((zaphod, True), (people.dora, False)):
        key, _ = make_key(people.core, user.name, user=user)
        assert bool(receivers(actor(people.dora), user, key)) is found


def test_same_address_is_a_new_person_afterwards(people: Cast, zaphod: User) -> None:
    request_erasure(actor(people.dora), zaphod, reason="r")
    erase_people()
    new = members.add_person(ADDRESS, actor=SYSTEM)
    assert new.pk != zaphod.pk
    assert not AuditEvent.objects.filter(object_type="user", object_id=str(new.pk)).exclude(
        action="user.created"
    )
    zaphod.refresh_from_db()
    with pytest.raises(Refused, match="cannot come back"):
        members.set_active(zaphod, True, actor=SYSTEM)


def test_account_outlives_an_erasure_in_one_organisation(people: Cast, zaphod: User) -> None:
    """P36: "The member's account remains": it can be activated again, and erased."""
    request_erasure(actor(people.alice, people.acme), zaphod, reason="left")
    erase_people()
    assert members.erased_people([zaphod.pk]) == set()
    for active in (False, True):
        members.set_active(zaphod, active, actor=SYSTEM)
    zaphod.refresh_from_db()
    assert zaphod.is_active
    request_erasure(actor(people.dora), zaphod, reason="r")
    assert members.erased_people([zaphod.pk]) == {zaphod.pk}


def test_erasure_waits_for_running_requests(people: Cast, zaphod: User) -> None:
    """Their records are written when they end, with what the client called its user."""
    id = attempt(people, zaphod)
    question = Message.objects.get(content=f"{WORD} asks")
    run = Run.objects.create(
        conversation=question.conversation, user_message=question, assistant_message=question,
        user=zaphod, model="m", token=new_id(), request_id=new_id(), process="p",
    )  # fmt: skip
    request_erasure(actor(people.dora), zaphod, reason="r")
    assert erase_people() == 0
    run.refresh_from_db()
    assert run.stop_at is not None
    Run.objects.update(ended_at=clock.now())
    assert erase_people() == 0
    assert (Erasure.objects.get().step, Erasure.objects.get().waits_for) == (STEPS[0], "requests")
    Hold.objects.filter(id=id).update(state="voided", resolved_at=clock.now())
    assert erase_people() == 1
    assert rows_with(WORD) == {}


def attempt(people: Cast, user: User) -> Any:
    """A request of the person that runs, and labels of it."""
    id = new_id()
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO billing_hold (id, organisation_id, amount_nano, state, opened_at,
                   expires_at) VALUES (%(id)s, %(org)s, 1, 'open', now(), now() + '1 h')""",
            {"id": id, "org": people.acme.id},
        )
        cursor.execute(
            """INSERT INTO usage_attempt (id, organisation_id, team_id, key_id, user_id, request_id,
                   channel_id, channel_name, n, model, upstream_model, dialect, operation, source,
                   stream, admitted_at, hold_nano, multiplier_ppm, end_user, customer)
               VALUES (%(id)s, %(org)s, %(team)s, %(id)s, %(user)s, %(id)s, %(id)s, '', 1, 'm',
                   'm', 'openai', 'chat', 'api', false, now(), 1, 1000000, %(word)s,
                   %(address)s)""",
            {
                "id": id, "org": people.acme.id, "team": people.core.id, "user": user.pk,
                "word": f"{WORD}-on-a-laptop", "address": ADDRESS,
            },
        )  # fmt: skip
    return id


def test_archived_organisation_of_one_person_is_renamed(people: Cast) -> None:
    user = members.add_person(ADDRESS, name=PLANTED, actor=SYSTEM)
    own = organisations.create_organisation(f"{PLANTED} Ltd", owner=user, actor=SYSTEM)
    with pytest.raises(Refused, match="last owner"):
        request_erasure(actor(user), user, reason="")
    organisations.archive_organisation(own, actor=actor(user, own))
    request_erasure(actor(user), user, reason="")
    erase_people()
    assert rows_with(WORD) == {}
