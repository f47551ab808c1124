"""The page of operators with all requests whose count is doubted (I14, F27)."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.actors import Actor
from accounts.guards import operator_page
from accounts.table_preferences import read_table
from lib.ids import id_text
from lib.tables.pages import answer_table
from lib.tables.table import Badge, Column, Filter, Table
from usage import reviews, words
from usage.reviews import UnderReview

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
                ("held", _("Held until decided")),
            ),
        ),
    ),
)


@operator_page("credits.read")
@require_safe
def review_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(REVIEWS, request, actor)
    held = {"held": True, "charged": False}.get(state.value("state"))
    source = reviews.found_reviews(actor, state.value("q"), held=held)

    def make(rows: list[UnderReview]) -> list[dict[str, Any]]:
        return [_row(review) for review in rows]

    templates = ("usage/reviews.html", "usage/_reviews.html")
    return answer_table(request, state, source, templates, {}, make)


def _row(review: UnderReview) -> dict[str, Any]:
    rid = id_text(review.request_id)
    flags = ", ".join(words.flag_word(flag) for flag in review.flags if flag != "quarantine")
    return {
        "review": review,
        "id": review.attempt_id,
        "rid": rid,
        "href": reverse("request", args=[review.slug, rid]),
        "flags": Badge(flags, "warn") if flags else None,
        "charged": None if review.basis == "held" else review.charge_nano,
    }
