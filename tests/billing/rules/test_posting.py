from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rules.money import INT64_MAX
from billing.rules.posting import (
    Entry,
    Posting,
    PostingInvalid,
    expire_hold,
    opening_credit,
    place_hold,
    settle_hold,
    void_hold,
)

ATTEMPT = UUID("01990000-0000-7000-8000-000000000001")
ACME = UUID("01990000-0000-7000-8000-0000000000ac")

amounts = st.integers(0, INT64_MAX)


def test_opening_credit_is_taken_off_equity_once_for_each_organisation() -> None:
    assert opening_credit(ACME, 100) == Posting(
        f"opening:{ACME}",
        "opening",
        (Entry("equity:opening", ACME, -100), Entry("customer:available", ACME, 100)),
    )


def test_hold_moves_available_to_held() -> None:
    assert place_hold(ATTEMPT, ACME, 100) == Posting(
        f"hold:{ATTEMPT}",
        "hold",
        (Entry("customer:available", ACME, -100), Entry("customer:held", ACME, 100)),
    )


@pytest.mark.parametrize(
    ("held", "charge", "entries", "charged", "excess"),
    [
        (100, 30, [("customer:held", -100), ("revenue", 30), ("customer:available", 70)], 30, 0),
        (100, 100, [("customer:held", -100), ("revenue", 100)], 100, 0),
        (100, 0, [("customer:held", -100), ("customer:available", 100)], 0, 0),
        (100, 130, [("customer:held", -100), ("revenue", 100)], 100, 30),
        (0, 0, [("customer:held", 0), ("customer:available", 0)], 0, 0),
        (0, 5, [("customer:held", 0), ("customer:available", 0)], 0, 5),
    ],
    ids=["part", "all", "nothing", "excess is not charged", "free", "excess over nothing"],
)
def test_settled_hold_goes_to_revenue_and_back(
    held: int, charge: int, entries: list[tuple[str, int]], charged: int, excess: int
) -> None:
    end = settle_hold(ATTEMPT, ACME, held, charge)

    assert end.posting.idempotency_id == f"settle:{ATTEMPT}"
    assert [(entry.account_kind, entry.amount_nano) for entry in end.posting.entries] == entries
    assert {entry.organisation_id for entry in end.posting.entries} == {ACME}
    assert (end.charged_nano, end.excess_nano) == (charged, excess)


def test_voided_and_expired_holds_go_back_whole() -> None:
    back = (Entry("customer:held", ACME, -100), Entry("customer:available", ACME, 100))

    assert void_hold(ATTEMPT, ACME, 100) == Posting(f"void:{ATTEMPT}", "void", back)
    assert expire_hold(ATTEMPT, ACME, 100).posting == Posting(f"expire:{ATTEMPT}", "expire", back)


def test_expired_hold_is_charged_by_its_last_mark() -> None:
    end = expire_hold(ATTEMPT, ACME, 100, 40)

    assert end.posting.kind == "expire"
    assert Entry("revenue", ACME, 40) in end.posting.entries
    assert (end.charged_nano, end.excess_nano) == (40, 0)


@given(held=amounts, charge=amounts)
def test_every_posting_sums_to_zero_and_nothing_is_lost(held: int, charge: int) -> None:
    settled, expired = settle_hold(ATTEMPT, ACME, held, charge), expire_hold(ATTEMPT, ACME, held)
    postings = [
        opening_credit(ACME, held + 1),
        place_hold(ATTEMPT, ACME, held),
        void_hold(ATTEMPT, ACME, held),
        settled.posting,
        expired.posting,
    ]

    assert [sum(entry.amount_nano for entry in posting.entries) for posting in postings] == [0] * 5
    assert settled.charged_nano + settled.excess_nano == charge
    assert 0 <= settled.charged_nano <= held


def test_a_posting_that_does_not_balance_cannot_be_built() -> None:
    one = Entry("revenue", ACME, 0)
    with pytest.raises(PostingInvalid, match="two entries"):
        Posting("x", "settle", (one,))
    with pytest.raises(PostingInvalid, match="sum to 0"):
        Posting("x", "settle", (one, Entry("customer:held", ACME, 1)))


def test_amounts_without_meaning_are_refused() -> None:
    with pytest.raises(PostingInvalid, match="more than 0"):
        opening_credit(ACME, 0)
    with pytest.raises(PostingInvalid, match="0 or more"):
        place_hold(ATTEMPT, ACME, -1)
    with pytest.raises(PostingInvalid, match="0 or more"):
        settle_hold(ATTEMPT, ACME, -1, 0)
    with pytest.raises(PostingInvalid, match="0 or more"):
        settle_hold(ATTEMPT, ACME, 0, -1)
