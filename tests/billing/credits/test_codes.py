"""I22, P3: a code pays once for each organisation and never more often than it may."""

import datetime as dt
import secrets
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.access.actors import SYSTEM, Actor
from accounts.models import AuditEvent, Organisation, User
from billing.balances.balances import balance
from billing.credits import codes
from billing.credits.codes import CodeRefused, TooManyTries
from billing.models import Code, CodeBatch, PromoGrant, RedeemTry, Redemption
from lib import clock
from outbox.models import Fact
from tests.billing.failing import fail_each_statement
from tests.billing.racing import racers
from tests.support import cast
from tests.support.books import assert_books_balance

USD = 10**9
TEN_MINUTES = dt.timedelta(minutes=10)


def batch_of(dora: Actor, count: int = 1, **over: Any) -> tuple[CodeBatch, list[str]]:
    batch = codes.create_batch(dora, "Spring", 5 * USD, count, **over)
    return batch, codes.download_codes(dora, batch)


def test_a_code_gives_its_value_once(people: cast.Cast, dora: Actor, alice: Actor) -> None:
    _, [text] = batch_of(dora, credit_days=30)
    inputs = codes.redeem(alice, people.acme, text.lower().replace("-", " "))
    assert inputs.amount_nano == 5 * USD
    assert balance(people.acme).available_nano == 5 * USD
    grant = PromoGrant.objects.get()
    assert grant.expires_at == inputs.expires_at
    assert inputs.expires_at is not None
    assert dt.timedelta(days=29) < inputs.expires_at - clock.now() < dt.timedelta(days=31)
    with pytest.raises(CodeRefused):
        codes.redeem(alice, people.acme, text)
    charlie = cast.actor(people.charlie, people.stranger)
    with pytest.raises(CodeRefused):
        codes.redeem(charlie, people.stranger, text)
    assert balance(people.stranger).available_nano == 0
    assert AuditEvent.objects.filter(action="code.redeemed").count() == 1
    assert Fact.objects.filter(kind="code.redeemed", organisation_id=people.acme.id).count() == 1
    assert_books_balance()


@pytest.mark.parametrize("days", [None, 1, 90])
def test_credit_of_a_code_lasts_as_long_as_its_batch_says(
    people: cast.Cast, dora: Actor, alice: Actor, days: int | None
) -> None:
    _, [text] = batch_of(dora, credit_days=days)
    before = clock.now()
    expires_at = codes.redeem(alice, people.acme, text).expires_at
    assert PromoGrant.objects.get().expires_at == expires_at
    if days is None or expires_at is None:
        assert (days, expires_at) == (None, None)
    else:
        assert dt.timedelta(0) <= expires_at - before - dt.timedelta(days=days) < TEN_MINUTES


