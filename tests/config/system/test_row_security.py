"""The second lock (P12; docs/adr/0013): with a filter taken out on purpose, a page still shows
nothing of another organisation."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.core.handlers.asgi import ASGIHandler
from django.core.management.base import CommandError
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

import billing.wallets.api
import billing.wallets.views
import notify.webhooks.api
import notify.webhooks.views
import playground.chats.history
import usage.records.sql
from accounts.access import access, actors
from accounts.access.actors import SYSTEM, Actor
from accounts.audit import audit
from accounts.guards.guards import operator_page, organisation_page, visitor
from accounts.models import AuditEvent, Key, KeyKind, Team, User
from accounts.roles.rules import Action
from billing.holds import resolve_holds
from billing.ledger import ledger, statement
from billing.ledger.posting import Entry
from billing.ledger.posting import Posting as NewPosting
from billing.limits import budgets, enforcement
from billing.models import Budget, LedgerEntry, TopUp
from config.server.middleware import tenancy as middleware
from config.system.row_security import (
    ONLY_READ,
    VIEWS,
    WRITTEN_ONCE,
    Own,
    bonds,
    make_role,
    rules,
    secure_tables,
    unowned,
)
from gateway.models import Channel, OwnKeyOffer
from lib import clock
from lib.database import tenancy
from lib.database.tenancy import NOBODY, ROLE, own_context, use_tenant
from lib.ids import id_text
from notify.models import WebhookEndpoint
from playground.models import Conversation, Message
from relay.database.database import SESSION, Prepared
from tests.support import cast
from tests.support.stage import scene
from tests.usage.rows import credit, happen
from usage.filters import visibility
from usage.filters.visibility import Where

MARK = "theirs"
"""Stands in everything of the other organisation, and in nothing of one's own."""
SUM, SUM_NANO = "987.65", 987_650_000_000

# The filter that is taken out, and where it would be missed: a page, and the operation beside it.
Cut = Callable[[pytest.MonkeyPatch], None]


@scene
def foreign() -> cast.Cast:
    """charlie's organisation has one of everything; alice's has a request of its own."""
    people = cast.assemble()
    theirs, team = people.stranger, people.stranger.teams.get()
    key, _ = cast.make_key(team, f"{MARK}-key", user=people.charlie)
    own, _ = cast.make_key(people.core, "ours", user=people.alice)
    for created, model in ((key, f"{MARK}-model"), (own, "our-model")):
        credit(created)
        happen(created, clock.now(), model=model)
    lines = (
        Entry("equity:adjustment", theirs.id, -SUM_NANO),
        Entry("customer:available", theirs.id, SUM_NANO),
    )
    ledger.post(NewPosting(f"adjust:{MARK}", "adjust", lines))
    TopUp.objects.create(organisation=theirs, processor="manual", live=True, amount_nano=SUM_NANO)
    WebhookEndpoint.objects.create(organisation=theirs, url=f"https://{MARK}.example/", sealed=b"-")
    Budget.objects.create(
        organisation=theirs, scope="model", subject=f"{MARK}-model", period="month", anchor=1,
        amount_nano=10**9,
    )  # fmt: skip
    chat = Conversation.objects.create(
        organisation=theirs, team=team, user=people.charlie, title=f"{MARK} chat", model="m"
    )
    Message.objects.create(conversation=chat, role="user", content=f"{MARK} words")
    return people


def all_keys(patch: pytest.MonkeyPatch) -> None:
    rows = Key.objects.exclude(kind=KeyKind.PLAYGROUND).select_related("user", "team")
    patch.setattr(access, "visible_keys", lambda actor: rows.order_by("-id"))


def _everything(actor: Actor, action: Action) -> Where:
    return Where("TRUE", {"organisation": actors.organisation_of(actor).id})


