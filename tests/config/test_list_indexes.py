"""Lists without end are read by an index, whatever they are sorted by: no page scans."""

import html
import json
import re
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

import config.urls  # noqa: F401 - every list is declared by its page
from accounts.models import AuditEvent, Organisation, User
from billing.models import TopUp
from gateway.models import ShadowAnswer
from lib.database.tenancy import use_tenant
from lib.ids import id_text, new_ids
from lib.tables.table import REGISTERED
from notify.models import Delivery, WebhookEndpoint
from outbox.models import Fact
from tests.support import cast
from tests.usage.reports.test_speed import fill
from tests.usage.rows import credit
from usage.models import Export, ExportState

pytestmark = pytest.mark.django_db

ROWS = 1_000
# A page of 50, one row more to know whether there is a next, and one of each partition beside it.
READ_MAX = 60
# Each list without end: what of the database it reads.
RELATIONS = {
    "all-audit": "accounts_auditevent",
    "audit": "accounts_auditevent",
    "deliveries": "notify_delivery",
    "exports": "usage_export",
    "key-requests": "usage_usagerecord",
    "organisations": "accounts_organisation",
    "payments": "billing_topup",
    "people": "accounts_user",
    "requests": "usage_usagerecord",
    "shadow-answers": "gateway_shadowanswer",
    "top-ups": "billing_topup",
}
SORTS = {
    table.name: [
        f"{sign}{column.name}"
        for column in table.columns
        if column.sort_path is not None
        for sign in ("", "-")
    ]
    for table in REGISTERED.values()
    if table.big and not table.name.startswith("test-")
}


def fill_top_ups(people: cast.Cast) -> None:
    TopUp.objects.bulk_create(
        TopUp(id=id, organisation=people.acme, processor="manual", live=True, amount_nano=n + 1)
        for n, id in enumerate(new_ids(ROWS))
    )


def fill_deliveries(people: cast.Cast) -> WebhookEndpoint:
    endpoint = WebhookEndpoint.objects.create(
        organisation=people.acme, url="https://example.org/", sealed=b"-"
    )
    facts = Fact.objects.bulk_create(
        Fact(organisation_id=people.acme.id, kind="balance.low") for _ in range(ROWS)
    )
    Delivery.objects.bulk_create(Delivery(fact=fact, endpoint=endpoint) for fact in facts)
    return endpoint


def address_of(name: str, people: cast.Cast) -> str:
    """The page of a list, with many rows behind it."""
    if name in ("requests", "key-requests"):
        key, _ = cast.make_key(people.core, "ci", user=people.bob)
        credit(key)
        fill(key, ROWS, 12 * ROWS)
        return "/o/acme/requests" if name == "requests" else f"/o/acme/keys/{id_text(key.id)}"
    if name == "deliveries":
        return f"/o/acme/webhooks/{id_text(fill_deliveries(people).id)}"
    if name == "exports":
        Export.objects.bulk_create(
            Export(
                id=id, organisation=people.acme, user=people.alice, form="csv", language="en",
                state=ExportState.DONE,
            )
            for id in new_ids(ROWS)
        )  # fmt: skip
        return "/o/acme/exports"
    if name in ("audit", "all-audit"):
        AuditEvent.objects.bulk_create(
            AuditEvent(id=id, organisation=people.acme, action="key.made", object_type="key")
            for id in new_ids(ROWS)
        )
        return "/o/acme/audit" if name == "audit" else "/admin/audit"
    if name == "shadow-answers":
        ShadowAnswer.objects.bulk_create(
            ShadowAnswer(
                id=id, rule="m", request_id=id, model="m", main_status=200, main_total_ms=n,
                main_tokens=n, channel_id=id, total_ms=n, tokens=n, cost_nano=n,
            )
            for n, id in enumerate(new_ids(ROWS))
        )  # fmt: skip
        return "/admin/models/shadows"
    if name == "organisations":
        Organisation.objects.bulk_create(
            Organisation(name=f"Of {n}", slug=f"of-{n}") for n in range(ROWS)
        )
        return "/admin/organisations"
    if name == "people":
        User.objects.bulk_create(User(email=f"{n}@example.com") for n in range(ROWS))
        return "/admin/people"
    fill_top_ups(people)
    return "/admin/payments" if name == "payments" else "/o/acme/billing/top-ups"


