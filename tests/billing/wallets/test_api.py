"""The balance over the management API."""

import pytest

from accounts.models import KeyKind, Role
from billing.balances import balances
from billing.ledger.ledger import post
from lib.ids import new_id
from tests.support import cast
from tests.support.books import held


def asked_by(people: cast.Cast, role: Role) -> tuple[int, dict[str, str]]:
    user = cast.member(people.acme, role.value, role)
    _, text = cast.make_key(people.core, role.value, user=user, kind=KeyKind.MANAGEMENT)
    response = cast.with_key(text).get("/api/v1/balance")
    return response.status_code, response.json()


def test_the_balance_is_exact(people: cast.Cast) -> None:
    balances.add_opening_credit(people.acme, 100_000_000_001)
    post(held(new_id(), people.acme.id, 250_000_000))
    assert asked_by(people, Role.OWNER) == (
        200,
        {"currency": "USD", "available": "99.750000001", "held": "0.25", "debt": "0.00"},
    )


def test_wallet_without_movements(people: cast.Cast) -> None:
    assert asked_by(people, Role.BILLING)[1]["available"] == "0.00"


@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.ADMIN, 200),
        (Role.BILLING, 200),
        (Role.DEVELOPER, 403),
        (Role.VIEWER, 403),
    ],
)
def test_people_who_see_the_balance(people: cast.Cast, role: Role, status: int) -> None:
    assert asked_by(people, role)[0] == status
