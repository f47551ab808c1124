"""Pages of models, their rules and their status, and of announcements."""

import datetime as dt
from typing import Any, Final
from uuid import UUID

from django.core.cache import cache

from accounts.access.actors import SYSTEM
from billing.models import Price, PriceVersion
from gateway.aliases.aliases import save_alias
from gateway.health.histogram_bounds import FIRST_TOKEN_MS
from gateway.model_entries.entries import save_entry
from gateway.models import (
    CatalogueIgnoreRule,
    CatalogueUpdate,
    Channel,
    ChannelReport,
    ModelAlias,
    ModelEntry,
    ModelListing,
    ModelProposal,
    ModelRule,
    Route,
    ShadowAnswer,
    ShadowSpend,
    TrafficBucket,
)
from gateway.settings.installation import save_settings
from gateway.status.announcements import publish_announcement
from lib import clock
from lib.ids import id_text, new_id
from tests.house.outlines.scenes.scene import Scene
from tests.isolation.world import World
from tests.support import cast

_SINCE: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_EAST: Final = UUID(int=7_101)
_WEST: Final = UUID(int=7_102)
_TIERED: Final = {
    "meters": {"in_text": 1_130_000_000, "out_text": 2_270_000_000},
    "tiers": [{"input_over": 131_000, "mode": "whole", "meters": {"in_text": 1_370_000_000}}],
    "conditions": [{"kind": "speed", "value": "fast", "multiplier_ppm": 1_730_000}],
}


def _in_days(days: int) -> dt.datetime:
    return clock.now() + dt.timedelta(days=days)


def _channel(id: UUID, name: str, models: dict[str, str], **over: Any) -> Channel:
    fields = {"provider": "openai", "base_url": "https://a.example", **over}
    channel = Channel.objects.create(id=id, name=name, **fields)
    for model, upstream in models.items():
        Route.objects.create(channel=channel, model=model, upstream_model=upstream)
    return channel


def _priced(model: str, rates: dict[str, Any], **key: Any) -> None:
    price, _ = Price.objects.get_or_create(model=model, **key)
    PriceVersion.objects.create(price=price, valid_from=_SINCE, rates=rates, source="manual")


# What everybody sees of models -------------------------------------------------------------------


def _known_model(world: World) -> str:
    """One with all that a page can say of a model: its limits, its end, its other names, and a
    price with tiers and under a condition."""
    _channel(_EAST, "east", {"gpt-5-mini": ""})
    _priced("gpt-5-mini", _TIERED)
    _priced("gpt-5-mini", {"meters": {"in_text": 530_000_000}}, service_tier="flex")
    for name in ("quick", "swift"):
        save_alias(SYSTEM, name, "gpt-5-mini")
    save_entry(
        SYSTEM, "gpt-5-mini", context_max=130_001, output_max=7_001, deprecated_at=_in_days(-9),
        sunset_at=_in_days(29), replacement="gpt-5",
    )  # fmt: skip
    return "/models/gpt-5-mini"


def _known_model_in_another_form(world: World) -> str:
    save_alias(SYSTEM, "quick", "gpt-5-mini")
    _channel(_EAST, "east", {"gpt-5-mini": ""})
    _priced("gpt-5-mini", {"meters": {"out_text": 530_000_000}})
    save_entry(SYSTEM, "gpt-5-mini", deprecated_at=_in_days(-9))
    return "/models/gpt-5-mini?form=messages"


def _free_model(world: World) -> str:
    save_settings(SYSTEM, unpriced_models="free")
    _channel(_EAST, "east", {"nobody-knows-it": ""})
    return "/models/nobody-knows-it"


def _embedding_model(world: World) -> str:
    _channel(_EAST, "east", {"text-embedding-3-small": ""})
    price, _ = Price.objects.get_or_create(model="text-embedding-3-small")
    PriceVersion.objects.create(
        price=price, valid_from=dt.datetime(1970, 1, 1, tzinfo=dt.UTC), source="manual",
        rates={"meters": {"in_text": 530_000_000}},
    )  # fmt: skip
    return "/models/text-embedding-3-small"


def _list_prices(world: World) -> str:
    _known_model(world)
    return "/pricing?m=gpt-5-mini&in_text=170&out_text=19"


# What operators see of them ----------------------------------------------------------------------


def _check(variant: str, **over: Any) -> dict[str, Any]:
    return {
        "ok": True, "at": "2026-02-03T04:05:06+00:00", "model": "gpt-5-mini",
        "upstream_model": "its-gpt", "variant": variant, "total_ms": 1_300, "cost_nano": 370_000,
        "stages": {}, "fault": None, "status": 200, "detail": "", "body": "", **over,
    }  # fmt: skip


