"""Prices that are not in force yet: drafts by people, and changes from newer catalogues and lists.

A person accepts a proposal, which then becomes a price version; nothing applies automatically. If a
rate falls by more than half, a second person must accept it too (docs/promises.md, "Operators and
audit").
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext, gettext_lazy

from accounts.access.actors import Actor
from accounts.audit import audit
from billing.approvals.approvals import (
    Kind,
    all_waiting,
    id_of,
    register,
    request_approval,
    withdraw_waiting,
)
from billing.approvals.rules import Change
from billing.currency.money import format_multiplier
from billing.models import (
    Approval,
    ApprovalState,
    Price,
    PriceKind,
    PriceProposal,
    PriceVersion,
    ProposalState,
)
from billing.prices import pricing
from billing.prices.catalogue.catalogue import CatalogueRow
from billing.prices.conditions import PriceKey
from billing.prices.meters import MeterUnknown, format_rate
from billing.prices.name_patterns import matches
from billing.prices.prices import (
    CATALOGUE,
    ListedPrice,
    PriceRefused,
    PriceStale,
    catalogue_key,
    check_key,
    end_price,
    key_of,
    list_prices,
    remove_price,
    set_price,
    source_of,
)
from billing.prices.rate_changes import RateChange, rate_changes
from billing.prices.second_person import TOGETHER, fell_by_more_than_half
from billing.prices.words import show_price_change
from lib import clock
from lib.ids import id_text
from lib.refusal import Refused

# A process with a fast clock, or with an old snapshot, may charge by it already.
_BEFORE_START = dt.timedelta(minutes=1)
DRAFT = "draft"
"""The source of a proposal that a person wrote."""
Charges = Mapping[str, Sequence[ListedPrice]]
"""Present and past prices for customers, by name or pattern."""
PRICE: Final = "price"
"""The kind of its approvals."""


@dataclass(frozen=True, slots=True)
class ListedProposal:
    """One proposal as a list shows it. `changes` has the changed rates; `needs_two` is true if a
    second person must approve it, and `approval` is what waits for that person."""

    row: PriceProposal
    key: PriceKey
    changes: tuple[RateChange, ...]
    needs_two: bool
    approval: Approval | None = None

    @property
    def what(self) -> str:
        """Return `added`, `changed` or `removed`."""
        if self.row.rates is None:
            return "removed"
        return "changed" if self.row.replaces is not None else "added"

    @property
    def is_draft(self) -> bool:
        """Return whether a person wrote the proposal; otherwise it comes from a catalogue or
        list."""
        return self.row.source == DRAFT


class Proposed(NamedTuple):
    """The number of prices that a newer catalogue adds, changes and removes."""

    added: int
    changed: int
    removed: int


def propose_catalogue(actor: Actor, rows: Iterable[CatalogueRow], source: str) -> Proposed:
    """Create proposals for all differences between a catalogue's present prices and those in force.

    Models with a custom price are skipped. Open proposals of older catalogues are deleted. A
    proposal that was ignored is not repeated for the same source.
    """
    now = clock.now()
    current = _prices_in_force(list_prices(), now)
    own = {price.model for price in current.values() if not price.from_catalogue}
    wanted: dict[PriceKey, CatalogueRow] = {}
    for row in rows:
        if row.model in own or (row.valid_to is not None and row.valid_to <= now):
            continue
        if row.valid_from <= now:
            wanted[catalogue_key(row)] = row
    sources = {source, *(source_of(row, source) for row in wanted.values())}
    with transaction.atomic():
        _drop(actor, PriceProposal.objects.filter(source__startswith=CATALOGUE))
        ignored = {
            (key_of(row), _canonical(row.rates))
            for row in PriceProposal.objects.filter(source__in=sources, state=ProposalState.IGNORED)
        }
        new_proposals: list[PriceProposal] = []
        for key, row in wanted.items():
            there = current.get(key)
            if there is not None and _is_same_price(there.rates, row.rates):
                continue
            new_proposals.append(_proposal(key, row.rates, there, source_of(row, source)))
        new_proposals += [
            _proposal(key, None, there, source)
            for key, there in current.items()
            if there.from_catalogue and key not in wanted
        ]
        new_proposals = [
            row for row in new_proposals if (key_of(row), _canonical(row.rates)) not in ignored
        ]
        return _create(actor, source, new_proposals)


def _is_dropped(key: PriceKey, rates: Mapping[PriceKey, dict[str, Any]]) -> bool:
    """Return whether a list has the plain price of a region's price, and no longer the latter."""
    return key not in rates and PriceKey(key.model) in rates


