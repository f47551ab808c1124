"""What each route and each operation needs: one line for each, which the matrix compares with what
it answers to everybody. A route without a line fails the build.

`at(action)` is a page that needs the action; `at(action, KIND)` one of an object, whose kind says
who sees it (`world.py`). The rest is for what is out of the ordinary, see `Route`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from accounts.rules.roles import Action
from tests.isolation.who import Guard
from tests.isolation.world import (
    ANNOUNCEMENT,
    ANY_AUDIT_EVENT,
    AUDIT_EVENT,
    BATCH,
    BUDGET,
    CHANNEL_KEY,
    CHANNEL_ROW,
    CHAT,
    CODE_BATCH,
    CREDIT,
    CUSTOM_ROLE,
    DELETED_CHAT,
    DELIVERY,
    FILE,
    INVITATION,
    KEY,
    LIMIT,
    LINKED_BUDGET,
    MEDIUM,
    MEMBER,
    MESSAGE,
    ORGANISATION,
    PASSKEY,
    PAYMENT,
    PERSON,
    PLAN,
    POSTING,
    PRESET,
    PREVIEW,
    PRICE,
    PROJECT,
    PROMPT,
    PROPOSAL,
    QUESTION,
    RAISE,
    REMOVED_BUDGET,
    REQUEST,
    REVIEW,
    RUN,
    SERVICE_ACCOUNT,
    SESSION,
    SHARE,
    TEAM,
    TOP_UP,
    VERSION,
    WEBHOOK,
    Kind,
)

Status = Literal[401, 403, 404]


@dataclass(frozen=True)
class Route:
    """What a route needs, and what has to be sent for it to be reached.

    - `guard`: the action that is asked for at the door
    - `kind`: what its address names, or its body (`in_body`)
    - `write`: one of these must reach the object besides
    - `also`: is needed besides, and `post` by the form alone
    - `first`: is asked for before the object is looked at, of everybody but whose it is
    - `others`: nobody does it to themselves; `oneself`: everybody does it to themselves
    - `all_teams`: what a member is told who is limited to teams
    - `operators`: what an operator's session is told, which stands in no organisation in the API
    - `while_viewing`: it is for who views an organisation, who changes nothing else
    - `nothing`: it finds nothing in this world, and says so by 404
    - `body`: what is sent, made from the object's id; `rest`: what the address has besides
    """

    guard: Guard
    kind: Kind | None = None
    in_body: bool = False
    write: tuple[Action, ...] = ()
    also: Action | None = None
    post: Action | None = None
    first: Action | None = None
    others: bool = False
    oneself: bool = False
    all_teams: Status | None = None
    operators: Status | Literal["in"] | None = None
    nothing: bool = False
    while_viewing: bool = False
    body: Callable[[str], Mapping[str, Any]] = lambda id: {}
    rest: Mapping[str, object] = field(default_factory=dict)


def at(guard: Guard, kind: Kind | None = None, **over: Any) -> Route:
    write = over.pop("write", ())
    over["write"] = (write,) if isinstance(write, str) else write
    return Route(guard, kind, **over)


def sends(**fields: Any) -> Callable[[str], Mapping[str, Any]]:
    return lambda id: fields


def listed(id: str) -> Mapping[str, Any]:
    """What a list's form sends of the rows that are ticked."""
    return {"id": id}


_WRITES_KEYS: Final = ("keys.write", "keys.write_own")

