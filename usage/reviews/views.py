"""The operators' page of all requests with a doubtful count (I14, F27)."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from accounts.preferences.table_preferences import read_table
from lib.htmx import see_other
from lib.ids import id_text
from lib.refusal import Refused
from lib.sentences import join_words
from lib.tables.pages import answer_table
from lib.tables.table import Badge, Column, Filter, Table
from usage.models import SettleAs
from usage.requests import words
from usage.reviews import accepted_members, reviews
from usage.reviews.forms import KindForm
from usage.reviews.reviews import UnderReview

_SETTLEMENTS = [choice for choice in SettleAs.choices if choice[0] != SettleAs.AMOUNT]

REVIEWS = Table(
    "reviews",
    _("Reviews"),
    (
        Column(
            "started",
            _("Started"),
            "ago",
            value="review.admitted_at",
            sort="attempt_id",
            card="last",
        ),
        Column(
            "organisation",
            _("Organisation"),
            value="review.organisation",
            sort="organisation",
            card="second",
        ),
        Column("slug", _("Slug"), value="review.slug", chosen=False),
        Column("model", _("Model"), value="review.model", sort="model", card="title"),
        Column(
            "channel", _("Channel"), value="review.channel_name", sort="channel_name", priority=3
        ),
        Column("flags", _("Flags"), "badge"),
        Column("charged", _("Charged"), "money", sort="charge_nano", priority=2),
        Column(
            "maximum",
            _("Maximum cost"),
            "money",
            value="review.hold_nano",
            sort="hold_nano",
            card="money",
        ),
        Column("id", _("Request ID"), "code", value="rid", chosen=False),
    ),
    default_sort="-started",
    key="attempt_id",
    href="href",
    filters=(
        Filter("q", _("Organisation, model or channel"), "search"),
        Filter(
            "state",
            _("Status"),
            choices=(
                ("", _("Any status")),
                ("charged", _("Charged by our own count")),
                ("held", _("Reserved until decided")),
            ),
        ),
    ),
)


@operator_page("credits.read")
@require_safe
def review_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(REVIEWS, request, actor)
    held = {"held": True, "charged": False}.get(state.value("state"))
    source = reviews.list_reviews(actor, state.value("q"), held=held)

    def make(rows: list[UnderReview]) -> list[dict[str, Any]]:
        return [_review_row(review) for review in rows]

    templates = ("usage/reviews/reviews.html", "usage/reviews/_reviews.html")
    context = {
        "kinds": reviews.unknown_kinds(actor),
        "settlements": _SETTLEMENTS,
        "accepted": accepted_members.accepted_members(actor).order_by("-id"),
    }
    return answer_table(request, state, source, templates, context, make)


@operator_page("credits.write")
@require_POST
def kind_settle(request: HttpRequest, actor: Actor) -> HttpResponse:
    """End the review of all requests of a kind."""
    form = KindForm(request.POST)
    if not form.is_valid():
        messages.error(request, gettext("The form is incomplete. Reload the page and try again."))
        return see_other("reviews")
    cleaned = form.cleaned_data
    try:
        settled = reviews.settle_kind(
            actor,
            cleaned["provider"],
            cleaned["wire"],
            cleaned["unknown"],
            SettleAs(cleaned["settle_as"]),
            reason=cleaned["reason"],
            accept=cleaned["accept"],
        )
    except Refused as refused:
        messages.error(request, str(refused))
    except Http404:
        messages.info(request, gettext("No request of this kind waits any more."))
    else:
        done = ngettext("%(n)s request settled.", "%(n)s requests settled.", settled.settled)
        messages.success(request, done % {"n": settled.settled})
        if cleaned["accept"]:
            free = gettext("%(members)s costs nothing from now on.")
            messages.success(request, free % {"members": ", ".join(cleaned["unknown"])})
        if settled.first_refusal is not None:
            text = ngettext(
                "%(n)s request cannot be settled like this: %(request)s. %(why)s",
                "%(n)s requests cannot be settled like this. The first is %(request)s: %(why)s",
                settled.refused,
            )
            request_id, why = settled.first_refusal
            refused_text = text % {
                "n": settled.refused, "request": id_text(request_id), "why": why,
            }  # fmt: skip
            messages.error(request, refused_text)
        if settled.waiting > settled.refused:
            more = gettext("More of the same kind wait. Settle them again.")
            messages.info(request, more)
    return see_other("reviews")


@operator_page("credits.write")
@require_POST
def member_revoke(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Put later requests with this member under review again."""
    revoked = accepted_members.revoke_member(actor, id)
    done = gettext("Requests whose usage has %(member)s are reviewed again.")
    messages.success(request, done % {"member": revoked.member})
    return see_other("reviews")


def _review_row(review: UnderReview) -> dict[str, Any]:
    rid = id_text(review.request_id)
    flags = [
        words.flag_word(flag)
        for flag in review.flags
        if flag != "quarantine" and not words.is_guard_use(flag)
    ]
    reasons = join_words([*flags, *review.unknown])
    return {
        "review": review,
        "id": review.attempt_id,
        "rid": rid,
        "href": reverse("request", args=[review.slug, rid]),
        "flags": Badge(reasons, "warn") if reasons else None,
        "charged": None if review.basis == "held" else review.charge_nano,
    }