def propose_list(
    actor: Actor,
    rates: Mapping[PriceKey, dict[str, Any]],
    source: str,
    *,
    listed_names: Collection[str] | None = None,
    ignored: Collection[str] = (),
) -> Proposed:
    """Create proposals for all differences between a price list and the prices in force. The list
    need not have every model. If the list no longer has a price that came from it, the removal of
    the price is proposed.

    `rates` are by key; those of a region come with the plain price of their model. `listed_names`
    are all names of the list, also those whose prices cannot be converted. Models with a price from
    elsewhere than the shipped catalogue or this list are skipped, and so are those that a name or
    pattern of `ignored` matches. Open proposals of the same list are deleted. A proposal that was
    ignored is not repeated.
    """
    now, listed_names = clock.now(), listed_names or {key.model for key in rates}
    current = _prices_in_force(list_prices(), now)
    own = {
        price.model
        for price in current.values()
        if not price.from_catalogue and price.source != source
    }
    with transaction.atomic():
        _drop(actor, PriceProposal.objects.filter(source=source))
        put_away = {
            (key_of(row), _canonical(row.rates))
            for row in PriceProposal.objects.filter(source=source, state=ProposalState.IGNORED)
        }
        new_proposals: list[PriceProposal] = []
        for key, wanted in rates.items():
            there = current.get(key)
            left = key.model in own or any(matches(pattern, key.model) for pattern in ignored)
            same = there is not None and _is_same_price(there.rates, wanted)
            if not left and not same and (key, _canonical(wanted)) not in put_away:
                new_proposals.append(_proposal(key, wanted, there, source))
        new_proposals += [
            _proposal(key, None, there, source)
            for key, there in current.items()
            if there.source == source
            and (key.model not in listed_names or (key.region and _is_dropped(key, rates)))
            and (key, "") not in put_away
            and not any(matches(pattern, key.model) for pattern in ignored)
        ]
        return _create(actor, source, new_proposals)


def _create(actor: Actor, source: str, new_proposals: list[PriceProposal]) -> Proposed:
    """Store new proposals and record them. Call it in a transaction."""
    PriceProposal.objects.bulk_create(new_proposals)
    removed = sum(1 for row in new_proposals if row.rates is None)
    added = sum(1 for row in new_proposals if row.replaces is None)
    counts = Proposed(added, len(new_proposals) - added - removed, removed)
    if new_proposals:
        first, numbers = new_proposals[0], counts._asdict()
        audit.record(actor, None, "catalogue.proposed", first, source=source, **numbers)
    return counts


class UpstreamProposed(NamedTuple):
    """The numbers of changes that an upstream's prices propose, and how many of the proposals are
    new."""

    proposed: Proposed
    new: int


def propose_upstream(
    actor: Actor,
    rates: Mapping[PriceKey, dict[str, Any]],
    source: str,
    *,
    ended: Collection[PriceKey],
) -> UpstreamProposed:
    """Create proposals for all differences between an upstream's prices and those in force. The
    upstream no longer has the prices of `ended`; if they came from the upstream, their end is
    proposed.

    Open proposals of the same source are deleted unless they are unchanged. A proposal that was
    dismissed is not repeated.
    """
    now = clock.now()
    current = _prices_in_force([*list_prices(), *list_prices(kind=PriceKind.COST)], now)
    with transaction.atomic():
        rows = PriceProposal.objects.select_for_update().filter(source=source)
        waiting = {
            (key_of(row), _canonical(row.rates)): row
            for row in rows.filter(state=ProposalState.OPEN)
        }
        put_away = {
            (key_of(row), _canonical(row.rates)) for row in rows.filter(state=ProposalState.IGNORED)
        }
        wanted: dict[PriceKey, dict[str, Any] | None] = {
            key: listed_rates
            for key, listed_rates in rates.items()
            if (there := current.get(key)) is None or not _is_same_price(there.rates, listed_rates)
        }
        for key in ended:
            if key in current and current[key].source == source:
                wanted[key] = None
        named = {(key, _canonical(listed_rates)): key for key, listed_rates in wanted.items()}
        named = {name: key for name, key in named.items() if name not in put_away}
        gone = [row.id for name, row in waiting.items() if name not in named]
        _drop(actor, PriceProposal.objects.filter(id__in=gone))
        new_proposals = [
            _proposal(key, wanted[key], current.get(key), source)
            for name, key in named.items()
            if name not in waiting
        ]
        PriceProposal.objects.bulk_create(new_proposals)
        open_now = [*new_proposals, *(row for name, row in waiting.items() if name in named)]
        removed = sum(1 for row in open_now if row.rates is None)
        added = sum(1 for row in open_now if row.replaces is None)
        counts = Proposed(added, len(open_now) - added - removed, removed)
        if new_proposals:
            audit.record(
                actor, None, "upstream.prices_proposed", new_proposals[0],
                source=source, new=len(new_proposals), **counts._asdict(),
            )  # fmt: skip
    return UpstreamProposed(counts, len(new_proposals))


