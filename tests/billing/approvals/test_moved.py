"""What waited before there was one list of approvals waits in it, as it would be requested now."""

import json
import subprocess
import sys
from os import environ

from tests.runner.databases import ROOT, own_database

# In a process of its own, whose database begins with the tables of before.
MOVE = """
import datetime as dt, json
import django
django.setup()
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

executor = MigrationExecutor(connection)
state = executor.migrate([("billing", "0060_trial_credit")])
row_of = lambda model, /, **values: state.apps.get_model(model).objects.create(**values)
dora = row_of("accounts.User", email="dora@example.org")
acme = row_of("accounts.Organisation", name="Acme", slug="acme")
past = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
later = dt.datetime(2036, 1, 1, tzinfo=dt.UTC)
rates = lambda nano: {"meters": {"in_text": nano}, "tiers": []}
price = row_of("billing.Price", model="m")
row_of("billing.PriceVersion", price=price, valid_from=later, rates=rates(1000), source="file")
row_of(
    "billing.PriceProposal", model="m", rates=rates(10), replaces=rates(1000), source="draft",
    valid_from=later, state="second", first_by=dora,
)
row_of(
    "billing.Credit", organisation=acme, amount_nano=5 * 10**11, reason="Contract",
    state="waiting", asked_by=dora, asked_at=past, expires_at=later, kind="promo",
)
row_of("billing.Safeguard", name="credit_limit", proposed=10**12, proposed_by=dora)
plan = row_of("billing.Plan", name="deep", multiplier_ppm=100_000)
row_of(
    "billing.PlanCut", plan=plan, organisation=acme, multiplier_ppm=100_000, asked_by=dora,
    asked_at=past,
)
row_of(
    "billing.TopUp", organisation=acme, processor="manual", live=True, amount_nano=10**12,
    state="pending", payment_id="BANK-1", confirmed_by=dora,
)
executor = MigrationExecutor(connection)
executor.migrate([("billing", "0066_approvals_of_invoices")])

import config.urls
from billing.approvals.approvals import KINDS
from billing.models import Approval
from django.db import transaction

with transaction.atomic():
    print(json.dumps({
        row.kind: [row.asked_at == past, row.changes, KINDS[row.kind].changes(row)]
        for row in Approval.objects.filter(state="waiting", asked_by_id=dora.pk)
    }))
"""


def test_what_waited_can_be_approved_as_it_was_requested() -> None:
    with own_database("moved", of="template0") as dsn:
        settings = {"DATABASE_URL": dsn, "DJANGO_SETTINGS_MODULE": "config.settings"}
        answer = subprocess.run(
            [sys.executable, "-c", MOVE], cwd=ROOT, env={**environ, **settings},
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    moved = json.loads(answer.stdout.splitlines()[-1])
    assert set(moved) == {"correction", "safeguard", "plan", "price", "top_up"}
    for kind, (_, before, now) in moved.items():
        assert before == now, kind
    # The others had no time stored.
    assert [kind for kind, (timed, *_) in moved.items() if timed] == ["correction", "plan"]
    assert {"name": "replaces", "before": "#1", "after": None} in moved["price"][1]
