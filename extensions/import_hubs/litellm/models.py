"""LiteLLM deployments in its database: channels, model names, and prices.

A team's deployment serves only that team, under the team's name for it. Its price is the
deployment's own, else the one in LiteLLM's price list for the underlying model, else the current
price here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from fractions import Fraction
from typing import Any, Final, NamedTuple

from billing.prices.meters import format_rate
from billing.prices.name_patterns import matches
from billing.prices.price_list import PriceListRead
from extensions.import_hubs import values
from extensions.import_hubs.converted import NO_MODEL, Channel, Origin, Price
from extensions.import_hubs.litellm.columns import MODELS, TEAMS
from extensions.import_hubs.litellm.secrets import SaltKey, Sealed
from extensions.import_hubs.new_api.ratios import written_rates
from extensions.import_hubs.reading import Reader, Skipped, distinguish_names, field, is_model_name
from extensions.import_hubs.values import Row, ValueUnreadable

_TOKENS: Final = 1_000_000
_METERS: Final = {
    "input_cost_per_token": "in_text",
    "output_cost_per_token": "out_text",
    "cache_read_input_token_cost": "in_cache_read",
    "cache_creation_input_token_cost": "in_cache_write_5m",
    "output_cost_per_reasoning_token": "out_reasoning",
}
_TAKEN_PARAMS: Final = frozenset(
    {
        *("model", "api_key", "api_base", "base_url", "api_version", "custom_llm_provider"),
        *("base_model", *_METERS),
    }
)
# LiteLLM writes these itself; they mean nothing elsewhere.
_OWN_PARAMS: Final = frozenset(
    {"use_in_pass_through", "use_litellm_proxy", "merge_reasoning_content_in_choices"}
)
_ENVIRONMENT: Final = "os.environ/"


class Target(NamedTuple):
    """A provider here. `path` is appended to a custom base URL that does not end in a version."""

    provider: str
    path: str = ""


# The provider, by the prefix of a model's name before the first slash
# (docs.litellm.ai/docs/providers, 2026-10).
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
    "groq": Target("groq"),
    "cerebras": Target("cerebras"),
    "mistral": Target("mistral"),
    "together_ai": Target("together"),
    "fireworks_ai": Target("fireworks"),
    "deepinfra": Target("deepinfra"),
    "perplexity": Target("perplexity"),
    "lm_studio": Target("lm_studio"),
}
# Names that LiteLLM knows without a provider's prefix.
_BY_NAME: Final = (
    (re.compile(r"(gpt-|chatgpt-|o[1-9]|text-embedding-3|text-embedding-ada)"), "openai"),
    (re.compile(r"claude-"), "anthropic"),
)
_VERSION: Final = re.compile(r"/v[0-9][^/]*$")


@dataclass
class Catalogue:
    """The channels and prices, and the model names: those for everybody, those of each team, and
    each group of models by team ("" means everybody's)."""

    channels: list[Channel] = dataclass_field(default_factory=list)
    prices: list[Price] = dataclass_field(default_factory=list)
    shared: dict[str, None] = dataclass_field(default_factory=dict)
    private: dict[str, dict[str, None]] = dataclass_field(default_factory=dict)
    groups: dict[str, dict[str, dict[str, None]]] = dataclass_field(default_factory=dict)
    internal: dict[str, str] = dataclass_field(default_factory=dict)
    """The deployment's own name -> its team."""

    def every(self, team: str) -> tuple[str, ...]:
        """Return the names for a team with access to every model, or (with "") for people outside a
        team. A name that both the team and everybody have a deployment of is left out, because it
        is unclear who pays."""
        own = self.private.get(team, {})
        return tuple(name for name in {**self.shared, **own} if not self.is_clash(name, team))

    def resolved(self, listed: tuple[str, ...], team: str) -> tuple[str, ...]:
        """Expand a list's groups to names and patterns."""
        names: dict[str, None] = {}
        for name in listed:
            members = self.members(name, team)
            names |= dict.fromkeys(members)
            clashes = [known for known in self.shared if self.is_clash(known, team)]
            if any(matches(name, known) for known in clashes):
                names |= dict.fromkeys(known for known in self.every(team) if matches(name, known))
            elif not members or name in self.shared or name in self.private.get(team, {}):
                names[name] = None
        allowed = tuple(name for name in names if not self.is_clash(name, team))
        return allowed or (NO_MODEL,)

    def members(self, group: str, team: str) -> tuple[str, ...]:
        """Return the models of a group."""
        named = self.groups.get("", {}).get(group, {}), self.groups.get(team, {}).get(group, {})
        return tuple({**named[0], **named[1]})

    def is_clash(self, name: str, team: str) -> bool:
        """Return whether a team and everybody both have a deployment of this name."""
        return name in self.private.get(team, {}) and name in self.shared


def read_models(reader: Reader, salt: SaltKey, price_map: PriceListRead) -> Catalogue:
    """Return a channel per deployment, and a price per model with a known price."""
    rows = reader.database.rows.get(MODELS, ())
    names = distinguish_names({values.text(row.get("model_id")): _name(row) for row in rows})
    catalogue = Catalogue()
    for row in rows:
        _add_names(catalogue, row)
    prices: dict[str, Price] = {}

    def convert(row: Row, closed: tuple[str, ...]) -> Channel:
        try:
            params = _decrypt_params(field(row, "litellm_params", values.mapping), salt)
        except Sealed as error:
            raise Skipped(str(error)) from error
        id = field(row, "model_id", values.text)
        if catalogue.is_clash(_name(row), _team(row)):
            closed += reader.without_accepted([f"{MODELS}.model_info.team_id (of a shared name)"])
        channel = _channel(reader, row, params, names[id], closed)
        price = _price(reader, row, params, price_map)
        if price is not None and prices.setdefault(price.model, price) != price:
            reader.report.note(MODELS, id, price.model, "another price of the same model: left out")
        return channel

    catalogue.channels = reader.each(MODELS, convert, id="model_id", name="model_name")
    catalogue.prices = list(prices.values())
    return catalogue


def _info(row: Row) -> dict[str, Any]:
    try:
        return values.mapping(row.get("model_info"))
    except ValueUnreadable:
        return {}


def _team(row: Row) -> str:
    return str(_info(row).get("team_id") or "")


def _name(row: Row) -> str:
    """Return the name that clients use for the model."""
    public = _info(row).get("team_public_model_name") if _team(row) else ""
    return str(public or "").strip() or values.text(row.get("model_name")).strip()


def _add_names(catalogue: Catalogue, row: Row) -> None:
    name, team = _name(row), _team(row)
    catalogue.internal[values.text(row.get("model_name"))] = team
    if not is_model_name(name):
        return
    names = catalogue.private.setdefault(team, {}) if team else catalogue.shared
    names[name] = None
    groups = _info(row).get("access_groups")
    for group in groups if isinstance(groups, list) else []:
        catalogue.groups.setdefault(team, {}).setdefault(str(group), {})[name] = None


def _decrypt_params(params: Mapping[str, Any], salt: SaltKey) -> dict[str, Any]:
    return {
        name: salt.open(value) if isinstance(value, str) else value
        for name, value in params.items()
    }


def _channel(
    reader: Reader, row: Row, params: Mapping[str, Any], name: str, closed: tuple[str, ...]
) -> Channel:
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
    closed += reader.without_accepted(f"{MODELS}.litellm_params.{param}" for param in other)
    if missing:
        variable = secret.removeprefix(_ENVIRONMENT)
        closed += (f"{MODELS}.litellm_params.api_key (in the environment there: {variable})",)
    team = _team(row)
    return Channel(
        Origin(MODELS, id),
        name,
        _own_provider(target, params),
        _address(target, params),
        () if missing or not secret else (secret,),
        {model: "" if upstream == model else upstream},
        enabled=not (field(row, "blocked", values.boolean) or _info(row).get("blocked")),
        teams=(Origin(TEAMS, team),) if team else (),
        closed=closed,
    )


def _provider_of(model: str, provider_name: str) -> tuple[str, str]:
    """Return LiteLLM's name of the provider, and the provider's name of the model."""
    prefix, slash, rest = model.partition("/")
    if slash and (prefix in _PROVIDERS or not provider_name):
        return prefix, rest
    if provider_name:
        return provider_name, model
    for pattern, provider in _BY_NAME:
        if pattern.match(model):
            return provider, model
    raise Skipped(f"it is not known whose model {model[:60]!r} is")


def _own_provider(target: Target, params: Mapping[str, Any]) -> str:
    own = params.get("api_base") or params.get("base_url")
    return "openai_compatible" if own and target.provider == "openai" else target.provider


def _address(target: Target, params: Mapping[str, Any]) -> str:
    base = str(params.get("api_base") or params.get("base_url") or "").strip().rstrip("/")
    if base and target.path and not _VERSION.search(base):
        base += target.path
    version = str(params.get("api_version") or "")
    return (
        f"{base}?api-version={version}" if version and target.provider == "azure_openai" else base
    )


def _price(
    reader: Reader, row: Row, params: Mapping[str, Any], price_map: PriceListRead
) -> Price | None:
    """Return the price of the name that clients use."""
    model, info = _name(row), field(row, "model_info", values.mapping)
    behind = _names_behind(info, params)
    values_by_name = {**info, **params}
    rates: dict[str, Fraction] = {}
    for name, meter in _METERS.items():
        if values_by_name.get(name) is not None:
            rates[meter] = values.fraction(values_by_name[name]) * _TOKENS
    reader.report.table("prices").read += 1
    if any(rate < 0 for rate in rates.values()):
        reader.report.skip("prices", model, "", "a rate below 0")
        return None
    others = [
        name
        for name in values_by_name
        if "cost" in name and name not in _METERS and values_by_name[name]
    ]
    if others:
        text = f"without its {', '.join(sorted(others))}, which no price has here"
        reader.report.note("prices", model, "", text)
    if rates:
        written, rounded = written_rates(rates)
        if rounded:
            reader.report.note("prices", model, "", "rounded to what a price holds (10⁻⁹ USD)")
        return Price(Origin("prices", model), model, written)
    for name in behind:
        if name in price_map.rates:
            stored = price_map.rates[name]["meters"]
            meters = {meter: format_rate(meter, rate) for meter, rate in stored.items()}
            return Price(Origin("prices", model), model, meters)
    return Price(Origin("prices", model), model, {}, like=behind)


def _names_behind(info: Mapping[str, Any], params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names under which a price list may have the underlying model."""
    names: dict[str, None] = {}
    for named in (info.get("base_model"), params.get("base_model"), params.get("model")):
        name = str(named or "")
        provider = str(params.get("custom_llm_provider") or "")
        for candidate in (name, f"{provider}/{name}" if provider else "", name.partition("/")[2]):
            if candidate:
                names[candidate] = None
    return tuple(names)
