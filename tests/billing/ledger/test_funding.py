"""I1, I12: what comes in pays debt first, what is taken and not there becomes debt."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.ledger import funding
from billing.ledger.funding import Wallet
from billing.ledger.posting import Posting, PostingInvalid

ORG = UUID(int=1)
ID = UUID(int=2)


def moved(posting: Posting) -> dict[str, int]:
    return {entry.account_kind: entry.amount_nano for entry in posting.entries}


def test_a_payment_pays_debt_first() -> None:
    assert moved(funding.top_up("stripe", "pi_1", 10, Wallet(ORG, 0, 4, 0))) == {
        "processor:received:stripe": -10,
        "customer:debt": 4,
        "customer:available": 6,
    }
    assert "customer:available" not in moved(
        funding.top_up("stripe", "pi_1", 4, Wallet(ORG, 0, 9, 0))
    )


def test_a_chargeback_takes_what_is_there_and_the_rest_is_debt() -> None:
    assert moved(funding.dispute("stripe", "du_1", 10, Wallet(ORG, 7, 1, 0))) == {
        "processor:received:stripe": 10,
        "customer:debt": -3,
        "customer:available": -7,
    }
    assert moved(funding.dispute("stripe", "du_1", 10, Wallet(ORG, 0, 0, 0))) == {
        "processor:received:stripe": 10,
        "customer:debt": -10,
    }


def test_promo_pays_no_debt() -> None:
    assert funding.repay(ID, Wallet(ORG, 5, 3, 5)) is None
    paid = funding.repay(ID, Wallet(ORG, 7, 3, 5))
    assert paid is not None
    assert moved(paid) == {"customer:available": -2, "customer:debt": 2}
    assert "customer:debt" not in moved(funding.grant_promo("redeem:1:1", "redeem", 5, ORG))


@given(
    st.integers(-(10**15), 10**15).filter(bool),
    st.integers(0, 10**15),
    st.integers(0, 10**15),
)
def test_no_flow_overdraws_or_loses_money(amount: int, available: int, owed: int) -> None:
    before = Wallet(ORG, available, owed, 0)
    posting = funding.adjust(ID, amount, before)
    lines = moved(posting)
    after_available = available + lines.get("customer:available", 0)
    after_owed = owed - lines.get("customer:debt", 0)
    assert after_available >= 0
    assert after_owed >= 0
    assert (after_available - after_owed) - (available - owed) == amount
    assert sum(lines.values()) == 0


@pytest.mark.parametrize("amount", [0, -1])
def test_meaningless_amounts(amount: int) -> None:
    wallet = Wallet(ORG, 5, 0, 0)
    with pytest.raises(PostingInvalid):
        funding.top_up("stripe", "pi_1", amount, wallet)
    with pytest.raises(PostingInvalid):
        funding.receive_unmatched("stripe", "pi_1", amount, ORG)
    with pytest.raises(PostingInvalid):
        funding.return_unmatched("stripe", "pi_1", amount, ORG)
    with pytest.raises(PostingInvalid):
        funding.refund("stripe", "pi_1", amount, 5, wallet)
    with pytest.raises(PostingInvalid):
        funding.dispute("stripe", "du_1", amount, wallet)
    with pytest.raises(PostingInvalid):
        funding.reinstate("stripe", "du_1", amount, wallet)
    with pytest.raises(PostingInvalid):
        funding.grant_promo("redeem:1:1", "redeem", amount, ORG)
    with pytest.raises(PostingInvalid):
        funding.consume_promo(ID, 1, amount, ORG)
    with pytest.raises(PostingInvalid):
        funding.lapse_promo(ID, 0, amount, ORG)
