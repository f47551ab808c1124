"""Every page of the URL map, with an address under which it can be opened."""

import datetime as dt
from collections.abc import Iterator, Mapping
from zoneinfo import ZoneInfo

import msgspec
from django.urls import get_resolver, resolve

from accounts.access.actors import SYSTEM, Actor
from accounts.custom_roles import custom_roles
from accounts.keys import service_accounts
from accounts.keys.keys import mint_key
from accounts.members import invitations, members
from accounts.members.invitations import Offer
from accounts.models import Organisation, Role, Team, User
from accounts.organisations import organisations, projects, teams
from accounts.sign_in.sign_in import make_sign_in_link
from billing.credits import codes, credits
from billing.limits import budget_increases
from billing.models import BudgetScope, BudgetWindow, PriceVersion
from billing.price_plans import price_plans
from billing.prices import proposals
from billing.prices.conditions import PriceKey
from billing.prices.own_key_fee import OwnKeyFee
from billing.subscriptions import subscription_plans, subscriptions
from billing.subscriptions.rules import Terms
from billing.topups import topups
from content.guards.rules import GuardRule
from content.policies import policies
from content.prompts import prompts
from content.prompts.settings import Settings
from content.rules import log_rules
from gateway.aliases.aliases import save_alias
from gateway.channels import channels
from gateway.models import Channel, ChannelTestRun, ModelListing, Route
from gateway.own_keys.offers import set_offer
from gateway.own_keys.own_keys import add_own_key
from gateway.prices import previews
from gateway.provider_accounts.balances.rules import Amount, Reading
from gateway.routing.model_rules import save_rule
from gateway.status.announcements import publish_announcement
from lib import clock
from lib.ids import id_text, new_id
from notify.endpoints import endpoints
from playground.chats import sharing
from playground.models import Conversation
from tests.browser.installation import MODEL, OWNER, Installation
from tests.house.test_access import addresses
from tests.support import cast
from tests.support.approving import waiting_approval
from tests.support.invoicing import empty_invoice
from tests.usage.rows import happen
from usage.exports import exports
from usage.limits import budget_simulation
from usage.limits.budget_simulation import look_back
from usage.models import Finding, ProviderBill
from usage.saved_views import saved_views, scheduled_reports

# Addresses that are no page of their own, and why.
NO_PAGE = {
    **dict.fromkeys(
        (
            "account_erased",
            "member_erase",
            "member_erasure",
            "own_data",
            "own_erasure",
            "person_erase",
            "person_erasure",
        ),
        "walked by test_erasure.py",
    ),
    **dict.fromkeys(
        ("request_conversation", "session_conversation"), "walked by test_kept_texts.py"
    ),
    "own_data_download": "a file",
    "message_rate": "walked by test_ratings.py",
    "root": "leads to home",
    "start_skip": "a form",
    "budget_link": "leads to a budget",
    "session_link": "leads to a session",
    "account_reset_password_from_key": "leads to itself without its secret",
    "key_end_former": "a form",
    "request_events": "a stream of events; looked at by test_live.py",
    **dict.fromkeys(
        (
            "mfa_authenticate",
            "mfa_activate_totp",
            "mfa_view_recovery_codes",
            "mfa_add_webauthn",
            "mfa_remove_webauthn",
        ),
        "walked by test_sign_in.py",
    ),
    **dict.fromkeys(
        (
            "mfa_reauthenticate",
            "mfa_reauthenticate_webauthn",
            "mfa_deactivate_totp",
            "mfa_generate_recovery_codes",
            "mfa_edit_webauthn",
        ),
        "for who has a factor",
    ),
    "mfa_totp_qr": "a picture",
    "media_run": "a part of a page",
    "media_subtitles": "a file",
    "media_video": "a file",
    "media_clip": "a file",
    "mfa_login_webauthn": "options of a script",
    "sign_up_settings": "walked by test_sign_up.py",
    "person_reset_factors": "walked by test_sign_up.py",
    "own_organisation": "a form",
    "set_up": "walked by test_sign_up.py",
    "set_up_first": "walked by test_sign_up.py",
    "set_up_steps": "walked by test_sign_up.py",
    "domains_confirm": "asks for a recent sign-in",
    "domains_unconfirm": "asks for a recent sign-in",
    "single_sign_on_test": "leads to a provider",
    "single_sign_on_connect_start": "leads to a provider",
    "openid_connect_login": "leads to a provider",
    "openid_connect_callback": "leads from a provider",
    "api:api-root": "leads nowhere",
    "api_description": "a file",
    "llms_txt": "a file",
    "metrics": "read by Prometheus",
    "ledger_file": "a file",
    "receipt_file": "a file",
    "invoice_pdf": "a file",
    "invoice_archive": "a file",
    "receipt_pdf": "a file",
    "focus": "a file",
    "export_file": "a file",
    "export_start": "leads from a short list to its file",
    "statement_csv": "a file",
    "statement_xlsx": "a file",
    "organisation_prices_csv": "a file",
    "preview_csv": "a file",
    "chat_export": "a file",
    "history_export": "a file",
    "file_show": "a file",
    "media_show": "a file",
    "code_preview": "what a frame shows",
    "tools_import": "a dialog of the playground",
    "run_events": "a stream",
    "batch_events": "a stream",
    "processor_event": "for processors",
    "task_callback": "for providers",
    "device_metadata": "for devices",
    "device_begin": "for devices",
    "device_token": "for devices",
    "device_revoke": "for devices",
    "claude_code_settings": "for Claude Code",
    "claude_code_spending": "for Claude Code",
    "view_end": "a form",
    "pg_chat": "for programs",
}


