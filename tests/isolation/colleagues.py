"""What one colleague may know of another: each kind of object that is a person's, and who sees it.

Everybody here is in one organisation. A colleague is in the asker's team (Core), in another one
(Side), in none, or in all. Whatever can be read of a colleague's object carries a word that says
which kind it is and whose, such as `zchatsidez`, so that a leak shows itself on whatever page it
stands.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from django.apps import apps
from django.db import connection

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.members import members, team_members
from accounts.models import Erasure, Membership, Role, User
from accounts.organisations import organisations, teams
from accounts.roles.rules import Action
from billing.balances import balances
from lib import clock
from lib.ids import id_text
from tests.isolation.building import open_first_page
from tests.isolation.kinds import accounts, billing, content, gateway, playground, usage
from tests.isolation.who import ROLES, Who, may_have_model_keys
from tests.isolation.world import NANO, Kind, Place, World
from tests.support import cast
from usage.limits import budget_simulation
from usage.rollups.rollups import replace_all

Relation = Literal["same", "side", "none", "every"]
"""Where the colleague is: in the asker's team, in another one, in none, or in all of them."""
Whose = Relation | Literal["own"]
RELATIONS: Final[tuple[Relation, ...]] = ("same", "side", "none", "every")
Make = Callable[[World, Place], str]


@dataclass(frozen=True)
class Seen:
    """Who sees a colleague's object: whoever may do one of these actions there. `by_all`: everybody
    who sees the colleague's name. `in_teams`: everybody in the team that the object is in. `led`:
    who leads all teams of the colleague. Without any of them, its author alone."""

    actions: tuple[Action, ...] = ()
    by_all: bool = False
    in_teams: bool = False
    led: bool = False

    def by(self, who: Who, relation: Relation) -> bool:
        if self.by_all:
            return not who.limited or relation in ("same", "every")
        scopes = {who.scope_of(action) for action in self.actions} - {None}
        in_team = "teams" in scopes or (self.in_teams and bool(scopes))
        if self.led:
            in_team = who.spec.lead
        return "all" in scopes or (relation == "same" and in_team)


ALONE: Final = Seen()
OF_KEYS: Final = Seen(("keys.read", "usage.read", "requests.read", "budgets.read", "audit.read"))
"""The name of a key stands wherever what it does is shown."""


@dataclass(frozen=True)
class Row:
    """A kind of a person's objects: how one is made, and who of the colleagues sees it."""

    name: str
    seen: Seen
    make: Make


def _of(kind: Kind, seen: Seen, name: str = "") -> Row:
    return Row((name or kind.name).replace(" ", ""), seen, kind.make)


def _member(world: World, at: Place) -> str:
    User.objects.filter(pk=at.user.pk).update(name=at.word)
    return str(at.user.pk)


def _erasure(world: World, at: Place) -> str:
    erasure = Erasure.objects.create(
        user=at.user, organisation=at.organisation, pseudonym=at.word, asked_by=world.dora,
        step="playground", names=[at.word], texts=[at.word],
    )  # fmt: skip
    return id_text(erasure.id)


def _own_budget(world: World, at: Place) -> str:
    """Of a person, not of a key: what names it is its amount."""
    number = User.objects.filter(pk__lt=at.user.pk).count() + 300
    budget_simulation.create_budget(
        SYSTEM, at.organisation, scope="user", subject=str(at.user.pk), period="month",
        amount_nano=number * NANO + 190_000_000,
    )  # fmt: skip
    return f"{number}.19"


def _kept_text(world: World, at: Place) -> str:
    """Its id is that of the request, which more people see."""
    content.ENTRY.make(world, at)
    return "0"


_IN_USAGE: Final = Seen(("usage.read", "requests.read"))
# An own key's name stands in the audit trail of its team.
_OWN_KEYS: Final = Seen(("keys.write", "audit.read"))

