"""P29: every kind of fact is brought about once by its real cause, outside of any transaction of a
test, and its letter, its webhook and its chat message are sent by a real worker and received.

One installation serves all of them: a database of its own, a worker started as `make run` starts
it, a mail server, a receiver of webhooks and a chat service on this machine.
"""

import asyncio
import datetime as dt
import io
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from allauth.account.models import EmailAddress
from celery import Celery
from django.db import connection
from django.test import Client, override_settings
from psycopg.conninfo import conninfo_to_dict
from pytest_django.plugin import DjangoDbBlocker

from accounts.access.actors import Actor
from accounts.mail_server.current_server import BACKEND
from accounts.models import Key, Organisation, Role
from accounts.second_factor import second_factor
from accounts.secrets.key_ring import seal_key
from accounts.secrets.sealing import vault
from accounts.sessions import view_as
from accounts.sessions.store import SessionStore
from billing.balances import balances
from billing.credits import codes, credits
from billing.invoices.billing_details import set_seller
from billing.limits import budget_alerts, budget_increases
from billing.models import (
    Account,
    BooksWalk,
    Budget,
    BudgetWindow,
    Invoice,
    PromoGrant,
    Subscription,
    TopUp,
)  # fmt: skip
from billing.seals import seals
from billing.subscriptions.rules import Terms
from billing.subscriptions.subscription_plans import offer_plan, write_plan
from billing.subscriptions.subscriptions import cancel_subscription, choose_plan
from billing.topups import automatic as automatic_topups
from billing.topups import topups
from billing.wallets import low_balance
from config.jobs.job_alarms import watch
from config.jobs.runs import record_run
from config.models import JobRun
from content.guards.rules import GuardRule
from content.models import Policy
from content.policies import policies
from gateway.channels import channels
from gateway.channels.channel_tests.rules import TakenOut
from gateway.settings import installation
from lib import clock
from lib.ids import new_id
from notify.deliveries import deliveries, sending
from notify.endpoints import endpoints
from notify.events.kinds import KINDS
from notify.models import Delivery, DeliveryState, WebhookEndpoint
from outbox.models import Fact
from relay.database.database import PipelinedConnection
from relay.guarding.asking import Caller
from relay.guarding.calls import GuardCalls, report_passed
from relay.health.operator_alerts import DamagedRecords, damaged_statement
from relay.ledger.spool import Spool
from stack.database.prepare import load_queues
from stack.up import worker_command
from tests.billing.topups.test_topups import changed
from tests.config.writes.world import CHANNEL
from tests.fakes.balances import FakeBalances
from tests.fakes.listeners import refused_port
from tests.fakes.processor import SECRET_KEY, WEBHOOK_SECRET, FakeProcessor, fake_processor
from tests.notify.chats import ADDRESSES, Chats
from tests.notify.mail_server import MailServer, mail_server
from tests.notify.receiver import Receiver, receiver
from tests.runner.databases import own_database
from tests.support import cast
from tests.support.hub import ROOT
from tests.support.invoicing import charged, mid_month
from tests.support.markup import squeezed
from tests.support.stage import stage
from tests.usage.margin.test_bills import BY_REQUEST
from tests.usage.rows import happen, price_version
from usage.books.check import check_books
from usage.exports import exports
from usage.limits import budget_simulation
from usage.limits.budget_simulation import look_back
from usage.margin import provider_bills
from usage.models import BillMapping, BooksCheck, ReportSchedule
from usage.months import close as month_close
from usage.saved_views import saved_views, scheduled_reports

USD: Final = 10**9
# The books are looked at each half minute, and wholly 50 s after the last time.
WAIT_S: Final = 120.0


