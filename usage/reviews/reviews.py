"""Requests under review: an operator decides their charge (I14, F27).

A request with an implausible count was charged by our own count. If no charge could be computed, or
a part of the usage is not classified (P28), the hold is kept. In both cases one decision ends the
review: an adjustment corrects the books, the hold is released, and the request's record stays as it
was (I7).
"""

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import transaction
from django.http import Http404
from django.utils.translation import gettext

from accounts.access import access
from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.models import Organisation
from billing.currency.money import format_usd
from billing.holds import usage_corrections
from billing.holds.usage_corrections import Borne
from billing.models import PriceVersion
from billing.prices import pricing as pricing_rules
from dialects.usage.usage_members import may_be_accepted
from lib.ids import id_text
from lib.refusal import Refused
from lib.tables.sources import StatementSource
from usage.filters.visibility import NIL, run
from usage.models import Review, SettleAs
from usage.records.counted_meters import read_json
from usage.reviews.accepted_members import accept_members

COUNT_MAX: Final = 99
KINDS_MAX: Final = 50
# The maximum number of reviews that one click ends, each in its own transaction.
KIND_BATCH: Final = 1000


class ReviewRefused(Refused):
    """The decision is invalid."""


class UnderReview(NamedTuple):
    """An attempt with a doubtful count, from its record. `basis` is `held` if its hold is kept.
    `charge_nano` was charged at its end."""

    attempt_id: UUID
    request_id: UUID
    organisation_id: UUID
    slug: str
    organisation: str
    model: str
    channel_name: str
    admitted_at: dt.datetime
    flags: list[str]
    basis: str
    charge_nano: int
    hold_nano: int
    cost_nano: int | None
    meters: Any
    pricing: Any
    price_version_id: int | None
    multiplier_ppm: int

    @property
    def unknown(self) -> list[str]:
        """The members of the request's usage that are not classified (P28)."""
        return list((read_json(self.pricing) or {}).get("unknown", ()))


class UnknownKind(NamedTuple):
    """Requests of a provider that are under review for the same unclassified members or values in
    the same table, `wire` ("" if it is not stored). `waiting` of the `requests` are undecided, and
    hold `held_nano`."""

    provider: str
    wire: str
    unknown: Sequence[str]
    first_at: dt.datetime
    last_at: dt.datetime
    requests: int
    waiting: int
    held_nano: int

    @property
    def name(self) -> str:
        return ", ".join(self.unknown)

    @property
    def may_be_accepted(self) -> bool:
        """Whether these members may be counted as free from now on."""
        return all(may_be_accepted(self.wire, member) for member in self.unknown)

    @property
    def unknown_json(self) -> str:
        """Its value in a form."""
        return json.dumps(list(self.unknown))


class KindRefusal(NamedTuple):
    """Why a request of a kind was not settled like the others."""

    request_id: UUID
    why: ReviewRefused


class KindSettled(NamedTuple):
    """How many requests of a kind were settled, how many cannot be settled in this way, with the
    first of them, and how many are still waiting, with those that cannot."""

    settled: int
    waiting: int
    refused: int
    first_refusal: KindRefusal | None


def unknown_kinds(actor: Actor) -> list[UnknownKind]:
    """Return unclassified usage that providers reported, the latest first; KINDS_MAX at most."""
    access.require(actor, "credits.read")
    rows = run(_KINDS, {"limit": KINDS_MAX})
    return [
        UnknownKind(provider, wire, read_json(unknown), *rest)
        for provider, wire, unknown, *rest in rows
    ]


def settle_kind(
    actor: Actor,
    provider: str,
    wire: str,
    unknown: Sequence[str],
    settle_as: SettleAs,
    *,
    reason: str = "",
    accept: bool = False,
) -> KindSettled:
    """End the review of all requests of a kind in the same way, KIND_BATCH of them at most. With
    `accept`, its members are free from now on. A request that cannot be settled in this way keeps
    waiting, and delays no other: it is not one of these.

    Raises ReviewRefused if nothing can be settled or accepted, Refused if the members cannot be
    accepted, and Http404 if no request is waiting and no member is accepted.
    """
    access.require(actor, "credits.write")
    if actor.user is None:
        raise ReviewRefused("reason", gettext("Only a person can make this decision."))
    if settle_as == SettleAs.AMOUNT:
        text = gettext("Requests of a kind have no amount in common. Choose another settlement.")
        raise ReviewRefused("settle_as", text)
    named = {
        "provider": provider,
        "wire": wire,
        "unknown": json.dumps(list(unknown)),
    }
    if accept:
        accept_members(actor, provider, wire, unknown, reason=reason)
    reason = reason.strip() or gettext("Settled with all requests of its kind: %(unknown)s") % {
        "unknown": ", ".join(unknown)[:400]
    }
    settled, refused, first = 0, 0, None
    for request_id in _waiting_of_kind(named):
        try:
            settle_review(actor, request_id, settle_as, amount_nano=None, reason=reason)
            settled += 1
        except ReviewRefused as why:
            # One that was settled meanwhile is left as it is.
            if not why.already_exists:
                refused += 1
                first = first or KindRefusal(request_id, why)
        if settled == KIND_BATCH:
            break
    if not settled and not accept:
        raise first.why if first else Http404
    # More than could not be settled, if another call may settle some.
    ((waiting,),) = run(_COUNT_OF_KIND, named | {"limit": refused + KIND_BATCH})
    return KindSettled(settled, int(waiting), refused, first)


