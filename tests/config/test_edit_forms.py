"""Every form that changes something opens with what is there, and sent as it stands it changes
nothing: no column of any row, and no event says that there was a change.

What is edited, and a value for each field that a new object would not have, stands in
`tests/config/writes/edited.py`. A page that takes a form is there, or below with what it makes."""

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any, Final

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver

from billing.models import Budget
from content.models import LogRule, Policy
from gateway.models import Announcement, ModelAlias, ModelRule, OwnKey
from lib.ids import id_text
from notify.models import WebhookEndpoint
from playground.models import Message
from tests.config.test_every_write import methods_of
from tests.config.test_writes import _WRITTEN
from tests.config.writes.edited import EDITED
from tests.config.writes.world import World, make_world
from tests.house.test_access import addresses
from tests.support import cast
from tests.support.stage import scene
from usage.models import SavedView

# What a page makes or does, which opens as that of anything new.
SIGNS_IN: Final = {
    "account_change_password", "account_confirm_email", "account_inactive", "account_login",
    "account_logout", "account_reauthenticate", "account_reset_password",
    "account_reset_password_done", "account_reset_password_from_key",
    "account_reset_password_from_key_done", "account_set_password", "account_signup", "device",
    "invitation", "mfa_activate_totp", "mfa_add_webauthn", "mfa_authenticate",
    "mfa_deactivate_totp", "mfa_generate_recovery_codes", "mfa_login_webauthn",
    "mfa_reauthenticate", "mfa_reauthenticate_webauthn", "mfa_remove_webauthn",
    "mfa_view_recovery_codes", "set_up", "sign_in_link", "view_as",
}  # fmt: skip
MAKES: Final = {
    "alias_add", "announcement_publish", "bill_new", "budget_create", "catalogue_ignore",
    "catalogue_update", "channel_copy", "channel_key_add", "channel_new", "channel_prices_set",
    "code_batch_create", "connect", "credit_create", "document_note", "document_payment",
    "exchange_rate_add", "export_start", "invite", "key_create", "limit_create", "log_rule_create",
    "model_rule_add", "note_new", "operator_alert_create", "organisation_add_member",
    "organisation_create", "plan_create", "plan_member", "policy_create", "project_create",
    "prompt_label_move", "provider_key_add",
    "raise_create", "redeem", "role_create", "service_account_create",
    "subscription_plan_create", "tax_rate_add", "team_create", "team_member_add", "top_up_new",
    "view_new", "webhook_create",
}  # fmt: skip
DOES: Final = {
    "code_kill", "content_search", "domains_confirm", "domains_unconfirm", "finding_acknowledge",
    "invitation_resend", "key_revoke", "key_rotate", "log_rule_remove", "member_erase",
    "member_remove", "organisation_archive", "organisation_suspend", "own_erasure",
    "payment_confirm", "person_erase", "person_reset_factors", "policy_remove", "policy_try",
    "price_withdraw", "prompt_label_remove", "prompt_label_roll_back", "provider_key_remove",
    "provider_key_rotate", "report_leave", "request_conversation", "role_remove", "route_preview",
    "session_conversation", "subscription", "team_member_remove", "webhook_remove",
}  # fmt: skip
# Only a real authenticator has a name that could be changed.
ELSEWHERE: Final = {"mfa_edit_webauthn"}
# What a form never has in it, or has for what is not there yet, and why.
SECRET: Final = "a secret is never shown"
OFF: Final = "a new one is on"
TRIED: Final = "what the next request is tried with, and no part of what is there"
EMPTY: Final[Mapping[str, Mapping[str, str]]] = {
    "single_sign_on": {"secret": SECRET, "required": "nobody is connected yet"},
    "mail_server": {"password": SECRET},
    "key_edit": {"budget": "it has a page of its own", "log_content": OFF},
    "policy": {"setting_hook_secret": SECRET},
    "provider_key_edit": {"enabled": OFF},
    "channel_edit": {
        "secret": SECRET, "client_key": SECRET, "proxy_login": SECRET, "names_client": OFF,
    },
    "channel_overrides": {"sent_headers": TRIED, "team": TRIED},
    "channel_models": {"remove": "the row is kept"},
    "installation_settings": {"public_models": OFF},
    "channel_offer_edit": {"request": "a fee is for requests or for tokens"},
}  # fmt: skip
# What is written anew though it says the same: the table, by the page, and why.
ANEW: Final = {
    ("safeguards", "billing_safeguard"): "a row that has no value of its own",
    ("budget_edit", "billing_account"): "the version of a row that was locked",
    ("end_user", "billing_account"): "the version of a row that was locked",
    ("channel_prices", "gateway_upstreampricelist"): "the button reads the list again",
}
# What is written though nothing is changed: who was there and when, not what.
_SEEN: Final = ("django_session", "usersessions_usersession", "accounts_keyuse")


