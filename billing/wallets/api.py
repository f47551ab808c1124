"""The management API of an organisation's money. Pages call the same functions."""

import datetime as dt
import json
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import Query
from pydantic import Field

from accounts.access import access
from accounts.access.actors import Actor, organisation_of
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from billing.access import access_top_up, access_wallet, any_top_up, visible_top_ups
from billing.balances import balances
from billing.credits import codes
from billing.credits.api import amount_of
from billing.currency.answers import answer_of
from billing.currency.money import format_usd
from billing.idempotency import Answer, answer_idempotently
from billing.invoices.api import PdfQuery
from billing.ledger import statement
from billing.models import TopUp
from billing.topups import automatic as automatic_topups
from billing.topups import topups
from billing.topups.processors import processors
from billing.topups.views import receipt_answer
from billing.wallets import low_balance
from lib import clock
from lib.api import pagination
from lib.api.openapi import Input, RequestBody, Schema, also_answers
from lib.database import tenancy
from lib.ids import id_text

router = Router(tags=["Balance"])


class BalanceOut(Schema):
    """Exact decimals of `currency`."""

    currency: str
    available: str = Field(
        description="What no running request holds. Neither the debt nor the credit line is "
        "counted."
    )
    held: str = Field(description="Held for running requests.")
    debt: str


@router.get("/balance", response=BalanceOut, summary="Show the balance")
@requires("balance.read")
def show_balance(actor: Actor) -> BalanceOut:
    """Your organisation's current balance."""
    organisation = organisation_of(actor)
    balance = balances.balance(organisation)
    return BalanceOut(
        currency=organisation.currency,
        available=format_usd(balance.available_nano),
        held=format_usd(balance.held_nano),
        debt=format_usd(balance.debt_nano),
    )


class CodeIn(RequestBody):
    """A redemption code, as it was given to you."""

    code: str = Field(min_length=1, max_length=200)


class RedemptionOut(Schema):
    id: str
    amount: str
    currency: str
    expires_at: dt.datetime | None = Field(description="When the remaining credit expires.")


@router.post(
    "/redemptions",
    response={201: RedemptionOut},
    summary="Redeem a code",
    openapi_extra=also_answers(409, 429),
)
def redeem_code(request: HttpRequest, actor: Actor, body: CodeIn) -> HttpResponse:
    """Adds a code's value to the balance, once for each organisation. Supports `Idempotency-Key`.

    After five wrong codes within ten minutes, all codes are rejected for a while.
    """
    organisation = access_wallet(actor, "codes.redeem")
    network = request.META.get("REMOTE_ADDR", "")

    def act() -> Answer:
        redeemed = codes.redeem(actor, organisation, body.code)
        return Answer(
            201,
            {
                "id": id_text(redeemed.redemption.id),
                "amount": format_usd(redeemed.amount_nano),
                "currency": organisation.currency,
                "expires_at": clock.rfc3339(redeemed.expires_at) if redeemed.expires_at else None,
            },
        )

    # Outside the response's transaction: a wrong code counts, although nothing else is written.
    with codes.count_redeem_attempt(actor, network):
        return answer_idempotently(request, actor, act)


class LedgerQuery(Input):
    month: str | None = Field(
        None,
        pattern=r"^2[0-9]{3}-(0[1-9]|1[0-2])$",
        description="For example `2026-11`. Default: this month.",
    )


class LineOut(Schema):
    id: str | None = Field(description="The posting's ID; none for a day's usage.")
    at: dt.datetime
    type: str
    requests: int | None = Field(
        description="The number of charges that day: one for each attempt that cost something."
    )
    amount: str
    balance: str = Field(description="Available and reserved, minus debt, after this line.")
    reason: str | None


class LedgerOut(Schema):
    """A month: opening + items = closing, to the last unit."""

    month: str
    currency: str
    opening: str
    closing: str
    items: list[LineOut]


