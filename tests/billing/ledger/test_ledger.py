"""I1, I3, I4, I8: the one writer of postings."""

import pytest
from django.db import IntegrityError, transaction

from accounts.models import Organisation
from billing.balances.balances import add_opening_credit, balance
from billing.ledger.ledger import PostingConflict, post
from billing.ledger.posting import Entry, Posting, opening_credit
from billing.models import Account, LedgerEntry
from lib.ids import new_id
from tests.support.books import assert_books_balance, held

pytestmark = pytest.mark.django_db


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.objects.create(name="Acme", slug="acme")


def test_opening_credit_is_posted_once_and_moves_the_balance(organisation: Organisation) -> None:
    assert balance(organisation) == (0, 0, 0)
    assert add_opening_credit(organisation, 5_000)
    assert not add_opening_credit(organisation, 5_000)
    assert balance(organisation) == (5_000, 0, 0)
    assert LedgerEntry.objects.count() == 2
    assert_books_balance()


def test_same_idempotency_id_with_other_content_is_refused(organisation: Organisation) -> None:
    add_opening_credit(organisation, 5_000)
    with pytest.raises(PostingConflict):
        add_opening_credit(organisation, 6_000)
    other = Organisation.objects.create(name="Other", slug="other")
    same_id = Posting(
        f"opening:{organisation.id}", "opening", opening_credit(other.id, 5_000).entries
    )
    with pytest.raises(PostingConflict):
        post(same_id)
    assert balance(organisation).available_nano == 5_000
    assert_books_balance()


def test_the_database_refuses_a_wallet_below_zero(organisation: Organisation) -> None:
    add_opening_credit(organisation, 5_000)
    with pytest.raises(IntegrityError), transaction.atomic():
        post(held(new_id(), organisation.id, 5_001))
    assert balance(organisation) == (5_000, 0, 0)
    assert_books_balance()


def test_accounts_are_opened_once(organisation: Organisation) -> None:
    add_opening_credit(organisation, 5_000)
    for number in (1, 2):
        lines = (
            Entry("customer:available", organisation.id, -1_000),
            Entry("equity:adjustment", organisation.id, 1_000),
        )
        post(Posting(f"test:{number}", "void", lines))
    assert balance(organisation) == (3_000, 0, 0)
    assert Account.objects.filter(organisation=organisation).count() == 3
    assert_books_balance()
