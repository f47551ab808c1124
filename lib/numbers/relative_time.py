"""Format a time relative to now: ``12 s ago``, ``in 3 h``, or a date if it is farther away."""

from datetime import datetime, timedelta

from django.utils.formats import date_format
from django.utils.translation import gettext


def relative_text(when: datetime, now: datetime) -> str:
    """Return ``12 s ago``, ``in 3 h``, or the date if it is more than a day away."""
    seconds = int((now - when) / timedelta(seconds=1))
    if seconds == 0:
        return gettext("just now")
    size, unit = _largest_unit(abs(seconds))
    if not unit:
        return date_format(when, "DATE_FORMAT")
    if size == 0:
        return gettext("just now")
    patterns = _past_patterns() if seconds >= 0 else _future()
    return patterns[unit] % {"n": size}


def relative_patterns() -> tuple[str, ...]:
    """Return the translated patterns: three for the past, then three for the future, by unit."""
    return (*_past_patterns().values(), *_future().values())


def _past_patterns() -> dict[str, str]:
    return {
        "s": gettext("%(n)s s ago"),
        "min": gettext("%(n)s min ago"),
        "h": gettext("%(n)s h ago"),
    }


def _future() -> dict[str, str]:
    return {
        "s": gettext("in %(n)s s"),
        "min": gettext("in %(n)s min"),
        "h": gettext("in %(n)s h"),
    }


def _largest_unit(seconds: int) -> tuple[int, str]:
    if seconds < 60:
        return seconds, "s"
    if seconds < 3600:
        return seconds // 60, "min"
    if seconds < 86_400:
        return seconds // 3600, "h"
    return 0, ""
