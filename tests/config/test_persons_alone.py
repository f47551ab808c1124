"""What only a person may do is refused to a key and to the installation itself, with the reason,
before anything is looked at. The guards are found in the code."""

import ast
import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from accounts.access.actors import SYSTEM
from accounts.members import invitations
from accounts.members.invitations import Offer
from accounts.models import Role
from billing.credits import credits
from billing.invoices import invoices
from billing.invoices import payments as invoice_payments
from billing.limits import budget_increases
from billing.models import Budget, Invoice
from lib import clock
from lib.refusal import Refused
from tests.mutants.targets import target_files
from tests.support.cast import Cast
from usage.models import SettleAs
from usage.reviews import reviews

ROOT: Final = Path(__file__).parents[2]
TODAY: Final = dt.date(2026, 7, 31)

# The function with the guard, and what goes through it.
ASKED: Final[dict[str, Callable[[Cast], object]]] = {
    "accounts/members/invitations.py:invite": lambda people: invitations.invite(
        people.acme, ["new@example.org"], Offer(Role.VIEWER), actor=SYSTEM
    ),
    "billing/credits/credits.py:_person": lambda people: credits.request_credit(
        SYSTEM, people.acme, 1, reason="a gift"
    ),
    "billing/invoices/payments.py:record_payment": lambda _: invoice_payments.record_payment(
        SYSTEM, Invoice(), 1, reference="r", paid_on=TODAY
    ),
    "billing/invoices/invoices.py:_person": lambda _: invoices.propose_invoice(SYSTEM, Invoice()),
    "billing/limits/budget_increases.py:ask_for_more": lambda _: budget_increases.ask_for_more(
        SYSTEM, Budget(), amount_nano=1, until=clock.now() + dt.timedelta(days=1), reason="r"
    ),
    "usage/reviews/reviews.py:settle_kind": lambda _: reviews.settle_kind(
        SYSTEM, "openai", "", ["x"], SettleAs.BOUND
    ),
    "usage/reviews/reviews.py:settle_review": lambda _: reviews.settle_review(
        SYSTEM, uuid.uuid4(), SettleAs.BOUND, amount_nano=None, reason="r"
    ),
}


def guards() -> Iterator[str]:
    for file in target_files(ROOT):
        for function in ast.walk(ast.parse((ROOT / file).read_text())):
            if isinstance(function, ast.FunctionDef):
                for node in function.body:
                    if (
                        isinstance(node, ast.If)
                        and isinstance(node.body[-1], ast.Raise)
                        and ast.unparse(node.test) == "actor.user is None"
                    ):
                        yield f"{file}:{function.name}"


def test_every_person_only_guard_is_listed_here() -> None:
    assert set(guards()) == ASKED.keys()


@pytest.mark.parametrize("name", ASKED)
def test_non_person_is_rejected(people: Cast, name: str) -> None:
    with pytest.raises(Refused, match=r"^Only a person can "):
        ASKED[name](people)
