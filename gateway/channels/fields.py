"""The settings of a channel, the fields that a write may set, and the validation of every write."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypedDict

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _
from pydantic import Field, Strict

from accounts.limits.data_policy import REGION_MAX, is_region
from accounts.limits.rules import LIMIT_MAX
from accounts.names import names
from accounts.names.labels import LABEL_LENGTH, is_label
from gateway.channels import bounds as bounds
from gateway.channels.channel_tests.rules import EVERY_MIN_MAX, TEXT_MAX, CheckRule, is_status_list
from gateway.channels.channel_tests.variants import STAGES
from gateway.channels.refusals import ChannelRefused
from gateway.models import Channel, ChannelKey, OnLeave
from gateway.providers import UnknownProvider, provider_named
from gateway.providers.overrides import CAPABILITIES
from gateway.providers.provider import BadAddress, Provider
from lib.forms.fields import Words, fields_of
from lib.network.egress import EgressDenied, check_host, host_and_port
from lib.numbers.whole_numbers import Whole

Switch = Annotated[bool, Strict()]
Priority = Annotated[Whole, Field(ge=-bounds.PRIORITY_MAX, le=bounds.PRIORITY_MAX)]
Weight = Annotated[Whole, Field(ge=0, le=bounds.WEIGHT_MAX)]
Count = Annotated[Whole, Field(ge=1, le=LIMIT_MAX)]
Url = Annotated[str, Field(max_length=bounds.URL_MAX)]
Label = Annotated[str, Field(max_length=LABEL_LENGTH)]
Pem = Annotated[str, Field(max_length=bounds.PEM_MAX)]
BalanceSource = Literal[
    "none", "openrouter", "openrouter_key", "deepseek", "moonshot", "siliconflow", "new_api",
    "one_api",
]  # fmt: skip
"""How the balance of a key is read (gateway/provider_accounts/balances/rules.py)."""


class ChannelSettings(TypedDict, total=False):
    """The settings of a channel that have a column of the same name. This is the only list of them:
    the API, files, exports and the page's form use it."""

    provider: Annotated[str, Field(max_length=40)]
    base_url: Annotated[
        Url, Words(reference="The address of the API. Empty: the provider's usual address.")
    ]
    proxy_url: Annotated[
        Url,
        Words(
            reference="http://host:port or socks5://host:port. If you change the proxy, the "
            "provider, the base URL or the trusted authorities, Weir deletes all stored secrets of "
            "the channel."
        ),
    ]
    ca_bundle: Annotated[
        Pem, Words(reference="Certificate authorities to trust instead of the system's.")
    ]
    client_cert: Annotated[Pem, Words(reference="Client certificate in PEM, with its chain.")]
    enabled: Annotated[Switch, Words(_("On"), _("Requests can use this channel."))]
    labels: Annotated[
        list[Label],
        Field(max_length=bounds.LABELS_MAX),
        Words(reference="Your own labels, to find channels and change them together."),
    ]
    priority: Annotated[Priority, Words(_("Priority"), _("Lower is tried first."))]
    weight: Annotated[
        Weight, Words(_("Weight"), _("Share of requests among channels of equal priority."))
    ]
    retries: Annotated[
        Whole,
        Field(ge=0, le=bounds.RETRIES_MAX),
        Words(
            _("Attempts after a failure"),
            _(
                "Further attempts after this channel fails: on other channels, else on this one. "
                "A request has three attempts at most. 0 turns fail-over off."
            ),
        ),
    ]
    on_leave: Annotated[
        Literal["cancel", "drain"],
        Words(
            _("When a client disconnects"),
            reference="What Weir does when a client disconnects: `cancel` ends the request at the "
            "provider, and `drain` reads the answer to the end. A charge rule of the organisation "
            "or the model overrides this setting.",
            choices={
                "cancel": _("Cancel at the provider"),
                "drain": _("Read the answer to the end"),
            },
        ),
    ]
    uncapped: Annotated[
        Switch,
        Words(
            _("Ignores output limits"),
            _("The channel then only serves organisations with a credit line."),
            reference="The provider ignores output limits.",
        ),
    ]
    names_client: Annotated[
        Switch, Words(_("Forward user agent"), _("The provider receives the client's user agent."))
    ]
    conditions: Mapping[str, Any]
    zero_retention: Annotated[
        Switch,
        Words(_("Zero data retention"), _("The provider keeps neither requests nor answers.")),
    ]
    region: Annotated[
        str,
        Field(max_length=REGION_MAX),
        Words(
            _("Region"),
            _("Where the provider processes data, such as eu or us-east-1."),
            reference="The region of the channel, such as `eu` or `us-east-1`. Empty: unknown.",
        ),
    ]
    check_models_every_h: Annotated[
        Annotated[Whole, Field(ge=1, le=bounds.CHECK_MODELS_H_MAX)] | None,
        Words(
            _("Check for new models every"),
            _("Hours. Leave empty to check only by hand."),
            reference="Hours between two checks for new models. Null: no checks.",
        ),
    ]
    balance_source: Annotated[
        BalanceSource,
        Words(
            _("Balance"),
            _("Asked every 10 minutes with each key. Leave it off if the provider has none."),
            reference="The API from which Weir reads the balance of the channel's keys.",
            choices={
                "none": _("Not read"),
                "openrouter": _("OpenRouter: credits of the account"),
                "openrouter_key": _("OpenRouter: limit of the key"),
                "deepseek": _("DeepSeek"),
                "moonshot": _("Moonshot (Kimi)"),
                "siliconflow": _("SiliconFlow"),
                "new_api": _("New API, or One API: limit less usage"),
                "one_api": _("One API: limit is what is left"),
            },
        ),
    ]
    rpm: Annotated[
        Count | None,
        Words(
            _("Requests per minute"),
            _("Over any 60 seconds. Leave empty for no limit."),
            reference="Requests over any 60 seconds.",
        ),
    ]
    tpm: Annotated[
        Count | None,
        Words(
            _("Tokens per minute"),
            _("Counts a request's maximum tokens until it ends, then its actual tokens."),
            reference="Tokens over any 60 seconds.",
        ),
    ]
    parallel: Annotated[
        Count | None, Words(_("Concurrent requests"), _("Requests running at the same time."))
    ]


