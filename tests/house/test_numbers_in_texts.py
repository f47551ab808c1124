"""A number of policy that a text says in words is the one that its rule has."""

import datetime as dt
import re
from typing import Final

import pytest

from accounts.keys import keys
from accounts.limits.data_policy import CLIENT_ADDRESS_DAYS_MAX, RETENTION_HOURS
from accounts.limits.end_users import END_USER_LENGTH
from accounts.names import labels
from accounts.sign_in import rules as sign_in_rules
from accounts.sign_up.first_run import SET_UP_LINK
from billing import idempotency
from billing.safeguards.rules import TOGETHER
from billing.topups.automatic import AUTOMATIC_A_DAY
from billing.wallets import pace
from config.server.request_limits import BODY_BYTES_MAX
from content.policies.policies import LISTED_TOGETHER_MAX
from dialects.endpoints import client_secrets
from dialects.json.fallback_models import FALLBACKS_MAX
from gateway.breaker import breaker
from gateway.channels.bounds import URL_MAX
from gateway.channels.channel_tests.rules import ATTEMPTS_MIN, WINDOW_MIN
from gateway.channels.timeouts import Timeouts
from gateway.health import figures as channel_figures
from gateway.health import uptime
from gateway.provider_accounts.reconciliation import bill_api
from lib.tables.exports import SHEET_ROWS
from playground.answers import events
from playground.attachments import rules as files
from playground.chats.sharing import DAYS as SHARED_DAYS
from playground.panel import openapi_tools
from relay.credentials.client_secrets import CONTENT_BYTES_MAX
from relay.hold_sizes.rules import OUTPUT_CAP_MIN
from relay.realtime.connection_life import CONNECTION_S
from relay.realtime.live.connection_time import SLACK_MS
from relay.realtime.live.stretches import LEAD_MS, MARGIN_MS
from relay.requests import body as relay_body
from relay.requests import uploads
from relay.requests.form_body import FORM_BYTES_MAX
from relay.requests.labels import TAGS_MAX
from relay.upstream.websocket import EVENT_BYTES_MAX
from tests.house.test_style import ROOT
from usage.exports import exports
from usage.limits import budget_simulation
from usage.months import invoice_lines
from usage.reports.too_many_records import RECORDS_MAX
from usage.rollups.histograms import ERROR_PER_CENT
from usage.saved_views import scheduled_reports

_PASSWORD: Final = f"At least {sign_in_rules.PASSWORD_LENGTH_MIN} characters"
_MIB: Final = 1024 * 1024


def _measured(heading: str) -> dict[str, list[str]]:
    """The rows of a table of the benchmark, without the lowest and highest of each figure."""
    text = (
        (ROOT / "docs/background/performance.md")
        .read_text()
        .split(f"\n## {heading}\n")[1]
        .split("\n## ")[0]
    )
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {name: [cell.split(" (")[0] for cell in cells] for name, *cells in rows}


def _minutes(span: dt.timedelta) -> str:
    return f"{span // dt.timedelta(minutes=1)} minutes"


def _hours(span: dt.timedelta) -> str:
    return f"{span // dt.timedelta(hours=1)} hours"


