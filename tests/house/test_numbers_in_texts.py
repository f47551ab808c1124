"""A number of policy that a text says in words is the one that its rule has."""

import datetime as dt
from typing import Final

import pytest

from accounts import keys
from accounts.rules import labels, link_life, passwords
from accounts.rules.content_retention import CLIENT_ADDRESS_DAYS_MAX, RETENTION_HOURS
from billing import codes, credits, idempotency
from billing.rules import pace, payment
from config.request_limits import BODY_BYTES_MAX
from dialects.members import FALLBACKS_MAX
from gateway import bill_api, channel_figures, uptime
from gateway.rules.channel_bounds import URL_MAX
from gateway.rules.channel_testing import ATTEMPTS_MIN, WINDOW_MIN
from lib.tables.exports import SHEET_ROWS
from notify.rules import signing
from playground import events
from playground.rules import files, openapi
from playground.sharing import DAYS as SHARED_DAYS
from relay import config as relay_config
from relay import uploads
from relay.form_body import FORM_BYTES_MAX
from tests.house.test_style import ROOT
from usage import budgeting, exports
from usage.rules.histograms import ERROR_PER_CENT
from usage.sql import END_USER_LENGTH
from usage.used_rows import RECORDS_MAX

_PASSWORD: Final = f"At least {passwords.LENGTH_MIN} characters"
_MIB: Final = 1024 * 1024


def _minutes(span: dt.timedelta) -> str:
    return f"{span // dt.timedelta(minutes=1)} minutes"


def _hours(span: dt.timedelta) -> str:
    return f"{span // dt.timedelta(hours=1)} hours"


