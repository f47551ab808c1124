"""What the isolation matrix is played on: one object of each kind in each place, made once.

Acme has two teams, Core and Side; Stranger is another organisation. Whatever can be read of an
object carries the word of its place, so that a leak shows itself wherever it happens.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.test import Client

from accounts import (
    custom_roles,
    keys,
    members,
    organisations,
    projects,
    service_accounts,
    teams,
)
from accounts.actors import SYSTEM
from accounts.models import (
    AuditEvent,
    CustomRole,
    Invitation,
    Key,
    KeyKind,
    Membership,
    Organisation,
    Role,
    ServiceAccount,
    Team,
    User,
)
from accounts.rules.roles import Action
from accounts.session_store import session_digest
from accounts.view_as import begin_viewing
from billing import (
    budgets,
    codes,
    credits,
    plans,
    prices,
    proposals,
    subscription_plans,
    topups,
    wallets,
)
from billing.models import Budget, BudgetRaise, Posting, PriceProposal
from billing.rules.conditions import PriceKey
from billing.rules.subscription import Terms
from gateway import channels, previews
from gateway.aliases import save_alias
from gateway.announcements import publish_announcement
from gateway.channel_fields import ChannelFields
from gateway.installation import save_settings
from gateway.model_entries import save_entry
from gateway.model_rules import save_rule
from lib import clock
from lib.ids import id_text, new_id, parse_id
from notify import endpoints
from playground.models import (
    Attachment,
    Conversation,
    MediaRun,
    Message,
    Preset,
    Prompt,
    PromptVersion,
    Run,
    RunState,
    ShareLink,
)
from playground.rules.settings import Settings
from tests import cast
from tests.invoicing import empty_invoice
from tests.isolation.who import ROLES, Who, everybody
from tests.usage.rows import happen
from usage import budgeting
from usage.models import ChartNote, Export, ProviderBill, SavedView, UsageRecord

Where = Literal[
    "own", "colleague", "side", "foreign", "there", "missing", "none", "elsewhere", "nowhere"
]
"""Whose an object is: one's own, that of somebody else in the team Core, of the team Side, of
another organisation, of the installation, or nobody's because there is none. "none" is an address
that names no object. "elsewhere" is asked for under the other organisation's address, "nowhere"
under that of one which does not exist."""

NANO: Final = 10**9
RATES: Final = {"meters": {"in_text": 150_000_000, "out_text": 600_000_000}}
CHANNEL: Final[ChannelFields] = {
    "provider": "openai_compatible",
    "base_url": "http://127.0.0.1:9/v1",
    "keys": ["upstream-secret"],
    "models": {"m-1": ""},
}


@dataclass(frozen=True)
class Place:
    """Where objects are made. `word` stands in each text that can be read of them."""

    word: str
    organisation: Organisation
    team: Team
    user: User
    key: Key


@dataclass(eq=False)
class World:
    """The cast and the objects; `ids` holds what names an object in an address."""

    acme: Organisation
    core: Team
    side: Team
    stranger: Organisation
    dora: User
    places: dict[str, Place] = field(default_factory=dict)
    people: dict[tuple[str, str], User] = field(default_factory=dict)
    clients: dict[Who, Client] = field(default_factory=dict)
    ids: dict[tuple[str, str], str] = field(default_factory=dict)

    def id_of(self, kind: "Kind", where: Where, who: Who) -> str:
        """What names that object in an address; made when it is first needed."""
        if where == "missing":
            return kind.missing()
        at = self.place_of(where, who)
        if (kind.name, at.word) not in self.ids:
            self.ids[kind.name, at.word] = kind.make(self, at)
        return self.ids[kind.name, at.word]

    def place_of(self, where: Where, who: Who) -> Place:
        there = {"own": who.role, "elsewhere": "foreign", "nowhere": "foreign"}.get(where, where)
        return self.places[there]


@dataclass(frozen=True)
class Kind:
    """A kind of object: how one is made, what it takes to see it, and where it can be.

    `read` is asked for before it is looked at; `reach` says how far whoever asks sees, where that
    is another action, and one's own is seen in any case. `personal`: it is somebody's own.
    `shared`: who has the action at all has it for their teams.
    `private`: nobody but its person sees it, whatever the scope.
    `of_members`: every member may know that there is one.
    """

    name: str
    read: Action | None
    make: Callable[[World, Place], str]
    missing: Callable[[], str] = lambda: id_text(new_id())
    wheres: tuple[Where, ...] = ("colleague", "side", "foreign", "missing")
    personal: bool = False
    private: bool = False
    shared: bool = False
    reach: Action | None = None
    of_organisation: bool = False
    of_members: bool = False

    def is_seen_by(self, who: Who, where: Where) -> bool:
        """Whether that one may know that the object there exists."""
        if where == "there":
            return self.read is None or who.operates
        if where == "missing":
            return False
        # Who comes so far is let into the other organisation: an operator.
        if where == "elsewhere":
            return not self.private
        if self.of_members:
            return who.is_member and where != "foreign"
        if self.read is None:
            return where == "own"
        if self.reach and where == "own" and who.is_person:
            return True
        return where != "foreign" and reaches(who, self.reach or self.read, where, self)


def reaches(who: Who, action: Action, where: Where, kind: Kind) -> bool:
    """Whether the action reaches an object of that kind there, in one's own organisation."""
    scope = who.scope_of(action)
    if scope is None:
        return False
    own = where == "own" and who.is_person
    if where == "elsewhere":
        return scope == "all"
    if kind.private:
        return own
    if kind.of_organisation:
        return scope == "all"
    if kind.shared:
        return not who.limited or where != "side"
    return scope == "all" or (scope == "teams" and where != "side") or (scope == "own" and own)