def _waiting_of_kind(named: dict[str, Any]) -> Iterator[UUID]:
    """Read the waiting requests of a kind, oldest first, KIND_BATCH at a time."""
    after = NIL
    while rows := run(_OF_KIND, named | {"after": after, "limit": KIND_BATCH}):
        yield from (request_id for _, request_id in rows)
        after = rows[-1][0]


def open_reviews(actor: Actor, limit: int, before: UUID | None = None) -> list[UnderReview]:
    """Return the waiting reviews of all organisations older than `before`, newest first."""
    access.require(actor, "credits.read")
    return [UnderReview(*row) for row in run(_OLDER, {"limit": limit, "before": before})]


def list_reviews(
    actor: Actor, text: str, *, held: bool | None = None
) -> StatementSource[UnderReview]:
    """List waiting reviews with a text in their organisation, model or channel; with `held` only
    held ones, or only charged ones."""
    access.require(actor, "credits.read")
    return StatementSource(_FOUND, {"text": text, "held": held}, UnderReview)


def count_open(actor: Actor) -> int:
    """Return how many are waiting, COUNT_MAX + 1 at most."""
    access.require(actor, "credits.read")
    ((count,),) = run(_COUNT, {"limit": COUNT_MAX + 1})
    return int(count)


def review_of(request_id: UUID) -> tuple[UnderReview | None, Review | None]:
    """Return the part of a request that is or was under review, and the decision."""
    rows = run(_OF_REQUEST, {"request": request_id})
    if not rows:
        return None, None
    under_review = UnderReview(*rows[0])
    return under_review, Review.objects.select_related("decided_by").filter(
        pk=under_review.attempt_id
    ).first()


def settle_review(
    actor: Actor, request_id: UUID, settle_as: SettleAs, *, amount_nano: int | None, reason: str
) -> Review:
    """End the review of a request: the customer pays an operator's figure, the bound (which is the
    hold), the known part of the count, or nothing. Weir's operator bears the amount by which the
    charge is reduced.

    Raises ReviewRefused, also if the review was decided before, and Http404 if nothing is under
    review.
    """
    access.require(actor, "credits.write")
    if actor.user is None:
        raise ReviewRefused("reason", gettext("Only a person can make this decision."))
    if not reason.strip():
        raise ReviewRefused("reason", gettext("Enter a reason. It is stored with the posting."))
    under_review, _ = review_of(request_id)
    if under_review is None:
        raise Http404
    charge_nano = _charge(under_review, settle_as, amount_nano)
    with transaction.atomic():
        usage_corrections.lock_wallet(under_review.organisation_id)
        same = Review.objects.filter(pk=under_review.attempt_id).first()
        if same is not None:
            text = gettext("%(email)s already settled this request: %(decision)s.")
            named = text % {
                "email": same.decided_by.email, "decision": same.get_settle_as_display(),
            }  # fmt: skip
            raise ReviewRefused("settle_as", named, already_exists=True)
        stand = usage_corrections.read_borne_cost(under_review.attempt_id)
        usage_corrections.release_kept(under_review.attempt_id, under_review.organisation_id)
        spared_nano = stand.customer_nano if settle_as == SettleAs.FREE else 0
        platform_nano = stand.platform_nano + spared_nano
        owed_nano = (
            charge_nano + platform_nano
            if under_review.cost_nano is None
            else under_review.cost_nano
        )
        usage_corrections.correct(
            under_review.attempt_id,
            under_review.organisation_id,
            "review",
            stand,
            Borne(charge_nano, platform_nano, owed_nano),
            cause={"attempt": id_text(under_review.attempt_id), "settle_as": str(settle_as),
                   "reason": reason.strip()},
            actor=actor.user.email,
        )  # fmt: skip
        review = Review.objects.create(
            attempt_id=under_review.attempt_id,
            organisation_id=under_review.organisation_id,
            request_id=request_id,
            settle_as=settle_as,
            before_nano=stand.customer_nano,
            charge_nano=charge_nano,
            reason=reason.strip(),
            decided_by=actor.user,
        )
        audit.record(
            actor, Organisation.objects.get(id=under_review.organisation_id), "request.reviewed",
            review, request=id_text(request_id), settle_as=str(settle_as), reason=review.reason,
            before=format_usd(stand.customer_nano), charge=format_usd(charge_nano),
        )  # fmt: skip
    return review


def _charge(under_review: UnderReview, settle_as: SettleAs, amount_nano: int | None) -> int:
    if settle_as != SettleAs.AMOUNT:
        if amount_nano is not None:
            raise ReviewRefused(
                "amount", gettext("Only enter an amount when settling a specific amount.")
            )
        if settle_as == SettleAs.COUNT:
            return _known_price_nano(under_review)
        return under_review.hold_nano if settle_as == SettleAs.BOUND else 0
    if amount_nano is None:
        raise ReviewRefused("amount", gettext("Enter the amount to charge."))
    if not 0 <= amount_nano <= under_review.hold_nano:
        bound = format_usd(under_review.hold_nano)
        text = gettext("A request cannot be charged more than its maximum cost, %(bound)s USD.")
        raise ReviewRefused("amount", text % {"bound": bound})
    return amount_nano


