"""Other words by which the palette finds a page, such as names in other products, which are never
shown; and actions that are found by their own names."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from playground.media.task_services import MEDIA_SERVICES

WORDS: Final[Mapping[str, Promise]] = {
    "models": pgettext_lazy("search words", "llm catalogue compare capabilities context"),
    "status": pgettext_lazy("search words", "uptime outage incident down"),
    "channels": pgettext_lazy("search words", "channels provider upstream connection"),
    "docs": pgettext_lazy("search words", "documentation openapi sdk help endpoints"),
    "images": pgettext_lazy("search words", "picture draw generate image media speech video music"),
    "organisation_prices": pgettext_lazy("search words", "cost rates what do we pay"),
    "connect": pgettext_lazy(
        "search words", "claude code codex gemini cli opencode cursor cline aider open webui set up"
    ),
    "keys": pgettext_lazy("search words", "api keys tokens secrets disable revoke rotate"),
    "service_accounts": pgettext_lazy("search words", "bot machine robot app"),
    "usage": pgettext_lazy("search words", "spend cost dashboard analytics tokens charts"),
    "requests": pgettext_lazy("search words", "logs calls history errors"),
    "members": pgettext_lazy("search words", "people users colleagues"),
    "invitations": pgettext_lazy("search words", "invite pending link"),
    "roles": pgettext_lazy("search words", "permissions rbac rights"),
    "teams": pgettext_lazy("search words", "groups departments"),
    "budgets": pgettext_lazy("search words", "spending limit cap money"),
    "raises": pgettext_lazy("search words", "raise budget approve more"),
    "limits": pgettext_lazy("search words", "rate limit rpm tpm concurrency throttle"),
    "billing": pgettext_lazy("search words", "balance wallet credit money"),
    "invoices": pgettext_lazy("search words", "bill pdf receipt download"),
    "statements": pgettext_lazy("search words", "month account ledger"),
    "subscription": pgettext_lazy("search words", "subscribe upgrade"),
    "top_ups": pgettext_lazy("search words", "payments paid receipts"),
    "top_up_new": pgettext_lazy("search words", "top up add money pay card buy credit"),
    "redeem": pgettext_lazy("search words", "code voucher coupon promo gift"),
    "wallet": pgettext_lazy("search words", "low balance warning email notify"),
    "settings": pgettext_lazy("search words", "organisation name retention privacy"),
    "single_sign_on": pgettext_lazy(
        "search words", "sso oidc openid saml identity okta entra google"
    ),
    "webhooks": pgettext_lazy("search words", "hooks callback events slack notify"),
    "audit": pgettext_lazy("search words", "history trail who changed log"),
    "models_admin": pgettext_lazy("search words", "public models routing routes aliases"),
    "model_rules": pgettext_lazy(
        "search words", "fallback fail-over failover alias rename redirect"
    ),
    "route_preview": pgettext_lazy("search words", "test route which channel simulate debug"),
    "shadow_traffic": pgettext_lazy("search words", "mirror copy compare"),
    "catalogue": pgettext_lazy("search words", "new models update genai-prices"),
    "prices": pgettext_lazy("search words", "cost rates price list"),
    "price_proposals": pgettext_lazy("search words", "draft changes review"),
    "price_plans": pgettext_lazy("search words", "multiplier discount tier margin"),
    "organisations": pgettext_lazy("search words", "customers tenants companies suspend"),
    "subscription_plans": pgettext_lazy("search words", "plans offers packages monthly"),
    "people": pgettext_lazy("search words", "users accounts erase operators"),
    "sign_up_settings": pgettext_lazy("search words", "registration register signup open"),
    "trial_credit": pgettext_lazy("search words", "free welcome promo new organisation"),
    "payments": pgettext_lazy("search words", "top-ups stripe bank transfer"),
    "approvals": pgettext_lazy("search words", "inbox approve second operator two persons"),
    "credits": pgettext_lazy("search words", "add credit adjust refund balance grant"),
    "codes": pgettext_lazy("search words", "vouchers coupons promo gift"),
    "reviews": pgettext_lazy("search words", "unknown usage unclear charge"),
    "documents": pgettext_lazy("search words", "close month bill"),
    "margin": pgettext_lazy("search words", "profit revenue cost"),
    "bills": pgettext_lazy("search words", "reconcile provider invoice statement"),
    "exchange_rates": pgettext_lazy("search words", "currency euro eur cny fx convert"),
    "seller": pgettext_lazy("search words", "vat tax company address"),
    "operator_alerts": pgettext_lazy("search words", "notification pager email chat slack"),
    "announcements": pgettext_lazy("search words", "banner notice incident maintenance"),
    "all_audit": pgettext_lazy("search words", "history trail who changed log audit"),
    "health": pgettext_lazy("search words", "jobs workers queue version backup status"),
    "findings": pgettext_lazy("search words", "ledger check wrong books errors"),
    "backups": pgettext_lazy("search words", "backup schedule restore copy"),
    "safeguards": pgettext_lazy("search words", "credit limit audit retention two persons"),
    "mail_server": pgettext_lazy("search words", "email smtp sender test"),
    "installation_settings": pgettext_lazy(
        "search words", "configuration egress networks environment"
    ),
    "compare": pgettext_lazy("search words", "models side by side arena"),
    "history": pgettext_lazy("search words", "history old conversations"),
    "prompts": pgettext_lazy("search words", "templates saved"),
    "embeddings": pgettext_lazy("search words", "vectors"),
    "speech": pgettext_lazy("search words", "voice text to speech tts audio"),
    "transcription": pgettext_lazy(
        "search words", "transcribe speech to text stt whisper audio dictation"
    ),
    "video": pgettext_lazy("search words", "film clip sora veo"),
    **{service.page: service.search_words for service in MEDIA_SERVICES.values()},
    "realtime": pgettext_lazy("search words", "voice talk live"),
    "gallery": pgettext_lazy("search words", "pictures media files"),
    "playground_preferences": pgettext_lazy("search words", "shortcuts preferences"),
    "explore": pgettext_lazy("search words", "pivot group by breakdown"),
    "exports": pgettext_lazy("search words", "download csv excel parquet focus file"),
    "holds": pgettext_lazy("search words", "holds held running"),
    "billing_details": pgettext_lazy(
        "search words", "company address vat tax id number invoice country"
    ),
    "mfa_index": pgettext_lazy(
        "search words", "two-factor authentication 2fa mfa totp passkey recovery codes profile"
    ),
    "account_change_password": pgettext_lazy("search words", "reset new"),
    "usersessions_list": pgettext_lazy("search words", "sessions devices sign out everywhere"),
    "own_data": pgettext_lazy("search words", "download delete account erase gdpr privacy"),
    "start": pgettext_lazy("search words", "get started quickstart guide curl set up"),
    "key_create": pgettext_lazy("search words", "new add make generate api token secret"),
    "invite": pgettext_lazy("search words", "new add invitation colleague user person people"),
    "team_create": pgettext_lazy("search words", "new add make group department"),
    "budget_create": pgettext_lazy("search words", "new add set spending limit cap"),
    "role_create": pgettext_lazy("search words", "new add custom permissions"),
    "channel_new": pgettext_lazy("search words", "new create connect provider upstream"),
    "price_new": pgettext_lazy("search words", "new add create rate"),
    "organisation_create": pgettext_lazy("search words", "new create customer tenant"),
    "bill_new": pgettext_lazy("search words", "new add import upload invoice"),
    "view_as": pgettext_lazy("search words", "impersonate user support"),
    "playground": pgettext_lazy("search words", "chat ask talk new conversation"),
    "pricing": pgettext_lazy("search words", "cost rates price list"),
    "home": pgettext_lazy("search words", "dashboard overview start"),
}
"""By the page's URL name."""