PAGES: Final[dict[str, Route]] = {
    # For everybody: whoever asks, it holds nothing of others
    "root": at("public"),
    "appearance": at("public"),
    "account_login": at("public"),
    "account_logout": at("public"),
    "account_signup": at("public"),
    "account_inactive": at("public"),
    "account_reset_password": at("public"),
    "account_reset_password_done": at("public"),
    "account_reset_password_from_key": at("public", rest={"uidb36": "1", "key": "none"}),
    "account_reset_password_from_key_done": at("public"),
    "account_email_verification_sent": at("public"),
    "account_confirm_email": at("public", rest={"key": "none"}),
    "mfa_authenticate": at("public"),
    "mfa_login_webauthn": at("public"),
    "sign_in_link": at("public", rest={"text": "none"}),
    "single_sign_on_find": at("public"),
    "openid_connect_login": at("public", rest={"provider_id": "none"}),
    "openid_connect_callback": at("public", rest={"provider_id": "none"}),
    "set_up": at("public", rest={"text": "none"}),
    "set_up_first": at("public"),
    "metrics": at("public"),
    "invitation": at("public", rest={"text": "none"}),
    "processor_event": at("public", rest={"processor": "stripe"}),
    "shared": at("public", rest={"token": "none"}),
    "models": at("public"),
    "status": at("public"),
    "model": at("public", rest={"name": "m-1"}),
    "pricing": at("public"),
    "docs": at("public"),
    "docs_page": at("public", rest={"slug": "none"}),
    "docs_errors": at("public"),
    "docs_headers": at("public"),
    "docs_faq": at("public"),
    "api_reference": at("public"),
    "api_section": at("public", rest={"section": "none"}),
    # Oneself
    "account_change_password": at("signed in"),
    "account_set_password": at("signed in"),
    "account_reauthenticate": at("signed in"),
    "mfa_reauthenticate": at("signed in"),
    "mfa_reauthenticate_webauthn": at("signed in"),
    "mfa_index": at("signed in"),
    "mfa_activate_totp": at("signed in"),
    "mfa_totp_qr": at("signed in"),
    "mfa_deactivate_totp": at("signed in", nothing=True),
    "mfa_view_recovery_codes": at("signed in", nothing=True),
    "mfa_generate_recovery_codes": at("signed in"),
    "mfa_add_webauthn": at("signed in"),
    "mfa_edit_webauthn": at("signed in", PASSKEY),
    "mfa_remove_webauthn": at("signed in", PASSKEY),
    "usersessions_list": at("signed in"),
    "session_end": at("signed in", SESSION),
    "sessions_end": at("signed in"),
    "single_sign_on_connect_start": at("signed in", nothing=True),
    "single_sign_on_connect": at("signed in", rest={"id": "no-such-one"}, nothing=True),
    "table_preference": at("signed in", rest={"table": "keys"}),
    "view_end": at("signed in", while_viewing=True),
    "budget_link": at("signed in", LINKED_BUDGET, operators=404),
    "own_organisation": at("signed in"),
    # The organisation
    "home": at("models.read"),
    "home_panel": at("models.read", rest={"name": "spend"}),
    "start": at("models.read"),
    "start_key": at("keys.write_own"),
    "start_skip": at("models.read"),
    "first_request": at("models.read"),
    "palette": at("models.read"),
    "settings": at("organisation.write"),
    "organisation_archive": at("organisation.write"),
    "single_sign_on": at("sign_in.write"),
    "single_sign_on_remove": at("sign_in.write", nothing=True),
    "single_sign_on_test": at("sign_in.write", nothing=True),
    "teams": at("teams.read"),
    "team": at("teams.read", TEAM),
    "team_create": at("teams.write", all_teams=403),
    "team_edit": at("teams.write", TEAM),
    "team_archive": at("teams.write", TEAM),
    "team_restore": at("teams.write", TEAM),
    "project_create": at("teams.write", TEAM),
    "project_edit": at("teams.write", PROJECT),
    "project_archive": at("teams.write", PROJECT),
    "project_restore": at("teams.write", PROJECT),
    "members": at("members.read"),
    "member": at("members.read", MEMBER),
    "member_edit": at("members.write", MEMBER, others=True),
    "member_preview": at("members.write", MEMBER, others=True),
    "member_remove": at(
        "members.read", MEMBER, first="members.write", write="members.write", oneself=True
    ),
    "members_bulk": at(
        "members.write", MEMBER, in_body=True, body=lambda id: {"id": id, "role": "viewer"}
    ),
    "invitations": at("members.read"),
    "invite": at("members.write"),
    "invitation_resend": at("members.write", INVITATION),
    "invitation_withdraw": at("members.write", INVITATION),
    "roles": at("members.read"),
    "role": at("members.read", CUSTOM_ROLE, post="roles.write"),
    "role_create": at("roles.write"),
    "role_remove": at("roles.write", CUSTOM_ROLE),
    "audit": at("audit.read"),
    "audit_event": at("audit.read", AUDIT_EVENT),
    # Keys, limits and budgets
    "keys": at("keys.read"),
    "key": at("keys.read", KEY, also="usage.read"),
    "key_create": at("keys.write_own"),
    "keys_bulk": at("keys.write_own", KEY, in_body=True, body=listed),
    "key_edit": at("keys.write_own", KEY, write=_WRITES_KEYS),
    "key_rotate": at("keys.write_own", KEY, write=_WRITES_KEYS),
    "key_revoke": at("keys.write_own", KEY, write=_WRITES_KEYS),
    "key_end_former": at("keys.write_own", KEY, write=_WRITES_KEYS),
    "service_accounts": at("keys.write"),
    "service_account_create": at("keys.write"),
    "service_account_edit": at("keys.write", SERVICE_ACCOUNT),
    "limits": at("budgets.write"),
    "limit_organisation": at("budgets.write", all_teams=404),
    "limit": at("budgets.write", LIMIT),
    "budgets": at("budgets.read"),
    "budget_create": at("budgets.write"),
    "budget_preview": at("budgets.write"),
    "budget": at("budgets.read", BUDGET, post="budgets.write"),
    "budget_log": at("budgets.read", BUDGET),
    "budget_remove": at("budgets.write", BUDGET),
    "budget_restore": at("budgets.write", REMOVED_BUDGET),
    "budget_test_alert": at("budgets.write", BUDGET),
    "raises": at("budgets.ask"),
    "raise": at("budgets.ask", RAISE),
    "raise_approve": at("budgets.write", RAISE),
    "raise_deny": at("budgets.write", RAISE),
    "raise_end": at("budgets.write", RAISE),
    # What happened, and what it costs
    "usage": at("usage.read"),
    "requests": at("requests.read"),
    "request": at("requests.read", REQUEST),
    "receipt_file": at("requests.read", REQUEST),
    "request_recompute": at("requests.read", REQUEST),
    "review_settle": at("credits.write", REVIEW),
    "organisation_prices": at("models.read"),
    "organisation_prices_csv": at("models.read"),
    "billing": at("balance.read"),
    "holds": at("balance.read"),
    "top_up_new": at("topups.read", post="topups.write"),
    "top_up": at("topups.read", TOP_UP),
    "top_up_cancel": at("topups.write", TOP_UP),
    "redeem": at("codes.redeem"),
    "wallet": at("wallet.write"),
    "webhooks": at(
        "webhooks.read", post="webhooks.write", body=sends(url="https://made.example/h")
    ),
    "webhook": at("webhooks.read", WEBHOOK),
    "webhook_rotate": at("webhooks.write", WEBHOOK),
    "webhook_test": at("webhooks.write", WEBHOOK),
    "webhook_remove": at("webhooks.write", WEBHOOK),
    "delivery_repeat": at("webhooks.write", DELIVERY),
    # The playground: everything in it is its author's alone
    "playground": at("playground.read"),
    "conversation": at("playground.read", CHAT),
    "run_create": at("playground.use"),
    "run_events": at("playground.read", RUN),
    "run_stop": at("playground.use", RUN),
    "run_debug": at("playground.read", RUN),
    "run_code": at("playground.read", RUN),
    "batch_events": at("playground.read", BATCH),
    "batch_stop": at("playground.use", BATCH),
    "vote": at("playground.use", BATCH),
    "bound": at("playground.use"),
    "draft_code": at("playground.use"),
    "draft_debug": at("playground.use"),
    "model_options": at("playground.use"),
    "model_favourite": at("playground.use", nothing=True),
    "model_default": at("playground.use", nothing=True),
    "models_compare": at("playground.use"),
    "payer_choose": at("playground.use"),
    "default_payer": at("playground.use"),
    "params": at("playground.read"),
    "variables": at("playground.read"),
    "schema_from_example": at("playground.read"),
    "check": at("playground.read", rest={"what": "raw"}),
    "tools_import": at("playground.use"),
    "tools_read": at("playground.use"),
    "tools_add": at("playground.use"),
    "preset_save": at("playground.use"),
    "preset_delete": at("playground.use", PRESET),
    "file_add": at("playground.use"),
    "file_fetch": at("playground.use"),
    "file_show": at("playground.read", FILE),
    "media_show": at("playground.read", MEDIUM),
    "earlier": at("playground.read", MESSAGE),
    "message_edit": at("playground.use", QUESTION),
    "message_tokens": at("playground.read", MESSAGE),
    "code_preview": at("playground.read", MESSAGE, rest={"block": 0, "number": 0}),
    "message_save": at("playground.use", MESSAGE),
    "message_show": at("playground.use", MESSAGE),
    "message_delete": at("playground.use", MESSAGE),
    "message_restore": at("playground.use", MESSAGE),
    "message_branch": at("playground.use", MESSAGE),
    "keep": at("playground.use", MESSAGE),
    "summary_drop": at("playground.use", MESSAGE),
    "chat_summarise": at("playground.use"),
    "chats": at("playground.read"),
    "chat_import": at("playground.use"),
    "history": at("playground.read"),
    "history_change": at("playground.use", nothing=True),
    "history_undo": at("playground.use", nothing=True),
    "history_export": at("playground.read"),
    "column_add": at("playground.use", CHAT),
    "log": at("playground.read", CHAT),
    "in_step": at("playground.read", CHAT),
    "chat_menu": at("playground.read", CHAT),
    "chat_rename": at("playground.use", CHAT),
    "chat_change": at("playground.use", CHAT),
    "chat_visit": at("playground.use", CHAT),
    "chat_delete": at("playground.use", CHAT),
    "chat_restore": at("playground.use", DELETED_CHAT),
    "chat_export": at("playground.read", CHAT, rest={"form": "json"}),
    "share": at("playground.use", CHAT),
    "share_create": at("playground.use", CHAT),
    "share_revoke": at("playground.use", SHARE),
    "pg_chat": at("playground.use"),
    "compare": at("playground.read"),
    "diff": at("playground.read", CHAT),
    "votes": at("playground.read"),
    "embeddings": at("playground.read"),
    "embedding_run": at("playground.use"),
    "embedding_bound": at("playground.use"),
    "playground_preferences": at("playground.use"),
    "leaving_choose": at("playground.use", body=sends(leaving="keep")),
    "models_choose": at("playground.use"),
    "organisation_model": at("playground.write"),
    "title_model": at("playground.use"),
    "title_cost": at("playground.use"),
    "keys_choose": at("playground.use"),
    "leaving_rule": at("playground.write"),
    "payer_rules": at("playground.write"),
    "prompts": at("prompts.read"),
    "prompt_pick": at("prompts.read"),
    "prompt_save": at("playground.use"),
    "prompt": at("prompts.read", PROMPT),
    "prompt_production": at("playground.use", PROMPT, body=sends(number="1")),
    # The installation: for everybody else it does not exist
    "people": at("organisations.read"),
    "person_activate": at("organisations.write", PERSON),
    "person_deactivate": at("organisations.write", PERSON),
    "person_end_sessions": at("organisations.write", PERSON),
    "person_reset_factors": at("organisations.write", PERSON),
    "sign_up_settings": at("organisations.write"),
    "organisations": at("organisations.read"),
    "organisation_suspend": at("organisations.write", ORGANISATION),
    "organisation_unsuspend": at("organisations.write", ORGANISATION),
    "organisation_restore": at("organisations.write", ORGANISATION),
    "domains_confirm": at("organisations.write", ORGANISATION, nothing=True),
    "view_as": at("view_as.begin"),
    "all_audit": at("audit.read"),
    "all_audit_event": at("audit.read", ANY_AUDIT_EVENT),
    "credits": at("credits.read"),
    "credit_approve": at("credits.write", CREDIT),
    "credit_refuse": at("credits.write", CREDIT),
    "codes": at("codes.read"),
    "code_download": at("codes.write", CODE_BATCH),
    "code_kill": at("codes.write", CODE_BATCH),
    "payments": at("credits.read"),
    "payment_confirm": at("credits.write", PAYMENT),
    "payment_refuse": at("credits.write", PAYMENT),
    "channels": at("channels.read"),
    "channel": at("channels.read", CHANNEL_ROW),
    "channel_states": at("channels.read"),
    "channel_health": at("channels.read", CHANNEL_ROW),
    "announcements": at("channels.read"),
    "announcement_publish": at("channels.write"),
    "announcement": at("channels.write", ANNOUNCEMENT),
    "announcement_end": at("channels.write", ANNOUNCEMENT),
    "announcement_dismiss": at("signed in", rest={"id": "none"}, nothing=True),
    "status_setting": at("channels.write"),
    "installation_settings": at("channels.write"),
    "installation_settings_save": at(
        "channels.write",
        body=sends(unpriced_models="reject", egress_allow="", egress_allow_users=""),
    ),
    "installation_settings_undo": at("channels.write", rest={"id": "none"}, nothing=True),
    "channel_test": at("channels.test", CHANNEL_ROW),
    "channel_switch": at("channels.write", CHANNEL_ROW),
    "channel_enable": at("channels.write", CHANNEL_ROW),
    "channel_new": at("channels.write"),
    "channel_new_models": at("channels.write"),
    "channel_new_test": at("channels.write"),
    "channel_edit": at("channels.write", CHANNEL_ROW),
    "channel_models": at("channels.write", CHANNEL_ROW),
    "channel_models_fetch": at("channels.write", CHANNEL_ROW),
    "channel_copy": at("channels.write", CHANNEL_ROW),
    "channel_archive": at("channels.write", CHANNEL_ROW),
    "channel_key_add": at("channels.write", CHANNEL_ROW),
    "channel_key_change": at("channels.write", CHANNEL_KEY),
    "prices": at("models.read"),
    "price": at("models.read", PRICE),
    "price_new": at("prices.write"),
    "price_draft": at("prices.write"),
    "price_proposals": at("models.read"),
    "price_decide": at("prices.write"),
    "price_compare": at("prices.write"),
    "price_proposal": at("models.read", PROPOSAL),
    "price_preview": at("models.read", PREVIEW),
    "preview_cancel": at("prices.write", PREVIEW),
    "preview_csv": at("models.read", PREVIEW),
    "price_withdraw": at("prices.write", VERSION),
    "price_plans": at("models.read"),
    "plan_save": at("prices.write"),
    "price_plan": at("models.read", PLAN),
    "plan_member": at("prices.write", PLAN),
    "plan_remove": at("prices.write", PLAN),
    "models_admin": at("models.read"),
    "reviews": at("credits.read"),
    "operator_palette": at("models.read"),
    "health": at("channels.read"),
    "route_preview": at("channels.read"),
    "route_preview_keys": at("channels.read"),
    "set_up_steps": at("channels.write"),
    "set_up_organisation": at("channels.write", body=sends(name="made")),
    "set_up_skip": at("channels.write"),
    "design": at("channels.read"),
}