# Names as long as those that people and providers give.
_LONG = "Evaluation of nightly summaries"
_LONG_MODELS = (
    "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "accounts/fireworks/models/llama-v3p1-405b-instruct",
)


def furnished(site: Installation) -> dict[str, str]:
    """What only some organisations have, in the owner's: paths by a name."""
    return site.beside.call(furnish)


def furnish() -> dict[str, str]:
    """In a process of the installation: make one of each, and say where they are."""
    organisation = Organisation.objects.get(slug="acme")
    owner = User.objects.get(email=OWNER)
    actor = Actor(owner, None, organisation, Role.OWNER, operator=True)
    ours = f"/o/{organisation.slug}"
    webhook, _ = endpoints.create_endpoint(
        actor, organisation, "https://example.org/hook", ["topup.disputed"]
    )
    kept = log_rules.add_rule(actor, organisation, scope="model", subject=MODEL, keep="nothing")
    guards = GuardRule("words", {"words": [_LONG]}, ["request"], "flag", "word")
    policy = policies.create_policy(actor, organisation, look_back, name=_LONG, rules=[guards])
    top_up = topups.order_top_up(actor, organisation, 20 * 10**9, processor="manual")
    paid = topups.open_checkout(
        topups.order_top_up(actor, organisation, 10**10, processor="manual")
    )
    topups.confirm_transfer(actor, paid, _LONG)
    monthly = subscription_plans.write_plan(
        actor, _LONG, Terms(10**7, 2 * 10**7), description="A month to look at"
    )
    offered = subscription_plans.offer_plan(actor, monthly)
    subscriptions.choose_plan(actor, organisation, offered)
    alerts, _ = endpoints.create_endpoint(actor, None, "https://example.org/operators")
    credit = credits.request_credit(actor, organisation, 5000 * 10**9, reason="A page to look at")
    approval = waiting_approval(credits.CORRECTION, credit)
    batch = codes.create_batch(actor, _LONG, 10**9, 1)
    codes.download_codes(actor, batch)
    budget = budget_simulation.create_budget(
        SYSTEM,
        organisation,
        scope=BudgetScope.PROJECT,
        subject="looked-at",
        amount_nano=10**12,
        period="month",
    )
    for_each = budget_simulation.create_budget(
        SYSTEM,
        organisation,
        scope=BudgetScope.END_USER,
        subject="",
        amount_nano=10**10,
        period="month",
    )
    more = budget_increases.ask_for_more(
        actor,
        budget,
        amount_nano=10**9,
        until=clock.now() + dt.timedelta(days=1),
        reason="A launch",
    )
    version = PriceVersion.objects.get(price__model=MODEL, price__kind="charge")
    draft = proposals.draft_price(
        actor,
        PriceKey(MODEL),
        {"meters": {"in_text": 15 * 10**8, "out_text": 12 * 10**9}},
        valid_from=None,
    )
    preview = previews.start_preview(actor, [draft.id], 7)
    plan = price_plans.save_plan(actor, "looked-at", multiplier_ppm=1_100_000)
    rule = save_rule(actor, "looked-at-*", fallbacks=[MODEL])
    alias = save_alias(actor, "looked-at", "looked-at-1")
    save_alias(actor, "looked-at-0", "looked-at")
    results = {"ok": False, "fault": "no_model", "total_ms": 0, "cost_nano": None}
    tested = ChannelTestRun.objects.create(
        variant="streamed",
        total=1,
        results=[{"channel_id": str(new_id()), "channel": "looked-at", **results}],
        ended_at=clock.now(),
    )
    channel = Channel.objects.filter(enabled=True).earliest("id")
    served = [route.upstream_model or route.model for route in channel.routes.all()]
    listing = {"known": [*served, "looked-at"], "complete": True, "listed": ["looked-at-2"]}
    ModelListing.objects.create(
        channel=channel, checked_at=clock.now(), listed_at=clock.now(), **listing
    )
    finding = Finding.objects.create(
        invariant="I3 a cached balance is the sum of its lines", object="7", expected="5",
        found="6", walk="present", holds=False,
    )  # fmt: skip
    announcement = publish_announcement(
        actor,
        title=_LONG,
        text="Maintenance on Sunday.",
        tone="info",
        starts_at=clock.now() + dt.timedelta(days=1),
        ends_at=None,
    )
    for system in ("Be brief.", "Be exact."):
        settings = Settings(system=system)
        prompt = prompts.save_prompt(actor, _LONG, MODEL, settings, note="", shared=True)
        prompts.move_label(actor, prompt, "production")
    chat = Conversation.objects.filter(user=owner).latest("id")
    _, token = sharing.share_branch(
        actor, chat, days=1, members_only=False, system_shown=True, cost_shown=True
    )
    suspended = organisations.create_organisation(_LONG, owner=None, actor=actor)
    team = teams.create_team(organisation, _LONG, actor=actor)
    account = service_accounts.create_service_account(team, _LONG, actor=actor)
    project = projects.create_project(team, _LONG, actor=actor)
    _work_in_a_session(team, owner)
    signed, _ = mint_key(
        SYSTEM, team, _LONG, user=None, end_user_header="x-user", end_users_signed=True
    )
    unused = _add_channel()
    offer = set_offer(
        actor, unused, title=_LONG, everyone=True, organisations=[], fee=OwnKeyFee(1_000_000, 0)
    )
    own_key = add_own_key(actor, organisation, None, offer, name=_LONG, secret="sk-of-our-own-0123")
    (invited,) = invitations.invite(organisation, [], Offer(Role.VIEWER), actor=actor)
    role = custom_roles.create_role(organisation, _LONG, ["usage.read", "audit.read"], actor=actor)
    members.set_member(organisation, KEEPER, Role.OWNER, actor=SYSTEM)
    keeper = User.objects.get(email=KEEPER)
    keeper.set_password(KEEPER_PASSWORD)
    keeper.save(update_fields=["password"])
    reads = ["content.read", "models.read", "requests.read", "usage.read", "audit.read"]
    reading = custom_roles.create_role(organisation, "Reads contents", reads, actor=SYSTEM)
    members.set_member(organisation, READER, Role.CUSTOM, custom_role=reading, actor=SYSTEM)
    reader = User.objects.get(email=READER)
    reader.set_password(KEEPER_PASSWORD)
    reader.save(update_fields=["password"])
    bill = ProviderBill.objects.create(
        provider="openai",
        file_name="looked-at.csv",
        match="day",
        first_on=clock.now().date(),
        last_on=clock.now().date(),
        channel_ids=[],
        tolerance_nano=0,
        lines=1,
        billed_nano=10**9,
        ours_nano=0,
    )
    bill.differences.create(n=1, kind="not_recorded", billed_nano=10**9, ours_nano=0)
    invoice, drafted = empty_invoice(organisation, owner, keeper), empty_invoice(organisation)
    colleague = members.set_member(
        organisation, "colleague@example.org", Role.DEVELOPER, actor=SYSTEM
    )
    view = saved_views.save_view(actor, "usage", _LONG, "range=7d", shared=True)
    scheduled_reports.set_schedule(actor, view, "week", 8, ZoneInfo("UTC"), [owner.id])
    (receiver,) = view.schedule.receivers.all()
    exports.start_export(actor, "csv", "range=7d", "en")
    views = f"{ours}/views/{id_text(view.id)}"
    own_keys = f"{ours}/provider-keys"
    people, invitation = f"{ours}/team", id_text(invited.invitation.id)
    return {
        "team": f"{ours}/teams/{team.slug}",
        "change a team": f"{ours}/teams/{team.slug}/edit",
        "add to a team": f"{ours}/teams/{team.slug}/members/add",
        "remove from a team": f"{ours}/teams/{team.slug}/members/{colleague.pk}/remove",
        "create a project": f"{ours}/teams/{team.slug}/projects/new",
        "change a project": f"{ours}/projects/{project.slug}/edit",
        "change a service account": f"{ours}/service-accounts/{id_text(account.id)}/edit",
        "create an organisation": "/admin/organisations/new",
        "add a member": f"/admin/organisations/{suspended.slug}/members/new",
        "suspend an organisation": f"/admin/organisations/{suspended.slug}/suspend",
        "charge rule": f"/admin/organisations/{suspended.slug}/charge-rule",
        "members": people,
        "member": f"{people}/members/{colleague.pk}",
        "change a role": f"{people}/members/{colleague.pk}/edit",
        "remove a member": f"{people}/members/{colleague.pk}/remove",
        "change a view": views,
        "report of a view": f"{views}/report",
        "leave a report": f"/reports/{scheduled_reports.leaving_token(receiver)}/leave",
        "invitations": f"{people}/invitations",
        "invite": f"{people}/invitations/new",
        "resend an invitation": f"{people}/invitations/{invitation}/resend",
        "accept an invitation": invited.path,
        "roles": f"{people}/roles",
        "create a role": f"{people}/roles/new",
        "edit a role": f"{people}/roles/{id_text(role.id)}",
        "delete a role": f"{people}/roles/{id_text(role.id)}/remove",
        "rules of the content log": f"{ours}/content-log",
        "add a rule of the content log": f"{ours}/content-log/new",
        "change a rule of the content log": f"{ours}/content-log/{id_text(kept.id)}/edit",
        "delete a rule of the content log": f"{ours}/content-log/{id_text(kept.id)}/remove",
        "policies": f"{ours}/policies",
        "create a policy": f"{ours}/policies/new",
        "policy": f"{ours}/policies/{id_text(policy.id)}",
        "try a policy": f"{ours}/policies/{id_text(policy.id)}/try",
        "delete a policy": f"{ours}/policies/{id_text(policy.id)}/remove",
        "webhook": f"{ours}/webhooks/{id_text(webhook.id)}",
        "change a webhook": f"{ours}/webhooks/{id_text(webhook.id)}/edit",
        "remove webhook": f"{ours}/webhooks/{id_text(webhook.id)}/remove",
        "change an operator alert": f"/admin/alerts/{id_text(alerts.id)}/edit",
        "record a payment": f"/admin/invoices/{id_text(drafted.id)}/payment",
        "note on an invoice": f"/admin/invoices/{id_text(drafted.id)}/note",
        "change a plan": f"/admin/plans/{plan.id}/edit",
        "add to a plan": f"/admin/plans/{plan.id}/member",
        "change an alias": f"/admin/models/aliases/{alias.id}",
        "invoice": f"{ours}/billing/invoices/{invoice.number}",
        "document": f"/admin/invoices/{id_text(drafted.id)}",
        "bill": f"/admin/reconcile/{id_text(bill.id)}",
        "difference of a bill": f"/admin/reconcile/{id_text(bill.id)}/1",
        "top-up": f"{ours}/billing/top-ups/{id_text(top_up.id)}",
        "receipt of a payment": f"{ours}/billing/top-ups/{id_text(paid.id)}/receipt",
        "confirm a payment": f"/admin/payments/{id_text(top_up.id)}/confirm",
        "approval": f"/admin/approvals/{approval.outer_id}",
        "disable a batch": f"/admin/codes/{id_text(batch.id)}/kill",
        "budget": f"{ours}/budgets/{budget.id}",
        "edit a budget": f"{ours}/budgets/{budget.id}/edit",
        "budgets of end users": f"{ours}/budgets/{for_each.id}/end-users",
        "change the budget of an end user": f"{ours}/budgets/{for_each.id}/end-users/edit",
        "secret of end users": f"{ours}/keys/{id_text(signed.id)}/end-user-secret",
        "new limit": f"{ours}/limits/new",
        "request for more": f"{ours}/budgets/requests/{id_text(more.id)}",
        "price": f"/admin/prices/{version.price_id}",
        "withdraw a price": f"/admin/prices/versions/{version.id}/withdraw",
        "proposal": f"/admin/prices/proposals/{id_text(draft.id)}",
        "preview": f"/admin/prices/previews/{id_text(preview.id)}",
        "plan": f"/admin/plans/{plan.id}",
        "model rule": f"/admin/models/rules/{rule.id}",
        "test of all channels": f"/admin/channels/tests/{id_text(tested.id)}",
        "model changes": f"/admin/channels/{id_text(channel.id)}/models/changes",
        "provider's prices": f"/admin/channels/{id_text(channel.id)}/prices",
        "ledger findings": "/admin/findings",
        "ledger finding": f"/admin/findings/{finding.id}",
        "acknowledge a finding": f"/admin/findings/{finding.id}/acknowledge",
        "announcement": f"/admin/announcements/{announcement.public_id}",
        "prompt": f"{ours}/prompts/{prompt.prompt.slug}",
        "label of a prompt": f"{ours}/prompts/{prompt.prompt.slug}/labels",
        "prompt to roll back": f"{ours}/prompts/{prompt.prompt.slug}/labels/production/roll-back",
        "label to remove": f"{ours}/prompts/{prompt.prompt.slug}/labels/production/remove",
        "share a chat": f"{ours}/playground/c/{id_text(chat.id)}/share",
        "shared chat": f"/s/{token}",
        "provider keys": own_keys,
        "add a provider key": f"{own_keys}/new",
        "change a provider key": f"{own_keys}/{id_text(own_key.id)}/edit",
        "replace a provider key": f"{own_keys}/{id_text(own_key.id)}/rotate",
        "delete a provider key": f"{own_keys}/{id_text(own_key.id)}/delete",
        "offer of own keys": f"/admin/channels/{id_text(unused.id)}/own-keys",
        "sign-in link": make_sign_in_link(owner),
    }


