"""Proposals: nothing applies by itself, and a deep cut needs two persons."""

import datetime as dt
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from accounts.access.actors import SYSTEM, Actor
from accounts.models import AuditEvent
from billing.approvals.approvals import decide, waiting
from billing.models import Approval, PriceProposal, PriceVersion, ProposalState
from billing.prices.catalogue.catalogue import CatalogueRow
from billing.prices.catalogue.shipped import load_shipped_catalogue
from billing.prices.conditions import PriceKey
from billing.prices.prices import (
    CATALOGUE,
    PriceRefused,
    PriceStale,
    list_prices,
    load_catalogue,
    set_price,
)
from billing.prices.proposals import (
    PRICE,
    Proposed,
    accept,
    draft_price,
    ignore,
    list_proposals,
    propose_catalogue,
    propose_list,
    withdraw,
)
from lib import clock
from lib.ids import id_text
from lib.refusal import Refused
from tests.support.cast import Cast, actor, person

pytestmark = pytest.mark.django_db

SINCE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
OLD, NEW = f"{CATALOGUE} 1", f"{CATALOGUE} 2"


def rates(in_text: int, **more: int) -> dict[str, Any]:
    return {"meters": {"in_text": in_text, **more}, "tiers": []}


def row(model: str, in_text: int, **more: str) -> CatalogueRow:
    return CatalogueRow(model, None, "maker", SINCE, None, rates(in_text), **more)


def in_force(model: str) -> list[dict[str, Any]]:
    return [price.rates for price in list_prices([model]) if price.in_force_at(clock.now())]


@pytest.fixture
def loaded(people: Cast) -> Cast:
    load_catalogue(SYSTEM, [row("a", 100), row("b", 100), row("gone", 100)], OLD)
    return people


def test_a_newer_catalogue_proposes_and_changes_nothing(loaded: Cast) -> None:
    catalogue = propose_catalogue(
        SYSTEM, [row("a", 120), row("b", 100), row("c", 5), row("b", 50, service_tier="flex")], NEW
    )
    assert catalogue == Proposed(added=2, changed=1, removed=1)
    assert {(one.key.model, one.key.service_tier, one.what) for one in list_proposals()} == {
        ("a", "", "changed"),
        ("b", "flex", "added"),
        ("c", "", "added"),
        ("gone", "", "removed"),
    }
    (change,) = next(one for one in list_proposals() if one.key.model == "a").changes
    assert (change.before, change.after, change.permille) == (100, 120, 200)
    assert in_force("a") == [rates(100)]
    assert PriceVersion.objects.filter(source=NEW).count() == 0


def test_a_price_of_our_own_page_keeps_its_source_with_every_release(loaded: Cast) -> None:
    """Only its own source says whether it has changed, not the catalogue that it came with."""
    page = row("page", 5, source="maker.example 2026-06-30")
    propose_catalogue(SYSTEM, [row("a", 100), row("b", 100), page], NEW)
    (proposed,) = (one for one in list_proposals() if one.key.model == "page")
    assert proposed.row.source == f"{CATALOGUE} + maker.example 2026-06-30"


def test_an_own_price_is_left_alone(loaded: Cast) -> None:
    set_price(SYSTEM, "a", clock.now(), rates(7), source="file")
    assert propose_catalogue(SYSTEM, [row("a", 120), row("b", 100)], NEW) == Proposed(0, 0, 1)


def test_only_an_accepted_proposal_applies_from_now_on(loaded: Cast) -> None:
    propose_catalogue(SYSTEM, [row("a", 120), row("b", 130), row("gone", 100)], NEW)
    first = next(one for one in list_proposals() if one.key.model == "a")
    assert accept(actor(loaded.dora), [first.row.id]) == []
    assert in_force("a") == [rates(120)]
    assert in_force("b") == [rates(100)]
    assert [price.source for price in list_prices(["a"])] == [OLD, NEW]
    with pytest.raises(PriceRefused, match="already decided"):
        accept(actor(loaded.dora), [first.row.id])


