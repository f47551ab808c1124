"""What there is to be written to: one of everything, and somebody for each kind of actor."""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from django.test import override_settings

from accounts.access.actors import SYSTEM, Actor
from accounts.custom_roles import custom_roles
from accounts.keys import keys, service_accounts
from accounts.members import invitations
from accounts.members.invitations import Offer
from accounts.models import (
    CustomRole,
    Invitation,
    Key,
    Membership,
    Project,
    Role,
    ServiceAccount,
    Team,
)
from accounts.organisations import projects, teams
from accounts.sessions import view_as
from accounts.sessions.store import SessionStore
from billing.balances import balances
from billing.credits import codes, credits
from billing.limits import budget_increases
from billing.models import (
    Budget,
    BudgetRaise,
    CodeBatch,
    Credit,
    Plan,
    PriceProposal,
    PriceVersion,
    TopUp,
)
from billing.price_plans import price_plans
from billing.prices import prices, proposals
from billing.prices.conditions import PriceKey
from billing.topups import topups
from content.models import PromptVersion
from content.prompts import prompts
from content.prompts.settings import Settings
from gateway.channels import channels
from gateway.channels.fields import ChannelFields
from gateway.models import Channel
from lib import clock
from notify.endpoints import endpoints
from notify.models import Delivery, WebhookEndpoint
from playground.chats import sharing
from playground.models import Conversation, ShareLink
from tests.support import cast
from tests.support.stage import scene
from usage.limits import budget_simulation

NANO: Final = 10**9
BANK_ACCOUNT: Final = "DE02 1203 0000 0000 2020 51"
RATES: Final = {"meters": {"in_text": 1, "out_text": 2}}
CHANNEL: Final[ChannelFields] = {
    "provider": "openai_compatible",
    "base_url": "http://127.0.0.1:9/v1",
    "keys": ["upstream-secret"],
    "models": {"m-1": ""},
}


@dataclass(frozen=True)
class World:
    """One of everything that there is to write, made before."""

    people: cast.Cast
    alice: Actor
    bob: Actor
    dora: Actor
    otto: Actor
    key: Key
    bobs: Key
    membership: Membership
    budget: Budget
    batch: CodeBatch
    plan: Plan
    version: PriceVersion
    draft: PriceProposal
    channel: Channel
    endpoint: WebhookEndpoint
    delivery: Delivery
    link: ShareLink
    conversation: Conversation
    prompt: PromptVersion
    top_up: TopUp
    credit: Credit
    asked: BudgetRaise
    code: str
    role: CustomRole
    second: Team
    project: Project
    account: ServiceAccount
    viewing: SessionStore
    invitation: Invitation


Writes = Mapping[str, Callable[[World], object]]
"""Calls by the name of the function that each makes; a second one of it has a word behind."""


@scene
def world() -> World:
    return make_world()


@override_settings(BANK_ACCOUNT=BANK_ACCOUNT)
def _labelled_prompt(alice: Actor) -> PromptVersion:
    """The second version of a prompt, which took the place of the first one in production."""
    for _ in range(2):
        version = prompts.save_prompt(alice, "hello", "m-1", Settings(), note="", shared=True)
        prompts.move_label(alice, version, "production")
    version.prompt.refresh_from_db()
    return version


def make_world() -> World:
    people = cast.assemble()
    alice, bob = cast.actor(people.alice, people.acme), cast.actor(people.bob, people.acme)
    dora, otto = cast.actor(people.dora), cast.actor(cast.person("otto", operator=True))
    key, _ = cast.make_key(people.core, "ci", user=people.alice)
    bobs, _ = cast.make_key(people.core, "bobs", user=people.bob, end_users_signed=True)
    keys.rotate_key(SYSTEM, key, 24)
    balances.add_opening_credit(people.acme, 100 * NANO)
    budget = budget_simulation.create_budget(
        SYSTEM, people.acme, scope="key", subject=str(bobs.id), amount_nano=NANO, period="month"
    )
    batch = codes.create_batch(SYSTEM, "spring", value_nano=NANO, count=2)
    (code, _) = codes.download_codes(SYSTEM, batch)
    version = prices.set_price(SYSTEM, "m-1", clock.now(), RATES, source="test")
    endpoint, _ = endpoints.create_endpoint(SYSTEM, people.acme, "https://a.example/h")
    conversation = Conversation.objects.create(
        organisation=people.acme, team=people.core, user=people.alice, model="m-1"
    )
    link, _ = sharing.share_branch(
        alice, conversation, days=1, members_only=True, system_shown=False, cost_shown=False
    )
    viewing = SessionStore()
    view_as.begin_view(dora, viewing, people.acme, Role.ADMIN, "r")
    return World(
        people=people, alice=alice, bob=bob, dora=dora, otto=otto, key=key, bobs=bobs,
        membership=people.bob.memberships.get(), budget=budget, batch=batch,
        plan=price_plans.save_plan(SYSTEM, "retail", multiplier_ppm=2_000_000),
        version=version,
        draft=proposals.draft_price(
            SYSTEM, PriceKey("m-2"), RATES, valid_from=None
        ),
        channel=channels.create_channel(SYSTEM, "first", CHANNEL),
        endpoint=endpoint, delivery=endpoints.send_test(SYSTEM, endpoint), link=link,
        conversation=conversation,
        prompt=_labelled_prompt(alice),
        top_up=topups.order_top_up(alice, people.acme, 25 * NANO, processor="manual"),
        credit=credits.request_credit(dora, people.acme, 5_000 * NANO, reason="r"),
        asked=budget_increases.ask_for_more(
            bob, budget, amount_nano=NANO, until=clock.now() + dt.timedelta(days=1), reason="r"
        ),
        code=code,
        role=custom_roles.create_role(people.acme, "auditor", ["usage.read"], actor=SYSTEM),
        second=teams.create_team(people.acme, "second", actor=SYSTEM),
        project=projects.create_project(people.core, "Bot", actor=SYSTEM),
        account=service_accounts.create_service_account(people.core, "deployer", actor=SYSTEM),
        viewing=viewing,
        invitation=invitations.invite(
            people.acme, ["ivy@example.org"], Offer(Role.VIEWER), actor=alice
        )[0].invitation,
    )  # fmt: skip
