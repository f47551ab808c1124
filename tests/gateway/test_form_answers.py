"""What each form of the room answers: where an accepted one leads and what it says there, and what
a refused one says beside its fields.

`form_answers.txt` has the answers, and `api_answers.txt` those of the management API to the same.
An id and a time are written as `…`."""

import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any, Final

import pytest
from django.contrib.messages import get_messages
from django.db import transaction
from django.test import Client
from django.urls import reverse

from accounts.access.actors import SYSTEM
from accounts.models import Organisation
from billing.models import Plan, PriceVersion
from billing.price_plans.price_plans import assign_plan, save_plan
from billing.prices.conditions import PriceKey
from billing.prices.own_key_fee import OwnKeyFee
from billing.prices.prices import set_price
from billing.prices.proposals import draft_price
from gateway.aliases.aliases import save_alias
from gateway.catalogue.updates import add_ignore_rule
from gateway.channel_setup.edit_forms import SettingsForm
from gateway.channels.channels import archive_channel, create_channel, version_of
from gateway.models import Channel, ModelListing, PricePreview
from gateway.own_keys.offers import set_offer
from gateway.own_keys.own_keys import add_own_key
from gateway.routing.model_rules import save_rule
from gateway.settings.installation import save_settings
from gateway.status.announcements import publish_announcement
from lib import clock
from lib.ids import id_text
from tests.support.cast import assemble, signed_in
from tests.support.golden_texts import GoldenTexts
from tests.support.reviewing import save_reviewed
from tests.support.shell import bare_pages
from tests.support.stage import scene
from usage.models import BillDifference, ProviderBill

ANSWERS: Final = GoldenTexts(Path(__file__).with_name("form_answers.txt"))
API_ANSWERS: Final = GoldenTexts(Path(__file__).with_name("api_answers.txt"))
SECRET: Final = "sk-fake-provider-key-of-a-form-4f2a"
RATES: Final = {"meters": {"in_text": 150_000_000, "out_text": 600_000_000}}
SAID: Final = "Shown on every page"
SINCE: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_ID: Final = re.compile(r"(?<=[/#])\d+\b|\b[0-9A-Z]{26}\b")
_TIME: Final = re.compile(r"20\d\d-\d\d-\d\dT[\d:.]+Z?")
_NUMBERED: Final = {"id", "replaces", "version"}
# An error beside its field, or above the form.
_ERROR: Final = re.compile(
    r'<(div|p|li)\s+class="(?:error|banner|errorlist)\b[^"]*"[^>]*>(.*?)</\1>', re.DOTALL
)


@dataclass(frozen=True)
class Room:
    """What there is, by the name that cases use."""

    dora: Client
    alice: Client
    organisation: Organisation
    ids: dict[str, Any]


