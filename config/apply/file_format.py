"""The format of an installation file, version 1: `apply` reads it and `export` writes it.

A field that a file omits keeps its value. If the object is new, or the file is applied with
--prune, the field gets the default that is declared here.
"""

import datetime as dt
import ipaddress
from typing import Annotated, Any, Final, Literal

from babel.numbers import list_currencies
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from accounts.limits.answer_cache import SECONDS_MAX
from accounts.limits.data_policy import (
    CLIENT_ADDRESS_DAYS_MAX,
    REGION_MAX,
    REGION_PATTERN,
    RETENTION_HOURS,
    RETENTION_HOURS_MAX,
)
from accounts.limits.rules import LIMIT_MAX
from accounts.mail_server.mail_server import PORT_MAX, USERNAME_MAX
from billing.currency.money import MoneyInvalid, parse_multiplier, parse_usd
from billing.limits.budget_rules import ALERT_PERCENTS, ALERTS_MAX
from billing.limits.charge_rule import DRAIN_SECONDS_MAX, build_charge_rule, stored_rule
from billing.limits.charge_rule import Kind as ChargeKind
from billing.prices.conditions import ConditionInvalid, read_hours, tier_name
from billing.prices.meters import MeterUnknown, find_meter, parse_rate
from billing.trials.rules import DAYS_MAX
from content.guards.rules import Action, Place
from content.policies.policies import NAME_MAX as POLICY_NAME_MAX
from content.rules.log_rules import RETENTION_HOURS as CONTENT_HOURS
from content.rules.rules import REDACTED_BY_DEFAULT, Kept, Redacted
from content.rules.rules import RETENTION_HOURS_MAX as CONTENT_HOURS_MAX
from gateway.channel_order.tie_breaking import Pick
from gateway.channels.bounds import MODEL_MAX, MODEL_PATTERN, NAME_MAX
from gateway.channels.fields import ChannelSettings
from gateway.channels.schemas import (
    BreakerIn,
    ConditionsIn,
    OverridesIn,
    PassThroughIn,
    RouteIn,
    TestingIn,
    TimeoutsIn,
)
from gateway.model_entries.rules import TOKENS_MAX
from gateway.model_entries.rules import Role as ModelRole
from gateway.models import Channel as StoredChannel
from gateway.models.settings import BACKUP_FOLDER, BACKUPS_MAX
from gateway.own_keys.offers import ORGANISATIONS_MAX, TITLE_MAX
from gateway.providers.overrides import Capability
from gateway.routing.model_rule_bounds import FAILURES, FALLBACKS_MAX, Cause
from gateway.routing.shadow_rules import NAME_MAX as SHADOW_NAME_MAX
from gateway.routing.shadow_rules import build_shadow_rule as checked_shadow
from gateway.routing.shadow_rules import stored_shadow
from lib.forms.fields import take_fields

KEEP: Final = "keep"
"""A file may have this word in place of a secret that is already stored."""


def wrong(message: str) -> PydanticCustomError:
    """Return an error whose text is shown unchanged."""
    return PydanticCustomError("expected", "{message}", {"message": message})


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise wrong(
            f'expected a network such as "10.0.0.0/8" or "127.0.0.1/32": {error}'
        ) from error


def _display_currency(code: str) -> str:
    if code and code not in list_currencies() - {"USD"}:
        raise wrong("expected the three letters of another currency than USD, such as EUR")
    return code


def _credit(text: str) -> str:
    try:
        amount = parse_usd(text)
    except MoneyInvalid as error:
        raise wrong(f"expected {error.expected}") from error
    if amount <= 0:
        raise wrong("expected an amount above 0; leave the field out for none")
    return text


def _format_credit_line(text: str) -> str:
    return text if text == "0" else _credit(text)


def _service_tier(text: str) -> str:
    if text and tier_name(text) != text:
        raise wrong(
            "expected the name of a service tier such as flex; leave it out for the standard price"
        )
    return text


def _hours(text: str) -> str:
    try:
        read_hours(text)
    except ConditionInvalid as error:
        raise wrong(str(error)) from error
    return text


def _multiplier(text: str) -> str:
    try:
        parse_multiplier(text)
    except MoneyInvalid as error:
        raise wrong(f"expected {error.expected}") from error
    return text