def test_code_is_redeemed_until_before_its_end(
    people: cast.Cast, dora: Actor, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = clock.now() + dt.timedelta(days=1)
    _, [text] = batch_of(dora, expires_at=end)
    batch = CodeBatch.objects.get()
    monkeypatch.setattr(clock, "now", lambda: end)
    with pytest.raises(CodeRefused, match="has expired"):
        codes.redeem(alice, people.acme, text)
    assert codes.batch_state(batch) == "expired"
    monkeypatch.setattr(clock, "now", lambda: end - dt.timedelta(microseconds=1))
    assert codes.batch_state(batch) == "living"
    assert codes.redeem(alice, people.acme, text).amount_nano == 5 * USD


def test_codes_are_shown_once_and_kept_as_digests(people: cast.Cast, dora: Actor) -> None:
    batch, texts = batch_of(dora, 3)
    assert len(set(texts)) == 3
    with pytest.raises(CodeRefused):
        codes.download_codes(dora, batch)
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(c::text, ' ') FROM billing_code c")
        stored = cursor.fetchone()[0]
        cursor.execute("SELECT string_agg(a::text, ' ') FROM accounts_auditevent a")
        stored += cursor.fetchone()[0]
    for text in texts:
        assert text not in stored
        assert text.replace("-", "") not in stored


def test_codes_above_the_credit_limit_are_downloaded_by_another_operator(
    people: cast.Cast, dora: Actor
) -> None:
    """The batches of one author within 24 hours count together, with all their uses, so that a
    large sum cannot be split. Those of another, and those without codes, do not."""
    otto = cast.actor(cast.person("otto", operator=True))
    codes.create_batch(otto, "Other", 100 * USD, 1)
    codes.kill_batch(dora, codes.create_batch(dora, "Off", 100 * USD, 1))
    first = codes.create_batch(dora, "First", 10 * USD, 2, max_uses=5)
    second = codes.create_batch(dora, "Second", 1, 1)
    batches = list(CodeBatch.objects.order_by("id"))
    assert codes.need_another_operator(batches) == {second.id}
    assert len(codes.download_codes(dora, first)) == 2
    for alone in (dora, SYSTEM):
        with pytest.raises(CodeRefused, match="Another operator has to download"):
            codes.download_codes(alone, second)
    assert not Code.objects.filter(batch=second).exists()
    assert len(codes.download_codes(otto, second)) == 1
    assert not codes.need_another_operator(CodeBatch.objects.all())
    third = codes.create_batch(dora, "Third", 101 * USD, 1)
    CodeBatch.objects.exclude(id=third.id).update(created_at=clock.now() - dt.timedelta(hours=25))
    assert codes.need_another_operator([third]) == {third.id}
    later = codes.create_batch(dora, "Later", 1, 1)
    assert codes.need_another_operator([third, later]) == {third.id, later.id}
    CodeBatch.objects.filter(id=third.id).update(created_at=clock.now() - dt.timedelta(hours=25))
    # Each is judged by its own day, also if both are asked about together.
    aged = CodeBatch.objects.get(id=third.id)
    assert codes.need_another_operator([aged, later]) == {third.id}
    assert len(codes.download_codes(dora, later)) == 1


def test_codes_that_were_downloaded_count_although_switched_off(dora: Actor) -> None:
    """They may have been redeemed before."""
    first = codes.create_batch(dora, "First", 100 * USD, 1)
    codes.download_codes(dora, first)
    codes.kill_batch(dora, first)
    second = codes.create_batch(dora, "Second", 1, 1)
    assert codes.need_another_operator([second]) == {second.id}


def test_a_batch_has_the_most_codes_and_uses(dora: Actor) -> None:
    batch = codes.create_batch(dora, "Most", 1, codes.CODES_MAX, max_uses=2)
    assert (batch.count, batch.max_uses) == (100_000, 2)


def test_a_large_batch_of_the_installation_itself_needs_nobody_else(people: cast.Cast) -> None:
    batch = codes.create_batch(SYSTEM, "Spring", 500 * USD, 1)
    assert len(codes.download_codes(SYSTEM, batch)) == 1


def test_the_page_and_the_api_say_who_has_to_download(people: cast.Cast) -> None:
    dora = cast.signed_in(people.dora)
    otto = cast.signed_in(cast.person("otto", operator=True))
    sent = {"name": "Spring", "value": "500", "count": 1}
    made = dora.post("/api/v1/code-batches", sent, "application/json").json()
    assert made["needs_another_operator"] is True
    assert dora.get("/api/v1/code-batches").json()["items"] == [made]
    download = f"/admin/codes/{made['id']}/download"
    own, other = (browser.get("/admin/codes").content.decode() for browser in (dora, otto))
    assert "Another operator has to download it" in own
    assert (download in own, download in other) == (False, True)
    assert dora.post(f"/api/v1/code-batches/{made['id']}/download").status_code == 422
    assert otto.post(f"/api/v1/code-batches/{made['id']}/download").status_code == 200
    shown = otto.get(f"/api/v1/code-batches/{made['id']}").json()
    assert shown["needs_another_operator"] is False


def test_codes_people_already_hold(people: cast.Cast, dora: Actor, alice: Actor) -> None:
    texts = [f"{n:032x}" for n in (1, 0xA0)]
    batch = codes.import_codes(dora, "From elsewhere", 5 * USD, texts)
    assert codes.batch_state(batch) == "living"
    with pytest.raises(CodeRefused, match="already downloaded"):
        codes.download_codes(dora, batch)
    typed = texts[1].upper().replace("0A0", "-OA0")
    assert codes.redeem(alice, people.acme, typed).amount_nano == 5 * USD
    with pytest.raises(CodeRefused):
        codes.redeem(alice, people.acme, texts[1])
    for refused in ([texts[0]], ["f" * 32, "F" * 32], ["g" * 32], ["f" * 31]):
        with pytest.raises(CodeRefused):
            codes.import_codes(dora, "Again", 5 * USD, refused)
    assert CodeBatch.objects.count() == 1


def test_no_rejection_distinguishes_a_code_from_a_guess(
    people: cast.Cast, dora: Actor, alice: Actor
) -> None:
    _, [used] = batch_of(dora)
    codes.redeem(cast.actor(people.charlie, people.stranger), people.stranger, used)
    expired_batch, [expired] = batch_of(dora, expires_at=clock.now() + dt.timedelta(hours=1))
    CodeBatch.objects.filter(id=expired_batch.id).update(expires_at=clock.now())
    killed_batch, [killed] = batch_of(dora)
    codes.kill_batch(dora, killed_batch)
    unknown = "-".join(["0000"] * 7)
    texts = set()
    for text in (used, expired, killed, unknown, "not a code", ""):
        with pytest.raises(CodeRefused) as refused:
            codes.redeem(alice, people.acme, text)
        texts.add((refused.value.field, refused.value.message))
    assert len(texts) == 1
    assert balance(people.acme).available_nano == 0


def test_the_kill_switch_ends_a_batch(people: cast.Cast, dora: Actor, alice: Actor) -> None:
    batch, [first, second] = batch_of(dora, 2)
    codes.redeem(alice, people.acme, first)
    codes.kill_batch(dora, batch)
    with pytest.raises(CodeRefused):
        codes.redeem(alice, people.acme, second)
    unmade = codes.create_batch(dora, "Late", USD, 1)
    codes.kill_batch(dora, unmade)
    with pytest.raises(CodeRefused):
        codes.download_codes(dora, unmade)
    assert balance(people.acme).available_nano == 5 * USD


def test_previously_redeemed_code_is_no_wrong_try(
    people: cast.Cast, dora: Actor, alice: Actor
) -> None:
    # P3: it pays once, but who types it again is not kept from another one.
    _, [text, other] = batch_of(dora, count=2)
    codes.try_code(alice, people.acme, text, "10.0.0.1")
    for _ in range(5):
        with pytest.raises(CodeRefused, match="already redeemed this code"):
            codes.try_code(alice, people.acme, text, "10.0.0.1")
    codes.try_code(alice, people.acme, other, "10.0.0.1")
    assert balance(people.acme).available_nano == 10 * USD


def test_five_wrong_codes_in_ten_minutes_by_a_person_or_a_network(
    people: cast.Cast, dora: Actor, alice: Actor
) -> None:
    _, [text] = batch_of(dora)
    charlie = cast.actor(people.charlie, people.stranger)
    for n in range(5):
        with pytest.raises(CodeRefused):
            codes.try_code(alice, people.acme, "0" * 28, f"10.0.0.{n}")
    with pytest.raises(TooManyTries) as refused:
        codes.try_code(alice, people.acme, text, "10.9.9.9")
    assert 590 <= refused.value.wait_s <= 600
    assert str(refused.value) == "Too many incorrect codes. Try again in 10 minutes."
    assert str(TooManyTries(61)).endswith(" Try again in 2 minutes.")
    assert str(TooManyTries(60)).endswith(" Try again in 1 minute.")
    for n in range(4):
        with pytest.raises(CodeRefused):
            codes.try_code(charlie, people.stranger, "0" * 28, f"2001:db8::{n}")
    bob = cast.actor(people.bob, people.acme)
    with pytest.raises(CodeRefused):
        codes.try_code(bob, people.acme, "0" * 28, "2001:db8::ffff")
    with pytest.raises(TooManyTries):
        codes.try_code(bob, people.acme, text, "2001:db8:0:0:7::")
    RedeemTry.objects.update(at=clock.now() - dt.timedelta(minutes=10))
    assert codes.try_code(alice, people.acme, text, "10.0.0.1").amount_nano == 5 * USD
    assert codes.drop_old_tries() > 0
    assert not RedeemTry.objects.exists()


def test_a_right_code_costs_no_try(people: cast.Cast, dora: Actor, alice: Actor) -> None:
    _, texts = batch_of(dora, 7)
    for text in texts:
        codes.try_code(alice, people.acme, text, "10.0.0.1")
    assert balance(people.acme).available_nano == 35 * USD


def test_indexes_are_the_last_defence(people: cast.Cast, dora: Actor, alice: Actor) -> None:
    _, [text] = batch_of(dora, max_uses=2)
    codes.redeem(alice, people.acme, text)
    one = Redemption.objects.select_related("code", "grant").get()
    for n, organisation in ((1, people.stranger), (2, people.acme)):
        with pytest.raises(IntegrityError), transaction.atomic():
            Redemption.objects.create(
                code=one.code, n=n, organisation=organisation, grant=one.grant
            )


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"value_nano": 0}, "value"),
        ({"count": 0}, "count"),
        ({"count": codes.CODES_MAX + 1}, "count"),
        ({"max_uses": 0}, "max_uses"),
        ({"expires_at": clock.now()}, "expires_at"),
    ],
)
def test_invalid_batches(dora: Actor, over: dict[str, Any], field: str) -> None:
    with pytest.raises(CodeRefused) as refused:
        codes.create_batch(dora, "x", **{"value_nano": 1, "count": 1, **over})
    assert refused.value.field == field