@scene
def room() -> Room:
    people = assemble()
    fields = {
        "provider": "openai",
        "base_url": "https://a.example/v1",
        "keys": [SECRET],
        "models": {"m-1": "", "m-2": ""},
    }
    main = create_channel(SYSTEM, "main", fields)  # type: ignore[arg-type]
    free = create_channel(SYSTEM, "free", fields)  # type: ignore[arg-type]
    old = create_channel(SYSTEM, "old", {"provider": "openai", "models": {"m-1": ""}})
    archive_channel(SYSTEM, old)
    offer = set_offer(SYSTEM, main, title="Main", everyone=True, fee=OwnKeyFee())
    own = add_own_key(
        SYSTEM, people.acme, None, offer, name="ours", secret="sk-own-key-of-a-customer-1234"
    )
    for name, multiplier in (("retail", 1_070_000), ("empty", 1_200_000)):
        save_plan(SYSTEM, name, multiplier_ppm=multiplier)
    assign_plan(SYSTEM, people.acme, "retail")
    set_price(SYSTEM, "m-1", SINCE, RATES, source="file")
    later = set_price(SYSTEM, "m-1", clock.now() + dt.timedelta(days=9), RATES, source="file")
    draft = draft_price(SYSTEM, PriceKey("m-9"), RATES, valid_from=None)
    bill = ProviderBill.objects.create(
        provider="openai", file_name="one.csv", match="day", first_on=SINCE.date(),
        last_on=SINCE.date(), channel_ids=[], tolerance_nano=0, lines=1, billed_nano=9,
        ours_nano=4, created_by=people.dora,
    )  # fmt: skip
    BillDifference.objects.create(bill=bill, n=1, kind="differs", billed_nano=5, ours_nano=2)
    now = clock.now()
    said = publish_announcement(
        SYSTEM, title=SAID, text="", tone="info", starts_at=now, ends_at=None
    )
    ModelListing.objects.create(channel=main, checked_at=now, fault="no_list")
    preview = PricePreview.objects.create(start_at=SINCE, end_at=now, drafts=[])
    save_settings(SYSTEM, public_status=True)
    return Room(
        signed_in(people.dora),
        signed_in(people.alice),
        people.acme,
        {
            "main": id_text(main.id),
            "free": id_text(free.id),
            "old": id_text(old.id),
            "key": id_text(main.keys.get().id),
            "own": id_text(own.id),
            "alias": save_alias(SYSTEM, "short", "m-1").id,
            "rule": save_rule(SYSTEM, "m-1", fallbacks=["m-2"]).id,
            "ignored": add_ignore_rule(SYSTEM, "m-7", "").id,
            "ignored_field": add_ignore_rule(SYSTEM, "m-8", "tools").id,
            "retail": Plan.objects.get(name="retail").id,
            "empty": Plan.objects.get(name="empty").id,
            "later": later.id,
            "now": PriceVersion.objects.get(price=later.price, valid_from=SINCE).id,
            "draft": id_text(draft.id),
            "bill": id_text(bill.id),
            "said": said.public_id,
            "preview": id_text(preview.id),
        },
    )


@dataclass(frozen=True)
class Case:
    """A form, sent to an address: `args` are names of what there is, or texts."""

    page: str
    args: tuple[str, ...] = ()
    sent: Callable[[Room], dict[str, Any]] | dict[str, Any] | None = None
    note: str = ""
    by: str = "dora"
    # It is shown what would change before it is saved.
    reviewed: bool = False

    @property
    def title(self) -> str:
        return f"{self.page}{f' ({self.note})' if self.note else ''}"


def send(room: Room, case: Case) -> Any:
    args = [room.ids.get(name, name) for name in case.args]
    if case.by == "alice":
        args = [room.organisation.slug, *args]
    sent = case.sent(room) if callable(case.sent) else case.sent
    client = room.alice if case.by == "alice" else room.dora
    # What was said before waits there for the next page.
    client.cookies.pop("messages", None)
    path = reverse(case.page, args=args)
    return save_reviewed(client, path, sent or {}) if case.reviewed else client.post(path, sent)


def outline(response: Any) -> str:
    """The status with the address or the errors, and the messages."""
    status = response.status_code
    lines = [f"{status} {response.headers['location']}" if status == 303 else str(status)]
    lines += [
        f"{message.level_tag}: {message.message}" for message in get_messages(response.wsgi_request)
    ]
    page = response.content.decode()
    errors = (unescape(re.sub(r"<[^>]+>", " ", text)) for _, text in _ERROR.findall(page))
    counted = Counter(" ".join(error.split()) for error in errors if SAID not in error)
    lines += [f"error: {error}{f' ×{n}' if n > 1 else ''}" for error, n in counted.items()]
    return _ID.sub("…", "\n".join(lines))


def settings(room: Room, **over: Any) -> dict[str, Any]:
    """The form of a channel's settings as its page has it."""
    channel = Channel.objects.get(name="main")
    form = SettingsForm(channel)
    shown = {name: form[name].value() for name in form.fields}
    shown |= {"version": version_of(channel), **over}
    return {
        name: value for name, value in shown.items() if value is not None and value is not False
    }


def several(room: Room) -> dict[str, Any]:
    ids = [room.ids[name] for name in ("main", "free")]
    seen = [f"{id_text(one.id)} {version_of(one)}" for one in Channel.objects.exclude(name="old")]
    return {"id": ids, "seen": seen, "change": ["priority"], "priority": "3"}


ROUTES: Final = {"name": ["m-1", "m-3"], "upstream": ["", "up"], "priority": ["", "2"],
                 "weight": ["", ""]}  # fmt: skip
