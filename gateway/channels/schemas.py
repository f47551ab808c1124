"""The schemas of channels in the management API."""

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from billing.currency.money import MoneyInvalid, parse_usd
from dialects.chat.chat import Dialect
from dialects.chat.system_prompt import PromptMode
from gateway.breaker.breaker import CONNECTS_MAX, LONGEST_FACTOR, SAMPLE_MIN, BreakerRule
from gateway.channels import bounds as bounds
from gateway.channels.channel_tests.rules import (
    ATTEMPTS_MIN,
    EVERY_MIN_MAX,
    TEXT_MAX,
    WINDOW_MIN,
    Cause,
    is_status_list,
)
from gateway.channels.channel_tests.variants import Variant
from gateway.channels.fields import (
    ChannelFields,
    ChannelSettings,
    Label,
    Pem,
    Priority,
    Switch,
    Weight,
)
from gateway.channels.overrides.condition_rules import PROMPT_MAX, VALUES_MAX, Feature
from gateway.channels.overrides.rules import (
    CONDITIONAL_MAX,
    HEADER_CHARACTERS_MAX,
    HEADERS_MAX,
    PARAMETERS_MAX,
    PROMPT_CHARACTERS_MAX,
    FieldName,
    FieldRule,
)
from gateway.channels.passthrough.rules import PATH_MAX, POINTER_MAX, RULES_MAX
from gateway.channels.timeouts import Timeouts
from gateway.models import Channel
from gateway.providers.overrides import Capability
from lib.api import pagination
from lib.api.openapi import Part, RequestBody, Schema
from lib.forms.fields import show_fields, take_fields
from lib.numbers.whole_numbers import Whole


def _amount(text: str) -> str:
    try:
        nano = parse_usd(text)
    except MoneyInvalid as error:
        raise ValueError(f"expected {error.expected}") from error
    if nano <= 0:
        raise ValueError("expected an amount above 0")
    return text


def _as_written(seconds: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """Return 10 for 10.0, as it was typed."""
    check(seconds)
    return seconds


def _statuses(text: str) -> str:
    if not is_status_list(text):
        what = 'expected HTTP statuses separated by commas, such as "403, 5xx"'
        raise PydanticCustomError("expected", what)
    return text


_TIMEOUTS: Final = Timeouts()
_BREAKER: Final = BreakerRule()
Seconds = Annotated[
    float, Field(gt=0, le=bounds.SECONDS_MAX, strict=True), WrapValidator(_as_written)
]
Failures = Annotated[Whole, Field(ge=1, le=bounds.FAILURES_MAX)]
PositiveAmount = Annotated[str, AfterValidator(_amount), Field(max_length=24)]
Name = Annotated[str, Field(min_length=1, max_length=bounds.NAME_MAX)]
ModelName = Annotated[str, Field(max_length=bounds.MODEL_MAX, pattern=bounds.MODEL_PATTERN)]
Secret = Annotated[str, Field(min_length=1, max_length=bounds.SECRET_MAX)]
Values = Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=VALUES_MAX)]
Tokens = Annotated[Whole, Field(ge=0, le=PROMPT_MAX)]
Parameter = Annotated[str, Field(max_length=260)]
HeaderName = Annotated[str, Field(max_length=64)]
HeaderValue = Annotated[str, Field(max_length=HEADER_CHARACTERS_MAX)]


class ModelTimeoutsIn(Part):
    """Seconds of one model; null means the channel's."""

    first_content: Seconds | None = Field(
        default=None, description="Seconds until the first content. Null: as in the channel."
    )
    idle: Seconds | None = Field(
        default=None, description="Seconds between two parts of an answer. Null: as in the channel."
    )
    total: Seconds | None = Field(
        default=None, description="Seconds for the whole answer. Null: as in the channel."
    )


class RouteIn(Part):
    """How a channel serves a model."""

    upstream: str = Field(
        "",
        max_length=bounds.MODEL_MAX,
        pattern=r"^[^\s\x00]*$",
        description="The provider's name of the model. Empty: the public name.",
    )
    can: dict[Capability, bool] = Field(
        default_factory=dict,
        description="Capabilities of the model, in place of those in the catalogue.",
    )
    priority: Priority | None = Field(None, description="Null: the channel's priority.")
    weight: Weight | None = Field(None, description="Null: the channel's weight.")
    timeouts: ModelTimeoutsIn = Field(
        default_factory=ModelTimeoutsIn, description="Timeouts for this model."
    )