class ChannelFields(ChannelSettings, total=False):
    """The fields that a write may set. Omitted ones stay as they are.

    `keys`: a text for a new secret, a ChannelKey for a stored one that stays. `models`: every name
    or pattern that the channel serves -> upstream name, "" for the same. `can`: the operator's
    corrections to the catalogue (gateway/providers/overrides.py), by those names. `priorities` and
    `weights`: of names with their own values. `conditions`: all of them, in the form of
    gateway/channels/overrides/condition_rules.py. `overrides`: all of its changes to requests
    (gateway/channels/overrides/rules.py). `pass_through`: all of its paths that clients may call
    (gateway/channels/passthrough/rules.py). `model_timeouts`: the seconds of models with
    their own values. `proxy_login` and `client_key`: "" for none.
    """

    keys: Sequence[str | ChannelKey]
    models: Mapping[str, str]
    can: Mapping[str, Mapping[str, bool]]
    priorities: Mapping[str, int]
    weights: Mapping[str, int]
    model_timeouts: Mapping[str, Mapping[str, float]]
    archived: bool
    spend_cap_day_nano: int | None
    spend_cap_month_nano: int | None
    balance_warn_below_nano: int | None
    balance_rest_below_nano: int | None
    overrides: Mapping[str, Any]
    pass_through: Sequence[Mapping[str, Any]]
    proxy_login: str
    client_key: str
    timeouts: Mapping[str, float]
    breaker: Mapping[str, bool | float | None]
    testing: Mapping[str, bool | int | str | None]