def _probed_model(world: World) -> str:
    """One with other names, a channel that is off, a probe, and proposals that wait."""
    _channel(_EAST, "east", {"gpt-5-mini": "its-gpt"}, priority=3)
    _channel(_WEST, "west", {"gpt-5-mini": ""}, enabled=False, priority=7)
    _priced("gpt-5-mini", _TIERED)
    for name in ("quick", "swift"):
        save_alias(SYSTEM, name, "gpt-5-mini")
    save_entry(
        SYSTEM, "gpt-5-mini", context_max=130_001, output_max=7_001, deprecated_at=_in_days(-9),
        sunset_at=_in_days(-5), replacement="gpt-5", forwards=True, roles=["owner"],
        can={"tools": False, "vision": True},
    )  # fmt: skip
    failed = _check(
        "vision", ok=False, fault="not_seen", cost_nano=None, total_ms=170, body="a red square"
    )
    probe = {
        "at": "2026-02-03T04:05:06+00:00", "channel": "east", "cost_nano": 410_000,
        "results": [_check("tools"), failed],
    }  # fmt: skip
    ModelEntry.objects.filter(name="gpt-5-mini").update(probe=probe, plans=["a plan that is gone"])
    for field, before, after in (
        ("tools", None, True), ("context_max", 9_001, 8_009), ("output_max", 701, None),
    ):  # fmt: skip
        ModelProposal.objects.create(
            model="gpt-5-mini", field=field, before=before, after=after, source="list one"
        )
    return "/admin/models/named/gpt-5-mini"


def _saved_wrongly(world: World) -> str:
    _probed_model(world)
    return "/admin/models/save/gpt-5-mini"


def _probed_wrongly(world: World) -> str:
    _probed_model(world)
    ModelEntry.objects.filter(name="gpt-5-mini").update(probe={
        "at": "2026-02-03T04:05:06+00:00", "channel": "east", "cost_nano": None, "results": [],
    })  # fmt: skip
    return "/admin/models/probe/gpt-5-mini"


def _alias_page(world: World) -> str:
    _channel(_EAST, "east", {"gpt-5-mini": "its-gpt"})
    save_alias(SYSTEM, "quick", "gpt-5-mini")
    return "/admin/models/named/quick"


def _unpriced(rule: str, address: str) -> Any:
    def make(world: World) -> str:
        save_settings(SYSTEM, unpriced_models=rule)
        Route.objects.all().delete()
        _channel(_EAST, "east", {"gpt-5-mini": "its-gpt"}, enabled=rule == "free")
        if rule == "free":
            Route.objects.create(channel_id=_EAST, model="scene-*")
        return address

    return make


def _all_priced(world: World) -> str:
    Route.objects.all().delete()
    _channel(_EAST, "east", {"gpt-5-mini": "its-gpt", "wild-*": ""})
    _priced("gpt-5-mini", _TIERED)
    for n in range(2):
        _priced(f"wild-{n}", _TIERED)
    _priced("quick", _TIERED)
    save_alias(SYSTEM, "quick", "gpt-5-mini")
    save_entry(SYSTEM, "gpt-5-mini", sunset_at=_in_days(-5), roles=["owner"])
    return "/admin/models"


# Lists of models ---------------------------------------------------------------------------------


def _compared_lists(world: World) -> str:
    """What lists proposed, what they have that is not known, and what none may propose."""
    for n, field in enumerate(("", "tools"), 1):
        CatalogueIgnoreRule.objects.create(id=7_000 + n, model=f"left-{n}-*", field=field)
    counts = {"added": 13, "changed": 17, "removed": 19}
    CatalogueUpdate.objects.create(
        id=UUID(int=1), source="list one",
        result={
            "prices": counts, "facts": {"added": 1_000, "changed": 2_000, "removed": 3_000},
            "unknown": {"its_colour": 1_023, "its_smell": 29},
            "skipped": {"odd-1": "a tier", "odd-2": "a time"}, "skipped_count": 31,
        },
    )  # fmt: skip
    CatalogueUpdate.objects.create(
        id=UUID(int=2), source="list two",
        result={
            "prices": counts, "facts": {"added": 0, "changed": 0, "removed": 0},
            "unknown": {"its_colour": 1}, "skipped": {"odd-1": "a tier"}, "skipped_count": 1,
        },
    )  # fmt: skip
    CatalogueUpdate.objects.create(
        id=UUID(int=3), source="list three",
        result={
            "prices": counts, "facts": counts, "unknown": {}, "skipped": {}, "skipped_count": 0
        },
    )  # fmt: skip
    for model, before, after in (("a", None, True), ("b", False, True), ("c", True, None)):
        ModelProposal.objects.create(
            model=f"scene-{model}", field="tools", before=before, after=after, source="a list"
        )
    return "/admin/models/catalogue"


