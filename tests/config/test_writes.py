"""Every write of the product: an audit event with its actor, the relay's notification where it
matters, and what it locks and writes, table by table, as `tests/config/writes/effects.txt` has it;
the values of the rows that it leaves are in `written.txt` there.

The writes are found in the code: one that is added is either made in `tests/config/writes`, in
the file of its room, or named below."""

import ast
import dataclasses
import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.audit_log import log as audit_log
from accounts.audit_log.words import OBJECTS
from accounts.models import AuditEvent, Epoch, FormerSecret, Key
from billing.balances.credit_line import set_credit_line
from billing.credits import codes, credits
from billing.topups import automatic, topups
from billing.trials import trials
from billing.wallets import low_balance
from outbox.models import Fact
from relay.catalogue import snapshot_sql as snapshot_statements
from relay.credentials import keys as auth
from tests.config.writes import BEFORE, WRITES, says, written
from tests.config.writes.world import BANK_ACCOUNT, NANO, World, world
from tests.house.parsed import tree_of
from usage.limits import budget_simulation

__all__ = ["world"]

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = ("accounts", "billing", "content", "gateway", "notify", "playground", "usage")
# What is one's own and nobody else's, or stands in the trail by what it belongs to.
NO_EVENT: Final = {
    "accounts.audit.audit.record",
    "billing.credits.codes.count_redeem_attempt",
    "billing.idempotency.answer_idempotently",
    "billing.idempotency.form_answered",
    "billing.idempotency.run_once",
    "billing.credits.promo.grant",
    # The name of a policy, whose change has an event. Its budgets have events of their own.
    "billing.limits.policy_budgets.give_budgets",
    # What it finds is proposed, and that has an event.
    "gateway.prices.upstream_prices.upstream_prices.check_prices",
    "playground.attachments.attachments.add_bytes",
    "playground.attachments.attachments.add_file",
    "playground.compare_page.compare.cast_vote",
    "usage.feedback.feedback.withdraw_feedback",
    "playground.chats.export_import.import_conversations",
    "playground.media.media.begin_media",
    "playground.payers.paying.choose_default_payer",
    "playground.preferences.preferences.choose_default_model",
    "playground.preferences.preferences.choose_keys",
    "playground.preferences.preferences.choose_leaving",
    "playground.preferences.preferences.choose_title_model",
    "playground.preferences.preferences.toggle_favourite",
    "playground.panel.presets.save_preset",
    "playground.media.realtime.issue_ticket",
    "playground.turns.turns.add_column",
    "playground.turns.turns.begin_turns",
}


# What there is -----------------------------------------------------------------------------------


