"""Models that a channel cannot serve, because its provider has no endpoint for what they make."""

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from gateway.channels.refusals import ChannelRefused
from gateway.models import Channel
from gateway.providers import UnknownProvider, provider_named
from gateway.providers.capabilities import Endpoint
from gateway.providers.products import unreachable_product
from gateway.providers.provider import BadAddress
from gateway.providers.task_services import OWN_PRODUCTS

PRODUCT_NAMES: Final[Mapping[Endpoint, Promise]] = {
    "chat": _("chats"),
    "embeddings": _("embeddings"),
    "moderations": _("moderations"),
    "rerank": _("rankings"),
    "images": _("images"),
    "speech": _("speech"),
    "transcriptions": _("transcripts"),
    "videos": _("videos"),
    "realtime": _("realtime connections"),
    "live": _("Live sessions"),
    **{name: _(service.products) for name, service in OWN_PRODUCTS.items()},
}
"""What models are asked for, in a sentence."""


def unreachable_models(channel: Channel, models: Mapping[str, str]) -> dict[str, Endpoint]:
    """Return the models that no request could reach at this channel, with what they are asked for;
    none if its address cannot be read. `models` are upstream names by public name, "" for the
    same."""
    try:
        provider = provider_named(channel.provider)
        offered = provider.address(channel.base_url or provider.base_url).urls
    except (UnknownProvider, BadAddress):
        return {}
    products = {
        model: unreachable_product(offered, model, upstream) for model, upstream in models.items()
    }
    return {model: product for model, product in products.items() if product is not None}


def check_products(channel: Channel, models: Mapping[str, str]) -> None:
    """Raise ChannelRefused for a model that no request could reach at this channel."""
    for model, product in unreachable_models(channel, models).items():
        text = gettext(
            "%(model)s is a model for %(product)s, and a channel of %(provider)s has none, so no "
            "request could reach it. Leave it out, or serve it by a channel of another provider."
        )
        named = {
            "model": model,
            "product": str(PRODUCT_NAMES[product]),
            "provider": gettext(provider_named(channel.provider).label),
        }
        raise ChannelRefused("models", text % named)
