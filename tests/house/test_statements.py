"""P12: a table whose rows are an organisation's is never read by person alone. The isolation matrix
asks this of every statement that a page or an operation sends (`tests/isolation/cells.py`); here is
what it recognises."""

from typing import Any

import pytest
from django.db import connection

from accounts.models import AuditEvent, Invitation, Key, Membership, User
from playground.erasure.erasure_requests import _ORGANISATIONS
from playground.erasure.erasure_steps import _OPEN_HOLDS
from tests.isolation.statements import person_columns, read_by_person_alone
from tests.support.cast import Cast
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db


def read_by(rows: Any, asker: User | None = None) -> set[str]:
    """What Django's statement for these rows reads by person alone."""
    found = set[str]()

    def look(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        found.update(read_by_person_alone(sql, params, asker))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        list(rows)
    return found


def test_rows_of_a_person_alone_are_recognised(people: Cast) -> None:
    bob = people.bob
    for rows, table in (
        (Key.objects.filter(user=bob).select_related("organisation", "team"), "accounts_key"),
        (Key.objects.filter(user__in=[bob, people.alice]), "accounts_key"),
        (UsageRecord.objects.filter(user_id=bob.pk, final=True), "usage_usagerecord"),
        (AuditEvent.objects.filter(actor_user=bob), "accounts_auditevent"),
        (Invitation.objects.filter(email__iexact=bob.email), "accounts_invitation"),
        (Key.objects.filter(organisation__memberships__user=bob), "accounts_membership"),
    ):
        assert read_by(rows) == {table}


def test_rows_of_a_person_in_an_organisation_are_none(people: Cast) -> None:
    for rows in (
        Key.objects.filter(organisation=people.acme, user=people.bob),
        Key.objects.filter(user=people.bob, id=people.core.pk),
        Membership.objects.filter(user=people.bob, organisation__slug="acme"),
        Key.objects.filter(organisation=people.acme).select_related("user"),
        User.objects.filter(email__iexact=people.bob.email),
    ):
        assert read_by(rows) == set()
    rows = Membership.objects.filter(user=people.bob)
    assert read_by(rows.all(), people.bob) == set()
    assert read_by(rows.all(), people.alice) == {"accounts_membership"}


def test_statements_by_hand_are_recognised() -> None:
    somebody = {"user": 7, "email": "b@example.org", "part": None}
    assert set(read_by_person_alone(_ORGANISATIONS, somebody, None)) >= {
        "accounts_membership", "accounts_key", "accounts_invitation", "usage_rollup",
    }  # fmt: skip
    assert set(read_by_person_alone(_OPEN_HOLDS, somebody, None)) == {"usage_attempt"}
    assert not set(read_by_person_alone(_OPEN_HOLDS, {**somebody, "part": "x"}, None))


def test_the_tables_of_people_are_known() -> None:
    assert person_columns()["accounts_invitation"] >= {"email", "invited_by_id"}
    assert person_columns().keys() >= {
        "accounts_auditevent", "accounts_erasure", "accounts_key", "accounts_membership",
        "content_prompt", "usage_attempt", "usage_chartnote", "usage_usagerecord",
    }  # fmt: skip
