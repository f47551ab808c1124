"""Where LiteLLM's names of providers lead."""

from typing import Any

import pytest

from extensions.import_hubs.litellm.models import _PROVIDERS, _address, _own_provider, _provider_of
from gateway.providers import provider_named


@pytest.mark.parametrize(
    ("model", "provider", "upstream"),
    [
        ("mistral/mistral-large-latest", "mistral", "mistral-large-latest"),
        ("groq/openai/gpt-oss-120b", "groq", "openai/gpt-oss-120b"),
        ("cerebras/gpt-oss-120b", "cerebras", "gpt-oss-120b"),
        ("together_ai/zai-org/GLM-5.3", "together", "zai-org/GLM-5.3"),
        (
            "fireworks_ai/accounts/fireworks/models/kimi-k3",
            "fireworks",
            "accounts/fireworks/models/kimi-k3",
        ),
        ("deepinfra/Qwen/Qwen3-32B", "deepinfra", "Qwen/Qwen3-32B"),
        ("perplexity/sonar", "perplexity", "sonar"),
        ("lm_studio/ibm/granite-4-micro", "lm_studio", "ibm/granite-4-micro"),
    ],
)
def test_hosts_have_their_own_providers(model: str, provider: str, upstream: str) -> None:
    prefix, name = _provider_of(model, "")
    assert name == upstream
    assert _own_provider(_PROVIDERS[prefix], {}) == provider


@pytest.mark.parametrize("prefix", _PROVIDERS)
@pytest.mark.parametrize("own", ["", "https://own.example", "https://own.example/v1/"])
def test_each_name_leads_to_an_address_of_its_provider(prefix: str, own: str) -> None:
    target, params = _PROVIDERS[prefix], dict[str, Any](api_base=own)
    provider = provider_named(_own_provider(target, params))
    base_url = _address(target, params) or provider.base_url or "https://own.example"
    assert provider.address(base_url).urls
