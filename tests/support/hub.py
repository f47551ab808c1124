"""A running hub: its own migrated database and a real uvicorn, with ways to set it up and look in.

One hub serves a whole test session. Every test makes its own organisation, channels and model
names, so that tests do not meet; the invariants are asserted over everything that is there.

    def test_x(hub: Hub, fake: FakeUpstream) -> None:
        tenant = hub.tenant(usd="1.00")
        model = hub.model(fake)
        answer = hub.post(tenant, {"model": model, "messages": [...]})
        record = hub.record(answer.headers["x-request-id"])
"""

import http.client
import json
import os
import secrets
import shutil
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from accounts.secrets import key_format
from billing.currency.money import parse_usd
from billing.ledger.accounts import WALLET_KINDS, lock_accounts, open_accounts
from billing.ledger.posting import opening_credit
from billing.ledger.sql import NewEntry, insert_posting
from billing.limits.budget_windows import count_guards
from billing.prices.conditions import PriceKey
from lib.ids import id_text, new_id, parse_id
from lib.vault import Vault
from tests.fakes.listeners import Authority
from tests.fakes.upstream import FakeUpstream
from tests.runner.databases import own_database
from tests.runner.forks import Forked
from tests.support.books import assert_books_balance
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
# The one file that a channel's key may name as holding a token.
TOKEN_FILE = Path(os.environ.get("TMPDIR", "/tmp")) / f"weir-cloud-token-{os.getpid()}"
START_LIMIT_S = 30.0
# That of web processes.
EVENT_LOOP = "config.server.event_loop:EventLoop"
# Where nothing is asked of a hub's own timing.
SOON = "tests.support.soon"
_LISTENS = "running on http://127.0.0.1:"
# Nano per million tokens: 1 nano for each token in, 3 for each token out.
RATES = {"in_text": 1_000_000, "out_text": 3_000_000}

if TYPE_CHECKING:
    from tests.support.growing_books import GrowingBooks


class Served(Protocol):
    """A fake provider: where it is, and the key that it takes."""

    @property
    def url(self) -> str: ...
    @property
    def key(self) -> str: ...


@dataclass(frozen=True)
class Tenant:
    """An organisation with one team and one key."""

    organisation_id: uuid.UUID
    team_id: uuid.UUID
    key_id: uuid.UUID
    key: str


@dataclass(frozen=True)
class Answer:
    """A whole HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object, which has exactly its four members."""
        error: dict[str, Any] = self.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error