# Making them ------------------------------------------------------------------------------------


def _member(at: Place) -> Membership:
    return Membership.objects.get(user=at.user, organisation=at.organisation)


def _team(world: World, at: Place) -> str:
    return at.team.slug


def _project(world: World, at: Place) -> str:
    return projects.create_project(at.team, f"Project {at.word}", actor=SYSTEM).slug


def _key(world: World, at: Place) -> str:
    key, _ = cast.make_key(at.team, f"touched {at.word}", user=at.user)
    keys.rotate_key(SYSTEM, key, 24)
    return id_text(key.id)


def _service_account(world: World, at: Place) -> str:
    made = service_accounts.create_service_account(at.team, f"program {at.word}", actor=SYSTEM)
    return id_text(made.id)


def _membership(world: World, at: Place) -> str:
    return str(_member(at).pk)


def _invitation(world: World, at: Place) -> str:
    made = Invitation.objects.create(
        organisation=at.organisation, email=f"{at.word}@invited.example", role=Role.VIEWER,
        all_teams=False, invited_by=at.user, digest=new_id().bytes,
        expires_at=clock.now() + dt.timedelta(days=7),
    )  # fmt: skip
    made.teams.set([at.team])
    return id_text(made.id)


def _custom_role(world: World, at: Place) -> str:
    made = custom_roles.create_role(
        at.organisation, f"Role {at.word}", ["models.read"], actor=SYSTEM
    )
    return id_text(made.id)


def _audit_event(world: World, at: Place) -> str:
    names = (str(at.key.id), id_text(at.key.id))
    return id_text(AuditEvent.objects.get(object_id__in=names, action="key.created").id)


def _new_budget(at: Place) -> int:
    """A budget of a key of its own."""
    key, _ = cast.make_key(at.team, f"bound {new_id()} {at.word}", user=at.user)
    return budgeting.create_budget(
        SYSTEM, at.organisation, scope="key", subject=str(key.id), amount_nano=10 * NANO,
        period="month", timezone="UTC",
    ).id  # fmt: skip


def _budget(world: World, at: Place) -> str:
    return str(_new_budget(at))


def _removed_budget(world: World, at: Place) -> str:
    id = _new_budget(at)
    budgets.remove_budget(SYSTEM, Budget.objects.get(id=id))
    return str(id)


def _raise(world: World, at: Place) -> str:
    made = BudgetRaise.objects.create(
        budget_id=_new_budget(at), asked_by=at.user, amount_nano=NANO,
        until=clock.now() + dt.timedelta(days=2), reason=f"Reason {at.word}",
    )  # fmt: skip
    return id_text(made.id)


