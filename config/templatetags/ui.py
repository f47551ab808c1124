"""Template tags of the page shell: icons, figures, times. `money` has those for money."""

import re
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join, strip_tags
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext, pgettext

from accounts.mail_server.current_server import mail_is_set_up
from lib import clock
from lib.numbers import formatting
from lib.numbers.relative_time import relative_patterns, relative_text
from lib.sentences import close_up, join_words
from usage.log.log_views import outcome_badge
from usage.requests import words

register = template.Library()
register.filter(words.status_text)
register.filter(outcome_badge)

_HEADING = re.compile(r'<h2 id="([\w-]+)"[^>]*>(.*?)</h2>', re.DOTALL)
_PARTS_MIN = 3


@register.simple_tag
@cache
def icon(name: str, small: bool = False) -> SafeString:
    """Return an icon of the sprite. Screen readers skip it, because the text next to it has the
    meaning."""
    return format_html(
        '<svg class="{}" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        "icon icon-sm" if small else "icon",
        static("img/icons.svg"),
        name,
    )


@register.inclusion_tag("components/no_mail.html", takes_context=True)
def no_mail(context: template.Context) -> dict[str, Any]:
    """Return a note that no email is sent while there is no mail server. Belongs beside every text
    that promises one."""
    actor = context.get("actor")
    return {"missing": not mail_is_set_up(), "operates": actor is not None and actor.operator}


@register.simple_block_tag
def contents(content: str) -> SafeString:
    """Return a page's content next to links to its parts. A part begins with an `<h2>` that has an
    id."""
    parts = [
        (id, mark_safe(strip_tags(text).strip()))  # noqa: S308 it is our rendered page
        for id, text in _HEADING.findall(content)
    ]
    if len(parts) < _PARTS_MIN:
        return SafeString(content)
    return format_html(
        '<div class="with-contents"><nav class="contents" aria-label="{}">{}</nav>'
        '<div class="stack">{}</div></div>',
        gettext("On this page"),
        format_html_join("", '<a href="#{}">{}</a>', parts),
        content,
    )


register.filter("join_words", join_words)


@register.simple_block_tag
def sentences(content: str) -> SafeString:
    """Return texts that follow each other, as `lib.sentences.close_up` sets them."""
    return mark_safe(close_up(content))  # noqa: S308 it is our rendered page


@register.filter
def key_name(name: str | None) -> str:
    """Return the displayed name of a key."""
    return words.key_name(name)


@register.filter
def grouped(number: int | None) -> str:
    """Return a count in full, with thousands separators; a dash if it is unknown."""
    return formatting.MISSING if number is None else formatting.group_digits(number)


@register.filter
def compact(number: int | None) -> str:
    """Return a count for a card: three significant digits with K, M, B, in Chinese with 万, 亿."""
    if number is None:
        return formatting.MISSING
    return formatting.compact(number, formatting.units_of(get_language()))


@register.filter
def percent_of(part: int | None, whole: int | None) -> str:
    """``part|percent_of:whole``: a percentage with one decimal."""
    if part is None or whole is None:
        return formatting.MISSING
    return formatting.percent(part, whole)


@register.filter
def share_of(part: int, whole: int) -> str:
    """``part|share_of:whole``: 0 to 100 with two decimals, for a width in an SVG bar."""
    if whole <= 0:
        return "0"
    share = Decimal(part) * 100 / whole
    return str(max(Decimal(0), min(Decimal(100), share)).quantize(Decimal("0.01")))


@register.filter
def part_of(part: int, whole: int) -> str:
    """``part|part_of:whole``: 0 to 1 with four decimals, for a scale in an SVG."""
    return str((Decimal(share_of(part, whole)) / 100).quantize(Decimal("0.0001")))


@register.filter
def duration(milliseconds: int | None) -> str:
    """Return milliseconds as ``842 ms``, ``3.21 s`` or ``1 min 12 s``, with units in the page's
    language."""
    return words.duration_text(milliseconds)