@router.get("/ledger", response=LedgerOut, summary="Show the ledger of a month")
def show_ledger(actor: Actor, query: Query[LedgerQuery]) -> LedgerOut:
    """Balance changes, newest first, with usage grouped by day (UTC)."""
    organisation = access_wallet(actor, "balance.read")
    month_statement = statement.statement(organisation, statement.month_of(query.month))
    return LedgerOut(
        month=f"{month_statement.month:%Y-%m}",
        currency=organisation.currency,
        opening=format_usd(month_statement.opening_nano),
        closing=format_usd(month_statement.closing_nano),
        items=[
            answer_of(
                LineOut,
                line,
                type=line.kind,
                requests=line.count if line.kind == statement.USAGE else None,
                reason=(line.cause or {}).get("reason"),
            )
            for line in month_statement.lines
        ],
    )


class TopUpIn(RequestBody):
    """A payment to be made."""

    amount: str = Field(
        max_length=40, description=("Exact decimal with at most two decimal places.")
    )
    processor: str | None = Field(None, max_length=12, description="Default: the first one.")
    keep_card: bool = Field(False, description="Keep the card for automatic top-ups.")


class TransferIn(RequestBody):
    """What an operator saw at the bank."""

    document: str = Field(min_length=1, max_length=110, description="The bank's reference.")


class TopUpOut(Schema):
    id: str
    processor: str
    amount: str
    currency: str
    state: str = Field(
        description="`ordered`, `pending`, `paid`, `failed`, `expired` or `cancelled`."
    )
    automatic: bool
    keep_card: bool
    refunded: str
    disputed: str
    created_at: dt.datetime
    paid_at: dt.datetime | None
    url: str | None = Field(description="Where to pay, until it is paid.")


class TopUpPage(Schema):
    items: list[TopUpOut]
    next: str | None


class WalletSettingIn(RequestBody):
    """When to alert about a low balance, and whether to fill it from the stored card."""

    low_balance: str | None = Field(
        max_length=40, description=("Notify when the balance drops below this; null means never.")
    )
    automatic: bool
    automatic_below: str = Field(max_length=40)
    automatic_amount: str = Field(max_length=40)


class WalletSettingOut(Schema):
    low_balance: str | None
    automatic: bool
    automatic_below: str
    automatic_amount: str
    card_kept: bool


@router.post(
    "/top-ups",
    response={201: TopUpOut},
    summary="Create a top-up",
    openapi_extra=also_answers(409, 503),
)
def order_top_up(request: HttpRequest, actor: Actor, body: TopUpIn) -> HttpResponse:
    """Creates a top-up and returns the URL where it is paid. Supports `Idempotency-Key`."""
    organisation = access_wallet(actor, "topups.write")

    def act() -> Answer:
        top_up = topups.order_top_up(
            actor,
            organisation,
            amount_of(body.amount),
            processor=body.processor or next(iter(processors())),
            keep_card=body.keep_card,
        )
        return Answer(201, serialize_top_up(top_up))

    answer = answer_idempotently(request, actor, act)
    # The order is committed. If this process crashes here, the client sends the request again, and
    # the processor returns the same checkout.
    ordered = json.loads(answer.content)
    opened = topups.open_checkout(access_top_up(actor, ordered["id"]))
    answer.content = json.dumps({**ordered, "url": opened.checkout_url or None}).encode()
    return answer


@router.get("/top-ups", response=TopUpPage, summary="List top-ups")
def list_top_ups(actor: Actor, query: Query[pagination.PageQuery]) -> TopUpPage:
    """The organisation's top-ups, newest first."""
    rows = visible_top_ups(actor)
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    return TopUpPage(
        items=[TopUpOut(**serialize_top_up(row)) for row in page.items], next=page.next
    )


@router.get("/top-ups/{id}/receipt", response={200: bytes}, summary="Download a receipt")
def download_receipt(actor: Actor, id: str, query: Query[PdfQuery]) -> HttpResponse:
    """The receipt of a paid top-up as tagged PDF. None before it is paid."""
    return receipt_answer(access_top_up(actor, id), query.language)