WEB: Final = {"provider": "openai", "base_url": "https://b.example/v1"}
CASES: Final = (
    Case("channel_enable", ("main",), {"on": "1"}, "on"),
    Case("channel_enable", ("main",), {}, "off"),
    Case("channel_enable", ("main",), {"next": "/admin/channels?q=m"}, "from the list"),
    Case("channel_enable", ("main",), {"next": "https://evil.example/"}, "from elsewhere"),
    Case("channel_enable", ("old",), {"on": "1"}, "archived"),
    Case("channel_copy", ("main",), {"name": "second"}),
    Case("channel_copy", ("main",), {"name": "free"}, "taken"),
    Case("channel_archive", ("main",)),
    Case("channel_archive", ("old",), {"restore": "1"}, "restore"),
    Case("channel_key_add", ("main",), {"secret": "sk-another-key-of-a-form-9c1d"}),
    Case("channel_key_add", ("main",), {"secret": SECRET}, "known"),
    Case("channel_key_add", ("main",), {"secret": ""}, "empty"),
    Case("channel_key_change", ("main", "key"), {"act": "disable"}, "disable"),
    Case("channel_key_change", ("main", "key"), {"act": "enable"}, "enable"),
    Case("channel_key_change", ("main", "key"), {"act": "remove"}, "remove"),
    Case("channel_switch", ("main",), {"model": "m-1", "capability": "tools", "state": "off"}),
    Case("channel_edit", ("main",), {}, "empty"),
    Case("channel_edit", ("main",), lambda room: settings(room, weight="7"), reviewed=True),
    Case("channel_edit", ("main",), lambda room: settings(room, weight="7", version="old"), "stale",
         reviewed=True),
    Case("channel_edit", ("main",), lambda room: settings(room, weight="7", save="1"),
         "not reviewed"),
    Case("channel_edit", ("main",), lambda room: settings(room, base_url="ftp://x"), "wrong URL",
         reviewed=True),
    Case("channel_models", ("main",), {**ROUTES, "version": ""}, "stale", reviewed=True),
    Case("channel_models", ("main",), lambda room: {
        **ROUTES, "version": version_of(Channel.objects.get(name="main"))}, reviewed=True),
    Case("channels_several", (), several, reviewed=True),
    Case("model_admin_save", ("m-1",), {"aliases": "one", "context_max": "9", "can_tools": "off"}),
    Case("model_admin_save", ("m-1",), {"aliases": "m-1"}, "itself"),
    Case("model_admin_save", ("m-1",), {"context_max": "0"}, "no context"),
    Case("model_admin_save", ("m-1",), {"forwards": "on"}, "forwards nowhere"),
    Case("model_probe", ("m-1",), {}, "empty"),
    Case("channel_models", ("main",), {"name": "m-1", "upstream": "", "priority": "x",
                                       "weight": ""}, "wrong priority"),
    Case("channel_models", ("main",), {"name": "m-1", "upstream": "", "priority": "", "weight": "",
                                       "save": "1"}, "not reviewed"),
    Case("channels_several", (), {}, "none"),
    Case("channels_several", (), lambda room: {"id": room.ids["main"], "save": "1",
                                               "priority": "3"}, "not reviewed"),
    Case("channel_new", (), {**WEB, "name": "new", "secret": SECRET, "by_hand": "m-5"}),
    Case("channel_new", (), {**WEB, "name": "main", "secret": SECRET, "by_hand": "m-5"}, "taken"),
    Case("channel_new", (), {**WEB, "name": "", "secret": SECRET}, "no name"),
    Case("channel_prices_set", ("main",), {"model": "m-2"}, "no price"),
    Case("channel_prices_set", ("main",), {"model": "m-1"}, "has a price"),
    Case("channel_prices_follow", ("main",), {"markup": "x"}, "wrong"),
    Case("channel_prices_unfollow", ("main",)),
    Case("channel_models_decide", ("main",), {}, "none"),
    Case("channel_balance", ("main",), {}, "no source"),
    Case("channel_offer_edit", ("free",), {"title": "Free", "who": "everyone"}),
    Case("channel_offer_edit", ("free",), {"title": ""}, "no title"),
    Case("channel_offer_edit", ("free",), {"title": "Main", "who": "everyone"}, "taken"),
    Case("channel_offer_end", ("main",)),
    Case("price_draft", (), {"model": "m-1", "kind": "charge", "meter": "in_text", "over": "",
                             "rate": "0.5"}),
    Case("price_draft", (), {"model": "", "kind": "charge", "meter": "in_text", "over": "",
                             "rate": "0.5"}, "no model"),
    Case("price_draft", (), {"model": "m-1", "kind": "charge", "meter": "in_text", "over": "",
                             "rate": "-1"}, "wrong rate"),
    Case("price_draft", (), {"model": "m-1", "kind": "charge", "meter": "in_text", "over": "",
                             "rate": "1", "valid_from": "soon"}, "wrong start"),
    Case("price_withdraw", ("later",)),
    Case("price_withdraw", ("now",), {}, "in force"),
    Case("price_decide", (), {"act": "accept"}, "none"),
    Case("price_decide", (), lambda room: {"id": room.ids["draft"], "act": "accept"}, "accept"),
    Case("price_decide", (), lambda room: {"id": room.ids["draft"], "act": "ignore"}, "ignore"),
    Case("price_decide", (), lambda room: {"id": room.ids["draft"], "act": "preview"}, "preview"),
    Case("price_decide", (), {"everything": "all", "act": "ignore"}, "all"),
    Case("price_decide", (), {"everything": "q=m-8", "act": "ignore"}, "all of a filter"),
    Case("preview_cancel", ("preview",)),
    Case("plan_create", (), {"name": "new", "markup": "10"}),
    Case("plan_create", (), {"name": "retail", "markup": "10"}, "taken"),
    Case("plan_create", (), {"name": "new", "markup": "x"}, "wrong markup"),
    Case("plan_edit", ("retail",), {"markup": "8"}),
    Case("plan_edit", ("retail",), {"markup": "-90"}, "halved"),
    Case("plan_edit", ("retail",), {"markup": "x"}, "wrong markup"),
    Case("plan_member", ("empty",), lambda room: {"slug": room.organisation.slug}),
    Case("plan_member", ("empty",), {"slug": "nowhere"}, "unknown"),
    Case("plan_remove", ("retail",), {}, "in use"),
    Case("plan_remove", ("empty",)),
    Case("catalogue_decide", (), {"act": "accept"}, "none"),
    Case("catalogue_decide", (), {"act": "accept", "model": "m-1"}, "none of a model"),
    Case("catalogue_ignore", (), {"model": "m-6", "field": ""}),
    Case("catalogue_ignore", (), {"model": "m-7", "field": ""}, "known"),
    Case("catalogue_ignore", (), {"model": "m-8", "field": "tools"}, "known field"),
    Case("catalogue_heed", ("ignored",)),
    Case("model_rule_add", (), {"model": "m-2", "pick": "weight", "causes": "error",
                                "fallbacks": "m-1"}),
    Case("model_rule_add", (), {"model": "m-1", "pick": "weight"}, "known"),
    Case("model_rule_add", (), {"model": "m-8", "pick": "weight", "fallbacks": "m-8"}, "itself"),
    Case("model_rule", ("rule",), {"pick": "weight", "fallbacks": "m-2", "causes": "error"}),
    Case("model_rule", ("rule",), {"pick": "luck"}, "wrong pick"),
    Case("model_rule_remove", ("rule",)),
    Case("alias_add", (), {"name": "other", "target": "m-1"}),
    Case("alias_add", (), {"name": "other", "target": "m-8"}, "unknown target"),
    Case("alias_add", (), {"name": "short", "target": "m-1"}, "known"),
    Case("alias_add", (), {"name": "m-5", "target": "m-5"}, "itself"),
    Case("alias", ("alias",), {"target": "m-2"}),
    Case("alias", ("alias",), {"target": "short"}, "itself"),
    Case("alias_remove", ("alias",)),
    Case("announcement_publish", (), {"title": "Soon", "text": "", "tone": "info"}),
    Case("announcement_publish", (), {"title": "", "text": "", "tone": "info"}, "no title"),
    Case("announcement_publish", (), {"title": "Soon", "tone": "info",
                                      "starts_at": "2026-02-02T00:00",
                                      "ends_at": "2026-02-01T00:00"}, "ends first"),
    Case("announcement", ("said",), {"title": "Changed", "tone": "info"}),
    Case("announcement", ("said",), {"title": "", "tone": "info"}, "no title"),
    Case("announcement_end", ("said",)),
    Case("announcement_dismiss", ("said",), {"next": "/status"}),
    Case("announcement_dismiss", ("said",), {"next": "//evil.example"}, "from elsewhere"),
    Case("bill_settle", ("bill", "1"), {"note": "known"}),
    Case("bill_settle", ("bill", "1"), {"note": ""}, "no note"),
    Case("bill_reopen", ("bill", "1")),
    Case("bill_new", (), {"provider": "openai"}, "no file"),
    Case("installation_settings_save", (), {"task_result_days": "0"}, "no days"),
    Case("provider_key_add", (), lambda room: {"offer": room.ids["main"], "team": "",
                                               "name": "more", "secret": "sk-own-key-of-one-9876"},
         by="alice"),
    Case("provider_key_add", (), {"secret": ""}, "empty", by="alice"),
    Case("provider_key_edit", ("own",), {"name": "mine"}, by="alice"),
    Case("provider_key_edit", ("own",), {"name": "x" * 300}, "too long", by="alice"),
    Case("provider_key_rotate", ("own",), {"secret": "sk-own-key-of-a-customer-5678"}, by="alice"),
    Case("provider_key_rotate", ("own",), {"secret": ""}, "empty", by="alice"),
    Case("provider_key_remove", ("own",), by="alice"),
)  # fmt: skip


