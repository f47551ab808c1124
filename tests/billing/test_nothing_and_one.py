"""What an organisation with nothing has, what one nano does, and what is asked once too often."""

import datetime as dt
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import pytest
from django.db import transaction

from accounts.access.actors import SYSTEM, Actor
from accounts.models import AuditEvent, Role
from billing import access, idempotency
from billing.balances import balances
from billing.balances.credit_line import credit_line, set_credit_line
from billing.credits import code_format, codes, promo
from billing.credits.credits import CreditRefused, effect_of, request_credit
from billing.credits.promo_rules import Payers
from billing.currency.exchange_rates import RateFields, add_rates, rate_of, rate_text
from billing.debts.debts import repay_debts
from billing.holds import usage_corrections
from billing.holds.usage_corrections import Borne
from billing.idempotency import Answer, KeyInvalid, KeyReused, drop_old_answers, run_once
from billing.invoices import dues, invoices, payments
from billing.invoices.rules import format_document_number
from billing.ledger.funding import dispute
from billing.ledger.ledger import lock_wallet, post
from billing.limits import budget_increases, budgets
from billing.limits.budget_subjects import subject_names, subjects_by_budget
from billing.limits.budgets import BudgetRefused
from billing.models import (
    Budget,
    CreditKind,
    IdempotentAnswer,
    Invoice,
    InvoiceDue,
    InvoicePayment,
    RedeemTry,
    Subscription,
    TopUp,
    WalletSetting,
)
from billing.prices.pricing import Condition, PriceVersion
from billing.subscriptions import subscriptions
from billing.subscriptions.rules import GRACE, Terms
from billing.subscriptions.subscription_plans import SubscriptionRefused, offer_plan, write_plan
from billing.topups import automatic
from lib import clock
from lib.ids import id_text, new_id
from lib.refusal import Refused
from tests.fakes.processor import FakeProcessor
from tests.support import cast
from tests.usage import rows
from usage.limits import budget_simulation

pytestmark = pytest.mark.django_db

USD: Final = 10**9
CENT: Final = 10**7
DAY: Final = dt.timedelta(days=1)
TICK: Final = dt.timedelta(microseconds=1)


# Nothing ----------------------------------------------------------------------------------------


def test_person_without_accounts_has_nothing(people: cast.Cast) -> None:
    assert balances.balance(people.acme) == (0, 0, 0)
    assert credit_line(people.acme) == 0
    assert lock_wallet(people.acme.id) == (people.acme.id, 0, 0, 0, 0, 0)
    assert effect_of(people.acme, 5) == (0, 5, 0)
    assert usage_corrections.read_borne_cost(UUID(int=1)) == Borne(0, 0, 0)
    assert promo.paid_by(people.acme.id, {}) == Payers(0, 0, 0)
    assert promo.paid_by(people.acme.id, {UUID(int=1): 5}) == Payers(0, 0, 5)
    assert repay_debts(10) == 0
    assert subscriptions.subscription_of(people.acme) is None


@pytest.mark.parametrize(
    ("line", "amount", "owed"),
    [(0, -10, 0), (0, -11, 1), (1, -11, 0), (0, 0, 0), (0, 11, 0), (5, -20, 5)],
)
def test_debt_left_by_a_correction(
    people: cast.Cast, dora: Actor, line: int, amount: int, owed: int
) -> None:
    balances.add_opening_credit(people.acme, 10)
    set_credit_line(people.acme, line, actor=dora)
    assert effect_of(people.acme, amount) == (10, 10 + amount, owed)


@pytest.mark.parametrize("nano", [1, -1])
def test_one_nano_is_corrected(people: cast.Cast, dora: Actor, nano: int) -> None:
    request_credit(dora, people.acme, nano, reason="r")
    found = balances.balance(people.acme)
    assert found.free_nano == nano
    with pytest.raises(CreditRefused):
        request_credit(dora, people.acme, 0, reason="r")


def test_one_nano_of_promo_is_given(people: cast.Cast, dora: Actor) -> None:
    request_credit(dora, people.acme, 1, kind=CreditKind.PROMO, reason="r")
    assert lock_wallet(people.acme.id).promo_nano == 1


