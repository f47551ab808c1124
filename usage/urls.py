from django.urls import path

from usage.books import finding_views
from usage.contents import views as content_views
from usage.exports import views as export_views
from usage.feedback import views as feedback_views
from usage.keys import bulk_views
from usage.keys import views as key_views
from usage.limits import budget_increase_views, end_user_views
from usage.limits import views as limit_views
from usage.log import live_log, log_views, request_views
from usage.margin import views as margin_views
from usage.months import close_views
from usage.organisations import member_views
from usage.organisations import views as organisation_views
from usage.overview import explore_views, panel_views, views
from usage.policies import views as policy_views
from usage.reviews import views as review_views
from usage.saved_views import views as saved_view_views
from usage.sessions import views as session_views
from usage.statements import views as statement_views

urlpatterns = [
    path("admin/margin", margin_views.margin_page, name="margin"),
    path("o/<slug:o>/billing/statements", statement_views.statement_list, name="statements"),
    path(
        "o/<slug:o>/billing/statements/<str:period>.csv",
        statement_views.statement_csv,
        name="statement_csv",
    ),
    path(
        "o/<slug:o>/billing/statements/<str:period>.xlsx",
        statement_views.statement_xlsx,
        name="statement_xlsx",
    ),
    path("o/<slug:o>/billing/statements/<str:period>", statement_views.statement, name="statement"),
    path("o/<slug:o>/billing/proof", statement_views.proof, name="proof"),
    path("admin/organisations", organisation_views.organisation_list, name="organisations"),
    path("o/<slug:o>/sessions", session_views.session_list, name="sessions"),
    path("o/<slug:o>/sessions/<str:id>", session_views.session_page, name="session"),
    path("o/<slug:o>/sessions/<str:id>/end", session_views.session_end, name="agent_session_end"),
    path(
        "o/<slug:o>/sessions/<str:id>/reopen",
        session_views.session_reopen,
        name="agent_session_reopen",
    ),
    path("session/<str:id>", session_views.session_link, name="session_link"),
    path("o/<slug:o>/teams", organisation_views.team_list, name="teams"),
    path("o/<slug:o>/teams/<slug:team>", organisation_views.team_page, name="team"),
    path("o/<slug:o>/keys", key_views.key_list, name="keys"),
    path("o/<slug:o>/keys/bulk", bulk_views.key_bulk, name="keys_bulk"),
    path("o/<slug:o>/keys/<str:id>", key_views.key_page, name="key"),
    path("o/<slug:o>/keys/<str:id>/disable", key_views.key_disable, name="key_disable"),
    path("o/<slug:o>/keys/<str:id>/enable", key_views.key_enable, name="key_enable"),
    path(
        "o/<slug:o>/keys/<str:id>/end-user-secret",
        key_views.key_end_user_secret,
        name="key_end_user_secret",
    ),
    path("o/<slug:o>/keys/<str:id>/rotate", key_views.key_rotate, name="key_rotate"),
    path(
        "o/<slug:o>/keys/<str:id>/end-former",
        key_views.key_end_former,
        name="key_end_former",
    ),
    path("o/<slug:o>/team", member_views.member_list, name="members"),
    path("o/<slug:o>/team/members/<str:id>", member_views.member_page, name="member"),
    path("o/<slug:o>/limits", limit_views.limit_list, name="limits"),
    path("o/<slug:o>/limits/new", limit_views.limit_create, name="limit_create"),
    path(
        "o/<slug:o>/limits/organisation",
        limit_views.limit_change,
        {"scope": "organisation", "id": ""},
        name="limit_organisation",
    ),
    path("o/<slug:o>/limits/<str:scope>/<str:id>", limit_views.limit_change, name="limit"),
    path("o/<slug:o>/budgets", limit_views.budget_list, name="budgets"),
    path("o/<slug:o>/budgets/requests", budget_increase_views.raise_list, name="raises"),
    path(
        "o/<slug:o>/budgets/requests/new", budget_increase_views.raise_create, name="raise_create"
    ),
    path("o/<slug:o>/budgets/requests/<str:id>", budget_increase_views.raise_show, name="raise"),
    path(
        "o/<slug:o>/budgets/requests/<str:id>/approve",
        budget_increase_views.raise_approve,
        name="raise_approve",
    ),
    path(
        "o/<slug:o>/budgets/requests/<str:id>/deny",
        budget_increase_views.raise_deny,
        name="raise_deny",
    ),
    path(
        "o/<slug:o>/budgets/requests/<str:id>/end",
        budget_increase_views.raise_end,
        name="raise_end",
    ),
    path("b/<str:id>", budget_increase_views.budget_link, name="budget_link"),
    path("o/<slug:o>/budgets/<str:id>", limit_views.budget_page, name="budget"),
    path("o/<slug:o>/budgets/<str:id>/end-users", end_user_views.end_user_list, name="end_users"),
    path(
        "o/<slug:o>/budgets/<str:id>/end-users/edit", end_user_views.end_user_edit, name="end_user"
    ),
    path("o/<slug:o>/budgets/<str:id>/edit", limit_views.budget_edit, name="budget_edit"),
    path("o/<slug:o>/budgets/<str:id>/remove", limit_views.budget_remove, name="budget_remove"),
    path("o/<slug:o>/budgets/<str:id>/restore", limit_views.budget_restore, name="budget_restore"),
    path(
        "o/<slug:o>/budgets/<str:id>/test-alert",
        limit_views.budget_test_alert,
        name="budget_test_alert",
    ),
    path("o/<slug:o>/budgets/<str:id>/_f/log", limit_views.budget_log, name="budget_log"),
    path("o/<slug:o>/billing/holds", request_views.hold_list, name="holds"),
    path("o/<slug:o>/usage", views.usage_page, name="usage"),
    path("o/<slug:o>/usage/_f/times", panel_views.times_panel, name="usage_times"),
    path("o/<slug:o>/usage/notes/new", views.note_new, name="note_new"),
    path("o/<slug:o>/usage/notes/<str:id>/delete", views.note_delete, name="note_delete"),
    path("o/<slug:o>/usage/_f/changes", panel_views.changes_panel, name="usage_changes"),
    path("o/<slug:o>/usage/explore", explore_views.explore_page, name="explore"),
    path("o/<slug:o>/usage/feedback", feedback_views.feedback_list, name="feedback"),
    path("o/<slug:o>/usage/feedback/sums", feedback_views.feedback_sums, name="feedback_sums"),
    path("o/<slug:o>/usage/focus.csv", explore_views.focus_file, name="focus"),
    path("o/<slug:o>/requests", log_views.request_list, name="requests"),
    path("o/<slug:o>/content-log/search", content_views.content_search, name="content_search"),
    path("o/<slug:o>/views", saved_view_views.view_list, name="views"),
    path("o/<slug:o>/views/new", saved_view_views.view_new, name="view_new"),
    path("o/<slug:o>/views/<str:id>", saved_view_views.view_change, name="view_change"),
    path("o/<slug:o>/views/<str:id>/report", saved_view_views.report_schedule, name="report"),
    path("o/<slug:o>/views/<str:id>/report/end", saved_view_views.report_end, name="report_end"),
    path("reports/<str:token>/leave", saved_view_views.report_leave, name="report_leave"),
    path("o/<slug:o>/views/<str:id>/delete", saved_view_views.view_delete, name="view_delete"),
    path("o/<slug:o>/exports", export_views.export_list, name="exports"),
    path("o/<slug:o>/exports/start", export_views.export_start, name="export_start"),
    path("o/<slug:o>/exports/<str:id>/file", export_views.export_file, name="export_file"),
    path("o/<slug:o>/exports/<str:id>/delete", export_views.export_delete, name="export_delete"),
    path("o/<slug:o>/requests/live", live_log.request_events, name="request_events"),
    path("o/<slug:o>/requests/<str:rid>", request_views.request_page, name="request"),
    path(
        "o/<slug:o>/requests/<str:rid>/receipt.json",
        request_views.receipt_file,
        name="receipt_file",
    ),
    path(
        "o/<slug:o>/requests/<str:rid>/recompute",
        request_views.request_recompute,
        name="request_recompute",
    ),
    path("admin/invoices", close_views.document_list, name="documents"),
    path("admin/invoices/seller", close_views.seller_details, name="seller"),
    path("admin/invoices/taxes", close_views.tax_rate_add, name="tax_rate_add"),
    path("admin/invoices/<str:id>", close_views.document, name="document"),
    path(
        "admin/invoices/<str:id>/propose",
        close_views.document_propose,
        name="document_propose",
    ),
    path(
        "admin/invoices/<str:id>/payment",
        close_views.document_payment,
        name="document_payment",
    ),
    path("admin/invoices/<str:id>/note", close_views.document_note, name="document_note"),
    path("admin/findings", finding_views.finding_list, name="findings"),
    path("admin/findings/<str:id>", finding_views.finding_page, name="finding"),
    path(
        "admin/findings/<str:id>/acknowledge",
        finding_views.finding_acknowledge,
        name="finding_acknowledge",
    ),
    path("admin/reviews", review_views.review_list, name="reviews"),
    path("admin/reviews/kinds", review_views.kind_settle, name="review_kind_settle"),
    path(
        "admin/reviews/accepted/<str:id>/revoke",
        review_views.member_revoke,
        name="accepted_member_revoke",
    ),
    path("o/<slug:o>/requests/<str:rid>/review", request_views.review_settle, name="review_settle"),
    path("o/<slug:o>/policies", policy_views.policy_list, name="policies"),
    path("o/<slug:o>/policies/new", policy_views.policy_create, name="policy_create"),
    path("o/<slug:o>/policies/<str:id>", policy_views.policy, name="policy"),
    path("o/<slug:o>/policies/<str:id>/try", policy_views.policy_try, name="policy_try"),
    path("o/<slug:o>/policies/<str:id>/remove", policy_views.policy_remove, name="policy_remove"),
]