def route_fields(models: Mapping[str, RouteIn]) -> ChannelFields:
    """Return the models of a body or a file as fields for a write."""
    routes = models.items()
    return {
        "models": {name: route.upstream for name, route in routes},
        "can": {
            name: {str(capability): on for capability, on in route.can.items()}
            for name, route in routes
            if route.can
        },
        "priorities": {
            name: route.priority for name, route in routes if route.priority is not None
        },
        "weights": {name: route.weight for name, route in routes if route.weight is not None},
        "model_timeouts": {
            name: seconds
            for name, route in routes
            if (seconds := route.timeouts.model_dump(exclude_none=True))
        },
    }


class TimeoutsIn(Part):
    """Timeouts in seconds."""

    connect: Seconds = Field(
        default=_TIMEOUTS.connect, description="Seconds until the connection is open."
    )
    first_content: Seconds = Field(
        default=_TIMEOUTS.first_content, description="Seconds until the first content."
    )
    idle: Seconds = Field(
        default=_TIMEOUTS.idle, description="Seconds between two parts of an answer."
    )
    total: Seconds = Field(default=_TIMEOUTS.total, description="Seconds for the whole answer.")


class BreakerIn(Part):
    """When a failing channel is paused."""

    enabled: Switch = Field(default=True, description="Whether failures pause the channel.")
    failures: Annotated[
        Failures | None,
        Field(
            description="Weir pauses the channel if this many attempts fail within the `window`, "
            "and at least half of all attempts fail. Null: Weir pauses the channel if at least "
            f"half of {SAMPLE_MIN} or more attempts fail. In both cases, Weir also pauses the "
            f"channel if {CONNECTS_MAX} connections in a row fail."
        ),
    ] = None
    window: Annotated[Seconds, Field(description="Seconds in which attempts count.")] = (
        _BREAKER.window
    )
    open_for: Annotated[
        Seconds,
        Field(
            description="Seconds of the first pause. If the channel has not recovered since its "
            "last pause, the next pause is twice as long as the last one, but at most "
            f"{LONGEST_FACTOR} times as long as the first."
        ),
    ] = _BREAKER.open_for


class ConditionsIn(Part):
    """Which requests a channel serves. A request has all features of `requires` and none of
    `excludes`; of each other stated condition, at least one value matches."""

    plans: Values = Field(default_factory=list, description="Names of plans.")
    teams: Values = Field(
        default_factory=list,
        description="Slugs: `acme` for an organisation, `acme/core` for a team.",
    )
    projects: Values = Field(
        default_factory=list, description="Projects of the request or its key."
    )
    tags: Values = Field(default_factory=list, description="Tags of the request or its key.")
    customers: Values = Field(
        default_factory=list, description="End customers that the request names."
    )
    prompt_min: Tokens | None = Field(
        default=None,
        description="The lowest number of tokens in the prompt, as Weir estimates this number.",
    )
    prompt_max: Tokens | None = Field(
        default=None,
        description="The highest number of tokens in the prompt, as Weir estimates this number.",
    )
    requires: list[Feature] = Field(
        default_factory=list, description="The request must contain all of these."
    )
    excludes: list[Feature] = Field(
        default_factory=list, description="The request must contain none of these."
    )


class ParametersIn(Part):
    """Members of the body, by their names in the API of the request; dots lead into objects, as in
    `generationConfig.topK`. Members that determine the price or the form of the answer are
    refused."""

    set: dict[Parameter, Any] = Field(
        default_factory=dict,
        max_length=PARAMETERS_MAX,
        description="Members of the body to set, with the names that the request's API uses. Dots "
        "separate the names of nested objects.",
    )
    default: dict[Parameter, Any] = Field(
        default_factory=dict,
        max_length=PARAMETERS_MAX,
        description="Members to set if the request does not name them.",
    )
    remove: list[Parameter] = Field(
        default_factory=list,
        max_length=PARAMETERS_MAX,
        description="Members of the body to remove.",
    )


