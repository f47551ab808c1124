"""The management API of statements."""

import datetime as dt
from typing import Literal

from ninja import Query
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router
from billing.access import access_wallet
from billing.currency.answers import answer_of
from billing.currency.money import format_usd
from lib.api import pagination
from lib.api.openapi import Schema
from usage.statements import statements
from usage.statements.statements import Check
from usage.statements.views import read_statement_month

router = Router(tags=["Statements"])


class StatementMonthOut(Schema):
    month: str
    state: Literal["open", "over", "closed"]
    invoice: str | None = Field(description="The number of its closed invoice.")


class StatementMonths(Schema):
    items: list[StatementMonthOut]
    next: str | None


class MovedOut(Schema):
    topups: str
    returned: str = Field(description="Refunds and chargebacks.")
    credits: str = Field(description="Credits and codes, minus what expired.")
    usage: str
    adjustments: str = Field(description="Corrections by operators, taxes and rounding.")
    subscriptions: str = Field("0.00", description="Fees of plans, and included usage granted.")


class CheckOut(Schema):
    source: Literal["ledger", "invoice", "usage"]
    amount: str
    expected: str = Field(description="What the statement says.")
    difference: str
    parts: dict[str, str] = Field(
        description="What leads from the figure of the usage page to the amount."
    )


class StatementLineOut(Schema):
    id: str | None = Field(description="The posting's ID; none for a day's usage.")
    at: dt.datetime
    type: str
    charges: int | None
    amount: str
    balance: str
    reason: str
    document: str
    by: str


class StatementOut(StatementMonthOut):
    """A month's statement. opening + the amounts of `moved` = closing, to the last unit. Amounts
    are exact decimals."""

    timezone: str
    period_from: dt.datetime
    period_until: dt.datetime
    currency: str
    opening: str
    closing: str
    moved: MovedOut
    paid_to_providers: str = Field(
        description="For requests of the month with your own provider keys, at the models' prices; "
        "paid to the providers and not part of the balance."
    )
    checks: list[CheckOut] = Field(
        description="None until a day after the month's end. `usage` is left out if requests at the"
        " start or the end of the month are in the file of a detached month."
    )
    items: list[StatementLineOut]


@router.get("/statements", response=StatementMonths, summary="List statements")
def list_statements(actor: Actor, query: Query[pagination.PageQuery]) -> StatementMonths:
    """The months that have a statement, newest first."""
    organisation = access_wallet(actor, "balance.read")
    months = statements.months_of(organisation)
    page = pagination.page_by_key(months, query.limit, query.cursor, lambda row: f"{row[0]:%Y-%m}")
    return StatementMonths(
        items=[
            StatementMonthOut(
                month=f"{month:%Y-%m}",
                state=state,  # type: ignore[arg-type]
                invoice=invoice.number if invoice else None,
            )
            for month, state, invoice in page.items
        ],
        next=page.next,
    )


@router.get("/statements/{period}", response=StatementOut, summary="Show a statement")
def show_statement(actor: Actor, period: str) -> StatementOut:
    """What moved the balance in a month such as `2026-11`, in the time zone of the invoices."""
    organisation = access_wallet(actor, "balance.read")
    comparison = statements.tie_out(organisation, read_statement_month(organisation, period))
    statement = comparison.statement
    moved = {group: format_usd(nano) for group, nano in statement.moved().items()}
    return StatementOut(
        month=period,
        state=comparison.state,  # type: ignore[arg-type]
        invoice=comparison.invoice.number if comparison.invoice else None,
        timezone=statement.zone.key,
        period_from=statement.span.start_at,
        period_until=statement.span.end_at,
        currency=organisation.currency,
        opening=format_usd(statement.opening_nano),
        closing=format_usd(statement.closing_nano),
        moved=MovedOut(**moved),
        paid_to_providers=format_usd(
            statements.paid_to_providers_nano(organisation, statement.span)
        ),
        checks=[_check(check) for check in comparison.checks],
        items=[
            answer_of(
                StatementLineOut,
                line,
                type=line.word_kind,
                charges=line.count if line.kind == "usage" else None,
            )
            for line in statement.lines
        ],
    )


def _check(check: Check) -> CheckOut:
    return CheckOut(
        source=check.name,  # type: ignore[arg-type]
        amount=format_usd(check.nano),
        expected=format_usd(check.expected_nano),
        difference=format_usd(check.difference_nano),
        parts={name: format_usd(nano) for name, nano in check.parts},
    )
