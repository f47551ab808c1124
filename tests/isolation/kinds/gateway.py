"""Whatever of the gateway an address names: channels, models."""

from typing import Final

from accounts.access.actors import SYSTEM
from billing.prices.own_key_fee import OwnKeyFee
from gateway.aliases.aliases import save_alias
from gateway.channels import channels
from gateway.channels.fields import ChannelFields
from gateway.model_entries.entries import save_entry
from gateway.models import OwnKeyOffer
from gateway.own_keys import own_keys
from gateway.own_keys.offers import set_offer
from gateway.prices import previews
from gateway.routing.model_rules import save_rule
from gateway.status.announcements import publish_announcement
from lib import clock
from lib.ids import id_text, new_id, parse_id
from tests.isolation.kinds.billing import proposal_row
from tests.isolation.world import Kind, Place, World, no_number, no_pair, of_installation
from tests.support import cast

CHANNEL: Final[ChannelFields] = {
    "provider": "openai_compatible",
    "base_url": "http://127.0.0.1:9/v1",
    "keys": ["upstream-secret"],
    "models": {"m-1": ""},
}


def _channel(world: World, at: Place) -> str:
    return id_text(channels.create_channel(SYSTEM, f"channel {new_id()}", CHANNEL).id)


def _channel_key(world: World, at: Place) -> str:
    channel = channels.create_channel(SYSTEM, f"channel {new_id()}", CHANNEL)
    return f"{id_text(channel.id)}/{id_text(channel.keys.get().id)}"


def _offer(world: World, at: Place) -> str:
    channel = channels.create_channel(SYSTEM, f"channel {new_id()}", CHANNEL)
    title = f"offered {new_id()}"
    set_offer(SYSTEM, channel, title=title, everyone=True, fee=OwnKeyFee())
    return id_text(channel.id)


def _offer_of(id: str) -> OwnKeyOffer:
    channel_id = parse_id(id)
    assert channel_id is not None
    return OwnKeyOffer.objects.get(channel_id=channel_id)


def _own_key(world: World, at: Place) -> str:
    offer = _offer_of(_offer(world, at))
    key = own_keys.add_own_key(
        SYSTEM, at.organisation, at.team, offer, name=f"own {at.word}", secret="sk-own-key-secret"
    )
    return id_text(key.id)


def _announcement(world: World, at: Place) -> str:
    announcement = publish_announcement(
        SYSTEM, title="Told to all", text="", tone="info", starts_at=clock.now(), ends_at=None
    )
    return announcement.public_id


def _model_rule(world: World, at: Place) -> str:
    return str(save_rule(SYSTEM, f"m-{new_id()}").id)


def _alias(world: World, at: Place) -> str:
    return str(save_alias(SYSTEM, f"alias-{new_id()}", "m-1").id)


def _public_model(world: World, at: Place) -> str:
    return save_entry(SYSTEM, f"m-{new_id()}", context_max=7).name


def _preview(world: World, at: Place) -> str:
    return id_text(previews.start_preview(cast.actor(world.dora), [proposal_row().id], 7).id)


CHANNEL_ROW: Final = of_installation("channel", "channels.read", _channel)
CHANNEL_KEY: Final = of_installation(
    "key of a channel", "channels.read", _channel_key, missing=no_pair
)
ANNOUNCEMENT: Final = of_installation("announcement", "channels.read", _announcement)
OWN_KEY_OFFER: Final = of_installation("offer of a channel", "channels.read", _offer)
OWN_KEY: Final = Kind("provider key", "keys.write", _own_key)
MODEL_RULE: Final = of_installation("model rule", "channels.read", _model_rule, missing=no_number)
ALIAS: Final = of_installation("alias", "channels.read", _alias, missing=no_number)
PUBLIC_MODEL: Final = of_installation(
    "public model", "channels.read", _public_model, missing=lambda: "no-such-model"
)
PREVIEW: Final = of_installation("preview", "prices.write", _preview)