class Installation:
    """What the causes act on, and what was received. `bank` is the card company, `provider` one
    that reports balances."""

    def __init__(
        self,
        dsn: str,
        bank: FakeProcessor,
        server: Receiver,
        chat: Receiver,
        post: MailServer,
        provider: FakeBalances,
    ) -> None:
        self.dsn = dsn
        self.bank, self.server, self.chat, self.post = bank, server, chat, post
        self.provider = provider
        self.people = cast.assemble()
        self.otto = cast.person("otto", operator=True)
        self.alice = cast.actor(self.people.alice, self.people.acme)
        self.bob = cast.actor(self.people.bob, self.people.acme)
        self.dora = cast.actor(self.people.dora)
        self.key: Key = cast.make_key(self.people.core, "ci", user=self.people.alice)[0]
        balances.add_opening_credit(self.people.acme, 1_000 * USD)
        self.tasks: list[str] = []
        # The subject and text of each fact, by its id.
        self.words: dict[UUID, tuple[str, str]] = {}
        self.hears(self.people.acme)
        self.hears(None)

    def run(self, *tasks: str) -> None:
        """Have the worker run these jobs."""
        self.tasks += tasks

    def paid(self, **over: Any) -> TopUp:
        top_up = topups.order_top_up(
            self.alice, self.people.acme, 25 * USD, processor="stripe", **over
        )
        top_up = topups.open_checkout(top_up)
        self.told(self.bank.pay(top_up.checkout_id))
        return TopUp.objects.get(id=top_up.id)

    def told(self, event: dict[str, Any]) -> None:
        headers, body = self.bank.signed(event)
        topups.take_event("stripe", headers, body)

    def budget(self, **over: Any) -> Budget:
        wanted = {"scope": "key", "subject": str(self.key.id), "period": "month"} | over
        return budget_simulation.create_budget(
            self.alice, self.people.acme, amount_nano=10 * USD, **wanted
        )

    def spent(self, budget: Budget, usd: int) -> None:
        now = clock.now()
        BudgetWindow.objects.update_or_create(
            budget=budget,
            defaults={
                "starts_at": now - dt.timedelta(days=6), "ends_at": now + dt.timedelta(days=24),
                "cap_nano": 10 * USD, "brought_nano": usd * USD, "spent_nano": usd * USD,
            },
        )  # fmt: skip

    def subscribed(self, name: str, usd: int) -> tuple[Actor, Organisation]:
        """An organisation of its own that has so much and subscribed last month, for 1 USD."""
        organisation = Organisation.objects.create(name=name, slug=name)
        actor = cast.actor(cast.member(organisation, f"owner-{name}", Role.OWNER), organisation)
        balances.add_opening_credit(organisation, usd * USD)
        plan = write_plan(self.dora, f"Pro {name}", Terms(USD, USD))
        choose_plan(actor, organisation, offer_plan(self.dora, plan))
        self.hears(organisation)
        return actor, organisation

    def hears(self, organisation: Organisation | None) -> None:
        """Add the webhook and the chat that everything of an organisation is sent to, or everything
        of the operators."""
        actor = self.dora if organisation is None else cast.actor(self.people.alice, organisation)
        endpoints.create_endpoint(actor, organisation, self.server.url + "/hook")
        endpoints.create_endpoint(
            actor, organisation, self.chat.url + ADDRESSES["slack"], service="slack"
        )


Cause = Callable[[Installation], object]
CAUSES: Final[dict[str, Cause]] = {}
"""How each kind comes about."""


def causes(*kinds: str) -> Callable[[Cause], Cause]:
    def noted(cause: Cause) -> Cause:
        CAUSES.update(dict.fromkeys(kinds, cause))
        return cause

    return noted


# Elsewhere brought about by requests to a running hub (tests/relay), and told by calling what the
# worker calls.
OF_REQUESTS: Final = {
    "video.completed", "video.failed", "task.completed", "task.failed", "count.doubted",
    "usage.unknown",
    "model.unpriced", "channel.troubled", "channel.models_changed",
    "channel.prices_changed", "own_key.refused",
}  # fmt: skip


@causes("topup.paid", "topup.refunded", "refund.failed")
def _refunded(at: Installation) -> None:
    top_up = at.paid()
    refund = at.bank.refund(top_up.payment_id, 500)
    at.told(refund)
    back = {
        "id": "re_1", "object": "refund", "amount": 500, "currency": "usd", "status": "failed",
        "payment_intent": top_up.payment_id, "metadata": {},
    }  # fmt: skip
    at.told({**refund, "id": "evt_back", "type": "refund.failed", "data": {"object": back}})


@causes("topup.disputed")
def _disputed(at: Installation) -> None:
    at.told(at.bank.dispute(at.paid().payment_id, 500))