@register.filter
def size(octets: int) -> str:
    """Format a size in bytes in decimal units (kB, MB)."""
    return formatting.data_size(octets)


@register.filter
def cut_id(text: str) -> str:
    """Return an id shortened in the middle."""
    return formatting.cut_id(str(text))


@register.filter
def spark(values: list[int]) -> str:
    """Return the points of a sparkline of 80 by 24 units."""
    return formatting.spark_points(values)


@register.filter
def sentence(text: str) -> str:
    """Return a foreign text as a sentence, with a full stop at its end."""
    text = text.strip()
    return text if not text or text[-1] in ".!?…。！？" else f"{text}."


@register.filter
def initials(name: str) -> str:
    """Return at most two initials of a name or an address, for an avatar."""
    words = name.split("@")[0].replace(".", " ").split()
    return "".join(word[0] for word in words[:2])


@register.simple_tag
def delta(now: int, before: int, bad_when: str = "") -> SafeString:
    """Return a figure's change from the compared period; ``bad_when`` is ``up``, ``down`` or
    empty."""
    direction, text = formatting.change(now, before)
    if direction == "none":
        return format_html('<span class="delta">{}</span>', text)
    if direction == "new":
        return format_html('<span class="delta">{}</span>', pgettext("change", "No earlier data"))
    if direction == "same":
        return format_html('<span class="delta">{}</span>', gettext("no change"))
    tone = "" if not bad_when else "bad" if direction == bad_when else "ok"
    words = {"up": gettext("up"), "down": gettext("down")}
    return format_html(
        '<span class="delta" data-tone="{}"><span aria-hidden="true">{}</span>'
        '<span class="sr">{}</span> {}</span>',
        tone,
        "▲" if direction == "up" else "▼",
        words[direction],
        text,
    )


@register.simple_tag
def delta_of(now: int | None, before: int | None, kind: str) -> SafeString:
    """Return the change of a time or a speed, absolute and in percent. `kind` is ``duration`` (more
    is worse) or ``speed`` (more is better). Empty if either value is unknown."""
    if now is None or before is None:
        return SafeString("")
    if now == before:
        return format_html('<span class="delta">{}</span>', gettext("no change"))
    text_of = words.speed_text if kind == "speed" else words.duration_text
    return format_html(
        '<span class="delta" data-tone="{}">{}</span>',
        "ok" if (now > before) == (kind == "speed") else "bad",
        words.moved_text(now, before, text_of),
    )


@register.filter
def speed(tenths: int | None) -> str:
    """Return tokens per second. `tenths` is the speed in tenths of a token."""
    return words.speed_text(tenths)


@register.simple_tag
def ago(when: datetime | None, zone: str = "") -> SafeString:
    """Return a time relative to now if it is within a day, else the date, in `zone` if given. The
    title has the full time.

    ui.js refreshes it each minute from the ``datetime`` attribute.
    """
    if when is None:
        return format_html("{}", formatting.MISSING)
    local = timezone.localtime(when, ZoneInfo(zone) if zone else None)
    return format_html(
        '<time datetime="{}" title="{}" data-ago>{}</time>',
        local.isoformat(timespec="seconds"),
        date_format(local, "DATETIME_FORMAT"),
        relative_text(local, clock.now()),
    )


def list_time(at: datetime) -> SafeString:
    """Return a time as rows of lists show it: month, day and seconds. The title has the full
    time."""
    local = timezone.localtime(at)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        local.isoformat(timespec="seconds"),
        date_format(local, "DATETIME_FORMAT"),
        date_format(local, "MONTH_DAY_SECONDS_FORMAT"),
    )


@register.filter
def moment(text: str) -> str:
    """Format an ISO 8601 time of a fact for an email: date, time and time zone."""
    return f"{date_format(timezone.localtime(datetime.fromisoformat(text)), 'DATETIME_FORMAT')} UTC"


@register.simple_tag
def ago_patterns() -> str:
    """Return the texts of `ago` for ui.js: three for the past, then three for the future."""
    return "|".join(relative_patterns())