def draft_price(
    actor: Actor,
    key: PriceKey,
    rates: Mapping[str, object],
    *,
    valid_from: dt.datetime | None,
    note: str = "",
    replaces: int | None = None,
) -> PriceProposal:
    """Create a draft of a new version. A price may have several drafts.

    With `valid_from` None the version begins when it is accepted. Raises PriceRefused for an
    invalid price and for a beginning in the past; PriceStale if `replaces` is not the id of the
    version that the draft replaces.
    """
    check_key(key)
    _refuse_past(key, valid_from, clock.now())
    try:
        pricing.PriceVersion.from_stored(rates)
    except (pricing.PriceInvalid, MeterUnknown) as error:
        raise PriceRefused(str(error)) from error
    with transaction.atomic():
        there = _prices_in_force(list_prices([key.model], kind=key.kind), valid_from or clock.now())
        draft = _proposal(key, dict(rates), there.get(key), DRAFT)
        draft.valid_from, draft.note, draft.made_by = valid_from, note, actor.user
        _refuse_stale(draft, replaces, clock.now())
        draft.save()
        audit.record(actor, None, "price.drafted", draft, **key._asdict(), rates=dict(rates))
    return draft


def accept(
    actor: Actor,
    proposal_ids: Sequence[UUID],
    *,
    replacing: Collection[int] = (),
    replaces: int | None = None,
) -> list[PriceProposal]:
    """Turn proposals into versions, all or none. Return those that still wait for a second person.

    A version planned for later stays, and the new one ends where the planned one begins. A version
    planned for the same moment is replaced only if its id is in `replacing` or is `replaces`.
    Raises PriceRefused if a proposal is invalid or already decided; PriceStale if one would replace
    another version than `replaces`.
    """
    now = clock.now()
    waiting: list[PriceProposal] = []
    with transaction.atomic():
        rows = PriceProposal.objects.select_for_update().filter(id__in=list(proposal_ids))
        for row in rows.order_by("model", "service_tier", "hours", "region"):
            if row.state != ProposalState.OPEN:
                text = gettext("The proposal for %(model)s was already decided.")
                raise PriceRefused(text % {"model": row.model})
            _refuse_past(key_of(row), row.valid_from, now)
            _refuse_stale(row, replaces, now)
            if replaces is None:
                _refuse_unseen(row, replacing)
            _recheck_proposal(row, now)
            if not needs_two(row):
                _apply(actor, row, now)
            elif _ask(actor, row).state == ApprovalState.WAITING:
                waiting.append(row)
    return waiting


def ignore(actor: Actor, proposal_ids: Sequence[UUID]) -> int:
    """Ignore proposals. Return how many of them were open."""
    with transaction.atomic():
        rows = list(
            PriceProposal.objects.select_for_update().filter(
                id__in=list(proposal_ids), state=ProposalState.OPEN
            )
        )
        for row in rows:
            _decide(actor, row, ProposalState.IGNORED)
            audit.record(actor, None, "price.proposal_ignored", row, **key_of(row)._asdict())
    return len(rows)