def _request(world: World, at: Place) -> str:
    record = happen(at.key, clock.now() - dt.timedelta(hours=1), model=f"model-{at.word}")
    return id_text(record.request_id)


def _top_up(world: World, at: Place) -> str:
    buyer = cast.actor(at.user, at.organisation)
    return id_text(topups.order_top_up(buyer, at.organisation, 25 * NANO, processor="manual").id)


def _invoice(world: World, at: Place) -> str:
    return id_text(empty_invoice(at.organisation, world.dora, at.user).id)


def _document(world: World, at: Place) -> str:
    return id_text(empty_invoice(world.acme).id)


def _bill(world: World, at: Place) -> str:
    today = clock.now().date()
    made = ProviderBill.objects.create(
        provider="openai", file_name="b.csv", match="day", first_on=today, last_on=today,
        channel_ids=[], tolerance_nano=0, lines=1, billed_nano=NANO, ours_nano=0,
    )  # fmt: skip
    made.differences.create(n=1, kind="not_recorded", billed_nano=NANO, ours_nano=0)
    return id_text(made.id)


def _webhook(world: World, at: Place) -> str:
    made, _ = endpoints.create_endpoint(SYSTEM, at.organisation, f"https://{at.word}.example/h")
    return id_text(made.id)


def _delivery(world: World, at: Place) -> str:
    made, _ = endpoints.create_endpoint(SYSTEM, at.organisation, f"https://{at.word}.example/d")
    return f"{id_text(made.id)}/{id_text(endpoints.send_test(SYSTEM, made).id)}"


def _limit(world: World, at: Place) -> str:
    return f"team/{at.team.slug}"


def _chat(world: World, at: Place) -> str:
    return id_text(_run_of(at).conversation_id)


def _run_of(at: Place) -> Run:
    """A chat of one question and its answer."""
    chat = Conversation.objects.create(
        organisation=at.organisation, team=at.team, user=at.user, model="m-1",
        title=f"Chat {at.word}",
    )  # fmt: skip
    question = Message.objects.create(
        conversation=chat, role="user", content=f"Question {at.word}", model="m-1"
    )
    answer = Message.objects.create(
        conversation=chat, parent=question, role="assistant", model="m-1",
        content=f"```html\n<p>{at.word}</p>\n```\n",
    )  # fmt: skip
    run = Run.objects.create(
        conversation=chat, user_message=question, assistant_message=answer, user=at.user,
        model="m-1", token=new_id(), request_id=new_id(), state=RunState.DONE, process="gone",
        ended_at=clock.now(),
        outcome={"status": 200, "kind": None, "finish_reason": "stop", "meters": {}},
    )  # fmt: skip
    Message.objects.filter(pk=answer.pk).update(run=run, request_id=run.request_id)
    return run


def _run(world: World, at: Place) -> str:
    return id_text(_run_of(at).id)


def _batch(world: World, at: Place) -> str:
    return id_text(_run_of(at).batch)


def _message(world: World, at: Place) -> str:
    return id_text(_run_of(at).assistant_message_id)


def _question(world: World, at: Place) -> str:
    return id_text(_run_of(at).user_message_id)


def _deleted_chat(world: World, at: Place) -> str:
    run = _run_of(at)
    Conversation.objects.filter(pk=run.conversation_id).update(deleted_at=clock.now())
    return id_text(run.conversation_id)


def _file(world: World, at: Place) -> str:
    made = Attachment.objects.create(
        organisation=at.organisation, user=at.user, name=f"{at.word}.txt", kind="text",
        media_type="text/plain", size=len(at.word), data=at.word.encode(),
        unsent_until=clock.now() + dt.timedelta(hours=1),
    )  # fmt: skip
    return id_text(made.id)


def _medium(world: World, at: Place) -> str:
    return str(parse_id(_file(world, at)))


def _media_run(world: World, at: Place) -> str:
    made = MediaRun.objects.create(
        organisation=at.organisation, user=at.user, kind="transcription",
        operation="transcriptions", model=f"m-{at.word}", prompt=f"Prompt {at.word}",
        token=new_id(), state="done", ended_at=clock.now(), text=f"Said {at.word}",
        facts={"segments": [[0, 1, f"Said {at.word}"]]}, outcome={}, body={},
    )  # fmt: skip
    return id_text(made.id)