SETTINGS: Final = fields_of(ChannelSettings)
EGRESS_TEXTS = ("proxy_url", "ca_bundle", "client_cert")
"""The fields of its network route that can be read back."""
EGRESS_SECRETS: tuple[Literal["proxy_login", "client_key"], ...] = ("proxy_login", "client_key")
"""The sealed fields of its network route."""
OF_ONE = frozenset(
    {"provider", "base_url", *EGRESS_TEXTS, *EGRESS_SECRETS, "keys", "models", "archived",
     "pass_through"}
)  # fmt: skip
"""The fields that only a change of one channel can set: its address, its secrets, its models and
its paths."""
LIMITS = ("rpm", "tpm", "parallel")
"""The limits per minute and of concurrent requests; None means no limit."""
AMOUNT_NAMES = ("spend_cap_day", "spend_cap_month", "balance_warn_below", "balance_rest_below")
"""Amounts by their names in files, forms and the API: our maximum cost per day and per month, in
USD; and the balances, in the unit that its provider reports, below which operators are notified and
the channel rests."""
AMOUNTS = tuple(f"{name}_nano" for name in AMOUNT_NAMES)
"""The same amounts by their stored names; None means none."""
PLAIN = (*SETTINGS, *AMOUNTS)
"""The fields with a column of the same name."""
PARTS = ("timeouts", "breaker", "overrides", "testing", "pass_through")
"""The fields of several parts, each in one column."""
ROUTE_FIELDS = ("models", "can", "priorities", "weights", "model_timeouts")
MODEL_TIMEOUTS = ("first_content", "idle", "total")
"""The timeouts that a model may have of its own. The connection timeout is the same for all
models."""


def relabel(labels: Sequence[str], add: Sequence[str], remove: Sequence[str]) -> list[str]:
    """Return a channel's labels with some added and others removed."""
    return [label for label in dict.fromkeys([*labels, *add]) if label not in remove]


def check_name(name: str) -> None:
    """Raise ChannelRefused for an invalid name."""
    if not name or name != name.strip() or len(name) > bounds.NAME_MAX:
        text = gettext("Enter a name of at most %(n)s characters.")
        raise ChannelRefused("name", text % {"n": bounds.NAME_MAX})
    names.check_name(name)
    if Channel.objects.filter(name=name).exists():
        text = gettext("Another channel is already named %(name)s.")
        raise ChannelRefused("name", text % {"name": name}, already_exists=True)


def check_settings(channel: Channel) -> None:
    """Raise ChannelRefused for settings with which no request is possible. The base URL is
    normalised."""
    _check_address(channel, provider_of(channel))
    for name, setting in SETTINGS.items():
        if setting.whole and (number := getattr(channel, name)) is not None:
            _check_bounds(name, number, setting.least, setting.most)
    for name in AMOUNTS:
        amount = getattr(channel, name)
        if amount is not None and not 0 < amount <= bounds.AMOUNT_NANO_MAX:
            raise ChannelRefused(name.removesuffix("_nano"), gettext("Enter an amount above 0."))
    if channel.on_leave not in OnLeave.values:
        raise ChannelRefused("on_leave", gettext("Choose cancel or drain."))
    if channel.archived_at is not None and channel.enabled:
        text = gettext("An archived channel cannot be turned on. Restore it first.")
        raise ChannelRefused("enabled", text)
    _check_labels(channel.labels)
    if channel.region and not is_region(channel.region):
        raise ChannelRefused("region", gettext("Enter a region such as eu or us-east-1."))
    for name, seconds in channel.timeouts.items():
        _check_seconds(f"timeouts.{name}", seconds)
    for name in ("window", "open_for"):
        if name in channel.breaker:
            _check_seconds(f"breaker.{name}", channel.breaker[name])
    failures = channel.breaker.get("failures")
    if failures is not None:
        _check_bounds("breaker.failures", failures, 1, bounds.FAILURES_MAX)
    _check_testing(CheckRule(**channel.testing))


def check_routes(fields: ChannelFields) -> None:
    """Raise ChannelRefused for invalid names, and for values of models that are not served.
    `fields` has all of ROUTE_FIELDS."""
    models = fields["models"]
    if len(models) > bounds.ROUTES_MAX:
        text = gettext("A channel can serve at most %(n)s models.")
        raise ChannelRefused("models", text % {"n": bounds.ROUTES_MAX})
    for model, upstream in models.items():
        _check_model(model)
        if upstream:
            _check_model(upstream)
    for model, switches in fields["can"].items():
        _check_served("can", model, models)
        unknown = set(switches) - set(CAPABILITIES)
        if unknown:
            text = gettext("There is no capability named %(name)s.")
            raise ChannelRefused("can", text % {"name": min(unknown)})
    for model, priority in fields["priorities"].items():
        _check_served("priorities", model, models)
        _check_bounds("priorities", priority, -bounds.PRIORITY_MAX, bounds.PRIORITY_MAX)
    for model, weight in fields["weights"].items():
        _check_served("weights", model, models)
        _check_bounds("weights", weight, 0, bounds.WEIGHT_MAX)
    for model, timeouts in fields["model_timeouts"].items():
        _check_served("model_timeouts", model, models)
        for name, seconds in timeouts.items():
            if name not in MODEL_TIMEOUTS:
                text = gettext("There is no timeout named %(name)s for a model.")
                raise ChannelRefused("model_timeouts", text % {"name": name[:60]})
            _check_seconds("model_timeouts", seconds)


