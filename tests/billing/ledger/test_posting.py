from uuid import UUID

import pytest

from billing.ledger.posting import Entry, Posting, PostingInvalid, opening_credit

ACME = UUID("01990000-0000-7000-8000-0000000000ac")


def test_opening_credit_is_charged_to_equity_once_per_organisation() -> None:
    assert opening_credit(ACME, 100) == Posting(
        f"opening:{ACME}",
        "opening",
        (Entry("equity:opening", ACME, -100), Entry("customer:available", ACME, 100)),
    )


def test_a_posting_that_does_not_balance_cannot_be_built() -> None:
    one = Entry("revenue", ACME, 0)
    with pytest.raises(PostingInvalid, match="two entries"):
        Posting("x", "settle", (one,))
    with pytest.raises(PostingInvalid, match="sum to 0"):
        Posting("x", "settle", (one, Entry("customer:held", ACME, 1)))


def test_zero_opening_credit_is_rejected() -> None:
    with pytest.raises(PostingInvalid, match="more than 0"):
        opening_credit(ACME, 0)