def _preset(world: World, at: Place) -> str:
    made = Preset.objects.create(
        organisation=at.organisation, user=at.user, name=f"Preset {at.word}",
        settings=Settings().stored(),
    )  # fmt: skip
    return id_text(made.id)


def _export(world: World, at: Place) -> str:
    made = Export.objects.create(
        organisation=at.organisation, user=at.user, form="csv", query=f"model={at.word}",
        language="en",
    )  # fmt: skip
    return id_text(made.id)


def _saved_view(world: World, at: Place) -> str:
    made = SavedView.objects.create(
        organisation=at.organisation, user=at.user, page="usage", name=f"View {at.word}"
    )
    return id_text(made.id)


def _note(world: World, at: Place) -> str:
    made = ChartNote.objects.create(
        organisation=at.organisation, team=at.team, at=clock.now(), text=f"Note {at.word}"
    )
    return id_text(made.id)


def _share(world: World, at: Place) -> str:
    run = _run_of(at)
    made = ShareLink.objects.create(
        conversation=run.conversation, user=at.user, digest=new_id().bytes, snapshot={}
    )
    return id_text(made.id)


def _prompt(world: World, at: Place) -> str:
    prompt = Prompt.objects.create(
        organisation=at.organisation, user=at.user, slug=f"prompt-{at.word}",
        name=f"Prompt {at.word}", shared=False,
    )  # fmt: skip
    PromptVersion.objects.create(
        prompt=prompt, number=1, user=at.user, model="m-1", settings=Settings().stored()
    )
    return prompt.slug


def _session(world: World, at: Place) -> str:
    client = cast.signed_in(at.user)
    row = UserSession.objects.create(
        user=at.user, session_key=session_digest(str(client.session.session_key)),
        ip="127.0.0.1", user_agent=at.word,
    )  # fmt: skip
    return str(row.pk)


def _passkey(world: World, at: Place) -> str:
    data = {"name": f"Passkey {at.word}", "credential": {}}
    made = Authenticator.objects.create(user=at.user, type=Authenticator.Type.WEBAUTHN, data=data)
    return str(made.pk)


# The installation's -----------------------------------------------------------------------------


def _operator(world: World) -> Any:
    return cast.actor(world.dora)


def _channel(world: World, at: Place) -> str:
    return id_text(channels.create_channel(SYSTEM, f"channel {new_id()}", CHANNEL).id)


def _channel_key(world: World, at: Place) -> str:
    made = channels.create_channel(SYSTEM, f"channel {new_id()}", CHANNEL)
    return f"{id_text(made.id)}/{id_text(made.keys.get().id)}"


def _credit(world: World, at: Place) -> str:
    made = credits.ask_credit(_operator(world), world.acme, 5_000 * NANO, reason="r")
    return id_text(made.id)


def _posting(world: World, at: Place) -> str:
    return id_text(Posting.objects.filter(organisation=world.acme).latest("id").id)


def _code_batch(world: World, at: Place) -> str:
    return id_text(codes.create_batch(SYSTEM, "spring", value_nano=NANO, count=2).id)


def _version(world: World, at: Place) -> str:
    at_time = clock.now() + dt.timedelta(days=9)
    return str(prices.set_price(SYSTEM, f"m-{new_id()}", at_time, RATES, source="test").id)


def _price(world: World, at: Place) -> str:
    version = prices.set_price(SYSTEM, f"m-{new_id()}", clock.now(), RATES, source="test")
    return str(version.price_id)


def _proposal_row() -> PriceProposal:
    return proposals.draft_price(SYSTEM, PriceKey(f"m-{new_id()}"), RATES, valid_from=None)


def _proposal(world: World, at: Place) -> str:
    return id_text(_proposal_row().id)


def _announcement(world: World, at: Place) -> str:
    told = publish_announcement(
        SYSTEM, title="Told to all", text="", tone="info", starts_at=clock.now(), ends_at=None
    )
    return told.shown_id


def _model_rule(world: World, at: Place) -> str:
    return str(save_rule(SYSTEM, f"m-{new_id()}").id)


def _alias(world: World, at: Place) -> str:
    return str(save_alias(SYSTEM, f"alias-{new_id()}", "m-1").id)