def _listing(channel: Channel, **over: Any) -> str:
    fields = {"checked_at": clock.now(), "listed_at": _in_days(-5), "complete": True, **over}
    ModelListing.objects.create(channel=channel, **fields)
    return f"/admin/channels/{id_text(channel.id)}/models/changes"


def _changed_list(world: World) -> str:
    """A provider's list with models that are new, gone and renamed, read to its middle before."""
    channel = _channel(
        _EAST, "east", {"own": "old-0102", "his": "old-0102", "plain": "", "kept": ""},
        check_models_every_h=13,
    )  # fmt: skip
    _priced("gpt-5-mini", _TIERED)
    listed = ["gpt-5-mini", "no-price-1", "old-0304", "kept"]
    return _listing(channel, listed=listed, known=["old-0102", "plain", "kept"])


def _changes_decided_wrongly(world: World) -> str:
    _changed_list(world)
    return f"/admin/channels/{id_text(_EAST)}/models/decide"


def _list_read_in_part(world: World) -> str:
    channel = _channel(_EAST, "east", {"kept": ""}, check_models_every_h=1)
    return _listing(channel, listed=["kept"], complete=False, fault="denied")


def _list_never_read(world: World) -> str:
    channel = _channel(_EAST, "east", {"kept": ""}, archived_at=_in_days(-5), enabled=False)
    return _listing(channel, listed_at=None, fault="timeout")


# Rules, shadows, status --------------------------------------------------------------------------


def _rules_of_every_kind(world: World) -> str:
    ModelRule.objects.create(
        model="scene-1", fallbacks=["scene-2", "scene-3"], causes=["error", "budget"],
        pick="ttft", charge_rule={"kind": "drain", "seconds": 13, "cost": "0.17"},
        shadow={"channel": "trial", "model": "next", "percent": 7, "cap": "2.90"},
    )  # fmt: skip
    save_alias(SYSTEM, "quick", "swift")
    save_alias(SYSTEM, "swift", "scene-1")
    return "/admin/models/rules"


def _rule_with_everything(world: World) -> str:
    _rules_of_every_kind(world)
    return f"/admin/models/rules/{ModelRule.objects.get(model='scene-1').id}"


def _no_rules(world: World) -> str:
    ModelRule.objects.all().delete()
    ModelAlias.objects.all().delete()
    return "/admin/models/rules"


def _shadow(n: int, **over: Any) -> None:
    fields = {
        "rule": "scene-1", "model": "scene-1", "main_channel": "main", "main_status": 200,
        "main_ttft_ms": 101, "main_total_ms": 907, "main_tokens": 41, "main_finish": "stop",
        "main_cost_nano": 3_110_000_000, "channel": "trial", "upstream_model": "next", "fault": "",
        "ttft_ms": 211, "total_ms": 709, "tokens": 61, "finish": "stop",
        "cost_nano": 5_230_000_000, "likeness": 83, "same_structure": True, **over,
    }  # fmt: skip
    ShadowAnswer.objects.create(
        id=UUID(int=n), request_id=new_id(), channel_id=_EAST, at=clock.now(), **fields
    )


def _shadows(world: World) -> str:
    for n, (model, unknown) in enumerate((("scene-1", 1), ("scene-2", 2), ("scene-3", 0)), 3):
        ModelRule.objects.create(
            model=model, shadow={"channel": "trial", "percent": n, "cap": f"2.{n}0"}
        )
        ShadowSpend.objects.create(
            day=clock.now().date(), rule=model, cost_nano=n * 110_000_000, unknown=unknown
        )
    _shadow(1)
    _shadow(2, finish="length", same_structure=False, cost_unknown=True)
    _shadow(3, main_status=500, fault="denied", likeness=None, same_structure=None)
    _shadow(4, fault="denied", likeness=None, same_structure=None)
    _shadow(5, model="scene-2", rule="scene-2", main_status=500, likeness=None,
            same_structure=None, main_cost_nano=None, cost_unknown=True)  # fmt: skip
    _shadow(6, model="scene-2", rule="scene-2", fault="stopped", likeness=None,
            same_structure=None, cost_unknown=True)  # fmt: skip
    return "/admin/models/shadows"


