"""The management API of the parties on invoices: for operators, the seller and the taxes; for each
organisation, its own billing details. Pages call the same functions."""

import datetime as dt

from django.http import HttpRequest
from ninja import Query, Router, Status
from pydantic import Field

from accounts.access import access, actors, api_auth
from billing.access import access_tax_rate, access_wallet, tax_rates
from billing.currency.answers import answer_of
from billing.invoices import billing_details
from billing.invoices.rules import percent_text
from billing.models import BuyerDetail, TaxRate
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema

router = Router(tags=["Invoices"])
operator_router = Router(tags=["Operator billing"], auth=api_auth.installation_auth)

_COUNTRY = "Code of two letters, such as `DE`."


class SellerIn(RequestBody):
    """The seller on a document."""

    legal_name: str = Field("", max_length=200)
    address: str = Field("", max_length=500)
    country: str = Field("", max_length=2, description=_COUNTRY)
    tax_id: str = Field("", max_length=40)


class SellerOut(Schema):
    legal_name: str
    address: str
    country: str
    tax_id: str


class BillingDetailsIn(SellerIn):
    """An organisation as a buyer."""

    zone: str = Field(
        "UTC", max_length=64, description="In which months begin and end, such as `Asia/Kolkata`."
    )


class BillingDetailsOut(SellerOut):
    zone: str


class TaxRateIn(RequestBody):
    """A tax of a country from a day on."""

    name: str = Field(min_length=1, max_length=60)
    country: str = Field("", max_length=2, description=f"{_COUNTRY} Empty: all other countries.")
    percent: str = Field(max_length=12, description="Such as `19` or `8.1`.", examples=["19"])
    valid_from: dt.date
    reverse_charge_text: str = Field(
        "",
        max_length=500,
        description="If set, buyers with a tax ID are not charged; invoices show the text.",
    )


class TaxRateOut(Schema):
    id: str
    name: str
    country: str
    percent: str
    valid_from: dt.date
    reverse_charge_text: str
    created_at: dt.datetime


class TaxRatePage(Schema):
    items: list[TaxRateOut]
    next: str | None


@router.get("/billing-details", response=BillingDetailsOut, summary="Show billing details")
def show_billing_details(request: HttpRequest) -> BillingDetailsOut:
    """Who stands on the organisation's invoices as the buyer."""
    organisation = access_wallet(actors.actor_of(request), "balance.read")
    return _buyer(billing_details.buyer_of(organisation))


@router.put("/billing-details", response=BillingDetailsOut, summary="Change billing details")
def change_billing_details(request: HttpRequest, body: BillingDetailsIn) -> BillingDetailsOut:
    """Replaces all of them. Documents that are closed already stay as they are."""
    actor = actors.actor_of(request)
    organisation = access_wallet(actor, "wallet.write")
    return _buyer(billing_details.set_buyer(actor, organisation, **body.model_dump()))


@operator_router.get("/seller", response=SellerOut, summary="Show the seller")
def show_seller(request: HttpRequest) -> SellerOut:
    """Who stands on all invoices as the seller."""
    access.require(actors.actor_of(request), "credits.read")
    return SellerOut(**billing_details.seller().document())


@operator_router.put("/seller", response=SellerOut, summary="Change the seller")
def change_seller(request: HttpRequest, body: SellerIn) -> SellerOut:
    """Replaces all details. Documents that are closed already stay as they are."""
    actor = actors.actor_of(request)
    access.require(actor, "credits.write")
    return SellerOut(**billing_details.set_seller(actor, **body.model_dump()).document())


@operator_router.get("/tax-rates", response=TaxRatePage, summary="List tax rates")
def list_tax_rates(request: HttpRequest, query: Query[pagination.NamedPageQuery]) -> TaxRatePage:
    """Taxes by country and day, oldest first."""
    rows = query.filter_by_name(tax_rates(actors.actor_of(request)))
    page = pagination.page_by_number(rows, query.limit, query.cursor)
    return TaxRatePage(items=[_tax_rate(row) for row in page.items], next=page.next)


@operator_router.post("/tax-rates", response={201: TaxRateOut}, summary="Add a tax rate")
def create_tax_rate(request: HttpRequest, body: TaxRateIn) -> Status[TaxRateOut]:
    """A rate is never changed: a new one applies from its day on."""
    actor = actors.actor_of(request)
    access.require(actor, "credits.write")
    return Status(201, _tax_rate(billing_details.add_tax_rate(actor, **body.model_dump())))


@operator_router.get("/tax-rates/{id}", response=TaxRateOut, summary="Show a tax rate")
def show_tax_rate(request: HttpRequest, id: str) -> TaxRateOut:
    """One rate."""
    return _tax_rate(access_tax_rate(actors.actor_of(request), id))


def _buyer(detail: BuyerDetail) -> BillingDetailsOut:
    return BillingDetailsOut(**detail.document(), zone=detail.zone)


def _tax_rate(row: TaxRate) -> TaxRateOut:
    return answer_of(TaxRateOut, row, percent=percent_text(row.rate_ppm))