def _public_model(world: World, at: Place) -> str:
    return save_entry(SYSTEM, f"m-{new_id()}", context_max=7).name


def _preview(world: World, at: Place) -> str:
    return id_text(previews.start_preview(_operator(world), [_proposal_row().id], 7).id)


def _plan(world: World, at: Place) -> str:
    return str(plans.save_plan(SYSTEM, f"plan {new_id()}", multiplier_ppm=2_000_000).id)


def _operator_webhook(world: World, at: Place) -> str:
    url = f"https://example.com/{new_id()}"
    return id_text(endpoints.create_endpoint(_operator(world), None, url)[0].id)


def _subscription_plan(world: World, at: Place) -> str:
    terms = Terms(20 * 10**9, 25 * 10**9)
    plan = subscription_plans.write_plan(_operator(world), f"plan {new_id()}", terms)
    return id_text(plan.id)


def _person(world: World, at: Place) -> str:
    return str(at.user.pk)


def _organisation(world: World, at: Place) -> str:
    return world.stranger.slug


def _review(world: World, at: Place) -> str:
    record: UsageRecord = happen(
        at.key, clock.now() - dt.timedelta(hours=2), basis="held", charge_nano=0,
        flags=["quarantine"],
    )  # fmt: skip
    return id_text(record.request_id)


_PERSONAL: Final[tuple[Where, ...]] = ("own", "colleague", "side", "foreign", "missing")
_OF_ONE_SELF: Final[tuple[Where, ...]] = ("own", "colleague", "missing")
_ORGANISATION: Final[tuple[Where, ...]] = ("colleague", "foreign", "missing")
_INSTALLATION: Final[tuple[Where, ...]] = ("there", "missing")


def _number() -> str:
    return "999999999"


def _slug() -> str:
    return "no-such-one"


def _pair() -> str:
    return f"{id_text(new_id())}/{id_text(new_id())}"


def _personal(name: str, read: Action, make: Callable[[World, Place], str], **over: Any) -> Kind:
    return Kind(name, read, make, wheres=_PERSONAL, personal=True, **over)


def _private(name: str, make: Callable[[World, Place], str], **over: Any) -> Kind:
    """What is written or sent in the playground: its author's alone."""
    return _personal(name, "playground.read", make, private=True, **over)


def _of_installation(
    name: str, read: Action, make: Callable[[World, Place], str], **over: Any
) -> Kind:
    return Kind(name, read, make, wheres=_INSTALLATION, **over)


