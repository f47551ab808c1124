"""What the content log's rules are called on pages."""

from collections.abc import Mapping
from typing import Final

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
    LogScope.TEAM: gettext_lazy("Choose a team."),
    LogScope.KEY: gettext_lazy("Choose an API key."),
    LogScope.MODEL: gettext_lazy("A model, or a pattern such as gpt-5*."),
}
KEEPS: Final[Mapping[str, Promise]] = {
    Keep.EVERYTHING: pgettext_lazy("what is kept", "Every request"),
    Keep.ERRORS: pgettext_lazy("what is kept", "Only requests that fail"),
    Keep.NOTHING: pgettext_lazy("what is kept", "Nothing"),
}


def time_text(hours: int) -> str:
    """Return a time in days if it is a whole number of days, else in hours."""
    days, rest = divmod(hours, 24)
    if rest:
        return ngettext("%(n)s hour", "%(n)s hours", hours) % {"n": hours}
    return ngettext("%(n)s day", "%(n)s days", days) % {"n": days}


def hours_max_text(hours: int) -> str:
    """Return what a policy says about the time for which texts are kept."""
    if hours == 0:
        return gettext("Nothing is kept.")
    return gettext("Texts are kept for at most %(time)s.") % {"time": time_text(hours)}


def rule_text(rule: Rule | None) -> str:
    """Return in a sentence what a rule says about its requests' texts."""
    if rule is None or rule.keep == "nothing":
        return gettext("Prompts and answers are not kept.")
    values = {"time": time_text(rule.retention_hours), "percent": rule.share_percent}
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
    return text % values