@dataclass
class Hub:
    """A hub under test. `environment` changes the settings of a process started after;
    `application` is the module that uvicorn serves, on which event loop `loop` says."""

    dsn: str = field(repr=False)
    environment: dict[str, str] = field(default_factory=dict)
    process: Forked | None = None
    port: int = 0
    application: str = "config.asgi"
    loop: str = EVENT_LOOP

    def __post_init__(self) -> None:
        self.connect()
        self.port = self.port or free_port()
        self._vault = Vault(os.environ["WEIR_KEK"])
        self._channels: list[uuid.UUID] = []
        self._versions: list[int] = []
        self._asking: Tenant | None = None
        # Set for the hub that all tests of a session share: its books are checked whole at its end.
        self.growing_books: GrowingBooks | None = None
        self._unpriced_models = "reject"
        place = Path(os.environ.get("TMPDIR", "/tmp")) / f"hub-{secrets.token_hex(4)}"
        self._log = place.with_suffix(".log")
        self.spool = place.with_suffix(".spool")

    def connect(self) -> None:
        """Open the connection by which tests look in."""
        self.connection = psycopg.connect(self.dsn, autocommit=True, row_factory=dict_row)

    # ---- life

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start uvicorn, and return when it is ready."""
        self.launch()
        self.wait(lambda: self.get("/readyz").status == 200, "the hub does not become ready")

    def launch(self) -> None:
        """Start uvicorn; return when it listens."""
        written = len(self.log())
        self.spawn()
        self.wait(lambda: _LISTENS in self.log()[written:], "the hub does not start")

    def spawn(self) -> None:
        """Start uvicorn and wait for nothing."""
        served = f"{self.application}:application"
        arguments = [served, "--no-access-log", "--port", str(self.port)]
        arguments += ["--loop", self.loop, "--http", "config.server.protocol:Protocol"]
        environment = {
            **os.environ,
            "DATABASE_URL": self.dsn,
            "DRAIN_ACCEPT_SECONDS": "0",
            "SPOOL_DIR": str(self.spool),
            **self.environment,
        }
        self.process = Forked(arguments, environment, self._log)

    def stop(self) -> None:
        """SIGTERM, and wait until it has ended."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(START_LIMIT_S)
            self.process = None

    def ended(self) -> None:
        """Wait until a process that was told to end has done so, in order."""
        assert self.process is not None
        # uvicorn passes the signal on to itself when everything is done.
        assert self.process.wait(START_LIMIT_S) in (0, -signal.SIGTERM), self.log()
        self.process = None

    def kill(self) -> None:
        """`kill -9`."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(START_LIMIT_S)
            self.process = None

    def log(self) -> str:
        """What the process has written so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def close(self) -> None:
        try:
            self.stop()
        finally:
            self.kill()  # nothing if it ended; else the test runner would wait for it for ever
            self.connection.close()
        self._log.unlink(missing_ok=True)
        shutil.rmtree(self.spool, ignore_errors=True)

    def wait(self, holds: Callable[[], bool], complaint: str, seconds: float = 300.0) -> None:
        """Ask again and again until it is so; ever less often, for whoever is waited for needs the
        machine too. What is summed up waits for every transaction of the server: of other workers'
        tests as well, which may be one transaction for minutes."""
        end, pause = time.monotonic() + seconds, 0.002
        while True:
            try:
                if holds():
                    return
            except OSError:
                pass
            if time.monotonic() > end:
                raise AssertionError(f"{complaint}\n{self.log()[-4000:]}")
            time.sleep(pause)
            pause = min(1.3 * pause, 0.05)

    # ---- setting up

    def tenant(
        self, usd: str = "10.00", *, kind: str = "relay", patterns: tuple[str, ...] = ()
    ) -> Tenant:
        """A new organisation with that credit, and a key."""
        name = f"t{secrets.token_hex(6)}"
        organisation, team = new_id(), new_id()
        self.connection.execute(
            "INSERT INTO accounts_organisation (id, name, slug, currency) VALUES (%s,%s,%s,'USD')",
            [organisation, name, name],
        )
        self.connection.execute(
            "INSERT INTO accounts_team (id, organisation_id, name, slug) "
            "VALUES (%s, %s, 'core', 'core')",
            [team, organisation],
        )
        tenant = self.key(Tenant(organisation, team, new_id(), ""), kind=kind, patterns=patterns)
        if parse_usd(usd):
            self.credit(tenant, usd)
        return tenant

    def key(
        self,
        tenant: Tenant,
        *,
        kind: str = "relay",
        patterns: tuple[str, ...] = (),
        text: str | None = None,
    ) -> Tenant:
        """The same organisation with another key."""
        if text is None:
            form: key_format.KeyFormKind = "management" if kind == "management" else "relay"
            text = key_format.compose(form, secrets.token_bytes(32))
        key_id = new_id()
        digest = key_format.digest(os.environ["WEIR_KEY_PEPPER"], text)
        self.connection.execute(
            "INSERT INTO accounts_key (id, organisation_id, team_id, name, kind, digest, prefix, "
            "last4, model_patterns, disabled) VALUES (%s,%s,%s,%s,%s,%s,'','',%s,false)",
            [key_id, tenant.organisation_id, tenant.team_id, id_text(key_id), kind, digest,
             list(patterns)],
        )  # fmt: skip
        return Tenant(tenant.organisation_id, tenant.team_id, key_id, text)

    def credit(self, tenant: Tenant, usd: str) -> None:
        """Post the opening credit."""
        posting = opening_credit(tenant.organisation_id, parse_usd(usd))
        entries = [
            NewEntry(entry.organisation_id, entry.account_kind, entry.amount_nano)
            for entry in posting.entries
        ]
        owner, posting_id = tenant.organisation_id, new_id()
        with self.connection.transaction():
            for text, parameters in (
                open_accounts([owner], [entry.account_kind for entry in entries]),
                lock_accounts([owner]),
                insert_posting(
                    posting_id, posting.idempotency_id, "opening", owner, "{}", "", entries
                ),
            ):
                self.connection.execute(text, parameters)

    def limit(self, tenant: Tenant, *, of: str = "key", **limits: Any) -> None:
        """Limit the tenant's key, team or organisation; the hub hears of it at the next `bump`."""
        fields = ", ".join(f"{name} = %s" for name in limits)
        ids = {"key": tenant.key_id, "team": tenant.team_id, "organisation": tenant.organisation_id}
        self.connection.execute(
            f"UPDATE accounts_{of} SET {fields} WHERE id = %s", [*limits.values(), ids[of]]
        )

    def budget(
        self, tenant: Tenant, usd: str, scope: str = "key", subject: object = None, **over: Any
    ) -> int:
        """A budget of the tenant's organisation; by default one without a period, for its key."""
        ids = {"key": tenant.key_id, "team": tenant.team_id, "organisation": ""}
        wanted = {"period": "total", "anchor": 0, "timezone": "UTC", "action": "block"} | over
        owner = tenant.organisation_id
        with self.connection.transaction():
            for text, parameters in (
                open_accounts([owner], WALLET_KINDS),
                lock_accounts([owner]),
                count_guards([owner]),
            ):
                self.connection.execute(text, parameters)
            row = self.connection.execute(
                "INSERT INTO billing_budget (organisation_id, scope, subject, amount_nano, period, "
                "anchor, timezone, action, enabled) VALUES (%s,%s,%s,%s,%s,%s,%s,%s,true) "
                "RETURNING id",
                [owner, scope, str(ids.get(scope, "") if subject is None else subject),
                 parse_usd(usd), wanted["period"], wanted["anchor"], wanted["timezone"],
                 wanted["action"]],
            ).fetchone()  # fmt: skip
        assert row is not None
        return int(row["id"])

    def windows(self, tenant: Tenant) -> dict[str, dict[str, Any]]:
        """What stands in the organisation's budget windows, by scope."""
        rows = self.rows(
            "SELECT b.scope, w.* FROM billing_budget b JOIN billing_budgetwindow w "
            "ON w.budget_id = b.id WHERE b.organisation_id = %s", tenant.organisation_id,
        )  # fmt: skip
        return {row["scope"]: row for row in rows}

    def model(
        self,
        *fakes: Served | str,
        rates: Mapping[str, int] | None = RATES,
        upstream_model: str = "fake",
        timeouts: Mapping[str, float] | None = None,
        **channel: Any,
    ) -> str:
        """A new model name, priced, served by one channel per fake (or base URL), in this order.

        Returns when the hub knows it.
        """
        name = f"m-{secrets.token_hex(6)}"
        # First, so that whoever hears of the model hears of its price.
        if rates is not None:
            self.price(name, rates)
        for priority, fake in enumerate(fakes):
            url, secret = (fake, "") if isinstance(fake, str) else (fake.url, fake.key)
            self.channel(
                name, url, secret, upstream_model=upstream_model, priority=priority,
                timeouts=timeouts or {}, **channel,
            )  # fmt: skip
        self.know(name, listed=rates is not None or self._unpriced_models != "reject")
        return name

    def person(self, tenant: Tenant, *, operator: bool = False) -> int:
        """A developer of the tenant's organisation, to whom its key belongs."""
        row = self.connection.execute(
            "INSERT INTO accounts_user (email, password, name, operator, is_active, language, "
            "theme) VALUES (%s, '', '', %s, true, '', '') RETURNING id",
            [f"{id_text(tenant.key_id)}@example.org", operator],
        ).fetchone()
        assert row is not None
        self.connection.execute(
            "INSERT INTO accounts_membership (user_id, organisation_id, role) "
            "VALUES (%s, %s, 'developer')", [row["id"], tenant.organisation_id],
        )  # fmt: skip
        self.connection.execute(
            "UPDATE accounts_key SET user_id = %s WHERE id = %s", [row["id"], tenant.key_id]
        )
        return int(row["id"])

    def price(self, model: str, rates: Mapping[str, int], **narrowed: str) -> int:
        """Price a model since yesterday, its tiers, hours, regions, or its cost; the version's
        id."""
        key = PriceKey(model, **narrowed)
        row = self.connection.execute(
            "INSERT INTO billing_price (model, kind, channel, service_tier, hours, region) "
            "VALUES (%s,%s,%s,%s,%s,%s) RETURNING id",
            list(key),
        ).fetchone()
        assert row is not None
        version = self.connection.execute(
            "INSERT INTO billing_priceversion (price_id, valid_from, rates, source) "
            "VALUES (%s, now() - interval '1 day', %s, 'test') RETURNING id",
            [row["id"], json.dumps({"meters": dict(rates)})],
        ).fetchone()
        assert version is not None
        self._versions.append(version["id"])
        return self._versions[-1]

    def plan(self, tenant: Tenant, multiplier_ppm: int, *patterns: str) -> None:
        """Put the tenant's organisation on a plan of its own; the hub hears of it at `bump`."""
        self.connection.execute(
            "INSERT INTO billing_organisationplan (organisation_id, plan_id) VALUES (%s,%s)",
            [tenant.organisation_id, self._new_plan(multiplier_ppm, patterns)],
        )

    def team_plan(self, tenant: Tenant, multiplier_ppm: int) -> None:
        """The same for the tenant's team."""
        self.connection.execute(
            "INSERT INTO billing_teamplan (team_id, plan_id) VALUES (%s,%s)",
            [tenant.team_id, self._new_plan(multiplier_ppm)],
        )

    def member_plan(self, user_id: int, multiplier_ppm: int) -> None:
        """The same for a person wherever they are a member."""
        self.connection.execute(
            "INSERT INTO billing_memberplan (membership_id, plan_id) "
            "SELECT id, %s FROM accounts_membership WHERE user_id = %s",
            [self._new_plan(multiplier_ppm), user_id],
        )

    def subscription(self, tenant: Tenant, *multipliers: tuple[str, int]) -> None:
        """Subscribe the tenant's organisation to a plan with these multipliers; the hub hears of it
        at `bump`."""
        plan = new_id()
        self.connection.execute(
            "INSERT INTO billing_subscriptionplan (id, name, description, price_nano, "
            "included_nano, multipliers, state) VALUES (%s, %s, '', 0, 0, %s, 'offered')",
            [plan, id_text(plan), Jsonb([list(one) for one in multipliers])],
        )
        self.connection.execute(
            "INSERT INTO billing_subscription (id, organisation_id, plan_id, state, zone, month, "
            "started_at) VALUES (%s, %s, %s, 'active', 'UTC', date_trunc('month', now()), now())",
            [new_id(), tenant.organisation_id, plan],
        )

    def charge_rule(self, tenant: Tenant, rule: Mapping[str, Any]) -> None:
        """Rule what the tenant's organisation is charged for abandoned requests; a key that was
        used already is read again at `bump`."""
        self.connection.execute(
            "INSERT INTO billing_organisationchargerule (organisation_id, rule) VALUES (%s,%s)",
            [tenant.organisation_id, Jsonb(dict(rule))],
        )

    def _new_plan(self, multiplier_ppm: int, patterns: Sequence[str] = ()) -> int:
        row = self.connection.execute(
            "INSERT INTO billing_plan (name, multiplier_ppm, model_patterns) VALUES (%s,%s,%s) "
            "RETURNING id", [id_text(new_id()), multiplier_ppm, list(patterns)],
        ).fetchone()  # fmt: skip
        assert row is not None
        return int(row["id"])

    def settings(self, *, unpriced_models: str = "reject", prefix_sessions: bool = False) -> None:
        """The installation's settings. Channels may reach 127.0.0.1, for the fakes are there, and
        users may name 127.0.0.9."""
        self._unpriced_models = unpriced_models
        self.connection.execute(
            "INSERT INTO gateway_installationsetting "
            "(id, egress_allow, egress_allow_users, unpriced_models, prefix_sessions) "
            "VALUES (1, '{127.0.0.1/32}', '{127.0.0.9/32}', %(unpriced)s, %(prefix)s) "
            "ON CONFLICT (id) DO UPDATE SET unpriced_models = %(unpriced)s, "
            "prefix_sessions = %(prefix)s",
            {"unpriced": unpriced_models, "prefix": prefix_sessions},
        )
        self.bump()

    def bump(self) -> None:
        """Count a change and notify, as `accounts.audit.epoch.bump_epoch` does."""
        with self.connection.transaction():
            self.connection.execute(
                "INSERT INTO accounts_epoch (id, n) VALUES (1, 1) "
                "ON CONFLICT (id) DO UPDATE SET n = accounts_epoch.n + 1"
            )
            self.connection.execute("NOTIFY weir_epoch")

    def know(self, model: str, *, listed: bool = True) -> None:
        """Notify, and wait until the hub lists the model, or refuses it for want of a price or
        because it does not chat."""
        asking = self._asking = self._asking or self.tenant("0")
        self.bump()

        def known() -> bool:
            if not listed:
                turn = {"model": model, "messages": [{"role": "user", "content": "x"}]}
                return self.post(asking, turn).status in (400, 402)
            body = self.get("/v1/models", asking).json()
            return any(row["id"] == model for row in body["data"])

        self.wait(known, f"the hub does not hear of {model}")

    def channel(
        self,
        model: str,
        url: str,
        secret: str | Sequence[str] = "",
        *,
        upstream_model: str = "fake",
        priority: int = 0,
        timeouts: Mapping[str, float] | None = None,
        breaker: Mapping[str, Any] | None = None,
        **over: Any,
    ) -> uuid.UUID:
        """A channel that serves a model name or pattern, with one key or several; the hub hears of
        it at the next `bump`."""
        channel_id, name = new_id(), f"{model}-{priority}"
        wanted = {"provider": "openai_compatible", "retries": 2, "on_leave": "cancel"} | over
        settings = {
            "timeouts": dict(timeouts or {}), "breaker": dict(breaker or {}), "name": name,
            "base_url": url, "priority": priority, "weight": 1, "enabled": True, "id": channel_id,
            **wanted,
        }  # fmt: skip
        self.connection.execute(
            sql.SQL("INSERT INTO gateway_channel ({}) VALUES ({})").format(
                sql.SQL(", ").join(map(sql.Identifier, settings)),
                sql.SQL(", ").join([sql.Placeholder()] * len(settings)),
            ),
            [Jsonb(value) if isinstance(value, dict) else value for value in settings.values()],
        )
        texts = [secret] if isinstance(secret, str) else secret
        for position, text in enumerate(filter(None, texts)):
            key_id = new_id()
            sealed = self._vault.seal(text, f"gateway_channelkey|{key_id}|sealed")
            self.connection.execute(
                "INSERT INTO gateway_channelkey (id, channel_id, position, sealed, digest, last4) "
                "VALUES (%s, %s, %s, %s, '', %s)",
                [key_id, channel_id, position, sealed, text[-4:]],
            )
        self.connection.execute(
            "INSERT INTO gateway_route (channel_id, model, upstream_model) VALUES (%s, %s, %s)",
            [channel_id, model, upstream_model],
        )
        self._channels.append(channel_id)
        return channel_id

    def own_key(
        self,
        tenant: Tenant,
        channel_id: uuid.UUID,
        secret: str,
        *,
        fall_back: bool = True,
        team: bool = False,
        fee: tuple[int, int] = (0, 0),
        offered: bool = True,
    ) -> uuid.UUID:
        """An organisation's own key for a channel, or its team's; the fee is nano for each request
        and for a million tokens. The hub hears of it at the next `bump`."""
        key_id = new_id()
        if offered:
            self.connection.execute(
                "INSERT INTO gateway_ownkeyoffer (channel_id, title, everyone, fee_request_nano, "
                "fee_million_nano) VALUES (%s, %s, true, %s, %s) ON CONFLICT DO NOTHING",
                [channel_id, str(channel_id), *fee],
            )
        self.connection.execute(
            "INSERT INTO gateway_ownkey (id, organisation_id, team_id, channel_id, name, sealed, "
            "digest, last4, enabled, fall_back) VALUES (%s,%s,%s,%s,'own',%s,'',%s,true,%s)",
            [key_id, tenant.organisation_id, tenant.team_id if team else None, channel_id,
             self._vault.seal(secret, f"gateway_ownkey|{key_id}|sealed"), secret[-4:], fall_back],
        )  # fmt: skip
        return key_id

    def rule(self, model: str, **fields: Any) -> None:
        """What operators rule for a model. Returns when the hub knows it."""
        wanted = {"model": model, "fallbacks": [], "causes": []} | fields
        self.connection.execute(
            sql.SQL("INSERT INTO gateway_modelrule ({}) VALUES ({})").format(
                sql.SQL(", ").join(map(sql.Identifier, wanted)),
                sql.SQL(", ").join([sql.Placeholder()] * len(wanted)),
            ),
            [Jsonb(value) if isinstance(value, dict) else value for value in wanted.values()],
        )
        # Whoever lists the alias knows the rule that was there before it.
        self.alias(f"knows-{secrets.token_hex(6)}", model)

    def alias(self, name: str, target: str) -> None:
        """A name that stands for another one. Returns when the hub knows it."""
        self.connection.execute(
            "INSERT INTO gateway_modelalias (name, target) VALUES (%s, %s)", [name, target]
        )
        self.know(name)

    def entry(self, name: str, **fields: Any) -> None:
        """What operators state of a model; the hub hears of it at the next `bump`."""
        wanted: dict[str, Any] = {
            "name": name, "can": Jsonb({}), "context_max": None, "output_max": None,
            "deprecated_at": None, "sunset_at": None, "replacement": "", "forwards": False,
            "plans": [], "roles": [], **fields,
        }  # fmt: skip
        self.connection.execute(
            sql.SQL("INSERT INTO gateway_modelentry ({}) VALUES ({})").format(
                sql.SQL(", ").join(map(sql.Identifier, wanted)),
                sql.SQL(", ").join([sql.Placeholder()] * len(wanted)),
            ),
            list(wanted.values()),
        )

    @contextmanager
    def forgetful(self) -> Iterator[None]:
        """Take the channels and prices that are made within out of the catalogue at the end: the
        hub reads all of it again at every change, which each test of a session makes."""
        channels, versions = len(self._channels), len(self._versions)
        try:
            yield
        finally:
            self.connection.execute(
                "UPDATE gateway_channel SET enabled = false WHERE id = ANY(%s)",
                [self._channels[channels:]],
            )
            self.connection.execute(
                "DELETE FROM gateway_route WHERE channel_id = ANY(%s)", [self._channels[channels:]]
            )
            self.connection.execute(
                "UPDATE billing_priceversion SET valid_to = now() "
                "WHERE id = ANY(%s) AND valid_to IS NULL",
                [self._versions[versions:]],
            )
            self.connection.execute("DELETE FROM gateway_modelrule")
            self.connection.execute("DELETE FROM gateway_modelalias")

    # ---- asking

    def get(self, path: str, tenant: Tenant | None = None) -> Answer:
        return self.request("GET", path, tenant)

    def post(
        self,
        tenant: Tenant | None,
        body: Any,
        *,
        path: str = "/v1/chat/completions",
        headers: Mapping[str, str] | None = None,
        once_begun: Callable[[], object] | None = None,
    ) -> Answer:
        """Send a chat request (an object, or bytes as they are) and read all of the answer; call
        `once_begun` when its head has come."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", path, tenant, raw, headers, once_begun)

    def request(
        self,
        method: str,
        path: str,
        tenant: Tenant | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        once_begun: Callable[[], object] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with closing(connection):
            sent = {"content-type": "application/json"} if body is not None else {}
            if tenant is not None:
                sent["authorization"] = f"Bearer {tenant.key}"
            connection.request(method, path, body, sent | dict(headers or {}))
            # A response that is the connection's last is not closed with it.
            with connection.getresponse() as answer:
                if once_begun is not None:
                    once_begun()
                results = {name.lower(): value for name, value in answer.getheaders()}
                return Answer(answer.status, results, answer.read())

    # ---- looking

    def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        return self.connection.execute(query, parameters).fetchall()

    def records(self, request_id: str) -> list[dict[str, Any]]:
        """The usage records of a request (its id as clients see it), once its last is written."""
        request = parse_id(request_id)
        results: list[dict[str, Any]] = []

        def written() -> bool:
            results[:] = self.rows(
                "SELECT * FROM usage_usagerecord WHERE request_id = %s ORDER BY id", request
            )
            return any(row["final"] for row in results)

        self.wait(written, f"request {request_id} has no final record")
        return results

    def record(self, request_id: str) -> dict[str, Any]:
        """The record that tells how a request ended."""
        (final,) = [row for row in self.records(request_id) if row["final"]]
        return final

    def balance(self, tenant: Tenant) -> dict[str, int]:
        """Balances by account kind."""
        rows = self.rows(
            "SELECT kind, balance_nano FROM billing_account WHERE organisation_id = %s",
            tenant.organisation_id,
        )
        return {row["kind"]: row["balance_nano"] for row in rows}

    def settled(self, tenant: Tenant) -> None:
        """Wait until nothing of this tenant is held."""
        query = "SELECT id FROM billing_hold WHERE organisation_id = %s AND state = 'open'"
        self.wait(lambda: not self.rows(query, tenant.organisation_id), "holds stay open")

    def assert_books_balance(self, *, whole: bool = False) -> None:
        """Every invariant holds: over everything, and on the hub that all tests share, unless
        `whole`, over what was written since the last time."""
        with self.connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
            if whole or self.growing_books is None:
                assert_books_balance(cursor)
            else:
                self.growing_books.assert_balance(cursor)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whose certificates the session's hub trusts, and nobody else's."""
    return Authority(tmp_path_factory.mktemp("authority"))