def _functions() -> Iterator[tuple[str, ast.FunctionDef, dict[str, ast.FunctionDef]]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if path.stem in ("views", "api") or path.stem.endswith(("_views", "_api")):
                continue
            if {"migrations", "management", "models"} & set(path.relative_to(ROOT).parts):
                continue
            tree = tree_of(path)
            local = {one.name: one for one in tree.body if isinstance(one, ast.FunctionDef)}
            for function in local.values():
                module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                yield f"{module}.{function.name}", function, local


def _reaches(
    function: ast.FunctionDef,
    local: dict[str, ast.FunctionDef],
    holds: Callable[[str], bool],
    seen: frozenset[str] = frozenset(),
) -> bool:
    """Whether a call is made in a function, or in what it calls of its own file."""
    for name in _called(function):
        if holds(name):
            return True
        inner = local.get(name) if name not in seen else None
        if inner is not None and _reaches(inner, local, holds, seen | {name}):
            return True
    return False


@cache
def _called(function: ast.FunctionDef) -> Sequence[str]:
    """What is called in a function, as it is written there."""
    calls = (node for node in ast.walk(function) if isinstance(node, ast.Call))
    return list(dict.fromkeys(ast.unparse(call.func) for call in calls))


def _audits(text: str) -> bool:
    return text in ("audit.record", "change_row", "request_approval")


def _writes(text: str) -> bool:
    ends = (".save", ".delete", ".create", ".bulk_create", ".update_or_create", ".get_or_create")
    return text.endswith(ends) or (text.endswith(".update") and "objects" in text)


def _has_actor(function: ast.FunctionDef) -> bool:
    return "actor" in {one.arg for one in (*function.args.args, *function.args.kwonlyargs)}


def _audited_and_silent() -> tuple[set[str], set[str]]:
    """The public functions that leave an event; those that write for an actor and leave none."""
    audited, silent = set(), set()
    for name, function, local in _functions():
        if name.rpartition(".")[2].startswith("_"):
            continue
        if _reaches(function, local, _audits):
            audited.add(name)
        elif _has_actor(function) and _reaches(function, local, _writes):
            silent.add(name)
    return audited, silent


# Every one of them, made -------------------------------------------------------------------------

# These need more around them (a processor, a catalogue, an upstream, a clock): the tests of their
# rooms make them, and look at the event that is named here.
ELSEWHERE: Final = {
    "accounts.sessions.security_changes.record_change": "authenticator_app.added",
    "accounts.sign_up.first_run.make_set_up_link": "set_up_link.made",
    "accounts.sign_up.first_run.set_up": "installation.set_up",
    "billing.trials.trials.create_organisation": "trial.given",
    "content.log.log.download": "content.downloaded",
    "content.log.log.read_entry": "content.read",
    "content.log.log.search": "content.searched",
    "content.log.session_log.read_session_log": "content.session_read",
    "accounts.sessions.security_changes.record_use": "recovery_code.used",
    "accounts.sessions.security_changes.replace_password": "password.changed",
    "accounts.sessions.sessions.end": "sessions.ended",
    "accounts.sessions.sessions.end_one": "sessions.ended",
    "accounts.sessions.sessions.end_signed_in_by": "sessions.ended",
    "playground.erasure.erasure_requests.request_erasure": "user.erasure_asked",
    "playground.erasure.erasure_steps.erase_people": "user.erased",
    "playground.erasure.personal_data.record_download": "user.data_downloaded",
    "accounts.sign_in.sign_in.sign_in_by_link": "sign_in_link.used",
    "accounts.device_sign_in.device_sign_in.allow": "device.allowed",
    "accounts.device_sign_in.device_sign_in.deny": "device.denied",
    "accounts.keys.keys.mint_numbered_key": "key.created",
    "billing.credits.credits.request_reversal": "approval.asked",
    "billing.invoices.invoices.close_document": "invoice.closed",
    "billing.invoices.invoices.draft_invoice": "invoice.drafted",
    "billing.invoices.invoices.propose_invoice": "approval.asked",
    "billing.invoices.invoices.propose_note": "approval.asked",
    "billing.invoices.payments.record_payment": "invoice.payment_recorded",
    "billing.subscriptions.subscription_plans.archive_plan": "subscription_plan.archived",
    "billing.subscriptions.subscription_plans.offer_plan": "subscription_plan.offered",
    "billing.subscriptions.subscription_plans.write_plan": "subscription_plan.written",
    "billing.subscriptions.subscriptions.cancel_subscription": "subscription.cancelled",
    "billing.subscriptions.subscriptions.choose_plan": "subscription.plan_chosen",
    "billing.subscriptions.subscriptions.renew_subscriptions": "subscription.renewed",
    "billing.subscriptions.subscriptions.resume_subscription": "subscription.resumed",
    "billing.topups.topups.apply_event": "payment.paid",
    "usage.exports.exports.delete_export": "export.deleted",
    "usage.exports.exports.start_export": "export.started",
    "usage.saved_views.scheduled_reports.end_schedule": "report.ended",
    "usage.saved_views.scheduled_reports.leave": "report.left",
    "usage.saved_views.scheduled_reports.send_due": "report.receivers_removed",
    "usage.saved_views.scheduled_reports.set_schedule": "report.scheduled",
    "billing.topups.topups.end_order": "payment.paid",
    "billing.topups.topups.keep_checkout": "payment.paid",
    "billing.topups.topups.open_checkout": "payment.paid",
    "billing.topups.topups.take_event": "payment.paid",
    "billing.seals.audit_retention.cut_trail": "audit.cut",
    "billing.seals.audit_retention.cut_trail_before": "audit.cut",
    "billing.limits.budget_increases.deny_overdue": "raise.denied",
    "billing.limits.budget_increases.end_raises": "raise.ended",
    "billing.topups.automatic.fill_balances": "wallet.automatic_stopped",
    "gateway.provider_accounts.balances.balances.check_balance": "channel.balance_asked",
    "gateway.provider_accounts.balances.balances.record_readings": "channel.balance_asked",
    "gateway.provider_accounts.balances.balances.work_off_schedule": "channel.balance_asked",
    "gateway.channels.channel_tests.channel_test.check_channel": "channel.tested",
    "gateway.catalogue.model_changes.check_models": "channel.models_changed",
    "gateway.catalogue.model_changes.decide": "channel.models_decided",
    "gateway.catalogue.model_changes.work_off_schedule": "channel.models_changed",
    "gateway.channels.channels.take_in": "channel.taken_in",
    "gateway.public_models.probes.probe_model": "model.probed",
    "gateway.channels.channels.take_out": "channel.taken_out",
    "usage.margin.provider_bills.reconcile": "provider_bill.compared",
    "usage.margin.provider_bills.reopen_difference": "bill_difference.reopened",
    "usage.margin.provider_bills.settle_difference": "bill_difference.settled",
    "usage.months.detaching.attach": "month.attached",
    "usage.months.detaching.detach": "month.detached",
    "usage.reviews.reviews.settle_kind": "request.reviewed",
    "usage.reviews.reviews.settle_review": "request.reviewed",
}
# What writes of money tell people, beside their event.
TOLD: Final = {
    "billing.credits.codes.redeem": ["code.redeemed"],
    "billing.credits.codes.try_code": ["code.redeemed"],
    "billing.approvals.approvals.request_approval": ["approval.asked"],
    "billing.approvals.approvals.decide": ["credit.posted"],
    "billing.credits.credits.request_credit": ["credit.posted"],
    "billing.limits.budget_alerts.send_test": ["budget.tested"],
    "billing.limits.budget_increases.approve": ["raise.decided"],
    "billing.limits.budget_increases.ask_for_more": ["raise.asked"],
    "billing.limits.budget_increases.deny": ["raise.decided"],
    "billing.limits.budget_increases.deny_all_of": ["raise.decided"],
    "billing.limits.budget_increases.end_raise": ["raise.ended"],
    "billing.topups.topups.cancel_transfer operator": ["topup.failed"],
    "billing.topups.topups.confirm_transfer": ["topup.paid"],
}
# What an event or a fact leaves blank, by its kind: the writes above are made of what has no more.
_NEW: Final = "before"
_UNLIMITED: Final = """data_regions end_user_header end_user_networks endpoints expires_at
    model_patterns networks parallel
    required_labels rpm tags tpm"""
BLANK: Final[Mapping[str, str]] = {
    # There was nothing before.
    **dict.fromkeys(
        ("alias.saved", "mail_server.changed", "member.set", "model.proposal_accepted",
         "model.proposal_dismissed", "model.saved", "model_rule.saved",
         "playground.payer_rules_changed", "prompt.label_moved"), _NEW,
    ),
    # A key, a price or a rule that is for everything.
    "log_rule.changed": "subject",
    "log_rule.added": "ends_at",
    "log_rule.removed": "ends_at subject",
    "policy.created": "models networks retention_hours",
    "policy.removed": "models networks retention_hours rules",
    # Keys are brought for nobody, too.
    "key.brought": f"{_UNLIMITED} cache_seconds owner",
    "key.created": f"{_UNLIMITED} cache_seconds",
    "budget.created": "subject",
    "catalogue.ignored": "field",
    "catalogue.not_ignored": "field",
    "channel.prices_followed": "group markup_ppm",
    "note.added": "team",
    "own_key.added": "team",
    "price.drafted": "channel hours region service_tier",
    "price.proposal_ignored": "channel hours region service_tier",
    "price.set": "valid_to",
    "webhook.created": "kinds",
    # What nobody gave.
    "approval.asked": "changes reason",
    "budget.tested": "threshold",
    "code.redeemed": "expires_at",
    "credit.posted": "document",
    "exchange_rate.added": "source",
    "finding.acknowledged": "expected found",
    "invitation.created": "email",
    "raise.approved": "answer",
    "raise.asked": "answer decided_by",
    "raise.decided": "answer",
    "raise.ended": "answer",
    "topup.cancelled": "document",
}  # fmt: skip
# Writes of an amount, done one after the other.
STEPS: Final[Mapping[str, Callable[[World, int], object]]] = {
    "set_credit_line": lambda w, nano: set_credit_line(w.people.acme, nano, actor=w.dora),
    "set_low_balance": lambda w, nano: low_balance.set_low_balance(w.alice, w.people.acme, nano),
    "set_automatic": lambda w, nano: automatic.set_automatic(
        w.alice, w.people.acme, enabled=False, below_nano=0, amount_nano=nano
    ),
    "save_trial_setting": lambda w, nano: trials.save_trial_setting(
        w.dora, amount=str(Decimal(nano) / NANO)
    ),
    "change_budget": lambda w, nano: budget_simulation.change_budget(
        w.alice, w.budget, amount_nano=nano
    ),
    "request_credit": lambda w, nano: credits.request_credit(
        w.dora, w.people.acme, nano, reason="r"
    ),
    "order_top_up": lambda w, nano: topups.order_top_up(
        w.alice, w.people.acme, nano, processor="manual"
    ),
    "create_batch": lambda w, nano: codes.create_batch(w.dora, "more", value_nano=nano, count=1),
}
_LOCKED: Final = re.compile(r'FROM "?(\w+)"?.* FOR (?:NO KEY )?UPDATE', re.DOTALL)
_WRITTEN: Final = re.compile(r'(INSERT INTO|UPDATE|DELETE FROM) "?([a-z]+_\w+)')
EFFECTS: Final = dict(
    line.split(": ", 1)
    for line in Path(ROOT, "tests/config/writes/effects.txt").read_text().splitlines()
)
# Nobody is signed in who could be named: the installation does it.
BY_NOBODY: Final = {"accounts.sign_in.sign_in.make_sign_in_link"}


@pytest.fixture(autouse=True)
def _bank(settings: Any) -> None:
    settings.BANK_ACCOUNT = BANK_ACCOUNT


def test_every_write_is_covered() -> None:
    """Whatever changes something for others has an event, and is made here or elsewhere."""
    audited, silent = _audited_and_silent()
    assert silent == NO_EVENT
    assert {name.partition(" ")[0] for name in WRITES} | ELSEWHERE.keys() == audited
    texts = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    for action in ELSEWHERE.values():
        assert sum(f'"{action}"' in text for text in texts) > 1, action


@pytest.mark.parametrize("name", WRITES)
def test_write_is_audited_with_its_actor_and_published_to_relays(world: World, name: str) -> None:
    """P11: what a relay holds in memory never changes without a notification. One that limits or
    budgets a running relay counts its changes instead, which the admission compares."""
    if name in BEFORE:
        BEFORE[name](world)
    last = AuditEvent.objects.order_by("-id").values_list("id", flat=True)[0]
    before, epoch = _known_to_relays(), Epoch.objects.get().n
    told = list(Fact.objects.values_list("id", flat=True))
    tables = written.tables_of(EFFECTS.get(name, ""))
    rows = written.rows_of(tables)
    with CaptureQueriesContext(connection) as made:
        WRITES[name](world)
    left = written.lines(name, world, rows, written.rows_of(tables))
    assert _effects(made.captured_queries) == EFFECTS.get(name)
    events = AuditEvent.objects.filter(id__gt=last)
    actors = [(event.actor_user_id, event.actor_key) for event in events]
    assert events, f"{name} leaves no trace"
    if name not in BY_NOBODY:
        assert any(user is not None or key is not None for user, key in actors), actors
    for event in events:
        assert event.action
        assert event.object_id
    facts = list(Fact.objects.exclude(id__in=told).order_by("id"))
    assert says.lines(name, list(events), facts) == says.LINES.get(name)
    assert left == written.LINES.get(name, []), "\n".join(left)
    assert says.unchanged(list(events)) == []
    for one in audit_log.describe_events(list(events)):
        assert "acted on" not in one.sentence, f"{one.event.action} lacks a fact of its sentence"
        assert one.event.object_type in OBJECTS
    if name.startswith(("billing.", "usage.")):
        kinds = Fact.objects.exclude(id__in=told).values_list("kind", flat=True)
        assert list(kinds) == TOLD.get(name, [])
    changed = _known_to_relays() != before
    if changed:
        assert Epoch.objects.get().n > epoch, f"{name} notifies no relay"
    if name.startswith("accounts."):
        # Who may call is changed by each of them but these, and it is seen above.
        assert changed != name.endswith(
            (
                "sign_in_link",
                "_end_user_secret",
                "set_display_currency",
                "_team",
                "_role",
                "_project",
                "_service_account",
                "add_person new",
                "change_row",
                ".accept",
                ".accept_as_new",
                ".invite",
                ".resend",
                ".withdraw",
                ".withdraw_all_of",
                "force_second_factor",
                "rename_organisation",
                "save_sign_up",
                "_single_sign_on",
                "_domains",
                "reset_factors",
                "_mail_server",
                "_safeguard",
                "set_lead",
                "_view",
            )
        )


def _effects(queries: Iterable[Mapping[str, str]]) -> str:
    """What statements lock, in order, and which tables they insert into, update and delete from,
    and how often."""
    locked: dict[str, None] = {}
    written: Counter[tuple[str, str]] = Counter()
    for query in queries:
        text = query["sql"]
        if "advisory_xact_lock" in text:
            locked["advisory"] = None
        elif match := _LOCKED.search(text):
            locked[match[1]] = None
        written.update(_WRITTEN.findall(text))
    parts = [f"locks {', '.join(locked)}"] if locked else []
    for verb, done in (
        ("INSERT INTO", "inserts"),
        ("UPDATE", "updates"),
        ("DELETE FROM", "deletes"),
    ):
        tables = sorted((table, count) for (word, table), count in written.items() if word == verb)
        names = (f"{table} x{count}" if count > 1 else table for table, count in tables)
        if tables:
            parts.append(f"{done} {', '.join(names)}")
    return "; ".join(parts)


def test_nothing_is_blank_that_there_was() -> None:
    """What an event leaves blank, its object did not have, or a row here says why."""
    assert {*says.blanks()} == {(what, key) for what, keys in BLANK.items() for key in keys.split()}


@pytest.mark.parametrize("name", STEPS)
def test_event_states_the_figures_of_its_own_step(world: World, name: str) -> None:
    """Done twice with different amounts: neither that of the step before, nor both together."""
    first, second = Decimal("27.03"), Decimal("43.07")
    STEPS[name](world, int(first * NANO))
    last = AuditEvent.objects.order_by("-id").values_list("id", flat=True)[0]
    told = list(Fact.objects.values_list("id", flat=True))
    STEPS[name](world, int(second * NANO))
    (event,) = audit_log.describe_events(list(AuditEvent.objects.filter(id__gt=last)))
    before, after = (str(event.event.detail.pop(side, "")) for side in ("before", "after"))
    figures = json.dumps(event.event.detail) + after
    assert str(second) in figures
    assert str(first) not in figures
    assert not before or str(first) in before
    assert str(second) not in before
    if str(first) in event.sentence:
        assert event.sentence.index(str(first)) < event.sentence.index(str(second))
    texts = [figures, event.sentence, *map(str, _bodies(told))]
    assert not any(str(first + second) in text for text in texts)
    assert all(str(second) in str(body) for body in _bodies(told))


def _bodies(told: Sequence[Any]) -> list[Any]:
    return list(Fact.objects.exclude(id__in=told).values_list("body", flat=True))


def test_every_listed_effect_belongs_to_a_write() -> None:
    """A write without a line fails above, and says there what the line is."""
    assert EFFECTS.keys() | written.LINES.keys() <= WRITES.keys()


@pytest.mark.parametrize("today", ["2027-03-01", "2028-02-29", "2027-12-31", "2027-06-15"])
def test_times_of_rows_have_the_same_names_on_any_day(today: str) -> None:
    began = dt.datetime.fromisoformat(f"{today}T23:59:50.123456+00:00")
    times = written.Times(began, began + dt.timedelta(seconds=2))
    spans = {"now": {}, "+7 days": {"days": 7}, "-1 day": {"days": -1}, "+1 hour": {"hours": 1},
             "+30 minutes": {"minutes": 30}}  # fmt: skip
    for name, span in spans.items():
        set_at = began + dt.timedelta(seconds=1, **span)
        assert times.sub(set_at.isoformat()) == name
    month, day = (dt.date.fromisoformat(one) for one in (f"{today[:7]}-01", today))
    after = (month + dt.timedelta(days=31)).replace(day=1)
    assert times.sub(f"{month} {after}T00:00:00+00:00") == "this month month +1"
    by_day = dataclasses.replace(times, by_month=False)
    assert by_day.sub(f"{day} {day + dt.timedelta(days=1)}T00:00:00Z") == "today day +1"


def _known_to_relays() -> dict[str, object]:
    """What a relay would have in memory if it looked now: its catalogue, and all principals."""
    known: dict[str, object] = {}
    with connection.cursor() as cursor:
        cursor.execute(snapshot_statements.load_statement()[0])
        catalogue = json.loads(cursor.fetchone()[0])
        known["catalogue"] = {
            name: value for name, value in catalogue.items() if name not in ("now", "epoch")
        }
        digests = [*Key.objects.values_list("digest"), *FormerSecret.objects.values_list("digest")]
        for (digest,) in digests:
            text = "\\x" + bytes(digest).hex()
            cursor.execute(auth._BY_DIGEST, {"digest": text, "user": ""})
            *row, body = cursor.fetchone()
            # Budgets have a count of their own, which stands in the guards.
            body = {name: body[name] for name in body if name not in ("budgets", "guards")}
            known[text] = (row, body)
    return known
