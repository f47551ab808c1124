"""What the content log's rules are called on pages."""

import datetime as dt
from collections.abc import Mapping
from typing import Final

from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy, ngettext, pgettext_lazy

from content.models import Keep, LogScope
from content.rules.rules import Rule

SCOPES: Final[Mapping[str, Promise]] = {
    LogScope.ORGANISATION: gettext_lazy("Organisation"),
    LogScope.TEAM: gettext_lazy("Team"),
    LogScope.KEY: gettext_lazy("API key"),
    LogScope.MODEL: gettext_lazy("Model"),
}
SUBJECT_HINTS: Final[Mapping[str, Promise]] = {
    LogScope.TEAM: gettext_lazy("The rule applies to all keys of the team."),
    LogScope.KEY: gettext_lazy("The rule applies to this key alone."),
    LogScope.MODEL: gettext_lazy("A model, or a pattern such as gpt-5*."),
}
KEEPS: Final[Mapping[str, Promise]] = {
    Keep.EVERYTHING: pgettext_lazy("what is kept", "Every request"),
    Keep.ERRORS: pgettext_lazy("what is kept", "Only requests that fail"),
    Keep.NOTHING: pgettext_lazy("what is kept", "Nothing"),
}


def split_time(hours: int) -> tuple[int, int]:
    """Return a time in the unit that pages and forms show, and the hours of the unit: days if it is
    two whole days or more, else hours."""
    days, rest = divmod(hours, 24)
    return (hours, 1) if rest or days < 2 else (days, 24)


def time_text(hours: int) -> str:
    """Return a time as pages show it: `24 hours`, `7 days`."""
    n, unit = split_time(hours)
    if unit == 1:
        return ngettext("%(n)s hour", "%(n)s hours", n) % {"n": n}
    return ngettext("%(n)s day", "%(n)s days", n) % {"n": n}


def hours_max_text(hours: int) -> str:
    """Return what a policy says about the time for which texts are kept."""
    if hours == 0:
        return gettext("Nothing is kept.")
    return gettext("Texts are kept for at most %(time)s.") % {"time": time_text(hours)}


def rule_text(rule: Rule | None) -> str:
    """Return in a sentence what a rule says about its requests' texts."""
    if rule is None or rule.keep == "nothing":
        return gettext("Prompts and answers are not logged.")
    values: dict[str, object] = {
        "time": time_text(rule.retention_hours),
        "percent": rule.share_percent,
    }
    if rule.keep == "errors" and rule.share_percent < 100:
        text = gettext("Prompts of %(percent)s %% of the requests that fail are kept for %(time)s.")
    elif rule.keep == "errors":
        text = gettext("Prompts of requests that fail are kept for %(time)s.")
    elif rule.share_percent < 100:
        text = gettext(
            "Prompts and answers of %(percent)s %% of the requests are kept for %(time)s."
        )
    else:
        text = gettext("Prompts and answers are kept for %(time)s.")
    if rule.until is not None:
        end = dt.datetime.fromtimestamp(rule.until, dt.UTC)
        text += " " + gettext("The rule ends on %(end)s UTC.")
        values["end"] = date_format(end, "DATETIME_FORMAT")
    return text % values