@pytest.mark.parametrize(("amount_nano", "balance"), [(1, (1, 0, 0)), (-1, (0, 0, 1))])
def test_imported_balance_is_one_nano_or_debt(
    people: cast.Cast, amount_nano: int, balance: tuple[int, int, int]
) -> None:
    assert balances.open_balance(people.acme, amount_nano)
    assert balances.balance(people.acme) == balance


def test_a_debt_is_paid_once_there_is_money(people: cast.Cast) -> None:
    post(dispute("stripe", "du_1", 5, lock_wallet(people.acme.id)))
    assert repay_debts(10) == 0
    balances.add_opening_credit(people.acme, 7)
    assert [repay_debts(10) for _ in range(2)] == [1, 0]
    assert balances.balance(people.acme) == (2, 0, 0)


def test_organisation_without_grants_pays_for_all(people: cast.Cast) -> None:
    key, _ = cast.make_key(people.core, user=people.bob)
    rows.credit(key)
    record = rows.happen(key, clock.now(), charge_nano=5)
    free = rows.happen(key, clock.now(), charge_nano=0)
    assert promo.paid_by(people.acme.id, {record.id: 5, free.id: 0}) == Payers(0, 0, 5)


def test_wallet_settings_default_before_any_are_set(people: cast.Cast) -> None:
    assert balances.wallet_setting(people.acme).auto_enabled is False
    WalletSetting.objects.create(organisation=people.acme, auto_enabled=True)
    assert balances.wallet_setting(people.acme).auto_enabled is True


def test_the_same_credit_line_is_no_change(people: cast.Cast, dora: Actor) -> None:
    for line_nano in (5, 5, 0):
        set_credit_line(people.acme, line_nano, actor=dora)
    changed = AuditEvent.objects.filter(action="organisation.credit_line_changed")
    assert changed.count() == 2


# Documents --------------------------------------------------------------------------------------


@pytest.fixture
def document(people: cast.Cast) -> Invoice:
    """A closed invoice of one nano."""
    now = clock.now()
    return Invoice.objects.create(
        organisation=people.acme, kind="invoice", state="closed", number="INV-1",
        month=now.date().replace(day=1), zone="UTC", from_at=now, until_at=now, closed_at=now,
        proposed_by=people.dora, closed_by=people.alice, net_nano=1, total_nano=1,
    )  # fmt: skip


def test_zero_invoice_is_paid(document: Invoice) -> None:
    assert payments.noted_nano(document) == dues.left_nano(document) == 0
    assert invoices.creditable_nano(document) == 1
    assert payments.payment_of(document).state == "paid"
    document.total_nano = document.net_nano = 0
    assert payments.payment_of(document).state == "paid"
    assert invoices.creditable_nano(document) == 0


def test_unended_document_has_no_payment_state(document: Invoice) -> None:
    assert payments.payment_of(replace_fields(document, state="proposed")).state is None
    assert payments.payment_of(replace_fields(document, kind="credit_note")).state is None


def replace_fields(document: Invoice, **fields: Any) -> Invoice:
    changed = Invoice.objects.get(id=document.id)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


@pytest.mark.parametrize(("owed_nano", "left_nano", "paid"), [(0, 0, [1]), (1, 1, []), (2, 1, [])])
def test_amount_due_after_closing(
    people: cast.Cast, document: Invoice, owed_nano: int, left_nano: int, paid: list[int]
) -> None:
    if owed_nano:
        balances.open_balance(people.acme, -owed_nano)
    with transaction.atomic():
        lock_wallet(people.acme.id)
        document.due_nano = dues.uncovered_nano(document)
        payments.note_closed(document)
    assert dues.left_nano(document) == left_nano
    assert list(InvoicePayment.objects.values_list("amount_nano", flat=True)) == paid
    note = replace_fields(document, total_nano=-1, corrects=document)
    payments.note_closed(note)
    assert dues.left_nano(document) == 0
    assert not InvoiceDue.objects.exists()


def test_one_due_nano_is_recorded_and_no_more(dora: Actor, document: Invoice) -> None:
    InvoiceDue.objects.create(invoice=document, left_nano=1)
    today = clock.now().date()
    for wrong in (0, -1, 2):
        with pytest.raises(invoices.InvoiceRefused):
            payments.record_payment(dora, document, wrong, reference="R", paid_on=today)
    with pytest.raises(invoices.InvoiceRefused):
        payments.record_payment(dora, document, 1, reference="R", paid_on=today + DAY)
    payments.record_payment(dora, document, 1, reference="R", paid_on=today)
    assert payments.payment_of(document).state == "paid"