def fresh_sign_in_link() -> str:
    """In a process of the installation: one that lives for half an hour from now, the owner's."""
    return make_sign_in_link(User.objects.get(email=OWNER))


def _work_in_a_session(team: Team, owner: User) -> None:
    """An agent's, of long names and large figures, within a limit."""
    key, _ = cast.make_key(team, "evaluation-of-nightly-summaries", user=owner)
    session = new_id()
    for model in _LONG_MODELS:
        happen(
            key,
            clock.now() - dt.timedelta(minutes=90),
            1_234_567_890,
            hold_nano=2 * 10**9,
            model=model,
            upstream_model=model,
            session_id=session,
            session={"name": _LONG, "source": "x-claude-code-session-id"},
            client_app="claude-code",
            meters={"in_text": 1_234_567, "in_cache_read": 12_345_678, "out_text": 234_567},
            total_ms=3_723_000,
        )
    # What its client lets it cost; it is spent from before, since no record names it (I23).
    BudgetWindow.objects.create(
        session_id=session,
        starts_at=clock.now() - dt.timedelta(minutes=90),
        ends_at=dt.datetime(9999, 1, 1, tzinfo=dt.UTC),
        cap_nano=99_990_000_000,
        spent_nano=2_469_135_780,
        brought_nano=2_469_135_780,
    )


