"""The management API of money."""

from django.http import Http404, HttpRequest
from ninja import Router, Schema
from pydantic import Field

from accounts import access
from billing import wallets
from billing.rules.money import format_usd

router = Router(tags=["Balance"])


class BalanceOut(Schema):
    """Exact decimals of `currency`."""

    currency: str
    available: str = Field(description="What new requests can use.")
    held: str = Field(description="Set aside for requests that run now.")
    debt: str


@router.get("/balance", response=BalanceOut, summary="Show the balance")
def show_balance(request: HttpRequest) -> BalanceOut:
    """What your organisation has, as of now."""
    actor = access.actor_of(request)
    access.require(actor, "balance.read")
    if actor.organisation is None:
        raise Http404
    balance = wallets.balance(actor.organisation)
    return BalanceOut(
        currency=actor.organisation.currency,
        available=format_usd(balance.available_nano),
        held=format_usd(balance.held_nano),
        debt=format_usd(balance.debt_nano),
    )
