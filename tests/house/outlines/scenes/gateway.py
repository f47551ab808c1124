"""Pages of channels: their settings, keys, tests and balances, and providers' bills."""

import datetime as dt
from typing import Any, Final
from uuid import UUID

from accounts.access.actors import SYSTEM
from billing.models import Price, PriceProposal, PriceVersion
from billing.prices.own_key_fee import OwnKeyFee
from gateway.channel_setup.edit_forms import SettingsForm
from gateway.channels.channels import create_channel, version_of
from gateway.health.histogram_bounds import FIRST_TOKEN_MS
from gateway.models import (
    Channel,
    ChannelKey,
    ChannelTestRun,
    ModelListing,
    OwnKey,
    OwnKeyOffer,
    Route,
    TrafficBucket,
    UpstreamPriceList,
)
from gateway.own_keys import own_keys
from gateway.own_keys.offers import set_offer
from gateway.prices.upstream_prices.upstream_prices import source_of
from gateway.settings.installation import save_settings
from lib import clock
from lib.ids import id_text
from tests.house.outlines.scenes.gateway_prices import HTMX
from tests.house.outlines.scenes.scene import Scene
from tests.isolation.world import World
from usage.models import BillDifference, BillMapping, ProviderBill

_SINCE: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_AT: Final = "2026-02-03T04:05:06+00:00"


def _in_days(days: int) -> dt.datetime:
    return clock.now() + dt.timedelta(days=days)


def _channel(name: str = "east", provider: str = "deepseek", **over: Any) -> Channel:
    """A channel with two keys, the second of which is off. `over` are columns."""
    channel = create_channel(
        SYSTEM,
        name,
        {
            "provider": provider,
            "base_url": "https://a.example/v1",
            "keys": ["sk-of-the-east-k1k1", "sk-of-the-east-k2k2"],
            "models": {"scene-1": "its-1", "scene-2": "", "wild-*": ""},
        },
    )
    ChannelKey.objects.filter(channel=channel, position=1).update(disabled_at=_in_days(-5))
    Channel.objects.filter(id=channel.id).update(**over)
    channel.refresh_from_db()
    return channel


def _priced(model: str, rates: dict[str, Any]) -> None:
    price, _ = Price.objects.get_or_create(model=model)
    PriceVersion.objects.create(price=price, valid_from=_SINCE, rates=rates, source="manual")


def _page(channel: Channel, rest: str = "") -> str:
    return f"/admin/channels/{id_text(channel.id)}{rest}"


def _check(**over: Any) -> dict[str, Any]:
    return {
        "ok": True, "at": _AT, "model": "scene-1", "upstream_model": "its-1",
        "variant": "streamed", "total_ms": 1_300, "cost_nano": 370_000,
        "fault": None, "status": 200,
        "detail": "", "body": "",
        "stages": [
            {"name": "address", "ok": True, "ms": 3}, {"name": "connect", "ok": True, "ms": 7},
            {"name": "accept", "ok": over.get("ok", True), "ms": 131},
        ],
        **over,
    }  # fmt: skip


_OVERRIDES: Final[dict[str, Any]] = {
    "fields": {"store": "drop", "user": "refuse"},
    "parameters": {
        "openai": {"set": {"seed": 3}, "default": {"top_k": 5}, "remove": ["logit_bias"]}
    },
    "system_prompt": {"mode": "append", "text": "Answer like a lighthouse keeper."},
    "headers": {"X-Tier": "1"},
    "client_headers": ["X-Trace"],
    "when": [
        {"models": ["scene-*"], "endpoints": ["chat"], "teams": ["core"],
         "headers": {"X-Rule": "2"}}
    ],
}  # fmt: skip
_PASS_THROUGH: Final[list[dict[str, Any]]] = [
    {"methods": ["GET"], "path": "/files/*", "price": "0.03", "cost": "0.02"},
    {"methods": ["POST", "PUT"], "path": "/parse", "price": "0.05", "pointer": "/usage/pages",
     "unit_price": "0.07", "max_charge": "1.10", "cost": "", "unit_cost": "0.06"},
    {"methods": ["DELETE"], "path": "/files/*", "price": "0.00"},
]  # fmt: skip