def _add_channel() -> Channel:
    """One that is off, with a balance in two currencies and labels."""
    channel = Channel.objects.create(
        name="fireworks-evaluation-eu-west-1",
        provider="openai_compatible",
        base_url="https://api.eu-west-1.inference.example.com/v1",
        balance_source="deepseek",
        labels=["region=eu-west-1", "stage=evaluation"],
        enabled=False,
    )
    for model in _LONG_MODELS:
        Route.objects.create(channel=channel, model=model)
    now = clock.now()
    amounts = (Amount("USD", 1_234_560_000_000), Amount("CNY", 98_765_430_000_000))
    reading = Reading(checked_at=now, read_at=now, amounts=amounts, low=True)
    channels.add_key(SYSTEM, channel, "sk-of-a-channel-that-is-off")
    channel.keys.update(balance=msgspec.to_builtins(reading))
    return channel


# Who has a password may be asked for it again.
KEEPER = "keeper@example.org"
KEEPER_PASSWORD = "correct horse battery"
KEEPERS = {
    "settings of single sign-on": "/o/acme/settings/sso",
    "change the password": "/password/change",
    "confirm that it is you": "/account/confirm",
    "sign in a device": "/device",
}
# Somebody whose role reads contents, as no owner's does.
READER = "reader@example.org"
READERS = {"search contents": "/o/acme/content-log/search"}


def unopened(paths: Mapping[str, str]) -> list[str]:
    """The names of the URL map under which none of these paths is, and which may be a page."""
    opened = {resolve(path.partition("?")[0]).view_name for path in paths.values()}
    return sorted(set(_named()) - opened - NO_PAGE.keys())


def _named() -> Iterator[str]:
    """All but fragments, which a page holds, and what the management API answers."""
    for where, name, view in addresses(get_resolver()):
        api = hasattr(view, "__self__") or "PathView." in getattr(view, "__qualname__", "")
        if "_f/" not in where and not api and not _only_posts(view):
            yield name


def _only_posts(view: object) -> bool:
    """Whether `require_POST` stands before it, however deep."""
    while view is not None:
        for cell in getattr(view, "__closure__", None) or ():
            if cell.cell_contents == ["POST"]:
                return True
        view = getattr(view, "__wrapped__", None)
    return False