def check_secret(channel: Channel, secret: str) -> None:
    """Raise ChannelRefused for a key that cannot be sent in the provider's header."""
    if not secret or len(secret) > bounds.SECRET_MAX:
        raise ChannelRefused("keys", gettext("Enter the provider's key."))
    try:
        provider_of(channel).headers(secret)
    except BadAddress as error:
        text = gettext("The key can only contain visible ASCII characters, without spaces.")
        if secret.lstrip().startswith("{"):
            text = gettext("The key cannot be used: %(reason)s.") % {"reason": str(error)}
        raise ChannelRefused("keys", text) from error


def provider_of(channel: Channel) -> Provider:
    """Return a channel's provider. Raises ChannelRefused."""
    try:
        return provider_named(channel.provider)
    except UnknownProvider as error:
        raise ChannelRefused("provider", str(error)) from error


def _check_address(channel: Channel, provider: Provider) -> None:
    channel.base_url = channel.base_url.strip().rstrip("/") or provider.base_url
    if not channel.base_url:
        text = gettext("Enter the base URL. %(provider)s has no default address.")
        raise ChannelRefused("base_url", text % {"provider": gettext(provider.label)})
    if len(channel.base_url) > bounds.URL_MAX:
        text = gettext("The URL is too long. Use at most 500 characters.")
        raise ChannelRefused("base_url", text)
    try:
        provider.address(channel.base_url)
        check_host(host_and_port(channel.base_url)[0])
    except (BadAddress, EgressDenied) as error:
        raise ChannelRefused("base_url", str(error)) from error


def _check_labels(labels: Sequence[str]) -> None:
    if len(labels) > bounds.LABELS_MAX:
        text = gettext("A channel can have at most %(n)s labels.")
        raise ChannelRefused("labels", text % {"n": bounds.LABELS_MAX})
    for label in labels:
        if not is_label(label) or labels.count(label) > 1:
            text = gettext("%(label)s cannot be a label.")
            raise ChannelRefused("labels", text % {"label": label[:60]})


def _check_bounds(field: str, value: float, least: int | None, most: int | None) -> None:
    if (least is not None and value < least) or (most is not None and value > most):
        text = gettext("Enter a number from %(least)s to %(most)s.")
        raise ChannelRefused(field, text % {"least": least, "most": most})


def _check_testing(rule: CheckRule) -> None:
    if rule.every_min is not None:
        _check_bounds("testing.every_min", rule.every_min, 1, EVERY_MIN_MAX)
    if rule.success_percent is not None:
        _check_bounds("testing.success_percent", rule.success_percent, 1, 100)
    if rule.variant not in STAGES:
        raise ChannelRefused("testing.variant", gettext("There is no such test."))
    if not is_status_list(rule.statuses):
        text = gettext("Enter HTTP statuses separated by commas, such as 403, 5xx.")
        raise ChannelRefused("testing.statuses", text)
    for name in ("statuses", "words", "model"):
        if len(getattr(rule, name)) > TEXT_MAX:
            text = gettext("Use at most %(n)s characters.") % {"n": TEXT_MAX}
            raise ChannelRefused("testing." + name, text)


def _check_seconds(field: str, seconds: float) -> None:
    if not 0 < seconds <= bounds.SECONDS_MAX:
        text = gettext("Enter a number of seconds above 0, at most %(most)s.")
        raise ChannelRefused(field, text % {"most": bounds.SECONDS_MAX})


def _check_model(name: str) -> None:
    if len(name) > bounds.MODEL_MAX or not re.fullmatch(bounds.MODEL_PATTERN, name):
        text = gettext("%(name)s is not a model name: use at most %(n)s characters, no spaces.")
        raise ChannelRefused("models", text % {"name": name[:60], "n": bounds.MODEL_MAX})


def _check_served(field: str, model: str, models: Mapping[str, str]) -> None:
    if model not in models:
        text = gettext("The channel does not serve %(model)s.")
        raise ChannelRefused(field, text % {"model": model})