ROWS: Final[Mapping[str, Row]] = {
    "accounts.Membership": Row("member", Seen(by_all=True), _member),
    "accounts.Key": _of(accounts.KEY, OF_KEYS),
    "accounts.Erasure": Row("erasure", Seen(("organisation.write",)), _erasure),
    "usersessions.UserSession": _of(accounts.SESSION, ALONE, "signin"),
    "mfa.Authenticator": _of(accounts.PASSKEY, ALONE),
    # Both are of keys that are made for them.
    "billing.Budget": _of(billing.BUDGET, OF_KEYS),
    "billing.Budget of a person": Row(
        "personalbudget", Seen(("budgets.read",), led=True), _own_budget
    ),
    "billing.BudgetRaise": _of(billing.RAISE, OF_KEYS, "budgetrequest"),
    "content.Entry": Row("kepttext", Seen(("content.read",)), _kept_text),
    "usage.UsageRecord": _of(usage.REQUEST, _IN_USAGE),
    "usage.Attempt": _of(usage.SESSION, _IN_USAGE, "agentsession"),
    "usage.Feedback": _of(usage.FEEDBACK, Seen(("requests.read",))),
    "usage.Export": _of(usage.EXPORT, ALONE),
    "usage.SavedView": _of(usage.SAVED_VIEW, ALONE),
    "usage.ChartNote": _of(usage.NOTE, Seen(("usage.read", "teams.write"), in_teams=True)),
    "gateway.OwnKey": _of(gateway.OWN_KEY, _OWN_KEYS),
    "playground.Conversation": _of(playground.CHAT, ALONE),
    "playground.Attachment": _of(playground.FILE, ALONE),
    "playground.MediaRun": _of(playground.MEDIA_RUN, ALONE),
    "playground.Preset": _of(playground.PRESET, ALONE),
    "content.Prompt": _of(playground.PROMPT, ALONE),
}
"""By the model whose rows they are, and what tells them apart where one has several."""

_OF_THE_ORGANISATION: Final = "it is the organisation's, whoever made it"
_OF_THE_INSTALLATION: Final = "it is the installation's, whoever made it"
_WITH_ITS_OBJECT: Final = "it is read together with a row that is here"
_UNREAD: Final = "no page or operation reads it to a person"

OTHERS: Final[Mapping[str, str]] = {
    "account.EmailAddress": "the address of a member",
    "socialaccount.SocialAccount": _UNREAD,
    "accounts.ServiceAccount": _OF_THE_ORGANISATION,
    "accounts.Invitation": _OF_THE_ORGANISATION,
    "accounts.AuditEvent": "events of keys, budgets and provider keys are here",
    "accounts.SignInLink": _UNREAD,
    "accounts.SignInNetwork": _UNREAD,
    "accounts.DeviceSignIn": _UNREAD,
    "accounts.TablePreference": "it has no text",
    "notify.WebhookEndpoint": _OF_THE_ORGANISATION,
    "notify.Delivery": "a letter to one person, which no list shows",
    "billing.Approval": _OF_THE_INSTALLATION,
    "billing.Credit": _OF_THE_INSTALLATION,
    "billing.CodeBatch": _OF_THE_INSTALLATION,
    "billing.Redemption": _OF_THE_ORGANISATION,
    "billing.Invoice": _OF_THE_ORGANISATION,
    "billing.InvoicePayment": _OF_THE_ORGANISATION,
    "billing.PriceProposal": _OF_THE_INSTALLATION,
    "billing.SubscriptionPlan": _OF_THE_INSTALLATION,
    "billing.TopUp": _OF_THE_ORGANISATION,
    "content.LogRule": _OF_THE_ORGANISATION,
    "content.Policy": _OF_THE_ORGANISATION,
    "usage.ProviderBill": _OF_THE_INSTALLATION,
    "usage.BillDifference": _OF_THE_INSTALLATION,
    "usage.Finding": _OF_THE_INSTALLATION,
    "usage.Review": _OF_THE_INSTALLATION,
    "usage.AcceptedMember": _OF_THE_INSTALLATION,
    "usage.Rollup": "sums of requests, which are here",
    "usage.MinuteRollup": "sums of requests, which are here",
    "usage.HourRollup": "sums of requests, which are here",
    "usage.DayRollup": "sums of requests, which are here",
    "usage.ReportReceiver": _WITH_ITS_OBJECT,
    "gateway.Announcement": _OF_THE_INSTALLATION,
    "gateway.AnnouncementDismissal": "it has no text",
    "gateway.CachedAnswer": _UNREAD,
    "gateway.KeptState": _UNREAD,
    "gateway.ModelProposal": _OF_THE_INSTALLATION,
    "gateway.CatalogueUpdate": _OF_THE_INSTALLATION,
    "gateway.ChannelTestRun": _OF_THE_INSTALLATION,
    "gateway.PricePreview": _OF_THE_INSTALLATION,
    "playground.Run": _WITH_ITS_OBJECT,
    "playground.RealtimeTicket": _UNREAD,
    "content.PromptVersion": _WITH_ITS_OBJECT,
    "playground.ShareLink": _WITH_ITS_OBJECT,
    "playground.Vote": "it has no text",
    "playground.Preference": "it has no text of others",
    "playground.PaymentPreference": "it has no text",
}
"""The other models that name a person, and why no row is made of them."""