def _amount(text: str) -> str:
    try:
        amount = parse_usd(text)
    except MoneyInvalid as error:
        raise wrong(f"expected {error.expected}") from error
    if amount < 0:
        raise wrong("expected an amount of 0 or more")
    return text


def _cap(text: str) -> str:
    if parse_usd(_amount(text)) == 0:
        raise wrong("expected an amount above 0")
    return text


def _check_operator(operator: bool) -> bool:
    if not operator:
        raise wrong("expected true; leave the field out for people who are not operators")
    return operator


def _rates(meters: dict[str, str]) -> dict[str, str]:
    for name, rate in meters.items():
        try:
            find_meter(name)
        except MeterUnknown as error:
            raise wrong(str(error)) from error
        try:
            parse_rate(name, rate)
        except MoneyInvalid as error:
            raise wrong(f"{name}: expected {error.expected}, found {error.got!r}") from error
    return meters


def _decimal_text(value: object) -> object:
    # YAML numbers become binary floats, so an amount must be the text as written.
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise wrong(f'expected a decimal in quotes, such as "0.15", found the number {value}')
    return value


def _instant(value: object) -> object:
    """Accept a time in quotes."""
    if isinstance(value, str):
        try:
            return dt.datetime.fromisoformat(value)
        except ValueError as error:
            raise wrong("expected a time such as 2026-01-01T00:00:00Z") from error
    return value


