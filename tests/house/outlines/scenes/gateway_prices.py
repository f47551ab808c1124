"""Pages of prices, their drafts and previews, and of price plans."""

import datetime as dt
from typing import Any, Final
from uuid import UUID

from accounts.access.actors import SYSTEM
from accounts.models import Membership
from billing.models import (
    Plan,
    Price,
    PriceProposal,
    PriceVersion,
    Subscription,
    SubscriptionPlan,
)
from billing.price_plans.price_plans import SecondPersonNeeded, assign_plan, save_plan
from billing.prices.proposals import accept
from gateway.models import Channel, PricePreview, Route
from gateway.prices.replay import COLUMNS
from lib import clock
from lib.ids import id_text
from tests.house.outlines.scenes.scene import Scene
from tests.isolation.world import World
from tests.support import cast

HTMX: Final = {"HX-Request": "true"}
_LONG_AGO: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_ALWAYS: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST: Final = UUID(int=7_001)
_SECOND: Final = UUID(int=7_002)
_THIRD: Final = UUID(int=7_003)
_NARROW: Final = {
    "channel": "east", "service_tier": "flex", "hours": "01:30-06:45", "region": "eu-north-1",
}  # fmt: skip
_RATES: Final[dict[str, Any]] = {
    "meters": {"in_text": 1_130_000_000, "out_text": 2_270_000_000, "searches": 31 * 10**12},
    "tiers": [
        {"input_over": 131_000, "mode": "marginal", "meters": {"in_text": 1_370_000_000}},
        {"input_over": 257_000, "mode": "marginal", "meters": {"out_text": 2_390_000_000}},
    ],
    "conditions": [
        {"kind": "speed", "value": "fast", "multiplier_ppm": 1_730_000},
        {
            "kind": "inference_geo", "value": "us", "meters": {"out_text": 2_930_000_000},
            "tiers": [
                {"input_over": 173_000, "mode": "whole", "meters": {"out_text": 3_110_000_000}}
            ],
        },
    ],
}  # fmt: skip
_OTHER_RATES: Final[dict[str, Any]] = {
    "meters": {"in_text": 1_010_000_000, "out_text": 2_270_000_000, "in_cache_read": 190_000_000},
    "tiers": [{"input_over": 131_000, "mode": "marginal", "meters": {"in_text": 1_490_000_000}}],
    "conditions": [{"kind": "speed", "value": "fast", "multiplier_ppm": 1_510_000}],
}

_MEDIA: Final[dict[str, Any]] = {
    "meters": {"images": 41 * 10**12},
    "conditions": [{"kind": "speed", "value": "fast", "multiplier_ppm": 1_730_000}],
}


def _price(model: str = "scene-1", **over: str) -> Price:
    return Price.objects.create(id=70_001, model=model, **over)


def _version(
    price: Price, id: int, since: dt.datetime, until: dt.datetime | None = None, **over: Any
) -> PriceVersion:
    return PriceVersion.objects.create(
        id=id, price=price, valid_from=since, valid_to=until,
        **{"rates": _RATES, "source": "manual", **over},
    )  # fmt: skip


def _in_days(days: int) -> dt.datetime:
    return clock.now() + dt.timedelta(days=days)


def _price_with_versions(kind: str = "charge") -> Price:
    """A price with one version that ended, one in force, and one that begins later."""
    price = _price(kind=kind, **(_NARROW if kind == "cost" else {}))
    later, now = _in_days(19), _in_days(-11)
    _version(price, 70_011, _ALWAYS, now, rates={"meters": {"out_text": 970_000_000}})
    _version(price, 70_012, now, later)
    _version(price, 70_013, later, rates=_OTHER_RATES, source="file")
    return price


def _cost_with_every_version(world: World) -> str:
    return f"/admin/prices/{_price_with_versions('cost').id}"


def _price_that_ended(world: World) -> str:
    version = PriceVersion.objects.get(price__model="gpt-5")
    ended = version.valid_from - dt.timedelta(days=10)
    PriceVersion.objects.create(
        price=version.price, valid_from=ended - dt.timedelta(days=20), valid_to=ended,
        rates=version.rates, source="manual",
    )  # fmt: skip
    return f"/admin/prices/{version.price_id}"


def _withdrawing(world: World) -> str:
    _version(_price(kind="cost", **_NARROW), 70_014, _in_days(23))
    return "/admin/prices/versions/70014/withdraw"