class PaletteAction(NamedTuple):
    """Something to do on a page: its name, the page's URL name, other words, and the query with
    which the page opens. Without a page of the shell of that name, it is not offered."""

    name: Any
    address: str
    words: Any
    query: str = ""


ACTIONS: Final = (
    PaletteAction(
        _("Disable a key…"), "keys", pgettext_lazy("search words", "disable block switch off key")
    ),
    PaletteAction(
        _("Rotate a key…"), "keys", pgettext_lazy("search words", "rotate renew replace key secret")
    ),
    PaletteAction(
        _("Revoke a key…"), "keys", pgettext_lazy("search words", "revoke delete remove key")
    ),
    PaletteAction(
        _("Spending by person"),
        "explore",
        pgettext_lazy("search words", "who spent the most top spenders users people cost"),
        "?group_by=user",
    ),
    PaletteAction(
        _("Refund a charge"), "credits", pgettext_lazy("search words", "refund give money back")
    ),
    PaletteAction(
        _("Move requests to another model"),
        "model_rules",
        pgettext_lazy("search words", "move request redirect replace another model"),
    ),
    PaletteAction(
        _("Make someone a team lead"),
        "teams",
        pgettext_lazy("search words", "team lead leader manager"),
    ),
    PaletteAction(
        _("Archive organisation"),
        "settings",
        pgettext_lazy("search words", "delete remove close organisation organization"),
        "#archive",
    ),
)
