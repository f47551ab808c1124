"""The meaning of the columns of New API's and One API's tables (New API to October 2026, One API
0.6.11)."""

from collections.abc import Mapping
from typing import Final

from extensions.import_hubs.columns import Reasons, TableColumns

_TIMES: Final = ("created_time", "accessed_time", "created_at", "updated_at", "last_login_at")

COLUMNS: Final[Mapping[str, TableColumns]] = {
    "users": TableColumns(
        imported={
            "the organisation and its owner": ("id", "username", "display_name", "email"),
            "suspended": ("status",),
            "left out": ("deleted_at",),
            "balance": ("quota",),
            "plan": ("group",),
            "nobody is an operator here by it": ("role",),
            "listed as money that is left behind": ("aff_quota",),
        },
        unused={
            "people choose a password here, and connect accounts anew": (
                *("password", "github_id", "discord_id", "oidc_id", "wechat_id", "telegram_id"),
                *("lark_id", "linux_do_id", "auth_version"),
            ),
            "a key of the program's own API, which is not opened here": ("access_token",),
            "figures of the past": ("used_quota", "request_count", "aff_count", "aff_history"),
            "who invited whom": ("aff_code", "inviter_id", "invite_rebate_eligible"),
            "notices and looks": ("setting", "remark", *_TIMES),
            "the customer at a payment processor": ("stripe_customer",),
        },
    ),
    "tokens": TableColumns(
        imported={
            "the key": ("id", "user_id", "key", "name"),
            "disabled": ("status",),
            "left out": ("deleted_at",),
            "when it ends": ("expired_time",),
            "budget": ("remain_quota", "unlimited_quota"),
            "its models": ("models", "model_limits", "model_limits_enabled"),
            "where it may be used from": ("subnet", "allow_ips"),
            "a team on that plan": ("group",),
        },
        unused={
            "figures of the past": ("used_quota", *_TIMES),
            "a request stays in the group of its key": ("cross_group_retry",),
        },
    ),
    "channels": TableColumns(
        imported={
            "the channel": ("id", "type", "name", "base_url", "key", "channel_info"),
            "turned off": ("status",),
            "models": ("models", "model_mapping"),
            "whom it serves": ("group",),
            "order": ("weight", "priority"),
            "the version of Azure's API, and the region of a cloud": ("config", "other"),
            "how names of Azure's deployments are written": ("created_time",),
        },
        closes={
            "changes requests or answers": (
                *("param_override", "header_override", "status_code_mapping", "setting"),
                *("settings", "openai_organization", "open_ai_organization", "system_prompt"),
            ),
        },
        unused={
            "figures and remarks": (
                *("test_time", "test_model", "response_time", "balance", "used_quota"),
                *("balance_updated_time", "other_info", "remark", "tag"),
            ),
            "channels are tested and rested by themselves": ("auto_ban",),
        },
    ),
    "redemptions": TableColumns(
        imported={
            "the code": ("id", "key", "name", "quota"),
            "left out": ("status", "deleted_at"),
            "when it ends": ("expired_time",),
        },
        unused={
            "who made and used it": ("user_id", "created_time", "redeemed_time", "used_user_id")
        },
    ),
    "user_subscriptions": TableColumns(
        imported={"listed as money that is left behind": ("*",)},
    ),
    "options": TableColumns(imported={"see the table of options": ("key", "value")}),
}

OTHER_TABLES: Final[Reasons] = {
    "usage and figures of the past": (
        *("logs", "quota_data", "quota_data_*", "perf_metrics", "midjourneys", "tasks"),
        *("subscription_pre_consume_records", "checkins"),
    ),
    "follows from the channels": ("abilities", "models", "vendors", "prefill_groups"),
    "money: orders; look at those that are paid and not yet credited": (
        *("top_ups", "subscription_orders"),
    ),
    "money: rebates for invitations": ("invite_rebates",),
    "what can be bought: make it anew at Subscription plans": (
        *("subscription_plans", "subscription_plan_items"),
    ),
    "second factors and ways to sign in: people set them up anew": (
        *("two_fas", "two_fa_backup_codes", "passkey_credentials", "user_sessions"),
        *("auth_flows", "external_identity_claims", "custom_oauth_providers"),
        "user_oauth_bindings",
    ),
    "who may do what in the program itself: nobody is an operator here by it": (
        *("casbin_rule", "casbin_rules", "authz_roles"),
    ),
    "state of the program itself": (
        *("setups", "system_instances", "system_tasks", "system_task_locks"),
    ),
}
