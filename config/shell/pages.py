"""Every page of the shell: what it is called, who may open it, what explains it, and by which words
it is found. The menu, the palette and the help marks read it here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.roles.rules import Action
from lib.extensions.installed import extend
from playground.media.task_services import MEDIA_SERVICES

Name = str | Promise


# Each stands once. As keys, equal ones would be told by all their texts, translated each time.
@dataclass(frozen=True, eq=False)
class NavigationPage:
    """One page of the shell.

    `address` is its URL name, `action` the required permission, `also` a second one, and `own`
    is true for pages that each organisation has. Pages at the addresses `beside` count as this
    page. With `beyond_own`, the permission must reach beyond the person's own objects. With
    `counted`, the tab shows the number of waiting items if the open page provides it. `help` is
    the section of the manual that explains it: the name of a file of docs, without folder and
    suffix, and a heading's anchor. `words` are other words by which the palette finds it, such
    as names in other products, which are never shown.
    """

    address: str
    name: Name
    action: Action | None = None
    also: Action | None = None
    own: bool = True
    beside: tuple[str, ...] = ()
    beyond_own: bool = False
    counted: bool = False
    help: str = ""
    words: Name = ""


@dataclass(frozen=True)
class Entry:
    """An entry of the menu. It opens the first of its pages that the actor may open; its pages are
    the tabs. `go` is the letter that opens the entry after G."""

    icon: str
    name: Name
    pages: tuple[NavigationPage, ...]
    go: str = ""


Sections = tuple[tuple[Name, tuple[Entry, ...]], ...]
_Common = partial(NavigationPage, own=False)


def _entry(icon: str, page: NavigationPage, go: str = "") -> Entry:
    return Entry(icon, page.name, (page,), go)


HOME: Final = NavigationPage(
    "home",
    _("Home"),
    "models.read",
    help="usage",
    words=pgettext_lazy("search words", "dashboard overview start"),
)
_PLAYGROUND: Final = _entry(
    "message-square",
    NavigationPage(
        "playground",
        _("Playground"),
        "playground.read",
        beside=("prompts", "compare", "history", "playground_preferences"),
        help="playground",
        words=pgettext_lazy("search words", "chat ask talk new conversation"),
    ),
    "P",
)
CATALOGUE: Final = _Common(
    "models",
    _("Models"),
    help="models#lists",
    words=pgettext_lazy("search words", "llm catalogue compare capabilities context"),
)
_LIST_PRICES: Final = _Common(
    "pricing",
    pgettext_lazy("tab", "List prices"),
    help="prices",
    words=pgettext_lazy("search words", "cost rates price list"),
)
_STATUS: Final = _Common(
    "status",
    _("Status"),
    help="channels#health",
    words=pgettext_lazy("search words", "uptime outage incident down"),
)
OVERVIEW: Final = _Common(
    "installation",
    _("Overview"),
    "channels.read",
    help="watch",
)
_CHANNELS: Final = _Common(
    "channels",
    _("Channels"),
    "channels.read",
    help="channels",
    words=pgettext_lazy("search words", "channels provider upstream connection"),
)
_DOCS: Final = Entry("book-open", _("API reference"), (
    _Common(
        "docs", _("API reference"),
        words=pgettext_lazy("search words", "documentation openapi sdk help endpoints"),
    ),
    _Common("manual", _("Manual")),
))  # fmt: skip

ORGANISATION: Final[Sections] = (
    ("", (
        _entry("house", HOME, "H"),
        _PLAYGROUND,
        Entry("image", _("Images, sound, video"), (
            NavigationPage(
                "images", _("Images, sound, video"), "playground.read",
                beside=("speech", "transcription", "video",
                        *(service.page for service in MEDIA_SERVICES.values()),
                        "realtime", "embeddings", "gallery"),
                help="playground-media",
                words=pgettext_lazy(
                    "search words", "picture draw generate image media speech video music"
                ),
            ),
        )),
    )),
    (_("Build"), (
        Entry("layers", _("Models"), (
            CATALOGUE,
            NavigationPage(
                "organisation_prices", _("Your prices"), "models.read",
                help="prices",
                words=pgettext_lazy("search words", "cost rates what do we pay"),
            ),
            _LIST_PRICES,
            _STATUS,
        ), "M"),
        Entry("key-round", _("API keys"), (
            NavigationPage(
                "keys", _("Keys"), "keys.read",
                help="keys",
                words=pgettext_lazy(
                    "search words", "api keys tokens secrets disable revoke rotate"
                ),
            ),
            NavigationPage(
                "connect", _("Connect an agent"), "keys.write_own",
                help="agents",
                words=pgettext_lazy(
                    "search words",
                    "claude code codex gemini cli opencode cursor cline aider open webui set up",
                ),
            ),
            NavigationPage(
                "service_accounts", _("Service accounts"), "keys.write", "keys.read",
                help="keys#types",
                words=pgettext_lazy("search words", "bot machine robot app"),
            ),
            NavigationPage(
                "provider_keys", _("Provider keys"), "keys.write",
                help="own-keys#for-organisations-add-a-key",
            ),
        ), "K"),
        _DOCS,
    )),
    (_("Monitor"), (
        _entry(
            "chart-column",
            NavigationPage(
                "usage", _("Usage"), "usage.read", beside=("exports", "sessions", "feedback"),
                help="usage#usage-by-groups",
                words=pgettext_lazy("search words", "spend cost dashboard analytics tokens charts"),
            ),
            "U",
        ),
        Entry("list", _("Requests"), (
            NavigationPage(
                "requests", _("Requests"), "requests.read", "usage.read",
                help="usage#what-is-recorded-for-a-request",
                words=pgettext_lazy("search words", "logs calls history errors"),
            ),
            NavigationPage(
                "content_search", _("Search contents"), "content.read",
                help="content-log#search",
                words=pgettext_lazy("search words", "prompts answers texts content log grep"),
            ),
        ), "R"),
    )),
    (_("Manage"), (
        Entry("users", _("Members"), (
            NavigationPage(
                "members", _("Members"), "members.read",
                help="members",
                words=pgettext_lazy("search words", "people users colleagues"),
            ),
            NavigationPage(
                "invitations", _("Invitations"), "members.read", beyond_own=True,
                help="members#invite",
                words=pgettext_lazy("search words", "invite pending link"),
            ),
            NavigationPage(
                "roles", _("Roles"), "members.read", beyond_own=True,
                help="members#roles",
                words=pgettext_lazy("search words", "permissions rbac rights"),
            ),
        )),
        _entry("layers", NavigationPage(
            "teams", _("Teams"), "teams.read",
            help="members#teams",
            words=pgettext_lazy("search words", "groups departments"),
        )),
        Entry("shield", _("Budgets"), (
            NavigationPage(
                "budgets", _("Budgets"), "budgets.read", "keys.read",
                help="budgets",
                words=pgettext_lazy("search words", "spending limit cap money"),
            ),
            NavigationPage(
                "raises", _("Increase requests"), "budgets.ask", "keys.read", counted=True,
                help="budgets#an-increase",
                words=pgettext_lazy("search words", "raise budget approve more"),
            ),
            NavigationPage(
                "limits", _("Limits"), "budgets.write",
                help="budgets#limits",
                words=pgettext_lazy("search words", "rate limit rpm tpm concurrency throttle"),
            ),
        )),
        Entry("wallet", _("Billing"), (
            NavigationPage(
                "billing", _("Overview"), "balance.read",
                help="billing",
                words=pgettext_lazy("search words", "balance wallet credit money"),
            ),
            NavigationPage(
                "invoices", _("Invoices"), "balance.read",
                help="invoices",
                words=pgettext_lazy("search words", "bill pdf receipt download"),
            ),
            NavigationPage(
                "statements", _("Statements"), "balance.read",
                help="invoices#statements",
                words=pgettext_lazy("search words", "month account ledger"),
            ),
            NavigationPage(
                "subscription", pgettext_lazy("subscription", "Plan"), "balance.read",
                help="subscription-plans",
                words=pgettext_lazy("search words", "subscribe upgrade"),
            ),
            NavigationPage(
                "top_ups", _("Top-ups"), "topups.read",
                help="billing#top-up",
                words=pgettext_lazy("search words", "payments paid receipts"),
            ),
            NavigationPage(
                "redeem", _("Redeem"), "codes.redeem",
                help="billing#redemption-codes",
                words=pgettext_lazy("search words", "code voucher coupon promo gift"),
            ),
            NavigationPage(
                "wallet", _("Alerts"), "wallet.write",
                help="alerts",
                words=pgettext_lazy("search words", "low balance warning email notify"),
            ),
        ), "B"),
        Entry("wrench", _("Settings"), (
            NavigationPage(
                "settings", _("General"), "organisation.write",
                help="configuration",
                words=pgettext_lazy("search words", "organisation name retention privacy"),
            ),
            NavigationPage(
                "single_sign_on", _("Single sign-on"), "sign_in.write",
                help="single-sign-on",
                words=pgettext_lazy(
                    "search words", "sso oidc openid saml identity okta entra google"
                ),
            ),
            NavigationPage(
                "log_rules", _("Content log"), "organisation.write",
                help="content-log",
                words=pgettext_lazy(
                    "search words", "prompts answers texts log keep store retention record"
                ),
            ),
            NavigationPage(
                "policies", _("Policies"), "organisation.write",
                help="guards",
                words=pgettext_lazy(
                    "search words", "guards guardrails mask redact pii secrets refuse block filter"
                ),
            ),
            NavigationPage(
                "webhooks", _("Webhooks"), "webhooks.read",
                help="events",
                words=pgettext_lazy("search words", "hooks callback events slack notify"),
            ),
            NavigationPage(
                "audit", _("Audit log"), "audit.read",
                help="secure",
                words=pgettext_lazy("search words", "history trail who changed log"),
            ),
        )),
    )),
)  # fmt: skip
NO_ORGANISATION: Final[Sections] = (
    ("", (
        _entry("layers", CATALOGUE, "M"),
        _entry("receipt", _LIST_PRICES),
        _entry("circle-check", _STATUS),
        _DOCS,
    )),
)  # fmt: skip
INSTALLATION: Final[Sections] = (
    ("", (
        _entry("house", OVERVIEW, "H"),
        _entry("inbox", _Common(
            "approvals", _("Waiting for you"), "credits.read",
            help="approvals",
            words=pgettext_lazy("search words", "inbox approve second operator two persons"),
        )),
        _entry("cable", _CHANNELS, "C"),
        Entry("box", _("Model catalogue"), (
            _Common(
                "models_admin", _("Models and routes"), "channels.read",
                help="models",
                words=pgettext_lazy("search words", "public models routing routes aliases"),
            ),
            _Common(
                "model_rules", _("Rules and fallbacks"), "channels.read",
                help="routing#rules",
                words=pgettext_lazy(
                    "search words", "fallback fail-over failover alias rename redirect"
                ),
            ),
            _Common(
                "route_preview", _("Route preview"), "channels.read",
                help="routing#preview",
                words=pgettext_lazy("search words", "test route which channel simulate debug"),
            ),
            _Common(
                "shadow_traffic", _("Shadow traffic"), "channels.read",
                help="routing#shadow-traffic",
                words=pgettext_lazy("search words", "mirror copy compare"),
            ),
            _Common(
                "catalogue", _("Catalogue update"), "prices.write", counted=True,
                help="channels#changes-of-a-providers-models",
                words=pgettext_lazy("search words", "new models update genai-prices"),
            ),
        ), "M"),
        Entry("receipt", _("Price book"), (
            _Common(
                "prices", _("Price book"), "models.read",
                help="prices",
                words=pgettext_lazy("search words", "cost rates price list"),
            ),
            _Common(
                "price_proposals", _("Drafts and proposals"), "models.read", counted=True,
                help="prices#prices-that-a-provider-publishes",
                words=pgettext_lazy("search words", "draft changes review"),
            ),
            _Common(
                "price_plans", _("Price plans"), "models.read",
                help="prices#plans",
                words=pgettext_lazy("search words", "multiplier discount tier margin"),
            ),
        ), "P"),
    )),
    (_("Customers"), (
        Entry("building-2", _("Organisations"), (
            _Common(
                "organisations", _("Organisations"), "organisations.read",
                help="configuration",
                words=pgettext_lazy("search words", "customers tenants companies suspend"),
            ),
            _Common(
                "subscription_plans", _("Subscription plans"), "credits.read",
                help="subscription-plans#for-operators",
                words=pgettext_lazy("search words", "plans offers packages monthly"),
            ),
        ), "O"),
        Entry("users", _("People"), (
            _Common(
                "people", _("People"), "organisations.read",
                help="secure#erasing-a-person",
                words=pgettext_lazy("search words", "users accounts erase operators"),
            ),
            _Common(
                "sign_up_settings", _("Sign-up"), "organisations.write",
                help="secure#signing-in",
                words=pgettext_lazy("search words", "registration register signup open"),
            ),
            _Common(
                "trial_credit", _("Trial credit"), "credits.write",
                help="configuration",
                words=pgettext_lazy("search words", "free welcome promo new organisation"),
            ),
        )),
        Entry("credit-card", _("Payments"), (
            _Common(
                "payments", _("Payments"), "credits.read",
                help="configure#payments-by-card",
                words=pgettext_lazy("search words", "top-ups stripe bank transfer"),
            ),
            _Common(
                "credits", _("Corrections"), "credits.read",
                help="billing#corrections",
                words=pgettext_lazy("search words", "add credit adjust refund balance grant"),
            ),
            _Common(
                "codes", _("Redemption codes"), "codes.read",
                help="billing#redemption-codes",
                words=pgettext_lazy("search words", "vouchers coupons promo gift"),
            ),
            _Common(
                "reviews", _("Reviews"), "credits.read",
                help="prices#unknown-usage",
                words=pgettext_lazy("search words", "unknown usage unclear charge"),
            ),
        ), "B"),
        Entry("book-open", _("Accounting"), (
            _Common(
                "documents", _("Invoices"), "credits.read",
                help="invoices#closing-a-month",
                words=pgettext_lazy("search words", "close month bill"),
            ),
            _Common(
                "margin", _("Margin"), "credits.read",
                help="invoices#margin",
                words=pgettext_lazy("search words", "profit revenue cost"),
            ),
            _Common(
                "bills", _("Reconciliation"), "credits.read",
                help="invoices#reconciliation-with-a-providers-bill",
                words=pgettext_lazy("search words", "reconcile provider invoice statement"),
            ),
            _Common(
                "exchange_rates", _("Exchange rates"), "credits.write",
                help="invoices#amounts-in-another-currency",
                words=pgettext_lazy("search words", "currency euro eur cny fx convert"),
            ),
            _Common(
                "seller", _("Seller and taxes"), "credits.write",
                help="invoices#seller-taxes",
                words=pgettext_lazy("search words", "vat tax company address"),
            ),
        )),
    )),
    (_("Monitor"), (
        Entry("send", _("Alerts"), (
            _Common(
                "operator_alerts", _("Operator alerts"), "channels.read",
                help="alerts#operators",
                words=pgettext_lazy("search words", "notification pager email chat slack"),
            ),
            _Common(
                "announcements", _("Announcements"), "channels.read",
                help="alerts",
                words=pgettext_lazy("search words", "banner notice incident maintenance"),
            ),
        )),
        _entry("history", _Common(
            "all_audit", _("Audit log"), "audit.read",
            help="secure",
            words=pgettext_lazy("search words", "history trail who changed log audit"),
        )),
        Entry("zap", _("System"), (
            _Common(
                "health", _("System health"), "channels.read",
                help="watch",
                words=pgettext_lazy("search words", "jobs workers queue version backup status"),
            ),
            _Common(
                "findings", _("Ledger findings"), "channels.read",
                help="watch#checking-the-ledger",
                words=pgettext_lazy("search words", "ledger check wrong books errors"),
            ),
            _Common(
                "installation_settings", _("Settings"), "channels.write",
                help="configure",
                words=pgettext_lazy("search words", "configuration egress networks environment"),
            ),
            _Common(
                "mail_server", _("Mail server"), "channels.write",
                help="configure#mail-server",
                words=pgettext_lazy("search words", "email smtp sender test"),
            ),
            _Common(
                "backups", _("Backups"), "channels.write",
                help="back-up#by-schedule",
                words=pgettext_lazy("search words", "backup schedule restore copy"),
            ),
            _Common(
                "safeguards", _("Safeguards"), "credits.write",
                help="secure#safeguards",
                words=pgettext_lazy("search words", "credit limit audit retention two persons"),
            ),
        ), "S"),
    )),
)  # fmt: skip

APART: Final = (
    Entry("message-square", _("Playground"), (
        NavigationPage(
            "compare", _("Compare"), "playground.use", "playground.read",
            help="playground",
            words=pgettext_lazy("search words", "models side by side arena"),
        ),
        NavigationPage(
            "history", _("All chats"), "playground.read",
            help="playground",
            words=pgettext_lazy("search words", "history old conversations"),
        ),
        NavigationPage(
            "prompts", _("Prompts"), "prompts.read",
            help="playground",
            words=pgettext_lazy("search words", "templates saved"),
        ),
        NavigationPage(
            "embeddings", pgettext_lazy("page", "Embeddings"), "playground.read",
            help="playground-media",
            words=pgettext_lazy("search words", "vectors"),
        ),
        NavigationPage(
            "speech", _("Speech"), "playground.read",
            help="playground-media",
            words=pgettext_lazy("search words", "voice text to speech tts audio"),
        ),
        NavigationPage(
            "transcription", _("Transcription"), "playground.read",
            help="playground-media",
            words=pgettext_lazy(
                "search words", "transcribe speech to text stt whisper audio dictation"
            ),
        ),
        NavigationPage(
            "video", _("Video"), "playground.read",
            help="videos",
            words=pgettext_lazy("search words", "film clip sora veo"),
        ),
        *(
            NavigationPage(
                service.page, service.title, "playground.read",
                help=service.help,
                words=service.search_words,
            )
            for service in MEDIA_SERVICES.values()
        ),
        NavigationPage(
            "realtime", _("Realtime"), "playground.read",
            help="realtime#in-a-browser",
            words=pgettext_lazy("search words", "voice talk live"),
        ),
        NavigationPage(
            "gallery", _("Gallery"), "playground.read",
            help="playground-media",
            words=pgettext_lazy("search words", "pictures media files"),
        ),
        NavigationPage(
            "playground_preferences", _("Playground settings"), "playground.use", "keys.read",
            help="playground",
            words=pgettext_lazy("search words", "shortcuts preferences"),
        ),
    )),
    Entry("chart-column", _("Usage"), (
        NavigationPage(
            "explore", _("Explore"), "usage.read",
            help="usage#usage-by-groups",
            words=pgettext_lazy("search words", "pivot group by breakdown"),
        ),
        NavigationPage(
            "sessions", _("Sessions"), "requests.read",
            help="usage#sessions",
        ),
        NavigationPage(
            "feedback", _("Feedback"), "requests.read",
            help="usage#feedback",
            words=pgettext_lazy("search words", "score rating thumbs comments quality"),
        ),
        NavigationPage(
            "exports", _("Exports"), "requests.read",
            help="usage#exports",
            words=pgettext_lazy("search words", "download csv excel parquet focus file"),
        ),
    )),
    Entry("wallet", _("Billing"), (
        NavigationPage(
            "holds", _("Reserved now"), "balance.read",
            help="usage#live",
            words=pgettext_lazy("search words", "holds held running"),
        ),
        NavigationPage(
            "billing_details", _("Billing details"), "wallet.write",
            help="invoices#lines-of-an-invoice",
            words=pgettext_lazy(
                "search words", "company address vat tax id number invoice country"
            ),
        ),
    )),
    Entry("lock", _("Account"), (
        _Common(
            "mfa_index", _("Account and security"),
            help="members#two-factor-authentication",
            words=pgettext_lazy(
                "search words",
                "two-factor authentication 2fa mfa totp passkey recovery codes profile",
            ),
        ),
        _Common(
            "account_change_password", _("Change password"),
            help="secure#signing-in",
            words=pgettext_lazy("search words", "reset new"),
        ),
        _Common(
            "usersessions_list", _("Sign-ins"),
            help="secure#signing-in",
            words=pgettext_lazy("search words", "sessions devices sign out everywhere"),
        ),
        _Common(
            "own_data", _("Your data"),
            help="data",
            words=pgettext_lazy("search words", "download delete account erase gdpr privacy"),
        ),
    )),
    Entry("plus", _("Actions"), (
        NavigationPage(
            "start", _("Make your first request"), "models.read",
            help="agents",
            words=pgettext_lazy("search words", "get started quickstart guide curl set up"),
        ),
        NavigationPage(
            "key_create", _("Create key"), "keys.write_own",
            help="keys#what-a-key-may-do",
            words=pgettext_lazy("search words", "new add make generate api token secret"),
        ),
        NavigationPage(
            "invite", _("Invite a member"), "members.write",
            help="members#invite",
            words=pgettext_lazy("search words", "new add invitation colleague user person people"),
        ),
        NavigationPage(
            "team_create", _("Create team"), "teams.write",
            help="members#teams",
            words=pgettext_lazy("search words", "new add make group department"),
        ),
        NavigationPage(
            "budget_create", _("Create budget"), "budgets.write",
            help="budgets#a-budget",
            words=pgettext_lazy("search words", "new add set spending limit cap"),
        ),
        NavigationPage(
            "policy_create", _("Create policy"), "organisation.write", "keys.read",
            help="guards",
            words=pgettext_lazy("search words", "new add guard guardrail mask pii"),
        ),
        NavigationPage(
            "top_up_new", _("Top up"), "topups.write",
            help="billing#top-up",
            words=pgettext_lazy("search words", "top up add money pay card buy credit"),
        ),
        NavigationPage(
            "role_create", _("Create role"), "roles.write",
            help="members#roles",
            words=pgettext_lazy("search words", "new add custom permissions"),
        ),
        _Common(
            "channel_new", _("Add channel"), "channels.write",
            help="channels#providers",
            words=pgettext_lazy("search words", "new create connect provider upstream"),
        ),
        _Common(
            "price_new", _("Set a price"), "prices.write",
            help="prices",
            words=pgettext_lazy("search words", "new add create rate"),
        ),
        _Common(
            "organisation_create", _("New organisation"), "organisations.write",
            help="configuration",
            words=pgettext_lazy("search words", "new create customer tenant"),
        ),
        _Common(
            "bill_new", _("Reconcile a provider bill"), "credits.write",
            help="invoices#reconciliation-with-a-providers-bill",
            words=pgettext_lazy("search words", "new add import upload invoice"),
        ),
        _Common(
            "view_as", _("View an organisation"), "view_as.begin",
            help="secure#signing-in",
            words=pgettext_lazy("search words", "impersonate user support"),
        ),
    )),
)  # fmt: skip

# The tabs of extensions, by (the URL name of an entry's first page, their own).
_ADDED: Final[dict[tuple[str, str], NavigationPage]] = {}
extend(
    _ADDED,
    "pages",
    NavigationPage,
    lambda tabs: {(first, page.address): page for first, pages in tabs.items() for page in pages},
)


def pages_of(entry: Entry) -> list[NavigationPage]:
    """Return the tabs of an entry, including those of extensions."""
    first = entry.pages[0].address
    return [*entry.pages, *(page for (at, _), page in _ADDED.items() if at == first)]


def all_pages() -> Iterator[NavigationPage]:
    """Yield every page, some of them more than once."""
    for sections in (ORGANISATION, NO_ORGANISATION, INSTALLATION):
        for _heading, entries in sections:
            for entry in entries:
                yield from pages_of(entry)
    for entry in APART:
        yield from entry.pages