def _traffic(channel: Channel, ago: dt.timedelta, requests: int, failed: int, model: str) -> None:
    TrafficBucket.objects.create(
        bucket_at=clock.now() - ago, channel_id=channel.id, model=model, attempts=requests,
        failed=failed, requests=requests, failed_requests=failed, output_tokens=0, writing_ms=0,
        first_tokens=[0] * len(FIRST_TOKEN_MS),
    )  # fmt: skip


def _status(world: World) -> str:
    """Models that are down, that fail now and then, that work, and that nobody has used."""
    cache.delete("model-status")
    east = _channel(_EAST, "east", {"scene-1": "", "scene-2": "", "scene-3": ""})
    west = _channel(_WEST, "west", {"scene-4": ""})
    for model in ("scene-1", "scene-2", "scene-3", "scene-4"):
        _priced(model, _TIERED)
    _traffic(east, dt.timedelta(minutes=3), 100, 13, "scene-1")
    _traffic(east, dt.timedelta(days=4), 300, 0, "scene-1")
    _traffic(east, dt.timedelta(days=4), 100, 29, "scene-2")
    _traffic(west, dt.timedelta(days=4), 10, 1, "scene-4")
    body = {"status": ["open", 9, "upstream_unreachable"], "keys": []}
    ChannelReport.objects.create(
        process_id=new_id(), reported_at=clock.now(), epoch=1, channels={str(west.id): body}
    )
    publish_announcement(
        SYSTEM, title="Works on the line", text="The east is slow until noon.", tone="warn",
        starts_at=_in_days(-5), ends_at=_in_days(5),
    )  # fmt: skip
    return "/status"


def _announcements(world: World) -> str:
    for n, (tone, begins, ends) in enumerate(
        (("bad", -5, 5), ("warn", -9, -5), ("info", 5, None)), 1
    ):
        publish_announcement(
            SYSTEM, title=f"Notice {n}", text="", tone=tone, starts_at=_in_days(begins),
            ends_at=None if ends is None else _in_days(ends),
        )  # fmt: skip
    return "/admin/announcements"


def _marks(world: World) -> str:
    _announcements(world)
    return "/o/acme/usage/_f/marks?range=30d"


def _settings_changed_twice(world: World) -> str:
    dora = cast.actor(world.dora)
    save_settings(dora, unpriced_models="free")
    save_settings(dora, unpriced_models="reject")
    return "/admin/settings"


SCENES: Final = (
    Scene("model with everything", _known_model, "developer"),
    Scene("model in another form", _known_model_in_another_form, "viewer"),
    Scene("free model that is not known", _free_model, "developer"),
    Scene("model that embeds", _embedding_model, "no role"),
    Scene("list prices, calculated", _list_prices, "viewer"),
    Scene("model that was probed", _probed_model, "operator"),
    Scene(
        "model with wrong fields", _saved_wrongly, "operator",
        {"context_max": "0", "output_max": "many", "deprecated_at": "soon", "sunset_at": "",
         "replacement": "", "forwards": "on", "roles": "king", "aliases": "quick"},
    ),
    Scene("probe of nothing", _probed_wrongly, "operator", {"channel": "none"}),
    Scene("alias of a model", _alias_page, "operator"),
    Scene(
        "free model without a price", _unpriced("free", "/admin/models/named/gpt-5-mini"),
        "operator",
    ),
    Scene(
        "rejected model without a price", _unpriced("reject", "/admin/models/named/gpt-5-mini"),
        "operator",
    ),
    Scene("models that are free", _unpriced("free", "/admin/models"), "operator"),
    Scene("model that is rejected", _unpriced("reject", "/admin/models"), "operator"),
    Scene("models that all have a price", _all_priced, "operator"),
    Scene("lists that were compared", _compared_lists, "operator"),
    Scene("changed list of a provider", _changed_list, "operator"),
    Scene(
        "changes of a provider, none selected", _changes_decided_wrongly, "operator",
        {"change": ["added gpt-5-mini"], "public": ["mine"]},
    ),
    Scene("list that was read in part", _list_read_in_part, "operator"),
    Scene("list that was never read", _list_never_read, "operator"),
    Scene("rules of every kind", _rules_of_every_kind, "operator"),
    Scene("rule with everything", _rule_with_everything, "operator"),
    Scene("no rules", _no_rules, "operator"),
    Scene("shadow traffic", _shadows, "operator"),
    Scene("status of models", _status, "developer"),
    Scene("announcements", _announcements, "operator"),
    Scene("marks of usage", _marks),
    Scene("settings that were changed twice", _settings_changed_twice, "operator"),
)  # fmt: skip
