"""Every list is shown by one shared part (`lib.tables`)."""

import inspect
import re
from collections import Counter
from typing import Final

from django import forms
from django.urls import get_resolver

from lib.tables.table import REGISTERED
from tests.house.test_access import addresses
from tests.house.test_style import ROOT

# Rows that are no list of objects: parts of one object, a chart's figures, a form.
NO_LIST = {
    "usage/requests/_guards.html": "the guards of one request",
    "usage/contents/_look.html": "the hits of a search, which looks further and has no pages",
    "config/api/_api_fields.html": "fields of a body",
    "accounts/keys/key_rotate.html": "secrets of a key",
    "config/api/api.html": "operations",
    "billing/wallets/_balance_chart.html": "the figures of a chart",
    "billing/invoices/_invoice_payments.html": "how one invoice was paid",
    "billing/subscriptions/_subscription_offers.html": "the plans to choose from, in a form",
    "billing/wallets/overview.html": "promotional credit of a wallet",
    "billing/credits/payments.html": "the latest payments that match no top-up",
    "billing/subscriptions/subscription.html": "the latest charges of one subscription",
    "design/_chart.html": "the style sheet",
    "design/_table.html": "the style sheet",
    "gateway/channel_setup/_changes.html": "what one save would change",
    "gateway/channel_overview/_channel_keys.html": "keys of one channel",
    "gateway/own_keys/own_key_edit.html": "prices beside a form",
    "gateway/channel_setup/_proposed_models.html": "a form",
    "gateway/channel_setup/channel_models.html": "a form",
    "gateway/channel_setup/channel_prices_set.html": "a form",
    "gateway/channel_setup/channels_several.html": "a form",
    "gateway/prices/_preview.html": "the result of one preview, with its file",
    "gateway/prices/_preview_table.html": "the sums of one preview, with their file",
    "gateway/channel_overview/channel.html": "one channel",
    "gateway/prices/plan.html": "one plan",
    "usage/organisations/_team_keys.html": "the keys of one team",
    "usage/organisations/_team_members.html": "the members of one team",
    "mfa/index.html": "a person's own passkeys",
    "usersessions/usersession_list.html": "a person's own sessions",
    "gateway/health/_channel_health.html": "the models of one channel",
    "gateway/status/announcements.html": "the latest few announcements",
    "gateway/routing/model_rules.html": "the few rules and aliases",
    "gateway/prices/_price_rates.html": "one price",
    "gateway/prices/_price_conditions.html": "one price",
    "gateway/prices/proposal.html": "one proposal",
    "gateway/prices/proposals.html": "the latest few previews",
    "gateway/settings/settings.html": "the latest few changes",
    "gateway/routing/shadow_traffic.html": "two rows for each pair of channels",
    "gateway/status/status.html": "every model beside its last week",
    "config/system/health.html": "checks",
    "config/home/_channels.html": "every channel beside its last day",
    "config/home/_errors.html": "the first few of a list",
    "config/home/_latest.html": "the latest few of a list",
    "config/home/_spend.html": "the figures of a chart",
    "config/home/_top.html": "the first few of a list",
    "playground/embeddings/_embedded.html": "one answer",
    "playground/compare/_keys.html": "shortcuts",
    "gateway/catalogue/channel_model_changes.html": "a form",
    "gateway/provider_accounts/balances/_channel_balances.html": "a channel's keys, 100 at most",
    "gateway/prices/upstream_prices/channel_prices.html": "what of one list is not understood",
    "playground/compare/_compare_summary.html": "one chat",
    "playground/chats/_tokens.html": "one answer",
    "playground/panel/_tools_import.html": "a form",
    "playground/turns/_verdict.html": "one comparison",
    "playground/prompts/prompt.html": "versions of one prompt",
    "playground/chats/share.html": "links of one chat",
    "reference/overview.html": "endpoints",
    "usage/requests/_request.html": "the few tries of one call",
    "usage/keys/key_bulk.html": "what one change of several keys would do",
    "usage/limits/_budget_chart.html": "the figures of a chart",
    "usage/limits/_budget_log.html": "alerts of one budget",
    "billing/approvals/approval.html": "the values of one change",
    "billing/safeguards/safeguards.html": "the few that were set, with forms beside them",
    "billing/invoices/_document.html": "the lines of one document",
    "usage/months/seller.html": "the taxes of one seller",
    "usage/reports/_chart_table.html": "the figures of a chart",
    "usage/keys/_effective.html": "the settings of one team, member or key",
    "usage/reports/_meters.html": "one total",
    "usage/requests/_receipt.html": "one receipt",
    "usage/statements/statement.html": "the lines and usage of one statement, with their files",
    "usage/statements/_tie_out.html": "the sums of one statement",
    "usage/breakdowns/_times.html": "the figures of a chart",
    "usage/statements/proof.html": "the sums of all statements",
    "usage/requests/_timeline.html": "one request",
    "config/previews/route_preview.html": "the attempts of one request",
    "config/previews/_sent_preview.html": "the headers of one request",
    "usage/reports/_top.html": "the first few of a list",
    "usage/organisations/team.html": "one team",
    "usage/sessions/_agents.html": "the sub-agents of one session",
    "usage/sessions/_limits.html": "the limits of one session",
}
_ROWS = re.compile(r"<tbody.*?{%\s*for\b.*?<tr", re.S)


def shared() -> set[str]:
    """The pages that the shared part shows."""
    names = {name: view for _, name, view in addresses(get_resolver())}
    return {
        name
        for name, view in names.items()
        if inspect.isfunction(plain := inspect.unwrap(view))
        and "answer_table(" in inspect.getsource(plain)
    }


def test_every_table_is_shown_by_a_page_of_the_url_map() -> None:
    pages = shared()
    assert {"requests", "keys"} <= pages
    assert len(pages) == len([name for name in REGISTERED if not name.startswith("test-")])


def test_every_exempt_list_exists() -> None:
    for template in NO_LIST:
        assert (ROOT / "templates" / template).exists(), template


def test_no_other_template_draws_its_own_rows() -> None:
    """A new list starts from `lib.tables`, not from another list's markup."""
    folder = ROOT / "templates"
    by_hand = {
        str(path.relative_to(folder))
        for path in folder.rglob("*.html")
        if _ROWS.search(path.read_text())
    }
    assert by_hand - NO_LIST.keys() == set()


def test_card_uses_each_position_once() -> None:
    for name, table in REGISTERED.items():
        places = [column.card for column in table.columns if column.card]
        assert len(places) == len(set(places)), name


# Columns that are ordered alike: by what a share is of.
SORTED_ALIKE: Final = {("explore", "cost")}


def test_each_column_is_sorted_by_its_own_value() -> None:
    twice = set()
    for name, table in REGISTERED.items():
        paths = Counter(column.sort_path for column in table.columns if column.sort_path)
        twice |= {(name, path) for path, count in paths.items() if count > 1}
    assert twice == SORTED_ALIKE


def test_no_two_fields_of_a_form_have_one_label() -> None:
    get_resolver()._populate()
    twice, left = [], list(forms.BaseForm.__subclasses__())
    while left:
        form = left.pop()
        left += form.__subclasses__()
        fields = getattr(form, "base_fields", {}).values()
        labels = Counter(str(one.label) for one in fields if one.label)
        if (ROOT / form.__module__.split(".")[0]).is_dir():
            twice += [(form, label) for label, count in labels.items() if count > 1]
    assert twice == []
