"""The lines of content: the content log's rules."""

from typing import Final

from tests.isolation.kinds.content import KEPT_SESSION, LOG_RULE
from tests.isolation.table.route import Route, at, sends

_NEW: Final = {"scope": "model", "subject": "made-*"}

PAGES: Final[dict[str, Route]] = {
    "log_rules": at("organisation.write"),
    "log_rule_create": at(
        "organisation.write",
        body=sends(**_NEW, keep="errors", retention="1", unit="24", share_percent="10"),
    ),
    "log_rule_subject_choices": at("organisation.write"),
    "log_rule_edit": at("organisation.write", LOG_RULE),
    "log_rule_remove": at("organisation.write", LOG_RULE),
}

OPERATIONS: Final[dict[str, Route]] = {
    "GET /content-log/rules": at("organisation.write"),
    "POST /content-log/rules": at("organisation.write", body=sends(**_NEW)),
    "GET /content-log/rules/{id}": at("organisation.write", LOG_RULE),
    "PATCH /content-log/rules/{id}": at("organisation.write", LOG_RULE),
    "DELETE /content-log/rules/{id}": at("organisation.write", LOG_RULE),
    "GET /content-log/sessions/{id}": at("content.read", KEPT_SESSION),
}
