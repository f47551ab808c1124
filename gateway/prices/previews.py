"""Price previews: compute what the usage of the last days would have cost at draft prices.

A preview is a job that any process can continue: each step prices some thousands of records, and
stores its position and sums in one transaction. After a crash it resumes; nothing is counted twice.
The actual charges come from the books; the hypothetical ones from the stored meters and each
record's plan multiplier.
"""

import datetime as dt
import json
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.models import Organisation
from billing.models import PriceProposal, ProposalState
from billing.models import PriceVersion as StoredVersion
from billing.prices.conditions import PriceKey
from billing.prices.lookup import Price, PriceList, PriceRow
from billing.prices.prices import ListedPrice, key_of, list_prices
from billing.prices.pricing import (
    PriceVersion,
    Unpriced,
    reached_tier,
    stored_parts,
    total_of,
    total_of_parts,
)
from gateway.models import PreviewState, PricePreview
from gateway.prices.replay import COLUMNS, RowPriced, Sums
from gateway.prices.replay_budgets import ReplayBudgets, crossed_windows
from lib import clock
from lib.database.outage import is_transient
from lib.ids import ID_SLACK, first_id_at, id_text

log = logging.getLogger(__name__)

DAYS: Final = (7, 30, 90)
_CHUNK: Final = 5_000
_STEP_NS: Final = 20 * 10**9
# Records on these bases are never charged, whatever the price.
_UNCHARGED: Final = frozenset({"absorbed", "none"})


class PreviewRefused(ValueError):
    """There is nothing to preview. The text says why."""


def start_preview(actor: Actor, proposal_ids: Sequence[UUID], days: int) -> PricePreview:
    """Queue a preview of these proposals over the last days."""
    rows = PriceProposal.objects.filter(id__in=list(proposal_ids), state=ProposalState.OPEN)
    drafts = [
        {"id": id_text(row.id), **key_of(row)._asdict(), "rates": row.rates}
        for row in rows
        if row.rates
    ]
    if not drafts:
        raise PreviewRefused(gettext("Select at least one draft or proposal that sets a price."))
    now = clock.now()
    with transaction.atomic():
        preview = PricePreview.objects.create(
            drafts=drafts,
            start_at=now - dt.timedelta(days=days),
            end_at=now,
            made_by=actor.user,
        )
        audit.record(actor, None, "preview.started", preview, days=days, drafts=len(drafts))
    return preview


def cancel_preview(actor: Actor, preview: PricePreview) -> None:
    """Stop an unfinished preview and drop its sums."""
    with transaction.atomic():
        stopped = PricePreview.objects.filter(
            id=preview.id, state__in=(PreviewState.QUEUED, PreviewState.RUNNING)
        ).update(state=PreviewState.CANCELLED, ended_at=clock.now(), sums={}, place={})
        if stopped:
            audit.record(actor, None, "preview.cancelled", preview)


def work_off(step_ns: int = _STEP_NS) -> int:
    """Continue previews for a limited time, at least one step. Return how many were finished.
    Several processes may run this concurrently."""
    until, finished = time.monotonic_ns() + step_ns, 0
    while True:
        preview_id = (
            PricePreview.objects.filter(state__in=(PreviewState.QUEUED, PreviewState.RUNNING))
            .order_by("id")
            .values_list("id", flat=True)
            .first()
        )
        if preview_id is None:
            break
        taken, over = _continue_preview(preview_id, until)
        finished += over
        if not taken or time.monotonic_ns() >= until:
            break
    return finished


def _continue_preview(preview_id: UUID, until: int) -> tuple[bool, bool]:
    """Work on one preview. Return whether this process held it, and whether it is finished."""
    book: Book | None = None
    try:
        while True:
            with transaction.atomic():
                preview = (
                    PricePreview.objects.select_for_update(skip_locked=True)
                    .filter(id=preview_id, state__in=(PreviewState.QUEUED, PreviewState.RUNNING))
                    .first()
                )
                if preview is None:
                    return False, False
                book = book or Book(preview.drafts, preview.start_at)
                _step(preview, book)
            if preview.state != PreviewState.RUNNING:
                return True, True
            if time.monotonic_ns() >= until:
                return True, False
    except Exception as error:
        if is_transient(error):
            # The next run resumes.
            raise
        # End the preview, because a defect must not be tried for ever, and the page needs an error
        # to show.
        log.exception("price preview %s failed", preview_id)
        PricePreview.objects.filter(id=preview_id).update(
            state=PreviewState.FAILED, message=type(error).__name__, ended_at=clock.now()
        )
        return True, True


def _step(preview: PricePreview, book: "Book") -> None:
    """Price one more batch, in the caller's transaction."""
    if preview.state == PreviewState.QUEUED or not Sums.can_resume(preview.sums):
        counts = _counts(preview)
        preview.state, preview.started_at = PreviewState.RUNNING, clock.now()
        preview.total, preview.done, preview.sums = sum(counts.values()), 0, {}
        preview.place = {"left": list(counts), "after": None}
    else:
        _price_some(preview, book)
    if not preview.place["left"]:
        preview.state, preview.ended_at = PreviewState.DONE, clock.now()
        preview.result = _result(preview)
        preview.sums, preview.place = {}, {}
    preview.save()