def models_of_people() -> set[str]:
    """Every model that names a person."""
    return {
        model._meta.label
        for model in apps.get_models()
        if any(
            field.related_model is User or field.column == "user_id"
            for field in model._meta.concrete_fields
        )
    }


# The company ------------------------------------------------------------------------------------


MEMBERS: Final = ("developer", "lead", "limited admin", "owner")
"""Those who ask, in order of how far they see, as `who.ROLES` has them; and an operator."""


def build() -> World:
    """Acme with its askers in the team Core, and a colleague of each relation with all objects."""
    dora = cast.person("dora", operator=True)
    acme = organisations.create_organisation("Acme", owner=cast.person("olga"), actor=SYSTEM)
    stranger = organisations.create_organisation(
        "Stranger", owner=cast.person("charlie"), actor=SYSTEM
    )
    core = acme.teams.get()
    side, rest = (teams.create_team(acme, name, actor=SYSTEM) for name in ("Side", "Rest"))
    world = World(acme, core, side, stranger, dora)
    balances.add_opening_credit(acme, 1000 * NANO)
    for role in (*MEMBERS, "operator"):
        add_asker(world, role)
    author = world.places["developer"]
    for row in ROWS.values():
        # A passkey that opens nothing would keep its person from signing in.
        if row.name != "passkey":
            own = replace(author, word=word(row, "own"))
            world.ids[row.name, "own"] = row.make(world, own)
    # What a colleague without a team has in one, such as a key, is in a team of nobody else.
    for relation, team in zip(RELATIONS, (core, side, rest, rest), strict=True):
        user = cast.person(f"z{relation}z-person")
        in_teams = None if relation == "every" else [] if relation == "none" else [team]
        members.set_member(acme, user.email, Role.DEVELOPER, teams=in_teams, actor=SYSTEM)
        key, _ = cast.make_key(team, f"of {relation}", user=user)
        for row in ROWS.values():
            at = Place(word(row, relation), acme, team, user, key)
            world.ids[row.name, relation] = row.make(world, at)
        world.places.setdefault("colleague", Place("theirs", acme, team, user, key))
    world.places["there"] = world.places["colleague"]
    with connection.cursor() as cursor:
        replace_all(cursor, clock.now())
    return world


def add_asker(world: World, role: str) -> None:
    spec = ROLES[role]
    user = world.dora if role == "operator" else cast.person(role.replace(" ", ""))
    if not spec.outside:
        own, custom = [world.core] if spec.limited else None, None
        if spec.permissions:
            custom = custom_roles.create_role(
                world.acme, role.title(), spec.permissions, actor=SYSTEM
            )
        members.set_member(
            world.acme, user.email, Role(spec.built_in or Role.CUSTOM), custom_role=custom,
            teams=own, actor=SYSTEM,
        )  # fmt: skip
    if spec.lead:
        row = Membership.objects.get(user=user, organisation=world.acme)
        team_members.set_lead(SYSTEM, world.core, row, True)
    # A member without keys has none of their own.
    key, _ = cast.make_key(
        world.core, f"own {role}", user=user if may_have_model_keys(role) else None
    )
    world.places[role] = Place(f"own-{user.name.lower()}", world.acme, world.core, user, key)
    world.people[role, "active"] = user
    world.clients[Who(role)] = client = cast.signed_in(user, raise_request_exception=False)
    open_first_page(client, user, world.acme)


def word(row: Row, whose: Whose) -> str:
    """What stands in each text of that colleague's object, or of the developer's own."""
    return f"z{row.name}{whose}z"


def leaks_in(world: World, who: Who, text: str) -> Iterator[str]:
    """The objects whose words or ids a text has and whoever reads it must not see."""
    shown = {*_shown_in(world, text)}
    for row in ROWS.values():
        for relation in RELATIONS:
            if (row.name, relation) in shown and not row.seen.by(who, relation):
                yield f"the {row.name} of a colleague ({relation})"


def shown_in(world: World, text: str) -> set[str]:
    """The kinds of which a text shows an object, of a colleague or of one's own."""
    return {name for name, _ in _shown_in(world, text)}


def _shown_in(world: World, text: str) -> Iterator[tuple[str, str]]:
    lower = text.lower()
    every: tuple[Whose, ...] = ("own", *RELATIONS)
    for row in ROWS.values():
        for whose in every:
            id = world.ids.get((row.name, whose), "0")
            # A number may stand for other things too.
            if word(row, whose) in lower or (not id.isdecimal() and id in text):
                yield row.name, whose
