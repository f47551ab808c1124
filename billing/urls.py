from django.urls import path

from billing.approvals import views as approval_views
from billing.credits import views as operator_views
from billing.currency import views as exchange_rate_views
from billing.invoices import views as invoice_views
from billing.limits import charge_rule_views
from billing.safeguards import views as safeguard_views
from billing.subscriptions import views as subscription_views
from billing.topups import views as topup_views
from billing.trials import views as trial_views
from billing.wallets import views

urlpatterns = [
    path("organisation/new", trial_views.own_organisation, name="own_organisation"),
    path("admin/people/sign-up/trial", trial_views.trial_credit, name="trial_credit"),
    path(
        "processors/<str:processor>/events",
        topup_views.processor_event,
        name="processor_event",
    ),
    path("o/<slug:o>/billing", views.billing, name="billing"),
    path("o/<slug:o>/billing/invoices", invoice_views.invoice_list, name="invoices"),
    path("o/<slug:o>/billing/invoices/<str:no>.pdf", invoice_views.invoice_pdf, name="invoice_pdf"),
    path("o/<slug:o>/billing/invoices/<str:no>", invoice_views.invoice, name="invoice"),
    path("o/<slug:o>/billing/details", invoice_views.billing_details, name="billing_details"),
    path("o/<slug:o>/billing/plan", subscription_views.subscription, name="subscription"),
    path(
        "o/<slug:o>/billing/plan/cancel",
        subscription_views.subscription_cancel,
        name="subscription_cancel",
    ),
    path(
        "o/<slug:o>/billing/plan/resume",
        subscription_views.subscription_resume,
        name="subscription_resume",
    ),
    path("o/<slug:o>/billing/top-ups", views.top_ups, name="top_ups"),
    path("o/<slug:o>/billing/top-up", views.top_up_new, name="top_up_new"),
    path("o/<slug:o>/billing/invoices.zip", topup_views.invoice_archive, name="invoice_archive"),
    path(
        "o/<slug:o>/billing/top-ups/<str:id>/receipt.pdf",
        topup_views.receipt_file,
        name="receipt_pdf",
    ),
    path("o/<slug:o>/billing/top-ups/<str:id>/receipt", topup_views.receipt, name="receipt"),
    path("o/<slug:o>/billing/top-ups/<str:id>", views.top_up_state, name="top_up"),
    path("o/<slug:o>/billing/top-ups/<str:id>/cancel", views.top_up_cancel, name="top_up_cancel"),
    path("o/<slug:o>/billing/_f/balance", views.balance_part, name="balance_part"),
    path("o/<slug:o>/billing/redeem", views.redeem, name="redeem"),
    path("o/<slug:o>/billing/alerts", views.wallet, name="wallet"),
    path(
        "admin/organisations/<slug:slug>/charge-rule",
        charge_rule_views.organisation_charge_rule,
        name="organisation_charge_rule",
    ),
    path(
        "admin/subscription-plans",
        subscription_views.subscription_plan_list,
        name="subscription_plans",
    ),
    path(
        "admin/subscription-plans/new",
        subscription_views.subscription_plan_create,
        name="subscription_plan_create",
    ),
    path(
        "admin/subscription-plans/<str:id>/offer",
        subscription_views.subscription_plan_offer,
        name="subscription_plan_offer",
    ),
    path(
        "admin/subscription-plans/<str:id>/archive",
        subscription_views.subscription_plan_archive,
        name="subscription_plan_archive",
    ),
    path("admin/exchange-rates", exchange_rate_views.exchange_rate_list, name="exchange_rates"),
    path("admin/safeguards", safeguard_views.safeguard_list, name="safeguards"),
    path(
        "admin/exchange-rates/new", exchange_rate_views.exchange_rate_add, name="exchange_rate_add"
    ),
    path("admin/approvals", approval_views.approval_list, name="approvals"),
    path("admin/approvals/<str:id>", approval_views.approval, name="approval"),
    path("admin/approvals/<str:id>/decide", approval_views.approval_decide, name="approval_decide"),
    path("admin/credits", operator_views.credit_list, name="credits"),
    path("admin/credits/new", operator_views.credit_create, name="credit_create"),
    path("admin/codes", operator_views.code_list, name="codes"),
    path("admin/codes/new", operator_views.code_batch_create, name="code_batch_create"),
    path("admin/codes/<str:id>/download", operator_views.code_download, name="code_download"),
    path("admin/codes/<str:id>/kill", operator_views.code_kill, name="code_kill"),
    path("admin/payments", operator_views.payment_list, name="payments"),
    path("admin/payments/<str:id>/confirm", operator_views.payment_confirm, name="payment_confirm"),
    path("admin/payments/<str:id>/refuse", operator_views.payment_refuse, name="payment_refuse"),
]