def withdraw(actor: Actor, version: PriceVersion) -> None:
    """Withdraw a version that has not begun. The version before it then applies until the next
    version.

    Raises PriceRefused if the version has begun or is about to, and if without it another version
    would cut the price by more than half, which no second person has approved.
    """
    with transaction.atomic():
        Price.objects.select_for_update().filter(id=version.price_id).first()
        draft = PriceVersion.objects.select_related("price").filter(id=version.id).first()
        if draft is None:
            raise PriceRefused(gettext("This version no longer exists."))
        key, named = key_of(draft.price), {"model": draft.price.model, "id": draft.id}
        begins, ends = draft.valid_from, draft.valid_to
        if begins <= clock.now() + _BEFORE_START:
            text = gettext(
                "Version #%(id)s of %(model)s has started or is about to start, "
                "so it cannot be withdrawn."
            )
            raise PriceRefused(text % named)
        shipped, cuts = draft.source.startswith(CATALOGUE), _deep_cuts(key)
        remove_price(actor, draft)
        former = Q(price_id=draft.price_id)
        if not shipped and key.unconditional and key.kind == PriceKind.CHARGE:
            # A plain price of our own has ended the catalogue's conditional prices.
            former |= Q(price__model=key.model, price__kind=key.kind, source__startswith=CATALOGUE)
        held = PriceVersion.objects.select_related("price").filter(former, valid_to=begins)
        for other in held.exclude(price__versions__valid_from=begins):
            end_price(actor, other, ends)
        if deeper := _deep_cuts(key) - cuts:
            text = gettext(
                "Without version #%(id)s of %(model)s, version #%(other)s would cut the "
                "price by more than half, which needs two operators. Withdraw #%(other)s "
                "first."
            )
            raise PriceRefused(text % {**named, "other": min(deeper)})


def count_proposals() -> int:
    """Count the drafts and proposals that wait for an operator."""
    return PriceProposal.objects.filter(state=ProposalState.OPEN).count()


def list_proposals(*, drafts: bool | None = None) -> list[ListedProposal]:
    """Return the waiting proposals, by price. `drafts` True returns only drafts, False only the
    others."""
    rows = PriceProposal.objects.filter(state=ProposalState.OPEN).select_related("made_by")
    if drafts is not None:
        rows = rows.filter(source=DRAFT) if drafts else rows.exclude(source=DRAFT)
    return describe_proposals(rows)


def describe_proposals(rows: Iterable[PriceProposal]) -> list[ListedProposal]:
    """Return proposals with their changes, and what waits for a second person."""
    charges, asked = _charges_by_name(list_prices()), all_waiting(PRICE)
    return [list_proposal(row, charges, asked.get(id_text(row.id))) for row in rows]


def list_proposal(
    row: PriceProposal, charges: Charges | None = None, approval: Approval | None = None
) -> ListedProposal:
    """Return a proposal with its changes. See `needs_two` for `charges`."""
    changes = rate_changes(row.replaces, row.rates)
    return ListedProposal(row, key_of(row), changes, needs_two(row, charges), approval)


def needs_two(row: PriceProposal, charges: Charges | None = None) -> bool:
    """Return whether a rate that customers pay falls by more than half within 24 hours, or ends
    without a replacement. Callers with many proposals pass all `charges`."""
    if row.kind != PriceKind.CHARGE:
        return False
    if charges is None:
        charges = _charges_of(row.model)
    now, own = clock.now(), key_of(row)
    at = max(row.valid_from or now, now)
    before = [
        row.replaces or _customer_rates(own, charges, at),
        _customer_rates(own, charges, at - TOGETHER),
    ]
    return any(fell_by_more_than_half(rates, row.rates) for rates in before)


def _deep_cuts(key: PriceKey) -> set[int]:
    """Return the ids of a model's future versions that cut the price by more than half."""
    if key.kind != PriceKind.CHARGE:
        return set()
    charges, now = _charges_of(key.model), clock.now()
    deep = set()
    for version in charges.get(key.model, ()):
        if version.valid_from <= now:
            continue
        instants = (version.valid_from - dt.timedelta.resolution, version.valid_from - TOGETHER)
        before = [_customer_rates(version.key, charges, at) for at in instants]
        if any(fell_by_more_than_half(rates, version.rates) for rates in before):
            deep.add(version.version_id)
    return deep


def _charges_of(model: str) -> Charges:
    named = Price.objects.filter(Q(model=model) | Q(model__contains="*"), kind=PriceKind.CHARGE)
    return _charges_by_name(list_prices(named.values_list("model", flat=True)))


def _customer_rates(own: PriceKey, charges: Charges, at: dt.datetime) -> Mapping[str, Any] | None:
    """Return the rates that customers pay at an instant in place of a price: its own, or else those
    of the whole day, of the plain tier, of any region, or of a pattern."""
    patterns = [name for name in charges if "*" in name and matches(name, own.model)]
    patterns.sort(key=lambda name: (-len(name), name))
    for name in (own.model, *patterns):
        held = _prices_in_force(charges.get(name, ()), at)
        for key in (
            own,
            PriceKey(name, service_tier=own.service_tier, region=own.region),
            PriceKey(name, region=own.region),
            PriceKey(name, service_tier=own.service_tier),
            PriceKey(name),
        ):
            if key in held:
                return held[key].rates
    return None


