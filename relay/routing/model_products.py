"""The product of a model, and the endpoint for it: the errors for a request at another endpoint, or
without a price.

    "gpt-image-1 generates images. Use /v1/images/generations."   the wrong endpoint
    "Model dall-e-3 has no price. …"                               nobody has set a price

If a price covers the request, only a model at its own maker is refused. The maker would answer 404
or 403, which would disable the model or the key for everybody. Another server may well serve chats
with a model of that name.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import quote

from billing.prices.lookup import Price
from dialects.errors.errors import RequestFault
from dialects.errors.masking import quote_value
from gateway.providers.capabilities import Capabilities, Endpoint, Product
from gateway.providers.suffixes import RequestedModel
from gateway.providers.task_services import OWN_PRODUCTS, TASK_SERVICES

_OPERATIONS: Final[tuple[tuple[Endpoint, tuple[str, ...]], ...]] = (
    (
        "chat",
        (
            "chat_completions", "completions", "edits", "responses", "responses_compact",
            "messages", "generate_content", "stream_generate_content", "interactions", "converse",
            "converse_stream",
        ),
    ),
    ("embeddings", ("embeddings", "embed_content", "batch_embed_contents")),
    ("moderations", ("moderations",)),
    ("rerank", ("rerank",)),
    ("images", ("image_generations", "image_edits", "image_variations")),
    ("speech", ("speech",)),
    ("transcriptions", ("transcriptions", "translations")),
    (
        "videos",
        (
            "videos", "video_generations", "predict_long_running",
        ),
    ),
    ("realtime", ("realtime",)),
    ("live", ("live_sessions",)),
    *(
        (name if name in OWN_PRODUCTS else "videos", service.operations)
        for name, service in TASK_SERVICES.items()
    ),
)  # fmt: skip
PRODUCT_OF: Final[Mapping[str, Endpoint]] = {
    operation: product for product, operations in _OPERATIONS for operation in operations
}
"""The product that each operation asks a model for."""


PRODUCTS: Final[Mapping[Endpoint, Product]] = {
    "chat": Product(
        "answers in text", "chats", "/v1/chat/completions", (("in_text", "out_text"),)
    ),
    "embeddings": Product("computes embeddings", "embeddings", "/v1/embeddings", (("in_text",),)),
    "moderations": Product(
        "classifies content", "moderations", "/v1/moderations", (("requests",),)
    ),
    "rerank": Product("ranks documents", "rankings", "/v1/rerank", (("in_text",), ("searches",))),
    "images": Product(
        "generates images", "images", "/v1/images/generations",
        (("images",), ("in_text", "out_image")),
    ),
    "speech": Product(
        "generates speech", "speech", "/v1/audio/speech",
        (("characters",), ("in_text", "out_audio")),
    ),
    "transcriptions": Product(
        "transcribes speech", "transcripts", "/v1/audio/transcriptions",
        (("audio_ms",), ("in_text", "in_audio", "out_text")),
    ),
    "videos": Product("generates videos", "videos of this size", "/v1/videos", (("video_ms",),)),
    "realtime": Product("speaks over realtime connections", "realtime connections", "/v1/realtime"),
    "live": Product(
        "speaks in Live sessions", "Live sessions", "/v1/live/sessions", (("session_minutes",),)
    ),
    **{
        name: service.product
        for name, service in OWN_PRODUCTS.items()
        if service.product is not None
    },
}  # fmt: skip
# The product of a model whose price has such a meter, in the order of precedence.
_METERS: Final[tuple[tuple[str, Endpoint], ...]] = (
    ("session_minutes", "live"),
    ("session_minutes", "realtime"),
    ("out_text", "chat"),
    ("images", "images"),
    ("out_image", "images"),
    ("characters", "speech"),
    ("out_audio", "speech"),
    ("audio_ms", "transcriptions"),
    ("video_ms", "videos"),
)


def products_of(known: Capabilities | None, meters: Collection[str]) -> list[Endpoint]:
    """Return the kinds of product of a model, if certain: of its catalogue row if that names an
    endpoint other than chats, else by the meters of its price."""
    if known is not None and known.endpoint != "chat":
        return [known.endpoint]
    plain = {meter.partition("[")[0] for meter in meters}
    products = [product for meter, product in _METERS if meter in plain]
    if known is not None and products and "image" in known.outputs:
        products.append("images")
    return list(dict.fromkeys(products))


# The provider that is the model's own maker, by the owner of a row.
_MAKERS: Final[Mapping[str, str]] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "gemini",
    "deepseek": "deepseek",
    "xai": "xai",
    "alibaba": "qwen",
    "zhipu": "glm",
    "moonshot": "kimi",
}


def misdirected_fault(
    model: RequestedModel,
    operation: str,
    known: Capabilities | None,
    price: Price | None,
    providers: Iterable[str],
) -> RequestFault | None:
    """Return the error for a request at the wrong endpoint, which the model's own maker would
    refuse; None if one of `providers` is another server, which may serve the request."""
    if known is None or known.endpoint == PRODUCT_OF[operation]:
        return None
    maker = _MAKERS.get(known.owner)
    if any(provider != maker for provider in providers):
        return None
    return _find_misdirected(model, operation, known, price)


def _find_misdirected(
    model: RequestedModel, operation: str, known: Capabilities | None, price: Price | None
) -> RequestFault | None:
    products = products_of(known, () if price is None else price.version.rates)
    if not products or PRODUCT_OF[operation] in products:
        return None
    other = PRODUCTS[products[0]]
    what = f"{quote_value(model.alias or model.name)} {other.verb}. Use {other.path}."
    return RequestFault("unsupported_capability", "model", what)


def unpriced_fault(
    model: RequestedModel,
    operation: str,
    known: Capabilities | None,
    price: Price | None,
    public_url: str,
) -> RequestFault:
    """Return the error for a request that no price covers."""
    misdirected = _find_misdirected(model, operation, known, price)
    if misdirected is not None:
        return misdirected
    asked = model.alias or model.name
    product = PRODUCTS[PRODUCT_OF[operation]]
    what = "" if price is None else f" for {product.noun}"
    missing = missing_meters(product, () if price is None else price.version.rates)
    if missing:
        what += f": it {'needs' if price is None else 'lacks'} {missing}"
    page = f"{public_url}{_price_page(model)}"
    return RequestFault(
        "model_unpriced", "model", f"{what}. An operator sets it at {page}", model=asked
    )


def missing_meters(product: Product, rates: Collection[str]) -> str:
    """Return what a price with these rates lacks for a product, by the way to bill it that lacks
    the least; "" if it lacks no meter as a whole."""
    plain = {meter.partition("[")[0] for meter in rates}
    lacking = [[meter for meter in way if meter not in plain] for way in product.meters]
    least = min(map(len, lacking), default=0)
    return ", or ".join(" and ".join(way) for way in lacking if len(way) == least and least)


def unpriced_members_fault(
    model: RequestedModel, names: Sequence[str], public_url: str
) -> RequestFault:
    """Return the error for a part of a request that the price does not cover (P28)."""
    asked, named = model.alias or model.name, ", ".join(names)
    what = (
        f" for {named}, which its provider charges for beside the tokens. Remove it from the "
        f"request, or let an operator set a price of their own at {public_url}{_price_page(model)}"
    )
    return RequestFault("model_unpriced", None, what, model=asked)


def _price_page(model: RequestedModel) -> str:
    """Return the page where an operator sets the price. For an alias it is the target's page, whose
    name callers need not know."""
    if model.alias:
        return f"/admin/models/named/{quote(model.alias)}"
    return f"/admin/prices/new?model={quote(model.name, safe='')}"