def _channel_with_everything(world: World) -> str:
    """One with each setting, balances, limits, overrides, an offer, and a test that passed."""
    channel = _channel(
        proxy_url="http://proxy.example:3128", proxy_login=b"sealed", ca_bundle="a bundle",
        client_cert="a certificate", balance_source="deepseek",
        balance_warn_below_nano=13 * 10**9, balance_rest_below_nano=7 * 10**9, retries=0,
        breaker={"enabled": False}, on_leave="drain", names_client=False, uncapped=True,
        zero_retention=True, region="eu-north-1", priority=3, weight=17, rpm=1_100, tpm=1_300,
        parallel=17, spend_cap_day_nano=19 * 10**9, spend_cap_month_nano=0,
        overrides=_OVERRIDES, pass_through=_PASS_THROUGH, last_test=_check(),
        conditions={"prompt_min": 11, "prompt_max": 13_000},
        timeouts={"connect": 3, "first_content": 31, "idle": 37, "total": 3_700},
    )  # fmt: skip
    Route.objects.filter(channel=channel, model="scene-1").update(
        priority=5, weight=23, can={"tools": True, "vision": False}
    )
    _priced("scene-1", {"meters": {"in_text": 1_130_000_000, "out_text": 2_270_000_000}})
    _priced("scene-2", {"meters": {"images": 41 * 10**12}})
    ChannelKey.objects.filter(channel=channel, position=0).update(balance={
        "checked_at": clock.now().isoformat(), "read_at": "2026-01-02T04:05:06+00:00", "low": True,
        "fault": "denied", "detail": "401 from the provider",
        "amounts": [["USD", 5_310_000_000], ["CNY", 7_130_000_000]],
    })  # fmt: skip
    ChannelKey.objects.filter(channel=channel, position=1).update(
        disabled_at=None, created_at=None,
        balance={"checked_at": clock.now().isoformat(), "fault": "timeout"},
    )  # fmt: skip
    offer = set_offer(
        SYSTEM, channel, title="Your own east", everyone=False, fee=OwnKeyFee(),
        organisations=[world.acme, world.stranger],
    )  # fmt: skip
    assert offer is not None
    ModelListing.objects.create(
        channel=channel, listed=["its-1", "scene-2", "new-1"], known=["its-1", "scene-2"],
        complete=True, checked_at=clock.now(), listed_at=clock.now(),
    )  # fmt: skip
    for model, attempts, failed in (("scene-1", 100, 13), ("scene-2", 300, 0)):
        TrafficBucket.objects.create(
            bucket_at=clock.now() - dt.timedelta(minutes=3), channel_id=channel.id, model=model,
            attempts=attempts, failed=failed, requests=attempts, failed_requests=failed,
            output_tokens=1_700, writing_ms=10_000, first_tokens=[1] * len(FIRST_TOKEN_MS),
        )  # fmt: skip
    return _page(channel)


def _archived_demo(world: World) -> str:
    channel = _channel(
        "demo", "local", enabled=False, archived_at=_in_days(-5),
        last_test=_check(ok=False, fault="denied", cost_nano=None, upstream_model="scene-1",
                         status=401, detail="no entry", body="go away"),
    )  # fmt: skip
    channel.keys.all().delete()
    return _page(channel)


def _taken_out(cause: str, **over: Any) -> Any:
    def make(world: World) -> str:
        taken_out = {"cause": cause, "what": "170", "at": _AT}
        channel = _channel(enabled=False, taken_out=taken_out, **over)
        return _page(channel)

    return make


def _without_models(world: World) -> str:
    channel = _channel(balance_source="deepseek")
    channel.routes.all().delete()
    channel.keys.all().update(disabled_at=_in_days(-5))
    return _page(channel)