@causes("payment.unmatched")
def _paid_twice(at: Installation) -> None:
    top_up = topups.open_checkout(
        topups.order_top_up(at.alice, at.people.acme, 25 * USD, processor="stripe")
    )
    event = at.bank.pay(top_up.checkout_id)
    at.told(event)
    at.told(changed(event, object__payment_intent="pi_double"))


@causes("topup.failed")
def _failed(at: Installation) -> None:
    top_up = topups.open_checkout(
        topups.order_top_up(at.alice, at.people.acme, 25 * USD, processor="stripe")
    )
    at.told(at.bank.pay(top_up.checkout_id, paid=False))
    session = at.bank.sessions[top_up.checkout_id]
    at.told(at.bank.event("checkout.session.async_payment_failed", session))


@causes("autotopup.stopped")
def _declined(at: Installation) -> None:
    at.paid(keep_card=True)
    automatic_topups.set_automatic(
        at.alice, at.people.acme, enabled=True, below_nano=100_000 * USD, amount_nano=50 * USD
    )
    at.bank.decline = "Your card has insufficient funds."
    at.run("billing.tasks.watch_balances")


@causes("balance.low")
def _low(at: Installation) -> None:
    low_balance.set_low_balance(at.alice, at.people.acme, 100_000 * USD)
    at.run("billing.tasks.watch_balances")


@causes("approval.asked")
def _asked(at: Installation) -> None:
    credits.request_credit(at.dora, at.people.acme, 5_000 * USD, reason="r")


@causes("credit.posted")
def _posted(at: Installation) -> None:
    credits.request_credit(at.dora, at.people.acme, 5 * USD, reason="r")


@causes("budget.reached", "budget.forecast", "budget.tested")
def _budgets(at: Installation) -> None:
    at.spent(at.budget(alert_percents=[50]), 6)
    at.spent(at.budget(scope="team", subject=str(at.people.core.id), alert_forecast=True), 4)
    budget_alerts.send_test(at.alice, Budget.objects.all()[0])
    at.run("billing.tasks.watch_budgets")


@causes("raise.asked", "raise.decided", "raise.ended")
def _raises(at: Installation) -> None:
    budget = at.budget(scope="user", subject=str(at.people.bob.id))
    until = clock.now() + dt.timedelta(days=1)
    asked = budget_increases.ask_for_more(at.bob, budget, amount_nano=USD, until=until, reason="r")
    budget_increases.approve(at.alice, asked)
    Budget.objects.filter(id=budget.id).update(raised_until=clock.now())
    at.run("billing.tasks.watch_budgets")


@causes("code.redeemed")
def _redeemed(at: Installation) -> None:
    batch = codes.create_batch(at.dora, "spring", value_nano=USD, count=1, credit_days=1)
    (code, *_) = codes.download_codes(at.dora, batch)
    codes.redeem(at.alice, at.people.acme, code)


@causes("promo.expired")
def _expired(at: Installation) -> None:
    _redeemed(at)
    PromoGrant.objects.update(expires_at=clock.now())
    at.run("billing.tasks.end_expired_promo")


@causes("subscription.renewed", "subscription.unpaid", "subscription.ended")
def _subscriptions(at: Installation) -> None:
    at.subscribed("rich", 50)
    at.subscribed("poor", 1)
    cancel_subscription(*at.subscribed("leaving", 50))
    last = (clock.now().replace(day=1) - dt.timedelta(days=1)).date().replace(day=1)
    Subscription.objects.update(month=last)
    at.run("billing.tasks.renew_subscriptions")


@causes("export.ready")
def _exported(at: Installation) -> None:
    exports.start_export(at.alice, "csv", "", "en")
    at.run("usage.tasks.make_export")


@causes("view_as.began")
def _viewed(at: Installation) -> None:
    view_as.begin_view(at.dora, SessionStore(), at.people.acme, Role.ADMIN, "r")


@causes("webhook.tested")
def _tested(at: Installation) -> None:
    for endpoint in WebhookEndpoint.objects.filter(organisation=at.people.acme):
        endpoints.send_test(at.alice, endpoint)


@causes("channel.taken_out")
def _taken_out(at: Installation) -> None:
    channel = channels.create_channel(at.dora, "first", CHANNEL)
    channels.take_out(channel, TakenOut("status", "401"))