def _known_price_nano(under_review: UnderReview) -> int:
    """Return the price of the known part of a request's count, at most the hold."""
    meters, pricing = read_json(under_review.meters), read_json(under_review.pricing)
    version_id = under_review.price_version_id
    stored = None if version_id is None else PriceVersion.objects.filter(pk=version_id).first()
    if stored is None or not meters:
        raise ReviewRefused("settle_as", gettext("There is no count with a price."))
    version = pricing_rules.PriceVersion.from_stored(stored.rates)
    version = version.multiplied(under_review.multiplier_ppm)
    try:
        parts = pricing_rules.stored_parts(pricing, meters, version)
    except pricing_rules.PriceInvalid as error:
        raise ReviewRefused("settle_as", gettext("There is no count with a price.")) from error
    total = pricing_rules.total_of_parts([(part.meters, part.version) for part in parts])
    if not isinstance(total, int):
        text = gettext("The count has no price: %(meters)s. Set one, or choose another settlement.")
        raise ReviewRefused("settle_as", text % {"meters": ", ".join(total.meters)})
    return min(total, under_review.hold_nano)


_COLUMNS: Final = """
    r.id AS attempt_id, r.request_id, r.organisation_id, o.slug, o.name AS organisation, r.model,
    r.channel_name, r.admitted_at, r.flags, r.basis, r.charge_nano, r.hold_nano, r.cost_nano,
    r.meters, r.pricing, r.price_version_id, r.multiplier_ppm"""
# Must equal the condition of the partial index, or Postgres does not use the index.
_DOUBTED: Final = "'quarantine' = ANY (r.flags)"
_UNDECIDED: Final = (
    f"{_DOUBTED} AND NOT EXISTS (SELECT FROM usage_review v WHERE v.attempt_id = r.id)"
)

_OPEN: Final = f"""
    SELECT {_COLUMNS} FROM usage_usagerecord r
    JOIN accounts_organisation o ON o.id = r.organisation_id
    WHERE {_UNDECIDED}"""  # noqa: S608 - only this file's own names are put in

_OLDER: Final = f"""
    {_OPEN} AND (%(before)s::uuid IS NULL OR r.id < %(before)s)
    ORDER BY r.id DESC LIMIT %(limit)s"""

_FOUND: Final = f"""
    {_OPEN} AND (%(held)s::boolean IS NULL OR (r.basis = 'held') = %(held)s)
    AND strpos(lower(concat_ws(' ', o.name, o.slug, r.model, r.channel_name)), lower(%(text)s)) > 0
    """

_COUNT: Final = f"""
    SELECT count(*) FROM (
        SELECT FROM usage_usagerecord r WHERE {_UNDECIDED} LIMIT %(limit)s) found"""  # noqa: S608

_PROVIDER: Final = "r.pricing->>'provider'"
_WIRE: Final = "coalesce(r.pricing->>'wire', '')"
_MEMBERS: Final = "r.pricing->'unknown'"

_KINDS: Final = f"""
    SELECT {_PROVIDER}, {_WIRE}, {_MEMBERS},
           min(r.admitted_at), max(r.admitted_at),
           count(*), count(*) FILTER (WHERE v.attempt_id IS NULL),
           coalesce(sum(r.hold_nano) FILTER (WHERE v.attempt_id IS NULL), 0)::bigint
    FROM usage_usagerecord r LEFT JOIN usage_review v ON v.attempt_id = r.id
    WHERE {_DOUBTED} AND {_MEMBERS} IS NOT NULL
    GROUP BY 1, 2, 3 ORDER BY 5 DESC LIMIT %(limit)s"""  # noqa: S608

# By all that tells one kind from another in the list.
_ONE_KIND: Final = f"""{_UNDECIDED} AND {_PROVIDER} = %(provider)s AND {_WIRE} = %(wire)s
    AND {_MEMBERS} = %(unknown)s::jsonb"""

_OF_KIND: Final = f"""
    SELECT r.id, r.request_id FROM usage_usagerecord r
    WHERE {_ONE_KIND} AND r.id > %(after)s
    ORDER BY r.id LIMIT %(limit)s"""  # noqa: S608

_COUNT_OF_KIND: Final = f"""
    SELECT count(*) FROM (
        SELECT FROM usage_usagerecord r WHERE {_ONE_KIND} LIMIT %(limit)s) found"""  # noqa: S608

_OF_REQUEST: Final = f"""
    SELECT {_COLUMNS} FROM usage_usagerecord r
    JOIN accounts_organisation o ON o.id = r.organisation_id
    WHERE r.request_id = %(request)s AND {_DOUBTED}
    ORDER BY r.id DESC LIMIT 1"""  # noqa: S608 - only this file's own names are put in