@pytest.mark.django_db
def test_each_form_leads_where_it_says(room: Room) -> None:
    answers = {}
    with bare_pages():
        for case in CASES:
            with transaction.atomic():
                answers[f"gateway, {case.title}"] = outline(send(room, case))
                transaction.set_rollback(True)
    ANSWERS.check("gateway", answers)


@dataclass(frozen=True)
class Call:
    """A request to the management API; `{name}` in its path is the id of what there is."""

    method: str
    path: str
    sent: Callable[[Room], dict[str, Any]] | dict[str, Any] | None = None
    by: str = "dora"

    @property
    def title(self) -> str:
        sent = "" if callable(self.sent) or not self.sent else json.dumps(self.sent)
        return f"{self.method} {self.path} {sent}".strip()


def answer(room: Room, call: Call) -> str:
    """The status, and the members of the body that are not empty."""
    client, path = (room.alice if call.by == "alice" else room.dora), call.path
    for name, id in room.ids.items():
        path = path.replace(f"{{{name}}}", str(id))
    sent = call.sent(room) if callable(call.sent) else call.sent
    response = client.generic(
        call.method,
        f"/api/v1{path}",
        json.dumps(sent or {}),
        content_type="application/json",
        headers={"x-weir-organization": room.organisation.slug} if call.by == "alice" else {},
    )
    body = (
        json.dumps(_filled(response.json()), indent=1, ensure_ascii=False)
        if response.content
        else ""
    )
    return _TIME.sub("…", _ID.sub("…", f"{response.status_code}\n{body}"))