@causes("channel.balance_low")
def _balance_low(at: Installation) -> None:
    """Below the operator's amount when it is read, by the job, from a provider."""
    installation.save_settings(at.dora, egress_allow=["127.0.0.1/32"])
    key = "sk-a-key-that-is-nearly-empty"
    at.provider.left[key] = Decimal(3)
    channels.create_channel(
        at.dora, "nearly empty",
        {**CHANNEL, "base_url": at.provider.url, "keys": [key], "balance_source": "deepseek",
         "balance_warn_below_nano": 5 * USD},
    )  # fmt: skip
    at.run("gateway.tasks.check_balances")


@causes("bill.differs")
def _billed(at: Installation) -> None:
    day = clock.now() - dt.timedelta(days=1)
    record = happen(at.key, day, charge_nano=0, cost_nano=2_100_000)
    assert record.channel_id is not None
    text = f"Request ID,Cost\n{record.id},9.99\n"
    mapping = BillMapping(provider="openai", **BY_REQUEST)
    provider_bills.reconcile(
        at.dora, mapping, [record.channel_id], day.date(), day.date(),
        io.BytesIO(text.encode()), "bill.csv",
    )  # fmt: skip


@causes("report.due")
def _reported(at: Installation) -> None:
    view = saved_views.save_view(at.alice, "explore", "Models", "group_by=model", shared=False)
    scheduled_reports.set_schedule(
        at.alice, view, every="week", hour=8, zone=ZoneInfo("UTC"), people=[at.people.alice.id]
    )
    ReportSchedule.objects.update(due_at=clock.now())
    at.run("usage.tasks.send_reports")


@causes("sign_in.noticed")
def _signed_in(at: Installation) -> None:
    bob = at.people.bob
    bob.sign_in_networks.create(network="192.0.2.0/24")
    bob.set_password("a long and rare text 7")
    bob.save()
    EmailAddress.objects.create(user=bob, email=bob.email, primary=True, verified=True)
    browser = Client()
    browser.post("/login", {"login": bob.email, "password": "a long and rare text 7"})
    assert "_auth_user_id" in browser.session


@causes("security.changed")
def _changed(at: Installation) -> None:
    second_factor.reset_factors(at.dora, at.people.bob)


@causes("invoice.closed")
def _invoiced(at: Installation) -> None:
    version = price_version()
    charged(at.key, mid_month(), 210_000, price_version_id=version.id)
    set_seller(at.dora, legal_name="Weir Ltd", address="1 Lock Lane", country="IE")
    seals.seal_all(seal_key())
    BooksCheck.objects.update_or_create(id=1, defaults={"rest_until": clock.now()})
    check_books()
    month_close.draft_invoices()
    draft = Invoice.objects.get(organisation=at.people.acme, kind="invoice", state="draft")
    proposed = month_close.propose(at.dora, draft)
    month_close.close(cast.actor(at.otto), proposed, proposed.checksum)


@causes("books.wrong")
def _wrong(at: Installation) -> None:
    """A balance that somebody has changed by hand, a while after the books were checked."""
    Account.objects.filter(organisation=at.people.acme, kind="customer:available").update(
        balance_nano=1
    )
    long_ago = clock.now() - dt.timedelta(hours=2)
    BooksWalk.objects.filter(name="quiet").update(ended_at=long_ago)
    BooksCheck.objects.filter(id=1).update(rest_until=long_ago)
    at.run("usage.tasks.check_books")


