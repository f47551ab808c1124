"""What models are asked for, and the operations of a provider by which they are.

A model of the catalogue that computes embeddings cannot be reached at a provider that has none: no
request to it is ever sent there. Nothing is certain of other models.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from dialects.chat.operation import Operation
from gateway.providers.capabilities import Endpoint
from gateway.providers.models import find_row
from gateway.providers.task_forms import VIDEO_FORMS
from gateway.providers.task_services import OWN_PRODUCTS

_CHAT: Final[frozenset[Operation]] = frozenset(
    {
        "chat_completions", "responses", "messages", "generate_content", "interactions", "converse",
        "invoke_model", "raw_predict",
    }
)  # fmt: skip
_SERVED_BY: Final[Mapping[Endpoint, frozenset[Operation]]] = MappingProxyType(
    {
        "chat": _CHAT,
        "embeddings": frozenset({"embeddings", "embed_content", "batch_embed_contents", "predict"}),
        "moderations": frozenset({"moderations"}),
        "rerank": frozenset({"rerank"}),
        # Some servers answer a chat with a picture.
        "images": frozenset(
            {"image_generations", "image_edits", "image_variations", "qwen_images", "ark_images",
             "predict", "generate_content", "chat_completions"}
        ),
        # Some models that speak or hear also chat, such as Voxtral Mini 3B, or are completed, such
        # as Orpheus. The relay sends both to any server but the model's own maker.
        "speech": frozenset({"speech", "generate_content", "chat_completions", "completions"}),
        "transcriptions": frozenset(
            {"transcriptions", "translations", "chat_completions", "completions"}
        ),
        "videos": frozenset(form.operation for form in VIDEO_FORMS.values()),
        "realtime": frozenset({"realtime", "bidi_generate_content"}),
        "live": frozenset({"live"}),
        **{name: frozenset({service.form.operation}) for name, service in OWN_PRODUCTS.items()},
    }
)  # fmt: skip


def unreachable_product(
    offered: Collection[Operation], model: str, upstream_model: str = ""
) -> Endpoint | None:
    """Return what a model is asked for if no request for it can reach a provider that offers these
    operations; None if one can, or if that is not certain. `upstream_model` is the provider's name,
    "" for the same. The public name decides where the provider's says nothing."""
    if "*" in (upstream_model or model):
        return None
    row = find_row(upstream_model or model) or find_row(model)
    if row is None or not _SERVED_BY[row.endpoint].isdisjoint(offered):
        return None
    return row.endpoint