OPERATIONS: Final[dict[str, Route]] = {
    # Keys and limits
    "GET /keys": at("keys.read"),
    "POST /keys": at("keys.write_own", body=sends(name="made")),
    "GET /keys/{id}": at("keys.read", KEY),
    "PATCH /keys/{id}": at("keys.read", KEY, write=_WRITES_KEYS),
    "DELETE /keys/{id}": at("keys.read", KEY, write=_WRITES_KEYS),
    "POST /keys/{id}/rotate": at("keys.read", KEY, write=_WRITES_KEYS),
    "DELETE /keys/{id}/former-secrets": at("keys.read", KEY, write=_WRITES_KEYS),
    "GET /service-accounts": at("keys.read"),
    "POST /service-accounts": at(
        "keys.write", TEAM, in_body=True, body=lambda id: {"name": "made", "team": id}
    ),
    "PATCH /service-accounts/{id}": at("keys.write", SERVICE_ACCOUNT),
    "GET /limits": at("budgets.write"),
    "PATCH /limits": at(
        "budgets.write", LIMIT, in_body=True,
        body=lambda id: {"scope": "team", "subject": id.partition("/")[2], "rpm": 5},
    ),
    # The organisation and who is in it
    "GET /organisation": at("organisation.read", operators=404),
    "PATCH /organisation": at("organisation.write"),
    "GET /teams": at("teams.read"),
    "POST /teams": at("teams.write", body=sends(name="Made"), all_teams=403),
    "GET /teams/{team}": at("teams.read", TEAM),
    "PATCH /teams/{team}": at("teams.write", TEAM),
    "GET /projects": at("teams.read"),
    "POST /projects": at(
        "teams.write", TEAM, in_body=True, body=lambda id: {"name": "Made", "team": id}
    ),
    "GET /projects/{project}": at("teams.read", PROJECT),
    "PATCH /projects/{project}": at("teams.write", PROJECT),
    "GET /effective-settings": at("teams.read", operators=404),
    "GET /audit": at("audit.read", operators=404),
    "GET /members": at("members.read"),
    "GET /members/{id}": at("members.read", MEMBER),
    "PATCH /members/{id}": at("members.write", MEMBER, others=True),
    "POST /members/{id}/remove": at(
        "members.read", MEMBER, first="members.write", write="members.write", oneself=True,
        body=sends(chats="delete"),
    ),
    "GET /invitations": at("members.read"),
    "POST /invitations": at("members.write", body=sends(role="viewer", emails=[])),
    "GET /invitations/{id}": at("members.read", INVITATION),
    "DELETE /invitations/{id}": at("members.write", INVITATION),
    "POST /invitations/{id}/resend": at("members.write", INVITATION),
    "GET /roles": at("members.read"),
    "POST /roles": at("roles.write", body=sends(name="Made", permissions=[])),
    "GET /roles/{id}": at("members.read", CUSTOM_ROLE),
    "PATCH /roles/{id}": at("roles.write", CUSTOM_ROLE),
    "DELETE /roles/{id}": at("roles.write", CUSTOM_ROLE),
    "GET /single-sign-on": at("sign_in.write", nothing=True),
    "PUT /single-sign-on": at(
        "sign_in.write", body=sends(issuer="https://made.example", client_id="c", secret="s")
    ),
    "DELETE /single-sign-on": at("sign_in.write", nothing=True),
    "POST /single-sign-on/test": at("sign_in.write", nothing=True),
    # What happened, and what it costs
    "GET /usage": at("usage.read", operators=404),
    "GET /requests": at("requests.read", operators=404),
    "GET /requests/{id}": at("requests.read", REQUEST),
    "GET /requests/{id}/receipt": at("requests.read", REQUEST),
    "GET /prices": at("models.read", operators="in"),
    "GET /balance": at("balance.read", operators=404),
    "GET /ledger": at("balance.read", operators=404),
    "POST /redemptions": at("codes.redeem", body=sends(code="no-such-code")),
    "POST /top-ups": at("topups.write", body=sends(amount="25.00")),
    "GET /top-ups": at("topups.read", operators=404),
    "GET /top-ups/{id}": at("topups.read", TOP_UP),
    "POST /top-ups/{id}/cancel": at("topups.write", TOP_UP, operators="in"),
    "GET /wallet": at("balance.read", operators=404),
    "PUT /wallet": at(
        "wallet.write",
        body=sends(low_balance=None, automatic=False, automatic_below="5", automatic_amount="25"),
    ),
    "GET /budgets": at("budgets.read"),
    "POST /budgets": at(
        "budgets.write", body=sends(scope="model", subject="m-1", amount="5", period="month")
    ),
    "GET /budgets/{id}": at("budgets.read", BUDGET),
    "PATCH /budgets/{id}": at("budgets.read", BUDGET, write="budgets.write"),
    "DELETE /budgets/{id}": at("budgets.read", BUDGET, write="budgets.write"),
    "POST /budgets/{id}/restore": at("budgets.write", REMOVED_BUDGET),
    "GET /budgets/{id}/alerts": at("budgets.read", BUDGET),
    "POST /budgets/{id}/test-alert": at("budgets.read", BUDGET, write="budgets.write"),
    "GET /budget-requests": at("budgets.ask"),
    "POST /budgets/{id}/requests": at(
        "budgets.ask", BUDGET, body=sends(amount="5", until="2026-12-24T00:00:00Z", reason="r")
    ),
    "POST /budget-requests/{id}/approve": at("budgets.write", RAISE),
    "POST /budget-requests/{id}/deny": at("budgets.write", RAISE, body=sends(answer="no")),
    "POST /budget-requests/{id}/end": at("budgets.write", RAISE),
    "GET /playground/payer-rules": at("playground.write"),
    "PUT /playground/payer-rules": at(
        "playground.write", body=sends(rules={"developer": "any"})
    ),
    "GET /prompts": at("prompts.read"),
    "GET /prompts/{slug}": at("prompts.read", PROMPT),
    "POST /prompts/{slug}/render": at("prompts.read", PROMPT),
    "GET /webhooks": at("webhooks.read"),
    "POST /webhooks": at("webhooks.write", body=sends(url="https://made.example/h")),
    "DELETE /webhooks/{id}": at("webhooks.write", WEBHOOK),
    "POST /webhooks/{id}/rotate": at("webhooks.write", WEBHOOK),
    "POST /webhooks/{id}/test": at("webhooks.write", WEBHOOK),
    "GET /webhooks/{id}/deliveries": at("webhooks.read", WEBHOOK),
    "POST /webhooks/{id}/deliveries/{delivery}/send": at("webhooks.write", DELIVERY),
    # The installation
    "GET /organisations": at("organisations.read"),
    "POST /organisations": at("organisations.write", body=sends(name="Made")),
    "GET /organisations/{slug}": at("organisations.read", ORGANISATION),
    "POST /organisations/{slug}/suspend": at(
        "organisations.write", ORGANISATION, body=sends(reason="r")
    ),
    "POST /organisations/{slug}/unsuspend": at("organisations.write", ORGANISATION),
    "POST /organisations/{slug}/archive": at("organisations.write", ORGANISATION),
    "POST /organisations/{slug}/restore": at("organisations.write", ORGANISATION),
    "GET /organisations/{slug}/single-sign-on": at(
        "organisations.read", ORGANISATION, nothing=True
    ),
    "POST /organisations/{slug}/single-sign-on/confirm-domains": at(
        "organisations.write", ORGANISATION, nothing=True, body=sends(domains=["made.example"])
    ),
    "GET /settings": at("channels.write"),
    "PATCH /settings": at("channels.write"),
    "GET /settings/changes": at("channels.write"),
    "POST /settings/changes/{id}/undo": at(
        "channels.write", rest={"id": "none"}, nothing=True
    ),
    "GET /sign-up": at("organisations.read"),
    "PATCH /sign-up": at("organisations.write"),
    "GET /people": at("organisations.read"),
    "PATCH /people/{id}": at("organisations.write", PERSON, body=sends(active=True)),
    "POST /people/{id}/end-sessions": at("organisations.write", PERSON),
    "POST /people/{id}/reset-second-factor": at("organisations.write", PERSON),
    "POST /top-ups/{id}/confirm": at("credits.write", PAYMENT, body=sends(document="d")),
    "GET /credits": at("credits.read"),
    "POST /credits": at(
        "credits.write", ORGANISATION, in_body=True,
        body=lambda id: {"organisation": id, "amount": "5", "reason": "r"},
    ),
    "POST /credits/{id}/approve": at("credits.write", CREDIT),
    "POST /credits/{id}/refuse": at("credits.write", CREDIT),
    "POST /postings/{id}/reverse": at("credits.write", POSTING, body=sends(reason="r")),
    "GET /code-batches": at("codes.read"),
    "POST /code-batches": at("codes.write", body=sends(name="made", value="5", count=2)),
    "POST /code-batches/{id}/download": at("codes.write", CODE_BATCH),
    "POST /code-batches/{id}/kill": at("codes.write", CODE_BATCH),
    "GET /reviews": at("credits.read"),
    "POST /requests/{id}/review": at(
        "credits.write", REVIEW, body=sends(settle_as="free", reason="r")
    ),
    "GET /price-versions": at("prices.write"),
    "POST /price-versions/{id}/withdraw": at("prices.write", VERSION),
    "GET /price-proposals": at("prices.write"),
    "POST /price-proposals": at(
        "prices.write", body=sends(model="m-new", meters={"in_text": "1.00"})
    ),
    "GET /price-proposals/{id}": at("prices.write", PROPOSAL),
    "POST /price-proposals/{id}/accept": at("prices.write", PROPOSAL),
    "POST /price-proposals/{id}/ignore": at("prices.write", PROPOSAL),
    "GET /price-previews": at("prices.write"),
    "POST /price-previews": at(
        "prices.write", PROPOSAL, in_body=True, body=lambda id: {"proposals": [id], "days": 7}
    ),
    "GET /price-previews/{id}": at("prices.write", PREVIEW),
    "POST /price-previews/{id}/cancel": at("prices.write", PREVIEW),
    "GET /plans": at("prices.write"),
    "POST /plans": at("prices.write", body=sends(name="made")),
    "GET /plans/{id}": at("prices.write", PLAN),
    "PATCH /plans/{id}": at("prices.write", PLAN, body=sends(models=[])),
    "DELETE /plans/{id}": at("prices.write", PLAN),
    "GET /plans/{id}/holders": at("prices.write", PLAN),
    "PUT /plans/{id}/holders": at("prices.write", PLAN, body=sends(organisation="acme")),
    "GET /channels": at("channels.read"),
    "POST /channels": at("channels.write", body=sends(name="made", provider="openai")),
    "GET /channels/{id}": at("channels.read", CHANNEL_ROW),
    "PATCH /channels/{id}": at("channels.write", CHANNEL_ROW, body=sends(priority=3)),
    "DELETE /channels/{id}": at("channels.write", CHANNEL_ROW),
    "POST /channels/{id}/copy": at("channels.write", CHANNEL_ROW, body=sends(name="copied")),
    "POST /channels/{id}/archive": at("channels.write", CHANNEL_ROW),
    "POST /channels/{id}/restore": at("channels.write", CHANNEL_ROW),
    "POST /channels/{id}/keys": at("channels.write", CHANNEL_ROW, body=sends(secret="another")),
    "PATCH /channels/{id}/keys/{key}": at(
        "channels.write", CHANNEL_KEY, body=sends(enabled=False)
    ),
    "DELETE /channels/{id}/keys/{key}": at("channels.write", CHANNEL_KEY),
    "POST /channels/{id}/test": at("channels.test", CHANNEL_ROW, body=sends(model="m-1")),
    "POST /channels/{id}/provider-models": at("channels.test", CHANNEL_ROW),
    "POST /provider-models": at(
        "channels.write", body=sends(provider="openai_compatible", base_url="http://127.0.0.1:9")
    ),
    "GET /jobs": at("channels.read"),
    "POST /routes/preview": at("channels.read", nothing=True, body=sends(key="gone", body={})),
    "GET /system": at("channels.read"),
}  # fmt: skip
