"""The rows of each table that a tenant can see, and the row-level security policies for them (ADR
13).
A tenant is an organisation. The rows of a model are bound to an organisation, by the column
`organisation_id` or as _BOUND says; or the model says in `unowned_rows` what a tenant may do with
them; or it is one of the VIEWS of other tables' rows. Each `migrate` applies this to the database.
A test fails for a model that is none of these.

The owner of the tables is not subject to the policies. This role runs the migrations, the relay,
whose statements serve requests of many organisations together, the pages of operators, and the jobs
for all organisations.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, NamedTuple

from django.apps import apps
from django.core.management.base import CommandError
from django.db import ProgrammingError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model
from psycopg.errors import InsufficientPrivilege

from lib.database.tenancy import ROLE, SETTING
from lib.database.unowned_rows import UnownedRows

# Without an organisation no row matches, because a comparison with null is never true.
TENANT: Final = f"(SELECT nullif(current_setting('{SETTING}', true), '')::uuid)"
_ALL: Final = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
_APPEND: Final = frozenset({"SELECT", "INSERT"})
_READ: Final = frozenset({"SELECT"})
_USES: Final = {"shared": _ALL, "read_only": _READ, "closed": frozenset[str]()}


@dataclass(frozen=True)
class Own:
    """The table has a column with the organisation's id.

    With `only_checked` the condition only checks rows that another table refers to: as a plain
    comparison, it would look selective to the planner, which would then read all rows of the
    organisation.
    """

    column: str = "organisation_id"
    only_checked: bool = False

    def condition(self, table: str) -> str:
        own = f"{self.column} = {TENANT}"
        return f"CASE WHEN {own} THEN true ELSE false END" if self.only_checked else own


@dataclass(frozen=True)
class Through:
    """The table refers to a row of `parent`, whose own policy decides whether it is visible."""

    column: str
    parent: str

    def condition(self, table: str) -> str:
        seen = f"SELECT FROM {_table(self.parent)} parent WHERE parent.id = {table}.{self.column}"
        return f"EXISTS ({seen})"


@dataclass(frozen=True)
class Among:
    """The table refers to a row of `parent`, like `Through`, but `parent` has few rows per
    organisation, which are read once."""

    column: str
    parent: str

    def condition(self, table: str) -> str:
        return f"{self.column} = ANY (ARRAY(SELECT id FROM {_table(self.parent)}))"  # noqa: S608


@dataclass(frozen=True)
class Owner:
    """The table has a text column that names its owner."""

    column: str
    prefix: str

    def condition(self, table: str) -> str:
        return f"{self.column} = '{self.prefix}' || {TENANT}"


@dataclass(frozen=True)
class Offered:
    """The table's rows are for all organisations where `everyone` is true. Other rows are for the
    organisations that `chosen` names in rows that refer to this table by `chosen_column`."""

    column: str
    chosen: str
    chosen_column: str

    def condition(self, table: str) -> str:
        theirs = f"SELECT {self.chosen_column} FROM {_table(self.chosen)}"  # noqa: S608
        return f"everyone OR {self.column} = ANY (ARRAY({theirs}))"


Bond = Own | Through | Among | Owner | Offered

_BOUND: Final[Mapping[str, Bond]] = {
    "accounts.Organisation": Own("id"),
    "accounts.Membership_teams": Through("membership_id", "accounts.Membership"),
    "accounts.Invitation_teams": Through("invitation_id", "accounts.Invitation"),
    "accounts.FormerSecret": Through("key_id", "accounts.Key"),
    "accounts.AuthTokenUse": Through("key_id", "accounts.Key"),
    "outbox.Fact": Own(only_checked=True),
    "notify.Delivery": Through("fact_id", "outbox.Fact"),
    "billing.LedgerLine": Among("account_id", "billing.Account"),
    "billing.BudgetWindow": Through("budget_id", "billing.Budget"),
    "billing.BudgetAlert": Through("budget_id", "billing.Budget"),
    "billing.BudgetRaise": Through("budget_id", "billing.Budget"),
    "billing.TeamPlan": Through("team_id", "accounts.Team"),
    "billing.MemberPlan": Through("membership_id", "accounts.Membership"),
    "billing.IdempotentAnswer": Owner("owner", "organisation:"),
    "billing.ProcessorEvent": Through("top_up_id", "billing.TopUp"),
    "billing.InvoiceLine": Through("invoice_id", "billing.Invoice"),
    "billing.InvoicePayment": Through("invoice_id", "billing.Invoice"),
    "billing.InvoiceDue": Through("invoice_id", "billing.Invoice"),
    "usage.ExportPiece": Through("export_id", "usage.Export"),
    "usage.ReportSchedule": Through("view_id", "usage.SavedView"),
    "usage.ReportReceiver": Through("schedule_id", "usage.ReportSchedule"),
    "gateway.OwnKeyOffer": Offered(
        "channel_id", "gateway.OwnKeyOffer_organisations", "ownkeyoffer_id"
    ),
    "playground.Message": Through("conversation_id", "playground.Conversation"),
    "playground.Run": Through("conversation_id", "playground.Conversation"),
    "playground.RunEvent": Through("run_id", "playground.Run"),
    "playground.MediaFile": Through("run_id", "playground.MediaRun"),
    "content.PromptVersion": Through("prompt_id", "content.Prompt"),
    "playground.ShareLink": Through("conversation_id", "playground.Conversation"),
}

WRITTEN_ONCE: Final = frozenset(
    {
        "accounts.AuditEvent",
        "billing.Posting",
        "billing.LedgerLine",
        "billing.Invoice",
        "billing.InvoiceLine",
        "usage.Attempt",
        "usage.UsageRecord",
        "usage.Review",
    }
)
"""A tenant may not change or delete rows of these tables (I2)."""

ONLY_READ: Final = frozenset({"gateway.OwnKeyOffer", "gateway.OwnKeyOffer_organisations"})
"""A tenant may not write rows of these tables: operators decide on them."""

_OTHERS: Final[Mapping[str, UnownedRows]] = {
    **dict.fromkeys(
        (
            "account.EmailAddress",
            "account.EmailConfirmation",
            "mfa.Authenticator",
            "socialaccount.SocialAccount",
            "socialaccount.SocialApp",
            "socialaccount.SocialToken",
        ),
        UnownedRows("closed", "Signing in."),
    ),
    **dict.fromkeys(
        ("sessions.Session", "usersessions.UserSession"),
        UnownedRows("closed", "Who has its key is signed in."),
    ),
    **dict.fromkeys(
        ("auth.Group", "auth.Group_permissions", "auth.Permission", "contenttypes.ContentType"),
        UnownedRows("closed", "Django's, without use here."),
    ),
}
"""The models of libraries. Ours say it themselves."""

VIEWS: Final[Mapping[str, frozenset[str]]] = {
    # Older processes insert rows into it.
    "billing.LedgerEntry": _APPEND,
}
"""Views of other tables' rows, which these tables' policies protect, with the permitted verbs."""

# The former names of tables that another room has now. Older processes use these views.
_FORMER_NAMES: Final = ("playground_prompt", "playground_promptversion")

# Tables created by a migration, not by a model: the cache, whose keys are digests.
_SHARED_TABLES: Final = ("accounts_cache",)


class Rule(NamedTuple):
    """What the role may do on a table: the permitted verbs, and the condition on its rows; None
    means all rows."""

    verbs: frozenset[str]
    condition: str | None
    of_view: bool = False

    @property
    def digest(self) -> str | None:
        """Return the digest of the condition. The policy's comment stores it, so that a later
        `migrate` recognises the policy."""
        return None if self.condition is None else sha256(self.condition.encode()).hexdigest()

    def holds(self, verbs: Iterable[str], digest: str | None) -> bool:
        """Return whether the policy in the database matches this rule."""
        return self.verbs == frozenset(verbs) and self.digest == digest


def bonds() -> dict[str, Bond]:
    """Return what binds the rows of each model to an organisation: unless something else is said
    of it, its column `organisation_id`."""
    known = {*_BOUND, *unowned(), *VIEWS}
    names = {
        model._meta.label: {field.attname for field in model._meta.concrete_fields}
        for model in apps.get_models(include_auto_created=True)
        if model._meta.label not in known and not model._meta.proxy
    }
    own = {label: Own() for label, columns in names.items() if "organisation_id" in columns}
    return {**_BOUND, **own}


def unowned() -> dict[str, UnownedRows]:
    """Return the models whose rows no organisation owns."""
    own = {
        model._meta.label: rows
        for model in apps.get_models(include_auto_created=True)
        if (rows := vars(model).get("unowned_rows")) is not None
    }
    return {**_OTHERS, **own}


def rules() -> dict[str, Rule]:
    """Return the rules of each table."""
    bound = {
        _table(label): Rule(_verbs(label), bond.condition(_table(label)))
        for label, bond in bonds().items()
    }
    others = {_table(label): Rule(_USES[rows.use], None) for label, rows in unowned().items()}
    shared = dict.fromkeys(_SHARED_TABLES, Rule(_ALL, None))
    views = {_table(label): Rule(verbs, None, of_view=True) for label, verbs in VIEWS.items()}
    former = dict.fromkeys(_FORMER_NAMES, Rule(_ALL, None, of_view=True))
    return {**bound, **others, **shared, **views, **former}


def secure_tables(*, using: str, **_: Any) -> None:
    """Apply the rules to the database, after each `migrate`. Each table is changed separately, so
    that none is locked longer than necessary. Raises CommandError."""
    connection = connections[using]
    make_role(connection)
    with connection.cursor() as cursor:
        cursor.execute(_FOUND)
        installed = {table: (verbs, digest) for table, verbs, digest in cursor.fetchall()}
    for table, rule in rules().items():
        if table in installed and not rule.holds(*installed[table]):
            with transaction.atomic(using), connection.cursor() as cursor:
                cursor.execute("; ".join(_policy_statements(table, rule)))
    with connection.cursor() as cursor:
        cursor.execute(_USE_SEQUENCES)


def make_role(connection: BaseDatabaseWrapper) -> None:
    """Create the role with a tenant's rights, and let this login switch to it. Raises CommandError
    if this login lacks the permission."""
    try:
        with transaction.atomic(connection.alias), connection.cursor() as cursor:
            cursor.execute(_MAKE_ROLE)
    except ProgrammingError as error:
        if not isinstance(error.__cause__, InsufficientPrivilege):
            raise
        login = connection.get_connection_params().get("user", "weir")
        raise CommandError(_BY_HAND.format(login=login)) from error


def _table(label: str) -> str:
    return _model(label)._meta.db_table


def _model(label: str) -> type[Model]:
    return apps.get_model(label)


def _verbs(label: str) -> frozenset[str]:
    if label in ONLY_READ:
        return _READ
    return _APPEND if label in WRITTEN_ONCE else _ALL


def _policy_statements(table: str, rule: Rule) -> Iterator[str]:
    # Durability is not needed here: the next `migrate` repeats what a crash loses.
    yield "SET LOCAL synchronous_commit TO off"
    yield f"REVOKE ALL ON {table} FROM {ROLE}"
    if rule.verbs:
        yield f"GRANT {', '.join(sorted(rule.verbs))} ON {table} TO {ROLE}"
    if rule.of_view:
        return
    yield f"DROP POLICY IF EXISTS tenant ON {table}"
    if rule.condition is None:
        yield f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"
        return
    yield f"CREATE POLICY tenant ON {table} USING ({rule.condition})"
    yield f"COMMENT ON POLICY tenant ON {table} IS '{rule.digest}'"
    yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"


# Roles belong to the whole server, and another database of it may be migrated at the same time.
_MAKE_ROLE: Final = f"""
    DO $$
    BEGIN
        IF to_regrole('{ROLE}') IS NULL THEN
            BEGIN
                CREATE ROLE {ROLE} NOLOGIN;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
        BEGIN
            SET LOCAL ROLE {ROLE};
            RESET ROLE;
        EXCEPTION WHEN insufficient_privilege THEN
            EXECUTE format('GRANT {ROLE} TO %I', session_user);
        END;
    END $$"""

# A view's column may take its number from another table's sequence.
_USE_SEQUENCES: Final = f"""
    DO $$
    BEGIN
        IF to_regclass('billing_ledgerentry_id_seq') IS NOT NULL AND NOT has_sequence_privilege(
            '{ROLE}', 'billing_ledgerentry_id_seq', 'USAGE') THEN
            GRANT USAGE ON SEQUENCE billing_ledgerentry_id_seq TO {ROLE};
        END IF;
    END $$"""

_BY_HAND: Final = f"""\
The database role {ROLE} is missing, and {{login}} may not make it or become it. Run this as a
superuser of the database server, and then migrate again:

    CREATE ROLE {ROLE} NOLOGIN;  -- unless it is there
    GRANT {ROLE} TO {{login}};
"""

# A disabled row security counts as no policy.
_FOUND: Final = f"""
    SELECT c.relname,
           ARRAY(SELECT a.privilege_type::text FROM aclexplode(c.relacl) a
                 WHERE a.grantee = to_regrole('{ROLE}')),
           CASE WHEN c.relrowsecurity THEN obj_description(p.oid, 'pg_policy') END
    FROM pg_class c LEFT JOIN pg_policy p ON p.polrelid = c.oid AND p.polname = 'tenant'
    WHERE c.relkind IN ('r', 'p', 'v') AND c.relnamespace = current_schema()::regnamespace"""  # noqa: S608