def all_requests(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(visibility, "visible", _everything)


def whole_ledger(patch: pytest.MonkeyPatch) -> None:
    cut = statement._STATEMENT.replace("posting.organisation_id = %(organisation)s", "TRUE")
    assert cut != statement._STATEMENT
    patch.setattr(statement, "_STATEMENT", cut)


def all_top_ups(patch: pytest.MonkeyPatch) -> None:
    rows = TopUp.objects.select_related("created_by").order_by("-id")
    for module in (billing.wallets.views, billing.wallets.api):
        patch.setattr(module, "visible_top_ups", lambda actor: rows.all())


def all_webhooks(patch: pytest.MonkeyPatch) -> None:
    rows = WebhookEndpoint.objects.select_related("key", "created_by").order_by("-id")
    for module in (notify.webhooks.views, notify.webhooks.api):
        patch.setattr(module, "visible_endpoints", lambda actor: rows.all())


def all_budgets(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(budgets, "visible_budgets", lambda actor: Budget.objects.order_by("id"))


def all_chats(patch: pytest.MonkeyPatch) -> None:
    rows = Conversation.objects.order_by("-updated_at")
    patch.setattr(playground.chats.history, "visible_conversations", lambda actor: rows.all())


CUTS = [
    pytest.param(all_keys, "/o/acme/keys", MARK, id="keys"),
    pytest.param(all_keys, "/api/v1/keys", MARK, id="keys-api"),
    pytest.param(all_requests, "/o/acme/requests", MARK, id="requests"),
    pytest.param(all_requests, "/api/v1/requests", MARK, id="requests-api"),
    pytest.param(all_requests, "/o/acme/requests?as=csv", MARK, id="requests-file"),
    pytest.param(whole_ledger, "/o/acme/billing", SUM, id="ledger"),
    pytest.param(whole_ledger, "/api/v1/ledger", SUM, id="ledger-api"),
    pytest.param(all_top_ups, "/o/acme/billing/top-ups", SUM, id="top-ups"),
    pytest.param(all_top_ups, "/api/v1/top-ups", SUM, id="top-ups-api"),
    pytest.param(all_webhooks, "/o/acme/webhooks", MARK, id="webhooks"),
    pytest.param(all_webhooks, "/api/v1/webhooks", MARK, id="webhooks-api"),
    pytest.param(all_budgets, "/o/acme/budgets", MARK, id="budgets"),
    pytest.param(all_budgets, "/api/v1/budgets", MARK, id="budgets-api"),
    pytest.param(all_chats, "/o/acme/playground/history", MARK, id="chats"),
]


def text_of(response: Any) -> str:
    parts = response.streaming_content if response.streaming else [response.content]
    return b"".join(parts).decode()


@pytest.mark.django_db
@pytest.mark.parametrize(("cut", "address", "mark"), CUTS)
def test_missing_filter_shows_nothing_foreign(
    foreign: cast.Cast, monkeypatch: pytest.MonkeyPatch, cut: Cut, address: str, mark: str
) -> None:
    """P12: and without the second lock it would have."""
    cut(monkeypatch)
    client = cast.signed_in(foreign.alice)
    locked = client.get(address)
    assert locked.status_code == 200
    assert mark not in text_of(locked)
    monkeypatch.setattr(tenancy, "enter", lambda tenant: None)
    assert mark in text_of(client.get(address))


@pytest.mark.django_db
def test_foreign_object_is_missing_even_without_a_filter(
    foreign: cast.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P12: foreign and missing look alike."""
    all_keys(monkeypatch)
    key = Key.objects.get(name=f"{MARK}-key")
    client = cast.signed_in(foreign.alice)
    for address in (f"/o/acme/keys/{id_text(key.id)}", f"/api/v1/keys/{id_text(key.id)}"):
        assert client.get(address).status_code == 404


@pytest.mark.django_db
def test_viewing_operator_is_confined_too(
    foreign: cast.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_keys(monkeypatch)
    assert MARK not in text_of(cast.signed_in(foreign.dora).get("/o/acme/keys"))


@pytest.mark.django_db
def test_key_is_confined_to_its_organisation(
    foreign: cast.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_keys(monkeypatch)
    _, text = cast.make_key(foreign.core, "manages", user=foreign.alice, kind=KeyKind.MANAGEMENT)
    page = text_of(cast.with_key(text).get("/api/v1/keys"))
    assert "ours" in page
    assert MARK not in page


# The list ---------------------------------------------------------------------------------------


def closed() -> list[str]:
    """The models of which no organisation sees any row."""
    return sorted(label for label, rows in unowned().items() if rows.use == "closed")


def test_every_model_states_how_it_is_confined() -> None:
    """Adding one is a decision: whose are its rows?"""
    models = {model._meta.label for model in apps.get_models(include_auto_created=True)}
    named = [*bonds(), *unowned(), *VIEWS]
    assert sorted(named) == sorted(models)
    assert bonds().keys() >= WRITTEN_ONCE | ONLY_READ


# What requests of every organisation read, or write as well, though no row has an organisation.
READ_BY_ALL = frozenset(
    [
        "accounts.AuditCheck",
        "billing.CodeBatch",
        "billing.ExchangeRate",
        "billing.Plan",
        "billing.Price",
        "billing.PriceVersion",
        "billing.Process",
        "billing.SellerDetail",
        "billing.SubscriptionPlan",
        "clickhouse.ClickHouseCursor",
        "gateway.Announcement",
        "gateway.Channel",
        "gateway.InstallationSetting",
        "gateway.ModelAlias",
        "gateway.ModelEntry",
        "gateway.ModelRule",
        "gateway.Route",
        "record_sink.ContentSinkCursor",
        "record_sink.RecordSinkCursor",
        "usage.DetachedMonth",
        "usage.RollupWatermark",
    ]
)
WRITTEN_BY_ALL = frozenset(
    [
        "accounts.Epoch",
        "accounts.TablePreference",
        "accounts.TryWindow",
        "accounts.User",
        "billing.Code",
        "billing.RateSecond",
        "billing.RedeemTry",
        "gateway.AnnouncementDismissal",
        "playground.Preference",
    ]
)


def test_rows_without_an_organisation_are_closed_unless_named_here() -> None:
    """The tables of libraries are: sessions, factors and addresses sign people in."""
    used = {label: rows.use for label, rows in unowned().items()}
    assert {label for label, use in used.items() if use == "read_only"} == READ_BY_ALL
    assert {label for label, use in used.items() if use == "shared"} == WRITTEN_BY_ALL


def test_every_table_with_an_organisation_is_confined() -> None:
    """By its own column, which every index of the table begins with, and not by a parent's; unless
    no organisation sees any row of it."""
    for model in apps.get_models():
        if model._meta.label in closed():
            continue
        columns = {field.column for field in model._meta.concrete_fields}
        if "organisation_id" in columns:
            bond = bonds().get(model._meta.label)
            assert isinstance(bond, Own), model._meta.label
            assert bond.column == "organisation_id"


@pytest.mark.django_db
def test_database_has_the_declared_policies() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT relname, relrowsecurity FROM pg_class
            WHERE relkind IN ('r', 'p', 'v') AND relnamespace = 'public'::regnamespace"""
        )
        secured = dict(cursor.fetchall())
        cursor.execute(
            "SELECT rolcanlogin, rolsuper, rolbypassrls, rolcreaterole FROM pg_roles "
            "WHERE rolname = %s",
            [ROLE],
        )
        assert cursor.fetchone() == (False, False, False, False)
        cursor.execute(
            """SELECT table_name, array_agg(privilege_type::text ORDER BY privilege_type)
            FROM information_schema.role_table_grants WHERE grantee = %s GROUP BY 1""",
            [ROLE],
        )
        granted = {table: set(verbs) for table, verbs in cursor.fetchall()}
    for table, rule in rules().items():
        assert secured[table] == (rule.condition is not None), table
        assert granted.get(table, set()) == set(rule.verbs), table
    # No month of the records, which has no policy of its own, nor anything else.
    assert granted.keys() <= rules().keys()


@pytest.mark.django_db
def test_existing_policies_are_kept_and_others_repaired() -> None:
    with CaptureQueriesContext(connection) as captured:
        secure_tables(using="default")
    assert not any("POLICY" in query["sql"] for query in captured.captured_queries)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_team DISABLE ROW LEVEL SECURITY")
        cursor.execute("DROP POLICY tenant ON accounts_key")
        cursor.execute(f"GRANT SELECT ON gateway_channelkey TO {ROLE}")
    secure_tables(using="default")
    test_database_has_the_declared_policies()


@pytest.mark.django_db
def test_installer_without_role_rights_learns_what_to_run() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE lowly; SET SESSION AUTHORIZATION lowly")
    with pytest.raises(CommandError, match=f"(?s)CREATE ROLE {ROLE} NOLOGIN;.*GRANT {ROLE} TO "):
        make_role(connection)
    with connection.cursor() as cursor:
        cursor.execute("RESET SESSION AUTHORIZATION")


# What the role sees and does --------------------------------------------------------------------


def rows_seen(label: str) -> int:
    count: int = apps.get_model(label)._default_manager.count()
    return count


@pytest.mark.django_db
def test_missing_organisation_shows_no_row(foreign: cast.Cast) -> None:
    """Fails closed: with the nobody's, and where only the role was set."""
    assert rows_seen("accounts.Key") > 0
    with use_tenant(NOBODY):
        assert {label: rows_seen(label) for label in bonds()} == dict.fromkeys(bonds(), 0)
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {ROLE}")
        for label in bonds():
            cursor.execute(f"SELECT count(*) FROM {apps.get_model(label)._meta.db_table}")
            assert cursor.fetchone() == (0,), label
        cursor.execute("RESET ROLE")


@pytest.mark.django_db
def test_only_the_organisations_own_rows_are_seen(foreign: cast.Cast) -> None:
    with use_tenant(foreign.acme.id):
        assert set(Team.objects.values_list("organisation", flat=True)) == {foreign.acme.id}
        accounts = LedgerEntry.objects.values_list("account__organisation", flat=True)
        assert set(accounts) == {foreign.acme.id}
        assert not Message.objects.exists()
    with use_tenant(foreign.stranger.id):
        assert Message.objects.get().content == f"{MARK} words"


@pytest.mark.django_db
def test_own_key_offers_are_visible_to_their_audience(people: cast.Cast) -> None:
    """P12: their titles and fees are terms between the operator and an organisation. Nobody inside
    one chooses it."""
    for title, everyone, chosen in (
        ("all", True, []), ("both", False, [people.acme, people.stranger]),
        ("ours", False, [people.acme]), (MARK, False, [people.stranger]), ("nobody", False, []),
    ):  # fmt: skip
        channel = Channel.objects.create(name=title, provider="openai", base_url="https://x.test")
        offer = OwnKeyOffer.objects.create(channel=channel, title=title, everyone=everyone)
        offer.organisations.set(chosen)
    seen = OwnKeyOffer.objects.order_by("title").values_list("title", flat=True)
    with use_tenant(people.acme.id):
        assert list(seen.all()) == ["all", "both", "ours"]
        theirs = OwnKeyOffer.organisations.through.objects.values_list("organisation", flat=True)
        assert set(theirs) == {people.acme.id}
        for write in (
            lambda: OwnKeyOffer.objects.update(fee_request_nano=0),
            lambda: OwnKeyOffer.objects.all()._raw_delete("default"),
            lambda: OwnKeyOffer.organisations.through.objects.create(
                ownkeyoffer_id=channel.pk, organisation=people.acme
            ),
        ):
            with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
                write()
    with use_tenant(people.stranger.id):
        assert list(seen.all()) == ["all", "both", MARK]
    assert len(seen.all()) == 5


@pytest.mark.django_db
def test_nothing_is_written_for_another_organisation(foreign: cast.Cast) -> None:
    with use_tenant(foreign.acme.id):
        with pytest.raises(ProgrammingError), transaction.atomic():
            Team.objects.create(organisation=foreign.stranger, name="in", slug="in")
        assert Team.objects.filter(organisation=foreign.stranger).update(name="ours") == 0
        with pytest.raises(ProgrammingError), transaction.atomic():
            Team.objects.update(organisation=foreign.stranger)


@pytest.mark.django_db
@pytest.mark.parametrize("label", sorted(WRITTEN_ONCE))
def test_append_only_rows_stay(foreign: cast.Cast, label: str) -> None:
    """I2: for the role there is no such right, before any trigger."""
    model = apps.get_model(label)
    with use_tenant(foreign.acme.id), pytest.raises(ProgrammingError, match="permission denied"):
        model._default_manager.all()._raw_delete(connection.alias)


@pytest.mark.django_db
@pytest.mark.parametrize("label", closed())
def test_closed_tables_cannot_be_read(people: cast.Cast, label: str) -> None:
    with use_tenant(people.acme.id), pytest.raises(ProgrammingError, match="permission denied"):
        rows_seen(label)


@pytest.mark.django_db
def test_installation_event_is_recorded_from_within_a_tenant(people: cast.Cast) -> None:
    with use_tenant(people.acme.id):
        audit.record(SYSTEM, None, "user.created", people.bob)
        audit.record(SYSTEM, people.acme, "member.set", people.bob)
        actions = AuditEvent.objects.filter(object_id=str(people.bob.id))
        assert "user.created" not in actions.values_list("action", flat=True)
    assert AuditEvent.objects.filter(organisation=None, action="user.created").exists()


# Who enters -------------------------------------------------------------------------------------


def read_tenant() -> tuple[UUID | None, str]:
    """The tenant, and as whom the database knows what asks."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        return tenancy.current_tenant(), cursor.fetchone()[0]


@pytest.mark.django_db
def test_pages_enter_and_leave(people: cast.Cast, rf: RequestFactory) -> None:
    owner = read_tenant()
    seen: list[Any] = []

    def view(request: HttpRequest, actor: Any) -> HttpResponse:
        seen.append(read_tenant())
        if "fails" in request.GET:
            raise Http404
        return HttpResponse()

    def asked(view: Any, user: User | None, query: str = "", **kwargs: Any) -> None:
        request: Any = rf.get(f"/{query}")
        request.user = user
        request.session = {}
        with suppress(Http404):
            middleware(lambda request: view(request, **kwargs))(request)
        assert read_tenant() == owner

    page, operators = organisation_page("models.read")(view), operator_page("models.read")(view)
    asked(page, people.alice, o="acme")
    asked(page, people.dora, o="stranger")
    asked(page, people.alice, "?fails", o="acme")
    asked(operators, people.dora)
    asked(lambda request: view(request, visitor(request)), None)
    assert seen == [
        (people.acme.id, ROLE),
        (people.stranger.id, ROLE),
        (people.acme.id, ROLE),
        owner,
        (NOBODY, ROLE),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["credits", "reviews", "jobs", "price-versions", "code-batches"])
def test_operators_operations_see_all_organisations(people: cast.Cast, path: str) -> None:
    assert cast.signed_in(people.dora).get(f"/api/v1/{path}").status_code == 200


# The connection ---------------------------------------------------------------------------------


@pytest.fixture
def pooled(transactional_db: None) -> Iterator[BaseDatabaseWrapper]:
    """Django's connections come from a pool of one."""
    options = connection.settings_dict["OPTIONS"]
    before = options["pool"]
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    options["pool"] = {"min_size": 1, "max_size": 1, "timeout": 30}
    yield connection
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    options["pool"] = before


def pid_and_teams() -> tuple[int, set[str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    return pid, set(Team.objects.values_list("organisation__slug", flat=True))


def test_pooled_connection_is_confined_afresh(
    pooled: BaseDatabaseWrapper, people: cast.Cast
) -> None:
    """Whoever had it before, and however they left."""
    seen = []
    for tenant in (people.acme.id, None, people.stranger.id, people.acme.id, NOBODY, None):
        with use_tenant(tenant), suppress(ProgrammingError):
            seen.append(pid_and_teams())
            Team.objects.raw("SELECT * FROM no_such_table")[0]
        pooled.close()
    assert len({pid for pid, _ in seen}) == 1
    both = {"acme", "stranger"}
    assert [teams for _, teams in seen] == [{"acme"}, both, {"stranger"}, {"acme"}, set(), both]


@pytest.mark.parametrize("inner", [False, True], ids=["transaction", "savepoint"])
def test_rollback_reverts_the_role_and_it_is_set_again(
    pooled: BaseDatabaseWrapper, people: cast.Cast, inner: bool
) -> None:
    """SET is undone with its transaction, and a memory of it would be wrong."""

    def roll_back() -> None:
        with suppress(IntegrityError), transaction.atomic(), use_tenant(people.acme.id):
            assert pid_and_teams()[1] == {"acme"}
            raise IntegrityError

    if inner:
        with transaction.atomic():
            roll_back()
            with use_tenant(people.acme.id):
                assert pid_and_teams()[1] == {"acme"}
    else:
        roll_back()
    with use_tenant(people.acme.id):
        assert pid_and_teams()[1] == {"acme"}
    assert pid_and_teams()[1] == {"acme", "stranger"}


def test_a_failed_transaction_can_be_ended_from_outside(
    pooled: BaseDatabaseWrapper, people: cast.Cast
) -> None:
    """Nothing but its end is taken then, the role neither."""
    with transaction.atomic():
        with suppress(ProgrammingError), transaction.atomic(), use_tenant(people.acme.id):
            Team.objects.raw("SELECT * FROM no_such_table")[0]
        assert pid_and_teams()[1] == {"acme", "stranger"}


async def answer_of(path: str, client: Client) -> tuple[int, str]:
    """What Django answers as under a server: each request in a thread and on a connection of its
    own, which goes back to the pool with its end."""
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    headers = [(b"host", b"127.0.0.1"), (b"cookie", cookie.encode())]
    scope = {"type": "http", "method": "GET", "path": path, "headers": headers, "query_string": b""}
    sent: list[Any] = []
    asked, gone = [{"type": "http.request", "body": b""}], asyncio.Event()

    async def receive() -> Any:
        if not asked:
            await gone.wait()
        return asked.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    await ASGIHandler()(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], body.decode()


def test_requests_sharing_a_connection_see_their_own(
    pooled: BaseDatabaseWrapper, people: cast.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P12: one behind the other, each on what the one before has left, with no filter."""
    all_keys(monkeypatch)
    cast.make_key(people.core, "key-of-acme", user=people.alice)
    cast.make_key(people.stranger.teams.get(), "key-of-stranger", user=people.charlie)
    sessions = {"acme": cast.signed_in(people.alice), "stranger": cast.signed_in(people.charlie)}
    pooled.close()

    async def ask(slug: str, other: str) -> None:
        status, page = await answer_of(f"/o/{slug}/keys", sessions[slug])
        assert status == 200
        assert f"key-of-{slug}" in page
        assert f"key-of-{other}" not in page

    async def ask_all() -> None:
        both = (("acme", "stranger"), ("stranger", "acme"))
        await asyncio.gather(*(ask(*both[n % 2]) for n in range(10)))

    asyncio.run(ask_all())


# The relay --------------------------------------------------------------------------------------

RELAYED = {
    "place": enforcement._PLACE_HOLDS,
    "place guarded": enforcement._PLACE_GUARDED_HOLDS,
    "resolve": resolve_holds._RESOLVE_HOLDS,
    "resolve one": resolve_holds._RESOLVE_HOLD,
    "attempts": usage.records.sql._OPEN_ATTEMPTS,
    "record": usage.records.sql._WRITE_RECORD,
    "records": usage.records.sql._WRITE_RECORDS,
}


def plan_of(text: str) -> list[str]:
    statement = Prepared(0, text).text.decode()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (GENERIC_PLAN) {statement}")
        return [line for (line,) in cursor.fetchall()]


@pytest.mark.django_db
@pytest.mark.parametrize("name", RELAYED)
def test_the_relays_statements_are_planned_as_without_policies(name: str) -> None:
    """They carry the requests of many organisations, and run as the owner, who is not bound."""
    with connection.cursor() as cursor:
        for setting, value in SESSION.items():
            cursor.execute(f"SET LOCAL {setting} = '{value}'")
    locked = plan_of(RELAYED[name])
    assert locked
    with connection.cursor() as cursor:
        for table, rule in rules().items():
            if rule.condition is not None:
                cursor.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    assert plan_of(RELAYED[name]) == locked


# What outlives a view ---------------------------------------------------------------------------


def answered_with(parts: Any, tenant: UUID) -> StreamingHttpResponse:
    def view(request: HttpRequest) -> StreamingHttpResponse:
        tenancy.enter(tenant)
        return StreamingHttpResponse(parts)

    response = middleware(view)(HttpRequest())
    assert isinstance(response, StreamingHttpResponse)
    assert tenancy.current_tenant() is None
    return response


def test_stream_runs_within_its_tenant_to_the_end() -> None:
    tenant = UUID(int=1)

    def parts() -> Iterator[str]:
        for _ in range(2):
            yield str(tenancy.current_tenant())

    sent = []
    for part in answered_with(parts(), tenant):
        sent.append(part.decode())
        assert tenancy.current_tenant() is None
    assert sent == [str(tenant)] * 2


async def test_asynchronous_stream_runs_within_its_tenant_to_the_end() -> None:
    tenant, ended = UUID(int=1), []

    async def parts() -> AsyncIterator[str]:
        try:
            for _ in range(3):
                await asyncio.sleep(0)
                yield str(tenancy.current_tenant())
        finally:
            ended.append(tenancy.current_tenant())

    sent = []
    async for part in answered_with(parts(), tenant):
        sent.append(part.decode())
        assert tenancy.current_tenant() is None
    assert sent == [str(tenant)] * 3
    assert ended == [tenant]


async def test_a_task_that_outlives_its_request_keeps_the_tenant() -> None:
    async def tenant() -> UUID | None:
        return tenancy.current_tenant()

    with use_tenant(UUID(int=1)):
        task = asyncio.create_task(tenant(), context=own_context())
    assert await task == UUID(int=1)
