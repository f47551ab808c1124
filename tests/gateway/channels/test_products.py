"""A channel is not given a model that no request could reach there: its provider has no endpoint
for what the model makes."""

import pytest

from accounts.access.actors import SYSTEM
from gateway.channel_setup.proposed_models import propose_models
from gateway.channels.channels import change_channel, create_channel
from gateway.channels.fields import ChannelFields
from gateway.channels.refusals import ChannelRefused
from gateway.models import Channel, Route
from gateway.providers import provider_named
from gateway.providers.products import unreachable_product

pytestmark = pytest.mark.django_db


def make(provider: str, models: dict[str, str], base_url: str = "") -> Channel:
    fields: ChannelFields = {
        "provider": provider, "base_url": base_url, "keys": ["sk-provider-0123456789"],
        "models": models,
    }  # fmt: skip
    return create_channel(SYSTEM, provider, fields)


@pytest.mark.parametrize(
    ("provider", "models", "model", "product"),
    [
        ("anthropic", {"text-embedding-3-small": ""}, "text-embedding-3-small", "embeddings"),
        ("deepseek", {"mine": "rerank-v3.5"}, "mine", "rankings"),
        ("groq", {"sora-2": ""}, "sora-2", "videos"),
        ("kling", {"gpt-4o": ""}, "gpt-4o", "chats"),
        ("anthropic", {"whisper-1": ""}, "whisper-1", "transcripts"),
        ("mistral", {"gpt-realtime": ""}, "gpt-realtime", "realtime connections"),
        # Azure's customers choose the names of their deployments.
        ("anthropic", {"tts-1": "voice"}, "tts-1", "speech"),
    ],
)
def test_model_that_no_request_can_reach_is_refused(
    provider: str, models: dict[str, str], model: str, product: str
) -> None:
    with pytest.raises(ChannelRefused) as refused:
        make(provider, {"fine": "", **models})
    assert refused.value.field == "models"
    assert refused.value.message.startswith(f"{model} is a model for {product}, and a channel of ")
    assert not Channel.objects.exists()


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "text-embedding-3-small"),
        ("gemini", "gemini-embedding-001"),
        ("gemini", "veo-3.1-generate-preview"),
        ("openrouter", "openai/gpt-image-1"),
        ("kling", "kling-v3"),
        # Models that hear or speak, and also chat or are completed.
        ("lm_studio", "mistralai/voxtral-mini-3b-2507"),
        ("openrouter", "mistralai/voxtral-mini-3b-2507"),
        ("vllm", "orpheus-3b-0.1-ft"),
        # Nothing is certain of a name that the catalogue does not have, nor of a pattern.
        ("anthropic", "our-embeddings"),
        ("anthropic", "text-embedding-*"),
    ],
)
def test_any_other_model_is_taken(provider: str, model: str) -> None:
    make(provider, {model: ""})


def test_stored_unreachable_model_allows_other_changes() -> None:
    channel = make("deepseek", {"fine": ""})
    Route.objects.create(channel=channel, model="sora-2")
    change_channel(SYSTEM, channel, {"models": {"fine": "", "sora-2": "", "also-fine": ""}})
    assert channel.routes.count() == 3
    with pytest.raises(ChannelRefused, match="sora-2"):
        change_channel(SYSTEM, channel, {"models": {"sora-2": "sora-2-pro"}})


def test_address_cannot_move_where_a_model_is_unreachable() -> None:
    channel = make("openai_compatible", {"bge-reranker-v2": ""}, "https://models.example.com/v1")
    with pytest.raises(ChannelRefused, match="bge-reranker-v2 is a model for rankings"):
        change_channel(
            SYSTEM, channel, {"provider": "deepseek", "base_url": "https://api.deepseek.com"}
        )
    assert Channel.objects.get().provider == "openai_compatible"


def test_unreachable_models_of_a_list_are_not_proposed() -> None:
    rows = propose_models(provider_named("groq"), ["some-chat", "sora-2"], {})
    assert [row.upstream for row in rows if row.ticked] == ["some-chat"]


def test_every_product_is_of_some_provider() -> None:
    assert unreachable_product((), "gpt-4o") == "chat"
    assert unreachable_product(["chat_completions"], "gpt-4o") is None