def _charges_by_name(prices: Iterable[ListedPrice]) -> Charges:
    return {name: list(of_it) for name, of_it in groupby(prices, lambda listed: listed.model)}


def _recheck_proposal(row: PriceProposal, now: dt.datetime) -> None:
    """Compare the proposal again with the price in force, which may have changed since it was
    made."""
    at = max(row.valid_from or now, now)
    there = _prices_in_force(list_prices([row.model], kind=row.kind), at).get(key_of(row))
    replaces = None if there is None else there.rates
    if replaces != row.replaces:
        row.replaces = replaces
        row.save(update_fields=["replaces"])


def _drop(actor: Actor, rows: QuerySet[PriceProposal]) -> None:
    """Delete those of the proposals that are open, and what waits for approval of them."""
    there = rows.filter(state=ProposalState.OPEN)
    ids = list(there.select_for_update().order_by("id").values_list("id", flat=True))
    withdraw_waiting(actor, PRICE, *map(id_text, ids))
    PriceProposal.objects.filter(id__in=ids).delete()


def _ask(actor: Actor, row: PriceProposal) -> Approval:
    about = " ".join(filter(None, (*key_of(row)._replace(kind=""),)))
    return request_approval(
        actor, PRICE, id_text(row.id), _changes(row), about=about, reason=row.note
    )


def _changes(row: PriceProposal) -> list[Change]:
    """Return every rate that would change, and which planned version would be replaced."""
    changes = [
        Change(
            name=_rate_place(change),
            before=_rate(change.meter, change.before),
            after=_rate(change.meter, change.after),
        )
        for change in rate_changes(row.replaces, row.rates)
    ]
    if row.valid_from is not None:
        at = clock.rfc3339(row.valid_from)
        changes.append(Change(name="valid_from", before=None, after=at))
    if (replaced := planned_at(row)) is not None:
        changes.append(Change(name="replaces", before=f"#{replaced.id}", after=None))
    return changes


def _rate_place(change: RateChange) -> str:
    """Return where a rate stands: `in_text`, `in_text >200000`, `speed=fast in_text`."""
    condition = "=".join(change.condition) if change.condition else ""
    tier = "" if change.input_over is None else f">{change.input_over}"
    return " ".join(filter(None, (condition, change.meter or "multiplier", tier)))


def _rate(meter: str, rate: int | None) -> str | None:
    if rate is None:
        return None
    return format_rate(meter, rate) if meter else format_multiplier(rate)


def _proposal_of(approval: Approval) -> PriceProposal:
    """Lock and return the proposal of an approval. Raises Refused if it is no longer open."""
    rows = PriceProposal.objects.select_for_update().filter(id=id_of(approval))
    row = rows.filter(state=ProposalState.OPEN).first()
    if row is None:
        raise Refused("approval", gettext("This was already decided."), already_exists=True)
    return row


def _changes_now(approval: Approval) -> list[Change]:
    row, now = _proposal_of(approval), clock.now()
    try:
        _refuse_past(key_of(row), row.valid_from, now)
    except PriceRefused as error:
        raise Refused("approval", str(error)) from error
    _recheck_proposal(row, now)
    return _changes(row)


def _approve(actor: Actor, approval: Approval) -> None:
    try:
        _apply(actor, _proposal_of(approval), clock.now())
    except PriceRefused as error:
        raise Refused("approval", str(error)) from error


register(
    Kind(
        PRICE,
        gettext_lazy("Price"),
        "prices.write",
        changes=_changes_now,
        apply=_approve,
        show=show_price_change,
        page="price_proposal",
        lock=lambda approval: (
            PriceProposal.objects.select_for_update().filter(id=id_of(approval)).first()
        ),
        subject_of=lambda approval: approval.subject,
    )
)