_WRONG: Final = {
    "model": "scene-1", "kind": "charge", "channel": "", "service_tier": "priority", "hours": "",
    "region": "", "mode": "marginal", "valid_from": "tomorrow", "note": "As we agreed",
    "meter": ["in_text", "in_text", "out_text", "seconds"],
    "over": ["", "", "a few", ""],
    "rate": ["0.17", "0.19", "0.23", "0.29"],
    "condition_kind": ["speed", "speed", "inference_geo", ""],
    "condition_value": ["fast", "standard", "us", ""],
    "condition_meter": ["", "", "out_text", ""],
    "condition_over": ["", "", "13", ""],
    "condition_number": ["1.7", "1.9", "2,3", "2.9"],
}  # fmt: skip


def _draft(world: World) -> str:
    return "/admin/prices/drafts"


def _draft_of_known(world: World) -> str:
    _price_with_versions()
    return "/admin/prices/drafts"


def _proposal(id: UUID, **over: Any) -> PriceProposal:
    fields = {
        "model": "scene-1", "rates": _OTHER_RATES, "replaces": _RATES, "source": "draft", **over
    }  # fmt: skip
    return PriceProposal.objects.create(id=id, **fields)


def _page_of(id: UUID) -> str:
    return f"/admin/prices/proposals/{id_text(id)}"


def _draft_in_place_of_a_version(world: World) -> str:
    """Of a cost, when a version is planned for the same moment, and one for after it."""
    price, at, after = _price(kind="cost", **_NARROW), _in_days(17), _in_days(29)
    _version(price, 70_015, at, after, rates={"meters": {"in_text": 530_000_000}})
    _version(price, 70_016, after)
    _proposal(
        _FIRST, kind="cost", valid_from=at, note="They announced it.", made_by=world.dora,
        **_NARROW,
    )  # fmt: skip
    return _page_of(_FIRST)


def _draft_published_unseen(world: World) -> str:
    _draft_in_place_of_a_version(world)
    return "/admin/prices/proposals/decide"


def _cut_that_waits(world: World) -> str:
    """A list's proposal that cuts a rate by more than half, which one operator accepted."""
    _version(_price(), 70_017, _LONG_AGO)
    _proposal(
        _FIRST, source="a list of July", rates={"meters": {"in_text": 110_000_000}},
        valid_from=None,
    )  # fmt: skip
    accept(cast.actor(world.dora), [_FIRST])
    return _page_of(_FIRST)


def _cut(world: World) -> str:
    _proposal(
        _FIRST, source="a list of July", rates={"meters": {"audio_ms": 11 * 10**9}},
        replaces={
            "meters": {"audio_ms": 29 * 10**9},
            "conditions": [{"kind": "speed", "value": "fast", "multiplier_ppm": 1_730_000}],
        },
    )  # fmt: skip
    return _page_of(_FIRST)


def _accepted(world: World) -> str:
    _proposal(_FIRST, state="accepted", decided_by=world.dora, source="a list of July")
    return _page_of(_FIRST)


def _dismissed_end(world: World) -> str:
    _proposal(_FIRST, state="ignored", rates=None, decided_by=world.dora, source="a list of July")
    return _page_of(_FIRST)


def _end_of_a_price(world: World) -> str:
    _proposal(_FIRST, rates=None, source="a list of July")
    return _page_of(_FIRST)


def _preview(id: UUID, state: str, drafts: int = 1, **over: Any) -> PricePreview:
    keys = [
        {"model": f"scene-{n}", "kind": "charge", "channel": "", "service_tier": "", "hours": "",
         "region": ""}
        for n in range(drafts)
    ]  # fmt: skip
    for key in keys[1:3]:
        key.update(_NARROW, kind="cost")
    if keys:
        keys[0]["id"] = id_text(_FIRST)
    return PricePreview.objects.create(
        id=id, state=state, drafts=keys, start_at=_in_days(-31), end_at=clock.now(), **over
    )


def _proposals_of_every_kind(world: World) -> str:
    """All that can be proposed, and previews in every state."""
    _proposal(_FIRST, made_by=world.dora, valid_from=_in_days(13), **_NARROW, kind="cost")
    _proposal(_SECOND, model="scene-2", replaces=None, source="a list of July", rates=_MEDIA)
    _proposal(_THIRD, model="scene-3", rates=None, source="a list of July")
    _proposal(
        UUID(int=7_004), model="scene-4", source="a list of July",
        rates={"meters": {"in_text": 110_000_000}},
    )  # fmt: skip
    accept(cast.actor(world.dora), [UUID(int=7_004)])
    for n, state in enumerate(("done", "running", "queued", "failed", "cancelled"), 1):
        _preview(UUID(int=2**127 + n), state, n)
    return "/admin/prices/proposals"