def test_one_incoming_nano_pays_what_is_due(people: cast.Cast, document: Invoice) -> None:
    InvoiceDue.objects.create(invoice=document, left_nano=1)
    balances.open_balance(people.acme, -1)
    assert payments.settle_invoices() == 1
    assert dues.left_nano(document) == 1
    post(dispute("stripe", "du_1", 1, lock_wallet(people.acme.id)))
    assert dues.left_nano(document) == 1
    request_credit(cast.actor(people.dora), people.acme, 2, reason="r")
    assert payments.settle_invoices() == 1
    assert dues.left_nano(document) == 0
    assert InvoicePayment.objects.get().amount_nano == 1
    assert payments.settle_invoices() == 0


@pytest.mark.parametrize(("days", "state"), [(14, "due"), (15, "overdue")])
def test_a_due_invoice_is_overdue_after_its_last_day(
    document: Invoice, days: int, state: str
) -> None:
    InvoiceDue.objects.create(invoice=document, left_nano=1)
    late = replace_fields(document, closed_at=clock.now() - days * DAY)
    assert payments.payment_of(late).state == state


def another(document: Invoice, **fields: Any) -> Invoice:
    """A second document that differs in these fields."""
    other = replace_fields(document, id=new_id(), **fields)
    other.save(force_insert=True)
    return other


