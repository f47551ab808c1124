"""Credit lines (I4): an organisation that pays later may go below 0, so far and no further."""

import pytest
from django.db import IntegrityError, transaction

from accounts.models import Key
from billing.balances.balances import add_opening_credit, balance
from billing.balances.credit_line import credit_line, set_credit_line
from billing.credits.credits import request_credit
from billing.ledger.ledger import post
from billing.models import Account
from lib.ids import new_id
from tests.billing.test_sql import asked, place, resolve
from tests.support import cast
from tests.support.books import assert_books_balance, held

USD = 10**9


@pytest.fixture
def key(people: cast.Cast) -> Key:
    add_opening_credit(people.acme, 1_000)
    set_credit_line(people.acme, 500, actor=cast.actor(people.dora))
    key, _ = cast.make_key(people.core)
    return key


def words(*amounts: int, key: Key) -> list[str]:
    return [row[0] for row in place(*(asked(key, amount) for amount in amounts))]


def test_holds_reach_down_to_the_credit_line(key: Key) -> None:
    assert words(1_400, 101, 100, key=key) == ["insufficient", "admitted", "admitted"]
    ((word, left, _),) = place(asked(key, 1_299))
    assert (word, left) == ("admitted", 0)
    assert balance(key.organisation) == (-500, 1_500, 0)
    assert words(0, 1, key=key) == ["admitted", "insufficient"]


def test_database_prevents_balances_below_the_line(key: Key) -> None:
    beyond = held(new_id(), key.organisation_id, 1_501)
    with pytest.raises(IntegrityError, match="not_negative"), transaction.atomic():
        post(beyond)
    with pytest.raises(IntegrityError, match="overdraft_of_available"), transaction.atomic():
        Account.objects.filter(kind="customer:held").update(overdraft_nano=1)


def test_usage_beyond_a_lowered_line_is_debt(people: cast.Cast, key: Key) -> None:
    """I12: it holds nothing more until it is paid."""
    hold = asked(key, 1_400)
    place(hold)
    resolve(hold, "settled", 1_400)
    assert balance(people.acme) == (-400, 0, 0)
    set_credit_line(people.acme, 100, actor=cast.actor(people.dora))
    assert credit_line(people.acme) == 100
    assert balance(people.acme) == (-100, 0, 300)
    assert words(1, key=key) == ["insufficient"]
    dora = cast.actor(people.dora)
    request_credit(dora, people.acme, 350, reason="Paid by transfer")
    assert balance(people.acme) == (-50, 0, 0)
    assert words(51, 50, key=key) == ["insufficient", "admitted"]
    set_credit_line(people.acme, 100, actor=dora)
    assert balance(people.acme) == (-100, 50, 0)


def test_clawback_uses_the_line_before_it_is_debt(people: cast.Cast, key: Key) -> None:
    dora = cast.actor(people.dora)
    request_credit(dora, people.acme, -1_200, reason="Wrong customer")
    assert balance(people.acme) == (-200, 0, 0)
    request_credit(dora, people.acme, -400, reason="More of it")
    assert balance(people.acme) == (-500, 0, 100)
    assert words(1, key=key) == ["insufficient"]
    assert_books_balance()


def test_page_shows_the_credit_line(people: cast.Cast) -> None:
    set_credit_line(people.acme, 250 * USD, actor=cast.actor(people.dora))
    page = cast.signed_in(people.alice).get("/o/acme/billing").content.decode()
    assert "$250.00 available, with a credit line of $250.00" in page
