"""Deployments of LiteLLM that stand in its database: channels, and the prices that they state."""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final, NamedTuple

from config.management.imports import values
from config.management.imports.converted import Channel, Origin, Price
from config.management.imports.litellm_secrets import SaltKey, Sealed
from config.management.imports.quota_ratios import written_rates
from config.management.imports.reading import Reader, Skipped, field, is_model_name, told_apart
from config.management.imports.values import Row

TABLE: Final = "LiteLLM_ProxyModelTable"
_TAKEN: Final = frozenset({"model_id", "model_name", "litellm_params", "model_info", "blocked"})
_TOKENS: Final = 1_000_000
_METERS: Final = {
    "input_cost_per_token": "in_text",
    "output_cost_per_token": "out_text",
    "cache_read_input_token_cost": "in_cache_read",
    "cache_creation_input_token_cost": "in_cache_write_5m",
    "output_cost_per_reasoning_token": "out_reasoning",
}
_TAKEN_PARAMS: Final = frozenset(
    {"model", "api_key", "api_base", "base_url", "api_version", "custom_llm_provider", *_METERS}
)
# Written by LiteLLM itself, and without a meaning elsewhere.
_OWN_PARAMS: Final = frozenset(
    {"use_in_pass_through", "use_litellm_proxy", "merge_reasoning_content_in_choices"}
)
_ENVIRONMENT: Final = "os.environ/"


class Target(NamedTuple):
    """`path` is put behind an address of one's own that does not end in a version."""

    provider: str
    host: str = ""
    path: str = ""


# By the part of a model's name before the first slash (docs.litellm.ai/docs/providers, 2026-10).
_PROVIDERS: Final[Mapping[str, Target]] = {
    "openai": Target("openai"),
    "text-completion-openai": Target("openai"),
    "custom_openai": Target("openai_compatible"),
    "openai_like": Target("openai_compatible"),
    "azure": Target("azure_openai"),
    "anthropic": Target("anthropic", path="/v1"),
    "gemini": Target("gemini", path="/v1beta"),
    "deepseek": Target("deepseek"),
    "dashscope": Target("qwen"),
    "xai": Target("xai"),
    "zai": Target("glm"),
    "volcengine": Target("doubao"),
    "moonshot": Target("kimi"),
    "openrouter": Target("openrouter"),
    "ollama": Target("ollama", path="/v1"),
    "ollama_chat": Target("ollama", path="/v1"),
    "hosted_vllm": Target("vllm"),
    "jina_ai": Target("jina"),
    "groq": Target("openai_compatible", "https://api.groq.com/openai/v1"),
    "mistral": Target("openai_compatible", "https://api.mistral.ai/v1"),
    "together_ai": Target("openai_compatible", "https://api.together.xyz/v1"),
    "fireworks_ai": Target("openai_compatible", "https://api.fireworks.ai/inference/v1"),
    "perplexity": Target("openai_compatible", "https://api.perplexity.ai"),
    "lm_studio": Target("openai_compatible"),
}
# Names that LiteLLM knows without a provider before them.
_BY_NAME: Final = (
    (re.compile(r"(gpt-|chatgpt-|o[1-9]|text-embedding-3|text-embedding-ada)"), "openai"),
    (re.compile(r"claude-"), "anthropic"),
)
_VERSION: Final = re.compile(r"/v[0-9][^/]*$")


def read_models(reader: Reader, salt: SaltKey) -> tuple[list[Channel], list[Price]]:
    """One channel for each deployment, and the price of each model that states one."""
    rows = reader.database.rows.get(TABLE, ())
    names = told_apart({values.text(row.get("model_id")): _name(row) for row in rows})
    prices: dict[str, Price] = {}

    def convert(row: Row) -> Channel:
        try:
            params = _opened(field(row, "litellm_params", values.mapping), salt)
        except Sealed as error:
            raise Skipped(str(error)) from error
        id = field(row, "model_id", values.text)
        channel = _channel(reader, row, params, names[id])
        price = _price(reader, row, params)
        if price is not None and prices.setdefault(price.model, price).meters != price.meters:
            reader.report.note(TABLE, id, price.model, "another price of the same model: left out")
        return channel

    channels = reader.each(TABLE, convert, id="model_id", name="model_name", taken=_TAKEN)
    return channels, list(prices.values())