def test_incoming_money_pays_the_oldest_invoice_first_and_one_alone(
    people: cast.Cast, document: Invoice
) -> None:
    """What has paid one invoice does not pay the next one, too."""
    older = [
        another(document, number=f"INV-2{n}", month=dt.date(2020, n, 1),
                closed_at=document.from_at - n * DAY)
        for n in (1, 2)
    ]  # fmt: skip
    by_age = [older[1], older[0], document]
    for one in by_age:
        InvoiceDue.objects.create(invoice=one, left_nano=3 * CENT)
    balances.open_balance(people.acme, -9 * CENT)
    for cents, left in ((4, [0, 2, 3]), (1, [0, 1, 3]), (3, [0, 0, 1])):
        request_credit(cast.actor(people.dora), people.acme, cents * CENT, reason="r")
        payments.settle_invoices()
        assert [dues.left_nano(one) // CENT for one in by_age] == left


def test_the_days_of_a_payment_are_those_of_the_invoices_zone(
    document: Invoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Kiritimati, the first of December begins at 10:00 on the last of November (UTC)."""
    closed_at = dt.datetime(2026, 11, 30, 10, tzinfo=dt.UTC)
    InvoiceDue.objects.create(invoice=document, left_nano=1)
    there = replace_fields(document, zone="Pacific/Kiritimati", closed_at=closed_at)
    assert payments.issued_due_on(there) == payments.payment_of(there).due_on
    assert payments.issued_due_on(there) == dt.date(2026, 12, 15)
    for early, state in ((TICK, "due"), (dt.timedelta(0), "overdue")):
        now = closed_at + 15 * DAY - early
        monkeypatch.setattr(clock, "now", lambda now=now: now)
        assert payments.payment_of(there).state == state


def test_note_corrects_an_invoice_once_it_is_closed(dora: Actor, document: Invoice) -> None:
    """A proposed one only limits what others may credit."""

    def seen() -> tuple[str | None, bool]:
        shown = access.any_invoice(dora, id_text(document.id))
        return payments.payment_of(document).state, shown.noted  # type: ignore[attr-defined]

    note = another(
        document, kind="credit_note", state="proposed", number=None, corrects=document,
        net_nano=-1, total_nano=-1, closed_at=None, closed_by=None,
    )  # fmt: skip
    assert (seen(), invoices.creditable_nano(document)) == (("paid", False), 0)
    note.state, note.number, note.closed_at, note.closed_by = (
        "closed", "CN-1", document.closed_at, document.closed_by,
    )  # fmt: skip
    note.save()
    assert seen() == ("void", True)


def test_ten_thousandth_invoice_of_a_year_is_found(alice: Actor, document: Invoice) -> None:
    number = format_document_number("INV", 2026, 10_000)
    other = another(document, number=number, month=dt.date(2020, 1, 1))
    assert access.access_invoice(alice, number) == other


# Budgets ----------------------------------------------------------------------------------------


def limited(people: cast.Cast, amount_nano: int = 5, **over: Any) -> Budget:
    asked = {"scope": "organisation", "subject": "", "period": "hour", **over}
    return budget_simulation.create_budget(SYSTEM, people.acme, amount_nano=amount_nano, **asked)


def test_unspent_budget_has_all_left(people: cast.Cast) -> None:
    budget = limited(people)
    budget.windows.all().delete()
    (standing,) = budgets.current_usage([budget])
    assert (standing.spent_nano, standing.held_nano, standing.left_nano) == (0, 0, 5)


def test_invalid_time_names_the_valid_ones(people: cast.Cast) -> None:
    for anchor in (-1, 60):
        with pytest.raises(BudgetRefused, match="from 0 to 59"):
            limited(people, anchor=anchor)
    with pytest.raises(BudgetRefused, match="time zone"):
        limited(people, timezone="Mars/Olympus")
    assert limited(people, anchor=59).anchor == 59


def test_an_increase_ends_when_its_time_is_over(
    people: cast.Cast, bob: Actor, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = limited(people)
    assert not budget_increases._end_if_over(budget.id)
    assert not budget_increases._end_if_over(0)
    asked = budget_increases.ask_for_more(
        bob, budget, amount_nano=1, until=clock.now() + DAY, reason="r"
    )
    budget_increases.approve(alice, asked)
    assert not budget_increases._end_if_over(budget.id)
    Budget.objects.update(raised_until=clock.now())
    lock = budgets.lock_budget

    def extended_first(row: Budget) -> Budget:
        Budget.objects.update(raised_until=clock.now() + DAY)
        return lock(row)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(budgets, "lock_budget", extended_first)
        assert not budget_increases._end_if_over(budget.id)
    Budget.objects.update(raised_until=clock.now())
    assert budget_increases._end_if_over(budget.id)
    budget.refresh_from_db()
    assert (budget.raised_nano, budget.raised_until) == (0, None)


def test_team_limited_person_increases_no_shared_budget(people: cast.Cast, bob: Actor) -> None:
    """P23."""
    asked = budget_increases.ask_for_more(
        bob, limited(people), amount_nano=1, until=clock.now() + DAY, reason="r"
    )
    user = cast.member(people.acme, "tim", Role.ADMIN)
    tim = replace(cast.actor(user, people.acme), teams=frozenset({people.core.id}))
    with pytest.raises(BudgetRefused, match="your teams"):
        budget_increases.approve(tim, asked)


@pytest.mark.parametrize(
    ("after", "taken"),
    [(dt.timedelta(0), False), (TICK, True), (366 * DAY, True), (366 * DAY + TICK, False)],
)
def test_an_increase_ends_in_the_year_that_follows(
    people: cast.Cast, bob: Actor, monkeypatch: pytest.MonkeyPatch, after: dt.timedelta, taken: bool
) -> None:
    budget, now = limited(people), clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    asked: dict[str, Any] = {"amount_nano": 1, "until": now + after, "reason": "r"}
    if taken:
        budget_increases.ask_for_more(bob, budget, **asked)
    else:
        with pytest.raises(budget_increases.RaiseRefused, match="at most 366 days"):
            budget_increases.ask_for_more(bob, budget, **asked)


@pytest.mark.parametrize(("early", "granted"), [(TICK, True), (dt.timedelta(0), False)])
def test_an_increase_is_granted_before_its_end(
    people: cast.Cast, bob: Actor, alice: Actor, monkeypatch: pytest.MonkeyPatch,
    early: dt.timedelta, granted: bool,
) -> None:  # fmt: skip
    asked = budget_increases.ask_for_more(
        bob, limited(people), amount_nano=1, until=clock.now() + DAY, reason="r"
    )
    monkeypatch.setattr(clock, "now", lambda: asked.until - early)
    if granted:
        assert budget_increases.approve(alice, asked).state == "approved"
    else:
        with pytest.raises(budget_increases.RaiseRefused, match="has passed"):
            budget_increases.approve(alice, asked)


@pytest.mark.parametrize(
    ("name", "email", "shown"), [("Ann", "ann@a.example", "Ann"), ("", "ann@a.example", None)]
)
def test_person_is_shown_by_name_or_address(
    people: cast.Cast, name: str, email: str, shown: str | None
) -> None:
    people.bob.name, people.bob.email = name, email
    people.bob.save()
    budget = limited(people, scope="user", subject=str(people.bob.id))
    assert subject_names([budget]) == {budget.id: shown or email}
    assert subjects_by_budget([budget]) == {budget.id: email}


# Once -------------------------------------------------------------------------------------------


def answer() -> Answer:
    return Answer(200, {})


@pytest.mark.parametrize("other", [("PUT", "/a", b""), ("POST", "/b", b""), ("POST", "/a", b"x")])
def test_key_belongs_to_one_request(alice: Actor, other: tuple[str, str, bytes]) -> None:
    assert not run_once(alice, "k", ("POST", "/a", b""), answer).replayed
    assert run_once(alice, "k", ("POST", "/a", b""), answer).replayed
    with pytest.raises(KeyReused, match="already used for another request"):
        run_once(alice, "k", other, answer)


def test_longest_key_is_a_key(alice: Actor) -> None:
    for replayed in (False, True):
        once = run_once(alice, "k" * 255, ("POST", "/a", b""), answer)
        assert once.replayed is replayed


@pytest.mark.parametrize("key", ["", "é", "a\n", "k" * 256])
def test_a_key_has_printable_characters(alice: Actor, key: str) -> None:
    with pytest.raises(KeyInvalid, match="1 to 255 printable characters"):
        run_once(alice, key, ("POST", "/a", b""), answer)


@pytest.mark.parametrize(("early", "kept"), [(TICK, True), (dt.timedelta(0), False)])
def test_an_answer_is_kept_for_a_day(
    alice: Actor, monkeypatch: pytest.MonkeyPatch, early: dt.timedelta, kept: bool
) -> None:
    run_once(alice, "k", ("POST", "/a", b""), answer)
    now = IdempotentAnswer.objects.get().created_at + idempotency.KEPT - early
    monkeypatch.setattr(clock, "now", lambda: now)
    assert run_once(alice, "k", ("POST", "/a", b""), answer).replayed is kept


def test_old_answers_and_tries_are_counted_as_they_go(alice: Actor) -> None:
    for key in "ab":
        run_once(alice, key, ("POST", "/a", b""), answer)
        RedeemTry.objects.create(subject=key)
    assert (drop_old_answers(), codes.drop_old_tries()) == (0, 0)
    IdempotentAnswer.objects.update(created_at=clock.now() - 2 * DAY)
    RedeemTry.objects.update(at=clock.now() - DAY)
    assert (drop_old_answers(), codes.drop_old_tries()) == (2, 2)


@pytest.mark.parametrize(
    ("network", "subject"),
    [("10.1.2.3", "network:10.1.2.3/32"), ("2001:db8::1:2:3:4", "network:2001:db8::/64"),
     ("nowhere", "network:nowhere"), ("n" * 90, "network:" + "n" * 72)],
)  # fmt: skip
def test_identities_that_count_as_one_trier(alice: Actor, network: str, subject: str) -> None:
    assert alice.user is not None
    assert codes._subjects(alice, network) == [f"user:{alice.user.id}", subject]
    assert codes._subjects(SYSTEM, network)[0] == "key:"


def test_frequent_trier_learns_how_long_to_wait(
    alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest of the five tries that count has to be ten minutes old."""
    now = clock.now()
    for age in (100, 200, 300, 400, 500):
        row = RedeemTry.objects.create(subject="x")
        RedeemTry.objects.filter(id=row.id).update(at=now - dt.timedelta(seconds=age))
    monkeypatch.setattr(clock, "now", lambda: now)
    with pytest.raises(codes.TooManyTries) as refused:
        codes._begin_try(["x"])
    assert refused.value.wait_s == 100


def test_a_colleague_does_not_get_the_answer_of_another(alice: Actor, bob: Actor) -> None:
    run_once(alice, "k", ("POST", "/a", b""), answer)
    with pytest.raises(KeyReused):
        run_once(bob, "k", ("POST", "/a", b""), answer)


def test_operators_have_their_own_keys(dora: Actor) -> None:
    otto = cast.actor(cast.person("otto", operator=True))
    for operator in (dora, otto):
        assert not run_once(operator, "k", ("POST", "/a", b""), answer).replayed


# Codes ------------------------------------------------------------------------------------------


def test_a_batch_is_unmade_living_expired_or_disabled(dora: Actor) -> None:
    batch = codes.create_batch(dora, "spring", 1, 1, expires_at=clock.now() + DAY)
    assert codes.batch_state(batch) == "unmade"
    assert codes.batch_state(codes.create_batch(dora, "for ever", 1, 1)) == "unmade"
    codes.download_codes(dora, batch)
    batch.refresh_from_db()
    assert codes.batch_state(batch) == "living"
    batch.expires_at = clock.now()
    assert codes.batch_state(batch) == "expired"
    assert codes.batch_state(codes.kill_batch(dora, batch)) == "killed"
    with pytest.raises(codes.CodeRefused, match="already downloaded"):
        codes.download_codes(dora, batch)


def test_a_disabled_batch_is_not_downloaded(dora: Actor) -> None:
    batch = codes.kill_batch(dora, codes.create_batch(dora, "spring", 1, 1))
    with pytest.raises(codes.CodeRefused, match="disabled"):
        codes.download_codes(dora, batch)


def test_imported_code_is_one_code(dora: Actor) -> None:
    first, second, third = ("0" * 32, "1" * 32, "2" * 32)
    for texts in ([first, first], [first, "nothing"]):
        with pytest.raises(codes.CodeRefused):
            codes.import_codes(dora, "brought", 1, texts)
    codes.import_codes(dora, "brought", 1, [first, second])
    with pytest.raises(codes.CodeRefused, match="already exists"):
        codes.import_codes(dora, "again", 1, [second, third])


# Rates of exchange ------------------------------------------------------------------------------


def test_rate_is_for_tomorrow_at_most_and_unique_per_day(dora: Actor) -> None:
    today = clock.now().date()
    add_rates(dora, [RateFields("EUR", today + DAY, "0.92"), RateFields("EUR", today, "0.91")])
    with pytest.raises(Refused, match="cannot be in the future"):
        add_rates(dora, [RateFields("EUR", today + 2 * DAY, "0.92")])
    with pytest.raises(Refused, match="several rates of EUR"):
        add_rates(dora, [RateFields("EUR", today, "0.92"), RateFields("eur ", today, "0.93")])
    found = rate_of("EUR", today + 5 * DAY)
    assert found is not None
    assert rate_text(found) == "0.92"
    assert rate_of("EUR", today - DAY) is None


# Automatic top-ups ------------------------------------------------------------------------------


def test_zero_threshold_is_valid(people: cast.Cast, alice: Actor) -> None:
    automatic.set_automatic(alice, people.acme, enabled=False, below_nano=0, amount_nano=25 * USD)
    assert WalletSetting.objects.get().auto_below_nano == 0
    assert automatic.fill_balances() == 0


@pytest.mark.parametrize(("hours", "ordered"), [(23, False), (25, True)])
def test_card_is_charged_a_limited_number_of_times_a_day(
    people: cast.Cast, alice: Actor, bank: FakeProcessor, hours: int, ordered: bool
) -> None:
    setting = WalletSetting.objects.create(
        organisation=people.acme, processor="stripe", customer_ref="cus_1", auto_enabled=True,
        auto_below_nano=USD, auto_amount_nano=25 * USD,
    )  # fmt: skip
    for n in range(5):
        top_up = TopUp.objects.create(
            organisation=people.acme, processor="stripe", live=False, amount_nano=25 * USD,
            automatic=True, state="failed", checkout_id=f"pi_{n}",
        )  # fmt: skip
        at = clock.now() - dt.timedelta(hours=hours)
        TopUp.objects.filter(id=top_up.id).update(created_at=at)
    automatic._order(setting)
    assert TopUp.objects.filter(state="ordered").exists() is ordered
    assert WalletSetting.objects.get().auto_enabled is ordered


# Subscriptions ----------------------------------------------------------------------------------


def test_renewing_plan_is_not_changed(people: cast.Cast, dora: Actor) -> None:
    alice = cast.actor(people.alice, people.acme)
    balances.add_opening_credit(people.acme, 100 * USD)
    small, large = (
        offer_plan(dora, write_plan(dora, name, Terms(price * USD, price * USD)))
        for name, price in (("Small", 31), ("Large", 62))
    )
    preview = subscriptions.preview_plan(people.acme, small)
    assert (preview.back_nano, preview.missing_nano) == (0, 0)
    assert preview.seen.count(":") == 4
    subscription = subscriptions.choose_plan(alice, people.acme, small, seen=preview.seen)
    with pytest.raises(SubscriptionRefused, match="on this plan already"):
        subscriptions.preview_plan(people.acme, small)
    subscriptions.choose_plan(alice, people.acme, large)
    assert list(subscription.charges.order_by("n").values_list("n", flat=True)) == [0, 1]
    Subscription.objects.update(month=subscription.month - dt.timedelta(days=31))
    with pytest.raises(SubscriptionRefused, match="being renewed"):
        subscriptions.preview_plan(people.acme, small)


@pytest.mark.parametrize(("price", "cash", "missing"), [(1, 0, 1), (1, 1, 0)])
def test_plan_shortfall_is_its_cost_beyond_the_balance(
    people: cast.Cast, dora: Actor, price: int, cash: int, missing: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    first = clock.now().replace(day=1, hour=12)
    monkeypatch.setattr(clock, "now", lambda: first)
    if cash:
        balances.open_balance(people.acme, cash)
    plan = offer_plan(dora, write_plan(dora, "Pro", Terms(price, 0)))
    assert subscriptions.preview_plan(people.acme, plan).missing_nano == missing


@pytest.mark.parametrize(("cash", "state"), [(31, "active"), (30, "unpaid")])
def test_a_balance_that_just_covers_a_renewal_pays_it(
    people: cast.Cast, dora: Actor, alice: Actor, monkeypatch: pytest.MonkeyPatch,
    cash: int, state: str,
) -> None:  # fmt: skip
    at = dt.datetime(2099, 7, 1, 12, tzinfo=dt.UTC)
    monkeypatch.setattr(clock, "now", lambda: at)
    balances.add_opening_credit(people.acme, 31 + cash)
    plan = offer_plan(dora, write_plan(dora, "Pro", Terms(31, 0)))
    subscription = subscriptions.choose_plan(alice, people.acme, plan)
    assert balances.balance(people.acme).free_nano == cash
    monkeypatch.setattr(clock, "now", lambda: at + 31 * DAY)
    subscriptions.renew_subscriptions()
    subscription.refresh_from_db()
    assert subscription.state == state
    if state == "unpaid":
        for after, then in ((31 * DAY + GRACE, "unpaid"), (31 * DAY + GRACE + TICK, "ended")):
            monkeypatch.setattr(clock, "now", lambda after=after: at + after)
            subscriptions.renew_subscriptions()
            subscription.refresh_from_db()
            assert subscription.state == then


# Conditions of a price --------------------------------------------------------------------------


def condition(kind: str, **over: Any) -> Condition:
    return Condition(kind, "on", source="test", date="2026-01-01", **over)


@pytest.mark.parametrize(
    ("conditions", "rate"),
    [
        ([], 10),
        ([condition("a", rates={"in_text": 20})], 20),
        ([condition("a", rates={"in_text": 20}), condition("b", rates={"in_text": 30})], None),
        ([condition("a", token_ppm=2_000_000)], 10),
    ],
)
def test_two_rate_replacing_conditions_exclude_each_other(
    conditions: list[Condition], rate: int | None
) -> None:
    version = PriceVersion({"in_text": 10}, conditions=tuple(conditions))
    found = version.under({"a": "on", "b": "on"})
    assert (None if found is None else found.rates["in_text"]) == rate
    other = version.under({"a": "off"})
    assert other is not None
    assert other.rates == {"in_text": 10}


def test_foreign_code_may_have_every_digit() -> None:
    assert code_format.read("0123456789abcdef" * 2) == "0123456789ABCDEF" * 2
    assert code_format.read("0123456789abcdef" * 2 + "0") is None
    assert code_format.read("0123456789abcdeg" * 2) is None