class SystemPromptIn(Part):
    """A text for the system prompt of every chat. Its tokens are charged as input."""

    text: str = Field(min_length=1, max_length=PROMPT_CHARACTERS_MAX, description="The text.")
    mode: PromptMode = Field(
        "prepend",
        description="Where the text goes: before the client's system prompt "
        "(`prepend`), after it (`append`), or in its place (`replace`).",
    )


class OverrideRuleIn(Part):
    """Changes to the requests that meet all stated conditions, each by one of its values."""

    models: Values = Field(
        default_factory=list, description="Names in the catalogue, or patterns such as `gpt-5*`."
    )
    endpoints: Values = Field(
        default_factory=list, description="Names of endpoints, as in the limits of a key."
    )
    teams: Values = Field(
        default_factory=list,
        description="Slugs: `acme` for an organisation, `acme/core` for a team.",
    )
    parameters: dict[Dialect, ParametersIn] = Field(
        default_factory=dict,
        description="As `parameters` of `overrides`, but only for these requests.",
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict,
        max_length=HEADERS_MAX,
        description="As `headers` of `overrides`, but only for these requests.",
    )


class OverridesIn(Part):
    """The channel's changes to requests. Replaces all stored overrides."""

    parameters: dict[Dialect, ParametersIn] = Field(
        default_factory=dict,
        description="Changes to parameters, for each API that Weir uses with the provider.",
    )
    system_prompt: SystemPromptIn | None = Field(
        default=None,
        description="A text for the system prompt of every chat. The tokens of the text are "
        "charged as input.",
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict,
        max_length=HEADERS_MAX,
        description="Headers to add. Variables: {request_id}, {organisation}, {key}, {user}, "
        "{model}.",
    )
    client_headers: list[HeaderName] = Field(
        default_factory=list,
        max_length=HEADERS_MAX,
        description="Names of the client's headers to forward.",
    )
    fields: dict[FieldName, FieldRule] = Field(
        default_factory=dict,
        description="Fields that cost money or affect data. `pass` forwards a field, and `drop` "
        "removes it. With `refuse`, only other channels serve requests that have the field. If "
        "there is no other channel, Weir rejects these requests with 400.",
    )
    when: list[OverrideRuleIn] = Field(
        default_factory=list,
        max_length=CONDITIONAL_MAX,
        description="Further changes to requests that meet conditions. Weir makes these changes "
        "after all other changes.",
    )


class PassThroughIn(Part):
    """Requests that are passed on to the provider under /passthrough/{channel}. The first rule with
    a fitting path and method applies."""

    methods: list[Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]] = Field(min_length=1)
    path: str = Field(
        max_length=PATH_MAX,
        description="The path after the base URL. `*` stands for one segment. `**` at the end "
        "stands for one or more segments.",
    )
    price: Annotated[str, Field(max_length=24)] = Field(
        "0.00", description="The price of an answered request: a decimal string in USD."
    )
    pointer: str = Field(
        "",
        max_length=POINTER_MAX,
        description="A JSON pointer to a number in the answer, such as `/usage/total`.",
    )
    unit_price: Annotated[str, Field(max_length=24)] = Field(
        "0.00", description="The price in USD for each unit of the number."
    )
    max_charge: Annotated[str, Field(max_length=24)] = Field(
        "0.00",
        description="The most that a request with a pointer may cost. Reserved for each request.",
    )
    cost: Annotated[str, Field(max_length=24)] = Field(
        "", description="USD that the provider charges for an answered request. Empty: unknown."
    )
    unit_cost: Annotated[str, Field(max_length=24)] = Field(
        "", description="USD that the provider charges for each unit of the number."
    )