def _free_models(world: World) -> str:
    save_settings(SYSTEM, unpriced_models="free")
    offer = set_offer(
        SYSTEM, channel := _channel(), title="Your own east", everyone=True, fee=OwnKeyFee()
    )
    assert offer is not None
    return _page(channel)


def _tested_without_name(world: World) -> str:
    return _page(_channel(), "/test")


def _run(world: World, **over: Any) -> str:
    results = [
        {"channel_id": str(UUID(int=1)), "channel": "east", "ok": True, "fault": None,
         "total_ms": 1_300, "cost_nano": 370_000},
        {"channel_id": str(UUID(int=2)), "channel": "west", "ok": False, "fault": "denied",
         "total_ms": 170, "cost_nano": None},
        {"channel_id": str(UUID(int=3)), "channel": "north", "ok": False, "fault": "no_model",
         "total_ms": 0, "cost_nano": None},
    ]  # fmt: skip
    fields = {"variant": "streamed", "results": results, "total": 5, **over}
    run = ChannelTestRun.objects.create(id=UUID(int=7), made_by=world.dora, **fields)
    return f"/admin/channels/tests/{id_text(run.id)}"


def _ended_run(world: World) -> str:
    return _run(world, ended_at=clock.now(), total=3)


def _begun_run(world: World) -> str:
    return _run(world, results=[], total=1)


# Setting up and changing -------------------------------------------------------------------------

_MODELS: Final = {
    "provider": "deepseek", "name": "east", "base_url": "https://a.example/v1", "next": "/admin",
    "listed": ["deepseek-chat", "gpt-5-mini", "odd-1"], "public": ["chat", "gpt-5-mini", "odd-1"],
    "id": ["deepseek-chat", "odd-1"], "by_hand": "other=its-other", "test": "odd-1",
    "in_text odd-1": "1.3", "in_cache_read odd-1": "", "out_text odd-1": "much",
}  # fmt: skip


def _new_channel(world: World) -> str:
    _priced("gpt-5-mini", {"meters": {"in_text": 1_130_000_000, "out_text": 2_270_000_000}})
    return "/admin/channels/new"


# What a scene fills when it is made.
_EDITED: Final[dict[str, Any]] = {}


def _edited(world: World) -> str:
    """A channel whose form was sent with other values than it has."""
    channel = _channel(priority=3)
    form = SettingsForm(channel)
    values = {bound.html_name: bound.value() for bound in form}
    _EDITED.clear()
    _EDITED.update({name: value for name, value in values.items() if value not in (None, False)})
    _EDITED.update({"priority": "5", "weight": "29", "base_url": "https://b.example/v1"})
    return _page(channel, "/edit")


def _not_edited(world: World) -> str:
    address = _edited(world)
    _EDITED.update({"priority": "3", "weight": "1", "base_url": "https://a.example/v1"})
    return address


def _edited_meanwhile(world: World) -> str:
    address = _edited(world)
    _EDITED.update({"save": "1", "version": "of yesterday"})
    return address


def _models_edited(world: World) -> str:
    return _page(_channel(), "/models")


_SEVERAL: Final[dict[str, Any]] = {}


def _several(world: World) -> str:
    channels = [_channel("east", priority=3), _channel("west", priority=7)]
    _SEVERAL.clear()
    _SEVERAL.update({
        "id": [id_text(channel.id) for channel in channels], "change": ["priority", "weight"],
        "priority": "7", "weight": "31", "add_labels": "fast", "next": "/admin/channels",
    })  # fmt: skip
    return "/admin/channels/several"


def _several_alike(world: World) -> str:
    address = _several(world)
    _SEVERAL.update({"change": ["weight"], "weight": "1", "add_labels": "", "priority": ""})
    return address


def _several_meanwhile(world: World) -> str:
    address = _several(world)
    east = Channel.objects.get(name="east")
    _SEVERAL.update({"save": "1", "seen": [f"{id_text(east.id)} {version_of(east)}x"]})
    return address


