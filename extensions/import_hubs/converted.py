"""The converted data of a peer's database, before it is written: plain, unchecked values.

An `Origin` is the row of an object in the peer's database. Each origin is imported once, even if
the object is renamed later. `closed` lists restrictions that do not exist here: an object with any
is created closed, and an operator opens it.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from extensions.import_hubs.report import Report

NO_MODEL: Final = "no-default-models"
"""A pattern that no model has: LiteLLM's name for none. An empty list would be every model."""


class Origin(NamedTuple):
    """A row of the peer's database: its table and its id."""

    table: str
    id: str


@dataclass(frozen=True, slots=True)
class ClearSecret:
    """The secret as text, as clients send it."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class HashedSecret:
    """The SHA-256 of the secret that clients send, and its last characters if they are known."""

    sha256: bytes = field(repr=False)
    last4: str = ""


class Counts(NamedTuple):
    """Limits: requests and tokens per minute, concurrent requests."""

    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None


UNLIMITED: Final = Counts()


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget. `spent_nano` is the spending in the current period, `anchor` the period's start
    (see billing/limits/budget_rules.py), None for the default."""

    amount_nano: int
    period: Literal["hour", "day", "week", "month", "total"] = "total"
    spent_nano: int = 0
    anchor: int | None = None


@dataclass(frozen=True, slots=True)
class PricePlan:
    origin: Origin
    name: str
    multiplier_ppm: int
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel. It serves holders of one of `plans`, and one of `teams`; () means everybody."""

    origin: Origin
    name: str
    provider: str
    base_url: str
    keys: tuple[str, ...] = field(repr=False)
    models: Mapping[str, str]
    enabled: bool = True
    priority: int = 0
    weight: int = 1
    plans: tuple[Origin, ...] = ()
    teams: tuple[Origin, ...] = ()
    closed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Price:
    """`meters` are decimal texts, as in a configuration file. If empty, the price is the one in
    force here for the first model of `like` that has one."""

    origin: Origin
    model: str
    meters: Mapping[str, str]
    like: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """A member. `teams` None means all. Without an origin, the member comes with a new
    organisation."""

    email: str
    role: Literal["owner", "admin", "billing", "developer", "viewer"]
    origin: Origin | None = None
    teams: tuple[str, ...] | None = None
    counts: Counts = UNLIMITED
    budgets: tuple[Budget, ...] = ()
    closed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Team:
    """A team. Without an origin, it is a team that a key of the same organisation needs."""

    name: str
    origin: Origin | None = None
    plan: Origin | None = None
    counts: Counts = UNLIMITED
    budgets: tuple[Budget, ...] = ()
    closed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Key:
    """A key. `team` is the name of a team of its organisation; "" means the first team."""

    origin: Origin
    name: str
    secret: ClearSecret | HashedSecret
    team: str = ""
    email: str = ""
    models: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    expires_at: dt.datetime | None = None
    disabled: bool = False
    counts: Counts = UNLIMITED
    budgets: tuple[Budget, ...] = ()
    closed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Organisation:
    """An organisation. A negative `balance_nano` is a debt. `suspended` is the reason, or ""."""

    origin: Origin
    name: str
    balance_nano: int = 0
    credit_line_nano: int = 0
    suspended: str = ""
    plan: Origin | None = None
    counts: Counts = UNLIMITED
    budgets: tuple[Budget, ...] = ()
    members: tuple[Member, ...] = ()
    teams: tuple[Team, ...] = ()
    keys: tuple[Key, ...] = ()
    closed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Code:
    """A code that has not been redeemed."""

    origin: Origin
    batch: str
    text: str = field(repr=False)
    value_nano: int
    expires_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Converted:
    """The result of a conversion, and remarks on what was left out."""

    plans: tuple[PricePlan, ...]
    channels: tuple[Channel, ...]
    prices: tuple[Price, ...]
    organisations: tuple[Organisation, ...]
    report: Report
    codes: tuple[Code, ...] = ()