def _figures(*figures: int) -> list[int]:
    assert len(figures) == len(COLUMNS)
    return list(figures)


def _done_preview(world: World) -> str:
    result = {
        "columns": list(COLUMNS),
        "total": _figures(
            1_031, 17_110_000_000, 19_230_000_000, 11_310_000_000, 11_470_000_000,
            1_130_000_000, 1_270_000_000, 37, 41,
        ),
        "repriced": 907,
        "moved": 13,
        "unpriced": 1,
        "models": [
            ["scene-1", *_figures(601, 10**10, 13 * 10**9, 7 * 10**9, 71 * 10**8, 0, 0, 0, 0)],
            ["scene-2", *_figures(1, 7_110_000_000, 6_230_000_000, 0, 0, 0, 0, 1, 1)],
        ],
        "organisations": [
            ["Zaragoza", *_figures(1_013, 15 * 10**9, 16 * 10**9, 9 * 10**9, 8 * 10**9, 0, 0, 0, 0)]
        ],
        "budgets": [
            {"organisation": "Zaragoza", "scope": "team", "subject": "Kitchen",
             "begins": "2026-03-01T00:00:00+00:00", "amount_nano": 11_300_000_000,
             "now_nano": 10_900_000_000, "draft_nano": 12_700_000_000},
            {"organisation": "Zagreb", "scope": "organisation", "subject": "",
             "begins": "2026-04-01T00:00:00+00:00", "amount_nano": 13_100_000_000,
             "now_nano": 12_300_000_000, "draft_nano": 14_900_000_000},
        ],
    }  # fmt: skip
    return f"/admin/prices/previews/{id_text(_preview(_FIRST, 'done', 7, result=result).id)}"


def _small_preview(world: World) -> str:
    """Of so little usage that fractions of a cent are shown, all of which has a cost."""
    line = _figures(3, 1_230_000, 1_470_000, 530_000, 590_000, 0, 0, 0, 0)
    result = {
        "columns": list(COLUMNS), "total": line, "repriced": 2, "moved": 1, "unpriced": 5,
        "models": [["scene-1", *line]], "organisations": [["Zaragoza", *line]],
    }  # fmt: skip
    return f"/admin/prices/previews/{id_text(_preview(_FIRST, 'done', result=result).id)}"


def _preview_in(state: str, **over: Any) -> Any:
    def make(world: World) -> str:
        return f"/admin/prices/previews/{id_text(_preview(_FIRST, state, **over).id)}"

    return make


_NOTHING: Final[dict[str, Any]] = {
    "columns": list(COLUMNS), "total": [0] * len(COLUMNS), "repriced": 0, "moved": 0,
    "unpriced": 0, "models": [], "organisations": [],
}  # fmt: skip


# Plans and what organisations pay ----------------------------------------------------------------


def _plan_in_use(world: World) -> str:
    """A plan of an organisation, a team and a person, with a change that waits."""
    Plan.objects.create(id=70_021, name="retail", multiplier_ppm=3_130_000)
    save_plan(SYSTEM, "retail", models=["scene-*", "m-1"])
    cora = world.places["colleague"].user
    for holder in (world.acme, world.core, Membership.objects.get(user=cora)):
        assign_plan(SYSTEM, holder, "retail")
    try:
        save_plan(cast.actor(world.dora), "retail", multiplier_ppm=1_170_000)
    except SecondPersonNeeded:
        return "/admin/plans/70021"
    raise AssertionError


