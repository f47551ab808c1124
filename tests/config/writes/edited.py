"""The pages that change something that is there, and a value for each field of their forms.

Each field has a value that a new object would not have, so that a form which opens without one, or
with the one of a new object, is seen (`tests/config/test_edit_forms.py`)."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from accounts.access.actors import SYSTEM
from accounts.mail_server import mail_server
from accounts.models import Role
from accounts.sign_up import sign_up
from accounts.single_sign_on import single_sign_on
from billing.invoices import billing_details
from billing.limits import budgets, charge_rule_settings
from billing.limits.budget_rules import PERIODS
from billing.limits.charge_rule import ChargeRule
from billing.limits.policy_budgets import PolicyBudget
from billing.models import WalletSetting
from billing.prices.own_key_fee import OwnKeyFee
from billing.safeguards import safeguards
from billing.trials import trials
from content.detectors.registry import GUARDS
from content.guards.rules import GuardRule
from content.policies import policies
from content.rules import log_rules
from gateway.aliases import aliases
from gateway.model_entries import entries
from gateway.models import Route
from gateway.own_keys import offers, own_keys
from gateway.prices.upstream_prices import upstream_prices
from gateway.providers.overrides import CAPABILITIES
from gateway.routing import model_rules
from gateway.settings import installation
from gateway.status import announcements
from lib import clock
from lib.ids import parse_id
from notify.endpoints import endpoints
from playground.models import Message
from tests.config.writes.world import NANO, World
from tests.isolation.kinds.playground import RATED
from tests.isolation.world import Place
from tests.isolation.world import World as Installation
from tests.usage.rows import happen
from usage.feedback.feedback import give_feedback
from usage.feedback.rules import Opinion
from usage.limits import budget_simulation
from usage.limits.budget_simulation import look_back
from usage.saved_views import saved_views, scheduled_reports

LIMITS: Final[Mapping[str, int]] = {"rpm": 17, "tpm": 1_700, "parallel": 3}
CACHING: Final[Mapping[str, Any]] = {"cache_seconds": 600, "cache_price_percent": 25}
END_USERS: Final[Mapping[str, Any]] = {
    "end_user_header": "x-openwebui-user-jwt", "end_user_networks": ["10.0.0.0/8", "10.1.2.3"],
    "end_users_signed": True,
}  # fmt: skip
POLICY: Final[Mapping[str, Any]] = {"zero_retention": True, "data_regions": ["eu", "us"]}
KINDS: Final = ["topup.paid", "budget.reached"]
_GUARD_SETTINGS: Final[Mapping[str, dict[str, Any]]] = {
    "national_number": {"countries": ["US", "DE"]},
    "words": {"words": ["a b", "c"]},
    "expressions": {"expressions": ["a{1,9}", "b"], "ignore_case": True},
    "tool": {
        "rules": [
            {"name": "shell", "decision": "refuse",
             "arguments": [{"pointer": "/command", "pattern": "rm"}]},
            {"name": "send_*", "decision": "ask"},
        ]
    },
    "hook": {
        "url": "https://hook.example/guard", "secret": f"whsec_{'A' * 32}",
        "deadline_ms": 700, "passes_on": ["deadline"],
    },
    "moderation": {
        "model": "m-1", "categories": ["violence"], "threshold": 0.7,
        "deadline_ms": 800, "passes_on": ["connection"],
    },
    "topics": {
        "model": "m-2", "deadline_ms": 850, "passes_on": ["deadline"],
        "topics": [
            {"name": "weapons", "description": "Making them."},
            {"name": "prompt_injection", "description": ""},
        ],
    },
    "presidio": {
        "url": "https://presidio.example", "language": "de", "entities": ["PERSON"],
        "score_threshold": 0.6, "deadline_ms": 900, "passes_on": ["answer"],
    },
}  # fmt: skip


class Edited(NamedTuple):
    """A form that changes something: where the page that has it is, whether an operator opens it,
    what fills it, and where it is sent to, if not to the page itself."""

    path: str
    operator: bool
    fill: Callable[[World], object]
    sent_to: str = ""


def _update(row: Any, **values: Any) -> None:
    type(row)._default_manager.filter(pk=row.pk).update(**values)


def _organisation(w: World) -> None:
    _update(
        w.people.acme,
        name="Acme & Söhne",
        display_currency="EUR",
        retention_hours=7,
        client_address_days=30,
        include_cost=True,
        required_labels=["project"],
        second_factor_roles=["admin", "developer"],
        **POLICY,
    )


def _single_sign_on(w: World) -> None:
    single_sign_on.save_single_sign_on(
        w.alice, w.people.acme, secret="s", issuer="https://a.example", client_id="c",
        domains=["a.example", "b.example"], group_claim="roles",
        group_rules=[{"group": "devs", "role": "developer", "teams": ["core"]}],
        default_role="viewer", required=False,
    )  # fmt: skip


def _member(w: World) -> None:
    _update(w.membership, role=Role.VIEWER, all_teams=False)
    w.membership.teams.set([w.second])


def _wallet(w: World) -> None:
    WalletSetting.objects.update_or_create(
        organisation=w.people.acme,
        defaults={
            "low_nano": 7 * NANO, "auto_enabled": False, "auto_below_nano": 11 * NANO,
            "auto_amount_nano": 61 * NANO,
        },
    )  # fmt: skip


def _channel(w: World) -> None:
    _update(
        w.channel,
        labels=["fast", "eu"], priority=-3, weight=7, retries=1, on_leave="drain", uncapped=True,
        names_client=False, region="eu-west-1", check_models_every_h=5, zero_retention=True,
        balance_source="new_api", proxy_url="socks5://p.example:1080", spend_cap_day_nano=7 * NANO,
        spend_cap_month_nano=70 * NANO, balance_warn_below_nano=5 * NANO,
        balance_rest_below_nano=3 * NANO, **LIMITS,
        timeouts={"connect": 3.0, "first_content": 31.0, "idle": 32.0, "total": 333.0},
        breaker={"enabled": True, "failures": 3, "window": 31.0, "open_for": 33.0},
        client_cert="a certificate", ca_bundle="an authority",
        testing={
            "every_min": 33, "model": "m-1", "variant": "plain", "on_key": True,
            "statuses": "403, 5xx", "words": "quota", "success_percent": 33,
        },
        conditions={
            "plans": ["retail"], "teams": ["acme/core"], "projects": ["bot"], "tags": ["a"],
            "customers": ["c"], "prompt_min": 7, "prompt_max": 7_000, "requires": ["tools"],
            "excludes": ["image"],
        },
        pass_through=[{"path": "/v1/files/**", "methods": ["GET"]}],
        overrides={
            "parameters": {"openai": {"set": {"temperature": 0.2}}},
            "system_prompt": {"text": "Be kind\n<b>", "mode": "append"},
            "headers": {"x-team": "{organisation}"}, "client_headers": ["x-trace"],
            "fields": {"store": "drop"},
            "when": [{"models": ["gpt-5*"], "endpoints": ["responses"], "teams": ["acme"],
                      "headers": {"x-tier": "gold"}}],
        },
    )  # fmt: skip


def _rated(w: World) -> None:
    people = w.people
    at = Place("rated", people.acme, people.core, people.alice, w.key)
    around = Installation(people.acme, people.core, w.second, people.stranger, people.dora)
    request = happen(w.key, clock.now()).request_id
    message = parse_id(RATED.make(around, at))
    assert message
    Message.objects.filter(pk=message).update(request_id=request)
    # The second time it has the instant at which the form is sent, too.
    for _ in range(2):
        give_feedback(w.alice, request, Opinion(score=0, comment="Too <b>long</b>.\nAnd wrong."))


def _route(w: World) -> None:
    Route.objects.filter(channel=w.channel).update(
        upstream_model="m-one", priority=-7, weight=9, timeouts={"idle": 33.0}
    )


def _entry(w: World) -> None:
    at = dt.datetime(2031, 2, 3, tzinfo=dt.UTC)
    entries.save_entry(
        w.dora, "m-1", aliases=["fast"], can=dict.fromkeys(CAPABILITIES, False), context_max=7_000,
        output_max=700, deprecated_at=at, sunset_at=at + dt.timedelta(days=40), replacement="m-2",
        forwards=True, plans=["retail"], roles=["admin"],
    )  # fmt: skip


def _rule(w: World) -> None:
    model_rules.save_rule(
        w.dora, "m-*", fallbacks=["m-2"], causes=["content_policy"], pick="ttft",
        charge_rule={"kind": "drain", "seconds": 33, "cost": "0.50"},
        shadow={"channel": "first", "model": "m-1", "percent": 7, "cap": "3.00"},
    )  # fmt: skip


def _announcement(w: World) -> None:
    at = clock.now().replace(second=0, microsecond=0)
    announcements.publish_announcement(
        w.dora, title="Maintenance", text="At night", tone="bad",
        starts_at=at + dt.timedelta(days=1), ends_at=at + dt.timedelta(days=2),
    )  # fmt: skip


def _report(w: World) -> None:
    view = saved_views.save_view(w.alice, "usage", "Mine", "by=team", shared=True)
    scheduled_reports.set_schedule(
        w.alice, view, "month", 17, ZoneInfo("Asia/Tokyo"), [w.people.alice.pk, w.people.bob.pk]
    )


def _end_users_budget(w: World) -> None:
    budget = budget_simulation.create_budget(
        SYSTEM, w.people.acme, scope="end_user", subject="", amount_nano=NANO, period="month"
    )
    budgets.set_own_amount(SYSTEM, budget, "ana@chat", 7 * NANO)


EDITED: Final[Mapping[str, Edited]] = {
    "settings": Edited("/o/acme/settings", False, _organisation),
    "single_sign_on": Edited("/o/acme/settings/sso", False, _single_sign_on),
    "team_edit": Edited(
        "/o/acme/teams/core/edit", False,
        lambda w: _update(w.people.core, name="Core & Co", required_labels=["project"], **CACHING),
    ),
    "project_edit": Edited(
        "/o/acme/projects/bot/edit", False,
        lambda w: _update(w.project, name="The bot", team=w.second),
    ),
    "member_edit": Edited("/o/acme/team/members/{bob}/edit", False, _member),
    "role": Edited("/o/acme/team/roles/{role}", False, lambda w: None),
    "service_account_edit": Edited(
        "/o/acme/service-accounts/{account}/edit", False,
        lambda w: _update(w.account, role=Role.VIEWER, disabled=True),
    ),
    "sign_up_settings": Edited(
        "/admin/people/sign-up", True,
        lambda w: sign_up.save_sign_up(
            w.dora, mode="off", captcha=True,
            domains=[{"domain": "c.example", "organisation": "acme", "role": "viewer"}],
        ),
    ),
    "mail_server": Edited(
        "/admin/settings/mail", True,
        lambda w: mail_server.save_mail_server(
            w.dora, host="mail.example.org", port=2525, encryption="tls", username="weir",
            password="p", sender="weir@example.org",
        ),
    ),
    "webhook_edit": Edited(
        "/o/acme/webhooks/{endpoint}/edit", False,
        lambda w: _update(w.endpoint, name="Ours", kinds=KINDS, language="zh-hans"),
    ),
    "operator_alert_edit": Edited(
        "/admin/alerts/{alert}/edit", True,
        lambda w: endpoints.create_endpoint(
            w.dora, None, "https://ops.example/h", ["channel.troubled"], name="Ops",
            language="zh-hans",
        ),
    ),
    "billing_details": Edited(
        "/o/acme/billing/details", False,
        lambda w: billing_details.set_buyer(
            w.alice, w.people.acme, "Asia/Kolkata", legal_name="Acme Ltd", address="1 Way\nTown",
            country="IN", tax_id="IN 7",
        ),
    ),
    "wallet": Edited("/o/acme/billing/alerts", False, _wallet),
    "organisation_charge_rule": Edited(
        "/admin/organisations/acme/charge-rule", True,
        lambda w: charge_rule_settings.set_charge_rule(
            w.dora, w.people.acme, ChargeRule("drain", 33, NANO // 2)
        ),
    ),
    "safeguards": Edited(
        "/admin/safeguards", True,
        lambda w: safeguards.set_safeguard(w.dora, "credit_limit", 7 * NANO),
    ),
    "trial_credit": Edited(
        "/admin/people/sign-up/trial", True,
        lambda w: trials.save_trial_setting(w.dora, amount="7", once="person", days=17),
    ),
    "limit_organisation": Edited(
        "/o/acme/limits/organisation", False, lambda w: _update(w.people.acme, **LIMITS)
    ),
    "policy": Edited(
        "/o/acme/policies/{policy}", False,
        lambda w: policies.create_policy(
            w.alice, w.people.acme, look_back, name="People & Co",
            rules=[
                GuardRule(
                    name, _GUARD_SETTINGS.get(name, {}), ["tool_call"],
                    "decide" if guard.decides else "flag", f"our_{name}",
                )
                for name, guard in GUARDS.items()
            ],
            assigned=[
                policies.Assigned("organisation"),
                policies.Assigned("team", str(w.people.core.id)),
                policies.Assigned("key", str(w.key.id)),
            ],
            model_patterns=["gpt-*", "o3"], networks=["10.0.0.0/8"], retention_hours=0,
            budgets=[
                PolicyBudget(
                    amount_nano=n * NANO, period=period, anchor=max(0, n - 2),
                    timezone="Asia/Tokyo", action="block" if period == "session" else "slow",
                    alert_percents=(30 + n, 70 + n), alert_forecast=period != "session",
                )
                for n, period in enumerate(reversed(PERIODS), 1)
            ],
        ),
    ),
    "log_rule_edit": Edited(
        "/o/acme/content-log/{log_rule}/edit", False,
        lambda w: log_rules.add_rule(
            w.alice, w.people.acme, scope="model", subject="m-*", keep="errors",
            share_percent=33, retention_hours=7, redact=["card", "telephone"],
            ends_at=dt.datetime(2031, 2, 3, 4, 5, 6, tzinfo=dt.UTC),
        ),
    ),
    "limit": Edited("/o/acme/limits/team/core", False, lambda w: _update(w.people.core, **LIMITS)),
    "budget_edit": Edited(
        "/o/acme/budgets/{budget}/edit", False,
        lambda w: _update(
            w.budget, amount_nano=7 * NANO, action="slow", alert_percents=[33, 77],
            alert_forecast=True, enabled=True,
        ),
    ),
    "end_user": Edited(
        "/o/acme/budgets/{end_users}/end-users/edit?end_user=ana@chat", False, _end_users_budget,
        "/o/acme/budgets/{end_users}/end-users/edit",
    ),
    "view_change": Edited("/o/acme/views/{view}", False, _report),
    "report": Edited("/o/acme/views/{view}/report", False, _report),
    "seller": Edited(
        "/admin/invoices/seller", True,
        lambda w: billing_details.set_seller(
            w.dora, legal_name="Weir Ltd", address="2 Way\nTown", country="DE", tax_id="DE 7"
        ),
    ),
    "key_edit": Edited(
        "/o/acme/keys/{key}/edit", False,
        lambda w: _update(
            w.key, name="CI & co", model_patterns=["m-*", "n-1"], endpoints=["embeddings"],
            networks=["10.0.0.0/8"], tags=["a", "b"], log_content=False, disabled=True,
            required_labels=["project"], **LIMITS, **POLICY, **CACHING, **END_USERS,
        ),
    ),
    "provider_key_edit": Edited(
        "/o/acme/provider-keys/{own_key}/edit", False,
        lambda w: own_keys.change_own_key(
            w.alice,
            own_keys.add_own_key(
                w.alice, w.people.acme, None,
                offers.set_offer(SYSTEM, w.channel, title="Own", everyone=True, fee=OwnKeyFee()),
                name="ours", secret="sk-own-key-secret", fall_back=True,
            ),
            enabled=False,
        ),
    ),
    "channel_edit": Edited("/admin/channels/{channel}/edit", True, _channel),
    "channel_overrides": Edited(
        "/admin/channels/{channel}/overrides", True, _channel
    ),
    "channel_models": Edited("/admin/channels/{channel}/models", True, _route),
    "channel_prices": Edited(
        "/admin/channels/{channel}/prices", True,
        lambda w: upstream_prices.follow_prices(
            w.dora, w.channel, group="vip", markup_ppm=1_250_000
        ),
        "/admin/channels/{channel}/prices/follow",
    ),
    "channel_offer_edit": Edited(
        "/admin/channels/{channel}/own-keys", True,
        lambda w: offers.set_offer(
            w.dora, w.channel, title="Own", everyone=False, organisations=[w.people.acme],
            fee=OwnKeyFee(million_nano=7_000_000),
        ),
    ),
    "plan_edit": Edited(
        "/admin/plans/{plan}/edit", True,
        lambda w: _update(w.plan, multiplier_ppm=1_250_000, model_patterns=["m-*", "n-1"]),
    ),
    "model_admin": Edited(
        "/admin/models/named/m-1", True, _entry, "/admin/models/save/m-1"
    ),
    "model_rule": Edited("/admin/models/rules/{rule}", True, _rule),
    "alias": Edited(
        "/admin/models/aliases/{alias}", True, lambda w: aliases.save_alias(w.dora, "fast", "m-1")
    ),
    "announcement": Edited("/admin/announcements/{announcement}", True, _announcement),
    "installation_settings": Edited(
        "/admin/settings", True,
        lambda w: installation.save_settings(
            w.dora, egress_allow=["10.0.0.0/8", "fd00::/8"], egress_allow_users=["10.1.0.0/16"],
            unpriced_models="free", public_models=False, public_status=True, prefix_sessions=True,
            task_result_days=17,
        ),
        "/admin/settings/save",
    ),
    "backups": Edited(
        "/admin/settings/backups", True,
        lambda w: installation.save_settings(
            w.dora, backup_every_hours=24, backup_hour=17, backup_folder="backups/weir",
            backup_keep=3,
        ),
    ),
    "message_rate": Edited("/o/acme/playground/messages/{message}/rate", False, _rated),
    "chat_rename": Edited(
        "/o/acme/playground/c/{conversation}/_f/name", False,
        lambda w: _update(w.conversation, title="A & B", folder="Work", named_by="person"),
        "/o/acme/playground/c/{conversation}/change",
    ),
}  # fmt: skip