def count_rows() -> None:
    """Every table, as a statement joins others too: the server may have counted one of them on its
    own while no test had filled it, and then plans for an empty table."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def scans(plan: dict[str, Any], relation: str) -> Iterator[int]:
    """How many rows each look at a relation, or at one of its partitions, went through, and how
    many looks there were. They are not multiplied: of a month that began minutes ago all rows lie
    on one page, which is read for each row of the list rather than its index."""
    if str(plan.get("Relation Name", "")).startswith(relation):
        yield plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        yield plan["Actual Loops"]
    for inner in plan.get("Plans", ()):
        yield from scans(inner, relation)


def rows_read(client: Client, address: str, relation: str) -> tuple[str, list[int]]:
    """A page, and how many rows of a relation each of its sorted statements went through, as the
    role that the page acted as."""
    own = Organisation.objects.filter(slug=address.split("/")[2]).first()
    with CaptureQueriesContext(connection) as captured:
        page = html.unescape(client.get(address).content.decode())
    read = []
    for query in captured.captured_queries:
        text = query["sql"]
        if "ORDER BY" in text and " LIMIT 51" in text and relation in text:
            with use_tenant(own.id if own else None), connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}")
                (plans,) = cursor.fetchone()
            (plan,) = json.loads(plans) if isinstance(plans, str) else plans
            read.append(max(scans(plan["Plan"], relation)))
    return page, read


def test_every_unbounded_list_is_covered() -> None:
    assert SORTS.keys() == RELATIONS.keys()
    assert all(SORTS.values())


@pytest.mark.parametrize("name", SORTS)
def test_sorted_page_reads_only_what_it_shows(people: cast.Cast, name: str) -> None:
    """By each column, upwards and downwards in turn: one index serves both."""
    pairs = zip(SORTS[name][::2], SORTS[name][1::2], strict=True)
    page_by(people, name, [pair[turn % 2] for turn, pair in enumerate(pairs)])


@pytest.mark.slow
@pytest.mark.parametrize("name", SORTS)
def test_page_sorted_either_way_reads_only_what_it_shows(people: cast.Cast, name: str) -> None:
    page_by(people, name, SORTS[name])


def page_by(people: cast.Cast, name: str, sorts: Sequence[str]) -> None:
    address, relation = address_of(name, people), RELATIONS[name]
    count_rows()
    client = cast.signed_in(people.dora if address.startswith("/admin") else people.alice)
    for sort in sorts:
        link = f"?sort={sort}"
        # The first page, and one behind it.
        for _ in range(2):
            page, read = rows_read(client, f"{address}{link}", relation)
            assert read, f"{sort}: no statement of the list was seen"
            assert max(read) <= READ_MAX, sort
            link = re.findall(r'rel="next"\s+href="([^"]+)"', page)[0]
    # The last page is read as the first one of the other direction.
    last = re.findall(r'href="([^"]*before=end[^"]*)"', page)[0]
    assert max(rows_read(client, f"{address}{last}", relation)[1]) <= READ_MAX


def test_rare_rows_are_found_without_a_full_scan(people: cast.Cast) -> None:
    """One model, key or person among many, with the oldest requests of the list."""
    often, _ = cast.make_key(people.core, "often", user=people.bob)
    seldom, _ = cast.make_key(people.core, "seldom", user=people.alice)
    credit(often)
    fill(often, ROWS, 12 * ROWS)
    fill(seldom, 20, 13 * ROWS, models="seldom-")
    count_rows()
    values = {"model": "seldom-3", "key": id_text(seldom.id), "user": people.alice.email}
    client = cast.signed_in(people.alice)
    for picked, sort in product(values, ("-time", "time", "-cost", "cost")):
        address = f"/o/acme/requests?{picked}={values[picked]}&sort={sort}"
        page, read = rows_read(client, address, "usage_usagerecord")
        assert read, f"{address}: no statement of the list was seen"
        assert max(read) <= READ_MAX, address
        assert page.count("<tr") == (2 if picked == "model" else 21), address
