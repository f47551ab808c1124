"""What others may have done to a row since the caller of a write read it."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from django.db.models import Model, OuterRef, Subquery

from accounts import models as accounts
from accounts.access.actors import Actor
from accounts.custom_roles import custom_roles
from accounts.keys import departures, keys, service_accounts
from accounts.members import invitations, members
from accounts.models import KeyKind, Role
from billing import models as billing
from billing.subscriptions import subscription_plans
from billing.subscriptions.rules import Terms
from content import models as content
from gateway import models as gateway
from notify import models as notify
from playground import models as playground
from tests.config.writes.world import NANO, World, Writes
from usage import models as usage

LATER: Final = dt.datetime(2031, 2, 3, tzinfo=dt.UTC)
NOW: Final = "now"
"""Is written as the instant of the test."""
_SECOND: Final = Subquery(
    accounts.Team.objects.filter(organisation=OuterRef("organisation"), slug="second").values("id")
)
BEHIND: Final[Mapping[type[Model], Sequence[Mapping[str, Any]]]] = {
    accounts.CustomRole: (
        {"name": "observer"},
        {"permissions": ["usage.read", "content.read"]},
    ),
    accounts.Invitation: ({"withdrawn_at": NOW}, {"accepted_at": NOW}, {"expires_at": NOW}),
    accounts.Key: (
        {"revoked_at": NOW},
        {"rpm": 17, "tags": ["other"], "end_users_signed": False},
        {"team": _SECOND},
    ),
    accounts.Membership: ({"role": "owner", "all_teams": True}, {"role": "viewer", "rpm": 17}),
    accounts.Organisation: ({"archived_at": NOW, "name": "Other"},),
    accounts.Project: ({"archived_at": NOW}, {"name": "Other", "team": _SECOND}),
    accounts.ServiceAccount: ({"disabled": True, "role": "viewer"}, {"role": "admin"}),
    accounts.SingleSignOn: (
        {"issuer": "https://b.example", "default_role": "admin"},
        {"confirmed_domains": [], "group_claim": "other"},
    ),
    accounts.Team: ({"archived_at": NOW, "name": "Other", "rpm": 17},),
    accounts.User: ({"is_active": False}, {"operator": True}, {"email": "other@example.org"}),
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
    content.LogRule: ({"keep": "errors", "retention_hours": 17},),
    content.Policy: ({"name": "Other", "model_patterns": ["x-*"]}, {"budgets": []}),
    content.Prompt: ({"shared": False, "name": "Other"}, {"labels": {}}),
    content.PromptVersion: ({"note": "Other"},),
    notify.Delivery: ({"state": "dead", "ended_at": NOW},),
    notify.WebhookEndpoint: (
        {"removed_at": NOW},
        {"url": "https://d.example/h", "name": "Other", "kinds": ["topup.paid"]},
    ),
    playground.Conversation: ({"deleted_at": NOW}, {"title": "Other", "model": "m-9"}),
    usage.ChartNote: ({"text": "Other", "at": dt.datetime(2021, 2, 3, tzinfo=dt.UTC)},),
    usage.Feedback: ({"score": 1, "comment": "Fine."},),
    usage.Finding: ({"acknowledged_at": NOW, "reason": "Other"}, {"found": "7"}),
}


def _plan(w: World) -> billing.SubscriptionPlan:
    return subscription_plans.write_plan(w.dora, "Pro", Terms(NANO, NANO))


def _admin(w: World) -> Actor:
    """Alice, with less than an owner may do."""
    return replace(w.alice, role=Role.ADMIN)


def _lead(w: World) -> Actor:
    """Bob, who leads his team."""
    return replace(w.bob, leads=frozenset({w.people.core.id}))


# Writes that `WRITES` does not make, or makes with others' authority.
MORE: Final[Writes] = {
    "billing.subscriptions.subscription_plans.offer_plan": lambda w: subscription_plans.offer_plan(
        w.dora, _plan(w)
    ),
    "billing.subscriptions.subscription_plans.archive_plan": lambda w: (
        subscription_plans.archive_plan(w.dora, _plan(w))
    ),
    "accounts.custom_roles.custom_roles.change_role admin": lambda w: custom_roles.change_role(
        w.role, name=None, permissions=["audit.read"], actor=_admin(w)
    ),
    "accounts.custom_roles.custom_roles.remove_role admin": lambda w: custom_roles.remove_role(
        w.role, actor=_admin(w)
    ),
    "accounts.keys.departures.transfer_key program": lambda w: departures.transfer_key(
        w.alice, w.bobs, w.account
    ),
    "accounts.keys.keys.change_key project": lambda w: keys.change_key(
        w.alice, w.key, project=w.project
    ),
    "accounts.keys.keys.mint_key project": lambda w: keys.mint_key(
        w.alice, w.people.core, "more", user=w.people.bob, project=w.project
    ),
    "accounts.keys.keys.mint_key program": lambda w: keys.mint_key(
        _lead(w),
        w.people.core,
        "more",
        kind=KeyKind.MANAGEMENT,
        user=None,
        service_account=w.account,
    ),
    "accounts.keys.keys.import_key person": lambda w: keys.import_key(
        w.alice, w.people.core, "b", "x" * 30, user=w.people.bob
    ),
    "accounts.keys.keys.import_key program": lambda w: keys.import_key(
        w.alice, w.people.core, "b", "x" * 30, service_account=w.account
    ),
    "accounts.keys.service_accounts.create_service_account role": lambda w: (
        service_accounts.create_service_account(
            w.people.core, "more", Role.CUSTOM, custom_role=w.role, actor=_lead(w)
        )
    ),
    "accounts.keys.service_accounts.change_service_account role": lambda w: (
        service_accounts.change_service_account(
            w.account, role=Role.CUSTOM, custom_role=w.role, disabled=False, actor=_lead(w)
        )
    ),
    "accounts.members.invitations.invite role": lambda w: invitations.invite(
        w.people.acme,
        ["joe@example.org"],
        invitations.Offer(Role.CUSTOM, w.role),
        actor=_admin(w),
    ),
    "accounts.members.members.set_member role": lambda w: members.set_member(
        w.people.acme, "bob@example.org", Role.CUSTOM, custom_role=w.role, actor=_admin(w)
    ),
}
# Rows that a write is given although its signature leaves open which.
BESIDES: Final[Mapping[str, Sequence[type[Model]]]] = {
    "accounts.audit.changes.change_row": (accounts.Team,),
    "accounts.keys.departures.transfer_key": (accounts.Membership,),
    "accounts.keys.departures.transfer_key program": (accounts.ServiceAccount,),
    "accounts.keys.keys.change_key project": (accounts.Project,),
    "accounts.keys.keys.change_limits organisation": (accounts.Organisation,),
    "accounts.keys.keys.change_limits team": (accounts.Team,),
    "accounts.keys.keys.change_limits": (accounts.Membership,),
    "accounts.keys.keys.import_key person": (accounts.User,),
    "accounts.keys.keys.import_key program": (accounts.ServiceAccount,),
    "accounts.keys.keys.mint_key program": (accounts.ServiceAccount,),
    "accounts.keys.keys.mint_key project": (accounts.Project, accounts.User),
    "accounts.keys.service_accounts.change_service_account role": (accounts.CustomRole,),
    "accounts.keys.service_accounts.create_service_account role": (accounts.CustomRole,),
    "accounts.members.invitations.invite role": (accounts.CustomRole,),
    "accounts.members.members.set_member role": (accounts.CustomRole,),
    "accounts.organisations.organisations.create_organisation": (accounts.User,),
    "accounts.organisations.organisations.require_labels": (accounts.Organisation,),
    "notify.endpoints.endpoints.create_endpoint": (accounts.Organisation,),
}
# Rows that others may have removed for good.
REMOVABLE: Final = {
    accounts.CustomRole,
    accounts.Membership,
    accounts.SingleSignOn,
    content.LogRule,
    content.Policy,
    content.Prompt,
    gateway.CatalogueIgnoreRule,
    gateway.ModelAlias,
    gateway.ModelEntry,
    gateway.ModelRule,
    usage.ChartNote,
    usage.Feedback,
}
