"""Every list is shown by one shared part (`lib.tables`)."""

import inspect
import re

from django.urls import get_resolver

from lib.tables.table import REGISTERED
from tests.house.test_access import addresses
from tests.house.test_style import ROOT

# Rows that are no list of objects: parts of one object, a chart's figures, a form.
NO_LIST = {
    "_api_fields.html": "fields of a body",
    "accounts/key_rotate.html": "secrets of a key",
    "api.html": "operations",
    "billing/_balance_chart.html": "the figures of a chart",
    "billing/_invoice_payments.html": "how one invoice was paid",
    "billing/_subscription_offers.html": "the plans to choose from, in a form",
    "billing/overview.html": "promotional credit of a wallet",
    "billing/payments.html": "the latest payments that match no top-up",
    "billing/subscription.html": "the latest charges of one subscription",
    "design/_chart.html": "the style sheet",
    "design/_table.html": "the style sheet",
    "gateway/_changes.html": "what one save would change",
    "gateway/_channel_keys.html": "keys of one channel",
    "gateway/_proposed_models.html": "a form",
    "gateway/channel_models.html": "a form",
    "gateway/_preview.html": "the result of one preview, with its file",
    "gateway/_preview_table.html": "the sums of one preview, with their file",
    "gateway/channel.html": "one channel",
    "gateway/plan.html": "one plan",
    "mfa/index.html": "a person's own passkeys",
    "usersessions/usersession_list.html": "a person's own sessions",
    "gateway/_channel_health.html": "the models of one channel",
    "gateway/announcements.html": "the latest few announcements",
    "gateway/model_rules.html": "forms beside what they made",
    "gateway/price.html": "one price",
    "gateway/_price_conditions.html": "one price",
    "gateway/proposal.html": "one proposal",
    "gateway/proposals.html": "the latest few previews",
    "gateway/settings.html": "the latest few changes",
    "gateway/shadow_traffic.html": "two rows for each pair of channels",
    "gateway/status.html": "every model beside its last week",
    "health.html": "checks",
    "home/_channels.html": "every channel beside its last day",
    "home/_errors.html": "the first few of a list",
    "home/_latest.html": "the latest few of a list",
    "home/_spend.html": "the figures of a chart",
    "home/_top.html": "the first few of a list",
    "playground/_embedded.html": "one answer",
    "playground/_keys.html": "shortcuts",
    "gateway/channel_model_changes.html": "a form",
    "gateway/channel_prices.html": "what of one list is not understood",
    "playground/_compare_summary.html": "one chat",
    "playground/_tokens.html": "one answer",
    "playground/_tools_import.html": "a form",
    "playground/_verdict.html": "one comparison",
    "playground/prompt.html": "versions of one prompt",
    "playground/share.html": "links of one chat",
    "reference/overview.html": "endpoints",
    "usage/_callback.html": "the few tries of one call",
    "usage/key_bulk.html": "what one change of several keys would do",
    "usage/_budget_chart.html": "the figures of a chart",
    "usage/_budget_log.html": "alerts of one budget",
    "billing/_document.html": "the lines of one document",
    "usage/seller.html": "the taxes of one seller",
    "usage/_chart_table.html": "the figures of a chart",
    "usage/_effective.html": "the settings of one team, member or key",
    "usage/_meters.html": "one total",
    "usage/_receipt.html": "one receipt",
    "usage/_statement_groups.html": "the usage of one statement, with its file",
    "usage/_statement_lines.html": "the lines of one statement, with its file",
    "usage/_tie_out.html": "the sums of one statement",
    "usage/_times.html": "the figures of a chart",
    "usage/proof.html": "the sums of all statements",
    "usage/_timeline.html": "one request",
    "route_preview.html": "the attempts of one request",
    "_sent_preview.html": "the headers of one request",
    "usage/_top.html": "the first few of a list",
    "usage/team.html": "one team",
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


def test_what_is_named_as_no_list_exists() -> None:
    for template in NO_LIST:
        assert (ROOT / "templates" / template).exists(), template


def test_no_other_template_draws_rows_by_itself() -> None:
    """A new list starts from `lib.tables`, not from another list's markup."""
    folder = ROOT / "templates"
    by_hand = {
        str(path.relative_to(folder))
        for path in folder.rglob("*.html")
        if _ROWS.search(path.read_text())
    }
    assert by_hand - NO_LIST.keys() == set()


def test_a_card_has_each_place_once() -> None:
    for name, table in REGISTERED.items():
        places = [column.card for column in table.columns if column.card]
        assert len(places) == len(set(places)), name