@causes("books.unchecked")
def _unchecked(at: Installation) -> None:
    """The schema has been of a newer version for more than an hour."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('usage', '9999', now())"
        )
    long_ago = clock.now() - dt.timedelta(hours=2)
    BooksCheck.objects.update_or_create(
        id=1, defaults={"aside_since": long_ago, "rest_until": long_ago}
    )
    at.run("usage.tasks.check_books")


@causes("records.damaged")
def _damaged(at: Installation) -> None:
    """As a web process that starts beside the spool of a killed one, which the disk has damaged."""

    async def report(records: int) -> None:
        database = PipelinedConnection(at.dsn, WAIT_S)
        await database.open()
        await database.run([damaged_statement(DamagedRecords(new_id(), records))])
        await database.close()

    with TemporaryDirectory() as folder:
        (Path(folder) / "dead.spool").write_bytes(b"no record\n")
        spool = Spool(Path(folder), new_id(), 64 * 1024)
        spool.open()
        assert spool.adopt() == []
        asyncio.run(report(spool.damaged))
        spool.close()


@causes("jobs.stopped", "jobs.resumed")
def _stopped(at: Installation) -> None:
    """As the web processes look, which notice a job that does not run."""
    task, now = "billing.tasks.cut_trail", clock.now()
    watch()
    long_ago = now - dt.timedelta(days=1)
    JobRun.objects.filter(task=task).update(good_at=long_ago, expected_at=long_ago)
    for _ in range(2):
        JobRun.objects.filter(task="config.job_runs.watch").update(
            good_at=clock.now() - dt.timedelta(seconds=6)
        )
        watch()
        with record_run(task):
            pass


@causes("guard.failing")
def _failing(at: Installation) -> None:
    """As a web process whose guard nobody serves, and that lets texts pass all the same."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    async def no_model(operation: str, body: bytes) -> bytes:
        raise AssertionError(operation)

    async def ask(rule: GuardRule, policy: Policy) -> None:
        caller = Caller("r", "m", "k", "t")
        calls = GuardCalls(vault(), ["127.0.0.1/32"])
        stored = msgspec.structs.replace(rule, policy=str(policy.id))
        assert await calls.ask(caller, no_model, stored, "request", ["text"]) is None
        database = PipelinedConnection(at.dsn, WAIT_S)
        await database.open()
        await database.run([report_passed(calls.take_passed())])
        await database.close()
        await calls.close()

    with refused_port() as port:
        settings = {"url": f"http://127.0.0.1:{port}/", "secret": secret}
        rule = GuardRule(
            "hook", {**settings, "passes_on": ["connection"]}, ["request"], "decide", "hook"
        )
        policy = policies.create_policy(
            at.alice, at.people.acme, look_back, name="Guards", rules=[rule]
        )
        asyncio.run(ask(rule, policy))


# The database is of another version afterwards, and the balance is wrong: these come last.
LAST: Final = ("books.wrong", "books.unchecked")


@contextmanager
def django_on(dsn: str) -> Iterator[None]:
    """Django of this process works on another database meanwhile."""
    stage.clear()
    before = connection.settings_dict["NAME"]
    _connect_to(str(conninfo_to_dict(dsn)["dbname"]))
    try:
        yield
    finally:
        _connect_to(before)


def _connect_to(name: str) -> None:
    """Let go of connections, those in the pool too, and take new ones to another database."""
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    connection.settings_dict["NAME"] = name


@contextmanager
def worker(dsn: str, post: MailServer, bank: FakeProcessor, log: Path) -> Iterator[Celery]:
    """The worker with its beat, and the app by which it is sent work."""
    environment = os.environ | {
        "DATABASE_URL": dsn,
        "BROKER_URL": "",
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": str(post.port),
        "WEBHOOK_EGRESS_ALLOW": "127.0.0.1/32",
        "STRIPE_SECRET_KEY": SECRET_KEY,
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "STRIPE_API_BASE": bank.url,
    }
    app = Celery("sender", set_as_current=False, broker="pgmq://embedded")
    app.conf.update(
        broker_transport="config.jobs.embedded_queue:Transport",
        broker_transport_options={"init_extension": False, "conn_string": dsn},
    )
    with log.open("wb") as output:
        process = subprocess.Popen(
            worker_command(), cwd=ROOT, env=environment, stdout=output, stderr=output
        )
        try:
            yield app
        finally:
            process.terminate()
            process.wait(WAIT_S)


class Received:
    """What came, by kind."""

    def __init__(self, at: Installation) -> None:
        facts = list(Fact.objects.order_by("id"))
        self.hooks = {json.loads(body)["type"] for _, body in at.server.got}
        subjects = [str(letter["subject"]) for letter in at.post.letters]
        texts = [json.loads(body)["text"] for _, body in at.chat.got]
        self.letters: set[str] = set()
        self.chats: set[str] = set()
        self.data: dict[str, list[set[str]]] = {}
        for fact in facts:
            self.data.setdefault(fact.kind, []).append(set(fact.body))
            if fact.pk not in at.words:
                at.words[fact.pk] = sending._words(fact)
            subject, text = at.words[fact.pk]
            if subject in subjects:
                self.letters.add(fact.kind)
            if f"{subject}\n\n{text}" in texts:
                self.chats.add(fact.kind)

    def lacks(self, kind: str) -> list[str]:
        """Through which channels a kind should have come, and has not."""
        message = KINDS[kind]
        wanted = {"letter"} if message.roles or message.operators or message.personal else set()
        wanted |= set() if message.personal else {"webhook", "chat"}
        came = {"letter": self.letters, "webhook": self.hooks, "chat": self.chats}
        return sorted(one for one in wanted if kind not in came[one])