def test_newer_catalogue_replaces_older_proposals(loaded: Cast) -> None:
    propose_catalogue(SYSTEM, [row("a", 120), row("b", 100), row("gone", 100)], NEW)
    propose_catalogue(SYSTEM, [row("a", 125), row("b", 100), row("gone", 100)], f"{CATALOGUE} 3")
    (only,) = list_proposals()
    assert only.row.rates == rates(125)


def test_same_catalogue_does_not_repeat_ignored_proposals(loaded: Cast) -> None:
    rows = [row("a", 120), row("b", 100), row("gone", 100)]
    propose_catalogue(SYSTEM, rows, NEW)
    assert ignore(actor(loaded.dora), [one.row.id for one in list_proposals()]) == 1
    assert propose_catalogue(SYSTEM, rows, NEW) == Proposed(0, 0, 0)
    assert in_force("a") == [rates(100)]


@pytest.mark.parametrize(("after", "two"), [(50, False), (49, True), (0, True), (1000, False)])
def test_a_cut_by_more_than_half_needs_two_persons(loaded: Cast, after: int, two: bool) -> None:
    dora, second = actor(loaded.dora), actor(person("eve", operator=True))
    draft = draft_price(dora, PriceKey("a"), rates(after), valid_from=None)
    waiting = accept(dora, [draft.id])
    assert [one.id for one in waiting] == ([draft.id] if two else [])
    if not two:
        assert in_force("a") == [rates(after)]
        return
    assert in_force("a") == [rates(100)]
    assert [one.id for one in accept(dora, [draft.id])] == [draft.id]
    assert in_force("a") == [rates(100)]
    assert accept(second, [draft.id]) == []
    assert in_force("a") == [rates(after)]
    actions = list(
        AuditEvent.objects.filter(action__startswith="price.")
        .order_by("id")
        .values_list("action", flat=True)
    )
    assert actions == ["price.drafted", "price.set"]
    assert Approval.objects.get().decided_by == second.user


def asked_cut(dora: Actor) -> Approval:
    """A price cut to 40 that waits for a second operator."""
    draft = draft_price(dora, PriceKey("a"), rates(40), valid_from=None)
    accept(dora, [draft.id])
    asked = waiting(PRICE, id_text(draft.id))
    assert asked is not None
    return asked


def test_an_approved_cut_applies_from_its_approval_on(loaded: Cast) -> None:
    dora, second = actor(loaded.dora), actor(person("eve", operator=True))
    asked = asked_cut(dora)
    Approval.objects.update(asked_at=asked.asked_at - dt.timedelta(days=2))
    began = clock.now()
    decide(second, Approval.objects.get(), approve=True)
    (version,) = PriceVersion.objects.filter(price__model="a", valid_from__gte=began)
    assert version.rates == rates(40)


def test_a_cut_is_approved_only_from_the_price_that_was_seen(loaded: Cast) -> None:
    """If the price changes meanwhile, so does the cut."""
    dora, second = actor(loaded.dora), actor(person("eve", operator=True))
    asked = asked_cut(dora)
    assert asked.changes == [{"name": "in_text", "before": "0.0000001", "after": "0.00000004"}]
    accept(dora, [draft_price(dora, PriceKey("a"), rates(90), valid_from=None).id])
    with pytest.raises(Refused, match="no longer what was requested"):
        decide(second, asked, approve=True)
    assert in_force("a") == [rates(90)]


def test_a_rejected_cut_stays_a_proposal_and_a_dismissed_one_waits_no_more(loaded: Cast) -> None:
    dora, second = actor(loaded.dora), actor(person("eve", operator=True))
    draft = draft_price(dora, PriceKey("a"), rates(40), valid_from=None)
    for _ in range(2):
        accept(dora, [draft.id])
        asked = waiting(PRICE, id_text(draft.id))
        assert asked is not None
        decide(second, asked, approve=False, reason="Too low")
        draft.refresh_from_db()
        assert draft.state == ProposalState.OPEN
    accept(dora, [draft.id])
    ignore(dora, [draft.id])
    assert waiting(PRICE, id_text(draft.id)) is None