@router.get("/top-ups/{id}", response=TopUpOut, summary="Show a top-up")
def show_top_up(actor: Actor, id: str) -> TopUpOut:
    """One top-up and the current state of its payment."""
    return TopUpOut(**serialize_top_up(access_top_up(actor, id)))


@router.post(
    "/top-ups/{id}/confirm",
    response=TopUpOut,
    summary="Confirm a transfer",
    auth=api_auth.installation_auth,
    openapi_extra=also_answers(409),
)
@requires("credits.write")
def confirm_transfer(request: HttpRequest, actor: Actor, id: str, body: TransferIn) -> HttpResponse:
    """For operators: a bank transfer has arrived. Above the limit a second operator must confirm
    it too. Supports `Idempotency-Key`."""
    top_up = any_top_up(actor, id)
    return answer_idempotently(
        request,
        actor,
        lambda: Answer(
            200, serialize_top_up(topups.confirm_transfer(actor, top_up, body.document))
        ),
    )


@router.post("/top-ups/{id}/cancel", response=TopUpOut, summary="Cancel a transfer")
def cancel_transfer(actor: Actor, id: str) -> TopUpOut:
    """Cancels a bank transfer that was not credited: your own until an operator has confirmed it,
    any for operators."""
    operator = access.scope_of(actor, "credits.write") is not None
    if operator:
        tenancy.enter(None)
        top_up = any_top_up(actor, id)
    else:
        access.require(actor, "topups.write")
        top_up = access_top_up(actor, id)
    return TopUpOut(**serialize_top_up(topups.cancel_transfer(actor, top_up, by_operator=operator)))


@router.get("/wallet", response=WalletSettingOut, summary="Show billing settings")
def show_wallet(actor: Actor) -> WalletSettingOut:
    """Low-balance alerts and automatic top-ups."""
    organisation = access_wallet(actor, "balance.read")
    setting = balances.wallet_setting(organisation)
    return WalletSettingOut(
        low_balance=None if setting.low_nano is None else format_usd(setting.low_nano),
        automatic=setting.auto_enabled,
        automatic_below=format_usd(setting.auto_below_nano),
        automatic_amount=format_usd(setting.auto_amount_nano),
        card_kept=bool(setting.customer_ref),
    )


@router.put("/wallet", response=WalletSettingOut, summary="Change billing settings")
def change_wallet(request: HttpRequest, actor: Actor, body: WalletSettingIn) -> WalletSettingOut:
    """Replaces all settings."""
    organisation = access_wallet(actor, "wallet.write")
    low = body.low_balance
    with transaction.atomic():
        low_balance.set_low_balance(
            actor, organisation, None if low is None else amount_of(low, "low_balance")
        )
        automatic_topups.set_automatic(
            actor,
            organisation,
            enabled=body.automatic,
            below_nano=amount_of(body.automatic_below, "automatic_below"),
            amount_nano=amount_of(body.automatic_amount, "automatic_amount"),
        )
    return show_wallet(actor)


def serialize_top_up(top_up: TopUp) -> dict[str, Any]:
    """Return a top-up as a JSON object of the API."""
    unpaid = top_up.state in ("ordered", "pending")
    return {
        "id": top_up.outer_id,
        "processor": top_up.processor,
        "amount": format_usd(top_up.amount_nano),
        "currency": top_up.currency,
        "state": str(top_up.state),
        "automatic": top_up.automatic,
        "keep_card": top_up.keep_card,
        "refunded": format_usd(top_up.refunded_nano),
        "disputed": format_usd(top_up.disputed_nano),
        "created_at": clock.rfc3339(top_up.created_at),
        "paid_at": clock.rfc3339(top_up.paid_at) if top_up.paid_at else None,
        "url": (top_up.checkout_url or None) if unpaid else None,
    }
