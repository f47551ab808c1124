"""The management API of an organisation's money. Pages call the same functions."""

import datetime as dt

from django.http import Http404, HttpRequest, HttpResponse
from ninja import Query, Router, Schema
from pydantic import ConfigDict, Field

from accounts import access
from billing import codes, statement, wallets
from billing.access import access_wallet
from billing.answering import answered
from billing.idempotency import Answer
from billing.rules.money import format_usd
from lib.ids import id_text

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


class CodeIn(Schema):
    """A redemption code, as it was given to you."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(min_length=1, max_length=200)


class RedemptionOut(Schema):
    id: str
    amount: str
    currency: str
    expires_at: dt.datetime | None = Field(description="When what is left of it is gone.")


@router.post("/redemptions", response={201: RedemptionOut}, summary="Redeem a code")
def redeem_code(request: HttpRequest, body: CodeIn) -> HttpResponse:
    """Add a code's value to the balance, once for each organisation. Takes an `Idempotency-Key`.

    After five wrong codes in ten minutes no other is looked at for a while.
    """
    actor = access.actor_of(request)
    organisation = access_wallet(actor, "codes.redeem")
    network = request.META.get("REMOTE_ADDR", "")

    def act() -> Answer:
        given = codes.redeem(actor, organisation, body.code)
        return Answer(
            201,
            {
                "id": id_text(given.redemption.id),
                "amount": format_usd(given.amount_nano),
                "currency": organisation.currency,
                "expires_at": given.expires_at.isoformat() if given.expires_at else None,
            },
        )

    # Outside of the answer's transaction: a wrong try is counted, though nothing else happened.
    with codes.counted_try(actor, network):
        return answered(request, actor, act)


class LedgerQuery(Schema):
    model_config = ConfigDict(extra="forbid")

    month: str | None = Field(
        None,
        pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$",
        description="As `2026-11`; this one if left out.",
    )


class LineOut(Schema):
    id: str | None = Field(description="The posting's; none for the usage of a day.")
    at: dt.datetime
    type: str
    requests: int | None = Field(description="How many requests were charged that day.")
    amount: str
    balance: str = Field(description="Available and held, less debt, after this line.")
    reason: str | None


class LedgerOut(Schema):
    """A month: opening + items = closing, to the last unit."""

    month: str
    currency: str
    opening: str
    closing: str
    items: list[LineOut]


@router.get("/ledger", response=LedgerOut, summary="Show the ledger of a month")
def show_ledger(request: HttpRequest, query: Query[LedgerQuery]) -> LedgerOut:
    """What moved the balance, newest first, usage rolled up per day of UTC."""
    organisation = access_wallet(access.actor_of(request), "balance.read")
    found = statement.statement(organisation, statement.month_of(query.month))
    return LedgerOut(
        month=f"{found.month:%Y-%m}",
        currency=organisation.currency,
        opening=format_usd(found.opening_nano),
        closing=format_usd(found.closing_nano),
        items=[
            LineOut(
                id=id_text(line.id) if line.id else None,
                at=line.at,
                type=line.kind,
                requests=line.count if line.kind == statement.USAGE else None,
                amount=format_usd(line.amount_nano),
                balance=format_usd(line.balance_nano),
                reason=(line.cause or {}).get("reason"),
            )
            for line in found.lines
        ],
    )