def _price_some(preview: PricePreview, book: "Book") -> None:
    sums = Sums.of(preview.sums)
    left, after = preview.place["left"], preview.place["after"]
    rows = _read(preview, UUID(left[0]), None if after is None else UUID(after))
    for row, priced in zip(rows, book.price(rows), strict=True):
        sums.add(priced)
        at = dt.datetime.fromtimestamp(row.admitted_s, dt.UTC)
        for window in book.budgets.windows(row.organisation_id, row.subjects(), at):
            sums.add_to_window(window, priced)
    preview.done += len(rows)
    preview.sums = sums.stored()
    if len(rows) < _CHUNK:
        preview.place = {"left": left[1:], "after": None}
    else:
        preview.place = {"left": left, "after": str(rows[-1].id)}


class _Row(NamedTuple):
    id: UUID
    organisation_id: UUID
    model: str
    channel_name: str
    admitted_s: int
    meters: dict[str, int]
    charge_nano: int
    cost_nano: int | None
    basis: str
    price_version_id: int | None
    multiplier_ppm: int
    team_id: UUID
    key_id: UUID
    user_id: int | None
    pricing: dict[str, Any] | None
    own_nano: int | None

    def subjects(self) -> dict[str, str]:
        """Return the possible subjects of a budget, by scope."""
        return {
            "organisation": "",
            "team": str(self.team_id),
            "key": str(self.key_id),
            "user": str(self.user_id or ""),
            "model": self.model,
        }


class Book:
    """The current prices and budgets, with the drafts in place of the prices that they would
    change."""

    def __init__(self, drafts: Sequence[dict[str, Any]], start_at: dt.datetime) -> None:
        now = clock.now()
        self.budgets = ReplayBudgets(start_at)
        self._charges = PriceList(_price_rows(list_prices(), drafts, "charge", now))
        costs: dict[str, list[PriceRow]] = {}
        for row in _price_rows(list_prices(kind="cost"), drafts, "cost", now):
            costs.setdefault(row.channel, []).append(row)
        self._costs = {channel: PriceList(rows) for channel, rows in costs.items()}
        self._names: dict[str, tuple[str, ...]] = {}
        self._charged: dict[int, tuple[PriceVersion, str, str]] = {}

    def price(self, rows: Sequence[_Row]) -> Iterable[RowPriced]:
        """Yield each row with its present price and its price with the drafts."""
        self._learn({row.price_version_id for row in rows if row.price_version_id})
        return [self._reprice(row) for row in rows]

    def _reprice(self, row: _Row) -> RowPriced:
        before = self._charged.get(row.price_version_id or 0)
        tier = before[1] if before is not None else ""
        region = before[2] if before is not None else ""
        draft_nano, repriced, moved, unpriced = row.charge_nano, False, False, False
        own_draft_nano = row.own_nano or 0
        price = self._find(row, tier, region)
        if price is not None and price.id < 0 and row.basis not in _UNCHARGED:
            version = price.version.multiplied(row.multiplier_ppm)
            charge = _charge(row, version)
            if row.own_nano is not None:
                # The organisation pays this to its provider; the fee and the cost stay.
                own_draft_nano = charge if isinstance(charge, int) else row.own_nano
            elif isinstance(charge, int):
                draft_nano, repriced = charge, True
                moved = before is not None and (
                    reached_tier(row.meters, before[0]) != reached_tier(row.meters, version)
                )
            else:
                unpriced = True
        return RowPriced(
            organisation=str(row.organisation_id),
            model=row.model,
            now_nano=row.charge_nano,
            draft_nano=draft_nano,
            cost_now_nano=row.cost_nano,
            cost_draft_nano=(
                self._cost(row, tier, region) if row.own_nano is None else row.cost_nano
            ),
            repriced=repriced,
            moved=moved,
            unpriced=unpriced,
            own_now_nano=row.own_nano or 0,
            own_draft_nano=own_draft_nano,
        )

    def _find(self, row: _Row, tier: str, region: str) -> Price | None:
        names = self._names.get(row.model)
        if names is None:
            names = self._names[row.model] = self._charges.names_for(row.model)
        price = self._charges.find(names, row.admitted_s)
        return None if price is None else price.served_in((region,)).for_tier(tier)

    def _cost(self, row: _Row, tier: str, region: str) -> int | None:
        for channel in (row.channel_name, ""):
            costs = self._costs.get(channel)
            price = costs and costs.find(costs.names_for(row.model), row.admitted_s)
            if not price:
                continue
            price = price.served_in((region,)).for_tier(tier)
            if price.id >= 0:
                break
            cost = total_of(_fitting(row.meters, price.version), price.version)
            return cost if isinstance(cost, int) else row.cost_nano
        return row.cost_nano

    def _learn(self, ids: set[int]) -> None:
        unknown = ids - self._charged.keys()
        for version in StoredVersion.objects.select_related("price").filter(id__in=unknown):
            rates = PriceVersion.from_stored(version.rates)
            price = version.price
            self._charged[version.id] = (rates, price.service_tier, price.region)