def _prices_missing(world: World) -> str:
    return _page(_channel(), "/prices/set")


def _prices_set_already(world: World) -> str:
    _priced("scene-1", {"meters": {"in_text": 1_130_000_000}})
    return _page(_channel(), "/prices/set")


def _every_price_set(world: World) -> str:
    channel = _channel()
    channel.routes.all().delete()
    return _page(channel, "/prices/set")


def _prices_of_provider(world: World) -> str:
    channel = _channel()
    UpstreamPriceList.objects.create(
        channel=channel, group="vip", markup_ppm=1_130_000, checked_at=clock.now(),
        read_at=_in_days(-5), fault="denied", detail="401 from the provider",
        result={
            "listed": 1_301, "served": 17, "not_understood_count": 1_009,
            "not_understood": {
                "odd-1": ["no_meter", "per_smell", ""], "odd-2": ["too_much", "input", "1000"]
            }, "missing": ["gone-1", "gone-2"],
            "unknown": {"its_colour": 1_023, "its_smell": 1}, "groups": ["vip", "plain"],
            "proposed": {"added": 1, "changed": 2, "removed": 3},
        },
    )  # fmt: skip
    return _page(channel, "/prices")


def _prices_followed(world: World) -> str:
    """Of a provider whose prices can be read, and differ from those in force."""
    channel = _channel(provider="openrouter", base_url="https://openrouter.ai/api/v1")
    UpstreamPriceList.objects.create(
        channel=channel, checked_at=None, read_at=_in_days(-5),
        result={
            "listed": 13, "served": 1, "not_understood_count": 0, "not_understood": {},
            "missing": [], "unknown": {}, "groups": ["vip", "plain"],
        },
    )  # fmt: skip
    for model in ("scene-1", "scene-2"):
        PriceProposal.objects.create(
            model=model, kind="cost", channel="east", source=source_of(channel),
            rates={"meters": {"in_text": 1_130_000_000}},
        )  # fmt: skip
    return _page(channel, "/prices")


def _channel_that_publishes(world: World) -> str:
    _prices_followed(world)
    save_settings(SYSTEM, unpriced_models="free")
    channel = Channel.objects.get(name="east")
    channel.routes.exclude(model="scene-1").delete()
    return _page(channel)


def _prices_not_read(world: World) -> str:
    return _page(_channel(provider="openrouter"), "/prices")


def _no_channels(world: World) -> str:
    Channel.objects.all().update(enabled=False, archived_at=_in_days(-5))
    return "/admin/channels"


# Own keys and bills ------------------------------------------------------------------------------


def _own_key_with_prices(world: World) -> str:
    for model, rates in (
        ("scene-1", {"in_text": 1_130_000_000, "out_text": 2_270_000_000}),
        ("scene-2", {"images": 41 * 10**12}),
    ):
        _priced(model, {"meters": rates})
    channel = _channel()
    set_offer(SYSTEM, channel, title="Your own east", everyone=True, fee=OwnKeyFee())
    key = own_keys.add_own_key(
        SYSTEM, world.acme, world.core, OwnKeyOffer.objects.get(channel=channel), name="mine",
        secret="sk-own-key-secret",
    )  # fmt: skip
    return f"/o/acme/provider-keys/{id_text(key.id)}/edit"


def _no_offers(world: World) -> str:
    OwnKey.objects.all().delete()
    OwnKeyOffer.objects.all().delete()
    return "/o/acme/provider-keys"


def _bill(world: World) -> ProviderBill:
    day = _SINCE.date()
    return ProviderBill.objects.create(
        provider="deepseek", file_name="one.csv", match="day", first_on=day, last_on=day,
        channel_ids=[], tolerance_nano=0, lines=7, billed_nano=9 * 10**9, ours_nano=4 * 10**9,
        created_by=world.dora,
    )  # fmt: skip