@pytest.mark.parametrize(
    ("key", "after", "two"),
    [
        (PriceKey("a", hours="00:00-23:59"), 49, True),
        (PriceKey("a", service_tier="flex"), 0, True),
        (PriceKey("a", service_tier="flex"), 50, False),
        (PriceKey("family-1"), 49, True),
        (PriceKey("family-1", hours="00:00-23:59"), 50, False),
        (PriceKey("other"), 0, False),
        (PriceKey("a", kind="cost"), 0, False),
    ],
)
def test_new_price_replacing_a_wider_one_may_be_a_cut_too(
    loaded: Cast, key: PriceKey, after: int, two: bool
) -> None:
    """For some hours, for a service tier, for one model of a pattern."""
    for pattern, nano in (("family-*", 100), ("fam*", 5)):
        set_price(SYSTEM, pattern, SINCE, rates(nano), source="file")
    dora = actor(loaded.dora)
    draft = draft_price(dora, key, rates(after), valid_from=None)
    assert [one.id for one in accept(dora, [draft.id])] == ([draft.id] if two else [])


@pytest.mark.parametrize("narrow", [{"region": "eu"}, {"service_tier": "flex"}])
def test_price_of_a_tier_in_a_region_is_compared_with_the_nearest(
    loaded: Cast, narrow: dict[str, str]
) -> None:
    """With that of its region or tier, before the plain one."""
    set_price(SYSTEM, PriceKey("a", **narrow), SINCE, rates(200), source="file")
    dora = actor(loaded.dora)
    for after, two in ((100, False), (99, True)):
        key = PriceKey("a", service_tier="flex", region="eu", hours=f"0{two:d}:00-0{two:d}:30")
        draft = draft_price(dora, key, rates(after), valid_from=None)
        assert [one.id for one in accept(dora, [draft.id])] == ([draft.id] if two else [])


def test_a_deep_cut_in_small_pieces_needs_two_persons(loaded: Cast) -> None:
    """What falls within 24 hours counts together, as what is credited does."""
    dora, second = actor(loaded.dora), actor(person("eve", operator=True))
    assert accept(dora, [draft_price(dora, PriceKey("a"), rates(50), valid_from=None).id]) == []
    draft = draft_price(dora, PriceKey("a"), rates(49), valid_from=None)
    assert [one.id for one in accept(dora, [draft.id])] == [draft.id]
    assert accept(second, [draft.id]) == []
    tomorrow = clock.now() + dt.timedelta(hours=25)
    later = draft_price(dora, PriceKey("a"), rates(25), valid_from=tomorrow)
    assert accept(dora, [later.id]) == []
    next_to_it = draft_price(
        dora, PriceKey("a"), rates(20), valid_from=tomorrow + dt.timedelta(seconds=1)
    )
    assert [one.id for one in accept(dora, [next_to_it.id])] == [next_to_it.id]


def test_drafts_and_proposals_are_listed_apart(loaded: Cast) -> None:
    propose_catalogue(SYSTEM, [row("a", 120), row("b", 100), row("gone", 100)], NEW)
    draft = draft_price(actor(loaded.dora), PriceKey("b"), rates(90), valid_from=None)
    drafts, others, both = (list_proposals(drafts=drafts) for drafts in (True, False, None))
    assert [one.row for one in drafts] == [draft]
    assert [one.key.model for one in others] == ["a"]
    assert len(both) == 2


def test_removal_from_a_list_that_was_ignored_is_not_proposed_again(loaded: Cast) -> None:
    for model in ("x-1", "x-2"):
        set_price(SYSTEM, model, SINCE, rates(5), source="list")
    there = {PriceKey("x-3"): rates(5)}
    assert propose_list(SYSTEM, there, "list", ignored=["x-1"]) == Proposed(1, 0, 1)
    ignore(actor(loaded.dora), [one.row.id for one in list_proposals()])
    assert propose_list(SYSTEM, there, "list") == Proposed(0, 0, 1)
    (only,) = list_proposals()
    assert (only.key.model, only.what) == ("x-1", "removed")