def _apply(actor: Actor, row: PriceProposal, now: dt.datetime) -> None:
    key, valid_from = key_of(row), row.valid_from or now
    there = PriceVersion.objects.filter(**_price_conditions(row))
    # The shipped list's later prices are replaced, and so is the planned version that was
    # confirmed.
    there.filter(source__startswith=CATALOGUE, valid_from__gte=valid_from).delete()
    for version in there.filter(valid_from=valid_from).select_related("price"):
        remove_price(actor, version)
    if row.rates is None:
        ending = Q(valid_to=None) | Q(valid_to__gt=valid_from)
        for version in there.filter(ending, valid_from__lt=valid_from).select_related("price"):
            end_price(actor, version, valid_from)
    else:
        later = planned_after(row, valid_from)
        set_price(
            actor,
            key,
            valid_from,
            row.rates,
            source=_version_source(row),
            valid_to=later.valid_from if later else None,
        )
    _decide(actor, row, ProposalState.ACCEPTED)


def planned_at(row: PriceProposal) -> PriceVersion | None:
    """Return the planned version that begins at the same time as a proposal and would be
    replaced."""
    return (
        _planned_versions(row).filter(valid_from=row.valid_from).first() if row.valid_from else None
    )


def planned_after(row: PriceProposal, at: dt.datetime) -> PriceVersion | None:
    """Return the next planned version of the same price after an instant: the proposal ends
    there."""
    return _planned_versions(row).filter(valid_from__gt=at).order_by("valid_from").first()


def _planned_versions(row: PriceProposal) -> QuerySet[PriceVersion]:
    return PriceVersion.objects.filter(**_price_conditions(row)).exclude(
        source__startswith=CATALOGUE
    )


def _price_conditions(row: PriceProposal) -> dict[str, str]:
    return {f"price__{name}": value for name, value in key_of(row)._asdict().items()}


def _refuse_past(key: PriceKey, valid_from: dt.datetime | None, now: dt.datetime) -> None:
    # I11: past charges stay. A draft that waited too long is refused, too.
    if valid_from is not None and valid_from < now:
        raise PriceRefused(
            gettext(
                "The price of %(model)s cannot start in the past, and %(at)s has passed. "
                "Choose a later start, or leave it empty to start when published."
            )
            % {"model": key.model, "at": _moment(valid_from)}
        )


def _refuse_stale(row: PriceProposal, replaces: int | None, now: dt.datetime) -> None:
    if replaces is None:
        return
    planned = planned_at(row)
    at = max(row.valid_from or now, now)
    there = _prices_in_force(list_prices([row.model], kind=row.kind), at).get(key_of(row))
    current = planned.id if planned else there.version_id if there else None
    if current == replaces:
        return
    instead = f"it would replace #{current}" if current else "there is no version that it replaces"
    raise PriceStale(
        f"The price of {row.model} is not version #{replaces} at that time: {instead}. Read "
        "price-versions again, and name that one or none."
    )


def _refuse_unseen(row: PriceProposal, replacing: Collection[int]) -> None:
    there = planned_at(row)
    if there is not None and there.id not in replacing:
        raise PriceRefused(
            gettext(
                "This draft for %(model)s starts at %(at)s, the same time as scheduled "
                "version #%(id)s. Publish it in place of #%(id)s, or choose another start."
            )
            % {"model": row.model, "at": _moment(there.valid_from), "id": there.id}
        )


def _moment(at: dt.datetime) -> str:
    return f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def _version_source(row: PriceProposal) -> str:
    return "page" if row.source == DRAFT else row.source


def _decide(actor: Actor, row: PriceProposal, state: ProposalState) -> None:
    withdraw_waiting(actor, PRICE, id_text(row.id))
    row.state, row.decided_by, row.decided_at = state, actor.user, clock.now()
    row.save(update_fields=["state", "decided_by", "decided_at"])


def _proposal(
    key: PriceKey, rates: dict[str, Any] | None, there: ListedPrice | None, source: str
) -> PriceProposal:
    replaces = None if there is None else there.rates
    return PriceProposal(**key._asdict(), rates=rates, replaces=replaces, source=source)


def _prices_in_force(prices: Iterable[ListedPrice], at: dt.datetime) -> dict[PriceKey, ListedPrice]:
    return {price.key: price for price in prices if price.in_force_at(at)}


def _canonical(rates: Mapping[str, Any] | None) -> str:
    return (
        ""
        if rates is None
        else repr(
            (
                sorted(rates["meters"].items()),
                rates.get("tiers") or [],
                rates.get("conditions") or [],
            )
        )
    )


def _is_same_price(terms: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    read: Callable[[Mapping[str, Any]], pricing.PriceVersion] = pricing.PriceVersion.from_stored
    return read(terms) == read(other)