@contextmanager
def running_hub(
    environment: Mapping[str, str] | None = None,
    *,
    application: str = SOON,
    loop: str = EVENT_LOOP,
) -> Iterator[Hub]:
    """A hub that runs as long as the context lasts."""
    with own_database("hub") as dsn:
        hub = Hub(dsn, dict(environment or {}), application=application, loop=loop)
        try:
            hub.settings()
            hub.start()
            yield hub
        finally:
            hub.close()


@pytest.fixture(scope="session")
def hub(authority: Authority) -> Iterator[Hub]:
    """A running hub for the whole session."""
    # Models can be imported only after Django's setup, which benchmarks do not have.
    from tests.support.growing_books import GrowingBooks

    environment = {
        "SSL_CERT_FILE": str(authority.path),
        "WEBHOOK_EGRESS_ALLOW": "127.0.0.1/32",
        "CLOUD_TOKEN_FILES": str(TOKEN_FILE),
    }
    with running_hub(environment) as hub:
        hub.growing_books = GrowingBooks()
        yield hub
        hub.assert_books_balance(whole=True)


@pytest.fixture
def own_hub() -> Iterator[Hub]:
    """A hub for one test that stops, kills or starves it; started by the test."""
    with own_database("hub") as dsn:
        hub = Hub(dsn)
        try:
            hub.settings()
            yield hub
        finally:
            hub.kill()
            hub.close()


@pytest.fixture(scope="session")
def fake() -> Iterator[FakeUpstream]:
    """A fake provider for the whole session."""
    with FakeUpstream(name="a", fsync=False) as fake:
        yield fake


@pytest.fixture(scope="session")
def other_fake() -> Iterator[FakeUpstream]:
    """A second provider, to fail over to."""
    with FakeUpstream(name="b", fsync=False) as fake:
        yield fake