def test_removal_of_a_price_leaves_a_planned_version(loaded: Cast) -> None:
    dora, eve = actor(loaded.dora), actor(person("eve", operator=True))
    later = clock.now() + dt.timedelta(days=3)
    accept(dora, [draft_price(dora, PriceKey("gone"), rates(90), valid_from=later).id])
    propose_catalogue(SYSTEM, [row("a", 100), row("b", 100)], NEW)
    (removal,) = list_proposals()
    for operator in (dora, eve):
        accept(operator, [removal.row.id])
    assert in_force("gone") == []
    (planned,) = (price for price in list_prices(["gone"]) if price.valid_from == later)
    assert planned.valid_to is None


def test_all_or_none_are_accepted(loaded: Cast) -> None:
    dora = actor(loaded.dora)
    good = draft_price(dora, PriceKey("a"), rates(90), valid_from=None)
    done = draft_price(dora, PriceKey("b"), rates(90), valid_from=None)
    accept(dora, [done.id])
    with pytest.raises(PriceRefused):
        accept(dora, [good.id, done.id])
    assert in_force("a") == [rates(100)]


def test_draft_starts_at_its_time(loaded: Cast) -> None:
    dora, later = actor(loaded.dora), clock.now() + dt.timedelta(days=3)
    accept(dora, [draft_price(dora, PriceKey("a"), rates(90), valid_from=later).id])
    assert [price.valid_from for price in list_prices(["a"])] == [SINCE, later]