# Of an organisation or a team.
TEAM: Final = Kind("team", "teams.read", _team, missing=_slug, shared=True)
PROJECT: Final = Kind("project", "teams.read", _project, missing=_slug, shared=True)
SERVICE_ACCOUNT: Final = Kind("service account", "keys.read", _service_account)
NOTE: Final = Kind("note", "teams.write", _note)
INVITATION: Final = Kind("invitation", "members.read", _invitation)
CUSTOM_ROLE: Final = Kind("role", "members.read", _custom_role, wheres=_ORGANISATION)
AUDIT_EVENT: Final = Kind("audit event", "audit.read", _audit_event)
LIMIT: Final = Kind("limit", "budgets.write", _limit, missing=lambda: "team/no-such-one")
TOP_UP: Final = Kind("top-up", "topups.read", _top_up, wheres=_ORGANISATION, of_organisation=True)
INVOICE: Final = Kind(
    "invoice", "balance.read", _invoice, wheres=_ORGANISATION, of_organisation=True
)
WEBHOOK: Final = Kind(
    "webhook", "webhooks.read", _webhook, wheres=_ORGANISATION, of_organisation=True
)
DELIVERY: Final = Kind(
    "delivery", "webhooks.read", _delivery, _pair, wheres=_ORGANISATION, of_organisation=True
)
# Of a person, in an organisation.
KEY: Final = _personal("key", "keys.read", _key)
MEMBER: Final = _personal("member", "members.read", _membership, missing=_number)
BUDGET: Final = _personal("budget", "budgets.read", _budget, missing=_number)
LINKED_BUDGET: Final = replace(BUDGET, name="linked budget", read=None, of_members=True)
REMOVED_BUDGET: Final = _personal(
    "removed budget", "budgets.read", _removed_budget, missing=_number
)
RAISE: Final = _personal("raise", "budgets.ask", _raise, reach="budgets.write")
REQUEST: Final = _personal("request", "requests.read", _request)
EXPORT: Final = _personal("export", "requests.read", _export, private=True)
SAVED_VIEW: Final = _personal("saved view", "usage.read", _saved_view, private=True)
CHAT: Final = _private("chat", _chat)
DELETED_CHAT: Final = _private("deleted chat", _deleted_chat)
RUN: Final = _private("run", _run)
BATCH: Final = _private("batch", _batch)
MESSAGE: Final = _private("message", _message)
QUESTION: Final = _private("question", _question)
FILE: Final = _private("file", _file)
MEDIUM: Final = _private("medium", _medium, missing=lambda: str(new_id()))
MEDIA_RUN: Final = _private("media run", _media_run)
PRESET: Final = _private("preset", _preset)
SHARE: Final = _private("share", _share)
PROMPT: Final = _personal("prompt", "prompts.read", _prompt, missing=_slug, private=True)
# Of a person alone.
SESSION: Final = Kind("session", None, _session, _number, _OF_ONE_SELF, personal=True)
# Its data opens nothing: whose own it is could not sign in with it.
PASSKEY: Final = Kind("passkey", None, _passkey, _number, ("colleague", "missing"))
# Of the installation.
CHANNEL_ROW: Final = _of_installation("channel", "channels.read", _channel)
CHANNEL_KEY: Final = _of_installation(
    "key of a channel", "channels.read", _channel_key, missing=_pair
)
ANNOUNCEMENT: Final = _of_installation("announcement", "channels.read", _announcement)
MODEL_RULE: Final = _of_installation("model rule", "channels.read", _model_rule, missing=_number)
ALIAS: Final = _of_installation("alias", "channels.read", _alias, missing=_number)
PUBLIC_MODEL: Final = _of_installation(
    "public model", "channels.read", _public_model, missing=lambda: "no-such-model"
)
OPERATOR_WEBHOOK: Final = _of_installation("operators' webhook", "channels.read", _operator_webhook)
SUBSCRIPTION_PLAN: Final = _of_installation("subscription plan", "credits.read", _subscription_plan)
CREDIT: Final = _of_installation("credit", "credits.read", _credit)
POSTING: Final = _of_installation("posting", "credits.read", _posting)
BILL: Final = _of_installation("bill", "credits.read", _bill)
DOCUMENT: Final = _of_installation("document", "credits.read", _document)
PAYMENT: Final = _of_installation("payment", "credits.read", _top_up)
ANY_AUDIT_EVENT: Final = _of_installation("audit event of all", "audit.read", _audit_event)
CODE_BATCH: Final = _of_installation("code batch", "codes.read", _code_batch)
VERSION: Final = _of_installation("price version", "prices.write", _version, missing=_number)
PRICE: Final = _of_installation("price", "prices.write", _price, missing=_number)
PROPOSAL: Final = _of_installation("proposal", "prices.write", _proposal)
PREVIEW: Final = _of_installation("preview", "prices.write", _preview)
PLAN: Final = _of_installation("plan", "prices.write", _plan, missing=_number)
PERSON: Final = _of_installation("person", "organisations.read", _person, missing=_number)
ORGANISATION: Final = _of_installation(
    "organisation", "organisations.read", _organisation, missing=_slug
)
REVIEW: Final = _of_installation("review", "credits.read", _review)


KINDS: Final = [value for value in list(globals().values()) if isinstance(value, Kind)]


# The cast ---------------------------------------------------------------------------------------


