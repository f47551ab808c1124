"""Writes of the gateway."""

import datetime as dt
from typing import Any, Final
from uuid import UUID

from accounts.access.actors import SYSTEM
from billing.prices.own_key_fee import OwnKeyFee
from gateway.aliases import aliases
from gateway.catalogue import model_proposals
from gateway.catalogue import updates as catalogue_updates
from gateway.channels import brought_keys, channels
from gateway.channels.channel_tests import scheduled_tests
from gateway.model_entries import entries as model_entries
from gateway.models import Announcement, ModelProposal, OwnKey, OwnKeyOffer, PricePreview
from gateway.own_keys import offers, own_keys
from gateway.prices import previews
from gateway.prices.upstream_prices import upstream_prices
from gateway.routing import model_rules
from gateway.settings import installation
from gateway.status import announcements
from tests.config.writes.world import CHANNEL, World, Writes

LIST: Final = b'{"m-1": {"mode": "chat", "input_cost_per_token": 1e-06, "supports_vision": true}}'
TOLD: Final[dict[str, Any]] = {
    "title": "Maintenance",
    "text": "",
    "tone": "info",
    "starts_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "ends_at": None,
}


def proposed(w: World) -> list[UUID]:
    """What a list proposes of the model that there is."""
    catalogue_updates.update_catalogue(w.dora, LIST, "list x")
    return list(ModelProposal.objects.values_list("id", flat=True))


def announce(w: World) -> Announcement:
    return announcements.publish_announcement(w.dora, **TOLD)


def offer(w: World) -> OwnKeyOffer:
    return offers.set_offer(SYSTEM, w.channel, title="Own", everyone=True, fee=OwnKeyFee())


def own_key(w: World) -> OwnKey:
    """The key that there is, or a new one."""
    known = OwnKey.objects.filter(organisation=w.people.acme).first()
    return known or own_keys.add_own_key(
        w.alice, w.people.acme, None, offer(w), name="ours", secret="sk-own-key-secret"
    )