class TestingIn(Part):
    """When the channel is tested automatically, and what turns it off. A passed test turns it on
    again."""

    every_min: Annotated[Whole, Field(ge=1, le=EVERY_MIN_MAX)] | None = Field(
        default=None, description="Minutes between two tests. Null: no scheduled tests."
    )
    model: str = Field(
        default="",
        max_length=bounds.MODEL_MAX,
        description="The model to test. Empty: the first model that can be tested.",
    )
    variant: Variant = Field(default="streamed", description="What kind of request the test sends.")
    on_key: Switch = Field(
        default=False,
        description="Weir turns off the channel if the provider rejects the key in a test.",
    )
    statuses: Annotated[str, AfterValidator(_statuses)] = Field(
        default="",
        max_length=TEXT_MAX,
        description="Weir turns off the channel if a test fails with one of these statuses, such "
        "as `403, 5xx`.",
    )
    words: str = Field(
        default="",
        max_length=TEXT_MAX,
        description="Weir turns off the channel if a test fails with an error that contains one "
        "of these words. Separate the words by commas.",
    )
    success_percent: Annotated[Whole, Field(ge=1, le=100)] | None = Field(
        default=None,
        description="Weir turns off the channel if less than this percentage of the attempts in "
        f"the last {WINDOW_MIN} minutes succeeded. If there were fewer than {ATTEMPTS_MIN} "
        "attempts, Weir does not turn off the channel.",
    )


@take_fields(ChannelSettings, Channel)
class ChannelChange(RequestBody):
    """Changes to a channel. Omitted fields stay as they are."""

    keys: list[Secret] = Field(
        default_factory=list,
        max_length=bounds.KEYS_MAX,
        description="The provider's keys, replacing all stored ones. A change of provider or base "
        "URL removes the stored keys.",
    )
    models: dict[ModelName, RouteIn] = Field(
        default_factory=dict,
        max_length=bounds.ROUTES_MAX,
        description="Every name or pattern the channel serves.",
    )
    proxy_login: str = Field(
        "", max_length=600, description="user:password. Weir never returns this value. Empty: none."
    )
    client_key: Pem = Field(
        "", description="The key of the client certificate in PEM. Weir never returns this key."
    )
    spend_cap_day: PositiveAmount | None = Field(
        None, description="What it may cost in a day (UTC): a decimal string in USD."
    )
    spend_cap_month: PositiveAmount | None = Field(
        None, description="The same in a calendar month."
    )
    balance_warn_below: PositiveAmount | None = Field(
        None,
        description="Weir notifies operators each time the balance of a key drops below this "
        "amount. A decimal string in the unit that the provider reports.",
    )
    balance_rest_below: PositiveAmount | None = Field(
        None,
        description="Weir turns off the channel while the balance of every enabled key is "
        "below this amount.",
    )
    conditions: ConditionsIn = Field(default_factory=ConditionsIn)
    overrides: OverridesIn = Field(default_factory=OverridesIn)
    pass_through: list[PassThroughIn] = Field(
        default_factory=list,
        max_length=RULES_MAX,
        description="All paths that clients may call as they are.",
    )
    timeouts: TimeoutsIn = Field(default_factory=TimeoutsIn)
    breaker: BreakerIn = Field(default_factory=BreakerIn)
    testing: TestingIn = Field(default_factory=TestingIn)


class ChannelIn(ChannelChange):
    """A new channel."""

    name: Name
    provider: str = Field(max_length=40)


class ChannelPatch(ChannelChange):
    """Changes to a channel. Omitted fields stay as they are."""

    version: str | None = Field(
        None, max_length=16, description="As you read it; 409 if the channel has changed since."
    )


class ChannelsChange(RequestBody):
    """Changes to several channels. Omitted fields stay as they are."""

    ids: list[str] = Field(min_length=1, max_length=bounds.SEVERAL_MAX)
    change: ChannelChange = Field(
        default_factory=lambda: ChannelChange.model_validate({}),
        description="As for one channel, but no address, secret or model.",
    )
    add_labels: list[Label] = Field(default_factory=list, max_length=bounds.LABELS_MAX)
    remove_labels: list[Label] = Field(default_factory=list, max_length=bounds.LABELS_MAX)
    preview: Switch = Field(False, description="Answer with what would change, and change nothing.")


class CopyIn(RequestBody):
    """The name of the copy."""

    name: Name


class ChannelKeyIn(RequestBody):
    """A provider's key."""

    secret: Secret


class KeySwitch(RequestBody):
    """Whether requests use the key."""

    enabled: Switch


