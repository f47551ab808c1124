"""What others may have done to a row since the caller of a write read it."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.db.models import Model

from accounts import models as accounts
from billing import models as billing
from billing.subscriptions import subscription_plans
from billing.subscriptions.rules import Terms
from gateway import models as gateway
from tests.config.writes.world import NANO, World, Writes

LATER: Final = dt.datetime(2031, 2, 3, tzinfo=dt.UTC)
NOW: Final = "now"
"""Is written as the instant of the test."""
BEHIND: Final[Mapping[type[Model], Sequence[Mapping[str, Any]]]] = {
    accounts.Key: ({"revoked_at": NOW}, {"rpm": 17, "tags": ["other"]}),
    accounts.Organisation: ({"archived_at": NOW},),
    accounts.User: ({"is_active": False},),
    billing.Approval: ({"state": "withdrawn", "decided_at": NOW},),
    billing.Budget: (
        {"amount_nano": 7 * NANO, "action": "warn", "alert_percents": [33]},
        {"enabled": False},
        {"removed_at": NOW},
    ),
    billing.BudgetRaise: ({"state": "denied"}, {"state": "approved"}, {"amount_nano": 7 * NANO}),
    billing.CodeBatch: ({"killed_at": NOW}, {"downloaded_at": NOW}, {"name": "autumn"}),
    billing.Plan: ({"multiplier_ppm": 3_000_000, "model_patterns": ["x-*"]},),
    billing.PriceVersion: ({"valid_to": LATER},),
    billing.SubscriptionPlan: (
        {"state": "offered"},
        {"state": "archived"},
        {"included_nano": 10_000 * NANO},
    ),
    billing.TopUp: ({"state": "paid"}, {"state": "cancelled"}, {"payment_id": "bank 9"}),
    gateway.Announcement: ({"ends_at": NOW, "title": "Other", "tone": "bad"},),
    gateway.CatalogueIgnoreRule: ({"model": "x-*", "field": "price"},),
    gateway.Channel: (
        {"archived_at": NOW, "enabled": False},
        {"weight": 17, "labels": ["other"], "enabled": False},
    ),
    gateway.ChannelKey: ({"disabled_at": NOW},),
    gateway.ModelAlias: ({"target": "m-9"},),
    gateway.ModelEntry: ({"output_max": 17, "roles": ["owner"]},),
    gateway.ModelRule: ({"pick": "cost", "fallbacks": ["m-9"]},),
    gateway.OwnKey: ({"enabled": False, "fall_back": True}, {"name": "other"}),
    gateway.OwnKeyOffer: ({"fee_request_nano": 17, "everyone": False},),
    gateway.PricePreview: ({"state": "done"}, {"state": "cancelled"}),
}


def _plan(w: World) -> billing.SubscriptionPlan:
    return subscription_plans.write_plan(w.dora, "Pro", Terms(NANO, NANO))


# Writes that `WRITES` does not make.
MORE: Final[Writes] = {
    "billing.subscriptions.subscription_plans.offer_plan": lambda w: subscription_plans.offer_plan(
        w.dora, _plan(w)
    ),
    "billing.subscriptions.subscription_plans.archive_plan": lambda w: (
        subscription_plans.archive_plan(w.dora, _plan(w))
    ),
}