def _name(row: Row) -> str:
    return values.text(row.get("model_name")).strip()


def _opened(params: Mapping[str, Any], salt: SaltKey) -> dict[str, Any]:
    return {
        name: salt.open(value) if isinstance(value, str) else value
        for name, value in params.items()
    }


def _channel(reader: Reader, row: Row, params: Mapping[str, Any], name: str) -> Channel:
    model, id = _name(row), field(row, "model_id", values.text)
    upstream = str(params.get("model") or "")
    prefix, upstream = _provider_of(upstream, str(params.get("custom_llm_provider") or ""))
    target = _PROVIDERS.get(prefix)
    if target is None:
        raise Skipped(f"Weir has no provider for {prefix[:60]!r}")
    if not is_model_name(model) or not is_model_name(upstream):
        raise Skipped(f"{model[:60]!r} is not the name of a model")
    secret = str(params.get("api_key") or "")
    missing = secret.startswith(_ENVIRONMENT)
    other = sorted(
        param
        for param, value in params.items()
        if param not in _TAKEN_PARAMS | _OWN_PARAMS and not values.is_nothing(value)
    )
    if missing:
        variable = secret.removeprefix(_ENVIRONMENT)
        text = f"imported turned off: its key stands in the environment there ({variable})"
        reader.report.note(TABLE, id, name, text)
    if other:
        text = f"imported turned off: look at its {', '.join(other)} first"
        reader.report.note(TABLE, id, name, text)
    return Channel(
        Origin(TABLE, id),
        name,
        _own_provider(target, params),
        _address(target, params),
        () if missing or not secret else (secret,),
        {model: "" if upstream == model else upstream},
        enabled=not (missing or other or field(row, "blocked", values.boolean)),
    )


def _provider_of(model: str, stated: str) -> tuple[str, str]:
    """The provider's name there, and the model's name at it."""
    prefix, slash, rest = model.partition("/")
    if slash and (prefix in _PROVIDERS or not stated):
        return prefix, rest
    if stated:
        return stated, model
    for pattern, provider in _BY_NAME:
        if pattern.match(model):
            return provider, model
    raise Skipped(f"it is not known whose model {model[:60]!r} is")


def _own_provider(target: Target, params: Mapping[str, Any]) -> str:
    own = params.get("api_base") or params.get("base_url")
    return "openai_compatible" if own and target.provider == "openai" else target.provider


def _address(target: Target, params: Mapping[str, Any]) -> str:
    base = str(params.get("api_base") or params.get("base_url") or target.host).strip().rstrip("/")
    if base and target.path and not _VERSION.search(base):
        base += target.path
    version = str(params.get("api_version") or "")
    return (
        f"{base}?api-version={version}" if version and target.provider == "azure_openai" else base
    )


def _price(reader: Reader, row: Row, params: Mapping[str, Any]) -> Price | None:
    stated = {**field(row, "model_info", values.mapping), **params}
    rates: dict[str, Fraction] = {}
    for name, meter in _METERS.items():
        if stated.get(name) is not None:
            rates[meter] = values.fraction(stated[name]) * _TOKENS
    if not rates or any(rate < 0 for rate in rates.values()):
        return None
    written, rounded = written_rates(rates)
    model = _name(row)
    if rounded:
        reader.report.note("prices", model, "", "rounded to what a price holds (10⁻⁹ USD)")
    reader.report.table("prices").read += 1
    return Price(Origin("prices", model), model, written)
