"""The badges that say how a request ended, and what guards did to it."""

from collections.abc import Sequence

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from lib.tables.table import Badge
from usage.records.outcomes import CLIENT_STOPPED, is_rejected, is_unanswered
from usage.requests import words
from usage.requests.guard_uses import guards_that
from usage.requests.log import RequestRow


def outcome_badge(row: RequestRow) -> Badge:
    return status_badge(row.status, row.display_kind, row.flags)


def status_badge(status: int | None, kind: str | None, flags: Sequence[str] = ()) -> Badge:
    """Return a badge with the outcome of a request, and beside it what guards did; one without a
    status is running."""
    if status is None:
        return Badge(_("Running"), "info", "circle-dashed")
    beside = _masked_badge(flags) if "masked" in flags else None
    if status == CLIENT_STOPPED:
        return Badge(_("Stopped"), beside=beside)
    text = words.status_text(status, kind)
    if is_rejected(status, kind):
        guards = ", ".join(guards_that(words.GUARD_REFUSED, flags))
        if guards:
            text = gettext("%(status)s Rejected: %(guard)s") % {"status": status, "guard": guards}
        return Badge(text, "warn", "shield", hint=words.kind_text(kind or ""), beside=beside)
    if is_unanswered(status):
        return Badge(text, "bad", hint=words.kind_text(kind or ""), beside=beside)
    return Badge(text, "ok", beside=beside)


def _masked_badge(flags: Sequence[str]) -> Badge:
    """Return the badge of a masked request. It names the guards, those after the first as a
    number."""
    guards = guards_that(words.GUARD_MASKED, flags)
    if not guards:
        return Badge(_("Masked"), "info", "shield", hint=_("Masked by a guard"))
    text = gettext("Masked: %(guard)s") % {"guard": guards[0]}
    if len(guards) > 1:
        text += f" +{len(guards) - 1}"
    return Badge(text, "info", "shield", hint=", ".join(guards))
