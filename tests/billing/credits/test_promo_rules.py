"""I20, pure: promo before cash, oldest expiry first; counting seldom equals counting each time."""

from itertools import accumulate
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from billing.credits.promo_rules import Left, Payers, consume, lapse, payers

A, B, C = UUID(int=1), UUID(int=2), UUID(int=3)


def test_oldest_expiry_first_then_the_next_then_cash() -> None:
    grants = [Left(A, 5, None), Left(B, 7, None)]
    assert consume(grants, {0: 4}) == {A: 4}
    assert consume(grants, {0: 8}) == {A: 5, B: 3}
    assert consume(grants, {0: 100}) == {A: 5, B: 7}
    assert consume(grants, {}) == {}


def test_an_expired_grant_pays_for_what_was_admitted_before() -> None:
    grants = [Left(A, 5, 1), Left(B, 5, 2), Left(C, 5, None)]
    assert consume(grants, {0: 3}) == {A: 3}
    assert consume(grants, {1: 3}) == {B: 3}
    assert consume(grants, {2: 3}) == {C: 3}
    assert consume(grants, {0: 6, 1: 3, 2: 9}) == {A: 5, B: 4, C: 5}


def test_returned_amounts_are_cash() -> None:
    assert consume([Left(A, 5, None)], {0: -4}) == {}


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=4),
    st.lists(st.integers(0, 20), max_size=12),
    st.data(),
)
def test_batches_of_any_size_consume_the_same(
    amounts: list[int], charges: list[int], data: st.DataObject
) -> None:
    grants = [Left(UUID(int=n), amount, None) for n, amount in enumerate(amounts)]
    at_once = consume(grants, {0: sum(charges)})
    edge = data.draw(st.integers(0, len(charges)))
    first = consume(grants, {0: sum(charges[:edge])})
    rest = [one._replace(remaining_nano=one.remaining_nano - first.get(one.grant_id, 0))
            for one in grants]  # fmt: skip
    second = consume(rest, {0: sum(charges[edge:])})
    together = {
        one.grant_id: first.get(one.grant_id, 0) + second.get(one.grant_id, 0) for one in grants
    }
    assert {grant_id: nano for grant_id, nano in together.items() if nano} == at_once
    assert sum(at_once.values()) == min(sum(amounts), sum(charges))


def test_running_requests_keep_their_grants() -> None:
    assert lapse(5, 0, 100) == 5
    assert lapse(5, 3, 100) == 2
    assert lapse(5, 12, 100) == 0
    assert lapse(5, 0, 3) == 3
    assert lapse(5, 0, 0) == 0


def test_the_first_charges_of_a_count_are_paid_by_grants() -> None:
    assert payers(5, 0, 8, 4) == Payers(5, 0, 0)
    assert payers(5, 5, 8, 4) == Payers(3, 2, 0)
    assert payers(5, 10, 8, 4) == Payers(0, 2, 3)
    assert payers(5, 15, 8, 4) == Payers(0, 0, 5)
    assert payers(0, 0, 8, 4) == payers(0, 8, 8, 4) == Payers(0, 0, 0)
    # What was given back before it is no charge.
    assert payers(5, -7, 8, 0) == Payers(5, 0, 0)


@given(
    st.lists(st.integers(0, 10**12), min_size=1, max_size=20),
    st.integers(0, 10**13), st.integers(0, 10**13),
)  # fmt: skip
def test_the_parts_of_charges_come_to_what_each_paid(
    charges: list[int], included: int, promo: int
) -> None:
    """As long as no more was paid than charged, to the nano; nobody pays below 0."""
    included = min(included, sum(charges))
    promo = min(promo, sum(charges) - included)
    before = accumulate(charges, initial=0)
    parts = [payers(nano, at, included, promo) for nano, at in zip(charges, before, strict=False)]
    assert all(sum(part) == nano for part, nano in zip(parts, charges, strict=True))
    assert all(nano >= 0 for part in parts for nano in part)
    whole = [sum(column) for column in zip(*parts, strict=True)]
    assert whole == [included, promo, sum(charges) - included - promo]
