"""The lines of usage: what happened, and the pages that show it with keys, budgets and members."""

import datetime as dt
from typing import Final

from lib import clock
from tests.isolation.kinds.accounts import KEY, LIMIT, MEMBER, TEAM
from tests.isolation.kinds.billing import (
    BUDGET,
    DOCUMENT,
    END_USERS_BUDGET,
    LINKED_BUDGET,
    RAISE,
    REMOVED_BUDGET,
)
from tests.isolation.kinds.content import POLICY
from tests.isolation.kinds.usage import (
    ACCEPTED_MEMBER,
    ENDABLE_SESSION,
    EXPORT,
    FEEDBACK,
    FINDING,
    LINKED_SESSION,
    NOTE,
    REQUEST,
    REVIEW,
    SAVED_VIEW,
    SESSION,
)
from tests.isolation.table.route import WRITES_KEYS, Route, at, listed, sends

_THIS_MONTH: Final = {"period": f"{clock.now():%Y-%m}"}
_NEXT_WEEK: Final = f"{clock.now() + dt.timedelta(days=7):%Y-%m-%dT00:00:00Z}"

PAGES: Final[dict[str, Route]] = {
    # For everybody: whoever asks, it holds nothing of others
    "report_leave": at("public", rest={"token": "none"}),
    # Oneself
    "budget_link": at("signed in", LINKED_BUDGET, operators="in"),
    # The organisation
    "teams": at("teams.read"),
    "team": at("teams.read", TEAM),
    "members": at("members.read"),
    "member": at("members.read", MEMBER),
    # Keys, limits and budgets
    "keys": at("keys.read"),
    "key": at("keys.read", KEY, also="usage.read"),
    "keys_bulk": at("keys.write_own", KEY, in_body=True, body=listed),
    "key_disable": at("keys.read", KEY, write=WRITES_KEYS),
    "key_enable": at("keys.read", KEY, write=WRITES_KEYS),
    "key_rotate": at("keys.read", KEY, write=WRITES_KEYS),
    "key_end_user_secret": at("keys.read", KEY, write=WRITES_KEYS),
    "key_end_former": at("keys.read", KEY, write=WRITES_KEYS),
    "limits": at("budgets.write"),
    "limit_create": at("budgets.write"),
    "limit_organisation": at("budgets.write", all_teams=404),
    "limit": at("budgets.write", LIMIT),
    "budgets": at("budgets.read"),
    "budget": at("budgets.read", BUDGET),
    "budget_edit": at("budgets.write", BUDGET),
    "budget_log": at("budgets.read", BUDGET),
    "end_users": at("budgets.read", END_USERS_BUDGET),
    "end_user": at("budgets.write", END_USERS_BUDGET, body=sends(end_user="ana@chat", amount="5")),
    "budget_remove": at("budgets.write", BUDGET),
    "budget_restore": at("budgets.write", REMOVED_BUDGET),
    "budget_test_alert": at("budgets.write", BUDGET),
    "raises": at("budgets.ask"),
    "raise_create": at("budgets.ask"),
    "raise": at("budgets.ask", RAISE),
    "raise_approve": at("budgets.write", RAISE, by_role=True),
    "raise_deny": at("budgets.write", RAISE, by_role=True),
    "raise_end": at("budgets.write", RAISE, by_role=True),
    # What happened, and what it costs
    "usage": at("usage.read"),
    "explore": at("usage.read"),
    "usage_changes": at("usage.read"),
    "usage_times": at("usage.read"),
    "note_new": at("teams.write", body=sends(at="2026-11-18T12:00", team="core", text="made")),
    "note_delete": at("teams.write", NOTE),
    "focus": at("usage.read"),
    "requests": at("requests.read"),
    "sessions": at("requests.read"),
    "feedback": at("requests.read"),
    "feedback_sums": at("requests.read"),
    "session": at("requests.read", SESSION),
    "agent_session_end": at("sessions.write", ENDABLE_SESSION),
    "agent_session_reopen": at("sessions.write", ENDABLE_SESSION),
    "session_link": at("signed in", LINKED_SESSION, operators="in"),
    "views": at("usage.read"),
    "view_new": at("usage.read", body=sends(page="usage", name="made")),
    "view_change": at("usage.read", SAVED_VIEW, body=sends(name="changed")),
    "report": at("usage.read", SAVED_VIEW),
    "report_end": at("usage.read", SAVED_VIEW, nothing=True),
    "view_delete": at("usage.read", SAVED_VIEW),
    "exports": at("requests.read"),
    "export_start": at("requests.read", nothing=True),
    "export_file": at("requests.read", EXPORT, nothing=True),
    "export_delete": at("requests.read", EXPORT),
    "request_events": at("requests.read"),
    "request": at("requests.read", REQUEST),
    "content_search": at("content.read", body=sends(text="Asked", reason="A complaint")),
    "receipt_file": at("requests.read", REQUEST),
    "request_recompute": at("requests.read", REQUEST),
    "review_settle": at("credits.write", REVIEW),
    "holds": at("balance.read"),
    "statements": at("balance.read"),
    "statement": at("balance.read", rest=_THIS_MONTH),
    "statement_csv": at("balance.read", rest=_THIS_MONTH),
    "statement_xlsx": at("balance.read", rest=_THIS_MONTH),
    "proof": at("balance.read"),
    # The installation: for everybody else it does not exist
    "organisations": at("organisations.read"),
    "documents": at("credits.read"),
    "document": at("credits.read", DOCUMENT),
    "document_propose": at("credits.write", DOCUMENT),
    "margin": at("credits.read"),
    "document_note": at("credits.write", DOCUMENT),
    "document_payment": at("credits.write", DOCUMENT),
    "seller": at("credits.write"),
    "tax_rate_add": at("credits.write"),
    "reviews": at("credits.read"),
    "review_kind_settle": at("credits.write"),
    "accepted_member_revoke": at("credits.write", ACCEPTED_MEMBER),
    "findings": at("channels.read"),
    "finding": at("channels.read", FINDING),
    "finding_acknowledge": at("channels.write", FINDING),
    # Policies
    "policies": at("organisation.write"),
    "policy_create": at("organisation.write", body=sends(name="Made")),
    "policy": at("organisation.write", POLICY, body=sends(name="Made")),
    "policy_try": at("organisation.write", POLICY, body=sends(text="a")),
    "policy_remove": at("organisation.write", POLICY),
}