def _settled_difference(world: World) -> str:
    bill = _bill(world)
    BillDifference.objects.create(
        bill=bill, n=13, kind="differs", day=bill.first_on, model="scene-1",
        billed_nano=5_310_000_000, ours_nano=2_130_000_000, settled_at=_in_days(-5),
        settled_by=world.dora, note="They wrote it off.", request_id=UUID(int=2**127 + 7),
    )  # fmt: skip
    return f"/admin/reconcile/{id_text(bill.id)}/13"


def _bill_again(world: World) -> str:
    for provider in ("anthropic", "deepseek"):
        BillMapping.objects.create(
            provider=provider, day_column="When", model_column="What",
            amount_column=f"{provider} USD", tolerance_nano=170_000_000,
        )  # fmt: skip
    return "/admin/reconcile/new?provider=deepseek"


SCENES: Final = (
    Scene("channel with everything", _channel_with_everything, "operator"),
    Scene("archived demo whose test failed", _archived_demo, "operator"),
    Scene("channel off by its test", _taken_out("status"), "operator"),
    Scene("channel off by its balance", _taken_out("balance"), "operator"),
    Scene("channel without models and keys", _without_models, "operator"),
    Scene("channel of free models", _free_models, "operator"),
    Scene(
        "test of no model", _tested_without_name, "operator", {"model": "other"}, headers=HTMX
    ),
    Scene("test of all that runs", _run, "operator", headers=HTMX),
    Scene("test of all that began", _begun_run, "operator", headers=HTMX),
    Scene("test of all that ended", _ended_run, "operator"),
    Scene("new channel with wrong fields", _new_channel, "operator", _MODELS),
    Scene(
        "new channel of a cloud", lambda world: "/admin/channels/new?provider=bedrock&next=/admin",
        "operator",
    ),
    Scene("new channel of a project", lambda world: "/admin/channels/new?provider=vertex",
          "operator"),
    Scene("changed channel to review", _edited, "operator", _EDITED, headers=HTMX),
    Scene("channel that was changed meanwhile", _edited_meanwhile, "operator", _EDITED),
    Scene(
        "models with wrong fields", _models_edited, "operator",
        {"name": ["scene-1", "scene-1", "ok"], "upstream": ["", "", "its-3"],
         "priority": ["x", "", "3"], "weight": ["", "7", "5"], "timeouts": ["", "1/2", ""],
         "remove": ["2"]},
    ),
    Scene(
        "models to review", _models_edited, "operator",
        {"name": ["scene-1", "scene-2", "scene-3"], "upstream": ["its-7", "", "its-3"],
         "priority": ["", "", "3"], "weight": ["", "7", "5"], "timeouts": ["", "", "120/60/3600"],
         "remove": ["1"]},
    ),
    Scene("several channels to review", _several, "operator", _SEVERAL, headers=HTMX),
    Scene("several channels, changed meanwhile", _several_meanwhile, "operator", _SEVERAL),
    Scene("prices that are missing", _prices_missing, "operator"),
    Scene(
        "price that was set already", _prices_set_already, "operator",
        {"model": ["scene-1", "scene-2"], "in_text scene-2": "1.3", "out_text scene-2": "much"},
    ),
    Scene("every price is set", _every_price_set, "operator"),
    Scene("prices that a provider publishes", _prices_of_provider, "operator"),
    Scene("prices of a provider that differ", _prices_followed, "operator"),
    Scene("channel whose provider publishes prices", _channel_that_publishes, "operator"),
    Scene("channel with nothing to change", _not_edited, "operator", _EDITED, headers=HTMX),
    Scene("several channels with nothing to change", _several_alike, "operator", _SEVERAL),
    Scene("prices that were not read", _prices_not_read, "operator"),
    Scene("no channels", _no_channels, "operator"),
    Scene("own key beside prices", _own_key_with_prices, headers=HTMX),
    Scene("no offers of channels", _no_offers),
    Scene("difference that is settled", _settled_difference, "operator"),
    Scene("bill of a known provider", _bill_again, "operator"),
)  # fmt: skip