def test_a_draft_may_not_begin_in_the_past(loaded: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """I11: neither when it is written nor when it is published, which may be long after."""
    dora, now = actor(loaded.dora), clock.now()
    with pytest.raises(PriceRefused, match="cannot start in the past, and 2026-01-01 00:00 UTC"):
        draft_price(dora, PriceKey("a"), rates(90), valid_from=SINCE)
    draft = draft_price(dora, PriceKey("a"), rates(90), valid_from=now + dt.timedelta(hours=1))
    monkeypatch.setattr(clock, "now", lambda: now + dt.timedelta(hours=2))
    with pytest.raises(PriceRefused, match="cannot start in the past"):
        accept(dora, [draft.id])
    assert in_force("a") == [rates(100)]
    assert [one.row.id for one in list_proposals(drafts=True)] == [draft.id]


def test_a_published_version_ends_where_a_planned_one_begins(loaded: Cast) -> None:
    dora, now = actor(loaded.dora), clock.now()
    first, second, third = (now + dt.timedelta(days=days) for days in (10, 20, 30))
    for valid_from, rate in ((third, 130), (first, 110), (second, 120), (None, 105)):
        accept(dora, [draft_price(dora, PriceKey("a"), rates(rate), valid_from=valid_from).id])
    results = [(price.rates["meters"]["in_text"], price.valid_to) for price in list_prices(["a"])]
    begun = list_prices(["a"])[1].valid_from
    assert results == [(100, begun), (105, first), (110, second), (120, third), (130, None)]


def test_planned_version_is_replaced_only_on_request(loaded: Cast) -> None:
    dora, later = actor(loaded.dora), clock.now() + dt.timedelta(days=3)
    accept(dora, [draft_price(dora, PriceKey("a"), rates(120), valid_from=later).id])
    planned = list_prices(["a"])[-1]
    draft = draft_price(dora, PriceKey("a"), rates(110), valid_from=later)
    for replacing in ((), [planned.version_id - 1]):
        with pytest.raises(
            PriceRefused, match=f"the same time as scheduled version #{planned.version_id}"
        ):
            accept(dora, [draft.id], replacing=replacing)
    assert list_prices(["a"])[-1] == planned
    accept(dora, [draft.id], replacing=[planned.version_id])
    assert [(price.rates, price.valid_from) for price in list_prices(["a"])] == [
        (rates(100), SINCE), (rates(110), later),
    ]  # fmt: skip
    assert AuditEvent.objects.filter(action="price.removed").count() == 1


def test_decision_is_made_once_and_names_its_person(loaded: Cast) -> None:
    """Every write leaves an audit event; what is decided stays so."""
    dora = actor(loaded.dora)
    taken, put_away = (
        draft_price(dora, PriceKey("a"), rates(rate), valid_from=None, note="as agreed")
        for rate in (90, 80)
    )
    assert (taken.made_by, taken.note) == (loaded.dora, "as agreed")
    accept(dora, [taken.id])
    assert ignore(dora, [taken.id, put_away.id]) == 1
    with pytest.raises(PriceRefused, match="already decided"):
        accept(dora, [put_away.id])
    for draft, state in ((taken, ProposalState.ACCEPTED), (put_away, ProposalState.IGNORED)):
        draft.refresh_from_db()
        assert (draft.state, draft.decided_by) == (state, loaded.dora)
        assert draft.decided_at is not None
    events = AuditEvent.objects.filter(action__startswith="price.").order_by("id")
    assert [event.action for event in events] == [
        "price.drafted", "price.drafted", "price.set", "price.proposal_ignored",
    ]  # fmt: skip


def test_newer_catalogue_spares_drafts_and_later_versions(loaded: Cast) -> None:
    draft = draft_price(actor(loaded.dora), PriceKey("a"), rates(90), valid_from=None)
    tomorrow, yesterday = (clock.now() + dt.timedelta(days=days) for days in (1, -1))
    same = [row("a", 100), row("b", 100), row("gone", 100)]
    other = [
        CatalogueRow("later", None, "maker", tomorrow, None, rates(5)),
        CatalogueRow("over", None, "maker", SINCE, yesterday, rates(5)),
    ]
    assert propose_catalogue(SYSTEM, [*same, *other], NEW) == Proposed(0, 0, 0)
    assert not AuditEvent.objects.filter(action="catalogue.proposed").exists()
    assert propose_catalogue(SYSTEM, [*same[1:], row("a", 110)], NEW) == Proposed(0, 1, 0)
    assert AuditEvent.objects.filter(action="catalogue.proposed").count() == 1
    assert [one.row for one in list_proposals(drafts=True)] == [draft]


def test_version_is_replaced_only_by_naming_it(loaded: Cast) -> None:
    """Who read an older version is told, when the draft is written and when it is accepted."""
    dora, (there,) = actor(loaded.dora), list_prices(["a"])
    wrong = there.version_id + 1_000
    with pytest.raises(PriceStale, match=f"would replace #{there.version_id}"):
        draft_price(dora, PriceKey("a"), rates(90), valid_from=None, replaces=wrong)
    draft = draft_price(dora, PriceKey("a"), rates(90), valid_from=None, replaces=there.version_id)
    with pytest.raises(PriceStale, match=f"would replace #{there.version_id}"):
        accept(dora, [draft.id], replaces=wrong)
    assert in_force("a") == [rates(100)]
    accept(dora, [draft.id], replaces=there.version_id)
    assert in_force("a") == [rates(90)]


def planned(loaded: Cast, *steps: tuple[int, int]) -> list[int]:
    """Publish prices of `a`, each so many days from now; the ids of their versions."""
    dora, eve, now = actor(loaded.dora), actor(person("eve", operator=True)), clock.now()
    for days, rate in steps:
        begins = now + dt.timedelta(days=days)
        draft = draft_price(dora, PriceKey("a"), rates(rate), valid_from=begins)
        if accept(dora, [draft.id]):
            accept(eve, [draft.id])
    return [price.version_id for price in list_prices(["a"])][1:]


def list_versions(model: str = "a") -> list[tuple[int, dt.datetime, dt.datetime | None]]:
    return [
        (price.rates["meters"]["in_text"], price.valid_from, price.valid_to)
        for price in list_prices([model])
    ]


def take_back(loaded: Cast, version_id: int) -> None:
    version = PriceVersion.objects.select_related("price").get(id=version_id)
    withdraw(actor(loaded.dora), version)


def test_withdrawing_a_planned_version_keeps_the_previous(loaded: Cast) -> None:
    """W73: undone until its start, in any order, with a trace."""
    before = list_versions()
    first, second = planned(loaded, (10, 110), (20, 120))
    (_, _, until), *_, (_, begins, _) = list_versions()
    take_back(loaded, first)
    assert list_versions() == [(100, SINCE, begins), (120, begins, None)]
    assert until is not None
    assert until < begins
    take_back(loaded, second)
    assert list_versions() == before
    assert AuditEvent.objects.filter(action="price.removed").count() == 2
    with pytest.raises(PriceRefused, match="no longer exists"):
        withdraw(actor(loaded.dora), PriceVersion(id=second, price_id=1))


def test_started_version_is_not_withdrawn(loaded: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """I11: a process whose clock is ahead may charge at it already."""
    (version,) = planned(loaded, (10, 110))
    begins = list_prices(["a"])[-1].valid_from
    for early in (dt.timedelta(), dt.timedelta(seconds=59)):
        monkeypatch.setattr(clock, "now", lambda early=early: begins - early)
        with pytest.raises(PriceRefused, match="has started or is about to"):
            take_back(loaded, version)
    assert len(list_prices(["a"])) == 2


def test_withdrawal_restores_a_narrower_price(people: Cast) -> None:
    """The flex price of the shipped list, which the own plain price would have ended."""
    load_catalogue(SYSTEM, [row("a", 100), row("a", 60, service_tier="flex")], OLD)
    before = list_versions()
    dora, begins = actor(people.dora), clock.now() + dt.timedelta(days=3)
    accept(dora, [draft_price(dora, PriceKey("a"), rates(90), valid_from=begins).id])
    (version,) = [price for price in list_prices(["a"]) if price.valid_from == begins]
    take_back(people, version.version_id)
    assert list_versions() == before


def test_withdrawal_does_not_bypass_the_second_person(loaded: Cast) -> None:
    """Two steps down that one person could plan are one deep cut without the first of them."""
    first, second = planned(loaded, (10, 60), (12, 31))
    before = list_versions()
    with pytest.raises(PriceRefused, match=f"version #{second} would cut"):
        take_back(loaded, first)
    assert list_versions() == before
    take_back(loaded, second)
    take_back(loaded, first)
    assert list_versions() == [(100, SINCE, None)]


def test_cut_accepted_by_two_blocks_no_one(loaded: Cast) -> None:
    first, _ = planned(loaded, (10, 90), (12, 31))
    take_back(loaded, first)
    assert [rate for rate, _, _ in list_versions()] == [100, 31]


def test_own_price_replaces_the_shipped_lists_plans(people: Cast) -> None:
    later = clock.now() + dt.timedelta(days=3)
    coming = CatalogueRow("a", None, "maker", later, None, rates(90))
    now = CatalogueRow("a", None, "maker", SINCE, later, rates(100))
    load_catalogue(SYSTEM, [now, coming], OLD)
    dora = actor(people.dora)
    accept(dora, [draft_price(dora, PriceKey("a"), rates(95), valid_from=None).id])
    assert [price.rates for price in list_prices(["a"])] == [rates(100), rates(95)]
    assert list_prices(["a"])[-1].valid_to is None


def test_drafts_of_one_price_coexist(loaded: Cast) -> None:
    dora, later = actor(loaded.dora), clock.now() + dt.timedelta(days=3)
    first = draft_price(dora, PriceKey("a"), rates(90), valid_from=None)
    second = draft_price(actor(person("eve", operator=True)), PriceKey("a"), rates(80),
                         valid_from=later)  # fmt: skip
    assert [one.row for one in list_proposals(drafts=True)] == [first, second]
    accept(dora, [first.id])
    assert [one.row for one in list_proposals(drafts=True)] == [second]
    accept(dora, [second.id])
    assert [price.rates["meters"]["in_text"] for price in list_prices(["a"])] == [100, 90, 80]
    PriceProposal.objects.create(model="a", source=NEW)
    with pytest.raises(IntegrityError), transaction.atomic():
        PriceProposal.objects.create(model="a", source=NEW, state=ProposalState.OPEN)


@pytest.mark.slow
def test_the_shipped_catalogue_proposes_itself_once(people: Cast) -> None:
    load_catalogue(SYSTEM, [row("gpt-4o", 1)], OLD)
    first = load_shipped_catalogue(SYSTEM)
    assert first.proposed.added > 1000
    assert first.proposed.changed == 1
    assert load_shipped_catalogue(SYSTEM).proposed == Proposed(0, 0, 0)
    assert load_shipped_catalogue(SYSTEM, again=True).proposed == first.proposed


LIST = "list prices.example.org/list.json"


def test_list_proposes_differences_and_removes_nothing(loaded: Cast) -> None:
    set_price(SYSTEM, "mine", clock.now(), rates(7), source="page")
    wanted = {
        PriceKey(name): rates(n)
        for name, n in (("a", 200), ("b", 100), ("mine", 1), ("new", 5), ("z/x", 5))
    }
    assert propose_list(SYSTEM, wanted, LIST, ignored=["z/*"]) == Proposed(1, 1, 0)
    results = {listed.row.model: listed for listed in list_proposals()}
    assert {name: listed.what for name, listed in results.items()} == {
        "a": "changed",
        "new": "added",
    }
    assert in_force("a") == [rates(100)]
    # Again: the same, and no second one of each.
    assert propose_list(SYSTEM, wanted, LIST, ignored=["z/*"]) == Proposed(1, 1, 0)
    assert len(list_proposals()) == 2


def test_ignored_prices_are_proposed_again_only_with_other_rates(loaded: Cast) -> None:
    propose_list(SYSTEM, {PriceKey("a"): rates(200)}, LIST)
    (waiting,) = list_proposals()
    ignore(SYSTEM, [waiting.row.id])
    assert propose_list(SYSTEM, {PriceKey("a"): rates(200)}, LIST) == Proposed(0, 0, 0)
    assert propose_list(SYSTEM, {PriceKey("a"): rates(300)}, LIST) == Proposed(0, 1, 0)


def test_accepted_list_prices_belong_to_the_list(
    loaded: Cast,
) -> None:
    propose_list(SYSTEM, {PriceKey("a"): rates(200)}, LIST)
    accept(SYSTEM, [list_proposals()[0].row.id])
    assert in_force("a") == [rates(200)]
    assert propose_catalogue(SYSTEM, [row("a", 50), row("b", 100), row("gone", 100)], NEW) == (
        Proposed(0, 0, 0)
    )
    assert propose_list(SYSTEM, {PriceKey("a"): rates(210)}, LIST) == Proposed(0, 1, 0)
    other = "list other.example.org/list.json"
    assert propose_list(SYSTEM, {PriceKey("a"): rates(220)}, other) == Proposed(0, 0, 0)


def test_regional_list_price_comes_and_goes_with_the_list(loaded: Cast) -> None:
    """The plain price and that of a region are proposed apart; what the list no longer has is
    proposed to end, and nothing is left of the region by accident."""
    plain, regional = PriceKey("a"), PriceKey("a", region="regional")
    assert propose_list(SYSTEM, {plain: rates(100), regional: rates(110)}, LIST) == (
        Proposed(1, 0, 0)
    )
    (waiting,) = list_proposals()
    assert (waiting.key, waiting.what) == (regional, "added")
    accept(SYSTEM, [waiting.row.id])
    there = {listed.key: listed.rates for listed in list_prices(["a"])}
    assert (there[plain], there[regional]) == (rates(100), rates(110))
    own = propose_list(SYSTEM, {plain: rates(100), regional: rates(120)}, LIST)
    assert own == Proposed(0, 1, 0)
    assert propose_list(SYSTEM, {plain: rates(100)}, LIST) == Proposed(0, 0, 1)
    (ending,) = list_proposals()
    assert (ending.key, ending.what) == (regional, "removed")