_SHARE: Final = f"of at least {ATTEMPTS_MIN} attempts in {WINDOW_MIN} minutes"
_WORDS: Final = {5: "five"}
_LATELY: Final = {dt.timedelta(hours=1): "last hour"}[channel_figures.RECENT]
_LABEL: Final = f"1 to {labels.LABEL_LENGTH} visible characters"
_SECRET_S: Final = f"{client_secrets.SECONDS_MIN}–{client_secrets.SECONDS_MAX}"
_TIMES: Final = Timeouts()
_BREAKER: Final = breaker.BreakerRule()
_SAYS: Final = [
    (
        "docs/guides/failed-requests.md",
        f"streamed answer | {_TIMES.first_content} seconds; "
        f"{_TIMES.until_content(thinks=True, whole=False)} seconds for a model that thinks |",
    ),
    (
        "docs/guides/failed-requests.md",
        f"that is not streamed | {_TIMES.until_content(thinks=False, whole=True)} seconds |",
    ),
    ("docs/guides/failed-requests.md", f"connection to the provider | {_TIMES.connect} seconds |"),
    ("docs/guides/failed-requests.md", f"next part of a stream | {_TIMES.idle} seconds |"),
    ("docs/guides/failed-requests.md", f"end of an answer | {_TIMES.total // 60} minutes |"),
    ("docs/guides/failed-requests.md", f"at least {OUTPUT_CAP_MIN} tokens"),
    ("docs/guides/budgets.md", f"at least {OUTPUT_CAP_MIN} tokens"),
    (
        "docs/guides/routing.md",
        f"within {_BREAKER.window:.0f} seconds there were at least {breaker.SAMPLE_MIN} attempts, "
        "of which at least half failed",
    ),
    (
        "docs/guides/routing.md",
        f"for {_BREAKER.open_for:.0f} to {_BREAKER.open_for * breaker.LONGEST_FACTOR:.0f} seconds",
    ),
    ("docs/guides/routing.md", f"at most {breaker.RETRY_AFTER_S_MAX / 60:.0f} minutes"),
    ("docs/guides/usage.md", f"first {scheduled_reports.ROWS_SHOWN} groups"),
    ("reference/operations/media_pages.py", f"up to {FORM_BYTES_MAX // _MIB} MiB"),
    ("docs/guides/invoices.md", f"up to {bill_api.CSV_MAX:,} characters"),
    ("docs/guides/invoices.md", f"up to {invoice_lines.PROJECTS_MAX} projects"),
    ("templates/config/api/api.html", f"within {_hours(idempotency.KEPT)}"),
    ("docs/operate/data.md", f"{RETENTION_HOURS} hours by default"),
    ("docs/operate/configure.md", f"larger than {uploads.FILE_BYTES_IN_MEMORY // 1024} KiB"),
    (
        "docs/promises.md",
        f"{FORM_BYTES_MAX // _MIB} MiB; {uploads.ALL_BYTES_MAX // _MIB // 1024} GiB",
    ),
    ("reference/operations/realtime_pages.py", f"up to {EVENT_BYTES_MAX // _MIB} MiB"),
    (
        "reference/operations/realtime_pages.py",
        f"last {CONNECTION_S / 60:.0f} minutes",
    ),
    ("reference/operations/realtime_pages.py", _SECRET_S),
    ("reference/operations/realtime_pages.py", f"{client_secrets.SECONDS_DEFAULT}. An open"),
    ("docs/guides/realtime.md", f"{client_secrets.SECONDS_MIN} to {client_secrets.SECONDS_MAX:,}"),
    ("docs/guides/realtime.md", f"by default {client_secrets.SECONDS_DEFAULT}"),
    ("reference/operations/realtime_pages.py", f"≤ {CONTENT_BYTES_MAX // 1000} kB"),
    (
        "docs/promises.md",
        f"the duration of a realtime connection or Live session | {CONNECTION_S / 60:.0f} min",
    ),
    ("reference/operations/live_pages.py", f"last {CONNECTION_S / 60:.0f} minutes"),
    ("docs/guides/realtime.md", f"the next minute {LEAD_MS // 1000} seconds before"),
    ("docs/guides/realtime.md", f"closes the session {MARGIN_MS // 1000} seconds before"),
    ("docs/promises.md", f"each further minute {LEAD_MS // 1000} s before"),
    ("docs/promises.md", f"or it is more than {SLACK_MS // 1000} s above"),
    ("docs/guides/usage.md", f"{RECORDS_MAX:,} requests"),
    ("usage/overview/api.py", f"more than {RECORDS_MAX:,}"),
    ("docs/guides/usage.md", f"within {ERROR_PER_CENT} %"),
    ("usage/overview/api.py", f"within {ERROR_PER_CENT} %"),
    ("docs/guides/usage.md", f"first {END_USER_LENGTH} characters"),
    ("docs/guides/guards.md", f"up to {LISTED_TOGETHER_MAX} models"),
    ("reference/operations/page.py", f"first {END_USER_LENGTH} characters"),
    ("accounts/organisations/forms.py", f"From 0 to {CLIENT_ADDRESS_DAYS_MAX}."),
    ("docs/guides/usage.md", f"{SHEET_ROWS:,} rows"),
    ("docs/guides/usage.md", f"more than {exports.DIRECT_ROWS:,} requests"),
    ("docs/guides/usage.md", f"for {exports.KEPT.days} days"),
    ("docs/guides/usage.md", f"{exports.WAITING_MAX} exports in progress"),
    ("usage/exports/api.py", f"kept for {exports.KEPT.days} days"),
    ("usage/exports/api.py", f"At most {exports.WAITING_MAX} exports"),
    ("reference/operations/page.py", f"At most {FALLBACKS_MAX}."),
    ("docs/guides/routing.md", f"up to {FALLBACKS_MAX} fallback models"),
    ("accounts/keys/forms.py", f'GRACE_HOURS), gettext_lazy("{keys.GRACE_HOURS} hours")'),
    (
        "accounts/keys/forms.py",
        f'GRACE_HOURS_MAX), gettext_lazy("{keys.GRACE_HOURS_MAX // 24} days")',
    ),
    ("docs/promises.md", f"works for at most {keys.GRACE_HOURS_MAX // 24} days"),
    ("accounts/limits/forms.py", f"A tag has {_LABEL}"),
    ("reference/answers/headers.py", f"each label has {_LABEL}"),
    ("reference/answers/headers.py", f"tags ({TAGS_MAX} at most)"),
    ("accounts/sign_in/forms.py", _PASSWORD),
    ("templates/account/password_change.html", _PASSWORD),
    ("templates/account/password_set.html", _PASSWORD),
    ("templates/account/password_reset_from_key.html", _PASSWORD),
    ("templates/account/password_reset.html", _minutes(sign_in_rules.PASSWORD_RESET_LINK)),
    ("templates/account/password_reset_done.html", _minutes(sign_in_rules.PASSWORD_RESET_LINK)),
    ("templates/account/password_reset_from_key.html", _minutes(sign_in_rules.PASSWORD_RESET_LINK)),
    (
        "templates/account/email/password_reset_key_message.txt",
        _minutes(sign_in_rules.PASSWORD_RESET_LINK),
    ),
    ("accounts/management/commands/sign_in_link.py", _minutes(sign_in_rules.SIGN_IN_LINK)),
    ("accounts/management/commands/set_up_link.py", _hours(SET_UP_LINK)),
    ("docs/operate/start.md", f"once, within {_minutes(sign_in_rules.SIGN_IN_LINK)}"),
    ("docs/operate/start.md", f"once, within {_hours(SET_UP_LINK)}"),
    ("templates/accounts/sign_up/set_up.html", _hours(SET_UP_LINK)),
    ("templates/billing/credits/credits.html", _hours(TOGETHER)),
    ("templates/billing/wallets/overview.html", f"last {pace.DAYS} days"),
    (
        "templates/billing/wallets/wallet.html",
        f"At most {_WORDS[AUTOMATIC_A_DAY]} automatic top-ups",
    ),
    ("gateway/channels/fields.py", f"at most {URL_MAX} characters"),
    ("gateway/channel_setup/edit_forms.py", _SHARE),
    ("docs/reference/apply-file.md", f"attempts in the last {WINDOW_MIN} minutes"),
    ("docs/guides/channels.md", _SHARE),
    ("templates/gateway/health/_channel_health.html", f"{_LATELY.capitalize()}, all processes"),
    ("gateway/health/figures.py", f"ended within the {_LATELY}"),
    ("gateway/health/api.py", f"of the {_LATELY}"),
    ("templates/gateway/health/_uptime.html", f"last {uptime.HOURS} hours"),
    ("templates/config/home/_channels.html", f"last {uptime.HOURS} hours"),
    ("templates/usage/limits/_budget_preview.html", f"last {budget_simulation.PREVIEW.days} days"),
    ("templates/playground/panel/_debug.html", f"kept for {_minutes(events.KEPT)}"),
    ("templates/playground/compare/_composer_menus.html", f"{files.BYTES_MAX // _MIB} MB"),
    ("templates/playground/media/_media_sound.html", f"up to {files.BYTES_MAX // _MIB} MB"),
    ("templates/playground/media/_media_picture.html", f"up to {files.BYTES_MAX // _MIB} MB"),
    ("playground/panel/words.py", f"limit is {files.BYTES_MAX // _MIB} MB"),
    ("playground/panel/words.py", f"or {files.TEXT_BYTES_MAX // _MIB} MB for text"),
    ("playground/panel/words.py", f"limit is {openapi_tools.BYTES_MAX // _MIB} MB"),
    (
        "templates/playground/panel/_tools_import.html",
        f"up to {openapi_tools.BYTES_MAX // _MIB} MB",
    ),
    *(("templates/playground/chats/share.html", f'"{days}"') for days in SHARED_DAYS if days),
    ("templates/413.html", f"up to {BODY_BYTES_MAX // _MIB} MiB"),
    ("templates/reference/overview.html", f"up to {relay_body.BODY_BYTES_MAX // _MIB} MiB"),
    ("reference/answers/headers.py", f"within {RETENTION_HOURS} hours"),
    ("templates/reference/headers.html", f"within {RETENTION_HOURS} hours"),
]


@pytest.mark.parametrize(("file", "says"), _SAYS)
def test_text_states_the_number_of_its_rule(file: str, says: str) -> None:
    assert says in " ".join((ROOT / file).read_text().split())


def test_scale_page_has_the_measured_figures() -> None:
    measured = _measured("Weir by process")
    text = (ROOT / "docs/operate/scale.md").read_text()
    rows = re.findall(
        r"^\| (.+?) \| ([\d.,]+) µs \| ([\d.,]+) µs \| ([\d.]+)\D+([\d.]+)", text, re.M
    )
    assert len(rows) == 5
    for name, *of_one, web, postgres in rows:
        assert of_one == measured[name][:2], name
        cores = [f"{float(figure.replace(',', '')) / 1000:.2f}" for figure in of_one]
        assert cores == [web, postgres], name
    memory = _measured("Memory")
    assert f"{memory['with no stream, MB'][0]} MB for a process" in text
    assert (
        f"{float(memory['for each of 2,000 streams, KB'][0]):.0f} KB for each open stream" in text
    )