def _price_rows(
    prices: Sequence[ListedPrice], drafts: Sequence[dict[str, Any]], kind: str, now: dt.datetime
) -> list[PriceRow]:
    """Drafts have negative ids and are always valid, because only their hours distinguish them."""
    wanted: dict[PriceKey, dict[str, Any]] = {}
    for draft in drafts:
        key = PriceKey(**{name: draft[name] for name in PriceKey._fields})
        if key.kind == kind:
            wanted[key] = draft["rates"]
    rows = [
        _price_row(price.version_id, price.key, price.rates)
        for price in prices
        if price.in_force_at(now) and price.key not in wanted
    ]
    rows += [
        _price_row(-number, key, rates) for number, (key, rates) in enumerate(wanted.items(), 1)
    ]
    return rows


def _price_row(id: int, key: PriceKey, rates: dict[str, Any]) -> PriceRow:
    return PriceRow(id=id, **key._asdict(), valid_from=0, valid_to=None, rates=rates)


def _charge(row: _Row, version: PriceVersion) -> int | Unpriced:
    """Return the charge of a record at a version, part by part if it has parts."""
    if not (row.pricing or {}).get("parts"):
        return total_of(_fitting(row.meters, version), version)
    parts = stored_parts(row.pricing, row.meters, version)
    first, *others = parts
    return total_of_parts(
        [
            (_fitting(dict(first.meters), first.version), first.version),
            *((part.meters, part.version) for part in others),
        ]
    )


def _decode_stored(stored: Any) -> Any:
    """Parse JSON, which Django's connection returns as text."""
    return json.loads(stored) if isinstance(stored, str) else stored


def _fitting(meters: dict[str, int], version: PriceVersion) -> dict[str, int]:
    """Return the meters for a version. The meter per request is added only if the version has a
    rate for it."""
    if "requests" in version.rates:
        return {**meters, "requests": 1}
    return {name: used for name, used in meters.items() if name != "requests"}


def _counts(preview: PricePreview) -> dict[str, int]:
    """Return the number of records by organisation."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, _bounds(preview))
        return {str(organisation): count for organisation, count in cursor.fetchall()}


def _read(preview: PricePreview, organisation: UUID, after: UUID | None) -> list[_Row]:
    parameters = {**_bounds(preview), "organisation": organisation, "limit": _CHUNK}
    parameters["after"] = after or UUID(int=0)
    with connection.cursor() as cursor:
        cursor.execute(_READ, parameters)
        return [
            _Row(*row)._replace(meters=_decode_stored(row[5]), pricing=_decode_stored(row[14]))
            for row in cursor.fetchall()
        ]


def _bounds(preview: PricePreview) -> dict[str, Any]:
    return {
        "start_at": preview.start_at,
        "end_at": preview.end_at,
        "first_id": first_id_at(preview.start_at - ID_SLACK),
        "last_id": first_id_at(preview.end_at + ID_SLACK),
    }


def _result(preview: PricePreview) -> dict[str, Any]:
    """Build the result for the page: sums by model and by organisation, the largest change
    first."""
    sums = Sums.of(preview.sums)
    names = dict(Organisation.objects.filter(id__in=sums.organisations).values_list("id", "name"))
    return {
        "columns": list(COLUMNS),
        "total": sums.total,
        "repriced": sums.repriced,
        "moved": sums.moved,
        "unpriced": sums.unpriced,
        "budgets": crossed_windows(sums.windows),
        "models": [[name, *figures] for name, figures in _largest(sums.models)],
        "organisations": [
            [names.get(UUID(id), id), *figures] for id, figures in _largest(sums.organisations)
        ],
    }


def _largest(groups: dict[str, list[int]]) -> list[tuple[str, list[int]]]:
    return sorted(groups.items(), key=lambda item: (-abs(item[1][2] - item[1][1]), item[0]))


_IN_TIME: Final = """
    r.id >= %(first_id)s AND r.id < %(last_id)s
    AND r.admitted_at >= %(start_at)s AND r.admitted_at < %(end_at)s AND r.meters <> '{}'::jsonb"""

_COUNT: Final = f"""
    SELECT r.organisation_id, count(*) FROM usage_usagerecord r
    WHERE {_IN_TIME} GROUP BY r.organisation_id ORDER BY r.organisation_id"""  # noqa: S608

_READ: Final = f"""
    SELECT r.id, r.organisation_id, r.model, r.channel_name,
           extract(epoch FROM r.admitted_at)::bigint, r.meters, r.charge_nano, r.cost_nano,
           r.basis, r.price_version_id, r.multiplier_ppm, r.team_id, r.key_id, r.user_id,
           r.pricing, r.own_nano
    FROM usage_usagerecord r
    WHERE r.organisation_id = %(organisation)s AND r.id > %(after)s AND {_IN_TIME}
    ORDER BY r.id LIMIT %(limit)s"""  # noqa: S608 - only this file's own condition is put in