_SHARE: Final = f"of at least {ATTEMPTS_MIN} requests in {WINDOW_MIN} minutes"
_WORDS: Final = {5: "five"}
_LATELY: Final = {dt.timedelta(hours=1): "last hour"}[channel_figures.RECENT]
_LABEL: Final = f"1 to {labels.LABEL_LENGTH} visible characters"
_SAYS: Final = [
    ("reference/media_pages.py", f"up to {FORM_BYTES_MAX // _MIB} MiB"),
    ("docs/invoices.md", f"up to {bill_api.CSV_MAX:,} characters"),
    ("templates/api.html", f"within {_hours(idempotency.KEPT)}"),
    ("docs/production.md", f"larger than {uploads.FILE_BYTES_IN_MEMORY // 1024} KiB"),
    (
        "docs/promises.md",
        f"{FORM_BYTES_MAX // _MIB} MiB; {uploads.ALL_BYTES_MAX // _MIB // 1024} GiB",
    ),
    ("reference/realtime_pages.py", f"up to {relay_config.EVENT_BYTES_MAX // _MIB} MiB"),
    ("reference/realtime_pages.py", f"last {relay_config.SESSION_S / 60:.0f} minutes"),
    ("docs/promises.md", f"A realtime session | {relay_config.SESSION_S / 60:.0f} min"),
    ("docs/usage.md", f"{RECORDS_MAX:,} requests"),
    ("usage/api.py", f"more than {RECORDS_MAX:,}"),
    ("docs/usage.md", f"within {ERROR_PER_CENT} %"),
    ("usage/api.py", f"within {ERROR_PER_CENT} %"),
    ("docs/usage.md", f"first {END_USER_LENGTH} characters"),
    ("reference/page.py", f"first {END_USER_LENGTH} characters"),
    ("accounts/forms.py", f"From 0 to {CLIENT_ADDRESS_DAYS_MAX}."),
    ("docs/usage.md", f"{SHEET_ROWS:,} rows"),
    ("docs/usage.md", f"more than {exports.DIRECT_ROWS:,} requests"),
    ("docs/usage.md", f"for {exports.KEPT.days} days"),
    ("docs/usage.md", f"{exports.WAITING_MAX} exports in progress"),
    ("usage/export_api.py", f"kept for {exports.KEPT.days} days"),
    ("usage/export_api.py", f"At most {exports.WAITING_MAX} exports"),
    ("reference/page.py", f"At most {FALLBACKS_MAX}."),
    ("docs/routing.md", f"at most {FALLBACKS_MAX} of them"),
    ("accounts/forms.py", f'GRACE_HOURS), gettext_lazy("{keys.GRACE_HOURS} hours")'),
    ("accounts/forms.py", f'GRACE_HOURS_MAX), gettext_lazy("{keys.GRACE_HOURS_MAX // 24} days")'),
    ("docs/promises.md", f"works for at most {keys.GRACE_HOURS_MAX // 24} days"),
    ("accounts/forms.py", f"A tag has {_LABEL}"),
    ("reference/headers.py", f"each label has {_LABEL}"),
    ("reference/headers.py", f"tags ({labels.TAGS_MAX} at most)"),
    ("accounts/forms.py", _PASSWORD),
    ("templates/account/password_change.html", _PASSWORD),
    ("templates/account/password_set.html", _PASSWORD),
    ("templates/account/password_reset_from_key.html", _PASSWORD),
    ("templates/account/password_reset.html", _minutes(link_life.PASSWORD_RESET)),
    ("templates/account/password_reset_done.html", _minutes(link_life.PASSWORD_RESET)),
    ("templates/account/password_reset_from_key.html", _minutes(link_life.PASSWORD_RESET)),
    (
        "templates/account/email/password_reset_key_message.txt",
        _minutes(link_life.PASSWORD_RESET),
    ),
    ("accounts/management/commands/sign_in_link.py", _minutes(link_life.SIGN_IN)),
    ("accounts/management/commands/set_up_link.py", _hours(link_life.SET_UP)),
    ("docs/production.md", f"once, within {_minutes(link_life.SIGN_IN)}"),
    ("docs/production.md", f"once, within {_hours(link_life.SET_UP)}"),
    ("templates/accounts/set_up.html", _hours(link_life.SET_UP)),
    ("templates/notify/secret.html", _hours(signing.OVERLAP)),
    ("billing/codes.py", f"Try again in {_minutes(codes.TRIES_WITHIN)}"),
    ("templates/billing/credits.html", _hours(credits.TOGETHER)),
    ("templates/billing/overview.html", f"last {pace.DAYS} days"),
    (
        "templates/billing/wallet.html",
        f"At most {_WORDS[payment.AUTOMATIC_A_DAY]} automatic top-ups",
    ),
    ("gateway/channel_fields.py", f"at most {URL_MAX} characters"),
    ("gateway/channel_forms.py", _SHARE),
    ("gateway/channel_schemas.py", f"requests of {WINDOW_MIN} minutes"),
    ("docs/channels.md", _SHARE),
    ("templates/gateway/_channel_health.html", f"{_LATELY.capitalize()}, all processes"),
    ("gateway/channel_figures.py", f"ended within the {_LATELY}"),
    ("gateway/health_api.py", f"Of the {_LATELY}"),
    ("templates/gateway/_uptime.html", f"last {uptime.HOURS} hours"),
    ("templates/home/_channels.html", f"last {uptime.HOURS} hours"),
    ("templates/usage/_budget_preview.html", f"last {budgeting.PREVIEW.days} days"),
    ("templates/playground/_debug.html", f"kept for {_minutes(events.KEPT)}"),
    ("templates/playground/_composer_menus.html", f"{files.BYTES_MAX // _MIB} MB"),
    ("templates/playground/_media_sound.html", f"up to {files.BYTES_MAX // _MIB} MB"),
    ("templates/playground/_media_picture.html", f"up to {files.BYTES_MAX // _MIB} MB"),
    ("playground/words.py", f"limit is {files.BYTES_MAX // _MIB} MB"),
    ("playground/words.py", f"or {files.TEXT_BYTES_MAX // _MIB} MB for text"),
    ("playground/words.py", f"limit is {openapi.BYTES_MAX // _MIB} MB"),
    ("templates/playground/_tools_import.html", f"up to {openapi.BYTES_MAX // _MIB} MB"),
    *(("templates/playground/share.html", f'"{days}"') for days in SHARED_DAYS if days),
    ("templates/413.html", f"up to {BODY_BYTES_MAX // _MIB} MiB"),
    ("templates/reference/overview.html", f"up to {relay_config.BODY_BYTES_MAX // _MIB} MiB"),
    ("reference/headers.py", f"within {RETENTION_HOURS} hours"),
    ("templates/reference/headers.html", f"within {RETENTION_HOURS} hours"),
]


@pytest.mark.parametrize(("file", "says"), _SAYS)
def test_a_text_says_the_number_of_its_rule(file: str, says: str) -> None:
    assert says in " ".join((ROOT / file).read_text().split())
