"""I19: an invoice, a report and an export say the same of each project, to the nano."""

import csv
import datetime as dt
import io
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import pytest
from django.db import transaction

from accounts.access.actors import Actor
from accounts.models import Key, Project
from billing.holds import usage_corrections
from billing.holds.usage_corrections import Borne
from billing.invoices.document import describe_document
from billing.invoices.invoices import lines_of
from billing.invoices.rules import SETTLED_LINES
from billing.models import Invoice
from tests.support import cast
from tests.support.invoicing import charged, closed, drafted, mid_month, post_at
from tests.usage.rows import price_version
from usage.months import invoice_lines

pytestmark = pytest.mark.django_db
NANO_PER_USD: Final = 10**9


@pytest.fixture
def dora(people: cast.Cast) -> Actor:
    return cast.actor(people.dora)


def of_invoice(invoice: Invoice) -> dict[str, int]:
    """What an invoice charges each project for requests of its own month; "" = without one."""
    sums: Counter[str] = Counter()
    for line in lines_of(invoice):
        if line.kind in SETTLED_LINES and line.origin is None:
            sums[line.project] += line.amount_nano
    return dict(sums)


def nano(usd: str) -> int:
    whole, _, fraction = usd.partition(".")
    return int(whole) * NANO_PER_USD + int(fraction.ljust(9, "0"))


def of_report(client: Any, days: dict[str, str]) -> dict[str, int]:
    page = client.get("/api/v1/usage", {**days, "group_by": "project"}).json()
    return {item["group"]: nano(item["charge"]) for item in page["items"]}


def of_export(client: Any, days: dict[str, str]) -> dict[str, int]:
    answer = client.get(
        "/o/acme/requests",
        {"range": "custom", **days, "tz": "UTC", "cols": "project,cost", "export": "csv"},
    )
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    sums: Counter[str] = Counter()
    for row in csv.DictReader(io.StringIO(text, newline="")):
        project, cost = row.values()
        sums[project] += nano(cost)
    return dict(sums)


def test_invoice_report_and_export_agree_on_each_project(
    people: cast.Cast, key: Key, dora: Actor, sum_up: Callable[[], None]
) -> None:
    """The project that a request's label names counts, or else its key's, although another one is
    the key's today. Each request is rounded, and one is cut to its hold."""
    version, at = price_version("m"), mid_month()
    shop = Project.objects.create(
        organisation=people.acme, team=people.core, name="The shop", slug="shop"
    )
    Key.objects.filter(id=key.id).update(project=shop)
    priced: dict[str, Any] = {"model": "m", "price_version_id": version.id}
    for project, charge_nano, others in (
        ("web", 210_001, priced),
        ("web", 209_999, {}),
        ("search", 210_003, priced),
        ("search", 200_000, {**priced, "hold_nano": 200_000}),
        ("shop", 210_000, priced),
        ("", 7, priced),
    ):
        charged(key, at, charge_nano, project=project, **others)
    # Begun in the month before, and so of its report.
    charged(key, at, 210_009, mid_month(2), project="web", **priced)
    sum_up()
    draft = drafted(people.acme, dora)
    client = cast.signed_in(people.alice)
    last = draft.until_at.date() - dt.timedelta(days=1)
    days = {"from": f"{at.date().replace(day=1)}", "to": f"{last}"}
    expected = {"web": 420_000, "search": 410_003, "shop": 210_000, "": 7}
    assert of_invoice(draft) == expected
    assert of_report(client, days) == expected
    assert of_export(client, days) == expected
    rows = describe_document(draft, "en").rows
    rounding = "Rounding per request, and amounts above a hold not charged"
    assert [
        (row.what, bool(row.detail), row.amount) for row in rows if row.what.startswith(rounding)
    ] == [
        (f"{rounding} · web", True, "0.000000009"),
        (f"{rounding} · {people.core.name}", False, "-0.000209993"),
        (f"{rounding} · search", False, "-0.000009997"),
        (f"{rounding} · web", False, "0.000210000"),
    ]
    late = [line.amount_nano for line in lines_of(draft) if line.origin]
    assert (sum(late), len(late)) == (210_009, 3)
    assert closed(draft, dora, cast.actor(cast.person("erik", operator=True))).number


def test_correction_is_of_the_project_of_its_request(
    people: cast.Cast, key: Key, dora: Actor
) -> None:
    at = mid_month()
    record = charged(key, at, 1_000, project="search")
    with transaction.atomic():
        usage_corrections.lock_wallet(people.acme.id)
        before = usage_corrections.read_borne_cost(record.id)
        after = Borne(400, 0, before.owed_nano)
        usage_corrections.correct(record.id, people.acme.id, "late", before, after, cause={})
    post_at(at)
    (correction,) = (line for line in lines_of(drafted(people.acme, dora)) if line.origin)
    assert (correction.kind, correction.project, correction.team) == ("correction", "search", "")
    assert correction.amount_nano == -600


def test_invoice_names_the_projects_with_the_largest_charges(
    people: cast.Cast, key: Key, dora: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients choose labels: what is of the others is of their team."""
    monkeypatch.setattr(invoice_lines, "PROJECTS_MAX", 2)
    at = mid_month()
    for project, charge_nano in {"a": 5, "b": 3, "c": 4, "d": 2, "": 1}.items():
        charged(key, at, charge_nano, project=project)
    charges = {
        line.project or line.team: line.amount_nano for line in lines_of(drafted(people.acme, dora))
    }
    assert charges == {"a": 5, "c": 4, people.core.name: 6, "": charges[""]}