OPERATIONS: Final[dict[str, Route]] = {
    # The organisation and who is in it
    "GET /effective-settings": at("teams.read", operators=404),
    # What happened, and what it costs
    "GET /usage": at("usage.read", operators=404),
    "GET /usage/focus": at("usage.read", operators=404),
    "GET /exports": at("requests.read"),
    "POST /exports": at("requests.read", operators=404, body=sends(format="csv")),
    "GET /exports/{id}": at("requests.read", EXPORT),
    "GET /exports/{id}/file": at("requests.read", EXPORT),
    "DELETE /exports/{id}": at("requests.read", EXPORT),
    "GET /requests": at("requests.read", operators=404),
    "POST /content-log/search": at("content.read", body=sends(text="Asked", reason="A complaint")),
    "POST /content-log/download": at("content.read", body=sends(reason="A complaint")),
    "GET /feedback": at("requests.read", operators=404),
    "GET /feedback/sums": at("requests.read", operators=404),
    "GET /feedback/{id}": at("requests.read", FEEDBACK),
    "DELETE /feedback/{id}": at("organisation.write", FEEDBACK),
    "GET /sessions": at("requests.read", operators=404),
    "GET /sessions/{id}": at("requests.read", SESSION),
    "POST /sessions/{id}/end": at("sessions.write", ENDABLE_SESSION),
    "POST /sessions/{id}/reopen": at("sessions.write", ENDABLE_SESSION),
    "GET /requests/{id}": at("requests.read", REQUEST),
    "GET /requests/{id}/receipt": at("requests.read", REQUEST),
    "GET /statements": at("balance.read", operators=404),
    "GET /statements/{period}": at("balance.read", operators=404, rest=_THIS_MONTH),
    "GET /budgets": at("budgets.read"),
    "POST /budgets": at(
        "budgets.write", body=sends(scope="model", subject="m-1", amount="5", period="month")
    ),
    "GET /budgets/{id}": at("budgets.read", BUDGET),
    "PATCH /budgets/{id}": at("budgets.read", BUDGET, write="budgets.write"),
    "DELETE /budgets/{id}": at("budgets.read", BUDGET, write="budgets.write"),
    "POST /budgets/{id}/restore": at("budgets.write", REMOVED_BUDGET),
    "GET /budgets/{id}/end-users": at("budgets.read", END_USERS_BUDGET),
    "PUT /budgets/{id}/end-users": at(
        "budgets.read", END_USERS_BUDGET, write="budgets.write",
        body=sends(end_user="ana@chat", amount="5"),
    ),
    "GET /budgets/{id}/alerts": at("budgets.read", BUDGET),
    "POST /budgets/{id}/test-alert": at("budgets.read", BUDGET, write="budgets.write"),
    "GET /budget-requests": at("budgets.ask"),
    "POST /budgets/{id}/requests": at(
        "budgets.ask", BUDGET, body=sends(amount="5", until=_NEXT_WEEK, reason="r")
    ),
    "GET /budget-requests/{id}": at("budgets.ask", RAISE),
    "POST /budget-requests/{id}/approve": at("budgets.write", RAISE, by_role=True),
    "POST /budget-requests/{id}/deny": at(
        "budgets.write", RAISE, by_role=True, body=sends(answer="no")
    ),
    "POST /budget-requests/{id}/end": at("budgets.write", RAISE, by_role=True),
    "GET /saved-views": at("usage.read"),
    "POST /saved-views": at(
        "usage.read", by_person=True, operators=404, body=sends(page="usage", name="made")
    ),
    "GET /saved-views/{id}": at("usage.read", SAVED_VIEW),
    "PATCH /saved-views/{id}": at(
        "usage.read", SAVED_VIEW, by_person=True, body=sends(name="changed")
    ),
    "DELETE /saved-views/{id}": at("usage.read", SAVED_VIEW, by_person=True),
    "GET /saved-views/{id}/report": at("usage.read", SAVED_VIEW, by_person=True, nothing=True),
    "PUT /saved-views/{id}/report": at(
        "usage.read", SAVED_VIEW, by_person=True,
        body=sends(every="week", people=["nobody@example.org"]),
    ),
    "DELETE /saved-views/{id}/report": at("usage.read", SAVED_VIEW, by_person=True, nothing=True),
    # The installation
    "GET /documents": at("credits.read"),
    "GET /documents/{id}": at("credits.read", DOCUMENT),
    "GET /documents/{id}/pdf": at("credits.read", DOCUMENT, nothing=True),
    "POST /documents/{id}/propose": at("credits.write", DOCUMENT),
    "POST /documents/{id}/close": at("credits.write", DOCUMENT, body=sends(checksum="c")),
    "POST /documents/{id}/notes": at(
        "credits.write", DOCUMENT, body=sends(kind="credit_note", amount="1", reason="r")
    ),
    "POST /documents/{id}/void": at("credits.write", DOCUMENT, body=sends(reason="r")),
    "POST /documents/{id}/payments": at(
        "credits.write", DOCUMENT, body=sends(amount="1", reference="r", paid_on="2026-01-01")
    ),
    "GET /reviews": at("credits.read"),
    "GET /review-kinds": at("credits.read"),
    "POST /review-kinds/settle": at(
        "credits.write", body=sends(provider="p", unknown=["u"], settle_as="free"), nothing=True
    ),
    "GET /accepted-members": at("credits.read"),
    "POST /accepted-members/{id}/revoke": at("credits.write", ACCEPTED_MEMBER),
    "GET /findings": at("channels.read"),
    "GET /findings/{id}": at("channels.read", FINDING),
    "POST /findings/{id}/acknowledge": at(
        "channels.write", FINDING, body=sends(reason="r")
    ),
    "GET /margin": at("credits.read"),
    "POST /requests/{id}/review": at(
        "credits.write", REVIEW, body=sends(settle_as="free", reason="r")
    ),
    # Policies
    "GET /policies": at("organisation.write"),
    "POST /policies": at("organisation.write", body=sends(name="Made", rules=[])),
    "GET /policies/{id}": at("organisation.write", POLICY),
    "PATCH /policies/{id}": at("organisation.write", POLICY),
    "DELETE /policies/{id}": at("organisation.write", POLICY),
    "POST /policies/{id}/try": at("organisation.write", POLICY, body=sends(text="a")),
}  # fmt: skip