def _own_prices(world: World) -> None:
    """Prices of Acme, which has a plan and a subscription; one begins later."""
    channel = Channel.objects.filter(enabled=True).earliest("id")
    for name in ("scene-1", "scene-2", "scene-3"):
        Route.objects.create(channel=channel, model=name)
    _version(_price(), 70_031, _LONG_AGO, _in_days(19))
    plain = {"meters": {"in_text": 1_130_000_000, "requests": 7 * 10**12}}
    _version(Price.objects.create(model="scene-2"), 70_032, _ALWAYS, rates=plain)
    flex = Price.objects.create(model="scene-2", service_tier="flex", hours="01:30-06:45")
    _version(flex, 70_033, _in_days(23), rates=_OTHER_RATES)
    # It has no rate for text that comes out.
    embedded = {"meters": {"in_text": 130_000_000}}
    _version(Price.objects.create(model="scene-3"), 70_034, _LONG_AGO, rates=embedded)
    save_plan(SYSTEM, "retail", multiplier_ppm=1_070_000)
    assign_plan(SYSTEM, world.acme, "retail")
    plan = SubscriptionPlan.objects.create(
        name="monthly", price_nano=1, included_nano=1, multipliers=[["scene-1", 890_000]]
    )
    Subscription.objects.create(
        organisation=world.acme, plan=plan, zone="UTC", month=_LONG_AGO.date(),
        started_at=_LONG_AGO,
    )  # fmt: skip


def _calculated(query: str) -> Any:
    def make(world: World) -> str:
        _own_prices(world)
        return f"/o/acme/prices?{query}"

    return make


def _no_prices(world: World) -> str:
    PriceVersion.objects.all().delete()
    return "/o/acme/prices"


def _price_book(world: World) -> str:
    _own_prices(world)
    _price_later = Price.objects.create(model="scene-4", kind="charge", region="eu-north-1")
    _version(_price_later, 70_035, _in_days(31), rates=_OTHER_RATES)
    return "/admin/prices?q=scene"


SCENES: Final = (
    Scene("price with a version that ended", _price_that_ended, "operator"),
    Scene("cost with every version", _cost_with_every_version, "operator"),
    Scene("version of a cost to withdraw", _withdrawing, "operator", headers=HTMX),
    Scene("draft with everything wrong", _draft, "operator", _WRONG),
    Scene(
        "draft with a row more", _draft_of_known, "operator",
        {"model": "scene-1", "kind": "charge", "meter": ["in_text", ""], "over": ["7", "11"],
         "rate": ["0.31", "0.23"], "more": "meter"},
    ),
    Scene(
        "new draft with a condition more", _draft, "operator",
        {"model": "scene-1", "kind": "cost", "channel": "east", "condition_kind": ["speed"],
         "condition_value": ["fast"], "condition_meter": ["in_text"], "condition_over": ["17"],
         "condition_number": ["0.37"], "more": "condition"},
    ),
    Scene("draft in place of a version", _draft_in_place_of_a_version, "operator"),
    Scene(
        "draft published unseen", _draft_published_unseen, "operator",
        {"id": [id_text(_FIRST)], "back": id_text(_FIRST), "act": "accept"},
    ),
    Scene("cut that waits for another operator", _cut_that_waits, "operator"),
    Scene("cut that needs two operators", _cut, "operator"),
    Scene("accepted proposal", _accepted, "operator"),
    Scene("dismissed end of a price", _dismissed_end, "operator"),
    Scene("end of a price", _end_of_a_price, "operator"),
    Scene("proposals of every kind", _proposals_of_every_kind, "operator"),
    Scene("preview with everything", _done_preview, "operator"),
    Scene("preview of little usage", _small_preview, "operator", headers=HTMX),
    Scene("preview that runs", _preview_in("running", done=1_700, total=3_100), "operator"),
    Scene("preview that was stopped", _preview_in("cancelled"), "operator", headers=HTMX),
    Scene(
        "preview that failed", _preview_in("failed", message="OverflowError"), "operator",
        headers=HTMX,
    ),
    Scene("preview of no usage", _preview_in("done", result=_NOTHING), "operator", headers=HTMX),
    Scene("plan in use, with a cut that waits", _plan_in_use, "operator"),
    Scene("markup that is right", lambda world: "/admin/plans/_f/markup?markup=7", "operator"),
    Scene("book of prices", _price_book, "operator"),
    Scene(
        "own prices, calculated",
        _calculated("m=scene-1&in_text=1700&in_cache_read=0&out_text=190"), "developer",
    ),
    Scene(
        "own prices of a day, wrongly calculated",
        _calculated("asof=2026-02-03&m=scene-1&in_text=many&out_text=190"),
    ),
    Scene("own prices, calculated without a rate", _calculated("m=scene-3&out_text=13"), "viewer"),
    Scene("own prices, of no model", _calculated("m=scene-9&out_text=13"), "viewer"),
    Scene("no prices, as a member", _no_prices),
    Scene("no prices, as an operator", _no_prices, "operator"),
)  # fmt: skip