@pytest.fixture(scope="module")
def received(
    django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Received]:
    log: Path = tmp_path_factory.mktemp("alarms") / "worker.log"
    with (
        django_db_blocker.unblock(),
        own_database("alarms") as dsn,
        django_on(dsn),
        mail_server() as post,
        receiver() as server,
        receiver() as chat,
        fake_processor() as bank,
        FakeBalances() as provider,
        override_settings(
            WEBHOOK_EGRESS_ALLOW=["127.0.0.1/32"], STRIPE_SECRET_KEY=SECRET_KEY,
            STRIPE_WEBHOOK_SECRET=WEBHOOK_SECRET, STRIPE_API_BASE=bank.url,
            EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
            EMAIL_HOST="127.0.0.1", EMAIL_PORT=post.port, EMAIL_USE_TLS=False,
        ),
    ):  # fmt: skip
        load_queues(dsn)
        chat.judge = Chats().judge
        at = Installation(dsn, bank, server, chat, post, provider)
        first = [kind for kind in CAUSES if kind not in LAST]
        _cause(at, first)
        with worker(dsn, post, bank, log) as app:
            for kinds in (first, LAST[:1], LAST[1:]):
                if kinds is not first:
                    _cause(at, kinds)
                for task in dict.fromkeys(at.tasks):
                    app.send_task(task)
                at.tasks.clear()
                _wait(at, kinds)
            yield Received(at)


def _cause(at: Installation, kinds: Iterable[str]) -> None:
    for cause in dict.fromkeys(CAUSES[kind] for kind in kinds):
        assert not connection.in_atomic_block
        cause(at)


def _wait(at: Installation, kinds: Iterable[str]) -> None:
    """Until these have come, or nothing more can be hoped for."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        new_received = Received(at)
        if not any(new_received.lacks(kind) for kind in kinds):
            return
        time.sleep(0.2)


def test_every_kind_has_a_cause() -> None:
    """House rule: whoever adds a kind to notify/events/kinds.py brings it about here."""
    assert set(KINDS) == set(CAUSES) | OF_REQUESTS
    assert not set(CAUSES) & OF_REQUESTS


@pytest.mark.parametrize("kind", CAUSES)
def test_real_worker_delivers_every_alarm(kind: str, received: Received) -> None:
    assert received.lacks(kind) == []


@pytest.mark.parametrize("kind", [kind for kind in CAUSES if not KINDS[kind].personal])
def test_payload_matches_the_reference(kind: str, received: Received) -> None:
    assert received.data[kind]
    assert all(fields == set(KINDS[kind].data.split()) for fields in received.data[kind])


def test_undeliverable_alarm_is_not_counted_as_sent(django_db_blocker: DjangoDbBlocker) -> None:
    """Without a mail server an email ends at once as not sent, and operators see why."""
    with (
        django_db_blocker.unblock(),
        own_database("unmailed") as dsn,
        django_on(dsn),
        override_settings(EMAIL_BACKEND=BACKEND, EMAIL_HOST=""),
    ):
        people = cast.assemble()
        credits.request_credit(cast.actor(people.dora), people.acme, 5_000 * USD, reason="r")
        # As a worker does.
        deliveries.spread_facts(99)
        for delivery_id in deliveries.lease_due(99):
            sending.send(delivery_id)
        ended = Delivery.objects.get(fact__kind="approval.asked", user=people.dora)
        [tried] = ended.tries
        assert (ended.state, tried["error"]) == (DeliveryState.DEAD, "No mail server is set up.")
        operator = cast.signed_in(people.dora)
        body = operator.get("/api/v1/system").json()
        page_text = squeezed(operator.get("/admin/health").content.decode())
        assert (body["mail_server"], body["emails_error"]) == (False, "No mail server is set up.")
        assert body["emails_unsent"] >= 1
        assert "No mail server is set up" in page_text