def build() -> World:
    """Everything but what is somebody's own, which is made when it is first asked for."""
    # As models are: everybody sees it, where the operator says so.
    save_settings(SYSTEM, public_status=True)
    dora = cast.person("dora", operator=True)
    owner, charlie = cast.person("olga"), cast.person("zforeignz")
    acme = organisations.create_organisation("Acme", owner=owner, actor=SYSTEM)
    stranger = organisations.create_organisation("Zforeignz", owner=charlie, actor=SYSTEM)
    core = acme.teams.get()
    side = teams.create_team(acme, "Zsidez", actor=SYSTEM)
    world = World(acme, core, side, stranger, dora)
    for organisation in (acme, stranger):
        wallets.add_opening_credit(organisation, 1000 * NANO)
    cora, sid = cast.person("zcolleaguez"), cast.person("zsidez")
    for user, team in ((cora, core), (sid, side)):
        members.set_member(acme, user.email, Role.DEVELOPER, teams=[team], actor=SYSTEM)
    _place(world, "colleague", core, cora)
    _place(world, "side", side, sid)
    # Its slug is none of Acme's: a slug names a team within an organisation only.
    _place(world, "foreign", teams.create_team(stranger, "Zforeignz", actor=SYSTEM), charlie)
    world.places["there"] = world.places["colleague"]
    for role in ROLES:
        _add_role(world, role)
    for who in everybody():
        world.clients[who] = _client(world, who)
    _end(world)
    for kind in KINDS:
        for where in kind.wheres:
            if where not in ("own", "missing"):
                world.id_of(kind, where, Who("owner"))
    return world


def _place(world: World, name: str, team: Team, user: User) -> None:
    word = f"z{name.replace(' ', '')}z"
    key, _ = cast.make_key(team, f"key {word}", user=user)
    world.places[name] = Place(word, team.organisation, team, user, key)


def _add_role(world: World, role: str) -> None:
    """Somebody of that role, one who will be removed and one who will be deactivated."""
    spec, slug, custom = ROLES[role], role.replace(" ", ""), None
    if spec.permissions:
        custom = custom_roles.create_role(world.acme, role.title(), spec.permissions, actor=SYSTEM)
    for standing in ("active", "removed", "deactivated"):
        operator = role == "operator" or spec.viewing
        user = cast.person(f"{standing}-z{slug}z", operator=operator)
        world.people[role, standing] = user
        if not spec.outside and not spec.viewing:
            members.set_member(
                world.acme, user.email, Role(spec.built_in or Role.CUSTOM), custom_role=custom,
                teams=[world.core] if spec.limited else None, actor=SYSTEM,
            )  # fmt: skip
    _place(world, role, world.core, world.people[role, "active"])


def _client(world: World, who: Who) -> Client:
    """What that one asks with: a browser, or a program with a key."""
    standing = "active" if who.standing == "suspended" else who.standing
    user = world.people[who.role, standing]
    if who.carrier == "session":
        client = cast.signed_in(user, raise_request_exception=False)
        if who.spec.viewing:
            _view(world, client)
        # As a first page leaves it behind: what each cell changes is taken back.
        UserSession.objects.create(
            user=user, ip="127.0.0.1", session_key=session_digest(str(client.session.session_key))
        )
        return client
    kind = KeyKind.RELAY if who.carrier == "model key" else KeyKind.MANAGEMENT
    account = _account(world, who) if who.carrier == "service account key" else None
    holder: dict[str, Any] = {"service_account": account} if account else {"user": user}
    _, text = cast.make_key(world.core, f"by {who}", kind=kind, **holder)
    client = cast.with_key(text)
    client.raise_request_exception = False
    return client


def _view(world: World, client: Client) -> None:
    session = client.session
    begin_viewing(session, world.acme.slug, Role.ADMIN)
    session.save()


def _account(world: World, who: Who) -> ServiceAccount:
    spec = who.spec
    custom = CustomRole.objects.filter(organisation=world.acme, name=who.role.title()).first()
    return service_accounts.create_service_account(
        world.core, str(who), Role(spec.built_in or Role.CUSTOM), custom_role=custom, actor=SYSTEM
    )


def _end(world: World) -> None:
    """Take away what is to be taken away, now that the sessions and keys are there."""
    for (role, standing), user in world.people.items():
        spec = ROLES[role]
        if standing == "removed" and not (spec.outside or spec.viewing):
            members.remove_member(world.acme, user.email, actor=SYSTEM)
        if standing == "deactivated":
            members.set_active(user, False, actor=SYSTEM)
    for who in everybody():
        if (who.carrier, who.standing) == ("service account key", "deactivated"):
            account = ServiceAccount.objects.get(organisation=world.acme, name=str(who))
            service_accounts.change_service_account(
                account, role=Role(account.role), custom_role=account.custom_role, disabled=True,
                actor=SYSTEM,
            )  # fmt: skip