def _filled(value: Any) -> Any:
    """A value without its empty members; numbers of rows are not always the same."""
    if isinstance(value, dict):
        return {
            name: "…" if name in _NUMBERED else _filled(one)
            for name, one in value.items()
            if one not in (None, "", [], {}) and name != "request_id"
        }
    return [_filled(one) for one in value] if isinstance(value, list) else value


def of(name: str, **more: Any) -> Callable[[Room], dict[str, Any]]:
    """A body with the id of something, as `ids`."""
    return lambda room: {"ids": [room.ids[name]], **more}


METERS: Final = {"in_text": "0.5", "out_text": "2"}
CALLS: Final = (
    Call("POST", "/channels", {**WEB, "name": "new", "keys": [SECRET],
                               "models": {"m-5": {"upstream": "up"}}}),
    Call("POST", "/channels", {**WEB, "name": "main"}),
    Call("POST", "/channels", {"name": "x", "provider": "nope"}),
    Call("PATCH", "/channels/{main}", {"rpm": 5, "spend_cap_day": "1.5", "labels": ["a"]}),
    Call("PATCH", "/channels/{main}", {"models": {"m-1": {"upstream": "u", "priority": 3}}}),
    Call("PATCH", "/channels/{main}", {"version": "old", "rpm": 5}),
    Call("PATCH", "/channels/{old}", {"enabled": True}),
    # Of several wrong names or fields, always the same one is named.
    Call("PATCH", "/channels/{main}", {"conditions": {"plans": ["zz", "yy"]}}),
    Call("PATCH", "/channels/{main}", {"conditions": {"teams": ["acme/zz", "acme/yy"]}}),
    Call("PATCH", "/channels/{main}", {"conditions": {"organisations": ["zz", "yy"]}}),
    Call("PATCH", "/channels/{main}", {"conditions": {"labels": ["none:zz"]}}),
    Call("PATCH", "/channels/{main}", {"base_url": "ftp://x"}),
    Call("PATCH", "/channels/{main}", {"proxy_url": "ftp://x"}),
    Call("PATCH", "/channels/{main}", {"ca_bundle": "no PEM"}),
    Call("PATCH", "/channels/{main}", {"client_cert": "no PEM"}),
    Call("PATCH", "/channels/{main}", {"labels": ["a", "a", " "]}),
    Call("PATCH", "/channels/{main}", {"timeouts": {"connect": 0}}),
    Call("PATCH", "/channels/{main}", {"breaker": {"window": 0}}),
    Call("PATCH", "/channels/{main}", {"testing": {"every_min": 1, "model": "m-9"}}),
    Call("PATCH", "/channels/{main}", {"balance_source": "deepseek"}),
    Call("PATCH", "/channels/{main}", {"balance_rest_below": "-1"}),
    Call("PATCH", "/channels/{main}", {"spend_cap_day": "x"}),
    Call("PATCH", "/channels/{main}", {"region": "nowhere at all"}),
    Call("PATCH", "/channels/{main}", {"models": {"m-1": {"priority": 1_000_001}}}),
    Call("PATCH", "/channels/{main}", {"models": {"m-1": {"can": {"nothing": True}}}}),
    Call("PATCH", "/channels/{main}", {"overrides": {"set": {"model": "x"}}}),
    Call("PATCH", "/channels/{main}", {"passthrough": [{"path": "no slash"}]}),
    Call("POST", "/channel-changes", of("main", change={"rpm": 7}, add_labels=["b"], preview=True)),
    Call("POST", "/channel-changes", {"ids": [], "change": {"base_url": "https://c.example"}}),
    Call("POST", "/channels/{main}/archive"),
    Call("POST", "/channels/{old}/restore"),
    Call("POST", "/channels/{main}/copy", {"name": "second"}),
    Call("POST", "/channels/{main}/copy", {"name": "free"}),
    Call("POST", "/channels/{main}/keys", {"secret": "sk-another-key-of-a-form-9c1d"}),
    Call("POST", "/channels/{main}/keys", {"secret": SECRET}),
    Call("PATCH", "/channels/{main}/keys/{key}", {"enabled": False}),
    Call("DELETE", "/channels/{main}/keys/{key}"),
    Call("POST", "/channels/{main}/test", {"model": "m-9"}),
    Call("POST", "/channels/{main}/balance"),
    Call("DELETE", "/channels/{free}"),
    Call("PUT", "/channels/{main}/upstream-prices", {"group": "vip"}),
    Call("DELETE", "/channels/{main}/upstream-prices"),
    Call("POST", "/aliases", {"name": "other", "target": "m-1"}),
    Call("POST", "/aliases", {"name": "short", "target": "m-1"}),
    Call("PATCH", "/aliases/{alias}", {"target": "m-2"}),
    Call("PATCH", "/aliases/{alias}", {"target": "short"}),
    Call("DELETE", "/aliases/{alias}"),
    Call("POST", "/model-rules", {"model": "m-2", "fallbacks": ["m-1"], "pick": "weight"}),
    Call("POST", "/model-rules", {"model": "m-1"}),
    Call("PATCH", "/model-rules/{rule}", {"causes": ["budget", "error"], "fallbacks": []}),
    Call("PATCH", "/model-rules/{rule}",
         {"shadow": {"channel": "free", "model": "m-2", "percent": 5, "cap": "1"}}),
    Call("PATCH", "/model-rules/{rule}",
         {"shadow": {"channel": "none", "percent": 5, "cap": "1"}}),
    Call("DELETE", "/model-rules/{rule}"),
    Call("POST", "/announcements", {"title": "Soon", "tone": "warn"}),
    Call("POST", "/announcements", {"title": "x", "starts_at": "2026-02-02T00:00:00Z",
                                    "ends_at": "2026-02-01T00:00:00Z"}),
    Call("PATCH", "/announcements/{said}", {"title": "Changed"}),
    Call("DELETE", "/announcements/{said}"),
    Call("POST", "/catalogue-ignore-rules", {"model": "m-6", "field": "tools"}),
    Call("POST", "/catalogue-ignore-rules", {"model": "m-7"}),
    Call("PATCH", "/catalogue-ignore-rules/{ignored}", {"field": "price"}),
    Call("DELETE", "/catalogue-ignore-rules/{ignored}"),
    Call("POST", "/model-proposals/accept", {"ids": ["1"]}),
    Call("PATCH", "/public-models/m-1",
         {"context_max": 9, "can": {"tools": False}, "aliases": ["one"]}),
    Call("PATCH", "/public-models/m-1", {"context_max": 0}),
    Call("PATCH", "/public-models/nothing", {"context_max": 9}),
    Call("DELETE", "/public-models/m-1"),
    Call("POST", "/price-proposals",
         {"model": "m-1", "meters": METERS, "note": "why", "valid_from": "2100-01-01T00:00:00Z",
          "tiers": [{"input_over": 5, "meters": {"in_text": "1"}}],
          "conditions": [{"kind": "speed", "value": "fast", "multiplier": "2"}]}),
    Call("POST", "/price-proposals", {"model": "m-1", "meters": {"nothing": "1"}}),
    Call("POST", "/price-proposals", {"model": "m-1", "meters": {"in_text": "x"}}),
    Call("POST", "/price-proposals/{draft}/accept"),
    Call("POST", "/price-proposals/{draft}/ignore"),
    Call("POST", "/price-previews", lambda room: {"proposals": [room.ids["draft"]], "days": 7}),
    Call("POST", "/price-previews/{preview}/cancel"),
    Call("POST", "/price-versions/{later}/withdraw"),
    Call("POST", "/price-versions/{now}/withdraw"),
    Call("POST", "/plans", {"name": "new", "multiplier": "1.1", "models": ["m-*"]}),
    Call("POST", "/plans", {"name": "retail", "multiplier": "1.1"}),
    Call("PATCH", "/plans/{retail}", {"multiplier": "1.08", "models": []}),
    Call("PATCH", "/plans/{retail}", {"multiplier": "0.1"}),
    Call("PUT", "/plans/{empty}/holders", lambda room: {"organisation": room.organisation.slug}),
    Call("PUT", "/plans/{empty}/holders", {"organisation": "nowhere"}),
    Call("DELETE", "/plans/{retail}"),
    Call("DELETE", "/plans/{empty}"),
    Call("POST", "/provider-bills/{bill}/differences/1/settle", {"note": "known"}),
    Call("POST", "/provider-bills/{bill}/differences/1/reopen"),
    Call("POST", "/provider-bills/{bill}/differences/9/settle", {"note": "known"}),
    Call("PATCH", "/settings", {"task_result_days": 9, "unpriced_models": "free"}),
    Call("PATCH", "/settings", {"egress_allow": ["nowhere"]}),
    Call("PATCH", "/provider-keys/{own}", {"name": "mine", "enabled": False}, by="alice"),
    Call("POST", "/provider-keys/{own}/rotate", {"secret": "sk-own-key-of-one-5678"}, by="alice"),
    Call("DELETE", "/provider-keys/{own}", by="alice"),
)  # fmt: skip


@pytest.mark.django_db
def test_each_operation_answers_with_what_it_wrote(room: Room) -> None:
    answers = {}
    for call in CALLS:
        with transaction.atomic():
            answers[f"api, {call.title}"] = answer(room, call)
            transaction.set_rollback(True)
    assert len(answers) == len(CALLS)
    API_ANSWERS.check("api", answers)
