"""The lines of billing: balance, top-ups, invoices, codes."""

from typing import Final

from tests.isolation.kinds.accounts import ORGANISATION
from tests.isolation.kinds.billing import (
    APPROVAL,
    CODE_BATCH,
    CREDIT,
    INVOICE,
    PAYMENT,
    POSTING,
    SUBSCRIPTION_PLAN,
    TOP_UP,
)
from tests.isolation.table.route import Route, at, sends

PAGES: Final[dict[str, Route]] = {
    # For everybody: whoever asks, it holds nothing of others
    "processor_event": at("public", rest={"processor": "stripe"}),
    # What happened, and what it costs
    "billing": at("balance.read"),
    "balance_part": at("balance.read"),
    "invoices": at("balance.read"),
    "invoice": at("balance.read", INVOICE),
    "invoice_pdf": at("balance.read", INVOICE),
    "billing_details": at("wallet.write"),
    "subscription": at("balance.read", post="wallet.write"),
    "subscription_cancel": at("wallet.write"),
    "subscription_resume": at("wallet.write"),
    "top_ups": at("topups.read"),
    "top_up_new": at("topups.write"),
    "top_up": at("topups.read", TOP_UP),
    "top_up_cancel": at("topups.write", TOP_UP),
    "receipt": at("topups.read", TOP_UP, nothing=True),
    "receipt_pdf": at("topups.read", TOP_UP, nothing=True),
    "invoice_archive": at("balance.read", nothing=True),
    "redeem": at("codes.redeem"),
    "wallet": at("wallet.write"),
    # The installation: for everybody else it does not exist
    "organisation_charge_rule": at("credits.write", ORGANISATION),
    "subscription_plans": at("credits.read"),
    "subscription_plan_create": at("credits.write"),
    "subscription_plan_offer": at("credits.write", SUBSCRIPTION_PLAN),
    "subscription_plan_archive": at("credits.write", SUBSCRIPTION_PLAN),
    "credits": at("credits.read"),
    "credit_create": at("credits.write"),
    "approvals": at("credits.read"),
    "approval": at("credits.read", APPROVAL),
    "approval_decide": at("credits.read", APPROVAL),
    "safeguards": at("credits.write"),
    "own_organisation": at("signed in"),
    "trial_credit": at("credits.write"),
    "codes": at("codes.read"),
    "code_batch_create": at("codes.write"),
    "code_download": at("codes.write", CODE_BATCH),
    "code_kill": at("codes.write", CODE_BATCH),
    "exchange_rates": at("credits.write"),
    "exchange_rate_add": at("credits.write"),
    "payments": at("credits.read"),
    "payment_confirm": at("credits.write", PAYMENT),
    "payment_refuse": at("credits.write", PAYMENT),
}

OPERATIONS: Final[dict[str, Route]] = {
    # What happened, and what it costs
    "GET /balance": at("balance.read", operators=404),
    "GET /ledger": at("balance.read", operators=404),
    "POST /redemptions": at("codes.redeem", body=sends(code="no-such-code")),
    "POST /top-ups": at("topups.write", body=sends(amount="25.00")),
    "GET /top-ups": at("topups.read", operators=404),
    "GET /top-ups/{id}": at("topups.read", TOP_UP),
    "GET /top-ups/{id}/receipt": at("topups.read", TOP_UP, nothing=True),
    "POST /top-ups/{id}/cancel": at("topups.write", TOP_UP, operators="in"),
    "GET /invoices": at("balance.read", operators=404),
    "GET /subscription": at("balance.read", operators=404),
    "POST /subscription/preview": at("wallet.write", body=sends(plan="no-such-plan")),
    "PUT /subscription": at("wallet.write", body=sends(plan="no-such-plan")),
    "POST /subscription/cancel": at("wallet.write"),
    "POST /subscription/resume": at("wallet.write"),
    "GET /invoices/{no}": at("balance.read", INVOICE),
    "GET /invoices/{no}/pdf": at("balance.read", INVOICE),
    "GET /wallet": at("balance.read", operators=404),
    "PUT /wallet": at(
        "wallet.write",
        body=sends(low_balance=None, automatic=False, automatic_below="5", automatic_amount="25"),
    ),
    # The installation
    "POST /top-ups/{id}/confirm": at("credits.write", PAYMENT, body=sends(document="d")),
    "GET /billing-details": at("balance.read", operators=404),
    "PUT /billing-details": at("wallet.write", body=sends(zone="UTC")),
    "GET /seller": at("credits.read"),
    "PUT /seller": at("credits.write", body=sends(legal_name="made")),
    "GET /tax-rates": at("credits.read"),
    "POST /tax-rates": at(
        "credits.write", body=sends(name="made", percent="19", valid_from="2026-01-01")
    ),
    "GET /tax-rates/{id}": at("credits.read", rest={"id": "0"}, nothing=True),
    "GET /exchange-rates": at("credits.read"),
    "GET /exchange-rates/{id}": at("credits.read", rest={"id": "none"}, nothing=True),
    "POST /exchange-rates": at(
        "credits.write",
        body=sends(items=[{"currency": "EUR", "day": "2026-11-20", "rate": "0.92"}]),
    ),
    "GET /organisations/{slug}/charge-rule": at("credits.read", ORGANISATION),
    "PUT /organisations/{slug}/charge-rule": at(
        "credits.write", ORGANISATION, body=sends(kind="absorb")
    ),
    "GET /subscription-plans": at("credits.read"),
    "GET /subscription-plans/{id}": at("credits.read", SUBSCRIPTION_PLAN),
    "POST /subscription-plans": at(
        "credits.write", body=sends(name="made", price="20", included="25")
    ),
    "POST /subscription-plans/{id}/offer": at("credits.write", SUBSCRIPTION_PLAN),
    "POST /subscription-plans/{id}/archive": at("credits.write", SUBSCRIPTION_PLAN),
    "GET /credits": at("credits.read"),
    "GET /credits/{id}": at("credits.read", CREDIT),
    "POST /credits": at(
        "credits.write", ORGANISATION, in_body=True,
        body=lambda id: {"organisation": id, "amount": "5", "reason": "r"},
    ),
    "GET /safeguards": at("credits.read"),
    "GET /trial-credit": at("credits.read"),
    "PATCH /trial-credit": at("credits.write", body=sends(amount="5")),
    "POST /safeguards": at("credits.write", body=sends(name="credit_limit", value="50")),
    "GET /approvals": at("credits.read"),
    "GET /approvals/{id}": at("credits.read", APPROVAL),
    "POST /approvals/{id}/approve": at("credits.read", APPROVAL),
    "POST /approvals/{id}/reject": at("credits.read", APPROVAL),
    "POST /postings/{id}/reverse": at("credits.write", POSTING, body=sends(reason="r")),
    "GET /code-batches": at("codes.read"),
    "POST /code-batches": at("codes.write", body=sends(name="made", value="5", count=2)),
    "GET /code-batches/{id}": at("codes.read", CODE_BATCH),
    "POST /code-batches/{id}/download": at("codes.write", CODE_BATCH),
    "POST /code-batches/{id}/kill": at("codes.write", CODE_BATCH),
}  # fmt: skip