def _empty_for_none(value: object) -> object:
    """`gpt-4o:` without a value is `gpt-4o: {}`."""
    return {} if value is None else value


Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_MAX, pattern=r"^\S(.*\S)?$")]
RoleName = Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^\S(.*\S)?$")]
Email = Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(-[a-z0-9_]+)*$", max_length=60)]
Region = Annotated[str, StringConstraints(pattern=REGION_PATTERN, max_length=REGION_MAX)]
Labels = list[Literal["project", "customer", "tags"]]
ModelName = Annotated[
    str, StringConstraints(min_length=1, max_length=MODEL_MAX, pattern=MODEL_PATTERN)
]
Instant = Annotated[AwareDatetime, BeforeValidator(_instant)]
Secret = Annotated[str, StringConstraints(min_length=1)]
Decimal = Annotated[str, BeforeValidator(_decimal_text)]
Count = Annotated[int, Field(ge=1, le=LIMIT_MAX)]
Tokens = Annotated[int, Field(ge=1, le=TOKENS_MAX)]
Meters = Annotated[dict[str, Decimal], Field(min_length=1), AfterValidator(_rates)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Settings(Part):
    egress_allow: list[Annotated[str, AfterValidator(_network)]] = []
    egress_allow_users: list[Annotated[str, AfterValidator(_network)]] = []
    unpriced_models: Literal["reject", "free", "alert"] = "reject"
    public_models: bool = True
    public_status: bool = False
    prefix_sessions: bool = False
    task_result_days: Annotated[int, Field(ge=1, le=365)] = 7
    backup_every_hours: Literal[0, 6, 12, 24, 168] = 0
    backup_hour: Annotated[int, Field(ge=0, le=23)] = 3
    backup_folder: Annotated[str, StringConstraints(pattern=BACKUP_FOLDER, max_length=60)] = (
        "backups"
    )
    backup_keep: Annotated[int, Field(ge=1, le=BACKUPS_MAX)] = 7


class PassThrough(PassThroughIn):
    price: Annotated[Decimal, AfterValidator(_amount)] = "0.00"
    unit_price: Annotated[Decimal, AfterValidator(_amount)] = "0.00"
    max_charge: Annotated[Decimal, AfterValidator(_amount)] = "0.00"
    cost: Annotated[Decimal, AfterValidator(_amount)] | Literal[""] = ""
    unit_cost: Annotated[Decimal, AfterValidator(_amount)] | Literal[""] = ""


@take_fields(ChannelSettings, StoredChannel)
class Channel(Part):
    name: Name
    provider: str
    base_url: str = ""
    proxy_url: str = ""
    proxy_login: Secret | None = None
    ca_bundle: str = ""
    client_cert: str = ""
    client_key: Secret | None = None
    keys: list[Secret] = []
    models: dict[ModelName, Annotated[RouteIn, BeforeValidator(_empty_for_none)]] = {}
    archived: bool = False
    spend_cap_day: Annotated[Decimal, AfterValidator(_cap)] | None = None
    spend_cap_month: Annotated[Decimal, AfterValidator(_cap)] | None = None
    balance_warn_below: Annotated[Decimal, AfterValidator(_cap)] | None = None
    balance_rest_below: Annotated[Decimal, AfterValidator(_cap)] | None = None
    conditions: ConditionsIn = ConditionsIn()
    region: Region | Literal[""] = ""
    overrides: OverridesIn = OverridesIn()
    pass_through: list[PassThrough] = []
    timeouts: TimeoutsIn = TimeoutsIn()
    breaker: BreakerIn = BreakerIn()
    testing: TestingIn = TestingIn()


class Tier(Part):
    input_over: Annotated[int, Field(ge=0)]
    mode: Literal["whole", "marginal"] = "whole"
    meters: Meters


class Condition(Part):
    kind: Literal["speed", "inference_geo", "processing"]
    value: Annotated[str, Field(min_length=1, max_length=40)]
    multiplier: Annotated[Decimal, AfterValidator(_multiplier)] | None = None
    meters: Meters | None = None
    tiers: list[Tier] = []
    source: Annotated[str, Field(max_length=120)] = ""
    date: Annotated[str, Field(max_length=40)] = ""


class Price(Part):
    model: ModelName
    kind: Literal["charge", "cost"] = "charge"
    channel: Name | Literal[""] = ""
    service_tier: Annotated[str, AfterValidator(_service_tier)] = ""
    hours: Annotated[str, AfterValidator(_hours)] = ""
    region: Region | Literal[""] = ""
    valid_from: Instant
    valid_to: Instant | None = None
    meters: Meters
    tiers: list[Tier] = []
    conditions: list[Condition] = []


class Plan(Part):
    name: Name
    multiplier: Annotated[Decimal, AfterValidator(_multiplier)] = "1"
    models: list[ModelName] = []


class ChargeRule(Part):
    kind: ChargeKind
    seconds: Annotated[int, Field(ge=1, le=DRAIN_SECONDS_MAX)] | None = None
    cost: Annotated[Decimal, AfterValidator(_amount)] | None = None

    def stored(self) -> dict[str, Any]:
        """Return the rule as it is stored, which is also how changes show it."""
        return stored_rule(build_charge_rule(self.kind, self.seconds, self.cost))

    @model_validator(mode="after")
    def _fits(self) -> "ChargeRule":
        if self.kind != "drain" and (self.seconds is not None or self.cost is not None):
            raise wrong("seconds and cost are for kind: drain alone")
        return self


class Shadow(Part):
    channel: Name
    model: Annotated[str, StringConstraints(max_length=SHADOW_NAME_MAX)] = ""
    percent: Annotated[int, Field(ge=1, le=100)]
    cap: Annotated[Decimal, AfterValidator(_cap)]

    def stored(self) -> dict[str, Any]:
        """Return the shadow as it is stored, which is also how changes show it."""
        return stored_shadow(checked_shadow(self.channel, self.percent, self.cap, self.model))


class Model(Part):
    name: ModelName
    can: dict[Capability, bool] = {}
    context_max: Tokens | None = None
    output_max: Tokens | None = None
    deprecated_at: Instant | None = None
    sunset_at: Instant | None = None
    replacement: ModelName | Literal[""] = ""
    forwards: bool = False
    plans: list[Name] = []
    roles: list[ModelRole] = []


class ModelRule(Part):
    model: ModelName
    fallbacks: Annotated[list[ModelName], Field(max_length=FALLBACKS_MAX)] = []
    causes: list[Cause] = sorted(FAILURES)
    pick: Pick = "weight"
    charge_rule: ChargeRule | None = None
    shadow: Shadow | None = None


class PolicyBudget(Part):
    amount: Annotated[Decimal, AfterValidator(_amount)]
    period: Literal["hour", "day", "week", "month", "total", "session"]
    timezone: str = "UTC"
    anchor: int | None = None
    action: Literal["block", "warn", "slow"] = "block"
    alert_percents: Annotated[
        list[Annotated[int, Field(ge=1, le=100)]], Field(max_length=ALERTS_MAX)
    ] = list(ALERT_PERCENTS)
    alert_forecast: bool = False


class Budget(PolicyBudget):
    enabled: bool = True


class ScopedBudget(Budget):
    scope: Literal["organisation", "user", "model", "project", "tag", "customer", "end_user"] = (
        "organisation"
    )
    subject: Annotated[str, StringConstraints(max_length=200)] = ""


class WithRateLimits(Part):
    rpm: Count | None = None
    tpm: Count | None = None
    parallel: Count | None = None


class WithBudgets(WithRateLimits):
    budgets: list[Budget] = []


class WithCaching(Part):
    cache_seconds: Annotated[int, Field(ge=0, le=SECONDS_MAX)] | None = None
    cache_price_percent: Annotated[int, Field(ge=0, le=100)] = 0


class Key(WithBudgets, WithCaching):
    name: Name
    secret: Secret = KEEP
    models: list[ModelName] = []
    expires_at: Instant | None = None
    disabled: bool = False
    endpoints: list[str] = []
    ips: list[Annotated[str, AfterValidator(_network)]] = []
    tags: list[str] = []
    required_labels: Labels = []
    end_user_header: Annotated[str, StringConstraints(max_length=100)] = ""
    end_user_networks: list[Annotated[str, AfterValidator(_network)]] = []
    end_users_signed: bool = False
    log_content: bool = True
    zero_retention: bool = False
    data_regions: list[Region] = []
    user: Email | Literal[""] = ""
    service_account: Name | Literal[""] = ""
    project: Slug | Literal[""] = ""
    budget: Budget | None = None


class Project(Part):
    name: Name
    slug: Slug | Literal[""] = ""
    archived: bool = False


class ServiceAccount(Part):
    name: Name
    role: RoleName = "developer"
    disabled: bool = False


class Team(WithBudgets, WithCaching):
    name: Name
    slug: Slug | Literal[""] = ""
    plan: Name | Literal[""] = ""
    required_labels: Labels = []
    archived: bool = False
    projects: list[Project] = []
    service_accounts: list[ServiceAccount] = []
    keys: list[Key] = []


class Role(Part):
    name: RoleName
    permissions: list[str] = []


class Member(WithRateLimits):
    email: Email
    role: RoleName
    teams: list[Name] | None = None
    leads: list[Name] = []
    plan: Name | Literal[""] = ""
    operator: Annotated[bool, AfterValidator(_check_operator)] = False


class Invitation(Part):
    email: Email
    invited_by: Email
    role: RoleName
    teams: list[Name] | None = None
    message: Annotated[str, StringConstraints(max_length=500)] = ""


class GroupRule(Part):
    group: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    role: RoleName
    teams: list[Name] = []


class SingleSignOn(Part):
    issuer: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    client_id: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    secret: Secret = KEEP
    domains: list[Annotated[str, StringConstraints(min_length=1, max_length=253)]] = []
    domains_confirmed: bool = True
    group_claim: Annotated[str, StringConstraints(max_length=100)] = "groups"
    group_rules: list[GroupRule] = []
    default_role: RoleName | Literal[""] = ""
    required: bool = False


class MailServer(Part):
    host: Annotated[str, StringConstraints(min_length=1, max_length=253)]
    port: Annotated[int, Field(ge=1, le=PORT_MAX)] = 587
    encryption: Literal["tls", "starttls", "none"] = "starttls"
    username: Annotated[str, StringConstraints(max_length=USERNAME_MAX)] = ""
    secret: Secret = KEEP
    sender: Annotated[str, StringConstraints(max_length=254)] = ""


class SignUpDomain(Part):
    domain: Annotated[str, StringConstraints(min_length=1, max_length=253)]
    organisation: Annotated[str, StringConstraints(min_length=1, max_length=60)]
    role: Literal["admin", "billing", "developer", "viewer"]


class SignUp(Part):
    mode: Literal["off", "invite", "domain", "open"] = "invite"
    captcha: bool = True
    domains: list[SignUpDomain] = []


class TrialCredit(Part):
    amount: Annotated[Decimal, AfterValidator(_amount)] = "0.00"
    once: Literal["domain", "person"] = "domain"
    days: Annotated[int, Field(ge=1, le=DAYS_MAX)] | None = 30


class LogRule(Part):
    scope: Literal["organisation", "team", "key", "model"] = "organisation"
    subject: Annotated[str, StringConstraints(max_length=200)] = ""
    keep: Kept = "everything"
    share_percent: Annotated[int, Field(ge=1, le=100)] = 100
    retention_hours: Annotated[int, Field(ge=1, le=CONTENT_HOURS_MAX)] = CONTENT_HOURS
    callers_may_opt_out: bool = True
    redact: list[Redacted] = list(REDACTED_BY_DEFAULT)
    ends_at: Instant | None = None


class PolicyRule(Part):
    guard: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    action: Action
    places: Annotated[list[Place], Field(min_length=1)] = [
        *("request", "answer", "tool_call", "tool_result")
    ]
    code: Annotated[str, StringConstraints(max_length=40)] = ""
    settings: dict[str, JsonValue] = {}


class PolicyAssigned(Part):
    scope: Literal["organisation", "team", "key"]
    subject: Annotated[str, StringConstraints(max_length=200)] = ""


class Policy(Part):
    name: Annotated[Name, StringConstraints(max_length=POLICY_NAME_MAX)]
    rules: list[PolicyRule] = []
    models: list[ModelName] = []
    networks: list[Annotated[str, AfterValidator(_network)]] = []
    retention_hours: Annotated[int, Field(ge=0, le=CONTENT_HOURS_MAX)] | None = None
    budgets: list[PolicyBudget] = []
    assigned: list[PolicyAssigned] = []


class Organisation(WithRateLimits):
    name: Name
    slug: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=50)] = ""
    currency: Literal["USD"] = "USD"
    display_currency: Annotated[str, AfterValidator(_display_currency)] = ""
    retention_hours: Annotated[int, Field(ge=0, le=RETENTION_HOURS_MAX)] = RETENTION_HOURS
    client_address_days: Annotated[int, Field(ge=0, le=CLIENT_ADDRESS_DAYS_MAX)] = 0
    include_cost: bool = False
    zero_retention: bool = False
    data_regions: list[Region] = []
    credit: Annotated[Decimal, AfterValidator(_credit)] | None = None
    credit_line: Annotated[Decimal, AfterValidator(_format_credit_line)] = "0"
    low_balance: Annotated[Decimal, AfterValidator(_amount)] | None = None
    charge_rule: ChargeRule | None = None
    plan: Name | Literal[""] = ""
    required_labels: Labels = []
    second_factor_roles: list[str] = []
    payer_rules: dict[
        RoleName, Literal["any", "people", "own_or_playground", "own", "playground"]
    ] = {}
    suspended: Annotated[str, StringConstraints(max_length=500)] | None = None
    archived: bool = False
    budgets: list[ScopedBudget] = []
    content_log: list[LogRule] = []
    policies: list[Policy] = []
    roles: list[Role] = []
    members: list[Member] = []
    invitations: list[Invitation] = []
    single_sign_on: SingleSignOn | None = None
    teams: list[Team] = []


class Person(Part):
    email: Email
    name: Annotated[str, StringConstraints(max_length=120)] = ""
    operator: Annotated[bool, AfterValidator(_check_operator)] = False
    active: bool = True


class OwnKeyOffer(Part):
    channel: Name
    title: Annotated[str, Field(min_length=1, max_length=TITLE_MAX)]
    everyone: bool = False
    organisations: Annotated[list[Slug], Field(max_length=ORGANISATIONS_MAX)] = []
    fee_per_request: Annotated[Decimal, AfterValidator(_amount)] = "0"
    fee_per_million_tokens: Annotated[Decimal, AfterValidator(_amount)] = "0"


class Installation(Part):
    version: Literal[1]
    settings: Settings = Settings()
    mail_server: MailServer | None = None
    channels: list[Channel] = []
    prices: list[Price] = []
    plans: list[Plan] = []
    models: list[Model] = []
    model_rules: list[ModelRule] = []
    aliases: dict[ModelName, ModelName] = {}
    own_key_offers: list[OwnKeyOffer] = []
    people: list[Person] = []
    organisations: list[Organisation] = []
    sign_up: SignUp = SignUp()
    trial_credit: TrialCredit = TrialCredit()