class TestIn(RequestBody):
    """The model and variant of a test."""

    model: ModelName
    variant: Variant = Field(default="streamed", description="What is asked of the model.")


class TargetIn(RequestBody):
    """A provider that is not a channel yet."""

    provider: str = Field(max_length=40)
    base_url: str = Field("", max_length=bounds.URL_MAX)
    secret: str = Field("", max_length=bounds.SECRET_MAX)


class RouteOut(Schema):
    upstream: str
    can: dict[str, bool]
    priority: int | None
    weight: int | None
    timeouts: dict[str, float]


class KeyBalanceAmountOut(Schema):
    currency: str = Field(description="As the provider names it; empty: its own unit.")
    amount: str = Field(description="A decimal string.")


class KeyBalanceOut(Schema):
    """The balance of a key at the provider. Without `read_at` it is unknown."""

    amounts: list[KeyBalanceAmountOut]
    unlimited: bool
    read_at: dt.datetime | None = Field(description="When the provider last told it.")
    checked_at: dt.datetime
    low: bool = Field(description="Below `balance_warn_below`.")
    fault: str | None = Field(description="Why the last question failed.")
    cause: str | None
    fix: str | None


class ChannelKeyOut(Schema):
    id: str
    last4: str = Field(description="The last four characters; empty for a short key.")
    enabled: bool
    state: Literal["active", "disabled"]
    disabled_at: dt.datetime | None
    created_at: dt.datetime | None
    balance: KeyBalanceOut | None = Field(description="Null: never asked.")


class StageOut(Schema):
    name: str
    ok: bool
    ms: int


class CallOut(Schema):
    ok: bool
    stages: list[StageOut]
    fault: str | None
    cause: str | None = Field(description="What went wrong.")
    fix: str | None = Field(description="What to do about it.")
    status: int | None = Field(description="The provider's response status, if it failed.")
    detail: str
    body: str = Field(description="The beginning of the provider's response, if it failed.")
    total_ms: int


class ChannelTestOut(CallOut):
    at: dt.datetime
    model: str
    upstream_model: str
    variant: Variant
    cost: str | None = Field(description="What it cost at the provider, in USD, if known.")


class ModelListOut(CallOut):
    models: list[str] = Field(description="The provider's model names.")


class TakenOutOut(Schema):
    cause: Cause
    what: str
    at: dt.datetime


class TestRunIn(RequestBody):
    """The variant of a test of all channels."""

    variant: Variant = "streamed"


class TestResultOut(Schema):
    channel_id: str
    channel: str
    ok: bool
    fault: str | None
    total_ms: int
    cost: str | None


class TestRunOut(Schema):
    id: str
    variant: Variant
    done: int
    total: int
    created_at: dt.datetime
    ended_at: dt.datetime | None
    results: list[TestResultOut]


@show_fields(ChannelSettings)
class ChannelOut(Schema):
    id: str
    name: str
    has_proxy_login: bool
    has_client_key: bool
    archived_at: dt.datetime | None
    spend_cap_day: str | None
    spend_cap_month: str | None
    balance_warn_below: str | None
    balance_rest_below: str | None
    conditions: dict[str, Any]
    overrides: dict[str, Any]
    pass_through: list[PassThroughIn]
    timeouts: dict[str, float]
    breaker: dict[str, bool | float | None]
    testing: dict[str, bool | int | str | None]
    taken_out: TakenOutOut | None = Field(description="Why its rule turned it off, if it did.")
    keys: list[ChannelKeyOut]
    models: dict[str, RouteOut]
    last_test: ChannelTestOut | None
    created_at: dt.datetime
    version: str


class ChannelDifference(Schema):
    """The members of a channel that a change would change."""

    id: str
    name: str
    before: dict[str, Any]
    after: dict[str, Any]


class ChannelDifferences(Schema):
    items: list[ChannelDifference]


class ChannelPage(Schema):
    items: list[ChannelOut]
    next: str | None


class ChannelQuery(pagination.NamedPageQuery):
    archived: bool = Field(False, description="Include archived channels.")


class ChannelKeyPage(Schema):
    items: list[ChannelKeyOut]
    next: str | None


class TestRunPage(Schema):
    items: list[TestRunOut]
    next: str | None