BEFORE: Final[Writes] = {
    "gateway.own_keys.offers.end_offer": offer,
    "gateway.own_keys.own_keys.add_own_key": offer,
    "gateway.own_keys.own_keys.change_own_key": own_key,
    "gateway.channels.brought_keys.forget_secrets_of": own_key,
    "gateway.own_keys.own_keys.remove_own_key": own_key,
    "gateway.own_keys.own_keys.rotate_own_key": own_key,
    "gateway.channels.channels.restore_channel": lambda w: channels.archive_channel(
        SYSTEM, w.channel
    ),
    "gateway.prices.previews.cancel_preview": lambda w: previews.start_preview(
        w.dora, [w.draft.id], 7
    ),
    "gateway.prices.upstream_prices.upstream_prices.unfollow_prices": lambda w: (
        upstream_prices.follow_prices(SYSTEM, w.channel)
    ),
}
WRITES: Final[Writes] = {
    "gateway.status.announcements.publish_announcement": lambda w: announce(w),
    "gateway.status.announcements.change_announcement": lambda w: announcements.change_announcement(
        w.dora, announce(w), **{**TOLD, "title": "Later"}
    ),
    "gateway.status.announcements.end_announcement": lambda w: announcements.end_announcement(
        w.dora, announce(w)
    ),
    "gateway.aliases.aliases.save_alias": lambda w: aliases.save_alias(w.dora, "fast", "m-1"),
    "gateway.aliases.aliases.write_alias": lambda w: aliases.write_alias(w.dora, "fast", "m-1"),
    "gateway.aliases.aliases.remove_alias": lambda w: aliases.remove_alias(
        w.dora, aliases.save_alias(w.dora, "fast", "m-1")
    ),
    "gateway.aliases.aliases.write_aliases": lambda w: aliases.write_aliases(
        w.dora, "m-1", ["fast"]
    ),
    "gateway.catalogue.updates.update_catalogue": lambda w: catalogue_updates.update_catalogue(
        w.dora, LIST, "list x"
    ),
    "gateway.catalogue.updates.add_ignore_rule": lambda w: catalogue_updates.add_ignore_rule(
        w.dora, "m-*", ""
    ),
    "gateway.catalogue.updates.change_ignore_rule": lambda w: catalogue_updates.change_ignore_rule(
        w.dora, catalogue_updates.add_ignore_rule(w.dora, "m-*", ""), field="price"
    ),
    "gateway.catalogue.updates.remove_ignore_rule": lambda w: catalogue_updates.remove_ignore_rule(
        w.dora, catalogue_updates.add_ignore_rule(w.dora, "m-*", "")
    ),
    "gateway.model_entries.entries.save_entry": lambda w: model_entries.save_entry(
        w.dora, "m-1", aliases=["fast"], context_max=7
    ),
    "gateway.model_entries.entries.write_entry": lambda w: model_entries.write_entry(
        w.dora, "m-1", roles=["owner"]
    ),
    "gateway.model_entries.entries.remove_entry": lambda w: model_entries.remove_entry(
        w.dora, model_entries.save_entry(w.dora, "m-1", output_max=7)
    ),
    "gateway.catalogue.model_proposals.accept_facts": lambda w: model_proposals.accept_facts(
        w.dora, proposed(w)
    ),
    "gateway.catalogue.model_proposals.dismiss_facts": lambda w: model_proposals.dismiss_facts(
        w.dora, proposed(w)
    ),
    "gateway.routing.model_rules.save_rule": lambda w: model_rules.save_rule(
        w.dora, "m-*", pick="ttft"
    ),
    "gateway.routing.model_rules.remove_rule": lambda w: model_rules.remove_rule(
        w.dora, model_rules.save_rule(w.dora, "m-*")
    ),
    "gateway.own_keys.offers.set_offer": lambda w: offers.set_offer(
        w.dora, w.channel, title="Own", everyone=True, fee=OwnKeyFee(request_nano=5)
    ),
    "gateway.own_keys.offers.end_offer": lambda w: offers.end_offer(
        w.dora, OwnKeyOffer.objects.get(channel=w.channel)
    ),
    "gateway.own_keys.own_keys.add_own_key": lambda w: own_keys.add_own_key(
        w.alice,
        w.people.acme,
        None,
        OwnKeyOffer.objects.get(channel=w.channel),
        name="ours",
        secret="sk-own-key-secret",
    ),
    "gateway.own_keys.own_keys.change_own_key": lambda w: own_keys.change_own_key(
        w.alice, own_key(w), enabled=False, fall_back=True
    ),
    "gateway.own_keys.own_keys.rotate_own_key": lambda w: own_keys.rotate_own_key(
        w.alice, own_key(w), "sk-another-secret"
    ),
    "gateway.channels.brought_keys.forget_secrets_of": lambda w: brought_keys.forget_secrets_of(
        w.dora, w.channel
    ),
    "gateway.own_keys.own_keys.remove_own_key": lambda w: own_keys.remove_own_key(
        w.alice, own_key(w)
    ),
    "gateway.channels.channels.add_key": lambda w: channels.add_key(
        w.dora, w.channel, "second-secret"
    ),
    "gateway.channels.channels.archive_channel": lambda w: channels.archive_channel(
        w.dora, w.channel
    ),
    "gateway.channels.channels.copy_channel": lambda w: channels.copy_channel(
        w.dora, w.channel, "second"
    ),
    "gateway.channels.channels.remove_key": lambda w: channels.remove_key(
        w.dora, w.channel, w.channel.keys.get()
    ),
    "gateway.channels.channels.restore_channel": lambda w: channels.restore_channel(
        w.dora, w.channel
    ),
    "gateway.channels.channels.switch_key": lambda w: channels.switch_key(
        w.dora, w.channel, w.channel.keys.get(), enabled=False
    ),
    "gateway.channels.channels.change_channel": lambda w: channels.change_channel(
        w.dora, w.channel, {"weight": 7}
    ),
    "gateway.channels.channels.change_channels": lambda w: channels.change_channels(
        w.dora, [channels.FieldsOfChannel(w.channel, {"weight": 8}, None)]
    ),
    "gateway.channels.channels.create_channel": lambda w: channels.create_channel(
        w.dora, "second", CHANNEL
    ),
    "gateway.channels.channels.remove_channel": lambda w: channels.remove_channel(
        w.dora, w.channel
    ),
    "gateway.channels.channels.switch_capability": lambda w: channels.switch_capability(
        w.dora, w.channel, "m-1", "tools", False
    ),
    "gateway.channels.channel_tests.scheduled_tests.start_run": lambda w: scheduled_tests.start_run(
        w.dora, "plain"
    ),
    "gateway.prices.upstream_prices.upstream_prices.follow_prices": lambda w: (
        upstream_prices.follow_prices(w.dora, w.channel)
    ),
    "gateway.prices.upstream_prices.upstream_prices.unfollow_prices": lambda w: (
        upstream_prices.unfollow_prices(w.dora, w.channel)
    ),
    "gateway.settings.installation.save_settings": lambda w: installation.save_settings(
        w.dora, egress_allow=["10.0.0.0/8"]
    ),
    "gateway.prices.previews.start_preview": lambda w: previews.start_preview(
        w.dora, [w.draft.id], 7
    ),
    "gateway.prices.previews.cancel_preview": lambda w: previews.cancel_preview(
        w.dora, PricePreview.objects.get()
    ),
}