@pytest.mark.django_db(transaction=True)
def test_redeem_is_all_or_nothing_whichever_statement_fails(people: cast.Cast) -> None:
    _, [text] = batch_of(cast.actor(people.dora), credit_days=30)
    alice = cast.actor(people.alice, people.acme)
    assert fail_each_statement(lambda: codes.redeem(alice, people.acme, text)) > 15
    assert balance(people.acme).available_nano == 5 * USD
    assert_books_balance()


# Races ------------------------------------------------------------------------------------------


def redeem_job(argument: list[str]) -> bool:
    """In a process of its own: one organisation redeems one code."""
    text, organisation_id, email = argument
    organisation = Organisation.objects.get(id=organisation_id)
    user = User.objects.get(email=email)
    actor = Actor(user=user, key=None, organisation=organisation, role=None, operator=False)
    try:
        codes.redeem(actor, organisation, text)
    except CodeRefused:
        return False
    return True


def wallets_of(count: int) -> list[Organisation]:
    return [
        Organisation.objects.create(name=f"Race {n}", slug=f"race-{n}-{secrets.token_hex(4)}")
        for n in range(count)
    ]


def race(users: int, rounds: int, processes: int) -> None:
    people = cast.assemble()
    dora = cast.actor(people.dora)
    organisations = wallets_of(users)
    _, texts = batch_of(dora, rounds)
    _, [seven] = batch_of(dora, max_uses=7)
    with racers(processes) as run:
        for text in texts:
            jobs = [[text, str(one.id), "alice@example.org"] for one in organisations]
            assert sum(run(redeem_job, jobs)) == 1
        jobs = [[seven, str(one.id), "alice@example.org"] for one in organisations]
        # The same organisation twice at once is once.
        assert sum(run(redeem_job, jobs + jobs)) == 7
    assert Redemption.objects.count() == rounds + 7
    assert sum(balance(one).available_nano for one in organisations) == (rounds + 7) * 5 * USD
    assert sorted(Code.objects.values_list("uses", flat=True)) == [1] * rounds + [7]
    assert_books_balance()


@pytest.mark.django_db(transaction=True)
def test_no_more_than_five_parallel_guesses(people: cast.Cast) -> None:
    alice, gate = cast.actor(people.alice, people.acme), Barrier(12)

    def guess(n: int) -> str:
        try:
            gate.wait()
            codes.try_code(alice, people.acme, "0" * 28, f"10.0.0.{n}")
        except CodeRefused:
            return "wrong"
        except TooManyTries:
            return "too many"
        finally:
            connection.close()
        return "right"

    with ThreadPoolExecutor(12) as pool:
        assert sorted(pool.map(guess, range(12))) == ["too many"] * 7 + ["wrong"] * 5


@pytest.mark.django_db(transaction=True)
def test_code_redeemed_by_many_in_parallel_is_one_credit() -> None:
    race(users=12, rounds=3, processes=2)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_fifty_contested_codes_in_four_processes_are_fifty_credits() -> None:
    race(users=100, rounds=50, processes=4)