class _Forms(HTMLParser):
    """The forms of a page: what a browser sends of each, and the fields that a person sees."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[dict[str, str], list[tuple[str, str]], list[tuple[str, str]]]] = []
        self._inside = False
        self._text: list[str] | None = None
        self._name = self._form_of = ""
        self._options: list[tuple[bool, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((of, [], []))
            self._inside = True
        elif tag == "option":
            self._options.append(("selected" in of, of.get("value", "")))
        elif tag in ("textarea", "select"):
            self._name, self._form_of = of.get("name", ""), of.get("form", "")
            self._text, self._options = [], []
        elif tag == "input":
            self._input(of)

    def _input(self, of: dict[str, str]) -> None:
        kind, value = of.get("type", "text"), of.get("value", "")
        if kind in ("submit", "button", "image", "file", "reset"):
            return
        if kind in ("checkbox", "radio"):
            value = of.get("value", "on")
            self._add(of, value if "checked" in of else None, seen=True)
        else:
            self._add(of, value, seen=kind != "hidden")

    def _add(self, of: Mapping[str, str], value: str | None, *, seen: bool) -> None:
        named = [form for form in self.forms if form[0].get("id") == of.get("form", "-")]
        form = named[0] if named else self.forms[-1] if self._inside and self.forms else None
        if form is None or not of.get("name") or "disabled" in of:
            return
        if value is not None:
            form[1].append((of["name"], value))
        if seen:
            form[2].append((of["name"], value or ""))

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        of = {"name": self._name, "form": self._form_of or "-"}
        if tag == "form":
            self._inside = False
        elif tag == "textarea" and self._text is not None:
            self._add(of, "".join(self._text).removeprefix("\n"), seen=True)
        elif tag == "select":
            chosen = [value for selected, value in self._options if selected]
            for value in chosen or [value for _, value in self._options[:1]]:
                self._add(of, value, seen=True)
        if tag in ("textarea", "select"):
            self._text = None


@scene
def edited() -> World:
    return make_world()


def _address(path: str, w: World) -> str:
    """The address of what there is, once it is filled."""
    last: Mapping[str, Any] = {
        "alert": WebhookEndpoint.objects.filter(organisation=None).last(),
        "alias": ModelAlias.objects.last(),
        "announcement": Announcement.objects.last(),
        "end_users": Budget.objects.filter(scope="end_user").last(),
        "own_key": OwnKey.objects.last(),
        "log_rule": LogRule.objects.last(),
        "message": Message.objects.last(),
        "policy": Policy.objects.last(),
        "rule": ModelRule.objects.last(),
        "view": SavedView.objects.last(),
        "bob": w.membership, "account": w.account, "budget": w.budget, "channel": w.channel,
        "conversation": w.conversation, "endpoint": w.endpoint, "key": w.key, "plan": w.plan,
        "role": w.role,
    }  # fmt: skip
    ids = {
        name: row.pk if isinstance(row.pk, int) else id_text(row.pk)
        for name, row in last.items()
        if row is not None
    }
    return path.format(**ids)


def _opened(client: Client, path: str, sent_to: str) -> tuple[list[tuple[str, str]], ...]:
    """What a browser would send of the form of a page, and what a person sees in it."""
    answer = client.get(path)
    assert answer.status_code == 200, f"{path}: {answer.status_code}"
    forms = _Forms()
    forms.feed(answer.content.decode())
    found = [
        form for form in forms.forms
        if form[0].get("method") == "post" and form[0].get("action", path) == sent_to and form[2]
    ]  # fmt: skip
    assert found, (path, [form[0].get("action") for form in forms.forms])
    # One that makes the next object has nothing in it.
    form = next((form for form in found if all(value for _, value in form[2])), found[0])
    return form[1], form[2]


def _rows(tables: set[str]) -> dict[str, list[str]]:
    rows = {}
    with connection.cursor() as cursor:
        for table in sorted(tables):
            cursor.execute(f"SELECT t::text FROM {table} t ORDER BY 1")
            # A row that is written anew has another number, and says the same.
            rows[table] = sorted(re.sub(r"^\(\d+,", "(", text) for (text,) in cursor.fetchall())
    return rows


def _changes(client: Client, path: str, sent: list[tuple[str, str]]) -> dict[str, Any]:
    """What sending a form changes, by table; nothing of it stays."""
    body: dict[str, list[str]] = {}
    for name, value in sent:
        body.setdefault(name, []).append(value)
    with transaction.atomic():
        with CaptureQueriesContext(connection) as made:
            answer = client.post(path, body)
        errors = _errors(answer) if answer.status_code < 500 else ""
        tables = {
            table for query in made for _, table in _WRITTEN.findall(query["sql"])
        } - {*_SEEN}  # fmt: skip
        after = _rows(tables)
        transaction.set_rollback(True)
    before = _rows(tables)
    reviewed = answer.status_code == 200 and "Nothing changes." in answer.content.decode()
    assert reviewed or answer.status_code in (204, 302, 303), (errors, answer.status_code)
    return {
        table: (
            sorted({*before[table]} - {*after[table]}),
            sorted({*after[table]} - {*before[table]}),
        )
        for table in tables
        if before[table] != after[table]
    }


def _errors(answer: Any) -> str:
    """What a form that was sent says is wrong with it."""
    context = answer.context or {}
    form = context.get("form") if hasattr(context, "get") else None
    return str(getattr(form, "errors", "") or "")


@pytest.mark.parametrize("name", EDITED)
def test_form_opens_with_what_is_there_and_changes_nothing(edited: World, name: str) -> None:
    one = EDITED[name]
    client = cast.signed_in(edited.people.dora if one.operator else edited.people.alice)
    one.fill(edited)
    path = _address(one.path, edited)
    sent, seen = _opened(client, path, _address(one.sent_to or one.path, edited))
    filled = {field for field, value in seen if value}
    blank = {field for field, _ in seen} - filled
    assert blank == EMPTY.get(name, {}).keys()
    changes = _changes(client, _address(one.sent_to or one.path, edited), sent)
    assert {table: rows for table, rows in changes.items() if (name, table) not in ANEW} == {}


def test_every_page_that_takes_a_form_is_known() -> None:
    names = set()
    for where, name, view in addresses(get_resolver()):
        of_api = getattr(view, "__qualname__", "").startswith("PathView.")
        if not of_api and not where.startswith("api/") and {"GET", "POST"} <= methods_of(view):
            names.add(name)
    known = EDITED.keys() | SIGNS_IN | MAKES | DOES | ELSEWHERE
    assert names - known == set()
    assert (SIGNS_IN | MAKES | DOES | ELSEWHERE) - names == set()
